"""Stochastic gradient descent: the update of the derivation, by single samples or mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.base import Plateau, Result, Settings, Solver, StopReason
from sklearn_bce._solvers.step_size import (
    batch_lipschitz_constant,
    lipschitz_constant,
    safe_step_size,
    sample_lipschitz_constant,
)
from sklearn_bce.chain_rule import gradient, linear_output, loss_and_derivatives

# Stored values that one call of a kernel handles. At 0.5 to 3 ns for each (see `newton.cost`) a
# call takes 2 to 13 ms, and Ctrl-C is noticed between calls. [a choice]
ELEMENTS_PER_CALL = 2**22
# Factor by which a plateau enlarges the batch under learning_rate="auto": a constant step leaves a
# noise that a larger batch averages out (S. L. Smith et al., "Don't Decay the Learning Rate,
# Increase the Batch Size", ICLR 2018). Eight leads from 1 to 10⁶ samples in seven plateaus:
# python -m benchmarks.tuning BATCH_GROWTH
BATCH_GROWTH = 8


class BatchSchedule:
    """Batch size and step size of sgd, and when the loss has stopped falling.

    Parameters
    ----------
    objective : InMemoryObjective
        F, in the user's units.
    settings : Settings
        With a ``learning_rate`` of "auto" the batch grows at each plateau, and the step with it.

    Attributes
    ----------
    batch : int
        Samples per update.
    eta : float
        Step size.
    """

    def __init__(self, objective: InMemoryObjective, settings: Settings) -> None:
        self._n_samples, self._settings = objective.n_samples, settings
        self.batch = min(settings.batch_size, self._n_samples)
        self.eta, self._lipschitz = settings.learning_rate, None
        if self.eta == "auto":
            self._lipschitz = batch_lipschitz_constants(objective)
            self.eta = safe_step_size(self._lipschitz(self.batch))
        self._plateau = Plateau(settings.tol, settings.n_iter_no_change)

    def is_final_plateau(self, loss: float) -> bool:
        """Add the loss of a pass; return whether it has stopped falling for good; changes self.

        At a plateau that a larger batch may end, the batch grows and the result is False.
        """
        if not self._plateau.reached(loss):
            return False
        if self._lipschitz is None or self.batch == self._n_samples:
            return True
        self.batch = min(BATCH_GROWTH * self.batch, self._n_samples)
        self.eta = safe_step_size(self._lipschitz(self.batch))
        self._plateau = Plateau(self._settings.tol, self._settings.n_iter_no_change)
        return False


def solve(objective: InMemoryObjective, w: Vector, b: float, settings: Settings) -> Result:
    """Pass over the samples, updating after each batch, until the loss met no longer falls."""
    objective.raise_unless_finite()
    schedule = BatchSchedule(objective, settings)
    updater = OnlineUpdater(objective, w, b)
    order = np.arange(objective.n_samples)
    loss_curve: list[float] = []
    reason = StopReason.MAX_ITER
    while reason is StopReason.MAX_ITER and len(loss_curve) < settings.max_iter:
        settings.monitor.begin()
        if settings.shuffle:
            order = settings.random_state.permutation(objective.n_samples)
        # Like the losses, the penalty is that of the weights before they are updated: if one batch
        # holds all samples their sum is F itself, and falls with every pass.
        penalty = updater.penalty
        loss = updater.update(order, schedule.eta, schedule.batch)
        loss_curve.append(loss / objective.total_weight + penalty)
        n_passes, weights = objective.n_passes + len(loss_curve), updater.weights
        if settings.monitor.end(loss_curve[-1], lambda weights=weights: weights, n_passes):
            reason = StopReason.STOPPED
        elif not np.isfinite(loss_curve[-1]):
            break
        elif schedule.is_final_plateau(loss_curve[-1]) and settings.tol > 0:
            reason = StopReason.CONVERGED
    return Result(*updater.weights, reason, loss_curve, n_passes)


def batch_lipschitz_constants(objective: InMemoryObjective) -> Callable[[int], float]:
    """Return the function that gives L for a batch size; see `step_size`."""
    of_sample = sample_lipschitz_constant(objective)
    # The solver takes means over samples, F over weights.
    per_sample = float(np.sum(objective.sample_weight)) / objective.n_samples

    @cache
    def of_mean() -> float:
        # Threads add up in another order: on one thread η, and all that follows, is the same bits.
        return per_sample * lipschitz_constant(objective.on_one_thread())

    def of_batch(batch: int) -> float:
        if batch == 1:
            return of_sample
        return batch_lipschitz_constant(batch, objective.n_samples, of_sample, of_mean())

    return of_batch


class OnlineUpdater:
    """Weights and intercept that are updated by the samples of an objective in the user's units.

    A sample contributes s(L + penalty/S) to S·F, so its update is w ← w + ηs((y−a)x − λw),
    b ← b + ηs(y−a), after which w moves towards 0 by ηsκ; a batch takes the mean of these.

    Parameters
    ----------
    objective : InMemoryObjective
        The samples and the penalty.
    w, b : ndarray of shape (n_features,), float
        Start; not changed.
    """

    def __init__(self, objective: InMemoryObjective, w: Vector, b: float) -> None:
        self.objective = objective
        # A row must lie in one piece: the only copy of X, and none if X is in C order.
        self._X = X = objective.X if issparse(objective.X) else np.ascontiguousarray(objective.X)
        penalty = objective.penalty
        # The loop over samples takes one strength for all weights.
        self._has_one_strength = np.ndim(penalty.l2) == np.ndim(penalty.l1) == 0
        self._pass, self._rows = kernels().dense_sgd_pass, (X,)
        if issparse(X):
            self._pass, self._rows = kernels().csr_sgd_pass, (X.data, X.indices, X.indptr)
        coordinates = objective.coordinates
        w, b = coordinates.to_user(coordinates.from_user(w, b))  # b is 0 if it is not to be fitted
        self._w = np.array(w, dtype=np.float64)
        # The intercept, and the scale of the weights within a pass (see the kernel).
        self._state = np.array([b, 1.0])

    @property
    def weights(self) -> tuple[Vector, float]:
        """Weights, a new array of shape (n_features,), and intercept."""
        return self._w.copy(), float(self._state[0])

    @property
    def penalty(self) -> float:
        """Penalty of the weights, on the scale of F, in nats."""
        return self.objective.penalty.value(self._w)

    def update(self, order: NDArray[np.intp], eta: float, batch: int) -> float:
        """Update after every batch of the order; return Σ s·L, each loss before its update.

        It changes self.
        """
        if batch == 1 and self._has_one_strength:
            return self._update_by_samples(order, eta)
        return self._update_by_batches(order, eta, batch)

    def _update_by_samples(self, order: NDArray[np.intp], eta: float) -> float:
        objective = self.objective
        stored_values = self._rows[0].size
        per_call = max(1, len(order) * ELEMENTS_PER_CALL // max(stored_values, 1))
        loss = sum(
            self._pass(
                *self._rows,
                objective.y,
                objective.sample_weight,
                order[start : start + per_call],
                self._w,
                self._state,
                eta,
                objective.penalty.l2,
                objective.penalty.l1,
                objective.coordinates.fit_intercept,
            )
            for start in range(0, len(order), per_call)
        )
        self._w *= self._state[1]
        self._state[1] = 1.0
        return loss

    def _update_by_batches(self, order: NDArray[np.intp], eta: float, batch: int) -> float:
        objective = self.objective
        (w, b), total = self.weights, 0.0
        for rows in _batches(order, batch):
            X, y, sample_weight = self._X[rows], objective.y[rows], objective.sample_weight[rows]
            loss, slope, _ = loss_and_derivatives(y, linear_output(X, w, b))
            total += float(np.sum(sample_weight * loss))
            gradient_w, gradient_b = gradient(X, sample_weight * slope)
            shrink = np.sum(sample_weight) * objective.penalty.l2
            w -= eta / len(y) * (gradient_w + shrink * w)
            w = objective.penalty.prox(w, eta / len(y) * np.sum(sample_weight))
            if objective.coordinates.fit_intercept:
                b -= eta / len(y) * gradient_b
        self._w, self._state[0] = w, b
        return total


def _batches(order: NDArray[np.intp], batch: int) -> Iterator[NDArray[np.intp] | slice]:
    """Yield the rows of each batch; the whole data in place if one batch holds them all."""
    if batch >= len(order):
        yield slice(None)
        return
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


SOLVER = Solver(
    solve,
    advice="Increase max_iter, scale the features, or use solver='newton'.",
)
