"""`sklearn_bce.inference.firth` against publications and finite differences."""

import numpy as np
import pandas as pd
import published_data as published
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.stats import chi2
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce import BCENeuronClassifier
from sklearn_bce.inference import DependenceError, firth, summarize


def penalised_log_likelihood(beta, X, y, s=None, offset=0.0, intercept=True):
    """Return l + ½ log det I, as Firth (1993) defines it."""
    Z = np.column_stack([X, np.ones(len(X))]) if intercept else X
    s = np.ones(len(y)) if s is None else s
    z = Z @ beta + offset
    a = 1 / (1 + np.exp(-z))
    loss = np.logaddexp(0, z) - y * z
    information = Z.T @ ((s * a * (1 - a))[:, None] * Z)
    return -s @ loss + np.linalg.slogdet(information)[1] / 2


def assert_maximum(summary, X, y, **how):
    """Assert by finite differences that the criterion is stationary, and falls on all sides."""

    def value(beta):
        return penalised_log_likelihood(beta, X, y, **how)

    for j, step in enumerate(1e-3 * summary.std_err):
        change = np.zeros(len(summary.coef))
        change[j] = step
        ahead, behind = value(summary.coef + change), value(summary.coef - change)
        here = value(summary.coef)
        slope = (ahead - behind) / (2e-3)  # for a change of one standard error
        assert abs(slope) < 1e-5
        assert max(ahead, behind) < here


def draw(n=60, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)) * [1, 20, 1] + [0, 100, 2]
    y = (X[:, 0] + rng.logistic(size=n) > 0).astype(int)
    return X, y, rng.integers(1, 4, n).astype(float), rng.normal(size=n)


# ----- published results --------------------------------------------------------------------------


def test_endometrial_cancer_is_as_published():
    X, y = published.ENDOMETRIAL
    frame = pd.DataFrame(X, columns=published.ENDOMETRIAL_NAMES)
    neuron, summary = firth(frame, y)
    assert summary.names.tolist() == ["NV", "PI", "EH", "intercept"]
    np.testing.assert_allclose(summary.coef, published.ENDOMETRIAL_COEF, atol=3e-7)
    np.testing.assert_allclose(summary.std_err, published.ENDOMETRIAL_STD_ERR, atol=6e-6)
    np.testing.assert_allclose(summary.z, published.ENDOMETRIAL_Z, atol=6e-4)
    np.testing.assert_allclose(summary.p_value, published.ENDOMETRIAL_P, atol=1e-6)
    profile = summary.conf_int(method="profile")
    np.testing.assert_allclose(profile, published.ENDOMETRIAL_PROFILE, atol=1e-7)
    assert summary.deviance == pytest.approx(published.ENDOMETRIAL_DEVIANCE, abs=6e-4)
    assert summary.null_deviance == pytest.approx(published.ENDOMETRIAL_NULL_DEVIANCE, abs=6e-4)
    assert summary.aic == pytest.approx(published.ENDOMETRIAL_AIC, abs=6e-4)
    assert neuron.converged_
    assert neuron.predict_proba(frame)[:, 1] == pytest.approx(
        summary.predict_interval(frame).probability
    )


def test_the_likelihood_of_endometrial_cancer_has_no_maximum():
    X, y = published.ENDOMETRIAL
    frame = pd.DataFrame(X, columns=published.ENDOMETRIAL_NAMES)
    with pytest.warns(ConvergenceWarning, match="NV"):
        neuron = BCENeuronClassifier(C=np.inf).fit(frame, y)
    with pytest.raises(ValueError, match=r"linear combination of NV\. Use sklearn_bce"):
        summarize(neuron, frame, y)


@pytest.mark.parametrize("how", ["frequencies", "repeated", "csr"])
def test_urinary_tract_infection_is_as_published(how):
    X, y, number = published.SEX2
    if how != "frequencies":
        repeated = np.repeat(np.arange(len(y)), number.astype(int))
        X, y, number = X[repeated], y[repeated], None
    _, summary = firth(sp.csr_array(X) if how == "csr" else X, y, number)
    np.testing.assert_allclose(summary.coef, published.SEX2_COEF, atol=1e-6)
    profile = summary.conf_int(method="profile")
    np.testing.assert_allclose(profile, published.SEX2_PROFILE, atol=1e-6)


# ----- independent of the implementation ----------------------------------------------------------


def test_the_criterion_is_at_its_maximum():
    X, y, s, offset = draw()
    for how, arguments in (
        ({}, {}),
        ({"s": s}, {"sample_weight": s}),
        ({"offset": offset}, {"offset": offset}),
        ({"intercept": False}, {"fit_intercept": False}),
    ):
        assert_maximum(firth(X, y, **arguments).summary, X, y, **how)
    share = np.round(np.clip(0.5 + 0.3 * X[:, 0], 0, 1), 2)
    assert_maximum(firth(X, share, s, soft_targets=True).summary, X, share, s=s)


