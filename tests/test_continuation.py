"""Continuation from stronger penalties: few samples for each feature, and a weak L1 norm."""

import numpy as np
import pytest
import scipy.sparse as sp

from sklearn_bce import BCENeuronClassifier, l1_min_c
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._solvers.newton import quadratic
from sklearn_bce._solvers.newton.continuation import STRENGTH_RATIO, is_wide, strength_factors
from sklearn_bce._solvers.newton.duality import duality_gap


def wide(correlated=False, n_samples=80, n_features=400):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(n_samples, n_features))
    if correlated:
        X = 0.5 * X + rng.normal(size=(n_samples, 3)) @ rng.normal(size=(3, n_features))
    return X, (X[:, :5].sum(axis=1) + rng.logistic(size=n_samples) > 0).astype(float)


def problem_of(X, y, C, l1_ratio=1.0):
    user = InMemoryObjective.in_user_units(
        X, y, np.ones(len(y)), ElasticNet.of(C, l1_ratio, np.sum(np.ones(len(y)))), True
    )
    return user.standardised()


@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
@pytest.mark.parametrize("multiple", [1.5, 50.0, 1000.0])
def test_penalties_begin_below_the_one_for_which_the_start_is_the_minimum(multiple, l1_ratio):
    """The start is the minimum for ``multiple`` times the penalty."""
    X, y = wide()
    C = 10 * l1_min_c(X, y, l1_ratio=l1_ratio)
    start = BCENeuronClassifier(C=C, l1_ratio=l1_ratio, tol=1e-14).fit(X, y)
    problem = problem_of(X, y, multiple * C, l1_ratio)
    theta = problem.coordinates.from_user(start.coef_[0], start.intercept_[0])
    factors = strength_factors(problem, problem.evaluate(theta))
    n_expected = 0 if multiple <= 60 else 1
    assert factors == [STRENGTH_RATIO**k for k in range(n_expected, 0, -1)]


def test_no_penalty_has_no_stronger_ones():
    X, y = wide()
    problem = problem_of(X, y, np.inf)
    assert strength_factors(problem, problem.evaluate(np.zeros(401))) == []


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array], ids=["dense", "CSR"])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.9])
@pytest.mark.parametrize("correlated", [False, True])
def test_weak_penalties_of_wide_data_take_few_faces(correlated, l1_ratio, container, monkeypatch):
    """Without continuation these fits take up to 1000 faces, each of which is factorised."""
    n_faces = 0
    search = quadratic._Face.search

    def counted(self):
        nonlocal n_faces
        n_faces += 1
        return search(self)

    monkeypatch.setattr(quadratic._Face, "search", counted)
    X, y = wide(correlated)
    for C in (1e3, 1e6):
        n_faces = 0
        model = BCENeuronClassifier(C=C, l1_ratio=l1_ratio).fit(container(X), y)
        assert model.converged_
        assert model.n_passes_ <= 90
        assert n_faces <= 250
        best = BCENeuronClassifier(C=C, l1_ratio=l1_ratio, tol=1e-12).fit(container(X), y)
        problem = problem_of(X, y, C, l1_ratio)
        theta = problem.coordinates.from_user(best.coef_[0], best.intercept_[0])
        assert duality_gap(problem, problem.evaluate(theta)) <= 1e-9
        assert model.loss_curve_[-1] - best.loss_curve_[-1] <= 1e-6


@pytest.mark.parametrize("start", [-3.0, 1.0])
def test_start_far_from_the_minimum_leads_there(start):
    X, y = wide()
    model = BCENeuronClassifier(C=1e4, l1_ratio=1, tol=1e-10)
    least = model.fit(X, y).loss_curve_[-1]
    model.fit(X, y, coef_init=np.full(400, start), intercept_init=start)
    assert abs(model.loss_curve_[-1] - least) <= 2e-10


@pytest.mark.parametrize(
    ("shape", "density", "expected"),
    [
        ((20, 30), 1.0, True),
        ((59, 30), 1.0, True),
        ((60, 30), 1.0, False),
        ((20, 30), 0.2, False),
        ((20, 30), 0.8, True),
    ],
)
def test_wide_data_have_few_samples_for_each_feature_and_few_zeros(shape, density, expected):
    X = sp.csr_array(np.random.default_rng(0).random(shape) * np.ones(shape))
    X = X if density == 1 else sp.random(*shape, density=density, format="csr")
    assert is_wide(problem_of(X, np.arange(shape[0]) % 2.0, 1.0)) is expected
