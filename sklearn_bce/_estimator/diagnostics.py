"""Warnings and errors of a fit: no minimum, no convergence, overflow, or an ignored parameter."""

from __future__ import annotations

import sys
import threading
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import chain
from math import isfinite
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce._estimator.holdout import HeldOut
from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import in_threads
from sklearn_bce._objective.base import BaseObjective
from sklearn_bce._solvers import (
    NEGLIGIBLE,
    PARTLY_USED,
    SOLVERS,
    Distance,
    Result,
    Settings,
    StopReason,
    direction_of_separation,
    distance_from_minimum,
    rise_by_rounding,
    rounding_floor,
    solver_name,
)

# Returns the values of the settings PARTLY_USED, a tuple.
partly_used_of = attrgetter(*PARTLY_USED)
# Fraction of the largest entry of the separating direction from which on the feature of an entry is
# named in the warning of separated classes; smaller entries are rounding. [a choice]
NAMED_FRACTION = 1e-3
# Most features that the warning of separated classes names, so that it stays legible. [a choice]
MAX_NAMES = 5
# Multiple of the training loss, or of log 2 if that is more, from which on the loss of samples held
# out after the first iteration is beyond reason, and their values are looked at. Noise without a
# penalty reaches 140, with as many features as samples; raw samples reach 13 to 1 800, for weights
# of scaled ones (diabetes, breast cancer). [a choice]
BEYOND_REASON = 10
# Top-level packages whose frames lie between the user's code and a warning.
OWN_PACKAGES = {"sklearn_bce", "sklearn"}

_local = threading.local()  # its attribute `kept` has the warnings of a thread of a fit


# What helps against each reason for which a fit ends above the minimum of F. What helps against
# ``max_iter`` depends on the solver: `Solver.advice`.
ADVICE = {
    StopReason.NO_DESCENT: (
        "Float64 cannot follow the objective any further: choose a smaller C, or subtract from "
        "each feature a number near its mean."
    ),
    StopReason.PRECISION: (
        "Some features depend on each other but for rounding, or a few samples are so much larger "
        "than all others that rounding hides the others: leave out one of such features, replace "
        "two by their difference, replace codes for missing values, or choose a smaller C."
    ),
    StopReason.STALLED: (
        "More passes of this solver do not help: scale the features, use a smaller learning_rate "
        "if it is a number, or use solver='newton'."
    ),
}


# Reasons for which a fit of newton may have stopped at the minimum, without knowing it.
UNSURE = {StopReason.MAX_ITER, StopReason.NO_DESCENT}
# How a fit that is not at its infimum ended; in all other cases F ceased to fall.
ENDS = {
    StopReason.MAX_ITER: "max_iter={max_iter} was reached",
    StopReason.STOPPED: "a callback stopped it",
    StopReason.PRECISION: "float64 could not resolve the objective any further",
}


class Diagnosis(NamedTuple):
    """What is known about the end of a fit.

    Attributes
    ----------
    result : Result
        The result, with the reason for stopping that is true.
    distance : Distance or None
        F − min F; None if it was not computed.
    separation : ndarray of shape (n_features,) or None
        Direction of the weights along which F falls without end; None if there is none.
    only_class : object or None
        The label of all samples whose weight is not 0, if F falls without end because there is only
        one.
    """

    result: Result
    distance: Distance | None = None
    separation: Vector | None = None
    only_class: Any = None


def raise_for_overflow(solver: str, result: Result, parameters: Parameters) -> None:
    """Raise ValueError if weights, intercept or loss curve are not finite.

    Parameters
    ----------
    solver : str
        Name of the solver.
    result : Result
        Result of the solver.
    parameters : Parameters
        Parameters of the estimator.
    """
    learning_rate = parameters.learning_rate
    if all(map(isfinite, (*result.loss_curve, result.b))) and np.isfinite(result.w).all():
        return
    if solver == "newton" or learning_rate == "auto":
        raise ValueError(
            f"The objective overflowed in iteration {result.n_iter} of solver={solver!r}: the "
            f"features, the weights, the start or 1/C = {1 / parameters.C:g} are too large."
        )
    raise ValueError(
        f"The loss overflowed in pass {result.n_iter}: learning_rate={learning_rate} is "
        "too large for this data. Use a smaller learning_rate, or learning_rate='auto'."
    )


