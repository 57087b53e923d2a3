"""Inverses of the curvature H, as products with a vector.

- `CholeskyFactor`: by a factorisation of the matrix.
- `LBFGSInverse`: any inverse, corrected by the changes of the gradient along later steps.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy
from scipy.linalg.lapack import dpotrf, dpotrs

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import all_blas_threads
from sklearn_bce._objective.rows import norms_of_rows
from sklearn_bce._objective.triangular import solve_triangular
from sklearn_bce._solvers.base import EPSILON

# Number of rows of a matrix up to which BLAS factorises on one thread. A matrix of this size takes
# 30 ms (0.03·1000³ ns, see `cost`), and waiting for other threads of BLAS can take as long:
# python -m benchmarks.tuning ONE_THREAD_SIZE
ONE_THREAD_SIZE = 1000
# Secant pairs, of a step and the change of the gradient, that L-BFGS keeps. Nocedal and Wright,
# section 7.2, recommend 3 to 20. python -m benchmarks.tuning LBFGS_PAIRS
LBFGS_PAIRS = 10
# Multiple of the rounding error of a pivot above which the pivot is trusted: its relative error is
# then at most a hundredth. The rounding error of a pivot is at most the number of columns times
# that of an entry. [a choice]
TRUSTED_PIVOT = 100.0
# Factor by which the multiple of the diagonal that is added to a singular matrix grows in each
# attempt: from 4ε to 1 there are at most eight factorisations. [a choice]
REGULARISATION_GROWTH = 100


class CholeskyFactor:
    """The inverse of a symmetric, positive semidefinite matrix by its Cholesky factorisation.

    If the matrix is singular in floating point, a multiple of its diagonal is added, the smallest
    one with which the factorisation succeeds. The inverse then differs only in the directions in
    which the matrix is zero up to rounding: there it is too small.

    Parameters
    ----------
    matrix : ndarray of shape (size, size), float64, C order
        The matrix; overwritten by its factor.
    rounding : float, default=ε
        Relative rounding error of the entries of the matrix.
    may_be_singular : bool, default=False
        Whether to add a multiple of the diagonal in the first attempt already. That saves an
        attempt for singular matrices, and changes the result by rounding for others.

    Attributes
    ----------
    is_trusted : bool
        Whether no multiple of the diagonal was added, and each pivot is above its rounding error by
        the factor ``TRUSTED_PIVOT`` and more. A pivot, the square of a diagonal entry of the
        factor, is what is left of a diagonal entry of the matrix after the other columns are
        eliminated.
    """

    def __init__(
        self, matrix: NDArray[Any], rounding: float = EPSILON, may_be_singular: bool = False
    ) -> None:
        size = len(matrix)
        given = matrix.ravel()[:: size + 1]
        if not may_be_singular:
            given[given == 0] = 1.0  # the row is 0: the column is constant, and has no effect
        given = given.copy()
        self._diagonal = np.where(given > 0, given, 1.0)
        # A matrix is singular if a pivot is below this fraction of the diagonal entry of the
        # matrix. The ratio does not depend on the units of the columns.
        floor = size * EPSILON
        multiple, is_factor = 4 * floor if may_be_singular else 0.0, False
        self._factor, self.is_trusted = None, False
        while multiple < 1.0 and self._factor is None:
            if is_factor:  # LAPACK has overwritten one triangle; restore it from the other
                matrix = np.tril(matrix, -1)
                matrix += matrix.T
            if multiple:
                matrix.ravel()[:: size + 1] = given + multiple * self._diagonal
            with all_blas_threads() if size > ONE_THREAD_SIZE else nullcontext():
                # The transpose of the symmetric matrix is the same matrix in Fortran order.
                factor, failed_at = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
            pivots = np.square(factor.diagonal())
            if not failed_at and (pivots > floor * self._diagonal).all():
                self._factor = factor
                trusted = TRUSTED_PIVOT * size * rounding * self._diagonal
                self.is_trusted = not multiple and bool((pivots > trusted).all())
            multiple, is_factor = max(REGULARISATION_GROWTH * multiple, 4 * floor), True

    def __call__(self, vector: Vector) -> Vector:
        """Return the product of the inverse with a vector of shape (size,), a new array.

        If the matrix has elements that are not finite, the vector is divided by the diagonal.
        """
        if self._factor is None:
            return vector / self._diagonal
        return dpotrs(self._factor, vector, lower=1)[0]

    def norms(self, rows: NDArray[np.float64]) -> Vector:
        """Return √(zᵀ·inverse·z) of each row z of an array of shape (n, size)."""
        if self._factor is None:
            return np.full(len(rows), np.inf)
        if len(rows) < len(self._factor):
            half = solve_triangular(self._factor, rows.T, lower=True, check_finite=False).T
        else:  # with the root, which many rows repay, half the time
            half = rows @ self.inverse_root
        return norms_of_rows(half)

    @cached_property
    def inverse_root(self) -> NDArray[np.float64]:
        """R with inverse = RRᵀ, of shape (size, size), upper triangular.

        It is diagonal if the matrix has elements that are not finite.
        """
        if self._factor is None:
            return np.diag(self._diagonal**-0.5)
        return solve_triangular(
            self._factor, np.eye(len(self._factor)), trans=1, lower=True, check_finite=False
        )


class LBFGSInverse:
    """The inverse of an approximation of H, corrected by the secant pairs of L-BFGS.

    Parameters
    ----------
    inverse : callable (vector) -> vector
        The product of a vector of shape (size,) with the inverse to begin with, a new array.

    References
    ----------
    J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006, algorithm 7.4.
    """

    def __init__(self, inverse: Callable[[Vector], Vector]) -> None:
        self.inverse = inverse
        self._pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=LBFGS_PAIRS)

    def add_secant_pair(self, step: Vector, change: Vector) -> None:
        """Add a step and the change of the gradient along the step; changes self.

        A pair along which the gradient does not rise, so that stepᵀchange <= 0, is ignored. If
        ``LBFGS_PAIRS`` pairs are kept already, the oldest one is dropped.
        """
        curvature_along = float(step @ change)
        if curvature_along > 0:
            self._pairs.append((step, change, curvature_along))

    def __call__(self, vector: Vector) -> Vector:
        """Return the product of the corrected inverse with a vector, a new array."""
        rest, factors = vector.copy(), []
        for step, change, curvature_along in reversed(self._pairs):
            factors.append(float(step @ rest) / curvature_along)
            rest = daxpy(change, rest, a=-factors[-1])  # in place: a product would be a new array
        product = self.inverse(rest)
        for (step, change, curvature_along), factor in zip(
            self._pairs, reversed(factors), strict=True
        ):
            product = daxpy(step, product, a=factor - float(change @ product) / curvature_along)
        return product
