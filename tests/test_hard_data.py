"""Data that are hard for solvers or for float64, and data with results printed in books."""

import warnings
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import statsmodels.api as sm
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import brentq, linprog
from scipy.special import expit, logit, xlogy
from small_data import minimum, with_ones

from sklearn_bce import BCENeuronClassifier

# A `tol` at which weights are within about 1e-10 of the minimum, in units of standard deviations.
# Newton's last step squares that error.
EXACT = 1e-22
EPS = np.finfo(np.float64).eps
SOLVERS = {
    "newton": {},
    "gd": {"solver": "gd", "max_iter": 1000},
    "sgd": {"solver": "sgd", "max_iter": 1000, "random_state": 0},
}
every_solver = pytest.mark.parametrize("parameters", SOLVERS.values(), ids=SOLVERS)
every_kind = pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sp.csr_array])


def noisy(n_samples=200, n_features=3, seed=0):
    """Standard normal columns, and labels that follow the first columns without separation."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    return X, (rng.random(n_samples) < expit(X @ np.resize([1.0, 2.0, -1.0], n_features))) * 1.0


def reference(X, y, C=np.inf, weight=None):
    """Return (w, b) at the minimum by Newton's method in its textbook form."""
    return minimum((X, y, np.ones(len(y)) if weight is None else weight), C)


def assert_is(model, theta, rtol=1e-9):
    """Expect the weights and the intercept (w, b), each to rtol of the largest weight."""
    found = np.append(model.coef_, model.intercept_)
    assert_allclose(found, theta, rtol=0, atol=rtol * np.max(np.abs(theta)))


