"""The quadratic model gᵀd + ½dᵀHd + Σ κᵢ|uᵢ + dᵢ| of a working set, and its minimum.

The minimum is that within the bounds of u + d. Coordinate descent finds which coordinates are 0, or
at a bound, at the minimum. It uses the matrix H of the working set (`GramQuadratic`) or the columns
of X (`ColumnQuadratic`), whichever is less work. With few columns of many rows, the cost of a sweep
over H does not depend on the number of rows; with many columns, each with few stored values, H
would be larger than the columns. `GramQuadratic` also takes Newton steps in the coordinates that
are neither 0 nor at a bound (`feature_sign_search`), which correlated columns do not slow down.

References
----------
J. Friedman, T. Hastie and R. Tibshirani, "Regularization Paths for Generalized Linear Models via
Coordinate Descent", Journal of Statistical Software 33 (2010), section 2.
"""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.blas import dgemm

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.base import SUM_ROUNDING, Evaluation, Objective
from sklearn_bce._objective.penalty import NonSmooth
from sklearn_bce._solvers.base import NEGLIGIBLE
from sklearn_bce._solvers.newton.inverse import CholeskyFactor

# The model is solved when the decrease that is left is at most a fraction of the decrease so far.
# The fraction is a root of that decrease in nats, within two limits: the larger the decrease, the
# farther the minimum of F, and the less an exact minimum of the model is worth.
#
# The lower limit: python -m benchmarks.tuning MIN_INNER_FRACTION
MIN_INNER_FRACTION = 1e-4
# The upper limit: python -m benchmarks.tuning MAX_INNER_FRACTION
MAX_INNER_FRACTION = 0.1
# Degree of the root for `GramQuadratic`, for which a more exact minimum is cheap:
# python -m benchmarks.tuning INNER_ROOT_OF_GRAM
INNER_ROOT_OF_GRAM = 2
# Degree of the root for `ColumnQuadratic`, for which a more exact minimum is expensive:
# python -m benchmarks.tuning INNER_ROOT_OF_COLUMNS
INNER_ROOT_OF_COLUMNS = 4
# Most sweeps of coordinate descent in a round, before a `feature_sign_search`:
# python -m benchmarks.tuning SWEEPS
SWEEPS = 30
# Multiple of ``tol`` above which the decrease of the model shows that the step is not the last one,
# so that the minimum of the model may be less exact. python -m benchmarks.tuning NOT_LAST_FACTOR
NOT_LAST_FACTOR = 1.0
# Least ``tol``, in nats, in that test: with tol=0 no step would count as the last one. [a choice]
TIGHTEST_TOL = 1e-10
# Most rounds for a step that is not the last one:
# python -m benchmarks.tuning ROUNDS_BEFORE_LAST
ROUNDS_BEFORE_LAST = 3
# Most sets of signs that are searched in a round, for a step that is not the last one:
# python -m benchmarks.tuning SIGN_SETS_BEFORE_LAST
SIGN_SETS_BEFORE_LAST = 4
# Rounds of sweeps near the end, at most. If columns repeat each other and the penalty hardly says
# which to take, the model is left unsolved: its minimum takes more rounds, and F falls all the
# same. python -m benchmarks.tuning MAX_ROUNDS
MAX_ROUNDS = 100
# Sets of signs that are searched in each round, at most, near the end. With 10, a fit to columns
# that nearly repeat each other takes 26 passes, with 100 or 1000 it takes 20:
# python -m benchmarks.tuning MAX_SIGNS
MAX_SIGNS = 100
# Most sweeps over columns, after which the model counts as not solved:
# python -m benchmarks.tuning MAX_SWEEPS
MAX_SWEEPS = 200
# Sweeps over columns before each extrapolation of their points. On text without an intercept, 4
# and 10 halve the number of sweeps, and with an intercept they leave it as it is:
# python -m benchmarks.tuning SWEEPS_BEFORE_EXTRAPOLATION
SWEEPS_BEFORE_EXTRAPOLATION = 4
# Relative rounding error of one operation in float64, ε/2: a decrease of at most this fraction of
# the total decrease counts as 0.
UNIT_ROUNDOFF = float(np.finfo(np.float64).epsneg)


