"""The objective that the API states, its minimum in NumPy and SciPy, and problems to judge by both.

    F(w, b) = (1/S) Σ sᵢ L(yᵢ, σ(zᵢ)) + Σⱼ fⱼ [λ/2 (σⱼwⱼ)² + κ |σⱼwⱼ|],   z = offset + b + Xw,
    lowerⱼ <= wⱼ <= upperⱼ,   λ = (1−ρ)/(C·S),   κ = ρ/(C·S).

`stated` makes F of the parameters of the estimator. `minimum_of` finds the minimum by L-BFGS-B of
SciPy, then by Newton steps in the weights that are off their bounds. `kkt_excess` judges any
weights: F is convex, so that the conditions of optimality hold at the minimum and nowhere else.
`Problem` names data and parameters; `fit_in` fits to samples in each kind of container. Nothing of
the package is used but its public names.
"""

from functools import cache
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.sparse as sp
from glum import GeneralizedLinearRegressor
from numpy.testing import assert_equal
from scipy.optimize import Bounds, minimize
from scipy.special import expit
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import scale
from threadpoolctl import threadpool_limits

from sklearn_bce import BCENeuronClassifier, fit_from_chunks

# `tol` bounds F − min F, which is of second order in the error of a weight: 1e-20 lets the last
# Newton step decide, and not `tol`.
TIGHT = {"tol": 1e-20, "max_iter": 1000}
# Violations of the conditions of optimality, in units of the mean |y − a| for a weight in units of
# the standard deviation of its column.
OPTIMAL = 1e-9
OPTIMAL_REFERENCE = 1e-12
RTOL = 1e-8
EPS = np.finfo(np.float64).eps


# Labels and weights.


def noisy_labels(z, rng, flipped=0.15):
    y = rng.random(z.shape[0]) < expit(z)
    return np.where(rng.random(z.shape[0]) < flipped, ~y, y).astype(int)


def random_weights(y):
    """Sample weights up to 3, a few of which are 0."""
    rng = np.random.default_rng(y.shape[0])
    return np.where(rng.random(y.shape[0]) < 0.03, 0, rng.uniform(0.1, 3, y.shape[0]))


def total_weights(y, sample_weight=None, class_weight=None):
    """Sample weights times class weights; "balanced" gives both classes the same total."""
    s = np.ones(y.shape[0]) if sample_weight is None else sample_weight
    if class_weight == "balanced":
        class_weight = {label: s.sum() / (2 * s[y == label].sum()) for label in (0, 1)}
    return s if class_weight is None else s * np.where(y == 1, class_weight[1], class_weight[0])


# F, its conditions of optimality and its minimum.


class Stated(NamedTuple):
    """F and its feasible set, of dense float64 columns."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray  # sample weights times class weights
    offset: np.ndarray
    fit_intercept: bool
    centres: np.ndarray  # means of the columns; 0 without an intercept
    deviations: np.ndarray  # about the centres; 1 where that is 0
    ridge: np.ndarray  # fⱼλσⱼ², the strength of wⱼ²/2
    lasso: np.ndarray  # fⱼκσⱼ, the strength of |wⱼ|
    lower: np.ndarray
    upper: np.ndarray

    def loss(self, w, b):
        z = self.offset + self.X @ w + b
        losses = self.y * np.logaddexp(0, -z) + (1 - self.y) * np.logaddexp(0, z)
        return self.s @ losses / self.s.sum()

    def value(self, w, b):
        return self.loss(w, b) + self.ridge / 2 @ w**2 + self.lasso @ np.abs(w)

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
    offset=0.0,
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
        np.broadcast_to(np.asarray(offset, dtype=np.float64), len(y)),
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
    a = expit(F.offset + F.X @ w + b)
    share = F.s / F.s.sum()
    moved_a = a * (1 - a) * eps * (np.abs(F.X) @ np.abs(w) + abs(b) + np.abs(F.offset))
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
        v, z = p - q, F.offset + U @ (p - q) + c
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
        z = F.offset + U @ v + c
        return share @ (np.logaddexp(0, z) - F.y * z) + ridge @ v**2 / 2 + lasso @ np.abs(v)

    for _ in range(60):
        a = expit(F.offset + U @ v + c)
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
        moved = np.append(trial - v, length * step[-1])
        v, c = trial, c + length * step[-1]
        if np.all(np.abs(moved) <= 4 * EPS * np.abs(np.append(v, c))):
            break
    w = np.where(v == lower, F.lower, np.where(v == upper, F.upper, v / F.units))
    return w, c - F.centres @ w if F.fit_intercept else 0.0


def plain_sgd(F, eta, passes, batch=1):
    """Return (w, b) after passes of sgd in order, by the rule that the API states.

    A step is η mean(s((y − a)x − λw)) over a batch, with λw the gradient of the squares; then each
    |w| less η mean(s) times the strength of its norm, but not below 0; then the bounds.
    """
    w, b = np.zeros(F.X.shape[1]), 0.0
    starts = range(0, len(F.y), batch)
    for rows in [slice(start, start + batch) for start in starts] * passes:
        x, s = F.X[rows], F.s[rows]
        error = s * (F.y[rows] - expit(F.offset[rows] + x @ w + b))
        step = eta * s.sum() / len(s)
        w = w + eta * error @ x / len(s) - step * F.ridge * w
        w = np.sign(w) * np.maximum(np.abs(w) - step * F.lasso, 0)
        w = np.clip(w, F.lower, F.upper)
        b += eta * error.sum() / len(s) if F.fit_intercept else 0.0
    return w, b


# Data: every function returns X and labels 0, 1.


@cache
def load(data):
    return data()


def overlapping():
    """Five raw columns of breast cancer that do not separate the classes."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, [1, 4, 8, 9, 14]], y


