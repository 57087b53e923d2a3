"""Newton's step and Newton's method, against plain NumPy on small data."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from scipy.optimize import minimize
from scipy.special import expit
from small_data import F, breast_cancer, minimum, objective, random_data, solved, theta_of

from benchmarks import judge
from sklearn_bce._solvers import distance_from_minimum
from sklearn_bce._solvers.newton import direction as _newton_step
from sklearn_bce._solvers.newton import starts as newton
from sklearn_bce._solvers.newton.cost import Costs
from sklearn_bce._solvers.newton.direction import (
    FINAL_SHARE,
    StepFinder,
    by_conjugate_gradients,
    positive_solver,
)
from sklearn_bce._solvers.newton.line_search import WORTH_A_SEARCH, Step, go_along, slope_on_ray

# What forming and factorising the curvature costs, in passes, so that one way or the other is the
# way to a step.
COSTS = {"factorisation": 0.0, "CG": np.inf, "CG, then factorisation": 12.0}


def force(monkeypatch, curvature):
    """Make the curvature cost so many passes, and a sample be of no use."""
    costs = Costs(one_pass=1.0, curvature=curvature, factor=0.0, size=10**6)
    monkeypatch.setattr(Costs, "of", lambda problem: costs)


# ----- Newton's step ----------------------------------------------------------------------------


def _symmetric(eigenvalues, seed=0):
    n = len(eigenvalues)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]
    matrix = Q * eigenvalues @ Q.T
    return (matrix + matrix.T) / 2, Q


def test_positive_solver_solves_a_well_conditioned_system():
    matrix, _ = _symmetric([1.0, 2, 3, 10, 100])
    rhs = np.arange(5.0) - 2
    expected = np.linalg.solve(matrix, rhs)
    np.testing.assert_allclose(positive_solver(matrix)(rhs), expected, rtol=1e-12)


@pytest.mark.parametrize("decades", [3, 30, 150])
def test_positive_solver_does_not_depend_on_units(decades):
    """(DAD)⁻¹Dr = D⁻¹A⁻¹r: what columns of other units, each with its own penalty, make of A."""
    matrix, _ = _symmetric([1.0, 2, 3, 10])
    units, rhs = np.logspace(0, decades, 4), np.array([1.0, -2, 3, 4])
    got = positive_solver(matrix * units * units[:, None])(rhs * units)
    np.testing.assert_allclose(got * units, np.linalg.solve(matrix, rhs), rtol=1e-12)


@pytest.mark.parametrize("least", [0.0, -1e-15, 1e-18])
def test_positive_solver_solves_in_the_directions_that_rounding_has_left(least):
    matrix, Q = _symmetric([1.0, 2, 3, 4, 5, least])
    rhs = Q[:, :5] @ np.arange(1.0, 6)
    solution = positive_solver(matrix.copy())(rhs)
    np.testing.assert_allclose(matrix @ solution, rhs, rtol=0, atol=1e-12)
    # In the other five directions there is one answer.
    np.testing.assert_allclose(Q[:, :5].T @ solution, 1.0, rtol=1e-12)


def test_positive_solver_takes_the_diagonal_of_a_matrix_with_infinity_or_nan():
    np.testing.assert_allclose(positive_solver(np.diag([2.0, 0]))(np.array([3.0, 0])), [1.5, 0])
    for overflow in (np.inf, np.nan):
        broken = np.diag([1.0, 2.0, 4.0])
        broken[0, 1] = broken[1, 0] = overflow
        np.testing.assert_allclose(positive_solver(broken)(np.ones(3)), [1, 0.5, 0.25], rtol=1e-15)


def test_positive_solver_of_zeros_returns_zeros():
    np.testing.assert_array_equal(positive_solver(np.zeros((2, 2)))(np.zeros(2)), [0, 0])


def _quadratic(seed=1, sparse=False, C=1.0, away=0.3):
    """Return a problem, a point of it ``away`` from the minimum, and Newton's step there."""
    data = random_data(80, 10, seed, sparse=sparse)
    problem = objective(data, C).standardised()
    theta = problem.coordinates.from_user(*np.split(minimum(data, C), [10]))
    point = problem.evaluate(theta + away * np.cos(np.arange(11.0)), hessian=True)
    return problem, point, -np.linalg.solve(point.hessian, point.gradient)