def inner_tolerance(gained: float, root: int) -> float:
    """Return the decrease that may be left when a model is solved, in nats.

    Parameters
    ----------
    gained : float
        Decrease of the model so far, in nats.
    root : int
        Degree of the root of ``gained`` that is the fraction of ``gained`` that may be left.
    """
    share = np.clip(max(gained, 0.0) ** (1 / root), MIN_INNER_FRACTION, MAX_INNER_FRACTION)
    return float(share) * gained


class ModelMinimum(NamedTuple):
    """The minimum of a model over a working set, or the point where the search was ended.

    Attributes
    ----------
    theta : ndarray of shape (n,), float64
        The entries of θ + d in the working set.
    gained : float
        Decrease of the model from d = 0, in nats; for sweeps over columns an estimate that includes
        the decrease that is left.
    is_solved : bool
        False if the search was ended before the minimum.
    """

    theta: Vector
    gained: float
    is_solved: bool


class GramQuadratic:
    """The quadratic model with the matrix H.

    Parameters
    ----------
    matrix : ndarray of shape (n, n), float64
        Rows and columns of H in the subset; changed by `add_secant_pair`.
    subset : ndarray of shape (n,), intp
        Indices of the coordinates in θ, ascending.
    tol : float, default=0.0
        Tolerance of the run, in nats: near the minimum of F the minimum of the model is exact
        enough for the stopping test.
    """

    def __init__(
        self, matrix: NDArray[np.float64], subset: NDArray[np.intp], tol: float = 0.0
    ) -> None:
        self.matrix, self.subset, self.tol = matrix, subset, tol

    def with_penalty_change(self, l2_change: Vector) -> GramQuadratic:
        """Return a copy of the model with another penalty.

        ``l2_change``, of shape (n_features,), is the change of λ, which is added to the diagonal.
        """
        matrix, features = self.matrix.copy(), self.subset[self.subset < len(l2_change)]
        matrix.ravel()[:: len(matrix) + 1][: len(features)] += l2_change[features]
        return GramQuadratic(matrix, self.subset, self.tol)

    def add_secant_pair(self, step: Vector, change: Vector) -> None:
        """Correct H by the change of the gradient along a step; changes ``matrix``.

        The correction is the BFGS formula (Nocedal and Wright, "Numerical Optimization", equation
        6.19). A pair along which the gradient or the model does not curve upwards is ignored.

        Parameters
        ----------
        step, change : ndarray of shape (size,), float64
            The step and the change of the gradient, for all coordinates of θ.
        """
        step, change = step[self.subset], change[self.subset]
        expected = self.matrix @ step
        curvature_along, expected_curvature = float(step @ change), float(step @ expected)
        if curvature_along > 0 and expected_curvature > 0:
            left = np.array([change / curvature_along, -expected / expected_curvature])
            right = np.array([change, expected])
            # without a temporary matrix, which takes four times as long
            total = dgemm(1.0, right.T, left.T, 1.0, self.matrix.T, trans_b=True, overwrite_c=True)
            self.matrix = total.T

    def minimum(
        self, point: Evaluation, subset: NDArray[np.intp], non_smooth: NonSmooth
    ) -> ModelMinimum:
        """Return the minimum of the model over some of its coordinates; the others do not change.

        Parameters
        ----------
        point : Evaluation
            θ and gradient at d = 0.
        subset : ndarray of shape (n,), intp
            Indices of entries of θ, ascending, all of them in ``self.subset``.
        non_smooth : NonSmooth
            L1 norm and bounds of these entries.
        """
        matrix = self.matrix
        if len(subset) < len(self.subset):
            at = np.searchsorted(self.subset, subset)
            matrix = matrix[np.ix_(at, at)]
        v, derivative = point.theta[subset], point.gradient[subset]
        gained = 0.0
        for k in range(MAX_ROUNDS):
            swept, last = kernels().coordinate_descent(
                matrix, *non_smooth, v, derivative, SWEEPS, MIN_INNER_FRACTION
            )
            gained += swept
            if not last * SWEEPS > MIN_INNER_FRACTION * gained:
                return ModelMinimum(v, gained, True)
            is_far = gained > NOT_LAST_FACTOR * max(self.tol, TIGHTEST_TOL)
            is_near_enough = not last * SWEEPS > inner_tolerance(gained, INNER_ROOT_OF_GRAM)
            if is_far and (is_near_enough or k == ROUNDS_BEFORE_LAST):
                return ModelMinimum(v, gained, False)
            most = SIGN_SETS_BEFORE_LAST if is_far else MAX_SIGNS
            by_signs = feature_sign_search(matrix, derivative, v, non_smooth, most)
            gained += by_signs
            if not swept + by_signs > inner_tolerance(gained, INNER_ROOT_OF_GRAM):
                return ModelMinimum(v, gained, True)
        return ModelMinimum(v, gained, False)


