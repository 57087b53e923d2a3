"""Fits at the same time: in threads, in workers of joblib, and in a forked process.

A fit that is alone may use several threads, one beside others gets one, and their sums are made in
another order. So like is compared with like: where bits are, BLAS is limited to one thread and with
it every fit, whatever company it has. What more threads change is in `test_determinism.py`.
"""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import partial

import joblib
import numpy as np
import pytest
import scipy.sparse as sp
from covering import each_value
from numpy.testing import assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from small_data import random_data
from threadpoolctl import ThreadpoolController, threadpool_info, threadpool_limits

import sklearn_bce
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import threads as kernel_threads
from sklearn_bce._kernels.threads import all_blas_threads, one_blas_thread

N_THREADS = 8
HANG = 60  # seconds after which a process that was started is taken for hung

SGD = {"solver": "sgd", "tol": 0, "max_iter": 3, "random_state": 0}
GD = {"solver": "gd", "tol": 0, "max_iter": 10}
CASES = {
    # Parameters, and (n_samples, n_features, whether they are sparse).
    "newton": ({}, (200, 5, False)),
    "newton, tall": ({"random_state": 0}, (20_000, 4, False)),  # starts on a sample
    "newton, CSR": ({}, (300, 30, True)),
    "newton, wide": ({}, (40, 150, False)),
    "newton, L1": ({"l1_ratio": 1.0, "C": 0.1}, (200, 8, False)),
    "newton, L1, CSR": ({"l1_ratio": 0.5, "C": 0.3}, (300, 30, True)),
    "newton, stopped early": ({"early_stopping": True, "random_state": 0}, (200, 5, False)),
    "gd": (GD, (200, 5, False)),
    "gd, L1, CSR": (GD | {"l1_ratio": 0.5}, (200, 20, True)),
    "sgd": (SGD, (300, 5, False)),
    "sgd, CSR": (SGD, (300, 20, True)),
    "sgd, L1": (SGD | {"l1_ratio": 0.5}, (300, 5, False)),
    "sgd, batches": (SGD | {"batch_size": 16}, (300, 5, False)),
}
# Sizes for which a fit starts threads of its own if it may use several.
LARGE_CASES = {
    "newton": ({"random_state": 0}, (60_000, 20, False)),
    "newton, CSR": ({"random_state": 0}, (20_000, 80, True)),
    "newton, L1": ({"l1_ratio": 1.0, "C": 0.01, "random_state": 0}, (60_000, 20, False)),
    "gd": (GD | {"max_iter": 2}, (60_000, 20, False)),
    "sgd": (SGD | {"max_iter": 1}, (60_000, 20, False)),
}


