"""Pictures: distance from the optimum against time, and the performance profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.competitors import BCE_NEURON, PEERS, SPARSE_PEERS
from benchmarks.fits import TARGET
from benchmarks.profiles import performance_profile, ratios_to_fastest
from benchmarks.report import title
from benchmarks.runner import Outcome

FLOOR = 1e-12  # nats; what is closer to the optimum is drawn here


def styles() -> dict[str, dict[str, Any]]:
    """Return how each competitor is drawn, the same in every picture."""
    colours = [f"C{index}" for index in range(10)]
    by_name = {BCE_NEURON.name: {"color": "black", "marker": "o", "linewidth": 2.4, "zorder": 5}}
    for index, name in enumerate(dict.fromkeys(peer.name for peer in PEERS + SPARSE_PEERS)):
        by_name[name] = {
            "color": colours[index % 10],
            "marker": "s^vDPX*<>ph"[index % 11],
            "linestyle": "-" if index < 10 else "--",
            "linewidth": 1.1,
        }
    return by_name


def distance_against_time(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw, for each problem, every tolerance of each competitor's best setting."""
    from matplotlib.figure import Figure

    columns = 2 if len(outcomes) <= 4 else 4
    rows = -(-len(outcomes) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.5 * rows + 1), layout="constrained")
    look, handles = styles(), {}
    for place, outcome in enumerate(outcomes, start=1):
        axes = figure.add_subplot(rows, columns, place)
        for entry in outcome.tuned:
            fits = [fit for fit in entry.path if np.isfinite(fit.objective)]
            if not fits:
                continue
            (handles[entry.competitor.name],) = axes.loglog(
                [fit.seconds for fit in fits],
                [max(fit.objective - outcome.minimum, FLOOR) for fit in fits],
                markersize=5,
                label=entry.competitor.name,
                **look[entry.competitor.name],
            )
        axes.axhline(TARGET, color="grey", linestyle=":", linewidth=1)
        axes.set_ylim(FLOOR / 3, 10)  # above, a fit is far from the minimum
        axes.set_title(title(outcome), fontsize=9)
        if place > len(outcomes) - columns:
            axes.set_xlabel("seconds of a fit")
        if place % columns == 1:
            axes.set_ylabel("objective above\nits minimum (nats)")
    names = [name for name in look if name in handles]
    figure.legend(
        [handles[name] for name in names], names, loc="outside lower center", ncols=6, fontsize=10
    )
    _save(figure, path)


def profile(outcomes: Sequence[Outcome], path: Path) -> None:
    """Draw the fraction of problems solved within each factor of the fastest."""
    from matplotlib.figure import Figure

    seconds = {
        name: [solving_time(outcome, name) for outcome in outcomes]
        for name in styles()
        if any(entry.competitor.name == name for o in outcomes for entry in o.tuned)
    }
    ratios = ratios_to_fastest(seconds)
    finite = [r for row in ratios.values() for r in row if np.isfinite(r)]
    end = 1.3 * max(finite, default=1.0)
    figure = Figure(figsize=(9, 5.5), layout="constrained")
    axes = figure.add_subplot()
    for name, row in ratios.items():
        steps = np.unique(np.concatenate([[1.0], row[np.isfinite(row)], [end]]))
        look = {key: value for key, value in styles()[name].items() if key != "marker"}
        axes.step(steps, performance_profile(row, steps), where="post", label=name, **look)
    axes.set_xscale("log")
    axes.set_xlim(1, end)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("factor τ of the fastest competitor's time")
    axes.set_ylabel(f"fraction of the {len(outcomes)} problems solved within it")
    axes.set_title(f"Performance profile: time to within {TARGET:g} nats of the minimum")
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right upper", fontsize=9)
    _save(figure, path)


def solving_time(outcome: Outcome, name: str) -> float:
    """Return a competitor's time on a problem, inf where it did not solve it."""
    for entry in outcome.tuned:
        if entry.competitor.name == name and outcome.solved(entry):
            return entry.seconds
    return np.inf


def _save(figure: Any, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
