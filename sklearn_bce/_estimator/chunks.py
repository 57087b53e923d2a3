"""Fitting to more samples than fit into memory, by chunks that can be gone over again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state

from sklearn_bce._estimator.diagnostics import warn_of_ignored
from sklearn_bce._estimator.fit import Task, run_fit
from sklearn_bce._estimator.monitor import Callbacks
from sklearn_bce._estimator.sklearn_compat import with_callbacks
from sklearn_bce._estimator.targets import (
    ONLY_BINARY,
    SOFT_CLASSES,
    checked_weights,
    class_weights_from_sums,
    encoded_as,
    soft_targets,
    with_class_weights,
)
from sklearn_bce._estimator.validation import (
    checked_samples,
    checked_start,
    unchanged_on_error,
    warm_start_of,
)
from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.partitioned import (
    Encoding,
    PartFunction,
    PartitionedObjective,
    Parts,
    PartSums,
)
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._objective.summary import DataSummary, summarise

Chunks = Callable[[], Iterable[tuple[Any, ...]]]


class ChunksOfSamples:
    """Samples as parts that an iterator brings, one after the other.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Which learns of the features from the first chunk.
    chunks : callable () -> iterator of (X, y) or (X, y, sample_weight)
        Brings the same chunks each time.
    """

    def __init__(self, neuron: BaseEstimator, chunks: Chunks) -> None:
        self._neuron, self._chunks = neuron, chunks
        self._passes = 0

    def sum(self, ask: PartFunction) -> PartSums:
        """Return the sums of what all chunks answer; see `Parts`."""
        total: PartSums = []
        chunks, number = iter(self._chunks()), 0
        while (chunk := next(chunks, None)) is not None:
            answer = ask(number, *self._checked(number, chunk))
            total = [a + b for a, b in zip(total, answer, strict=True)] if total else answer
            number, chunk = number + 1, None  # not in memory together with the next
        if not total:
            raise ValueError("chunks() has brought no chunk.")
        self._passes += 1
        return total

    def _checked(self, number: int, chunk: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the samples of a chunk, converted; as they are first gone over, checked."""
        if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3):
            raise ValueError(
                f"Chunk {number} is {type(chunk).__name__}; it must be a tuple (X, y) or "
                "(X, y, sample_weight)."
            )
        X, y, sample_weight = (*chunk, None)[:3]
        first = self._passes == 0
        X, y = checked_samples(self._neuron, X, y, reset=first and number == 0)
        if first:
            assert_all_finite(X, input_name="X")
            y = soft_targets(y) if self._neuron.soft_targets else y  # later, encoding does
        return X, y, np.asarray(checked_weights(X, sample_weight, may_be_nothing=True))


def fit_from_chunks(neuron: BaseEstimator, chunks: Chunks) -> BaseEstimator:
    """Fit a neuron to samples that come in chunks, again and again.

    The chunks are gone over once to see what there is, and a few times more for the fit; no more
    than one is in memory at a time, beside a curvature of n_features × n_features numbers and some
    random samples. F, the parameters and what is left are those of `BCENeuronClassifier.fit` on all
    samples at once, to within rounding.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        With newton (or auto) or gd as its solver; changed as by `fit`.
    chunks : callable () -> iterator of (X, y) or (X, y, sample_weight)
        Called for each pass; brings the same chunks, X and y being what `fit` takes. Any of them
        may lack one of the classes.

    Returns
    -------
    neuron : BCENeuronClassifier
        Fitted. ``n_passes_`` tells how many times ``chunks`` was called.

    Raises
    ------
    TypeError
        If ``chunks`` is not callable: an iterator can be gone over once only.
    ValueError
        If a chunk is malformed, the solver is sgd, ``early_stopping`` is set, or the chunks are not
        the same each time. The neuron is then as it was before.

    See Also
    --------
    BCENeuronClassifier.partial_fit : One pass over a stream that cannot be gone over again.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_bce import BCENeuronClassifier, fit_from_chunks
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(5000, 3))
    >>> y = X[:, 0] > rng.logistic(size=5000)
    >>> def chunks():
    ...     for start in range(0, 5000, 1000):  # of a file, a table or a query
    ...         yield X[start : start + 1000], y[start : start + 1000]
    >>> neuron = fit_from_chunks(BCENeuronClassifier(tol=1e-12), chunks)
    >>> bool(np.allclose(neuron.coef_, BCENeuronClassifier(tol=1e-12).fit(X, y).coef_))
    True
    """
    if not callable(chunks):
        raise TypeError(
            f"chunks is {type(chunks).__name__}; it must be a callable that returns an iterator of "
            "(X, y) or (X, y, sample_weight), and is called once for each pass."
        )
    neuron._validate_params()
    train_on_parts(neuron, ChunksOfSamples(neuron, chunks))
    return neuron


