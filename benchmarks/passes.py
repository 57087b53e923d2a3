"""A million samples: how many passes over X it takes, and what float32 changes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks import judge
from benchmarks.fits import fit_alone, reference
from benchmarks.problems import TALL, Problem
from benchmarks.runner import Outcome
from sklearn_bce import BCENeuronClassifier

TURNS = {BCENeuronClassifier: 5, LogisticRegression: 1}  # the latter for orientation only


def measure(
    outcomes: Sequence[Outcome], progress: Callable[[str], None], problem: Problem = TALL
) -> dict[str, Any]:
    """Return passes to the target, and default calls on float32 against float64."""
    counted = [count_passes(outcome) for outcome in outcomes if outcome.problem is problem]
    figures = {
        "passes": counted[0] if counted else [],
        "float32": compare_precisions(problem, progress),
    }
    problem.release()
    return figures


def count_passes(outcome: Outcome) -> list[dict[str, Any]]:
    """Return the iterations and passes of those that solved it, and of the default calls.

    An iteration of another solver is a pass at least: lbfgs has one for each evaluation in its
    line search, newton-cg one for each product, newton-cholesky one that also forms the curvature.
    """
    entries = [entry for entry in outcome.tuned if outcome.solved(entry)] + outcome.defaults[:2]
    return [
        {
            "name": entry.competitor.name,
            "distance": outcome.distance(entry),
            "iterations": entry.fits[-1].iterations,
            "passes": entry.fits[-1].passes,
            "seconds": entry.seconds,
        }
        for entry in entries
    ]


def compare_precisions(problem: Problem, progress: Callable[[str], None]) -> list[dict[str, Any]]:
    """Return default calls on X in float32 and on the same numbers in float64, timed in turns.

    Both are judged on those numbers in float64, so that the rounding of X itself is not counted.
    """
    X, y = problem.samples
    narrow = Problem(problem.name, partial(_rounded, X, y, np.float32), problem.C)
    wide = Problem(problem.name, partial(_rounded, X, y, np.float64), problem.C)
    least, _ = reference(wide)
    rows = []
    for kind in (BCENeuronClassifier, LogisticRegression):
        seconds: dict[str, list[float]] = {"float32": [], "float64": []}
        for turn in range(TURNS[kind]):
            progress(f"float32 against float64: {kind.__name__}, {turn + 1}/{TURNS[kind]}")
            for name, data in (("float32", narrow), ("float64", wide)):
                seconds[name].append(fit_alone(data, kind(C=problem.C), np.inf).seconds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model = kind(C=problem.C).fit(narrow.samples[0], y)
        found = judge.objective(
            wide.samples[0], y, model.coef_[0], float(model.intercept_[0]), problem.C
        )
        rows.append(
            {
                "name": f"{kind.__name__}()",
                "seconds_float32": median(seconds["float32"]),
                "seconds_float64": median(seconds["float64"]),
                "dtype": str(model.coef_.dtype),
                "distance": found - least,
            }
        )
    return rows


def _rounded(X: np.ndarray, y: np.ndarray, dtype: type) -> tuple[np.ndarray, np.ndarray]:
    return X.astype(np.float32).astype(dtype, copy=False), y


def count(number: float) -> str:
    """Return a number of iterations or passes, blank if it is unknown."""
    return f"{number:6.4g}" if np.isfinite(number) else " " * 6


def text(figures: dict[str, Any]) -> str:
    """Return both results as tables."""
    lines = [
        f"{TALL.name}: passes over X (an iteration is at least one)",
        f"{'':30} {'from optimum':>12} {'iter.':>6} {'passes':>6} {'time':>10}",
    ]
    for each in figures["passes"]:
        lines.append(
            f"  {each['name']:28} {each['distance']:12.1e} {count(each['iterations'])}"
            f" {count(each['passes'])} {1e3 * each['seconds']:7.0f} ms"
        )
    lines += [
        "",
        "The same X in float32 against float64, default calls (coef_ and distance of float32):",
        f"{'':30} {'float32':>10} {'float64':>10} {'ratio':>7} {'coef_':>8} {'from optimum':>12}",
    ]
    for each in figures["float32"]:
        ratio = each["seconds_float64"] / each["seconds_float32"]
        lines.append(
            f"  {each['name']:28} {1e3 * each['seconds_float32']:7.0f} ms"
            f" {1e3 * each['seconds_float64']:7.0f} ms {ratio:6.2f}× {each['dtype']:>8}"
            f" {each['distance']:12.1e}"
        )
    return "\n".join(lines)
