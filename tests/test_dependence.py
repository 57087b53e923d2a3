"""Columns that depend on each other exactly, or up to rounding, against rational arithmetic."""

from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_bce._objective.dependence import exact_dependence, sum_of_rows, two_product, two_sum

EPSILON = Fraction(2) ** -52


def numbers(n=400, decades=12):
    """Return float64 numbers of both signs and many sizes."""
    rng = np.random.default_rng(0)
    return rng.normal(size=n) * 10 ** rng.uniform(-decades, decades, n)


@pytest.mark.parametrize(
    ("operation", "exact"),
    [(two_sum, lambda a, b: a + b), (two_product, lambda a, b: a * b)],
    ids=["sum", "product"],
)
def test_a_result_and_its_error_are_exact(operation, exact):
    a, b = numbers(), numbers()[::-1].copy()
    b[:50] = -a[:50] * (1 + 2.0**-40)  # sums in which nearly all cancels
    high, low = operation(a, b)
    assert_array_equal(high, exact(a, b))
    assert np.any(low != 0)
    for x, y, h, e in zip(a, b, high, low, strict=True):
        assert exact(Fraction(x), Fraction(y)) == Fraction(h) + Fraction(e)


@pytest.mark.parametrize("n_columns", [1, 2, 3, 7, 8])
def test_sums_of_rows_have_the_digits_of_two_numbers(n_columns):
    high = numbers(40 * n_columns, 8).reshape(40, n_columns)
    if n_columns > 2:  # what is left is far below the terms
        high[:, 0] = -np.sum(high[:, 1:], axis=1) * (1 + 2.0**-45)
    low = -1e-17 * high
    found = sum_of_rows(high, low)
    for row, rest, h, e in zip(high, low, *found, strict=True):
        exact = sum(map(Fraction, [*row, *rest]), Fraction(0))
        size = float(sum(map(abs, map(Fraction, row)), Fraction(0)))
        assert abs(Fraction(h) + Fraction(e) - exact) <= 2 * n_columns * EPSILON**2 * Fraction(size)
        assert abs(e) <= np.spacing(abs(h))


def of_columns(columns):
    """Return whether the last column depends on the others and an intercept exactly."""
    last = len(columns) - 1
    shift = np.append(np.median(columns, axis=1), 0.0)
    columns = np.column_stack([*columns, np.ones(len(columns[0]))])
    kept = np.delete(np.arange(last + 2), last)
    return exact_dependence(columns, shift, kept, np.array([last])) is not None


def drawn():
    rng = np.random.default_rng(3)
    level, n = rng.integers(0, 5, 300), 300
    dummies = list(np.eye(5)[level].T)
    normal = list(rng.normal(size=(3, n)) * [[1.0], [1e5], [1e-7]])
    counts = list(rng.integers(0, 10_000, (4, n)).astype(float))
    return rng, dummies, normal, counts


def exactly():
    rng, dummies, normal, counts = drawn()
    epoch = np.round(1.7e9 + rng.uniform(0, 1e7, 300))
    return {
        "one-hot": dummies,
        "one-hot in units": [
            d * u for d, u in zip(dummies, [0.1, 3, 1e5, 7e-9, 1 / 3], strict=True)
        ],
        "two one-hot": [*dummies[:4], *np.eye(3)[rng.integers(0, 3, 300)].T],
        "total of integers": [*counts, sum(counts)],
        "difference of epochs": [epoch, epoch + counts[0], counts[0]],
        "copy": [*normal, normal[1].copy()],
        "negative copy": [*normal, -normal[2]],
        "powers of two": [*normal, normal[0] * 2.0**40],
        "powers of two of a sum of integers": [*counts, 2.0**-30 * (counts[0] - 4 * counts[2])],
        "constant": [*normal, np.full(300, 0.1)],
        "copies of epochs": [epoch, counts[1], epoch - 1.6e9],
    }


def up_to_rounding():
    rng, dummies, normal, counts = drawn()
    celsius = np.round(rng.normal(15, 8, 300), 1)
    shares = rng.dirichlet(np.ones(4), 300).T
    floats = list(rng.normal(size=(3, 300)))
    one_ulp = normal[0].copy()
    one_ulp[17] = np.nextafter(one_ulp[17], np.inf)
    last = counts[0] + counts[1]
    last[200] = np.nextafter(last[200], 0)
    dummy = dummies[4].copy()
    dummy[np.flatnonzero(dummy)[0]] = np.nextafter(1.0, 2)
    return {
        "Fahrenheit": [celsius, celsius * 9 / 5 + 32],
        "shares": list(shares),
        "total of floats": [*floats, floats[0] + floats[1] + floats[2]],
        "three times": [*normal, 3 * normal[0]],
        "a tenth": [counts[0], counts[1], counts[0] / 10],
        "one ulp in one row of a copy": [*normal, one_ulp],
        "one ulp in one row of a total": [*counts, last],
        "one ulp in one row of a one-hot": [*dummies[:4], dummy],
    }


@pytest.mark.parametrize("name", exactly())
def test_exact_dependence_is_exact(name):
    assert of_columns(exactly()[name])


@pytest.mark.parametrize("name", up_to_rounding())
def test_dependence_up_to_rounding_is_not_exact(name):
    assert not of_columns(up_to_rounding()[name])


def test_every_lost_column_is_looked_at():
    _, _, normal, _ = drawn()
    columns = np.column_stack([*normal, normal[0], 3 * normal[1], -2 * normal[2]])
    kept, shift = np.arange(3), np.zeros(6)
    changes = exact_dependence(columns, shift, kept, np.array([3, 5]))
    assert_allclose((columns - shift) @ changes, 0, atol=1e-9)
    assert_array_equal(changes[[3, 5]], np.eye(2))
    assert exact_dependence(columns, shift, kept, np.array([], dtype=np.intp)).shape == (6, 0)
    for lost in ([3, 4], [4, 5], [3, 4, 5]):
        assert exact_dependence(columns, shift, kept, np.array(lost)) is None
