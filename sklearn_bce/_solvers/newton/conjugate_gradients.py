"""Search directions by conjugate gradients, which take products with H and no matrix.

- `truncated_newton_cg`: the direction, with its stopping tests.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
from scipy.linalg.blas import daxpy

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.base import NEGLIGIBLE
from sklearn_bce._solvers.newton.direction import SearchDirection

# Fraction of the decrease of the model that conjugate gradients may miss in a last step:
# python -m benchmarks.tuning FINAL_SHARE
FINAL_SHARE = 0.1
# Fraction of the decrease of the model up to which the contribution of one product with H counts as
# rounding, so that conjugate gradients end: python -m benchmarks.tuning NEGLIGIBLE_GAIN
NEGLIGIBLE_GAIN = 1e-10
# Lower bound of the forcing term, the fraction of the decrease of the model that a step far from
# the minimum may miss.
# python -m benchmarks.tuning MIN_FORCING
MIN_FORCING = 0.01
# Upper bound of the forcing term (Nocedal and Wright, "Numerical Optimization", 2nd edition, 2006,
# equation 7.3, have the same). python -m benchmarks.tuning MAX_FORCING
MAX_FORCING = 0.5
# Products with H, for each coordinate, after which conjugate gradients stop. In exact arithmetic
# one for each coordinate is enough; rounding can multiply their number. [a choice]
PRODUCTS_PER_COORDINATE = 10


class _ConjugateGradients:
    """The iteration of preconditioned conjugate gradients for H d = −g, without a stopping test.

    Parameters
    ----------
    problem : Objective
        Computes the products with H.
    point : Evaluation
        Where H and g are taken.
    precondition : callable (vector) -> vector
        The product with M⁻¹, the inverse of the preconditioner.

    Attributes
    ----------
    vector : ndarray of shape (size,), float64
        d so far.
    z_direction : array of length n_samples or None
        Z·d so far; None if the objective does not keep outputs.
    energy : float
        rᵀM⁻¹r of the residual r = −g − Hd.
    previous_energy : float
        ``energy`` before the last product; 0 before the first.
    gained : float
        Decrease of the model so far, ½λ², in nats; infinite if H has no curvature along −M⁻¹g.
    gain : float
        Decrease of the model by the last product, in nats.
    curvature_along : float
        Curvature pᵀHp along the last conjugate direction p, scaled so that pᵀMp is
        ``previous_energy``.
    n_products : int
        Number of products with H so far.
    """

    def __init__(
        self, problem: Objective, point: Evaluation, precondition: Callable[[Vector], Vector]
    ) -> None:
        self._problem, self._point, self._precondition = problem, point, precondition
        self.vector = np.zeros_like(point.theta)
        self.z_direction = problem.zero_outputs()
        self._residual = -point.gradient
        self._preconditioned = precondition(self._residual)
        self._conjugate = self._preconditioned.copy()
        self.energy = float(self._residual @ self._preconditioned)
        self.previous_energy = self.curvature_along = 0.0
        self.gained = self.gain = 0.0
        self.n_products = 0

    def step(self) -> bool:
        """Minimise the model along one more conjugate direction, by a product with H; changes self.

        Return True; False, without a step, if H has no curvature along the direction, up to
        rounding.
        """
        self.n_products += 1
        product, conjugate_z = self._problem.curvature_product(self._point, self._conjugate)
        self.curvature_along = float(self._conjugate @ product)
        if self.curvature_along <= 0:
            self.gained = self.gained if np.any(self.vector) else np.inf
            return False
        length = self.energy / self.curvature_along
        daxpy(self._conjugate, self.vector, a=length)  # in place
        self._problem.add_outputs(length, conjugate_z, self.z_direction)
        daxpy(product, self._residual, a=-length)  # in place
        self._preconditioned = self._precondition(self._residual)
        self.previous_energy = self.energy
        self.energy = float(self._residual @ self._preconditioned)
        self.gain = length * self.previous_energy / 2
        self.gained += self.gain
        return True

    def update_direction(self) -> None:
        """Compute the next direction, conjugate to the previous ones; changes self."""
        self._conjugate *= self.energy / self.previous_energy
        self._conjugate += self._preconditioned


def truncated_newton_cg(
    problem: Objective,
    point: Evaluation,
    tol: float,
    inverse: Callable[[Vector], Vector] | None = None,
    max_products: float = np.inf,
) -> SearchDirection:
    """Solve H d = −g approximately by preconditioned conjugate gradients.

    Each iteration takes one product with H. There are two stopping tests:

    - Far from the minimum: the last product has decreased the model by less than a fraction of the
      mean decrease of all products (Nash and Sofer's test). The fraction, the forcing term, falls
      with the decrement.
    - If the decrease of the model so far is at most ``tol``: an upper bound on the decrease that is
      still missing is small enough. The first test would not do here, because the decreases do not
      fall steadily if columns are strongly correlated. The bound is ½ rᵀM⁻¹r/μ, with the residual
      r, the preconditioner M and the least eigenvalue μ of M⁻¹H. If M is the diagonal of H, μ is at
      least the ratio of the penalty's curvature and M. For another M, μ is estimated by the least
      curvature found so far, and the test is the only one.

    No test depends on the units of the features.

    Parameters
    ----------
    problem : Objective
        Computes the products with H.
    point : Evaluation
        Where H and g are taken.
    tol : float
        F − min F, in nats, below which the direction must be accurate.
    inverse : callable (vector) -> vector or None, default=None
        The product with M⁻¹, the inverse of an approximation of H; None means that M is the
        diagonal of H.
    max_products : float, default=inf
        Most products with H; a direction that needs more is not complete.

    Returns
    -------
    direction : SearchDirection

    References
    ----------
    S. G. Nash and A. Sofer, "Assessing a Search Direction within a Truncated-Newton Method",
    Operations Research Letters 9 (1990), equation 5. G. Meurant and P. Tichý, "On computing
    quadrature-based bounds for the A-norm of the error in conjugate gradients", Numerical
    Algorithms 62 (2013).
    """
    if inverse is None:
        diagonal = problem.curvature_diagonal(point) if point.diagonal is None else point.diagonal
        diagonal = np.where(diagonal > 0, diagonal, 1.0)
        l2 = problem.penalty.curvature_diagonal(problem.n_features)
        least_eigenvalue = float(np.min(l2 / diagonal[: problem.n_features]))
        cg = _ConjugateGradients(problem, point, partial(np.multiply, 1 / diagonal))
        enough = _TruncationTest(tol, least_eigenvalue)
    else:
        cg = _ConjugateGradients(problem, point, inverse)
        enough = _ErrorBoundTest(tol)
    is_enough = False
    while cg.energy > 0 and not is_enough and cg.n_products < max_products:
        if not cg.step():
            break
        is_enough = enough(cg) or cg.n_products >= PRODUCTS_PER_COORDINATE * len(cg.vector)
        cg.update_direction()
    complete = is_enough or cg.n_products < max_products
    is_certain = enough.is_bound(cg)
    return SearchDirection(
        cg.vector, 2 * cg.gained, cg.z_direction, cg.n_products, complete, is_certain
    )


class _ErrorBoundTest:
    """Stopping test of conjugate gradients: a bound on the missing decrease of the model is small.

    The bound uses the least curvature pᵀHp/pᵀMp found so far, at most 1. The test is called with a
    `_ConjugateGradients` after each product.

    Parameters
    ----------
    tol : float
        Tolerance of the run, in nats.
    """

    def __init__(self, tol: float) -> None:
        self._tol, self._least = tol, 1.0

    def __call__(self, cg: _ConjugateGradients) -> bool:
        self._least = min(self._least, cg.curvature_along / cg.previous_energy)
        negligible = max(forcing_term(cg.gained) * cg.gained, NEGLIGIBLE * self._tol)
        return cg.energy / 2 <= self._least * negligible

    def is_bound(self, cg: _ConjugateGradients) -> bool:
        """Return True: the least curvature found is taken for the least curvature that there is."""
        return True


class _TruncationTest:
    """Stopping test of conjugate gradients with the diagonal of H as preconditioner M.

    The test is called with a `_ConjugateGradients` after each product.

    Parameters
    ----------
    tol : float
        Decrease of the model, in nats, up to which the missing decrease is bounded.
    least_eigenvalue : float
        A lower bound on the eigenvalues of M⁻¹H.
    """

    def __init__(self, tol: float, least_eigenvalue: float) -> None:
        self._tol, self._least = tol, least_eigenvalue

    def __call__(self, cg: _ConjugateGradients) -> bool:
        if cg.gained > self._tol:
            return cg.n_products * cg.gain <= forcing_term(cg.gained) * cg.gained
        is_bounded = cg.energy / 2 <= self._least * FINAL_SHARE * cg.gained
        return is_bounded or cg.gain <= NEGLIGIBLE_GAIN * cg.gained

    def is_bound(self, cg: _ConjugateGradients) -> bool:
        """Return whether the decrease that is missing is at most ``tol``, by a bound.

        In the intercept, which has no penalty, the least eigenvalue is not a bound but an estimate.
        """
        return cg.energy / 2 <= self._least * max(self._tol, FINAL_SHARE * cg.gained)


def forcing_term(gained: float) -> float:
    """Return the fraction of the decrease of the model that a step may miss, in [0.01, 0.5].

    The fraction is the square root of ``gained``, the decrease of the model so far in nats, within
    these limits.
    """
    return float(np.clip(np.sqrt(gained), MIN_FORCING, MAX_FORCING))
