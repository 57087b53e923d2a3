"""`sklearn_bce.inference.summarize` against statsmodels, extended precision and publications."""

import warnings
from functools import cache

import mpmath
import numpy as np
import pandas as pd
import published_data as published
import pytest
import scipy.sparse as sp
import statsmodels.api as sm
from scipy.optimize import brentq
from scipy.stats import chi2
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from small_data import names_of_polars

from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV, fit_from_chunks
from sklearn_bce.inference import DependenceError, summarize

AGREEMENT = 1e-8  # relative, with statsmodels at its smallest tolerance
NAMES = ["age", "dose", "ratio", "score"]


def neuron_of(X, y, sample_weight=None, **parameters):
    fit = {"offset": parameters.pop("offset")} if "offset" in parameters else {}
    neuron = BCENeuronClassifier(**{"C": np.inf, "tol": 1e-12} | parameters)
    return neuron.fit(X, y, sample_weight, **fit)


@cache
def data(n=800, seed=0):
    """Return X in different units, labels, frequencies with zeros, groups and an offset."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 4)) * [8, 1, 1e-3, 2] + [50, 0, 0.01, -3]
    offset = rng.normal(size=n)
    z = (X - X.mean(axis=0)) / X.std(axis=0) @ [1, -0.7, 0.4, 0] + 0.3
    y = (z + offset + rng.logistic(size=n) > 0).astype(int)
    return X, y, rng.integers(0, 4, n).astype(float), rng.integers(0, 60, n), offset


def glm(X, y, fit=None, **arguments):
    """Return statsmodels' fit, the intercept last."""
    exog = np.column_stack([X, np.ones(len(X))])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # var_weights with a sandwich are not tested there
        model = sm.GLM(y, exog, family=sm.families.Binomial(), **arguments)
        return model.fit(tol=0, rtol=1e-12, tol_criterion="params", **(fit or {}))


def logit(X, y, intercept=True, **fit):
    """Return statsmodels' `Logit`, the intercept last."""
    exog = np.column_stack([X, np.ones(len(X))]) if intercept else X
    return sm.Logit(y, exog).fit(disp=0, tol=1e-14, **fit)


def assert_agrees(summary, other):
    """Assert that coefficients, covariance, z, p and Wald intervals are those of statsmodels."""
    error = (summary.coef - other.params) / other.bse
    assert np.max(np.abs(error)) < AGREEMENT
    np.testing.assert_allclose(summary.std_err, other.bse, rtol=AGREEMENT)
    np.testing.assert_allclose(summary.z, other.tvalues, rtol=AGREEMENT, atol=AGREEMENT)
    # d log p = −z·dz where p is small
    p, theirs = (np.maximum(each, 1e-300) for each in (summary.p_value, other.pvalues))
    assert np.max(np.abs(np.log(p / theirs)) / (1 + summary.z**2)) < AGREEMENT
    size = np.outer(other.bse, other.bse)
    assert np.max(np.abs(summary.covariance - other.cov_params()) / size) < AGREEMENT
    for level in (0.95, 0.9):
        difference = summary.conf_int(level) - other.conf_int(alpha=1 - level)
        assert np.max(np.abs(difference) / summary.std_err[:, np.newaxis]) < AGREEMENT


# ----- agreement with statsmodels -----------------------------------------------------------------


def test_logit_of_statsmodels_agrees():
    X, y, *_ = data()
    other = logit(X, y)
    summary = summarize(neuron_of(X, y), X, y)
    assert_agrees(summary, other)
    for mine, theirs in [
        (summary.log_likelihood, other.llf),
        (summary.null_log_likelihood, other.llnull),
        (summary.aic, other.aic),
        (summary.bic, other.bic),
        (summary.r2_mcfadden, other.prsquared),
    ]:
        assert mine == pytest.approx(theirs, rel=AGREEMENT)
    effects, theirs = summary.marginal_effects(), other.get_margeff()
    np.testing.assert_allclose(effects.effect, theirs.margeff, rtol=AGREEMENT)
    np.testing.assert_allclose(effects.std_err, theirs.margeff_se, rtol=AGREEMENT)
    np.testing.assert_allclose(effects.z, theirs.tvalues, rtol=AGREEMENT, atol=AGREEMENT)
    error = np.transpose([effects.low, effects.high]) - theirs.conf_int()
    assert np.max(np.abs(error) / effects.std_err[:, np.newaxis]) < AGREEMENT
    rows, values = [[1, 0, 0, 0, 0], [0, 1, 2e-4, -1, 0]], [0.1, -0.2]
    wald = other.wald_test((np.array(rows), values), scalar=True)
    mine = summary.test(rows, values)
    assert mine.statistic == pytest.approx(wald.statistic, rel=AGREEMENT)
    assert (mine.df, mine.p_value) == (2, pytest.approx(wald.pvalue, rel=1e-7))
    one = summary.test(["x3"])
    assert one.statistic == pytest.approx(summary.z[3] ** 2)
    assert one.p_value == pytest.approx(summary.p_value[3])


