"""`l1_min_c`: the largest C at which an L1 penalty makes all weights 0."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_X_y

from sklearn_bce._estimator.parameters import CONSTRAINTS
from sklearn_bce._estimator.samples import GivenSamples, encode_samples
from sklearn_bce._estimator.sklearn_compat import Interval, validate_parameter_constraints
from sklearn_bce._estimator.validation import X_FORMAT, checked_array, without_duplicates
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet

L1_CONSTRAINTS = {
    **{name: CONSTRAINTS[name] for name in ("fit_intercept", "class_weight", "soft_targets")},
    "l1_ratio": [Interval(Real, 0, 1, closed="right")],
}
# A gradient of the mean loss, in nats, with respect to the weight of a feature of variance 1 counts
# as 0 up to this: it is rounding. Features that are not correlated with y leave up to 6e-17 in
# tests/test_l1_agreement.py::test_l1_min_c_of_the_same_samples_in_both_classes_is_an_error. Sparse
# columns with means of 10 to 1000 standard deviations leave up to 6e-11 in 200 000 samples, which
# is not recognised.
NEGLIGIBLE_GRADIENT = 1e-13


def l1_min_c(
    X: Any,
    y: ArrayLike,
    *,
    l1_ratio: float = 1.0,
    fit_intercept: bool = True,
    class_weight: dict[Any, float] | str | None = None,
    sample_weight: ArrayLike | None = None,
    soft_targets: bool = False,
    offset: Any = None,
) -> float:
    r"""Return the largest C at which an L1 penalty makes all weights 0.

    At w = 0, with the intercept that minimises F, all activations are a = Σᵢ sᵢyᵢ/Σᵢ sᵢ; without an
    intercept they are a = ½. This point is the minimum of F if and only if the gradient of the loss
    with respect to no weight exceeds the strength of the L1 norm::

        maxⱼ |Σᵢ sᵢ(yᵢ − a)xᵢⱼ| <= l1_ratio/C

    Use it as the first value in a grid of C for a path of sparse models: see the example. Unlike
    `sklearn.svm.l1_min_c`, it takes the intercept, which is not penalised, and sample weights into
    account exactly.

    Parameters
    ----------
    X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
        Samples; not changed.
    y : array-like of shape (n_samples,)
        Labels of two classes; numbers in [0, 1] if ``soft_targets=True``.
    l1_ratio : float, default=1.0
        Proportion of the L1 norm in the penalty, in (0, 1], as of `BCENeuronClassifier`.
    fit_intercept : bool, default=True
        Whether the model has an intercept.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as of `BCENeuronClassifier`; None gives each class the weight 1.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; None means 1 for each sample.
    soft_targets : bool, default=False
        Whether y contains numbers in [0, 1] instead of labels, as of `BCENeuronClassifier`.
    offset : float or array-like of shape (n_samples,), default=None
        Known term of the linear output of each sample, as of `BCENeuronClassifier.fit`; None means
        that there is none.

    Returns
    -------
    C : float
        With this C and smaller ones, all weights at the minimum are 0, and the intercept is the
        log-odds of the weighted mean of y, or with an offset the intercept that minimises the loss.
        With larger ones, some weights are not 0.

    Raises
    ------
    ValueError
        If ``l1_ratio`` is out of range, an argument is malformed, or no feature is correlated with
        y, so that all weights are 0 at any C.

    See Also
    --------
    BCENeuronClassifier : The model.

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
    arguments = {
        "l1_ratio": l1_ratio,
        "fit_intercept": fit_intercept,
        "class_weight": class_weight,
        "soft_targets": soft_targets,
    }
    validate_parameter_constraints(L1_CONSTRAINTS, arguments, "l1_min_c")
    X, y = check_X_y(checked_array(X, "X"), checked_array(y, "y"), estimator="l1_min_c", **X_FORMAT)
    X = without_duplicates(X)
    samples, _ = encode_samples(
        GivenSamples(X, y, sample_weight, offset),
        soft_targets=soft_targets,
        class_weight=class_weight,
        estimator_name="l1_min_c",
    )
    objective = InMemoryObjective.in_user_units(
        samples.X,
        samples.y,
        samples.sample_weight,
        ElasticNet.of(1.0, l1_ratio, float(np.sum(samples.sample_weight))),
        fit_intercept=fit_intercept,
        offset=samples.offset,
    )
    # In the coordinates of the solver newton, so that its rounding agrees with this result.
    problem = objective.standardised()
    theta = problem.coordinates.from_user(np.zeros(X.shape[1]), objective.log_odds)
    gradient = problem.evaluate(theta).gradient[: X.shape[1]]
    if np.max(np.abs(gradient)) <= NEGLIGIBLE_GRADIENT:
        raise ValueError(
            "No feature is correlated with y, so that all weights are 0 at any C and there is no "
            "largest C."
        )
    return 1 / float(np.max(np.abs(gradient) / problem.penalty.l1))


l1_min_c.__module__ = "sklearn_bce"  # the path it is imported from
