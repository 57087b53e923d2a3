"""The loops of ``_kernels.pyx`` in NumPy, through the functions of the derivation.

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


def csr_gram(data, indices, indptr, weight, gram):
    """Do as the kernel of this name."""
    X = csr_array((data, indices, indptr), shape=(len(weight), len(gram)))
    weighted = csr_array((data * np.repeat(weight, np.diff(indptr)), indices, indptr), X.shape)
    gram += np.tril((X.T @ weighted).toarray())


def loss_pass(y, z, sample_weight, slope, curvature):
    """Do as the kernel of this name."""
    loss, slope[:], curvature[:] = loss_and_derivatives(y, z)
    slope *= sample_weight
    curvature *= sample_weight
    return float(np.sum(sample_weight * loss))


def dense_gram(Z, weight, scratch, gram):
    """Do as the kernel of this name."""
    np.multiply(Z, np.sqrt(weight)[:, np.newaxis], out=scratch)
    gram += scratch.T @ scratch


def ray_pass(y, z, along, sample_weight, length):
    """Do as the kernel of this name."""
    _, slope, curvature = loss_and_derivatives(y, z + length * along)
    along_share = sample_weight * along
    return float(along_share @ slope), float((along_share * along) @ curvature)
