"""`regularization_path`: each result is the minimum of the objective that the API states."""

import warnings
from inspect import signature

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from glum import GeneralizedLinearRegressor
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from stated_objective import (
    OPTIMAL,
    TIGHT,
    correlated,
    kkt_excess,
    load,
    overlapping,
    random_weights,
    raw,
    sparse_columns,
    stated,
    wide,
)
from threadpoolctl import threadpool_limits

from sklearn_bce import BCENeuronClassifier, l1_min_c, regularization_path

DATA = {"raw": raw, "correlated": correlated, "sparse": sparse_columns, "wide": wide}
PENALTIES = {
    "l2": {},
    "l1": {"l1_ratio": 1.0},
    "elastic net": {"l1_ratio": 0.5},
    "standardised": {"standardize": True},
    "factors": {"penalty_factor": [0.5, 2.0]},  # repeated to the number of features
    "bounds": {"coef_bounds": (0.0, 2.0), "l1_ratio": 0.2},
}
SAMPLES = ["plain", "weights", "balanced", "offset"]


def repeated(settings, n_features):
    """Return settings with the factors repeated to one for each feature."""
    factors = settings.get("penalty_factor")
    return settings if factors is None else {"penalty_factor": np.resize(factors, n_features)}


@pytest.mark.parametrize(
    *pairwise(data=DATA, penalty=PENALTIES, samples=SAMPLES, fit_intercept=[True, False])
)
def test_each_result_meets_the_conditions_of_optimality(data, penalty, samples, fit_intercept):
    X, y = load(DATA[data])
    settings = repeated(PENALTIES[penalty], X.shape[1]) | {"fit_intercept": fit_intercept}
    given = {
        "plain": {},
        "weights": {"sample_weight": random_weights(y)},
        "balanced": {},
        "offset": {"offset": np.linspace(-1, 1, len(y))},
    }[samples]
    if samples == "balanced":
        settings["class_weight"] = "balanced"
    Cs = [0.01, 0.3, 10.0]
    container = sp.csr_array(X) if data == "sparse" else X
    path = regularization_path(container, y, Cs=Cs, **settings, **given, **TIGHT)
    for C, w, b in zip(Cs, path.coefs, path.intercepts, strict=True):
        F = stated(X, y, given.get("sample_weight"), C=C, offset=given.get("offset", 0), **settings)
        assert kkt_excess(F, w, b) <= OPTIMAL