def fitted_and_told(X, y, weight=None, **parameters):
    """Return the estimator, the warnings that F has no minimum, and other warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = BCENeuronClassifier(**{"C": np.inf, **parameters}).fit(X, y, weight)
    messages = [str(warning.message) for warning in caught]
    told = [message for message in messages if "the objective has no minimum" in message]
    return model, told, [message for message in messages if message not in told]


# ----- separated classes --------------------------------------------------------------------------


def separated(X, y, weight=None, fit_intercept=True):
    """Return whether a linear program finds a direction in which no loss rises and one falls.

    Albert and Anderson (1984): a combination of the columns that is at least 0 where y is 1, at
    most 0 where it is 0, exactly 0 where it is neither, and not 0 for all.
    """
    counts = np.ones(len(y), bool) if weight is None else weight > 0
    Z, y = with_ones(X, fit_intercept)[counts], y[counts]
    soft = (y > 0) & (y < 1)
    sides = (Z * np.where(y > 0, 1, -1)[:, None])[~soft]
    program = linprog(
        -sides.sum(axis=0),
        A_ub=np.concatenate([-sides, sides]),
        b_ub=np.repeat([0, 1], len(sides)),
        A_eq=Z[soft],
        b_eq=np.zeros(soft.sum()),
        bounds=(None, None),
    )
    assert program.status == 0
    return -program.fun > 0.5  # 0, or else 1 at least: it grows until one sample is at 1


class Drawn(NamedTuple):
    """A small data set of few values, so that ties, repeated columns and quasi-separation occur."""

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fit_intercept: bool
    soft: bool


def drawn(seed, most_features=6):
    rng = np.random.default_rng(seed)
    while True:
        shape = rng.integers(2, 40), rng.integers(1, most_features + 1)
        X = rng.integers(-2, 3, shape) if rng.random() < 0.4 else rng.integers(0, 2, shape)
        X = rng.standard_normal(shape) if rng.random() < 0.3 else X.astype(float)
        y = (rng.random(shape[0]) < expit(X @ rng.normal(0, 2, shape[1]))) * 1.0
        soft = rng.random() < 0.3
        y = np.where(rng.random(shape[0]) < 0.2, 0.3, y) if soft else y
        weight = rng.integers(0 if rng.random() < 0.3 else 1, 3, shape[0]) * 1.0
        if np.any(weight * y) and np.any(weight * (1 - y)):
            return Drawn(X, y, weight, bool(rng.integers(2)), soft)


@pytest.mark.parametrize(
    ("parameters", "seeds"),
    [(SOLVERS["newton"], range(300)), *((SOLVERS[name], range(40)) for name in ("gd", "sgd"))],
    ids=SOLVERS,
)
def test_warning_of_separation_appears_exactly_where_a_linear_program_finds_it(parameters, seeds):
    n_separated = 0
    for seed in seeds:
        data = drawn(seed)
        same = {"fit_intercept": data.fit_intercept, "soft_targets": data.soft, **parameters}
        model, told, others = fitted_and_told(data.X, data.y, data.weight, **same)
        expected = separated(data.X, data.y, data.weight, data.fit_intercept)
        assert len(told) == expected, f"seed {seed}"
        assert not others or parameters
        assert np.isfinite(model.coef_).all()
        assert np.isfinite(model.intercept_).all()
        n_separated += expected
    assert 0.2 < n_separated / len(seeds) < 0.8


@pytest.mark.parametrize("soft", [False, True])
def test_warning_of_separation_does_not_depend_on_units(soft):
    """In other units the warning appears where the linear program finds a separation."""
    missed = []
    for seed in range(300):
        data = drawn(seed, most_features=40)
        if data.soft is not soft:
            continue
        rng = np.random.default_rng(seed)
        X = data.X * 10.0 ** rng.integers(-8, 9, data.X.shape[1])
        expected = separated(data.X, data.y, data.weight, data.fit_intercept)
        same = {"fit_intercept": data.fit_intercept, "soft_targets": soft}
        _, told, others = fitted_and_told(X, data.y, data.weight, **same)
        if others or len(told) != expected:
            missed.append(seed)
    assert missed == []


def dummies_of(n_features, seed=0):
    """Pairs of equal samples with both labels, and for each feature one sample of class 1."""
    rng = np.random.default_rng(seed)
    X = np.zeros((60, n_features + 1))
    X[:, -1] = rng.normal(size=60)
    y = (np.arange(60) % 2).astype(float)
    X[np.arange(1, 2 * n_features, 2), np.arange(n_features)] = 1
    return X, y


@each_value(
    every_solver,
    every_kind,
)
def test_warning_names_the_feature_that_separates(parameters, kind):
    X, y = noisy(100, 4)
    X[:, 2] = (y == 1) & (np.arange(100) % 3 == 0)  # quasi-complete: 0 for the others of class 1
    model, told, _ = fitted_and_told(kind(X), y, **parameters)
    assert len(told) == 1
    assert "whose weights would grow for ever: 2. solver=" in told[0]
    assert model.coef_[0, 2] > 2
    others = [0, 1, 3]
    # The other weights are at the minimum for the samples without that feature, but for errors of
    # √(tol/curvature), with a curvature of about 0.1·0.7.
    rest = reference(X[X[:, 2] == 0][:, others], y[X[:, 2] == 0])
    assert_allclose(model.coef_[0, others], rest[:3], atol=2e-2)


def test_warning_names_the_features_of_a_separating_combination():
    rng = np.random.default_rng(1)
    X = rng.integers(-3, 4, (80, 4)).astype(float)
    y = (rng.random(80) < 0.5) * 1.0
    X[:, 3] = X[:, 1]
    X[np.flatnonzero(y)[:9], 3] += 2  # column 3 less column 1 is 0, or above 0 in class 1
    names = pd.DataFrame(X, columns=["age", "income", "height", "debt"])
    _, (message,), _ = fitted_and_told(names, y)
    assert "for ever: income, debt. " in message or "for ever: debt, income. " in message
    assert separated(X[:, [1, 3]], y)
    assert not separated(X[:, [0, 2, 3]], y)


@pytest.mark.parametrize(
    ("n_features", "ending"),
    [(5, r": [0-4](, [0-4]){4}\. solver"), (7, r": [0-6](, [0-6]){4} and 2 more\. solver")],
)
def test_warning_names_at_most_five_features(n_features, ending):
    X, y = dummies_of(n_features)
    with pytest.warns(UserWarning, match="for ever" + ending):
        BCENeuronClassifier(C=np.inf).fit(X, y)


SEPARATED = {
    "perfectly": (np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0, 0, 1, 1])),
    "but for a tie": (np.array([[-1.0], [0.0], [0.0], [1.0]]), np.array([0, 0, 1, 1])),
    "two samples": (np.array([[1.0, 5.0], [2.0, 5.0]]), np.array([0, 1])),
    "more features than samples": (noisy(10, 30)[0], np.arange(10) % 2),
    "by dummies": dummies_of(3),
}
every_separated = pytest.mark.parametrize("data", SEPARATED.values(), ids=SEPARATED)


@every_separated
def test_tol_0_takes_all_steps_on_separated_classes_without_a_warning(data):
    model, told, others = fitted_and_told(*data, tol=0, max_iter=50)
    assert not told
    assert not others
    assert model.n_iter_[0] == 50
    assert np.isfinite(model.coef_).all()


@every_pair(
    every_separated,
    pytest.mark.parametrize("C", [1e-3, 1.0, 1e6]),
    pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0]),
)
def test_a_penalty_has_a_minimum_though_classes_are_separated(data, C, l1_ratio):
    model, told, others = fitted_and_told(*data, C=C, l1_ratio=l1_ratio, tol=1e-12, max_iter=300)
    assert model.converged_
    assert not told
    assert not others
    X, y = data
    slope = expit(model.decision_function(X)) - y
    gradient = X.T @ slope + (1 - l1_ratio) / C * model.coef_[0]
    used = model.coef_[0] != 0
    gradient = np.where(used, gradient + l1_ratio / C * np.sign(model.coef_[0]), gradient)
    # F is within 1e-12 of its minimum, and a gradient of F within √(2·1e-12·curvature) of 0, which
    # is at most the mean of x²/4 and the penalty's; S times that
    bound = len(y) * np.sqrt(2e-12 * (np.square(X).mean(axis=0) / 4 + 1 / (C * len(y))))
    assert np.all(np.abs(gradient) <= np.where(used, bound, l1_ratio / C + bound))


@pytest.mark.parametrize(
    ("name", "infimum"),
    [
        ("perfectly", 0),
        ("but for a tie", np.log(2) / 2),
        ("two samples", 0),
        ("more features than samples", 0),
    ],
)
def test_separated_classes_end_within_tol_of_what_cannot_be_reached(name, infimum):
    X, y = SEPARATED[name]
    model, told, others = fitted_and_told(X, y)
    assert len(told) == 1
    assert not others
    assert model.converged_
    z = model.decision_function(X)
    assert 0 <= np.logaddexp(0, np.where(y == 1, -z, z)).mean() - infimum <= 1e-6


@pytest.mark.parametrize("random_state", range(4))
def test_warning_names_the_feature_that_one_sample_of_200_000_separates(random_state):
    """F can fall by about log 2 / 200 000, three times tol; a random sample misses the feature."""
    X, y = noisy(200_000, 2)
    alone = np.zeros(len(y))
    alone[np.flatnonzero(y)[7]] = 1
    X = np.column_stack([X, alone])
    model, (message,), _ = fitted_and_told(X, y, random_state=random_state)
    assert "for ever: 2. " in message
    assert model.coef_[0, 2] < 30  # as far as tol asks for


OUTLIERS = [1e2, 1e4, 999_999.0, 1e7, 1e9]


def with_outlier(value):
    """A feature that does not separate, and a sample of class 1 far away, as a code may be."""
    X, y = noisy(200, 1)
    return np.append(X, [[value]], axis=0), np.append(y, 1.0)


@pytest.mark.parametrize("value", OUTLIERS)
def test_an_outlier_is_no_separation(value):
    X, y = with_outlier(value)
    assert not separated(np.minimum(X, 10), y)  # nor with more: it is on the right side all the way
    _, told, others = fitted_and_told(X, y, tol=1e-12)
    assert told == others == []


@pytest.mark.parametrize("value", OUTLIERS)
@pytest.mark.parametrize("C", [1.0, 1e4])
def test_tol_holds_with_an_outlier(value, C):
    """At the minimum the loss of the outlier is 0: the expected minimum is that of the others."""
    X, y = with_outlier(value)
    theta = reference(X[:-1], y[:-1], C)
    assert expit(-(theta[0] * value + theta[1])) < 1e-30

    def objective(w, b):
        z = X[:, 0] * w + b
        return (np.logaddexp(0, np.where(y == 1, -z, z)).sum() + w**2 / (2 * C)) / len(y)

    model = BCENeuronClassifier(C=C).fit(X, y)
    assert model.converged_
    assert objective(model.coef_[0, 0], model.intercept_[0]) - objective(*theta) <= 1e-6


# ----- columns ------------------------------------------------------------------------------------


@every_pair(
    every_kind,
    pytest.mark.parametrize("C", [1.0, 1e4]),
    pytest.mark.parametrize("value", [0.0, 1.0, -1e-5, 1e12]),
)
def test_a_constant_column_has_no_weight(kind, C, value):
    """The intercept has the same effect on the outputs, and is not penalised."""
    X, y = noisy()
    expected = reference(X, y, C)
    X = np.insert(X, 1, value, axis=1)
    model = BCENeuronClassifier(C=C, tol=EXACT).fit(kind(X), y)
    # A weight times its column is a term of z, and is as precise as z.
    assert abs(model.coef_[0, 1] * value) <= 1e-9
    assert_is(model, np.insert(expected, 1, model.coef_[0, 1]), rtol=2e-9)


@every_kind
def test_a_constant_column_leaves_the_outputs_as_they_are_without_a_penalty(kind):
    X, y = noisy()
    theta = reference(X, y)
    columns = np.insert(X, 1, 3.0, axis=1)
    model, told, others = fitted_and_told(kind(columns), y, tol=EXACT)
    assert told == others == []
    assert_allclose(model.decision_function(columns), with_ones(X) @ theta, atol=1e-9)


@every_pair(
    every_kind,
    pytest.mark.parametrize("value", [0.0, 2.5]),
    pytest.mark.parametrize("n_features", [1, 3, 60]),
    pytest.mark.parametrize("C", [0.01, np.inf]),
)
def test_constant_columns_alone_give_the_log_odds(kind, value, n_features, C):
    """At the minimum the intercept is the log-odds of the mean of y."""
    y = np.repeat([0, 1], [30, 10])
    X = np.full((40, n_features), value)
    model = BCENeuronClassifier(C=C, tol=EXACT).fit(kind(X), y)
    assert_allclose(model.decision_function(X), np.log(10 / 30), atol=1e-9)
    if np.isfinite(C):
        assert_allclose(model.coef_, 0, atol=1e-9)


@each_value(
    pytest.mark.parametrize("solver", ["gd", "sgd"]),
    every_kind,
)
def test_gd_and_sgd_learn_the_log_odds_from_rows_of_zeros(solver, kind):
    y = np.repeat([0, 1], [30, 10])
    model = BCENeuronClassifier(solver=solver, tol=1e-12, max_iter=1000, random_state=0)
    model.fit(kind(np.zeros((40, 2))), y)
    assert_array_equal(model.coef_, 0)
    # A pass reduces the error by 4·(3/4)·(1/4) = 3/4 of itself; an error of √tol is left.
    assert model.intercept_[0] == pytest.approx(np.log(10 / 30), abs=1e-5)


@every_kind
@pytest.mark.parametrize("copies", [2, 5])
def test_copies_of_a_column_share_its_weight(kind, copies):
    """k copies with the weight v/k each have the penalty v²/2k, as one column √k times as large."""
    X, y = noisy()
    expected = reference(X * [np.sqrt(copies), 1, 1], y, 1.0)
    columns = np.column_stack([X, *[X[:, 0]] * (copies - 1)])
    model = BCENeuronClassifier(tol=EXACT).fit(kind(columns), y)
    shared = expected[0] / np.sqrt(copies)
    assert_is(model, [shared, *expected[1:3], *[shared] * (copies - 1), expected[3]])
    # Without a penalty, any weights with the same sum are a minimum.
    free, told, others = fitted_and_told(kind(columns), y, tol=EXACT)
    assert told == others == []
    w = free.coef_[0]
    together = [w[0] + w[3:].sum(), w[1], w[2], free.intercept_[0]]
    assert_allclose(together, reference(X, y), rtol=1e-9)


@each_value(
    every_kind,
    pytest.mark.parametrize("ratio", [0.5, 1.0]),
)
def test_copies_of_a_column_share_its_weight_with_an_l1_norm(kind, ratio):
    X, y = noisy()
    columns = np.column_stack([X, X[:, 0]])
    alone = BCENeuronClassifier(l1_ratio=1.0, tol=EXACT).fit(X, y)
    model = BCENeuronClassifier(l1_ratio=ratio, tol=EXACT).fit(kind(columns), y)
    if ratio == 1:
        w = model.coef_[0]
        assert_allclose([w[0] + w[3], w[1], w[2]], alone.coef_[0], rtol=1e-9)
    else:
        assert model.coef_[0, 0] == pytest.approx(model.coef_[0, 3], rel=1e-8)


def near_copy(difference):
    """Return columns, the last of which is the first plus a little noise; the noise; and labels."""
    X, y = noisy()
    near = X[:, 0] + difference * np.random.default_rng(1).standard_normal(200)
    return np.column_stack([X, near]), near - X[:, 0], y


def mean_loss(columns, noise, y, w, b):
    """Return the mean loss in extended precision, with outputs in which large terms cancel."""
    w = np.asarray(w, dtype=np.longdouble)
    z = columns[:, :3] @ np.array([w[0] + w[3], w[1], w[2]]) + w[3] * noise + np.longdouble(b)
    return np.logaddexp(0, np.where(y == 1, -z, z)).mean()


@each_value(
    every_kind,
    pytest.mark.parametrize("difference", [1e-2, 1e-4, 1e-6]),
)
def test_nearly_equal_columns_end_within_tol_of_the_minimum(kind, difference):
    """The reference is a fit with the difference of the columns, which is exact."""
    columns, noise, y = near_copy(difference)
    unit = np.abs(noise).max()
    v = reference(np.column_stack([columns[:, :3], noise / unit]), y)
    least = mean_loss(columns, noise, y, [v[0] - v[3] / unit, *v[1:3], v[3] / unit], v[4])
    model, told, others = fitted_and_told(kind(columns), y)
    assert told == others == []
    assert -1e-12 <= mean_loss(columns, noise, y, model.coef_[0], model.intercept_) - least <= 1e-6


@each_value(
    every_kind,
    pytest.mark.parametrize("difference", [1e-8, 1e-10, 1e-12, 1e-15]),
)
def test_columns_equal_to_rounding_are_no_worse_than_one_of_them(kind, difference):
    """The curvature has a relative error EPS, and the noise contributes its square to it.

    The decrease of F by weights of size 1/noise may therefore be lost, but not more.
    """
    columns, noise, y = near_copy(difference)
    theta = reference(columns[:, :3], y)
    without = mean_loss(columns, noise, y, [*theta[:3], 0], theta[3])
    model, told, _ = fitted_and_told(kind(columns), y)
    assert not told
    assert mean_loss(columns, noise, y, model.coef_[0], model.intercept_) <= without + 1e-6
    # With a penalty the problem is well-conditioned.
    penalised = BCENeuronClassifier(tol=EXACT).fit(kind(columns), y)
    assert_is(penalised, reference(columns, y, 1.0))


UNITS = {
    "1e-300": [1e-300, 1, 1],
    "1e150": [1, 1e150, 1],
    "1e-150 and 1e300": [1e-150, 1e300, 1],
    "1e-300, 1e150 and 1e-100": [1e-300, 1e150, 1e-100],
}
every_unit = pytest.mark.parametrize("unit", UNITS.values(), ids=UNITS)


@each_value(
    every_kind,
    every_unit,
)
def test_units_up_to_1e300_do_not_matter_without_a_penalty(kind, unit):
    X, y = noisy()
    theta = reference(X, y)
    model = BCENeuronClassifier(C=np.inf, tol=EXACT).fit(kind(X * unit), y)
    assert_allclose(model.coef_[0] * unit, theta[:3], rtol=1e-9)
    assert_allclose(model.decision_function(kind(X * unit)), with_ones(X) @ theta, atol=1e-9)


@every_pair(
    pytest.mark.parametrize("kind", [np.asarray, sp.csr_array]),
    every_unit,
    pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0]),
)
def test_optimality_conditions_hold_in_units_up_to_1e300(kind, unit, l1_ratio):
    """The penalty leaves no weight in very small units, and has no effect in very large ones."""
    X, y = noisy()
    model = BCENeuronClassifier(l1_ratio=l1_ratio, tol=EXACT).fit(kind(X * unit), y)
    at_1 = np.array(unit) == 1
    z = model.decision_function(kind(X * unit))
    slope = expit(z) - y
    for j, size in enumerate(unit):
        if size > 1:
            assert abs(X[:, j] @ slope) <= 1e-7
        elif size < 1:
            assert abs(model.coef_[0, j]) * size <= 1e-90
    gradient = (X.T @ slope + (1 - l1_ratio) * model.coef_[0])[at_1]
    assert_allclose(gradient, -l1_ratio * np.sign(model.coef_[0][at_1]), atol=1e-7)
    assert abs(slope.sum()) <= 1e-7


@cache
def in_float32(n_samples):
    """Return columns, labels and the minimum without a penalty."""
    X, y = noisy(n_samples, 5)
    X = X.astype(np.float32)
    return X, y, reference(X.astype(np.float64), y)


@every_pair(
    pytest.mark.parametrize("n_samples", [400, 210_000], ids=["small", "large"]),
    pytest.mark.parametrize("unit", [1e-30, 1e15, 1e30]),
    every_kind,
)
def test_float32_columns_whose_squares_overflow_reach_the_minimum(kind, unit, n_samples):
    """Large data are kept in float32, in which the squares of such units overflow or underflow."""
    X, y, theta = in_float32(n_samples)
    unit = np.float32(unit)
    model = BCENeuronClassifier(C=np.inf, tol=1e-10).fit(kind(X * unit), y)
    assert model.coef_.dtype == np.float32
    # F within 1e-10 of its minimum leaves √(2e-10/curvature) in a weight, and the sums of large
    # data are taken in float32
    assert_allclose(model.coef_[0].astype(np.float64) * unit, theta[:5], rtol=0, atol=1e-4)
    assert_allclose(model.decision_function(kind(X * unit)), with_ones(X) @ theta, atol=1e-3)


@every_kind
def test_columns_and_rows_of_zeros_change_no_other_weight(kind):
    X, y = noisy(60, 4)
    X[::3] = 0
    X[:, 2] = 0
    model = BCENeuronClassifier(C=2.0, tol=EXACT).fit(kind(X), y)
    assert model.coef_[0, 2] == 0
    assert_is(model, reference(X, y, 2.0))
    free, told, others = fitted_and_told(kind(X), y, tol=EXACT)
    assert told == others == []
    theta = reference(X[:, [0, 1, 3]], y)
    assert_allclose(free.decision_function(kind(X)), with_ones(X[:, [0, 1, 3]]) @ theta, atol=1e-9)


def test_stored_zeros_and_empty_rows_of_csr_give_the_dense_fit():
    X, y = noisy(60, 4)
    X[::3] = 0
    stored = sp.csr_array((X.ravel(), np.tile(np.arange(4), 60), np.arange(0, 241, 4)), (60, 4))
    assert stored.nnz == 240
    none = sp.csr_array(X)
    assert none.nnz == 160
    assert np.any(np.diff(none.indptr) == 0)
    for rows in (stored, none):
        assert_is(BCENeuronClassifier(tol=EXACT).fit(rows, y), reference(X, y, 1.0))


def layouts(X):
    """Return views that are equal to X, and are neither C nor Fortran contiguous."""
    fields = np.zeros(len(X), dtype=[("x", X.dtype, X.shape[1:]), ("id", np.int16)])
    fields["x"] = X
    return {
        "rows backwards": X[::-1].copy()[::-1],
        "columns backwards, F order": np.asfortranarray(X[:, ::-1])[:, ::-1],
        "frame backwards": pd.DataFrame(X[::-1].copy(), copy=False).iloc[::-1],
        "field of records": fields["x"],
    }


IN_PASSES = {"tol": 0, "max_iter": 2, "random_state": 0}
ON_ROWS = {
    "newton": ({"tol": 1e-12}, 50),
    "newton, L1": ({"tol": 1e-12, "l1_ratio": 0.5}, 50),
    "newton on large data": ({"random_state": 0}, 210_000),  # of float32: these are not copied
    "newton, L1, on large data": ({"l1_ratio": 0.5}, 210_000),
    "gd": ({"solver": "gd", **IN_PASSES}, 50),
    "sgd": ({"solver": "sgd", **IN_PASSES}, 50),
    "sgd, batches": ({"solver": "sgd", **IN_PASSES, "batch_size": 16}, 50),
}


@each_value(
    pytest.mark.parametrize("layout", layouts(np.ones((2, 2)))),
    pytest.mark.parametrize(("parameters", "n_samples"), ON_ROWS.values(), ids=ON_ROWS),
)
def test_strided_rows_give_the_fit_of_contiguous_rows(layout, parameters, n_samples):
    X, y = noisy(n_samples, 5)
    X = X.astype(np.float32 if n_samples > 50 else np.float64)
    same = layouts(X)[layout]
    assert_array_equal(same, X)
    expected = BCENeuronClassifier(**parameters).fit(X, y)
    model = BCENeuronClassifier(**parameters).fit(same, y)
    # the order of summation differs: 1e-7 of float32; and what tol leaves of large data, √(2·1e-6)
    atol = 1e-9 if n_samples == 50 else 5e-3
    assert_allclose(model.coef_, expected.coef_, rtol=0, atol=atol)


def test_overlapping_windows_give_the_fit_of_their_copy():
    """Each row of the view shares memory with the next rows."""
    series = np.random.default_rng(0).standard_normal(300)
    windows = np.lib.stride_tricks.sliding_window_view(series, 4)
    y = (np.roll(windows[:, 0], 1) + windows[:, 3] > 0) * 1
    for parameters in ({}, {"solver": "gd", "max_iter": 5, "tol": 0, "learning_rate": 0.1}):
        model = BCENeuronClassifier(**parameters).fit(windows, y)
        expected = BCENeuronClassifier(**parameters).fit(windows.copy(), y)
        assert_allclose(model.coef_, expected.coef_, rtol=1e-9)


# ----- few samples, few of a class, many samples --------------------------------------------------


@each_value(
    every_solver,
    pytest.mark.parametrize("C", [0.3, 2.0, 50.0]),
)
def test_two_samples_and_one_feature_end_at_the_closed_form(parameters, C):
    """The samples are −1 and 1: b = 0 by symmetry, and 2Cσ(−w) = w."""
    model = BCENeuronClassifier(C=C, **{**parameters, "tol": 1e-14})
    model.fit([[-1.0], [1.0]], [0, 1])
    w = brentq(lambda w: 2 * C * expit(-w) - w, 0, 2 * C, xtol=1e-15)
    # tol is a difference of F; √(2·tol/curvature) one of w, and gd has five times its share left
    assert model.coef_[0, 0] == pytest.approx(w, abs=1e-5)
    assert model.intercept_[0] == pytest.approx(0, abs=1e-5)


@each_value(
    every_solver,
    pytest.mark.parametrize("C", [0.7, 1.0, 1.5, 40.0]),
)
def test_two_samples_with_an_l1_norm_end_at_the_closed_form(parameters, C):
    """2Cσ(−w) = 1, or w = 0 if 2Cσ(0) <= 1."""
    model = BCENeuronClassifier(C=C, l1_ratio=1.0, **{**parameters, "tol": 1e-14})
    model.fit([[-1.0], [1.0]], [0, 1])
    expected = np.log(2 * C - 1) if C > 1 else 0.0
    assert model.coef_[0, 0] == pytest.approx(expected, abs=1e-5 if C > 1 else 0)


def test_steps_beyond_convergence_with_an_l1_norm_are_no_error():
    """The last of max_iter steps with tol=0 change F by rounding only."""
    for seed in range(40):
        X, y = noisy(60, 5, seed)
        assert BCENeuronClassifier(l1_ratio=1.0, tol=0, max_iter=30).fit(X, y).n_iter_[0] == 30


def test_one_positive_in_a_hundred_thousand_reaches_the_minimum():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((100_000, 2)), np.zeros(100_000)
    y[1000] = 1
    for C in (1.0, np.inf):
        model = BCENeuronClassifier(C=C, tol=1e-16, random_state=0).fit(X, y)
        theta = reference(X, y, C)
        # The curvature is 1e-5: at F − min F = 1e-16 the error of a weight is √(2·1e-16/1e-5).
        assert_is(model, theta, rtol=1e-6)
        # The gradient of the intercept is 0: the mean probability is the fraction of positives.
        assert model.predict_proba(X)[:, 1].sum() == pytest.approx(1, rel=1e-5)


def test_rare_positives_of_a_group_give_the_log_odds_ratio():
    """With an indicator of a group as feature, w is the log odds ratio of a 2x2 table."""
    group = np.repeat([0.0, 1.0], [90_000, 10_000])
    y = np.zeros(100_000)
    y[[5, 95_000, 95_001]] = 1
    model = BCENeuronClassifier(C=np.inf, tol=1e-16).fit(group[:, None], y)
    b, both = logit(1 / 90_000), logit(2 / 10_000)
    assert_is(model, [both - b, b], rtol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_a_million_samples_with_few_positives_end_within_tol(kind):
    """The squared decrement at the end, by NumPy in float64, is at most twice tol."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((1_000_000, 5), dtype=np.float32)
    y = (rng.random(1_000_000) < expit(X @ np.float32([1, -1, 0.5, 0, 0]) - 8)) * 1.0
    assert 200 < y.sum() < 2000
    model = BCENeuronClassifier(C=np.inf, random_state=0).fit(kind(X), y)
    assert model.converged_
    Z = with_ones(X.astype(np.float64))
    a = expit(Z @ np.append(model.coef_, model.intercept_).astype(np.float64))
    gradient, curvature = Z.T @ (a - y) / 1e6, (Z * (a * (1 - a))[:, None]).T @ Z / 1e6
    assert gradient @ np.linalg.solve(curvature, gradient) / 2 <= 1e-6


