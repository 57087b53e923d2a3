"""Products with rows of X, with one interface for dense and for sparse X.

`Rows` has the products with some rows of X, dense or sparse; `rows_of` returns a `Rows`.
`row_blocks` divides X into blocks of rows. The functions at the end take and return sparse
matrices.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector, kernels

# Elements of a block of rows of dense X, 2 MB of float64: a block that has been read for z = Xw is
# still in the cache when it is read for Xᵀ(a−y). Passes take the same time from 2**16 to 2**19
# elements: python -m benchmarks.tuning BLOCK_ELEMENTS
BLOCK_ELEMENTS = 2**18
# Elements of dense X that one call of a kernel reads, 128 MB of float64 in some 20 ms: an interrupt
# waits for the end of the call. [a choice]
CALL_ELEMENTS = 2**24
# Most stored values of X that one call of a kernel reads in a pass in random order. At 0.5 to 5 ns
# for each a call takes 2 to 20 ms, and Ctrl-C takes effect between calls. [a choice]
ELEMENTS_PER_CALL = 2**22
# Rows whose norms are computed at once: 512 rows of 100 columns, 400 KB, stay in the cache. Of
# 20 000×50, 128 to 2048 rows take the same time, 5000 half as long again. [a choice]
ROWS_FOR_NORMS = 512
# Columns that are copied at once to an array in C order: a cache line of each serves eight rows of
# float64, and takes 32 KB. All 3 000 columns at once take up to five times as long.
# python -m benchmarks.tuning COLUMNS_AT_ONCE
COLUMNS_AT_ONCE = 512


class NotFiniteError(ValueError):
    """X has an element that is infinite or NaN."""


def has_finite_sum(X: NDArray[Any]) -> bool:
    """Return whether the sum of the elements is finite: only then they all are, for certain."""
    with np.errstate(over="ignore", invalid="ignore"):
        return bool(np.isfinite(X.sum()))


def raise_unless_finite(X: NDArray[Any]) -> None:
    """Raise NotFiniteError if an element of X is infinite or NaN."""
    if not (has_finite_sum(X) or np.isfinite(X).all()):
        raise NotFiniteError("X contains NaN or infinity.")


class Rows(NamedTuple):
    """Products with some rows of X; each attribute is a kernel whose first arguments are the rows.

    The arguments are float64 arrays, which the caller allocates; w has the dtype of X if X is
    dense (see `Design.raw_weights`). Sums are added to in place. Those of shape (n_features + 1,)
    hold Σ hx and, in the last entry, Σ h, for weights h of the rows.

    Attributes
    ----------
    outputs : callable (w, b, z)
        Sets z to Xw + b.
    add_sums : callable (row_weight, sums)
        Adds Σ hx and Σ h to the sums.
    add_product : callable (w, b, row_weight, z, sums)
        Sets z to Xw + b, and adds Σ hzx and Σ hz to the sums.
    add_loss : callable (w, b, z_is_known, y, normalised_weight, z, slope, curvature, sums, \
            offset=None) -> float
        Returns Σ pL(y, σ(z)) in nats, sets z to Xw + b + offset unless z is known, slope to p(a−y)
        and curvature to pa(1−a), and adds Σ slope·x and Σ slope to the sums.
    add_squares : callable (row_weight, first, second)
        Adds the sums of h(x−o) to first and those of h(x−o)² to second, with the origin o.
    add_gram : callable (row_weight, columns, gram)
        Adds Σ h vvᵀ to the lower triangle of gram, v being the given columns of x and a last 1.
    set_norms : callable (root, constant, columns, norms)
        Sets norms to ‖Rᵀv + c‖ of each row, with an upper triangular matrix R, a vector c, and the
        given columns v of x.
    """

    outputs: Callable[..., None]
    add_sums: Callable[..., None]
    add_product: Callable[..., None]
    add_loss: Callable[..., float]
    add_squares: Callable[..., None]
    add_gram: Callable[..., None]
    set_norms: Callable[..., None]


def rows_of(X: Any, rows: slice = slice(None), origin: Vector | None = None) -> Rows:
    """Return the products with the rows of X in a slice.

    X is not copied, except a dense X whose rows and columns are both not contiguous.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; the indices of a CSR matrix are sorted within each row.
    rows : slice, default=slice(None)
        Rows of X, with a step of 1.
    origin : ndarray of shape (n_features,), default=None
        Origin of `Rows.add_squares`; None means 0, which it must be for sparse X.
    """
    if issparse(X):
        return _sparse_rows(X, rows)
    block = X[rows]
    return dense_rows(block if is_blas_layout(block) else np.ascontiguousarray(block), origin)


def dense_rows(X: NDArray[Any], origin: Vector | None = None) -> Rows:
    """Return the products with an array whose rows, or whose columns, are contiguous."""
    loops = kernels()
    return Rows(
        outputs=partial(loops.dense_outputs, X),
        add_sums=partial(loops.dense_sums, X),
        add_product=partial(loops.dense_product, X),
        add_loss=partial(loops.dense_loss, X),
        add_squares=partial(
            loops.dense_squares, X, np.zeros(X.shape[1]) if origin is None else origin
        ),
        add_gram=partial(loops.dense_gram, X),
        set_norms=partial(_set_dense_norms, X),
    )


def _sparse_rows(X: Any, rows: slice) -> Rows:
    """Return the products with some rows of a CSR matrix."""
    loops = kernels()
    start, stop, _ = rows.indices(X.shape[0])
    csr = X.data, X.indices, X.indptr[start : stop + 1]
    return Rows(
        outputs=partial(loops.csr_outputs, *csr),
        add_sums=partial(loops.csr_sums, *csr),
        add_product=partial(loops.csr_product, *csr),
        add_loss=partial(loops.csr_loss, *csr),
        add_squares=partial(loops.csr_squares, *csr),
        add_gram=partial(_add_sparse_gram, partial(loops.csr_gram, *csr), X.shape[1]),
        set_norms=partial(_set_sparse_norms, partial(loops.csr_norms, *csr), X.shape[1]),
    )


def _set_dense_norms(
    X: NDArray[Any],
    root: NDArray[np.float64],
    constant: Vector,
    columns: NDArray[np.intp],
    norms: Vector,
) -> None:
    """Set the norms of the rows of an array by products with blocks of them."""
    are_all = len(columns) == X.shape[1]
    for start in range(0, len(X), ROWS_FOR_NORMS):
        rows = slice(start, start + ROWS_FOR_NORMS)
        block = X[rows] if are_all else X[rows, columns]
        image = block.astype(np.float64, copy=False) @ root
        image += constant
        norms[rows] = norms_of_rows(image)


def norms_of_rows(array: NDArray[np.float64]) -> Vector:
    """Return the norm of each row, of shape (n_rows,), in less time than `numpy.linalg.norm`."""
    return np.sqrt(np.einsum("ij,ij->i", array, array))


def _set_sparse_norms(
    csr_norms: Callable[..., None],
    n_features: int,
    root: NDArray[np.float64],
    constant: Vector,
    columns: NDArray[np.intp],
    norms: Vector,
) -> None:
    """Call the kernel with the place of each column of X among the given ones."""
    csr_norms(_places(n_features, columns), root, constant, norms)


def _add_sparse_gram(
    csr_gram: Callable[..., None],
    n_features: int,
    row_weight: Vector,
    columns: NDArray[np.intp],
    gram: NDArray[np.float64],
) -> None:
    """Call the kernel with the place of each column of X among the given ones."""
    csr_gram(row_weight, _places(n_features, columns), gram)


def _places(n_features: int, columns: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the place of each column of X among the given ones, −1 for no place."""
    places = np.full(n_features, -1)
    places[columns] = np.arange(len(columns))
    return places


