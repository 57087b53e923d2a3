"""Every private name of scikit-learn that this package uses; no other module imports one.

Tested with scikit-learn 1.7 to 1.9. If a later version has moved one of these names, the import of
this module fails, with a message that names both versions.
"""

from __future__ import annotations

from functools import wraps
from inspect import signature
from typing import Any

import numpy as np
import sklearn
from numpy.typing import NDArray
from sklearn import get_config

try:
    from sklearn.base import _fit_context as fit_context
    from sklearn.linear_model._base import SparseCoefMixin
    from sklearn.utils._metadata_requests import _raise_for_params as raise_for_params
    from sklearn.utils._metadata_requests import _routing_enabled as routing_enabled
    from sklearn.utils._param_validation import (
        Interval,
        StrOptions,
        validate_parameter_constraints,
    )
    from sklearn.utils.validation import _check_method_params as check_method_params
    from sklearn.utils.validation import _check_sample_weight
except ImportError as error:
    raise ImportError(
        f"sklearn_bce needs scikit-learn 1.7 to 1.9; {sklearn.__version__} is installed and lacks "
        f"a name that those versions have: {error}. Install another version of scikit-learn or of "
        "sklearn_bce."
    ) from error

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn before 1.9

    class CallbackSupportMixin:
        """Stands in for the base class of estimators with callbacks, which are not supported."""

    def with_callbacks(method: Any) -> Any:
        """Return the method unchanged: there are no callbacks to set up or tear down."""
        return method


def quick_fit_context(method: Any) -> Any:
    """Check the parameters before a fit, and tear its callbacks down after it.

    That is what `_fit_context` of scikit-learn does. Without callbacks its contexts do nothing for
    this package, and take a tenth of the time of a small fit: they are left out.

    Parameters
    ----------
    method : callable (estimator, *args, **kwargs)
        The method `fit`.
    """
    in_contexts = fit_context(prefer_skip_nested_validation=True)(method)

    @wraps(method)
    def wrapper(estimator: Any, *args: Any, **kwargs: Any) -> Any:
        if has_callbacks(estimator):
            return in_contexts(estimator, *args, **kwargs)
        if not get_config()["skip_parameter_validation"]:
            estimator._validate_params()
        return method(estimator, *args, **kwargs)

    return wrapper


def check_sample_weight(sample_weight: Any, X: Any) -> NDArray[np.float64]:
    """Return sample weights as float64.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,), or float
        Weights; a number stands for n_samples equal weights. All may be 0.
    X : array-like with n_samples rows
        The samples that are weighted.

    Returns
    -------
    sample_weight : ndarray of shape (n_samples,), float64

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or the number of weights is not n_samples.
    """
    # Before scikit-learn 1.9 there was no such argument, and all weights could always be 0.
    known = signature(_check_sample_weight).parameters
    allowed = {"allow_all_zero_weights": True} if "allow_all_zero_weights" in known else {}
    return _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True, **allowed
    )


def has_callbacks(estimator: Any) -> bool:
    """Return whether callbacks are set on the estimator, or propagated to it by another."""
    return bool(getattr(estimator, "_skl_callbacks", None))


__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "SparseCoefMixin",
    "StrOptions",
    "check_method_params",
    "check_sample_weight",
    "fit_context",
    "has_callbacks",
    "quick_fit_context",
    "raise_for_params",
    "routing_enabled",
    "validate_parameter_constraints",
    "with_callbacks",
]
