"""Newton's method from a start to the minimum.

- `Start`: where to begin.
- `minimise`: the loop.
- `NewtonResult`: where the loop stopped, and why.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.base import Monitor, Settings, StopReason
from sklearn_bce._solvers.newton.direction import Direction, SearchDirection
from sklearn_bce._solvers.newton.line_search import LineSearch, Region
from sklearn_bce._solvers.newton.proximal import direction_rule
from sklearn_bce._solvers.newton.safeguards import SLOW, Safeguards
from sklearn_bce._solvers.newton.stopping import StoppingTest, Verdict
from sklearn_bce._solvers.newton.subsample import rescale_diagonal

# F(0), whatever the targets are: each loss is log 2 nats.
LOSS_AT_ZERO = float(np.log(2))


class Start(NamedTuple):
    """Where Newton's method starts.

    Attributes
    ----------
    problem : Objective
        F, in the coordinates of the run.
    theta : ndarray of shape (size,)
        The start.
    matrix : ndarray of shape (size, size) or None
        A curvature like that of the problem, of a sample; it is given up.
    diagonal_is_reliable : bool
        Whether the diagonal of the matrix is like that of the problem in every entry.
    is_expected_minimum : bool
        Whether the minimum is expected at the start, from a fit with another penalty.
    to_user : callable (theta) -> (w, b) or None
        What θ means to the user; None if that is what the coordinates say.
    loss_curve : tuple of float
        F after each iteration that led to the start.
    """

    problem: Objective
    theta: Vector
    matrix: NDArray[np.float64] | None = None
    diagonal_is_reliable: bool = False
    is_expected_minimum: bool = False
    to_user: Callable[[Vector], tuple[Vector, float]] | None = None
    loss_curve: tuple[float, ...] = ()

    def at_zero(self) -> Start:
        """Return the same start at θ = 0, without the curvature, which has been used up."""
        return self._replace(theta=np.zeros_like(self.theta), matrix=None)


@dataclass(frozen=True)
class NewtonResult:
    """Where Newton's method stopped, and why.

    Attributes
    ----------
    point : Evaluation
        The place.
    stop_reason : StopReason
        Why it stopped.
    loss_curve : list of float
        F after each step.
    direction : Direction
        The rule that found the directions, with what it knows of the curvature.
    """

    point: Evaluation
    stop_reason: StopReason
    loss_curve: list[float]
    direction: Direction


def minimise(start: Start, settings: Settings) -> NewtonResult:  # noqa: C901 (at most 12)
    """Minimise F by Newton's method; see the numbered steps of `newton`."""
    problem, tol = start.problem, settings.tol
    direction = direction_rule(problem, tol, for_path=settings.warm_start)
    search = LineSearch(problem, start.is_expected_minimum or direction.penalty_dominates)
    stop = StoppingTest(tol)
    run = Run(start, direction, settings.monitor, initial_evaluation(start, direction))
    guard = Safeguards(problem, direction, search, stop, run.starts_at_zero)
    while run.n_iter < settings.max_iter:
        settings.monitor.begin()
        d = direction.at(run.point)  # 1. search direction
        if guard.accept_start(run.may_be_minimum, d):
            return run.finish(StopReason.CONVERGED)
        verdict = stop.predict(d, run.previous_decrement)
        region = search.region(run.point, d)
        if region is Region.FAR:
            direction.invalidate_curvature()
        wanted = direction.wants(verdict is not Verdict.CONTINUE)
        new = search(run.point, d, region, wanted, verdict is Verdict.LAST)  # 2. step length
        if new and verdict is not Verdict.LAST:
            direction.add_secant_pair(run.point, new)  # 3. curvature
        if new and verdict is Verdict.NEXT_IS_LAST and region is Region.NEAR:
            new, verdict = guard.final_stale_step(new, d)
        run.record(new, d)
        if run.notify_monitor():
            return run.finish(StopReason.STOPPED)
        if new and verdict is Verdict.LAST:  # 4. stop, unless an outlier hides the rest
            probe = guard.outlier_probe(run.before, run.point, d, run.is_slow)
            if probe is None:
                return run.finish(StopReason.CONVERGED)
            run.await_confirmation(probe)
        elif not new and guard.restart_at_zero(run.point, d):
            run.restart(initial_evaluation(start.at_zero(), direction))
        elif not new and tol > 0:
            return run.finish(guard.rounding_floor(run.point, d, verdict))
    return run.finish(StopReason.MAX_ITER)


