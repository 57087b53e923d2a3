"""The estimator against other software, an independent Newton method and published numbers.

Nothing of the package is used but the estimator: the expected values come from scikit-learn's
LogisticRegression, from statsmodels, from the few lines of `newton_reference`, and from a book.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
import statsmodels.api as sm
from covering import covering, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.linalg import qr
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_digits, make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import PolynomialFeatures, scale
from stated_objective import CLASS_WEIGHTS, CONTAINERS, noisy_labels, random_weights, total_weights
from threadpoolctl import threadpool_limits

from sklearn_bce import BCENeuronClassifier

# A `tol` with which rounding ends the steps. `tol` bounds F − min F, which is of second order in
# the coefficients: the error of a coefficient is up to sqrt(2·tol·(H⁻¹)ⱼⱼ), with the curvature H.
# For nearly equal columns, a relative error of 1e-6 needs a tol of 1e-20 or less, below the
# rounding of F.
TO_ROUNDING = {"tol": 0, "max_iter": 35}
# A coefficient below this fraction of the norm of all coefficients, in standardised units, is about
# 0: a difference of larger numbers, without precise digits. Its error is relative to this fraction
# of the norm instead of to itself. The same is true of the intercept, which has the units of z.
NEGLIGIBLE = 1e-3


# Data: every function returns X and labels 0, 1.


def breast_cancer():
    return load_breast_cancer(return_X_y=True)


def breast_cancer_scaled():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X), y


def breast_cancer_overlapping():
    """Five raw columns that do not separate the classes."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, [1, 4, 8, 9, 14]], y


def breast_cancer_products():
    """Sixteen raw columns and their products: 152 columns, many of them nearly equal."""
    X, y = load_breast_cancer(return_X_y=True)
    return PolynomialFeatures(2, include_bias=False).fit_transform(X[:, :16]), y


def spectra():
    """Smooth curves at 200 points, made of twelve bumps and a little noise."""
    rng = np.random.default_rng(7)
    grid, centres = np.linspace(0, 1, 200), rng.uniform(0, 1, 12)
    heights = rng.normal(size=(1000, 12))
    X = heights @ np.exp(-(((grid - centres[:, None]) / 0.1) ** 2))
    X += 1e-3 * rng.normal(size=X.shape)
    return X, noisy_labels(heights @ rng.normal(size=12) / 2, rng, flipped=0.05)


def digits():
    X, y = load_digits(return_X_y=True)
    return X, y % 2


def generated():
    """Twelve columns, two of which are sums of others."""
    return make_classification(600, 12, n_informative=8, flip_y=0.1, random_state=0)


def imbalanced():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(4000, 10))
    return X, (rng.random(4000) < expit(X @ rng.normal(size=10) - 5)).astype(int)


def units():
    """Standard deviations from 2e-3 to 6e4, means up to hundreds of deviations from 0."""
    rng = np.random.default_rng(2)
    U = correlated_columns(5000, 30, rng)
    y = noisy_labels(U @ rng.normal(size=30) / 3, rng)
    deviations = rng.permutation(np.geomspace(2e-3, 6e4, 30))
    return deviations * (U + rng.uniform(-500, 500, size=30)), y


def time_stamps():
    """Means 1e4 to 1e6 standard deviations away from 0."""
    rng = np.random.default_rng(3)
    U = correlated_columns(5000, 12, rng)
    y = noisy_labels(U @ rng.normal(size=12) / 2, rng)
    deviations = rng.permutation(np.geomspace(1e-2, 1e5, 12))
    return deviations * (U + rng.permutation(np.geomspace(1e4, 1e6, 12))), y


def wide():
    rng = np.random.default_rng(4)
    X = np.where(rng.random((60, 500)) < 0.3, rng.normal(size=(60, 500)), 0)
    return X, noisy_labels(X @ rng.normal(size=500) / 3, rng)


