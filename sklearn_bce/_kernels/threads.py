"""Threads of a fit: how many the process may use, and sums over ranges of rows in each of them.

A fit does not use the threads of BLAS: a block of rows is too small for several threads, and if
other processes use the cores, the threads of BLAS wait for each other. A fit limits BLAS to one
thread and, for large data, starts threads of its own, each for a range of rows. The number of these
threads is at most the number that BLAS was allowed before, which `threadpoolctl` and joblib set for
the process. The number is one while another fit runs in the same process.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache, partial
from itertools import pairwise
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from threadpoolctl import ThreadpoolController

# Elements of X for each thread, at least: a dense pass over so many takes a quarter of a
# millisecond, several times what the start of a thread takes. Two threads are 2.0 times as fast as
# one at 5e7 elements, 1.5 times at 4e6, and no faster below 1e6:
# python -m benchmarks.tuning MIN_ELEMENTS_PER_THREAD
MIN_ELEMENTS_PER_THREAD = 2**19

# Work on a stored value of sparse X in a pass, in units of the work on an element of dense X:
# python -m benchmarks.tuning SPARSE_WORK
SPARSE_WORK = 3

# Work on an element for the curvature matrix Σ hxxᵀ, in units of the work of a pass:
# python -m benchmarks.tuning CURVATURE_WORK
CURVATURE_WORK = 8

# Numbers in the sums that a thread has of its own, at most: 16 MB of float64 for each thread.
# python -m benchmarks.tuning MAX_OWN_SUMS
MAX_OWN_SUMS = 2**21

# Elements of an array for whose products OpenBLAS uses one thread by itself: it uses more from 9216
# elements on for a matrix and a vector (interface/gemv.c), and later for others.
FEW_ELEMENTS = 2**12

_local = threading.local()  # its attribute `workers` has the threads of the fit in this thread
_lock = threading.Lock()  # held while the two variables below, or the threads of BLAS, are changed
_n_fits = 0  # number of fits that limit BLAS to one thread at present
_allowed: list[int] = []  # number of threads of each BLAS library before the first of these fits


def _reset_after_fork() -> None:
    """Lift the limit on BLAS in a forked process, which has no fit in progress and no workers."""
    global _n_fits, _lock
    _local.workers = None
    _lock = threading.Lock()
    if _n_fits:
        _n_fits = 0
        _set(_allowed)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_after_fork)


@cache
def _libraries() -> list:
    """Return the BLAS libraries of the process, cached: a search takes as long as a small fit."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


@contextmanager
def one_blas_thread(X: Any = None) -> Iterator[int]:
    """Limit BLAS to one thread within the context, and keep the threads of `in_threads` for it.

    Parameters
    ----------
    X : object, default=None
        Samples of which all arrays in the context are made. For an array of at most
        ``FEW_ELEMENTS`` elements nothing is changed, as BLAS uses one thread anyway.

    Yields
    ------
    n_threads : int
        Number of threads that the code in the context may use itself; 1 if another fit in this
        process has entered the context before and not left it.
    """
    global _n_fits
    if isinstance(X, np.ndarray) and X.size <= FEW_ELEMENTS:
        yield 1
        return
    with _lock:
        _n_fits += 1
        alone = _n_fits == 1
        if alone:
            _allowed[:] = [library.get_num_threads() for library in _libraries()]
        if _allowed.count(1) < len(_allowed):
            _set([1] * len(_allowed))
        threads = min(_allowed, default=1) if alone else 1
    try:
        with kept_workers():
            yield threads
    finally:
        with _lock:
            _n_fits = max(0, _n_fits - 1)  # 0 in a process forked within the context
            if not _n_fits:
                _set(_allowed)


@contextmanager
def all_blas_threads() -> Iterator[None]:
    """Lift the limit of `one_blas_thread` within the context.

    BLAS keeps one thread if more than one fit is in progress, and is not changed if none is.
    """
    with _lock:
        if _n_fits == 1:
            _set(_allowed)
    try:
        yield
    finally:
        with _lock:
            if _n_fits:
                _set([1] * len(_allowed))


def _set(numbers: list[int]) -> None:
    """Set the number of threads of each BLAS library; the caller holds the lock."""
    for library, number in zip(_libraries(), numbers, strict=True):
        if library.get_num_threads() != number:
            # threadpoolctl lets only the thread that first set the number of OpenBLAS set it again,
            # unless that thread is cleared before and after.
            clear = getattr(library, "clear_controlling_thread", lambda force: None)
            clear(force=True)
            library.set_num_threads(number)
            clear(force=True)


