"""Warnings and errors of a fit: no minimum, no convergence, overflow, or an ignored parameter."""

from __future__ import annotations

import sys
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import BaseObjective
from sklearn_bce._solvers import SOLVERS, Result, direction_of_separation, distance_from_minimum

# Fraction of the largest entry of the separating direction from which on the feature of an entry is
# named in the warning of separated classes; smaller entries are rounding. [a choice]
NAMED_FRACTION = 1e-3
# Most features that the warning of separated classes names, so that it stays legible. [a choice]
MAX_NAMES = 5
# Top-level packages whose frames lie between the user's code and a warning.
OWN_PACKAGES = {"sklearn_bce", "sklearn"}


def raise_for_overflow(solver: str, result: Result, C: float, learning_rate: float | str) -> None:
    """Raise ValueError if weights, intercept or loss curve are not finite.

    Parameters
    ----------
    solver : str
        Name of the solver.
    result : Result
        Result of the solver.
    C : float
        As given to the estimator.
    learning_rate : float or "auto"
        As given to the estimator.
    """
    if all(np.isfinite(part).all() for part in (result.w, result.b, result.loss_curve)):
        return
    if solver == "newton" or learning_rate == "auto":
        raise ValueError(
            f"The objective overflowed in iteration {result.n_iter} of solver={solver!r}: the "
            f"features, the weights, the start or 1/C = {1 / C:g} are too large."
        )
    raise ValueError(
        f"The loss overflowed in pass {result.n_iter}: learning_rate={learning_rate} is "
        "too large for this data. Use a smaller learning_rate, or learning_rate='auto'."
    )


def warn_of_end(
    solver: str,
    result: Result,
    objective: BaseObjective,
    parameters: Parameters,
    feature_names: NDArray[Any] | None,
) -> None:
    """Warn if the classes are separated, or else if the fit has not converged.

    Parameters
    ----------
    solver : str
        Name of the solver.
    result : Result
        Result of the fit.
    objective : BaseObjective
        F in the user's units.
    parameters : Parameters
        Parameters of the estimator.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features; None means their numbers from 0.

    Warns
    -----
    ConvergenceWarning
        Without a penalty and without early stopping, if F has no minimum. Otherwise, if
        ``max_iter`` ended the fit.
    """
    direction = None
    if np.isinf(parameters.C) and not parameters.early_stopping:
        direction = direction_of_separation(objective, result.w, result.b)
    if direction is not None:
        _warn_of_separation(solver, result, direction, parameters, feature_names)
    elif not result.converged:
        _warn_of_no_convergence(solver, result, objective, parameters)


def _warn_of_no_convergence(
    solver: str, result: Result, objective: BaseObjective, parameters: Parameters
) -> None:
    """Warn that ``max_iter`` ended the fit, and say how far F is from its minimum, in nats.

    The arguments are those of `warn_of_end`.
    """
    patience = parameters.n_iter_no_change
    if parameters.early_stopping:
        state = (
            "before the loss on the samples held out had gone "
            f"n_iter_no_change={patience} iterations without an improvement"
        )
        advice = "Increase max_iter, or lower n_iter_no_change."
    else:
        state = "with the objective not yet at its minimum"
        distance = distance_from_minimum(objective, result.w, result.b)
        if distance is not None:
            state = f"with the objective about {distance:.2g} nats above its minimum"
        advice = SOLVERS[solver].advice
    warnings.warn(
        f"solver={solver!r} stopped after {result.n_iter} iterations of max_iter="
        f"{parameters.max_iter} {state} (tol={parameters.tol}). {advice}",
        ConvergenceWarning,
        stacklevel=caller_stacklevel(),
    )


def _warn_of_separation(
    solver: str,
    result: Result,
    direction: Vector,
    parameters: Parameters,
    feature_names: NDArray[Any] | None,
) -> None:
    """Warn that F has no minimum, and name the features with the largest entries of a direction.

    F decreases without end along the direction, of shape (n_features,). The other arguments are
    those of `warn_of_end`.
    """
    size = np.abs(direction)
    found = np.flatnonzero(size >= NAMED_FRACTION * np.max(size))
    found = found[np.argsort(-size[found], kind="stable")]
    names = np.arange(len(size)).astype(str) if feature_names is None else feature_names
    listed = ", ".join(names[found[:MAX_NAMES]])
    more = f" and {len(found) - MAX_NAMES} more" if len(found) > MAX_NAMES else ""
    end = f"its stopping test with tol={parameters.tol} held"
    if not result.converged:
        end = f"max_iter={parameters.max_iter} was reached"
    warnings.warn(
        "Without a penalty (C=inf) the objective has no minimum: the classes, or some samples of "
        "one and all of the other, are separated by a linear combination of some features, whose "
        f"weights would grow for ever: {listed}{more}. solver={solver!r} ended when {end}. "
        "Choose a finite C, or leave out these features.",
        ConvergenceWarning,
        stacklevel=caller_stacklevel(),
    )


def warn_of_ignored_l1_ratio(C: float, l1_ratio: float) -> None:
    """Warn with UserWarning if ``l1_ratio`` is above 0 and C is infinite: there is no penalty."""
    if l1_ratio > 0 and np.isinf(C):
        warnings.warn(
            f"l1_ratio={l1_ratio} is ignored: C=inf means no penalty.",
            UserWarning,
            stacklevel=caller_stacklevel(),
        )


def caller_stacklevel() -> int:
    """Return the ``stacklevel`` with which a warning points at the line that called this package.

    The level counts from the function that calls `caller_stacklevel`.
    """
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_globals["__name__"].split(".")[0] in OWN_PACKAGES:
        frame, level = frame.f_back, level + 1
    return level