def test_intervals_of_probabilities_are_those_of_the_delta_method_on_the_linear_output():
    X, y, *_ = data()
    other = glm(X, y)
    design = np.column_stack([X, np.ones(len(X))])
    mean = other.get_prediction(design, transform=True).summary_frame(alpha=0.1)
    z = design @ other.params
    error = np.sqrt(np.einsum("ij,jk,ik->i", design, other.cov_params(), design))
    found = summarize(neuron_of(X, y), X, y, level=0.9).predict_interval(X)
    np.testing.assert_allclose(found.probability, mean["mean"], rtol=AGREEMENT)
    q = 1.6448536269514722
    np.testing.assert_allclose(found.low, 1 / (1 + np.exp(q * error - z)), rtol=1e-7)
    np.testing.assert_allclose(found.high, 1 / (1 + np.exp(-q * error - z)), rtol=1e-7)


@pytest.mark.parametrize(
    ("covariance", "fit"),
    [("model", {}), ("robust", {"cov_type": "HC0"})],
)
def test_frequency_weights_agree_with_statsmodels(covariance, fit):
    X, y, s, *_ = data()
    used = s > 0
    other = glm(X[used], y[used], fit, freq_weights=s[used])
    summary = summarize(neuron_of(X, y, s), X, y, s, covariance=covariance)
    assert_agrees(summary, other)
    assert summary.deviance == pytest.approx(other.deviance, rel=AGREEMENT)
    assert summary.null_deviance == pytest.approx(other.null_deviance, rel=AGREEMENT)
    assert summary.n_samples == s.sum()


@pytest.mark.parametrize("covariance", ["model", "robust", "HC1", "cluster"])
def test_frequencies_stand_for_repeated_samples(covariance):
    X, y, s, groups, _ = data()
    repeated = np.repeat(np.arange(len(y)), s.astype(int))
    kinds = {"covariance": covariance}
    mine, theirs = dict(kinds), dict(kinds)
    if covariance == "cluster":
        mine["groups"], theirs["groups"] = groups, groups[repeated]
    summary = summarize(neuron_of(X, y, s), X, y, s, **mine)
    again = summarize(neuron_of(X[repeated], y[repeated]), X[repeated], y[repeated], **theirs)
    np.testing.assert_allclose(summary.covariance, again.covariance, rtol=1e-7)
    assert summary.bic == pytest.approx(again.bic, rel=1e-10)


def test_probability_weights_agree_with_statsmodels():
    X, y, s, groups, _ = data()
    used = s > 0
    how = {"weights": "probability"}
    neuron = neuron_of(X, y, s)
    robust = glm(X[used], y[used], {"cov_type": "HC0"}, var_weights=s[used])
    summary = summarize(neuron, X, y, s, covariance="robust", **how)
    assert_agrees(summary, robust)
    assert summary.n_samples == np.count_nonzero(used)
    in_clusters = {"cov_type": "cluster", "cov_kwds": {"groups": groups[used]}}
    other = glm(X[used], y[used], in_clusters, var_weights=s[used])
    summary = summarize(neuron, X, y, s, covariance="cluster", groups=groups, **how)
    assert_agrees(summary, other)
    # Only the ratios of sampling weights mean something.
    scaled = summarize(neuron, X, y, 7 * s, covariance="robust", **how)
    np.testing.assert_allclose(scaled.std_err, robust.bse, rtol=AGREEMENT)
    for name in ("aic", "bic"):
        with pytest.raises(ValueError, match=f"{name} needs a likelihood"):
            getattr(summary, name)


@pytest.mark.parametrize("names", [str, int])
def test_clusters_agree_with_statsmodels(names):
    X, y, _, groups, _ = data()
    fit = {"cov_type": "cluster", "cov_kwds": {"groups": groups}}
    other = logit(X, y, **fit)
    labels = np.array([names(group) for group in groups])
    summary = summarize(neuron_of(X, y), X, y, covariance="cluster", groups=labels)
    assert_agrees(summary, other)


def test_hc1_is_hc0_times_n_over_n_minus_k():
    """statsmodels' HC1 equals its HC0 for Logit and GLM, so the formula is the reference."""
    X, y, *_ = data()
    neuron = neuron_of(X, y)
    other = glm(X, y, {"cov_type": "HC0"})
    summary = summarize(neuron, X, y, covariance="HC1")
    n, k = len(y), X.shape[1] + 1
    np.testing.assert_allclose(summary.std_err, other.bse * np.sqrt(n / (n - k)), rtol=AGREEMENT)


def test_offset_agrees_with_statsmodels():
    X, y, s, _, offset = data()
    used = s > 0
    other = glm(X[used], y[used], freq_weights=s[used], offset=offset[used])
    neuron = neuron_of(X, y, s, offset=offset)
    summary = summarize(neuron, X, y, s, offset=offset)
    assert_agrees(summary, other)
    null = sm.GLM(
        y[used], np.ones(used.sum()), family=sm.families.Binomial(), freq_weights=s[used],
        offset=offset[used],
    ).fit(tol=1e-14)  # fmt: skip
    assert summary.null_log_likelihood == pytest.approx(null.llf, rel=AGREEMENT)
    predicted = summary.predict_interval(X[:5], offset=offset[:5]).probability
    np.testing.assert_allclose(predicted, neuron.predict_proba(X[:5], offset=offset[:5])[:, 1])
    with pytest.raises(ValueError, match="offset is missing"):
        summary.predict_interval(X[:5])


