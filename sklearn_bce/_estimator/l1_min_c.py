"""The strength of the L1 norm at which all weights are 0."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_X_y

from sklearn_bce._estimator.parameters import CONSTRAINTS
from sklearn_bce._estimator.sklearn_compat import Interval, validate_parameter_constraints
from sklearn_bce._estimator.targets import (
    checked_weights,
    class_weights,
    encoded,
    with_class_weights,
)
from sklearn_bce._estimator.validation import ROWS, checked_array, without_duplicates
from sklearn_bce._objective.in_memory import InMemoryObjective

ALLOWED = {
    **{name: CONSTRAINTS[name] for name in ("fit_intercept", "class_weight", "soft_targets")},
    "l1_ratio": [Interval(Real, 0, 1, closed="right")],
}
# Of the covariance of y with a feature of variance 1.
ROUNDING = 1e-13


def l1_min_c(
    X: Any,
    y: ArrayLike,
    *,
    l1_ratio: float = 1.0,
    fit_intercept: bool = True,
    class_weight: dict[Any, float] | str | None = None,
    sample_weight: ArrayLike | None = None,
    soft_targets: bool = False,
) -> float:
    r"""Return the largest C at which the penalty leaves no weight other than 0.

    All weights of the minimum of F are 0 as long as no feature's gradient there exceeds the
    strength of the L1 norm::

        max |Σ sᵢ(yᵢ − a)xᵢ| <= l1_ratio/C

    with a = Σ sᵢyᵢ/Σ sᵢ, or ½ without an intercept. A grid of C for a path of models begins here:
    see the example. Unlike `sklearn.svm.l1_min_c`, it is exact for an intercept that is not
    penalised, and knows weights.

    Parameters
    ----------
    X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
        Samples.
    y : array-like of shape (n_samples,)
        Labels of two classes, or soft targets in [0, 1].
    l1_ratio : float, default=1.0
        Share of the L1 norm in the penalty, in (0, 1].
    fit_intercept : bool, default=True
        Whether the neuron has an intercept.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as in `BCENeuronClassifier`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; None means 1 each.
    soft_targets : bool, default=False
        Whether y is soft, as in `BCENeuronClassifier`.

    Returns
    -------
    C : float
        At most this, all weights are 0 and the intercept is the log-odds of the classes; above it,
        some are not.

    Raises
    ------
    ValueError
        If l1_ratio is out of range, an argument is malformed, or no feature says anything about y,
        so that all weights are 0 at any C.

    References
    ----------
    K. Koh, S.-J. Kim and S. Boyd, "An Interior-Point Method for Large-Scale l1-Regularized Logistic
    Regression", Journal of Machine Learning Research 8 (2007), section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier, l1_min_c
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> for C in l1_min_c(X, y) * np.array([1, 1.01, 100]):
    ...     neuron = BCENeuronClassifier(C=C, l1_ratio=1).fit(X, y)
    ...     print(np.count_nonzero(neuron.coef_))
    0
    1
    2
    """
    given = {
        "l1_ratio": l1_ratio,
        "fit_intercept": fit_intercept,
        "class_weight": class_weight,
        "soft_targets": soft_targets,
    }
    validate_parameter_constraints(ALLOWED, given, "l1_min_c")
    X, y = check_X_y(checked_array(X, "X"), checked_array(y, "y"), estimator="l1_min_c", **ROWS)
    X = without_duplicates(X)
    classes, targets = encoded("l1_min_c", y, soft_targets)
    weight = checked_weights(X, sample_weight)
    of_class = class_weights("l1_min_c", classes, targets, weight, class_weight)
    samples = X, *with_class_weights(targets, weight, of_class)
    objective = InMemoryObjective.in_user_units(*samples, 1.0, l1_ratio, fit_intercept)
    problem = objective.standardised()  # as the solver does, so that it agrees to the last digit
    nothing = problem.coordinates.from_user(np.zeros(X.shape[1]), objective.log_odds)
    gradient = problem.evaluate(nothing).gradient[: X.shape[1]]
    if np.max(np.abs(gradient)) <= ROUNDING:
        raise ValueError("No feature says anything about y: all weights are 0 at any C.")
    return 1 / float(np.max(np.abs(gradient) / problem.penalty.l1))
