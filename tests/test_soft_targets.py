"""Soft targets, y in [0, 1], against statsmodels, scikit-learn and plain NumPy.

A sample with target y and weight s is equivalent to two samples: one of class 1 with weight sy, and
one of class 0 with weight s(1 − y). So software that accepts sample weights can fit soft targets.
"""

import pickle
from copy import deepcopy
from itertools import product

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
import statsmodels.api as sm
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from scipy.special import expit, logit, xlogy
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import d2_log_loss_score
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from small_data import minimum, naming, with_ones

from sklearn_bce import BCENeuronClassifier, l1_min_c, metrics
from sklearn_bce._solvers.newton import in_cache

# `tol` of newton in nats, far below the rounding of F: F − min F is of second order in the error of
# θ, which is then about 1e-10 if the curvature is of order 1.
TIGHT = {"tol": 1e-20}
TO_THE_END = {"tol": 0, "max_iter": 3000}
SOLVERS = {
    "newton": TIGHT,
    "gd": {"solver": "gd", **TO_THE_END},
    "sgd": {"solver": "sgd", "random_state": 0, **TO_THE_END},  # its batches grow to all samples
}
CONTAINERS = {"C": np.ascontiguousarray, "F": np.asfortranarray, "CSR": sp.csr_array}
CLASS_WEIGHTS = [{0: 0.3, 1: 2.5}, {1: 4.0}, "balanced"]

RNG = np.random.default_rng(0)
TRUE_W = np.array([1.0, -0.5, 0.8])
X = RNG.normal(size=(90, 3))
PROBABILITY = expit(X @ TRUE_W + 0.4)
Y = np.clip(PROBABILITY + RNG.normal(scale=0.3, size=90), 0, 1)  # some are 0, some are 1
HARD = (RNG.random(90) < PROBABILITY).astype(float)
WEIGHT = RNG.uniform(0.2, 3.0, 90)
TRIALS = RNG.integers(1, 7, 90)
SUCCESSES = RNG.binomial(TRIALS, PROBABILITY)


def soft(**parameters):
    return BCENeuronClassifier(soft_targets=True, **parameters)


def theta_of(model):
    return np.append(model.coef_, model.intercept_)


def expanded(X, successes, trials):
    """Return a row and a label of 0 or 1 for every single trial."""
    outcomes = np.column_stack([successes, trials - successes]).ravel()
    return np.repeat(X, trials, axis=0), np.repeat(np.tile([1, 0], len(X)), outcomes)


def logistic(X, y, weight, **parameters):
    """Return scikit-learn's fit to two weighted rows for each sample."""
    model = LogisticRegression(solver="newton-cholesky", tol=1e-10, **parameters)
    labels = np.repeat([1, 0], len(y))
    return model.fit(np.vstack([X, X]), labels, np.append(weight * y, weight * (1 - y)))


def smooth_gradient(model, X, y, weight, l1_ratio=0.0):
    """Return the gradient of all of F but the L1 norm: Zᵀp(a − y) + λw."""
    w, b = model.coef_[0], model.intercept_[0]
    share = weight / np.sum(weight)
    slope = share * (expit(X @ w + b) - y)
    return np.append(X.T @ slope + (1 - l1_ratio) * w / (model.C * np.sum(weight)), np.sum(slope))


def cross_entropy(y, a, weight):
    """Return the weighted mean cross-entropy, by the formula in textbooks."""
    return np.average(-xlogy(y, a) - xlogy(1 - y, 1 - a), weights=weight)


def d2(y, a, weight=None):
    return 1 - cross_entropy(y, a, weight) / cross_entropy(y, np.average(y, weights=weight), weight)


# --- counts of successes: one row a cell or one row a trial ---


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize(
        ("solver", "l1_ratio", "C"),
        [
            *product(SOLVERS, [0.0], [0.1, 1.0, np.inf]),
            *product(
                ["newton", "gd"], [0.5], [0.1, 1.0]
            ),  # with C=inf there is no penalty to share
        ],
    ),
)
def test_counts_are_the_fit_on_the_expanded_rows(solver, l1_ratio, C, fit_intercept, container):
    model = {"C": C, "l1_ratio": l1_ratio, "fit_intercept": fit_intercept}
    counts = soft(**model, **SOLVERS[solver])
    counts.fit(CONTAINERS[container](X), SUCCESSES / TRIALS, sample_weight=TRIALS)
    trials = BCENeuronClassifier(**model, **TIGHT).fit(*expanded(X, SUCCESSES, TRIALS))
    assert_allclose(theta_of(counts), theta_of(trials), rtol=1e-8, atol=1e-9)


