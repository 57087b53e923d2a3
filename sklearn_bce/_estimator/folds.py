"""Folds of the samples: their fits along a path of C, and the scores of the samples held out.

A fold is a set of weights of all samples, with 0 for those that are not learnt from: X is not
copied. The fits of a fold start from those of all samples.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import check_cv

from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.fit import Task, objective_of
from sklearn_bce._estimator.path import Path
from sklearn_bce._estimator.samples import encode_samples
from sklearn_bce._estimator.sklearn_compat import check_method_params
from sklearn_bce._estimator.state import weight_attributes
from sklearn_bce._estimator.targets import checked_sample_weight
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.scaling import Moments
from sklearn_bce._solvers import LossDerivatives, Result
from sklearn_bce.chain_rule import binary_cross_entropy

# Elements of the rows of X that are copied at once to score a fold: 8 MB of float64. [a choice]
SCORED_ELEMENTS = 2**20


class Fold(NamedTuple):
    """A fold of the samples.

    Attributes
    ----------
    n_times : ndarray of shape (n_samples,), the smallest unsigned integer
        How often each sample is learnt from: 0 or 1, or more for splitters that repeat samples.
    test : ndarray of shape (n_test,), intp
        Indices of the samples that the fits are scored on.
    """

    n_times: NDArray[np.unsignedinteger[Any]]
    test: NDArray[np.intp]

    @property
    def left_out(self) -> NDArray[np.intp] | None:
        """Indices of the samples that are not learnt from; None if others are repeated."""
        left_out = np.flatnonzero(self.n_times == 0)
        return left_out if np.max(self.n_times) == 1 else None


class Paths(NamedTuple):
    """The fits of one set of samples.

    Attributes
    ----------
    fits : list of list of Result
        A list for each ``l1_ratio``, of the result at each C.
    coefs : ndarray of shape (n_l1_ratios, n_Cs, n_features), float64
        Weights of all features.
    intercepts : ndarray of shape (n_l1_ratios, n_Cs), float64
    """

    fits: list[list[Result]]
    coefs: NDArray[np.float64]
    intercepts: NDArray[np.float64]

    @classmethod
    def of(cls, paths: list[Path], of_all: Callable[[Vector], Vector]) -> Paths:
        """Return the fits of a path for each proportion of the L1 norm.

        Parameters
        ----------
        paths : list of Path
            The paths.
        of_all : callable (w) -> ndarray of shape (n_features,)
            Returns the weights of all features, given those of the features that are fitted.
        """
        fits = [[path.fits[k] for k in range(len(path.order))] for path in paths]
        coefs = [[of_all(fit.w) for fit in row] for row in fits]
        return cls(fits, np.array(coefs), np.array([[fit.b for fit in row] for row in fits]))

    @property
    def n_iter(self) -> NDArray[np.int32]:
        """Number of steps of each fit, of shape (n_l1_ratios, n_Cs)."""
        return np.array([[fit.n_iter for fit in row] for row in self.fits], dtype=np.int32)


def folds_of(cv: Any, task: Task, split_params: dict[str, Any]) -> list[Fold]:
    """Return the folds into which a splitter divides the samples.

    Parameters
    ----------
    cv : int, splitter, iterable or None
        As given to the estimator.
    task : Task
        Task of a fit to all samples.
    split_params : dict
        Further arguments of the splitter, such as ``groups``.
    """
    X, y = task.given.X, task.given.y
    n_samples = X.shape[0]
    splitter = check_cv(cv, y, classifier=not task.parameters.soft_targets)
    all_rows, folds = np.arange(n_samples), []
    for train, test in splitter.split(X, y, **split_params):
        n_times = np.bincount(all_rows[train], minlength=n_samples)
        smallest = np.min_scalar_type(int(n_times.max()))
        folds.append(Fold(n_times.astype(smallest), all_rows[test]))
    return folds


def task_of_fold(task: Task, fold: Fold, number: int, n_threads: int) -> Task:
    """Return the task of a fit to the samples of a fold, with class weights and σ of their own.

    Parameters
    ----------
    task : Task
        Task of a fit to all samples.
    fold : Fold
        The fold.
    number : int
        Number of the fold, from 0, for messages.
    n_threads : int
        Most threads that a pass may use.

    Raises
    ------
    ValueError
        If the fold has samples of one class only.
    """
    given, parameters = task.given, task.parameters
    weight = fold.n_times * checked_sample_weight(given.X, given.sample_weight)
    samples, encoder = encode_samples(
        given._replace(sample_weight=weight),
        soft_targets=parameters.soft_targets,
        class_weight=parameters.class_weight,
        estimator_name="BCENeuronClassifierCV",
    )
    if encoder.only_class is not None:
        raise ValueError(
            f"Fold {number} learns from samples of class {encoder.only_class!r} only. Use fewer "
            "folds, or a splitter that stratifies, such as cv=5 or StratifiedGroupKFold."
        )
    samples = samples._replace(X=task.objective.X)
    if np.array_equal(samples.y, task.objective.y):
        samples = samples._replace(y=task.objective.y)  # one array for all folds
    regularisation, objective = objective_of(samples, parameters, task.regularisation, n_threads)
    objective.moments = task.objective.moments  # in which the solver scales the columns
    return task._replace(
        objective=objective, regularisation=regularisation, label=f"Fold {number}, "
    )


def lacks_a_free_column(task: Task, Cs: Vector) -> bool:
    """Return whether a column without a penalty is constant in a fold, but not in all samples.

    The fit to all samples then says nothing of its weight, which is 0 in a fit to the fold alone.
    If so, the solver scales the columns by the moments of the fold; the task is changed.

    Parameters
    ----------
    task : Task
        Task of a fit to the fold, with the moments of all samples.
    Cs : ndarray of shape (n_Cs,), float64
        Values of C.
    """
    objective = task.objective
    if np.isfinite(Cs).all() and objective.penalty.curvature_diagonal(objective.n_features).all():
        return False
    own = Moments.of(objective.X, objective.sample_weight, objective.coordinates.fit_intercept)
    whole = objective.moments
    is_lost = np.isinf(own.coordinates.divisor) & np.isfinite(whole.coordinates.divisor)
    if is_lost.any():
        objective.moments = own
    return bool(is_lost.any())


def derivatives_of_folds(
    problem: InMemoryObjective, theta: Vector, folds: list[Fold]
) -> tuple[LossDerivatives, list[LossDerivatives | None]]:
    """Return the derivatives of the loss of all samples, and of those of each fold.

    With class weights of its own, a fold has nearly these. None for a fold that learns from less
    than half of the samples, or from some more than once.

    Parameters
    ----------
    problem : InMemoryObjective
        F over all samples.
    theta : ndarray of shape (size,), float64
        θ.
    folds : list of Fold
        The folds.
    """
    left_out = [fold.left_out for fold in folds]
    is_few = [rows is not None and len(rows) <= problem.n_samples / 2 for rows in left_out]
    parts = [
        LossDerivatives.of_rows(problem, theta, rows) if few else None
        for rows, few in zip(left_out, is_few, strict=True)
    ]
    n_times = sum(fold.n_times.astype(np.intp) for fold in folds)
    if all(is_few) and (n_times == len(folds) - 1).all():  # each sample is left out once
        whole = reduce(LossDerivatives.plus, [part for part in parts if part is not None])
    else:
        whole = LossDerivatives.at(problem, theta)
    return whole, [
        whole.without(part) if few else None for part, few in zip(parts, is_few, strict=True)
    ]


def outputs_of_fold(task: Task, paths: Paths, fold: Fold) -> NDArray[np.float64]:
    """Return the outputs of the samples held out, of shape (n_l1_ratios, n_Cs, n_test).

    Parameters
    ----------
    task : Task
        Task of a fit to all samples.
    paths : Paths
        Fits of the fold.
    fold : Fold
        The fold.
    """
    X, offset = task.objective.X, task.objective.offset
    W = np.array([fit.w for row in paths.fits for fit in row]).T
    z = np.empty((W.shape[1], len(fold.test)))
    n_rows = max(1, SCORED_ELEMENTS // X.shape[1])
    for start in range(0, len(fold.test), n_rows):
        rows = fold.test[start : start + n_rows]
        z[:, start : start + n_rows] = (X[rows] @ W).T
    z += paths.intercepts.reshape(-1, 1)
    if offset is not None:
        z += offset[fold.test]
    return z.reshape(*paths.intercepts.shape, -1)


def negative_log_losses(
    task: Task, z: NDArray[np.float64], test: NDArray[np.intp], weight: Vector
) -> NDArray[np.float64]:
    """Return minus the mean loss of samples held out in nats, (n_l1_ratios, n_Cs).

    The losses are computed from the linear outputs, and not from rounded probabilities.

    Parameters
    ----------
    task : Task
        Task of a fit to all samples.
    z : ndarray of shape (n_l1_ratios, n_Cs, n_test), float64
        Outputs of the samples held out.
    test : ndarray of shape (n_test,), intp
        Indices of these samples.
    weight : ndarray of shape (n_samples,), float64
        Weights of all samples in the mean.
    """
    return -np.average(losses_of(task, z, test), axis=-1, weights=weight[test])


def losses_of(task: Task, z: NDArray[np.float64], test: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the loss of each sample held out in nats; the arguments are those of the mean."""
    # Class weights change the y of the objective if the targets are soft.
    y = task.given.y if task.parameters.soft_targets else task.objective.y
    return binary_cross_entropy(y[test], z)


