"""What a fit tells the callbacks of scikit-learn (`sklearn.callback`, from 1.9 on).

A fit is a task, and each pass or step of it a task within that. Callbacks that want to look at the
neuron on the way are given a copy of it as it is then; it is made only if one asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn.base import BaseEstimator

from sklearn_bce._compat import has_callbacks


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
