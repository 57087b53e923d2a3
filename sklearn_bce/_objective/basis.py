"""A basis of the weights in which the curvature of F at one point is the identity.

Columns that nearly depend on each other, such as the two ends of an interval in epoch seconds or
the powers of a number, make the matrix H nearly singular. H is the square of the samples, and so is
its condition: what is left of a column after the others are eliminated is lost in H if it is below
1e-8 of the column, the root of the rounding of float64. The triangular factor R of the weighted
samples, RᵀR = H, by Householder reflections is not squared. A `Basis` has the coordinates v with
θ = Bv, in which H is the identity at the point where R was made and the penalty is diagonal; the
samples ZB in these coordinates are formed once.

References
----------
G. H. Golub and C. F. Van Loan, "Matrix Computations", 4th edition, 2013, sections 5.2 (Householder
reflections), 5.4 (column pivoting) and 8.7 (simultaneous diagonalisation).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, svd

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.root import row_matrix
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._objective.triangular import solve_triangular

# Multiple of size·ε below which a diagonal entry of the factor R, of columns of norm 1, is lost in
# rounding. Measured on columns that depend on each other exactly, such as a full one-hot encoding
# with an intercept: at most 1.2 of it. tests/test_basis.py::test_columns_that_depend_are_lost
LOST_PIVOT = 10.0


def lost_below(size: int) -> float:
    """Return the diagonal entry of a factor of columns of norm 1 up to which it is lost."""
    return LOST_PIVOT * size * float(np.finfo(np.float64).eps)


def rank_of(R: NDArray[np.float64]) -> int:
    """Return the rank of a triangular factor with pivoting, of columns of norm 1."""
    is_kept = np.abs(np.diagonal(R)) > lost_below(R.shape[1])
    return len(is_kept) if is_kept.all() else int(np.argmin(is_kept))


class Kernel(NamedTuple):
    """Changes of θ along which the outputs of the samples do not change, up to rounding.

    Attributes
    ----------
    vectors : ndarray of shape (size, n), float64
        The changes, one in each column: one for each column of Z that depends on the others.
    kept, lost : ndarray of shape (rank,) and (n,), intp
        Entries of θ whose columns do not depend on each other, and those that depend on them.
    unit : ndarray of shape (size,), float64
        1 divided by the norms of the weighted columns, to which changes of θ are relative.
    error : float
        Error of the entries of a change, in these units and as a fraction of the largest entry.
    """

    vectors: NDArray[np.float64]
    kept: NDArray[np.intp]
    lost: NDArray[np.intp]
    unit: Vector
    error: float

    @classmethod
    def of(
        cls,
        first: NDArray[np.float64],
        others: NDArray[np.float64],
        order: Any,
        unit: Vector,
        rounding: float,
    ) -> Kernel:
        """Return the kernel of a triangular factor with pivoting, of columns of norm 1.

        Parameters
        ----------
        first : ndarray of shape (rank, rank), float64
            Factor of the columns that are kept.
        others : ndarray of shape (rank, n), float64
            The other columns in the same coordinates.
        order : ndarray of shape (rank + n,), intp
            Indices of the columns.
        unit : ndarray of shape (rank + n,), float64
            See the attribute.
        rounding : float
            Rounding of the entries of the factor.
        """
        rank = len(first)
        kept, lost = order[:rank], order[rank:]
        vectors = np.zeros((len(order), len(lost)))
        entries = solve_triangular(first, others)
        # An entry of rounding would matter where penalties differ by more than 1/ε, as units do.
        entries[np.abs(entries) <= lost_below(len(order))] = 0.0
        vectors[lost] = np.diag(unit[lost])
        vectors[kept] = -unit[kept, None] * entries
        least = np.min(np.abs(np.diagonal(first)), initial=1.0)
        return cls(vectors, kept, lost, unit, len(order) * rounding / float(least))


@dataclass(frozen=True)
class Basis:
    """Coordinates v of the weights, in which the curvature at one point is the identity.

    Attributes
    ----------
    coordinates : Coordinates
        Shift and scale of θ.
    matrix : ndarray of shape (size, rank), float64
        B: θ = Bv are weights with the coordinates v.
    inverse : ndarray of shape (rank, size), float64
        v = inverse·θ.
    kernel : Kernel
        Changes of θ that the basis leaves out.
    strengths : ndarray of shape (rank,), float64
        λ of the penalty ½ Σ λv² in these coordinates.
    l2 : ndarray of shape (size,), float64
        λ of the penalty in the coordinates of θ, 0 for the intercept.
    least_pivot : float
        Least diagonal entry of the factor R of columns of norm 1 that is not lost.
    """

    coordinates: Coordinates
    matrix: NDArray[np.float64]
    inverse: NDArray[np.float64]
    kernel: Kernel
    strengths: Vector
    l2: Vector
    least_pivot: float

    @classmethod
    def of(cls, coordinates: Coordinates, root: NDArray[np.float64], l2: Vector) -> Basis:
        """Return the basis of a triangular factor of the curvature.

        Parameters
        ----------
        coordinates : Coordinates
            Coordinates of θ.
        root : ndarray of shape (n, size), float64
            R with RᵀR = Zᵀ diag(h) Z, the curvature of the loss.
        l2 : ndarray of shape (n_features,), float64
            λ in the coordinates of θ.
        """
        size = root.shape[1]
        l2 = np.append(l2, np.zeros(size - len(l2)))
        stacked = np.vstack([root, np.diag(np.sqrt(l2))])
        norm = np.linalg.norm(stacked, axis=0)
        norm[norm == 0] = 1.0
        R, order = qr(stacked / norm, mode="r", pivoting=True)
        rank = rank_of(R)
        R = R[:rank]
        first, others = R[:, :rank], R[:, rank:]
        unit = 1 / norm
        # The right singular vectors of √Λ·R⁻¹ make the penalty diagonal.
        inverse_root = unit[order[:rank], None] * solve_triangular(first, np.eye(rank))
        singular, rotation = np.zeros(0), np.zeros((0, 0))
        if rank:  # SciPy 1.11 does not decompose an empty matrix
            _, singular, rotation = svd(np.sqrt(l2[order[:rank]])[:, None] * inverse_root)
        matrix = np.zeros((size, rank))
        matrix[order[:rank]] = inverse_root @ rotation.T
        inverse = np.zeros((rank, size))
        inverse[:, order] = rotation @ R * norm[order]
        kernel = Kernel.of(first, others, order, unit, float(np.finfo(np.float64).eps))
        least = abs(float(R[-1, rank - 1])) if rank else 1.0
        return cls(coordinates, matrix, inverse, kernel, np.square(singular), l2, least)

    @property
    def rank(self) -> int:
        """Number of coordinates."""
        return self.matrix.shape[1]

    def rows(self, X: Any) -> NDArray[np.float64]:
        """Return ZB, of shape (n_samples, rank), for samples X, an array or a CSR matrix."""
        rows = np.empty((X.shape[0], self.rank))
        for block, Z in row_matrix(X, self.coordinates):
            rows[block] = Z @ self.matrix
        return rows

    def norms(self, rows: NDArray[np.float64]) -> Vector:
        """Return √(zᵀH⁻¹z) of each row z, of shape (size,), without the columns left out."""
        return np.linalg.norm(rows @ self.matrix, axis=1)

    def from_theta(self, theta: Vector) -> Vector:
        """Return v of the weights θ."""
        return self.inverse @ theta

    def to_theta(self, v: Vector) -> Vector:
        """Return the weights θ with the coordinates v.

        Of all weights with the same outputs, the result has the least penalty, or the least norm if
        a weight has no penalty.
        """
        theta = self.matrix @ v
        kernel = self.kernel.vectors
        if not kernel.shape[1]:
            return theta
        features = self.l2[: len(self.coordinates.scale)]
        norm = np.sqrt(self.l2) if (features > 0).all() else np.ones_like(theta)
        along, *_ = np.linalg.lstsq(norm[:, None] * kernel, norm * theta, rcond=None)
        return theta - kernel @ along
