"""What every objective has in common, and the contract between objectives and solvers.

- `Objective`: the contract: what a solver may ask of F, wherever the samples lie.
- `Ray`: the contract for F along a direction.
- `Evaluation`: F and its derivatives at one θ.
- `PassCounter`: how many times the samples have been read.
- `DataSize`: how much there is of the samples, which is what passes cost.
- `BaseObjective`: coordinates, penalty and pass counter, which all objectives share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.penalty import Penalty
from sklearn_bce._objective.scaling import Coordinates

# The largest value of a(1 − a), the slope of the sigmoid and the curvature of a sample's loss in z,
# which is that at a = 1/2.
LARGEST_SLOPE = 0.25
# Rounding error of a sum over samples, by the dtype of X, as a share of the sum of the magnitudes
# of the terms. float64: ε√n at n = 2·10⁷, as of errors that add up like a random walk. float32:
# 8ε, as only sums within a block of rows are in single precision.
# tests/test_objective.py::test_sums_over_samples_are_exact_to_sum_rounding
SUM_ROUNDING = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}


class PassCounter:
    """Counts how often the samples are read; one counter serves F in all its coordinates.

    Attributes
    ----------
    total : float
        Passes so far. Reading a sample of the rows counts by its fraction of them.
    """

    def __init__(self, total: float = 0.0) -> None:
        self.total = total

    def add(self, passes: float = 1.0) -> None:
        """Count passes over all rows; changes self."""
        self.total += passes


@dataclass(slots=True, eq=False)
class Evaluation:
    """F at one θ, with what its neighbourhood can be computed from.

    Arrays of length n_samples belong to the objective that made them: a solver hands them back to
    that objective and does not compute with them, as they may lie on a device.

    Attributes
    ----------
    theta : ndarray of shape (size,), float64
        The coordinates of the place.
    value : float
        F, in nats per unit of sample weight.
    gradient : ndarray of shape (size,), float64, or None
        Gradient of the smooth part of F; None if only the value was asked for.
    z : array of length n_samples or None
        Linear outputs; None if the objective does not hold them.
    curvature : array of length n_samples, or what stands for it, or None
        p a(1−a), each sample's own curvature; None if only the value was asked for.
    hessian : ndarray of shape (size, size), float64, or None
        ∂²F/∂θ² of the smooth part, if it was asked for and has not been taken.
    diagonal : ndarray of shape (size,), float64, or None
        The diagonal of ∂²F/∂θ², if that or the matrix was asked for.
    """

    theta: Vector
    value: float
    gradient: Vector | None
    z: Any
    curvature: Any
    hessian: NDArray[np.float64] | None = None
    diagonal: Vector | None = None

    def take_hessian(self) -> NDArray[np.float64] | None:
        """Return the matrix and give it up: the caller may overwrite it; None if there is none."""
        hessian, self.hessian = self.hessian, None
        return hessian


@dataclass(frozen=True)
class DataSize:
    """The size of samples X: what passes over them cost.

    Attributes
    ----------
    n_samples : int
        Number of rows.
    dtype : dtype
        float32 or float64.
    storage : {"dense", "csr", "partitioned"}
        How the samples are read: an array, a CSR matrix, or parts that are brought one by one.
    n_stored : float
        Number of stored values.
    n_pairs : float
        Number of ordered pairs of values stored in the same row.
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

    def __add__(self, other: DataSize) -> DataSize:
        """Return the size of both sets of samples, as parts of one."""
        return DataSize(
            self.n_samples + other.n_samples,
            np.promote_types(self.dtype, other.dtype),
            "partitioned",
            self.n_stored + other.n_stored,
            self.n_pairs + other.n_pairs,
        )


