"""The quadratic model gᵀd + ½dᵀHd + Σ κᵢ|uᵢ + dᵢ| of a working set, and its minimum.

Coordinate descent finds out which coordinates are 0. It goes by the curvature of the working set,
formed, or by the columns themselves, whichever is less work: a sweep over few columns of many rows
costs nothing once their curvature is known, while a column of a text has a handful of values. With
the curvature at hand Newton's step in the coordinates that are not 0 comes to its aid, which no
correlation between columns slows down.

References
----------
J. Friedman, T. Hastie and R. Tibshirani, "Regularization Paths for Generalized Linear Models via
Coordinate Descent", Journal of Statistical Software 33 (2010), section 2.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.newton.direction import positive_solver

# A model is solved when no more than a share of what it has gained is left to gain: some root of
# that, within these limits. The more it gains, the farther away the minimum of F is, and the less
# is missed by a point that is not quite the minimum of the model. With the matrix at hand the last
# digits are cheap, by sweeps over columns they are not.
SHARE, LARGEST_SHARE = 1e-4, 0.1
ROOT_OF_MATRIX, ROOT_OF_COLUMNS = 2, 4
SWEEPS = 10
# A step that gains more than this times tol is not the last one: its model may be left before the
# end. No tol is tighter than the other, for that matter.
FAR, TIGHTEST = 10.0, 1e-10
FAR_ROUNDS, FAR_FACES = 3, 4
# Where columns repeat each other and the penalty hardly says which to take, there is no waiting for
# the end of it: the minimum of F comes nearer all the same.
MAX_ROUNDS, MAX_FACES, MAX_SWEEPS = 100, 100, 200
NEGLIGIBLE = 0.01  # of tol
ROUNDING_OF_GAIN = 1e-16  # of the gain so far
# The curvature of a column below this share of its square sum is rounding.
ROUNDING = 1e-12


def may_be_missed(gained: float, root: int) -> float:
    """Return what a model that has gained so much may still have left to gain."""
    share = np.clip(max(gained, 0.0) ** (1 / root), SHARE, LARGEST_SHARE)
    return float(share) * gained


class MatrixModel:
    """The model by its curvature, formed.

    Parameters
    ----------
    matrix : ndarray of shape (size, size)
        H of the subset; changed by `learn`.
    subset : ndarray of shape (size,)
        Entries of θ, ascending.
    tol : float, default=0.0
        Distance from the minimum, in nats, that is to be told for certain.
    """

    def __init__(
        self, matrix: NDArray[np.float64], subset: NDArray[np.intp], tol: float = 0.0
    ) -> None:
        self.matrix, self.subset, self.tol = matrix, subset, tol

    def with_more(self, of_features: Vector) -> MatrixModel:
        """Return the model with so much more of curvature in each of the features."""
        matrix, features = self.matrix.copy(), self.subset[self.subset < len(of_features)]
        matrix.ravel()[:: len(matrix) + 1][: len(features)] += of_features[features]
        return MatrixModel(matrix, self.subset, self.tol)

    def learn(self, step: Vector, change: Vector) -> None:
        """Take in by how much the gradient has changed along a step; changes self.

        It is the BFGS formula (Nocedal and Wright, "Numerical Optimization", equation 6.19).
        """
        step, change = step[self.subset], change[self.subset]
        expected = self.matrix @ step
        bend, expected_bend = float(step @ change), float(step @ expected)
        if bend > 0 and expected_bend > 0:
            self.matrix += np.outer(change, change / bend)
            self.matrix -= np.outer(expected, expected / expected_bend)

    def minimum(
        self, point: Evaluation, subset: NDArray[np.intp], l1: Vector
    ) -> tuple[Vector, float, bool]:
        """Return where the model is least over some of its coordinates, and what that gains.

        The third item is False if it was hard to tell, and the first is only on the way there.

        Parameters
        ----------
        point : Point
            Where the model is made.
        subset : ndarray of shape (n,)
            Entries of θ, among those of the model; the others stay.
        l1 : ndarray of shape (n,)
            κ.
        """
        matrix = self.matrix
        if len(subset) < len(self.subset):
            at = np.searchsorted(self.subset, subset)
            matrix = matrix[np.ix_(at, at)]
        v, slope = point.theta[subset], point.gradient[subset]
        gained = 0.0
        for k in range(MAX_ROUNDS):
            gain, last = kernels().coordinate_descent(matrix, l1, v, slope, SWEEPS, SHARE)
            gained += gain
            if not last * SWEEPS > SHARE * gained:
                return v, gained, True
            far = gained > FAR * max(self.tol, TIGHTEST)
            swept = not last * SWEEPS > may_be_missed(gained, ROOT_OF_MATRIX)
            if far and (swept or k == FAR_ROUNDS):
                return v, gained, False
            of_faces = minimise_on_faces(matrix, slope, v, l1, FAR_FACES if far else MAX_FACES)
            gained += of_faces
            if not gain + of_faces > may_be_missed(gained, ROOT_OF_MATRIX):
                return v, gained, True
        return v, gained, False


def minimise_on_faces(
    matrix: NDArray[np.float64], slope: Vector, v: Vector, l1: Vector, most: int
) -> float:
    """Move v, and the slope with it, to where the model is least among those of its signs.

    Coordinates that the way there leads past 0 are set to 0, or the way is left where the model is
    least on it: in either case there are other signs, and the search goes on among them, ``most``
    times altogether. Return what has been gained.

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
        rows, kappa, at = matrix[free], l1[free], v[free]
        square = np.ascontiguousarray(rows[:, free])
        downhill = -(slope[free] + kappa * np.sign(at))
        step = positive_solver(square.copy(), may_be_singular=True)(downhill)
        crossing = (kappa > 0) & ((at + step) * at < 0)
        trials = [np.where(crossing, 0.0, at + step)]
        if np.any(crossing):
            trials.append(_least_on_the_way(at, step, kappa, slope[free], square))
        gains = [_gain(to - at, at, kappa, slope[free], square) for to in trials]
        best = int(np.argmax(gains))
        if not gains[best] > 0:
            break
        v[free] = trials[best]
        slope += (trials[best] - at) @ rows
        gained += gains[best]
        if not np.any(crossing):
            break
    return gained


