"""Stochastic gradient descent: the update of the derivation, by single samples or batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import kernels
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.base import Plateau, Result, Settings, Solver, StopReason
from sklearn_bce._solvers.step_size import (
    batch_lipschitz_constant,
    lipschitz_constant,
    safe_step_size,
    sample_lipschitz_constant,
)
from sklearn_bce.chain_rule import gradient, linear_output, loss_and_derivatives

# A call of a kernel handles about this many stored values, some milliseconds: Ctrl-C is noticed
# between calls.
ELEMENTS_PER_CALL = 2**22

# What a plateau does to the batch under learning_rate="auto": a constant step leaves a noise that a
# larger batch averages out (S. L. Smith et al., "Don't Decay the Learning Rate, Increase the Batch
# Size", ICLR 2018).
BATCH_GROWTH = 8


def solve(
    objective: InMemoryObjective, w: NDArray[np.float64], b: float, settings: Settings
) -> Result:
    """Pass over the samples, updating after each batch, until the loss met no longer falls."""
    objective.raise_unless_finite()
    n_samples = objective.n_samples
    batch = min(settings.batch_size, n_samples)
    eta = settings.learning_rate
    if eta == "auto":
        smoothness = batch_lipschitz_constants(objective)
        eta = safe_step_size(smoothness(batch))
    neuron = OnlineUpdater(objective, w, b)
    plateau = Plateau(settings.tol, settings.n_iter_no_change)
    order = np.arange(n_samples)
    loss_curve: list[float] = []
    converged = stopped = False
    while len(loss_curve) < settings.max_iter and not converged and not stopped:
        settings.monitor.begin()
        if settings.shuffle:
            order = settings.random_state.permutation(n_samples)
        # Like the losses, the penalty is that of the weights before they are updated: where one
        # batch holds all samples their sum is F itself, and falls with every pass.
        penalty = neuron.penalty
        loss = neuron.learn(order, eta, batch)
        loss_curve.append(loss / objective.total_weight + penalty)
        n_passes, weights = objective.n_passes + len(loss_curve), neuron.weights
        stopped = settings.monitor.end(loss_curve[-1], lambda weights=weights: weights, n_passes)
        if not np.isfinite(loss_curve[-1]):
            break
        if plateau.reached(loss_curve[-1]):
            if settings.learning_rate == "auto" and batch < n_samples:
                batch = min(BATCH_GROWTH * batch, n_samples)
                eta = safe_step_size(smoothness(batch))
                plateau = Plateau(settings.tol, settings.n_iter_no_change)
            else:
                converged = settings.tol > 0
    reason = StopReason.MAX_ITER
    if stopped:
        reason = StopReason.STOPPED
    elif converged:
        reason = StopReason.CONVERGED
    return Result(*neuron.weights, reason, loss_curve, n_passes)


def batch_lipschitz_constants(objective: InMemoryObjective) -> Callable[[int], float]:
    """Return the function that gives L for a batch size; see `_step`."""
    of_sample = sample_lipschitz_constant(objective)
    # The solver takes means over samples, F over weights.
    per_sample = float(np.sum(objective.sample_weight)) / objective.n_samples

    @cache
    def of_mean() -> float:
        # Threads add up in another order: by one of them η, and all that follows, is the same bits.
        n_threads, objective.n_threads = objective.n_threads, 1
        try:
            return per_sample * lipschitz_constant(objective)
        finally:
            objective.n_threads = n_threads

    def smoothness(batch: int) -> float:
        if batch == 1:
            return of_sample
        return batch_lipschitz_constant(batch, objective.n_samples, of_sample, of_mean())

    return smoothness


class OnlineUpdater:
    """Weights and intercept that learn from the samples of an objective in the user's units.

    A sample's share of S·F is s(L + penalty/S), so its update is
    w ← w + ηs((y−a)x − λw), b ← b + ηs(y−a), after which w is moved to 0 by ηsκ; a batch takes the
    mean of these.

    Parameters
    ----------
    objective : Objective
        The data and the penalty.
    w, b : ndarray of shape (n_features,), float
        Start; not changed.
    """

    def __init__(self, objective: InMemoryObjective, w: NDArray[np.float64], b: float) -> None:
        self.objective = objective
        # A row must lie in one piece: the only copy of X, and none if X is in C order.
        self._X = X = objective.X if issparse(objective.X) else np.ascontiguousarray(objective.X)
        self._pass, self._rows = kernels().dense_sgd_pass, (X,)
        if issparse(X):
            self._pass, self._rows = kernels().csr_sgd_pass, (X.data, X.indices, X.indptr)
        coordinates = objective.coordinates
        w, b = coordinates.to_user(coordinates.from_user(w, b))  # b is 0 if it is not to be fitted
        self._w = np.array(w, dtype=np.float64)
        # The intercept, and the scale of the weights within a pass (see the kernel).
        self._state = np.array([b, 1.0])

    @property
    def weights(self) -> tuple[NDArray[np.float64], float]:
        """Weights, a new array, and intercept."""
        return self._w.copy(), float(self._state[0])

    @property
    def penalty(self) -> float:
        """That of the weights, on the scale of F."""
        return self.objective.penalty.value(self._w)

    def learn(self, order: NDArray[np.intp], eta: float, batch: int) -> float:
        """Update after every batch of the order; return the sum of the losses s·L before it."""
        if batch == 1:
            return self._learn_one_by_one(order, eta)
        return self._learn_in_batches(order, eta, batch)

    def _learn_one_by_one(self, order: NDArray[np.intp], eta: float) -> float:
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

    def _learn_in_batches(self, order: NDArray[np.intp], eta: float, batch: int) -> float:
        objective = self.objective
        (w, b), total = self.weights, 0.0
        for rows in _batches(order, batch):
            X, y, weight = self._X[rows], objective.y[rows], objective.sample_weight[rows]
            loss, slope, _ = loss_and_derivatives(y, linear_output(X, w, b))
            total += float(np.sum(weight * loss))
            gradient_w, gradient_b = gradient(X, weight * slope)
            shrink = np.sum(weight) * objective.penalty.l2
            w -= eta / len(y) * (gradient_w + shrink * w)
            w = objective.penalty.prox(w, eta / len(y) * np.sum(weight))
            if objective.coordinates.fit_intercept:
                b -= eta / len(y) * gradient_b
        self._w, self._state[0] = w, b
        return total


def _batches(order: NDArray[np.intp], batch: int) -> Iterator[NDArray[np.intp] | slice]:
    """Yield the rows of each batch; the whole data in place where one batch holds them all."""
    if batch >= len(order):
        yield slice(None)
        return
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


SOLVER = Solver(
    solve,
    advice="Increase max_iter, scale the features, or use solver='newton'.",
)
