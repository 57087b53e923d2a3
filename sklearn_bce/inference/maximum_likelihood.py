"""`summarize`: the summary of a neuron that maximises the likelihood of its samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.cross_validation import BCENeuronClassifierCV
from sklearn_bce._estimator.state import dense_coef
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce.inference.checks import raise_unless_maximum_likelihood, raise_unless_stationary
from sklearn_bce.inference.covariance import (
    COVARIANCES,
    codes_of_groups,
    covariance_root,
)
from sklearn_bce.inference.frame import fit_of
from sklearn_bce.inference.samples import Given, is_dask_collection, parts_of
from sklearn_bce.inference.summary import INTERCEPT, Summary, checked_level, raise_unless_in


def names_of(neuron: BaseEstimator, n_features: int) -> NDArray[Any]:
    """Return the names of the features; "x0", "x1" and so on if the neuron has no names."""
    known = getattr(neuron, "feature_names_in_", None)
    if known is None:
        known = [f"x{k}" for k in range(n_features)]
    return np.asarray(known, dtype=object)


def local_neuron(neuron: BaseEstimator) -> tuple[BaseEstimator, Any]:
    """Return a copy of a fitted estimator as a neuron in memory, and its Dask client or None.

    Raises
    ------
    TypeError
        If the estimator is no neuron.
    NotFittedError
        If it is not fitted.
    """
    if hasattr(neuron, "to_local") and hasattr(neuron, "client"):
        check_is_fitted(neuron)
        return neuron.to_local(), neuron.client
    if not isinstance(neuron, BCENeuronClassifier | BCENeuronClassifierCV):
        raise TypeError(
            f"neuron is {type(neuron).__name__}; it must be a fitted BCENeuronClassifier, "
            "BCENeuronClassifierCV or DaskBCENeuronClassifier. Of a pipeline give its last step, "
            "and X as the steps before it transform it: summarize(pipe[-1], "
            "pipe[:-1].transform(X), y)."
        )
    check_is_fitted(neuron)
    same = object.__new__(type(neuron))  # `copy` goes through the state of a pickle
    vars(same).update(vars(neuron))
    return same, None


def summarize(
    neuron: BaseEstimator,
    X: Any = None,
    y: Any = None,
    sample_weight: Any = None,
    *,
    covariance: str | None = "model",
    groups: Any = None,
    weights: str = "frequency",
    offset: Any = None,
    level: float = 0.95,
) -> Summary:
    """Return standard errors, intervals and tests of the coefficients of a fitted neuron.

    The neuron must maximise the likelihood of the samples: fitted with ``C=np.inf`` to these X, y,
    sample_weight and offset. Computed in centred, scaled columns and float64 and carried back, the
    result does not depend on the units of X. The samples are read once for the information matrix,
    and once more for ``covariance`` other than "model". If the neuron is so far from the maximum
    that standard errors would differ by 1e-8 of their size, one or two further passes go there;
    ``coef`` stays that of the neuron.

    Parameters
    ----------
    neuron : BCENeuronClassifier, BCENeuronClassifierCV or DaskBCENeuronClassifier
        Fitted neuron; not changed.
    X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features), Dask \
            array or dataframe, or callable () -> iterable of chunks
        The samples that the neuron was fitted to. Chunks are tuples as for `fit_from_chunks`. Only
        ``covariance=None`` goes without.
    y : array-like of shape (n_samples,), Dask array or series, or None
        Labels, or soft targets. None for chunks, which contain y.
    sample_weight : array-like of shape (n_samples,), Dask array or series, or None, default=None
        Weights of the fit; None means 1 for each sample. None for chunks.
    covariance : {"model", "robust", "HC1", "cluster"} or None, default="model"
        - "model": the inverse information matrix, right if the model is.
        - "robust": the sandwich (HC0), right for independent samples also if the model is not.
        - "HC1": the same times n/(n − k), with k coefficients.
        - "cluster": the sandwich of the sums of the scores of each group, times
          G/(G − 1)·(n − 1)/(n − k) with G groups, as statsmodels has it by default.
        - None: no standard errors: the table of coefficients and odds ratios, of any fit.
    groups : array-like of shape (n_samples,), default=None
        Labels of the clusters, in the order of the samples, for ``covariance="cluster"``. A Dask
        collection is computed.
    weights : {"frequency", "probability"}, default="frequency"
        What ``sample_weight`` means; software differs here. "frequency": a sample of weight 3
        stands for 3 equal samples, so that n is the sum of the weights, and all results are those
        of the samples repeated (``freq_weights`` in statsmodels, ``fweight`` in Stata). With soft
        targets and trials as weights, the "model" covariance is that of the binomial counts; the
        sandwich takes each trial for a sample with a soft target. "probability": a sample of weight
        3 was drawn with a third of the probability, and stands for itself only: n is the number of
        samples, the sandwich has the squares of the weights (``pweight`` in Stata, ``var_weights``
        with HC0 in statsmodels) and "model" is refused. Use it with binomial counts too, for a
        sandwich in which each row, not each trial, is independent.
    offset : float, array-like of shape (n_samples,), Dask array or series, or None, default=None
        Offset of the fit.
    level : float, default=0.95
        Confidence level of intervals, in (0, 1).

    Returns
    -------
    summary : Summary
        Frozen. Its text is a table.

    Raises
    ------
    TypeError
        If the estimator is no neuron.
    NotFittedError
        If the neuron is not fitted.
    ValueError
        If the neuron was fitted with a penalty, class weights, dropped features or weights at a
        bound; if it is more than 0.1 standard errors from the maximum for these samples; if the
        classes are separated, or columns depend on each other (the message names the features); or
        if an argument is malformed.

    See Also
    --------
    firth : Fit and summary by a penalised likelihood that has a maximum for separated classes.

    References
    ----------
    P. McCullagh and J. A. Nelder, "Generalized Linear Models", 2nd edition, 1989, chapter 4. H.
    White, "Maximum Likelihood Estimation of Misspecified Models", Econometrica 50 (1982).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier
    >>> from sklearn_bce.inference import summarize
    >>> data = load_breast_cancer(as_frame=True)
    >>> X, y = data.data[["mean radius", "mean texture"]], data.target
    >>> summary = summarize(BCENeuronClassifier(C=np.inf).fit(X, y), X, y)
    >>> summary.names
    array(['mean radius', 'mean texture', 'intercept'], dtype=object)
    >>> summary.std_err.round(4)
    array([0.1015, 0.0371, 1.7739])
    >>> summary.conf_int().round(2)[0]
    array([-1.26, -0.86])
    """
    raise_unless_in("covariance", covariance, (*COVARIANCES, None))
    raise_unless_in("weights", weights, ("frequency", "probability"))
    level = checked_level(level)
    if (groups is None) == (covariance == "cluster"):
        raise ValueError(
            "groups and covariance='cluster' belong together: "
            + ("groups is missing." if groups is None else f"covariance is {covariance!r}.")
        )
    if covariance == "model" and weights == "probability":
        raise ValueError(
            "covariance='model' takes weights for frequencies; with weights='probability' use "
            "covariance='robust'."
        )
    neuron, client = local_neuron(neuron)
    w = dense_coef(neuron)[0].astype(np.float64)
    b = float(neuron.intercept_[0])
    features = names_of(neuron, len(w))
    names = np.append(features, INTERCEPT) if neuron.fit_intercept else features
    coef = np.append(w, b) if neuron.fit_intercept else w
    if covariance is None:
        return Summary(names, coef, None, weights, level, neuron)
    raise_unless_maximum_likelihood(neuron, features)
    frequency = weights == "frequency"
    with one_blas_thread() as n_threads:
        parts, encode = parts_of(neuron, Given(X, y, sample_weight, offset), client)
        n_threads = 1 if is_dask_collection(X) else n_threads
        fit = fit_of(parts, encode, (w, b), neuron.fit_intercept, features, n_threads)
        fit = raise_unless_stationary(neuron, fit, features, frequency)
        codes = None
        if covariance == "cluster":
            codes = codes_of_groups(groups, fit.frame.counts.lengths)
        root = covariance_root(fit, covariance, frequency, codes)
    return Summary(names, coef, covariance, weights, level, neuron, fit, root)


summarize.__module__ = "sklearn_bce.inference"  # the path it is imported from
