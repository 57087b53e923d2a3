"""The derivation: each function against mpmath, finite differences and the formula by hand."""

import mpmath as mp
import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise

from sklearn_bce.chain_rule import (
    binary_cross_entropy,
    da_dz,
    dl_da,
    dl_dz,
    dz_db,
    dz_dw,
    gradient,
    linear_output,
    loss_and_derivatives,
    sigmoid,
    squared_error,
    squared_error_gradient,
    squared_error_slope,
    update,
)

EPS = np.finfo(np.float64).eps
SUBNORMAL = 5e-324  # the unit below the smallest normal double, where relative precision ends
NORMAL = np.finfo(np.float64).tiny  # below it the activation is 0
# 709.78 is the largest argument of a finite exponential, −745.13 the smallest of one that is not 0.
Z = [-800.0, -745.13, -720.0, -709.79, -709.0, -100.0, -37.0, -20.0, -1.0, -1e-8, -1e-300, 0.0]
Z = [*Z, *(-z for z in Z[-2::-1])]
TARGETS = [0.0, 1e-10, 0.3, 0.5, 0.75, 1 - 1e-10, 1.0]
CONTAINERS = {"dense": np.asarray, "CSR": sp.csr_array, "CSC": sp.csc_array}


@pytest.fixture(autouse=True)
def _sixty_digits():
    with mp.workdps(60):
        yield


# ----- references -------------------------------------------------------------------------------


def _exact_sigmoid(z):
    return 1 / (1 + mp.exp(-mp.mpf(z)))


def _exact_slope(z):
    return _exact_sigmoid(z) * _exact_sigmoid(-z)


def _exact_loss(y, z):
    y, z = mp.mpf(y), mp.mpf(z)
    with mp.workdps(400):  # 1 − a has lost as many digits as z has powers of ten, 348 at most
        a = 1 / (1 + mp.exp(-z))
        return -(y * mp.log(a) + (1 - y) * mp.log(1 - a))


def _assert_right(got, exact, z, least=SUBNORMAL):
    nearest = float(exact)
    assert abs(got - nearest) <= max(1e-12 * abs(nearest), least), (z, got, nearest)


def _complex_step(function, at):
    """Derivative of an analytic function of one variable, exact to rounding."""
    return np.imag(function(at + 1e-30j)) / 1e-30


def _analytic_loss(y, z):
    a = 1 / (1 + np.exp(-z))
    return -(y * np.log(a) + (1 - y) * np.log(1 - a))


def _gradient_by_complex_step(loss, w, b):
    """Return the gradients of loss(w, b) with respect to w and b, exact to rounding."""
    steps = 1e-30j * np.eye(len(w))
    by_weight = [np.imag(loss(w + step, b)) / 1e-30 for step in steps]
    return np.array(by_weight), np.imag(loss(w, b + 1e-30j)) / 1e-30


def _samples(n_samples=12, n_features=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features)) * (rng.random((n_samples, n_features)) < 0.7)
    return X, rng.random(n_samples), rng.standard_normal(n_features), 0.4


# ----- stability --------------------------------------------------------------------------------


def test_sigmoid_has_twelve_digits_everywhere():
    for z in Z:
        _assert_right(sigmoid(z), _exact_sigmoid(z), z, NORMAL)


def test_activation_slope_has_twelve_digits_everywhere():
    for z in Z:
        _assert_right(da_dz(z), _exact_slope(z), z, NORMAL)
        _assert_right(loss_and_derivatives(0.0, z)[2], _exact_slope(z), z)


@pytest.mark.parametrize("y", TARGETS)
def test_loss_has_twelve_digits_everywhere(y):
    for z, loss in zip(Z, binary_cross_entropy(y, Z), strict=True):
        _assert_right(loss, _exact_loss(y, z), z)


@pytest.mark.parametrize("y", TARGETS)
def test_slope_of_loss_is_right_to_rounding_of_numbers_up_to_one(y):
    exact = np.array([float(_exact_sigmoid(z) - mp.mpf(y)) for z in Z])
    np.testing.assert_allclose(dl_dz(y, Z), exact, rtol=0, atol=2 * EPS)


