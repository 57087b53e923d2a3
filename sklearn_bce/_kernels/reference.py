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