def test_counts_on_float32_rows_are_the_rounded_fit_on_expanded_rows():
    rows = X.astype(np.float32)
    counts = soft(**TIGHT).fit(rows, SUCCESSES / TRIALS, sample_weight=TRIALS)
    trials = BCENeuronClassifier(**TIGHT).fit(*expanded(rows.astype(float), SUCCESSES, TRIALS))
    assert counts.coef_.dtype == counts.intercept_.dtype == np.float32
    # Stored weights are float32; computations with a small X are in float64.
    assert_allclose(theta_of(counts), theta_of(trials), rtol=np.finfo(np.float32).eps)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("C", [0.1, 1.0, np.inf])
def test_counts_are_what_logistic_regression_makes_of_the_expanded_rows(C, fit_intercept):
    model = {"C": C, "fit_intercept": fit_intercept}
    counts = soft(**model, **TIGHT).fit(X, SUCCESSES / TRIALS, sample_weight=TRIALS)
    reference = LogisticRegression(solver="newton-cholesky", tol=1e-10, **model)
    reference.fit(*expanded(X, SUCCESSES, TRIALS))
    assert_allclose(theta_of(counts), theta_of(reference), rtol=1e-8, atol=1e-9)


def glm(y, **weights):
    family = sm.families.Binomial()
    fit = sm.GLM(y, with_ones(X), family=family, **weights).fit(tol=1e-14, tol_criterion="params")
    return fit.params


@pytest.mark.parametrize("solver", SOLVERS)
def test_counts_are_a_binomial_glm(solver):
    model = soft(C=np.inf, **SOLVERS[solver])
    model.fit(X, SUCCESSES / TRIALS, sample_weight=TRIALS)
    reference = glm(np.column_stack([SUCCESSES, TRIALS - SUCCESSES]))
    assert_allclose(theta_of(model), reference, rtol=1e-8)


@each_value(
    pytest.mark.parametrize("weight", [None, WEIGHT]),
    pytest.mark.parametrize("solver", SOLVERS),
)
def test_proportions_are_a_fractional_glm(solver, weight):
    model = soft(C=np.inf, **SOLVERS[solver]).fit(X, Y, weight)
    assert_allclose(theta_of(model), glm(Y, var_weights=weight), rtol=1e-8)


# --- the minimum, by every way there ---


@every_pair(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("C", [0.03, 1.0, np.inf]),
    pytest.mark.parametrize("solver", SOLVERS),
)
def test_soft_targets_reach_the_minimum_of_textbook_newton(solver, C, container):
    model = soft(C=C, **SOLVERS[solver]).fit(CONTAINERS[container](X), Y, WEIGHT)
    assert_allclose(theta_of(model), minimum((X, Y, WEIGHT), C), rtol=1e-8, atol=1e-9)


