"""Newton's step where the penalty has an L1 norm: the minimum of gᵀd + ½dᵀHd + Σ κᵢ|uᵢ + dᵢ|.

Most weights are 0 there and stay so: a weight leaves 0 only where its gradient exceeds κ. The model
is formed of the others alone, the working set.

References
----------
J. D. Lee, Y. Sun and M. A. Saunders, "Proximal Newton-Type Methods for Minimizing Composite
Functions", SIAM Journal on Optimization 24 (2014). G.-X. Yuan, C.-H. Ho and C.-J. Lin, "An Improved
GLMNET for L1-regularized Logistic Regression", Journal of Machine Learning Research 13 (2012).
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.newton.cost import columns_are_less_work
from sklearn_bce._solvers.newton.direction import WORTH_ANOTHER
from sklearn_bce._solvers.newton.line_search import Step
from sklearn_bce._solvers.newton.quadratic import ColumnModel, MatrixModel

# A gradient above κ by less than this share of it is rounding: C at which all weights are 0 would
# else leave some that are not.
ROUNDING = {np.dtype(np.float64): 1e-12, np.dtype(np.float32): 1e-6}
# A working set is at least so large, or has so many columns for each weight that is not 0.
LEAST_COLUMNS, LEAST_SPARSE_COLUMNS = 100, 1000
COLUMNS_PER_WEIGHT = 4
MOST_COLUMNS = 5000  # a curvature of 200 MB
MANY_COLUMNS = 500  # more than this, and the curvature of all is not formed
CARE = 0.02  # along a path, of what sweeps over columns may miss else
FEW = 0.25  # of the stored values: columns that are taken from X by themselves


class ProximalStepFinder:
    """Finds the steps; the same to a descent as `StepFinder` is.

    Parameters
    ----------
    problem : Objective
        In the coordinates of the points.
    tol : float
        Distance from the minimum, in nats, below which it matters to know it well.
    for_path : bool, default=False
        Whether problems with other penalties are to come. Passes are then saved at the price of
        work: the curvature of all features, where they are few, is formed in passes that are made
        anyway.

    Attributes
    ----------
    model : MatrixModel or None
        The curvature known so far, where it has been formed.
    columns : tuple of (CSC or None, ndarray of shape (n_features,) or None)
        Columns of sparse X in units of their scale, as far as they have been taken from X, and the
        place of each feature among them, −1 if it has none.
    """

    needs_diagonal = penalty_prevails = False

    def __init__(self, problem: InMemoryObjective, tol: float, for_path: bool = False) -> None:
        self._for_path, self._care = for_path, CARE if for_path else 1.0
        self.columns: tuple[Any, Any] = None, None
        self._columns_are_hard = False  # to tell apart, by one of them at a time
        self.problem, self.tol = problem, tol
        self._l1 = np.zeros(problem.coordinates.size)
        self._l1[: problem.n_features] = problem.penalty.l1
        self.model: MatrixModel | None = None
        self._trusted, self._last_decrement = False, np.inf

    def _features_of(self, subset: NDArray[np.intp]) -> NDArray[np.intp]:
        return self.problem.coordinates.features_of(subset)

    @property
    def needs_hessian(self) -> bool:
        """Whether H should be formed at the next point."""
        return self._for_path and self.problem.n_features <= MANY_COLUMNS

    def take(self, matrix: NDArray[np.float64]) -> None:
        """Use a curvature like H, of all coordinates; changes self."""
        self._take(MatrixModel(matrix, np.arange(len(self._l1)), self.tol))

    def _take(self, model: MatrixModel | None) -> None:
        self.model, self._trusted, self._last_decrement = model, model is not None, np.inf

    def learn(self, step: Vector, change: Vector) -> None:
        """Take in by how much the gradient has changed along a step; changes self."""
        if self.model is not None:
            self.model.learn(step, change)

    def expect_other_curvature(self) -> None:
        """Take in that a step goes far, so that H will not be what it was; changes self."""
        self._trusted = False

    def again(self, point: Evaluation) -> Step | None:
        """Return the step by what is known so far, if that is of enough columns; takes no pass."""
        subset, complete = self._working_set(point)
        if not complete:
            return None
        if self._knows(subset):
            return self._step(point, subset, self.model)
        matrix, position = self.columns
        places = None if matrix is None else position[self._features_of(subset)]
        if places is None or (places < 0).any():
            return None
        model = ColumnModel(self.problem, matrix, places, point.curvature, self.tol, self._care)
        return self._step(point, subset, model)

    def __call__(self, point: Evaluation) -> Step:
        """Return the step from the point; changes self."""
        subset, complete = self._working_set(point)
        if point.hessian is not None:
            self.take(point.hessian)
        elif self._trusted and self._knows(subset):
            step = self._step(point, subset, self.model)
            self._trusted = step.decrement <= WORTH_ANOTHER * self._last_decrement
            self._last_decrement = step.decrement
            if self._trusted:
                return step._replace(complete=complete and step.complete)
        model = self._new_model(point, subset) if point.hessian is None else self.model
        step = self._step(point, subset, model)
        if step.decrement / 2 > point.value:  # more than there is: samples known too surely
            point = point._replace(curvature=self.problem.majorising_curvature(point.z))
            step = self._step(point, subset, self._new_model(point, subset))
        return step._replace(n_products=np.inf, complete=complete and step.complete)

    def _new_model(self, point: Evaluation, subset: NDArray[np.intp]) -> MatrixModel | ColumnModel:
        """Return the model of a working set; changes self."""
        features = self._features_of(subset)
        few = len(features) <= (MOST_COLUMNS if self._columns_are_hard else LEAST_COLUMNS)
        if self.problem.has_columns and not few:
            n_stored = float(np.sum(self._n_stored[features]))
            if columns_are_less_work(n_stored, len(features), self.problem.n_samples):
                self._take(None)
                matrix, columns = self._columns_of(features, n_stored)
                h = point.curvature
                return ColumnModel(self.problem, matrix, columns, h, self.tol, self._care)
        self._take(MatrixModel(self.problem.curvature_matrix(point, subset), subset, self.tol))
        return self.model

    @cached_property
    def _n_stored(self) -> NDArray[np.intp]:
        """How many values of each column of sparse X are stored."""
        return np.bincount(self.problem.X.indices, minlength=self.problem.n_features)

    def _columns_of(
        self, features: NDArray[np.intp], n_stored: float
    ) -> tuple[Any, NDArray[np.intp]]:
        """Return a CSC matrix in units of the columns' scale, and which of its columns to take.

        It is of the given columns alone as long as they are few, and then of all. It changes self.
        """
        matrix, position = self.columns
        if matrix is None or (position[features] < 0).any():
            X = self.problem.X
            few = matrix is None and n_stored < FEW * X.nnz
            known = features if few else np.arange(X.shape[1])
            matrix = (X[:, features] if few else X).tocsc()
            unit = 1 / self.problem.coordinates.scale[known]
            matrix.data = matrix.data * np.repeat(unit, np.diff(matrix.indptr))
            position = np.full(X.shape[1], -1)
            position[known] = np.arange(len(known))
            self.columns = matrix, position
            self.problem.n_passes += 1
        return matrix, position[features]

    def _knows(self, subset: NDArray[np.intp]) -> bool:
        """Return whether the curvature known so far is of all of the subset."""
        if self.model is None:
            return False
        known = np.zeros(len(self._l1), dtype=bool)
        known[self.model.subset] = True
        return bool(known[subset].all())

    def _working_set(self, point: Evaluation) -> tuple[NDArray[np.intp], bool]:
        """Return the coordinates that are not 0 or should not be, and whether they are all."""
        p = self.problem.n_features
        l1, gradient = self._l1[:p], np.abs(point.gradient[:p])
        is_zero = point.theta[:p] == 0
        inside = ~is_zero
        rounding = ROUNDING[self.problem.data_size.dtype]
        wrong = np.flatnonzero(is_zero & (gradient > l1 * (1 + rounding)))
        least = LEAST_SPARSE_COLUMNS if self.problem.has_columns else LEAST_COLUMNS
        n_others = np.count_nonzero(inside)
        room = max(least, COLUMNS_PER_WEIGHT * n_others) - n_others
        complete = len(wrong) <= room
        if not complete:
            excess = gradient[wrong] - l1[wrong]
            wrong = wrong[np.argpartition(-excess, room)[:room]]
        inside[wrong] = True
        return np.append(np.flatnonzero(inside), np.arange(p, len(self._l1))), complete

    def _step(
        self, point: Evaluation, subset: NDArray[np.intp], model: MatrixModel | ColumnModel
    ) -> Step:
        """Return the step that minimises the model over the working set."""
        vector = np.zeros(len(point.theta))
        to, gained, solved = model.minimum(point, subset, self._l1[subset])
        self._columns_are_hard |= isinstance(model, ColumnModel) and not solved
        vector[subset] = to - point.theta[subset]
        return Step(vector, 2 * gained, complete=solved)
