"""Whether the classes are separated, with a linear program in exact arithmetic as referee."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.special import expit
from sklearn.preprocessing import SplineTransformer
from small_data import in_parts
from test_hard_data import drawn, separated
from tools.exact_separation import exactly_separated

from sklearn_bce import BCENeuronClassifier, fit_from_chunks
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.root import root_of_blocks
from sklearn_bce._solvers import direction_of_separation
from sklearn_bce._solvers.newton import separating_direction, separation
from sklearn_bce._solvers.newton.rank import Basis, RankRevealing
from sklearn_bce._solvers.newton.separating_direction import Separating, WorstRows
from sklearn_bce._solvers.newton.separation import MAX_ROWS_FOR_UNITS, SomeRows

# ----- the referee --------------------------------------------------------------------------------


def test_the_referee_agrees_with_a_linear_program_in_floating_point():
    for seed in range(60):
        data = drawn(seed)
        expected = separated(data.X, data.y, data.weight, data.fit_intercept)
        assert exactly_separated(data.X, data.y, data.weight, data.fit_intercept) == expected, seed


# ----- data ---------------------------------------------------------------------------------------

CODES = [-999.0, 9999.0, 999_999_999.0, 2.0**31 - 1, -(2.0**31), 2.0**63, 1e37]


def labels(rng, log_odds):
    return (rng.random(len(log_odds)) < expit(log_odds)) * 1.0


def codes(rng):
    """Some entries are codes for "missing"."""
    n, p = rng.integers(8, 60), rng.integers(1, 4)
    X = rng.normal(size=(n, p)) if rng.random() < 0.7 else rng.integers(-3, 4, (n, p)) * 1.0
    y = labels(rng, X @ rng.normal(0, 1.5, p))
    for _ in range(rng.integers(1, 4)):
        X[rng.integers(n, size=rng.integers(1, 4)), rng.integers(p)] = rng.choice(CODES)
    return X, y


def splines(rng):
    """B-splines of a feature, whose sum is exactly 1."""
    n = rng.integers(12, 60)
    x = np.sort(rng.normal(size=n))
    n_knots, degree = int(rng.integers(3, 6)), int(rng.integers(1, 4))
    X = SplineTransformer(n_knots, degree=degree).fit_transform(x[:, None])
    X = np.rint(X * 2**20) / 2**20
    X[np.arange(n), np.argmax(X, axis=1)] += 1 - X.sum(axis=1)
    return X, labels(rng, 2 * np.sin(2 * x))


def one_hot(rng):
    """All levels of some categories, some of which are rare."""
    n, columns, log_odds = rng.integers(10, 80), [], 0.0
    for _ in range(rng.integers(1, 4)):
        n_levels = rng.integers(2, 6)
        level = rng.choice(n_levels, size=n, p=rng.dirichlet(np.full(n_levels, 0.7)))
        columns.append(np.eye(n_levels)[level])
        log_odds = log_odds + rng.normal(0, 1.5, n_levels)[level]
    return np.hstack(columns), labels(rng, log_odds)


def copies(rng):
    """Combinations of some columns, a constant column and a copy."""
    n, p = rng.integers(8, 60), rng.integers(1, 3)
    X = rng.integers(-3, 4, (n, p)) * 1.0
    y = labels(rng, X @ rng.normal(0, 1.5, p))
    constant = np.full((n, 1), rng.choice([0.0, 1.0, -1e-5, 1e12, 0.1]))
    return np.hstack([X, X @ rng.integers(-2, 3, (p, 2)), constant, X[:, :1]]), y


def near_copies(rng):
    """A column that differs from another one by 1e-3 to 1e-10, in some samples or in all."""
    n = rng.integers(8, 60)
    X = rng.integers(-6, 7, (n, 2)) * 1.0
    y = labels(rng, X @ rng.normal(0, 0.5, 2))
    some = rng.random(n) < 0.1
    difference = [rng.integers(-4, 5, n), some * y, some * (2 * y - 1)][rng.integers(3)]
    return np.column_stack([X, X[:, 0] + 2.0 ** -rng.integers(10, 34) * difference]), y


def heavy_tails(rng):
    n, p = rng.integers(10, 60), rng.integers(1, 4)
    normal = rng.normal(size=(n, p))
    X = [rng.standard_cauchy((n, p)), np.exp(3 * normal), rng.poisson(0.3, (n, p)) * 1.0]
    X = X[rng.integers(3)]
    return X, labels(rng, np.clip(X @ rng.normal(0, 1, p), -4, 4))


def time_stamps(rng):
    n, p = rng.integers(10, 60), rng.integers(1, 3)
    X = rng.integers(-50, 51, (n, p)) * 1.0
    return X + 1.7e9, labels(rng, X @ rng.normal(0, 0.1, p))


def intervals(rng):
    """Begin and end in milliseconds, and perhaps a column that nearly repeats the begin."""
    n = rng.integers(8, 40)
    begin = np.rint(1.7e12 + rng.uniform(0, 3e10, n) / 10.0 ** rng.integers(0, 6))
    length = rng.integers(1, rng.integers(3, 30), n)
    columns = [begin, begin + length]
    if rng.random() < 0.5:
        columns.append(rng.normal(size=n))
    if rng.random() < 0.4:
        columns.append(begin * (1 + 10.0 ** -rng.integers(6, 12) * rng.normal(size=n)))
    return np.column_stack(columns), labels(rng, rng.normal() * (length - np.median(length)))


KINDS = [codes, splines, one_hot, copies, near_copies, heavy_tails, time_stamps, intervals]
# Other units would round small differences away.
IN_ONE_UNIT = [near_copies, time_stamps, intervals]


def case_of(kind, seed):
    """Return X as it is exactly, X in other units and perhaps sparse, y, weights, fit_intercept."""
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    while True:
        X, y = kind(rng)
        y = np.where(rng.random(len(y)) < 0.1, 0.3, y) if rng.random() < 0.15 else y
        weight = np.ones(len(y)) if rng.random() < 0.6 else rng.integers(0, 3, len(y)) * 1.0
        if np.any(weight * y) and np.any(weight * (1 - y)):
            break
    unit = np.ones(X.shape[1])
    if rng.random() < 0.3 and kind not in IN_ONE_UNIT:
        unit = 10.0 ** rng.integers(-12, 13, X.shape[1])
    given = sp.csr_array(X * unit) if rng.random() < 0.3 else X * unit
    return X, given, y, weight, kind in {time_stamps, intervals} or bool(rng.random() < 0.75)


def asked(X, y, weight, fit_intercept=True, w=None, b=0.0, n_parts=0):
    """Return the direction that is found from the weights w, and the passes that this took."""
    objective = InMemoryObjective.in_user_units(
        X, y, weight, ElasticNet.of(np.inf, 0.0, np.sum(weight)), fit_intercept
    )
    objective = in_parts(objective) if n_parts else objective
    w = np.zeros(X.shape[1]) if w is None else w
    return direction_of_separation(objective, w, b), objective.n_passes


def told(fit):
    """Return the messages that F has no minimum."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit()
    assert not [each for each in caught if issubclass(each.category, RuntimeWarning)]
    return [str(each.message) for each in caught if "has no minimum" in str(each.message)]


