"""Newton's method: the gradient of the derivation, multiplied by the inverse curvature.

It works in centred, scaled coordinates, where columns in different units are no harder than others,
and stops when half the squared Newton decrement, the expected distance of F from its minimum, is at
most ``tol``: a number that does not change when a feature changes its unit. From a start, it
repeats:

1. Find the direction d that minimises the quadratic model gᵀd + ½dᵀHd.
2. Go along d to where F is least; near the minimum, by d.
3. Correct the curvature known so far by how the gradient has changed.
4. Stop if no more than ``tol`` is expected to be left, unless an outlier may hide the rest.

The modules, each of which imports only those above it:

- ``cost``: what passes, curvatures and factors cost, and what is chosen by it.
- ``direction``: search directions for a smooth F: a factor, stale curvature or conjugate gradients.
- ``quadratic``: the quadratic model with an L1 norm, and its minimum.
- ``path``: what a fit leaves for the next fit along a path of C.
- ``proximal``: search directions with an L1 norm, and the choice of the rule.
- ``stopping``: tests of whether F is within ``tol`` of its minimum.
- ``line_search``: how far to go along a direction.
- ``safeguards``: what keeps a stopping test or a step from being wrong.
- ``subsample``: how many rows to sample, and what their curvature is good for.
- ``loop``: the loop from a start to the minimum.
- ``row_space``: more features than samples: as many coordinates as samples.
- ``starts``: start rules.
- ``diagnosis``: how far F is from its minimum, and whether the classes are separated.

References
----------
S. Boyd and L. Vandenberghe, "Convex Optimization", 2004, section 9.5.
"""

from __future__ import annotations

from dataclasses import replace

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._solvers.base import Result, Settings, Solver
from sklearn_bce._solvers.newton.loop import minimise
from sklearn_bce._solvers.newton.starts import START_RULES

__all__ = ["SOLVER", "solve"]


def solve(objective: Objective, w: Vector, b: float, settings: Settings) -> Result:
    """Minimise F from where the first start rule that applies says; see `Solver`."""
    found = (rule(objective, w, b, settings) for rule in START_RULES)
    start = next(start for start in found if start is not None)
    if isinstance(start, Result):
        return start
    curve = list(start.loss_curve)
    settings = replace(settings, max_iter=settings.max_iter - len(curve))
    end = minimise(start, settings)
    w, b = start.problem.coordinates.to_user(end.point.theta)
    return Result(
        w,
        b,
        end.stop_reason,
        curve + end.loss_curve,
        start.problem.n_passes,
        end.direction.path_state(end.point),
    )


SOLVER = Solver(solve, advice="Increase max_iter or, if C=inf, lower C.")
