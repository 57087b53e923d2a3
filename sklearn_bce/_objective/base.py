"""The contract between objectives and solvers, and the base class of all objectives.

F(θ) is the mean loss of the samples plus the penalty, as a function of the coordinates θ.

- `Objective`: the contract: the methods of F that solvers call.
- `Ray`: the contract for F along a direction.
- `Evaluation`: F and its derivatives at one θ.
- `PassCounter`: the number of times that the samples have been read.
- `DataSize`: the numbers of samples and of stored values, which decide what a pass costs.
- `SomeSamples`: the indices of some samples, in memory or in parts.
- `BaseObjective`: coordinates, penalty and pass counter, which all objectives have.
"""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.basis import Basis
from sklearn_bce._objective.penalty import BOUND_ROUNDING, Penalty
from sklearn_bce._objective.scaling import MAX_OFF_CENTRE, Coordinates, Moments

# The largest value of a(1 − a), at a = 1/2: the slope of the sigmoid a = σ(z), and the second
# derivative of a sample's loss in z.
MAX_SLOPE = 0.25
# F at θ = 0 in nats without an offset: the loss of each sample is log 2 for any target, and the
# penalty is 0.
LOSS_AT_ZERO = float(np.log(2))
# Rounding error of a sum over samples, by the dtype of X, as a fraction of the sum of the absolute
# values of the terms. float64: ε√n at n = 2·10⁷, if errors add up like a random walk. float32: 8ε,
# because only sums within a block of rows are in single precision.
# tests/test_objective.py::test_sums_over_samples_are_exact_to_sum_rounding
SUM_ROUNDING = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}
# Elements of a sample of the rows of X on a device up to which Newton's method on the sample takes
# less time on the host, as a step on the device takes as long as its launches: of 2 000 rows of 50
# features the host takes 1.5 ms, as long as four evaluations on an H200. [a choice: 1 MB]
HOST_SAMPLE_ELEMENTS = 2**17


@dataclass(frozen=True, eq=False)
class SomeSamples:
    """The indices of some samples; two sets of samples can be added.

    Attributes
    ----------
    rows : dict of int to ndarray of shape (n,), intp
        The rows of each part that has some of the samples, ascending. Samples in memory are part 0.
    """

    rows: dict[int, NDArray[np.intp]]

    def __len__(self) -> int:
        """Return the number of samples."""
        return sum(map(len, self.rows.values()))

    def __add__(self, other: SomeSamples) -> SomeSamples:
        """Return the samples that are in one of the sets, or in both."""
        both = self.rows.keys() & other.rows.keys()
        of_both = {part: np.union1d(self.rows[part], other.rows[part]) for part in both}
        return SomeSamples(self.rows | other.rows | of_both)


NO_SAMPLES = SomeSamples({})


@dataclass(frozen=True, eq=False)
class Maxima:
    """The largest values over samples, an ndarray; those of two sets of samples can be added."""

    values: Vector

    def __add__(self, other: Maxima) -> Maxima:
        """Return the largest values over both sets of samples."""
        return Maxima(np.maximum(self.values, other.values))


class PassCounter:
    """Counts how often the samples are read.

    Objectives that are the same F in different coordinates share one counter.

    Parameters
    ----------
    total : float, default=0.0
        Passes to begin with.

    Attributes
    ----------
    total : float
        Passes so far. Reading a subset of the rows counts as their fraction of all rows.
    """

    def __init__(self, total: float = 0.0) -> None:
        self.total = total

    def add(self, passes: float = 1.0) -> None:
        """Add a number of passes over all rows to ``total``; changes self."""
        self.total += passes


