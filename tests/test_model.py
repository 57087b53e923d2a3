"""The quadratic model with an L1 norm, and its solvers, against the minima of all faces.

A face is where each penalised coordinate has one sign or is 0; there the model is a quadratic
function, and its minimum over everything is the least of its minima on those.
"""

from dataclasses import replace
from functools import partial
from itertools import product
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from scipy.special import expit
from small_data import objective

from sklearn_bce._kernels import COMPILED, coordinate_descent, reference
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.penalty import NonSmooth
from sklearn_bce._solvers.newton import quadratic
from sklearn_bce._solvers.newton.quadratic import (
    SWEEPS_BEFORE_EXTRAPOLATION,
    ColumnQuadratic,
    GramQuadratic,
    _ColumnSweeps,
    _Face,
    feature_sign_search,
)

MOST_SWEEPS = 20_000  # before a test says that there is no end of them
INDEX = [np.int32, np.int64]


LOOPS = ["compiled", "NumPy"]


@pytest.fixture(params=LOOPS)
def kernels(request, monkeypatch):
    """The kernels, compiled or in NumPy; more than MOST_SWEEPS calls of a descent are an error."""
    module = COMPILED if request.param == "compiled" else reference
    calls = []

    def counted(descend):
        def counting(*arguments):
            calls.append(1)
            assert len(calls) <= MOST_SWEEPS, "there is no end of sweeps"
            return descend(*arguments)

        return counting

    counting = SimpleNamespace(
        csc_column_moments=module.csc_column_moments,
        coordinate_descent=counted(module.coordinate_descent),
        csc_coordinate_descent=counted(module.csc_coordinate_descent),
    )
    monkeypatch.setattr(quadratic, "kernels", lambda: counting)
    return module


@pytest.fixture
def to_the_end(monkeypatch):
    """Solve the models until the decrease that is left is rounding."""
    monkeypatch.setattr(quadratic, "inner_tolerance", lambda gained, root: 1e-11 * gained)
    monkeypatch.setattr(quadratic, "MIN_INNER_FRACTION", 1e-11)
    monkeypatch.setattr(quadratic, "MAX_ROUNDS", MOST_SWEEPS)
    monkeypatch.setattr(quadratic, "MAX_SWEEPS", MOST_SWEEPS)


# ----- references -------------------------------------------------------------------------------


class Model:
    """The model gᵀd + ½dᵀHd + Σ κ|start + d| − Σ κ|start| within bounds, in plain NumPy."""

    def __init__(self, H, g, l1, start, lower=-np.inf, upper=np.inf):
        self.H, self.g, self.l1, self.start = H, g, l1, start
        self.lower, self.upper = (
            np.broadcast_to(bound, len(start)).astype(float) for bound in (lower, upper)
        )

    @property
    def non_smooth(self):
        return NonSmooth(self.l1, self.lower, self.upper)

    def value(self, u):
        if np.any(u < self.lower) or np.any(u > self.upper):
            return np.inf
        d = u - self.start
        return self.g @ d + d @ self.H @ d / 2 + self.l1 @ (np.abs(u) - np.abs(self.start))

    def at_kink(self, u):
        """Return which coordinates are at 0 with an L1 norm, or at a bound."""
        return ((u == 0) & (self.l1 > 0)) | (u == self.lower) | (u == self.upper)

    def derivative(self, u):
        """Return the derivative of the smooth part."""
        return self.g + self.H @ (u - self.start)

    def minimum(self):
        """Return the least of the minima on all faces, each found by least squares.

        On a face, a coordinate is at a number, or free with one sign (None: of no effect).
        """
        faces = []
        for ends in zip(self.l1, self.lower, self.upper, strict=True):
            at = {end for end in ends[1:] if np.isfinite(end)} | ({0.0} if ends[0] > 0 else set())
            faces.append([*((sign, None) for sign in ((-1, 1) if ends[0] > 0 else (0,)))])
            faces[-1] += [(0, number) for number in at]
        return min((self._on_face(face) for face in product(*faces)), key=self.value)

    def _on_face(self, face):
        free = np.array([number is None for _, number in face])
        sign = np.array([sign for sign, _ in face])
        u = np.where(free, self.start, [number or 0.0 for _, number in face])
        rhs = -(self.derivative(u) + self.l1 * sign)
        u[free] += np.linalg.lstsq(self.H[np.ix_(free, free)], rhs[free], rcond=1e-14)[0]
        return u

    def descended(self, u, n_sweeps, visited=lambda u: u == u):
        """Return the point after exact minimisation along each coordinate in turn."""
        u = u.copy()
        for _ in range(n_sweeps):
            for j in np.flatnonzero(visited(u)):
                curvature, derivative = self.H[j, j], self.derivative(u)[j]
                # Along a coordinate the minimum is at 0, that of one of the two quadratics, or the
                # bound nearest to it.
                places = [u[j] - (derivative + side * self.l1[j]) / curvature for side in (-1, 1)]
                places = np.clip([*places, 0.0], self.lower[j], self.upper[j])
                tried = [np.where(np.arange(len(u)) == j, to, u) for to in places]
                u = min(tried, key=self.value)
        return u


