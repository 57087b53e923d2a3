"""Coordinates θ in which columns are centred and scaled, while X itself is not changed.

The linear output is the same number in the user's coordinates (w, b) and in the working ones::

    z = b + Σ wᵢxᵢ = c + Σ uᵢ(xᵢ − μᵢ)/σᵢ        uᵢ = σᵢwᵢ,   c = b + Σ wᵢμᵢ

The vector of a solver's parameters is θ = (u, c); without an intercept it is θ = u, and μ = 0, as
there is no c to hold Σ wᵢμᵢ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.rows import (
    divided_by,
    full_columns,
    row_blocks,
    rows_of,
    with_columns_centred,
)

# Largest |mean| of a column, in standard deviations, for which products are centred; above it rows
# are. By the dtype of X. Centring a product loses this factor of precision, and centring a
# curvature loses its square: rounding errors of 1e-16 and 6e-8 become 1e-10 and 6e-6.
MAX_OFF_CENTRE = {np.dtype(np.float64): 1e3, np.dtype(np.float32): 10.0}

# Range of a mean square Σ px² in which float64 loses nothing of the sum. Below it, terms of 1e-28
# of the sum are subnormal (< 1e-308); above it, a term px² has overflowed in x² where p < 1e-28.
SAFE_MEAN_SQUARES = 1e-280, 1e280

# Rows from which medians of columns are computed: a median is then between the quantiles 0.45 and
# 0.55, with a standard error of 1/(2√1000) = 0.016. [a choice]
ROWS_FOR_MEDIANS = 1000


@dataclass(frozen=True)
class Coordinates:
    """Shift μ and scale σ of each column, which relate θ to the user's weights and intercept.

    Parameters
    ----------
    shift, scale : ndarray of shape (n_features,), float64
        μ and σ; every σ is positive and finite.
    fit_intercept : bool
        Whether c is the last entry of θ.
    is_constant : ndarray of shape (n_features,), bool, or None, default=None
        Columns of which every value is μ; None means that no column is known to be constant.
    """

    shift: Vector
    scale: Vector
    fit_intercept: bool
    is_constant: NDArray[np.bool_] | None = None

    @property
    def divisor(self) -> Vector:
        """σ, and infinity for constant columns: their centred values are 0 without rounding."""
        if self.is_constant is None:
            return self.scale
        return np.where(self.is_constant, np.inf, self.scale)

    @classmethod
    def of_user(cls, n_features: int, fit_intercept: bool) -> Coordinates:
        """Return the user's coordinates, μ = 0 and σ = 1."""
        zeros = np.zeros(n_features)
        return cls(zeros, zeros + 1.0, fit_intercept)

    def for_other_rows(self) -> Coordinates:
        """Return the same for other rows, in which no column is known to be constant."""
        return replace(self, is_constant=None)

    @property
    def are_of_user(self) -> bool:
        """Whether these are the user's coordinates, μ = 0 and σ = 1."""
        return not np.any(self.shift) and bool(np.all(self.scale == 1))

    @property
    def size(self) -> int:
        """Length of θ."""
        return len(self.scale) + self.fit_intercept

    def features_of(self, subset: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the features in a subset of entries of θ: all but the last entry, if that is c."""
        return subset[:-1] if self.fit_intercept else subset

    def to_user(self, theta: Vector) -> tuple[Vector, float]:
        """Return the weights and the intercept (w, b) of θ; b is 0.0 if there is none."""
        w = theta[: len(self.scale)] / self.scale
        return w, float(theta[-1] - self.shift @ w) if self.fit_intercept else 0.0

    def from_user(self, w: Vector, b: float) -> Vector:
        """Return θ of the weights and the intercept (w, b); b is ignored if there is none."""
        if not self.fit_intercept:
            return self.scale * w
        return np.append(self.scale * w, b + self.shift @ w)


def standard_coordinates(X: Any, normalised_weight: Any, fit_intercept: bool) -> Coordinates:
    """Return the coordinates in which the columns of X have mean 0 and mean square 1.

    Without an intercept the columns are scaled and not centred. The scale of a constant column is
    1.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples.
    normalised_weight : float or ndarray of shape (n_samples,)
        Weight p of each sample, of sum 1 over the samples.
    fit_intercept : bool
        Whether there is an intercept.
    """
    normalised_weight = np.broadcast_to(normalised_weight, X.shape[0])
    moments = _mean_and_deviation(X, normalised_weight, fit_intercept)
    return Moments(1.0, *moments, X.dtype, fit_intercept).coordinates


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of the columns of samples; moments of two sets of samples can be added.

    Attributes
    ----------
    total_weight : float
        Sum of the weights of the samples.
    mean, deviation : ndarray of shape (n_features,), float64
        Weighted mean and standard deviation; without an intercept 0 and the root of the mean
        square.
    dtype : dtype
        Dtype of the samples.
    fit_intercept : bool
        Whether there is an intercept.
    """

    total_weight: float
    mean: Vector
    deviation: Vector
    dtype: np.dtype
    fit_intercept: bool

    @classmethod
    def of(cls, X: Any, sample_weight: Vector, fit_intercept: bool) -> Moments:
        """Return the moments of samples, whose weights are not negative."""
        total = float(np.sum(sample_weight))
        mean = deviation = np.zeros(X.shape[1])
        if total > 0:
            mean, deviation = _mean_and_deviation(X, sample_weight / total, fit_intercept)
        return cls(total, mean, deviation, X.dtype, fit_intercept)

    def __add__(self, other: Moments) -> Moments:
        """Return the moments of both sets of samples together.

        References
        ----------
        T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for Computing the Sample Variance",
        The American Statistician 37 (1983), equation 2.1.
        """
        total = self.total_weight + other.total_weight
        p, q = 1.0, 0.0
        if total > 0:
            p, q = self.total_weight / total, other.total_weight / total
        difference = other.mean - self.mean
        within = np.hypot(np.sqrt(p) * self.deviation, np.sqrt(q) * other.deviation)
        return Moments(
            total,
            self.mean + q * difference,
            np.hypot(within, np.sqrt(p * q) * difference),
            np.promote_types(self.dtype, other.dtype),
            self.fit_intercept,
        )

    def of_columns(self, columns: NDArray[np.intp] | None) -> Moments:
        """Return the moments of some columns; None means all."""
        if columns is None:
            return self
        return replace(self, mean=self.mean[columns], deviation=self.deviation[columns])

    @property
    def coordinates(self) -> Coordinates:
        """The coordinates in which these columns have mean 0 and mean square 1."""
        # Shift and scale need not be exact; numbers that the dtype of X can hold are subtracted
        # and divided by without a further rounding.
        shift, scale = self.mean.astype(self.dtype), self.deviation.astype(self.dtype)
        usable = np.isfinite(scale) & (scale > np.finfo(self.dtype).tiny)
        scale = np.where(usable, scale, 1.0)
        shift, scale = shift.astype(np.float64), scale.astype(np.float64)
        is_constant = self.deviation == 0
        return Coordinates(
            shift, scale, self.fit_intercept, is_constant if is_constant.any() else None
        )


def _mean_and_deviation(
    X: Any, normalised_weight: Vector, fit_intercept: bool
) -> tuple[Vector, Vector]:
    """Return mean and deviation of columns, as in `Moments`, for weights p of sum 1."""
    # Moments are taken about a row with weight. It is at most 1/√p deviations from the mean, so
    # that the variance does not cancel, and the deviation of a constant column is exactly 0.
    origin, row = np.zeros(X.shape[1]), np.argmax(normalised_weight > 0)
    if fit_intercept and not issparse(X):
        origin += X[row]
    offset, deviation = _moments(X, normalised_weight, origin, fit_intercept)
    if issparse(X) and fit_intercept:
        far = np.abs(offset) > MAX_OFF_CENTRE[np.dtype(np.float64)] * deviation
        far = full_columns(X, far)
        if np.any(far):
            origin[far] = X[[row]].toarray()[0, far]
            centred = with_columns_centred(X, origin, far)
            about_origin = _moments(centred, normalised_weight, np.zeros(X.shape[1]), True)
            offset[far], deviation[far] = (each[far] for each in about_origin)
    return origin + offset, deviation


def _moments(
    X: Any, normalised_weight: Vector, origin: Vector, centre: bool
) -> tuple[Vector, Vector]:
    """Return mean and deviation of the columns of X − origin.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples.
    normalised_weight : ndarray of shape (n_samples,)
        Weights p of sum 1.
    origin : ndarray of shape (n_features,)
        Number to subtract from each column; 0 for sparse X.
    centre : bool
        Whether deviations are from the mean; if False, the mean returned is 0, and deviations are
        the roots of the mean squares.
    """
    mean, mean_square = _sums(X, normalised_weight, origin)
    # Columns whose squares may have left the range of float64 are divided by their largest value
    # and summed again.
    least, largest = SAFE_MEAN_SQUARES
    lost = ~((mean_square > least) & (mean_square < largest))
    if issparse(X) and np.any(lost):
        lost &= np.bincount(X.indices, minlength=X.shape[1]) > 0
    unit = np.ones(X.shape[1])
    if np.any(lost):
        # Rows without weight may be so large that these become 0.
        weighted = np.flatnonzero(normalised_weight > 0)
        part, weight = X[weighted][:, lost], normalised_weight[weighted]
        peak = abs(part).max(axis=0)
        peak = peak.toarray().ravel() if issparse(part) else peak
        unit[lost] = np.where(peak > 0, peak, 1.0)
        part = divided_by(part, unit[lost]) if issparse(part) else part / unit[lost]
        mean[lost], mean_square[lost] = _sums(part, weight, origin[lost] / unit[lost])
    if not centre:
        return np.zeros(X.shape[1]), np.sqrt(mean_square) * unit
    return mean * unit, np.sqrt(np.maximum(mean_square - np.square(mean), 0)) * unit


def _sums(X: Any, normalised_weight: Vector, origin: Vector) -> tuple[Vector, Vector]:
    """Return Σ p(x−o) and Σ p(x−o)² of each column, with the origin o, which is 0 for sparse X."""
    first, second = np.zeros((2, X.shape[1] + 1))
    normalised_weight = np.ascontiguousarray(normalised_weight)
    if issparse(X):
        rows_of(X).add_squares(normalised_weight, first, second)
        return first[:-1], second[:-1]
    for rows in row_blocks(X):
        rows_of(X, rows, origin).add_squares(normalised_weight[rows], first, second)
    return first[:-1], second[:-1]


@dataclass(frozen=True)
class FewRows:
    """A few rows of X with weights; those of two sets of samples can be added.

    Attributes
    ----------
    X : ndarray of shape (n, n_features), float64
        The rows, at most ``ROWS_FOR_MEDIANS``.
    weight : ndarray of shape (n,), float64
        Their weights, at least 0.
    """

    X: NDArray[np.float64]
    weight: Vector

    @classmethod
    def of(cls, X: Any, weight: Vector) -> FewRows:
        """Return rows of X, evenly spaced, with their weights of shape (n_samples,)."""
        n = min(ROWS_FOR_MEDIANS, X.shape[0])
        rows = np.unique(np.linspace(0, X.shape[0] - 1, n).astype(np.intp))
        some = X[rows].toarray() if issparse(X) else X[rows]
        return cls(some.astype(np.float64), weight[rows])

    def __add__(self, other: FewRows) -> FewRows:
        """Return rows of both together."""
        X = np.vstack([self.X, other.X])
        return FewRows.of(X, np.concatenate([self.weight, other.weight]))

    def robust_shift(self, fit_intercept: bool) -> Vector:
        """Return the shift of `robust_coordinates`, of shape (n_features,)."""
        if not fit_intercept:
            return np.zeros(self.X.shape[1])
        return _weighted_medians(self.X, self._median_weight)

    @property
    def _median_weight(self) -> Vector:
        """The weights, or ones if all weights are 0."""
        return self.weight if np.any(self.weight) else np.ones(len(self.weight))

    def robust_coordinates(self, fit_intercept: bool) -> Coordinates:
        """Return coordinates that a few rows far from all others do not determine.

        The shift of a column is the weighted median of its values, the scale is the weighted median
        of the distances from the shift, or their root mean square if more than half of them are 0.
        The shift is a value of the column, so that the values of a constant column become exactly
        0, and the scale is a power of two, so that the division is exact.
        """
        weight, shift = self._median_weight, self.robust_shift(fit_intercept)
        distance = np.abs(self.X - shift)
        scale = _weighted_medians(distance, weight)
        largest = np.max(distance, axis=0, initial=0.0)
        ratio = distance / np.where(largest > 0, largest, 1.0)
        mean_square = weight @ np.square(ratio) / np.sum(weight)
        scale = np.where(scale > 0, scale, largest * np.sqrt(mean_square))
        usable = np.isfinite(scale) & (scale > np.finfo(np.float64).tiny)
        exponent = np.round(np.log2(np.where(usable, scale, 1.0)))
        return Coordinates(shift, np.exp2(exponent), fit_intercept)


def _weighted_medians(values: NDArray[np.float64], weight: Vector) -> Vector:
    """Return the weighted median of each column of the values, one of its values."""
    order = np.argsort(values, axis=0, kind="stable")
    below = np.cumsum(weight[order], axis=0)
    middle = np.argmax(below >= below[-1] / 2, axis=0)
    columns = np.arange(values.shape[1])
    return values[order[middle, columns], columns]
