"""A fit to many samples: how much of it is serial, and its time in reads of X from memory.

``python -m benchmarks.serial`` fits to 1 000 000×50 samples. With one thread, the time outside of
the passes that threads can share is serial: with many threads no fit takes less. A read is half of
the time of a copy of X, or the time of a sum if that is less.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.problems import TALL
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels.threads import thread_ranges
from sklearn_bce._objective.in_memory import InMemoryObjective

REPEATS = 7
THREADS = 16  # that a pass must be large enough for, to count as shared


def seconds(function: Callable[[], Any]) -> float:
    """Return the median time of several calls."""
    found = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        function()
        found.append(time.perf_counter() - start)
    return median(found)


def serial_fraction(X: np.ndarray, y: np.ndarray) -> float:
    """Return the median fraction of a fit with one thread that is outside of shared passes.

    A pass over a sample that is too small for all threads is shared by fewer of them.
    """
    shared, pass_over = [0.0], InMemoryObjective._sum

    def timed(self: InMemoryObjective, add: Callable, *sums: np.ndarray, work: float = 1.0) -> None:
        start = time.perf_counter()
        pass_over(self, add, *sums, work=work)
        ranges = len(thread_ranges(self.X, THREADS, work))
        shared[0] += (time.perf_counter() - start) * (1 - 1 / ranges) / (1 - 1 / THREADS)

    fractions = []
    with threadpool_limits(1), patch.object(InMemoryObjective, "_sum", timed):
        for _ in range(REPEATS):
            shared[0], start = 0.0, time.perf_counter()
            BCENeuronClassifier().fit(X, y)
            fractions.append(1 - shared[0] / (time.perf_counter() - start))
    return median(fractions)


def main() -> None:
    """Print the figures."""
    X, y = TALL.load()
    copy = np.empty_like(X)
    read = min(seconds(lambda: np.copyto(copy, X)) / 2, seconds(X.sum))
    fit = seconds(lambda: BCENeuronClassifier().fit(X, y))
    with threadpool_limits(1):
        alone = seconds(lambda: BCENeuronClassifier().fit(X, y))
    print(
        f"{X.shape[0]}×{X.shape[1]}: a read {1e3 * read:.0f} ms, a fit {1e3 * fit:.0f} ms: ", end=""
    )
    print(f"{fit / read:.1f} reads; with one thread {1e3 * alone:.0f} ms")
    print(f"serial with one thread: {100 * serial_fraction(X, y):.1f} %")


if __name__ == "__main__":
    main()
