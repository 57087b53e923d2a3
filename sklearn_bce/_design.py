"""Products with Z = [(X − μ)/σ, 1], the samples in the working coordinates, by blocks of rows.

Two kinds: a view, which leaves X alone and applies shift and scale to the products, whatever X is;
and a copy, for data that fit into the cache. Dense and sparse X differ here and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._coordinates import (
    BLOCK_ELEMENTS,
    MAX_OFF_CENTRE,
    Coordinates,
    Vector,
    divided_by,
    full_columns,
    row_blocks,
    squared,
    with_columns_centred,
)
from sklearn_bce._kernel_choice import kernels
from sklearn_bce.chain_rule import gradient

# By how many deviations a mean may be off 0 for it to be removed from products, not from rows.
OFF_CENTRE = {np.dtype(np.float64): MAX_OFF_CENTRE, np.dtype(np.float32): 10.0}
# Scales whose squares, summed, stay within the range of the dtype.
SAFE_SCALES = {np.dtype(np.float64): (1e-100, 1e100), np.dtype(np.float32): (1e-12, 1e12)}


def design_of(X: Any, coordinates: Coordinates) -> ViewedDesign | CopiedDesign:
    """Return the samples X in the given coordinates."""
    small = not issparse(X) and X.dtype == np.float64 and X.size <= BLOCK_ELEMENTS
    if small and not coordinates.are_of_user:
        return CopiedDesign(X, coordinates)
    return ViewedDesign(X, coordinates)


class CopiedDesign:
    """Z as an array: one block, and nothing to be applied to products.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features), float64
        Samples.
    coordinates : Coordinates
        μ, σ and whether there is an intercept.
    """

    def __init__(self, X: NDArray[np.float64], coordinates: Coordinates) -> None:
        n_samples, n_features = X.shape
        self.Z = np.empty((n_samples, coordinates.size))
        rows = self.Z[:, :n_features]
        np.subtract(X, coordinates.shift, out=rows)
        np.divide(rows, coordinates.scale, out=rows)
        if coordinates.fit_intercept:
            self.Z[:, -1] = 1.0
        self._scratch = np.empty_like(self.Z)

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield the one block."""
        yield slice(None), self.Z

    def operand(self, theta: Vector) -> Vector:
        """Return what a block is multiplied by for its linear outputs."""
        return theta

    def outputs(self, block: Any, operand: Vector) -> Vector:
        """Return Zθ of the block."""
        return block @ operand

    def sums(self) -> Vector:
        """Return an empty sum for `add_gradient`."""
        return np.zeros(self.Z.shape[1])

    def add_gradient(self, sums: Vector, block: Any, slope: Vector) -> None:
        """Add Zᵀ slope of the block to the sums, in place."""
        sums += block.T @ slope

    def gradient(self, sums: Vector) -> Vector:
        """Return Zᵀ slope, given the sums over all blocks."""
        return sums

    def gram_sums(self) -> NDArray[np.float64]:
        """Return an empty sum for `add_gram`."""
        return np.zeros((self.Z.shape[1], self.Z.shape[1]))

    def add_gram(self, sums: NDArray[np.float64], block: Any, weight: Vector) -> None:
        """Add Zᵀ diag(weight) Z of the block to the sums, in place."""
        kernels().dense_gram(block, weight, self._scratch, sums)

    def gram(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Zᵀ diag(weight) Z, given the sums over all blocks."""
        return sums

    def gram_diagonal(self, weight: Vector) -> Vector:
        """Return the diagonal of Zᵀ diag(weight) Z."""
        return np.square(self.Z).T @ weight


class ViewedDesign:
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

    def blocks(self) -> Iterator[tuple[slice, Any]]:
        """Yield row slices with their rows; a standardised block is overwritten by the next."""
        slices = row_blocks(self.X)
        if not self._standardise_blocks:
            whole = len(slices) == 1
            yield from ((rows, self._source if whole else self._source[rows]) for rows in slices)
            return
        shift = self.coordinates.shift.astype(self.X.dtype)
        scale = self.coordinates.scale.astype(self.X.dtype)
        buffer = np.empty((slices[0].stop, self.X.shape[1]), self.X.dtype)
        for rows in slices:
            block = buffer[: rows.stop - rows.start]
            np.subtract(self.X[rows], shift, out=block)
            np.divide(block, scale, out=block)
            yield rows, block

    def operand(self, theta: Vector) -> tuple[NDArray[Any], float]:
        """Return (v, c) with block @ v + c = Zθ."""
        v = theta[: self.X.shape[1]] / self._scale
        c = float(theta[-1] - self._shift @ v) if self.coordinates.fit_intercept else 0.0
        return v.astype(self.X.dtype, copy=False), c

    def outputs(self, block: Any, operand: tuple[NDArray[Any], float]) -> Vector:
        """Return Zθ of the block."""
        return block @ operand[0] + operand[1]

    def sums(self) -> Vector:
        """Return an empty sum for `add_gradient`: Xᵀ slope, and Σ slope as its last entry."""
        return np.zeros(self.X.shape[1] + 1)

    def add_gradient(self, sums: Vector, block: Any, slope: Vector) -> None:
        """Add Xᵀ slope and Σ slope of the block to the sums, in place."""
        of_x, total = gradient(block, slope.astype(self.X.dtype, copy=False))
        sums[:-1] += of_x
        sums[-1] += total

    def gradient(self, sums: Vector) -> Vector:
        """Return Zᵀ slope, given the sums over all blocks."""
        of_z = np.append((sums[:-1] - self._shift * sums[-1]) / self._scale, sums[-1])
        return of_z if self.coordinates.fit_intercept else of_z[:-1]

    def gram_sums(self) -> NDArray[np.float64]:
        """Return an empty sum for `add_gram`: Σ hxxᵀ, in its last row Σ hx, in the corner Σ h."""
        size = self.X.shape[1] + 1
        return np.zeros((size, size))

    def add_gram(self, sums: NDArray[np.float64], block: Any, weight: Vector) -> None:
        """Add to the sums of the block, in place; of Σ hxxᵀ only the lower triangle counts."""
        if issparse(block):
            kernels().csr_gram(block.data, block.indices, block.indptr, weight, sums)
            first, total = gradient(block, weight)
        else:
            weighted = block * np.sqrt(weight).astype(block.dtype)[:, np.newaxis]
            sums[:-1, :-1] += weighted.T @ weighted
            first, total = gradient(block, weight.astype(block.dtype, copy=False))
        sums[-1, :-1] += first
        sums[-1, -1] += total

    def gram(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Zᵀ diag(h) Z, given the sums over all blocks.

        Σ h(x−μ)(x−μ)ᵀ = Σ hxxᵀ − (Σ hx)μᵀ − μ(Σ h(x−μ))ᵀ
        """
        first, total = sums[-1, :-1].copy(), sums[-1, -1]
        matrix = np.tril(sums) + np.tril(sums, -1).T
        centred = first - total * self._shift
        matrix[:-1, :-1] -= np.outer(first, self._shift) + np.outer(self._shift, centred)
        matrix[:-1, -1] = matrix[-1, :-1] = centred
        matrix[:-1] /= self._scale[:, np.newaxis]
        matrix[:, :-1] /= self._scale
        return matrix if self.coordinates.fit_intercept else matrix[:-1, :-1].copy()

    def gram_diagonal(self, weight: Vector) -> Vector:
        """Return the diagonal of Zᵀ diag(h) Z."""
        second, first = np.zeros(self.X.shape[1]), np.zeros(self.X.shape[1])
        for rows, block in self.blocks():
            h = weight[rows].astype(self.X.dtype, copy=False)
            second += (self._squares if issparse(block) else np.square(block)).T @ h
            first += block.T @ h
        total = float(np.sum(weight))
        diagonal = second - 2 * self._shift * first + self._shift**2 * total
        diagonal = np.append(np.maximum(diagonal / self._scale**2, 0), total)
        return diagonal if self.coordinates.fit_intercept else diagonal[:-1]

    @cached_property
    def _squares(self) -> Any:
        """Elementwise square of the sparse rows, made once."""
        return squared(self._source)
