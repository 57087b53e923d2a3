"""Coordinates in which columns are centred and have one scale, with X itself left alone.

The neuron's output is the same number in the user's coordinates and in the working ones::

    z = b + Σ wᵢxᵢ = c + Σ uᵢ(xᵢ − μᵢ)/σᵢ        uᵢ = σᵢwᵢ,   c = b + Σ wᵢμᵢ

A solver's parameters are one vector θ = (u, c), or θ = u without an intercept (then μ = 0, for
there is no c to take up the shift).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.rows import divided_by, row_blocks, rows_of, with_columns_centred

# A mean this many deviations from 0 costs that factor in precision when it is removed from a
# product instead of from the rows (squared, in a curvature).
MAX_OFF_CENTRE = 1e3


@dataclass(frozen=True)
class Coordinates:
    """Shift μ and scale σ of each column, and whether there is an intercept.

    Parameters
    ----------
    shift, scale : ndarray of shape (n_features,), float64
        μ and σ; every σ is positive and finite.
    fit_intercept : bool
        Whether θ ends with c.
    """

    shift: Vector
    scale: Vector
    fit_intercept: bool

    @classmethod
    def of_user(cls, n_features: int, fit_intercept: bool) -> Coordinates:
        """Return the user's own coordinates, μ = 0 and σ = 1."""
        return cls(np.zeros(n_features), np.ones(n_features), fit_intercept)

    @property
    def are_of_user(self) -> bool:
        """Whether they are the user's own."""
        return not np.any(self.shift) and bool(np.all(self.scale == 1))

    @property
    def size(self) -> int:
        """Length of θ."""
        return len(self.scale) + self.fit_intercept

    def features_of(self, subset: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return those of some entries of θ that are weights, the intercept's being the last."""
        return subset[:-1] if self.fit_intercept else subset

    def to_user(self, theta: Vector) -> tuple[Vector, float]:
        """Return weights and intercept (w, b) of θ."""
        w = theta[: len(self.scale)] / self.scale
        return w, float(theta[-1] - self.shift @ w) if self.fit_intercept else 0.0

    def from_user(self, w: Vector, b: float) -> Vector:
        """Return θ of weights and intercept (w, b)."""
        if not self.fit_intercept:
            return self.scale * w
        return np.append(self.scale * w, b + self.shift @ w)


def standard_coordinates(X: Any, normalised_weight: Any, fit_intercept: bool) -> Coordinates:
    """Return the coordinates in which the columns of X have mean 0 and mean square 1.

    Without an intercept they are scaled and not centred. A constant column keeps the scale 1.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples.
    share : float or ndarray of shape (n_samples,)
        Weight of each sample, summing to 1 over the samples.
    fit_intercept : bool
        Whether there is an intercept.
    """
    normalised_weight = np.broadcast_to(normalised_weight, X.shape[0])
    moments = _mean_and_deviation(X, normalised_weight, fit_intercept)
    return Moments(1.0, *moments, X.dtype, fit_intercept).coordinates


@dataclass(frozen=True)
class Moments:
    """Mean and deviation of columns; those of two sets of samples add up to those of both.

    Attributes
    ----------
    weight : float
        Of the samples.
    mean, deviation : ndarray of shape (n_features,)
        If columns are not to be centred, 0 and the root of the mean square.
    dtype : dtype
        Of the samples.
    fit_intercept : bool
        Whether columns are to be centred.
    """

    weight: float
    mean: Vector
    deviation: Vector
    dtype: np.dtype
    fit_intercept: bool

    @classmethod
    def of(cls, X: Any, weight: Vector, fit_intercept: bool) -> Moments:
        """Return those of samples; weights are not negative."""
        total = float(np.sum(weight))
        mean = deviation = np.zeros(X.shape[1])
        if total > 0:
            mean, deviation = _mean_and_deviation(X, weight / total, fit_intercept)
        return cls(total, mean, deviation, X.dtype, fit_intercept)

    def __add__(self, other: Moments) -> Moments:
        """Return those of both.

        T. F. Chan, G. H. Golub and R. J. LeVeque, "Algorithms for Computing the Sample Variance",
        The American Statistician 37 (1983), equation 2.1.
        """
        total = self.weight + other.weight
        p, q = (self.weight / total, other.weight / total) if total > 0 else (1.0, 0.0)
        apart = other.mean - self.mean
        rounding = 64 * np.finfo(np.float64).eps * np.abs(self.mean)
        apart[np.abs(apart) <= rounding] = 0.0  # of a constant column
        within = np.hypot(np.sqrt(p) * self.deviation, np.sqrt(q) * other.deviation)
        return Moments(
            total,
            self.mean + q * apart,
            np.hypot(within, np.sqrt(p * q) * apart),
            np.promote_types(self.dtype, other.dtype),
            self.fit_intercept,
        )

    @property
    def coordinates(self) -> Coordinates:
        """The coordinates in which these columns have mean 0 and mean square 1."""
        # Any numbers near these do; ones that X's dtype can hold are subtracted and divided by
        # exactly.
        shift, scale = self.mean.astype(self.dtype), self.deviation.astype(self.dtype)
        usable = np.isfinite(scale) & (scale > np.finfo(self.dtype).tiny)
        scale = np.where(usable, scale, 1.0)
        shift, scale = shift.astype(np.float64), scale.astype(np.float64)
        return Coordinates(shift, scale, self.fit_intercept)


def _mean_and_deviation(
    X: Any, normalised_weight: Vector, fit_intercept: bool
) -> tuple[Vector, Vector]:
    """Return those of columns, as in `Moments`, given shares that add up to 1."""
    origin = np.zeros(X.shape[1])
    if fit_intercept and not issparse(X):
        # Moments are taken about a row of the data: at most √n deviations from the mean, it keeps
        # the variance from cancelling, and a constant column gives an exact zero.
        origin += X[np.argmax(normalised_weight > 0)]
    offset, scale = _moments(X, normalised_weight, origin, fit_intercept)
    shift = origin + offset
    if issparse(X):
        far = np.abs(shift) > MAX_OFF_CENTRE * scale
        if np.any(far):
            centred = with_columns_centred(X, shift, far)
            scale[far] = _moments(centred, normalised_weight, origin, fit_intercept)[1][far]
            # What the mean of a constant column was rounded by is no deviation.
            rounding = np.sqrt(X.shape[0]) * np.finfo(np.float64).eps * np.abs(shift)
            scale[scale <= rounding] = 0.0
    return shift, scale


def _moments(
    X: Any, normalised_weight: Vector, origin: Vector, centre: bool
) -> tuple[Vector, Vector]:
    """Return mean and deviation of the columns of X − origin; about 0 if not to be centred.

    For sparse X the origin must be 0.
    """
    mean, mean_square = _sums(X, normalised_weight, origin)
    # These squares may have left the range of numbers: the columns are summed again in other units.
    lost = ~((mean_square > 1e-280) & (mean_square < 1e280))
    if issparse(X) and np.any(lost):
        lost &= np.bincount(X.indices, minlength=X.shape[1]) > 0
    unit = np.ones(X.shape[1])
    if np.any(lost):
        part = X[:, lost]
        peak = abs(part).max(axis=0)
        peak = peak.toarray().ravel() if issparse(part) else peak
        unit[lost] = np.where(peak > 0, peak, 1.0)
        part = divided_by(part, unit[lost]) if issparse(part) else part / unit[lost]
        mean[lost], mean_square[lost] = _sums(part, normalised_weight, origin[lost] / unit[lost])
    if not centre:
        return np.zeros(X.shape[1]), np.sqrt(mean_square) * unit
    return mean * unit, np.sqrt(np.maximum(mean_square - np.square(mean), 0)) * unit


def _sums(X: Any, normalised_weight: Vector, origin: Vector) -> tuple[Vector, Vector]:
    """Return Σ p(x − origin) and Σ p(x − origin)² of each column; of sparse X the origin is 0."""
    first, second = np.zeros((2, X.shape[1] + 1))
    normalised_weight = np.ascontiguousarray(normalised_weight)
    if issparse(X):
        rows_of(X, slice(None)).add_squares(normalised_weight, first, second)
        return first[:-1], second[:-1]
    for rows in row_blocks(X):
        rows_of(X, rows).add_squares(normalised_weight[rows], first, second, origin)
    return first[:-1], second[:-1]
