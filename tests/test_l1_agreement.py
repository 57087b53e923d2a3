"""L1 and elastic net against glum, scikit-learn, the conditions of optimality and plain loops.

Nothing of the package is used but its public names. Where a minimum is judged without a reference,
it is by the conditions that hold there and nowhere else, F being convex: with κ = ρ/(C·S) and g the
gradient of all of F but the L1 norm, gⱼ = −κ·sign(wⱼ) where wⱼ ≠ 0, |gⱼ| <= κ where wⱼ = 0, and
∂F/∂b = 0.
"""

from functools import cache
from itertools import product
from typing import NamedTuple
from unittest import mock

import numpy as np
import pytest
import scipy.sparse as sp
from covering import covering, each_value, every_pair
from glum import GeneralizedLinearRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.svm import l1_min_c as liblinear_min_c
from stated_objective import (
    CONTAINERS,
    noisy_labels,
    plain_sgd,
    random_weights,
    stated,
    total_weights,
)
from test_agreement import (
    breast_cancer,
    breast_cancer_scaled,
    imbalanced,
    spectra,
    time_stamps,
    units,
)
from test_agreement import text as small_text
from threadpoolctl import threadpool_limits

from benchmarks.generators import text
from sklearn_bce import BCENeuronClassifier, l1_min_c
from sklearn_bce._solvers.newton import in_cache

EPS = np.finfo(np.float64).eps
# Conditions of optimality hold to this fraction of κ, and ∂F/∂b = 0 to this fraction of the mean
# |y − a|. F − min F is of second order in these errors, hence a `tol` below the rounding of F.
OPTIMAL = 1e-6
TIGHT = 1e-20
# A weight is certainly 0 at the minimum if |gⱼ| is below κ by more than this fraction of κ.
CLEAR = 1e-3


# Data: every function returns X and labels 0, 1.


def sparse_columns():
    rng = np.random.default_rng(1)
    X = np.where(rng.random((400, 60)) < 0.15, rng.normal(size=(400, 60)), 0)
    return X, noisy_labels(1.5 * (X @ rng.normal(size=60)), rng, flipped=0)


def digits():
    X, y = load_digits(n_class=2, return_X_y=True)
    return X, y


def wide():
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 300))
    return X, noisy_labels(X[:, :5] @ [2, -2, 1, 1, -1], rng, flipped=0)


def constant_columns():
    X, y = load_breast_cancer(return_X_y=True)
    return np.column_stack([X[:, :10], np.full(len(y), 7.3), np.zeros(len(y))]), y


def repeated_columns():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X[:, :8])
    return np.column_stack([X, X[:, :4], X[:, 0]]), y


def mirrored_columns():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X[:, :8])
    return np.column_stack([X, -X[:, :4], 3 * X[:, 0]]), y


def tall():
    """Twelve Gaussian columns, four of which influence the label."""
    rng = np.random.default_rng(8)
    X = rng.normal(size=(60_000, 12))
    X[:, 6:] += 0.3 * X[:, :6]
    return X, noisy_labels(X[:, :4] @ [1, -0.6, 0.3, 0.08] - 0.5, rng, flipped=0)


def taller():
    """So many rows that newton starts on a sample of the rows, in float32 too."""
    rng = np.random.default_rng(9)
    X = rng.normal(size=(100_000, 12))
    return X, noisy_labels(X[:, :4] @ [1, -0.6, 0.3, 0.08], rng, flipped=0)


def large_text():
    X, y = text(2000, 40_000)
    return sp.csr_array(X), y


# F and its conditions of optimality, in float64, by numpy.


class Problem(NamedTuple):
    """Data and parameters of F; C is a multiple of the largest C at which all weights are 0."""

    data: object
    multiple: float
    l1_ratio: float = 1.0
    fit_intercept: bool = True
    weighted: bool = False

    def __str__(self):
        intercept = "intercept" if self.fit_intercept else "no-intercept"
        weights = "weighted" if self.weighted else "unweighted"
        name = self.data.__name__
        return f"{name}-{self.multiple:g}-l1_ratio={self.l1_ratio:g}-{intercept}-{weights}"


@cache
def load(data):
    return data()


def weights_of(problem):
    return random_weights(load(problem.data)[1]) if problem.weighted else None


@cache
def strength_of(problem):
    """Return C of the problem, from the formula of `least_C`."""
    X, y = load(problem.data)
    s = weights_of(problem)
    least = least_C(X, y, l1_ratio=problem.l1_ratio, fit_intercept=problem.fit_intercept, s=s)
    return problem.multiple * least


