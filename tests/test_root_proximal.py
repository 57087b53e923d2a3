"""Search directions with an L1 norm from a root of H, where the matrix H has lost curvature.

The references are an enumeration of all sets of signs, the duality gap, and `tools.referee`.
"""

import itertools

import mpmath as mp
import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from small_data import in_parts, objective, random_data
from test_properties import DataSet
from test_whitening import (
    NEARLY_DEPENDENT,
    PLACES,
    TOL,
    temperatures,
    two_epochs,
    with_codes,
)
from tools.referee import problem_of, referee, value

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.penalty import NonSmooth
from sklearn_bce._solvers import Settings, StopReason
from sklearn_bce._solvers.newton.duality import duality_gap
from sklearn_bce._solvers.newton.loop import Start
from sklearn_bce._solvers.newton.root_proximal import (
    RootFactor,
    RootModel,
    RootOfCurvature,
    RootProximalDirection,
)
from sklearn_bce._solvers.newton.solver import confirmed, run

# ----- the inverse --------------------------------------------------------------------------------


@pytest.mark.parametrize("difference", [1.0, 1e-6, 1e-10])
def test_inverse_and_norms_are_those_of_extended_arithmetic(difference):
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(30, 3)) * [1.0, 1e8, 1.0]
    columns[:, 2] = columns[:, 0] + difference * rng.normal(size=30)
    factor = RootFactor.of(columns)
    vector, rows = columns.T @ rng.normal(size=30), columns[:4]
    with mp.workdps(60):
        A = mp.matrix(columns.tolist())
        inverse = (A.T * A) ** -1
        expected = inverse * mp.matrix(vector.tolist())
        norms = [
            float(mp.sqrt((mp.matrix([row.tolist()]) * inverse * mp.matrix(row.tolist()))[0]))
            for row in rows
        ]
    found = factor(vector)
    # The vector itself is rounded; its error is multiplied by the inverse of the curvature.
    assert_allclose(found, [float(x) for x in expected], rtol=1e-14 / difference**2 + 1e-13)
    assert_allclose(factor.norms(rows), norms, rtol=1e-14 / difference + 1e-13)


def test_columns_that_depend_are_left_out_of_the_inverse():
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(20, 4))
    columns[:, 3] = 2 * columns[:, 0] - columns[:, 1]
    factor = RootFactor.of(columns)
    assert len(factor.order) == 3
    vector = columns.T @ rng.normal(size=20)
    found = factor(vector)
    assert_array_equal(found[np.setdiff1d(np.arange(4), factor.order)], 0.0)
    assert_allclose(columns.T @ (columns @ found), vector, atol=1e-12)
    leverage = columns[:5] @ np.linalg.pinv(columns.T @ columns) @ columns[:5].T
    assert_allclose(factor.norms(columns[:5]), np.sqrt(np.diagonal(leverage)), rtol=1e-12)


# ----- the minimum of the model -------------------------------------------------------------------


def by_enumeration(root, theta, gradient, l1):
    """Return the least value of the model over all sets of signs, by least squares."""
    best = np.inf
    H, size = root.T @ root, len(theta)
    for signs in itertools.product((-1.0, 0.0, 1.0), repeat=size):
        sign = np.where(l1 == 0, 1.0, signs)
        free = sign != 0
        d = np.where(free, 0.0, -theta)
        rhs = -(gradient + H @ d + l1 * np.where(l1 == 0, 0, sign))[free]
        d[free] = np.linalg.solve(H[np.ix_(free, free)], rhs) if free.any() else 0.0
        at = np.where(free, theta + d, 0.0)
        model = gradient @ d + d @ H @ d / 2 + l1 @ (np.abs(at) - np.abs(theta))
        best = min(best, model)
    return best


def free_of_bounds(l1):
    return NonSmooth(l1, np.full(len(l1), -np.inf), np.full(len(l1), np.inf))


