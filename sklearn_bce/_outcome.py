"""What is said of a fit that has not ended well."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce._objective import Objective
from sklearn_bce._solvers import SOLVERS, Result, distance_from_minimum


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
    distance = distance_from_minimum(objective, result.w, result.b)
    warnings.warn(
        f"solver={solver!r} stopped after {result.n_iter} iterations of max_iter="
        f"{neuron.max_iter} with the objective about {distance:.2g} above its minimum "
        f"(tol={neuron.tol}). "
        f"{SOLVERS[solver].advice}",
        ConvergenceWarning,
        stacklevel=4,
    )
