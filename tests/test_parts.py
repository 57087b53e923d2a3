"""F over samples in parts, against F over the same samples in memory and plain NumPy."""

import pickle
from dataclasses import replace
from functools import reduce
from operator import add

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from small_data import F, random_data, with_ones

from sklearn_bce._estimator.chunks import subsample_objective
from sklearn_bce._estimator.targets import TargetEncoder
from sklearn_bce._objective.base import DataSize, SomeSamples
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.partitioned import Encoding, PartitionedObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.scaling import Coordinates, Moments
from sklearn_bce._objective.summary import MAX_SAMPLE_ELEMENTS, ROWS_PER_COORDINATE, summarise

N, P, C = 90, 5, 0.7
RNG = np.random.default_rng(0)
X, Y, WEIGHT = random_data(N, P)
X = X * [1, 20, 0.1, 1, 3] * (RNG.random((N, P)) < 0.6) + [0, 3, 0, 0, 0]
X = X.astype(np.float32).astype(np.float64)  # so that parts in float32 are of the same samples
WEIGHT[RNG.random(N) < 0.2] = 0
THETA = np.array([0.3, -0.05, 2.0, 0.0, -0.4, 0.2])  # ends with the intercept
ROWS = np.arange(N)

SPLITS = {
    "one part": [ROWS],
    "thirds": np.array_split(ROWS, 3),
    "uneven": [ROWS[:1], ROWS[1:80], ROWS[80:]],
    "one row each": np.array_split(ROWS, N),
    "classes apart": [ROWS[Y == 0], ROWS[Y == 1]],
    "weightless apart": [ROWS[WEIGHT == 0], ROWS[WEIGHT > 0]],
}
DENSE, FORTRAN, CSR, SINGLE = np.array, np.asfortranarray, sp.csr_array, np.float32
KINDS = {
    "dense": [DENSE],
    "CSR": [CSR],
    "dense and CSR": [FORTRAN, CSR],
    "all kinds": [DENSE, lambda X: CSR(SINGLE(X)), SINGLE, sp.csr_matrix],
}


class Listed:
    """Parts in a list; functions and results are pickled, as they are between processes."""

    def __init__(self, parts):
        self.parts = list(parts)

    def sum(self, ask):
        ask = pickle.loads(pickle.dumps(ask))
        answers = [pickle.loads(pickle.dumps(ask(k, *part))) for k, part in enumerate(self.parts)]
        return [reduce(add, items) for items in zip(*answers, strict=True)]


def split(rows_of_parts, kinds=(DENSE,), data=(X, Y, WEIGHT)):
    X, y, weight = data
    containers = [kinds[k % len(kinds)] for k in range(len(rows_of_parts))]
    pairs = zip(containers, rows_of_parts, strict=True)
    return Listed((container(X[rows]), y[rows], weight[rows]) for container, rows in pairs)


def unchanged(y, weight):
    return y, weight


def of_parts(parts, fit_intercept=True, l1_ratio=0.0):
    coordinates = Coordinates.of_user(P, fit_intercept)
    data_size = reduce(add, (DataSize.of(X) for X, _, _ in parts.parts))
    encoding = Encoding(unchanged, coordinates, WEIGHT.sum())
    return PartitionedObjective(
        parts, data_size, encoding, ElasticNet.of(C, l1_ratio, WEIGHT.sum())
    )


def both(parts, standard=False, fit_intercept=True, l1_ratio=0.0):
    """Return F of the parts and F of all, in the same coordinates."""
    inside = InMemoryObjective.in_user_units(
        X, Y, WEIGHT, ElasticNet.of(C, l1_ratio, np.sum(WEIGHT)), fit_intercept
    )
    outside = of_parts(parts, fit_intercept, l1_ratio)
    if not standard:
        return outside, inside
    coordinates = inside.standardised().coordinates
    return outside.in_coordinates(coordinates), inside.in_coordinates(coordinates)


