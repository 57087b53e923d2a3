"""Newton's method from a start to the minimum, whatever finds its steps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.base import Settings
from sklearn_bce._solvers.newton.direction import StepFinder
from sklearn_bce._solvers.newton.line_search import Step, beyond, go_along, is_far, is_leap
from sklearn_bce._solvers.newton.proximal import ProximalStepFinder
from sklearn_bce._solvers.newton.subsample import with_diagonal

# Upon an estimate of what is left where no step follows: by the curvature at the point itself,
# which may fall on the way, and by that of the point before, where that at the point is less.
MARGIN, MARGIN_OF_OLD = 2.0, 4.0
# What a last step by the curvature of elsewhere may leave, in units of tol: Newton's leaves less,
# and coefficients are off by the root of it.
ENOUGH = 1e-5
# A step that leaves a share so large may have seen but one sample, falling silent: see `beyond`.
LINEAR = 0.2


@dataclass(frozen=True)
class Descent:
    """How far a way down has come.

    Attributes
    ----------
    point : Point
        Where it is.
    converged : bool
        Whether that is within ``tol`` of the minimum.
    stopped : bool
        Whether its watch has ended it.
    loss_curve : list of float
        F after each step.
    n_products : float
        Products with the curvature that it took; infinite where that was formed.
    find_step : StepFinder or ProximalStepFinder
        What found its steps.
    """

    point: Evaluation
    converged: bool
    stopped: bool
    loss_curve: list[float]
    n_products: float
    find_step: StepFinder | ProximalStepFinder


class Start(NamedTuple):
    """Where a descent starts.

    Attributes
    ----------
    problem : Objective
        In the coordinates of the descent.
    theta : ndarray of shape (size,)
        The start.
    matrix : ndarray of shape (size, size) or None
        A curvature like that of the problem, of a sample.
    knows_every_column : bool
        Whether its diagonal is like that of the problem, in every entry.
    on_path : bool
        Whether it is where the minimum is expected, from that for another penalty.
    to_user : callable (theta) -> (w, b) or None
        What θ means to the user; None if that is what its coordinates say.
    """

    problem: InMemoryObjective
    theta: Vector
    matrix: NDArray[np.float64] | None = None
    knows_every_column: bool = False
    on_path: bool = False
    to_user: Callable[[Vector], tuple[Vector, float]] | None = None


def step_finder(
    problem: InMemoryObjective, tol: float, for_path: bool = False
) -> StepFinder | ProximalStepFinder:
    """Return what finds the steps of this problem, and perhaps of others along a path of C."""
    if problem.penalty.is_smooth:
        return StepFinder(problem, tol)
    return ProximalStepFinder(problem, tol, for_path)


def by_newton(start: Start, settings: Settings) -> Descent:
    """Go down by Newton's steps."""
    problem = start.problem
    find_step = step_finder(problem, settings.tol, settings.warm_start)
    point = first_point(start, find_step)
    n_products, loss_curve = 0.0, []
    converged, moved, started_elsewhere = False, True, bool(np.any(point.theta))
    last_decrement, stop, stuck, nearer = 0.0, False, None, None
    while len(loss_curve) < settings.max_iter and moved and not converged and not stop:
        settings.monitor.begin()
        step = find_step(point)
        n_products += step.n_products
        of_old_curvature = not step.n_products
        found = start.on_path or nearer is not None  # if nothing is to be gained from here
        if found and is_there(step, of_old_curvature, settings.tol):
            point, converged = nearer or point, True  # no step more
            break
        slow = 0 < LINEAR * last_decrement < step.decrement
        converged, hopeful = outlook(step, last_decrement, of_old_curvature, settings.tol)
        last_decrement = step.decrement
        near = start.on_path or find_step.penalty_prevails or not is_far(point, step)
        if not near:
            find_step.expect_other_curvature()
        hessian = find_step.needs_hessian and not hopeful
        theta, gradient, z = point.theta, point.gradient, point.z
        point, moved = go_along(
            problem,
            point,
            step,
            hessian=hessian,
            diagonal=find_step.needs_diagonal,
            search=not near and problem.caches_outputs,
            last=converged,
        )
        if not converged:
            find_step.learn(point.theta - theta, point.gradient - gradient)
        if hopeful and near and moved and not converged:
            there = after_last_step(problem, point, find_step, step.decrement, settings.tol)
            point, converged = there or point, there is not None
        loss_curve.append(point.value)
        stop = told(start, point, settings)
        nearer = None
        if converged and moved and not stop:
            point, nearer = looked_beyond(problem, find_step, (theta, z), point, step, slow)
            converged = nearer is None
        rounding = 4 * np.finfo(np.float64).eps * point.value
        if not moved and started_elsewhere and step.decrement / 2 > max(settings.tol, rounding):
            # Samples of which the neuron was sure from the start leave no curvature to go by.
            # The matrix has been taken already, and is no longer what it was.
            restart = start._replace(theta=np.zeros_like(theta), matrix=None)
            stuck, point = point, first_point(restart, find_step)
            started_elsewhere, converged, moved = False, False, True
        at_rounding = not moved and step.decrement / 2 <= rounding
        converged |= at_rounding and settings.tol > 0  # no number tells F from its minimum
        moved = moved or settings.tol == 0
    point = point if converged else nearer or point
    if stuck is not None and stuck.value < point.value:
        point = stuck  # there were too few steps left
    if not loss_curve:
        loss_curve.append(point.value)
        stop = told(start, point, settings)
    return Descent(point, converged, stop, loss_curve, n_products, find_step)


