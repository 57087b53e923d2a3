"""Properties of fits to random data: invariances, and conditions at the minimum."""

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from covering import each_value
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from scipy.stats import ortho_group

from sklearn_bce import BCENeuronClassifier

settings.register_profile(
    "the same examples each time", derandomize=True, deadline=None, max_examples=10, database=None
)
settings.load_profile("the same examples each time")

EPS = np.finfo(np.float64).eps
# Newton's steps until rounding ends them: half a squared decrement of 1e-24 nats is that of weights
# within some 1e-11 of the minimum, and the last step squares what is left. What rounding moves a
# weight by is EPS times the condition of the curvature: at most some 1e3 with the data below.
TO_ROUNDING = {"tol": 1e-24}
SAME = 1e-10
NEWTON = {
    "newton": TO_ROUNDING,
    "newton, elastic net": {**TO_ROUNDING, "l1_ratio": 0.4},
    "newton, L1": {**TO_ROUNDING, "l1_ratio": 1.0},
}
# gd and sgd are compared after some passes: each pass is the same function of the weights before,
# and is a contraction, so that rounding does not grow. Accelerated gd is stopped before rounding
# of F can decide when momentum restarts.
GD = {
    "gd": {"solver": "gd", "tol": 0, "max_iter": 20},
    "gd, elastic net": {"solver": "gd", "tol": 0, "max_iter": 8, "l1_ratio": 0.4},
}
IN_PASSES = {"solver": "sgd", "tol": 0, "max_iter": 2, "random_state": 3}
SGD = {
    "sgd": IN_PASSES,
    "sgd, L1": {**IN_PASSES, "l1_ratio": 1.0},
    "sgd, batches": {**IN_PASSES, "batch_size": 7, "l1_ratio": 0.4},
}


def each(*groups):
    """Parametrize by the parameters of the solvers of all groups."""
    solvers = {name: parameters for group in groups for name, parameters in group.items()}
    return pytest.mark.parametrize("parameters", solvers.values(), ids=solvers)


class DataSet:
    """Columns of standard normal numbers in which the classes overlap, and weights.

    The first rows come twice, with either label: as they span all directions, nothing separates the
    classes, and the curvature of the loss is well-conditioned. All numbers are multiples of 1/1024,
    which float32 holds too, and sums with whole numbers are exact.
    """

    def __init__(self, n_samples, n_features, seed):
        self.made_of = n_samples, n_features, seed
        self.rng = rng = np.random.default_rng(seed)
        X = np.round(rng.standard_normal((n_samples, n_features)) * 1024) / 1024
        y = (rng.random(n_samples) < expit(X @ rng.normal(size=n_features))).astype(int)
        twice = slice(None, 2 * n_features + 4)
        self.X, self.y = np.concatenate([X[twice], X]), np.concatenate([1 - y[twice], y])
        self.weight = rng.uniform(0.5, 1.5, len(self.y))

    def __repr__(self):
        return f"DataSet{self.made_of}"


@st.composite
def data_sets(draw):
    size = draw(st.integers(20, 50)), draw(st.integers(1, 5))
    return DataSet(*size, draw(st.integers(0, 2**32 - 1)))


@st.composite
def any_sets(draw):
    """Data sets, some with more features than samples, for which F needs a penalty."""
    if draw(st.integers(0, 3)):
        return draw(data_sets())
    size = draw(st.integers(5, 15)), draw(st.integers(40, 80))
    return DataSet(*size, draw(st.integers(0, 2**32 - 1)))


strengths = st.sampled_from([0.1, 1.0, 10.0, 1e3])


def fitted(parameters, X, y, weight=None, **more):
    return BCENeuronClassifier(**{**parameters, **more}).fit(X, y, sample_weight=weight)


