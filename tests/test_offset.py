"""An offset, a known term of each linear output: objective, solvers, estimators, checks.

Expected values come from statsmodels, from SciPy, from the mathematics written out here, or from
samples without an offset that say the same.
"""

import pickle
import warnings
from functools import reduce
from operator import add

import dask.array as da
import dask.dataframe as dd
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import statsmodels.api as sm
from covering import each_value, pairwise
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import approx_fprime, brentq
from scipy.special import expit
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_validate, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from small_data import naming
from stated_objective import CONTAINERS, kkt_excess, minimum_of, plain_sgd, stated

from sklearn_bce import BCENeuronClassifier, fit_from_chunks, l1_min_c
from sklearn_bce._estimator.chunks import estimated_log_odds, subsample_objective
from sklearn_bce._estimator.targets import TargetEncoder
from sklearn_bce._objective.base import SomeSamples
from sklearn_bce._objective.in_memory import InMemoryObjective, intercept_at_zero_weights
from sklearn_bce._objective.partitioned import Encoding, PartitionedObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.root import curvature_root, row_matrix
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._objective.summary import summarise
from sklearn_bce._solvers.newton.duality import duality_gap
from sklearn_bce._solvers.newton.robust import find_beyond, outputs_and_rounding
from sklearn_bce._solvers.newton.tangents import find_left_out
from sklearn_bce._solvers.newton.whitening import whiten
from sklearn_bce.dask import DaskBCENeuronClassifier

N, P = 400, 4
UNITS, SHIFT = np.array([1.0, 10.0, 0.1, 2.0]), np.array([0.0, 100.0, 0.0, 3.0])
rng = np.random.default_rng(0)
X = rng.normal(size=(N, P)) * UNITS + SHIFT
OFFSET = rng.normal(-2.0, 2.0, N)
Y = (rng.random(N) < expit(OFFSET + (X - SHIFT) @ [1.0, -0.05, 5.0, 0.3])).astype(int)
WEIGHT = rng.uniform(0.5, 2.0, N)
F = stated(X, Y, WEIGHT, offset=OFFSET)
WIDE, WIDE_Y = rng.normal(size=(40, 100)), np.arange(40) % 2
KINDS = CONTAINERS | {"float32": np.float32}
# Precision of a minimum for float32, whose passes are in float64 for small data: that of X.
TOL = {"float32": 1e-5}


def neuron(**parameters):
    return BCENeuronClassifier(**{"tol": 1e-12, "random_state": 0} | parameters)


def excess(model, X, y, weight, offset):
    """Return the violation of the conditions of optimality: it is 0 at the minimum of F only."""
    params = {name: getattr(model, name) for name in ("C", "l1_ratio", "fit_intercept")}
    F = stated(X, y, weight, offset=offset, **params)
    return kkt_excess(F, model.coef_[0].astype(float), model.intercept_[0])


def glm(X, y, offset, weight=None, constant=True):
    """Return the fit of statsmodels, its constant last."""
    Z = np.column_stack([X, np.ones(len(X))]) if constant else X
    binomial = sm.families.Binomial()
    return sm.GLM(y, Z, binomial, offset=offset, freq_weights=weight).fit(tol=1e-14, maxiter=60)


# ----- the minimum --------------------------------------------------------------------------------


@each_value(
    pytest.mark.parametrize("container", KINDS), pytest.mark.parametrize("constant", [True, False])
)
def test_without_a_penalty_the_weights_are_those_of_statsmodels(container, constant):
    expected = glm(X - SHIFT, Y, OFFSET, WEIGHT, constant).params
    model = neuron(C=np.inf, fit_intercept=constant)
    model.fit(KINDS[container](X - SHIFT), Y, WEIGHT, offset=OFFSET)
    found = np.append(model.coef_[0], model.intercept_[0] if constant else [])
    assert model.converged_
    assert_allclose(found, expected, rtol=TOL.get(container, 1e-6))


@pytest.mark.parametrize(
    *pairwise(
        container=KINDS,
        C=[0.01, 1.0, np.inf],
        l1_ratio=[0.0, 0.5, 1.0],
        fit_intercept=[True, False],
        soft=[False, True],
        shape=["tall", "wide"],
    )
)
def test_newton_ends_where_the_subgradient_of_F_is_0(
    container, C, l1_ratio, fit_intercept, soft, shape
):
    data, y, offset = X, Y, OFFSET
    if shape == "wide":  # without a penalty there is no minimum
        data, y, offset, C = WIDE, WIDE_Y, OFFSET[:40], min(C, 1.0)
    weight, l1_ratio = WEIGHT[: len(y)], 0.0 if np.isinf(C) else l1_ratio
    y = 0.1 + 0.8 * y if soft else y
    model = neuron(C=C, l1_ratio=l1_ratio, fit_intercept=fit_intercept, soft_targets=soft)
    model.fit(KINDS[container](data), y, weight, offset=offset)
    assert model.converged_
    data = data.astype(np.float32).astype(float) if container == "float32" else data
    assert excess(model, data, y, weight, offset) <= TOL.get(container, 2e-7)


