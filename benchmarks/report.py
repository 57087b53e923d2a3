"""Tables of the results, for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import sklearn

import sklearn_bce
from benchmarks.competitors import PEERS, Competitor
from benchmarks.fits import TARGET, Entry
from benchmarks.runner import FAR_BEHIND, Outcome
from benchmarks.scores import FOLDS, REPEATS
from benchmarks.search import SEARCH_FLOOR, SEARCH_PATIENCE, SETTING_FLOOR, SETTING_PATIENCE

HEADER = f"{'':30} {'from optimum':>12} {'time':>10} {'ratio':>8}"
WIDTH = 58  # of the problems' names, sizes and origins
PREPARED = {
    "celer": "celer X by columns with a constant column",
    "glum": "glum and skglm X by columns (CSC below a density of 0.5)",
    "liblinear-official": "LIBLINEAR its own structure",
    "snapml": "Snap ML X in float32 with a constant column",
}


def preamble(peers: Sequence[Competitor], limit: float, machine: dict[str, Any]) -> str:
    """Return what is compared and how to read the tables."""
    lines = [
        f"sklearn_bce {sklearn_bce.__version__}, scikit-learn {sklearn.__version__}, "
        f"NumPy {np.__version__}; {machine['cpu']}, {machine['usable_cores']} cores, load average "
        f"at the start {(machine['load_average'] or [np.nan])[0]:.2f}",
        f"Against: {', '.join(peer.name for peer in peers)}.",
    ]
    if missing := [peer.name for peer in PEERS if not peer.installed]:
        lines.append(f"Left out, because not installed: {', '.join(missing)}.")
    if left := [peer.name for peer in PEERS if peer.installed and peer not in peers]:
        lines.append(f"Not asked for: {', '.join(left)}.")
    lines += [
        f"'From optimum': objective minus its minimum, in nats; solved within {TARGET:g}. Each "
        "runs at its",
        "fastest tolerance and settings that solve it, or else at those that come closest.",
        "Time: median of a whole fit; ratio: to that of the first row, above 1 where it is the "
        "faster one.",
        f"A fit may take {limit:g} s, or {FAR_BEHIND} times BCENeuron's time if that is more. "
        "Unsolved, no tighter",
        f"tolerance is tried after a fit of {SETTING_PATIENCE} times BCENeuron's time (at least "
        f"{SETTING_FLOOR:g} s), and no further",
        f"setting after {SEARCH_PATIENCE} times it (at least {SEARCH_FLOOR:g} s).",
        "Solvers with a random part must solve a problem with three seeds to count as solving it.",
        "BCENeuron and scikit-learn's classifiers are given X as it is. Scores are means over the",
        "folds ± their standard deviation.",
    ]
    if prepared := [text for name, text in PREPARED.items() if name in {p.name for p in peers}]:
        lines.append(f"Prepared outside the timed part: for {'; '.join(prepared)}.")
    return "\n".join(lines)


def title(outcome: Outcome) -> str:
    """Return the problem's name, size, penalty, and whether its data are real or generated."""
    n_samples, n_features = outcome.shape
    problem = outcome.problem
    return f"{problem.name} ({n_samples}×{n_features}, C={problem.C:g}, {problem.origin})"


def table(outcome: Outcome) -> str:
    """Return the table of one problem."""
    lines = [
        f"{title(outcome)}: minimum {outcome.minimum:.6g}, true to {outcome.gap:.0e} by its "
        "duality gap",
        HEADER,
    ]
    for heading, entries in (
        ("tuned to be the fastest that solves it", outcome.tuned),
        ("as called without parameters", outcome.defaults),
    ):
        lines.append(f"  {heading}")
        lines += [row(outcome, entry, entries[0]) for entry in entries]
    return "\n".join(lines)


def row(outcome: Outcome, entry: Entry, neuron: Entry) -> str:
    """Return the line of one competitor, with its ratio to the time of the neuron's entry."""
    last = entry.fits[-1]
    missed = "" if outcome.solved(entry) else "  not solved"
    if entry.gave_up:
        missed += f", given up after fits of up to {longest(entry):.2g} s"
    if last.preparation:
        missed += f"  (prepared in {1e3 * last.preparation:.3g} ms)"
    if last.failure:
        missed += f" ({last.failure})"
    return (
        f"    {entry.competitor.name:26} {outcome.distance(entry):12.1e}"
        f" {milliseconds(entry)} {entry.seconds / neuron.seconds:7.1f}×{missed}"
    )


def scores_table(outcome: Outcome) -> str:
    """Return the cross-validated scores of calls on one problem."""
    lines = [
        f"  {f'{FOLDS}-fold cross-validation, {REPEATS} times':42} {'accuracy':>15} "
        f"{'log loss (nats)':>20}",
    ]
    for name, (accuracy, log_loss) in outcome.scores.items():
        lines.append(
            f"    {name:40} {np.mean(accuracy):7.3f} ± {np.std(accuracy, ddof=1):5.3f}"
            f" {np.mean(log_loss):10.3g} ± {np.std(log_loss, ddof=1):7.2g}"
        )
    return "\n".join(lines)


