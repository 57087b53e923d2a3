"""Start rules: where Newton's method starts, with one rule for each kind of problem.

A rule is a function of the objective in the user's units, the weights w, shape (n_features,), and
the intercept b that are given, and the settings. A rule returns a `Start`; a `Result` if the rule
has found the minimum itself; or None if the rule does not apply. ``START_RULES`` are tried in
order; no rule changes w.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.base import Monitor, Result, Settings, StopReason
from sklearn_bce._solvers.newton.continuation import (
    STAGE_TOLERANCE,
    STEPS_IN_STAGE,
    is_worthwhile,
    strength_factors,
)
from sklearn_bce._solvers.newton.cost import CostModel, row_space_is_smaller
from sklearn_bce._solvers.newton.dual_ascent import solve_by_dual_ascent
from sklearn_bce._solvers.newton.in_cache import MOST_FEATURES, solve_in_cache
from sklearn_bce._solvers.newton.loop import Start, minimise
from sklearn_bce._solvers.newton.nearby import NearbyState
from sklearn_bce._solvers.newton.path import PathState
from sklearn_bce._solvers.newton.proximal import direction_rule
from sklearn_bce._solvers.newton.row_space import RowSpace, precisions, suboptimality_bound
from sklearn_bce._solvers.newton.subsample import (
    LOOSEST_SPARSE_TOL,
    STEPS_ON_SAMPLE,
    is_tall,
    sample_size,
    sample_tol,
)

# Rows for each coordinate of the part of a sample on a device that is minimised on the host: for 50
# features that takes 0.7 ms there, and with more rows longer than a step on the device. [a choice]
MIN_ROWS_FOR_CALL = 20
# Newton steps at most on a sample on a device, from the minimum on a few of its rows. [a choice]
STEPS_ON_DEVICE = 2

StartRule = Callable[[Objective, Vector, float, Settings], Start | Result | None]


def in_cache(
    objective: Objective, w: Vector, b: float, settings: Settings
) -> Result | Start | None:
    """Return the minimum of small data, or the point where a safeguard is needed.

    None if the data are not small, see `solve_in_cache`, or ``tol`` is 0.
    """
    return solve_in_cache(objective, w, b, settings) if settings.tol > 0 else None


def with_nearby_curvature(
    objective: Objective, w: Vector, b: float, settings: Settings
) -> Start | None:
    """Return a start at (w, b), where the curvature is nearly known.

    None unless the derivatives of the loss of nearly the same samples are given.
    """
    state = settings.path_state
    if not isinstance(state, NearbyState):
        return None
    known, is_expected_minimum = state
    problem = objective.in_coordinates(known.coordinates)
    theta, matrix = problem.coordinates.from_user(w, b), known.curvature(problem.penalty)
    return Start(problem, theta, matrix, True, is_expected_minimum)


def along_path(objective: Objective, w: Vector, b: float, settings: Settings) -> Start | None:
    """Return a start at the minimum that is predicted from the previous fit of a path.

    None unless the previous fit was to the same samples and ended at (w, b), and both penalties
    have an L1 norm.
    """
    state = settings.path_state
    if not isinstance(state, PathState) or not state.applies_to(objective, w, b):
        return None
    problem = objective.in_coordinates(state.coordinates)
    theta = direction_rule(problem, settings.tol, for_path=True).predict_start(state)
    return None if theta is None else Start(problem, theta, is_expected_minimum=True)


def by_dual_ascent(
    objective: Objective, w: Vector, b: float, settings: Settings
) -> Result | Start | None:
    """Return the minimum for more features than samples, found in the dual, or a start near it.

    None if the dual is not for the problem, see `solve_by_dual_ascent`, or the weights are not 0.
    """
    if not starts_from_zero(w, b, settings):
        return None
    return solve_by_dual_ascent(objective, settings)


def by_continuation(objective: Objective, w: Vector, b: float, settings: Settings) -> Start | None:
    """Return a start at the minimum for a stronger penalty, found from still stronger ones.

    The start is the given one if the penalty is not weak. None if `is_worthwhile` is False, or
    ``tol`` is 0.
    """
    if not (settings.tol > 0 and is_worthwhile(objective)):
        return None
    start = from_given(objective, w, b, settings)
    problem, point = start.problem, start.problem.evaluate_start(start.theta)
    limits = replace(settings, max_iter=STEPS_IN_STAGE, monitor=Monitor(), warm_start=False)
    for factor in strength_factors(problem, point):
        stage = Start(problem.with_penalty(problem.penalty.times(factor)), point.theta)
        tol = max(settings.tol, STAGE_TOLERANCE * point.value)
        point = minimise(stage, replace(limits, tol=tol)).point
    return start._replace(theta=point.theta)


def in_row_space(
    objective: Objective, w: Vector, b: float, settings: Settings
) -> Start | Result | None:
    """Solve the problem in the row space of X, with as many coordinates as samples.

    The solution is checked by a bound on F − min F from the gradient with respect to the weights,
    because small columns are lost in the products of samples if the columns differ much in size. If
    it fails with products in single precision, the problem is solved again in double precision.

    Returns
    -------
    result : Result, Start or None
        `Result` if the bound is at most ``tol``, the monitor has stopped the run, or ``max_iter``
        is used up. Otherwise a `Start` at the solution. None if the row space is not cheaper, or
        does not exist, or the weights are not 0.
    """
    if not starts_from_zero(w, b, settings) or not row_space_is_smaller(objective):
        return None
    curve: list[float] = []
    for precision in precisions(objective):
        space = RowSpace.of(objective, precision)
        if space is None:
            continue
        left = replace(settings, max_iter=settings.max_iter - len(curve))
        w, b, reason, more = solve_in_row_space(objective, space, left)
        curve += more
        is_final = reason.is_convergence or reason is StopReason.STOPPED
        if is_final or len(curve) == settings.max_iter:
            known = space.column_bounds(objective)
            return Result(w, b, reason, curve, objective.n_passes, coordinates=known)
    if not curve:
        return None
    problem = objective.standardised()
    return Start(problem, problem.coordinates.from_user(w, b), loss_curve=tuple(curve))


def solve_in_row_space(
    objective: Objective, space: RowSpace, settings: Settings
) -> tuple[Vector, float, StopReason, list[float]]:
    """Return weights, intercept, stop reason and loss curve of a run in the row space.

    The stop reason is MAX_ITER if the minimum there is not known to be that of F.
    """
    problem = space.problem(objective)
    v, b = np.zeros(problem.n_features), 0.0
    found = solve_in_cache(problem, v, b, settings, space.to_user)
    if isinstance(found, Result):
        w, b = space.to_user(found.w, found.b)
        reason, curve = found.stop_reason, found.loss_curve
    else:
        start = from_given(problem, v, b, settings) if found is None else found
        coordinates = start.problem.coordinates

        def to_user(theta: Vector) -> tuple[Vector, float]:
            return space.to_user(*coordinates.to_user(theta))

        left = replace(settings, max_iter=settings.max_iter - len(start.loss_curve))
        inside = minimise(start._replace(to_user=to_user), left)
        w, b = to_user(inside.point.theta)
        reason, curve = inside.stop_reason, [*start.loss_curve, *inside.loss_curve]
    point = objective.evaluate(objective.coordinates.from_user(w, b))
    if reason.is_convergence and suboptimality_bound(objective, point) > settings.tol:
        reason = StopReason.MAX_ITER
    return w, b, reason, curve


def with_dominating_penalty(
    objective: Objective, w: Vector, b: float, settings: Settings
) -> Start | None:
    """Return a start at `Objective.origin` if the penalty dominates the loss.

    Conjugate gradients then need a few products only, fewer than the other rules take for the
    start. Shift and scale of the coordinates are estimated from a few random rows. None if the
    penalty does not dominate, there are too few rows for a sample, the weights are not 0, or X is
    on a device.
    """
    # On a device the rows for the estimate take as long as the sample that another rule takes.
    if objective.data_size.storage == "device" or not starts_from_zero(w, b, settings):
        return None
    if not is_tall(objective, settings.tol):
        return None
    coordinates = objective.dominating_penalty_coordinates(settings.random_state)
    if coordinates is None:
        return None
    problem = objective.in_coordinates(coordinates)
    return Start(problem, problem.origin)


def from_subsample(objective: Objective, w: Vector, b: float, settings: Settings) -> Start | None:
    """Return a start at the minimum on a random sample of the rows, with the curvature there.

    None if there are too few rows for a sample, or the weights are not 0. With an L1 norm also None
    if all weights may be 0 at the minimum: the working set is then so small that a run on all rows
    is fast, and the minimum on a sample may have weights that are not 0.
    """
    if not starts_from_zero(w, b, settings):
        return None
    is_sparse = objective.data_size.storage == "csr"
    n_rows = sample_size(objective, min(settings.tol, LOOSEST_SPARSE_TOL if is_sparse else np.inf))
    sample = objective.subsample(n_rows, settings.random_state)
    if sample is None:
        return None
    if objective.data_size.storage == "device":
        start = from_subsample_of_device(objective, sample, settings)
        if start is not None:
            return start
    sample = sample.standardised()  # near the standard coordinates of all rows, and good enough
    if sample.null_model_is_plausible():
        return None
    coordinates = of_all_rows(objective, sample.coordinates)
    return solve_subsample(objective.in_coordinates(coordinates), sample, settings)


def from_subsample_of_device(
    objective: Objective, sample: Objective, settings: Settings
) -> Start | None:
    """Return a start at the minimum of a smooth F on a sample of an array on a device.

    The minimum on the sample, or if the sample is on the device on a few of its rows, is found in
    one compiled call on the host. In the latter case Newton's loop goes on from there on the
    sample, without a search on the ray, as it is near the minimum. None if the rows are not for the
    call, see `solve_in_cache`, or a safeguard is needed.

    Parameters
    ----------
    objective, sample : Objective
        F on all rows and on the sample, in the user's units.
    settings : Settings
        Settings of the run on all rows.
    """
    if not sample.penalty.is_smooth or sample.n_features > MOST_FEATURES:
        return None
    is_on_host = sample.data_size.storage == "dense"
    few = sample if is_on_host else sample.thinned(MIN_ROWS_FOR_CALL * sample.coordinates.size)
    limits = settings_on_sample(few, settings)
    found = solve_in_cache(few, np.zeros(sample.n_features), 0.0, limits)
    if not isinstance(found, Result):
        return None
    in_sample = sample.in_coordinates(of_all_rows(sample, found.coordinates))
    theta, z = in_sample.coordinates.from_user(found.w, found.b), None
    if not is_on_host:
        sample.count_passes_of(few)
        start = Start(in_sample, theta, is_expected_minimum=True)
        limits = replace(settings_on_sample(sample, settings), max_iter=STEPS_ON_DEVICE)
        end = minimise(start, limits).point
        theta, z = end.theta, end.z
    point = in_sample.evaluate(theta, z, hessian=True)
    is_reliable = in_sample.diagonal_is_reliable(point)
    problem = objective.in_coordinates(of_all_rows(objective, found.coordinates))
    problem.count_passes_of(sample)
    return Start(problem, theta, point.take_hessian(), is_reliable)


def settings_on_sample(sample: Objective, settings: Settings) -> Settings:
    """Return the settings of a run on a sample, given those of the run on all rows."""
    tol = sample_tol(sample, settings.tol)
    return replace(settings, tol=tol, max_iter=STEPS_ON_SAMPLE, monitor=Monitor())


def of_all_rows(objective: Objective, coordinates: Coordinates) -> Coordinates:
    """Return the coordinates of a sample for all rows, with the columns that are constant in all.

    Takes a pass if a column is constant in the sample.
    """
    columns = np.flatnonzero(coordinates.divisor == np.inf)
    if not len(columns):
        return coordinates
    deviates = objective.count_deviating(columns, coordinates.shift[columns])
    is_constant = np.zeros(len(coordinates.scale), dtype=bool)
    is_constant[columns[deviates == 0]] = True
    return replace(coordinates, is_constant=is_constant)


def from_given(objective: Objective, w: Vector, b: float, settings: Settings) -> Start:
    """Return a start at (w, b), in coordinates of centred and scaled columns.

    If w and b are 0, the intercept is `BaseObjective.null_intercept`.
    """
    problem = objective.standardised()
    if not (np.any(w) or b):
        b = objective.null_intercept
    return Start(problem, problem.coordinates.from_user(w, b))


def starts_from_zero(w: Vector, b: float, settings: Settings) -> bool:
    """Return whether a rule may choose the start: w and b are 0, and ``tol`` is above 0.

    With ``tol=0`` the run must do all ``max_iter`` iterations from the given start.
    """
    return settings.tol > 0 and not (b or w.any())


def solve_subsample(problem: Objective, sample: Objective, settings: Settings) -> Start:
    """Return a start at the minimum on a sample, with the curvature there if that saves time.

    If the sample is large enough, its minimum is found in the same way, from a smaller sample.

    Parameters
    ----------
    problem : Objective
        F on all rows; its pass counter is increased by the passes over the sample.
    sample : Objective
        F on the sample, in the same coordinates.
    settings : Settings
        Settings of the run on all rows; the run on the sample has its own ``tol`` and ``max_iter``.
    """
    settings = settings_on_sample(sample, settings)
    smaller = sample.subsample(sample_size(sample, settings.tol), settings.random_state)
    start = Start(sample, sample.origin)
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


# The rules for fits that know what an earlier fit has left, and those for all fits.
STATE_RULES: list[StartRule] = [with_nearby_curvature]
START_RULES: list[StartRule] = [
    in_cache,
    along_path,
    by_dual_ascent,
    by_continuation,
    in_row_space,
    with_dominating_penalty,
    from_subsample,
    from_given,
]
