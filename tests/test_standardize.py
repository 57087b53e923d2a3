"""`standardize=True` against pipelines with StandardScaler, glum and the conditions of optimality.

A pipeline penalises the weights of standardised columns. Divided by the deviations, these are the
weights in the user's units that `standardize=True` must find. Where StandardScaler does not compute
the deviations that the API states (about 0 without an intercept; about the mean for CSR, whose
columns it does not centre), they are written out. The other expected values are those of
`test_coef_bounds`: F as the API states it, its minimum in scipy and NumPy, and `kkt_excess`.
"""

import tracemalloc
from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from covering import covering, each_value, every_pair
from glum import GeneralizedLinearRegressor
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from test_agreement import newton_reference, noisy_labels, random_weights, total_weights
from test_agreement import reference as reference_of_ridge
from test_coef_bounds import (
    CONTAINERS,
    OPTIMAL,
    RTOL,
    TIGHT,
    assert_close,
    assert_minimum,
    assert_raises_and_changes_nothing,
    correlated,
    in_odd_units,
    kkt_excess,
    load,
    minimum_of,
    moments,
    overlapping,
    sparse_columns,
    stated,
    tall,
    wide,
)

from sklearn_bce import BCENeuronClassifier, fit_from_chunks, l1_min_c

RATIOS = (0.0, 0.5, 1.0)
CLASS_WEIGHTS = (None, "balanced", {0: 0.3, 1: 2.5})


