"""A pairwise covering holds every pair of values, in far fewer cases than the product."""

import math
from itertools import combinations

import pytest
from covering import pairwise


@pytest.mark.parametrize(
    ("lengths", "most"),
    [
        ((2, 2), 4),
        ((4, 3), 12),
        ((1, 2), 2),
        ((2, 2, 2), 5),
        ((6, 5, 3, 3, 2), 34),
        ((3,) * 6, 18),
        ((2,) * 10, 11),
    ],
)
def test_every_pair_of_values_occurs_in_few_cases(lengths, most):
    axes = {f"axis{k}": range(length) for k, length in enumerate(lengths)}
    names, cases = pairwise(**axes)
    assert names == list(axes)
    for one, other in combinations(range(len(lengths)), 2):
        found = {(case[one], case[other]) for case in cases}
        assert len(found) == lengths[one] * lengths[other]
    assert len(cases) == len(set(cases))
    assert len(cases) <= min(most, math.prod(lengths))


def test_the_cases_are_the_same_in_every_call():
    axes = {"a": [1, 2, 3], "b": "xyz", "c": [None, True], "d": [0.5, 2.0]}
    assert pairwise(**axes) == pairwise(**axes)


def test_values_may_be_unhashable_and_equal():
    _, cases = pairwise(a=[[1], [1]], b=[{}, {"x": 0}])
    assert cases == [([1], {}), ([1], {"x": 0})] * 2
