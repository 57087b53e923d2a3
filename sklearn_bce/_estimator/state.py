"""The fitted state of an estimator: its attributes, what a stream keeps, and what is pickled."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklearn_bce._kernels import Vector
from sklearn_bce._solvers import Result

try:
    __version__ = version("sklearn-bce")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

VERSION = "_sklearn_bce_version"
OF_THIS_PROCESS = "_memory"  # goes by the identity of arrays
STREAM = "_stream"


@dataclass
class Stream:
    """What a neuron keeps between chunks besides its attributes.

    Attributes
    ----------
    w, b : ndarray of shape (n_features,), float
        Weights and intercept in double precision, whatever X is.
    total_weight : float
        Σ s of all samples so far, in which the penalty is shared out.
    smoothness : float
        L of the chunk that has asked for the least step 1/L.
    random_state : RandomState
        What the chunks are shuffled by.
    """

    w: Vector
    b: float
    total_weight: float
    smoothness: float
    random_state: Any

    @classmethod
    def of(cls, neuron: BaseEstimator, n_features: int) -> Stream:
        """Return a stream that goes on from where the neuron is; from zeros if it is nowhere yet.

        What it kept from the last chunk is gone if its attributes have been changed since.
        """
        w, b = np.zeros(n_features), 0.0
        if hasattr(neuron, "coef_"):
            w, b = neuron.coef_[0].astype(np.float64), float(neuron.intercept_[0])
        known = getattr(neuron, "_stream", None)
        if known is not None and known.is_as(neuron):
            return replace(known)
        total_weight = getattr(neuron, "_total_weight", 0.0)
        return cls(w, b, total_weight, 0.0, check_random_state(neuron.random_state))

    def is_as(self, neuron: BaseEstimator) -> bool:
        """Return whether the neuron's attributes say the same."""
        dtype = neuron.coef_.dtype
        same = np.array_equal(self.w.astype(dtype), neuron.coef_[0])
        return same and dtype.type(self.b) == neuron.intercept_[0]


class Persistent:
    """What is saved of an estimator, and what becomes of it."""

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes, and the version they are of."""
        state = dict(super().__getstate__())
        state.pop(OF_THIS_PROCESS, None)
        if STREAM in state:  # as numbers and arrays, which every format knows
            state[STREAM] = vars(state[STREAM]).copy()
        return state | {VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take the attributes; of another version, parameters that it did not have by default.

        Warns
        -----
        UserWarning
            If they are of another version.
        """
        state = dict(state)
        saved_by = state.pop(VERSION, "another version")
        if saved_by != __version__:
            name = type(self).__name__
            warnings.warn(
                f"This {name} was saved by sklearn_bce {saved_by}, and is loaded by {__version__}: "
                "what it predicts may differ. Fit and save it again with this version.",
                UserWarning,
                stacklevel=2,
            )
            state.pop(STREAM, None)
            known = signature(type(self).__init__).parameters.values()
            defaults = {p.name: p.default for p in known if p.default is not p.empty}
            state = defaults | state
        elif STREAM in state:
            state[STREAM] = Stream(**state[STREAM])
        super().__setstate__(state)


def neuron_attributes(
    classes: NDArray[Any], dtype: np.dtype[Any], w: NDArray[np.float64], b: float
) -> dict[str, Any]:
    """Return the attributes that make a neuron of its weights, its features known; new arrays.

    Raises
    ------
    ValueError
        If finite weights are not finite in that type.
    """
    with np.errstate(over="ignore"):
        coef, intercept = w[np.newaxis].astype(dtype), np.array([b], dtype=dtype)
    if np.isfinite(w).all() and not (np.isfinite(coef).all() and np.isfinite(intercept).all()):
        raise ValueError(
            f"The weights overflowed {dtype}, which is the type of X: scale the features, give X "
            "as float64 or, if it is not 'auto', use a smaller learning_rate."
        )
    return {"classes_": classes.copy(), "coef_": coef, "intercept_": intercept}


def fit_attributes(solver: str, result: Result) -> dict[str, Any]:
    """Return the attributes that tell how they were found."""
    return {
        "n_iter_": result.n_iter,
        "n_passes_": float(result.n_passes),
        "converged_": result.converged,
        "loss_curve_": result.loss_curve,
        "solver_": solver,
    }


def clear_fit_state(neuron: BaseEstimator) -> None:
    """Remove what another fit has left and not every fit leaves; changes the neuron."""
    for name in ("validation_loss_curve_", "best_iter_", "_memory", "_stream"):
        vars(neuron).pop(name, None)
