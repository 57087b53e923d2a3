"""Metrics of probabilities against soft targets, which are numbers in [0, 1].

Those of `sklearn.metrics` accept labels only: with soft targets the scorers "neg_log_loss",
"neg_brier_score" and "roc_auc" give NaN, and "neg_mean_squared_error" scores predicted labels
instead of probabilities. The functions here equal those of the same names there if all targets are
0 or 1.

- `log_loss`: the mean cross-entropy.
- `brier_score_loss`: the mean squared difference.
- `d2_log_loss_score`: the share of the cross-entropy that the probabilities explain.

``neg_log_loss``, ``neg_brier_score`` and ``d2_log_loss`` are scorers, for the parameter ``scoring``
of searches and of cross-validation.

Examples
--------
>>> import numpy as np
>>> from sklearn.model_selection import GridSearchCV
>>> from sklearn_bce import BCENeuronClassifier, metrics
>>> rng = np.random.default_rng(0)
>>> X = rng.normal(size=(200, 3))
>>> share = rng.binomial(10, 1 / (1 + np.exp(-X @ [1, -2, 0]))) / 10  # of successes in 10 trials
>>> neuron = BCENeuronClassifier(soft_targets=True)
>>> search = GridSearchCV(neuron, {"C": [0.001, 0.1, 10]}, scoring=metrics.neg_brier_score)
>>> search.fit(X, share).best_params_
{'C': 10}
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import logit
from sklearn.metrics import make_scorer
from sklearn.utils import check_array, check_consistent_length, column_or_1d

from sklearn_bce._estimator.prediction import d2_from_sums, loss_and_class_weight_sums
from sklearn_bce._estimator.targets import checked_sample_weight, checked_soft_targets
from sklearn_bce._kernels import Vector

__all__ = [
    "brier_score_loss",
    "d2_log_loss",
    "d2_log_loss_score",
    "log_loss",
    "neg_brier_score",
    "neg_log_loss",
]


def log_loss(y_true: Any, y_proba: Any, *, sample_weight: Any = None) -> float:
    """Return the mean cross-entropy −(y log p + (1−y) log(1−p)) of soft targets, in nats.

    The lowest value, at p = y, is the mean entropy of the targets, which is 0 for labels.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets y in [0, 1].
    y_proba : array-like of shape (n_samples,) or (n_samples, 2)
        Probabilities p of class 1; or of both classes, of which the second column is used. They are
        moved to at least eps and at most 1 − eps, with the machine epsilon of their dtype, as
        `sklearn.metrics.log_loss` does.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; None means 1 for each sample.

    Returns
    -------
    loss : float
        The weighted mean.

    Raises
    ------
    ValueError
        If a target or a probability is not in [0, 1], or the arguments differ in length.

    Examples
    --------
    >>> from sklearn_bce.metrics import log_loss
    >>> round(log_loss([0.5, 1.0], [0.5, 0.9]), 4)
    0.3993
    """
    loss, class_weight_sums = _log_loss_sums(y_true, y_proba, sample_weight)
    return loss / float(np.sum(class_weight_sums))


def d2_log_loss_score(y_true: Any, y_proba: Any, *, sample_weight: Any = None) -> float:
    """Return D² = 1 − L/L₀ of soft targets, the share of the cross-entropy that is explained.

    L is `log_loss` of the probabilities, and L₀ that of a null model which predicts the mean of y
    for each sample. `BCENeuronClassifier.score` returns D² for soft targets.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets y in [0, 1].
    y_proba : array-like of shape (n_samples,) or (n_samples, 2)
        Probabilities, as of `log_loss`.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; None means 1 for each sample.

    Returns
    -------
    d2 : float
        In (-inf, 1]; 0 if all targets are 0 or all are 1. The largest value, at p = y, is below 1
        if targets lie between 0 and 1.

    Raises
    ------
    ValueError
        If a target or a probability is not in [0, 1], or the arguments differ in length.

    Examples
    --------
    >>> from sklearn_bce.metrics import d2_log_loss_score
    >>> round(d2_log_loss_score([0.1, 0.8, 1.0], [0.2, 0.7, 0.9]), 4)
    0.4962
    """
    return d2_from_sums(*_log_loss_sums(y_true, y_proba, sample_weight))


def brier_score_loss(y_true: Any, y_proba: Any, *, sample_weight: Any = None) -> float:
    """Return the mean squared difference (y − p)² of soft targets and probabilities.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Targets y in [0, 1].
    y_proba : array-like of shape (n_samples,) or (n_samples, 2)
        Probabilities p of class 1; or of both classes, of which the second column is used.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; None means 1 for each sample.

    Returns
    -------
    loss : float
        The weighted mean, in [0, 1].

    Raises
    ------
    ValueError
        If a target or a probability is not in [0, 1], or the arguments differ in length.

    Examples
    --------
    >>> from sklearn_bce.metrics import brier_score_loss
    >>> round(brier_score_loss([0.5, 1.0], [0.5, 0.9]), 4)
    0.005
    """
    y, p, weight = _checked(y_true, y_proba, sample_weight)
    return float(np.average((y - p) ** 2, weights=weight))


def _log_loss_sums(y_true: Any, y_proba: Any, sample_weight: Any) -> tuple[float, Vector]:
    """Return what `loss_and_class_weight_sums` returns, for probabilities."""
    y, p, weight = _checked(y_true, y_proba, sample_weight)
    eps = np.finfo(p.dtype).eps
    z = logit(np.clip(p, eps, 1 - eps).astype(np.float64))
    return loss_and_class_weight_sums(y, z, weight)


def _checked(y_true: Any, y_proba: Any, sample_weight: Any) -> tuple[Vector, Any, Vector]:
    """Return targets, probabilities of class 1 and weights as arrays of shape (n_samples,).

    The arguments and the errors are those of `log_loss`.
    """
    y = checked_soft_targets(
        column_or_1d(y_true), "y_true", "The metric", "For class labels use sklearn.metrics."
    )
    p = check_array(y_proba, ensure_2d=False, dtype=[np.float64, np.float32], input_name="y_proba")
    if p.ndim == 2 and p.shape[1] == 2:
        p = p[:, 1]
    p = column_or_1d(p)
    check_consistent_length(y, p)
    if np.any((p < 0) | (p > 1)):
        raise ValueError(f"y_proba must be in [0, 1]; it has {p[(p < 0) | (p > 1)][0]}.")
    return y, p, checked_sample_weight(y, sample_weight)


neg_log_loss = make_scorer(log_loss, greater_is_better=False, response_method="predict_proba")
neg_brier_score = make_scorer(
    brier_score_loss, greater_is_better=False, response_method="predict_proba"
)
d2_log_loss = make_scorer(d2_log_loss_score, response_method="predict_proba")
