"""How fits by gd and sgd end: at the minimum, above it with a warning, or with an error."""

import re

import numpy as np
import pytest
import scipy.sparse as sp
from covering import each_value
from numpy.testing import assert_allclose
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from small_data import objective, random_data, solved
from test_whitening import temperatures

from sklearn_bce import BCENeuronClassifier, fit_from_chunks
from sklearn_bce._estimator.diagnostics import judge_plateau
from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._solvers.base import Plateau, StopReason

X, Y, _ = random_data(400, 4)
SOLVERS = ["gd", "sgd"]
HUGE = 1e200


def model_of(solver, **parameters):
    return BCENeuronClassifier(**{"solver": solver, "random_state": 0, **parameters})


def mean_loss(model, X, y):
    z = X @ model.coef_[0] + model.intercept_[0]
    return np.mean(np.logaddexp(0, z) - y * z)


def least_mean_loss(X, y):
    exact = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky", max_iter=1000)
    return mean_loss(exact.fit(X, y), X, y)


def distance_in(message):
    return float(re.search(r"about (\S+) nats above its minimum", str(message))[1])


def raw_units():
    """An income, a balance and two columns of 0 and 1."""
    rng = np.random.default_rng(0)
    income, balance = rng.lognormal(10.5, 0.5, 2000), rng.normal(2000, 3000, 2000)
    flags = rng.integers(0, 2, (2000, 2))
    z = (income - 40_000) / 30_000 + balance / 5000 + flags @ [2.0, -1.0]
    y = (rng.logistic(size=2000) < z).astype(int)
    return np.column_stack([income, balance, flags]), y


# ----- rising -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("solver", "learning_rate"),
    [("gd", 1e2), ("gd", 1e3), ("gd", 1e10), ("sgd", 10.0), ("sgd", 1e2), ("sgd", 1e6)],
)
@pytest.mark.parametrize("max_iter", [3, 100])
def test_loss_that_has_risen_is_an_error_that_names_the_step(solver, learning_rate, max_iter):
    model = model_of(solver, C=np.inf, learning_rate=learning_rate, max_iter=max_iter)
    message = r"risen from 0\.693 to \S+ nats after pass \d+: learning_rate="
    with pytest.raises(ValueError, match=message + re.escape(str(learning_rate))):
        model.fit(X, Y)
    assert not hasattr(model, "coef_")


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("parameters", [{"tol": 0}, {"early_stopping": True}]),
)
def test_the_plain_rule_and_early_stopping_may_rise(solver, parameters):
    model = model_of(solver, learning_rate=20.0, max_iter=20, **parameters).fit(X, Y)
    assert max(model.loss_curve_) > np.log(2)


@pytest.mark.parametrize("learning_rate", [0.05, 0.5])
def test_fit_by_sgd_from_its_own_end_is_no_divergence(learning_rate):
    """The weights fluctuate around the minimum, and F rises in about half of the fits."""
    model = model_of("sgd", learning_rate=learning_rate, warm_start=True, max_iter=10)
    rises = []
    for seed in range(6):
        before = mean_loss(model, X, Y) if seed else np.log(2)
        with pytest.warns(ConvergenceWarning):
            model.set_params(random_state=seed).fit(X, Y)
        rises.append(mean_loss(model, X, Y) > before)
    assert any(rises)


@pytest.mark.parametrize("solver", SOLVERS)
def test_automatic_step_from_the_minimum_is_no_divergence(solver):
    model = model_of(solver, max_iter=1000, tol=1e-9)
    exact = BCENeuronClassifier(tol=1e-14).fit(X, Y)
    model.fit(X, Y, coef_init=exact.coef_, intercept_init=exact.intercept_)
    assert model.converged_
    assert_allclose(model.coef_, exact.coef_, rtol=1e-3)


@pytest.mark.parametrize("size", [1e160, 1e180, 1e300])
def test_a_plateau_where_the_penalty_overflows_is_no_minimum(size):
    X, y, weight = random_data()
    problem, parameters = objective((X, y, weight), 1.0), BCENeuronClassifier().get_params()
    with np.errstate(over="ignore"):  # as in a fit
        reason = judge_plateau(problem, Parameters(**parameters), np.full(3, size), 0.0)
    assert reason is StopReason.STALLED


# ----- stalling ---------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS)
def test_fit_that_creeps_in_raw_units_warns_with_the_distance(solver):
    raw, y = raw_units()
    with pytest.warns(ConvergenceWarning, match=r"scale the features.*newton") as caught:
        model = model_of(solver, C=np.inf).fit(raw, y)
    assert model.converged_ is False
    assert model.stop_reason_ in {"stalled", "max_iter"}
    distance = mean_loss(model, raw, y) - least_mean_loss(raw, y)
    assert distance > 0.05
    assert distance_in(caught[0].message) == pytest.approx(distance, rel=0.3)


@pytest.mark.parametrize("solver", SOLVERS)
def test_fit_whose_penalty_decides_the_step_warns(solver):
    """The intercept moves by 1/C less than the step of the weights."""
    y = (np.arange(400) % 4 == 0).astype(int)
    with pytest.warns(ConvergenceWarning, match="newton") as caught:
        model = model_of(solver, C=1e-7).fit(X, y)
    # All weights are 0, and the minimum over the intercept is the entropy of 1/4.
    entropy = -(np.log(0.25) / 4 + 3 * np.log(0.75) / 4)
    distance = mean_loss(model, X, y) - entropy
    assert distance > 0.05
    assert distance_in(caught[0].message) == pytest.approx(distance, rel=0.3)


