"""Directions that separate the classes within bounds of the weights, by hand."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_data import in_parts

from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._solvers.newton.separated_alone import allowed_signs
from sklearn_bce._solvers.newton.separating_direction import Separating
from sklearn_bce._solvers.newton.signed_direction import within_bounds

INF = np.inf
# Samples of two columns, without an intercept. The classes are separated
DATA = {
    # along (1, 0), as both classes have the sample (0, 1);
    "first column": ([[1, 0], [-1, 0], [0, 1], [0, 1]], [1, 0, 1, 0]),
    # along (1, -1), as both classes have the sample (1, 1);
    "difference": ([[1, -1], [1, 1], [1, 1]], [1, 1, 0]),
    # along (v, w) with 2v + w >= 0 and v + 2w >= 0;
    "cone": ([[2, 1], [-1, -2], [2, 1]], [1, 0, 1]),
    # not at all;
    "overlap": ([[1, 0], [1, 0], [0, 1], [0, 1]], [1, 0, 1, 0]),
    # not at all, as the output of a sample with y = 1/2 must not change;
    "soft": ([[1, 0], [1, 0], [0, 1], [0, 1]], [1, 0.5, 1, 0]),
    # along (1, 0), as that does not change the output of the sample with y = 1/2.
    "soft, of another column": ([[1, 0], [0, 1], [-1, 0]], [1, 0.5, 0]),
}
CASES = [  # data, lower and upper bounds, whether there is a direction
    ("first column", (-INF, -INF), (INF, INF), True),
    ("first column", (3, -INF), (INF, INF), True),
    ("first column", (-INF, -INF), (3, INF), False),
    ("first column", (-1, -INF), (1, INF), False),
    ("first column", (-INF, 0), (INF, 0), True),
    ("difference", (0, -INF), (INF, 0), True),
    ("difference", (0, 0), (INF, INF), False),
    ("difference", (-INF, -INF), (0, INF), False),
    ("cone", (-INF, -1), (1, INF), True),
    ("cone", (1, -INF), (INF, 1), True),
    ("cone", (-INF, -INF), (0, 0), False),
    ("cone", (0, -1), (0, INF), True),
    ("overlap", (0, -INF), (INF, INF), False),
    ("soft", (0, -INF), (INF, INF), False),
    ("soft", (-INF, -INF), (0, INF), False),
    ("soft, of another column", (0, -INF), (INF, INF), True),
    ("soft, of another column", (-INF, 0), (0, INF), False),
]


def problem(name, lower, upper):
    X, y = (np.array(values, dtype=float) for values in DATA[name])
    penalty = ElasticNet(0.0).with_bounds(np.array(lower, float), np.array(upper, float))
    return InMemoryObjective.in_user_units(X, y, np.ones(len(y)), penalty, False)


def test_a_weight_with_a_bound_can_only_grow_away_from_it():
    X, penalty = np.eye(4), ElasticNet(0.0)
    penalty = penalty.with_bounds(np.array([-2, -INF, -INF, 1]), np.array([INF, 3, INF, 1]))
    y = np.array([0.0, 1.0, 0.0, 1.0])
    lower, upper = allowed_signs(InMemoryObjective.in_user_units(X, y, y + 1, penalty, True))
    assert_array_equal(lower, [0, -INF, -INF, 0, -INF])
    assert_array_equal(upper, [INF, 0, INF, 0, INF])


@pytest.mark.parametrize("is_in_parts", [False, True])
@pytest.mark.parametrize(("name", "lower", "upper", "exists"), CASES)
def test_directions_within_bounds_are_those_found_by_hand(name, lower, upper, exists, is_in_parts):
    """The direction found without bounds does not keep them, as its entries are not numbers."""
    inside = problem(name, lower, upper)
    F = in_parts(inside) if is_in_parts else inside
    found = within_bounds(F, Separating(np.full(2, np.nan), np.zeros((2, 0))))
    assert (found is not None) == exists
    if exists:
        v, side = found.v, 2 * inside.y - 1
        assert np.all((v >= 0) | np.isneginf(lower))
        assert np.all((v <= 0) | np.isposinf(upper))
        rises = side * (inside.X @ v)
        assert np.all(rises >= -1e-9 * np.max(rises))
        assert np.max(rises) > 0
        assert np.all(np.abs(inside.X @ v)[side == 0] <= 1e-9 * np.max(rises))


def test_a_direction_that_keeps_the_bounds_is_the_one_that_is_found():
    v = np.array([1.0, 3.0])
    found = within_bounds(problem("cone", (0, 0), (INF, INF)), Separating(v, np.zeros((2, 0))))
    assert_array_equal(found.v, v)


def test_samples_without_weight_do_not_stand_in_the_way():
    """Without the second sample the first column separates the classes."""
    F = problem("overlap", (0, -INF), (INF, INF))
    weight = np.array([1.0, 0.0, 1.0, 1.0])
    some = InMemoryObjective.in_user_units(F.X, F.y, weight, F.penalty, False)
    found = within_bounds(some, Separating(np.full(2, np.nan), np.zeros((2, 0))))
    assert_array_equal(np.sign(found.v), [1, 0])
