"""Gradient descent: the update of the derivation with the mean gradient of all samples.

With an L1 norm the update is followed by the proximal step, which makes zeros of small weights, and
taken from ahead of the weights: from where they would be if they moved on as they did last. Where
F would rise by that, they stay where they are and go on from rest.

References
----------
A. Beck and M. Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm", SIAM Journal on
Imaging Sciences 2 (2009). B. O'Donoghue and E. Candès, "Adaptive Restart for Accelerated Gradient
Schemes", Foundations of Computational Mathematics 15 (2015), section 3.2.
"""

from __future__ import annotations

from functools import partial

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.base import Plateau, Result, Settings, Solver, StopReason
from sklearn_bce._solvers.step_size import lipschitz_constant, safe_step_size


def solve(
    objective: InMemoryObjective, w: NDArray[np.float64], b: float, settings: Settings
) -> Result:
    """Repeat θ ← prox(θ − η ∂F/∂θ) until F no longer falls."""
    eta = settings.learning_rate
    if eta == "auto":
        eta = safe_step_size(lipschitz_constant(objective))
    plateau = Plateau(settings.tol, settings.n_iter_no_change)
    to_user = objective.coordinates.to_user
    point = before = objective.evaluate(objective.coordinates.from_user(w, b))
    plateau.reached(point.value)
    loss_curve: list[float] = []
    converged, stopped, k = False, False, 0
    while len(loss_curve) < settings.max_iter and not converged and not stopped:
        settings.monitor.begin()
        ahead = _extrapolated(objective, before, point, k / (k + 3))
        trial = objective.evaluate(_moved(objective, ahead, eta))
        if k and trial.value > point.value:
            k = 0
            if trial.value - point.value > settings.tol:  # else it may be rounding, at the minimum
                plateau.waited = 0
        else:
            before, point = point, trial
            k = 0 if objective.penalty.is_smooth else k + 1
        loss_curve.append(point.value)
        weights = partial(to_user, point.theta)
        stopped = settings.monitor.end(point.value, weights, objective.n_passes)
        if not np.isfinite(point.value):
            break
        converged = settings.tol > 0 and plateau.reached(point.value)
    w, b = to_user(point.theta)
    reason = StopReason.MAX_ITER
    if stopped:
        reason = StopReason.STOPPED
    elif converged:
        reason = StopReason.CONVERGED
    return Result(w, b, reason, loss_curve, objective.n_passes)


def _extrapolated(
    objective: InMemoryObjective, before: Evaluation, point: Evaluation, momentum: float
) -> Evaluation:
    """Return where a share of the last move leads on to; its outputs are known."""
    if momentum == 0:
        return point
    theta = point.theta + momentum * (point.theta - before.theta)
    z = point.z + momentum * (point.z - before.z) if objective.caches_outputs else None
    return objective.evaluate(theta, z)


def _moved(objective: InMemoryObjective, point: Evaluation, eta: float) -> NDArray[np.float64]:
    """Return θ after the update and the proximal step."""
    theta = point.theta - eta * point.gradient
    n_features = objective.n_features
    theta[:n_features] = objective.penalty.prox(theta[:n_features], eta)
    return theta


SOLVER = Solver(
    solve,
    advice="Increase max_iter, scale the features, or use solver='newton'.",
)
