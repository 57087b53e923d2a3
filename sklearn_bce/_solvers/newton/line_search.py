"""A step, and the search along it: how far it should go."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.optimize import brentq

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce.chain_rule import sigmoid

SUFFICIENT_DECREASE = 1e-4  # of what the gradient promises (Armijo)
MAX_HALVINGS, MAX_HALVING_PASSES = 50, 10
# Where the step promises more than this share of F, it is worth looking how long it should be: on
# breast cancer, digits and adult that saves 3 of 8 steps.
WORTH_A_SEARCH = 0.01
MAX_LENGTH, MAX_SEARCHES, LENGTH_TOL = 10.0, 20, 0.2
# Of outputs: a step that moves one by more leaves where the curvature is what it was. What is lost
# on the way by the loss is e to the minus that, so that there is no more to see beyond. What less
# than this share of the decrement is due to has fallen silent long before.
LEAP, OUT_OF_SIGHT, SILENT = 0.9, 40.0, 1e-9
# F is a sum of rounded numbers: what differs by this share of it may be the same.
ROUNDING = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}


class Step(NamedTuple):
    """A minimiser of the quadratic model, exact or not.

    Attributes
    ----------
    vector : ndarray of shape (size,)
        d.
    decrement : float
        λ² = −gᵀd, twice what the model gains.
    along : ndarray of shape (n_samples,) or None
        Z·d, where finding d has given it.
    n_products : float
        Products with H that it took; infinite where H was formed at the point.
    complete : bool
        Whether the model was minimised as well as was wanted.
    """

    vector: Vector
    decrement: float
    along: Vector | None = None
    n_products: float = 0
    complete: bool = True


def go_along(
    problem: InMemoryObjective,
    point: Evaluation,
    step: Step,
    *,
    hessian: bool = False,
    diagonal: bool = False,
    search: bool = False,
    last: bool = False,
) -> tuple[Evaluation, bool]:
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
            return Evaluation(theta, value, None, z, None), True
    if search:
        along = problem.outputs(step.vector) if along is None else along
        length = best_length(problem, point, step, along)
    z = outputs_after(point, length, along)
    candidate = problem.evaluate(
        point.theta + length * step.vector, z, hessian=hessian, diagonal=diagonal
    )
    if _fell_enough(problem, point, candidate, step):
        return candidate, True
    if along is None and problem.caches_outputs:
        along = candidate.z - point.z
    halvings = MAX_HALVINGS
    if not problem.caches_outputs:  # a pass each, of which none tells what lies below rounding
        rounding = ROUNDING[problem.data_size.dtype] * point.value
        halvings = MAX_HALVING_PASSES if step.decrement > rounding else 0
    for _ in range(halvings):
        length /= 2
        theta, z = point.theta + length * step.vector, outputs_after(point, length, along)
        fallen = point.value - problem.value_at(theta, z)
        if fallen > 0 and fallen >= SUFFICIENT_DECREASE * length * step.decrement:
            return problem.evaluate(theta, z, hessian=hessian, diagonal=diagonal), True
    return point, False


def outputs_after(point: Evaluation, length: float, along: Vector | None) -> Vector | None:
    """Return z + t·Zd, None where that is not known."""
    return None if along is None else point.z + length * along


def _fell_enough(
    problem: InMemoryObjective, point: Evaluation, candidate: Evaluation, step: Step
) -> bool:
    """Return whether F has fallen by a share of what the step promised, or its slope along it.

    What F falls by near its minimum is lost in the rounding of F, long before its slope is: the
    test is then that of Hager and Zhang, "A New Conjugate Gradient Method with Guaranteed Descent
    and an Efficient Line Search", SIAM Journal on Optimization 16 (2005), equation 4.3.
    """
    fallen = point.value - candidate.value
    if fallen >= SUFFICIENT_DECREASE * step.decrement:
        return True
    slope = abs(problem.directional_derivative(candidate, step.vector))
    rounding = ROUNDING[problem.data_size.dtype]
    return fallen >= -rounding * point.value and slope <= step.decrement / 2 < np.inf


def is_far(point: Evaluation, step: Step) -> bool:
    """Return whether the curvature may change much on the way of the step."""
    return WORTH_A_SEARCH * point.value < step.decrement / 2 < np.inf


def best_length(problem: InMemoryObjective, point: Evaluation, step: Step, along: Vector) -> float:
    """Return t where F(θ + t·d) is least, to a few percent, by Newton's method on the ray.

    On the ray F is convex, so its derivative is negative before t and positive after it.
    """
    slope = slope_on_ray(problem, point, step.vector, along)
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


def is_leap(problem: InMemoryObjective, z: Vector, along: Vector, decrement: float) -> bool:
    """Return whether a step owes some of its decrement to a curvature that it leaves behind.

    Parameters
    ----------
    z, along : ndarray of shape (n_samples,)
        Outputs before the step, and by how much they change.
    """
    leaps = np.flatnonzero(np.abs(along) > LEAP)
    if not len(leaps):
        return False
    a = sigmoid(z[leaps])
    bend = problem.normalised_weight[leaps] * a * (1 - a) @ np.square(along[leaps])
    return bool(bend > SILENT * decrement)


def beyond(
    problem: InMemoryObjective,
    point: Evaluation,
    vector: Vector,
    along: Vector | None,
    *,
    hessian: bool = False,
    diagonal: bool = False,
) -> Evaluation | None:
    """Return the point where F is least on a ray, however far; None if there is none to be tried.

    A sample far from all others bends F so much that the model sees nothing else, and with each
    step it falls silent by a factor of e: this goes at once to where it has.

    Parameters
    ----------
    vector, along : ndarray of shape (size,), ndarray of shape (n_samples,) or None
        A step that has led to the point, and by how much the outputs changed. Where these are not
        known, it was one by 1.
    """
    length = OUT_OF_SIGHT
    if along is not None:
        length /= float(np.max(np.abs(along)))
        slope = slope_on_ray(problem, point, vector, along)
        if slope(0.0)[0] >= 0:
            return None
        if slope(length)[0] > 0:
            length = brentq(lambda t: slope(t)[0], 0.0, length, rtol=LENGTH_TOL)
    candidate = problem.evaluate(
        point.theta + length * vector,
        outputs_after(point, length, along),
        hessian=hessian,
        diagonal=diagonal,
    )
    return candidate if candidate.value <= point.value else None


def slope_on_ray(
    problem: InMemoryObjective, point: Evaluation, vector: Vector, along: Vector
) -> Callable[[float], tuple[float, float]]:
    """Return the function of t that gives dF/dt and d²F/dt² at θ + t·vector.

    It does not read X.

    Parameters
    ----------
    point : Point
        θ.
    vector, along : ndarray of shape (size,), ndarray of shape (n_samples,)
        The direction, and Z · vector.
    """
    u, du = point.theta[: problem.n_features], vector[: problem.n_features]
    penalty_bend = problem.penalty.gradient(du)
    penalty_slope = float(u @ penalty_bend)
    penalty_bend = float(du @ penalty_bend)
    ray_pass = kernels().ray_pass

    def slope(length: float) -> tuple[float, float]:
        first, second = ray_pass(problem.y, point.z, along, problem.normalised_weight, length)
        if not problem.penalty.is_smooth:
            first += problem.penalty.l1_slope(u + length * du, du)
        return first + penalty_slope + length * penalty_bend, second + penalty_bend

    return slope
