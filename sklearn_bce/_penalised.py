"""What objectives have in common, wherever their samples lie: coordinates and a penalty."""

from __future__ import annotations

from typing import Any

import numpy as np

from sklearn_bce._coordinates import Coordinates, Vector
from sklearn_bce._penalty import ElasticNet
from sklearn_bce._point import Point


class Penalised:
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

    def slope_at(self, point: Point, vector: Vector) -> float:
        """Return the derivative of F at the point in the direction of the vector."""
        du = vector[: self.n_features]
        of_l1 = self.penalty.l1_slope(point.theta[: self.n_features], du)
        return float(point.gradient @ vector) + of_l1

    def typical_diagonal(self, point: Point) -> Vector:
        """Return the diagonal of ∂²F/∂θ² for features that do not go along with the curvature.

        In standard coordinates, that is, where the mean square of each is 1. It takes no pass.
        """
        return self._with_penalty(np.full(self.coordinates.size, self.total_curvature(point)))

    def total_curvature(self, point: Point) -> float:
        """Return Σ p a(1−a)."""
        return float(np.sum(point.curvature))

    def _with_penalty(self, diagonal: Vector, features: Any = slice(None)) -> Vector:
        """Add the penalty's curvature to the diagonal of that of the loss, in place; return it.

        It is of these features, and of the intercept if there is one.
        """
        of_penalty = np.broadcast_to(self.penalty.l2, self.n_features)[features]
        diagonal[: len(of_penalty)] += of_penalty
        return diagonal
