"""What each start rule of newton gains: ``python -m benchmarks.rules [WORD ...]``.

Fits to the problems of the suites "full" and "l1", and to the kinds of "variations", are timed with
all rules, and without each rule in turn. A rule is named beside a problem if leaving it out changes
the time by 10 % or more. With words, only problems with one of them in their name are fitted.
"""

from __future__ import annotations

import sys
import time
import warnings
from statistics import median
from unittest.mock import patch

from benchmarks.problems import FULL, KINDS, L1, Problem, sparse
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._solvers.newton import solver
from sklearn_bce._solvers.newton.starts import START_RULES, StartRule, from_given

TURNS = 7  # fits with and without a rule, in turns
LEAST = 0.1  # change of the time, as a fraction, that is shown
SECONDS = 5.0  # of a fit, from which on it is done twice only


def seconds_of(problem: Problem, rule: StartRule | None) -> float:
    """Return the seconds of a fit without a rule; None leaves all rules."""
    X, y = problem.samples
    model = BCENeuronClassifier(C=problem.C, l1_ratio=problem.l1_ratio)
    others = [each for each in START_RULES if each is not rule]
    with patch.object(solver, "START_RULES", others), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        model.fit(X, y)
        return time.perf_counter() - start


def gain(problem: Problem, rule: StartRule) -> float:
    """Return the median time without the rule over that with the rule."""
    turns = 2 if seconds_of(problem, None) > SECONDS else TURNS
    with_rule, without_rule = [], []
    for _ in range(turns):
        with_rule.append(seconds_of(problem, None))
        without_rule.append(seconds_of(problem, rule))
    return median(without_rule) / median(with_rule)


def main(words: list[str]) -> None:
    """Print the table."""
    rules = [rule for rule in START_RULES if rule is not from_given]
    best: dict[str, float] = {}
    for problem in [*FULL, *L1, *KINDS, *sparse(KINDS, (0.1, 0.01))]:
        if words and not any(word in problem.name for word in words):
            continue
        shown = []
        for rule in rules:
            found = gain(problem, rule)
            best[rule.__name__] = max(best.get(rule.__name__, 0.0), found)
            if abs(found - 1) >= LEAST:
                shown.append(f"{rule.__name__} {found:.2f}")
        print(f"{problem.name:34} {', '.join(shown)}", flush=True)
        problem.release()
    print("\nMost that a rule gains on any problem: time without the rule over time with the rule")
    for name, value in best.items():
        print(f"  {name:26} {value:.2f}")


if __name__ == "__main__":
    main(sys.argv[1:])
