"""NumPy reference of the compiled kernels, written with the functions of the derivation.

Tests compare the kernels with the functions here, and the package uses these functions if it was
installed without a C compiler. Arguments and results are those of the kernel of the same name;
the docstrings of the kernels describe them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from sklearn_bce.chain_rule import (
    binary_cross_entropy,
    dl_dz,
    gradient,
    linear_output,
    loss_and_derivatives,
)

# The value in sgd.pyx, which says where the value is from.
SMALLEST_SCALE = 1e-9


# ----- soft_threshold -----------------------------------------------------------------------------


def soft_threshold(x, threshold):
    """NumPy reference of `soft_threshold.soft_threshold`: sign(x)·max(|x| − threshold, 0)."""
    return np.sign(x) * np.maximum(np.abs(x) - threshold, 0.0)


def _prox_coordinate_step(u, derivative, curvature, l1, lower, upper):
    """NumPy reference of `soft_threshold.prox_coordinate_step`; return the new u and the decrease.

    The decrease is that of derivative·d + ½ curvature·d² + κ|u + d| from d = 0 to its minimum
    within the bounds.
    """
    if curvature > 0:
        new = soft_threshold(u - derivative / curvature, l1 / curvature)
    elif abs(derivative) <= l1:
        new = 0.0
    else:
        return u, 0.0
    new = min(max(new, lower), upper)
    step = new - u
    return new, -(step * (derivative + curvature * step / 2) + l1 * (abs(new) - abs(u)))


# ----- dense --------------------------------------------------------------------------------------


def dense_outputs(X, w, b, z):
    """NumPy reference of `dense.dense_outputs`: set z to Xw + b."""
    z[:] = linear_output(X, w, b)


def dense_sums(X, row_weight, sums):
    """NumPy reference of `dense.dense_sums`: add Σ hx and Σ h."""
    of_x, of_one = gradient(X, row_weight)
    sums[:-1] += of_x
    sums[-1] += of_one


def dense_product(X, w, b, row_weight, z, sums):
    """NumPy reference of `dense.dense_product`: set z to Xw + b, and add Σ hzx and Σ hz."""
    dense_outputs(X, w, b, z)
    dense_sums(X, row_weight * z, sums)


def dense_loss(X, w, b, z_is_known, y, normalised_weight, z, slope, curvature, sums, offset=None):
    """NumPy reference of `dense.dense_loss`: return Σ pL and set its derivatives."""
    if not z_is_known:
        dense_outputs(X, w, b, z)
        z += 0.0 if offset is None else offset
    loss, slope[:], curvature[:] = loss_and_derivatives(y, z)
    slope *= normalised_weight
    curvature *= normalised_weight
    dense_sums(X, slope, sums)
    return float(np.sum(normalised_weight * loss))


def dense_squares(X, origin, row_weight, first, second):
    """NumPy reference of `dense.dense_squares`: add Σ h(x−o) and Σ h(x−o)²."""
    offset = (X - origin).astype(X.dtype)
    dense_sums(offset, row_weight, first)
    dense_sums(np.square(offset), row_weight, second)


def standardise(X, shift, scale, Z):
    """NumPy reference of `dense.standardise`: set the first columns of Z to (X − μ)/σ."""
    Z[:, : X.shape[1]] = (X - shift) / scale


def dense_gram(X, row_weight, columns, gram):
    """NumPy reference of `dense.dense_gram`: add the lower triangle of Σ h vvᵀ, v = [x, 1]."""
    V = np.column_stack([X[:, columns].astype(np.float64), np.ones(len(X))])
    V *= np.sqrt(row_weight)[:, np.newaxis]
    gram += np.tril(V.T @ V)


def centred_gram(sums, shift, scale):
    """NumPy reference of `dense.centred_gram`: turn Σ hxxᵀ into Σ h vvᵀ, v = [(x − μ)/σ, 1]."""
    first, total = sums[-1, :-1].copy(), sums[-1, -1]
    centred = first - total * shift
    matrix = np.tril(sums[:-1, :-1] - np.outer(first, shift) - np.outer(shift, centred))
    matrix = matrix / scale[:, np.newaxis] / scale
    sums[:-1, :-1] = matrix + np.tril(matrix, -1).T
    sums[:-1, -1] = sums[-1, :-1] = centred / scale


def ray_pass(y, z, z_direction, normalised_weight, step_length):
    """NumPy reference of `dense.ray_pass`: return both derivatives of Σ pL(y, σ(z + t·z′)) in t."""
    _, slope, curvature = loss_and_derivatives(y, z + step_length * z_direction)
    weighted = normalised_weight * z_direction
    return float(weighted @ slope), float((weighted * z_direction) @ curvature)


# ----- csr ----------------------------------------------------------------------------------------


def _csr(data, indices, indptr, n_features):
    """Return the CSR matrix of these arrays; indptr may be a slice of that of a larger matrix."""
    rows = slice(indptr[0], indptr[-1])
    shape = (len(indptr) - 1, n_features)
    return csr_array((data[rows], indices[rows], indptr - indptr[0]), shape=shape)


def csr_outputs(data, indices, indptr, w, b, z):
    """NumPy reference of `csr.csr_outputs`: set z to Xw + b."""
    dense_outputs(_csr(data, indices, indptr, len(w)), w, b, z)


def csr_sums(data, indices, indptr, row_weight, sums):
    """NumPy reference of `csr.csr_sums`: add Σ hx and Σ h."""
    dense_sums(_csr(data, indices, indptr, len(sums) - 1), row_weight, sums)


def csr_product(data, indices, indptr, w, b, row_weight, z, sums):
    """NumPy reference of `csr.csr_product`: set z to Xw + b, and add Σ hzx and Σ hz."""
    dense_product(_csr(data, indices, indptr, len(w)), w, b, row_weight, z, sums)


def csr_loss(data, indices, indptr, w, *arguments):
    """NumPy reference of `csr.csr_loss`: return Σ pL and set its derivatives."""
    return dense_loss(_csr(data, indices, indptr, len(w)), w, *arguments)


def csr_squares(data, indices, indptr, row_weight, first, second):
    """NumPy reference of `csr.csr_squares`: add Σ hx and Σ hx²."""
    X = _csr(data, indices, indptr, len(first) - 1)
    dense_sums(X, row_weight, first)
    dense_sums(X.multiply(X), row_weight, second)


def csr_gram(data, indices, indptr, row_weight, position, gram):
    """NumPy reference of `csr.csr_gram`: add the lower triangle of Σ h vvᵀ, v = [x, 1]."""
    columns = np.flatnonzero(position >= 0)
    X = _csr(data, indices, indptr, len(position))[:, columns]
    gram[:-1, :-1] += np.tril((X.T @ X.multiply(row_weight[:, np.newaxis])).toarray())
    dense_sums(X, row_weight, gram[-1])


# ----- coordinate_descent -------------------------------------------------------------------------


def coordinate_descent(matrix, l1, lower, upper, u, gradient, n_sweeps, tolerance):
    """NumPy reference of `coordinate_descent.coordinate_descent`: sweeps by the Hessian, formed."""
    decrease = last_decrease = 0.0
    for _ in range(n_sweeps):
        last_decrease = 0.0
        for j, curvature in enumerate(np.diag(matrix)):
            new, gain = _prox_coordinate_step(
                u[j], gradient[j], curvature, l1[j], lower[j], upper[j]
            )
            last_decrease += gain
            gradient += (new - u[j]) * matrix[j]
            u[j] = new
        decrease += last_decrease
        if last_decrease <= tolerance * decrease:
            break
    return decrease, last_decrease


def csc_column_moments(data, indices, indptr, columns, row_weight, first, second):
    """NumPy reference of `coordinate_descent.csc_column_moments`: Σ hx and Σ hx² of columns."""
    for k, column in enumerate(columns):
        stored = slice(indptr[column], indptr[column + 1])
        first[k] = row_weight[indices[stored]] @ data[stored]
        second[k] = row_weight[indices[stored]] @ np.square(data[stored])


def csc_coordinate_descent(
    data, indices, indptr, columns, row_weight, first, curvature_along, l2, l1, lower, upper,
    gradient, start, total, visit_zeros, u, weighted_z, state,
):  # fmt: skip
    """NumPy reference of `coordinate_descent.csc_coordinate_descent`: one sweep over columns."""
    decrease = 0.0
    for k, column in enumerate(columns):
        if not visit_zeros and u[k] == 0:
            continue
        stored = slice(indptr[column], indptr[column + 1])
        rows, x = indices[stored], data[stored]
        derivative = (
            gradient[k] + state[0] * first[k] + l2[k] * (u[k] - start[k]) + weighted_z[rows] @ x
        )
        new, gain = _prox_coordinate_step(
            u[k], derivative, curvature_along[k], l1[k], lower[k], upper[k]
        )
        step = new - u[k]
        if step == 0:
            continue
        decrease += gain
        u[k] = new
        weighted_z[rows] += step * row_weight[rows] * x
        state[1] += step * first[k]
        state[0] = -state[1] / total
    return decrease


# ----- sgd ----------------------------------------------------------------------------------------


def _update(
    x: NDArray[Any],
    features: NDArray[np.integer[Any]] | slice,
    y: float,
    sample_weight: float,
    offset: float,
    w: NDArray[np.float64],
    state: NDArray[np.float64],
    eta: float,
    l2: NDArray[np.float64],
    l1: NDArray[np.float64],
    fit_intercept: bool,
) -> float:
    """Update w and state in place by one sample; return its loss s·L before the update, in nats."""
    b, scale = state
    x = x.astype(np.float64)  # as the kernel does; NumPy 1 would round the weights to x's dtype
    z = linear_output(x, scale * w[features], b) + offset
    gradient_w, gradient_b = gradient(x, sample_weight * dl_dz(y, z))
    rate = eta * sample_weight
    if len(w) == 1 or l2.strides == l1.strides == (0,):  # all strengths are equal
        scale *= 1.0 - rate * l2[0]
        if abs(scale) < SMALLEST_SCALE:
            w *= scale
            scale = 1.0
    else:
        w *= 1.0 - rate * l2
    w[features] -= eta * gradient_w / scale
    w[:] = soft_threshold(w, rate * l1 / abs(scale))
    if fit_intercept:
        b -= eta * gradient_b
    state[:] = b, scale
    return float(sample_weight * binary_cross_entropy(y, z))


def dense_sgd_pass(X, y, sample_weight, offset, order, w, state, etas, l2, l1, fit_intercept):
    """NumPy reference of `sgd.dense_sgd_pass`: update w and b by each sample in turn."""
    every = slice(None)
    return sum(
        _update(
            X[i], every, y[i], sample_weight[i], offset[i], w, state, eta, l2, l1, fit_intercept
        )
        for i, eta in zip(order, etas, strict=True)
    )


def csr_sgd_pass(
    data, indices, indptr, y, sample_weight, offset, order, w, state, etas, l2, l1, fit_intercept
):
    """NumPy reference of `sgd.csr_sgd_pass`: update w and b by each sample in turn."""
    loss = 0.0
    for i, eta in zip(order, etas, strict=True):
        row = slice(indptr[i], indptr[i + 1])
        loss += _update(
            data[row],
            indices[row],
            y[i],
            sample_weight[i],
            offset[i],
            w,
            state,
            eta,
            l2,
            l1,
            fit_intercept,
        )
    return loss


# ----- newton -------------------------------------------------------------------------------------


class _Newton:
    """The problem of `newton_in_cache`: F in coordinates of centred and scaled columns."""

    def __init__(self, Z, y, weight, offset, l2, limits):
        self.Z, self.y, self.weight, self.l2, self.limits = Z, y, weight, l2, limits
        self.offset = 0.0 if offset is None else offset

    def loss_and_derivatives(self, z):
        """Return pL and its derivatives in z, of each sample."""
        return (self.weight * each for each in loss_and_derivatives(self.y, z))

    def at(self, theta, z):
        """Return θ, z, F, slopes, curvatures and gradient of a point."""
        loss, slope, curvature = self.loss_and_derivatives(z)
        value = float(np.sum(loss) + self.l2 @ np.square(theta) / 2)
        return theta, z, value, curvature, self.Z.T @ slope + self.l2 * theta

    def factor(self, curvature):
        """Return the Cholesky factor of H at a point; None if a pivot is not trusted."""
        H = (self.Z.T * curvature) @ self.Z + np.diag(self.l2)
        diagonal = H.diagonal().copy()
        diagonal[diagonal == 0] = 1.0
        np.fill_diagonal(H, diagonal)
        try:
            factor = np.linalg.cholesky(H)
        except np.linalg.LinAlgError:
            return None
        least = self.limits.trusted_pivot * len(H) * np.finfo(np.float64).eps * diagonal
        return factor if np.all(np.square(factor.diagonal()) > least) else None

    def direction(self, at):
        """Return the factor of H, Newton's direction and the squared decrement, NaN if unknown."""
        factor = self.factor(at[3])
        if factor is None:
            return None, None, np.nan
        d = -np.linalg.solve(factor.T, np.linalg.solve(factor, at[4]))
        return factor, d, float(-at[4] @ d)

    def exact_step_length(self, theta, z, d, dz):
        """Return the t that minimises F along d, to a few percent."""
        low, high, t = 0.0, self.limits.max_step_length, 1.0
        for _ in range(self.limits.max_search_steps):
            _, slope, curvature = self.loss_and_derivatives(z + t * dz)
            first = slope @ dz + self.l2 @ ((theta + t * d) * d)
            second = curvature @ np.square(dz) + self.l2 @ np.square(d)
            low, high = (t, high) if first < 0 else (low, t)
            trial = t - first / second if second > 0 else high
            trial = trial if low < trial < high else (low + high) / 2
            if abs(trial - t) <= self.limits.step_length_tol * t:
                return trial
            t = trial
        return t

    def falls(self, value, new, d, decrement):
        """Return whether F falls sufficiently in a step along d to a new point."""
        decrease = value - new[2]
        if decrease >= self.limits.sufficient_decrease * decrement:
            return True
        is_level = decrease >= -self.limits.sum_rounding * value
        return is_level and abs(new[4] @ d) <= decrement / 2

    def suffices(self, stale, decrement):
        """Return whether a step by the factor of the step before is enough."""
        share, tol = self.limits.stale_step_fraction, self.limits.tol
        is_enough = stale >= 0 and stale**2 / 2 <= share * tol * decrement
        return is_enough and self.limits.stale_margin * stale / 2 <= tol

    def is_doubtful(self, before, new, factor, decrement, last, is_stale):
        """Return whether a sample leaves the region of the model, or flat samples dominate it."""
        change, limits = new[1] - before[1], self.limits
        leaving = np.abs(change) > limits.model_region
        owed = before[3][leaving] @ np.square(change[leaving])
        of_step = np.maximum(new[3], before[3]) if is_stale else new[3]
        flat = (self.weight > 0) & (np.square(new[3]) <= last * of_step)
        norms = np.linalg.norm(np.linalg.solve(factor, self.Z[flat].T), axis=0)
        share = before[3][flat] @ np.square(norms)
        dominates = np.sum(flat) > limits.most_flat or share > limits.flat_share
        return owed > limits.negligible_decrement * decrement or dominates


