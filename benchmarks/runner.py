"""How it is measured: settings chosen by distance and time, then timed again in turn."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from statistics import median

import numpy as np
from sklearn.base import BaseEstimator, clone

from benchmarks import judge
from benchmarks.competitors import DEFAULTS, OURS, PEERS, Competitor
from benchmarks.problems import Problem

TARGET = 1e-6  # nats of the objective above its minimum: what counts as solved


@dataclass(frozen=True)
class Fit:
    """One fit: how long it took and where it ended."""

    seconds: float
    objective: float
    accuracy: float
    log_loss: float


@dataclass
class Entry:
    """A competitor on a problem: the setting that served it best, and all fits on the way."""

    competitor: Competitor
    estimator: BaseEstimator
    fits: list[Fit]  # of the chosen setting
    path: list[Fit] = field(default_factory=list)  # of every tolerance of that setting
    too_slow: bool = False  # unsolved and beyond the time limit: not worth timing again

    @property
    def seconds(self) -> float:
        """Median time of a fit."""
        return median(fit.seconds for fit in self.fits)


@dataclass
class Outcome:
    """All competitors on one problem."""

    problem: Problem
    tuned: list[Entry]  # the first is ours
    defaults: list[Entry]  # the first is ours
    minimum: float = np.nan

    def distance(self, entry: Entry) -> float:
        """Objective above the least that any fit of the run has found."""
        return max(entry.fits[-1].objective - self.minimum, 0.0)

    def solved(self, entry: Entry) -> bool:
        """Whether the entry came within the target of the minimum."""
        return self.distance(entry) <= TARGET


def run(
    problems: Iterable[Problem], *, repeats: int, limit: float, progress: Callable[[str], None]
) -> Iterable[Outcome]:
    """Yield the outcome of each problem.

    Parameters
    ----------
    problems : iterable of Problem
    repeats : int
        Timed fits of each chosen setting, all competitors in turn; the median counts.
    limit : float
        Seconds of a fit after which a competitor is given no tighter tolerance.
    progress : callable
        Told what is being measured.
    """
    for problem in problems:
        progress(f"{problem.name}: finding the minimum")
        least = fit(problem, OURS.estimator(C=problem.C, tol=1e-14)).objective
        tuned = []
        for competitor in [OURS, *PEERS]:
            progress(f"{problem.name}: {competitor.name}")
            tuned.append(best_setting(problem, competitor, least, limit))
        defaults = [
            Entry(competitor, *first_candidate(problem, competitor)) for competitor in DEFAULTS
        ]
        entries = tuned + defaults
        for turn in range(repeats):
            for entry in entries:
                progress(f"{problem.name}: timing {turn + 1}/{repeats}, {entry.competitor.name}")
                if not entry.too_slow:
                    entry.fits.append(fit(problem, entry.estimator))
        for entry in entries:
            entry.fits = entry.fits[1:] or entry.fits  # the first has warmed up caches
        found = [entry_fit.objective for entry in entries for entry_fit in entry.fits + entry.path]
        yield Outcome(problem, tuned, defaults, min([least, *found]))


def fit(problem: Problem, estimator: BaseEstimator) -> Fit:
    """Fit a clone on the training part, and judge it."""
    X, X_test, y, y_test = problem.split
    model = clone(estimator)
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # a competitor that stops early is judged by where it stopped
        start = time.perf_counter()
        model.fit(X, y)
        seconds = time.perf_counter() - start
    w, b = model.coef_[0], model.intercept_[0]
    return Fit(
        seconds,
        judge.objective(X, y, w, b, problem.C),
        judge.accuracy(X_test, y_test, w, b),
        judge.log_loss(X_test, y_test, w, b),
    )


def first_candidate(problem: Problem, competitor: Competitor) -> tuple[BaseEstimator, list[Fit]]:
    """Return the only setting of a competitor that has no choice, and its first fit."""
    estimator = next(iter(competitor.candidates(problem)))[0]
    return estimator, [fit(problem, estimator)]


def best_setting(problem: Problem, competitor: Competitor, least: float, limit: float) -> Entry:
    """Return the fastest setting that comes within the target of ``least``, or else the closest."""
    entries = []
    for ladder in competitor.candidates(problem):
        path: list[Fit] = []
        for estimator in ladder:
            path.append(fit(problem, estimator))
            entry = Entry(competitor, estimator, [path[-1]], path)
            entries.append(entry)
            if path[-1].objective - least <= TARGET:
                break
            if path[-1].seconds > limit:
                entry.too_slow = True
                break

    def merit(entry: Entry) -> tuple[bool, float]:
        above = entry.fits[0].objective - least
        return above > TARGET, entry.fits[0].seconds if above <= TARGET else above

    return min(entries, key=merit)
