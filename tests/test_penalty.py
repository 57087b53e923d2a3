"""The penalty, against plain NumPy, finite differences and minima on a grid."""

import math

import numpy as np
import pytest
from covering import pairwise

from sklearn_bce._objective.penalty import ElasticNet, NonSmooth

L2 = {"none": 0.0, "one": 0.5, "several": np.array([0.5, 2.0, 8.0, 0.25])}
L1 = {"none": 0.0, "one": 0.75, "several": np.array([0.5, 0.0, 3.0, 0.125])}
# Multiples of a power of two, with which sums and products in the tests are exact.
POINTS = {
    "one zero": np.array([2.0, -1.0, 0.0, 0.5]),
    "many zeros": np.array([0.0, 0.0, 0.0, -3.0]),
    "all zero": np.zeros(4),
}
DIRECTIONS = [np.array([1.0, 2.0, -3.0, 0.0]), np.array([-1.0, 1.0, 0.5, 4.0])]
GRADIENTS = [np.array([0.25, -0.75, 4.0, -2.0]), np.array([0.0, 0.5, -3.0, 0.125])]
STEP = 2.0**-10  # shorter than the way from any of the points to 0 along any of the directions


@pytest.fixture
def l2(of_squares):
    return L2[of_squares]


@pytest.fixture
def l1(of_norm):
    return L1[of_norm]


@pytest.fixture
def u(point):
    return POINTS[point]


def over(**axes):
    """Parametrise a test by pairs of strengths, points and other values."""
    return pytest.mark.parametrize(*pairwise(of_squares=L2, of_norm=L1, point=POINTS, **axes))


def _value(u, l2, l1):
    """Return ½ Σ λu² + Σ κ|u| in plain NumPy."""
    terms = zip(u, np.broadcast_to(l2, u.shape), np.broadcast_to(l1, u.shape), strict=True)
    return math.fsum(lam * ui * ui / 2 + kappa * abs(ui) for ui, lam, kappa in terms)


def test_a_small_example_by_hand():
    u = np.array([2.0, -1.0, 0.0])
    single, several = ElasticNet(0.5), ElasticNet(np.array([0.5, 2.0, 8.0]), 3.0)
    assert (single.value(u), several.value(u)) == (1.25, 11.0)
    np.testing.assert_array_equal(single.gradient(u), [1.0, -0.5, 0.0])
    np.testing.assert_array_equal(several.gradient(u), [1.0, -2.0, 0.0])
    np.testing.assert_array_equal(several.prox(u, 0.5), [0.5, 0.0, 0.0])
    assert several.directional_derivative(u, np.array([1.0, 1.0, -1.0])) == 3.0


@over()
def test_value_is_the_sum_written_out(u, l2, l1):
    assert ElasticNet(l2, l1).value(u) == _value(u, l2, l1)


@over(factor=[0.25, 8.0])
def test_a_multiple_has_that_multiple_as_value(u, l2, l1, factor):
    assert ElasticNet(l2, l1).times(factor).value(u) == factor * _value(u, l2, l1)


@over()
def test_gradient_is_of_the_smooth_part(u, l2, l1):
    """Expected values are central differences, which are exact for a quadratic function."""
    steps = STEP * np.eye(len(u))
    differences = [_value(u + step, l2, 0.0) - _value(u - step, l2, 0.0) for step in steps]
    np.testing.assert_array_equal(ElasticNet(l2, l1).gradient(u), np.array(differences) / 2 / STEP)


@over(direction=range(len(DIRECTIONS)))
def test_directional_derivative_of_the_norm_is_that_from_the_right(u, l2, l1, direction):
    """The norm is linear up to the next change of a sign, so that a difference is exact."""
    du = DIRECTIONS[direction]
    slope = (_value(u + STEP * du, 0.0, l1) - _value(u, 0.0, l1)) / STEP
    assert ElasticNet(l2, l1).directional_derivative(u, du) == slope
    back = (_value(u - STEP * du, 0.0, l1) - _value(u, 0.0, l1)) / STEP
    assert ElasticNet(l2, l1).directional_derivative(u, -du) == back