def scores_by(
    scorer: Any, task: Task, paths: Paths, fold: Fold, score_params: dict[str, Any]
) -> NDArray[np.float64]:
    """Return the scores of the samples held out by a scorer, (n_l1_ratios, n_Cs).

    Parameters
    ----------
    scorer : callable (estimator, X, y, **score_params) -> float
        The scorer.
    task, paths, fold
        As of `negative_log_losses`.
    score_params : dict
        Further arguments of the scorer; those with an entry for each sample are those of all
        samples.
    """
    given, test = task.given, fold.test
    arguments = check_method_params(given.X, score_params, indices=test)
    scores = np.empty(paths.intercepts.shape)
    model = BCENeuronClassifier(soft_targets=task.parameters.soft_targets)
    model.n_features_in_ = given.X.shape[1]
    for place in np.ndindex(scores.shape):
        w, b = paths.coefs[place], paths.intercepts[place]
        attributes = weight_attributes(
            task.classes, np.dtype(np.float64), w, b, has_offset=task.objective.has_offset
        )
        vars(model).update(attributes)
        scores[place] = scorer(model, given.X[test], given.y[test], **arguments)
    return scores


def best_place(
    scores: NDArray[np.float64], Cs: Vector, errors: NDArray[np.float64] | None = None
) -> tuple[int, int]:
    """Return the indices of the chosen ``l1_ratio`` and C.

    That is the place with the largest score; or, given standard errors, with the same ``l1_ratio``
    the least C whose score is at most the standard error at that place below the largest.

    Parameters
    ----------
    scores : ndarray of shape (n_l1_ratios, n_Cs)
        Mean scores of the samples held out.
    Cs : ndarray of shape (n_Cs,)
        Values of C.
    errors : ndarray of shape (n_l1_ratios, n_Cs), or None, default=None
        Standard errors of the scores.

    References
    ----------
    T. Hastie, R. Tibshirani and J. Friedman, "The Elements of Statistical Learning", 2009, section
    7.10 (the one-standard-error rule).
    """
    j, k = map(int, np.unravel_index(np.argmax(scores), scores.shape))
    if errors is not None:
        near = np.flatnonzero(scores[j] >= scores[j, k] - errors[j, k])
        k = int(near[np.argmin(Cs[near])])
    return j, k
