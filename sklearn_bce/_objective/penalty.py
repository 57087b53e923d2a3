"""The penalty on the weights: value, derivatives and proximal operator. It does not depend on data.

`Penalty` is the contract that objectives and solvers rely on; `ElasticNet` is the only
implementation. To add a penalty, add a class to this module; if its proximal operator is not
soft-thresholding, also change the kernel include ``_kernels/soft_threshold.pxd``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.reference import soft_threshold

# Upper limit of the strengths λ (nats per squared unit of a weight) and κ (nats per unit) after a
# change of units. The largest float64 is 1.8e308, so that the product with a weight of up to 1000
# is finite.
MAX_STRENGTH = 1e305


class Penalty(Protocol):
    """A separable penalty P(u) = Q(u) + R(u) on the weights u, on the scale of the mean loss, nats.

    Q is a quadratic form with a diagonal matrix, so that the gradient of Q is linear in u. R is
    convex and not differentiable at 0. The weights u are an ndarray of shape (n_features,),
    float64, in the units of the coordinates that the penalty was made for. The intercept is not
    penalised and is not an entry of u. No method changes its arguments.

    Attributes
    ----------
    l2, l1 : float or ndarray of shape (n_features,), float64
        Strengths λ of Q and κ of R: an array has one for each weight, a number is that of all.
    is_smooth : bool
        Whether R(u) is 0 for every u. The rule that finds Newton's directions depends on this.
    """

    l2: Any
    l1: Any

    @property
    def is_smooth(self) -> bool: ...

    def value(self, u: Vector) -> float:
        """Return P(u), in nats."""

    def gradient(self, u: Vector) -> Vector:
        """Return ∂Q/∂u, an ndarray of shape (n_features,)."""

    def curvature_diagonal(self, n_features: int) -> Vector:
        """Return the diagonal of ∂²Q/∂u², shape (n_features,), which the caller must not change."""

    def directional_derivative(self, u: Vector, du: Vector) -> float:
        """Return the right derivative of R(u + t·du) with respect to t at t = 0, in nats."""

    def prox(self, u: Vector, eta: Any) -> Vector:
        """Return the v that minimises R(v) + ‖v − u‖²/(2η), for a step size η > 0.

        The result, of shape (n_features,), may be u itself.
        """

    def subgradient_excess(self, u: Vector, gradient: Vector) -> Vector:
        """Return, for each weight, the distance of −gradient from the subdifferential of R at u.

        If ``gradient`` is that of the smooth part of an objective, all entries of the result, of
        shape (n_features,), are 0 if and only if u minimises the objective over the weights.
        """

    def times(self, factor: float) -> Penalty:
        """Return factor·P(u), for a positive factor."""

    def in_units(self, scale: Vector) -> Penalty:
        """Return the same penalty as a function of v = scale·u.

        The scale is an ndarray of shape (n_features,) of positive numbers.
        """


@dataclass(frozen=True)
class ElasticNet:
    """Penalty ½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ| with two strengths for each weight; implements `Penalty`.

    In the user's units every λᵢ is (1−ρ)/(C·S) and every κᵢ is ρ/(C·S), where ρ is ``l1_ratio`` and
    S the sum of the sample weights. As a function of uᵢ = σᵢwᵢ the same penalty has the strengths
    λᵢ/σᵢ² and κᵢ/σᵢ.

    Parameters
    ----------
    l2, l1 : float or ndarray of shape (n_features,), float64
        λ and κ, at least 0, on the scale of the mean loss in nats. If ``l1`` is the number 0.0 (and
        not an array), the penalty has no L1 norm.
    """

    l2: Any
    l1: Any = 0.0

    @classmethod
    def of(cls, C: float, l1_ratio: float, total_weight: float) -> ElasticNet:
        """Return 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁], where ρ is l1_ratio and S is total_weight.

        C is in (0, inf]; inf gives a penalty that is 0.

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
        """Whether the penalty has no L1 norm: ``l1`` is the number 0.0."""
        return type(self.l1) is float and self.l1 == 0.0

    def value(self, u: Vector) -> float:
        """Return ½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ|, in nats."""
        smooth = float(0.5 * np.dot(u, self.l2 * u))
        return smooth if self.is_smooth else smooth + float(np.sum(self.l1 * np.abs(u)))

    def gradient(self, u: Vector) -> Vector:
        """Return λᵢuᵢ, the gradient of the smooth part, of shape (n_features,)."""
        return self.l2 * u

    def curvature_diagonal(self, n_features: int) -> Vector:
        """Return λ, of shape (n_features,), a view that the caller must not change."""
        return np.broadcast_to(self.l2, n_features)

    def directional_derivative(self, u: Vector, du: Vector) -> float:
        """Return the right derivative of Σ κᵢ|uᵢ + t·duᵢ| with respect to t at t = 0, in nats."""
        if self.is_smooth:
            return 0.0
        return float(np.sum(self.l1 * np.where(u == 0, np.abs(du), np.sign(u) * du)))

    def prox(self, u: Vector, eta: Any) -> Vector:
        """Return sign(u)·max(|u| − ηκ, 0), a new array; u itself if there is no L1 norm."""
        if self.is_smooth:
            return u
        return soft_threshold(u, eta * self.l1)

    def subgradient_excess(self, u: Vector, gradient: Vector) -> Vector:
        """Return max(|g| − κ, 0) for weights u that are 0, and |g + κ·sign(u)| for the others."""
        at_zero = np.maximum(np.abs(gradient) - self.l1, 0.0)
        return np.where(u == 0, at_zero, np.abs(gradient + self.l1 * np.sign(u)))

    def times(self, factor: float) -> ElasticNet:
        """Return the penalty with the strengths factor·λ and factor·κ, for a positive factor."""
        return ElasticNet(factor * self.l2, factor * self.l1)

    def in_units(self, scale: Vector) -> ElasticNet:
        """Return the same penalty as a function of v = scale·u, with λ/scale² and κ/scale.

        Strengths above ``MAX_STRENGTH`` are set to that number.
        """
        with np.errstate(over="ignore"):
            l1 = self.l1 if self.is_smooth else np.minimum(self.l1 / scale, MAX_STRENGTH)
            return ElasticNet(np.minimum(self.l2 / scale / scale, MAX_STRENGTH), l1)


NO_PENALTY = ElasticNet(0.0)
