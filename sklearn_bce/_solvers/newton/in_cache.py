"""Newton's method on data that fit into the cache: in one compiled call, without the general loop.

The call does what the loop does with a factorisation in each step, on a copy of the samples in
standard coordinates. It ends at the minimum, or where the loop would need a safeguard: the loop then
goes on from that point.
"""

from __future__ import annotations

import numpy as np

from sklearn_bce._kernels import kernels
from sklearn_bce._objective.base import SUM_ROUNDING, Objective
from sklearn_bce._objective.in_memory import (
    FLAT_SHARE,
    MODEL_REGION,
    NEGLIGIBLE_DECREMENT,
    WORK_ON_FLAT,
)
from sklearn_bce._objective.ray import MAX_SEARCH_STEPS, MAX_STEP_LENGTH, STEP_LENGTH_TOL
from sklearn_bce._objective.scaling import SAFE_MEAN_SQUARES, Coordinates
from sklearn_bce._solvers.base import Result, Settings, StopReason
from sklearn_bce._solvers.newton.inverse import TRUSTED_PIVOT
from sklearn_bce._solvers.newton.line_search import SUFFICIENT_DECREASE, WORTH_A_SEARCH
from sklearn_bce._solvers.newton.loop import Start
from sklearn_bce._solvers.newton.stopping import STALE_MARGIN, STALE_STEP_FRACTION

# Elements of X up to which a copy of X fits into the second-level cache of a core, 1 MB and more on
# current processors.
CACHE_ELEMENTS = 2**17
# Steps that the call does at most: where more are needed, curvature is hidden. [a choice]
STEPS_IN_CACHE = 30
# Ends of the call.
CONVERGED, MAX_ITER = 1, 2


def solve_in_cache(objective: Objective, settings: Settings) -> Result | Start | None:
    """Minimise F from weights of 0, if the samples fit into the cache and nothing watches the fit.

    Parameters
    ----------
    objective : Objective
        F in the user's units.
    settings : Settings
        Settings; ``tol`` is above 0.

    Returns
    -------
    result : Result, Start or None
        `Result` at the minimum, or after ``max_iter`` steps; `Start` at the point from which the
        general loop is to go on; None if the samples are not for the call.
    """
    X = objective.array
    if X is None or X.size > CACHE_ELEMENTS or not objective.penalty.is_smooth:
        return None
    if not settings.monitor.is_passive or X.shape[0] <= X.shape[1]:
        return None
    n_features, fit_intercept = X.shape[1], objective.coordinates.fit_intercept
    theta = np.zeros(n_features + fit_intercept)
    if fit_intercept:
        theta[-1] = objective.null_intercept
    shift, scale = np.empty((2, n_features))
    curve = np.empty(min(settings.max_iter, STEPS_IN_CACHE))
    limits = (settings.tol, len(curve), *LIMITS, *of_size(len(theta)), *SAFE_MEAN_SQUARES)
    end, n_iter, n_passes = kernels().newton_in_cache(
        X,
        objective.y,
        objective.normalised_weight,
        objective.offset,
        fit_intercept,
        objective.penalty.curvature_diagonal(n_features),
        limits,
        theta,
        shift,
        scale,
        curve,
    )
    if not n_passes:
        return None
    objective.passes.add(1 + n_passes)
    is_constant = scale == 0
    scale[is_constant] = 1.0
    coordinates = Coordinates(
        shift, scale, fit_intercept, is_constant if is_constant.any() else None
    )
    loss_curve = curve[:n_iter].tolist()
    if end == CONVERGED or (end == MAX_ITER and n_iter == settings.max_iter):
        reason = StopReason.CONVERGED if end == CONVERGED else StopReason.MAX_ITER
        return Result(
            *coordinates.to_user(theta),
            reason,
            loss_curve,
            objective.n_passes,
            coordinates=coordinates,
        )
    problem = objective.in_coordinates(coordinates)
    return Start(problem, theta, loss_curve=tuple(loss_curve))


# Numbers that the call shares with the general loop, in the order of its struct `Limits`.
LIMITS = (
    WORTH_A_SEARCH,
    SUFFICIENT_DECREASE,
    SUM_ROUNDING[np.dtype(np.float64)],
    MAX_STEP_LENGTH,
    STEP_LENGTH_TOL,
    MAX_SEARCH_STEPS,
    TRUSTED_PIVOT,
    STALE_MARGIN,
    STALE_STEP_FRACTION,
    MODEL_REGION,
    NEGLIGIBLE_DECREMENT,
)


def of_size(size: int) -> tuple[float, int]:
    """Return the limits that depend on the length of θ: of the share and the number of samples."""
    return FLAT_SHARE, max(1, int(WORK_ON_FLAT / size**2))