# ----- agreement ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_an_exact_linear_program_agrees(kind):
    """From weights of 0, and in parts from there, the answer is that of the referee."""
    wrong, n_separated, n_cases = [], 0, 120
    for seed in range(n_cases):
        exact, X, y, weight, fit_intercept = case_of(kind, seed)
        expected = exactly_separated(exact, y, weight, fit_intercept)
        n_separated += expected
        v, _ = asked(X, y, weight, fit_intercept)
        if (v is not None) != expected:
            wrong.append((seed, expected))
        if seed % 8 == 0 and len(y) >= 10:
            v, _ = asked(X, y, weight, fit_intercept, n_parts=3)
            if (v is not None) != expected:
                wrong.append((seed, expected, "in parts"))
    assert wrong == []
    assert 0 < n_separated < n_cases


@pytest.mark.parametrize(("kind", "seed"), [(codes, 1023), (intervals, 1309)])
def test_directions_that_a_program_in_floating_point_misses(kind, seed):
    exact, X, y, weight, fit_intercept = case_of(kind, seed)
    assert exactly_separated(exact, y, weight, fit_intercept)
    assert asked(X, y, weight, fit_intercept)[0] is not None


@pytest.mark.parametrize("kind", KINDS)
def test_fits_agree_with_an_exact_linear_program(kind):
    wrong = []
    for seed in range(150, 175):
        exact, X, y, weight, fit_intercept = case_of(kind, seed)
        model = BCENeuronClassifier(C=np.inf, fit_intercept=fit_intercept, soft_targets=True)
        messages = told(lambda model=model, X=X, y=y, weight=weight: model.fit(X, y, weight))
        if len(messages) != exactly_separated(exact, y, weight, fit_intercept):
            wrong.append(seed)
    assert wrong == []


