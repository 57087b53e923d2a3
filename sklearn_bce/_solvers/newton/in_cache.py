"""Newton's method on data that fit into the cache: in one compiled call, without the general loop.

The call does what the loop does with a factorisation in each step, on a copy of the samples in
standard coordinates. It ends at the minimum, or where the loop would need a safeguard, from where
the loop goes on.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_bce._kernels import Vector, kernels
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
HANDED_OVER, CONVERGED, MAX_ITER = 0, 1, 2


class Limits(NamedTuple):
    """Numbers that the call shares with the general loop, in the order of the struct in C."""

    tol: float
    max_iter: int
    worth_a_search: float = WORTH_A_SEARCH
    sufficient_decrease: float = SUFFICIENT_DECREASE
    sum_rounding: float = SUM_ROUNDING[np.dtype(np.float64)]
    max_step_length: float = MAX_STEP_LENGTH
    step_length_tol: float = STEP_LENGTH_TOL
    max_search_steps: int = MAX_SEARCH_STEPS
    trusted_pivot: float = TRUSTED_PIVOT
    margin_of_stale: float = STALE_MARGIN
    share_of_stale: float = STALE_STEP_FRACTION
    model_region: float = MODEL_REGION
    negligible_decrement: float = NEGLIGIBLE_DECREMENT
    flat_share: float = FLAT_SHARE
    most_flat: int = 1
    least_mean_square: float = SAFE_MEAN_SQUARES[0]
    largest_mean_square: float = SAFE_MEAN_SQUARES[1]


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
    if not fits(objective) or not settings.monitor.is_passive:
        return None
    call = Call(objective, settings)
    if not call.n_passes:
        return None
    objective.passes.add(1 + call.n_passes)
    for value in call.loss_curve:
        settings.monitor.end(value, call.weights, objective.n_passes)
    if call.end == HANDED_OVER or call.is_cut_short:
        problem = objective.in_coordinates(call.coordinates)
        return Start(problem, call.theta, loss_curve=tuple(call.loss_curve))
    return Result(
        *call.weights(),
        StopReason.CONVERGED if call.end == CONVERGED else StopReason.MAX_ITER,
        call.loss_curve,
        objective.n_passes,
        coordinates=call.coordinates,
    )


def fits(objective: Objective) -> bool:
    """Return whether F is smooth, and its samples are an array that fits into the cache."""
    X = objective.array
    if X is None or X.size > CACHE_ELEMENTS or X.shape[0] <= X.shape[1]:
        return False
    return X.dtype == np.float64 and objective.penalty.is_smooth


class Call:
    """The call, and what it has found.

    Parameters
    ----------
    objective : Objective
        F in the user's units, for which `fits` is True.
    settings : Settings
        Settings of the fit.

    Attributes
    ----------
    end : int
        ``HANDED_OVER``, ``CONVERGED`` or ``MAX_ITER``.
    theta : ndarray of shape (size,), float64
        θ at the end, in ``coordinates``.
    coordinates : Coordinates
        Standard coordinates.
    loss_curve : list of float
        F after each step, in nats.
    n_passes : int
        Evaluations of F; 0 if the samples are not for the call.
    is_cut_short : bool
        Whether more steps are allowed than the call does.
    """

    def __init__(self, objective: Objective, settings: Settings) -> None:
        n_features, fit_intercept = objective.n_features, objective.coordinates.fit_intercept
        self.theta = np.zeros(n_features + fit_intercept)
        if fit_intercept:
            self.theta[-1] = objective.null_intercept
        shift, scale = np.empty((2, n_features))
        curve = np.empty(min(settings.max_iter, STEPS_IN_CACHE))
        most_flat = max(1, int(WORK_ON_FLAT / len(self.theta) ** 2))
        self.end, n_iter, self.n_passes = kernels().newton_in_cache(
            objective.array,
            objective.y,
            objective.normalised_weight,
            objective.offset,
            fit_intercept,
            objective.penalty.curvature_diagonal(n_features),
            Limits(settings.tol, len(curve), most_flat=most_flat),
            self.theta,
            shift,
            scale,
            curve,
        )
        is_constant = scale == 0
        scale[is_constant] = 1.0
        known_constant = is_constant if is_constant.any() else None
        self.coordinates = Coordinates(shift, scale, fit_intercept, known_constant)
        self.loss_curve = curve[:n_iter].tolist()
        self.is_cut_short = self.end == MAX_ITER and n_iter < settings.max_iter

    def weights(self) -> tuple[Vector, float]:
        """Return weights and intercept at the end, in the user's units."""
        return self.coordinates.to_user(self.theta)
