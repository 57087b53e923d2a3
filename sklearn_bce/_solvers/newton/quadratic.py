"""The quadratic model gᵀd + ½dᵀHd + Σ κᵢ|uᵢ + dᵢ| of a working set, and its minimum.

Coordinate descent finds out which coordinates are 0. It goes by the curvature of the working set,
formed (`GramQuadratic`), or by the columns themselves (`ColumnQuadratic`), whichever is less work:
a sweep over few columns of many rows costs nothing once their curvature is known, while a column of
a text has a handful of values. With the curvature at hand, Newton's step in the coordinates that
are not 0 finds the rest (`feature_sign_search`), which no correlation between columns slows down.

References
----------
J. Friedman, T. Hastie and R. Tibshirani, "Regularization Paths for Generalized Linear Models via
Coordinate Descent", Journal of Statistical Software 33 (2010), section 2.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.base import SUM_ROUNDING, Evaluation, Objective
from sklearn_bce._solvers.base import NEGLIGIBLE
from sklearn_bce._solvers.newton.direction import regularised_cholesky

# A model is solved when no more than a share of what it has gained is left to gain: some root of
# the gain in nats, within two limits. The more the model gains, the farther away the minimum of F
# is, and the less is missed by a point that is not quite the minimum of the model.
#
# The least share: python -m benchmarks.tuning LEAST_INNER_SHARE
LEAST_INNER_SHARE = 1e-4
# The largest share: python -m benchmarks.tuning MOST_INNER_SHARE
MOST_INNER_SHARE = 0.1
# Degree of the root where the curvature matrix is formed, so that the last digits are cheap:
# python -m benchmarks.tuning INNER_ROOT_OF_GRAM
INNER_ROOT_OF_GRAM = 2
# Degree of the root where each sweep goes over the columns:
# python -m benchmarks.tuning INNER_ROOT_OF_COLUMNS
INNER_ROOT_OF_COLUMNS = 4
# Sweeps of coordinate descent between two searches among the signs:
# python -m benchmarks.tuning SWEEPS
SWEEPS = 10
# Multiple of ``tol``: a step that gains more is not the last one, and its model may be left before
# its minimum. python -m benchmarks.tuning FAR
FAR = 10.0
# Nats: the least ``tol`` by which a step counts as far, so that tol=0 does not make every step so.
# [a choice]
TIGHTEST_TOL = 1e-10
# Rounds of sweeps after which a model far from the end is left:
# python -m benchmarks.tuning FAR_ROUNDS
FAR_ROUNDS = 3
# Sets of signs that are searched in each round, at most, far from the end:
# python -m benchmarks.tuning FAR_SIGNS
FAR_SIGNS = 4
# Rounds of sweeps near the end, at most. If columns repeat each other and the penalty hardly says
# which to take, the model is left unsolved: its minimum takes more rounds, and F falls all the
# same. python -m benchmarks.tuning MAX_ROUNDS
MAX_ROUNDS = 100
# Sets of signs that are searched in each round, at most, near the end. With 10, a fit to columns
# that nearly repeat each other takes 23 passes, with 100 or 1000 it takes 17:
# python -m benchmarks.tuning MAX_SIGNS
MAX_SIGNS = 100
# Sweeps over columns after which a model is left unsolved: python -m benchmarks.tuning MAX_SWEEPS
MAX_SWEEPS = 200
# Relative rounding error of one operation in float64, ε/2: a sweep that gains no more than this
# share of all gains gains nothing.
UNIT_ROUNDOFF = float(np.finfo(np.float64).epsneg)


def inner_tolerance(gained: float, root: int) -> float:
    """Return what a model that has gained so much may still have left to gain, in nats."""
    share = np.clip(max(gained, 0.0) ** (1 / root), LEAST_INNER_SHARE, MOST_INNER_SHARE)
    return float(share) * gained


class ModelMinimum(NamedTuple):
    """The minimum of a model over a working set, or a point on the way there.

    Attributes
    ----------
    theta : ndarray of shape (n,)
        The entries of θ in the working set.
    gained : float
        What the model gains from there, in nats.
    is_solved : bool
        False if no end was in sight, so that θ is only on the way to the minimum.
    """

    theta: Vector
    gained: float
    is_solved: bool


class GramQuadratic:
    """The model by its curvature, formed.

    Parameters
    ----------
    matrix : ndarray of shape (size, size), float64
        H of the subset; changed by `add_secant_pair`.
    subset : ndarray of shape (size,)
        Indices of the entries of θ, ascending.
    tol : float, default=0.0
        Distance from the minimum, in nats, that is to be told for certain.
    """

    def __init__(
        self, matrix: NDArray[np.float64], subset: NDArray[np.intp], tol: float = 0.0
    ) -> None:
        self.matrix, self.subset, self.tol = matrix, subset, tol

    def with_penalty_change(self, l2_change: Vector) -> GramQuadratic:
        """Return the model under another penalty, given the change of λ, (n_features,)."""
        matrix, features = self.matrix.copy(), self.subset[self.subset < len(l2_change)]
        matrix.ravel()[:: len(matrix) + 1][: len(features)] += l2_change[features]
        return GramQuadratic(matrix, self.subset, self.tol)

    def add_secant_pair(self, step: Vector, change: Vector) -> None:
        """Correct H by the change of the gradient along a step, both (size of θ,); changes self.

        This is the BFGS formula (Nocedal and Wright, "Numerical Optimization", equation 6.19).
        """
        step, change = step[self.subset], change[self.subset]
        expected = self.matrix @ step
        curvature_along, expected_curvature = float(step @ change), float(step @ expected)
        if curvature_along > 0 and expected_curvature > 0:
            self.matrix += np.outer(change, change / curvature_along)
            self.matrix -= np.outer(expected, expected / expected_curvature)

    def minimum(self, point: Evaluation, subset: NDArray[np.intp], l1: Vector) -> ModelMinimum:
        """Return the minimum of the model over some of its coordinates.

        Parameters
        ----------
        point : Evaluation
            Where the model is made.
        subset : ndarray of shape (n,)
            Indices of entries of θ, among those of the model; the others stay.
        l1 : ndarray of shape (n,)
            κ.
        """
        matrix = self.matrix
        if len(subset) < len(self.subset):
            at = np.searchsorted(self.subset, subset)
            matrix = matrix[np.ix_(at, at)]
        v, derivative = point.theta[subset], point.gradient[subset]
        gained = 0.0
        for k in range(MAX_ROUNDS):
            swept, last = kernels().coordinate_descent(
                matrix, l1, v, derivative, SWEEPS, LEAST_INNER_SHARE
            )
            gained += swept
            if not last * SWEEPS > LEAST_INNER_SHARE * gained:
                return ModelMinimum(v, gained, True)
            is_far = gained > FAR * max(self.tol, TIGHTEST_TOL)
            is_near_enough = not last * SWEEPS > inner_tolerance(gained, INNER_ROOT_OF_GRAM)
            if is_far and (is_near_enough or k == FAR_ROUNDS):
                return ModelMinimum(v, gained, False)
            most = FAR_SIGNS if is_far else MAX_SIGNS
            by_signs = feature_sign_search(matrix, derivative, v, l1, most)
            gained += by_signs
            if not swept + by_signs > inner_tolerance(gained, INNER_ROOT_OF_GRAM):
                return ModelMinimum(v, gained, True)
        return ModelMinimum(v, gained, False)


def feature_sign_search(
    matrix: NDArray[np.float64], derivative: Vector, v: Vector, l1: Vector, most: int
) -> float:
    """Move v to where the model is least among the points with its signs, and to other signs.

    Coordinates that the way there leads past 0 are set to 0, or the way is left where the model is
    least on it: in either case there are other signs, and the search goes on among them.

    Parameters
    ----------
    matrix : ndarray of shape (n, n)
        H.
    derivative, v : ndarray of shape (n,)
        Gradient of the smooth part at v, and v; both are changed.
    l1 : ndarray of shape (n,)
        κ.
    most : int
        Number of sets of signs that are searched at most.

    Returns
    -------
    gained : float
        What the model has gained, in nats.

    References
    ----------
    H. Lee, A. Battle, R. Raina and A. Ng, "Efficient Sparse Coding Algorithms", NIPS 2006 (the
    feature-sign search).
    """
    gained = 0.0
    for _ in range(most):
        free = np.flatnonzero((v != 0) | (l1 == 0))
        if not len(free):
            break
        rows = matrix[free]
        face = _Face(np.ascontiguousarray(rows[:, free]), derivative[free], v[free], l1[free])
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
    """The model in the coordinates that are not 0 (or have no L1 norm), as far as signs hold.

    Attributes
    ----------
    matrix : ndarray of shape (n, n)
        H.
    derivative, v, l1 : ndarray of shape (n,)
        Gradient of the smooth part at v, v, and κ.
    """

    matrix: NDArray[np.float64]
    derivative: Vector
    v: Vector
    l1: Vector

    def search(self) -> tuple[Vector, float, bool]:
        """Return the best point found, its gain, and whether the way there crosses a 0."""
        downhill = -(self.derivative + self.l1 * np.sign(self.v))
        step = regularised_cholesky(self.matrix.copy(), may_be_singular=True)(downhill)
        crossing = (self.l1 > 0) & ((self.v + step) * self.v < 0)
        trials = [np.where(crossing, 0.0, self.v + step)]
        if np.any(crossing):
            trials.append(self._minimum_on_segment(step))
        gains = [self._gain(to - self.v) for to in trials]
        best = int(np.argmax(gains))
        return trials[best], gains[best], bool(np.any(crossing))

    def _gain(self, d: Vector) -> float:
        """Return by how much the model falls along d."""
        of_l1 = float(self.l1 @ (np.abs(self.v + d) - np.abs(self.v)))
        return -float((self.derivative + 0.5 * (self.matrix @ d)) @ d) - of_l1

    def _minimum_on_segment(self, step: Vector) -> Vector:
        """Return where the model is least on the segment from v to v + step.

        Its derivative on the segment rises steadily, and by 2κ|d| at every 0 that is passed.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            crosses = (self.l1 > 0) & (step * self.v < 0)
            zeros = np.where(crosses, -self.v / step, np.inf)
        order = np.argsort(zeros)
        order = order[zeros[order] < 1]
        curvature_along = float(step @ (self.matrix @ step))
        first = float((self.derivative + self.l1 * np.sign(self.v)) @ step)
        jumps = 2 * self.l1[order] * np.abs(step[order])
        before = first + curvature_along * zeros[order] + np.cumsum(jumps) - jumps
        rising = np.flatnonzero(before + jumps >= 0)
        if not len(rising):
            last = first + float(np.sum(jumps))
            length = min(1.0, -last / curvature_along) if curvature_along > 0 else 1.0
            return self.v + length * step
        k = rising[0]
        if before[k] > 0 and curvature_along > 0:  # the minimum is before that zero
            return self.v + (zeros[order[k]] - before[k] / curvature_along) * step
        to = self.v + zeros[order[k]] * step
        to[order[k]] = 0.0
        return to