def raw():
    """Twelve raw columns of breast cancer, in units from 1e-3 to 1e3, strongly correlated."""
    X, y = load_breast_cancer(return_X_y=True)
    return X[:, :12], y


def scaled():
    X, y = load(raw)
    return scale(X), y


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
    X = rng.normal(size=(30, 100))
    return X, noisy_labels(X[:, :4] @ [2, -2, 1, -1], rng, flipped=0)


def tall():
    """So many rows that Newton's method starts on a sample of the rows."""
    rng = np.random.default_rng(15)
    X = rng.normal(size=(20_000, 8)) * np.geomspace(1e-2, 1e2, 8)
    X[:, 4:] += np.geomspace(1, 1e3, 4) * X[:, :4]
    return X, noisy_labels(scale(X) @ [1, -0.6, 0.3, 0.08, -1, 0.5, -0.2, 0.05], rng, flipped=0)


def separated_by_the_first():
    """The first column alone separates the classes, with a positive weight."""
    rng = np.random.default_rng(16)
    X = rng.normal(size=(80, 4))
    y = (X[:, 0] > 0).astype(int)
    X[:, 0] += np.where(y == 1, 0.2, -0.2)
    return X, y


def separated_by_a_difference():
    """Neither of the first two columns separates the classes, but the first less the second."""
    rng = np.random.default_rng(17)
    common, gap = 3 * rng.normal(size=120), rng.normal(size=120)
    y = (gap > 0).astype(int)
    gap += np.where(y == 1, 0.3, -0.3)
    return np.column_stack([common + gap / 2, common - gap / 2, rng.normal(size=120)]), y


SMALL = np.random.default_rng(0).normal(size=(30, 3))
SMALL_Y = np.arange(30) % 2


# Problems, and fits to them.

CONTAINERS = {"dense-C": np.ascontiguousarray, "dense-F": np.asfortranarray, "CSR": sp.csr_array}
PARTS = {"chunks": np.asarray, "CSR chunks": sp.csr_array}
BLOCKS = {"Dask": np.asarray, "CSR Dask": sp.csr_array}
KINDS = [*CONTAINERS, *PARTS, *BLOCKS]
RATIOS = (0.0, 0.5, 1.0)
CLASS_WEIGHTS = {"none": None, "balanced": "balanced", "dict": {0: 0.3, 1: 2.5}}


class Problem(NamedTuple):
    """Data and parameters of F.

    Factors are a function of the number of features, bounds one of 1/deviations.
    """

    data: Any
    C: float = 0.3
    l1_ratio: float = 0.0
    fit_intercept: bool = True
    weighted: bool = False
    class_weight: str = "none"
    standardize: bool = False
    factors: Any = None
    bounds: Any = None

    def __str__(self):
        words = [self.data.__name__, f"C={self.C:g}", f"l1_ratio={self.l1_ratio:g}"]
        words += ["no-intercept"] * (not self.fit_intercept) + ["weighted"] * self.weighted
        words += [self.class_weight] * (self.class_weight != "none")
        words += ["standardised"] * self.standardize
        return "-".join(words + [each.__name__ for each in (self.factors, self.bounds) if each])

    @property
    def weights(self):
        return random_weights(load(self.data)[1]) if self.weighted else None

    @property
    def params(self):
        X, _ = load(self.data)
        return {
            "C": self.C,
            "l1_ratio": self.l1_ratio,
            "fit_intercept": self.fit_intercept,
            "class_weight": CLASS_WEIGHTS[self.class_weight],
            "standardize": self.standardize,
            "penalty_factor": self.factors and self.factors(X.shape[1]),
            "coef_bounds": self.bounds and self.bounds(1 / X.std(axis=0)),
        }


