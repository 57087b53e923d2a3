"""Products with rows of X: all that dense and sparse data differ in.

Both kinds have the same methods. Sums are added to in place; those with an entry for each feature
and one more hold Σ hx and, in the last entry, Σ h.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector, kernels


@dataclass(frozen=True, slots=True)
class DenseRows:
    """Rows of an array.

    Parameters
    ----------
    X : ndarray of shape (n_rows, n_features), float32 or float64
        In which each row, or each column, lies in one piece.
    """

    X: NDArray[Any]

    def outputs(self, v: Vector, c: float, z: Vector) -> None:
        """Set z to Xv + c."""
        kernels().dense_outputs(self.X, v.astype(self.X.dtype, copy=False), c, z)

    def add_sums(self, weight: Vector, sums: Vector) -> None:
        """Add Σ hx and Σ h."""
        kernels().dense_sums(self.X, weight, sums)

    def add_product(self, v: Vector, c: float, weight: Vector, z: Vector, sums: Vector) -> None:
        """Set z to Xv + c, and add Σ hzx and Σ hz."""
        v = v.astype(self.X.dtype, copy=False)
        kernels().dense_product(self.X, v, c, weight, z, sums)

    def add_loss(self, v: Vector, c: float, known: bool, *samples: Any) -> float:
        """Return Σ sL at z = Xv + c, and set what follows from it: see the kernel."""
        v = v.astype(self.X.dtype, copy=False)
        return kernels().dense_loss(self.X, v, c, known, *samples)

    def add_squares(
        self, weight: Vector, first: Vector, second: Vector, origin: Vector | None = None
    ) -> None:
        """Add Σ hx and Σ hx², of offsets from an origin where that is given."""
        origin = np.zeros(self.X.shape[1]) if origin is None else origin
        kernels().dense_squares(self.X, origin, weight, first, second)

    def add_gram(
        self, weight: Vector, columns: NDArray[np.intp], gram: NDArray[np.float64]
    ) -> None:
        """Add Σ h zzᵀ to the lower triangle, with z the given columns of x and a last 1."""
        kernels().dense_gram(self.X, weight, columns, gram)


@dataclass(frozen=True, slots=True)
class SparseRows:
    """Rows of a CSR matrix.

    Parameters
    ----------
    data, indices, indptr : ndarray
        The matrix, indices sorted within each row; indptr may be a slice of that of a larger one.
    n_features : int
        Number of columns.
    """

    data: NDArray[Any]
    indices: NDArray[Any]
    indptr: NDArray[Any]
    n_features: int

    @property
    def _csr(self) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        return self.data, self.indices, self.indptr

    def outputs(self, v: Vector, c: float, z: Vector) -> None:
        """Set z to Xv + c."""
        kernels().csr_outputs(*self._csr, v, c, z)

    def add_sums(self, weight: Vector, sums: Vector) -> None:
        """Add Σ hx and Σ h."""
        kernels().csr_sums(*self._csr, weight, sums)

    def add_product(self, v: Vector, c: float, weight: Vector, z: Vector, sums: Vector) -> None:
        """Set z to Xv + c, and add Σ hzx and Σ hz."""
        kernels().csr_product(*self._csr, v, c, weight, z, sums)

    def add_loss(self, v: Vector, c: float, known: bool, *samples: Any) -> float:
        """Return Σ sL at z = Xv + c, and set what follows from it: see the kernel."""
        return kernels().csr_loss(*self._csr, v, c, known, *samples)

    def add_squares(self, weight: Vector, first: Vector, second: Vector) -> None:
        """Add Σ hx and Σ hx²."""
        kernels().csr_squares(*self._csr, weight, first, second)

    def add_gram(
        self, weight: Vector, columns: NDArray[np.intp], gram: NDArray[np.float64]
    ) -> None:
        """Add Σ h zzᵀ to the lower triangle, with z the given columns of x and a last 1."""
        position = np.full(self.n_features, -1)
        position[columns] = np.arange(len(columns))
        kernels().csr_gram(*self._csr, weight, position, gram)


def rows_of(X: Any, rows: slice) -> DenseRows | SparseRows:
    """Return the rows of X in a slice: no copy where each row, or column, lies in one piece."""
    if issparse(X):
        stop = X.shape[0] if rows.stop is None else rows.stop
        indptr = X.indptr[rows.start or 0 : stop + 1]
        return SparseRows(X.data, X.indices, indptr, X.shape[1])
    block = X[rows]
    return DenseRows(block if blas_takes(block) else np.ascontiguousarray(block))


def blas_takes(X: NDArray[Any]) -> bool:
    """Return whether BLAS can read the array as it lies in memory.

    Each row, or each column, must lie in one piece, and one behind the other: not so in ``X[::-1]``
    or a window that slides over a series.
    """
    (n_rows, n_columns), (to_next_row, to_next_column) = X.shape, X.strides
    if to_next_column == X.itemsize or n_columns == 1:
        leading, length = to_next_row, n_columns
    elif to_next_row == X.itemsize:
        leading, length = to_next_column, n_rows
    else:
        return False
    return leading % X.itemsize == 0 and leading >= length * X.itemsize


class NotFiniteError(ValueError):
    """X has an element that is infinite or no number."""


def raise_unless_finite(X: NDArray[Any]) -> None:
    """Raise NotFiniteError if an element of X is infinite or no number."""
    with np.errstate(over="ignore", invalid="ignore"):
        finite = np.isfinite(X.sum()) or np.isfinite(X).all()
    if not finite:
        raise NotFiniteError("X has elements that are infinite or no numbers.")


# Rows of a dense X are taken this many elements at a time: a block read for z = Xw is then still in
# the cache for Xᵀ(a−y) (2 MB of float64; measured flat from 2¹⁶ to 2¹⁹).
BLOCK_ELEMENTS = 2**18


def row_blocks(X: Any, rows: slice = slice(None)) -> list[slice]:
    """Return slices that cover the given rows of X, each fit for the cache; one if X is sparse."""
    start, stop, _ = rows.indices(X.shape[0])
    length = stop - start if issparse(X) else max(1, BLOCK_ELEMENTS // X.shape[1])
    return [slice(at, min(at + length, stop)) for at in range(start, stop, max(length, 1))]


def squared(X: Any) -> Any:
    """Return the elementwise square of sparse X; X itself if its stored values are all one."""
    if np.all(X.data == 1):
        return X
    return type(X)((np.square(X.data), X.indices, X.indptr), shape=X.shape)


def with_columns_centred(X: Any, shift: Vector, columns: NDArray[np.bool_]) -> Any:
    """Return sparse X with the shift taken off those of the given columns that have no zeros.

    A column whose mean is far from 0 in deviations has few zeros or none: with a share f of stored
    values the mean is at most √(f/(1−f)) deviations. So this fills nothing in, and leaves nothing
    to be desired.
    """
    columns = full_columns(X, columns)
    data = X.data - np.where(columns, shift, 0.0).astype(X.dtype)[X.indices]
    return type(X)((data, X.indices, X.indptr), shape=X.shape)


def divided_by(X: Any, scale: Vector) -> Any:
    """Return sparse X with its columns divided by the scale."""
    data = X.data / scale.astype(X.dtype)[X.indices]
    return type(X)((data, X.indices, X.indptr), shape=X.shape)


def full_columns(X: Any, columns: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which of the given columns of sparse X have a value stored in every row."""
    stored = np.bincount(X.indices, minlength=X.shape[1])
    return columns & (stored == X.shape[0])
