"""Constants that are measured directly: unit costs of the cost model, counts and a rounding error.

Each function returns one figure; `benchmarks.tuning` prints it beside the constant of the package.
Costs are in nanoseconds on this machine, on one core. Only their ratios matter, so a machine that
is twice as fast needs no change.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import cache
from statistics import median
from typing import Any

import numpy as np

from benchmarks.generators import gaussian, text
from benchmarks.problems import FULL, Problem
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._solvers.newton import inverse, smooth

REPEATS = 7  # timed calls, of which the median counts
SECONDS = 0.05  # a timed call is repeated until it has taken so long


def nanoseconds(call: Callable[[], Any]) -> float:
    """Return the processor time of a call, the median of several, with BLAS held to one thread."""
    with one_blas_thread():
        call()
        start = time.thread_time()
        call()
        number = max(1, int(SECONDS / max(time.thread_time() - start, 1e-9)))
        times = []
        for _ in range(REPEATS):
            start = time.thread_time()
            for _ in range(number):
                call()
            times.append((time.thread_time() - start) / number)
    return 1e9 * median(times)


def objective_of(X: Any, y: np.ndarray) -> InMemoryObjective:
    """Return F in standard coordinates, C = 1, on one thread."""
    targets, weight = y.astype(np.float64), np.broadcast_to(1.0, len(y))
    return InMemoryObjective.in_user_units(
        X, targets, weight, ElasticNet.of(1.0, 0.0, np.sum(weight)), True
    ).standardised()


def time_of_pass(X: Any, y: np.ndarray, hessian: bool = False) -> float:
    """Return the nanoseconds of a pass over X, with the curvature matrix or without."""
    problem = objective_of(X, y)
    theta = np.full(problem.coordinates.size, 0.01)
    return nanoseconds(lambda: problem.evaluate(theta, hessian=hessian))


@cache
def dense_pass() -> float:
    """Return the cost of an element of an array in a pass: 100 000×50, less the call."""
    X, y = gaussian(100_000, 50)
    return (time_of_pass(X, y) - call()) / X.size


def sparse_pass() -> float:
    """Return the cost of a stored value of CSR in a pass: 20 000×30 000 text, less the call."""
    X, y = text(20_000, 30_000)
    return (time_of_pass(X, y) - call()) / X.nnz


def call() -> float:
    """Return the cost of a pass over next to nothing: 10×2."""
    return time_of_pass(*gaussian(10, 2))


def dense_curvature() -> tuple[float, float]:
    """Return the costs of an element and of a pair of elements of a row in the curvature.

    The curvature of n rows of p columns takes n·p·(element + pair·p) beyond a pass; it is measured
    with 25 and with 200 columns.
    """
    per_element = []
    for n_samples, n_features in ((100_000, 25), (10_000, 200)):
        X, y = gaussian(n_samples, n_features)
        beyond = time_of_pass(X, y, hessian=True) - time_of_pass(X, y)
        per_element.append(beyond / X.size)
    pair = (per_element[1] - per_element[0]) / (200 - 25)
    return per_element[0] - 25 * pair, pair


def sparse_curvature() -> float:
    """Return the cost of a pair of stored values of a row in the curvature: text, 5 000×1 000."""
    X, y = text(5_000, 1_000)
    beyond = time_of_pass(X, y, hessian=True) - time_of_pass(X, y)
    return beyond / objective_of(X, y).data_size.n_pairs


def factor() -> float:
    """Return the cost of an element times a column in a Cholesky factorisation: 500×500."""
    size = 500
    X, _ = gaussian(2 * size, size)
    matrix = X.T @ X
    return nanoseconds(lambda: inverse.CholeskyFactor(matrix.copy())) / size**3


def reading() -> tuple[float, float]:
    """Return the costs of a number and of a pass over Dask chunks on two processes.

    A pass over n numbers takes call + number·n/2; it is measured at 1.25 and at 20 million numbers.
    """
    from distributed import Client, LocalCluster

    from benchmarks import growth

    sizes, times = [], []
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        for n_chunks in (1, 16):
            row = growth.measure(client, n_chunks)
            sizes.append(row["rows"] * growth.FEATURES)
            times.append(1e9 * row["seconds"] / row["passes"])
    number = 2 * (times[1] - times[0]) / (sizes[1] - sizes[0])
    return number, times[0] - number * sizes[0] / 2


# --- rounding ---


def rounding_of_value() -> float:
    """Return what F is off by at neighbouring points, as a share of F.

    It is the root mean square over random steps of 1e-10 of the change of F beyond what the
    gradient predicts, the largest for several numbers of samples, with and without weights.
    """
    rng, found = np.random.default_rng(0), []
    for n_samples in (300, 20_000, 300_000):
        X, y = gaussian(n_samples, 6)
        for weight in (np.ones(n_samples), rng.uniform(0, 2, n_samples)):
            problem = InMemoryObjective.in_user_units(
                X, y * 1.0, weight, ElasticNet.of(1.0, 0.0, np.sum(weight)), True
            )
            point = problem.evaluate(rng.standard_normal(7))
            steps = 1e-10 * rng.standard_normal((20, 7))
            changes = [problem.evaluate(point.theta + step).value - point.value for step in steps]
            off = changes - steps @ point.gradient
            found.append(np.sqrt(np.mean(np.square(off))) / point.value)
    return float(max(found))


# --- numbers of steps and products ---


def fitted(problem: Problem, **parameters: Any) -> BCENeuronClassifier:
    """Return the classifier, fitted to the training part of a problem."""
    X, y = problem.samples
    model = BCENeuronClassifier(C=problem.C, l1_ratio=problem.l1_ratio, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.set_params(**parameters).fit(X, y)


def problems_named(*words: str) -> list[Problem]:
    """Return the problems of the full suite with one of the words in their name."""
    return [each for each in FULL if any(word in each.name for word in words)]


def steps_from_zero() -> float:
    """Return the mean number of Newton steps from 0 on problems too small to be sampled."""
    small = problems_named("breast cancer", "digits", "tiny", "different units")
    return float(np.mean([fitted(each).n_iter_ for each in small]))


def products_of_steps() -> list[int]:
    """Return the products with the curvature of each step that the diagonal preconditions."""
    counts: list[int] = []
    plain = smooth.truncated_newton_cg

    def counting(problem: Any, point: Any, tol: float, inverse: Any = None, *more: Any) -> Any:
        step = plain(problem, point, tol, inverse, *more)
        if inverse is None:
            counts.append(step.n_products)
        return step

    smooth.truncated_newton_cg = counting
    try:
        for problem in problems_named("correlated", "text", "one-hot", "heavy tails", "Gaussian"):
            if "wide" not in problem.name:  # wide data are solved in the space of the samples
                fitted(problem)
                problem.release()
    finally:
        smooth.truncated_newton_cg = plain
    return counts


def typical_products() -> float:
    """Return the mean number of products of a step preconditioned by the diagonal."""
    return float(np.mean(products_of_steps()))
