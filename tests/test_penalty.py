"""The penalty and the bounds, against plain NumPy, finite differences and minima on a grid."""

import math

import numpy as np
import pytest
from covering import pairwise

from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._objective.penalty import ElasticNet, NonSmooth
from sklearn_bce._objective.scaling import Moments

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


# ----- bounds -------------------------------------------------------------------------------------

# Strengths λ and κ and bounds of six weights: some without a norm, or with one bound only.
SQUARES = np.array([0.5, 2.0, 0.0, 0.5, 8.0, 1.0])
NORM = np.array([0.75, 0.0, 0.5, 1.0, 0.25, 0.0])
LOWER = np.array([-1.0, 0.0, -2.0, -np.inf, 0.5, -np.inf])
UPPER = np.array([2.0, np.inf, 0.0, 1.0, 0.5, np.inf])
BOUNDED = ElasticNet(SQUARES, NORM, LOWER, UPPER)
# Points at a bound, at 0 and elsewhere.
ALLOWED = [
    np.array([-1.0, 0.0, -2.0, 0.0, 0.5, 0.0]),
    np.array([2.0, 1.0, 0.0, 1.0, 0.5, -4.0]),
    np.array([0.0, 3.0, -0.5, -3.0, 0.5, 4.0]),
    np.array([0.5, 0.25, -1.0, 0.5, 0.5, 1.0]),
]


def bounded_norm(u, k):
    """Return κ|u| of weight k within its bounds, and infinity elsewhere."""
    return NORM[k] * abs(u) if LOWER[k] <= u <= UPPER[k] else np.inf


def sides(u, k):
    """Return the left and the right derivative of `bounded_norm`, by differences, which are exact.

    A difference to infinity is infinite.
    """
    here = bounded_norm(u, k)
    return (here - bounded_norm(u - STEP, k)) / STEP, (bounded_norm(u + STEP, k) - here) / STEP


@pytest.mark.parametrize("u", ALLOWED)
def test_a_kink_is_where_the_two_derivatives_differ(u):
    kinks = BOUNDED.non_smooth(6, 7).at_kink(np.append(u, 0.0))
    derivatives = [sides(ui, k) for k, ui in enumerate(u)]
    np.testing.assert_array_equal(kinks, [*(left != right for left, right in derivatives), False])
    slope = BOUNDED.non_smooth(6, 6).slope(u)
    for k, (left, right) in enumerate(derivatives):
        assert kinks[k] or slope[k] == left == right


@pytest.mark.parametrize("u", ALLOWED)
@pytest.mark.parametrize("g", [-3.0, -0.5, 0.0, 0.625, 2.0])
def test_the_least_subgradient_is_that_nearest_to_0_between_the_two_derivatives(u, g):
    gradient = g + np.arange(6) / 8
    expected = [
        np.clip(0.0, gk + left, gk + right)
        for gk, (left, right) in zip(
            gradient, (sides(ui, k) for k, ui in enumerate(u)), strict=True
        )
    ]
    got = BOUNDED.non_smooth(6, 7).least_subgradient(np.append(u, 0.0), np.append(gradient, g))
    np.testing.assert_array_equal(got, [*expected, g])
    np.testing.assert_array_equal(BOUNDED.subgradient_excess(u, gradient), np.abs(expected))


def test_without_bounds_the_least_subgradient_is_that_of_the_norm():
    v, gradient = np.array([0.0, 0.0, 0.0, 2.0, -2.0]), np.array([3.0, -3.0, 0.5, -2.0, 0.25])
    free = np.broadcast_to(np.inf, 5)
    got = NonSmooth(np.ones(5), -free[:1].repeat(5), free).least_subgradient(v, gradient)
    np.testing.assert_array_equal(got, [2.0, -2.0, 0.0, -1.0, -0.75])
    got = ElasticNet(0.0, 1.0).non_smooth(5, 5).least_subgradient(v, gradient)
    np.testing.assert_array_equal(got, [2.0, -2.0, 0.0, -1.0, -0.75])


def test_intervals_without_a_kink_end_at_0_or_at_the_bound():
    v = np.array([1.0, 3.0, -1.0, -2.0, 0.5, 7.0])
    lower, upper = BOUNDED.non_smooth(6, 6).linear_interval(v)
    np.testing.assert_array_equal(lower, [0.0, 0.0, -2.0, -np.inf, 0.5, -np.inf])
    np.testing.assert_array_equal(upper, [2.0, np.inf, 0.0, 0.0, 0.5, np.inf])
    lower, upper = BOUNDED.non_smooth(6, 6).linear_interval(-v)
    assert (lower[0], upper[0]) == (-1.0, 0.0)
    assert (lower[3], upper[3]) == (0.0, 1.0)


def test_the_intercept_has_neither_a_norm_nor_bounds():
    l1, lower, upper = BOUNDED.non_smooth(6, 7)
    np.testing.assert_array_equal(l1, [*NORM, 0.0])
    np.testing.assert_array_equal(lower, [*LOWER, -np.inf])
    np.testing.assert_array_equal(upper, [*UPPER, np.inf])


