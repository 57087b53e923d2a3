"""Where a constant of the package comes from: ``python -m benchmarks.tuning NAME``.

Without NAME all constants are listed that have a measurement. A constant has one of three kinds:

- a unit cost or a count, which is measured and printed beside the constant's value;
- a setting of a solver, for which fits are run with the present value and with others;
- a constant of a compiled kernel, for which kernels are built with each value, and fits run.

NAME is MODULE.CONSTANT, or the constant's name alone. The registry below is the one place where a
constant that is renamed or moved must be renamed here.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from benchmarks import unit_costs
from benchmarks.data_files import problems_of
from benchmarks.fits import Fit, fit_alone
from benchmarks.generators import correlated, gaussian, one_hot, text
from benchmarks.problems import FULL, L1, Problem, generated, sparse
from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV, fit_from_chunks, l1_min_c

ROOT = Path(__file__).parents[1]
REPEATS = 5  # fits with each value, in turns; the median time counts
CONTINUATION = "_solvers.newton.continuation"
COST = "_solvers.newton.cost"
CONJUGATE_GRADIENTS = "_solvers.newton.conjugate_gradients"
DIRECTION = "_solvers.newton.direction"
DUAL_ASCENT = "_solvers.newton.dual_ascent"
INVERSE = "_solvers.newton.inverse"
IN_CACHE = "_solvers.newton.in_cache"
IN_MEMORY = "_objective.in_memory"
NEARBY = "_solvers.newton.nearby"
LINE_SEARCH = "_solvers.newton.line_search"
PROXIMAL = "_solvers.newton.proximal"
QUADRATIC = "_solvers.newton.quadratic"
RAY = "_objective.ray"
SAFEGUARDS = "_solvers.newton.safeguards"
STOPPING = "_solvers.newton.stopping"
ROWS_OF_X = "_objective.rows"
ROW_SPACE = "_solvers.newton.row_space"
SUBSAMPLE = "_solvers.newton.subsample"
THREADS = "_kernels.threads"


def of_suite(suite: list[Problem], *words: str) -> list[Problem]:
    """Return the problems of a suite with one of the words in their name."""
    return [each for each in suite if any(word in each.name for word in words)]


def with_outlier(n_samples: int, at: float) -> tuple[np.ndarray, np.ndarray]:
    """Return one Gaussian column, and one more sample of class 1 far away from the others."""
    X, y = gaussian(n_samples, 1)
    return np.append(X, [[at]], axis=0), np.append(y, 1)


def with_near_copies(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian columns, and each column once more with a noise of a thousandth."""
    X, y = gaussian(n_samples, n_features)
    return np.hstack([X, X + 1e-3 * np.random.default_rng(0).standard_normal(X.shape)]), y