def text():
    """Rows of some 30 words drawn by Zipf's law, of Euclidean length 1; CSR."""
    rng = np.random.default_rng(5)
    frequencies = 1 / np.arange(10, 3010)
    words = rng.choice(3000, size=(600, 40), p=frequencies / frequencies.sum())
    rows = np.repeat(np.arange(600), 40)
    X = sp.csr_array((np.ones(words.size), (rows, words.ravel())), shape=(600, 3000))
    X.sum_duplicates()
    X = sp.csr_array(X.multiply(1 / np.sqrt(X.multiply(X).sum(axis=1))[:, None]))
    return X, noisy_labels(4 * (X @ rng.normal(size=3000)), rng, flipped=0.05)


def correlated_columns(n_samples, n_features, rng):
    """Standardised columns, the most correlated pair at about 0.8."""
    common = rng.normal(size=(n_samples, 4)) @ rng.normal(size=(4, n_features))
    return scale(common + rng.normal(size=(n_samples, n_features)))


# The independent reference.


class Optimum(NamedTuple):
    """The minimum of F, and the units in which the coefficients can be compared."""

    coef: np.ndarray
    intercept: float
    deviations: np.ndarray
    z: np.ndarray  # linear outputs, formed in standardised coordinates


def objective(z, coef, y, *, C, s):
    """F: weighted mean of the cross-entropies plus the penalty, from the linear outputs z."""
    losses = np.logaddexp(0, np.where(y == 1, -z, z))
    return (s @ losses + coef @ coef / (2 * C)) / s.sum()


def standardise(X, fit_intercept):
    """Return columns of mean square 1 and, if there is an intercept, of mean 0."""
    centres = X.mean(axis=0) if fit_intercept else np.zeros(X.shape[1])
    deviations = np.sqrt(np.mean((X - centres) ** 2, axis=0))
    deviations[deviations == 0] = 1
    return (X - centres) / deviations, centres, deviations


def newton_reference(X, y, *, C, fit_intercept, s):
    """Minimise F over dense columns by Newton's method, standardised, until rounding ends it."""
    U, centres, deviations = standardise(np.asarray(X, dtype=np.float64), fit_intercept)
    A = np.column_stack([U, np.ones(y.shape[0])]) if fit_intercept else U
    ridge = np.append(1 / deviations**2, [0] * fit_intercept) / C

    def value(v):
        return s @ np.logaddexp(0, np.where(y == 1, -A @ v, A @ v)) + ridge @ v**2 / 2

    v, least = np.zeros(A.shape[1]), np.inf
    for _ in range(100):
        a = expit(A @ v)
        gradient = A.T @ (s * (a - y)) + ridge * v
        bent = np.sqrt(s * a * (1 - a))[:, None] * A
        step = np.linalg.solve(bent.T @ bent + np.diag(ridge), -gradient)
        decrement = -gradient @ step / s.sum()
        if decrement < 1e-20 and decrement >= least / 4:  # it no longer falls quadratically
            break
        least, length = min(least, decrement), 1.0
        while decrement > 1e-10 and value(v + length * step) > value(v):
            length /= 2
        v = v + length * step
    else:
        raise AssertionError(f"the reference did not converge: {decrement:.1e}")
    coef = v[: X.shape[1]] / deviations
    intercept = float(v[-1] - centres @ coef) if fit_intercept else 0.0
    return Optimum(coef, intercept, deviations, A @ v)


def reference(X, y, *, C=1.0, fit_intercept=True, s=None):
    """`newton_reference` for any X: in a basis of the row space if there are more columns."""
    X = X.toarray() if sp.issparse(X) else X
    s = np.ones(y.shape[0]) if s is None else s
    if X.shape[1] <= X.shape[0]:
        return newton_reference(X, y, C=C, fit_intercept=fit_intercept, s=s)
    basis, triangle = qr(X.T, mode="economic")
    optimum = newton_reference(triangle.T, y, C=C, fit_intercept=fit_intercept, s=s)
    _, _, deviations = standardise(X, fit_intercept)
    return optimum._replace(coef=basis @ optimum.coef, deviations=deviations)


# Problems of the grid, each made and solved once. The expected values are found on one thread:
# where the cores are busy, the threads of BLAS wait for each other in matrices this small.


