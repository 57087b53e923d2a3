"""What objectives have in common, wherever their samples lie: coordinates and a penalty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.scaling import Coordinates


class Evaluation(NamedTuple):
    """The objective at one θ, with what its neighbourhood can be computed from.

    Attributes
    ----------
    theta : ndarray of shape (size,)
        Where.
    value : float
        F, in nats per unit of weight.
    gradient : ndarray of shape (size,) or None
        ∂F/∂θ; None at a point where nobody is to go on from.
    z : ndarray of shape (n_samples,) or None
        Linear outputs; None where the samples lie elsewhere.
    curvature : ndarray of shape (n_samples,), or what stands for it elsewhere, or None
        p a(1−a), each sample's own curvature; None where nobody is to go on from.
    hessian : ndarray of shape (size, size) or None
        ∂²F/∂θ², where it was asked for.
    diagonal : ndarray of shape (size,) or None
        Its diagonal, where that was asked for.
    """

    theta: Vector
    value: float
    gradient: Vector | None
    z: Vector | None
    curvature: Any
    hessian: NDArray[np.float64] | None = None
    diagonal: Vector | None = None


@dataclass(frozen=True)
class DataSize:
    """The extent of samples X.

    Attributes
    ----------
    n_samples : int
        Number of rows.
    dtype : dtype
        float32 or float64.
    is_sparse : bool
        Whether X is CSR.
    n_stored : float
        Values stored.
    n_pairs : float
        Pairs of values stored in the same row.
    """

    n_samples: int
    dtype: np.dtype
    is_sparse: bool
    n_stored: float
    n_pairs: float

    @classmethod
    def of(cls, X: Any) -> DataSize:
        """Return that of an array or CSR."""
        if not issparse(X):
            return cls(len(X), X.dtype, False, float(X.size), float(X.size) * X.shape[1])
        lengths = np.diff(X.indptr).astype(np.float64)
        return cls(X.shape[0], X.dtype, True, float(X.nnz), float(lengths @ lengths))

    def __add__(self, other: DataSize) -> DataSize:
        """Return that of both, one below the other."""
        return DataSize(
            self.n_samples + other.n_samples,
            np.promote_types(self.dtype, other.dtype),
            self.is_sparse and other.is_sparse,
            self.n_stored + other.n_stored,
            self.n_pairs + other.n_pairs,
        )


class BaseObjective:
    """A loss plus a penalty, as a function of θ.

    Parameters
    ----------
    penalty : ElasticNet
        In the units of `coordinates`.
    coordinates : Coordinates
        What θ means.

    Attributes
    ----------
    n_passes : float
        How many times the samples have been read through; a part of them counts by its share.
    """

    def __init__(self, penalty: ElasticNet, coordinates: Coordinates) -> None:
        self.penalty, self.coordinates = penalty, coordinates
        self.n_passes = 0.0

    @property
    def n_features(self) -> int:
        """Number of weights."""
        return len(self.coordinates.scale)

    def directional_derivative(self, point: Evaluation, vector: Vector) -> float:
        """Return the derivative of F at the point in the direction of the vector."""
        du = vector[: self.n_features]
        of_l1 = self.penalty.l1_slope(point.theta[: self.n_features], du)
        return float(point.gradient @ vector) + of_l1

    def diagonal_preconditioner(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² for features that do not go along with the curvature.

        In standard coordinates, that is, where the mean square of each is 1. It takes no pass.
        """
        return self._with_penalty(np.full(self.coordinates.size, self.total_curvature(point)))

    def total_curvature(self, point: Evaluation) -> float:
        """Return Σ p a(1−a)."""
        return float(np.sum(point.curvature))

    def _with_penalty(self, diagonal: Vector, features: Any = slice(None)) -> Vector:
        """Add the penalty's curvature to the diagonal of that of the loss, in place; return it.

        It is of these features, and of the intercept if there is one.
        """
        of_penalty = np.broadcast_to(self.penalty.l2, self.n_features)[features]
        diagonal[: len(of_penalty)] += of_penalty
        return diagonal
