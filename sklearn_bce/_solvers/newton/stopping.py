"""When Newton's method stops: tests of whether F is within ``tol`` of its minimum.

Half the squared Newton decrement estimates F − min F, whatever the units of the features are. An
inexact or stale curvature makes it an estimate of an estimate, so that each test has a margin.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from sklearn_bce._solvers.newton.direction import SearchDirection

# A point is accepted without a step if this multiple of half its squared decrement is at most
# ``tol``, by the curvature at the point itself. The decrement is inversely proportional to the
# curvature, which may fall to a half on the way to the minimum. python -m benchmarks.tuning MARGIN
MARGIN = 2.0
# The same if the curvature is that of a point before: it may fall to a half up to this point, and
# to a half of that on the way to the minimum. python -m benchmarks.tuning STALE_MARGIN
STALE_MARGIN = 4.0
# Share of ``tol`` that a last step by stale curvature may be expected to leave. Coefficients are
# off by the root of it, 0.3 % of what they are off by at ``tol``. On Gaussian data of 100 000
# rows and more a hundredth of this share takes a pass more, a hundred times as much a pass less:
# python -m benchmarks.tuning STALE_LEAVES
STALE_LEAVES = 1e-5


class Verdict(Enum):
    """What the stopping test expects of the next step."""

    CONTINUE = "more steps follow"
    NEXT_IS_LAST = "after this step one more may do"
    LAST = "after this step F is within tol of its minimum"


class StoppingTest:
    """Tests a search direction for convergence.

    Parameters
    ----------
    tol : float
        Distance of F from its minimum, in nats, at which Newton's method stops; 0 means never.
    """

    def __init__(self, tol: float) -> None:
        self.tol = tol

    def is_within_tol(self, d: SearchDirection) -> bool:
        """Return whether the point from which the direction leads is within ``tol``."""
        margin = STALE_MARGIN if d.is_stale else MARGIN
        return d.complete and margin * d.decrement / 2 <= self.tol > 0

    def predict(self, d: SearchDirection, previous_decrement: float) -> Verdict:
        """Return what is left after a step along the direction.

        Each step takes off a larger share of what is left than the one before, so the step leaves
        at most the share of half its decrement that the previous step left.

        Parameters
        ----------
        d : SearchDirection
            The direction of the step.
        previous_decrement : float
            Squared decrement of the step before; 0 if there is none.
        """
        share = 1.0
        if 0 <= d.decrement < previous_decrement:
            share = d.decrement / previous_decrement
        left = share * d.decrement / 2
        allowed = (STALE_LEAVES if d.is_stale else np.inf) * self.tol
        if d.complete and d.decrement / 2 <= self.tol > 0 and left <= allowed:
            return Verdict.LAST
        return Verdict.NEXT_IS_LAST if d.complete and left <= self.tol else Verdict.CONTINUE

    def stale_step_suffices(self, d: SearchDirection, previous_decrement: float) -> bool:
        """Return whether a step by the curvature of the step before leaves next to nothing."""
        left = d.decrement**2 / 2  # times the decrement of the step before
        return left <= STALE_LEAVES * self.tol * previous_decrement and self.is_within_tol(
            d._replace(n_products=0)
        )