class ColumnQuadratic:
    """The model by the columns of sparse samples.

    Parameters
    ----------
    problem : Objective
        Whose model it is.
    matrix : CSC of shape (n_samples, n_columns), float64
        Columns divided by their scale.
    columns : ndarray of shape (n,)
        Indices of the columns of the working set in the matrix.
    point : Evaluation
        Whose curvature the model has.
    tol : float
        Distance from the minimum, in nats, that is to be told for certain.
    care : float, default=1.0
        Factor of what sweeps may miss, at most 1.
    """

    def __init__(
        self,
        problem: Objective,
        matrix: Any,
        columns: NDArray[np.intp],
        point: Evaluation,
        tol: float,
        care: float = 1.0,
    ) -> None:
        self._problem, self._tol, self._care = problem, tol, care
        self.columns = matrix.data, matrix.indices, matrix.indptr, columns, point.curvature
        self.first, self._second = np.empty((2, len(columns)))
        kernels().csc_column_moments(*self.columns, self.first, self._second)
        # Σ h; without curvature the intercept stays
        total = problem.total_curvature(point) or np.inf
        self.total = total if problem.coordinates.fit_intercept else np.inf

    def minimum(self, point: Evaluation, subset: NDArray[np.intp], l1: Vector) -> ModelMinimum:
        """Return the minimum of the model over the whole working set; see `GramQuadratic`."""
        sweeps = _ColumnSweeps(self, self._problem, point, subset, l1)
        gained, left = sweeps.gained_by_intercept, 0.0
        last, is_every_column = np.inf, True
        for _ in range(MAX_SWEEPS):
            gain = sweeps.sweep(is_every_column)
            gained += gain
            # Sweeps to come gain as much less each as this one did than the last.
            left = gain**2 / (last - gain) if gain < last < np.inf else np.inf
            left = left if gain > UNIT_ROUNDOFF * gained else 0.0
            allowed = self._care * inner_tolerance(gained, INNER_ROOT_OF_COLUMNS)
            is_small = not left > max(allowed, NEGLIGIBLE * self._tol)
            if is_small and is_every_column:
                left = 0.0
                break
            last, is_every_column = gain, is_small
        gained += left if np.isfinite(left) else gained
        return ModelMinimum(sweeps.theta(point), gained, left == 0.0)

    @property
    def curvature_along(self) -> Vector:
        """Curvature of the loss along each column, where the intercept follows; 0 for rounding."""
        along = self._second - self.first / self.total * self.first
        along[along <= SUM_ROUNDING[np.dtype(np.float64)] * self._second] = 0.0
        return along


