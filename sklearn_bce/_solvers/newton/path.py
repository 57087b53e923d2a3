"""What a descent leaves for the next one over the same samples, with another penalty.

Along a path of C the minimum of one fit is near that of the next, and so is the curvature there:
they tell where about that is, without a pass. No more than a start is made of it, so that nothing
is lost where the samples have changed in the meantime.
"""

from __future__ import annotations

import weakref

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.newton.proximal import ProximalStepFinder


class Memory:
    """Where a descent ended, and what it knew of the curvature there.

    Parameters
    ----------
    problem : Objective
        In the coordinates of the descent. Its X is not kept alive.
    point : Point
        Where it ended.
    find_step : ProximalStepFinder
        What found its steps.
    """

    def __init__(
        self, problem: InMemoryObjective, point: Evaluation, find_step: ProximalStepFinder
    ) -> None:
        self._X = weakref.ref(problem.X)
        self._penalty, self.coordinates = problem.penalty, problem.coordinates
        self._point, self._model, self._columns = point, find_step.model, find_step.columns

    def is_of(self, objective: InMemoryObjective, w: NDArray[np.float64], b: float) -> bool:
        """Return whether it is of these samples, and of a neuron with these weights."""
        of_samples = objective.caches_outputs and objective.X is self._X()
        if objective.penalty.is_smooth or not of_samples:
            return False
        known_w, known_b = self.coordinates.to_user(self._point.theta)
        same_kind = self.coordinates.fit_intercept == objective.coordinates.fit_intercept
        same_kind &= len(self._point.z) == objective.n_samples
        return same_kind and np.array_equal(w, known_w) and b == known_b

    def expected(self, problem: InMemoryObjective, tol: float) -> Vector:
        """Return where the minimum under another penalty is expected.

        Parameters
        ----------
        problem : Objective
            In the coordinates of the memory.
        tol : float
            As for `ProximalStepFinder`.
        """
        theta, gradient = self._point.theta, self._point.gradient.copy()
        u = theta[: problem.n_features]
        gradient[: len(u)] += problem.penalty.gradient(u) - self._penalty.gradient(u)
        find_step = ProximalStepFinder(problem, tol, for_path=True)
        find_step.columns = self._columns
        if self._model is not None:
            find_step.model = self._model.with_more(problem.penalty.l2 - self._penalty.l2)
        step = find_step.again(self._point._replace(gradient=gradient))
        return theta if step is None else theta + step.vector
