"""A fit uses at most the threads that the process has, and restores the threads of BLAS."""

import threading

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from small_data import objective, random_data
from threadpoolctl import threadpool_info, threadpool_limits

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import threads as _threads
from sklearn_bce._kernels.threads import (
    all_blas_threads,
    in_threads,
    one_blas_thread,
    sum_in_threads,
    thread_ranges,
)
from sklearn_bce._objective.in_memory import InMemoryObjective


def _blas_threads():
    return [
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    ]


def test_blas_is_held_to_one_thread_and_put_back():
    with threadpool_limits(2, "blas"):
        with one_blas_thread() as allowed:
            assert allowed == 2
            assert set(_blas_threads()) == {1}
            with one_blas_thread() as inner:  # another fit at the same time gets one
                assert inner == 1
            assert set(_blas_threads()) == {1}
        assert set(_blas_threads()) == {2}
        with pytest.raises(KeyError), one_blas_thread():
            raise KeyError
        assert set(_blas_threads()) == {2}


def test_no_more_threads_than_the_process_was_given():
    with threadpool_limits(1, "blas"), one_blas_thread() as allowed:
        assert allowed == 1


def test_blas_keeps_its_threads_where_there_is_no_fit():
    with threadpool_limits(2, "blas"):
        with all_blas_threads():
            assert set(_blas_threads()) == {2}
        assert set(_blas_threads()) == {2}


def test_fits_in_threads_put_blas_back(monkeypatch):
    """The threads of BLAS are restored when the last fit ends."""
    inside, both = [], threading.Barrier(2, timeout=10)

    def fit():
        with one_blas_thread() as allowed:
            inside.append(allowed)
            both.wait()

    with threadpool_limits(2, "blas"):
        in_threads([fit, fit])
        assert sorted(inside) == [1, 2]
        assert set(_blas_threads()) == {2}


def test_a_fit_is_told_how_many_threads_it_may_use(monkeypatch):
    seen = []
    in_user_units = InMemoryObjective.in_user_units

    def noting(*samples, **arguments):
        seen.append(arguments["n_threads"])
        return in_user_units(*samples, **arguments)

    monkeypatch.setattr(InMemoryObjective, "in_user_units", noting)
    X, y, _ = random_data(2000, 3)
    for limit in (1, 2):
        with threadpool_limits(limit, "blas"):
            BCENeuronClassifier().fit(X, y)
            BCENeuronClassifier().fit(X[:100], y[:100])  # small: BLAS takes one thread by itself
    assert seen == [1, 1, 2, 1]


@pytest.mark.parametrize("sparse", [False, True])
def test_ranges_cover_the_rows_once(monkeypatch, sparse):
    X = random_data(101, 4, sparse=sparse)[0]
    assert thread_ranges(X, 8) == [slice(0, 101)]  # too small to be worth a thread
    monkeypatch.setattr(_threads, "MIN_ELEMENTS_PER_THREAD", 10)
    ranges = thread_ranges(X, 3)
    assert len(ranges) == 3
    rows = np.concatenate([np.arange(101)[part] for part in ranges])
    np.testing.assert_array_equal(rows, np.arange(101))


@pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, sp.csr_array])
def test_threads_change_nothing_but_the_order_of_summation(monkeypatch, container):
    monkeypatch.setattr(_threads, "MIN_ELEMENTS_PER_THREAD", 10)
    X, y, weight = random_data(301, 4)
    theta = np.array([0.3, -0.2, 0.1, 0.4, 0.5])
    points, others = [], []
    for n_threads in (1, 3):
        problem = objective((container(X), y, weight))
        problem = type(problem)(
            problem.X, y, weight, problem.penalty, problem.coordinates, n_threads
        ).standardised()
        point = problem.evaluate(theta, hessian=True)
        points.append([point.value, point.gradient, point.hessian, point.z, point.curvature])
        product = problem.curvature_product(point, theta)
        others.append([problem.outputs(theta), problem.curvature_diagonal(point), *product])
    for one, three in zip(points[0] + others[0], points[1] + others[1], strict=True):
        np.testing.assert_allclose(one, three, rtol=1e-12, atol=1e-15)


def test_large_sums_are_made_once_and_by_the_threads_of_blas(monkeypatch):
    monkeypatch.setattr(_threads, "MAX_OWN_SUMS", 3)
    threads, sums = [], [np.zeros(2), np.zeros(2)]

    def add(rows, first, second):
        threads.append((threading.current_thread(), *_blas_threads()))
        first += rows.stop - rows.start
        second += 1

    with threadpool_limits(2, "blas"), one_blas_thread():
        sum_in_threads(add, [slice(0, 3), slice(3, 7)], sums)
        assert set(_blas_threads()) == {1}
    np.testing.assert_array_equal(sums, [[7, 7], [2, 2]])
    assert {used[0] for used in threads} == {threading.current_thread()}
    assert {number for used in threads for number in used[1:]} == {2}


@pytest.mark.parametrize("raised", [KeyError, KeyboardInterrupt])
def test_an_exception_of_a_task_is_raised_after_the_others_end(raised):
    done = []

    def fail():
        raise raised

    with pytest.raises(raised):
        in_threads([lambda: done.append(1), fail, lambda: done.append(3)])
    assert sorted(done) == [1, 3]


def test_threads_are_kept_for_the_length_of_a_fit():
    def idents(n_tasks):
        seen, together = [], threading.Barrier(n_tasks)

        def task():
            together.wait(timeout=10)  # no thread takes two tasks
            seen.append(threading.current_thread())

        in_threads([task] * n_tasks)
        return set(seen)

    def fail():
        raise KeyError

    with one_blas_thread():
        first, second = idents(3), idents(3)
        assert first == second
        assert len(first) == 3
        with pytest.raises(KeyError):
            in_threads([lambda: None, fail])
        assert threading.current_thread() in idents(4)  # a failed task leaves threads that work
    assert not first & idents(3) - {threading.current_thread()}
    for thread in first - {threading.current_thread()}:
        thread.join(timeout=10)
        assert not thread.is_alive()


def test_tasks_without_a_thread_run_in_this_one(monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    done = []
    with one_blas_thread():
        in_threads([lambda i=i: done.append((i, threading.current_thread())) for i in range(3)])
    assert [i for i, _ in done] == [0, 1, 2]
    assert {thread for _, thread in done} == {threading.current_thread()}


def test_workers_of_a_grid_search_share_the_cores():
    """All workers together use at most one thread for each core: joblib limits BLAS in workers."""

    def allowed():
        from sklearn_bce._kernels.threads import one_blas_thread

        with one_blas_thread() as threads:
            return threads

    counts = joblib.Parallel(n_jobs=2)(joblib.delayed(allowed)() for _ in range(4))
    assert max(counts) <= max(1, joblib.cpu_count() // 2)
