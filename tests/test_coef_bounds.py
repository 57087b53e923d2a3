"""Bounds of weights against glum, scipy and the conditions of optimality of the stated F.

The expected values come from the documented objective alone,

    F(w, b) = (1/S) Σ sᵢ L(yᵢ, σ(b + Σⱼ wⱼxᵢⱼ)) + Σⱼ fⱼ [λ/2 (σⱼwⱼ)² + κ |σⱼwⱼ|],
    lowerⱼ <= wⱼ <= upperⱼ,   λ = (1−ρ)/(C·S),   κ = ρ/(C·S),

which `Stated` evaluates in NumPy. `minimum_of` finds its minimum by L-BFGS-B of scipy, then by
Newton steps in the weights that are off their bounds, and `kkt_excess` judges any weights: F is
convex, so that the conditions hold at the minimum and nowhere else. Nothing of the package is used
but its public names. The tests of `standardize` and `penalty_factor` use the same three functions.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import covering, each_value, every_pair
from glum import GeneralizedLinearRegressor
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from scipy.optimize import Bounds, minimize
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import scale
from test_agreement import noisy_labels, random_weights, total_weights

from sklearn_bce import BCENeuronClassifier, fit_from_chunks

# `tol` bounds F − min F, which is of second order in the error of a weight: 1e-20 lets the last
# Newton step decide, and not `tol`.
TIGHT = {"tol": 1e-20, "max_iter": 1000}
RTOL = 1e-8
# Violations of the conditions of optimality, in units of the mean |y − a| for a weight in units of
# the standard deviation of its column.
OPTIMAL = 1e-9
OPTIMAL_REFERENCE = 1e-12
# A weight is certainly at its bound, or at 0, if F rises by more than this slope away from it.
CLEAR = 1e-6
EPS = np.finfo(np.float64).eps


# F, its conditions of optimality and its minimum, for any combination of the parameters.


class Stated(NamedTuple):
    """F and its feasible set, of dense float64 columns."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray  # sample weights times class weights
    fit_intercept: bool
    centres: np.ndarray  # means of the columns; 0 without an intercept
    deviations: np.ndarray  # about the centres; 1 where that is 0
    ridge: np.ndarray  # fⱼλσⱼ², the strength of wⱼ²/2
    lasso: np.ndarray  # fⱼκσⱼ, the strength of |wⱼ|
    lower: np.ndarray
    upper: np.ndarray

    def value(self, w, b):
        z = self.X @ w + b
        losses = np.logaddexp(0, np.where(self.y == 1, -z, z))
        penalty = self.ridge / 2 @ w**2 + self.lasso @ np.abs(w)
        return self.s @ losses / self.s.sum() + penalty

    @property
    def units(self):
        """Units of the weights in which no curvature is far above 1."""
        return np.sqrt(self.deviations**2 + self.ridge)

    @property
    def coordinates(self):
        """Columns of deviation 1, and of mean 0 if there is an intercept."""
        return (self.X - self.centres) / self.deviations


def stated(
    X,
    y,
    sample_weight=None,
    *,
    C=1.0,
    l1_ratio=0.0,
    fit_intercept=True,
    class_weight=None,
    standardize=False,
    penalty_factor=None,
    coef_bounds=None,
):
    """Return F for the parameters of the estimator, the last two as arrays."""
    X = np.asarray(X.toarray() if sp.issparse(X) else X, dtype=np.float64)
    y, n_features = np.asarray(y, dtype=np.float64), X.shape[1]
    weight = np.ones(len(y)) if sample_weight is None else np.asarray(sample_weight, dtype=float)
    s = total_weights(y, weight, class_weight)
    _, sigma = moments(X, weight, fit_intercept)
    centres, deviations = moments(X, s, fit_intercept)
    factors = np.ones(n_features) if penalty_factor is None else np.asarray(penalty_factor, float)
    dropped = np.isinf(factors) | (standardize & (sigma == 0))
    factors = np.where(dropped, 0, factors)
    scales = sigma if standardize else np.ones(n_features)
    lower, upper = (-np.inf, np.inf) if coef_bounds is None else coef_bounds
    return Stated(
        X,
        y,
        s,
        fit_intercept,
        centres,
        np.where(deviations == 0, 1, deviations),
        factors * ((1 - l1_ratio) / (C * s.sum())) * scales * scales,
        factors * (l1_ratio / (C * s.sum())) * scales,
        np.where(dropped, 0, np.broadcast_to(np.asarray(lower, float), n_features)),
        np.where(dropped, 0, np.broadcast_to(np.asarray(upper, float), n_features)),
    )


