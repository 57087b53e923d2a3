"""The distance of F from its minimum, at the end of a fit."""

from __future__ import annotations

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._solvers.base import Settings
from sklearn_bce._solvers.newton.solver import solve

# Newton steps, at most, for the distance from the minimum; a fit that is near it needs two to four.
# [a choice]
DISTANCE_STEPS = 10
# Tolerance, in nats, of the minimum from which the distance is measured. [a choice]
DISTANCE_TOL = 1e-9


@np.errstate(all="ignore")
def distance_from_minimum(objective: Objective, w: Vector, b: float) -> float:
    """Return F(w, b) − min F, in nats, as far as a few of Newton's steps from (w, b) find it.

    Parameters
    ----------
    objective : Objective
        F, in the user's units; its pass counter is increased.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    """
    problem = objective.standardised()
    here = problem.value_at(problem.coordinates.from_user(w, b))
    settings = Settings(
        max_iter=DISTANCE_STEPS, tol=DISTANCE_TOL, random_state=np.random.RandomState(0)
    )
    return max(here - solve(objective, w, b, settings).loss_curve[-1], 0.0)
