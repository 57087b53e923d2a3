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

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.base import Monitor, Result, Settings, Solver, StopReason
from sklearn_bce._solvers.newton.cost import Costs, row_space_is_smaller
from sklearn_bce._solvers.newton.loop import Start, by_newton
from sklearn_bce._solvers.newton.path import Memory
from sklearn_bce._solvers.newton.row_space import RowSpace, bound
from sklearn_bce._solvers.newton.subsample import (
    knows_every_column,
    may_leave_no_weight,
    penalty_prevails,
    sample_of,
)

# A sample is not to be solved better than it stands for all.
SHARE_OF_SAMPLING_ERROR = 0.1
STEPS_ON_SAMPLE = 100  # many more than it takes


def solve(
    objective: InMemoryObjective, w: NDArray[np.float64], b: float, settings: Settings
) -> Result:
    """Repeat θ ← θ + t·d, d = −H⁻¹g, until the decrement is small."""
    start, curve = None, []
    if settings.path_state is not None and settings.path_state.is_of(objective, w, b):
        start = by_memory(objective, settings)
    elif settings.tol > 0 and not (np.any(w) or b):  # else all steps are asked for, or there is one
        if row_space_is_smaller(objective):
            result = by_row_space(objective, settings)
            if result is not None:
                w, b, curve = result.w, result.b, result.loss_curve
                settings = replace(settings, max_iter=settings.max_iter - len(curve))
                if (
                    result.converged
                    or result.stop_reason is StopReason.STOPPED
                    or not settings.max_iter
                ):
                    return result
        elif has_few_rows(objective, settings.tol):
            start = by_few_rows(objective, settings)
    if start is None:
        problem = objective.standardised()
        if not (np.any(w) or b or objective.penalty.is_smooth):
            b = objective.log_odds  # with which no weight at all may be the minimum
        start = Start(problem, problem.coordinates.from_user(w, b))
    descent = by_newton(start, settings)
    w, b = start.problem.coordinates.to_user(descent.point.theta)
    curve, memory = curve + descent.loss_curve, None
    if settings.warm_start and objective.caches_outputs and not objective.penalty.is_smooth:
        memory = Memory(start.problem, descent.point, descent.find_step)
    n_passes = start.problem.n_passes
    return Result(w, b, stop_reason(descent), curve, n_passes, memory)


def has_few_rows(objective: InMemoryObjective, tol: float) -> bool:
    """Return whether it is worth solving the problem on a few rows first."""
    if not objective.caches_outputs:
        return True  # a pass more takes longer
    return Costs.of(objective).sample_size(objective.n_samples, tol) > 0


def stop_reason(descent):
    if descent.converged:
        return StopReason.CONVERGED
    return StopReason.STOPPED if descent.stopped else StopReason.MAX_ITER


def by_memory(objective: InMemoryObjective, settings: Settings) -> Start:
    """Return a start from where the last descent over the same samples has ended."""
    problem = objective.in_coordinates(settings.path_state.coordinates)
    return Start(problem, settings.path_state.expected(problem, settings.tol), on_path=True)


def by_row_space(objective: InMemoryObjective, settings: Settings) -> Result | None:
    """Return the minimum as found in the space of the samples, None if there is no such space.

    It has converged if the gradient with respect to the weights themselves says so too: where
    columns are of very different sizes, products of samples say little of the small ones.
    """
    space = RowSpace.of(objective)
    if space is None:
        return None
    problem = space.problem(objective).standardised()

    def to_user(theta: Vector) -> tuple[Vector, float]:
        return space.to_user(*problem.coordinates.to_user(theta))

    start = Start(problem, np.zeros(problem.coordinates.size), to_user=to_user)
    descent = by_newton(start, settings)
    w, b = to_user(descent.point.theta)
    point = objective.evaluate(objective.coordinates.from_user(w, b))
    converged = descent.converged and bound(objective, point) <= settings.tol
    curve = descent.loss_curve
    reason = stop_reason(descent)
    if descent.converged and not converged:
        reason = StopReason.MAX_ITER
    return Result(w, b, reason, curve, objective.n_passes)


def by_few_rows(objective: InMemoryObjective, settings: Settings) -> Start | None:
    """Return a start from what a few rows tell; None if that is nothing."""
    coordinates = penalty_prevails(objective, settings.random_state)
    if coordinates is not None:
        return Start(objective.in_coordinates(coordinates), np.zeros(coordinates.size))
    sample = sample_of(objective, settings.tol, settings.random_state)
    if sample is None:
        return None
    sample = sample.standardised()  # any coordinates near the standard ones of all will do
    if not objective.penalty.is_smooth and may_leave_no_weight(sample):
        return None  # so few weights are soon found on all rows, and none is exactly none
    return by_sample(objective.in_coordinates(sample.coordinates), sample, settings)


def by_sample(problem: InMemoryObjective, sample: InMemoryObjective, settings: Settings) -> Start:
    """Return the minimum on a sample, to its own sampling error, and the curvature there."""
    error = problem.coordinates.size / (2 * sample.n_samples)
    tol = max(SHARE_OF_SAMPLING_ERROR * error, settings.tol)
    settings = replace(settings, tol=tol, max_iter=STEPS_ON_SAMPLE, monitor=Monitor())
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
    if problem.caches_outputs:  # else the sample has been brought in by a pass of its own
        problem.n_passes += sample.n_passes * sample.n_samples / problem.n_samples
    return start


SOLVER = Solver(solve, advice="Increase max_iter or, if C=inf, lower C.")
