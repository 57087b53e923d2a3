"""What `fit` is given, checked and turned into numbers: samples and starting points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Put the estimator's attributes back as they were if the block raises."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


ROWS = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}


def checked_rows(estimator: BaseEstimator, X: Any) -> Any:
    """Return X as a float array or CSR, held to the features the estimator was fitted on."""
    return validate_data(estimator, checked_array(X, "X"), reset=False, **ROWS)


def checked_samples(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    reset: bool = True,
    must_be_finite: bool = True,
    names: tuple[str, str] = ("X", "y"),
) -> tuple[Any, NDArray[Any]]:
    """Return X as a float array or CSR, and y; the estimator learns the features' names.

    An array may still have elements that are not finite: whoever first reads it will see.

    Parameters
    ----------
    reset : bool, default=True
        Whether to learn them; else X is held to those learnt before.
    must_be_finite : bool, default=True
        Whether elements that are not finite are an error at least where X is not an array.
    names : tuple of two str, default=("X", "y")
        What messages call them.
    """
    X, y = checked_array(X, names[0]), checked_array(y, names[1])
    if _need_no_conversion(X, y) and (reset or _is_like_those_before(estimator, X)):
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
        return X, y
    X, y = validate_data(estimator, X, y, reset=reset, ensure_all_finite=must_be_finite, **ROWS)
    return without_duplicates(X), y


def _need_no_conversion(X: Any, y: Any) -> bool:
    """Return whether scikit-learn's checks would find nothing to do, or to say but of X's elements.

    They take a tenth of a small fit to find that out; whatever else X and y are is left to them.
    """
    if not (type(X) is type(y) is np.ndarray and X.ndim == 2 and y.ndim == 1 and X.size):
        return False
    if X.dtype not in ROWS["dtype"] or y.dtype.kind not in "biuf" or len(X) != len(y):
        return False
    return bool(np.isfinite(y.sum()))


def _is_like_those_before(estimator: BaseEstimator, X: NDArray[Any]) -> bool:
    """Return whether X, which has no names, has as many features as X had before."""
    named = hasattr(estimator, "feature_names_in_")
    return not named and X.shape[1] == estimator.n_features_in_


def warm_start_of(
    estimator: BaseEstimator, n_features: int, coef_init: Any = None, intercept_init: Any = None
) -> tuple[Any, Any]:
    """Return the start that was given; where it was not, that of the fit before if wanted.

    Raises
    ------
    ValueError
        If the fit before was on another number of features.
    """
    if not (estimator.warm_start and hasattr(estimator, "coef_")):
        return coef_init, intercept_init
    n_known = estimator.coef_.shape[1]
    if coef_init is None and n_known != n_features:
        raise ValueError(
            f"X has {n_features} features, but warm_start=True starts from a fit on {n_known}."
        )
    return (
        estimator.coef_ if coef_init is None else coef_init,
        estimator.intercept_ if intercept_init is None else intercept_init,
    )


def checked_start(
    coef_init: Any, intercept_init: Any, n_features: int
) -> tuple[NDArray[np.float64], float]:
    """Return the weights and the intercept to start from, zeros where they are None.

    Raises
    ------
    ValueError
        If coef_init is not of shape (n_features,) or (1, n_features), intercept_init is not one
        number, or either is not finite.
    """
    starts = []
    for name, init, size in (
        ("coef_init", coef_init, n_features),
        ("intercept_init", intercept_init, 1),
    ):
        if init is None:
            starts.append(np.zeros(size))
            continue
        init = checked_array(init, name)
        shape = np.shape(init)
        if shape not in {(size,), (1, size)} and not (name == "intercept_init" and shape == ()):
            raise ValueError(f"{name} has shape {shape}; it must be ({size},) or (1, {size}).")
        init = init if issparse(init) else np.reshape(init, size)  # sparse is an error
        start = check_array(init, ensure_2d=False, dtype=np.float64, input_name=name)
        starts.append(start)
    return starts[0], float(starts[1][0])


COMPRESSED = {"csr", "csc", "bsr"}


def checked_array(values: Any, name: str) -> Any:
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