def feature_sign_search(
    matrix: NDArray[np.float64],
    derivative: Vector,
    v: Vector,
    non_smooth: NonSmooth,
    most: int,
) -> float:
    """Move v towards the minimum of the model by Newton steps, each among points of equal signs.

    As long as no coordinate changes its sign, the L1 norm is linear and the model is quadratic in
    the coordinates that are not at a kink; a Newton step leads to its minimum. If coordinates
    change their sign or leave their bounds along the step, either these are set to 0 or the bound,
    or the step ends at the minimum of the model on the segment, whichever gives the lower value;
    the search then continues with the new signs. Coordinates at a kink remain there.

    Parameters
    ----------
    matrix : ndarray of shape (n, n), float64
        H; not changed.
    derivative : ndarray of shape (n,), float64
        Gradient of the smooth part of the model at v; changed in place.
    v : ndarray of shape (n,), float64
        The point; changed in place.
    non_smooth : NonSmooth
        L1 norm and bounds of the n coordinates.
    most : int
        Most sets of signs that are searched, one for each Newton step.

    Returns
    -------
    gained : float
        Decrease of the model, in nats.

    References
    ----------
    H. Lee, A. Battle, R. Raina and A. Ng, "Efficient Sparse Coding Algorithms", NIPS 2006 (the
    feature-sign search).
    """
    gained = 0.0
    for _ in range(most):
        free = np.flatnonzero(~non_smooth.at_kink(v))
        if not len(free):
            break
        rows = matrix[free]
        face = _Face(
            np.ascontiguousarray(rows[:, free]), derivative[free], v[free], non_smooth.of(free)
        )
        to, gain, is_crossing = face.search()
        if not gain > 0:
            break
        derivative += (to - v[free]) @ rows
        v[free] = to
        gained += gain
        if not is_crossing:
            break
    return gained


