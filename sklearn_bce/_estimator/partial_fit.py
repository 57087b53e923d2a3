"""`BCENeuronClassifier.partial_fit`: one pass of sgd over one chunk of a stream of samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import update_wrapper, wraps
from types import MethodType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state
from sklearn.utils.multiclass import type_of_target

from sklearn_bce._estimator.diagnostics import (
    raise_for_overflow,
    warn_of_ignored,
    warn_of_not_learnt,
)
from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._estimator.samples import GivenSamples, Samples
from sklearn_bce._estimator.state import (
    Stream,
    dense_coef,
    replace_fit_state,
    result_attributes,
    weight_attributes,
)
from sklearn_bce._estimator.targets import (
    ONLY_BINARY,
    SOFT_CLASSES,
    TargetEncoder,
    checked_offset,
    checked_sample_weight,
    fixed_weight_of_class,
)
from sklearn_bce._estimator.validation import checked_samples
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.rows import NotFiniteError
from sklearn_bce._solvers import (
    NAMES_OF_AUTO,
    SOLVERS,
    Monitor,
    Result,
    StopReason,
    StreamSteps,
)


class StreamMethod:
    """Method that an estimator has only if its parameters allow a stream; else `hasattr` is False.

    `sklearn.utils.metaestimators.available_if` does this too, but its AttributeError hides why.

    Parameters
    ----------
    method : callable
        The method.
    """

    def __init__(self, method: Callable[..., Any]) -> None:
        self._method = method
        update_wrapper(self, method)

    def __get__(self, estimator: Any, owner: type | None = None) -> Callable[..., Any]:
        """Return the method of the estimator, or that of its class.

        Raises
        ------
        AttributeError
            If the parameters of the estimator do not allow a stream; the message says why.
        """
        if estimator is None:

            @wraps(self._method)
            def unbound(estimator: Any, *args: Any, **kwargs: Any) -> Any:
                return self.__get__(estimator)(*args, **kwargs)

            return unbound
        obstacle = obstacle_to_stream(estimator)
        if obstacle is not None:
            raise AttributeError(
                f"{type(estimator).__name__} has no attribute {self._method.__name__!r}: {obstacle}"
            )
        return MethodType(self._method, estimator)


def obstacle_to_stream(estimator: BaseEstimator) -> str | None:
    """Return why the parameters of the estimator do not allow a stream, and what to do instead.

    None if they allow it.
    """
    if estimator.solver not in {"sgd", *NAMES_OF_AUTO}:
        return f"it needs solver='sgd' or solver='auto', not solver={estimator.solver!r}."
    if estimator.early_stopping:
        return (
            "it does not support early_stopping=True, because it does not see all samples at once. "
            "Instead, call partial_fit as long as a score on other samples improves."
        )
    if estimator.standardize:
        return (
            "it does not support standardize=True, because it does not see all samples at once: "
            "scale each chunk by known deviations, or use fit_from_chunks."
        )
    if estimator.coef_bounds is not None:
        return "it does not support coef_bounds; use fit_from_chunks."
    return None


def fit_chunk(estimator: BaseEstimator, given: GivenSamples, classes: Any, n_threads: int) -> None:
    """Pass once over the samples of a chunk, and set the fitted attributes of the estimator.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Its fitted attributes are replaced.
    given : GivenSamples
        The samples of the chunk, as given to `partial_fit`.
    classes : array-like of shape (2,) or None
        The two labels; None means those of the previous chunk or fit.
    n_threads : int
        Most threads that the objective may use.

    Raises
    ------
    ValueError, TypeError
        If an argument is malformed, some chunks have an offset and others have none, or the loss
        overflows. The generator that shuffles the samples is then in the state that it had before.
    """
    parameters = Parameters.of(estimator)
    warn_of_ignored(parameters, "sgd")
    first_chunk = not hasattr(estimator, "classes_")
    known = SOFT_CLASSES if parameters.soft_targets else getattr(estimator, "classes_", None)
    classes = checked_classes(classes, known)
    X, y = checked_samples(estimator, given.X, given.y, reset=first_chunk)
    weight_of_class = fixed_weight_of_class(classes, parameters.class_weight)
    encoder = TargetEncoder(classes, weight_of_class, parameters.soft_targets)
    sample_weight = checked_sample_weight(X, given.sample_weight, allow_all_zero=True)
    has_offset = given.offset is not None
    if not first_chunk:
        raise_for_changed_offset(estimator, has_offset)
    offset = checked_offset(X, given.offset)
    feature_names = getattr(estimator, "feature_names_in_", None)
    regularisation = parameters.regularisation(X.shape[1], feature_names)
    samples = Samples(
        regularisation.of_kept(X), *encoder.encode(y, sample_weight), sample_weight, offset
    )
    stream = stream_of(estimator, X.shape[1])
    generator_state = stream.random_state.get_state()
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            result, not_learnt = learn_chunk(stream, samples, parameters, regularisation, n_threads)
        attributes = weight_attributes(classes, X.dtype, stream.w, stream.b, has_offset=has_offset)
        names_of_kept = regularisation.names_of_kept(feature_names)
        warn_of_not_learnt(not_learnt, names_of_kept, samples.X.shape[1])
    except BaseException as error:
        stream.random_state.set_state(generator_state)
        if isinstance(error, NotFiniteError):
            assert_all_finite(X, estimator_name=type(estimator).__name__, input_name="X")
        raise
    if not first_chunk:
        before = getattr(estimator, "loss_curve_", [])  # missing after `from_sklearn`
        result = replace(result, loss_curve=before + result.loss_curve)
    fitted = attributes | result_attributes("sgd", result)
    fitted |= {"_stream": stream, "_total_weight": stream.total_weight}
    replace_fit_state(estimator, fitted)


def raise_for_changed_offset(estimator: BaseEstimator, has_offset: bool) -> None:
    """Raise ValueError unless the samples before had an offset just as the present ones.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        A fitted estimator.
    has_offset : bool
        Whether the present samples have an offset.
    """
    had_offset = getattr(estimator, "has_offset_", False)
    if had_offset and not has_offset:
        raise ValueError(
            "offset is missing: the samples before were given with an offset, so that these need "
            "one as well; offset=0 is allowed."
        )
    if has_offset and not had_offset:
        raise ValueError(
            "offset is given, but the samples before were given without one; give all samples with "
            "an offset, of which offset=0 is allowed, or none."
        )


def checked_classes(classes: Any, known: NDArray[Any] | None) -> NDArray[Any]:
    """Return the two classes of a stream, in sorted order.

    Parameters
    ----------
    classes : array-like of shape (2,) or None
        As given to `partial_fit`.
    known : ndarray of shape (2,) or None
        The classes of the previous chunk or fit, or of soft targets; None if there are none.

    Returns
    -------
    classes : ndarray of shape (2,)

    Raises
    ------
    ValueError
        If both arguments are None, the number of classes is not two, or ``classes`` differs from
        ``known``.
    """
    if classes is None:
        if known is None:
            raise ValueError("classes must be passed on the first call to partial_fit.")
        return known
    classes = np.atleast_1d(classes)
    if classes.size > 1:
        with np.errstate(invalid="ignore"):  # NaN is an error, not a warning
            type_of_target(classes, input_name="classes", raise_unknown=True)
    classes = np.unique(classes)
    if len(classes) != 2:
        raise ValueError(f"{ONLY_BINARY} classes has {len(classes)} labels: {classes.tolist()}")
    if known is not None and not np.array_equal(classes, known):
        raise ValueError(
            f"classes={classes.tolist()} is not the same as on last call to partial_fit, or not "
            f"that of soft targets: {known.tolist()}"
        )
    return classes


def stream_of(estimator: BaseEstimator, n_features: int) -> Stream:
    """Return the stream from which `partial_fit` continues.

    If ``coef_`` and ``intercept_`` are still those of the previous chunk, the stream is a copy of
    the stream of that chunk. If they were set since, it starts from these attributes with a new
    generator of random numbers. If the estimator is unfitted, it starts from zeros.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Not changed.
    n_features : int
        Number of features of X.
    """
    w, b = np.zeros(n_features), 0.0
    if hasattr(estimator, "coef_"):
        coef, intercept = dense_coef(estimator), estimator.intercept_
        known = getattr(estimator, "_stream", None)
        w, b = coef[0].astype(np.float64), float(intercept[0])
        if known is not None and known.has_weights(coef, intercept):
            return known.copy()
    total_weight = getattr(estimator, "_total_weight", 0.0)
    return Stream(
        w=w,
        b=b,
        total_weight=total_weight,
        n_samples=total_weight,
        random_state=check_random_state(estimator.random_state),
    )


def learn_chunk(
    stream: Stream,
    samples: Samples,
    parameters: Parameters,
    regularisation: Regularisation,
    n_threads: int,
) -> tuple[Result, NDArray[np.intp]]:
    """Pass once over the samples of a chunk with the solver sgd.

    The penalty of F is divided by Σ s of all samples so far, those of the chunk included.

    Parameters
    ----------
    stream : Stream
        Start of the pass; its attributes are set to those at the end of the pass. Samples whose
        weights are all 0 change nothing.
    samples : Samples
        The samples of the chunk, with the features that are kept.
    parameters : Parameters
        Parameters of the estimator.
    regularisation : Regularisation
        Factors of the penalty, and the features that are kept.
    n_threads : int
        Most threads that the objective may use.

    Returns
    -------
    result : Result
        Its weights are those of the features kept. Its loss curve has one entry, that of the chunk;
        none if all weights are 0.
    not_learnt : ndarray of shape (n,), intp
        Features whose weights the stream cannot learn; see `StreamSteps.not_learnt`.

    Raises
    ------
    ValueError
        If the loss overflows, or X is not finite.
    """
    nothing = np.empty(0, dtype=np.intp)
    if not np.any(samples.sample_weight):
        if not issparse(samples.X):
            assert_all_finite(samples.X, input_name="X")
        return Result(
            regularisation.of_kept(stream.w), stream.b, StopReason.PARTIAL_FIT, [], 0.0
        ), nothing
    stream.total_weight += float(np.sum(samples.sample_weight))
    objective = InMemoryObjective.in_user_units(
        samples.X,
        samples.y,
        samples.sample_weight,
        regularisation.penalty(parameters.C, parameters.l1_ratio, stream.total_weight),
        fit_intercept=parameters.fit_intercept,
        n_threads=n_threads,
        offset=samples.offset,
    )
    eta, steps = parameters.learning_rate, None
    if eta == "auto":
        eta = steps = StreamSteps(objective, parameters.batch_size, stream.n_samples, stream.levels)
    settings = parameters.settings(stream.random_state, Monitor())
    settings = replace(settings, max_iter=1, tol=0.0, learning_rate=eta)
    w = regularisation.of_kept(stream.w)
    result = SOLVERS["sgd"].solve(objective, w, stream.b, settings)
    raise_for_overflow("sgd", result, parameters)
    stream.w, stream.b = regularisation.of_all(result.w), result.b
    result = replace(result, stop_reason=StopReason.PARTIAL_FIT)
    if steps is None:
        stream.n_samples += objective.n_samples
        return result, nothing
    stream.n_samples, stream.levels = steps.n_samples, steps.levels
    return result, steps.not_learnt(result.w, result.b)
