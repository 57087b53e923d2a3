"""Newton's method in one call, for data that fit into the cache: when it is used, and its end."""

import sys

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import every_pair
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from stated_objective import OPTIMAL, kkt_excess, minimum_of, stated

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import newton, reference
from sklearn_bce._solvers.newton import in_cache
from sklearn_bce._solvers.newton.in_cache import Limits

RAW, Y = load_breast_cancer(return_X_y=True)
X = scale(RAW)
DIGITS, DIGIT = load_digits(return_X_y=True)
N = len(Y)
WEIGHT = np.random.default_rng(0).uniform(0, 2, N) * (np.arange(N) % 9 > 0)
OFFSET = np.random.default_rng(1).normal(size=N)


@pytest.fixture
def ends(monkeypatch):
    """Return the list of the ends of all calls."""
    found = []

    class Recorded(in_cache.Call):
        def __init__(self, *arguments):
            super().__init__(*arguments)
            found.append(self.end if self.n_passes else None)

    monkeypatch.setattr(in_cache, "Call", Recorded)
    return found


# --- the call and its reference ---

COLUMNS = {
    "scaled": X[:, :6],
    "raw": RAW[:, :6],
    "off-centre": 1e3 + X[:, :6],
    "constant": np.column_stack([X[:, :3], np.full(N, 7.3), np.zeros(N), X[:, 4]]),
    "F order": np.asfortranarray(X[:, :6]),
    "every other row": np.repeat(X[:, :6], 2, axis=0)[::2],
}
WEIGHTS = {"equal": np.broadcast_to(1 / N, N), "uneven": WEIGHT / WEIGHT.sum()}


def called(
    module, columns, labels, weight=None, offset=None, fit_intercept=True, strength=0.0,
    l1=None, tol=1e-9, max_iter=30, **limits
):  # fmt: skip
    """Return what a call returns, θ, shift, scale and the loss curve."""
    n, p = columns.shape
    theta, (shift, scale) = np.zeros(p + fit_intercept), np.empty((2, p))
    curve = np.full(max_iter, np.nan)
    end, n_iter, n_passes = module.newton_in_cache(
        columns,
        labels.astype(float),
        np.broadcast_to(1 / n, n) if weight is None else weight,
        offset,
        fit_intercept,
        np.full(p, strength),
        None if l1 is None else np.full(p, l1),
        Limits.of(tol, max_iter, len(theta))._replace(**limits),
        theta,
        shift,
        scale,
        curve,
    )
    return end, n_iter, n_passes, theta, shift, scale, curve