def test_an_l1_path_without_an_intercept_is_that_of_liblinear():
    X, y = load(correlated)
    Cs = l1_min_c(X, y, fit_intercept=False) * np.array([1.5, 5.0, 50.0])
    path = regularization_path(X, y, Cs=Cs, l1_ratio=1, fit_intercept=False, tol=1e-14)
    for C, w in zip(Cs, path.coefs, strict=True):
        named = signature(LogisticRegression).parameters.get("penalty")
        is_old = named is not None and named.default == "l2"  # scikit-learn before 1.8
        other = LogisticRegression(
            C=C, solver="liblinear", fit_intercept=False, tol=1e-9, max_iter=100_000, random_state=0
        ).set_params(**({"penalty": "l1"} if is_old else {"l1_ratio": 1}))
        np.testing.assert_allclose(w, other.fit(X, y).coef_[0], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("l1_ratio", [1.0, 0.4])
def test_a_path_with_an_intercept_is_that_of_glum(l1_ratio):
    X, y = load(correlated)
    Cs = l1_min_c(X, y) / l1_ratio * np.geomspace(1.5, 1e3, 6)
    path = regularization_path(X, y, Cs=Cs, l1_ratio=l1_ratio, tol=1e-15)
    glum = GeneralizedLinearRegressor(
        family="binomial",
        alpha_search=True,
        alpha=list(1 / (Cs * len(y))),
        l1_ratio=l1_ratio,
        gradient_tol=1e-12,
        max_iter=300,
    )
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # at its rounding
        glum.fit(X, y)
    np.testing.assert_allclose(path.coefs, glum.coef_path_, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(path.intercepts, glum.intercept_path_, rtol=1e-5)
    assert 0 < np.count_nonzero(path.coefs[0]) < X.shape[1]


def test_results_are_in_the_order_of_the_given_Cs():
    X, y = load(overlapping)
    Cs = [1.0, 0.01, np.inf, 0.1]
    path = regularization_path(X, y, Cs=Cs, **TIGHT)
    np.testing.assert_array_equal(path.Cs, Cs)
    for C, w, b in zip(Cs, path.coefs, path.intercepts, strict=True):
        assert kkt_excess(stated(X, y, C=C), w, b) <= OPTIMAL


def test_features_that_are_dropped_have_weights_of_0():
    X, y = load(overlapping)
    path = regularization_path(X, y, Cs=[1.0, 10.0], penalty_factor=[1, np.inf, 1, 1, 1])
    assert path.coefs.shape == (2, 5)
    np.testing.assert_array_equal(path.coefs[:, 1], 0)
    assert (path.coefs[:, [0, 2, 3, 4]] != 0).all()


def test_soft_targets_are_learnt_at_each_C():
    X, y = load(overlapping)
    path = regularization_path(X, 0.1 + 0.8 * y, Cs=[0.1, 1.0], soft_targets=True, **TIGHT)
    for C, w, b in zip(path.Cs, path.coefs, path.intercepts, strict=True):
        assert kkt_excess(stated(X, 0.1 + 0.8 * y, C=C), w, b) <= OPTIMAL


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_a_path_takes_fewer_steps_than_single_fits(l1_ratio):
    X, y = load(correlated)
    path = regularization_path(X, y, l1_ratio=l1_ratio)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        single = [BCENeuronClassifier(C=C, l1_ratio=l1_ratio).fit(X, y) for C in path.Cs]
    assert path.n_iter.sum() < 0.8 * sum(model.n_iter_[0] for model in single)


def test_a_grid_with_an_l1_norm_begins_at_the_strength_that_leaves_nothing():
    X, y = load(correlated)
    path = regularization_path(X, y, Cs=7, l1_ratio=0.7)
    least = l1_min_c(X, y, l1_ratio=0.7)
    np.testing.assert_allclose(path.Cs, least * 10.0 ** np.arange(7), rtol=1e-12)
    assert not path.coefs[0].any()
    assert path.coefs[1].any()


@pytest.mark.parametrize("standardize", [True, False])
def test_a_grid_goes_from_a_hundred_times_the_curvature_to_a_millionth(standardize):
    """The curvature of the loss at weights of 0 is ȳ(1−ȳ)σ², that of the penalty 1/(Cn) or σ²/(Cn).

    Columns in the same units: σ = 3.
    """
    X, y = load(correlated)
    X = 3 * (X - X.mean(axis=0)) / X.std(axis=0)
    path = regularization_path(X, y, Cs=9, standardize=standardize)
    loss = y.mean() * (1 - y.mean()) * 9
    penalty = (9 if standardize else 1) / (path.Cs * len(y))
    np.testing.assert_allclose(penalty / loss, 10.0 ** np.arange(2, -7, -1), rtol=1e-10)


def test_a_grid_of_one_value_is_the_middle_of_the_range():
    X, y = load(correlated)
    ends = regularization_path(X, y, Cs=2).Cs
    assert regularization_path(X, y, Cs=1).Cs == pytest.approx([np.sqrt(ends.prod())])


@pytest.mark.parametrize("Cs", [[], [0.0], [1.0, -1.0], [1.0, np.nan], [[1.0, 2.0]]])
def test_wrong_values_of_C_are_named(Cs):
    X, y = load(overlapping)
    with pytest.raises(ValueError, match=r"Cs must be an integer, or numbers in \(0, inf\]"):
        regularization_path(X, y, Cs=Cs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"Cs": 0}, "The 'Cs' parameter of regularization_path"),
        ({"l1_ratio": 2}, "The 'l1_ratio' parameter of regularization_path"),
        ({"penalty_factor": np.zeros(5)}, "none is penalised"),
        ({"penalty_factor": np.zeros(5), "l1_ratio": 1}, "none is penalised"),
    ],
)
def test_wrong_settings_are_named(settings, message):
    X, y = load(overlapping)
    with pytest.raises(ValueError, match=message):
        regularization_path(X, y, **settings)


@pytest.mark.parametrize(("value", "told"), [(np.nan, "NaN"), (np.inf, "infinity")])
@pytest.mark.parametrize("l1_ratio", [0, 1])
def test_an_element_that_is_not_finite_is_named(value, told, l1_ratio):
    X, y = load(overlapping)
    X = X.copy()
    X[3, 2] = value
    with pytest.raises(ValueError, match=f"Input X contains {told}"):
        regularization_path(X, y, l1_ratio=l1_ratio)


def test_a_fit_that_has_not_converged_is_named_by_its_C():
    X, y = load(raw)
    with pytest.warns(ConvergenceWarning, match=r"^C=1e\+06: solver='newton' stopped after 1 ite"):
        regularization_path(X, y, Cs=[1e6], max_iter=1)


def test_samples_are_not_changed():
    X, y = load(raw)
    before = X.copy(), y.copy()
    regularization_path(X, y, Cs=3)
    np.testing.assert_array_equal(X, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
@pytest.mark.parametrize("standardize", [True, False])
def test_a_path_over_chunks_is_that_of_all_samples(l1_ratio, standardize):
    X, y = load(correlated)
    weight = random_weights(y)

    def chunks():
        for rows in np.array_split(np.arange(len(y)), 3):
            yield X[rows], y[rows], weight[rows]

    settings = {"l1_ratio": l1_ratio, "standardize": standardize, "tol": 1e-14}
    path = regularization_path(chunks, Cs=4, **settings)
    whole = regularization_path(X, y, Cs=4, sample_weight=weight, **settings)
    np.testing.assert_allclose(path.Cs, whole.Cs, rtol=1e-9)
    np.testing.assert_allclose(path.coefs, whole.coefs, rtol=1e-4, atol=1e-5)


def test_a_path_over_chunks_has_no_other_y():
    X, y = load(correlated)
    with pytest.raises(ValueError, match="y, offset must be None if X is a callable"):
        regularization_path(lambda: [(X, y)], y, offset=0.0)