# ----- strengths of the penalty -------------------------------------------------------------------


@each_value(
    every_kind,
    pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0]),
)
def test_vanishing_C_gives_the_first_order_weights(kind, l1_ratio):
    """At C = 1e-300, w is C times the gradient of the loss at w = 0, minus the L1 threshold."""
    X, y = noisy()
    model = BCENeuronClassifier(C=1e-300, l1_ratio=l1_ratio, tol=EXACT).fit(kind(X), y)
    slope = X.T @ (y - y.mean())
    if l1_ratio:
        assert_array_equal(model.coef_[0], 0)
    else:
        assert_allclose(model.coef_[0] * 1e300, slope, rtol=1e-9)
    assert model.intercept_[0] == pytest.approx(logit(y.mean()), rel=1e-9)


@each_value(
    every_kind,
    pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0]),
)
def test_huge_C_is_no_penalty(kind, l1_ratio):
    X, y = noisy()
    model = BCENeuronClassifier(C=1e300, l1_ratio=l1_ratio, tol=EXACT).fit(kind(X), y)
    assert_is(model, reference(X, y))


@each_value(
    pytest.mark.parametrize("weight", [1e-300, 1e-10, 1e10, 1e300]),
    pytest.mark.parametrize("l1_ratio", [0.0, 0.5]),
)
def test_scale_of_the_sample_weights_does_not_matter(weight, l1_ratio):
    """F depends on C·s; the sum of the weights must be finite."""
    X, y = noisy()
    C = 3.0 / weight
    model = BCENeuronClassifier(C=C, l1_ratio=l1_ratio, tol=EXACT)
    model.fit(X, y, np.full(200, weight))
    other = BCENeuronClassifier(C=3.0, l1_ratio=l1_ratio, tol=EXACT).fit(X, y)
    assert_is(model, np.append(other.coef_, other.intercept_))
    if not l1_ratio:
        assert_is(model, reference(X, y, 3.0))


