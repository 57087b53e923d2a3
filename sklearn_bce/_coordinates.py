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

Vector = NDArray[np.float64]

# Rows of a dense X are taken this many elements at a time: a block read for z = Xw is then still in
# the cache for Xᵀ(a−y) (2 MB of float64; measured flat from 2¹⁶ to 2¹⁹).
BLOCK_ELEMENTS = 2**18


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
    def size(self) -> int:
        """Length of θ."""
        return len(self.scale) + self.fit_intercept

    def to_user(self, theta: Vector) -> tuple[Vector, float]:
        """Return weights and intercept (w, b) of θ."""
        w = theta[: len(self.scale)] / self.scale
        return w, float(theta[-1] - self.shift @ w) if self.fit_intercept else 0.0

    def from_user(self, w: Vector, b: float) -> Vector:
        """Return θ of weights and intercept (w, b)."""
        if not self.fit_intercept:
            return self.scale * w
        return np.append(self.scale * w, b + self.shift @ w)


def row_blocks(X: Any) -> list[slice]:
    """Return slices that cover the rows of X, each fit for the cache; one if X is sparse."""
    n_samples, n_features = X.shape
    rows = n_samples if issparse(X) else max(1, BLOCK_ELEMENTS // n_features)
    return [slice(start, min(start + rows, n_samples)) for start in range(0, n_samples, rows)]


def squared(X: Any) -> Any:
    """Return the elementwise square of sparse X; X itself if its stored values are all one."""
    if np.all(X.data == 1):
        return X
    return type(X)((np.square(X.data), X.indices, X.indptr), shape=X.shape)


def standard_coordinates(X: Any, share: Any, fit_intercept: bool) -> Coordinates:
    """Return the coordinates in which the columns of X have mean 0 and mean square 1.

    Sparse columns are scaled and not centred; so are all where there is no intercept. A constant
    column, and one of zeros, keeps the scale 1.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples.
    share : float or ndarray of shape (n_samples,)
        Weight of each sample, summing to 1 over the samples.
    fit_intercept : bool
        Whether there is an intercept.
    """
    n_features = X.shape[1]
    share = np.broadcast_to(share, X.shape[0])
    if issparse(X):
        shift, mean_square = np.zeros(n_features), squared(X).T @ share
        spread = np.abs(mean_square)
    else:
        # Sums are taken from a row of the data: at most √n deviations from the mean, it keeps the
        # variance from cancelling, and a constant column gives an exact zero.
        origin = np.zeros(n_features)
        if fit_intercept:
            origin += X[np.argmax(share > 0)]
        first, second = np.zeros(n_features), np.zeros(n_features)
        for rows in row_blocks(X):
            offset = X[rows] - origin
            first += share[rows] @ offset
            second += share[rows] @ np.square(offset, out=offset)
        shift = origin + first if fit_intercept else origin
        spread = second - np.square(first) if fit_intercept else second
    scale = np.sqrt(np.maximum(spread, 0))
    usable = np.isfinite(scale) & (scale > np.finfo(np.float64).tiny)
    return Coordinates(shift, np.where(usable, scale, 1.0), fit_intercept)
