"""Least squares and null space of rows from their triangular root, with the rank revealed.

- `Basis`: directions of θ, with bounds of their rounding errors.
- `RankRevealing`: a QR factorisation with pivoted columns, which tells the rank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.root import Matrix
from sklearn_bce._objective.triangular import solve_triangular

# Rounding error of an output Σ zⱼvⱼ, as a fraction of Σ |zⱼvⱼ|, and of a pivot, as a fraction of
# its column: 32 units in the last place, more than the sums of some hundred terms have.
# tests/test_separation.py::test_an_exact_linear_program_agrees
ROUNDING = 32 * np.finfo(np.float64).eps
# Error of a column after Householder reflections, as a fraction of the length of the column and in
# units of ``ROUNDING``. Outputs of 10 000 samples that are all 0 have left 0.2. [a choice]
REFLECTED = 0.25
# Condition number of the outputs of samples in a basis up to which the basis is used as it is. With
# others a linear program, whose tolerance is 1e-7, loses digits. [a choice]
WELL_CONDITIONED_BASIS = 100.0


class Basis(NamedTuple):
    """Directions of θ, the columns of N, with bounds of their rounding errors.

    Attributes
    ----------
    N : ndarray of shape (size, k), float64
        The directions.
    E : ndarray of shape (size, k), float64
        Bounds: the error of the output zᵀn of a direction n is at most ``ROUNDING`` times |z|ᵀe.
    """

    N: Matrix
    E: Matrix

    def times(self, T: Matrix) -> Basis:
        """Return the directions N·T, for T of shape (k, any)."""
        return Basis(self.N @ T, self.E @ np.abs(T))

    def in_units(self, unit: Vector) -> Basis:
        """Return the directions for columns of Z that are multiplied by the units.

        The largest entry of each direction is 1.
        """
        basis = Basis(self.N / unit[:, None], self.E / unit[:, None])
        return basis.times(np.diag(1 / np.max(np.abs(basis.N), axis=0, initial=0.0)))

    def outputs(self, rows: Matrix) -> tuple[Matrix, Vector]:
        """Return the outputs of rows in the directions, and the size of their rounding errors.

        Outputs that may be due to rounding are 0.

        Parameters
        ----------
        rows : ndarray of shape (n, size)
            Rows z.

        Returns
        -------
        A : ndarray of shape (n, k)
            The outputs rows·N.
        error : ndarray of shape (n,)
            The largest error of the outputs of each row, divided by ``ROUNDING``; above 0.
        """
        A, error = rows @ self.N, np.abs(rows) @ self.E
        A[np.abs(A) <= ROUNDING * error] = 0.0
        return A, largest_of_rows(error)


def largest_of_rows(A: Matrix) -> Vector:
    """Return the largest absolute entry of each row; 1 for a row of zeros."""
    largest = np.max(np.abs(A), axis=1, initial=0.0)
    return np.where(largest > 0, largest, 1.0)


class RankRevealing(NamedTuple):
    """The factorisation A = QRPᵀD with a permutation P and units D of the columns.

    Attributes
    ----------
    Q : ndarray of shape (n, m), float64
        Orthonormal columns.
    R : ndarray of shape (m, size), float64
        Upper triangle with a falling diagonal.
    order : ndarray of shape (size,), int
        The columns of A in the order of R.
    unit : ndarray of shape (size,), float64
        D.
    rank : int
        Number of independent columns: the first ones of R.
    """

    Q: Matrix
    R: Matrix
    order: NDArray[np.intp]
    unit: Vector
    rank: int

    @classmethod
    def of(cls, A: Matrix, unit: Vector | None = None) -> RankRevealing:
        """Return the factorisation of A, of shape (n, size).

        ``unit`` has the size of each column of A whose rounding error is ``ROUNDING``; None means
        the length of the column. It is at least the size whose rounding error is that of the
        factorisation.
        """
        norm = np.linalg.norm(A, axis=0)
        if unit is None:
            unit = np.where(norm > 0, norm, 1.0)
        unit = np.maximum(unit, REFLECTED * norm)
        if not A.size:
            return cls(np.zeros((len(A), 0)), A[:0], np.arange(A.shape[1]), unit, 0)
        Q, R, order = qr(A / unit, mode="economic", pivoting=True, check_finite=False)
        rank = int(np.sum(np.abs(R.diagonal()) > ROUNDING * np.sqrt(A.shape[1])))
        return cls(Q, R, order, unit, rank)

    def solve(self, target: Vector) -> Vector:
        """Return d, of shape (size,), that minimises ‖Ad − target‖; 0 for dependent columns."""
        d, k = np.zeros(len(self.unit)), self.rank
        if k:
            along = self.Q.T[:k] @ target
            d[self.order[:k]] = solve_triangular(self.R[:k, :k], along, check_finite=False)
        return d / self.unit

    def independent(self, basis: Basis) -> Basis:
        """Return a basis without the directions whose column of A depends on others.

        A has the outputs of samples in the directions. If the columns that are left are
        ill-conditioned, the result has directions with orthonormal outputs in A instead.
        """
        k = self.rank
        T = np.zeros((len(self.unit), k))
        T[self.order[:k], np.arange(k)] = 1 / self.unit[self.order[:k]]
        R = self.R[:k, :k]
        if np.linalg.cond(R) > WELL_CONDITIONED_BASIS:
            T = solve_triangular(R, T.T, trans="T", check_finite=False).T
        return basis.times(T)

    def null_space(self) -> Basis:
        """Return the directions v with Av = 0: one for each dependent column of A.

        Such a direction has an entry for the dependent column, and entries for independent ones.
        The bounds are those of an error of one unit of rounding in each column of AD⁻¹ that is not
        zero.
        """
        size, k = len(self.unit), self.rank
        N, E = np.zeros((2, size, size - k))
        N[self.order[k:], np.arange(size - k)] = E[self.order[k:], np.arange(size - k)] = 1.0
        if k:
            inverse = solve_triangular(self.R[:k, :k], np.eye(k), check_finite=False)
            entries = -inverse @ self.R[:k, k:]
            n_units = np.sum(np.abs(entries), axis=0) + np.any(entries, axis=0)
            N[self.order[:k]] = entries
            E[self.order[:k]] = np.sum(np.abs(inverse), axis=1)[:, None] * n_units
        return Basis(N / self.unit[:, None], E / self.unit[:, None])