# ----- published data -----------------------------------------------------------------------------


class Table(NamedTuple):
    """Trials and successes of groups, or of single samples, and the printed maximum of likelihood.

    The deviance is −2 log L, for single samples, or else above that of the model that has a
    probability for each group.
    """

    columns: object
    successes: object
    trials: object
    printed: tuple  # as strings: they are right to their last digit
    deviance: str


def of_samples(columns, successes, printed, deviance):
    return Table(columns, successes, np.ones(len(successes)), printed, deviance)


def heart_disease_by_age():
    """D. W. Hosmer and S. Lemeshow, "Applied Logistic Regression", tables 1.1 and 1.3.

    Age, and for each subject of that age whether there are signs of coronary heart disease.
    """
    by_age = """
        20:0 23:0 24:0 25:01 26:00 28:00 29:0 30:000001 32:00 33:00 34:00010 35:00 36:010 37:010
        38:00 39:01 40:01 41:00 42:0001 43:001 44:0011 45:01 46:01 47:001 48:011 49:001 50:01 51:0
        52:01 53:11 54:1 55:011 56:111 57:001111 58:011 59:11 60:01 61:1 62:11 63:1 64:01 65:1 69:1
    """
    ages = [(int(group[:2]), int(sick)) for group in by_age.split() for sick in group[3:]]
    age, sick = np.transpose(ages)
    assert len(age) == 100
    return of_samples([age], sick, ("0.111", "-5.309"), "107.353")


