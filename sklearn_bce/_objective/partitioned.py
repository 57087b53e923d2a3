"""F over samples that lie elsewhere, in parts: on disk, or on other machines.

F is a sum over samples, and so are its gradient and curvature: each part is asked for its own, by
an `InMemoryObjective` over its samples alone, and the answers are added up. Nothing else of the
samples is known here, least of all their outputs: what takes no pass where these are kept, takes
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
from sklearn_bce._objective.base import BaseObjective, DataSize, Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.scaling import Coordinates, Moments

NO_PENALTY = ElasticNet(0.0)
Answer = list[Any]
Ask = Callable[[int, Any, NDArray[Any], Vector], Answer]


class Parts(Protocol):
    """Samples in parts, which can be gone over again and again."""

    def sum(self, ask: Ask) -> Answer:
        """Return the sums, item by item, of what all parts answer.

        Parameters
        ----------
        ask : callable (number, X, y, weight) -> list
            Given the number of a part and its samples, X as float array or CSR, y as it was given.
            It can be pickled. Items have +.
        """


class Curvature(NamedTuple):
    """What stands for the curvature of samples that lie elsewhere.

    Attributes
    ----------
    of : str
        "loss" for that of the losses at θ, "above" and "at_most" for what
        `Objective.majorising_curvature` and `Objective.curvature_bound` return.
    total : float
        Its sum, of the losses.
    """

    of: str
    total: float = np.nan


@dataclass(frozen=True)
class Encoding:
    """What makes an objective of a part.

    Attributes
    ----------
    encode : callable (y, weight) -> (targets in [0, 1], weights)
        Which can be pickled.
    coordinates : Coordinates
        What θ means.
    total_weight : float
        S, of all parts.
    n_threads : int
        How many threads a part may use.
    """

    encode: Callable[[NDArray[Any], Vector], tuple[Vector, Vector]]
    coordinates: Coordinates
    total_weight: float
    n_threads: int = 1

    def objective(self, X: Any, y: NDArray[Any], weight: Vector) -> InMemoryObjective:
        """Return the part's share of the mean loss."""
        y, weight = self.encode(y, weight)
        samples = X, y, weight
        return InMemoryObjective(
            *samples, NO_PENALTY, self.coordinates, self.n_threads, self.total_weight
        )


