"""LogisticRegression() with `max_iter` raised until a fit reaches the minimum or stops short."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.fits import TARGET, fit
from benchmarks.runner import Outcome

MAX_ITERS = (100, 1_000, 10_000, 20_000)


def measure(
    outcomes: Sequence[Outcome], limit: float, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return a record for each problem that the default call has not solved.

    Each fit starts anew, as a user's would; `seconds` is the time of the last fit,
    `seconds_altogether` that of all. `end` is "solved", "stopped by itself" (before `max_iter`),
    "max_iter" or "time limit"; the distance is then that of the last fit that was not interrupted.
    """
    results = []
    for outcome in outcomes:
        if outcome.solved(outcome.defaults[1]):
            continue
        results.append(raise_max_iter(outcome, limit, progress))
        outcome.problem.release()
    return results


def raise_max_iter(
    outcome: Outcome, limit: float, progress: Callable[[str], None]
) -> dict[str, Any]:
    """Return the record of one problem; see `measure`."""
    altogether, end, distance = 0.0, "max_iter", np.inf
    for max_iter in MAX_ITERS:
        progress(f"{outcome.problem.name}: LogisticRegression(max_iter={max_iter})")
        estimator = LogisticRegression(C=outcome.problem.C, max_iter=max_iter)
        last = fit(outcome.problem, estimator, limit)
        altogether += last.seconds
        if last.failure:  # the distance stays that of the fit before
            end = last.failure
            break
        distance = last.objective - outcome.minimum
        if distance <= TARGET:
            end = "solved"
        elif last.iterations < max_iter:
            end = "stopped by itself"
        else:
            continue
        break
    return {
        "problem": outcome.problem.name,
        "end": end,
        "max_iter": max_iter,
        "iterations": last.iterations,
        "distance": distance,
        "seconds": last.seconds,
        "seconds_altogether": altogether,
        "neuron_seconds": outcome.defaults[0].seconds,
        "neuron_distance": outcome.distance(outcome.defaults[0]),
    }


def text(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table."""
    lines = [
        "Where LogisticRegression() misses the optimum: its max_iter raised to "
        f"{', '.join(map(str, MAX_ITERS))} (BCENeuronClassifier() beside it)",
        f"{'':30} {'end':>18} {'iterations':>10} {'from optimum':>17} {'time (ms)':>19}"
        f" {'ratio':>8}",
    ]
    for each in results:
        iterations = f"{each['iterations']:10.0f}" if each["end"] != "time limit" else f"{'':10}"
        lines.append(
            f"{each['problem']:30} {each['end'][:18]:>18} {iterations}"
            f" {each['neuron_distance']:8.1e} {each['distance']:8.1e}"
            f" {1e3 * each['neuron_seconds']:9.1f} {1e3 * each['seconds']:9.1f}"
            f" {each['seconds'] / each['neuron_seconds']:7.1f}×"
        )
    return "\n".join(lines)
