"""What the parts of a descent cost, so that solvers choose by a model and not by thresholds.

Nanoseconds, measured on one core of a 2.6 GHz Xeon with OpenBLAS; only their ratios matter. A pass
is z = Xw and Xᵀr; a curvature is Σ hxxᵀ, formed; a factor its Cholesky factorisation.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklearn_bce._objective.in_memory import InMemoryObjective

DENSE_PASS = 0.5  # an element
SPARSE_PASS = 3.0  # a stored value
DENSE_CURVATURE = (1.5, 0.02)  # an element, a product of two of a row
COLUMN_SWEEP = 4.0  # a stored value, in a sweep of coordinate descent over columns
MATRIX_SWEEP = 0.3  # an element of the curvature, in one that goes by that
SPARSE_CURVATURE = 0.6  # a product of two stored values of a row, of which half are made
FACTOR = 0.03  # a product of two elements
CALL = 2e4  # what a pass takes beside, in Python
# Where samples lie elsewhere what counts is bringing them in: a stored value, and what a pass takes
# beside.
READING, CALL_OF_PARTS = 8.0, 2e7
# a(1 − a) is at most this, and so is the curvature of the mean loss along a standard coordinate.
LARGEST_CURVATURE = 0.25
# Above this size H itself is not formed: 1 GB.
MAX_FACTOR_SIZE = 11_000

# Products with H that conjugate gradients take for a step: preconditioned by the curvature of a
# point nearby, and by the diagonal of H where that serves at all.
NEAR_PRODUCTS = 3
TYPICAL_PRODUCTS = 8
# Sweeps over the model of a working set, before its minimum is near enough.
TYPICAL_SWEEPS = 20
# A sample has at least this many rows for each coordinate, and is at most this share of the data.
LEAST_ROWS_PER_COORDINATE = 10
LARGEST_SHARE = 0.25
# Curvatures and passes for the way from 0 to the minimum, as far as a sample is worth it.
STEPS_FROM_ZERO = 5


@dataclass(frozen=True)
class Costs:
    """Costs of a problem, in nanoseconds.

    Attributes
    ----------
    one_pass, curvature, factor : float
        See the module.
    size : int
        Number of coordinates.
    """

    one_pass: float
    curvature: float
    factor: float
    size: int

    @classmethod
    def of(cls, problem: InMemoryObjective) -> Costs:
        """Return those of an objective."""
        n, size = problem.n_samples, problem.coordinates.size
        factor = FACTOR * size**3 if size <= MAX_FACTOR_SIZE else np.inf
        if not problem.caches_outputs:
            reading = CALL_OF_PARTS + READING * problem.data_size.n_stored
            element, product = DENSE_CURVATURE
            curvature = element * problem.data_size.n_stored + product * problem.data_size.n_pairs
            return cls(reading, curvature, factor, size)
        if problem.data_size.is_sparse:
            one_pass = CALL + SPARSE_PASS * max(problem.data_size.n_stored, n)
            return cls(one_pass, SPARSE_CURVATURE * problem.data_size.n_pairs, factor, size)
        element, product = DENSE_CURVATURE
        return cls(
            CALL + DENSE_PASS * n * size, n * size * (element + product * size), factor, size
        )

    @property
    def products(self) -> float:
        """Products with H that cost as much as forming and factorising it."""
        return (self.curvature + self.factor) / self.one_pass

    def of_sample(self, share: float) -> Costs:
        """Return those of a random share of the rows."""
        return Costs(share * self.one_pass, share * self.curvature, self.factor, self.size)

    def worth_factorising(self, n_products: float, whole: Costs) -> bool:
        """Return whether the curvature of a sample will save the whole more than it costs.

        Parameters
        ----------
        n_products : float
            Products with the curvature that the sample's own minimum took without it: about as many
            as the whole will need from there.
        whole : Costs
            Of all rows.
        """
        return self.curvature + self.factor < n_products * whole.one_pass

    @property
    def from_zero(self) -> float:
        """What the way from 0 to the minimum costs, without a sample."""
        step = min(self.curvature + self.factor, TYPICAL_PRODUCTS * self.one_pass)
        return STEPS_FROM_ZERO * (self.one_pass + step)

    def sample_size(self, n_samples: int, tol: float) -> int:
        """Return the size of the random sample that is worth being solved first; 0 if none is.

        The minimum on m rows is about size/(2m) nats above that on all (half the expectation of a
        χ² of as many degrees of freedom), and their curvature is that of all to √(size/m) of
        itself. So a sample costs its own way from 0, and leaves as many passes with its curvature
        as it takes to come from size/(2m) to ``tol`` by a factor of size/m each.
        """
        best, cheapest = 0, self.from_zero
        m = LEAST_ROWS_PER_COORDINATE * self.size
        while m <= LARGEST_SHARE * n_samples:
            head = self.of_sample(m / n_samples).from_zero
            distance, factor = self.size / (2 * m), self.size / m
            passes = 2 + max(0.0, np.log(tol / distance) / np.log(factor))
            total = head + passes * self.one_pass
            if total < cheapest:
                best, cheapest = m, total
            m *= 2
        return best


def row_space_is_smaller(problem: InMemoryObjective) -> bool:
    """Return whether it is cheaper to solve the problem in the space of its samples."""
    n, n_features = problem.n_samples, problem.n_features
    dense = problem.caches_outputs and not problem.data_size.is_sparse
    penalised = problem.penalty.is_smooth and np.all(problem.penalty.l2 > 0)
    if not dense or n >= n_features or not penalised:
        return False
    element, product = DENSE_CURVATURE
    products = n * n_features * (element + product * n)
    inside = Costs(DENSE_PASS * n * n, n * n * (element + product * n), FACTOR * n**3, n)
    return products + inside.from_zero < Costs.of(problem).from_zero


def columns_are_less_work(n_stored: float, n_columns: int, n_samples: int) -> bool:
    """Return whether to descend by the columns of sparse X, not by their curvature, formed.

    Parameters
    ----------
    n_stored : float
        Values stored in the columns.
    n_columns, n_samples : int
        How many there are.
    """
    by_columns = TYPICAL_SWEEPS * COLUMN_SWEEP * n_stored
    formed = SPARSE_CURVATURE * n_stored * max(1.0, n_stored / n_samples)  # of rows of one length
    return by_columns < formed + TYPICAL_SWEEPS * MATRIX_SWEEP * n_columns**2