def raise_for_divergence(
    solver: str,
    result: Result,
    objective: BaseObjective,
    start: tuple[Vector, float],
    parameters: Parameters,
) -> None:
    """Raise ValueError if a constant step has raised F above its value at two points.

    The points are the start and `Objective.origin`, which is 0 without an offset: F is log 2 there.
    A fit that starts near the minimum may end higher, because the weights fluctuate around the
    minimum; that is no divergence. Early stopping keeps the best weights, and is not looked at.

    Parameters
    ----------
    solver : str
        Name of the solver.
    result : Result
        Result of the fit.
    objective : BaseObjective
        F in the user's units.
    start : tuple (ndarray of shape (n_features,), float)
        Weights and intercept at the start.
    parameters : Parameters
        Parameters of the estimator.
    """
    learning_rate = parameters.learning_rate
    if (
        solver == "newton"
        or learning_rate == "auto"
        or parameters.early_stopping
        or result.converged
    ):
        return
    before, after = _value(objective, *start), _value(objective, result.w, result.b)
    highest = max(before, objective.value_at_origin)
    if after > highest + rounding_floor(highest):
        raise ValueError(
            f"The loss has risen from {before:.3g} to {after:.3g} nats after pass {result.n_iter}: "
            f"learning_rate={learning_rate} is too large for this data. Use a smaller "
            "learning_rate, or learning_rate='auto'."
        )


def _value(objective: BaseObjective, w: Vector, b: float) -> float:
    """Return F in nats."""
    return objective.value_at(objective.coordinates.from_user(w, b))


def judge_plateau(
    objective: BaseObjective, parameters: Parameters, w: Vector, b: float
) -> StopReason:
    """Return what a plateau of the loss curve of gd or sgd is: the minimum of F, or stalling.

    With early stopping a fit above the minimum goes on, until the samples held out end it.

    Parameters
    ----------
    objective : BaseObjective
        F in the user's units.
    parameters : Parameters
        Parameters of the estimator.
    w : ndarray of shape (n_features,), float64
        Weights on the plateau.
    b : float
        Intercept on the plateau.
    """
    distance = distance_from_minimum(objective, w, b)
    if distance.is_within(parameters.tol):
        return StopReason.CONVERGED
    if distance.is_within(rounding_floor(_value(objective, w, b))):
        return StopReason.ROUNDING
    return StopReason.MAX_ITER if parameters.early_stopping else StopReason.STALLED


def diagnose(
    result: Result, objective: BaseObjective, parameters: Parameters, only_class: Any = None
) -> Diagnosis:
    """Return what is known about the end of a fit with ``tol`` above 0.

    Without a penalty on some features, and without early stopping, the classes may be separated by
    these.

    Parameters
    ----------
    result : Result
        Result of the fit.
    objective : BaseObjective
        F in the user's units.
    parameters : Parameters
        Parameters of the estimator.
    only_class : object or None, default=None
        The label of all samples whose weight is not 0, if there is only one. F then falls without
        end as the intercept grows.
    """
    w, b = result.w, result.b
    if only_class is not None and parameters.fit_intercept:
        return Diagnosis(replace(result, has_minimum=False), only_class=only_class)
    is_penalised = np.isfinite(parameters.C) and parameters.penalty_factor is None
    if not (is_penalised or parameters.early_stopping):
        separation = separation_without_penalty(result, objective)
        if separation is not None:
            return Diagnosis(replace(result, has_minimum=False), separation=separation)
    if parameters.early_stopping:
        return Diagnosis(result)
    float64 = np.dtype(np.float64)
    is_newton = solver_name(parameters.solver) == "newton"
    if result.converged and is_newton:
        rise = rise_by_rounding(objective, result, float64, limit=NEGLIGIBLE * parameters.tol)
        if rise > parameters.tol and rise > rounding_floor(result.loss_curve[-1]):
            result = replace(result, stop_reason=StopReason.PRECISION)
    if result.converged:
        return Diagnosis(result)
    distance = distance_from_minimum(objective, w, b)
    is_there = is_newton and result.stop_reason in UNSURE and distance.is_within(parameters.tol)
    reason = StopReason.CONVERGED if is_there else result.stop_reason
    return Diagnosis(replace(result, stop_reason=reason), distance)


