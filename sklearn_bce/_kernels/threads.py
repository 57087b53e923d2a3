"""As many threads as the process was given, and where it has use for them.

BLAS's own threads are of no use to a fit: a block of rows is too small for them, and where another
process wants the cores they wait for each other. A fit holds BLAS to one thread, and where data
are large hands ranges of rows to as many of its own as BLAS was allowed before: that is what
`threadpoolctl` and joblib set for the process. While another fit does so, it is one.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from threadpoolctl import ThreadpoolController

# Elements of a dense pass that a thread is started for: a quarter of a millisecond, several times
# what its start takes. (Measured on 2 cores: 2.0 times as fast with two threads at 5·10⁷ elements,
# 1.5 at 4·10⁶, no faster below 10⁶.)
WORTH_A_THREAD = 2**19
# In elements of a pass: the work on a stored value of sparse X, on an element for the curvature.
SPARSE_WORK = 3
CURVATURE_WORK = 8
# Sums that every thread has of its own are at most this many numbers (16 MB).
MAX_OWN_SUMS = 2**21

_lock = threading.Lock()
_fits = 0  # that hold BLAS to one thread at the moment
_allowed: list[int] = []  # what each of the libraries may use otherwise


def _forget_other_fits() -> None:
    """Take in that the process is a fork, in which no fit goes on."""
    global _fits, _lock
    _lock = threading.Lock()
    if _fits:
        _fits = 0
        _set(_allowed)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_other_fits)


@cache
def _libraries() -> list:
    """Return the BLAS libraries that are loaded, found once: that takes as long as a small fit."""
    return ThreadpoolController().select(user_api="blas").lib_controllers


@contextmanager
def one_blas_thread() -> Iterator[int]:
    """Hold BLAS to one thread in the block; yield how many threads the block may use itself."""
    global _fits
    with _lock:
        _fits += 1
        alone = _fits == 1
        if alone:
            _allowed[:] = [library.num_threads for library in _libraries()]
        _set([1] * len(_allowed))
        threads = min(_allowed, default=1) if alone else 1
    try:
        yield threads
    finally:
        with _lock:
            _fits = max(0, _fits - 1)  # it is 0 where this is a fork in the middle of a fit
            if not _fits:
                _set(_allowed)


@contextmanager
def all_blas_threads() -> Iterator[None]:
    """Let BLAS use all its threads in the block, unless another fit holds it to one as well."""
    with _lock:
        if _fits == 1:
            _set(_allowed)
    try:
        yield
    finally:
        with _lock:
            if _fits:
                _set([1] * len(_allowed))


def _set(numbers: list[int]) -> None:
    for library, number in zip(_libraries(), numbers, strict=True):
        if library.num_threads != number:
            # Of OpenBLAS, threadpoolctl lets only the thread that has first set it do so again.
            free = getattr(library, "clear_controlling_thread", lambda force: None)
            free(force=True)
            library.set_num_threads(number)
            free(force=True)


def thread_ranges(X: Any, n_threads: int, work: float = 1.0) -> list[slice]:
    """Return ranges of the rows of X, one for each thread that is worth its start.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
    n_threads : int
        The most that there may be.
    work : float, default=1.0
        What is done with an element, in elements of a dense pass.
    """
    work *= SPARSE_WORK * X.nnz if issparse(X) else X.size
    ranges = int(max(1, min(n_threads, work // WORTH_A_THREAD)))
    if ranges == 1:
        return [slice(0, X.shape[0])]
    edges = [X.shape[0] * k // ranges for k in range(ranges + 1)]
    return [slice(start, stop) for start, stop in pairwise(edges)]


def sum_in_threads(
    add: Callable[..., None], ranges: list[slice], sums: Sequence[NDArray[np.float64]]
) -> None:
    """Call add(range, *sums) for every range, each in a thread of its own with sums of its own.

    It adds to the sums, all of which end up in those given. Where they are so large that a thread
    should have none of its own, the threads are left to BLAS: it has enough to do for them then.
    """
    first, *others = ranges
    if not others:
        return add(first, *sums)
    if sum(of_all.size for of_all in sums) > MAX_OWN_SUMS:
        with all_blas_threads():
            for rows in ranges:
                add(rows, *sums)
        return None
    own_sums = [[np.zeros_like(of_all) for of_all in sums] for _ in others]
    in_threads(
        [partial(add, first, *sums)]
        + [partial(add, rows, *own) for rows, own in zip(others, own_sums, strict=True)]
    )
    for own in own_sums:
        for of_all, of_range in zip(sums, own, strict=True):
            of_all += of_range


def in_threads(tasks: list[Callable[[], None]]) -> None:
    """Run the first task in this thread and each other in one of its own; raise what one raises."""
    raised: list[BaseException] = []

    def run(task: Callable[[], None]) -> None:
        try:
            task()
        except BaseException as error:
            raised.append(error)

    mine, others = tasks[:1], []
    try:
        for task in tasks[1:]:
            thread = threading.Thread(target=run, args=(task,))
            try:
                thread.start()
                others.append(thread)
            except RuntimeError:  # the process may have no more
                mine.append(task)
        for task in mine:
            task()
    finally:
        for thread in others:
            thread.join()
    if raised:
        raise raised[0]