@pytest.mark.parametrize("container", ["dense-C", "CSR"])
def test_gd_and_newton_end_at_the_minimum_that_SciPy_finds(container):
    data = (X - X.mean(0)) / X.std(0)
    F = stated(data, Y, WEIGHT, offset=OFFSET)
    least = F.value(*minimum_of(F))
    for solver in ("newton", "gd"):
        model = neuron(solver=solver, tol=1e-9, max_iter=10_000)
        model.fit(KINDS[container](data), Y, WEIGHT, offset=OFFSET)
        assert model.converged_
        found = F.value(model.coef_[0], model.intercept_[0])
        assert_allclose([found, model.loss_curve_[-1]], least, atol=1e-9)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_a_fit_to_rates_starts_from_a_subsample_and_ends_at_the_minimum(l1_ratio, monkeypatch):
    """60 000 samples with log exposures of −8 ± 3."""
    rng = np.random.default_rng(1)
    monkeypatch.setattr("sklearn_bce._solvers.newton.subsample.WORTH_A_SAMPLE", 1.0)
    n = 60_000
    data, offset = rng.normal(size=(n, 10)), rng.normal(-8.0, 3.0, n)
    y = (rng.random(n) < expit(offset + 2 + data @ np.linspace(-1, 1, 10))).astype(int)
    model = neuron(C=np.inf if l1_ratio == 0 else 1.0, l1_ratio=l1_ratio).fit(
        data, y, offset=offset
    )
    assert not model.n_passes_.is_integer()  # rows of the subsample count as a fraction
    assert model.n_passes_ < 15
    assert excess(model, data, y, np.ones(n), offset) <= 1e-8


@pytest.mark.parametrize(
    *pairwise(kind=["-20", "-30 and 30", "label"], l1_ratio=[0.0, 0.5], fit_intercept=[True, False])
)
def test_newton_ends_at_the_minimum_from_offsets_far_from_0(kind, l1_ratio, fit_intercept):
    offset = {
        "-20": np.full(N, -20.0),
        "-30 and 30": np.where(np.arange(N) % 2, 30.0, -30.0),
        "label": 40.0 * (0.5 - Y),  # the wrong class is nearly certain for every sample
    }[kind]
    data = (X - X.mean(0)) / X.std(0)
    model = neuron(l1_ratio=l1_ratio, fit_intercept=fit_intercept).fit(data, Y, offset=offset)
    assert model.converged_
    assert excess(model, data, Y, np.ones(N), offset) <= 1e-6


def test_a_constant_offset_only_moves_the_intercept():
    plain = neuron().fit(X, Y, WEIGHT)
    model = neuron().fit(X, Y, WEIGHT, offset=3)
    assert_allclose(model.coef_, plain.coef_, rtol=1e-6)
    assert_allclose(model.intercept_ + 3, plain.intercept_, rtol=1e-6)


def test_an_offset_moves_the_largest_C_without_weights():
    C = l1_min_c(X, Y, sample_weight=WEIGHT, offset=OFFSET)
    assert pytest.approx(l1_min_c(X, Y, sample_weight=WEIGHT), rel=0.01) != C
    for factor, n_weights in [(0.999, 0), (1.001, 1)]:
        model = neuron(C=factor * C, l1_ratio=1.0).fit(X, Y, WEIGHT, offset=OFFSET)
        assert np.count_nonzero(model.coef_) == n_weights
        assert excess(model, X, Y, WEIGHT, OFFSET) <= 1e-7


def test_a_warm_start_with_another_offset_ends_at_its_minimum():
    """The fit before, to the same X and with an L1 norm, leaves curvature for the next one."""
    model = neuron(l1_ratio=0.5, warm_start=True).fit(X, Y, WEIGHT, offset=OFFSET)
    model.fit(X, Y, WEIGHT, offset=OFFSET[::-1])
    assert excess(model, X, Y, WEIGHT, OFFSET[::-1]) <= 1e-7


# ----- the objective ------------------------------------------------------------------------------


class Parts:
    """Samples in three parts."""

    def __init__(self, *arrays):
        self.parts = [[array[k::3] for array in arrays] for k in range(3)]

    def sum(self, ask):
        answers = [ask(k, *map(np.ascontiguousarray, part)) for k, part in enumerate(self.parts)]
        return [reduce(add, items) for items in zip(*answers, strict=True)]


def in_memory(offset=OFFSET, fit_intercept=True, l1_ratio=0.0, data=X, C=1.0, y=Y):
    return InMemoryObjective.in_user_units(
        data,
        y.astype(float),
        WEIGHT,
        ElasticNet.of(C, l1_ratio, np.sum(WEIGHT)),
        fit_intercept,
        offset=offset,
    )


