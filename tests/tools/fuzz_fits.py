"""Random fits to hard data, each compared with an independent minimum.

    python tests/tools/fuzz_fits.py --start 0 --count 1000
    python tests/tools/fuzz_fits.py --kind unpenalised --out found.jsonl
    python tests/tools/fuzz_fits.py --seed-only 17
    python tests/tools/fuzz_fits.py --write-hardest 400

A seed draws a table of blocks of columns (`BLOCKS`: units, epoch stamps, codes for missing values,
one-hot columns, polynomials and so on), labels that follow some of the columns, weights, parameters
and storage. `tools/referee.py` finds the infimum of F. Each fit then is one of:

==========  ========================================================================================
right       within ``tol`` of the infimum, with a warning of no minimum exactly if there is none
cautious    within ``tol``, but with a warning that it has not converged
untold      within ``tol`` of an infimum that is no minimum, without a warning of that
warned      not within ``tol`` or without a minimum, and a ConvergenceWarning or ValueError says so
wrong       a warning of no minimum although there is one, of another distance from the minimum than
            that of the fit, or an exception of another kind
silent      not within ``tol`` and not a word; not finite; or a RuntimeWarning of NumPy
rounding    not within ``tol`` and not a word, where float64 arithmetic does not resolve the minimum
undecided   the referee is not sure, or only rounding of the weights keeps the fit from ``tol``
skipped     the fit or the referee would take, or took, too long
==========  ========================================================================================

A fit is called silent or wrong only with a proof: a point in the dtype of ``coef_`` with an F that
is lower by more than ``tol``, or a separating direction from a linear program.

``--write-hardest N`` runs the seeds, and those of ``hard_fits.jsonl``, and writes that file anew:
the N hardest cases that are small and decided, of each kind a share. Hard is what has ended badly,
now or when its line was written, and then what has many blocks. ``tests/test_hard_fits.py`` reads
the file: a line has the seed, the kind, and what the referee has found.
"""

import argparse
import hashlib
import json
import re
import signal
import sys
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.sparse as sp
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import PolynomialFeatures, SplineTransformer

from sklearn_bce import BCENeuronClassifier, fit_from_chunks

sys.path.insert(0, str(Path(__file__).parent))
from exact_separation import exactly_separated
from referee import Minimum, problem_of, referee, representable, value

HARDEST = Path(__file__).with_name("hard_fits.jsonl")
KINDS = {"default": 0.3, "unpenalised": 0.34, "l1": 0.16, "gd": 0.1, "sgd": 0.1}
# Codes for a missing value or for "never": NaN as a number, the largest int32, the end of the year
# 9999 in seconds, 2**63, a fill value of rasters.
CODES = [-1, 999, 9999, 1e6, 1e9, 2.0**31 - 1, 1e12, 253402300799.0, 2.0**63, 1e37]
# Seconds after which a fit is given up, and the referee stops.
FIT_SECONDS, REFEREE_SECONDS = 20, 10
# Largest n_samples · size² for which a linear program in exact arithmetic is solved: some seconds.
EXACT_SIZE = 1e5
# Largest n_samples · n_features² for which the referee is asked.
REFEREE_SIZE = 3e8
ENDS = [
    "right",
    "cautious",
    "untold",
    "warned",
    "rounding",
    "undecided",
    "skipped",
    "wrong",
    "silent",
]


def one_of(rng, values):
    return values[rng.integers(len(values))]


# ----- blocks of columns --------------------------------------------------------------------------
# Each takes rng, n and the columns so far, and returns new columns and a signal: a vector of order
# 1 that labels may follow.


def standard(x):
    """Return x in units of its interquartile range, about its median."""
    low, middle, high = np.quantile(x, [0.25, 0.5, 0.75])
    return np.clip((x - middle) / ((high - low) or np.ptp(x) or 1), -10, 10)


def plain(rng, n, so_far):
    x = rng.normal(size=n)
    return x[:, None] * 10.0 ** rng.integers(-2, 3), x


def units(rng, n, so_far):
    x = rng.normal(size=n)
    away = rng.choice([0, 0, 1, 100, 1e4, 1e6])
    return ((x + away) * 10.0 ** rng.integers(-12, 13))[:, None], x


