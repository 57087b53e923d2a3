"""`standardize=True` against pipelines with StandardScaler and the conditions of optimality.

A pipeline penalises the weights of standardised columns. Divided by the deviations, these are the
weights in the user's units that `standardize=True` must find. glum, sgd in order and `l1_min_c` are
compared in test_penalty_factor.py, with `standardize` among their parameters.
"""

import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from covering import covering, each_once, each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from stated_objective import (
    CLASS_WEIGHTS,
    CONTAINERS,
    OPTIMAL,
    PARTS,
    RATIOS,
    TIGHT,
    Problem,
    assert_close,
    assert_minimum,
    assert_raises_and_changes_nothing,
    assert_solved,
    assert_solved_without_convergence,
    correlated,
    fit,
    fit_in,
    in_odd_units,
    kkt_excess,
    load,
    minimum_of,
    noisy_labels,
    objective_of,
    overlapping,
    random_weights,
    raw,
    reference,
    sparse_columns,
    stated,
    tall,
    wide,
)

from sklearn_bce import BCENeuronClassifier


def standardised(*values):
    return Problem(*values, standardize=True)


# Pipelines.


PIPELINES = [
    (standardised(data, C, 0.0, *others), container)
    for data, C, *others, container in covering(
        (raw, overlapping, correlated, sparse_columns, in_odd_units),
        (0.01, 1.0),
        (True, False),
        (False, True),
        CLASS_WEIGHTS,
        CONTAINERS,
    )
]


@pytest.mark.parametrize(("problem", "container"), PIPELINES, ids=str)
def test_weights_are_those_of_a_pipeline_in_the_units_of_the_user(problem, container):
    """StandardScaler takes the sample weights, and LogisticRegression both kinds of weights.

    StandardScaler does not centre CSR, which changes no weight. Without an intercept, the
    deviations are about 0; these are written out.
    """
    X, y = load(problem.data)
    columns = CONTAINERS[container](X)
    logistic = LogisticRegression(
        C=problem.C,
        solver="newton-cholesky",
        tol=1e-12,
        max_iter=1000,
        class_weight=problem.params["class_weight"],
        fit_intercept=problem.fit_intercept,
    )
    if problem.fit_intercept:
        scaler = StandardScaler(with_mean=container != "CSR")
        make_pipeline(scaler, logistic).fit(
            columns,
            y,
            standardscaler__sample_weight=problem.weights,
            logisticregression__sample_weight=problem.weights,
        )
        deviations, centres = scaler.scale_, 0.0 if container == "CSR" else scaler.mean_
    else:
        deviations, centres = np.sqrt(np.average(X**2, axis=0, weights=problem.weights)), 0.0
        logistic.fit(X / deviations, y, sample_weight=problem.weights)
    w = logistic.coef_[0] / deviations
    b = logistic.intercept_[0] - np.sum(centres * w)
    F = objective_of(problem)
    assert kkt_excess(F, w, b) <= OPTIMAL / 100  # newton-cholesky really reaches the minimum
    assert_minimum(fit(problem, container), F, (w, b))
    assert_close(*reference(problem), w, b, F)


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


# Any two values of two parameters occur together in one of the problems of the first covering.
GRID = [
    (standardised(*values), kind)
    for *values, kind in [
        *covering(
            (raw, overlapping, correlated, sparse_columns, in_odd_units),
            (0.03, 1.0, 30.0),
            RATIOS,
            (True, False),
            (False, True),
            CLASS_WEIGHTS,
            (*CONTAINERS, *PARTS),
        ),
        *each_once(
            (wide,), (0.1, 1.0), RATIOS, (True, False), (False, True), ("none",), CONTAINERS
        ),
        *each_once(
            (tall,), (1e-4, 1.0), RATIOS, (True, False), (False, True), ("none",), CONTAINERS
        ),
        *each_once(
            (correlated, sparse_columns, in_odd_units),
            (0.3,),
            RATIOS,
            (True, False),
            (True,),
            ("balanced",),
            ("Dask", "CSR Dask"),
        ),
    ]
]


@pytest.mark.parametrize(("problem", "kind"), GRID, ids=str)
def test_newton_reaches_the_standardised_minimum(problem, kind):
    assert_solved(fit(problem, kind), problem)


# Units.


