"""Features that separate the classes alone, and fits in which they do."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import qr
from sklearn.linear_model import LogisticRegression
from small_data import in_parts, with_ones

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._objective.base import NO_SAMPLES
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._solvers.newton import solver
from sklearn_bce._solvers.newton.separated_alone import separated_samples, separating_features

KINDS = [np.asarray, sp.csr_array]


def in_user_units(X, y, fit_intercept=True, penalty_factor=0.0):
    penalty = ElasticNet(np.broadcast_to(penalty_factor, X.shape[1]) * 1.0)
    return InMemoryObjective.in_user_units(X, y, np.ones(len(y)), penalty, fit_intercept)


def test_a_soft_target_or_an_intercept_of_0_may_forbid_a_feature_to_separate_alone():
    X = np.array([[0.0, 1.0], [0.0, 2.0], [1.0, 3.0], [2.0, 5.0]])
    signs = [
        separating_features(in_user_units(X, np.array(y), fit_intercept)).sign
        for y in ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 1.0], [0.5, 0.0, 1.0, 1.0])
        for fit_intercept in (True, False)
    ]
    assert_allclose(signs, [[1, 1], [1, 0], [1, 1], [0, 0], [1, 0], [1, 0]])


@pytest.mark.parametrize("kind", KINDS)
def test_no_feature_separates_one_class(kind):
    X = np.random.default_rng(0).normal(size=(6, 2))
    assert not len(separated_samples(in_user_units(kind(X), np.ones(6))))


def some_separated(n=200):
    """Return X, y, and the rows that column 1 (at 0) and columns 2 and 4 (elsewhere) separate."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(n, 5)), rng.integers(0, 2, n) * 1.0
    rows = np.arange(n)
    first, second, third = [(rows % k == 0) & (y == one) for k, one in ((7, 1), (9, 0), (11, 0))]
    X[:, 1] = first * (1 + np.abs(X[:, 1]))
    X[:, 2] = np.where(second, 0.0, 3.0)
    X[:, 4] = -5.0 - third
    return X, y, [first, second, third]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("are_parts", [False, True])
def test_separated_samples_are_those_that_differ_from_a_threshold(kind, are_parts):
    X, y, (first, second, third) = some_separated()
    objective = in_user_units(kind(X), y)
    samples = separated_samples(in_parts(objective) if are_parts else objective)
    of_parts = np.array_split(np.arange(len(y)), 3) if are_parts else [np.arange(len(y))]
    found = [of_parts[part][rows] for part, rows in sorted(samples.rows.items())]
    assert_array_equal(np.concatenate(found), np.flatnonzero(first | second | third))


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_with_a_penalty_separates_no_samples(kind):
    X, y, (_, second, third) = some_separated()
    found = separated_samples(in_user_units(kind(X), y, penalty_factor=[1, 1, 0, 1, 0]))
    assert_array_equal(found.rows[0], np.flatnonzero(second | third))
    assert not len(separated_samples(in_user_units(kind(X), y, penalty_factor=1.0)))


def with_rare_levels(kind, n=3000):
    """Return one-hot columns, y, and the samples whose level is one that only one class has."""
    rng = np.random.default_rng(1)
    levels = [np.minimum(rng.geometric(p, n), 40) - 1 for p in (0.3, 0.15, 0.08)]
    levels[0][:3], levels[1][5:8] = 38, 39
    X = np.hstack([np.eye(40)[level] for level in levels])
    X = X[:, X.any(axis=0)]
    effect = rng.normal(size=X.shape[1])
    y = (rng.logistic(size=n) < X @ effect) * 1.0
    y[:3], y[5:8] = 1.0, 0.0
    alone = [c for c in range(X.shape[1]) if len(np.unique(y[X[:, c] > 0])) == 1]
    return kind(X), y, X[:, alone].any(axis=1)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tol", [1e-3, 1e-6, 1e-9])
def test_a_fit_is_confirmed_without_a_basis_where_rare_levels_separate(kind, tol, monkeypatch):
    """The infimum is the minimum over the other samples, divided by the number of all."""
    monkeypatch.setattr(solver, "whiten", None)  # takes fifty times as long: must not be called
    X, y, is_separated = with_rare_levels(kind)
    with pytest.warns(UserWarning, match="has no minimum"):
        model = BCENeuronClassifier(C=np.inf, tol=tol).fit(X, y)
    labels, rest = y[~is_separated], with_ones(X)[~is_separated]
    *_, order = qr(rest, mode="r", pivoting=True)
    rest = rest[:, order[: np.linalg.matrix_rank(rest)]]  # independent columns
    reference = LogisticRegression(
        C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-12
    ).fit(rest, labels)
    p = reference.predict_proba(rest)[np.arange(len(labels)), labels.astype(int)]
    infimum = -np.sum(np.log(p)) / len(y)
    z = model.decision_function(X)
    above = np.mean(np.logaddexp(0, z) - y * z) - infimum
    assert model.converged_
    assert -1e-13 < above <= tol


def test_the_loss_of_separated_samples_counts_in_the_bound():
    X, y, _ = with_rare_levels(np.asarray)
    problem = in_user_units(X, y).standardised()
    with pytest.warns(UserWarning, match="has no minimum"):
        model = BCENeuronClassifier(C=np.inf).fit(X, y)
    separated = separated_samples(problem)
    theta = problem.coordinates.from_user(model.coef_[0], model.intercept_[0])
    loss = problem.value_at(theta) - problem.without(separated).value_at(theta)
    bound = [
        solver.bound_in_place(problem, theta, wanted, samples, by_pivots=True)
        for wanted in (2 * loss, 0.99 * loss)
        for samples in (separated, NO_SAMPLES)
    ]
    assert loss > 0
    assert loss <= bound[0] <= 2 * loss
    assert bound[1:] == [np.inf] * 3
