"""What `fit` minimises, as a sum over blocks of rows; the only place that divides by Σ s.

In the user's coordinates::

    F(w, b) = (1/S) Σ sᵢ L(yᵢ, aᵢ) + 1/(C·S) · ½‖w‖²         S = Σ sᵢ

and in the working coordinates θ of `_coordinates`, Z = [(X − μ)/σ, 1], the same number with::

    gradient  Zᵀ p(a − y) + λu          curvature  Zᵀ diag(p a(1−a)) Z + diag(λ)         p = s/S

Dense and sparse X differ in how a block is taken and in nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._coordinates import (
    MAX_OFF_CENTRE,
    Coordinates,
    Vector,
    divided_by,
    full_columns,
    row_blocks,
    squared,
    standard_coordinates,
    with_columns_centred,
)
from sklearn_bce._kernel_choice import kernels
from sklearn_bce._penalty import L2Penalty
from sklearn_bce.chain_rule import binary_cross_entropy, gradient, loss_and_derivatives

# By how many deviations a mean may be off 0 for it to be removed from products, not from rows.
OFF_CENTRE = {np.dtype(np.float64): MAX_OFF_CENTRE, np.dtype(np.float32): 10.0}
# Scales whose squares, summed, stay within the range of the dtype.
SAFE_SCALES = {np.dtype(np.float64): (1e-100, 1e100), np.dtype(np.float32): (1e-12, 1e12)}

# A float32 X stays float32 from this many elements (8 MB as float64) on: passes over it are then
# bound by memory, and half the bytes are half the time.
LARGE_ELEMENTS = 2**20


@dataclass(frozen=True)
class Point:
    """The objective at one θ, with what its neighbourhood can be computed from.

    Attributes
    ----------
    theta : ndarray of shape (size,)
        Where.
    value : float
        F, in nats per unit of weight.
    gradient : ndarray of shape (size,)
        ∂F/∂θ.
    z : ndarray of shape (n_samples,)
        Linear outputs.
    curvature : ndarray of shape (n_samples,)
        p a(1−a), each sample's own curvature.
    hessian : ndarray of shape (size, size) or None
        ∂²F/∂θ², where it was asked for.
    """

    theta: Vector
    value: float
    gradient: Vector
    z: Vector
    curvature: Vector
    hessian: NDArray[np.float64] | None


class Objective:
    """F as a function of θ, for one data set.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; never copied or changed.
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s, not negative, of positive sum; may be a broadcast scalar.
    penalty : L2Penalty
        In the units of `coordinates`.
    coordinates : Coordinates
        What θ means.

    Attributes
    ----------
    total_weight : float
        S.
    n_passes : int
        How many times X has been read through.
    """

    def __init__(
        self,
        X: Any,
        y: Vector,
        sample_weight: Vector,
        penalty: L2Penalty,
        coordinates: Coordinates,
    ) -> None:
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.penalty, self.coordinates = penalty, coordinates
        self.total_weight = float(np.sum(sample_weight))
        self.n_passes = 0
        # p = s/S; a broadcast scalar stays one, and costs no memory.
        uniform = sample_weight.strides == (0,)
        self._share = (sample_weight[0] if uniform else sample_weight) / self.total_weight
        low, high = SAFE_SCALES[X.dtype]
        shift, scale = coordinates.shift, coordinates.scale
        far = np.abs(shift) > OFF_CENTRE[X.dtype] * scale
        unsafe = bool(np.any(far) or scale.min() < low or scale.max() > high)
        self._standardise_blocks = unsafe and not issparse(X)
        # What blocks are taken from, and the shift and scale still to be applied to products.
        self._source, self._shift, self._scale = X, shift, scale
        if unsafe:
            self._shift, self._scale = np.zeros_like(shift), np.ones_like(scale)
        if unsafe and issparse(X):
            self._source = divided_by(with_columns_centred(X, shift, far), scale)
            self._shift = np.where(full_columns(X, far), 0.0, shift) / scale

    @classmethod
    def in_user_units(
        cls, X: Any, y: Vector, sample_weight: Vector, C: float, fit_intercept: bool
    ) -> Objective:
        """Return F as a function of the user's (w, b); see the class for the arguments.

        A float32 X of no great size is computed with in float64: the time is the same, and the
        result is exact.
        """
        if X.dtype == np.float32 and X.size <= LARGE_ELEMENTS:
            X = X.astype(np.float64)
        total = float(np.sum(sample_weight))
        with np.errstate(over="ignore", divide="ignore"):
            strength = float(1 / np.float64(C * total))  # 0 for C = inf
        if not np.isfinite(strength):
            raise ValueError(f"C={C} is too small: the penalty 1/(C·{total:g}) overflows.")
        coordinates = Coordinates.of_user(X.shape[1], fit_intercept)
        return cls(X, y, sample_weight, L2Penalty(strength), coordinates)

    def standardised(self) -> Objective:
        """Return the same F, of the user's coordinates, in those of centred and scaled columns."""
        coordinates = standard_coordinates(self.X, self._share, self.coordinates.fit_intercept)
        penalty = self.penalty.in_units(coordinates.scale)
        other = Objective(self.X, self.y, self.sample_weight, penalty, coordinates)
        other.n_passes = self.n_passes + 1
        return other

    @property
    def n_samples(self) -> int:
        """Number of rows of X."""
        return self.X.shape[0]

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.X.shape[1]

    def evaluate(self, theta: Vector, z: Vector | None = None, *, hessian: bool = False) -> Point:
        """Return F, its gradient and, if asked, its curvature at θ, in one pass over X.

        Parameters
        ----------
        theta : ndarray of shape (size,)
            Where; kept in the result, not copied.
        z : ndarray of shape (n_samples,), optional
            Linear outputs at θ, where they are known; kept in the result.
        hessian : bool, default=False
            Whether to form the matrix of second derivatives.
        """
        known = z is not None
        z = z if known else np.empty(self.n_samples)
        curvature = np.empty(self.n_samples)
        v, c = self._lowered(theta)
        value, slope_sum = 0.0, 0.0
        slope_x = np.zeros(self.n_features)
        gram = Gram(self.n_features) if hessian else None
        for rows, block in self._blocks():
            if not known:
                z[rows] = block @ v + c
            loss, slope, bend = loss_and_derivatives(self.y[rows], z[rows])
            share = self._share if np.isscalar(self._share) else self._share[rows]
            value += float(np.sum(share * loss))
            slope *= share
            block_gradient = gradient(block, slope.astype(self.X.dtype, copy=False))
            slope_x += block_gradient[0]
            slope_sum += float(block_gradient[1])
            curvature[rows] = share * bend
            if gram is not None:
                gram.add(block, curvature[rows])
        u = theta[: self.n_features]
        full_gradient = self._lifted(slope_x, slope_sum)
        full_gradient[: self.n_features] += self.penalty.gradient(u)
        value += self.penalty.value(u)
        matrix = None if gram is None else self._lifted_gram(gram)
        return Point(theta, value, full_gradient, z, curvature, matrix)

    def value_at(self, theta: Vector, z: Vector) -> float:
        """Return F at θ from its linear outputs z, without reading X."""
        losses = self._share * binary_cross_entropy(self.y, z)
        return float(np.sum(losses)) + self.penalty.value(theta[: self.n_features])

    def curvature_product(self, point: Point, vector: Vector) -> tuple[Vector, Vector]:
        """Return ∂²F/∂θ² · vector at the point, and Z · vector, in one pass over X."""
        v, c = self._lowered(vector)
        along = np.empty(self.n_samples)
        slope_x, slope_sum = np.zeros(self.n_features), 0.0
        for rows, block in self._blocks():
            along[rows] = block @ v + c
            slope = point.curvature[rows] * along[rows]
            block_product = gradient(block, slope.astype(self.X.dtype, copy=False))
            slope_x += block_product[0]
            slope_sum += float(block_product[1])
        product = self._lifted(slope_x, slope_sum)
        product[: self.n_features] += self.penalty.strength * vector[: self.n_features]
        return product, along

    def curvature_diagonal(self, point: Point) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, in one pass over X."""
        squares, firsts = np.zeros(self.n_features), np.zeros(self.n_features)
        for rows, block in self._blocks():
            weight = point.curvature[rows].astype(self.X.dtype, copy=False)
            squares += (self._squares if issparse(block) else np.square(block)).T @ weight
            firsts += block.T @ weight
        total = float(np.sum(point.curvature))
        diagonal = squares - 2 * self._shift * firsts + self._shift**2 * total
        diagonal /= self._scale**2
        diagonal = np.maximum(diagonal, 0) + self.penalty.strength
        return np.append(diagonal, total) if self.coordinates.fit_intercept else diagonal

    def _blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield row slices with their rows, standardised where products alone could not be.

        A standardised block is overwritten by the next.
        """
        self.n_passes += 1
        slices = row_blocks(self.X)
        if not self._standardise_blocks:
            whole = len(slices) == 1
            yield from ((rows, self._source if whole else self._source[rows]) for rows in slices)
            return
        shift = self.coordinates.shift.astype(self.X.dtype)
        scale = self.coordinates.scale.astype(self.X.dtype)
        buffer = np.empty((slices[0].stop, self.n_features), self.X.dtype)
        for rows in slices:
            block = buffer[: rows.stop - rows.start]
            np.subtract(self.X[rows], shift, out=block)
            np.divide(block, scale, out=block)
            yield rows, block

    def _lowered(self, theta: Vector) -> tuple[NDArray[Any], float]:
        """Return (v, c) with block @ v + c = Z θ."""
        v = theta[: self.n_features] / self._scale
        c = float(theta[-1] - self._shift @ v) if self.coordinates.fit_intercept else 0.0
        return v.astype(self.X.dtype, copy=False), c

    def _lifted(self, slope_x: Vector, slope_sum: float) -> Vector:
        """Return Zᵀ slope, given Xᵀ slope and Σ slope over the blocks."""
        lifted = (slope_x - self._shift * slope_sum) / self._scale
        return np.append(lifted, slope_sum) if self.coordinates.fit_intercept else lifted

    def _lifted_gram(self, gram: Gram) -> NDArray[np.float64]:
        """Return the matrix of second derivatives, given the sums of the blocks."""
        n = self.n_features
        shift, scale = self._shift, self._scale
        centred = gram.first - gram.total * shift
        matrix = np.empty((self.coordinates.size, self.coordinates.size))
        # Σ h(x−μ)(x−μ)ᵀ = Σ hxxᵀ − (Σ hx)μᵀ − μ(Σ h(x−μ))ᵀ
        second = np.tril(gram.second) + np.tril(gram.second, -1).T
        matrix[:n, :n] = second - np.outer(gram.first, shift) - np.outer(shift, centred)
        matrix[:n, :n] /= np.outer(scale, scale)
        matrix[np.arange(n), np.arange(n)] += self.penalty.strength
        if self.coordinates.fit_intercept:
            matrix[:n, n] = matrix[n, :n] = centred / scale
            matrix[n, n] = gram.total
        return matrix

    @property
    def _squares(self) -> Any:
        """Elementwise square of a sparse X, made once."""
        if "_squared_x" not in vars(self):
            self._squared_x = squared(self._source)
        return self._squared_x


class Gram:
    """Running sums Σ hxxᵀ, Σ hx and Σ h over blocks of rows.

    Attributes
    ----------
    second : ndarray of shape (n_features, n_features)
        Only its lower triangle counts.
    first : ndarray of shape (n_features,)
    total : float
    """

    def __init__(self, n_features: int) -> None:
        self.second = np.zeros((n_features, n_features))
        self.first = np.zeros(n_features)
        self.total = 0.0

    def add(self, block: Any, weight: Vector) -> None:
        """Add the rows of a block, with their weights h; changes the sums in place."""
        if issparse(block):
            kernels().csr_gram(block.data, block.indices, block.indptr, weight, self.second)
        weight = weight.astype(block.dtype, copy=False)
        if not issparse(block):
            weighted = block * np.sqrt(weight)[:, None]
            self.second += weighted.T @ weighted
        self.first += block.T @ weight
        self.total += float(np.sum(weight))
