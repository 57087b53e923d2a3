"""The loop of Newton's method, from a start to the minimum.

- `Start`: the start and the objective.
- `minimise`: the loop.
- `Run`: the state of the loop.
- `NewtonResult`: the end of the loop, and the reason for stopping.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
from sklearn_bce._solvers.newton.safeguards import SLOW_DECREMENT_RATIO, Safeguards
from sklearn_bce._solvers.newton.stopping import StoppingTest, Verdict
from sklearn_bce._solvers.newton.subsample import rescale_diagonal


class Start(NamedTuple):
    """The start of Newton's method, with what is known about the curvature.

    Attributes
    ----------
    problem : Objective
        F, in the coordinates of the run.
    theta : ndarray of shape (size,), float64
        θ to start from.
    matrix : ndarray of shape (size, size), float64, or None, default=None
        Curvature of a sample, an approximation of that of the problem; overwritten in the run. None
        if there is no such curvature.
    diagonal_is_reliable : bool, default=False
        Whether each diagonal entry of the matrix is near that of the problem.
    is_expected_minimum : bool, default=False
        Whether the start is the minimum that was predicted from a fit with another penalty.
    to_user : callable (theta) -> (w, b) or None, default=None
        Converts θ to the user's weights and intercept; None means ``problem.coordinates.to_user``.
    loss_curve : tuple of float, default=()
        F in nats after each iteration that led to the start.
    rule : type of Direction or None, default=None
        The rule that finds search directions; None means that of `direction_rule`.
    """

    problem: Objective
    theta: Vector
    matrix: NDArray[np.float64] | None = None
    diagonal_is_reliable: bool = False
    is_expected_minimum: bool = False
    to_user: Callable[[Vector], tuple[Vector, float]] | None = None
    loss_curve: tuple[float, ...] = ()
    rule: type[Direction] | None = None

    def to_user_weights(self, theta: Vector) -> tuple[Vector, float]:
        """Return the user's weights and intercept of θ."""
        return (self.to_user or self.problem.coordinates.to_user)(theta)

    def at_origin(self) -> Start:
        """Return the same start at `Objective.origin`, without the curvature.

        The curvature of this start has been overwritten.
        """
        return self._replace(theta=self.problem.origin, matrix=None)


@dataclass(frozen=True)
class NewtonResult:
    """The end of a run of Newton's method.

    Attributes
    ----------
    point : Evaluation
        Evaluation of F at the end.
    stop_reason : StopReason
        Why the run stopped.
    loss_curve : list of float
        F after each step, in nats.
    direction : Direction
        The rule that found the search directions, with its approximation of the curvature.
    last : SearchDirection or None
        The direction by which the run has found that it is at the minimum, `SearchDirection`
        ``is_certain`` False if an outlier may hide the rest. None if that does not depend on a
        direction.
    """

    point: Evaluation
    stop_reason: StopReason
    loss_curve: list[float]
    direction: Direction
    last: SearchDirection | None

    def is_certain(self) -> bool:
        """Return whether the curvature by which the run is at the minimum is that of F.

        It must hold up to the minimum, see `Direction.model_holds`, which takes the time of a pass.
        """
        d = self.last
        return d is None or (d.is_certain and self.direction.model_holds(self.point, d))


def minimise(  # noqa: C901 (at most 12)
    start: Start, settings: Settings, before: NewtonResult | None = None
) -> NewtonResult:
    """Minimise F from a start, whose matrix is overwritten; see `newton` for steps 1 to 4.

    Parameters
    ----------
    start : Start
        The start.
    settings : Settings
        Settings; ``max_iter`` counts the steps of ``before`` as well.
    before : NewtonResult or None, default=None
        A result from the same start, at a larger ``tol``, from which the run goes on.
    """
    problem, tol = start.problem, settings.tol
    if before is None:
        direction = first_direction(start, settings)
        run = Run(start, direction, settings.monitor, initial_evaluation(start, direction))
    else:
        direction = before.direction
        point = problem.evaluate(before.point.theta, **direction.wants()._asdict())
        run = Run(start, direction, settings.monitor, point, before.loss_curve)
    search = LineSearch(problem, start.is_expected_minimum or direction.penalty_dominates)
    stop = StoppingTest(tol)
    guard = Safeguards(problem, direction, search, stop, run.starts_at_origin)
    while run.n_iter < settings.max_iter and not stop.is_proven(run.point):
        settings.monitor.begin()
        d = direction.at(run.point)  # 1. search direction
        if guard.accept_start(run.may_be_minimum, d):
            return run.finish(StopReason.CONVERGED, d)
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
                d = d._replace(is_certain=d.is_certain and not guard.outlier_probe.has_doubt)
                return run.finish(StopReason.CONVERGED, d)
            run.await_confirmation(probe)
        elif not new and guard.restart_at_origin(run.point, d):
            run.restart(initial_evaluation(start.at_origin(), direction))
        elif not new and tol > 0:
            return run.finish(guard.rounding_floor(run.point, d, verdict), d)
    is_proven = stop.is_proven(run.point)
    return run.finish(StopReason.CONVERGED if is_proven else StopReason.MAX_ITER)


