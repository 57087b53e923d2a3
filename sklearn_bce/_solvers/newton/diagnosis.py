"""Diagnosis of the end of a fit: an estimate of F − min F, and whether F has a minimum.

Without a penalty F has no minimum if the classes are separated: if a linear combination of the
features, and of the constant 1 if there is an intercept, is at least 0 for every sample of one
class, at most 0 for every sample of the other, and not 0 for all samples. F then decreases towards
its infimum as the weights grow in the direction of this combination. Newton's steps converge to
that direction once F is at its minimum in the other directions.

References
----------
A. Albert and J. A. Anderson, "On the Existence of Maximum Likelihood Estimates in Logistic
Regression Models", Biometrika 71 (1984).
"""

from __future__ import annotations

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._solvers.newton.proximal import direction_rule

# Margin of a sample, in log-odds, above which a separation is looked for at the end of a fit. With
# separated classes margins grow without end; without separation only outliers have a large margin.
# [a choice]
SURE_OUTPUT = 2.0
# Most Newton steps from the end of a fit in the search for a separating direction. [a choice]
SEPARATION_STEPS = 10
# Squared decrement, in nats, at or below which F is at a minimum, so that there is no separation:
# along a separating direction F would decrease further. [a choice]
NO_SEPARATION = 1e-13
# Fraction of the largest change of an output by which an output may change in the wrong direction
# along a Newton step, which is computed to a few digits only. [a choice]
STEP_ROUNDING = 1e-6
# Fraction of the largest output by which an output of the fit itself may have the wrong sign,
# because of rounding. [a choice]
OUTPUT_ROUNDING = 1e-9


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
    if objective.zero_outputs() is None:
        return None
    problem = objective.standardised()
    direction = direction_rule(problem, tol=np.inf)
    theta = problem.coordinates.from_user(w, b)
    point = problem.evaluate(theta, hessian=direction.wants().hessian)
    return min(direction.at(point).decrement / 2, point.value)  # F is never below 0


def direction_of_separation(objective: Objective, w: Vector, b: float) -> Vector | None:
    """Return a direction of the weights along which F decreases without end.

    Parameters
    ----------
    objective : Objective
        F, in the user's units, without a penalty.
    w : ndarray of shape (n_features,), float64
        Weights at the end of a fit.
    b : float
        Intercept at the end of a fit.

    Returns
    -------
    direction : ndarray of shape (n_features,), float64, or None
        Direction in units in which the mean square of every column is 1. None if no such direction
        is found, or the samples are in parts, so that linear outputs are not kept.
    """
    z = objective.outputs(objective.coordinates.from_user(w, b))
    if z is None or not objective.largest_margin(z) > SURE_OUTPUT:
        return None
    problem = objective.standardised()
    theta = problem.coordinates.from_user(w, b)
    if objective.separates(z, OUTPUT_ROUNDING):
        return theta[: objective.n_features]
    direction = direction_rule(problem, tol=0.0)
    for _ in range(SEPARATION_STEPS):
        d = direction.at(problem.evaluate(theta, z, hessian=direction.wants().hessian))
        if d.decrement <= NO_SEPARATION:
            break
        z_direction = problem.outputs(d.vector) if d.z_direction is None else d.z_direction
        if objective.separates(z_direction, STEP_ROUNDING):
            return d.vector[: objective.n_features]
        theta, z = theta + d.vector, z + z_direction
    return None