@pytest.mark.parametrize(*pairwise(steps=COSTS, sparse=[False, True], C=[1.0, np.inf]))
def test_every_way_to_a_step_leads_to_newtons_step(monkeypatch, steps, sparse, C):
    cost = COSTS[steps]
    monkeypatch.setattr(_newton_step, "_share_to_ignore", lambda gained: 0.0)  # CG to the end
    force(monkeypatch, cost)
    problem, point, newton = _quadratic(sparse=sparse, C=C)
    if cost > 0:
        point = point._replace(hessian=None)
    step = StepFinder(problem, tol=0.0)(point)
    np.testing.assert_allclose(step.vector, newton, rtol=1e-10)
    assert step.decrement == pytest.approx(-point.gradient @ newton, rel=1e-12)
    if step.along is not None:
        along = problem.evaluate(point.theta + step.vector).z - point.z
        np.testing.assert_allclose(step.along, along, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("away", "share"), [(1.0, 0.5), (1e-3, 0.02)])
def test_conjugate_gradients_stop_early_and_know_what_they_gained(away, share):
    problem, point, newton = _quadratic(away=away)
    before = problem.n_passes
    step = by_conjugate_gradients(problem, point, tol=0.0)
    assert problem.n_passes - before < 1 + 11  # the diagonal, and a product for each coordinate
    bend = step.vector @ point.hessian @ step.vector
    gained = -point.gradient @ step.vector - bend / 2
    assert step.decrement / 2 == pytest.approx(gained, rel=1e-12)
    assert (1 - share) <= gained / (-point.gradient @ newton / 2) <= 1 + 1e-12


@pytest.mark.parametrize(*pairwise(along=[False, True], C=[1.0, np.inf]))
def test_go_along_finds_where_a_far_step_should_end(along, C):
    """Newton's step overshoots from far out, and from 0 is too short."""
    data = (np.array([[-2.0], [-1.0], [1.0], [2.0]]), np.array([0.0, 1, 0, 1]), np.ones(4))
    problem = objective(data, C)
    for theta, shorter in ((np.array([7.0, 0.0]), True), (np.array([0.0, 0.0]), False)):
        point = problem.evaluate(theta, hessian=True)
        vector = -np.linalg.solve(point.hessian, point.gradient)
        step = Step(
            vector,
            float(-point.gradient @ vector),
            data[0] @ vector[:1] + vector[1] if along else None,
        )
        before = problem.n_passes
        end, moved = go_along(problem, point, step, hessian=True, search=True)
        assert moved
        assert problem.n_passes == before + (1 if along else 2)  # Z·d, and where it ended
        length = (end.theta - point.theta)[0] / vector[0]
        assert (length < 1) == shorter
        np.testing.assert_allclose(end.theta, point.theta + length * vector, rtol=1e-15)
        assert end.value == pytest.approx(F(end.theta, data, C), rel=1e-13)
        assert end.hessian is not None
        for factor in (0.8, 1.25):  # F is least between these
            assert F(point.theta + factor * length * vector, data, C) > end.value


def test_go_along_halves_a_step_of_which_it_expected_little():
    problem, point, newton = _quadratic(away=0.1)
    small = WORTH_A_SEARCH * point.value
    end, moved = go_along(problem, point, Step(64 * newton, small), hessian=False)
    length = (end.theta - point.theta)[0] / (64 * newton[0])
    assert moved
    assert length == pytest.approx(2.0 ** round(math.log2(length)), rel=1e-12)
    assert length < 1
    assert end.value <= point.value - 1e-4 * length * small


def test_go_along_takes_the_whole_step_where_it_can():
    problem, point, newton = _quadratic(away=1e-3)
    decrement = float(-point.gradient @ newton)
    before = problem.n_passes
    end, moved = go_along(problem, point, Step(newton, decrement), hessian=False)
    assert (moved, problem.n_passes, end.hessian) == (True, before + 1, None)
    np.testing.assert_array_equal(end.theta, point.theta + newton)


def test_go_along_goes_nowhere_uphill():
    problem, point, newton = _quadratic(away=0.1)
    decrement = float(-point.gradient @ newton)
    end, moved = go_along(problem, point, Step(-newton, decrement), hessian=False)
    assert (moved, end) == (False, point)


