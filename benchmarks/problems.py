"""The problems: data sets, each with a penalty."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

from benchmarks.generators import (
    correlated,
    different_units,
    gaussian,
    hashed_clicks,
    heavy_tails,
    identifiers,
    intervals,
    one_hot,
    rare_dummy,
    text,
)


@dataclass(frozen=True)
class Variation:
    """How a fit differs from the plain one: a form of X, sample weights or parameters.

    `convert` changes the dtype or the layout of the training samples. With `is_weighted`, the
    samples have weights between 0.2 and 2. `parameters` are ``fit_intercept`` or ``class_weight``
    of the estimators.
    """

    name: str = "plain"
    convert: Callable[[Any], Any] | None = None
    is_weighted: bool = False
    parameters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Problem:
    """A binary classification data set and its penalty.

    `load` returns X (dense or CSR) and y in {0, 1}; it is called once, when the data are needed.
    With an `l1_ratio` above 0, `inverse_strength` is a multiple of the least C at which a weight is
    not 0; without, it is C itself. `origin` is "real" of data that were observed, and "generated"
    of those that a function draws at random. If `is_scored`, calls without parameters are
    cross-validated too.
    """

    name: str
    load: Callable[[], tuple[Any, np.ndarray]]
    inverse_strength: float = 1.0
    l1_ratio: float = 0.0
    variation: Variation = Variation()
    origin: str = "real"
    is_scored: bool = False

    @cached_property
    def samples(self) -> tuple[Any, np.ndarray]:
        """X and y."""
        X, y = self.load()
        if self.variation.convert is not None:
            X = self.variation.convert(X)
        return X, y

    @cached_property
    def sample_weight(self) -> np.ndarray | None:
        """The sample weights that `fit` is given; None if there are none."""
        if not self.variation.is_weighted:
            return None
        return np.random.default_rng(0).uniform(0.2, 2, len(self.samples[1]))

    @cached_property
    def judged_weight(self) -> np.ndarray | None:
        """The weights of the samples in the objective, with class weights; None if all are 1."""
        weight, y = self.sample_weight, self.samples[1]
        if self.variation.parameters.get("class_weight") != "balanced":
            return weight
        return (1.0 if weight is None else weight) * compute_sample_weight("balanced", y)

    @cached_property
    def C(self) -> float:
        """Inverse strength of the penalty, as the estimators take it."""
        if not self.l1_ratio:
            return self.inverse_strength
        X, y = self.samples
        # where all weights are 0 the neuron's output is the fraction of positives
        largest = np.max(np.abs(X.T @ (y - np.mean(y))))
        return self.inverse_strength * self.l1_ratio / float(largest)

    @cached_property
    def _forms(self) -> dict[Callable, tuple[tuple, float]]:
        return {}

    def form(self, convert: Callable[[Any, np.ndarray], tuple] | None) -> tuple[tuple, float]:
        """Return the training part in a competitor's form, and the seconds of its conversion.

        The data are converted once for all fits.
        """
        X, y = self.samples
        if convert is None:
            return (X, y), 0.0
        if convert not in self._forms:
            start = time.perf_counter()
            arguments = convert(X, y)
            self._forms[convert] = arguments, time.perf_counter() - start
        return self._forms[convert]

    def release(self) -> None:
        """Free the memory of the data, which are loaded again when needed."""
        for cached in ("samples", "_forms", "sample_weight", "judged_weight"):
            self.__dict__.pop(cached, None)


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """569×30, real, columns in different units."""
    return load_breast_cancer(return_X_y=True)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797×64, real pixels: is the digit odd?"""
    X, y = load_digits(return_X_y=True)
    return X, y % 2


def scaled(load: Callable[[], tuple[Any, np.ndarray]]) -> Callable[[], tuple[Any, np.ndarray]]:
    """Return the loader of the same data with standardised columns."""

    def loader() -> tuple[Any, np.ndarray]:
        X, y = load()
        return StandardScaler().fit_transform(X), y

    return loader


def generated(name: str, make: Callable, *sizes: int, C: float = 1.0, **options: Any) -> Problem:
    """Return a problem whose data a function draws at random."""
    return Problem(name, partial(make, *sizes, **options), C, origin="generated")


BREAST_CANCER = Problem("breast cancer, raw", breast_cancer)
DIFFERENT_UNITS = generated("columns in different units", different_units)
TALL = generated("Gaussian, mixed, a million", gaussian, 1_000_000, 50, mixing=0.3)

QUICK = [
    replace(problem, is_scored=True)
    for problem in (
        BREAST_CANCER,
        Problem("breast cancer, scaled", scaled(breast_cancer)),
        Problem("digits odd/even, raw", digits),
        DIFFERENT_UNITS,
    )
]

