"""Ways to minimise Newton's quadratic model gᵀd + ½dᵀHd, and the choice between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf, dpotrs
from scipy.sparse import issparse

from sklearn_bce._coordinates import Vector
from sklearn_bce._objective import Objective, Point


@dataclass(frozen=True)
class Step:
    """A minimiser of the quadratic model, exact or not.

    Attributes
    ----------
    vector : ndarray of shape (size,)
        d.
    decrement : float
        λ² = −gᵀd, twice what the model gains.
    along : ndarray of shape (n_samples,) or None
        Z·d, where finding d has given it.
    """

    vector: Vector
    decrement: float
    along: Vector | None = None


FindStep = Callable[[Objective, Point], Step]

# Nanoseconds, measured on one core of a 2.6 GHz Xeon with OpenBLAS; only their ratios matter.
GRAM_COST = 0.05  # a product of two elements in Σ hxxᵀ, dense
SPARSE_GRAM_COST = 0.6  # the same, of the stored values of a row (of which half are made)
DENSE_PASS_COST = 0.5  # an element in a pass z = Xw, Xᵀr
SPARSE_PASS_COST = 3.0  # a stored value in the same
FACTOR_COST = 0.1  # a product of two elements in a Cholesky factorisation
# Steps of Newton's method, and products of conjugate gradients over all of them, that a fit takes.
TYPICAL_STEPS = 8
TYPICAL_PRODUCTS = 60


def choose_step(problem: Objective) -> tuple[FindStep, bool]:
    """Return the cheaper way to find a step, and whether it needs the matrix H."""
    n, size = problem.n_samples, problem.coordinates.size
    if issparse(problem.X):
        one_pass = SPARSE_PASS_COST * problem.X.nnz
        row_lengths = np.diff(problem.X.indptr).astype(np.float64)
        gram = SPARSE_GRAM_COST * float(row_lengths @ row_lengths)
    else:
        one_pass = DENSE_PASS_COST * n * size
        gram = GRAM_COST * n * size**2
    exact = TYPICAL_STEPS * (one_pass + gram + FACTOR_COST * size**3 / 3)
    iterative = (TYPICAL_STEPS + TYPICAL_PRODUCTS) * one_pass
    return (by_factorisation, True) if exact <= iterative else (by_conjugate_gradients, False)


def by_factorisation(problem: Objective, point: Point) -> Step:
    """Solve H d = −g by Cholesky's factorisation of the matrix H."""
    vector = -solve_positive(point.hessian, point.gradient)
    return Step(vector, float(-point.gradient @ vector))


def solve_positive(matrix: NDArray[Any], rhs: Vector) -> Vector:
    """Return matrix⁻¹ rhs, for a symmetric matrix that is positive semidefinite up to rounding.

    A matrix that is singular in floating point is made regular by a multiple of its own diagonal,
    as small as will do: that changes the answer only where the matrix says nothing.
    """
    # Columns in other units, and penalties upon them, are no reason to call a matrix singular.
    diagonal = np.diag(matrix)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    equilibrated = matrix * unit * unit[:, np.newaxis]
    # A square on the diagonal of the Cholesky factor below this is rounding, not information.
    floor = len(rhs) * np.finfo(np.float64).eps
    regular = 0.0
    while regular < 1.0:
        trial = equilibrated + regular * np.eye(len(rhs)) if regular else equilibrated
        factor, failed_at = dpotrf(trial, lower=1, clean=0)
        if not failed_at and np.all(np.square(np.diag(factor)) > floor):
            return unit * dpotrs(factor, unit * rhs, lower=1)[0]
        regular = max(100 * regular, 4 * floor)
    return unit * unit * rhs  # overflow has left numbers in the matrix that are none


def by_conjugate_gradients(problem: Objective, point: Point) -> Step:
    """Solve H d = −g approximately, by products with H alone, preconditioned by its diagonal.

    Iterations end when the last one added less to what the model gains than its share of the whole
    (Nash and Sofer's test); the share falls with the decrement, so that the last steps of Newton's
    method are as good as exact. No test here depends on the units of a feature.

    References
    ----------
    S. G. Nash and A. Sofer, "Assessing a Search Direction within a Truncated-Newton Method",
    Operations Research Letters 9 (1990), equation 5.
    """
    diagonal = problem.curvature_diagonal(point)
    inverse = 1.0 / np.where(diagonal > 0, diagonal, 1.0)
    vector, along = np.zeros_like(point.theta), np.zeros_like(point.z)
    residual = -point.gradient
    preconditioned = inverse * residual
    conjugate = preconditioned
    energy = float(residual @ preconditioned)
    gained = 0.0  # by the model so far: ½λ²
    for iteration in range(1, 10 * len(vector) + 1):
        if energy <= 0:
            break
        product, conjugate_along = problem.curvature_product(point, conjugate)
        bend = float(conjugate @ product)
        if bend <= 0:  # nothing to go by: H is positive semidefinite, so 0 but for rounding
            gained = gained if np.any(vector) else np.inf
            break
        length = energy / bend
        vector += length * conjugate
        along += length * conjugate_along
        residual = residual - length * product
        gain = length * energy / 2
        gained += gain
        if iteration * gain <= _share_to_ignore(gained) * gained:
            break
        preconditioned = inverse * residual
        energy, previous = float(residual @ preconditioned), energy
        conjugate = preconditioned + energy / previous * conjugate
    return Step(vector, 2 * gained, along)


def _share_to_ignore(gained: float) -> float:
    """Return the share of the model's gain that may be missed: 1/2 far from the minimum."""
    return float(np.clip(np.sqrt(gained), 0.01, 0.5))


def distance_from_minimum(objective: Objective, w: Vector, b: float) -> float:
    """Return an estimate of F(w, b) − min F, in nats, by the quadratic model there."""
    problem = objective.standardised()
    find_step, needs_hessian = choose_step(problem)
    point = problem.evaluate(problem.coordinates.from_user(w, b), hessian=needs_hessian)
    return min(find_step(problem, point).decrement / 2, point.value)  # F is never below 0
