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

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._coordinates import Vector
from sklearn_bce._objective import Objective
from sklearn_bce._point import Point
from sklearn_bce._solvers._cost import Costs, row_space_is_smaller
from sklearn_bce._solvers._newton_step import Step, StepFinder, by_inverse, positive_solver
from sklearn_bce._solvers._record import Result, Settings, Solver
from sklearn_bce._solvers._row_space import RowSpace
from sklearn_bce._solvers._sample import (
    knows_every_column,
    penalty_prevails,
    sample_of,
    with_diagonal,
)

SUFFICIENT_DECREASE = 1e-4  # of what the gradient promises (Armijo)
MAX_HALVINGS = 50
# Where the step promises more than this share of F, it is worth looking how long it should be: on
# breast cancer, digits and adult that saves 3 of 8 steps.
WORTH_A_SEARCH = 0.01
# Upon an estimate by the curvature at the point before, where that at the point itself is less.
MARGIN = 4.0
# A sample is not to be solved better than it stands for all.
SHARE_OF_SAMPLING_ERROR = 0.1
# What a last step by the curvature of elsewhere may leave, in units of tol: Newton's leaves less,
# and coefficients are off by the root of it.
ENOUGH = 1e-5
MAX_LENGTH, MAX_SEARCHES, LENGTH_TOL = 10.0, 20, 0.2
# F is a sum of rounded numbers: what differs by this share of it may be the same.
ROUNDING = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}


@dataclass(frozen=True)
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
    n_products : float
        Products with the curvature that it took; infinite where that was formed.
    """

    point: Point
    converged: bool
    loss_curve: list[float]
    n_products: float


class Start(NamedTuple):
    """Where a descent starts.

    Attributes
    ----------
    problem : Objective
        In the coordinates of the descent.
    theta : ndarray of shape (size,)
        The start.
    matrix : ndarray of shape (size, size) or None
        A curvature like that of the problem, of a sample.
    knows_every_column : bool
        Whether its diagonal is like that of the problem, in every entry.
    """

    problem: Objective
    theta: Vector
    matrix: NDArray[np.float64] | None = None
    knows_every_column: bool = False


def solve(objective: Objective, w: NDArray[np.float64], b: float, settings: Settings) -> Result:
    """Repeat θ ← θ + t·d, d = −H⁻¹g, until the decrement is small."""
    start = None
    if settings.tol > 0 and not (np.any(w) or b):  # else all steps are asked for, or there is one
        if row_space_is_smaller(objective):
            result = by_row_space(objective, settings)
            if result is not None:
                if result.converged:
                    return result
                w, b = result.w, result.b
        elif Costs.of(objective).sample_size(objective.n_samples, settings.tol):
            start = by_few_rows(objective, settings)
    if start is None:
        problem = objective.standardised()
        start = Start(problem, problem.coordinates.from_user(w, b))
    descent = by_newton(start, settings)
    w, b = start.problem.coordinates.to_user(descent.point.theta)
    curve = descent.loss_curve
    return Result(w, b, len(curve), descent.converged, curve, start.problem.n_passes)


def by_row_space(objective: Objective, settings: Settings) -> Result | None:
    """Return the minimum as found in the space of the samples, None if there is no such space.

    It has converged if the gradient with respect to the weights themselves says so too: where
    columns are of very different sizes, products of samples say little of the small ones.
    """
    space = RowSpace.of(objective)
    if space is None:
        return None
    problem = space.problem(objective).standardised()
    descent = by_newton(Start(problem, np.zeros(problem.coordinates.size)), settings)
    w, b = space.to_user(*problem.coordinates.to_user(descent.point.theta))
    point = objective.evaluate(objective.coordinates.from_user(w, b))
    converged = descent.converged and objective.bound(point) <= settings.tol
    curve = descent.loss_curve
    return Result(w, b, len(curve), converged, curve, objective.n_passes)


def by_few_rows(objective: Objective, settings: Settings) -> Start | None:
    """Return a start from what a few rows tell; None if that is nothing."""
    coordinates = penalty_prevails(objective, settings.random_state)
    if coordinates is not None:
        return Start(objective.in_coordinates(coordinates), np.zeros(coordinates.size))
    sample = sample_of(objective, settings.tol, settings.random_state)
    if sample is None:
        return None
    sample = sample.standardised()  # any coordinates near the standard ones of all will do
    return by_sample(objective.in_coordinates(sample.coordinates), sample, settings)


def by_sample(problem: Objective, sample: Objective, settings: Settings) -> Start:
    """Return the minimum on a sample, to its own sampling error, and the curvature there."""
    error = problem.coordinates.size / (2 * sample.n_samples)
    settings = replace(settings, tol=max(SHARE_OF_SAMPLING_ERROR * error, settings.tol))
    smaller = sample_of(sample, settings.tol, settings.random_state)
    start = Start(sample, np.zeros(problem.coordinates.size))
    if smaller is not None:
        start = by_sample(sample, smaller, settings)
    descent = by_newton(start, settings)
    start = Start(problem, descent.point.theta)
    if Costs.of(sample).worth_factorising(descent.n_products, Costs.of(problem)):
        point = sample.evaluate(descent.point.theta, descent.point.z, hessian=True)
        every_column = knows_every_column(sample, point.curvature)
        start = Start(problem, point.theta, point.hessian, every_column)
    problem.n_passes += sample.n_passes * sample.n_samples / problem.n_samples
    return start


def by_newton(start: Start, settings: Settings) -> Descent:
    """Go down by Newton's steps."""
    problem, theta, matrix, known = start
    find_step = StepFinder(problem, settings.tol)
    if matrix is None:
        wanted = {"hessian": find_step.needs_hessian, "diagonal": find_step.needs_diagonal}
    else:
        wanted = {"diagonal": not known}
    point = evaluated(problem, theta, **wanted)
    if np.any(theta) and point.value >= np.log(2):  # F(0), whatever the data
        # Where a start is wrong about most samples, and sure of it, the loss is all but straight
        # and its curvature says nothing; at 0 it is at its largest.
        point = evaluated(problem, np.zeros_like(theta), **wanted)
    if matrix is not None:
        matrix = matrix if known else with_diagonal(matrix, point.diagonal)
        find_step.take(positive_solver(matrix))
    n_products, loss_curve = 0.0, []
    converged, moved, started_elsewhere = False, True, bool(np.any(point.theta))
    last_decrement = 0.0
    while len(loss_curve) < settings.max_iter and moved and not converged:
        step = find_step(point)
        n_products += step.n_products if point.hessian is None else np.inf
        # A step takes off a larger share of what is left than the one before.
        share = step.decrement / last_decrement if step.decrement < last_decrement else 1.0
        enough = ENOUGH if point.hessian is None and not step.n_products else np.inf
        converged = step.complete and step.decrement / 2 <= settings.tol > 0
        converged = converged and share * step.decrement / 2 <= enough * settings.tol
        hopeful = step.complete and share * step.decrement / 2 <= settings.tol
        last_decrement = step.decrement
        near = find_step.penalty_prevails or not is_far(point, step)
        if not near:
            find_step.expect_other_curvature()
        hessian = find_step.needs_hessian and not hopeful
        theta, gradient = point.theta, point.gradient  # the rest of a point may be large
        point, moved = go_along(
            problem,
            point,
            step,
            hessian=hessian,
            diagonal=find_step.needs_diagonal,
            search=not near,
            last=converged,
        )
        if not converged:
            find_step.learn(point.theta - theta, point.gradient - gradient)
        if hopeful and near and moved and not converged and find_step.inverse is not None:
            # The curvature of the step before is good enough to tell, and for one step more.
            last = by_inverse(point, find_step.inverse)
            left = last.decrement / step.decrement * last.decrement / 2
            if MARGIN * last.decrement / 2 <= settings.tol and left <= ENOUGH * settings.tol:
                point, converged = go_along(problem, point, last)[0], True
        loss_curve.append(point.value)
        if not moved and started_elsewhere:
            # Samples of which the neuron was sure from the start leave no curvature to go by.
            point = evaluated(problem, np.zeros_like(point.theta), **wanted)
            started_elsewhere, converged, moved = False, False, True
        moved = moved or settings.tol == 0
    return Descent(point, converged, loss_curve, n_products)