class Run:
    """The state of one run of Newton's method.

    Attributes
    ----------
    point : Evaluation
        The present point.
    before : Evaluation
        The point where the last step began; the present point if there was no step.
    starts_at_origin : bool
        Whether the run starts at `Objective.origin`.
    loss_curve : list of float
        F after each step, in nats.
    previous_decrement : float
        Squared Newton decrement of the last step, in nats; 0 before the first step.
    is_slow : bool
        Whether the decrement of the last step was more than the fraction ``SLOW_DECREMENT_RATIO``
        of that of the step before.
    """

    def __init__(
        self,
        start: Start,
        direction: Direction,
        monitor: Monitor,
        point: Evaluation,
        loss_curve: Sequence[float] = (),
    ) -> None:
        self._start, self._direction, self._monitor = start, direction, monitor
        self._to_user = start.to_user_weights
        self.point = self.before = point
        self.starts_at_origin = start.problem.is_origin(self.point.theta)
        self.loss_curve = list(loss_curve)
        self.previous_decrement, self.is_slow = 0.0, False
        # The point before a probe, which is the minimum unless the run goes on from the probe.
        self._awaiting: Evaluation | None = None
        self._before_restart: Evaluation | None = None

    @property
    def n_iter(self) -> int:
        """Number of steps so far."""
        return len(self.loss_curve)

    @property
    def may_be_minimum(self) -> bool:
        """Whether the minimum is expected at the present point, or at the point before a probe."""
        return self._start.is_expected_minimum or self._awaiting is not None

    def record(self, new: Evaluation | None, d: SearchDirection) -> None:
        """Record a step along d to the point ``new``; changes self.

        None means that F did not fall, so that the run stays at its point.
        """
        self.before, self.point = self.point, new or self.point
        self.loss_curve.append(self.point.value)
        self.is_slow = 0 < SLOW_DECREMENT_RATIO * self.previous_decrement < d.decrement
        self.previous_decrement, self._awaiting = d.decrement, None

    def notify_monitor(self) -> bool:
        """Call `Monitor.end` for the last step, and return whether the run must stop."""
        weights = partial(self._to_user, self.point.theta)
        return self._monitor.end(self.point.value, weights, self._start.problem.n_passes)

    def await_confirmation(self, probe: Evaluation) -> None:
        """Continue from the probe; keep the present point as a possible minimum; changes self."""
        self._awaiting, self.point = self.point, probe

    def restart(self, point: Evaluation) -> None:
        """Continue from another point; changes self.

        The present point is kept: the run returns this point if ``max_iter`` ends the run before F
        is lower.
        """
        self._before_restart, self.point = self.point, point

    def finish(self, reason: StopReason, d: SearchDirection | None = None) -> NewtonResult:
        """Return the result of the run, which stops for the given reason; changes self.

        The end is the present point, the point before an unconfirmed probe where F is above
        ``tol``, or the point before a restart if F is lower there. A run without a step calls the
        monitor once.

        Parameters
        ----------
        reason : StopReason
            Why the run stops. CONVERGED without a direction means that F is at most ``tol``.
        d : SearchDirection or None, default=None
            The direction by which the run has found that it is at the minimum; None if the reason
            does not depend on a direction.
        """
        is_proven = reason is StopReason.CONVERGED and d is None
        point = self.point if is_proven else self._awaiting or self.point
        if self._before_restart is not None and self._before_restart.value < point.value:
            point = self._before_restart
        self.point = point
        if not self.loss_curve:
            self.loss_curve.append(point.value)
            self.notify_monitor()
        if d is not None and self._awaiting is not None:
            d = d._replace(is_certain=False)
        return NewtonResult(point, reason, self.loss_curve, self._direction, d)


def first_direction(start: Start, settings: Settings) -> Direction:
    """Return the rule that finds search directions from a start."""
    if start.rule is not None:
        return start.rule(start.problem, settings.tol)
    return direction_rule(start.problem, settings.tol, for_path=settings.warm_start)


def initial_evaluation(start: Start, direction: Direction) -> Evaluation:
    """Return the evaluation at the start, or at `Objective.origin` if F is at most as large there.

    The matrix of the start, if there is one, becomes the curvature of the direction rule, which is
    changed.
    """
    problem, theta = start.problem, start.problem.on_bounds(start.theta)
    wanted = direction.wants()._asdict()
    if start.matrix is not None:
        wanted = {"diagonal": not start.diagonal_is_reliable}
    point = problem.evaluate_start(theta, **wanted)
    if not problem.is_origin(theta) and point.value >= problem.value_at_origin:
        # At a start where most samples have a large loss, a(1 − a) and so the curvature is nearly
        # 0, and Newton's steps are useless; at θ = 0 without an offset it is at its largest.
        point = problem.evaluate_start(problem.origin, **wanted)
    if start.matrix is not None:
        matrix = start.matrix
        if not start.diagonal_is_reliable:
            matrix = rescale_diagonal(matrix, point.diagonal)
        direction.set_curvature(matrix)
    return point
