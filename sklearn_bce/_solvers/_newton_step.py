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
    inverse : callable or None
        H⁻¹v of a vector v, where H has been factorised.
    """

    vector: Vector
    decrement: float
    along: Vector | None = None
    inverse: Callable[[Vector], Vector] | None = None


# Nanoseconds, measured on one core of a 2.6 GHz Xeon with OpenBLAS; only their ratios matter.
GRAM_COST = 0.05  # a product of two elements in Σ hxxᵀ, dense
SPARSE_GRAM_COST = 0.6  # the same, of the stored values of a row (of which half are made)
DENSE_PASS_COST = 0.5  # an element in a pass z = Xw, Xᵀr
SPARSE_PASS_COST = 3.0  # a stored value in the same
FACTOR_COST = 0.1  # a product of two elements in a Cholesky factorisation
# Products with H by which conjugate gradients solve for a step, where they are the right choice.
TYPICAL_PRODUCTS = 8
# What may be missed of the gain of a step that is to be the last, and what is no gain at all.
FINAL_SHARE = 0.1
NO_GAIN = 1e-10
# Above this size H itself is not formed: 1 GB.
MAX_FACTOR_SIZE = 11_000


class StepFinder:
    """Finds Newton's steps: by factorising H where that is cheaper, else by products with H.

    Whoever finds that products alone have cost as much as a factorisation would have, without a
    step to show for it, has hard columns before him: he factorises, then and from there on. That
    is never much more than twice the price of having chosen right at once.

    Parameters
    ----------
    problem : Objective
        In the coordinates of the points.
    tol : float
        Distance from the minimum, in nats, below which it matters to know it well.
    factorise : bool, default=False
        Whether H is wanted whatever it costs.
    """

    def __init__(self, problem: Objective, tol: float, factorise: bool = False) -> None:
        self.problem, self.tol = problem, tol
        one_pass, factorisation = _costs(problem)
        self.max_products = factorisation / one_pass
        if problem.coordinates.size > MAX_FACTOR_SIZE:
            self.max_products = np.inf
        self.needs_hessian = factorise or self.max_products <= TYPICAL_PRODUCTS

    def __call__(self, point: Point) -> Step:
        """Return the step from the point."""
        if not self.needs_hessian:
            step = by_conjugate_gradients(self.problem, point, self.tol, self.max_products)
            if step is not None:
                return step
            self.needs_hessian = True
        if point.hessian is None:
            point = self.problem.evaluate(point.theta, point.z, hessian=True)
        return by_factorisation(point)


def _costs(problem: Objective) -> tuple[float, float]:
    """Return what a pass over X costs, and forming and factorising H, in nanoseconds."""
    n, size = problem.n_samples, problem.coordinates.size
    if issparse(problem.X):
        one_pass = SPARSE_PASS_COST * max(problem.X.nnz, n)
        row_lengths = np.diff(problem.X.indptr).astype(np.float64)
        gram = SPARSE_GRAM_COST * float(row_lengths @ row_lengths)
    else:
        one_pass = DENSE_PASS_COST * n * size
        gram = GRAM_COST * n * size**2
    return one_pass, gram + FACTOR_COST * size**3 / 3


def by_factorisation(point: Point) -> Step:
    """Solve H d = −g by Cholesky's factorisation of the matrix H."""
    return by_inverse(point, positive_solver(point.hessian))


def by_inverse(point: Point, inverse: Callable[[Vector], Vector]) -> Step:
    """Return d = −H⁻¹g, the inverse curvature given, of this point or of one not far away."""
    vector = -inverse(point.gradient)
    return Step(vector, float(-point.gradient @ vector), inverse=inverse)


