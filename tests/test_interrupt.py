"""Ctrl-C during a fit: the fit ends within a pass, with the weights of the last finished pass.

Most tests stand in for the key: a call that a pass makes raises once it has done its work, as
Python does when a signal comes while a kernel runs. The last ones send the signal.
"""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from small_data import neuron_of, random_data

import sklearn_bce
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._estimator import diagnostics, holdout
from sklearn_bce._kernels import COMPILED, kernels
from sklearn_bce._objective import rows
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers import sgd
from sklearn_bce._solvers.newton import in_cache

N_SAMPLES = 60
X, Y, WEIGHT = random_data(N_SAMPLES, 3)
WIDE = random_data(N_SAMPLES, 200)[0]  # newton solves it in the space of the samples
CONTAINERS = [np.asarray, np.asfortranarray, sp.csr_array]

ON_CALL = {
    # Parameters, the function that is called, and the number of the call after k finished passes.
    # The first evaluation is of the start.
    "newton": ({}, (InMemoryObjective, "evaluate"), lambda finished: finished + 2),
    "newton, L1": (
        {"l1_ratio": 0.5},
        (InMemoryObjective, "evaluate"),
        lambda finished: finished + 2,
    ),
    "gd": ({"solver": "gd"}, (InMemoryObjective, "evaluate"), lambda finished: finished + 2),
    # With momentum: from the second pass on there is an evaluation ahead of the weights, too.
    "gd, L1": (
        {"solver": "gd", "l1_ratio": 0.5},
        (InMemoryObjective, "evaluate"),
        lambda finished: 2 * finished + 2,
    ),
    # Three calls of the kernel for a pass, see the fixture below; or four batches.
    "sgd": ({"solver": "sgd"}, "kernel", lambda finished: 3 * finished + 2),
    "sgd, L1": ({"solver": "sgd", "l1_ratio": 0.5}, "kernel", lambda finished: 3 * finished + 2),
    "sgd, batches": (
        {"solver": "sgd", "batch_size": 16},
        (sgd, "loss_and_derivatives"),
        lambda finished: 4 * finished + 2,
    ),
}
SOLVERS = ["newton", "gd", "sgd", "sgd, batches"]


