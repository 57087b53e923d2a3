"""An upper bound on F − min F by duality, which holds at every point.

For any slopes v with y + v in [0, 1], and Σ pv = 0 if there is an intercept, Fenchel duality
gives, with the offset o of the linear outputs o + Zθ::

    min F >= Σ p [H(y + v) + vo] − P*(−Zᵀpv)        H(q) = −q log q − (1−q) log(1−q)

with the conjugate P*(g) = max Σ gᵢuᵢ − P(u) of the penalty. Without bounds that is
Σ max(|gᵢ| − κᵢ, 0)²/(2λᵢ). Where λᵢ = 0, and no bound ends the growth of uᵢ in the direction of gᵢ,
|gᵢ| must be at most κᵢ. F minus the right side is the duality gap. It is 0 at the minimum, for the
slopes a − y.

At another point, the slopes are v = t·(a − y − c·a(1−a)):

- c is the Newton step of the intercept, with which Σ pv = 0. For |c| <= 1 the slopes are feasible.
- t in [0, 1] shrinks the slopes until |gᵢ| <= κᵢ where it must be.

References
----------
S.-J. Kim, K. Koh, M. Lustig, S. Boyd and D. Gorinevsky, "An Interior-Point Method for Large-Scale
l1-Regularized Least Squares", IEEE Journal of Selected Topics in Signal Processing 1 (2007).
"""

from __future__ import annotations

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._objective.penalty import Penalty


def duality_gap(objective: Objective, point: Evaluation) -> float | None:
    """Return an upper bound on F(θ) − min F, in nats; it holds but for the rounding of sums.

    Near the minimum the bound is of second order in the distance if λ > 0, and of first order if
    slopes are shrunk: it is then larger than F(θ) − min F.

    The bound takes one pass if there is an intercept whose gradient is not 0, and none otherwise.

    Parameters
    ----------
    objective : Objective
        F, with any strengths λ and κ, weights, and hard or soft targets.
    point : Evaluation
        Evaluation of the objective at θ, with gradient and curvature.

    Returns
    -------
    gap : float or None
        At most F(θ), as F is at least 0. None if outputs are not kept in memory.
    """
    if point.z is None:
        return None
    p = objective.n_features
    gradient = point.gradient[:p] - objective.penalty.gradient(point.theta[:p])
    step = 0.0
    if objective.coordinates.fit_intercept and point.gradient[p]:
        product, _ = objective.curvature_product(point, np.eye(1, p + 1, p)[0])
        # A step above 1 is not used. It is not infinite, so that products with t = 0 are 0.
        step = float(point.gradient[p] / max(product[p], abs(point.gradient[p]) / 2))
        gradient -= step * product[:p]
    penalty = objective.penalty
    shares = _shares(penalty, -gradient) if abs(step) <= 1 else set()
    dual = max(
        objective.entropy_of_slopes(point.z, step, share) - penalty.conjugate(-share * gradient)
        for share in shares | {0.0}  # v = 0 is always feasible
    )
    return max(point.value - dual, 0.0)


def bound_by_gap(objective: Objective, theta: Vector) -> float:
    """Return the duality gap at θ in nats, in two passes at most; infinity if it is not known."""
    gap = duality_gap(objective, objective.evaluate(theta))
    return np.inf if gap is None else gap


def _shares(penalty: Penalty, gradient: Vector) -> set[float]:
    """Return values of t: the largest with |tg| <= κ where it must be, and the largest anywhere.

    ``gradient`` is g, of shape (n_features,).
    """
    l1 = np.broadcast_to(penalty.l1, gradient.shape)
    exceeds = np.abs(gradient) > l1
    ratio = np.divide(l1, np.abs(gradient), out=np.ones_like(gradient), where=exceeds)
    end = np.where(gradient > 0, penalty.upper, penalty.lower)
    must = (penalty.curvature_diagonal(len(gradient)) == 0) & np.isinf(end)
    return {float(np.min(ratio, where=must, initial=1.0)), float(np.min(ratio, initial=1.0))}