def test_binomial_counts_agree_with_statsmodels():
    X, *_ = data()
    rng = np.random.default_rng(2)
    trials = rng.integers(1, 30, len(X))
    share = rng.binomial(trials, 1 / (1 + np.exp(-X[:, 1]))) / trials
    counts = np.column_stack([share * trials, (1 - share) * trials])
    neuron = neuron_of(X, share, trials, soft_targets=True)
    summary = summarize(neuron, X, share, trials)
    other = glm(X, counts)
    assert_agrees(summary, other)
    assert summary.deviance == pytest.approx(other.deviance, rel=AGREEMENT)
    assert summary.null_deviance == pytest.approx(other.null_deviance, rel=AGREEMENT)
    rows = glm(X, share, {"cov_type": "HC0"}, var_weights=trials)
    how = {"covariance": "robust", "weights": "probability"}
    assert_agrees(summarize(neuron, X, share, trials, **how), rows)


def test_a_model_without_an_intercept_agrees_with_statsmodels():
    X, y, *_ = data()
    X = X - X.mean(axis=0) + 0.1 * X.std(axis=0)
    other = logit(X, y, intercept=False)
    summary = summarize(neuron_of(X, y, fit_intercept=False), X, y)
    assert_agrees(summary, other)
    assert summary.names.tolist() == ["x0", "x1", "x2", "x3"]
    assert summary.null_log_likelihood == pytest.approx(-len(y) * np.log(2))
    predicted = summary.predict_interval(X[:3]).probability
    np.testing.assert_allclose(predicted, other.predict(X[:3]), rtol=AGREEMENT)


def test_likelihood_ratio_of_nested_models():
    X, y, *_ = data()
    large = summarize(neuron_of(X, y), X, y)
    small = summarize(neuron_of(X[:, :2], y), X[:, :2], y)
    statistic = 2 * (glm(X, y).llf - glm(X[:, :2], y).llf)
    for test in (large.likelihood_ratio(small), small.likelihood_ratio(large)):
        assert test.statistic == pytest.approx(statistic, rel=AGREEMENT)
        assert (test.df, test.p_value) == (2, pytest.approx(chi2.sf(statistic, 2), rel=1e-6))
    with pytest.raises(ValueError, match="Both models have 5 coefficients"):
        large.likelihood_ratio(large)
    other = summarize(neuron_of(X[1:, :2], y[1:]), X[1:, :2], y[1:])
    with pytest.raises(ValueError, match="of different samples"):
        large.likelihood_ratio(other)
    noise = np.random.default_rng(0).normal(size=(len(y), 2))
    with pytest.raises(ValueError, match="no special case"):
        summarize(neuron_of(noise, y), noise, y).likelihood_ratio(
            summarize(neuron_of(X[:, :1], y), X[:, :1], y)
        )


# ----- published tables ---------------------------------------------------------------------------


def test_low_birth_weight_is_as_published():
    X, y = published.LOW_BIRTH_WEIGHT
    summary = summarize(neuron_of(X, y), X, y)
    np.testing.assert_allclose(summary.coef, published.LOW_BIRTH_WEIGHT_COEF, atol=1e-5)
    np.testing.assert_allclose(summary.std_err, published.LOW_BIRTH_WEIGHT_STD_ERR, rtol=5e-5)
    expected = published.LOW_BIRTH_WEIGHT_LOG_LIKELIHOOD
    assert summary.log_likelihood == pytest.approx(expected, rel=1e-9)
    expected = published.LOW_BIRTH_WEIGHT_NULL_DEVIANCE
    assert summary.null_deviance == pytest.approx(expected, rel=1e-9)
    assert summary.aic == pytest.approx(published.LOW_BIRTH_WEIGHT_AIC, rel=1e-10)


def test_o_rings_are_as_published():
    X, y = published.ORING_TEMPERATURE, published.ORING_DISTRESS
    summary = summarize(neuron_of(X, y), X, y)
    np.testing.assert_allclose(summary.coef, published.ORING_COEF, atol=5e-5)
    np.testing.assert_allclose(summary.std_err, published.ORING_STD_ERR, atol=5e-5)
    assert summary.deviance == pytest.approx(published.ORING_DEVIANCE, abs=5e-4)
    assert summary.null_deviance == pytest.approx(published.ORING_NULL_DEVIANCE, abs=5e-4)


# ----- profile likelihood -------------------------------------------------------------------------


