"""Newton's method: the gradient of the derivation, multiplied by the inverse curvature.

It works in centred, scaled coordinates, where columns in different units are no harder than others,
and stops when half the squared Newton decrement, the expected distance of F from its minimum, is at
most ``tol``: a number that does not change when a feature changes its unit.

1. Evaluate F and its gradient at θ (one pass over X).
2. Find the step d that minimises the quadratic model gᵀd + ½dᵀHd.
3. Go along d to where F is least; near the minimum, by d.
4. Stop if no more than ``tol`` is expected to be left.

References
----------
S. Boyd and L. Vandenberghe, "Convex Optimization", 2004, section 9.5.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._coordinates import Vector
from sklearn_bce._objective import Objective, Point
from sklearn_bce._solvers._newton_step import Step, StepFinder, by_inverse
from sklearn_bce._solvers._record import Result, Settings, Solver
from sklearn_bce._solvers._sample import QuasiNewton, sample_rows

SUFFICIENT_DECREASE = 1e-4  # of what the gradient promises (Armijo)
MAX_HALVINGS = 50
# Where the step promises more than this share of F, it is worth looking how long it should be: on
# breast cancer, digits and adult that saves 3 of 8 steps.
WORTH_A_SEARCH = 0.01
# Upon an estimate by the curvature at the point before, where that at the point itself is less.
MARGIN = 4.0
# A sample is not to be solved better than it stands for all.
SHARE_OF_SAMPLING_ERROR = 0.1
# Half the squared decrement by a sample's curvature, in units of tol, at which the last step is
# taken: what it leaves is to be as little as what Newton's own last step leaves.
ENOUGH = 0.002
# The least that a step by a sample's curvature must take off: with less, full curvature is cheaper.
WORTH_GOING_ON = 0.5
MAX_LENGTH, MAX_SEARCHES, LENGTH_TOL = 10.0, 20, 0.2
# F is a sum of rounded numbers: what differs by this share of it may be the same.
ROUNDING = 1e-12


@dataclass
class Descent:
    """How far a way down has come.

    Attributes
    ----------
    point : Point
        Where it is.
    converged : bool
        Whether that is within ``tol`` of the minimum.
    loss_curve : list of float
        F after each step.
    hessian : ndarray of shape (size, size) or None
        The last curvature that was formed.
    """

    point: Point
    converged: bool = False
    loss_curve: list[float] = field(default_factory=list)
    hessian: NDArray[np.float64] | None = None


def solve(objective: Objective, w: NDArray[np.float64], b: float, settings: Settings) -> Result:
    """Repeat θ ← θ + t·d, d = −H⁻¹g, until the decrement is small."""
    rows = None
    if settings.tol > 0 and not (np.any(w) or b):  # else there is a start, or no hurry
        rows = sample_rows(objective, settings.random_state)
    problem = objective.standardised(rows)
    start = problem.coordinates.from_user(w, b)
    descent = None
    if rows is not None:
        descent = by_sample(problem, rows, start, settings)
    if descent is None or not (descent.converged or len(descent.loss_curve) >= settings.max_iter):
        descent = by_newton(problem, start if descent is None else descent, settings)
    w, b = problem.coordinates.to_user(descent.point.theta)
    objective.n_passes = problem.n_passes
    return Result(w, b, len(descent.loss_curve), descent.converged, descent.loss_curve)


def by_sample(
    problem: Objective, rows: NDArray[np.intp], start: Vector, settings: Settings
) -> Descent | None:
    """Go down on the rows of a sample first, then on all with the sample's curvature.

    None is returned if the sample has no curvature to offer; a descent that has not converged if
    the sample was not like the rest.
    """
    head = of_sample(problem, rows, start, settings)
    if head.hessian is None:
        return None
    point = problem.evaluate(head.point.theta)
    if point.value >= np.log(2):  # F(0): this sample has led astray
        return None
    descent = Descent(point)
    inverse = QuasiNewton.of_sample(problem, point, head.hessian)
    last_decrement = np.inf
    while len(descent.loss_curve) < settings.max_iter and not descent.converged:
        step = by_inverse(descent.point, inverse)
        descent.converged = step.decrement / 2 <= ENOUGH * settings.tol
        if step.decrement > WORTH_GOING_ON * last_decrement:
            break
        last_decrement = step.decrement
        point, moved = go_along(problem, descent.point, step, hessian=False)
        if not moved:
            break
        inverse.learn(descent.point, point)
        descent.point = point
        descent.loss_curve.append(point.value)
    return descent


def of_sample(
    problem: Objective, rows: NDArray[np.intp], start: Vector, settings: Settings
) -> Descent:
    """Return a descent on the rows of a sample, to within its own sampling error."""
    sample = problem.of_rows(rows)
    error = problem.coordinates.size / (2 * len(rows))
    settings = replace(settings, tol=max(SHARE_OF_SAMPLING_ERROR * error, settings.tol))
    fewer = sample_rows(sample, settings.random_state)
    if fewer is not None:
        start = of_sample(sample, fewer, start, settings).point.theta
    return by_newton(sample, start, settings, factorise=True)


def by_newton(
    problem: Objective, start: Vector | Descent, settings: Settings, *, factorise: bool = False
) -> Descent:
    """Go down by Newton's steps, from a start or from where another way down has come to."""
    find_step = StepFinder(problem, settings.tol, factorise)
    if isinstance(start, Descent):
        descent = start
    else:
        theta = starting_point(problem, start)
        descent = Descent(problem.evaluate(theta, hessian=find_step.needs_hessian))
    point, loss_curve = descent.point, descent.loss_curve
    converged, moved, started_elsewhere = False, True, bool(np.any(point.theta))
    last_decrement = 0.0
    while len(loss_curve) < settings.max_iter and moved and not converged:
        step = find_step(point)
        descent.hessian = descent.hessian if point.hessian is None else point.hessian
        converged = step.decrement / 2 <= settings.tol > 0
        # A step takes off a larger share of what is left than the one before.
        share = step.decrement / last_decrement if step.decrement < last_decrement else 1.0
        hopeful = share * step.decrement / 2 <= settings.tol
        last_decrement = step.decrement
        hessian = find_step.needs_hessian and not hopeful
        near = not is_far(point, step)
        point, moved = go_along(problem, point, step, hessian=hessian)
        if hopeful and near and moved and not converged and step.inverse is not None:
            # The curvature of the step before is good enough to tell, and for one step more.
            last = by_inverse(point, step.inverse)
            if MARGIN * last.decrement / 2 <= settings.tol:
                point, converged = go_along(problem, point, last, hessian=False)[0], True
        loss_curve.append(point.value)
        if not moved and started_elsewhere:
            # Samples of which the neuron was sure from the start leave no curvature to go by.
            point = problem.evaluate(np.zeros_like(point.theta), hessian=find_step.needs_hessian)
            started_elsewhere, converged, moved = False, False, True
        moved = moved or settings.tol == 0
    descent.point, descent.converged = point, converged
    return descent