def assert_near(actual, desired, parts):
    """Compare sums to the rounding of the dtype of the parts, relative to the largest entry."""
    single = any(X.dtype == np.float32 for X, _, _ in parts.parts)
    unit = np.finfo(np.float32 if single else np.float64).eps
    assert np.shape(actual) == np.shape(desired)
    assert_allclose(actual, desired, rtol=0, atol=100 * unit * np.max(np.abs(desired)))


@pytest.fixture
def rows_of_parts(split_name):
    return SPLITS[split_name]


@pytest.fixture
def parts(kind, rows_of_parts):
    return split(rows_of_parts, KINDS[kind])


def over(kinds=KINDS, **axes):
    """Parametrise a test by pairs of splits, kinds of parts and other values."""
    return pytest.mark.parametrize(*pairwise(split_name=SPLITS, kind=kinds, **axes))


BOTH = [False, True]


def test_test_data_have_zeros_and_weightless_samples_of_both_classes():
    assert (Y[WEIGHT == 0] == 0).any()
    assert (Y[WEIGHT == 0] == 1).any()
    assert 0.3 < np.mean(X == 0) < 0.5
    assert {len(rows) for rows in SPLITS["one row each"]} == {1}


# --- F and its derivatives ---


@over(standard=BOTH, fit_intercept=BOTH)
def test_value_and_derivatives_are_those_of_all_samples(parts, fit_intercept, standard):
    outside, inside = both(parts, standard, fit_intercept, l1_ratio=0.4)
    theta = THETA[: P + fit_intercept]
    for wanted in ({"hessian": True}, {"diagonal": True}, {}):
        point, expected = outside.evaluate(theta, **wanted), inside.evaluate(theta, **wanted)
        for name in ("value", "gradient", "hessian", "diagonal"):
            if getattr(expected, name) is None:
                assert getattr(point, name) is None
            else:
                assert_near(getattr(point, name), getattr(expected, name), parts)
    assert point.theta is theta
    assert point.z is None
    assert_near(outside.value_at(theta), expected.value, parts)
    total = inside.total_curvature(expected)
    assert_near(outside.total_curvature(point), total, parts)
    assert_near(
        outside.diagonal_preconditioner(point), inside.diagonal_preconditioner(expected), parts
    )


@over()
def test_f_of_some_features_is_that_of_all_samples(parts):
    """The weights of the others are in the outputs; features of features are those features."""
    outside, inside = both(parts)
    some, theta = np.array([0, 1, 4]), np.array([0.25, -0.05, 0.5, 0.125])
    of_three = [F.of_features(some, THETA[:P]).evaluate(theta) for F in (outside, inside)]
    outside, inside = (F.of_features(some, THETA[:P]) for F in (outside, inside))
    w, some, theta = np.array([0.5, 0.3, -0.25]), np.array([0, 2]), theta[[0, 2, 3]]
    of_two = [F.of_features(some, w).evaluate(theta) for F in (outside, inside)]
    for point, expected in (of_three, of_two):
        assert_near(point.value, expected.value, parts)
        assert_near(point.gradient, expected.gradient, parts)


@pytest.mark.parametrize("split_name", SPLITS)
@pytest.mark.parametrize("standard", BOTH)
def test_left_out_samples_lose_their_losses_and_not_their_share_of_s(rows_of_parts, standard):
    left_out = np.random.default_rng(1).random(N) < 0.3
    some = [
        SomeSamples({k: np.flatnonzero(left_out[rows] & chosen[rows])})
        for chosen in (ROWS < 60, ROWS > 30)
        for k, rows in enumerate(rows_of_parts)
    ]
    samples = reduce(add, some)
    assert len(samples) == left_out.sum()
    outside, inside = both(split(rows_of_parts), standard)
    others, share = np.where(left_out, 0.0, WEIGHT), WEIGHT[~left_out].sum() / WEIGHT.sum()
    expected = InMemoryObjective.in_user_units(
        X, Y, others, ElasticNet.of(C * share, 0.0, np.sum(others)), True
    )
    expected = expected.in_coordinates(inside.coordinates)
    for objective in (outside.without(samples), inside.without(SomeSamples({0: ROWS[left_out]}))):
        without_penalty = objective.value_at(THETA) - objective.penalty.value(THETA[:P])
        alone = expected.value_at(THETA) - expected.penalty.value(THETA[:P])
        assert without_penalty == pytest.approx(share * alone, rel=1e-12)
        assert objective.penalty.value(THETA[:P]) == inside.penalty.value(THETA[:P])
    assert outside.value_at(THETA) == pytest.approx(inside.value_at(THETA), rel=1e-12)


