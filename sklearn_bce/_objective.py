"""What `fit` minimises, as a sum over blocks of rows; the only place that divides by Σ s.

In the user's coordinates::

    F(w, b) = (1/S) Σ sᵢ L(yᵢ, aᵢ) + 1/(C·S) · ½‖w‖²         S = Σ sᵢ

and in the working coordinates θ of `_coordinates`, Z = [(X − μ)/σ, 1], the same number with::

    gradient  Zᵀ p(a − y) + λu          curvature  Zᵀ diag(p a(1−a)) Z + diag(λ)         p = s/S

`_design` makes the products with Z.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._coordinates import Coordinates, Vector, standard_coordinates
from sklearn_bce._design import Design, design_of
from sklearn_bce._kernel_choice import kernels
from sklearn_bce._penalty import L2Penalty
from sklearn_bce._point import Point
from sklearn_bce._rows import raise_unless_finite
from sklearn_bce._threads import CURVATURE_WORK, sum_in_threads, thread_ranges
from sklearn_bce.chain_rule import binary_cross_entropy

# A float32 X stays float32 from this many elements (8 MB as float64) on: passes over it are then
# bound by memory, and half the bytes are half the time.
LARGE_ELEMENTS = 2**20


class Objective:
    """F as a function of θ, for one data set.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; never copied or changed. Elements of an array must be finite: the first pass
        raises `NotFiniteError` if they are not, which takes no pass of its own.
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s, not negative, of positive sum; may be a broadcast scalar.
    penalty : L2Penalty
        In the units of `coordinates`.
    coordinates : Coordinates
        What θ means.
    n_threads : int, default=1
        How many threads passes over X may use, where X is large.

    Attributes
    ----------
    total_weight : float
        S.
    n_passes : float
        How many times X has been read through; a sample of its rows counts by its share.
    """

    def __init__(
        self,
        X: Any,
        y: Vector,
        sample_weight: Vector,
        penalty: L2Penalty,
        coordinates: Coordinates,
        n_threads: int = 1,
    ) -> None:
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.penalty, self.coordinates, self.n_threads = penalty, coordinates, n_threads
        self.total_weight = float(np.sum(sample_weight))
        self.n_passes = 0
        self._known_finite = issparse(X)
        # p = s/S; a broadcast scalar stays one, and costs no memory.
        uniform = sample_weight.strides == (0,)
        share = (sample_weight[0] if uniform else sample_weight) / self.total_weight
        self._share = np.broadcast_to(share, len(y))

    @cached_property
    def _design(self) -> Design:
        """Products with the samples in the coordinates of θ."""
        return design_of(self.X, self.coordinates)

    @classmethod
    def in_user_units(
        cls,
        X: Any,
        y: Vector,
        sample_weight: Vector,
        C: float,
        fit_intercept: bool,
        n_threads: int = 1,
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
        return cls(X, y, sample_weight, L2Penalty(strength), coordinates, n_threads)

    def standardised(self) -> Objective:
        """Return the same F, of the user's coordinates, in those of centred and scaled columns."""
        fit_intercept = self.coordinates.fit_intercept
        other = self.in_coordinates(standard_coordinates(self.X, self._share, fit_intercept))
        other.n_passes += 1
        return other

    def in_coordinates(self, coordinates: Coordinates) -> Objective:
        """Return the same F, of the user's coordinates, in others."""
        penalty = self.penalty.in_units(coordinates.scale)
        other = Objective(self.X, self.y, self.sample_weight, penalty, coordinates, self.n_threads)
        other.n_passes, other._known_finite = self.n_passes, self._known_finite
        return other

    def of_rows(self, rows: NDArray[np.intp], factor: Vector) -> Objective:
        """Return the mean loss of these rows plus the penalty of all, in the same coordinates.

        Parameters
        ----------
        rows : ndarray of shape (n,)
            Which.
        factor : ndarray of shape (n,)
            What their weights are multiplied by.
        """
        weight = self.sample_weight[rows] * factor
        return Objective(
            self.X[rows], self.y[rows], weight, self.penalty, self.coordinates, self.n_threads
        )

    def of_samples(self, X: NDArray[np.float64]) -> Objective:
        """Return the mean loss of other samples, with these targets, weights and penalty."""
        coordinates = Coordinates.of_user(X.shape[1], self.coordinates.fit_intercept)
        return Objective(X, self.y, self.sample_weight, self.penalty, coordinates, self.n_threads)

    def bound(self, point: Point) -> float:
        """Return a bound on F − min F, by the gradient and the curvature of the penalty alone.

        The intercept is not penalised; its own curvature has to do for it.
        """
        of_weights, of_intercept = np.split(point.gradient, [self.n_features])
        with np.errstate(divide="ignore", invalid="ignore"):
            bound = np.sum(np.square(of_weights) / self.penalty.strength) / 2
            bound += np.sum(np.square(of_intercept) / np.sum(point.curvature)) / 2
        return float(np.nan_to_num(bound, nan=np.inf))

    def raise_unless_finite(self) -> None:
        """Raise NotFiniteError for elements of X; for solvers that do not go over its blocks."""
        self._over_blocks(lambda rows, block: None)

    @property
    def n_samples(self) -> int:
        """Number of rows of X."""
        return self.X.shape[0]

    @property
    def n_features(self) -> int:
        """Number of columns of X."""
        return self.X.shape[1]

    def evaluate(
        self,
        theta: Vector,
        z: Vector | None = None,
        *,
        hessian: bool = False,
        diagonal: bool = False,
    ) -> Point:
        """Return F, its gradient and, if asked, its curvature at θ, in one pass over X.

        Parameters
        ----------
        theta : ndarray of shape (size,)
            Where; kept in the result, not copied.
        z : ndarray of shape (n_samples,), optional
            Linear outputs at θ, where they are known; kept in the result.
        hessian : bool, default=False
            Whether to form the matrix of second derivatives.
        diagonal : bool, default=False
            Whether to form the diagonal of that matrix.
        """
        known = z is not None
        z = z if known else np.empty(self.n_samples)
        curvature = np.empty(self.n_samples)
        design, operand = self._design, self._design.operand(theta)

        def add(rows: slice, block: Any, value: Vector, sums: Vector, *second: Any) -> None:
            y, share, outputs = self.y[rows], self._share[rows], z[rows]
            slope = np.empty(len(y))
            value += block.add_loss(
                *operand, known, y, share, outputs, slope, curvature[rows], sums
            )
            if hessian:
                design.add_gram(block, curvature[rows], *second)
            elif diagonal:
                block.add_squares(curvature[rows], *second)

        value, sums, second = np.zeros(1), design.sums(), ()
        if hessian:
            second = (design.gram_sums(),)
        elif diagonal:
            second = design.square_sums()
        self._over_blocks(add, value, sums, *second, work=CURVATURE_WORK if hessian else 1)
        u = theta[: self.n_features]
        total = float(value[0]) + self.penalty.value(u)
        full_gradient = design.summed(sums)
        full_gradient[: self.n_features] += self.penalty.gradient(u)
        matrix = squares = None
        if hessian:
            matrix = design.gram(*second)
            squares = self._with_penalty(matrix.ravel()[:: len(matrix) + 1])
        elif diagonal:
            squares = self._with_penalty(design.gram_diagonal(*second))
        return Point(theta, total, full_gradient, z, curvature, matrix, squares)

    def value_at(self, theta: Vector, z: Vector) -> float:
        """Return F at θ from its linear outputs z, without reading X."""
        losses = self._share * binary_cross_entropy(self.y, z)
        return float(np.sum(losses)) + self.penalty.value(theta[: self.n_features])

    def outputs(self, vector: Vector) -> Vector:
        """Return Z · vector, in one pass over X."""
        along, operand = np.empty(self.n_samples), self._design.operand(vector)

        def fill(rows: slice, block: Any) -> None:
            block.outputs(*operand, along[rows])

        self._over_blocks(fill)
        return along

    def slope_on_ray(
        self, point: Point, vector: Vector, along: Vector
    ) -> Callable[[float], tuple[float, float]]:
        """Return the function of t that gives dF/dt and d²F/dt² at θ + t·vector.

        It does not read X.

        Parameters
        ----------
        point : Point
            θ.
        vector, along : ndarray of shape (size,), ndarray of shape (n_samples,)
            The direction, and Z · vector.
        """
        du = vector[: self.n_features]
        penalty_bend = self.penalty.gradient(du)
        penalty_slope = float(point.theta[: self.n_features] @ penalty_bend)
        penalty_bend = float(du @ penalty_bend)
        ray_pass = kernels().ray_pass

        def slope(length: float) -> tuple[float, float]:
            first, second = ray_pass(self.y, point.z, along, self._share, length)
            return first + penalty_slope + length * penalty_bend, second + penalty_bend

        return slope

    def curvature_product(self, point: Point, vector: Vector) -> tuple[Vector, Vector]:
        """Return ∂²F/∂θ² · vector at the point, and Z · vector, in one pass over X."""
        design, along = self._design, np.empty(self.n_samples)
        operand, sums = design.operand(vector), design.sums()

        def add(rows: slice, block: Any, sums: Vector) -> None:
            block.add_product(*operand, point.curvature[rows], along[rows], sums)

        self._over_blocks(add, sums)
        product = design.summed(sums)
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, along

    def curvature_diagonal(self, point: Point) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, in one pass over X."""
        weight = point.curvature

        def add(rows: slice, block: Any, *squares: Vector) -> None:
            block.add_squares(weight[rows], *squares)

        squares = self._design.square_sums()
        self._over_blocks(add, *squares)
        return self._with_penalty(self._design.gram_diagonal(*squares))

    def typical_diagonal(self, point: Point) -> Vector:
        """Return the diagonal of ∂²F/∂θ² for features that do not go along with the curvature.

        In standard coordinates, that is, where the mean square of each is 1. It takes no pass.
        """
        return self._with_penalty(np.full(self.coordinates.size, np.sum(point.curvature)))

    def _with_penalty(self, diagonal: Vector) -> Vector:
        """Add the penalty's curvature to the diagonal of that of the loss, in place; return it."""
        diagonal[: self.n_features] += self.penalty.strength
        return diagonal

    def _over_blocks(
        self, add: Callable[..., None], *sums: NDArray[np.float64], work: float = 1.0
    ) -> None:
        """Call add(rows, block, *sums) for each block of rows, which adds to the sums in place.

        Where X is large, or the work on its elements, threads do so for a range of the rows each,
        with sums of their own. It is one pass.
        """
        self.n_passes += 1

        def over(rows: slice, *sums: NDArray[np.float64]) -> None:
            for block_rows, block in self._design.blocks(rows):
                if not self._known_finite:
                    raise_unless_finite(self.X[block_rows])  # now that it is being read
                add(block_rows, block, *sums)

        sum_in_threads(over, thread_ranges(self.X, self.n_threads, work), sums)
        self._known_finite = True
