"""Gradient descent: the update of the derivation with the mean gradient of all samples.

With an L1 norm this is accelerated proximal gradient descent. Each update starts from an
extrapolated point, θ plus a multiple (the momentum) of the previous step, and is followed by the
proximal step of the L1 norm, which sets small weights to 0. If F would rise, the weights are not
updated in this iteration, and the momentum restarts from 0.

References
----------
A. Beck and M. Teboulle, "A Fast Iterative Shrinkage-Thresholding Algorithm", SIAM Journal on
Imaging Sciences 2 (2009). B. O'Donoghue and E. Candès, "Adaptive Restart for Accelerated Gradient
Schemes", Foundations of Computational Mathematics 15 (2015), section 3.2.
"""

from __future__ import annotations

from functools import partial

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.base import Plateau, Result, Settings, Solver, StopReason
from sklearn_bce._solvers.step_size import lipschitz_constant, safe_step_size


def solve(objective: Objective, w: Vector, b: float, settings: Settings) -> Result:
    """Minimise F by θ ← prox(θ − η ∂F/∂θ), to its minimum or until F no longer falls.

    See `Solver.solve`.

    Raises
    ------
    ValueError
        If ``learning_rate`` is "auto" and the squares of the features overflow.
    """
    eta = settings.learning_rate
    if eta == "auto":
        eta = safe_step_size(lipschitz_constant(objective))
    plateau = Plateau(settings.tol, settings.n_iter_no_change)
    to_user = objective.coordinates.to_user
    point = before = objective.evaluate(objective.coordinates.from_user(w, b))
    plateau.reached(point.value)
    loss_curve: list[float] = []
    reason, n_steps = StopReason.MAX_ITER, 0
    while reason is StopReason.MAX_ITER and len(loss_curve) < settings.max_iter:
        settings.monitor.begin()
        momentum = objective.momentum(n_steps)
        extrapolated = _extrapolate(objective, before, point, momentum)
        trial = objective.evaluate(_update(objective, extrapolated, eta))
        if momentum and trial.value > point.value:
            n_steps = 0
            # A smaller rise may be rounding at the minimum, and counts as no improvement.
            if trial.value - point.value > settings.tol:
                plateau.n_without_improvement = 0
        else:
            before, point, n_steps = point, trial, n_steps + 1
        loss_curve.append(point.value)
        weights = partial(to_user, point.theta)
        if settings.monitor.end(point.value, weights, objective.n_passes):
            reason = StopReason.STOPPED
        elif not np.isfinite(point.value):
            break
        elif settings.tol > 0 and plateau.reached(point.value):
            reason = plateau.judged(settings.judge, weights)
    w, b = to_user(point.theta)
    return Result(w, b, reason, loss_curve, objective.n_passes)


def _extrapolate(
    objective: Objective, before: Evaluation, point: Evaluation, momentum: float
) -> Evaluation:
    """Return the evaluation at θ + momentum·(θ − θ′), with θ of ``point`` and θ′ of ``before``.

    If the momentum is 0, return ``point`` itself. Otherwise the evaluation takes a pass.
    """
    if momentum == 0:
        return point
    return objective.ray_through(before, point).evaluate(momentum)


def _update(objective: Objective, point: Evaluation, eta: float) -> Vector:
    """Return prox(θ − η ∂F/∂θ), a new array of shape (size,), for the θ of ``point``."""
    theta = point.theta - eta * point.gradient
    n_features = objective.n_features
    theta[:n_features] = objective.penalty.prox(theta[:n_features], eta)
    return theta


SOLVER = Solver(
    solve,
    advice="Increase max_iter, scale the features, or use solver='newton'.",
    uses=frozenset({"learning_rate"}),
)
