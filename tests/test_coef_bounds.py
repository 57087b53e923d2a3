"""Bounds of weights against glum, SciPy and the conditions of optimality of the stated F."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import covering, each_once, each_value
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import Bounds, minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from stated_objective import (
    CLASS_WEIGHTS,
    CONTAINERS,
    OPTIMAL,
    PARTS,
    RATIOS,
    RTOL,
    SMALL,
    SMALL_Y,
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
    glum_of,
    in_odd_units,
    kkt_excess,
    load,
    minimum_of,
    noisy_labels,
    objective_of,
    overlapping,
    reference,
    scaled,
    separated_by_a_difference,
    separated_by_the_first,
    sparse_columns,
    stated,
    tall,
    wide,
)

from sklearn_bce import BCENeuronClassifier

# C and l1_ratio.
PENALTIES = {"none": (np.inf, 0.0), "L2": (0.5, 0.0), "elastic net": (0.3, 0.5), "L1": (0.3, 1.0)}
PENALISED = ("L2", "elastic net", "L1")


def not_negative(unit):
    return 0, np.inf


def narrow(unit):
    return -0.05 * unit, 0.1 * unit


def mixed(unit):
    """Finite and infinite bounds, both around 0 and at 0."""
    rng = np.random.default_rng(len(unit))
    lower = rng.choice([-np.inf, -0.3, -0.02, 0.0], len(unit))
    upper = rng.choice([np.inf, 0.3, 0.02, 0.0], len(unit))
    return lower * unit, upper * unit


def without_0(unit):
    """Every other weight is at least 0.2, or at most -0.1."""
    sides = np.arange(len(unit)) % 4
    lower = np.where(sides == 0, 0.2, -np.inf)
    return lower * unit, np.where(sides == 2, -0.1, np.inf) * unit


def some_fixed(unit):
    fixed = np.arange(len(unit)) % 3 == 0
    values = np.where(np.arange(len(unit)) % 2, 0.0, 0.15) * unit
    return np.where(fixed, values, -np.inf), np.where(fixed, values, np.inf)


def all_fixed(unit):
    values = np.linspace(-0.2, 0.3, len(unit)) * unit
    return values, values.copy()


def only_one(unit):
    lower = np.full(len(unit), -np.inf)
    upper = np.full(len(unit), np.inf)
    lower[1], upper[1] = 0.01 * unit[1], 0.02 * unit[1]
    return lower, upper


BOUNDS = [not_negative, narrow, mixed, without_0, some_fixed, all_fixed, only_one]


def bounded(data, bounds, penalty="L2", fit_intercept=True, weighted=False):
    return Problem(data, *PENALTIES[penalty], fit_intercept, weighted, bounds=bounds)


# The minimum.

# Any two values of two parameters occur together in one of the problems of the first covering.
GRID = [
    (bounded(*values), kind)
    for *values, kind in [
        *covering(
            (overlapping, correlated, sparse_columns, in_odd_units),
            BOUNDS,
            PENALTIES,
            (True, False),
            (False, True),
            (*CONTAINERS, *PARTS),
        ),
        *each_once((wide,), BOUNDS, PENALISED, (True, False), (False,), CONTAINERS),
        *each_once(
            (tall,),
            (mixed, narrow, without_0),
            PENALTIES,
            (True, False),
            (True,),
            ("CSR", "dense-C"),
        ),
        *each_once(
            (overlapping, correlated, sparse_columns),
            (mixed, without_0, some_fixed),
            PENALISED,
            (True, False),
            (True, False),
            ("Dask", "CSR Dask"),
        ),
    ]
]


@pytest.mark.parametrize(("problem", "kind"), GRID, ids=str)
def test_newton_reaches_the_minimum_within_the_bounds(problem, kind):
    assert_solved(fit(problem, kind), problem)


GLUM_GRID = [
    bounded(*values)
    for values in each_once(
        (correlated, sparse_columns, scaled),
        (not_negative, narrow, mixed, without_0, only_one),
        PENALISED,
        (True, False),
        (False, True),
    )
]


@pytest.mark.filterwarnings("ignore:Line search failed:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:lower_bounds above starting value:UserWarning")
@pytest.mark.filterwarnings("ignore:upper_bounds below starting value:UserWarning")
@pytest.mark.parametrize("problem", GLUM_GRID, ids=str)
def test_newton_reaches_the_bounded_minimum_of_glum(problem):
    F = objective_of(problem)
    glum = glum_of(problem, lower_bounds=F.lower, upper_bounds=F.upper, scale_predictors=False)
    w = glum.coef_
    for end in (F.lower, F.upper):  # glum meets its bounds but for rounding
        w = np.where(np.isclose(w, end, rtol=1e-13, atol=0), end, w)
    assert kkt_excess(F, w, glum.intercept_) <= OPTIMAL / 100
    assert_minimum(fit(problem), F, (w, glum.intercept_))


@pytest.mark.parametrize(
    ("bounds", "method"), [(mixed, "L-BFGS-B"), (mixed, "trust-constr"), (without_0, "L-BFGS-B")]
)
def test_newton_is_not_above_the_bounded_minimum_of_scipy(bounds, method):
    """SciPy minimises F itself, with its gradient written out, in the units of `coef_`."""
    problem = bounded(correlated, bounds)
    F, n = objective_of(problem), 12

    def value_and_gradient(theta):
        slope = F.s / F.s.sum() * (expit(F.X @ theta[:n] + theta[n]) - F.y)
        return F.value(theta[:n], theta[n]), np.append(
            F.X.T @ slope + F.ridge * theta[:n], slope.sum()
        )

    box = Bounds(np.append(F.lower, -np.inf), np.append(F.upper, np.inf))
    options = {
        "L-BFGS-B": {"ftol": 0, "gtol": 1e-11, "maxiter": 10_000},
        "trust-constr": {"gtol": 1e-11, "xtol": 1e-13, "barrier_tol": 1e-13, "maxiter": 3000},
    }
    found = minimize(
        value_and_gradient,
        np.clip(np.zeros(n + 1), box.lb, box.ub),
        jac=True,
        method=method,
        bounds=box,
        options=options[method],
    )
    w, b = found.x[:n], found.x[n]
    model = fit(problem)
    distance = F.value(w, b) - F.value(model.coef_[0], model.intercept_[0])
    # What scipy leaves is of first order at the bounds for trust-constr, an interior point method.
    assert -1e-14 <= distance <= {"L-BFGS-B": 1e-14, "trust-constr": 1e-9}[method]
    atol = {"L-BFGS-B": 1e-7, "trust-constr": 1e-6}[method]  # of second order in the distance
    assert_allclose(model.coef_[0], w, rtol=0, atol=atol)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_collinear_columns_share_a_bounded_minimum(penalty):
    """Copies and a sum: without a strict penalty, several weights have the least F."""
    X, y = load(correlated)
    X = np.column_stack([X[:, :5], X[:, :2], X[:, 0] + X[:, 3]])
    lower = np.array([-0.1, 0, -np.inf, -0.2, -np.inf, 0.05, -np.inf, -0.3])
    upper = np.array([0.1, 0.2, np.inf, 0.2, 0.1, 0.5, 0.3, 0.3])
    C, l1_ratio = PENALTIES[penalty]
    params = {"C": C, "l1_ratio": l1_ratio, "coef_bounds": (lower, upper)}
    model = BCENeuronClassifier(**TIGHT | params).fit(X, y)
    F = stated(X, y, **params)
    assert model.converged_
    assert kkt_excess(F, model.coef_[0], model.intercept_[0]) <= OPTIMAL
    assert_allclose(
        F.value(model.coef_[0], model.intercept_[0]), F.value(*minimum_of(F)), rtol=1e-14
    )


@pytest.mark.parametrize("seed", range(12))
def test_optimality_conditions_hold_for_random_bounds_and_penalties(seed):
    """Bounds, factors, standardisation, weights, units, precision and shape are all drawn."""
    rng = np.random.default_rng([seed, 15])
    n, n_features = [(40, 3), (150, 10), (25, 50)][seed % 3]
    single = seed % 4 == 3
    kind, unit_range = (np.float32, 1.5) if single else (np.float64, 5)
    X = rng.normal(size=(n, n_features)) + rng.uniform(-2, 2, n_features)
    X = (X * 10 ** rng.uniform(-unit_range, unit_range, n_features)).astype(kind)
    y = noisy_labels(scale(X.astype(np.float64)) @ rng.normal(size=n_features), rng)
    weight = rng.uniform(0.2, 2, n) if rng.random() < 0.5 else None
    # Powers of 2 times 1, 3 and 5 are the same numbers in float32.
    unit = 2.0 ** np.round(-np.log2(X.astype(np.float64).std(axis=0)))
    lower = rng.choice([-np.inf, -0.625, -0.09375, 0, 0.0625], n_features) * unit
    upper = rng.choice([np.inf, 0.75, 0.125, 0.0625], n_features) * unit
    params = {
        "C": 10 ** rng.uniform(-2, 0),
        "l1_ratio": rng.choice([0, 0.3, 1]),
        "fit_intercept": bool(rng.random() < 0.7),
        "standardize": bool(rng.random() < 0.5),
        "penalty_factor": rng.uniform(0.2, 3, n_features) if rng.random() < 0.5 else None,
        "coef_bounds": (lower, upper),
    }
    container = [np.asarray, np.asfortranarray, sp.csr_array][rng.integers(3)]
    model = BCENeuronClassifier(**TIGHT | params).fit(container(X), y, sample_weight=weight)
    F = stated(X, y, weight, **params)
    w, b = model.coef_[0], model.intercept_[0]
    assert model.converged_
    assert kkt_excess(F, w, b) <= OPTIMAL
    assert_close(w, b, *minimum_of(F), F, 1e-5 if w.dtype == np.float32 else RTOL)


def test_a_weight_at_its_bound_is_the_bound_and_nothing_near_it():
    """The bounds are numbers that no sum of rounded steps would meet."""
    X, y = load(correlated)
    lower, upper = np.full(12, -1 / 30), np.full(12, np.nextafter(0.1, 1))
    F = stated(X, y, coef_bounds=(lower, upper))
    w, _ = minimum_of(F)
    model = BCENeuronClassifier(coef_bounds=(lower, upper)).fit(X, y)  # with the default tol
    at_lower, at_upper = w == lower, w == upper
    assert at_lower.sum() >= 2
    assert at_upper.sum() >= 2
    assert_array_equal(model.coef_[0] == lower, at_lower)
    assert_array_equal(model.coef_[0] == upper, at_upper)


def test_bounds_that_no_weight_meets_change_nothing():
    X, y = load(scaled)
    expected = BCENeuronClassifier(**TIGHT).fit(X, y)
    size = 2 * np.abs(expected.coef_).max()
    F = stated(X, y)
    for bounds in [(-size, size), (-np.inf, np.inf), (np.full(12, -size), np.inf)]:
        model = BCENeuronClassifier(coef_bounds=bounds, **TIGHT).fit(X, y)
        assert_minimum(model, F, (expected.coef_[0], expected.intercept_[0]))


def test_bounds_of_0_leave_the_log_odds():
    X, y = load(scaled)
    for bounds in [(0, 0), (np.zeros(12), np.zeros(12))]:
        model = BCENeuronClassifier(coef_bounds=bounds, **TIGHT).fit(X, y)
        assert_array_equal(model.coef_, np.zeros((1, 12)))
        assert_allclose(model.intercept_, [np.log(y.mean() / (1 - y.mean()))], rtol=1e-12)
        assert model.converged_


# Other ways to give bounds, and other ways to fit.


def test_bounds_by_name_are_the_bounds_of_these_columns():
    X, y = load(scaled)
    frame = pd.DataFrame(X, columns=[f"column {j}" for j in range(12)])
    lower, upper = np.full(12, -np.inf), np.full(12, np.inf)
    lower[3], upper[3], lower[10], upper[0] = 0.25, 0.5, 0.0, -0.75
    by_name = {"column 10": (0, np.inf), "column 3": (0.25, 0.5), "column 0": (-np.inf, -0.75)}
    named = BCENeuronClassifier(coef_bounds=by_name, **TIGHT).fit(frame, y)
    assert_minimum(named, stated(X, y, coef_bounds=(lower, upper)))
    array = BCENeuronClassifier(coef_bounds=(list(lower), upper), **TIGHT).fit(X, y)
    assert_allclose(named.coef_, array.coef_, rtol=1e-12)
    assert named.coef_bounds is by_name


GD_GRID = [
    (bounded(*values), container)
    for *values, container in each_once(
        (correlated, sparse_columns),
        (not_negative, narrow, mixed, without_0, some_fixed),
        PENALISED,
        (True, False),
        (False, True),
        ("dense-C", "CSR"),
    )
]


@pytest.mark.parametrize(("problem", "container"), GD_GRID, ids=str)
def test_gd_reaches_the_minimum_within_the_bounds(problem, container):
    model = fit(problem, container, solver="gd", tol=0, max_iter=800)
    assert_solved_without_convergence(model, problem)
    model = fit(problem, container, solver="gd", tol=1e-10, max_iter=20_000)
    assert model.converged_
    assert -1e-14 <= above_the_minimum(model, problem) <= 1e-10


def above_the_minimum(model, problem):
    """Return F(fitted) − min F."""
    F = objective_of(problem)
    return F.value(model.coef_[0], model.intercept_[0]) - F.value(*reference(problem))


def test_every_step_of_gd_is_within_the_bounds():
    problem = bounded(scaled, without_0, "elastic net")
    F = objective_of(problem)
    for max_iter in range(1, 8):
        w = fit(problem, solver="gd", tol=0, max_iter=max_iter).coef_[0]
        assert np.all((F.lower <= w) & (w <= F.upper))


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("penalty", ["L2", "L1"]),
)
def test_float32_weights_keep_the_bounds_and_the_minimum(penalty, container):
    X, y = load(correlated)
    X = X.astype(np.float32)
    C, l1_ratio = PENALTIES[penalty]
    bounds = -0.0625, np.tile([0.125, np.inf], 6)
    params = {"C": C, "l1_ratio": l1_ratio, "coef_bounds": bounds}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    F = stated(X, y, **params)
    w, b = minimum_of(F)
    assert model.coef_.dtype == np.float32
    assert_close(model.coef_[0].astype(float), float(model.intercept_[0]), w, b, F, 1e-5)
    for end in (F.lower, F.upper):
        assert_array_equal(model.coef_[0] == end, w == end)


def test_weights_at_a_bound_that_float32_cannot_hold_are_float64_and_the_bound():
    X, y = load(correlated)
    lower, upper = np.full(12, -1 / 30), np.full(12, 0.1)
    X = X.astype(np.float32)
    model = BCENeuronClassifier(coef_bounds=(lower, upper)).fit(X, y)
    expected, _ = minimum_of(stated(X, y, coef_bounds=(lower, upper)))
    for end in (lower, upper):
        assert_array_equal(model.coef_[0] == end, expected == end)
    assert model.coef_.dtype == np.float64
    model.set_params(coef_bounds=(-1 / 32, 1 / 8)).fit(X, y)  # float32 holds these
    assert model.coef_.dtype == np.float32


# No minimum, and minima that only the bounds make.


FREE = [np.inf] * 3


@each_value(
    pytest.mark.parametrize(
        "bounds",
        [
            (-np.inf, [0, *FREE]),
            ([-np.inf] * 4, [5, *FREE]),
            (-np.inf, [-0.5, *FREE]),
            (-3, 3),
            ([2, *[-np.inf] * 3], [2, *FREE]),
        ],
        ids=["at most 0", "at most 5", "at most -0.5", "box", "fixed"],
    ),
    pytest.mark.parametrize("kind", ["dense-C", "CSR", "chunks"]),
)
def test_bounds_across_the_separating_direction_make_a_minimum(bounds, kind):
    """No warning (warnings are errors here), and the reference's weights."""
    X, y = load(separated_by_the_first)
    params = {"C": np.inf, "coef_bounds": bounds}
    model = fit_in(kind, BCENeuronClassifier(**TIGHT | params), X, y)
    assert_minimum(model, stated(X, y, **params))
    assert model.stop_reason_ != "no_minimum"