def evaluated(problem: Objective, theta: Vector, **wanted: bool) -> Point:
    """Return the point, with what is wanted of the curvature; at 0 the outputs are known."""
    z = None if np.any(theta) else np.zeros(problem.n_samples)
    return problem.evaluate(theta, z, **wanted)


def go_along(
    problem: Objective,
    point: Point,
    step: Step,
    *,
    hessian: bool = False,
    diagonal: bool = False,
    search: bool = False,
    last: bool = False,
) -> tuple[Point, bool]:
    """Return the point on the ray from ``point`` along the step where F has fallen enough.

    Far from the minimum that is where F is least on the ray: Newton's step is the right one for a
    curvature that stays what it is, and that of the loss falls on the way. Near it, it is the whole
    step. Only if F has not fallen there is the step halved, at no further pass until it has. The
    second item is False if F falls nowhere, which is the end of what rounded numbers can do. After
    the last step, the point may have no derivatives.
    """
    along, length = step.along, 1.0
    if last and not search and along is not None:
        theta, z = point.theta + step.vector, point.z + along
        value = problem.value_at(theta, z)
        if point.value - value >= SUFFICIENT_DECREASE * step.decrement:
            return Point(theta, value, None, z, None), True
    if search:
        along = problem.outputs(step.vector) if along is None else along
        length = best_length(problem, point, step, along)
    z = None if along is None else point.z + length * along
    candidate = problem.evaluate(
        point.theta + length * step.vector, z, hessian=hessian, diagonal=diagonal
    )
    if _fell_enough(point, candidate, step, ROUNDING[problem.X.dtype]):
        return candidate, True
    along = candidate.z - point.z if along is None else along
    for _ in range(MAX_HALVINGS):
        length /= 2
        theta, z = point.theta + length * step.vector, point.z + length * along
        fallen = point.value - problem.value_at(theta, z)
        if fallen > 0 and fallen >= SUFFICIENT_DECREASE * length * step.decrement:
            return problem.evaluate(theta, z, hessian=hessian, diagonal=diagonal), True
    return point, False


def _fell_enough(point: Point, candidate: Point, step: Step, rounding: float) -> bool:
    """Return whether F has fallen by a share of what the step promised, or its slope along it.

    What F falls by near its minimum is lost in the rounding of F, long before its slope is: the
    test is then that of Hager and Zhang, "A New Conjugate Gradient Method with Guaranteed Descent
    and an Efficient Line Search", SIAM Journal on Optimization 16 (2005), equation 4.3.
    """
    fallen = point.value - candidate.value
    if fallen >= SUFFICIENT_DECREASE * step.decrement:
        return True
    slope = abs(float(candidate.gradient @ step.vector))
    return fallen >= -rounding * point.value and slope <= step.decrement / 2 < np.inf


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