def in_single_precision(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian columns as float32."""
    X, y = gaussian(n_samples, n_features)
    return X.astype(np.float32), y


def by_columns(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return Gaussian columns in Fortran order."""
    X, y = gaussian(n_samples, n_features)
    return np.asfortranarray(X), y


# --- problems, by what a constant is about ---
SMALL = of_suite(FULL, "breast cancer", "digits", "different units", "tiny")
HARD = of_suite(FULL, "heavy tails", "nearly separable")
SAMPLED = of_suite(FULL, "mixed", "independent", "1 % positives", "heavy tails", "badly", "one-hot")
BLOCKS = of_suite(FULL, "one-hot", "wide")
CORRELATED = [each for each in FULL if each.name.startswith("correlated")]
PRODUCTS = CORRELATED + of_suite(FULL, "text", "one-hot")
SPARSE_L1 = of_suite(L1, "text 2 000", "breast cancer")
SAMPLED_OR_PRODUCTS = SAMPLED + [each for each in PRODUCTS if each not in SAMPLED]
UNPENALISED = [
    replace(each, name=f"{each.name}, C=inf", inverse_strength=np.inf)
    for each in CORRELATED + of_suite(FULL, "one-hot")
]
LEVELS = [generated("one-hot, CSR", one_hot, 40_000, C=C) for C in (1, 1e3)]
NEAR_COPIES = generated("near copies", with_near_copies, 2_000, 200)
DENSE_L1 = of_suite(sparse([*CORRELATED, *of_suite(FULL, "digits"), NEAR_COPIES]), "L1 0.01")
WIDE_L1 = [
    replace(problem, inverse_strength=multiple, l1_ratio=1.0)
    for multiple in (1e3, 1e5)
    for problem in (
        generated(f"wide, L1 {1 / multiple:g}", gaussian, 300, 2_000),
        generated(f"500×400, L1 {1 / multiple:g}", gaussian, 500, 400),
        generated(f"wide, correlated, L1 {1 / multiple:g}", correlated, 200, 1_000, condition=100),
    )
]
PATHS = of_suite(L1, "text 2 000×40 000, L1 0.1", "breast cancer, scaled, L1 0.1")
OUTLIERS = [generated(f"an outlier at {at:g}", with_outlier, 200, at) for at in (1e2, 1e4, 1e7)]
SIZES = [generated(f"{n} rows", gaussian, n, 20) for n in (5_000, 20_000, 80_000, 320_000)]
ROWS = [generated(f"{p} features", gaussian, 20_000, p) for p in (20, 50, 80, 200, 1_000)]
DENSE_AND_SMALL = [
    generated(f"{n}×{p}", gaussian, n, p)
    for n, p in [(1_000, 50), (1_000, 100), (5_000, 100), (1_000, 200), (2_000, 200)]
]
MANY_SUMS = [generated("2 000 columns", correlated, 4_000, 2_000, condition=100)]
PER_SAMPLE = {"solver": "sgd", "learning_rate": 1e-4, "tol": 0, "max_iter": 10}
WIDE = [
    generated(f"{n} by {p}", gaussian, n, p) for n, p in ((20, 400), (100, 2_000), (200, 5_000))
]
WIDE_BY_COLUMNS = [
    generated(f"{n} by {p}, F order", by_columns, n, p) for n, p in ((400, 3_000), (300, 20_000))
]
FEW_LEVELS = [(2_000, (2, 3, 5, 8, 13)), (1_000, (2, 3, 5, 8, 13, 30, 35))]
TEXTS = [
    generated(f"text, {n} by {p}, C={C:g}", text, n, p, C=C)
    for n, p, C in ((100, 1_000, 1.0), (2_000, 20_000, 1.0), (5_000, 8_000, 100.0))
]
SINGLE = [generated(f"float32, {n} rows", in_single_precision, n, 20) for n in (20_000, 200_000)]


def alone(problem: Problem, model: BCENeuronClassifier) -> list[Fit]:
    """Fit once."""
    return [fit_alone(problem, model, np.inf)]


def along_path(problem: Problem, model: BCENeuronClassifier) -> list[Fit]:
    """Fit ten times with warm starts, from 1.5 times the least C of a weight to 1000 times it."""
    X, y = problem.samples
    model = model.set_params(warm_start=True)
    strengths = l1_min_c(X, y) * np.geomspace(1.5, 1000, 10)
    return [timed(lambda C=C: model.set_params(C=C).fit(X, y)) for C in strengths]


def from_chunks(problem: Problem, model: BCENeuronClassifier) -> list[Fit]:
    """Fit to four chunks of the rows by `fit_from_chunks`."""
    X, y = problem.samples
    edges = np.linspace(0, X.shape[0], 5).astype(int)
    chunks = [(X[start:stop], y[start:stop]) for start, stop in pairwise(edges)]
    return [timed(lambda: fit_from_chunks(model, lambda: iter(chunks)))]


def searched(problem: Problem, model: BCENeuronClassifier) -> list[Fit]:
    """Choose C in five folds."""
    X, y = problem.samples
    search = BCENeuronClassifierCV(Cs=np.logspace(-4, 4, 10), tol=model.tol)
    return [timed(lambda: search.fit(X, y))]


def timed(fit: Callable[[], BCENeuronClassifier]) -> Fit:
    """Return the record of a fit, without scores."""
    start = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = fit()
    seconds, iterations = time.perf_counter() - start, float(np.max(model.n_iter_))
    value, passes = model.loss_curve_[-1], float(model.n_passes_)
    return Fit(seconds, value, iterations=iterations, passes=passes)


@dataclass(frozen=True)
class Measured:
    """A constant that is a cost or a count.

    `measure` returns the figure, or a tuple of which `item` is the figure. Where the `unit` is
    nanoseconds, the figure is also given as a multiple of `DENSE_PASS`: only such ratios matter.
    """

    module: str
    name: str
    measure: Callable[[], Any]
    unit: str = "ns"
    item: int | None = None

    @property
    def present(self) -> Any:
        """The constant's value."""
        return getattr(import_module(f"sklearn_bce.{self.module}"), self.name)


@dataclass(frozen=True)
class Tried:
    """A constant that is tried with other values.

    `values` has the present value among them. The fits are of `problems`, with `parameters` for
    the estimator, made by `fit`: `alone`, `along_path` or `from_chunks`.
    """

    module: str
    name: str
    values: tuple[Any, ...]
    problems: list[Problem]
    parameters: dict[str, Any] = field(default_factory=dict)
    fit: Callable[[Problem, BCENeuronClassifier], list[Fit]] = alone

    @property
    def present(self) -> Any:
        """The constant's value."""
        return getattr(import_module(f"sklearn_bce.{self.module}"), self.name)


@dataclass(frozen=True)
class Compiled(Tried):
    """A constant of a kernel: `module` is the file of the package that defines the constant.

    The definition is a line of the file: ``NAME = value`` or ``#define NAME value``.
    """

    @property
    def pattern(self) -> str:
        """Expression for the line of the constant, with the value in the second group."""
        return rf"(^[ ]*(?:#define )?{self.name} (?:= )?)(\d+)"

    @property
    def present(self) -> int:
        """The constant's value."""
        text = (ROOT / "sklearn_bce" / self.module).read_text("utf-8")
        return int(re.search(self.pattern, text, re.MULTILINE).group(2))


CONSTANTS: list[Measured | Tried] = [
    Measured(COST, "DENSE_PASS", unit_costs.dense_pass),
    Measured(COST, "SPARSE_PASS", unit_costs.sparse_pass),
    Measured(COST, "DENSE_CURVATURE", unit_costs.dense_curvature, item=0),
    Measured(COST, "DENSE_CURVATURE_PRODUCT", unit_costs.dense_curvature, item=1),
    Measured(COST, "SPARSE_CURVATURE", unit_costs.sparse_curvature),
    Measured(COST, "FACTOR", unit_costs.factor),
    Measured(COST, "PASS_OVERHEAD", unit_costs.call),
    Measured(COST, "PART_VALUE", unit_costs.reading, item=0),
    Measured(COST, "PART_PASS_OVERHEAD", unit_costs.reading, item=1),
    Measured(COST, "TYPICAL_PRODUCTS", unit_costs.typical_products, unit=""),
    Measured(COST, "STEPS_FROM_ZERO", unit_costs.steps_from_zero, unit=""),
    Measured("_solvers.base", "ROUNDING_FLOOR", unit_costs.rounding_of_value, unit=""),
    Tried("_solvers.base", "NEGLIGIBLE", (0.001, 0.01, 0.1), PRODUCTS),
    Tried(ROW_SPACE, "SINGLE_ELEMENTS", (2**8, 2**12, 2**16, 2**20, 2**24), WIDE),
    Tried(ROW_SPACE, "PRODUCTS_IN_A_PASS", (1, 16, 256), WIDE),
    Tried(DUAL_ASCENT, "BIAS_SHARE", (0.01, 0.1, 1.0), WIDE + TEXTS),
    Tried(DUAL_ASCENT, "PASSES_AT_ZERO", (0, 4, 8, 16), TEXTS),
    Tried(
        DUAL_ASCENT, "LEAST_KAPPA", (0.0, 0.1, 1.0),
        [generated(f"text, C={C:g}", text, 2_000, 20_000, C=C) for C in (1e-3, 0.05, 0.5)],
    ),
    Tried(ROWS_OF_X, "COLUMNS_AT_ONCE", (64, 512, 100_000), WIDE_BY_COLUMNS),
    Tried(DUAL_ASCENT, "LEAST_ELEMENTS", (2**12, 2**17, 2**24), WIDE),
    Tried(DUAL_ASCENT, "LEAST_STORED", (0, 2**12, 2**24), TEXTS),
    Tried(SUBSAMPLE, "MIN_ROWS_PER_COORDINATE", (3, 10, 30), SAMPLED),
    Tried(SUBSAMPLE, "WORTH_A_SAMPLE", (0.0, 0.2, 1.0), SAMPLED),
    Tried(SUBSAMPLE, "WORTH_A_SPARSE_SAMPLE", (0.0, 0.32, 1.0), of_suite(FULL, "one-hot")),
    Tried(SUBSAMPLE, "LOOSEST_SPARSE_TOL", (1e-6, 1.0), LEVELS, {"tol": 1e-3}),
    Tried(SUBSAMPLE, "MAX_SAMPLE_FRACTION", (0.05, 0.25, 0.5), SAMPLED),
    Tried(SUBSAMPLE, "FRACTION_OF_SAMPLING_ERROR", (0.01, 0.1, 1.0), SAMPLED),
    Tried(SUBSAMPLE, "MAX_DIAGONAL_RATIO", (1.0, 2.0, 10.0), SAMPLED),
    Tried(LINE_SEARCH, "WORTH_A_SEARCH", (0.001, 0.01, 0.1, np.inf), SMALL),
    Tried(
        SAFEGUARDS, "SLOW_DECREMENT_RATIO", (0.05, 0.2, 0.5), SMALL + HARD + OUTLIERS,
        fit=from_chunks,
    ),
    Tried(STOPPING, "MARGIN", (1.0, 2.0, 10.0), PATHS, fit=along_path),
    Tried(STOPPING, "STALE_MARGIN", (1.0, 4.0, 20.0), PATHS, fit=along_path),
    Tried(STOPPING, "STALE_STEP_FRACTION", (1e-7, 1e-5, 1e-3, 0.1), SAMPLED),
    Tried(STOPPING, "LEAST_DOUBT", (1e-8, 1e-7, 1e-6), SMALL + HARD + SPARSE_L1),
    Tried(DIRECTION, "WORTH_ANOTHER", (0.01, 0.1, 0.5), SAMPLED_OR_PRODUCTS),
    Tried(CONJUGATE_GRADIENTS, "FINAL_SHARE", (0.01, 0.1, 0.5), PRODUCTS),
    Tried(CONJUGATE_GRADIENTS, "NEGLIGIBLE_GAIN", (1e-14, 1e-10, 1e-6, 1e-3), UNPENALISED),
    Tried(CONJUGATE_GRADIENTS, "MIN_FORCING", (0.001, 0.01, 0.1), PRODUCTS),
    Tried(CONJUGATE_GRADIENTS, "MAX_FORCING", (0.1, 0.5, 0.9), PRODUCTS),
    Tried(INVERSE, "LBFGS_PAIRS", (3, 10, 30), SAMPLED),
    Tried(INVERSE, "ONE_THREAD_SIZE", (0, 1000, 10_000), CORRELATED + of_suite(FULL, "one-hot")),
    Tried(PROXIMAL, "MIN_COLUMNS", (10, 100, 1000), DENSE_L1),
    Tried(PROXIMAL, "MIN_SPARSE_COLUMNS", (100, 1000, 10_000), SPARSE_L1),
    Tried(PROXIMAL, "COLUMNS_PER_WEIGHT", (2, 4, 16), SPARSE_L1),
    Tried(PROXIMAL, "MIN_WIDE_COLUMNS", (5, 25, 100), WIDE_L1),
    Tried(PROXIMAL, "WIDE_SHARE_OF_FEATURES", (0.0125, 0.025, 0.1), WIDE_L1),
    Tried(PROXIMAL, "WIDE_SHARE_OF_WEIGHTS", (0.1, 0.2, 1.0), WIDE_L1),
    Tried(CONTINUATION, "STRENGTH_RATIO", (5.0, 20.0, 100.0, 1e9), WIDE_L1),
    Tried(CONTINUATION, "FIRST_RATIO", (1.0, 3.0, 10.0), WIDE_L1),
    Tried(CONTINUATION, "STAGE_TOLERANCE", (0.01, 0.05, 0.2, 1.0), WIDE_L1),
    Tried(CONTINUATION, "SAMPLES_PER_FEATURE", (0.0, 1.0, 2.0, 4.0), WIDE_L1),
    Tried(CONTINUATION, "WIDE_DENSITY", (0.0, 0.5, 2.0), WIDE_L1 + SPARSE_L1),
    Tried(PROXIMAL, "MAX_COPIED_FRACTION", (0.05, 0.25, 1.0), SPARSE_L1),
    Tried(PROXIMAL, "MAX_PATH_FEATURES", (0, 500), PATHS, fit=along_path),
    Tried(PROXIMAL, "PATH_TOLERANCE_FACTOR", (0.002, 0.02, 1.0), PATHS, fit=along_path),
    Tried(QUADRATIC, "MIN_INNER_FRACTION", (1e-6, 1e-4, 1e-2), DENSE_L1),
    Tried(QUADRATIC, "MAX_INNER_FRACTION", (0.01, 0.1, 0.5), SPARSE_L1),
    Tried(QUADRATIC, "INNER_ROOT_OF_GRAM", (1, 2, 4), DENSE_L1),
    Tried(QUADRATIC, "INNER_ROOT_OF_COLUMNS", (2, 4, 8), SPARSE_L1),
    Tried(QUADRATIC, "SWEEPS", (3, 10, 30, 100), DENSE_L1 + WIDE_L1),
    Tried(QUADRATIC, "NOT_LAST_FACTOR", (1.0, 10.0, 100.0), DENSE_L1 + WIDE_L1),
    Tried(QUADRATIC, "ROUNDS_BEFORE_LAST", (1, 3, 10), DENSE_L1),
    Tried(QUADRATIC, "SIGN_SETS_BEFORE_LAST", (1, 4, 16), DENSE_L1),
    Tried(QUADRATIC, "MAX_ROUNDS", (10, 100, 1000), DENSE_L1),
    Tried(QUADRATIC, "MAX_SIGNS", (10, 100, 1000), DENSE_L1),
    Tried(QUADRATIC, "MAX_SWEEPS", (50, 200, 800), SPARSE_L1),
    Tried(QUADRATIC, "SWEEPS_BEFORE_EXTRAPOLATION", (4, 10, 10**6), SPARSE_L1),
    Tried(IN_CACHE, "CACHE_ELEMENTS", (0, 2**17, 2**19, 2**21), SMALL + SIZES),
    Tried(IN_CACHE, "MOST_FEATURES", (30, 100, 300), DENSE_AND_SMALL),
    Tried(
        IN_CACHE, "MOST_SPARSE_FEATURES", (0, 64, 10**6),
        [generated(f"one-hot, {n} rows", one_hot, n, levels) for n, levels in FEW_LEVELS],
    ),
    Tried(NEARBY, "LEAST_CURVATURE", (0.0, 6e5, 1e12), SMALL + SIZES, fit=searched),
    Tried(IN_MEMORY, "LARGE_ELEMENTS", (2**16, 2**20, 2**24), SINGLE),
    Tried(IN_MEMORY, "ROWS_FOR_UNITS", (64, 256, 1024), of_suite(FULL, "strong penalty")),
    Tried(IN_MEMORY, "ENOUGH_SAMPLES", (3, 30, 300), SAMPLED),
    Tried(IN_MEMORY, "NEGLIGIBLE_DECREMENT", (1e-14, 1e-9, 1e-4), HARD + OUTLIERS),
    Tried(IN_MEMORY, "MODEL_REGION", (0.3, 0.9, 3.0), SMALL + HARD + OUTLIERS),
    Tried(RAY, "MAX_STEP_LENGTH", (1.0, 10.0, 1000.0), SMALL + HARD),
    Tried(RAY, "STEP_LENGTH_TOL", (0.02, 0.2, 0.5), SMALL + HARD),
    Tried(ROWS_OF_X, "BLOCK_ELEMENTS", (2**14, 2**16, 2**18, 2**20), BLOCKS),
    Tried("_objective.summary", "ROWS_PER_COORDINATE", (5, 20, 80), SIZES, fit=from_chunks),
    Tried(THREADS, "MIN_ELEMENTS_PER_THREAD", (2**16, 2**19, 2**22, 2**62), SIZES),
    Tried(THREADS, "SPARSE_WORK", (1, 3, 10), PRODUCTS),
    Tried(THREADS, "CURVATURE_WORK", (1, 8, 64), SIZES),
    Tried(THREADS, "MAX_OWN_SUMS", (2**10, 2**21, 2**30), MANY_SUMS),
    Tried(
        "_solvers.step_size", "EIGENVALUE_TOL", (1e-3, 1e-2, 1e-1), SMALL,
        {"solver": "gd", "max_iter": 1000},
    ),
    Tried(
        "_solvers.sgd", "BATCH_GROWTH", (2, 8, 32), of_suite(FULL, "breast cancer", "tiny"),
        {"solver": "sgd", "max_iter": 300},
    ),
    Compiled("_kernels/dense.pyx", "CHUNK_BYTES", (2**14, 2**16, 2**18, 2**20), SIZES),
    Compiled(
        "_kernels/dense.pyx", "MIN_CHUNK_ROWS", (1, 8, 32),
        [generated(f"{p} features", gaussian, 500, p) for p in (5_000, 20_000)],
        {"solver": "gd", "tol": 0, "max_iter": 20},
    ),
    Compiled("_kernels/gram.pxd", "TILED_ROWS", (64, 256, 1024), SMALL + SIZES),
    Compiled("_kernels/gram.pxd", "LEAST_ROWS", (32, 256, 1024), MANY_SUMS),
    Compiled("_kernels/gram.h", "BCE_MOST_COLUMNS", (0, 32, 80, 128), DENSE_AND_SMALL + ROWS),
    Compiled("_kernels/sigmoid.h", "BCE_BATCH", (32, 256, 512), SIZES + of_suite(FULL, "CSR")),
    Compiled("_kernels/dense_row.pxd", "LONG_ROW", (0, 64, 100_000), ROWS, PER_SAMPLE),
    Compiled("_kernels/prefetch.pxd", "PREFETCH_BYTES", (64, 1024, 4096, 16_384), ROWS, PER_SAMPLE),
    Compiled("_kernels/prefetch.pxd", "DENSE_ROWS_AHEAD", (0, 1, 2, 4, 8), ROWS, PER_SAMPLE),
    Compiled(
        "_kernels/prefetch.pxd", "SPARSE_ROWS_AHEAD", (0, 2, 4, 8), of_suite(FULL, "CSR"),
        PER_SAMPLE,
    ),
]  # fmt: skip

NAMES = [
    f"{re.sub(r'[.](pyx|pxd|h)$', '', each.module).replace('/', '.')}.{each.name}"
    for each in CONSTANTS
]


def named(word: str) -> list[Measured | Tried]:
    """Return the constants of a name, which may leave out packages or the module.

    Raises
    ------
    ValueError
        If there is none.
    """
    found = [
        each
        for each, name in zip(CONSTANTS, NAMES, strict=True)
        if name.endswith(f".{word}") or name == word
    ]
    if not found:
        raise ValueError(f"{word!r} is not a constant that is measured; they are: {NAMES}")
    return found


@contextmanager
def replaced(constant: Tried, value: Any) -> Iterator[None]:
    """Give the constant another value, in its module and in those that have imported it."""
    present = constant.present
    holders = [
        module
        for name, module in list(sys.modules.items())
        if name.startswith("sklearn_bce.") and vars(module).get(constant.name) is present
    ]
    for module in holders:
        setattr(module, constant.name, value)
    try:
        yield
    finally:
        for module in holders:
            setattr(module, constant.name, present)


@dataclass
class Trial:
    """What a value of a constant has led to on a problem: medians of several fits."""

    problem: str
    value: float
    seconds: float
    iterations: float
    passes: float
    objective: float


def trials_of(
    constant: Tried, values: Sequence[Any], problem: Problem, repeats: int
) -> list[Trial]:
    """Return a trial for each value, fits with all of them in turns after one that warms up."""
    fits: dict[Any, list[list[Fit]]] = {value: [] for value in values}
    for turn in range(-1, repeats):
        for value in values:
            with replaced(constant, value):
                model = BCENeuronClassifier(C=problem.C, random_state=max(turn, 0))
                model.set_params(l1_ratio=problem.l1_ratio, **constant.parameters)
                fits[value].append(constant.fit(problem, model))
    problem.release()

    def total(turns: list[list[Fit]], figure: str) -> float:
        return float(median(sum(getattr(fit, figure) for fit in turn) for turn in turns[1:]))

    figures = ("seconds", "iterations", "passes", "objective")
    return [
        Trial(problem.name, float(value), *(total(fits[value], figure) for figure in figures))
        for value in values
    ]


def try_values(constant: Tried, more: Sequence[Problem], repeats: int) -> list[list[Trial]]:
    """Return the trials of a constant, problem by problem; ``more`` problems if not compiled."""
    if not isinstance(constant, Compiled):
        problems = [*constant.problems, *more]
        return [trials_of(constant, constant.values, each, repeats) for each in problems]
    with tempfile.TemporaryDirectory() as folder:
        trees = [build_with(constant, value, Path(folder, str(value))) for value in constant.values]
        turns = [[trials_in(tree, constant) for tree in trees] for _ in range(repeats)]
    by_value = [
        [median_trial(of_problem) for of_problem in zip(*of_value, strict=True)]
        for of_value in zip(*turns, strict=True)
    ]
    return [list(trials) for trials in zip(*by_value, strict=True)]


def median_trial(trials: Sequence[Trial]) -> Trial:
    """Return the trial of median time."""
    return sorted(trials, key=lambda trial: trial.seconds)[len(trials) // 2]


def build_with(constant: Compiled, value: int, tree: Path) -> Path:
    """Copy the source tree, compile its kernels with a value of a constant; return the copy."""
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "*.so", "*.c", "results")
    shutil.copytree(ROOT, tree, ignore=ignored)
    source = tree / "sklearn_bce" / constant.module
    text = source.read_text("utf-8")
    text = re.sub(constant.pattern, rf"\g<1>{value}", text, flags=re.MULTILINE)
    source.write_text(text, "utf-8")
    target = tree / "target"
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", str(target), "."]
    if find_spec("Cython") and find_spec("setuptools"):
        install.append("--no-build-isolation")
    subprocess.run([sys.executable, *install], cwd=tree, check=True)
    for kernel in target.glob("sklearn_bce/_kernels/*.so"):
        shutil.copy(kernel, source.parent)
    return tree


def trials_in(tree: Path, constant: Compiled) -> list[Trial]:
    """Return the trials of a process that uses the kernels of a tree, one for each problem."""
    command = ["-m", "benchmarks.tuning", constant.name, "--json", "--repeats", "1"]
    found = subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree)},
        check=True,
        capture_output=True,
        text=True,
    )
    return [Trial(**each) for each in json.loads(found.stdout)]