class _Face(NamedTuple):
    """The model in the n coordinates that are not at a kink.

    Attributes
    ----------
    matrix : ndarray of shape (n, n), float64, C order
        H in these coordinates.
    derivative : ndarray of shape (n,), float64
        Gradient of the smooth part of the model at v.
    v : ndarray of shape (n,), float64
        The point.
    non_smooth : NonSmooth
        L1 norm and bounds.
    """

    matrix: NDArray[np.float64]
    derivative: Vector
    v: Vector
    non_smooth: NonSmooth

    def search(self) -> tuple[Vector, float, bool]:
        """Take a Newton step, and shorten it if a coordinate crosses a kink.

        Returns
        -------
        point : ndarray of shape (n,), float64
            The better of two points: the end of the step with the coordinates that cross a kink set
            to it, and the minimum of the model on the segment from v to the end.
        gain : float
            Decrease of the model from v to the point, in nats.
        is_crossing : bool
            Whether a coordinate changes its sign or leaves its bounds along the step.
        """
        downhill = -(self.derivative + self.non_smooth.slope(self.v))
        step = CholeskyFactor(self.matrix.copy(), may_be_singular=True)(downhill)
        end, (lower, upper) = self.v + step, self.non_smooth.linear_interval(self.v)
        trials = [np.minimum(np.maximum(end, lower), upper)]
        is_crossing = bool(np.any(trials[0] != end))
        if is_crossing:
            trials.append(self._minimum_on_segment(step))
        gains = [self._gain(to - self.v) for to in trials]
        best = int(np.argmax(gains))
        return trials[best], gains[best], is_crossing

    def _gain(self, d: Vector) -> float:
        """Return the decrease of the model from v to v + d, in nats."""
        of_l1 = float(self.non_smooth.l1 @ (np.abs(self.v + d) - np.abs(self.v)))
        return -float((self.derivative + 0.5 * (self.matrix @ d)) @ d) - of_l1

    def _minimum_on_segment(self, step: Vector) -> Vector:
        """Return the point that minimises the model on the segment from v to v + step.

        The derivative of the model along the segment is piecewise linear and increasing, with a
        jump of 2κ|step| where a coordinate changes its sign, up to the first bound. The minimum is
        between two jumps, at a jump or at the bound; the coordinate there is then exactly 0, or
        exactly the bound.
        """
        kinks = self._kinks_on_segment(step)
        curvature_along = float(step @ (self.matrix @ step))
        first = float((self.derivative + self.non_smooth.slope(self.v)) @ step)
        before = first + curvature_along * kinks.length + np.cumsum(kinks.jump) - kinks.jump
        rising = np.flatnonzero((before + kinks.jump >= 0) | kinks.is_wall)
        if not len(rising):
            last = first + float(np.sum(kinks.jump))
            length = min(1.0, -last / curvature_along) if curvature_along > 0 else 1.0
            return self.v + length * step
        k = rising[0]
        if before[k] > 0 and curvature_along > 0:  # the minimum is before the jump
            return self.v + (kinks.length[k] - before[k] / curvature_along) * step
        to = self.v + kinks.length[k] * step
        to[kinks.coordinate[k]] = kinks.value[k]
        return to

    def _kinks_on_segment(self, step: Vector) -> _Kinks:
        """Return the sign changes on the segment from v to v + step, and the first bound."""
        l1, lower, upper = self.non_smooth
        with np.errstate(divide="ignore", invalid="ignore"):
            zeros = np.where((l1 > 0) & (step * self.v < 0), -self.v / step, np.inf)
        order = np.argsort(zeros)
        order = order[zeros[order] < 1]
        n = len(order)
        kinks = _Kinks(
            zeros[order], 2 * l1[order] * np.abs(step[order]), order, np.zeros(n), np.zeros(n, bool)
        )
        if not self.non_smooth.has_bounds:
            return kinks
        bounds = np.where(step > 0, upper, lower)
        with np.errstate(divide="ignore", invalid="ignore"):
            walls = np.where(step != 0, (bounds - self.v) / step, np.inf)
        wall = int(np.argmin(walls))
        if not walls[wall] < 1:
            return kinks
        before = kinks.length < walls[wall]
        of_wall = walls[wall], 0.0, wall, bounds[wall], True
        return _Kinks(*(np.append(a[before], b) for a, b in zip(kinks, of_wall, strict=True)))


class _Kinks(NamedTuple):
    """Kinks of the model on a segment, in the order in which they are reached.

    Attributes
    ----------
    length : ndarray of shape (n,), float64
        Fraction of the segment up to the kink.
    jump : ndarray of shape (n,), float64
        Jump of the derivative along the segment; 0 at a bound, where the segment ends.
    coordinate : ndarray of shape (n,), intp
        The coordinate that is at the kink.
    value : ndarray of shape (n,), float64
        Its value there.
    is_wall : ndarray of shape (n,), bool
        Whether the kink is a bound.
    """

    length: Vector
    jump: Vector
    coordinate: NDArray[np.intp]
    value: Vector
    is_wall: NDArray[np.bool_]