FULL = [
    *QUICK,
    generated("tiny", gaussian, 100, 5),
    generated("Gaussian, independent", gaussian, 100_000, 20),
    generated("Gaussian, mixed", gaussian, 100_000, 20, mixing=0.3),
    TALL,
    generated("Gaussian, strong penalty", gaussian, 20_000, 300, C=1e-4),
    generated("1 % positives", gaussian, 100_000, 30, positives=0.01),
    generated("nearly separable", gaussian, 10_000, 50, C=1e4, noise=0.005),
    generated("correlated", correlated, 2_000, 500, condition=30),
    generated("correlated, badly scaled", correlated, 20_000, 100, condition=1e3, units=1e2),
    generated("heavy tails", heavy_tails, 20_000, 40),
    generated("wide", gaussian, 200, 5_000),
    generated("wide, correlated", correlated, 300, 20_000, condition=100),
    generated("one-hot, CSR", one_hot, 50_000),
    generated("text, CSR", text, 2_000, 40_000),
    generated("text, weak penalty, CSR", text, 20_000, 30_000, C=100.0),
    generated("hashed clicks, CSR, int64", hashed_clicks, 500_000, 2**20),
]

# Strengths of an L1 penalty, as fractions of the least strength at which all weights are 0.
L1_STRENGTHS = (0.1, 0.01, 0.001)


def sparse(problems: Iterable[Problem], strengths: Iterable[float] = L1_STRENGTHS) -> list[Problem]:
    """Return each problem with an L1 penalty, in several strengths."""
    return [
        replace(p, name=f"{p.name}, L1 {strength:g}", inverse_strength=1 / strength, l1_ratio=1.0)
        for p in problems
        for strength in strengths
    ]


L1 = sparse(
    [
        Problem("breast cancer, scaled", scaled(breast_cancer)),
        generated("text 2 000×40 000", text, 2_000, 40_000),
        generated("text 20 000×30 000", text, 20_000, 30_000),
    ]
)


def in_single_precision(X: Any) -> Any:
    """Return X in float32."""
    return X.astype(np.float32)


def by_columns(X: Any) -> Any:
    """Return an array in Fortran order, and a sparse matrix as CSC."""
    return X.tocsc() if hasattr(X, "tocsc") else np.asfortranarray(X)


VARIATIONS = [
    Variation(),
    Variation("weights", is_weighted=True),
    Variation("no intercept", parameters={"fit_intercept": False}),
    Variation("float32", in_single_precision),
    Variation("balanced", parameters={"class_weight": "balanced"}),
    Variation("F order or CSC", by_columns),
]
OTHER_STRENGTHS = (1e-3, 1e3, np.inf)  # C, in place of 1

KINDS = [
    generated("Gaussian", gaussian, 3_000, 25),
    Problem("breast cancer, scaled", scaled(breast_cancer)),
    Problem("digits odd/even, raw", digits),
    generated("Gaussian", gaussian, 60_000, 40),
    generated("wide", gaussian, 400, 3_000),
    generated("one-hot, CSR", one_hot, 40_000),
    generated("text, CSR", text, 2_000, 20_000),
]


def varied(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem in every variation."""
    return [
        replace(problem, name=f"{problem.name}, {variation.name}", variation=variation)
        for problem in problems
        for variation in VARIATIONS
    ]


def of_other_strengths(problems: Iterable[Problem]) -> list[Problem]:
    """Return each problem with another C; `title` of the report names it."""
    return [replace(problem, inverse_strength=C) for problem in problems for C in OTHER_STRENGTHS]


VARIED = [*varied(KINDS), *of_other_strengths(KINDS), *varied(sparse(KINDS, (0.1, 0.01)))]

SEARCHED = [
    *QUICK[:3],
    generated("Gaussian", gaussian, 20_000, 50),
]

NO_PENALTY = np.inf

INFERRED = [
    generated("Gaussian", gaussian, 100_000, 20, C=NO_PENALTY),
    generated("Gaussian, small", gaussian, 1_000, 5, C=NO_PENALTY),
    generated("columns in different units", different_units, 5_000, 30, C=NO_PENALTY),
    generated("identifiers near 1e12", identifiers, 20_000, 10, C=NO_PENALTY),
    generated("start and end in epoch seconds", intervals, 20_000, 10, C=NO_PENALTY),
    generated("a dummy that separates", rare_dummy, 20_000, 10, C=NO_PENALTY),
]

SUITES = {
    "quick": QUICK,
    "full": FULL,
    "l1": L1,
    "variations": VARIED,
    "cv": SEARCHED,
    "inference": INFERRED,
}