@with_callbacks
def train_on_parts(neuron: BaseEstimator, parts: Parts, n_threads: int | None = None) -> None:
    """Fit the neuron to samples in parts; changes it.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Its solver is newton or gd.
    parts : Parts
        The samples; it tells the neuron of their features as they are first gone over.
    n_threads : int, default=None
        How many threads a part may use; None means as many as the process may.

    Raises
    ------
    ValueError
        If a parameter or the samples are not what they must be.
    """
    raise_for_unsupported(neuron)
    callbacks = Callbacks.of(neuron)
    warn_of_ignored(neuron)
    with unchanged_on_error(neuron), one_blas_thread() as allowed:
        random_state = check_random_state(neuron.random_state)
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        summary = summarise(parts, seed, neuron.soft_targets)
        classes, class_weight_sums = classes_of(neuron, summary)
        of_class = class_weights_from_sums(
            type(neuron).__name__, classes, class_weight_sums, neuron.class_weight
        )
        encode = partial(encoded_part, classes, neuron.soft_targets, of_class)
        class_weight_sums = class_weight_sums if of_class is None else class_weight_sums * of_class
        total_weight = float(np.sum(class_weight_sums))
        coordinates = Coordinates.of_user(summary.n_features, neuron.fit_intercept)
        penalty = ElasticNet.of(neuron.C, neuron.l1_ratio, total_weight)
        few = few_of(summary, encode, penalty, coordinates)
        if n_threads is None:
            n_threads = allowed
        encoding = Encoding(encode, coordinates, total_weight, n_threads)
        log_odds = (
            float(np.log(class_weight_sums[1] / class_weight_sums[0]))
            if neuron.fit_intercept
            else 0.0
        )
        objective = PartitionedObjective(parts, summary.data_size, encoding, penalty, log_odds, few)
        start = checked_start(*warm_start_of(neuron, summary.n_features), summary.n_features)
        objective.passes.add()  # that of the summary
        if callbacks is not None:
            callbacks.fit_begins(None, None, None)
        task = Task(objective, classes, summary.data_size.dtype, start, None, random_state)
        interrupt = run_fit(neuron, task, callbacks)
    if interrupt is not None:
        raise interrupt


def raise_for_unsupported(neuron: BaseEstimator) -> None:
    """Raise ValueError for parameters that need all samples at hand."""
    if neuron.solver == "sgd":
        raise ValueError(
            "solver='sgd' goes from sample to sample, and does not go over parts; use 'newton' or "
            "'gd', or partial_fit for each of the parts."
        )
    if neuron.early_stopping:
        raise ValueError("early_stopping=True is not supported for samples in parts.")


def classes_of(neuron: BaseEstimator, summary: DataSummary) -> tuple[NDArray[Any], Vector]:
    """Return the two classes, and the weight of the samples of each.

    Raises
    ------
    ValueError
        If there are not two.
    """
    if neuron.soft_targets:
        return SOFT_CLASSES, np.array([summary.class_weight_sums[0], summary.class_weight_sums[1]])
    kinds = [few.y.dtype for few in summary.samples.values()]
    classes = np.array(sorted(summary.class_weight_sums), dtype=np.result_type(*kinds))
    if len(classes) != 2:
        raise ValueError(f"{ONLY_BINARY} y has the labels {classes.tolist()}.")
    return classes, np.array([summary.class_weight_sums[label] for label in classes.tolist()])


def encoded_part(
    classes: NDArray[Any],
    soft: bool,
    of_class: Vector | None,
    y: NDArray[Any],
    weight: Vector,
) -> tuple[Vector, Vector]:
    """Return targets in [0, 1] and the weights of a part, those of the classes included."""
    return with_class_weights(encoded_as("y", classes, y, soft), weight, of_class)


def few_of(
    summary: DataSummary, encode: Any, penalty: ElasticNet, coordinates: Coordinates
) -> InMemoryObjective | None:
    """Return F on random samples of both classes, which weigh as much as all; None if too few."""
    groups = list(summary.samples.values())
    if any(len(few.y) <= coordinates.size for few in groups):
        return None  # on so few there may be no minimum, or one that is far away
    X = [few.X for few in groups]
    X = sp.vstack(X, format="csr") if any(map(sp.issparse, X)) else np.vstack(X)
    y, weight = encode(
        np.concatenate([few.y for few in groups]),
        np.concatenate([few.sample_weight * (few.n_samples / len(few.y)) for few in groups]),
    )
    return InMemoryObjective(X, y, weight, penalty, coordinates)