@every_pair(
    pytest.mark.parametrize("exponents", [(-12, 12), (-100, 160)]),
    pytest.mark.parametrize("kind", ["dense-C", "CSR", "chunks"]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("fit_intercept", [True, False]),
)
def test_the_minimum_does_not_depend_on_units(fit_intercept, l1_ratio, kind, exponents):
    """Units are powers of 2, so that the columns are the same but for their exponents."""
    X, y = load(correlated)
    units = 2.0 ** np.round(np.linspace(*exponents, 12) * np.log2(10))
    problem = standardised(correlated, 1.0, l1_ratio, fit_intercept)
    F, expected = objective_of(problem), reference(problem)
    model = fit_in(kind, BCENeuronClassifier(**TIGHT | problem.params), X * units, y)
    assert model.converged_
    assert_close(model.coef_[0] * units, model.intercept_[0], *expected, F)
    assert_array_equal(model.coef_[0] == 0, expected[0] == 0)
    assert_allclose(model.loss_curve_[-1], F.value(*expected), rtol=1e-13)


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("l1_ratio", RATIOS),
)
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
    pytest.mark.parametrize("value", [0.1, 1e12, 1e-12]),
    pytest.mark.parametrize("kind", ["dense-C", "CSR", "chunks"]),
    pytest.mark.parametrize(("C", "l1_ratio"), [(np.inf, 0), (1.0, 0), (1.0, 0.5)]),
    pytest.mark.parametrize("weighted", [False, True]),
    pytest.mark.parametrize("solver", ["newton", "gd"]),
)
def test_weights_of_constant_columns_are_exactly_0(solver, weighted, C, l1_ratio, kind, value):
    X, y = with_constants(value)
    weight = random_weights(y) if weighted else None
    params = {"C": C, "l1_ratio": l1_ratio, "standardize": True}
    how = TIGHT if solver == "newton" else {"tol": 0, "max_iter": 3}
    model = fit_in(kind, BCENeuronClassifier(solver=solver, **how | params), X, y, weight)
    assert_array_equal(model.coef_[0, [0, 6, 7]], 0.0)
    if solver == "newton":
        F = stated(X[:, 1:6], y, weight, **params)
        assert model.converged_
        assert_close(model.coef_[0, 1:6], model.intercept_[0], *minimum_of(F), F)


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("l1_ratio", RATIOS),
)
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


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("C", [0.01, 1.0]),
)
def test_the_standardised_minimum_is_reached_on_text(C, fit_intercept, container):
    """Most of the 300 words are in few of the rows, and many in none."""
    rng = np.random.default_rng(32)
    frequencies = 1 / np.arange(10, 310)
    words = rng.choice(300, size=(40, 10), p=frequencies / frequencies.sum())
    X = np.zeros((40, 300))
    np.add.at(X, (np.repeat(np.arange(40), 10), words.ravel()), 1.0)
    X /= np.linalg.norm(X, axis=1)[:, None]
    y = noisy_labels(4 * (X @ rng.normal(size=300)), rng, flipped=0.05)
    params = {"C": C, "fit_intercept": fit_intercept, "standardize": True}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    used = X.any(axis=0)
    assert 150 < used.sum() < 250
    assert_array_equal(model.coef_[0, ~used], 0.0)
    F = stated(X[:, used], y, **params)
    assert model.converged_
    assert_close(model.coef_[0, used], model.intercept_[0], *minimum_of(F), F)


def test_standardising_csr_does_not_make_the_matrix_dense():
    rng = np.random.default_rng(33)
    X = sp.random(10_000, 1500, density=0.005, format="csr", random_state=rng)
    y = (X @ rng.normal(size=1500) + 0.3 * rng.normal(size=10_000) > 0).astype(int)
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


def test_chunks_of_columns_far_off_centre_keep_their_deviations():
    """Means of 1e6 deviations: sums of squares about 0 would leave no digits."""
    rng = np.random.default_rng(34)
    U = rng.normal(size=(600, 3))
    y = noisy_labels(U @ [1, -2, 0.5], rng)
    X = np.round(U * 2**10) / 2**10 + [1e6, -1e6, 3e5]
    params = {"C": 0.01, "standardize": True}
    F = stated(X, y, **params)
    for kind in ("chunks", "dense-C"):
        model = fit_in(kind, BCENeuronClassifier(**TIGHT | params), X, y)
        assert_close(model.coef_[0], model.intercept_[0], *minimum_of(F), F)


# Other solvers, starts and held-out samples.


@each_value(
    pytest.mark.parametrize("data", [correlated, sparse_columns]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("weighted", [False, True]),
)
def test_gd_reaches_the_standardised_minimum(weighted, fit_intercept, container, l1_ratio, data):
    problem = standardised(data, 0.3, l1_ratio, fit_intercept, weighted)
    model = fit(problem, container, solver="gd", tol=0, max_iter=3000)
    assert_solved_without_convergence(model, problem)


@each_value(
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
)
def test_sgd_reaches_the_standardised_minimum(fit_intercept, container, l1_ratio):
    problem = standardised(sparse_columns, 0.1, l1_ratio, fit_intercept, True)
    model = fit(problem, container, solver="sgd", tol=0, max_iter=300, random_state=0)
    F = objective_of(problem)
    distance = F.value(model.coef_[0], model.intercept_[0]) - F.value(*reference(problem))
    assert -1e-14 <= distance <= 1e-6


@each_value(
    pytest.mark.parametrize("solver", ["auto", "sgd"]),
    pytest.mark.parametrize("fitted", [False, True]),
)
def test_partial_fit_refuses_to_standardise(solver, fitted):
    X, y = load(overlapping)
    model = BCENeuronClassifier(solver=solver)
    if fitted:
        model.partial_fit(scale(X), y, classes=[0, 1])
    model.set_params(standardize=True)
    assert_raises_and_changes_nothing(
        model,
        "standardize",
        lambda model: model.partial_fit(X, y, classes=[0, 1]),
        AttributeError,
    )


@pytest.mark.parametrize("value", ["yes", 1.5, None, 2])
def test_standardize_that_is_no_bool_is_an_error(value):
    X, y = load(overlapping)
    assert_raises_and_changes_nothing(
        BCENeuronClassifier(standardize=value),
        "standardize",
        lambda model: model.fit(X, y),
    )


@each_value(
    pytest.mark.parametrize("l1_ratio", RATIOS),
    pytest.mark.parametrize("data", [overlapping, sparse_columns, wide]),
)
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


@pytest.mark.filterwarnings("ignore:After the first iteration the mean loss on X_val")
@each_value(
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
