"""F, its derivatives and its coordinates, against formulas in plain NumPy and mpmath.

Penalty, intercept and weights are on throughout, unless a test is about their absence.
"""

import math
from contextlib import nullcontext

import mpmath as mp
import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise

from sklearn_bce._objective import rows as rows_module
from sklearn_bce._objective.base import SUM_ROUNDING, Evaluation
from sklearn_bce._objective.design import Design, design_of
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import NO_PENALTY, ElasticNet
from sklearn_bce._objective.rows import row_blocks, squared
from sklearn_bce._objective.scaling import Coordinates, standard_coordinates

C = 0.7
CONTAINERS = {
    "C order": np.ascontiguousarray,
    "F order": np.asfortranarray,
    "CSR": sp.csr_array,
    "CSR matrix": sp.csr_matrix,
}
# float32 holds the products of a block with its weights and slopes to 6e-8 each.
RTOL = {np.float64: 1e-11, np.float32: 2e-6}


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mp.workdps(50):
        yield


# ----- references -------------------------------------------------------------------------------


def _data(n_samples=30, n_features=4, seed=0):
    """Columns a little off-centre, of scales 0.1 to 100, some values zero; soft targets."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features)) + rng.uniform(-2, 2, n_features)
    X *= np.logspace(-1, 2, n_features) * (rng.random(X.shape) < 0.8)
    return X.astype(np.float32).astype(np.float64), rng.random(n_samples), rng.uniform(0, 2, 30)


class Reference:
    """F(w, b) for complex arguments, and its derivatives in any coordinates by complex steps."""

    def __init__(self, X, y, weight, strength, coordinates):
        self.X, self.y, self.normalised_weight = X, y, weight / weight.sum()
        self.strength, self.coordinates = strength, coordinates

    def user(self, theta):
        """Return (w, b) of θ, from z = b + Σ wᵢxᵢ = c + Σ uᵢ(xᵢ − μᵢ)/σᵢ for every x."""
        to = self.coordinates
        w = theta[: self.X.shape[1]] / to.scale
        return w, theta[-1] - np.sum(w * to.shift) if to.fit_intercept else 0.0

    def value(self, theta):
        w, b = self.user(theta)
        z = self.X @ w + b
        loss = np.log(1 + np.exp(z)) - self.y * z
        return np.sum(self.normalised_weight * loss) + self.strength / 2 * np.sum(w * w)

    def gradient(self, theta):
        """Return ∂F/∂θ for a complex θ."""
        to = self.coordinates
        w, b = self.user(theta)
        slope = self.normalised_weight * (1 / (1 + np.exp(-(self.X @ w + b))) - self.y)
        by_u = (self.X - to.shift).T @ slope / to.scale + self.strength * w / to.scale
        return np.append(by_u, np.sum(slope)) if to.fit_intercept else by_u

    def derivative(self, function, theta):
        steps = 1e-30j * np.eye(len(theta))
        return np.array([np.imag(function(theta + step)) / 1e-30 for step in steps])


def _problem(container, dtype=np.float64, standardised=False, fit_intercept=True, C=C):
    """Return an objective, a θ, and the reference for the objective."""
    X, y, weight = _data()
    strength = 1 / (C * weight.sum())
    user = Coordinates.of_user(X.shape[1], fit_intercept)
    rows = CONTAINERS[container](X.astype(dtype))
    objective = InMemoryObjective(rows, y, weight, ElasticNet(strength), user)
    if standardised:
        objective = objective.standardised()
    theta = np.array([0.3, -0.2, 0.1, 0.05, -0.4])[: objective.coordinates.size]
    if not standardised:
        theta[:4] /= np.array([0.1, 1, 10, 100])
    return objective, theta, Reference(X, y, weight, strength, objective.coordinates)


def _assert_vectors_close(got, expected, rtol):
    """Compare two vectors to rtol of the largest entry."""
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=rtol * np.abs(expected).max())


BOTH = [True, False]
DTYPES = [np.float64, np.float32]


def over(**axes):
    """Parametrise a test by pairs of containers, types, coordinates and other values."""
    return pytest.mark.parametrize(
        *pairwise(container=CONTAINERS, dtype=DTYPES, standardised=BOTH, fit_intercept=BOTH, **axes)
    )


# ----- value and derivatives --------------------------------------------------------------------


@over()
def test_value_gradient_and_curvature_are_those_of_the_reference(
    container, dtype, standardised, fit_intercept
):
    objective, theta, reference = _problem(container, dtype, standardised, fit_intercept)
    rtol = RTOL[dtype]
    point = objective.evaluate(theta, hessian=True)
    assert point.theta is theta
    assert point.value == pytest.approx(reference.value(theta), rel=rtol)
    w, b = reference.user(theta)
    _assert_vectors_close(point.z, reference.X @ w + b, rtol)
    gradient = reference.derivative(reference.value, theta)
    _assert_vectors_close(point.gradient, gradient, rtol)
    _assert_vectors_close(gradient, reference.gradient(theta), 1e-13)
    hessian = reference.derivative(reference.gradient, theta)
    # Entries have different units, and are compared as multiples of the roots of the diagonal.
    unit = np.sqrt(np.diag(hessian))
    np.testing.assert_allclose(
        point.hessian / np.outer(unit, unit), hessian / np.outer(unit, unit), rtol=0, atol=10 * rtol
    )
    np.testing.assert_allclose(
        objective.curvature_diagonal(point), np.diag(hessian), rtol=10 * rtol
    )
    vector = np.array([0.5, 1.0, -2.0, 0.7, 1.5])[: len(theta)] / unit
    product, z_direction = objective.curvature_product(point, vector)
    np.testing.assert_allclose(product / unit, hessian @ vector / unit, rtol=0, atol=10 * rtol)
    w, b = reference.user(vector)
    _assert_vectors_close(z_direction, reference.X @ w + b, rtol)


@pytest.mark.parametrize(
    *pairwise(shape=[(300, 3), (20_000, 6), (100, 5_000)], container=CONTAINERS, dtype=DTYPES)
)
def test_sums_over_samples_are_exact_to_sum_rounding(shape, container, dtype):
    """They are compared with sums by math.fsum, which rounds once."""
    rng = np.random.default_rng(0)
    X = (rng.standard_normal(shape) + rng.uniform(-2, 2, shape[1])).astype(np.float32)
    y, weight = rng.random(shape[0]), rng.uniform(0, 2, shape[0])
    theta = np.append(rng.standard_normal(shape[1]) / np.sqrt(shape[1]), 0.3)
    user = Coordinates.of_user(shape[1], fit_intercept=True)
    rows = CONTAINERS[container](X.astype(dtype))
    point = InMemoryObjective(rows, y, weight, ElasticNet(0.0), user).evaluate(theta)

    z = X.astype(np.float64) @ theta[:-1] + theta[-1]
    p = weight / math.fsum(weight)
    value = math.fsum(p * (np.logaddexp(0, z) - y * z))
    terms = X * (p * (1 / (1 + np.exp(-z)) - y))[:, np.newaxis]
    gradient = np.array([math.fsum(column) for column in terms.T])
    rounding = SUM_ROUNDING[np.dtype(dtype)]
    assert np.all(abs(point.gradient[:-1] - gradient) <= rounding * abs(terms).sum(axis=0))
    assert abs(point.value - value) <= rounding * value


@pytest.mark.parametrize(("C", "strength"), [(0.5, 2.0), (np.inf, 0.0)])
def test_in_user_units_the_penalty_is_divided_by_c_and_the_weights(C, strength):
    X, y, weight = _data()
    theta = np.array([0.3, -0.2, 0.01, 0.005, -0.4])
    reference = Reference(X, y, weight, strength / weight.sum(), Coordinates.of_user(4, True))
    got = InMemoryObjective.in_user_units(
        X, y, weight, ElasticNet.of(C, 0.0, np.sum(weight)), True
    ).evaluate(theta)
    assert got.value == pytest.approx(reference.value(theta), rel=1e-13)


_COUNTS = np.arange(30) % 4
SAME = {  # weights and C, and weights and C and the rows they belong to, of one objective
    "zero-stride": (np.broadcast_to(1.0, 30), C, np.ones(30), C, np.arange(30)),
    "scale": (np.ones(30), C, np.full(30, 8.0), C / 8, np.arange(30)),
    "copies": (_COUNTS / 1.0, C, np.ones(_COUNTS.sum()), C, np.repeat(np.arange(30), _COUNTS)),
}


@pytest.mark.parametrize(*pairwise(container=CONTAINERS, same=SAME))
def test_a_weight_counts_as_copies_and_its_scale_changes_only_the_penalty(container, same):
    X, y, _ = _data()
    theta = np.array([0.3, -0.2, 0.1, 0.05, -0.4])
    weight, C, other_weight, other_C, rows = SAME[same]
    X, repeated = CONTAINERS[container](X), CONTAINERS[container](X[rows])
    objective = InMemoryObjective.in_user_units(
        X, y, weight, ElasticNet.of(C, 0.0, np.sum(weight)), True
    )
    other = InMemoryObjective.in_user_units(
        repeated, y[rows], other_weight, ElasticNet.of(other_C, 0.0, np.sum(other_weight)), True
    )
    assert objective.total_weight == pytest.approx(weight.sum(), rel=1e-14)
    one, two = (each.standardised().evaluate(theta, hessian=True) for each in (objective, other))
    assert one.value == pytest.approx(two.value, rel=1e-12)
    _assert_vectors_close(one.gradient, two.gradient, 1e-12)
    _assert_vectors_close(one.hessian, two.hessian, 1e-12)


@over()
def test_known_outputs_are_used_and_change_no_result(container, dtype, standardised, fit_intercept):
    objective, theta, reference = _problem(container, dtype, standardised, fit_intercept)
    first = objective.evaluate(theta, hessian=True)
    again = objective.evaluate(theta, first.z, hessian=True)
    assert again.z is first.z
    np.testing.assert_array_equal(again.gradient, first.gradient)
    np.testing.assert_array_equal(again.hessian, first.hessian)
    assert objective.value_at(theta, first.z) == pytest.approx(first.value, rel=1e-14)
    shifted = reference.user(theta)[0] @ reference.X.T + 3.0
    moved = objective.value_at(theta, shifted)
    loss = np.log(1 + np.exp(shifted)) - reference.y * shifted
    penalty = reference.strength / 2 * np.sum(reference.user(theta)[0] ** 2)
    assert moved == pytest.approx(np.sum(reference.normalised_weight * loss) + penalty, rel=1e-12)


# ----- of some coordinates, above, and with an L1 norm -------------------------------------------


@over(features=[[0, 1, 2, 3], [0, 2], [3], []])
def test_curvature_of_a_subset_is_the_part_of_the_hessian(
    container, dtype, standardised, fit_intercept, features
):
    objective, theta, reference = _problem(container, dtype, standardised, fit_intercept)
    subset = np.array([*features, 4] if fit_intercept else features, dtype=np.intp)
    point = objective.evaluate(theta, hessian=True)
    before = objective.n_passes
    matrix = objective.curvature_matrix(point, subset)
    assert objective.n_passes == before + 1
    part = np.ix_(subset, subset)
    unit = np.sqrt(np.diag(point.hessian))[subset]
    unit, rtol = np.outer(unit, unit), RTOL[dtype]
    np.testing.assert_allclose(matrix / unit, point.hessian[part] / unit, rtol=0, atol=rtol)
    hessian = reference.derivative(reference.gradient, theta)[part]
    np.testing.assert_allclose(matrix / unit, hessian / unit, rtol=0, atol=10 * rtol)


Z_TO_TOUCH = [0.0, 1e-9, -1e-6, 1.1e-6, -1e-3, 0.5, -1.0, 3.0, -10.0, 40.0, -700.0, 800.0]


def _of_outputs(y):
    """Return an objective with one sample, of its own weight, for each entry of OUTPUTS."""
    n_samples = len(Z_TO_TOUCH)
    weight = np.linspace(1, 2, n_samples)
    X = np.random.default_rng(0).standard_normal((n_samples, 2))
    objective = InMemoryObjective.in_user_units(
        X, np.full(n_samples, y), weight, ElasticNet.of(1.0, 0.0, np.sum(weight)), True
    )
    return objective, weight / weight.sum()


def test_majorising_curvature_is_that_of_the_parabola():
    """The curvature of the parabola is (σ(z) − ½)/z, and ¼ at z = 0."""
    objective, normalised_weight = _of_outputs(1.0)
    got = objective.majorising_curvature(np.array(Z_TO_TOUCH))
    for of_sample, z, p in zip(got, Z_TO_TOUCH, normalised_weight, strict=True):
        c = (1 / (1 + mp.exp(-mp.mpf(z))) - 0.5) / mp.mpf(z) if z else mp.mpf(0.25)
        assert of_sample == pytest.approx(float(p * c), rel=1e-12)
        a = 1 / (1 + mp.exp(-mp.mpf(z)))
        assert of_sample >= p * float(a * (1 - a)) * (1 - 1e-12)


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_the_parabola_touches_the_loss_and_is_nowhere_below_it(y):
    """By symmetry the parabola touches the loss at −z as well."""
    objective, normalised_weight = _of_outputs(y)
    z = np.array(Z_TO_TOUCH)
    curvature_along = objective.majorising_curvature(z) / normalised_weight

    def loss(t):
        return np.logaddexp(0, t) - y * t

    slope = 1 / (1 + np.exp(-np.maximum(z, -708))) - y  # of e⁷⁰⁸ and more nothing is left

    def parabola(t):
        return loss(z) + slope * (t - z) + curvature_along / 2 * (t - z) ** 2

    for t in (*np.linspace(-50, 50, 401), -1000.0, 1000.0):
        rounding = 1e-12 * (1 + np.abs(z) + np.abs(t))
        assert np.all(loss(t) <= parabola(t) + rounding)
    np.testing.assert_allclose(parabola(-z), loss(-z), rtol=1e-10, atol=1e-10)


def _with_l1_norm(standardised, l1_ratio=0.6, fit_intercept=True):
    """Return an objective, and the function F(θ) with the L1 norm in plain NumPy."""
    X, y, weight = _data()
    objective = InMemoryObjective.in_user_units(
        X, y, weight, ElasticNet.of(C, l1_ratio, np.sum(weight)), fit_intercept
    )
    objective = objective.standardised() if standardised else objective
    strength = 1 / (C * weight.sum())
    smooth = Reference(X, y, weight, (1 - l1_ratio) * strength, objective.coordinates)

    def value(theta):
        return smooth.value(theta) + l1_ratio * strength * np.sum(np.abs(smooth.user(theta)[0]))

    return objective, smooth, value


THETAS = [np.array([0.3, 0.0, -0.1, 0.0, -0.4]), np.array([0.0, 0.0, 0.0, 0.0, 0.5])]


@pytest.mark.parametrize(
    *pairwise(theta=THETAS, standardised=BOTH, fit_intercept=BOTH, l1_ratio=[0.25, 1.0])
)
def test_the_l1_norm_is_in_f_and_in_no_derivative(theta, standardised, fit_intercept, l1_ratio):
    objective, smooth, value = _with_l1_norm(standardised, l1_ratio, fit_intercept)
    theta = theta[: 4 + fit_intercept]
    point = objective.evaluate(theta, hessian=True)
    assert point.value == pytest.approx(value(theta), rel=1e-13)
    assert objective.value_at(theta, point.z) == pytest.approx(value(theta), rel=1e-13)
    _assert_vectors_close(point.gradient, smooth.derivative(smooth.value, theta), 1e-11)
    hessian = smooth.derivative(smooth.gradient, theta)
    _assert_vectors_close(point.hessian, hessian, 1e-11)


@pytest.mark.parametrize(*pairwise(theta=THETAS, standardised=BOTH, seed=range(2)))
def test_directional_derivative_is_that_from_the_right(theta, standardised, seed):
    """Expected values are forward differences of two step sizes, in which curvature cancels."""
    objective, _, value = _with_l1_norm(standardised)
    direction = np.random.default_rng(seed).standard_normal(5)
    direction[:4] /= 1.0 if standardised else np.array([0.1, 1, 10, 100])
    got = objective.directional_derivative(objective.evaluate(theta), direction)
    t = 1e-5
    one, half = ((value(theta + s * direction) - value(theta)) / s for s in (t, t / 2))
    assert got == pytest.approx(2 * half - one, rel=1e-7, abs=1e-8)
    there = objective.directional_derivative(
        objective.evaluate(theta), np.append(direction[:4], 0.0)
    )
    back = objective.directional_derivative(
        objective.evaluate(theta), np.append(-direction[:4], 0.0)
    )
    assert there > -back  # for there is a kink at each 0


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_log_odds_are_those_of_the_weights_of_the_classes(fit_intercept):
    X, y, weight = np.zeros((4, 1)), np.array([0.0, 1.0, 0.25, 1.0]), np.array([3.0, 1, 2, 0])
    for targets in (y, np.zeros(4), np.ones(4)):
        objective = InMemoryObjective.in_user_units(
            X, targets, weight, ElasticNet.of(C, 1.0, np.sum(weight)), fit_intercept
        )
        both = fit_intercept and targets is y
        assert objective.log_odds == pytest.approx(np.log(1.5 / 4.5) if both else 0.0, rel=1e-15)


def test_with_a_larger_total_weight_f_is_a_part_of_a_mean_in_any_coordinates():
    X, y, weight = _data()
    user, standard = Coordinates.of_user(4, True), Coordinates(X.mean(0), X.std(0), True)
    part = InMemoryObjective(X, y, weight, ElasticNet(0.5), user, total_weight=70.0)
    w, b = np.array([3.0, -0.2, 0.01, 0.005]), -0.4
    z = X @ w + b
    value = weight @ (np.logaddexp(0, z) - y * z) / 70 + w @ w / 4
    for problem in (part, part.in_coordinates(standard)):
        there = problem.evaluate(problem.coordinates.from_user(w, b))
        assert there.value == pytest.approx(value, rel=1e-13)
        assert problem.value_at(there.theta, there.z) == pytest.approx(value, rel=1e-13)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_diagonal_preconditioner_is_the_diagonal_where_all_outputs_are_one(fit_intercept):
    """In standard coordinates columns have the mean square 1, so that Σ hz² = Σ h = a(1−a)."""
    X, y, weight = _data()
    problem = InMemoryObjective.in_user_units(
        X, y, weight, ElasticNet.of(C, 0.0, np.sum(weight)), fit_intercept
    ).standardised()
    c = 0.7 * fit_intercept
    point = problem.evaluate(problem.coordinates.from_user(np.zeros(4), c))
    normalised_weight = weight / weight.sum()
    variance = normalised_weight @ np.square(X - normalised_weight @ X * fit_intercept)
    curvature_along, strength = np.exp(-c) / (1 + np.exp(-c)) ** 2, 1 / (C * weight.sum())
    expected = [*(curvature_along + strength / variance), curvature_along][: len(point.theta)]
    np.testing.assert_allclose(problem.diagonal_preconditioner(point), expected, rtol=1e-12)
    np.testing.assert_allclose(problem.curvature_diagonal(point), expected, rtol=1e-12)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("offset", [None, np.linspace(-1, 2, 30)], ids=["none", "offset"])
def test_f_of_some_features_has_the_others_in_its_outputs(container, offset):
    X, y, weight = _data()
    penalty = ElasticNet(0.3, 0.1).with_bounds(-np.arange(4.0), np.arange(4.0))
    user = Coordinates.of_user(4, True)
    rows = CONTAINERS[container](X)
    objective = InMemoryObjective(rows, y, weight, penalty, user, offset=offset)
    w, features, theta = np.array([3.0, -0.2, 0.01, 0.005]), [1, 3], np.array([0.5, -0.02, 0.7])
    some = objective.of_features(np.array(features), w)
    z = X @ np.array([w[0], theta[0], w[2], theta[1]]) + theta[2]
    z = z if offset is None else z + offset
    expected = weight @ (np.logaddexp(0, z) - y * z) / weight.sum()
    assert some.evaluate(theta).value == pytest.approx(expected, rel=1e-13)
    np.testing.assert_array_equal(some.penalty.upper, [1.0, 3.0])


@pytest.mark.parametrize("standardised", BOTH)
def test_the_origin_has_the_allowed_weights_nearest_to_0(standardised):
    X, y, weight = _data()
    penalty = ElasticNet(0.3).with_bounds([0.5, -1.0, -np.inf, 0.0], [2.0, -0.25, 3.0, np.inf])
    objective = InMemoryObjective.in_user_units(X, y, weight, penalty, True)
    objective = objective.standardised() if standardised else objective
    w, b = objective.coordinates.to_user(objective.origin)
    np.testing.assert_allclose(w, [0.5, -0.25, 0.0, 0.0], rtol=1e-15)
    assert b == pytest.approx(0.0, abs=1e-15)
    assert objective.is_origin(objective.origin)
    z = 0.5 * X[:, 0] - 0.25 * X[:, 1]
    expected = weight @ (np.logaddexp(0, z) - y * z) / weight.sum() + 0.15 * (0.25 + 0.0625)
    assert objective.value_at_origin == pytest.approx(expected, rel=1e-13)


def test_a_point_that_is_moved_to_a_bound_is_at_the_bound():
    """0.1 + 2·0.1 is more than 0.3 but for rounding; the intercept has no bound."""
    X, y, weight = _data()
    penalty = ElasticNet(0.3).with_bounds(np.full(4, -1.0), np.array([0.3, 1.0, 1.0, 1.0]))
    objective = InMemoryObjective.in_user_units(X, y, weight, penalty, True)
    theta, vector = np.array([0.1, 0.0, -0.5, 0.25, 0.3]), np.array([0.1, 0.25, -0.25, 0, 0.0])
    assert 0.1 + 2 * 0.1 != 0.3
    np.testing.assert_array_equal(objective.moved(theta, 2.0, vector), [0.3, 0.5, -1.0, 0.25, 0.3])
    np.testing.assert_array_equal(objective.on_bounds(theta), theta)


@pytest.mark.parametrize("container", ["C order", "CSR"])
def test_single_columns_less_their_shift_are_standard_columns(container):
    X, y, weight = _data()
    X, y, weight = X[:3], y[:3], weight[:3]
    penalty = ElasticNet(0.3).with_bounds(np.full(4, -1.0), np.inf)
    rows = CONTAINERS[container](X)
    problem = InMemoryObjective.in_user_units(rows, y, weight, penalty, True).standardised()
    assert problem.has_columns
    mean = weight @ X / weight.sum()
    deviation = np.sqrt(weight @ np.square(X - mean) / weight.sum())
    some = np.array([0, 3])
    for features in (some, None):
        got = problem.scaled_columns(features).toarray()
        got = got - problem.shift_of_columns[slice(None) if features is None else features]
        expected = (X - mean) / deviation
        expected = expected if features is None else expected[:, features]
        np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


# ----- blocks and passes ------------------------------------------------------------------------


@over(elements=[1, 28])  # a row a block, and 7 rows: 4 blocks and 2 rows
def test_results_do_not_depend_on_the_length_of_blocks(
    monkeypatch, container, dtype, standardised, fit_intercept, elements
):
    def results():
        objective, theta, _ = _problem(container, dtype, standardised, fit_intercept)
        point = objective.evaluate(theta, hessian=True)
        yield from (objective.coordinates.shift, objective.coordinates.scale)
        yield from (point.value, point.z, point.curvature, point.gradient, point.hessian)
        yield objective.curvature_diagonal(point)
        yield from objective.curvature_product(point, 1 / (1 + theta**2))

    whole = list(results())
    monkeypatch.setattr(rows_module, "BLOCK_ELEMENTS", elements)
    monkeypatch.setattr(rows_module, "CALL_ELEMENTS", 2 * elements)
    for in_blocks, at_once in zip(results(), whole, strict=True):
        _assert_vectors_close(in_blocks, at_once, 1e-12 if dtype is np.float64 else 2e-6)


def test_row_blocks_cover_each_row_once(monkeypatch):
    monkeypatch.setattr(rows_module, "BLOCK_ELEMENTS", 10)
    for shape, lengths in (((7, 4), [2, 2, 2, 1]), ((3, 11), [1, 1, 1]), ((2, 5), [2])):
        X = np.arange(np.prod(shape)).reshape(shape)
        blocks = [X[rows] for rows in row_blocks(X)]
        assert [len(block) for block in blocks] == lengths
        np.testing.assert_array_equal(np.concatenate(blocks), X)
        assert row_blocks(X, in_cache=False) == [slice(0, shape[0])]
        assert row_blocks(sp.csr_array(X)) == [slice(0, shape[0])]


PASSES = {
    "evaluation": lambda F, point: F.evaluate(point.theta),
    "evaluation with known outputs": lambda F, point: F.evaluate(point.theta, point.z),
    "product": lambda F, point: F.curvature_product(point, point.theta),
}


@over(value=[np.nan, np.inf, -np.inf], weight=[0.0, 1.0], at_zero=BOTH, kind=PASSES)
def test_first_pass_finds_an_element_that_is_not_finite(
    container, dtype, standardised, fit_intercept, value, weight, at_zero, kind
):
    X, y, weights = _data()
    X, weights = X.astype(dtype), weights.copy()
    weights[5], X[5, 2] = weight, value
    coordinates = Coordinates.of_user(X.shape[1], fit_intercept)
    if standardised:
        coordinates = Coordinates(np.arange(4.0), np.array([0.1, 1, 10, 100]), fit_intercept)
    rows = CONTAINERS[container](X)
    objective = InMemoryObjective(rows, y, weights, ElasticNet(0.1), coordinates)
    theta = np.zeros(coordinates.size) if at_zero else np.full(coordinates.size, 1e3)
    point = Evaluation(theta, 0.0, theta, np.zeros(len(y)), np.full(len(y), 0.1))
    is_found = pytest.raises(rows_module.NotFiniteError)
    # Sparse X has been searched before.
    with np.errstate(all="ignore"), nullcontext() if sp.issparse(rows) else is_found:
        PASSES[kind](objective, point)


def test_sums_that_overflow_are_no_elements_that_are_not_finite():
    X, y, weights = _data()
    objective = InMemoryObjective(
        X * 1e300, y, weights, ElasticNet(0.1), Coordinates.of_user(X.shape[1], True)
    )
    with np.errstate(all="ignore"):
        assert not np.isfinite(objective.evaluate(np.full(5, 1e200)).value)


@pytest.mark.parametrize("container", CONTAINERS)
def test_passes_are_counted(monkeypatch, container):
    monkeypatch.setattr(rows_module, "BLOCK_ELEMENTS", 28)
    monkeypatch.setattr(rows_module, "CALL_ELEMENTS", 28)
    objective, theta, _ = _problem(container)
    assert objective.n_passes == 0
    point = objective.evaluate(theta)
    assert point.hessian is None
    assert objective.n_passes == 1
    objective.evaluate(theta, point.z, hessian=True)
    objective.curvature_product(point, theta)
    objective.curvature_diagonal(point)
    assert objective.n_passes == 4
    objective.value_at(theta, point.z)
    assert objective.n_passes == 4
    assert objective.standardised().n_passes == 5
    assert objective.n_passes == 5  # one counter serves F in all its coordinates


@pytest.mark.parametrize("standardised", [False, True])
def test_data_are_not_written_to(standardised):
    objective, theta, _ = _problem("F order", standardised=standardised)
    for part in (objective.X, objective.y, objective.sample_weight, theta):
        part.flags.writeable = False  # writing raises
    point = objective.standardised().evaluate(theta, hessian=True)
    objective.curvature_diagonal(point)
    objective.curvature_product(point, theta)


# ----- coordinates ------------------------------------------------------------------------------


def _exact(numbers):
    return np.vectorize(mp.mpf, otypes=[object])(np.asarray(numbers, dtype=np.float64))


def _hard_data():
    """Columns of ordinary, tiny and huge scale, and one (a time stamp) 1e6 deviations from 0."""
    rng = np.random.default_rng(5)
    X = rng.normal([0.5, 1e6, 2.0, -3.0], 1.0, (12, 4)) * [1.0, 30.0, 1e-150, 1e120]
    return X, rng.random(12), rng.uniform(0.2, 2, 12)


@pytest.mark.parametrize(*pairwise(container=CONTAINERS, fit_intercept=BOTH))
def test_columns_are_standardised(container, fit_intercept):
    """The mean is 0 if there is an intercept, and the mean square is 1."""
    X, _, weight = _hard_data()
    weight[0], X[0] = 0.0, X[0] + 7.0  # a sample that does not count
    normalised_weight = _exact(weight) / mp.fsum(_exact(weight))
    shift = normalised_weight @ _exact(X) * int(fit_intercept)
    scale = np.sqrt((normalised_weight @ (_exact(X) - shift) ** 2).astype(np.float64))
    got = standard_coordinates(CONTAINERS[container](X), weight / weight.sum(), fit_intercept)
    np.testing.assert_allclose(got.scale, scale, rtol=1e-13)
    # The mean is a double: of 1e6 deviations the last place is 1e-10 of one.
    allowed = 4e-16 * (np.abs(got.shift) + scale)
    assert np.all(np.abs(got.shift - shift.astype(np.float64)) <= allowed)


@pytest.mark.parametrize("value", [0.0, 5.0, 0.1, 1e9 + 0.1])
def test_a_constant_column_is_left_at_scale_one(value):
    X = np.column_stack([np.full(9, value), np.arange(9.0)])
    X[0, 0] += 1.0  # in a sample without weight
    weight = np.arange(9) / 3
    strength = 0.25
    objective = InMemoryObjective(
        X, np.eye(9)[2], weight, ElasticNet(strength), Coordinates.of_user(2, True)
    )
    problem = objective.standardised()
    assert problem.coordinates.shift[0] == value
    assert problem.coordinates.scale[0] == 1.0
    point = problem.evaluate(np.array([0.8, 0.2, -0.1]), hessian=True)
    rounding = 1e-15 * min(value, 1e3)  # a mean beyond 1e3 is removed before products are formed
    assert point.gradient[0] == pytest.approx(strength * 0.8, abs=rounding, rel=0)
    np.testing.assert_allclose(point.hessian[0], [strength, 0, 0], rtol=0, atol=5 * rounding)


@pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 3.3, 1e5 + 0.1])
@pytest.mark.parametrize("weights", [1 / 49, np.arange(49) / 1176], ids=["equal", "rising"])
def test_a_constant_sparse_column_is_left_at_scale_one_despite_rounding(value, weights):
    got = standard_coordinates(sp.csr_array(np.full((49, 1), value)), weights, True)
    assert got.scale[0] == 1.0


@pytest.mark.parametrize("C", [np.inf, 0.7])
@pytest.mark.parametrize("sparse", [False, True])
def test_hard_columns_lose_no_digits(C, sparse):
    """Results agree with exact arithmetic to 1e-12 of the terms of the sums."""
    X, y, weight = _hard_data()
    rows = sp.csr_array(X) if sparse else X
    problem = InMemoryObjective.in_user_units(
        rows, y, weight, ElasticNet.of(C, 0.0, np.sum(weight)), True
    ).standardised()
    to = problem.coordinates
    # With a penalty w, and not u, is of order 1: otherwise the penalty 1e150² would dominate F.
    theta = np.array([0.5, -0.8, 0.7, 0.3, 0.2])
    theta[:4] *= np.minimum(to.scale, 1.0) if np.isfinite(C) else 1.0
    point = problem.evaluate(theta, hessian=True)

    Z = np.column_stack([(_exact(X) - _exact(to.shift)) / _exact(to.scale), _exact(np.ones(12))])
    normalised_weight = _exact(weight) / mp.fsum(_exact(weight))
    strength = 1 / (mp.mpf(C) * mp.fsum(_exact(weight)))
    penalty = np.append(strength / _exact(to.scale) ** 2, mp.mpf(0))
    z = Z @ _exact(theta)
    a = np.array([1 / (1 + mp.exp(-zi)) for zi in z])
    loss = [mp.log(1 + mp.exp(zi)) - yi * zi for zi, yi in zip(z, _exact(y), strict=True)]
    value = normalised_weight @ loss + mp.fsum(penalty * _exact(theta) ** 2) / 2
    assert abs(point.value - value) <= 1e-12 * value
    terms = np.vstack([Z * (normalised_weight * (a - _exact(y)))[:, None], penalty * _exact(theta)])
    assert np.all(np.abs(point.gradient - terms.sum(axis=0)) <= 1e-12 * np.abs(terms).sum(axis=0))
    curvature = normalised_weight * a * (1 - a)
    hessian = Z.T @ (Z * curvature[:, None]) + np.diag(penalty)
    allowed = 1e-12 * (np.abs(Z).T @ (np.abs(Z) * curvature[:, None]) + np.diag(penalty))
    assert np.all(np.abs(point.hessian - hessian) <= allowed)
    diagonal = problem.curvature_diagonal(point)
    assert np.all(np.abs(diagonal - np.diag(hessian)) <= np.diag(allowed))
    product, z_direction = problem.curvature_product(point, np.ones(5))
    assert np.all(np.abs(product - hessian.sum(axis=1)) <= allowed.sum(axis=1))
    assert np.all(np.abs(z_direction - Z.sum(axis=1)) <= 1e-12 * np.abs(Z).sum(axis=1))


@pytest.mark.parametrize(*pairwise(deviations=[0.0, 5.0, 1e2, 1e4], dtype=DTYPES))
def test_off_centre_columns_are_the_same_function_of_the_user(deviations, dtype):
    """F(θ) is F at (w, b) = to_user(θ), for X without any rounding."""
    X = np.random.default_rng(1).normal([0, deviations], 1.0, (40, 2)).astype(dtype)
    y, weight = np.arange(40) % 2.0, np.ones(40)
    objective = InMemoryObjective(X, y, weight, ElasticNet(0.01), Coordinates.of_user(2, True))
    problem = objective.standardised()
    theta = np.array([0.5, -0.8, 0.3])
    w, b = problem.coordinates.to_user(theta)
    z = (_exact(X) @ _exact(w) + mp.mpf(b)).astype(np.float64)
    point = problem.evaluate(theta)
    # float32: centred to a rounding of 6e-8 of offsets up to 3, or 5 deviations before centring.
    np.testing.assert_allclose(point.z, z, rtol=0, atol=1e-11 if dtype is np.float64 else 2e-6)
    loss = np.mean(np.logaddexp(0, z) - y * z) + 0.005 * w @ w
    assert point.value == pytest.approx(loss, rel=1e-11 if dtype is np.float64 else 1e-6)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_to_user_is_the_inverse_of_from_user(fit_intercept):
    shift = np.array([3.0, -2.0, 0.0]) * fit_intercept
    there = Coordinates(shift, np.array([2.0, 0.5, 1e-9]), fit_intercept)
    assert there.size == 3 + fit_intercept
    w, b = np.array([1.5, -4.0, 1e8]), 0.7 * fit_intercept
    theta = there.from_user(w, b)
    # u = σw, and c = b + Σ wᵢμᵢ = 0.7 + 4.5 + 8
    np.testing.assert_allclose(theta, [3.0, -2.0, 0.1, 13.2][: there.size], rtol=1e-15)
    back = there.to_user(theta)
    np.testing.assert_allclose(back[0], w, rtol=1e-15)
    assert back[1] == pytest.approx(b, rel=1e-14)
    same = Coordinates.of_user(3, fit_intercept)
    np.testing.assert_array_equal(same.from_user(w, b), [*w, b][: same.size])
    np.testing.assert_array_equal(same.to_user(same.from_user(w, b))[0], w)


def test_squares_of_ones_need_no_copy():
    X = sp.csr_array([[1.0, 0.0], [1.0, 1.0]])
    assert squared(X) is X
    np.testing.assert_array_equal(squared(-3 * X).toarray(), 9 * X.toarray())


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_a_copy_and_a_view_of_the_samples_make_the_same_products(fit_intercept):
    X, y, weight = _hard_data()
    X = X[:, [0]] * [1.0, 1e-3, 40.0] + np.arange(36).reshape(12, 3) ** 1.5
    coordinates = standard_coordinates(X, weight / weight.sum(), fit_intercept)
    theta = np.arange(1.0, coordinates.size + 1)
    products, every = [], np.arange(coordinates.size)
    for design in (design_of(X, coordinates), Design(X, coordinates)):
        z, again = np.empty((2, 12))
        sums, product, gram = design.sums(), design.sums(), design.gram_sums(every)
        squares = design.square_sums()
        raw_weights = design.raw_weights(theta)
        for rows, block in design.blocks(slice(0, 12)):
            block.outputs(*raw_weights, z[rows])
            block.add_sums(y[rows], sums)
            block.add_product(*raw_weights, weight[rows], again[rows], product)
            design.add_gram(block, weight[rows], every, gram)
            block.add_squares(weight[rows], *squares)
        np.testing.assert_array_equal(again, z)
        totals = design.to_theta_gradient(sums), design.to_theta_gradient(product)
        products.append((z, *totals, design.gram(gram, every), design.gram_diagonal(*squares)))
    for of_copy, of_view in zip(*products, strict=True):
        np.testing.assert_allclose(of_copy, of_view, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rows_of_wide_arrays_are_made_contiguous_and_the_given_array_is_known(dtype, monkeypatch):
    monkeypatch.setattr(rows_module, "COLUMNS_AT_ONCE", 4)
    given = np.asfortranarray(np.random.default_rng(0).normal(size=(3, 10)).astype(dtype))
    weight = np.ones(3)
    problem = InMemoryObjective.in_user_units(given, weight, weight, NO_PENALTY, True)
    assert problem.X.flags.c_contiguous
    np.testing.assert_array_equal(problem.X, given)
    assert not np.shares_memory(problem.X, given)
    standard = problem.standardised()
    assert standard.has_samples(given)
    assert not standard.has_samples(given.copy())
    assert standard.samples_reference()() is given
