"""Checks of X, y and initial weights as given by the user, and their conversion to arrays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import copy
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, csr_matrix, issparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from sklearn_bce._estimator.sklearn_compat import (
    foreign_namespace,
    is_foreign,
    missing_for_dispatch,
    on_host,
)
from sklearn_bce._objective.rows import has_finite_sum

# Arguments of scikit-learn's `check_array` and `validate_data` for X: a float array, or CSR.
X_FORMAT = {"accept_sparse": "csr", "dtype": [np.float64, np.float32]}
CSR_TYPES = (csr_matrix, csr_array)
# Sparse formats with the three arrays data, indices and indptr.
COMPRESSED_FORMATS = {"csr", "csc", "bsr"}


@contextmanager
def unchanged_on_error(estimator: BaseEstimator) -> Iterator[None]:
    """Restore the estimator's attributes to what they are now if the block raises."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise


@contextmanager
def errors_of(argument: str) -> Iterator[None]:
    """Put the name of an argument before the message of an error of a value.

    Messages of scikit-learn call any samples X, y and sample_weight.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{argument}: {error}") from None


def checked_X(estimator: BaseEstimator, X: Any) -> Any:
    """Return the X of a prediction as a float array or CSR matrix.

    Raises
    ------
    ValueError
        If X is malformed or not finite, or its number of features or their names differ from those
        that the estimator was fitted to.
    """
    X = checked_array(X, "X")
    is_ready = _has_format(X) and _has_known_features(estimator, X)
    if is_ready and has_finite_sum(X if type(X) is np.ndarray else X.data):
        return X
    return validate_data(estimator, X, reset=False, **X_FORMAT)


def checked_samples(
    estimator: BaseEstimator,
    X: Any,
    y: Any,
    *,
    reset: bool = True,
    must_be_finite: bool = True,
) -> tuple[Any, NDArray[Any]]:
    """Return X as a float array or CSR matrix, and y as an array.

    A NumPy array X is not searched for elements that are not finite; the objective finds them in
    its first pass (`NotFiniteError`). The values of a CSR matrix are added up, which tells.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``n_features_in_`` and ``feature_names_in_`` are set if ``reset``.
    X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
        Samples; not changed.
    y : array-like of shape (n_samples,)
        Labels or soft targets; not changed.
    reset : bool, default=True
        True sets the estimator's number and names of features to those of X; False compares X with
        those set before.
    must_be_finite : bool, default=True
        Whether X that needs a conversion is searched for elements that are not finite.

    Returns
    -------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        The given object itself where no conversion is needed.
    y : ndarray of shape (n_samples,)

    Raises
    ------
    ValueError, TypeError
        If X or y is malformed, or X does not have the features set before.
    """
    X, y = checked_array(X, "X"), checked_array(y, "y")
    if _needs_no_conversion(X, y) and (reset or _has_known_features(estimator, X)):
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
        return X if type(X) is np.ndarray else without_duplicates(X), y
    X, y = validate_data(estimator, X, y, reset=reset, ensure_all_finite=must_be_finite, **X_FORMAT)
    return without_duplicates(X), y


def _needs_no_conversion(X: Any, y: Any) -> bool:
    """Return whether `validate_data` would return X and y unchanged, given that arrays are finite.

    `validate_data` takes a tenth of the time of a small fit, and this function far less.
    """
    if type(y) is not np.ndarray or y.ndim != 1 or y.dtype.kind not in "biuf":
        return False
    if not _has_format(X) or X.shape[0] != len(y):
        return False
    is_array = type(X) is np.ndarray
    return bool(np.isfinite(y.sum())) and (is_array or has_finite_sum(X.data))


def _has_format(X: Any) -> bool:
    """Return whether X is an array or CSR matrix of a dtype in ``X_FORMAT``, with elements."""
    is_known = type(X) is np.ndarray or type(X) in CSR_TYPES
    return is_known and X.ndim == 2 and X.size > 0 and X.dtype in X_FORMAT["dtype"]


def _has_known_features(estimator: BaseEstimator, X: Any) -> bool:
    """Return whether X, without names, has the features that the estimator was fitted to.

    False also if these features had names: `validate_data` then warns or raises.
    """
    named = hasattr(estimator, "feature_names_in_")
    return not named and X.shape[1] == estimator.n_features_in_


def feature_names_of(X: Any) -> NDArray[Any] | None:
    """Return the names of the features of X, of shape (n_features,), by scikit-learn's rules.

    None if X has no names, or they are not all strings.
    """
    bare = BaseEstimator()
    validate_data(bare, X, skip_check_array=True)
    return getattr(bare, "feature_names_in_", None)


class InitialWeights(NamedTuple):
    """Weights and intercept to start from, as given to `fit`.

    Attributes
    ----------
    coef_init : array-like of shape (n_features,) or (1, n_features), or None
        None means that no weights were given.
    intercept_init : float or array-like of shape (1,), or None
        None means that no intercept was given.
    """

    coef_init: Any = None
    intercept_init: Any = None

    def checked(
        self, n_features: int, previous: InitialWeights | None = None
    ) -> tuple[NDArray[np.float64], float]:
        """Return the weights and the intercept to start from.

        Parameters
        ----------
        n_features : int
            Number of features of X.
        previous : InitialWeights or None, default=None
            ``coef_`` and ``intercept_`` of the previous fit, each of which is used if
            ``coef_init`` or ``intercept_init`` was not given; None means zeros in their place.

        Returns
        -------
        w : ndarray of shape (n_features,), float64
        b : float

        Raises
        ------
        ValueError
            If ``coef_init`` does not have the shape (n_features,) or (1, n_features),
            ``intercept_init`` is not one number, either is not finite, or the weights of the
            previous fit are needed and their number is not n_features.
        """
        coef, intercept = self
        if previous is not None:
            n_previous = previous.coef_init.shape[1]
            if coef is None and n_previous != n_features:
                raise ValueError(
                    f"X has {n_features} features, but warm_start=True starts from a fit on "
                    f"{n_previous}."
                )
            coef = previous.coef_init if coef is None else coef
            intercept = previous.intercept_init if intercept is None else intercept
        if coef is None and intercept is None:
            return np.zeros(n_features), 0.0
        w = _checked_vector(coef, "coef_init", n_features, {(n_features,), (1, n_features)})
        b = _checked_vector(intercept, "intercept_init", 1, {(), (1,), (1, 1)})
        return w, float(b[0])


def _checked_vector(
    values: Any, name: str, size: int, shapes: set[tuple[int, ...]]
) -> NDArray[np.float64]:
    """Return values of one of the given shapes as a vector of that size; zeros if None."""
    if values is None:
        return np.zeros(size)
    values = checked_array(values, name)
    shape = np.shape(values)
    if shape not in shapes:
        raise ValueError(f"{name} has shape {shape}; it must be ({size},) or (1, {size}).")
    values = values if issparse(values) else np.reshape(values, size)  # `check_array` refuses CSR
    return check_array(values, ensure_2d=False, dtype=np.float64, input_name=name)


def checked_array(values: Any, name: str) -> Any:
    """Return values without a mask and, if they are a sparse matrix, with valid indices.

    Arrays of other libraries become arrays of NumPy; X becomes one only without
    ``array_api_dispatch``.

    Parameters
    ----------
    values : object
        As given by the user; not changed.
    name : str
        Name of the argument, for the message of an error.

    Returns
    -------
    values : object
        The data of a masked array that masks nothing; a sparse matrix of a format other than COO,
        CSR, CSC and BSR as CSR; a sparse matrix whose arrays are strided or have indices of two
        types with contiguous arrays of one type; anything else as given.

    Raises
    ------
    ValueError
        If elements are masked, or a sparse matrix has an index outside of its shape, row pointers
        that decrease or fewer entries than the row pointers say.
    TypeError
        If values are an array of another library that cannot be converted, or X is one that is to
        stay where it is, and the caller needs an array of NumPy.
    """
    if type(values) is np.ndarray:
        return values
    if is_foreign(values):
        return _of_numpy(values, name)
    if isinstance(values, np.ma.MaskedArray):
        if np.ma.is_masked(values):
            raise ValueError(
                f"{name} has masked elements, which are missing values; fill them in, for example "
                f"by {name}.filled(value)."
            )
        return values.data
    return _checked_matrix(values, name) if issparse(values) else values


def _of_numpy(values: Any, name: str) -> NDArray[Any]:
    """Return an array of another library as an array of NumPy; see `checked_array`."""
    found = foreign_namespace(values)
    if found is not None:
        if name == "X":
            raise TypeError(
                f"X is {type(values).__name__} under array_api_dispatch=True, which only `fit` of "
                "BCENeuronClassifier, its predictions, regularization_path, fit_from_chunks and "
                "Dask blocks take: "
                "convert X to NumPy."
            )
        return on_host(values, found[0])
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        lacking = missing_for_dispatch()
        needed = f", which needs {' and '.join(lacking)}" if lacking else ""
        raise TypeError(
            f"{name} is {type(values).__name__}, which cannot become an array of NumPy: {error} "
            "Fit and predict within sklearn.config_context(array_api_dispatch=True), so that "
            f"arrays stay where they are{needed}; or convert {name} to NumPy."
        ) from error


def without_duplicates(X: Any) -> Any:
    """Return a CSR matrix with at most one entry for each element; an array unchanged.

    A matrix with duplicates is copied, and the duplicates are added up.
    """
    if issparse(X) and not X.has_canonical_format:
        X = X.copy()
        X.sum_duplicates()
    return X


def _checked_matrix(matrix: Any, name: str) -> Any:
    """Return a sparse matrix with valid indices and contiguous arrays; see `checked_array`."""
    if matrix.format == "coo":
        _check_coordinates(matrix, name)
        return matrix
    if matrix.format not in COMPRESSED_FORMATS:
        matrix = matrix.tocsr()
    shallow = copy(matrix)  # `check_format` may replace the arrays of the matrix
    try:
        # `check_format` computes differences of the pointers, which may overflow, and skips the
        # comparison where the last pointer is 0.
        if np.any(matrix.indptr[1:] < matrix.indptr[:-1]):
            raise ValueError("index pointers must not decrease.")
        shallow.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"{name} is not a well-formed sparse matrix: {error}") from error
    arrays = matrix.data, matrix.indices, matrix.indptr
    contiguous = all(array.flags.c_contiguous for array in arrays)
    if contiguous and matrix.indices.dtype == matrix.indptr.dtype:
        return matrix
    shallow.data = np.ascontiguousarray(shallow.data)
    shallow.indices = np.ascontiguousarray(shallow.indices)
    shallow.indptr = np.ascontiguousarray(shallow.indptr)
    return shallow


def _check_coordinates(matrix: Any, name: str) -> None:
    """Raise ValueError if a COO matrix has an index outside of its shape."""
    for kind, index, size in zip(
        ("row", "column"), (matrix.row, matrix.col), matrix.shape, strict=True
    ):
        if len(index) and (index.min() < 0 or index.max() >= size):
            raise ValueError(
                f"{name} is not a well-formed sparse matrix: a {kind} index is not in [0, {size})."
            )
