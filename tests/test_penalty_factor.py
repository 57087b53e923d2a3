"""Penalty factors against glum, the conditions of optimality, and fits without the column.

The expected values are those of `test_coef_bounds`: F as the API states it, its minimum in scipy
and NumPy, and `kkt_excess`. In glum, P1 and P2 are the factors, and alpha stands for 1/(C·S).
"""

import pickle
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import covering, each_value, every_pair
from glum import GeneralizedLinearRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import estimator_html_repr
from test_agreement import random_weights, total_weights
from test_coef_bounds import (
    CONTAINERS,
    OPTIMAL,
    TIGHT,
    assert_close,
    assert_minimum,
    assert_raises_and_changes_nothing,
    correlated,
    fitted_or_not,
    in_odd_units,
    kkt_excess,
    load,
    minimum_of,
    overlapping,
    sparse_columns,
    stated,
    tall,
    wide,
)

from sklearn_bce import BCENeuronClassifier, fit_from_chunks, l1_min_c

RATIOS = (0.0, 0.5, 1.0)


def uneven(n):
    return np.geomspace(0.1, 10, n)


def some_0(n):
    return np.where(np.arange(n) % 7 == 1, 0.0, 1.0)


def some_inf(n):
    return np.where(np.arange(n) % 3 == 2, np.inf, uneven(n))


def all_kinds(n):
    return np.choose(np.arange(n) % 10 % 4, [np.full(n, 0.5), np.zeros(n), uneven(n), some_inf(n)])


def all_0(n):
    return np.zeros(n)


FACTORS = [uneven, some_0, some_inf, all_kinds, all_0]


class Problem(NamedTuple):
    """Data and parameters of F."""

    data: object
    factors: object
    C: float = 0.3
    l1_ratio: float = 0.0
    standardize: bool = False
    fit_intercept: bool = True
    weighted: bool = False

    def __str__(self):
        words = [self.data.__name__, self.factors.__name__, f"C={self.C:g}", f"{self.l1_ratio:g}"]
        words += ["standardised"] * self.standardize + ["no-intercept"] * (not self.fit_intercept)
        return "-".join(words + ["weighted"] * self.weighted)

    @property
    def weights(self):
        return random_weights(load(self.data)[1]) if self.weighted else None

    @property
    def params(self):
        return {
            "C": self.C,
            "l1_ratio": self.l1_ratio,
            "standardize": self.standardize,
            "fit_intercept": self.fit_intercept,
            "penalty_factor": self.factors(load(self.data)[0].shape[1]),
        }


@cache
def stated_problem(problem):
    return stated(*load(problem.data), problem.weights, **problem.params)


@cache
def reference(problem):
    return minimum_of(stated_problem(problem))


def fit(problem, container=np.asarray, **params):
    X, y = load(problem.data)
    model = BCENeuronClassifier(**TIGHT | problem.params | params)
    return model.fit(container(X), y, sample_weight=problem.weights)


def fit_to(container, model, X, y):
    """Fit to X in a container, or in three chunks."""
    if container != "chunks":
        return model.fit(CONTAINERS[container](X), y)
    parts = np.array_split(np.arange(len(y)), 3)
    return fit_from_chunks(model, lambda: ((X[rows], y[rows]) for rows in parts))


# The minimum.

# Any two values of two parameters occur together in one of the problems.
GRID = [
    (Problem(*values), container)
    for *values, container in [
        *covering(
            (overlapping, correlated, sparse_columns, in_odd_units),
            FACTORS,
            (1e-3, 0.3, 30.0),
            RATIOS,
            (False, True),
            (True, False),
            (False, True),
            CONTAINERS,
        ),
        # With more than a few unpenalised columns the 30 samples would be separated.
        *covering(
            (wide,),
            (uneven, some_inf),
            (0.01, 1.0),
            RATIOS,
            (False, True),
            (True, False),
            (False,),
            CONTAINERS,
        ),
        *covering(
            (tall,),
            (some_0, all_kinds),
            (1e-5, 1.0),
            RATIOS,
            (False, True),
            (True, False),
            (True,),
            ("dense-C", "CSR"),
        ),
    ]
]