def o_rings():
    """S. R. Dalal, E. B. Fowlkes and B. Hoadley, JASA 84 (1989): launches before Challenger's.

    Temperature of the joints in °F, and whether a primary O-ring showed distress.
    """
    temperature = "66 70 69 68 67 72 73 70 57 63 70 78 67 53 67 75 70 81 76 79 75 76 58"
    distress = "0 1 0 0 0 0 0 0 1 1 1 0 0 1 0 0 0 0 0 0 1 0 1"
    return of_samples([_numbers(temperature)], _numbers(distress), ("-0.2322", "15.0429"), "20.315")


def vasoconstriction():
    """D. J. Finney, Biometrika 34 (1947); fitted by D. Pregibon, Annals of Statistics 9 (1981).

    Logarithms of the volume of air breathed in and of its rate; constriction of skin vessels.
    """
    volume = """3.7 3.5 1.25 .75 .8 .7 .6 1.1 .9 .9 .8 .55 .6 1.4 .75 2.3 3.2 .85 1.7 1.8 .4 .95
        1.35 1.5 1.6 .6 1.8 .95 1.9 1.6 2.7 2.35 1.1 1.1 1.2 .8 .95 .75 1.3"""
    rate = """.825 1.09 2.5 1.5 3.2 3.5 .75 1.7 .75 .45 .57 2.75 3 2.33 3.75 1.64 1.6 1.415 1.06
        1.8 2 1.36 1.35 1.36 1.78 1.5 1.5 1.9 .95 .4 .75 .03 1.83 2.2 2 3.33 1.9 1.9 1.625"""
    constricted = "1 1 1 1 1 1 0 0 0 0 0 0 0 1 1 1 1 1 0 1 0 0 0 0 1 0 1 0 1 0 1 0 0 1 1 1 0 0 1"
    columns = [np.log(_numbers(volume)), np.log(_numbers(rate))]
    return of_samples(columns, _numbers(constricted), ("5.179", "4.562", "-2.875"), "29.23")