def _columns(kind, n_samples=50, density=1.0):
    """Return columns, some of which may be nearly equal, equal or zero."""
    rng = np.random.default_rng(3)
    A = rng.standard_normal((n_samples, 5)) * (rng.random((n_samples, 5)) < density)
    if kind != "well-conditioned":
        A[:, 1] = A[:, 0] * (1 + (kind == "nearly duplicated") * 1e-3 * rng.random(n_samples))
        A[:, 3] = -2 * A[:, 2] * (1 + (kind == "nearly duplicated") * 1e-5 * rng.random(n_samples))
    if kind == "singular":
        A[:, 4] = 0.0
    return A


KINDS = ["well-conditioned", "nearly duplicated", "singular"]
START = np.array([0.5, 0.0, -0.25, 0.0, 0.125, -0.75])
KAPPA = {  # of the L1 norm; the strongest leaves no weight
    "weak": 0.003,
    "medium": 0.05,
    "uneven": np.array([0.1, 0.02, 0.0, 0.2, 0.03]),
    "strongest": 9.0,
}


BOUNDS = {
    "none": (-np.inf, np.inf),
    "some": (
        np.array([-np.inf, 0.0, -0.25, -0.1, -np.inf, -np.inf]),
        np.array([0.5, np.inf, 0.0, 0.05, 0.2, np.inf]),
    ),
}


def _model_of(kind, fit_intercept=True, kappa="medium", size=1.0, density=1.0, bounds="none"):
    A = _columns(kind, density=density)
    Z = np.column_stack([A, np.ones(len(A))])[:, : 5 + fit_intercept]
    l1 = np.append(np.broadcast_to(np.multiply(KAPPA[kappa], size), 5), 0.0)[: Z.shape[1]]
    error = np.random.default_rng(4).standard_normal(len(Z))
    ends = (np.broadcast_to(end, 6)[: Z.shape[1]] for end in BOUNDS[bounds])
    return Model(Z.T @ Z / len(Z), Z.T @ error / len(Z), l1, START[: Z.shape[1]], *ends)


def _assert_least(model, u, gained, rounding=1e-13):
    """Assert that the gain is that of u, and that no u has a larger gain."""
    best = -model.value(model.minimum())
    rounding *= max(1.0, best)
    assert gained == pytest.approx(-model.value(u), rel=1e-11, abs=rounding)
    assert best - 1e-9 * best <= gained <= best + rounding


# ----- kernels ----------------------------------------------------------------------------------


def test_every_loop_of_coordinate_descent_is_tested_here():
    public = {name for name in vars(coordinate_descent) if not name.startswith("_")}
    assert public == {"coordinate_descent", "csc_column_moments", "csc_coordinate_descent"}


def over(**axes):
    """Parametrise a test by pairs of values, with both compiled and NumPy kernels."""
    return pytest.mark.parametrize(*pairwise(kernels=LOOPS, **axes), indirect=["kernels"])