@pytest.fixture(autouse=True)
def threads_that_take_turns_often():
    """Shorten the time for which Python runs one thread, 5 ms, in which most of these fits end."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def blas_threads():
    return {
        library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"
    }


@contextmanager
def blas_limit(limit):
    """Limit BLAS, and let any thread change the limit: threadpoolctl 3.8 lets one thread only."""

    def release():
        for library in ThreadpoolController().select(user_api="blas").lib_controllers:
            getattr(library, "clear_controlling_thread", lambda force: None)(force=True)

    with threadpool_limits(limit, "blas"):
        release()
        try:
            yield
        finally:
            release()


def data_sets(shape, n_sets=N_THREADS):
    return [random_data(*shape[:2], seed=seed, sparse=shape[2])[:2] for seed in range(n_sets)]


def what_was_learned(model):
    """Return the fitted attributes that depend on the order of sums or on the steps."""
    arrays = [model.coef_.tobytes(), model.intercept_.tobytes()]
    held_out = getattr(model, "validation_loss_curve_", None)
    return [*arrays, model.loss_curve_, held_out, model.n_iter_[0], model.n_passes_]


def learned(parameters, X, y):
    return what_was_learned(BCENeuronClassifier(**parameters).fit(X, y))


def at_once(tasks):
    """Run each task in a thread of its own; return their results, or raise an exception of one."""
    ready, results, raised = threading.Barrier(len(tasks), timeout=HANG), [None] * len(tasks), []

    def run(k):
        try:
            ready.wait()
            results[k] = tasks[k]()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run, args=(k,), daemon=True) for k in range(len(tasks))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive()
    if raised:
        raise raised[0]
    return results


# --- in threads ---


@pytest.mark.parametrize("key", CASES)
def test_fits_in_8_threads_are_serial_fits_bit_for_bit(key):
    parameters, shape = CASES[key]
    data = data_sets(shape)
    with blas_limit(1):
        serial = [learned(parameters, *each) for each in data]
        assert len({each[0] for each in serial}) == N_THREADS  # else threads look alike

        def in_turns(first):  # every data set in every thread, in the company of all others
            order = np.roll(np.arange(N_THREADS), -first)
            return {int(k): learned(parameters, *data[k]) for k in order}

        for of_thread in at_once([partial(in_turns, k) for k in range(N_THREADS)]):
            assert [of_thread[k] for k in range(N_THREADS)] == serial


def test_fits_of_all_kinds_at_once_are_serial_fits():
    tasks = [
        partial(learned, parameters, *random_data(*shape[:2], seed=1, sparse=shape[2])[:2])
        for parameters, shape in [*CASES.values(), *LARGE_CASES.values()]
    ]
    with blas_limit(1):
        serial = [task() for task in tasks]
        assert at_once(tasks * 2) == serial * 2


@pytest.mark.parametrize("key", LARGE_CASES)
def test_large_fits_have_one_thread_or_all_and_no_third_result(key, monkeypatch):
    """Which of the 8 fits is alone for a moment is chance; its result then is one of two."""
    parameters, shape = LARGE_CASES[key]
    data, used, in_threads = data_sets(shape, 4), [], kernel_threads.in_threads

    def noting(tasks):
        used.append(len(tasks))
        in_threads(tasks)

    monkeypatch.setattr(kernel_threads, "in_threads", noting)
    expected = [[] for _ in data]
    for limit in (1, 2):
        used.clear()
        with blas_limit(limit):
            for results, each in zip(expected, data, strict=True):
                results.append(learned(parameters, *each))
        assert set(used) == ({2} if limit == 2 else set())
    with blas_limit(2):
        found = at_once([partial(learned, parameters, *each) for each in data * 2])
        assert blas_threads() == {2}
    for results, one in zip(expected * 2, found, strict=True):
        assert one in results


@pytest.mark.parametrize("sparse", [False, True])
def test_fits_on_shared_samples_are_serial_fits(sparse):
    X, y, _ = random_data(300, 6, sparse=sparse)
    tasks = [partial(learned, {"l1_ratio": 0.5, "C": 10.0**-k}, X, y) for k in range(N_THREADS)]
    with blas_limit(1):
        serial = [task() for task in tasks]
        assert len({each[0] for each in serial}) > 2
        for _ in range(5):
            assert at_once(tasks) == serial


@each_value(
    pytest.mark.parametrize("shape", [(200, 12, False), (200, 20, True)]),
    pytest.mark.parametrize(
        "parameters",
        [{"l1_ratio": 1.0}, {}, GD | {"max_iter": 3}, SGD],
        ids=["L1", "newton", "gd", "sgd"],
    ),
)
def test_warm_start_paths_in_threads_are_serial_paths(parameters, shape):
    """Each thread fits along its own path of C; with an L1 norm from the state of the last fit."""

    def path(X, y):
        model = BCENeuronClassifier(warm_start=True, **parameters)
        return [what_was_learned(model.set_params(C=C).fit(X, y)) for C in np.logspace(0, -1.5, 6)]

    tasks = [partial(path, *each) for each in data_sets(shape)]
    with blas_limit(1):
        assert at_once(tasks) == [task() for task in tasks]


def test_streams_in_threads_are_serial_streams():
    def stream(X, y):
        model = BCENeuronClassifier(solver="sgd", random_state=0)
        for rows in np.array_split(np.arange(len(y)), 10):
            model.partial_fit(X[rows], y[rows], classes=[0, 1])
        return what_was_learned(model)

    tasks = [partial(stream, *each) for each in data_sets((300, 5, False))]
    with blas_limit(1):
        assert at_once(tasks) == [task() for task in tasks]


def test_predictions_beside_fits_in_threads_are_serial_ones():
    X, y, _ = random_data(2000, 30)
    model = BCENeuronClassifier().fit(X, y)
    with blas_limit(1):
        expected = model.predict_proba(X).tobytes()
        predicting = [lambda: [model.predict_proba(X).tobytes() for _ in range(20)]] * 4
        fitting = [lambda: [learned({}, X, y) for _ in range(5)]] * 4
        found = at_once(predicting + fitting)
    assert {each for one in found[:4] for each in one} == {expected}


# --- the threads of BLAS ---


@pytest.mark.parametrize("limit", [1, 2])
def test_blas_is_put_back_after_fits_at_once_of_which_some_fail(limit):
    data = data_sets((200, 5, False))
    for X, _ in data[::2]:
        X[-1, -1] = np.nan

    def fit(X, y):
        fails = np.isnan(X).any()
        for _ in range(10):
            with pytest.raises(ValueError, match="NaN") if fails else nullcontext():
                BCENeuronClassifier().fit(X, y)

    with blas_limit(limit), ThreadPoolExecutor(N_THREADS) as pool:
        list(pool.map(fit, *zip(*data, strict=True)))
        assert blas_threads() == {limit}  # while the threads of the pool are alive
        with one_blas_thread() as allowed:  # and the next one is alone
            assert allowed == limit
        assert blas_threads() == {limit}


@pytest.mark.parametrize("first_to_end", [0, 1])
def test_blas_is_put_back_whichever_fit_ends_last(first_to_end):
    begun, ended = [threading.Event(), threading.Event()], [threading.Event(), threading.Event()]
    seen = {}

    def fit(k):
        assert not k or begun[0].wait(HANG)
        with one_blas_thread() as allowed:
            seen[f"allowed {k}"] = allowed
            begun[k].set()
            assert begun[1].wait(HANG)
            seen[f"BLAS beside {k}"] = blas_threads()
            assert k == first_to_end or ended[first_to_end].wait(HANG)
        ended[k].set()
        assert ended[1 - k].wait(HANG)
        seen["BLAS after"] = blas_threads()

    with blas_limit(2):
        at_once([partial(fit, 0), partial(fit, 1)])
    assert seen == {
        "allowed 0": 2,
        "allowed 1": 1,
        "BLAS beside 0": {1},
        "BLAS beside 1": {1},
        "BLAS after": {2},
    }


def test_blas_is_held_in_a_thread_after_a_fit_in_another():
    """threadpoolctl 3.8 lets the first thread alone set the limit, as long as that thread lives."""

    def held():
        with one_blas_thread():
            return blas_threads()

    with blas_limit(2):
        assert held() == {1}
        assert at_once([held]) == [{1}]
        assert blas_threads() == {2}


@pytest.mark.parametrize(
    "parameters", [SGD | {"batch_size": 5000}, {"random_state": 0}], ids=["sgd", "newton"]
)
def test_fit_beside_another_holds_blas_to_one_thread(parameters):
    """A fit that is not alone limits BLAS to one thread, too, for the same order of sums."""
    X, y, _ = random_data(20_000, 100)
    with blas_limit(2), one_blas_thread():  # of the other fit
        serial = learned(parameters, X, y)
        with all_blas_threads():
            assert blas_threads() == {2}
            with one_blas_thread():
                held = blas_threads()
        with all_blas_threads():
            beside = learned(parameters, X, y)
    assert held == {1}
    assert beside == serial


def test_no_fit_leaves_its_threads_to_blas_beside_another():
    with blas_limit(2), one_blas_thread(), one_blas_thread(), all_blas_threads():
        assert blas_threads() == {1}


# --- in the workers of joblib ---


def in_workers(backend):
    """Return the context in which joblib has two workers, and a fit one thread."""
    if backend == "loky":  # arrays of more than 100 bytes come as memory maps, read-only
        return joblib.parallel_config(backend, n_jobs=2, inner_max_num_threads=1, max_nbytes=100)
    return joblib.parallel_config(backend, n_jobs=2)


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_joblib_workers_give_serial_fits(backend):
    cases = [*CASES.values(), LARGE_CASES["newton"], LARGE_CASES["newton, CSR"]]
    models = [BCENeuronClassifier(**parameters) for parameters, _ in cases]
    data = [random_data(*shape[:2], seed=2, sparse=shape[2])[:2] for _, shape in cases]
    with blas_limit(1), in_workers(backend):
        serial = [clone(model).fit(*each) for model, each in zip(models, data, strict=True)]
        fitted = joblib.Parallel()(
            joblib.delayed(BCENeuronClassifier.fit)(model, *each)
            for model, each in zip(models, data, strict=True)
        )
    for one, other in zip(fitted, serial, strict=True):
        assert what_was_learned(one) == what_was_learned(other)


@each_value(
    pytest.mark.parametrize("container", [np.asarray, sp.csr_array]),
    pytest.mark.parametrize("backend", ["loky", "threading"]),
)
def test_grid_search_with_two_jobs_is_the_serial_search(backend, container):
    X, y, _ = random_data(300, 10, sparse=True)
    X = container(X.toarray())
    grid = [
        {"C": [0.01, 1.0], "l1_ratio": [0.0, 1.0]},
        {"solver": ["gd", "sgd"], "tol": [0.0], "max_iter": [5]},
    ]
    model = BCENeuronClassifier(random_state=0, warm_start=True)
    search = GridSearchCV(model, grid, scoring="neg_log_loss", cv=3)
    with blas_limit(1):
        serial = clone(search).fit(X, y)
        with in_workers(backend):
            search.set_params(n_jobs=2).fit(X, y)
        assert blas_threads() == {1}
    scores = [name for name in serial.cv_results_ if "test_score" in name]
    assert len(np.unique(serial.cv_results_["mean_test_score"])) == 6
    for name in scores:
        assert_array_equal(search.cv_results_[name], serial.cv_results_[name])
    assert search.best_params_ == serial.best_params_
    assert_equal(what_was_learned(search.best_estimator_), what_was_learned(serial.best_estimator_))


# --- in other processes ---

CHILD = """
import os, signal, sys, threading, traceback
import numpy as np
import sklearn_bce
from sklearn_bce import BCENeuronClassifier
from threadpoolctl import threadpool_info, threadpool_limits

