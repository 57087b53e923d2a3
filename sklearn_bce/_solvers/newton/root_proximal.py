"""Search directions with an L1 norm from a triangular root of H, whose condition is not squared.

`ProximalNewtonDirection` uses the matrix H; where H loses curvature in rounding, for the reasons
that `basis` states, `RootProximalDirection` takes its place. The model is the same. Its minimum is
found in the coordinates that are not 0 by a QR factorisation of their columns of the root R,
RᵀR = H; coordinates at 0 are added one by one.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._objective.basis import LOST_PIVOT
from sklearn_bce._objective.root import curvature_root
from sklearn_bce._solvers.newton.direction import (
    NO_DERIVATIVES,
    RADIUS_MARGIN,
    Derivatives,
    Direction,
    SearchDirection,
)

# Most sets of signs in the search for the minimum of the model. [a choice]
MAX_SETS = 500
# Excess of a derivative over κ, as a fraction of κ, up to which a coordinate remains at 0.
# [a choice]
EXCESS_TOL = 1e-6
# Excess, as a fraction of κ, up to which F counts as stationary at the end of a run. [a choice]
KKT_TOL = 0.01
# Ratio of κ and the rounding error of a derivative up to which the two are not told apart.
# [a choice]
VISIBLE = 10.0
# Rounding error of a derivative, in units of the norm of its column of R. [a choice]
DERIVATIVE_ROUNDING = 1e-15


class RootFactor(NamedTuple):
    """The inverse of RᵀR for some columns of R, by a QR factorisation with column pivoting.

    Attributes
    ----------
    R : ndarray of shape (rank, rank), float64
        Triangular factor of the columns, which are divided by their norms and ordered.
    order : ndarray of shape (rank,), intp
        Indices of the columns in their order; columns that depend on these are left out.
    unit : ndarray of shape (rank,), float64
        1 divided by the norms of the columns, in this order.
    size : int
        Number of columns.
    """

    R: NDArray[np.float64]
    order: NDArray[np.intp]
    unit: Vector
    size: int

    @classmethod
    def of(cls, columns: NDArray[np.float64]) -> RootFactor:
        """Return the factor of columns, an array of shape (n, size)."""
        norm = np.linalg.norm(columns, axis=0)
        norm[norm == 0] = 1.0
        R, order = qr(columns / norm, mode="r", pivoting=True)
        size = len(order)
        kept = np.abs(np.diagonal(R)) > LOST_PIVOT * size * np.finfo(np.float64).eps
        rank = len(kept) if kept.all() else int(np.argmin(kept))
        return cls(R[:rank, :rank], order[:rank], 1 / norm[order[:rank]], size)

    def __call__(self, vector: Vector) -> Vector:
        """Return (RᵀR)⁻¹·vector; entries of columns that are left out are 0."""
        product = np.zeros(self.size)
        half = solve_triangular(self.R, self.unit * vector[self.order], trans="T")
        product[self.order] = self.unit * solve_triangular(self.R, half)
        return product

    def norms(self, rows: NDArray[np.float64]) -> Vector:
        """Return √(zᵀ(RᵀR)⁻¹z) of each row z, of shape (size,)."""
        half = solve_triangular(self.R, (rows[:, self.order] * self.unit).T, trans="T")
        return np.linalg.norm(half, axis=0)


class RootProximalDirection(Direction):
    """Finds Newton's directions for an F with an L1 norm, each from a root of H at its point."""

    def __init__(self, problem: Objective, tol: float) -> None:
        super().__init__(problem, tol)
        size, p = problem.coordinates.size, problem.n_features
        self._l1, self._l2 = np.zeros((2, size))
        self._l1[:p], self._l2[:p] = problem.penalty.l1, problem.penalty.curvature_diagonal(p)

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
        model = RootModel(self._root(point), point, self._l1)
        model.minimise()
        return SearchDirection(model.d, 2 * model.gained, n_products=np.inf)

    def model_holds(self, point: Evaluation, d: SearchDirection) -> bool:
        """Return whether F is within ``tol`` of its minimum; see `Direction.model_holds`.

        That is tested with the root of H at the point. Where samples with large features have most
        of the curvature, a small decrement does not say that the derivatives are small; these are
        tested on their own.
        """
        support = np.flatnonzero((point.theta != 0) | (self._l1 == 0))
        if not len(support):
            return True
        if point.gradient is None:
            point = self.problem.evaluate(point.theta, point.z)
        root = self._root(point)
        model = RootModel(root, point, self._l1)
        model.minimise()
        decrement, factor = 2 * model.gained, RootFactor.of(root[:, support])
        if decrement > self.tol or not model.is_stationary(KKT_TOL):
            return False
        radius = RADIUS_MARGIN * np.sqrt(max(decrement, 0.0))
        (n_beyond,) = self.problem.sum_over_parts(
            count_beyond_model, point.theta, radius, support, factor
        )
        return not n_beyond

    def _root(self, point: Evaluation) -> NDArray[np.float64]:
        """Return R with RᵀR = H at a point, the penalty included, in one pass."""
        (root,) = self.problem.sum_over_parts(curvature_root, point.theta)
        return np.vstack([root.R, np.diag(np.sqrt(self._l2))])


