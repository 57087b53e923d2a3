"""The line search and F on a ray, against plain NumPy and SciPy, without a fit."""

import math

import numpy as np
import pytest
from covering import pairwise
from scipy.optimize import minimize_scalar
from small_data import F, in_parts, near_the_minimum, objective, random_data

from sklearn_bce._objective.base import SUM_ROUNDING, Evaluation
from sklearn_bce._objective.ray import (
    MAX_HALVING_PASSES,
    MAX_HALVINGS,
    MAX_STEP_LENGTH,
    NEGLIGIBLE_LOSS_OUTPUT,
    STEP_LENGTH_TOL,
)
from sklearn_bce._solvers.newton.direction import NO_DERIVATIVES, Derivatives, SearchDirection
from sklearn_bce._solvers.newton.line_search import WORTH_A_SEARCH, LineSearch, Region

HESSIAN = Derivatives(hessian=True, diagonal=False)


# ----- the line search --------------------------------------------------------------------------


@pytest.mark.parametrize(*pairwise(z_is_known=[False, True], C=[1.0, np.inf]))
def test_a_far_step_ends_where_f_is_least_on_the_ray(z_is_known, C):
    """Newton's step is too long from a point far away, and too short from 0."""
    data = (np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0.0, 1, 0, 1]), np.ones(4))
    problem = objective(data, C)
    for theta, is_shorter in ((np.array([7.0, 0.0]), True), (np.array([0.0, 0.0]), False)):
        point = problem.evaluate(theta, hessian=True)
        vector = -np.linalg.solve(point.hessian, point.gradient)
        d = SearchDirection(
            vector,
            float(-point.gradient @ vector),
            data[0] @ vector[:1] + vector[1] if z_is_known else None,
        )
        before = problem.n_passes
        end = LineSearch(problem)(point, d, Region.FAR, HESSIAN)
        assert problem.n_passes == before + (1 if z_is_known else 2)  # Z·d, and where it ended
        length = (end.theta - point.theta)[0] / vector[0]
        assert (length < 1) == is_shorter
        np.testing.assert_allclose(end.theta, point.theta + length * vector, rtol=1e-15)
        assert end.value == pytest.approx(F(end.theta, data, C), rel=1e-13)
        assert end.hessian is not None
        for factor in (0.8, 1.25):  # F is least between these
            assert F(point.theta + factor * length * vector, data, C) > end.value


def test_a_near_step_that_is_too_long_is_halved():
    problem, point, newton = near_the_minimum(away=0.1)
    small = WORTH_A_SEARCH * point.value
    d = SearchDirection(64 * newton, small)
    end = LineSearch(problem)(point, d, Region.NEAR, NO_DERIVATIVES)
    length = (end.theta - point.theta)[0] / (64 * newton[0])
    assert length == pytest.approx(2.0 ** round(math.log2(length)), rel=1e-12)
    assert length < 1
    assert end.value <= point.value - 1e-4 * length * small


def test_a_shorter_step_needs_a_smaller_decrease():
    """The required decrease is proportional to the step length; here it is 0.16 of the decrease."""
    problem, point, newton = near_the_minimum(away=0.1)
    decrease = point.value - problem.evaluate(point.theta + newton).value
    d = SearchDirection(64 * newton, 1e5 * decrease)
    end = LineSearch(problem)(point, d, Region.NEAR, NO_DERIVATIVES)
    np.testing.assert_allclose(end.theta, point.theta + newton, rtol=1e-14)


def test_a_near_step_is_taken_whole_in_one_pass():
    problem, point, newton = near_the_minimum(away=1e-3)
    d = SearchDirection(newton, float(-point.gradient @ newton))
    before = problem.n_passes
    end = LineSearch(problem)(point, d, Region.NEAR, NO_DERIVATIVES)
    assert (problem.n_passes, end.hessian) == (before + 1, None)
    np.testing.assert_array_equal(end.theta, point.theta + newton)


def test_a_step_uphill_ends_nowhere():
    problem, point, newton = near_the_minimum(away=0.1)
    d = SearchDirection(-newton, float(-point.gradient @ newton))
    assert LineSearch(problem)(point, d, Region.NEAR, NO_DERIVATIVES) is None


