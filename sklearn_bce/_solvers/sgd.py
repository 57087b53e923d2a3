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

# Most stored values of X that one call of a kernel reads. At 0.5 to 3 ns for each (see
# `newton.cost`) a call takes 2 to 13 ms, and Ctrl-C takes effect between calls. [a choice]
ELEMENTS_PER_CALL = 2**22
# Factor by which the batch grows at a plateau if learning_rate="auto". With a constant step size
# the weights fluctuate around the minimum, and a larger batch reduces the fluctuation (S. L. Smith
# et al., "Don't Decay the Learning Rate, Increase the Batch Size", ICLR 2018). With 8, the batch
# grows from 1 to 10⁶ samples in seven plateaus:
# python -m benchmarks.tuning BATCH_GROWTH
BATCH_GROWTH = 8


class BatchSchedule:
    """Batch size and step size of sgd, and the test of whether the loss has stopped falling.

    Parameters
    ----------
    objective : InMemoryObjective
        F, in the user's units.
    settings : Settings
        If ``learning_rate`` is "auto", batch size and step size grow at each plateau.

    Attributes
    ----------
    batch : int
        Number of samples in an update.
    eta : float
        Step size η.
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
        """Add the loss of a pass, and return whether the fit is to end; changes self.

        At a plateau, if ``learning_rate`` is "auto" and the batch does not contain all samples yet,
        the batch grows and the result is False. At any other plateau the result is True.
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
    """Minimise F by passes over the samples, with an update after each batch; see `Solver.solve`.

    The solver stops when the loss curve no longer falls.

    Raises
    ------
    NotFiniteError
        If an element of X is infinite or NaN.
    ValueError
        If ``learning_rate`` is "auto" and the squares of the features overflow.
    """
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
        # The penalty is taken before the updates, as are the losses: if one batch contains all
        # samples, the entry of the loss curve is F before the update, which falls with every pass.
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
    """Return the function from a batch size to the Lipschitz constant L; see `step_size`.

    The first call for a batch size above 1 takes passes over X.

    Raises
    ------
    ValueError
        If the squares of the features overflow.
    """
    of_sample = sample_lipschitz_constant(objective)
    # Updates of sgd divide a sum by the number of samples, F divides it by the sum of the weights.
    per_sample = float(np.sum(objective.sample_weight)) / objective.n_samples

    @cache
    def of_mean() -> float:
        # On one thread the order of the terms, and so η, does not depend on the number of threads.
        return per_sample * lipschitz_constant(objective.on_one_thread())

    def of_batch(batch: int) -> float:
        if batch == 1:
            return of_sample
        return batch_lipschitz_constant(batch, objective.n_samples, of_sample, of_mean())

    return of_batch


class OnlineUpdater:
    """Weights and intercept that are updated by single samples or by batches.

    A sample contributes s(L + P(w)) to S·F, with the penalty P of the objective. So the update by a
    sample is w ← w + ηs((y−a)x − λw), b ← b + ηs(y−a); then, with an L1 norm, each weight moves
    towards 0 by ηsκ, and not past 0. A batch replaces the terms of one sample by their means.

    Parameters
    ----------
    objective : InMemoryObjective
        The samples and the penalty, in the user's units.
    w : ndarray of shape (n_features,), float64
        Weights to start from; not changed.
    b : float
        Intercept to start from; replaced by 0 if no intercept is fitted.
    """

    def __init__(self, objective: InMemoryObjective, w: Vector, b: float) -> None:
        self.objective = objective
        # The kernels need contiguous rows, so that X is copied if it is not in C order.
        self._X = X = objective.X if issparse(objective.X) else np.ascontiguousarray(objective.X)
        penalty = objective.penalty
        # The kernels take one strength λ and one strength κ for all weights.
        self._has_one_strength = np.ndim(penalty.l2) == np.ndim(penalty.l1) == 0
        self._pass, self._rows = kernels().dense_sgd_pass, (X,)
        if issparse(X):
            self._pass, self._rows = kernels().csr_sgd_pass, (X.data, X.indices, X.indptr)
        coordinates = objective.coordinates
        w, b = coordinates.to_user(coordinates.from_user(w, b))  # b becomes 0 if not fitted
        self._w = np.array(w, dtype=np.float64)
        # The intercept, and the factor of `_w` in the weights within a pass (see the kernel).
        self._state = np.array([b, 1.0])

    @property
    def weights(self) -> tuple[Vector, float]:
        """Weights, a new array of shape (n_features,), and the intercept."""
        return self._w.copy(), float(self._state[0])

    @property
    def penalty(self) -> float:
        """Penalty of the weights on the scale of F, the mean loss, in nats."""
        return self.objective.penalty.value(self._w)

    def update(self, order: NDArray[np.intp], eta: float, batch: int) -> float:
        """Pass over the samples with an update after each batch; changes self.

        Parameters
        ----------
        order : ndarray of shape (n_samples,), intp
            Indices of the samples in the order of the pass.
        eta : float
            Step size η.
        batch : int
            Number of samples in an update.

        Returns
        -------
        loss : float
            Σ s·L over the samples in nats, each loss before the update by its batch.
        """
        if batch == 1 and self._has_one_strength:
            return self._update_by_samples(order, eta)
        return self._update_by_batches(order, eta, batch)

    def _update_by_samples(self, order: NDArray[np.intp], eta: float) -> float:
        """Update after each sample, by compiled loops; see `update`."""
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
        """Update after each batch, with the functions of the derivation; see `update`."""
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
    """Yield the indices of the rows of each batch; a slice of all rows if there is one batch."""
    if batch >= len(order):
        yield slice(None)
        return
    for start in range(0, len(order), batch):
        yield order[start : start + batch]


SOLVER = Solver(
    solve,
    advice="Increase max_iter, scale the features, or use solver='newton'.",
)
