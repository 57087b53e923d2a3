"""Coordinate ascent on the dual, for more features than samples: kernels, bound, and fits by it."""

import mpmath
import numpy as np
import pytest
import scipy.sparse as sp
from covering import every_pair
from numpy.testing import assert_allclose
from stated_objective import minimum_of, stated

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import dual, reference
from sklearn_bce._objective import in_memory
from sklearn_bce._objective import rows as rows_module
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._solvers.newton import dual_ascent
from sklearn_bce._solvers.newton.dual_ascent import DualAscent

N, P = 40, 130
RNG = np.random.default_rng(0)
DENSE = RNG.normal(size=(N, P)) * RNG.uniform(0.3, 2, P)
SPARSE = np.where(RNG.random((N, P)) < 0.2, np.abs(DENSE), 0.0)
LABEL = (DENSE[:, :9].sum(axis=1) + RNG.normal(size=N) > 1).astype(int)
WEIGHT = RNG.uniform(0, 3, N) * (np.arange(N) % 7 > 0)
OFFSET = RNG.normal(size=N)
SHARE = RNG.uniform(size=N)


@pytest.fixture
def ends(monkeypatch):
    """Make the ascent worthwhile for small data; return the list of the results of all ascents."""
    found = []

    def recorded(objective, settings, solve=dual_ascent.solve_by_dual_ascent):
        found.append(solve(objective, settings))
        return found[-1]

    for name in ("LEAST_ELEMENTS", "LEAST_STORED", "LEAST_KAPPA"):
        monkeypatch.setattr(dual_ascent, name, 0)
    monkeypatch.setattr(dual_ascent, "PRODUCTS_IN_A_PASS", 1)
    monkeypatch.setattr("sklearn_bce._solvers.newton.starts.solve_by_dual_ascent", recorded)
    return found


# --- kernels ---


def passed(module, X, y, n_passes, offset, intercept):
    """Return what passes by the kernels of a module change: rise, t, v, w and b."""
    n, p = X.shape
    name, rows = "dense_dual_pass", (X,)
    if sp.issparse(X):
        name, rows = "csr_dual_pass", (X.data, X.indices, X.indptr)
    factor, rng = WEIGHT / 3, np.random.default_rng(1)
    squares = (X.toarray() if sp.issparse(X) else X).astype(np.float64) ** 2
    kappa = factor * squares.sum(axis=1)
    t, v, w, b = np.zeros(n), np.zeros(n), np.zeros(p), np.array([intercept])
    square = 0.7 if intercept else 0.0
    kappa += factor * square
    found = np.where(np.arange(n) % 3, kappa, -1.0)  # below 0: to be found in the first pass
    run, samples = getattr(module, name), (y, offset, factor, found)
    rises = [run(*rows, *samples, rng.permutation(n), t, v, w, b, square) for _ in range(n_passes)]
    assert_allclose(found, kappa, rtol=1e-13)
    return rises, t, v, w, b


@every_pair(
    pytest.mark.parametrize("storage", ["dense", "csr", "csr of 64 bits"]),
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
    pytest.mark.parametrize("y", [LABEL.astype(float), SHARE], ids=["labels", "soft"]),
    pytest.mark.parametrize("offset", [np.zeros(N), OFFSET], ids=["no offset", "offset"]),
    pytest.mark.parametrize("intercept", [0.0, -0.4]),
)
def test_kernel_and_reference_agree(storage, dtype, y, offset, intercept):
    X = DENSE.astype(dtype)
    if storage != "dense":
        X = sp.csr_array(SPARSE.astype(dtype))
    if storage == "csr of 64 bits":
        X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    found, expected = (passed(each, X, y, 3, offset, intercept) for each in (dual, reference))
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("module", [dual, reference])
@pytest.mark.parametrize("y", [0.0, 1.0, 0.3])
@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4, 1e9])
def test_a_slope_moves_to_the_maximum_of_the_dual(module, y, size):
    """There t + κ(σ(t) − y − v) = z, with the slope v = 0 and the output z = 0.7 of one sample."""
    factor = 2.0
    kappa = factor * size**2
    t, v, w, b = np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1)
    arrays = np.array([y]), np.array([0.7]), np.array([factor]), np.array([kappa])
    for _ in range(3):  # each visit begins at the output of the one before
        w[:], v[:] = 0.0, 0.0
        module.dense_dual_pass(np.array([[size]]), *arrays, np.zeros(1, int), t, v, w, b, 0.0)
    with mpmath.workdps(50):

        def slope(t):
            return (1 - mpmath.mpf(y)) / (1 + mpmath.exp(-t)) - y / (1 + mpmath.exp(t))

        low, high = mpmath.mpf(0.7 - kappa), mpmath.mpf(0.7 + kappa)
        for _ in range(200):  # bisection, as the left side grows with t
            middle = (low + high) / 2
            low, high = (middle, high) if middle + kappa * slope(middle) < 0.7 else (low, middle)
        expected = float(slope(low))
    assert v[0] == pytest.approx(expected, rel=1e-6, abs=1e-15)
    assert w[0] == pytest.approx(-factor * v[0] * size, rel=1e-12)


