"""What a fit with an L1 norm leaves for the next fit to the same samples, with another penalty.

Along a path of C the minimum of one fit is near that of the next, and so is the curvature there:
together they predict the minimum without a pass. The prediction is no more than a start, so that
nothing is lost if the samples have changed in the meantime.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._objective.penalty import Penalty
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.newton.quadratic import GramQuadratic


@dataclass(frozen=True)
class PathState:
    """Where a fit ended, and what it knew of the curvature there.

    Attributes
    ----------
    samples : weakref.ref
        The X of the fit, which is not kept alive.
    penalty : Penalty
        The penalty of the fit, in the units of the coordinates.
    coordinates : Coordinates
        What θ means.
    point : Evaluation
        Where the fit ended.
    model : GramQuadratic or None
        The curvature there, if it has been formed.
    columns : ColumnCache or None
        Columns taken from X.
    """

    samples: Any
    penalty: Penalty
    coordinates: Coordinates
    point: Evaluation
    model: GramQuadratic | None
    columns: Any

    def applies_to(self, objective: Objective, w: Vector, b: float) -> bool:
        """Return whether an objective has these samples and (w, b) is where the fit ended."""
        if not objective.holds(self.samples()):
            return False
        known_w, known_b = self.coordinates.to_user(self.point.theta)
        is_same_kind = self.coordinates.fit_intercept == objective.coordinates.fit_intercept
        is_same_kind &= len(self.point.z) == objective.n_samples
        return is_same_kind and np.array_equal(w, known_w) and b == known_b
