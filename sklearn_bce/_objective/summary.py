"""Summary of samples in parts, made in one pass before a fit: size, classes and random samples."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import DataSize
from sklearn_bce._objective.partitioned import PartElsewhere, Parts
from sklearn_bce._objective.scaling import Moments

# Random samples of each class that are kept, for each coordinate of θ. The curvature of m samples
# differs from that of all by about √(size/m), here 0.16 for two classes of so many samples each:
# python -m benchmarks.tuning ROWS_PER_COORDINATE
ROWS_PER_COORDINATE = 20

# Elements of the random samples of both classes together, at most: 64 MB of float64. [a choice]
MAX_SAMPLE_ELEMENTS = 2**23

# Labels that an error message lists, at most, so that it stays legible. [a choice]
MAX_LABELS_LISTED = 5


@dataclass(frozen=True)
class BottomKSample:
    """A random sample of a set of samples: the k with the least ranks, which are random numbers.

    Bottom-k samples of disjoint sets can be added: the k least ranks of both are the bottom-k
    sample of the union (E. Cohen and H. Kaplan, "Summarizing Data using Bottom-k Sketches", PODC
    2007).

    Attributes
    ----------
    n_samples : int
        Size of the set: the number of its samples with a positive weight.
    X : ndarray or CSR of shape (n, n_features)
        The samples drawn, n <= k.
    y : ndarray of shape (n,)
        Targets of the samples drawn, as given by the user.
    sample_weight : ndarray of shape (n,)
        Weights of the samples drawn, as given by the user.
    ranks : ndarray of shape (n,)
        Ranks of the samples drawn, random numbers in [0, 1).
    k : int
        Largest number of samples drawn.
    offset : ndarray of shape (n,) or None, default=None
        Offsets of the samples drawn; None if the samples have none.
    """

    n_samples: int
    X: Any
    y: NDArray[Any]
    sample_weight: Vector
    ranks: Vector
    k: int
    offset: Vector | None = None

    def __add__(self, other: BottomKSample) -> BottomKSample:
        """Return the bottom-k sample of the union of both sets."""
        is_sparse = sp.issparse(self.X) or sp.issparse(other.X)
        X = [self.X, other.X]
        X = sp.vstack(X, format="csr") if is_sparse else np.vstack(X)
        y = np.concatenate([self.y, other.y])
        sample_weight = np.concatenate([self.sample_weight, other.sample_weight])
        ranks = np.concatenate([self.ranks, other.ranks])
        offset = None
        if self.offset is not None:
            offset = np.concatenate([self.offset, other.offset])
        if len(ranks) > self.k:
            rows = least(ranks, self.k)
            X, y, sample_weight, ranks = X[rows], y[rows], sample_weight[rows], ranks[rows]
            offset = None if offset is None else offset[rows]
        return BottomKSample(
            self.n_samples + other.n_samples, X, y, sample_weight, ranks, self.k, offset
        )


def least(ranks: Vector, k: int) -> NDArray[np.intp]:
    """Return the indices of the k least ranks, ascending; of all if there are no more than k."""
    if len(ranks) <= k:
        return np.arange(len(ranks))
    return np.sort(np.argpartition(ranks, k)[:k])


@dataclass(frozen=True)
class DataSummary:
    """Summary of samples; summaries of disjoint sets of samples can be added.

    Attributes
    ----------
    data_size : DataSize
        Number of samples and of stored values, dtype and layout.
    n_features : int
        Number of features.
    class_weight_sums : dict of float
        Σ s for each label; with soft targets Σ s(1−y) for 0 and Σ sy for 1.
    samples : dict of BottomKSample
        Random samples of each label; with soft targets, of all samples under the key None.
    moments : Moments or None, default=None
        Mean and deviation of the columns, weighted as the user gave; None if not asked for.
    """

    data_size: DataSize
    n_features: int
    class_weight_sums: dict[Any, float]
    samples: dict[Any, BottomKSample]
    moments: Moments | None = None

    @property
    def has_offset(self) -> bool:
        """Whether the samples have an offset."""
        return any(sample.offset is not None for sample in self.samples.values())

    def __add__(self, other: DataSummary) -> DataSummary:
        """Return the summary of both sets of samples together.

        Raises
        ------
        ValueError
            If the numbers of features differ, or one set of samples has an offset only.
        """
        if self.n_features != other.n_features:
            raise ValueError(
                f"X has {self.n_features} features in one part and {other.n_features} in another; "
                "all parts must have the same features."
            )
        if self.has_offset != other.has_offset:
            raise ValueError(
                "Some parts have an offset and others have none; offset=0 is allowed there."
            )
        return DataSummary(
            self.data_size + other.data_size,
            self.n_features,
            _added(self.class_weight_sums, other.class_weight_sums),
            _added(self.samples, other.samples),
            None if self.moments is None else self.moments + other.moments,
        )


def _added(first: dict[Any, Any], second: dict[Any, Any]) -> dict[Any, Any]:
    """Return both dicts as one, values of the same key added."""
    both = dict(first)
    for key, value in second.items():
        both[key] = both[key] + value if key in both else value
    return both


def summarise(
    parts: Parts, seed: int, soft_targets: bool, moments_for: bool | None = None
) -> DataSummary:
    """Return the summary of samples in parts, in one pass over them.

    Parameters
    ----------
    parts : Parts
        The samples.
    seed : int
        Seed of the random numbers; the samples drawn depend on it and on the numbers of the parts.
    soft_targets : bool
        Whether y are targets in [0, 1]; else they are labels of two classes.
    moments_for : bool or None, default=None
        Whether there is an intercept, if mean and deviation of the columns are asked for: without
        an intercept they are about 0. None means that they are not.

    Raises
    ------
    ValueError
        If one part has more than two labels, or parts differ in their number of features.
    """
    (summary,) = parts.sum(partial(_summarise_part, seed, soft_targets, moments_for))
    return summary


def _summarise_part(
    seed: int,
    soft_targets: bool,
    moments_for: bool | None,
    number: int,
    X: Any,
    y: NDArray[Any],
    sample_weight: Vector,
    offset: Vector | None = None,
) -> list[DataSummary]:
    """Return a list of one item, the summary of the part with this number."""
    if isinstance(X, PartElsewhere):
        return [X.summary(number, seed, moments_for)]
    ranks = np.random.default_rng([seed, number]).random(len(y))
    k = rows_per_class(X.shape[1])
    labels = [None] if soft_targets else np.unique(y).tolist()
    raise_unless_binary(labels)
    class_weight_sums, samples = {}, {}
    if soft_targets:
        class_weight_sums = {0: float(sample_weight @ (1 - y)), 1: float(sample_weight @ y)}
    for label in labels:
        has_label = np.ones(len(y), dtype=bool) if soft_targets else y == label
        if not soft_targets:
            class_weight_sums[label] = float(np.sum(sample_weight[has_label]))
        rows = np.flatnonzero(has_label & (sample_weight > 0))
        drawn = rows[least(ranks[rows], k)]
        samples[label] = BottomKSample(
            len(rows),
            X[drawn],
            y[drawn],
            sample_weight[drawn],
            ranks[drawn],
            k,
            None if offset is None else offset[drawn],
        )
    moments = None if moments_for is None else Moments.of(X, sample_weight, moments_for)
    return [DataSummary(DataSize.of(X), X.shape[1], class_weight_sums, samples, moments)]


def rows_per_class(n_features: int) -> int:
    """Return the number of random samples of each class that are kept."""
    size = n_features + 1
    return int(min(ROWS_PER_COORDINATE * size, MAX_SAMPLE_ELEMENTS // (2 * size)))


def raise_unless_binary(labels: list[Any]) -> None:
    """Raise ValueError if there are more than two labels."""
    if len(labels) > 2:
        more = " and more" if len(labels) > MAX_LABELS_LISTED else ""
        raise ValueError(
            "Only binary classification is supported: y must have two labels, but has the labels "
            f"{labels[:MAX_LABELS_LISTED]}{more}. Set soft_targets=True for targets that are "
            "probabilities in [0, 1]."
        )