@each_value(
    pytest.mark.parametrize(
        "bounds",
        [(0, np.inf), ([-np.inf, 0, 0, 0], np.inf), ([3, -1, -1, -1], [np.inf, 1, 1, 1])],
        ids=["not negative", "on the others", "at least 3"],
    ),
    pytest.mark.parametrize("kind", ["chunks", "dense-C", "CSR"]),
)
def test_bounds_along_the_separating_direction_leave_no_minimum(bounds, kind):
    X, y = load(separated_by_the_first)
    model = BCENeuronClassifier(C=np.inf, coef_bounds=bounds)
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        fit_in(kind, model, X, y)
    assert model.stop_reason_ == "no_minimum"
    lower, upper = (np.broadcast_to(end, 4) for end in bounds)
    assert np.all((lower <= model.coef_[0]) & (model.coef_[0] <= upper))
    assert model.coef_[0, 0] > 3


@pytest.mark.parametrize(
    ("bounds", "exists"),
    [
        ((-np.inf, np.inf), False),
        ((0, np.inf), True),
        (([-np.inf, -np.inf], [np.inf, 0]), False),
        (([-np.inf, -5], [np.inf, np.inf]), True),
        (([-np.inf, -np.inf], [7, np.inf]), True),
        (([1, -np.inf], [np.inf, -1]), False),
    ],
)
def test_only_the_difference_of_two_columns_separates(bounds, exists):
    """A direction (1, −1): it is infeasible if either of the two weights cannot follow."""
    X, y = load(separated_by_a_difference)
    X = X[:, :2]
    model = BCENeuronClassifier(C=np.inf, coef_bounds=bounds, **TIGHT)
    if exists:
        model.fit(X, y)
        assert_minimum(model, stated(X, y, C=np.inf, coef_bounds=bounds))
    else:
        with pytest.warns(ConvergenceWarning, match="no minimum"):
            model.fit(X, y)
        assert model.stop_reason_ == "no_minimum"


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_a_fit_that_stops_above_the_bounded_minimum_warns(solver):
    problem = bounded(overlapping if solver == "gd" else correlated, mixed)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        model = fit(problem, solver=solver, max_iter=1, tol=1e-12)
    assert not model.converged_
    assert model.stop_reason_ == "max_iter"
    assert above_the_minimum(model, problem) > 1e-12