def profile_by_refits(X, y, feature, s=None):
    """Return the profile interval of a weight by fits with its share of the output as offset."""
    best = neuron_of(X, y, s)
    total = len(y) if s is None else s.sum()
    others = np.delete(X, feature, axis=1)

    def excess(value):
        fit = neuron_of(others, y, s, offset=value * X[:, feature])
        return 2 * total * (fit.loss_curve_[-1] - best.loss_curve_[-1]) - chi2.ppf(0.95, 1)

    weight, width = best.coef_[0, feature], 5 / X[:, feature].std()
    low = brentq(excess, weight - width, weight, xtol=1e-13 * width, rtol=1e-14)
    return low, brentq(excess, weight, weight + width, xtol=1e-13 * width, rtol=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_profile_intervals_are_those_of_refits_with_an_offset(weighted):
    X, y, s, *_ = data(n=120)
    s = s if weighted else None
    summary = summarize(neuron_of(X, y, s), X, y, s)
    found = summary.conf_int(method="profile")
    for feature in range(X.shape[1]):
        expected = profile_by_refits(X, y, feature, s)
        error = np.abs(found[feature] - expected) / summary.std_err[feature]
        assert np.max(error) < 1e-7
    # The intercept, whose share of the output is a constant: fits without an intercept.
    best = summary.log_likelihood

    def excess(value):
        fit = neuron_of(X, y, s, fit_intercept=False, offset=value)
        total = len(y) if s is None else s.sum()
        return 2 * (total * fit.loss_curve_[-1] + best) - chi2.ppf(0.95, 1)

    low, high = found[-1]
    assert abs(excess(low)) < 1e-6
    assert abs(excess(high)) < 1e-6


def test_profile_p_values_are_likelihood_ratio_tests():
    X, y, *_ = data(n=120)
    summary = summarize(neuron_of(X, y), X, y)
    for feature, p in enumerate(summary.profile_p_value()[:-1]):
        others = np.delete(X, feature, axis=1)
        test = summary.likelihood_ratio(summarize(neuron_of(others, y), others, y))
        assert p == pytest.approx(test.p_value, rel=1e-6)


def test_profiles_have_no_sandwich():
    X, y, *_ = data()
    summary = summarize(neuron_of(X, y), X, y, covariance="robust")
    with pytest.raises(ValueError, match="covariance='robust' does not rely on it"):
        summary.conf_int(method="profile")


# ----- precision ----------------------------------------------------------------------------------


def standard_errors_in_extended_precision(X, y):
    """Return the standard errors of a maximum likelihood fit in 50 digits; the intercept last."""
    mpmath.mp.dps = 50
    n, size = len(X), X.shape[1] + 1
    mean, scale = X.mean(axis=0), X.std(axis=0)
    Z = mpmath.matrix(n, size)
    for i in range(n):
        for j in range(size - 1):
            Z[i, j] = (mpmath.mpf(X[i, j].item()) - mpmath.mpf(mean[j].item())) / scale[j].item()
        Z[i, size - 1] = 1
    theta = mpmath.matrix(size, 1)
    for _ in range(200):
        z = Z * theta
        a = [1 / (1 + mpmath.exp(-z[i])) for i in range(n)]
        weighted = Z.copy()
        for i in range(n):
            for j in range(size):
                weighted[i, j] = Z[i, j] * a[i] * (1 - a[i])
        information = Z.T * weighted
        residual = mpmath.matrix([int(y[i]) - a[i] for i in range(n)])
        step = mpmath.lu_solve(information, Z.T * residual)
        theta += step
        if mpmath.norm(step) < mpmath.mpf(10) ** -30:
            break
    else:
        raise AssertionError("the reference has not converged")
    T = mpmath.matrix(size, size)
    for j in range(size - 1):
        T[j, j] = 1 / mpmath.mpf(scale[j].item())
        T[size - 1, j] = -mpmath.mpf(mean[j].item()) / mpmath.mpf(scale[j].item())
    T[size - 1, size - 1] = 1
    covariance = T * information**-1 * T.T
    return np.array([float(mpmath.sqrt(covariance[j, j])) for j in range(size)])


def _columns():
    rng = np.random.default_rng(0)
    base = rng.normal(size=(60, 4))
    y = (base @ [1, -1, 0.5, 0] + rng.logistic(size=60) > 0).astype(int)
    nearly = base.copy()
    nearly[:, 3] = base[:, 0] + 1e-8 * base[:, 3]
    epochs = base * [1, 1e3, 1, 1] + [0, 1.7e9, 0, 0]
    epochs[:, 3] = epochs[:, 1] + rng.integers(1, 60, 60)
    year = np.linspace(2000, 2030, 60)
    codes = [base.copy() for _ in range(3)]
    for columns, n_missing, code in zip(codes, (1, 1, 3), (1e6, 1e9, 1e12), strict=True):
        columns[:n_missing, 1] = code
    kinds = {
        "as drawn": base,
        "units 1e-3 to 1e12": base * [1e-3, 1e12, 1, 1e6],
        "numbers near 1e12, deviation 1e5": base * [1, 1e5, 1, 1] + [0, 1e12, 0, 0],
        "numbers near 1e12, deviation 1": base + np.array([0, 1e12, 0, 0]),
        "all far from 0": base * [1, 1e3, 1e2, 1e5] + [1e9, 1e12, 1e12, 1e12],
        "nearly dependent": nearly,
        "epochs of start and end": epochs,
        "a code of 1e6 for a missing value": codes[0],
        "a code of 1e9 for a missing value": codes[1],
        "codes of 1e12 for three missing values": codes[2],
        "powers of a year": np.column_stack([year, year**2, year**3, base[:, 0]]),
    }
    return [pytest.param(X, y, id=kind) for kind, X in kinds.items()]


@pytest.mark.parametrize(("X", "y"), _columns())
def test_standard_errors_in_any_units_agree_with_extended_precision(X, y):
    expected = standard_errors_in_extended_precision(X, y)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # float64 cannot tell whether F is at its minimum
        neuron = BCENeuronClassifier(C=np.inf).fit(X, y)
    found = summarize(neuron, X, y)
    np.testing.assert_allclose(found.std_err, expected, rtol=1e-6)
    assert np.all(np.isfinite(found.conf_int(method="profile")))


def test_the_sandwich_does_not_depend_on_units():
    X, y, *_ = data()
    units = np.array([1e-3, 1e12, 1, 1e6])
    far = X * units + [0, 1e12, 0, 0]
    for covariance in ("robust", "cluster"):
        how = {"covariance": covariance, "groups": None if covariance == "robust" else data()[3]}
        expected = summarize(neuron_of(X, y), X, y, **how)
        found = summarize(neuron_of(far, y), far, y, **how)
        np.testing.assert_allclose(found.std_err[:-1] * units, expected.std_err[:-1], rtol=1e-7)


# ----- kinds of samples ---------------------------------------------------------------------------


def _same_as_dense(summary, X, y, **arguments):
    expected = summarize(neuron_of(X, y), X, y, **arguments)
    np.testing.assert_allclose(summary.std_err, expected.std_err, rtol=1e-9)
    np.testing.assert_allclose(summary.log_likelihood, expected.log_likelihood, rtol=1e-12)


@pytest.mark.parametrize("covariance", ["model", "robust", "cluster"])
@pytest.mark.parametrize(
    "kind",
    ["csr", "csc", "pandas", pytest.param("polars", marks=names_of_polars), "lists", "float32"],
)
def test_every_kind_of_samples_gives_the_same(kind, covariance):
    X, y, _, groups, _ = data()
    X = X.astype(np.float32).astype(np.float64)
    make = {
        "csr": sp.csr_array,
        "csc": sp.csc_matrix,
        "pandas": lambda X: pd.DataFrame(X, columns=NAMES),
        "polars": lambda X: pytest.importorskip("polars").DataFrame(X, schema=NAMES),
        "lists": lambda X: X.tolist(),
        "float32": lambda X: X.astype(np.float32),
    }[kind]
    how = {"covariance": covariance, "groups": groups if covariance == "cluster" else None}
    given = make(X)
    summary = summarize(neuron_of(given, y), given, y, **how)
    _same_as_dense(summary, X, y, **how)
    if kind in {"pandas", "polars"}:
        assert summary.names.tolist() == [*NAMES, "intercept"]


def test_a_large_array_of_float32_is_converted_by_parts():
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(1_100_000, 4)) + np.array([0, 1e3, 0, 0])).astype(np.float32)
    y = (X[:, 0] + rng.logistic(size=len(X)) > 0).astype(int)
    neuron = BCENeuronClassifier(C=np.inf, tol=1e-12).fit(X, y)
    summary = summarize(neuron, X, y)
    in_float64 = X.astype(np.float64)
    expected = summarize(neuron_of(in_float64, y), in_float64, y)
    np.testing.assert_allclose(summary.std_err, expected.std_err, rtol=1e-9)


