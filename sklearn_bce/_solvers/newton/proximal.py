"""Search directions with an L1 norm: the minimum of gᵀd + ½dᵀHd + Σ κᵢ|uᵢ + dᵢ|.

Most weights are 0 at the minimum and stay so: a weight leaves 0 only if its gradient exceeds κ. The
model is formed of the other weights alone, the working set.

References
----------
J. D. Lee, Y. Sun and M. A. Saunders, "Proximal Newton-Type Methods for Minimizing Composite
Functions", SIAM Journal on Optimization 24 (2014). G.-X. Yuan, C.-H. Ho and C.-J. Lin, "An Improved
GLMNET for L1-regularized Logistic Regression", Journal of Machine Learning Research 13 (2012).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import SUM_ROUNDING, Evaluation, Objective
from sklearn_bce._solvers.newton.cost import columns_are_less_work
from sklearn_bce._solvers.newton.direction import (
    Derivatives,
    Direction,
    NewtonDirection,
    SearchDirection,
)
from sklearn_bce._solvers.newton.path import PathState
from sklearn_bce._solvers.newton.quadratic import ColumnQuadratic, GramQuadratic

# Columns of an array that a working set has room for, at least:
# python -m benchmarks.tuning LEAST_COLUMNS
LEAST_COLUMNS = 100
# Columns of a CSR matrix that a working set has room for, at least:
# python -m benchmarks.tuning LEAST_SPARSE_COLUMNS
LEAST_SPARSE_COLUMNS = 1000
# Columns that a working set has room for, for each weight that is not 0:
# python -m benchmarks.tuning COLUMNS_PER_WEIGHT
COLUMNS_PER_WEIGHT = 4
# Columns of which the curvature is formed, at most: 5000² float64 are 200 MB. [a choice]
MOST_COLUMNS = 5000
# Features of which the curvature of all is formed along a path, at most: 500² float64 are 2 MB and
# stay in the cache. On breast cancer a path of ten fits takes 41 passes with it, 71 without:
# python -m benchmarks.tuning MANY_COLUMNS
MANY_COLUMNS = 500
# Factor, along a path, of what sweeps over columns may miss: a fit of two or three passes has no
# later one to make up for it. On text a path of ten fits takes 57 passes with it, 62 with 1:
# python -m benchmarks.tuning PATH_CARE
PATH_CARE = 0.02
# Share of the stored values below which columns are taken from X one by one: a copy of all takes
# the time of some passes. python -m benchmarks.tuning FEW_VALUES
FEW_VALUES = 0.25


class ColumnCache(NamedTuple):
    """Columns of sparse samples, as far as they have been taken from X.

    Attributes
    ----------
    matrix : CSC of shape (n_samples, n_columns), float64
        Columns divided by their scale.
    position : ndarray of shape (n_features,)
        The place of each feature among them; −1 if it has none.
    """

    matrix: Any
    position: NDArray[np.intp]

    def places(self, features: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Return the places of some features; None if one of them has not been taken."""
        places = self.position[features]
        return None if (places < 0).any() else places


class WorkingSet(NamedTuple):
    """The coordinates that are not 0 or should not be.

    Attributes
    ----------
    subset : ndarray of shape (n,)
        Their indices in θ, ascending.
    is_complete : bool
        Whether every weight that should leave 0 is among them.
    """

    subset: NDArray[np.intp]
    is_complete: bool


