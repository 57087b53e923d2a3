"""LogisticRegression() as users call it, its `max_iter` raised until it arrives or gives up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from benchmarks.fits import TARGET, fit
from benchmarks.runner import Outcome

LADDER = (100, 1_000, 10_000, 20_000)


def measure(
    outcomes: Sequence[Outcome], limit: float, progress: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Return how each problem ended that the default call had missed by more than the target.

    Every fit of the ladder is a new one, as a user's would be; `seconds` is the last one's,
    `seconds_altogether` of all. `end` is "solved", "stopped by itself" (short of `max_iter`),
    "max_iter" or "time limit"; the distance is then that of the last fit that ended.
    """
    results = []
    for outcome in outcomes:
        if outcome.solved(outcome.defaults[1]):
            continue
        results.append(climb(outcome, limit, progress))
        outcome.problem.forget()
    return results


def climb(outcome: Outcome, limit: float, progress: Callable[[str], None]) -> dict[str, Any]:
    """Return how one problem ended."""
    altogether, end, distance = 0.0, "max_iter", np.inf
    for max_iter in LADDER:
        progress(f"{outcome.problem.name}: LogisticRegression(max_iter={max_iter})")
        estimator = LogisticRegression(C=outcome.problem.C, max_iter=max_iter)
        last = fit(outcome.problem, estimator, limit)
        altogether += last.seconds
        if last.failure:  # the distance stays that of the rung below
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
        "ours_seconds": outcome.defaults[0].seconds,
        "ours_distance": outcome.distance(outcome.defaults[0]),
    }


def text(results: Sequence[dict[str, Any]]) -> str:
    """Return the results as a table."""
    lines = [
        "Where LogisticRegression() misses the optimum: its max_iter raised to "
        f"{', '.join(map(str, LADDER))} (BCENeuronClassifier() beside it)",
        f"{'':30} {'end':>18} {'iterations':>10} {'from optimum':>17} {'time (ms)':>19}"
        f" {'ratio':>8}",
    ]
    for each in results:
        iterations = f"{each['iterations']:10.0f}" if each["end"] != "time limit" else f"{'':10}"
        lines.append(
            f"{each['problem']:30} {each['end'][:18]:>18} {iterations}"
            f" {each['ours_distance']:8.1e} {each['distance']:8.1e}"
            f" {1e3 * each['ours_seconds']:9.1f} {1e3 * each['seconds']:9.1f}"
            f" {each['seconds'] / each['ours_seconds']:7.1f}×"
        )
    return "\n".join(lines)
