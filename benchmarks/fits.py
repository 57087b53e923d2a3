"""A fit within a time limit, timed and judged; and the fits of a competitor on a problem."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from benchmarks import judge
from benchmarks.competitors import BCE_NEURON, Competitor
from benchmarks.limits import TimeLimitReached, time_limit
from benchmarks.problems import Problem

TARGET = 1e-6  # nats of the objective above its minimum: what counts as solved
# Seconds between two checks of whether threads of BLAS and OpenMP still keep a core busy. Such
# threads spin for some 100 ms after their last piece of work, and would slow down the next fit.
CHECK_INTERVAL = 0.005
# A fit that takes fewer seconds is preceded by one that is not timed, which brings its code into
# the processor's cache, as in a user's loop over fits.
WORTH_WARMING = 0.02


@dataclass(frozen=True)
class Fit:
    """The time and the objective of a fit."""

    seconds: float
    objective: float
    parameters: dict[str, Any] = field(default_factory=dict)
    iterations: float = np.nan  # as the solver counts them
    passes: float = np.nan  # over X, where the estimator counts them
    cpu_seconds: float = (
        np.nan
    )  # of all threads; if below `seconds`, the fit had to wait for a core
    preparation: float = 0.0  # seconds to convert X into the form that the estimator takes
    failure: str = ""


@dataclass
class Entry:
    """A competitor on a problem: its best setting, and the fits of all settings."""

    competitor: Competitor
    estimator: BaseEstimator
    fits: list[Fit]  # of the chosen setting
    path: list[Fit] = field(default_factory=list)  # of every tolerance of that setting
    tried: list[Fit] = field(default_factory=list)  # of all settings
    gave_up: bool = False  # the time for the search ended before all settings were tried

    @property
    def seconds(self) -> float:
        """Median time of a fit."""
        return median(fit.seconds for fit in self.fits)

    @property
    def shortest(self) -> float:
        """Shortest time of a fit, which other processes have disturbed least."""
        return min(fit.seconds for fit in self.fits)


def reference(problem: Problem) -> tuple[float, float]:
    """Return the minimum of the objective, and a bound on its error by the duality gap.

    The bound is NaN of a variation with weights or another parameter, and without a penalty.
    """
    X, y = problem.samples
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = BCE_NEURON.estimator(
            C=problem.C,
            l1_ratio=problem.l1_ratio,
            tol=1e-15,
            max_iter=300,
            **problem.variation.parameters,
        ).fit(X, y, problem.sample_weight)
    place = model.coef_[0], model.intercept_[0], problem.C, problem.l1_ratio
    is_plain = problem.judged_weight is None and not problem.variation.parameters
    gap = judge.gap(X, y, *place) if is_plain and np.isfinite(problem.C) else np.nan
    return judge.objective(X, y, *place, problem.judged_weight), gap


def fit(problem: Problem, estimator: BaseEstimator, limit: float = np.inf) -> Fit:
    """Fit a clone to the samples, and judge its weights."""
    X, y = problem.samples
    model = clone(estimator)
    convert = model.form() if hasattr(model, "form") else None
    arguments, preparation = problem.form(convert)
    parameters = parameters_of(model)
    weights = weights_of(problem)
    start, cpu_start = time.perf_counter(), time.process_time()
    try:
        with warnings.catch_warnings(), time_limit(limit):
            # a competitor that stops early is judged by its last weights
            warnings.simplefilter("ignore")
            model.fit(*arguments, **weights)
    except (TimeLimitReached, Exception) as error:
        seconds = time.perf_counter() - start
        # compiled code may turn the interruption into another error
        late = isinstance(error, TimeLimitReached) or seconds >= limit
        why = "time limit" if late else f"{error!r:.200}"
        return Fit(seconds, np.inf, parameters, failure=why)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    w, b = model.coef_[0].astype(np.float64), float(np.ravel(model.intercept_)[0])
    if not (np.isfinite(w).all() and np.isfinite(b)):
        return Fit(seconds, np.inf, parameters, failure="weights are not finite")
    return Fit(
        seconds,
        judge.objective(X, y, w, b, problem.C, problem.l1_ratio, problem.judged_weight),
        parameters,
        float(np.max(getattr(model, "n_iter_", np.nan))),
        float(getattr(model, "n_passes_", np.nan)),
        cpu_seconds,
        preparation,
    )


def fit_alone(problem: Problem, estimator: BaseEstimator, expected: float) -> Fit:
    """Fit as `fit` does, with idle cores, and with a warm cache if ``expected`` seconds are few."""
    wait_for_quiet()
    if expected < WORTH_WARMING:
        model = clone(estimator)
        arguments, _ = problem.form(model.form() if hasattr(model, "form") else None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(*arguments, **weights_of(problem))
    return fit(problem, estimator)


def weights_of(problem: Problem) -> dict[str, np.ndarray]:
    """Return the argument ``sample_weight`` of a fit; an empty dict if there is none."""
    return {} if problem.sample_weight is None else {"sample_weight": problem.sample_weight}


def wait_for_quiet() -> None:
    """Wait until no thread of this process is busy, for a second at most."""
    for _ in range(round(1 / CHECK_INTERVAL)):
        before = time.process_time()
        time.sleep(CHECK_INTERVAL)
        if time.process_time() - before < CHECK_INTERVAL / 10:
            return


def parameters_of(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the tolerance, and the parameters that differ from the class's defaults."""
    usual = type(estimator)().get_params()
    return {
        name: value
        for name, value in estimator.get_params().items()
        if name == "tol" or (value is not usual[name] and value != usual[name])
    }