def assert_same(model, other, rtol=SAME, sign=1):
    """Expect equal (or opposite) weights and intercepts, each to rtol of the largest."""
    theta, expected = (np.append(each.coef_, each.intercept_) for each in (model, other))
    assert_allclose(theta, sign * expected, rtol=0, atol=rtol * max(1, np.abs(expected).max()))


# ----- the minimum --------------------------------------------------------------------------------


@each(NEWTON)
@given(data=any_sets(), C=strengths, intercept=st.booleans())
def test_no_direction_leads_down(parameters, data, C, intercept):
    """The conditions of Karush, Kuhn and Tucker hold, in plain NumPy."""
    ratio = parameters.get("l1_ratio", 0.0)
    model = fitted(parameters, data.X, data.y, data.weight, C=C, fit_intercept=intercept)
    w, b = model.coef_[0], model.intercept_[0]
    slopes = data.weight * (expit(data.X @ w + b) - data.y)
    gradient = data.X.T @ slopes + (1 - ratio) / C * w
    # The two sums that cancel in a gradient are of this size; sums and weights are rounded.
    noise = 1e-12 * (np.abs(data.X).T @ data.weight + ratio / C)
    used = w != 0
    assert np.all(np.abs(gradient + ratio / C * np.sign(w))[used] <= noise[used])
    assert np.all(np.abs(gradient)[~used] <= ratio / C + noise[~used])
    assert abs(slopes.sum()) <= 1e-12 * data.weight.sum() if intercept else b == 0


@given(data=data_sets(), C=st.sampled_from([1.0, 10.0, np.inf]))
@pytest.mark.parametrize("batch_size", [1, 10])
def test_sgd_comes_to_rest_where_newton_does(data, C, batch_size):
    """In the end a batch has all samples, and each pass reduces F − min F by a fraction.

    The fraction is one over the condition number, at least 1/100 with such data. sgd stops when
    five passes reduce F by less than tol.
    """
    sgd = {"solver": "sgd", "tol": 1e-8, "max_iter": 5000, "random_state": 0}
    model = fitted(sgd, data.X, data.y, data.weight, C=C, batch_size=batch_size)
    best = fitted(TO_ROUNDING, data.X, data.y, data.weight, C=C)
    assert model.converged_
    assert -1e-14 <= loss(model, data, C) - loss(best, data, C) <= 1e-6


def loss(model, data, C):
    """Return F with the L2 penalty, in plain NumPy."""
    z = data.X @ model.coef_[0] + model.intercept_[0]
    losses = np.logaddexp(0, np.where(data.y == 1, -z, z))
    return (data.weight @ losses + np.sum(model.coef_**2) / (2 * C)) / data.weight.sum()


# ----- units, origin and axes of the features -----------------------------------------------------


@given(data=data_sets(), exponents=st.lists(st.integers(-8, 8), min_size=5, max_size=5))
def test_without_a_penalty_units_do_not_matter(data, exponents):
    units = 10.0 ** np.array(exponents[: data.X.shape[1]])
    model = fitted(TO_ROUNDING, data.X, data.y, data.weight, C=np.inf)
    other = fitted(TO_ROUNDING, data.X * units, data.y, data.weight, C=np.inf)
    assert_allclose(other.coef_[0] * units, model.coef_[0], rtol=SAME, atol=SAME)
    z = model.decision_function(data.X)
    assert_allclose(other.decision_function(data.X * units), z, rtol=SAME, atol=10 * SAME)
    probability = model.predict_proba(data.X)
    assert_allclose(other.predict_proba(data.X * units), probability, rtol=0, atol=10 * SAME)