@pytest.mark.parametrize("y", TARGETS)
def test_slope_in_the_activation_is_right_and_held_at_the_largest_number(y):
    largest = mp.mpf(np.finfo(np.float64).max)

    def exact(z):
        e = mp.exp(mp.mpf(z))
        return (1 - mp.mpf(y)) * min(1 + e, largest) - mp.mpf(y) * min(1 + 1 / e, largest)

    got = dl_da(y, Z)
    assert np.all(np.isfinite(got))
    # The two terms have opposite signs: each term is exact to twelve digits, their sum is not.
    terms = [(1 - y) * (1 + mp.exp(z)) + y * (1 + mp.exp(-mp.mpf(z))) for z in Z]
    for number, z, size in zip(got, Z, terms, strict=True):
        assert abs(mp.mpf(float(number)) - exact(z)) <= 1e-12 * min(size, largest)


@pytest.mark.parametrize(*pairwise(z=[-1e308, -1e4, 1e4, 1e308], y=[0.0, 0.25, 1.0]))
def test_all_functions_are_finite_without_warnings_at_large_outputs(y, z):
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        numbers = [
            sigmoid(z),
            da_dz(z),
            dl_da(y, z),
            dl_dz(y, z),
            dz_db(z),
            binary_cross_entropy(y, z),
            *loss_and_derivatives(y, z),
        ]
    assert np.all(np.isfinite(numbers))
    assert sigmoid(z) == float(z > 0)
    assert dl_dz(y, z) == float(z > 0) - y
    assert da_dz(z) == 0
    missed = (1 - y) * z if z > 0 else -y * z
    assert binary_cross_entropy(y, z) == missed


# ----- derivatives and their product -------------------------------------------------------------


@pytest.mark.parametrize("y", TARGETS)
def test_each_factor_is_the_derivative_of_the_step_before_it(y):
    for z in (-6.0, -0.5, 0.0, 1.7, 5.0):
        _assert_factors_are_derivatives(y, z)


