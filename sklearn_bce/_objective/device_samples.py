"""Samples in an array of another library, such as one in the memory of a GPU.

The samples stay where they are. Losses and their derivatives are computed by the library of X,
which follows the array API standard. Rounding errors of sums do not grow with the number of
samples: sums within a block of rows are in the dtype of X, and the sums of the blocks are added up
in float64 if the device has it.

- `ArrayLibrary`: the namespace and the device of X, and copies from and to the host.
- `DeviceSamples`: X, targets, weights and offset on the device, and the losses of outputs.
- `Sums`: sums over blocks of rows.

References
----------
Array API standard, version 2023.12, https://data-apis.org/array-api/2023.12.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.partitioned import PartFunction, PartSums
from sklearn_bce._objective.scaling import SAFE_MEAN_SQUARES, Moments

# Rows of a block whose products are summed in the dtype of X. On an H200 products Xᵀr of 10 000 000
# rows take 0.51 ms by such blocks and 0.62 ms at once, and an array of so many outputs, 16 MB of
# float32, stays in the cache of 50 MB from one function to the next; launches take less time than
# the block. Sums are added up as a tree: the error is 3e-9 of the sum of absolute values. On the
# host sums are those of a few vectors.
DEVICE_BLOCK_ROWS = 2**22
HOST_BLOCK_ROWS = 2**13
# Elements of a block of rows of which a copy is made, for curvature and for standardised rows:
# 256 MB of float32 on a GPU, 4 MB on the host. [a choice]
DEVICE_BLOCK_ELEMENTS = 2**26
HOST_BLOCK_ELEMENTS = 2**20
# Elements of a block of rows that is copied to the host, 32 MB of float64. [a choice]
COPIED_ELEMENTS = 2**22


@dataclass(frozen=True, eq=False)
class ArrayLibrary:
    """The library of an array, and the device that the array is on.

    Attributes
    ----------
    xp : module
        Namespace of the library, which follows the array API standard.
    device : object
        The device.
    dtypes : dict of dtype to object
        The floating-point types that the device has, by those of NumPy: float32, float64 or both.
    to_numpy : callable (array) -> ndarray
        Returns a copy on the host, or the memory of the array if that is on the host.
    is_host : bool
        Whether the device is the processor.
    """

    xp: Any
    device: Any
    dtypes: dict[np.dtype, Any]
    to_numpy: Callable[[Any], NDArray[Any]]
    is_host: bool = False

    @property
    def sum_dtype(self) -> Any:
        """The most precise floating-point type of the device: float64, or float32 without that."""
        return self.dtypes.get(np.dtype(np.float64), self.dtypes[np.dtype(np.float32)])

    def numpy_dtype(self, dtype: Any) -> np.dtype:
        """Return the floating-point type of NumPy that corresponds to one of the library."""
        return next(known for known, own in self.dtypes.items() if own == dtype)

    def array(self, values: NDArray[Any], dtype: Any = None) -> Any:
        """Return values of the host as an array on the device, of the given type of the library."""
        return self.xp.asarray(values, dtype=dtype, device=self.device)


@dataclass(frozen=True, eq=False)
class DeviceSamples:
    """Samples on a device; all arrays are on the same one.

    Attributes
    ----------
    library : ArrayLibrary
        Library and device of the arrays.
    X : array of shape (n_samples, n_features), float32 or float64
        Samples; never changed.
    y : array of shape (n_samples,), dtype of X, or None
        Targets in [0, 1]; None if labels are not encoded yet, see `DeviceChunk`.
    weight : array of shape (n_samples,), dtype of X, or None, default=None
        Sample weights divided by ``unit``, at least 0; None means 1 for each sample.
    unit : float, default=1.0
        The factor of the weights, a power of two, so that they do not overflow in the dtype of X.
    offset : array of shape (n_samples,), dtype of X, or None, default=None
        Known terms of the linear outputs; None means that there are none.
    is_soft : bool, default=False
        Whether targets may be other numbers than 0 and 1.
    n_positive : int or None, default=None
        Number of targets that are 1 if none is another number than 0 and 1; None if that is not
        known.
    """

    library: ArrayLibrary
    X: Any
    y: Any
    weight: Any = None
    unit: float = 1.0
    offset: Any = None
    is_soft: bool = False
    n_positive: int | None = None

    @property
    def n_samples(self) -> int:
        """Number of rows of X."""
        return self.X.shape[0]

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.X.shape[1]

    @cached_property
    def dtype(self) -> np.dtype:
        """The floating-point type of NumPy that corresponds to that of X."""
        return self.library.numpy_dtype(self.X.dtype)

    @cached_property
    def total_weight(self) -> float:
        """S, the sum of the sample weights."""
        if self.weight is None:
            return self.n_samples * self.unit
        return float(self.total(self.weight)) * self.unit

    @cached_property
    def mean(self) -> float:
        """The weighted mean of y; 0 if S is 0."""
        return self._sums[0] / self.total_weight if self.total_weight > 0 else 0.0

    @cached_property
    def mean_of_others(self) -> float:
        """The weighted mean of 1 − y, which is above 0 wherever a target with weight is below 1."""
        return self._sums[1] / self.total_weight if self.total_weight > 0 else 0.0

    @property
    def class_weight_sums(self) -> Vector:
        """Σ s(1 − y) and Σ sy, of shape (2,)."""
        return np.array([self._sums[1], self._sums[0]])

    @cached_property
    def class_sizes(self) -> tuple[int, int]:
        """Numbers of samples with weight whose target is at most, and above, the mean of y."""
        return int(self._sums[2]), int(self._sums[3])

    @cached_property
    def _sums(self) -> list[float]:
        """Σ sy, Σ s(1 − y), and the numbers of samples in both classes, in one transfer."""
        xp, n = self.library.xp, self.n_samples
        if self.weight is None and not self.is_soft:
            positive = self.n_positive
            if positive is None:
                positive = float(self.total(self.y))
            ones = [positive, n - positive]
            return [ones[0] * self.unit, ones[1] * self.unit, ones[1], ones[0]]
        weight = self.y * 0 + 1 if self.weight is None else self.weight
        positive = self.is_positive
        sums = xp.stack(
            [
                self.total(weight * self.y),
                self.total(weight * (1 - self.y)),
                self.total(xp.astype((weight > 0) & ~positive, self.X.dtype)),
                self.total(xp.astype((weight > 0) & positive, self.X.dtype)),
            ]
        )
        sums = self.library.to_numpy(sums).tolist()
        return [*(each * self.unit for each in sums[:2]), *sums[2:]]

    @cached_property
    def is_positive(self) -> Any:
        """Which targets are above their mean, an array of shape (n_samples,)."""
        if not self.is_soft:
            return self.y > 0
        return self.y > float(self.total(self.y)) / self.n_samples

    @cached_property
    def sign(self) -> Any:
        """1 − 2y, of shape (n_samples,), for targets of 0 and 1: the sign of a − y."""
        return 1 - 2 * self.y

    @cached_property
    def _zero(self) -> Any:
        """0, an array without dimensions in the dtype of X."""
        return self.library.xp.zeros((), dtype=self.X.dtype, device=self.library.device)

    def part_of(self, values: Any, rows: slice) -> Any:
        """Return some rows of an array of n_samples rows; the array itself if all."""
        is_whole = rows.start in {0, None} and rows.stop in {self.n_samples, None}
        return values if is_whole else values[rows, ...]

    def total(self, values: Any) -> Any:
        """Return the sum of an array, summed in ``sum_dtype``: an array without dimensions."""
        return self.library.xp.sum(values, dtype=self.library.sum_dtype)

    def loss(self, rows: slice, z: Any) -> Any:
        """Return the weighted losses sL/unit of some rows, given their outputs."""
        return self._weighted(self._loss(rows, z), rows)

    def loss_and_residual(self, rows: slice, z: Any) -> tuple[Any, Any]:
        """Return weighted losses and residuals s(y − a)/unit of some rows, given their outputs.

        Residuals are computed from losses, 1 − σ(z) = 1 − e⁻ᴸ with the loss L = log(1 + e⁻ᶻ), so
        that those of samples whose class is nearly certain keep their relative precision.
        """
        xp = self.library.xp
        if not self.is_soft:
            loss = self._loss(rows, z)
            residual = xp.expm1(-loss) * self.part_of(self.sign, rows)
            return self._weighted(loss, rows), self._weighted(residual, rows)
        y = self.part_of(self.y, rows)
        if_zero, if_one = self._softplus(z), self._softplus(-z)
        residual = (1 - y) * xp.expm1(-if_zero) - y * xp.expm1(-if_one)
        loss = y * if_one + (1 - y) * if_zero
        return self._weighted(loss, rows), self._weighted(residual, rows)

    def curvature(self, rows: slice, z: Any) -> Any:
        """Return the weighted curvature sa(1 − a)/unit of some rows, given their outputs."""
        xp = self.library.xp
        e = xp.exp(-xp.abs(z))
        return self._weighted(e / xp.square(1 + e), rows)

    def _loss(self, rows: slice, z: Any) -> Any:
        if not self.is_soft:
            return self._softplus(z * self.part_of(self.sign, rows))
        y = self.part_of(self.y, rows)
        return y * self._softplus(-z) + (1 - y) * self._softplus(z)

    def _softplus(self, z: Any) -> Any:
        return self.library.xp.logaddexp(z, self._zero)

    def _weighted(self, values: Any, rows: slice) -> Any:
        return values if self.weight is None else values * self.part_of(self.weight, rows)

    def weights_on_host(self, rows: Any) -> Vector:
        """Return the sample weights s of some rows, of shape (n_rows,), float64, on the host."""
        if self.weight is None:
            is_slice = isinstance(rows, slice)
            n = len(range(*rows.indices(self.n_samples))) if is_slice else len(rows)
            return np.full(n, self.unit)
        return self.unit * self.take(self.weight, rows).astype(np.float64)

    def on_host(self, rows: Any) -> tuple[NDArray[Any], Any, Vector, Vector | None]:
        """Return X, y, weights and offset of some rows as arrays on the host.

        Parameters
        ----------
        rows : slice or ndarray of shape (n_rows,), intp
            The rows.
        """
        offset = None if self.offset is None else self.take(self.offset, rows).astype(np.float64)
        y = None if self.y is None else self.take(self.y, rows).astype(np.float64)
        return self.take(self.X, rows), y, self.weights_on_host(rows), offset

    def take(self, values: Any, rows: Any) -> NDArray[Any]:
        """Return some rows, a slice or indices, of an array of the device as an ndarray."""
        if isinstance(rows, slice):
            values = values[rows] if values.ndim == 1 else values[rows, :]
        else:
            values = self.library.xp.take(values, self.library.array(rows), axis=0)
        return self.library.to_numpy(values)

    def in_sum_dtype(self) -> DeviceSamples:
        """Return the samples in the most precise type of the device."""
        xp, dtype = self.library.xp, self.library.sum_dtype
        if self.X.dtype == dtype:
            return self
        converted = {
            name: xp.astype(values, dtype)
            for name in ("X", "y", "weight", "offset")
            if (values := getattr(self, name)) is not None
        }
        return replace(self, **converted)

    def of_columns(self, columns: NDArray[np.intp]) -> DeviceSamples:
        """Return the samples with some columns of X, which are copied."""
        columns = self.library.array(columns)
        return replace(self, X=self.library.xp.take(self.X, columns, axis=1))

    def blocks(self, elements_in_row: int = 0) -> list[slice]:
        """Return the rows of each block.

        If copies of the rows of a block are made, with so many ``elements_in_row``, blocks are
        smaller.
        """
        is_host = self.library.is_host
        length = HOST_BLOCK_ROWS if is_host else DEVICE_BLOCK_ROWS
        if elements_in_row:
            elements = HOST_BLOCK_ELEMENTS if is_host else DEVICE_BLOCK_ELEMENTS
            length = min(length, max(1, elements // elements_in_row))
        return slices(self.n_samples, length)

    def sum(self, function: PartFunction) -> PartSums:
        """Return the sums of a function over blocks that are copied to the host; see `Parts.sum`.

        One block is in the memory of the host at a time.
        """
        total: PartSums = []
        length = max(1, COPIED_ELEMENTS // self.n_features)
        for number, rows in enumerate(slices(self.n_samples, length)):
            sums = function(number, *self.on_host(rows))
            total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
        return total


class Sums:
    """Sums over blocks, as arrays of the device.

    Attributes
    ----------
    total : list of array
        The sums so far; empty before the first block.
    """

    def __init__(self) -> None:
        self.total: list[Any] = []

    def add(self, of_block: Any) -> None:
        """Add the sums of a block, an iterable of arrays; changes self."""
        of_block = list(of_block)
        if not self.total:
            self.total = of_block
            return
        self.total = [a + b for a, b in zip(self.total, of_block, strict=True)]


def slices(n: int, length: int) -> list[slice]:
    """Return slices of at most ``length`` that together are the range of n."""
    return [slice(start, min(start + length, n)) for start in range(0, n, length)]


def moments_on_device(samples: DeviceSamples, fit_intercept: bool) -> Moments:
    """Return mean and deviation of the columns of samples, in one pass; see `Moments.of`.

    Values are converted to float64 where the device has it. A column whose squares leave the range
    of the sums has its moments computed on the host, block by block.
    """
    library, xp = samples.library, samples.library.xp
    origin = np.zeros(samples.n_features)
    if not samples.total_weight > 0:
        return Moments(0.0, origin, origin, samples.dtype, fit_intercept)
    if fit_intercept:
        has_weight = xp.astype(samples.weight > 0, xp.int8) if samples.weight is not None else None
        row = 0 if has_weight is None else int(xp.argmax(has_weight))
        origin = samples.take(samples.X, slice(row, row + 1))[0].astype(np.float64)
    dtype = library.sum_dtype
    shift, sums = library.array(origin, dtype), Sums()
    # Copies in float64 take the memory of two blocks of float32 each.
    for rows in samples.blocks(4 * samples.n_features):
        X = xp.astype(samples.X[rows, :], dtype) - shift
        if samples.weight is None:
            sums.add([xp.sum(X, axis=0), xp.sum(xp.square(X), axis=0)])
        else:
            weight = xp.astype(samples.weight[rows], dtype)
            sums.add([weight @ X, weight @ xp.square(X)])
    share = samples.unit / samples.total_weight
    first, second = (share * row for row in library.to_numpy(xp.stack(sums.total)))
    first, second = first.astype(np.float64), second.astype(np.float64)
    least, largest = SAFE_MEAN_SQUARES
    lost = ~((second > least) & (second < largest)) & (second != 0)
    if np.any(lost):
        return sum_moments_on_host(samples, fit_intercept)
    if not fit_intercept:
        first, deviation = np.zeros_like(first), np.sqrt(second)
    else:
        deviation = np.sqrt(np.maximum(second - np.square(first), 0))
    return Moments(samples.total_weight, origin + first, deviation, samples.dtype, fit_intercept)


def sum_moments_on_host(samples: DeviceSamples, fit_intercept: bool) -> Moments:
    """Return what `moments_on_device` returns, from blocks of rows that are copied to the host."""

    def of_block(number: int, X: Any, y: Vector, weight: Vector, offset: Any) -> list[Moments]:
        return [Moments.of(X, weight, fit_intercept)]

    (moments,) = samples.sum(of_block)
    return moments