def count_beyond_model(
    part: Any, theta: Vector, radius: float, support: NDArray[np.intp], factor: RootFactor
) -> list[int]:
    """Return the number of samples of a part that are beyond the model.

    See `InMemoryObjective.samples_beyond_model`; ``factor`` is that of the columns of the support.
    """
    rows = part.samples_beyond_model(
        part.outputs(theta), radius, lambda Z: factor.norms(Z[:, support])
    )
    return [len(rows)]


class RootModel:
    """The model gᵀd + ½‖Rd‖² + Σ κ|θ + d|, and a search for its minimum.

    As long as no coordinate changes its sign, the L1 norm is linear, and a Newton step leads to the
    minimum. A step that would change signs ends where the first coordinate becomes 0. At the
    minimum for a set of signs, the coordinate at 0 that promises most is added.

    Parameters
    ----------
    root : ndarray of shape (n, size), float64
        R.
    point : Evaluation
        θ and the gradient g of the smooth part of F.
    l1 : ndarray of shape (size,), float64
        κ; 0 for the intercept.

    Attributes
    ----------
    d : ndarray of shape (size,), float64
        The present point of the search.
    gained : float
        Decrease of the model so far, in nats.
    """

    def __init__(self, root: NDArray[np.float64], point: Evaluation, l1: Vector) -> None:
        self._root, self._theta, self._gradient, self._l1 = root, point.theta, point.gradient, l1
        self._sign = np.sign(point.theta)
        norm = np.linalg.norm(root, axis=0)
        # Derivatives up to these count as 0.
        self._rounding = np.maximum(DERIVATIVE_ROUNDING * norm, EXCESS_TOL * l1)
        self.d, self.gained = np.zeros_like(point.theta), 0.0

    def minimise(self) -> None:
        """Move d to the minimum; changes self."""
        for _ in range(MAX_SETS):
            derivative = self._gradient + self._root.T @ (self._root @ self.d)
            free = (self._sign != 0) | (self._l1 == 0)
            slope = np.where(free, derivative + self._l1 * self._sign, 0.0)
            if np.any(np.abs(slope) > self._rounding):
                step = np.zeros_like(self.d)
                step[free] = RootFactor.of(self._root[:, free])(-slope[free])
                self._advance(step, -float(slope @ step) / 2)
            elif not self._add_coordinate(derivative):
                return

    def is_stationary(self, share: float) -> bool:
        """Return whether F is stationary at d = 0, in the weights with an L1 norm.

        That is so if the derivatives of the smooth part are −κ·sign(θ), and at most κ at 0, up to
        rounding or the given share of κ.
        """
        sign = np.sign(self._theta)
        slope = np.abs(self._gradient + self._l1 * sign)
        slope = np.where(sign == 0, np.abs(self._gradient) - self._l1, slope)
        return bool(
            np.all((slope <= np.maximum(self._rounding, share * self._l1)) | (self._l1 == 0))
        )

    def _advance(self, step: Vector, decrease: float) -> None:
        """Take the step, or the part of it up to the first coordinate that becomes 0."""
        at = self._theta + self.d
        ending = (self._l1 > 0) & (self._sign * (at + step) < 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            lengths = np.where(ending, -at / step, np.inf)
        t = min(1.0, float(np.min(lengths)))
        self.d = self.d + t * step
        self.gained += t * (2 - t) * decrease
        at_zero = lengths <= t
        self.d[at_zero], self._sign[at_zero] = -self._theta[at_zero], 0.0

    def _add_coordinate(self, derivative: Vector) -> bool:
        """Add the coordinate at 0 whose derivative exceeds κ most, in units of its column of R.

        The decrease that it promises on its own does not matter: together with others, it may lower
        F in a direction in which they have little curvature. Return False, without a change, if no
        derivative exceeds κ by more than rounding.
        """
        excess = np.abs(derivative) - self._l1
        counts = (self._sign == 0) & (self._l1 > 0) & (excess > self._rounding)
        if not counts.any():
            return False
        best = int(np.argmax(np.where(counts, excess / self._rounding, 0.0)))
        self._sign[best] = -np.sign(derivative[best])
        return True