def least_C(X, y, *, l1_ratio=1.0, fit_intercept=True, s=None):
    """Return C with κ = max |gⱼ| at w = 0, where b is the log-odds, or 0 without an intercept."""
    s = np.ones(len(y)) if s is None else s
    a = s @ y / s.sum() if fit_intercept else 0.5
    return l1_ratio / np.max(np.abs(X.T @ (s * (a - y))))


def fit(problem, container=lambda X: X, order=slice(None), **params):
    X, y = load(problem.data)
    s = weights_of(problem)
    model = BCENeuronClassifier(
        C=strength_of(problem),
        l1_ratio=problem.l1_ratio,
        fit_intercept=problem.fit_intercept,
        **params,
    )
    return model.fit(container(X[order]), y[order], sample_weight=s if s is None else s[order])


def objective(w, b, X, y, *, C, l1_ratio, s=None):
    """Return F in plain NumPy."""
    s = np.ones(len(y)) if s is None else s
    z = X @ w + b
    penalty = (1 - l1_ratio) / 2 * (w @ w) + l1_ratio * np.abs(w).sum()
    return (s @ np.logaddexp(0, np.where(y == 1, -z, z)) + penalty / C) / s.sum()


def slopes(w, b, X, y, *, C, l1_ratio, fit_intercept=True, s=None):
    """Return g, the rounding error of g, κ, ∂F/∂b and the rounding error of ∂F/∂b.

    A weight moves alone, or with the intercept that keeps the mean of z: the conditions are the
    same, and the latter are not lost in the rounding of columns that are far off-centre. Each z is
    a sum of rounded products of rounded weights, which moves a by at most a(1−a) of that.
    """
    s = np.ones(len(y)) if s is None else s
    p = s / s.sum()
    a = expit(X @ w + b)
    error = 4 * EPS * p * (np.abs(a - y) + a * (1 - a) * (abs(X) @ np.abs(w) + abs(b)))
    moved = X - X.mean(axis=0) if fit_intercept and not sp.issparse(X) else X
    g = moved.T @ (p * (a - y)) + (1 - l1_ratio) * w / (C * s.sum())
    kappa = l1_ratio / (C * s.sum())
    return g, abs(moved).T @ error, kappa, p @ (a - y), error.sum()


def violations(w, b, X, y, **params):
    """Return the violations of the conditions: for w in units of κ, for b of the mean |y−a|."""
    g, rounding, kappa, of_b, rounding_of_b = slopes(w, b, X, y, **params)
    missed = np.where(w == 0, np.maximum(np.abs(g) - kappa, 0), np.abs(g + kappa * np.sign(w)))
    of_w = np.max(np.maximum(missed - rounding, 0)) / kappa
    if not params.get("fit_intercept", True):
        return of_w, 0.0
    s = params.get("s")
    mean_error = np.average(np.abs(y - expit(X @ w + b)), weights=s)
    return of_w, max(abs(of_b) - rounding_of_b, 0) / mean_error


def assert_optimal(model, problem):
    X, y = load(problem.data)
    w, b = model.coef_[0].astype(np.float64), float(model.intercept_[0])
    of_w, of_b = violations(w, b, X, y, **params_of(problem))
    assert of_w <= OPTIMAL
    assert of_b <= OPTIMAL
    assert problem.fit_intercept or b == 0


def params_of(problem):
    return {
        "C": strength_of(problem),
        "l1_ratio": problem.l1_ratio,
        "fit_intercept": problem.fit_intercept,
        "s": weights_of(problem),
    }


@cache
def minimum_of(problem):
    """Return min F by a fit that satisfies the conditions; its weights and g/κ."""
    X, y = load(problem.data)
    model = fit(problem, tol=TIGHT, max_iter=1000)
    assert_optimal(model, problem)
    w, b = model.coef_[0], model.intercept_[0]
    params = params_of(problem)
    g, _, kappa, _, _ = slopes(w, b, X, y, **params)
    return objective_of(model, problem), w, g / kappa


def objective_of(model, problem):
    params = params_of(problem)
    del params["fit_intercept"]
    w, b = model.coef_[0].astype(np.float64), float(model.intercept_[0])
    return objective(w, b, *load(problem.data), **params)


# glum: 1/(2n) times the deviance is the mean loss, and alpha stands for 1/(C·S).

# Any two values of two parameters occur together in one of the problems.
GLUM_GRID = [
    (Problem(*values), container)
    for *values, container in covering(
        (breast_cancer_scaled, sparse_columns, digits, wide),
        (3.0, 30.0, 1000.0),
        (0.2, 0.7, 1.0),
        (True,),
        (False, True),
        CONTAINERS,
    )
]


