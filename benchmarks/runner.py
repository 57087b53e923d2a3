"""The measurement: the best setting of each competitor is found, then all are timed in turns."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

import numpy as np

from benchmarks import scores
from benchmarks.competitors import BCE_NEURON, DEFAULTS, SPARSE_DEFAULTS, Competitor
from benchmarks.fits import TARGET, Entry, fit_alone, reference
from benchmarks.problems import Problem
from benchmarks.scores import Scores
from benchmarks.search import SHORT, best_setting, first_candidate, seeded

LONG, VERY_LONG = 2.0, 10.0  # seconds of a fit, for how often it is timed again
FAR_BEHIND = 10  # times the neuron: a ratio that needs no more digits


@dataclass
class Outcome:
    """All competitors on one problem."""

    problem: Problem
    shape: tuple[int, int]
    tuned: list[Entry]  # the first is the neuron's
    defaults: list[Entry]  # the first is the neuron's
    minimum: float = np.nan  # the least value that any fit of the run has found
    gap: float = np.nan  # upper bound on its distance from the true minimum
    scores: dict[str, Scores] = field(default_factory=dict)  # of calls; empty if not wanted

    def distance(self, entry: Entry) -> float:
        """Objective above its minimum, the median of the fits as for the time."""
        return max(median(fit.objective for fit in entry.fits) - self.minimum, 0.0)

    def solved(self, entry: Entry) -> bool:
        """Whether the entry came within the target of the minimum."""
        return self.distance(entry) <= TARGET


def run(
    problems: Iterable[Problem],
    peers: Sequence[Competitor],
    *,
    repeats: int,
    limit: float,
    progress: Callable[[str], None],
) -> Iterable[Outcome]:
    """Yield the outcome of each problem.

    Parameters
    ----------
    problems : iterable of Problem
    peers : sequence of Competitor
        Competitors beside BCENeuronClassifier.
    repeats : int
        Timed fits of each chosen setting, all competitors in turn; the median counts. Three times
        as many where a fit is short, fewer where it takes seconds.
    limit : float
        Seconds a fit may take; FAR_BEHIND times the neuron's time if that is more.
    progress : callable
        Called with a text that says what is being measured.
    """
    problems = list(problems)
    if problems:
        warm_up(peers, progress)
    for problem in problems:
        progress(f"{problem.name}: finding the minimum")
        least, gap = reference(problem)
        neuron = best_setting(problem, BCE_NEURON, least, np.inf, np.inf)
        tuned = [neuron]
        allowed = max(limit, FAR_BEHIND * neuron.seconds)
        for competitor in peers:
            progress(f"{problem.name}: {competitor.name}")
            entry = best_setting(problem, competitor, least, allowed, neuron.seconds)
            tuned += [entry] if entry else []
        defaults = []
        for competitor in SPARSE_DEFAULTS if problem.l1_ratio else DEFAULTS:
            progress(f"{problem.name}: {competitor.name}")
            defaults.append(first_candidate(problem, competitor, allowed))
        time_again(problem, tuned, defaults, least, repeats, progress)
        found = [fit.objective for entry in tuned + defaults for fit in entry.fits + entry.tried]
        minimum = min([least, *found])
        scored = scores.measure(problem, progress) if problem.is_scored else {}
        yield Outcome(problem, problem.samples[0].shape, tuned, defaults, minimum, gap, scored)
        problem.release()


def warm_up(peers: Sequence[Competitor], progress: Callable[[str], None]) -> None:
    """Import and compile packages that do so on first use, so that no timed fit does."""
    for peer in peers:
        if hasattr(peer.estimator, "warm_up"):
            progress(f"warming up {peer.name}")
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for setting in peer.settings:
                    peer.estimator(**setting).warm_up()


def time_again(
    problem: Problem,
    tuned: list[Entry],
    defaults: list[Entry],
    least: float,
    repeats: int,
    progress: Callable[[str], None],
) -> None:
    """Fit the entries that solved the problem, and the default calls, again, in turns.

    Turns spread the noise of the machine over all entries. Each turn has its own seed. The first
    fit of an entry, which warmed up caches, is dropped where there are others.
    """
    solved = [entry for entry in tuned if entry.fits[0].objective - least <= TARGET]
    entries = solved + [entry for entry in defaults if not entry.fits[0].failure]
    neuron = tuned[0].seconds
    wanted = [times(entry.seconds, repeats, neuron) for entry in entries]
    for turn in range(max(wanted, default=0)):
        progress(f"{problem.name}: timing {turn + 1}/{max(wanted)}")
        for entry, number in zip(entries, wanted, strict=True):
            if turn < number:
                estimator = seeded(entry.competitor, entry.estimator, turn)
                entry.fits.append(fit_alone(problem, estimator, entry.shortest))
    for entry in entries:
        entry.fits = entry.fits[1:] or entry.fits


def times(seconds: float, repeats: int, neuron: float) -> int:
    """Return the number of further timed fits of an entry whose first fit took ``seconds``."""
    if seconds > VERY_LONG:
        return 0
    if seconds > max(LONG, FAR_BEHIND * neuron):
        return 1
    if seconds > min(LONG, FAR_BEHIND * neuron):
        return min(repeats, 3)
    return 3 * repeats if seconds < SHORT else repeats
