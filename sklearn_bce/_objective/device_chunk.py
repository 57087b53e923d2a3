"""A chunk of samples on a device, as a part of the samples of a fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import DataSize
from sklearn_bce._objective.device_samples import DeviceSamples, moments_on_device
from sklearn_bce._objective.on_device import DeviceObjective, unchanged
from sklearn_bce._objective.partitioned import Encoding, PartElsewhere
from sklearn_bce._objective.penalty import NO_PENALTY
from sklearn_bce._objective.summary import (
    BottomKSample,
    DataSummary,
    least,
    raise_unless_binary,
    rows_per_class,
)


class DeviceChunk(PartElsewhere):
    """Samples of a part on a device, with labels as given; sums are computed on the device.

    Parameters
    ----------
    samples : DeviceSamples
        The samples; ``y`` are labels as given by the user, or soft targets, of any type.
    y : array or ndarray of shape (n_samples,)
        Labels or soft targets as given by the user, on the device or on the host.
    """

    def __init__(self, samples: DeviceSamples, y: Any) -> None:
        self.samples, self.y, self.shape = samples, y, tuple(samples.X.shape)

    def objective(self, encoding: Encoding) -> DeviceObjective:
        """Return (1/S) Σ sL over the samples, on the device."""
        return DeviceObjective(
            self._encoded(encoding.encode),
            NO_PENALTY,
            encoding.coordinates,
            encoding.n_threads,
            total_weight=encoding.total_weight,
        )

    def _encoded(self, encode: Callable[..., tuple[Vector, Vector]]) -> DeviceSamples:
        """Return the samples with targets in [0, 1] and class weights, given `Encoding.encode`."""
        samples, xp, dtype = self.samples, self.samples.library.xp, self.samples.X.dtype
        if isinstance(self.y, np.ndarray):
            y, factor = encode(self.y, np.ones(len(self.y)))
            y, factor = (samples.library.array(each, dtype) for each in (y, factor))
        elif samples.is_soft:
            of_zero, of_one = encode(np.array([0.0, 1.0]), np.ones(2))[1].tolist()
            y = xp.astype(self.y, dtype)
            factor = y * of_one + (1 - y) * of_zero
            y = xp.where(factor > 0, y * of_one / xp.where(factor > 0, factor, factor + 1), 0 * y)
        else:
            labels = self._labels
            codes, factors = (each.tolist() for each in encode(labels, np.ones(len(labels))))
            y = factor = 0
            for label, code, of_label in zip(labels.tolist(), codes, factors, strict=True):
                has_label = xp.astype(self.y == label, dtype)
                y, factor = y + code * has_label, factor + of_label * has_label
        weight = factor if samples.weight is None else samples.weight * factor
        return replace(samples, y=y, weight=weight, n_positive=None)

    @cached_property
    def _labels(self) -> NDArray[Any]:
        """The labels of the part: two at most, unless the part has more."""
        library, xp = self.samples.library, self.samples.library.xp
        y = xp.astype(self.y, xp.uint8) if self.y.dtype == xp.bool else self.y
        ends = library.to_numpy(xp.stack([xp.min(y), xp.max(y)]))
        if not bool(xp.all((y == ends[0].item()) | (y == ends[1].item()))):
            ends = library.to_numpy(xp.unique_values(y))
        return np.unique(ends).astype(bool) if self.y.dtype == xp.bool else np.unique(ends)

    def on_host(self) -> tuple[Any, NDArray[Any], Vector, Vector | None]:
        """Return X, y as given, sample_weight and offset, copied to the host."""
        X, _, weight, offset = self.samples.on_host(slice(0, self.shape[0]))
        y = self.y if isinstance(self.y, np.ndarray) else self.samples.library.to_numpy(self.y)
        return X, y, weight, offset

    def summary(self, number: int, seed: int, moments_for: bool | None) -> DataSummary:
        """Return the summary of the part with this number; see `summarise`."""
        samples, k = self.samples, rows_per_class(self.shape[1])
        rng = np.random.default_rng([seed, number])
        drawn, sums = {}, {}
        for label, listed in self._rows_of_labels().items():
            ranks = rng.random(len(listed) if isinstance(listed, np.ndarray) else listed.shape[0])
            some = least(ranks, k)
            rows = listed[some] if isinstance(listed, np.ndarray) else samples.take(listed, some)
            X, _, weight, offset = samples.on_host(rows)
            y = self.y[rows] if isinstance(self.y, np.ndarray) else samples.take(self.y, rows)
            drawn[label] = BottomKSample(len(ranks), X, y, weight, ranks[some], k, offset)
            sums[label] = self._weight_of(listed)
        if samples.is_soft:
            y = self._encoded(unchanged)
            sums = dict(enumerate(y.class_weight_sums.tolist()))
        moments = None
        if moments_for is not None:
            moments = moments_on_device(samples, moments_for)
        n, p = self.shape
        size = DataSize(n, samples.dtype, "device", float(n) * p, float(n) * p * p)
        return DataSummary(size, p, sums, drawn, moments)

    def _rows_of_labels(self) -> dict[Any, Any]:
        """Return the indices of the samples with weight of each label, on the device or the host.

        With soft targets the only key is None.

        Raises
        ------
        ValueError
            If there are more than two labels.
        """
        xp, weight = self.samples.library.xp, self.samples.weight
        if isinstance(self.y, np.ndarray) and not self.samples.is_soft:
            labels = np.unique(self.y)
            raise_unless_binary(labels.tolist())
            s = self.samples.weights_on_host(slice(0, self.shape[0]))
            return {label: np.flatnonzero((self.y == label) & (s > 0)) for label in labels.tolist()}
        if self.samples.is_soft:
            labels, masks = [None], [xp.ones(self.shape[0], dtype=xp.bool, device=self._device)]
        else:
            labels = self._labels.tolist()
            raise_unless_binary(labels)
            masks = [self.y == label for label in labels]
        if weight is not None:
            masks = [mask & (weight > 0) for mask in masks]
        return {label: xp.nonzero(mask)[0] for label, mask in zip(labels, masks, strict=True)}

    @property
    def _device(self) -> Any:
        return self.samples.library.device

    def _weight_of(self, rows: Any) -> float:
        """Return the sum of the weights of some rows, given by indices of device or host."""
        samples = self.samples
        n_rows = len(rows) if isinstance(rows, np.ndarray) else rows.shape[0]
        if samples.weight is None:
            return n_rows * samples.unit
        rows = samples.library.array(rows) if isinstance(rows, np.ndarray) else rows
        return samples.unit * float(
            samples.total(samples.library.xp.take(samples.weight, rows, axis=0))
        )
