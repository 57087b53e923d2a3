"""Diagnosis of the end of a fit: an estimate of F − min F."""

from __future__ import annotations

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._solvers.newton.proximal import direction_rule


@np.errstate(all="ignore")
def distance_from_minimum(objective: Objective, w: Vector, b: float) -> float | None:
    """Return an estimate of F(w, b) − min F, in nats, from the quadratic model at (w, b).

    The estimate takes a few passes. None for samples in parts, whose passes are slow.

    Parameters
    ----------
    objective : Objective
        F, in the user's units.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    """
    if objective.samples_reference() is None:
        return None
    problem = objective.standardised()
    direction = direction_rule(problem, tol=np.inf)
    theta = problem.coordinates.from_user(w, b)
    point = problem.evaluate(theta, hessian=direction.wants().hessian)
    return min(direction.at(point).decrement / 2, point.value)  # F is never below 0