def moments(X, weight, fit_intercept):
    """Return means and deviations about them, exactly 0 for constant columns; else about 0."""
    X = X[weight > 0]
    share = weight[weight > 0] / weight.sum()
    centres = share @ X if fit_intercept else np.zeros(X.shape[1])
    off_centre = np.where(np.ptp(X, axis=0) == 0, 0, X - centres) if fit_intercept else X
    largest = np.abs(off_centre).max(axis=0)
    units = np.where(largest == 0, 1, largest)  # the squares of 1e160 are infinite
    return centres, units * np.sqrt(share @ (off_centre / units) ** 2)


def kkt_excess(F, w, b):
    """Return the largest violation of the conditions of optimality of F at weights w, intercept b.

    F must not fall if a weight moves up, unless it is at its upper bound, nor if it moves down,
    unless it is at its lower bound; ∂F/∂b = 0; and the bounds must hold exactly. A weight moves
    with the intercept that keeps the mean of z, which loses nothing for columns far off-centre.
    Slopes are those of weights in units of the deviations, divided by the mean |y − a|, less what
    the rounding of z and of the weights themselves, to the precision of w, changes in them.
    """
    eps = np.finfo(w.dtype).eps
    w, b = w.astype(np.float64), float(b)
    if not (np.all(F.lower <= w) and np.all(w <= F.upper)):
        return np.inf
    a = expit(F.X @ w + b)
    share = F.s / F.s.sum()
    moved_a = a * (1 - a) * eps * (np.abs(F.X) @ np.abs(w) + abs(b))
    error = 4 * share * (EPS * np.abs(a - F.y) + moved_a)
    U = F.coordinates
    slope = U.T @ (share * (a - F.y)) + F.ridge / F.deviations * w
    rounding = np.abs(U).T @ error + 4 * eps * F.ridge / F.deviations * np.abs(w)
    corner = F.lasso / F.deviations
    up = slope + np.where(w >= 0, corner, -corner)
    down = -slope + np.where(w <= 0, corner, -corner)
    missed = np.maximum(
        np.where(w < F.upper, -up, 0),
        np.where(w > F.lower, -down, 0),
    )
    of_b = np.abs(share @ (a - F.y)) if F.fit_intercept else np.abs(b)
    excess = np.append(missed - rounding - 4 * EPS * corner, of_b - error.sum())
    return max(0.0, np.max(excess)) / (share @ np.abs(F.y - a))


def minimum_of(F):
    """Return (w, b) at the minimum of F, where `kkt_excess` is at most OPTIMAL_REFERENCE."""
    w, b = polished(F, *first_guess(F))
    assert kkt_excess(F, w, b) <= OPTIMAL_REFERENCE
    return w, b


def first_guess(F):
    """Return v = units·w and the intercept c at the centre by L-BFGS-B.

    Where there is an L1 norm, v = p − q with p, q >= 0, so that F is smooth.
    """
    U, share, n = (F.X - F.centres) / F.units, F.s / F.s.sum(), F.X.shape[1]
    ridge, lasso = F.ridge / F.units**2, F.lasso / F.units
    lower, upper, split = F.lower * F.units, F.upper * F.units, lasso > 0
    p_low, p_high = (np.where(split, np.maximum(end, 0), end) for end in (lower, upper))
    q_low, q_high = (np.where(split, np.maximum(-end, 0), 0) for end in (upper, lower))

    def value_and_gradient(theta):
        p, q, c = theta[:n], theta[n : 2 * n], theta[-1]
        v, z = p - q, U @ (p - q) + c
        slope = share * (expit(z) - F.y)
        value = share @ (np.logaddexp(0, z) - F.y * z) + ridge @ v**2 / 2 + lasso @ (p + q)
        along = U.T @ slope + ridge * v
        of_c = slope.sum() * F.fit_intercept
        return value, np.concatenate([along + lasso, lasso - along, [of_c]])

    free = np.inf if F.fit_intercept else 0
    bounds = Bounds(
        np.concatenate([p_low, q_low, [-free]]), np.concatenate([p_high, q_high, [free]])
    )
    options = {"maxiter": 20_000, "maxfun": 40_000, "ftol": 0, "gtol": 1e-9, "maxcor": 20}
    start = np.clip(np.zeros(2 * n + 1), bounds.lb, bounds.ub)
    found = minimize(
        value_and_gradient, start, jac=True, method="L-BFGS-B", bounds=bounds, options=options
    )
    return found.x[:n] - found.x[n : 2 * n], found.x[-1]


