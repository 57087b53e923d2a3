"""The duality gap: a bound on F − min F at every point, which vanishes at the minimum."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import minimize
from small_data import in_parts, random_data

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._solvers.newton.duality import duality_gap

STRENGTHS = {
    "L1": (0.0, 0.02),
    "weak L1": (0.0, 1e-4),
    "elastic net": (0.01, 0.01),
    "squares": (0.05, 0.0),
    "some with squares": (np.array([0.0, 0.1, 0.0, 0.02]), np.array([0.01, 0.0, 0.03, 0.001])),
}
ROUNDING = 1e-15


def problem(kind, fit_intercept=True, soft=False, sparse=False):
    X, y, weight = random_data(n_features=4, sparse=sparse)
    y = 0.1 + 0.7 * y if soft else y
    user = InMemoryObjective.in_user_units(
        X, y, weight, ElasticNet.of(1.0, 0.0, np.sum(weight)), fit_intercept
    )
    user.penalty = ElasticNet(*STRENGTHS[kind])
    return user.standardised()


def minimum(objective):
    """Return θ and F at the minimum, by L-BFGS-B over the positive and negative parts of u."""
    p, size = objective.n_features, objective.coordinates.size
    l1 = np.broadcast_to(objective.penalty.l1, p)

    def parts(v):
        theta = np.append(v[:p] - v[p : 2 * p], v[2 * p :])
        point = objective.evaluate(theta)
        smooth = point.value - objective.penalty.value(theta[:p])
        smooth += np.sum(objective.penalty.l2 * theta[:p] ** 2) / 2
        g, of_b = np.split(point.gradient, [p])
        value = smooth + l1 @ (v[:p] + v[p : 2 * p])
        return value, np.concatenate([g + l1, l1 - g, of_b])

    lower, upper = (
        np.broadcast_to(bound, p) for bound in (objective.penalty.lower, objective.penalty.upper)
    )
    bounds = [
        *zip(np.maximum(lower, 0), np.maximum(upper, 0), strict=True),
        *zip(np.maximum(-upper, 0), np.maximum(-lower, 0), strict=True),
        *[(None, None)] * (size - p),
    ]
    options = {"ftol": 0, "gtol": 1e-12, "maxiter": 10_000, "maxfun": 100_000}
    v = minimize(parts, np.zeros(p + size), jac=True, bounds=bounds, options=options).x
    theta = np.append(v[:p] - v[p : 2 * p], v[2 * p :])
    return theta, objective.value_at(theta)


@pytest.mark.parametrize("sparse", [False, True], ids=["dense", "CSR"])
@pytest.mark.parametrize("soft", [False, True], ids=["hard", "soft"])
@pytest.mark.parametrize("fit_intercept", [False, True], ids=["no intercept", "intercept"])
@pytest.mark.parametrize("kind", STRENGTHS)
def test_gap_is_a_bound_everywhere_and_tight_at_the_minimum(kind, fit_intercept, soft, sparse):
    objective = problem(kind, fit_intercept, soft, sparse)
    best, least = minimum(objective)
    at_best = duality_gap(objective, objective.evaluate(best))
    assert at_best <= 1e-7
    rng = np.random.default_rng(0)
    for distance in (1e-8, 1e-4, 0.01, 0.1, 1.0, 10.0, 100.0):
        point = objective.evaluate(best + distance * rng.standard_normal(len(best)))
        gap = duality_gap(objective, point)
        assert point.value - least - ROUNDING <= gap <= point.value


BOUNDS = {  # in standard units, of weights whose minimum without bounds has about the size 1
    "above": (np.full(4, -np.inf), np.full(4, 0.25)),
    "both sides": (np.array([-0.1, -0.2, 0.0, -np.inf]), np.array([0.3, 0.2, 0.0, 0.5])),
    "away from 0": (np.array([0.5, -np.inf, -2.0, 0.1]), np.array([0.75, -0.5, -1.0, 0.1])),
}


@pytest.mark.parametrize("fit_intercept", [False, True], ids=["no intercept", "intercept"])
@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("kind", STRENGTHS)
def test_gap_within_bounds_is_a_bound_and_tight_at_the_minimum(kind, bounds, fit_intercept):
    """The minimum is that of L-BFGS-B over positive and negative parts, which have bounds."""
    objective = problem(kind, fit_intercept)
    lower, upper = BOUNDS[bounds]
    objective.penalty = objective.penalty.with_bounds(lower, upper)
    best, least = minimum(objective)
    assert duality_gap(objective, objective.evaluate(best)) <= 1e-7
    rng = np.random.default_rng(0)
    for distance in (1e-4, 0.1, 1.0, 10.0):
        theta = best + distance * rng.standard_normal(len(best))
        theta[:4] = np.clip(theta[:4], lower, upper)
        point = objective.evaluate(theta)
        gap = duality_gap(objective, point)
        assert point.value - least - ROUNDING <= gap <= point.value


@pytest.mark.parametrize("kind", STRENGTHS)
def test_gap_falls_with_the_distance_from_the_minimum(kind):
    objective = problem(kind)
    best, _ = minimum(objective)
    away = np.random.default_rng(1).standard_normal(len(best))
    gaps = [duality_gap(objective, objective.evaluate(best + t * away)) for t in (1e-2, 1e-4)]
    assert gaps[1] <= 0.05 * gaps[0]


def test_one_weight_by_hand():
    """Without an intercept, at θ = 0: v = t/2 for y = 0 and −t/2 for y = 1."""
    X, y = np.array([[1.0], [-1.0]]), np.array([1.0, 0.0])
    objective = InMemoryObjective.in_user_units(
        X, y, np.ones(2), ElasticNet.of(1.0, 1.0, np.sum(np.ones(2))), False
    )
    point = objective.evaluate(np.zeros(1))
    assert duality_gap(objective, point) == 0.0  # κ = 1/2 is the gradient at 0
    objective.penalty = ElasticNet(0.0, 0.25)  # t = 1/2: q = 1/4 and 3/4
    entropy = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75))
    assert_allclose(duality_gap(objective, point), np.log(2) - entropy, rtol=1e-14)
    objective.penalty = ElasticNet(0.0, 0.0)
    assert_allclose(duality_gap(objective, point), np.log(2), rtol=1e-14)


@pytest.mark.parametrize(("fit_intercept", "passes"), [(False, 0), (True, 1)])
def test_number_of_passes(fit_intercept, passes):
    objective = problem("L1", fit_intercept)
    point = objective.evaluate(np.full(objective.coordinates.size, 0.3))
    before = objective.n_passes
    duality_gap(objective, point)
    assert objective.n_passes - before == passes


def test_intercept_far_off_leaves_the_bound_by_zero():
    """The curvature is 0, so that no slopes but 0 are feasible."""
    objective = problem("L1")
    point = objective.evaluate(np.array([0.0, 0.0, 0.0, 0.0, 800.0]))
    assert duality_gap(objective, point) == point.value


def test_there_is_no_gap_for_samples_in_parts():
    objective = in_parts(problem("L1"))
    assert duality_gap(objective, objective.evaluate(np.zeros(5))) is None


@pytest.mark.parametrize("C", [1.0, 1e4])
def test_end_of_a_fit_is_within_tol_by_the_gap(C):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 200))
    y = (X[:, :3].sum(axis=1) + rng.logistic(size=60) > 0).astype(float)
    model = BCENeuronClassifier(C=C, l1_ratio=1, tol=1e-16).fit(X, y)
    objective = InMemoryObjective.in_user_units(
        X, y, np.ones(60), ElasticNet.of(C, 1.0, np.sum(np.ones(60))), True
    ).standardised()
    theta = objective.coordinates.from_user(model.coef_[0], model.intercept_[0])
    assert duality_gap(objective, objective.evaluate(theta)) <= 1e-9
