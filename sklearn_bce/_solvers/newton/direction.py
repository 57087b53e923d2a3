"""Search directions: the minimum d of Newton's quadratic model gᵀd + ½dᵀHd.

Here g is the gradient and H the curvature of F at θ. Curvature is stale if it is an approximation
of H from an earlier point or from a sample of the rows.

- `SearchDirection`: a direction d with its decrement.
- `Direction`: base class of the rules that find directions; it decides how long stale curvature is
  used.
- `NewtonDirection`: the rule for a smooth F. It uses a factorisation of H, stale curvature or
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
from sklearn_bce._objective.triangular import solve_triangular
from sklearn_bce._solvers.base import NEGLIGIBLE
from sklearn_bce._solvers.newton.cost import NEAR_PRODUCTS, TYPICAL_PRODUCTS, CostModel

# Fraction of the decrease of the model that conjugate gradients may miss in a last step:
# python -m benchmarks.tuning FINAL_SHARE
FINAL_SHARE = 0.1
# Fraction of the decrease of the model up to which the contribution of one product with H counts as
# rounding, so that conjugate gradients end: python -m benchmarks.tuning NEGLIGIBLE_GAIN
NEGLIGIBLE_GAIN = 1e-10
# Lower bound of the forcing term, the fraction of the decrease of the model that a step far from
# the minimum may miss.
# python -m benchmarks.tuning MIN_FORCING
MIN_FORCING = 0.01
# Upper bound of the forcing term (Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006,
# equation 7.3, have the same). python -m benchmarks.tuning MAX_FORCING
MAX_FORCING = 0.5
# Ratio of the squared decrements of two successive points up to which another step with stale
# curvature saves time: python -m benchmarks.tuning WORTH_ANOTHER
WORTH_ANOTHER = 0.1
# Number of rows of a matrix up to which BLAS factorises on one thread. A matrix of this size takes
# 30 ms (0.03·1000³ ns, see `cost`), and waiting for other threads of BLAS can take as long:
# python -m benchmarks.tuning ONE_THREAD_SIZE
ONE_THREAD_SIZE = 1000
# Secant pairs, of a step and the change of the gradient, that L-BFGS keeps. Nocedal and Wright,
# section 7.2, recommend 3 to 20. python -m benchmarks.tuning LBFGS_PAIRS
LBFGS_PAIRS = 10
# Relative rounding error of float64.
EPSILON = float(np.finfo(np.float64).eps)
# Multiple of the rounding error of a pivot above which the pivot is trusted: its relative error is
# then at most a hundredth. The rounding error of a pivot is at most the number of columns times
# that of an entry. [a choice]
TRUSTED_PIVOT = 100.0
# Radius, in Newton decrements λ, of a ball around a point that contains the minimum of F if the
# curvature in the ball is at least a half of that at the point. [a choice]
RADIUS_MARGIN = 2.0
# Samples in parts up to which the end of a run is always confirmed, in two passes. [a choice]
FEW_IN_PARTS = 10_000
# Factor by which the multiple of the diagonal that is added to a singular matrix grows in each
# attempt: from 4ε to 1 there are at most eight factorisations. [a choice]
REGULARISATION_GROWTH = 100
# Products with H, for each coordinate, after which conjugate gradients stop. In exact arithmetic
# one for each coordinate is enough; rounding can multiply their number. [a choice]
PRODUCTS_PER_COORDINATE = 10


class SearchDirection(NamedTuple):
    """An exact or approximate minimiser d of the quadratic model.

    Attributes
    ----------
    vector : ndarray of shape (size,), float64
        d.
    decrement : float
        Squared Newton decrement λ² = −gᵀd, twice the decrease of the model, in nats.
    z_direction : array of length n_samples or None, default=None
        Z·d, the change of the linear outputs; None if it was not computed with d.
    n_products : float, default=0
        Number of products with H that were computed; infinite if the matrix H was formed at the
        point, 0 if d is from stale curvature.
    complete : bool, default=True
        Whether the model was minimised to the wanted accuracy.
    is_certain : bool, default=True
        Whether the decrement is known to be that of the curvature. False if a factorisation of the
        curvature has lost pivots in rounding, or conjugate gradients ended without a bound although
        the curvature could be factorised: the decrement may then be too small.
    """

    vector: Vector
    decrement: float
    z_direction: Any = None
    n_products: float = 0
    complete: bool = True
    is_certain: bool = True

    @property
    def is_stale(self) -> bool:
        """Whether d is from stale curvature."""
        return not self.n_products


class Derivatives(NamedTuple):
    """Which second derivatives the next evaluation is to form.

    Attributes
    ----------
    hessian : bool
        Whether to form the matrix H.
    diagonal : bool
        Whether to form the diagonal of H.
    """

    hessian: bool
    diagonal: bool


NO_DERIVATIVES = Derivatives(hessian=False, diagonal=False)


class Direction(ABC):
    """Base class of the rules that find search directions for an objective.

    Stale curvature gives a direction without a pass. A rule uses stale curvature as long as it is
    trusted: as long as each step with it reduces the decrement to at most the fraction
    ``WORTH_ANOTHER``.

    Parameters
    ----------
    problem : Objective
        F, in the coordinates of the run.
    tol : float
        F − min F, in nats, below which directions must be accurate, because the run may stop.

    Attributes
    ----------
    n_products : float
        Number of products with H so far; infinite once the matrix H has been formed.
    penalty_dominates : bool
        Whether the curvature of the penalty is at least that of the loss in every coordinate, so
        that H is nearly the same at every θ.
    curvature_of_factor : ndarray of shape (n_samples,) or None
        Curvature p a(1−a) of the samples in ``factor``; None if it is not known, because the factor
        is that of a sample of the rows.
    """

    penalty_dominates = False
    curvature_of_factor: Vector | None = None

    def __init__(self, problem: Objective, tol: float) -> None:
        self.problem, self.tol = problem, tol
        self.n_products = 0.0
        self._is_trusted, self._last_decrement = False, np.inf

    def at(self, point: Evaluation) -> SearchDirection:
        """Return the search direction from a point; changes self.

        If the point has a Hessian, the matrix is taken from it; see `Evaluation.take_hessian`.
        """
        d = self.find(point)
        self.n_products += d.n_products
        return d

    @abstractmethod
    def find(self, point: Evaluation) -> SearchDirection:
        """Return the search direction from a point, for `at` to count; changes self."""

    @abstractmethod
    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Use an approximation of H, of shape (size, size), as trusted curvature; changes self.

        The matrix may be overwritten.
        """

    @abstractmethod
    def from_stale_curvature(self, point: Evaluation) -> SearchDirection | None:
        """Return the direction from stale curvature, without a pass; None if there is none."""

    @abstractmethod
    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Correct the curvature by the change of the gradient along a step; changes self.

        The step leads from ``before`` to ``after``.
        """

    @abstractmethod
    def wants(self, is_last_step: bool) -> Derivatives:
        """Return which second derivatives the next evaluation is to form.

        If the step is expected to be the last one, the matrix H is not needed.
        """

    def model_holds(self, point: Evaluation, d: SearchDirection) -> bool:
        """Return whether the curvature that the rule knows holds up to the minimum of F.

        It does not if samples whose class is nearly certain make up a direction of the curvature.
        If samples may do so, the curvature at the point is formed, in a pass, and it is tested
        whether their outputs change by less than 1 within ``RADIUS_MARGIN`` decrements: that proves
        F − min F <= λ², see `whitening`. The curvature is taken for good if the rule has no factor
        of the curvature of all samples. For samples in parts, whose outputs are not kept, it is
        taken for good if they are many, and not if they are so few that passes are cheap.

        Parameters
        ----------
        point : Evaluation
            The end of a run.
        d : SearchDirection
            The last direction.
        """
        factor, at_factor, problem = self.factor, self.curvature_of_factor, self.problem
        if point.z is None:
            is_large = not np.isfinite(CostModel.of(problem).factor)
            return is_large or problem.n_samples > FEW_IN_PARTS
        if factor is None or at_factor is None:
            return True
        if d.decrement <= problem.least_curvature(point.z) or not len(
            problem.samples_that_dominate(point.z, d.decrement, factor.norms, at_factor)
        ):
            return True
        point = problem.evaluate(point.theta, point.z, hessian=True)
        factor = CholeskyFactor(point.take_hessian(), problem.curvature_rounding)
        radius = RADIUS_MARGIN * np.sqrt(float(point.gradient @ factor(point.gradient)))
        is_small = radius**2 / RADIUS_MARGIN**2 <= self.tol
        beyond = problem.samples_beyond_model(point.z, radius, factor.norms)
        return factor.is_trusted and is_small and not len(beyond)

    @property
    def factor(self) -> CholeskyFactor | None:
        """Factorisation of H at an earlier point; None if there is none."""
        return None

    def path_state(self, point: Evaluation) -> Any:
        """Return the state from which a fit with another penalty can start; None if there is none.

        ``point`` is the end of the run. This base class returns None.
        """
        return None

    def predict_start(self, state: Any) -> Vector | None:
        """Return the expected minimum, given the state of a previous fit; changes self.

        The result is θ, of shape (size,); None if the rule does not use such a state, as in this
        base class.
        """
        return None

    def invalidate_curvature(self) -> None:
        """Stop trusting the curvature, because a step leads far from its point; changes self."""
        self._is_trusted = False

    def _trust(self, is_trusted: bool) -> None:
        """Begin to trust new curvature (True), or note that there is none (False); changes self."""
        self._is_trusted, self._last_decrement = is_trusted, np.inf

    def _still_trusts(self, decrement: float) -> bool:
        """Return whether the decrement has fallen enough for stale curvature to stay trusted.

        The decrement is that of the present point from stale curvature; changes self.
        """
        self._is_trusted = decrement <= WORTH_ANOTHER * self._last_decrement
        self._last_decrement = decrement
        return self._is_trusted


class NewtonDirection(Direction):
    """Finds Newton's directions for a smooth F, in the cheapest of three ways.

    1. A Cholesky factorisation of the matrix H at the point.
    2. The inverse of stale curvature, as long as it is trusted: such a direction takes no pass.
    3. Conjugate gradients, which take products with H. The preconditioner is the inverse of stale
       curvature or, if there is none, of the diagonal of H. Conjugate gradients end once their
       products have cost as much as forming and factorising H: the columns are then strongly
       correlated. The step uses the direction found so far, and H is factorised at its end. The
       total cost is at most about twice that of the better of the two ways.

    Attributes
    ----------
    inverse : LBFGSInverse or None
        The inverse of stale curvature; None before there is any.
    """

    def __init__(self, problem: Objective, tol: float) -> None:
        super().__init__(problem, tol)
        self.inverse: LBFGSInverse | None = None
        self._is_certain = True
        self.penalty_dominates = problem.penalty_dominates()
        self._costs = CostModel.of(problem)
        self._spent, self._expected = 0.0, float(TYPICAL_PRODUCTS)

    @property
    def factor(self) -> CholeskyFactor | None:
        """Factorisation of H at an earlier point; None if there is none."""
        factor = None if self.inverse is None else self.inverse.inverse
        return factor if isinstance(factor, CholeskyFactor) else None

    def wants(self, is_last_step: bool = False) -> Derivatives:
        """Return which second derivatives the next evaluation is to form; see `Direction.wants`."""
        is_cheaper = self._spent + self._expected >= self._costs.products
        hessian = is_cheaper and not (self._is_trusted or self.penalty_dominates or is_last_step)
        return Derivatives(hessian, self.inverse is None and not self.penalty_dominates)

    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Use an approximation of H, shape (size, size), which is overwritten; changes self."""
        factor = CholeskyFactor(matrix, self.problem.curvature_rounding)
        self._set_inverse(factor, factor.is_trusted)

    def _set_inverse(self, inverse: Callable[[Vector], Vector], is_certain: bool) -> None:
        """Use the inverse of an approximation of H as trusted curvature; changes self.

        ``is_certain`` is False if the approximation may have too much curvature in some direction.
        """
        self.inverse, self._is_certain = LBFGSInverse(inverse), is_certain
        self._spent, self._expected = 0.0, float(NEAR_PRODUCTS)
        self._trust(True)

    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Correct the inverse by the change of the gradient along a step; changes self."""
        if self.inverse is not None:
            self.inverse.add_secant_pair(
                after.theta - before.theta, after.gradient - before.gradient
            )

    def invalidate_curvature(self) -> None:
        """Stop trusting the curvature, because a step leads far from its point; changes self."""
        super().invalidate_curvature()
        self._expected = max(self._expected, TYPICAL_PRODUCTS)

    def from_stale_curvature(self, point: Evaluation) -> SearchDirection | None:
        """Return the direction from stale curvature, without a pass; None if there is none."""
        if self.inverse is None:
            return None
        vector = -self.inverse(point.gradient)
        decrement = float(-point.gradient @ vector)
        return SearchDirection(vector, decrement, is_certain=self._is_certain)

    def find(self, point: Evaluation) -> SearchDirection:
        """Return the search direction from a point, for `at` to count; changes self."""
        hessian = point.take_hessian()
        if hessian is not None:
            self.set_curvature(hessian)
            self.curvature_of_factor = point.curvature
            return self.from_stale_curvature(point)._replace(n_products=np.inf)
        if self.penalty_dominates and self.inverse is None:
            preconditioner = 1 / self.problem.diagonal_preconditioner(point)
            self._set_inverse(partial(np.multiply, preconditioner), is_certain=True)
        if self._is_trusted:
            d = self.from_stale_curvature(point)
            if self._still_trusts(d.decrement):
                return d
        most = max(1.0, self._costs.products - self._spent)
        d = truncated_newton_cg(self.problem, point, self.tol, self.inverse, most)
        can_be_known = np.isfinite(self._costs.factor)
        is_certain = (d.is_certain or not can_be_known) and self._is_certain
        d = d._replace(is_certain=is_certain)
        self._spent += d.n_products
        self._expected = d.n_products
        return d


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
            rest -= factors[-1] * change
        product = self.inverse(rest)
        for (step, change, curvature_along), factor in zip(
            self._pairs, reversed(factors), strict=True
        ):
            product += (factor - float(change @ product) / curvature_along) * step
        return product


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
        return np.linalg.norm(solve_triangular(self._factor, rows.T, lower=True), axis=0)


class _ConjugateGradients:
    """The iteration of preconditioned conjugate gradients for H d = −g, without a stopping test.

    Parameters
    ----------
    problem : Objective
        Computes the products with H.
    point : Evaluation
        Where H and g are taken.
    precondition : callable (vector) -> vector
        The product with M⁻¹, the inverse of the preconditioner.

    Attributes
    ----------
    vector : ndarray of shape (size,), float64
        d so far.
    z_direction : array of length n_samples or None
        Z·d so far; None if the objective does not keep outputs.
    energy : float
        rᵀM⁻¹r of the residual r = −g − Hd.
    previous_energy : float
        ``energy`` before the last product; 0 before the first.
    gained : float
        Decrease of the model so far, ½λ², in nats; infinite if H has no curvature along −M⁻¹g.
    gain : float
        Decrease of the model by the last product, in nats.
    curvature_along : float
        Curvature pᵀHp along the last conjugate direction p, scaled so that pᵀMp is
        ``previous_energy``.
    n_products : int
        Number of products with H so far.
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

    def step(self) -> bool:
        """Minimise the model along one more conjugate direction, by a product with H; changes self.

        Return True; False, without a step, if H has no curvature along the direction, up to
        rounding.
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

    def update_direction(self) -> None:
        """Compute the next direction, conjugate to the previous ones; changes self."""
        self._conjugate *= self.energy / self.previous_energy
        self._conjugate += self._preconditioned


def truncated_newton_cg(
    problem: Objective,
    point: Evaluation,
    tol: float,
    inverse: Callable[[Vector], Vector] | None = None,
    max_products: float = np.inf,
) -> SearchDirection:
    """Solve H d = −g approximately by preconditioned conjugate gradients.

    Each iteration takes one product with H. There are two stopping tests:

    - Far from the minimum: the last product has decreased the model by less than a fraction of the
      mean decrease of all products (Nash and Sofer's test). The fraction, the forcing term, falls
      with the decrement.
    - If the decrease of the model so far is at most ``tol``: an upper bound on the decrease that is
      still missing is small enough. The first test would not do here, because the decreases do not
      fall steadily if columns are strongly correlated. The bound is ½ rᵀM⁻¹r/μ, with the residual
      r, the preconditioner M and the least eigenvalue μ of M⁻¹H. If M is the diagonal of H, μ is at
      least the ratio of the penalty's curvature and M. For another M, μ is estimated by the least
      curvature found so far, and the test is the only one.

    No test depends on the units of the features.

    Parameters
    ----------
    problem : Objective
        Computes the products with H.
    point : Evaluation
        Where H and g are taken.
    tol : float
        F − min F, in nats, below which the direction must be accurate.
    inverse : callable (vector) -> vector or None, default=None
        The product with M⁻¹, the inverse of an approximation of H; None means that M is the
        diagonal of H.
    max_products : float, default=inf
        Most products with H; a direction that needs more is not complete.

    Returns
    -------
    direction : SearchDirection

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
        enough = _TruncationTest(tol, least_eigenvalue)
    else:
        cg = _ConjugateGradients(problem, point, inverse)
        enough = _ErrorBoundTest(tol)
    is_enough = False
    while cg.energy > 0 and not is_enough and cg.n_products < max_products:
        if not cg.step():
            break
        is_enough = enough(cg) or cg.n_products >= PRODUCTS_PER_COORDINATE * len(cg.vector)
        cg.update_direction()
    complete = is_enough or cg.n_products < max_products
    is_certain = enough.is_bound(cg)
    return SearchDirection(
        cg.vector, 2 * cg.gained, cg.z_direction, cg.n_products, complete, is_certain
    )


class _ErrorBoundTest:
    """Stopping test of conjugate gradients: a bound on the missing decrease of the model is small.

    The bound uses the least curvature pᵀHp/pᵀMp found so far, at most 1. The test is called with a
    `_ConjugateGradients` after each product.

    Parameters
    ----------
    tol : float
        Tolerance of the run, in nats.
    """

    def __init__(self, tol: float) -> None:
        self._tol, self._least = tol, 1.0

    def __call__(self, cg: _ConjugateGradients) -> bool:
        self._least = min(self._least, cg.curvature_along / cg.previous_energy)
        negligible = max(forcing_term(cg.gained) * cg.gained, NEGLIGIBLE * self._tol)
        return cg.energy / 2 <= self._least * negligible

    def is_bound(self, cg: _ConjugateGradients) -> bool:
        """Return True: the least curvature found is taken for the least curvature that there is."""
        return True


class _TruncationTest:
    """Stopping test of conjugate gradients with the diagonal of H as preconditioner M.

    The test is called with a `_ConjugateGradients` after each product.

    Parameters
    ----------
    tol : float
        Decrease of the model, in nats, up to which the missing decrease is bounded.
    least_eigenvalue : float
        A lower bound on the eigenvalues of M⁻¹H.
    """

    def __init__(self, tol: float, least_eigenvalue: float) -> None:
        self._tol, self._least = tol, least_eigenvalue

    def __call__(self, cg: _ConjugateGradients) -> bool:
        if cg.gained > self._tol:
            return cg.n_products * cg.gain <= forcing_term(cg.gained) * cg.gained
        is_bounded = cg.energy / 2 <= self._least * FINAL_SHARE * cg.gained
        return is_bounded or cg.gain <= NEGLIGIBLE_GAIN * cg.gained

    def is_bound(self, cg: _ConjugateGradients) -> bool:
        """Return whether the decrease that is missing is at most ``tol``, by a bound.

        In the intercept, which has no penalty, the least eigenvalue is not a bound but an estimate.
        """
        return cg.energy / 2 <= self._least * max(self._tol, FINAL_SHARE * cg.gained)


def forcing_term(gained: float) -> float:
    """Return the fraction of the decrease of the model that a step may miss, in [0.01, 0.5].

    The fraction is the square root of ``gained``, the decrease of the model so far in nats, within
    these limits.
    """
    return float(np.clip(np.sqrt(gained), MIN_FORCING, MAX_FORCING))
