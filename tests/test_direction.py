"""Search directions against plain NumPy: Newton's step, inverse curvature and the contract."""

from dataclasses import replace

import numpy as np
import pytest
from covering import pairwise
from small_data import (
    CURVATURE_COSTS,
    force_curvature_cost,
    near_the_minimum,
    objective,
    random_data,
    solved,
    theta_of,
)

from sklearn_bce._solvers.newton import conjugate_gradients, quadratic
from sklearn_bce._solvers.newton.conjugate_gradients import FINAL_SHARE, truncated_newton_cg
from sklearn_bce._solvers.newton.direction import WORTH_ANOTHER
from sklearn_bce._solvers.newton.inverse import LBFGS_PAIRS, CholeskyFactor, LBFGSInverse
from sklearn_bce._solvers.newton.proximal import ProximalNewtonDirection, direction_rule
from sklearn_bce._solvers.newton.smooth import NewtonDirection

# ----- Newton's step ----------------------------------------------------------------------------


def _symmetric(eigenvalues, seed=0):
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    matrix = Q * eigenvalues @ Q.T
    return (matrix + matrix.T) / 2, Q


def test_regularised_cholesky_solves_a_well_conditioned_system():
    matrix, _ = _symmetric([1.0, 2, 3, 10, 100])
    rhs = np.arange(5.0) - 2
    expected = np.linalg.solve(matrix, rhs)
    np.testing.assert_allclose(CholeskyFactor(matrix)(rhs), expected, rtol=1e-12)


@pytest.mark.parametrize("decades", [3, 30, 150])
def test_regularised_cholesky_does_not_depend_on_units(decades):
    """(DAD)⁻¹Dr = D⁻¹A⁻¹r, where D has the units of the columns."""
    matrix, _ = _symmetric([1.0, 2, 3, 10])
    units, rhs = np.logspace(0, decades, 4), np.array([1.0, -2, 3, 4])
    got = CholeskyFactor(matrix * units * units[:, None])(rhs * units)
    np.testing.assert_allclose(got * units, np.linalg.solve(matrix, rhs), rtol=1e-12)


@pytest.mark.parametrize("least", [0.0, -1e-15, 1e-18])
def test_regularised_cholesky_solves_in_the_directions_that_rounding_has_left(least):
    matrix, Q = _symmetric([1.0, 2, 3, 4, 5, least])
    rhs = Q[:, :5] @ np.arange(1.0, 6)
    solution = CholeskyFactor(matrix.copy())(rhs)
    np.testing.assert_allclose(matrix @ solution, rhs, rtol=0, atol=1e-12)
    # In the other five directions the solution is unique.
    np.testing.assert_allclose(Q[:, :5].T @ solution, 1.0, rtol=1e-12)


def test_regularised_cholesky_takes_the_diagonal_of_a_matrix_with_infinity_or_nan():
    np.testing.assert_allclose(CholeskyFactor(np.diag([2.0, 0]))(np.array([3.0, 0])), [1.5, 0])
    for overflow in (np.inf, np.nan):
        broken = np.diag([1.0, 2.0, 4.0])
        broken[0, 1] = broken[1, 0] = overflow
        np.testing.assert_allclose(CholeskyFactor(broken)(np.ones(3)), [1, 0.5, 0.25], rtol=1e-15)


def test_regularised_cholesky_of_zeros_returns_zeros():
    np.testing.assert_array_equal(CholeskyFactor(np.zeros((2, 2)))(np.zeros(2)), [0, 0])


@pytest.mark.parametrize(*pairwise(steps=CURVATURE_COSTS, sparse=[False, True], C=[1.0, np.inf]))
def test_every_way_to_a_step_leads_to_newtons_step(monkeypatch, steps, sparse, C):
    cost = CURVATURE_COSTS[steps]
    monkeypatch.setattr(conjugate_gradients, "forcing_term", lambda gained: 0.0)  # CG to the end
    force_curvature_cost(monkeypatch, cost)
    problem, point, newton = near_the_minimum(sparse=sparse, C=C)
    if cost > 0:
        point = replace(point, hessian=None)
    step = NewtonDirection(problem, tol=0.0).at(point)
    np.testing.assert_allclose(step.vector, newton, rtol=1e-10)
    assert step.decrement == pytest.approx(-point.gradient @ newton, rel=1e-12)
    if step.z_direction is not None:
        z_direction = problem.evaluate(point.theta + step.vector).z - point.z
        np.testing.assert_allclose(step.z_direction, z_direction, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("away", "forcing"), [(1.0, 0.5), (1e-3, 0.02)])
