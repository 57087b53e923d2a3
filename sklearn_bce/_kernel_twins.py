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
    if fit_intercept:
        b -= eta * gradient_b
    state[:] = b, scale
    return float(sample_weight * binary_cross_entropy(y, z))


def dense_pass(X, y, sample_weight, order, w, state, eta, l2, fit_intercept):
    """Do as the kernel of this name."""
    every = slice(None)
    return sum(
        _visit(X[i], every, y[i], sample_weight[i], w, state, eta, l2, fit_intercept) for i in order
    )


def csr_pass(data, indices, indptr, y, sample_weight, order, w, state, eta, l2, fit_intercept):
    """Do as the kernel of this name."""
    loss = 0.0
    for i in order:
        row = slice(indptr[i], indptr[i + 1])
        loss += _visit(
            data[row], indices[row], y[i], sample_weight[i], w, state, eta, l2, fit_intercept
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


def dense_gram(X, weight, gram):
    """Do as the kernel of this name."""
    weighted = X.astype(np.float64) * np.sqrt(weight)[:, np.newaxis]
    gram[: X.shape[1], : X.shape[1]] += np.tril(weighted.T @ weighted)


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


def csr_gram(data, indices, indptr, weight, gram):
    """Do as the kernel of this name."""
    X = _csr(data, indices, indptr, len(gram))
    gram += np.tril((X.T @ X.multiply(weight[:, np.newaxis])).toarray())


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
