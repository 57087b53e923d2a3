"""When Newton's method stops: tests of whether F is within ``tol`` of its minimum.

Half the squared Newton decrement estimates F − min F, and does not depend on the units of the
features. The curvature may be inexact, or stale: known from an earlier point. Each test therefore
has a margin.
"""

from __future__ import annotations

from enum import Enum

import numpy as np

from sklearn_bce._objective.base import Evaluation
from sklearn_bce._solvers.newton.direction import SearchDirection

# A point is accepted without a step if this multiple of half the squared decrement is at most
# ``tol``. The squared decrement is inversely proportional to the curvature, which may fall to a
# half between the point and the minimum. python -m benchmarks.tuning MARGIN
MARGIN = 2.0
# The same multiple if the curvature is stale, which may fall to a half up to the point, and to a
# half of that between the point and the minimum. python -m benchmarks.tuning STALE_MARGIN
STALE_MARGIN = 4.0
# Share of ``tol`` that a last step by stale curvature may be expected to leave. Coefficients are
# off by the root of it, 0.3 % of what they are off by at ``tol``. On Gaussian data of 100 000
# rows and more a hundredth of this share takes a pass more, a hundred times as much a pass less:
# python -m benchmarks.tuning STALE_STEP_FRACTION
STALE_STEP_FRACTION = 1e-5
# Decrease of the model, in nats, up to which doubt about a last step is looked into. After a larger
# one further steps are taken first: they may end the doubt, and take less time. With 1e-6, the data
# sets adult and w8a with an L1 norm take up to a third more time; problems of the suites do not
# depend on it: python -m benchmarks.tuning LEAST_DOUBT
LEAST_DOUBT = 1e-7


class Verdict(Enum):
    """Result of `StoppingTest.predict`: whether the next step is expected to be the last one."""

    CONTINUE = "more steps follow"
    NEXT_IS_LAST = "after this step one more step may be enough"
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

    def is_proven(self, point: Evaluation) -> bool:
        """Return whether F is at most ``tol``: since F is never below 0, no minimum is lower."""
        return point.value <= self.tol > 0

    def is_within_tol(self, d: SearchDirection) -> bool:
        """Return whether F at the point where the direction begins is within ``tol`` of min F."""
        margin = STALE_MARGIN if d.is_stale else MARGIN
        return d.complete and margin * d.decrement / 2 <= self.tol > 0

    def predict(self, d: SearchDirection, previous_decrement: float) -> Verdict:
        """Return whether a step along the direction is expected to be the last one.

        The test estimates F − min F after the step. Newton's method converges quadratically, so
        that each step reduces the decrement by a larger factor than the previous step did. The
        factor of the previous step is therefore used as a bound.

        Parameters
        ----------
        d : SearchDirection
            The direction of the step.
        previous_decrement : float
            Squared decrement of the previous step, in nats; 0 if there is none.
        """
        share = 1.0
        if 0 <= d.decrement < previous_decrement:
            share = d.decrement / previous_decrement
        left = share * d.decrement / 2
        allowed = (STALE_STEP_FRACTION if d.is_stale else np.inf) * self.tol
        if d.complete and d.decrement / 2 <= self.tol > 0 and left <= allowed:
            return Verdict.LAST
        return Verdict.NEXT_IS_LAST if d.complete and left <= self.tol else Verdict.CONTINUE

    def stale_step_suffices(self, d: SearchDirection, previous_decrement: float) -> bool:
        """Return whether F is at its minimum, but for rounding, after a step with stale curvature.

        Parameters
        ----------
        d : SearchDirection
            The direction of the step, from the curvature of the previous step.
        previous_decrement : float
            Squared decrement of the previous step, in nats.
        """
        # Expected F − min F after the step, multiplied by the previous decrement.
        left = d.decrement * d.decrement / 2  # infinite if too large, where ** raises
        return left <= STALE_STEP_FRACTION * self.tol * previous_decrement and self.is_within_tol(
            d._replace(n_products=0)
        )
