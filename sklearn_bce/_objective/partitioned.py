"""F over samples in parts: chunks of a file, or partitions on other machines.

F is a sum over samples, and so are its gradient and curvature. Each part computes its own sums with
an `InMemoryObjective` over its samples, and the sums of all parts are added up. The linear outputs
of the samples are not kept: computations that take no pass for samples in memory, such as the value
of F on a ray, take a pass for samples in parts.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import (
    NO_SAMPLES,
    BaseObjective,
    DataSize,
    Evaluation,
    PassCounter,
    SomeSamples,
    moments_of_part,
)
from sklearn_bce._objective.basis import Basis
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import NO_PENALTY, ElasticNet, Penalty
from sklearn_bce._objective.ray import PassRay
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce.chain_rule import linear_output

PartSums = list[Any]
PartFunction = Callable[[int, Any, NDArray[Any], Vector, Vector | None], PartSums]


class Parts(Protocol):
    """Contract of samples in parts, which can be read any number of times."""

    def sum(self, function: PartFunction) -> PartSums:
        """Return the sum of the results of a function over all parts, item by item, in one pass.

        Parameters
        ----------
        function : callable (number, X, y, sample_weight, offset) -> list
            Called once for each part, with the number of the part, from 0, and its samples: X as
            a float array or CSR, y as the user gave it, sample_weight as a float64 array, offset as
            a float64 array, or None if the samples have none. Samples on a device are one object, a
            `PartElsewhere`, in place of X, and the other three are None. The function can be
            pickled. The items of the lists have an addition.

        Returns
        -------
        sums : list
            As long as each result of the function.
        """


class PartElsewhere(ABC):
    """Samples of a part that are not in the memory of the host, whose sums are computed there.

    Attributes
    ----------
    shape : tuple (n_samples, n_features)
        Shape of X.
    """

    shape: tuple[int, int]

    @abstractmethod
    def objective(self, encoding: Encoding) -> BaseObjective:
        """Return (1/S) Σ sL over the samples, where they are; see `Encoding.objective`.

        The encoding has no basis, and leaves out neither samples, features nor the offset.
        """

    @abstractmethod
    def on_host(self) -> tuple[Any, NDArray[Any], Vector, Vector | None]:
        """Return X, y as given, sample_weight and offset, copied to the host."""

    @abstractmethod
    def summary(self, number: int, seed: int, moments_for: bool | None) -> Any:
        """Return the `DataSummary` of the part with this number; see `summarise`."""


class PartCurvature(NamedTuple):
    """Stands for the curvature of each sample in parts, which is computed from θ in each use.

    Attributes
    ----------
    kind : {"loss", "majorising", "bound"}
        "loss" is the curvature of the losses at θ; "majorising" and "bound" are the results of
        `InMemoryObjective.majorising_curvature` and `InMemoryObjective.curvature_bound`.
    total : float, default=nan
        Sum of the curvature over the samples; NaN, not known, for all kinds but "loss".
    """

    kind: str
    total: float = np.nan


@dataclass(frozen=True)
class Encoding:
    """Converts the samples of a part to an objective.

    Attributes
    ----------
    encode : callable (y, sample_weight) -> (y, sample_weight)
        Converts targets and weights as the user gave them to targets in [0, 1] and weights that
        include class weights, both ndarrays of shape (n_samples,), float64. The callable can be
        pickled.
    coordinates : Coordinates
        Shift and scale that relate θ to the user's weights and intercept.
    total_weight : float
        S, the total sample weight of all parts.
    n_threads : int, default=1
        Most threads that the computation for one part may use.
    basis : Basis or None, default=None
        Basis whose coordinates take the place of θ; None means that there is none.
    left_out : SomeSamples, default=NO_SAMPLES
        Samples that are without weight.
    features : ndarray of shape (n_features,), intp, or None, default=None
        Indices of the columns of X that are the features of F; None means all.
    fixed : tuple (ndarray of shape (n,), ndarray of shape (n,)) or None, default=None
        Indices and weights of other columns of X, which add known terms to the linear outputs; None
        means that there are none.
    ignores_offset : bool, default=False
        Whether the objectives have no offset although the parts have one.
    """

    encode: Callable[[NDArray[Any], Vector], tuple[Vector, Vector]]
    coordinates: Coordinates
    total_weight: float
    n_threads: int = 1
    basis: Basis | None = None
    left_out: SomeSamples = NO_SAMPLES
    features: NDArray[np.intp] | None = None
    fixed: tuple[NDArray[np.intp], Vector] | None = None
    ignores_offset: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether F is that of all samples, features and offsets, in coordinates θ."""
        parts = self.basis, self.features, self.fixed
        return parts == (None, None, None) and not (len(self.left_out) or self.ignores_offset)

    def of_features(self, features: NDArray[np.intp], w: Vector) -> Encoding:
        """Return the encoding of F in some features; see `Objective.of_features`."""
        columns = np.arange(len(w)) if self.features is None else self.features
        rest = np.setdiff1d(np.flatnonzero(w), features)
        fixed = self.fixed
        if len(rest):
            known = (np.zeros(0, dtype=np.intp), np.zeros(0)) if fixed is None else fixed
            fixed = np.append(known[0], columns[rest]), np.append(known[1], w[rest])
        coordinates = Coordinates.of_user(len(features), self.coordinates.fit_intercept)
        return replace(self, coordinates=coordinates, features=columns[features], fixed=fixed)

    def objective(
        self,
        number: int,
        X: Any,
        y: NDArray[Any],
        sample_weight: Vector,
        offset: Vector | None = None,
    ) -> InMemoryObjective:
        """Return the objective of one part: (1/S) Σ sL over its samples, without a penalty."""
        y, sample_weight = self.encode(y, sample_weight)
        if self.fixed is not None:
            columns, w = self.fixed
            known = linear_output(X[:, columns], w, 0.0)
            offset = known if offset is None else offset + known
        part = InMemoryObjective(
            X if self.features is None else X[:, self.features],
            y,
            sample_weight,
            NO_PENALTY,
            self.coordinates,
            self.n_threads,
            self.total_weight,
            offset=None if self.ignores_offset else offset,
        )
        if self.basis is not None:
            part = part.in_basis(self.basis).as_part()
        part.part_number = number
        return part.without(self.left_out)


