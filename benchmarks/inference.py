"""Standard errors: a fit and its summary beside those of statsmodels and glum.

``python -m benchmarks --suite inference`` prints the time of a fit and its standard errors, the
largest relative error of a standard error, and what is said where there are none. All fit without a
penalty at their default tolerance; standard errors are judged by Newton's method on orthonormal
columns in extended precision (80 bits).
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

import numpy as np

from benchmarks.fits import wait_for_quiet
from benchmarks.page import lines_of
from benchmarks.problems import Problem
from sklearn_bce import BCENeuronClassifier
from sklearn_bce.inference import summarize

# Steps of the judge, at most, and the change of θ at which it ends.
JUDGE_STEPS, JUDGE_END = 30, 1e-14
# Relative error from which on a standard error counts as wrong.
WRONG = 1e-3

Errors = Callable[[np.ndarray, np.ndarray], np.ndarray]


def of_the_neuron(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Fit at the default tolerance and summarize: standard errors are those of the maximum."""
    summary = summarize(BCENeuronClassifier(C=np.inf).fit(X, y), X, y)
    str(summary)
    return summary.std_err


def of_the_exact_neuron(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The same with a fit whose coefficients are those of the maximum too."""
    summary = summarize(BCENeuronClassifier(C=np.inf, tol=1e-12).fit(X, y), X, y)
    str(summary)
    return summary.std_err


def of_logit(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`statsmodels.api.Logit` by Newton's method."""
    import statsmodels.api as sm

    design = np.column_stack([X, np.ones(len(X))])
    result = sm.Logit(y, design).fit(method="newton", disp=0)
    str(result.summary())
    return result.bse


def of_glm(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`statsmodels.api.GLM` by iterated least squares."""
    import statsmodels.api as sm

    design = np.column_stack([X, np.ones(len(X))])
    result = sm.GLM(y, design, family=sm.families.Binomial()).fit()
    str(result.summary())
    return result.bse


def of_glum(X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """`glum.GeneralizedLinearRegressor` by iterated least squares; the intercept last."""
    from glum import GeneralizedLinearRegressor

    how = {"family": "binomial", "alpha": 0, "solver": "irls-ls", "gradient_tol": 1e-8}
    model = GeneralizedLinearRegressor(**how).fit(X, y.astype(float))
    errors = model.std_errors(X, y.astype(float), robust=False, expected_information=True)
    return np.roll(np.asarray(errors), -1)


METHODS: dict[str, Errors] = {
    "neuron": of_the_neuron,
    "neuron, tol=1e-12": of_the_exact_neuron,
    "statsmodels Logit": of_logit,
    "statsmodels GLM": of_glm,
    "glum": of_glum,
}
OTHERS = ("statsmodels Logit", "statsmodels GLM", "glum")


class Timed(NamedTuple):
    """The times of a method, and the error of its standard errors.

    `error` is None if nothing judges them; `message` is the exception where there are none.
    """

    seconds: list[float]
    error: float | None = None
    message: str = ""

    @property
    def is_right(self) -> bool:
        """Whether all standard errors are within ``WRONG``."""
        return self.error is not None and self.error <= WRONG


def orthonormal(Z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Q and R with Z = QR by modified Gram-Schmidt, in the precision of Z."""
    Q, R = Z.copy(), np.zeros((Z.shape[1], Z.shape[1]), dtype=Z.dtype)
    for k in range(Z.shape[1]):
        R[k, k] = np.sqrt(Q[:, k] @ Q[:, k])
        Q[:, k] /= R[k, k]
        R[k, k + 1 :] = Q[:, k] @ Q[:, k + 1 :]
        Q[:, k + 1 :] -= np.outer(Q[:, k], R[k, k + 1 :])
    return Q, R


def judged(X: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """Return standard errors in extended precision, the intercept last; None without a maximum.

    Newton's method runs in orthonormal columns, in which the information is well-conditioned.
    """
    shift, scale = X.mean(axis=0).astype(np.longdouble), X.std(axis=0).astype(np.longdouble)
    Z = np.column_stack([np.ones(len(X), dtype=np.longdouble), (X - shift) / scale])
    Q, R = orthonormal(Z)
    theta, root = np.zeros(Z.shape[1], dtype=np.longdouble), np.sqrt(np.longdouble(len(X)))
    Q *= root
    for _ in range(JUDGE_STEPS):
        a = 1 / (1 + np.exp(-(Q @ theta)))
        information = (Q * (a * (1 - a))[:, np.newaxis]).T @ Q
        matrix = information.astype(np.float64)
        # A step in float64: its error is removed by the next one.
        step = np.linalg.solve(matrix, (Q.T @ (y - a)).astype(np.float64))
        theta += step
        if np.max(np.abs(step)) <= JUDGE_END:
            break
    else:
        return None
    inverse = np.linalg.inv(matrix).astype(np.longdouble)
    inverse += inverse @ (np.eye(len(theta)) - information @ inverse)
    rows = np.zeros(R.shape, dtype=np.longdouble)  # coefficients of θ's columns: the intercept last
    rows[:-1, 1:] = np.diag(1 / scale)
    rows[-1] = np.append(1, -shift / scale)
    for k in range(len(theta)):  # rows·R⁻¹, by substitution
        rows[:, k] = (rows[:, k] - rows[:, :k] @ R[:k, k]) / R[k, k]
    rows *= root
    return np.sqrt(np.einsum("ij,jk,ik->i", rows, inverse, rows)).astype(np.float64)


def measure(
    problems: list[Problem], repeats: int, limit: float, progress: Callable[[str], None]
) -> dict[str, dict[str, Timed]]:
    """Return the methods on each problem, by the names of both.

    Parameters
    ----------
    problems : list of Problem
        The problems, with dense X.
    repeats : int
        Timed fits of each method, in turn.
    limit : float
        Seconds from which on a method is not repeated.
    progress : callable (str) -> None
        Is told what is measured.
    """
    found = {}
    for problem in problems:
        X, y = problem.samples
        expected = judged(X, y)
        timed: dict[str, Timed] = {}
        for k in range(repeats + 1):  # the first is not timed, unless it is slow
            for name, method in METHODS.items():
                before = timed.get(name)
                if before is not None and (before.message or before.seconds[0] > limit):
                    continue
                progress(f"{problem.name}: {name}")
                now = once(method, X, y, expected)
                kept = before.seconds if before is not None and k > 1 else []
                timed[name] = now._replace(seconds=[*kept, *now.seconds])
        found[problem.name] = timed
        problem.release()
    return found


def once(method: Errors, X: np.ndarray, y: np.ndarray, expected: np.ndarray | None) -> Timed:
    """Return the time of a method and the error of its result."""
    wait_for_quiet()
    start = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            errors = method(X, y)
    except Exception as error:  # what other packages raise is what is measured
        return Timed([time.perf_counter() - start], None, f"{type(error).__name__}: {error}")
    seconds = time.perf_counter() - start
    if expected is None:
        return Timed([seconds])
    with np.errstate(all="ignore"):
        error = float(np.max(np.abs(np.asarray(errors) / expected - 1)))
    return Timed([seconds], error if np.isfinite(error) else np.inf)


def cell(timed: Timed) -> str:
    """Return a method's time and error, or what it raised, as text."""
    if timed.message:
        return timed.message.split(":")[0]
    error = "not judged" if timed.error is None else f"error {timed.error:.0e}"
    return f"{1e3 * median(timed.seconds):.1f} ms ({error})"


def text(found: dict[str, dict[str, Timed]]) -> str:
    """Return a table in Markdown: times, errors and the ratio to the fastest right one of others.

    Below it stands what the neuron says where it has no standard errors.
    """
    rows, notes = [], []
    for problem, timed in found.items():
        right = [median(timed[name].seconds) for name in OTHERS if timed[name].is_right]
        own = timed["neuron"]
        ratio = f"{min(right) / median(own.seconds):.1f}" if right and own.is_right else "–"
        of_statsmodels = [
            median(timed[name].seconds) for name in OTHERS[:2] if timed[name].is_right
        ]
        other = "–"
        if of_statsmodels and own.is_right:
            other = f"{min(of_statsmodels) / median(own.seconds):.1f}"
        rows.append([problem, *map(cell, timed.values()), ratio, other])
        if own.message:
            notes.append(f"{problem}: {own.message}")
    head = ["", *METHODS, "fastest right other, ratio", "statsmodels, ratio"]
    return "\n".join([*lines_of(head, rows), "", *notes])