def _gain(
    d: Vector, at: Vector, kappa: Vector, slope: Vector, matrix: NDArray[np.float64]
) -> float:
    """Return by how much the model falls along d."""
    of_l1 = float(kappa @ (np.abs(at + d) - np.abs(at)))
    return -float((slope + 0.5 * (matrix @ d)) @ d) - of_l1


def _least_on_the_way(
    at: Vector, step: Vector, kappa: Vector, slope: Vector, matrix: NDArray[np.float64]
) -> Vector:
    """Return where the model is least on the way along the step, all of it at most.

    The derivative there rises steadily, and by 2κ|d| at every 0 that is passed.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        zeros = np.where((kappa > 0) & (step * at < 0), -at / step, np.inf)
    order = np.argsort(zeros)
    order = order[zeros[order] < 1]
    passed = zeros[order]
    bend = float(step @ (matrix @ step))
    first = float((slope + kappa * np.sign(at)) @ step)
    jumps = 2 * kappa[order] * np.abs(step[order])
    before = first + bend * passed + np.cumsum(jumps) - jumps
    after = before + jumps
    k = int(np.argmax(after >= 0)) if np.any(after >= 0) else len(order)
    if k == len(order):
        slope_there = first + float(np.sum(jumps))
        length = min(1.0, -slope_there / bend) if bend > 0 else 1.0
        return at + length * step
    if before[k] > 0 and bend > 0:  # the least is before that zero
        return at + (passed[k] - before[k] / bend) * step
    to = at + passed[k] * step
    to[order[k]] = 0.0
    return to


class ColumnModel:
    """The model by the columns of sparse samples.

    Parameters
    ----------
    problem : Objective
        Whose model it is.
    matrix : CSC of shape (n_samples, n_columns)
        Columns in units of their scale, float64.
    columns : ndarray of shape (n,)
        Which of them are those of the working set.
    curvature : ndarray of shape (n_samples,)
        h, of the samples.
    tol : float
        What sweeps may miss, in nats.
    care : float, default=1.0
        Share of what they might miss else that they may miss.
    """

    def __init__(
        self,
        problem: InMemoryObjective,
        matrix: Any,
        columns: NDArray[np.intp],
        curvature: Vector,
        tol: float,
        care: float = 1.0,
    ) -> None:
        self._problem, self._curvature, self._tol, self._care = problem, curvature, tol, care
        self._columns = matrix.data, matrix.indices, matrix.indptr, columns, curvature
        self._first, self._second = np.empty((2, len(columns)))
        kernels().csc_column_moments(*self._columns, self._first, self._second)

    def minimum(
        self, point: Evaluation, subset: NDArray[np.intp], l1: Vector
    ) -> tuple[Vector, float, bool]:
        """Do as that of `MatrixModel`, over the whole of the working set."""
        coordinates = self._problem.coordinates
        fit_intercept = coordinates.fit_intercept
        features = coordinates.features_of(subset)
        shift = coordinates.shift[features] / coordinates.scale[features]
        of_intercept = point.gradient[-1] if fit_intercept else 0.0
        total = float(np.sum(self._curvature)) or np.inf  # without curvature it stays
        total = total if fit_intercept else np.inf
        # Here a step of a weight leaves alone the intercept of the user, not c.
        gradient = point.gradient[features] + shift * of_intercept
        l2 = np.broadcast_to(self._problem.penalty.l2, coordinates.scale.shape)[features]
        bend = self._second - self._first / total * self._first
        bend[bend <= ROUNDING * self._second] = 0.0
        bend += l2
        start = point.theta[features]
        u, moved = start.copy(), np.zeros(len(self._curvature))
        state = np.array([-of_intercept / total, of_intercept])
        gained, last, every, left = of_intercept**2 / total / 2, np.inf, True, 0.0
        for _ in range(MAX_SWEEPS):
            gain = kernels().csc_coordinate_descent(
                *self._columns, self._first, bend, l2, l1[: len(features)], gradient, start, total,
                every, u, moved, state,
            )  # fmt: skip
            gained += gain
            # Sweeps to come gain as much less each as this one did than the last.
            left = gain**2 / (last - gain) if gain < last < np.inf else np.inf
            left = left if gain > ROUNDING_OF_GAIN * gained else 0.0
            share = self._care * may_be_missed(gained, ROOT_OF_COLUMNS)
            negligible = max(share, NEGLIGIBLE * self._tol)
            small = not left > negligible
            if small and every:
                left = 0.0
                break
            last, every = gain, small
        if fit_intercept:
            u = np.append(u, point.theta[-1] + state[0] + float(shift @ (u - start)))
        return u, gained + (left if np.isfinite(left) else gained), left == 0.0
