"""What users give, made safe to read: arrays without gaps, sparse matrices that are what they say.

scikit-learn's checks read the values of a masked array as if nothing were masked, and neither they
nor SciPy's constructors look whether a sparse matrix points outside of itself, which whoever goes
over it believes.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from scipy.sparse import issparse

COMPRESSED = {"csr", "csc", "bsr"}


def readable(values: Any, name: str) -> Any:
    """Return an array, a sparse matrix or whatever else it is, as it is if that can be read.

    Parameters
    ----------
    values : object
        As given by the user; not changed.
    name : str
        What messages call it.

    Returns
    -------
    values : object
        The values of a masked array; a sparse matrix in another form if it was in one of the rarer
        ones.

    Raises
    ------
    ValueError
        If elements are masked, or a sparse matrix has an index outside of its shape, rows that
        overlap or fewer entries than it says.
    """
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise ValueError(
                f"{name} has masked elements, which are missing values; fill them in, for example "
                f"by {name}.filled(value)."
            )
        return values.data
    return _readable_matrix(values, name) if issparse(values) else values


def without_duplicates(X: Any) -> Any:
    """Return CSR without two entries for the same element; a copy if it had any."""
    if issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _readable_matrix(matrix: Any, name: str) -> Any:
    """Return a sparse matrix of which each index is inside, its parts in one piece each."""
    if matrix.format == "coo":
        _check_indices(matrix, name)
        return matrix
    if matrix.format not in COMPRESSED:
        matrix = matrix.tocsr()
    shallow = copy(matrix)  # SciPy's check may put other arrays in place of the parts
    try:
        # SciPy's check takes differences, which overflow, and none where the last pointer is 0
        if np.any(matrix.indptr[1:] < matrix.indptr[:-1]):
            raise ValueError("index pointers must not fall.")
        shallow.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"{name} is not a well-formed sparse matrix: {error}") from error
    parts = matrix.data, matrix.indices, matrix.indptr
    in_one_piece = all(part.flags.c_contiguous for part in parts)
    if in_one_piece and matrix.indices.dtype == matrix.indptr.dtype:
        return matrix
    shallow.data = np.ascontiguousarray(shallow.data)
    shallow.indices = np.ascontiguousarray(shallow.indices)
    shallow.indptr = np.ascontiguousarray(shallow.indptr)
    return shallow


def _check_indices(matrix: Any, name: str) -> None:
    """Raise ValueError if a matrix of coordinates has one outside of its shape."""
    for kind, index, size in zip(
        ("row", "column"), (matrix.row, matrix.col), matrix.shape, strict=True
    ):
        if len(index) and (index.min() < 0 or index.max() >= size):
            raise ValueError(
                f"{name} is not a well-formed sparse matrix: a {kind} index is not in [0, {size})."
            )