@pytest.mark.parametrize(*pairwise(l1_ratio=[0.0, 0.4, 1.0], standardised=[False, True]))
def test_slope_on_ray_is_the_derivative_from_the_right(l1_ratio, standardised):
    """By differences from the right, and past the places where weights change their signs."""
    weight = (data := random_data(40, 4))[2]
    problem = objective(data, 0.3, l1_ratio=l1_ratio)
    problem = problem.standardised() if standardised else problem
    theta, vector = np.array([0.5, 0.0, -0.25, 0.0, 0.1]), np.array([-1.0, 2.0, 0.5, 0.0, -0.7])
    point, along = problem.evaluate(theta), problem.outputs(vector)
    slope = slope_on_ray(problem, point, vector, along)

    def value(t, l1_ratio):
        w, b = problem.coordinates.to_user(theta + t * vector)
        strength = 1 / (0.3 * weight.sum())
        smooth = F(np.append(w, b), data, np.inf) + (1 - l1_ratio) * strength / 2 * w @ w
        return smooth, l1_ratio * strength * np.abs(w).sum()

    h = 1e-4
    before = problem.n_passes
    for t in (0.0, 0.25, 0.5, 0.75, 3.0):  # at 0.5 both of those that were not 0 are
        smooth, norm = np.array([value(t + k * h, l1_ratio) for k in (-1, 0, 1)]).T
        first, second = slope(t)
        central, right = (smooth[2] - smooth[0]) / (2 * h), (norm[2] - norm[1]) / h
        assert first == pytest.approx(central + right, abs=1e-8)
        assert second == pytest.approx((smooth[2] - 2 * smooth[1] + smooth[0]) / h**2, abs=1e-6)
    assert problem.n_passes == before


# ----- Newton's method --------------------------------------------------------------------------


@pytest.fixture
def find_step(request, monkeypatch):
    force(monkeypatch, COSTS[request.param])


def every_step(**axes):
    """Parametrise a test by pairs of ways to a step and of other values."""

    def decorate(test):
        cases = pairwise(find_step=COSTS, **axes)
        return pytest.mark.parametrize(*cases, indirect=["find_step"])(
            pytest.mark.usefixtures("find_step")(test)
        )

    return decorate


@every_step(sparse=[False, True], C=[1.0, np.inf])
def test_newton_ends_in_the_minimum(sparse, C):
    data = random_data(100, 5, sparse=sparse)
    result = solved("newton", data, C, tol=1e-20)
    assert result.converged
    np.testing.assert_allclose(theta_of(result), minimum(data, C), rtol=1e-10)
    assert result.loss_curve[-1] == pytest.approx(F(theta_of(result), data, C), rel=1e-13)
    assert np.all(np.diff(result.loss_curve) <= 2e-15)


@every_step(unit=[1e-10, 1e-17, 1e-20, 1e-50, 1e-150])
def test_newton_is_not_stopped_by_a_column_whose_unit_the_penalty_forbids(unit):
    """With C = 1 its weight would have to be of order 1/unit, so it is as if it were not there."""
    X, y, weight = random_data(200, 2)
    tiny = unit * np.random.default_rng(1).standard_normal((200, 1))
    result = solved("newton", (np.hstack([X, tiny]), y, weight), tol=1e-24)
    assert result.converged
    # It moves F by its squared correlation with the error, unit² and less.
    np.testing.assert_allclose(
        [*result.w[:2], result.b], minimum((X, y, weight), 1.0), rtol=1e-9, atol=0
    )


@every_step(value=[0.0, 1.0, 0.1, 3.3], container=[np.asarray, sp.csr_array])
def test_the_weight_of_a_constant_column_is_zero_beside_an_intercept(value, container):
    """The intercept does as much and is not penalised, so its weight is 0."""
    X, y, weight = random_data(49, 2)
    constant = container(np.column_stack([X, np.full(49, value)]))
    result = solved("newton", (constant, y, weight), tol=1e-18)
    assert result.converged
    expected = minimum((X, y, weight), 1.0)
    np.testing.assert_allclose([*result.w[:2], result.b], expected, rtol=1e-9)
    assert abs(result.w[2]) < 1e-9


@every_step(far=[10.0, 100.0, 1e4, 1e6], C=[1.0, np.inf])
def test_newton_converges_from_starts_far_from_the_minimum(far, C):
    data = random_data(200, 3)
    result = solved("newton", data, C, far * np.ones(3), tol=1e-12)
    assert result.converged
    assert result.loss_curve[-1] - F(minimum(data, C), data, C) < 1e-11


def _all_but_two_right():
    """At large weights 10 000 samples are sure of it: F is small, yet not smallest."""
    y = np.arange(10_000) % 2.0
    X = ((2 * y - 1) * np.linspace(1, 2, 10_000))[:, None]
    y[[0, 5001]] = 1.0, 0.0
    return X, y, np.ones(10_000)