def polished(F, v, c):
    """Return (w, b) after Newton steps in the weights that are off their bounds and 0."""
    U, share = (F.X - F.centres) / F.units, F.s / F.s.sum()
    ridge, lasso = F.ridge / F.units**2, F.lasso / F.units
    lower, upper = F.lower * F.units, F.upper * F.units
    A = np.column_stack([U, np.ones(len(F.y))])

    def value(v, c):
        z = U @ v + c
        return share @ (np.logaddexp(0, z) - F.y * z) + ridge @ v**2 / 2 + lasso @ np.abs(v)

    for _ in range(60):
        a = expit(U @ v + c)
        slope = U.T @ (share * (a - F.y)) + ridge * v
        up, down = slope + np.where(v >= 0, lasso, -lasso), slope - np.where(v <= 0, lasso, -lasso)
        sign = np.where(v == 0, np.where(up < 0, 1, np.where(down > 0, -1, 0)), np.sign(v))
        # With the sign kept, F is smooth: these are its bounds, and the weights that can move.
        low = np.where((lasso > 0) & (sign >= 0), np.maximum(lower, 0), lower)
        high = np.where((lasso > 0) & (sign <= 0), np.minimum(upper, 0), upper)
        gradient = slope + lasso * sign
        free = ((v > low) | (gradient < 0)) & ((v < high) | (gradient > 0))
        kept = np.append(free, F.fit_intercept)
        root = A[:, kept] * np.sqrt(share * a * (1 - a))[:, None]
        hessian = root.T @ root + np.diag(np.append(ridge, 0)[kept])
        total = np.append(gradient, share @ (a - F.y))[kept]
        step = np.zeros(len(v) + 1)
        size = np.sqrt(np.maximum(np.diag(hessian), 1e-300))
        scaled_step = np.linalg.lstsq(hessian / np.outer(size, size), -total / size, rcond=1e-15)[0]
        step[kept] = scaled_step / size
        length, before = 1.0, value(v, c)
        while length > 1e-10:
            trial = np.clip(v + length * step[:-1], low, high)
            if value(trial, c + length * step[-1]) <= before * (1 + 4 * EPS):
                break
            length /= 2
        v, c = trial, c + length * step[-1]
    w = np.where(v == lower, F.lower, np.where(v == upper, F.upper, v / F.units))
    return w, c - F.centres @ w if F.fit_intercept else 0.0


def assert_minimum(model, F, expected=None):
    """Expect the conditions of optimality, the bounds, and the weights of the reference."""
    w, b = model.coef_[0], model.intercept_[0]
    assert model.coef_.shape == (1, F.X.shape[1])
    assert model.converged_
    assert kkt_excess(F, w, b) <= OPTIMAL
    assert_close(w, b, *(minimum_of(F) if expected is None else expected), F)


def assert_close(w, b, expected_w, expected_b, F, rtol=RTOL):
    """Compare weights in units of deviations to `rtol`, and z at the centre of the samples.

    The digits of a weight below 1e-3 of the norm are those of a difference of larger numbers.
    """
    expected = expected_w * F.deviations
    floor = 1e-3 * np.linalg.norm(expected)
    error = np.abs(w * F.deviations - expected)
    assert np.all(error <= rtol * np.maximum(np.abs(expected), floor))
    at_centre = expected_b + F.centres @ expected_w
    rounding = 8 * EPS * (np.abs(F.centres) @ np.abs(expected_w) + np.abs(expected_b))
    assert abs(b + F.centres @ w - at_centre) <= rtol * max(abs(at_centre), floor, 1e-3) + rounding


# Data: every function returns X and labels 0, 1.


