"""Limits of a fit: a time limit, and the number of passes that take a given time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

# Cautious costs, in seconds, of a pass of a compiled per-sample or per-column solver: of a stored
# value, of a sample, and of the pass itself (two threads that wait for each other at its end).
PER_VALUE, PER_SAMPLE, PER_PASS = 3e-9, 5e-8, 1e-4


class TimeLimitReached(BaseException):
    """A time limit has passed. Not an Exception, so that no solver catches it."""


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeLimitReached in the block when its time is over.

    Only a solver that returns to Python between iterations is interrupted; the iterations of
    compiled solvers are limited by `passes_within`. The limit has no effect outside the main thread
    and on systems without an interval timer.
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
    """Return the fraction of values other than zero."""
    return float(X.nnz if hasattr(X, "nnz") else np.count_nonzero(X)) / (X.shape[0] * X.shape[1])


def passes_within(seconds: float, X: Any) -> int:
    """Return about how many passes over X a compiled solver makes in that time; at least 5."""
    a_pass = PER_VALUE * stored_values(X) + PER_SAMPLE * X.shape[0] + PER_PASS
    return max(5, int(seconds / a_pass))


def newton_steps_within(seconds: float, X: Any) -> int:
    """Return about how many Newton steps by conjugate gradients, of some five passes each."""
    return max(5, passes_within(seconds, X) // 5)
