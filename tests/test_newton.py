"""Newton's method, against plain NumPy on small data."""

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from scipy.optimize import minimize
from scipy.special import expit
from small_data import (
    CURVATURE_COSTS,
    F,
    breast_cancer,
    force_curvature_cost,
    minimum,
    objective,
    random_data,
    solved,
    theta_of,
)

from benchmarks import judge
from benchmarks.generators import one_hot
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._solvers import Settings, distance_from_minimum
from sklearn_bce._solvers.newton import SOLVER
from sklearn_bce._solvers.newton.loop import Start, initial_evaluation
from sklearn_bce._solvers.newton.proximal import direction_rule


@pytest.fixture
def curvature_cost(request, monkeypatch):
    force_curvature_cost(monkeypatch, CURVATURE_COSTS[request.param])


def every_step(**axes):
    """Parametrise a test by pairs of values, among them the ways to find a Newton step."""

    def decorate(test):
        cases = pairwise(curvature_cost=CURVATURE_COSTS, **axes)
        return pytest.mark.parametrize(*cases, indirect=["curvature_cost"])(
            pytest.mark.usefixtures("curvature_cost")(test)
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
    """With C = 1 the penalty makes the weight of that column negligible."""
    X, y, weight = random_data(200, 2)
    tiny = unit * np.random.default_rng(1).standard_normal((200, 1))
    result = solved("newton", (np.hstack([X, tiny]), y, weight), tol=1e-24)
    assert result.converged
    # The column changes F by its squared correlation with the residual, at most unit².
    np.testing.assert_allclose(
        [*result.w[:2], result.b], minimum((X, y, weight), 1.0), rtol=1e-9, atol=0
    )


@every_step(value=[0.0, 1.0, 0.1, 3.3], container=[np.asarray, sp.csr_array])
def test_the_weight_of_a_constant_column_is_zero_beside_an_intercept(value, container):
    """The intercept has the same effect as the column, and is not penalised."""
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
    """Return 10 000 samples of one feature that separates the labels of all but two of them."""
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
    """A restart at 0, where F is larger, may be ended by max_iter before F is below the start."""
    data, start = _all_but_two_right(), np.array([1000.0])
    above = F(np.append(start, 0.0), data, np.inf)
    assert above < np.log(2)
    result = solved("newton", data, np.inf, start, tol=1e-9, max_iter=max_iter)
    assert not result.converged
    assert F(theta_of(result), data, np.inf) <= above
    assert result.loss_curve[-1] == pytest.approx(F(theta_of(result), data, np.inf), rel=1e-12)


@pytest.mark.parametrize(("factor", "is_kept"), [(1.0, True), (-5.0, False)])
def test_a_start_where_f_is_larger_than_at_0_is_left_for_0(factor, is_kept):
    problem = objective(random_data()).standardised()
    theta = factor * np.array([0.5, 1.0, -0.5, 0.0])
    point = initial_evaluation(Start(problem, theta), direction_rule(problem, tol=1e-6))
    np.testing.assert_array_equal(point.theta, theta if is_kept else np.zeros(4))
    assert (point.value < 0.69) == is_kept  # F is log 2 = 0.693 at 0


@pytest.mark.parametrize(*pairwise(noise=[1e-2, 1e-3, 1e-4], seed=range(4), n_features=[4, 10]))
def test_newton_does_not_take_slow_sweeps_for_the_minimum(noise, n_features, seed):
    """The columns are nearly equal, and the L1 norm alone decides between them."""
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


@pytest.mark.parametrize("sparse", [False, True])
def test_distance_from_minimum(sparse):
    data = random_data(sparse=sparse)
    best = minimum(data, 1.0)
    theta = best + 1e-3 * np.array([1.0, -1, 2, 0.5])
    true = F(theta, data, 1.0) - F(best, data, 1.0)
    # The relative error of the quadratic model is of the size of the displacement, here 1e-3.
    got = distance_from_minimum(objective(data), theta[:-1], theta[-1])
    assert got.is_known
    assert got.nats == pytest.approx(true, rel=2e-3)


def test_distance_from_a_point_where_every_class_is_certain():
    """There is nearly no curvature at the point: one quadratic model predicts any decrease."""
    data = random_data()
    w = np.array([-200.0, -300.0, 100.0])
    got = distance_from_minimum(objective(data, np.inf), w, 0.0)
    true = F(np.append(w, 0.0), data, np.inf) - F(minimum(data, np.inf), data, np.inf)
    assert got.nats == pytest.approx(true, rel=1e-9)


@pytest.mark.usefixtures("general_loop")
@pytest.mark.parametrize("factor", [0.25, 4.0])
def test_along_a_path_a_fit_begins_at_the_minimum_where_losses_are_parabolas(factor):
    """Outputs are near 0: F = log 2 + gw + ½(¼ Σ px² + λ)w² + κ|w|, with other λ and κ than before.

    The minimum is soft-thresholding of −g by κ, divided by the curvature.
    """
    X, y, weight = random_data(n_features=1)
    first = objective((X, y, weight), 1e-3, False, l1_ratio=1e-3)
    settings = Settings(tol=1e-14, warm_start=True)
    before = SOLVER.solve(first, np.zeros(1), 0.0, settings).path_state
    other = objective((X, y, weight), 1e-3 * factor, False, l1_ratio=1e-3)
    there = other.in_coordinates(before.coordinates)
    theta = direction_rule(there, 1e-14, for_path=True).predict_start(before)
    got, _ = before.coordinates.to_user(theta)
    normalised_weight, strength = weight / weight.sum(), 1 / (1e-3 * factor * weight.sum())
    g, curvature = (
        normalised_weight @ ((y - 0.5) * X[:, 0]),
        normalised_weight @ X[:, 0] ** 2 / 4 + 0.999 * strength,
    )
    least = np.sign(g) * (abs(g) - 1e-3 * strength) / curvature
    assert got[0] == pytest.approx(least, rel=1e-3)


@pytest.mark.usefixtures("general_loop")
def test_a_path_state_applies_to_the_same_samples_from_where_the_fit_ended():
    data = random_data()
    settings = Settings(tol=1e-9, warm_start=True)
    result = SOLVER.solve(objective(data, 1.0, False, l1_ratio=0.5), np.zeros(3), 0.0, settings)
    state, w = result.path_state, result.w
    assert state.applies_to(objective(data, 9.0, False, l1_ratio=0.2), w, 0.0)
    assert not state.applies_to(objective(data, 1.0, True, l1_ratio=0.5), w, 0.0)
    copied = (data[0].copy(), *data[1:])
    assert not state.applies_to(objective(copied, 1.0, False, l1_ratio=0.5), w, 0.0)
    for start, b in ((np.nextafter(w, 9.0), 0.0), (w, 0.1)):
        assert not state.applies_to(objective(data, 1.0, False, l1_ratio=0.5), start, b)


def _least(data, C, l1_ratio):
    """Return the minimum of F by SciPy, with w = p − q and p, q >= 0."""
    X, y, weight = data
    n, normalised_weight, strength = X.shape[1], weight / weight.sum(), 1 / (C * weight.sum())

    def value_and_gradient(v):
        w, kappa = v[:n] - v[n:-1], l1_ratio * strength
        z = X @ w + v[-1]
        slope = normalised_weight * (expit(z) - y)
        of_w = X.T @ slope + (1 - l1_ratio) * strength * w
        smooth = (
            normalised_weight @ (np.logaddexp(0, z) - y * z) + (1 - l1_ratio) / 2 * strength * w @ w
        )
        gradient = np.concatenate([of_w + kappa, -of_w + kappa, [slope.sum()]])
        return smooth + kappa * v[:-1].sum(), gradient

    bounds = [(0, None)] * (2 * n) + [(None, None)]
    options = {"maxiter": 10_000, "maxfun": 10_000, "ftol": 1e-12}
    start = np.zeros(2 * n + 1)
    return minimize(value_and_gradient, start, jac=True, bounds=bounds, options=options).fun


@pytest.mark.parametrize("seed", [1, 4, 11, 15, 37])
def test_tol_holds_along_a_path_of_large_steps_in_c(seed):
    """The curvature of the previous fit and of the previous step differ from the present one."""
    data, tol = random_data(80, 30, seed), 0.01
    w, b, path_state = np.zeros(30), 0.0, None
    for C in (0.05, 15.0, 4500.0):
        problem = objective(data, C, l1_ratio=0.5)
        settings = Settings(tol=tol, warm_start=True, path_state=path_state)
        result = SOLVER.solve(problem, w, b, settings)
        w, b, path_state = result.w, result.b, result.path_state
        l1_norm = 0.5 / (C * data[2].sum()) * np.sum(np.abs(w))
        value = F(theta_of(result), data, 2 * C) + l1_norm  # ρ = ½ leaves half of the L2 penalty
        assert result.converged
        assert value - _least(data, C, 0.5) <= tol


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_a_loose_tol_takes_hardly_more_passes_than_a_tight_one(l1_ratio):
    """A last step in doubt is followed by steps, which take fewer passes than a look into it."""
    rng = np.random.default_rng(0)
    X = rng.standard_t(1.5, (12_000, 50))
    y = X[:, :5].sum(axis=1) + rng.logistic(size=len(X)) > 0
    tight = BCENeuronClassifier(tol=1e-8, l1_ratio=l1_ratio).fit(X, y)
    for tol in (0.1, 0.01, 0.001):
        model = BCENeuronClassifier(tol=tol, l1_ratio=l1_ratio).fit(X, y)
        assert model.n_passes_ <= 1.2 * tight.n_passes_
        assert model.loss_curve_[-1] <= tight.loss_curve_[-1] + tol


def test_no_sample_is_drawn_at_a_loose_tol_alone():
    """Levels of which a sample has few rows take twice as many passes after a sample."""
    X, y = one_hot(40_000)
    tight = BCENeuronClassifier(C=1e3).fit(X, y)
    for tol in (0.1, 0.01, 0.001):
        model = BCENeuronClassifier(C=1e3, tol=tol).fit(X, y)
        assert model.n_passes_ <= 1.2 * tight.n_passes_
        assert model.loss_curve_[-1] <= tight.loss_curve_[-1] + tol
