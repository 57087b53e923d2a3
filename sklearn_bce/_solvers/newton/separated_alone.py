"""Features that separate the classes alone, and the samples that they separate.

A feature separates the classes alone if its values in one class are at most those in the other:
there is a threshold t between them. Rare levels of a category often do. If the weight w of such a
feature may grow in the direction of its sign, and has no penalty, w → ±∞ with b = b₀ − wt drives
the loss of every sample whose value is not t to 0 and leaves the outputs of all others as they are:
the infimum of F is that of F without the former samples, which are separated. All this is a matter
of comparisons, without rounding.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import NO_SAMPLES, Maxima, Objective, SomeSamples
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.rows import row_blocks


class SeparatingFeatures(NamedTuple):
    """Which features separate the classes alone, and where.

    Attributes
    ----------
    sign : ndarray of shape (n_features,), float64
        1 if the values of the feature are at least as large where y = 1 as where y = 0, −1 if they
        are at most as large, and 0 if the feature does not separate the classes.
    threshold : ndarray of shape (n_features,), float64
        The number between the values of the classes; any number for other features.
    """

    sign: Vector
    threshold: Vector

    def of(self, subset: NDArray[np.bool_]) -> SeparatingFeatures:
        """Return the features of a subset alone."""
        return SeparatingFeatures(np.where(subset, self.sign, 0.0), self.threshold)

    def differs_from_threshold(self, X: Any) -> NDArray[np.bool_]:
        """Return whether each row of X differs from the threshold in such a feature."""
        if not issparse(X):
            features = np.flatnonzero(self.sign)
            return np.any(X[:, features] != self.threshold[features], axis=1)
        row = np.repeat(np.arange(X.shape[0]), np.diff(X.indptr))
        is_of_feature = self.sign[X.indices] != 0
        differs = is_of_feature & (X.data != self.threshold[X.indices])
        # A value that is not stored is 0: it differs from every other threshold.
        is_not_zero = (self.sign != 0) & (self.threshold != 0)
        is_stored = np.bincount(row[is_not_zero[X.indices]], minlength=X.shape[0])
        found = is_stored < np.count_nonzero(is_not_zero)
        found[row[differs]] = True
        return found


@np.errstate(invalid="ignore")  # a class may have no samples with a weight
def separating_features(objective: Objective) -> SeparatingFeatures:
    """Return the features that separate the classes alone, in one pass.

    Their weights may grow, or fall, for ever. Without an intercept the threshold is 0. Samples with
    0 < y < 1 count in both classes.
    """
    (extremes,) = objective.sum_over_parts(_extremes)
    high, low = extremes.values[:2], -extremes.values[2:]  # where y < 1, and where y > 0
    if not objective.coordinates.fit_intercept:
        high, low = np.maximum(high, 0.0), np.minimum(low, 0.0)
    varies = high.max(axis=0) > low.min(axis=0)
    lower, upper = (bounds[: high.shape[1]] for bounds in allowed_signs(objective))
    rises = varies & (high[0] <= low[1]) & (upper > 0)
    falls = varies & (high[1] <= low[0]) & (lower < 0)
    ends = np.where(rises, [high[0], low[1]], [high[1], low[0]])
    return SeparatingFeatures(rises.astype(np.float64) - falls, ends[0] + (ends[1] - ends[0]) / 2)


def separated_samples(objective: Objective) -> SomeSamples:
    """Return the samples without which the infimum of F is the same, in two passes at most.

    They are the samples that features without a penalty separate, each alone.
    """
    is_free = np.broadcast_to(
        (objective.penalty.l1 == 0) & (objective.penalty.l2 == 0), objective.n_features
    )
    if not is_free.any():
        return NO_SAMPLES
    features = separating_features(objective).of(is_free)
    if not features.sign.any():
        return NO_SAMPLES
    (samples,) = objective.sum_over_parts(_separated, features)
    return samples


def allowed_signs(problem: Objective) -> tuple[Vector, Vector]:
    """Return bounds of a direction of θ, 0 or infinite, with which weights keep their bounds."""
    _, lower, upper = problem.penalty.non_smooth(problem.n_features, problem.coordinates.size)
    return np.where(np.isfinite(lower), 0.0, -np.inf), np.where(np.isfinite(upper), 0.0, np.inf)


def _extremes(part: InMemoryObjective) -> list[Any]:
    """Return the largest value of each feature where y < 1 and where y > 0, and minus the least."""
    found = np.full((4, part.n_features), -np.inf)
    for rows in row_blocks(part.X):
        y, is_weighted = part.y[rows], part.sample_weight[rows] > 0
        for k, is_in_class in enumerate((y < 1, y > 0)):
            X = part.X[rows.start + np.flatnonzero(is_in_class & is_weighted)]
            if X.shape[0]:
                largest, least = X.max(axis=0), X.min(axis=0)
                if issparse(X):
                    largest, least = largest.toarray().ravel(), least.toarray().ravel()
                found[k] = np.maximum(found[k], largest)
                found[k + 2] = np.maximum(found[k + 2], -least)
    return [Maxima(found)]


def _separated(part: InMemoryObjective, features: SeparatingFeatures) -> list[SomeSamples]:
    """Return the samples of a part that such features separate."""
    found = np.zeros(part.n_samples, dtype=bool)
    for rows in row_blocks(part.X):
        found[rows] = features.differs_from_threshold(part.X[rows])
    return [SomeSamples({part.part_number: np.flatnonzero(found)})]