@cache
def glum_of(problem):
    X, y = load(problem.data)
    s = total_weights(y, weights_of(problem))
    model = GeneralizedLinearRegressor(
        family="binomial",
        alpha=1 / (strength_of(problem) * s.sum()),
        l1_ratio=problem.l1_ratio,
        gradient_tol=1e-12,
        max_iter=300,
        scale_predictors=False,
    )
    with threadpool_limits(1):
        return model.fit(X, y, sample_weight=s)


@pytest.mark.filterwarnings("ignore:Line search failed:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(("problem", "container"), GLUM_GRID, ids=str)
def test_newton_reaches_the_optimum_of_glum(problem, container):
    glum = glum_of(problem)
    data, params = load(problem.data), params_of(problem)
    # The reference must satisfy the conditions a hundred times better than the fits compared to it.
    assert max(violations(glum.coef_, glum.intercept_, *data, **params)) <= OPTIMAL / 100
    model = fit(problem, CONTAINERS[container], tol=TIGHT)
    expected = glum.coef_
    floor = 1e-3 * np.linalg.norm(expected)  # the digits of smaller ones are those of a difference
    error = np.abs(model.coef_[0] - expected) / np.maximum(np.abs(expected), floor)
    assert_array_equal(model.coef_[0] != 0, expected != 0)
    assert error.max() <= 1e-6
    assert_allclose(model.intercept_[0], glum.intercept_, rtol=1e-6, atol=floor * 1e-6)
    assert_optimal(model, problem)


# Conditions of optimality.

OPTIMALITY_GRID = [
    (Problem(*values), container)
    for *values, container in [
        *covering(
            (
                breast_cancer,
                constant_columns,
                imbalanced,
                mirrored_columns,
                repeated_columns,
                sparse_columns,
                time_stamps,
                units,
            ),
            (2.0, 30.0, 1000.0),
            (0.5, 1.0),
            (True, False),
            ("dense-C", "CSR"),
        ),
        *covering((spectra,), (2.0, 30.0), (0.5, 1.0), (True, False), ("dense-C", "CSR")),
        *covering(
            (breast_cancer, repeated_columns, sparse_columns, units, wide),
            (100.0,),
            (0.5, 1.0),
            (True, False),
            (True,),
            ("dense-C", "CSR"),
        ),
    ]
]


@pytest.mark.parametrize(("problem", "container"), OPTIMALITY_GRID, ids=str)
def test_optimality_conditions_hold_after_a_tight_fit(problem, container):
    model = fit(problem, CONTAINERS[container], tol=TIGHT)
    assert model.converged_
    assert_optimal(model, problem)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_optimality_conditions_hold_on_nearly_collinear_columns(l1_ratio):
    """The penalty is weak, and hardly favours one of the nearly equal columns."""
    problem = Problem(spectra, 1000.0, l1_ratio)
    model = fit(problem, tol=TIGHT)
    assert model.converged_
    assert_optimal(model, problem)


@every_pair(
    pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no-intercept"]),
    pytest.mark.parametrize("l1_ratio", [0.5, 1.0]),
    pytest.mark.parametrize("multiple", [3.0, 100.0]),
)
def test_optimality_conditions_hold_on_text(multiple, l1_ratio, fit_intercept):
    problem = Problem(small_text, multiple, l1_ratio, fit_intercept)
    assert_optimal(fit(problem, tol=TIGHT), problem)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 0.3, 1: 2.5}], ids=["balanced", "dict"])
@pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"])
def test_class_weights_multiply_the_sample_weights_with_an_l1_norm(weighted, class_weight):
    X, y = load(imbalanced)
    weights = random_weights(y) if weighted else None
    s = total_weights(y, weights, class_weight)
    params = {"C": 30 * least_C(X, y, l1_ratio=0.7, s=s), "l1_ratio": 0.7}
    model = BCENeuronClassifier(class_weight=class_weight, tol=TIGHT, **params)
    model.fit(X, y, sample_weight=weights)
    assert max(violations(model.coef_[0], model.intercept_[0], X, y, s=s, **params)) <= OPTIMAL


def test_optimality_conditions_hold_on_csr_that_is_not_canonical():
    """The matrix stores zeros, unsorted columns, and one element as two entries."""
    X, y = load(sparse_columns)
    rows, columns = np.indices(X.shape)
    half = sp.csr_array(X / 2)
    data = np.concatenate([half.data, half.data[::-1]])
    parts = np.repeat(np.arange(len(y)), np.diff(half.indptr))
    stored = sp.coo_array(
        (
            np.r_[data, np.zeros(X.size)],
            (
                np.r_[parts, parts[::-1], rows.ravel()],
                np.r_[half.indices, half.indices[::-1], columns.ravel()],
            ),
        ),
        X.shape,
    )
    order = np.argsort(stored.row, kind="stable")
    counts = np.bincount(stored.row, minlength=len(y))
    csr = sp.csr_array((stored.data[order], stored.col[order], np.r_[0, np.cumsum(counts)]))
    problem = Problem(sparse_columns, 30.0, 0.7)
    model = fit(problem, lambda X: csr, tol=TIGHT)
    assert csr.nnz > 1.2 * X.size
    assert_allclose(csr.toarray(), X, rtol=0, atol=0)
    assert_optimal(model, problem)