def thread_ranges(X: Any, n_threads: int, work: float = 1.0) -> list[slice]:
    """Return one range of rows of X for each thread that is worth its start.

    The ranges cover all rows in order, each row once. They depend on the arguments alone, so that
    a repeated fit sums in the same order.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples.
    n_threads : int
        Largest number of ranges.
    work : float, default=1.0
        Work on an element of X, in units of the work of a dense pass.
    """
    work *= SPARSE_WORK * X.nnz if issparse(X) else X.size
    n_ranges = int(max(1, min(n_threads, work // MIN_ELEMENTS_PER_THREAD)))
    if n_ranges == 1:
        return [slice(0, X.shape[0])]
    edges = [X.shape[0] * k // n_ranges for k in range(n_ranges + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def sum_in_threads(
    add: Callable[..., None], ranges: list[slice], sums: Sequence[NDArray[np.float64]]
) -> None:
    """Call ``add(rows, *sums)`` for every range of rows, the first here, each other in a thread.

    The sums of all ranges are added to ``sums`` in the order of the ranges, however the threads are
    timed: the result depends on the ranges alone. With one range no thread is started. If the sums
    have more than MAX_OWN_SUMS elements together, the ranges follow one another in this thread and
    BLAS uses all its threads.

    Parameters
    ----------
    add : callable (rows, *sums)
        Adds the sums over a range of rows to arrays of the shapes of ``sums``, in place. Several
        threads may call the function at once, each with other arrays.
    ranges : list of slice
        Ranges of rows.
    sums : sequence of ndarray, float64
        Changed in place.

    Raises
    ------
    BaseException
        What ``add`` raises; if several calls raise, one of their exceptions. The sums are then
        incomplete.
    """
    first, *others = ranges
    if not others:
        add(first, *sums)
        return
    if sum(array.size for array in sums) > MAX_OWN_SUMS:
        with all_blas_threads():
            for rows in ranges:
                add(rows, *sums)
        return
    own_sums = [[np.zeros_like(array) for array in sums] for _ in others]
    calls = [partial(add, rows, *own) for rows, own in zip(others, own_sums, strict=True)]
    in_threads([partial(add, first, *sums), *calls])
    for own in own_sums:
        for total, part in zip(sums, own, strict=True):
            total += part


def in_threads(tasks: list[Callable[[], None]]) -> None:
    """Run the first task in this thread and each other in a thread of its own; wait for all.

    The threads are those of the fit, see `one_blas_thread`, or new ones where there is no fit. A
    task whose thread cannot be started, as the process may have no more threads, runs in this
    thread.

    Raises
    ------
    BaseException
        What a task raises; if several do, one of their exceptions. All tasks end before.
    """
    workers = getattr(_local, "workers", None)
    with kept_workers() if workers is None else nullcontext(workers) as workers:
        workers.run(tasks)


@contextmanager
def kept_workers() -> Iterator[Workers]:
    """Keep the threads of `in_threads` within the context, and yield them."""
    before, workers = getattr(_local, "workers", None), Workers()
    _local.workers = workers
    try:
        yield workers
    finally:
        workers.end()
        _local.workers = before


class Workers:
    """Threads for tasks, which are started when they are first needed and kept until `end`."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []

    def run(self, tasks: list[Callable[[], None]]) -> None:
        """Do what `in_threads` does."""
        here, busy, raised = tasks[:1], [], []
        try:
            for task in tasks[1:]:
                try:
                    if len(busy) == len(self._workers):
                        self._workers.append(Worker())
                except RuntimeError:
                    here.append(task)
                else:
                    worker = self._workers[len(busy)]
                    worker.begin(task)
                    busy.append(worker)
            try:
                for task in here:
                    task()
            finally:
                raised = [error for worker in busy if (error := worker.wait()) is not None]
        except BaseException:
            self.end()  # an interrupt may have left a worker busy
            raise
        if raised:
            raise raised[0]

    def end(self) -> None:
        """End the threads, each after its present task."""
        for worker in self._workers:
            worker.end()
        self._workers = []


class Worker:
    """A thread that runs one task after the other.

    Raises
    ------
    RuntimeError
        If the process may have no more threads.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._ended: SimpleQueue[BaseException | None] = SimpleQueue()
        threading.Thread(target=self._run, daemon=True).start()

    def begin(self, task: Callable[[], None]) -> None:
        """Begin a task."""
        self._tasks.put(task)

    def wait(self) -> BaseException | None:
        """Wait for the end of the task, and return what it has raised, or None."""
        return self._ended.get()

    def end(self) -> None:
        """End the thread after the present task."""
        self._tasks.put(None)

    def _run(self) -> None:
        while (task := self._tasks.get()) is not None:
            error = None
            try:
                task()
            except BaseException as raised:
                error = raised
            del task  # with its arrays
            self._ended.put(error)
