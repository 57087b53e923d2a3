"""F over samples in parts: chunks of a file, or partitions on other machines.

F is a sum over samples, and so are its gradient and curvature. Each part computes its own sums,
with an `InMemoryObjective` over its samples alone, and the sums are added up. Outputs of the
samples stay with the parts, so that what takes no pass in memory (a value along a ray, say) takes
one here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import BaseObjective, DataSize, Evaluation, PassCounter
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet, Penalty
from sklearn_bce._objective.ray import PassRay
from sklearn_bce._objective.scaling import Coordinates, Moments

NO_PENALTY = ElasticNet(0.0)

PartSums = list[Any]
PartFunction = Callable[[int, Any, NDArray[Any], Vector], PartSums]


class Parts(Protocol):
    """Samples in parts, which can be read again and again."""

    def sum(self, function: PartFunction) -> PartSums:
        """Return the sums over all parts, item by item, of what a function returns for each part.

        Parameters
        ----------
        function : callable (number, X, y, sample_weight) -> list
            Called with the number of a part and its samples: X as a float array or CSR, y as the
            user gave it. It can be pickled. The items of its result can be added.
        """


class PartCurvature(NamedTuple):
    """Names a curvature of samples in parts, which compute it anew from θ whenever it is used.

    Attributes
    ----------
    kind : {"loss", "majorising", "bound"}
        The curvature of the losses at θ, or what `InMemoryObjective.majorising_curvature` or
        `InMemoryObjective.curvature_bound` returns.
    total : float
        Sum of the curvature over the samples, for the kind "loss".
    """

    kind: str
    total: float = np.nan


@dataclass(frozen=True)
class Encoding:
    """What turns the samples of a part into an objective.

    Attributes
    ----------
    encode : callable (y, sample_weight) -> (ndarray of targets in [0, 1], ndarray of weights)
        It can be pickled.
    coordinates : Coordinates
        What θ means.
    total_weight : float
        S, the total sample weight of all parts.
    n_threads : int
        Most threads that a part may use.
    """

    encode: Callable[[NDArray[Any], Vector], tuple[Vector, Vector]]
    coordinates: Coordinates
    total_weight: float
    n_threads: int = 1

    def objective(self, X: Any, y: NDArray[Any], sample_weight: Vector) -> InMemoryObjective:
        """Return the contribution of a part to the mean loss of all, without the penalty."""
        y, sample_weight = self.encode(y, sample_weight)
        return InMemoryObjective(
            X,
            y,
            sample_weight,
            NO_PENALTY,
            self.coordinates,
            self.n_threads,
            self.total_weight,
        )


class PartitionedObjective(BaseObjective):
    """F as a function of θ, for samples in parts; implements `Objective`.

    Parameters
    ----------
    parts : Parts
        The samples.
    data_size : DataSize
        The size of all samples.
    encoding : Encoding
        What turns the samples of a part into an objective.
    penalty : Penalty
        In the units of the coordinates.
    log_odds : float, default=0.0
        The user's intercept if all weights are 0, at the minimum; 0 without an intercept.
    sample : InMemoryObjective or None, default=None
        F over random samples that stand for all, in the user's coordinates; None if there are too
        few of them.
    passes : PassCounter, default=None
        The counter to go on with; None means a new one.
    """

    has_columns = has_row_space = False

    def __init__(
        self,
        parts: Parts,
        data_size: DataSize,
        encoding: Encoding,
        penalty: Penalty,
        log_odds: float = 0.0,
        sample: InMemoryObjective | None = None,
        passes: PassCounter | None = None,
    ) -> None:
        super().__init__(penalty, encoding.coordinates, passes)
        self.parts, self.encoding = parts, encoding
        self.data_size = replace(data_size, storage="partitioned")
        self.log_odds, self.sample = log_odds, sample

    @property
    def total_weight(self) -> float:
        """S, the total sample weight of all parts."""
        return self.encoding.total_weight

    @property
    def n_samples(self) -> int:
        """Number of samples in all parts."""
        return self.data_size.n_samples

    def subsample(self, n_rows: int, random_state: Any) -> InMemoryObjective | None:
        """Return F over the random samples that were drawn in the first pass, if there are any.

        The arguments have no effect: how many samples there are was decided when they were drawn.
        """
        return self.sample

    def count_passes_of(self, sample: InMemoryObjective) -> None:
        """Count nothing: the samples were brought in by a pass that has been counted."""

    def dominating_penalty_coordinates(self, random_state: Any) -> None:
        """Return None: the rows that would show it are not at hand."""

    def in_coordinates(self, coordinates: Coordinates) -> PartitionedObjective:
        """Return the same F, of the user's coordinates, in others; it shares the pass counter."""
        return PartitionedObjective(
            self.parts,
            self.data_size,
            replace(self.encoding, coordinates=coordinates),
            self.penalty.in_units(coordinates.scale),
            self.log_odds,
            self.sample,
            self.passes,
        )

    def standardised(self) -> PartitionedObjective:
        """Return the same F, of the user's coordinates, in those of centred and scaled columns."""
        (moments,) = self._sum(_moments)
        return self.in_coordinates(moments.coordinates)

    def raise_unless_finite(self) -> None:
        """Do nothing: the parts check their samples in the first pass."""

    def samples_reference(self) -> None:
        """Return None: there is no object that holds the samples."""

    def holds(self, X: Any) -> bool:
        """Return False: there is no object that holds the samples."""
        return False

    def constant_outputs(self, c: float) -> None:
        """Return None: outputs are not held."""

    def zero_outputs(self) -> None:
        """Return None: outputs are not held."""

    def add_outputs(self, factor: float, outputs: None, total: None) -> None:
        """Do nothing: outputs are not held."""

    def outputs(self, vector: Vector) -> None:
        """Return None: outputs are not held."""

    def ray(self, point: Evaluation, vector: Vector, z_direction: None = None) -> PassRay:
        """Return F on the ray from the point along the vector."""
        return PassRay(self, point, vector)

    def ray_through(self, before: Evaluation, after: Evaluation) -> PassRay:
        """Return F on the ray from ``after``, in the direction that led there from ``before``."""
        return PassRay(self, after, after.theta - before.theta)

    def leaves_model_region(self, before: Evaluation, after: Evaluation, decrement: float) -> None:
        """Return None: without outputs nobody knows."""

    def majorising_curvature(self, z: None) -> PartCurvature:
        """Return the name of the curvature of parabolas above the losses."""
        return PartCurvature("majorising")

    def curvature_bound(self) -> PartCurvature:
        """Return the name of the largest curvature of each loss anywhere."""
        return PartCurvature("bound")

    def total_curvature(self, point: Evaluation) -> float:
        """Return Σ p a(1−a)."""
        return point.curvature.total

    def evaluate(
        self,
        theta: Vector,
        z: None = None,
        *,
        hessian: bool = False,
        diagonal: bool = False,
    ) -> Evaluation:
        """Return F, its gradient and, if asked, its curvature at θ, in one pass."""
        value, total, gradient, *second = self._sum(_evaluate, theta, hessian, diagonal)
        u = theta[: self.n_features]
        gradient[: self.n_features] += self.penalty.gradient(u)
        matrix = squares = None
        if hessian:
            (matrix,) = second
            squares = self._add_penalty_curvature(matrix.ravel()[:: len(matrix) + 1]).copy()
        elif diagonal:
            squares = self._add_penalty_curvature(*second)
        value, curvature = float(value) + self.penalty.value(u), PartCurvature("loss", float(total))
        return Evaluation(theta, value, gradient, None, curvature, matrix, squares)

    def value_at(self, theta: Vector, z: None = None) -> float:
        """Return F at θ, in one pass."""
        (value,) = self._sum(_value, theta)
        return float(value) + self.penalty.value(theta[: self.n_features])

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, None]:
        """Return ∂²F/∂θ²·vector at the point, and None for Z·vector, in one pass."""
        (product,) = self._sum(_product, point.theta, point.curvature.kind, vector)
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, None

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the rows and columns of ∂²F/∂θ² in a subset of θ, in one pass."""
        (matrix,) = self._sum(_matrix, point.theta, point.curvature.kind, subset)
        features = self.coordinates.features_of(subset)
        self._add_penalty_curvature(matrix.ravel()[:: len(matrix) + 1], features)
        return matrix

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, in one pass."""
        (diagonal,) = self._sum(_diagonal, point.theta, point.curvature.kind)
        return self._add_penalty_curvature(diagonal)

    def _sum(self, function: Callable[..., PartSums], *arguments: Any) -> PartSums:
        """Return the sums of what a function of each part's objective returns, in one pass.

        Raises
        ------
        ValueError
            If the number of samples is not what it was in the first pass.
        """
        sums = self.parts.sum(partial(_on_part, function, self.encoding, arguments))
        n_samples, *sums = sums
        self.passes.add()
        if n_samples != self.n_samples:
            raise ValueError(
                f"The parts had {self.n_samples} samples in the first pass and have {n_samples} "
                "now; they must be the same in every pass."
            )
        return sums


