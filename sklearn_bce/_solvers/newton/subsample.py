"""How many rows to sample, and what the curvature of a sample is good for.

The minimum on m random samples is about size/(2m) nats above that on all n (half the expectation of
a χ² of as many degrees of freedom), and their curvature is that of all to √(size/m) of itself. So
Newton's method on a sample, which is itself solved so, leaves little to do on all rows: each step
by the sample's curvature takes a pass, and leaves about size/m of what was left before it.

Samples in parts are drawn in their first pass, before their cost is known: see `summary`.

References
----------
R. H. Byrd, G. M. Chin, W. Neveitt and J. Nocedal, "On the Use of Stochastic Hessian Information in
Optimization Methods for Machine Learning", SIAM Journal on Optimization 21 (2011).
J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006, algorithm 7.4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._solvers.newton.cost import CostModel

# Rows of a sample for each coordinate, at least: its minimum is then 1/20 nats above that of all.
# python -m benchmarks.tuning LEAST_ROWS_PER_COORDINATE
LEAST_ROWS_PER_COORDINATE = 10
# Fraction of the rows that a sample is at most: its own minimum takes as many passes over the
# sample as that of all takes over all. python -m benchmarks.tuning LARGEST_FRACTION
LARGEST_FRACTION = 0.25
# Fraction of its sampling error to which a sample is solved: all rows do not profit from more.
# python -m benchmarks.tuning FRACTION_OF_SAMPLING_ERROR
FRACTION_OF_SAMPLING_ERROR = 0.1
# Newton steps that a sample may take; a sample that is not solved by then is no error. [a choice]
STEPS_ON_SAMPLE = 100
# Passes over all rows beside those that reduce the distance: the first evaluation and the last.
PASSES_BESIDE = 2
# Factor by which the diagonals of the curvatures of a sample and of all differ in a column that the
# sample knows too little of: 1 + 5/√30 = 1.9, five standard errors in a column that has the fewest
# samples that are enough (see `InMemoryObjective.diagonal_is_reliable`). With 10, one-hot columns
# take 22 passes instead of 19: python -m benchmarks.tuning UNLIKE
UNLIKE = 2.0


def sample_size(problem: Objective, tol: float) -> int:
    """Return the size of the random sample that is worth being solved first; 0 if none is.

    A sample of m rows costs its own way from 0, and leaves as many passes with its curvature as it
    takes to come from size/(2m) to ``tol`` by a factor of size/m each.
    """
    costs, n_samples = CostModel.of(problem), problem.n_samples
    best, cheapest = 0, costs.from_zero
    m = LEAST_ROWS_PER_COORDINATE * costs.size
    while m <= LARGEST_FRACTION * n_samples:
        on_sample = costs.of_sample(m / n_samples).from_zero
        distance, factor = costs.size / (2 * m), costs.size / m
        passes = PASSES_BESIDE + max(0.0, np.log(tol / distance) / np.log(factor))
        total = on_sample + passes * costs.one_pass
        if total < cheapest:
            best, cheapest = m, total
        m *= 2
    return best


def sample_tol(sample: Objective, tol: float) -> float:
    """Return the ``tol``, in nats, to which a sample is solved that stands for all rows."""
    sampling_error = sample.coordinates.size / (2 * sample.n_samples)
    return max(FRACTION_OF_SAMPLING_ERROR * sampling_error, tol)


def rescale_diagonal(matrix: NDArray[np.float64], diagonal: Vector) -> NDArray[np.float64]:
    """Return the curvature of a sample with the diagonal of that of all, its correlations kept.

    Otherwise a column that is rare in the sample, or all but missing, would seem flat. Other
    columns stay as they are: what columns that nearly repeat each other differ by is in the last
    digits of a sample's curvature, which is that of all to √(size/m) in every direction as long as
    nobody scales it.

    Parameters
    ----------
    matrix : ndarray of shape (size, size), float64
        Curvature of the sample; not changed.
    diagonal : ndarray of shape (size,), float64
        Diagonal of the curvature of all rows.
    """
    own = np.diag(matrix)
    rare = (diagonal > UNLIKE * own) | (own > UNLIKE * diagonal)
    ratio = np.sqrt(np.divide(diagonal, own, out=np.zeros_like(own), where=own > 0))
    ratio[~rare] = 1.0
    scaled = matrix * ratio * ratio[:, np.newaxis]
    np.fill_diagonal(scaled, np.where(rare, diagonal, own))
    return scaled
