"""Runs whose curvature was lost in rounding, and the bases in which they are confirmed or go on.

The reference is `tools.referee`, Newton's method by QR factorisations in extended precision.
"""

import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale
from small_data import Parts, in_parts, objective, random_data, solved
from tools.fuzz_fits import case_of
from tools.referee import problem_of, referee, value

from sklearn_bce import BCENeuronClassifier, fit_from_chunks
from sklearn_bce._objective.base import SomeSamples
from sklearn_bce._objective.basis import Kernel
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.scaling import Coordinates, FewRows
from sklearn_bce._solvers import Result, Settings, StopReason, rise_by_rounding
from sklearn_bce._solvers.base import Monitor
from sklearn_bce._solvers.newton import in_cache
from sklearn_bce._solvers.newton.loop import Start
from sklearn_bce._solvers.newton.robust import exact_from_user, exact_to_user, robust_coordinates
from sklearn_bce._solvers.newton.solver import confirmed, past_certain_samples, run
from sklearn_bce._solvers.newton.solver import solve as solve_newton
from sklearn_bce._solvers.newton.whitening import (
    _penalty_along,
    bound_by_pivots,
    kernel_gains_nothing,
    whiten,
)

TOL = 1e-6


def fitted(X, y, **parameters):
    """Return the estimator, and the texts of its warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = BCENeuronClassifier(**{"C": np.inf} | parameters).fit(X, y)
    return model, [str(each.message) for each in caught]


def distance(model, X, y, C, least=None):
    """Return F − min F of a fit in extended precision."""
    problem = problem_of(np.asarray(X, dtype=np.float64), y, None, C, 0.0, True)
    if least is None:
        minimum = referee(problem, seconds=60)
        assert minimum.resolved
        assert minimum.uncertainty < TOL / 100
        least = minimum.value
    return float(value(problem, model.coef_[0], model.intercept_[0])[0] - least)


def assert_ends_at_the_minimum(X, y, C, container=np.asarray, least=None, **parameters):
    model, told = fitted(container(X), y, C=C, **parameters)
    assert told == []
    assert model.stop_reason_ in {"tol", "rounding"}
    assert model.converged_
    assert -TOL / 100 <= distance(model, X, y, C, least) <= TOL
    return model


def labels(z, seed=5):
    return (np.random.default_rng(seed).logistic(size=len(z)) < z) * 1.0


# ----- nearly dependent columns -------------------------------------------------------------------


def two_epochs(unit=1e6, mean=1.0, n=400):
    """Begin and end of an interval of some seconds in units of 1/unit seconds since 1970."""
    rng = np.random.default_rng(0)
    begin = np.round(unit * (1.7e9 + rng.uniform(0, 3e7, n)))
    duration = np.round(unit * rng.gamma(4, mean / 4, n))
    X = np.column_stack([begin, begin + duration, rng.normal(size=n)])
    return X, labels(2 * duration / unit / mean - 2 + X[:, 2])


def polynomial(degree=5, lowest=1990.0, n=300):
    """Powers of a year."""
    year = np.random.default_rng(1).integers(0, 31, n) + lowest
    t = (year - lowest - 15) / 15
    return year[:, None] ** np.arange(1, degree + 1), labels(1 + 2 * t - 3 * t**3)


NEARLY_DEPENDENT = {
    "epochs in seconds": two_epochs(1.0, 2000.0),
    "epochs in milliseconds": two_epochs(1e3),
    "epochs in microseconds": two_epochs(1e6),
    "intervals of 100 microseconds": two_epochs(1e6, 1e-4),
    "powers up to 3 of a year": polynomial(3),
    "powers up to 5 of a year": polynomial(5),
    "powers up to 5 of a number near 30": polynomial(5, 15.0),
    "powers up to 5 of a number near 300": polynomial(5, 300.0),
}


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("name", NEARLY_DEPENDENT)
def test_nearly_dependent_columns_end_at_the_minimum(name, C):
    assert_ends_at_the_minimum(*NEARLY_DEPENDENT[name], C)


@pytest.mark.parametrize("kind", ["CSR", "in parts"])
def test_nearly_dependent_columns_in_other_containers(kind):
    X, y = two_epochs(1e3)
    if kind == "CSR":
        assert_ends_at_the_minimum(X, y, np.inf, sp.csr_array)
        return
    problem = in_parts(objective((X, y, np.ones(len(y))), np.inf))
    settings = Settings(random_state=np.random.RandomState(0))
    result = solve_newton(problem, np.zeros(3), 0.0, settings)
    assert result.converged
    reference = problem_of(X, y, None, np.inf, 0.0, True)
    at, _ = value(reference, result.w, result.b)
    assert at - referee(reference).value <= TOL


def test_a_run_is_doubtful_where_the_factor_lost_pivots_and_only_there():
    for data in (random_data(), random_data(sparse=True)):
        problem = objective(data, np.inf)
        assert run(Start(problem.standardised(), np.zeros(4)), Settings()).is_certain
    X, y = two_epochs(1e6, 1e-4)
    problem = objective((X, y, np.ones(400)), np.inf)
    result = run(Start(problem.standardised(), np.zeros(4)), Settings())
    assert result.stop_reason is StopReason.CONVERGED
    assert not result.is_certain
    end = confirmed(problem, result, Settings())
    assert end.stop_reason is StopReason.CONVERGED
    least = referee(problem_of(X, y, None, np.inf, 0.0, True)).value
    assert end.loss_curve[-1] - least <= TOL < 0.05 < result.loss_curve[-1] - least
    assert end.loss_curve[: result.n_iter] == result.loss_curve
    assert end.n_passes == problem.n_passes > result.n_passes


class Watching(Monitor):
    """Keeps what it is told, and ends the fit after so many steps."""

    is_passive = False

    def __init__(self, most=np.inf):
        self.values, self.most = [], most

    def end(self, value, weights, n_passes):
        self.values.append(value)
        self.weights = weights()
        return len(self.values) >= self.most


def test_a_watched_run_in_doubt_is_told_no_step_that_is_dropped():
    X, y = two_epochs(1e6, 1e-4)
    problem, watching = objective((X, y, np.ones(400)), np.inf), Watching()
    result = run(Start(problem.standardised(), np.zeros(4)), Settings(monitor=watching))
    assert not result.is_certain
    assert watching.values == result.loss_curve


@pytest.mark.parametrize("seed", [716, 1023, 1169])
def test_a_watched_run_without_certain_samples_is_one_step(seed):
    case = case_of(seed, "default")
    weight = np.ones(len(case.y)) if case.weight is None else case.weight
    problem = objective((case.X, case.y, weight), case.parameters.get("C", 1.0))
    start = np.zeros(case.X.shape[1]), 0.0
    watching = Watching()
    result = solve_newton(problem, *start, Settings(monitor=watching))
    assert watching.values == result.loss_curve
    assert watching.values[-1] < watching.values[-2]
    assert_allclose(watching.weights[0], result.w, rtol=1e-9)
    stopping = Watching(most=result.n_iter)
    stopped = solve_newton(problem, *start, Settings(monitor=stopping))
    assert stopped.stop_reason is StopReason.STOPPED
    assert stopped.loss_curve == result.loss_curve


def test_max_iter_ends_a_doubtful_run_as_any_other():
    X, y = two_epochs(1e6, 1e-4)
    n_iter = fitted(X, y)[0].n_iter_[0]
    for max_iter in range(1, n_iter):
        model, told = fitted(X, y, max_iter=max_iter)
        assert model.n_iter_[0] == max_iter
        assert model.stop_reason_ == "max_iter"
        assert len(told) == 1
        assert f"max_iter={max_iter}" in told[0]


# ----- what is known at a whitened start ----------------------------------------------------------


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("away", [0.0, 1e-4, 0.3])
def test_a_whitened_start_knows_whether_it_is_at_the_minimum(C, away):
    X, y = random_data()[:2]
    problem = objective((X, y, np.ones(len(y))), C)
    reference = problem_of(X, y, None, C, 0.0, True)
    minimum = referee(reference)
    w, b = np.float64(minimum.w) + away, float(minimum.b)
    whitened = whiten(problem, w, b, TOL)
    above = float(value(reference, w, b)[0] - minimum.value)
    start = whitened.start
    point = start.problem.evaluate(start.theta)
    assert_allclose(start.problem.evaluate(start.theta, hessian=True).hessian, np.eye(4), atol=1e-9)
    if away < 0.1:  # F − min F is half of the squared decrement
        assert point.gradient @ point.gradient / 2 == pytest.approx(above, rel=1e-3, abs=1e-15)
    assert whitened.is_minimum == (away < 0.1)
    assert whitened.is_resolved
    assert_allclose(np.append(*start.to_user_weights(start.theta)), np.append(w, b), rtol=1e-12)
    parts = whiten(in_parts(problem), w, b, TOL)
    assert (parts.is_small, parts.is_resolved) == (whitened.is_small, whitened.is_resolved)
    assert len(parts.beyond) == len(whitened.beyond)


def test_a_confident_outlier_is_beyond_the_model():
    """At 0 all curvature in the first column is that of one sample, whose output is not certain."""
    X, y, weight = random_data()
    X[0], y[0] = [1e9, 0, 0], 1.0
    problem = objective((X, y, weight), np.inf)
    w = np.array([1e-8, 1.0, -0.5])  # z = 10 for the outlier
    whitened = whiten(problem, w, 0.1, 1e9)
    assert whitened.is_small  # by the tolerance
    assert 0 in whitened.beyond.rows[0]
    assert not whitened.is_minimum


# Output, target, weight and norm of a sample, and whether the sample is beyond the model within a
# radius of 0.1: whether its output changes by 1 or more, and its loss by more than a trifle.
BEYOND = [
    (20.0, 1.0, 1.0, 100.0, True),  # a change of 10, from a loss of e^-20 to one of e^-10
    (20.0, 1.0, 1.0, 9.0, False),  # a change of 0.9
    (20.0, 1.0, 0.0, 100.0, False),
    (-20.0, 0.0, 1.0, 100.0, True),
    (200.0, 1.0, 1.0, 100.0, False),  # the loss is e^-190 at most
    (-200.0, 0.0, 1.0, 100.0, False),
    (-200.0, 1.0, 1.0, 100.0, True),  # the wrong side
    (200.0, 0.0, 1.0, 100.0, True),
    (200.0, 0.5, 1.0, 100.0, True),  # a soft target has no side
    (200.0, 1.0, 1.0, 1900.0, True),
    (0.0, 1.0, 1.0, 100.0, False),  # not so large a norm with so much curvature
]


def test_samples_beyond_the_model():
    z, y, weight, norm, expected = (np.array(column) for column in zip(*BEYOND, strict=True))
    problem = objective((norm[:, None], y, weight), np.inf, fit_intercept=False)
    found = problem.samples_beyond_model(z, 0.1, lambda rows: np.abs(rows[:, 0]))
    assert_array_equal(found, np.flatnonzero(expected))


# Output, target, norm, rounding of the output, and whether the sample is beyond the model.
ROUNDED = [
    (-40.0, 0.0, 1.0, 15.0, True),
    (-40.0, 0.0, 1.0, 0.5, False),
    (-200.0, 0.0, 1.0, 15.0, False),  # the loss is e^-185 at most
    (-200.0, 0.0, 1.0, 190.0, True),
    (200.0, 0.0, 1.0, 15.0, True),  # the wrong side
    (0.0, 1.0, 1.0, 1.5, True),
    (-60.0, 0.0, 1e12, 15.0, True),  # does not contribute to the curvature at -60, but does at -45
    (-60.0, 0.0, 1e12, 0.0, False),  # without the rounding
]


def test_samples_whose_outputs_rounding_may_move_are_beyond_the_model():
    z, y, norm, rounding, expected = (np.array(column) for column in zip(*ROUNDED, strict=True))
    problem = objective((norm[:, None], y, np.ones(len(y))), np.inf, fit_intercept=False)
    found = problem.samples_beyond_model(z, 1e-12, lambda rows: np.abs(rows[:, 0]), rounding)
    assert_array_equal(found, np.flatnonzero(expected))


@pytest.mark.parametrize("seed", range(8))
def test_codes_whose_weights_cancel_end_at_the_minimum(seed):
    """Each weight times the code is 1e17, so that rounding moves the output of the row by 15."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(44, 4)) * [100.0, 100.0, 100.0, 1.0]
    y = (rng.logistic(size=44) < X[:, 3] - 2) * 1.0
    X[7, :3], y[7] = 2.0**63, 0.0
    assert_ends_at_the_minimum(X, y, 0.01)


