"""Each safeguard of Newton's method in the situation for which it is made, and in another."""

import numpy as np
import pytest
from small_data import in_parts, objective, random_data

from sklearn_bce._objective.base import Evaluation
from sklearn_bce._solvers import Monitor, StopReason
from sklearn_bce._solvers.newton.direction import NO_DERIVATIVES, SearchDirection
from sklearn_bce._solvers.newton.line_search import LineSearch, Region
from sklearn_bce._solvers.newton.loop import Run, Start
from sklearn_bce._solvers.newton.safeguards import (
    AcceptStart,
    FinalStaleStep,
    OutlierProbe,
    RestartAtOrigin,
    RoundingFloor,
)
from sklearn_bce._solvers.newton.smooth import NewtonDirection
from sklearn_bce._solvers.newton.stopping import StoppingTest, Verdict

TOL = 1e-6


def promising(decrement, n_products=np.inf):
    """Return a direction with this squared decrement."""
    return SearchDirection(np.zeros(1), decrement, n_products=n_products)


def at(value):
    """Return an evaluation with a value of F; its other attributes are not used."""
    return Evaluation(np.zeros(1), value, np.zeros(1), None, None)


# ----- the point that is kept ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reason", "d", "expected"),
    [
        (StopReason.CONVERGED, None, "probe"),  # F is at most tol there
        (StopReason.CONVERGED, promising(0.1), "before"),
        (StopReason.MAX_ITER, None, "before"),
    ],
)
def test_a_run_ends_before_an_unconfirmed_probe_unless_that_is_at_the_minimum(reason, d, expected):
    problem = objective(random_data(), 1.0).standardised()
    run = Run(Start(problem, np.zeros(4)), NewtonDirection(problem, TOL), Monitor(), at(0.2))
    run.await_confirmation(at(0.1))
    assert run.finish(reason, d).point.value == {"probe": 0.1, "before": 0.2}[expected]


# ----- AcceptStart --------------------------------------------------------------------------------


@pytest.mark.parametrize("may_be_minimum", [True, False])
@pytest.mark.parametrize(("decrement", "is_near"), [(0.9 * TOL, True), (1.1 * TOL, False)])
def test_a_start_is_accepted_where_the_minimum_is_expected_and_near(
    may_be_minimum, decrement, is_near
):
    accepts = AcceptStart(StoppingTest(TOL))
    assert accepts(may_be_minimum, promising(decrement)) == (may_be_minimum and is_near)
    # With stale curvature the margin is twice as large.
    assert accepts(may_be_minimum, promising(decrement / 2, 0)) == (may_be_minimum and is_near)


# ----- FinalStaleStep -----------------------------------------------------------------------------


def after_one_step(C, theta):
    """Return the safeguard, the evaluation after Newton's step from θ, and the direction."""
    problem = objective(random_data(), C).standardised()
    direction, search = NewtonDirection(problem, TOL), LineSearch(problem)
    point = problem.evaluate(theta, hessian=True)
    d = direction.at(point)
    guard = FinalStaleStep(direction, search, StoppingTest(TOL))
    return problem, guard, search(point, d, Region.NEAR, NO_DERIVATIVES), d


def test_a_stale_step_is_the_last_where_f_is_all_but_quadratic():
    problem, guard, point, d = after_one_step(1e-4, np.zeros(4))
    exact = problem.evaluate(point.theta, hessian=True)
    expected = point.theta - np.linalg.solve(exact.hessian, exact.gradient)
    before = problem.n_passes
    end, verdict = guard(point, d)
    assert verdict is Verdict.LAST
    assert problem.n_passes == before + 1
    np.testing.assert_allclose(end.theta, expected, rtol=1e-3, atol=1e-7)
    assert not np.array_equal(end.theta, point.theta)


def test_a_stale_step_is_not_the_last_where_the_curvature_changes():
    problem, guard, point, d = after_one_step(np.inf, np.array([3.0, -3.0, 3.0, 1.0]))
    before = problem.n_passes
    assert guard(point, d) == (point, Verdict.NEXT_IS_LAST)
    assert problem.n_passes == before


def test_no_stale_step_is_taken_without_a_curvature():
    problem = objective(random_data()).standardised()
    direction = NewtonDirection(problem, TOL)
    guard = FinalStaleStep(direction, LineSearch(problem), StoppingTest(TOL))
    point = problem.evaluate(np.zeros(4))
    assert guard(point, promising(1.0)) == (point, Verdict.NEXT_IS_LAST)


# ----- OutlierProbe -------------------------------------------------------------------------------


def with_outlier(distance):
    """Return samples of two classes, with one sample far from the others."""
    X, y, weight = random_data(100, 1)
    X[0], y[0] = distance, 1.0
    return X, y, weight


def last_step(problem):
    """Return a direction rule, the point 0, the point after Newton's step, and the direction."""
    direction = NewtonDirection(problem, TOL)
    before = problem.evaluate(np.zeros(problem.coordinates.size), hessian=True)
    d = direction.at(before)
    return direction, before, problem.evaluate(before.theta + d.vector), d


