"""The step length: how far to go along a search direction.

Near the minimum it is the whole step. Far from it, it is where F is least on the ray: Newton's step
is the right one for a curvature that stays what it is, and the curvature of the loss falls on the
way. Only if F has not fallen enough there is the step halved.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from sklearn_bce._objective.base import SUM_ROUNDING, Evaluation, Objective, Ray
from sklearn_bce._solvers.newton.direction import Derivatives, SearchDirection

# Share of what the gradient promises by which F must fall (Armijo's c₁; Nocedal and Wright,
# "Numerical Optimization", section 3.1, choose the same).
SUFFICIENT_DECREASE = 1e-4
# Share of F above which the promise of a step makes its length worth a search. Without a search
# breast cancer and digits take 10 steps (15 or 16 passes), with it 5 or 6 (11 or 12 passes):
# python -m benchmarks.tuning WORTH_A_SEARCH
WORTH_A_SEARCH = 0.01


class Region(Enum):
    """Whether the quadratic model holds on the way of a step."""

    NEAR = "the model holds for the whole step"
    FAR = "the curvature may change much on the way"


class LineSearch:
    """Finds the point on a ray where F has fallen enough.

    Parameters
    ----------
    problem : Objective
        F.
    model_holds : bool, default=False
        Whether the quadratic model is known to hold everywhere, so that every step is near.
    """

    def __init__(self, problem: Objective, model_holds: bool = False) -> None:
        self._problem, self._model_holds = problem, model_holds

    def region(self, point: Evaluation, d: SearchDirection) -> Region:
        """Return whether the model holds on the way of a step."""
        is_far = WORTH_A_SEARCH * point.value < d.decrement / 2 < np.inf
        return Region.FAR if is_far and not self._model_holds else Region.NEAR

    def __call__(
        self,
        point: Evaluation,
        d: SearchDirection,
        region: Region,
        wanted: Derivatives,
        is_last: bool = False,
    ) -> Evaluation | None:
        """Return the evaluation where F has fallen enough; None if F falls nowhere on the ray.

        Parameters
        ----------
        point : Evaluation
            Where the ray begins.
        d : SearchDirection
            Its direction.
        region : Region
            If it is FAR the length is searched for.
        wanted : Derivatives
            Which second derivatives to form at the end.
        is_last : bool, default=False
            Whether no step follows, so that the evaluation may have no derivatives.
        """
        ray = self._problem.ray(point, d.vector, d.z_direction)
        if is_last and region is Region.NEAR:
            end = ray.evaluate_value(1.0)
            if end is not None and point.value - end.value >= SUFFICIENT_DECREASE * d.decrement:
                return end
        t = ray.exact_step_length() if region is Region.FAR else 1.0
        end = ray.evaluate(t, **wanted._asdict())
        if self.sufficient_decrease(point, end, d):
            return end
        return self._halve(ray, point, d, t, wanted)

    def sufficient_decrease(self, point: Evaluation, end: Evaluation, d: SearchDirection) -> bool:
        """Return whether F has fallen by a share of what was promised, or its derivative has.

        What F falls by near its minimum is lost in the rounding of F long before its derivative
        along the ray is: the test is then that of Hager and Zhang, "A New Conjugate Gradient Method
        with Guaranteed Descent and an Efficient Line Search", SIAM Journal on Optimization 16
        (2005), equation 4.3.
        """
        decrease = point.value - end.value
        if decrease >= SUFFICIENT_DECREASE * d.decrement:
            return True
        derivative = abs(self._problem.directional_derivative(end, d.vector))
        rounding = SUM_ROUNDING[self._problem.data_size.dtype] * point.value
        return decrease >= -rounding and derivative <= d.decrement / 2 < np.inf

    def _halve(
        self, ray: Ray, point: Evaluation, d: SearchDirection, t: float, wanted: Derivatives
    ) -> Evaluation | None:
        """Return the evaluation at the first of t/2, t/4, ... where F has fallen; None if none."""
        for _ in range(ray.max_halvings(d.decrement)):
            t /= 2
            decrease = point.value - ray.value(t)
            if decrease > 0 and decrease >= SUFFICIENT_DECREASE * t * d.decrement:
                return ray.evaluate(t, **wanted._asdict())
        return None
