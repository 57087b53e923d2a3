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

from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._coordinates import Vector
from sklearn_bce._objective import Objective, Point
from sklearn_bce._solvers._newton_step import positive_solver

# A sample has at least this many rows for each coordinate, and is at most this share of the data.
ROWS_PER_COORDINATE = 20
LARGEST_SHARE = 0.25
# Larger data are sampled in this ratio, so that a sample of it costs little beside a pass.
USUAL_SHARE = 1 / 16

MEMORY = 10  # pairs of steps and changes of the gradient


def sample_rows(problem: Objective, random_state: Any) -> NDArray[np.intp] | None:
    """Return random rows, in order, for a problem to be solved on first; None if it is small."""
    n_samples, size = problem.n_samples, problem.coordinates.size
    n_rows = max(ROWS_PER_COORDINATE * size, int(USUAL_SHARE * n_samples))
    if n_rows > LARGEST_SHARE * n_samples:
        return None
    rows = np.unique(random_state.randint(n_samples, size=n_rows))
    positive = float(np.sum(problem.y[rows]))
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


class QuasiNewton:
    """The inverse curvature that L-BFGS learns from the steps, on top of one that is given.

    Parameters
    ----------
    inverse : callable
        The one to begin with, as a product with a vector.
    """

    def __init__(self, inverse: Callable[[Vector], Vector]) -> None:
        self.inverse = inverse
        self._pairs: deque[tuple[Vector, Vector, float]] = deque(maxlen=MEMORY)

    @classmethod
    def of_sample(
        cls, problem: Objective, point: Point, matrix: NDArray[np.float64]
    ) -> QuasiNewton:
        """Return that of a sample's curvature, its diagonal made exact at the point."""
        diagonal = problem.curvature_diagonal(point)
        return cls(positive_solver(with_diagonal(matrix, diagonal)))

    def learn(self, before: Point, after: Point) -> None:
        """Take in what a step has shown of the curvature; changes self."""
        step, change = after.theta - before.theta, after.gradient - before.gradient
        bend = float(step @ change)
        if bend > 0:
            self._pairs.append((step, change, bend))

    def __call__(self, vector: Vector) -> Vector:
        """Return the product of the inverse curvature with the vector."""
        rest, shares = vector.copy(), []
        for step, change, bend in reversed(self._pairs):
            shares.append(float(step @ rest) / bend)
            rest -= shares[-1] * change
        product = self.inverse(rest)
        for (step, change, bend), share in zip(self._pairs, reversed(shares), strict=True):
            product += (share - float(change @ product) / bend) * step
        return product