class PartitionedObjective(BaseObjective):
    """F as a function of θ, for samples in parts; implements `Objective`.

    Parameters
    ----------
    parts : Parts
        The samples.
    data_size : DataSize
        The size of the samples of all parts.
    encoding : Encoding
        Converts the samples of a part to an objective.
    penalty : Penalty
        The penalty, in the units of the coordinates of ``encoding``.
    log_odds : float, default=0.0
        The intercept that minimises F at w = 0; 0 if no intercept is fitted. With an offset an
        estimate is enough.
    sample : InMemoryObjective or None, default=None
        Estimate of F from random samples of all parts, in the user's coordinates; None if there are
        too few samples for an estimate.
    passes : PassCounter, default=None
        Counter of passes, to which passes are added; None means a new counter.
    has_offset : bool, default=False
        Whether the parts have an offset.
    """

    has_columns = has_row_space = False
    array = None

    def __init__(
        self,
        parts: Parts,
        data_size: DataSize,
        encoding: Encoding,
        penalty: Penalty,
        log_odds: float = 0.0,
        sample: InMemoryObjective | None = None,
        passes: PassCounter | None = None,
        has_offset: bool = False,
    ) -> None:
        super().__init__(penalty, encoding.coordinates, passes)
        self.parts, self.encoding = parts, encoding
        self.data_size = replace(data_size, storage="partitioned")
        self.log_odds, self.sample, self.has_offset = log_odds, sample, has_offset

    @property
    def total_weight(self) -> float:
        """S, the total sample weight of all parts."""
        return self.encoding.total_weight

    @property
    def n_samples(self) -> int:
        """Number of samples in all parts."""
        return self.data_size.n_samples

    @property
    def value_at_origin(self) -> float:
        """F at ``origin`` in nats; with an offset or bounds, the estimate of ``sample``.

        It takes a pass if there is no sample.
        """
        if self.sample is not None:
            return self.sample.value_at_origin
        return super().value_at_origin

    def subsample(self, n_rows: int, random_state: Any) -> InMemoryObjective | None:
        """Return ``sample``, F over the random samples drawn in the first pass; None if not set.

        The arguments have no effect: the samples have been drawn already.
        """
        return self.sample

    def count_passes_of(self, sample: InMemoryObjective) -> None:
        """Do nothing: the sample is in memory, and the pass that drew it has been counted."""

    def dominating_penalty_coordinates(self, random_state: Any) -> None:
        """Return None: single rows of the parts cannot be read."""

    def in_coordinates(self, coordinates: Coordinates) -> PartitionedObjective:
        """Return F in other coordinates, given F in the user's; both share the pass counter."""
        return PartitionedObjective(
            self.parts,
            self.data_size,
            replace(self.encoding, coordinates=coordinates),
            self.penalty.in_units(coordinates.scale),
            self.log_odds,
            self.sample,
            self.passes,
            self.has_offset,
        )

    def in_basis(self, basis: Basis) -> PartitionedObjective:
        """Return F as a function of the coordinates v of a basis; both share the pass counter."""
        coordinates = Coordinates.of_user(basis.rank, fit_intercept=False)
        other = PartitionedObjective(
            self.parts,
            self.data_size,
            replace(self.encoding, coordinates=coordinates, basis=basis),
            ElasticNet(basis.strengths),
            passes=self.passes,
            has_offset=self.has_offset,
        )
        other._before_basis = self, basis
        return other

    def of_features(self, features: NDArray[np.intp], w: Vector) -> PartitionedObjective:
        """Return F as a function of the weights of some features; see `Objective.of_features`."""
        encoding = self.encoding.of_features(features, w)
        return PartitionedObjective(
            self.parts,
            self.data_size,
            encoding,
            self.penalty.of_features(features, self.n_features),
            self.log_odds,
            None if self.sample is None else self.sample.of_features(features, w),
            self.passes,
            self.has_offset or encoding.fixed is not None,
        )

    def standardised(self) -> PartitionedObjective:
        """Return F in coordinates of centred and scaled columns, given F in the user's.

        That takes one pass, for mean and deviation of the columns, unless these are known. The
        result shares the pass counter.
        """
        if self.moments is not None:
            return self.in_coordinates(self.moments.coordinates)
        (moments,) = self.sum_over_parts(moments_of_part)
        return self.in_coordinates(moments.coordinates)

    def raise_unless_finite(self) -> None:
        """Do nothing: the parts check their samples in the first pass."""

    def without(self, samples: SomeSamples) -> PartitionedObjective:
        """Return F without the losses of some samples; both share the pass counter."""
        other = copy(self)
        other.encoding = replace(self.encoding, left_out=self.encoding.left_out + samples)
        return other

    def without_offset(self) -> PartitionedObjective:
        """Return F with outputs that do not contain the offset, in the same coordinates.

        Its start and its random samples are those of this F.
        """
        other = copy(self)
        other.encoding, other.has_offset = replace(self.encoding, ignores_offset=True), False
        return other

    def samples_reference(self) -> None:
        """Return None: no single object in memory contains the samples."""

    def has_samples(self, X: Any) -> bool:
        """Return False: no single object in memory contains the samples."""
        return False

    def entropy_of_slopes(self, z: None, step: float, share: float) -> None:
        """Return None: outputs are not kept."""

    def constant_outputs(self, c: float) -> None:
        """Return None: linear outputs are not kept."""

    def zero_outputs(self) -> None:
        """Return None: linear outputs are not kept."""

    def add_outputs(self, factor: float, outputs: None, total: None) -> None:
        """Do nothing: linear outputs are not kept."""

    def outputs(self, vector: Vector) -> None:
        """Return None: linear outputs are not kept."""

    def linear_outputs(self, theta: Vector) -> None:
        """Return None: linear outputs are not kept."""

    def ray(self, point: Evaluation, vector: Vector, z_direction: None = None) -> PassRay:
        """Return F on the ray from the point along the vector; ``z_direction`` is not used."""
        return PassRay(self, point, vector)

    def ray_through(self, before: Evaluation, after: Evaluation) -> PassRay:
        """Return F on the ray from ``after`` along the difference of ``after`` and ``before``."""
        return PassRay(self, after, after.theta - before.theta)

    def leaves_model_region(self, before: Evaluation, after: Evaluation, decrement: float) -> None:
        """Return None: the changes of the linear outputs are not known."""

    def majorising_curvature(self, z: None) -> PartCurvature:
        """Return what stands for `InMemoryObjective.majorising_curvature` of all parts."""
        return PartCurvature("majorising")

    def curvature_bound(self) -> PartCurvature:
        """Return what stands for `InMemoryObjective.curvature_bound` of all parts."""
        return PartCurvature("bound")

    def total_curvature(self, point: Evaluation) -> float:
        """Return Σ p a(1−a) over the samples, with weights p of sum 1."""
        return point.curvature.total

    def evaluate(
        self,
        theta: Vector,
        z: None = None,
        *,
        hessian: bool = False,
        diagonal: bool = False,
    ) -> Evaluation:
        """Return F, its gradient and, on request, its curvature at θ, in one pass.

        The arguments are those of `Objective.evaluate`; ``z`` is None, and not used.
        """
        value, total, gradient, *second = self.sum_over_parts(_evaluate, theta, hessian, diagonal)
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
        """Return F at θ in nats, in one pass."""
        (value,) = self.sum_over_parts(_value, theta)
        return float(value) + self.penalty.value(theta[: self.n_features])

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, None]:
        """Return ∂²F/∂θ²·vector at the point, of shape (size,), and None for Z·vector; one pass."""
        (product,) = self.sum_over_parts(_product, point.theta, point.curvature.kind, vector)
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, None

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the rows and columns of ∂²F/∂θ² in a subset of θ, in one pass.

        The subset, an ndarray of shape (n,), has indices of entries of θ, ascending; the index of
        the intercept, if θ has one, must be among them. The result has shape (n, n).
        """
        (matrix,) = self.sum_over_parts(_matrix, point.theta, point.curvature.kind, subset)
        features = self.coordinates.features_of(subset)
        self._add_penalty_curvature(matrix.ravel()[:: len(matrix) + 1], features)
        return matrix

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, of shape (size,), in one pass."""
        (diagonal,) = self.sum_over_parts(_diagonal, point.theta, point.curvature.kind)
        return self._add_penalty_curvature(diagonal)

    def sum_over_parts(self, function: Callable[..., PartSums], *arguments: Any) -> PartSums:
        """Return the sum of the results of a function over all parts, item by item, in one pass.

        Parameters
        ----------
        function : callable (part, *arguments) -> list
            Called with the objective of each part, an `InMemoryObjective`, and the arguments.
        *arguments : object
            The same for each part.

        Raises
        ------
        ValueError
            If the number of samples differs from that of the first pass.
        """
        sums = self.parts.sum(partial(_on_part, function, self.encoding, arguments))
        n_samples, *sums = sums
        self.passes.add()
        if n_samples != self.n_samples:
            raise ValueError(
                f"The parts had {self.n_samples} samples in the first pass and have {n_samples} "
                "now; the samples must be the same in every pass."
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
    offset: Vector | None = None,
) -> PartSums:
    """Return a list of the number of samples of a part and the items of the function's result.

    The arguments from ``number`` on are those that `Parts.sum` passes; the function is called with
    the objective of the part and ``arguments``.
    """
    if isinstance(X, PartElsewhere):
        if function in OF_ANY_OBJECTIVE and encoding.is_plain:
            return [X.shape[0], *function(X.objective(encoding), *arguments)]
        X, y, sample_weight, offset = X.on_host()
    part = encoding.objective(number, X, y, sample_weight, offset)
    return [X.shape[0], *function(part, *arguments)]


