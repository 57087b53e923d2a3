"""The solvers that are compared, each with the settings that its best is chosen from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from inspect import signature
from itertools import product
from typing import Any

from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, SGDClassifier

from benchmarks.limits import newton_steps_within, passes_within, stored_values
from benchmarks.peers import (
    LIBLINEAR_DUAL,
    LIBLINEAR_L1,
    Celer,
    Glum,
    Intelex,
    Liblinear,
    Skglm,
    SnapML,
)
from benchmarks.problems import Problem, Variation
from sklearn_bce import BCENeuronClassifier

MANY = 20_000  # iterations: more than a solver needs that reaches the minimum at all
MANY_PASSES = 5_000  # of sag and saga, each as long as two of lbfgs's iterations
# Columns of a curvature that is formed and factorised whole: beyond, it takes gigabytes, and
# minutes that no time limit can interrupt.
MAX_CURVATURE = 3_000
# Stored values up to which LIBLINEAR's dual solver is tried: it has no limit of iterations, and
# fits of a million samples take minutes. Its authors advise the primal where samples are many.
MAX_DUAL = 1_000_000


@dataclass(frozen=True)
class Competitor:
    """An estimator class with fixed parameters and grids to choose from.

    Without a grid and tolerances it stands for the class as called without parameters.

    Parameters
    ----------
    name : str
    estimator : type
        With parameters `C` (or `alpha`, of SGDClassifier) and `tol`.
    fixed : dict
        Parameters that are the same in every setting.
    settings : list of dict
        Parameters of each setting; the best setting is the one that is compared.
    tolerances : tuple of float
        From the loosest to the tightest.
    compiled : bool
        Whether a fit is one call of compiled code, which no timer can interrupt.
    iterations : callable, optional
        ``(seconds, X)`` to the number of iterations that take this time, instead of a timer.
    random : bool
        Whether the result depends on `random_state`.
    needs : str
        The package that must be installed.
    """

    name: str
    estimator: type[BaseEstimator]
    fixed: dict[str, Any] = field(default_factory=dict)
    settings: list[dict[str, Any]] = field(default_factory=lambda: [{}])
    tolerances: tuple[float, ...] = ()
    compiled: bool = False
    iterations: Callable[[float, Any], int] | None = None
    random: bool = False
    needs: str = "sklearn"

    def candidates(self, problem: Problem, seconds: float) -> Iterator[list[BaseEstimator]]:
        """Yield, for each setting, its estimators from the loosest to the tightest tolerance.

        A competitor with `iterations` gets as many iterations as take about `seconds`.
        """
        if not self.takes(problem.variation):
            return
        X = problem.samples[0]
        for setting in self.settings:
            parameters = self.fixed | setting | problem.variation.parameters
            if forms_curvature(parameters) and X.shape[1] > MAX_CURVATURE:
                continue
            if parameters.get("solver") == LIBLINEAR_DUAL and stored_values(X) > MAX_DUAL:
                continue
            if self.iterations is not None:
                most = parameters.get("max_iter", MANY)
                parameters["max_iter"] = min(most, self.iterations(seconds, X))
            tolerances = [{"tol": tol} for tol in self.tolerances] or [{}]
            yield [self._make(problem, **parameters, **tol) for tol in tolerances]

    def takes(self, variation: Variation) -> bool:
        """Whether the estimator has the parameters, and the sample weights, of a variation."""
        known = signature(self.estimator).parameters
        has_weights = "sample_weight" in signature(self.estimator.fit).parameters
        is_known = all(name in known for name in variation.parameters)
        return is_known and (has_weights or not variation.is_weighted)

    def _make(self, problem: Problem, **parameters: Any) -> BaseEstimator:
        if self.estimator is SGDClassifier:
            # its penalty is α/2‖w‖² beside the mean loss: the same objective for α = 1/(C·n)
            parameters["alpha"] = 1 / (problem.C * len(problem.samples[1]))
        else:
            parameters["C"] = problem.C
        if problem.l1_ratio:
            parameters["l1_ratio"] = problem.l1_ratio
        return self.estimator(**parameters)

    @property
    def installed(self) -> bool:
        """Whether its package can be imported."""
        return find_spec(self.needs) is not None


def forms_curvature(parameters: dict[str, Any]) -> bool:
    """Whether the solver forms and factorises the whole n_features×n_features curvature."""
    return parameters.get("solver") in ("newton-cholesky", "irls-ls")


def grid(**choices: list[Any]) -> list[dict[str, Any]]:
    """Return every combination of the choices."""
    return [dict(zip(choices, values, strict=True)) for values in product(*choices.values())]


TOLERANCES = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-8, 1e-10, 1e-12)

BCE_NEURON = Competitor(
    "BCENeuron",
    BCENeuronClassifier,
    {"max_iter": MANY, "random_state": 0},
    tolerances=TOLERANCES,
    random=True,
)


def logistic_regression(
    solver: str,
    max_iter: int = MANY,
    iterations: Callable[[float, Any], int] | None = None,
    **choices: list[Any],
) -> Competitor:
    """Return LogisticRegression with one of its solvers, free to choose its tolerance."""
    fixed = {"solver": solver, "max_iter": max_iter, "random_state": 0}
    return Competitor(
        solver,
        LogisticRegression,
        fixed,
        grid(**choices),
        TOLERANCES,
        compiled=iterations is not None,
        iterations=iterations,
        random=solver in ("sag", "saga"),
    )


# These three support the L1 norm too. liblinear penalises the intercept, the less the larger its
# intercept_scaling.
LIBLINEAR = logistic_regression(
    "liblinear", iterations=newton_steps_within, intercept_scaling=[1.0, 30.0, 1000.0]
)
SAGA = logistic_regression("saga", MANY_PASSES, passes_within)
SKGLM = Competitor(
    "skglm",
    Skglm,
    settings=grid(solver=["ProxNewton", "AndersonCD"]),
    tolerances=TOLERANCES,
    needs="skglm",
)

SKLEARN = [
    logistic_regression("lbfgs"),
    logistic_regression("newton-cholesky"),
    logistic_regression("newton-cg"),
    LIBLINEAR,
    logistic_regression("sag", MANY_PASSES, passes_within),
    SAGA,
    Competitor(
        "SGDClassifier",
        SGDClassifier,
        {"loss": "log_loss", "max_iter": 1000, "random_state": 0},
        grid(learning_rate=["optimal", "adaptive"], eta0=[0.1, 0.001], average=[False, True]),
        (1e-3, 1e-5, 1e-7),
        compiled=True,
        iterations=passes_within,
        random=True,
    ),
]

PACKAGES = [
    Competitor(
        "scikit-learn-intelex",
        Intelex,
        {"max_iter": MANY},
        grid(solver=["lbfgs", "newton-cg"]),
        TOLERANCES,
        needs="sklearnex",
    ),
    Competitor(
        "glum",
        Glum,
        settings=[
            *grid(solver=["irls-ls"], scale_predictors=[False, True]),
            *grid(solver=["lbfgs"], scale_predictors=[False, True]),
        ],
        tolerances=TOLERANCES,
        needs="glum",
    ),
    Competitor(
        "liblinear-official",
        Liblinear,
        settings=[{"solver": 0}, *grid(solver=[LIBLINEAR_DUAL], bias=[1.0, 10.0, 1000.0])],
        tolerances=TOLERANCES,
        compiled=True,
        needs="liblinear",
    ),
    SKGLM,
    Competitor(
        "snapml",
        SnapML,
        settings=[
            *grid(dual=[False], n_jobs=[1, 2], bias=[30.0]),
            *grid(dual=[True], n_jobs=[1, 2], bias=[10.0]),
        ],
        tolerances=TOLERANCES,
        compiled=True,
        iterations=passes_within,
        needs="snapml",
    ),
]

PEERS = [*SKLEARN, *PACKAGES]

# Competitors that support the L1 norm, with their settings for it.
SPARSE_PEERS = [
    LIBLINEAR,
    SAGA,
    Competitor(
        "celer",
        Celer,
        settings=grid(bias=[1000.0]),
        tolerances=TOLERANCES,
        needs="celer",
    ),
    Competitor(
        "glum",
        Glum,
        settings=grid(solver=["irls-cd"], scale_predictors=[False]),
        tolerances=TOLERANCES,
        needs="glum",
    ),
    Competitor(
        "liblinear-official",
        Liblinear,
        settings=[{"solver": LIBLINEAR_L1}],
        tolerances=TOLERANCES,
        compiled=True,
        needs="liblinear",
    ),
    SKGLM,
    Competitor(
        "snapml",
        SnapML,
        settings=grid(dual=[False], n_jobs=[1, 2], bias=[30.0, 1000.0]),
        tolerances=TOLERANCES,
        compiled=True,
        iterations=passes_within,
        needs="snapml",
    ),
]

SPARSE_DEFAULTS = [
    Competitor("BCENeuronClassifier()", BCENeuronClassifier),
    Competitor("LogisticRegression('saga')", LogisticRegression, {"solver": "saga"}, compiled=True),
]

DEFAULTS = [
    Competitor("BCENeuronClassifier()", BCENeuronClassifier),
    Competitor("LogisticRegression()", LogisticRegression),
    Competitor(
        "SGDClassifier('log_loss')",
        SGDClassifier,
        {"loss": "log_loss", "random_state": 0},
        compiled=True,
    ),
]


def chosen(names: Iterable[str], among: list[Competitor] = PEERS) -> list[Competitor]:
    """Return the peers of these names, in the order of the table.

    Raises
    ------
    ValueError
        If no competitor has one of the names, or its package is not installed.
    """
    wanted = set(names)
    known = {peer.name: peer for peer in among}
    if unknown := wanted - known.keys():
        raise ValueError(
            f"unknown peer {', '.join(sorted(unknown))}; allowed are {', '.join(known)}"
        )
    if missing := [name for name in known if name in wanted and not known[name].installed]:
        raise ValueError(f"not installed: {', '.join(missing)}; pip install -e '.[bench]'")
    return [peer for peer in among if peer.name in wanted]