def separation_without_penalty(result: Result, objective: BaseObjective) -> Vector | None:
    """Return a direction of the weights without penalty along which F falls without end.

    Parameters
    ----------
    result : Result
        Result of the fit.
    objective : BaseObjective
        F in the user's units.

    Returns
    -------
    direction : ndarray of shape (n_features,), float64, or None
        As `direction_of_separation` returns it, 0 for other features; None if there is none.
    """
    w, b = result.w, result.b
    free = np.flatnonzero(objective.penalty.can_recede(len(w)))
    if not len(free):
        return None
    if len(free) < len(w):
        objective = objective.of_features(free, w)
    found = direction_of_separation(objective, w[free], b)
    if found is None and result.coordinates is None:
        # Weights so large that their rounding hides which samples lie on a boundary.
        origin = objective.coordinates.to_user(objective.origin)
        found = direction_of_separation(objective, *origin)
    if found is None:
        return None
    direction = np.zeros_like(w)
    direction[free] = found
    return direction


def warn_of_end(
    solver: str,
    diagnosis: Diagnosis,
    parameters: Parameters,
    feature_names: NDArray[Any] | None,
    label: str = "",
) -> None:
    """Warn if F has no minimum, or else if the fit has not converged.

    Parameters
    ----------
    solver : str
        Name of the solver.
    diagnosis : Diagnosis
        Result of `diagnose`.
    parameters : Parameters
        Parameters of the estimator.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features; None means their numbers from 0.
    label : str, default=""
        Beginning of the message that says which of several fits it is about.

    Warns
    -----
    ConvergenceWarning
        If F has no minimum, or the fit has stopped above the minimum of F.
    """
    if diagnosis.only_class is not None:
        message = _only_class_message(solver, diagnosis, parameters)
    elif diagnosis.separation is not None:
        message = _separation_message(solver, diagnosis, parameters, feature_names)
    elif not diagnosis.result.converged:
        message = _no_convergence_message(solver, diagnosis, parameters)
    else:
        return
    warn_caller(label + message, ConvergenceWarning)


def _no_convergence_message(solver: str, diagnosis: Diagnosis, parameters: Parameters) -> str:
    """Return that a fit has stopped above the minimum of F: why, how far above, and what helps.

    The arguments are those of `warn_of_end`.
    """
    result, patience = diagnosis.result, parameters.n_iter_no_change
    reason = f"solver={solver!r} stopped after {result.n_iter} iterations"
    if result.stop_reason is StopReason.MAX_ITER:
        reason += f" of max_iter={parameters.max_iter}"
    elif result.stop_reason is StopReason.STALLED:
        reason += f", the last n_iter_no_change={patience} of them without an improvement,"
    if parameters.early_stopping:
        state = (
            "before the loss on the samples held out had gone "
            f"n_iter_no_change={patience} iterations without an improvement"
        )
        advice = "Increase max_iter, or lower n_iter_no_change."
    else:
        state = "with the objective not yet at its minimum"
        if result.stop_reason is StopReason.PRECISION:
            state = "where float64 cannot tell whether the objective is at its minimum"
        elif diagnosis.distance is not None:
            state = f"with the objective {diagnosis.distance} above its minimum"
        advice = ADVICE.get(result.stop_reason, SOLVERS[solver].advice)
    return f"{reason} {state} (tol={parameters.tol}). {advice}"