TOL_GRID = [
    (Problem(*values), tol)
    for *values, tol in covering(
        (breast_cancer, breast_cancer_scaled, digits, imbalanced, sparse_columns, spectra, units),
        (3.0, 100.0),
        (0.5, 1.0),
        (1e-2, 1e-4, 1e-6, 1e-10),
    )
]


@pytest.mark.parametrize(("problem", "tol"), TOL_GRID, ids=str)
def test_converged_l1_fit_is_within_tol_of_the_minimum(problem, tol):
    model = fit(problem, tol=tol)
    distance = objective_of(model, problem) - minimum_of(problem)[0]
    assert model.converged_
    assert -1e-12 <= distance <= tol + 1e-12


# gd and sgd.


def assert_reaches_the_minimum(model, problem):
    least, w, g = minimum_of(problem)
    clear = (w != 0) | (np.abs(g) <= 1 - CLEAR)
    assert -1e-12 <= objective_of(model, problem) - least <= 1e-6
    assert_array_equal((model.coef_[0] != 0)[clear], (w != 0)[clear])
    assert np.any(model.coef_ == 0)


GD_GRID = [
    Problem(data, multiple, l1_ratio, fit_intercept, not fit_intercept)
    for data, multiple, l1_ratio, fit_intercept in covering(
        (breast_cancer_scaled, sparse_columns, wide), (3.0, 30.0), (0.5, 1.0), (True, False)
    )
]


@pytest.mark.parametrize("problem", GD_GRID, ids=str)
def test_gd_reaches_the_l1_minimum(problem):
    container = sp.csr_array if problem.data is sparse_columns else np.asarray
    model = fit(problem, container, solver="gd", tol=0, max_iter=1000)
    assert_reaches_the_minimum(model, problem)


@every_pair(
    pytest.mark.parametrize("l1_ratio", [0.5, 1.0]),
    pytest.mark.parametrize("multiple", [3.0, 30.0]),
    pytest.mark.parametrize("data", [breast_cancer_scaled, digits, sparse_columns, wide]),
)
def test_gd_does_not_take_a_restart_for_the_minimum(data, multiple, l1_ratio):
    problem = Problem(data, multiple, l1_ratio)
    model = fit(problem, solver="gd", tol=1e-10, max_iter=20_000)
    assert model.converged_
    assert_reaches_the_minimum(model, problem)


SGD_GRID = [
    *(
        (Problem(sparse_columns, multiple, l1_ratio, fit_intercept, not fit_intercept), 2000)
        for multiple, l1_ratio, fit_intercept in covering((3.0, 30.0), (0.5, 1.0), (True, False))
    ),
    (Problem(breast_cancer_scaled, 3.0, 0.5), 2000),
    (Problem(breast_cancer_scaled, 3.0, 1.0), 10_000),
]


@pytest.mark.parametrize(("problem", "max_iter"), SGD_GRID, ids=str)
def test_sgd_reaches_the_l1_minimum(problem, max_iter):
    model = fit(problem, solver="sgd", tol=0, max_iter=max_iter, random_state=0)
    assert_reaches_the_minimum(model, problem)


def sgd(problem, learning_rate, passes, container=lambda X: X):
    return fit(
        problem,
        container,
        solver="sgd",
        learning_rate=learning_rate,
        shuffle=False,
        tol=0,
        max_iter=passes,
    )


SGD_PROBLEMS = [
    Problem(*values)
    for values in covering(
        (breast_cancer_scaled, sparse_columns, wide), (20.0,), (0.5, 1.0), (True, False), (True,)
    )
]


@each_value(
    pytest.mark.parametrize("learning_rate", ["auto", 0.1, 0.01, 0.001]),
    pytest.mark.parametrize("problem", SGD_PROBLEMS, ids=str),
)
def test_sgd_on_csr_takes_the_steps_of_sgd_on_dense_rows(problem, learning_rate):
    dense = sgd(problem, learning_rate, 3)
    sparse = sgd(problem, learning_rate, 3, sp.csr_array)
    assert_allclose(sparse.coef_, dense.coef_, rtol=0, atol=1e-12 * np.abs(dense.coef_).max())
    assert_allclose(sparse.intercept_, dense.intercept_, rtol=0, atol=1e-12)
    assert_allclose(sparse.loss_curve_, dense.loss_curve_, rtol=1e-12)
    assert_array_equal(sparse.coef_ == 0, dense.coef_ == 0)


