"""Step sizes of sgd in a stream of chunks, and the features that a stream cannot learn.

The step of sample i is ηᵢ = min(1/Lᵢ, d/L). Lᵢ is the Lipschitz constant of the gradient of its own
term, L a high quantile of these constants, and d a factor that falls from 1 like the root of
1/(number of updates). With steps of at most 1/Lᵢ no sample throws the weights away, and an outlier
changes them little. As d falls, fewer samples have a step of 1/Lᵢ, and the weights fluctuate less
around the minimum.

References
----------
E. Moulines and F. Bach, "Non-Asymptotic Analysis of Stochastic Approximation Algorithms for Machine
Learning", NIPS 2011: steps that fall like the root of 1/(number of updates) need no knowledge of
the least curvature.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.step_size import (
    batch_lipschitz_constant,
    mean_lipschitz_constant,
    safe_step_size,
    sample_lipschitz_constants,
)

# The tests that the comments below name are in tests/test_partial_fit.py.
#
# Number of updates from which on the steps fall. Of 100, 300, 1000 and 3000, smaller numbers come
# nearer to the minimum on independent columns, larger ones on dependent or rare columns. With
# 10 000, test_stream_of_100_chunks_ends_near_the_minimum fails.
FULL_STEPS = 300
# Share of the sample weights whose Lipschitz constant is at most L: so many outliers do not slow
# down the stream. With 1.0, test_outliers_do_not_stop_a_stream fails.
QUANTILE = 0.95
# Number of samples after which the share of earlier samples in L has fallen to 1/e. With 10⁶,
# test_stream_follows_the_norms_of_its_samples fails.
MEMORY = 2000
# Numbers of updates 2ᵏ times this are followed by a search for features that cannot be learnt: so
# many that the weights of other features have come near to their best values. [a choice]
FIRST_CHECK = 2000
# Fewest samples of a chunk in which such features are looked for. [a choice]
SAMPLES_OF_CHECK = 100
# Nats by which F would fall if one weight were changed, from which on the weight is not learnt. It
# is the distance from the minimum that a stream is to reach. [a choice]
NOT_LEARNT = 0.01
# The same in units of its standard error in the chunk, squared and halved: of 10⁵ weights that
# are at their best one is above by chance. [a choice]
SIGNIFICANT = 10.0
# Largest exponent of the factor exp(−exponent), by which the steps so far have brought a weight
# nearer to its best value, if the stream does not learn the weight. With 10,
# test_stream_that_learns_does_not_warn fails.
LEARNING = 0.1


class StreamSteps:
    """Steps of the updates by one chunk of a stream, and what the next chunk must know of them.

    Parameters
    ----------
    objective : InMemoryObjective
        F of the samples of the chunk, in the user's units.
    batch : int
        Number of samples in an update.
    n_samples : float
        Number of samples before this chunk.
    levels : ndarray of shape (2, n_levels), float64
        Weights of the samples before this chunk by the magnitude of their Lipschitz constants:
        exponents k in ascending order, and the weight of the samples with a constant in
        [2ᵏ⁻¹, 2ᵏ). Older samples have a smaller weight than recent ones.

    Attributes
    ----------
    n_samples : float
        Number of samples so far, this chunk included; samples without any effect on the weights are
        not counted.
    levels : ndarray of shape (2, n_levels), float64
        The levels with the samples of this chunk.

    Raises
    ------
    ValueError
        If the squares of the features overflow.
    """

    def __init__(
        self, objective: InMemoryObjective, batch: int, n_samples: float, levels: Vector
    ) -> None:
        self._batch = min(batch, objective.n_samples)
        self._objective, self._before = objective, n_samples
        self._constants = sample_lipschitz_constants(objective)
        self._has_effect = self._constants > 0
        n_new = np.count_nonzero(self._has_effect)
        self.n_samples = n_samples + n_new
        older = levels * np.array([[1.0], [np.exp(-n_new / MEMORY)]])
        self.levels = _added(
            older,
            self._constants[self._has_effect],
            objective.sample_weight[self._has_effect],
        )
        self._bound = _quantile(self.levels)
        self._full_step = self._step_within_bound()
        # Number of samples in an update that has the effect of an update by a single sample.
        self._per_update = self._batch
        if self._bound > 0:
            self._per_update = self._batch / (self._bound * self._full_step)

    def __call__(self, order: NDArray[np.intp]) -> Vector:
        """Return the step of each sample, of shape (n,), given the order of the n samples."""
        if self._bound == 0:
            return np.ones(len(order))
        n_before = self._before + np.cumsum(self._has_effect[order]) - 1
        n_updates = np.maximum(n_before, 0) / self._per_update
        factor = (1 + n_updates / FULL_STEPS) ** -0.5
        with np.errstate(divide="ignore"):
            return np.minimum(factor, self._bound / self._constants[order]) * self._full_step

    def _step_within_bound(self) -> float:
        """Return the step for a batch of samples whose Lipschitz constants are at most L."""
        if self._batch == 1:
            return safe_step_size(self._bound)
        objective = self._limited()
        of_mean = mean_lipschitz_constant(objective)
        return safe_step_size(
            batch_lipschitz_constant(self._batch, objective.n_samples, self._bound, of_mean)
        )

    def _limited(self) -> InMemoryObjective:
        """Return F with sample weights that are reduced until no Lipschitz constant is above L."""
        objective = self._objective
        factor = np.minimum(1.0, self._bound / np.maximum(self._constants, self._bound))
        return InMemoryObjective(
            objective.X,
            objective.y,
            objective.sample_weight * factor,
            objective.penalty,
            objective.coordinates,
            passes=objective.passes,
            offset=objective.offset,
        )

    def not_learnt(self, w: Vector, b: float) -> NDArray[np.intp]:
        """Return the features whose weights the stream cannot learn; often an empty array.

        The steps so far have hardly moved the weight of such a feature towards its best value,
        which would lower F on the chunk by more than ``NOT_LEARNT``. A feature that is rare gives
        no such decrease. Features are looked for each time that the number of updates has doubled.

        Parameters
        ----------
        w : ndarray of shape (n_features,), float64
            Weights after the chunk.
        b : float
            Intercept after the chunk.

        Returns
        -------
        features : ndarray of shape (n,), intp
            Numbers of the features, beginning with the one that lowers F most; the number
            n_features means the intercept.
        """
        updates = np.array([self._before, self.n_samples]) / (self._per_update * FIRST_CHECK)
        doublings = np.floor(np.log2(np.maximum(updates, 0.5)))
        if doublings[0] == doublings[1] or self._objective.n_samples < SAMPLES_OF_CHECK:
            return np.empty(0, dtype=np.intp)
        objective = self._limited()
        point = objective.evaluate(objective.coordinates.from_user(w, b), diagonal=True)
        slope = np.abs(point.gradient)
        slope[: len(w)] = objective.penalty.subgradient_excess(w, point.gradient[: len(w)])
        curvature = np.maximum(point.diagonal, np.finfo(float).tiny)
        decrease = np.minimum(slope / curvature * slope / 2, point.value)
        n_updates = self.n_samples / self._per_update
        # Sum of the factors d of all updates.
        steps = 2 * FULL_STEPS * (np.sqrt(1 + n_updates / FULL_STEPS) - 1) * self._full_step
        # In as many updates by samples that have the feature, so that a rare feature is none.
        learning = steps * curvature * np.sum(objective.sample_weight)
        learning /= _n_with_feature(objective)
        share = objective.normalised_weight
        threshold = max(NOT_LEARNT, SIGNIFICANT * float(np.sum(share * share)))
        found = np.flatnonzero((decrease > threshold) & (learning < LEARNING))
        return found[np.argsort(-decrease[found], kind="stable")]


def _n_with_feature(objective: InMemoryObjective) -> Vector:
    """Return in how many samples each feature is not 0, and n_samples for an intercept."""
    X = objective.X
    if issparse(X):
        count = np.bincount(X.indices, X.data != 0, minlength=X.shape[1])
    else:
        count = np.count_nonzero(X, axis=0)
    every = np.full(objective.coordinates.size, float(objective.n_samples))
    every[: X.shape[1]] = np.maximum(count, 1)
    return every


def _added(levels: Vector, constants: Vector, weight: Vector) -> Vector:
    """Return the levels with Lipschitz constants above 0, and their sample weights, added."""
    exponents = np.concatenate([levels[0], np.frexp(constants)[1]])
    unique, position = np.unique(exponents, return_inverse=True)
    total = np.bincount(position, np.concatenate([levels[1], weight]), minlength=len(unique))
    return np.array([unique, total])


def _quantile(levels: Vector) -> float:
    """Return L, the middle of the level of the quantile; 0 if there are no levels."""
    exponents, weight = levels
    if not len(exponents):
        return 0.0
    cumulative = np.cumsum(weight)
    position = np.searchsorted(cumulative, QUANTILE * cumulative[-1])
    return float(np.exp2(exponents[position] - 0.5))
