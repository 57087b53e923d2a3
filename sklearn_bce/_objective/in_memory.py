"""F over samples in memory, as a sum over blocks of rows.

In the user's coordinates::

    F(w, b) = (1/S) Σ sᵢ L(yᵢ, aᵢ) + 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁]         S = Σ sᵢ

with aᵢ = σ(oᵢ + b + Σⱼ wⱼxᵢⱼ), where the offset o is a known term of each output. In the working
coordinates θ of `scaling`, with Z = [(X − μ)/σ, 1], the same number with::

    gradient  Zᵀ p(a − y) + λu          curvature  Zᵀ diag(p a(1−a)) Z + diag(λ)         p = s/S

Gradient and curvature are those of the smooth part of F, without the L1 norm. The module `design`
computes the products with Z. Only this module divides by S.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import daxpy
from scipy.sparse import csc_array, issparse
from scipy.special import entr, logit

from sklearn_bce._kernels import Vector, kernels, uniform
from sklearn_bce._kernels.threads import CURVATURE_WORK, sum_in_threads, thread_ranges
from sklearn_bce._objective.base import (
    MAX_SLOPE,
    SUM_ROUNDING,
    BaseObjective,
    DataSize,
    Evaluation,
    PassCounter,
    SomeSamples,
)
from sklearn_bce._objective.basis import Basis
from sklearn_bce._objective.design import Design, design_of
from sklearn_bce._objective.penalty import NO_PENALTY, ElasticNet, Penalty
from sklearn_bce._objective.ray import NEGLIGIBLE_LOSS_OUTPUT, OutputRay
from sklearn_bce._objective.root import row_matrix
from sklearn_bce._objective.rows import (
    ROWS_FOR_NORMS,
    raise_unless_finite,
    row_blocks,
    squared,
    with_contiguous_rows,
)
from sklearn_bce._objective.scaling import Coordinates, Moments, standard_coordinates
from sklearn_bce.chain_rule import da_dz, sigmoid

# Most elements of a float32 X that is converted to float64, which then takes 8 MB. A larger X does
# not fit into the cache of a core: passes are limited by memory, and take half the time in float32:
# python -m benchmarks.tuning LARGE_ELEMENTS
LARGE_ELEMENTS = 2**20
# Rows from which the units of columns are estimated. The standard deviation of n normal numbers is
# known to 1/√(2n), here 4 %. With 64 rows a fit with a strong penalty takes 9 passes, with 256 or
# 1024 it takes 7: python -m benchmarks.tuning ROWS_FOR_UNITS
ROWS_FOR_UNITS = 256
# Number of standard errors above which a difference between a sample and all rows is not taken for
# chance: a fraction 6e-7 of normal errors is larger.
STANDARD_ERRORS = 5.0
# Most elements of an array that is copied if it has fewer rows than columns and the rows are not
# contiguous, 128 MB of float64: passes over short columns take up to twice as long. [a choice]
MOST_COPIED = 2**24
# Effective number of values that are not 0 in a column from which on the curvature of the column in
# a sample is reliable: its relative standard error is 1/√30 = 18 %, and five standard errors are
# 91 %, less than the curvature itself.
# python -m benchmarks.tuning ENOUGH_SAMPLES
ENOUGH_SAMPLES = 30
# |Δz|, in log-odds, above which the curvature of a sample is taken to change in a step. In the tail
# of the sigmoid loss, slope and curvature are proportional to e⁻|ᶻ|: a Newton step that depends on
# one such sample changes z by 1, and a change of 0.9 reduces the curvature by a factor of 2.5. With
# 3, a fit to samples with an outlier at 1e7 ends at F = 0.69 instead of 0.51:
# python -m benchmarks.tuning MODEL_REGION
MODEL_REGION = 0.9
# |z| below which tanh(z/2)/z is computed at this z instead, because the quotient is 0/0 at z = 0.
# The relative difference from the limit 1/2 is z²/12 = 8e-14.
SMALL_OUTPUT = 1e-6
# Sum of the leverages p a(1−a)‖v‖² of samples up to which the curvature of the others is at least
# half of H in every direction.
FLAT_SHARE = 0.5
# Leverage p a(1−a)‖v‖² from which on a sample counts as one that makes up a direction of H: the
# others have at most three times as much curvature there. [a choice]
DOMINANT_LEVERAGE = 0.25
# Leverage up to which a sample does not contribute to the curvature. [a choice]
NEGLIGIBLE_LEVERAGE = 0.01
# Most by which a leverage may grow, as it is at most 1 in a group of a hundred. [a choice]
MAX_GROWTH = 100.0
# Multiplications by which samples with little curvature are looked at, 10 ms at most. [a choice]
WORK_ON_FLAT = 1e7
# Share of the squared Newton decrement up to which the samples that leave the model region do not
# count: their losses have been negligible before the step. With 1e-14 and with 1e-4 fits to samples
# with an outlier take as many passes:
# python -m benchmarks.tuning NEGLIGIBLE_DECREMENT
NEGLIGIBLE_DECREMENT = 1e-9
# Most steps for the intercept at w = 0 with an offset. Newton's method takes 5 to 10, halving the
# interval 60: its length falls from that of the range of the offset to its rounding. [a choice]
INTERCEPT_STEPS = 200


class InMemoryObjective(BaseObjective):
    """F as a function of θ, for samples in memory; implements `Objective`.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; never copied or changed. The first pass over an array also checks that its elements
        are finite, and raises `NotFiniteError` if one is not.
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s, at least 0, with a positive sum; may be a broadcast scalar (stride 0).
    penalty : Penalty
        The penalty, in the units of ``coordinates``.
    coordinates : Coordinates
        Shift and scale that relate θ to the user's weights and intercept.
    n_threads : int, default=1
        Most threads that a pass over a large X may use.
    total_weight : float, default=None
        S, if the samples are part of a larger set; None means the sum of ``sample_weight``.
    passes : PassCounter, default=None
        Counter of passes, to which passes are added; None means a new counter.
    offset : ndarray of shape (n_samples,), float64, or None, default=None
        Known terms of the linear outputs, finite; may be a broadcast scalar (stride 0). None means
        that there are none.

    Attributes
    ----------
    total_weight : float
        S, the divisor of the sample weights.
    normalised_weight : ndarray of shape (n_samples,), float64
        p = s/S; a broadcast scalar (stride 0) if ``sample_weight`` is one.
    array : ndarray of shape (n_samples, n_features), or None
        X, if it is an array.
    part_number : int
        Number of the part that the samples are, of a larger set; 0 if they are all samples.
    """

    part_number = 0

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
        offset: Vector | None = None,
    ) -> None:
        super().__init__(penalty, coordinates, passes)
        self.X, self.y, self.sample_weight, self.offset = X, y, sample_weight, offset
        self.has_offset = offset is not None
        self.n_threads = n_threads
        self.total_weight = float(np.sum(sample_weight)) if total_weight is None else total_weight
        self.array = X if isinstance(X, np.ndarray) else None
        self._given = X  # the user's samples, of which X may be a copy
        self._known_finite = self.array is None
        # Of equal weights equal ones are made, which take no memory.
        if sample_weight.strides == (0,):
            self.normalised_weight = uniform(sample_weight[0] / self.total_weight, len(y))
        else:
            self.normalised_weight = sample_weight / self.total_weight

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
        penalty: Penalty,
        fit_intercept: bool,
        n_threads: int = 1,
        moments: Moments | None = None,
        offset: Vector | None = None,
        total_weight: float | None = None,
    ) -> InMemoryObjective:
        """Return F as a function of the user's (w, b).

        A float32 X of at most ``LARGE_ELEMENTS`` elements is converted to float64: passes take the
        same time, and are more precise. An array of at most ``MOST_COPIED`` elements with fewer
        rows than columns is copied if its rows are not contiguous.

        Parameters
        ----------
        X, y, sample_weight, n_threads, offset, total_weight
            As for `InMemoryObjective`.
        penalty : Penalty
            The penalty, in the user's units.
        fit_intercept : bool
            Whether θ has an entry for the intercept.
        moments : Moments or None, default=None
            Mean and deviation of the columns with these weights, so that `standardised` takes no
            pass; the pass that they took is counted. None means that they are not known.
        """
        given = X
        if X.dtype == np.float32 and X.size <= LARGE_ELEMENTS:
            X = X.astype(np.float64)
        if isinstance(X, np.ndarray) and len(X) < X.shape[1] and X.size <= MOST_COPIED:
            X = with_contiguous_rows(X)
        coordinates = Coordinates.of_user(X.shape[1], fit_intercept)
        objective = cls(
            X, y, sample_weight, penalty, coordinates, n_threads, total_weight, offset=offset
        )
        objective._given = given
        if moments is not None:
            objective.moments = moments
            objective.passes.add()
        return objective

    def standardised(self) -> InMemoryObjective:
        """Return F in coordinates of centred and scaled columns, given F in the user's.

        That takes one pass, for mean and deviation of the columns, unless these are known. The
        result shares the pass counter.
        """
        if self.moments is not None:
            return self.in_coordinates(self.moments.coordinates)
        fit_intercept = self.coordinates.fit_intercept
        coordinates = standard_coordinates(self.X, self.normalised_weight, fit_intercept)
        self.passes.add()
        return self.in_coordinates(coordinates)

    def in_coordinates(self, coordinates: Coordinates) -> InMemoryObjective:
        """Return F in other coordinates, given F in the user's; both share the pass counter."""
        other = InMemoryObjective(
            self.X,
            self.y,
            self.sample_weight,
            self.penalty.in_units(coordinates.scale),
            coordinates,
            self.n_threads,
            self.total_weight,
            self.passes,
            self.offset,
        )
        other._known_finite, other._given = self._known_finite, self._given
        if self.has_offset:  # the intercept at w = 0 is the same in all coordinates
            other.log_odds = self.log_odds
        return other

    def column_moments(self) -> Moments:
        """Return mean and deviation of the columns of X with the weights of F."""
        return Moments.of(self.X, self.sample_weight, self.coordinates.fit_intercept)

    def on_one_thread(self) -> InMemoryObjective:
        """Return a copy of F whose passes use one thread, so that sums have one order of terms."""
        other = copy(self)
        other.n_threads = 1
        return other

    def of_rows(self, rows: NDArray[np.intp], factor: Vector) -> InMemoryObjective:
        """Return the mean loss of some rows plus the penalty of F, in the coordinates of F.

        The result has a pass counter of its own.

        Parameters
        ----------
        rows : ndarray of shape (n,), intp
            Indices of the rows.
        factor : ndarray of shape (n,), float64
            Factors by which the sample weights of the rows are multiplied.
        """
        X = self.X
        # take() takes half the time of an index, but copies an array in another order first.
        has_fast_take = not issparse(X) and X.flags.c_contiguous
        return InMemoryObjective(
            X.take(rows, axis=0) if has_fast_take else X[rows],
            self.y[rows],
            self.sample_weight[rows] * factor,
            self.penalty,
            self.coordinates,
            self.n_threads,
            offset=None if self.offset is None else self.offset[rows],
        )

    def of_features(self, features: NDArray[np.intp], w: Vector) -> InMemoryObjective:
        """Return F as a function of the weights of some features; see `Objective.of_features`."""
        rest, offset = w.copy(), self.offset
        rest[features] = 0.0
        if np.any(rest):
            known = self.outputs(self.coordinates.from_user(rest, 0.0))
            offset = known if offset is None else offset + known
        return InMemoryObjective(
            self.X[:, features],
            self.y,
            self.sample_weight,
            self.penalty.of_features(features, self.n_features),
            Coordinates.of_user(len(features), self.coordinates.fit_intercept),
            self.n_threads,
            self.total_weight,
            self.passes,
            offset,
        )

    def of_samples(self, X: NDArray[np.float64], penalty: Penalty) -> InMemoryObjective:
        """Return F over other samples X in the user's coordinates, with y and weights of this F.

        Row i of X, of shape (n_samples, any number of features), has the target, the weight and the
        offset of row i of ``self.X``. The result has a pass counter of its own.
        """
        coordinates = Coordinates.of_user(X.shape[1], self.coordinates.fit_intercept)
        return InMemoryObjective(
            X,
            self.y,
            self.sample_weight,
            penalty,
            coordinates,
            self.n_threads,
            offset=self.offset,
        )

    def in_basis(self, basis: Basis) -> InMemoryObjective:
        """Return F as a function of the coordinates v of a basis; both share the pass counter.

        The samples of the result are a new array, ZB.
        """
        other = InMemoryObjective(
            basis.rows(self.X),
            self.y,
            self.sample_weight,
            ElasticNet(basis.strengths),
            Coordinates.of_user(basis.rank, fit_intercept=False),
            self.n_threads,
            self.total_weight,
            self.passes,
            self.offset,
        )
        other._before_basis = self, basis
        return other

    def least_curvature(self, z: Vector) -> float:
        """Return a lower bound of p a(1−a) over the samples with weight, given the outputs z."""
        largest = max(float(np.max(z)), -float(np.min(z)))
        return self._least_weight * float(da_dz(largest))

    @cached_property
    def _least_weight(self) -> float:
        """The least p > 0 of a sample."""
        p = self.normalised_weight
        return float(p[0]) if p.strides == (0,) else float(np.min(p[p > 0]))

    @cached_property
    def _largest_weight(self) -> float:
        """The largest p of a sample."""
        p = self.normalised_weight
        return float(p[0]) if p.strides == (0,) else float(np.max(p))

    def samples_beyond_model(
        self,
        z: Vector,
        radius: float,
        norms_of: Callable[[Any], Vector],
        rounding: Vector | float = 0.0,
    ) -> NDArray[np.intp]:
        """Return the samples whose curvature may change much within a radius of the present point.

        The radius is in units in which the curvature of F is the identity. The output of sample i
        changes by at most radius·‖vᵢ‖, where ‖vᵢ‖² = zᵢᵀH⁻¹zᵢ is at most 1/(pa(1−a)). A sample is
        beyond the model if that is 1 or more, or if rounding may change its output by 1 or more,
        unless its loss is negligible all the same and it does not contribute to the curvature.

        Parameters
        ----------
        z : ndarray of shape (n_samples,), float64
            Outputs at the present point.
        radius : float
            Radius.
        norms_of : callable (Z) -> ndarray of shape (n,)
            Returns ‖v‖ of n rows of the samples, in the coordinates of θ.
        rounding : ndarray of shape (n_samples,), float64, or float, default=0.0
            Rounding errors of the outputs.
        """
        rounding = np.broadcast_to(rounding, z.shape)
        is_flat = (self.curvature_of_outputs(z) <= radius**2) | (rounding >= 1)
        flat = np.flatnonzero(is_flat & self._has_weight)
        norms, rounding, y, z = self._norms(flat, norms_of), rounding[flat], self.y[flat], z[flat]
        most_curvature = self.curvature_of_outputs(np.maximum(np.abs(z) - rounding, 0.0), flat)
        change, leverage = radius * norms, most_curvature * np.square(norms)
        margin = np.where(y == 1, z, np.where(y == 0, -z, -np.inf))
        is_negligible = margin - change - rounding >= NEGLIGIBLE_LOSS_OUTPUT
        is_negligible &= leverage <= NEGLIGIBLE_LEVERAGE
        return flat[(np.maximum(change, rounding) >= 1) & ~is_negligible]

    def samples_that_dominate(
        self,
        curvature: Vector,
        decrement: float,
        norms_of: Callable[[Any], Vector],
        curvature_of_norms: Vector,
        is_stale: bool = False,
    ) -> NDArray[np.intp]:
        """Return samples that alone, or together, may make up a direction of the curvature.

        Newton's steps change the output of such a sample by about 1, although F may be far from its
        minimum in the direction: its slope is its curvature h = p a(1−a), and the squared decrement
        is at least h²/h₀ with its curvature h₀ in the matrix of the step. Other samples are not
        looked at, nor are all if there are many.

        Parameters
        ----------
        curvature : ndarray of shape (n_samples,), float64
            Curvature h at the present point.
        decrement : float
            Squared Newton decrement, in nats.
        norms_of : callable (Z) -> ndarray of shape (n,)
            Returns ‖v‖ of n rows of the samples, in the coordinates of θ, at an earlier point.
        curvature_of_norms : ndarray of shape (n_samples,)
            Curvature h at that point.
        is_stale : bool, default=False
            Whether the decrement is by that curvature, h₀; else h₀ is h.
        """
        largest = MAX_SLOPE * self._largest_weight  # of h and of h₀
        bound = np.sqrt(decrement * largest) if is_stale else decrement
        flat = np.flatnonzero(curvature <= bound)
        flat = flat[self.normalised_weight[flat] > 0]
        here = curvature[flat]
        if is_stale:
            is_flat = here <= np.sqrt(decrement * np.maximum(here, curvature_of_norms[flat]))
            flat, here = flat[is_flat], here[is_flat]
        most = max(1, int(WORK_ON_FLAT / self.coordinates.size**2))
        if len(flat) > most:
            some = np.argpartition(here, most)[:most]
            flat, here = flat[some], here[some]
        leverage = curvature_of_norms[flat] * np.square(self._norms(flat, norms_of))
        if np.sum(leverage) <= FLAT_SHARE:
            return flat[:0]
        # Together these samples have made up a direction of H: ‖v‖² grows as they become flat.
        growth = curvature_of_norms[flat] / np.maximum(here, np.finfo(np.float64).tiny)
        leverage *= np.clip(growth, 1.0, MAX_GROWTH)
        return flat[leverage > DOMINANT_LEVERAGE]

    def _norms(self, rows: NDArray[np.intp], norms_of: Callable[[Any], Vector]) -> Vector:
        """Return the norms of some rows of Z by ``norms_of``."""
        X = self.X[rows]
        norms = np.empty(X.shape[0])
        for block, Z in row_matrix(X, self.coordinates, length=ROWS_FOR_NORMS):
            norms[block] = norms_of(Z)
        return norms

    def norms_of_samples(self, root: NDArray[np.float64], subset: NDArray[np.intp]) -> Vector:
        """Return ‖Rᵀz‖ of these entries of all samples, of shape (n_samples,), in one pass.

        The arguments are those of `Standardisation.raw_root`.
        """
        norms = np.empty(self.n_samples)
        raw = self._design.raw_root(root, subset)

        def fill(rows: slice) -> None:
            for block_rows, block in self._design.blocks(rows):
                block.set_norms(*raw, norms[block_rows])

        self._sum(fill, work=CURVATURE_WORK)
        return norms

    @cached_property
    def _has_weight(self) -> NDArray[np.bool_]:
        """Which samples have a weight above 0."""
        return self.sample_weight > 0

    def without(self, samples: SomeSamples) -> InMemoryObjective:
        """Return F without the losses of some samples; S, the divisor, remains what it is."""
        if self.part_number not in samples.rows:
            return self
        other = copy(self)
        other.sample_weight = self.sample_weight.copy()
        other.sample_weight[samples.rows[self.part_number]] = 0.0
        other.normalised_weight = other.sample_weight / self.total_weight
        for cached in ("_least_weight", "_largest_weight", "_has_weight", "log_odds"):
            vars(other).pop(cached, None)
        return other

    def without_offset(self) -> InMemoryObjective:
        """Return F with outputs that do not contain the offset, in the same coordinates."""
        other = copy(self)
        other.offset, other.has_offset = None, False
        vars(other).pop("log_odds", None)
        return other

    def curvature_of_outputs(self, z: Vector, rows: Any = slice(None)) -> Vector:
        """Return p a(1−a) of some rows, given their linear outputs z."""
        return self.normalised_weight[rows] * da_dz(z)

    def curvature_at(self, point: Evaluation) -> Vector:
        """Return p a(1−a) of all samples at a point."""
        return self.curvature_of_outputs(point.z) if point.curvature is None else point.curvature

    @property
    def off_centre(self) -> float:
        """The largest |mean| of a column whose products are centred, in deviations."""
        return self._design.off_centre

    def subsample(self, n_rows: int, random_state: Any) -> InMemoryObjective | None:
        """Return F on about n_rows random rows, in the coordinates of F.

        None if n_rows is 0, or a class has no more rows in the sample than θ has entries: F on so
        few rows may have no minimum, or one far from that of F on all rows.

        Each class gives about n_rows/2 rows, or all of its rows if there are fewer. Their weights
        are multiplied by the number of rows of the class over the number drawn. The classes have
        equal numbers because the rarer class limits the precision (W. Fithian and T. Hastie, "Local
        Case-Control Sampling", Annals of Statistics 42 (2014), section 2). With soft targets, one
        class is the samples whose target is above the mean of y.

        Parameters
        ----------
        n_rows : int
            Number of rows to draw; rows drawn twice are kept once.
        random_state : RandomState
            Draws the rows; changed.
        """
        if not n_rows:
            return None
        is_positive, n = self.y > np.mean(self.y), self.n_samples
        is_drawn, factors = np.zeros(n, dtype=bool), []
        for is_in_class in (self._has_weight & ~is_positive, self._has_weight & is_positive):
            n_in_class, drawn = np.count_nonzero(is_in_class), is_in_class
            if n_in_class > n_rows // 2:
                # n_rows/2 of these are expected in the class: a list of the class takes more time.
                drawn = random_state.randint(n, size=n_rows // 2 * n // n_in_class)
                drawn = drawn[is_in_class[drawn]]
            n_before = np.count_nonzero(is_drawn)
            is_drawn[drawn] = True
            n_drawn = np.count_nonzero(is_drawn) - n_before
            if n_drawn <= self.coordinates.size:
                return None
            factors.append(n_in_class / n_drawn)
        rows = np.flatnonzero(is_drawn)  # in the order of X, in which they are read faster
        return self.of_rows(rows, np.where(is_positive[rows], factors[1], factors[0]))

    def count_passes_of(self, sample: InMemoryObjective) -> None:
        """Add the passes over a sample of the rows to those of F; changes the pass counter of F.

        A pass over the sample counts as the fraction of all rows that are in the sample.
        """
        self.passes.add(sample.n_passes * sample.n_samples / self.n_samples)

    def dominating_penalty_coordinates(self, random_state: Any) -> Coordinates | None:
        """Return estimated standard coordinates if the penalty dominates the loss in all of them.

        Shift and scale are estimated from ``ROWS_FOR_UNITS`` random rows, without a pass. None if
        `penalty_dominates` is False in these coordinates, or the penalty has an L1 norm.
        """
        if not self.penalty.is_smooth:
            return None
        rows = np.unique(random_state.randint(self.n_samples, size=ROWS_FOR_UNITS))
        problem = self.of_rows(rows, np.ones(len(rows))).standardised()
        return problem.coordinates.for_other_rows() if problem.penalty_dominates() else None

    def null_model_is_plausible(self) -> bool:
        """Return whether all weights may be 0 at the minimum of F on a larger set of samples.

        The samples of this objective are a random sample of the larger set, in standard
        coordinates. All weights are 0 at the minimum if no gradient at w = 0 exceeds κ. The test
        allows for sampling error: the gradient is a sum over samples, whose standard error is
        estimated by the root of the sum of the squares. Without an L1 norm the result is False.
        """
        if self.penalty.is_smooth:
            return False
        p = self.n_features
        point = self.evaluate(self.coordinates.from_user(np.zeros(p), self.log_odds))
        slope = self.normalised_weight * (sigmoid(point.z) - self.y)
        error = STANDARD_ERRORS * float(np.linalg.norm(slope))
        excess = self.penalty.subgradient_excess(np.zeros(p), point.gradient[:p])
        return bool(np.max(excess) <= error)

    def diagonal_is_reliable(self, point: Evaluation) -> bool:
        """Return whether each diagonal entry of the curvature is near that of a larger set.

        The samples of this objective are a random sample of the larger set. The relative standard
        error of a diagonal entry is √(Σ h²x⁴)/Σ hx², with the curvature h of a sample and the
        centred value x: 1/√k for a column with k equal values that are not 0. The result is True if
        that error is at most 1/√``ENOUGH_SAMPLES`` for every column; False if a column is constant
        in the sample, because other samples may differ.
        """

        def add(all_rows: slice, second: Vector, fourth: Vector) -> None:
            for rows in row_blocks(self.X, all_rows):
                h, X = point.curvature[rows], self.X[rows]
                centred = X.copy() if issparse(X) else X - self.coordinates.shift
                values = centred.data if issparse(X) else centred
                for power, weight in ((second, h), (fourth, np.square(h))):
                    np.square(values, out=values)  # in place: a new array takes more time
                    power += centred.T @ weight

        second, fourth = np.zeros((2, self.n_features))
        ranges = thread_ranges(self.X, self.n_threads, CURVATURE_WORK)
        sum_in_threads(add, ranges, [second, fourth])
        if self.coordinates.is_constant is not None:
            second[self.coordinates.is_constant] = np.inf
        return bool(np.all((second > 0) & (fourth * ENOUGH_SAMPLES <= np.square(second))))

    def sum_over_parts(self, function: Callable[..., list[Any]], *arguments: Any) -> list[Any]:
        """Return ``function(part, *arguments)``; the samples are one part, without the penalty.

        Counts one pass, whatever the function reads. See `Objective.sum_over_parts`.
        """
        self.passes.add()
        return function(self.as_part(), *arguments)

    def as_part(self) -> InMemoryObjective:
        """Return a copy of F without the penalty, whose pass counter is new."""
        part = copy(self)
        part.penalty, part.passes = NO_PENALTY, PassCounter()
        return part

    def raise_unless_finite(self) -> None:
        """Read X and raise NotFiniteError if an element is infinite or NaN; counts one pass.

        Solvers that do not use the passes of this class, which include this check, call the method.
        """

        def look(all_rows: slice) -> None:
            for rows in () if self._known_finite else row_blocks(self.X, all_rows):
                raise_unless_finite(self.X[rows])

        self._sum(look)
        self._known_finite = True

    @cached_property
    def log_odds(self) -> float:
        """The intercept that minimises F at w = 0: the log-odds of the weighted mean of y.

        With an offset it is the minimum of a function of one variable. 0 if no intercept is fitted,
        or the mean is 0 or 1.
        """
        mean = float(self.normalised_weight @ self.y)
        if not (self.coordinates.fit_intercept and 0 < mean < 1):
            return 0.0
        if self.offset is None:
            return float(logit(mean))
        if not self.normalised_weight @ (1 - self.y) > 0:  # the mean is 1 but for rounding
            return 0.0
        return intercept_at_zero_weights(self.y, self.normalised_weight, self.offset)

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
        """Whether F can be minimised in the space of the samples, see `RowSpace`.

        That needs a dense X, a penalty without an L1 norm, and every λ above 0.
        """
        strengths = self.penalty.curvature_diagonal(self.n_features)
        return not issparse(self.X) and self.penalty.is_smooth and bool(np.all(strengths > 0))

    @property
    def has_columns(self) -> bool:
        """Whether `scaled_columns` can take columns from X.

        That is so if X is sparse. It is also so if X is dense, with fewer samples than features,
        and weights have bounds: the matrix of all weights that are not at a bound is then larger
        than their columns.
        """
        is_wide = self.penalty.has_bounds and self.n_samples < self.n_features
        return issparse(self.X) or is_wide

    @cached_property
    def n_stored_in_columns(self) -> NDArray[np.intp]:
        """Number of stored values of each column of X, of shape (n_features,)."""
        if not issparse(self.X):
            return np.full(self.n_features, self.n_samples)
        return np.bincount(self.X.indices, minlength=self.n_features)

    def scaled_columns(self, features: NDArray[np.intp] | None) -> Any:
        """Return columns of X as a CSC matrix, divided by their scale, in one pass.

        Columns of a dense X are centred. ``features``, an ndarray of shape (n,), has the indices of
        the columns; None means all.
        """
        self.passes.add()
        features = slice(None) if features is None else features
        columns, scale = self.X[:, features], self.coordinates.scale[features]
        if not issparse(self.X):
            return csc_array((columns - self.coordinates.shift[features]) / scale)
        columns = columns.tocsc()
        columns.data = columns.data * np.repeat(1 / scale, np.diff(columns.indptr))
        return columns

    @property
    def shift_of_columns(self) -> Vector:
        """Mean of the columns of `scaled_columns`, in deviations; 0 if they are centred."""
        if not issparse(self.X):
            return np.zeros(self.n_features)
        return self.coordinates.shift / self.coordinates.scale

    def samples_reference(self) -> Any:
        """Return a weak reference to X as given: a later fit tests whether its X is this X."""
        return weakref.ref(self._given)

    def has_samples(self, X: Any) -> bool:
        """Return whether X is what was given for this objective: the object, not its values."""
        return self._given is X

    def row_squares(self, rows: slice = slice(None)) -> Vector:
        """Return ‖x‖² of some samples in the units of X, of shape (n_rows,), in part of a pass."""
        n_rows = len(range(*rows.indices(self.n_samples)))
        self.passes.add(n_rows / self.n_samples)
        X = self.X[rows]
        if issparse(X):
            return squared(X) @ np.ones(self.n_features)
        blocks = (X[block] for block in row_blocks(X))
        return np.concatenate([np.einsum("ij,ij->i", x, x, dtype=np.float64) for x in blocks])

    def constant_outputs(self, c: float) -> Vector:
        """Return the outputs z, shape (n_samples,), if all weights are 0 and the intercept is c.

        The result is a new array, which contains the offset.
        """
        return np.full(self.n_samples, c) if self.offset is None else c + self.offset

    def zero_outputs(self) -> Vector:
        """Return a new array of zeros, of shape (n_samples,), to which `add_outputs` can add."""
        return np.zeros(self.n_samples)

    def add_outputs(self, factor: float, outputs: Vector, total: Vector) -> None:
        """Add factor·outputs to ``total``, in place; both arrays have shape (n_samples,)."""
        daxpy(outputs, total, a=factor)

    def ray(self, point: Evaluation, vector: Vector, z_direction: Any = None) -> OutputRay:
        """Return F on the ray from the point along the vector.

        ``z_direction`` is Z·vector, of shape (n_samples,), or None if it is not known.
        """
        return OutputRay(self, point, vector, z_direction)

    def ray_through(self, before: Evaluation, after: Evaluation) -> OutputRay:
        """Return F on the ray from ``after`` along the difference of ``after`` and ``before``."""
        return OutputRay(self, after, after.theta - before.theta, after.z - before.z)

    def derivatives_along(self, z: Vector, z_direction: Vector, t: float) -> tuple[float, float]:
        """Return the derivatives in t of the mean loss at outputs z + t·z_direction, in nats."""
        return kernels().ray_pass(self.y, z, z_direction, self.normalised_weight, t)

    def largest_output(self, outputs: Vector) -> float:
        """Return the largest absolute value of outputs, of shape (n_samples,)."""
        return float(np.max(np.abs(outputs)))

    def leaves_model_region(self, before: Evaluation, after: Evaluation, decrement: float) -> bool:
        """Return whether the curvature of a sample changes much in a step.

        Samples whose outputs change by more than ``MODEL_REGION`` count, if the part of the
        decrement that is due to their curvature is not negligible.

        Parameters
        ----------
        before, after : Evaluation
            Begin and end of the step.
        decrement : float
            Squared Newton decrement of the step, in nats.
        """
        change = after.z - before.z
        leaving = np.flatnonzero(np.abs(change) > MODEL_REGION)
        if not len(leaving):
            return False
        curvature = self.curvature_of_outputs(before.z[leaving], leaving)
        owed = curvature @ np.square(change[leaving])
        return bool(owed > NEGLIGIBLE_DECREMENT * decrement)

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
        theta : ndarray of shape (size,), float64
            θ; kept in the result, not copied.
        z : ndarray of shape (n_samples,), float64, default=None
            Linear outputs at θ; kept in the result. None means that z is computed.
        hessian : bool, default=False
            Whether to form the matrix of second derivatives.
        diagonal : bool, default=False
            Whether to form the diagonal of that matrix.
        """
        z_is_known, offset = z is not None, self.offset
        z = z if z_is_known else np.empty(self.n_samples)
        curvature = np.empty(self.n_samples)
        design = self._design
        w, b = design.raw_weights(theta)

        def add(all_rows: slice, value: Vector, sums: Vector, *second: Any) -> None:
            slopes = np.empty(0)  # of a block; new arrays for each would take time
            for rows, block in design.blocks(all_rows, in_cache=hessian or diagonal):
                y, p, h = self.y[rows], self.normalised_weight[rows], curvature[rows]
                slopes = slopes if len(slopes) >= len(y) else np.empty(len(y))
                slope, known = slopes[: len(y)], None if offset is None else offset[rows]
                value += block.add_loss(w, b, z_is_known, y, p, z[rows], slope, h, sums, known)
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
            # A copy, because the matrix may be overwritten later.
            evaluation.diagonal = evaluation.hessian.diagonal().copy()
        elif diagonal:
            evaluation.diagonal = self._diagonal_of(*second)
        return evaluation

    def value_at(self, theta: Vector, z: Vector | None = None) -> float:
        """Return F at θ in nats; without reading X if the linear outputs z at θ are given."""
        z = self.linear_outputs(theta) if z is None else z
        loss = kernels().loss_of_outputs(self.y, z, self.normalised_weight)
        return loss + self.penalty.value(theta[: self.n_features])

    def entropy_of_slopes(self, z: Vector, step: float, share: float) -> float:
        """Return Σ p [H(q) + vo] in nats, q = y + v, v = share·(a − y − step·a(1−a)), a = σ(z).

        H is the binary entropy and o the offset; share is in [0, 1], and |step| at most 1 unless
        share is 0. Each of q and 1 − q is a sum of terms of one sign, so that neither is lost in
        rounding.
        """
        a, other = sigmoid(z), sigmoid(-z)
        q = (1 - share) * self.y + share * a * (1 - step * other)
        not_q = (1 - share) * (1 - self.y) + share * other * (1 + step * a)
        dual = entr(q) + entr(not_q)
        if self.offset is not None:
            slopes = share * ((1 - self.y) * a - self.y * other - step * a * other)
            dual += slopes * self.offset
        return float(self.normalised_weight @ dual)

    def outputs(self, vector: Vector) -> Vector:
        """Return Z·vector, a new array of shape (n_samples,), in one pass over X.

        The vector is a direction: the result does not contain the offset.
        """
        z_direction = np.empty(self.n_samples)
        w, b = self._design.raw_weights(vector)

        def fill(all_rows: slice) -> None:
            for rows, block in self._design.blocks(all_rows):
                block.outputs(w, b, z_direction[rows])

        self._sum(fill)
        return z_direction

    def linear_outputs(self, theta: Vector) -> Vector:
        """Return Z·θ plus the offset, a new array of shape (n_samples,), in one pass over X."""
        z = self.outputs(theta)
        if self.offset is not None:
            z += self.offset
        return z

    def row_sums(self, row_weight: Vector) -> Vector:
        """Return Zᵀh, of shape (size,), given weights h of the rows, in one pass over X."""
        design = self._design

        def add(all_rows: slice, sums: Vector) -> None:
            for rows, block in design.blocks(all_rows):
                block.add_sums(row_weight[rows], sums)

        sums = design.sums()
        self._sum(add, sums)
        return design.to_theta_gradient(sums)

    def linear_outputs_of(self, rows: Any, Z: Any, theta: Vector) -> Vector:
        """Return Z·θ plus the offset of some rows.

        Parameters
        ----------
        rows : slice or ndarray of shape (n,), intp
            Indices of the rows.
        Z : ndarray or CSR of shape (n, size), float64
            The rows in the coordinates of θ, from `row_matrix` or `rows_for_products`.
        theta : ndarray of shape (size,), float64
            θ.
        """
        z = Z @ theta
        return z if self.offset is None else z + self.offset[rows]

    def curvature_product(self, point: Evaluation, vector: Vector) -> tuple[Vector, Vector]:
        """Return ∂²F/∂θ²·vector at the point, and Z·vector, new arrays, in one pass over X.

        Their shapes are (size,) and (n_samples,).
        """
        design, z_direction = self._design, np.empty(self.n_samples)
        (w, b), sums = design.raw_weights(vector), design.sums()

        def add(all_rows: slice, sums: Vector) -> None:
            for rows, block in design.blocks(all_rows):
                block.add_product(w, b, point.curvature[rows], z_direction[rows], sums)

        self._sum(add, sums)
        product = design.to_theta_gradient(sums)
        product[: self.n_features] += self.penalty.gradient(vector[: self.n_features])
        return product, z_direction

    def curvature_bound(self) -> Vector:
        """Return p/4, of shape (n_samples,): an upper bound of p a(1−a) for every θ."""
        return MAX_SLOPE * self.normalised_weight

    def majorising_curvature(self, z: Vector) -> Vector:
        """Return p·tanh(z/2)/(2z), of shape (n_samples,), the curvature of majorising parabolas.

        A parabola with this curvature that touches the loss of a sample at z is nowhere below the
        loss. The curvature is not near 0 for a sample whose class is nearly certain, unlike a(1−a)
        (T. Jaakkola and M. Jordan, "Bayesian parameter estimation via variational methods",
        Statistics and Computing 10 (2000), equation 8).
        """
        half = np.where(np.abs(z) < SMALL_OUTPUT, SMALL_OUTPUT, z) / 2
        return self.normalised_weight * np.tanh(half) / (4 * half)

    def curvature_matrix(self, point: Evaluation, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return the rows and columns of ∂²F/∂θ² in a subset of θ, in one pass over X.

        Parameters
        ----------
        point : Evaluation
            Evaluation whose curvature is used.
        subset : ndarray of shape (n,), intp
            Indices of entries of θ, ascending; the index of the intercept, if θ has one, must be
            among them.

        Returns
        -------
        matrix : ndarray of shape (n, n), float64
            A new array.
        """
        design = self._design

        def add(all_rows: slice, sums: NDArray[np.float64]) -> None:
            for rows, block in design.blocks(all_rows):
                design.add_gram(block, point.curvature[rows], subset, sums)

        sums = design.gram_sums(subset)
        self._sum(add, sums, work=CURVATURE_WORK)
        return self._curvature_of(sums, subset)

    def _second_sums(self, hessian: bool, diagonal: bool) -> tuple[NDArray[np.float64], ...]:
        """Return arrays of zeros, to which blocks add the curvature matrix or its diagonal.

        The tuple is empty if neither the matrix (``hessian``) nor the diagonal is wanted.
        """
        if hessian:
            return (self._design.gram_sums(self._all),)
        return tuple(self._design.square_sums()) if diagonal else ()

    def _diagonal_of(self, first: Vector, second: Vector) -> Vector:
        """Return the diagonal of ∂²F/∂θ², given the sums Σ hx and Σ hx² over all blocks."""
        return self._add_penalty_curvature(self._design.gram_diagonal(first, second))

    def _curvature_of(
        self, sums: NDArray[np.float64], subset: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """Return ∂²F/∂θ² of a subset of θ from the sums over all blocks, which are overwritten."""
        matrix = self._design.gram(sums, subset)
        features = self.coordinates.features_of(subset)
        self._add_penalty_curvature(matrix.ravel()[:: len(matrix) + 1], features)
        return matrix

    def curvature_diagonal(self, point: Evaluation) -> Vector:
        """Return the diagonal of ∂²F/∂θ² at the point, of shape (size,), in one pass over X."""

        def add(all_rows: slice, *squares: Vector) -> None:
            for rows, block in self._design.blocks(all_rows):
                block.add_squares(point.curvature[rows], *squares)

        squares = self._design.square_sums()
        self._sum(add, *squares)
        return self._diagonal_of(*squares)

    def _sum(self, add: Callable[..., None], *sums: NDArray[np.float64], work: float = 1.0) -> None:
        """Add the sums over all rows to the arrays ``sums``, in place, in one pass.

        In the first pass with sums, X is searched for infinite elements and NaN if a sum is not
        finite: each such element makes one so, as products of it with 0 are NaN.

        Parameters
        ----------
        add : callable (rows, *sums)
            Adds the sums over a slice of rows to its other arguments, in place.
        *sums : ndarray, float64
            Changed.
        work : float, default=1.0
            Work on an element of X, in units of a dense pass. If ``work`` times the size of X is
            large, several threads each add up a range of the rows, in arrays of their own.

        Raises
        ------
        NotFiniteError
            If an element of X is infinite or NaN.
        """
        self.passes.add()
        ranges = thread_ranges(self.X, self.n_threads, work)
        if len(ranges) == 1:
            add(*ranges, *sums)
        else:
            sum_in_threads(add, ranges, sums)
        if sums and not self._known_finite:
            if not all(np.isfinite(each).all() for each in sums):
                raise_unless_finite(self.X)
            self._known_finite = True


def intercept_at_zero_weights(y: Vector, normalised_weight: Vector, offset: Vector) -> float:
    """Return the intercept c that minimises Σ p L(y, σ(c + o)), the loss of outputs c + o.

    At the minimum Σ pσ(c + o) is the mean of y. Newton's method finds the root of the logarithms of
    both sides, whose difference is concave in c and nearly linear where all probabilities are
    small. An iterate that leaves the interval known to contain the root is replaced by its
    midpoint. For a mean above 1/2 the classes are swapped, so that small probabilities are not
    lost in rounding.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1], whose weighted mean is neither 0 nor 1.
    normalised_weight : ndarray of shape (n_samples,), float64
        Weights p of sum 1.
    offset : ndarray of shape (n_samples,), float64
        Offset o, finite.
    """
    mean, sign = float(normalised_weight @ y), 1.0
    if mean > 1 / 2:
        mean, sign, offset = float(normalised_weight @ (1 - y)), -1.0, -offset
    c = float(logit(mean)) - float(normalised_weight @ offset)
    weighted = offset[normalised_weight > 0]
    low, high = (float(logit(mean) - end) for end in (np.max(weighted), np.min(weighted)))
    for _ in range(INTERCEPT_STEPS):
        c = c if low < c < high else (low + high) / 2
        a = sigmoid(c + offset)
        expected = float(normalised_weight @ a)
        low, high = (c, high) if expected < mean else (low, c)
        slope = float(normalised_weight @ (a * (1 - a)))
        is_root = abs(expected - mean) <= SUM_ROUNDING[np.dtype(np.float64)] * mean
        if is_root or not low < (low + high) / 2 < high:
            break
        c += np.log(mean / expected) * expected / slope if slope > 0 else np.inf
    return sign * c