@every_step(far=[100.0, 1000.0])
def test_newton_does_not_stop_where_no_sample_has_any_curvature(far):
    data = _all_but_two_right()
    result = solved("newton", data, np.inf, np.array([far]), tol=1e-9)
    assert result.converged
    assert result.loss_curve[-1] - F(minimum(data, np.inf), data, np.inf) < 1e-8


@every_step(max_iter=[1, 2])
def test_newton_does_not_end_above_a_start_without_curvature(max_iter):
    """Newton restarts from 0, where F is larger, and max_iter may end the descent from there."""
    data, start = _all_but_two_right(), np.array([1000.0])
    above = F(np.append(start, 0.0), data, np.inf)
    assert above < np.log(2)
    result = solved("newton", data, np.inf, start, tol=1e-9, max_iter=max_iter)
    assert not result.converged
    assert F(theta_of(result), data, np.inf) <= above
    assert result.loss_curve[-1] == pytest.approx(F(theta_of(result), data, np.inf), rel=1e-12)


@pytest.mark.parametrize(*pairwise(noise=[1e-2, 1e-3, 1e-4], seed=range(4), n_features=[4, 10]))
def test_newton_does_not_take_slow_sweeps_for_the_minimum(noise, n_features, seed):
    """Of columns that all but repeat each other, between which the L1 norm decides."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((200, 2))[:, np.arange(n_features) % 2]
    X += noise * rng.standard_normal(X.shape)
    y = (X @ rng.standard_normal(n_features) + rng.standard_normal(200) > 0) * 1.0
    C = 100 / np.abs(X.T @ (y - y.mean())).max()  # a hundred times the least with any weight
    exact = solved("newton", (X, y, np.ones(200)), C, l1_ratio=1.0, tol=1e-14, max_iter=300)
    place = exact.w, exact.b, C, 1.0
    least = judge.objective(X, y, *place) - judge.gap(X, y, *place)  # the bound of the duality gap
    assert judge.gap(X, y, *place) < 1e-8
    result = solved("newton", (X, y, np.ones(200)), C, l1_ratio=1.0, tol=1e-6)
    assert result.converged
    assert judge.objective(X, y, result.w, result.b, C, 1.0) - least < 1.1e-6
    assert result.n_iter <= 20


@pytest.mark.parametrize("start", [1.0, -1.0])
def test_newton_from_weights_of_one_on_raw_data(start):
    data = breast_cancer()
    result = solved("newton", data, start=start * np.ones(30), tol=1e-6)
    assert result.converged
    assert result.loss_curve[-1] <= solved("newton", data, tol=1e-12).loss_curve[-1] + 1e-6


def test_newton_without_tolerance_runs_all_iterations_even_where_there_is_no_minimum():
    separable = (np.array([[-1.0], [1.0]]), np.array([0.0, 1.0]), np.ones(2))
    result = solved("newton", separable, np.inf, max_iter=200, tol=0)
    assert (result.n_iter, result.converged) == (200, False)
    assert np.isfinite(theta_of(result)).all()
    assert result.loss_curve[-1] < 1e-15


def test_a_hessian_is_needed_for_tall_data_and_not_for_wide():
    tall, wide = random_data(500, 5), random_data(300, 2000, sparse=True)
    assert StepFinder(objective(tall), 1e-6).needs_hessian
    assert not StepFinder(objective(wide), 1e-6).needs_hessian


@pytest.mark.parametrize("tol", [1e-6, 1.0])
def test_products_are_given_up_where_they_have_cost_as_much_as_a_factorisation(monkeypatch, tol):
    force(monkeypatch, 9.0)
    problem, point, newton = _quadratic()
    point = problem.evaluate(point.theta)
    find_step = StepFinder(problem, tol)
    assert not find_step.needs_hessian  # 8 products are expected, and 9 may be tried
    monkeypatch.setattr(find_step, "_spent", 7)
    before = problem.n_passes
    step = find_step(point)
    assert problem.n_passes - before == 1 + 2  # the diagonal, and the two products that are left
    assert (step.n_products, step.complete) == (2, False)
    # What they have gained is taken along, and the next step is Newton's.
    gained = -point.gradient @ step.vector - step.vector @ _quadratic()[1].hessian @ step.vector / 2
    assert step.decrement / 2 == pytest.approx(gained, rel=1e-12)
    assert find_step.needs_hessian
    step = find_step(problem.evaluate(point.theta, hessian=True))
    np.testing.assert_allclose(step.vector, newton, rtol=1e-10)
    assert not find_step.needs_hessian


@pytest.mark.parametrize("away", [1e-1, 1e-3])
def test_a_last_step_by_conjugate_gradients_bounds_what_is_left(away):
    """The bound of the residual's energy holds whatever the columns are like."""
    problem, point, newton = _quadratic(away=away, C=100.0)
    step = by_conjugate_gradients(problem, point, tol=np.inf)
    assert step.decrement >= (1 - FINAL_SHARE) * -point.gradient @ newton


