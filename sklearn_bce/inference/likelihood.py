"""The likelihood of all samples at the weights of a neuron, from one pass over them.

The log likelihood of samples with weights s is l = −Σ sL. In coordinates θ of centred and scaled
columns, with Z = [(X − μ)/σ, 1] and z = Zθ plus the offset::

    score  Zᵀ s(y − a)        information  I = Zᵀ diag(s a(1−a)) Z        a = σ(z)

μ are medians of a few rows, which a code such as 1e12 for a missing value does not move, so that no
digits of the other values are lost. The first pass has no coordinates yet: each part uses those of
its own rows, and the sums of two parts are carried over to the coordinates of both together when
they are added. Later passes use the coordinates that the first one has found. All sums are sums
over the samples, not means.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import DataSize, Maxima
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.partitioned import Parts
from sklearn_bce._objective.penalty import NO_PENALTY
from sklearn_bce._objective.scaling import Coordinates, FewRows
from sklearn_bce._solvers.newton.robust import exact_from_user
from sklearn_bce.inference.samples import Encode

Matrix = NDArray[np.float64]


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
    few : FewRows
        A few rows of X, whose medians are the origin of the coordinates θ.
    coordinates : Coordinates
        Shift and scale of θ.
    loss : float
        Σ sL = −l, in nats.
    score : ndarray of shape (size,), float64
        ∂l/∂θ.
    information : ndarray of shape (size, size), float64
        −∂²l/∂θ².
    surest : Maxima
        The largest |z| − log s of a sample: e⁻|ᶻ|s is the least s(1−q)/q of a class with the
        probability q, and a lower bound of 4s a(1−a).
    off_centre : float
        The largest distance of an origin from that of products, or of the origin of a part from
        that of all, in units of the scale: I has lost its square in precision.
    """

    few: FewRows
    coordinates: Coordinates
    loss: float
    score: Vector
    information: Matrix
    surest: Maxima
    off_centre: float

    def __add__(self, other: Likelihood) -> Likelihood:
        """Return the likelihood of both sets of samples, in coordinates of both together."""
        few = self.few + other.few
        coordinates = few.robust_coordinates(self.coordinates.fit_intercept)
        mine, theirs = (_in_coordinates(each, coordinates) for each in (self, other))
        return Likelihood(
            few,
            coordinates,
            self.loss + other.loss,
            mine[0] + theirs[0],
            mine[1] + theirs[1],
            self.surest + other.surest,
            max(
                self.off_centre,
                other.off_centre,
                _distance(self, coordinates),
                _distance(other, coordinates),
            ),
        )


def _distance(part: Likelihood, whole: Coordinates) -> float:
    """Return the largest distance of the origin of a part from that of all, in units of scale."""
    if not np.any(part.information):
        return 0.0
    return float(np.max(np.abs(part.coordinates.shift - whole.shift) / whole.scale))


def _in_coordinates(found: Likelihood, coordinates: Coordinates) -> tuple[Vector, Matrix]:
    """Return score and information of a likelihood in other coordinates.

    With (x − μ)/σ = (σ₀/σ)·(x − μ₀)/σ₀ + (μ₀ − μ)/σ, rows in both coordinates are related by a
    matrix T: Z = Z₀T.
    """
    before = found.coordinates
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
    few = FewRows.of(X, s)
    coordinates = few.robust_coordinates(fit_intercept)
    part = InMemoryObjective(
        X, y, s, NO_PENALTY, coordinates, n_threads, total_weight=1.0, offset=offset
    )
    part.part_number = number
    point = part.evaluate(exact_from_user(coordinates, w, b), hessian=True)
    likelihood = Likelihood(
        few,
        coordinates,
        point.value,
        -point.gradient,
        point.hessian,
        surest_of(part, point.z),
        part.off_centre,
    )
    return [Counts.of(part), likelihood]


def surest_of(part: InMemoryObjective, z: Vector) -> Maxima:
    """Return the largest |z| − log s of a part with the outputs z; see `Likelihood`."""
    s, size = part.sample_weight, np.abs(z)
    if s.strides != (0,) or s[0] != 1:
        has_weight = s > 0
        size = size[has_weight] - np.log(s[has_weight])
    return Maxima(np.array([np.max(size, initial=-np.inf)]))


def likelihood_sums(part: InMemoryObjective, v: Vector) -> list[Any]:
    """Return Σ sL, its gradient and its second derivatives at v, and the surest sample."""
    point = part.evaluate(v, hessian=True)
    return [point.value, point.gradient, point.hessian, surest_of(part, point.z)]