class PartitionedObjective(BaseObjective):
    """F as a function of θ, for samples in parts; see `InMemoryObjective`, whose methods these are.

    Parameters
    ----------
    parts : Parts
        The samples.
    extent : Extent
        Of all of them.
    encoding : Encoding
        What makes objectives of them.
    penalty : ElasticNet
        In the units of the coordinates.
    log_odds : float
        As of `InMemoryObjective`.
    few : Objective or None
        Random samples, in the user's coordinates, that stand for all.
    """

    caches_outputs = has_columns = False

    def __init__(
        self,
        parts: Parts,
        data_size: DataSize,
        encoding: Encoding,
        penalty: ElasticNet,
        log_odds: float = 0.0,
        few: InMemoryObjective | None = None,
    ) -> None:
        super().__init__(penalty, encoding.coordinates)
        self.parts, self.data_size, self.encoding = parts, data_size, encoding
        self.log_odds, self.few = log_odds, few

    @property
    def total_weight(self) -> float:
        """Σ s."""
        return self.encoding.total_weight

    @property
    def n_samples(self) -> int:
        """Number of samples in all parts."""
        return self.data_size.n_samples

    def sample(self) -> InMemoryObjective | None:
        """Return the few; they are drawn once."""
        return self.few

    def in_coordinates(self, coordinates: Coordinates) -> PartitionedObjective:
        """Return the same F, of the user's coordinates, in others."""
        encoding = replace(self.encoding, coordinates=coordinates)
        penalty = self.penalty.in_units(coordinates.scale)
        known = self.log_odds, self.few
        other = PartitionedObjective(self.parts, self.data_size, encoding, penalty, *known)
        other.n_passes = self.n_passes
        return other

    def standardised(self) -> PartitionedObjective:
        """Return the same F, of the user's coordinates, in those of centred and scaled columns."""
        (moments,) = self._sum(_moments)
        return self.in_coordinates(moments.coordinates)

    def constant_outputs(self, c: float) -> None:
        """Return None: nobody keeps them."""

    def outputs(self, vector: Vector) -> None:
        """Return None: nobody keeps them."""

    def majorising_curvature(self, z: None) -> Curvature:
        """Return what stands for it."""
        return Curvature("above")

    def curvature_bound(self) -> Curvature:
        """Return what stands for it."""
        return Curvature("at_most")

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
            squares = self._with_penalty(matrix.ravel()[:: len(matrix) + 1])
        elif diagonal:
            squares = self._with_penalty(*second)
        value, curvature = float(value) + self.penalty.value(u), Curvature("loss", float(total))
        return Evaluation(theta, value, gradient, None, curvature, matrix, squares)

    def value_at(self, theta: Vector, z: None) -> float:
        """Return F at θ, in one pass."""
        (value,) = self._sum(_value, theta)
        return float(value) + self.penalty.value(theta[: self.n_features])

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, None]:
        """Return ∂²F/∂θ² · vector at the point, in one pass."""
        (product,) = self._sum(_product, point.theta, point.curvature.of, vector)
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, None

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return some rows and columns of ∂²F/∂θ² at the point, in one pass."""
        (matrix,) = self._sum(_matrix, point.theta, point.curvature.of, subset)
        features = self.coordinates.features_of(subset)
        self._with_penalty(matrix.ravel()[:: len(matrix) + 1], features)
        return matrix

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, in one pass."""
        (diagonal,) = self._sum(_diagonal, point.theta, point.curvature.of)
        return self._with_penalty(diagonal)

    def _sum(self, ask: Callable[..., Answer], *arguments: Any) -> Answer:
        """Return the sums of what the objectives of all parts answer."""
        n_samples, *answer = self.parts.sum(partial(_asked, ask, self.encoding, arguments))
        self.n_passes += 1
        if n_samples != self.n_samples:
            raise ValueError(
                f"There were {self.n_samples} samples when they were first gone over, and now "
                f"{n_samples}: the parts must be the same each time."
            )
        return answer


def _asked(
    ask: Callable[..., Answer],
    encoding: Encoding,
    arguments: tuple[Any, ...],
    number: int,
    X: Any,
    y: NDArray[Any],
    weight: Vector,
) -> Answer:
    """Return what a part answers, and before that how many samples it has."""
    return [X.shape[0], *ask(encoding.objective(X, y, weight), *arguments)]


def _evaluate(part: InMemoryObjective, theta: Vector, hessian: bool, diagonal: bool) -> Answer:
    point = part.evaluate(theta, hessian=hessian, diagonal=diagonal)
    second = [point.hessian] if hessian else [point.diagonal] if diagonal else []
    return [point.value, float(np.sum(point.curvature)), point.gradient, *second]


def _value(part: InMemoryObjective, theta: Vector) -> Answer:
    return [part.value_at(theta, part.outputs(theta))]


def _product(part: InMemoryObjective, theta: Vector, of: str, vector: Vector) -> Answer:
    return [part.curvature_product(_with_curvature(part, theta, of), vector)[0]]


def _matrix(part: InMemoryObjective, theta: Vector, of: str, subset: NDArray[np.intp]) -> Answer:
    return [part.curvature_matrix(_with_curvature(part, theta, of), subset)]


def _diagonal(part: InMemoryObjective, theta: Vector, of: str) -> Answer:
    return [part.curvature_diagonal(_with_curvature(part, theta, of))]


def _with_curvature(part: InMemoryObjective, theta: Vector, of: str) -> Evaluation:
    """Return the point with the curvature that is asked for."""
    if of == "at_most":
        return Evaluation(theta, np.nan, None, None, part.curvature_bound())
    if of == "above":
        z = part.outputs(theta)
        return Evaluation(theta, np.nan, None, z, part.majorising_curvature(z))
    return part.evaluate(theta)


def _moments(part: InMemoryObjective) -> Answer:
    return [Moments.of(part.X, part.sample_weight, part.coordinates.fit_intercept)]