@pytest.mark.parametrize("sparse", [False, True])
def test_distance_from_minimum(sparse):
    data = random_data(sparse=sparse)
    best = minimum(data, 1.0)
    theta = best + 1e-3 * np.array([1.0, -1, 2, 0.5])
    true = F(theta, data, 1.0) - F(best, data, 1.0)
    # The quadratic model is right to the size of the displacement, here 1e-3 of the distance.
    got = distance_from_minimum(objective(data), theta[:-1], theta[-1])
    assert got == pytest.approx(true, rel=2e-3)


def test_distance_from_minimum_is_at_most_f():
    """F is never below 0, whatever a model says where samples are known too surely to bend it."""
    data = random_data()
    w = np.array([-200.0, -300.0, 100.0])
    got = distance_from_minimum(objective(data, np.inf), w, 0.0)
    assert got == pytest.approx(F(np.append(w, 0.0), data, np.inf), rel=1e-12)


@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_along_a_path_a_fit_begins_at_the_minimum_where_losses_are_parabolas(factor):
    """At outputs near 0: F = log 2 + gw + ½(¼ Σ px² + λ)w² + κ|w|, with other λ and κ than before.

    Its minimum is that of no penalty but the L1 norm moved to 0 by κ, divided by the curvature.
    """
    X, y, weight = random_data(n_features=1)
    first = objective((X, y, weight), 1e-3, False, l1_ratio=1e-3)
    settings = newton.Settings(tol=1e-14, warm_start=True)
    before = newton.SOLVER.solve(first, np.zeros(1), 0.0, settings).path_state
    other = objective((X, y, weight), 1e-3 * factor, False, l1_ratio=1e-3)
    theta = before.expected(other.in_coordinates(before.coordinates), 1e-14)
    got, _ = before.coordinates.to_user(theta)
    share, strength = weight / weight.sum(), 1 / (1e-3 * factor * weight.sum())
    g, bend = share @ ((y - 0.5) * X[:, 0]), share @ X[:, 0] ** 2 / 4 + 0.999 * strength
    least = np.sign(g) * (abs(g) - 1e-3 * strength) / bend
    assert got[0] == pytest.approx(least, rel=1e-3)


def _least(data, C, l1_ratio):
    """Return the least F, of w = p − q with p, q >= 0, by SciPy."""
    X, y, weight = data
    n, share, strength = X.shape[1], weight / weight.sum(), 1 / (C * weight.sum())

    def value_and_gradient(v):
        w, kappa = v[:n] - v[n:-1], l1_ratio * strength
        z = X @ w + v[-1]
        slope = share * (expit(z) - y)
        of_w = X.T @ slope + (1 - l1_ratio) * strength * w
        smooth = share @ (np.logaddexp(0, z) - y * z) + (1 - l1_ratio) / 2 * strength * w @ w
        gradient = np.concatenate([of_w + kappa, -of_w + kappa, [slope.sum()]])
        return smooth + kappa * v[:-1].sum(), gradient

    bounds = [(0, None)] * (2 * n) + [(None, None)]
    options = {"maxiter": 10_000, "maxfun": 10_000, "ftol": 1e-12}
    start = np.zeros(2 * n + 1)
    return minimize(value_and_gradient, start, jac=True, bounds=bounds, options=options).fun


@pytest.mark.parametrize("seed", [1, 4, 11, 15, 37])
def test_tol_holds_along_a_path_of_large_steps_in_c(seed):
    """The curvature of the fit before, and of the step before, is not that of here."""
    data, tol = random_data(80, 30, seed), 0.01
    w, b, path_state = np.zeros(30), 0.0, None
    for C in (0.05, 15.0, 4500.0):
        problem = objective(data, C, l1_ratio=0.5)
        settings = newton.Settings(tol=tol, warm_start=True, path_state=path_state)
        result = newton.SOLVER.solve(problem, w, b, settings)
        w, b, path_state = result.w, result.b, result.path_state
        l1_norm = 0.5 / (C * data[2].sum()) * np.sum(np.abs(w))
        value = F(theta_of(result), data, 2 * C) + l1_norm  # ρ = ½ leaves half of the L2 penalty
        assert result.converged
        assert value - _least(data, C, 0.5) <= tol
