"""Blocks of Dask collections as parts of the samples, and sums over them as a tree."""

from __future__ import annotations

from typing import Any

import dask
import dask.array as da
import numpy as np
from dask.delayed import Delayed, delayed
from sklearn.utils import assert_all_finite, check_array, column_or_1d

from sklearn_bce._estimator.targets import checked_weights, soft_targets
from sklearn_bce._estimator.validation import ROWS, checked_array, without_duplicates
from sklearn_bce._objective.partitioned import PartFunction, PartSums

# PartSumss that are added up at a time.
BRANCHES = 8


class Blocks:
    """Samples as parts that are blocks of Dask collections.

    Parameters
    ----------
    X, y, sample_weight : as given to `DaskBCENeuronClassifier.fit`
    client : distributed.Client or None
        Where to compute.
    soft : bool
        Whether y is.

    Raises
    ------
    TypeError
        If X is not of Dask.
    ValueError
        If they are not cut into as many blocks.
    """

    def __init__(self, X: Any, y: Any, sample_weight: Any, client: Any, soft: bool) -> None:
        self._client, self._soft, self._passes = client, soft, 0
        rows = None
        if isinstance(X, da.Array):
            X = in_blocks_of_rows(X)
            rows = X.chunks[0]
        elif not hasattr(X, "to_delayed"):
            raise TypeError(
                f"X is {type(X).__name__}; it must be a Dask array or dataframe. For samples in "
                "memory there is BCENeuronClassifier."
            )
        self._blocks = list(
            zip(
                delayed_blocks_of("X", X, None, None),
                delayed_blocks_of("y", y, rows, n := n_blocks_of(X)),
                delayed_blocks_of("sample_weight", sample_weight, rows, n),
                strict=True,
            )
        )

    def sum(self, ask: PartFunction) -> PartSums:
        """Return the sums of what all blocks answer; see `Parts`."""
        asked = delayed(ask, pure=False)
        check = self._passes == 0
        level: list[Delayed] = [
            delayed(_answer, pure=False)(asked, check, self._soft, number, *block)
            for number, block in enumerate(self._blocks)
        ]
        while len(level) > 1:
            level = [
                delayed(_total, pure=False)(level[at : at + BRANCHES])
                for at in range(0, len(level), BRANCHES)
            ]
        if self._client is None:
            (total,) = dask.compute(level[0])
        else:
            total = self._client.compute(level[0]).result()
        self._passes += 1
        if total is None:
            raise ValueError("X has no samples.")
        return total


def in_blocks_of_rows(X: da.Array) -> da.Array:
    """Return an array whose blocks are whole rows.

    Raises
    ------
    ValueError
        If it has not two dimensions.
    """
    if X.ndim != 2:
        raise ValueError(f"X must be a 2D array; it has {X.ndim} dimensions.")
    return X if X.numblocks[1] == 1 else X.rechunk({1: -1})


def n_blocks_of(collection: Any) -> int:
    """Return the number of blocks of rows."""
    return collection.numblocks[0] if isinstance(collection, da.Array) else collection.npartitions


def delayed_blocks_of(
    name: str, collection: Any, rows: tuple[int, ...] | None, n_blocks: int | None
) -> list[Any]:
    """Return the blocks of a collection, to be computed.

    Parameters
    ----------
    name : str
        Of the argument.
    collection : dask array, dataframe or series, array-like or None
        It.
    rows : tuple or None
        Of how many rows the blocks of X are, NaN where that is not known; None if X is no array.
    n_blocks : int or None
        How many blocks there must be.

    Raises
    ------
    ValueError
        If there are others.
    """
    if collection is None:
        return [None] * n_blocks
    known = rows is not None and not np.isnan(rows).any()
    if not hasattr(collection, "to_delayed"):
        collection = np.asarray(collection)
        if not known or len(collection) != sum(rows):
            raise ValueError(
                f"{name} is an array of {len(collection)}, which cannot be cut into the blocks of "
                f"X, of {rows} rows; give a Dask collection in the same blocks."
            )
        collection = da.from_array(collection, chunks=(rows,))
    if isinstance(collection, da.Array):
        if collection.ndim == 1 and known and not np.isnan(collection.chunks[0]).any():
            if sum(collection.chunks[0]) != sum(rows):
                raise ValueError(
                    f"{name} has {sum(collection.chunks[0])} samples and X has {sum(rows)}."
                )
            collection = collection.rechunk((rows,))
        blocks = list(collection.to_delayed().ravel())
    else:
        blocks = list(collection.to_delayed())
    if n_blocks is not None and len(blocks) != n_blocks:
        raise ValueError(f"{name} is in {len(blocks)} blocks and X in {n_blocks}.")
    return blocks


def _answer(
    ask: PartFunction, check: bool, soft: bool, number: int, X: Any, y: Any, sample_weight: Any
) -> PartSums | None:
    """Return what a block answers; None if it is empty."""
    if len(y) != X.shape[0]:
        raise ValueError(f"Block {number} has {X.shape[0]} rows of X and {len(y)} of y.")
    if not X.shape[0]:
        return None
    X = check_array(checked_array(X, "X"), ensure_all_finite=False, **ROWS)
    X, y = without_duplicates(X), checked_array(y, "y")
    y = column_or_1d(y)
    if check:
        assert_all_finite(X, input_name="X")
        y = soft_targets(y) if soft else y  # later, encoding does
    weight = np.asarray(checked_weights(X, sample_weight, may_be_nothing=True))
    return ask(number, X, y, weight)


def _total(answers: list[PartSums | None]) -> PartSums | None:
    """Return the sums, item by item; None if all are empty."""
    total: PartSums | None = None
    for answer in answers:
        if answer is not None:
            total = answer if total is None else [a + b for a, b in zip(total, answer, strict=True)]
    return total
