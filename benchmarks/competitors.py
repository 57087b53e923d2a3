"""Who solves it: each competitor with the settings it may choose its best from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier

from benchmarks.problems import Problem
from sklearn_bce import BCENeuronClassifier

# Iterations: more than a solver that gets anywhere needs, on these problems.
MANY = 20_000
MANY_PASSES = 5_000  # of sag and saga, each as long as two of lbfgs's iterations


@dataclass(frozen=True)
class Competitor:
    """An estimator class with fixed parameters and grids to choose from.

    With no grid and no tolerances it is the call as users make it: the class, without a parameter.
    """

    name: str
    estimator: type[BaseEstimator]
    fixed: dict[str, Any] = field(default_factory=dict)
    grid: dict[str, list[Any]] = field(default_factory=dict)
    tolerances: tuple[float, ...] = ()

    def candidates(self, problem: Problem) -> Iterator[list[BaseEstimator]]:
        """Yield, for each setting, its estimators from the loosest to the tightest tolerance."""
        for values in product(*self.grid.values()):
            setting = dict(zip(self.grid, values, strict=True))
            tolerances = [{"tol": tol} for tol in self.tolerances] or [{}]
            yield [self._make(problem, **setting, **tol) for tol in tolerances]

    def _make(self, problem: Problem, **parameters: Any) -> BaseEstimator:
        if self.estimator is SGDClassifier:
            # its penalty is α/2‖w‖² beside the mean loss: the same objective for α = 1/(C·n)
            parameters["alpha"] = 1 / (problem.C * len(problem.split[2]))
        else:
            parameters["C"] = problem.C
        return self.estimator(**self.fixed, **parameters)


TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10, 1e-12)

OURS = Competitor("BCENeuron", BCENeuronClassifier, {"max_iter": MANY}, tolerances=TOLERANCES)


def logistic_regression(solver: str, max_iter: int = MANY, **grid: list[Any]) -> Competitor:
    """Return LogisticRegression with one of its solvers, free to choose its tolerance."""
    fixed = {"solver": solver, "max_iter": max_iter, "random_state": 0}
    return Competitor(solver, LogisticRegression, fixed, grid, TOLERANCES)


PEERS = [
    logistic_regression("lbfgs"),
    logistic_regression("newton-cholesky"),
    logistic_regression("newton-cg"),
    # liblinear penalises the intercept, the less the larger its intercept_scaling
    logistic_regression("liblinear", intercept_scaling=[1.0, 30.0, 1000.0]),
    logistic_regression("sag", MANY_PASSES),
    logistic_regression("saga", MANY_PASSES),
    Competitor(
        "SGDClassifier",
        SGDClassifier,
        {"loss": "log_loss", "max_iter": 1000, "random_state": 0},
        {"learning_rate": ["optimal", "adaptive"], "eta0": [0.1, 0.001], "average": [False, True]},
        (1e-3, 1e-5, 1e-7),
    ),
]

DEFAULTS = [
    Competitor("BCENeuronClassifier()", BCENeuronClassifier),
    Competitor("LogisticRegression()", LogisticRegression),
    Competitor("SGDClassifier('log_loss')", SGDClassifier, {"loss": "log_loss", "random_state": 0}),
]