@dataclass(slots=True, eq=False)
class Evaluation:
    """F and its derivatives at one θ.

    Arrays of length n_samples belong to the objective that made them: a solver passes them back to
    that objective and does not compute with them, because they may be in the memory of a device.

    Attributes
    ----------
    theta : ndarray of shape (size,), float64
        θ.
    value : float
        F, the mean loss plus the penalty, in nats.
    gradient : ndarray of shape (size,), float64, or None
        Gradient of the smooth part of F; None if only the value was asked for.
    z : array of length n_samples or None
        Linear outputs of the samples, the offset included; None if the objective does not keep
        outputs in memory.
    curvature : array of length n_samples, `PartCurvature` or None
        Second derivative p a(1−a) of each sample's term in its output; a `PartCurvature` for
        samples in parts; None if only the value was asked for.
    hessian : ndarray of shape (size, size), float64, or None
        ∂²F/∂θ² of the smooth part; None if the matrix was not asked for, or `take_hessian` has been
        called.
    diagonal : ndarray of shape (size,), float64, or None
        The diagonal of ∂²F/∂θ²; None if neither the diagonal nor the matrix was asked for.
    """

    theta: Vector
    value: float
    gradient: Vector | None
    z: Any
    curvature: Any
    hessian: NDArray[np.float64] | None = None
    diagonal: Vector | None = None

    def take_hessian(self) -> NDArray[np.float64] | None:
        """Return ``hessian`` and set the attribute to None, so that the caller may overwrite it.

        Return None if there is no matrix.
        """
        hessian, self.hessian = self.hessian, None
        return hessian


@dataclass(frozen=True)
class DataSize:
    """The size of the samples X, from which the cost of a pass is estimated.

    Attributes
    ----------
    n_samples : int
        Number of rows.
    dtype : dtype
        float32 or float64.
    storage : {"dense", "csr", "partitioned", "device"}
        How the samples are stored: as an array of the processor, as a CSR matrix, in parts, or as
        an array in the memory of another device.
    n_stored : float
        Number of stored values: all elements of an array, those stored in a CSR matrix.
    n_pairs : float
        Number of ordered pairs of values stored in the same row, each value also paired with
        itself.
    """

    n_samples: int
    dtype: np.dtype
    storage: str
    n_stored: float
    n_pairs: float

    @classmethod
    def of(cls, X: Any) -> DataSize:
        """Return the size of an array or a CSR matrix."""
        if not issparse(X):
            return cls(len(X), X.dtype, "dense", float(X.size), float(X.size) * X.shape[1])
        lengths = np.diff(X.indptr).astype(np.float64)
        return cls(X.shape[0], X.dtype, "csr", float(X.nnz), float(lengths @ lengths))

    @property
    def sum_rounding(self) -> float:
        """Rounding error of a sum over the samples, as a fraction of the sum of absolute values."""
        return SUM_ROUNDING[self.dtype]

    def __add__(self, other: DataSize) -> DataSize:
        """Return the size of both sets of samples together; its storage is "partitioned"."""
        return DataSize(
            self.n_samples + other.n_samples,
            np.promote_types(self.dtype, other.dtype),
            "partitioned",
            self.n_stored + other.n_stored,
            self.n_pairs + other.n_pairs,
        )


class Ray(Protocol):
    """F on the ray θ + t·d, t >= 0, from an evaluation at θ along a direction d.

    If an objective keeps the outputs z in memory and Z·d is known, z + t·Zd are the outputs at
    every point of the ray: values and derivatives along the ray then take no pass over X.
    """

    def evaluate(self, t: float, *, hessian: bool = False, diagonal: bool = False) -> Evaluation:
        """Return the evaluation at θ + t·d, in one pass; see `Objective.evaluate`."""

    def evaluate_value(self, t: float) -> Evaluation | None:
        """Return the evaluation at θ + t·d without derivatives; None if it would take a pass."""

    def value(self, t: float) -> float:
        """Return F(θ + t·d), in nats."""

    def exact_step_length(self) -> float:
        """Return the t that minimises F, to a few percent; 1 if a search would take passes."""

    def distant_step_length(self) -> float | None:
        """Return the t that minimises F, which may be very large; None if F does not fall along d.

        An objective for which a search would take passes returns a fixed large t.
        """

    def max_halvings(self, decrement: float) -> int:
        """Return how often a step may be halved, given its squared Newton decrement in nats."""