@pytest.mark.parametrize(*pairwise(kappa=[0.0, 0.25, 1.0, 3.0], eta=[0.125, 1.0, 4.0]))
def test_proximal_step_is_least_on_a_grid(eta, kappa):
    """The step minimises κ|v| + (v − u)²/2η, and ends at exactly 0 if it leads to 0 or past 0."""
    u, spacing = np.linspace(-6, 6, 97), 2.0**-10
    grid = np.arange(-6, 6 + spacing, spacing)
    least = np.array(
        [grid[np.argmin(kappa * np.abs(grid) + (grid - ui) ** 2 / 2 / eta)] for ui in u]
    )
    before = u.copy()
    for l1 in (kappa, np.full(len(u), kappa)):
        got = ElasticNet(0.5, l1).prox(u, eta)
        np.testing.assert_allclose(got, least, rtol=0, atol=spacing)
        np.testing.assert_array_equal(got == 0, np.abs(u) <= eta * kappa)
    np.testing.assert_array_equal(u, before)


@pytest.mark.parametrize(*pairwise(point=POINTS, of_squares=L2))
def test_proximal_step_has_a_threshold_for_each_coordinate(u, l2):
    kappa = L1["several"]
    got = ElasticNet(l2, kappa).prox(u, 0.5)
    for k, (of_all, ui) in enumerate(zip(got, u, strict=True)):
        assert of_all == ElasticNet(l2, float(kappa[k])).prox(np.array([ui]), 0.5)[0]


@pytest.mark.parametrize(*pairwise(of_squares=L2, of_norm=L1, n_features=[4]))
def test_curvature_diagonal_is_the_strength_of_the_squares_for_each_weight(l2, l1, n_features):
    """Expected values are second differences, which are exact for a quadratic function."""
    got = ElasticNet(l2, l1).curvature_diagonal(n_features)
    u, steps = POINTS["one zero"], STEP * np.eye(n_features)
    second = [
        _value(u + step, l2, 0.0) - 2 * _value(u, l2, 0.0) + _value(u - step, l2, 0.0)
        for step in steps
    ]
    np.testing.assert_array_equal(got, np.array(second) / STEP**2)


@over(gradient=range(len(GRADIENTS)))
def test_subgradient_excess_is_the_distance_from_the_subdifferential(u, l2, l1, gradient):
    """The subgradients of κ|u| are the slopes s for which κ|v| >= κ|u| + s(v − u) at every v."""
    g, slopes = GRADIENTS[gradient], np.arange(-8, 8 + 2.0**-4, 2.0**-4)
    expected, others = [], np.array([-64.0, -1.0, 0.0, 1.0, 64.0])
    for ui, gi, kappa in zip(u, g, np.broadcast_to(l1, u.shape), strict=True):
        above = kappa * np.abs(others) >= kappa * abs(ui) + np.outer(slopes, others - ui)
        expected.append(np.min(np.abs(-gi - slopes[above.all(axis=1)])))
    np.testing.assert_array_equal(ElasticNet(l2, l1).subgradient_excess(u, g), expected)


@over()
def test_subgradient_excess_is_0_exactly_where_the_proximal_step_ends(u, l2, l1):
    """The step minimises κ|v| + (v − u)²/2η, with the gradient (v − u)/η of the smooth part."""
    penalty, eta = ElasticNet(l2, l1), 0.25
    v = penalty.prox(u, eta)
    np.testing.assert_array_equal(penalty.subgradient_excess(v, (v - u) / eta), 0.0)
    beside = v + STEP
    assert np.all(penalty.subgradient_excess(beside, (beside - u) / eta) > 0)