def both(offset=OFFSET):
    """Return F in memory and in parts, in standard coordinates."""
    problem = in_memory(offset).standardised()
    encoding = Encoding(lambda y, s: (y, s), problem.coordinates, problem.total_weight)
    parts = Parts(X, problem.y, problem.sample_weight, offset)
    outside = PartitionedObjective(
        parts,
        problem.data_size,
        encoding,
        problem.penalty,
        problem.log_odds,
        has_offset=True,
    )
    return problem, outside


@each_value(
    pytest.mark.parametrize("container", KINDS),
    pytest.mark.parametrize("fit_intercept", [True, False]),
)
def test_value_and_derivatives_are_those_of_outputs_with_the_offset(container, fit_intercept):
    problem = in_memory(data=KINDS[container](X), fit_intercept=fit_intercept).standardised()
    theta = np.linspace(-0.5, 0.7, problem.coordinates.size)
    w, b = problem.coordinates.to_user(theta)
    point = problem.evaluate(theta, hessian=True)
    z = OFFSET + b + X @ w
    assert_allclose(point.z, z, rtol=1e-5, atol=1e-5)
    assert_allclose(problem.linear_outputs(theta), point.z, rtol=1e-12, atol=1e-12)
    assert_allclose(problem.outputs(theta), point.z - OFFSET, rtol=1e-12, atol=1e-12)
    assert_allclose(problem.evaluate(theta, point.z).gradient, point.gradient, rtol=1e-12)
    assert_allclose([point.value, problem.value_at(theta)], F.value(w, b), rtol=1e-6)
    gradient = approx_fprime(theta, problem.value_at, 1e-7)
    assert_allclose(point.gradient, gradient, atol=1e-6)
    product = problem.curvature_product(point, theta)[0]
    assert_allclose(product, point.hessian @ theta, rtol=1e-9, atol=1e-12)


def test_F_in_parts_is_F_in_memory():
    inside, outside = both()
    theta = np.linspace(-0.5, 0.7, P + 1)
    one, other = (problem.evaluate(theta, hessian=True) for problem in (inside, outside))
    assert_allclose(other.value, one.value, rtol=1e-13)
    assert_allclose(other.gradient, one.gradient, rtol=1e-10, atol=1e-14)
    assert_allclose(other.hessian, one.hessian, rtol=1e-10, atol=1e-14)
    assert_allclose(outside.value_at(theta), one.value, rtol=1e-13)
    assert_allclose(outside.origin, inside.origin, rtol=1e-13)
    assert_allclose(outside.value_at_origin, inside.value_at_origin, rtol=1e-13)
    for problem, point in ((inside, one), (outside, other)):
        point.curvature = problem.majorising_curvature(point.z)
    products = [q.curvature_product(at, theta)[0] for q, at in ((inside, one), (outside, other))]
    assert_allclose(*products, rtol=1e-12)


def test_random_samples_keep_their_offset():
    """The offset is a copy of the only column, and more samples are drawn than are kept."""
    data, offset = X[:, [1]], X[:, 1].copy()
    problem = in_memory(offset, data=data)
    sample = problem.subsample(50, np.random.RandomState(0))
    assert 20 < sample.n_samples <= 50
    assert_array_equal(sample.offset, sample.X[:, 0])
    summary = summarise(Parts(data, Y, WEIGHT, offset), 0, soft_targets=False)
    assert summary.has_offset
    for drawn in summary.samples.values():
        assert len(drawn.y) == drawn.k < drawn.n_samples
        assert_array_equal(drawn.offset, drawn.X[:, 0])
    coordinates, encoder = problem.coordinates, TargetEncoder(np.array([0, 1]), None, False)
    sample = subsample_objective(summary, encoder, problem.penalty, coordinates)
    assert_array_equal(sample.offset, sample.X[:, 0])
    assert estimated_log_odds(summary, encoder) == pytest.approx(sample.log_odds, rel=1e-12)


@pytest.mark.parametrize("kind", ["-20", "-30 and 30", "spread", "none"])
def test_the_intercept_at_weights_of_0_gives_the_mean_of_y(kind):
    rng = np.random.default_rng(1)
    n = 200
    offset = {
        "-20": np.full(n, -20.0),
        "-30 and 30": np.where(np.arange(n) < 50, -30.0, 30.0),
        "spread": rng.normal(-3, 8, n),
        "none": np.zeros(n),
    }[kind]
    p = rng.uniform(0.5, 1.5, n)
    p /= p.sum()
    for mean in (1e-9, 0.01, 0.3, 0.5, 0.97, 1 - 1e-9):
        with naming(mean):
            c = intercept_at_zero_weights(np.full(n, mean), p, offset)
            small = min(mean, 1 - mean)
            sign = 1 if mean < 0.5 else -1
            assert p @ expit(sign * (c + offset)) == pytest.approx(small, rel=1e-9)
            if small > 1e-3:
                expected = brentq(lambda c, mean=mean: p @ expit(c + offset) - mean, -100, 100)
                assert c == pytest.approx(expected, abs=1e-6)