@pytest.mark.parametrize("C", [1e-6, 1e-5, 1e-4, 1e-3])
def test_the_penalty_decides_how_exactly_dependent_columns_share_a_weight(C):
    """Begin, end and end − begin: λ of the last is 1e25 times that of the others."""
    for seed in range(10):
        rng = np.random.default_rng(seed)
        begin = np.round(1.7e15 + rng.uniform(0, 3e13, 40))
        duration = 1.0 + rng.poisson(1, 40)
        y = (rng.logistic(size=40) < 3 - duration) * 1.0
        X = np.column_stack([begin, begin + duration, duration])
        assert_ends_at_the_minimum(X, y, C)


@pytest.mark.parametrize(("error", "is_clear"), [(1e-9, True), (1e-3, False)])
def test_the_error_of_a_kernel_does_not_count_as_penalty(error, is_clear):
    """The second entry may be rounding; its λ is 1e20 times that of the first."""
    vectors, l2, theta = np.array([[1.0], [4e-3]]), np.array([1e-20, 1.0]), np.array([2.0, 3.0])
    kernel = Kernel(vectors, np.array([1]), np.array([0]), np.ones(2), error)
    curvature, of_doubtful = _penalty_along(kernel, l2, theta)
    assert curvature == pytest.approx(1e-20 + 1.6e-5 * is_clear, rel=1e-12)
    assert of_doubtful == pytest.approx(0.0 if is_clear else 4e-3 * 3.0, rel=1e-12)