def weighted_problem(n_samples, n_features, density=1.0):
    """Return X, soft y and weights; rows of Euclidean length about 1, as text has."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n_samples, n_features))
    X *= (rng.random(X.shape) < density) / np.sqrt(density)
    z = X @ rng.normal(size=n_features) / np.sqrt(n_features)
    return X, rng.beta(1 + 3 * expit(z), 1 + 3 * expit(-z)), rng.uniform(0.2, 3.0, n_samples)


def begins_on_a_sample(model):
    return model.n_passes_ % 1 > 0


def goes_by_products_of_rows(model):
    return model.n_passes_ < model.n_iter_[0]


@pytest.mark.parametrize("C", [1e-3, 1.0])
@pytest.mark.parametrize(
    ("shape", "container", "way"),
    [
        ((30_000, 15), np.asarray, begins_on_a_sample),
        ((30_000, 15), np.asfortranarray, begins_on_a_sample),
        ((200, 500), np.asarray, goes_by_products_of_rows),
        ((2000, 800, 0.02), sp.csr_array, None),
    ],
    ids=["tall", "tall-F", "wide", "CSR"],
)
def test_gradient_vanishes_on_larger_data(shape, container, way, C, monkeypatch):
    monkeypatch.setattr(in_cache, "CACHE_ELEMENTS", 0)  # the way of still larger data
    monkeypatch.setattr("sklearn_bce._solvers.newton.subsample.WORTH_A_SAMPLE", 1.0)
    X, y, weight = weighted_problem(*shape)
    model = soft(C=C, random_state=0, **TIGHT).fit(container(X), y, weight)
    assert model.converged_
    assert way is None or way(model)
    assert np.abs(smooth_gradient(model, X, y, weight)).max() < 1e-9


@pytest.mark.parametrize("shape", [(30_000, 15), (200, 500), (2000, 800, 0.02)])
def test_l1_conditions_hold_along_a_warm_path(shape):
    X, y, weight = weighted_problem(*shape)
    rows = sp.csr_array(X) if len(shape) == 3 else X
    model = soft(l1_ratio=0.7, warm_start=True, random_state=0, **TIGHT)
    for C in l1_min_c(rows, y, sample_weight=weight, soft_targets=True) * np.array([2, 4, 20]):
        model.set_params(C=C).fit(rows, y, weight)
        *g, of_intercept = smooth_gradient(model, X, y, weight, l1_ratio=0.7)
        kappa, w = 0.7 / (C * np.sum(weight)), model.coef_[0]
        active = w != 0
        assert np.sum(active) > 0
        assert_allclose(np.array(g)[active], -kappa * np.sign(w[active]), rtol=1e-6)
        assert np.abs(g).max() <= kappa * (1 + 1e-6)
        assert abs(of_intercept) < 1e-9


def test_warm_start_notices_other_targets_of_the_same_rows():
    model = soft(l1_ratio=0.5, C=0.5, warm_start=True, **TIGHT).fit(X, Y, WEIGHT)
    cold = soft(l1_ratio=0.5, C=0.5, **TIGHT).fit(X, 1 - Y, WEIGHT)
    assert_allclose(theta_of(model.fit(X, 1 - Y, WEIGHT)), theta_of(cold), rtol=1e-8)


# --- the per-sample rule ---


def by_the_rule(theta, eta, C, batches, total):
    """Return (w, b) after updates by the mean of ηs((y−a)x − λw) and ηs(y−a) over each batch."""
    w, b = theta[:-1].copy(), theta[-1]
    for rows in batches:
        error = WEIGHT[rows] * (Y[rows] - expit(X[rows] @ w + b))
        step = error @ X[rows] - np.sum(WEIGHT[rows]) * w / (C * total)
        w, b = w + eta * step / len(rows), b + eta * np.sum(error) / len(rows)
    return np.append(w, b)


@every_pair(
    pytest.mark.parametrize("C", [np.inf, 0.2]),
    pytest.mark.parametrize("batch_size", [1, 7]),
    pytest.mark.parametrize("container", CONTAINERS),
)
def test_sgd_on_soft_targets_is_the_written_out_update(container, batch_size, C):
    model = soft(C=C, solver="sgd", learning_rate=0.1, batch_size=batch_size, random_state=3)
    model.set_params(tol=0, max_iter=3).fit(CONTAINERS[container](X), Y, WEIGHT)
    theta, stream = np.zeros(4), np.random.RandomState(3)
    for _ in range(3):
        order = stream.permutation(90)
        batches = np.split(order, range(batch_size, 90, batch_size))
        theta = by_the_rule(theta, 0.1, C, batches, np.sum(WEIGHT))
    assert_allclose(theta_of(model), theta, rtol=1e-10)


def test_partial_fit_on_soft_targets_is_the_update_and_needs_no_classes():
    model = soft(C=0.2, learning_rate=0.1, shuffle=False)
    theta = np.zeros(4)
    for rows in np.split(np.arange(90), [1, 40]):  # the penalty is that of all samples so far
        model.partial_fit(X[rows], Y[rows], sample_weight=WEIGHT[rows])
        theta = by_the_rule(theta, 0.1, 0.2, rows[:, np.newaxis], np.sum(WEIGHT[: rows[-1] + 1]))
    assert_allclose(theta_of(model), theta, rtol=1e-10)
    assert_array_equal(model.classes_, [0, 1])


def test_classes_are_0_and_1_even_after_other_labels():
    model = BCENeuronClassifier(solver="sgd", tol=0, max_iter=1).fit(X, 2 * HARD - 1)
    model.set_params(soft_targets=True)
    assert_array_equal(clone(model).fit(X, Y).classes_, [0, 1])
    assert_array_equal(model.partial_fit(X, Y).classes_, [0, 1])


# --- hard labels, and weights of classes ---


@every_pair(
    pytest.mark.parametrize("class_weight", [None, *CLASS_WEIGHTS]),
    pytest.mark.parametrize("weight", [None, WEIGHT]),
    pytest.mark.parametrize("solver", SOLVERS),
)
def test_hard_labels_are_soft_targets_to_the_last_bit(solver, weight, class_weight):
    model = {"class_weight": class_weight, **SOLVERS[solver]}
    if solver != "newton":
        model["max_iter"] = 20
    of_targets = soft(**model).fit(X, HARD, weight)
    of_labels = BCENeuronClassifier(**model).fit(X, HARD, weight)
    assert_array_equal(theta_of(of_targets), theta_of(of_labels))
    assert of_targets.loss_curve_ == of_labels.loss_curve_


@each_value(
    pytest.mark.parametrize("class_weight", CLASS_WEIGHTS),
    pytest.mark.parametrize("solver", SOLVERS),
)
def test_class_weight_is_that_of_two_rows_a_sample(solver, class_weight):
    model = soft(class_weight=class_weight, C=0.5, **SOLVERS[solver]).fit(X, Y, WEIGHT)
    of_class = class_weight
    if class_weight == "balanced":
        class_weight_sums = np.array([WEIGHT @ (1 - Y), WEIGHT @ Y])
        of_class = dict(enumerate(np.sum(WEIGHT) / (2 * class_weight_sums)))
    reference = logistic(X, Y, WEIGHT, C=0.5, class_weight=of_class)
    assert_allclose(theta_of(model), theta_of(reference), rtol=1e-8)


# --- smoothing and distillation ---


@each_value(
    pytest.mark.parametrize("weight", [np.ones(90), WEIGHT]),
    pytest.mark.parametrize(
        ("solver", "epsilon"), [("newton", 1e-4), ("newton", 0.1), ("gd", 0.1), ("sgd", 0.1)]
    ),
)
def test_smoothed_labels_give_every_cell_its_smoothed_share(solver, epsilon, weight):
    cell = np.arange(90) % 3
    labels = np.where(cell == 0, 1.0, HARD)  # of cell 0 the hard labels have no minimum
    smoothed = (1 - epsilon) * labels + epsilon / 2
    model = soft(C=np.inf, fit_intercept=False, **SOLVERS[solver])
    model.fit(np.eye(3)[cell], smoothed, weight)
    share = [np.average(labels[cell == k], weights=weight[cell == k]) for k in range(3)]
    expected = (1 - epsilon) * np.array(share) + epsilon / 2
    assert_allclose(model.predict_proba(np.eye(3))[:, 1], expected, rtol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_features_of_zeros_give_the_mean_target(solver):
    model = soft(**SOLVERS[solver]).fit(np.zeros((90, 1)), Y, WEIGHT)
    assert_array_equal(model.coef_, [[0.0]])
    assert model.intercept_[0] == pytest.approx(logit(np.average(Y, weights=WEIGHT)), rel=1e-9)


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("weight", [None, WEIGHT]),
)
def test_targets_of_a_logistic_model_give_its_weights(solver, weight):
    student = soft(C=np.inf, **SOLVERS[solver]).fit(X, PROBABILITY, weight)
    assert_allclose(theta_of(student), [*TRUE_W, 0.4], rtol=1e-8)


# --- predictions and score ---


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_classes_are_0_and_1_and_predictions_follow_the_outputs(dtype):
    model = soft().fit(X.astype(dtype), Y.astype(dtype))
    assert_array_equal(model.classes_, [0, 1])
    z = model.decision_function(X)
    labels, probability = model.predict(X), model.predict_proba(X)
    assert labels.dtype.kind == "i"
    assert_array_equal(labels, np.where(z > 0, 1, 0))
    assert_allclose(probability, np.column_stack([expit(-z), expit(z)]), rtol=1e-6)
    assert_allclose(model.predict_log_proba(X), np.log(probability), rtol=1e-5)
    model.classes_[:] = 7  # its own array, not one that all share
    assert_array_equal(soft().fit(X, Y).classes_, [0, 1])


@each_value(
    pytest.mark.parametrize("weight", [None, WEIGHT]),
    pytest.mark.parametrize("container", [np.asarray, list, pd.Series]),
)
def test_score_is_d2(container, weight):
    model = soft(C=0.3).fit(X[:40], Y[:40])
    expected = d2(Y, model.predict_proba(X)[:, 1], weight)
    assert model.score(X, container(Y), weight) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_score_on_labels_is_that_of_scikit_learn(weight):
    model = soft().fit(X, Y)
    expected = d2_log_loss_score(HARD, model.predict_proba(X), sample_weight=weight)
    assert model.score(X, HARD, weight) == pytest.approx(expected, rel=1e-12)


def test_score_of_a_constant_model_is_0_and_of_a_wrong_one_negative():
    nothing = np.zeros((90, 1))
    model = soft(**TIGHT).fit(nothing, Y, WEIGHT)
    assert model.score(nothing, Y, WEIGHT) == pytest.approx(0.0, abs=1e-14)
    assert soft().fit(X, Y).score(X, 1 - Y) < -0.1


@pytest.mark.parametrize("target", [0.0, 1.0])
@pytest.mark.parametrize("weight", [None, WEIGHT])
def test_score_is_0_where_there_is_nothing_to_explain(target, weight):
    model = soft().fit(X, Y)
    # The mean of ones may be rounded.
    scores = [
        model.score(X[:n], np.full(n, target), None if weight is None else weight[:n])
        for n in range(1, 91)
    ]
    assert scores == [0.0] * 90


# --- among scikit-learn's tools ---


def scores_by_hand(metric, C):
    """Return D² of five folds, by scikit-learn's fits to two rows for each sample."""
    scores = []
    for train, test in KFold(5).split(X):
        model = logistic(X[train], Y[train], np.ones(len(train)), C=C)
        scores.append(metric(Y[test], model.predict_proba(X[test])[:, 1]))
    return scores