def donner_party():
    """F. L. Ramsey and D. W. Schafer, "The Statistical Sleuth", case 20.1, after D. K. Grayson.

    Age and sex (female: 1) of the adults, and whether they survived the winter of 1846.
    """
    people = """23MD 40FS 40MS 30MD 28MD 40MD 45FD 62MD 65MD 45FD 25FD 28MS 28MD 23MD 22FS 23FS
        28MS 15FS 47FD 57MD 20FS 18MS 25MD 60MD 25MS 20MS 32MS 32FS 24FS 30MS 15MD 50FD 21FS 25MD
        46MS 32FS 30MD 25MD 25MD 25MD 30MD 35MD 23MS 24MD 25FS"""
    age, female, survived = np.transpose(
        [(int(each[:2]), each[2] == "F", each[3] == "S") for each in people.split()]
    )
    return of_samples([age, female], survived, ("-0.078", "1.597", "1.633"), "51.256")


def economics_course():
    """L. C. Spector and M. Mazzeo (1980), in W. H. Greene, "Econometric Analysis".

    Grade point average, test score and new way of teaching; whether the grade has improved.
    """
    average = """2.66 2.89 3.28 2.92 4.00 2.86 2.76 2.87 3.03 3.92 2.63 3.32 3.57 3.26 3.53 2.74
        2.75 2.83 3.12 3.16 2.06 3.62 2.89 3.51 3.54 2.83 3.39 2.67 3.65 4.00 3.10 2.39"""
    score = "20 22 24 12 21 17 17 21 25 29 20 23 23 25 26 19 25 19 23 25 22 28 14 26 24 27 17 24 21"
    score += " 23 21 19"
    improved = "0 0 0 0 1 0 0 0 0 1 0 0 0 1 0 0 0 0 0 1 0 1 0 0 1 1 1 0 1 1 0 1"
    columns = [_numbers(average), _numbers(score), np.repeat([0, 1], [18, 14])]
    printed = ("2.826", "0.095", "2.379", "-13.021")
    return of_samples(columns, _numbers(improved), printed, "25.779")  # log L = −12.8896


