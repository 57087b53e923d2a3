"""Newton's method: the gradient of the derivation, multiplied by the inverse curvature.

It works in centred, scaled coordinates, where columns in different units are no harder than others,
and stops when half the squared Newton decrement, the expected distance of F from its minimum, is at
most ``tol``: a number that does not change when a feature changes its unit.

1. Evaluate F and its gradient at θ (one pass over X).
2. Find the step d that minimises the quadratic model gᵀd + ½dᵀHd.
3. Go along d as far as F falls enough.
4. Stop if the model had no more than ``tol`` to gain.

References
----------
S. Boyd and L. Vandenberghe, "Convex Optimization", 2004, section 9.5.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._coordinates import Vector
from sklearn_bce._objective import Objective, Point
from sklearn_bce._solvers._newton_step import Step, StepFinder
from sklearn_bce._solvers._record import Result, Settings, Solver

SUFFICIENT_DECREASE = 1e-4  # of what the gradient promises (Armijo)
MAX_HALVINGS = 50
# F is a sum of rounded numbers: a fall smaller than this share of it cannot be told from none.
ROUNDING = 8 * np.finfo(np.float64).eps


def solve(objective: Objective, w: NDArray[np.float64], b: float, settings: Settings) -> Result:
    """Repeat θ ← θ + t·d, d = −H⁻¹g, until the decrement is small."""
    problem = objective.standardised()
    find_step = StepFinder(problem, settings.tol)
    point = problem.evaluate(starting_point(problem, w, b), hessian=find_step.needs_hessian)
    loss_curve: list[float] = []
    converged, moved, started_elsewhere = False, True, bool(np.any(point.theta))
    while len(loss_curve) < settings.max_iter and moved and not converged:
        step = find_step(point)
        converged = settings.tol > 0 and step.decrement / 2 <= settings.tol
        hessian = find_step.needs_hessian and not converged
        point, moved = go_along(problem, point, step, hessian=hessian)
        loss_curve.append(point.value)
        if not moved and started_elsewhere:
            # Samples of which the neuron was sure from the start leave no curvature to go by.
            point = problem.evaluate(np.zeros_like(point.theta), hessian=find_step.needs_hessian)
            started_elsewhere, converged, moved = False, False, True
        moved = moved or settings.tol == 0
    w, b = problem.coordinates.to_user(point.theta)
    objective.n_passes = problem.n_passes
    return Result(w, b, len(loss_curve), converged, loss_curve)


def starting_point(problem: Objective, w: NDArray[np.float64], b: float) -> Vector:
    """Return θ of (w, b), or 0 if that is the better start.

    Where a start is wrong about most samples, and sure of it, the loss is all but straight and its
    curvature says nothing; at 0 it is at its largest.
    """
    theta = problem.coordinates.from_user(w, b)
    if np.any(theta) and problem.evaluate(theta).value >= np.log(2):  # F(0), whatever the data
        return np.zeros_like(theta)
    return theta


def go_along(problem: Objective, point: Point, step: Step, *, hessian: bool) -> tuple[Point, bool]:
    """Return the point on the ray from ``point`` along the step where F has fallen enough.

    The whole step is tried first, by a full evaluation: almost always it is the one. Only then is
    it halved, at no further pass until F has fallen enough. The second item is False if F falls
    nowhere, which is the end of what rounded numbers can do.
    """
    z = None if step.along is None else point.z + step.along
    candidate = problem.evaluate(point.theta + step.vector, z, hessian=hessian)
    rounding = ROUNDING * abs(point.value)
    if candidate.value <= point.value - SUFFICIENT_DECREASE * step.decrement + rounding:
        return candidate, True
    along = candidate.z - point.z
    length = 1.0
    for _ in range(MAX_HALVINGS):
        length /= 2
        theta, z = point.theta + length * step.vector, point.z + length * along
        fallen = point.value - problem.value_at(theta, z)
        if fallen > 0 and fallen >= SUFFICIENT_DECREASE * length * step.decrement:
            return problem.evaluate(theta, z, hessian=hessian), True
    return point, False


SOLVER = Solver(solve, supports_l1=False, advice="Increase max_iter or, if C=inf, lower C.")
