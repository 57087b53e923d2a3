"""What must be known of samples in parts before F can be told: one pass over them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import DataSize
from sklearn_bce._objective.partitioned import Parts

# Random samples of either class that are kept, for each coordinate; of both, elements at most.
ROWS_PER_COORDINATE = 20
MOST_ELEMENTS = 2**23


@dataclass(frozen=True)
class BottomKSample:
    """Random samples of a class, those with the least random numbers.

    Attributes
    ----------
    n_samples : int
        Of how many that have weight.
    X, y, weight : array or CSR, ndarray, ndarray
        They.
    numbers : ndarray of shape (n,)
        Theirs.
    most : int
        How many there may be.
    """

    n_samples: int
    X: Any
    y: NDArray[Any]
    weight: Vector
    numbers: Vector
    most: int

    def __add__(self, other: BottomKSample) -> BottomKSample:
        """Return those of both."""
        both = sp.issparse(self.X) or sp.issparse(other.X)
        X = sp.vstack([self.X, other.X], format="csr") if both else np.vstack([self.X, other.X])
        y = np.concatenate([self.y, other.y])
        weight = np.concatenate([self.weight, other.weight])
        numbers = np.concatenate([self.numbers, other.numbers])
        return BottomKSample(
            self.n_samples + other.n_samples, X, y, weight, numbers, self.most
        ).least()

    def least(self) -> BottomKSample:
        """Return no more than there may be."""
        if len(self.numbers) <= self.most:
            return self
        rows = np.sort(np.argpartition(self.numbers, self.most)[: self.most])
        chosen = self.X[rows], self.y[rows], self.weight[rows], self.numbers[rows]
        return BottomKSample(self.n_samples, *chosen, self.most)


@dataclass(frozen=True)
class DataSummary:
    """What is known of samples after one pass.

    Attributes
    ----------
    extent : Extent
        How much there is of them.
    n_features : int
        How many features they have.
    mass : dict
        Σ s of each label; of soft targets, of 0 and of 1.
    few : dict
        Random samples of each label; of soft targets, of all together.
    """

    data_size: DataSize
    n_features: int
    class_weight_sums: dict[Any, float]
    few: dict[Any, BottomKSample]

    def __add__(self, other: DataSummary) -> DataSummary:
        """Return that of both.

        Raises
        ------
        ValueError
            If they have not the same features.
        """
        if self.n_features != other.n_features:
            raise ValueError(
                f"X has {self.n_features} features in one part and {other.n_features} in another."
            )
        class_weight_sums, few = dict(self.class_weight_sums), dict(self.few)
        for label in other.few:
            few[label] = few[label] + other.few[label] if label in few else other.few[label]
        for label in other.class_weight_sums:
            class_weight_sums[label] = (
                class_weight_sums.get(label, 0.0) + other.class_weight_sums[label]
            )
        return DataSummary(
            self.data_size + other.data_size, self.n_features, class_weight_sums, few
        )


def summarise(parts: Parts, seed: int, soft: bool) -> DataSummary:
    """Return what there is to know.

    Parameters
    ----------
    parts : Parts
        The samples.
    seed : int
        What makes random numbers of the number of a part.
    soft : bool
        Whether y is.

    Raises
    ------
    ValueError
        If a part has more than two labels.
    """
    return parts.sum(partial(_summarise_part, seed, soft))[0]


def _summarise_part(
    seed: int,
    soft: bool,
    number: int,
    X: Any,
    y: NDArray[Any],
    weight: Vector,
) -> list[DataSummary]:
    """Return what there is to know of a part."""
    random = np.random.default_rng([seed, number]).random(len(y))
    size = X.shape[1] + 1
    most = int(min(ROWS_PER_COORDINATE * size, MOST_ELEMENTS // (2 * size)))
    labels = [None] if soft else np.unique(y).tolist()
    if len(labels) > 2:
        listed, more = labels[:5], " and more" if len(labels) > 5 else ""
        raise ValueError(
            f"Only binary classification is supported. y has the labels {listed}{more}. "
            "Targets in [0, 1] need soft_targets=True."
        )
    class_weight_sums, few = {}, {}
    if soft:
        class_weight_sums = {0: float(weight @ (1 - y)), 1: float(weight @ y)}
    for label in labels:
        of_label = np.ones(len(y), dtype=bool) if soft else y == label
        rows = np.flatnonzero(of_label & (weight > 0))
        if not soft:
            class_weight_sums[label] = float(np.sum(weight[of_label]))
        least = rows
        if len(rows) > most:  # not more are copied than are kept
            least = rows[np.sort(np.argpartition(random[rows], most)[:most])]
        few[label] = BottomKSample(
            len(rows), X[least], y[least], weight[least], random[least], most
        )
    return [DataSummary(DataSize.of(X), X.shape[1], class_weight_sums, few)]