def _evaluate(part: InMemoryObjective, theta: Vector, hessian: bool, diagonal: bool) -> PartSums:
    """Return value, total curvature and gradient of a part, and the wanted second derivatives."""
    point = part.evaluate(theta, hessian=hessian, diagonal=diagonal)
    second = [point.hessian] if hessian else [point.diagonal] if diagonal else []
    return [point.value, part.total_curvature(point), point.gradient, *second]


def _value(part: InMemoryObjective, theta: Vector) -> PartSums:
    """Return the value of a part's objective at θ."""
    return [part.value_at(theta)]


def _product(part: InMemoryObjective, theta: Vector, kind: str, vector: Vector) -> PartSums:
    """Return the product of a vector with the curvature of a part."""
    return [part.curvature_product(_with_curvature(part, theta, kind), vector)[0]]


def _matrix(
    part: InMemoryObjective, theta: Vector, kind: str, subset: NDArray[np.intp]
) -> PartSums:
    """Return the curvature matrix of a part in a subset of θ."""
    return [part.curvature_matrix(_with_curvature(part, theta, kind), subset)]


def _diagonal(part: InMemoryObjective, theta: Vector, kind: str) -> PartSums:
    """Return the diagonal of the curvature matrix of a part."""
    return [part.curvature_diagonal(_with_curvature(part, theta, kind))]


def _with_curvature(part: InMemoryObjective, theta: Vector, kind: str) -> Evaluation:
    """Return an evaluation of a part at θ whose curvature is of a kind of `PartCurvature`."""
    if kind == "bound":
        return Evaluation(theta, np.nan, None, None, part.curvature_bound())
    if kind == "majorising":
        z = part.linear_outputs(theta)
        return Evaluation(theta, np.nan, None, z, part.majorising_curvature(z))
    return part.evaluate(theta)


# Functions of a part that use no more of it than `Objective`, and the moments of its columns.
OF_ANY_OBJECTIVE = {_evaluate, _value, _product, _matrix, _diagonal, moments_of_part}
