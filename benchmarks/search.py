"""The search for a competitor's best setting: the fastest that solves the problem."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from sklearn.base import BaseEstimator, clone

from benchmarks.competitors import MANY, Competitor
from benchmarks.fits import TARGET, Entry, Fit, fit
from benchmarks.problems import Problem

# A competitor that has not solved a problem tries no tighter tolerance after a fit that took
# SETTING_PATIENCE times the neuron's time, or SETTING_FLOOR seconds if that is more.
SETTING_PATIENCE = 20
SETTING_FLOOR = 1.0
# The competitor tries no further setting after fits that took together SEARCH_PATIENCE times the
# neuron's time, or SEARCH_FLOOR seconds if that is more.
SEARCH_PATIENCE = 30
SEARCH_FLOOR = 5.0
# Tolerances in a row that solve the problem and are no faster than one before, after which no
# tighter one is tried: a loose tolerance may take longer than a tighter one, and times vary.
NO_FASTER = 2
NO_CHANCE = 1.2  # times the time of the fastest setting so far, after which a fit is given up
SHORT = 0.05  # seconds; times of shorter fits vary too much to be compared one by one
SEEDS = (1, 2)  # a setting that is chosen must also solve the problem with these seeds, besides 0


def best_setting(
    problem: Problem, competitor: Competitor, least: float, limit: float, neuron: float
) -> Entry | None:
    """Return the fastest setting that comes within the target of ``least``, or else the closest.

    Of each setting, tolerances are tried from the loosest to the tightest, until ``NO_FASTER`` of
    them in a row solve the problem in no less time than one before, or a fit that does not solve it
    is slower than a setting that did, or many times slower than the ``neuron`` (seconds). Return
    None if no setting can be tried at all.
    """
    search = Search(
        problem,
        competitor,
        least,
        limit,
        patience=min(limit, max(SETTING_FLOOR, SETTING_PATIENCE * neuron)),
    )
    whole_patience = min(2 * limit, max(SEARCH_FLOOR, SEARCH_PATIENCE * neuron))
    for estimators in competitor.candidates(problem, search.patience):
        if np.isinf(search.fastest) and sum(fit.seconds for fit in search.tried) > whole_patience:
            search.gave_up = True
            break
        search.try_tolerances(estimators)
    best = min(search.entries, key=search.merit, default=None)
    if best is not None:
        best.gave_up = search.gave_up and np.isinf(search.fastest)
    return best


@dataclass
class Search:
    """The settings that a competitor has tried on a problem, and their results."""

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
        """Return the sort key of an entry, which is least for the best one."""
        above = entry.fits[0].objective - self.least
        return above > TARGET, entry.fits[0].seconds if above <= TARGET else above

    def try_tolerances(self, estimators: list[BaseEstimator]) -> None:
        """Try the tolerances of a setting, from the loosest; see `best_setting` for the end."""
        path: list[Fit] = []
        more, fastest, n_slower = 1.0, np.inf, 0  # of this setting
        for candidate in estimators:
            estimator, result, more = self.fit_long_enough(candidate, more)
            path.append(result)
            self.tried.append(result)
            self.entries.append(Entry(self.competitor, estimator, [result], path, self.tried))
            if self.solved(result):
                self.fastest = min(self.fastest, result.seconds)
                n_slower = 0 if result.seconds < fastest else n_slower + 1
                fastest = min(fastest, result.seconds)
                if n_slower == NO_FASTER:
                    return
                continue
            if result.seconds > min(self.patience, NO_CHANCE * self.fastest):
                self.gave_up = True
                return
            if self.reached_max_iter(
                estimator, result
            ):  # a tighter tolerance would end the same way
                self.gave_up |= self.with_more_iterations(estimator, 2.0) is not None
                return

    def fit_long_enough(
        self, estimator: BaseEstimator, more: float
    ) -> tuple[BaseEstimator, Fit, float]:
        """Fit with `more` times the iterations, and with a larger factor if the fit was short.

        The number of iterations that take the allowed time is an estimate. Return the estimator
        as it was fitted, the fit, and the factor.
        """
        while True:
            current = self.with_more_iterations(estimator, more) or estimator
            timer = min(self.limit, NO_CHANCE * self.fastest + SHORT)
            result = fit(self.problem, current, np.inf if self.competitor.compiled else timer)
            if self.solved(result):
                result = confirmed(self.problem, self.competitor, current, result)
            allowed = min(self.patience, self.fastest)
            too_soon = self.reached_max_iter(current, result) and result.seconds < allowed / 2
            if (
                self.solved(result)
                or not too_soon
                or self.with_more_iterations(current, 2.0) is None
            ):
                return current, result, more
            more *= max(2.0, 0.8 * allowed / result.seconds)

    def reached_max_iter(self, estimator: BaseEstimator, result: Fit) -> bool:
        """Return whether a fit has done the most iterations that it may do."""
        return result.iterations >= estimator.get_params().get("max_iter", np.inf)

    def with_more_iterations(self, estimator: BaseEstimator, more: float) -> BaseEstimator | None:
        """Return the estimator with more iterations; None if time does not limit their number."""
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
    """Return the worst objective and the shortest time of fits with other seeds."""
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
