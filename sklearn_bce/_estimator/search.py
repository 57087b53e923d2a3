"""The search for C and the proportion of the L1 norm: its fits, scores and choice."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import Bunch

from sklearn_bce._estimator.diagnostics import run_warning_here, warn_caller
from sklearn_bce._estimator.fit import Task, stored_dtype
from sklearn_bce._estimator.folds import (
    Fold,
    Paths,
    best_place,
    derivatives_of_folds,
    folds_of,
    lacks_a_free_column,
    losses_of,
    negative_log_losses,
    outputs_of_fold,
    scores_by,
    task_of_fold,
)
from sklearn_bce._estimator.leave_one_out import (
    GivenOutputs,
    log_loss_left_out,
    outputs_left_out,
)
from sklearn_bce._estimator.monitor import Callbacks
from sklearn_bce._estimator.path import Path, checked_Cs, range_of_C, with_penalty
from sklearn_bce._estimator.state import weight_attributes
from sklearn_bce._estimator.targets import checked_sample_weight
from sklearn_bce._estimator.validation import checked_array
from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import CURVATURE_WORK, thread_ranges
from sklearn_bce._solvers import LeaveOneOut, LossDerivatives

LOG_LOSS = "neg_log_loss"

Evaluated = tuple[Paths, list[Paths], NDArray[np.float64], NDArray[np.float64]]


def is_log_loss(scoring: Any) -> bool:
    """Return whether a score is the log loss, which is computed from the linear outputs."""
    return isinstance(scoring, str) and scoring == LOG_LOSS


class Search:
    """The fits of a search, to all samples and to folds, and their scores.

    Parameters
    ----------
    estimator : BCENeuronClassifierCV
        Not changed.
    task : Task
        Task of a fit to all samples.
    scorer : callable (estimator, X, y, **params) -> float
        The scorer of ``scoring``.
    routed : Bunch
        Arguments of splitter and scorer.

    Attributes
    ----------
    Cs, l1_ratios : ndarray of shape (n_Cs,) and (n_l1_ratios,), float64
        Parameters of the fits.
    folds : list of Fold
        The folds; empty for leave-one-out.
    callbacks : Callbacks or None
        Callbacks that are told each fit.
    """

    def __init__(self, estimator: BaseEstimator, task: Task, scorer: Any, routed: Bunch) -> None:
        self._estimator, self._task, self._score_params = estimator, task, routed.scorer.score
        self._scorer = scorer
        task.objective.know_moments()
        self.l1_ratios = checked_l1_ratios(estimator.l1_ratios)
        objectives = [self._with_penalty(1.0, ratio).objective for ratio in self.l1_ratios]
        self.Cs = checked_Cs(estimator.Cs, objectives)
        self.folds: list[Fold] = []
        if not self._is_leave_one_out:
            self.folds = folds_of(estimator.cv, task, routed.splitter.split)
        n_fits = (1 + len(self.folds)) * len(self.l1_ratios) * len(self.Cs)
        self.callbacks = Callbacks.of(estimator, n_fits, "fit")

    @property
    def _is_leave_one_out(self) -> bool:
        return isinstance(self._estimator.cv, str)

    @property
    def _is_in_memory(self) -> bool:
        return self._task.given.X is not None

    def _with_penalty(self, C: float, l1_ratio: float) -> Task:
        """Return the task of a fit to all samples with other parameters."""
        return with_penalty(self._task, float(C), float(l1_ratio))

    def run(self) -> dict[str, Any]:
        """Return the fitted attributes that do not describe X.

        Raises
        ------
        ValueError
            If a fold has one class only, a score is not finite, or the choice is not possible.
        """
        if self.callbacks is not None:
            self.callbacks.begin_fit(*self._task.given)
        by = self._by_leave_one_out if self._is_leave_one_out else self._by_folds
        whole, paths, scores, errors = by()
        if not whole.coefs.any() and self.l1_ratios.all():
            self._warn_of_no_weight()
        if not np.isfinite(scores).all():
            number = int(np.argmin(np.isfinite(scores).all(axis=(1, 2))))
            name = self._estimator.scoring
            raise ValueError(f"scoring={name!r} is not finite for fold {number}.")
        coefs = np.array([each.coefs for each in paths])
        if self._estimator.fit_intercept:
            intercepts = np.array([each.intercepts for each in paths])
            coefs = np.concatenate([coefs, intercepts[..., np.newaxis]], axis=-1)
        attributes = {
            "Cs_": self.Cs,
            "l1_ratios_": self.l1_ratios,
            "scores_": scores,
            "standard_errors_": errors,
            "coefs_paths_": coefs[..., np.newaxis, :],
            "n_iter_": np.array([each.n_iter for each in paths]),
        }
        if self._estimator.refit:
            return attributes | self._of_all(whole, scores.mean(axis=0), errors)
        return attributes | self._means_of_folds(paths, scores)

    def _warn_of_no_weight(self) -> None:
        """Warn that the L1 norm leaves no weight at any of the values of C."""
        least = min(
            range_of_C(self._with_penalty(1.0, ratio).objective)[0] for ratio in self.l1_ratios
        )
        warn_caller(
            f"All weights are 0 for each of Cs, of which the largest is {self.Cs.max():.3g}: the "
            f"penalty is too strong. Values above {least:.3g} leave some weights.",
        )

    def _paths(self, task: Task, near: list[Path] | None = None) -> list[Path]:
        """Return a path of a task, without fits, for each proportion of the L1 norm.

        ``near`` has the paths of nearly the same samples; None means that there are none.
        """
        paths = []
        for j, ratio in enumerate(self.l1_ratios):
            of_ratio = with_penalty(task, 1.0, float(ratio))
            if len(self.l1_ratios) > 1:
                of_ratio = of_ratio._replace(label=f"{task.label}l1_ratio={ratio:g}, ")
            paths.append(Path(of_ratio, self.Cs, None if near is None else near[j]))
        return paths

    def _fit(self, path: Path, k: int, known: LossDerivatives | None = None) -> None:
        """Fit a path with the k-th C, and tell the callbacks; see `Path.fit`."""
        if self.callbacks is None:
            path.fit(k, known)
            return
        self.callbacks.begin_iteration()
        result = path.fit(k, known)
        self.callbacks.end_iteration(partial(self._task.weight_attributes, result.w, result.b))

    def _by_folds(self) -> Evaluated:
        """Return all fits, and the scores of the samples that each fold holds out.

        Returns
        -------
        whole : Paths
            Fits to all samples.
        paths : list of Paths
            Fits of each fold.
        scores : ndarray of shape (n_folds, n_l1_ratios, n_Cs), float64
        standard_errors : ndarray of shape (n_l1_ratios, n_Cs), float64
            Of the mean scores; NaN of a single fold.
        """
        task, folds, of_all = self._task, self.folds, self._task.regularisation.of_all
        n_jobs = self._n_jobs()
        n_threads = max(1, task.objective.n_threads // n_jobs)
        tasks = [task_of_fold(task, fold, i, n_threads) for i, fold in enumerate(folds)]
        whole = self._paths(task)
        paths = [
            self._paths(of_fold, None if lacks_a_free_column(of_fold, self.Cs) else whole)
            for of_fold in tasks
        ]
        for j, path in enumerate(whole):
            known: LossDerivatives | None = None
            for k in path.order:
                self._fit(path, k, known)
                known, of_folds = None, [None] * len(folds)
                if (minimum := path.minimum(k, len(folds))) is not None:
                    known, of_folds = derivatives_of_folds(*minimum, folds)
                in_turn = zip([each[j] for each in paths], of_folds, strict=True)
                fits = [
                    partial(self._fit, each, k, own if each.is_near else None)
                    for each, own in in_turn
                ]
                run_warning_here(fits, n_jobs)
        found = [Paths.of(path, of_all) for path in paths]
        scores = np.array([self._scores(*each) for each in zip(found, folds, strict=True)])
        errors = np.full(scores.shape[1:], np.nan)
        if len(scores) > 1:
            errors = scores.std(axis=0, ddof=1) / np.sqrt(len(scores))
        return Paths.of(whole, of_all), found, scores, errors

    def _n_jobs(self) -> int:
        """Return the number of folds that are fitted at the same time."""
        objective, n_jobs = self._task.objective, self._estimator.n_jobs
        if self.callbacks is not None:
            return 1
        n_threads = objective.n_threads
        if n_jobs is None:
            is_small = len(thread_ranges(objective.X, n_threads, CURVATURE_WORK)) == 1
            n_jobs = n_threads if is_small else 1
        elif n_jobs < 0:
            n_jobs = max(1, n_threads + 1 + n_jobs)
        return min(n_jobs, len(self.folds))

    def _by_leave_one_out(self) -> Evaluated:
        """Return the fits to all samples, and the scores of each sample by the fit without it.

        The result is that of `_by_folds`, with one fold. The standard errors are those of means
        over samples; NaN if the score is not a mean of losses.
        """
        whole, leave_one_out = self._paths(self._task), LeaveOneOut(self._task.objective)
        scores, errors = np.full((2, len(whole), len(self.Cs)), np.nan)
        for j, path in enumerate(whole):
            known: LossDerivatives | None = None
            for k in path.order:
                self._fit(path, k, known)
                # Derivatives serve for the samples left out, and for the next C.
                minimum = path.minimum(k, 2)
                known = None if minimum is None else LossDerivatives.at(*minimum)
                found = self._leave_out(leave_one_out, path.task(k), known)
                scores[j, k], errors[j, k] = found
        of_all = Paths.of(whole, self._task.regularisation.of_all)
        return of_all, [of_all], scores[np.newaxis], errors

    def _leave_out(
        self, leave_one_out: LeaveOneOut, task: Task, known: LossDerivatives | None
    ) -> tuple[float, float]:
        """Return the score of samples left out one by one, and its standard error or NaN.

        The arguments are those of `outputs_left_out`.
        """
        if not self._is_in_memory:
            return log_loss_left_out(leave_one_out, task, known)
        z = outputs_left_out(leave_one_out, task, known)
        given = self._task.given
        if not is_log_loss(self._estimator.scoring):
            model = GivenOutputs(task.classes, z)
            return self._scorer(model, given.X, given.y, **self._score_params), np.nan
        weight = self._score_weight()
        loss = losses_of(self._task, z, np.arange(len(z)))
        mean = float(np.average(loss, weights=weight))
        error = np.sqrt(np.square(weight / np.sum(weight) * (loss - mean)).sum())
        return -mean, float(error)

    def _scores(self, paths: Paths, fold: Fold) -> NDArray[np.float64]:
        """Return the scores of the samples that a fold holds out, of shape (n_l1_ratios, n_Cs)."""
        task, scoring = self._task, self._estimator.scoring
        if is_log_loss(scoring):
            z = outputs_of_fold(task, paths, fold)
            return negative_log_losses(task, z, fold.test, self._score_weight())
        if task.objective.has_offset:
            raise ValueError(
                f"offset is not supported with scoring={scoring!r}, which scores predictions "
                "without one; use scoring='neg_log_loss'."
            )
        return scores_by(self._scorer, task, paths, fold, self._score_params)

    def _score_weight(self) -> Vector:
        """Return the weights of all samples in a mean score, of shape (n_samples,)."""
        return checked_sample_weight(self._task.given.X, self._score_params.get("sample_weight"))

    def _of_all(
        self, whole: Paths, scores: NDArray[np.float64], errors: NDArray[np.float64]
    ) -> dict[str, Any]:
        """Return the chosen parameters, and what predictions need of the fit to all samples.

        Parameters
        ----------
        whole : Paths
            Fits to all samples.
        scores, errors : ndarray of shape (n_l1_ratios, n_Cs), float64
            Mean scores and their standard errors.

        Raises
        ------
        ValueError
            If ``rule="1se"`` and there is no standard error.
        """
        estimator, is_1se = self._estimator, self._estimator.rule == "1se"
        if is_1se and np.isnan(errors).any():
            raise ValueError(
                f"rule='1se' needs a standard error, which cv={estimator.cv!r} with "
                f"scoring={estimator.scoring!r} does not have; use rule='best'."
            )
        place = j, k = best_place(scores, self.Cs, errors if is_1se else None)
        C, l1_ratio = self.Cs[k], self.l1_ratios[j]
        dtype = stored_dtype(self._with_penalty(C, l1_ratio), whole.fits[j][k])
        return self._attributes(C, l1_ratio, whole.coefs[place], whole.intercepts[place], dtype)

    def _means_of_folds(self, paths: list[Paths], scores: NDArray[np.float64]) -> dict[str, Any]:
        """Return the means over the folds of what each chooses by its own score.

        Parameters
        ----------
        paths : list of Paths
            Fits of each fold.
        scores : ndarray of shape (n_folds, n_l1_ratios, n_Cs), float64
            Their scores.
        """
        places = [best_place(each, self.Cs) for each in scores]
        j, k = np.array(places).T
        each = list(zip(paths, places, strict=True))
        return self._attributes(
            self.Cs[k].mean(),
            self.l1_ratios[j].mean(),
            np.mean([path.coefs[place] for path, place in each], axis=0),
            np.mean([path.intercepts[place] for path, place in each]),
            self._task.dtype,
        )

    def _attributes(
        self, C: float, l1_ratio: float, w: Vector, b: float, dtype: np.dtype[Any]
    ) -> dict[str, Any]:
        """Return the chosen parameters, and the attributes that predictions need."""
        has_offset = self._task.objective.has_offset
        return {
            "C_": float(C),
            "l1_ratio_": float(l1_ratio),
            **weight_attributes(self._task.classes, dtype, w, float(b), has_offset=has_offset),
        }


def checked_l1_ratios(l1_ratios: Any) -> Vector:
    """Return the proportions of the L1 norm.

    Raises
    ------
    ValueError
        If a value is not in [0, 1], or there is none.
    """
    ratios = np.array(checked_array(l1_ratios, "l1_ratios"), dtype=np.float64)
    if ratios.ndim != 1 or not len(ratios) or not ((ratios >= 0) & (ratios <= 1)).all():
        raise ValueError(f"l1_ratios must be numbers in [0, 1], at least one; got {l1_ratios!r}.")
    return ratios
