"""`BCENeuronClassifierCV`: the classifier whose C is chosen by cross-validation."""

from __future__ import annotations

from numbers import Integral
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.metrics import check_scoring, get_scorer_names
from sklearn.utils import Bunch, check_consistent_length, column_or_1d
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing

from sklearn_bce._estimator.chunks import Chunks
from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.conversion import fitted_attributes, translated_search
from sklearn_bce._estimator.parameters import CONSTRAINTS, BinaryClassifierMixin, penalty_name
from sklearn_bce._estimator.path import (
    CS_CONSTRAINTS,
    OBJECTIVE_PARAMETERS,
    is_in_parts,
    task_of_samples,
)
from sklearn_bce._estimator.prediction import PredictionMixin
from sklearn_bce._estimator.samples import GivenSamples
from sklearn_bce._estimator.search import LOG_LOSS, Search, is_log_loss
from sklearn_bce._estimator.sklearn_compat import (
    CallbackSupportMixin,
    Interval,
    StrOptions,
    fit_context,
    raise_for_params,
    routing_enabled,
)
from sklearn_bce._estimator.state import PickleMixin, public_fitted_state
from sklearn_bce._estimator.targets import TargetEncoder, checked_sample_weight
from sklearn_bce._estimator.validation import checked_array, unchanged_on_error
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.rows import NotFiniteError
from sklearn_bce.chain_rule import binary_cross_entropy

CV_CONSTRAINTS: dict[str, list[Any]] = {
    **CS_CONSTRAINTS,
    "l1_ratios": ["array-like"],
    "cv": [StrOptions({"loo"}), "cv_object"],
    "scoring": [StrOptions(set(get_scorer_names())), callable, None],
    "refit": ["boolean"],
    "rule": [StrOptions({"best", "1se"})],
    "n_jobs": [
        Interval(Integral, None, -1, closed="right"),
        Interval(Integral, 1, None, closed="left"),
        None,
    ],
    **{name: CONSTRAINTS[name] for name in OBJECTIVE_PARAMETERS},
}