def overlapping():
    """Five raw columns of breast cancer that do not separate the classes."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, [1, 4, 8, 9, 14]], y


def scaled():
    X, y = load_breast_cancer(return_X_y=True)
    return scale(X[:, :12]), y


def correlated():
    """Twelve correlated columns, each a little off-centre."""
    rng = np.random.default_rng(11)
    X = rng.normal(size=(400, 4)) @ rng.normal(size=(4, 12)) + rng.normal(size=(400, 12)) + 0.5
    return X, noisy_labels(X @ rng.normal(size=12) / 3, rng, flipped=0.05)


def sparse_columns():
    rng = np.random.default_rng(12)
    X = np.where(rng.random((300, 20)) < 0.2, rng.normal(size=(300, 20)) + 0.5, 0)
    return X, noisy_labels(2 * (X @ rng.normal(size=20)), rng, flipped=0)


def in_odd_units():
    """Standard deviations from 1e-9 to 1e9, means of up to three deviations."""
    rng = np.random.default_rng(13)
    U, deviations = rng.normal(size=(300, 8)), rng.permutation(np.geomspace(1e-9, 1e9, 8))
    y = noisy_labels(U @ rng.normal(size=8), rng, flipped=0.05)
    return (U + rng.uniform(-3, 3, 8)) * deviations, y


def wide():
    rng = np.random.default_rng(14)
    X = rng.normal(size=(30, 200))
    return X, noisy_labels(X[:, :4] @ [2, -2, 1, -1], rng, flipped=0)


def tall():
    rng = np.random.default_rng(15)
    X = rng.normal(size=(60_000, 8)) * np.geomspace(1e-2, 1e2, 8)
    X[:, 4:] += np.geomspace(1, 1e3, 4) * X[:, :4]
    return X, noisy_labels(scale(X) @ [1, -0.6, 0.3, 0.08, -1, 0.5, -0.2, 0.05], rng, flipped=0)


@cache
def load(data):
    return data()


CONTAINERS = {"dense-C": np.ascontiguousarray, "dense-F": np.asfortranarray, "CSR": sp.csr_array}
PENALTIES = {
    "none": {"C": np.inf},
    "L2": {"C": 0.5},
    "elastic net": {"C": 0.3, "l1_ratio": 0.5},
    "L1": {"C": 0.3, "l1_ratio": 1.0},
}


def not_negative(unit):
    return 0, np.inf


def not_positive(unit):
    return -np.inf, 0.0


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


BOUNDS = [not_negative, not_positive, narrow, mixed, without_0, some_fixed, all_fixed, only_one]


class Problem(NamedTuple):
    """Data and parameters of F; the bounds are multiples of 1/deviation."""

    data: object
    bounds: object
    penalty: str = "L2"
    fit_intercept: bool = True
    weighted: bool = False

    def __str__(self):
        intercept = "intercept" if self.fit_intercept else "no-intercept"
        weights = "weighted" if self.weighted else "unweighted"
        words = [self.data.__name__, self.bounds.__name__, self.penalty, intercept, weights]
        return "-".join(words)

    @property
    def weights(self):
        return random_weights(load(self.data)[1]) if self.weighted else None

    @property
    def params(self):
        X, _ = load(self.data)
        bounds = self.bounds(1 / X.std(axis=0))
        return PENALTIES[self.penalty] | {
            "fit_intercept": self.fit_intercept,
            "coef_bounds": bounds,
        }


@cache
def stated_problem(problem):
    return stated(*load(problem.data), problem.weights, **problem.params)


@cache
def reference(problem):
    return minimum_of(stated_problem(problem))


def fit(problem, container=np.asarray, **params):
    X, y = load(problem.data)
    model = BCENeuronClassifier(**TIGHT | problem.params | params)
    return model.fit(container(X), y, sample_weight=problem.weights)


# The minimum.

# Any two values of two parameters occur together in one of the problems.
GRID = [
    (Problem(*values), container)
    for *values, container in [
        *covering(
            (overlapping, correlated, sparse_columns, in_odd_units),
            BOUNDS,
            PENALTIES,
            (True, False),
            (False, True),
            CONTAINERS,
        ),
        *covering((scaled,), BOUNDS, ("L2", "elastic net", "L1"), (True,), (True,), ("dense-C",)),
        *covering(
            (wide,), BOUNDS, ("L2", "elastic net", "L1"), (True, False), (False,), CONTAINERS
        ),
        *covering(
            (tall,),
            (mixed, narrow, without_0),
            PENALTIES,
            (True, False),
            (True,),
            ("CSR", "dense-C"),
        ),
    ]
]


@pytest.mark.parametrize(("problem", "container"), GRID, ids=str)
def test_newton_reaches_the_minimum_within_the_bounds(problem, container):
    model = fit(problem, CONTAINERS[container])
    assert_minimum(model, stated_problem(problem), reference(problem))


GLUM_GRID = [
    Problem(*values)
    for values in covering(
        (correlated, sparse_columns, scaled),
        (not_negative, not_positive, narrow, mixed, without_0, only_one),
        ("L2", "elastic net", "L1"),
        (True, False),
        (False, True),
    )
]


@pytest.mark.filterwarnings("ignore:Line search failed:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.filterwarnings("ignore:lower_bounds above starting value:UserWarning")
@pytest.mark.filterwarnings("ignore:upper_bounds below starting value:UserWarning")
@pytest.mark.parametrize("problem", GLUM_GRID, ids=str)
def test_newton_reaches_the_bounded_minimum_of_glum(problem):
    """In glum, alpha stands for 1/(C·S) if the weights are divided by their sum."""
    X, y = load(problem.data)
    F, params = stated_problem(problem), problem.params
    lower, upper = (np.broadcast_to(end, X.shape[1]) * 1.0 for end in params["coef_bounds"])
    glum = GeneralizedLinearRegressor(
        family="binomial",
        alpha=1 / (params["C"] * F.s.sum()),
        l1_ratio=params.get("l1_ratio", 0.0),
        lower_bounds=lower,
        upper_bounds=upper,
        fit_intercept=problem.fit_intercept,
        gradient_tol=1e-12,
        max_iter=300,
        scale_predictors=False,
    ).fit(X, y, sample_weight=problem.weights)
    w = glum.coef_
    for end in (lower, upper):  # glum meets its bounds but for rounding
        w = np.where(np.isclose(w, end, rtol=1e-13, atol=0), end, w)
    assert kkt_excess(F, w, glum.intercept_) <= OPTIMAL / 100
    assert_minimum(fit(problem), F, (w, glum.intercept_))


@each_value(
    pytest.mark.parametrize("method", ["L-BFGS-B", "trust-constr"]),
    pytest.mark.parametrize("bounds", [narrow, mixed, without_0, not_negative]),
)
def test_newton_is_not_above_the_bounded_minimum_of_scipy(bounds, method):
    """Scipy minimises F itself, with its gradient written out, in the units of `coef_`."""
    problem = Problem(correlated, bounds)
    F, n = stated_problem(problem), 12

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
    params = PENALTIES[penalty] | {"coef_bounds": (lower, upper)}
    model = BCENeuronClassifier(**TIGHT | params).fit(X, y)
    F = stated(X, y, **params)
    assert model.converged_
    assert kkt_excess(F, model.coef_[0], model.intercept_[0]) <= OPTIMAL
    assert_allclose(
        F.value(model.coef_[0], model.intercept_[0]), F.value(*minimum_of(F)), rtol=1e-14
    )


@pytest.mark.parametrize("seed", range(36))
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


@pytest.mark.parametrize("bounds", [(0, 0), (np.zeros(12), np.zeros(12))])
def test_bounds_of_0_leave_the_log_odds(bounds):
    X, y = load(scaled)
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


CHUNKED = [
    Problem(*values)
    for values in covering(
        (overlapping, correlated, sparse_columns, in_odd_units),
        (mixed, without_0, some_fixed, not_negative),
        PENALTIES,
        (True, False),
        (False, True),
    )
]


@pytest.mark.parametrize("problem", CHUNKED, ids=str)
def test_chunks_reach_the_minimum_within_the_bounds(problem):
    X, y = load(problem.data)
    arrays = (X, y) if problem.weights is None else (X, y, problem.weights)
    kind = sp.csr_array if problem.data is sparse_columns else np.asarray

    def chunks():
        for rows in np.array_split(np.arange(len(y)), 5):
            yield kind(X[rows]), *(each[rows] for each in arrays[1:])

    model = fit_from_chunks(BCENeuronClassifier(**TIGHT | problem.params), chunks)
    assert_minimum(model, stated_problem(problem), reference(problem))


@pytest.mark.parametrize("problem", CHUNKED[::4], ids=str)
def test_dask_reaches_the_minimum_within_the_bounds(problem):
    da, dask = pytest.importorskip("dask.array"), pytest.importorskip("dask")
    from sklearn_bce.dask import DaskBCENeuronClassifier

    X, y = load(problem.data)
    weights = np.ones(len(y)) if problem.weights is None else problem.weights
    x = da.from_array(X, chunks=(100, X.shape[1]))
    y, weights = (da.from_array(each, chunks=100) for each in (y, weights))
    with dask.config.set(scheduler="synchronous"):
        model = DaskBCENeuronClassifier(**TIGHT | problem.params).fit(x, y, weights)
    assert_minimum(model, stated_problem(problem), reference(problem))


GD_GRID = [
    (Problem(*values), container)
    for *values, container in covering(
        (correlated, sparse_columns),
        (not_negative, narrow, mixed, without_0, some_fixed),
        ("L2", "elastic net", "L1"),
        (True, False),
        (False, True),
        ("dense-C", "CSR"),
    )
]


@pytest.mark.parametrize(("problem", "container"), GD_GRID, ids=str)
def test_gd_reaches_the_minimum_of_newton_within_the_bounds(problem, container):
    F = stated_problem(problem)
    model = fit(problem, CONTAINERS[container], solver="gd", tol=0, max_iter=5000)
    assert kkt_excess(F, model.coef_[0], model.intercept_[0]) <= OPTIMAL
    assert_close(model.coef_[0], model.intercept_[0], *reference(problem), F)
    model = fit(problem, CONTAINERS[container], solver="gd", tol=1e-10, max_iter=20_000)
    assert model.converged_
    distance = F.value(model.coef_[0], model.intercept_[0]) - F.value(*reference(problem))
    assert -1e-14 <= distance <= 1e-10


def test_every_step_of_gd_is_within_the_bounds():
    problem = Problem(scaled, without_0, "elastic net")
    F = stated_problem(problem)
    for max_iter in range(1, 8):
        w = fit(problem, solver="gd", tol=0, max_iter=max_iter).coef_[0]
        assert np.all((F.lower <= w) & (w <= F.upper))


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("penalty", ["L2", "L1"])
def test_float32_weights_keep_the_bounds_and_the_minimum(penalty, container):
    X, y = load(correlated)
    X = X.astype(np.float32)
    params = PENALTIES[penalty] | {"coef_bounds": (-0.0625, np.tile([0.125, np.inf], 6))}
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


def separated_by_the_first():
    """The first column alone separates the classes, with a positive weight."""
    rng = np.random.default_rng(16)
    X = rng.normal(size=(80, 3))
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += np.where(y == 1, 0.2, -0.2)
    return X, y


@pytest.mark.parametrize(
    "bounds",
    [
        (-np.inf, [0, np.inf, np.inf]),
        ([-np.inf, -np.inf, -np.inf], [5, np.inf, np.inf]),
        (-np.inf, [-0.5, np.inf, np.inf]),
        (-3, 3),
        ([2, -np.inf, -np.inf], [2, np.inf, np.inf]),
    ],
    ids=["at most 0", "at most 5", "at most -0.5", "box", "fixed"],
)
@pytest.mark.parametrize("container", ["dense-C", "CSR"])
def test_bounds_across_the_separating_direction_make_a_minimum(bounds, container):
    """No warning (warnings are errors here), and the reference's weights."""
    X, y = separated_by_the_first()
    params = {"C": np.inf, "coef_bounds": bounds}
    model = BCENeuronClassifier(**TIGHT | params).fit(CONTAINERS[container](X), y)
    assert_minimum(model, stated(X, y, **params))
    assert model.stop_reason_ != "no_minimum"


