"""`firth`: logistic regression by Firth's penalised likelihood, which always has a maximum."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce._estimator.chunks import IteratedChunks, classes_and_weight_sums
from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.diagnostics import warn_caller
from sklearn_bce._estimator.samples import GivenSamples, encode_samples
from sklearn_bce._estimator.state import replace_fit_state, weight_attributes
from sklearn_bce._estimator.targets import encoder_from_sums
from sklearn_bce._estimator.validation import checked_samples
from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.partitioned import Parts
from sklearn_bce._objective.summary import summarise
from sklearn_bce._solvers import StopReason
from sklearn_bce.inference.criterion import FirthCriterion, Minimum, minimise
from sklearn_bce.inference.frame import Fit, fit_of
from sklearn_bce.inference.maximum_likelihood import names_of
from sklearn_bce.inference.samples import (
    Encode,
    Float64Parts,
    Given,
    RowParts,
    as_encoded,
    is_dask_collection,
    raise_for_more_than_chunks,
    raise_unless_X_is_finite,
)
from sklearn_bce.inference.summary import INTERCEPT, Summary, checked_level


class FirthFit(NamedTuple):
    """A neuron fitted by `firth`, and its summary.

    Attributes
    ----------
    neuron : BCENeuronClassifier
        Fitted neuron, for predictions.
    summary : Summary
        Standard errors, intervals and tests.
    """

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name

    neuron: BCENeuronClassifier
    summary: Summary


def firth(
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    offset: Any = None,
    fit_intercept: bool = True,
    soft_targets: bool = False,
    level: float = 0.95,
    max_iter: int = 100,
) -> FirthFit:
    """Fit a neuron by Firth's penalised likelihood, and summarize it.

    The criterion is l + ½ log det I, the log likelihood with the logarithm of Jeffreys' prior of
    the coefficients. Its maximum has a bias of a smaller order than that of the likelihood, and is
    finite where the classes are separated. It does not depend on the units of X, and there is no
    strength to choose. Newton's method finds where the modified score Σ [s(y − a) + h(½ − a)]z is
    0, with the leverages h.

    Parameters
    ----------
    X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features), Dask \
            array or dataframe, or callable () -> iterable of chunks
        Samples. Chunks are tuples as for `fit_from_chunks`. Each iteration takes two passes.
    y : array-like of shape (n_samples,), Dask array or series, or None
        Labels of two classes, or soft targets. None for chunks, which contain y.
    sample_weight : array-like of shape (n_samples,), Dask array or series, or None, default=None
        Frequencies, or numbers of trials: a sample of weight 3 stands for 3 equal samples. None
        means 1 for each sample.
    offset : float, array-like of shape (n_samples,), Dask array or series, or None, default=None
        Known term of the linear output of each sample.
    fit_intercept : bool, default=True
        Whether to learn the intercept.
    soft_targets : bool, default=False
        Whether y contains numbers in [0, 1] instead of labels.
    level : float, default=0.95
        Confidence level of intervals, in (0, 1).
    max_iter : int, default=100
        Largest number of iterations.

    Returns
    -------
    fit : FirthFit
        ``neuron``, a fitted `BCENeuronClassifier`, and ``summary``, a `Summary`. Standard errors
        are by the inverse of I. ``summary.conf_int(method="profile")`` and
        ``summary.profile_p_value()`` are by the profile of the penalised likelihood, which is what
        to report where classes are separated: it is far from a parabola there. ``neuron.fit`` would
        fit by maximum likelihood.

    Raises
    ------
    DependenceError
        If columns depend on each other; a ValueError that names the features.
    ValueError
        If an argument is malformed, or y has not two classes.

    Warns
    -----
    ConvergenceWarning
        If ``max_iter`` is reached.

    See Also
    --------
    summarize : The same of a maximum likelihood fit.

    References
    ----------
    D. Firth, "Bias Reduction of Maximum Likelihood Estimates", Biometrika 80 (1993), 27-38. G.
    Heinze and M. Schemper, "A Solution to the Problem of Separation in Logistic Regression",
    Statistics in Medicine 21 (2002), 2409-2419.

    Examples
    --------
    >>> from sklearn_bce.inference import firth
    >>> X, y = [[1], [2], [3], [4], [5], [6]], [0, 0, 0, 1, 1, 1]  # separated
    >>> neuron, summary = firth(X, y)
    >>> summary.coef.round(3)
    array([ 1.129, -3.951])
    >>> summary.conf_int(method="profile").round(3).tolist()[0]
    [0.002, 6.07]
    """
    level = checked_level(level)
    if not isinstance(max_iter, int | np.integer) or max_iter < 1:
        raise ValueError(f"max_iter is {max_iter!r}; it must be an integer of at least 1.")
    neuron = BCENeuronClassifier(
        C=np.inf, fit_intercept=fit_intercept, soft_targets=soft_targets, max_iter=max_iter
    )
    neuron._validate_params()
    with one_blas_thread() as n_threads:
        parts, encode, classes = _new_samples(neuron, Given(X, y, sample_weight, offset))
        features = names_of(neuron, neuron.n_features_in_)
        start = np.zeros(len(features)), 0.0
        n_threads = 1 if is_dask_collection(X) else n_threads
        fit = fit_of(parts, encode, start, fit_intercept, features, n_threads)
        criterion = FirthCriterion(fit.frame)
        first = criterion.at(fit.v)
        found = minimise(criterion, first, max_iter)
    if not found.is_reached:
        warn_caller(
            f"firth stopped after {found.n_steps} of max_iter={max_iter} iterations before the "
            "maximum of the penalised likelihood. Increase max_iter.",
            ConvergenceWarning,
        )
    point = found.point
    end = Fit(fit.frame, point.v, point.loss, -point.gradient, point.information, np.nan)
    w, b = fit.frame.to_user(point.v)
    _set_fitted(neuron, classes, (w, b), found, end)
    names = np.append(features, INTERCEPT) if fit_intercept else features
    coef = np.append(w, b) if fit_intercept else w
    return FirthFit(
        neuron, Summary(names, coef, "model", "frequency", level, neuron, end, None, point)
    )


firth.__module__ = "sklearn_bce.inference"  # the path it is imported from


def _set_fitted(
    neuron: BaseEstimator,
    classes: Any,
    weights: tuple[Vector, float],
    found: Minimum,
    fit: Fit,
) -> None:
    """Set the fitted attributes of a neuron; its loss curve is the mean of the criterion."""
    total = fit.frame.counts.total_weight
    has_offset = fit.frame.counts.has_offset
    fitted = weight_attributes(classes, np.dtype(np.float64), *weights, has_offset=has_offset)
    reason = StopReason.CONVERGED if found.is_reached else StopReason.MAX_ITER
    fitted |= {
        "n_iter_": np.array([found.n_steps], dtype=np.int32),
        "n_passes_": float(fit.frame.user.n_passes),
        "converged_": found.is_reached,
        "stop_reason_": reason.value,
        "loss_curve_": [value / total for value in found.values],
        "solver_": "newton",
        "_total_weight": total,
    }
    replace_fit_state(neuron, fitted)


def _new_samples(neuron: BaseEstimator, given: Given) -> tuple[Parts, Encode, Any]:
    """Return samples as parts, what encodes their targets, and the classes.

    The arguments are those of `parts_of`; the features of the neuron are set.
    """
    name = "firth"
    if callable(given.X):
        raise_for_more_than_chunks(given)
        return _encoded_parts(neuron, IteratedChunks(neuron, given.X), name)
    if given.y is None:
        raise ValueError("y is missing; only a callable X, which returns chunks, goes without y.")
    if is_dask_collection(given.X):
        from sklearn_bce._estimator.dask_blocks import Blocks

        names = getattr(given.X, "columns", None)
        if names is not None and all(isinstance(each, str) for each in names):
            neuron.feature_names_in_ = np.asarray(names, dtype=object)
        blocks = Blocks(*given, None, neuron.soft_targets)
        return _encoded_parts(neuron, blocks, name)
    X, y = checked_samples(neuron, given.X, given.y)
    raise_unless_X_is_finite(X)
    samples, encoder = encode_samples(
        GivenSamples(X, y, given.sample_weight, given.offset),
        soft_targets=neuron.soft_targets,
        class_weight=None,
        estimator_name=name,
    )
    return Float64Parts(RowParts(samples)), as_encoded, encoder.classes


def _encoded_parts(neuron: BaseEstimator, parts: Parts, name: str) -> tuple[Parts, Encode, Any]:
    """Return parts in float64, what encodes their targets, and the classes, in one pass."""
    soft = neuron.soft_targets
    summary = summarise(parts, 0, soft)
    neuron.n_features_in_ = summary.n_features
    classes, sums = classes_and_weight_sums(summary, soft)
    encoder = encoder_from_sums(classes, sums, None, name, soft_targets=soft)
    return Float64Parts(parts), encoder.encode, classes
