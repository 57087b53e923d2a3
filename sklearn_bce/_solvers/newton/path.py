"""The state of a fit with an L1 norm from which the next fit, with another penalty, can start.

Along a path of C, the minimum of one fit and the curvature there are near those of the next fit.
Minimum and curvature of the one predict the minimum of the other without a pass over the samples.
The prediction is only a start: if the samples were changed in place between the fits, the result is
still correct.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._objective.penalty import BOUND_ROUNDING, Penalty
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.newton.quadratic import GramQuadratic


@dataclass(frozen=True)
class PathState:
    """The end of a fit, and the curvature there.

    Attributes
    ----------
    samples : weakref.ref
        Weak reference to the X of the fit.
    penalty : Penalty
        The penalty of the fit, in the units of ``coordinates``.
    coordinates : Coordinates
        Coordinates of θ in the fit.
    point : Evaluation
        Evaluation of F at the end of the fit.
    model : GramQuadratic or None
        Quadratic model with the curvature at or near the end; None if no matrix was formed.
    columns : ColumnCache or None
        Columns of a sparse X, taken from X by the fit; None if none were taken.
    """

    samples: Any
    penalty: Penalty
    coordinates: Coordinates
    point: Evaluation
    model: GramQuadratic | None
    columns: Any

    def applies_to(self, objective: Objective, w: Vector, b: float) -> bool:
        """Return whether an objective has the samples of the fit, and the fit ended at (w, b).

        The samples are the same if X is the same object. Whether there is an intercept, and the
        number of samples, must be the same too. (w, b) are in the user's units.
        """
        if not objective.has_samples(self.samples()):
            return False
        known_w, known_b = self.coordinates.to_user(self.point.theta)
        is_same_kind = self.coordinates.fit_intercept == objective.coordinates.fit_intercept
        is_same_kind &= self.point.z.shape[0] == objective.n_samples
        known_w = objective.penalty.on_bounds(known_w, BOUND_ROUNDING * np.abs(known_w))
        return is_same_kind and np.array_equal(w, known_w) and b == known_b
