"""How a fit is followed: samples held out, callbacks, and what is there if it is cut short."""

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
class Pass:
    """What is known of a pass that has ended.

    Attributes
    ----------
    value : float
        The entry of the loss curve.
    loss : float
        On the samples held out, NaN if there are none.
    n_passes : float
        As of `Result`.
    weights : callable or None
        Returns weights and intercept; None if they are neither the last nor the best.
    """

    value: float
    loss: float
    n_passes: float
    weights: Weights | None


class FitMonitor(Monitor):
    """Follows one fit.

    Parameters
    ----------
    held_out : HeldOut or None
        Samples on which the loss is taken after each pass.
    callbacks : Callbacks or None
        Whom to tell of it.
    attributes : callable (w, b) -> dict
        The attributes that make a neuron of its weights.
    """

    def __init__(
        self,
        held_out: HeldOut | None,
        callbacks: Callbacks | None,
        attributes: Callable[..., dict[str, Any]],
    ) -> None:
        self._held_out, self._callbacks, self._attributes = held_out, callbacks, attributes
        self._passes: list[Pass] = []
        self._best: Pass | None = None
        self._has_ceased_to_fall = False

    def begin(self) -> None:
        """Take in that a pass begins."""
        if self._callbacks is not None:
            self._callbacks.pass_begins()

    def end(self, value: float, weights: Weights, n_passes: float) -> bool:
        """Take in that it has ended; see `Monitor`."""
        loss = np.nan if self._held_out is None else self._held_out.loss(*weights())
        if self._held_out is not None and np.isfinite(value) and not np.isfinite(loss):
            raise ValueError(
                f"The loss on the samples held out overflowed in pass {len(self._passes) + 1}: "
                "their features are too large."
            )
        last = self._passes[-1] if self._passes else None
        # Ctrl-C finds all of a pass, or nothing of it.
        self._passes.append(Pass(value, loss, n_passes, weights))
        if last is not None and last is not self._best:
            last.weights = None
        return self._tell_best(loss) | self._tell_callbacks(weights)

    def _tell_best(self, loss: float) -> bool:
        """Return whether the loss has ceased to fall; else it may be the best."""
        if self._held_out is None or self._held_out.plateau is None:
            return False
        if self._best is None or loss < self._best.loss:
            before, self._best = self._best, self._passes[-1]
            if before is not None and before is not self._passes[-1]:
                before.weights = None
        self._has_ceased_to_fall = self._held_out.plateau.reached(loss)
        return self._has_ceased_to_fall

    def _tell_callbacks(self, weights: Weights) -> bool:
        """Return whether a callback wants the fit to end."""
        if self._callbacks is None:
            return False
        return self._callbacks.pass_ends(lambda: self._attributes(*weights()))

    def result_so_far(self) -> Result | None:
        """Return where the last pass that has ended has led; None if none has."""
        if not self._passes:
            return None
        passes = self._passes
        curve = [each.value for each in passes]
        return Result(*passes[-1].weights(), StopReason.STOPPED, curve, passes[-1].n_passes)

    def chosen(self, result: Result) -> Result:
        """Return the solver's result, with the best weights where the fit is to end with them.

        It counts as converged if the loss on the samples held out has ceased to fall.
        """
        if self._held_out is None or self._held_out.plateau is None:
            return result
        w, b = self._passes[self._best_iter - 1].weights()
        reason = StopReason.EARLY_STOPPING if self._has_ceased_to_fall else result.stop_reason
        return replace(result, w=w, b=b, stop_reason=reason)

    @property
    def _best_iter(self) -> int:
        """The first pass with the least loss, counted from 1."""
        return int(np.argmin([each.loss for each in self._passes])) + 1

    def attributes(self) -> dict[str, Any]:
        """Return the attributes that tell of the samples held out, if there are any."""
        if self._held_out is None:
            return {}
        curve = [each.loss for each in self._passes]
        return {"validation_loss_curve_": curve, "best_iter_": self._best_iter}


class Callbacks:
    """The callbacks of a neuron during one fit; they are set up, and torn down by scikit-learn.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        At the beginning of its fit.
    """

    def __init__(self, neuron: BaseEstimator) -> None:
        self._neuron = neuron
        self._fit = neuron._init_callback_context(max_subtasks=neuron.max_iter)
        self._pass: Any = None
        self._data: dict[str, Any] = {}

    @classmethod
    def of(cls, neuron: BaseEstimator) -> Callbacks | None:
        """Return those of the neuron, set up; None if it has none."""
        return cls(neuron) if has_callbacks(neuron) else None

    def fit_begins(self, X: Any, y: Any, sample_weight: Any) -> None:
        """Tell them what the fit is of: X converted, the others as given to `fit`."""
        metadata = None if sample_weight is None else {"sample_weight": sample_weight}
        self._data = {"estimator": self._neuron, "X": X, "y": y, "metadata": metadata}
        self._fit.call_on_fit_task_begin(**self._data)

    def pass_begins(self) -> None:
        """Tell them so."""
        self._pass = self._fit.subcontext(task_name="pass")
        self._pass.call_on_fit_task_begin(**self._data)

    def pass_ends(self, attributes: Callable[[], dict[str, Any]]) -> bool:
        """Tell them so, and return whether one of them wants the fit to end.

        Parameters
        ----------
        attributes : callable () -> dict
            Returns those that make a neuron as it is then.
        """
        ended, self._pass = self._pass, None
        return ended.call_on_fit_task_end(**self._data, reconstruction_attributes=attributes)

    def fit_ends(self) -> None:
        """Tell them so; the neuron is fitted."""
        if self._pass is not None:  # found to be unnecessary once it had begun
            self._pass.call_on_fit_task_end(estimator=self._neuron)
        self._fit.call_on_fit_task_end(**self._data, reconstruction_attributes={})
