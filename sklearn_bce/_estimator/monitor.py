"""Monitoring of a solver while it runs: early stopping, callbacks, and the result on Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator

from sklearn_bce._estimator.holdout import HeldOut
from sklearn_bce._estimator.sklearn_compat import has_callbacks
from sklearn_bce._solvers import Monitor, Result, StopReason, Weights


@dataclass
class Iteration:
    """Record of an iteration that has ended: a pass of gd or sgd, or a step of newton.

    Attributes
    ----------
    value : float
        Entry of the loss curve: F, the mean loss plus the penalty, in nats.
    validation_loss : float
        Mean loss of the samples held out in nats; NaN if there are none.
    n_passes : float
        Passes over X so far; see `Result`.
    weights : callable () -> (ndarray of shape (n_features,), float), or None
        Returns weights and intercept after the iteration; None after an iteration that is neither
        the last one nor the best one, so that its memory is freed.
    """

    value: float
    validation_loss: float
    n_passes: float
    weights: Weights | None


class FitMonitor(Monitor):
    """Records the iterations of one fit, and decides whether the fit ends after each of them.

    Parameters
    ----------
    held_out : HeldOut or None
        Samples whose loss is recorded after each iteration; None records NaN.
    callbacks : Callbacks or None
        Callbacks to call; None means that there are none.
    attributes : callable (w, b) -> dict
        Returns the fitted attributes that follow from weights and intercept.
    """

    def __init__(
        self,
        held_out: HeldOut | None,
        callbacks: Callbacks | None,
        attributes: Callable[..., dict[str, Any]],
    ) -> None:
        self._held_out, self._callbacks, self._attributes = held_out, callbacks, attributes
        self._iterations: list[Iteration] = []
        self._best: Iteration | None = None
        self._on_plateau = False
        self.is_passive = held_out is None and callbacks is None

    def begin(self) -> None:
        """Note that an iteration begins; see `Monitor.begin`."""
        if self._callbacks is not None:
            self._callbacks.begin_iteration()

    def end(self, value: float, weights: Weights, n_passes: float) -> bool:
        """Record an iteration that has ended, and return whether the fit ends; see `Monitor.end`.

        Raises
        ------
        ValueError
            If the loss of the samples held out overflows.
        """
        loss = np.nan if self._held_out is None else self._held_out.loss(*weights())
        if self._held_out is not None and np.isfinite(value) and not np.isfinite(loss):
            raise ValueError(
                "The loss on the samples held out overflowed in pass "
                f"{len(self._iterations) + 1}: their features are too large."
            )
        last = self._iterations[-1] if self._iterations else None
        # One append, so that a KeyboardInterrupt cannot leave an iteration recorded in part.
        self._iterations.append(Iteration(value, loss, n_passes, weights))
        if last is not None and last is not self._best:
            last.weights = None
        # Not `or`: callbacks are called whether or not the loss is on a plateau.
        return self._reaches_plateau(loss) | self._is_stopped_by_callback(weights)

    def end_all(self, values: list[float], weights: Weights, n_passes: float) -> None:
        """Record iterations that have ended at once; see `Monitor.end_all`."""
        self._iterations += [Iteration(value, np.nan, n_passes, weights) for value in values]

    def _reaches_plateau(self, loss: float) -> bool:
        """Return whether the loss of the samples held out has stopped falling; update the best."""
        if self._held_out is None or self._held_out.plateau is None:
            return False
        if self._best is None or loss < self._best.validation_loss:
            before, self._best = self._best, self._iterations[-1]
            if before is not None:
                before.weights = None
        self._on_plateau = self._held_out.plateau.reached(loss)
        return self._on_plateau

    def _is_stopped_by_callback(self, weights: Weights) -> bool:
        """Call the callbacks, and return whether one of them asks for the end of the fit."""
        if self._callbacks is None:
            return False
        return self._callbacks.end_iteration(lambda: self._attributes(*weights()))

    def interrupted_result(self) -> Result | None:
        """Return the result after the last iteration that has ended; None if none has ended."""
        if not self._iterations:
            return None
        last = self._iterations[-1]
        curve = [each.value for each in self._iterations]
        return Result(*last.weights(), StopReason.INTERRUPTED, curve, last.n_passes)

    def with_best_weights(self, result: Result) -> Result:
        """Return the result with the weights to keep.

        With early stopping these are the weights with the least loss on the samples held out, and
        the stop reason is `StopReason.EARLY_STOPPING` if that loss has stopped falling. Without
        early stopping, the result is returned unchanged.

        Parameters
        ----------
        result : Result
            Result of the solver, or of `interrupted_result`.
        """
        if self._held_out is None or self._held_out.plateau is None:
            return result
        w, b = self._iterations[self._best_iter - 1].weights()
        reason = StopReason.EARLY_STOPPING if self._on_plateau else result.stop_reason
        return replace(result, w=w, b=b, stop_reason=reason)

    @property
    def _best_iter(self) -> int:
        """Number of the first iteration with the least validation loss, counted from 1."""
        return int(np.argmin([each.validation_loss for each in self._iterations])) + 1

    @property
    def first_validation_loss(self) -> float:
        """Mean loss of the samples held out after the first iteration, in nats."""
        return self._iterations[0].validation_loss

    def validation_attributes(self) -> dict[str, Any]:
        """Return the fitted attributes about the samples held out; an empty dict if none are."""
        if self._held_out is None:
            return {}
        curve = [each.validation_loss for each in self._iterations]
        return {"validation_loss_curve_": curve, "best_iter_": self._best_iter}


class Callbacks:
    """The callbacks of an estimator during one fit; scikit-learn sets them up and tears them down.

    Parameters
    ----------
    estimator : BCENeuronClassifier or BCENeuronClassifierCV
        Estimator with callbacks, at the beginning of its fit.
    n_iterations : int or None, default=None
        Most iterations of the fit; None means ``max_iter``.
    iteration : str, default="pass"
        What an iteration is.
    """

    def __init__(
        self, estimator: BaseEstimator, n_iterations: int | None = None, iteration: str = "pass"
    ) -> None:
        self._estimator, self._name = estimator, iteration
        most = estimator.max_iter if n_iterations is None else n_iterations
        self._fit = estimator._init_callback_context(max_subtasks=most)
        self._iteration: Any = None
        self._data: dict[str, Any] = {}

    @classmethod
    def of(cls, estimator: BaseEstimator, *arguments: Any) -> Callbacks | None:
        """Return the callbacks of the estimator, set up for a fit; None if it has none.

        The arguments are those of the class.
        """
        return cls(estimator, *arguments) if has_callbacks(estimator) else None

    def begin_fit(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> None:
        """Call the hooks for the beginning of the fit.

        Parameters
        ----------
        X : ndarray or CSR of shape (n_samples, n_features), or None
            Samples after conversion; None if they come in parts.
        y : ndarray of shape (n_samples,), or None
            Labels or soft targets, not encoded; None if samples come in parts.
        sample_weight : array-like of shape (n_samples,), or None
            As given to `fit`.
        offset : float, array-like of shape (n_samples,), or None
            As given to `fit`.
        """
        given = {"sample_weight": sample_weight, "offset": offset}
        metadata = {name: value for name, value in given.items() if value is not None} or None
        self._data = {"estimator": self._estimator, "X": X, "y": y, "metadata": metadata}
        self._fit.call_on_fit_task_begin(**self._data)

    def begin_iteration(self) -> None:
        """Call the hooks for the beginning of an iteration."""
        self._iteration = self._fit.subcontext(task_name=self._name)
        self._iteration.call_on_fit_task_begin(**self._data)

    def end_iteration(self, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Call the hooks for the end of an iteration; return whether one asks to end the fit.

        Parameters
        ----------
        attributes : callable () -> dict
            Returns the attributes of an estimator fitted by the iterations so far.
        """
        ended, self._iteration = self._iteration, None
        return ended.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)

    def end_fit(self) -> None:
        """Call the hooks for the end of the fit; the estimator has its fitted attributes."""
        if self._iteration is not None:  # begun, and then found to be unnecessary by the solver
            self._iteration.call_on_fit_task_end(estimator=self._estimator)
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes={})
