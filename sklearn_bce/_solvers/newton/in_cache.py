"""Newton's method on data that fit into the cache: in one compiled call, without the general loop.

The call does what the loop does if each step forms the curvature of all coordinates, on a copy of
the samples in standard coordinates. It ends at the minimum, or where the loop would need a
safeguard, from where the loop goes on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective import in_memory, ray, scaling
from sklearn_bce._objective.base import SUM_ROUNDING, Objective
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.base import ROUNDING_FLOOR, Result, Settings, StopReason
from sklearn_bce._solvers.newton import inverse, line_search, proximal, quadratic, stopping
from sklearn_bce._solvers.newton.loop import Start

# Elements of X, 4 MB, and features up to which the call is faster than the loop: 1.2 to 7 times.
# More features make H dear, which the loop forms less often:
# python -m benchmarks.tuning CACHE_ELEMENTS, python -m benchmarks.tuning MOST_FEATURES
CACHE_ELEMENTS = 2**19
MOST_FEATURES = 100
# The same for a CSR matrix, of which an array is made: with 31 features a fit takes a fourth of the
# time, with 96 as long: python -m benchmarks.tuning MOST_SPARSE_FEATURES
MOST_SPARSE_FEATURES = 64
# Steps that the call does at most: where more are needed, curvature is hidden. [a choice]
STEPS_IN_CACHE = 30
# Ends of the call: those of the enumeration `End` in C.
HANDED_OVER = 0
CONVERGED = 1
MAX_ITER = 2


class Limits(NamedTuple):
    """Numbers that the call shares with the general loop, in the order of the struct in C.

    Their meaning is that of the constants of these names, from which `of` takes them.
    """

    tol: float
    max_iter: int
    worth_a_search: float
    sufficient_decrease: float
    sum_rounding: float
    max_step_length: float
    step_length_tol: float
    max_search_steps: int
    trusted_pivot: float
    stale_margin: float
    stale_step_fraction: float
    model_region: float
    negligible_decrement: float
    flat_share: float
    most_flat: int
    least_mean_square: float
    largest_mean_square: float
    inner_fraction: float
    sweeps: int
    max_rounds: int
    visible_excess: float
    end_margin: float
    rounding_floor: float
    start_limit: float
    least_doubt: float

    @classmethod
    def of(cls, tol: float, max_iter: int, size: int, start_limit: float = np.inf) -> Limits:
        """Return the limits for a tolerance, a number of steps and the length of θ.

        ``start_limit`` is F from which on a start is left to the general loop.
        """
        return cls(
            tol,
            max_iter,
            line_search.WORTH_A_SEARCH,
            line_search.SUFFICIENT_DECREASE,
            SUM_ROUNDING[np.dtype(np.float64)],
            ray.MAX_STEP_LENGTH,
            ray.STEP_LENGTH_TOL,
            ray.MAX_SEARCH_STEPS,
            inverse.TRUSTED_PIVOT,
            stopping.STALE_MARGIN,
            stopping.STALE_STEP_FRACTION,
            in_memory.MODEL_REGION,
            in_memory.NEGLIGIBLE_DECREMENT,
            in_memory.FLAT_SHARE,
            max(1, int(in_memory.WORK_ON_FLAT / size**2)),
            *scaling.SAFE_MEAN_SQUARES,
            quadratic.MIN_INNER_FRACTION,
            quadratic.SWEEPS,
            quadratic.MAX_ROUNDS,
            proximal.VISIBLE_EXCESS,
            proximal.END_MARGIN,
            ROUNDING_FLOOR,
            start_limit,
            stopping.LEAST_DOUBT,
        )


def solve_in_cache(
    objective: Objective,
    w: Vector,
    b: float,
    settings: Settings,
    to_user: Callable[[Vector, float], tuple[Vector, float]] | None = None,
) -> Result | Start | None:
    """Minimise F from (w, b), if the samples fit into the cache and nothing watches the fit.

    Parameters
    ----------
    objective : Objective
        F in the user's units.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    settings : Settings
        Settings; ``tol`` is above 0.
    to_user : callable (w, b) -> (w, b) or None, default=None
        Converts weights and intercept to those that the monitor is told; None means that they are
        the same.

    Returns
    -------
    result : Result, Start or None
        `Result` at the minimum, or after ``max_iter`` steps; `Start` at the point from which the
        general loop is to go on; None if the samples are not for the call.
    """
    X = samples_in_cache(objective) if settings.monitor.is_passive else None
    if X is None:
        return None
    call = Call(objective, X, w, b, settings)
    if not call.n_passes:
        return None
    objective.passes.add(1 + call.n_passes)
    weights = call.weights if to_user is None else lambda: to_user(*call.weights())
    n_passes = objective.n_passes
    settings.monitor.end_all(call.loss_curve, weights, n_passes)
    if call.end == HANDED_OVER or call.is_cut_short:
        problem = objective.in_coordinates(call.coordinates)
        return Start(problem, call.theta, loss_curve=tuple(call.loss_curve))
    return Result(
        *call.weights(),
        StopReason.CONVERGED if call.end == CONVERGED else StopReason.MAX_ITER,
        call.loss_curve,
        n_passes,
        coordinates=call.coordinates,
    )


def samples_in_cache(objective: Objective) -> NDArray[np.float64] | None:
    """Return the samples as an array that fits into the cache; None if they do not.

    Of a CSR matrix a new array is made. None also if they are not float64, or F has bounds.
    """
    X = objective.array
    most = MOST_FEATURES
    if X is None and objective.data_size.storage == "csr":
        X, most = objective.X, MOST_SPARSE_FEATURES
    if X is None or X.dtype != np.float64 or objective.penalty.has_bounds:
        return None
    n, p = X.shape
    if n * p > CACHE_ELEMENTS or p > min(most, n - 1):
        return None
    return X.toarray() if objective.array is None else X


class Call:
    """The call, and what it has found.

    Parameters
    ----------
    objective : Objective
        F in the user's units.
    X : ndarray of shape (n_samples, n_features), float64
        The samples, as `samples_in_cache` returns them.
    w, b : ndarray of shape (n_features,), float, and float
        Weights and intercept to start from. If they are 0, the start is
        `BaseObjective.null_intercept`.
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

    def __init__(
        self,
        objective: Objective,
        X: NDArray[np.float64],
        w: Vector,
        b: float,
        settings: Settings,
    ) -> None:
        n_features, fit_intercept = objective.n_features, objective.coordinates.fit_intercept
        self.theta, start_limit = np.empty(n_features + fit_intercept), np.inf
        self.theta[:n_features] = w
        if b or w.any():
            start_limit = objective.value_at_origin
        else:
            b = objective.null_intercept
        if fit_intercept:
            self.theta[-1] = b
        shift, scale = np.empty((2, n_features))
        curve = np.empty(min(settings.max_iter, STEPS_IN_CACHE))
        penalty = objective.penalty
        l1 = None if penalty.is_smooth else penalty.non_smooth(n_features, n_features).l1
        self.end, n_iter, self.n_passes = kernels().newton_in_cache(
            X,
            objective.y,
            objective.normalised_weight,
            objective.offset,
            fit_intercept,
            penalty.curvature_diagonal(n_features),
            l1,
            Limits.of(settings.tol, len(curve), len(self.theta), start_limit),
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
