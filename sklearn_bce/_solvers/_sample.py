"""Many samples: most of the way on a few of them, the rest with their curvature on all.

The minimum on m random samples is about size/(2m) nats above that on all n (half the expectation of
a χ² of as many degrees of freedom), and their curvature is that of all to √(size/m) of itself. So
Newton's method on a sample, which is itself solved so, leaves little to do for the n: each step
by the sample's curvature takes a pass, and leaves about size/m of what was left before it.

References
----------
R. H. Byrd, G. M. Chin, W. Neveitt and J. Nocedal, "On the Use of Stochastic Hessian Information in
Optimization Methods for Machine Learning", SIAM Journal on Optimization 21 (2011).
J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006, algorithm 7.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._coordinates import Vector
from sklearn_bce._objective import Objective
from sklearn_bce._solvers._cost import Costs, sample_size


def sample_rows(problem: Objective, tol: float, random_state: Any) -> NDArray[np.intp] | None:
    """Return random rows, in order, for a problem to be solved on first; None if that is no use."""
    n_rows = sample_size(Costs.of(problem), problem.n_samples, tol)
    if not n_rows:
        return None
    rows = np.unique(random_state.randint(problem.n_samples, size=n_rows))
    positive, size = float(np.sum(problem.y[rows])), problem.coordinates.size
    # With a few samples of one class there may be no minimum, or one that is far away.
    return rows if size < positive < len(rows) - size else None


def with_diagonal(matrix: NDArray[np.float64], diagonal: Vector) -> NDArray[np.float64]:
    """Return the curvature of a sample with the diagonal of that of all, its correlations kept.

    A column that is rare in the sample, or all but missing, would else be thought flat.
    """
    own = np.diag(matrix)
    ratio = np.sqrt(np.where(own > 0, diagonal / np.where(own > 0, own, 1.0), 0.0))
    scaled = matrix * ratio * ratio[:, np.newaxis]
    np.fill_diagonal(scaled, diagonal)
    return scaled