@every_pair(
    pytest.mark.parametrize("columns", COLUMNS),
    pytest.mark.parametrize("weight", WEIGHTS),
    pytest.mark.parametrize("offset", [None, OFFSET]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("strength", [0.0, 1e-3, 10.0]),
    pytest.mark.parametrize("l1", [None, 1e-3, 0.02]),
    pytest.mark.parametrize("max_iter", [1, 2, 30]),
)
def test_call_and_reference_agree(columns, weight, offset, fit_intercept, strength, l1, max_iter):
    arguments = (COLUMNS[columns], Y, WEIGHTS[weight], offset, fit_intercept, strength, l1)
    found, expected = (
        called(module, *arguments, max_iter=max_iter) for module in (newton, reference)
    )
    assert found[:3] == expected[:3]
    assert found[1] >= 1 or found[0] == in_cache.HANDED_OVER
    for one, other in zip(found[3:], expected[3:], strict=True):
        assert_allclose(one, other, rtol=1e-9, atol=1e-9)


def test_last_step_by_the_factor_of_the_step_before_is_that_of_the_reference():
    found, expected = (
        called(module, DIGITS, DIGIT % 2, strength=1 / len(DIGIT), tol=1e-6)
        for module in (newton, reference)
    )
    assert found[:3] == expected[:3] == (in_cache.CONVERGED, 4, 6)  # an evaluation more than steps
    assert_allclose(found[3], expected[3], rtol=1e-11, atol=1e-12)


def test_last_step_by_the_model_of_the_step_before_is_that_of_the_reference():
    """The curvature of that step is corrected by the change of the gradient."""
    found, expected = (
        called(module, DIGITS, DIGIT % 2, l1=3e-3, tol=1e-6) for module in (newton, reference)
    )
    assert found[:3] == expected[:3] == (in_cache.CONVERGED, 4, 6)  # an evaluation more than steps
    assert_allclose(found[3], expected[3], rtol=1e-8, atol=1e-9)
    assert_array_equal(found[3] == 0, expected[3] == 0)
    assert np.sum(found[3] == 0) == 17


@pytest.mark.parametrize("module", [newton, reference])
def test_step_that_promises_more_than_f_is_left_to_the_general_loop(module):
    """The class of each sample is nearly certain, and wrong: there is hardly any curvature."""
    wrong = np.full(N, 20.0)
    end, n_iter, *_ = called(
        module, 3 + X[:, :2], 0 * Y, offset=wrong, fit_intercept=False, l1=1e-3
    )
    assert (end, n_iter) == (in_cache.HANDED_OVER, 0)


def test_weights_are_0_exactly():
    """Also those that a step has made 0 from another number."""
    for C in np.geomspace(0.01, 10, 10):
        w = np.abs(BCENeuronClassifier(C=C, l1_ratio=1.0).fit(DIGITS, DIGIT % 2).coef_)
        assert 0 < np.sum(w > 0) < 64
        assert np.min(w[w > 0]) > 1e-12


def test_start_at_a_loss_below_tol_ends_without_a_step():
    found, expected = (called(module, X[:, :3], Y, tol=1.0) for module in (newton, reference))
    assert found[:3] == expected[:3] == (in_cache.CONVERGED, 1, 1)
    assert_allclose([found[-1][0], expected[-1][0]], np.log(2), rtol=1e-12)


def with_outlier():
    rng = np.random.default_rng(0)
    columns = np.vstack([rng.normal(size=(50, 3)), [1e3, 0, 0]])
    return columns, np.append(columns[:50, 0] + rng.logistic(size=50) > 0, True)


def with_near_copy():
    """Columns that differ by 1e-7 deviations: of a pivot 1e-14 is left, which is rounding."""
    rng = np.random.default_rng(0)
    columns = rng.normal(size=(200, 3))
    columns[:, 2] = columns[:, 0] + 1e-7 * columns[:, 2]
    return columns, columns[:, 0] + rng.logistic(size=200) > 0


def with_idle_copy():
    """The same columns, of which those that are alike have a weight of 0 with an L1 norm."""
    columns = with_near_copy()[0]
    return columns, columns[:, 1] + np.random.default_rng(1).logistic(size=200) > 0


SAFEGUARDS = {
    "a sample leaves the region of the model": (
        with_outlier,
        {"flat_share": np.inf},
        {"model_region": np.inf},
    ),
    "flat samples make up a direction": (
        with_outlier,
        {"model_region": np.inf},
        {"flat_share": np.inf},
    ),
    "more flat samples than are looked at": (
        with_outlier,
        {"model_region": np.inf, "flat_share": np.inf, "most_flat": 0},
        {"most_flat": 1},
    ),
    "a pivot is mostly rounding": (with_near_copy, {}, {"trusted_pivot": 0.0}),
    "the gradient is not that of a minimum": (
        with_idle_copy,
        {"l1": 0.1, "end_margin": 1e30},
        {"end_margin": 2.0},
    ),
    "a weight at 0 has a pivot that is mostly rounding": (
        with_idle_copy,
        {"l1": 0.1, "visible_excess": -1.0},
        {"visible_excess": 1e-3},
    ),
}


@pytest.mark.parametrize("module", [newton, reference])
@pytest.mark.parametrize("key", SAFEGUARDS)
def test_each_safeguard_alone_hands_over_to_the_general_loop(key, module):
    problem, others_off, off = SAFEGUARDS[key]
    columns, labels = problem()
    others_off = {"least_doubt": np.inf, **others_off}
    alone = called(module, columns, labels, tol=1e-3, **others_off)
    assert alone[0] == in_cache.HANDED_OVER
    without = called(module, columns, labels, tol=1e-3, **others_off | off)
    assert without[0] == in_cache.CONVERGED


@pytest.mark.parametrize("tol", [1e-1, 1e-2, 1e-3, 1e-4, 1e-5])
@pytest.mark.parametrize("l1", [None, 1e-3])
@pytest.mark.parametrize("data", [(X, Y), (RAW[:, :10], Y), (DIGITS[:, 20:50], DIGIT > 4)])
def test_a_doubtful_last_step_at_a_loose_tol_is_followed_by_another_in_the_call(data, l1, tol):
    columns, labels = data
    found, expected = (
        called(module, columns, labels, strength=1e-4, l1=l1, tol=tol)
        for module in (newton, reference)
    )
    assert found[0] == in_cache.CONVERGED
    assert found[:3] == expected[:3]
    assert_allclose(found[3], expected[3], rtol=1e-6, atol=1e-9)
    least = called(newton, columns, labels, strength=1e-4, l1=l1, tol=1e-12)
    assert found[6][found[1] - 1] - least[6][least[1] - 1] <= tol


# --- the minimum ---

FITS = {
    "plain": {},
    "weights": {"sample_weight": WEIGHT},
    "offset": {"offset": OFFSET},
    "no intercept": {"fit_intercept": False},
    "balanced": {"class_weight": "balanced"},
    "weak": {"C": 1e4},
    "strong": {"C": 1e-5},
    "standardize": {"standardize": True},
    "factors": {"penalty_factor": np.resize([0.0, 1.0, 3.0], 30)},
    "L1": {"l1_ratio": 1.0, "C": 0.1},
    "weak L1": {"l1_ratio": 1.0, "C": 30.0},
    "elastic net": {"l1_ratio": 0.5, "sample_weight": WEIGHT},
    "L1 without intercept": {"l1_ratio": 1.0, "fit_intercept": False},
    "L1, offset, factors": {
        "l1_ratio": 0.7, "offset": OFFSET, "penalty_factor": np.resize([0.0, 1.0, 3.0], 30)
    },
    "L1 that leaves no weight": {"l1_ratio": 1.0, "C": 1e-9},
}  # fmt: skip
GIVEN = {"sample_weight", "offset"}


@every_pair(
    pytest.mark.parametrize("key", FITS),
    pytest.mark.parametrize("container", [np.asarray, np.asfortranarray, pd.DataFrame, np.float32]),
    pytest.mark.parametrize("units", ["raw", "scaled"]),
)
def test_fit_in_one_call_is_at_the_minimum(key, container, units, ends):
    given = {name: value for name, value in FITS[key].items() if name in GIVEN}
    parameters = {name: value for name, value in FITS[key].items() if name not in GIVEN}
    columns = RAW if units == "raw" else X
    samples = container(columns)
    model = BCENeuronClassifier(tol=1e-20, max_iter=100, **parameters).fit(samples, Y, **given)
    F = stated(np.asarray(samples, np.float64), Y, **{"C": 1.0} | parameters | given)
    is_doubtful = key == "weak L1" and units == "scaled"  # flat samples, see `model_holds`
    assert ends == [in_cache.HANDED_OVER if is_doubtful else in_cache.CONVERGED]
    assert kkt_excess(F, model.coef_[0], model.intercept_[0]) < OPTIMAL


@pytest.mark.parametrize("C", [1e-4, 1.0, 1e3])
@pytest.mark.parametrize(("samples", "labels"), [(X, Y), (RAW, Y), (DIGITS, DIGIT % 2)])
def test_default_fit_in_one_call_is_within_tol_of_the_minimum(samples, labels, C, ends):
    model = BCENeuronClassifier(C=C).fit(samples, labels)
    F = stated(samples, labels, C=C)
    assert ends == [in_cache.CONVERGED]
    assert F.value(model.coef_[0], model.intercept_[0]) - F.value(*minimum_of(F)) <= 1e-6
    assert model.loss_curve_[-1] == pytest.approx(
        F.value(model.coef_[0], model.intercept_[0]), rel=1e-9
    )
    assert model.n_passes_ >= model.n_iter_[0] + 2  # the moments and the start


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_more_features_than_samples_are_one_call_in_the_space_of_the_samples(fit_intercept, ends):
    samples, labels = np.random.default_rng(5).normal(size=(40, 200)) + 3, np.arange(40) % 2
    model = BCENeuronClassifier(tol=1e-14, fit_intercept=fit_intercept).fit(samples, labels)
    # Centred, 40 samples have 39 dimensions; the call needs more samples than features.
    assert ends == ([in_cache.CONVERGED] if fit_intercept else [])
    F = stated(samples, labels, C=1.0, fit_intercept=fit_intercept)
    assert kkt_excess(F, model.coef_[0], model.intercept_[0]) < 1e-5
    assert model.n_passes_ == 2  # the products of the samples, and the bound


def test_max_iter_ends_the_call():
    with pytest.warns(ConvergenceWarning, match="after 2 iterations of max_iter=2 with the obj"):
        model = BCENeuronClassifier(max_iter=2).fit(X, Y)
    assert model.n_iter_[0] == len(model.loss_curve_) == 2
    assert not model.converged_


# --- where the general loop goes on ---

NOISE = np.random.default_rng(3).normal(size=(300, 4))
NOISY = (NOISE[:, 0] + np.random.default_rng(4).logistic(size=300) > 0).astype(int)
HANDED_OVER = {
    "an outlier": (np.vstack([NOISE, [1e9, 0, 0, 0]]), np.append(NOISY, 1), 1.0),
    "equal columns": (np.c_[NOISE, NOISE[:, 0]], NOISY, np.inf),
    "columns equal but for rounding": (np.c_[NOISE, NOISE[:, 0] * (1 + 1e-15)], NOISY, np.inf),
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("key", HANDED_OVER)
def test_general_loop_goes_on_where_a_safeguard_is_needed(key, ends, monkeypatch):
    samples, labels, C = HANDED_OVER[key]
    model = BCENeuronClassifier(C=C).fit(samples, labels)
    assert ends
    assert set(ends) <= {in_cache.HANDED_OVER, None}
    monkeypatch.setattr(in_cache, "CACHE_ELEMENTS", 0)
    general = BCENeuronClassifier(C=C).fit(samples, labels)
    assert model.stop_reason_ == general.stop_reason_
    assert model.loss_curve_[-1] == pytest.approx(general.loss_curve_[-1], abs=2e-6)


def test_separated_classes_are_told_without_a_penalty(ends):
    with pytest.warns(ConvergenceWarning, match="the objective has no minimum"):
        model = BCENeuronClassifier(C=np.inf).fit(NOISE, NOISE[:, 0] > 0)
    assert model.stop_reason_ == "no_minimum"
    assert len(ends) == 1


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("constant", [False, True])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_elements_that_are_not_finite_are_refused(value, constant, weight):
    samples, weights = NOISE.copy(), np.ones(300)
    if constant:
        samples[:, 2] = 3.0
    samples[17, 2], weights[17] = value, weight
    with pytest.raises(ValueError, match="Input X contains"):
        BCENeuronClassifier().fit(samples, NOISY, weights)


# --- when it is used ---


NOT_IN_CACHE = {
    "bounds": (X, {"coef_bounds": (0, np.inf)}, {}),
    "sparse, many features": (sp.csr_array(np.repeat(X, 3, axis=1)), {}, {}),
    "early stopping": (X, {"early_stopping": True, "random_state": 0}, {}),
    "samples held out": (X, {}, {"X_val": X, "y_val": Y}),
    "all iterations": (X, {"tol": 0, "max_iter": 3}, {}),
    "many samples": (np.repeat(X, 40, axis=0), {}, {}),
    "many features": (np.repeat(X, 4, axis=1), {}, {}),
    "gd": (X, {"solver": "gd", "tol": 0, "max_iter": 3}, {}),
}


@pytest.mark.parametrize("key", NOT_IN_CACHE)
def test_general_loop_does_what_the_call_does_not(key, ends):
    samples, parameters, given = NOT_IN_CACHE[key]
    BCENeuronClassifier(**parameters).fit(samples, np.repeat(Y, samples.shape[0] // N), **given)
    assert ends == []


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_few_sparse_columns_are_fitted_as_their_array(dtype, l1_ratio, ends):
    rows = np.where(np.abs(X) > 1, X, 0).astype(dtype)
    sparse, dense = (
        BCENeuronClassifier(l1_ratio=l1_ratio).fit(samples, Y)
        for samples in (sp.csr_matrix(rows), rows)
    )
    assert ends == [in_cache.CONVERGED] * 2
    assert_array_equal(sparse.coef_, dense.coef_)
    assert sparse.intercept_.dtype == dense.intercept_.dtype == dtype


def test_a_small_fit_takes_few_calls_of_python_functions():
    """They are most of its time; LogisticRegression takes more than 2000."""
    samples, labels = X[:100, :5].copy(), Y[:100].copy()
    for _ in range(2):
        BCENeuronClassifier().fit(samples, labels)
    model, events = BCENeuronClassifier(), []
    before = sys.getprofile()
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        model.fit(samples, labels)
    finally:
        sys.setprofile(before)
    assert 0 < events.count("call") <= 150


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_warm_start_goes_on_from_the_weights(l1_ratio, fit_intercept, ends):
    model = BCENeuronClassifier(warm_start=True, l1_ratio=l1_ratio, fit_intercept=fit_intercept)
    columns = np.c_[10 + X[:, :5], np.full(N, 3.0)]
    before = model.fit(columns, Y).coef_
    assert model.fit(columns, Y).n_iter_[0] == 1
    assert_allclose(model.coef_, before, rtol=1e-3, atol=1e-4)
    assert ends[1:] == [in_cache.CONVERGED]


def test_start_with_a_larger_loss_than_the_origin_is_left_to_the_general_loop(ends):
    model = BCENeuronClassifier().fit(X, Y, coef_init=np.full(30, 10.0))
    assert ends == [in_cache.HANDED_OVER]
    from_origin = BCENeuronClassifier(tol=0, max_iter=1).fit(X, Y)
    assert model.loss_curve_[0] == pytest.approx(from_origin.loss_curve_[0], rel=1e-12)


def test_fits_in_one_call_are_repeatable_and_change_no_argument():
    samples, labels, weight = RAW.copy(), Y.copy(), WEIGHT.copy()
    first, second = (BCENeuronClassifier().fit(samples, labels, weight) for _ in range(2))
    assert_array_equal(first.coef_, second.coef_)
    for array, before in ((samples, RAW), (labels, Y), (weight, WEIGHT)):
        assert_array_equal(array, before)
