"""The triangular factor of samples, by Householder reflections, and samples as dense blocks of Z.

- `TriangularRoot`: R with RᵀR = AᵀA of a matrix A whose rows come in blocks or in parts.
- `row_matrix`: the blocks of Z = [(X − μ)/σ, 1], in float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dgeqrf
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.rows import BLOCK_ELEMENTS
from sklearn_bce._objective.scaling import Coordinates

# Rows of a block, for each column: a block of 4p rows is factorised together with the p rows of the
# factor so far, in 5/4 of the operations of one large matrix. [a choice]
ROWS_PER_COLUMN = 4


@dataclass(frozen=True)
class TriangularRoot:
    """Upper triangular R with RᵀR = AᵀA; the roots of two sets of rows can be added.

    R has the condition of A, where the matrix AᵀA has its square. Before each factorisation the
    rows are sorted by size, so that small rows keep their precision beside large ones.

    Attributes
    ----------
    matrix : ndarray of shape (n, size), float64
        R, with n <= size rows.

    References
    ----------
    A. J. Cox and N. J. Higham, "Stability of Householder QR Factorization for Weighted Least
    Squares Problems", Numerical Analysis 1997.
    """

    matrix: NDArray[np.float64]

    @classmethod
    def of(cls, rows: NDArray[np.float64]) -> TriangularRoot:
        """Return the root of a matrix A of shape (n_rows, size), which must be finite."""
        norm = np.linalg.norm(rows, axis=0)
        size = np.max(np.abs(rows) / np.where(norm > 0, norm, 1.0), axis=1, initial=0.0)
        rows = np.asfortranarray(rows[np.argsort(-size, kind="stable")])
        factor = dgeqrf(rows, overwrite_a=1)[0]
        return cls(np.triu(factor[: rows.shape[1]]))

    def __add__(self, other: TriangularRoot) -> TriangularRoot:
        """Return the root of the rows of both together."""
        return TriangularRoot.of(np.vstack([self.matrix, other.matrix]))


def row_matrix(X: Any, coordinates: Coordinates) -> Iterator[tuple[slice, NDArray[np.float64]]]:
    """Yield blocks of rows of Z = [(X − μ)/σ, 1]: a slice and an array of shape (n, size).

    The arrays are new, in float64, whatever X is. Without an intercept there is no column of ones.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples.
    coordinates : Coordinates
        μ, σ and whether there is an intercept.
    """
    n_rows, n_features = X.shape
    length = max(ROWS_PER_COLUMN * n_features, BLOCK_ELEMENTS // n_features, 1)
    for start in range(0, n_rows, length):
        rows = slice(start, min(start + length, n_rows))
        block = X[rows].toarray() if issparse(X) else X[rows]
        Z = np.ones((len(block), coordinates.size))
        Z[:, :n_features] = (block - coordinates.shift) / coordinates.scale
        yield rows, Z


def curvature_root(part: Any, theta: Vector) -> list[TriangularRoot]:
    """Return the root of Zᵀ diag(p a(1−a)) Z at θ, for the samples of an objective.

    Parameters
    ----------
    part : InMemoryObjective
        An objective in the coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ.
    """
    total = TriangularRoot(np.zeros((0, len(theta))))
    for rows, Z in row_matrix(part.X, part.coordinates):
        h = part.curvature_of_outputs(Z @ theta, rows)
        total += TriangularRoot.of(np.sqrt(h)[:, None] * Z)
    return [total]