def _only_class_message(solver: str, diagnosis: Diagnosis, parameters: Parameters) -> str:
    """Return that all samples with weight are of one class; the arguments are of `warn_of_end`."""
    return (
        f"All samples whose weight is not 0 are of class {diagnosis.only_class!r} (see "
        "sample_weight and class_weight): the objective has no minimum, because it falls for ever "
        f"with the intercept, and predictions are nearly constant. solver={solver!r} ended when "
        f"{_end_of(diagnosis.result, parameters)}. Give samples of both classes a weight."
    )


def _end_of(result: Result, parameters: Parameters) -> str:
    """Return when a fit without a minimum has ended, as the end of a sentence."""
    if result.converged:
        return f"its stopping test with tol={parameters.tol} held"
    end = ENDS.get(result.stop_reason, "the objective ceased to fall")
    return end.format(max_iter=parameters.max_iter)


def _separation_message(
    solver: str,
    diagnosis: Diagnosis,
    parameters: Parameters,
    feature_names: NDArray[Any] | None,
) -> str:
    """Return that F has no minimum, with the names of the features that separate the classes.

    The arguments are those of `warn_of_end`.
    """
    listed = separating_features(diagnosis.separation, feature_names)
    cause, advice = "C=inf", "a finite C"
    if np.isfinite(parameters.C):
        cause, advice = "penalty_factor=0", "factors above 0"
    return (
        f"Without a penalty ({cause}) the objective has no minimum: the classes, or some samples "
        "of one and all of the other, are separated by a linear combination of some features, "
        f"whose weights would grow for ever: {listed}. solver={solver!r} ended when "
        f"{_end_of(diagnosis.result, parameters)}. Choose {advice}, or leave out these features."
    )


def separating_features(separation: Vector, feature_names: NDArray[Any] | None) -> str:
    """Return the names of the features that separate the classes, for a message.

    Parameters
    ----------
    separation : ndarray of shape (n_features,), float64
        Direction of the weights, as `direction_of_separation` returns it. The features with the
        largest entries are named.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features; None means their numbers from 0.
    """
    size = np.abs(separation)
    found = np.flatnonzero(size >= NAMED_FRACTION * np.max(size))
    found = found[np.argsort(-size[found], kind="stable")]
    return listed_features(found, feature_names, len(size))


def listed_features(
    features: NDArray[np.intp], feature_names: NDArray[Any] | None, n_features: int
) -> str:
    """Return the names of features for a message: the first ones, and how many more there are.

    The feature with the number n_features is the intercept. If ``feature_names`` is None, the names
    are the numbers of the features, from 0.
    """
    names = np.arange(n_features).astype(str) if feature_names is None else feature_names
    names = [*names, "the intercept"]
    listed = ", ".join(names[feature] for feature in features[:MAX_NAMES])
    more = f" and {len(features) - MAX_NAMES} more" if len(features) > MAX_NAMES else ""
    return listed + more


def warn_of_not_learnt(
    features: NDArray[np.intp], feature_names: NDArray[Any] | None, n_features: int
) -> None:
    """Warn with ConvergenceWarning if a stream cannot learn the weights of some features.

    Parameters
    ----------
    features : ndarray of shape (n,), intp
        Numbers of the features; the number n_features means the intercept.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features; None means their numbers from 0.
    n_features : int
        Number of features.
    """
    if len(features):
        listed = listed_features(features, feature_names, n_features)
        warn_caller(
            "partial_fit with learning_rate='auto' does not learn the weights of some features, "
            f"because the squares of other features are much larger: {listed}. Scale the features, "
            "clip outliers, set learning_rate to a number, or fit solver='newton' to all chunks by "
            "fit_from_chunks.",
            ConvergenceWarning,
        )