@over(standard=BOTH, fit_intercept=BOTH)
def test_curvatures_are_those_of_all_samples(parts, fit_intercept, standard):
    outside, inside = both(parts, standard, fit_intercept)
    theta = THETA[: P + fit_intercept]
    point, expected = outside.evaluate(theta), inside.evaluate(theta)
    vector = np.array([1.0, -2.0, 0.0, 0.5, 3.0, -1.0])[: P + fit_intercept]
    for curvature, of_all in (
        (point.curvature, expected.curvature),
        (outside.majorising_curvature(point.z), inside.majorising_curvature(expected.z)),
        (outside.curvature_bound(), inside.curvature_bound()),
    ):
        here, there = replace(point, curvature=curvature), replace(expected, curvature=of_all)
        product, z_direction = outside.curvature_product(here, vector)
        assert z_direction is None
        assert_near(product, inside.curvature_product(there, vector)[0], parts)
        diagonal = inside.curvature_diagonal(there)
        assert_near(outside.curvature_diagonal(here), diagonal, parts)
        for features in ([2], [0, 3, 4], list(range(P))):
            subset = np.array(features + [P] * fit_intercept)
            matrix = inside.curvature_matrix(there, subset)
            assert_near(outside.curvature_matrix(here, subset), matrix, parts)


@over(kinds=["dense", "dense and CSR"])
def test_value_and_derivatives_are_those_written_out(parts):
    outside = of_parts(parts)
    point = outside.evaluate(THETA, hessian=True)
    Z, normalised_weight = with_ones(X), WEIGHT / WEIGHT.sum()
    strength = np.append(np.full(P, 1 / (C * WEIGHT.sum())), 0.0)
    a = expit(Z @ THETA)
    assert_near(point.value, F(THETA, (X, Y, WEIGHT), C), parts)
    assert_near(point.gradient, Z.T @ (normalised_weight * (a - Y)) + strength * THETA, parts)
    gram = Z.T @ (Z * (normalised_weight * a * (1 - a))[:, None])
    assert_near(point.hessian, gram + np.diag(strength), parts)
    assert_near(outside.total_curvature(point), normalised_weight @ (a * (1 - a)), parts)
    at_most = replace(point, curvature=outside.curvature_bound())
    gram = Z.T @ (Z * (normalised_weight / 4)[:, None])
    assert_near(outside.curvature_diagonal(at_most), np.diag(gram) + strength, parts)


def test_each_question_takes_one_pass():
    problem = of_parts(split(SPLITS["thirds"]))
    point = problem.evaluate(THETA)
    problem.value_at(THETA)
    problem.curvature_product(point, THETA)
    problem.curvature_matrix(point, np.array([1, P]))
    problem.curvature_diagonal(point)
    assert problem.n_passes == 5
    assert problem.in_coordinates(problem.coordinates).n_passes == 5
    assert problem.standardised().n_passes == 6
    assert problem.outputs(THETA) is problem.constant_outputs(1.0) is None
    assert problem.n_passes == 6


@pytest.mark.parametrize("rows", [ROWS[:-1], np.append(ROWS, 0)])
def test_another_number_of_samples_in_a_later_pass_is_an_error(rows):
    problem = of_parts(split(SPLITS["thirds"]))
    problem.evaluate(THETA)
    problem.parts = split([rows])
    with pytest.raises(
        ValueError, match=f"had {N} samples in the first pass and have {len(rows)} now"
    ):
        problem.evaluate(THETA)


# --- coordinates ---


CONSTANT, VARYING = [2, 3], [0, 1, 4, 5, 6]
FAR = 1e6  # deviations
# Factors of columns, powers of two, so that multiples are exact; squares of some overflow.
UNIT = np.array([1, 1, 1, 1, 2.0**530, 2.0**-530, -(2.0**520)])