@pytest.mark.parametrize("seed", range(20))
def test_minimum_of_the_model_is_that_of_all_sets_of_signs(seed):
    rng = np.random.default_rng(seed)
    size = 5
    root = rng.normal(size=(9, size)) @ (np.eye(size) + 2 * rng.normal(size=(size, size)))
    theta = rng.normal(size=size) * (rng.random(size) < 0.6)
    l1 = np.append(rng.uniform(0.5, 20, size - 1), 0.0)
    gradient = 20 * rng.normal(size=size)
    l2 = rng.uniform(0, 20, size) * (rng.random(size) < 0.5)
    curvature = RootOfCurvature(root, l2)
    root = np.vstack([root, np.diag(np.sqrt(l2))])
    model = RootModel(
        curvature, Evaluation(theta, 0.0, gradient, None, None), free_of_bounds(l1), 1e-12
    )
    model.minimise()
    d = model.d
    at = gradient @ d + np.sum(np.square(root @ d)) / 2
    at += l1 @ (np.abs(theta + d) - np.abs(theta))
    assert at == pytest.approx(by_enumeration(root, theta, gradient, l1), rel=1e-8)
    slope = gradient + root.T @ (root @ d)
    end = theta + d
    excess = np.where(end == 0, np.maximum(np.abs(slope) - l1, 0), slope + l1 * np.sign(end))
    assert_allclose(excess, 0, atol=1e-4)
    # Coordinates at 0 are exactly 0, and the gain is what the model has fallen by.
    assert_array_equal(end[(np.abs(end) < 1e-9) & (l1 > 0)], 0.0)
    assert model.gained <= -at * (1 + 1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_minimum_of_the_model_within_bounds_cannot_be_left_downhill(seed):
    """The model is convex: its minimum is where it rises to every side that is allowed."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(9, 5)) @ (np.eye(5) + 2 * rng.normal(size=(5, 5)))
    l1 = rng.choice([0.0, 5.0], 5)
    lower, upper = -rng.choice([0.0, 0.5, np.inf], 5), rng.choice([0.0, 0.5, np.inf], 5)
    theta, gradient = np.clip(rng.normal(size=5), lower, upper), 20 * rng.normal(size=5)
    point = Evaluation(theta, 0.0, gradient, None, None)
    curvature = RootOfCurvature(root, np.zeros(5))
    model = RootModel(curvature, point, NonSmooth(l1, lower, upper), 1e-12)
    model.minimise()
    # The steps of a fit set weights that are at a bound but for rounding to the bound.
    end = theta + model.d
    for bound in (lower, upper, np.zeros(5)):
        end = np.where(np.isclose(end, bound, rtol=0, atol=1e-13), bound, end)
    assert np.all((lower <= end) & (end <= upper))
    slope = gradient + root.T @ (root @ (end - theta))
    up, down = slope + np.where(end >= 0, l1, -l1), -slope + np.where(end > 0, -l1, l1)
    assert np.all((up >= -1e-4) | (end == upper))
    assert np.all((down >= -1e-4) | (end == lower))
    d = end - theta
    gain = -(gradient @ d + np.sum(np.square(root @ d)) / 2 + l1 @ (np.abs(end) - np.abs(theta)))
    assert model.gained == pytest.approx(gain, rel=1e-9, abs=1e-12)
    assert model.missed == 0


def test_a_coordinate_that_gains_hardly_anything_does_not_hide_another():
    theta, gradient = np.zeros(3), np.array([1.0 + 1e-12, 3.0, 0.0])
    curvature, l1 = RootOfCurvature(np.eye(3), np.zeros(3)), np.array([1.0, 1.0, 0.0])
    model = RootModel(
        curvature, Evaluation(theta, 0.0, gradient, None, None), free_of_bounds(l1), 1e-6
    )
    model.minimise()
    assert_allclose(model.d, [0.0, -2.0, 0.0], atol=1e-9)


def test_a_coordinate_whose_sign_is_rounding_does_not_make_the_search_go_round(monkeypatch):
    """Two columns differ by 1e-16, and their weights of 1e12 cancel."""
    n_sets = []
    factor_of = RootFactor.of
    monkeypatch.setattr(RootFactor, "of", lambda columns: n_sets.append(1) or factor_of(columns))
    n_all_sets, n_missed = 0, 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        root = np.triu(rng.normal(size=(5, 5)))
        root[:, 2] = root[:, 1] + 1e-16 * rng.normal(size=5)
        theta = rng.normal(size=5) * [1, 0, 0, 1, 1] + [0, 1e12, -1e12, 0, 0]
        point = Evaluation(theta, 0.0, 0.1 * rng.normal(size=5), None, None)
        l1 = np.array([1.0, 1.0, 1.0, 1.0, 0.0]) * 10 ** rng.uniform(-14, -2)
        model = RootModel(RootOfCurvature(root, np.zeros(5)), point, free_of_bounds(l1), 1e-9)
        n_sets.clear()
        model.minimise()
        assert len(n_sets) < 50 or (len(n_sets) == 50 and model.missed == np.inf)
        n_all_sets += len(n_sets)
        n_missed += model.missed > 1e-9
    assert n_all_sets < 200 * 6
    assert n_missed > 5  # the search says what it could not do


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("kind", ["in memory", "in parts"])
def test_direction_ends_at_the_minimum_of_the_model(kind, l1_ratio):
    problem = objective(random_data(), 0.2, l1_ratio=l1_ratio).standardised()
    theta = np.array([0.3, 0.0, -0.2, 0.1])
    point = problem.evaluate(theta, hessian=True)
    root = np.linalg.cholesky(point.hessian).T
    l1 = np.append(problem.penalty.l1, 0.0)
    expected = by_enumeration(root, theta, point.gradient, l1)
    problem = problem if kind == "in memory" else in_parts(problem)
    d = RootProximalDirection(problem, 1e-12).at(problem.evaluate(theta))
    end = theta + d.vector
    model = point.gradient @ d.vector + d.vector @ point.hessian @ d.vector / 2
    model += l1 @ (np.abs(end) - np.abs(theta))
    assert model == pytest.approx(expected, rel=1e-9)
    assert d.decrement / 2 == pytest.approx(-expected, rel=1e-9)
    assert d.is_certain


@pytest.mark.parametrize("kind", ["in memory", "in parts"])
def test_the_model_holds_near_the_minimum_and_not_far_from_it(kind):
    problem = objective(random_data(), 0.2, l1_ratio=1.0)
    end = run(Start(problem, np.zeros(4)), Settings(tol=1e-16))
    theta = np.append(end.w, end.b)
    problem = problem if kind == "in memory" else in_parts(problem)
    rule = RootProximalDirection(problem, 1e-6)
    for away, holds in [(0.0, True), (1e-4, True), (0.02, False), (3.0, False)]:
        point = problem.evaluate(theta + away * (theta != 0))
        assert rule.model_holds(point, rule.at(point)) is holds


# ----- fits ---------------------------------------------------------------------------------------


def assert_ends_at_the_minimum(X, y, C, l1_ratio, container=np.asarray):
    """Expect no warning, and F within tol of the referee's minimum; return both."""
    model = BCENeuronClassifier(C=C, l1_ratio=l1_ratio).fit(container(X), y)
    assert model.converged_
    problem = problem_of(X, y, None, C, l1_ratio, True)
    minimum = referee(problem, seconds=60)
    at, _ = value(problem, model.coef_[0], model.intercept_[0])
    assert minimum.uncertainty < TOL / 10
    assert -TOL / 10 <= at - minimum.value <= TOL
    return model, minimum


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("C", [1.0, 1e4])
@pytest.mark.parametrize("name", NEARLY_DEPENDENT)
def test_nearly_dependent_columns_end_at_the_minimum(name, C, l1_ratio):
    assert_ends_at_the_minimum(*NEARLY_DEPENDENT[name], C, l1_ratio)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("code", [1e12, 2.0**63, 1e37])
@pytest.mark.parametrize("places", PLACES)
def test_codes_on_their_side_of_the_line_leave_the_minimum_of_the_others(places, code, l1_ratio):
    assert_ends_at_the_minimum(*with_codes(code, PLACES[places]), 1.0, l1_ratio)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
def test_columns_that_depend_on_each_other_end_at_the_minimum(container, l1_ratio):
    dummies = np.eye(4)[np.random.default_rng(0).integers(0, 4, 200)]
    X, y = temperatures()
    assert_ends_at_the_minimum(X, y, 1e3, l1_ratio, container)
    assert_ends_at_the_minimum(np.hstack([dummies, X[:, :1]]), y, 100.0, l1_ratio, container)


@pytest.mark.parametrize("kind", ["in memory", "in parts"])
def test_a_doubtful_run_is_confirmed_or_goes_on(kind):
    X, y = two_epochs(1e6, 1e-2)
    problem = objective((X, y, np.ones(len(y))), 1e9, l1_ratio=1.0)
    problem = problem if kind == "in memory" else in_parts(problem)
    result = run(Start(problem.standardised(), np.zeros(4)), Settings())
    assert not result.is_certain
    end = confirmed(problem, result, Settings())
    assert end.stop_reason in {StopReason.CONVERGED, StopReason.ROUNDING}
    reference = problem_of(X, y, None, 1e9, 1.0, True)
    least = referee(reference, seconds=60).value
    assert value(reference, end.w, end.b)[0] - least <= TOL
    assert end.loss_curve[: result.n_iter] == result.loss_curve


def test_the_gap_at_the_end_bounds_the_distance():
    X, y = with_codes(1e12, PLACES["rows and columns"])
    model, minimum = assert_ends_at_the_minimum(X, y, 1.0, 1.0)
    problem = objective((X, y, np.ones(len(y))), 1.0, l1_ratio=1.0)
    point = problem.evaluate(np.append(model.coef_[0], model.intercept_))
    gap = duality_gap(problem, point)
    assert gap >= point.value - float(minimum.value) - 1e-12


def test_ordinary_data_with_an_l1_norm_are_not_doubtful():
    for sparse in (False, True):
        problem = objective(random_data(200, 6, sparse=sparse), 1.0, l1_ratio=1.0)
        assert run(Start(problem.standardised(), np.zeros(7)), Settings()).is_certain


@pytest.mark.parametrize("C", [1e3, 25e3])
@pytest.mark.parametrize("shape", [(100, 500), (200, 1000)])
def test_wide_data_with_a_weak_penalty_need_no_root(shape, C, monkeypatch):
    def forbidden(*arguments):
        raise AssertionError("a root was formed")

    rng = np.random.default_rng(0)
    X, coef = rng.normal(size=shape), rng.normal(size=10)
    y = (X[:, :10] @ coef + rng.logistic(size=shape[0]) > 0).astype(float)
    monkeypatch.setattr("sklearn_bce._solvers.newton.solver.examine_by_root", forbidden)
    model = BCENeuronClassifier(C=C, l1_ratio=1).fit(X, y)
    # The duality gap bounds the distance from the minimum, whatever the path to it.
    problem = objective((X, y, np.ones(len(y))), C, l1_ratio=1.0)
    point = problem.evaluate(np.append(model.coef_[0], model.intercept_))
    assert model.stop_reason_ == "tol"
    assert duality_gap(problem, point) <= 10 * model.tol


def test_a_tolerance_below_the_rounding_of_f_is_no_doubt():
    data = DataSet(32, 2, 260985)
    X = sp.csr_array(data.X + np.array([-35.0, -131046.0]))
    model = BCENeuronClassifier(tol=1e-24, l1_ratio=0.4)
    model.fit(X, data.y, sample_weight=data.weight)
    assert model.stop_reason_ in {"tol", "rounding"}