def warn_of_ignored(parameters: Parameters, solver: str) -> None:
    """Warn of parameters that are not at their defaults and change nothing.

    Parameters
    ----------
    parameters : Parameters
        Parameters of the estimator.
    solver : str
        Name of the solver that runs.

    Warns
    -----
    UserWarning
        If ``l1_ratio`` is above 0 and C is infinite, so that there is no penalty; and one warning
        that names all parameters that the solver ignores.
    """
    if parameters.l1_ratio > 0 and np.isinf(parameters.C):
        warn_caller(f"l1_ratio={parameters.l1_ratio} is ignored: C=inf means no penalty.")
    given, defaults = partly_used_of(parameters), partly_used_of(Settings)
    if given == defaults:
        return
    values = zip(PARTLY_USED, given, defaults, strict=True)
    changed = [name for name, value, default in values if value != default]
    ignored = [name for name in changed if name not in SOLVERS[solver].uses]
    if ignored:
        runs = "" if parameters.solver == solver else f", which is {solver!r} here,"
        listed = " and ".join(f"{name}={getattr(parameters, name)!r}" for name in ignored)
        users = [name for name in SOLVERS if SOLVERS[name].uses.issuperset(ignored)]
        warn_caller(
            f"solver={parameters.solver!r}{runs} ignores {listed} (used by "
            f"{' and '.join(f'solver={name!r}' for name in users)} only)."
        )


def warn_of_unlike_validation(
    held_out: HeldOut,
    objective: Any,
    losses: tuple[float, float],
    feature_names: NDArray[Any] | None,
) -> None:
    """Warn if X_val is in other units than X, as raw samples are beside scaled ones.

    Parameters
    ----------
    held_out : HeldOut
        Samples held out.
    objective : InMemoryObjective or DeviceObjective
        F over the samples to learn from; a pass is counted if X is read.
    losses : tuple of two floats
        F and the mean loss on the samples held out after the first iteration, in nats.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features; None means their numbers from 0.

    Warns
    -----
    UserWarning
        If the loss of the samples held out is beyond reason, and their values are unlike those of
        X.
    """
    training, validation = losses
    if not held_out.is_given or validation < BEYOND_REASON * max(training, np.log(2)):
        return
    objective.passes.add()
    difference = held_out.difference_from(objective, feature_names)
    if difference is not None:
        warn_caller(
            f"After the first iteration the mean loss on X_val is {validation:.4g} nats, and the "
            f"objective on X is {training:.4g}; {difference}. X_val seems to be in other units "
            "than X: a Pipeline transforms X alone, unless it has transform_input=['X_val']."
        )


def warn_of_moved_start(moved: NDArray[np.intp], w: Vector, allowed: Vector) -> None:
    """Warn with UserWarning if weights to start from were moved to their bounds.

    Parameters
    ----------
    moved : ndarray of shape (n,), intp
        Numbers of the features whose weights were moved.
    w, allowed : ndarray of shape (n_features,), float64
        The weights before and after.
    """
    if len(moved):
        first = moved[0]
        warn_caller(
            f"The fit starts from weights outside of coef_bounds: {len(moved)} were moved to the "
            f"nearest bound, that of feature {first} from {w[first]:g} to {allowed[first]:g}."
        )


def warn_caller(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the line of the user's code that called this package."""
    if (kept := getattr(_local, "kept", None)) is not None:
        kept.append((message, category))
    else:
        warnings.warn(message, category, stacklevel=caller_stacklevel())


def run_warning_here(tasks: list[Callable[[], None]], n_threads: int) -> None:
    """Run tasks in several threads, and issue their warnings, in the order of the tasks, in this.

    A warning points at the line that called the package, which only this thread knows.
    """
    if n_threads == 1:
        for task in tasks:
            task()
        return
    warned: list[list[tuple[str, type[Warning]]]] = [[] for _ in tasks]

    def run(numbers: range) -> None:
        try:
            for i in numbers:
                _local.kept = warned[i]
                tasks[i]()
        finally:
            _local.kept = None

    in_threads([partial(run, range(i, len(tasks), n_threads)) for i in range(n_threads)])
    for message, category in chain.from_iterable(warned):
        warn_caller(message, category)


def caller_stacklevel() -> int:
    """Return the ``stacklevel`` with which a warning points at the line that called this package.

    The level counts from the function that calls `caller_stacklevel`.
    """
    frame, level = sys._getframe(1), 1
    while frame is not None and frame.f_globals["__name__"].split(".")[0] in OWN_PACKAGES:
        frame, level = frame.f_back, level + 1
    return level