@pytest.mark.parametrize(
    "bounds",
    [(0, np.inf), ([-np.inf, 0, 0], np.inf), ([3, -1, -1], [np.inf, 1, 1])],
    ids=["not negative", "on the others", "at least 3"],
)
@pytest.mark.parametrize("container", ["dense-C", "CSR"])
def test_bounds_along_the_separating_direction_leave_no_minimum(bounds, container):
    X, y = separated_by_the_first()
    model = BCENeuronClassifier(C=np.inf, coef_bounds=bounds)
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        model.fit(CONTAINERS[container](X), y)
    assert model.stop_reason_ == "no_minimum"
    lower, upper = (np.broadcast_to(end, 3) for end in bounds)
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
    rng = np.random.default_rng(17)
    common, gap = 3 * rng.normal(size=120), rng.normal(size=120)
    y = (gap > 0).astype(int)
    gap += np.where(y == 1, 0.3, -0.3)
    X = np.column_stack([common + gap / 2, common - gap / 2])
    model = BCENeuronClassifier(C=np.inf, coef_bounds=bounds, **TIGHT)
    if exists:
        model.fit(X, y)
        assert_minimum(model, stated(X, y, C=np.inf, coef_bounds=bounds))
    else:
        with pytest.warns(ConvergenceWarning, match="no minimum"):
            model.fit(X, y)
        assert model.stop_reason_ == "no_minimum"


