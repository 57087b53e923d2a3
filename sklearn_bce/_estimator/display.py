"""Plots: of the loss curves of a fit, of weights against C, and of scores against C."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from sklearn_bce._estimator.cross_validation import BCENeuronClassifierCV
from sklearn_bce._estimator.folds import best_place
from sklearn_bce._estimator.path import RegularizationPath

# End of the label of a loss curve of training.
TRAINING = "training (with penalty)"
# Most characters of an estimator's name, so that a legend leaves room for the curves. [a choice]
MAX_NAME = 30
# Parameters that say how samples are held out or drawn, and are left out of an estimator's name.
NOT_NAMED = {"early_stopping", "validation_fraction", "random_state", "warm_start", "client"}


class LossCurveDisplay:
    """Plot of the loss curves of a fit: of training and, if there is one, of validation.

    Use `from_estimator` to plot the curves of a fitted estimator. The lines of one estimator have
    one colour: solid for training, dashed for validation, dotted at the best iteration.

    Parameters
    ----------
    loss_curve : sequence of float
        Objective F, the penalty included, after each iteration, in nats.
    validation_loss_curve : sequence of float, default=None
        Mean loss of the samples held out after each iteration, in nats. None means that no samples
        were held out.
    best_iter : int, default=None
        Iteration with the least validation loss, counted from 1, to be marked by a vertical line.
        None draws no line.
    estimator_name : str, default=None
        Name of the estimator in the legend. None leaves the name out.
    iteration : str, default="iteration"
        What the horizontal axis counts, such as "pass".

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the curves.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    line_ : matplotlib Artist
        Loss curve of training.
    validation_line_ : matplotlib Artist or None
        Loss curve of validation; None if there is no such curve.
    best_line_ : matplotlib Artist or None
        Vertical line at the best iteration; None if there is no such line.

    See Also
    --------
    BCENeuronClassifier : Its attributes ``loss_curve_``, ``validation_loss_curve_`` and
        ``best_iter_`` are plotted.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier, LossCurveDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = BCENeuronClassifier(early_stopping=True, random_state=0).fit(X, y)
    >>> display = LossCurveDisplay.from_estimator(neuron)
    >>> display.ax_.get_xlabel()
    'iteration'
    >>> display.figure_.savefig("loss_curve.png")

    Two estimators in one plot:

    >>> other = BCENeuronClassifier(C=0.01, early_stopping=True, random_state=0).fit(X, y)
    >>> display = LossCurveDisplay.from_estimator(other, ax=display.ax_)
    >>> display.line_.get_label()
    'C=0.01, training (with penalty)'
    """

    __module__ = "sklearn_bce"  # the path it is imported from, which pickles name

    def __init__(
        self,
        *,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        best_iter: int | None = None,
        estimator_name: str | None = None,
        iteration: str = "iteration",
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.best_iter = best_iter
        self.estimator_name = estimator_name
        self.iteration = iteration

    @classmethod
    def from_estimator(
        cls,
        estimator: BaseEstimator,
        *,
        ax: Any = None,
        name: str | None = None,
        line_kw: dict[str, Any] | None = None,
        validation_line_kw: dict[str, Any] | None = None,
        best_line_kw: dict[str, Any] | None = None,
    ) -> LossCurveDisplay:
        """Plot the loss curves of a fitted estimator.

        Parameters
        ----------
        estimator : BCENeuronClassifier
            Fitted estimator.
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure.
        name : str, default=None
            Name of the estimator in the legend; None means its parameters that are not at their
            defaults, such as ``C=0.1``, or its class if there are none.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for the loss curve of training.
        validation_line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for the loss curve of validation.
        best_line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.axvline` for the line at the best iteration.

        Returns
        -------
        display : LossCurveDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        display = cls(
            loss_curve=estimator.loss_curve_,
            validation_loss_curve=getattr(estimator, "validation_loss_curve_", None),
            best_iter=getattr(estimator, "best_iter_", None),
            estimator_name=_name_of(estimator) if name is None else name,
            iteration="iteration" if estimator.solver_ == "newton" else "pass",
        )
        return display.plot(
            ax, line_kw=line_kw, validation_line_kw=validation_line_kw, best_line_kw=best_line_kw
        )

    def plot(
        self,
        ax: Any = None,
        *,
        name: str | None = None,
        line_kw: dict[str, Any] | None = None,
        validation_line_kw: dict[str, Any] | None = None,
        best_line_kw: dict[str, Any] | None = None,
    ) -> LossCurveDisplay:
        """Plot the loss curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure.
        name : str, default=None
            Name of the estimator in the legend; None means ``estimator_name``. A number follows it
            if the axes have curves of that name.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for the loss curve of training.
        validation_line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for the loss curve of validation.
        best_line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.axvline` for the line at the best iteration.

        Returns
        -------
        self : LossCurveDisplay
            The display, with its attributes set.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax = axes_of(ax, "LossCurveDisplay")
        from matplotlib.ticker import MaxNLocator

        prefix = _unused_prefix(ax, self.estimator_name if name is None else name)
        given = [style_of(each) for each in (line_kw, validation_line_kw, best_line_kw)]
        # A line through a single point is invisible: mark the point.
        marker = {"marker": "o"} if len(self.loss_curve) == 1 else {}
        style = {"label": f"{prefix}{TRAINING}"} | marker
        self.line_ = _curve(ax, self.loss_curve, style | given[0])
        self.validation_line_ = self.best_line_ = None
        color = self.line_.get_color()
        if self.validation_loss_curve is not None:
            style = {"label": f"{prefix}validation", "color": color, "linestyle": "--"} | marker
            self.validation_line_ = _curve(ax, self.validation_loss_curve, style | given[1])
        if self.best_iter is not None:
            label = f"{prefix}best {self.iteration}: {self.best_iter}"
            style = {"label": label, "color": color, "linestyle": ":"}
            self.best_line_ = ax.axvline(self.best_iter, **(style | given[2]))
        ax.set_xlabel(self.iteration)
        ax.set_ylabel("loss (nats)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


class PathDisplay:
    """Plot of the weights against C.

    Use `from_path` to plot the result of `regularization_path`, and `from_estimator` to plot the
    weights of a fitted `BCENeuronClassifierCV`.

    The features with the largest weights at any C are named, and have a colour each; all others are
    grey.

    Parameters
    ----------
    Cs : array-like of shape (n_Cs,)
        Inverses of the strength of the penalty, in any order.
    coefs : array-like of shape (n_Cs, n_features)
        Weights at each C.
    feature_names : array-like of shape (n_features,), default=None
        Names of the features; None means their numbers from 0.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the lines.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    lines_ : list of matplotlib Artist
        Line of each feature.

    See Also
    --------
    regularization_path : The weights at each of several values of C.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import PathDisplay, regularization_path
    >>> data = load_breast_cancer()
    >>> path = regularization_path(data.data, data.target, Cs=50, l1_ratio=1, standardize=True)
    >>> display = PathDisplay.from_path(
    ...     path, feature_names=data.feature_names, feature_scale=data.data.std(axis=0)
    ... )
    >>> display.ax_.get_xscale()
    'log'
    >>> display.figure_.savefig("path.png")
    """

    __module__ = "sklearn_bce"  # the path it is imported from, which pickles name

    def __init__(
        self, *, Cs: ArrayLike, coefs: ArrayLike, feature_names: ArrayLike | None = None
    ) -> None:
        self.Cs = Cs
        self.coefs = coefs
        self.feature_names = feature_names

    @classmethod
    def from_path(
        cls,
        path: RegularizationPath,
        *,
        feature_names: ArrayLike | None = None,
        feature_scale: ArrayLike | None = None,
        ax: Any = None,
        n_named: int = 7,
        line_kw: dict[str, Any] | None = None,
    ) -> PathDisplay:
        """Plot the weights of a path.

        Parameters
        ----------
        path : RegularizationPath
            Result of `regularization_path`.
        feature_names : array-like of shape (n_features,), default=None
            Names of the features; None means their numbers from 0.
        feature_scale : array-like of shape (n_features,), default=None
            Numbers by which the weights are multiplied, such as the standard deviations of the
            columns, which make the weights of features in different units comparable. None means 1.
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure.
        n_named : int, default=7
            Number of features that are named.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for all lines.

        Returns
        -------
        display : PathDisplay
            The display, plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        scale = 1.0 if feature_scale is None else np.asarray(feature_scale)
        display = cls(Cs=path.Cs, coefs=path.coefs * scale, feature_names=feature_names)
        return display.plot(ax, n_named=n_named, line_kw=line_kw)

    @classmethod
    def from_estimator(
        cls,
        estimator: BCENeuronClassifierCV,
        *,
        feature_scale: ArrayLike | None = None,
        ax: Any = None,
        n_named: int = 7,
        line_kw: dict[str, Any] | None = None,
    ) -> PathDisplay:
        """Plot the weights of a search, with the chosen proportion of the L1 norm.

        They are the means over the folds.

        Parameters
        ----------
        estimator : BCENeuronClassifierCV
            Fitted estimator with ``refit=True``.
        feature_scale, ax, n_named, line_kw
            As of `from_path`. The names are those of the features, if they have names.

        Returns
        -------
        display : PathDisplay
            The display, plotted, with the chosen C.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        scale = 1.0 if feature_scale is None else np.asarray(feature_scale)
        names = getattr(estimator, "feature_names_in_", None)
        coefs = _fold_weights(estimator)[:, _chosen_ratio(estimator)].mean(axis=0)
        display = cls(Cs=estimator.Cs_, coefs=coefs * scale, feature_names=names)
        return display.plot(ax, C=estimator.C_, n_named=n_named, line_kw=line_kw)

    def plot(
        self,
        ax: Any = None,
        *,
        C: float | None = None,
        n_named: int = 7,
        line_kw: dict[str, Any] | None = None,
    ) -> PathDisplay:
        """Plot the weights.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure.
        C : float, default=None
            A value of C, at which a vertical line is drawn. The features with the largest weights
            there are named, and the vertical axis ends at twice the largest. None means no line,
            the largest weights at any C, and all of the weights.
        n_named : int, default=7
            Number of features that are named.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for all lines.

        Returns
        -------
        self : PathDisplay
            The display, with its attributes set.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax, given = axes_of(ax, "PathDisplay"), style_of(line_kw)
        order = np.argsort(self.Cs)
        Cs, coefs = np.asarray(self.Cs)[order], np.asarray(self.coefs)[order]
        n_features = coefs.shape[1]
        names = np.arange(n_features) if self.feature_names is None else self.feature_names
        size = np.max(np.abs(coefs), axis=0)
        if C is not None:
            size = np.abs(coefs[np.argmin(np.abs(np.log(Cs / C)))])
        largest = np.argsort(-size, kind="stable")[:n_named]
        others = {"color": "0.8", "linewidth": 0.8, "zorder": 1}
        self.lines_ = []
        for k in range(n_features):
            style = {"label": str(names[k])} if k in largest else others
            self.lines_ += ax.plot(Cs, coefs[:, k], **(style | given))
        ax.set_xscale("log")
        ax.set_xlabel("C")
        ax.set_ylabel("weight")
        if C is not None:
            ax.axvline(C, color="0.5", linestyle=":", zorder=0)
            limit = 2 * size.max() or 1.0
            ax.set_ylim(-limit, limit)
        handles = [self.lines_[k] for k in largest if self.lines_[k].get_label()]
        if handles:
            ax.legend(handles=handles, fontsize="small")
        self.ax_, self.figure_ = ax, ax.figure
        return self


class CVDisplay:
    """Plot of the scores of a search against C, with their standard errors.

    Use `from_estimator` to plot those of a fitted `BCENeuronClassifierCV`. If the best penalty has
    an L1 norm, a second axis shows the number of weights that are not 0. The axis of the scores
    begins below the score of the strongest penalty: those of weak ones may be far lower.

    Parameters
    ----------
    Cs : array-like of shape (n_Cs,)
        Values of C, in any order.
    l1_ratios : array-like of shape (n_l1_ratios,)
        Proportions of the L1 norm.
    scores, standard_errors : array-like of shape (n_l1_ratios, n_Cs)
        Mean scores of the samples held out, and their standard errors, which may be NaN.
    n_weights : array-like of shape (n_l1_ratios, n_Cs)
        Numbers of weights that are not 0.
    score_name : str, default="score"
        What the vertical axis shows.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the scores.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    lines_ : list of matplotlib Artist
        Line of the scores of each proportion of the L1 norm.
    best_line_ : matplotlib Artist
        Vertical line at the C with the best score.
    one_se_line_ : matplotlib Artist or None
        Vertical line at the C that ``rule="1se"`` chooses; None if there are no standard errors.
    weights_ax_ : matplotlib Axes or None
        Axes with the number of weights that are not 0; None if the best penalty has no L1 norm.

    See Also
    --------
    BCENeuronClassifierCV : The search.
    PathDisplay : Plot of the weights against C.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifierCV, CVDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = BCENeuronClassifierCV(l1_ratios=[1], Cs=20, standardize=True).fit(X, y)
    >>> display = CVDisplay.from_estimator(neuron)
    >>> display.weights_ax_.get_ylabel()
    'weights that are not 0'
    >>> display.figure_.savefig("scores.png")
    """

    __module__ = "sklearn_bce"  # the path it is imported from, which pickles name

    def __init__(
        self,
        *,
        Cs: ArrayLike,
        l1_ratios: ArrayLike,
        scores: ArrayLike,
        standard_errors: ArrayLike,
        n_weights: ArrayLike,
        score_name: str = "score",
    ) -> None:
        self.Cs = Cs
        self.l1_ratios = l1_ratios
        self.scores = scores
        self.standard_errors = standard_errors
        self.n_weights = n_weights
        self.score_name = score_name

    @classmethod
    def from_estimator(
        cls,
        estimator: BCENeuronClassifierCV,
        *,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> CVDisplay:
        """Plot the scores of a fitted search.

        Parameters
        ----------
        estimator : BCENeuronClassifierCV
            Fitted estimator.
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for the scores.

        Returns
        -------
        display : CVDisplay
            The display, plotted.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        scoring = estimator.scoring
        display = cls(
            Cs=estimator.Cs_,
            l1_ratios=estimator.l1_ratios_,
            scores=estimator.scores_.mean(axis=0),
            standard_errors=estimator.standard_errors_,
            n_weights=np.count_nonzero(_fold_weights(estimator), axis=-1).mean(axis=0),
            score_name=scoring if isinstance(scoring, str) else "score",
        )
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax: Any = None, *, line_kw: dict[str, Any] | None = None) -> CVDisplay:
        """Plot the scores.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for the scores.

        Returns
        -------
        self : CVDisplay
            The display, with its attributes set.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        ax, given = axes_of(ax, "CVDisplay"), style_of(line_kw)
        Cs, scores = np.asarray(self.Cs), np.asarray(self.scores)
        errors, ratios = np.asarray(self.standard_errors), np.asarray(self.l1_ratios)
        order, self.lines_ = np.argsort(Cs), []
        for j, ratio in enumerate(ratios):
            style = {"marker": ".", "label": f"l1_ratio={ratio:g}"} | given
            line = ax.plot(Cs[order], scores[j, order], **style)[0]
            low, high = (scores[j] + sign * errors[j] for sign in (-1, 1))
            ax.fill_between(Cs[order], low[order], high[order], color=line.get_color(), alpha=0.15)
            self.lines_.append(line)
        best = best_place(scores, Cs)
        label = f"best: C={Cs[best[1]]:.3g}"
        self.best_line_ = ax.axvline(Cs[best[1]], color="0.3", linestyle="--", label=label)
        self.one_se_line_ = self.weights_ax_ = None
        if not np.isnan(errors).any():
            C = Cs[best_place(scores, Cs, errors)[1]]
            label = f"one standard error: C={C:.3g}"
            self.one_se_line_ = ax.axvline(C, color="0.3", linestyle=":", label=label)
        ax.set_xscale("log")
        ax.set_xlabel("C")
        ax.set_ylabel(self.score_name)
        ax.legend(fontsize="small")
        # Overfitted models may be so much worse than all others that nothing else is seen.
        top, bottom = scores[best], scores[best[0], order[0]]
        if bottom < top:
            ax.set_ylim(bottom - 0.2 * (top - bottom), top + 0.1 * (top - bottom))
        if ratios[best[0]] > 0:
            self.weights_ax_ = ax.twinx()
            numbers = np.asarray(self.n_weights)[best[0], order]
            self.weights_ax_.plot(Cs[order], numbers, color="0.6", linewidth=0.8)
            self.weights_ax_.set_ylabel("weights that are not 0")
            self.weights_ax_.set_ylim(bottom=0)
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _fold_weights(estimator: BCENeuronClassifierCV) -> NDArray[np.float64]:
    """Return the weights of each fold, of shape (n_folds, n_l1_ratios, n_Cs, n_features)."""
    return estimator.coefs_paths_[..., 0, : estimator.n_features_in_]


def _chosen_ratio(estimator: BCENeuronClassifierCV) -> int:
    """Return the index of the chosen proportion of the L1 norm."""
    return int(np.argmin(np.abs(estimator.l1_ratios_ - estimator.l1_ratio_)))


def axes_of(ax: Any, display: str, **figure: Any) -> Any:
    """Return the axes to plot on, of a new figure if None is given.

    The keyword arguments ``figure`` are those of `matplotlib.pyplot.subplots`.

    Raises
    ------
    ImportError
        If matplotlib is not installed; the message names the class ``display``.
    """
    try:
        from matplotlib import pyplot
    except ImportError as error:
        raise ImportError(f"{display} needs matplotlib: pip install 'sklearn-bce[plot]'") from error
    return pyplot.subplots(**figure)[1] if ax is None else ax


def style_of(keywords: dict[str, Any] | None) -> dict[str, Any]:
    """Return keyword arguments of a line by their full names: "c" and "color" are one."""
    from matplotlib.cbook import normalize_kwargs
    from matplotlib.lines import Line2D

    return normalize_kwargs(keywords, Line2D)


def _curve(ax: Any, curve: Sequence[float], style: dict[str, Any]) -> Any:
    """Plot values against the number of the iteration, counted from 1; return the line."""
    return ax.plot(np.arange(1, len(curve) + 1), curve, **style)[0]


def _name_of(estimator: BaseEstimator) -> str:
    """Return the parameters that are set and tell fits apart; the class if there are none."""
    defaults = signature(type(estimator)).parameters
    changed = [
        f"{name}={value!r}"
        for name, value in estimator.get_params(deep=False).items()
        if name not in NOT_NAMED and repr(value) != repr(defaults[name].default)
    ]
    name = " ".join(", ".join(changed).split()) or type(estimator).__name__
    return name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"


def _unused_prefix(ax: Any, name: str | None) -> str:
    """Return the beginning of the labels of an estimator's lines, which no line of the axes has."""
    labels, number = ax.get_legend_handles_labels()[1], 1
    while (prefix := _prefix(name, number)) + TRAINING in labels:
        number += 1
    return prefix


def _prefix(name: str | None, number: int) -> str:
    """Return the beginning of labels, with a number if it is above 1."""
    parts = [*([name] if name else []), *([f"({number})"] if number > 1 else [])]
    return f"{' '.join(parts)}, " if parts else ""
