"""Where a fit starts: coef_init, intercept_init, and warm_start, with which it goes on."""

import copy

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from small_data import F, minimum, random_data

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


def neuron_of(solver, **parameters):
    """Return a neuron that does as many passes as it is told to."""
    return BCENeuronClassifier(
        **{"solver": solver, "learning_rate": ETA, "shuffle": False, "tol": 0, **parameters}
    )


def assert_same(neuron, other):
    assert_array_equal(neuron.coef_, other.coef_)
    assert_array_equal(neuron.intercept_, other.intercept_)


def pass_from(w, b, batch, eta=ETA, C=1.0, l1_ratio=0.0):
    """Return w and b after a pass of the rule in batches, written out; gd's batch is all samples.

    The update of a batch is the mean of those of its samples, that of gd the mean by weights.
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


@pytest.mark.parametrize("init", [{}, {"coef_init": W}, {"intercept_init": B}, "both"])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(("solver", "batch_size"), [("sgd", 1), ("sgd", 16), ("gd", 60)])
def test_first_pass_is_from_the_start_that_was_given(solver, batch_size, container, penalty, init):
    init = {"coef_init": W, "intercept_init": B} if init == "both" else init
    neuron = neuron_of(solver, batch_size=batch_size, max_iter=1, **penalty)
    neuron.fit(container(X), Y, sample_weight=WEIGHT, **init)
    # gd's mean is over weights, and a batch's over samples.
    eta = ETA * len(Y) / WEIGHT.sum() if solver == "gd" else ETA
    start = init.get("coef_init", np.zeros(3)), init.get("intercept_init", 0.0)
    w, b = pass_from(*start, batch_size, eta, **penalty)
    assert_allclose(neuron.coef_[0], w, rtol=1e-10, atol=1e-15)
    assert_allclose(neuron.intercept_, [b], rtol=1e-10)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("batch_size", [1, 16])
def test_the_arrays_given_are_not_changed(solver, batch_size):
    coef, intercept = W[np.newaxis].copy(), np.array([B])
    neuron = neuron_of(solver, batch_size=batch_size, max_iter=3)
    neuron.fit(X, Y, coef_init=coef, intercept_init=intercept)
    assert_array_equal(coef[0], W)
    assert_array_equal(intercept, [B])
    assert not np.shares_memory(neuron.coef_, coef)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("start", [(W, B), (-5 * W, 0.0), (np.zeros(3), -3.0)])
def test_newton_finds_the_same_minimum_from_anywhere(container, start):
    neuron = BCENeuronClassifier(tol=1e-14)
    neuron.fit(container(X), Y, sample_weight=WEIGHT, coef_init=start[0], intercept_init=start[1])
    theta = np.append(neuron.coef_, neuron.intercept_)
    assert_allclose(theta, minimum(DATA, C=1.0), rtol=1e-6)


@pytest.mark.parametrize("l1_ratio", [0, 0.5])
@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_started_at_the_minimum_there_is_little_to_do(solver, l1_ratio):
    neuron = BCENeuronClassifier(solver=solver, l1_ratio=l1_ratio, max_iter=10_000, tol=1e-10)
    cold = clone(neuron).fit(X, Y)
    exact = clone(neuron).set_params(solver="newton", tol=1e-14).fit(X, Y)
    neuron.fit(X, Y, coef_init=exact.coef_, intercept_init=exact.intercept_)
    assert neuron.converged_
    assert neuron.n_iter_ <= (1 if solver == "newton" else neuron.n_iter_no_change)
    assert neuron.n_iter_ < cold.n_iter_
    assert_allclose(neuron.coef_, exact.coef_, rtol=1e-6)
    assert_allclose(neuron.intercept_, exact.intercept_, rtol=1e-6)


# --- warm_start ---


def assert_5_and_5_are_10(neuron, resumed, X):
    """Five passes, then five more by `resumed`, and ten at once."""
    at_once = clone(neuron).set_params(max_iter=10)
    at_once.fit(X, Y, sample_weight=WEIGHT)
    neuron.set_params(max_iter=5).fit(X, Y, sample_weight=WEIGHT)
    first = neuron.coef_.copy(), list(neuron.loss_curve_)
    resumed(neuron, X)
    assert_same(neuron, at_once)
    assert first[1] + neuron.loss_curve_ == at_once.loss_curve_
    assert neuron.n_iter_ == 5
    assert np.abs(neuron.coef_ - first[0]).max() > 1e-6  # there was something to do


def warm(neuron, X):
    neuron.set_params(warm_start=True).fit(X, Y, sample_weight=WEIGHT)


def by_hand(neuron, X):
    init = {"coef_init": neuron.coef_, "intercept_init": neuron.intercept_}
    neuron.fit(X, Y, sample_weight=WEIGHT, **init)


@pytest.mark.parametrize("resumed", [warm, by_hand])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize(
    ("solver", "parameters"),
    [("sgd", {"batch_size": size, **penalty}) for size in (1, 16) for penalty in PENALTIES]
    + [("gd", {"learning_rate": eta, **p}) for eta in (ETA, "auto") for p in PENALTIES[:2]],
)
def test_5_passes_after_5_are_10_at_once(solver, parameters, container, fit_intercept, resumed):
    neuron = neuron_of(solver, fit_intercept=fit_intercept, **parameters)
    assert_5_and_5_are_10(neuron, resumed, container(X))


@pytest.mark.parametrize("batch_size", [1, 16])
def test_shuffled_passes_go_on_with_a_random_stream(batch_size):
    stream, other = np.random.RandomState(0), np.random.RandomState(0)
    neuron = neuron_of("sgd", shuffle=True, random_state=stream, batch_size=batch_size)
    at_once = clone(neuron).set_params(random_state=other, max_iter=10).fit(X, Y)
    neuron.set_params(max_iter=5, warm_start=True).fit(X, Y).fit(X, Y)
    assert_same(neuron, at_once)


def test_newton_goes_on_step_after_step():
    """To the minimum, and when it is there it stays."""
    neuron, values = BCENeuronClassifier(max_iter=1, tol=0, warm_start=True), []
    for _ in range(10):
        neuron.fit(X, Y, sample_weight=WEIGHT)
        theta = np.append(neuron.coef_, neuron.intercept_)
        values.append(F(theta, DATA, C=1.0))
    assert values[0] - values[1] > 1e-5
    assert np.all(np.diff(values) <= 1e-15)
    assert_allclose(theta, minimum(DATA, C=1.0), rtol=1e-7)


@pytest.mark.parametrize("max_iter", [1, 2, 3, 10])
@pytest.mark.parametrize("tol", [0, 1e-10])
def test_newton_started_at_the_minimum_stays_there(tol, max_iter):
    theta = minimum(DATA, C=1.0)
    neuron = BCENeuronClassifier(max_iter=max_iter, tol=tol)
    neuron.fit(X, Y, sample_weight=WEIGHT, coef_init=theta[:-1], intercept_init=theta[-1])
    assert_allclose(np.append(neuron.coef_, neuron.intercept_), theta, rtol=1e-7)


@pytest.mark.parametrize("l1_ratio", [0, 0.5])
@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_warm_start_with_another_penalty_finds_its_minimum(solver, l1_ratio):
    neuron = BCENeuronClassifier(
        solver=solver, l1_ratio=l1_ratio, max_iter=100_000, tol=1e-14, warm_start=True
    )
    neuron.fit(X, Y)
    for C in (0.1, 10.0):
        cold = clone(neuron).set_params(C=C, solver="newton", warm_start=False).fit(X, Y)
        neuron.set_params(C=C).fit(X, Y)
        assert_allclose(neuron.coef_, cold.coef_, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_first_warm_start_is_from_zeros(solver):
    neuron = neuron_of(solver, max_iter=2)
    assert_same(clone(neuron).set_params(warm_start=True).fit(X, Y), neuron.fit(X, Y))


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_warm_start_a_fit_starts_afresh(solver):
    neuron = neuron_of(solver, max_iter=2)
    once = clone(neuron).fit(X, Y)
    assert_same(neuron.fit(X, Y).fit(X, Y), once)
    assert_same(neuron.fit(X, Y, coef_init=W).fit(X, Y), once)
    went_on = neuron.set_params(warm_start=True).fit(X, Y)
    assert np.abs(went_on.coef_ - once.coef_).max() > 1e-4


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_given_wins_over_warm_start(solver):
    neuron = neuron_of(solver, max_iter=1)
    before = clone(neuron).fit(X, Y)
    for init in (
        {"coef_init": W, "intercept_init": B},
        {"coef_init": W, "intercept_init": 0.0},
        {"coef_init": W},
        {"intercept_init": B},
    ):
        kept = {"coef_init": before.coef_, "intercept_init": before.intercept_}
        expected = clone(neuron).fit(X, Y, **{**kept, **init})
        resumed = copy.deepcopy(before).set_params(warm_start=True).fit(X, Y, **init)
        assert_same(resumed, expected)


@pytest.mark.parametrize("solver", SOLVERS)
def test_weights_changed_by_hand_are_started_from(solver):
    neuron = neuron_of(solver, max_iter=1, warm_start=True).fit(X, Y)
    neuron.coef_[0], neuron.intercept_ = W, np.array([B])
    expected = neuron_of(solver, max_iter=1).fit(X, Y, coef_init=W, intercept_init=B)
    assert_same(neuron.fit(X, Y), expected)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_warm_start_on_another_number_of_features(solver, container):
    neuron = neuron_of(solver, max_iter=1, warm_start=True).fit(X, Y)
    before = neuron.coef_.copy(), neuron.intercept_.copy()
    message = "X has 2 features, but warm_start=True starts from a fit on 3"
    with pytest.raises(ValueError, match=message):
        neuron.fit(container(X[:, :2]), Y)
    assert neuron.n_features_in_ == 3
    assert_array_equal(neuron.coef_, before[0])
    assert_array_equal(neuron.intercept_, before[1])
    neuron.fit(container(X[:, :2]), Y, coef_init=W[:2])  # there is nothing to take over
    assert neuron.coef_.shape == (1, 2)


def test_warm_start_goes_on_from_a_stream():
    neuron = neuron_of("sgd", C=np.inf, max_iter=4, warm_start=True)
    at_once = clone(neuron).set_params(max_iter=5).fit(X, Y)
    for rows in (slice(20), slice(20, 60)):
        neuron.partial_fit(X[rows], Y[rows], [0, 1])
    assert_same(neuron.fit(X, Y), at_once)


# --- after Ctrl-C ---


def on_call(k, function):
    """Return the function, the k-th call of which ends as if Ctrl-C had been pressed."""
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
    neuron = neuron_of(solver, max_iter=10, warm_start=True, **penalty)
    at_once = clone(neuron).fit(X, Y)
    # The fifth call: gd's first is for the start, sgd's are passes.
    owner, name = InMemoryObjective, "evaluate"
    if solver == "sgd":
        owner, name = kernels(), "dense_sgd_pass"
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, on_call(5, getattr(owner, name)))
        with pytest.raises(KeyboardInterrupt):
            neuron.fit(X, Y)
    finished = 3 if solver == "gd" else 4
    assert neuron.n_iter_ == finished
    assert_same(neuron.set_params(max_iter=10 - finished).fit(X, Y), at_once)