def positive_solver(matrix: NDArray[Any]) -> Callable[[Vector], Vector]:
    """Return v → matrix⁻¹v, for a symmetric matrix that is positive semidefinite up to rounding.

    A matrix that is singular in floating point is made regular by a multiple of its own diagonal,
    as small as will do: that changes the answer only where the matrix says nothing.
    """
    # Columns in other units, and penalties upon them, are no reason to call a matrix singular.
    diagonal = np.diag(matrix)
    unit = 1 / np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    equilibrated = matrix * unit * unit[:, np.newaxis]
    # A square on the diagonal of the Cholesky factor below this is rounding, not information.
    floor = len(matrix) * np.finfo(np.float64).eps
    regular = 0.0
    while regular < 1.0:
        trial = equilibrated + regular * np.eye(len(matrix)) if regular else equilibrated
        factor, failed_at = dpotrf(trial, lower=1, clean=0)
        if not failed_at and np.square(np.diag(factor)).min() > floor:
            return lambda vector: unit * dpotrs(factor, unit * vector, lower=1)[0]
        regular = max(100 * regular, 4 * floor)
    return lambda vector: unit * unit * vector  # overflow has left numbers that are none


def by_conjugate_gradients(
    problem: Objective, point: Point, tol: float, max_products: float = np.inf
) -> Step | None:
    """Solve H d = −g approximately, by products with H alone, preconditioned by its diagonal.

    Far from the minimum it is enough that the last product has added less to what the model gains
    than a share of the whole (Nash and Sofer's test); the share falls with the decrement. Where the
    gain suggests that the minimum is within ``tol``, that is not: on hard columns gains come in
    waves. There the energy of the residual must bound what is still to be gained by its share. H is
    at least the penalty's curvature, and so in the preconditioned units at least their ratio μ, so
    the bound is ½ rᵀM⁻¹r/μ. No test depends on the units of a feature.

    Returns
    -------
    step : Step or None
        None if it takes more products than ``max_products``.

    References
    ----------
    S. G. Nash and A. Sofer, "Assessing a Search Direction within a Truncated-Newton Method",
    Operations Research Letters 9 (1990), equation 5. G. Meurant and P. Tichý, "On computing
    quadrature-based bounds for the A-norm of the error in conjugate gradients", Numerical
    Algorithms 62 (2013).
    """
    diagonal = problem.curvature_diagonal(point)
    diagonal = np.where(diagonal > 0, diagonal, 1.0)
    least = float(np.min(problem.penalty.strength / diagonal[: problem.n_features]))
    vector, along = np.zeros_like(point.theta), np.zeros_like(point.z)
    residual = -point.gradient
    preconditioned = residual / diagonal
    conjugate = preconditioned
    energy = float(residual @ preconditioned)
    gained = 0.0  # by the model so far: ½λ²
    iteration = 0
    while energy > 0:
        if iteration >= max_products:
            return None
        iteration += 1
        product, conjugate_along = problem.curvature_product(point, conjugate)
        bend = float(conjugate @ product)
        if bend <= 0:  # nothing to go by: H is positive semidefinite, so 0 but for rounding
            gained = gained if np.any(vector) else np.inf
            break
        length = energy / bend
        vector += length * conjugate
        along += length * conjugate_along
        residual = residual - length * product
        preconditioned = residual / diagonal
        energy, previous = float(residual @ preconditioned), energy
        gain = length * previous / 2
        gained += gain
        if gained > tol:
            enough = iteration * gain <= _share_to_ignore(gained) * gained
        else:
            enough = energy / 2 <= least * FINAL_SHARE * gained or gain <= NO_GAIN * gained
        if enough or iteration >= 10 * len(vector):
            break
        conjugate = preconditioned + energy / previous * conjugate
    return Step(vector, 2 * gained, along)


def _share_to_ignore(gained: float) -> float:
    """Return the share of the model's gain that may be missed: 1/2 far from the minimum."""
    return float(np.clip(np.sqrt(gained), 0.01, 0.5))


def distance_from_minimum(objective: Objective, w: Vector, b: float) -> float:
    """Return an estimate of F(w, b) − min F, in nats, by the quadratic model there."""
    problem = objective.standardised()
    find_step = StepFinder(problem, tol=np.inf)
    theta = problem.coordinates.from_user(w, b)
    point = problem.evaluate(theta, hessian=find_step.needs_hessian)
    return min(find_step(point).decrement / 2, point.value)  # F is never below 0
