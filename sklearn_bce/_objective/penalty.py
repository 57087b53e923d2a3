"""The penalty on the weights: its value, derivatives and proximal step, and nothing of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_bce._kernels import Vector

# So strong a penalty leaves nothing of a weight, and its products are still numbers.
LARGEST = 1e305


@dataclass(frozen=True)
class ElasticNet:
    """½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ|, with two strengths for each coordinate.

    In the user's units every λᵢ is (1−ρ)/(C·S), and every κᵢ is ρ/(C·S). Measured in other units,
    uᵢ = σᵢwᵢ, the same penalty has the strengths λᵢ/σᵢ² and κᵢ/σᵢ. The intercept has no entry: it
    is never penalised.

    Parameters
    ----------
    l2, l1 : float or ndarray of shape (n_features,), float64
        λ and κ, on the scale of the mean loss.
    """

    l2: Any
    l1: Any = 0.0

    @classmethod
    def of(cls, C: float, l1_ratio: float, total_weight: float) -> ElasticNet:
        """Return 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁], ρ being the l1_ratio and S the total weight.

        Raises
        ------
        ValueError
            If that overflows.
        """
        with np.errstate(over="ignore", divide="ignore"):
            strength = float(1 / np.float64(C * total_weight))  # 0 for C = inf
        if not np.isfinite(strength):
            raise ValueError(f"C={C} is too small: the penalty 1/(C·{total_weight:g}) overflows.")
        return cls((1 - l1_ratio) * strength, float(l1_ratio * strength))

    @property
    def is_smooth(self) -> bool:
        """Whether there is no L1 norm in it: κ is the number 0."""
        return type(self.l1) is float and self.l1 == 0.0

    def value(self, u: Vector) -> float:
        """Return ½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ|."""
        smooth = float(0.5 * np.dot(u, self.l2 * u))
        return smooth if self.is_smooth else smooth + float(np.sum(self.l1 * np.abs(u)))

    def gradient(self, u: Vector) -> Vector:
        """Return λᵢuᵢ, the gradient of the smooth part."""
        return self.l2 * u

    def l1_slope(self, u: Vector, du: Vector) -> float:
        """Return the derivative of Σ κᵢ|uᵢ + t·duᵢ| at t = 0, from the right."""
        if self.is_smooth:
            return 0.0
        return float(np.sum(self.l1 * np.where(u == 0, np.abs(du), np.sign(u) * du)))

    def prox(self, u: Vector, eta: float) -> Vector:
        """Return the v that minimises Σ κᵢ|vᵢ| + ‖v − u‖²/(2η): u moved to 0 by ηκ, not past it."""
        if self.is_smooth:
            return u
        return np.sign(u) * np.maximum(np.abs(u) - eta * self.l1, 0.0)

    def in_units(self, scale: Vector) -> ElasticNet:
        """Return the penalty as a function of u = scale·w."""
        with np.errstate(over="ignore"):
            l1 = self.l1 if self.is_smooth else np.minimum(self.l1 / scale, LARGEST)
            return ElasticNet(np.minimum(self.l2 / scale / scale, LARGEST), l1)