rng = np.random.default_rng(0)
small = [rng.standard_normal((200, 5)) for _ in range(8)]
large = rng.standard_normal((60_000, 20))
sgd = {"solver": "sgd", "max_iter": 2, "tol": 0, "random_state": 0}
cases = [({}, X) for X in small] + [({"l1_ratio": 1.0, "C": 0.1}, X) for X in small[:4]]
cases += [(sgd, X) for X in small[:4]] + [({"random_state": 0}, large)]

def fit(k):
    parameters, X = cases[k]
    y = (X[:, 0] + np.sin(37 * np.arange(len(X))) > 0).astype(int)
    model = BCENeuronClassifier(**parameters).fit(X, y)
    return model.coef_.tobytes(), model.intercept_.tobytes()

def fits_at_once():
    found, ready = {}, threading.Barrier(len(cases))
    def run(k):
        ready.wait()
        found[k] = fit(k)
    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(cases))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found.get(k) for k in range(len(cases))]

def serial():
    return [fit(k) for k in range(len(cases))]

def blas():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

limit = int(sys.argv[1])
with threadpool_limits(limit, "blas"):
    first = fits_at_once()  # nothing has been fitted in this process before
    assert blas() == {limit}
    expected = serial()  # at a limit of 2 the large ones in threads of their own
    assert first == expected or limit > 1
    child = os.fork()
    if not child:
        try:
            signal.alarm(40)  # ends it if it hangs
            assert blas() == {limit}
            assert serial() == expected
            found = fits_at_once()
            assert found == expected or limit > 1 and None not in found
            assert blas() == {limit}
            os._exit(0)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert serial() == expected  # and the process that it was forked from goes on
print(sklearn_bce.__file__)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
@pytest.mark.parametrize("limit", [1, 2])
def test_first_fits_at_once_and_a_fork_after_them_work(limit):
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(limit)], capture_output=True, text=True, timeout=HANG
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [sklearn_bce.__file__]


FORKED_IN_A_FIT = """
import os, signal, traceback
from sklearn_bce._kernels.threads import one_blas_thread
from threadpoolctl import threadpool_info, threadpool_limits

def blas():
    return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

with threadpool_limits(2, "blas"):
    with one_blas_thread():
        child = os.fork()
        if not child:
            try:
                signal.alarm(40)
                assert blas() == {2}
                with one_blas_thread() as allowed:
                    assert (allowed, blas()) == (2, {1})
                assert blas() == {2}
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert blas() == {1}
    assert blas() == {2}
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_process_forked_during_a_fit_fits_alone():
    done = subprocess.run(
        [sys.executable, "-c", FORKED_IN_A_FIT], capture_output=True, text=True, timeout=HANG
    )
    assert done.returncode == 0, done.stderr
