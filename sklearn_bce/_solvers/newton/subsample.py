"""How many rows to sample, and how the curvature of a sample is used on all rows.

At the minimum of F on m random rows, F on all rows is about size/(2m) nats above its minimum, where
size is the length of θ: half the expectation of a χ² variable with size degrees of freedom. The
relative error of the sample's curvature is about √(size/m). So Newton's method on a sample gives a
start after which few passes over all rows remain: each step with the sample's curvature takes one
pass, and reduces F − min F to about size/m of its value. The sample is solved in the same way, on a
sample of its own.

For samples in parts, the number of rows is chosen in their first pass: see the module `summary`.

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

# Least number of rows of a sample for each coordinate: at the minimum on the sample, F on all rows
# is then about 1/20 nats above its minimum.
# python -m benchmarks.tuning MIN_ROWS_PER_COORDINATE
MIN_ROWS_PER_COORDINATE = 10
# The same on a device, where rows are cheap and steps are dear: F on all rows is then about 1/800
# nats above its minimum, less than the share of F from which a step is `Region.FAR`, which takes
# three passes and the curvature of all rows. Not if that is more than half of the largest sample.
# [a choice]
NEAR_ROWS_PER_COORDINATE = 400
# Largest fraction of the rows in a sample. The minimum on a sample takes as many passes over the
# sample as the minimum on all rows takes over all rows.
# python -m benchmarks.tuning MAX_SAMPLE_FRACTION
MAX_SAMPLE_FRACTION = 0.25
# Fraction of the cost of a run from 0 up to which a sample of an array, and of a CSR matrix, is
# worth its own cost: hard columns take more passes after a sample than the model says. Where the
# fraction is 0.22, badly scaled columns take 1.6 times as long with a sample; where it is 0.19,
# Gaussian ones take 0.8 times as long: python -m benchmarks.tuning WORTH_A_SAMPLE,
# python -m benchmarks.tuning WORTH_A_SPARSE_SAMPLE
WORTH_A_SAMPLE = 0.2
WORTH_A_SPARSE_SAMPLE = 0.32
# Tolerance of the minimum on a sample, as a fraction of the sampling error size/(2m): a smaller one
# does not save time on all rows.
# python -m benchmarks.tuning FRACTION_OF_SAMPLING_ERROR
FRACTION_OF_SAMPLING_ERROR = 0.1
# Most Newton steps on a sample. Reaching the limit is not an error: the result is only a start.
# [a choice]
STEPS_ON_SAMPLE = 100
# A ``tol`` above this makes no sample of sparse samples worth its cost. Fewer passes follow at such
# a tol, by the model, but levels that are rare in the sample take as many as ever: one-hot columns
# with C=1000 and tol=0.001 take 190 ms with a sample and 60 without.
# python -m benchmarks.tuning LOOSEST_SPARSE_TOL
LOOSEST_SPARSE_TOL = 1e-6
# Passes over all rows for the first and the last evaluation, in addition to those that reduce
# F − min F.
EXTRA_PASSES = 2
# Factor by which the diagonals of the curvatures of a sample and of all differ in a column that the
# sample knows too little of: 1 + 5/√30 = 1.9, five standard errors in a column that has the fewest
# samples that are enough (see `InMemoryObjective.diagonal_is_reliable`). With 10, one-hot columns
# take 22 passes instead of 19: python -m benchmarks.tuning MAX_DIAGONAL_RATIO
MAX_DIAGONAL_RATIO = 2.0


def sample_size(problem: Objective, tol: float) -> int:
    """Return the number of rows m of the cheapest random sample; 0 if no sample is worth its cost.

    The cost of a sample is that of Newton's method on the sample, plus that of the passes over all
    rows that reduce F − min F from size/(2m) to ``tol`` (in nats), each by the factor size/m.
    """
    share = {"dense": WORTH_A_SAMPLE, "csr": WORTH_A_SPARSE_SAMPLE}
    return _cheapest_sample(problem, tol, share.get(problem.data_size.storage, 1.0))


def is_tall(problem: Objective, tol: float) -> bool:
    """Return whether a random sample may save time: there are many rows for each coordinate."""
    return _cheapest_sample(problem, tol, 1.0) > 0


def _cheapest_sample(problem: Objective, tol: float, share: float) -> int:
    """Return m of `sample_size`, 0 if no sample costs less than a share of a run from 0."""
    costs, n_samples = CostModel.of(problem), problem.n_samples
    best, cheapest = 0, share * costs.from_zero
    is_on_device = problem.data_size.storage == "device"
    m = (NEAR_ROWS_PER_COORDINATE if is_on_device else MIN_ROWS_PER_COORDINATE) * costs.size
    most = MAX_SAMPLE_FRACTION * n_samples
    if is_on_device and m > most / 2:
        m = MIN_ROWS_PER_COORDINATE * costs.size
    while m <= most:
        on_sample = CostModel.of_sample(problem, m).from_zero
        distance, factor = costs.size / (2 * m), costs.size / m
        passes = EXTRA_PASSES + max(0.0, np.log(tol / distance) / np.log(factor))
        total = on_sample + passes * costs.one_pass
        if total < cheapest:
            best, cheapest = m, total
        m *= 2
    return best


def sample_tol(sample: Objective, tol: float) -> float:
    """Return the ``tol`` of Newton's method on a sample, in nats, given that of all rows."""
    sampling_error = sample.coordinates.size / (2 * sample.n_samples)
    return max(FRACTION_OF_SAMPLING_ERROR * sampling_error, tol)


def rescale_diagonal(matrix: NDArray[np.float64], diagonal: Vector) -> NDArray[np.float64]:
    """Return the curvature of a sample with the diagonal entries of rare columns replaced.

    The rows and columns of the matrix are scaled, so that correlations do not change. Without the
    replacement, the curvature of a column with few values in the sample would be far too small.
    Only entries that differ by more than the factor ``MAX_DIAGONAL_RATIO`` are replaced: scaling
    all columns would lose precision in the directions in which nearly equal columns differ.

    Parameters
    ----------
    matrix : ndarray of shape (size, size), float64
        Curvature of the sample; not changed.
    diagonal : ndarray of shape (size,), float64
        Diagonal of the curvature of all rows.

    Returns
    -------
    scaled : ndarray of shape (size, size), float64
        A new array.
    """
    own = np.diag(matrix)
    rare = (diagonal > MAX_DIAGONAL_RATIO * own) | (own > MAX_DIAGONAL_RATIO * diagonal)
    ratio = np.sqrt(np.divide(diagonal, own, out=np.zeros_like(own), where=own > 0))
    ratio[~rare] = 1.0
    scaled = matrix * ratio * ratio[:, np.newaxis]
    np.fill_diagonal(scaled, np.where(rare, diagonal, own))
    return scaled
