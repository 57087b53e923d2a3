"""The solver newton: a start rule, the loop, and a confirmation where curvature was lost.

A run is doubtful if its last decrement is not certain, see `SearchDirection`: it may have ended far
from the minimum. A doubtful run is confirmed, or continued, in a basis in which no curvature is
lost, see `whitening`.
"""

from __future__ import annotations

from dataclasses import replace

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._solvers.base import Result, Settings, StopReason
from sklearn_bce._solvers.newton.loop import Start, minimise
from sklearn_bce._solvers.newton.starts import START_RULES
from sklearn_bce._solvers.newton.whitening import whiten

# Reasons for which a run stops that are doubtful if its decrement is not certain.
DOUBTFUL = {StopReason.CONVERGED, StopReason.ROUNDING, StopReason.NO_DESCENT}
# Most bases in which a run is continued. [a choice]
MAX_BASES = 10


def solve(objective: Objective, w: Vector, b: float, settings: Settings) -> Result:
    """Minimise F by Newton's method, from the start of the first rule that applies.

    The rules are ``START_RULES``; arguments and result are those of `Solver.solve`.

    Raises
    ------
    NotFiniteError
        If an element of X is infinite or NaN.
    """
    found = (rule(objective, w, b, settings) for rule in START_RULES)
    start = next(start for start in found if start is not None)
    if isinstance(start, Result):
        return start
    result = run(start, settings)
    return result if result.is_certain else confirmed(objective, result, settings)


def run(start: Start, settings: Settings) -> Result:
    """Return the result of the loop from a start."""
    curve = list(start.loss_curve)
    end = minimise(start, replace(settings, max_iter=settings.max_iter - len(curve)))
    return Result(
        *start.to_user_weights(end.point.theta),
        end.stop_reason,
        curve + end.loss_curve,
        start.problem.n_passes,
        end.direction.path_state(end.point),
        is_certain=end.is_certain
        or end.stop_reason not in DOUBTFUL
        or end.point.value <= settings.tol,
        coordinates=start.coordinates,
    )


def confirmed(objective: Objective, result: Result, settings: Settings) -> Result:
    """Return the result of a run whose decrement is not certain, confirmed or continued.

    The run is continued in a basis in which no curvature is lost; see `whitening`.
    """
    for _ in range(MAX_BASES):
        whitened = whiten(objective, result.w, result.b, settings.tol)
        if whitened is None:
            break
        if whitened.is_minimum:
            w, b = whitened.start.to_user_weights(whitened.start.theta)
            reason = StopReason.CONVERGED if whitened.is_resolved else StopReason.PRECISION
            return replace(result, w=w, b=b, stop_reason=reason, n_passes=objective.n_passes)
        if result.n_iter >= settings.max_iter:
            reason = StopReason.MAX_ITER
            return replace(result, stop_reason=reason, n_passes=objective.n_passes)
        start = whitened.start._replace(loss_curve=tuple(result.loss_curve))
        result = run(start, settings)
        if result.stop_reason not in DOUBTFUL:
            return result
    return replace(result, stop_reason=StopReason.PRECISION, n_passes=objective.n_passes)
