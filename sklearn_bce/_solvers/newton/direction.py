"""Ways to minimise Newton's quadratic model gᵀd + ½dᵀHd, and the choice between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy
from scipy.linalg.lapack import dpotrf, dpotrs

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import all_blas_threads
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.newton.cost import (
    LARGEST_CURVATURE,
    NEAR_PRODUCTS,
    TYPICAL_PRODUCTS,
    Costs,
)
from sklearn_bce._solvers.newton.line_search import Step

# What may be missed of the gain of a step that is to be the last, and what is no gain at all.
FINAL_SHARE = 0.1
NEGLIGIBLE = 0.01  # of tol, in any other step
NO_GAIN = 1e-10
# A step by the curvature of elsewhere is worth another one, without products, if the decrement has
# fallen to this share of what it was.
WORTH_ANOTHER = 0.1
# A matrix that one thread factorises in some milliseconds; to wait for BLAS's others can take ten.
SMALL = 1000
MEMORY = 10  # pairs of steps and changes of the gradient


class StepFinder:
    """Finds Newton's steps, by whichever way is the cheapest where it stands.

    1. H formed and factorised, at the point itself.
    2. The inverse of a curvature like H, of a sample or of a point before, as long as that takes
       most of what is left: such a step needs no pass to be found.
    3. Products with H, by conjugate gradients, which that inverse preconditions, or else the
       diagonal of H. Whoever finds that they have cost as much as another factorisation has hard
       columns before him: he goes as far as they have brought him, and factorises there. That is
       never much more than twice the price of having chosen right at once.

    Parameters
    ----------
    problem : Objective
        In the coordinates of the points.
    tol : float
        Distance from the minimum, in nats, below which it matters to know it well.

    Attributes
    ----------
    inverse : QuasiNewton or None
        The inverse of a curvature like H.
    penalty_prevails : bool
        Whether the curvature of the penalty is at least that of the loss, in every coordinate. That
        of H is then much the same everywhere, and its diagonal, roughly, as good as its inverse.
    """

    def __init__(self, problem: InMemoryObjective, tol: float) -> None:
        self.problem, self.tol = problem, tol
        self.inverse: QuasiNewton | None = None
        self._costs = Costs.of(problem)
        self._spent, self._expected = 0, TYPICAL_PRODUCTS
        self._trusted, self._last_decrement = False, np.inf
        self.penalty_prevails = bool(np.min(problem.penalty.l2) >= LARGEST_CURVATURE)

    @property
    def needs_hessian(self) -> bool:
        """Whether H should be formed at the next point."""
        return (
            not (self._trusted or self.penalty_prevails)
            and self._spent + self._expected >= self._costs.products
        )

    @property
    def needs_diagonal(self) -> bool:
        """Whether the diagonal of H should be formed at the next point."""
        return self.inverse is None and not self.penalty_prevails

    def take(self, matrix: NDArray[np.float64]) -> None:
        """Use a curvature like H, of which the matrix is no longer needed; changes self."""
        self._take_inverse(positive_solver(matrix))

    def _take_inverse(self, inverse: Callable[[Vector], Vector]) -> None:
        self.inverse = QuasiNewton(inverse)
        self._spent, self._expected, self._trusted = 0, NEAR_PRODUCTS, True
        self._last_decrement = np.inf

    def learn(self, step: Vector, change: Vector) -> None:
        """Take in by how much the gradient has changed along a step; changes self."""
        if self.inverse is not None:
            self.inverse.learn(step, change)

    def expect_other_curvature(self) -> None:
        """Take in that a step goes far, so that H will not be what it was; changes self."""
        self._trusted, self._expected = False, max(self._expected, TYPICAL_PRODUCTS)

    def again(self, point: Evaluation) -> Step | None:
        """Return the step by the curvature known so far, if any is known; it takes no pass."""
        return None if self.inverse is None else by_inverse(point, self.inverse)

    def __call__(self, point: Evaluation) -> Step:
        """Return the step from the point; changes self."""
        if point.hessian is not None:
            self.take(point.hessian)
            return by_inverse(point, self.inverse)._replace(n_products=np.inf)
        if self.penalty_prevails and self.inverse is None:
            self._take_inverse(
                partial(np.multiply, 1 / self.problem.diagonal_preconditioner(point))
            )
        if self._trusted:
            step = by_inverse(point, self.inverse)
            self._trusted = step.decrement <= WORTH_ANOTHER * self._last_decrement
            self._last_decrement = step.decrement
            if self._trusted:
                return step
        worth_trying = max(1.0, self._costs.products - self._spent)
        step = by_conjugate_gradients(self.problem, point, self.tol, self.inverse, worth_trying)
        self._spent += step.n_products
        self._expected = step.n_products
        return step


class QuasiNewton:
    """The inverse curvature that L-BFGS learns from steps, on top of one that is given.

    Parameters
    ----------
    inverse : callable
        The one to begin with, as a product with a vector.

    References
    ----------
    J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006, algorithm 7.4.
    """

    def __init__(self, inverse: Callable[[Vector], Vector]) -> None:
        self.inverse = inverse
        self._pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)

    def learn(self, step: Vector, change: Vector) -> None:
        """Take in by how much the gradient has changed along a step; changes self."""
        bend = float(step @ change)
        if bend > 0:
            self._pairs.append((step, change, bend))

    def __call__(self, vector: Vector) -> Vector:
        """Return the product of the inverse curvature with the vector."""
        rest, shares = vector.copy(), []
        for step, change, bend in reversed(self._pairs):
            shares.append(float(step @ rest) / bend)
            rest -= shares[-1] * change
        product = self.inverse(rest)
        for (step, change, bend), share in zip(self._pairs, reversed(shares), strict=True):
            product += (share - float(change @ product) / bend) * step
        return product


def by_inverse(point: Evaluation, inverse: Callable[[Vector], Vector]) -> Step:
    """Return d = −H⁻¹g, the inverse curvature given, of this point or of one not far away."""
    vector = -inverse(point.gradient)
    return Step(vector, float(-point.gradient @ vector))


def positive_solver(
    matrix: NDArray[Any], may_be_singular: bool = False
) -> Callable[[Vector], Vector]:
    """Return v → matrix⁻¹v, for a symmetric matrix that is positive semidefinite up to rounding.

    A matrix that is singular in floating point is made regular by a multiple of its own diagonal,
    as small as will do: that changes the answer only where the matrix says nothing. If it may well
    be singular, and rounding does not matter, it is made so at once. Its factor takes the place of
    the matrix.
    """
    size = len(matrix)
    given = matrix.ravel()[:: size + 1].copy()
    diagonal = np.where(given > 0, given, 1.0)
    # A square on the diagonal of the Cholesky factor below this share of the matrix's is rounding,
    # not information: columns in other units, and penalties upon them, do not make it singular.
    floor = size * np.finfo(np.float64).eps
    regular, is_factor = 4 * floor if may_be_singular else 0.0, False
    while regular < 1.0:
        if is_factor:  # what lies below the diagonal has been left as it was
            matrix = np.tril(matrix, -1)
            matrix += matrix.T
        if regular:
            matrix.ravel()[:: size + 1] = given + regular * diagonal
        with all_blas_threads() if size > SMALL else nullcontext():
            # the matrix is symmetric: its transpose is itself, in Fortran's order
            factor, failed_at = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
        if not failed_at and (np.square(factor.diagonal()) > floor * diagonal).all():
            return lambda vector: dpotrs(factor, vector, lower=1)[0]
        regular, is_factor = max(100 * regular, 4 * floor), True
    return lambda vector: vector / diagonal  # overflow has left numbers that are none


def by_conjugate_gradients(
    problem: InMemoryObjective,
    point: Evaluation,
    tol: float,
    inverse: Callable[[Vector], Vector] | None = None,
    max_products: float = np.inf,
) -> Step:
    """Solve H d = −g approximately, by products with H alone.

    They are preconditioned by the inverse of a curvature M that is like H, or by the diagonal of H.

    Far from the minimum it is enough that the last product has added less to what the model gains
    than a share of the whole (Nash and Sofer's test); the share falls with the decrement. Where the
    gain suggests that the minimum is within ``tol``, that is not: on hard columns gains come in
    waves. There the energy of the residual must bound what is still to be gained by its share: it
    is at most ½ rᵀM⁻¹r/μ, with μ the least eigenvalue of M⁻¹H. H is at least the penalty's
    curvature, which gives μ for the diagonal; for another M the least curvature met has to do. No
    test depends on the units of a feature.

    References
    ----------
    S. G. Nash and A. Sofer, "Assessing a Search Direction within a Truncated-Newton Method",
    Operations Research Letters 9 (1990), equation 5. G. Meurant and P. Tichý, "On computing
    quadrature-based bounds for the A-norm of the error in conjugate gradients", Numerical
    Algorithms 62 (2013).
    """
    least = 1.0
    if inverse is None:
        diagonal = problem.curvature_diagonal(point) if point.diagonal is None else point.diagonal
        diagonal = np.where(diagonal > 0, diagonal, 1.0)
        least = float(np.min(problem.penalty.l2 / diagonal[: problem.n_features]))
    precondition = partial(np.multiply, 1 / diagonal) if inverse is None else inverse
    vector = np.zeros_like(point.theta)
    along = np.zeros_like(point.z) if problem.caches_outputs else None
    residual = -point.gradient
    preconditioned = precondition(residual)
    conjugate = preconditioned.copy()
    energy = float(residual @ preconditioned)
    gained = 0.0  # by the model so far: ½λ²
    n_products, enough = 0, False
    while energy > 0 and not enough and n_products < max_products:
        n_products += 1
        product, conjugate_along = problem.curvature_product(point, conjugate)
        bend = float(conjugate @ product)
        if bend <= 0:  # nothing to go by: H is positive semidefinite, so 0 but for rounding
            gained = gained if np.any(vector) else np.inf
            break
        length = energy / bend
        daxpy(conjugate, vector, a=length)  # in place, as the next two
        if along is not None:
            daxpy(conjugate_along, along, a=length)
        daxpy(product, residual, a=-length)
        preconditioned = precondition(residual)
        energy, previous = float(residual @ preconditioned), energy
        gain = length * previous / 2
        gained += gain
        if inverse is not None:
            least = min(least, bend / previous)
            ignored = max(_share_to_ignore(gained) * gained, NEGLIGIBLE * tol)
            enough = energy / 2 <= least * ignored
        elif gained > tol:
            enough = n_products * gain <= _share_to_ignore(gained) * gained
        else:
            enough = energy / 2 <= least * FINAL_SHARE * gained or gain <= NO_GAIN * gained
        enough = enough or n_products >= 10 * len(vector)
        conjugate *= energy / previous
        conjugate += preconditioned
    complete = enough or n_products < max_products
    return Step(vector, 2 * gained, along, n_products, complete)


def _share_to_ignore(gained: float) -> float:
    """Return the share of the model's gain that may be missed: 1/2 far from the minimum."""
    return float(np.clip(np.sqrt(gained), 0.01, 0.5))