def stamps(rng, n, so_far):
    """Start and end as epoch stamps in s, ms or µs; the label follows the difference."""
    unit = one_of(rng, [1.0, 1e3, 1e6])
    start = np.round((1.7e9 + rng.uniform(0, 3.15e7, n)) * unit)
    mean = one_of(rng, [1, 60, 3600]) * rng.choice([1.0, unit])
    end = start + np.maximum(np.round(rng.gamma(4, mean / 4, n)), 1)
    columns = [start, end]
    if rng.random() < 0.2:
        columns.append(end - start)
    if rng.random() < 0.2:
        columns.append(np.round(start / (86400 * unit)))
    return np.column_stack(columns), standard(end - start)


def code(rng, n, so_far):
    x = rng.normal(size=n)
    cells = np.zeros(n, bool)
    cells[rng.choice(n, 1 if rng.random() < 0.6 else max(1, n // 20))] = True
    return np.where(cells, one_of(rng, CODES), x * one_of(rng, [1, 1, 50]))[:, None], x * ~cells


def codes_together(rng, n, so_far):
    """Several columns whose cells are missing in the same samples."""
    x = rng.normal(size=(n, 3))
    cells = np.zeros(n, bool)
    cells[rng.choice(n, max(1, n // 25))] = True
    x[cells] = one_of(rng, CODES)
    return x, np.where(cells, 0, x[:, 0])


def constant(rng, n, so_far):
    return np.full((n, 1), one_of(rng, [0.0, 1.0, 1e6 / 3, 1.7e9 + 0.1, 1e-9, -7.0])), np.zeros(n)


def rare(rng, n, so_far):
    x = np.zeros((n, int(rng.integers(1, 4))))
    for column in x.T:
        column[rng.choice(n, min(n, rng.integers(1, 4)))] = one_of(rng, [1.0, 1.0, 1e3])
    return x, x[:, 0]


def one_hot(rng, n, so_far):
    k = int(rng.integers(2, 9))
    level = rng.choice(k, n, p=rng.dirichlet(np.full(k, one_of(rng, [0.3, 5.0]))))
    return np.eye(k)[level], rng.normal(size=k)[level]


def polynomial(rng, n, so_far):
    d = int(rng.integers(1, 3))
    away = rng.choice([0, 3, 10, 50, 2000])
    x = away + rng.choice([0.1, 1, 10]) * rng.normal(size=(n, d))
    most = 6 if d == 1 else 4
    made = PolynomialFeatures(int(rng.integers(2, most)), include_bias=bool(rng.random() < 0.3))
    t = standard(x[:, 0])
    return made.fit_transform(x), t if rng.random() < 0.5 else t**2 - 1


def splines(rng, n, so_far):
    x = rng.lognormal(size=n) if rng.random() < 0.5 else rng.normal(size=n)
    knots = one_of(rng, ["uniform", "quantile"])
    made = SplineTransformer(int(rng.integers(3, 9)), degree=int(rng.integers(1, 4)), knots=knots)
    try:
        return made.fit_transform(x[:, None]), np.sin(2 * standard(x))
    except ValueError:
        return x[:, None], standard(x)


def duplicate(rng, n, so_far):
    x = so_far[:, rng.integers(so_far.shape[1])]
    return (x * one_of(rng, [1.0, 1.0, 3.0, -1.0]))[:, None], np.zeros(n)


def near_duplicate(rng, n, so_far):
    """A column plus noise of 1e-3 to 1e-13 of its spread; the label may follow the noise."""
    x = so_far[:, rng.integers(so_far.shape[1])]
    spread = np.subtract(*np.quantile(x, [0.75, 0.25])) or 1.0
    noise = rng.normal(size=n)
    return (x + spread * 10.0 ** rng.integers(-13, -2) * noise)[:, None], noise


def rounding(rng, n, so_far):
    """Columns that are collinear but for rounding."""
    if rng.random() < 0.5:
        celsius = np.round(rng.normal(15, 8, n), 1)
        return np.column_stack([celsius, celsius * 9 / 5 + 32]), standard(celsius)
    shares = rng.dirichlet(np.ones(int(rng.integers(2, 6))), n)
    return shares, standard(shares[:, 0])


def heavy(rng, n, so_far):
    x = rng.normal(size=n)
    if rng.random() < 0.5:
        return np.exp(one_of(rng, [1, 2, 4, 8]) * x)[:, None], x
    cauchy = rng.standard_cauchy(n)
    return cauchy[:, None], standard(cauchy)


def counts(rng, n, so_far):
    x = rng.poisson(one_of(rng, [0.05, 1, 30]), n) * 1.0
    return x[:, None], standard(x)


def two_by_two(rng, n, so_far):
    x = (rng.random(n) < rng.choice([0.05, 0.3, 0.5])) * 1.0
    return x[:, None], 4 * x


def interaction(rng, n, so_far):
    i, j = rng.integers(so_far.shape[1], size=2)
    with np.errstate(over="ignore"):
        product = so_far[:, i] * so_far[:, j]
    usable = np.abs(product).max() < 1e100
    return (product if usable else so_far[:, i])[:, None], standard(so_far[:, i])


def close_pair(rng, n, so_far):
    """A pair near 1000 that differs by 1e-3, which float32 resolves in steps of 6e-5."""
    x = 1000 + rng.normal(size=n) * one_of(rng, [0.1, 10])
    difference = rng.normal(size=n)
    return np.column_stack([x, x + 1e-3 * difference]), difference


def many(rng, n, so_far):
    x = rng.normal(size=(n, int(rng.integers(8, 40))))
    x *= rng.random(x.shape) < rng.choice([0.05, 1.0])
    return x, x[:, 0]


BLOCKS = {
    each.__name__: each
    for each in (
        plain,
        units,
        stamps,
        code,
        codes_together,
        constant,
        rare,
        one_hot,
        polynomial,
        splines,
        duplicate,
        near_duplicate,
        rounding,
        heavy,
        counts,
        two_by_two,
        interaction,
        close_pair,
        many,
    )
}
NEED_COLUMNS = {"duplicate", "near_duplicate", "interaction"}
WITHIN_FLOAT32 = 3e38


# ----- cases --------------------------------------------------------------------------------------


class Case(NamedTuple):
    """Data and parameters of a fit.

    Attributes
    ----------
    X : ndarray of shape (n, p), float64 or float32
        Values as they are stored.
    y : ndarray of shape (n,)
        Labels 0 and 1, or soft targets.
    weight : ndarray of shape (n,) or None
        Sample weights.
    parameters : dict
        Parameters of the estimator that are not the default.
    storage : str
        "dense", "fortran", "csr", "chunks" or "chunks of csr".
    kind : str
        An entry of `KINDS`.
    blocks : list of str
        Blocks of columns, in their order.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray | None
    parameters: dict
    storage: str
    kind: str
    blocks: list

    def __str__(self):
        n, p = self.X.shape
        given = {key: each for key, each in self.parameters.items() if key != "random_state"}
        shown = ", ".join(f"{key}={each:.4g}" if isinstance(each, float) else f"{key}={each}"
                          for key, each in given.items())  # fmt: skip
        weighted = "" if self.weight is None else f", weights to {np.max(self.weight):.2g}"
        return (
            f"{n}x{p} {self.storage} {self.X.dtype}{weighted}; {shown or 'defaults'}; "
            f"{' + '.join(self.blocks)}; {int(np.sum(self.y > 0.5))} of class 1"
        )


def size_of(rng):
    """Return n_samples and the number of blocks."""
    u = rng.random()
    if u < 0.1:
        return int(rng.integers(2, 12)), 1 + int(rng.integers(3))
    if u < 0.75:
        return int(10 ** rng.uniform(1, 2.6)), 1 + int(rng.integers(4))
    if u < 0.97:
        return int(10 ** rng.uniform(2.6, 3.5)), 1 + int(rng.integers(4))
    if u < 0.985:
        return int(10 ** rng.uniform(3.5, 4.3)), 1 + int(rng.integers(3))
    return int(10 ** rng.uniform(1, 3)), int(rng.integers(6, 14))


def table(rng):
    """Return X, the linear output that labels follow, and the names of the blocks."""
    n, n_blocks = size_of(rng)
    X, z, names = np.empty((n, 0)), np.zeros(n), []
    strength = one_of(rng, [0.0, 0.5, 1.0, 1.0, 2.0, 5.0])
    while len(names) < n_blocks:
        name = one_of(rng, list(BLOCKS))
        if name in NEED_COLUMNS and not X.shape[1]:
            continue
        columns, signal = BLOCKS[name](rng, n, X)
        X, names = np.column_stack([X, columns]), [*names, name]
        if rng.random() < 0.7:
            z = z + strength * rng.choice([-1, 1]) * signal
    if len(names) > 5 and rng.random() < 0.3:
        X = np.column_stack([X, rng.normal(size=(n, int(rng.integers(50, 480))))])
        names.append("wide")
    return X, z, names


def labels(rng, X, z):
    """Return y with both classes."""
    n = len(z)
    shift = one_of(rng, [0, 0, 0, 1, -2, -5, -11])
    y = (rng.logistic(size=n) < z + shift) * 1.0
    if rng.random() < 0.15:  # a cell of a table, or one basis function, of one class
        column = X[:, rng.integers(X.shape[1])]
        y[column > np.quantile(column, rng.choice([0.5, 0.9]))] = rng.integers(2)
    if not y.any() or y.all():
        y[rng.integers(n)] = 1 - y[0]
    return y


def weights(rng, y):
    n, u = len(y), rng.random()
    if u < 0.72:
        return None
    if u < 0.8:
        return np.full(n, 10.0 ** rng.integers(-8, 9))
    if u < 0.88:
        return rng.integers(1, 20, n) * 1.0
    if u < 0.94:
        return 10.0 ** rng.uniform(-8 if rng.random() < 0.3 else -2, 2, n)
    weight = rng.integers(0, 3, n) * 1.0
    for side in (y > 0, y < 1):
        weight[np.flatnonzero(side)[0]] = 1.0
    return weight


def parameters_of(rng, kind):
    """Return parameters of the estimator; C of a penalty is 1 in half of the cases."""
    C = 1.0 if rng.random() < 0.5 else float(10.0 ** rng.integers(-5, 9))
    if kind == "unpenalised" or (kind in {"gd", "sgd"} and rng.random() < 0.3):
        C = np.inf
    chosen = {"C": C, "random_state": 0}
    if rng.random() < 0.15:
        chosen["fit_intercept"] = False
    if kind == "l1":
        chosen["l1_ratio"] = float(one_of(rng, [1.0, 1.0, 0.5, 0.1]))
    if kind in {"gd", "sgd"}:
        chosen["solver"] = kind
        if rng.random() < 0.3:
            chosen["learning_rate"] = float(10.0 ** rng.integers(-3, 7))
        chosen["max_iter"] = int(one_of(rng, [100, 100, 1000]))
        if kind == "sgd" and rng.random() < 0.3:
            chosen["batch_size"] = 16
        if rng.random() < 0.2 and np.isfinite(C):
            chosen["l1_ratio"] = 1.0
    return chosen


def case_of(seed, kind=None):
    """Return the case of a seed, of a random kind if it is None."""
    if kind is None:
        kind = str(np.random.default_rng([seed, 1]).choice(list(KINDS), p=list(KINDS.values())))
    rng = np.random.default_rng([seed, list(KINDS).index(kind) + 2])
    X, z, blocks = table(rng)
    y = labels(rng, X, z)
    chosen = parameters_of(rng, kind)
    weight = weights(rng, y)
    if rng.random() < 0.08:
        chosen["soft_targets"] = True
        y = np.where(rng.random(len(y)) < 0.5, y, np.clip(y + rng.normal(size=len(y)) / 4, 0, 1))
        y = np.round(y, 2)
        if weight is not None and np.any(weight == 0):
            weight = None
        y[:2] = 0.25, 1.0  # both classes
    u = rng.random()
    storage = "csr" if u < 0.17 else "fortran" if u < 0.24 else "dense"
    if kind != "sgd" and u > 0.88:
        storage = "chunks of csr" if u > 0.96 else "chunks"
    wants = 0.5 if "close_pair" in blocks else 0.12
    if rng.random() < wants and np.abs(X).max() < WITHIN_FLOAT32:
        X = X.astype(np.float32)
    return Case(X, y, weight, chosen, storage, kind, blocks)


# ----- the fit ------------------------------------------------------------------------------------


class Fitted(NamedTuple):
    """How a fit ended.

    Attributes
    ----------
    w, b : ndarray of shape (p,) and a number, or None
        Weights and intercept; None after an exception.
    converged : bool or None
        The attribute ``converged_``.
    said : list of (str, str)
        Category and message of each warning, or of the exception.
    raised : bool
        Whether the fit ended with an exception.
    seconds : float
        Duration of the fit.
    """

    w: np.ndarray | None
    b: float | None
    converged: bool | None
    said: list
    raised: bool
    seconds: float


class Overtime(BaseException):
    """The fit took too long."""


def _overtime(*_):
    raise Overtime


def parts_of(case):
    """Return a function that yields the chunks of a case."""
    n = len(case.y)
    cuts = sorted({0, n // 3, n // 2, n})
    as_stored = sp.csr_array if "csr" in case.storage else np.asarray

    def chunks():
        for start, end in pairwise(cuts):
            weight = () if case.weight is None else (case.weight[start:end],)
            yield as_stored(case.X[start:end]), case.y[start:end], *weight

    return chunks


def fit(case, seconds=FIT_SECONDS):
    """Fit the estimator to a case; return what happened as `Fitted`, or None if it took too long.

    The time limit works in the main thread of a process only; 0 seconds are no limit.
    """
    neuron = BCENeuronClassifier(**case.parameters)
    stored = {"csr": sp.csr_array, "fortran": np.asfortranarray}.get(case.storage, np.asarray)
    raised = []
    before = signal.signal(signal.SIGALRM, _overtime)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    began = time.perf_counter()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            if "chunks" in case.storage:
                fit_from_chunks(neuron, parts_of(case))
            else:
                neuron.fit(stored(case.X), case.y, case.weight)
    except Exception as error:
        raised = [(type(error).__name__, str(error))]
    except Overtime:
        return None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    took = time.perf_counter() - began
    said = [(each.category.__name__, str(each.message)) for each in caught] + raised
    if raised:
        return Fitted(None, None, None, said, True, took)
    return Fitted(neuron.coef_[0], neuron.intercept_[0], neuron.converged_, said, False, took)


# ----- the verdict --------------------------------------------------------------------------------


class Verdict(NamedTuple):
    """What a fit is worth.

    Attributes
    ----------
    end : str
        An entry of `ENDS`.
    why : str
        The reason in a few words.
    gap : float
        F of the fit minus the least F that the referee has found.
    """

    end: str
    why: str
    gap: float = np.nan


def is_separated_exactly(case):
    """Return whether the classes are separated; False if that would take long.

    The program in floating point misses directions among columns that nearly repeat each other.
    """
    X = case.X.toarray() if sp.issparse(case.X) else np.asarray(case.X)
    weight = np.ones(len(X)) if case.weight is None else case.weight
    side = np.select([case.y == 1, case.y == 0], [1.0, -1.0], np.nan)[weight > 0]
    for column in X[weight > 0].T:  # 0 but in some samples, in which it tells the class
        signed = np.where(column == 0, 0.0, side * column)
        if np.any(column) and (np.all(signed >= 0) or np.all(signed <= 0)):
            return True
    if X.shape[0] * (X.shape[1] + 1) ** 2 > EXACT_SIZE:
        return False
    fit_intercept = case.parameters.get("fit_intercept", True)
    return exactly_separated(X.astype(np.float64), case.y, weight, fit_intercept)


def is_told(said, words, category=ConvergenceWarning.__name__):
    return any(name == category and words in message for name, message in said)


def misstated(said, gap, uncertainty):
    """Return whether a warning states a distance from the minimum that the gap contradicts.

    The number is rounded to two digits. "At least" and "about" bound the gap from below, within a
    tenth; "about" also bounds it from above, by a quarter: the end of 100 more steps is stated. A
    number of less than 1e-9 nats is rounding.
    """
    for _, message in said:
        stated = re.search(r"(about|at least) (\S+) nats above its minimum", message)
        if stated:
            nats = float(stated[2])
            too_much = 0.9 * nats > gap + uncertainty + 1e-9
            too_little = stated[1] == "about" and 1.25 * nats < gap - uncertainty - 1e-9
            return bool(too_much or too_little)
    return False


def value_of_newton(case, problem):
    """Return F at the weights of newton, a witness of a value that the referee has not found."""
    given = {"C", "l1_ratio", "fit_intercept", "soft_targets"}
    parameters = {each: case.parameters[each] for each in given & set(case.parameters)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        neuron = BCENeuronClassifier(**parameters).fit(case.X, case.y, case.weight)
    return value(problem, neuron.coef_[0], neuron.intercept_[0])[0]


def judge(case, fitted, minimum, tol=1e-6):
    """Return the `Verdict` of a fit.

    Parameters
    ----------
    case : Case
        Data and parameters.
    fitted : Fitted
        The fit.
    minimum : Minimum
        The referee's. Its point may be None; it is then found anew where it is needed.
    tol : float
        Distance from the infimum that is permitted.
    """
    if fitted.raised:
        name, message = fitted.said[-1]
        known = name == "ValueError" and any(
            words in message for words in ("overflow", "too large", "diverge")
        )
        return Verdict("warned", "overflow") if known else Verdict("wrong", f"{name}: {message}")
    if not np.isfinite(fitted.w).all() or not np.isfinite(fitted.b):
        return Verdict("silent", "weights are not finite")
    loud = [message for name, message in fitted.said if name == RuntimeWarning.__name__]
    if loud:
        return Verdict("silent", f"RuntimeWarning: {loud[0]}")
    problem = problem_for(case)
    at, error = value(problem, fitted.w, fitted.b)
    gap = at - minimum.value
    no_minimum = is_told(fitted.said, "no minimum")
    told = is_told(fitted.said, "")
    far = gap > tol + error
    if no_minimum and minimum.separated is False:
        if is_separated_exactly(case):
            return Verdict("warned", "no minimum, in exact arithmetic", gap)
        return Verdict("wrong", "no minimum, says the fit; there is one", gap)
    unsure = minimum.uncertainty + error
    if misstated(fitted.said, gap, unsure) and minimum.uncertainty <= tol:
        lower = value_of_newton(case, problem)
        if lower < minimum.value - tol:
            return Verdict("undecided", "the referee is above newton", gap)
        return Verdict("wrong", f"the warning states another distance: {fitted.said[-1][1]}", gap)
    if told and (far or minimum.separated):
        return Verdict("warned", "no minimum" if no_minimum else "not converged", gap)
    if minimum.separated is None and (no_minimum or not far):
        return Verdict("undecided", "the referee does not know whether there is a minimum", gap)
    if gap < -1e-7 - error:
        return Verdict("undecided", "the referee is above the fit", gap)
    if far:
        return far_and_silent(case, problem, minimum, at - error - tol, gap)
    if gap > tol - minimum.uncertainty - error and not (gap <= tol and error < 0.1 * tol):
        return Verdict("undecided", "close to tol", gap)
    if minimum.uncertainty > 0.5 * tol:
        return Verdict("undecided", "the referee has not converged", gap)
    if minimum.separated:
        return Verdict("untold", "no minimum", gap)
    if told or not fitted.converged:
        return Verdict("cautious", "at the minimum", gap)
    return Verdict("right", "", gap)


def far_and_silent(case, problem, minimum, must_be_below, gap):
    """Return "silent" if a point of the dtype of the weights is lower than a number."""
    if not minimum.resolved and minimum.resolved_value < must_be_below:
        return Verdict("silent", "a lower point is known, which float64 resolves", gap)
    if not minimum.resolved:
        return Verdict("rounding", "float64 does not resolve the minimum", gap)
    if minimum.separated:
        return Verdict("silent", "separated, and far from the infimum", gap)
    if minimum.w is None:
        minimum = referee(problem, None, REFEREE_SECONDS)
    point = representable(problem, minimum.w, minimum.b, case.X.dtype.type)
    if point is None:
        return Verdict("undecided", "the minimum is out of the range of the dtype", gap)
    least, error = value(problem, *point)
    if least + error < must_be_below:
        plain = value(problem, minimum.w.astype(case.X.dtype), case.X.dtype.type(minimum.b))[0]
        lost = "; weights rounded one by one are as far" if plain > must_be_below else ""
        return Verdict("silent", f"a lower point is known{lost}", gap)
    return Verdict("undecided", "weights of this dtype may not come closer", gap)


def problem_for(case):
    chosen = {"l1_ratio": 0.0, "fit_intercept": True, **case.parameters}
    return problem_of(
        case.X, case.y, case.weight, chosen["C"], chosen["l1_ratio"], chosen["fit_intercept"]
    )


def minimum_of(case, fitted):
    hint = None if fitted.w is None or not np.isfinite(fitted.w).all() else (fitted.w, fitted.b)
    return referee(problem_for(case), hint, REFEREE_SECONDS)


class Outcome(NamedTuple):
    """A seed, its case, fit, referee's minimum and verdict; the last three may be missing."""

    seed: int
    case: Case
    fitted: Fitted | None
    minimum: Minimum | None
    verdict: Verdict
    referee_seconds: float

    def record(self):
        """Return a line of the file of results."""
        return {
            "seed": self.seed,
            "kind": self.case.kind,
            "end": self.verdict.end,
            "why": self.verdict.why[:200],
            "gap": float(self.verdict.gap),
            "case": str(self.case),
            "fit_seconds": round(self.fitted.seconds, 3) if self.fitted else None,
            "referee_seconds": round(self.referee_seconds, 3),
            "said": [message[:120] for _, message in self.fitted.said] if self.fitted else [],
        }


def outcome_of(seed, kind=None):
    """Run a seed."""
    case = case_of(seed, kind)
    n, p = case.X.shape
    if n * p**2 > REFEREE_SIZE:
        return Outcome(seed, case, None, None, Verdict("skipped", "too large"), 0)
    fitted = fit(case)
    if fitted is None:
        return Outcome(seed, case, None, None, Verdict("skipped", "the fit is too slow"), 0)
    began = time.perf_counter()
    with np.errstate(all="ignore"):
        minimum = minimum_of(case, fitted)
        verdict = judge(case, fitted, minimum)
    return Outcome(seed, case, fitted, minimum, verdict, time.perf_counter() - began)


# ----- the hardest cases --------------------------------------------------------------------------


def hard_record(outcome):
    """Return a line of the file of the hardest cases; None if the case is large or undecided."""
    minimum, end = outcome.minimum, outcome.verdict.end
    if minimum is None or end in {"undecided", "rounding"}:
        return None
    if outcome.fitted.seconds > 0.5 or outcome.case.X.size > 20_000:
        return None
    return {
        "seed": outcome.seed,
        "kind": outcome.case.kind,
        "value": minimum.value,
        "uncertainty": minimum.uncertainty,
        "separated": None if minimum.separated is None else bool(minimum.separated),
        "resolved": bool(minimum.resolved),
        "resolved_value": minimum.resolved_value,
        "digest": digest(outcome.case),
        "hardness": hardness(outcome),
        "case": str(outcome.case),
    }


def digest(case):
    """Return a checksum of the data, which another version of NumPy might draw differently."""
    given = [case.X, case.y, np.ones(0) if case.weight is None else case.weight]
    return hashlib.sha1(
        b"".join(np.ascontiguousarray(each).tobytes() for each in given)
    ).hexdigest()


def known_minimum(record, case):
    """Return the `Minimum` of a line of the file; that of the referee if the data are others."""
    if digest(case) != record["digest"]:
        return referee(problem_for(case), None, REFEREE_SECONDS)
    known = {each: record[each] for each in Minimum._fields if each in record}
    return Minimum(w=None, b=None, **known)


def hardness(outcome):
    """Return the numbers by which cases of a kind are sorted, the hardest last."""
    order = {"silent": 5, "wrong": 5, "untold": 3, "warned": 2, "cautious": 2}
    easy = {"plain", "constant", "counts", "many", "two_by_two", "rare"}
    n_hard = len(set(outcome.case.blocks) - easy)
    return [order.get(outcome.verdict.end, 1), n_hard + bool(outcome.verdict.gap > 1e-8)]


def old_records():
    lines = HARDEST.read_text("utf-8").splitlines() if HARDEST.exists() else []
    return [json.loads(line) for line in lines]


def write_hardest(n_cases, candidates):
    """Write the file of the hardest cases, a share of n_cases of each kind."""
    found = {(each["kind"], each["seed"]): each for each in candidates}
    for old in old_records():
        new = found.get((old["kind"], old["seed"]))
        if new is not None and new["digest"] == old["digest"]:
            new["hardness"] = max(new["hardness"], old["hardness"])
    lines = []
    for kind, share in KINDS.items():
        ordered = sorted(
            (each for each in found.values() if each["kind"] == kind),
            key=lambda each: (each["hardness"], -each["seed"]),
        )
        lines += sorted(ordered[-round(share * n_cases) :], key=lambda each: each["seed"])
    HARDEST.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    print(f"{len(lines)} cases in {HARDEST}")


# ----- the command --------------------------------------------------------------------------------


def report(records):
    """Print a table of counts, and the silent and wrong fits."""
    table = Counter((each["kind"], each["end"]) for each in records)
    print(f"{'':12s}" + "".join(f"{end:>10s}" for end in ENDS))
    for kind in [*KINDS, "all"]:
        row = [sum(k for (a, b), k in table.items() if b == e and kind in (a, "all")) for e in ENDS]
        if sum(row):
            print(f"{kind:12s}" + "".join(f"{number:10d}" for number in row))
    for end in ("rounding", "wrong", "silent"):
        found = [each for each in records if each["end"] == end]
        found.sort(key=lambda each: -np.nan_to_num(each["gap"]))
        print(f"\n{len(found)} {end}, the largest gaps first")
        for each in found:
            print(
                f"{each['seed']:7d} {each['kind']:11s} {each['gap']:9.2g}  {each['why'][:60]}; "
                f"{each['case']}"
            )
    undecided = Counter(each["why"] for each in records if each["end"] == "undecided")
    print("\nundecided:", dict(undecided))


def details(outcome):
    """Print all about one seed."""
    print(json.dumps(outcome.record(), indent=1, ensure_ascii=False))
    if outcome.fitted is not None:
        print("said:", *outcome.fitted.said, sep="\n  ")
        print("fit:", outcome.fitted.w, outcome.fitted.b, "converged_:", outcome.fitted.converged)
        print("referee:", outcome.minimum)


def records_of(case):
    """Run a pair of seed and kind; return a line of results, and one of the hardest cases."""
    outcome = outcome_of(*case)
    return outcome.record(), hard_record(outcome)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a file for the results, a line for each seed")
    parser.add_argument("--seed-only", type=int)
    parser.add_argument("--write-hardest", type=int, metavar="N")
    options = parser.parse_args()
    if options.seed_only is not None:
        details(outcome_of(options.seed_only, options.kind))
        return 0
    cases = [(seed, options.kind) for seed in range(options.start, options.start + options.count)]
    if options.write_hardest:
        cases += [(each["seed"], each["kind"]) for each in old_records()]
    records, candidates = [], []
    with ProcessPoolExecutor(options.jobs) as pool:
        runs = pool.map(records_of, cases) if options.jobs > 1 else map(records_of, cases)
        for record, candidate in runs:
            records.append(record)
            if candidate is not None:
                candidates.append(candidate)
            if options.out:
                with options.out.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
    report(records[: options.count])
    if options.write_hardest:
        write_hardest(options.write_hardest, candidates)
    return int(any(each["end"] in {"silent", "wrong"} for each in records))


if __name__ == "__main__":
    sys.exit(main())