def test_chunks_tell_what_fit_tells_of_separation_within_bounds():
    X, y = separated_by_the_first()

    def chunks():
        for rows in np.array_split(np.arange(80), 3):
            yield X[rows], y[rows]

    infeasible = {"C": np.inf, "coef_bounds": (-np.inf, [0, np.inf, np.inf])}
    model = fit_from_chunks(BCENeuronClassifier(**TIGHT | infeasible), chunks)
    assert_minimum(model, stated(X, y, **infeasible))
    with pytest.warns(ConvergenceWarning, match="no minimum"):
        fit_from_chunks(BCENeuronClassifier(C=np.inf, coef_bounds=(0, np.inf)), chunks)


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_a_fit_that_stops_above_the_bounded_minimum_warns(solver):
    problem = Problem(overlapping if solver == "gd" else correlated, mixed)
    with pytest.warns(ConvergenceWarning, match="max_iter=1"):
        model = fit(problem, solver=solver, max_iter=1, tol=1e-12)
    F = stated_problem(problem)
    assert not model.converged_
    assert model.stop_reason_ == "max_iter"
    assert F.value(model.coef_[0], model.intercept_[0]) > F.value(*reference(problem)) + 1e-12


TOL_GRID = covering(
    (overlapping, correlated, sparse_columns, in_odd_units, wide),
    (narrow, mixed, without_0, not_negative),
    ("L2", "L1"),
    (1e-2, 1e-4, 1e-6, 1e-10),
)


