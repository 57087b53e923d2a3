"""The search for everyone's best setting: the fastest that solves the problem."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.base import BaseEstimator, clone

from benchmarks.competitors import MANY, Competitor
from benchmarks.fits import TARGET, Entry, Fit, fit
from benchmarks.problems import Problem

# When to give up on a competitor that has not solved a problem, beside the limit of a single fit:
# no tighter tolerance after a fit of this many times ours, no further setting after that many.
LADDER_PATIENCE, LADDER_FLOOR = 20, 1.0  # times ours, and seconds at least
SEARCH_PATIENCE, SEARCH_FLOOR = 30, 5.0
NO_CHANCE = 1.2  # times the fastest setting so far, unsolved: this one will not be faster
SHORT = 0.05  # seconds of a fit, below which one says little about another
SEEDS = (1, 2)  # beside 0: with them, too, a setting must solve the problem to be chosen


def best_setting(
    problem: Problem, competitor: Competitor, least: float, limit: float, ours: float
) -> Entry | None:
    """Return the fastest setting that comes within the target of ``least``, or else the closest.

    Each setting goes from its loosest to its tightest tolerance and stops at the first that solves
    the problem, or where patience ends: when it has become slower than a setting that solved it,
    or many times slower than ``ours`` (seconds) without solving. None if no setting can be tried
    at all.
    """
    search = Search(
        problem,
        competitor,
        least,
        limit,
        patience=min(limit, max(LADDER_FLOOR, LADDER_PATIENCE * ours)),
    )
    whole_patience = min(2 * limit, max(SEARCH_FLOOR, SEARCH_PATIENCE * ours))
    for ladder in competitor.candidates(problem, search.patience):
        if np.isinf(search.fastest) and sum(fit.seconds for fit in search.tried) > whole_patience:
            search.gave_up = True
            break
        search.climb(ladder)
    best = min(search.entries, key=search.merit, default=None)
    if best is not None:
        best.gave_up = search.gave_up and np.isinf(search.fastest)
    return best


@dataclass
class Search:
    """What a competitor has tried on a problem, and what of it was any good."""

    problem: Problem
    competitor: Competitor
    least: float
    limit: float
    patience: float  # seconds of an unsolved fit after which no tighter tolerance is tried
    entries: list[Entry] = field(default_factory=list)
    tried: list[Fit] = field(default_factory=list)
    fastest: float = np.inf
    gave_up: bool = False

    def solved(self, result: Fit) -> bool:
        """Whether a fit came within the target."""
        return result.objective - self.least <= TARGET

    def merit(self, entry: Entry) -> tuple[bool, float]:
        """Return what is least for the best entry."""
        above = entry.fits[0].objective - self.least
        return above > TARGET, entry.fits[0].seconds if above <= TARGET else above

    def climb(self, ladder: list[BaseEstimator]) -> None:
        """Try the tolerances of a setting, from the loosest, until one solves the problem."""
        path: list[Fit] = []
        more = 1.0
        for rung in ladder:
            estimator, result, more = self.fit_long_enough(rung, more)
            path.append(result)
            self.tried.append(result)
            self.entries.append(Entry(self.competitor, estimator, [result], path, self.tried))
            if self.solved(result):
                self.fastest = min(self.fastest, result.seconds)
                return
            if result.seconds > min(self.patience, NO_CHANCE * self.fastest):
                self.gave_up = True
                return
            if self.at_its_end(estimator, result):  # as it would be with a tighter tolerance
                self.gave_up |= self.raised(estimator, 2.0) is not None
                return

    def fit_long_enough(
        self, estimator: BaseEstimator, more: float
    ) -> tuple[BaseEstimator, Fit, float]:
        """Fit with `more` times the iterations, and more still if that was over too soon.

        How many iterations fit into its time was an estimate. Return the estimator as it was
        fitted, the fit, and the factor.
        """
        while True:
            current = self.raised(estimator, more) or estimator
            timer = min(self.limit, NO_CHANCE * self.fastest + SHORT)
            result = fit(self.problem, current, np.inf if self.competitor.compiled else timer)
            if self.solved(result):
                result = confirmed(self.problem, self.competitor, current, result)
            allowed = min(self.patience, self.fastest)
            too_soon = self.at_its_end(current, result) and result.seconds < allowed / 2
            if self.solved(result) or not too_soon or self.raised(current, 2.0) is None:
                return current, result, more
            more *= max(2.0, 0.8 * allowed / result.seconds)

    def at_its_end(self, estimator: BaseEstimator, result: Fit) -> bool:
        """Whether it stopped because its iterations were used up."""
        return result.iterations >= estimator.get_params().get("max_iter", np.inf)

    def raised(self, estimator: BaseEstimator, more: float) -> BaseEstimator | None:
        """Return it with more iterations, None where they were not limited for the time's sake."""
        most = self.competitor.fixed.get("max_iter", MANY)
        if self.competitor.iterations is None or estimator.max_iter >= most:
            return None
        return clone(estimator).set_params(max_iter=min(most, int(more * estimator.max_iter)))


def first_candidate(problem: Problem, competitor: Competitor, limit: float) -> Entry:
    """Return the only setting of a competitor that has no choice, and its first fit."""
    estimator = next(iter(competitor.candidates(problem, limit)))[0]
    fits = [fit(problem, estimator, np.inf if competitor.compiled else limit)]
    return Entry(competitor, estimator, fits, fits[:], fits[:])


def confirmed(
    problem: Problem, competitor: Competitor, estimator: BaseEstimator, first: Fit
) -> Fit:
    """Return the worst end of three fits, where chance has a part in it, in the shortest time."""
    seeds: tuple[int | None, ...] = SEEDS if competitor.random else ()
    if not seeds and first.seconds < 2 * SHORT:
        seeds = (None, None)
    again = [fit(problem, seeded(competitor, estimator, seed)) for seed in seeds]
    shortest = min(each.seconds for each in [first, *again])
    return replace(max([first, *again], key=lambda each: each.objective), seconds=shortest)


def seeded(competitor: Competitor, estimator: BaseEstimator, seed: int | None) -> BaseEstimator:
    """Return the estimator with another seed, where it has one that matters."""
    if not competitor.random or seed is None:
        return estimator
    return clone(estimator).set_params(random_state=seed)