class ProximalNewtonDirection(Direction):
    """Finds Newton's directions for an F with an L1 norm.

    Parameters
    ----------
    problem : Objective
        In the coordinates of the points.
    tol : float
        Distance from the minimum, in nats, below which it matters to know it well.
    for_path : bool, default=False
        Whether problems with other penalties are to come. Passes are then saved at the price of
        work: the curvature of all features, if they are few, is formed in passes that are made
        anyway.

    Attributes
    ----------
    model : GramQuadratic or None
        The curvature known so far, if it has been formed.
    columns : ColumnCache or None
        The columns taken from X so far.
    """

    def __init__(self, problem: Objective, tol: float, for_path: bool = False) -> None:
        super().__init__(problem, tol)
        self._for_path, self._care = for_path, PATH_CARE if for_path else 1.0
        self.columns: ColumnCache | None = None
        self._columns_are_hard = False  # so correlated that sweeps over them do not end
        self._l1 = np.zeros(problem.coordinates.size)
        self._l1[: problem.n_features] = problem.penalty.l1
        self.model: GramQuadratic | None = None

    def wants(self, is_last_step: bool = False) -> Derivatives:
        """Return which second derivatives the next direction needs."""
        are_few = self.problem.n_features <= MANY_COLUMNS
        return Derivatives(self._for_path and are_few and not is_last_step, False)

    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Use a curvature like H, of shape (size, size), which is given up; changes self."""
        self._set_model(GramQuadratic(matrix, np.arange(len(self._l1)), self.tol))

    def _set_model(self, model: GramQuadratic | None) -> None:
        self.model = model
        self._trust(model is not None)

    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Correct the curvature by how the gradient has changed along a step; changes self."""
        if self.model is not None:
            self.model.add_secant_pair(after.theta - before.theta, after.gradient - before.gradient)

    def path_state(self, point: Evaluation) -> PathState | None:
        """Return what a fit with another penalty can start from.

        None if there is no path, or nothing by which to tell that the samples are the same.
        """
        reference = self.problem.samples_reference() if self._for_path else None
        if reference is None:
            return None
        problem = self.problem
        return PathState(
            reference, problem.penalty, problem.coordinates, point, self.model, self.columns
        )

    def predict_start(self, state: PathState) -> Vector:
        """Return where the minimum of this problem is expected, from a fit to the same samples."""
        problem, p = self.problem, self.problem.n_features
        theta, gradient = state.point.theta, state.point.gradient.copy()
        gradient[:p] += problem.penalty.gradient(theta[:p]) - state.penalty.gradient(theta[:p])
        self.columns = state.columns
        if state.model is not None:
            l2, l2_before = (q.curvature_diagonal(p) for q in (problem.penalty, state.penalty))
            self.model = state.model.with_penalty_change(l2 - l2_before)
        d = self.from_stale_curvature(replace(state.point, gradient=gradient))
        return theta if d is None else theta + d.vector

    def from_stale_curvature(self, point: Evaluation) -> SearchDirection | None:
        """Return the direction by what is known so far; None if that is not of enough columns."""
        working = self._working_set(point)
        if not working.is_complete:
            return None
        if self._knows(working.subset):
            return self._minimise(point, working, self.model)
        features = self.problem.coordinates.features_of(working.subset)
        places = None if self.columns is None else self.columns.places(features)
        if places is None:
            return None
        return self._minimise(point, working, self._column_model(point, places))

    def find(self, point: Evaluation) -> SearchDirection:
        """Return the direction from a point; changes self."""
        working = self._working_set(point)
        hessian = point.take_hessian()
        if hessian is not None:
            self.set_curvature(hessian)
            model = self.model
        else:
            if self._is_trusted and self._knows(working.subset):
                d = self._minimise(point, working, self.model)
                if self._still_trusts(d.decrement):
                    return d
            model = self._new_model(point, working.subset)
        d = self._minimise(point, working, model)
        if d.decrement / 2 > point.value:  # more than F: the curvature of the losses is too small
            curvature = self.problem.majorising_curvature(point.z)
            point = replace(point, curvature=curvature)
            d = self._minimise(point, working, self._new_model(point, working.subset))
        return d._replace(n_products=np.inf)

    def _new_model(
        self, point: Evaluation, subset: NDArray[np.intp]
    ) -> GramQuadratic | ColumnQuadratic:
        """Return the model of a working set; changes self."""
        problem = self.problem
        features = problem.coordinates.features_of(subset)
        are_few = len(features) <= (MOST_COLUMNS if self._columns_are_hard else LEAST_COLUMNS)
        if problem.has_columns and not are_few:
            n_stored = float(np.sum(problem.n_stored_in_columns[features]))
            if columns_are_less_work(n_stored, len(features), problem.n_samples):
                self._set_model(None)
                return self._column_model(point, self._take_columns(features, n_stored))
        matrix = problem.curvature_matrix(point, subset)
        self._set_model(GramQuadratic(matrix, subset, self.tol))
        return self.model

    def _column_model(self, point: Evaluation, places: NDArray[np.intp]) -> ColumnQuadratic:
        """Return the model by columns that have been taken from X."""
        matrix = self.columns.matrix
        return ColumnQuadratic(self.problem, matrix, places, point, self.tol, self._care)

    def _take_columns(self, features: NDArray[np.intp], n_stored: float) -> NDArray[np.intp]:
        """Return the places of columns among those taken from X, which are then all; changes self.

        The first time, columns are taken by themselves if they hold few of the values.
        """
        places = None if self.columns is None else self.columns.places(features)
        if places is not None:
            return places
        problem = self.problem
        are_few = self.columns is None and n_stored < FEW_VALUES * problem.data_size.n_stored
        position = np.arange(problem.n_features)
        if are_few:
            position = np.full(problem.n_features, -1)
            position[features] = np.arange(len(features))
        self.columns = ColumnCache(problem.scaled_columns(features if are_few else None), position)
        return position[features]

    def _knows(self, subset: NDArray[np.intp]) -> bool:
        """Return whether the curvature known so far is of all of the subset."""
        if self.model is None:
            return False
        known = np.zeros(len(self._l1), dtype=bool)
        known[self.model.subset] = True
        return bool(known[subset].all())

    def _working_set(self, point: Evaluation) -> WorkingSet:
        """Return the coordinates that are not 0 or should not be, as far as there is room."""
        p = self.problem.n_features
        u = point.theta[:p]
        excess = self.problem.penalty.subgradient_excess(u, point.gradient[:p])
        inside = u != 0
        # At the C where all weights are 0 a gradient equals κ up to rounding.
        rounding = SUM_ROUNDING[self.problem.data_size.dtype] * self._l1[:p]
        wrong = np.flatnonzero(~inside & (excess > rounding))
        least = LEAST_SPARSE_COLUMNS if self.problem.has_columns else LEAST_COLUMNS
        n_others = np.count_nonzero(inside)
        room = max(least, COLUMNS_PER_WEIGHT * n_others) - n_others
        is_complete = len(wrong) <= room
        if not is_complete:
            wrong = wrong[np.argpartition(-excess[wrong], room)[:room]]
        inside[wrong] = True
        subset = np.append(np.flatnonzero(inside), np.arange(p, len(self._l1)))
        return WorkingSet(subset, is_complete)

    def _minimise(
        self, point: Evaluation, working: WorkingSet, model: GramQuadratic | ColumnQuadratic
    ) -> SearchDirection:
        """Return the direction to the minimum of a model over the working set; changes self."""
        vector = np.zeros(len(point.theta))
        minimum = model.minimum(point, working.subset, self._l1[working.subset])
        self._columns_are_hard |= isinstance(model, ColumnQuadratic) and not minimum.is_solved
        vector[working.subset] = minimum.theta - point.theta[working.subset]
        is_complete = working.is_complete and minimum.is_solved
        return SearchDirection(vector, 2 * minimum.gained, complete=is_complete)


def direction_rule(problem: Objective, tol: float, for_path: bool = False) -> Direction:
    """Return the rule that finds directions for a problem, as its penalty has it."""
    if problem.penalty.is_smooth:
        return NewtonDirection(problem, tol)
    return ProximalNewtonDirection(problem, tol, for_path)
