"""Search directions: the minimum d of Newton's quadratic model gᵀd + ½dᵀHd, and who finds it.

- `SearchDirection`: a direction d, and what is known of it.
- `Direction`: the contract of a rule that finds directions, with the logic of stale curvature.
- `NewtonDirection`: the rule for a smooth F: a factorisation, a curvature known from before, or
  conjugate gradients, whichever is cheapest.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy
from scipy.linalg.lapack import dpotrf, dpotrs

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import all_blas_threads
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.base import NEGLIGIBLE
from sklearn_bce._solvers.newton.cost import NEAR_PRODUCTS, TYPICAL_PRODUCTS, CostModel

# Share of the model's gain that conjugate gradients may miss in a step that is to be the last one:
# python -m benchmarks.tuning FINAL_SHARE
FINAL_SHARE = 0.1
# Share of the model's gain up to which what a product with H adds counts as rounding, so that
# conjugate gradients end: python -m benchmarks.tuning NO_GAIN
NO_GAIN = 1e-10
# Least forcing term: the share of the model's gain that a step far from the minimum may miss.
# python -m benchmarks.tuning LEAST_FORCING
LEAST_FORCING = 0.01
# Largest forcing term (Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006, equation
# 7.3, have the same). python -m benchmarks.tuning MOST_FORCING
MOST_FORCING = 0.5
# A step by stale curvature is worth another one if the squared decrement has fallen to this share
# of what it was: python -m benchmarks.tuning WORTH_ANOTHER
WORTH_ANOTHER = 0.1
# Size of a matrix up to which one thread factorises it. At this size that takes 30 ms
# (0.03·1000³ ns, see `cost`), as long as waiting for the other threads of BLAS can take:
# python -m benchmarks.tuning ONE_THREAD_SIZE
ONE_THREAD_SIZE = 1000
# Pairs of steps and changes of the gradient that L-BFGS keeps. Nocedal and Wright, section 7.2,
# recommend 3 to 20. python -m benchmarks.tuning LBFGS_PAIRS
LBFGS_PAIRS = 10
# Factor by which the multiple of the diagonal grows that makes a singular matrix regular: from 4ε
# to 1 it takes at most eight factorisations. [a choice]
REGULARISATION_GROWTH = 100
# Products with H for each coordinate after which conjugate gradients give up. In exact arithmetic
# one for each coordinate suffices, and rounding delays the end a few times. [a choice]
PRODUCTS_PER_COORDINATE = 10


class SearchDirection(NamedTuple):
    """A minimiser of the quadratic model, exact or not.

    Attributes
    ----------
    vector : ndarray of shape (size,)
        d.
    decrement : float
        Squared Newton decrement λ² = −gᵀd, twice what the model gains, in nats.
    z_direction : array of length n_samples or None
        Z·d, if finding d has given it.
    n_products : float
        Products with H that d took; infinite if H was formed at the point, 0 if the curvature was
        known from before.
    complete : bool
        Whether the model was minimised as well as was wanted.
    """

    vector: Vector
    decrement: float
    z_direction: Any = None
    n_products: float = 0
    complete: bool = True

    @property
    def is_stale(self) -> bool:
        """Whether d follows from a curvature that was known from before."""
        return not self.n_products


class Derivatives(NamedTuple):
    """Which second derivatives are to be formed in the next evaluation.

    Attributes
    ----------
    hessian, diagonal : bool
        Whether the matrix is, and whether its diagonal is.
    """

    hessian: bool
    diagonal: bool


NO_DERIVATIVES = Derivatives(hessian=False, diagonal=False)


class Direction(ABC):
    """A rule that finds search directions for an objective, and the contract of such rules.

    Curvature that is known from before, of a sample or of an earlier point, is trusted as long as
    each step by it takes off most of what is left: such a direction takes no pass.

    Parameters
    ----------
    problem : Objective
        In the coordinates of the points.
    tol : float
        Distance from the minimum, in nats, below which it matters to know it well.

    Attributes
    ----------
    n_products : float
        Products with H so far; infinite once H has been formed.
    penalty_dominates : bool
        Whether the penalty's curvature is at least that of the loss in every coordinate, so that H
        is much the same everywhere.
    """

    penalty_dominates = False

    def __init__(self, problem: Objective, tol: float) -> None:
        self.problem, self.tol = problem, tol
        self.n_products = 0.0
        self._is_trusted, self._last_decrement = False, np.inf

    def at(self, point: Evaluation) -> SearchDirection:
        """Return the direction from a point, whose Hessian is taken if it has one; changes self."""
        d = self.find(point)
        self.n_products += d.n_products
        return d

    @abstractmethod
    def find(self, point: Evaluation) -> SearchDirection:
        """Return the direction from a point; changes self."""

    @abstractmethod
    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Use a curvature like H, of shape (size, size), which is given up; changes self."""

    @abstractmethod
    def from_stale_curvature(self, point: Evaluation) -> SearchDirection | None:
        """Return the direction by the curvature known so far; None if none is known. No pass."""

    @abstractmethod
    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Correct the curvature by how the gradient has changed along a step; changes self."""

    @abstractmethod
    def wants(self, is_last_step: bool) -> Derivatives:
        """Return which second derivatives the next direction needs."""

    def path_state(self, point: Evaluation) -> Any:
        """Return what a fit with another penalty can start from; None if that is nothing."""
        return None

    def predict_start(self, state: Any) -> Vector | None:
        """Return where the minimum is expected, from a path state; None if this rule has no use."""
        return None

    def invalidate_curvature(self) -> None:
        """Stop trusting the curvature known so far, as a step goes far; changes self."""
        self._is_trusted = False

    def _trust(self, is_trusted: bool) -> None:
        """Take a curvature for new, or for unknown; changes self."""
        self._is_trusted, self._last_decrement = is_trusted, np.inf

    def _still_trusts(self, decrement: float) -> bool:
        """Return whether the known curvature still takes off most of what is left; changes self."""
        self._is_trusted = decrement <= WORTH_ANOTHER * self._last_decrement
        self._last_decrement = decrement
        return self._is_trusted


class NewtonDirection(Direction):
    """Finds Newton's directions for a smooth F, by whichever way is the cheapest at the point.

    1. H formed and factorised, at the point itself.
    2. The inverse of a curvature like H, of a sample or of a point before, as long as that takes
       most of what is left: such a direction needs no pass.
    3. Products with H, by conjugate gradients, which that inverse preconditions, or else the
       diagonal of H. Once they have cost as much as another factorisation the columns are hard: the
       step goes as far as they have led, and H is factorised there. That is never much more than
       twice the price of having chosen right at once.

    Attributes
    ----------
    inverse : LBFGSInverse or None
        The inverse of a curvature like H.
    """

    def __init__(self, problem: Objective, tol: float) -> None:
        super().__init__(problem, tol)
        self.inverse: LBFGSInverse | None = None
        self.penalty_dominates = problem.penalty_dominates()
        self._costs = CostModel.of(problem)
        self._spent, self._expected = 0.0, float(TYPICAL_PRODUCTS)

    def wants(self, is_last_step: bool = False) -> Derivatives:
        """Return which second derivatives the next direction needs."""
        is_cheaper = self._spent + self._expected >= self._costs.products
        hessian = is_cheaper and not (self._is_trusted or self.penalty_dominates or is_last_step)
        return Derivatives(hessian, self.inverse is None and not self.penalty_dominates)

    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Use a curvature like H, of shape (size, size), which is given up; changes self."""
        self._set_inverse(regularised_cholesky(matrix))

    def _set_inverse(self, inverse: Callable[[Vector], Vector]) -> None:
        self.inverse = LBFGSInverse(inverse)
        self._spent, self._expected = 0.0, float(NEAR_PRODUCTS)
        self._trust(True)

    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Correct the curvature by how the gradient has changed along a step; changes self."""
        if self.inverse is not None:
            self.inverse.add_secant_pair(
                after.theta - before.theta, after.gradient - before.gradient
            )

    def invalidate_curvature(self) -> None:
        """Stop trusting the curvature known so far, as a step goes far; changes self."""
        super().invalidate_curvature()
        self._expected = max(self._expected, TYPICAL_PRODUCTS)

    def from_stale_curvature(self, point: Evaluation) -> SearchDirection | None:
        """Return the direction by the curvature known so far; None if none is known. No pass."""
        if self.inverse is None:
            return None
        vector = -self.inverse(point.gradient)
        return SearchDirection(vector, float(-point.gradient @ vector))

    def find(self, point: Evaluation) -> SearchDirection:
        """Return the direction from a point; changes self."""
        hessian = point.take_hessian()
        if hessian is not None:
            self.set_curvature(hessian)
            return self.from_stale_curvature(point)._replace(n_products=np.inf)
        if self.penalty_dominates and self.inverse is None:
            preconditioner = 1 / self.problem.diagonal_preconditioner(point)
            self._set_inverse(partial(np.multiply, preconditioner))
        if self._is_trusted:
            d = self.from_stale_curvature(point)
            if self._still_trusts(d.decrement):
                return d
        most = max(1.0, self._costs.products - self._spent)
        d = truncated_newton_cg(self.problem, point, self.tol, self.inverse, most)
        self._spent += d.n_products
        self._expected = d.n_products
        return d


class LBFGSInverse:
    """The inverse curvature that L-BFGS learns from steps, on top of one that is given.

    Parameters
    ----------
    inverse : callable (vector) -> vector
        The product with the inverse to begin with.

    References
    ----------
    J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006, algorithm 7.4.
    """

    def __init__(self, inverse: Callable[[Vector], Vector]) -> None:
        self.inverse = inverse
        self._pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=LBFGS_PAIRS)

    def add_secant_pair(self, step: Vector, change: Vector) -> None:
        """Add a step and the change of the gradient along it, if F curves upwards; changes self."""
        curvature_along = float(step @ change)
        if curvature_along > 0:
            self._pairs.append((step, change, curvature_along))

    def __call__(self, vector: Vector) -> Vector:
        """Return the product of the inverse curvature with the vector, a new array."""
        rest, factors = vector.copy(), []
        for step, change, curvature_along in reversed(self._pairs):
            factors.append(float(step @ rest) / curvature_along)
            rest -= factors[-1] * change
        product = self.inverse(rest)
        for (step, change, curvature_along), factor in zip(
            self._pairs, reversed(factors), strict=True
        ):
            product += (factor - float(change @ product) / curvature_along) * step
        return product


def regularised_cholesky(
    matrix: NDArray[Any], may_be_singular: bool = False
) -> Callable[[Vector], Vector]:
    """Return v → matrix⁻¹v, for a symmetric matrix that is positive semidefinite up to rounding.

    A matrix that is singular in floating point is made regular by a multiple of its own diagonal,
    as small as will do: that changes the answer only where the matrix says nothing.

    Parameters
    ----------
    matrix : ndarray of shape (size, size), float64, C order
        Overwritten by its factor.
    may_be_singular : bool, default=False
        Whether to make the matrix regular at once, for a caller to whom rounding does not matter.
    """
    size = len(matrix)
    given = matrix.ravel()[:: size + 1].copy()
    diagonal = np.where(given > 0, given, 1.0)
    # A square on the diagonal of the Cholesky factor below this share of the matrix's is rounding,
    # not information: columns in other units, and penalties upon them, do not make it singular.
    floor = size * np.finfo(np.float64).eps
    multiple, is_factor = 4 * floor if may_be_singular else 0.0, False
    while multiple < 1.0:
        if is_factor:  # what lies below the diagonal has been left as it was
            matrix = np.tril(matrix, -1)
            matrix += matrix.T
        if multiple:
            matrix.ravel()[:: size + 1] = given + multiple * diagonal
        with all_blas_threads() if size > ONE_THREAD_SIZE else nullcontext():
            # the matrix is symmetric: its transpose is itself, in Fortran's order
            factor, failed_at = dpotrf(matrix.T, lower=1, clean=0, overwrite_a=1)
        if not failed_at and (np.square(factor.diagonal()) > floor * diagonal).all():
            return lambda vector: dpotrs(factor, vector, lower=1)[0]
        multiple, is_factor = max(REGULARISATION_GROWTH * multiple, 4 * floor), True
    return lambda vector: vector / diagonal  # overflow has left elements that are not numbers


class _ConjugateGradients:
    """Conjugate gradients for H d = −g: the iteration, without a test of when to stop.

    Attributes
    ----------
    vector, z_direction
        d, of shape (size,), and Z·d so far.
    energy : float
        rᵀM⁻¹r of the residual r = −g − Hd, with the preconditioner M.
    gained : float
        What the model has gained so far, ½λ², in nats.
    gain, curvature_along : float
        What the last product has added to it, and the curvature pᵀHp along its direction p, for
        which pᵀMp is ``previous_energy``.
    """

    def __init__(
        self, problem: Objective, point: Evaluation, precondition: Callable[[Vector], Vector]
    ) -> None:
        self._problem, self._point, self._precondition = problem, point, precondition
        self.vector = np.zeros_like(point.theta)
        self.z_direction = problem.zero_outputs()
        self._residual = -point.gradient
        self._preconditioned = precondition(self._residual)
        self._conjugate = self._preconditioned.copy()
        self.energy = float(self._residual @ self._preconditioned)
        self.previous_energy = self.curvature_along = 0.0
        self.gained = self.gain = 0.0
        self.n_products = 0

    def multiply(self) -> bool:
        """Go along one more conjugate direction, by one product with H; changes self.

        Return False if H has no curvature along it, up to rounding, so that there is no step.
        """
        self.n_products += 1
        product, conjugate_z = self._problem.curvature_product(self._point, self._conjugate)
        self.curvature_along = float(self._conjugate @ product)
        if self.curvature_along <= 0:
            self.gained = self.gained if np.any(self.vector) else np.inf
            return False
        length = self.energy / self.curvature_along
        daxpy(self._conjugate, self.vector, a=length)  # in place
        self._problem.add_outputs(length, conjugate_z, self.z_direction)
        daxpy(product, self._residual, a=-length)  # in place
        self._preconditioned = self._precondition(self._residual)
        self.previous_energy = self.energy
        self.energy = float(self._residual @ self._preconditioned)
        self.gain = length * self.previous_energy / 2
        self.gained += self.gain
        return True

    def turn(self) -> None:
        """Make the next direction conjugate to those before; changes self."""
        self._conjugate *= self.energy / self.previous_energy
        self._conjugate += self._preconditioned


def truncated_newton_cg(
    problem: Objective,
    point: Evaluation,
    tol: float,
    inverse: Callable[[Vector], Vector] | None = None,
    max_products: float = np.inf,
) -> SearchDirection:
    """Solve H d = −g approximately by preconditioned conjugate gradients, with products with H.

    Far from the minimum it is enough that the last product has added less to what the model gains
    than a share of the whole (Nash and Sofer's test); the share, the forcing term, falls with the
    decrement. If the gain suggests that the minimum is within ``tol``, that is not enough: on hard
    columns gains come in waves. There the energy of the residual must bound what is still to be
    gained by its share: it is at most ½ rᵀM⁻¹r/μ, with μ the least eigenvalue of M⁻¹H. H is at
    least the penalty's curvature, which gives μ for the diagonal; for another M the least curvature
    met has to do. No test depends on the units of a feature.

    Parameters
    ----------
    problem, point : Objective, Evaluation
        F and where H and g are taken.
    tol : float
        Distance from the minimum, in nats, below which it matters to know it well.
    inverse : callable or None, default=None
        The inverse of a curvature M like H, for a preconditioner; None means the diagonal of H.
    max_products : float, default=inf
        Most products with H; a direction that needs more is not complete.

    References
    ----------
    S. G. Nash and A. Sofer, "Assessing a Search Direction within a Truncated-Newton Method",
    Operations Research Letters 9 (1990), equation 5. G. Meurant and P. Tichý, "On computing
    quadrature-based bounds for the A-norm of the error in conjugate gradients", Numerical
    Algorithms 62 (2013).
    """
    if inverse is None:
        diagonal = problem.curvature_diagonal(point) if point.diagonal is None else point.diagonal
        diagonal = np.where(diagonal > 0, diagonal, 1.0)
        l2 = problem.penalty.curvature_diagonal(problem.n_features)
        least_eigenvalue = float(np.min(l2 / diagonal[: problem.n_features]))
        cg = _ConjugateGradients(problem, point, partial(np.multiply, 1 / diagonal))
        enough = _EnoughByDiagonal(tol, least_eigenvalue)
    else:
        cg = _ConjugateGradients(problem, point, inverse)
        enough = _EnoughByCurvatureMet(tol)
    is_enough = False
    while cg.energy > 0 and not is_enough and cg.n_products < max_products:
        if not cg.multiply():
            break
        is_enough = enough(cg) or cg.n_products >= PRODUCTS_PER_COORDINATE * len(cg.vector)
        cg.turn()
    complete = is_enough or cg.n_products < max_products
    return SearchDirection(cg.vector, 2 * cg.gained, cg.z_direction, cg.n_products, complete)


class _EnoughByCurvatureMet:
    """Whether the energy of the residual is negligible, by the least curvature pᵀHp/pᵀMp met."""

    def __init__(self, tol: float) -> None:
        self._tol, self._least = tol, 1.0

    def __call__(self, cg: _ConjugateGradients) -> bool:
        self._least = min(self._least, cg.curvature_along / cg.previous_energy)
        negligible = max(forcing_term(cg.gained) * cg.gained, NEGLIGIBLE * self._tol)
        return cg.energy / 2 <= self._least * negligible


class _EnoughByDiagonal:
    """Whether d is good enough, given a lower bound on the eigenvalues of M⁻¹H."""

    def __init__(self, tol: float, least_eigenvalue: float) -> None:
        self._tol, self._least = tol, least_eigenvalue

    def __call__(self, cg: _ConjugateGradients) -> bool:
        if cg.gained > self._tol:
            return cg.n_products * cg.gain <= forcing_term(cg.gained) * cg.gained
        is_bounded = cg.energy / 2 <= self._least * FINAL_SHARE * cg.gained
        return is_bounded or cg.gain <= NO_GAIN * cg.gained


def forcing_term(gained: float) -> float:
    """Return the share of the model's gain that a step may miss: 1/2 far from the minimum."""
    return float(np.clip(np.sqrt(gained), LEAST_FORCING, MOST_FORCING))