def starting_point(problem: Objective, theta: Vector) -> Vector:
    """Return θ, or 0 if that is the better start.

    Where a start is wrong about most samples, and sure of it, the loss is all but straight and its
    curvature says nothing; at 0 it is at its largest.
    """
    if np.any(theta) and problem.evaluate(theta).value >= np.log(2):  # F(0), whatever the data
        return np.zeros_like(theta)
    return theta


def go_along(problem: Objective, point: Point, step: Step, *, hessian: bool) -> tuple[Point, bool]:
    """Return the point on the ray from ``point`` along the step where F has fallen enough.

    Far from the minimum that is where F is least on the ray: Newton's step is the right one for a
    curvature that stays what it is, and that of the loss falls on the way. Near it, it is the whole
    step. Only if F has not fallen there is the step halved, at no further pass until it has. The
    second item is False if F falls nowhere, which is the end of what rounded numbers can do.
    """
    along, length = step.along, 1.0
    if is_far(point, step):
        along = problem.outputs(step.vector) if along is None else along
        length = best_length(problem, point, step, along)
    z = None if along is None else point.z + length * along
    candidate = problem.evaluate(point.theta + length * step.vector, z, hessian=hessian)
    if _fell_enough(point, candidate, step):
        return candidate, True
    along = candidate.z - point.z if along is None else along
    for _ in range(MAX_HALVINGS):
        length /= 2
        theta, z = point.theta + length * step.vector, point.z + length * along
        fallen = point.value - problem.value_at(theta, z)
        if fallen > 0 and fallen >= SUFFICIENT_DECREASE * length * step.decrement:
            return problem.evaluate(theta, z, hessian=hessian), True
    return point, False


def _fell_enough(point: Point, candidate: Point, step: Step) -> bool:
    """Return whether F has fallen by a share of what the step promised, or its slope along it.

    What F falls by near its minimum is lost in the rounding of F, long before its slope is: the
    test is then that of Hager and Zhang, "A New Conjugate Gradient Method with Guaranteed Descent
    and an Efficient Line Search", SIAM Journal on Optimization 16 (2005), equation 4.3.
    """
    fallen = point.value - candidate.value
    if fallen >= SUFFICIENT_DECREASE * step.decrement:
        return True
    slope = abs(float(candidate.gradient @ step.vector))
    return fallen >= -ROUNDING * point.value and slope <= step.decrement / 2 < np.inf


def is_far(point: Point, step: Step) -> bool:
    """Return whether the curvature may change much on the way of the step."""
    return WORTH_A_SEARCH * point.value < step.decrement / 2 < np.inf


def best_length(problem: Objective, point: Point, step: Step, along: Vector) -> float:
    """Return t where F(θ + t·d) is least, to a few percent, by Newton's method on the ray.

    On the ray F is convex, so its derivative is negative before t and positive after it.
    """
    slope = problem.slope_on_ray(point, step.vector, along)
    low, high, length = 0.0, MAX_LENGTH, 1.0
    for _ in range(MAX_SEARCHES):
        first, second = slope(length)
        low, high = (length, high) if first < 0 else (low, length)
        trial = length - first / second if second > 0 else high
        if not low < trial < high:
            trial = (low + high) / 2
        if abs(trial - length) <= LENGTH_TOL * length:
            return trial
        length = trial
    return length


SOLVER = Solver(solve, supports_l1=False, advice="Increase max_iter or, if C=inf, lower C.")
