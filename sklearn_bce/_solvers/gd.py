"""Gradient descent: the update of the derivation with the mean gradient of all samples."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._objective import Objective
from sklearn_bce._solvers._record import Plateau, Result, Settings, Solver
from sklearn_bce._solvers._step import mean_smoothness


def solve(objective: Objective, w: NDArray[np.float64], b: float, settings: Settings) -> Result:
    """Repeat θ ← θ − η ∂F/∂θ until F no longer falls."""
    eta = settings.learning_rate
    if eta == "auto":
        eta = 1.0 / mean_smoothness(objective)
    plateau = Plateau(settings.tol, settings.n_iter_no_change)
    point = objective.evaluate(objective.coordinates.from_user(w, b))
    plateau.reached(point.value)
    loss_curve: list[float] = []
    converged = False
    while len(loss_curve) < settings.max_iter and not converged:
        point = objective.evaluate(point.theta - eta * point.gradient)
        loss_curve.append(point.value)
        if not np.isfinite(point.value):
            break
        converged = settings.tol > 0 and plateau.reached(point.value)
    w, b = objective.coordinates.to_user(point.theta)
    return Result(w, b, len(loss_curve), converged, loss_curve, objective.n_passes)


SOLVER = Solver(
    solve,
    supports_l1=False,
    advice="Increase max_iter, scale the features, or use solver='newton'.",
)