def _standard_columns(X, weight, fit_intercept, limits, shift, scale):
    """Set mean and deviation of the columns; return Z, or None if X is for the general loop."""
    origin = X[np.argmax(weight > 0)] if fit_intercept else np.zeros(X.shape[1])
    mean, square = weight @ (X - origin), weight @ np.square(X - origin)
    is_constant = np.all((origin == X) | (weight == 0)[:, None], axis=0)
    is_safe = (square > limits.least_mean_square) & (square < limits.largest_mean_square)
    if not np.all(np.where(square == 0, is_constant, is_safe)):
        return None
    shift[:] = origin + mean if fit_intercept else 0.0
    scale[:] = np.sqrt(np.maximum(square - np.square(mean), 0) if fit_intercept else square)
    Z = np.where(scale > 0, (X - shift) / np.where(scale > 0, scale, 1.0), 0.0 * X)
    return np.column_stack([Z, np.ones((len(X), int(fit_intercept)))])


def newton_in_cache(
    X, y, normalised_weight, offset, fit_intercept, l2, limits, theta, shift, scale, loss_curve
):
    """NumPy reference of `newton.newton_in_cache`: minimise a smooth F from weights of 0."""
    with np.errstate(all="ignore"):
        Z = _standard_columns(X, normalised_weight, fit_intercept, limits, shift, scale)
        if Z is None or not np.isfinite(np.sum(Z)):
            return 0, 0, 0
        l2 = l2 / np.square(np.where(scale > 0, scale, 1.0))
        l2 = np.append(l2, np.zeros(int(fit_intercept)))
        F = _Newton(Z, y, normalised_weight, offset, l2, limits)
        end, curve, n_evaluations, theta[:] = _iterate(F, theta.copy())
        loss_curve[: len(curve)] = curve
    return end, len(curve), n_evaluations


