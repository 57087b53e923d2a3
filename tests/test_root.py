"""The triangular root of rows in blocks, and sums of roots."""

from functools import reduce
from operator import add

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sklearn_bce._objective.root import TriangularRoot, root_of_blocks, triangular_root


def rows_drawn(n=50, size=6):
    return np.random.default_rng(0).normal(size=(n, size))


@pytest.mark.parametrize("lengths", [[50], [20, 30], [2, 3, 0, 45], [1] * 50])
def test_squares_of_roots_add_up(lengths):
    rows = rows_drawn()
    blocks = np.split(rows, np.cumsum(lengths)[:-1])
    R = root_of_blocks(blocks, 6).R
    assert R.shape == (6, 6)
    assert_allclose(R.T @ R, rows.T @ rows, rtol=1e-13)
    total = reduce(add, [triangular_root(block) for block in blocks]).R
    assert_allclose(total.T @ total, rows.T @ rows, rtol=1e-13)


def test_fewer_rows_than_columns_give_a_trapezoid():
    rows = rows_drawn(3)
    R = triangular_root(rows).R
    assert R.shape == (3, 6)
    assert_allclose(R.T @ R, rows.T @ rows, atol=1e-13)


def test_no_rows_have_an_empty_root():
    empty = root_of_blocks([], 4)
    assert empty.R.shape == (0, 4)
    rows = rows_drawn(5, 4)
    R = (empty + TriangularRoot(rows)).R
    assert_allclose(R.T @ R, rows.T @ rows, atol=1e-13)


def test_singular_values_are_not_squared():
    """The difference of two columns is 1e-12 of them: lost in AᵀA, and right in R."""
    rows = rows_drawn(500, 2)
    difference = 1e-12 * rows[:, 1]
    rows[:, 1] = rows[:, 0] + difference
    R = root_of_blocks(np.split(rows, 10), 2).R
    exact = rows[:, 1] - rows[:, 0]
    along = rows[:, 0] / np.linalg.norm(rows[:, 0])
    assert_allclose(abs(R[1, 1]), np.linalg.norm(exact - along * (along @ exact)), rtol=1e-3)


def test_small_rows_keep_their_digits_beside_large_ones():
    """Rows of size 1 below a row of size 1e15: R of the small rows is the same without it."""
    small = rows_drawn(40, 3)
    large = np.array([[1e15, 0.0, 0.0]])
    R = triangular_root(np.concatenate([small, large])).R
    alone = triangular_root(small[:, 1:]).R
    assert_allclose(np.abs(R[1:, 1:]), np.abs(alone), rtol=1e-12)