def longest(entry: Entry) -> float:
    """Return the seconds of the longest fit that was tried."""
    return max(fit.seconds for fit in entry.tried)


def milliseconds(entry: Entry) -> str:
    """Return the time of a fit."""
    return f"{1e3 * entry.seconds:7.1f} ms"


def summary(outcomes: Sequence[Outcome]) -> str:
    """Return the ratios to the fastest other that solved each problem, their mean and the worst.

    A whole fit of a package that wants X in another form includes the conversion of X, as a user
    has to convert it.
    """
    kinds = (
        ("whole fit", lambda entry: entry.seconds + entry.fits[-1].preparation),
        ("training alone", lambda entry: entry.seconds),
    )
    lines = [
        "Time of the fastest other that solved it, as a multiple of BCENeuron's: of a whole fit, "
        "the conversion",
        "of X included, and of its training alone:",
    ]
    ratios: dict[str, list[float]] = {kind: [] for kind, _ in kinds}
    names = []
    for outcome in outcomes:
        neuron, *others = outcome.tuned
        line = f"  {title(outcome):{WIDTH}}"
        solved = [entry for entry in others if outcome.solved(entry)]
        if not outcome.solved(neuron):
            lines.append(f"{line} BCENeuron did not solve it")
            continue
        if not solved:
            lines.append(f"{line} no other solved it")
            continue
        names.append(outcome.problem.name)
        for kind, seconds in kinds:
            fastest = min(solved, key=seconds)
            ratios[kind].append(seconds(fastest) / seconds(neuron))
            line += f" {ratios[kind][-1]:6.2f}× {fastest.competitor.name:18}"
        lines.append(line.rstrip())
    for kind, found in ratios.items():
        if found:
            lines.append(
                f"  {f'geometric mean, {kind}':{WIDTH}} {geometric_mean(found):6.2f}×, "
                f"worst {min(found):.2f}× ({names[found.index(min(found))]})"
            )
    return "\n".join(lines)


def geometric_mean(ratios: Iterable[float]) -> float:
    """Return the geometric mean: a ratio and its inverse cancel."""
    return float(np.exp(np.mean(np.log(list(ratios)))))


def ratio_table(outcomes: Sequence[Outcome]) -> str:
    """Return each competitor's time on each problem as a multiple of the neuron's."""
    names = [entry.competitor.name for entry in outcomes[0].tuned]
    names += sorted({e.competitor.name for o in outcomes for e in o.tuned} - set(names))
    widths = [max(len(name), 7) for name in names]
    lines = [
        "Time to within the target, as multiples of the first column's. never: at no setting and "
        "tolerance; >: given up,",
        "unsolved, after a fit so many times as long; –: not tried: its curvature is too large, or "
        "it lacks a parameter.",
        f"{'':{WIDTH}} " + " ".join(f"{n:>{w}}" for n, w in zip(names, widths, strict=True)),
    ]
    for outcome in outcomes:
        entries = {entry.competitor.name: entry for entry in outcome.tuned}
        neuron = outcome.tuned[0].seconds
        cells = [f"{1e3 * neuron:.1f} ms"]
        for name in names[1:]:
            entry = entries.get(name)
            if entry is None:
                cells.append("–")
            elif outcome.solved(entry):
                cells.append(f"{entry.seconds / neuron:.3g}")
            else:
                cells.append(f">{longest(entry) / neuron:.3g}" if entry.gave_up else "never")
        padded = " ".join(f"{c:>{w}}" for c, w in zip(cells, widths, strict=True))
        lines.append(f"{title(outcome):{WIDTH}} {padded}")
    return "\n".join(lines)


def defaults_table(outcomes: Sequence[Outcome]) -> str:
    """Return the default call against LogisticRegression's, on every problem."""
    lines = [
        "As called without parameters (penalty aside): "
        + " | ".join(entry.competitor.name for entry in outcomes[0].defaults[:2]),
        f"{'':{WIDTH}} {'from optimum':>17} {'time (ms)':>17} {'ratio':>7}",
    ]
    for outcome in outcomes:
        neuron, other = outcome.defaults[:2]
        lines.append(
            f"{title(outcome):{WIDTH}} {outcome.distance(neuron):8.1e}"
            f" {outcome.distance(other):8.1e} {1e3 * neuron.seconds:8.1f}"
            f" {1e3 * other.seconds:8.1f} {other.seconds / neuron.seconds:6.2f}×"
        )
    ratios = [o.defaults[1].seconds / o.defaults[0].seconds for o in outcomes]
    unsolved = [
        sum(not outcome.solved(outcome.defaults[place]) for outcome in outcomes) for place in (0, 1)
    ]
    lines.append(
        f"{'geometric mean of the ratios of time':{WIDTH}} {geometric_mean(ratios):.2f}×; not "
        f"within {TARGET:g} of the optimum: {unsolved[0]} and {unsolved[1]} of {len(outcomes)} "
        "problems"
    )
    return "\n".join(lines)