def _iterate(F, theta):
    """Return why the iteration ended, F after each step, the number of evaluations, and θ."""
    limits = F.limits
    at, curve, n, previous = F.at(theta, F.Z @ theta + F.offset), [], 1, 0.0
    while len(curve) < limits.max_iter and not at[2] <= limits.tol:
        factor, d, decrement = F.direction(at)
        if not 0 <= decrement < np.inf or not np.isfinite(at[2]):
            return 0, curve, n, at[0]
        left = decrement / 2 * (decrement / previous if decrement < previous else 1.0)
        is_last, is_far = decrement / 2 <= limits.tol, limits.worth_a_search * at[2] < decrement / 2
        dz = F.Z @ d
        t = F.exact_step_length(at[0], at[1], d, dz) if is_far else 1.0
        new, n = F.at(at[0] + t * d, at[1] + t * dz), n + 1
        if not F.falls(at[2], new, d, decrement):
            return 0, curve, n, at[0]
        before, at, last, is_stale = at, new, decrement, False
        curve.append(at[2])
        if not is_last and left <= limits.tol and not is_far:
            d = _secant_direction(factor, before, at)
            stale = float(-at[4] @ d)
            is_stale = F.suffices(stale, decrement)
        if is_stale:
            new, n, last = F.at(at[0] + d, at[1] + F.Z @ d), n + 1, stale
            if not F.falls(at[2], new, d, stale):
                return 0, curve, n, new[0]
            at, curve[-1] = new, new[2]
        if is_last or is_stale:
            is_doubtful = F.is_doubtful(before, at, factor, decrement, last, is_stale)
            is_doubtful = is_doubtful and not at[2] <= limits.tol
            return int(not is_doubtful), curve, n, at[0]
        previous = decrement
    return (1 if at[2] <= limits.tol else 2), curve, n, at[0]


def _secant_direction(factor, before, at):
    """Return the direction by the factor of the point before, corrected by one secant pair."""
    step, change, d = at[0] - before[0], at[4] - before[4], at[4].copy()
    along = step @ change
    first = step @ d / along if along > 0 else 0.0
    d = np.linalg.solve(factor.T, np.linalg.solve(factor, d - first * change))
    if along > 0:
        d += (first - change @ d / along) * step
    return -d
