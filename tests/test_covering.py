"""`covering`: the combinations of values that parametrized tests run."""

import math
from itertools import combinations, product

import pytest
from covering import covering, each_once, each_value, every_pair, pairwise

AXES = [range(5), "abc", (None, True), "xyz", range(2)]


@pytest.mark.parametrize("strength", [1, 2, 3])
def test_covering_has_all_values_of_any_axes_together_in_few_rows(strength):
    rows = covering(*AXES, strength=strength)
    for chosen in combinations(range(len(AXES)), strength):
        met = {tuple(row[i] for i in chosen) for row in rows}
        assert met == set(product(*(AXES[i] for i in chosen)))
    assert len(rows) <= {1: 5, 2: 20, 3: 65}[strength]
    assert rows == covering(*AXES, strength=strength)


def test_covering_of_no_more_axes_than_its_strength_is_their_product():
    assert covering("ab", range(3)) == list(product("ab", range(3)))


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
def test_pairwise_has_every_pair_of_values_in_few_cases(lengths, most):
    axes = {f"axis{k}": range(length) for k, length in enumerate(lengths)}
    names, cases = pairwise(**axes)
    assert names == list(axes)
    for one, other in combinations(range(len(lengths)), 2):
        found = {(case[one], case[other]) for case in cases}
        assert len(found) == lengths[one] * lengths[other]
    assert len(cases) == len(set(cases))
    assert len(cases) <= min(most, math.prod(lengths))


def test_values_may_be_unhashable_and_equal():
    _, cases = pairwise(a=[[1], [1]], b=[{}, {"x": 0}])
    assert cases == [([1], {}), ([1], {"x": 0})] * 2


MARKS = [
    pytest.mark.parametrize("a", [1, 2, 3]),
    pytest.mark.parametrize(("b", "c"), [("x", len), ("y", [])], ids=["first", "second"]),
    pytest.mark.parametrize("d", [None, pytest.param(0, marks=pytest.mark.skip), object()]),
]


def test_each_once_has_all_values_in_as_many_rows_as_the_longest_axis_has():
    rows = each_once("ab", range(6), "xy", (None, True, False))
    assert [row[1] for row in rows] == list(range(6))
    assert {row[0] for row in rows} == {"a", "b"}
    assert {row[3] for row in rows} == {None, True, False}
    assert {(row[0], row[2]) for row in rows} == set(product("ab", "xy"))  # not always together


def test_every_pair_joins_marks_with_names_and_marks_of_single_cases():
    names, cases = every_pair(*MARKS).args
    assert names == ["a", "b", "c", "d"]
    assert len(cases) == 9
    assert {case.values[:2] for case in cases} == set(product([1, 2, 3], "xy"))
    assert "1-first-None" in {case.id for case in cases}
    assert all(len(case.marks) == (case.values[3] == 0) for case in cases)


def test_each_value_joins_marks_such_that_every_value_occurs():
    names, cases = each_value(*MARKS).args
    assert names == ["a", "b", "c", "d"]
    assert [case.values[0] for case in cases] == [1, 2, 3]
    for i in (1, 3):
        assert {id(case.values[i]) for case in cases} == {
            id(case.values[i]) for case in every_pair(*MARKS).args[1]
        }
