"""Separated classes: a direction in which F falls for ever, where nothing penalises the weights.

F has no minimum if some combination of the features is at least 0 for every sample of one class, at
most 0 for every sample of the other, and not 0 for all: it falls towards its infimum as the weights
grow in that direction. Newton's steps turn to that direction as soon as all else is at its best.

References
----------
A. Albert and J. A. Anderson, "On the Existence of Maximum Likelihood Estimates in Logistic
Regression Models", Biometrika 71 (1984).
"""

from __future__ import annotations

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.newton.loop import step_finder

# Of outputs: one so far on the right side tells, in a fit that has come to its end, of weights that
# are on their way to infinity, or of an outlier.
SURE = 2.0
# Newton steps until all else is at its best; less to gain than this, in nats, is no separation.
STEPS, NOTHING = 10, 1e-13
# Outputs on the wrong side of 0 by no more than this share of the largest are rounding.
ROUNDING = 1e-6
LAST_DIGITS = 1e-9  # of the outputs of the neuron itself


def direction_of_separation(objective: InMemoryObjective, w: Vector, b: float) -> Vector | None:
    """Return a direction of the weights in which F falls for ever; None if none is seen.

    Parameters
    ----------
    objective : Objective
        In the user's units, without a penalty.
    w, b : ndarray of shape (n_features,), float
        Near the end of a fit.

    Returns
    -------
    direction : ndarray of shape (n_features,) or None
        In units in which every column has mean square 1.
    """
    z = objective.outputs(objective.coordinates.from_user(w, b))
    if z is None or not np.any(_right_side(objective, z) > SURE):
        return None
    problem = objective.standardised()
    theta = problem.coordinates.from_user(w, b)
    if separates(objective, z, LAST_DIGITS):
        return theta[: objective.n_features]
    find_step = step_finder(problem, tol=0.0)
    for _ in range(STEPS):
        step = find_step(problem.evaluate(theta, z, hessian=find_step.needs_hessian))
        if step.decrement <= NOTHING:
            break
        along = problem.outputs(step.vector) if step.along is None else step.along
        if separates(objective, along):
            return step.vector[: objective.n_features]
        theta, z = theta + step.vector, z + along
    return None


def separates(objective: InMemoryObjective, along: Vector, rounding: float = ROUNDING) -> bool:
    """Return whether in a direction the loss rises for ever of no sample, and falls of some.

    Parameters
    ----------
    along : ndarray of shape (n_samples,)
        By how much the outputs change.
    """
    counts = objective.sample_weight > 0
    y, along = objective.y[counts], along[counts]
    wrong = np.maximum(np.where(y > 0, -along, 0), np.where(y < 1, along, 0))
    return bool(np.max(wrong) <= rounding * np.max(np.abs(along)))


def _right_side(objective: InMemoryObjective, z: Vector) -> Vector:
    """Return how far each output is on the side of its target; of a soft one it is not."""
    side = np.where(objective.y == 1, z, np.where(objective.y == 0, -z, 0.0))
    return np.where(objective.sample_weight > 0, side, 0.0)


def distance_from_minimum(objective: InMemoryObjective, w: Vector, b: float) -> float | None:
    """Return an estimate of F(w, b) − min F, in nats, by the quadratic model there.

    None if the samples lie elsewhere: the estimate would take passes of its own.
    """
    if not objective.caches_outputs:
        return None
    problem = objective.standardised()
    find_step = step_finder(problem, tol=np.inf)
    theta = problem.coordinates.from_user(w, b)
    point = problem.evaluate(theta, hessian=find_step.needs_hessian)
    return min(find_step(point).decrement / 2, point.value)  # F is never below 0