def raw():
    """Twelve raw columns of breast cancer, in units from 1e-3 to 1e3, strongly correlated."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, :12], y


class Problem(NamedTuple):
    """Data and parameters of F."""

    data: object
    C: float = 0.3
    l1_ratio: float = 0.0
    fit_intercept: bool = True
    weighted: bool = False
    class_weight: object = None

    def __str__(self):
        words = [self.data.__name__, f"C={self.C:g}", f"{self.l1_ratio:g}"]
        words += ["no-intercept"] * (not self.fit_intercept) + ["weighted"] * self.weighted
        return "-".join([*words, str(self.class_weight)])

    @property
    def weights(self):
        return random_weights(load(self.data)[1]) if self.weighted else None

    @property
    def params(self):
        names = ("C", "l1_ratio", "fit_intercept", "class_weight")
        return {name: getattr(self, name) for name in names} | {"standardize": True}


@cache
def stated_problem(data, C, l1_ratio, fit_intercept, weighted, class_weight):
    class_weight = dict(class_weight) if isinstance(class_weight, tuple) else class_weight
    problem = Problem(data, C, l1_ratio, fit_intercept, weighted, class_weight)
    F = stated(*load(data), problem.weights, **problem.params)
    return F, minimum_of(F)


def solved(problem):
    """Return F and its minimum, found once."""
    class_weight = problem.class_weight
    class_weight = tuple(class_weight.items()) if isinstance(class_weight, dict) else class_weight
    return stated_problem(*problem._replace(class_weight=class_weight))


def fit(problem, container=np.asarray, **params):
    X, y = load(problem.data)
    model = BCENeuronClassifier(**TIGHT | problem.params | params)
    return model.fit(container(X), y, sample_weight=problem.weights)


# Pipelines.


@every_pair(
    pytest.mark.parametrize("data", [raw, overlapping, correlated, sparse_columns, in_odd_units]),
    pytest.mark.parametrize("C", [0.01, 1.0]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("weighted", [False, True]),
    pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=str),
)
def test_weights_are_those_of_a_pipeline_in_the_units_of_the_user(
    data, C, container, weighted, class_weight
):
    """StandardScaler takes the sample weights, and LogisticRegression both kinds of weights."""
    problem = Problem(data, C, weighted=weighted, class_weight=class_weight)
    X, y = load(data)
    scaler = StandardScaler()
    logistic = LogisticRegression(
        C=C, solver="newton-cholesky", tol=1e-12, max_iter=1000, class_weight=class_weight
    )
    make_pipeline(scaler, logistic).fit(
        X,
        y,
        standardscaler__sample_weight=problem.weights,
        logisticregression__sample_weight=problem.weights,
    )
    w = logistic.coef_[0] / scaler.scale_
    b = logistic.intercept_[0] - scaler.mean_ @ w
    F, expected = solved(problem)
    assert kkt_excess(F, w, b) <= OPTIMAL / 100  # newton-cholesky really reaches the minimum
    model = fit(problem, CONTAINERS[container])
    assert_minimum(model, F, (w, b))
    assert_close(*expected, w, b, F)


@every_pair(
    pytest.mark.parametrize("data", [sparse_columns, overlapping, in_odd_units]),
    pytest.mark.parametrize("C", [0.01, 1.0]),
    pytest.mark.parametrize("weighted", [False, True]),
)
def test_csr_gives_the_weights_of_a_pipeline_that_does_not_centre(data, C, weighted):
    """With an intercept, centring changes no weight: the deviations are about the mean."""
    problem = Problem(data, C, weighted=weighted)
    X, y = load(data)
    scaler = StandardScaler(with_mean=False)
    U = scaler.fit_transform(sp.csr_array(X), sample_weight=problem.weights).toarray()
    s = total_weights(y, problem.weights)
    optimum = newton_reference(U, y, C=C, fit_intercept=True, s=s)
    model = fit(problem, sp.csr_array)
    expected = optimum.coef / scaler.scale_, optimum.intercept
    assert_minimum(model, solved(problem)[0], expected)


@every_pair(
    pytest.mark.parametrize("data", [overlapping, correlated, sparse_columns, in_odd_units]),
    pytest.mark.parametrize("C", [0.01, 1.0]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("weighted", [False, True]),
    pytest.mark.parametrize("class_weight", CLASS_WEIGHTS, ids=str),
)
def test_without_an_intercept_deviations_are_about_0(data, C, container, weighted, class_weight):
    problem = Problem(data, C, 0.0, False, weighted, class_weight)
    X, y = load(data)
    sigma = np.sqrt(np.average(X**2, axis=0, weights=problem.weights))
    s = total_weights(y, problem.weights, class_weight)
    optimum = newton_reference(X / sigma, y, C=C, fit_intercept=False, s=s)
    model = fit(problem, CONTAINERS[container])
    assert_minimum(model, solved(problem)[0], (optimum.coef / sigma, 0.0))
    assert_array_equal(model.intercept_, [0.0])


def test_deviations_take_the_sample_weights_and_not_the_class_weights():
    """If the deviations took the class weights, the weights would be those of `other`."""
    rng = np.random.default_rng(31)
    y = np.repeat([0, 1], [150, 50])
    X = rng.normal(size=(200, 3)) * np.where(y == 1, 5.0, 1.0)[:, None] + 0.5 * y[:, None]
    class_weight, weight = {0: 1.0, 1: 40.0}, rng.uniform(0.5, 2, 200)
    params = {"C": 0.001, "standardize": True}
    both = weight * np.where(y == 1, 40.0, 1.0)
    by_class = BCENeuronClassifier(class_weight=class_weight, **TIGHT | params).fit(X, y, weight)
    by_sample = BCENeuronClassifier(**TIGHT | params).fit(X, y, both)
    F = stated(X, y, weight, class_weight=class_weight, **params)
    other = stated(X, y, both, **params)
    assert_minimum(by_class, F)
    assert_minimum(by_sample, other)
    assert kkt_excess(other, by_class.coef_[0], by_class.intercept_[0]) > 1e-3


# L1 and elastic net.

# Any two values of two parameters occur together in one of the problems.
GRID = [
    (Problem(*values), container)
    for *values, container in [
        *covering(
            (raw, overlapping, correlated, sparse_columns, in_odd_units),
            (0.03, 1.0, 30.0),
            (0.5, 1.0),
            (True, False),
            (False, True),
            CLASS_WEIGHTS,
            CONTAINERS,
        ),
        *covering((wide,), (0.1, 1.0), RATIOS, (True, False), (False, True), (None,), CONTAINERS),
        *covering((tall,), (1e-4, 1.0), RATIOS, (True, False), (False, True), (None,), CONTAINERS),
    ]
]


@pytest.mark.parametrize(("problem", "container"), GRID, ids=str)
def test_newton_reaches_the_standardised_minimum(problem, container):
    assert_minimum(fit(problem, CONTAINERS[container]), *solved(problem))


@pytest.mark.parametrize(
    ("problem", "container"),
    [
        (Problem(*values), container)
        for *values, container in covering(
            (overlapping, correlated, sparse_columns, in_odd_units),
            (0.03, 1.0),
            (0.5, 1.0),
            (True, False),
            (False, True),
            (None,),
            CONTAINERS,
        )
    ],
    ids=str,
)
def test_subgradients_of_the_standardised_penalty_hold(problem, container):
    """gⱼ = −κσⱼ·sign(wⱼ), or |gⱼ| <= κσⱼ where wⱼ = 0, and ∂F/∂b = 0, written out once more."""
    X, y = load(problem.data)
    s = np.ones(len(y)) if problem.weights is None else problem.weights
    model = fit(problem, CONTAINERS[container])
    w, b = model.coef_[0], model.intercept_[0]
    centres = s @ X / s.sum() if problem.fit_intercept else np.zeros(X.shape[1])
    sigma = np.sqrt(s @ (X - centres) ** 2 / s.sum())
    slope = s * (expit(X @ w + b) - y) / s.sum()
    strength = 1 / (problem.C * s.sum())
    g = X.T @ slope / sigma + (1 - problem.l1_ratio) * strength * sigma * w
    kappa = problem.l1_ratio * strength
    assert_allclose(g[w != 0], -kappa * np.sign(w[w != 0]), rtol=0, atol=1e-11)
    assert np.all(np.abs(g[w == 0]) <= kappa + 1e-11)
    if problem.fit_intercept:
        assert abs(slope.sum()) <= 1e-12


@pytest.mark.filterwarnings("ignore:Line search failed:sklearn.exceptions.ConvergenceWarning")
@every_pair(
    pytest.mark.parametrize("data", [overlapping, correlated, sparse_columns, wide]),
    pytest.mark.parametrize("C", [0.1, 1.0]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("weighted", [False, True]),
)
def test_weights_are_those_of_glum_with_scaled_predictors(data, C, l1_ratio, weighted):
    """In glum, alpha stands for 1/(C·S), and deviations take the sample weights."""
    problem = Problem(data, C, l1_ratio, weighted=weighted)
    X, y = load(data)
    glum = GeneralizedLinearRegressor(
        family="binomial",
        alpha=1 / (C * total_weights(y, problem.weights).sum()),
        l1_ratio=l1_ratio,
        scale_predictors=True,
        gradient_tol=1e-12,
        max_iter=300,
    ).fit(X, y, sample_weight=problem.weights)
    F, _ = solved(problem)
    assert kkt_excess(F, glum.coef_, glum.intercept_) <= OPTIMAL / 100
    assert_minimum(fit(problem), F, (glum.coef_, glum.intercept_))


# Units.


@every_pair(
    pytest.mark.parametrize("exponents", [(-12, 12), (-100, 160)]),
    pytest.mark.parametrize("container", ["dense-C", "CSR", "chunks"]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("fit_intercept", [True, False]),
)
def test_the_minimum_does_not_depend_on_units(fit_intercept, l1_ratio, container, exponents):
    """Units are powers of 2, so that the columns are the same but for their exponents."""
    X, y = load(correlated)
    units = 2.0 ** np.round(np.linspace(*exponents, 12) * np.log2(10))
    params = {"l1_ratio": l1_ratio, "fit_intercept": fit_intercept, "standardize": True}
    F = stated(X, y, **params)
    model = BCENeuronClassifier(**TIGHT | params)
    if container == "chunks":
        parts = np.array_split(np.arange(len(y)), 3)
        fit_from_chunks(model, lambda: ((X[rows] * units, y[rows]) for rows in parts))
    else:
        model.fit(CONTAINERS[container](X * units), y)
    assert model.converged_
    assert_close(model.coef_[0] * units, model.intercept_[0], *minimum_of(F), F)
    assert_array_equal(model.coef_[0] == 0, minimum_of(F)[0] == 0)
    assert_allclose(model.loss_curve_[-1], F.value(*minimum_of(F)), rtol=1e-13)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_float32_weights_are_near_the_float64_minimum(l1_ratio, container):
    X, y = load(correlated)
    X = (X * np.geomspace(1e-6, 1e6, 12)).astype(np.float32)
    params = {"C": 0.3, "l1_ratio": l1_ratio, "standardize": True}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    F = stated(X, y, **params)
    w, b = minimum_of(F)
    assert model.coef_.dtype == np.float32
    assert_close(model.coef_[0].astype(float), float(model.intercept_[0]), w, b, F, 1e-5)
    assert_array_equal(model.coef_[0] == 0, w == 0)


def with_constants(value):
    X, y = load(overlapping)
    return np.column_stack([np.full(len(y), value), X, np.zeros(len(y)), np.full(len(y), value)]), y


@every_pair(
    pytest.mark.parametrize("value", [1.0, 0.1, -7.3, 1e12, 1e-12]),
    pytest.mark.parametrize("container", ["dense-C", "dense-F", "CSR", "chunks"]),
    pytest.mark.parametrize(("C", "l1_ratio"), [(np.inf, 0), (1.0, 0), (1.0, 0.5), (1.0, 1.0)]),
    pytest.mark.parametrize("weighted", [False, True]),
    pytest.mark.parametrize("solver", ["newton", "gd"]),
)
def test_weights_of_constant_columns_are_exactly_0(solver, weighted, C, l1_ratio, container, value):
    X, y = with_constants(value)
    weight = random_weights(y) if weighted else np.ones(len(y))
    params = {"C": C, "l1_ratio": l1_ratio, "standardize": True}
    how = TIGHT if solver == "newton" else {"tol": 0, "max_iter": 3}
    model = BCENeuronClassifier(solver=solver, **how | params)
    if container == "chunks":
        parts = np.array_split(np.arange(len(y)), 3)
        fit_from_chunks(model, lambda: ((X[rows], y[rows], weight[rows]) for rows in parts))
    else:
        model.fit(CONTAINERS[container](X), y, sample_weight=weight)
    assert_array_equal(model.coef_[0, [0, 6, 7]], 0.0)
    if solver == "newton":
        F = stated(X[:, 1:6], y, weight, **params)
        assert model.converged_
        assert_close(model.coef_[0, 1:6], model.intercept_[0], *minimum_of(F), F)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_without_an_intercept_a_constant_column_is_one_of_deviation_about_0(l1_ratio, container):
    X, y = with_constants(0.1)
    X = X[:, :7]
    params = {"l1_ratio": l1_ratio, "fit_intercept": False, "standardize": True}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    assert_minimum(model, stated(X, y, **params))
    assert model.coef_[0, 6] == 0


def test_a_column_that_only_samples_without_weight_make_vary_is_constant():
    X, y = load(overlapping)
    weight = np.ones(len(y))
    weight[:7] = 0
    X = np.column_stack([X, np.where(weight == 0, 5.0, 0.1)])
    for container in CONTAINERS.values():
        model = BCENeuronClassifier(standardize=True, **TIGHT).fit(container(X), y, weight)
        assert model.coef_[0, 5] == 0
        F = stated(X[7:, :5], y[7:], standardize=True)
        assert_close(model.coef_[0, :5], model.intercept_[0], *minimum_of(F), F)


# Large, sparse and chunked data.


@pytest.mark.parametrize("C", [0.01, 1.0])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("container", [np.asarray, sp.csr_array, sp.csr_matrix])
def test_the_standardised_minimum_is_reached_on_text(container, fit_intercept, C):
    """3000 words, many of which occur in no row; the reference works in the 200 rows."""
    rng = np.random.default_rng(32)
    frequencies = 1 / np.arange(10, 3010)
    words = rng.choice(3000, size=(200, 40), p=frequencies / frequencies.sum())
    X = np.zeros((200, 3000))
    np.add.at(X, (np.repeat(np.arange(200), 40), words.ravel()), 1.0)
    X /= np.linalg.norm(X, axis=1)[:, None]
    y = noisy_labels(4 * (X @ rng.normal(size=3000)), rng, flipped=0.05)
    params = {"C": C, "fit_intercept": fit_intercept, "standardize": True}
    model = BCENeuronClassifier(**TIGHT | params).fit(container(X), y)
    _, sigma = moments(X, np.ones(200), fit_intercept)
    used = sigma > 0
    optimum = reference_of_ridge(X[:, used] / sigma[used], y, C=C, fit_intercept=fit_intercept)
    assert used.sum() < 2500
    assert model.converged_
    assert_array_equal(model.coef_[0, ~used], 0.0)
    in_deviations = model.coef_[0, used] * sigma[used]
    assert_allclose(in_deviations, optimum.coef, rtol=RTOL, atol=1e-10 * np.abs(optimum.coef).max())
    assert_allclose(model.intercept_[0], optimum.intercept, rtol=RTOL, atol=1e-12)


def test_standardising_csr_does_not_make_the_matrix_dense():
    rng = np.random.default_rng(33)
    X = sp.random_array((40_000, 1500), density=0.005, format="csr", rng=rng)
    y = (X @ rng.normal(size=1500) + 0.3 * rng.normal(size=40_000) > 0).astype(int)
    dense_bytes = X.shape[0] * X.shape[1] * 8
    for l1_ratio in (0.0, 1.0):
        model = BCENeuronClassifier(C=0.01, l1_ratio=l1_ratio, standardize=True)
        tracemalloc.start()
        try:
            model.fit(X, y)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert model.converged_
        assert peak < dense_bytes / 4


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("data", [overlapping, correlated, sparse_columns, in_odd_units])
@pytest.mark.parametrize("l1_ratio", RATIOS)
def test_chunks_and_dask_reach_the_standardised_minimum(l1_ratio, data, fit_intercept):
    da, dask = pytest.importorskip("dask.array"), pytest.importorskip("dask")
    from sklearn_bce.dask import DaskBCENeuronClassifier

    problem = Problem(data, 0.3, l1_ratio, fit_intercept, weighted=True, class_weight="balanced")
    X, y, weight = *load(data), problem.weights
    F, expected = solved(problem)
    for kind in (np.asarray, sp.csr_array):
        for n_parts in (2, 7):
            parts = np.array_split(np.arange(len(y)), n_parts)
            model = fit_from_chunks(
                BCENeuronClassifier(**TIGHT | problem.params),
                lambda kind=kind, parts=parts: (
                    (kind(X[rows]), y[rows], weight[rows]) for rows in parts
                ),
            )
            assert_minimum(model, F, expected)
    x = da.from_array(X, chunks=(90, X.shape[1]))
    y, weight = (da.from_array(each, chunks=90) for each in (y, weight))
    with dask.config.set(scheduler="synchronous"):
        for blocks in (x, x.map_blocks(sp.csr_array, meta=sp.csr_array((0, X.shape[1])))):
            model = DaskBCENeuronClassifier(**TIGHT | problem.params).fit(blocks, y, weight)
            assert_minimum(model, F, expected)


def test_chunks_of_columns_far_off_centre_keep_their_deviations():
    """Means of 1e6 deviations: sums of squares about 0 would leave no digits."""
    rng = np.random.default_rng(34)
    U = rng.normal(size=(600, 3))
    y = noisy_labels(U @ [1, -2, 0.5], rng)
    X = np.round(U * 2**10) / 2**10 + [1e6, -1e6, 3e5]
    params = {"C": 0.01, "standardize": True}
    F = stated(X, y, **params)
    parts = np.array_split(np.arange(600), 7)
    model = fit_from_chunks(
        BCENeuronClassifier(**TIGHT | params), lambda: ((X[rows], y[rows]) for rows in parts)
    )
    for fitted in (model, BCENeuronClassifier(**TIGHT | params).fit(X, y)):
        assert_close(fitted.coef_[0], fitted.intercept_[0], *minimum_of(F), F)


# Other solvers, starts and held-out samples.


@every_pair(
    pytest.mark.parametrize("data", [correlated, sparse_columns]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("weighted", [False, True]),
)
def test_gd_reaches_the_standardised_minimum(weighted, fit_intercept, container, l1_ratio, data):
    problem = Problem(data, 0.3, l1_ratio, fit_intercept, weighted)
    model = fit(problem, CONTAINERS[container], solver="gd", tol=0, max_iter=5000)
    F, expected = solved(problem)
    assert kkt_excess(F, model.coef_[0], model.intercept_[0]) <= OPTIMAL
    assert_close(model.coef_[0], model.intercept_[0], *expected, F)


@every_pair(
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
)
def test_sgd_reaches_the_standardised_minimum(fit_intercept, container, l1_ratio):
    problem = Problem(sparse_columns, 0.1, l1_ratio, fit_intercept, True)
    model = fit(problem, CONTAINERS[container], solver="sgd", tol=0, max_iter=2000, random_state=0)
    F, expected = solved(problem)
    distance = F.value(model.coef_[0], model.intercept_[0]) - F.value(*expected)
    assert -1e-14 <= distance <= 1e-6
    if l1_ratio > 0:
        assert np.any(expected[0] == 0)
        clear = stated(*load(sparse_columns), problem.weights, **problem.params)
        assert kkt_excess(clear, *expected) <= OPTIMAL


@pytest.mark.parametrize("solver", ["auto", "sgd"])
@pytest.mark.parametrize("fitted", [False, True])
def test_partial_fit_refuses_to_standardise(solver, fitted):
    X, y = load(overlapping)
    model = BCENeuronClassifier(solver=solver)
    if fitted:
        model.partial_fit(scale(X), y, classes=[0, 1])
    model.set_params(standardize=True)
    assert_raises_and_changes_nothing(
        model, ValueError, "standardize", lambda model: model.partial_fit(X, y, classes=[0, 1])
    )


@pytest.mark.parametrize("value", ["yes", 1.5, None, 2])
def test_standardize_that_is_no_bool_is_an_error(value):
    X, y = load(overlapping)
    assert_raises_and_changes_nothing(
        BCENeuronClassifier(standardize=value),
        (ValueError, TypeError),
        "standardize",
        lambda model: model.fit(X, y),
    )


@pytest.mark.parametrize("l1_ratio", RATIOS)
@pytest.mark.parametrize("data", [raw, sparse_columns, wide])
def test_a_warm_start_along_C_reaches_each_standardised_minimum(data, l1_ratio):
    X, y = load(data)
    kind = sp.csr_array(X) if data is sparse_columns else X
    model = BCENeuronClassifier(warm_start=True, l1_ratio=l1_ratio, standardize=True, **TIGHT)
    for C in (0.03, 0.3, 3.0, 0.1):
        model.set_params(C=C).fit(kind, y)
        assert_minimum(model, stated(X, y, C=C, l1_ratio=l1_ratio, standardize=True))
    for standardize in (False, True):
        model.set_params(standardize=standardize).fit(kind, y)
        assert_minimum(model, stated(X, y, C=0.1, l1_ratio=l1_ratio, standardize=standardize))


@every_pair(
    pytest.mark.parametrize("solver", ["newton", "gd", "sgd"]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", [np.asarray, sp.csr_array]),
)
def test_samples_held_out_do_not_count_in_the_deviations(container, l1_ratio, solver):
    """The split of `early_stopping` is that of train_test_split; a fit to its part is the same."""
    rng = np.random.default_rng(35)
    X = np.sinh(2 * rng.normal(size=(160, 4)))  # heavy tails: the deviations depend on the split
    X /= X.std(axis=0)
    y = noisy_labels(X @ [1, -1, 0.5, 0], rng)
    weight = rng.uniform(0.2, 3, 160)
    model = BCENeuronClassifier(
        solver=solver,
        l1_ratio=l1_ratio,
        C=0.02,
        standardize=True,
        early_stopping=True,
        validation_fraction=0.3,
        tol=0,
        max_iter=20,
        random_state=0,
    )
    model.fit(container(X), y, sample_weight=weight)
    stream = np.random.RandomState(0)  # goes on to the order of sgd
    parts = train_test_split(np.arange(160), test_size=0.3, stratify=y, random_state=stream)
    training, others = (np.sort(rows) for rows in parts)
    by_hand = (
        clone(model)
        .set_params(random_state=stream)
        .fit(
            container(X[training]),
            y[training],
            sample_weight=weight[training],
            X_val=container(1e3 * X[others]) * 1e-3,
            y_val=y[others],
            sample_weight_val=weight[others],
        )
    )
    assert_allclose(model.coef_, by_hand.coef_, rtol=1e-10)
    assert_allclose(model.loss_curve_, by_hand.loss_curve_, rtol=1e-10)
    F = stated(
        X[training], y[training], weight[training], C=0.02, l1_ratio=l1_ratio, standardize=True
    )
    if solver == "newton":
        model.set_params(early_stopping=False, tol=1e-20).fit(
            container(X[training]),
            y[training],
            sample_weight=weight[training],
            X_val=1e3 * X[others],
            y_val=y[others],
        )
        assert_minimum(model, F)
    else:
        curve = model.loss_curve_ if solver == "gd" else []
        assert all(value >= F.value(*minimum_of(F)) - 1e-12 for value in curve)


def test_a_search_over_standardize_scores_as_pipelines_do():
    X, y = load(raw)
    grid = {"standardize": [False, True], "C": [0.01, 1.0]}
    search = GridSearchCV(
        BCENeuronClassifier(tol=1e-14), grid, scoring="neg_log_loss", cv=4, error_score="raise"
    ).fit(X, y)
    logistic = LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=1000)
    pipeline = GridSearchCV(
        make_pipeline(StandardScaler(), logistic),
        {"logisticregression__C": [0.01, 1.0]},
        scoring="neg_log_loss",
        cv=4,
    ).fit(X, y)
    results = search.cv_results_
    scores = results["mean_test_score"][[each["standardize"] for each in results["params"]]]
    assert_allclose(scores, pipeline.cv_results_["mean_test_score"], rtol=1e-7)
    others = results["mean_test_score"][[not each["standardize"] for each in results["params"]]]
    assert np.all(np.abs(others - scores) > 1e-4)


@each_value(
    pytest.mark.parametrize("data", [raw, overlapping, correlated]),
    pytest.mark.parametrize("container", CONTAINERS),
)
def test_without_a_penalty_standardising_changes_nothing(data, container):
    X, y = load(data) if data is not raw else load(in_odd_units)
    X = CONTAINERS[container](X)
    plain, standardised = (
        BCENeuronClassifier(C=np.inf, standardize=standardize, **TIGHT).fit(X, y)
        for standardize in (False, True)
    )
    F = stated(X, y, C=np.inf)
    assert_minimum(standardised, F, (plain.coef_[0], plain.intercept_[0]))


@each_value(
    pytest.mark.parametrize("l1_ratio", [0.5, 1.0]),
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("data", [raw, sparse_columns, wide]),
)
def test_l1_min_c_of_standardised_columns_is_the_largest_C_without_weights(
    data, container, l1_ratio
):
    """It is that of the columns that StandardScaler makes."""
    X, y = load(data)
    kind = CONTAINERS[container]
    params = {"l1_ratio": l1_ratio, "standardize": True}
    C = l1_min_c(kind(X), y, **params)
    slopes = np.abs(StandardScaler().fit_transform(X).T @ (y.mean() - y))
    assert_allclose(C, l1_ratio / slopes.max(), rtol=1e-10)
    assert np.all(BCENeuronClassifier(C=C * (1 - 1e-9), **params).fit(kind(X), y).coef_ == 0)
    assert np.any(BCENeuronClassifier(C=1.001 * C, **params).fit(kind(X), y).coef_ != 0)