def test_sgd_that_fluctuates_above_the_minimum_has_stalled():
    with pytest.warns(ConvergenceWarning, match="smaller learning_rate.*newton") as caught:
        model = model_of("sgd", learning_rate=0.1, C=np.inf, max_iter=1000).fit(X, Y)
    assert model.stop_reason_ == "stalled"
    assert model.n_iter_[0] < 100
    distance = mean_loss(model, X, Y) - least_mean_loss(X, Y)
    assert distance_in(caught[0].message) == pytest.approx(distance, rel=0.3)
    assert "n_iter_no_change=5 of them without an improvement" in str(caught[0].message)


def test_a_distance_that_newton_does_not_find_is_called_a_lower_bound():
    """Celsius and Fahrenheit: float64 does not resolve the minimum without a penalty."""
    X, y = temperatures()
    model = model_of("gd", C=np.inf, max_iter=20)
    with pytest.warns(ConvergenceWarning, match=r"objective at least \S+ nats above its minimum"):
        model.fit(X, y)


@pytest.mark.parametrize("learning_rate", ["auto", 0.1])
@pytest.mark.parametrize("solver", SOLVERS)
def test_fit_that_stays_at_huge_weights_has_stalled(solver, learning_rate):
    """The curvature of F is 0 there, and F is above log 2, its value at zeros."""
    model = model_of(solver, C=np.inf, learning_rate=learning_rate)
    with pytest.warns(ConvergenceWarning, match=r"about \S+e\+199 nats above"):
        model.fit(X, Y, coef_init=np.full(4, HUGE))
    assert model.stop_reason_ == "stalled"
    assert not model.converged_


def test_outlier_that_stops_sgd_is_told():
    spoilt = X.copy()
    spoilt[3, 1] = 1e9
    with pytest.warns(ConvergenceWarning, match="newton"):
        model = model_of("sgd").fit(spoilt, Y)
    assert not model.converged_


# ----- resting ----------------------------------------------------------------------------------


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("container", [np.asarray, sp.csr_array]),
    pytest.mark.parametrize("tol", [1e-4, 1e-6, 1e-9]),
)
def test_fit_that_has_converged_is_within_tol_of_the_minimum(solver, container, tol):
    model = model_of(solver, C=np.inf, tol=tol, max_iter=2000).fit(container(X), Y)
    assert model.converged_
    assert model.stop_reason_ == "tol"
    assert mean_loss(model, X, Y) - least_mean_loss(X, Y) <= 1.5 * tol
    assert model.n_iter_[0] < 500


def test_slow_descent_goes_on_to_the_minimum():
    """Each pass lowers F by less than tol, and F is still far above its minimum."""
    model = model_of("gd", C=np.inf, learning_rate=1e-3, tol=1e-3, max_iter=100_000).fit(X, Y)
    assert model.converged_
    assert mean_loss(model, X, Y) - least_mean_loss(X, Y) < 1.5e-3
    assert -np.diff(model.loss_curve_)[0] < 1e-3 < model.loss_curve_[0] - model.loss_curve_[-1]


def test_minimum_below_tol_is_rounding():
    model = model_of("gd", tol=1e-25, max_iter=100_000).fit(X, Y)
    assert model.converged_
    assert model.stop_reason_ in {"tol", "rounding"}


def test_fit_to_chunks_is_judged_too():
    def chunks():
        return ((X[rows], Y[rows]) for rows in np.split(np.arange(400), 4))

    model = fit_from_chunks(model_of("gd", C=np.inf, max_iter=1000), chunks)
    assert model.converged_
    assert mean_loss(model, X, Y) - least_mean_loss(X, Y) < 1.5e-6
    raw, y = raw_units()
    with pytest.warns(ConvergenceWarning, match="newton"):
        fit_from_chunks(model_of("gd", C=np.inf), lambda: [(raw, y)])


# ----- plateaus ---------------------------------------------------------------------------------


def weights():
    return np.zeros(1), 0.0


def test_plateau_on_which_the_loss_falls_is_judged_again_after_twice_as_many_passes():
    plateau, calls = Plateau(0.1, 2), []

    def judge(w, b):
        calls.append(n_values)
        return StopReason.STALLED

    reason = StopReason.MAX_ITER
    for n_values in range(1, 100):
        value = 1 - 0.01 * min(n_values, 12)
        if plateau.reached(value):
            reason = plateau.judged(judge, weights)
        if reason is not StopReason.MAX_ITER:
            break
    assert calls == [3, 7, 15, 31]
    assert reason is StopReason.STALLED


def test_plateau_without_a_fall_ends_the_fit():
    plateau = Plateau(0.1, 2)
    assert [plateau.reached(value) for value in (1.0, 1.5, 2.0)] == [False, False, True]
    assert plateau.judged(lambda w, b: StopReason.STALLED, weights) is StopReason.STALLED


def test_judge_may_ask_to_go_on_in_any_case():
    plateau = Plateau(0.1, 2)
    ends = [plateau.reached(1.0 + k) for k in range(3)]
    assert ends == [False, False, True]
    assert plateau.judged(lambda w, b: StopReason.MAX_ITER, weights) is StopReason.MAX_ITER
    assert [plateau.reached(9.0) for _ in range(4)] == [False, False, False, True]


def test_a_solver_alone_takes_a_plateau_for_the_minimum():
    result = solved("gd", random_data(), learning_rate=1e-9, max_iter=100)
    assert result.stop_reason is StopReason.CONVERGED
    assert result.n_iter == 5