def is_blas_layout(X: NDArray[Any]) -> bool:
    """Return whether BLAS can read the array without a copy.

    Rows, or columns, must be contiguous, and must not overlap or run backwards: ``X[::-1]`` and a
    window that slides over a series are no such arrays.
    """
    (n_rows, n_columns), (row_stride, column_stride) = X.shape, X.strides
    if column_stride == X.itemsize or n_columns == 1:
        leading, length = row_stride, n_columns
    elif row_stride == X.itemsize:
        leading, length = column_stride, n_rows
    else:
        return False
    return leading % X.itemsize == 0 and leading >= length * X.itemsize


def with_contiguous_rows(X: NDArray[Any]) -> NDArray[Any]:
    """Return an array, or a copy of it in C order if its rows are not contiguous."""
    if X.flags.c_contiguous:
        return X
    copy = np.empty(X.shape, X.dtype)
    for first in range(0, X.shape[1], COLUMNS_AT_ONCE):
        some = slice(first, first + COLUMNS_AT_ONCE)
        copy[:, some] = X[:, some]
    return copy


def row_blocks(X: Any, rows: slice = slice(None), in_cache: bool = True) -> list[slice]:
    """Return slices that cover the given rows of X: one of sparse X, blocks of dense X.

    A block has BLOCK_ELEMENTS elements at most, or one row; CALL_ELEMENTS if it need not stay in
    the cache.
    """
    start, stop, _ = rows.indices(X.shape[0])
    most = BLOCK_ELEMENTS if in_cache else CALL_ELEMENTS
    length = stop - start if issparse(X) else max(1, most // X.shape[1])
    return [slice(at, min(at + length, stop)) for at in range(start, stop, max(length, 1))]


# ----- passes in a given order --------------------------------------------------------------------


def pass_in_order(
    X: Any, of_dense: Callable[..., float], of_csr: Callable[..., float]
) -> Callable[..., float]:
    """Return the kernel of a pass over rows in a given order, with its arguments for the rows of X.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples. An array is copied if its rows are not contiguous.
    of_dense : callable (X, *arguments)
        The kernel for an array.
    of_csr : callable (data, indices, indptr, *arguments)
        The kernel for a CSR matrix.
    """
    if issparse(X):
        return partial(of_csr, X.data, X.indices, X.indptr)
    return partial(of_dense, with_contiguous_rows(X))


def parts_of_order(n_rows: int, n_values: int) -> list[slice]:
    """Return slices of an order of rows, for each of which a kernel is called.

    A call reads ``ELEMENTS_PER_CALL`` values at most, or one row, if all rows have ``n_values``.
    """
    length = max(1, n_rows * ELEMENTS_PER_CALL // max(n_values, 1))
    return [slice(start, start + length) for start in range(0, n_rows, length)]


# ----- sparse matrices ----------------------------------------------------------------------------


def squared(X: Any) -> Any:
    """Return the elementwise square of sparse X; X itself if all its stored values are 1."""
    if np.all(X.data == 1):
        return X
    return type(X)((np.square(X.data), X.indices, X.indptr), shape=X.shape)


def divided_by(X: Any, scale: Vector) -> Any:
    """Return sparse X with its columns divided by the scale, a copy of the dtype of X."""
    data = X.data / scale.astype(X.dtype)[X.indices]
    return type(X)((data, X.indices, X.indptr), shape=X.shape)


def full_columns(X: Any, columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the given columns of sparse X have a value stored in every row.

    Parameters
    ----------
    X : CSR of shape (n_samples, n_features)
        Samples.
    columns : ndarray of shape (n_features,), bool
        Columns to look at; the result is False for all others.
    """
    if not columns.any():
        return columns
    stored = np.bincount(X.indices, minlength=X.shape[1])
    return columns & (stored == X.shape[0])


def with_columns_centred(X: Any, shift: Vector, columns: NDArray[np.bool_]) -> Any:
    """Return sparse X with the shift subtracted from the given columns, if they are full.

    A full column has a value stored in every row, so that no zero is filled in. A column with a
    zero in one of n rows has a mean of at most √(n−1) deviations: of columns whose mean is many
    deviations from 0, only columns of very many rows are not full; their mean is not subtracted.

    Parameters
    ----------
    X : CSR of shape (n_samples, n_features)
        Samples; not changed.
    shift : ndarray of shape (n_features,)
        Number to subtract from each column.
    columns : ndarray of shape (n_features,), bool
        Columns whose mean is many deviations from 0.
    """
    columns = full_columns(X, columns)
    data = X.data - np.where(columns, shift, 0.0).astype(X.dtype)[X.indices]
    return type(X)((data, X.indices, X.indptr), shape=X.shape)