@each_value(
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("learning_rate", [0.1, 0.01]),
    pytest.mark.parametrize("problem", SGD_PROBLEMS, ids=str),
)
def test_sgd_update_is_a_gradient_step_and_then_soft_thresholding(
    problem, learning_rate, container
):
    params = params_of(problem)
    F = stated(*load(problem.data), params.pop("s"), **params)
    w, b = plain_sgd(F, learning_rate, 2)
    model = sgd(problem, learning_rate, 2, CONTAINERS[container])
    assert_allclose(model.coef_[0], w, rtol=0, atol=1e-11 * np.abs(w).max())
    assert_allclose(model.intercept_[0], b, rtol=0, atol=1e-11)
    assert_array_equal(model.coef_[0] == 0, w == 0)


# The largest C at which all weights are 0.

WEIGHTS = {
    "unweighted": (False, None),
    "weighted": (True, None),
    "balanced": (False, "balanced"),
    "both": (True, {0: 0.3, 1: 2.5}),
}


@every_pair(
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("fit_intercept", [True, False], ids=["intercept", "no-intercept"]),
    pytest.mark.parametrize("weights", WEIGHTS),
    pytest.mark.parametrize("l1_ratio", [1.0, 0.5]),
    pytest.mark.parametrize("data", [breast_cancer, sparse_columns, digits, wide]),
)
def test_l1_min_c_is_the_largest_C_without_weights(
    data, l1_ratio, weights, fit_intercept, container
):
    X, y = load(data)
    weighted, class_weight = WEIGHTS[weights]
    sample_weight = random_weights(y) if weighted else None
    s = total_weights(y, sample_weight, class_weight)
    X = CONTAINERS[container](X)
    params = {"l1_ratio": l1_ratio, "fit_intercept": fit_intercept, "class_weight": class_weight}
    C = l1_min_c(X, y, sample_weight=sample_weight, **params)
    expected = least_C(X, y, l1_ratio=l1_ratio, fit_intercept=fit_intercept, s=s)
    assert_allclose(C, expected, rtol=1e-10)
    model = BCENeuronClassifier(C=C, **params).fit(X, y, sample_weight=sample_weight)
    log_odds = logit(s @ y / s.sum()) if fit_intercept else 0.0
    assert_array_equal(model.coef_, np.zeros((1, X.shape[1])))
    assert_allclose(model.intercept_, [log_odds], rtol=0, atol=1e-12)
    model.set_params(C=1.001 * C).fit(X, y, sample_weight=sample_weight)
    assert np.any(model.coef_ != 0)


@every_pair(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"]),
    pytest.mark.parametrize("tol", [1e-6, 1e-14]),
)
def test_l1_min_c_is_the_largest_C_without_weights_on_tall_data(tol, weighted, container):
    X, y = load(tall)
    s = random_weights(y) if weighted else np.ones(len(y))
    X = CONTAINERS[container](X)
    C = l1_min_c(X, y, sample_weight=s)
    model = BCENeuronClassifier(C=C, l1_ratio=1, tol=tol).fit(X, y, sample_weight=s)
    assert_array_equal(model.coef_, np.zeros((1, 12)))
    assert_allclose(model.intercept_, [logit(s @ y / s.sum())], rtol=0, atol=1e-12)
    model.set_params(C=1.001 * C).fit(X, y, sample_weight=s)
    assert np.any(model.coef_ != 0)


@each_value(
    pytest.mark.parametrize("tol", [1e-14, 0]),
    pytest.mark.parametrize(
        "data", [breast_cancer, sparse_columns, digits, wide, imbalanced, tall]
    ),
)
def test_no_weight_at_l1_min_c_whatever_the_tolerance(data, tol):
    X, y = load(data)
    model = BCENeuronClassifier(C=l1_min_c(X, y), l1_ratio=1, tol=tol, max_iter=5).fit(X, y)
    assert_array_equal(model.coef_, np.zeros((1, X.shape[1])))


