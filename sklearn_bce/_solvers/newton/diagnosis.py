"""The distance of F from its minimum at the end of a fit, and what rounding adds to it."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._objective.root import rows_for_products
from sklearn_bce._solvers.base import Result, Settings, rounding_floor
from sklearn_bce._solvers.newton.robust import (
    exact_from_user,
    in_robust_coordinates,
    is_too_large,
    outputs_and_rounding,
)
from sklearn_bce._solvers.newton.solver import solve
from sklearn_bce.chain_rule import binary_cross_entropy

# Newton steps, at most, for the distance from the minimum. [a choice]
DISTANCE_STEPS = 100
# Tolerance, in nats, of the minimum from which the distance is measured. [a choice]
DISTANCE_TOL = 1e-9
# Most elements of a sparse X, for each stored value, for which rows are formed to tell how far F is
# exact. [a choice]
MAX_FILL = 20
# Share of the distance from the minimum up to which rounding may change it. [a choice]
RESOLVED = 0.1


class Distance(NamedTuple):
    """The distance of F from its minimum.

    Attributes
    ----------
    nats : float
        F − min F in nats, or a lower bound.
    is_known : bool
        Whether ``nats`` is the distance; if not, it is a lower bound.
    """

    nats: float
    is_known: bool

    def is_within(self, tol: float) -> bool:
        """Return whether the distance is known to be finite and at most ``tol``, in nats."""
        return self.is_known and self.nats < np.inf and self.nats <= tol

    def __str__(self) -> str:
        """Return the distance in words."""
        if not self.is_known and not self.nats:
            return "an unknown distance"
        return f"{'about' if self.is_known else 'at least'} {self.nats:.2g} nats"


@np.errstate(all="ignore")
def distance_from_minimum(objective: Objective, w: Vector, b: float) -> Distance:
    """Return F(w, b) − min F, as far as Newton's steps from (w, b) find it.

    Parameters
    ----------
    objective : Objective
        F, in the user's units; its pass counter is increased.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    """
    settings = Settings(
        max_iter=DISTANCE_STEPS, tol=DISTANCE_TOL, random_state=np.random.RandomState(0)
    )
    end = solve(objective, w, b, settings)
    n_elements = objective.n_samples * objective.n_features
    if is_too_large(objective) or n_elements > MAX_FILL * objective.data_size.n_stored:
        problem = objective.standardised()
        here = problem.value_at(problem.coordinates.from_user(w, b))
        return Distance(max(here - end.loss_curve[-1], 0.0), end.converged)
    problem = in_robust_coordinates(objective, end.w, end.b)
    (here, rounding), (there, rounding_there) = _value(problem, w, b), _value(problem, end.w, end.b)
    above, rounding = here - there, rounding + rounding_there
    is_known = end.converged and rounding <= max(RESOLVED * above, DISTANCE_TOL)
    if above <= rounding_floor(here) < np.inf:
        return Distance(0.0, is_known)
    return Distance(max(above - (0 if is_known else rounding), 0.0), is_known)


def rise_by_rounding(objective: Objective, result: Result, dtype: Any, limit: float) -> float:
    """Return by how much F rises if weights and intercept are rounded to a dtype, in nats.

    Parameters
    ----------
    objective : Objective
        F, in the user's units.
    result : Result
        Result of a solver.
    dtype : dtype
        float32 or float64.
    limit : float
        If `Result.loss_by_rounding` is at most this limit, in nats, or the rounding of F, this
        bound is the result; otherwise F is computed, in two or three passes.
    """
    bound = result.loss_by_rounding(dtype)
    if bound <= limit or bound <= rounding_floor(result.loss_curve[-1]):
        return bound
    stored_w, stored_b = result.w.astype(dtype).astype(np.float64), float(dtype.type(result.b))
    if not (np.isfinite(stored_w).all() and np.isfinite(stored_b)):
        return np.inf
    problem = in_robust_coordinates(objective, result.w, result.b)
    # The loss curve has F at the θ of the run, before that was rounded to weights of float64.
    before, (after, _) = result.loss_curve[-1], _value(problem, stored_w, stored_b)
    if stored_b != result.b or np.any(stored_w != result.w):
        before = min(before, _value(problem, result.w, result.b)[0])
    return min(max(after - before, 0.0), bound)


def _value(problem: Objective, w: Vector, b: float) -> tuple[float, float]:
    """Return F at the user's weights and intercept, and the rounding of F, in nats, in one pass.

    F is computed in float64 whatever X is. The rounding is what F rises by at most if the outputs
    of the samples are moved by their rounding.
    """
    theta = exact_from_user(problem.coordinates, w, b)
    (found,) = problem.sum_over_parts(_loss_and_rounding, theta)
    return float(found[0]) + problem.penalty.value(theta[: len(w)]), float(found[1])


def _loss_and_rounding(part: Any, theta: Vector) -> list[Vector]:
    """Return the loss of the samples of a part at θ and its rounding, in nats."""
    total = np.zeros(2)
    theta, blocks = rows_for_products(part.X, part.coordinates, theta)
    for rows, Z in blocks:
        y, (z, moved) = part.y[rows], outputs_and_rounding(part, rows, Z, theta)
        loss = binary_cross_entropy(y, z)
        ends = [binary_cross_entropy(y, z - moved), binary_cross_entropy(y, z + moved)]
        rise = np.maximum(*ends) - loss
        total += np.sum(part.normalised_weight[rows] * np.stack([loss, rise]), axis=1)
    return [total]