@pytest.mark.parametrize(
    ("l2", "l1", "gains_nothing"),
    [
        (1.0, [0.5, 0.1], False),
        (0.0, [0.5, 0.1], False),
        (1.0, [0.25, 0.25], True),
        (0.0, [0.25, 0.25], True),
    ],
)
def test_what_the_norm_gains_along_a_kernel_counts(l2, l1, gains_nothing):
    """The columns are equal: one weight may take over the other, which the penalty alone sees.

    At equal weights the squares gain nothing, and the norm the difference of its strengths.
    """
    X, y = np.array([[1.0, 1.0], [2.0, 2.0], [-1.0, -1.0]]), np.array([1.0, 0.0, 1.0])
    penalty = ElasticNet(l2, np.array(l1))
    problem = InMemoryObjective.in_user_units(X, y, np.ones(3), penalty, False)
    kernel = Kernel(np.array([[1.0], [-1.0]]), np.array([0]), np.array([1]), np.ones(2), 1e-15)
    point = problem.evaluate(np.array([1.0, 1.0]))
    assert kernel_gains_nothing(problem, kernel, point, 1e-6) == gains_nothing


@pytest.mark.parametrize(("scale", "expected"), [(1.0, 1e-15), (1e-6, 1e-9)])
def test_the_error_of_a_kernel_grows_with_the_inverse_of_the_least_pivot(scale, expected):
    first = np.diag([1.0, scale])
    kernel = Kernel.of(first, np.zeros((2, 1)), np.arange(3), np.ones(3), 1e-15 / 3)
    assert kernel.error == pytest.approx(expected)