@pytest.mark.parametrize(("problem", "container"), GRID, ids=str)
def test_newton_reaches_the_minimum_with_factors(problem, container):
    model = fit(problem, CONTAINERS[container])
    assert_minimum(model, stated_problem(problem), reference(problem))
    assert_array_equal(model.coef_[0][np.isinf(problem.params["penalty_factor"])], 0.0)


GLUM_GRID = [
    Problem(*values)
    for values in covering(
        (correlated, sparse_columns, wide),
        (uneven, some_0),
        (0.03, 1.0),
        RATIOS,
        (False, True),
        (True, False),
        (False, True),
    )
    if values[:2] != (wide, some_0)
]


@pytest.mark.filterwarnings("ignore:Line search failed:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("problem", GLUM_GRID, ids=str)
def test_newton_reaches_the_minimum_of_glum_with_factors_as_P1_and_P2(problem):
    """In glum, scale_predictors divides by weighted deviations, too; not without an intercept."""
    X, y = load(problem.data)
    F, factors = stated_problem(problem), problem.params["penalty_factor"]
    if problem.standardize and not problem.fit_intercept:
        scales = np.sqrt(np.average(X**2, axis=0, weights=problem.weights))
        P1, P2 = factors * scales, factors * scales**2
    else:
        P1 = P2 = factors
    glum = GeneralizedLinearRegressor(
        family="binomial",
        alpha=1 / (problem.C * F.s.sum()),
        l1_ratio=problem.l1_ratio,
        P1=P1,
        P2=P2,
        fit_intercept=problem.fit_intercept,
        gradient_tol=1e-12,
        max_iter=300,
        scale_predictors=problem.standardize and problem.fit_intercept,
    ).fit(X, y, sample_weight=problem.weights)
    assert kkt_excess(F, glum.coef_, glum.intercept_) <= OPTIMAL / 100
    assert_minimum(fit(problem), F, (glum.coef_, glum.intercept_))


@every_pair(
    pytest.mark.parametrize("standardize", [False, True]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("C", [0.01, 1.0]),
)
def test_the_loss_does_not_change_with_the_weight_of_an_unpenalised_column(
    C, container, l1_ratio, standardize
):
    X, y = load(correlated)
    factors = np.where(np.arange(12) < 2, 0.0, 3.0)
    params = {"C": C, "l1_ratio": l1_ratio, "standardize": standardize, "penalty_factor": factors}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    a = expit(X @ model.coef_[0] + model.intercept_[0])
    of_loss = X.T @ (a - y) / len(y)
    assert_allclose(of_loss[:2], 0, atol=1e-11)
    assert np.all(np.abs(of_loss[2:]) > 1e-6)
    assert np.all(model.coef_[0, :2] != 0)


@every_pair(
    pytest.mark.parametrize("standardize", [False, True]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("solver", ["newton", "gd"]),
    pytest.mark.parametrize("container", ["dense-C", "CSR", "chunks"]),
)
def test_a_column_with_the_factor_inf_is_a_column_left_out(
    container, solver, l1_ratio, standardize
):
    X, y = load(correlated)
    factors = np.where(np.arange(12) % 3 == 0, np.inf, 1.5)
    kept = np.isfinite(factors)
    params = {"C": 0.5, "l1_ratio": l1_ratio, "standardize": standardize, "solver": solver}
    params |= TIGHT if solver == "newton" else {"tol": 0, "max_iter": 50}  # the same steps
    model = BCENeuronClassifier(penalty_factor=factors, **params)
    without = BCENeuronClassifier(penalty_factor=factors[kept], **params).fit(X[:, kept], y)
    fit_to(container, model, X, y)
    assert_array_equal(model.coef_[0, ~kept], 0.0)
    F = stated(X[:, kept], y)
    found = model.coef_[0, kept], model.intercept_[0]
    assert_close(*found, without.coef_[0], without.intercept_[0], F)


def test_factors_that_drop_every_feature_are_an_error():
    X, y = load(correlated)
    with pytest.raises(ValueError, match="penalty_factor is inf for every feature"):
        BCENeuronClassifier(penalty_factor=np.full(12, np.inf)).fit(X, y)


def test_a_dropped_column_is_dropped_without_a_penalty_too():
    """Its values, which would separate the classes, do not matter."""
    X, y = load(overlapping)
    factors = np.array([1, 1, 1, 1, 1, np.inf])
    model = BCENeuronClassifier(C=np.inf, penalty_factor=factors, **TIGHT)
    model.fit(np.column_stack([X, y]), y)  # does not warn
    F = stated(X, y, C=np.inf)
    assert model.coef_[0, 5] == 0
    assert model.converged_
    assert_close(model.coef_[0, :5], model.intercept_[0], *minimum_of(F), F)


def test_factors_are_used_as_given_and_not_rescaled():
    """All factors k are C divided by k; glmnet would rescale their sum to n_features."""
    X, y = load(correlated)
    for l1_ratio in RATIOS:
        F = stated(X, y, C=0.05, l1_ratio=l1_ratio)
        model = BCENeuronClassifier(
            C=0.5, l1_ratio=l1_ratio, penalty_factor=np.full(12, 10.0), **TIGHT
        )
        assert_minimum(model.fit(X, y), F)


def test_factors_by_name_are_the_factors_of_these_columns():
    X, y = load(correlated)
    frame = pd.DataFrame(X, columns=[f"column {j}" for j in range(12)])
    by_name = {"column 10": 0, "column 3": 7.5, "column 0": np.inf}
    factors = np.ones(12)
    factors[[10, 3, 0]] = 0, 7.5, np.inf
    for l1_ratio in RATIOS:
        params = {"C": 0.2, "l1_ratio": l1_ratio}
        model = BCENeuronClassifier(penalty_factor=by_name, **TIGHT | params).fit(frame, y)
        assert_minimum(model, stated(X, y, penalty_factor=factors, **params))
        assert model.penalty_factor is by_name
    empty = BCENeuronClassifier(penalty_factor={}, **TIGHT).fit(frame, y)
    assert_minimum(empty, stated(X, y))


@pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series, np.float32])
def test_factors_of_any_array_kind_are_the_same(kind):
    X, y = load(overlapping)
    factors = [0.0, 1.5, np.inf, 2.0, 0.25]
    expected = BCENeuronClassifier(penalty_factor=np.array(factors)).fit(X, y)
    model = BCENeuronClassifier(penalty_factor=kind(factors)).fit(X, y)
    assert_array_equal(model.coef_, expected.coef_)


# Other ways to fit.

CHUNKED = [
    Problem(*values)
    for values in covering(
        (overlapping, correlated, sparse_columns, in_odd_units),
        (uneven, some_0, some_inf),
        (1e-2, 1.0),
        RATIOS,
        (False, True),
        (True, False),
        (False, True),
    )
]


@pytest.mark.parametrize("problem", CHUNKED, ids=str)
def test_chunks_reach_the_minimum_with_factors(problem):
    X, y = load(problem.data)
    arrays = (X, y) if problem.weights is None else (X, y, problem.weights)
    kind = sp.csr_array if problem.data is sparse_columns else np.asarray

    def chunks():
        for rows in np.array_split(np.arange(len(y)), 5):
            yield kind(X[rows]), *(each[rows] for each in arrays[1:])

    model = fit_from_chunks(BCENeuronClassifier(**TIGHT | problem.params), chunks)
    assert_minimum(model, stated_problem(problem), reference(problem))


@pytest.mark.parametrize("problem", CHUNKED[::4], ids=str)
def test_dask_reaches_the_minimum_with_factors(problem):
    da, dask = pytest.importorskip("dask.array"), pytest.importorskip("dask")
    from sklearn_bce.dask import DaskBCENeuronClassifier

    X, y = load(problem.data)
    weights = np.ones(len(y)) if problem.weights is None else problem.weights
    x = da.from_array(X, chunks=(100, X.shape[1]))
    y, weights = (da.from_array(each, chunks=100) for each in (y, weights))
    with dask.config.set(scheduler="synchronous"):
        model = DaskBCENeuronClassifier(**TIGHT | problem.params).fit(x, y, weights)
    assert_minimum(model, stated_problem(problem), reference(problem))


GD_GRID = [
    (Problem(*values), container)
    for *values, container in covering(
        (correlated, sparse_columns),
        (uneven, some_0, some_inf, all_kinds),
        (0.3,),
        RATIOS,
        (False, True),
        (True, False),
        (False, True),
        ("dense-C", "CSR"),
    )
]


@pytest.mark.parametrize(("problem", "container"), GD_GRID, ids=str)
def test_gd_reaches_the_minimum_with_factors(problem, container):
    model = fit(problem, CONTAINERS[container], solver="gd", tol=0, max_iter=5000)
    F = stated_problem(problem)
    assert kkt_excess(F, model.coef_[0], model.intercept_[0]) <= OPTIMAL
    assert_close(model.coef_[0], model.intercept_[0], *reference(problem), F)


def plain_sgd(X, y, s, eta, passes, *, C, l1_ratio, factors, scales, fit_intercept):
    """Update by each sample, with ridge (1−ρ)fσ²/(CS) and then soft thresholds ηsρfσ/(CS)."""
    dropped, f = np.isinf(factors), np.where(np.isinf(factors), 0, factors)
    ridge = (1 - l1_ratio) / (C * s.sum()) * f * scales**2
    lasso = l1_ratio / (C * s.sum()) * f * scales
    w, b = np.zeros(X.shape[1]), 0.0
    for x, target, weight in [*zip(X, y, s, strict=True)] * passes:
        step = eta * weight
        error = target - expit(x @ w + b)
        w = w + step * (error * x - ridge * w)
        w = np.where(dropped, 0, np.sign(w) * np.maximum(np.abs(w) - step * lasso, 0))
        b += step * error if fit_intercept else 0.0
    return w, b


@every_pair(
    pytest.mark.parametrize("standardize", [False, True]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("learning_rate", [0.1, 0.01]),
    pytest.mark.parametrize("factors", [uneven, some_0, some_inf, all_kinds]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("data", [correlated, sparse_columns]),
)
def test_sgd_in_order_follows_the_rule_with_factors(
    data, l1_ratio, factors, learning_rate, container, fit_intercept, standardize
):
    X, y = load(data)
    s, f = random_weights(y), factors(X.shape[1])
    centres = np.average(X, axis=0, weights=s) if fit_intercept else 0
    scales = np.sqrt(np.average((X - centres) ** 2, axis=0, weights=s)) if standardize else 1.0
    params = {"C": 0.1, "l1_ratio": l1_ratio, "fit_intercept": fit_intercept}
    w, b = plain_sgd(X, y, s, learning_rate, 2, factors=f, scales=scales, **params)
    model = BCENeuronClassifier(
        solver="sgd",
        learning_rate=learning_rate,
        shuffle=False,
        tol=0,
        max_iter=2,
        penalty_factor=f,
        standardize=standardize,
        **params,
    ).fit(CONTAINERS[container](X), y, sample_weight=s)
    assert_allclose(model.coef_[0], w, rtol=0, atol=1e-11 * np.abs(w).max())
    assert_allclose(model.intercept_[0], b, rtol=0, atol=1e-11)
    assert_array_equal(model.coef_[0] == 0, w == 0)


@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_partial_fit_of_all_samples_is_a_pass_of_sgd_with_factors(l1_ratio):
    X, y = load(correlated)
    f = all_kinds(12)
    params = {"solver": "sgd", "learning_rate": 0.05, "shuffle": False, "tol": 0, "max_iter": 1}
    model = BCENeuronClassifier(C=0.1, l1_ratio=l1_ratio, penalty_factor=f, **params)
    w, b = plain_sgd(
        X, y, np.ones(400), 0.05, 1, C=0.1, l1_ratio=l1_ratio, factors=f, scales=1.0,
        fit_intercept=True,
    )  # fmt: skip
    model.partial_fit(X, y, classes=[0, 1])
    assert_allclose(model.coef_[0], w, rtol=0, atol=1e-11 * np.abs(w).max())
    assert_allclose(model.intercept_[0], b, rtol=0, atol=1e-11)
    assert_array_equal(model.coef_[0] == 0, w == 0)


# It is open whether a weight that a factor of inf moves to 0 is told.
@pytest.mark.filterwarnings("ignore:.*penalty_factor:UserWarning")
@pytest.mark.parametrize("data", [correlated, sparse_columns])
@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_a_warm_start_along_C_and_factors_reaches_each_minimum(l1_ratio, data):
    X, y = load(data)
    n = X.shape[1]
    model = BCENeuronClassifier(warm_start=True, l1_ratio=l1_ratio, **TIGHT)
    for C, factors in [(0.03, uneven), (0.3, uneven), (0.3, some_inf), (0.1, some_0), (3, uneven)]:
        model.set_params(C=C, penalty_factor=factors(n)).fit(X, y)
        F = stated(X, y, C=C, l1_ratio=l1_ratio, penalty_factor=factors(n))
        assert_minimum(model, F)


# Separated classes.


def separated_by_the_first():
    rng = np.random.default_rng(21)
    X = rng.normal(size=(80, 4))
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += np.where(y == 1, 0.2, -0.2)
    return X, y


@every_pair(
    pytest.mark.parametrize("standardize", [False, True]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR", "chunks"]),
    pytest.mark.parametrize("free", [[0], [0, 2]]),
)
def test_classes_separated_along_an_unpenalised_column_warn(free, container, l1_ratio, standardize):
    X, y = separated_by_the_first()
    factors = np.ones(4)
    factors[free] = 0
    model = BCENeuronClassifier(l1_ratio=l1_ratio, standardize=standardize, penalty_factor=factors)
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        fit_to(container, model, X, y)
    assert model.stop_reason_ == "no_minimum"
    assert model.coef_[0, 0] > 3


@every_pair(
    pytest.mark.parametrize("C", [1e-3, 1.0, 30.0]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("free", [[1], [1, 2, 3]]),
)
def test_classes_separated_along_penalised_columns_only_have_a_minimum(
    free, container, l1_ratio, C
):
    """No warning: warnings are errors here."""
    X, y = separated_by_the_first()
    factors = np.full(4, 0.5)
    factors[free] = 0
    params = {"C": C, "l1_ratio": l1_ratio, "penalty_factor": factors}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    assert_minimum(model, stated(X, y, **params))
    assert model.stop_reason_ != "no_minimum"


def test_two_unpenalised_columns_that_only_together_separate_warn():
    rng = np.random.default_rng(22)
    common, gap = 3 * rng.normal(size=120), rng.normal(size=120)
    y = (gap > 0).astype(int)
    gap += np.where(y == 1, 0.3, -0.3)
    X = np.column_stack([common + gap / 2, common - gap / 2, rng.normal(size=120)])
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        model = BCENeuronClassifier(penalty_factor=[0, 0, 1]).fit(X, y)
    assert model.stop_reason_ == "no_minimum"
    for factors in ([0, 1, 0], [1, 0, 0]):  # the other column is penalised
        model = BCENeuronClassifier(penalty_factor=factors, **TIGHT).fit(X, y)
        assert_minimum(model, stated(X, y, penalty_factor=factors))


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize("container", ["dense-C", "CSR"])
def test_unpenalised_copies_share_a_minimum(container, l1_ratio):
    """No weights are the only ones there: F and the conditions of optimality decide."""
    X, y = load(correlated)
    X = np.round(X * 2**10) / 2**10  # so that the combination of columns is exact
    X = np.column_stack([X[:, :4], X[:, :2], X[:, 0] - 2 * X[:, 3]])
    params = {"l1_ratio": l1_ratio, "penalty_factor": np.array([0, 0, 1, 0, 0, 2, 0.0])}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    F = stated(X, y, **params)
    found = model.coef_[0], model.intercept_[0]
    assert model.converged_
    assert kkt_excess(F, *found) <= OPTIMAL
    assert_allclose(F.value(*found), F.value(*minimum_of(F)), rtol=1e-14)
    # The copy that is penalised is not needed, as the first copy is free.
    assert_allclose(found[0][5], 0, atol=1e-9)


# The largest C at which all penalised weights are 0.


@every_pair(
    pytest.mark.parametrize("standardize", [False, True]),
    pytest.mark.parametrize("l1_ratio", [0.5, 1.0]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("weighted", [False, True]),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("class_weight", [None, {0: 0.3, 1: 2.5}]),
    pytest.mark.parametrize("factors", [None, uneven, some_0, some_inf, all_kinds]),
)
def test_l1_min_c_is_the_largest_C_without_penalised_weights(
    factors, class_weight, container, weighted, fit_intercept, l1_ratio, standardize
):
    """There κfⱼσⱼ = |gⱼ| for one weight, where the unpenalised ones are at their own minimum."""
    X, y = load(correlated)
    f = np.ones(12) if factors is None else factors(12)
    weight = random_weights(y) if weighted else None
    s = total_weights(y, weight, class_weight)
    free = stated(X[:, f == 0], y, s, C=np.inf, fit_intercept=fit_intercept)
    w, b = minimum_of(free)
    slope = np.abs(X.T @ (s * (expit(X[:, f == 0] @ w + b) - y)))
    centres = np.average(X, axis=0, weights=weight) if fit_intercept else 0
    scales = np.sqrt(np.average((X - centres) ** 2, axis=0, weights=weight)) if standardize else 1
    penalised = (f > 0) & np.isfinite(f)
    expected = l1_ratio * np.min((f * scales)[penalised] / slope[penalised])
    params = {
        "l1_ratio": l1_ratio,
        "fit_intercept": fit_intercept,
        "class_weight": class_weight,
        "standardize": standardize,
        "penalty_factor": factors and f,
    }
    data = CONTAINERS[container](X), y
    C = l1_min_c(*data, sample_weight=weight, **params)
    assert_allclose(C, expected, rtol=1e-8)
    at, above = (
        BCENeuronClassifier(C=C * times, **TIGHT | params).fit(*data, sample_weight=weight)
        for times in (1 - 1e-7, 1.001)
    )
    assert_array_equal(at.coef_[0, f > 0], 0.0)
    assert_close(at.coef_[0, f == 0], at.intercept_[0], w, b, free)
    assert np.any(above.coef_[0, f > 0] != 0)


# Errors, and arrays as parameters.

SMALL = np.random.default_rng(0).normal(size=(30, 3))
SMALL_Y = np.arange(30) % 2
BAD_FACTORS = {
    "negative": [1, -1e-9, 1],
    "negative inf": [1, -np.inf, 1],
    "NaN": [1, np.nan, 1],
    "too long": [1, 1, 1, 1],
    "too short": [1, 1],
    "2-d": np.ones((1, 3)),
    "one number": 1.0,
    "text": "ones",
    "texts": ["a", "b", "c"],
    "names without names in X": {"a": 1.0},
}
BAD_NAMED = {
    "unknown name": ({"a": 1.0, "unheard": 2.0}, "unheard"),
    "negative": ({"b": -1.0}, "b"),
    "NaN": ({"b": np.nan}, "b"),
    "no number": ({"b": "much"}, "b"),
    "array": ({"b": [1.0, 2.0]}, "b"),
}
CALLS = {
    "fit": ({}, lambda model: model.fit(SMALL, SMALL_Y)),
    "fit by gd": ({"solver": "gd"}, lambda model: model.fit(SMALL, SMALL_Y)),
    "fit by sgd": ({"solver": "sgd"}, lambda model: model.fit(SMALL, SMALL_Y)),
    "partial_fit": ({}, lambda model: model.partial_fit(SMALL, SMALL_Y, classes=[0, 1])),
    "chunks": ({}, lambda model: fit_from_chunks(model, lambda: iter([(SMALL, SMALL_Y)]))),
}


@fitted_or_not
@each_value(
    pytest.mark.parametrize("call", CALLS),
    pytest.mark.parametrize("case", BAD_FACTORS),
)
def test_bad_factors_raise_and_change_nothing(case, call, fitted):
    params, call = CALLS[call]
    model = BCENeuronClassifier()
    model = model.fit(SMALL, SMALL_Y) if fitted else model
    model.set_params(penalty_factor=BAD_FACTORS[case], **params)
    assert_raises_and_changes_nothing(model, (ValueError, TypeError), "penalty_factor", call)


@pytest.mark.parametrize("case", BAD_NAMED)
def test_bad_factors_by_name_raise_and_name_the_feature(case):
    factors, name = BAD_NAMED[case]
    frame = pd.DataFrame(SMALL, columns=list("abc"))
    assert_raises_and_changes_nothing(
        BCENeuronClassifier(penalty_factor=factors),
        (ValueError, TypeError),
        f"(?s)(?=.*penalty_factor).*{name}",
        lambda model: model.fit(frame, SMALL_Y),
    )


@pytest.mark.parametrize("case", BAD_FACTORS)
def test_l1_min_c_of_bad_factors_is_an_error(case):
    with pytest.raises((ValueError, TypeError), match="penalty_factor"):
        l1_min_c(SMALL, SMALL_Y, penalty_factor=BAD_FACTORS[case])


def test_arrays_as_parameters_survive_clone_get_params_repr_and_pickle():
    factors = np.array([0.0, 2.0, np.inf])
    bounds = (np.array([0.0, -1.0, -np.inf]), np.array([np.inf, 1.0, np.inf]))
    model = BCENeuronClassifier(penalty_factor=factors, coef_bounds=bounds, standardize=True)
    assert model.get_params()["penalty_factor"] is factors
    assert model.get_params()["coef_bounds"] is bounds
    for copied in (clone(model), pickle.loads(pickle.dumps(model))):
        assert_array_equal(copied.penalty_factor, factors)
        assert_array_equal(copied.coef_bounds, bounds)
        assert copied.standardize is True
    model.fit(SMALL, SMALL_Y)
    assert model.penalty_factor is factors
    assert_array_equal(factors, [0, 2, np.inf])
    for again in (clone(model).fit(SMALL, SMALL_Y), pickle.loads(pickle.dumps(model))):
        assert_array_equal(again.coef_, model.coef_)
        assert_array_equal(again.predict_proba(SMALL), model.predict_proba(SMALL))
    for text in (repr(model), estimator_html_repr(model)):
        assert "penalty_factor" in text
    with config_context(print_changed_only=False):
        assert "penalty_factor=array([ 0.,  2., inf])" in repr(model)
    plain = BCENeuronClassifier()
    assert "penalty_factor" not in repr(plain)
    plain.set_params(**model.get_params()).fit(SMALL, SMALL_Y)
    assert_array_equal(plain.coef_, model.coef_)