@pytest.mark.parametrize(("data", "bounds", "penalty", "tol"), TOL_GRID)
def test_a_converged_bounded_fit_is_within_tol_of_the_minimum(data, bounds, penalty, tol):
    problem = Problem(data, bounds, penalty)
    model = fit(problem, tol=tol)
    F = stated_problem(problem)
    distance = F.value(model.coef_[0], model.intercept_[0]) - F.value(*reference(problem))
    assert model.converged_
    assert -1e-12 <= distance <= tol + 1e-12


# Starts.


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_a_start_outside_the_bounds_is_moved_inside_and_told(solver):
    problem = Problem(scaled, narrow, "L2")
    F, (X, y) = stated_problem(problem), load(scaled)
    start = np.full(12, 4.0)
    start[0] = 0.0
    model = BCENeuronClassifier(solver=solver, tol=1e-9, max_iter=30_000, **problem.params)
    with pytest.warns(UserWarning, match="coef_bounds"):
        model.fit(X, y, coef_init=start)
    assert model.converged_
    distance = F.value(model.coef_[0], model.intercept_[0]) - F.value(*reference(problem))
    assert -1e-14 <= distance <= 1e-9
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


@pytest.mark.parametrize("data", [scaled, sparse_columns, wide])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.5, 1.0])
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

COMBINED = covering(
    ("none", "L2", "elastic net", "L1"),
    (False, True),  # standardize
    ("equal", "uneven", "zeros", "dropped"),
    (None, mixed, without_0, narrow, some_fixed),
    (True, False),  # fit_intercept
    (None, "balanced", {0: 0.3, 1: 2.5}),
    (False, True),  # sample_weight
    ("dense-C", "dense-F", "CSR", "chunks"),
    (overlapping, sparse_columns, correlated),
)


def factors_of(name, n_features):
    j = np.arange(n_features)
    return {
        "equal": None,
        "uneven": np.linspace(0.3, 3, n_features),
        "zeros": np.where(j % 3 == 1, 0.0, 1.5),
        "dropped": np.where(j == 3, np.inf, np.where(j == 1, 0.0, 2.0)),  # all bounds have 0 at 3
    }[name]


