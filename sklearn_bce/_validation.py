"""What `fit` is given, checked and turned into numbers: labels, weights, starting points."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import check_array
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import validate_data

from sklearn_bce._compat import check_sample_weight


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
    return validate_data(estimator, X, reset=False, **ROWS)


def checked_samples(estimator: BaseEstimator, X: Any, y: Any) -> tuple[Any, NDArray[Any]]:
    """Return X as a float array or CSR, and y; the estimator learns the features' names.

    An array may still have elements that are not finite: whoever first reads it will see.
    """
    if _need_no_conversion(X, y):
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
        return X, y
    X, y = validate_data(estimator, X, y, **ROWS)
    if issparse(X) and not X.has_canonical_format:
        X = X.copy()  # the user's matrix keeps its duplicates
        X.sum_duplicates()
    return X, y


def _need_no_conversion(X: Any, y: Any) -> bool:
    """Return whether scikit-learn's checks would find nothing to do, or to say but of X's elements.

    They take a tenth of a small fit to find that out; whatever else X and y are is left to them.
    """
    if not (type(X) is type(y) is np.ndarray and X.ndim == 2 and y.ndim == 1 and X.size):
        return False
    if X.dtype not in ROWS["dtype"] or y.dtype.kind not in "biuf" or len(X) != len(y):
        return False
    return bool(np.isfinite(y.sum()))


def encoded_labels(name: str, y: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Return the two classes in sorted order, and y as 0.0 and 1.0.

    Raises
    ------
    ValueError
        If y has other than two classes, or is continuous. ``name`` is the estimator's.
    """
    if y.dtype.kind in "biuf":  # told apart at a glance, where they are two
        low, high = y.min(), y.max()
        positive = y == high
        whole = y.dtype.kind != "f" or (float(low).is_integer() and float(high).is_integer())
        if low < high and whole and np.all(positive | (y == low)):
            return np.array([low, high], dtype=y.dtype), positive.astype(np.float64)
    y_type = type_of_target(y, input_name="y", raise_unknown=True)
    check_classification_targets(y)
    if y_type != "binary":
        raise ValueError(
            f"Only binary classification is supported. The type of the target is {y_type}. "
            f"For more classes use OneVsRestClassifier({name}())."
        )
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) == 1:
        raise ValueError(
            f"{name} needs samples of 2 classes in the data, but the data contains only one "
            f"class: {classes.tolist()[0]!r}"
        )
    return classes, codes.astype(np.float64)


def combined_weights(
    X: Any,
    y: NDArray[Any],
    classes: NDArray[Any],
    codes: NDArray[np.float64],
    sample_weight: Any,
    class_weight: Any,
) -> NDArray[np.float64]:
    """Return each sample's weight times its class's; a broadcast 1 where both are None.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, has another length than X, or a class is left
        without any.
    """
    n_samples = X.shape[0]
    if sample_weight is not None:
        sample_weight = check_sample_weight(
            sample_weight, X, dtype=np.float64, ensure_non_negative=True
        )
        if not np.any(sample_weight):
            raise ValueError("Sample weights must contain at least one non-zero number.")
        if not np.isfinite(np.sum(sample_weight)):
            raise ValueError("The sum of sample_weight is infinite; it must be finite.")
    if class_weight is not None:
        per_class = compute_class_weight(
            class_weight, classes=classes, y=y, sample_weight=sample_weight
        )
        if np.any(per_class < 0) or not np.all(np.isfinite(per_class)):
            raise ValueError(
                f"class_weight={class_weight!r} gives a class a weight that is negative or not "
                "finite; weights must be in the range [0, inf)."
            )
        per_sample = np.where(codes == 1.0, per_class[1], per_class[0])
        sample_weight = per_sample if sample_weight is None else sample_weight * per_sample
    if sample_weight is None:
        return np.broadcast_to(1.0, n_samples)
    for code, label in enumerate(classes.tolist()):
        if not np.any(sample_weight[codes == code]):
            raise ValueError(
                f"sample_weight and class_weight leave no weight to class {label!r}: only one "
                "class is left."
            )
    return sample_weight


def warm_start_of(
    estimator: BaseEstimator, X: Any, coef_init: Any, intercept_init: Any
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
    if coef_init is None and n_known != X.shape[1]:
        raise ValueError(
            f"X has {X.shape[1]} features, but warm_start=True starts from a fit on {n_known}."
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
        shape = np.shape(init)
        if shape not in {(size,), (1, size)} and not (name == "intercept_init" and shape == ()):
            raise ValueError(f"{name} has shape {shape}; it must be ({size},) or (1, {size}).")
        start = check_array(
            np.reshape(init, size), ensure_2d=False, dtype=np.float64, input_name=name
        )
        starts.append(start)
    return starts[0], float(starts[1][0])