def test_the_origin_is_the_minimum_at_weights_of_0():
    problem = in_memory().standardised()
    origin = problem.origin
    assert_array_equal(origin[:P], 0)
    assert abs(problem.evaluate(origin).gradient[P]) < 1e-12
    value = problem.value_at(origin)
    assert problem.value_at_origin == pytest.approx(value, rel=1e-14)
    assert_array_equal(in_memory(fit_intercept=False).origin, 0)
    without = in_memory(fit_intercept=False)
    assert without.value_at_origin == pytest.approx(F.loss(np.zeros(P), 0))
    assert in_memory(y=np.ones(N)).log_odds == 0
    assert in_memory(offset=None).value_at_origin == pytest.approx(np.log(2))


@pytest.mark.parametrize(
    *pairwise(l1_ratio=[0.0, 0.5, 1.0], fit_intercept=[True, False], soft=[False, True])
)
def test_the_duality_gap_bounds_the_distance_from_the_minimum(l1_ratio, fit_intercept, soft):
    rng = np.random.default_rng(1)
    y = 0.1 + 0.8 * Y if soft else Y
    model = neuron(C=0.3, l1_ratio=l1_ratio, fit_intercept=fit_intercept, soft_targets=soft)
    model.fit(X, y, WEIGHT, offset=OFFSET)
    assert excess(model, X, y, WEIGHT, OFFSET) <= 1e-7  # this is the minimum
    problem = in_memory(C=0.3, l1_ratio=l1_ratio, fit_intercept=fit_intercept, y=y).standardised()
    best = problem.coordinates.from_user(model.coef_[0], model.intercept_[0])
    least = problem.value_at(best)
    assert duality_gap(problem, problem.evaluate(best)) < 1e-5
    for distance in (1e-6, 1e-3, 0.01, 0.1, 1.0, 10.0):
        point = problem.evaluate(best + distance * rng.standard_normal(len(best)))
        gap = duality_gap(problem, point)
        assert point.value - least - 1e-13 <= gap <= point.value


def test_rows_that_are_formed_have_outputs_with_the_offset():
    """The offset makes ten samples so certain that only its own rounding moves their outputs."""
    offset = OFFSET.copy()
    offset[:10] = 1e9 * (2 * Y[:10] - 1)
    problem, theta = in_memory(offset).standardised(), np.full(P + 1, 0.1)
    part = problem.as_part()
    ((rows, Z),) = row_matrix(X, problem.coordinates)
    expected = offset + problem.outputs(theta)
    z, rounding = outputs_and_rounding(part, rows, Z, theta)
    assert_allclose(z, expected, rtol=1e-12)
    assert np.all(rounding[:10] > 1e-8)
    assert np.all(rounding[10:] < 1e-14)
    # With so large a radius, the samples that are not beyond the model are those that are certain.
    (beyond,) = find_beyond(part, theta, 10.0, lambda Z: np.ones(len(Z)))
    assert_array_equal(beyond.rows[0], np.arange(10, N))
    left_out = find_left_out(problem, theta, SomeSamples({0: np.array([3, 20])}))
    assert_allclose(left_out.z, expected[[3, 20]])
    root = curvature_root(part, theta)[0].R
    assert_allclose(root.T @ root, part.evaluate(theta, hessian=True).hessian, atol=1e-12)


# ----- separated classes, lost curvature ----------------------------------------------------------


def test_an_offset_does_not_change_whether_classes_are_separated():
    """Offsets of ±30 put many samples on the wrong side, and many others far on the right one."""
    rng = np.random.default_rng(1)
    data = rng.normal(size=(60, 2))
    separated = (data @ [1.0, 2.0] + 0.3 > 0).astype(int)
    overlapping = separated.copy()
    overlapping[np.argmax(data @ [1.0, 2.0])] = 0
    for offset in (rng.normal(0, 2, 60), 30.0 * rng.choice([-1, 1], 60)):
        with pytest.warns(ConvergenceWarning, match="the objective has no minimum"):
            model = neuron(C=np.inf, tol=1e-6).fit(data, separated, offset=offset)
        assert model.stop_reason_ == "no_minimum"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            model = neuron(C=np.inf, max_iter=1000).fit(data, overlapping, offset=offset)
        assert excess(model, data, overlapping, np.ones(60), offset) <= 1e-6