def test_a_probe_finds_a_lower_f_where_one_sample_hides_the_others():
    problem = objective(with_outlier(1e6), np.inf, fit_intercept=False)
    direction, before, point, d = last_step(problem)
    # The outlier dominates the step: the outputs of all others are almost 0 before and after.
    assert np.abs(point.z[1:]).max() < 1e-4 < 1 < point.z[0]
    passes = problem.n_passes
    probe = OutlierProbe(problem, direction)(before, point, d, is_slow=False)
    assert probe.value < point.value
    assert problem.n_passes == passes + 1
    assert probe.z[0] > 10  # the outlier has fallen silent
    assert not direction.at(problem.evaluate(point.theta)).is_stale  # the curvature was the outlier


@pytest.mark.parametrize("is_slow", [True, False])
def test_there_is_no_probe_after_an_ordinary_step(is_slow):
    problem = objective(with_outlier(0.5))
    direction, before, _, d = last_step(problem)
    near = problem.evaluate(before.theta + 1e-2 * d.vector)
    passes = problem.n_passes
    probe = OutlierProbe(problem, direction)(before, near, d._replace(decrement=1e-4), is_slow)
    assert probe is None
    assert problem.n_passes == passes


def test_there_is_no_probe_where_f_rises_beyond_the_step():
    problem = objective(with_outlier(0.5))
    direction, before, _, d = last_step(problem)
    too_far = problem.evaluate(before.theta + 5 * d.vector)
    assert problem.leaves_model_region(before, too_far, d.decrement)
    assert OutlierProbe(problem, direction)(before, too_far, d, is_slow=False) is None


@pytest.mark.parametrize("distance", [1e6, 0.5])
def test_without_outputs_a_slow_step_is_what_calls_for_a_probe(distance):
    problem = in_parts(objective(with_outlier(distance), 1.0, fit_intercept=False))
    direction, before, point, d = last_step(problem)
    passes = problem.n_passes
    assert OutlierProbe(problem, direction)(before, point, d, is_slow=False) is None
    assert problem.n_passes == passes
    probe = OutlierProbe(problem, direction)(before, point, d, is_slow=True)
    assert problem.n_passes == passes + 1
    assert (probe is None) == (distance == 0.5)  # of no outlier, F is larger so far away
    assert probe is None or probe.value < point.value


# ----- RestartAtOrigin ----------------------------------------------------------------------------


def sure_of_every_sample():
    """Return F, a start where a(1−a) of every sample is almost 0, and Newton's direction there.

    F can fall by far less than the quadratic model with that curvature predicts.
    """
    y = np.arange(1000) % 2.0
    X = ((2 * y - 1) * np.linspace(1, 2, 1000))[:, np.newaxis]
    y[0] = 1.0
    problem = objective((X, y, np.ones(1000)), np.inf)
    direction = NewtonDirection(problem, TOL)
    point = problem.evaluate(np.array([1000.0, 0.0]), hessian=True)
    return problem, point, direction.at(point)


def test_a_start_that_is_sure_of_every_sample_is_left_for_0_once():
    problem, point, d = sure_of_every_sample()
    assert np.all(point.curvature < 1e-300)
    search = LineSearch(problem)
    assert search(point, d, search.region(point, d), NO_DERIVATIVES) is None
    restarts = RestartAtOrigin(TOL, starts_at_origin=False)
    assert restarts(point, d)
    assert not restarts(point, d)


def test_a_run_from_0_does_not_restart_there():
    _, point, d = sure_of_every_sample()
    assert not RestartAtOrigin(TOL, starts_at_origin=True)(point, d)


@pytest.mark.parametrize(
    ("tol", "value", "decrement", "expected"),
    [
        (TOL, 0.5, 2.1 * TOL, True),
        (TOL, 0.5, 1.9 * TOL, False),
        (0.0, 0.5, 1e-14, True),
        (0.0, 0.5, 1e-16, False),  # rounding of F: 4·2.2e-16·0.5
        (TOL, 0.5, np.nan, False),
        (TOL, 0.5, np.inf, True),
    ],
)
def test_a_restart_is_for_directions_that_promise_more_than_tol_and_rounding(
    tol, value, decrement, expected
):
    restarts = RestartAtOrigin(tol, starts_at_origin=False)
    assert restarts(at(value), promising(decrement)) == expected
    assert (
        restarts(at(value), promising(np.inf)) != expected
    )  # a refusal leaves the restart unspent


# ----- RoundingFloor ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("decrement", "verdict", "reason"),
    [
        (1e-16, Verdict.CONTINUE, StopReason.ROUNDING),
        (1e-16, Verdict.NEXT_IS_LAST, StopReason.ROUNDING),
        (6e-16, Verdict.CONTINUE, StopReason.ROUNDING),
        (1.2e-15, Verdict.CONTINUE, StopReason.NO_DESCENT),
        (1e-14, Verdict.CONTINUE, StopReason.NO_DESCENT),
        (1e-14, Verdict.NEXT_IS_LAST, StopReason.NO_DESCENT),
        (np.nan, Verdict.CONTINUE, StopReason.NO_DESCENT),
        (1e-14, Verdict.LAST, StopReason.CONVERGED),
        (1e-16, Verdict.LAST, StopReason.CONVERGED),
    ],
)
def test_why_a_run_ends_where_f_does_not_fall(decrement, verdict, reason):
    """The rounding of F = 0.5 is about 4e-16, and half of the decrement is compared with it."""
    assert RoundingFloor()(at(0.5), promising(decrement), verdict) is reason