def _assert_factors_are_derivatives(y, z):
    a = 1 / (1 + np.exp(-z))

    def loss_of_activation(a):
        return -(y * np.log(a) + (1 - y) * np.log(1 - a))

    # 1 − a loses a factor e⁶ of precision in the reference, which is thus exact to 1e-12 only.
    np.testing.assert_allclose(da_dz(z), _complex_step(lambda z: 1 / (1 + np.exp(-z)), z), 1e-13)
    np.testing.assert_allclose(dl_da(y, z), _complex_step(loss_of_activation, a), 1e-12, 1e-12)
    slope = _complex_step(lambda z: _analytic_loss(y, z), z)
    np.testing.assert_allclose(dl_dz(y, z), slope, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(binary_cross_entropy(y, z), _analytic_loss(y, z), rtol=1e-12)


@pytest.mark.parametrize("z", [-700.0, -40.0, -2.0, 0.0, 0.9, 30.0, 700.0])
def test_product_of_the_factors_is_the_gradient_of_the_rule(z):
    for y in (0.0, 0.3, 1.0):
        _assert_product_is_gradient(y, z)


def _assert_product_is_gradient(y, z):
    x = np.array([2.0, -0.5, 0.0, 1e3])
    error = float(_exact_sigmoid(z)) - y
    product = dl_da(y, z) * da_dz(z)
    # a − y is a difference of numbers up to 1, each rounded.
    np.testing.assert_allclose(product, dl_dz(y, z), rtol=1e-12, atol=4 * EPS)
    np.testing.assert_allclose(product * dz_dw(x), error * x, rtol=1e-12, atol=4e3 * EPS)
    np.testing.assert_allclose(product * dz_db(z), error, rtol=1e-12, atol=4 * EPS)
    np.testing.assert_array_equal(gradient(x, dl_dz(y, z))[0], dl_dz(y, z) * x)


def test_linear_output_is_the_sum_and_its_derivatives_are_the_input_and_one():
    X, _, w, b = _samples()
    by_hand = [b + sum(wi * xi for wi, xi in zip(w, x, strict=True)) for x in X]
    np.testing.assert_allclose(linear_output(X, w, b), by_hand, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(
        linear_output(sp.csr_array(X), w, b), by_hand, rtol=1e-13, atol=1e-15
    )
    assert linear_output(X[0], w, b) == pytest.approx(by_hand[0], rel=1e-13)
    np.testing.assert_array_equal(linear_output(X, w), X @ w)
    for x in X:
        by_weight, by_intercept = _gradient_by_complex_step(lambda w, b, x=x: x @ w + b, w, b)
        np.testing.assert_allclose(by_weight, dz_dw(x), rtol=1e-14)
        np.testing.assert_allclose(by_intercept, dz_db(x @ w + b), rtol=1e-14)
    assert dz_dw(X) is X


@pytest.mark.parametrize("z", [[1.0, -2.0], [1, -2], np.array([1, -2]), np.array([[0.5]])])
def test_the_intercept_moves_every_output_by_one(z):
    ones = dz_db(z)
    assert ones.shape == np.shape(z)
    assert ones.dtype == np.float64
    assert np.all(ones == 1)


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
def test_loss_and_derivatives_say_what_the_single_functions_say(y):
    loss, slope, curvature = loss_and_derivatives(y, np.array(Z))
    np.testing.assert_array_equal(loss, binary_cross_entropy(y, Z))
    np.testing.assert_allclose(slope, dl_dz(y, Z), rtol=1e-13, atol=2 * EPS)
    normal = np.abs(Z) < 708
    np.testing.assert_allclose(curvature[normal], da_dz(Z)[normal], rtol=1e-13)


def test_curvature_is_the_second_derivative():
    z = np.linspace(-5, 5, 21)
    slope = _complex_step(lambda z: 1 / (1 + np.exp(-z)) - 0.3, z)
    np.testing.assert_allclose(loss_and_derivatives(0.3, z)[2], slope, rtol=1e-13)


# ----- gradient and update ----------------------------------------------------------------------


@pytest.mark.parametrize(*pairwise(container=CONTAINERS, weighted=[False, True]))
def test_gradient_is_the_derivative_of_the_summed_loss(container, weighted):
    X, y, w, b = _samples()
    weight = np.arange(len(y)) / 5 if weighted else np.ones(len(y))

    def summed_loss(w, b):
        return np.sum(weight * _analytic_loss(y, X @ w + b))

    rows = CONTAINERS[container](X)
    got = gradient(rows, weight * dl_dz(y, linear_output(rows, w, b)))
    expected = _gradient_by_complex_step(summed_loss, w, b)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-12)


def test_gradient_of_a_batch_is_the_sum_over_its_samples():
    X, y, w, b = _samples()
    slope = dl_dz(y, X @ w + b)
    single = [gradient(x, s) for x, s in zip(X, slope, strict=True)]
    together = gradient(X, slope)
    np.testing.assert_allclose(together[0], sum(g[0] for g in single), rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(together[1], sum(g[1] for g in single), rtol=1e-13)


@pytest.mark.parametrize("eta", [1.0, 0.3])
@pytest.mark.parametrize("container", ["one", *CONTAINERS])
def test_update_is_w_plus_eta_y_minus_a_x(container, eta):
    X, y, w, b = _samples()
    if container == "one":
        X, y = X[:1], y[:1]
    new_w, new_b = w.copy(), b
    for x, target in zip(X, y, strict=True):
        error = target - float(_exact_sigmoid(float(x @ w) + b))
        new_w += [eta * error * xi for xi in x]
        new_b += eta * error
    arguments = (X[0], y[0]) if container == "one" else (CONTAINERS[container](X), y)
    steps = {} if eta == 1.0 else {"eta": eta}  # 1 is the default, the plain rule
    got_w, got_b = update(*arguments, w, b, **steps)
    np.testing.assert_allclose(got_w, new_w, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(got_b, new_b, rtol=1e-12, atol=1e-14)
    gradient_w, gradient_b = gradient(X, dl_dz(y, X @ w + b))
    np.testing.assert_allclose(got_w, w - eta * gradient_w, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(got_b, b - eta * gradient_b, rtol=1e-12, atol=1e-14)


# ----- the squared error, for comparison ---------------------------------------------------------


@pytest.mark.parametrize(("half", "factor"), [(False, 1.0), (True, 0.5)])
@pytest.mark.parametrize("container", CONTAINERS)
def test_squared_error_gradient_is_its_derivative(container, half, factor):
    X, y, w, b = _samples()

    def to_theta_gradient(w, b):
        return factor * np.sum((y - (X @ w + b)) ** 2)

    got = squared_error_gradient(CONTAINERS[container](X), y, w, b, half=half)
    expected = _gradient_by_complex_step(to_theta_gradient, w, b)
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-12)
    slope = _complex_step(lambda y_hat: factor * (0.7 - y_hat) ** 2, 0.2)
    assert squared_error_slope(0.7, 0.2, half=half) == pytest.approx(slope, rel=1e-14)
    assert factor * squared_error(0.7, 0.2) == pytest.approx(factor * 0.25, rel=1e-14)


def test_the_factor_two_only_doubles_the_step():
    X, y, w, b = _samples()
    y_hat = linear_output(X, w, b)
    np.testing.assert_array_equal(squared_error_slope(y, y_hat, half=True), -(y - y_hat))
    np.testing.assert_array_equal(squared_error_slope(y, y_hat), -2 * (y - y_hat))
    whole = squared_error_gradient(X, y, w, b)
    halved = squared_error_gradient(X, y, w, b, half=True)
    for one, other in zip(whole, halved, strict=True):
        np.testing.assert_array_equal(one, 2 * other)
    # Half the squared error has the derivative of the cross-entropy: output minus target.
    a = sigmoid(y_hat)
    np.testing.assert_array_equal(squared_error_slope(y, a, half=True), dl_dz(y, y_hat))


# ----- arrays -----------------------------------------------------------------------------------


def test_functions_broadcast_and_take_lists():
    y, z = [[0.0], [0.4], [1.0]], [-1.0, 0.0, 2.0, 30.0]
    grid_y, grid_z = np.meshgrid(np.ravel(y), z, indexing="ij")
    for function in (binary_cross_entropy, dl_da, dl_dz, squared_error, squared_error_slope):
        np.testing.assert_array_equal(function(y, z), function(grid_y, grid_z))
        assert np.ndim(function(0.4, 2.0)) == 0
    loss, slope, curvature = loss_and_derivatives(y, z)
    assert loss.shape == slope.shape == (3, 4)
    assert curvature.shape == (4,)


def test_float32_stays_float32_to_its_rounding():
    z = np.array([-104.0, -88.0, -20.0, 0.0, 3.0, 88.0, 200.0], dtype=np.float32)
    y = np.array([0.0, 1.0, 0.5, 0.25, 1.0, 0.0, 1.0], dtype=np.float32)
    got = [sigmoid(z), da_dz(z), dl_da(y, z), dl_dz(y, z), dz_db(z), *loss_and_derivatives(y, z)]
    assert {part.dtype for part in got} == {np.dtype(np.float32)}
    assert np.all(np.isfinite(got))
    single = float(np.finfo(np.float32).eps)
    loss, slope, curvature = loss_and_derivatives(y.astype(np.float64), z.astype(np.float64))
    for narrow, wide in ((got[5], loss), (got[7], curvature)):
        np.testing.assert_allclose(narrow, wide, rtol=4 * single, atol=1.5e-45)  # one subnormal
    for narrow in (got[3], got[6]):
        np.testing.assert_allclose(narrow, slope, rtol=0, atol=2 * single)
    X, slope = np.eye(7, dtype=np.float32), dl_dz(y, z)
    assert gradient(X, slope)[0].dtype == gradient(X[0], slope[0])[0].dtype == np.float32


def test_arguments_are_not_written_to():
    X, y, w, b = _samples()
    arrays = (X, y, w)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False  # writing raises
    new_w, _ = update(X, y, w, b)
    assert not np.shares_memory(new_w, w)
    z = linear_output(X, w, b)
    z.flags.writeable = False
    for function in (binary_cross_entropy, loss_and_derivatives, dl_da, dl_dz, squared_error):
        function(y, z)
    gradient(X, dl_dz(y, z))
    squared_error_gradient(X, y, w, b)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)