@pytest.mark.parametrize("eta", [0.5, 2.0])
def test_proximal_step_within_bounds_is_least_on_a_grid(eta):
    """The norm is largest at a bound far from 0: first the threshold, then the bounds."""
    grid = np.arange(-8, 8 + 2.0**-8, 2.0**-8)
    for start in (-6.0, -1.25, 0.0, 0.75, 2.5, 6.0):
        got = BOUNDED.prox(np.full(6, start), eta)
        for k, end in enumerate(got):
            values = [bounded_norm(v, k) for v in grid] + (grid - start) ** 2 / 2 / eta
            assert end == grid[np.argmin(values)]


def test_the_longest_step_ends_at_the_first_bound():
    u, du = ALLOWED[3], np.array([1.0, -0.125, 0.25, -1.0, 0.0, 5.0])
    assert BOUNDED.longest_step(u, du) == 1.5  # weight 0, from 0.5 to 2
    assert BOUNDED.longest_step(u, -du) == 0.5  # weight 3, from 0.5 to 1
    assert BOUNDED.longest_step(u, np.eye(6)[5]) == np.inf
    assert BOUNDED.longest_step(u, np.eye(6)[4]) == 0.0
    assert ElasticNet(SQUARES, NORM).longest_step(u, du) == np.inf


def test_weights_at_a_bound_but_for_rounding_are_set_to_it():
    rounding = np.full(6, 2.0**-20)
    near = np.array([-1.0, 0.0, 0.0, 1.0, 0.5, -7.0])
    far = near + 2.0**-10
    np.testing.assert_array_equal(BOUNDED.on_bounds(near + 2.0**-21, rounding)[:5], near[:5])
    np.testing.assert_array_equal(BOUNDED.on_bounds(near - 2.0**-21, rounding)[:5], near[:5])
    np.testing.assert_array_equal(BOUNDED.on_bounds(far, rounding), far)
    assert ElasticNet(SQUARES, NORM).on_bounds(near, rounding) is near


def test_a_weight_recedes_if_it_has_neither_a_penalty_nor_two_bounds():
    l2, l1 = np.array([0.0, 1.0, 0.0, 1.0, 0, 0, 0]), np.array([0.0, 0.0, 1.0, 1.0, 0, 0, 0])
    lower = np.array([-np.inf] * 5 + [0.0, 0.0])
    upper = np.array([np.inf] * 4 + [0.0, np.inf, 1.0])
    got = ElasticNet(l2, l1, lower, upper).can_recede(7)
    np.testing.assert_array_equal(got, [True, False, False, False, True, True, False])
    np.testing.assert_array_equal(ElasticNet(0.0).can_recede(2), [True, True])
    np.testing.assert_array_equal(ElasticNet(0.0, l1[:3]).can_recede(3), [True, True, False])


def test_the_bounds_of_some_features_remain():
    some = BOUNDED.of_features(np.array([2, 3]), 6)
    assert (some.l2, some.l1) == (0.0, 0.0)
    np.testing.assert_array_equal([some.lower, some.upper], [LOWER[2:4], UPPER[2:4]])


@pytest.mark.parametrize("g", [-4.0, -0.625, 0.0, 0.5, 3.0])
@pytest.mark.parametrize("bounded", [True, False])
def test_the_conjugate_is_largest_on_a_grid(g, bounded):
    """Only where a weight has a maximum: with λ above 0, or with a bound in its direction."""
    grid = np.arange(-16, 16 + 2.0**-8, 2.0**-8)
    gradient, expected = g * np.array([1.0, 0.5, 1.0, 1.0, 2.0, 1.0]), 0.0
    for k, (gk, lam, kappa) in enumerate(zip(gradient, SQUARES, NORM, strict=True)):
        end = (UPPER if gk > 0 else LOWER)[k] if bounded else np.inf
        if lam == 0 and np.isinf(end) and abs(gk) > kappa:
            continue  # an excess that counts as 0
        values = gk * grid - lam / 2 * grid**2 - kappa * np.abs(grid)
        is_allowed = (LOWER[k] <= grid) & (grid <= UPPER[k]) if bounded else grid == grid
        expected += np.max(values[is_allowed])
    penalty = BOUNDED if bounded else ElasticNet(SQUARES, NORM)
    assert penalty.conjugate(gradient) == pytest.approx(expected, abs=2.0**-14)


def test_a_penalty_with_bounds_is_not_smooth():
    assert not ElasticNet(SQUARES).with_bounds(LOWER, UPPER).is_smooth
    assert not ElasticNet(0.0).with_bounds(-np.inf, np.ones(3)).is_smooth


# ----- factors and units --------------------------------------------------------------------------


@over()
def test_factors_multiply_the_penalty_of_each_weight(u, l2, l1):
    factor = np.array([2.0, 0.0, 0.5, 4.0])
    got = ElasticNet(l2, l1).with_factors(factor)
    assert got.value(u) == _value(u, factor * l2, factor * l1)
    assert got.is_smooth == (l1 is L1["none"])


