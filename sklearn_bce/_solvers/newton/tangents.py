"""Tangents to the losses of samples whose curvature hides that of the others.

A sample with huge features may hold the weights where its class is just certain: its loss is then
negligible, but its slope is not, and its curvature is so large that Newton's steps are small. The
tangent to its loss in place of the loss has the slope and not the curvature. A tangent is never
above the loss, so that F with tangents is at most F, and the minimum of one is at most that of the
other. The slopes are chosen such that the gradient is least.

The loss ℓ of a sample with the output z is above the tangent with the slope q − y by the
divergence KL(q ‖ a), a = σ(z); see W. Fenchel's inequality in S. Boyd and L. Vandenberghe, "Convex
Optimization", 2004, section 3.3.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.special import entr

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective, SomeSamples
from sklearn_bce._objective.root import row_matrix
from sklearn_bce._solvers.newton.robust import outputs_and_rounding

# Most samples whose slopes are chosen. [a choice]
MAX_TANGENTS = 100


class LeftOut(NamedTuple):
    """Samples that are left out of F; those of two parts can be added.

    Attributes
    ----------
    Z : ndarray of shape (n, size), float64
        Their rows in the coordinates of θ.
    z, rounding : ndarray of shape (n,), float64
        Their outputs, and how far rounding may move these.
    y, p : ndarray of shape (n,), float64
        Targets and normalised weights.
    """

    Z: NDArray[np.float64]
    z: Vector
    rounding: Vector
    y: Vector
    p: Vector

    def __add__(self, other: Any) -> LeftOut:
        """Return the samples of both."""
        pairs = zip(self, other, strict=True)
        return LeftOut(*(np.concatenate(pair) for pair in pairs))

    def least_slopes(self, gradient: Vector, rows: NDArray[np.float64]) -> Vector:
        """Return the slopes s, with y + s in [0, 1], for which the gradient is least.

        Parameters
        ----------
        gradient : ndarray of shape (rank,), float64
            Gradient of F without the samples, in the coordinates of a basis.
        rows : ndarray of shape (n, rank), float64
            Rows of the samples in these coordinates.
        """
        columns = self.p * rows.T
        norm = np.linalg.norm(columns, axis=0)
        if not 0 < len(norm) <= MAX_TANGENTS or not (np.isfinite(norm) & (norm > 0)).all():
            return np.zeros(len(norm))
        bounds = -self.y * norm, (1 - self.y) * norm
        return lsq_linear(columns / norm, -gradient, bounds, method="bvls").x / norm

    def above_tangents(self, slopes: Vector) -> float:
        """Return the sum of the losses minus that of the tangents, in nats, for any rounding."""
        q = self.y + slopes
        entropy = entr(q) + entr(1 - q)
        ends = (self.z - self.rounding, self.z + self.rounding)
        most = np.maximum(*(np.logaddexp(0, z) - q * z - entropy for z in ends))
        return float(self.p @ np.maximum(most, 0.0))


def find_left_out(problem: Objective, theta: Vector, samples: SomeSamples) -> LeftOut:
    """Return some samples of F, an objective in the coordinates of θ, in one pass."""
    (left_out,) = problem.sum_over_parts(left_out_of, theta, samples)
    return left_out


def left_out_of(part: Any, theta: Vector, samples: SomeSamples) -> list[LeftOut]:
    """Return the samples of a part that are among some samples, as a list of `LeftOut`."""
    rows = samples.rows.get(part.part_number, np.zeros(0, dtype=np.intp))
    blocks = [Z for _, Z in row_matrix(part.X, part.coordinates, rows)]
    Z = np.vstack([np.empty((0, len(theta))), *blocks])
    z, rounding = outputs_and_rounding(part, rows, Z, theta)
    return [LeftOut(Z, z, rounding, part.y[rows], part.normalised_weight[rows])]