class _ColumnSweeps:
    """Coordinate descent over the columns of a working set, from a point.

    A step of a weight leaves alone the intercept of the user here, not that of centred columns.
    """

    def __init__(
        self,
        model: ColumnQuadratic,
        problem: Objective,
        point: Evaluation,
        subset: NDArray[np.intp],
        l1: Vector,
    ) -> None:
        coordinates = problem.coordinates
        features = coordinates.features_of(subset)
        self._fit_intercept = coordinates.fit_intercept
        self._shift = coordinates.shift[features] / coordinates.scale[features]
        of_intercept = point.gradient[-1] if self._fit_intercept else 0.0
        l2 = problem.penalty.curvature_diagonal(problem.n_features)[features]
        self._start = point.theta[features]
        self._u = self._start.copy()
        self._state = np.array([-of_intercept / model.total, of_intercept])
        self.gained_by_intercept = of_intercept**2 / model.total / 2
        gradient = point.gradient[features] + self._shift * of_intercept
        # Arguments of the kernel before and after the one that changes from sweep to sweep.
        self._before = (
            *model.columns,
            model.first,
            model.curvature_along + l2,
            l2,
            l1[: len(features)],
            gradient,
            self._start,
            model.total,
        )
        self._after = self._u, problem.zero_outputs(), self._state

    def sweep(self, is_every_column: bool) -> float:
        """Visit each column, or each whose weight is not 0; return what that gains, in nats."""
        return kernels().csc_coordinate_descent(*self._before, is_every_column, *self._after)

    def theta(self, point: Evaluation) -> Vector:
        """Return the entries of θ in the working set."""
        if not self._fit_intercept:
            return self._u
        moved = float(self._shift @ (self._u - self._start))
        return np.append(self._u, point.theta[-1] + self._state[0] + moved)
