"""A model of what the parts of a Newton step cost, by which the cheapest way is chosen.

Costs are in nanoseconds on one core of a 2.6 GHz Xeon with OpenBLAS; only their ratios matter.

- A pass is the computation of z = Xw and Xᵀr.
- A curvature is the computation of the matrix H = Σ hxxᵀ.
- A factor is the Cholesky factorisation of H.

``python -m benchmarks.tuning NAME`` measures each constant below but MAX_FACTOR_SIZE and those of a
device, which are those of an H200 with torch 2.11, taken from profiles of the fits of
``python -m benchmarks --suite device``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sklearn_bce._objective.base import HOST_SAMPLE_ELEMENTS, DataSize, Objective

# Nanoseconds of a pass for an element of an array.
DENSE_PASS = 0.5
# Nanoseconds of a pass for a stored value of a CSR matrix.
SPARSE_PASS = 3.0
# Nanoseconds of a curvature for an element of an array, in addition to DENSE_CURVATURE_PRODUCT.
DENSE_CURVATURE = 1.5
# Nanoseconds of a curvature for an ordered pair of elements of a row of an array.
DENSE_CURVATURE_PRODUCT = 0.02
# Nanoseconds of a curvature for an ordered pair of stored values of a row of a CSR matrix; half of
# the products, those of the lower triangle, are computed.
SPARSE_CURVATURE = 0.6
# Nanoseconds of a factor, divided by size³: size³/3 multiplications at about 11 a nanosecond.
FACTOR = 0.03
# Nanoseconds of a pass in Python, in addition to the work on X: no sample of a few hundred rows is
# worth it.
PASS_OVERHEAD = 2e4
# Nanoseconds for reading a stored value of samples in parts, and for its use in a pass.
PART_VALUE = 8.0
# Nanoseconds of a pass over samples in parts, in addition to PART_VALUE: the latency of a
# scheduler.
PART_PASS_OVERHEAD = 2e7
# Nanoseconds of a pass on a device, an H100, for an element of float32, which is read twice.
DEVICE_PASS = 0.0026
# Nanoseconds of a pass on a device for an output of float32, of which some ten arrays are read or
# written, in addition to DEVICE_PASS.
DEVICE_OUTPUT = 0.044
# Nanoseconds of a pass on a device for launches, and for the sums to come to the host.
DEVICE_PASS_OVERHEAD = 4e5
# Nanoseconds of a curvature on a device for an element of float32, an ordered pair of elements of a
# row, and for its launches and the matrix to come to the host.
DEVICE_CURVATURE = 0.005
DEVICE_CURVATURE_PRODUCT = 5e-5
DEVICE_CURVATURE_OVERHEAD = 4e5
# Nanoseconds for drawing a row of an array on a device: its index is drawn and examined on the
# host. [a choice]
DRAWN_ROW = 30.0
# Share of the costs of an array that Newton's method takes in one compiled call, see `in_cache`: of
# 1 020, 2 040 and 4 080 rows of 50 features it takes 0.68, 1.03 and 1.95 ms.
SHARE_IN_CACHE = 0.6
# The same on a device, where two steps reach the tolerance of a sample, with four products each:
# 500 features take 9 ms.
SHARE_ON_DEVICE = 0.5
# Number of coordinates above which H is not formed: 11 000² float64 take 1 GB. [a choice]
MAX_FACTOR_SIZE = 11_000
# Products with H that conjugate gradients take for a step, preconditioned by the diagonal of H, on
# data for which that is of any use: 8.3 on average.
TYPICAL_PRODUCTS = 8
# Newton steps from 0 to the minimum: 4.4 on average.
STEPS_FROM_ZERO = 5


def _dense_costs(data: DataSize, size: int) -> tuple[float, float]:
    """Return the costs of a pass and of a curvature for an array, given the size of θ."""
    n = data.n_samples
    curvature = n * size * (DENSE_CURVATURE + DENSE_CURVATURE_PRODUCT * size)
    return PASS_OVERHEAD + DENSE_PASS * n * size, curvature


def _csr_costs(data: DataSize, size: int) -> tuple[float, float]:
    """Return the costs of a pass and of a curvature for a CSR matrix; ``size`` is not used."""
    stored = max(data.n_stored, data.n_samples)
    return PASS_OVERHEAD + SPARSE_PASS * stored, SPARSE_CURVATURE * data.n_pairs


def _partitioned_costs(data: DataSize, size: int) -> tuple[float, float]:
    """Return the costs of a pass and of a curvature for parts; ``size`` is not used."""
    products = DENSE_CURVATURE_PRODUCT * data.n_pairs
    reading = PART_PASS_OVERHEAD + PART_VALUE * data.n_stored
    return reading, DENSE_CURVATURE * data.n_stored + products


def _device_costs(data: DataSize, size: int) -> tuple[float, float]:
    """Return the costs of a pass and of a curvature for an array on a device."""
    n, unit = data.n_samples, data.dtype.itemsize / 4
    curvature = DEVICE_CURVATURE_OVERHEAD + unit * n * size * (
        DEVICE_CURVATURE + DEVICE_CURVATURE_PRODUCT * size
    )
    return DEVICE_PASS_OVERHEAD + unit * n * (DEVICE_PASS * size + DEVICE_OUTPUT), curvature


# Functions (DataSize, size of θ) -> costs of a pass and of a curvature, by `DataSize.storage`.
COSTS = {
    "dense": _dense_costs,
    "csr": _csr_costs,
    "partitioned": _partitioned_costs,
    "device": _device_costs,
}


@dataclass(frozen=True)
class CostModel:
    """Costs of the parts of a Newton step for one problem, in nanoseconds.

    Attributes
    ----------
    one_pass : float
        Cost of a pass over X: z = Xw and Xᵀr. A product with H costs as much.
    curvature : float
        Cost of forming the matrix H, in addition to a pass.
    factor : float
        Cost of the Cholesky factorisation of H; infinite if H is too large to be formed.
    size : int
        Number of coordinates, the length of θ.
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
        """Return the costs for a dense matrix of n_samples rows and columns; see `RowSpace`."""
        n = n_samples
        curvature = n * n * (DENSE_CURVATURE + DENSE_CURVATURE_PRODUCT * n)
        return cls(DENSE_PASS * n * n, curvature, FACTOR * n**3, n)

    @property
    def products(self) -> float:
        """Number of products with H that cost as much as forming H and factorising H."""
        return (self.curvature + self.factor) / self.one_pass

    @classmethod
    def of_sample(cls, problem: Objective, n_rows: int) -> CostModel:
        """Return the costs of a problem on a random sample of the rows.

        A small sample of an array on a device is an array of the processor.
        """
        whole, data = cls.of(problem), problem.data_size
        if data.storage == "device":
            some = replace(data, n_samples=n_rows)
            is_few = n_rows * problem.n_features <= HOST_SAMPLE_ELEMENTS
            one_pass, curvature = (_dense_costs if is_few else _device_costs)(some, whole.size)
            share = SHARE_IN_CACHE if is_few else SHARE_ON_DEVICE
            drawing = DRAWN_ROW * n_rows / share / STEPS_FROM_ZERO
            costs = one_pass + drawing, curvature, whole.factor
            return cls(*(share * each for each in costs), whole.size)
        fraction = n_rows / problem.n_samples
        return cls(fraction * whole.one_pass, fraction * whole.curvature, whole.factor, whole.size)

    def worth_factorising(self, n_products: float, whole: CostModel) -> bool:
        """Return whether a factor of the sample's curvature saves more than it costs.

        ``self`` has the costs of the sample.

        Parameters
        ----------
        n_products : float
            Number of products with H that finding the minimum on the sample took. Without a
            factor, about as many products on all rows will follow.
        whole : CostModel
            Costs of the problem on all rows.
        """
        return self.curvature + self.factor < n_products * whole.one_pass

    @property
    def from_zero(self) -> float:
        """Cost of Newton's method from θ = 0 to the minimum, if no sample gives a better start."""
        step = min(self.curvature + self.factor, TYPICAL_PRODUCTS * self.one_pass)
        return STEPS_FROM_ZERO * (self.one_pass + step)


def row_space_is_smaller(problem: Objective) -> bool:
    """Return whether Newton's method is cheaper in the space of the samples; see `RowSpace`."""
    n, n_features = problem.data_size.n_samples, problem.n_features
    if n >= n_features or not problem.has_row_space:
        return False
    products = n * n_features * (DENSE_CURVATURE + DENSE_CURVATURE_PRODUCT * n)
    return products + CostModel.of_row_space(n).from_zero < CostModel.of(problem).from_zero