@each_value(
    each(NEWTON),
    pytest.mark.parametrize("kind", [np.asarray, sp.csr_array]),
)
@given(
    data=data_sets(),
    C=st.sampled_from([1.0, np.inf]),
    deviations=st.lists(st.integers(-(10**6), 10**6), min_size=5, max_size=5),
)
def test_shifted_columns_change_only_the_intercept(parameters, kind, data, C, deviations):
    """The intercept compensates the shift, and is not penalised."""
    assume(np.isfinite(C) or "l1_ratio" not in parameters)
    shift = np.array(deviations[: data.X.shape[1]], dtype=np.float64)
    shifted = kind(data.X + shift)  # exactly
    model = fitted(parameters, data.X, data.y, data.weight, C=C)
    other = fitted(parameters, shifted, data.y, data.weight, C=C)
    # A mean is rounded to EPS of the shift, 2e-10 deviations; centred by that, a column is exact.
    w, b = other.coef_[0], other.intercept_[0]
    assert_allclose(w, model.coef_[0], rtol=SAME, atol=10 * SAME)
    # Terms of up to 1e6 cancel in z.
    rounding = (len(w) + 2) * EPS * (np.abs(shifted) @ np.abs(w) + abs(b))
    error = np.abs(other.decision_function(shifted) - model.decision_function(data.X))
    assert np.all(error <= rounding + 10 * SAME)


@each({"newton": TO_ROUNDING, "gd": GD["gd"], "sgd": SGD["sgd"]})
@given(data=data_sets(), C=st.sampled_from([1.0, np.inf]))
def test_a_rotation_turns_the_weights(parameters, data, C):
    """Without an L1 norm, penalty and updates do not depend on the axes."""
    assume(data.X.shape[1] > 1)
    rotation = ortho_group.rvs(data.X.shape[1], random_state=data.rng.integers(2**31))
    step = {} if parameters is TO_ROUNDING else {"learning_rate": 0.05}
    model = fitted(parameters, data.X, data.y, data.weight, C=C, **step)
    other = fitted(parameters, data.X @ rotation, data.y, data.weight, C=C, **step)
    other.coef_ = other.coef_ @ rotation.T
    assert_same(other, model)


# ----- order, number and weight of the samples ----------------------------------------------------


@each(NEWTON, GD)
@given(data=any_sets(), C=strengths)
def test_the_order_of_the_samples_does_not_matter(parameters, data, C):
    order = data.rng.permutation(len(data.y))
    model = fitted(parameters, data.X, data.y, data.weight, C=C)
    other = fitted(parameters, data.X[order], data.y[order], data.weight[order], C=C)
    assert_same(other, model)


@each(NEWTON, GD)
@given(data=any_sets(), C=strengths)
def test_a_weight_of_k_is_k_copies(parameters, data, C):
    """The penalty is divided by the sum of the weights, and so by the number of copies."""
    copies = data.rng.integers(1, 5, len(data.y))
    model = fitted(parameters, data.X, data.y, copies, C=C)
    rows = np.repeat(np.arange(len(copies)), copies)
    assert_same(fitted(parameters, data.X[rows], data.y[rows], C=C), model)


@each(NEWTON, GD)
@given(data=any_sets(), C=strengths, factor=st.sampled_from([1e-100, 1e-6, 0.3, 7.0, 1e9, 1e100]))
def test_weights_are_relative_to_C(parameters, data, C, factor):
    model = fitted(parameters, data.X, data.y, data.weight, C=C)
    other = fitted(parameters, data.X, data.y, data.weight * factor, C=C / factor)
    assert_same(other, model)


# The automatic step size and the order depend on all rows, those of weight 0 included; batches too.
BY_ROWS = {name: {**GD[name], "learning_rate": 0.05} for name in GD}
BY_ROWS |= {
    name: {**SGD[name], "learning_rate": 0.05, "shuffle": False} for name in ("sgd", "sgd, L1")
}