@pytest.mark.parametrize(
    ("penalty", "standardize", "factors", "bounds", "fit_intercept", "class_weight", "weighted",
     "container", "data"),
    COMBINED,
)  # fmt: skip
def test_bounds_factors_and_standardisation_combine(
    penalty,
    standardize,
    factors,
    bounds,
    fit_intercept,
    class_weight,
    weighted,
    container,
    data,
):
    X, y = load(data)
    weight = random_weights(y) if weighted else None
    params = PENALTIES[penalty] | {
        "standardize": standardize,
        "penalty_factor": factors_of(factors, X.shape[1]),
        "coef_bounds": bounds and bounds(1 / X.std(axis=0)),
        "fit_intercept": fit_intercept,
        "class_weight": class_weight,
    }
    model = BCENeuronClassifier(**TIGHT | params)
    if container == "chunks":
        arrays = (X, y) if weight is None else (X, y, weight)
        parts = np.array_split(np.arange(len(y)), 3)
        fit_from_chunks(model, lambda: ([each[rows] for each in arrays] for rows in parts))
    else:
        model.fit(CONTAINERS[container](X), y, sample_weight=weight)
    assert_minimum(model, stated(X, y, weight, **params))


# Errors.


def assert_raises_and_changes_nothing(model, error, message, call):
    before = vars(model).copy()
    with pytest.raises(error, match=message):
        call(model)
    assert_equal(vars(model), before)


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
SMALL = np.random.default_rng(0).normal(size=(30, 3))
SMALL_Y = np.arange(30) % 2
fitted_or_not = pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])


@fitted_or_not
@pytest.mark.parametrize("case", BAD_BOUNDS)
def test_bad_bounds_raise_and_change_nothing(case, fitted):
    model = BCENeuronClassifier()
    model = model.fit(SMALL, SMALL_Y) if fitted else model
    model.set_params(coef_bounds=BAD_BOUNDS[case])
    assert_raises_and_changes_nothing(
        model, (ValueError, TypeError), "coef_bounds", lambda model: model.fit(SMALL, SMALL_Y)
    )


@pytest.mark.parametrize("case", BAD_NAMED)
def test_bad_bounds_by_name_raise_and_name_the_feature(case):
    bounds, name = BAD_NAMED[case]
    model = BCENeuronClassifier(coef_bounds=bounds)
    frame = pd.DataFrame(SMALL, columns=list("abc"))
    assert_raises_and_changes_nothing(
        model,
        (ValueError, TypeError),
        f"(?s)(?=.*coef_bounds).*{name}",
        lambda model: model.fit(frame, SMALL_Y),
    )


@pytest.mark.parametrize("bounds", [(0, np.inf), (np.zeros(3), np.ones(3))])
@pytest.mark.parametrize(
    ("solver", "call"),
    [
        ("sgd", lambda model: model.fit(SMALL, SMALL_Y)),
        ("sgd", lambda model: model.partial_fit(SMALL, SMALL_Y, classes=[0, 1])),
        ("auto", lambda model: model.partial_fit(SMALL, SMALL_Y, classes=[0, 1])),
    ],
    ids=["fit by sgd", "partial_fit of sgd", "partial_fit"],
)
def test_solvers_without_bounds_refuse_them(solver, call, bounds):
    model = BCENeuronClassifier(solver=solver, coef_bounds=bounds)
    assert_raises_and_changes_nothing(model, ValueError, "coef_bounds", call)


def test_bounds_are_not_changed_by_a_fit_and_survive_clone_and_parameters():
    lower, upper = np.array([0.0, -np.inf, -1.0]), np.array([0.5, np.inf, -0.25])
    model = BCENeuronClassifier(coef_bounds=(lower, upper)).fit(SMALL, SMALL_Y)
    assert model.coef_bounds[0] is lower
    assert model.get_params()["coef_bounds"][1] is upper
    assert_array_equal(lower, [0, -np.inf, -1])
    copied = clone(model).fit(SMALL, SMALL_Y)
    assert_array_equal(copied.coef_, model.coef_)
    assert "coef_bounds" in repr(model)


@every_pair(
    pytest.mark.parametrize("kind", [list, tuple, np.array, pd.Series]),
    pytest.mark.parametrize("ends", [("lower", "upper"), ("upper",)]),
)
def test_bounds_of_any_array_kind_are_the_same(kind, ends):
    lower, upper = [0.0, -1.0, -1.0], [0.5, 0.5, -0.25]
    expected = BCENeuronClassifier(coef_bounds=(np.array(lower), np.array(upper)))
    given = (kind(lower) if "lower" in ends else lower, kind(upper))
    model = BCENeuronClassifier(coef_bounds=given)
    assert_array_equal(model.fit(SMALL, SMALL_Y).coef_, expected.fit(SMALL, SMALL_Y).coef_)
