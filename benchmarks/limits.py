"""How long a fit may take: a time limit, and the passes over the data that fit into it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# Seconds, on the slow side, of what a pass of a compiled per-sample or per-column solver consists
# of: a stored value, a sample, and the pass itself (two threads meeting at its end).
PER_VALUE, PER_SAMPLE, PER_PASS = 3e-9, 5e-8, 1e-4


class TimeLimitReached(BaseException):
    """Not an Exception: solvers that catch those must not catch this."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitReached in the block when its time is over.

    It reaches solvers that come back to Python between iterations; the compiled ones are held by
    `passes_within`. Without effect outside the main thread and where there is no such timer.
    """
    usable = threading.current_thread() is threading.main_thread() and hasattr(signal, "setitimer")
    if not usable or not np.isfinite(seconds):
        yield
        return

    def interrupt(*_: Any) -> None:
        raise TimeLimitReached

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def stored_values(X: Any) -> int:
    """Return how many numbers a dense or sparse X consists of."""
    return int(X.nnz) if hasattr(X, "nnz") else int(X.size)


def density(X: Any) -> float:
    """Return the share of values other than zero."""
    return float(X.nnz if hasattr(X, "nnz") else np.count_nonzero(X)) / (X.shape[0] * X.shape[1])


def passes_within(seconds: float, X: Any) -> int:
    """Return about how many passes over X a compiled solver makes in that time; at least 5."""
    a_pass = PER_VALUE * stored_values(X) + PER_SAMPLE * X.shape[0] + PER_PASS
    return max(5, int(seconds / a_pass))


def newton_steps_within(seconds: float, X: Any) -> int:
    """Return about how many Newton steps by conjugate gradients, of some five passes each."""
    return max(5, passes_within(seconds, X) // 5)
