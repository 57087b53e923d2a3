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

# The tests that the comments below name are in tests/test_hard_data.py.
#
# Log-odds: an output so far on the right side, in a fit that has come to its end, shows weights
# that are on their way to infinity, or an outlier. The tests of separation pass with 0 to 5; with
# 20, test_warning_of_separation_appears_exactly_where_a_linear_program_finds_it does not.
LARGE_MARGIN = 2.0
# Newton steps in which all else comes to its best, from near the end of a fit. With 5,
# test_warning_of_separation_appears_exactly_where_a_linear_program_finds_it fails.
SEPARATION_STEPS = 10
# Nats: a squared decrement below which there is no separation, as F would fall further. The tests
# of separation pass with 1e-9; with 1e-20, test_an_outlier_is_no_separation does not.
NO_SEPARATION = 1e-13
# Share of the largest change of an output by which an output may change to the wrong side: a step
# is solved to some digits only. With 1e-2, or with 1e-11,
# test_warning_names_the_feature_that_separates fails.
STEP_ROUNDING = 1e-6
# Share of the largest output of the fit by which an output may be on the wrong side: the last
# digits are due to rounding. With 1e-3, test_an_outlier_is_no_separation fails.
OUTPUT_ROUNDING = 1e-9


def distance_from_minimum(objective: Objective, w: Vector, b: float) -> float | None:
    """Return an estimate of F(w, b) − min F, in nats, from the quadratic model at (w, b).

    The estimate takes a few passes.

    Parameters
    ----------
    objective : Objective
        F, in the user's units.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    """
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
    if z is None or not objective.largest_margin(z) > LARGE_MARGIN:
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
