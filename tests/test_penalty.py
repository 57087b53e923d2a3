"""The penalty, against sums written out, differences and minima on a grid."""

import math

import numpy as np
import pytest

from sklearn_bce._objective.penalty import ElasticNet

L2 = {"none": 0.0, "one": 0.5, "several": np.array([0.5, 2.0, 8.0, 0.25])}
L1 = {"none": 0.0, "one": 0.75, "several": np.array([0.5, 0.0, 3.0, 0.125])}
# Multiples of a power of two: what is added and multiplied below is exact.
POINTS = [np.array([2.0, -1.0, 0.0, 0.5]), np.array([0.0, 0.0, 0.0, -3.0]), np.zeros(4)]
DIRECTIONS = [np.array([1.0, 2.0, -3.0, 0.0]), np.array([-1.0, 1.0, 0.5, 4.0])]
STEP = 2.0**-10  # shorter than the way from any of the points to 0 along any of the directions


@pytest.fixture(params=L2)
def l2(request):
    return L2[request.param]


@pytest.fixture(params=L1)
def l1(request):
    return L1[request.param]


@pytest.fixture(params=POINTS, ids=str)
def u(request):
    return request.param


def _value(u, l2, l1):
    """Return ½ Σ λu² + Σ κ|u|, written out."""
    terms = zip(u, np.broadcast_to(l2, u.shape), np.broadcast_to(l1, u.shape), strict=True)
    return math.fsum(lam * ui * ui / 2 + kappa * abs(ui) for ui, lam, kappa in terms)


def test_by_hand():
    u = np.array([2.0, -1.0, 0.0])
    single, several = ElasticNet(0.5), ElasticNet(np.array([0.5, 2.0, 8.0]), 3.0)
    assert (single.value(u), several.value(u)) == (1.25, 11.0)
    np.testing.assert_array_equal(single.gradient(u), [1.0, -0.5, 0.0])
    np.testing.assert_array_equal(several.gradient(u), [1.0, -2.0, 0.0])
    np.testing.assert_array_equal(several.prox(u, 0.5), [0.5, 0.0, 0.0])
    assert several.l1_slope(u, np.array([1.0, 1.0, -1.0])) == 3.0


def test_value(u, l2, l1):
    assert ElasticNet(l2, l1).value(u) == _value(u, l2, l1)


def test_gradient_is_of_the_smooth_part(u, l2, l1):
    """Central differences of a square are exact."""
    steps = STEP * np.eye(len(u))
    differences = [_value(u + step, l2, 0.0) - _value(u - step, l2, 0.0) for step in steps]
    np.testing.assert_array_equal(ElasticNet(l2, l1).gradient(u), np.array(differences) / 2 / STEP)


@pytest.mark.parametrize("du", DIRECTIONS, ids=str)
def test_l1_slope_is_the_one_sided_one(u, l2, l1, du):
    """The norm is straight as far as the next sign changes: a difference is exact."""
    slope = (_value(u + STEP * du, 0.0, l1) - _value(u, 0.0, l1)) / STEP
    assert ElasticNet(l2, l1).l1_slope(u, du) == slope
    back = (_value(u - STEP * du, 0.0, l1) - _value(u, 0.0, l1)) / STEP
    assert ElasticNet(l2, l1).l1_slope(u, -du) == back


@pytest.mark.parametrize("eta", [0.125, 1.0, 4.0])
@pytest.mark.parametrize("kappa", [0.0, 0.25, 1.0, 3.0])
def test_proximal_step_is_least_on_a_grid(eta, kappa):
    """Of κ|v| + (v − u)²/2η, which is exactly 0 at the end of a step that leads to 0 or past it."""
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


def test_proximal_step_has_a_threshold_for_each_coordinate(u, l2):
    kappa = L1["several"]
    got = ElasticNet(l2, kappa).prox(u, 0.5)
    for k, (of_all, ui) in enumerate(zip(got, u, strict=True)):
        assert of_all == ElasticNet(l2, float(kappa[k])).prox(np.array([ui]), 0.5)[0]


@pytest.mark.parametrize("scale", [np.array([2.0, 0.5, 1.0, 64.0]), np.full(4, 2.0**-40)])
def test_in_units(u, l2, l1, scale):
    """The same number at u = σw, and derivatives in w by the chain rule."""
    penalty = ElasticNet(l2, l1)
    there, du = penalty.in_units(scale), DIRECTIONS[1]
    assert there.value(scale * u) == penalty.value(u)
    np.testing.assert_array_equal(there.gradient(scale * u) * scale, penalty.gradient(u))
    assert there.l1_slope(scale * u, scale * du) == penalty.l1_slope(u, du)
    assert there.is_smooth == penalty.is_smooth


def test_smooth_is_what_has_no_l1_norm(l2, l1):
    assert ElasticNet(l2, l1).is_smooth == (l1 is L1["none"])
    assert ElasticNet(l2).is_smooth


@pytest.mark.parametrize("C", [1e-3, 1, np.float64(0.7), 1e200, np.inf])
@pytest.mark.parametrize("l1_ratio", [0, 0.0, 0.25, np.float64(0.5), 1, 1.0])
@pytest.mark.parametrize("total", [1.0, 30.5])
def test_of_c_ratio_and_weight(C, l1_ratio, total):
    u = np.array([2.0, -1.0, 0.0])
    penalty = ElasticNet.of(C, l1_ratio, total)
    strength = 0.0 if np.isinf(C) else 1 / (C * total)
    expected = strength * ((1 - l1_ratio) / 2 * 5.0 + l1_ratio * 3.0)
    assert penalty.value(u) == pytest.approx(expected, rel=1e-15)
    assert penalty.is_smooth == (l1_ratio == 0 or np.isinf(C))
    if l1_ratio == 1:
        np.testing.assert_array_equal(penalty.gradient(u), 0.0)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
@pytest.mark.parametrize(("C", "total"), [(1e-309, 1.0), (1e-300, 1e-10), (1e-200, 1e-200)])
def test_a_strength_beyond_the_range_of_numbers_is_an_error(C, total, l1_ratio):
    with pytest.raises(ValueError, match=r"C=.* is too small: the penalty 1/\(C·.*\) overflows"):
        ElasticNet.of(C, l1_ratio, total)