class Problem(NamedTuple):
    """Data and every parameter that F depends on."""

    data: object
    C: float
    fit_intercept: bool = True
    weighted: bool = False
    class_weight: str = "none"

    def __str__(self):
        intercept = "intercept" if self.fit_intercept else "no-intercept"
        weights = f"{'weighted' if self.weighted else 'unweighted'}-{self.class_weight}"
        return f"{self.data.__name__}-C={self.C:g}-{intercept}-{weights}"


@cache
def load(data):
    return data()


@cache
def optimum_of(problem):
    X, y = load(problem.data)
    s = total_weights(y, weights_of(problem), CLASS_WEIGHTS[problem.class_weight])
    with threadpool_limits(1):
        return reference(X, y, C=problem.C, fit_intercept=problem.fit_intercept, s=s)


@cache
def logistic_regression_of(problem):
    with threadpool_limits(1):
        return fit(problem, LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000))


def weights_of(problem):
    return random_weights(load(problem.data)[1]) if problem.weighted else None


def fit(problem, model, container=lambda X: X):
    X, y = load(problem.data)
    model.set_params(
        C=problem.C,
        fit_intercept=problem.fit_intercept,
        class_weight=CLASS_WEIGHTS[problem.class_weight],
    )
    return model.fit(container(X), y, sample_weight=weights_of(problem))


def assert_same_parameters(model, coef, intercept, deviations, rtol=1e-6):
    """Compare each weight to ``rtol`` of itself, negligible weights to ``rtol`` of NEGLIGIBLE."""
    expected = coef * deviations
    floor = NEGLIGIBLE * np.linalg.norm(expected)
    assert model.coef_.shape == (1, coef.shape[0])
    error = np.abs(model.coef_[0] * deviations - expected)
    assert np.max(error / np.maximum(np.abs(expected), floor)) <= rtol
    assert abs(model.intercept_[0] - intercept) <= rtol * max(abs(intercept), floor)


def excess(model, X, y, optimum, C):
    """F(fitted) − min F in float64, without sample weights."""
    coef, s = model.coef_[0].astype(np.float64), np.ones(y.shape[0])
    z = X.astype(np.float64) @ coef + float(model.intercept_[0])
    return objective(z, coef, y, C=C, s=s) - objective(optimum.z, optimum.coef, y, C=C, s=s)


# Any two values of two parameters occur together in one of the problems.
GRID = [
    (Problem(*values), container)
    for *values, container in covering(
        (breast_cancer, breast_cancer_scaled, digits, generated, wide),
        (0.01, 1.0, 100.0),
        (True, False),
        (False, True),
        CLASS_WEIGHTS,
        CONTAINERS,
    )
]
GD_GRID = [
    (Problem(data, C, fit_intercept, weighted, class_weight), container)
    for (data, C), fit_intercept, (weighted, class_weight), container in covering(
        ((breast_cancer_scaled, 0.01), (generated, 0.01), (imbalanced, 1.0)),
        (True, False),
        ((False, "none"), (True, "none"), (False, "balanced"), (True, "dict")),
        ("dense-C", "CSR"),
    )
]
TEXT = [Problem(text, 1.0), Problem(text, 100.0)]
TOLERANCES = (1e-2, 1e-4, 1e-6, 1e-14)
TOL_GRID = [
    (Problem(*values), container, tol)
    for *values, container, tol in covering(
        (breast_cancer, digits, generated, imbalanced, spectra, units, time_stamps, wide),
        (1.0, 100.0),
        (True, False),
        ("dense-C", "CSR"),
        TOLERANCES,
    )
] + [(problem, "CSR", tol) for problem, tol in covering(TEXT, TOLERANCES)]


@pytest.mark.parametrize(("problem", "container"), GRID, ids=str)
def test_newton_reaches_the_optimum_of_logistic_regression(problem, container):
    model = BCENeuronClassifier(solver="newton", **TO_ROUNDING)
    fit(problem, model, CONTAINERS[container])
    expected = logistic_regression_of(problem)
    coef, intercept, deviations, _ = optimum_of(problem)
    assert_same_parameters(expected, coef, intercept, deviations)  # so the reference is right
    assert_same_parameters(model, expected.coef_[0], expected.intercept_[0], deviations)