def deviating_columns():
    """Columns for which a plain sum of squares loses its digits or overflows."""
    columns = np.random.default_rng(1).normal(size=(N, 7))
    columns[:, [1, 6]] += FAR
    columns[:, CONSTANT] = 0.1, 0  # multiples of 0.1 are not exact
    return columns * UNIT


def by_hand(X, weight, centre):
    """Return means and deviations, in two passes and in extended precision."""
    normalised_weight = (weight / weight.sum()).astype(np.longdouble)[:, None]
    X = X / UNIT
    mean = np.sum(normalised_weight * X, axis=0) if centre else np.zeros(X.shape[1])
    deviation = np.sqrt(np.sum(normalised_weight * np.square(X - mean), axis=0))
    return mean.astype(float) * UNIT, deviation.astype(float) * np.abs(UNIT)


@over(kinds=["dense", "CSR", "dense and CSR"], weighted=BOTH, centre=BOTH)
def test_moments_of_parts_add_up_to_those_of_all_samples(rows_of_parts, kind, weighted, centre):
    columns = deviating_columns()
    weight = WEIGHT if weighted else np.ones(N)
    parts = split(rows_of_parts, KINDS[kind], (columns, Y, weight)).parts
    mean, deviation = by_hand(columns, weight, centre)
    for order in (parts, parts[::-1]):
        moments = reduce(add, (Moments.of(X, weight, centre) for X, _, weight in order))
        assert_allclose(moments.total_weight, weight.sum(), rtol=1e-14)
        # Errors are relative to the size of the column, and to the deviation if it is not 0.
        size = np.abs(mean) + deviation + (deviation == 0)
        assert_allclose(moments.mean / size, mean / size, rtol=0, atol=1e-14)
        assert_allclose(moments.deviation[VARYING], deviation[VARYING], rtol=1e-14 * FAR)


@pytest.mark.parametrize("kinds", [[DENSE], [CSR], [DENSE, CSR]])
@pytest.mark.parametrize("weight", [np.ones(N), WEIGHT], ids=["unweighted", "weighted"])
def test_a_constant_column_keeps_its_scale(weight, kinds):
    """A difference between the means of parts that is rounding must not count as a deviation."""
    for name, rows_of_parts in SPLITS.items():
        parts = split(rows_of_parts, kinds, (deviating_columns(), Y, weight)).parts
        moments = reduce(add, (Moments.of(X, weight, True) for X, _, weight in parts))
        assert_array_equal(moments.coordinates.scale[CONSTANT], 1, err_msg=name)
        assert_allclose(moments.coordinates.shift[CONSTANT], [0.1, 0], rtol=1e-14)


def test_moments_may_be_added_in_any_order():
    columns = deviating_columns()
    a, b, c = (Moments.of(columns[rows], WEIGHT[rows], True) for rows in SPLITS["uneven"])
    left, right = (a + b) + c, c + (b + a)
    assert_allclose(left.mean, right.mean, rtol=1e-13)
    assert_allclose(left.deviation, right.deviation, rtol=1e-14 * FAR)


@over(fit_intercept=BOTH)
def test_standard_coordinates_are_those_of_all_samples(parts, fit_intercept):
    outside, inside = (each.standardised() for each in both(parts, fit_intercept=fit_intercept))
    scale = inside.coordinates.scale
    assert_near(outside.coordinates.scale / scale, np.ones(P), parts)
    assert_near(outside.coordinates.shift / scale, inside.coordinates.shift / scale, parts)
    assert_near(outside.penalty.l2, inside.penalty.l2, parts)
    assert outside.coordinates.fit_intercept == fit_intercept


def test_coordinates_of_single_precision_can_be_subtracted_exactly():
    coordinates = of_parts(split(SPLITS["thirds"], [SINGLE])).standardised().coordinates
    for numbers in coordinates.shift, coordinates.scale:
        assert_array_equal(numbers, numbers.astype(np.float32))