def looked_beyond(
    problem: InMemoryObjective,
    find_step: StepFinder | ProximalStepFinder,
    before: tuple[Vector, Vector | None],
    point: Evaluation,
    step: Step,
    slow: bool,
) -> tuple[Evaluation, Evaluation | None]:
    """Return where to look whether the last step was that, and where it led; None if it surely was.

    Parameters
    ----------
    before : tuple (theta, z)
        Where it came from.
    step : Step
        It.
    slow : bool
        Whether it left as much as one that sees but one sample; what is gone by where outputs are
        not known.
    """
    along = None
    if problem.caches_outputs:
        along = point.z - before[1]
        slow = is_leap(problem, before[1], along, step.decrement)
    if not slow:
        return point, None
    find_step.expect_other_curvature()
    wanted = {"hessian": find_step.needs_hessian, "diagonal": find_step.needs_diagonal}
    further = beyond(problem, point, point.theta - before[0], along, **wanted)
    return (point, None) if further is None else (further, point)


def after_last_step(
    problem: InMemoryObjective,
    point: Evaluation,
    find_step: StepFinder | ProximalStepFinder,
    last_decrement: float,
    tol: float,
) -> Evaluation | None:
    """Return where one step more leads, if the curvature of the one before tells it is the last."""
    step = find_step.again(point)
    if step is None:
        return None
    left = step.decrement**2 / 2  # times what the step before promised
    enough = left <= ENOUGH * tol * last_decrement
    return go_along(problem, point, step)[0] if enough and is_there(step, True, tol) else None


def told(start: Start, point: Evaluation, settings: Settings) -> bool:
    """Tell the watch of the point, and return whether it is to be the last."""
    to_user = start.to_user or start.problem.coordinates.to_user
    return settings.monitor.end(point.value, partial(to_user, point.theta), start.problem.n_passes)


def first_point(start: Start, find_step: StepFinder | ProximalStepFinder) -> Evaluation:
    """Return the start, or 0 if that is no worse; `find_step` takes the curvature that it has."""
    problem, theta, matrix = start.problem, start.theta, start.matrix
    wanted = {"diagonal": not start.knows_every_column}
    if matrix is None:
        wanted = {"hessian": find_step.needs_hessian, "diagonal": find_step.needs_diagonal}
    point = evaluated(problem, theta, **wanted)
    if np.any(theta) and point.value >= np.log(2):  # F(0), whatever the data
        # Where a start is wrong about most samples, and sure of it, the loss is all but straight
        # and its curvature says nothing; at 0 it is at its largest.
        point = evaluated(problem, np.zeros_like(theta), **wanted)
    if matrix is not None:
        known = start.knows_every_column
        find_step.take(matrix if known else with_diagonal(matrix, point.diagonal))
    return point


def is_there(step: Step, of_old_curvature: bool, tol: float) -> bool:
    """Return whether the point that the step leads from is within ``tol`` of the minimum."""
    margin = MARGIN_OF_OLD if of_old_curvature else MARGIN
    return step.complete and margin * step.decrement / 2 <= tol > 0


def outlook(
    step: Step, last_decrement: float, of_old_curvature: bool, tol: float
) -> tuple[bool, bool]:
    """Return whether the step is the last one, and whether the next one may be.

    Each takes off a larger share of what is left than the one before.
    """
    share = step.decrement / last_decrement if 0 <= step.decrement < last_decrement else 1.0
    left = share * step.decrement / 2
    enough = ENOUGH if of_old_curvature else np.inf
    converged = step.decrement / 2 <= tol > 0 and left <= enough * tol
    return bool(step.complete and converged), bool(step.complete and left <= tol)


def evaluated(problem: InMemoryObjective, theta: Vector, **wanted: bool) -> Evaluation:
    """Return the point, with what is wanted of the curvature; without weights z is known."""
    has_weights = np.any(theta[: problem.n_features])
    c = float(np.sum(theta[problem.n_features :]))
    z = None if has_weights else problem.constant_outputs(c)
    return problem.evaluate(theta, z, **wanted)
