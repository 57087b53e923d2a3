"""Products with Z = [(X − μ)/σ, 1], the samples in the working coordinates, by blocks of rows.

Two kinds: a view, which leaves X alone and applies shift and scale to the products, whatever X is;
and a copy, for data that fit into the cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.rows import (
    BLOCK_ELEMENTS,
    DenseRows,
    divided_by,
    full_columns,
    row_blocks,
    rows_of,
    with_columns_centred,
)
from sklearn_bce._objective.scaling import MAX_OFF_CENTRE, Coordinates

# By how many deviations a mean may be off 0 for it to be removed from products, not from rows.
OFF_CENTRE = {np.dtype(np.float64): MAX_OFF_CENTRE, np.dtype(np.float32): 10.0}
# Scales whose squares, summed, stay within the range of the dtype.
SAFE_SCALES = {np.dtype(np.float64): (1e-100, 1e100), np.dtype(np.float32): (1e-12, 1e12)}


def design_of(X: Any, coordinates: Coordinates) -> Design:
    """Return the samples X in the given coordinates: a copy of small data, which is faster."""
    small = not issparse(X) and X.dtype == np.float64 and X.size <= BLOCK_ELEMENTS
    if not small or coordinates.are_of_user:
        return Design(X, coordinates)
    Z = np.empty((len(X), coordinates.size))
    kernels().standardised(X, coordinates.shift, coordinates.scale, Z)
    Z[:, X.shape[1] :] = 1.0  # the intercept is one feature more
    return Design(Z, Coordinates.of_user(coordinates.size, fit_intercept=False))


class Design:
    """Z by way of X: blocks are rows of X, and products with them are shifted and scaled.

    Where a mean is so far from 0, or a scale so extreme, that this would cost the result its
    digits, blocks are standardised one by one (dense), or the columns in question in a copy (CSR).

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; never changed.
    coordinates : Coordinates
        μ, σ and whether there is an intercept.
    """

    def __init__(self, X: Any, coordinates: Coordinates) -> None:
        self.X, self.coordinates = X, coordinates
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
        self._unit = 1 / self._scale
        self._blocks: dict[tuple[int | None, int | None], list[tuple[slice, Any]]] = {}

    def blocks(self, rows: slice) -> Iterator[tuple[slice, Any]]:
        """Yield slices of the given rows, and each one's samples.

        A standardised block is overwritten by the next.
        """
        if self._standardise_blocks:
            yield from self._standardised_blocks(rows)
            return
        key = rows.start, rows.stop
        if key not in self._blocks:
            slices = row_blocks(self.X, rows)
            self._blocks[key] = [(block, rows_of(self._source, block)) for block in slices]
        yield from self._blocks[key]

    def _standardised_blocks(self, rows: slice) -> Iterator[tuple[slice, Any]]:
        slices = row_blocks(self.X, rows)
        shift = self.coordinates.shift.astype(self.X.dtype)
        scale = self.coordinates.scale.astype(self.X.dtype)
        buffer = np.empty((slices[0].stop - slices[0].start, self.X.shape[1]), self.X.dtype)
        for block in slices:
            Z = buffer[: block.stop - block.start]
            kernels().standardised(self.X[block], shift, scale, Z)
            yield block, DenseRows(Z)

    def raw_weights(self, theta: Vector) -> tuple[Vector, float]:
        """Return (v, c) with Xv + c = Zθ."""
        v = theta[: self.X.shape[1]] * self._unit
        return v, float(theta[-1] - self._shift @ v) if self.coordinates.fit_intercept else 0.0

    def sums(self) -> Vector:
        """Return an empty sum of Xᵀ weight, and Σ weight."""
        return np.zeros(self.X.shape[1] + 1)

    def to_theta_gradient(self, sums: Vector) -> Vector:
        """Return Zᵀ weight, given the sums over all blocks."""
        of_z = np.empty(self.coordinates.size)
        of_features = of_z[: self.X.shape[1]]
        np.multiply(self._shift, -sums[-1], out=of_features)
        of_features += sums[:-1]
        of_features *= self._unit
        of_z[self.X.shape[1] :] = sums[-1]
        return of_z

    def gram_sums(self, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return an empty sum of hxxᵀ over coordinates, with a last row for Σ hx and Σ h.

        Parameters
        ----------
        subset : ndarray of shape (n,)
            Entries of θ, ascending; that of the intercept, if there is one, among them.
        """
        size = len(self.coordinates.features_of(subset)) + 1
        return np.zeros((size, size))

    def add_gram(
        self,
        block: Any,
        weight: Vector,
        subset: NDArray[np.intp],
        sums: NDArray[np.float64],
    ) -> None:
        """Add to the sums, in place; of Σ hxxᵀ only the lower triangle counts."""
        block.add_gram(weight, self.coordinates.features_of(subset), sums)

    def gram(self, sums: NDArray[np.float64], subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return those entries of Zᵀ diag(h) Z, given the sums over all blocks; these change."""
        features = self.coordinates.features_of(subset)
        kernels().centred_gram(sums, self._shift[features], self._scale[features])
        return sums if self.coordinates.fit_intercept else sums[:-1, :-1].copy()

    def square_sums(self) -> NDArray[np.float64]:
        """Return empty sums of hx and of hx², each with Σ h as its last entry."""
        return np.zeros((2, self.X.shape[1] + 1))

    def gram_diagonal(self, first: Vector, second: Vector) -> Vector:
        """Return the diagonal of Zᵀ diag(h) Z, given the sums over all blocks."""
        n_features, total = self.X.shape[1], first[-1]
        diagonal = np.empty(self.coordinates.size)
        centred = second[:-1] - self._shift * (2 * first[:-1] - self._shift * total)
        diagonal[:n_features] = np.maximum(centred / self._scale / self._scale, 0)
        diagonal[n_features:] = total
        return diagonal
