"""Every private name of scikit-learn that this package uses, and nowhere else.

Seen to work with scikit-learn 1.7 to 1.9. A later version that has moved one of these names fails
here, on import, with a message that says so.
"""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
import sklearn

try:
    from sklearn.base import _fit_context as fit_context
    from sklearn.utils._param_validation import (
        Interval,
        StrOptions,
        validate_parameter_constraints,
    )
    from sklearn.utils.validation import _check_sample_weight
except ImportError as error:
    raise ImportError(
        f"sklearn_bce needs scikit-learn 1.7 to 1.9; {sklearn.__version__} is installed and lacks "
        f"a name that those have: {error}. Install another version of one of the two."
    ) from error

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # before 1.9

    class CallbackSupportMixin:
        """There are no callbacks."""

    def with_callbacks(method: Any) -> Any:
        """Return the method."""
        return method


def check_sample_weight(sample_weight: Any, X: Any) -> Any:
    """Return the weights as float64, of the length of X, not negative; they may all be 0."""
    # before 1.9 that is always allowed
    known = signature(_check_sample_weight).parameters
    allowed = {"allow_all_zero_weights": True} if "allow_all_zero_weights" in known else {}
    return _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True, **allowed
    )


def has_callbacks(estimator: Any) -> bool:
    """Return whether callbacks have been set on the estimator, or passed on to it."""
    return bool(getattr(estimator, "_skl_callbacks", None))


__all__ = [
    "CallbackSupportMixin",
    "Interval",
    "StrOptions",
    "check_sample_weight",
    "fit_context",
    "has_callbacks",
    "validate_parameter_constraints",
    "with_callbacks",
]
