"""The solution of triangular systems, of any size."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg


def solve_triangular(R: Any, rhs: Any, **options: Any) -> Any:
    """Return R⁻¹·rhs as `scipy.linalg.solve_triangular` does, also if there is nothing to solve.

    SciPy 1.13 and earlier raise an error for a system without equations or right-hand sides.
    """
    if np.size(rhs) == 0 or np.size(R) == 0:
        return np.zeros(np.shape(rhs))
    return scipy.linalg.solve_triangular(R, rhs, **options)
