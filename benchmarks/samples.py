"""Nanoseconds of a per-sample update, against SGDClassifier's: ``python -m benchmarks.samples``.

Both have the same step and order.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import SGDClassifier

from benchmarks import judge
from benchmarks.generators import gaussian
from benchmarks.generators import text as text_data
from benchmarks.report import geometric_mean
from sklearn_bce import BCENeuronClassifier

TURNS = 5
BASE = 2  # passes of the shorter fit
SECONDS = 0.3  # that the longer fit takes more


@dataclass(frozen=True)
class Case:
    """Data on which a pass is timed, and the constant step size η."""

    name: str
    load: Callable[[], tuple[Any, np.ndarray]]
    step: float


CASES = [
    Case("20 features", partial(gaussian, 50_000, 20), 1e-3),
    Case("50 features", partial(gaussian, 50_000, 50), 1e-3),
    Case("200 features", partial(gaussian, 20_000, 200), 1e-4),
    Case("1000 features", partial(gaussian, 10_000, 1000), 1e-5),
    Case("text, CSR", partial(text_data, 20_000, 30_000), 0.1),
]


def measure(progress: Callable[[str], None], cases: list[Case] = CASES) -> list[dict[str, Any]]:
    """Return nanoseconds per update of both, in order and in random order."""
    rows = []
    for case in cases:
        X, y = case.load()
        for shuffle in (False, True):
            progress(f"per-sample updates: {case.name}, shuffle={shuffle}")
            rows.append(measure_case(case, X, y, shuffle))
    return rows


def measure_case(case: Case, X: Any, y: np.ndarray, shuffle: bool) -> dict[str, Any]:
    """Time the difference between fits of few and of many passes, which leaves out the setup."""
    n_samples = X.shape[0]
    one = fit_seconds(sgd(case.step, n_samples, shuffle, BASE), X, y)[0] / BASE
    more = max(4, int(SECONDS / one))
    differences: dict[str, list[float]] = {"neuron": [], "sgd": []}
    for _ in range(TURNS):
        for name, make in (("neuron", neuron), ("sgd", sgd)):
            short, _ = fit_seconds(make(case.step, n_samples, shuffle, BASE), X, y)
            long, model = fit_seconds(make(case.step, n_samples, shuffle, BASE + more), X, y)
            differences[name].append(long - short)
            if name == "neuron":
                fitted = model
    nanoseconds = {
        name: 1e9 * median(seconds) / (more * n_samples) for name, seconds in differences.items()
    }
    return {
        "case": case.name,
        "n_samples": n_samples,
        "shuffle": shuffle,
        "step": case.step,
        "passes_timed": more,
        "neuron_ns": nanoseconds["neuron"],
        "sgd_ns": nanoseconds["sgd"],
        "ratio": nanoseconds["sgd"] / nanoseconds["neuron"],
        "neuron_objective": judge.objective(
            X, y, fitted.coef_[0], float(fitted.intercept_[0]), 1.0
        ),
        "sgd_objective": judge.objective(X, y, model.coef_[0], float(model.intercept_[0]), 1.0),
    }


def neuron(step: float, n_samples: int, shuffle: bool, passes: int) -> BaseEstimator:
    """Return the plain per-sample rule with a constant step; C = 1."""
    return BCENeuronClassifier(
        solver="sgd", learning_rate=step, tol=0, max_iter=passes, shuffle=shuffle, random_state=0
    )


def sgd(step: float, n_samples: int, shuffle: bool, passes: int) -> BaseEstimator:
    """Return SGDClassifier with the same rule; its penalty is α/2·‖w‖² beside the mean loss."""
    return SGDClassifier(
        loss="log_loss",
        learning_rate="constant",
        eta0=step,
        alpha=1 / n_samples,
        tol=None,
        max_iter=passes,
        shuffle=shuffle,
        random_state=0,
    )


def fit_seconds(model: BaseEstimator, X: Any, y: np.ndarray) -> tuple[float, BaseEstimator]:
    """Return the time of a fit, and the fitted model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        model.fit(X, y)
    return time.perf_counter() - start, model


def text(rows: list[dict[str, Any]]) -> str:
    """Return the results as a table."""
    lines = [
        "Per-sample updates, constant step: nanoseconds each, BCENeuronClassifier(solver='sgd') "
        "against SGDClassifier",
        f"{'':26} {'neuron':>8} {'sgd':>8} {'ratio':>7}   objective after as many passes",
    ]
    for row in rows:
        name = f"{row['case']}, {'random order' if row['shuffle'] else 'in order'}"
        lines.append(
            f"  {name:30} {row['neuron_ns']:8.0f} {row['sgd_ns']:8.0f} {row['ratio']:6.2f}×"
            f"   {row['neuron_objective']:.6f} {row['sgd_objective']:.6f}"
        )
    for shuffle, label in ((False, "in order"), (True, "random order")):
        ratios = [row["ratio"] for row in rows if row["shuffle"] == shuffle]
        lines.append(f"  {f'geometric mean, {label}':48} {geometric_mean(ratios):6.2f}×")
    return "\n".join(lines)


if __name__ == "__main__":
    print(text(measure(lambda message: None)))