@each_value(
    each(NEWTON, BY_ROWS),
    pytest.mark.parametrize("kind", [np.asarray, np.asfortranarray, sp.csr_array]),
)
@given(data=any_sets(), C=strengths, size=st.integers(0, 300))
def test_a_weight_of_0_is_no_sample(parameters, kind, data, C, size):
    """The row of a sample of weight 0 may have any finite numbers."""
    nothing = 10.0**size * data.rng.choice([-1, 0.3, 1], size=(4, data.X.shape[1]))
    X = np.concatenate([nothing[:2], data.X, nothing[2:]])
    y, weight = np.append([0, 1], data.y), np.append([0, 0], data.weight)
    y, weight = np.append(y, [1, 0]), np.append(weight, [0, 0])
    model = fitted(parameters, data.X, data.y, data.weight, C=C)
    assert_same(fitted(parameters, kind(X), y, weight, C=C), model)


@each(NEWTON, GD)
@given(data=any_sets(), C=strengths)
def test_a_soft_target_is_a_sample_of_either_class(parameters, data, C):
    target = data.rng.choice([0, 0.25, 0.5, 0.9, 1], len(data.y))
    soft = fitted(parameters, data.X, target, data.weight, C=C, soft_targets=True)
    X, y = np.concatenate([data.X, data.X]), np.repeat([1, 0], len(target))
    weight = np.append(data.weight * target, data.weight * (1 - target))
    assert_same(fitted(parameters, X, y, weight, C=C), soft)


# ----- labels -------------------------------------------------------------------------------------


@each(NEWTON, GD, SGD)
@given(data=any_sets(), C=strengths, intercept=st.booleans())
def test_swapped_labels_swap_the_signs(parameters, data, C, intercept):
    same = {"C": C, "fit_intercept": intercept}
    model = fitted(parameters, data.X, data.y, data.weight, **same)
    other = fitted(parameters, data.X, 1 - data.y, data.weight, **same)
    assert_same(other, model, sign=-1)
    assert_allclose(other.loss_curve_[-1], model.loss_curve_[-1], rtol=SAME)
    chances = model.predict_proba(data.X)[:, ::-1]
    assert_allclose(other.predict_proba(data.X), chances, rtol=0, atol=10 * SAME)


@each(NEWTON, GD, SGD)
@given(data=any_sets())
def test_names_of_labels_do_not_matter(parameters, data):
    model = fitted(parameters, data.X, data.y, data.weight)
    for names in (np.array([-1.0, 1.0]), np.array(["no", "yes"]), np.array([False, True])):
        other = fitted(parameters, data.X, names[data.y], data.weight)
        assert_array_equal(other.coef_, model.coef_)
        assert_array_equal(other.predict(data.X), names[model.predict(data.X)])


# ----- what holds the numbers ---------------------------------------------------------------------


@each(NEWTON, GD, SGD)
@given(data=any_sets(), C=strengths, filled=st.floats(0.1, 0.9))
def test_csr_rows_give_the_dense_fit(parameters, data, C, filled):
    X = data.X * (data.rng.random(data.X.shape) < filled)
    model = fitted(parameters, X, data.y, data.weight, C=C)
    other = fitted(parameters, sp.csr_array(X), data.y, data.weight, C=C)
    assert_same(other, model)
    assert_allclose(
        other.decision_function(sp.csr_array(X)), model.decision_function(X), atol=10 * SAME
    )


@each_value(
    each(NEWTON, GD, SGD),
    pytest.mark.parametrize("kind", [np.asarray, sp.csr_array]),
)
@given(data=any_sets(), C=strengths)
def test_float32_is_float64_rounded(parameters, kind, data, C):
    """float32 holds X exactly, so that only the results are rounded."""
    model = fitted(parameters, data.X, data.y, data.weight, C=C)
    other = fitted(parameters, kind(data.X.astype(np.float32)), data.y, data.weight, C=C)
    assert other.coef_.dtype == np.float32
    assert_same(other, model, rtol=np.finfo(np.float32).eps / 2 + SAME)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """Return the function that gives an array as a file mapped into memory."""
    path = tmp_path_factory.mktemp("maps") / "X.npy"

    def mapped(X):
        np.save(path, X)
        return np.load(path, mmap_mode="r")

    return mapped


