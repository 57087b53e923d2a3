"""Safeguards of Newton's method, for situations in which a stopping test or a step may be wrong.

There is one class for each situation:

- `AcceptStart`: the start may already be the minimum, or a probe may confirm that the run is there.
- `FinalStaleStep`: the curvature of the previous step may be good enough for the last step.
- `OutlierProbe`: a sample far from all others may make the decrement small far from the minimum.
- `RestartAtOrigin`: at a start at which every class is nearly certain, no curvature is usable.
- `RoundingFloor`: the predicted decrease of F may be below the rounding of F.
"""

from __future__ import annotations

from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.base import StopReason, rounding_floor
from sklearn_bce._solvers.newton.direction import NO_DERIVATIVES, Direction, SearchDirection
from sklearn_bce._solvers.newton.line_search import LineSearch, Region
from sklearn_bce._solvers.newton.stopping import StoppingTest, Verdict

# Ratio of the squared decrements of two successive steps above which one sample, an outlier in the
# tail of the sigmoid, may dominate the model. Newton's steps towards such a sample have a ratio of
# 1/e = 0.37; steps that converge quadratically have a much smaller one. With 0.5, a fit to samples
# in parts with an outlier at 1e7 ends at F = 0.69 instead of 0.51:
# python -m benchmarks.tuning SLOW_DECREMENT_RATIO
SLOW_DECREMENT_RATIO = 0.2


class AcceptStart:
    """Ends a run without a step at a point that may be the minimum.

    Parameters
    ----------
    stop : StoppingTest
        Tests whether the point is within ``tol`` of the minimum.
    """

    def __init__(self, stop: StoppingTest) -> None:
        self._stop = stop

    def __call__(self, may_be_minimum: bool, d: SearchDirection) -> bool:
        """Return whether the run ends, because F where d begins is within ``tol`` of its minimum.

        ``may_be_minimum`` is False, and so is the result, if the run must take a step.
        """
        return may_be_minimum and self._stop.is_within_tol(d)


class FinalStaleStep:
    """Takes one more step, the last one, from the curvature of the previous step.

    Parameters
    ----------
    direction : Direction
        Finds the direction from stale curvature.
    search : LineSearch
        Finds the step length.
    stop : StoppingTest
        Tests whether such a step is enough.
    """

    def __init__(self, direction: Direction, search: LineSearch, stop: StoppingTest) -> None:
        self._direction, self._search, self._stop = direction, search, stop

    def __call__(self, point: Evaluation, previous: SearchDirection) -> tuple[Evaluation, Verdict]:
        """Take the step, if one step is expected to be enough.

        Parameters
        ----------
        point : Evaluation
            End of the previous step, where the step begins.
        previous : SearchDirection
            The direction of the previous step.

        Returns
        -------
        point : Evaluation
            End of the step; the given point if no step is taken, or F does not fall.
        verdict : Verdict
            LAST; NEXT_IS_LAST if one step is not expected to be enough, so that none is taken.
        """
        d = self._direction.from_stale_curvature(point)
        if d is None or not self._stop.stale_step_suffices(d, previous.decrement):
            return point, Verdict.NEXT_IS_LAST
        end = self._search(point, d, Region.NEAR, NO_DERIVATIVES)
        return end or point, Verdict.LAST