def beetles():
    """C. I. Bliss (1935), in A. J. Dobson, "An Introduction to Generalized Linear Models".

    log₁₀ of the dose of carbon disulphide, beetles and beetles killed.
    """
    dose = [1.6907, 1.7242, 1.7552, 1.7842, 1.8113, 1.8369, 1.8610, 1.8839]
    killed, beetles = _numbers("6 13 18 28 52 53 61 60"), _numbers("59 60 62 56 63 59 62 60")
    return Table([dose], killed, beetles, ("34.270", "-60.717"), "11.23")


def budworms():
    """D. Collett (1991), in W. N. Venables and B. D. Ripley, "Modern Applied Statistics with S".

    log₂ of the dose of a pyrethroid and sex (male: 1) of twenty moths each, and moths killed.
    """
    dose, male = np.tile(np.arange(6), 2), np.repeat([1, 0], 6)
    killed = _numbers("1 4 9 13 18 20 0 2 6 10 12 16")
    printed = ("1.0642", "1.1007", "-3.4732")
    return Table([dose, male], killed, np.full(12, 20.0), printed, "6.7571")


def snoring():
    """P. G. Norton and E. V. Dunn, BMJ 291 (1985), in A. Agresti's books, with these scores.

    How often someone snores, and people of whom some have heart disease.
    """
    sick, well = _numbers("24 35 21 30"), _numbers("1355 603 192 224")
    return Table([[0, 2, 4, 5]], sick, sick + well, ("0.397", "-3.866"), "2.8089")


