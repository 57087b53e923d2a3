"""The solver newton: a start rule, the loop, and a confirmation where curvature was lost.

A run is doubtful if its last decrement is not certain, see `SearchDirection`, or if a few samples
make up a direction of the curvature, see `Direction.model_holds`: the run may then have ended far
from the minimum. A doubtful run is confirmed by a bound, or confirmed or continued in coordinates
in which no curvature is lost: those of `whitening` for a smooth F, those of `root_proximal` with an
L1 norm.

What is known about F − min F when a run counts as converged, with the decrement λ:

- Proved: F itself is at most ``tol``, as F is never negative. With an L1 norm: the duality gap is
  at most ``tol``, see `duality`.
- Proved but for rounding, for a doubtful run that was confirmed: F − min F <= λ² <= ``tol``, with λ
  from a factor that has lost nothing, if no output changes by 1 or more within 2λ. This follows
  from |h′| <= h for the curvature h of the loss (Bach). For samples that break the condition, λ may
  be that of F with tangents to their losses, if these add up to less than ``tol`` above the
  tangents; see `tangents`. Samples that a feature without a penalty separates may be left out, and
  their loss added to the bound, as inf F does not depend on them; see `separated_alone`. What
  columns that were left out of the basis can still gain is bounded by the penalty, ½ Σ r²/λ, or is
  0 because they depend on others exactly.
- Estimated, for a run that is not doubtful: F − min F is about λ²/2 (Boyd and Vandenberghe). The
  estimate assumes that the curvature falls to no less than a half between the last point and the
  minimum, and for stale curvature, L-BFGS and conjugate gradients, that their approximation has at
  most twice the curvature of F in the direction of the gradient; see ``MARGIN`` and
  ``STALE_MARGIN``. Samples that break the first assumption are looked for where outputs are kept
  in memory, with a factor of all samples. ``tests/tools/fuzz_fits.py`` compares the estimate with a
  referee on data for which it is hard.

References
----------
S. Boyd and L. Vandenberghe, "Convex Optimization", 2004, section 9.5. F. Bach, "Self-concordant
analysis for logistic regression", Electronic Journal of Statistics 4 (2010), section 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import NO_SAMPLES, Objective, SomeSamples
from sklearn_bce._objective.penalty import Penalty
from sklearn_bce._objective.ray import MAX_HALVINGS
from sklearn_bce._solvers.base import Monitor, Result, Settings, StopReason, rounding_floor
from sklearn_bce._solvers.newton.duality import bound_by_gap
from sklearn_bce._solvers.newton.loop import Start, minimise
from sklearn_bce._solvers.newton.robust import (
    Examined,
    exact_from_user,
    exact_to_user,
    in_robust_coordinates,
)
from sklearn_bce._solvers.newton.root_proximal import examine_by_root
from sklearn_bce._solvers.newton.separated_alone import separated_samples
from sklearn_bce._solvers.newton.starts import START_RULES, STATE_RULES
from sklearn_bce._solvers.newton.stopping import LEAST_DOUBT
from sklearn_bce._solvers.newton.whitening import bound_by_pivots, whiten

Examine = Callable[..., Examined | None]

# Reasons for which a run stops that are doubtful if its decrement is not certain.
DOUBTFUL = {StopReason.CONVERGED, StopReason.ROUNDING, StopReason.NO_DESCENT}
# Steps after which a run goes on in robust coordinates: Newton's method takes 20 at most, unless
# curvature is hidden. [a choice]
STEPS_IN_PLACE = 30
# Steps at most by which a run in doubt goes on in place: they end the doubt soon, or do not. [a
# choice]
STEPS_IN_DOUBT = 15
# Multiplications for a root of H up to which it is formed for a run that is only slow: 1 s.
# [a choice]
MAX_ROOT_WORK = 2e9
# Ratio of the bounds of two successive runs up to which another run may help. [a choice]
FALLING = 0.9
# Most robust coordinates in which a run is continued. [a choice]
MAX_BASES = 20
# Features up to which a bound by pivots takes no longer than a few steps. [a choice]
FEW_FEATURES = 100
# Runs with smaller tolerances before a bound by pivots of more features. [a choice]
RUNS_BEFORE_PIVOTS = 2
# Ratio of the tolerances of two successive runs. [a choice]
TOL_RATIO = 0.1


def solve(objective: Objective, w: Vector, b: float, settings: Settings) -> Result:
    """Minimise F by Newton's method, from the start of the first rule that applies.

    The rules are ``STATE_RULES``, if an earlier fit has left something, and ``START_RULES``; the
    arguments and the result are those of `Solver.solve`.

    Raises
    ------
    NotFiniteError
        If an element of X is infinite or NaN.
    """
    for rule in START_RULES if settings.path_state is None else STATE_RULES + START_RULES:
        start = rule(objective, w, b, settings)
        if start is not None:
            break
    if isinstance(start, Result):
        return start
    result = run(start, settings)
    if not result.is_certain and result.stop_reason in DOUBTFUL:
        result = confirmed_in_place(start.problem, result, settings)
    return result if result.is_certain else confirmed(objective, result, settings)


def run(start: Start, settings: Settings) -> Result:
    """Return the result of the loop from a start.

    A result in doubt at a large ``tol`` is followed by further steps; see ``LEAST_DOUBT``. The
    result is not certain, and the run is to go on elsewhere, if it takes many steps; see
    ``STEPS_IN_PLACE``.
    """
    curve, problem = list(start.loss_curve), start.problem
    left = settings.max_iter - len(curve)
    work = problem.n_samples * problem.n_features * min(problem.n_samples, problem.n_features)
    may_be_slow = left <= STEPS_IN_PLACE or work > MAX_ROOT_WORK or settings.tol == 0
    most = left if may_be_slow else STEPS_IN_PLACE
    settings = replace(settings, max_iter=most)
    end = minimise(start, settings)
    is_doubtful = end.stop_reason in DOUBTFUL and not end.is_certain()
    # Steps that do not end the doubt are dropped, which a fit that is watched must not see.
    if is_doubtful and settings.tol > LEAST_DOUBT and settings.monitor.is_passive:
        steps = min(most, len(end.loss_curve) + STEPS_IN_DOUBT)
        after = minimise(start, replace(settings, tol=LEAST_DOUBT, max_iter=steps), end)
        if after.stop_reason in DOUBTFUL and after.is_certain():
            end, is_doubtful = after, False
    is_slow = end.stop_reason is StopReason.MAX_ITER and most < left
    return Result(
        *start.to_user_weights(end.point.theta),
        end.stop_reason,
        curve + end.loss_curve,
        start.problem.n_passes,
        end.direction.path_state(end.point),
        is_certain=end.point.value <= settings.tol or not (is_slow or is_doubtful),
        coordinates=start.problem.coordinates if start.to_user is None else None,
    )


def confirmed_in_place(problem: Objective, result: Result, settings: Settings) -> Result:
    """Return a doubtful result, and whether a bound on F − min F in its coordinates confirms it.

    If the bound of `bound_in_place` is above ``tol``, and there is a penalty or features separate
    samples alone, the run goes on with a smaller tolerance, and again as long as that lowers the
    bound: where only its last step is in doubt, because it leads too far, this is enough. The
    result is certain if it is confirmed, or if the run was ended.

    Parameters
    ----------
    problem : Objective
        F in the coordinates of the run.
    result : Result
        The end of the run.
    settings : Settings
        Settings of the fit.
    """
    wanted = tol = wanted_tol(result, settings)
    before: float | None = None
    n_runs = 0
    separated = separated_samples(problem) if problem.penalty.is_smooth else NO_SAMPLES
    gap_may_do = pivots_are_dear(problem) and has_strength(problem.penalty)
    while result.stop_reason in DOUBTFUL:
        theta = exact_from_user(problem.coordinates, result.w, result.b)
        may_help = has_strength(problem.penalty) or bool(len(separated))
        may_go_on = may_help and result.n_iter < settings.max_iter
        is_first = gap_may_do and may_go_on and n_runs < RUNS_BEFORE_PIVOTS
        bound = bound_in_place(problem, theta, wanted, separated, by_pivots=not is_first)
        if bound <= wanted:
            result = replace(result, stop_reason=reason_at_minimum(wanted, settings))
            return replace(result, is_certain=True, n_passes=problem.n_passes)
        if bound == np.inf and not problem.penalty.is_smooth:  # outputs are not kept
            break
        helps = is_first or before is None or bound <= FALLING * before < np.inf
        if not (helps and may_go_on):
            break
        before, tol, n_runs = None if is_first else bound, tol * TOL_RATIO, n_runs + 1
        start = Start(problem, theta, loss_curve=tuple(result.loss_curve))
        result = run(start, replace(settings, tol=tol))
    is_over = result.stop_reason not in DOUBTFUL and result.is_certain
    return replace(result, is_certain=is_over, n_passes=problem.n_passes)


def bound_in_place(
    problem: Objective, theta: Vector, wanted: float, separated: SomeSamples, by_pivots: bool
) -> float:
    """Return a bound on F(θ) − inf F in nats, infinite if none is known.

    The bound is that of `bound_by_pivots`, or with an L1 norm a duality gap. Where the pivots are
    dear, it is a duality gap too, unless that is above ``wanted`` and ``by_pivots`` is True. As
    inf F does not depend on the samples ``separated``, see `separated_samples`, the bound may be
    their loss and a bound on the rest of F.
    """
    is_smooth = problem.penalty.is_smooth
    if not is_smooth or (pivots_are_dear(problem) and has_strength(problem.penalty)):
        gap = bound_by_gap(problem, theta)
        if gap <= wanted or not (by_pivots and is_smooth):
            return gap
    if not len(separated):
        return bound_by_pivots(problem, theta, wanted)
    rest = problem.without(separated)
    loss = max(problem.value_at(theta) - rest.value_at(theta), 0.0)
    return loss + bound_by_pivots(rest, theta, wanted - loss)


def pivots_are_dear(problem: Objective) -> bool:
    """Return whether F is smooth, and a root of its curvature takes as long as many steps."""
    return problem.penalty.is_smooth and problem.n_features > FEW_FEATURES


def has_strength(penalty: Penalty) -> bool:
    """Return whether there is a penalty, of any weight."""
    return bool(np.any(penalty.l1) or np.any(penalty.l2))


def confirmed(objective: Objective, result: Result, settings: Settings) -> Result:
    """Return a doubtful result, confirmed or continued in coordinates in which nothing is lost.

    Where certain samples hide the curvature of the others, the run goes on without them in every
    other coordinates; see `past_certain_samples`. The tolerance falls from one run to the next.
    """
    wanted = tol = wanted_tol(result, settings)
    examine = whiten if objective.penalty.is_smooth else examine_by_root
    for k in range(MAX_BASES):
        end = examine(objective, result.w, result.b, wanted)
        if end is None:
            break
        result = replace(result, n_passes=objective.n_passes)
        tol *= TOL_RATIO
        start = end.start._replace(loss_curve=tuple(result.loss_curve))
        if end.is_minimum:
            w, b = start.to_user_weights(start.theta)
            reason = StopReason.CONVERGED if end.is_resolved else StopReason.PRECISION
            return replace(result, w=w, b=b, stop_reason=reason, coordinates=None)
        if result.n_iter >= settings.max_iter:
            return replace(result, stop_reason=StopReason.MAX_ITER)
        is_stuck = result.stop_reason is StopReason.NO_DESCENT
        if (end.is_small or is_stuck) and len(end.beyond) and not k % 2:
            tighter = replace(settings, tol=tol)
            result = past_certain_samples(objective, result, examine, end, tighter, wanted)
            if result.is_certain:
                return result
        else:
            result = run(start, replace(settings, tol=tol))
            if result.is_certain and result.stop_reason not in DOUBTFUL:
                return result
    return replace(result, stop_reason=StopReason.PRECISION, n_passes=objective.n_passes)


def wanted_tol(result: Result, settings: Settings) -> float:
    """Return ``tol``, or the rounding of F where that is more, in nats."""
    return max(settings.tol, rounding_floor(result.loss_curve[-1]))


def reason_at_minimum(wanted: float, settings: Settings) -> StopReason:
    """Return the reason for which a run stops within ``wanted`` nats of the minimum."""
    return StopReason.CONVERGED if wanted <= settings.tol else StopReason.ROUNDING


def past_certain_samples(
    objective: Objective,
    result: Result,
    examine: Examine,
    end: Examined,
    settings: Settings,
    wanted: float,
) -> Result:
    """Return the result of a step towards the minimum of F without some samples.

    A sample whose class is nearly certain, and whose features are large, has so much curvature that
    Newton's steps are small, although its loss is hardly anything and would stay so. The minimum of
    F without such samples, or with tangents to their losses, is at most that of F. If the weights
    are within half of ``wanted`` of that minimum, and their loss, or what is above the tangents, is
    at most the other half, the result is confirmed. Otherwise the step goes to the minimum of F on
    the segment to that minimum.

    Parameters
    ----------
    objective : Objective
        F in the user's units.
    result : Result
        The result to go on from.
    examine : callable (objective, w, b, tol, left_out) -> Examined or None
        Examines the end of a run: `whiten` or `examine_by_root`.
    end : Examined
        The result in robust coordinates, and the samples to leave out.
    settings : Settings
        Settings; ``tol`` is that of the run without the samples.
    wanted : float
        Distance from the minimum, in nats, at which the result is confirmed.

    Returns
    -------
    result : Result
        It is certain if it is confirmed, or if the monitor has ended the fit.
    """
    rest = examine(objective, result.w, result.b, wanted / 2, end.beyond)
    if rest is None:
        return replace(result, is_certain=False)
    if rest.is_minimum and rest.is_resolved and rest.loss_left_out <= wanted / 2:
        return replace(result, stop_reason=StopReason.CONVERGED, is_certain=True)
    settings.monitor.begin()
    # The step is one of the fit; those of this run, whose F lacks samples, are not.
    without = run(rest.start, replace(settings, monitor=Monitor()))
    problem = in_robust_coordinates(objective, without.w, without.b)
    coordinates = problem.coordinates
    here = problem.evaluate(exact_from_user(coordinates, result.w, result.b))
    there = exact_from_user(coordinates, without.w, without.b)
    ray = problem.ray(here, there - here.theta)
    t = 1.0
    for _ in range(MAX_HALVINGS):
        if ray.value(t) < here.value:
            break
        t = min(t / 2, ray.exact_step_length())
    else:
        return replace(result, is_certain=False)
    w, b = exact_to_user(coordinates, here.theta + t * (there - here.theta))
    curve, n_passes = [*result.loss_curve, ray.value(t)], objective.n_passes
    result = replace(result, w=w, b=b, loss_curve=curve, n_passes=n_passes, coordinates=None)
    if settings.monitor.end(curve[-1], lambda: (w, b), n_passes):
        return replace(result, stop_reason=StopReason.STOPPED, is_certain=True)
    return replace(result, is_certain=False)
