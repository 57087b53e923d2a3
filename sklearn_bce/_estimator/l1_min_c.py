"""`l1_min_c`: the largest C at which an L1 penalty makes all penalised weights 0."""

from __future__ import annotations

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.utils import check_X_y

from sklearn_bce._estimator.fit import moments_of
from sklearn_bce._estimator.parameters import CONSTRAINTS
from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._estimator.samples import GivenSamples, encode_samples
from sklearn_bce._estimator.sklearn_compat import Interval, validate_parameter_constraints
from sklearn_bce._estimator.validation import (
    X_FORMAT,
    checked_array,
    feature_names_of,
    without_duplicates,
)
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers import SOLVERS, Settings, direction_of_separation

L1_CONSTRAINTS = {
    **{
        name: CONSTRAINTS[name]
        for name in (
            "fit_intercept",
            "class_weight",
            "soft_targets",
            "standardize",
            "penalty_factor",
        )
    },
    "l1_ratio": [Interval(Real, 0, 1, closed="right")],
}
# Tolerance, in nats, of the minimum over the weights that are not penalised: the gradients there,
# and so C, are off by its root, relative to 1. The fit ends where rounding allows no more.
NULL_MODEL_TOL = 1e-18
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
    standardize: bool = False,
    penalty_factor: ArrayLike | dict[str, float] | None = None,
    offset: Any = None,
) -> float:
    r"""Return the largest C at which an L1 penalty makes all penalised weights 0.

    At w = 0, with the intercept that minimises F, all activations are a = Σᵢ sᵢyᵢ/Σᵢ sᵢ; without an
    intercept they are a = ½. This point is the minimum of F if and only if the gradient of the loss
    with respect to no weight exceeds the strength of the L1 norm::

        maxⱼ |Σᵢ sᵢ(yᵢ − a)xᵢⱼ| <= l1_ratio/C

    With ``standardize`` and ``penalty_factor`` the right side is fⱼσⱼ·l1_ratio/C. Weights with the
    factor 0, which the penalty does not move, are then at their own minimum together with the
    intercept, and aᵢ are the activations there.

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
    standardize : bool, default=False
        Whether the penalty is that of the weights of standardised columns, as of
        `BCENeuronClassifier`.
    penalty_factor : array-like of shape (n_features,), dict or None, default=None
        Factors of the penalty, as of `BCENeuronClassifier`.
    offset : float or array-like of shape (n_samples,), default=None
        Known term of the linear output of each sample, as of `BCENeuronClassifier.fit`; None means
        that there is none.

    Returns
    -------
    C : float
        With this C and smaller ones, all penalised weights are 0 at the minimum, and the intercept
        and the other weights minimise the loss: without others and without an offset, the intercept
        is the log-odds of the weighted mean of y. With larger ones, some penalised weights are not
        0.

    Raises
    ------
    ValueError
        If ``l1_ratio`` is out of range, an argument is malformed, no feature is penalised, features
        with the factor 0 separate the classes, so that F has no minimum, or no penalised feature is
        correlated with y, so that all penalised weights are 0 at any C.

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
        "standardize": standardize,
        "penalty_factor": penalty_factor,
    }
    validate_parameter_constraints(L1_CONSTRAINTS, arguments, "l1_min_c")
    names = feature_names_of(X)
    X, y = check_X_y(checked_array(X, "X"), checked_array(y, "y"), estimator="l1_min_c", **X_FORMAT)
    X = without_duplicates(X)
    samples, encoder = encode_samples(
        GivenSamples(X, y, sample_weight, offset),
        soft_targets=soft_targets,
        class_weight=class_weight,
        estimator_name="l1_min_c",
    )
    if fit_intercept and encoder.only_class is not None:
        raise ValueError(
            f"All samples whose weight is not 0 are of class {encoder.only_class!r}, so that there "
            "is no minimum for any C."
        )
    regularisation = Regularisation.of(standardize, penalty_factor, None, X.shape[1], names)
    samples = samples._replace(X=regularisation.of_kept(samples.X))
    if standardize:
        regularisation = regularisation._replace(
            moments=moments_of(samples.X, samples.user_weight, fit_intercept)
        )
    objective = InMemoryObjective.in_user_units(
        samples.X,
        samples.y,
        samples.sample_weight,
        regularisation.penalty(1.0, l1_ratio, float(np.sum(samples.sample_weight))),
        fit_intercept=fit_intercept,
        offset=samples.offset,
    )
    return 1 / strength_that_leaves_nothing(objective)


l1_min_c.__module__ = "sklearn_bce"  # the path it is imported from


def strength_that_leaves_nothing(objective: InMemoryObjective) -> float:
    """Return the least factor of the penalty with which all penalised weights are 0.

    Parameters
    ----------
    objective : InMemoryObjective
        F in the user's units, with an L1 norm.

    Raises
    ------
    ValueError
        If no weight is penalised, F has no minimum over the others, or all penalised weights are 0
        with any factor.
    """
    w, b = null_model(objective)
    # In the coordinates of the solver newton, so that its rounding agrees with this result.
    problem = objective.standardised()
    gradient = problem.evaluate(problem.coordinates.from_user(w, b)).gradient[: len(w)]
    l1 = np.broadcast_to(problem.penalty.l1, len(w))
    is_penalised = l1 > 0
    gradient = np.where(is_penalised, np.abs(gradient), 0.0)
    if np.max(gradient) <= NEGLIGIBLE_GRADIENT:
        which = "feature" if is_penalised.all() else "penalised feature"
        raise ValueError(
            f"No {which} is correlated with y, so that all weights are 0 at any C and there is no "
            "largest C."
        )
    return float(np.max(gradient[is_penalised] / l1[is_penalised]))


def null_model(objective: InMemoryObjective) -> tuple[Vector, float]:
    """Return the weights and the intercept that minimise F if all penalised weights are 0.

    The argument and the errors are those of `strength_that_leaves_nothing`.
    """
    w = np.zeros(objective.n_features)
    free = np.flatnonzero(objective.penalty.can_recede(len(w)))
    if len(free) == len(w):
        raise ValueError("penalty_factor is 0 for all features that are left: none is penalised.")
    if not len(free):
        return w, objective.log_odds
    rest = objective.of_features(free, w)
    settings = Settings(tol=NULL_MODEL_TOL, random_state=np.random.RandomState(0))
    with np.errstate(all="ignore"):
        end = SOLVERS["newton"].solve(rest, np.zeros(len(free)), 0.0, settings)
        separation = direction_of_separation(rest, end.w, end.b)
    if separation is not None:
        raise ValueError(
            "Features with penalty_factor=0 separate the classes, or some samples of one and all "
            "of the other, so that there is no minimum for any C."
        )
    w[free] = end.w
    return w, end.b