@pytest.fixture(autouse=True)
def three_kernel_calls_for_a_pass(monkeypatch):
    monkeypatch.setattr(rows, "ELEMENTS_PER_CALL", X.size // 3)


@pytest.fixture(autouse=True)
def newton_in_passes(monkeypatch):
    """The call for small data lasts milliseconds, and is not interrupted within."""
    monkeypatch.setattr(in_cache, "CACHE_ELEMENTS", 0)


def model_of(key, **parameters):
    fixed = {"solver": "newton", "tol": 0, "max_iter": 50, "random_state": 0}
    return neuron_of(**{**fixed, **ON_CALL[key][0], **parameters})


def interrupt(monkeypatch, where, k, error=KeyboardInterrupt):
    """Make the k-th call raise the error after its work; return the list of all calls."""
    owner, name = where
    function, calls = getattr(owner, name), []

    def counted(*arguments, **named):
        calls.append(name)
        done = function(*arguments, **named)
        if len(calls) == k:
            raise error("stopped")
        return done

    monkeypatch.setattr(owner, name, counted)
    return calls


def interrupted(model, key, finished, *data, error=KeyboardInterrupt, **arguments):
    """Fit, and interrupt the pass after ``n_finished`` passes."""
    where = ON_CALL[key][1]
    if where == "kernel":
        where = kernels(), "csr_sgd_pass" if sp.issparse(data[0]) else "dense_sgd_pass"
    k = ON_CALL[key][2](finished)
    with pytest.MonkeyPatch.context() as patch:
        calls = interrupt(patch, where, k, error)
        with pytest.raises(error, match="stopped"):
            model.fit(*data, **arguments)
    assert len(calls) == k  # nothing was done any more
    return model


def state(model):
    return pickle.dumps(vars(model))


# --- after some passes ---


@every_pair(
    pytest.mark.parametrize("fitted_before", [False, True]),
    pytest.mark.parametrize("finished", [1, 3]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("key", ON_CALL),
)
def test_interrupted_fit_leaves_the_finished_passes(key, container, finished, fitted_before):
    model, rows = model_of(key), container(X)
    expected = clone(model).set_params(max_iter=finished).fit(rows, Y, sample_weight=WEIGHT)
    if fitted_before:  # on named features of another number, with other labels
        frame = pd.DataFrame(WIDE[:, :5], columns=list("abcde"))
        model.fit(frame, np.where(Y, "yes", "no"), X_val=frame, y_val=np.where(Y, "yes", "no"))
    interrupted(model, key, finished, rows, Y, sample_weight=WEIGHT)
    assert vars(model).keys() == vars(expected).keys()
    for name in ("coef_", "intercept_", "classes_"):
        assert_array_equal(getattr(model, name), getattr(expected, name))
    assert model.loss_curve_ == expected.loss_curve_
    assert model.n_iter_[0] == finished
    assert model.converged_ is False
    assert model.n_features_in_ == 3
    z = X @ expected.coef_[0] + expected.intercept_[0]
    assert_array_equal(model.predict(rows), z > 0)
    assert_allclose(model.decision_function(rows), z, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("finished", [1, 2])
def test_interrupted_newton_in_row_space_leaves_the_finished_steps(finished):
    model = model_of("newton", tol=1e-14)
    expected = clone(model).set_params(max_iter=finished)
    with pytest.warns(ConvergenceWarning):
        expected.fit(WIDE, Y)
    interrupted(model, "newton", finished, WIDE, Y)
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(model.intercept_, expected.intercept_)
    assert model.loss_curve_ == expected.loss_curve_


@pytest.mark.parametrize("key", ON_CALL)
def test_interrupted_fit_does_not_warn(key):
    model = interrupted(model_of(key, tol=1e-6), key, 1, X, Y)  # pytest makes it an error
    assert model.converged_ is False
    assert model.n_iter_[0] == 1


@pytest.mark.parametrize("key", SOLVERS)
def test_fit_after_an_interrupt_is_a_new_fit(key):
    model = interrupted(model_of(key, max_iter=3), key, 1, X, Y)
    expected = model_of(key, max_iter=3).fit(X, Y)
    assert_array_equal(model.fit(X, Y).coef_, expected.coef_)
    assert vars(model).keys() == vars(expected).keys()


@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_interrupt_during_the_convergence_estimate_leaves_all_passes(solver, monkeypatch):
    """The estimate follows the last pass, and takes as long as several passes."""
    model = BCENeuronClassifier(solver=solver, max_iter=3, random_state=0)
    expected = clone(model).set_params(tol=0).fit(X, Y)
    interrupt(monkeypatch, (diagnostics, "distance_from_minimum"), 1)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert model.n_iter_[0] == 3
    assert_array_equal(model.coef_, expected.coef_)


# --- before the first ---


@each_value(
    pytest.mark.parametrize("fitted_before", [False, True]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("key", ON_CALL),
)
def test_interrupt_in_the_first_pass_changes_nothing(key, container, fitted_before):
    model = model_of(key)
    if fitted_before:
        model.fit(pd.DataFrame(WIDE[:, :5], columns=list("abcde")), np.where(Y, "yes", "no"))
    before = state(model)
    interrupted(model, key, 0, container(X), Y)
    assert state(model) == before
    if not fitted_before:
        assert vars(model) == model.get_params()
        with pytest.raises(NotFittedError):
            model.predict(X)


@pytest.mark.parametrize(
    ("parameters", "where", "k"),
    [
        ({"solver": "newton"}, (InMemoryObjective, "evaluate"), 1),
        ({"solver": "newton"}, (InMemoryObjective, "standardised"), 1),
        ({"solver": "gd"}, (InMemoryObjective, "evaluate"), 1),
        ({"solver": "gd"}, (InMemoryObjective, "curvature_product"), 2),  # its step, by Lanczos
        ({"solver": "sgd"}, (InMemoryObjective, "raise_unless_finite"), 1),
        ({"solver": "sgd"}, (sgd, "sample_lipschitz_constants"), 1),
    ],
)
def test_interrupt_before_the_first_pass_changes_nothing(parameters, where, k, monkeypatch):
    model = BCENeuronClassifier(**parameters, max_iter=3, tol=0).fit(WIDE, Y)
    before = state(model)
    calls = interrupt(monkeypatch, where, k)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert len(calls) == k
    assert state(model) == before


def test_interrupt_on_the_subsample_changes_nothing(monkeypatch):
    many, y, _ = random_data(100_000, 15)
    evaluate, seen = InMemoryObjective.evaluate, []

    def noting(self, *arguments, **named):
        seen.append(self.n_samples)
        if len(seen) == 4:
            raise KeyboardInterrupt
        return evaluate(self, *arguments, **named)

    monkeypatch.setattr(InMemoryObjective, "evaluate", noting)
    model = BCENeuronClassifier(random_state=0)
    with pytest.raises(KeyboardInterrupt):
        model.fit(many, y)
    assert max(seen) < 100_000  # it was busy with a sample
    assert vars(model) == model.get_params()


# --- what is no Ctrl-C ---


@each_value(
    pytest.mark.parametrize("error", [RuntimeError, MemoryError, SystemExit]),
    pytest.mark.parametrize("fitted_before", [False, True]),
    pytest.mark.parametrize("key", ON_CALL),
)
def test_error_in_a_later_pass_changes_nothing(key, fitted_before, error):
    model = model_of(key)
    if fitted_before:
        model.fit(WIDE, Y)
    before = state(model)
    interrupted(model, key, 2, X, Y, error=error)
    assert state(model) == before


# --- with samples held out ---


def noisy_labels():
    """Return other labels, on which the loss of an estimator that learns Y rises in the end."""
    wrong = np.random.default_rng(2).random(N_SAMPLES) < 0.2
    return np.where(wrong, 1 - Y, Y)


@pytest.mark.parametrize(("key", "eta"), [("gd", 0.7), ("sgd", 0.02), ("sgd, batches", 0.5)])
def test_interrupt_with_early_stopping_leaves_the_best_weights(key, eta):
    y_val = noisy_labels()
    model = model_of(key, C=np.inf, learning_rate=eta, shuffle=False, n_iter_no_change=50)
    finished = 20
    passes = [clone(model).set_params(max_iter=k + 1).fit(X, Y) for k in range(finished)]
    losses = []
    for fitted in passes:
        z = X @ fitted.coef_[0] + fitted.intercept_[0]
        losses.append(np.mean(np.logaddexp(0, z) - y_val * z))
    best = int(np.argmin(losses))
    model.set_params(early_stopping=True)
    interrupted(model, key, finished, X, Y, X_val=X, y_val=y_val)
    assert 0 < best < finished - 1
    assert model.best_iter_ == best + 1
    assert_array_equal(model.coef_, passes[best].coef_)
    assert_array_equal(model.intercept_, passes[best].intercept_)
    assert_allclose(model.validation_loss_curve_, losses, rtol=1e-12)
    assert model.loss_curve_ == passes[-1].loss_curve_
    assert model.n_iter_[0] == finished
    assert model.converged_ is False


@each_value(
    pytest.mark.parametrize("early_stopping", [True, False]),
    pytest.mark.parametrize("key", SOLVERS),
)
def test_interrupt_in_the_validation_loss_leaves_the_passes_before(
    key, early_stopping, monkeypatch
):
    """A pass has finished when the loss on the validation samples is known."""
    model = model_of(key, early_stopping=early_stopping)
    expected = clone(model).set_params(max_iter=2).fit(X, Y, X_val=X[:20], y_val=Y[:20])
    interrupt(monkeypatch, (holdout, "binary_cross_entropy"), 3)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y, X_val=X[:20], y_val=Y[:20])
    assert_array_equal(model.coef_, expected.coef_)
    assert model.loss_curve_ == expected.loss_curve_
    assert model.validation_loss_curve_ == expected.validation_loss_curve_
    assert model.best_iter_ == expected.best_iter_
    assert model.n_iter_[0] == 2


# --- at any moment ---

PACKAGE = Path(sklearn_bce.__file__).parent
OF_THREADS = str(PACKAGE / "_kernels" / "threads.py")


def lines_of_fit(model, *data, stop_before=None, **arguments):
    """Return the lines of the package that a fit comes to; press Ctrl-C before one of them.

    The few in which threads are handed back are no concern of this test.
    """
    lines, outside = [], sys.gettrace()

    def trace(frame, event, argument):
        file = frame.f_code.co_filename
        if not file.startswith(str(PACKAGE)) or file == OF_THREADS:
            return None
        if event == "line":
            if len(lines) == stop_before:
                sys.settrace(outside)
                raise KeyboardInterrupt
            lines.append((file, frame.f_lineno))
        return trace

    sys.settrace(trace)
    try:
        model.fit(*data, **arguments)
    finally:
        sys.settrace(outside)
    return lines


@each_value(
    pytest.mark.parametrize("early_stopping", [False, True]),
    pytest.mark.parametrize("key", SOLVERS),
)
def test_interrupt_at_any_line_leaves_attributes_of_one_pass(key, early_stopping):
    """The attributes are those before the fit, or those after some finished passes."""
    arguments = {"X_val": X[:20], "y_val": Y[:20]} if early_stopping else {}
    model = model_of(key, early_stopping=early_stopping, shuffle=False)
    passes = [clone(model).set_params(max_iter=k).fit(X, Y, **arguments) for k in (1, 2)]
    before = pickle.dumps(model.set_params(max_iter=2).fit(WIDE[:, :5], Y))
    lines = lines_of_fit(pickle.loads(before), X, Y, **arguments)
    first_and_last = {line: k for k, line in reversed(list(enumerate(lines)))}.values()
    first_and_last = sorted({*first_and_last, *{line: k for k, line in enumerate(lines)}.values()})
    in_solver = []
    for k in first_and_last:
        model = pickle.loads(before)
        unchanged = state(model)
        with pytest.raises(KeyboardInterrupt):
            lines_of_fit(model, X, Y, stop_before=k, **arguments)
        finished = model.n_iter_[0] if model.n_features_in_ == 3 else 0
        if finished:
            expected = vars(passes[finished - 1])
            told = {name: value for name, value in vars(model).items() if name.endswith("_")}
            # An interrupt after the last pass, or after the solver, may come too late to be told.
            assert told.pop("stop_reason_") in {"interrupt", expected["stop_reason_"]}
            told.pop("converged_"), told.pop("n_passes_")
            assert_equal(told, {name: expected[name] for name in told}, err_msg=str(lines[k]))
            assert vars(model).keys() == expected.keys()
        else:
            assert state(model) == unchanged, lines[k]
        # Properties of the result and the name of the solver are read after the solver; an
        # interrupt there undoes the fit.
        if "_solvers" in lines[k][0] and not lines[k][0].endswith(("base.py", "__init__.py")):
            in_solver.append(finished)
    assert in_solver == sorted(in_solver)  # no pass is lost
    assert set(in_solver) == {0, 1, 2}


# --- with callbacks ---


class Recorder:
    """A callback that records its calls, and may raise KeyboardInterrupt at the end of a pass."""

    def __init__(self, interrupt_after=None):
        self.calls, self.interrupt_after = [], interrupt_after

    def setup(self, estimator, context):
        self.calls.append("setup")

    def teardown(self, estimator, context):
        self.calls.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.calls.append(f"{context.task_name} begins")

    def on_fit_task_end(self, estimator, context):
        self.calls.append(f"{context.task_name} ends")
        if self.calls.count("pass ends") == self.interrupt_after:
            raise KeyboardInterrupt


@pytest.fixture
def recorder():
    pytest.importorskip("sklearn.callback")
    return Recorder()


@each_value(
    pytest.mark.parametrize("finished", [0, 2]),
    pytest.mark.parametrize("key", SOLVERS),
)
def test_interrupt_tears_callbacks_down(key, finished, recorder):
    model = model_of(key).set_callbacks(recorder)
    interrupted(model, key, finished, X, Y)
    of_passes = ["pass begins", "pass ends"] * finished + ["pass begins"]
    assert recorder.calls == ["setup", "fit begins", *of_passes, "teardown"]
    assert vars(model).keys() >= {"_skl_callbacks"}
    assert not {"_callback_fit_ctx", "_skl_callbacks_to_teardown"} & vars(model).keys()
    assert getattr(model, "n_iter_", [0])[0] == finished
    recorder.calls.clear()
    model.set_params(max_iter=1).fit(X, Y)
    expected = ["setup", "fit begins", "pass begins", "pass ends", "fit ends", "teardown"]
    assert recorder.calls == expected


@pytest.mark.parametrize("key", SOLVERS)
def test_interrupt_in_a_callback_leaves_the_finished_passes(key, recorder):
    """A pass has finished when the callback for its end is called."""
    recorder.interrupt_after = 2
    model = model_of(key).set_callbacks(recorder)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert recorder.calls[-2:] == ["pass ends", "teardown"]
    expected = model_of(key, max_iter=2).fit(X, Y)
    assert_array_equal(model.coef_, expected.coef_)
    assert model.loss_curve_ == expected.loss_curve_


# --- the signal itself ---

# When a kernel is called for the k-th time, the child sends itself SIGINT from another thread while
# the kernel runs. It prints the number of calls when the signal was sent, and of all calls.
CHILD = """
import json, os, signal, sys, threading
import numpy as np, scipy.sparse as sp
from threadpoolctl import threadpool_info, threadpool_limits
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import kernels

parameters, n_samples, as_sparse, kernel, k = json.loads(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever has started this
rng = np.random.default_rng(0)
X = rng.standard_normal((n_samples, 50))
y = X @ rng.standard_normal(50) + 5 * rng.standard_normal(n_samples) > 0
if as_sparse:
    parts = X.ravel(), np.tile(np.arange(50), n_samples), np.arange(0, X.size + 1, 50)
    X = sp.csr_array(parts, shape=X.shape)

function, calls, sent, midst = getattr(kernels(), kernel), [], [], threading.Event()

def counted(*arguments):
    calls.append(1)
    if len(calls) == k:
        midst.set()
    return function(*arguments)

def press():
    midst.wait()
    os.kill(os.getpid(), signal.SIGINT)
    sent.append(len(calls))

setattr(kernels(), kernel, counted)
presser = threading.Thread(target=press)
presser.start()
threadpool_limits(2)
blas = [library["num_threads"] for library in threadpool_info()]
model = BCENeuronClassifier(**parameters, max_iter=10**6, tol=0, random_state=0)
try:
    model.fit(X, y)
except KeyboardInterrupt:
    n_calls = len(calls)
presser.join()
setattr(kernels(), kernel, function)
same = BCENeuronClassifier(**parameters, max_iter=model.n_iter_[0], tol=0, random_state=0).fit(X, y)
print(json.dumps({
    "calls after": n_calls - sent[0],
    "n_iter": int(model.n_iter_[0]),
    "losses": len(model.loss_curve_),
    "converged": model.converged_,
    "weights are those": bool(np.all(model.coef_ == same.coef_)),
    "score": model.score(X, y),
    "threads of BLAS are back": blas == [each["num_threads"] for each in threadpool_info()],
    "fitting threads": threading.active_count() - 1,
}))
"""


@pytest.mark.skipif(COMPILED is None, reason="the NumPy reference of the kernels takes minutes")
@pytest.mark.skipif(sys.platform == "win32", reason="a process cannot send itself Ctrl-C there")
@pytest.mark.parametrize(
    ("parameters", "n_samples", "as_sparse", "kernel", "k", "most_after"),
    [
        # Three calls for a pass.
        ({"solver": "sgd", "learning_rate": 1e-3}, 200_000, True, "csr_sgd_pass", 8, 1),
        # One call for each 2¹⁸ elements, 20 by two threads; the other thread finishes its half.
        ({"solver": "newton"}, 100_000, False, "dense_loss", 70, 10),
        # One call for each thread.
        ({"solver": "newton"}, 100_000, True, "csr_loss", 9, 1),
    ],
    ids=["sgd-sparse", "newton", "newton-sparse"],
)
def test_signal_ends_a_large_fit_within_a_pass(
    parameters, n_samples, as_sparse, kernel, k, most_after
):
    arguments = [parameters, n_samples, as_sparse, kernel, k]
    done = subprocess.run(
        [sys.executable, "-c", CHILD, json.dumps(arguments)],
        capture_output=True,
        text=True,
        timeout=60,  # it would else go on for days
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["calls after"] <= most_after
    assert told["n_iter"] == told["losses"] >= 1
    assert told["converged"] is False
    assert told["weights are those"]
    assert told["score"] > 0.7
    assert told["threads of BLAS are back"]
    assert told["fitting threads"] == 0
