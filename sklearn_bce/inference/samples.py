"""The samples of a summary, of any kind, as parts in float64.

- `Given`: X, y, sample_weight and offset as the user gave them.
- `RowParts`: samples in memory as parts.
- `Float64Parts`: parts whose X is converted to float64.
- `parts_of`: the parts of samples of any kind, and what encodes their targets.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite

from sklearn_bce._estimator.chunks import IteratedChunks
from sklearn_bce._estimator.prediction import raise_if_offset_is_missing
from sklearn_bce._estimator.samples import Samples
from sklearn_bce._estimator.targets import (
    TargetEncoder,
    checked_offset,
    checked_sample_weight,
    encode_targets,
)
from sklearn_bce._estimator.validation import checked_samples
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.partitioned import PartFunction, Parts, PartSums

# Elements of a part of a float32 X in memory, which is converted to float64: 32 MB. [a choice]
PART_ELEMENTS = 2**22

Encode = Callable[[NDArray[Any], Vector], tuple[Vector, Vector]]


class Given(NamedTuple):
    """Samples as the user gave them.

    Attributes
    ----------
    X : array-like, sparse matrix or array, dataframe, Dask collection, or callable
        A callable returns chunks, as for `fit_from_chunks`; the other fields are then None.
    y, sample_weight, offset : array-like, Dask collection or None
    """

    X: Any
    y: Any
    sample_weight: Any = None
    offset: Any = None


class RowParts:
    """Samples in memory as parts; implements `Parts`.

    Samples in float64 are one part. Others are slices of rows, of ``PART_ELEMENTS`` elements each.

    Parameters
    ----------
    samples : Samples
        The samples, with targets in [0, 1].
    """

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        n_samples, n_features = samples.X.shape
        step = n_samples
        if samples.X.dtype != np.float64:
            step = max(PART_ELEMENTS // n_features, 1)
        self._ranges = [slice(k, min(k + step, n_samples)) for k in range(0, n_samples, step)]

    def sum(self, function: PartFunction) -> PartSums:
        """Return the sums over all parts, item by item; see `Parts.sum`."""
        total: PartSums = []
        for number, rows in enumerate(self._ranges):
            sums = function(number, *self._of_rows(rows))
            total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
        return total

    def _of_rows(self, rows: slice) -> tuple[Any, Vector, Vector, Vector | None]:
        """Return X, y, sample_weight and offset of some rows."""
        X, y, weight, _, offset = self._samples
        if len(self._ranges) == 1:
            return X, y, weight, offset
        return X[rows], y[rows], weight[rows], None if offset is None else offset[rows]


class Float64Parts:
    """Parts whose X is converted to float64, one part at a time; implements `Parts`.

    Parameters
    ----------
    parts : Parts
        The samples.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def sum(self, function: PartFunction) -> PartSums:
        """Return the sums over all parts, item by item; see `Parts.sum`."""
        return self._parts.sum(partial(_in_float64, function))


def _in_float64(
    function: PartFunction,
    number: int,
    X: Any,
    y: NDArray[Any],
    sample_weight: Vector,
    offset: Vector | None = None,
) -> PartSums:
    """Return what a function of a part returns for the part in float64."""
    return function(number, X.astype(np.float64, copy=False), y, sample_weight, offset)


def as_encoded(y: Vector, sample_weight: Vector) -> tuple[Vector, Vector]:
    """Return the arguments: targets in [0, 1] and weights that have been encoded before."""
    return y, sample_weight


def is_dask_collection(X: Any) -> bool:
    """Return whether X is a Dask collection, without an import of Dask."""
    return hasattr(type(X), "__dask_graph__")


def parts_of(neuron: BaseEstimator, given: Given, client: Any = None) -> tuple[Parts, Encode]:
    """Return samples of any kind as parts, and what encodes their targets and weights.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Fitted neuron, whose features and classes the samples must have. Not changed.
    given : Given
        The samples.
    client : distributed.Client or None, default=None
        Client that computes the sums of Dask collections; None means the scheduler that
        `dask.compute` selects.

    Returns
    -------
    parts : Parts
    encode : callable (y, sample_weight) -> (y, sample_weight)
        See `Encoding`.

    Raises
    ------
    ValueError, TypeError
        If the samples are malformed, or their features or classes are not those of the neuron.
    """
    encoder = TargetEncoder(neuron.classes_, None, neuron.soft_targets)
    if callable(given.X):
        raise_for_more_than_chunks(given)
        return Float64Parts(IteratedChunks(neuron, given.X, reset=False)), encoder.encode
    if given.y is None:
        raise ValueError("y is missing; only a callable X, which returns chunks, goes without y.")
    raise_if_offset_is_missing(neuron, given.offset)
    if is_dask_collection(given.X):
        from sklearn_bce._estimator.dask_blocks import Blocks
        from sklearn_bce.dask import check_features

        check_features(neuron, given.X)
        return Float64Parts(Blocks(*given, client, neuron.soft_targets)), encoder.encode
    return Float64Parts(RowParts(_in_memory(neuron, given))), as_encoded


def raise_for_more_than_chunks(given: Given) -> None:
    """Raise ValueError if X is a callable, and further arguments are given."""
    others = [name for name, value in given._asdict().items() if name != "X" and value is not None]
    if others:
        raise ValueError(
            f"X is a callable, whose chunks are tuples (X, y), (X, y, sample_weight) or "
            f"(X, y, sample_weight, offset); {' and '.join(others)} must be None."
        )


def raise_unless_X_is_finite(X: Any) -> None:
    """Raise scikit-learn's ValueError if X, an array or CSR matrix, is not finite."""
    assert_all_finite(X, input_name="X")


def _in_memory(neuron: BaseEstimator, given: Given) -> Samples:
    """Return samples in memory, checked and encoded; see `parts_of`."""
    X, y = checked_samples(neuron, given.X, given.y, reset=False)
    raise_unless_X_is_finite(X)
    classes, y = encode_targets(y, neuron.soft_targets, type(neuron).__name__)
    if not np.array_equal(classes, neuron.classes_):
        raise ValueError(
            f"y has the classes {classes.tolist()}; the neuron was fitted to "
            f"{neuron.classes_.tolist()}."
        )
    weight = checked_sample_weight(X, given.sample_weight)
    return Samples(X, y, weight, weight, checked_offset(X, given.offset))
