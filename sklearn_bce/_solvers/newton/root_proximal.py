"""Search directions with an L1 norm or bounds from a root of H, whose condition is not squared.

`ProximalNewtonDirection` uses the matrix H; where H loses curvature in rounding, for the reasons
that `basis` states, `RootProximalDirection` takes its place. The model is the same. Its minimum is
found in the coordinates that are not at a kink by a QR factorisation of their columns of the root
R, RᵀR = H; coordinates at a kink, at 0 or at a bound, are added one by one.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import NO_SAMPLES, Evaluation, Objective, SomeSamples
from sklearn_bce._objective.basis import Kernel, lost_below, rank_of
from sklearn_bce._objective.penalty import NonSmooth
from sklearn_bce._objective.root import curvature_root
from sklearn_bce._objective.triangular import solve_triangular
from sklearn_bce._solvers.base import NEGLIGIBLE
from sklearn_bce._solvers.newton.direction import (
    NO_DERIVATIVES,
    RADIUS_MARGIN,
    Derivatives,
    Direction,
    SearchDirection,
)
from sklearn_bce._solvers.newton.duality import duality_gap
from sklearn_bce._solvers.newton.loop import Start
from sklearn_bce._solvers.newton.robust import (
    Examined,
    exact_from_user,
    exact_to_user,
    find_beyond,
    in_robust_coordinates,
    is_too_large,
)
from sklearn_bce._solvers.newton.tangents import find_left_out
from sklearn_bce._solvers.newton.whitening import kernel_gains_nothing

# Most sets of signs in the search for the minimum of the model, and most for each coordinate; where
# rounding decides the signs, the search would go round. [a choice]
MAX_SETS = 500
MAX_SETS_PER_COORDINATE = 10


class RootFactor(NamedTuple):
    """Some columns of R, by a QR factorisation with column pivoting.

    Attributes
    ----------
    Q : ndarray of shape (n, rank), float64
        Orthogonal factor.
    R : ndarray of shape (rank, rank), float64
        Triangular factor of the columns, which are divided by their norms and ordered.
    order : ndarray of shape (rank,), intp
        Indices of the columns in their order; columns that depend on these are left out.
    unit : ndarray of shape (rank,), float64
        1 divided by the norms of the columns, in this order.
    size : int
        Number of columns.
    """

    Q: NDArray[np.float64]
    R: NDArray[np.float64]
    order: NDArray[np.intp]
    unit: Vector
    size: int

    @classmethod
    def of(cls, columns: NDArray[np.float64]) -> RootFactor:
        """Return the factor of columns, an array of shape (n, size)."""
        if not columns.size:  # SciPy 1.11 does not factorise them
            nothing = np.zeros((0, 0))
            order = np.zeros(0, dtype=np.intp)
            return cls(np.zeros((len(columns), 0)), nothing, order, np.zeros(0), columns.shape[1])
        norm = np.linalg.norm(columns, axis=0)
        norm[norm == 0] = 1.0
        Q, R, order = qr(columns / norm, mode="economic", pivoting=True)
        rank = rank_of(R)
        unit = 1 / norm[order[:rank]]
        return cls(Q[:, :rank], R[:rank, :rank], order[:rank], unit, len(order))

    def __call__(self, vector: Vector) -> Vector:
        """Return (RᵀR)⁻¹·vector; entries of columns that are left out are 0."""
        product = np.zeros(self.size)
        half = solve_triangular(self.R, self.unit * vector[self.order], trans="T")
        product[self.order] = self.unit * solve_triangular(self.R, half)
        return product

    def regression(self, columns: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the B of shape (size, n_columns) that minimises the norms of columns − R·B."""
        factors = np.zeros((self.size, columns.shape[1]))
        solved = solve_triangular(self.R, self.Q.T @ columns)
        factors[self.order] = self.unit[:, None] * solved
        return factors

    def gain_of_lost(self, columns: NDArray[np.float64], slope: Vector) -> float:
        """Return what the columns that are left out could gain, if they had the least curvature.

        Parameters
        ----------
        columns : ndarray of shape (n, size), float64
            The columns of R.
        slope : ndarray of shape (size,), float64
            Derivatives of F.

        Returns
        -------
        gain : float
            Decrease of the model in nats; 0 if no column is left out.
        """
        lost = np.setdiff1d(np.arange(self.size), self.order)
        rest = slope[lost] - self.regression(columns[:, lost]).T @ slope
        norm = np.linalg.norm(columns[:, lost], axis=0)
        least = lost_below(self.size) * np.where(norm > 0, norm, 1.0)
        return float(np.sum(np.square(rest / least))) / 2

    def kernel(self, columns: NDArray[np.float64], subset: NDArray[np.intp], size: int) -> Kernel:
        """Return the changes of θ along which the root does not change, up to rounding.

        Parameters
        ----------
        columns : ndarray of shape (n, n_columns), float64
            The columns of the root.
        subset : ndarray of shape (n_columns,), intp
            Their indices in θ.
        size : int
            Length of θ.
        """
        lost = np.setdiff1d(np.arange(self.size), self.order)
        norm = np.linalg.norm(columns, axis=0)
        norm[norm == 0] = 1.0
        others = self.Q.T @ (columns[:, lost] / norm[lost])
        order, eps = np.append(self.order, lost), float(np.finfo(np.float64).eps)
        known = Kernel.of(self.R, others, order, 1 / norm, eps)
        vectors, unit = np.zeros((size, len(lost))), np.ones(size)
        vectors[subset], unit[subset] = known.vectors, known.unit
        return Kernel(vectors, subset[known.kept], subset[known.lost], unit, known.error)

    def norms(self, rows: NDArray[np.float64]) -> Vector:
        """Return √(zᵀ(RᵀR)⁻¹z) of each row z, of shape (size,)."""
        half = solve_triangular(self.R, (rows[:, self.order] * self.unit).T, trans="T")
        return np.linalg.norm(half, axis=0)