class Chunks:
    """Chunks of samples, which count how often they are read."""

    def __init__(self, *arrays, size=130):
        self.arrays, self.size, self.n_passes = arrays, size, 0

    def __call__(self):
        self.n_passes += 1
        for start in range(0, len(self.arrays[0]), self.size):
            yield tuple(array[start : start + self.size] for array in self.arrays)


@pytest.mark.parametrize(
    ("covariance", "n_passes"), [("model", 1), ("robust", 2), ("HC1", 2), ("cluster", 2)]
)
def test_chunks_are_read_once_for_the_information_and_once_for_the_sandwich(covariance, n_passes):
    X, y, _, groups, _ = data()
    order = np.argsort(X[:, 0])  # chunks differ in their means
    X, y, groups = X[order], y[order], groups[order]
    chunks = Chunks(X, y)
    neuron = fit_from_chunks(BCENeuronClassifier(C=np.inf, tol=1e-13), chunks)
    for _ in range(2):  # to the maximum, so that no step is left to do
        neuron = fit_from_chunks(neuron.set_params(warm_start=True), chunks)
    chunks.n_passes = 0
    how = {"covariance": covariance, "groups": groups if covariance == "cluster" else None}
    summary = summarize(neuron, chunks, **how)
    assert chunks.n_passes == n_passes
    _same_as_dense(summary, X, y, **how)