# --- the bound ---


@every_pair(
    pytest.mark.parametrize("storage", [np.array, np.float32, sp.csr_array]),
    pytest.mark.parametrize("y", [LABEL.astype(float), SHARE], ids=["labels", "soft"]),
    pytest.mark.parametrize("weight", [np.ones(N), WEIGHT], ids=["equal", "weights"]),
    pytest.mark.parametrize("offset", [None, OFFSET], ids=["no offset", "offset"]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("C", [0.01, 1.0, 100.0]),
    pytest.mark.parametrize("tol", [0.0, 1e-6, 1e-2]),  # 0: all slopes are moved
)
def test_gap_is_never_below_the_distance_from_the_minimum(
    storage, y, weight, offset, fit_intercept, C, tol
):
    X = storage(SPARSE)
    o = 0.0 if offset is None else offset
    F = stated(X, y, weight, offset=o, C=C, fit_intercept=fit_intercept)
    least = F.value(*minimum_of(F))
    strength = ElasticNet(1 / (C * weight.sum()))
    objective = InMemoryObjective.in_user_units(
        X, y, weight, strength, fit_intercept, offset=offset
    )
    ascent, rng = DualAscent(objective), np.random.RandomState(0)
    gaps = []
    for _ in range(12):
        ascent.rise_in_pass(rng)
        gaps.append(ascent.duality_gap(tol))
        above = F.value(ascent.w, ascent.intercept[0]) - least
        assert above <= gaps[-1] * (1 + 1e-6) + 1e-14
    assert gaps[-1] < 1e-2 * gaps[0]
    assert above > gaps[-1] / 30 or gaps[-1] < 1e-12  # the bound is of use


# --- fits ---


@every_pair(
    pytest.mark.parametrize("storage", [np.array, np.float32, sp.csr_matrix, sp.csc_array]),
    pytest.mark.parametrize("y", [LABEL, SHARE], ids=["labels", "soft"]),
    pytest.mark.parametrize("weight", [None, WEIGHT], ids=["equal", "weights"]),
    pytest.mark.parametrize("offset", [None, OFFSET], ids=["no offset", "offset"]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("C", [0.01, 1.0, 100.0]),
    pytest.mark.parametrize("tol", [1e-4, 1e-9]),
)
def test_a_fit_by_the_dual_is_within_tol_of_the_minimum(
    storage, y, weight, offset, fit_intercept, C, tol, ends, monkeypatch
):
    monkeypatch.setattr(dual_ascent, "PASSES_AT_ZERO", 100)
    monkeypatch.setattr(dual_ascent, "PRODUCTS_IN_A_PASS", 0.1)
    X = storage(SPARSE)
    model = BCENeuronClassifier(
        C=C, fit_intercept=fit_intercept, tol=tol, soft_targets=y is SHARE
    ).fit(X, y, weight, offset=offset)
    o = 0.0 if offset is None else offset
    F = stated(X, y, weight, offset=o, C=C, fit_intercept=fit_intercept)
    least = F.value(*minimum_of(F))
    value = F.value(model.coef_[0].astype(float), float(model.intercept_[0]))
    assert ends[0] is not None
    assert ends[0].converged
    assert model.stop_reason_ == "tol"
    assert value - least <= tol
    assert model.loss_curve_[-1] == pytest.approx(value, abs=1e-9)
    assert model.n_passes_ >= 4
    shares = np.ones(N) / N if weight is None else weight / weight.sum()
    mean_square = shares @ np.square(SPARSE).sum(axis=1)
    assert_allclose(ends[0].coordinates.scale, np.sqrt(mean_square), rtol=1e-6)


def test_class_weights_and_one_class_of_few_samples(ends):
    y = (np.arange(N) < 3).astype(int)
    model = BCENeuronClassifier(C=0.1, class_weight="balanced").fit(DENSE, y)
    F = stated(DENSE, y, C=0.1, class_weight="balanced")
    assert ends[0].converged
    assert F.value(model.coef_[0], model.intercept_[0]) - F.value(*minimum_of(F)) <= 1e-6


@pytest.mark.parametrize("storage", [np.array, sp.csr_array])
def test_correlated_samples_are_left_to_the_other_rules(storage, ends, monkeypatch):
    """Their dual is badly conditioned, so that passes hardly help: there are few of them."""
    rises, rise_in_pass = [], DualAscent.rise_in_pass

    def counted(self, random_state):
        rises.append(rise_in_pass(self, random_state))
        return rises[-1]

    monkeypatch.setattr(DualAscent, "rise_in_pass", counted)
    X = storage(DENSE + 100 * DENSE[:, :1] @ DENSE[:1])
    model = BCENeuronClassifier(C=100.0).fit(X, LABEL)
    F = stated(X, LABEL, C=100.0)
    assert not getattr(ends[0], "converged", False)
    assert dual_ascent.PASSES_TO_JUDGE <= len(rises) <= 2 * dual_ascent.PASSES_TO_JUDGE
    assert model.converged_
    assert F.value(model.coef_[0], model.intercept_[0]) - F.value(*minimum_of(F)) <= 1e-6


def test_weights_with_a_larger_loss_than_weights_of_0_are_no_start(ends):
    """The first passes overshoot where C is large."""
    X = sp.csr_array(DENSE + 100 * DENSE[:, :1] @ DENSE[:1])
    BCENeuronClassifier(C=1e6).fit(X, LABEL)
    assert ends == [None]


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    "parameters",
    [
        {"l1_ratio": 0.5},
        {"C": np.inf},
        {"penalty_factor": np.linspace(1, 2, P)},
        {"coef_bounds": (0, np.inf)},
        {"early_stopping": True},
    ],
    ids=lambda each: next(iter(each)),
)
def test_problems_that_the_ascent_cannot_solve_are_left_to_the_other_rules(parameters, ends):
    BCENeuronClassifier(**parameters).fit(sp.csr_array(SPARSE), LABEL)
    assert ends in ([], [None])


def test_samples_that_are_not_fewer_than_features_are_left_to_the_other_rules(ends):
    for X in (DENSE[:, :N].copy(), sp.csr_array(SPARSE[:, :N])):
        BCENeuronClassifier().fit(X, LABEL)
    assert ends == [None, None]


def test_arrays_in_fortran_order_are_copied_if_they_are_not_large(ends, monkeypatch):
    model = BCENeuronClassifier().fit(DENSE, LABEL)
    copied = BCENeuronClassifier().fit(np.asfortranarray(DENSE), LABEL)
    np.testing.assert_allclose(copied.coef_, model.coef_, rtol=1e-9, atol=1e-12)
    monkeypatch.setattr(in_memory, "MOST_COPIED", DENSE.size - 1)
    BCENeuronClassifier().fit(np.asfortranarray(DENSE), LABEL)
    assert [end is not None and end.converged for end in ends] == [True, True, False]


@pytest.mark.parametrize("storage", [np.array, sp.csr_array])
def test_squares_that_overflow_are_left_to_the_other_rules(storage, ends):
    model = BCENeuronClassifier(C=1e-300).fit(storage(1e160 * SPARSE), LABEL)
    assert ends == [None]
    assert np.isfinite(model.coef_).all()


def test_an_element_that_is_not_finite_is_told(ends):
    X = DENSE.copy()
    X[3, 5] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        BCENeuronClassifier().fit(X, LABEL)


def test_a_pass_in_several_calls_is_the_same_pass(ends, monkeypatch):
    whole = BCENeuronClassifier().fit(DENSE, LABEL)
    monkeypatch.setattr(rows_module, "ELEMENTS_PER_CALL", DENSE.size // 7)
    parts = BCENeuronClassifier().fit(DENSE, LABEL)
    assert ends[0].converged
    np.testing.assert_array_equal(parts.coef_, whole.coef_)
    np.testing.assert_array_equal(parts.intercept_, whole.intercept_)


def test_samples_whose_squares_are_0_have_the_log_odds_as_intercept(ends):
    X = sp.csr_array(([1e-200], ([3], [4])), shape=(N, P))
    model = BCENeuronClassifier().fit(X, LABEL)
    assert ends[0].converged
    assert model.intercept_[0] == pytest.approx(np.log(LABEL.mean() / (1 - LABEL.mean())))
    assert np.max(np.abs(model.coef_)) < 1e-200
