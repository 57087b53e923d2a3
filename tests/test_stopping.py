"""The stopping test of Newton's method, with given decrements and without a fit."""

import numpy as np
import pytest

from sklearn_bce._solvers import StopReason
from sklearn_bce._solvers.newton.direction import SearchDirection
from sklearn_bce._solvers.newton.stopping import (
    MARGIN,
    STALE_MARGIN,
    STALE_STEP_FRACTION,
    StoppingTest,
    Verdict,
)

TOL = 1e-4
CONVERGENCE = {"CONVERGED", "ROUNDING", "EARLY_STOPPING"}


@pytest.mark.parametrize("reason", StopReason)
def test_a_fit_has_converged_by_its_own_test_by_rounding_or_by_early_stopping(reason):
    assert reason.is_convergence == (reason.name in CONVERGENCE)


def fresh(left, **fields):
    """Return a direction from the curvature at the point, given half its squared decrement."""
    return SearchDirection(np.zeros(1), 2 * left, n_products=np.inf, **fields)


def stale(left, **fields):
    """Return a direction from stale curvature."""
    return SearchDirection(np.zeros(1), 2 * left, n_products=0, **fields)


def by_products(left, **fields):
    """Return a direction by conjugate gradients."""
    return SearchDirection(np.zeros(1), 2 * left, n_products=3, **fields)


@pytest.mark.parametrize("kind", [fresh, by_products])
@pytest.mark.parametrize(
    ("left", "previous", "verdict"),
    [
        (0.9 * TOL, 0.0, Verdict.LAST),  # the first step
        (0.9 * TOL, 1.0, Verdict.LAST),
        (1.1 * TOL, 0.0, Verdict.CONTINUE),
        (1e-2, 0.0, Verdict.CONTINUE),
        # Of its own half decrement the step leaves left/previous: 1e-2·1e-2 / 0.5 = 2e-4.
        (1e-2, 0.5, Verdict.CONTINUE),
        (1e-2, 1.1, Verdict.NEXT_IS_LAST),  # 0.9e-4
        (1e-2, 1e-3, Verdict.CONTINUE),  # the decrement has risen
    ],
)
def test_verdict_on_a_step_by_fresh_curvature(kind, left, previous, verdict):
    assert StoppingTest(TOL).predict(kind(left), 2 * previous) is verdict


@pytest.mark.parametrize(
    ("left", "previous", "verdict"),
    [
        (0.9 * TOL, 0.0, Verdict.NEXT_IS_LAST),  # it may leave all of it
        (0.9 * TOL, 0.1 * TOL, Verdict.NEXT_IS_LAST),  # and no more, though the decrement has risen
        (0.5 * TOL, 1.1 * 0.25 * TOL / STALE_STEP_FRACTION, Verdict.LAST),
        (0.5 * TOL, 0.9 * 0.25 * TOL / STALE_STEP_FRACTION, Verdict.NEXT_IS_LAST),
        (2 * TOL, 1.0, Verdict.NEXT_IS_LAST),
        (2 * TOL, 0.0, Verdict.CONTINUE),
    ],
)
def test_verdict_on_a_step_by_stale_curvature_leaves_a_hundred_thousandth(left, previous, verdict):
    assert StoppingTest(TOL).predict(stale(left), 2 * previous) is verdict


@pytest.mark.parametrize("kind", [fresh, by_products, stale])
@pytest.mark.parametrize("left", [0.0, 1e-9, 1e-2])
def test_an_incomplete_direction_is_never_the_last_nor_the_last_but_one(kind, left):
    d = kind(left, complete=False)
    stop = StoppingTest(TOL)
    assert stop.predict(d, 1.0) is Verdict.CONTINUE
    assert not stop.is_within_tol(d)


@pytest.mark.parametrize("kind", [fresh, by_products, stale])
def test_without_tolerance_no_step_is_the_last(kind):
    stop = StoppingTest(0.0)
    for left in (0.0, 1e-300, 1e-9, 1.0):
        assert stop.predict(kind(left), 1.0) is not Verdict.LAST
        assert not stop.is_within_tol(kind(left))
    assert stop.predict(kind(1e-9), 1.0) is Verdict.CONTINUE


@pytest.mark.parametrize("left", [np.nan, np.inf])
def test_a_decrement_that_is_no_number_ends_nothing(left):
    stop = StoppingTest(TOL)
    assert stop.predict(fresh(left), 1.0) is Verdict.CONTINUE
    assert not stop.is_within_tol(fresh(left))
    assert not stop.stale_step_suffices(stale(left), 1.0)


@pytest.mark.parametrize(
    ("kind", "margin"), [(fresh, MARGIN), (by_products, MARGIN), (stale, STALE_MARGIN)]
)
def test_a_point_is_within_tol_by_a_margin_that_is_larger_for_stale_curvature(kind, margin):
    stop = StoppingTest(TOL)
    assert stop.is_within_tol(kind(0.999 * TOL / margin))
    assert not stop.is_within_tol(kind(1.001 * TOL / margin))


def test_a_stale_step_suffices_if_its_share_of_the_decrement_before_leaves_next_to_nothing():
    """λ⁴/(2λ₀²) <= 1e-5 tol, and λ²/2 within the margin of stale curvature."""
    stop, previous = StoppingTest(TOL), 1e-2
    limit = np.sqrt(2 * STALE_STEP_FRACTION * TOL * previous) / 2  # half of the squared decrement
    assert limit < TOL / STALE_MARGIN
    for kind in (fresh, stale):  # how it was found does not matter: the curvature is stale
        assert stop.stale_step_suffices(kind(0.999 * limit), previous)
        assert not stop.stale_step_suffices(kind(1.001 * limit), previous)
        assert stop.stale_step_suffices(kind(0.999 * TOL / STALE_MARGIN), 1e6)
        assert not stop.stale_step_suffices(kind(1.001 * TOL / STALE_MARGIN), 1e6)
    assert not StoppingTest(0.0).stale_step_suffices(stale(0.0), previous)