@over(scale=[np.array([2.0, 0.5, 1.0, 64.0]), np.full(4, 2.0**-40)])
def test_in_units_the_penalty_is_the_same_function_of_the_weights(u, l2, l1, scale):
    """At u = σw the value is the same, and the derivatives in w follow by the chain rule."""
    penalty = ElasticNet(l2, l1)
    there, du = penalty.in_units(scale), DIRECTIONS[1]
    assert there.value(scale * u) == penalty.value(u)
    np.testing.assert_array_equal(there.gradient(scale * u) * scale, penalty.gradient(u))
    assert there.directional_derivative(scale * u, scale * du) == penalty.directional_derivative(
        u, du
    )
    assert there.is_smooth == penalty.is_smooth


LOWER, UPPER = np.array([-1.0, 0.0, -2.0, 0.5]), np.array([2.0, 3.0, -0.25, 0.5])


@pytest.mark.parametrize(
    *pairwise(of_squares=L2, of_norm=L1, gradient=range(len(GRADIENTS)), times=[1.0, 16.0])
)
def test_conjugate_within_bounds_is_the_maximum_on_a_grid(l2, l1, gradient, times):
    g, most = times * GRADIENTS[gradient], 0.0
    for j, (lam, kappa) in enumerate(zip(*np.broadcast_arrays(l2, l1, g)[:2], strict=True)):
        u = np.arange(LOWER[j], UPPER[j] + STEP, STEP)
        most += np.max(g[j] * u - lam * u**2 / 2 - kappa * np.abs(u))
    found = ElasticNet(l2, l1).with_bounds(LOWER, UPPER).conjugate(g)
    np.testing.assert_allclose(found, most, rtol=0, atol=8 * STEP**2)


def test_the_norm_with_bounds_is_linear_up_to_the_next_kink():
    v = np.array([1.0, -0.5, 1.0, 0.25])
    bounds = np.array([-1.0, -1.0, 0.5, -1.0]), np.array([3.0, 2.0, np.inf, 1.0])
    lower, upper = NonSmooth(np.array([1.0, 1.0, 1.0, 0.0]), *bounds).linear_interval(v)
    np.testing.assert_array_equal(lower, [0.0, -1.0, 0.5, -1.0])
    np.testing.assert_array_equal(upper, [3.0, 0.0, np.inf, 1.0])


@pytest.mark.parametrize(*pairwise(of_squares=L2, of_norm=L1))
def test_a_penalty_is_smooth_if_it_has_no_l1_norm(l2, l1):
    assert ElasticNet(l2, l1).is_smooth == (l1 is L1["none"])
    assert ElasticNet(l2).is_smooth


@pytest.mark.parametrize(
    *pairwise(
        C=[1e-3, 1, np.float64(0.7), 1e200, np.inf],
        l1_ratio=[0, 0.25, np.float64(0.5), 1, 1.0],
        total=[1.0, 30.5],
    )
)
def test_strengths_are_those_of_c_l1_ratio_and_the_sum_of_weights(C, l1_ratio, total):
    u = np.array([2.0, -1.0, 0.0])
    penalty = ElasticNet.of(C, l1_ratio, total)
    strength = 0.0 if np.isinf(C) else 1 / (C * total)
    expected = strength * ((1 - l1_ratio) / 2 * 5.0 + l1_ratio * 3.0)
    assert penalty.value(u) == pytest.approx(expected, rel=1e-15)
    assert penalty.is_smooth == (l1_ratio == 0 or np.isinf(C))
    if l1_ratio == 1:
        np.testing.assert_array_equal(penalty.gradient(u), 0.0)


@pytest.mark.parametrize(
    ("C", "total", "l1_ratio"), [(1e-309, 1.0, 0.0), (1e-300, 1e-10, 0.5), (1e-200, 1e-200, 1.0)]
)
def test_a_strength_beyond_the_range_of_numbers_is_an_error(C, total, l1_ratio):
    with pytest.raises(ValueError, match=r"C=.* is too small: the penalty 1/\(C·.*\) overflows"):
        ElasticNet.of(C, l1_ratio, total)
