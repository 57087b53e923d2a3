"""What a fit leaves: the attributes of the neuron, and what is said if it has not ended well."""

from __future__ import annotations

import sys
import warnings

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers import SOLVERS, Result, direction_of_separation, distance_from_minimum

# Features with this share of the largest part in a separation are named, so many at most.
NOTICEABLE, MOST_NAMES = 1e-3, 5
OURS = {"sklearn_bce", "sklearn"}  # between a caller and a warning


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


def warn_of_end(
    neuron: BaseEstimator, solver: str, result: Result, objective: InMemoryObjective
) -> None:
    """Warn of a fit that has not ended at a minimum."""
    if not neuron.early_stopping and warn_if_separated(neuron, solver, result, objective):
        return
    if not result.converged:
        warn_not_converged(neuron, solver, result, objective)


def warn_not_converged(
    neuron: BaseEstimator, solver: str, result: Result, objective: InMemoryObjective
) -> None:
    """Warn that a fit has stopped early, and say how far from the minimum."""
    if neuron.early_stopping:
        state = "the loss on the samples held out still falling"
        advice = f"Increase max_iter, or lower n_iter_no_change={neuron.n_iter_no_change}."
    else:
        state = "the objective not yet at its minimum"
        distance = distance_from_minimum(objective, result.w, result.b)
        if distance is not None:
            state = f"the objective about {distance:.2g} above its minimum"
        advice = SOLVERS[solver].advice
    warnings.warn(
        f"solver={solver!r} stopped after {result.n_iter} iterations of max_iter="
        f"{neuron.max_iter} with {state} (tol={neuron.tol}). {advice}",
        ConvergenceWarning,
        stacklevel=level_of_the_caller(),
    )


def warn_if_separated(
    neuron: BaseEstimator, solver: str, result: Result, objective: InMemoryObjective
) -> bool:
    """Warn that the classes are separated, by which features, and return whether they are.

    Without a penalty F has then no minimum.
    """
    if np.isfinite(neuron.C):
        return False
    direction = direction_of_separation(objective, result.w, result.b)
    if direction is None:
        return False
    size = np.abs(direction)
    found = np.flatnonzero(size >= NOTICEABLE * np.max(size))
    found = found[np.argsort(-size[found], kind="stable")]
    names = getattr(neuron, "feature_names_in_", np.arange(len(size)).astype(str))
    listed = ", ".join(names[found[:MOST_NAMES]])
    more = f" and {len(found) - MOST_NAMES} more" if len(found) > MOST_NAMES else ""
    warnings.warn(
        "Without a penalty (C=inf) the objective has no minimum: the classes, or some samples of "
        "one and all of the other, are separated by a combination of these features, whose weights "
        f"would grow for ever: {listed}{more}. solver={solver!r} has let them grow as far as "
        f"tol={neuron.tol} asks for. Choose a finite C, or leave the features out.",
        ConvergenceWarning,
        stacklevel=level_of_the_caller(),
    )
    return True


def level_of_the_caller() -> int:
    """Return the stack level of a warning that is to point at whoever called this package."""
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_globals["__name__"].split(".")[0] in OURS:
        frame, level = frame.f_back, level + 1
    return level


def warn_of_ignored(neuron: BaseEstimator) -> None:
    """Warn of a parameter that has no effect beside another."""
    if neuron.l1_ratio > 0 and np.isinf(neuron.C):
        warnings.warn(
            f"l1_ratio={neuron.l1_ratio} is ignored: C=inf means no penalty.",
            UserWarning,
            stacklevel=level_of_the_caller(),
        )