@pytest.mark.parametrize(
    ("data", "container", "parameters"),
    [
        (breast_cancer, "dense-C", {}),
        (text, "CSR", {}),
        (digits, "CSR", {"l1_ratio": 0.5, "C": 0.1}),
        (units, "dense-F", {"l1_ratio": 1.0}),
        (wide, "dense-C", {"fit_intercept": False}),
        (imbalanced, "dense-C", {"class_weight": "balanced"}),
    ],
)
def test_auto_is_newton_bit_for_bit(data, container, parameters):
    X, y = load(data)
    auto, newton = (
        BCENeuronClassifier(solver=solver, random_state=0, **parameters).fit(
            X if sp.issparse(X) else CONTAINERS[container](X), y
        )
        for solver in ("auto", "newton")
    )
    assert auto.solver_ == "newton"
    assert_array_equal(auto.coef_, newton.coef_)
    assert_array_equal(auto.intercept_, newton.intercept_)
    assert auto.loss_curve_ == newton.loss_curve_
    assert auto.n_passes_ == newton.n_passes_


@pytest.mark.parametrize(("problem", "container"), GD_GRID, ids=str)
def test_gd_reaches_the_optimum_of_logistic_regression(problem, container):
    model = BCENeuronClassifier(solver="gd", tol=0, max_iter=2000)
    fit(problem, model, CONTAINERS[container])
    expected = logistic_regression_of(problem)
    assert model.n_iter_[0] == 2000
    assert_same_parameters(
        model, expected.coef_[0], expected.intercept_[0], optimum_of(problem).deviations
    )


@pytest.mark.parametrize("problem", TEXT, ids=str)
def test_newton_reaches_the_optimum_on_text_like_csr(problem):
    optimum = optimum_of(problem)
    model = fit(problem, BCENeuronClassifier(**TO_ROUNDING))
    assert np.linalg.norm(model.coef_[0] - optimum.coef) <= 1e-6 * np.linalg.norm(optimum.coef)
    assert_same_parameters(model, optimum.coef, optimum.intercept, optimum.deviations)


@every_pair(
    pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"]),
    pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no-intercept"]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("data", [breast_cancer_overlapping, imbalanced, units]),
)
def test_without_a_penalty_the_weights_are_those_of_statsmodels(
    data, container, fit_intercept, weighted
):
    expected = statsmodels_parameters(data, fit_intercept, weighted)
    X, y = load(data)
    model = BCENeuronClassifier(C=np.inf, fit_intercept=fit_intercept, **TO_ROUNDING)
    model.fit(CONTAINERS[container](X), y, sample_weight=frequencies(y) if weighted else None)
    coef, intercept = (expected[1:], expected[0]) if fit_intercept else (expected, 0.0)
    _, _, deviations = standardise(X, fit_intercept)
    assert_same_parameters(model, coef, intercept, deviations)


@cache
def statsmodels_parameters(data, fit_intercept, weighted):
    X, y = load(data)
    columns = np.column_stack([np.ones(y.shape[0]), X]) if fit_intercept else X
    weights = frequencies(y) if weighted else None
    glm = sm.GLM(y, columns, family=sm.families.Binomial(), freq_weights=weights)
    # statsmodels takes Newton steps: 30 steps reach rounding, which may be above its `tol`.
    return glm.fit(tol=1e-12, tol_criterion="params", maxiter=30).params


def frequencies(y):
    return np.random.default_rng(6).integers(0, 5, y.shape[0]).astype(float)


# An objective within 1e-9 of its minimum bounds the root mean square error of the probabilities by
# sqrt(1e-9 / 2): the excess is at least their mean Kullback-Leibler divergence (then Pinsker's
# inequality). Here each probability must have an error below this bound.
DEFAULT_CALL_ATOL = np.sqrt(1e-9 / 2)


@pytest.mark.parametrize("data", [units, time_stamps])
@pytest.mark.parametrize(
    ("params", "atol"), [({}, DEFAULT_CALL_ATOL), ({"tol": 1e-12}, 1e-6)], ids=["default", "1e-12"]
)
def test_default_call_is_accurate_on_columns_in_any_units(data, params, atol):
    X, y = load(data)
    optimum = optimum_of(Problem(data, 1.0))
    model = BCENeuronClassifier(**params).fit(X, y)
    assert model.converged_
    assert -1e-12 <= excess(model, X, y, optimum, 1.0) <= 1e-9
    assert_allclose(model.predict_proba(X)[:, 1], expit(optimum.z), rtol=0, atol=atol)