TOL_GRID = [
    (bounded(data, bounds, penalty), tol)
    for data, bounds, penalty, tol in covering(
        (correlated, in_odd_units, wide),
        (narrow, mixed, without_0, not_negative),
        ("L2", "L1"),
        (1e-2, 1e-5, 1e-10),
    )
]


@pytest.mark.parametrize(("problem", "tol"), TOL_GRID, ids=str)
def test_a_converged_bounded_fit_is_within_tol_of_the_minimum(problem, tol):
    model = fit(problem, tol=tol)
    assert model.converged_
    assert -1e-12 <= above_the_minimum(model, problem) <= tol + 1e-12


# Starts.


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_a_start_outside_the_bounds_is_moved_inside_and_told(solver):
    problem = bounded(scaled, narrow)
    F, (X, y) = objective_of(problem), load(scaled)
    start = np.full(12, 4.0)
    start[0] = 0.0
    model = BCENeuronClassifier(solver=solver, tol=1e-9, max_iter=30_000, **problem.params)
    with pytest.warns(UserWarning, match="coef_bounds"):
        model.fit(X, y, coef_init=start)
    assert model.converged_
    assert -1e-14 <= above_the_minimum(model, problem) <= 1e-9
    assert_array_equal(start, [0.0, *[4.0] * 11])
    inside = np.clip(start, F.lower, F.upper)
    model.set_params(tol=0, max_iter=2).fit(X, y, coef_init=inside)  # does not warn
    with pytest.warns(UserWarning, match="coef_bounds"):
        moved = clone(model).fit(X, y, coef_init=start)
    assert_array_equal(moved.coef_, model.coef_)