@each_value(
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("multiple", [1.0, 0.5]),
    pytest.mark.parametrize("data", [breast_cancer, sparse_columns, digits, wide, imbalanced]),
)
def test_fit_below_l1_min_c_starts_at_its_minimum(data, multiple, container):
    """The start is the log-odds, the minimum of F: all entries of the loss curve are equal."""
    X, y = load(data)
    s = random_weights(y)
    X = CONTAINERS[container](X)
    C = multiple * l1_min_c(X, y, sample_weight=s)
    model = BCENeuronClassifier(C=C, l1_ratio=1).fit(X, y, sample_weight=s)
    a = s @ y / s.sum()
    least = -(a * np.log(a) + (1 - a) * np.log1p(-a))
    assert_allclose(model.loss_curve_, least, rtol=1e-14)


@each_value(
    pytest.mark.parametrize("data", [breast_cancer, sparse_columns, digits]),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
)
def test_l1_min_c_without_intercept_is_that_of_liblinear(data, container):
    """LIBLINEAR minimises ‖w‖₁ + C Σ log(1 + exp(−yz)), y in {−1, 1}: C·S·F at l1_ratio 1."""
    X, y = load(data)
    rows = CONTAINERS[container](X)
    expected = liblinear_min_c(rows, y, loss="log", fit_intercept=False)
    assert_allclose(l1_min_c(rows, y, fit_intercept=False), expected, rtol=1e-12)


def test_l1_min_c_takes_string_labels_and_their_class_weights():
    X, y = load(sparse_columns)
    names = np.where(y == 1, "yes", "no")
    assert l1_min_c(X, names) == l1_min_c(X, y)
    weights = {"no": 0.3, "yes": 2.5}
    expected = l1_min_c(X, y, class_weight={0: 0.3, 1: 2.5})
    assert l1_min_c(X, names, class_weight=weights) == expected


@pytest.mark.parametrize("l1_ratio", [0, -0.5, 2, np.nan])
def test_l1_min_c_without_l1_is_an_error(l1_ratio):
    X, y = load(sparse_columns)
    with pytest.raises(ValueError, match="l1_ratio"):
        l1_min_c(X, y, l1_ratio=l1_ratio)


@every_pair(
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("weighted", [False, True], ids=["unweighted", "weighted"]),
    pytest.mark.parametrize("value", [0.0, 1.0, 0.1, 7.3]),
)
def test_l1_min_c_of_features_that_say_nothing_is_an_error(value, weighted, container):
    y = np.repeat([0, 1], [31, 20])
    weights = np.random.default_rng(0).uniform(0.1, 3, 51) if weighted else None
    X = CONTAINERS[container](np.full((51, 3), value))
    with pytest.raises(ValueError, match="No feature"):
        l1_min_c(X, y, sample_weight=weights)


@pytest.mark.parametrize("container", ["dense-C", "CSR"])
def test_l1_min_c_of_the_same_samples_in_both_classes_is_an_error(container):
    X = np.random.default_rng(0).normal(size=(20, 3))
    with pytest.raises(ValueError, match="No feature"):
        l1_min_c(CONTAINERS[container](np.vstack([X, X])), np.repeat([0, 1], 20))


@pytest.mark.parametrize(
    ("argument", "values"),
    [("y", np.zeros(400)), ("y", np.arange(400) % 3), ("sample_weight", -np.ones(400)),
     ("sample_weight", np.zeros(400)), ("sample_weight", np.ones(3)), ("class_weight", "none")],
)  # fmt: skip
def test_l1_min_c_of_bad_arguments_is_an_error(argument, values):
    X, y = load(sparse_columns)
    with pytest.raises(ValueError, match=r"."):
        l1_min_c(X, **{"y": y, argument: values})


# No penalty.


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_no_penalty_ignores_l1_ratio(solver):
    X, y = load(imbalanced)
    model = BCENeuronClassifier(C=np.inf, solver=solver, tol=0, max_iter=10, random_state=0)
    expected = clone(model).fit(X, y)
    with pytest.warns(UserWarning, match="ignored"):
        model.set_params(l1_ratio=0.5).fit(X, y)
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(model.intercept_, expected.intercept_)


# float32, and data with a start on a sample of the rows.


@every_pair(
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("l1_ratio", [0.5, 1.0]),
    pytest.mark.parametrize("multiple", [3.0, 30.0]),
    pytest.mark.parametrize("data", [breast_cancer_scaled, sparse_columns, wide, tall, taller]),
)
def test_float32_l1_fit_is_close_to_float64(data, multiple, l1_ratio, container):
    X, y = load(data)
    X = X.astype(np.float32)
    params = {"C": strength_of(Problem(data, multiple, l1_ratio)), "l1_ratio": l1_ratio}
    model = BCENeuronClassifier(random_state=0, tol=1e-12, **params)
    model.fit(CONTAINERS[container](X), y)
    expected = BCENeuronClassifier(tol=TIGHT, **params).fit(X.astype(np.float64), y)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    assert_array_equal(model.coef_ != 0, expected.coef_ != 0)
    # sums of float32 products
    assert_allclose(model.coef_, expected.coef_, rtol=0, atol=1e-5 * np.abs(expected.coef_).max())
    assert_allclose(model.intercept_, expected.intercept_, rtol=0, atol=1e-5)