class RootOfCurvature(NamedTuple):
    """A root of H = RᵀR + diag(λ), whose rows for λ are formed for few columns at a time.

    Attributes
    ----------
    R : ndarray of shape (n, size), float64, n <= size
        Root of the curvature of the loss.
    l2 : ndarray of shape (size,), float64
        λ.
    """

    R: NDArray[np.float64]
    l2: Vector

    def columns(self, subset: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return some columns of the root, of shape (n + n_penalised, n_subset)."""
        penalised = np.flatnonzero(self.l2[subset])
        of_penalty = np.zeros((len(penalised), len(subset)))
        of_penalty[np.arange(len(penalised)), penalised] = np.sqrt(self.l2[subset[penalised]])
        return np.vstack([self.R[:, subset], of_penalty])

    def product(self, d: Vector) -> Vector:
        """Return H·d."""
        return self.R.T @ (self.R @ d) + self.l2 * d

    def half_square(self, d: Vector) -> float:
        """Return ½dᵀHd."""
        return float(np.sum(np.square(self.R @ d)) + self.l2 @ np.square(d)) / 2


class RootProximalDirection(Direction):
    """Finds Newton's directions for an F that is not smooth, each from a root of H at its point."""

    def __init__(self, problem: Objective, tol: float) -> None:
        super().__init__(problem, tol)
        size, p = problem.coordinates.size, problem.n_features
        self._non_smooth = problem.penalty.non_smooth(p, size)
        self._l2 = np.zeros(size)
        self._l2[:p] = problem.penalty.curvature_diagonal(p)

    def wants(self, is_last_step: bool = False) -> Derivatives:
        """Return that no second derivatives are to be formed."""
        return NO_DERIVATIVES

    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Do nothing: the rule takes the curvature from its root only."""

    def from_stale_curvature(self, point: Evaluation) -> None:
        """Return None: the rule keeps no curvature."""

    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Do nothing: the rule keeps no curvature."""

    def find(self, point: Evaluation) -> SearchDirection:
        """Return the search direction from a point, in one pass."""
        model = RootModel(self._root(point), point, self._non_smooth, self.tol)
        model.minimise()
        is_complete = model.missed <= self.tol
        return SearchDirection(model.d, 2 * model.gained, n_products=np.inf, complete=is_complete)

    def model_holds(self, point: Evaluation, d: SearchDirection) -> bool:
        """Return whether F is within ``tol`` of its minimum; see `Direction.model_holds`.

        That is examined with the root of H at the point.
        """
        end = self.examine(point)
        return end is not None and end.is_minimum and end.is_resolved

    def examine(self, point: Evaluation) -> Examined | None:
        """Return what is known about F − min F at a point, in three passes at most.

        None if the gradient or the root of H overflows.

        Parameters
        ----------
        point : Evaluation
            The point; its gradient is not needed.
        """
        problem, theta = self.problem, point.theta
        if point.gradient is None:
            point = problem.evaluate(theta, point.z)
        support = np.flatnonzero(~self._non_smooth.at_kink(theta))
        root = self._root(point)
        if not (np.isfinite(root.R).all() and np.isfinite(point.gradient).all()):
            return None
        model = RootModel(root, point, self._non_smooth, self.tol)
        model.minimise()
        decrement, columns = 2 * (model.gained + model.missed), root.columns(support)
        factor = RootFactor.of(columns)
        slope = (point.gradient + self._non_smooth.slope(theta))[support]
        radius = RADIUS_MARGIN * np.sqrt(max(decrement, 0.0))
        (beyond,) = problem.sum_over_parts(
            find_beyond, theta, radius, partial(norms_in, support, factor)
        )
        return Examined(
            Start(
                problem,
                theta,
                to_user=partial(exact_to_user, problem.coordinates),
                rule=RootProximalDirection,
            ),
            is_small=decrement <= self.tol,
            beyond=beyond,
            is_resolved=factor.gain_of_lost(columns, slope) <= self.tol
            or kernel_gains_nothing(
                problem, factor.kernel(columns, support, len(theta)), point, self.tol
            ),
        )

    def _root(self, point: Evaluation) -> RootOfCurvature:
        """Return the root of H at a point, in one pass."""
        (root,) = self.problem.sum_over_parts(curvature_root, point.theta)
        return RootOfCurvature(root.R, self._l2)


def norms_in(
    support: NDArray[np.intp], factor: RootFactor, Z: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the norms of rows of Z in the columns of the support, by their factor."""
    return factor.norms(Z[:, support])


def examine_by_root(
    objective: Objective, w: Vector, b: float, tol: float, left_out: SomeSamples = NO_SAMPLES
) -> Examined | None:
    """Return the weights (w, b) in robust coordinates, and what is known there, in a few passes.

    The arguments are those of `whiten`, for a penalty with an L1 norm; samples that are left out
    have no tangents. None if the root of the samples would need too much memory, or overflows.
    """
    if is_too_large(objective):
        return None
    problem = in_robust_coordinates(objective.without(left_out), w, b)
    theta = problem.on_bounds(exact_from_user(problem.coordinates, w, b))
    point = problem.evaluate(theta)
    end = RootProximalDirection(problem, tol).examine(point)
    if end is None:
        return None
    gap = None if end.is_minimum and end.is_resolved else duality_gap(problem, point)
    if gap is not None and gap <= tol:
        end = end._replace(is_small=True, beyond=NO_SAMPLES, is_resolved=True)
    if len(left_out):
        held = find_left_out(objective.in_coordinates(problem.coordinates), theta, left_out)
        end = end._replace(loss_left_out=held.above_tangents(np.zeros(len(left_out))))
    return end


class RootModel:
    """The model gᵀd + ½dᵀHd + Σ κ|θ + d| within bounds, and a search for its minimum.

    As long as no coordinate changes its sign or leaves its bounds, the L1 norm is linear, and a
    Newton step leads to the minimum. A step that would do so ends where the first coordinate
    reaches its kink: 0 or the bound. At the minimum for a set of coordinates that rest at their
    kinks, the coordinate at a kink is freed with which F falls most: the others follow it, so that
    its derivative and its curvature are those that remain after a regression of its column of the
    root on theirs. No difference of nearly equal numbers is formed. Where rounding decides the sign
    of a coordinate nevertheless, a step may lead back at once to the set that it came from; that
    coordinate is barred until the point has moved.

    Parameters
    ----------
    root : RootOfCurvature
        Root of H.
    point : Evaluation
        θ and the gradient g of the smooth part of F.
    non_smooth : NonSmooth
        L1 norm and bounds of the coordinates.
    tol : float
        Tolerance of the run, in nats.

    Attributes
    ----------
    d : ndarray of shape (size,), float64
        The present point of the search.
    gained : float
        Decrease of the model so far, in nats.
    missed : float
        Most that a barred coordinate might gain, in nats; 0 if none is barred at the end, infinite
        if the search ended at the most sets.
    """

    def __init__(
        self, root: RootOfCurvature, point: Evaluation, non_smooth: NonSmooth, tol: float
    ) -> None:
        self._root, self._theta, self._gradient = root, point.theta, point.gradient
        self._non_smooth = non_smooth
        # Where the coordinates are: exactly at its kink, for a coordinate that rests there.
        self._at = point.theta.copy()
        self._is_free = ~non_smooth.at_kink(point.theta)
        # The sign that the L1 norm of a coordinate that is free has; 0 for one that rests at 0.
        self._sign = np.sign(point.theta)
        self._enough = NEGLIGIBLE * tol / len(point.theta)
        self._barred = np.zeros(len(point.theta), dtype=bool)
        self.d, self.gained, self.missed = np.zeros_like(point.theta), 0.0, 0.0

    def minimise(self) -> None:
        """Move d to the minimum; changes self."""
        for _ in range(min(MAX_SETS, MAX_SETS_PER_COORDINATE * len(self.d))):
            # Derivatives where the coordinates that are not free are at rest, all others at θ.
            fixed = np.where(self._is_free, 0.0, self.d)
            derivative = self._gradient + self._root.product(fixed)
            free = np.flatnonzero(self._is_free)
            factor = RootFactor.of(self._root.columns(free))
            follow = np.zeros_like(self.d)
            follow[free] = -factor((derivative + self._non_smooth.l1 * self._sign)[free])
            step = np.where(self._is_free, follow - self.d, 0.0)
            decrease = self._root.half_square(step)
            if decrease > self._enough:
                self._advance(step, decrease)
            elif not self._free_coordinate(derivative, follow, free, factor):
                self.gained += decrease  # hardly anything; the decrement must not be 0 for it
                return
        self.missed = np.inf

    def _advance(self, step: Vector, decrease: float) -> None:
        """Take the step, or the part of it up to the first coordinate that reaches its kink."""
        lower, upper = self._non_smooth.linear_interval(np.where(self._is_free, self._sign, 0.0))
        kink = np.where(step > 0, upper, lower)
        ending = np.where(step > 0, self._at + step > upper, self._at + step < lower)
        with np.errstate(divide="ignore", invalid="ignore"):
            lengths = np.where(ending & (step != 0), (kink - self._at) / step, np.inf)
        t = min(1.0, float(np.min(lengths)))
        self.d = self.d + t * step
        self.gained += t * (2 - t) * decrease
        at_kink = lengths <= t
        self._at = np.where(self._is_free, self._theta + self.d, self._at)
        self._at[at_kink] = kink[at_kink]
        self.d[at_kink], self._sign[at_kink] = (kink - self._theta)[at_kink], np.sign(kink[at_kink])
        self._is_free &= ~at_kink
        self._barred = (self._barred | at_kink) & (t == 0)

    def _free_coordinate(
        self, derivative: Vector, follow: Vector, free: NDArray[np.intp], factor: RootFactor
    ) -> bool:
        """Free the coordinate at a kink with which the model falls most.

        Return False, without a change, if no coordinate gains enough.

        Parameters
        ----------
        derivative : ndarray of shape (size,), float64
            Derivatives of the smooth part of the model, as in `minimise`.
        follow : ndarray of shape (size,), float64
            Newton step of the free coordinates from there; 0 for the others.
        free : ndarray of shape (n_free,), intp
            Coordinates that are free.
        factor : RootFactor
            Factor of their columns of the root.
        """
        root, size = self._root, len(self.d)
        # The derivative that is left for a coordinate at a kink when the free ones follow it.
        rest = derivative + root.R.T @ (root.R @ follow)
        slope = self._non_smooth.least_subgradient(self._at, rest)
        slope[free] = 0.0
        others = np.flatnonzero(slope)
        if not len(others):
            return False
        fixed = root.columns(free)
        columns = np.zeros((len(fixed), len(others)))
        columns[: len(root.R)] = root.R[:, others]
        of_penalty = np.sqrt(root.l2[others])
        norm = np.hypot(np.linalg.norm(columns, axis=0), of_penalty)
        unexplained = np.linalg.norm(columns - fixed @ factor.regression(columns), axis=0)
        left = np.hypot(unexplained, of_penalty)
        left = np.maximum(left, lost_below(size) * np.where(norm > 0, norm, 1.0))
        gain = np.square(slope[others] / left) / 2
        barred = self._barred[others]
        self.missed = float(np.max(gain, where=barred, initial=0.0))
        gain[barred] = 0.0
        best = int(np.argmax(gain))
        if gain[best] <= self._enough:
            return False
        freed = others[best]
        self._is_free[freed] = True
        if self._at[freed] == 0:
            self._sign[freed] = -np.sign(slope[freed])
        return True