def strided(X):
    """Return a view of every second row and third column of an array of NaN."""
    holder = np.full((2 * X.shape[0], 3 * X.shape[1]), np.nan)
    holder[::2, ::3] = X
    return holder[::2, ::3]


@each(NEWTON, GD, SGD)
@given(data=any_sets(), C=strengths)
def test_memory_layout_does_not_matter(parameters, on_disk, data, C):
    X, read_only = data.X, data.X.copy()
    read_only.flags.writeable = False
    model = fitted(parameters, X, data.y, data.weight, C=C)
    for same in (X.copy(), read_only, on_disk(X)):
        other = fitted(parameters, same, data.y, data.weight, C=C)
        assert_array_equal(other.coef_, model.coef_)
        assert_array_equal(other.intercept_, model.intercept_)
    for turned in (np.asfortranarray(X), strided(X)):
        assert_same(fitted(parameters, turned, data.y, data.weight, C=C), model)


@each(NEWTON, GD, SGD)
@given(data=any_sets(), other_data=any_sets(), C=strengths)
def test_a_fit_leaves_nothing_to_the_next(parameters, data, other_data, C):
    model = fitted(parameters, data.X, data.y, data.weight, C=C)
    twice = fitted(parameters, other_data.X, other_data.y, C=C)
    twice.fit(data.X, data.y, data.weight).fit(data.X, data.y, data.weight)
    assert_array_equal(twice.coef_, model.coef_)
    assert_array_equal(twice.intercept_, model.intercept_)
    assert twice.loss_curve_ == model.loss_curve_


# ----- predictions --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def gauge():
    """Return an estimator of one feature with w = 1 and b = 0, so that z is the feature."""
    return BCENeuronClassifier().fit([[-1.0], [1.0]], [0, 1])


EXTREME = [0.0, 5e-324, 1e-17, 1.0, 36.7, 37.5, 700.0, 709.8, 745.2, 1e4, 1e30]
outputs = st.lists(
    st.floats(-800, 800) | st.floats(-40, 40) | st.sampled_from(EXTREME), min_size=1, max_size=30
)


@given(z=outputs)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities_are_monotone_and_sum_to_1(gauge, z, dtype):
    z = np.array(z, dtype=dtype)
    z = np.sort(np.concatenate([z, -z, np.nextafter(z, 1, dtype=dtype)]))
    gauge.coef_, gauge.intercept_ = np.ones((1, 1), dtype), np.zeros(1, dtype)
    chances = gauge.predict_proba(z[:, None])
    assert chances.dtype == dtype
    assert np.all((chances >= 0) & (chances <= 1))
    # two numbers each rounded a few times, the larger one of at most 1
    assert_allclose(chances.sum(axis=1), 1, rtol=0, atol=4 * np.finfo(dtype).eps)
    assert np.all(np.diff(chances[:, 1]) >= 0)
    assert np.all(np.diff(chances[:, 0]) <= 0)
    assert_array_equal(gauge.predict(z[:, None]), z > 0)
    assert_array_equal(chances[:, 1] > 0.5, expit(z) > 0.5)


def exact_log_probabilities(z):
    """Return log σ(−z) and log σ(z), computed with 60 digits."""
    with mpmath.workdps(60):
        return [float(-mpmath.log1p(mpmath.exp(side * mpmath.mpf(z)))) for side in (1, -1)]


@given(z=outputs)
def test_log_probabilities_are_those_of_60_digits(gauge, z):
    gauge.coef_, gauge.intercept_ = np.ones((1, 1)), np.zeros(1)
    z = np.concatenate([z, np.negative(z), np.array([700.0, -700.0, 1e4, -1e4])])
    found = gauge.predict_log_proba(z[:, None])
    assert np.isfinite(found).all()
    expected = np.array([exact_log_probabilities(each) for each in z.tolist()])
    # what is below the least normal number may be 0
    assert_allclose(found, expected, rtol=1e-12, atol=np.finfo(np.float64).tiny)
