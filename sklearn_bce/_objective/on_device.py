"""F over samples in an array of another library, such as one in the memory of a GPU.

Products with X are computed on the device, and their sums over the samples, of n_features and of
n_features² numbers, come to the host. What is rare and needs single rows of X, such as the
confirmation of a fit that is in doubt, is computed on the host, from a few rows or from one block
of rows after the other.

- `OutputCurvature`: the curvature of each sample, computed from its output when it is used.
- `Outputs`: the outputs of all samples, block by block.
- `DeviceObjective`: F.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import (
    HOST_SAMPLE_ELEMENTS,
    MAX_SLOPE,
    BaseObjective,
    DataSize,
    Evaluation,
    PassCounter,
    SomeSamples,
)
from sklearn_bce._objective.basis import Basis
from sklearn_bce._objective.design import Standardisation
from sklearn_bce._objective.device_samples import (
    COPIED_ELEMENTS,
    DeviceSamples,
    Sums,
    moments_on_device,
    slices,
)
from sklearn_bce._objective.in_memory import (
    ENOUGH_SAMPLES,
    LARGE_ELEMENTS,
    MODEL_REGION,
    NEGLIGIBLE_DECREMENT,
    ROWS_FOR_UNITS,
    SMALL_OUTPUT,
    STANDARD_ERRORS,
    WORK_ON_FLAT,
    InMemoryObjective,
    intercept_at_zero_weights,
)
from sklearn_bce._objective.partitioned import Encoding, PartitionedObjective, PartSums
from sklearn_bce._objective.penalty import Penalty
from sklearn_bce._objective.ray import OutputRay
from sklearn_bce._objective.rows import NotFiniteError
from sklearn_bce._objective.scaling import Coordinates, Moments
from sklearn_bce.chain_rule import da_dz

# Copies of a block of float32 X, in float32, whose memory a curvature takes: two in float64.
COPIES_FOR_CURVATURE = 4
# Samples with the least curvature of which the leverage is computed on the host, at most: 2**9 rows
# of 50 features take 1 ms. [a choice]
MOST_FLAT_ROWS = 2**9
# Share of the samples in a class below which its rows are listed before some of them are drawn.
# Drawing from all rows would take 20 times as many numbers. [a choice]
RARE_CLASS = 0.05
# Share of the samples in a class from which rows need not be drawn from each class: the drawing
# takes four times as long if they are. [a choice]
LARGE_CLASS = 0.2
# Rows, evenly spaced, from which the intercept at weights of 0 is estimated if there is an offset:
# its standard error is below 2/√10⁴ = 0.02 standard deviations of the targets. [a choice]
ROWS_FOR_LOG_ODDS = 10_000


def unchanged(y: Vector, sample_weight: Vector) -> tuple[Vector, Vector]:
    """Return targets and weights as they are: those of `DeviceSamples` are encoded already."""
    return y, sample_weight


class OutputCurvature:
    """The curvature of each sample, computed when it is first used.

    Parameters
    ----------
    compute : callable () -> array of shape (n_samples,)
        Returns the curvature p a(1−a), or what takes its place, times S/unit.
    """

    def __init__(self, compute: Callable[[], Any]) -> None:
        self._compute = compute

    @cached_property
    def values(self) -> Any:
        """The curvature of each sample, times S/unit: an array of shape (n_samples,)."""
        return self._compute()


class Outputs:
    """The outputs of all samples, block by block.

    Parameters
    ----------
    samples : DeviceSamples
        The samples.
    z : array of shape (n_samples,) or None, default=None
        The outputs if they are known.

    Attributes
    ----------
    z : array of shape (n_samples,) or None
        The outputs; None before the first block.
    """

    def __init__(self, samples: DeviceSamples, z: Any = None) -> None:
        self._samples, self.z, self._is_known = samples, z, z is not None

    def of(self, rows: slice) -> Any:
        """Return the outputs of some rows."""
        return self.z[rows]

    def add(self, rows: slice, z: Any) -> None:
        """Set the outputs of some rows, unless they are known; changes self."""
        if self._is_known:
            return
        n = self._samples.n_samples
        if rows.start == 0 and rows.stop == n:
            self.z = z
            return
        if self.z is None:
            library = self._samples.library
            self.z = library.xp.empty(n, dtype=z.dtype, device=library.device)
        self.z[rows] = z


class DeviceObjective(BaseObjective):
    """F as a function of θ, for samples on a device; implements `Objective`.

    Outputs and curvatures of samples are arrays on the device. The first pass over X also checks
    that its elements are finite, and raises `NotFiniteError` if one is not.

    Parameters
    ----------
    samples : DeviceSamples
        The samples; their total weight is above 0.
    penalty : Penalty
        The penalty, in the units of ``coordinates``.
    coordinates : Coordinates
        Shift and scale that relate θ to the user's weights and intercept.
    n_threads : int, default=1
        Most threads that a computation on the host may use.
    passes : PassCounter, default=None
        Counter of passes, to which passes are added; None means a new counter.
    total_weight : float, default=None
        S, if the samples are part of a larger set; None means that of the samples.
    """

    has_columns = has_row_space = False
    array = None

    def __init__(
        self,
        samples: DeviceSamples,
        penalty: Penalty,
        coordinates: Coordinates,
        n_threads: int = 1,
        passes: PassCounter | None = None,
        total_weight: float | None = None,
    ) -> None:
        super().__init__(penalty, coordinates, passes)
        self.samples, self.n_threads = samples, n_threads
        self.has_offset = samples.offset is not None
        self.total_weight = samples.total_weight if total_weight is None else total_weight
        self._share = samples.unit / self.total_weight  # of a weight of 1 in S
        self._given: Any = samples.X
        self._known_finite = False
        self._products = Standardisation(coordinates, samples.dtype)

    @classmethod
    def in_user_units(
        cls,
        samples: DeviceSamples,
        penalty: Penalty,
        fit_intercept: bool,
        n_threads: int = 1,
        given: Any = None,
    ) -> DeviceObjective:
        """Return F as a function of the user's (w, b).

        A float32 X of at most ``LARGE_ELEMENTS`` elements is converted to float64, if the device
        has it: passes take the same time, and are more precise.

        Parameters
        ----------
        samples, n_threads
            As for `DeviceObjective`.
        penalty : Penalty
            The penalty, in the user's units.
        fit_intercept : bool
            Whether θ has an entry for the intercept.
        given : array or None, default=None
            X as given by the user, of which X of the samples may be a copy; None means the same.
        """
        coordinates = Coordinates.of_user(samples.n_features, fit_intercept)
        small = samples.n_samples * samples.n_features <= LARGE_ELEMENTS
        objective = cls(
            samples.in_sum_dtype() if small else samples, penalty, coordinates, n_threads
        )
        objective._given = samples.X if given is None else given
        return objective

    # ----- the samples -----

    @property
    def n_samples(self) -> int:
        """Number of rows of X."""
        return self.samples.n_samples

    @cached_property
    def data_size(self) -> DataSize:
        """The size of X; its storage is "device", or "dense" if the device is the processor."""
        n, p = self.samples.n_samples, self.samples.n_features
        storage = "dense" if self.samples.library.is_host else "device"
        return DataSize(n, self.samples.dtype, storage, float(n) * p, float(n) * p * p)

    @cached_property
    def log_odds(self) -> float:
        """The intercept that minimises F at w = 0; see `InMemoryObjective.log_odds`.

        With an offset it is estimated from random rows, which is enough for a start.
        """
        mean, others = self.samples.mean, self.samples.mean_of_others
        if not (self.coordinates.fit_intercept and mean > 0 and others > 0):
            return 0.0
        if not self.has_offset:
            return float(logit(mean)) if mean < 1 else 0.0
        rows = np.unique(np.linspace(0, self.n_samples - 1, ROWS_FOR_LOG_ODDS).astype(np.intp))
        _, y, weight, offset = self.samples.on_host(rows)
        total = float(np.sum(weight))
        if not (total > 0 and 0 < float(weight @ y) < total):
            return float(logit(mean)) if mean < 1 else 0.0
        return intercept_at_zero_weights(y, weight / total, offset)

    def samples_reference(self) -> Any:
        """Return a weak reference to X as given: a later fit tests whether its X is this X."""
        return weakref.ref(self._given)

    def has_samples(self, X: Any) -> bool:
        """Return whether X is what was given for this objective: the object, not its values."""
        return self._given is X

    def raise_unless_finite(self) -> None:
        """Read X and raise NotFiniteError if an element is infinite or NaN; counts one pass."""
        xp = self.samples.library.xp
        self.passes.add()
        for rows in self.samples.blocks(self.n_features):
            if not bool(xp.all(xp.isfinite(self.samples.X[rows, :]))):
                raise NotFiniteError("X contains NaN or infinity.")
        self._known_finite = True

    def in_parts(self) -> PartitionedObjective:
        """Return F over blocks of rows that are copied to the host whenever they are read.

        Both share the pass counter.
        """
        encoding = Encoding(unchanged, self.coordinates, self.total_weight, self.n_threads)
        return PartitionedObjective(
            self.samples,
            self.data_size,
            encoding,
            self.penalty,
            self.log_odds,
            passes=self.passes,
            has_offset=self.has_offset,
        )

    def sum_over_parts(self, function: Callable[..., PartSums], *arguments: Any) -> PartSums:
        """Return the sum of a function over blocks of rows that are copied to the host.

        See `Objective.sum_over_parts`.
        """
        return self.in_parts().sum_over_parts(function, *arguments)

    def in_basis(self, basis: Basis) -> PartitionedObjective:
        """Return F as a function of the coordinates v of a basis, by blocks on the host."""
        return self.in_parts().in_basis(basis)

    def of_features(self, features: NDArray[np.intp], w: Vector) -> PartitionedObjective:
        """Return F as a function of the weights of some features, by blocks on the host."""
        return self.in_parts().of_features(features, w)

    def without(self, samples: SomeSamples) -> PartitionedObjective:
        """Return F without the losses of some samples, by blocks on the host."""
        return self.in_parts().without(samples)

    def without_offset(self) -> PartitionedObjective:
        """Return F with outputs that do not contain the offset, by blocks on the host."""
        return self.in_parts().without_offset()

    def count_deviating(self, columns: NDArray[np.intp], values: Vector) -> NDArray[np.intp]:
        """Return, for some columns, the number of samples with weight with another value."""
        self.passes.add()
        samples, xp = self.samples, self.samples.library.xp
        index = samples.library.array(columns)
        known = samples.library.array(values.astype(samples.dtype))
        total: Any = 0
        for rows in samples.blocks(self.n_features):
            differs = xp.take(samples.X[rows, :], index, axis=1) != known
            if samples.weight is not None:
                differs = differs & (samples.weight[rows] > 0)[:, None]
            total = total + xp.sum(xp.astype(differs, xp.int64), axis=0)
        return samples.library.to_numpy(total)

    # ----- other objectives -----

    def in_coordinates(self, coordinates: Coordinates) -> DeviceObjective:
        """Return F in other coordinates, given F in the user's; both share the pass counter.

        The shift is rounded to the dtype of X, so that it is subtracted without a further rounding.
        """
        shift = coordinates.shift.astype(self.samples.dtype).astype(np.float64)
        coordinates = replace(coordinates, shift=shift)
        other = DeviceObjective(
            self.samples,
            self.penalty.in_units(coordinates.scale),
            coordinates,
            self.n_threads,
            self.passes,
            self.total_weight,
        )
        other._known_finite, other._given = self._known_finite, self._given
        if self.has_offset:  # the intercept at w = 0 is the same in all coordinates
            other.log_odds = self.log_odds
        return other

    def standardised(self) -> DeviceObjective:
        """Return F in coordinates of centred and scaled columns, given F in the user's.

        That takes one pass, for mean and deviation of the columns, unless these are known. The
        result shares the pass counter.
        """
        self.know_moments()
        return self.in_coordinates(self.moments.coordinates)

    def know_moments(self) -> None:
        """Find mean and deviation of the columns in a pass, unless they are known; changes self."""
        if self.moments is None:
            self.moments = self.column_moments()
            self.passes.add()

    def column_moments(self) -> Moments:
        """Return mean and deviation of the columns of X with the weights of F, in one pass."""
        return moments_on_device(self.samples, self.coordinates.fit_intercept)

    def of_rows(self, rows: slice | NDArray[np.intp], factor: Vector) -> InMemoryObjective:
        """Return the mean loss of some rows plus the penalty, on the host, in the coordinates of F.

        The result has a pass counter of its own.

        Parameters
        ----------
        rows : slice or ndarray of shape (n,), intp
            The rows.
        factor : ndarray of shape (n,), float64
            Factors by which the sample weights of the rows are multiplied.
        """
        X, y, weight, offset = self.samples.on_host(rows)
        return InMemoryObjective(
            X.astype(np.float64),
            y,
            weight * factor,
            self.penalty,
            self.coordinates,
            self.n_threads,
            offset=offset,
        )

    def thinned(self, n_rows: int) -> InMemoryObjective:
        """Return the mean loss of about n_rows evenly spaced rows plus the penalty, on the host.

        In a result of `subsample` such rows are a sample as random as the whole.
        """
        step = max(1, self.n_samples // n_rows)
        rows = slice(0, self.n_samples, step)
        return self.of_rows(rows, np.ones(len(range(*rows.indices(self.n_samples)))))

    def of_rows_on_device(self, rows: NDArray[np.intp], factor: Vector) -> DeviceObjective:
        """Return what `of_rows` returns, on the device."""
        samples, xp = self.samples, self.samples.library.xp
        index = samples.library.array(rows)
        copies = {
            name: xp.take(values, index, axis=0)
            for name in ("X", "y", "weight", "offset")
            if (values := getattr(samples, name)) is not None
        }
        if samples.weight is not None or np.any(factor != factor[0]):
            weight = samples.library.array(factor.astype(samples.dtype))
            copies["weight"] = weight * copies.get("weight", 1.0)
        some = replace(samples, **copies, n_positive=None)
        return DeviceObjective(some, self.penalty, self.coordinates, self.n_threads)

    def subsample(
        self, n_rows: int, random_state: Any
    ) -> InMemoryObjective | DeviceObjective | None:
        """Return F on about n_rows random rows; see `InMemoryObjective.subsample`.

        The rows are copied to the host if they have at most ``HOST_SAMPLE_ELEMENTS`` elements. They
        are drawn from each class only if there are weights, or one class is small.
        """
        if not n_rows:
            return None
        samples = self.samples
        drawn, sizes = [], samples.class_sizes
        if samples.weight is None and min(sizes) >= LARGE_CLASS * self.n_samples:
            # The classes of a random sample are as well known as all else in it.
            rows = random_state.randint(self.n_samples, size=n_rows)
            return self._of_rows(rows, np.full(n_rows, self.n_samples / n_rows))
        for is_positive, size in enumerate(sizes):
            drawn.append(self._drawn(bool(is_positive), size, n_rows // 2, random_state))
        rows = np.concatenate(drawn)
        y = samples.take(samples.is_positive, rows)
        has_weight = samples.weights_on_host(rows) > 0
        of_class, factors = [], []
        for is_positive, size in enumerate(sizes):
            first = len(drawn[0]) * is_positive
            part = slice(first, first + len(drawn[is_positive]))
            # A row that is drawn twice counts twice, which is as good, and takes no sorting.
            found = rows[part][(y[part] == bool(is_positive)) & has_weight[part]]
            if len(found) <= self.coordinates.size:
                return None
            of_class.append(found)
            factors.append(np.full(len(found), size / len(found)))
        return self._of_rows(np.concatenate(of_class), np.concatenate(factors))

    def _of_rows(
        self, rows: NDArray[np.intp], factor: Vector
    ) -> InMemoryObjective | DeviceObjective:
        """Return what `of_rows` returns, on the device unless the rows are few."""
        is_few = len(rows) * self.n_features <= HOST_SAMPLE_ELEMENTS
        return (self.of_rows if is_few else self.of_rows_on_device)(rows, factor)

    def null_model_is_plausible(self) -> bool:
        """Return whether all weights may be 0; see `InMemoryObjective.null_model_is_plausible`."""
        if self.penalty.is_smooth:
            return False
        p, samples = self.n_features, self.samples
        point = self.evaluate(self.coordinates.from_user(np.zeros(p), self.log_odds))
        _, residual = samples.loss_and_residual(slice(0, self.n_samples), point.z)
        norm = self._share * np.sqrt(float(samples.total(samples.library.xp.square(residual))))
        excess = self.penalty.subgradient_excess(np.zeros(p), point.gradient[:p])
        return bool(np.max(excess) <= STANDARD_ERRORS * norm)

    def diagonal_is_reliable(self, point: Evaluation) -> bool:
        """Return whether each diagonal entry of the curvature is near that of a larger set.

        See `InMemoryObjective.diagonal_is_reliable`.
        """
        samples, xp = self.samples, self.samples.library.xp
        shift, sums = (
            samples.library.array(self.coordinates.shift, samples.library.sum_dtype),
            Sums(),
        )
        for rows in samples.blocks(COPIES_FOR_CURVATURE * self.n_features):
            square = xp.square(self._in_sums(samples.X[rows, :]) - shift)
            h = self._in_sums(point.curvature.values[rows])
            sums.add([h @ square, xp.square(h) @ xp.square(square)])
        second, fourth = samples.library.to_numpy(xp.stack(sums.total)).astype(np.float64)
        if self.coordinates.is_constant is not None:
            second[self.coordinates.is_constant] = np.inf
        return bool(np.all((second > 0) & (fourth * ENOUGH_SAMPLES <= np.square(second))))

    def _drawn(
        self, is_positive: bool, size: int, n_rows: int, random_state: Any
    ) -> NDArray[np.intp]:
        """Return random rows, of which about n_rows are of a class with weight.

        Parameters
        ----------
        is_positive : bool
            The class.
        size : int
            Number of samples of the class that have a weight.
        n_rows : int
            Number of rows of the class to draw; all of its rows if there are fewer.
        random_state : RandomState
            Draws the rows; changed.
        """
        samples, n = self.samples, self.n_samples
        if size > max(n_rows, RARE_CLASS * n):
            return random_state.randint(n, size=n_rows * n // size)
        xp = samples.library.xp
        is_in_class = samples.is_positive if is_positive else ~samples.is_positive
        if samples.weight is not None:
            is_in_class = is_in_class & (samples.weight > 0)
        (listed,) = xp.nonzero(is_in_class)
        if size > n_rows:
            some = samples.library.array(random_state.randint(size, size=n_rows))
            listed = xp.take(listed, some, axis=0)
        return samples.library.to_numpy(listed)

    def count_passes_of(self, sample: InMemoryObjective | DeviceObjective) -> None:
        """Add the passes over a subsample, as fractions of a pass, to ``passes``; changes self."""
        self.passes.add(sample.n_passes * sample.n_samples / self.n_samples)

    def dominating_penalty_coordinates(self, random_state: Any) -> Coordinates | None:
        """Return estimated standard coordinates if the penalty dominates the loss in all of them.

        See `InMemoryObjective.dominating_penalty_coordinates`.
        """
        if not self.penalty.is_smooth:
            return None
        rows = random_state.randint(self.n_samples, size=ROWS_FOR_UNITS)
        X, weight = self.samples.take(self.samples.X, rows), self.samples.weights_on_host(rows)
        moments = Moments.of(X.astype(np.float64), weight, self.coordinates.fit_intercept)
        coordinates = replace(moments, dtype=self.samples.dtype).coordinates.for_other_rows()
        strengths = self.penalty.in_units(coordinates.scale).curvature_diagonal(self.n_features)
        return coordinates if float(np.min(strengths)) >= MAX_SLOPE else None

    # ----- F and its derivatives -----

    @property
    def off_centre(self) -> float:
        """The largest |mean| of a column whose products are centred, in deviations."""
        return self._products.off_centre

    def total_curvature(self, point: Evaluation) -> float:
        """Return Σ p a(1−a) over the samples, with weights p of sum 1."""
        return self._share * float(self.samples.total(point.curvature.values))

    @property
    def curvature_rounding(self) -> float:
        """Relative rounding error of the matrix ∂²F/∂θ², which is summed in ``sum_dtype``."""
        dtype = self.samples.library.numpy_dtype(self.samples.library.sum_dtype)
        return float(np.finfo(dtype).eps) * (1 + self.off_centre**2)

    def _blocks(self, copies: int = 0) -> Iterator[tuple[slice, Any]]:
        """Yield each block: its rows, and X of the rows for products that `_products` completes.

        Rows are standardised before the products where products would lose precision.

        Parameters
        ----------
        copies : int, default=0
            Number of further copies of X of the block that the products make.
        """
        samples, products = self.samples, self._products
        if not products.is_unsafe:
            for rows in samples.blocks(copies * self.n_features):
                yield rows, samples.part_of(samples.X, rows)
            return
        library, dtype = samples.library, samples.dtype
        shift = library.array(self.coordinates.shift.astype(dtype))
        factor = library.array((1 / self.coordinates.divisor).astype(dtype))
        for rows in samples.blocks((1 + copies) * self.n_features):
            Z = samples.X[rows, :] - shift
            Z *= factor
            yield rows, Z

    def _outputs(self, rows: slice, X: Any, w: Any, b: float) -> Any:
        """Return Xw + b plus the offset of a block, given w on the device."""
        z = X @ w
        z += b
        if self.has_offset:
            z += self.samples.offset[rows]
        return z

    def _to_host(self, *sums: Any) -> list[NDArray[np.float64]]:
        """Return arrays of the device as arrays of the host, float64, in one transfer.

        Raises
        ------
        NotFiniteError
            If a sum is not finite because an element of X is not: products of it with 0 are NaN.
        """
        xp, library = self.samples.library.xp, self.samples.library
        flat = xp.concat([each if each.ndim == 1 else xp.reshape(each, (-1,)) for each in sums])
        flat = library.to_numpy(flat).astype(np.float64)
        if not self._known_finite:
            if not np.isfinite(flat).all():
                self.raise_unless_finite()
            self._known_finite = True
        parts, start = [], 0
        for each in sums:
            end = start + math.prod(each.shape)
            parts.append(flat[start:end].reshape(each.shape))
            start = end
        return parts

    def _in_sums(self, values: Any) -> Any:
        """Return an array in the type in which the sums of blocks are added up."""
        library = self.samples.library
        return library.xp.astype(values, library.sum_dtype, copy=False)

    def evaluate(
        self,
        theta: Vector,
        z: Any = None,
        *,
        hessian: bool = False,
        diagonal: bool = False,
    ) -> Evaluation:
        """Return F, its gradient and, if asked, its curvature at θ, in one pass over X.

        The arguments are those of `Objective.evaluate`; z is an array of the device.
        """
        self.passes.add()
        samples = self.samples
        w, b = self._on_device(theta) if z is None else (None, 0.0)
        outputs, sums = Outputs(samples, z), Sums()
        copies = COPIES_FOR_CURVATURE if hessian or diagonal else 0
        for rows, X in self._blocks(copies):
            z_block = self._outputs(rows, X, w, b) if z is None else outputs.of(rows)
            outputs.add(rows, z_block)
            loss, residual = samples.loss_and_residual(rows, z_block)
            of_block = [residual @ X, samples.total(residual), samples.total(loss)]
            if hessian or diagonal:
                h = samples.curvature(rows, z_block)
                of_block += self._second(X, h, hessian)
            sums.add(self._in_sums(each) for each in of_block)
        first, total, loss, *second = self._to_host(*sums.total)
        point = self._point(theta, outputs.z, first, total, float(loss))
        if hessian:
            point.hessian = self._matrix(*second, np.arange(self.coordinates.size))
            point.diagonal = point.hessian.diagonal().copy()  # the matrix may be overwritten
        elif diagonal:
            point.diagonal = self._diagonal(*second)
        return point

    def _point(
        self, theta: Vector, z: Any, first: Vector, total: Vector, loss: float
    ) -> Evaluation:
        """Return the evaluation at θ, given outputs and Σ s(y−a)x, Σ s(y−a) and Σ sL."""
        u = theta[: self.n_features]
        gradient = self._products.to_theta_gradient(-self._share * np.append(first, total))
        gradient[: self.n_features] += self.penalty.gradient(u)
        value = self._share * loss + self.penalty.value(u)
        return Evaluation(theta, value, gradient, z, self._curvature(z))

    def _curvature(self, z: Any) -> OutputCurvature:
        """Return the curvature of the losses at outputs z."""
        return OutputCurvature(lambda: self.samples.curvature(slice(None), z))

    def _on_device(self, vector: Vector) -> tuple[Any, float]:
        """Return (w, b) with Xw + b = Z·vector for the blocks X, with w on the device."""
        w, b = self._products.raw_weights(vector)
        return self.samples.library.array(w), b

    def _second(self, X: Any, h: Any, hessian: bool, columns: Any = None) -> list[Any]:
        """Return the sums Σ hx, Σ h and Σ hxxᵀ of a block, or Σ hx² in place of the last.

        They are summed in float64 where the device has it: H has small eigenvalues, and is formed
        once or twice in a fit. ``columns`` are the indices of the columns of X to use, on the
        device; None means all.
        """
        xp = self.samples.library.xp
        X = self._in_sums(X if columns is None else xp.take(X, columns, axis=1))
        h = self._in_sums(h)
        if hessian:
            weighted = X * h[:, None]
            squares = weighted.T @ X
        else:
            squares = h @ xp.square(X)
        return [h @ X, self.samples.total(h), squares]

    def _matrix(
        self, first: Vector, total: Vector, gram: NDArray[np.float64], subset: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return ∂²F/∂θ² in a subset of θ, given the sums Σ hx, Σ h and Σ hxxᵀ of its features."""
        sums = self._products.gram_sums(subset)
        sums[:-1, :-1], sums[-1, :-1], sums[-1, -1] = gram, first, total
        sums *= self._share
        matrix = self._products.gram(sums, subset)
        features = self.coordinates.features_of(subset)
        self._add_penalty_curvature(matrix.ravel()[:: len(matrix) + 1], features)
        return matrix

    def _diagonal(self, first: Vector, total: Vector, squares: Vector) -> Vector:
        """Return the diagonal of ∂²F/∂θ², given the sums Σ hx, Σ h and Σ hx²."""
        sums = self._share * np.append(first, total), self._share * np.append(squares, total)
        return self._add_penalty_curvature(self._products.gram_diagonal(*sums))

    def _second_sums(
        self, point: Evaluation, hessian: bool, columns: Any = None
    ) -> list[NDArray[np.float64]]:
        """Return the sums of `_second` over all rows with the curvature of a point, in one pass."""
        self.passes.add()
        sums = Sums()
        for rows, X in self._blocks(COPIES_FOR_CURVATURE):
            of_block = self._second(X, point.curvature.values[rows], hessian, columns)
            sums.add(self._in_sums(each) for each in of_block)
        return self._to_host(*sums.total)

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the rows and columns of ∂²F/∂θ² in a subset of θ, in one pass over X.

        See `Objective.curvature_matrix`. The index of the intercept, if θ has one, must be in the
        subset.
        """
        features, columns = self.coordinates.features_of(subset), None
        if len(features) < self.n_features:
            columns = self.samples.library.array(features)
        return self._matrix(*self._second_sums(point, True, columns), subset)

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, of shape (size,), in one pass over X."""
        return self._diagonal(*self._second_sums(point, False))

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, Any]:
        """Return ∂²F/∂θ²·vector at the point and Z·vector, on the device, in one pass over X."""
        self.passes.add()
        samples = self.samples
        (w, b), outputs, sums = self._on_device(vector), Outputs(samples), Sums()
        for rows, X in self._blocks():
            z_block = X @ w + b
            outputs.add(rows, z_block)
            change = z_block * point.curvature.values[rows]
            sums.add(map(self._in_sums, [change @ X, samples.total(change)]))
        first, total = self._to_host(*sums.total)
        product = self._products.to_theta_gradient(self._share * np.append(first, total))
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, outputs.z

    def value_at(self, theta: Vector, z: Any = None) -> float:
        """Return F at θ in nats; without reading X if the linear outputs z at θ are given."""
        z = self.linear_outputs(theta) if z is None else z
        losses = [
            self.samples.total(self.samples.loss(rows, z[rows])) for rows in self.samples.blocks()
        ]
        loss = sum(losses[1:], start=losses[0])
        return self._share * float(loss) + self.penalty.value(theta[: self.n_features])

    def outputs(self, vector: Vector) -> Any:
        """Return Z·vector, an array of the device, in one pass; it does not contain the offset."""
        self.passes.add()
        (w, b), outputs = self._on_device(vector), Outputs(self.samples)
        for rows, X in self._blocks():
            outputs.add(rows, X @ w + b)
        return outputs.z

    def linear_outputs(self, theta: Vector) -> Any:
        """Return Z·θ plus the offset, an array of the device, in one pass."""
        z = self.outputs(theta)
        if self.has_offset:
            z += self.samples.offset
        return z

    def constant_outputs(self, c: float) -> Any:
        """Return the outputs z if all weights are 0 and the intercept is c, with the offset."""
        z = self.zero_outputs()
        z += c
        if self.has_offset:
            z += self.samples.offset
        return z

    def zero_outputs(self) -> Any:
        """Return a new array of zeros on the device, to which `add_outputs` can add."""
        samples = self.samples
        return samples.library.xp.zeros(
            samples.n_samples, dtype=samples.X.dtype, device=samples.library.device
        )

    def add_outputs(self, factor: float, outputs: Any, total: Any) -> None:
        """Add factor·outputs to ``total``, in place."""
        total += factor * outputs

    def curvature_bound(self) -> OutputCurvature:
        """Return what stands for p/4, an upper bound of p a(1−a) for every θ."""

        def compute() -> Any:
            z = self.zero_outputs()
            z += MAX_SLOPE
            return z if self.samples.weight is None else z * self.samples.weight

        return OutputCurvature(compute)

    def majorising_curvature(self, z: Any) -> OutputCurvature:
        """Return what stands for the curvature of majorising parabolas at outputs z.

        See `InMemoryObjective.majorising_curvature`.
        """

        def compute() -> Any:
            xp = self.samples.library.xp
            half = xp.where(xp.abs(z) < SMALL_OUTPUT, 0 * z + SMALL_OUTPUT, z) / 2
            curvature = xp.tanh(half) / (4 * half)
            return curvature if self.samples.weight is None else curvature * self.samples.weight

        return OutputCurvature(compute)

    def entropy_of_slopes(self, z: Any, step: float, share: float) -> float:
        """Return Σ p [H(q) + vo] in nats; see `InMemoryObjective.entropy_of_slopes`."""
        samples, xp = self.samples, self.samples.library.xp
        z, y = self._in_sums(z), self._in_sums(samples.y)
        a, other = 1 / (1 + xp.exp(-z)), 1 / (1 + xp.exp(z))
        q = (1 - share) * y + share * a * (1 - step * other)
        not_q = (1 - share) * (1 - y) + share * other * (1 + step * a)
        dual = self._entropy(q) + self._entropy(not_q)
        if samples.offset is not None:
            slopes = share * ((1 - y) * a - y * other - step * a * other)
            dual += slopes * self._in_sums(samples.offset)
        if samples.weight is not None:
            dual *= self._in_sums(samples.weight)
        return self._share * float(xp.sum(dual))

    def _entropy(self, q: Any) -> Any:
        """Return −q log q, and 0 where q is 0."""
        xp = self.samples.library.xp
        return -q * xp.log(xp.where(q > 0, q, 0 * q + 1))

    # ----- along a direction -----

    def ray(self, point: Evaluation, vector: Vector, z_direction: Any = None) -> OutputRay:
        """Return F on the ray from the point along the vector; see `Objective.ray`."""
        return OutputRay(self, point, vector, z_direction)

    def ray_through(self, before: Evaluation, after: Evaluation) -> OutputRay:
        """Return F on the ray from ``after`` along the difference of ``after`` and ``before``."""
        return OutputRay(self, after, after.theta - before.theta, after.z - before.z)

    def derivatives_along(self, z: Any, z_direction: Any, t: float) -> tuple[float, float]:
        """Return the derivatives in t of the mean loss at outputs z + t·z_direction, in nats."""
        samples, xp = self.samples, self.samples.library.xp
        sums = Sums()
        for rows in samples.blocks():
            d = z_direction[rows]
            z_block = z[rows] + t * d
            _, residual = samples.loss_and_residual(rows, z_block)
            h = samples.curvature(rows, z_block)
            sums.add([samples.total(residual * d), samples.total(h * xp.square(d))])
        first, second = samples.library.to_numpy(xp.stack(sums.total)).tolist()
        return -self._share * first, self._share * second

    def largest_output(self, outputs: Any) -> float:
        """Return the largest absolute value of outputs."""
        return float(self.samples.library.xp.max(self.samples.library.xp.abs(outputs)))

    def leaves_model_region(self, before: Evaluation, after: Evaluation, decrement: float) -> bool:
        """Return whether the curvature of a sample changes much in a step.

        See `InMemoryObjective.leaves_model_region`.
        """
        samples, xp = self.samples, self.samples.library.xp
        change = xp.abs(after.z - before.z)
        if not float(xp.max(change)) > MODEL_REGION:
            return False
        owed = xp.square(change) * before.curvature.values
        owed = float(samples.total(xp.where(change > MODEL_REGION, owed, 0 * owed)))
        return self._share * owed > NEGLIGIBLE_DECREMENT * decrement

    # ----- the samples that make up the curvature -----

    def least_curvature(self, z: Any) -> float:
        """Return a lower bound of p a(1−a) over the samples with weight, given the outputs z."""
        return self._share * self._least_weight * float(da_dz(self.largest_output(z)))

    @cached_property
    def _least_weight(self) -> float:
        """The least weight above 0 of a sample, divided by ``unit``."""
        weight, xp = self.samples.weight, self.samples.library.xp
        if weight is None:
            return 1.0
        return float(xp.min(xp.where(weight > 0, weight, xp.max(weight))))

    @cached_property
    def _largest_weight(self) -> float:
        """The largest weight of a sample, divided by ``unit``."""
        weight = self.samples.weight
        return 1.0 if weight is None else float(self.samples.library.xp.max(weight))

    def curvature_at(self, point: Evaluation) -> OutputCurvature:
        """Return p a(1−a) of all samples at a point."""
        return self._curvature(point.z) if point.curvature is None else point.curvature

    def samples_that_dominate(
        self,
        curvature: OutputCurvature,
        decrement: float,
        norms_of: Callable[[Any], Vector],
        curvature_of_norms: OutputCurvature,
        is_stale: bool = False,
    ) -> NDArray[np.intp]:
        """Return samples that alone, or together, may make up a direction of the curvature.

        See `InMemoryObjective.samples_that_dominate`, which is called on the host for the samples
        with the least curvature, if there are such samples.
        """
        samples, xp = self.samples, self.samples.library.xp
        largest = MAX_SLOPE * self._largest_weight * self._share
        bound = np.sqrt(decrement * largest) if is_stale else decrement
        h = curvature.values
        is_flat = h <= float(bound / self._share)
        if samples.weight is not None:
            is_flat = is_flat & (samples.weight > 0)
        if not bool(xp.any(is_flat)):
            return np.zeros(0, dtype=np.intp)
        (flat,) = xp.nonzero(is_flat)
        most = min(MOST_FLAT_ROWS, max(1, int(WORK_ON_FLAT / self.coordinates.size**2)))
        if flat.shape[0] > most:
            flat = xp.take(flat, xp.argsort(xp.take(h, flat, axis=0))[:most], axis=0)
        rows = samples.library.to_numpy(flat)
        here, there = (
            self._share * samples.take(each.values, rows).astype(np.float64)
            for each in (curvature, curvature_of_norms)
        )
        part = self._part(rows)
        found = part.samples_that_dominate(here, decrement, norms_of, there, is_stale)
        return rows[found]

    def _part(self, rows: NDArray[np.intp]) -> InMemoryObjective:
        """Return the loss of some rows on the host, with the weights p of F and no penalty."""
        X, y, weight, offset = self.samples.on_host(rows)
        part = InMemoryObjective(
            X,
            y,
            weight,
            self.penalty,
            self.coordinates,
            self.n_threads,
            self.total_weight,
            offset=offset,
        )
        return part.as_part()

    def samples_beyond_model(
        self, z: Any, radius: float, norms_of: Callable[[Any], Vector]
    ) -> NDArray[np.intp]:
        """Return the samples whose curvature may change much within a radius of the present point.

        See `InMemoryObjective.samples_beyond_model`, which is called on the host for the samples of
        little curvature.
        """
        samples, xp = self.samples, self.samples.library.xp
        is_flat = samples.curvature(slice(None), z) <= float(radius**2 / self._share)
        (flat,) = xp.nonzero(is_flat)
        rows = samples.library.to_numpy(flat)
        length = max(1, COPIED_ELEMENTS // self.n_features)
        found = [
            some[
                self._part(some).samples_beyond_model(
                    samples.take(z, some).astype(np.float64), radius, norms_of
                )
            ]
            for some in (rows[each] for each in slices(len(rows), length))
        ]
        return np.concatenate([np.zeros(0, dtype=np.intp), *found])