def _on_part(
    function: Callable[..., PartSums],
    encoding: Encoding,
    arguments: tuple[Any, ...],
    number: int,
    X: Any,
    y: NDArray[Any],
    sample_weight: Vector,
) -> PartSums:
    """Return the number of samples of a part and what the function returns for its objective."""
    return [X.shape[0], *function(encoding.objective(X, y, sample_weight), *arguments)]


def _evaluate(part: InMemoryObjective, theta: Vector, hessian: bool, diagonal: bool) -> PartSums:
    point = part.evaluate(theta, hessian=hessian, diagonal=diagonal)
    second = [point.hessian] if hessian else [point.diagonal] if diagonal else []
    return [point.value, float(np.sum(point.curvature)), point.gradient, *second]


def _value(part: InMemoryObjective, theta: Vector) -> PartSums:
    return [part.value_at(theta, part.outputs(theta))]


def _product(part: InMemoryObjective, theta: Vector, kind: str, vector: Vector) -> PartSums:
    return [part.curvature_product(_with_curvature(part, theta, kind), vector)[0]]


def _matrix(
    part: InMemoryObjective, theta: Vector, kind: str, subset: NDArray[np.intp]
) -> PartSums:
    return [part.curvature_matrix(_with_curvature(part, theta, kind), subset)]


def _diagonal(part: InMemoryObjective, theta: Vector, kind: str) -> PartSums:
    return [part.curvature_diagonal(_with_curvature(part, theta, kind))]


def _with_curvature(part: InMemoryObjective, theta: Vector, kind: str) -> Evaluation:
    """Return an evaluation of a part at θ with the curvature of the given kind."""
    if kind == "bound":
        return Evaluation(theta, np.nan, None, None, part.curvature_bound())
    if kind == "majorising":
        z = part.outputs(theta)
        return Evaluation(theta, np.nan, None, z, part.majorising_curvature(z))
    return part.evaluate(theta)


def _moments(part: InMemoryObjective) -> PartSums:
    return [Moments.of(part.X, part.sample_weight, part.coordinates.fit_intercept)]