class BCENeuronClassifierCV(
    CallbackSupportMixin,
    PickleMixin,
    PredictionMixin,
    BinaryClassifierMixin,
    BaseEstimator,
):
    """Logistic neuron whose C, and proportion of the L1 norm, are chosen by cross-validation.

    The objective and its parameters are those of `BCENeuronClassifier`, and so is the minimum that
    is found for each C: that of newton. All fits of a path start from the one before, and those of
    a fold from those of all samples; X is not copied for them.

    Parameters
    ----------
    Cs : int or array-like of shape (n_Cs,), default=10
        Inverses of the strength of the penalty, in (0, inf]; or their number. A number asks for a
        grid with equal ratios over the strengths that matter; see `regularization_path`.
    l1_ratios : array-like of shape (n_l1_ratios,), default=(0.0,)
        Proportions of the L1 norm in the penalty, in [0, 1].
    cv : int, splitter, iterable, "loo" or None, default=None
        How the samples are divided into folds. An integer is the number of stratified folds, in the
        order of the samples; None means 5. Other values are those of `check_cv` of scikit-learn.
        With ``soft_targets=True`` folds are not stratified. "loo" leaves out one sample after the
        other, without refits: to first order, from the fits to all samples; samples with a leverage
        above 0.9 are left out exactly. It misleads where samples depend on each other, such as
        repeated measurements or times: their class can be told from that of another sample. Use a
        splitter with ``groups``, or for times `TimeSeriesSplit`, there. In the digits of
        scikit-learn the samples of a writer follow one another: ``cv=5``, folds in that order,
        chooses C=0.006 for odd against even digits, and "loo" C=0.05.
    scoring : str, callable or None, default="neg_log_loss"
        Score of the samples held out, larger is better: a name or a callable as of scikit-learn.
        None means that of the method ``score`` of `BCENeuronClassifier`: the accuracy, or D² for
        soft targets.
    refit : bool, default=True
        Whether ``coef_`` and ``intercept_`` are those of a fit to all samples with the chosen
        parameters. If False, they are the means over the folds of those with the best score of the
        fold, and so are ``C_`` and ``l1_ratio_``.
    rule : {"best", "1se"}, default="best"
        Which C is chosen: "best", that with the largest mean score of the folds; "1se", the least
        of which the mean score is at most one standard error below the largest, with the best
        proportion of the L1 norm: a simpler model that is about as good. The standard error is the
        standard deviation of the scores of the folds at the best C, divided by the root of their
        number.
    n_jobs : int or None, default=None
        Number of folds that are fitted at once, in threads; -1 means as many as the process has
        for linear algebra, -2 one less. None means -1 if X is so small that a fit uses one thread,
        and else 1, because each fit uses all threads. With callbacks it is 1.
    fit_intercept, class_weight, soft_targets, standardize, penalty_factor, coef_bounds, max_iter, \
            tol, random_state
        As of `BCENeuronClassifier`. "balanced" weights and the deviations of ``standardize`` are
        those of the samples that a fold learns from.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels in sorted order.
    coef_ : ndarray of shape (1, n_features), dtype of X
        Weights with the chosen parameters.
    intercept_ : ndarray of shape (1,), dtype of X
        Intercept with the chosen parameters.
    has_offset_ : bool
        Whether the samples of the fit had an offset.
    C_ : float
        The chosen C.
    l1_ratio_ : float
        The chosen proportion of the L1 norm.
    Cs_ : ndarray of shape (n_Cs,)
        The values of C that were tried.
    l1_ratios_ : ndarray of shape (n_l1_ratios,)
        The proportions of the L1 norm that were tried.
    scores_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Scores of the samples held out; one fold for ``cv="loo"``.
    standard_errors_ : ndarray of shape (n_l1_ratios, n_Cs)
        Standard errors of the mean scores, by their spread over the folds, or over the samples for
        ``cv="loo"``. NaN of a single fold, and of scores of ``cv="loo"`` that are no mean of
        losses.
    coefs_paths_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs, 1, n_features + 1)
        Weights of each fold, and its intercept as the last entry, unless ``fit_intercept=False``.
    n_iter_ : ndarray of shape (n_folds, n_l1_ratios, n_Cs)
        Steps of Newton's method of each fold.
    penalty : {"l1", "l2", "elasticnet"} or None
        Name of the chosen penalty in scikit-learn.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features seen during `fit`. Set only if X has names that are all strings.

    See Also
    --------
    BCENeuronClassifier : The classifier with a given C.
    regularization_path : The weights at each of several values of C.
    sklearn.linear_model.LogisticRegressionCV : The same search, with other solvers.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifierCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = BCENeuronClassifierCV(standardize=True).fit(X, y)
    >>> round(float(neuron.C_), 2), neuron.scores_.shape
    (0.27, (5, 1, 10))
    """

    __module__ = "sklearn_bce"  # the path it is imported from, which pickles name

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CV_CONSTRAINTS

    def __init__(
        self,
        *,
        Cs: int | ArrayLike = 10,
        l1_ratios: ArrayLike = (0.0,),
        cv: Any = None,
        scoring: Any = LOG_LOSS,
        refit: bool = True,
        rule: str = "best",
        n_jobs: int | None = None,
        standardize: bool = False,
        penalty_factor: ArrayLike | dict[str, float] | None = None,
        coef_bounds: Any = None,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        max_iter: int = 100,
        tol: float = 1e-6,
        soft_targets: bool = False,
        random_state: Any = None,
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.cv = cv
        self.scoring = scoring
        self.refit = refit
        self.rule = rule
        self.n_jobs = n_jobs
        self.standardize = standardize
        self.penalty_factor = penalty_factor
        self.coef_bounds = coef_bounds
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.max_iter = max_iter
        self.tol = tol
        self.soft_targets = soft_targets
        self.random_state = random_state

    @classmethod
    def from_sklearn(cls, estimator: BaseEstimator) -> Self:
        """Return the search of a `LogisticRegressionCV` over the same C, with its weights.

        Parameters
        ----------
        estimator : LogisticRegressionCV
            Fitted or not. Not changed.

        Returns
        -------
        search : BCENeuronClassifierCV
            Unfitted if the estimator is; else it makes the same predictions, and has ``C_`` and
            ``l1_ratio_`` of the estimator. It lacks the scores and the paths of the folds.

        Raises
        ------
        TypeError
            If the estimator is of another class.
        ValueError
            If it was fitted to more than two classes.

        Warns
        -----
        UserWarning
            If parameters that are not at their defaults have no counterpart; one warning names all.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegressionCV
        >>> from sklearn_bce import BCENeuronClassifierCV
        >>> other = LogisticRegressionCV(Cs=[0.1, 1], cv=3, scoring="neg_log_loss")
        >>> BCENeuronClassifierCV.from_sklearn(other)
        BCENeuronClassifierCV(Cs=[0.1, 1], cv=3)
        """
        search = cls(**translated_search(estimator))
        attributes = fitted_attributes(estimator)
        if attributes:
            del attributes["n_iter_"]
            attributes["C_"] = float(np.ravel(estimator.C_)[0])
            ratio = np.ravel(estimator.l1_ratio_)[0]
            attributes["l1_ratio_"] = float(search.l1_ratios[0] if ratio is None else ratio)
        vars(search).update(attributes)
        return search

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | float | None = None,
        **params: Any,
    ) -> Self:
        """Choose C and the proportion of the L1 norm, and fit to all samples with them.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe, dask array or dataframe} of shape \
                (n_samples, n_features)
            Samples; not changed. Dask collections, whose sums the active client computes, need
            ``cv="loo"`` and ``scoring="neg_log_loss"``; y, sample_weight and offset have the blocks
            of X. For chunks see `fit_from_chunks`.
        y : array-like of shape (n_samples,)
            Labels of two classes; numbers in [0, 1] if ``soft_targets=True``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the samples in fits and scores, not negative; None means 1 for each sample.
            With metadata routing the scorer gets them if it asks for them.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample, as of `BCENeuronClassifier.fit`. It
            needs ``scoring="neg_log_loss"``.
        **params : dict
            ``groups`` for the splitter. With metadata routing, what splitter and scorer ask for.

        Returns
        -------
        self : BCENeuronClassifierCV
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, an argument is malformed, a fold has one class only, or
            a score is NaN. The estimator then keeps the attributes that it had before.

        Warns
        -----
        ConvergenceWarning
            If a fit ends above the minimum of F, or F has no minimum; the message names the fold
            and C.
        UserWarning
            If the L1 norm leaves no weight at any C.
        """
        if is_in_parts(X):
            self._raise_unless_sums_suffice(params)
            routed = Bunch(splitter=Bunch(split={}), scorer=Bunch(score={}))
        else:
            X, routed = checked_array(X, "X"), self._routed("fit", sample_weight, params)
        return self._fit(GivenSamples(X, y, sample_weight, offset), routed)

    def _fit_chunks(self, chunks: Chunks) -> Self:
        """Fit to chunks of samples, for `fit_from_chunks`."""
        return self.fit(chunks)

    def _raise_unless_sums_suffice(self, params: dict[str, Any]) -> None:
        """Raise ValueError if the search needs samples in memory, which are in parts."""
        if not isinstance(self.cv, str):
            folds = " (five folds)" if self.cv is None else ""
            raise ValueError(f"cv={self.cv!r}{folds} needs all samples in memory; use cv='loo'.")
        if not is_log_loss(self.scoring):
            raise ValueError(f"scoring={self.scoring!r} needs all samples in memory.")
        if self.class_weight is not None:
            raise ValueError(
                f"class_weight={self.class_weight!r} is not supported for samples in parts with "
                "cv='loo'; give sample weights with the samples."
            )
        raise_for_params(params, self, "fit", allow=None)

    def _fit(self, given: GivenSamples, routed: Bunch) -> Self:
        """Search, and set the fitted attributes.

        Parameters
        ----------
        given : GivenSamples
            All samples, in memory or in parts.
        routed : Bunch
            Arguments of splitter and scorer.
        """
        if not self.refit and (self.rule == "1se" or isinstance(self.cv, str)):
            why = "rule='1se'" if self.rule == "1se" else "cv='loo'"
            raise ValueError(f"{why} needs refit=True.")
        own = {name: getattr(self, name) for name in OBJECTIVE_PARAMETERS}
        neuron = BCENeuronClassifier(solver="newton", warm_start=True, **own)
        with unchanged_on_error(self), one_blas_thread() as n_threads:
            task = task_of_samples(neuron, given, n_threads)
            vars(self).pop("feature_names_in_", None)
            vars(self).update(public_fitted_state(neuron))  # what describes X
            if task.only_class is not None:
                raise ValueError(
                    f"All samples whose weight is not 0 are of class {task.only_class!r}: there is "
                    "nothing to choose C by."
                )
            try:
                search = Search(self, task, self._scorer(), routed)
                found = search.run()
            except NotFiniteError:
                task.raise_for_not_finite(type(self).__name__)
                raise
            vars(self).update(found)
            if search.callbacks is not None:
                search.callbacks.end_fit()
        return self

    def get_metadata_routing(self) -> MetadataRouter:
        """Return what splitter and scorer ask for; see scikit-learn's guide of metadata routing.

        Returns
        -------
        routing : MetadataRouter
        """
        return (
            MetadataRouter(owner=type(self).__name__)
            .add_self_request(self)
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(
                scorer=self._scorer(),
                method_mapping=MethodMapping()
                .add(caller="fit", callee="score")
                .add(caller="score", callee="score"),
            )
        )

    def _scorer(self) -> Any:
        """Return the scorer of ``scoring``."""
        return check_scoring(BCENeuronClassifier(soft_targets=self.soft_targets), self.scoring)

    def _routed(self, caller: str, sample_weight: Any, params: dict[str, Any]) -> Bunch:
        """Return the arguments of splitter and scorer among those of a method."""
        given = params if sample_weight is None else params | {"sample_weight": sample_weight}
        if routing_enabled():
            return process_routing(self, caller, **given)
        raise_for_params(params, self, caller, allow=["groups"])
        weight = {} if sample_weight is None else {"sample_weight": sample_weight}
        return Bunch(splitter=Bunch(split=params), scorer=Bunch(score=weight))

    def score(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | float | None = None,
        **params: Any,
    ) -> float:
        """Return the score of ``scoring``; larger is better.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels; numbers in [0, 1] if ``soft_targets=True``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 for each sample.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.
        **params : dict
            With metadata routing, what the scorer asks for.

        Returns
        -------
        score : float
            With ``scoring="neg_log_loss"`` minus the mean loss in nats.
        """
        if self.scoring is None:
            return super().score(X, y, sample_weight, offset)
        if is_log_loss(self.scoring):
            z = self.decision_function(X, offset)
            check_consistent_length(z, y)
            weight = checked_sample_weight(z, sample_weight)
            encoder = TargetEncoder(self.classes_, None, self.soft_targets)
            y, _ = encoder.encode(column_or_1d(checked_array(y, "y")), weight)
            return -float(np.average(binary_cross_entropy(y, z), weights=weight))
        routed = self._routed("score", sample_weight, params)
        return float(self._scorer()(self, X, y, **routed.scorer.score))

    @property
    def penalty(self) -> str | None:
        """Name of the chosen penalty in scikit-learn."""
        return penalty_name(self.C_, self.l1_ratio_)
