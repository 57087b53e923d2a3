"""The likelihood of all samples at the weights of a neuron, from one pass over them.

The log likelihood of samples with weights s is l = −Σ sL. In coordinates θ of centred and scaled
columns, with Z = [(X − μ)/σ, 1] and z = Zθ plus the offset::

    score  Zᵀ s(y − a)        information  I = Zᵀ diag(s a(1−a)) Z        a = σ(z)

The first pass has no coordinates yet: each part uses those of its own columns, and the sums of two
parts are carried over to the coordinates of both together when they are added. Later passes use the
coordinates that the first one has found. All sums are sums over the samples, not means.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import DataSize
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.partitioned import Parts
from sklearn_bce._objective.penalty import NO_PENALTY
from sklearn_bce._objective.scaling import Coordinates, Moments
from sklearn_bce._solvers.newton.kept_samples import Maxima
from sklearn_bce._solvers.newton.robust import exact_from_user
from sklearn_bce.inference.samples import Encode

Matrix = NDArray[np.float64]

# Rows from which mean and deviation of the columns are estimated: to 3 % of a deviation. [a choice]
ROWS_FOR_MOMENTS = 1000


@dataclass(frozen=True, eq=False)
class Counts:
    """Numbers of samples and sums of weights; those of two sets of samples can be added.

    Attributes
    ----------
    data_size : DataSize
        Numbers of samples and of stored values.
    lengths : dict of int to int
        Number of samples of each part, by the number of the part.
    n_weighted : int
        Number of samples whose weight is above 0.
    total_weight : float
        S, the sum of the weights.
    weight_of_ones : float
        Σ sy, the weight of class 1.
    entropy : float
        Σ sH(y) in nats, the loss of a model that predicts each target; 0 for labels.
    has_offset : bool
        Whether the samples have an offset.
    """

    data_size: DataSize
    lengths: dict[int, int]
    n_weighted: int
    total_weight: float
    weight_of_ones: float
    entropy: float
    has_offset: bool

    @classmethod
    def of(cls, part: InMemoryObjective) -> Counts:
        """Return the counts of a part."""
        y, s = part.y, part.sample_weight
        are_labels = bool(((y == 0) | (y == 1)).all())
        return cls(
            DataSize.of(part.X),
            {part.part_number: part.n_samples},
            int(np.count_nonzero(s)),
            float(np.sum(s)),
            float(s @ y),
            0.0 if are_labels else float(s @ (entr(y) + entr(1 - y))),
            part.has_offset,
        )

    def __add__(self, other: Counts) -> Counts:
        """Return the counts of both sets of samples together."""
        return Counts(
            self.data_size + other.data_size,
            self.lengths | other.lengths,
            self.n_weighted + other.n_weighted,
            self.total_weight + other.total_weight,
            self.weight_of_ones + other.weight_of_ones,
            self.entropy + other.entropy,
            self.has_offset or other.has_offset,
        )


@dataclass(frozen=True, eq=False)
class Likelihood:
    """Likelihood, score and information at given weights; those of two sets can be added.

    Attributes
    ----------
    moments : Moments
        Estimates of mean and deviation of the columns, which are the coordinates θ.
    loss : float
        Σ sL = −l, in nats.
    score : ndarray of shape (size,), float64
        ∂l/∂θ.
    information : ndarray of shape (size, size), float64
        −∂²l/∂θ².
    surest : Maxima
        The largest (2y − 1)z − log s of a sample: for a label, log(q/(1−q)) − log s with the
        probability q of its class.
    off_centre : float
        The largest distance of a mean from the origin of products, or of the mean of a part from
        that of all, in deviations: I has lost its square in precision.
    """

    moments: Moments
    loss: float
    score: Vector
    information: Matrix
    surest: Maxima
    off_centre: float

    def __add__(self, other: Likelihood) -> Likelihood:
        """Return the likelihood of both sets of samples, in coordinates of both together."""
        moments = self.moments + other.moments
        coordinates = coordinates_of(moments)
        mine, theirs = (_in_coordinates(each, coordinates) for each in (self, other))
        return Likelihood(
            moments,
            self.loss + other.loss,
            mine[0] + theirs[0],
            mine[1] + theirs[1],
            self.surest + other.surest,
            max(
                self.off_centre,
                other.off_centre,
                _distance(self.moments, moments),
                _distance(other.moments, moments),
            ),
        )


def _distance(part: Moments, whole: Moments) -> float:
    """Return the largest distance of a mean of a part from that of all samples, in deviations."""
    if not part.total_weight > 0:
        return 0.0
    before, after = coordinates_of(part), coordinates_of(whole)
    return float(np.max(np.abs(before.shift - after.shift) / after.scale))


def _in_coordinates(found: Likelihood, coordinates: Coordinates) -> tuple[Vector, Matrix]:
    """Return score and information of a likelihood in other coordinates.

    With (x − μ)/σ = (σ₀/σ)·(x − μ₀)/σ₀ + (μ₀ − μ)/σ, rows in both coordinates are related by a
    matrix T: Z = Z₀T.
    """
    before = coordinates_of(found.moments)
    p = len(before.scale)
    T = np.zeros((coordinates.size, coordinates.size))
    T[np.arange(p), np.arange(p)] = before.scale / coordinates.scale
    if coordinates.fit_intercept:
        T[p, :p] = (before.shift - coordinates.shift) / coordinates.scale
        T[p, p] = 1.0
    return T.T @ found.score, T.T @ found.information @ T


def first_pass(
    parts: Parts, encode: Encode, w: Vector, b: float, fit_intercept: bool, n_threads: int
) -> tuple[Counts, Likelihood]:
    """Return counts and likelihood of samples in one pass.

    Parameters
    ----------
    parts : Parts
        The samples.
    encode : callable (y, sample_weight) -> (y, sample_weight)
        Encodes targets and weights; see `Encoding`.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    fit_intercept : bool
        Whether the model has an intercept.
    n_threads : int
        Most threads that the computation for one part may use.
    """
    function = partial(_first_sums, encode, w, b, fit_intercept, n_threads)
    counts, likelihood = parts.sum(function)
    return counts, likelihood


def _first_sums(
    encode: Encode,
    w: Vector,
    b: float,
    fit_intercept: bool,
    n_threads: int,
    number: int,
    X: Any,
    y: NDArray[Any],
    sample_weight: Vector,
    offset: Vector | None = None,
) -> list[Any]:
    """Return counts and likelihood of a part; the arguments from ``number`` on are of the part."""
    y, s = encode(y, sample_weight)
    moments = moments_of_some(X, s, fit_intercept)
    coordinates = coordinates_of(moments)
    part = InMemoryObjective(
        X, y, s, NO_PENALTY, coordinates, n_threads, total_weight=1.0, offset=offset
    )
    part.part_number = number
    point = part.evaluate(exact_from_user(coordinates, w, b), hessian=True)
    likelihood = Likelihood(
        moments,
        point.value,
        -point.gradient,
        point.hessian,
        surest_of(part, point.z),
        part.off_centre,
    )
    return [Counts.of(part), likelihood]


def moments_of_some(X: Any, sample_weight: Vector, fit_intercept: bool) -> Moments:
    """Return estimates of mean and deviation of the columns, from ``ROWS_FOR_MOMENTS`` rows.

    Coordinates near those of all rows are enough: how precise the information is in them shows in
    its pivots. Another pass, for exact moments, would take half as long as that for the sums.
    """
    weighted = np.flatnonzero(sample_weight)
    if len(weighted) <= ROWS_FOR_MOMENTS:
        return Moments.of(X, sample_weight, fit_intercept)
    rows = weighted[np.linspace(0, len(weighted) - 1, ROWS_FOR_MOMENTS).astype(np.intp)]
    estimate = Moments.of(X[rows], sample_weight[rows], fit_intercept)
    return replace(estimate, total_weight=float(np.sum(sample_weight)))


def coordinates_of(moments: Moments) -> Coordinates:
    """Return the coordinates of moments that may be of some rows only."""
    return moments.coordinates.for_other_rows()


def surest_of(part: InMemoryObjective, z: Vector) -> Maxima:
    """Return the largest (2y − 1)z − log s of a part with the outputs z; see `Likelihood`."""
    s, margin = part.sample_weight, 2 * part.y
    margin -= 1
    margin *= z
    if s.strides != (0,) or s[0] != 1:
        has_weight = s > 0
        margin = margin[has_weight] - np.log(s[has_weight])
    return Maxima(np.array([np.max(margin, initial=-np.inf)]))


def likelihood_sums(part: InMemoryObjective, v: Vector) -> list[Any]:
    """Return Σ sL, its gradient and its second derivatives at v, and the surest sample."""
    point = part.evaluate(v, hessian=True)
    return [point.value, point.gradient, point.hessian, surest_of(part, point.z)]
