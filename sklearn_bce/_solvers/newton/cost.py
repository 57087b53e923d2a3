"""What the parts of a Newton step cost, so that solvers choose by a model and not by thresholds.

Costs are in nanoseconds on one core of a 2.6 GHz Xeon with OpenBLAS; only their ratios matter. A
pass is z = Xw and Xᵀr; a curvature is Σ hxxᵀ, formed; a factor is its Cholesky factorisation.
``python -m benchmarks.tuning NAME`` measures each constant below but MAX_FACTOR_SIZE.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sklearn_bce._objective.base import DataSize, Objective

# Nanoseconds of a pass for an element of an array.
DENSE_PASS = 0.5
# Nanoseconds of a pass for a stored value of a CSR matrix.
SPARSE_PASS = 3.0
# Nanoseconds of a curvature for an element of an array, beside those for its products.
DENSE_CURVATURE = 1.5
# Nanoseconds of a curvature for a product of two elements of a row of an array.
DENSE_CURVATURE_PRODUCT = 0.02
# Nanoseconds of a curvature for an ordered pair of stored values of a row, of which half are made.
SPARSE_CURVATURE = 0.6
# Nanoseconds of a sweep of coordinate descent over columns, for a stored value.
COLUMN_SWEEP = 4.0
# Nanoseconds of a sweep of coordinate descent by a formed curvature, for an element of the matrix.
MATRIX_SWEEP = 0.3
# Nanoseconds of a factor for size³: size³/3 multiplications at about 11 a nanosecond.
FACTOR = 0.03
# Nanoseconds that a pass takes beside its work on X, in Python.
CALL = 2e4
# Nanoseconds for bringing in a stored value of samples in parts, and for what it is used for.
READING = 8.0
# Nanoseconds that a pass over parts takes beside that: the latency of a scheduler.
CALL_OF_PARTS = 2e7
# Size above which H is not formed: 11 000² float64 are 1 GB. [a choice]
MAX_FACTOR_SIZE = 11_000
# Products with H that conjugate gradients take for a step, preconditioned by the curvature of a
# point nearby: 2.6 on average.
NEAR_PRODUCTS = 3
# Products with H that conjugate gradients take for a step, preconditioned by the diagonal of H, on
# data for which that is of any use: 8.3 on average.
TYPICAL_PRODUCTS = 8
# Sweeps over the model of a working set until its minimum is near enough: 17.5 on average.
TYPICAL_SWEEPS = 20
# Newton steps from 0 to the minimum: 4.4 on average.
STEPS_FROM_ZERO = 5


def _dense_costs(data: DataSize, size: int) -> tuple[float, float]:
    n = data.n_samples
    curvature = n * size * (DENSE_CURVATURE + DENSE_CURVATURE_PRODUCT * size)
    return CALL + DENSE_PASS * n * size, curvature


def _csr_costs(data: DataSize, size: int) -> tuple[float, float]:
    stored = max(data.n_stored, data.n_samples)
    return CALL + SPARSE_PASS * stored, SPARSE_CURVATURE * data.n_pairs


def _partitioned_costs(data: DataSize, size: int) -> tuple[float, float]:
    products = DENSE_CURVATURE_PRODUCT * data.n_pairs
    reading = CALL_OF_PARTS + READING * data.n_stored
    return reading, DENSE_CURVATURE * data.n_stored + products


# (DataSize, size of θ) -> nanoseconds of a pass and of a curvature, by how samples are stored.
COSTS = {"dense": _dense_costs, "csr": _csr_costs, "partitioned": _partitioned_costs}


@dataclass(frozen=True)
class CostModel:
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
    def of(cls, problem: Objective) -> CostModel:
        """Return the costs of an objective."""
        size = problem.coordinates.size
        one_pass, curvature = COSTS[problem.data_size.storage](problem.data_size, size)
        factor = FACTOR * size**3 if size <= MAX_FACTOR_SIZE else np.inf
        return cls(one_pass, curvature, factor, size)

    @classmethod
    def of_row_space(cls, n_samples: int) -> CostModel:
        """Return the costs of the same problem in as many coordinates as there are samples."""
        n = n_samples
        curvature = n * n * (DENSE_CURVATURE + DENSE_CURVATURE_PRODUCT * n)
        return cls(DENSE_PASS * n * n, curvature, FACTOR * n**3, n)

    @property
    def products(self) -> float:
        """Number of products with H that cost as much as forming and factorising it."""
        return (self.curvature + self.factor) / self.one_pass

    def of_sample(self, fraction: float) -> CostModel:
        """Return the costs of a random fraction of the rows."""
        return CostModel(
            fraction * self.one_pass, fraction * self.curvature, self.factor, self.size
        )

    def worth_factorising(self, n_products: float, whole: CostModel) -> bool:
        """Return whether the curvature of a sample will save the whole more than it costs.

        Parameters
        ----------
        n_products : float
            Products with the curvature that the sample's own minimum took without a factor: about
            as many as the whole will need from there.
        whole : CostModel
            Costs of all rows.
        """
        return self.curvature + self.factor < n_products * whole.one_pass

    @property
    def from_zero(self) -> float:
        """What the way from 0 to the minimum costs without a sample."""
        step = min(self.curvature + self.factor, TYPICAL_PRODUCTS * self.one_pass)
        return STEPS_FROM_ZERO * (self.one_pass + step)


def row_space_is_smaller(problem: Objective) -> bool:
    """Return whether it is cheaper to solve the problem in the space of its samples."""
    n, n_features = problem.data_size.n_samples, problem.n_features
    if n >= n_features or not problem.has_row_space:
        return False
    products = n * n_features * (DENSE_CURVATURE + DENSE_CURVATURE_PRODUCT * n)
    return products + CostModel.of_row_space(n).from_zero < CostModel.of(problem).from_zero


def columns_are_less_work(n_stored: float, n_columns: int, n_samples: int) -> bool:
    """Return whether coordinate descent by sparse columns is less work than by their curvature.

    Parameters
    ----------
    n_stored : float
        Number of values stored in the columns.
    n_columns, n_samples : int
        Number of columns and of samples.
    """
    by_columns = TYPICAL_SWEEPS * COLUMN_SWEEP * n_stored
    formed = SPARSE_CURVATURE * n_stored * max(1.0, n_stored / n_samples)  # of rows of one length
    return by_columns < formed + TYPICAL_SWEEPS * MATRIX_SWEEP * n_columns**2