class Run:
    """The state of one run of Newton's method.

    Attributes
    ----------
    point, before : Evaluation
        Where the run is, and where the last step began.
    starts_at_zero : bool
        Whether the run starts at θ = 0.
    loss_curve : list of float
        F after each step.
    previous_decrement : float
        Squared decrement of the last step; 0 before the first.
    is_slow : bool
        Whether the last step left a large share of the decrement before it.
    """

    def __init__(
        self, start: Start, direction: Direction, monitor: Monitor, point: Evaluation
    ) -> None:
        self._start, self._direction, self._monitor = start, direction, monitor
        self._to_user = start.to_user or start.problem.coordinates.to_user
        self.point = self.before = point
        self.starts_at_zero = not np.any(self.point.theta)
        self.loss_curve: list[float] = []
        self.previous_decrement, self.is_slow = 0.0, False
        self._awaiting: Evaluation | None = None  # a minimum, if the probe beyond it finds no other
        self._before_restart: Evaluation | None = None

    @property
    def n_iter(self) -> int:
        """Number of steps so far."""
        return len(self.loss_curve)

    @property
    def may_be_minimum(self) -> bool:
        """Whether the minimum is expected where the run is, or was before the last probe."""
        return self._start.is_expected_minimum or self._awaiting is not None

    def record(self, new: Evaluation | None, d: SearchDirection) -> None:
        """Add a step along d to the run; None means that F did not fall; changes self."""
        self.before, self.point = self.point, new or self.point
        self.loss_curve.append(self.point.value)
        self.is_slow = 0 < SLOW * self.previous_decrement < d.decrement
        self.previous_decrement, self._awaiting = d.decrement, None

    def notify_monitor(self) -> bool:
        """Notify the monitor of the last step; return whether the run must stop."""
        weights = partial(self._to_user, self.point.theta)
        return self._monitor.end(self.point.value, weights, self._start.problem.n_passes)

    def await_confirmation(self, probe: Evaluation) -> None:
        """Go on from a probe, and keep the point for the minimum until then; changes self."""
        self._awaiting, self.point = self.point, probe

    def restart(self, point: Evaluation) -> None:
        """Go on from a point, and keep the present one in case that too few steps are left."""
        self._before_restart, self.point = self.point, point

    def finish(self, reason: StopReason) -> NewtonResult:
        """Return the result: the point, or the lower one if the run is cut short."""
        point = self._awaiting or self.point
        if self._before_restart is not None and self._before_restart.value < point.value:
            point = self._before_restart
        self.point = point
        if not self.loss_curve:
            self.loss_curve.append(point.value)
            self.notify_monitor()
        return NewtonResult(point, reason, self.loss_curve, self._direction)


def initial_evaluation(start: Start, direction: Direction) -> Evaluation:
    """Return the evaluation at the start, or at 0 if F is no larger there.

    The direction takes over the curvature of the start, if there is one.
    """
    problem, theta = start.problem, start.theta
    wanted = direction.wants()._asdict()
    if start.matrix is not None:
        wanted = {"diagonal": not start.diagonal_is_reliable}
    point = problem.evaluate_start(theta, **wanted)
    if np.any(theta) and point.value >= LOSS_AT_ZERO:
        # A start that is wrong about most samples, and sure of it, has next to no curvature; at 0
        # the curvature is at its largest.
        point = problem.evaluate_start(np.zeros_like(theta), **wanted)
    if start.matrix is not None:
        matrix = start.matrix
        if not start.diagonal_is_reliable:
            matrix = rescale_diagonal(matrix, point.diagonal)
        direction.set_curvature(matrix)
    return point
