"""F over samples in memory, as a sum over blocks of rows.

In the user's coordinates::

    F(w, b) = (1/S) Σ sᵢ L(yᵢ, aᵢ) + 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁]         S = Σ sᵢ

and in the working coordinates θ of `scaling`, with Z = [(X − μ)/σ, 1], the same number with::

    gradient  Zᵀ p(a − y) + λu          curvature  Zᵀ diag(p a(1−a)) Z + diag(λ)         p = s/S

Gradient and curvature are those of the smooth part, which is all but the L1 norm. `design` makes
the products with Z. Only this module divides by S.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy
from scipy.sparse import issparse
from scipy.special import logit

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import CURVATURE_WORK, sum_in_threads, thread_ranges
from sklearn_bce._objective.base import (
    LARGEST_SLOPE,
    BaseObjective,
    DataSize,
    Evaluation,
    PassCounter,
)
from sklearn_bce._objective.design import Design, design_of
from sklearn_bce._objective.penalty import ElasticNet, Penalty
from sklearn_bce._objective.ray import OutputRay
from sklearn_bce._objective.rows import Rows, raise_unless_finite, row_blocks, squared
from sklearn_bce._objective.scaling import Coordinates, standard_coordinates
from sklearn_bce.chain_rule import binary_cross_entropy, sigmoid

# Elements of X up to which float32 is converted to float64: 8 MB. A larger X is more than a core's
# cache holds, so that passes are bound by memory and half the bytes are half the time:
# python -m benchmarks.tuning LARGE_ELEMENTS
LARGE_ELEMENTS = 2**20
# Rows from which the units of columns are estimated. The standard deviation of n normal numbers is
# known to 1/√(2n), here 4 %. With 64 rows a fit with a strong penalty takes 9 passes, with 256 or
# 1024 it takes 7: python -m benchmarks.tuning ROWS_FOR_UNITS
ROWS_FOR_UNITS = 256
# Standard errors beyond which a difference between a sample and all rows is not due to chance: of
# normal errors 6e-7 are larger.
STANDARD_ERRORS = 5.0
# Samples of a column, in effect, from which its curvature is reliable. The standard error of the
# curvature is 1/√30 = 18 % of it, and five standard errors are 91 %: less than the curvature
# itself.
# python -m benchmarks.tuning ENOUGH_SAMPLES
ENOUGH_SAMPLES = 30
# Log-odds: |Δz| above which a step leaves the region where the curvature of a sample is what it
# was. In the tail of the sigmoid a loss, its slope and its curvature are e⁻|ᶻ|: a Newton step that
# sees only this sample changes z by 1, and within 0.9 the curvature falls by a factor of 2.5. With
# 3, a fit to samples with an outlier at 1e7 ends at F = 0.69 instead of 0.51:
# python -m benchmarks.tuning MODEL_REGION
MODEL_REGION = 0.9
# |z| below which tanh(z/2)/z is computed at this z, as it is 0/0 at 0. It is 1/2 there but for a
# relative error of z²/12 = 8e-14.
SMALL_OUTPUT = 1e-6
# Share of the squared Newton decrement up to which the samples that leave the model region do not
# count: their losses have been negligible before the step. With 1e-14 and with 1e-4 fits to samples
# with an outlier take as many passes:
# python -m benchmarks.tuning NEGLIGIBLE_DECREMENT
NEGLIGIBLE_DECREMENT = 1e-9


class InMemoryObjective(BaseObjective):
    """F as a function of θ, for samples in memory; implements `Objective`.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; never copied or changed. Elements of an array must be finite: the first pass raises
        `NotFiniteError` if they are not, so that the check takes no pass of its own.
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s, at least 0, with a positive sum; may be a broadcast scalar.
    penalty : Penalty
        In the units of ``coordinates``.
    coordinates : Coordinates
        What θ means.
    n_threads : int, default=1
        Most threads that a pass over a large X may use.
    total_weight : float, default=None
        S, if the samples are part of a larger set; None means the sum of ``sample_weight``.
    passes : PassCounter, default=None
        The counter to go on with; None means a new one.

    Attributes
    ----------
    total_weight : float
        S.
    normalised_weight : ndarray of shape (n_samples,), float64
        p = s/S; a broadcast scalar if ``sample_weight`` is one.
    """

    def __init__(
        self,
        X: Any,
        y: Vector,
        sample_weight: Vector,
        penalty: Penalty,
        coordinates: Coordinates,
        n_threads: int = 1,
        total_weight: float | None = None,
        passes: PassCounter | None = None,
    ) -> None:
        super().__init__(penalty, coordinates, passes)
        self.X, self.y, self.sample_weight = X, y, sample_weight
        self.n_threads = n_threads
        self.total_weight = float(np.sum(sample_weight)) if total_weight is None else total_weight
        self._known_finite = issparse(X)
        # A broadcast scalar stays one, and costs no memory.
        uniform = sample_weight.strides == (0,)
        p = (sample_weight[0] if uniform else sample_weight) / self.total_weight
        self.normalised_weight = np.broadcast_to(p, len(y))

    @cached_property
    def _design(self) -> Design:
        """Products with the samples in the coordinates of θ."""
        return design_of(self.X, self.coordinates)

    @cached_property
    def _all(self) -> NDArray[np.intp]:
        """The indices of all entries of θ."""
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
        coordinates = standard_coordinates(self.X, self.normalised_weight, fit_intercept)
        self.passes.add()
        return self.in_coordinates(coordinates)

    def in_coordinates(self, coordinates: Coordinates) -> InMemoryObjective:
        """Return the same F, of the user's coordinates, in others; it shares the pass counter."""
        other = InMemoryObjective(
            self.X,
            self.y,
            self.sample_weight,
            self.penalty.in_units(coordinates.scale),
            coordinates,
            self.n_threads,
            self.total_weight,
            self.passes,
        )
        other._known_finite = self._known_finite
        return other

    def on_one_thread(self) -> InMemoryObjective:
        """Return the same F, summed by one thread: in one order, however many threads there are."""
        other = copy(self)
        other.n_threads = 1
        return other

    def of_rows(self, rows: NDArray[np.intp], factor: Vector) -> InMemoryObjective:
        """Return the mean loss of some rows plus the penalty of all, in the same coordinates.

        Parameters
        ----------
        rows : ndarray of shape (n,)
            Indices of the rows.
        factor : ndarray of shape (n,)
            What the weights of the rows are multiplied by.
        """
        return InMemoryObjective(
            self.X[rows],
            self.y[rows],
            self.sample_weight[rows] * factor,
            self.penalty,
            self.coordinates,
            self.n_threads,
        )

    def of_samples(self, X: NDArray[np.float64]) -> InMemoryObjective:
        """Return F over other samples X, of which row i has the target and weight of row i here."""
        coordinates = Coordinates.of_user(X.shape[1], self.coordinates.fit_intercept)
        return InMemoryObjective(
            X, self.y, self.sample_weight, self.penalty, coordinates, self.n_threads
        )

    def subsample(self, n_rows: int, random_state: Any) -> InMemoryObjective | None:
        """Return F on about so many random rows; None if a sample of that size is of no use.

        Half of the rows are of either class, as far as it has so many, and weigh as much as all of
        it: where one class is rare, the number of its samples limits what is known (W. Fithian and
        T. Hastie, "Local Case-Control Sampling", Annals of Statistics 42 (2014), section 2). Of
        soft targets, those above their mean are one class.
        """
        if not n_rows:
            return None
        positive, weighted = self.y > np.mean(self.y), self.sample_weight > 0
        drawn, factors = [], []
        for of_class in (np.flatnonzero(weighted & ~positive), np.flatnonzero(weighted & positive)):
            some = of_class
            if len(of_class) > n_rows // 2:
                some = of_class[np.unique(random_state.randint(len(of_class), size=n_rows // 2))]
            if len(some) <= self.coordinates.size:
                return None  # on so few there may be no minimum, or one that is far away
            drawn.append(some)
            factors.append(np.full(len(some), len(of_class) / len(some)))
        rows = np.concatenate(drawn)
        order = np.argsort(rows)  # as they lie in memory
        return self.of_rows(rows[order], np.concatenate(factors)[order])

    def count_passes_of(self, sample: InMemoryObjective) -> None:
        """Count the passes over a sample of the rows by its fraction of them; changes self."""
        self.passes.add(sample.n_passes * sample.n_samples / self.n_samples)

    def dominating_penalty_coordinates(self, random_state: Any) -> Coordinates | None:
        """Return near-standard coordinates in which the penalty outweighs the loss everywhere.

        They are estimated on a few random rows. None if the penalty does not outweigh the loss in
        every coordinate, or has an L1 norm.
        """
        if not self.penalty.is_smooth:
            return None
        rows = np.unique(random_state.randint(self.n_samples, size=ROWS_FOR_UNITS))
        problem = self.of_rows(rows, np.ones(len(rows))).standardised()
        return problem.coordinates if problem.penalty_dominates() else None

    def null_model_is_plausible(self) -> bool:
        """Return whether, for all that these samples show, all weights may be 0 at the minimum.

        The samples stand for a larger set, in standard coordinates. The gradient at 0 is a sum over
        the samples, with the root of the sum of squares for its standard error. Without an L1 norm
        the answer is False.
        """
        if self.penalty.is_smooth:
            return False
        p = self.n_features
        point = self.evaluate(self.coordinates.from_user(np.zeros(p), self.log_odds))
        slope = self.normalised_weight * (sigmoid(point.z) - self.y)
        error = STANDARD_ERRORS * float(np.linalg.norm(slope))
        return bool(np.max(np.abs(point.gradient[:p]) - self.penalty.l1) <= error)

    def diagonal_is_reliable(self, point: Evaluation) -> bool:
        """Return whether the curvature's diagonal is near that of a larger set, in every entry.

        The relative standard error of an entry is √(Σ h²z⁴)/Σ hz²: 1/√k for a column that is 0 but
        for k samples. A column that is constant in the sample may be constant by chance.
        """
        second, fourth = np.zeros((2, self.n_features))
        for rows in row_blocks(self.X):
            h, X = point.curvature[rows], self.X[rows]
            squares = squared(X) if issparse(X) else np.square(X - self.coordinates.shift)
            second += squares.T @ h
            fourth += (squared(squares) if issparse(X) else np.square(squares)).T @ np.square(h)
        return bool(np.all((second > 0) & (fourth * ENOUGH_SAMPLES <= np.square(second))))

    def raise_unless_finite(self) -> None:
        """Raise NotFiniteError for elements of X; for solvers that do not go over its blocks."""
        self._sum(lambda rows: list(self._blocks(rows)))

    @property
    def log_odds(self) -> float:
        """The user's intercept if all weights are 0, at the minimum; 0 without an intercept."""
        mean = float(self.normalised_weight @ self.y)
        return float(logit(mean)) if self.coordinates.fit_intercept and 0 < mean < 1 else 0.0

    @property
    def n_samples(self) -> int:
        """Number of rows of X."""
        return self.X.shape[0]

    @cached_property
    def data_size(self) -> DataSize:
        """The size of X."""
        return DataSize.of(self.X)

    @property
    def has_row_space(self) -> bool:
        """Whether F can be written as a function of the products of samples: see `RowSpace`."""
        strengths = self.penalty.curvature_diagonal(self.n_features)
        return not issparse(self.X) and self.penalty.is_smooth and bool(np.all(strengths > 0))

    @property
    def has_columns(self) -> bool:
        """Whether columns can be taken one by one."""
        return issparse(self.X)

    @cached_property
    def n_stored_in_columns(self) -> NDArray[np.intp]:
        """Number of stored values of each column of a CSR X, of shape (n_features,)."""
        return np.bincount(self.X.indices, minlength=self.n_features)

    def scaled_columns(self, features: NDArray[np.intp] | None) -> Any:
        """Return columns of a CSR X as CSC, divided by their scale, in one pass; None means all."""
        self.passes.add()
        columns = (self.X if features is None else self.X[:, features]).tocsc()
        scale = self.coordinates.scale
        unit = 1 / (scale if features is None else scale[features])
        columns.data = columns.data * np.repeat(unit, np.diff(columns.indptr))
        return columns

    def samples_reference(self) -> Any:
        """Return a weak reference to X, by which a later fit recognises its X as the same."""
        return weakref.ref(self.X)

    def holds(self, X: Any) -> bool:
        """Return whether the samples are this very object."""
        return self.X is X

    def constant_outputs(self, c: float) -> Vector:
        """Return the outputs z if all weights are 0 and the intercept is c."""
        return np.full(self.n_samples, c)

    def zero_outputs(self) -> Vector:
        """Return outputs that are 0, for `add_outputs`."""
        return np.zeros(self.n_samples)

    def add_outputs(self, factor: float, outputs: Vector, total: Vector) -> None:
        """Add factor·outputs to the total, in place."""
        daxpy(outputs, total, a=factor)

    def ray(self, point: Evaluation, vector: Vector, z_direction: Any = None) -> OutputRay:
        """Return F on the ray from the point along the vector; ``z_direction`` is Z·vector."""
        return OutputRay(self, point, vector, z_direction)

    def ray_through(self, before: Evaluation, after: Evaluation) -> OutputRay:
        """Return F on the ray from ``after``, in the direction that led there from ``before``."""
        return OutputRay(self, after, after.theta - before.theta, after.z - before.z)

    def leaves_model_region(self, before: Evaluation, after: Evaluation, decrement: float) -> bool:
        """Return whether a step owes some of its decrement to curvature that it leaves behind."""
        change = after.z - before.z
        leaving = np.flatnonzero(np.abs(change) > MODEL_REGION)
        if not len(leaving):
            return False
        a = sigmoid(before.z[leaving])
        owed = self.normalised_weight[leaving] * a * (1 - a) @ np.square(change[leaving])
        return bool(owed > NEGLIGIBLE_DECREMENT * decrement)

    def largest_margin(self, z: Vector) -> float:
        """Return how far an output is at most on the right side of 0; soft targets have no side."""
        side = np.where(self.y == 1, z, np.where(self.y == 0, -z, 0.0))
        return float(np.max(np.where(self.sample_weight > 0, side, 0.0)))

    def separates(self, z_direction: Vector, rounding: float) -> bool:
        """Return whether in a direction no sample's loss rises for ever, and some loss falls.

        Parameters
        ----------
        z_direction : ndarray of shape (n_samples,)
            Change of the outputs in that direction.
        rounding : float
            Share of the largest change by which an output may be on the wrong side.
        """
        weighted = self.sample_weight > 0
        y, change = self.y[weighted], z_direction[weighted]
        wrong = np.maximum(np.where(y > 0, -change, 0), np.where(y < 1, change, 0))
        return bool(np.max(wrong) <= rounding * np.max(np.abs(change)))

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
            The coordinates of the place; kept in the result, not copied.
        z : ndarray of shape (n_samples,), optional
            Linear outputs at θ, if they are known; kept in the result.
        hessian : bool, default=False
            Whether to form the matrix of second derivatives.
        diagonal : bool, default=False
            Whether to form the diagonal of that matrix.
        """
        z_is_known = z is not None
        z = z if z_is_known else np.empty(self.n_samples)
        curvature = np.empty(self.n_samples)
        design = self._design
        w, b = design.raw_weights(theta)

        def add(all_rows: slice, value: Vector, sums: Vector, *second: Any) -> None:
            for rows, block in self._blocks(all_rows):
                y, p, h = self.y[rows], self.normalised_weight[rows], curvature[rows]
                slope = np.empty(len(y))
                value += block.add_loss(w, b, z_is_known, y, p, z[rows], slope, h, sums)
                if hessian:
                    design.add_gram(block, h, self._all, *second)
                elif diagonal:
                    block.add_squares(h, *second)

        value, sums = np.zeros(1), design.sums()
        second = self._second_sums(hessian, diagonal)
        self._sum(add, value, sums, *second, work=CURVATURE_WORK if hessian else 1)
        u = theta[: self.n_features]
        total = float(value[0]) + self.penalty.value(u)
        gradient = design.to_theta_gradient(sums)
        gradient[: self.n_features] += self.penalty.gradient(u)
        evaluation = Evaluation(theta, total, gradient, z, curvature)
        if hessian:
            evaluation.hessian = self._curvature_of(*second, self._all)
            evaluation.diagonal = evaluation.hessian.diagonal().copy()  # it may be overwritten
        elif diagonal:
            evaluation.diagonal = self._diagonal_of(*second)
        return evaluation

    def value_at(self, theta: Vector, z: Vector) -> float:
        """Return F at θ from its linear outputs z, without reading X."""
        losses = self.normalised_weight * binary_cross_entropy(self.y, z)
        return float(np.sum(losses)) + self.penalty.value(theta[: self.n_features])

    def outputs(self, vector: Vector) -> Vector:
        """Return Z·vector, in one pass over X."""
        z_direction = np.empty(self.n_samples)
        w, b = self._design.raw_weights(vector)

        def fill(all_rows: slice) -> None:
            for rows, block in self._blocks(all_rows):
                block.outputs(w, b, z_direction[rows])

        self._sum(fill)
        return z_direction

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, Vector]:
        """Return ∂²F/∂θ²·vector at the point, and Z·vector, in one pass over X."""
        design, z_direction = self._design, np.empty(self.n_samples)
        (w, b), sums = design.raw_weights(vector), design.sums()

        def add(all_rows: slice, sums: Vector) -> None:
            for rows, block in self._blocks(all_rows):
                block.add_product(w, b, point.curvature[rows], z_direction[rows], sums)

        self._sum(add, sums)
        product = design.to_theta_gradient(sums)
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, z_direction

    def curvature_bound(self) -> Vector:
        """Return the largest curvature of each loss anywhere, p/4: a(1−a) <= 1/4."""
        return LARGEST_SLOPE * self.normalised_weight

    def majorising_curvature(self, z: Vector) -> Vector:
        """Return the curvature of parabolas that touch the losses at z and are nowhere below them.

        Unlike a(1−a) it does not vanish for a sample whose class is nearly certain (T. Jaakkola and
        M. Jordan, "Bayesian parameter estimation via variational methods", Statistics and Computing
        10 (2000), equation 8).
        """
        half = np.where(np.abs(z) < SMALL_OUTPUT, SMALL_OUTPUT, z) / 2
        return self.normalised_weight * np.tanh(half) / (4 * half)

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the rows and columns of ∂²F/∂θ² in a subset of θ, in one pass over X.

        Parameters
        ----------
        point : Evaluation
            The place.
        subset : ndarray of shape (n,)
            Indices of entries of θ, ascending; if there is an intercept its index is among them.
        """
        design = self._design

        def add(all_rows: slice, sums: NDArray[np.float64]) -> None:
            for rows, block in self._blocks(all_rows):
                design.add_gram(block, point.curvature[rows], subset, sums)

        sums = design.gram_sums(subset)
        self._sum(add, sums, work=CURVATURE_WORK)
        return self._curvature_of(sums, subset)

    def _second_sums(self, hessian: bool, diagonal: bool) -> tuple[NDArray[np.float64], ...]:
        """Return zeros for the sums of the matrix or of its diagonal; none if neither is wanted."""
        if hessian:
            return (self._design.gram_sums(self._all),)
        return tuple(self._design.square_sums()) if diagonal else ()

    def _diagonal_of(self, first: Vector, second: Vector) -> Vector:
        """Return the diagonal of the curvature of F, given the sums over all blocks."""
        return self._add_penalty_curvature(self._design.gram_diagonal(first, second))

    def _curvature_of(
        self, sums: NDArray[np.float64], subset: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return the curvature of F given the sums over all blocks, which are changed."""
        matrix = self._design.gram(sums, subset)
        features = self.coordinates.features_of(subset)
        self._add_penalty_curvature(matrix.ravel()[:: len(matrix) + 1], features)
        return matrix

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, in one pass over X."""

        def add(all_rows: slice, *squares: Vector) -> None:
            for rows, block in self._blocks(all_rows):
                block.add_squares(point.curvature[rows], *squares)

        squares = self._design.square_sums()
        self._sum(add, *squares)
        return self._diagonal_of(*squares)

    def _blocks(self, rows: slice) -> Iterator[tuple[slice, Rows]]:
        """Yield each block of some rows, checked for finite elements if it is read first."""
        for block_rows, block in self._design.blocks(rows):
            if not self._known_finite:
                raise_unless_finite(self.X[block_rows])
            yield block_rows, block

    def _sum(self, add: Callable[..., None], *sums: NDArray[np.float64], work: float = 1.0) -> None:
        """Call add(rows, *sums), which adds the sums over some rows in place, until all are done.

        That is one pass. If X is large, or ``work``, the work on an element in units of a dense
        pass, several threads go through a range of the rows each, with sums of their own.
        """
        self.passes.add()
        ranges = thread_ranges(self.X, self.n_threads, work)
        if len(ranges) == 1:
            add(*ranges, *sums)
        else:
            sum_in_threads(add, ranges, sums)
        self._known_finite = True
