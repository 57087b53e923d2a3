"""Intervals and tests by the profile of a criterion: its minimum for each value of a coefficient.

The profile f(c) of a coefficient is the least criterion with the coefficient at c. Its signed root
r(c) = sign(c − ĉ)·√(2(f(c) − f(ĉ))) is normally distributed at the true c to second order, and the
interval is where |r| is at most the quantile z. r is nearly linear in c, so that Newton's method on
r(c) = z takes few steps, each a minimum under the condition that the coefficient is c.

References
----------
D. J. Venzon and S. H. Moolgavkar, "A Method for Computing Profile-Likelihood-Based Confidence
Intervals", Applied Statistics 37 (1988). G. Heinze and M. Schemper, "A Solution to the Problem of
Separation in Logistic Regression", Statistics in Medicine 21 (2002), section 2.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning

from sklearn_bce._estimator.diagnostics import warn_caller
from sklearn_bce._kernels import Vector
from sklearn_bce.inference.criterion import Criterion, Minimum, Point, minimise

# Error of r at the end of an interval: a bound is then known to this many standard errors.
ERROR_OF_ROOT = 1e-9
# Most values of a coefficient at which the criterion is minimised, for each bound: Newton's method
# takes 3 to 6, and each doubling of an interval without a bound doubles the distance. [a choice]
MAX_VALUES = 60
# Most of Newton's steps for each value. [a choice]
MAX_STEPS = 100
# Standard errors beyond which an interval has no end. [a choice]
UNBOUNDED = 1e6


class Profile(NamedTuple):
    """The profile of the coefficient u·v.

    Attributes
    ----------
    criterion : Criterion
        The criterion.
    best : Point
        Its minimum.
    along : ndarray of shape (size,), float64
        u.
    """

    criterion: Criterion
    best: Point
    along: Vector

    @property
    def std_err(self) -> float:
        """The standard error of the coefficient by the inverse of the second derivatives."""
        return float(np.linalg.norm(self.best.hessian.B.T @ self.along))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the bounds of the interval minus the estimate; infinite if there is no bound.

        Warns
        -----
        ConvergenceWarning
            If a bound is not found; it is then NaN.
        """
        z = float(norm.ppf((1 + level) / 2))
        return self._bound(-1.0, z), self._bound(1.0, z)

    def root_at(self, change: float) -> float:
        """Return |r| at the estimate plus a change."""
        return self._root(self._minimum(self.best, change))

    def _root(self, found: Minimum) -> float:
        """Return |r| at a minimum with the coefficient fixed."""
        return float(np.sqrt(max(0.0, 2 * (found.point.value - self.best.value))))

    def _minimum(self, start: Point, change: float) -> Minimum:
        """Return the minimum with the coefficient at the estimate plus a change."""
        B = start.hessian.B
        towards = B @ (B.T @ self.along)
        missing = change - float(self.along @ (start.v - self.best.v))
        step = missing / float(self.along @ towards) * towards
        moved, t = None, 1.0
        while moved is None:
            # A long step may end where I is singular: smaller ones lead to other curvature first.
            moved = self.criterion.at(start.v + t * step)
            t /= 2
        if t < 0.5:
            found = minimise(self.criterion, moved, MAX_STEPS, self.along)
            return self._minimum(found.point, change)
        return minimise(self.criterion, moved, MAX_STEPS, self.along)

    def _bound(self, sign: float, z: float) -> float:
        """Return the change of the coefficient, of the given sign, at which |r| is z."""
        if z == 0:
            return 0.0
        unit = self.std_err
        low, high = 0.0, np.inf
        change, start = z * unit, self.best
        for _ in range(MAX_VALUES):
            found = self._minimum(start, sign * change)
            if not found.is_reached:
                break
            start = found.point
            r = self._root(found)
            if abs(r - z) <= ERROR_OF_ROOT:
                return sign * change
            low, high = (change, high) if r < z else (low, change)
            if low > UNBOUNDED * unit:
                return sign * np.inf
            slope = sign * found.multiplier / r if r > 0 else 0.0
            after = change + (z - r) / slope if slope > 0 else np.inf
            middle = 2 * change if high == np.inf else (low + high) / 2
            after = min(after, 4 * change)
            change = after if low < after < high else middle
            if not low < change < high:
                return sign * change  # the rounding of r decides
        warn_caller(
            "The profile of a coefficient has not converged; the bound of its interval is NaN.",
            ConvergenceWarning,
        )
        return np.nan
