"""Fits of arrays on a device, beside LogisticRegression: ``python -m benchmarks --suite device``.

X is a torch tensor of float32 on whatever device there is: CUDA, MPS or the processor, with fewer
rows on the last. Each figure is the median of several whole fits, synchronised, of both estimators
in turn. Distances are those of the float64 objective from its minimum, which a Newton method in
float64 finds that shares no code with either.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

C = 1.0
# Rows of a block of the objective in float64, so that copies stay small.
BLOCK = 2**20
# Newton steps of the reference; the decrement of the last is printed if it is above TOL.
REFERENCE_STEPS = 25
REFERENCE_TOL = 1e-14
# Seconds of timed fits of an estimator after which it is not repeated.
ENOUGH_SECONDS = 2.0


class Case(NamedTuple):
    """A problem of the table; with ``units`` the columns are in units from 1e-3 to 1e4."""

    n_samples: int
    n_features: int
    units: bool = False

    def __str__(self) -> str:
        """Return the shape, and whether columns are in raw units."""
        return f"{self.n_samples}×{self.n_features}{', raw units' if self.units else ''}"


ON_ACCELERATOR = [
    Case(1_000_000, 50),
    Case(1_000_000, 50, units=True),
    Case(10_000_000, 50),
    Case(40_000_000, 50),
    Case(1_000_000, 500),
    Case(100_000, 20),
]
ON_PROCESSOR = [
    Case(100_000, 50),
    Case(100_000, 50, units=True),
    Case(10_000, 200),
    Case(20_000, 20),
]


class Row(NamedTuple):
    """A row of the table: times in seconds, distances from the minimum in nats."""

    case: Case
    seconds: dict[str, float]
    distances: dict[str, float]
    counts: dict[str, float]
    one_read: float


def run_in_child(repeats: int, words: Iterable[str] | None) -> None:
    """Run the suite in a process in which SciPy has been imported with SCIPY_ARRAY_API=1."""
    command = [sys.executable, "-m", "benchmarks.device", str(repeats), *(words or [])]
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    subprocess.run(command, cwd=Path(__file__).parents[1], env=environment, check=True)


def device_name(torch: Any) -> str:
    """Return the device that tensors are made on."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def synchronise(torch: Any, device: str) -> None:
    """Wait until the device has done all that was asked of it."""
    if device != "cpu":
        getattr(torch, device).synchronize()


def problem(torch: Any, case: Case, device: str, seed: int = 0) -> tuple[Any, Any]:
    """Return X, correlated normal columns, and labels y of a logistic model, on a device."""
    n, d = case.n_samples, case.n_features
    generator = torch.Generator(device=device).manual_seed(seed)
    normal = {"generator": generator, "device": device, "dtype": torch.float32}
    X = torch.randn(n, d, **normal)
    mix = torch.eye(d, device=device) + 0.3 * torch.randn(d, d, **normal) / d**0.5
    for start in range(0, n, BLOCK):
        X[start : start + BLOCK] = X[start : start + BLOCK] @ mix
    z = X @ (torch.randn(d, **normal) / d**0.5)
    uniform = torch.rand(n, generator=generator, device=device)
    y = (uniform < torch.sigmoid(1.5 * z + 0.3)).to(torch.float32)
    if case.units:
        X *= 10.0 ** torch.linspace(-3, 4, d, device=device)
    return X, y


class Objective:
    """The objective in float64, by blocks of rows, and its minimum by Newton's method."""

    def __init__(self, torch: Any, X: Any, y: Any) -> None:
        self.torch, self.X, self.y = torch, X, y
        self.dtype = torch.float32 if X.device.type == "mps" else torch.float64
        sample = X[:BLOCK].to(self.dtype)
        self.mean, self.scale = sample.mean(0), sample.std(0)
        self.least = self._least()

    def _blocks(self) -> Iterable[tuple[Any, Any]]:
        for start in range(0, len(self.X), BLOCK):
            rows = slice(start, start + BLOCK)
            Z = (self.X[rows].to(self.dtype) - self.mean) / self.scale
            yield Z, self.y[rows].to(self.dtype)

    def _of_standardised(self, u: Any, c: Any) -> float:
        total = 0.0
        for Z, y in self._blocks():
            z = Z @ u + c
            total += float((self.torch.logaddexp(0 * z, z) - y * z).sum())
        w = u / self.scale
        return (total + float(w @ w) / (2 * C)) / len(self.y)

    def distance(self, coef: Any, intercept: Any) -> float:
        """Return F − min F of weights and an intercept, in nats."""
        w = coef.to(self.dtype).ravel()
        c = intercept.to(self.dtype).ravel()[0] + self.mean @ w
        return self._of_standardised(w * self.scale, c) - self.least

    def _least(self) -> float:
        """Return min F."""
        torch, n, d = self.torch, len(self.y), self.X.shape[1]
        theta = torch.zeros(d + 1, dtype=self.dtype, device=self.X.device)
        strength = torch.cat([1 / (C * n * self.scale**2), 0 * theta[:1]])
        for _ in range(REFERENCE_STEPS):
            g, H = strength * theta, torch.diag(strength)
            for Z, y in self._blocks():
                Z = torch.cat([Z, torch.ones_like(Z[:, :1])], dim=1)
                a = torch.sigmoid(Z @ theta)
                g = g + Z.T @ (a - y) / n
                H = H + (Z.T * (a * (1 - a))) @ Z / n
            step = torch.linalg.solve(H, g)
            theta = theta - step
            if float(g @ step) < REFERENCE_TOL:
                break
        return self._of_standardised(theta[:-1], theta[-1])


