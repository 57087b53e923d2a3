"""Penalty factors against glum, the conditions of optimality, and fits without the column.

In glum, P1 and P2 are the factors.
"""

import pickle

import numpy as np
import pandas as pd
import pytest
from covering import covering, each_once, each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.naive_bayes import GaussianNB
from sklearn.utils import estimator_html_repr
from stated_objective import (
    CLASS_WEIGHTS,
    CONTAINERS,
    OPTIMAL,
    PARTS,
    RATIOS,
    SMALL,
    SMALL_Y,
    TIGHT,
    Problem,
    assert_close,
    assert_minimum,
    assert_raises_and_changes_nothing,
    assert_solved,
    assert_solved_without_convergence,
    correlated,
    fit,
    fit_in,
    glum_of,
    in_odd_units,
    kkt_excess,
    load,
    minimum_of,
    objective_of,
    overlapping,
    plain_sgd,
    random_weights,
    separated_by_a_difference,
    separated_by_the_first,
    sparse_columns,
    stated,
    tall,
    total_weights,
    wide,
)

from sklearn_bce import BCENeuronClassifier, fit_from_chunks, l1_min_c


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


def with_factors(data, factors, C, l1_ratio, standardize, fit_intercept, weighted):
    return Problem(
        data, C, l1_ratio, fit_intercept, weighted, standardize=standardize, factors=factors
    )


# The minimum.

# Any two values of two parameters occur together in one of the problems of the first covering.
GRID = [
    (with_factors(*values), kind)
    for *values, kind in [
        *covering(
            (overlapping, correlated, sparse_columns, in_odd_units),
            FACTORS,
            (1e-3, 0.3, 30.0),
            RATIOS,
            (False, True),
            (True, False),
            (False, True),
            (*CONTAINERS, *PARTS),
        ),
        # With more than a few unpenalised columns the 30 samples would be separated.
        *each_once(
            (wide,),
            (uneven, some_inf),
            (0.01, 1.0),
            RATIOS,
            (False, True),
            (True, False),
            (False,),
            CONTAINERS,
        ),
        *each_once(
            (tall,),
            (some_0, all_kinds),
            (1e-5, 1.0),
            RATIOS,
            (False, True),
            (True, False),
            (True,),
            ("dense-C", "CSR"),
        ),
        *each_once(
            (overlapping, correlated, sparse_columns),
            (uneven, some_0, some_inf),
            (1e-2, 1.0),
            RATIOS,
            (True, False),
            (True, False),
            (True, False),
            ("CSR Dask", "Dask"),
        ),
    ]
]


@pytest.mark.parametrize(("problem", "kind"), GRID, ids=str)
def test_newton_reaches_the_minimum_with_factors(problem, kind):
    model = fit(problem, kind)
    assert_solved(model, problem)
    assert_array_equal(model.coef_[0][np.isinf(problem.params["penalty_factor"])], 0.0)


GLUM_GRID = [
    with_factors(*values)
    for values in covering(
        (overlapping, correlated, sparse_columns),
        (None, uneven, some_0),
        (0.03, 1.0),
        RATIOS,
        (False, True),
        (True, False),
        (False, True),
    )
]


