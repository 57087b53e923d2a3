"""Newton's method: the gradient of the derivation, multiplied by the inverse curvature.

The method works in coordinates in which the columns of X are centred and scaled, so that the units
of the features do not slow it down. It stops when half the squared Newton decrement, an estimate of
F − min F, is at most ``tol``; this estimate does not depend on the units either. From a start, the
method repeats:

1. Search direction: find the d that minimises the quadratic model gᵀd + ½dᵀHd, with the gradient g
   and the curvature H of F at θ.
2. Step length: near the minimum θ ← θ + d; far from it θ ← θ + t·d with the t that minimises F.
3. Curvature: correct the approximation of H by the change of the gradient along the step.
4. Stop if F is expected to be within ``tol`` of its minimum, unless an outlier may be the reason
   why the decrement is small.

The modules, each of which imports only those above it:

- ``cost``: a model of what passes, curvature matrices and factorisations cost.
- ``continuation``: the sequence of penalties before a weak one, for few samples.
- ``inverse``: the inverse of curvature, by a factorisation or corrected along steps.
- ``direction``: what a search direction is, and the base class of the rules that find them.
- ``conjugate_gradients``: search directions from products with the curvature.
- ``smooth``: search directions for a smooth F, by a factorisation, by curvature from an earlier
  point or by conjugate gradients.
- ``duality``: an upper bound on F − min F.
- ``quadratic``: the quadratic model with an L1 norm, and its minimum.
- ``nearby``: derivatives at one point, from which fits to nearly the same samples start.
- ``path``: the state of a fit from which the next fit along a path of C can start.
- ``proximal``: search directions with an L1 norm, and the choice of the direction rule.
- ``stopping``: tests of whether F is within ``tol`` of its minimum.
- ``line_search``: the step length along a direction.
- ``safeguards``: checks for the situations in which the stopping test or a step may be wrong.
- ``subsample``: the number of rows to sample, and the use of their curvature on all rows.
- ``loop``: the loop from a start to the minimum.
- ``in_cache``: for small data: the whole of Newton's method in one compiled call.
- ``row_space``: for more features than samples: as many coordinates as samples.
- ``dual_ascent``: for more features than samples: coordinate ascent on the dual.
- ``starts``: start rules, which choose where the loop starts.
- ``robust``: the end of a run in the coordinates of the samples whose class is not certain.
- ``separated_alone``: features that separate the classes alone, and samples that they separate.
- ``tangents``: tangents to the losses of samples whose curvature hides that of the others.
- ``whitening``: that end in a basis in which no curvature is lost in rounding, for a smooth F.
- ``root_proximal``: that end with a root of H, and search directions from the root, with an L1
  norm.
- ``solver``: the solver: start rule, loop, and confirmation where curvature was lost.
- ``rank``: least squares and null space of rows, with their rank revealed.
- ``kept_samples``: samples that are known not to be separated.
- ``exact_program``: a linear program in exact arithmetic, for few samples.
- ``separating_direction``: a direction that separates the other samples, by linear programs.
- ``signed_direction``: such a direction where weights have bounds.
- ``separation``: whether the classes are separated, so that F has no minimum.
- ``diagnosis``: the distance of F from its minimum.
- ``leave_one_out``: the output of each sample by the fit without it, to first order.

References
----------
S. Boyd and L. Vandenberghe, "Convex Optimization", 2004, section 9.5.
"""

from __future__ import annotations

from sklearn_bce._solvers.base import Solver
from sklearn_bce._solvers.newton.solver import solve

__all__ = ["SOLVER"]

SOLVER = Solver(solve, advice="Increase max_iter.")
