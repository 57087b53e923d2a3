"""Fits of one model with several values of C, each from the one before: `regularization_path`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sklearn_bce._estimator.chunks import IteratedChunks, task_of_parts
from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.fit import Task, prepare_fit, run_solver
from sklearn_bce._estimator.l1_min_c import strength_that_leaves_nothing
from sklearn_bce._estimator.monitor import FitMonitor
from sklearn_bce._estimator.parameters import CONSTRAINTS
from sklearn_bce._estimator.samples import GivenSamples
from sklearn_bce._estimator.sklearn_compat import Interval, validate_parameter_constraints
from sklearn_bce._estimator.validation import InitialWeights, checked_array
from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.base import BaseObjective
from sklearn_bce._objective.rows import NotFiniteError
from sklearn_bce._solvers import LossDerivatives, NearbyState, Result, derivatives_save_time

# Parameters of `BCENeuronClassifier` that concern the objective and its minimum.
OBJECTIVE_PARAMETERS = (
    "fit_intercept",
    "class_weight",
    "soft_targets",
    "standardize",
    "penalty_factor",
    "coef_bounds",
    "max_iter",
    "tol",
    "random_state",
)
CS_CONSTRAINTS: dict[str, list[Any]] = {
    "Cs": [Interval(Integral, 1, None, closed="left"), "array-like"]
}
PATH_CONSTRAINTS = {
    **CS_CONSTRAINTS,
    "l1_ratio": CONSTRAINTS["l1_ratio"],
    **{name: CONSTRAINTS[name] for name in OBJECTIVE_PARAMETERS},
}
# Strengths between which a grid of C lies. At the strongest, an L2 penalty has so many times the
# curvature of the loss that weights are within 1 % of 0; an L1 norm leaves nothing. At the weakest
# the penalty is a millionth of that curvature, or of that L1 norm, and is no longer felt. Standard
# columns and 1000 samples have C from 4e-5 to 4e3, as the grid of LogisticRegressionCV. [a choice]
STRONGEST = 100.0
WEAKEST = 1e-6


class RegularizationPath(NamedTuple):
    """The minima for several values of C, as `regularization_path` returns them.

    Attributes
    ----------
    Cs : ndarray of shape (n_Cs,), float64
        Inverses of the strength of the penalty, in the order in which they were given; ascending if
        their number was given.
    coefs : ndarray of shape (n_Cs, n_features), float64
        Weights at each C, in the units of X.
    intercepts : ndarray of shape (n_Cs,), float64
        Intercept at each C.
    n_iter : ndarray of shape (n_Cs,), int32
        Number of steps of Newton's method at each C.
    """

    Cs: Vector
    coefs: NDArray[np.float64]
    intercepts: Vector
    n_iter: NDArray[np.int32]


def regularization_path(
    X: Any,
    y: ArrayLike | None = None,
    *,
    Cs: int | ArrayLike = 10,
    l1_ratio: float = 0.0,
    fit_intercept: bool = True,
    class_weight: dict[Any, float] | str | None = None,
    soft_targets: bool = False,
    standardize: bool = False,
    penalty_factor: ArrayLike | dict[str, float] | None = None,
    coef_bounds: Any = None,
    max_iter: int = 100,
    tol: float = 1e-6,
    random_state: Any = None,
    sample_weight: ArrayLike | None = None,
    offset: Any = None,
) -> RegularizationPath:
    """Return the weights that minimise F for each of several strengths of the penalty.

    F is the objective of `BCENeuronClassifier`. The fits go from the strongest penalty to the
    weakest, and each starts from the minimum of the one before, where that saves time; their
    results are those of single fits within ``tol``.

    Parameters
    ----------
    X : {array-like, sparse matrix or array, dataframe, dask array or dataframe} of shape \
            (n_samples, n_features), or callable () -> iterable of chunks
        Samples; not changed. A callable returns samples that do not fit into memory together, as
        that of `fit_from_chunks`, with their y, weights and offset. Of Dask collections, y,
        sample_weight and offset have the blocks of X; the active client computes the sums.
    y : array-like of shape (n_samples,), default=None
        Labels of two classes; numbers in [0, 1] if ``soft_targets=True``. None for chunks.
    Cs : int or array-like of shape (n_Cs,), default=10
        Inverses of the strength of the penalty, in (0, inf]; or their number. A number asks for a
        grid with equal ratios over the strengths that matter. Its least C is, with an L1 norm, the
        largest that leaves no weight, see `l1_min_c`, and the largest is 1e6 times that. Without an
        L1 norm, the penalty falls from a hundred times the curvature of the loss to a millionth of
        it, both of the median feature at weights of 0.
    l1_ratio : float, default=0.0
        Proportion of the L1 norm in the penalty, in [0, 1].
    fit_intercept, class_weight, soft_targets, standardize, penalty_factor, coef_bounds, max_iter, \
            tol, random_state
        As of `BCENeuronClassifier`; ``max_iter`` counts the steps for each C.
    sample_weight : array-like of shape (n_samples,), default=None
        Weights, not negative; None means 1 for each sample.
    offset : float or array-like of shape (n_samples,), default=None
        Known term of the linear output of each sample, as of `BCENeuronClassifier.fit`; None means
        that there is none.

    Returns
    -------
    path : RegularizationPath
        Named tuple with the arrays ``Cs``, ``coefs``, ``intercepts`` and ``n_iter``.

    Raises
    ------
    ValueError, TypeError
        If a parameter is out of range, an argument is malformed, or a grid is asked for and no
        feature is penalised.

    Warns
    -----
    ConvergenceWarning
        If a fit ends above the minimum of F, or F has no minimum; the message names C.

    See Also
    --------
    BCENeuronClassifier : The model.
    l1_min_c : The largest C at which an L1 penalty makes all weights 0.
    PathDisplay : Plot of the weights along the path.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import regularization_path
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> path = regularization_path(X, y, Cs=[0.001, 0.01, 0.1, 1], l1_ratio=1, standardize=True)
    >>> path.coefs.shape
    (4, 30)
    >>> np.count_nonzero(path.coefs, axis=1)
    array([ 0,  2,  8, 16])
    """
    own = {
        "fit_intercept": fit_intercept,
        "class_weight": class_weight,
        "soft_targets": soft_targets,
        "standardize": standardize,
        "penalty_factor": penalty_factor,
        "coef_bounds": coef_bounds,
        "max_iter": max_iter,
        "tol": tol,
        "random_state": random_state,
    }
    given = {"Cs": Cs, "l1_ratio": l1_ratio, **own}
    validate_parameter_constraints(PATH_CONSTRAINTS, given, "regularization_path")
    neuron = BCENeuronClassifier(l1_ratio=l1_ratio, solver="newton", warm_start=True, **own)
    samples = GivenSamples(X, y, sample_weight, offset)
    with one_blas_thread() as n_threads:
        task = task_of_samples(neuron, samples, n_threads)
        try:
            task.objective.know_moments()
            Cs = checked_Cs(Cs, [task.objective])
            path = Path(task, Cs)
            for k in path.order:
                path.fit(k)
        except NotFiniteError:
            task.raise_for_not_finite("regularization_path")
            raise
    fits = [path.fits[k] for k in range(len(Cs))]
    return RegularizationPath(
        Cs,
        np.array([task.regularisation.of_all(fit.w) for fit in fits]),
        np.array([fit.b for fit in fits]),
        np.array([fit.n_iter for fit in fits], dtype=np.int32),
    )


regularization_path.__module__ = "sklearn_bce"  # the path it is imported from
RegularizationPath.__module__ = "sklearn_bce"


def task_of_samples(neuron: BCENeuronClassifier, given: GivenSamples, n_threads: int) -> Task:
    """Return the task of a fit to samples in memory, in chunks or in Dask collections.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Its ``n_features_in_`` and ``feature_names_in_`` are set.
    given : GivenSamples
        The samples; X may be a callable that returns chunks, see `fit_from_chunks`.
    n_threads : int
        Most threads that a pass may use.
    """
    if callable(given.X):
        raise_unless_alone(given)
        return task_of_parts(neuron, IteratedChunks(neuron, given.X), n_threads)
    if is_in_parts(given.X):
        from sklearn_bce._estimator.dask_blocks import blocks_of  # Dask is optional

        return task_of_parts(neuron, blocks_of(neuron, given), n_threads=1)
    return prepare_fit(neuron, given, None, InitialWeights(), n_threads)


def is_in_parts(X: Any) -> bool:
    """Return whether X is a callable that returns chunks, or a Dask collection."""
    return callable(X) or hasattr(type(X), "__dask_graph__")


def raise_unless_alone(given: GivenSamples) -> None:
    """Raise ValueError if chunks are given together with y, weights or an offset of their own."""
    also = [name for name, value in given._asdict().items() if name != "X" and value is not None]
    if also:
        raise ValueError(
            f"{', '.join(also)} must be None if X is a callable that returns chunks: each chunk "
            "is a tuple (X, y), (X, y, sample_weight) or (X, y, sample_weight, offset)."
        )


def checked_Cs(Cs: Any, objectives: Sequence[BaseObjective]) -> Vector:
    """Return the values of C, or a grid of them if their number is given.

    Parameters
    ----------
    Cs : int or array-like of shape (n_Cs,)
        As given to `regularization_path`.
    objectives : sequence of BaseObjective
        F with C=1, for each proportion of the L1 norm; the grid goes over the strengths that matter
        for any of them. A grid of one value is the geometric mean of the ends.

    Raises
    ------
    ValueError
        If a value is not in (0, inf], there is none, or no feature is penalised.
    """
    if isinstance(Cs, Integral):
        with np.errstate(all="ignore"):  # what overflows is told as not finite
            least, largest = zip(*map(range_of_C, objectives), strict=True)
        ends = min(least), max(largest)
        return np.geomspace(*ends, int(Cs)) if Cs > 1 else np.array([np.sqrt(np.prod(ends))])
    Cs = np.array(checked_array(Cs, "Cs"), dtype=np.float64)
    if Cs.ndim != 1 or not len(Cs) or not (Cs > 0).all():
        raise ValueError(f"Cs must be an integer, or numbers in (0, inf], at least one; got {Cs}.")
    return Cs


def range_of_C(objective: BaseObjective) -> tuple[float, float]:
    """Return the least and the largest C that matter, given F with C=1.

    Raises
    ------
    ValueError
        If no feature is penalised, or with an L1 norm none is correlated with y.
    """
    n_features = objective.n_features
    if np.any(objective.penalty.l1):
        least = 1 / strength_that_leaves_nothing(objective)
        return least, least / WEAKEST
    problem = objective.standardised()
    coordinates = problem.coordinates
    strength = problem.penalty.curvature_diagonal(n_features)
    if not np.any(strength > 0):
        raise ValueError("penalty_factor is 0 for all features that are left: none is penalised.")
    theta = np.zeros(coordinates.size)
    if coordinates.fit_intercept:
        theta[-1] = objective.log_odds
    curvature = problem.total_curvature(problem.evaluate_start(theta))
    penalised = (strength > 0) & (coordinates.divisor < np.inf)
    ratio = strength[penalised] / curvature if penalised.any() else np.ones(1)
    typical = float(np.median(ratio))
    return typical / STRONGEST, typical / WEAKEST


class Path:
    """Fits of one task with several values of C.

    Each fit starts from the one before or, if there are fits to nearly the same samples, from
    theirs.

    Parameters
    ----------
    task : Task
        The task, with the proportion of the L1 norm.
    Cs : ndarray of shape (n_Cs,), float64
        Values of C, in (0, inf].
    near : Path or None, default=None
        The path of nearly the same samples, with the same penalties; it must be ahead of this one.

    Attributes
    ----------
    order : ndarray of shape (n_Cs,), intp
        Indices of the values of C in ascending order, in which the fits are to be made.
    fits : dict of int to Result
        The fits so far, by the index of C.
    """

    def __init__(self, task: Task, Cs: Vector, near: Path | None = None) -> None:
        self._task, self._Cs, self._near = task, Cs, near
        self.order = np.argsort(Cs, kind="stable")
        self.fits: dict[int, Result] = {}
        self._state: Any = task.path_state
        self._before: int | None = None
        # By how much the last minimum, w and b, was missed by what was expected from the other
        # path. For a smooth F this is much the same for the next C; with an L1 norm or bounds it
        # would move weights from 0 and across their bounds.
        self._missed: Vector | float = 0.0

    @property
    def is_near(self) -> bool:
        """Whether there is a path of nearly the same samples."""
        return self._near is not None

    def task(self, k: int) -> Task:
        """Return the task of the fit with the k-th C, which starts at the minimum once it is known.

        Its label names C.
        """
        C = float(self._Cs[k])
        task = with_penalty(self._task, C, self._task.parameters.l1_ratio)
        if k in self.fits:
            task = task._replace(w=self.fits[k].w, b=self.fits[k].b)
        return task._replace(label=f"{task.label}C={C:g}: ")

    def fit(self, k: int, known: LossDerivatives | None = None) -> Result:
        """Fit with the k-th C, and return the result; changes self.

        Parameters
        ----------
        k : int
            Index of C.
        known : LossDerivatives or None, default=None
            Derivatives of the loss of these samples near the minimum; None if they are not known.

        Warns
        -----
        ConvergenceWarning
            See `regularization_path`.
        """
        task = self.task(k)
        state = self._state if known is None else NearbyState(known, self.is_near)
        expected = self._expected(k, task, known)
        start = expected
        if starts_at_zero(task.objective):
            start, state = np.zeros(len(task.w) + 1), None
        elif task.objective.penalty.is_smooth:
            start = expected + self._missed
        task = task._replace(w=start[:-1], b=float(start[-1]), path_state=state)
        result = run_solver("newton", task, FitMonitor(None, None, task.weight_attributes))
        # The curvature that a path carries from C to C is not kept with the result.
        self._state, self._before = result.path_state, k
        self.fits[k] = result = replace(result, path_state=None)
        if self.is_near:
            self._missed = np.append(result.w, result.b) - expected
        return result

    def _expected(self, k: int, task: Task, known: LossDerivatives | None) -> Vector:
        """Return weights and intercept near which the k-th minimum is expected."""
        if known is not None and task.objective.penalty.is_smooth:
            return np.append(*known.predicted_minimum(task.objective))
        if self.is_near:
            near = self._near.fits[k]
        elif self._before is not None:
            near = self.fits[self._before]
        else:
            near = task
        return np.append(near.w, near.b)

    def minimum(self, k: int, n_fits: int) -> tuple[BaseObjective, Vector] | None:
        """Return F in standard coordinates, and θ at the minimum of the k-th fit.

        None if the derivatives of the loss there save no time in ``n_fits`` fits to nearly the same
        samples.
        """
        task = self.task(k)
        objective = task.objective
        if starts_at_zero(objective) or not derivatives_save_time(objective, n_fits):
            return None
        problem = objective.standardised()
        if problem.penalty.is_smooth and problem.penalty_dominates():
            return None  # H is nearly that of the penalty
        return problem, problem.coordinates.from_user(task.w, task.b)


def starts_at_zero(objective: BaseObjective) -> bool:
    """Return whether a fit from weights of 0 takes less time than one from weights nearby.

    With more features than samples and a smooth F, the minimum is found in the dual or in the space
    of the samples, which have no weights to start from.
    """
    return objective.penalty.is_smooth and objective.n_features > objective.n_samples


def with_penalty(task: Task, C: float, l1_ratio: float) -> Task:
    """Return the same task with another C and proportion of the L1 norm."""
    objective = task.objective
    penalty = task.regularisation.penalty(C, l1_ratio, objective.total_weight)
    return task._replace(
        objective=objective.with_penalty(penalty),
        parameters=task.parameters._replace(C=C, l1_ratio=l1_ratio),
    )