@pytest.mark.parametrize(
    ("scoring", "metric"),
    [
        (None, d2),
        (metrics.d2_log_loss, d2),
        (metrics.neg_brier_score, lambda y, a: -np.mean((y - a) ** 2)),
        (metrics.neg_log_loss, lambda y, a: -cross_entropy(y, a, np.ones(len(y)))),
    ],
)
def test_cross_val_score_of_soft_targets_is_that_of_weighted_rows(scoring, metric):
    scores = cross_val_score(soft(**TIGHT), X, Y, scoring=scoring)
    assert_allclose(scores, scores_by_hand(metric, 1.0), rtol=1e-8)


@pytest.mark.parametrize("container", [np.asarray, pd.Series])
def test_grid_search_finds_the_best_C(container):
    grid = [1e-3, 0.03, 0.3, 3.0, np.inf]
    search = GridSearchCV(soft(**TIGHT), {"C": grid}).fit(X, container(Y))
    expected = [np.mean(scores_by_hand(d2, C)) for C in grid]
    assert_allclose(search.cv_results_["mean_test_score"], expected, rtol=1e-8)
    assert search.best_params_ == {"C": grid[np.argmax(expected)]}
    assert search.score(X, Y) == search.best_estimator_.score(X, Y)


def test_weights_are_routed_to_fit_and_score():
    with config_context(enable_metadata_routing=True):
        model = soft(**TIGHT).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        scores = cross_val_score(model, X, Y, params={"sample_weight": WEIGHT})
    for score, (train, test) in zip(scores, KFold(5).split(X), strict=True):
        reference = logistic(X[train], Y[train], WEIGHT[train])
        expected = d2(Y[test], reference.predict_proba(X[test])[:, 1], WEIGHT[test])
        assert score == pytest.approx(expected, rel=1e-8)