@cache
def objective_of(problem):
    return stated(*load(problem.data), problem.weights, **problem.params)


@cache
def reference(problem):
    """Return the minimum of the objective of a problem, found once."""
    return minimum_of(objective_of(problem))


def fit(problem, kind="dense-C", **params):
    """Return a fit to a problem; as tight as can be, unless `params` say otherwise."""
    model = BCENeuronClassifier(**TIGHT | problem.params | params)
    return fit_in(kind, model, *load(problem.data), problem.weights)


def fit_in(kind, model, X, y, weight=None):
    """Fit to X in a container, in four chunks, or, by another estimator, in blocks of Dask."""
    if kind in CONTAINERS:
        return model.fit(CONTAINERS[kind](X), y, sample_weight=weight)
    if kind in BLOCKS:
        return fit_to_blocks(BLOCKS[kind], model, X, y, weight)
    arrays = (X, y) if weight is None else (X, y, weight)
    rows = np.array_split(np.arange(len(y)), 4)
    chunks = [(PARTS[kind](X[some]), *(each[some] for each in arrays[1:])) for some in rows]
    return fit_from_chunks(model, lambda: iter(chunks))


def fit_to_blocks(kind, model, X, y, weight):
    da, dask = pytest.importorskip("dask.array"), pytest.importorskip("dask")
    from sklearn_bce.dask import DaskBCENeuronClassifier

    weight = np.ones(len(y)) if weight is None else weight
    chunk = -(-len(y) // 3)
    x = da.from_array(X, chunks=(chunk, X.shape[1]))
    x = x.map_blocks(kind, meta=kind(np.zeros((0, X.shape[1]))))
    y, weight = (da.from_array(each, chunks=chunk) for each in (y, weight))
    in_blocks = DaskBCENeuronClassifier()
    params = model.get_params()
    common = {name: params[name] for name in in_blocks.get_params() if name in params}
    with dask.config.set(scheduler="synchronous"):
        return in_blocks.set_params(**common).fit(x, y, weight)


def glum_of(problem, **params):
    """Return the fit of glum to a problem, as tight as can be.

    In glum, alpha stands for 1/(C·S). Where the cores are busy, its threads wait for each other.
    """
    total = total_weights(load(problem.data)[1], problem.weights).sum()
    model = GeneralizedLinearRegressor(
        family="binomial",
        alpha=1 / (problem.C * total),
        l1_ratio=problem.l1_ratio,
        fit_intercept=problem.fit_intercept,
        gradient_tol=1e-12,
        max_iter=300,
        **params,
    )
    with threadpool_limits(1):
        return model.fit(*load(problem.data), sample_weight=problem.weights)


# Assertions.


def assert_minimum(model, F, expected=None):
    """Expect the conditions of optimality, the bounds, and the weights of the reference."""
    w, b = model.coef_[0], model.intercept_[0]
    assert model.coef_.shape == (1, F.X.shape[1])
    assert model.converged_
    assert kkt_excess(F, w, b) <= OPTIMAL
    assert_close(w, b, *(minimum_of(F) if expected is None else expected), F)


def assert_solved(model, problem):
    """Expect the minimum of a problem, found once."""
    assert_minimum(model, objective_of(problem), reference(problem))


def assert_solved_without_convergence(model, problem):
    """Expect the minimum of a problem where the solver has no `tol` to meet."""
    F, (w, b) = objective_of(problem), (model.coef_[0], model.intercept_[0])
    assert kkt_excess(F, w, b) <= OPTIMAL
    assert_close(w, b, *reference(problem), F)


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


def assert_raises_and_changes_nothing(model, message, call, error=(ValueError, TypeError)):
    before = vars(model).copy()
    with pytest.raises(error, match=message):
        call(model)
    assert_equal(vars(model), before)