def trials_here(constant: Compiled, repeats: int) -> list[Trial]:
    """Return the trials with the kernels as they are compiled, one for each problem."""
    present = constant.present
    return [trials_of(constant, (present,), each, repeats)[0] for each in constant.problems]


def table(constant: Tried, trials: list[list[Trial]]) -> str:
    """Return the trials as a table; times are multiples of that with the present value."""
    present = float(constant.present)
    lines = [
        f"{constant.name} = {constant.present:g} ({constant.module})",
        f"{'':34} {'value':>10} {'time':>9} {'ratio':>6} {'iter.':>6} {'passes':>7} {'above':>8}",
    ]
    for of_problem in trials:
        usual = next(each for each in of_problem if each.value == present)
        least = min(each.objective for each in of_problem)
        for each in of_problem:
            mark = "*" if each is usual else " "
            lines.append(
                f"  {each.problem:32}{mark}{each.value:10g} {1e3 * each.seconds:6.1f} ms"
                f" {each.seconds / usual.seconds:6.2f} {each.iterations:6.0f} {each.passes:7.1f}"
                f" {each.objective - least:8.0e}"
            )
    ratios = np.array([[e.seconds for e in trial] for trial in trials])
    places = [each.value == present for each in trials[0]]
    means = np.exp(np.mean(np.log(ratios / ratios[:, places]), axis=0))
    lines.append("Geometric mean of the ratios:")
    lines += [
        f"  {each.value:10g} {mean:6.2f}" for each, mean in zip(trials[0], means, strict=True)
    ]
    return "\n".join(lines)


