"""The penalty on the weights: value, derivatives and proximal operator, and nothing of the data.

`Penalty` is the contract that objectives and solvers rely on; `ElasticNet` is the penalty that
there is. A new penalty is a class here and, if its proximal operator differs, one kernel include
(``_kernels/soft_threshold.pxd``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sklearn_bce._kernels import Vector

# Largest strength of a penalty in other units, in nats per squared unit of a weight. The largest
# float64 is 1.8e308, so that a product with a weight up to 1000 is still a number.
LARGEST_STRENGTH = 1e305


class Penalty(Protocol):
    """A separable penalty P(u) = Q(u) + R(u) on the weights, on the scale of the mean loss in nats.

    Q is a quadratic form with a diagonal matrix, so that its gradient is linear in u. R is convex
    and not differentiable at 0. The intercept is never penalised and is not part of u, which is an
    ndarray of shape (n_features,) in the units of the coordinates that the penalty was made for.

    Attributes
    ----------
    l2, l1 : float or ndarray of shape (n_features,), float64
        Strengths λ of Q and κ of R, one for each weight or one for all.
    is_smooth : bool
        Whether R is 0 everywhere. Objectives and the choice of Newton's direction depend on it.
    """

    l2: Any
    l1: Any

    @property
    def is_smooth(self) -> bool: ...

    def value(self, u: Vector) -> float:
        """Return P(u), in nats."""

    def gradient(self, u: Vector) -> Vector:
        """Return ∂Q/∂u, of shape (n_features,)."""

    def curvature_diagonal(self, n_features: int) -> Vector:
        """Return the diagonal of ∂²Q/∂u², of shape (n_features,); it must not be changed."""

    def directional_derivative(self, u: Vector, du: Vector) -> float:
        """Return the derivative of R(u + t·du) in t at t = 0, from the right."""

    def prox(self, u: Vector, eta: Any) -> Vector:
        """Return the v that minimises R(v) + ‖v − u‖²/(2η), of shape (n_features,)."""

    def subgradient_excess(self, u: Vector, gradient: Vector) -> Vector:
        """Return how far −gradient is from the subdifferential of R at u, weight by weight.

        With the gradient of the smooth part of an objective the result is 0 in every entry exactly
        at a minimum (in these weights) of the objective.
        """

    def in_units(self, scale: Vector) -> Penalty:
        """Return the same penalty as a function of scale·u, scale being positive."""


@dataclass(frozen=True)
class ElasticNet:
    """½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ|, with two strengths for each weight; implements `Penalty`.

    In the user's units every λᵢ is (1−ρ)/(C·S) and every κᵢ is ρ/(C·S), with ρ the ``l1_ratio`` and
    S the total sample weight. As a function of uᵢ = σᵢwᵢ the same penalty has the strengths λᵢ/σᵢ²
    and κᵢ/σᵢ.

    Parameters
    ----------
    l2, l1 : float or ndarray of shape (n_features,), float64
        λ and κ, at least 0, on the scale of the mean loss in nats. The number 0.0 for ``l1`` says
        that there is no L1 norm.
    """

    l2: Any
    l1: Any = 0.0

    @classmethod
    def of(cls, C: float, l1_ratio: float, total_weight: float) -> ElasticNet:
        """Return 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁], ρ being the l1_ratio and S the total weight.

        Raises
        ------
        ValueError
            If 1/(C·S) overflows.
        """
        with np.errstate(over="ignore", divide="ignore"):
            strength = float(1 / np.float64(C * total_weight))  # 0 for C = inf
        if not np.isfinite(strength):
            raise ValueError(f"C={C} is too small: the penalty 1/(C·{total_weight:g}) overflows.")
        return cls((1 - l1_ratio) * strength, float(l1_ratio * strength))

    @property
    def is_smooth(self) -> bool:
        """Whether there is no L1 norm: κ is the number 0.0."""
        return type(self.l1) is float and self.l1 == 0.0

    def value(self, u: Vector) -> float:
        """Return ½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ|, in nats."""
        smooth = float(0.5 * np.dot(u, self.l2 * u))
        return smooth if self.is_smooth else smooth + float(np.sum(self.l1 * np.abs(u)))

    def gradient(self, u: Vector) -> Vector:
        """Return λᵢuᵢ, the gradient of the smooth part."""
        return self.l2 * u

    def curvature_diagonal(self, n_features: int) -> Vector:
        """Return λ, of shape (n_features,); it must not be changed."""
        return np.broadcast_to(self.l2, n_features)

    def directional_derivative(self, u: Vector, du: Vector) -> float:
        """Return the derivative of Σ κᵢ|uᵢ + t·duᵢ| in t at t = 0, from the right."""
        if self.is_smooth:
            return 0.0
        return float(np.sum(self.l1 * np.where(u == 0, np.abs(du), np.sign(u) * du)))

    def prox(self, u: Vector, eta: Any) -> Vector:
        """Return u moved towards 0 by ηκ, and not past 0; u itself if there is no L1 norm."""
        if self.is_smooth:
            return u
        return np.sign(u) * np.maximum(np.abs(u) - eta * self.l1, 0.0)

    def subgradient_excess(self, u: Vector, gradient: Vector) -> Vector:
        """Return max(|g| − κ, 0) where u is 0, and |g + κ·sign(u)| elsewhere."""
        at_zero = np.maximum(np.abs(gradient) - self.l1, 0.0)
        return np.where(u == 0, at_zero, np.abs(gradient + self.l1 * np.sign(u)))

    def in_units(self, scale: Vector) -> ElasticNet:
        """Return the same penalty as a function of scale·u."""
        with np.errstate(over="ignore"):
            l1 = self.l1 if self.is_smooth else np.minimum(self.l1 / scale, LARGEST_STRENGTH)
            return ElasticNet(np.minimum(self.l2 / scale / scale, LARGEST_STRENGTH), l1)