def test_the_loss_of_samples_that_are_left_out_counts():
    """At the minimum without a sample the loss of the sample is 0.1 nats and more."""
    X, y, weight = random_data()
    problem, sample = objective((X, y, weight), 1.0), SomeSamples({0: np.array([3])})
    rest = solve_newton(problem.without(sample), np.zeros(3), 0.0, Settings(tol=1e-12))
    z = X[3] @ rest.w + rest.b
    loss = weight[3] / weight.sum() * (np.logaddexp(0, z) - y[3] * z)
    end = whiten(problem, rest.w, rest.b, TOL, sample)
    assert end.is_minimum
    assert end.loss_left_out == pytest.approx(loss, rel=1e-4)
    result = past_certain_samples(
        problem, rest, whiten, end._replace(beyond=sample), Settings(), wanted=loss
    )
    assert not result.is_certain
    result = past_certain_samples(
        problem, rest, whiten, end._replace(beyond=sample), Settings(), wanted=3 * loss
    )
    assert result.is_certain


@pytest.mark.parametrize(
    ("leverages", "earlier", "expected"),
    [
        ([0.9, 0.0], 1.0, [0]),
        ([0.3, 0.3], 1.0, [0, 1]),  # together
        ([0.4, 0.05], 1.0, []),  # the others have more than half of the curvature
        ([0.5, 0.1], 1.0, [0]),
        ([0.5, 0.1], 20.0, [0, 1]),  # leverages have grown since by a factor of 20
        ([0.5, 0.002], 1e6, [0]),  # by 100 at most
    ],
)
def test_samples_that_dominate(leverages, earlier, expected):
    """The last sample has more curvature than the squared decrement, and does not count."""
    n, z = 3, np.array([20.0, -20.0, 0.0])
    curvature = expit(z) * expit(-z) / n
    at_factor = earlier * curvature
    norms = np.sqrt(np.append(leverages, 5.0) / at_factor)
    problem = objective((norms[:, None], np.ones(n), np.ones(n)), np.inf, fit_intercept=False)
    found = problem.samples_that_dominate(
        curvature, 1e-3, lambda rows: np.abs(rows[:, 0]), at_factor
    )
    assert_array_equal(found, expected)


