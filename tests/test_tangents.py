"""Tangents to the losses of samples that are left out of F."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from small_data import in_parts, objective, random_data

from sklearn_bce._objective.base import SomeSamples
from sklearn_bce._solvers.newton.tangents import MAX_TANGENTS, LeftOut, find_left_out


def left_out(z, y, rounding=0.0, p=0.1):
    z, y = np.atleast_1d(z).astype(float), np.atleast_1d(y).astype(float)
    ones = np.ones(len(z))
    return LeftOut(np.eye(len(z)), z, rounding * ones, y, p * ones)


def loss(y, z):
    return np.logaddexp(0, z) - y * z


@pytest.mark.parametrize("y", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("z", [-30.0, -2.0, 0.5, 8.0])
def test_a_loss_is_above_its_tangent_by_what_is_said(z, y):
    for touching in (-5.0, 0.0, 3.0):  # where the tangent touches the loss
        slope = 1 / (1 + np.exp(-touching)) - y
        expected = loss(y, z) - (loss(y, touching) + slope * (z - touching))
        found = left_out(z, y).above_tangents(np.array([slope]))
        assert_allclose(found, 0.1 * expected, rtol=1e-10, atol=1e-15)


def test_rounding_counts_on_the_side_where_it_costs_more():
    exact, rounded = left_out(-44.0, 0.0), left_out(-44.0, 0.0, rounding=15.0)
    at_end = left_out(-29.0, 0.0)
    slope = np.array([np.exp(-44.0)])
    assert exact.above_tangents(slope) < 1e-17
    assert rounded.above_tangents(slope) == at_end.above_tangents(slope)
    right = left_out(44.0, 1.0, rounding=15.0).above_tangents(-slope)
    assert_allclose(right, at_end.above_tangents(slope), rtol=1e-2)


def test_no_slope_is_the_loss_itself():
    z, y = np.array([-3.0, 2.0, 40.0]), np.array([1.0, 0.0, 1.0])
    found = left_out(z, y).above_tangents(np.zeros(3))
    assert_allclose(found, 0.1 * loss(y, z).sum(), rtol=1e-14)


@pytest.mark.parametrize("seed", range(5))
def test_slopes_make_the_gradient_least(seed):
    rng = np.random.default_rng(seed)
    Z, basis, gradient = rng.normal(size=(3, 4)), rng.normal(size=(4, 4)), rng.normal(size=4)
    y = np.array([0.0, 1.0, 0.5])
    slopes = left_out(np.zeros(3), y).least_slopes(gradient, Z @ basis)
    columns = 0.1 * (Z @ basis).T
    peer = minimize(
        lambda s: np.sum(np.square(gradient + columns @ s)),
        np.zeros(3),
        jac=lambda s: 2 * columns.T @ (gradient + columns @ s),
        bounds=list(zip(-y, 1 - y, strict=True)),
        options={"ftol": 1e-15, "gtol": 1e-12},
    )
    assert_allclose(slopes, peer.x, atol=1e-6)


def test_slopes_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    rows, gradient = rng.normal(size=(2, 3)), 1e-3 * rng.normal(size=3)
    plain = left_out(np.zeros(2), [0.5, 0.5]).least_slopes(gradient, rows)
    huge = left_out(np.zeros(2), [0.5, 0.5]).least_slopes(gradient, 2.0**63 * rows)
    assert np.all(plain != 0)
    assert_allclose(huge * 2.0**63, plain, rtol=1e-12)


def test_too_many_samples_have_no_slopes():
    n = MAX_TANGENTS + 1
    assert_array_equal(left_out(np.zeros(n), np.zeros(n)).least_slopes(-np.ones(n), np.eye(n)), 0)


def test_samples_of_parts_are_those_in_memory():
    X, y, weight = random_data()
    problem = objective((X, y, weight), 1.0)
    theta = np.array([0.1, -0.2, 0.3, 0.4])
    found = find_left_out(problem, theta, SomeSamples({0: np.array([3, 7])}))
    assert_allclose(found.z, X[[3, 7]] @ theta[:3] + 0.4, rtol=1e-14)
    assert_allclose(found.p, weight[[3, 7]] / weight.sum(), rtol=1e-14)
    assert_array_equal(found.y, y[[3, 7]])
    parts = in_parts(problem)
    first = parts.sum_over_parts(lambda part: [len(part.y) * (part.part_number == 0)])[0]
    assert 3 < first < len(y)
    samples = SomeSamples({0: np.array([3]), 1: np.array([0])})
    found = find_left_out(parts, theta, samples)
    assert_allclose(found.z, X[[3, first]] @ theta[:3] + 0.4, rtol=1e-14)
