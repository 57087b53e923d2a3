"""Search directions with an L1 norm or bounds: the minimum d of gᵀd + ½dᵀHd + Σ κᵢ|uᵢ + dᵢ|.

The minimum is that with u + d within the bounds. With an L1 norm most weights are 0, and remain 0
in a step: a weight that is 0 changes only if its gradient exceeds κ in absolute value, and a weight
at a bound only if F falls towards the other side. The model therefore has the other weights only,
the working set.

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
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.base import rounding_floor
from sklearn_bce._solvers.newton.continuation import is_wide
from sklearn_bce._solvers.newton.direction import (
    FEW_IN_PARTS,
    Derivatives,
    Direction,
    SearchDirection,
)
from sklearn_bce._solvers.newton.duality import duality_gap
from sklearn_bce._solvers.newton.inverse import CholeskyFactor
from sklearn_bce._solvers.newton.path import PathState
from sklearn_bce._solvers.newton.quadratic import ColumnQuadratic, GramQuadratic
from sklearn_bce._solvers.newton.smooth import NewtonDirection

# Least upper limit of the number of columns in a working set, for a dense X:
# python -m benchmarks.tuning MIN_COLUMNS
MIN_COLUMNS = 100
# Least upper limit of the number of columns in a working set, for a CSR matrix X:
# python -m benchmarks.tuning MIN_SPARSE_COLUMNS
MIN_SPARSE_COLUMNS = 1000
# Multiple of the decrease that the model expects at the end of a run which must be within ``tol``:
# the curvature may be that of an earlier point, and may fall further. [a choice]
END_MARGIN = 2.0
# Excess of a gradient over κ, as a fraction of κ, from which on a weight at 0 may change its value.
# [a choice]
VISIBLE_EXCESS = 1e-3
# Upper limit of the number of columns in a working set, for each weight that is not 0:
# python -m benchmarks.tuning COLUMNS_PER_WEIGHT
COLUMNS_PER_WEIGHT = 4
# Least upper limit of the number of columns that are added to a working set, for a wide X:
# python -m benchmarks.tuning MIN_WIDE_COLUMNS
MIN_WIDE_COLUMNS = 25
# Share of the features that may be added to a working set, for a wide X:
# python -m benchmarks.tuning WIDE_SHARE_OF_FEATURES
WIDE_SHARE_OF_FEATURES = 0.025
# Columns that may be added to a working set for each weight that is not 0, for a wide X. No more
# weights than samples are needed at the minimum; a larger working set has a singular H:
# python -m benchmarks.tuning WIDE_SHARE_OF_WEIGHTS
WIDE_SHARE_OF_WEIGHTS = 0.2
# Most columns of a sparse X whose matrix H is formed after sweeps over columns have failed: 5000²
# float64 take 200 MB. [a choice]
MAX_COLUMNS = 5000
# Most features whose full matrix H is formed in each pass of a path: 500² float64 take 2 MB, which
# fits into the cache. On breast cancer a path of ten fits takes 41 passes with H, 71 without:
# python -m benchmarks.tuning MAX_PATH_FEATURES
MAX_PATH_FEATURES = 500
# Factor, along a path, of the tolerance of sweeps over columns: a fit along a path has two or three
# passes, so that no later pass corrects an inaccurate step. On text a path of ten fits takes 57
# passes with this factor, 62 with 1:
# python -m benchmarks.tuning PATH_TOLERANCE_FACTOR
PATH_TOLERANCE_FACTOR = 0.02
# Fraction of the stored values of X below which only the columns of the working set are copied from
# X; to copy all columns takes the time of some passes. python -m benchmarks.tuning
# MAX_COPIED_FRACTION
MAX_COPIED_FRACTION = 0.25


class ColumnCache(NamedTuple):
    """Columns of a sparse X that have been copied from X.

    Attributes
    ----------
    matrix : CSC of shape (n_samples, n_columns), float64
        The columns, divided by the scale of their features.
    position : ndarray of shape (n_features,), intp
        Index in ``matrix`` of the column of each feature; −1 if the column has not been copied.
    """

    matrix: Any
    position: NDArray[np.intp]

    def places(self, features: NDArray[np.intp]) -> NDArray[np.intp] | None:
        """Return the indices in ``matrix`` of the columns of some features.

        None if a column has not been copied.
        """
        places = self.position[features]
        return None if (places < 0).any() else places


class WorkingSet(NamedTuple):
    """The coordinates that change in a step.

    These are the weights that are not at a kink (at 0 with κ > 0, or at a bound), the weights at a
    kink along which F falls, and the intercept.

    Attributes
    ----------
    subset : ndarray of shape (n,), intp
        Indices of the coordinates in θ, ascending.
    is_complete : bool
        Whether all weights at a kink along which F falls are in the subset. False if there are more
        of them than a working set may have.
    """

    subset: NDArray[np.intp]
    is_complete: bool


class ProximalNewtonDirection(Direction):
    """Finds Newton's directions for an F with an L1 norm or bounds.

    Parameters
    ----------
    problem : Objective
        F, in the coordinates of the run.
    tol : float
        F − min F, in nats, below which directions must be accurate, because the run may stop.
    for_path : bool, default=False
        Whether fits to the same samples with other penalties will follow. If so, and there are few
        features, each evaluation also forms the matrix H of all features. That takes more work, and
        saves passes in the fits that follow.

    Attributes
    ----------
    model : GramQuadratic or None
        Quadratic model with the curvature matrix known so far, which may be stale; None if there is
        no matrix.
    columns : ColumnCache or None
        The columns copied from a sparse X so far; None before the first copy.
    """

    def __init__(self, problem: Objective, tol: float, for_path: bool = False) -> None:
        super().__init__(problem, tol)
        self._for_path, self._tolerance_factor = (
            for_path,
            PATH_TOLERANCE_FACTOR if for_path else 1.0,
        )
        self.columns: ColumnCache | None = None
        self._sweeps_failed = False  # so correlated that sweeps over columns do not converge
        self._non_smooth = problem.penalty.non_smooth(problem.n_features, problem.coordinates.size)
        self.model: GramQuadratic | None = None

    def wants(self, is_last_step: bool = False) -> Derivatives:
        """Return which second derivatives the next evaluation is to form; see `Direction.wants`."""
        are_few = self.problem.n_features <= MAX_PATH_FEATURES
        return Derivatives(self._for_path and are_few and not is_last_step, False)

    def set_curvature(self, matrix: NDArray[np.float64]) -> None:
        """Use an approximation of H, shape (size, size), which later steps change; changes self."""
        self._set_model(GramQuadratic(matrix, np.arange(len(matrix)), self.tol))

    def _set_model(self, model: GramQuadratic | None) -> None:
        """Use a model as trusted curvature; None means that there is none; changes self."""
        self.model = model
        self._trust(model is not None)

    def add_secant_pair(self, before: Evaluation, after: Evaluation) -> None:
        """Correct the model by the change of the gradient along a step; changes self."""
        if self.model is not None:
            self.model.add_secant_pair(after.theta - before.theta, after.gradient - before.gradient)

    def model_holds(self, point: Evaluation, d: SearchDirection) -> bool:
        """Return whether the model is good up to the minimum of F; see `Direction.model_holds`.

        That is so if no pivot of H is lost in the weights that are not at a kink, the gradient at
        the point agrees with the minimum of the model, and no sample makes up a direction of H; or
        if the duality gap is at most ``tol``, which may take two passes. The model of columns,
        which has no matrix, is taken for good. Samples in parts, whose outputs are not kept, are
        not looked at; with bounds the model is not taken for good if they are so few that passes
        are cheap.
        """
        problem, support = self.problem, self._support(point.theta)
        if not len(support) or not self._knows(support):
            return True
        if point.gradient is None:
            point = problem.evaluate(point.theta, point.z)
        factor = self._factor_of(support, point)
        holds = factor.is_trusted and self._is_minimum(point, support, factor)
        if point.z is None:
            is_large = problem.n_samples > FEW_IN_PARTS
            return holds and (is_large or not problem.penalty.has_bounds)
        if holds and not len(
            problem.samples_that_dominate(
                point.curvature,
                d.decrement,
                lambda Z: factor.norms(Z[:, support]),
                point.curvature if self.curvature_of_factor is None else self.curvature_of_factor,
                is_stale=True,
            )
        ):
            return True
        return bool(duality_gap(problem, point) <= self.tol)

    def _is_minimum(
        self, point: Evaluation, support: NDArray[np.intp], factor: CholeskyFactor
    ) -> bool:
        """Return whether F is within ``tol`` of its minimum, by the curvature of the model.

        Takes a pass if F falls along a weight at a kink, and the curvature of that weight is not
        known.

        Parameters
        ----------
        point : Evaluation
            The point, with its gradient.
        support : ndarray of shape (n,), intp
            Indices of the weights that are not at a kink, and of the intercept.
        factor : CholeskyFactor
            Factor of H in the support.
        """
        slope = self._non_smooth.least_subgradient(point.theta, point.gradient)
        is_visible = np.abs(slope) > VISIBLE_EXCESS * self._non_smooth.l1
        out = np.flatnonzero(self._non_smooth.at_kink(point.theta) & is_visible)
        if len(out):
            support = np.union1d(support, out)
            factor = self._factor_of(support, point)
        gain = float(slope[support] @ factor(slope[support])) / 2
        left = END_MARGIN * gain
        return factor.is_trusted and left <= max(self.tol, rounding_floor(point.value))

    def _factor_of(self, subset: NDArray[np.intp], point: Evaluation) -> CholeskyFactor:
        """Return the factor of H for a subset of θ: that of the model, or else at the point.

        The latter takes a pass.
        """
        if self._knows(subset):
            at = np.searchsorted(self.model.subset, subset)
            matrix = np.ascontiguousarray(self.model.matrix[np.ix_(at, at)])
        else:
            matrix = self.problem.curvature_matrix(point, subset)
        return CholeskyFactor(matrix, self.problem.curvature_rounding)

    def _support(self, theta: Vector) -> NDArray[np.intp]:
        """Return the indices of the weights that are not at a kink, and of the intercept."""
        return np.flatnonzero(~self._non_smooth.at_kink(theta))

    def path_state(self, point: Evaluation) -> PathState | None:
        """Return the state from which a fit with another penalty can start.

        ``point`` is the end of the run. None if ``for_path`` is False, or the samples are in parts,
        so that a later fit cannot test whether its samples are the same.
        """
        reference = self.problem.samples_reference() if self._for_path else None
        if reference is None:
            return None
        problem = self.problem
        return PathState(
            reference, problem.penalty, problem.coordinates, point, self.model, self.columns
        )

    def predict_start(self, state: PathState) -> Vector:
        """Return the expected minimum θ, given the state of a fit to the same X; changes self.

        The result has shape (size,). Model and columns of the state are taken over. If they do not
        contain the working set, the result is the end of that fit.
        """
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
        """Return the direction from the known model or columns, without a pass.

        None if neither contains the working set, or the working set is not complete.
        """
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
        """Return the search direction from a point, for `at` to count; changes self."""
        working = self._working_set(point)
        hessian = point.take_hessian()
        if hessian is not None:
            self.set_curvature(hessian)
            self.curvature_of_factor = None if point.z is None else point.curvature
            model = self.model
        else:
            if self._is_trusted and self._knows(working.subset):
                d = self._minimise(point, working, self.model)
                if self._still_trusts(d.decrement):
                    return d
            model = self._new_model(point, working.subset)
        d = self._minimise(point, working, model)
        # F is at least 0: a model that predicts a decrease of more than F has too little curvature.
        if d.decrement / 2 > point.value:
            curvature = self.problem.majorising_curvature(point.z)
            point = replace(point, curvature=curvature)
            d = self._minimise(point, working, self._new_model(point, working.subset))
        return d._replace(n_products=np.inf)

    def _new_model(
        self, point: Evaluation, subset: NDArray[np.intp]
    ) -> GramQuadratic | ColumnQuadratic:
        """Return the quadratic model of a working set with the curvature at a point; changes self.

        Forming the model takes a pass, unless the columns have been copied from X already.
        """
        problem = self.problem
        features = problem.coordinates.features_of(subset)
        are_few = len(features) <= (MAX_COLUMNS if self._sweeps_failed else MIN_COLUMNS)
        if problem.has_columns and not are_few:
            n_stored = float(np.sum(problem.n_stored_in_columns[features]))
            if n_stored < len(features) ** 2:  # a sweep reads those values, or the matrix
                self._set_model(None)
                return self._column_model(point, self._take_columns(features, n_stored))
        matrix = problem.curvature_matrix(point, subset)
        self._set_model(GramQuadratic(matrix, subset, self.tol))
        self.curvature_of_factor = None if point.z is None else point.curvature
        return self.model

    def _column_model(self, point: Evaluation, places: NDArray[np.intp]) -> ColumnQuadratic:
        """Return the model of columns with these indices in ``columns.matrix``, without a pass."""
        matrix = self.columns.matrix
        return ColumnQuadratic(
            self.problem, matrix, places, point, self.tol, self._tolerance_factor
        )

    def _take_columns(self, features: NDArray[np.intp], n_stored: float) -> NDArray[np.intp]:
        """Return the indices in ``columns.matrix`` of the columns of some features; changes self.

        If a column has not been copied, columns are copied from X in one pass: those of the given
        features if this is the first copy and they have few of the stored values, else all columns.

        Parameters
        ----------
        features : ndarray of shape (n,), intp
            Indices of the features.
        n_stored : float
            Number of values stored in their columns.
        """
        places = None if self.columns is None else self.columns.places(features)
        if places is not None:
            return places
        problem = self.problem
        are_few = (
            self.columns is None and n_stored < MAX_COPIED_FRACTION * problem.data_size.n_stored
        )
        position = np.arange(problem.n_features)
        if are_few:
            position = np.full(problem.n_features, -1)
            position[features] = np.arange(len(features))
        self.columns = ColumnCache(problem.scaled_columns(features if are_few else None), position)
        return position[features]

    def _knows(self, subset: NDArray[np.intp]) -> bool:
        """Return whether the model has the curvature of every coordinate in the subset."""
        if self.model is None:
            return False
        known = np.zeros(self.problem.coordinates.size, dtype=bool)
        known[self.model.subset] = True
        return bool(known[subset].all())

    def _working_set(self, point: Evaluation) -> WorkingSet:
        """Return the working set at a point.

        If there are too many weights at a kink along which F falls, those with the largest excess
        of the gradient are taken.
        """
        p = self.problem.n_features
        excess = np.abs(self._non_smooth.least_subgradient(point.theta, point.gradient))
        inside = ~self._non_smooth.at_kink(point.theta)
        # At the largest C for which all weights are 0, a gradient is equal to κ but for rounding.
        rounding = self.problem.data_size.sum_rounding * self._non_smooth.l1
        wrong = np.flatnonzero(~inside & (excess > rounding))
        room = self._most_columns(np.count_nonzero(inside[:p]))
        is_complete = len(wrong) <= room
        if not is_complete:
            wrong = wrong[np.argpartition(-excess[wrong], room)[:room]]
        inside[wrong] = True
        return WorkingSet(np.flatnonzero(inside), is_complete)

    def _most_columns(self, n_others: int) -> int:
        """Return the largest number of columns to add to a working set of ``n_others`` columns."""
        p = self.problem.n_features
        if is_wide(self.problem):
            shares = WIDE_SHARE_OF_FEATURES * p, WIDE_SHARE_OF_WEIGHTS * n_others
            return int(max(MIN_WIDE_COLUMNS, *shares))
        least = MIN_SPARSE_COLUMNS if self.problem.has_columns else MIN_COLUMNS
        return max(least, COLUMNS_PER_WEIGHT * n_others) - n_others

    def _minimise(
        self, point: Evaluation, working: WorkingSet, model: GramQuadratic | ColumnQuadratic
    ) -> SearchDirection:
        """Return the direction from a point to the minimum of a model; changes self.

        Coordinates that are not in the working set do not change.
        """
        vector = np.zeros(len(point.theta))
        minimum = model.minimum(point, working.subset, self._non_smooth.of(working.subset))
        self._sweeps_failed |= isinstance(model, ColumnQuadratic) and not minimum.is_solved
        vector[working.subset] = minimum.theta - point.theta[working.subset]
        is_complete = working.is_complete and minimum.is_solved
        return SearchDirection(vector, 2 * minimum.gained, complete=is_complete)


def direction_rule(problem: Objective, tol: float, for_path: bool = False) -> Direction:
    """Return the rule that finds search directions: one for a smooth F, one for all others.

    The arguments are those of `ProximalNewtonDirection`; for a smooth F ``for_path`` has no effect.
    """
    if problem.penalty.is_smooth:
        return NewtonDirection(problem, tol)
    return ProximalNewtonDirection(problem, tol, for_path)
