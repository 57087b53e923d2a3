"""Every private name of scikit-learn that this package uses; no other module imports one.

Tested with scikit-learn 1.7 to 1.9. If a later version has moved one of these names, the import of
this module fails, with a message that names both versions.
"""

from __future__ import annotations

import os
from functools import wraps
from inspect import signature
from typing import Any

import numpy as np
import scipy
import sklearn
from numpy.typing import NDArray
from sklearn import config_context, get_config
from sklearn.utils.fixes import parse_version

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


try:
    from sklearn.utils._array_api import (
        _convert_to_numpy,
        _max_precision_float_dtype,
        check_same_namespace,
        get_namespace_and_device,
        move_to,
    )
    from sklearn.utils._array_api import _is_numpy_namespace as is_numpy_namespace

    HAS_ARRAY_API = True
except ImportError:  # scikit-learn before 1.9
    HAS_ARRAY_API = False


def missing_for_dispatch() -> list[str]:
    """Return what arrays of other libraries need and this process lacks, as parts of a sentence."""
    found = []
    if not HAS_ARRAY_API:
        found.append(f"scikit-learn 1.9 or later ({sklearn.__version__} is installed)")
    if parse_version(scipy.__version__) < parse_version("1.14"):
        found.append(f"SciPy 1.14 or later ({scipy.__version__} is installed)")
    if os.environ.get("SCIPY_ARRAY_API") != "1":
        found.append(
            "the environment variable SCIPY_ARRAY_API=1, set before SciPy and scikit-learn are "
            "imported"
        )
    return found


def foreign_namespace(values: Any) -> tuple[Any, Any] | None:
    """Return the namespace and the device of an array of another library than NumPy.

    None without ``array_api_dispatch``, and for anything that scikit-learn takes for NumPy's.

    Raises
    ------
    ImportError
        If ``array_api_dispatch`` is set, and scikit-learn is older than 1.9.
    TypeError
        If values are a sparse array of another library than SciPy.
    """
    if isinstance(values, np.ndarray) or not get_config()["array_api_dispatch"]:
        return None
    if is_foreign_sparse(values):
        raise TypeError(
            f"{type(values).__module__}.{type(values).__name__} is a sparse array on a device, "
            "which is not supported: make it dense (by to_dense() or toarray()), or convert it to "
            "a CSR matrix of SciPy."
        )
    if not HAS_ARRAY_API:
        if is_foreign(values):
            raise ImportError(
                f"{type(values).__name__} under array_api_dispatch=True needs "
                f"{' and '.join(missing_for_dispatch())}."
            )
        return None
    xp, is_array, device = get_namespace_and_device(values)
    return (xp, device) if is_array and not is_numpy_namespace(xp) else None


def is_foreign_sparse(values: Any) -> bool:
    """Return whether values are a sparse array of torch or of CuPy."""
    is_tensor = hasattr(values, "__dlpack_device__") and hasattr(values, "layout")
    is_sparse_tensor = is_tensor and not str(values.layout).endswith("strided")
    return is_sparse_tensor or type(values).__module__.startswith("cupyx.")


def is_foreign(values: Any) -> bool:
    """Return whether values are an array of another library, which may be on another device."""
    return hasattr(values, "__dlpack_device__") and not isinstance(values, np.ndarray)


def on_host(values: Any, xp: Any) -> NDArray[Any]:
    """Return an array of the namespace xp as an array of NumPy, copied to the host if need be."""
    return _convert_to_numpy(values, xp)


def copied_to_host(values: Any) -> Any:
    """Return an array of another library, on any device, as an array of NumPy; others unchanged.

    ``array_api_dispatch`` need not be set. An array is unchanged, too, where scikit-learn cannot
    dispatch on it, see `missing_for_dispatch`.
    """
    if not is_foreign(values) or missing_for_dispatch():
        return values
    with config_context(array_api_dispatch=True):
        found = foreign_namespace(values)
    return values if found is None else on_host(values, found[0])


def on_device(values: Any, xp: Any, device: Any) -> Any:
    """Return an array of any library as an array of the namespace xp on a device.

    float64 becomes float32 on a device without float64.
    """
    return move_to(values, xp=xp, device=device)


def has_float64(xp: Any, device: Any) -> bool:
    """Return whether a device has arrays of float64."""
    return _max_precision_float_dtype(xp, device) == xp.float64


def raise_unless_same_namespace(estimator: Any, X: Any, method: str) -> None:
    """Raise scikit-learn's ValueError if X is not where the estimator was fitted.

    ``method`` is the name of the method that the user called.
    """
    if get_config()["array_api_dispatch"] and HAS_ARRAY_API:
        check_same_namespace(X, estimator, attribute="coef_", method=method)


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
    "copied_to_host",
    "fit_context",
    "foreign_namespace",
    "has_callbacks",
    "has_float64",
    "is_foreign",
    "missing_for_dispatch",
    "on_device",
    "on_host",
    "quick_fit_context",
    "raise_for_params",
    "raise_unless_same_namespace",
    "routing_enabled",
    "validate_parameter_constraints",
    "with_callbacks",
]
