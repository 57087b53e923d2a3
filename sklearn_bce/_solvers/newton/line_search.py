"""The step length t along a search direction d, for the step θ ← θ + t·d.

Near the minimum t is 1, Newton's step. Far from the minimum t minimises F on the ray: Newton's step
minimises F only if the curvature is constant, and the curvature of the loss decreases along the
step. If F has not decreased sufficiently at this t, it is halved until F has.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from sklearn_bce._objective.base import Evaluation, Objective, Ray
from sklearn_bce._solvers.newton.direction import Derivatives, SearchDirection

# Fraction of the decrease predicted by the gradient by which F must fall (Armijo's c₁, with the
# value of Nocedal and Wright, "Numerical Optimization", section 3.1).
SUFFICIENT_DECREASE = 1e-4
# Predicted decrease of F, as a fraction of F, above which the minimum on the ray is searched for.
# Without a search breast cancer and digits take 10 steps (15 or 16 passes), with it 5 or 6 (11 or
# 12 passes):
# python -m benchmarks.tuning WORTH_A_SEARCH
WORTH_A_SEARCH = 0.01


class Region(Enum):
    """Whether the quadratic model is a good approximation of F along a step."""

    NEAR = "the model is good for the whole step"
    FAR = "the curvature may change much along the step"


class LineSearch:
    """Finds the point on a ray where F has fallen enough.

    Parameters
    ----------
    problem : Objective
        F, in the coordinates of the run.
    model_holds : bool, default=False
        Whether the quadratic model is known to be good for every step of the run, so that the
        region of every step is `Region.NEAR`.
    """

    def __init__(self, problem: Objective, model_holds: bool = False) -> None:
        self._problem, self._model_holds = problem, model_holds

    def region(self, point: Evaluation, d: SearchDirection) -> Region:
        """Return whether the model is good for a step from the point along the direction.

        The region is FAR if the predicted decrease of F is more than a fraction ``WORTH_A_SEARCH``
        of F and finite.
        """
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
        """Return the evaluation at the end of a step.

        Parameters
        ----------
        point : Evaluation
            Where the step begins.
        d : SearchDirection
            Direction of the step.
        region : Region
            FAR means that the minimum of F on the ray is searched for.
        wanted : Derivatives
            Which second derivatives to form at the end of the step.
        is_last : bool, default=False
            Whether no step follows. The evaluation then may have no derivatives, if F has decreased
            sufficiently.

        Returns
        -------
        end : Evaluation or None
            None if F has not decreased sufficiently at any step length that was tried.
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
        """Return whether F has decreased sufficiently in a step.

        The step leads from ``point`` to ``end`` along d. Either F has fallen by a fraction of the
        predicted decrease; or F has not risen by more than rounding, and its derivative along d is
        at most half of that at ``point``, in absolute value. The second condition is for steps near
        the minimum, where the decrease of F is below the rounding of F: W. Hager and H. Zhang, "A
        New Conjugate Gradient Method with Guaranteed Descent and an Efficient Line Search", SIAM
        Journal on Optimization 16 (2005), equation 4.3.
        """
        decrease = point.value - end.value
        if decrease >= SUFFICIENT_DECREASE * d.decrement:
            return True
        derivative = abs(self._problem.directional_derivative(end, d.vector))
        return (
            decrease >= -self._problem.data_size.sum_rounding * point.value
            and derivative <= d.decrement / 2 < np.inf
        )

    def _halve(
        self, ray: Ray, point: Evaluation, d: SearchDirection, t: float, wanted: Derivatives
    ) -> Evaluation | None:
        """Return the evaluation at the first of t/2, t/4, ... with a sufficient decrease of F.

        None if F has not decreased sufficiently, and by more than rounding, at any of them;
        `Ray.max_halvings` limits their number.
        """
        rounding = self._problem.data_size.sum_rounding * point.value
        for _ in range(ray.max_halvings(d.decrement)):
            t /= 2
            if t * d.decrement <= rounding:  # about the most by which F falls, as it is convex
                break
            decrease = point.value - ray.value(t)
            if decrease > rounding and decrease >= SUFFICIENT_DECREASE * t * d.decrement:
                return ray.evaluate(t, **wanted._asdict())
        return None
