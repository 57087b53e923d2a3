"""`LossCurveDisplay`: a plot of the loss curves of a fit."""

from __future__ import annotations

from collections.abc import Sequence
from inspect import signature
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

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
        try:
            from matplotlib import pyplot
            from matplotlib.cbook import normalize_kwargs
            from matplotlib.lines import Line2D
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise ImportError(
                "LossCurveDisplay needs matplotlib: pip install 'sklearn-bce[plot]'"
            ) from error
        if ax is None:
            _, ax = pyplot.subplots()
        prefix = _unused_prefix(ax, self.estimator_name if name is None else name)
        given = [
            normalize_kwargs(style, Line2D)  # "c" and "color" are one
            for style in (line_kw, validation_line_kw, best_line_kw)
        ]
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