def test_clone_and_pickle_keep_that_targets_are_soft():
    model = soft(C=0.5).fit(X, Y)
    assert clone(model).get_params() == model.get_params()
    assert_array_equal(theta_of(clone(model).fit(X, Y)), theta_of(model))
    loaded = pickle.loads(pickle.dumps(model))
    assert_equal(vars(loaded), vars(model))
    assert loaded.score(X, Y) == model.score(X, Y) != np.mean(model.predict(X) == HARD)


# --- what y may be, and what not ---

EIGHTHS = np.round(8 * Y) / 8  # exact in float32


@each_value(
    pytest.mark.parametrize(
        "y",
        [
            EIGHTHS.tolist(),
            tuple(EIGHTHS),
            pd.Series(EIGHTHS, index=np.arange(90)[::-1]),
            pd.Series(EIGHTHS, dtype="Float64"),
            pl.Series(EIGHTHS),
            EIGHTHS.astype(np.float32),
            EIGHTHS.astype(np.float16),
            EIGHTHS.astype(">f8"),
            EIGHTHS.astype(object),
            np.repeat(EIGHTHS, 2)[::2],
            np.broadcast_to(EIGHTHS, (2, 90))[0],  # read-only
        ],
        ids=[
            *("list", "tuple", "Series", "Float64", "polars", "float32", "float16", "big-endian"),
            *("object", "strided", "read-only"),
        ],
    ),
    pytest.mark.parametrize("solver", SOLVERS),
)
def test_containers_of_soft_targets_give_the_same_fit_and_are_not_changed(solver, y):
    before = deepcopy(y)
    model = soft(solver=solver, tol=0, max_iter=5, random_state=0, class_weight={0: 2.0})
    assert_array_equal(theta_of(clone(model).fit(X, y)), theta_of(model.fit(X, EIGHTHS)))
    model.score(X, y)
    assert_array_equal(np.asarray(y), np.asarray(before))


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float32])
def test_labels_0_and_1_of_any_dtype_are_soft_targets(dtype):
    given, expected = (soft().fit(X, y) for y in (HARD.astype(dtype), HARD))
    assert_array_equal(theta_of(given), theta_of(expected))
    assert_array_equal(given.classes_, [0, 1])
    assert given.classes_.dtype == expected.classes_.dtype


