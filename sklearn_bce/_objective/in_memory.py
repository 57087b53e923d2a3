"""What `fit` minimises, as a sum over blocks of rows; the only place that divides by Σ s.

In the user's coordinates::

    F(w, b) = (1/S) Σ sᵢ L(yᵢ, aᵢ) + 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁]         S = Σ sᵢ

and in the working coordinates θ of `_coordinates`, Z = [(X − μ)/σ, 1], the same number with::

    gradient  Zᵀ p(a − y) + λu          curvature  Zᵀ diag(p a(1−a)) Z + diag(λ)         p = s/S

These are of the smooth part, all but the L1 norm. `_design` makes the products with Z.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from scipy.special import logit

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import CURVATURE_WORK, sum_in_threads, thread_ranges
from sklearn_bce._objective.base import BaseObjective, DataSize, Evaluation
from sklearn_bce._objective.design import Design, design_of
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.rows import raise_unless_finite
from sklearn_bce._objective.scaling import Coordinates, standard_coordinates
from sklearn_bce.chain_rule import binary_cross_entropy

# A float32 X stays float32 from this many elements (8 MB as float64) on: passes over it are then
# bound by memory, and half the bytes are half the time.
LARGE_ELEMENTS = 2**20
LARGEST_SLOPE = 0.25  # of the activation: a(1−a) <= 1/4


class InMemoryObjective(BaseObjective):
    """F as a function of θ, for samples in memory.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; never copied or changed. Elements of an array must be finite: the first pass
        raises `NotFiniteError` if they are not, which takes no pass of its own.
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s, not negative, of positive sum; may be a broadcast scalar.
    penalty : ElasticNet
        In the units of `coordinates`.
    coordinates : Coordinates
        What θ means.
    n_threads : int, default=1
        How many threads passes over X may use, where X is large.
    total_weight : float, default=None
        S, where the samples are a part of others; None means Σ s of them.

    Attributes
    ----------
    total_weight : float
        S.
    keeps_outputs : bool
        Whether points have their outputs z, so that a step along a known direction takes no pass.
    share : ndarray of shape (n_samples,)
        p; as a broadcast scalar where all are one.
    n_passes : float
        How many times X has been read through; a sample of its rows counts by its share.
    """

    def __init__(
        self,
        X: Any,
        y: Vector,
        sample_weight: Vector,
        penalty: ElasticNet,
        coordinates: Coordinates,
        n_threads: int = 1,
        total_weight: float | None = None,
    ) -> None:
        super().__init__(penalty, coordinates)
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.n_threads = n_threads
        self.total_weight = float(np.sum(sample_weight)) if total_weight is None else total_weight
        self._known_finite = issparse(X)
        # p = s/S; a broadcast scalar stays one, and costs no memory.
        uniform = sample_weight.strides == (0,)
        normalised_weight = (sample_weight[0] if uniform else sample_weight) / self.total_weight
        self.normalised_weight = np.broadcast_to(normalised_weight, len(y))

    caches_outputs = True

    @cached_property
    def _design(self) -> Design:
        """Products with the samples in the coordinates of θ."""
        return design_of(self.X, self.coordinates)

    @cached_property
    def _all(self) -> NDArray[np.intp]:
        """Every entry of θ."""
        return np.arange(self.coordinates.size)

    @classmethod
    def in_user_units(
        cls,
        X: Any,
        y: Vector,
        sample_weight: Vector,
        C: float,
        l1_ratio: float,
        fit_intercept: bool,
        n_threads: int = 1,
        total_weight: float | None = None,
    ) -> InMemoryObjective:
        """Return F as a function of the user's (w, b); see the class for the arguments.

        If the samples are a part of others, of which the penalty is shared out to these by their
        weights, ``total_weight`` is that of all.

        A float32 X of no great size is computed with in float64: the time is the same, and the
        result is exact.
        """
        if X.dtype == np.float32 and X.size <= LARGE_ELEMENTS:
            X = X.astype(np.float64)
        total_weight = float(np.sum(sample_weight)) if total_weight is None else total_weight
        penalty = ElasticNet.of(C, l1_ratio, total_weight)
        coordinates = Coordinates.of_user(X.shape[1], fit_intercept)
        return cls(X, y, sample_weight, penalty, coordinates, n_threads)

    def standardised(self) -> InMemoryObjective:
        """Return the same F, of the user's coordinates, in those of centred and scaled columns."""
        fit_intercept = self.coordinates.fit_intercept
        other = self.in_coordinates(
            standard_coordinates(self.X, self.normalised_weight, fit_intercept)
        )
        other.n_passes += 1
        return other

    def in_coordinates(self, coordinates: Coordinates) -> InMemoryObjective:
        """Return the same F, of the user's coordinates, in others."""
        penalty = self.penalty.in_units(coordinates.scale)
        samples = self.X, self.y, self.sample_weight
        other = InMemoryObjective(*samples, penalty, coordinates, self.n_threads, self.total_weight)
        other.n_passes, other._known_finite = self.n_passes, self._known_finite
        return other

    def of_rows(self, rows: NDArray[np.intp], factor: Vector) -> InMemoryObjective:
        """Return the mean loss of these rows plus the penalty of all, in the same coordinates.

        Parameters
        ----------
        rows : ndarray of shape (n,)
            Which.
        factor : ndarray of shape (n,)
            What their weights are multiplied by.
        """
        weight = self.sample_weight[rows] * factor
        return InMemoryObjective(
            self.X[rows], self.y[rows], weight, self.penalty, self.coordinates, self.n_threads
        )

    def of_samples(self, X: NDArray[np.float64]) -> InMemoryObjective:
        """Return the mean loss of other samples, with these targets, weights and penalty."""
        coordinates = Coordinates.of_user(X.shape[1], self.coordinates.fit_intercept)
        return InMemoryObjective(
            X, self.y, self.sample_weight, self.penalty, coordinates, self.n_threads
        )

    def raise_unless_finite(self) -> None:
        """Raise NotFiniteError for elements of X; for solvers that do not go over its blocks."""
        self._over_blocks(lambda rows, block: None)

    @property
    def log_odds(self) -> float:
        """The user's intercept of the neuron that has no weights; 0 where it has no intercept."""
        mean = float(self.normalised_weight @ self.y)
        return float(logit(mean)) if self.coordinates.fit_intercept and 0 < mean < 1 else 0.0

    @property
    def n_samples(self) -> int:
        """Number of rows of X."""
        return self.X.shape[0]

    @cached_property
    def data_size(self) -> DataSize:
        """That of X."""
        return DataSize.of(self.X)

    @property
    def has_columns(self) -> bool:
        """Whether columns can be taken one by one."""
        return issparse(self.X)

    def constant_outputs(self, c: float) -> Vector:
        """Return the outputs z of a neuron without weights."""
        return np.full(self.n_samples, c)

    def evaluate(
        self,
        theta: Vector,
        z: Vector | None = None,
        *,
        hessian: bool = False,
        diagonal: bool = False,
    ) -> Evaluation:
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
        design, raw_weights = self._design, self._design.raw_weights(theta)

        def add(rows: slice, block: Any, value: Vector, sums: Vector, *second: Any) -> None:
            y, normalised_weight, outputs = self.y[rows], self.normalised_weight[rows], z[rows]
            slope = np.empty(len(y))
            value += block.add_loss(
                *raw_weights, known, y, normalised_weight, outputs, slope, curvature[rows], sums
            )
            if hessian:
                design.add_gram(block, curvature[rows], self._all, *second)
            elif diagonal:
                block.add_squares(curvature[rows], *second)

        value, sums, second = np.zeros(1), design.sums(), ()
        if hessian:
            second = (design.gram_sums(self._all),)
        elif diagonal:
            second = design.square_sums()
        self._over_blocks(add, value, sums, *second, work=CURVATURE_WORK if hessian else 1)
        u = theta[: self.n_features]
        total = float(value[0]) + self.penalty.value(u)
        full_gradient = design.to_theta_gradient(sums)
        full_gradient[: self.n_features] += self.penalty.gradient(u)
        matrix = squares = None
        if hessian:
            matrix = self._curvature_of(*second, self._all)
            squares = matrix.ravel()[:: len(matrix) + 1]
        elif diagonal:
            squares = self._with_penalty(design.gram_diagonal(*second))
        return Evaluation(theta, total, full_gradient, z, curvature, matrix, squares)

    def value_at(self, theta: Vector, z: Vector) -> float:
        """Return F at θ from its linear outputs z, without reading X."""
        losses = self.normalised_weight * binary_cross_entropy(self.y, z)
        return float(np.sum(losses)) + self.penalty.value(theta[: self.n_features])

    def outputs(self, vector: Vector) -> Vector:
        """Return Z · vector, in one pass over X."""
        along, raw_weights = np.empty(self.n_samples), self._design.raw_weights(vector)

        def fill(rows: slice, block: Any) -> None:
            block.outputs(*raw_weights, along[rows])

        self._over_blocks(fill)
        return along

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, Vector]:
        """Return ∂²F/∂θ² · vector at the point, and Z · vector, in one pass over X."""
        design, along = self._design, np.empty(self.n_samples)
        raw_weights, sums = design.raw_weights(vector), design.sums()

        def add(rows: slice, block: Any, sums: Vector) -> None:
            block.add_product(*raw_weights, point.curvature[rows], along[rows], sums)

        self._over_blocks(add, sums)
        product = design.to_theta_gradient(sums)
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, along

    def curvature_bound(self) -> Vector:
        """Return the largest curvature that the losses have anywhere: a(1−a) <= 1/4."""
        return LARGEST_SLOPE * self.normalised_weight

    def majorising_curvature(self, z: Vector) -> Vector:
        """Return the curvature of parabolas that touch the losses at z and nowhere are below them.

        That of the losses vanishes where the neuron is sure of a sample; this does not (T. Jaakkola
        and M. Jordan, "Bayesian parameter estimation via variational methods", Statistics and
        Computing 10 (2000), equation 8).
        """
        half = np.where(np.abs(z) < 1e-6, 1e-6, z) / 2
        return self.normalised_weight * np.tanh(half) / (4 * half)

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return some rows and columns of ∂²F/∂θ² at the point, in one pass over X.

        Parameters
        ----------
        point : Point
            θ.
        subset : ndarray of shape (n,)
            Which entries of θ, ascending; that of the intercept, if there is one, among them.
        """
        design = self._design

        def add(rows: slice, block: Any, sums: NDArray[np.float64]) -> None:
            design.add_gram(block, point.curvature[rows], subset, sums)

        sums = design.gram_sums(subset)
        self._over_blocks(add, sums, work=CURVATURE_WORK)
        return self._curvature_of(sums, subset)

    def _curvature_of(
        self, sums: NDArray[np.float64], subset: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the curvature of F, given the sums over all blocks; these change."""
        matrix = self._design.gram(sums, subset)
        features = self.coordinates.features_of(subset)
        self._with_penalty(matrix.ravel()[:: len(matrix) + 1], features)
        return matrix

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, in one pass over X."""
        weight = point.curvature

        def add(rows: slice, block: Any, *squares: Vector) -> None:
            block.add_squares(weight[rows], *squares)

        squares = self._design.square_sums()
        self._over_blocks(add, *squares)
        return self._with_penalty(self._design.gram_diagonal(*squares))

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