def test_conjugate_gradients_stop_early_and_return_the_gain(away, forcing):
    problem, point, newton = near_the_minimum(away=away)
    before = problem.n_passes
    step = truncated_newton_cg(problem, point, tol=0.0)
    assert problem.n_passes - before < 1 + 11  # the diagonal, and a product for each coordinate
    curvature_along = step.vector @ point.hessian @ step.vector
    gained = -point.gradient @ step.vector - curvature_along / 2
    assert step.decrement / 2 == pytest.approx(gained, rel=1e-12)
    assert (1 - forcing) <= gained / (-point.gradient @ newton / 2) <= 1 + 1e-12


def test_the_cheaper_way_to_a_step_is_chosen():
    tall, wide = random_data(500, 5), random_data(300, 2000, sparse=True)
    assert NewtonDirection(objective(tall), 1e-6).wants().hessian
    assert not NewtonDirection(objective(wide), 1e-6).wants().hessian


@pytest.mark.parametrize("tol", [1e-6, 1.0])
def test_products_are_given_up_where_they_have_cost_as_much_as_a_factorisation(monkeypatch, tol):
    force_curvature_cost(monkeypatch, 9.0)
    problem, point, newton = near_the_minimum()
    point = problem.evaluate(point.theta)
    rule = NewtonDirection(problem, tol)
    assert not rule.wants().hessian  # 8 products are expected, and 9 may be tried
    monkeypatch.setattr(rule, "_spent", 7)
    before = problem.n_passes
    step = rule.at(point)
    assert problem.n_passes - before == 1 + 2  # the diagonal, and the two products that are left
    assert (step.n_products, step.complete) == (2, False)
    # The step uses the direction found so far, and the next step is Newton's.
    gained = (
        -point.gradient @ step.vector
        - step.vector @ near_the_minimum()[1].hessian @ step.vector / 2
    )
    assert step.decrement / 2 == pytest.approx(gained, rel=1e-12)
    assert rule.wants().hessian
    step = rule.at(problem.evaluate(point.theta, hessian=True))
    np.testing.assert_allclose(step.vector, newton, rtol=1e-10)
    assert not rule.wants().hessian


@pytest.mark.parametrize("away", [1e-1, 1e-3])
def test_a_last_step_truncated_newton_cg_bounds_what_is_left(away):
    """The bound by the energy of the residual also holds for strongly correlated columns."""
    problem, point, newton = near_the_minimum(away=away, C=100.0)
    step = truncated_newton_cg(problem, point, tol=np.inf)
    assert step.decrement >= (1 - FINAL_SHARE) * -point.gradient @ newton


# ----- the inverse curvature of L-BFGS ------------------------------------------------------------


def test_lbfgs_inverse_is_the_inverse_that_bfgs_builds_up():
    """H ← (I − sqᵀ/b)H(I − qsᵀ/b) + ssᵀ/b with b = sᵀq (Nocedal and Wright, equation 6.17)."""
    rng = np.random.default_rng(0)
    root = rng.standard_normal((5, 5))
    curvature, start = root @ root.T, np.diag(rng.uniform(0.5, 2, 5))
    inverse, expected = LBFGSInverse(lambda vector: start @ vector), start
    for _ in range(3):
        step = rng.standard_normal(5)
        change = curvature @ step
        inverse.add_secant_pair(step, change)
        b, eye = step @ change, np.eye(5)
        left = eye - np.outer(step, change) / b
        expected = left @ expected @ left.T + np.outer(step, step) / b
    for vector in eye:
        np.testing.assert_allclose(inverse(vector), expected @ vector, rtol=1e-10, atol=1e-10)


def test_lbfgs_inverse_satisfies_the_secant_equation_of_the_last_pair():
    rng = np.random.default_rng(1)
    inverse = LBFGSInverse(np.copy)
    for _ in range(LBFGS_PAIRS + 3):
        step = rng.standard_normal(6)
        change = step + 0.2 * rng.standard_normal(6)
        if step @ change > 0:
            inverse.add_secant_pair(step, change)
            np.testing.assert_allclose(inverse(change), step, rtol=1e-9, atol=1e-12)


def test_lbfgs_inverse_ignores_a_step_along_which_f_does_not_curve_upwards():
    inverse, vector = LBFGSInverse(lambda vector: 2 * vector), np.array([1.0, -3.0])
    for change in (np.array([-1.0, 0.0]), np.zeros(2)):
        inverse.add_secant_pair(np.array([1.0, 0.0]), change)
    np.testing.assert_array_equal(inverse(vector), 2 * vector)
    np.testing.assert_array_equal(vector, [1.0, -3.0])