def with_entry(value):
    return np.append(Y[:-1], value)


RANGE = r"soft_targets=True needs y\w* in \[0, 1\].*; it has {}\. .*leave soft_targets=False"
ROUNDING = r"soft_targets=True needs (y\w*) in .*; it has {}\. .*pass np\.clip\(\1, 0, 1\)"
OUT_OF_RANGE = {
    "negative": (with_entry(-0.1), RANGE.format("-0.1")),
    "above 1": (with_entry(1.5), RANGE.format(r"1\.5")),
    "just below 0": (with_entry(-1e-12), ROUNDING.format("-1e-12")),
    "just above 1": (with_entry(1 + 1e-9), ROUNDING.format(r"1\.0+1")),
    "the next number above 1": (with_entry(np.nextafter(1, 2)), ROUNDING.format(r"1\.0+2")),
    "not by rounding alone": (np.append(1 + 1e-9, with_entry(2)[1:]), RANGE.format(r"1\.0+1")),
    "percent": (100 * Y, RANGE.format(r"\d.*")),
    "labels -1 and 1": (2 * HARD - 1, RANGE.format("-1")),
    "labels 1 and 2": (HARD.astype(int) + 1, RANGE.format("2")),
    "three labels": (np.arange(90) % 3, RANGE.format("2")),
    "strings": (np.where(HARD, "yes", "no"), r"soft_targets=True needs .*are not numbers.*False"),
    "objects": (
        np.where(HARD, "yes", "no").astype(object),
        r"soft_targets=True needs .*are not numbers.*False",
    ),
    "digits in strings": (np.where(HARD, "1", "0"), r"soft_targets=True needs .*are not numbers"),
}
MALFORMED = {
    "NaN": (with_entry(np.nan), r"y contains NaN"),
    "infinite": (with_entry(np.inf), r"y contains infinity"),
    "None": ([*Y[:-1], None], r"needs y in \[0, 1\].*; it has nan"),
    "2-d": (np.column_stack([1 - Y, Y]), r"y should be a 1d array"),
    "too short": (Y[:-1], r"inconsistent numbers of samples"),
}
ONE_CLASS = {
    "all 0": (np.zeros(90), r"leave no weight to class 1"),
    "all 1": (np.ones(90, dtype=int), r"leave no weight to class 0"),
}
ALL_BAD = OUT_OF_RANGE | MALFORMED | ONE_CLASS


@pytest.mark.parametrize("fitted", [False, True])
def test_bad_targets_are_refused_and_change_nothing(fitted):
    model = soft().fit(X, Y) if fitted else soft()
    before = deepcopy(vars(model))
    for name, (y, message) in ALL_BAD.items():
        with naming(name):
            with pytest.raises(ValueError, match=message):
                model.fit(X, y)
            assert_equal(vars(model), before)
            if name not in ONE_CLASS:  # a chunk of a stream may have one class
                with pytest.raises(ValueError, match=message):
                    model.partial_fit(X, y)
                assert_equal(vars(model), before)


