"""Peak memory of `fit` beyond X: each fit in its own process.

``python -m benchmarks.memory ROWS COLUMNS NAME`` prints one measurement as JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression

from sklearn_bce import BCENeuronClassifier

ESTIMATORS: dict[str, Callable[[], BaseEstimator]] = {
    "BCENeuronClassifier()": BCENeuronClassifier,
    "lbfgs": LogisticRegression,
    "newton-cholesky": lambda: LogisticRegression(solver="newton-cholesky"),
}
CASES = [
    (1_000_000, 50, tuple(ESTIMATORS)),
    (200_000, 250, tuple(ESTIMATORS)),
    (20_000, 1_000, tuple(ESTIMATORS)),
    (1_000, 20_000, ("BCENeuronClassifier()", "lbfgs")),  # newton-cholesky would form 20 000²
]
MEBI = 2**20


def measure(
    progress: Callable[[str], None], cases: list[tuple[int, int, tuple[str, ...]]] = CASES
) -> list[dict[str, Any]]:
    """Return the measurements of all cases."""
    rows = []
    for n_samples, n_features, names in cases:
        for name in names:
            progress(f"memory: {n_samples}×{n_features}, {name}")
            command = [sys.executable, "-m", "benchmarks.memory"]
            done = subprocess.run(
                [*command, str(n_samples), str(n_features), name],
                cwd=Path(__file__).parents[1],
                check=True,
                capture_output=True,
                text=True,
            )
            rows.append(json.loads(done.stdout))
    return rows


def measure_here(n_samples: int, n_features: int, name: str) -> dict[str, Any]:
    """Fit C-ordered float64 once, and return by how many bytes the process has grown."""
    X, y = _data(n_samples, n_features)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ESTIMATORS[name]().fit(X[:200, :5].copy(), y[:200])  # loads libraries, starts threads
        _restart_peak()
        before = _resident()
        ESTIMATORS[name]().fit(X, y)
        after = _peak()
    return {
        "n_samples": n_samples,
        "n_features": n_features,
        "name": name,
        "X_bytes": X.nbytes,
        "bytes_beyond_X": max(after - before, 0),
    }


def _data(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return samples drawn in place, block by block, so that temporary arrays stay small."""
    rng = np.random.default_rng(0)
    X = np.empty((n_samples, n_features))
    y = np.empty(n_samples, dtype=np.int64)
    w = rng.standard_normal(n_features) / np.sqrt(n_features)
    for first in range(0, n_samples, 1000):
        block = X[first : first + 1000]
        rng.standard_normal(out=block)
        y[first : first + 1000] = block @ w + rng.logistic(size=len(block)) > 0
    return X, y


def _status(key: str) -> int | None:
    """Return a field of /proc/self/status in bytes; None if there is none."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith(key):
                return int(line.split()[1]) * 1024
    return None


def _peak() -> int:
    """Return the peak of resident memory in bytes.

    getrusage is used only where /proc is missing: a process inherits its peak from the parent.
    """
    peak = _status("VmHWM:")
    if peak is None:
        import resource  # not on Windows

        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return peak


def _resident() -> int:
    resident = _status("VmRSS:")
    return _peak() if resident is None else resident


def _restart_peak() -> None:
    """Reset the peak that Linux reports."""
    clear = Path("/proc/self/clear_refs")
    if clear.exists():
        clear.write_text("5")


def text(rows: list[dict[str, Any]]) -> str:
    """Return the results as a table."""
    lines = [
        "Peak memory of fit beyond X (C-ordered float64), MiB and as a percentage of X:",
        f"{'':18} {'X':>8}  " + " ".join(f"{name:>24}" for name in ESTIMATORS),
    ]
    for n_samples, n_features in dict.fromkeys((r["n_samples"], r["n_features"]) for r in rows):
        cells = []
        for name in ESTIMATORS:
            found = [
                r
                for r in rows
                if (r["n_samples"], r["n_features"], r["name"]) == (n_samples, n_features, name)
            ]
            ratio = found and found[0]["bytes_beyond_X"] / found[0]["X_bytes"]
            cells.append(
                f"{found[0]['bytes_beyond_X'] / MEBI:12.1f} ({ratio:8.1%})"
                if found
                else f"{'–':>24}"
            )
        size = 8 * n_samples * n_features / MEBI
        lines.append(
            f"{f'{n_samples}×{n_features}':18} {size:8.0f}  " + " ".join(f"{c:>24}" for c in cells)
        )
    return "\n".join(lines)


if __name__ == "__main__":
    print(json.dumps(measure_here(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])))
