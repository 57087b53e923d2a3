"""Dask collections as samples in parts: the parts are blocks of rows, summed up as a tree."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.base import is_dask_collection
from dask.delayed import Delayed, delayed
from sklearn import config_context, get_config
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_array, column_or_1d

from sklearn_bce._estimator.samples import GivenSamples
from sklearn_bce._estimator.sklearn_compat import is_foreign
from sklearn_bce._estimator.targets import (
    checked_offset,
    checked_sample_weight,
    checked_soft_targets,
)
from sklearn_bce._estimator.validation import X_FORMAT, checked_array, without_duplicates
from sklearn_bce._objective.partitioned import PartFunction, PartSums

# Sums that one task of the tree adds up: the default of `split_every` of `dask.bag.Bag.reduction`.
SUMS_PER_TASK = 8


class Blocks:
    """Samples in parts that are blocks of rows of Dask collections; implements `Parts`.

    Parameters
    ----------
    X : dask array or dataframe
        Samples.
    y, sample_weight, offset : dask collection, array-like or None
        As given to `DaskBCENeuronClassifier.fit`; the offset may also be a number.
    client : distributed.Client or None
        Client that computes the sums; None means the scheduler that `dask.compute` selects.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.

    Raises
    ------
    TypeError
        If X is a Dask collection of another kind than array or dataframe.
    ValueError
        If X is not two-dimensional, or y, sample_weight or offset does not have the blocks of X.
    """

    def __init__(
        self, X: Any, y: Any, sample_weight: Any, offset: Any, client: Any, soft_targets: bool
    ) -> None:
        self._client, self._soft_targets, self._n_passes = client, soft_targets, 0
        # scikit-learn's configuration is that of a thread, and blocks are summed in others.
        self._dispatch = bool(get_config()["array_api_dispatch"])
        rows = None
        if isinstance(X, da.Array):
            X = in_blocks_of_rows(X)
            rows = X.chunks[0]
        elif not hasattr(type(X), "columns"):  # a Delayed claims to have every attribute
            raise TypeError(f"X is {type(X).__name__}, not a Dask array or dataframe.")
        n_blocks = number_of_blocks(X)
        X_blocks = to_delayed(X)
        y_blocks = delayed_blocks("y", y, rows, n_blocks)
        weight_blocks = delayed_blocks("sample_weight", sample_weight, rows, n_blocks)
        offsets = offset_blocks(offset, rows, n_blocks)
        self._blocks = list(zip(X_blocks, y_blocks, weight_blocks, offsets, strict=True))

    def sum(self, function: PartFunction) -> PartSums:
        """Return the sums over all blocks, item by item; see `Parts.sum`.

        Raises
        ------
        ValueError
            If all blocks are empty, or a block is malformed.
        """
        asked = delayed(function, pure=False)
        first_pass = self._n_passes == 0
        level: list[Delayed] = [
            delayed(_block_sums, pure=False)(
                asked, first_pass, self._soft_targets, self._dispatch, number, *block
            )
            for number, block in enumerate(self._blocks)
        ]
        while len(level) > 1:
            level = [
                delayed(_add_sums, pure=False)(level[first : first + SUMS_PER_TASK])
                for first in range(0, len(level), SUMS_PER_TASK)
            ]
        total = computed(level[0], self._client)
        self._n_passes += 1
        if total is None:
            raise ValueError("X has no samples.")
        return total


def blocks_of(neuron: BaseEstimator, given: GivenSamples, client: Any = None) -> Blocks:
    """Return Dask collections in blocks, and note number and names of the columns.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Its ``n_features_in_`` and ``feature_names_in_`` are set.
    given : GivenSamples
        The collections, as given to `DaskBCENeuronClassifier.fit`.
    client : distributed.Client or None, default=None
        As of `Blocks`.
    """
    blocks = Blocks(*given, client, neuron.soft_targets)
    vars(neuron).pop("feature_names_in_", None)
    names = getattr(given.X, "columns", None)
    if names is not None and all(isinstance(name, str) for name in names):
        neuron.feature_names_in_ = np.asarray(names, dtype=object)
    neuron.n_features_in_ = given.X.shape[1] if names is None else len(names)
    return blocks


def computed(values: Any, client: Any) -> Any:
    """Return the values of a Dask collection, or the argument itself if it is not one.

    Parameters
    ----------
    values : object
        Dask collection, or values in memory.
    client : distributed.Client or None
        Client that computes the values; None means the scheduler that `dask.compute` selects.
    """
    if not is_dask_collection(values):
        return values
    return dask.compute(values)[0] if client is None else client.compute(values).result()


def in_blocks_of_rows(X: da.Array) -> da.Array:
    """Return the array, its blocks merged so that each contains all columns of its rows.

    Raises
    ------
    ValueError
        If the array does not have two dimensions.
    """
    if X.ndim != 2:
        raise ValueError(f"X must be a 2D array; it has {X.ndim} dimensions.")
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1})


def number_of_blocks(collection: Any) -> int:
    """Return the number of blocks along the rows of a Dask collection."""
    return collection.numblocks[0] if isinstance(collection, da.Array) else collection.npartitions


def delayed_blocks(
    name: str, values: Any, rows: tuple[float, ...] | None, n_blocks: int
) -> list[Delayed | None]:
    """Return one delayed object for each block of X: the targets or weights of its rows.

    Parameters
    ----------
    name : str
        Name of the argument, for the message of an error.
    values : dask array, series or dataframe, array-like or None
        Targets or weights; None means that there are none.
    rows : tuple or None
        Number of rows of each block of X, NaN where it is not known; None if X is a dataframe,
        whose numbers of rows are not known.
    n_blocks : int
        Number of blocks of X.

    Returns
    -------
    blocks : list of Delayed
        List of n_blocks times None if ``values`` is None.

    Raises
    ------
    ValueError
        If values that are not a Dask collection cannot be cut into the blocks of X, or the number
        of samples or of blocks is not that of X.
    """
    if values is None:
        return [None] * n_blocks
    known = rows is not None and not np.isnan(rows).any()
    if not hasattr(values, "to_delayed"):
        values = np.asarray(values)
        if not known or len(values) != sum(rows):
            raise ValueError(
                f"{name} is an array of {len(values)}, which cannot be cut into the blocks of "
                f"X, of {rows} rows; give a Dask collection in the same blocks."
            )
        values = da.from_array(values, chunks=(rows,))
    if isinstance(values, da.Array) and values.ndim == 1 and known:
        n_samples = sum(values.chunks[0])  # NaN if it is not known
        if not np.isnan(n_samples) and n_samples != sum(rows):
            raise ValueError(f"{name} has {n_samples} samples and X has {sum(rows)}.")
        values = values if np.isnan(n_samples) else values.rechunk((rows,))
    blocks = to_delayed(values)
    if len(blocks) != n_blocks:
        raise ValueError(f"{name} is in {len(blocks)} blocks and X in {n_blocks}.")
    return blocks


def offset_blocks(offset: Any, rows: tuple[float, ...] | None, n_blocks: int) -> list[Any]:
    """Return the offset of each block of X; n_blocks times the argument if it is a number or None.

    The arguments are those of `delayed_blocks`.
    """
    if not is_dask_collection(offset) and np.ndim(offset) == 0:  # a number, or None
        return [offset] * n_blocks
    return delayed_blocks("offset", offset, rows, n_blocks)


def to_delayed(collection: Any) -> list[Delayed]:
    """Return the blocks of a Dask array, series or dataframe as delayed objects, in order."""
    blocks = collection.to_delayed()
    return list(blocks.ravel() if isinstance(collection, da.Array) else blocks)


def _block_sums(
    function: PartFunction,
    first_pass: bool,
    soft_targets: bool,
    dispatch: bool,
    number: int,
    X: Any,
    y: Any,
    sample_weight: Any,
    offset: Any,
) -> PartSums | None:
    """Return the sums of one block, in the process that has the block; None if it has no rows.

    Parameters
    ----------
    function : callable
        Returns the sums of a part; see `Parts.sum`.
    first_pass : bool
        Whether to check X and y; later passes read the same values.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.
    dispatch : bool
        Whether a block of another library than NumPy is summed where it is.
    number : int
        Number of the block, from 0.
    X, y, sample_weight, offset : array, CSR, dataframe or series
        The samples of the block; sample_weight may be None, offset a number or None.

    Raises
    ------
    ValueError
        If the samples are malformed.
    """
    if len(y) != X.shape[0]:
        raise ValueError(f"Block {number} has {X.shape[0]} rows of X and {len(y)} of y.")
    if not X.shape[0]:
        return None
    if dispatch and is_foreign(X):
        return _device_block_sums(
            function, first_pass, soft_targets, number, GivenSamples(X, y, sample_weight, offset)
        )
    X = check_array(checked_array(X, "X"), ensure_all_finite=False, **X_FORMAT)
    X, y = without_duplicates(X), checked_array(y, "y")
    y = column_or_1d(y)
    if first_pass:
        assert_all_finite(X, input_name="X")
        if soft_targets:  # `TargetEncoder` checks them in later passes
            y = checked_soft_targets(y)
    sample_weight = checked_sample_weight(X, sample_weight, allow_all_zero=True)
    return function(number, X, y, np.asarray(sample_weight), checked_offset(X, offset))


def _device_block_sums(
    function: PartFunction, first_pass: bool, soft_targets: bool, number: int, given: GivenSamples
) -> PartSums:
    """Return the sums of a block that is on a device, computed there; see `_block_sums`."""
    from sklearn_bce._estimator.device import device_chunk  # not for blocks of NumPy

    with config_context(array_api_dispatch=True):
        block = SimpleNamespace(soft_targets=soft_targets, n_features_in_=given.X.shape[1])
        chunk = device_chunk(block, given, is_first=False, first_pass=first_pass)
        return function(number, chunk, None, None, None)


def _add_sums(all_sums: list[PartSums | None]) -> PartSums | None:
    """Return the sums of several blocks, item by item; None if all are None."""
    total: PartSums | None = None
    for sums in all_sums:
        if sums is not None:
            total = sums if total is None else [a + b for a, b in zip(total, sums, strict=True)]
    return total
