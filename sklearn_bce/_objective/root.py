"""A triangular root of the matrix AᵀA: the factor R of A = QR, from the rows of A by blocks.

R has the singular values of A. They are lost in AᵀA itself where their ratio to the largest one is
below 1e-8, the root of the rounding error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import hstack, issparse

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.rows import BLOCK_ELEMENTS, divided_by
from sklearn_bce._objective.scaling import MAX_OFF_CENTRE, Coordinates

Matrix = NDArray[np.float64]

# Rows of a block, for each column: a block of 4p rows is factorised together with the p rows of the
# factor so far, in 5/4 of the operations of one large matrix. [a choice]
ROWS_PER_COLUMN = 4


@dataclass(frozen=True, eq=False)
class TriangularRoot:
    """A matrix R with RᵀR = AᵀA; the roots of two sets of rows can be added.

    Attributes
    ----------
    R : ndarray of shape (n, size), float64, n <= size
        The upper triangular, or trapezoidal, factor of the QR factorisation of A. The signs of its
        rows are arbitrary.
    """

    R: Matrix

    def __add__(self, other: TriangularRoot) -> TriangularRoot:
        """Return the root of the rows of both sets together."""
        return triangular_root(np.concatenate([self.R, other.R]))


def triangular_root(rows: Matrix) -> TriangularRoot:
    """Return the root of rows, by Householder reflections of the rows sorted by size.

    Large rows first: a small row then keeps digits of its own beside rows that are many orders of
    magnitude larger.

    Parameters
    ----------
    rows : ndarray of shape (n, size), float64
        Rows, which are finite.

    References
    ----------
    N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition, 2002, section 19.4.
    """
    n, size = rows.shape
    if not n:
        return TriangularRoot(np.zeros((0, size)))
    by_size = np.argsort(-np.max(np.abs(rows), axis=1), kind="stable")
    return TriangularRoot(np.linalg.qr(rows[by_size], mode="r"))


def root_of_blocks(blocks: Iterable[Matrix], size: int) -> TriangularRoot:
    """Return the root of the rows of all blocks, each an ndarray of shape (n, size)."""
    return reduce(add, map(triangular_root, blocks), TriangularRoot(np.zeros((0, size))))


def row_matrix(
    X: Any,
    coordinates: Coordinates,
    rows: NDArray[np.intp] | None = None,
    length: int | None = None,
) -> Iterator[tuple[Any, Matrix]]:
    """Yield blocks of rows of Z = [(X − μ)/σ, 1]: their indices and an array of shape (n, size).

    The arrays are new, in float64, whatever X is. Without an intercept there is no column of ones.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples.
    coordinates : Coordinates
        μ, σ and whether there is an intercept.
    rows : ndarray of shape (n_rows,), intp, default=None
        Indices of the rows to take. None means all; the indices of a block are then a slice.
    length : int or None, default=None
        Number of rows of a block; None means as many as a factorisation of the block should have.
    """
    n_features, n_rows = X.shape[1], X.shape[0] if rows is None else len(rows)
    if length is None:
        length = max(ROWS_PER_COLUMN * n_features, BLOCK_ELEMENTS // n_features, 1)
    for start in range(0, n_rows, length):
        block_rows: Any = slice(start, min(start + length, n_rows))
        if rows is not None:
            block_rows = rows[block_rows]
        block = X[block_rows].toarray() if issparse(X) else X[block_rows]
        Z = np.empty((len(block), coordinates.size))
        if block.dtype == np.float64:
            kernels().standardise(block, coordinates.shift, coordinates.scale, Z)
        else:
            Z[:, :n_features] = (block - coordinates.shift) / coordinates.scale
        Z[:, n_features:] = 1.0
        yield block_rows, Z


def rows_for_products(
    X: Any, coordinates: Coordinates, vectors: Matrix
) -> tuple[Matrix, Iterator[tuple[slice, Any]]]:
    """Return vectors of θ, and blocks of rows of Z as `row_matrix` yields them, for products.

    For sparse X they are those of coordinates without a shift, in which the rows are sparse, unless
    a column is so far from 0 that products would lose too many digits.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples.
    coordinates : Coordinates
        Coordinates of θ.
    vectors : ndarray of shape (size,) or (size, n), float64
        Values, or changes, of θ; not changed.

    Returns
    -------
    vectors : ndarray of the same shape, float64
        The vectors in the coordinates of the rows, in which only the intercept is another one.
    blocks : iterator of (slice, ndarray or CSR of shape (n_rows, size), float64)
        Indices of rows, and the rows.
    """
    means = coordinates.shift / coordinates.scale
    if not issparse(X) or np.max(np.abs(means)) > MAX_OFF_CENTRE[np.dtype(np.float64)]:
        return vectors, row_matrix(X, coordinates)
    others = np.ones((X.shape[0], coordinates.size - X.shape[1]))
    Z = hstack([divided_by(X.astype(np.float64, copy=False), coordinates.scale), others], "csr")
    if coordinates.fit_intercept:
        vectors = np.concatenate([vectors[:-1], vectors[-1:] - means @ vectors[:-1]])
    return vectors, iter([(slice(0, X.shape[0]), Z)])


def curvature_root(part: Any, theta: Vector) -> list[TriangularRoot]:
    """Return the root of Zᵀ diag(p a(1−a)) Z at θ, for the samples of an objective.

    Parameters
    ----------
    part : InMemoryObjective
        An objective in the coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ.
    """

    def weighted() -> Iterator[Matrix]:
        for rows, Z in row_matrix(part.X, part.coordinates):
            z = part.linear_outputs_of(rows, Z, theta)
            yield np.sqrt(part.curvature_of_outputs(z, rows))[:, None] * Z

    return [root_of_blocks(weighted(), len(theta))]