def test_a_warm_start_outside_new_bounds_is_moved_inside_and_told():
    X, y = load(scaled)
    model = BCENeuronClassifier(warm_start=True, **TIGHT).fit(X, y)
    model.set_params(coef_bounds=(-0.05, 0.1))
    with pytest.warns(UserWarning, match="coef_bounds"):
        model.fit(X, y)
    assert_minimum(model, stated(X, y, coef_bounds=(-0.05, 0.1)))


@each_value(
    pytest.mark.parametrize("data", [scaled, sparse_columns, wide]),
    pytest.mark.parametrize("l1_ratio", RATIOS),
)
def test_a_warm_start_along_C_reaches_each_bounded_minimum(l1_ratio, data):
    X, y = load(data)
    bounds = mixed(1 / X.std(axis=0))
    params = {"l1_ratio": l1_ratio, "coef_bounds": bounds}
    model = BCENeuronClassifier(warm_start=True, **TIGHT | params)
    for C in (0.03, 0.3, 3.0, 0.1):
        model.set_params(C=C).fit(X, y)
        assert_minimum(model, stated(X, y, C=C, **params))


def test_a_warm_start_with_wider_bounds_forgets_the_old_ones():
    X, y = load(scaled)
    model = BCENeuronClassifier(warm_start=True, **TIGHT)
    for bounds in [(0, 1), (-0.25, 1), None, (-100, 100)]:
        model.set_params(coef_bounds=bounds).fit(X, y)
        assert_minimum(model, stated(X, y, coef_bounds=bounds))


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_early_stopping_keeps_the_bounded_weights_of_the_best_iteration(solver):
    X, y = load(correlated)
    bounds = mixed(np.ones(12))
    params = {"C": np.inf, "coef_bounds": bounds, "solver": solver, "tol": 0}
    others = {"X_val": X[60:], "y_val": y[60:]}
    model = BCENeuronClassifier(early_stopping=True, max_iter=50, **params)
    model.fit(X[:60], y[:60], **others)
    best = BCENeuronClassifier(max_iter=model.best_iter_, **params).fit(X[:60], y[:60])
    assert_allclose(model.coef_, best.coef_, rtol=1e-12)
    assert np.all((bounds[0] <= model.coef_[0]) & (model.coef_[0] <= bounds[1]))


