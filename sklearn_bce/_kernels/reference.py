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
    sigmoid,
)

# The value in sgd.pyx, which says where the value is from.
SMALLEST_SCALE = 1e-9
# The values in dual.pyx.
OUTPUT_TOL = 0.03
MOST_STEPS = 60


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


def loss_of_outputs(y, z, normalised_weight):
    """NumPy reference of `dense.loss_of_outputs`: return Σ pL(y, σ(z))."""
    return float(np.sum(normalised_weight * binary_cross_entropy(y, z)))


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


def csr_norms(data, indices, indptr, position, root, constant, norms):
    """NumPy reference of `csr.csr_norms`: ‖Rᵀv + c‖ of each row."""
    X = _csr(data, indices, indptr, len(position))[:, np.flatnonzero(position >= 0)]
    norms[:] = np.linalg.norm(X @ root + constant, axis=1)


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


# ----- dual ---------------------------------------------------------------------------------------


def _dual_step(t, v, z, kappa, y):
    """Return the new t and v of one sample; see `dual.dual_step`."""
    low, high = z - kappa, z + kappa
    for _ in range(MOST_STEPS):
        t = t if low <= t <= high else 0.5 * (low + high)
        excess = t + kappa * (_slope(t, y) - v) - z
        low, high = (low, t) if excess > 0 else (t, high)
        step = excess / (1.0 + kappa * sigmoid(t) * sigmoid(-t))
        t -= step
        if abs(step) <= OUTPUT_TOL:
            break
    return t, _slope(t, y)


def _slope(t, y):
    """Return σ(t) − y, without cancellation for labels."""
    return (1.0 - y) * sigmoid(t) - y * sigmoid(-t)


def dense_dual_pass(X, y, offset, factor, kappa, order, t, v, w, intercept, bias_square):
    """NumPy reference of `dual.dense_dual_pass`: maximise over each slope in turn."""
    rise = 0.0
    for i in order:
        x, before = X[i].astype(np.float64), v[i]
        if kappa[i] < 0:
            kappa[i] = factor[i] * (x @ x + bias_square)
        t[i], v[i] = _dual_step(t[i], before, x @ w + intercept[0] + offset[i], kappa[i], y[i])
        change = v[i] - before
        rise += factor[i] * kappa[i] * change**2
        w -= factor[i] * change * x
        intercept[0] -= factor[i] * change * bias_square
    return rise


def csr_dual_pass(data, indices, indptr, y, offset, factor, kappa, order, t, v, w, *intercept):
    """NumPy reference of `dual.csr_dual_pass`: that of the matrix as an array."""
    X = _csr(data, indices, indptr, len(w)).toarray()
    return dense_dual_pass(X, y, offset, factor, kappa, order, t, v, w, *intercept)


# ----- newton -------------------------------------------------------------------------------------