# ----- the contract of a rule ---------------------------------------------------------------------

# The L1 norm is so weak that every weight is part of the minimum, and F is smooth near it.
RULES = {"smooth": (NewtonDirection, 0.0), "L1 norm": (ProximalNewtonDirection, 1e-6)}


class Situation:
    """A direction rule, its problem, and evaluations at given distances from the minimum."""

    def __init__(self, kind, l1_ratio=None):
        expected_rule, ratio = RULES[kind]
        ratio = ratio if l1_ratio is None else l1_ratio
        data = random_data(80, 4, 1)
        exact = solved("newton", data, l1_ratio=ratio, tol=1e-24)
        self.problem = objective(data, l1_ratio=ratio).standardised()
        self.minimum = self.problem.coordinates.from_user(*np.split(theta_of(exact), [4]))
        self.rule = direction_rule(self.problem, tol=1e-6)
        assert type(self.rule) is expected_rule

    def at(self, distance, **derivatives):
        theta = self.minimum + distance * np.array([1.0, -1.0, 0.5, 1.0, -0.5])
        return self.problem.evaluate(theta, **derivatives)

    def hessian(self):
        return self.at(0.0, hessian=True).hessian


@pytest.fixture
def solved_to_the_end(monkeypatch):
    """Solve models with an L1 norm until their decrease is rounding."""
    monkeypatch.setattr(quadratic, "inner_tolerance", lambda gained, root: 1e-13 * gained)
    monkeypatch.setattr(quadratic, "MIN_INNER_FRACTION", 1e-13)
    monkeypatch.setattr(quadratic, "ROUNDS_BEFORE_LAST", quadratic.MAX_ROUNDS)


@pytest.fixture
def situation(kind, solved_to_the_end):
    return Situation(kind)


def every_rule(test):
    return pytest.mark.parametrize("kind", RULES)(test)


@every_rule
def test_a_hessian_is_taken_from_the_point_and_its_diagonal_is_unharmed(situation):
    point = situation.at(0.1, hessian=True)
    matrix = point.hessian.copy()
    d = situation.rule.at(point)
    assert point.hessian is None
    np.testing.assert_array_equal(point.diagonal, np.diag(matrix))
    assert d.n_products == situation.rule.n_products == np.inf
    assert d.complete
    assert not d.is_stale
    np.testing.assert_allclose(d.vector, -np.linalg.solve(matrix, point.gradient), atol=1e-4)


def test_take_hessian_gives_the_matrix_up_once():
    point = Situation("smooth").at(0.1, hessian=True)
    matrix = point.hessian
    assert point.take_hessian() is matrix
    assert point.hessian is point.take_hessian() is None
    matrix[:] = np.nan
    assert np.isfinite(point.diagonal).all()
    assert Situation("smooth").at(0.1).take_hessian() is None


@pytest.mark.parametrize(*pairwise(kind=RULES, hessian=[True, False]))
def test_the_decrement_is_twice_what_the_model_gains(situation, hessian):
    point = situation.at(0.1, hessian=hessian)
    H, g, problem = situation.at(0.1, hessian=True).hessian, point.gradient, situation.problem
    d = situation.rule.at(point)
    norm = [problem.penalty.value(u[:4]) for u in (point.theta, point.theta + d.vector)]
    squares = [problem.penalty.l2 @ u[:4] ** 2 / 2 for u in (point.theta, point.theta + d.vector)]
    of_norm = (norm[1] - squares[1]) - (norm[0] - squares[0])
    gained = -(g @ d.vector + d.vector @ H @ d.vector / 2) - of_norm
    assert d.decrement / 2 == pytest.approx(gained, rel=1e-6)
    assert problem.directional_derivative(point, d.vector) < 0


@pytest.mark.usefixtures("solved_to_the_end")
@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
def test_the_proximal_direction_ends_where_the_model_with_the_norm_is_least(l1_ratio):
    """At that point −(g + Hd) is a subgradient of the L1 norm at u + d."""
    situation = Situation("L1 norm", l1_ratio)
    point = situation.at(0.3, hessian=True)
    H, g = point.hessian.copy(), point.gradient
    d = situation.rule.at(point)
    u, kappa = (point.theta + d.vector)[:4], situation.problem.penalty.l1
    slope = g + H @ d.vector
    excess = np.where(
        u == 0, np.maximum(np.abs(slope[:4]) - kappa, 0), slope[:4] + kappa * np.sign(u)
    )
    np.testing.assert_allclose(excess, 0, atol=1e-6 * np.abs(g).max())
    assert abs(slope[4]) < 1e-6 * np.abs(g).max()