def menarche():
    """H. Milicer and F. Szczotka (1966), in W. N. Venables and B. D. Ripley's MASS.

    Mean age of groups of girls of Warsaw, their number, and how many had reached menarche.
    """
    age = """9.21 10.21 10.58 10.83 11.08 11.33 11.58 11.83 12.08 12.33 12.58 12.83 13.08 13.33
        13.58 13.83 14.08 14.33 14.58 14.83 15.08 15.33 15.58 15.83 17.58"""
    girls = """376 200 93 120 90 88 105 111 100 93 100 108 99 106 105 117 98 97 120 102 122 111 94
        114 1049"""
    reached = "0 0 0 2 2 5 10 17 16 29 39 51 47 67 81 88 79 90 113 95 117 107 92 112 1049"
    printed = ("1.63197", "-21.22639")
    return Table([_numbers(age)], _numbers(reached), _numbers(girls), printed, "26.703")


def death_penalty():
    """M. L. Radelet and G. L. Pierce (1991), in A. Agresti's "Categorical Data Analysis".

    Whether defendant and victim are white; verdicts in Florida, and death penalties.
    """
    sentenced, others = _numbers("53 0 11 4"), _numbers("414 16 37 139")
    columns = [[1, 1, 0, 0], [1, 0, 1, 0]]
    return Table(columns, sentenced, sentenced + others, ("-0.868", "2.404", "-3.596"), "0.38")


def azt():
    """A. Agresti, "An Introduction to Categorical Data Analysis", on a study of AZT.

    Immediate use of AZT and race (white: 1); veterans, and who developed symptoms of AIDS.
    """
    sick, well = _numbers("14 32 11 12"), _numbers("93 81 52 43")
    columns = [[1, 0, 1, 0], [1, 1, 0, 0]]
    return Table(columns, sick, sick + well, ("-0.7195", "0.0555", "-1.0736"), "1.38")


def _numbers(text):
    return np.array([float(number) for number in text.split()])


PUBLISHED = [
    heart_disease_by_age,
    o_rings,
    vasoconstriction,
    donner_party,
    economics_course,
    beetles,
    budworms,
    snoring,
    menarche,
    death_penalty,
    azt,
]
published = pytest.mark.parametrize("table", PUBLISHED, ids=lambda table: table.__name__)


def grouped(table):
    """Fit fractions of successes, with the numbers of trials as weights."""
    X, share = np.column_stack(table.columns).astype(float), table.successes / table.trials
    model = BCENeuronClassifier(C=np.inf, soft_targets=True, tol=EXACT)
    return X, model.fit(X, share, sample_weight=table.trials)


def is_printed(value, printed):
    """Return whether the value, rounded, is the printed one."""
    digits = len(printed.partition(".")[2])
    return abs(value - float(printed)) <= 0.5000001 * 10.0**-digits


@published
def test_coefficients_and_deviance_are_those_printed_in_books(table):
    """The deviance is computed from the estimator's probabilities."""
    table = table()
    X, model = grouped(table)
    for value, printed in zip([*model.coef_[0], *model.intercept_], table.printed, strict=True):
        assert is_printed(value, printed)
    expected = model.predict_proba(X) * table.trials[:, None]
    counts = np.column_stack([table.trials - table.successes, table.successes])
    assert is_printed(2 * np.sum(xlogy(counts, counts) - xlogy(counts, expected)), table.deviance)


@published
def test_weights_on_published_data_are_those_of_statsmodels(table):
    table = table()
    X, model = grouped(table)
    counts = np.column_stack([table.successes, table.trials - table.successes])
    glm = sm.GLM(counts, sm.add_constant(X), family=sm.families.Binomial())
    params = glm.fit(tol=1e-13, tol_criterion="params", maxiter=50).params
    # A column whose mean is tens of deviations is nearly collinear with the constant: the relative
    # error of statsmodels is EPS times the square of that number.
    assert_is(model, [*params[1:], params[0]], rtol=1e-9)


@published
def test_grouped_and_single_samples_of_published_data_agree(table):
    """Each group of trials is one sample with soft target, or one sample for each trial."""
    table = table()
    X, of_groups = grouped(table)
    wins, losses = table.successes.astype(int), (table.trials - table.successes).astype(int)
    theta = np.append(of_groups.coef_, of_groups.intercept_)
    labels = np.repeat([1, 0], len(X))
    counts = np.concatenate([wins, losses])
    both = np.concatenate([X, X])
    model = BCENeuronClassifier(C=np.inf, tol=EXACT)
    assert_is(model.fit(np.repeat(both, counts, axis=0), np.repeat(labels, counts)), theta)
    assert_is(model.fit(both, labels, sample_weight=counts), theta)
