"""What is said about it: tables for the terminal, a picture where matplotlib is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import sklearn

import sklearn_bce
from benchmarks.competitors import OURS
from benchmarks.runner import TARGET, Entry, Outcome

HEADER = f"{'':30} {'accuracy':>8} {'log loss':>9} {'from optimum':>12} {'time':>10} {'ratio':>8}"


def preamble() -> str:
    """Say what is compared and how to read the tables."""
    return (
        f"sklearn_bce {sklearn_bce.__version__}, scikit-learn {sklearn.__version__}, "
        f"NumPy {np.__version__}\n"
        f"Accuracy and log loss (nats) on held-out data. 'From optimum': objective minus its\n"
        f"minimum, in nats; solved within {TARGET:g}. Everyone runs at the fastest tolerance and\n"
        "settings that solve the problem, or comes as close as any do. Time: median of a whole\n"
        "fit; ratio: to that of the first row, above 1 where it is the faster one."
    )


def table(outcome: Outcome) -> str:
    """Return the table of one problem."""
    X = outcome.problem.split[0]
    lines = [f"{outcome.problem.name} ({X.shape[0]}×{X.shape[1]}, C={outcome.problem.C:g})", HEADER]
    for title, entries in (
        ("tuned to be the fastest that solves it", outcome.tuned),
        ("as called without parameters", outcome.defaults),
    ):
        lines.append(f"  {title}")
        lines += [row(outcome, entry, entries[0]) for entry in entries]
    return "\n".join(lines)


def row(outcome: Outcome, entry: Entry, ours: Entry) -> str:
    """Return the line of one competitor, its ratio against ours."""
    last = entry.fits[-1]
    missed = "" if outcome.solved(entry) else "  not solved"
    return (
        f"    {entry.competitor.name:26} {last.accuracy:8.4f} {last.log_loss:9.4g}"
        f" {outcome.distance(entry):12.1e} {1e3 * entry.seconds:7.1f} ms"
        f" {entry.seconds / ours.seconds:7.1f}×{missed}"
    )


def summary(outcomes: list[Outcome]) -> str:
    """Return the ratios to the fastest other that solved each problem."""
    lines = ["Against the fastest other that solved it:"]
    ratios = []
    for outcome in outcomes:
        ours, *others = outcome.tuned
        solved = [entry for entry in others if outcome.solved(entry)]
        if not solved:
            lines.append(f"  {outcome.problem.name:28} no other solved it")
            continue
        fastest = min(solved, key=lambda entry: entry.seconds)
        ratios.append(fastest.seconds / ours.seconds)
        lines.append(
            f"  {outcome.problem.name:28} {ratios[-1]:5.1f}× faster than {fastest.competitor.name}"
        )
    if ratios:
        lines.append(f"  {'geometric mean':28} {np.exp(np.mean(np.log(ratios))):5.1f}×")
    return "\n".join(lines)


def picture(outcomes: list[Outcome], path: Path) -> bool:
    """Draw distance from the optimum against time; return False where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return False
    columns = 2
    rows = -(-len(outcomes) // columns)
    figure = Figure(figsize=(12, 4.2 * rows), layout="constrained")
    for place, outcome in enumerate(outcomes, start=1):
        axes = figure.add_subplot(rows, columns, place)
        for index, entry in enumerate(outcome.tuned):
            above = [max(fit.objective - outcome.minimum, 1e-12) for fit in entry.path]
            seconds = [fit.seconds for fit in entry.path]
            ours = entry.competitor is OURS
            axes.loglog(
                seconds,
                above,
                marker="o" if ours else "os^vDPX"[index - 1],
                color="black" if ours else f"C{index - 1}",
                linewidth=2.5 if ours else 1,
                markersize=7 if ours else 5,
                label=entry.competitor.name,
                zorder=3 if ours else 2,
            )
        axes.axhline(TARGET, color="grey", linestyle=":", linewidth=1)
        axes.set_ylim(3e-13, None)
        axes.set_title(outcome.problem.name)
        axes.set_xlabel("seconds of a fit")
        axes.set_ylabel("objective above its minimum (nats)")
        if place == 1:
            axes.legend(fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    return True