def test_chunks_far_apart_and_constant_within_chunks_lose_no_precision():
    """Each chunk has its own centre; one column is constant in each, and one is near 1e12."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(600, 3)) + np.array([0, 1e12, 0])
    X[:, 0] = np.repeat(np.arange(6), 100)
    y = (X[:, 2] + 0.3 * X[:, 0] - 1 + rng.logistic(size=600) > 0).astype(int)
    chunks = Chunks(X, y, size=100)
    neuron = fit_from_chunks(BCENeuronClassifier(C=np.inf), chunks)
    expected = summarize(BCENeuronClassifier(C=np.inf).fit(X, y), X, y).std_err
    np.testing.assert_allclose(summarize(neuron, chunks).std_err, expected, rtol=1e-8)
    with_weights = Chunks(X, y, np.ones(600), np.zeros(600), size=100)
    neuron = fit_from_chunks(BCENeuronClassifier(C=np.inf), with_weights)
    np.testing.assert_allclose(summarize(neuron, with_weights).std_err, expected, rtol=1e-8)


def test_profile_intervals_of_chunks_are_those_of_arrays():
    X, y, *_ = data(n=120)
    chunks = Chunks(X, y, size=50)
    neuron = fit_from_chunks(BCENeuronClassifier(C=np.inf, tol=1e-12), chunks)
    found = summarize(neuron, chunks).conf_int(method="profile")
    expected = summarize(neuron_of(X, y), X, y).conf_int(method="profile")
    np.testing.assert_allclose(found, expected, rtol=1e-7)


@pytest.mark.parametrize("covariance", ["model", "robust", "cluster"])
def test_dask_collections_give_the_same(covariance):
    da = pytest.importorskip("dask.array")
    from sklearn_bce.dask import DaskBCENeuronClassifier

    X, y, _, groups, _ = data()
    lazy = da.from_array(X, chunks=(300, 4)), da.from_array(y, chunks=300)
    neuron = DaskBCENeuronClassifier(C=np.inf, tol=1e-12).fit(*lazy)
    how = {"covariance": covariance, "groups": groups if covariance == "cluster" else None}
    if covariance == "cluster":
        how["groups"] = da.from_array(groups, chunks=77)
    summary = summarize(neuron, *lazy, **how)
    how["groups"] = groups if covariance == "cluster" else None
    _same_as_dense(summary, X, y, **how)
    with pytest.raises(ValueError, match="features"):
        summarize(neuron, lazy[0][:, :3], lazy[1])


# ----- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"C": 1.0}, r"penalty \(C=1\), which biases(.|\n)*C=np.inf(.|\n)*covariance=None(.|\n)*"
         r"rng.integers"),
        ({"C": 1.0, "l1_ratio": 1.0}, "L1 norm"),
        ({"class_weight": "balanced"}, "class_weight='balanced' multiplies"),
        ({"coef_bounds": (np.array([-np.inf, -0.01, -np.inf, -np.inf]), np.inf)},
         "weights of x1 are at their coef_bounds"),
        ({"penalty_factor": [1, np.inf, 1, 1]}, "leaves out x1"),
    ],
)  # fmt: skip
def test_fits_that_do_not_maximise_the_likelihood_are_refused(parameters, message):
    X, y, *_ = data()
    neuron = neuron_of(X, y, **parameters)
    with pytest.raises(ValueError, match=message):
        summarize(neuron, X, y)
    table = summarize(neuron, covariance=None)
    np.testing.assert_array_equal(table.coef, np.append(neuron.coef_, neuron.intercept_))
    np.testing.assert_allclose(table.odds_ratios().odds_ratio, np.exp(table.coef))
    assert all(name in str(table.odds_ratios()) for name in table.names)
    assert list(table.to_frame("pandas").columns) == ["coef", "odds_ratio"]
    with pytest.raises(ValueError, match="covariance=None"):
        table.std_err  # noqa: B018


def test_the_bootstrap_in_the_message_runs():
    from sklearn.base import clone

    X, y, *_ = data(n=80)
    neuron = BCENeuronClassifier().fit(X, y)
    with pytest.raises(ValueError, match="bootstrap") as raised:
        summarize(neuron, X, y)
    code = "\n".join(line.strip() for line in str(raised.value).splitlines()[1:])
    assert len(code.splitlines()) == 3
    code = "\n".join([*code.splitlines()[:-1], "errors = " + code.splitlines()[-1]])
    names = {"np": np, "clone": clone, "neuron": neuron, "X": X, "y": y}
    exec(code, names)
    assert names["errors"].shape == (1, 4)


def test_penalties_and_bounds_that_do_nothing_are_allowed():
    X, y, *_ = data()
    expected = summarize(neuron_of(X, y), X, y).std_err
    for parameters in (
        {"C": 1.0, "penalty_factor": np.zeros(4)},
        {"coef_bounds": (-1e9, 1e9)},
    ):
        neuron = neuron_of(X, y, **parameters)
        np.testing.assert_allclose(summarize(neuron, X, y).std_err, expected, rtol=1e-8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        search = BCENeuronClassifierCV(Cs=[np.inf], cv=3, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(summarize(search, X, y).std_err, expected, rtol=1e-8)


def test_a_converted_logistic_regression_has_standard_errors():
    X, y, *_ = data()
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    other = LogisticRegression(C=np.inf, solver="newton-cholesky", tol=1e-10).fit(X, y)
    with pytest.warns(UserWarning, match="tol=1e-10"):
        neuron = BCENeuronClassifier.from_sklearn(other)
    summary = summarize(neuron, X, y)
    np.testing.assert_allclose(summary.std_err, logit(X, y).bse, rtol=AGREEMENT)


def test_other_samples_than_those_of_the_fit_are_refused():
    X, y, s, _, offset = data()
    half = len(y) // 2
    of_half = neuron_of(X[:half], y[:half])
    weighted, with_offset = neuron_of(X, y, s), neuron_of(X, y, offset=offset)
    doubled = neuron_of(X, y, np.full(len(y), 2.0))
    for neuron, samples, how in (
        (of_half, (X[half:], y[half:]), {}),
        (weighted, (X, y), {}),
        (with_offset, (X, y), {"offset": 0.0}),
        (neuron_of(X, y), (X, 1 - y), {}),
        (neuron_of(X, y), (X[:, ::-1], y), {}),
    ):
        with pytest.raises(ValueError, match="not at the maximum of the likelihood"):
            summarize(neuron, *samples, **how)
    with pytest.raises(ValueError, match="sum of sample_weight is 800, and was 1600"):
        summarize(doubled, X, y)
    # Stationary by chance, as one of a few coefficients may be: the loss differs.
    X, y = np.array([[0.0], [1], [0], [1]]), np.array([0, 1, 1, 0])
    X, y = np.repeat(X, 50, axis=0), np.repeat(y, 50)
    X[0], y[:1], y[51:52] = 1, 0, 0
    sure = np.r_[np.zeros(60), np.ones(40), np.zeros(40), np.ones(60)]
    neuron = neuron_of(X, sure)
    neuron.coef_[0], neuron.intercept_[0] = neuron_of(X, y).coef_[0], neuron_of(X, y).intercept_[0]
    with pytest.raises(ValueError, match="mean loss of these samples"):
        summarize(neuron, X, y)


@pytest.mark.parametrize("n", [100, 10_000, 200_000])
def test_a_fit_at_the_default_tolerance_is_accepted_with_the_errors_of_the_maximum(n):
    rng = np.random.default_rng(n)
    X = rng.normal(size=(n, 5)) * [1, 10, 1, 1, 1]
    y = (X[:, 0] - 1 + rng.logistic(size=n) > 0).astype(int)
    found = summarize(BCENeuronClassifier(C=np.inf).fit(X, y), X, y)
    np.testing.assert_allclose(found.std_err, glm(X, y).bse, rtol=AGREEMENT)


def test_separation_names_the_features():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(200, 2)), columns=["age", "dose"])
    X["rare disease"] = (np.arange(200) < 4).astype(float)
    y = (X["age"] + rng.logistic(size=200) > 0).astype(int)
    y[:4] = 1
    with pytest.warns(ConvergenceWarning, match="rare disease"):
        neuron = BCENeuronClassifier(C=np.inf).fit(X, y)
    with pytest.raises(
        ValueError, match=r"separated by a linear combination of rare disease\.(.|\n)*firth"
    ):
        summarize(neuron, X, y)
    with pytest.warns(ConvergenceWarning):
        neuron = BCENeuronClassifier(C=np.inf).fit(X[["age"]], X["age"] > 0)
    with pytest.raises(ValueError, match="separated by a linear combination of age"):
        summarize(neuron, X[["age"]], X["age"] > 0)


def test_weights_that_leave_no_information_are_not_taken_for_dependent_columns():
    X, y, *_ = data()
    neuron = neuron_of(X, y)
    neuron.coef_ *= 1e6
    neuron.intercept_ *= 1e6
    with pytest.raises(ValueError, match="singular at the weights of the neuron"):
        summarize(neuron, X, y)


def test_columns_that_depend_on_each_other_are_named():
    X, y, *_ = data()
    frame = pd.DataFrame(X, columns=NAMES)
    frame["sum"] = frame["age"] + frame["dose"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        neuron = BCENeuronClassifier(C=np.inf).fit(frame, y)
    with pytest.raises(DependenceError, match=r"age, dose, sum\. Leave out"):
        summarize(neuron, frame, y)
    frame = pd.DataFrame(X, columns=NAMES).assign(constant=3.0)
    neuron = BCENeuronClassifier(C=np.inf).fit(frame, y)
    with pytest.raises(DependenceError, match=r": constant\. Leave out"):
        summarize(neuron, frame, y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"covariance": "HC3"}, "covariance is 'HC3'"),
        ({"weights": "analytic"}, "weights is 'analytic'"),
        ({"level": 95}, r"level is 95; it must be in \(0, 1\)"),
        ({"covariance": "cluster"}, "groups is missing"),
        ({"groups": [0, 1]}, "covariance is 'model'"),
        ({"weights": "probability"}, "covariance='model' takes weights for frequencies"),
        ({"covariance": "cluster", "groups": [0, 1]}, r"groups has shape \(2,\)"),
        ({"covariance": "cluster", "groups": np.zeros(800)}, "in one group"),
        ({"covariance": "cluster", "groups": np.full(800, np.nan)}, "NaN"),
    ],
)
def test_malformed_arguments_are_named(arguments, message):
    X, y, *_ = data()
    with pytest.raises(ValueError, match=message):
        summarize(neuron_of(X, y), X, y, **arguments)


def test_malformed_samples_and_neurons_are_refused():
    X, y, *_ = data()
    neuron = neuron_of(X, y)
    for given, message in (
        ((X, None), "y is missing"),
        ((X, np.where(y == 1, "a", "b")), "classes"),
        ((X[:, :3], y), "features"),
        ((np.where(X[0, 0] == X, np.nan, X), y), "NaN"),
        ((lambda: [], y), "y must be None"),
    ):
        with pytest.raises(ValueError, match=message):
            summarize(neuron, *given)
    with pytest.raises(NotFittedError):
        summarize(BCENeuronClassifier(), X, y)
    with pytest.raises(TypeError, match=r"pipe\[-1\]"):
        summarize("neuron", X, y)
    for hypothesis, message in (
        ([[1, 0]], "R has shape"),
        (["x9"], "names of no coefficient"),
        ([[1, 0, 0, 0, 0], [2, 0, 0, 0, 0]], "depend on each other"),
    ):
        with pytest.raises(ValueError, match=message):
            summarize(neuron, X, y).test(hypothesis)
    with pytest.raises(ValueError, match="belong to X"):
        summarize(neuron, X, y).marginal_effects(offset=1.0)


# ----- the result ---------------------------------------------------------------------------------


def test_the_neuron_is_not_changed_and_the_result_is_frozen():
    X, y, *_ = data()
    neuron = neuron_of(X, y)
    before = {name: np.copy(value) for name, value in vars(neuron).items()}
    summary = summarize(neuron, X, y)
    summary.predict_interval(X)
    assert vars(neuron).keys() == before.keys()
    for name, value in before.items():
        np.testing.assert_array_equal(vars(neuron)[name], value)
    with pytest.raises(AttributeError):
        summary.coef = 0
    predicted = summary.predict_interval(X)
    neuron.set_params(C=1.0).fit(X, 1 - y)  # the summary keeps the neuron that it was made of
    np.testing.assert_array_equal(summary.predict_interval(X), predicted)


def test_effects_averaged_over_other_samples_and_weights():
    X, y, s, *_ = data()
    summary = summarize(neuron_of(X, y), X, y)
    repeated = np.repeat(X, s.astype(int), axis=0)
    found, expected = summary.marginal_effects(X, s), summary.marginal_effects(repeated)
    np.testing.assert_allclose(found.effect, expected.effect, rtol=1e-12)
    np.testing.assert_allclose(found.std_err, expected.std_err, rtol=1e-9)
    other = logit(X, y)
    at = other.get_margeff(at="overall")
    np.testing.assert_allclose(summary.marginal_effects(X).effect, at.margeff, rtol=AGREEMENT)


def test_text_html_and_frames_have_the_numbers():
    X, y, *_ = data()
    frame = pd.DataFrame(X, columns=NAMES)
    summary = summarize(neuron_of(frame, y), frame, y)
    text = str(summary).splitlines()
    assert len({len(line) for line in text if line[:1] in "═─"}) == 1
    row = next(line for line in text if line.startswith("age"))
    assert f"{summary.coef[0]:.4f}" in row
    assert f"{summary.z[0]:.2f}" in row
    assert text[-2].startswith("intercept")
    html = summary._repr_html_()
    assert html.count("<tr>") == 1 + 5 + 8
    assert f"{summary.coef[0]:.4f}" in html
    escaped = pd.DataFrame(X, columns=["<b>", *NAMES[1:]])
    assert "&lt;b&gt;" in summarize(neuron_of(escaped, y), escaped, y)._repr_html_()
    table = summary.to_frame("pandas")
    assert list(table.columns) == ["coef", "std_err", "z", "p_value", "low", "high"]
    assert table.index.tolist() == [*NAMES, "intercept"]
    np.testing.assert_array_equal(table[["low", "high"]], summary.conf_int())
    ratios = summary.to_frame("pandas", odds_ratios=True, method="profile")
    np.testing.assert_allclose(ratios["odds_ratio"], np.exp(summary.coef))
    np.testing.assert_allclose(ratios[["low", "high"]], np.exp(summary.conf_int(method="profile")))
    polars = pytest.importorskip("polars")
    table = summary.to_frame("polars")
    assert isinstance(table, polars.DataFrame)
    assert table["feature"].to_list() == [*NAMES, "intercept"]
    with pytest.raises(ValueError, match="library is 'modin'"):
        summary.to_frame("modin")


def test_a_summary_can_be_pickled():
    import pickle

    X, y, *_ = data()
    summary = summarize(neuron_of(X, y), X, y)
    again = pickle.loads(pickle.dumps(summary))
    np.testing.assert_array_equal(again.std_err, summary.std_err)
    found = again.conf_int(method="profile")
    np.testing.assert_allclose(found, summary.conf_int(method="profile"), rtol=1e-9)
