"""The triangular root of rows in blocks, and sums of roots."""

from functools import reduce
from operator import add

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from sklearn_bce._objective.root import (
    TriangularRoot,
    root_of_blocks,
    row_matrix,
    rows_for_products,
    triangular_root,
)
from sklearn_bce._objective.scaling import Coordinates


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


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_products_of_sparse_rows_are_those_of_dense_rows(fit_intercept, dtype):
    rng = np.random.default_rng(3)
    X = (rng.normal(size=(40, 4)) * (rng.random((40, 4)) < 0.5)).astype(dtype)
    shift = rng.normal(size=4) * fit_intercept
    coordinates = Coordinates(shift, 2.0 ** rng.integers(-3, 3, 4), fit_intercept)
    vectors = rng.normal(size=(coordinates.size, 3))
    given = vectors.copy()
    ((_, Z),) = row_matrix(X, coordinates)
    found, ((rows, sparse_Z),) = rows_for_products(sp.csr_array(X), coordinates, vectors)
    assert sp.issparse(sparse_Z)
    assert rows == slice(0, 40)
    assert_allclose(sparse_Z @ found, Z @ vectors, rtol=1e-12, atol=1e-12)
    assert_array_equal(vectors, given)


def test_rows_of_a_sparse_column_far_from_0_are_formed_for_products():
    X = sp.csr_array(1e9 + np.random.default_rng(3).normal(size=(40, 1)))
    coordinates = Coordinates(np.array([1e9]), np.ones(1), True)
    vectors, ((_, Z),) = rows_for_products(X, coordinates, np.array([0.1, 2.0]))
    assert_allclose(Z @ vectors, 0.1 * (X.toarray()[:, 0] - 1e9) + 2, rtol=0, atol=1e-15)
