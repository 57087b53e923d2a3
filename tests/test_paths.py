"""Every way that the cost model can choose ends in the minimum, in any order of the rows."""

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from scipy.special import expit
from small_data import F, minimum, objective, random_data, solved, theta_of

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers import Settings
from sklearn_bce._solvers.newton import SOLVER, starts
from sklearn_bce._solvers.newton import in_cache as _in_cache
from sklearn_bce._solvers.newton import row_space as _row_space
from sklearn_bce._solvers.newton.cost import TYPICAL_PRODUCTS, CostModel, row_space_is_smaller
from sklearn_bce._solvers.newton.row_space import RowSpace, suboptimality_bound
from sklearn_bce._solvers.newton.subsample import rescale_diagonal, sample_size, sample_tol


def _force(monkeypatch, *, curvature=np.inf, rows=0, row_space=False, in_cache=False):
    """Give the curvature a cost in passes, and force a start rule, or that none of them applies."""
    monkeypatch.setattr(_in_cache, "CACHE_ELEMENTS", np.inf if in_cache else 0)
    costs = CostModel(one_pass=1.0, curvature=curvature, factor=0.0, size=1)
    monkeypatch.setattr(CostModel, "of", lambda problem: costs)

    def size(problem, tol):
        return rows if rows < problem.n_samples else 0  # not of the sample itself

    monkeypatch.setattr(starts, "sample_size", size)
    monkeypatch.setattr(starts, "is_tall", lambda problem, tol: size(problem, tol) > 0)

    def dense_only(objective):
        return row_space and not sp.issparse(objective.X)

    monkeypatch.setattr(starts, "row_space_is_smaller", dense_only)


PATHS = {
    "factorisation": {"curvature": 0.0},
    "conjugate gradients": {},
    "conjugate gradients, then factorisation": {"curvature": 12.0},
    "sample, factorisation": {"curvature": 0.0, "rows": 200},
    "sample, conjugate gradients": {"rows": 200},
    "sample, its own curvature": {"curvature": 12.0, "rows": 200},
    "row space": {"row_space": True},
    "one call": {"in_cache": True},
}


@pytest.mark.parametrize(
    *pairwise(
        path=PATHS,
        kind=["dense", "sparse", "float32", "F order"],
        C=[0.01, 1.0, np.inf],
        threads=[1, 3],
    )
)
def test_every_path_ends_in_the_minimum(path, kind, C, threads, monkeypatch):
    _force(monkeypatch, **PATHS[path])
    X, y, weight = random_data(900, 6, sparse=kind == "sparse")
    if kind == "float32":
        X = X.astype(np.float32).astype(np.float64)
    expected = minimum((X, y, weight), C)
    rows = {"float32": np.float32, "F order": np.asfortranarray}.get(kind, lambda X: X)(X)
    monkeypatch.setattr("sklearn_bce._kernels.threads.MIN_ELEMENTS_PER_THREAD", 1000)
    monkeypatch.setattr("sklearn_bce._objective.in_memory.LARGE_ELEMENTS", 0)
    problem = objective((rows, y, weight), C)
    problem.n_threads = threads
    tol, exact = (1e-12, 1e-5) if kind == "float32" else (1e-22, 1e-9)
    settings = Settings(tol=tol, random_state=np.random.RandomState(0))
    result = SOLVER.solve(problem, np.zeros(6), 0.0, settings)
    assert result.converged
    np.testing.assert_allclose(theta_of(result), expected, rtol=exact, atol=exact)


@pytest.mark.parametrize(*pairwise(path=PATHS, fit_intercept=[True, False]))
def test_every_path_ends_in_the_minimum_of_dependent_rows_fewer_than_features(
    path, fit_intercept, monkeypatch
):
    _force(monkeypatch, **PATHS[path])
    rng = np.random.default_rng(0)
    X = np.repeat(rng.standard_normal((30, 80)), 2, axis=0) * np.geomspace(0.1, 10, 80) + 3
    y = (rng.random(60) < 0.5).astype(int)
    neuron = BCENeuronClassifier(fit_intercept=fit_intercept, tol=1e-20, random_state=0).fit(X, y)
    w, b = neuron.coef_[0], neuron.intercept_[0]
    slope = (expit(X @ w + b) - y) / 60
    # The gradient of F is 0 at the minimum only.
    np.testing.assert_allclose(X.T @ slope + w / 60, 0, atol=1e-9)
    assert abs(slope.sum()) < 1e-11 if fit_intercept else b == 0


