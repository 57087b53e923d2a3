"""Safeguards of Newton's method: what keeps a stopping test or a step from being wrong.

Each is an object for one situation:

- `AcceptStart`: the start, or a point that awaits confirmation, may be the minimum already.
- `FinalStaleStep`: a last step may be found by the curvature of the step before.
- `OutlierProbe`: a sample far from all others may hide that the minimum is elsewhere.
- `RestartAtZero`: at a start that is sure of every sample there is no curvature to go by.
- `RoundingFloor`: what is left may be below the rounding of F.
"""

from __future__ import annotations

import numpy as np

from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.base import StopReason
from sklearn_bce._solvers.newton.direction import NO_DERIVATIVES, Direction, SearchDirection
from sklearn_bce._solvers.newton.line_search import LineSearch, Region
from sklearn_bce._solvers.newton.stopping import StoppingTest, Verdict

# Share of the squared decrement before above which a step was slow, so that the model may have seen
# but one sample, in the tail of the sigmoid. Newton's steps towards such a sample reduce the
# squared decrement to 1/e = 0.37 of it, steps that converge quadratically to much less. With 0.5, a
# fit to samples in parts with an outlier at 1e7 ends at F = 0.69 instead of 0.51:
# python -m benchmarks.tuning SLOW
SLOW = 0.2
# Share of F below which F cannot tell two points apart, as its losses and their sum are rounded:
# python -m benchmarks.tuning ROUNDING_FLOOR
ROUNDING_FLOOR = 4 * np.finfo(np.float64).eps


def rounding_floor(value: float) -> float:
    """Return the difference below which two values of F near the given one may be equal."""
    return ROUNDING_FLOOR * value


class AcceptStart:
    """Accepts a point without a step if the direction from it promises less than ``tol``."""

    def __init__(self, stop: StoppingTest) -> None:
        self._stop = stop

    def __call__(self, may_be_minimum: bool, d: SearchDirection) -> bool:
        """Return whether a point that may be the minimum is within ``tol`` of it."""
        return may_be_minimum and self._stop.is_within_tol(d)


class FinalStaleStep:
    """Takes one more step, as the last, by the curvature of the step before."""

    def __init__(self, direction: Direction, search: LineSearch, stop: StoppingTest) -> None:
        self._direction, self._search, self._stop = direction, search, stop

    def __call__(self, point: Evaluation, previous: SearchDirection) -> tuple[Evaluation, Verdict]:
        """Return where the last step leads and LAST; the point and NEXT_IS_LAST if none will do.

        Parameters
        ----------
        point : Evaluation
            Where the step before led.
        previous : SearchDirection
            The direction of the step before.
        """
        d = self._direction.from_stale_curvature(point)
        if d is None or not self._stop.stale_step_suffices(d, previous.decrement):
            return point, Verdict.NEXT_IS_LAST
        end = self._search(point, d, Region.NEAR, NO_DERIVATIVES)
        return end or point, Verdict.LAST


class OutlierProbe:
    """Looks far beyond a last step that may have seen but one sample.

    A sample far from all others bends F so much that the model sees nothing else, and with each
    step its curvature falls by a factor of e. The probe goes at once to where it has fallen silent.
    """

    def __init__(self, problem: Objective, direction: Direction) -> None:
        self._problem, self._direction = problem, direction

    def __call__(
        self, before: Evaluation, point: Evaluation, d: SearchDirection, is_slow: bool
    ) -> Evaluation | None:
        """Return a point from which to go on; None if the last step was surely the last.

        Parameters
        ----------
        before, point : Evaluation
            Where the last step began and ended.
        d : SearchDirection
            Its direction.
        is_slow : bool
            Whether it left much of the decrement before; what decides if outputs are not held.
        """
        leaves = self._problem.leaves_model_region(before, point, d.decrement)
        if not (is_slow if leaves is None else leaves):
            return None
        self._direction.invalidate_curvature()
        ray = self._problem.ray_through(before, point)
        t = ray.distant_step_length()
        if t is None:
            return None
        end = ray.evaluate(t, **self._direction.wants()._asdict())
        return end if end.value <= point.value else None


class RestartAtZero:
    """Restarts at θ = 0 if F does not fall from a start that promises more than rounding.

    Samples whose class is certain at the start leave no curvature to go by; at 0 it is at its
    largest. There is one restart.
    """

    def __init__(self, tol: float, starts_at_zero: bool) -> None:
        self._tol, self._is_spent = tol, starts_at_zero

    def __call__(self, point: Evaluation, d: SearchDirection) -> bool:
        """Return whether to restart, given that F does not fall along d; changes self."""
        if self._is_spent or not d.decrement / 2 > max(self._tol, rounding_floor(point.value)):
            return False
        self._is_spent = True
        return True


class RoundingFloor:
    """Tells why Newton's method ends where F does not fall along the direction."""

    def __call__(self, point: Evaluation, d: SearchDirection, verdict: Verdict) -> StopReason:
        """Return CONVERGED after a last step, ROUNDING if no more is left, else NO_DESCENT."""
        if verdict is Verdict.LAST:
            return StopReason.CONVERGED
        is_rounding = d.decrement / 2 <= rounding_floor(point.value)
        return StopReason.ROUNDING if is_rounding else StopReason.NO_DESCENT


class Safeguards:
    """The safeguards of one run of Newton's method.

    Parameters
    ----------
    problem : Objective
        F.
    direction, search, stop : Direction, LineSearch, StoppingTest
        What they guard.
    starts_at_zero : bool
        Whether the run starts at θ = 0.
    """

    def __init__(
        self,
        problem: Objective,
        direction: Direction,
        search: LineSearch,
        stop: StoppingTest,
        starts_at_zero: bool,
    ) -> None:
        self.accept_start = AcceptStart(stop)
        self.final_stale_step = FinalStaleStep(direction, search, stop)
        self.outlier_probe = OutlierProbe(problem, direction)
        self.restart_at_zero = RestartAtZero(stop.tol, starts_at_zero)
        self.rounding_floor = RoundingFloor()