# With the other parameters.


def uneven(n):
    return np.linspace(0.3, 3, n)


def some_0(n):
    return np.where(np.arange(n) % 3 == 1, 0.0, 1.5)


def one_dropped(n):
    """Factors of inf at 3, where all bounds have 0, and of 0 at 1."""
    return np.where(np.arange(n) == 3, np.inf, np.where(np.arange(n) == 1, 0.0, 2.0))


COMBINED = [
    (Problem(data, *PENALTIES[penalty], *others), kind)
    for data, penalty, *others, kind in covering(
        (overlapping, sparse_columns, correlated),
        PENALTIES,
        (True, False),  # fit_intercept
        (False, True),  # weighted
        CLASS_WEIGHTS,
        (False, True),  # standardize
        (None, uneven, some_0, one_dropped),
        (None, mixed, without_0, narrow, some_fixed),
        ("dense-C", "dense-F", "CSR", "chunks"),
    )
]


@pytest.mark.parametrize(("problem", "kind"), COMBINED, ids=str)
def test_bounds_factors_and_standardisation_combine(problem, kind):
    assert_solved(fit(problem, kind), problem)


# Errors.


BAD_BOUNDS = {
    "lower above upper": (1, 0),
    "lower above upper once": ([0, 0, 1], [1, 1, 0.5]),
    "NaN": (np.nan, 1),
    "NaN once": ([0, 0, np.nan], 1),
    "lower inf": (np.inf, np.inf),
    "upper -inf": (-np.inf, -np.inf),
    "too long": ([0, 0, 0, 0], 1),
    "too short": (0, [1, 1]),
    "2-d": (np.zeros((1, 3)), 1),
    "one number": 1.0,
    "three": (0, 1, 2),
    "text": "positive",
    "text in a pair": ("a", "b"),
    "name without names": {"a": (0, 1)},
}
BAD_NAMED = {
    "unknown name": ({"a": (0, 1), "unheard": (0, 1)}, "unheard"),
    "lower above upper": ({"a": (1, 0)}, "a"),
    "NaN": ({"b": (np.nan, 0)}, "b"),
    "no pair": ({"b": 1.0}, "b"),
    "array for a name": ({"b": ([0, 0], [1, 1])}, "b"),
}