def test_targets_out_of_range_are_refused_by_score_and_l1_min_c_and_as_y_val():
    model = soft().fit(X, Y)
    before = deepcopy(vars(model))
    for name, (y, message) in OUT_OF_RANGE.items():
        with naming(name):
            with pytest.raises(ValueError, match=message):
                model.score(X, y)
            with pytest.raises(ValueError, match=message):
                model.fit(X, Y, X_val=X, y_val=y)
            assert_equal(vars(model), before)
            with pytest.raises(ValueError, match=message):
                l1_min_c(X, y, soft_targets=True)


@pytest.mark.parametrize(("y", "empty"), [(np.where(HARD, 1.0, Y), 0), (np.where(HARD, 0.0, Y), 1)])
def test_weights_that_leave_only_targets_of_0_or_1_are_an_error(y, empty):
    with pytest.raises(ValueError, match=f"leave no weight to class {empty}"):
        soft().fit(X, y, HARD)
    with pytest.raises(ValueError, match=f"leave no weight to class {empty}"):
        l1_min_c(X, y, soft_targets=True, sample_weight=HARD)


def test_class_weight_that_leaves_only_one_class_warns():
    with pytest.warns(ConvergenceWarning, match="weight is not 0 are of class 0"):
        soft(class_weight={1: 0.0}).fit(X, Y)


@each_value(
    pytest.mark.parametrize("y", [Y.tolist(), np.where(HARD, 0.25, 0.75)]),
    pytest.mark.parametrize(
        "call",
        [
            lambda y: BCENeuronClassifier().fit(X, y),
            lambda y: BCENeuronClassifier().partial_fit(X, y, classes=[0, 1]),
            lambda y: BCENeuronClassifier().fit(X, HARD, X_val=X, y_val=y),
            lambda y: l1_min_c(X, y),
        ],
        ids=["fit", "partial_fit", "y_val", "l1_min_c"],
    ),
)
def test_continuous_labels_lead_to_soft_targets(call, y):
    with pytest.raises(ValueError, match="soft_targets=True"):
        call(y)


# --- the C at which no weight is left ---


@every_pair(
    pytest.mark.parametrize("class_weight", [None, {0: 0.5, 1: 3.0}]),
    pytest.mark.parametrize("weight", [None, WEIGHT]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("container", CONTAINERS),
)
def test_l1_min_c_of_soft_targets_is_the_largest_C_without_weights(
    container, fit_intercept, weight, class_weight
):
    rows, parameters = CONTAINERS[container](X), {"fit_intercept": fit_intercept}
    parameters |= {"class_weight": class_weight, "l1_ratio": 1.0}
    C = l1_min_c(rows, Y, sample_weight=weight, soft_targets=True, **parameters)
    of_0, of_1 = (class_weight or {0: 1.0, 1: 1.0}).values()
    positive, negative = (s * np.ones(90) * of_class for s, of_class in ((Y, of_1), (1 - Y, of_0)))
    if weight is not None:
        positive, negative = weight * positive, weight * negative
    mean = np.sum(positive) / np.sum(positive + negative) if fit_intercept else 0.5
    covariance = np.abs((positive * (1 - mean) - negative * mean) @ X)
    assert pytest.approx(1 / covariance.max(), rel=1e-12) == C
    model = soft(C=C, **parameters).fit(rows, Y, weight)
    assert_array_equal(model.coef_, np.zeros((1, 3)))
    assert model.intercept_[0] == pytest.approx(logit(mean), abs=1e-12)
    model.set_params(C=1.01 * C, **TIGHT).fit(rows, Y, weight)
    assert np.flatnonzero(model.coef_) == [np.argmax(covariance)]


def test_l1_min_c_of_equal_targets_is_an_error():
    with pytest.raises(ValueError, match="No feature is correlated with y"):
        l1_min_c(X, np.full(90, 0.3), soft_targets=True)
    model = soft(l1_ratio=1.0, C=1e3).fit(X, np.full(90, 0.3))
    assert_allclose(theta_of(model), [0, 0, 0, logit(0.3)], rtol=1e-12, atol=1e-12)