@pytest.mark.parametrize("in_chunks", [False, True])
def test_more_features_than_a_program_takes_are_found_to_separate_with_an_offset(in_chunks):
    """The weights at the end separate nothing: they make up for an offset of the wrong sign."""
    rng = np.random.default_rng(1)
    data, y, offset = rng.normal(size=(30, 1100)), np.arange(30) % 2, 10 * rng.normal(size=30)
    chunks = [(data[k::2], y[k::2], None, offset[k::2]) for k in (0, 1)]
    model = neuron(C=np.inf, max_iter=2, tol=1e-6)
    with pytest.warns(ConvergenceWarning, match="the objective has no minimum"):
        fit_from_chunks(model, lambda: chunks) if in_chunks else model.fit(data, y, offset=offset)
    assert model.stop_reason_ == "no_minimum"


def epoch_stamps():
    """Return two columns of 1.7e9 that differ by 0 to 3, one more, and labels with an offset."""
    rng = np.random.default_rng(1)
    n = 300
    stamp, delay = 1.7e9 + rng.integers(0, 2_592_000, n), rng.integers(0, 4, n)
    other, offset = rng.normal(size=n), rng.normal(-3, 2, n)
    y = (rng.random(n) < expit(offset + 1 + delay + other)).astype(int)
    data = np.column_stack([stamp, stamp + delay, other])
    same = np.column_stack([(stamp - 1.7e9) / 2_592_000, delay, other])
    return data, same, y, offset


def test_epoch_stamps_with_an_offset_have_the_minimum_of_their_differences():
    data, same, y, offset = epoch_stamps()
    expected = glm(same, y, offset)
    model = neuron(C=np.inf, tol=1e-6).fit(data, y, offset=offset)
    assert model.converged_
    assert model.loss_curve_[-1] == pytest.approx(-expected.llf / len(y), abs=1e-6)
    assert_allclose(model.coef_[0, 1:], expected.params[1:3], atol=0.02)
    sparse = neuron(C=1e6, l1_ratio=1.0, tol=1e-6).fit(data, y, offset=offset)
    assert sparse.converged_
    # The penalty at the minimum is 1e-8.
    assert sparse.loss_curve_[-1] == pytest.approx(-expected.llf / len(y), abs=1e-6)
    chunks = [(data[k::4], y[k::4], None, offset[k::4]) for k in range(4)]
    in_chunks = fit_from_chunks(neuron(C=np.inf, tol=1e-6), lambda: chunks)
    assert in_chunks.loss_curve_[-1] == pytest.approx(-expected.llf / len(y), abs=1e-6)


@pytest.mark.parametrize("in_parts", [False, True])
def test_a_whitened_problem_is_the_same_F(in_parts):
    user = in_memory()
    if in_parts:
        _, outside = both()
        user = outside.in_coordinates(Coordinates.of_user(P, True))
        user.penalty = ElasticNet.of(1.0, 0.0, WEIGHT.sum())
    model = neuron(tol=1e-12).fit(X, Y, WEIGHT, offset=OFFSET)
    w, b = model.coef_[0], model.intercept_[0]
    examined = whiten(user, w, b, 1e-9)
    assert examined.is_minimum
    assert examined.is_resolved
    start = examined.start
    value = F.value(model.coef_[0], model.intercept_[0])
    assert start.problem.evaluate(start.theta).value == pytest.approx(value, rel=1e-12)
    origin_w, origin_b = start.to_user_weights(start.problem.origin)
    assert_allclose(origin_w * UNITS, 0, atol=1e-9)
    assert origin_b == pytest.approx(in_memory().log_odds, rel=1e-9)


# ----- sgd and partial_fit ------------------------------------------------------------------------


@each_value(
    pytest.mark.parametrize("container", ["dense-C", "float32", "CSR"]),
    pytest.mark.parametrize("batch", [1, 7, N]),
)
def test_sgd_in_order_follows_the_rule(container, batch):
    data = ((X - X.mean(0)) / X.std(0)).astype(np.float32).astype(float)
    parameters = {"solver": "sgd", "shuffle": False, "learning_rate": 0.05, "batch_size": batch}
    model = neuron(max_iter=3, tol=0, **parameters)
    model.fit(KINDS[container](data), Y, WEIGHT, offset=OFFSET)
    w, b = plain_sgd(stated(data, Y, WEIGHT, offset=OFFSET), 0.05, 3, batch)
    rtol = 1e-5 if container == "float32" else 1e-9
    assert_allclose(model.coef_[0], w, rtol=rtol)
    assert_allclose(model.intercept_, b, rtol=rtol)


def test_sgd_with_automatic_steps_ends_at_the_minimum():
    data = (X - X.mean(0)) / X.std(0)
    model = neuron(solver="sgd", tol=1e-9, max_iter=5000).fit(data, Y, WEIGHT, offset=OFFSET)
    assert model.converged_
    assert excess(model, data, Y, WEIGHT, OFFSET) <= 1e-4