@over(scale=[np.array([2.0, 0.5, 1.0, 64.0])])
def test_the_penalty_of_standard_weights_is_that_of_deviations_times_weights(u, l2, l1, scale):
    """In other units and in units of these the value is the same, too."""
    penalty, deviation = ElasticNet(l2, l1), np.array([4.0, 0.5, 2.0, 0.125])
    got = penalty.of_standard_weights(deviation)
    assert got.value(u) == penalty.value(deviation * u)
    assert got.in_units(scale).value(scale * u) == penalty.value(deviation * u)
    assert got.in_units(deviation).value(deviation * u) == penalty.value(deviation * u)


def test_standard_units_do_not_overflow_on_the_way():
    """λσ² is beyond the range of numbers, and λσ²/σ² is λ."""
    penalty, deviation = ElasticNet(0.5, 0.25), np.array([1e200, 1e-200])
    got = penalty.of_standard_weights(deviation).in_units(deviation)
    np.testing.assert_allclose(got.l2, [0.5, 0.5], rtol=1e-15)
    np.testing.assert_allclose(got.l1, [0.25, 0.25], rtol=1e-15)


def test_in_other_units_the_bounds_are_those_of_the_same_weights():
    scale = np.array([2.0, 0.5, 4.0, 8.0, 1.0, 1.0])
    got = BOUNDED.in_units(scale)
    np.testing.assert_array_equal(got.lower, scale * LOWER)
    np.testing.assert_array_equal(got.upper, scale * UPPER)
    assert not BOUNDED.in_units(scale).is_smooth


# ----- parameters of the user ---------------------------------------------------------------------

# A constant column, one that a factor drops, and two others of means 2 and −1.
COLUMNS = np.array(
    [[0.5, 1.0, 9.0, -2.0], [0.5, 3.0, 5.0, 0.0], [0.5, 1.0, 0.0, -2.0], [0.5, 3, 1, 0]]
)
FACTOR, KEPT = np.array([1.0, 4.0, np.inf, 0.5]), np.array([0, 1, 3])


def _regularisation(bounds=None, fit_intercept=True):
    moments = Moments.of(COLUMNS[:, KEPT], np.ones(4), fit_intercept)
    return Regularisation(4, True, FACTOR, bounds, KEPT, moments)


def test_the_penalty_of_a_fit_is_that_written_out():
    """½(1−ρ) Σ f(σw)² + ρ Σ f|σw| over C·S, with the unit 1 of a constant column."""
    C, rho, total, w = 0.5, 0.25, 8.0, np.array([3.0, -1.0, 2.0])
    got = _regularisation().penalty(C, rho, total)
    terms = np.array([1.0, 4.0, 0.5]) * ((1 - rho) / 2 * w**2 + rho * np.abs(w))  # σ is 1
    assert got.value(w) == pytest.approx(np.sum(terms) / (C * total), rel=1e-15)
    deviation = np.sqrt(np.mean(np.square(COLUMNS[:, KEPT]), axis=0))
    u = deviation * w
    terms = np.array([1.0, 4.0, 0.5]) * ((1 - rho) / 2 * u**2 + rho * np.abs(u))
    got = _regularisation(fit_intercept=False).penalty(C, rho, total)
    assert got.value(w) == pytest.approx(np.sum(terms) / (C * total), rel=1e-15)


def test_weights_that_are_dropped_are_0():
    np.testing.assert_array_equal(
        _regularisation().of_all(np.array([3.0, -1.0, 2.0])), [3.0, -1.0, 0.0, 2.0]
    )


@pytest.mark.parametrize("lower", [-np.inf, 2.0])
def test_a_constant_column_leaves_its_share_to_the_intercept(lower):
    """The outputs do not change; its weight is 0, or the bound nearest to 0."""
    bounds = None if lower == -np.inf else (np.full(4, lower), np.full(4, np.inf))
    w, b, X = np.array([3.0, 2.0, 4.0]), -0.25, COLUMNS[:, KEPT]
    end, c = _regularisation(bounds).finished(w, b)
    np.testing.assert_array_equal(end, [max(lower, 0.0), 2.0, 4.0])
    np.testing.assert_array_equal(X @ end + c, X @ w + b)


def test_weights_at_the_end_are_within_bounds_and_at_them_but_for_rounding():
    bounds = np.array([-1.0, -1.0, -1.0, 0.0]), np.array([1.0, 0.3, 1.0, 2.0])
    regularisation = Regularisation(4, False, FACTOR, bounds, KEPT)
    end, b = regularisation.finished(np.array([-1.0 - 1e-9, 0.1 + 0.2, 1.0]), 0.5)
    np.testing.assert_array_equal(end, [-1.0, 0.3, 1.0])
    assert b == 0.5
    end, _ = regularisation.finished(np.array([0.0, np.nextafter(0.3, 0), 2.0 - 1e-9]), 0.5)
    np.testing.assert_array_equal(end, [0.0, 0.3, 2.0 - 1e-9])