@each_value(
    pytest.mark.parametrize("container", ["dense-C", "dense-F", "CSR"]),
    pytest.mark.parametrize("data", [breast_cancer, tall, taller]),
)
def test_no_weight_at_l1_min_c_in_float32(data, container):
    X, y = load(data)
    X = CONTAINERS[container](X.astype(np.float32))
    model = BCENeuronClassifier(C=l1_min_c(X, y), l1_ratio=1).fit(X, y)
    assert_array_equal(model.coef_, np.zeros((1, X.shape[1])))


TALL = [
    Problem(tall, 1.05, 1.0),
    Problem(tall, 3.0, 0.5),
    Problem(tall, 3.0, 1.0),
    Problem(tall, 3.0, 1.0, fit_intercept=False),
    Problem(tall, 30.0, 0.5, weighted=True),
    Problem(tall, 30.0, 1.0),
]


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("problem", TALL, ids=str),
)
def test_optimality_conditions_hold_on_tall_data(problem, container):
    model = fit(problem, CONTAINERS[container], tol=1e-14, random_state=0)
    assert 0 < np.count_nonzero(model.coef_) < 12
    assert_optimal(model, problem)


@each_value(
    pytest.mark.parametrize("tol", [1e-6, 1e-14]),
    pytest.mark.parametrize("problem", TALL, ids=str),
)
def test_sorted_rows_of_tall_data_lead_to_the_same_minimum(problem, tol):
    X, y = load(tall)
    least, w, g = minimum_of(problem)
    clear = (w != 0) | (np.abs(g) <= 1 - CLEAR)
    for order in (np.argsort(X[:, 0]), np.lexsort((X[:, 1], y)), np.lexsort((X[:, 0], 1 - y))):
        model = fit(problem, order=order, tol=tol, random_state=0)
        assert_array_equal((model.coef_[0] != 0)[clear], (w != 0)[clear])
        assert objective_of(model, problem) - least <= tol + 1e-12
        if tol < 1e-10:
            assert_optimal(model, problem)


# Paths.

PATH_DATA = {
    "breast cancer": (breast_cancer_scaled, np.asarray),
    "sparse columns": (sparse_columns, sp.csr_array),
    "digits": (digits, np.asarray),
    "text": (large_text, lambda X: X),
    "tall": (tall, np.asarray),
}


@cache
def path_of(name, l1_ratio):
    """Return warm-started models along a path, and models without warm start at the same C."""
    data, container = PATH_DATA[name]
    X, y = load(data)
    X = container(X)
    strengths = l1_min_c(X, y, l1_ratio=l1_ratio) * np.geomspace(1.01, 1000, 20)
    model = BCENeuronClassifier(l1_ratio=l1_ratio, warm_start=True, random_state=0)
    warm, cold = [], []
    with mock.patch.object(in_cache, "CACHE_ELEMENTS", 0):  # there passes take no time to speak of
        for C in strengths:
            model.set_params(C=C).fit(X, y)
            warm.append((model.coef_[0], model.intercept_[0], model.n_passes_))
            cold.append(clone(model).set_params(warm_start=False).fit(X, y))
    return X, y, strengths, warm, cold


PATHS = [*product(PATH_DATA, [1.0]), ("breast cancer", 0.5), ("sparse columns", 0.5)]


@pytest.mark.parametrize("name", ["breast cancer", "digits"])
def test_path_takes_no_more_than_three_times_its_hardest_fit(name):
    _, _, _, warm, cold = path_of(name, 1.0)
    assert sum(passes for *_, passes in warm) <= 3 * max(model.n_passes_ for model in cold)


@pytest.mark.parametrize(("name", "l1_ratio"), PATHS)
def test_path_takes_two_passes_a_fit_or_four_where_columns_are_taken_from_sparse_rows(
    name, l1_ratio
):
    """A fit without warm start takes few passes, too, if it starts on a sample of the rows."""
    *_, warm, _ = path_of(name, l1_ratio)
    sparse = name in ("sparse columns", "text")
    assert np.mean([passes for *_, passes in warm]) <= (4 if sparse else 2.3)