class ColumnQuadratic:
    """The quadratic model with the columns of X instead of the matrix H.

    Parameters
    ----------
    problem : Objective
        F, whose model this is.
    matrix : CSC of shape (n_samples, n_columns), float64
        Columns of X divided by the scale of their features.
    columns : ndarray of shape (n,), intp
        Indices in the matrix of the columns of the working set.
    point : Evaluation
        Evaluation with the curvature of each sample.
    tol : float
        Tolerance of the run, in nats.
    tolerance_factor : float, default=1.0
        Factor of the inner tolerance, at most 1.
    """

    def __init__(
        self,
        problem: Objective,
        matrix: Any,
        columns: NDArray[np.intp],
        point: Evaluation,
        tol: float,
        tolerance_factor: float = 1.0,
    ) -> None:
        self._problem, self._tol, self._tolerance_factor = problem, tol, tolerance_factor
        self.columns = matrix.data, matrix.indices, matrix.indptr, columns, point.curvature
        self.first, self._second = np.empty((2, len(columns)))
        kernels().csc_column_moments(*self.columns, self.first, self._second)
        # Σ h. Infinite if Σ h is 0 or there is no intercept: the intercept then does not change.
        total = problem.total_curvature(point) or np.inf
        self.total = total if problem.coordinates.fit_intercept else np.inf

    def minimum(
        self, point: Evaluation, subset: NDArray[np.intp], non_smooth: NonSmooth
    ) -> ModelMinimum:
        """Return the minimum of the model over the whole working set.

        Arguments and result are those of `GramQuadratic.minimum`; ``subset`` must be the working
        set of the columns.
        """
        sweeps = _ColumnSweeps(self, self._problem, point, subset, non_smooth)
        gained, left = sweeps.gained_by_intercept, 0.0
        last, is_every_column = np.inf, True
        for k in range(MAX_SWEEPS):
            if k and k % SWEEPS_BEFORE_EXTRAPOLATION == 0:
                gained += sweeps.extrapolate()
            gain = sweeps.sweep(is_every_column)
            gained += gain
            # The decreases of the sweeps to come are estimated by a geometric series.
            left = gain**2 / (last - gain) if gain < last < np.inf else np.inf
            left = left if gain > UNIT_ROUNDOFF * gained else 0.0
            allowed = self._tolerance_factor * inner_tolerance(gained, INNER_ROOT_OF_COLUMNS)
            is_small = not left > max(allowed, NEGLIGIBLE * self._tol)
            if is_small and is_every_column:
                left = 0.0
                break
            last, is_every_column = gain, is_small
        gained += left if np.isfinite(left) else gained
        return ModelMinimum(sweeps.theta(point), gained, left == 0.0)

    @property
    def curvature_along(self) -> Vector:
        """Curvature of the loss for a change of each weight, shape (n,); 0 if below rounding.

        The intercept is at its minimum for each value of the weight.
        """
        along = self._second - self.first / self.total * self.first
        along[along <= SUM_ROUNDING[np.dtype(np.float64)] * self._second] = 0.0
        return along


class _Sweep(NamedTuple):
    """The end of a sweep over columns: what is linear in the weights.

    Attributes
    ----------
    u : ndarray of shape (n,), float64
        Weights of the working set.
    weighted_z : ndarray of shape (n_samples,), float64
        h·(xd), for the change d of the weights.
    of_intercept : float
        Derivative of the model in the intercept, at its start.
    """

    u: Vector
    weighted_z: Vector
    of_intercept: float


