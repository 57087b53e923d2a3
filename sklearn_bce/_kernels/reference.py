"""The loops of the modules of kernels in NumPy, through the functions of the derivation.

They are the reference that the kernels are tested against, and the fallback where no C compiler was
at hand when the package was installed. Arguments and results are those of the kernels.
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

SMALLEST_SCALE = 1e-9  # as in the kernel: the scale is multiplied into w before it underflows


def _visit(
    x: NDArray[Any],
    features: NDArray[np.integer[Any]] | slice,
    y: float,
    sample_weight: float,
    w: NDArray[np.float64],
    state: NDArray[np.float64],
    eta: float,
    l2: float,
    l1: float,
    fit_intercept: bool,
) -> float:
    """Update ``w[features]`` and ``state`` by one sample; return its loss before the update."""
    b, scale = state
    x = x.astype(np.float64)  # as the kernel does; NumPy 1 would round the weights to x's dtype
    z = linear_output(x, scale * w[features], b)
    gradient_w, gradient_b = gradient(x, sample_weight * dl_dz(y, z))
    if l2 != 0.0:
        scale *= 1.0 - eta * sample_weight * l2
        if abs(scale) < SMALLEST_SCALE:
            w *= scale
            scale = 1.0
    w[features] -= eta * gradient_w / scale
    if l1 != 0.0:
        w[:] = np.sign(w) * np.maximum(np.abs(w) - eta * sample_weight * l1 / abs(scale), 0.0)
    if fit_intercept:
        b -= eta * gradient_b
    state[:] = b, scale
    return float(sample_weight * binary_cross_entropy(y, z))


def dense_pass(X, y, sample_weight, order, w, state, eta, l2, l1, fit_intercept):
    """Do as the kernel of this name."""
    every = slice(None)
    return sum(
        _visit(X[i], every, y[i], sample_weight[i], w, state, eta, l2, l1, fit_intercept)
        for i in order
    )


def csr_pass(data, indices, indptr, y, sample_weight, order, w, state, eta, l2, l1, fit_intercept):
    """Do as the kernel of this name."""
    loss = 0.0
    for i in order:
        row = slice(indptr[i], indptr[i + 1])
        loss += _visit(
            data[row], indices[row], y[i], sample_weight[i], w, state, eta, l2, l1, fit_intercept
        )
    return loss


def _csr(data, indices, indptr, n_features):
    """Return the CSR matrix of which indptr may be a slice."""
    rows = slice(indptr[0], indptr[-1])
    shape = (len(indptr) - 1, n_features)
    return csr_array((data[rows], indices[rows], indptr - indptr[0]), shape=shape)


def dense_outputs(X, v, c, z):
    """Do as the kernel of this name."""
    z[:] = linear_output(X, v, c)


def dense_sums(X, weight, sums):
    """Do as the kernel of this name."""
    of_x, of_one = gradient(X, weight)
    sums[:-1] += of_x
    sums[-1] += of_one


def dense_product(X, v, c, weight, z, sums):
    """Do as the kernel of this name."""
    dense_outputs(X, v, c, z)
    dense_sums(X, weight * z, sums)


def dense_loss(X, v, c, known, y, weight, z, slope, curvature, sums):
    """Do as the kernel of this name."""
    if not known:
        dense_outputs(X, v, c, z)
    loss, slope[:], curvature[:] = loss_and_derivatives(y, z)
    slope *= weight
    curvature *= weight
    dense_sums(X, slope, sums)
    return float(np.sum(weight * loss))


def dense_squares(X, origin, weight, first, second):
    """Do as the kernel of this name."""
    offset = (X - origin).astype(X.dtype)
    dense_sums(offset, weight, first)
    dense_sums(np.square(offset), weight, second)


def standardised(X, shift, scale, Z):
    """Do as the kernel of this name."""
    Z[:, : X.shape[1]] = (X - shift) / scale


def dense_gram(X, weight, columns, gram):
    """Do as the kernel of this name."""
    Z = np.column_stack([X[:, columns].astype(np.float64), np.ones(len(X))])
    Z *= np.sqrt(weight)[:, np.newaxis]
    gram += np.tril(Z.T @ Z)


def csr_outputs(data, indices, indptr, v, c, z):
    """Do as the kernel of this name."""
    dense_outputs(_csr(data, indices, indptr, len(v)), v, c, z)


def csr_sums(data, indices, indptr, weight, sums):
    """Do as the kernel of this name."""
    dense_sums(_csr(data, indices, indptr, len(sums) - 1), weight, sums)


def csr_product(data, indices, indptr, v, *arguments):
    """Do as the kernel of this name."""
    dense_product(_csr(data, indices, indptr, len(v)), v, *arguments)


def csr_loss(data, indices, indptr, v, *arguments):
    """Do as the kernel of this name."""
    return dense_loss(_csr(data, indices, indptr, len(v)), v, *arguments)


def csr_squares(data, indices, indptr, weight, first, second):
    """Do as the kernel of this name."""
    X = _csr(data, indices, indptr, len(first) - 1)
    dense_sums(X, weight, first)
    dense_sums(X.multiply(X), weight, second)


def csr_gram(data, indices, indptr, weight, position, gram):
    """Do as the kernel of this name."""
    columns = np.flatnonzero(position >= 0)
    X = _csr(data, indices, indptr, len(position))[:, columns]
    gram[:-1, :-1] += np.tril((X.T @ X.multiply(weight[:, np.newaxis])).toarray())
    dense_sums(X, weight, gram[-1])


def centred_gram(sums, shift, scale):
    """Do as the kernel of this name."""
    first, total = sums[-1, :-1].copy(), sums[-1, -1]
    centred = first - total * shift
    matrix = np.tril(sums[:-1, :-1] - np.outer(first, shift) - np.outer(shift, centred))
    matrix = matrix / scale[:, np.newaxis] / scale
    sums[:-1, :-1] = matrix + np.tril(matrix, -1).T
    sums[:-1, -1] = sums[-1, :-1] = centred / scale


def ray_pass(y, z, along, sample_weight, length):
    """Do as the kernel of this name."""
    _, slope, curvature = loss_and_derivatives(y, z + length * along)
    along_share = sample_weight * along
    return float(along_share @ slope), float((along_share * along) @ curvature)


def coordinate_descent(matrix, l1, u, gradient, n_sweeps, share):
    """Do as the kernel of this name."""
    gained = last = 0.0
    for _ in range(n_sweeps):
        last = 0.0
        for j, bend in enumerate(np.diag(matrix)):
            if bend > 0:
                to = u[j] - gradient[j] / bend
                moved = np.sign(to) * max(abs(to) - l1[j] / bend, 0.0)
            elif abs(gradient[j]) <= l1[j]:
                moved = 0.0
            else:
                continue
            step = moved - u[j]
            last -= step * (gradient[j] + bend * step / 2) + l1[j] * (abs(moved) - abs(u[j]))
            u[j] = moved
            gradient += step * matrix[j]
        gained += last
        if last <= share * gained:
            break
    return gained, last


def csc_column_moments(data, indices, indptr, columns, weight, first, second):
    """Do as the kernel of this name."""
    for k, column in enumerate(columns):
        stored = slice(indptr[column], indptr[column + 1])
        first[k] = weight[indices[stored]] @ data[stored]
        second[k] = weight[indices[stored]] @ np.square(data[stored])


def csc_coordinate_descent(
    data, indices, indptr, columns, weight, first, bend, l2, l1, gradient, start, total, every, u,
    moved, state,
):  # fmt: skip
    """Do as the kernel of this name."""
    gained = 0.0
    for k, column in enumerate(columns):
        if not every and u[k] == 0:
            continue
        stored = slice(indptr[column], indptr[column + 1])
        rows, x = indices[stored], data[stored]
        slope = gradient[k] + state[0] * first[k] + l2[k] * (u[k] - start[k]) + moved[rows] @ x
        if bend[k] > 0:
            to = u[k] - slope / bend[k]
            to = np.sign(to) * max(abs(to) - l1[k] / bend[k], 0.0)
        elif abs(slope) <= l1[k]:
            to = 0.0
        else:
            continue
        step = to - u[k]
        gained -= step * (slope + bend[k] * step / 2) + l1[k] * (abs(to) - abs(u[k]))
        u[k] = to
        moved[rows] += step * weight[rows] * x
        state[1] += step * first[k]
        state[0] = -state[1] / total
    return gained