def test_a_stream_of_chunks_follows_the_rule():
    data, model = (X - X.mean(0)) / X.std(0), neuron(C=np.inf, shuffle=False, learning_rate=0.05)
    for rows in np.array_split(np.arange(N), 5):
        model.partial_fit(data[rows], Y[rows], [0, 1], WEIGHT[rows], offset=OFFSET[rows])
    w, b = plain_sgd(stated(data, Y, WEIGHT, offset=OFFSET, C=np.inf), 0.05, 1)
    assert_allclose(model.coef_[0], w, rtol=1e-9)
    assert_allclose(model.intercept_, b, rtol=1e-9)
    assert model.has_offset_


@pytest.mark.parametrize("first", ["fit", "partial_fit"])
@pytest.mark.parametrize("has_offset", [True, False])
def test_a_stream_has_an_offset_in_all_chunks_or_in_none(first, has_offset):
    model, offset = neuron(), OFFSET if has_offset else None
    arguments = {"classes": [0, 1]} if first == "partial_fit" else {}
    getattr(model, first)(X, Y, offset=offset, **arguments)
    before = pickle.dumps(vars(model))
    with pytest.raises(ValueError, match="offset is missing" if has_offset else "offset is given"):
        model.partial_fit(X, Y, offset=None if has_offset else OFFSET)
    assert pickle.dumps(vars(model)) == before
    model.partial_fit(X, Y, offset=0 if has_offset else None)
    assert model.has_offset_ == has_offset


def test_a_stream_does_not_warn_of_a_feature_that_the_offset_explains():
    """The weight of the second feature would be far from 0 without the offset."""
    rng = np.random.default_rng(1)
    n = 20_000
    data = rng.normal(size=(n, 2)) * [1000.0, 1.0]
    offset = 3 * data[:, 1]
    y = (rng.random(n) < expit(offset + data[:, 0] / 1000)).astype(int)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        neuron().partial_fit(data, y, [0, 1], offset=offset)
    with pytest.warns(ConvergenceWarning, match="does not learn the weights of some features"):
        neuron().partial_fit(data, y, [0, 1])


# ----- chunks and Dask ----------------------------------------------------------------------------


@each_value(
    pytest.mark.parametrize("container", ["dense-C", "CSR"]),
    pytest.mark.parametrize("parameters", [{"l1_ratio": 0.5}, {"C": np.inf}, {"solver": "gd"}]),
)
def test_chunks_and_blocks_have_the_minimum_of_all_samples(container, parameters):
    data = (X - X.mean(0)) / X.std(0)
    parameters = {"max_iter": 3000, "tol": 1e-10} | parameters
    samples = KINDS[container](data)
    pieces = np.array_split(np.arange(N), 3)
    chunks = [(samples[rows], Y[rows], WEIGHT[rows], OFFSET[rows]) for rows in pieces]
    model = fit_from_chunks(BCENeuronClassifier(**parameters), lambda: chunks)
    assert model.has_offset_
    assert excess(model, data, Y, WEIGHT, OFFSET) <= 1e-5
    blocks = da.from_array(data, chunks=(150, P))
    if container == "CSR":
        blocks = blocks.map_blocks(sp.csr_array)
    model = DaskBCENeuronClassifier(**parameters)
    model.fit(blocks, Y, WEIGHT, da.from_array(OFFSET, chunks=100))
    assert model.has_offset_
    assert excess(model, data, Y, WEIGHT, OFFSET) <= 1e-5


def test_chunks_that_start_from_their_random_samples_have_the_minimum_of_statsmodels():
    rng = np.random.default_rng(1)
    n = 30_000
    data, offset = rng.normal(size=(n, 3)), rng.normal(-8.0, 3.0, n)
    y = (rng.random(n) < expit(offset + 2 + data @ [1.0, -1.0, 0.5])).astype(int)
    pieces = np.array_split(np.arange(n), 4)
    model = fit_from_chunks(
        neuron(C=np.inf), lambda: ((data[k], y[k], None, offset[k]) for k in pieces)
    )
    assert model.n_passes_ < 12
    expected = glm(data, y, offset).params
    assert_allclose(np.append(model.coef_, model.intercept_), expected, rtol=1e-6)


METHODS = ["decision_function", "predict", "predict_proba", "predict_log_proba"]


@pytest.mark.parametrize("offset", ["dask", "array", "number"])
def test_predictions_of_blocks_have_the_offset(offset):
    blocks, in_memory = da.from_array(X, chunks=(150, P)), 2.0 if offset == "number" else OFFSET
    offset = da.from_array(OFFSET, chunks=100) if offset == "dask" else in_memory
    model = DaskBCENeuronClassifier().fit(blocks, Y, offset=offset)
    local = model.to_local()
    for method in METHODS:
        expected = getattr(local, method)(X, offset=in_memory)
        found = getattr(model, method)(blocks, offset=offset)
        assert found.dtype == expected.dtype
        assert found.shape == expected.shape
        assert_allclose(found.compute(), expected, rtol=1e-12)
        assert_array_equal(getattr(model, method)(X, in_memory), expected)
        with pytest.raises(ValueError, match="offset is missing"):
            getattr(model, method)(blocks)
    assert model.score(blocks, Y, offset=offset) == local.score(X, Y, offset=in_memory)
    with pytest.raises(ValueError, match="offset is missing"):
        model.score(blocks, Y)