@pytest.mark.parametrize("region", Region)
def test_a_last_near_step_whose_outputs_are_known_takes_no_pass(region):
    problem, point, newton = near_the_minimum(away=1e-3)
    d = SearchDirection(newton, float(-point.gradient @ newton), problem.outputs(newton))
    before = problem.n_passes
    end = LineSearch(problem)(point, d, region, NO_DERIVATIVES, is_last=True)
    assert (end.gradient is None) == (problem.n_passes == before) == (region is Region.NEAR)
    value = problem.evaluate(end.theta).value
    assert end.value == pytest.approx(value, rel=1e-14)


def test_a_step_is_far_if_it_promises_more_than_a_share_of_f():
    problem, point, newton = near_the_minimum()
    limit = 2 * WORTH_A_SEARCH * point.value
    for decrement, region in (
        (0.99 * limit, Region.NEAR),
        (1.01 * limit, Region.FAR),
        (np.inf, Region.NEAR),  # a direction without curvature
        (np.nan, Region.NEAR),
    ):
        d = SearchDirection(newton, decrement)
        assert LineSearch(problem).region(point, d) is region
        assert LineSearch(problem, model_holds=True).region(point, d) is Region.NEAR


@pytest.mark.parametrize(
    ("decrease", "derivative", "expected"),
    [
        (1.1e-4, 10.0, True),  # Armijo's condition, whatever the derivative is
        (0.9e-4, 10.0, False),
        (0.0, 0.49, True),  # F has not fallen to be seen, its derivative has
        (0.0, 0.51, False),
        (-0.9e-12, 0.49, True),  # by less than F is rounded
        (-1.2e-12, 0.49, False),
    ],
)
def test_sufficient_decrease_is_of_f_or_of_its_derivative_where_f_is_rounded(
    decrease, derivative, expected
):
    problem, _, newton = near_the_minimum()
    rounding = SUM_ROUNDING[np.dtype(np.float64)]
    assert rounding == 1e-12
    d = SearchDirection(newton, decrement=1.0)
    gradient = derivative * newton / (newton @ newton)
    point = Evaluation(newton, 1.0, -gradient, None, None)
    for sign in (-1, 1):
        end = Evaluation(newton, 1.0 - decrease, sign * gradient, None, None)
        assert LineSearch(problem).sufficient_decrease(point, end, d) == expected


# ----- F on a ray ---------------------------------------------------------------------------------


@pytest.mark.parametrize(*pairwise(l1_ratio=[0.0, 0.4, 1.0], standardised=[False, True]))
def test_derivatives_on_a_ray_are_those_from_the_right(l1_ratio, standardised):
    """Compare with forward differences, also beyond points where weights change their signs."""
    weight = (data := random_data(40, 4))[2]
    problem = objective(data, 0.3, l1_ratio=l1_ratio)
    problem = problem.standardised() if standardised else problem
    theta, vector = np.array([0.5, 0.0, -0.25, 0.0, 0.1]), np.array([-1.0, 2.0, 0.5, 0.0, -0.7])
    point, z_direction = problem.evaluate(theta), problem.outputs(vector)
    derivatives = problem.ray(point, vector, z_direction).directional_derivatives()

    def value(t, l1_ratio):
        w, b = problem.coordinates.to_user(theta + t * vector)
        strength = 1 / (0.3 * weight.sum())
        smooth = F(np.append(w, b), data, np.inf) + (1 - l1_ratio) * strength / 2 * w @ w
        return smooth, l1_ratio * strength * np.abs(w).sum()

    h = 1e-4
    before = problem.n_passes
    for t in (0.0, 0.25, 0.5, 0.75, 3.0):  # at 0.5 both of those that were not 0 are
        smooth, norm = np.array([value(t + k * h, l1_ratio) for k in (-1, 0, 1)]).T
        first, second = derivatives(t)
        central, right = (smooth[2] - smooth[0]) / (2 * h), (norm[2] - norm[1]) / h
        assert first == pytest.approx(central + right, abs=1e-8)
        assert second == pytest.approx((smooth[2] - 2 * smooth[1] + smooth[0]) / h**2, abs=1e-6)
    assert problem.n_passes == before


THETA, VECTOR = np.array([0.5, 0.0, -0.25, 0.1]), np.array([-1.0, 2.0, -0.5, -0.7])
L1_RATIOS = [0.0, 0.4]


def rays(l1_ratio, vector=VECTOR, C=0.3):
    """Return F in memory and in parts, with `OutputRay` and `PassRay` for the same ray."""
    inside = objective(random_data(40, 3), C, l1_ratio=l1_ratio)
    outside = in_parts(inside)
    point = inside.evaluate(THETA)
    by_outputs = inside.ray(point, vector, inside.outputs(vector))
    return inside, outside, by_outputs, outside.ray(outside.evaluate(THETA), vector)