class _ColumnSweeps:
    """Coordinate descent over the columns of a working set, from a point.

    The sweeps use columns that are scaled and, if they are sparse, not centred: the intercept
    during the sweeps is then that of the user. `theta` converts the result to centred columns.

    Parameters
    ----------
    model : ColumnQuadratic
        The columns and their curvature.
    problem : Objective
        F.
    point : Evaluation
        θ and gradient at the start of the sweeps.
    subset : ndarray of shape (n,), intp
        Indices of the entries of θ in the working set, ascending.
    non_smooth : NonSmooth
        L1 norm and bounds of these entries.

    Attributes
    ----------
    gained_by_intercept : float
        Decrease of the model by the first step of the intercept, in nats.
    """

    def __init__(
        self,
        model: ColumnQuadratic,
        problem: Objective,
        point: Evaluation,
        subset: NDArray[np.intp],
        non_smooth: NonSmooth,
    ) -> None:
        coordinates = problem.coordinates
        features = coordinates.features_of(subset)
        self._fit_intercept = coordinates.fit_intercept
        self._shift = problem.shift_of_columns[features]
        of_intercept = point.gradient[-1] if self._fit_intercept else 0.0
        l2 = problem.penalty.curvature_diagonal(problem.n_features)[features]
        self._start = point.theta[features]
        self._u = self._start.copy()
        self._state = np.array([-of_intercept / model.total, of_intercept])
        self.gained_by_intercept = of_intercept**2 / model.total / 2
        self._gradient = point.gradient[features] + self._shift * of_intercept
        self._non_smooth, self._l2 = non_smooth.of(slice(len(features))), l2
        self._row_weight, self._total = point.curvature, model.total
        # Arguments of the kernel before and after ``is_every_column``, which sweeps differ in.
        self._before = (
            *model.columns,
            model.first,
            model.curvature_along + l2,
            l2,
            *self._non_smooth,
            self._gradient,
            self._start,
            model.total,
        )
        self._weighted_z = problem.zero_outputs()
        self._after = self._u, self._weighted_z, self._state
        # Weights, h·(xd) and the derivative in the intercept after the last sweeps.
        self._recent: deque[_Sweep] = deque(maxlen=SWEEPS_BEFORE_EXTRAPOLATION)

    def sweep(self, is_every_column: bool) -> float:
        """Minimise along each column in turn; return the decrease of the model, in nats.

        If ``is_every_column`` is False, columns whose weight is 0 are left out. It changes self.
        """
        gain = kernels().csc_coordinate_descent(*self._before, is_every_column, *self._after)
        self._recent.append(_Sweep(self._u.copy(), self._weighted_z.copy(), self._state[1]))
        return gain

    @np.errstate(all="ignore")
    def extrapolate(self) -> float:
        """Move to where the last sweeps lead, if the model is less there; return the decrease.

        The point is the combination of the last points in which their changes nearly cancel. It
        takes no product with X: h·(xd) is linear in d. If columns are correlated, the sweeps go on
        in nearly the same direction. It changes self.

        References
        ----------
        Q. Bertrand and M. Massias, "Anderson Acceleration of Coordinate Descent", AISTATS 2021,
        algorithm 1.
        """
        changes = np.diff([each.u for each in self._recent], axis=0)
        try:
            share = np.linalg.solve(changes @ changes.T, np.ones(len(changes)))
        except np.linalg.LinAlgError:  # the sweeps have come to rest
            return 0.0
        share /= np.sum(share)
        points = list(self._recent)[1:]
        here = points[-1]
        there = _Sweep(*(np.dot(share, each) for each in zip(*points, strict=True)))
        decrease = self._value(here) - self._value(there)
        if not decrease > 0:
            return 0.0
        self._u[:], self._weighted_z[:], self._state[1] = there
        self._state[0] = -self._state[1] / self._total
        self._recent.clear()
        return decrease

    def _value(self, at: _Sweep) -> float:
        """Return the model at the end of a sweep, in nats; infinite outside of the bounds."""
        d, (l1, lower, upper) = at.u - self._start, self._non_smooth
        if np.any(at.u < lower) or np.any(at.u > upper):
            return np.inf
        h, weighted_z = self._row_weight, at.weighted_z
        z = np.divide(weighted_z, h, where=h > 0, out=np.zeros_like(h))
        square = weighted_z @ z + d @ (self._l2 * d) - at.of_intercept**2 / self._total
        return float(self._gradient @ d + square / 2 + l1 @ np.abs(at.u))

    def theta(self, point: Evaluation) -> Vector:
        """Return the entries of θ in the working set after the sweeps so far."""
        if not self._fit_intercept:
            return self._u
        moved = float(self._shift @ (self._u - self._start))
        return np.append(self._u, point.theta[-1] + self._state[0] + moved)