class Ray(Protocol):
    """F on the ray θ + t·d, t >= 0, from an evaluation at θ along a direction d.

    An objective that holds outputs z knows them everywhere on the ray once Z·d is known, so that
    values and derivatives along the ray read no X.
    """

    def evaluate(self, t: float, *, hessian: bool = False, diagonal: bool = False) -> Evaluation:
        """Return the evaluation at t, in one pass."""

    def evaluate_value(self, t: float) -> Evaluation | None:
        """Return the evaluation at t without derivatives; None if that would take a pass."""

    def value(self, t: float) -> float:
        """Return F at t, in nats."""

    def exact_step_length(self) -> float:
        """Return the t where F is least, to a few percent; 1 if a search takes passes."""

    def distant_step_length(self) -> float | None:
        """Return the t where F is least, however far; None if F does not fall along d."""

    def max_halvings(self, decrement: float) -> int:
        """Return how often a step with this squared Newton decrement may be halved."""


class Objective(Protocol):
    """What a solver may ask of F(θ) = mean loss + penalty, wherever the samples lie.

    An objective that cannot do something says so by returning None, so that solvers do not ask
    which kind of objective they have. Outputs are arrays of length n_samples, which the objective
    alone computes with; an objective that does not hold outputs has None in their place.

    Some callers need more than this contract: the solver sgd, the row space, column models and a
    subsample of rows use `InMemoryObjective` itself.

    Attributes
    ----------
    penalty : Penalty
        In the units of ``coordinates``.
    coordinates : Coordinates
        What θ means.
    data_size : DataSize
        How much there is of the samples.
    passes : PassCounter
        Counts the passes of this objective in all its coordinates.
    log_odds : float
        The user's intercept if all weights are 0, at the minimum; 0 without an intercept.
    has_row_space : bool
        Whether `RowSpace` applies.
    has_columns : bool
        Whether columns can be taken one by one, as CSC.
    """

    penalty: Penalty
    coordinates: Coordinates
    data_size: DataSize
    passes: PassCounter
    log_odds: float
    has_row_space: bool
    has_columns: bool

    @property
    def n_samples(self) -> int:
        """Number of samples."""

    @property
    def total_weight(self) -> float:
        """S, the total sample weight."""

    # ----- F and its derivatives -----

    def evaluate(
        self, theta: Vector, z: Any = None, *, hessian: bool = False, diagonal: bool = False
    ) -> Evaluation:
        """Return F and its gradient at θ and, if asked for, its curvature, in one pass."""

    def value_at(self, theta: Vector, z: Any = None) -> float:
        """Return F at θ, in nats; without a pass if the outputs z at θ are given."""

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, Any]:
        """Return ∂²F/∂θ²·vector, and Z·vector or None if outputs are not held, in one pass."""

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the rows and columns of ∂²F/∂θ² in a subset of the coordinates, in one pass."""

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ², in one pass."""

    def curvature_bound(self) -> Any:
        """Return the largest curvature of each loss anywhere, as `Evaluation.curvature` has it."""

    def majorising_curvature(self, z: Any) -> Any:
        """Return the curvature of parabolas above the losses, as `Evaluation.curvature` has it."""

    # ----- along a direction -----

    def ray(self, point: Evaluation, vector: Vector, z_direction: Any = None) -> Ray:
        """Return F on the ray from the point along the vector; ``z_direction`` is Z·vector."""

    def ray_through(self, before: Evaluation, after: Evaluation) -> Ray:
        """Return F on the ray from ``after``, in the direction that led there from ``before``."""

    def leaves_model_region(
        self, before: Evaluation, after: Evaluation, decrement: float
    ) -> bool | None:
        """Return whether a step owes some of its decrement to curvature that it leaves behind.

        None if outputs are not held, so that the answer is not known.
        """

    # ----- outputs -----

    def outputs(self, vector: Vector) -> Any:
        """Return Z·vector, in one pass; None if outputs are not held."""

    def constant_outputs(self, c: float) -> Any:
        """Return the outputs z if all weights are 0 and the intercept is c; None if not held."""

    def zero_outputs(self) -> Any:
        """Return outputs that are 0, for `add_outputs`; None if outputs are not held."""

    def add_outputs(self, factor: float, outputs: Any, total: Any) -> None:
        """Add factor·outputs to the total, in place; do nothing if outputs are not held."""

    # ----- other objectives -----

    def in_coordinates(self, coordinates: Coordinates) -> Objective:
        """Return the same F, of the user's coordinates, in others."""

    def standardised(self) -> Objective:
        """Return the same F, of the user's coordinates, in those of centred and scaled columns."""

    def dominating_penalty_coordinates(self, random_state: Any) -> Coordinates | None:
        """Return near-standard coordinates in which the penalty outweighs the loss everywhere.

        None if it does not, or if that is not known without a pass.
        """

    def subsample(self, n_rows: int, random_state: Any) -> Objective | None:
        """Return F on about so many random rows; None if a sample of that size is of no use."""

    def count_passes_of(self, sample: Objective) -> None:
        """Count the passes over a subsample; changes self."""

    # ----- the samples -----

    def samples_reference(self) -> Any:
        """Return a weak reference to X; None if there is no object that holds the samples."""

    def holds(self, X: Any) -> bool:
        """Return whether the samples are this very object."""

    def raise_unless_finite(self) -> None:
        """Raise NotFiniteError if an element of X is infinite or NaN."""


