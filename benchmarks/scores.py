"""Cross-validated scores of classifiers, as a user would call them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

from sklearn.base import BaseEstimator, clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import judge
from benchmarks.competitors import DEFAULTS
from benchmarks.problems import Problem
from sklearn_bce import BCENeuronClassifier

# Five folds, four times with other folds: the means of single splits differ by more than the
# classifiers do.
FOLDS, REPEATS = 5, 4

# The calls without parameters, and the ways of either class to scale the columns.
CALLS: dict[str, Callable[[], BaseEstimator]] = {
    **{each.name: lambda each=each: each.estimator(**each.fixed) for each in DEFAULTS},
    "BCENeuronClassifier(standardize=True)": lambda: BCENeuronClassifier(standardize=True),
    "StandardScaler(), LogisticRegression()": lambda: make_pipeline(
        StandardScaler(), LogisticRegression()
    ),
}


class Scores(NamedTuple):
    """Scores of the samples held out, one of each fold of each repeat."""

    accuracy: list[float]
    log_loss: list[float]  # nats


def measure(problem: Problem, progress: Callable[[str], None]) -> dict[str, Scores]:
    """Return the scores of each call on the same folds, by its name."""
    return {name: of_call(problem, make(), name, progress) for name, make in CALLS.items()}


def of_call(
    problem: Problem, estimator: BaseEstimator, name: str, progress: Callable[[str], None]
) -> Scores:
    """Return the scores of an estimator."""
    progress(f"{problem.name}: cross-validating {name}")
    X, y = problem.samples
    scores = Scores([], [])
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=REPEATS, random_state=0)
    for train, test in folds.split(X, y):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a classifier that stops early is scored as it is
            model = clone(estimator).fit(X[train], y[train])
        z = model.decision_function(X[test])
        scores.accuracy.append(judge.accuracy(z, y[test]))
        scores.log_loss.append(judge.mean_loss(z, y[test]))
    return scores