def test_weightless_parts_have_no_moments():
    nothing = Moments.of(X, np.zeros(N), True) + Moments.of(2 * X, np.zeros(N), True)
    assert nothing.total_weight == 0
    assert_array_equal(nothing.coordinates.scale, 1)
    both = nothing + Moments.of(X, WEIGHT, True)
    assert_array_equal(both.mean, Moments.of(X, WEIGHT, True).mean)


# --- the summary ---


def numbered(n_samples, positive):
    """Samples whose first feature is their number, with a given number of class 1 among them."""
    y = np.zeros(n_samples)
    y[np.random.default_rng(n_samples).permutation(n_samples)[:positive]] = 1
    rest = np.random.default_rng(1).normal(size=n_samples)
    return np.column_stack([np.arange(n_samples), rest]), y, np.ones(n_samples)


def numbers_of(few):
    X = few.X.toarray() if sp.issparse(few.X) else few.X
    return X[:, 0].astype(int)


MOST = ROWS_PER_COORDINATE * 3  # of two features and the intercept


@over()
def test_summary_counts_samples_values_and_weights(parts):
    summary = summarise(parts, 0, soft_targets=False)
    sparse = [sp.issparse(X) for X, _, _ in parts.parts]
    assert summary.n_features == P
    assert summary.data_size.n_samples == N
    storage = "csr" if all(sparse) else "dense"
    assert summary.data_size.storage == (storage if len(sparse) == 1 else "partitioned")
    assert summary.data_size.dtype == np.result_type(*(X.dtype for X, _, _ in parts.parts))
    lengths = [np.diff(X.indptr) if sp.issparse(X) else [P] * len(X) for X, _, _ in parts.parts]
    stored = np.concatenate(lengths)
    assert summary.data_size.n_stored == sum(stored)
    assert summary.data_size.n_pairs == np.sum(np.square(stored))
    assert summary.class_weight_sums == pytest.approx(
        {0: WEIGHT[Y == 0].sum(), 1: WEIGHT[Y == 1].sum()}
    )
    assert sorted(summary.samples) == [0, 1]


def test_summary_of_soft_targets_has_one_sample_of_both_classes():
    y = np.round(np.random.default_rng(2).random(N), 3)
    summary = summarise(split(SPLITS["thirds"], data=(X, y, WEIGHT)), 0, soft_targets=True)
    assert summary.class_weight_sums == pytest.approx({0: WEIGHT @ (1 - y), 1: WEIGHT @ y})
    (few,) = summary.samples.values()
    assert few.n_samples == np.count_nonzero(WEIGHT)
    assert_array_equal(np.sort(few.y), np.sort(y[WEIGHT > 0]))


@pytest.mark.parametrize("pieces", [1, 4, 7, 500])
@pytest.mark.parametrize("kinds", [[DENSE], [CSR, DENSE]])
def test_sample_of_each_class_is_as_large_as_wanted_without_weightless_rows(pieces, kinds):
    data = numbered(500, positive=30)
    data[2][[3, 5, 11]] = 0
    parts = split(np.array_split(np.arange(500), pieces), kinds, data)
    summary = summarise(parts, 0, soft_targets=False)
    for label in (0, 1):
        counting = np.flatnonzero((data[1] == label) & (data[2] > 0))
        few = summary.samples[label]
        numbers = numbers_of(few)
        assert few.n_samples == len(counting)
        assert len(numbers) == min(MOST, len(counting))  # all of the rare class
        assert len(set(numbers)) == len(numbers)
        assert set(numbers) <= set(counting)
        assert_array_equal(few.y, label)
        rows = few.X.toarray() if sp.issparse(few.X) else few.X
        assert_array_equal(rows, data[0][numbers])


