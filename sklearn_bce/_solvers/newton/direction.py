"""Search directions: the minimum d of Newton's quadratic model gᵀd + ½dᵀHd.

Here g is the gradient and H the curvature of F at θ. Curvature is stale if it is an approximation
of H from an earlier point or from a sample of the rows.

- `SearchDirection`: a direction d with its decrement.
- `Derivatives`: the second derivatives that a rule wants at the next point.
- `Direction`: base class of the rules that find directions; it decides how long stale curvature is
  used.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.newton.cost import CostModel
from sklearn_bce._solvers.newton.inverse import CholeskyFactor

# Ratio of the squared decrements of two successive points up to which another step with stale
# curvature saves time: python -m benchmarks.tuning WORTH_ANOTHER
WORTH_ANOTHER = 0.1
# Radius, in Newton decrements λ, of a ball around a point that contains the minimum of F if the
# curvature in the ball is at least a half of that at the point. [a choice]
RADIUS_MARGIN = 2.0
# Samples in parts up to which the end of a run is always confirmed, in two passes. [a choice]
FEW_IN_PARTS = 10_000


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
        is_small = not d.is_stale and d.decrement <= problem.least_curvature(point.z)
        if is_small:
            return True
        here = problem.curvature_at(point)
        if not len(
            problem.samples_that_dominate(here, d.decrement, factor.norms, at_factor, d.is_stale)
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