class Objective(Protocol):
    """F(θ) = mean loss + penalty, wherever the samples are: the methods that solvers call.

    A method that an objective cannot support returns None, so that a solver does not need to know
    the class of its objective. Linear outputs are arrays of length n_samples, with which only the
    objective computes; an objective that does not keep outputs in memory returns None for them.
    `BaseObjective` implements further methods, which do not depend on where the samples are.

    Some callers use methods of `InMemoryObjective` that are not part of this contract: the solver
    sgd, `RowSpace`, `ColumnQuadratic`, and the solution of a subsample.

    Attributes
    ----------
    penalty : Penalty
        The penalty, in the units of ``coordinates``.
    coordinates : Coordinates
        Shift and scale that relate θ to the user's weights and intercept.
    data_size : DataSize
        Size of the samples.
    passes : PassCounter
        Counts the passes over the samples; shared with F in other coordinates.
    log_odds : float
        The intercept that minimises F at w = 0; 0 if no intercept is fitted.
    has_offset : bool
        Whether the linear outputs of the samples contain known terms, the offset.
    has_row_space : bool
        Whether F can be minimised in the space of the samples, see `RowSpace`.
    has_columns : bool
        Whether single columns can be copied from X, as from a CSR matrix.
    array : ndarray of shape (n_samples, n_features), or None
        X, if it is one array in memory.
    """

    penalty: Penalty
    coordinates: Coordinates
    data_size: DataSize
    passes: PassCounter
    log_odds: float
    has_offset: bool
    has_row_space: bool
    has_columns: bool
    array: NDArray[Any] | None

    @property
    def n_samples(self) -> int:
        """Number of samples."""

    @property
    def total_weight(self) -> float:
        """S, the sum of the sample weights."""

    @property
    def origin(self) -> Vector:
        """θ from which a fit starts if no weights are given, a new array of shape (size,).

        The weights are 0, or the bound nearest to 0. With an offset the intercept is ``log_odds``,
        else 0.
        """

    def is_origin(self, theta: Vector) -> bool:
        """Return whether θ is ``origin``."""

    @property
    def value_at_origin(self) -> float:
        """F at ``origin``, in nats, or an estimate of it from random samples.

        Takes a pass with an offset or bounds only, and only if outputs are not known at ``origin``.
        """

    # ----- F and its derivatives -----

    def evaluate(
        self, theta: Vector, z: Any = None, *, hessian: bool = False, diagonal: bool = False
    ) -> Evaluation:
        """Return F, its gradient and, on request, its curvature at θ, in one pass.

        Parameters
        ----------
        theta : ndarray of shape (size,), float64
            θ; kept in the result, not copied.
        z : array of length n_samples or None, default=None
            Linear outputs at θ, kept in the result; None means that they are not known.
        hessian : bool, default=False
            Whether to form the matrix of second derivatives.
        diagonal : bool, default=False
            Whether to form the diagonal of that matrix.
        """

    def value_at(self, theta: Vector, z: Any = None) -> float:
        """Return F at θ, in nats; without a pass if the linear outputs z at θ are given."""

    def entropy_of_slopes(self, z: Any, step: float, share: float) -> float | None:
        """Return Σ p [H(q) + vo] in nats, the dual of the loss, without a pass; see `duality_gap`.

        H is the binary entropy, q = y + v, v = share·(a − y − step·a(1−a)), a = σ(z), and o is the
        offset. None if outputs are not kept.
        """

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, Any]:
        """Return ∂²F/∂θ²·vector, of shape (size,), and Z·vector, in one pass.

        Z·vector is None if the objective does not keep outputs in memory.
        """

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the rows and columns of ∂²F/∂θ² with the n indices in the subset, in one pass.

        The result has shape (n, n). The indices are ascending.
        """

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ², of shape (size,), in one pass."""

    def curvature_bound(self) -> Any:
        """Return a bound of the curvature of each loss, in place of `Evaluation.curvature`."""

    def majorising_curvature(self, z: Any) -> Any:
        """Return the curvature of majorising parabolas, in place of `Evaluation.curvature`.

        A majorising parabola touches the loss of a sample at z, and is nowhere below the loss.
        """

    # ----- along a direction -----

    def ray(self, point: Evaluation, vector: Vector, z_direction: Any = None) -> Ray:
        """Return F on the ray from the point along the vector.

        ``z_direction`` is Z·vector, or None if it is not known.
        """

    def ray_through(self, before: Evaluation, after: Evaluation) -> Ray:
        """Return F on the ray from ``after`` along the difference of ``after`` and ``before``."""

    def leaves_model_region(
        self, before: Evaluation, after: Evaluation, decrement: float
    ) -> bool | None:
        """Return whether the curvature of a sample changes much between two points.

        Samples count if their outputs change so much that their curvature cannot be the same after
        the step, and if the decrement, the squared Newton decrement of the step, is in part due to
        their curvature. None if the objective does not keep outputs in memory.
        """

    # ----- outputs -----

    def outputs(self, vector: Vector) -> Any:
        """Return Z·vector, in one pass; None if outputs are not kept in memory.

        The vector is a direction: the result does not contain the offset.
        """

    def linear_outputs(self, theta: Vector) -> Any:
        """Return Z·θ plus the offset, in one pass; None if outputs are not kept in memory."""

    def constant_outputs(self, c: float) -> Any:
        """Return the outputs z if all weights are 0 and the intercept is c; None if not kept.

        The result contains the offset.
        """

    def zero_outputs(self) -> Any:
        """Return zeros to which `add_outputs` can add; None if outputs are not kept."""

    def add_outputs(self, factor: float, outputs: Any, total: Any) -> None:
        """Add factor·outputs to ``total``, in place; do nothing if outputs are not kept."""

    # ----- other objectives -----

    def in_coordinates(self, coordinates: Coordinates) -> Objective:
        """Return F in other coordinates, given that F is in the user's coordinates now."""

    def in_basis(self, basis: Basis) -> Objective:
        """Return F as a function of the coordinates v of a basis, given a penalty without L1."""

    def standardised(self) -> Objective:
        """Return F in coordinates of centred and scaled columns, given F in the user's."""

    def of_features(self, features: NDArray[np.intp], w: Vector) -> Objective:
        """Return F as a function of the weights of some features, without penalty strengths.

        F must be in the user's coordinates. The weights of the others are those of w, of shape
        (n_features,); the bounds of the n ``features``, an array of indices, remain.
        """

    def dominating_penalty_coordinates(self, random_state: Any) -> Coordinates | None:
        """Return estimated standard coordinates if the penalty dominates the loss in all of them.

        None if the penalty does not dominate, or if that is not known without a pass.
        """

    def subsample(self, n_rows: int, random_state: Any) -> Objective | None:
        """Return F on about n_rows random rows; None if a sample of that size is of no use."""

    def count_passes_of(self, sample: Objective) -> None:
        """Add the passes over a subsample, as fractions of a pass, to ``passes``; changes self."""

    # ----- the samples -----

    def sum_over_parts(self, function: Any, *arguments: Any) -> list[Any]:
        """Return the sum of the results of a function over all parts, item by item, in one pass.

        ``function(part, *arguments)`` is called for each part with its objective, an
        `InMemoryObjective` in the coordinates of F and without a penalty, whose weights are divided
        by S of all parts. The function returns a list of items that can be added, and can be
        pickled. Samples in memory are one part.
        """

    def without(self, samples: SomeSamples) -> Self:
        """Return F without the losses of some samples; S, the divisor, remains what it is."""

    def without_offset(self) -> Self:
        """Return F with outputs that do not contain the offset, in the same coordinates."""

    def samples_reference(self) -> Any:
        """Return a weak reference to X; None if no single object contains the samples."""

    def has_samples(self, X: Any) -> bool:
        """Return whether X is the array or matrix of this objective: the object, not its values."""

    def raise_unless_finite(self) -> None:
        """Raise NotFiniteError if an element of X is infinite or NaN."""


