"""The start of a fit: coef_init, intercept_init and warm_start."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from small_data import F, minimum, neuron_of, random_data

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import kernels
from sklearn_bce._objective.in_memory import InMemoryObjective

DATA = random_data(60, 3)
X, Y, WEIGHT = DATA
W, B = np.array([0.5, -1.0, 2.0]), 0.7
ETA = 0.1

SOLVERS = ["newton", "gd", "sgd"]
CONTAINERS = [np.asarray, np.asfortranarray, sp.csr_array]
PENALTIES = [{"C": np.inf}, {"C": 0.1}, {"C": 0.3, "l1_ratio": 0.5}, {"C": 0.3, "l1_ratio": 1}]


def model_of(solver, **parameters):
    """Return an estimator that does exactly max_iter passes."""
    return neuron_of(solver, **{"learning_rate": ETA, "shuffle": False, "tol": 0, **parameters})


def assert_same(model, other):
    assert_array_equal(model.coef_, other.coef_)
    assert_array_equal(model.intercept_, other.intercept_)


def pass_from(w, b, batch, eta=ETA, C=1.0, l1_ratio=0.0):
    """Return w and b after a pass of the rule in batches, in plain NumPy.

    The update of a batch is the mean over its samples; that of gd is the weighted mean over all.
    """
    l2, l1 = (1 - l1_ratio) / (C * WEIGHT.sum()), l1_ratio / (C * WEIGHT.sum())
    for rows in np.split(np.arange(len(Y)), range(batch, len(Y), batch)):
        s = WEIGHT[rows]
        error, step = s * (Y[rows] - expit(X[rows] @ w + b)), eta / len(rows)
        w = w + step * (error @ X[rows] - s.sum() * l2 * w)
        w = np.sign(w) * np.maximum(np.abs(w) - step * s.sum() * l1, 0.0)
        b += step * error.sum()
    return w, b


# --- coef_init and intercept_init ---


@every_pair(
    pytest.mark.parametrize("init", [{}, {"coef_init": W}, {"intercept_init": B}, "both"]),
    pytest.mark.parametrize("penalty", PENALTIES),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize(("solver", "batch_size"), [("sgd", 1), ("sgd", 16), ("gd", 60)]),
)
def test_first_pass_is_from_the_start_that_was_given(solver, batch_size, container, penalty, init):
    init = {"coef_init": W, "intercept_init": B} if init == "both" else init
    model = model_of(solver, batch_size=batch_size, max_iter=1, **penalty)
    model.fit(container(X), Y, sample_weight=WEIGHT, **init)
    # The mean of gd is weighted, that of a batch is over samples.
    eta = ETA * len(Y) / WEIGHT.sum() if solver == "gd" else ETA
    start = init.get("coef_init", np.zeros(3)), init.get("intercept_init", 0.0)
    w, b = pass_from(*start, batch_size, eta, **penalty)
    assert_allclose(model.coef_[0], w, rtol=1e-10, atol=1e-15)
    assert_allclose(model.intercept_, [b], rtol=1e-10)


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("batch_size", [1, 16]),
)
def test_coef_init_and_intercept_init_are_not_changed(solver, batch_size):
    coef, intercept = W[np.newaxis].copy(), np.array([B])
    model = model_of(solver, batch_size=batch_size, max_iter=3)
    model.fit(X, Y, coef_init=coef, intercept_init=intercept)
    assert_array_equal(coef[0], W)
    assert_array_equal(intercept, [B])
    assert not np.shares_memory(model.coef_, coef)


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("start", [(W, B), (-5 * W, 0.0), (np.zeros(3), -3.0)]),
)
def test_newton_finds_the_same_minimum_from_anywhere(container, start):
    model = BCENeuronClassifier(tol=1e-14)
    model.fit(container(X), Y, sample_weight=WEIGHT, coef_init=start[0], intercept_init=start[1])
    theta = np.append(model.coef_, model.intercept_)
    assert_allclose(theta, minimum(DATA, C=1.0), rtol=1e-6)


@pytest.mark.parametrize("l1_ratio", [0, 0.5])
@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_fit_started_at_the_minimum_takes_fewer_iterations(solver, l1_ratio):
    model = BCENeuronClassifier(solver=solver, l1_ratio=l1_ratio, max_iter=10_000, tol=1e-10)
    cold = clone(model).fit(X, Y)
    exact = clone(model).set_params(solver="newton", tol=1e-14).fit(X, Y)
    model.fit(X, Y, coef_init=exact.coef_, intercept_init=exact.intercept_)
    assert model.converged_
    assert model.n_iter_[0] <= (1 if solver == "newton" else model.n_iter_no_change)
    assert model.n_iter_[0] < cold.n_iter_[0]
    assert_allclose(model.coef_, exact.coef_, rtol=1e-6)
    assert_allclose(model.intercept_, exact.intercept_, rtol=1e-6)


# --- warm_start ---


def assert_5_and_5_are_10(model, resumed, X):
    """Assert that five passes and five more by `resumed` are equal to ten passes of one fit."""
    at_once = clone(model).set_params(max_iter=10)
    at_once.fit(X, Y, sample_weight=WEIGHT)
    model.set_params(max_iter=5).fit(X, Y, sample_weight=WEIGHT)
    first = model.coef_.copy(), list(model.loss_curve_)
    resumed(model, X)
    assert_same(model, at_once)
    assert first[1] + model.loss_curve_ == at_once.loss_curve_
    assert model.n_iter_[0] == 5
    assert np.abs(model.coef_ - first[0]).max() > 1e-6  # there was something to do


def warm(model, X):
    model.set_params(warm_start=True).fit(X, Y, sample_weight=WEIGHT)


def by_hand(model, X):
    init = {"coef_init": model.coef_, "intercept_init": model.intercept_}
    model.fit(X, Y, sample_weight=WEIGHT, **init)


@each_value(
    pytest.mark.parametrize("resumed", [warm, by_hand]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize(
        ("solver", "parameters"),
        [("sgd", {"batch_size": size, **penalty}) for size in (1, 16) for penalty in PENALTIES]
        + [("gd", {"learning_rate": eta, **p}) for eta in (ETA, "auto") for p in PENALTIES[:2]],
    ),
)
def test_5_passes_after_5_are_10_at_once(solver, parameters, container, fit_intercept, resumed):
    model = model_of(solver, fit_intercept=fit_intercept, **parameters)
    assert_5_and_5_are_10(model, resumed, container(X))


@pytest.mark.parametrize("batch_size", [1, 16])
def test_warm_start_goes_on_with_the_random_stream_of_a_random_state(batch_size):
    stream, other = np.random.RandomState(0), np.random.RandomState(0)
    model = model_of("sgd", shuffle=True, random_state=stream, batch_size=batch_size)
    at_once = clone(model).set_params(random_state=other, max_iter=10).fit(X, Y)
    model.set_params(max_iter=5, warm_start=True).fit(X, Y).fit(X, Y)
    assert_same(model, at_once)


def test_newton_with_warm_start_descends_one_step_a_fit():
    """The fits descend to the minimum, and then stay there."""
    model, values = BCENeuronClassifier(max_iter=1, tol=0, warm_start=True), []
    for _ in range(10):
        model.fit(X, Y, sample_weight=WEIGHT)
        theta = np.append(model.coef_, model.intercept_)
        values.append(F(theta, DATA, C=1.0))
    assert values[0] - values[1] > 1e-5
    assert np.all(np.diff(values) <= 1e-15)
    assert_allclose(theta, minimum(DATA, C=1.0), rtol=1e-7)


@each_value(
    pytest.mark.parametrize("max_iter", [1, 2, 3, 10]),
    pytest.mark.parametrize("tol", [0, 1e-10]),
)
def test_newton_started_at_the_minimum_stays_there(tol, max_iter):
    theta = minimum(DATA, C=1.0)
    model = BCENeuronClassifier(max_iter=max_iter, tol=tol)
    model.fit(X, Y, sample_weight=WEIGHT, coef_init=theta[:-1], intercept_init=theta[-1])
    assert_allclose(np.append(model.coef_, model.intercept_), theta, rtol=1e-7)


@pytest.mark.parametrize("l1_ratio", [0, 0.5])
@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_warm_start_with_another_penalty_finds_its_minimum(solver, l1_ratio):
    model = BCENeuronClassifier(
        solver=solver, l1_ratio=l1_ratio, max_iter=100_000, tol=1e-14, warm_start=True
    )
    model.fit(X, Y)
    for C in (0.1, 10.0):
        cold = clone(model).set_params(C=C, solver="newton", warm_start=False).fit(X, Y)
        model.set_params(C=C).fit(X, Y)
        assert_allclose(model.coef_, cold.coef_, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_first_warm_start_is_from_zeros(solver):
    model = model_of(solver, max_iter=2)
    assert_same(clone(model).set_params(warm_start=True).fit(X, Y), model.fit(X, Y))


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_warm_start_a_fit_starts_afresh(solver):
    model = model_of(solver, max_iter=2)
    once = clone(model).fit(X, Y)
    assert_same(model.fit(X, Y).fit(X, Y), once)
    assert_same(model.fit(X, Y, coef_init=W).fit(X, Y), once)
    went_on = model.set_params(warm_start=True).fit(X, Y)
    assert np.abs(went_on.coef_ - once.coef_).max() > 1e-4


@pytest.mark.parametrize("solver", SOLVERS)
def test_coef_init_wins_over_warm_start(solver):
    model = model_of(solver, max_iter=1)
    before = clone(model).fit(X, Y)
    for init in (
        {"coef_init": W, "intercept_init": B},
        {"coef_init": W, "intercept_init": 0.0},
        {"coef_init": W},
        {"intercept_init": B},
    ):
        kept = {"coef_init": before.coef_, "intercept_init": before.intercept_}
        expected = clone(model).fit(X, Y, **{**kept, **init})
        resumed = copy.deepcopy(before).set_params(warm_start=True).fit(X, Y, **init)
        assert_same(resumed, expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_starts_from_weights_changed_by_hand(solver):
    model = model_of(solver, max_iter=1, warm_start=True).fit(X, Y)
    model.coef_[0], model.intercept_ = W, np.array([B])
    expected = model_of(solver, max_iter=1).fit(X, Y, coef_init=W, intercept_init=B)
    assert_same(model.fit(X, Y), expected)


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("solver", SOLVERS),
)
def test_warm_start_on_another_number_of_features_is_an_error(solver, container):
    model = model_of(solver, max_iter=1, warm_start=True).fit(X, Y)
    before = model.coef_.copy(), model.intercept_.copy()
    message = "X has 2 features, but warm_start=True starts from a fit on 3"
    with pytest.raises(ValueError, match=message):
        model.fit(container(X[:, :2]), Y)
    assert model.n_features_in_ == 3
    assert_array_equal(model.coef_, before[0])
    assert_array_equal(model.intercept_, before[1])
    model.fit(container(X[:, :2]), Y, coef_init=W[:2])  # there is nothing to take over
    assert model.coef_.shape == (1, 2)


def test_warm_start_goes_on_from_a_stream():
    model = model_of("sgd", C=np.inf, max_iter=4, warm_start=True)
    at_once = clone(model).set_params(max_iter=5).fit(X, Y)
    for rows in (slice(20), slice(20, 60)):
        model.partial_fit(X[rows], Y[rows], [0, 1])
    assert_same(model.fit(X, Y), at_once)


# --- after Ctrl-C ---


def on_call(k, function):
    """Return a function that calls the given one, and raises KeyboardInterrupt in the k-th call."""
    calls = []

    def counted(*arguments, **named):
        calls.append(1)
        if len(calls) == k:
            raise KeyboardInterrupt
        return function(*arguments, **named)

    return counted


@pytest.mark.parametrize("penalty", PENALTIES[:2])
@pytest.mark.parametrize("solver", ["gd", "sgd"])
def test_warm_start_goes_on_after_ctrl_c(solver, penalty, monkeypatch):
    model = model_of(solver, max_iter=10, warm_start=True, **penalty)
    at_once = clone(model).fit(X, Y)
    # The fifth call: gd's first is for the start, sgd's are passes.
    owner, name = InMemoryObjective, "evaluate"
    if solver == "sgd":
        owner, name = kernels(), "dense_sgd_pass"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, on_call(5, getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            model.fit(X, Y)
    finished = 3 if solver == "gd" else 4
    assert model.n_iter_[0] == finished
    assert_same(model.set_params(max_iter=10 - finished).fit(X, Y), at_once)