@over(kind=KINDS[:2], kappa=KAPPA, n_sweeps=[1, 2, 7], bounds=BOUNDS)
def test_coordinate_descent_is_exact_along_each_coordinate(kernels, kind, kappa, n_sweeps, bounds):
    model = _model_of(kind, kappa=kappa, bounds=bounds)
    u, gradient = model.start.copy(), model.g.copy()
    gained, last = kernels.coordinate_descent(
        model.H, *model.non_smooth, u, gradient, n_sweeps, -1.0
    )
    before, expected = (model.descended(model.start, n) for n in (n_sweeps - 1, n_sweeps))
    np.testing.assert_allclose(u, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(model.at_kink(u), model.at_kink(expected))
    np.testing.assert_allclose(gradient, model.derivative(u), rtol=0, atol=1e-13)
    assert gained == pytest.approx(-model.value(expected), rel=1e-12, abs=1e-14)
    assert last == pytest.approx(model.value(before) - model.value(expected), rel=1e-9, abs=1e-14)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_coordinate_descent_stops_when_a_sweep_brings_little(kernels, share):
    model = _model_of("nearly duplicated")
    values, at = [0.0], model.start
    for _ in range(30):
        at = model.descended(at, 1)
        values.append(-model.value(at))
    enough = [n for n in range(1, 31) if values[n] - values[n - 1] <= share * values[n]]
    u, gradient = model.start.copy(), model.g.copy()
    gained, last = kernels.coordinate_descent(model.H, *model.non_smooth, u, gradient, 30, share)
    sweeps = next(iter(enough), 30)
    assert gained == pytest.approx(values[sweeps], rel=1e-12)
    assert last == pytest.approx(values[sweeps] - values[sweeps - 1], rel=1e-6, abs=1e-14)


def test_coordinate_descent_without_curvature_moves_to_0_or_not_at_all(kernels):
    """A coordinate moves to 0 if its |gradient| is at most κ, and does not move otherwise.

    It ends at a bound on the way to 0.
    """
    u, gradient = np.array([3.0, -2.0, 1.5, 0.0, 0.25]), np.array([0.5, -1.0, 2.0, 4.0, 0.0])
    l1, before = np.array([1.0, 1.0, 1.0, 1.0, 0.0]), u.copy()
    matrix = np.zeros((5, 5))
    lower, upper = np.array([1.0, -3, -3, -3, -3]), np.array([4.0, -0.5, 3, 3, 3])
    model = Model(matrix, gradient.copy(), l1, before, lower, upper)
    gained, last = kernels.coordinate_descent(matrix, *model.non_smooth, u, gradient, 1, 0.0)
    np.testing.assert_array_equal(u, [1.0, -0.5, 1.5, 0.0, 0.0])
    np.testing.assert_array_equal(gradient, [0.5, -1.0, 2.0, 4.0, 0.0])
    assert gained == last == -model.value(u)


def test_coordinate_descent_without_coordinates_gains_nothing(kernels):
    nothing = 5 * [np.zeros(0)]
    assert kernels.coordinate_descent(np.zeros((0, 0)), *nothing, 3, 0.1) == (0, 0)


@pytest.mark.parametrize("index", INDEX)
def test_csc_column_moments(kernels, index):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((40, 6)) * (rng.random((40, 6)) < 0.3)
    A[:, 4] = 0.0
    X, weight = sp.csc_array(A), rng.random(40)
    columns = np.array([5, 0, 4, 3])  # in the order in which they are asked for
    first, second = np.full((2, 4), np.nan)
    arrays = X.data, X.indices.astype(index), X.indptr.astype(index)
    kernels.csc_column_moments(*arrays, columns, weight, first, second)
    np.testing.assert_allclose(first, A.T[columns] @ weight, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(second, (A.T[columns] ** 2) @ weight, rtol=1e-13)


class Columns:
    """Arguments of `csc_coordinate_descent`, and its model with c at the minimum."""

    def __init__(self, fit_intercept, index, kappa=0.02, bounds="none"):
        rng = np.random.default_rng(5)
        A, self.weight = _columns("nearly duplicated", density=0.4), rng.random(50)
        self.order = np.array([3, 0, 4, 1])
        self.A, X = A[:, self.order], sp.csc_array(A)
        self.arrays = X.data, X.indices.astype(index), X.indptr.astype(index), self.order
        self.first = self.A.T @ self.weight
        self.total = self.weight.sum() if fit_intercept else np.inf
        self.of_intercept = 0.7 if fit_intercept else 0.0
        self.l2, self.l1 = rng.uniform(0, 0.5, 4), np.full(4, kappa)
        self.g, self.start = rng.standard_normal(4), START[:4]
        H = self.A.T @ (self.A * self.weight[:, None]) + np.diag(self.l2)
        H -= np.outer(self.first, self.first) / self.total
        g = self.g - self.first * self.of_intercept / self.total
        ends = (np.broadcast_to(end, 6)[:4].copy() for end in BOUNDS[bounds])
        self.model = Model(H, g, self.l1, self.start, *ends)

    def descended(self, module, n_sweeps, every=True, curvature_along=None):
        """Return u, Σ hxd, the state and the gains of some sweeps."""
        u, moved = self.start.copy(), np.zeros(50)
        state = np.array([-self.of_intercept / self.total, self.of_intercept])
        curvature_along = (
            np.diag(self.model.H).copy() if curvature_along is None else curvature_along
        )
        gains = [
            module.csc_coordinate_descent(
                *self.arrays, self.weight, self.first, curvature_along, self.l2,
                *self.model.non_smooth, self.g, self.start, self.total, every, u, moved, state,
            )
            for _ in range(n_sweeps)
        ]  # fmt: skip
        return u, moved, state, gains


@over(
    every=[True, False],
    kappa=[0.02, 0.4, 50.0],
    fit_intercept=[True, False],
    index=INDEX,
    bounds=BOUNDS,
)
def test_csc_coordinate_descent_is_exact_with_the_best_intercept(
    kernels, fit_intercept, index, every, kappa, bounds
):
    """A sweep visits all columns, or those whose weight is not 0 when the sweep comes to them."""
    columns = Columns(fit_intercept, index, kappa, bounds)
    u, moved, state, gains = columns.descended(kernels, 3, every)
    model, expected, values = columns.model, columns.start, [0.0]
    for _ in range(3):
        expected = model.descended(expected, 1, lambda u: every | (u != 0))
        values.append(model.value(expected))
    np.testing.assert_allclose(u, expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(model.at_kink(u), model.at_kink(expected))
    d = u - columns.start
    np.testing.assert_allclose(moved, columns.weight * (columns.A @ d), rtol=0, atol=1e-12)
    of_intercept = columns.of_intercept + columns.first @ d if fit_intercept else 0.0
    assert state[0] == pytest.approx(-of_intercept / columns.total, rel=1e-12, abs=1e-14)
    if fit_intercept:
        assert state[1] == pytest.approx(of_intercept, rel=1e-12, abs=1e-14)
    np.testing.assert_allclose(gains, -np.diff(values), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("index", INDEX)
def test_csc_coordinate_descent_without_curvature_moves_to_0_or_not_at_all(kernels, index):
    """In a column without curvature a weight moves to 0 if its |gradient| is at most κ."""
    columns = Columns(True, index)
    for kappa, moves in ((0.0, False), (50.0, True)):
        columns.l1[:] = kappa
        u, moved, _, (gain,) = columns.descended(kernels, 1, curvature_along=np.zeros(4))
        np.testing.assert_array_equal(u, 0.0 if moves else columns.start)
        assert np.any(moved) == moves
        assert (gain > 0) == moves


# ----- the model by its curvature -----------------------------------------------------------------


def _point(theta, gradient):
    theta.flags.writeable = gradient.flags.writeable = False  # whoever writes, raises
    return Evaluation(theta, 0.0, gradient, None, None)


def _by_matrix(model, tol=np.inf):
    """Return the minimum by `GramQuadratic`; ``tol`` is the tolerance of the run."""
    everything = np.arange(len(model.g))
    matrix = GramQuadratic(model.H.copy(), everything, tol)
    point = _point(model.start.copy(), model.g.copy())
    return matrix.minimum(point, everything, model.non_smooth)


@pytest.mark.usefixtures("to_the_end")
@over(kind=KINDS, kappa=KAPPA, fit_intercept=[True, False], bounds=BOUNDS)
def test_minimum_by_the_matrix_is_the_least_of_all_faces(
    kernels, kind, fit_intercept, kappa, bounds
):
    model = _model_of(kind, fit_intercept, kappa, bounds=bounds)
    u, gained, solved = _by_matrix(model)
    assert solved
    _assert_least(model, u, gained)
    if kind == "well-conditioned":  # otherwise there is more than one minimum, or all but
        best = model.minimum()
        np.testing.assert_allclose(u, best, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(model.at_kink(u), model.at_kink(best))


@over(kind=KINDS, kappa=KAPPA, size=[1.0, 1e-4, 1e-8])
def test_minimum_by_the_matrix_gains_half_of_what_can_be_gained(kernels, kind, kappa, size):
    model = _model_of(kind, kappa=kappa, size=size)
    model.g, model.start = size * model.g, size * model.start
    _assert_half_is_gained(model)


def _assert_half_is_gained(model):
    """Assert that a model that counts as solved has gained at least half of the largest gain."""
    u, gained, solved = _by_matrix(model)
    best = -model.value(model.minimum())
    assert gained == pytest.approx(-model.value(u), rel=1e-9)
    assert gained <= best * (1 + 1e-9)
    assert gained >= best / 2 or not solved


@over(noise=[1e-2, 1e-3, 1e-4], seed=range(5))
def test_columns_that_repeat_each_other_do_not_hide_how_far_the_minimum_is(kernels, noise, seed):
    """If the penalty alone decides between equal columns, each sweep gains very little."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((40, 2))[:, [0, 1, 0, 1, 0]] + noise * rng.standard_normal((40, 5))
    gradient, start = A.T @ rng.standard_normal(40) / 40, rng.standard_normal(5)
    l1 = np.full(5, 0.01 * np.abs(gradient).max())
    _assert_half_is_gained(Model(A.T @ A / 40, gradient, l1, start))


@pytest.mark.usefixtures("kernels")
def test_columns_that_repeat_each_other_are_solved_within_the_limit_of_rounds():
    """Each model is solved to at least three quarters of the largest gain."""
    rng = np.random.default_rng(1)
    for noise in 10 ** rng.uniform(-5, -1, 20):
        A = rng.standard_normal((40, 2))[:, [0, 1, 0, 1, 0]]
        A += noise * rng.standard_normal(A.shape)
        gradient, start = A.T @ rng.standard_normal(40) / 40, rng.standard_normal(5)
        l1 = np.full(5, 10 ** rng.uniform(-3, 0) * np.abs(gradient).max())
        model = Model(A.T @ A / 40, gradient, l1, start)
        _, gained, solved = _by_matrix(model)
        assert solved
        assert gained >= 0.75 * -model.value(model.minimum())


@pytest.mark.usefixtures("kernels", "to_the_end")
def test_minimum_by_the_matrix_over_a_subset_of_its_coordinates():
    model = _model_of("well-conditioned")
    known, asked = np.array([2, 3, 5, 7, 8, 11]), np.array([2, 5, 7, 11])
    theta, gradient, inside = np.full(12, 7.0), np.full(12, -3.0), [0, 2, 3, 5]
    theta[known], gradient[known] = model.start, model.g
    matrix = GramQuadratic(model.H, known)
    u, gained, _ = matrix.minimum(_point(theta, gradient), asked, model.non_smooth.of(inside))
    within = model.H[np.ix_(inside, inside)]
    part = Model(within, model.g[inside], model.l1[inside], model.start[inside])
    _assert_least(part, u, gained)


@over(broken=[np.nan, np.inf, -np.inf], where=["gradient", "matrix"])
@pytest.mark.filterwarnings("ignore:(invalid|overflow):RuntimeWarning")
def test_sweeps_over_nan_and_infinity_come_to_an_end(kernels, broken, where):
    model = _model_of("well-conditioned")
    if where == "gradient":
        model.g[1] = broken
    else:
        model.H[1, 2] = model.H[2, 1] = broken
    _by_matrix(model)


def test_a_secant_pair_changes_the_matrix_by_the_bfgs_formula():
    """B ← B + qqᵀ/qᵀs − Bs(Bs)ᵀ/sᵀBs, after which Bs = q; a step without curvature
    changes nothing."""
    rng = np.random.default_rng(0)
    model, subset = _model_of("well-conditioned"), np.array([0, 2, 3, 5, 6, 9])
    other = rng.standard_normal((6, 6))
    curvature, matrix = other @ other.T, GramQuadratic(model.H.copy(), subset)
    step = rng.standard_normal(11)
    step[[1, 4, 7, 8, 10]] = 0.0  # outside of the working set
    s, change = step[subset], rng.standard_normal(11)
    change[subset] = q = curvature @ s
    Bs = model.H @ s
    matrix.add_secant_pair(step, change)
    expected = model.H + np.outer(q, q) / (q @ s) - np.outer(Bs, Bs) / (s @ Bs)
    np.testing.assert_allclose(matrix.matrix, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(matrix.matrix @ s, q, rtol=1e-10)
    for nothing in (-change, np.zeros(11)):
        before = matrix.matrix.copy()
        matrix.add_secant_pair(step, nothing)
        np.testing.assert_array_equal(matrix.matrix, before)


def test_another_l2_penalty_changes_the_diagonal_of_features_alone():
    model, subset = _model_of("well-conditioned"), np.array([0, 2, 3, 5, 6, 9])  # 9: the intercept
    matrix = GramQuadratic(model.H.copy(), subset)
    other = matrix.with_penalty_change(np.arange(9) / 2)
    expected = model.H + np.diag([0, 1, 1.5, 2.5, 3, 0])
    np.testing.assert_array_equal(other.matrix, expected)
    np.testing.assert_array_equal(matrix.matrix, model.H)


@pytest.mark.parametrize(
    *pairwise(kind=KINDS, kappa=KAPPA, fit_intercept=[True, False], bounds=BOUNDS)
)
def test_feature_sign_search_ends_where_the_model_is_stationary(kind, fit_intercept, kappa, bounds):
    """Coordinates at a kink stay there; along each other one the model is stationary at the end."""
    model = _model_of(kind, fit_intercept, kappa, bounds=bounds)
    v, derivative = model.start.copy(), model.g.copy()
    gained = feature_sign_search(model.H, derivative, v, model.non_smooth, 50)
    assert gained == pytest.approx(-model.value(v), rel=1e-9)
    np.testing.assert_allclose(derivative, model.derivative(v), rtol=0, atol=1e-12)
    resting = model.at_kink(model.start)
    np.testing.assert_array_equal(v[resting], model.start[resting])
    free = ~model.at_kink(v)
    np.testing.assert_allclose((derivative + model.l1 * np.sign(v))[free], 0, rtol=0, atol=1e-9)


def test_feature_sign_search_crosses_0_where_that_is_better():
    H, l1, v = (
        np.diag([1.0, 1.0, 2.0, 1.0]),
        np.array([0.5, 0.5, 0.5, 0.0]),
        np.array([1.0, 1, -1, 1]),
    )
    derivative = np.array([3.0, 1.2, 0.5, 2.0])
    model = Model(H, derivative.copy(), l1, v.copy())
    gained = feature_sign_search(H, derivative, v, model.non_smooth, 50)
    # each by itself: 1 − (3 − 0.5); 0; −1 + (0.5 − 0.5)/2; and 1 − 2, which has no penalty
    np.testing.assert_allclose(v, [-1.5, 0.0, -1.0, -1.0], rtol=0, atol=1e-15)
    assert gained == pytest.approx(-model.value(v), rel=1e-14)


@pytest.mark.parametrize(
    ("start", "derivative"), [(0.0, 0.25), (1.0, 1.25)], ids=["before", "after"]
)
def test_feature_sign_search_ends_where_all_coordinates_are_0(start, derivative):
    """All coordinates become 0, so that no Newton step remains."""
    v, derivative = np.full(2, start), np.full(2, derivative)
    model = Model(np.eye(2), derivative.copy(), np.full(2, 0.5), v.copy())
    gained = feature_sign_search(model.H, derivative, v, model.non_smooth, 50)
    np.testing.assert_array_equal(v, 0.0)
    assert gained == -model.value(v)


@pytest.mark.parametrize("room", [np.inf, 0.3])
@pytest.mark.parametrize("seed", range(10))
def test_minimum_on_segment_is_the_least_on_the_way(seed, room):
    """On a fine grid of the segment no value is less; a coordinate may be 0 at the minimum.

    The bounds are so far from the point on both sides; only a part of the segment may be allowed.
    """
    rng = np.random.default_rng(seed)
    root, at = rng.standard_normal((4, 4)), np.append(rng.choice([-1, 1], 3) * rng.random(3), 0.0)
    H, kappa, derivative = root @ root.T, np.append(rng.random(3), 0.0), rng.standard_normal(4)
    model = Model(H, derivative, kappa, at, at - room, at + room)
    step = np.linalg.solve(H, -(derivative + kappa * np.sign(at)))
    to = _Face(H, derivative, at, model.non_smooth)._minimum_on_segment(step)
    grid = [model.value(at + t * step) for t in np.linspace(0, 1, 2001)]
    assert model.value(to) <= min(grid) + 1e-14
    length = (to - at) @ step / (step @ step)
    assert 0 <= length <= 1 + 1e-12
    np.testing.assert_allclose(to, at + length * step, rtol=0, atol=1e-14)


# ----- the model by its columns -------------------------------------------------------------------

WORKING = np.array([1, 2, 4, 5, 6])


class Sparse:
    """A problem in standard coordinates, and its model at a point for five of eight columns."""

    def __init__(self, kind, fit_intercept, l1_ratio=0.8, C=2.0, start=START, constant=3.0):
        rng = np.random.default_rng(6)
        A = rng.standard_normal((50, 8)) * (rng.random((50, 8)) < 0.4)
        A[:, WORKING] = _columns(kind, density=0.4)
        if (
            kind == "off-centre"
        ):  # full columns, one of them constant: their mean is their only content
            A[:, 2], A[:, 4] = constant, 100 + A[:, 4]
        y, weight = (rng.random(50) < 0.6) * 1.0, rng.uniform(0.5, 2, 50)
        X = sp.csr_array(A * np.geomspace(0.01, 100, 8))
        self.problem = objective((X, y, weight), C, fit_intercept, l1_ratio).standardised()
        to, penalty = self.problem.coordinates, self.problem.penalty
        self.subset = np.append(WORKING, np.arange(8, 8 + fit_intercept))
        theta = np.zeros(to.size)
        theta[self.subset] = start[: len(self.subset)]
        self.point = self.problem.evaluate(theta)
        self.non_smooth = penalty.non_smooth(8, to.size).of(self.subset)
        Z = np.column_stack([(X.toarray() - to.shift) / to.scale, np.ones(50)])
        normalised_weight, a = weight / weight.sum(), expit(Z[:, : to.size] @ theta)
        Z, l2 = Z[:, self.subset], np.append(penalty.l2[WORKING], [0.0] * fit_intercept)
        H = Z.T @ (Z * (normalised_weight * a * (1 - a))[:, None]) + np.diag(l2)
        g = Z.T @ (normalised_weight * (a - y)) + l2 * theta[self.subset]
        self.model = Model(H, g, self.non_smooth.l1, theta[self.subset])

    def by_columns(self, index=np.int32, tol=0.0):
        model = self.column_model(index, tol)
        return model.minimum(self.point, self.subset, self.non_smooth)

    def column_model(self, index=np.int32, tol=0.0):
        X = self.problem.X.tocsc()
        data = X.data / np.repeat(self.problem.coordinates.scale, np.diff(X.indptr))
        indices, indptr = X.indices.astype(index), X.indptr.astype(index)
        matrix = SimpleNamespace(data=data, indices=indices, indptr=indptr)
        return ColumnQuadratic(self.problem, matrix, WORKING, self.point, tol)

    def by_matrix(self):
        matrix = self.problem.curvature_matrix(self.point, self.subset)
        return GramQuadratic(matrix, self.subset).minimum(self.point, self.subset, self.non_smooth)


@pytest.mark.usefixtures("to_the_end")
@over(
    kind=[*KINDS, "off-centre"],
    C=[0.2, 2.0, 50.0],
    fit_intercept=[True, False],
    l1_ratio=[0.3, 1.0],
    index=INDEX,
)
def test_minima_by_columns_and_by_matrix_are_the_least_of_all_faces(
    kernels, kind, fit_intercept, l1_ratio, C, index
):
    sparse = Sparse(kind, fit_intercept, l1_ratio, C)
    ends = sparse.by_columns(index), sparse.by_matrix()
    # A mean of 100 deviations costs four digits, its square.
    rounding = 1e-11 if kind == "off-centre" else 1e-13
    for u, gained, solved in ends:
        assert solved
        _assert_least(sparse.model, u, gained, rounding)
    if kind == "well-conditioned":
        np.testing.assert_allclose(ends[0][0], ends[1][0], rtol=0, atol=1e-4)
        np.testing.assert_array_equal(ends[0][0] == 0, ends[1][0] == 0)


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("bound", [np.inf, 0.5])
def test_extrapolation_lowers_the_model_by_what_it_says(kernels, fit_intercept, bound):
    """So does the sweep after it, which goes on from the products of the extrapolated point."""
    moved = []
    for kind in KINDS:
        sparse = Sparse(kind, fit_intercept)
        limit = np.full(len(sparse.subset), bound)
        start = sparse.point.theta[sparse.subset]
        sparse.non_smooth = NonSmooth(sparse.non_smooth.l1, start - limit, start + limit)
        sweeps = _ColumnSweeps(
            sparse.column_model(), sparse.problem, sparse.point, sparse.subset, sparse.non_smooth
        )
        for _ in range(SWEEPS_BEFORE_EXTRAPOLATION):
            sweeps.sweep(True)
        for step in (sweeps.extrapolate, partial(sweeps.sweep, True)):
            before = sparse.model.value(sweeps.theta(sparse.point))
            told = step()
            after = sparse.model.value(sweeps.theta(sparse.point))
            assert told >= -1e-15
            assert before - after == pytest.approx(told, rel=1e-9, abs=1e-15)
            moved.append(told > 0)
        within = np.abs(sweeps.theta(sparse.point) - start)[:5] <= bound * (1 + 1e-12)
        assert within.all()
    assert any(moved[::2]) or bound < np.inf


def test_no_extrapolation_leads_beyond_the_bounds(kernels):
    """The bounds are so near that the sweeps do not feel them, and the point to come is outside."""
    sparse = Sparse("singular", False, l1_ratio=0.3)
    start, free = sparse.point.theta[sparse.subset], sparse.non_smooth

    def swept(non_smooth):
        model = sparse.column_model()
        sweeps = _ColumnSweeps(model, sparse.problem, sparse.point, sparse.subset, non_smooth)
        path = [start]
        for _ in range(SWEEPS_BEFORE_EXTRAPOLATION):
            sweeps.sweep(True)
            path.append(sweeps.theta(sparse.point).copy())
        return sweeps, np.array(path)

    sweeps, path = swept(free)
    room = 1e-6
    bounded = NonSmooth(free.l1, path.min(axis=0) - room, path.max(axis=0) + room)
    assert sweeps.extrapolate() > 0
    there = sweeps.theta(sparse.point)
    assert np.any((there < bounded.lower) | (there > bounded.upper))
    sweeps, _ = swept(bounded)
    assert sweeps.extrapolate() == 0


STARTS = {"away": START, "from 0": np.zeros(6)}


@over(
    kind_and_intercept=[
        (kind, fit_intercept) for kind in (*KINDS, "off-centre") for fit_intercept in (True, False)
    ],
    C=[1e-6, 0.2, 2.0, 50.0],
    start=STARTS,
    tol=[0.0, 1e-6, np.inf],
)
def test_sweeps_over_columns_come_to_an_end(kernels, kind_and_intercept, C, start, tol):
    """Starts are random; at C = 1e-6 all weights are 0 at the minimum."""
    sparse = Sparse(*kind_and_intercept, C=C, start=STARTS[start])
    u, gained, solved = sparse.by_columns(tol=tol)
    assert solved
    assert gained == pytest.approx(-sparse.model.value(u), rel=1e-9, abs=1e-14)
    if C == 1e-6:
        assert not u[:5].any()


@over(
    constant=[0.1, 0.3, 0.7, 1.1, 3.3, 7.7, 1e3 + 0.1, 1e5 + 0.1],
    weight=[0.5, 0.0],
)
def test_a_constant_column_beside_an_intercept_gets_weight_0(kernels, constant, weight):
    """The intercept has the same effect without a penalty; rounding must not count as curvature."""
    start = np.roll(np.append(weight, START[1:]), 1)
    sparse = Sparse("off-centre", True, 1.0, start=start, constant=constant)
    for u, *_ in (sparse.by_columns(), sparse.by_matrix()):
        assert u[list(WORKING).index(2)] == 0


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("certain", [800.0, np.nan])
@pytest.mark.filterwarnings("ignore:(invalid|overflow|divide by zero):RuntimeWarning")
def test_sweeps_over_columns_of_samples_without_curvature_come_to_an_end(certain):
    sparse = Sparse("well-conditioned", True)
    curvature = np.full(50, certain * 0.0)
    sparse.point = replace(sparse.point, curvature=curvature)
    sparse.by_columns()