@pytest.mark.parametrize(("name", "l1_ratio"), PATHS)
def test_path_is_within_tol_of_each_minimum(name, l1_ratio):
    X, y, strengths, warm, _ = path_of(name, l1_ratio)
    for C, (w, b, _) in zip(strengths, warm, strict=True):
        params = {"C": C, "l1_ratio": l1_ratio}
        best = BCENeuronClassifier(tol=1e-10, random_state=0, **params).fit(X, y)
        least = objective(best.coef_[0], best.intercept_[0], X, y, **params)
        assert objective(w, b, X, y, **params) - least <= 1e-6


def changed_rows(X, y, s):
    X[1:200:9] *= -3


def changed_labels(X, y, s):
    y[:30] = 1 - y[:30]


def changed_weights(X, y, s):
    s[:200] = 0


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("change", [changed_rows, changed_labels, changed_weights]),
)
def test_warm_start_notices_arrays_changed_in_place(change, container):
    """The arrays are changed in place between two fits."""
    X, y = load(breast_cancer_scaled)
    X, y, s = CONTAINERS[container](X.copy()), y.copy(), np.ones(len(y))
    model = BCENeuronClassifier(l1_ratio=1, tol=TIGHT, warm_start=True)
    model.fit(X, y, sample_weight=s)
    before = model.coef_
    change_in_place(X, y, s, change)
    model.fit(X, y, sample_weight=s)
    of_w, of_b = violations(model.coef_[0], model.intercept_[0], X, y, C=1.0, l1_ratio=1, s=s)
    assert np.any(model.coef_ != before)
    assert max(of_w, of_b) <= OPTIMAL


def change_in_place(X, y, s, change):
    if sp.issparse(X) and change is changed_rows:
        rows = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        X.data[(rows % 9 == 1) & (rows < 200)] *= -3
    else:
        change(X, y, s)


@pytest.mark.parametrize("container", ["dense-C", "CSR"])
def test_warm_start_does_not_overlook_nan(container):
    X, y = load(breast_cancer_scaled)
    X = CONTAINERS[container](X.copy())
    model = BCENeuronClassifier(l1_ratio=1, warm_start=True).fit(X, y)
    X[1, 3] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        model.fit(X, y)


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_warm_start_from_the_minimum_stays_there(solver):
    problem = Problem(sparse_columns, 30.0, 0.7)
    X, y = load(sparse_columns)
    model = fit(problem, tol=TIGHT, warm_start=True)
    w, b = model.coef_, model.intercept_
    step = {} if solver == "newton" else {"learning_rate": 1e-6}
    model.set_params(solver=solver, tol=1e-6, max_iter=50, random_state=0, **step)
    model.fit(X, y)
    assert_allclose(model.coef_, w, rtol=0, atol=1e-3 * np.abs(w).max())
    assert_allclose(model.intercept_, b, rtol=0, atol=1e-3 * np.abs(w).max())


def test_warm_start_to_other_penalties_and_back():
    """The later fits have l1_ratio 0, no intercept, and data with other rows."""
    X, y = load(sparse_columns)
    model = BCENeuronClassifier(l1_ratio=1, tol=TIGHT, warm_start=True)
    for params in (
        {"C": 1.0},
        {"C": 0.1, "l1_ratio": 0.3},
        {"fit_intercept": False},
        {"C": 5.0, "fit_intercept": True},
        {"C": 0.01, "l1_ratio": 1},
        {"C": 1.0},
    ):
        for n_samples in (400, 300):
            rows, labels = X[:n_samples], y[:n_samples]
            model.set_params(**params).fit(rows, labels)
            assert_same_as_cold(model, rows, labels)


def assert_same_as_cold(model, X, y):
    cold = clone(model).fit(X, y)
    scale_of_it = max(np.abs(cold.coef_).max(), 1e-3)
    assert_array_equal(model.coef_ != 0, cold.coef_ != 0)
    assert_allclose(model.coef_, cold.coef_, rtol=0, atol=1e-7 * scale_of_it)
    assert_allclose(model.intercept_, cold.intercept_, rtol=0, atol=1e-7)


# The estimator in scikit-learn's tools.


@pytest.mark.parametrize("warm_start", [False, True])
def test_grid_search_over_l1_ratio_runs_in_a_pipeline(warm_start):
    X, y = load(breast_cancer)
    model = BCENeuronClassifier(warm_start=warm_start)
    grid = {
        "bceneuronclassifier__l1_ratio": [0, 0.5, 1],
        "bceneuronclassifier__C": [0.01, 0.1, 1.0],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), model), grid, cv=3)
    search.fit(X, y)
    assert search.best_score_ > 0.95
    assert len(search.cv_results_["params"]) == 9
    assert np.all(np.isfinite(search.cv_results_["mean_test_score"]))
    assert set(search.best_params_) == set(grid)
