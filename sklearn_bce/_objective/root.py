"""A triangular root of the matrix AᵀA: the factor R of A = QR, from the rows of A by blocks.

R has the singular values of A. They are lost in AᵀA itself where their ratio to the largest one is
below 1e-8, the root of the rounding error.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


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
