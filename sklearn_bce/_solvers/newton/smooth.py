"""Search directions for a smooth F: the rule that chooses among three ways to find them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.newton.conjugate_gradients import truncated_newton_cg
from sklearn_bce._solvers.newton.cost import TYPICAL_PRODUCTS, CostModel
from sklearn_bce._solvers.newton.direction import Derivatives, Direction, SearchDirection
from sklearn_bce._solvers.newton.inverse import CholeskyFactor, LBFGSInverse


class NewtonDirection(Direction):
    """Finds Newton's directions for a smooth F, in the cheapest of three ways.

    1. A Cholesky factorisation of the matrix H at the point.
    2. The inverse of stale curvature, as long as it is trusted: such a direction takes no pass.
    3. Conjugate gradients, which take products with H. The preconditioner is the inverse of stale
       curvature or, if there is none, of the diagonal of H. Conjugate gradients end once their
       products have cost as much as forming and factorising H: the columns are then strongly
       correlated. The step uses the direction found so far, and H is factorised at its end. The
       total cost is at most about twice that of the better of the two ways.

    Attributes
    ----------
    inverse : LBFGSInverse or None
        The inverse of stale curvature; None before there is any.
    """

    def __init__(self, problem: Objective, tol: float) -> None:
        super().__init__(problem, tol)
        self.inverse: LBFGSInverse | None = None
        self._is_certain = True
        self.penalty_dominates = problem.penalty_dominates()
        self._costs = CostModel.of(problem)
        self._spent, self._expected = 0.0, float(TYPICAL_PRODUCTS)

    @property
    def factor(self) -> CholeskyFactor | None:
        """Factorisation of H at an earlier point; None if there is none."""
        factor = None if self.inverse is None else self.inverse.inverse
        return factor if isinstance(factor, CholeskyFactor) else None

    def wants(self, is_last_step: bool = False) -> Derivatives:
        """Return which second derivatives the next evaluation is to form; see `Direction.wants`."""
        is_cheaper = self._spent + self._expected >= self._costs.products
        hessian = is_cheaper and not (self._is_trusted or self.penalty_dominates or is_last_step)
        return Derivatives(hessian, self.inverse is None and not self.penalty_dominates)

    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Use an approximation of H, shape (size, size), which is overwritten; changes self."""
        factor = CholeskyFactor(matrix, self.problem.curvature_rounding)
        self._set_inverse(factor, factor.is_trusted)

    def _set_inverse(self, inverse: Callable[[Vector], Vector], is_certain: bool) -> None:
        """Use the inverse of an approximation of H as trusted curvature; changes self.

        ``is_certain`` is False if the approximation may have too much curvature in some direction.
        """
        self.inverse, self._is_certain = LBFGSInverse(inverse), is_certain
        self._spent, self._expected = 0.0, float(TYPICAL_PRODUCTS)
        self._trust(True)

    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Correct the inverse by the change of the gradient along a step; changes self."""
        if self.inverse is not None:
            self.inverse.add_secant_pair(
                after.theta - before.theta, after.gradient - before.gradient
            )

    def from_stale_curvature(self, point: Evaluation) -> SearchDirection | None:
        """Return the direction from stale curvature, without a pass; None if there is none."""
        if self.inverse is None:
            return None
        vector = -self.inverse(point.gradient)
        decrement = float(-point.gradient @ vector)
        return SearchDirection(vector, decrement, is_certain=self._is_certain)

    def find(self, point: Evaluation) -> SearchDirection:
        """Return the search direction from a point, for `at` to count; changes self."""
        hessian = point.take_hessian()
        if hessian is not None:
            self.set_curvature(hessian)
            self.curvature_of_factor = point.curvature
            return self.from_stale_curvature(point)._replace(n_products=np.inf)
        if self.penalty_dominates and self.inverse is None:
            preconditioner = 1 / self.problem.diagonal_preconditioner(point)
            self._set_inverse(partial(np.multiply, preconditioner), is_certain=True)
        if self._is_trusted:
            d = self.from_stale_curvature(point)
            if self._still_trusts(d.decrement):
                return d
        most = max(1.0, self._costs.products - self._spent)
        d = truncated_newton_cg(self.problem, point, self.tol, self.inverse, most)
        can_be_known = np.isfinite(self._costs.factor)
        is_certain = (d.is_certain or not can_be_known) and self._is_certain
        d = d._replace(is_certain=is_certain)
        self._spent += d.n_products
        self._expected = d.n_products
        return d