class BaseObjective:
    """A loss plus a penalty, as a function of θ.

    Parameters
    ----------
    penalty : Penalty
        In the units of ``coordinates``.
    coordinates : Coordinates
        What θ means.
    passes : PassCounter, default=None
        The counter to go on with; None means a new one.
    """

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
        """How many times the samples have been read; see `PassCounter`."""
        return self.passes.total

    @property
    def null_intercept(self) -> float:
        """The user's intercept from which a fit starts that is given no weights.

        With an L1 norm all weights of the minimum may be 0: the log-odds are its intercept then.
        Without, Newton's method needs no damping from 0, and does from the log-odds.
        """
        return 0.0 if self.penalty.is_smooth else self.log_odds

    def momentum(self, n_steps: int) -> float:
        """Return the momentum of accelerated proximal gradient descent after so many steps.

        Without an L1 norm it is 0: gradient descent is then the plain update of the derivation.
        """
        return 0.0 if self.penalty.is_smooth else n_steps / (n_steps + 3)

    def evaluate_start(self, theta: Vector, **derivatives: bool) -> Evaluation:
        """Return the evaluation at θ; if all weights are 0 the outputs are known without X."""
        intercept = float(np.sum(theta[self.n_features :]))
        known = not np.any(theta[: self.n_features])
        z = self.constant_outputs(intercept) if known else None
        return self.evaluate(theta, z, **derivatives)

    def directional_derivative(self, point: Evaluation, vector: Vector) -> float:
        """Return the derivative of F at the point in the direction of the vector."""
        du = vector[: self.n_features]
        of_penalty = self.penalty.directional_derivative(point.theta[: self.n_features], du)
        return float(point.gradient @ vector) + of_penalty

    def diagonal_preconditioner(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² for features that do not go along with the curvature.

        This holds in standard coordinates, where the mean square of each column is 1. It takes no
        pass.
        """
        diagonal = np.full(self.coordinates.size, self.total_curvature(point))
        return self._add_penalty_curvature(diagonal)

    def total_curvature(self, point: Evaluation) -> float:
        """Return Σ p a(1−a)."""
        return float(np.sum(point.curvature))

    def penalty_dominates(self) -> bool:
        """Return whether λ is at least the curvature of the loss, in every standard coordinate."""
        return float(np.min(self.penalty.curvature_diagonal(self.n_features))) >= LARGEST_SLOPE

    def _add_penalty_curvature(self, diagonal: Vector, features: Any = slice(None)) -> Vector:
        """Add λ of the given features to a diagonal of the loss's curvature, in place; return it.

        The diagonal may end with an entry for the intercept, which has no penalty.
        """
        of_penalty = self.penalty.curvature_diagonal(self.n_features)[features]
        diagonal[: len(of_penalty)] += of_penalty
        return diagonal
