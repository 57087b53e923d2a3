"""Learning from a stream: the per-sample rule, chunk by chunk."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import type_of_target

from sklearn_bce._estimator.diagnostics import raise_for_overflow, warn_of_ignored
from sklearn_bce._estimator.parameters import settings_of
from sklearn_bce._estimator.samples import Samples
from sklearn_bce._estimator.state import Stream, clear_fit_state, fit_attributes, neuron_attributes
from sklearn_bce._estimator.targets import (
    ONLY_BINARY,
    SOFT_CLASSES,
    checked_weights,
    encoded_as,
    fixed_class_weights,
    with_class_weights,
)
from sklearn_bce._estimator.validation import checked_samples, unchanged_on_error
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.rows import NotFiniteError
from sklearn_bce._solvers import (
    SOLVERS,
    Monitor,
    Result,
    Settings,
    StopReason,
    batch_lipschitz_constants,
    safe_step_size,
)


def learn_chunk(
    stream: Stream, neuron: BaseEstimator, samples: Samples, settings: Settings, n_threads: int
) -> Result:
    """Pass once over the samples of a chunk, by the solver sgd. Changes the stream.

    The penalty is shared out among all samples so far; a chunk without weight changes nothing.
    """
    if not np.any(samples.weight):
        if not issparse(samples.X):
            assert_all_finite(samples.X, input_name="X")
        return Result(stream.w, stream.b, StopReason.MAX_ITER, [], 0.0)
    stream.total_weight += float(np.sum(samples.weight))
    objective = InMemoryObjective.in_user_units(
        *samples,
        neuron.C,
        neuron.l1_ratio,
        neuron.fit_intercept,
        n_threads,
        stream.total_weight,
    )
    settings = replace(settings, max_iter=1, tol=0.0, random_state=stream.random_state)
    if settings.learning_rate == "auto":
        batch = min(settings.batch_size, objective.n_samples)
        stream.smoothness = max(stream.smoothness, batch_lipschitz_constants(objective)(batch))
        settings = replace(settings, learning_rate=safe_step_size(stream.smoothness))
    result = SOLVERS["sgd"].solve(objective, stream.w, stream.b, settings)
    raise_for_overflow(neuron, "sgd", result)
    stream.w, stream.b = result.w, result.b
    return result


def stream_classes(neuron: BaseEstimator, classes: Any) -> NDArray[Any]:
    """Return the classes of a stream, given with its first chunk or known already.

    Raises
    ------
    ValueError
        If they are neither, or not two, or others than before.
    """
    known = SOFT_CLASSES if neuron.soft_targets else getattr(neuron, "classes_", None)
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
            f"classes={classes.tolist()} is not the same as on last call to partial_fit, or as "
            f"soft_targets says: {known.tolist()}"
        )
    return classes


def chunk_samples(
    neuron: BaseEstimator, classes: NDArray[Any], X: Any, y: NDArray[Any], sample_weight: Any
) -> Samples:
    """Return the samples of a chunk; they need not be of both classes.

    Raises
    ------
    ValueError
        If y or the weights are not what they must be.
    """
    targets = encoded_as("y", classes, y, neuron.soft_targets)
    weight = checked_weights(X, sample_weight, may_be_nothing=True)
    of_class = fixed_class_weights(classes, neuron.class_weight)
    return Samples(X, *with_class_weights(targets, weight, of_class))


def train_on_chunk(
    neuron: BaseEstimator, X: Any, y: Any, classes: Any, sample_weight: Any
) -> BaseEstimator:
    """Do as `BCENeuronClassifier.partial_fit` says; changes the neuron unless it raises."""
    if neuron.early_stopping:
        raise ValueError(
            "partial_fit does not support early_stopping=True: it does not see all samples at "
            "once. Call it as long as a score on other samples gets better."
        )
    warn_of_ignored(neuron)
    with unchanged_on_error(neuron), one_blas_thread() as n_threads:
        reset = not hasattr(neuron, "classes_")
        labels = stream_classes(neuron, classes)
        X, y = checked_samples(neuron, X, y, reset=reset)
        samples = chunk_samples(neuron, labels, X, y, sample_weight)
        stream = Stream.of(neuron, X.shape[1])
        settings = settings_of(neuron, stream.random_state, Monitor())
        order = stream.random_state.get_state()
        try:
            with np.errstate(over="ignore", invalid="ignore"):
                result = learn_chunk(stream, neuron, samples, settings, n_threads)
            attributes = neuron_attributes(labels, X.dtype, result.w, result.b)
        except BaseException as error:
            stream.random_state.set_state(order)
            if isinstance(error, NotFiniteError):
                assert_all_finite(X, estimator_name=type(neuron).__name__, input_name="X")
            raise
        curve = [] if reset else neuron.loss_curve_
        clear_fit_state(neuron)
        vars(neuron).update(attributes)
        result = replace(result, loss_curve=curve + result.loss_curve)
        vars(neuron).update(fit_attributes("sgd", result))
        neuron.n_iter_ = len(result.loss_curve)
        neuron._stream, neuron._total_weight = stream, stream.total_weight
    return neuron
