"""Searches for C: `BCENeuronClassifierCV` beside others, with the same values of C for all.

``python -m benchmarks --suite cv`` prints the time of each search and the C that it chooses, by the
mean log loss of five stratified folds, or of samples left out one by one.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from inspect import signature
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV
from sklearn.model_selection import GridSearchCV

from benchmarks.fits import wait_for_quiet
from benchmarks.page import lines_of
from benchmarks.problems import Problem
from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV

CS = np.logspace(-4, 4, 10)
SCORING = "neg_log_loss"


def logistic_regression_cv(**parameters: Any) -> LogisticRegressionCV:
    """Return scikit-learn's search; from version 1.8 on, with the interface of version 1.10."""
    if "use_legacy_attributes" in signature(LogisticRegressionCV).parameters:
        parameters |= {"l1_ratios": (0,), "use_legacy_attributes": False}
    return LogisticRegressionCV(Cs=CS, scoring=SCORING, **parameters)


SEARCHES: dict[str, Callable[[], BaseEstimator]] = {
    "LogisticRegressionCV": logistic_regression_cv,
    "its newton-cholesky": lambda: logistic_regression_cv(solver="newton-cholesky"),
    "GridSearchCV of newton-cholesky": lambda: GridSearchCV(
        LogisticRegression(solver="newton-cholesky"), {"C": CS}, scoring=SCORING
    ),
    "GridSearchCV of the neuron": lambda: GridSearchCV(
        BCENeuronClassifier(), {"C": CS}, scoring=SCORING
    ),
    "five folds": lambda: BCENeuronClassifierCV(Cs=CS),
    "leave one out": lambda: BCENeuronClassifierCV(Cs=CS, cv="loo"),
}
OTHERS = ("LogisticRegressionCV", "its newton-cholesky")
OWN = ("five folds", "leave one out")


class Search(NamedTuple):
    """The times of a search, and what it has chosen."""

    seconds: list[float]
    C: float

    @property
    def median(self) -> float:
        """Median time in seconds."""
        return median(self.seconds)


def measure(
    problems: list[Problem], repeats: int, limit: float, progress: Callable[[str], None]
) -> dict[str, dict[str, Search]]:
    """Return the searches on each problem, by the names of both.

    Parameters
    ----------
    problems : list of Problem
        The problems.
    repeats : int
        Timed searches of each kind, in turn.
    limit : float
        Seconds from which on a search is not repeated.
    progress : callable (str) -> None
        Is told what is measured.
    """
    return {problem.name: of_problem(problem, repeats, limit, progress) for problem in problems}


def of_problem(
    problem: Problem, repeats: int, limit: float, progress: Callable[[str], None]
) -> dict[str, Search]:
    """Return the searches on a problem by name; see `measure`."""
    X, y = problem.samples
    found: dict[str, Search] = {}
    for k in range(repeats + 1):  # the first is not timed, unless it is slow
        for name, make in SEARCHES.items():
            if name in found and found[name].seconds[0] > limit:
                continue
            progress(f"{problem.name}: {name}")
            search = clone(make())
            wait_for_quiet()
            start = time.perf_counter()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                search.fit(X, y)
            seconds = time.perf_counter() - start
            C = search.best_params_["C"] if isinstance(search, GridSearchCV) else search.C_
            C = float(np.ravel(C)[0])  # an array in older versions of scikit-learn
            before = found[name].seconds if name in found and k > 1 else []
            found[name] = Search([*before, seconds], C)
    return found


def text(found: dict[str, dict[str, Search]]) -> str:
    """Return a table in Markdown: times in milliseconds, the chosen C, and ratios."""
    head = ["", *SEARCHES, *(f"{name}, ratio" for name in OWN)]
    rows = []
    for problem, searches in found.items():
        other = min(searches[name].median for name in OTHERS)
        cells = [f"{1e3 * each.median:.0f} ms (C={each.C:.3g})" for each in searches.values()]
        rows.append([problem, *cells, *(f"{other / searches[name].median:.1f}" for name in OWN)])
    return "\n".join(lines_of(head, rows))