@each_value(
    pytest.mark.parametrize("case", BAD_BOUNDS),
    pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"]),
)
def test_bad_bounds_raise_and_change_nothing(case, fitted):
    model = BCENeuronClassifier()
    model = model.fit(SMALL, SMALL_Y) if fitted else model
    model.set_params(coef_bounds=BAD_BOUNDS[case])
    assert_raises_and_changes_nothing(model, "coef_bounds", lambda model: model.fit(SMALL, SMALL_Y))


@pytest.mark.parametrize("case", BAD_NAMED)
def test_bad_bounds_by_name_raise_and_name_the_feature(case):
    bounds, name = BAD_NAMED[case]
    model = BCENeuronClassifier(coef_bounds=bounds)
    frame = pd.DataFrame(SMALL, columns=list("abc"))
    assert_raises_and_changes_nothing(
        model,
        f"(?s)(?=.*coef_bounds).*{name}",
        lambda model: model.fit(frame, SMALL_Y),
    )


@each_value(
    pytest.mark.parametrize("bounds", [(0, np.inf), (np.zeros(3), np.ones(3))]),
    pytest.mark.parametrize(
        ("solver", "method", "error"),
        [
            ("sgd", "fit", ValueError),
            ("sgd", "partial_fit", AttributeError),
            ("auto", "partial_fit", AttributeError),
        ],
    ),
)
def test_solvers_without_bounds_refuse_them(solver, method, error, bounds):
    model = BCENeuronClassifier(solver=solver, coef_bounds=bounds)
    assert_raises_and_changes_nothing(
        model, "coef_bounds", lambda model: getattr(model, method)(SMALL, SMALL_Y), error
    )


@each_value(
    pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series]),
    pytest.mark.parametrize("ends", [("lower", "upper"), ("upper",)]),
)
def test_bounds_of_any_array_kind_are_the_same(kind, ends):
    lower, upper = [0.0, -1.0, -1.0], [0.5, 0.5, -0.25]
    expected = BCENeuronClassifier(coef_bounds=(np.array(lower), np.array(upper)))
    given = (kind(lower) if "lower" in ends else lower, kind(upper))
    model = BCENeuronClassifier(coef_bounds=given)
    assert_array_equal(model.fit(SMALL, SMALL_Y).coef_, expected.fit(SMALL, SMALL_Y).coef_)
