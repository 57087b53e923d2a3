"""One fit: timed, judged, and held to its time; and all the fits of a competitor on a problem."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, clone

from benchmarks import judge
from benchmarks.competitors import OURS, Competitor
from benchmarks.limits import TimeLimitReached, time_limit
from benchmarks.problems import Problem

TARGET = 1e-6  # nats of the objective above its minimum: what counts as solved
# Seconds between two looks at whether threads of BLAS and OpenMP still keep a core busy, which they
# do for some 100 ms after their last piece of work: whoever came next would have one core less.
LOOK = 0.005
# A fit that takes less than so many seconds is done once more before it counts: it would find
# its own code gone from the cache, which a user's loop over fits does not.
WORTH_WARMING = 0.02


@dataclass(frozen=True)
class Fit:
    """One fit: how long it took and where it ended."""

    seconds: float
    objective: float
    accuracy: float
    log_loss: float
    parameters: dict[str, Any] = field(default_factory=dict)
    iterations: float = np.nan  # as the solver counts them
    passes: float = np.nan  # over X, where the estimator counts them
    cpu_seconds: float = np.nan  # of all threads; beside `seconds` it shows who was kept waiting
    preparation: float = 0.0  # seconds to bring X into the form it was given in, once
    failure: str = ""


@dataclass
class Entry:
    """A competitor on a problem: the setting that served it best, and all fits on the way."""

    competitor: Competitor
    estimator: BaseEstimator
    fits: list[Fit]  # of the chosen setting
    path: list[Fit] = field(default_factory=list)  # of every tolerance of that setting
    tried: list[Fit] = field(default_factory=list)  # of all settings
    gave_up: bool = False  # patience ended before the settings and tolerances did

    @property
    def seconds(self) -> float:
        """Median time of a fit."""
        return median(fit.seconds for fit in self.fits)

    @property
    def shortest(self) -> float:
        """Shortest time of a fit: what noise from outside has touched least."""
        return min(fit.seconds for fit in self.fits)


def reference(problem: Problem) -> tuple[float, float]:
    """Return a minimum to measure from, and a bound on its error that does not trust its finder."""
    X, _, y, _ = problem.split
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = OURS.estimator(C=problem.C, l1_ratio=problem.l1_ratio, tol=1e-15, max_iter=300).fit(
            X, y
        )
    place = model.coef_[0], model.intercept_[0], problem.C, problem.l1_ratio
    return judge.objective(X, y, *place), judge.gap(X, y, *place)


def fit(problem: Problem, estimator: BaseEstimator, limit: float = np.inf) -> Fit:
    """Fit a clone on the training part, and judge it."""
    X, X_test, y, y_test = problem.split
    model = clone(estimator)
    convert = model.form() if hasattr(model, "form") else None
    arguments, preparation = problem.form(convert)
    told = parameters_of(model)
    start, cpu_start = time.perf_counter(), time.process_time()
    try:
        with warnings.catch_warnings(), time_limit(limit):
            # a competitor that stops early is judged by where it stopped
            warnings.simplefilter("ignore")
            model.fit(*arguments)
    except (TimeLimitReached, Exception) as error:
        seconds = time.perf_counter() - start
        # compiled code in between may turn the interruption into an error of its own
        late = isinstance(error, TimeLimitReached) or seconds >= limit
        why = "time limit" if late else f"{error!r:.200}"
        return Fit(seconds, np.inf, np.nan, np.nan, told, failure=why)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    w, b = model.coef_[0].astype(np.float64), float(model.intercept_[0])
    if not (np.isfinite(w).all() and np.isfinite(b)):
        return Fit(seconds, np.inf, np.nan, np.nan, told, failure="weights are not finite")
    return Fit(
        seconds,
        judge.objective(X, y, w, b, problem.C, problem.l1_ratio),
        judge.accuracy(X_test, y_test, w, b),
        judge.log_loss(X_test, y_test, w, b),
        told,
        float(np.max(getattr(model, "n_iter_", np.nan))),
        float(getattr(model, "n_passes_", np.nan)),
        cpu_seconds,
        preparation,
    )


def fit_alone(problem: Problem, estimator: BaseEstimator, expected: float) -> Fit:
    """Fit as `fit` does, warm and on a quiet machine; a fit is expected to take so many seconds."""
    wait_for_quiet()
    if expected < WORTH_WARMING:
        model = clone(estimator)
        arguments, _ = problem.form(model.form() if hasattr(model, "form") else None)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(*arguments)
    return fit(problem, estimator)


def wait_for_quiet() -> None:
    """Wait until no thread of this process is busy, for a second at most."""
    for _ in range(round(1 / LOOK)):
        before = time.process_time()
        time.sleep(LOOK)
        if time.process_time() - before < LOOK / 10:
            return


def parameters_of(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the tolerance, and the parameters that differ from the class's defaults."""
    usual = type(estimator)().get_params()
    return {
        name: value
        for name, value in estimator.get_params().items()
        if name == "tol" or (value is not usual[name] and value != usual[name])
    }