def test_separated_samples_have_a_finite_maximum():
    X = np.arange(1.0, 11)[:, None]
    y = (X[:, 0] > 5).astype(int)
    neuron, summary = firth(X, y)
    assert_maximum(summary, X, y)
    assert np.all(np.isfinite(summary.conf_int(method="profile")))
    assert neuron.score(X, y) == 1


def test_two_by_two_tables_have_the_haldane_estimate():
    """With one binary feature the estimate is the log odds ratio with ½ added to each count."""
    X = np.array([[0.0], [0.0], [1.0], [1.0]])
    y, number = np.array([0, 1, 0, 1]), np.array([12.0, 3.0, 7.0, 0.0])
    _, summary = firth(X, y, number)
    a, b, c, d = number + 0.5
    np.testing.assert_allclose(summary.coef, [np.log(d * a / (c * b)), np.log(b / a)], rtol=1e-9)


def test_profile_bounds_are_those_of_a_constrained_maximum():
    X, y, *_ = draw(n=30)
    _, summary = firth(X, y)
    top = penalised_log_likelihood(summary.coef, X, y)
    scale = summary.std_err
    for j, bounds in enumerate(summary.conf_int(method="profile")):
        for bound in bounds:
            others = np.delete(np.arange(4), j)

            def loss(free, j=j, bound=bound, others=others):
                beta = np.empty(4)
                beta[j], beta[others] = bound, free * scale[others]
                return -penalised_log_likelihood(beta, X, y)

            start = summary.coef[others] / scale[others]
            options = {"xatol": 1e-10, "fatol": 1e-13, "maxiter": 10_000, "maxfev": 10_000}
            found = minimize(loss, start, method="Nelder-Mead", options=options)
            found = minimize(loss, found.x, method="Nelder-Mead", options=options)
            assert 2 * (top + found.fun) == pytest.approx(chi2.ppf(0.95, 1), abs=1e-6)


def test_profile_p_values_are_those_at_0():
    X, y = published.ENDOMETRIAL
    _, summary = firth(X, y)
    p = summary.profile_p_value()
    for level in 1 - p[[0, 2]]:
        bounds = summary.conf_int(level, method="profile")
        assert np.min(np.abs(bounds / summary.std_err[:, None])) < 1e-6  # a bound is at 0


def test_the_estimate_does_not_depend_on_units():
    X, y, *_ = draw()
    units = np.array([1e-3, 1e12, 1.0])
    expected, found = firth(X, y).summary, firth(X * units + [0, 0, 1e9], y).summary
    np.testing.assert_allclose(found.coef[:3] * units, expected.coef[:3], rtol=1e-7)
    np.testing.assert_allclose(found.std_err[:3] * units, expected.std_err[:3], rtol=1e-7)


def test_many_features_converge_by_fisher_scoring():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 70))
    y = (X[:, 0] + rng.logistic(size=400) > 0).astype(int)
    neuron, summary = firth(X, y)
    assert neuron.converged_
    assert_maximum(summary, X, y)


def test_newtons_method_converges_in_few_iterations():
    """Fisher scoring takes 16 on these samples."""
    X = np.arange(1.0, 11)[:, None]
    assert firth(X, X[:, 0] > 5).neuron.n_iter_[0] <= 8


# ----- kinds of samples, errors -------------------------------------------------------------------


def test_chunks_and_dask_collections_give_the_same():
    da = pytest.importorskip("dask.array")
    X, y, s, _ = draw()
    labels = np.array(["no", "yes"])[y]

    def chunks():
        for start in range(0, len(y), 25):
            rows = slice(start, start + 25)
            yield X[rows], labels[rows], s[rows]

    expected = firth(X, labels, s)
    of_chunks = firth(chunks)
    lazy = [da.from_array(values, chunks=25) for values in (y, s)]
    of_dask = firth(da.from_array(X, chunks=(25, 3)), *lazy)
    assert of_chunks.neuron.classes_.tolist() == ["no", "yes"]
    for found in (of_chunks, of_dask):
        np.testing.assert_allclose(found.summary.coef, expected.summary.coef, rtol=1e-9)
        np.testing.assert_allclose(found.summary.std_err, expected.summary.std_err, rtol=1e-9)
    np.testing.assert_array_equal(of_chunks.neuron.predict(X), expected.neuron.predict(X))


def test_errors_name_what_is_wrong():
    X, y, *_ = draw()
    for arguments, message in (
        (([[1.0], [2]],), "y is missing"),
        ((X, np.zeros(60)), "one class"),
        ((X, y, None), "max_iter is 0"),
    ):
        how = {"max_iter": 0} if len(arguments) == 3 else {}
        with pytest.raises(ValueError, match=message):
            firth(*arguments, **how)
    with pytest.raises(DependenceError, match="x0, x3"):
        firth(np.column_stack([X, 2 * X[:, 0]]), y)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        neuron, _ = firth(X, y, max_iter=1)
    assert not neuron.converged_
    fit = firth(X, y).summary
    with pytest.raises(ValueError, match="of firth, profile_p_value"):
        fit.likelihood_ratio(firth(X[:, :2], y).summary)