@pytest.mark.filterwarnings("ignore:Line search failed:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("problem", GLUM_GRID, ids=str)
def test_newton_reaches_the_minimum_of_glum_with_factors_as_P1_and_P2(problem):
    """In glum, scale_predictors divides by weighted deviations, too; not without an intercept."""
    X, _ = load(problem.data)
    P1 = P2 = np.ones(X.shape[1]) if problem.factors is None else problem.factors(X.shape[1])
    if problem.standardize and not problem.fit_intercept:
        scales = np.sqrt(np.average(X**2, axis=0, weights=problem.weights))
        P1, P2 = P1 * scales, P2 * scales**2
    scaled = problem.standardize and problem.fit_intercept
    glum = glum_of(problem, P1=P1, P2=P2, scale_predictors=scaled)
    F = objective_of(problem)
    assert kkt_excess(F, glum.coef_, glum.intercept_) <= OPTIMAL / 100
    assert_minimum(fit(problem), F, (glum.coef_, glum.intercept_))


@each_value(
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


@each_value(
    pytest.mark.parametrize("standardize", [False, True]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("solver", ["newton", "gd"]),
    pytest.mark.parametrize("kind", ["dense-C", "CSR", "chunks", "dense-F"]),
)
def test_a_column_with_the_factor_inf_is_a_column_left_out(kind, solver, l1_ratio, standardize):
    X, y = load(correlated)
    factors = np.where(np.arange(12) % 3 == 0, np.inf, 1.5)
    kept = np.isfinite(factors)
    params = {"C": 0.5, "l1_ratio": l1_ratio, "standardize": standardize, "solver": solver}
    params |= TIGHT if solver == "newton" else {"tol": 0, "max_iter": 50}  # the same steps
    model = BCENeuronClassifier(penalty_factor=factors, **params)
    without = BCENeuronClassifier(penalty_factor=factors[kept], **params).fit(X[:, kept], y)
    fit_in(kind, model, X, y)
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

GD_GRID = [
    (with_factors(*values), container)
    for *values, container in each_once(
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
    model = fit(problem, container, solver="gd", tol=0, max_iter=3000)
    assert_solved_without_convergence(model, problem)


def assert_is_that_of_the_rule(model, w, b):
    assert_allclose(model.coef_[0], w, rtol=0, atol=1e-11 * np.abs(w).max())
    assert_allclose(model.intercept_[0], b, rtol=0, atol=1e-11)
    assert_array_equal(model.coef_[0] == 0, w == 0)


SGD_GRID = [
    (with_factors(*values), container, learning_rate)
    for *values, container, learning_rate in covering(
        (correlated, sparse_columns),
        (some_0, all_kinds),
        (0.1,),
        RATIOS,
        (False, True),
        (True, False),
        (True,),
        CONTAINERS,
        (0.1, 0.01),
    )
]


@pytest.mark.parametrize(("problem", "container", "learning_rate"), SGD_GRID, ids=str)
def test_sgd_in_order_follows_the_rule_with_factors(problem, container, learning_rate):
    params = {"solver": "sgd", "shuffle": False, "tol": 0, "max_iter": 2}
    model = fit(problem, container, learning_rate=learning_rate, **params)
    assert_is_that_of_the_rule(model, *plain_sgd(objective_of(problem), learning_rate, 2))


@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_partial_fit_of_all_samples_is_a_pass_of_sgd_with_factors(l1_ratio):
    X, y = load(correlated)
    params = {"C": 0.1, "l1_ratio": l1_ratio, "penalty_factor": all_kinds(12)}
    model = BCENeuronClassifier(solver="sgd", learning_rate=0.05, shuffle=False, **params)
    model.partial_fit(X, y, classes=[0, 1])
    assert_is_that_of_the_rule(model, *plain_sgd(stated(X, y, **params), 0.05, 1))


# It is open whether a weight that a factor of inf moves to 0 is told.
@pytest.mark.filterwarnings("ignore:.*penalty_factor:UserWarning")
@each_value(
    pytest.mark.parametrize("data", [correlated, sparse_columns]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
)
def test_a_warm_start_along_C_and_factors_reaches_each_minimum(l1_ratio, data):
    X, y = load(data)
    n = X.shape[1]
    model = BCENeuronClassifier(warm_start=True, l1_ratio=l1_ratio, **TIGHT)
    for C, factors in [(0.03, uneven), (0.3, uneven), (0.3, some_inf), (0.1, some_0), (3, uneven)]:
        model.set_params(C=C, penalty_factor=factors(n)).fit(X, y)
        F = stated(X, y, C=C, l1_ratio=l1_ratio, penalty_factor=factors(n))
        assert_minimum(model, F)


# Separated classes.


@each_value(
    pytest.mark.parametrize("standardize", [False, True]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("kind", ["dense-C", "CSR", "chunks"]),
    pytest.mark.parametrize("free", [[0], [0, 2]]),
)
def test_classes_separated_along_an_unpenalised_column_warn(free, kind, l1_ratio, standardize):
    X, y = load(separated_by_the_first)
    factors = np.ones(4)
    factors[free] = 0
    model = BCENeuronClassifier(l1_ratio=l1_ratio, standardize=standardize, penalty_factor=factors)
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        fit_in(kind, model, X, y)
    assert model.stop_reason_ == "no_minimum"
    assert model.coef_[0, 0] > 3


@each_value(
    pytest.mark.parametrize("C", [1e-3, 1.0, 30.0]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("free", [[1], [1, 2, 3]]),
)
def test_classes_separated_along_penalised_columns_only_have_a_minimum(
    free, container, l1_ratio, C
):
    """No warning: warnings are errors here."""
    X, y = load(separated_by_the_first)
    factors = np.full(4, 0.5)
    factors[free] = 0
    params = {"C": C, "l1_ratio": l1_ratio, "penalty_factor": factors}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    assert_minimum(model, stated(X, y, **params))
    assert model.stop_reason_ != "no_minimum"


def test_two_unpenalised_columns_that_only_together_separate_warn():
    X, y = load(separated_by_a_difference)
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        model = BCENeuronClassifier(penalty_factor=[0, 0, 1]).fit(X, y)
    assert model.stop_reason_ == "no_minimum"
    for factors in ([0, 1, 0], [1, 0, 0]):  # the other column is penalised
        model = BCENeuronClassifier(penalty_factor=factors, **TIGHT).fit(X, y)
        assert_minimum(model, stated(X, y, penalty_factor=factors))


@each_value(
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
)
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
    pytest.mark.parametrize("class_weight", [None, CLASS_WEIGHTS["dict"]]),
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
    "l1_min_c": ({}, lambda model: l1_min_c(SMALL, SMALL_Y, penalty_factor=model.penalty_factor)),
}


@each_value(
    pytest.mark.parametrize("call", CALLS),
    pytest.mark.parametrize("case", BAD_FACTORS),
    pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"]),
)
def test_bad_factors_raise_and_change_nothing(case, call, fitted):
    params, call = CALLS[call]
    model = BCENeuronClassifier()
    model = model.fit(SMALL, SMALL_Y) if fitted else model
    model.set_params(penalty_factor=BAD_FACTORS[case], **params)
    assert_raises_and_changes_nothing(model, "penalty_factor", call)


@pytest.mark.parametrize("case", BAD_NAMED)
def test_bad_factors_by_name_raise_and_name_the_feature(case):
    factors, name = BAD_NAMED[case]
    frame = pd.DataFrame(SMALL, columns=list("abc"))
    assert_raises_and_changes_nothing(
        BCENeuronClassifier(penalty_factor=factors),
        f"(?s)(?=.*penalty_factor).*{name}",
        lambda model: model.fit(frame, SMALL_Y),
    )


def html_or_none(estimator):
    """Return the HTML representation; None where scikit-learn cannot show arrays, as 1.7.0."""
    try:
        return estimator_html_repr(estimator)
    except ValueError:
        return None


@pytest.mark.skipif(
    html_or_none(GaussianNB(priors=np.array([0.5, 0.5]))) is None,
    reason="this scikit-learn does not show arrays as parameters in HTML",
)
def test_arrays_as_parameters_are_shown_in_html():
    bounds = np.zeros(3), np.ones(3)
    model = BCENeuronClassifier(penalty_factor=np.arange(3.0), coef_bounds=bounds)
    text = html_or_none(model.fit(SMALL, SMALL_Y))
    assert "penalty_factor" in text
    assert "coef_bounds" in text


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
    assert model.coef_bounds is bounds
    assert_array_equal(factors, [0, 2, np.inf])
    assert_array_equal(bounds, [[0, -1, -np.inf], [np.inf, 1, np.inf]])
    for again in (clone(model).fit(SMALL, SMALL_Y), pickle.loads(pickle.dumps(model))):
        assert_array_equal(again.coef_, model.coef_)
        assert_array_equal(again.predict_proba(SMALL), model.predict_proba(SMALL))
    assert "coef_bounds" in repr(model)
    with config_context(print_changed_only=False):
        assert "penalty_factor=array([ 0.,  2., inf])" in repr(model)
    plain = BCENeuronClassifier()
    assert "penalty_factor" not in repr(plain)
    plain.set_params(**model.get_params()).fit(SMALL, SMALL_Y)
    assert_array_equal(plain.coef_, model.coef_)