def test_predictions_of_a_dask_dataframe_have_the_offset():
    table = pd.DataFrame(X, columns=list("abcd")).assign(y=Y, offset=OFFSET)
    dask_table = dd.from_pandas(table, npartitions=3)
    features = dask_table[list("abcd")]
    model = DaskBCENeuronClassifier().fit(features, dask_table.y, offset=dask_table.offset)
    local = model.to_local()
    for method in METHODS:
        expected = getattr(local, method)(table[list("abcd")], offset=OFFSET)
        found = getattr(model, method)(features, dask_table.offset)
        assert_allclose(found.compute(), expected, rtol=1e-12)


def test_chunks_with_and_without_an_offset_are_an_error():
    first, other = (X[:200], Y[:200], None, OFFSET[:200]), (X[200:], Y[200:])
    for chunks, message in (
        ([first, other], "Chunk 1 has no offset"),
        ([other, first], "Chunk 1 has an offset"),
        ([(*other, None, np.zeros(3))], r"offset must be .* shape \(200,\).* shape \(3,\)"),
    ):
        with pytest.raises(ValueError, match=message):
            fit_from_chunks(neuron(), lambda chunks=chunks: chunks)


# ----- early stopping -----------------------------------------------------------------------------


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_samples_set_aside_keep_their_offset(solver):
    model = neuron(solver=solver, early_stopping=True, tol=1e-5, max_iter=30)
    data = (X - X.mean(0)) / X.std(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(data, Y, WEIGHT, offset=OFFSET)
    _, aside = train_test_split(
        np.arange(N), test_size=0.1, stratify=Y, random_state=np.random.RandomState(0)
    )
    of_aside = stated(data[aside], Y[aside], WEIGHT[aside], offset=OFFSET[aside])
    expected = of_aside.loss(model.coef_[0], model.intercept_[0])
    assert min(model.validation_loss_curve_) == pytest.approx(expected, rel=1e-12)


def test_given_validation_samples_have_an_offset_of_their_own():
    model = neuron().fit(
        X[:300],
        Y[:300],
        offset=OFFSET[:300],
        X_val=X[300:],
        y_val=Y[300:],
        sample_weight_val=WEIGHT[300:],
        offset_val=OFFSET[300:],
    )
    of_others = stated(X[300:], Y[300:], WEIGHT[300:], offset=OFFSET[300:])
    expected = of_others.loss(model.coef_[0], model.intercept_[0])
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-12)
    held_out = {"X_val": X, "y_val": Y}
    with pytest.raises(ValueError, match=r"offset_val is missing.*offset_val=0 is allowed"):
        neuron().fit(X, Y, offset=OFFSET, **held_out)
    with pytest.raises(ValueError, match="offset is missing: offset_val is given"):
        neuron().fit(X, Y, offset_val=OFFSET, **held_out)
    with pytest.raises(ValueError, match=r"offset_val must be .* shape \(400,\)"):
        neuron().fit(X, Y, offset=0, offset_val=OFFSET[:3], **held_out)
    with pytest.raises(ValueError, match="X_val is missing"):
        neuron().fit(X, Y, offset=OFFSET, offset_val=0)


# ----- predictions --------------------------------------------------------------------------------


def test_predictions_and_scores_have_the_offset():
    model = neuron().fit(X, Y, WEIGHT, offset=OFFSET)
    z = OFFSET + model.intercept_ + X @ model.coef_[0]
    assert_allclose(model.decision_function(X, OFFSET), z)
    assert_array_equal(model.predict(X, offset=OFFSET), (z > 0).astype(int))
    assert_allclose(model.predict_proba(X, offset=OFFSET)[:, 1], expit(z))
    assert_allclose(model.predict_log_proba(X, offset=OFFSET)[:, 1], -np.logaddexp(0, -z))
    accuracy = WEIGHT @ ((z > 0) == Y) / WEIGHT.sum()
    assert model.score(X, Y, WEIGHT, OFFSET) == pytest.approx(accuracy)
    soft = neuron(soft_targets=True).fit(X, Y * 0.9, offset=OFFSET)
    mean = WEIGHT @ (0.9 * Y) / WEIGHT.sum()
    null = -mean * np.log(mean) - (1 - mean) * np.log(1 - mean)
    of_soft = stated(X, 0.9 * Y, WEIGHT, offset=OFFSET)
    d2 = 1 - of_soft.loss(soft.coef_[0], soft.intercept_[0]) / null
    assert soft.score(X, 0.9 * Y, WEIGHT, OFFSET) == pytest.approx(d2)