def measured_line(constant: Measured) -> str:
    """Return the constant's value and the figure measured."""
    figure = constant.measure()
    figure = figure if constant.item is None else figure[constant.item]
    words = []
    for have, there in zip(np.atleast_1d(constant.present), np.atleast_1d(figure), strict=True):
        words.append(f"{have:g}, measured {there:.3g}")
        if constant.unit == "ns":
            usual, measured = named("DENSE_PASS")[0].present, unit_costs.dense_pass()
            words[-1] += f" ({have / usual:.3g} and {there / measured:.3g} times DENSE_PASS)"
    return f"{constant.name} = {'; '.join(words)}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, measure, and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tuning",
        description="Measure where a constant of the package comes from.",
    )
    parser.add_argument("name", nargs="*", help="MODULE.CONSTANT or CONSTANT; default: list them")
    parser.add_argument("--repeats", type=int, default=REPEATS, help=f"fits (default {REPEATS})")
    parser.add_argument("--data", type=Path, metavar="DIR", help="folder of more problems to try")
    parser.add_argument("--json", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not options.name:
        for name, constant in zip(NAMES, CONSTANTS, strict=True):
            kind = type(constant).__name__.lower()
            print(f"{name:50} {kind:9} {constant.present}")
        return
    try:
        constants = [each for word in options.name for each in named(word)]
    except ValueError as error:
        parser.error(str(error))
    more = problems_of(options.data) if options.data else []
    for constant in constants:
        if isinstance(constant, Measured):
            print(measured_line(constant), flush=True)
        elif options.json:
            print(json.dumps([asdict(each) for each in trials_here(constant, options.repeats)]))
        else:
            print(table(constant, try_values(constant, more, options.repeats)), flush=True)


if __name__ == "__main__":
    main()