def test_sample_is_bounded_in_elements():
    X = sp.csr_array(
        (np.ones(12), (np.arange(12), np.arange(12))), shape=(12, MAX_SAMPLE_ELEMENTS // 4)
    )
    summary = summarise(Listed([(X, np.arange(12) % 2, np.ones(12))]), 0, soft_targets=False)
    assert {len(few.y) for few in summary.samples.values()} == {1}


@pytest.mark.parametrize("association", ["left", "right", "reversed", "pairs"])
def test_summaries_may_be_added_in_any_order(association):
    data, summaries = numbered(800, positive=300), []

    class Kept(Listed):
        def sum(self, ask):
            summaries.extend(ask(k, *part)[0] for k, part in enumerate(self.parts))
            return [reduce(add, summaries)]

    expected = summarise(Kept(split(np.array_split(np.arange(800), 4), data=data).parts), 3, False)
    a, b, c, d = summaries
    added = {
        "left": ((a + b) + c) + d,
        "right": a + (b + (c + d)),
        "reversed": d + c + b + a,
        "pairs": (c + a) + (d + b),
    }[association]
    assert added.data_size == expected.data_size
    assert added.class_weight_sums == expected.class_weight_sums
    for label in (0, 1):
        assert set(numbers_of(added.samples[label])) == set(numbers_of(expected.samples[label]))
        assert added.samples[label].n_samples == expected.samples[label].n_samples


def test_sample_follows_from_the_seed():
    parts = split(np.array_split(np.arange(800), 5), data=numbered(800, positive=400))
    first, again, other = (summarise(parts, seed, False).samples[1] for seed in (0, 0, 1))
    assert_array_equal(numbers_of(first), numbers_of(again))
    assert set(numbers_of(first)) != set(numbers_of(other))


def test_rows_are_as_likely_drawn_from_a_small_part_as_from_a_large_one():
    """In 400 draws each sample of a class is as frequent as the others, to 5 standard errors."""
    data, times = numbered(330, positive=0), 400
    pieces = [np.arange(10), np.arange(10, 300), np.arange(300, 301), np.arange(301, 330)]
    parts, drawn = split(pieces, data=data), np.zeros(330)
    for seed in range(times):
        drawn[numbers_of(summarise(parts, seed, False).samples[0])] += 1
    expected = MOST / 330
    for rows in pieces:
        error = np.sqrt(expected * (1 - expected) / (times * len(rows)))
        assert abs(np.mean(drawn[rows]) / times - expected) < 5 * error


@pytest.mark.parametrize("soft", [False, True])
def test_mean_loss_of_a_sample_is_on_average_that_of_all_samples(soft):
    """The mean of 200 draws is within 5 standard errors, for a rare and heavy class, too."""
    data = numbered(600, positive=90)
    data[0][:, 0] = np.random.default_rng(5).normal(size=600) + data[1]
    if soft:
        data = data[0], 0.9 * data[1] + 0.05, data[2]
    parts = split(np.array_split(np.arange(600), 3), data=data)
    of_class = np.array([1.0, 4.0])
    encoder = TargetEncoder(np.array([0, 1]), of_class, soft)
    penalty, coordinates = ElasticNet(0.01), Coordinates.of_user(2, True)
    theta = np.array([0.7, -0.2, 0.3])
    samples = encoder.encode(data[1], data[2])
    expected = InMemoryObjective(data[0], *samples, penalty, coordinates).evaluate(theta).value
    values = []
    for seed in range(200):
        few = subsample_objective(summarise(parts, seed, soft), encoder, penalty, coordinates)
        assert few.n_samples == MOST if soft else 2 * MOST
        values.append(few.evaluate(theta).value)
        assert soft or few.total_weight == pytest.approx(samples[1].sum())
    error = np.std(values) / np.sqrt(len(values))
    assert error > 0
    assert abs(np.mean(values) - expected) < 5 * error


@pytest.mark.parametrize("positive", [3, 4])
def test_three_samples_of_a_class_are_too_few_to_start_from(positive):
    """F on no more samples than coordinates may have no minimum."""
    data = numbered(100, positive)
    summary = summarise(split([np.arange(100)], data=data), 0, soft_targets=False)
    encoder = TargetEncoder(np.array([0, 1]), None, soft_targets=False)
    few = subsample_objective(summary, encoder, ElasticNet(0.1), Coordinates.of_user(2, True))
    assert (few is None) == (positive == 3)


def test_parts_of_different_numbers_of_features_are_an_error():
    parts = Listed([(X, Y, WEIGHT), (X[:, 1:], Y, WEIGHT)])
    with pytest.raises(ValueError, match="X has 5 features in one part and 4 in another"):
        summarise(parts, 0, soft_targets=False)