def test_row_space_ends_in_the_minimum_where_one_column_dominates_the_products(monkeypatch):
    """Rounding of the products of rows hides the other columns, on which F at large C depends."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((40, 60))
    y = (rng.random(40) < expit(X[:, 1])).astype(float)
    X[:, 0] *= 1e9
    data, C = (X, y, np.ones(40)), 10.0
    by_row_space = []
    for row_space in (True, False):
        _force(monkeypatch, row_space=row_space)
        by_row_space.append(solved("newton", data, C, tol=1e-12, max_iter=200))
    assert by_row_space[0].converged
    assert by_row_space[0].loss_curve[-1] == pytest.approx(
        by_row_space[1].loss_curve[-1], abs=2e-12
    )


@pytest.fixture(params=["single", "double"])
def precision(request, monkeypatch):
    """Choose the precision in which the products of rows are tried first."""
    limit = 0 if request.param == "single" else 10**9
    monkeypatch.setattr(_row_space, "SINGLE_ELEMENTS", limit)
    return {"single": 1e-5, "double": 1e-12}[request.param]


def test_row_space_gives_way_where_products_overflow(monkeypatch, precision):
    X, y, weight = random_data(40, 60)
    ends = []
    for row_space in (True, False):
        _force(monkeypatch, row_space=row_space)
        ends.append(solved("newton", (X * [1e30, *np.ones(59)], y, weight), tol=1e-12))
    np.testing.assert_allclose(theta_of(ends[0]), theta_of(ends[1]), rtol=1e-5, atol=1e-6)


def test_products_of_single_precision_end_in_the_minimum(monkeypatch, precision):
    X, y, weight = random_data(60, 90)
    _force(monkeypatch, row_space=True)
    result = solved("newton", (X, y, weight), tol=1e-9)
    assert result.converged
    best = F(minimum((X, y, weight), 1.0), (X, y, weight), 1.0)
    assert F(theta_of(result), (X, y, weight), 1.0) - best < 1e-11


def test_products_of_double_precision_follow_where_single_precision_is_not_enough(monkeypatch):
    monkeypatch.setattr(_row_space, "SINGLE_ELEMENTS", 0)
    _force(monkeypatch, row_space=True)
    for tol, n_passes in ((1e-9, 2), (1e-14, 4)):  # for each, the products and the bound
        result = solved("newton", random_data(60, 90), tol=tol)
        assert (result.converged, result.n_passes) == (True, n_passes)


def test_row_space_reproduces_the_products_of_the_rows(precision):
    X = np.random.default_rng(2).standard_normal((12, 30)) + 5
    X[7] = X[2]
    y = np.arange(12) % 2.0
    problem = objective((X, y, np.ones(12)))
    space = RowSpace.of(problem, _row_space.precisions(problem)[0])
    centred = X - X.mean(axis=0)
    assert space.factor.shape == (12, 10)  # 12 rows, two of them equal, and centred
    gram = centred @ centred.T
    np.testing.assert_allclose(space.factor @ space.factor.T, gram, atol=10 * precision)
    v = np.arange(10.0)
    w, b = space.to_user(v, 0.5)
    np.testing.assert_allclose(X @ w + b, space.factor @ v + 0.5, atol=20 * precision)
    assert w @ w == pytest.approx(v @ v, rel=precision)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_f_in_the_row_space_is_f_of_the_weights(fit_intercept):
    """For any v, F in plain NumPy, with weights and penalty."""
    X, y, weight = random_data(12, 30)
    data, C = (X + 5, y, weight), 0.3
    problem = objective(data, C, fit_intercept)
    space = RowSpace.of(problem)
    v, b = np.linspace(-1, 2, space.factor.shape[1]), 0.5 * fit_intercept
    w, b_user = space.to_user(v, b)
    inside = space.problem(problem)
    point = inside.evaluate(inside.coordinates.from_user(v, b))
    assert point.value == pytest.approx(F(np.append(w, b_user), data, C), rel=1e-12)


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_f_in_the_row_space_has_the_strength_of_each_feature(fit_intercept):
    """For any v, F in plain NumPy, with strengths of 0.01 to 3."""
    X, y, weight = random_data(12, 30)
    X, l2 = X + 5, np.geomspace(0.01, 3, 30)
    problem = InMemoryObjective.in_user_units(X, y, weight, ElasticNet(l2), fit_intercept)
    space = RowSpace.of(problem)
    v, b = np.linspace(-1, 2, space.factor.shape[1]), 0.5 * fit_intercept
    w, b_user = space.to_user(v, b)
    inside = space.problem(problem)
    point = inside.evaluate(inside.coordinates.from_user(v, b))
    z = X @ w + b_user
    expected = weight @ (np.logaddexp(0, z) - y * z) / weight.sum() + l2 @ w**2 / 2
    assert point.value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("of_intercept", [0.0, 2e-3])
@pytest.mark.parametrize("of_weights", [0.0, 1e-5])
def test_the_bound_is_the_distance_where_the_penalty_prevails(of_weights, of_intercept):
    """A dominating penalty makes F nearly quadratic: F − min F is about Σ g²/(2λ)."""
    data, C = random_data(), 1e-5
    best = minimum(data, C)
    theta = best + np.array([of_weights, -of_weights, 2 * of_weights, of_intercept])
    problem = objective(data, C)
    got = suboptimality_bound(problem, problem.evaluate(theta))
    assert got == pytest.approx(F(theta, data, C) - F(best, data, C), rel=0.02, abs=1e-15)


# ----- the sample ---------------------------------------------------------------------------------


def _tall(n_samples=6000, fraction=0.5, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, 4))
    y = (
        rng.random(n_samples) < expit(X @ [1.0, -1, 0.5, 0] + np.log(fraction / (1 - fraction)))
    ) * 1.0
    return X, y, np.ones(n_samples)


def _draw(data, rows, seed=0):
    return objective(data).subsample(rows, np.random.RandomState(seed))


@pytest.mark.parametrize("fraction", [0.5, 0.02])
def test_either_class_of_a_sample_weighs_as_much_as_all_of_it(fraction):
    X, y, weight = _tall(fraction=fraction)
    sample = _draw((X, y, weight), 1000)
    for label in (0.0, 1.0):
        of_class = sample.y == label
        assert sample.sample_weight[of_class].sum() == pytest.approx((y == label).sum(), rel=1e-12)
        assert np.ptp(sample.sample_weight[of_class]) < 1e-12
        # About half of the rows are of each class, less those drawn twice, to four standard
        # deviations of the number; or all rows of the class.
        assert 380 <= of_class.sum() <= 560 or of_class.sum() == (y == label).sum() < 500
    # Each row of the data at most once, in the order of the data.
    places = np.array([np.flatnonzero((row == X).all(axis=1)).item() for row in sample.X])
    assert np.all(np.diff(places) > 0)
    np.testing.assert_array_equal(sample.y, y[places])


def test_a_sample_follows_from_the_random_state_and_has_no_weightless_rows():
    X, y, weight = _tall()
    weight = weight * (np.arange(6000) % 3 > 0)
    one, same, other = (_draw((X, y, weight), 500, seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.X, same.X)
    assert not np.array_equal(one.X, other.X)
    assert np.all(one.sample_weight > 0)


@pytest.mark.parametrize(("errors", "expected"), [(4.5, True), (5.5, False)])
def test_a_sample_may_leave_no_weight_where_gradients_are_within_five_standard_errors(
    errors, expected
):
    """The feature is −1 or 1: its gradient is a sum of ±s(a − y)/S."""
    rng = np.random.default_rng(0)
    x, y = rng.choice([-1.0, 1.0], 400), (rng.random(400) < 0.2).astype(float)
    x[:200] = -x[200:]  # its mean is 0
    weight = np.tile(rng.uniform(0.5, 1.5, 200), 2)
    normalised_weight = weight / weight.sum()
    slope = normalised_weight * (normalised_weight @ y - y)
    norm = abs(slope @ x) - errors * np.sqrt(np.sum(slope**2))
    user = Coordinates.of_user(1, True)
    sample = InMemoryObjective(x[:, np.newaxis], y, weight, ElasticNet(0.0, np.array([norm])), user)
    assert sample.null_model_is_plausible() is expected


def test_no_sample_where_one_class_has_fewer_than_coordinates():
    X, y, weight = _tall()
    y[:] = 0.0
    y[:5] = 1.0  # and four weights and an intercept
    assert _draw((X, y, weight), 500) is None
    y[5] = 1.0
    assert _draw((X, y, weight), 500) is not None


def _sorted_by_class(X, y):
    return np.argsort(y, kind="stable")


ORDERS = {
    "as drawn": lambda X, y: np.arange(len(y)),
    "one class first": _sorted_by_class,
    "sorted by a feature": lambda X, y: np.argsort(X[:, 0]),
    "periodic": lambda X, y: np.argsort(np.arange(len(y)) % 64, kind="stable"),
    "duplicated": lambda X, y: np.repeat(np.arange(len(y) // 8), 8),
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_rows_costs_no_passes(order):
    X, y, _ = _tall(100_000)
    rows = ORDERS[order](X, y)
    X, y = X[rows], y[rows]
    neuron = BCENeuronClassifier(random_state=0).fit(X, y)
    assert neuron.converged_
    assert neuron.n_passes_ <= 6
    data = (X, y, np.ones(len(y)))
    got = F(np.append(neuron.coef_, neuron.intercept_), data, 1.0)
    assert got - F(minimum(data, 1.0), data, 1.0) < 1e-8  # a hundredth of tol


def test_same_seed_same_bits_and_other_seed_same_minimum(monkeypatch):
    monkeypatch.setattr(_in_cache, "CACHE_ELEMENTS", 0)
    X, y, _ = _tall(200_000)
    seeds = (0, 0, 1, None, None)
    coefs = [BCENeuronClassifier(random_state=seed).fit(X, y).coef_ for seed in seeds]
    np.testing.assert_array_equal(coefs[0], coefs[1])
    np.testing.assert_array_equal(coefs[3], coefs[4])  # None is a fixed seed, of newton
    assert not np.array_equal(coefs[0], coefs[2])
    for other in coefs[2:]:
        np.testing.assert_allclose(coefs[0], other, atol=3e-4)  # sqrt(2·1e-9/curvature)


def test_newton_converges_from_the_minimum_of_a_misleading_sample(monkeypatch):
    """At the minimum of the sample the weight has the wrong sign."""
    X, y, weight = _tall(20_000)
    liars = np.arange(0, 20_000, 40)
    y[liars] = (X[liars] @ [-9.0, 9, 0, 0] > 0) * 1.0

    class Liar:
        def randint(self, high, size):
            return np.arange(size) % high

    data = X[order := np.r_[liars, np.setdiff1d(np.arange(20_000), liars)]], y[order], weight

    def size(problem, tol):
        return 2 * len(liars) // 3 if problem.n_samples == 20_000 else 0

    monkeypatch.setattr(starts, "sample_size", size)
    result = solved("newton", data, tol=1e-12, random_state=Liar())
    assert result.converged
    assert result.loss_curve[-1] - F(minimum(data, 1.0), data, 1.0) < 1e-11


def test_the_diagonal_is_made_exact_and_correlations_are_kept():
    matrix = np.array([[4.0, 2.0, 0.0], [2.0, 9.0, 0.0], [0.0, 0.0, 0.0]])
    diagonal = np.array([1.0, 36.0, 5.0])
    got = rescale_diagonal(matrix, diagonal)
    np.testing.assert_allclose(np.diag(got), diagonal)
    assert got[0, 1] / np.sqrt(1.0 * 36.0) == pytest.approx(2 / np.sqrt(4 * 9))
    assert got[2, 0] == got[2, 1] == 0.0  # a column that the sample does not have
    np.testing.assert_array_equal(got, got.T)


def test_columns_whose_diagonal_differs_by_less_than_a_factor_of_two_are_not_rescaled():
    matrix = np.array([[4.0, 2.0], [2.0, 9.0]])
    np.testing.assert_array_equal(rescale_diagonal(matrix, np.array([7.9, 4.6])), matrix)


def test_a_sample_is_solved_to_a_tenth_of_its_sampling_error_or_to_tol():
    sample = _problem(1000, 4)  # the error of 5 coordinates is 5/(2·1000) nats
    assert sample_tol(sample, 1e-6) == pytest.approx(0.1 * 5 / 2000)
    assert sample_tol(sample, 1e-2) == 1e-2


DOMINATED = {"w": np.zeros(3), "b": 0.0, "tol": 1e-6, "n_rows": 100, "C": 0.01}


@pytest.mark.parametrize(
    "different",
    [{}, {"w": np.array([0.0, 1.0, 0.0])}, {"b": 1.0}, {"tol": 0.0}, {"n_rows": 0}, {"C": 1.0}],
    ids=["dominated", "given weights", "given intercept", "no tol", "few rows", "weak penalty"],
)
def test_a_dominating_penalty_starts_fits_from_zero_to_many_rows_at_zero(different, monkeypatch):
    case = DOMINATED | different
    monkeypatch.setattr(starts, "is_tall", lambda problem, tol: case["n_rows"] > 0)
    settings = Settings(tol=case["tol"], random_state=np.random.RandomState(0))
    problem = objective(random_data(200), case["C"])  # λ is 1/(200·C): 0.5 and 0.005
    start = starts.with_dominating_penalty(problem, case["w"], case["b"], settings)
    if different:
        assert start is None
    else:
        np.testing.assert_array_equal(start.theta, np.zeros(4))
        assert start.problem.penalty_dominates()


# ----- costs --------------------------------------------------------------------------------------


def _problem(n_samples, n_features, values_in_row=None):
    """Return F of dense samples, or of CSR samples with a number of stored values a row."""
    X = np.broadcast_to(np.float64(0), (n_samples, n_features))
    if values_in_row is not None:
        columns = np.tile(np.arange(values_in_row), n_samples)
        ends = values_in_row * np.arange(n_samples + 1)
        X = sp.csr_array((np.ones(len(columns)), columns, ends), shape=X.shape)
    return objective((X, np.zeros(n_samples), np.ones(n_samples)))


def _costs(*shape, **kind):
    return CostModel.of(_problem(*shape, **kind))


def test_a_sample_is_drawn_from_tall_data_alone():
    for n_samples, n_features in ((569, 30), (2000, 500), (200, 5000), (20_000, 100)):
        assert sample_size(_problem(n_samples, n_features), 1e-6) == 0
    tall = (100_000, 300_000, 1_000_000)
    sizes = [sample_size(_problem(n, 20), 1e-6) for n in tall]
    assert sizes == sorted(sizes)
    for n, size in zip(tall, sizes, strict=True):
        assert 10 * 21 <= size <= n / 4


def test_the_full_curvature_is_chosen_for_few_features():
    assert _costs(1000, 20).products < TYPICAL_PRODUCTS < _costs(1000, 1000).products
    assert _costs(2000, 200_000, values_in_row=200).products == np.inf  # 300 GB


def test_sparse_rows_of_few_values_make_a_cheap_curvature():
    """Ten values in a row have about fifty pairs, which cost as much as five passes."""
    costs = _costs(50_000, 100, values_in_row=10)
    assert 1 < costs.curvature / costs.one_pass < 10


@pytest.mark.parametrize(
    ("shape", "expected"), [((200, 5000), True), ((2000, 500), False), ((3000, 3100), False)]
)
def test_row_space_is_chosen_for_few_samples_of_many_features(shape, expected):
    X = np.broadcast_to(np.float64(0), shape)
    problem = objective((X, np.zeros(shape[0]), np.ones(shape[0])))
    assert row_space_is_smaller(problem) is expected


# ----- where the penalty prevails -----------------------------------------------------------------


def test_a_strong_penalty_needs_few_passes_and_no_sample(monkeypatch):
    X, y, _ = _tall(200_000)
    X = X * [1e3, 1.0, 1.0, 1.0]  # in its unit the penalty of this one is weak: a sample is drawn
    drawn = []
    monkeypatch.setattr(InMemoryObjective, "subsample", lambda *arguments: drawn.append(1))
    C = 1 / len(y)
    BCENeuronClassifier(C=C, random_state=0).fit(X, y)
    assert drawn
    drawn.clear()
    X = X / [1e3, 1.0, 1.0, 1.0]
    neuron = BCENeuronClassifier(C=C, random_state=0).fit(X, y)
    assert not drawn
    assert neuron.converged_
    assert neuron.n_passes_ <= 6
    data = (X, y, np.ones(len(y)))
    best = minimum(data, C)
    assert F(np.append(neuron.coef_, neuron.intercept_), data, C) - F(best, data, C) < 1e-8