def test_chunks_and_dask_tell_what_fit_tells():
    da = pytest.importorskip("dask.array")
    dask = pytest.importorskip("dask")
    from sklearn_bce.dask import DaskBCENeuronClassifier

    told_of = []
    for kind in KINDS:
        for seed in range(200, 202):
            exact, X, y, weight, fit_intercept = case_of(kind, seed)
            X = X.toarray() if sp.issparse(X) else X
            parameters = {"C": np.inf, "soft_targets": True, "fit_intercept": fit_intercept}
            half = len(y) // 2
            chunks = [(X[some], y[some], weight[some]) for some in (slice(half), slice(half, None))]
            in_chunks = told(
                lambda chunks=chunks, parameters=parameters: fit_from_chunks(
                    BCENeuronClassifier(**parameters), lambda: iter(chunks)
                )
            )
            X, y_blocks = da.from_array(X, chunks=(half, -1)), da.from_array(y, chunks=half)
            blocks = X, y_blocks, da.from_array(weight, chunks=half)
            with dask.config.set(scheduler="synchronous"):
                on_dask = told(
                    lambda blocks=blocks, parameters=parameters: DaskBCENeuronClassifier(
                        **parameters
                    ).fit(*blocks)
                )
            expected = exactly_separated(exact, y, weight, fit_intercept)
            assert len(in_chunks) == len(on_dask) == expected, (kind, seed)
            told_of.append(expected)
    assert 0 < sum(told_of) < len(told_of)


# ----- directions and names -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("constant", [1.0, 0.1, 1e12])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_the_level_of_one_class_is_named_and_no_constant_column(kind, constant, fit_intercept):
    rng = np.random.default_rng(0)
    level, other = rng.integers(6, size=300), rng.integers(4, size=300)
    y = np.where(level == 5, 1.0, (rng.random(300) < 0.4) * 1.0)
    X = np.hstack([np.eye(6)[level], np.eye(4)[other], np.full((300, 1), constant)])
    v, _ = asked(kind(X), y, np.ones(300), fit_intercept)
    assert v[-1] == 0
    assert_allclose(np.delete(v, 5), 0, atol=1e-12 * v[5])
    (message,) = told(
        lambda: BCENeuronClassifier(C=np.inf, fit_intercept=fit_intercept).fit(kind(X), y)
    )
    assert "for ever: 5. " in message


@pytest.mark.parametrize("n_knots", [4, 6, 9])
@pytest.mark.parametrize("last", [False, True])
def test_a_basis_function_of_one_class_is_named(n_knots, last):
    rng = np.random.default_rng(n_knots)
    x = rng.uniform(size=400)
    X = SplineTransformer(n_knots, degree=1).fit_transform(x[:, None])
    y = (rng.random(400) < 0.5) * 1.0
    named = n_knots - 1 if last else 0
    y[X[:, named] > 0] = last
    (message,) = told(lambda: BCENeuronClassifier(C=np.inf).fit(X, y))
    assert f"for ever: {named}. " in message