def seconds_of(fit: Callable[[], Any], wait: Callable[[], None]) -> float:
    """Return the seconds of one whole fit."""
    wait()
    begun = time.perf_counter()
    fit()
    wait()
    return time.perf_counter() - begun


def measure_row(torch: Any, case: Case, device: str, repeats: int) -> Row:
    """Return the row of a problem."""
    from sklearn.linear_model import LogisticRegression

    from sklearn_bce import BCENeuronClassifier

    estimators = {
        "ours": BCENeuronClassifier(C=C),
        "LR 1e-4": LogisticRegression(C=C, max_iter=300),
        "LR 1e-5": LogisticRegression(C=C, max_iter=300, tol=1e-5),
    }
    X, y = problem(torch, case, device)
    objective, distances, counts = Objective(torch, X, y), {}, {}
    for name, estimator in estimators.items():
        estimator.fit(X, y)
        distances[name] = objective.distance(estimator.coef_, estimator.intercept_)
        counts[name] = float(getattr(estimator, "n_passes_", estimator.n_iter_[0]))
    del objective

    def wait() -> None:
        synchronise(torch, device)

    times: dict[str, list[float]] = {name: [] for name in [*estimators, "read"]}
    for _ in range(repeats):
        for name, estimator in estimators.items():
            if sum(times[name]) < ENOUGH_SECONDS:
                times[name].append(seconds_of(lambda fit=estimator.fit: fit(X, y), wait))
        times["read"].append(seconds_of(X.sum, wait))
    seconds = {name: statistics.median(each) for name, each in times.items()}
    return Row(case, seconds, distances, counts, seconds.pop("read"))


def text_of(row: Row) -> str:
    """Return a row of the table as a line of Markdown."""
    parts = [str(row.case)]
    for name, seconds in row.seconds.items():
        unit = "passes" if name == "ours" else "it."
        parts.append(
            f"{1e3 * seconds:.2f} ms, {row.counts[name]:.1f} {unit}, {row.distances[name]:.0e}"
        )
    ratio = row.seconds["LR 1e-4"] / row.seconds["ours"]
    reads = row.seconds["ours"] / row.counts["ours"] / row.one_read
    parts += [f"{ratio:.2f}", f"{1e3 * row.one_read:.2f} ms", f"{reads:.1f}"]
    return f"| {' | '.join(parts)} |"


HEADER = (
    "| data | BCENeuronClassifier() | LogisticRegression() | LogisticRegression(tol=1e-5) "
    "| LogisticRegression() / ours | X.sum() | reads of X a pass |\n|---|---|---|---|---|---|---|"
)


def measure(repeats: int, words: Iterable[str] = ()) -> None:
    """Print the table, a row at a time; only the problems that contain one of the words, if any."""
    import sklearn
    import torch
    from sklearn import config_context

    device, words = device_name(torch), list(words)
    kind = torch.cuda.get_device_name(0) if device == "cuda" else device
    print(f"{kind}, torch {torch.__version__}, scikit-learn {sklearn.__version__}, float32, C={C}")
    print(HEADER, flush=True)
    cases = ON_PROCESSOR if device == "cpu" else ON_ACCELERATOR
    with config_context(array_api_dispatch=True), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LogisticRegression ends at max_iter in raw units
        for case in cases:
            if not words or any(word in str(case) for word in words):
                print(text_of(measure_row(torch, case, device, repeats)), flush=True)
                if device == "cuda":
                    torch.cuda.empty_cache()


if __name__ == "__main__":
    measure(int(sys.argv[1]) if sys.argv[1:] else 5, sys.argv[2:])
