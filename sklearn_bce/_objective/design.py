"""Products with Z = [(X − μ)/σ, 1], the centred and scaled samples, by blocks of rows.

`Standardisation` applies shift μ and scale σ to products with X. `Design` multiplies with blocks of
X. `design_of` makes a standardised copy of dense data that fit into the cache, and a `Design` of
that copy.
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
    Rows,
    dense_rows,
    divided_by,
    full_columns,
    row_blocks,
    rows_of,
    with_columns_centred,
)
from sklearn_bce._objective.scaling import MAX_OFF_CENTRE, Coordinates

# Least and largest scale σ of a column for which products are divided by σ; otherwise rows are. The
# square of a scale within these limits uses at most two thirds of the exponents of the dtype
# (10**±308, 10**±38), which leaves one third for the weights and the number of samples in a sum.
SAFE_SCALES = {np.dtype(np.float64): (1e-100, 1e100), np.dtype(np.float32): (1e-12, 1e12)}


def design_of(X: Any, coordinates: Coordinates) -> Design:
    """Return Z of the samples X: by a copy of X if X is dense, float64 and small, else by X itself.

    Products with the copy take less time than products that are shifted and scaled.
    """
    is_small = not issparse(X) and X.dtype == np.float64 and X.size <= BLOCK_ELEMENTS
    if not is_small or coordinates.are_of_user:
        return Design(X, coordinates)
    Z = np.empty((len(X), coordinates.size))
    kernels().standardise(X, coordinates.shift, coordinates.divisor, Z)
    Z[:, X.shape[1] :] = 1.0  # the intercept is a feature of Z
    return Design(Z, Coordinates.of_user(coordinates.size, fit_intercept=False))


class Standardisation:
    """Turns products with X into products with Z = [(X − μ)/σ, 1], wherever X is.

    Parameters
    ----------
    coordinates : Coordinates
        μ, σ and whether there is an intercept.
    dtype : dtype
        Dtype of X, float32 or float64.

    Attributes
    ----------
    far : ndarray of shape (n_features,), bool
        Columns whose mean is so many deviations from 0 that products would lose precision.
    is_unsafe : bool
        Whether there are such columns, or a scale is so extreme that products may overflow: rows
        must then be standardised before the products.
    """

    def __init__(self, coordinates: Coordinates, dtype: np.dtype) -> None:
        self.coordinates = coordinates
        low, high = SAFE_SCALES[dtype]
        shift, scale = coordinates.shift, coordinates.scale
        self.far = np.abs(shift) > MAX_OFF_CENTRE[dtype] * coordinates.divisor
        self.is_unsafe = bool(np.any(self.far) or scale.min() < low or scale.max() > high)
        # The shift and scale that products still need; the dtype of the weights in a product.
        self._shift, self._scale, self._weight_dtype = shift, coordinates.divisor, dtype
        if self.is_unsafe:
            self._shift, self._scale = np.zeros_like(shift), np.ones_like(scale)
        self._set_inverse_scale()

    def _set_inverse_scale(self) -> None:
        """Compute what follows from shift and scale; changes self."""
        self._inverse_scale = 1 / self._scale
        # The largest |mean| of a column of the blocks, in its deviations.
        self.off_centre = float(np.max(np.abs(self._shift) * np.abs(self._inverse_scale)))

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return len(self.coordinates.scale)

    def raw_weights(self, theta: Vector) -> tuple[NDArray[Any], float]:
        """Return (w, b) with Xw + b = Zθ for the blocks X, w in the dtype of the products."""
        w = theta[: self.n_features] * self._inverse_scale
        b = float(theta[-1] - self._shift @ w) if self.coordinates.fit_intercept else 0.0
        return w.astype(self._weight_dtype, copy=False), b

    def sums(self) -> Vector:
        """Return zeros for the sums Σ hx and Σ h of `Rows`."""
        return np.zeros(self.n_features + 1)

    def to_theta_gradient(self, sums: Vector) -> Vector:
        """Return Zᵀh, of shape (size,), given Σ hx and Σ h over all blocks."""
        of_theta = np.empty(self.coordinates.size)
        of_features = of_theta[: self.n_features]
        np.multiply(self._shift, -sums[-1], out=of_features)
        of_features += sums[:-1]
        of_features *= self._inverse_scale
        of_theta[self.n_features :] = sums[-1]
        return of_theta

    def gram_sums(self, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return zeros for Σ hxxᵀ of some features, with a last row for Σ hx and Σ h.

        Parameters
        ----------
        subset : ndarray of shape (n,)
            Entries of θ, ascending; that of the intercept, if there is one, among them.
        """
        size = len(self.coordinates.features_of(subset)) + 1
        return np.zeros((size, size))

    def gram(self, sums: NDArray[np.float64], subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the entries of Zᵀ diag(h) Z in the subset, given the sums over all blocks.

        The sums are changed, and may be the result.
        """
        features = self.coordinates.features_of(subset)
        kernels().centred_gram(sums, self._shift[features], self._scale[features])
        return sums if self.coordinates.fit_intercept else sums[:-1, :-1].copy()

    def raw_root(
        self, root: NDArray[np.float64], subset: NDArray[np.intp]
    ) -> tuple[NDArray[np.float64], Vector, NDArray[np.intp]]:
        """Return (Q, c, columns) with ‖Rᵀz‖ = ‖Qᵀx + c‖, of these entries z and columns x.

        Parameters
        ----------
        root : ndarray of shape (n, n), float64
            R, upper triangular, as Q is.
        subset : ndarray of shape (n,), intp
            Entries of θ, ascending; that of the intercept, if there is one, among them.
        """
        features = self.coordinates.features_of(subset)
        n_features = len(features)
        inverse_scale = self._inverse_scale[features, np.newaxis]
        raw = np.multiply(root[:n_features], inverse_scale, order="C")
        return raw, root[n_features:].sum(axis=0) - self._shift[features] @ raw, features

    def square_sums(self) -> NDArray[np.float64]:
        """Return zeros, of shape (2, n_features + 1), for Σ hx and Σ hx², each with a last Σ h."""
        return np.zeros((2, self.n_features + 1))

    def gram_diagonal(self, first: Vector, second: Vector) -> Vector:
        """Return the diagonal of Zᵀ diag(h) Z, given Σ hx and Σ hx² over all blocks."""
        n_features, total = self.n_features, first[-1]
        diagonal = np.empty(self.coordinates.size)
        centred = second[:-1] - self._shift * (2 * first[:-1] - self._shift * total)
        diagonal[:n_features] = np.maximum(centred / self._scale / self._scale, 0)
        diagonal[n_features:] = total
        return diagonal


class Design(Standardisation):
    """Products with Z = [(X − μ)/σ, 1], from products with blocks of X that are shifted and scaled.

    If a mean is so many deviations from 0, or a scale so extreme, that the products would lose
    precision or overflow, dense blocks are standardised one by one before the products, and the
    columns of a sparse X are standardised in a copy.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; never changed.
    coordinates : Coordinates
        μ, σ and whether there is an intercept.
    """

    def __init__(self, X: Any, coordinates: Coordinates) -> None:
        super().__init__(coordinates, X.dtype)
        self.X, self._source = X, X  # the samples, and those of the blocks
        self._standardise_blocks = self.is_unsafe and not issparse(X)
        if self.is_unsafe and issparse(X):
            shift, scale = coordinates.shift, coordinates.divisor
            self._source = divided_by(with_columns_centred(X, shift, self.far), scale)
            self._shift = np.where(full_columns(X, self.far), 0.0, shift) / scale
            self._set_inverse_scale()
        if issparse(X):  # sparse kernels take weights of float64, whatever the dtype of X
            self._weight_dtype = np.dtype(np.float64)
        self._blocks: dict[Any, list[tuple[slice, Rows]]] = {}

    def blocks(self, rows: slice, in_cache: bool = False) -> Iterator[tuple[slice, Rows]]:
        """Yield each block of the given rows: a slice of the rows, and the products with them.

        The products of a block must be made before the next block is taken, which may overwrite
        the samples of the block.

        Parameters
        ----------
        rows : slice
            The rows.
        in_cache : bool, default=False
            Whether to yield blocks that stay in the cache from one product to the next.
        """
        if self._standardise_blocks:
            yield from self._standardised_blocks(rows)
            return
        key = rows.start, rows.stop, in_cache
        if key not in self._blocks:
            slices = row_blocks(self.X, rows, in_cache)
            self._blocks[key] = [(block, rows_of(self._source, block)) for block in slices]
        yield from self._blocks[key]

    def _standardised_blocks(self, rows: slice) -> Iterator[tuple[slice, Rows]]:
        """Yield blocks as `blocks` does, each standardised in a buffer that all blocks share."""
        slices = row_blocks(self.X, rows)
        shift = self.coordinates.shift.astype(self.X.dtype)
        scale = self.coordinates.divisor.astype(self.X.dtype)
        buffer = np.empty((slices[0].stop - slices[0].start, self.X.shape[1]), self.X.dtype)
        for block in slices:
            Z = buffer[: block.stop - block.start]
            kernels().standardise(self.X[block], shift, scale, Z)
            yield block, dense_rows(Z)

    def add_gram(
        self,
        block: Rows,
        row_weight: Vector,
        subset: NDArray[np.intp],
        sums: NDArray[np.float64],
    ) -> None:
        """Add Σ hxxᵀ, Σ hx and Σ h of a block to the lower triangle of the sums, in place."""
        block.add_gram(row_weight, self.coordinates.features_of(subset), sums)