def test_an_unpenalised_column_that_separates_is_named_by_its_own_number():
    """The other columns have a penalty, so that their weights do not grow for ever."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    y = (X[:, 3] > 0) * 1.0
    model = BCENeuronClassifier(penalty_factor=[1, 1, 1, 0])
    (message,) = told(lambda: model.fit(X, y))
    assert "for ever: 3. " in message


def test_a_direction_is_in_units_of_standard_deviations():
    rng = np.random.default_rng(0)
    X = np.column_stack([rng.normal(size=100), rng.normal(size=100), np.zeros(100)])
    X = np.rint(X * 2**20) / 2**20  # so that the sum, and its product with a power of 2, is exact
    y = (rng.random(100) < 0.5) * 1.0
    X[:, 2] = np.where(y == 1, rng.integers(0, 2, 100), 0) + X[:, 1]
    scale = np.array([1e3, 2.0**-13, 2.0**-13])
    v, _ = asked(X * scale, y, np.ones(100))
    expected = np.array([0, -X[:, 1].std(), X[:, 2].std()])
    assert_allclose(v / v[2] * expected[2], expected, atol=1e-9)


def test_the_simplest_of_directions_with_the_same_outputs():
    idle = np.array([[1.0], [1.0], [1.0], [-1.0]])
    v = np.array([2.0, 2.0, 5.0, -2.0])
    weight = np.array([1.0, 1.0, 1.0, 0.0])
    assert_allclose(Separating(v, idle).simplest(weight), [0, 0, 3, 0], atol=1e-12)
    assert_allclose(Separating(v, idle[:, :0]).simplest(weight), v)
    assert_allclose(Separating(0 * v, idle).simplest(weight), 0 * v)


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("n_parts", [1, 3])
def test_features_that_separate_alone_are_found_by_comparisons(kind, n_parts, monkeypatch):
    monkeypatch.setattr(separation, "find_kept_samples", None)  # must not be called
    X, y = overlapping(300, 5)
    X[:, 0] = np.abs(X[:, 0])
    X[:, 1] = y * (np.arange(300) % 7 == 0) * X[:, 0]  # 0 but for some samples of one class
    X[:, 2] = -1e9 + (y == 0) * (np.arange(300) % 5 == 0)  # far from 0
    X[:, 3] = 4.0  # constant
    weight = np.ones(300)
    v, _ = asked(kind(X), y, weight, n_parts=n_parts)
    assert_allclose(v, [0, 1, -1, 0, 0])
    weight[(y == 0) & (np.arange(300) % 5 == 0)] = 0  # the others of this class are all equal
    v, _ = asked(kind(X), y, weight, n_parts=n_parts)
    assert_allclose(v, [0, 1, 0, 0, 0])
    y[7] = 0.5  # a soft target at the value 0 of column 1
    X[7, 1] = 0.0
    v, _ = asked(kind(X), y, weight, n_parts=n_parts)
    assert_allclose(v, [0, 1, 0, 0, 0])


# ----- cost ---------------------------------------------------------------------------------------


def overlapping(n, p, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, labels(rng, 2 * X[:, 0])


def test_random_samples_save_all_passes():
    X, y = overlapping(5000, 4)
    assert asked(X, y, np.ones(5000)) == (None, 0)
    X[7, 1] = 2.0**31 - 1
    assert asked(X, y, np.ones(5000)) == (None, 0)


def test_random_samples_do_not_hide_a_rare_column():
    X, y = overlapping(5000, 3)
    rare = np.zeros(5000)
    rare[np.flatnonzero(y)[3]] = 1
    v, _ = asked(np.column_stack([X, rare]), y, np.ones(5000))
    assert_allclose(v[:3], 0, atol=1e-9 * v[3])
    assert v[3] > 0
    rare[np.flatnonzero(y == 0)[3]] = 1
    assert asked(np.column_stack([X, rare]), y, np.ones(5000))[0] is None


def test_few_samples_in_parts_take_three_passes():
    X, y = overlapping(100, 3)
    model = BCENeuronClassifier(C=np.inf).fit(X, y)
    end = {"w": model.coef_[0], "b": float(model.intercept_[0])}
    assert asked(X, y, np.ones(100), **end, n_parts=3) == (None, 3)


def test_few_samples_of_a_class_leave_no_random_samples():
    X, y = overlapping(5000, 3)
    y = np.zeros(5000)
    y[np.argmax(X[:, 1])] = 1
    v, _ = asked(X, y, np.ones(5000))
    assert_allclose(v[[0, 2]], 0, atol=v[1])


@pytest.mark.parametrize("kind", [np.asarray, sp.csr_array])
def test_many_columns_are_answered_by_the_fit_or_by_a_step(kind, monkeypatch):
    monkeypatch.setattr(separation, "MAX_SIZE", 0)
    X, y = overlapping(200, 3)
    weight = np.ones(200)
    assert asked(kind(X), y, weight)[0] is None
    right = X[:, 0] + X[:, 1] > 0
    v, _ = asked(kind(X), right * 1.0, weight, w=np.array([1.0, 1, 0]))
    assert_allclose(v, [X[:, 0].std(), X[:, 1].std(), 0], rtol=1e-12)
    X[:, 2] = X[:, 0] + y * (np.arange(200) % 3 == 0)
    v, _ = asked(kind(X), y, weight, w=np.array([-7.0, 0, 9.0]))
    v /= X.std(axis=0)
    assert v[2] > 0
    assert_allclose(v / v[2], [-1, 0, 1], atol=1e-4)
    y[5] = 0.5
    v, _ = asked(kind(X), right * 1.0 - 0.5 * (np.arange(200) == 5), weight, w=np.ones(3))
    assert v is None


# ----- pieces -------------------------------------------------------------------------------------


def test_the_null_space_of_dependent_columns():
    rng = np.random.default_rng(0)
    A = rng.normal(size=(30, 3))
    A = np.column_stack([A, A[:, 0] - 2 * A[:, 1], np.zeros(30)])
    basis = RankRevealing.of(A).null_space()
    assert basis.N.shape == (5, 2)
    assert np.linalg.matrix_rank(basis.N) == 2
    assert_allclose(A @ basis.N, 0, atol=1e-14)
    assert np.all(np.abs(basis.N) * (1 - 1e-12) <= basis.E)
    target = A @ np.array([1.0, 2, 3, 4, 5])
    assert_allclose(A @ RankRevealing.of(A).solve(target), target, atol=1e-13)


@pytest.mark.parametrize("seed", range(3))
def test_the_rounding_of_many_rows_is_no_direction(seed):
    """A full one-hot encoding depends on the column of ones, in each row exactly."""
    rng = np.random.default_rng(seed)
    n = 100_000
    A = np.column_stack([np.eye(7)[rng.integers(0, 7, n)], np.ones(n), rng.normal(size=(n, 3))])
    A *= 10.0 ** -rng.uniform(0, 9, n)[:, None]
    root = root_of_blocks(iter(np.array_split(A, 10)), A.shape[1])
    assert RankRevealing.of(root.R, np.ones(A.shape[1])).rank == 10


def test_no_rows_leave_all_directions():
    basis = RankRevealing.of(np.zeros((0, 3))).null_space()
    assert_allclose(basis.N, np.eye(3))
    assert_allclose(RankRevealing.of(np.zeros((0, 3))).solve(np.zeros(0)), 0)


def test_outputs_that_may_be_rounding_are_0():
    basis = Basis(np.array([[1.0, 0.0], [-1.0, 1e-20]]), np.ones((2, 2)))
    outputs, error = basis.outputs(np.array([[0.1 + 0.2, 0.3], [2.0, 1.0], [0.0, 0.0]]))
    assert_allclose(outputs, [[0, 0], [1, 0], [0, 0]])
    assert_allclose(error, [0.6, 3, 1])


def test_the_worst_rows_of_both_sets():
    first = WorstRows(np.array([[1.0], [2.0]]), np.array([5.0, 1.0]), 2)
    total = first + WorstRows(np.array([[3.0]]), np.array([2.0]), 2)
    assert_allclose(total.rows, [[1], [3]])
    assert_allclose(total.excess, [5, 2])


def test_rows_for_units_are_limited():
    total = SomeRows(np.zeros((0, 2)))
    for _ in range(50):
        total = total + SomeRows(np.ones((64, 2)))
        assert len(total.rows) <= MAX_ROWS_FOR_UNITS
    assert 4 * len(total.rows) > MAX_ROWS_FOR_UNITS


def test_samples_are_added_to_the_linear_program_until_it_is_solved(monkeypatch):
    """With one sample at a time the answers are the same."""
    monkeypatch.setattr(separating_direction, "PROGRAM_ROWS", 1)
    for seed in range(30):
        data = drawn(seed)
        v, _ = asked(data.X, data.y, data.weight, data.fit_intercept)
        expected = separated(data.X, data.y, data.weight, data.fit_intercept)
        assert (v is not None) == expected, seed