class _Newton:
    """The problem of `newton_in_cache`: a smooth F in coordinates of centred and scaled columns.

    A point is a tuple (θ, z, F, curvatures, gradient); the gradient is that without the L1 norm. A
    step is a tuple (d, decrease of the model, model).
    """

    def __init__(self, Z, y, weight, offset, l2, l1, limits):
        self.Z, self.y, self.weight, self.l2, self.limits = Z, y, weight, l2, limits
        self.l1 = np.zeros(len(l2)) if l1 is None else l1
        self.offset = 0.0 if offset is None else offset

    def loss_and_derivatives(self, z):
        """Return pL and its derivatives in z, of each sample."""
        return (self.weight * each for each in loss_and_derivatives(self.y, z))

    def at(self, theta, z):
        """Return the point with the given θ and z."""
        loss, slope, curvature = self.loss_and_derivatives(z)
        value = float(np.sum(loss) + self.l2 @ np.square(theta) / 2 + self.l1 @ np.abs(theta))
        return theta, z, value, curvature, self.Z.T @ slope + self.l2 * theta

    def matrix(self, curvature):
        """Return H, given the curvatures of the samples."""
        return (self.Z.T * curvature) @ self.Z + np.diag(self.l2)

    def factor(self, H):
        """Return the Cholesky factor of H; None if a pivot is not trusted."""
        diagonal = H.diagonal().copy()
        diagonal[diagonal == 0] = 1.0
        H = H.copy()
        np.fill_diagonal(H, diagonal)
        try:
            factor = np.linalg.cholesky(H)
        except np.linalg.LinAlgError:
            return None
        least = self.limits.trusted_pivot * len(H) * np.finfo(np.float64).eps * diagonal
        return factor if np.all(np.square(factor.diagonal()) > least) else None

    def find_step(self, at):
        """Return Newton's step from a point; None where the general loop is to find it."""
        factor = self.factor(self.matrix(at[3]))
        if factor is None:
            return None
        d = -np.linalg.solve(factor.T, np.linalg.solve(factor, at[4]))
        gained = float(-at[4] @ d) / 2
        is_usable = 0 <= gained < np.inf and np.isfinite(at[2])
        return (d, gained, factor) if is_usable else None

    def find_stale_step(self, before, at, factor):
        """Return the step by the factor of the point before, corrected by one secant pair."""
        step, change, d = at[0] - before[0], at[4] - before[4], at[4].copy()
        along = step @ change
        first = step @ d / along if along > 0 else 0.0
        d = np.linalg.solve(factor.T, np.linalg.solve(factor, d - first * change))
        if along > 0:
            d += (first - change @ d / along) * step
        gained = float(at[4] @ d) / 2
        return (-d, gained, factor) if gained >= 0 else None

    def slope_along(self, theta, gradient, d):
        """Return the directional derivative of F along d."""
        return gradient @ d + self.l1 @ np.where(theta == 0, np.abs(d), np.sign(theta) * d)

    def exact_step_length(self, theta, z, d, dz):
        """Return the t that minimises F along d, to a few percent."""
        low, high, t = 0.0, self.limits.max_step_length, 1.0
        for _ in range(self.limits.max_search_steps):
            _, slope, curvature = self.loss_and_derivatives(z + t * dz)
            here = theta + t * d
            first = slope @ dz + self.slope_along(here, self.l2 * here, d)
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
        return is_level and abs(self.slope_along(new[0], new[4], d)) <= decrement / 2

    def sufficient_stale_step(self, before, at, model, decrement):
        """Return a step by the model of the step before; None if it is not enough."""
        step = self.find_stale_step(before, at, model)
        if step is None:
            return None
        share, tol = self.limits.stale_step_fraction, self.limits.tol
        is_enough = (2 * step[1]) ** 2 / 2 <= share * tol * decrement
        return step if is_enough and self.limits.stale_margin * step[1] <= tol else None

    def is_minimum(self, before, new, model, decrement, last, is_stale):
        """Return whether F is within tol of its minimum after a last step."""
        if new[2] <= self.limits.tol:
            return True
        is_near = not self.leaves_region(before, new, decrement)
        return is_near and self.model_holds(before, new, model, last, is_stale)

    def leaves_region(self, before, new, decrement):
        """Return whether a sample leaves the region of the model in the last step."""
        change, limits = new[1] - before[1], self.limits
        leaving = np.abs(change) > limits.model_region
        owed = before[3][leaving] @ np.square(change[leaving])
        return owed > limits.negligible_decrement * decrement

    def model_holds(self, before, new, factor, decrement, is_stale):
        """Return whether the curvature in the factor is good up to the minimum."""
        return not self.flat_samples_dominate(
            before, new, factor, np.arange(len(self.l2)), decrement, is_stale
        )

    def flat_samples_dominate(self, before, new, factor, places, decrement, is_stale):
        """Return whether samples that have become flat may make up a direction of the curvature."""
        of_step = np.maximum(new[3], before[3]) if is_stale else new[3]
        flat = (self.weight > 0) & (np.square(new[3]) <= decrement * of_step)
        norms = np.linalg.norm(np.linalg.solve(factor, self.Z[flat][:, places].T), axis=0)
        share = before[3][flat] @ np.square(norms)
        return np.sum(flat) > self.limits.most_flat or share > self.limits.flat_share