def test_a_stale_step_shows_less_of_a_sample_that_dominates():
    """A step by the curvature h₀ from where it has fallen to h has a squared decrement of h²/h₀."""
    z = np.array([-15.0, 0.0])
    here = expit(z) * expit(-z) / 2
    at_factor = here * [10.0, 1.0]
    problem = objective((np.ones((2, 1)), np.zeros(2), np.ones(2)), np.inf, fit_intercept=False)

    def found(decrement, is_stale):
        norm = 1 / np.sqrt(at_factor[0])  # a leverage of 1
        return problem.samples_that_dominate(
            here, decrement, lambda Z: np.full(len(Z), norm), at_factor, is_stale
        )

    assert_array_equal(found(1.01 * here[0], is_stale=False), [0])
    assert_array_equal(found(0.99 * here[0], is_stale=False), [])
    assert_array_equal(found(0.101 * here[0], is_stale=True), [0])
    assert_array_equal(found(0.099 * here[0], is_stale=True), [])


@pytest.mark.parametrize("offset", [1e3, 1.7e15])
def test_conversions_of_weights_round_once(offset):
    rng = np.random.default_rng(0)
    coordinates = Coordinates(offset + rng.normal(size=4), 2.0 ** np.arange(4), True)
    theta = rng.normal(size=5)
    w, b = exact_to_user(coordinates, theta)
    exact = Fraction(theta[-1]) - sum(
        (Fraction(v) * Fraction(m) for v, m in zip(w, coordinates.shift, strict=True)), Fraction(0)
    )
    assert b == float(exact)
    assert_array_equal(w, theta[:4] / coordinates.scale)
    back = exact_from_user(coordinates, w, b)
    assert_array_equal(back[:4], theta[:4])
    assert abs(back[4] - theta[4]) <= np.spacing(abs(b)) / 2 + np.spacing(abs(theta[4]))


def test_robust_coordinates_are_medians_and_powers_of_two():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(501, 3)) * [1.0, 300.0, 1e-5] + [0.0, 1e6, 7.0]
    X[:40, 1] = 2.0**63
    few = FewRows.of(X, np.ones(501))
    coordinates = few.robust_coordinates(True)
    assert_array_equal(coordinates.shift, np.median(X, axis=0))
    deviation = np.median(np.abs(X - np.median(X, axis=0)), axis=0)
    assert np.all(np.abs(np.log2(coordinates.scale / deviation)) <= 0.5)
    assert_array_equal(np.frexp(coordinates.scale)[0], 0.5)
    assert_array_equal(few.robust_coordinates(False).shift, 0.0)
    # A row of weight 2 counts as two rows, one of weight 0 not at all.
    weight = np.append(np.full(40, 0.0), rng.integers(1, 4, 461)).astype(float)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    assert len(repeated) % 2
    found = FewRows.of(X, weight).robust_coordinates(True)
    assert_array_equal(found.shift, np.median(repeated, axis=0))
    halves = FewRows.of(X[:250], weight[:250]) + FewRows.of(X[250:], weight[250:])
    assert_array_equal(halves.robust_coordinates(True).shift, found.shift)


def test_robust_coordinates_are_those_of_the_samples_whose_class_is_not_certain():
    X, y, weight = random_data(200)
    X[:150, 0] += 1e6  # with this weight, the class of these is certain
    problem = objective((X, y, weight), 1.0)
    found = robust_coordinates(problem, np.array([1e-3, 0.0, 0.0]), 0.0)
    others = FewRows.of(X[150:], weight[150:]).robust_coordinates(True)
    assert abs(found.shift[0]) < 3
    assert found.scale[0] == others.scale[0]


# ----- codes for missing values -------------------------------------------------------------------


