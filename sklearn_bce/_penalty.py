"""The penalty on the weights: its value and derivatives, and nothing of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class L2Penalty:
    """½ Σ λᵢuᵢ², with a strength for each coordinate.

    In the user's units every λᵢ is 1/(C·S). Measured in other units, uᵢ = σᵢwᵢ, the same penalty
    has the strengths λᵢ/σᵢ². The intercept has no entry: it is never penalised.

    Parameters
    ----------
    strength : float or ndarray of shape (n_features,), float64
        λ, on the scale of the mean loss.
    """

    strength: Any

    def value(self, u: NDArray[np.float64]) -> float:
        """Return ½ Σ λᵢuᵢ²."""
        return float(0.5 * np.dot(u, self.strength * u))

    def gradient(self, u: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return λᵢuᵢ."""
        return self.strength * u

    def in_units(self, scale: NDArray[np.float64]) -> L2Penalty:
        """Return the penalty as a function of u = scale·w."""
        return L2Penalty(self.strength / scale / scale)
