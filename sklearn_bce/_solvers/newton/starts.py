"""Start rules: where Newton's method begins, each rule for one kind of problem.

A rule is a callable (objective, w, b, settings) that returns a `Start`; the `Result`, if nothing is
left to do; or None if the rule does not apply. ``START_RULES`` are tried in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._solvers.base import Monitor, Result, Settings, StopReason
from sklearn_bce._solvers.newton.cost import CostModel, row_space_is_smaller
from sklearn_bce._solvers.newton.loop import Start, minimise
from sklearn_bce._solvers.newton.proximal import direction_rule
from sklearn_bce._solvers.newton.row_space import RowSpace, suboptimality_bound
from sklearn_bce._solvers.newton.subsample import STEPS_ON_SAMPLE, sample_size, sample_tol

StartRule = Callable[[Objective, Vector, float, Settings], Start | Result | None]


def along_path(objective: Objective, w: Vector, b: float, settings: Settings) -> Start | None:
    """Start where the fit before, with another penalty, predicts the minimum.

    None unless that fit was to the same samples and ended at (w, b), with an L1 norm in both.
    """
    state = settings.path_state
    if state is None or not state.applies_to(objective, w, b):
        return None
    problem = objective.in_coordinates(state.coordinates)
    theta = direction_rule(problem, settings.tol, for_path=True).predict_start(state)
    return None if theta is None else Start(problem, theta, is_expected_minimum=True)


def in_row_space(
    objective: Objective, w: Vector, b: float, settings: Settings
) -> Start | Result | None:
    """Solve the problem in as many coordinates as there are samples, if that is cheaper.

    The result has converged if the gradient with respect to the weights themselves says so too: if
    columns are of very different sizes, products of samples say little of the small ones. Otherwise
    it is where to start. None if it is not cheaper, or there is no such space.
    """
    if not starts_from_zero(w, b, settings) or not row_space_is_smaller(objective):
        return None
    space = RowSpace.of(objective)
    if space is None:
        return None
    problem = space.problem(objective).standardised()

    def to_user(theta: Vector) -> tuple[Vector, float]:
        return space.to_user(*problem.coordinates.to_user(theta))

    inside = minimise(Start(problem, np.zeros(problem.coordinates.size), to_user=to_user), settings)
    w, b = to_user(inside.point.theta)
    point = objective.evaluate(objective.coordinates.from_user(w, b))
    reason, curve = inside.stop_reason, inside.loss_curve
    if reason.is_convergence and suboptimality_bound(objective, point) > settings.tol:
        reason = StopReason.MAX_ITER
    is_final = reason.is_convergence or reason is StopReason.STOPPED
    if is_final or len(curve) == settings.max_iter:
        return Result(w, b, reason, curve, objective.n_passes)
    problem = objective.standardised()
    return Start(problem, problem.coordinates.from_user(w, b), loss_curve=tuple(curve))


def with_dominating_penalty(
    objective: Objective, w: Vector, b: float, settings: Settings
) -> Start | None:
    """Start at 0 if the penalty outweighs the loss, in coordinates that a few rows tell.

    Conjugate gradients need no more than a few products then, however large the data are: less than
    any preparation takes. None if it does not, or there are so few rows that it does not matter.
    """
    if not (starts_from_zero(w, b, settings) and sample_size(objective, settings.tol)):
        return None
    coordinates = objective.dominating_penalty_coordinates(settings.random_state)
    if coordinates is None:
        return None
    return Start(objective.in_coordinates(coordinates), np.zeros(coordinates.size))


def from_subsample(objective: Objective, w: Vector, b: float, settings: Settings) -> Start | None:
    """Start at the minimum on a few random rows, with their curvature.

    None if there are too few rows for that to be worth it, or, with an L1 norm, if all weights may
    be 0 at the minimum: so few weights are soon found on all rows, and none is exactly none.
    """
    if not starts_from_zero(w, b, settings):
        return None
    n_rows = sample_size(objective, settings.tol)
    sample = objective.subsample(n_rows, settings.random_state)
    if sample is None:
        return None
    sample = sample.standardised()  # any coordinates near the standard ones of all will do
    if sample.null_model_is_plausible():
        return None
    return solve_subsample(objective.in_coordinates(sample.coordinates), sample, settings)


def from_given(objective: Objective, w: Vector, b: float, settings: Settings) -> Start:
    """Start at (w, b), in coordinates of centred and scaled columns."""
    problem = objective.standardised()
    if not (np.any(w) or b):
        b = objective.null_intercept
    return Start(problem, problem.coordinates.from_user(w, b))


def starts_from_zero(w: Vector, b: float, settings: Settings) -> bool:
    """Return whether a rule may choose the start: none is given, and steps may be skipped."""
    return settings.tol > 0 and not (np.any(w) or b)


def solve_subsample(problem: Objective, sample: Objective, settings: Settings) -> Start:
    """Return the minimum on a sample, to its own sampling error, and the curvature there.

    The sample is solved in the same way, on a sample of its own, if it is large enough.
    """
    tol = sample_tol(sample, settings.tol)
    settings = replace(settings, tol=tol, max_iter=STEPS_ON_SAMPLE, monitor=Monitor())
    smaller = sample.subsample(sample_size(sample, tol), settings.random_state)
    start = Start(sample, np.zeros(problem.coordinates.size))
    if smaller is not None:
        start = solve_subsample(sample, smaller, settings)
    found = minimise(start, settings)
    start = Start(problem, found.point.theta)
    n_products = found.direction.n_products
    if CostModel.of(sample).worth_factorising(n_products, CostModel.of(problem)):
        point = sample.evaluate(found.point.theta, found.point.z, hessian=True)
        is_reliable = sample.diagonal_is_reliable(point)
        start = Start(problem, point.theta, point.take_hessian(), is_reliable)
    problem.count_passes_of(sample)
    return start


START_RULES: list[StartRule] = [
    along_path,
    in_row_space,
    with_dominating_penalty,
    from_subsample,
    from_given,
]
