"""Fitting to more samples than fit into memory, by chunks that can be gone over again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite

from sklearn_bce._parts import Answer, Ask
from sklearn_bce._targets import checked_weights, soft_targets
from sklearn_bce._training_on_parts import train_on_parts
from sklearn_bce._validation import checked_samples

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

    def sum(self, ask: Ask) -> Answer:
        """Return the sums of what all chunks answer; see `Parts`."""
        total: Answer = []
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