def with_codes(code, places, n=300, seed=2):
    """Return X and y with codes in some (row, column), each on its side of the line."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    truth = np.array([1.0, -1.5, 0.5])
    y = labels(X @ truth)
    for row, column in places:
        X[row, column] = code
        y[row] = (truth[column] > 0) * 1.0
    return X, y


PLACES = {
    "one": [(0, 0)],
    "rows": [(0, 1), (7, 1), (100, 1)],
    "columns": [(0, 0), (3, 1), (5, 2)],
    "rows and columns": [(0, 0), (1, 0), (2, 1), (3, 1), (4, 2), (5, 2)],
}


@pytest.mark.parametrize("code", [1e20, 2.0**63, 1e37])
def test_a_column_is_not_taken_for_constant_beside_a_code(code):
    """In units of the code, the column is constant in all samples whose class is not certain."""
    X, y = with_codes(code, [(0, 0)])
    rest = np.arange(1, len(y))
    without = LogisticRegression(C=np.inf, tol=1e-12).fit(X[rest, 1:], y[rest])
    w, b = np.append(1000 / code, without.coef_[0]), without.intercept_[0]
    problem = objective((X, y, np.ones(len(y))), np.inf).standardised()
    assert bound_by_pivots(problem, problem.coordinates.from_user(w, b), TOL) == np.inf


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("code", [1e12, 2.0**63, 1e37])
@pytest.mark.parametrize("places", PLACES)
def test_codes_on_their_side_of_the_line_leave_the_minimum_of_the_others(places, code, C):
    X, y = with_codes(code, PLACES[places])
    rest = np.setdiff1d(np.arange(len(y)), [row for row, _ in PLACES[places]])
    peer = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(X[rest], y[rest])
    problem = problem_of(X, y, None, C, 0.0, True)
    least = float(value(problem, peer.coef_[0], peer.intercept_[0])[0])
    model = assert_ends_at_the_minimum(X, y, C, least=least)
    assert_allclose(model.coef_, peer.coef_, atol=0.02)  # √(2·tol/curvature)


@pytest.mark.parametrize("kind", ["CSR", "float32"])
def test_codes_in_other_containers(kind):
    X, y = with_codes(2.0**63, PLACES["rows and columns"])
    X = X.astype(np.float32).astype(np.float64)
    problem = problem_of(X, y, None, 1.0, 0.0, True)
    peer = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X[6:], y[6:])
    least = float(value(problem, peer.coef_[0], peer.intercept_[0])[0])
    container = sp.csr_array if kind == "CSR" else np.float32
    assert_ends_at_the_minimum(X, y, 1.0, container, least)


@pytest.mark.parametrize("code", [1e12, 2.0**63, 1e37])
@pytest.mark.parametrize("places", PLACES)
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_codes_in_parts(C, places, code):
    X, y = with_codes(code, PLACES[places])
    rest = np.setdiff1d(np.arange(len(y)), [row for row, _ in PLACES[places]])
    peer = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(X[rest], y[rest])
    parts = in_parts(objective((X, y, np.ones(len(y))), C))
    settings = Settings(random_state=np.random.RandomState(0))
    result = solve_newton(parts, np.zeros(3), 0.0, settings)
    problem = problem_of(X, y, None, C, 0.0, True)
    least = value(problem, peer.coef_[0], peer.intercept_[0])[0]
    assert result.converged
    assert value(problem, result.w, result.b)[0] - least <= TOL


@pytest.mark.parametrize("C", [1.0, 100.0])
@pytest.mark.parametrize("unit", [1e3, 1e6])
def test_a_duration_beside_begin_and_end_is_at_the_minimum_or_not_called_so(unit, C):
    """end = begin + duration: the penalty of the duration is 1e30 times that of begin and end."""
    rng = np.random.default_rng(0)
    begin = np.round(unit * (1.7e9 + rng.uniform(0, 3e7, 100)))
    duration = rng.integers(1, 4, 100) * 1.0
    X = np.column_stack([begin, begin + duration, duration])
    y = labels(duration - 2)
    for fit_intercept in (True, False):
        model, told = fitted(X, y, C=C, fit_intercept=fit_intercept)
        problem = problem_of(X, y, None, C, 0.0, fit_intercept)
        minimum = referee(problem, seconds=60)
        gap = value(problem, model.coef_[0], float(model.intercept_[0]))[0] - minimum.value
        assert gap <= TOL + minimum.uncertainty or (told and not model.converged_)


# ----- columns that depend but for rounding -------------------------------------------------------


def temperatures(n=200):
    rng = np.random.default_rng(0)
    celsius = np.round(rng.normal(15, 8, n), 1)
    return np.column_stack([celsius, celsius * 9 / 5 + 32]), labels((celsius - 12) / 5)


def test_temperatures_in_two_units_have_no_known_minimum_without_a_penalty():
    X, y = temperatures()
    model, told = fitted(X, y)
    assert model.stop_reason_ == "precision"
    assert model.converged_ is False
    assert len(told) == 1
    assert "depend on each other but for rounding" in told[0]
    assert "no minimum" not in told[0]
    alone = referee(problem_of(X[:, :1], y, None, np.inf, 0.0, True)).value
    assert distance(model, X, y, np.inf, alone) <= TOL
    assert_ends_at_the_minimum(X, y, 1.0)


@pytest.mark.parametrize("kind", ["one-hot", "copies", "total"])
def test_exact_dependence_has_a_minimum_without_a_penalty(kind):
    rng = np.random.default_rng(3)
    counts = rng.integers(0, 100, (300, 3)).astype(float)
    dummies = np.eye(4)[rng.integers(0, 4, 300)]
    X = {
        "one-hot": dummies,
        "copies": counts[:, [0, 1, 0, 1]],
        "total": np.column_stack([counts, counts.sum(axis=1)]),
    }[kind]
    y = labels(X[:, 0] / X[:, 0].std() - 0.5)
    Z = np.column_stack([X[:, :-2] if kind == "copies" else X[:, :-1]])
    least = referee(problem_of(Z, y, None, np.inf, 0.0, True)).value
    model = assert_ends_at_the_minimum(X, y, np.inf, least=least)
    # Of all weights with the same outputs, those of the least norm, of centred columns or nearly.
    assert np.linalg.norm(model.coef_) < 10


def test_a_start_with_a_loss_below_tol_ends_at_once():
    X = np.linspace(-1, 1, 50)[:, None] + np.where(np.arange(50) < 25, -0.1, 0.1)[:, None]
    data = X, (X[:, 0] > 0) * 1.0, np.ones(50)
    w = np.array([400.0])
    result = solved("newton", data, C=np.inf, start=w, b=0.0)
    assert result.loss_curve == [objective(data, np.inf).value_at(np.array([400.0, 0.0]))]
    assert result.loss_curve[0] <= TOL
    assert result.stop_reason is StopReason.CONVERGED
    assert result.is_certain
    assert_allclose(result.w, w, rtol=1e-14)
    assert result.n_passes <= 2  # moments of the columns, and F


# ----- constant and rare columns ------------------------------------------------------------------


def fits_with_and_without(constant, X, y, kind, **parameters):
    """Return the fits to X with a constant column at 1, and to X without."""
    fits = []
    for columns in (np.insert(X, 1, X.dtype.type(constant), axis=1), X):
        model = BCENeuronClassifier(random_state=0, **parameters)
        if kind == "chunks":
            chunks = [(columns[rows], y[rows]) for rows in np.array_split(np.arange(len(y)), 3)]
            fits.append(fit_from_chunks(model, lambda chunks=chunks: iter(chunks)))
        else:
            to = {"dense": np.asarray, "Fortran order": np.asfortranarray, "CSR": sp.csr_array}
            fits.append(model.fit(to[kind](columns), y))
    return fits


def assert_is_ignored(fits, rtol):
    assert fits[0].coef_[0, 1] == 0.0
    assert_allclose(np.delete(fits[0].coef_, 1), fits[1].coef_[0], rtol=rtol)
    assert_allclose(fits[0].intercept_, fits[1].intercept_, rtol=rtol)
    assert fits[0].converged_


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("kind", ["dense", "Fortran order", "CSR", "chunks"])
@pytest.mark.parametrize("constant", [0.1, 3.0, 1e12])
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_a_constant_column_has_weight_0_and_changes_no_other(C, constant, kind, dtype):
    X, y, _ = random_data(200)
    fits = fits_with_and_without(constant, X.astype(dtype), y, kind, C=C, tol=1e-10)
    assert_is_ignored(fits, 1e-4)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("size", [1e150, 1e200, 1e300])
def test_large_rows_of_weight_0_make_no_column_constant(size, container):
    X, y, weight = random_data()
    rows = np.vstack([np.full((2, 3), size), X, np.full((1, 3), -size)])
    model = BCENeuronClassifier().fit(container(rows), np.r_[0, 1, y, 1], np.r_[0, 0, weight, 0])
    expected = BCENeuronClassifier().fit(X, y, weight)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-3)
    assert np.all(model.coef_ != 0)


@pytest.mark.parametrize("kind", ["dense", "CSR"])
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_a_constant_column_of_many_rows_has_weight_0(C, kind):
    """The rows of the start, in which other columns may be constant too, do not decide it."""
    X, y, _ = random_data(300_000)
    assert_is_ignored(fits_with_and_without(3.0, np.float32(X), y, kind, C=C, tol=1e-10), 1e-3)


@pytest.mark.parametrize("container", [np.asarray, sp.csr_array])
@pytest.mark.parametrize("n_rare", [1, 3])
def test_a_level_that_the_subsample_has_not_seen_keeps_its_weight(n_rare, container):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(2000, 5))
    X[:, 4] = 0.0
    y = labels(X @ [1.0, -1, 0.5, 0, 0])
    X[rows := np.flatnonzero(y == 1)[:n_rare], 4] = 1.0
    assert len(rows) == n_rare
    for seed in range(3):
        model = BCENeuronClassifier(random_state=seed).fit(container(X), y)
        peer = LogisticRegression(solver="newton-cholesky", tol=1e-12).fit(X, y)
        assert peer.coef_[0, 4] > 0.2
        assert_allclose(model.coef_, peer.coef_, atol=2e-3)
        assert_allclose(model.intercept_, peer.intercept_, atol=2e-3)


# ----- float32 ------------------------------------------------------------------------------------


def test_float32_columns_get_weights_in_float64_where_float32_would_lose_the_minimum():
    rng = np.random.default_rng(0)
    near = np.float32(1000 + rng.normal(size=300))
    X = np.column_stack([near, near + np.float32(rng.normal(size=300) / 1024)])
    noise = X[:, 1].astype(float) - X[:, 0]
    y = labels(noise * 2000)
    model = assert_ends_at_the_minimum(X, y, np.inf)
    assert model.coef_.dtype == model.intercept_.dtype == np.float64
    problem = problem_of(X.astype(float), y, None, np.inf, 0.0, True)
    stored = model.coef_[0].astype(np.float32), np.float32(model.intercept_[0])
    at = value(problem, stored[0].astype(float), float(stored[1]))[0]
    assert at - referee(problem).value > TOL


def test_the_rise_by_rounding_is_not_computed_in_float32():
    """The outputs in question are differences of products of 1e6, which float32 rounds to 0.1."""
    rng = np.random.default_rng(0)
    near = np.float32(0.1 * rng.normal(size=60))
    X = np.column_stack([near, near + np.float32(1e-7 * rng.normal(size=60)), rng.normal(size=60)])
    X = np.float32(X)
    y = labels(1e7 * (X[:, 1].astype(float) - X[:, 0]) + X[:, 2])
    data = X, y, np.ones(60)
    exact = referee(problem_of(X.astype(float), y, None, np.inf, 0.0, True))
    result = Result(np.float64(exact.w), float(exact.b), StopReason.CONVERGED, [exact.value], 0)
    stored = np.float64(np.float32(result.w)), float(np.float32(result.b))
    problem = problem_of(X.astype(float), y, None, np.inf, 0.0, True)
    expected = float(value(problem, *stored)[0] - exact.value)
    parts = in_parts(objective(data, np.inf))
    parts.parts = Parts(data)  # in memory, a small X is converted to float64
    got = rise_by_rounding(parts, result, np.dtype(np.float32), limit=0.0)
    assert got == pytest.approx(expected, rel=1e-6)
    assert expected > 1e-4


def test_the_rise_by_rounding_counts_from_the_value_of_the_run():
    """Weights that were rounded to float64 already may be above the point where the run ended."""
    data = random_data()
    at_end = objective(data, np.inf).value_at(np.array([1.0, -1.0, 0.5, 0.1]))
    result = Result(np.array([1.0, -1.0, 0.5]), 0.1, StopReason.CONVERGED, [at_end - 1e-3], 0)
    got = rise_by_rounding(objective(data, np.inf), result, np.dtype(np.float64), limit=0.0)
    assert got == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize("n", [200, 50_000])
def test_ordinary_float32_columns_get_weights_in_float32(n):
    X, y, _ = random_data(n)
    model, told = fitted(np.float32(X), y, C=1.0)
    assert told == []
    assert model.coef_.dtype == model.intercept_.dtype == np.float32


# ----- ordinary data ------------------------------------------------------------------------------


def ordinary(name):
    if name == "digits":
        X, digit = load_digits(return_X_y=True)
        return X, (digit > 4) * 1.0
    X, y = load_breast_cancer(return_X_y=True)
    return (scale(X) if "scaled" in name else X), y


@pytest.mark.parametrize(
    ("name", "n_passes", "in_one_call"),
    [("breast cancer", 12, 8), ("breast cancer, scaled", 14, 8), ("digits", 11, 8)],
)
def test_ordinary_data_take_no_pass_for_a_confirmation(name, n_passes, in_one_call, monkeypatch):
    """The literals are the passes from before runs could be doubtful, and those of one call."""
    assert BCENeuronClassifier(random_state=0).fit(*ordinary(name)).n_passes_ == in_one_call
    monkeypatch.setattr(in_cache, "CACHE_ELEMENTS", 0)
    model = BCENeuronClassifier(random_state=0).fit(*ordinary(name))
    assert model.converged_
    assert model.n_passes_ == n_passes


@pytest.mark.parametrize(("positive", "n_passes"), [(8, 17), (0, 21)])
def test_digits_with_a_weak_penalty_take_few_passes(positive, n_passes):
    """The literals are the passes from before runs could be doubtful; some more are allowed."""
    X, digit = load_digits(return_X_y=True)
    model, _ = fitted(X, digit == positive, C=100.0, random_state=0)
    assert model.n_passes_ <= 1.5 * n_passes