@pytest.mark.parametrize(*pairwise(l1_ratio=L1_RATIOS, t=[0.0, 0.3, 1.0, 2.5]))
def test_both_rays_are_the_same_function(l1_ratio, t):
    inside, outside, by_outputs, by_passes = rays(l1_ratio)
    expected = inside.evaluate(THETA + t * VECTOR, hessian=True)
    passes = inside.n_passes, outside.n_passes
    ends = [ray.evaluate(t, hessian=True) for ray in (by_outputs, by_passes)]
    assert (inside.n_passes, outside.n_passes) == (passes[0] + 1, passes[1] + 1)
    for end in ends:
        np.testing.assert_allclose(end.theta, expected.theta, rtol=1e-15)
        assert end.value == pytest.approx(expected.value, rel=1e-13)
        np.testing.assert_allclose(end.gradient, expected.gradient, rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(end.hessian, expected.hessian, rtol=1e-12, atol=1e-14)
    diagonals = [ray.evaluate(t, diagonal=True).diagonal for ray in (by_outputs, by_passes)]
    for diagonal in diagonals:
        np.testing.assert_allclose(diagonal, np.diag(expected.hessian), rtol=1e-12)
    passes = inside.n_passes, outside.n_passes
    assert by_outputs.value(t) == pytest.approx(expected.value, rel=1e-13)
    assert by_passes.value(t) == pytest.approx(expected.value, rel=1e-13)
    assert (inside.n_passes, outside.n_passes) == (passes[0], passes[1] + 1)


def test_a_value_without_derivatives_is_for_rays_whose_outputs_are_known():
    inside, outside, by_outputs, by_passes = rays(0.4)
    passes = inside.n_passes, outside.n_passes
    end = by_outputs.evaluate_value(0.7)
    assert end.value == pytest.approx(inside.value_at(end.theta, end.z), rel=1e-14)
    assert end.gradient is end.curvature is end.hessian is end.diagonal is None
    unknown = inside.ray(inside.evaluate(THETA), VECTOR)
    assert unknown.evaluate_value(0.7) is by_passes.evaluate_value(0.7) is None
    assert (inside.n_passes, outside.n_passes) == (passes[0] + 1, passes[1])  # the evaluation


def test_the_whole_step_makes_outputs_known_on_the_ray():
    inside = objective(random_data(40, 3))
    ray = inside.ray(inside.evaluate(THETA), VECTOR)
    ray.evaluate(1.0)
    before = inside.n_passes
    assert ray.value(0.25) == pytest.approx(
        F(THETA + 0.25 * VECTOR, random_data(40, 3), 1.0), rel=1e-13
    )
    assert inside.n_passes == before


def downhill(l1_ratio, C, length):
    """Return F, a point, and a direction along which F is least at the step length 1/length."""
    inside = objective(random_data(40, 3), C, l1_ratio=l1_ratio)
    point = inside.evaluate(THETA)

    def value(t):
        w_b = THETA - t * point.gradient
        return inside.value_at(w_b, inside.outputs(w_b))

    least = minimize_scalar(value, bounds=(0, 1e4), method="bounded", options={"xatol": 1e-9}).x
    return inside, point, -least * length * point.gradient


@pytest.mark.parametrize(
    *pairwise(l1_ratio=L1_RATIOS, C=[0.3, np.inf], length=[30.0, 2.0, 1.0, 0.4, 0.15])
)
def test_exact_step_length_is_where_f_is_least(l1_ratio, C, length):
    """The step length is exact to a fifth, which costs little of the decrease, and at most 10."""
    inside, point, vector = downhill(l1_ratio, C, length)
    z_direction = inside.outputs(vector)
    before = inside.n_passes
    ray = inside.ray(point, vector, z_direction)
    t = ray.exact_step_length()
    value = {t: ray.value(t) for t in (0.0, t, 1 / length)}
    assert inside.n_passes == before
    assert t == pytest.approx(1 / length, rel=STEP_LENGTH_TOL)
    assert value[0.0] - value[t] >= 0.99 * (value[0.0] - value[1 / length])


def test_exact_step_length_is_limited():
    inside, point, vector = downhill(0.0, 1.0, 1e-3)
    t = inside.ray(point, vector).exact_step_length()
    assert 0.75 * MAX_STEP_LENGTH <= t <= MAX_STEP_LENGTH


def bounded_ray(length, in_parts_too=False):
    """Return F with a bound on a ray that F falls along, which ends at the step length given."""
    inside, point, vector = downhill(0.0, 1.0, 1e-3)  # F is least at the step length 1000
    upper = np.full(3, np.inf)
    upper[1] = point.theta[1] + length * vector[1]
    lower, upper = (-np.inf, upper) if vector[1] > 0 else (upper, np.inf)
    lower = np.where(np.isposinf(lower), -np.inf, lower)
    inside = inside.with_penalty(inside.penalty.with_bounds(lower, upper))
    return inside, inside.ray(point, vector), vector


@pytest.mark.parametrize("length", [1.5, 2.0, 7.0])
def test_step_lengths_end_at_a_bound(length):
    """An exact search halves intervals, up to a fifth of the step length."""
    inside, ray, _ = bounded_ray(length)
    t = ray.exact_step_length()
    assert (1 - STEP_LENGTH_TOL) * length <= t <= length * (1 + 1e-15)
    assert ray.distant_step_length() == pytest.approx(length, rel=1e-14)
    by_passes = in_parts(inside).ray(ray._origin, ray._vector)
    assert by_passes.distant_step_length() == pytest.approx(length, rel=1e-14)


def test_there_is_no_step_from_a_bound_outwards():
    inside, ray, _ = bounded_ray(0.0)
    assert ray.distant_step_length() is None
    assert in_parts(inside).ray(ray._origin, ray._vector).distant_step_length() is None


def test_a_ray_by_passes_searches_nothing():
    _, outside, _, by_passes = rays(0.0)
    before = outside.n_passes
    assert by_passes.exact_step_length() == 1.0
    assert by_passes.distant_step_length() == NEGLIGIBLE_LOSS_OUTPUT
    assert outside.n_passes == before


@pytest.mark.parametrize(*pairwise(l1_ratio=L1_RATIOS, length=[1.0, 1e-3, 1e3]))
def test_distant_step_length_is_where_f_is_least_however_far(l1_ratio, length):
    inside, point, vector = downhill(l1_ratio, 0.3, length)
    z_direction = inside.outputs(vector)
    before = inside.n_passes
    t = inside.ray(point, vector, z_direction).distant_step_length()
    assert inside.n_passes == before
    assert t == pytest.approx(1 / length, rel=1.25 * STEP_LENGTH_TOL)


def test_distant_step_length_ends_where_no_output_changes_any_more():
    """F decreases without end if the classes are separated."""
    separated = (np.array([[-1.0], [2.0]]), np.array([0.0, 1.0]), np.ones(2))
    problem, vector = objective(separated, np.inf, fit_intercept=False), np.array([0.01])
    ray = problem.ray(problem.evaluate(np.zeros(1)), vector)
    assert ray.distant_step_length() == pytest.approx(NEGLIGIBLE_LOSS_OUTPUT / 0.02, rel=1e-14)


@pytest.mark.parametrize("l1_ratio", L1_RATIOS)
def test_distant_step_length_uphill_is_none(l1_ratio):
    inside, point, vector = downhill(l1_ratio, 0.3, 1.0)
    assert inside.ray(point, -vector).distant_step_length() is None


def test_a_ray_through_two_points_goes_on_from_the_second():
    inside = objective(random_data(40, 3))
    outside = in_parts(inside)
    for problem in (inside, outside):
        before, after = problem.evaluate(THETA), problem.evaluate(THETA + VECTOR)
        passes = problem.n_passes
        ray = problem.ray_through(before, after)
        assert ray.value(1.5) == pytest.approx(
            F(THETA + 2.5 * VECTOR, random_data(40, 3), 1.0), rel=1e-13
        )
        assert problem.n_passes == passes + (problem is outside)


def test_max_halvings_are_few_where_each_takes_a_pass_and_none_below_the_rounding_of_f():
    inside, _, by_outputs, by_passes = rays(0.0)
    rounding = SUM_ROUNDING[np.dtype(np.float64)] * inside.evaluate(THETA).value
    for decrement in (0.0, 1.0, np.inf):
        assert by_outputs.max_halvings(decrement) == MAX_HALVINGS
    assert by_passes.max_halvings(1.01 * rounding) == MAX_HALVING_PASSES
    assert by_passes.max_halvings(0.99 * rounding) == by_passes.max_halvings(np.nan) == 0