class OutlierProbe:
    """Evaluates F far along the last step, in case that an outlier dominated the quadratic model.

    The curvature of a sample far from all others can be so large that the decrement is small
    although F is far from its minimum. Each Newton step then changes the output of the outlier by
    about 1, and reduces its curvature by a factor of e. The probe is a point at which the curvature
    of the outlier is negligible, so that the following steps find the minimum.

    Parameters
    ----------
    problem : Objective
        F, in the coordinates of the run.
    direction : Direction
        The direction rule of the run; its curvature is invalidated by a probe.

    Attributes
    ----------
    has_doubt : bool
        Whether an outlier may have dominated the last step that was looked at.
    """

    def __init__(self, problem: Objective, direction: Direction) -> None:
        self._problem, self._direction = problem, direction
        self.has_doubt = False

    def __call__(
        self, before: Evaluation, point: Evaluation, d: SearchDirection, is_slow: bool
    ) -> Evaluation | None:
        """Return a point from which to continue; None if the end of the last step is the minimum.

        Parameters
        ----------
        before, point : Evaluation
            Begin and end of the last step.
        d : SearchDirection
            Direction of the last step.
        is_slow : bool
            Whether the decrement has fallen slowly, which indicates an outlier. Used only if the
            objective does not keep outputs in memory, from which an outlier is detected otherwise.

        Returns
        -------
        probe : Evaluation or None
            None if no outlier dominated the step, or F is larger at the probe than at ``point``.
        """
        leaves = self._problem.leaves_model_region(before, point, d.decrement)
        self.has_doubt = is_slow if leaves is None else leaves
        if not self.has_doubt:
            return None
        self._direction.invalidate_curvature()
        ray = self._problem.ray_through(before, point)
        t = ray.distant_step_length()
        if t is None:
            return None
        end = ray.evaluate(t, **self._direction.wants()._asdict())
        return end if end.value <= point.value else None


class RestartAtOrigin:
    """Restarts a run at the origin, once, if F does not fall although the model predicts it.

    The origin is `Objective.origin`. If the class of every sample is nearly certain at a point, the
    curvature of F there is nearly 0 and Newton's step is useless. At θ = 0 without an offset the
    curvature is at its largest.

    Parameters
    ----------
    tol : float
        Predicted decrease of F, in nats, up to which the run does not restart.
    starts_at_origin : bool
        Whether the run has started at the origin, so that a restart is of no use.
    """

    def __init__(self, tol: float, starts_at_origin: bool) -> None:
        self._tol, self._is_spent = tol, starts_at_origin

    def __call__(self, point: Evaluation, d: SearchDirection) -> bool:
        """Return whether to restart, given that F does not fall along d; changes self."""
        if self._is_spent or not d.decrement / 2 > max(self._tol, rounding_floor(point.value)):
            return False
        self._is_spent = True
        return True


class RoundingFloor:
    """Finds the reason for stopping at a point where F does not fall along the search direction."""

    def __call__(self, point: Evaluation, d: SearchDirection, verdict: Verdict) -> StopReason:
        """Return the reason for stopping.

        Parameters
        ----------
        point : Evaluation
            The point where F does not fall.
        d : SearchDirection
            The direction from the point.
        verdict : Verdict
            Result of the stopping test for the direction.

        Returns
        -------
        reason : StopReason
            CONVERGED if the verdict is LAST; ROUNDING if the predicted decrease is below the
            rounding of F; else NO_DESCENT.
        """
        if verdict is Verdict.LAST:
            return StopReason.CONVERGED
        is_rounding = d.decrement / 2 <= rounding_floor(point.value)
        return StopReason.ROUNDING if is_rounding else StopReason.NO_DESCENT


class Safeguards:
    """The safeguards of one run of Newton's method.

    Parameters
    ----------
    problem : Objective
        F, in the coordinates of the run.
    direction : Direction
        The direction rule of the run.
    search : LineSearch
        The line search of the run.
    stop : StoppingTest
        The stopping test of the run.
    starts_at_origin : bool
        Whether the run starts at `Objective.origin`.
    """

    def __init__(
        self,
        problem: Objective,
        direction: Direction,
        search: LineSearch,
        stop: StoppingTest,
        starts_at_origin: bool,
    ) -> None:
        self.accept_start = AcceptStart(stop)
        self.final_stale_step = FinalStaleStep(direction, search, stop)
        self.outlier_probe = OutlierProbe(problem, direction)
        self.restart_at_origin = RestartAtOrigin(stop.tol, starts_at_origin)
        self.rounding_floor = RoundingFloor()
