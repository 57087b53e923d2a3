"""What a fit leaves: the attributes of the neuron, and what is said if it has not ended well."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce._objective import Objective
from sklearn_bce._solvers import SOLVERS, Result, distance_from_minimum


def neuron_attributes(
    classes: NDArray[Any], dtype: np.dtype[Any], w: NDArray[np.float64], b: float
) -> dict[str, Any]:
    """Return the attributes that make a neuron of its weights, its features known; new arrays."""
    coef, intercept = w[np.newaxis].astype(dtype), np.array([b], dtype=dtype)
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


def forget(neuron: BaseEstimator) -> None:
    """Remove what another fit has left and not every fit leaves; changes the neuron."""
    for name in ("validation_loss_curve_", "best_iter_", "_memory", "_stream"):
        vars(neuron).pop(name, None)


def raise_for_overflow(neuron: BaseEstimator, solver: str, result: Result) -> None:
    """Raise ValueError where a solver has ended beyond the range of numbers."""
    if all(np.isfinite(part).all() for part in (result.w, result.b, result.loss_curve)):
        return
    if solver == "newton" or neuron.learning_rate == "auto":
        raise ValueError(
            f"The objective overflowed in iteration {result.n_iter} of solver={solver!r}: the "
            f"features, the weights, the start or 1/C = {1 / neuron.C:g} are too large."
        )
    raise ValueError(
        f"The loss overflowed in pass {result.n_iter}: learning_rate={neuron.learning_rate} is "
        "too large for this data. Use a smaller one, or learning_rate='auto'."
    )


def warn_not_converged(
    neuron: BaseEstimator, solver: str, result: Result, objective: Objective
) -> None:
    """Warn that a fit has stopped early, and say how far from the minimum."""
    if neuron.early_stopping:
        state = "the loss on the samples held out still falling"
        advice = f"Increase max_iter, or lower n_iter_no_change={neuron.n_iter_no_change}."
    else:
        distance = distance_from_minimum(objective, result.w, result.b)
        state = f"the objective about {distance:.2g} above its minimum"
        advice = SOLVERS[solver].advice
    warnings.warn(
        f"solver={solver!r} stopped after {result.n_iter} iterations of max_iter="
        f"{neuron.max_iter} with {state} (tol={neuron.tol}). {advice}",
        ConvergenceWarning,
        stacklevel=5,
    )


def warn_of_ignored(neuron: BaseEstimator) -> None:
    """Warn of a parameter that has no effect beside another."""
    if neuron.l1_ratio > 0 and np.isinf(neuron.C):
        warnings.warn(
            f"l1_ratio={neuron.l1_ratio} is ignored: C=inf means no penalty.",
            UserWarning,
            stacklevel=5,
        )