class BaseObjective:
    """Base class of F, the mean loss plus the penalty as a function of θ.

    Parameters
    ----------
    penalty : Penalty
        The penalty, in the units of ``coordinates``.
    coordinates : Coordinates
        Shift and scale that relate θ to the user's weights and intercept.
    passes : PassCounter, default=None
        Counter of passes, to which passes are added; None means a new counter.
    """

    has_offset = False
    # Mean and deviation of the columns of X with the weights of F; None if they are not known.
    moments: Moments | None = None
    # F in the user's coordinates, and the basis; None if θ are not the coordinates of a basis.
    _before_basis: tuple[Objective, Basis] | None = None

    def __init__(
        self, penalty: Penalty, coordinates: Coordinates, passes: PassCounter | None = None
    ) -> None:
        self.penalty, self.coordinates = penalty, coordinates
        self.passes = PassCounter() if passes is None else passes

    @property
    def n_features(self) -> int:
        """Number of weights."""
        return len(self.coordinates.scale)

    @property
    def n_passes(self) -> float:
        """Number of times that the samples have been read; see `PassCounter`."""
        return self.passes.total

    @property
    def null_intercept(self) -> float:
        """The user's intercept from which a fit starts if no weights are given.

        With an L1 norm or bounds the start is the minimum over the intercept at w = 0, the
        log-odds, because all weights may be 0 at the minimum of F. For a smooth F the start is 0:
        Newton's whole steps converge from 0, and may have to be halved from the log-odds. With an
        offset the start is always the minimum over the intercept: 0 may be far from it.
        """
        return 0.0 if self.penalty.is_smooth and not self.has_offset else self.log_odds

    @property
    def origin(self) -> Vector:
        """θ from which a fit starts if no weights are given, a new array of shape (size,).

        The weights are 0, or the bound nearest to 0. With an offset the intercept is ``log_odds``,
        else 0.
        """
        theta = np.zeros(self.coordinates.size)
        if self.has_offset and self._before_basis is not None:
            objective, basis = self._before_basis
            return basis.from_theta(objective.in_coordinates(basis.coordinates).origin)
        if self.has_offset:
            theta[self.n_features :] = self.log_odds
        if self.penalty.has_bounds:
            u = np.clip(theta[: self.n_features], self.penalty.lower, self.penalty.upper)
            theta[self.n_features :] += self.coordinates.shift @ (u / self.coordinates.scale)
            theta[: self.n_features] = u
        return theta

    def is_origin(self, theta: Vector) -> bool:
        """Return whether θ is ``origin``."""
        if not (self.has_offset or self.penalty.has_bounds):
            return not np.any(theta)
        return np.array_equal(theta, self.origin)

    @property
    def value_at_origin(self) -> float:
        """F at ``origin``, in nats.

        Takes a pass with an offset or bounds only, and only if outputs are not known at ``origin``.
        """
        if not (self.has_offset or self.penalty.has_bounds):
            return LOSS_AT_ZERO
        origin = self.origin
        is_null = not np.any(origin[: self.n_features])
        z = self.constant_outputs(float(np.sum(origin[self.n_features :]))) if is_null else None
        return self.value_at(origin, z)

    def know_moments(self) -> None:
        """Find mean and deviation of the columns in a pass, unless they are known; changes self.

        `Objective.standardised` then takes no pass, also of F with other penalties.
        """
        if self.moments is None:
            with np.errstate(all="ignore"):  # what overflows is not finite, which fits tell
                (self.moments,) = self.sum_over_parts(moments_of_part)

    def count_deviating(self, columns: NDArray[np.intp], values: Vector) -> NDArray[np.intp]:
        """Return the number of samples with weight that deviate from a value, in one pass.

        Parameters
        ----------
        columns : ndarray of shape (n,), intp
            Indices of columns of X.
        values : ndarray of shape (n,), float64
            The value of each column.

        Returns
        -------
        counts : ndarray of shape (n,)
            Numbers of samples, for each column.
        """
        (counts,) = self.sum_over_parts(deviating, columns, values)
        return counts

    def with_penalty(self, penalty: Penalty) -> Self:
        """Return F with another penalty, in the same coordinates; both share the pass counter."""
        other = copy(self)
        other.penalty = penalty
        return other

    def on_bounds(self, theta: Vector) -> Vector:
        """Return θ with the weights at a bound but for rounding set to it; θ itself if none has."""
        if not self.penalty.has_bounds:
            return theta
        return self._on_bounds(theta, np.abs(theta))

    def moved(self, theta: Vector, t: float, vector: Vector) -> Vector:
        """Return θ + t·vector, with the weights at a bound but for rounding set to the bound."""
        step = t * vector
        return self._on_bounds(theta + step, np.abs(theta) + np.abs(step))

    def _on_bounds(self, theta: Vector, terms: Vector) -> Vector:
        """Return θ with weights set to their bounds, given the terms that θ is the sum of."""
        p = self.n_features
        u = self.penalty.on_bounds(theta[:p], BOUND_ROUNDING * terms[:p])
        return np.append(u, theta[p:])

    def momentum(self, n_steps: int) -> float:
        """Return the momentum of accelerated proximal gradient descent after n_steps steps.

        With neither an L1 norm nor bounds the momentum is 0: gradient descent is then the update of
        the derivation, without acceleration.
        """
        return 0.0 if self.penalty.is_smooth else n_steps / (n_steps + 3)

    def evaluate_start(self, theta: Vector, **derivatives: bool) -> Evaluation:
        """Return the evaluation at θ, in one pass.

        If all weights are 0, every linear output is the intercept plus the offset, and is not
        computed from X. The keyword arguments are ``hessian`` and ``diagonal`` of
        `Objective.evaluate`.
        """
        intercept = float(np.sum(theta[self.n_features :]))
        known = not np.any(theta[: self.n_features])
        z = self.constant_outputs(intercept) if known else None
        return self.evaluate(theta, z, **derivatives)

    def directional_derivative(self, point: Evaluation, vector: Vector) -> float:
        """Return the right derivative of F(θ + t·vector) in t at t = 0, in nats, with the L1 norm.

        θ is that of the point.
        """
        du = vector[: self.n_features]
        of_penalty = self.penalty.directional_derivative(point.theta[: self.n_features], du)
        return float(point.gradient @ vector) + of_penalty

    def diagonal_preconditioner(self, point: Evaluation) -> Vector:
        """Return an estimate of the diagonal of ∂²F/∂θ², of shape (size,), without a pass.

        The estimate is exact if the squares of the features are not correlated with the curvature
        of the samples, in standard coordinates, in which the mean square of each column is 1.
        """
        diagonal = np.full(self.coordinates.size, self.total_curvature(point))
        return self._add_penalty_curvature(diagonal)

    def total_curvature(self, point: Evaluation) -> float:
        """Return Σ p a(1−a) over the samples, with weights p of sum 1."""
        return float(np.sum(point.curvature))

    @property
    def off_centre(self) -> float:
        """The largest |mean| of a column whose products are centred, in deviations, at most."""
        shift, scale = self.coordinates.shift, self.coordinates.scale
        largest = float(np.max(np.abs(shift) / scale))
        return min(largest, MAX_OFF_CENTRE[self.data_size.dtype])

    @property
    def curvature_rounding(self) -> float:
        """Relative rounding error of the matrix ∂²F/∂θ², that of a sum of a few terms.

        Products with sparse rows are summed in float64, whatever the dtype of X. Centring loses the
        square of the distance of a column's mean from 0.
        """
        dtype = np.dtype(np.float64) if self.data_size.storage == "csr" else self.data_size.dtype
        return float(np.finfo(dtype).eps) * (1 + self.off_centre**2)

    def penalty_dominates(self) -> bool:
        """Return whether every λ is at least 1/4, the most that the curvature of the loss can be.

        This bound holds in standard coordinates, in which the mean square of each column is 1.
        """
        return float(np.min(self.penalty.curvature_diagonal(self.n_features))) >= MAX_SLOPE

    def _add_penalty_curvature(self, diagonal: Vector, features: Any = slice(None)) -> Vector:
        """Add λ of the given features to a diagonal, in place, and return the diagonal.

        Parameters
        ----------
        diagonal : ndarray of shape (n,) or (n + 1,)
            Diagonal of the curvature of the loss; changed. A last entry for the intercept, which
            has no penalty, is left as it is.
        features : slice or ndarray of shape (n,), default=slice(None)
            Indices of the features; the default means all.
        """
        of_penalty = self.penalty.curvature_diagonal(self.n_features)[features]
        diagonal[: len(of_penalty)] += of_penalty
        return diagonal


def deviating(part: Any, columns: NDArray[np.intp], values: Vector) -> list[NDArray[np.intp]]:
    """Return, for some columns of a part, the number of samples with weight with another value."""
    weighted = part.sample_weight > 0
    X = part.X[:, columns] if weighted.all() else part.X[weighted][:, columns]
    X = X.toarray() if issparse(X) else X
    return [np.sum(values != X, axis=0)]


def moments_of_part(part: Any) -> list[Moments]:
    """Return the moments of the columns of a part, with its weights."""
    return [part.column_moments()]
