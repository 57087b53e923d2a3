"""Stochastic gradient descent: the update of the derivation, by single samples or mini-batches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector, kernels, uniform
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.rows import parts_of_order, pass_in_order, with_contiguous_rows
from sklearn_bce._solvers.base import (
    PARTLY_USED,
    Plateau,
    Result,
    Settings,
    Solver,
    StopReason,
    Weights,
)
from sklearn_bce._solvers.step_size import (
    batch_lipschitz_constant,
    mean_lipschitz_constant,
    safe_step_size,
    sample_lipschitz_constants,
)
from sklearn_bce.chain_rule import gradient, linear_output, loss_and_derivatives

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
        If ``learning_rate`` is "auto", batch size and step size grow at each plateau. If it is a
        callable, it returns the step of each sample for the order of a pass.

    Attributes
    ----------
    batch : int
        Number of samples in an update.
    eta : float or callable (order) -> ndarray of shape (n_samples,)
        Step size η, or the function that returns the step of each sample in its order.
    """

    def __init__(self, objective: InMemoryObjective, settings: Settings) -> None:
        self._n_samples, self._settings = objective.n_samples, settings
        self.batch = min(settings.batch_size, self._n_samples)
        self.eta, self._lipschitz = settings.learning_rate, None
        if self.eta == "auto":
            self._lipschitz = batch_lipschitz_constants(objective)
            self.eta = safe_step_size(self._lipschitz(self.batch))
        self._plateau = Plateau(settings.tol, settings.n_iter_no_change)

    def steps(self, order: NDArray[np.intp]) -> Vector:
        """Return the step of each sample in its order, of shape (n_samples,)."""
        return self.eta(order) if callable(self.eta) else uniform(self.eta, len(order))

    def reason_to_stop(self, loss: float, weights: Weights) -> StopReason:
        """Add the loss of a pass; return why the fit ends, or `StopReason.MAX_ITER`; changes self.

        At a plateau, if ``learning_rate`` is "auto" and the batch does not contain all samples yet,
        the batch grows. Any other plateau is judged; see `Plateau.judged`.

        Parameters
        ----------
        loss : float
            Entry of the loss curve.
        weights : callable () -> (ndarray of shape (n_features,), float)
            Returns weights and intercept after the pass.
        """
        if not self._plateau.reached(loss):
            return StopReason.MAX_ITER
        if self._lipschitz is None or self.batch == self._n_samples:
            if self._settings.tol == 0:
                return StopReason.MAX_ITER
            return self._plateau.judged(self._settings.judge, weights)
        self.batch = min(BATCH_GROWTH * self.batch, self._n_samples)
        self.eta = safe_step_size(self._lipschitz(self.batch))
        self._plateau = Plateau(self._settings.tol, self._settings.n_iter_no_change)
        return StopReason.MAX_ITER


def solve(objective: InMemoryObjective, w: Vector, b: float, settings: Settings) -> Result:
    """Minimise F by passes over the samples, with an update after each batch; see `Solver.solve`.

    The solver stops at the minimum of F, or when the loss curve no longer falls.

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
        loss = updater.update(order, schedule.steps(order), schedule.batch)
        loss_curve.append(loss / objective.total_weight + penalty)
        n_passes, after = objective.n_passes + len(loss_curve), updater.weights

        def weights(after=after):
            return after

        if settings.monitor.end(loss_curve[-1], weights, n_passes):
            reason = StopReason.STOPPED
        elif not np.isfinite(loss_curve[-1]):
            break
        else:
            reason = schedule.reason_to_stop(loss_curve[-1], weights)
    n_passes = objective.n_passes + len(loss_curve)
    return Result(*updater.weights, reason, loss_curve, n_passes)


def batch_lipschitz_constants(objective: InMemoryObjective) -> Callable[[int], float]:
    """Return the function from a batch size to the Lipschitz constant L; see `step_size`.

    The first call for a batch size above 1 takes passes over X.

    Raises
    ------
    ValueError
        If the squares of the features overflow.
    """
    of_sample = float(np.max(sample_lipschitz_constants(objective)))

    @cache
    def of_mean() -> float:
        return mean_lipschitz_constant(objective)

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
        self._X = X = objective.X if issparse(objective.X) else with_contiguous_rows(objective.X)
        # Arrays of stride 0 if all features have the same strengths.
        self._strengths = [
            np.broadcast_to(strength, objective.n_features)
            for strength in (objective.penalty.l2, objective.penalty.l1)
        ]
        loops = kernels()
        self._pass = pass_in_order(X, loops.dense_sgd_pass, loops.csr_sgd_pass)
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

    def update(self, order: NDArray[np.intp], steps: Vector, batch: int) -> float:
        """Pass over the samples with an update after each batch; changes self.

        Parameters
        ----------
        order : ndarray of shape (n_samples,), intp
            Indices of the samples in the order of the pass.
        steps : ndarray of shape (n_samples,), float64
            Step size η of each sample, in the order of the pass.
        batch : int
            Number of samples in an update.

        Returns
        -------
        loss : float
            Σ s·L over the samples in nats, each loss before the update by its batch.
        """
        if batch == 1:
            return self._update_by_samples(order, steps)
        return self._update_by_batches(order, steps, batch)

    def _update_by_samples(self, order: NDArray[np.intp], steps: Vector) -> float:
        """Update after each sample, by compiled loops; see `update`."""
        objective, offset = self.objective, self.objective.offset
        if offset is None:
            offset = uniform(0.0, objective.n_samples)
        n_values = self._X.size
        if any(strength.strides != (0,) for strength in self._strengths):
            n_values = len(order) * objective.n_features  # each update reads all weights
        loss = sum(
            self._pass(
                objective.y,
                objective.sample_weight,
                offset,
                order[some],
                self._w,
                self._state,
                steps[some],
                *self._strengths,
                objective.coordinates.fit_intercept,
            )
            for some in parts_of_order(len(order), n_values)
        )
        self._w *= self._state[1]
        self._state[1] = 1.0
        return loss

    def _update_by_batches(self, order: NDArray[np.intp], steps: Vector, batch: int) -> float:
        """Update after each batch, with the functions of the derivation; see `update`."""
        objective = self.objective
        (w, b), total = self.weights, 0.0
        for rows, eta in _batches(order, steps, batch):
            X, y, sample_weight = self._X[rows], objective.y[rows], objective.sample_weight[rows]
            offset = None if objective.offset is None else objective.offset[rows]
            loss, slope, _ = loss_and_derivatives(y, linear_output(X, w, b, offset))
            total += float(np.sum(sample_weight * loss))
            rate = eta / len(y) * sample_weight
            gradient_w, gradient_b = gradient(X, rate * slope)
            rate_of_batch = np.sum(rate)
            w -= gradient_w + rate_of_batch * objective.penalty.l2 * w
            w = objective.penalty.prox(w, rate_of_batch)
            if objective.coordinates.fit_intercept:
                b -= gradient_b
        self._w, self._state[0] = w, b
        return total


def _batches(
    order: NDArray[np.intp], steps: Vector, batch: int
) -> Iterator[tuple[NDArray[np.intp] | slice, Vector]]:
    """Yield the rows of each batch and their steps; a slice of all rows if there is one batch."""
    if batch >= len(order):
        yield slice(None), steps[np.argsort(order)]
        return
    for start in range(0, len(order), batch):
        some = slice(start, start + batch)
        yield order[some], steps[some]


SOLVER = Solver(
    solve,
    advice="Increase max_iter, scale the features, or use solver='newton'.",
    keeps_bounds=False,
    uses=frozenset(PARTLY_USED),
)