@pytest.mark.parametrize("data", [units, time_stamps])
def test_default_call_is_accurate_on_float32_columns_in_any_units(data):
    X, y = load(data)
    X = X.astype(np.float32)
    optimum = reference(X, y)  # float32 moves the samples: this optimum is not that of `data`
    model = BCENeuronClassifier().fit(X, y)
    assert model.converged_
    # Each weight is rounded once, which changes z = b + Σ wᵢxᵢ by up to `rounding`: much, if b and
    # the products cancel. At the optimum F has the gradient 0 and a curvature of at most 1/4 in z.
    sizes = np.abs(X * optimum.coef).sum(axis=1) + abs(optimum.intercept)
    rounding = np.finfo(np.float32).eps / 2 * sizes
    assert -1e-12 <= excess(model, X, y, optimum, 1.0) <= 1e-9 + np.mean(rounding**2) / 8
    # The n_features products and as many sums that make z in float32 add one rounding each at most,
    # and a probability moves by at most a quarter of z.
    errors = np.abs(model.predict_proba(X)[:, 1] - expit(optimum.z))
    assert np.all(errors <= DEFAULT_CALL_ATOL + (X.shape[1] + 2) * rounding / 4)


@pytest.mark.parametrize("data", [units, time_stamps])
def test_float32_weights_are_the_rounded_optimum(data):
    X, y = load(data)
    X = X.astype(np.float32)
    optimum = reference(X, y)
    model = BCENeuronClassifier(**TO_ROUNDING).fit(X, y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    # Half a unit in the last place of float32 is 6e-8, of a negligible weight too.
    assert_same_parameters(
        model, optimum.coef, optimum.intercept, optimum.deviations, rtol=np.finfo(np.float32).eps
    )


@pytest.mark.parametrize(("problem", "container", "tol"), TOL_GRID, ids=str)
def test_converged_fit_is_within_tol_of_the_minimum(problem, container, tol):
    model = fit(problem, BCENeuronClassifier(tol=tol), CONTAINERS[container])
    distance = excess(model, *load(problem.data), optimum_of(problem), problem.C)
    assert model.converged_
    # z and F are rounded. If terms of 1e6 cancel in z, its relative rounding error is 1e-10.
    rounding = 1e-11 if problem.data is time_stamps else 1e-12
    assert -rounding <= distance <= tol + rounding


@every_pair(
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no-intercept"]),
    pytest.mark.parametrize("C", [1.0, 100.0]),
)
def test_default_call_ends_near_the_minimum_on_nearly_collinear_columns(
    C, fit_intercept, container
):
    problem = Problem(breast_cancer_products, C, fit_intercept)
    model = fit(problem, BCENeuronClassifier(), CONTAINERS[container])
    distance = excess(model, *load(problem.data), optimum_of(problem), C)
    assert model.converged_
    # The classes are nearly separable, so that the quadratic model underestimates F − min F: at the
    # first point where half the exact squared decrement is below 1e-6, the next step leaves 1.5e-6.
    assert -1e-12 <= distance <= 1e-5


@pytest.mark.parametrize(
    ("order", "accuracy"),
    [
        ({"shuffle": False}, 0.8245614035087719),
        ({"shuffle": True, "random_state": 42}, 0.9298245614035088),
    ],
    ids=["in-order", "shuffled"],
)
def test_plain_sgd_gives_the_accuracy_published_in_a_book(order, accuracy):
    """Haesun Park, "Do it! Deep Learning", chapter 4: 100 passes at η = 1 over unscaled data."""
    X, y = load(breast_cancer)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, stratify=y, test_size=0.2, random_state=42
    )
    model = BCENeuronClassifier(
        solver="sgd", learning_rate=1.0, C=np.inf, tol=0, max_iter=100, **order
    )
    model.fit(X_train, y_train, coef_init=np.ones(30))
    assert model.score(X_test, y_test) == accuracy