@every_rule
def test_a_direction_from_stale_curvature_takes_no_pass_and_needs_a_curvature(situation):
    rule, point, H = situation.rule, situation.at(0.01), situation.hessian()
    before = situation.problem.n_passes
    assert rule.from_stale_curvature(point) is None
    rule.set_curvature(H.copy())
    d = rule.from_stale_curvature(point)
    assert situation.problem.n_passes == before
    assert d.is_stale
    np.testing.assert_allclose(d.vector, -np.linalg.solve(H, point.gradient), rtol=1e-3, atol=1e-6)


@every_rule
def test_stale_curvature_is_trusted_while_the_decrement_falls_to_a_tenth(situation):
    """Near the minimum the decrement is proportional to the square of the distance."""
    rule, distance = situation.rule, 0.01
    rule.set_curvature(situation.hessian())
    for fraction in (1.0, 0.9 * WORTH_ANOTHER, 0.9 * WORTH_ANOTHER):
        distance *= np.sqrt(fraction)
        point = situation.at(distance)
        before = situation.problem.n_passes
        assert rule.at(point).is_stale
        assert situation.problem.n_passes == before
        assert not rule.wants().hessian
    point = situation.at(distance * np.sqrt(1.2 * WORTH_ANOTHER))
    assert not rule.at(point).is_stale
    assert rule.n_products > 0


@every_rule
def test_invalidated_curvature_is_still_known_but_finds_no_direction(situation):
    rule = situation.rule
    rule.set_curvature(situation.hessian())
    rule.invalidate_curvature()
    assert rule.from_stale_curvature(situation.at(0.01)).is_stale
    before = situation.problem.n_passes
    assert not rule.at(situation.at(0.01)).is_stale
    assert situation.problem.n_passes > before


@every_rule
def test_after_a_secant_pair_the_stale_curvature_explains_the_change_of_the_gradient(situation):
    """H·step = change: for the gradient −change the direction is the step."""
    rule, before, after = situation.rule, situation.at(0.5), situation.at(0.1)
    rule.add_secant_pair(before, after)  # nothing to correct yet
    rule.set_curvature(2.0 * situation.hessian())
    rule.add_secant_pair(before, after)
    step, change = after.theta - before.theta, after.gradient - before.gradient
    # The weak L1 norm is negligible beside so large a gradient.
    d = rule.from_stale_curvature(replace(before, theta=situation.minimum, gradient=-change))
    np.testing.assert_allclose(d.vector, step, rtol=1e-3, atol=1e-5)


@every_rule
def test_a_last_step_wants_no_hessian(situation, monkeypatch):
    force_curvature_cost(monkeypatch, 0.0)
    rule = direction_rule(situation.problem, tol=1e-6, for_path=True)
    assert rule.wants(is_last_step=False).hessian
    assert not rule.wants(is_last_step=True).hessian


@every_rule
def test_a_path_state_is_left_along_a_path_with_an_l1_norm_alone(kind, situation):
    point = situation.at(0.001)
    assert situation.rule.path_state(point) is None
    rule = direction_rule(situation.problem, tol=1e-6, for_path=True)
    rule.at(point)
    state = rule.path_state(point)
    if kind == "smooth":
        assert state is rule.predict_start(None) is None
    else:
        assert state.point is point
        # With the same penalty the expected minimum is that of the model at the point.
        np.testing.assert_allclose(rule.predict_start(state), situation.minimum, atol=1e-5)


def test_a_path_state_applies_to_its_samples_and_to_the_weights_at_the_end_of_its_fit():
    problem = Situation("L1 norm").problem
    point = problem.evaluate(np.arange(5.0) / 10)
    rule = direction_rule(problem, tol=1e-6, for_path=True)
    rule.at(point)
    state = rule.path_state(point)
    w, b = problem.coordinates.to_user(point.theta)
    assert state.applies_to(problem, w, b)
    assert not state.applies_to(problem, np.nextafter(w, np.inf), b)
    assert not state.applies_to(problem, w, np.nextafter(b, np.inf))
    samples = problem.X, problem.y, problem.sample_weight
    assert state.applies_to(objective(samples), w, b)
    assert not state.applies_to(objective(samples, fit_intercept=False), w, b)
    assert not state.applies_to(objective((problem.X.copy(), *samples[1:])), w, b)