class _NewtonWithNorm(_Newton):
    """The same with an L1 norm. The model of a step is H."""

    def find_step(self, at):
        """Return the step to the minimum of the model, found by coordinate descent."""
        step = self.minimise_model(at, self.matrix(at[3]))
        return step if step is not None and step[1] <= at[2] else None

    def find_stale_step(self, before, at, H):
        """Return the step by H of the point before, corrected by a secant pair (BFGS)."""
        step, change = at[0] - before[0], at[4] - before[4]
        expected = H @ step
        if step @ change > 0 and step @ expected > 0:
            H = H + np.outer(change, change) / (step @ change)
            H = H - np.outer(expected, expected) / (step @ expected)
        return self.minimise_model(at, H)

    def minimise_model(self, at, H):
        """Return the step to the minimum of the model; None if the minimum is not found."""
        limits, u, slope, gained = self.limits, at[0].copy(), at[4].copy(), 0.0
        excess = np.abs(slope) - self.l1
        is_rounding = (u == 0) & (excess > 0) & (excess <= limits.sum_rounding * self.l1)
        slope[is_rounding] = (np.sign(slope) * self.l1)[is_rounding]
        for _ in range(limits.max_rounds):
            swept, last = self._sweeps(H, u, slope, gained)
            gained += swept
            if not last * limits.sweeps > limits.inner_fraction * gained:
                return u - at[0], gained, H
            gained += self._step_on_face(H, u, slope)
        return None

    def _sweeps(self, H, u, slope, gained):
        """Do sweeps of coordinate descent; return the decrease, and that of the last sweep."""
        swept, free = 0.0, np.full(len(u), np.inf)
        for _ in range(self.limits.sweeps):
            last, _ = coordinate_descent(H, self.l1, -free, free, u, slope, 1, 0.0)
            swept += last
            if last <= self.limits.inner_fraction * (gained + swept):
                break
        return swept, last

    def _step_on_face(self, H, u, slope):
        """Move u to the minimum among points of equal signs, or to the first kink on the way."""
        face = np.flatnonzero((u != 0) | (self.l1 == 0))
        try:
            factor = np.linalg.cholesky(H[np.ix_(face, face)])
        except np.linalg.LinAlgError:
            return 0.0
        downhill = np.linalg.solve(factor, -self._least_slope(u, slope)[face])
        step = np.linalg.solve(factor.T, downhill)
        crosses = (self.l1[face] > 0) & (u[face] * (u[face] + step) < 0)
        lengths = np.where(crosses, -u[face] / np.where(crosses, step, 1.0), 1.0)
        t = np.min(lengths, initial=1.0)
        u[face] += t * step
        u[face[crosses & (lengths == t)]] = 0.0
        slope += H[:, face] @ (t * step)
        return float(downhill @ downhill) * t * (1 - t / 2)

    def _least_slope(self, theta, gradient):
        """Return the element nearest to 0 of the subdifferential of F in each coordinate."""
        at_zero = np.sign(gradient) * np.maximum(np.abs(gradient) - self.l1, 0.0)
        return np.where(theta == 0, at_zero, gradient + self.l1 * np.sign(theta))

    def model_holds(self, before, new, H, decrement, is_stale):
        """Return whether the gradient agrees with the model, and no flat samples dominate it."""
        slope, limits = self._least_slope(new[0], new[4]), self.limits
        is_visible = np.abs(slope) > limits.visible_excess * self.l1
        places = np.flatnonzero((new[0] != 0) | (self.l1 == 0) | is_visible)
        if not len(places):
            return True
        factor = self.factor(H[np.ix_(places, places)])
        if factor is None:
            return False
        gain = np.sum(np.square(np.linalg.solve(factor, slope[places]))) / 2
        if not limits.end_margin * gain <= max(limits.tol, limits.rounding_floor * new[2]):
            return False
        return not self.flat_samples_dominate(before, new, factor, places, decrement, True)


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
    X, y, normalised_weight, offset, fit_intercept, l2, l1, limits, theta, shift, scale, loss_curve
):
    """NumPy reference of `newton.newton_in_cache`: minimise F in standard coordinates."""
    with np.errstate(all="ignore"):
        Z = _standard_columns(X, normalised_weight, fit_intercept, limits, shift, scale)
        if Z is None or not np.isfinite(np.sum(Z)):
            return 0, 0, 0
        unit, of_intercept = np.where(scale > 0, scale, 1.0), np.zeros(int(fit_intercept))
        l2 = np.append(l2 / np.square(unit), of_intercept)
        if l1 is not None:
            l1 = np.append(l1 / unit, of_intercept)
        kind = _Newton if l1 is None else _NewtonWithNorm
        F = kind(Z, y, normalised_weight, offset, l2, l1, limits)
        p = X.shape[1]
        theta[p:] += shift @ theta[:p]
        theta[:p] *= unit
        end, curve, n_evaluations, at = _iterate(F, theta.copy())
        theta[:] = at[0]
        if end == 1:  # a run without a step has one entry
            curve = curve or [at[2]]
        loss_curve[: len(curve)] = curve
    return end, len(curve), n_evaluations


def _iterate(F, theta):
    """Return why the iteration ended, F after each step, the number of evaluations, and a point."""
    limits = F.limits
    at, curve, n, previous = F.at(theta, F.Z @ theta + F.offset), [], 1, 0.0
    while len(curve) < limits.max_iter and limits.tol < at[2] < limits.start_limit:
        step = F.find_step(at)
        if step is None:
            return 0, curve, n, at
        d, gained, model = step
        left = gained * (2 * gained / previous if 2 * gained < previous else 1.0)
        is_last, is_far = gained <= limits.tol, limits.worth_a_search * at[2] < gained
        dz = F.Z @ d
        t = F.exact_step_length(at[0], at[1], d, dz) if is_far else 1.0
        new, n = F.at(at[0] + t * d, at[1] + t * dz), n + 1
        if not F.falls(at[2], new, d, 2 * gained):
            return 0, curve, n, at
        before, at, stale = at, new, None
        curve.append(at[2])
        if not is_last and left <= limits.tol and not is_far:
            stale = F.sufficient_stale_step(before, at, model, 2 * gained)
        last = gained if stale is None else stale[1]
        if stale is not None:
            d, _, model = stale
            new, n = F.at(at[0] + d, at[1] + F.Z @ d), n + 1
            if not F.falls(at[2], new, d, 2 * last):
                return 0, curve, n, new
            at, curve[-1] = new, new[2]
        end = (is_last or stale is not None) and F.is_minimum(
            before, at, model, 2 * gained, 2 * last, stale is not None
        )
        if end or (is_last and last <= limits.least_doubt):
            return int(end), curve, n, at
        previous = 2 * gained
    return (1 if at[2] <= limits.tol else 2 if curve else 0), curve, n, at