def test_after_a_fit_with_an_offset_predictions_need_one():
    model = neuron().fit(X, Y, offset=OFFSET)
    for call in (
        model.decision_function,
        model.predict,
        model.predict_proba,
        model.predict_log_proba,
        lambda X: model.score(X, Y),
    ):
        with pytest.raises(ValueError, match=r"offset is missing.*offset=0 is allowed"):
            call(X)
    z = model.intercept_ + X @ model.coef_[0]
    assert_allclose(model.decision_function(X, offset=0), z)
    with pytest.warns(UserWarning, match="predicts as with offset=0"):
        assert_allclose(model.to_sklearn().decision_function(X), z)
    assert pickle.loads(pickle.dumps(model)).has_offset_
    model.fit(X, Y)
    assert not model.has_offset_
    without = model.decision_function(X)
    assert_allclose(model.decision_function(X, offset=1.5), without + 1.5)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.to_sklearn()


@pytest.mark.parametrize(
    ("offset", "message"),
    [
        (OFFSET[:-1], r"shape \(400,\).* has the shape \(399,\)"),
        (OFFSET[:, None], r"shape \(400,\).* has the shape \(400, 1\)"),
        (np.where(np.arange(N) == 7, np.nan, OFFSET), "it has nan"),
        (np.inf, "it has inf"),
        ("1", "not numbers"),
        (["1"] * N, "not numbers"),
        (OFFSET + 0j, "not numbers"),
        (sp.csr_array(OFFSET[None]), "not numbers"),
        (np.datetime64("2020-01-01"), "not numbers"),
        (np.ma.masked_array(OFFSET, np.arange(N) == 3), "masked"),
    ],
)
def test_a_malformed_offset_is_an_error(offset, message):
    fitted = neuron().fit(X, Y, offset=OFFSET)
    before = pickle.dumps(vars(fitted))
    for call in (
        lambda: fitted.fit(X, Y, offset=offset),
        lambda: fitted.partial_fit(X, Y, offset=offset),
        lambda: fitted.predict(X, offset=offset),
        lambda: fitted.score(X, Y, offset=offset),
        lambda: fit_from_chunks(fitted, lambda: [(X, Y, None, offset)]),
        lambda: l1_min_c(X, Y, offset=offset),
    ):
        with pytest.raises(ValueError, match=f"offset.*{message}"):
            call()
    assert pickle.dumps(vars(fitted)) == before


@pytest.mark.parametrize("kind", [list, tuple, pd.Series, np.ma.masked_array, np.float32])
def test_an_offset_may_be_any_array(kind):
    expected = neuron().fit(X, Y, offset=OFFSET)
    assert_allclose(neuron().fit(X, Y, offset=kind(OFFSET)).coef_, expected.coef_, rtol=1e-4)
    number = neuron().fit(X, Y, offset=np.full(N, 2.0))
    assert_allclose(neuron().fit(X, Y, offset=2).coef_, number.coef_, rtol=1e-9)


# ----- metadata routing ---------------------------------------------------------------------------


def test_offsets_are_routed_through_pipelines_and_searches():
    folds = StratifiedKFold(3)
    with config_context(enable_metadata_routing=True):
        model = neuron().set_fit_request(offset=True).set_score_request(offset=True)
        model.set_predict_proba_request(offset=True)
        pipeline = make_pipeline(StandardScaler(), model).fit(X, Y, offset=OFFSET)
        scaled = StandardScaler().fit_transform(X)
        direct = neuron().fit(scaled, Y, offset=OFFSET)
        assert_array_equal(pipeline[-1].coef_, direct.coef_)
        assert_array_equal(
            pipeline.predict_proba(X, offset=OFFSET), direct.predict_proba(scaled, offset=OFFSET)
        )
        assert pipeline.score(X, Y, offset=OFFSET) == direct.score(scaled, Y, offset=OFFSET)
        expected = [
            neuron().fit(X[a], Y[a], offset=OFFSET[a]).score(X[b], Y[b], offset=OFFSET[b])
            for a, b in folds.split(X, Y)
        ]
        found = cross_validate(model, X, Y, cv=folds, params={"offset": OFFSET})
        assert_allclose(found["test_score"], expected)
        search = GridSearchCV(model, {"C": [1e-3, 1.0]}, cv=folds).fit(X, Y, offset=OFFSET)
        assert search.cv_results_["mean_test_score"][1] == pytest.approx(np.mean(expected))
        silent = neuron().set_fit_request(offset=True).set_score_request(offset=False)
        with pytest.raises(ValueError, match="offset is missing"):
            cross_validate(silent, X, Y, cv=folds, params={"offset": OFFSET}, error_score="raise")
