"""`ForestDisplay`: a plot of coefficients, or odds ratios, with their intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_bce._estimator.display import axes_of, style_of
from sklearn_bce.inference.summary import INTERCEPT, Summary

# Height of a row of a figure, in inches. [a choice]
ROW_HEIGHT = 0.28
# Height of the axis and the margins of a figure, in inches. [a choice]
OTHER_HEIGHT = 1.1
# Width of a figure, in inches. [a choice]
WIDTH = 6.4
# Ratio of the ends of a logarithmic axis up to which 2 and 5 are labelled beside 1. [a choice]
MOST_FOR_2_AND_5 = 2e3


class ForestDisplay:
    """Plot of coefficients, or odds ratios, with their intervals: a row for each.

    Use `from_summary` to plot a `Summary`. Odds ratios are on a logarithmic axis, with a line at 1;
    coefficients on a linear one, with a line at 0. A bound that is infinite, or beyond the axis, is
    drawn as an arrow.

    Parameters
    ----------
    names : array-like of shape (n_rows,)
        Names of the rows, from the top.
    estimates : array-like of shape (n_rows,)
        Coefficients or odds ratios.
    low, high : array-like of shape (n_rows,)
        Bounds of their intervals.
    odds_ratios : bool, default=False
        Whether the estimates are odds ratios.
    label : str, default="interval"
        What the intervals are, for the axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes with the plot.
    figure_ : matplotlib Figure
        Figure that contains the axes.
    points_ : matplotlib Line2D
        The estimates.
    lines_ : list of matplotlib Line2D
        The interval of each row.
    null_line_ : matplotlib Line2D
        Vertical line where a feature has no effect.

    See Also
    --------
    sklearn_bce.inference.Summary : What is plotted.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier
    >>> from sklearn_bce.inference import ForestDisplay, summarize
    >>> data = load_breast_cancer(as_frame=True)
    >>> X, y = data.data[["mean radius", "mean texture"]], data.target
    >>> summary = summarize(BCENeuronClassifier(C=np.inf).fit(X, y), X, y)
    >>> display = ForestDisplay.from_summary(summary, odds_ratios=True)
    >>> display.ax_.get_xscale()
    'log'
    >>> display.figure_.savefig("forest.png")
    """

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name

    def __init__(
        self,
        *,
        names: ArrayLike,
        estimates: ArrayLike,
        low: ArrayLike,
        high: ArrayLike,
        odds_ratios: bool = False,
        label: str = "interval",
    ) -> None:
        self.names = names
        self.estimates = estimates
        self.low = low
        self.high = high
        self.odds_ratios = odds_ratios
        self.label = label

    @classmethod
    def from_summary(
        cls,
        summary: Summary,
        *,
        odds_ratios: bool = False,
        method: str = "wald",
        intercept: bool = False,
        feature_scale: ArrayLike | None = None,
        ax: Any = None,
        line_kw: dict[str, Any] | None = None,
    ) -> ForestDisplay:
        """Plot the coefficients of a summary.

        Parameters
        ----------
        summary : Summary
            Result of `summarize`, or of `firth`.
        odds_ratios : bool, default=False
            Whether to plot odds ratios.
        method : {"wald", "profile"}, default="wald"
            Kind of the intervals; see `Summary.conf_int`.
        intercept : bool, default=False
            Whether to plot the intercept too.
        feature_scale : array-like of shape (n_features,), default=None
            Numbers by which the coefficients of the features are multiplied, such as the standard
            deviations of the columns, which make those of features in different units comparable.
            None means 1.
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for points and intervals.

        Returns
        -------
        display : ForestDisplay
            The display, plotted.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        ValueError
            If the summary has no intervals.
        """
        values = np.column_stack([summary.coef, summary.conf_int(method=method)])
        is_shown = np.asarray(summary.names) != INTERCEPT
        if feature_scale is not None:
            values[: len(np.asarray(feature_scale))] *= np.asarray(feature_scale)[:, np.newaxis]
        if intercept:
            is_shown[:] = True
        values = values[is_shown]
        with np.errstate(over="ignore"):
            estimates, low, high = (np.exp(values) if odds_ratios else values).T
        kind = "profile likelihood" if method == "profile" else "Wald"
        display = cls(
            names=summary.names[is_shown],
            estimates=estimates,
            low=low,
            high=high,
            odds_ratios=odds_ratios,
            label=f"{100 * summary.level:g} % interval, {kind}",
        )
        return display.plot(ax, line_kw=line_kw)

    def plot(self, ax: Any = None, *, line_kw: dict[str, Any] | None = None) -> ForestDisplay:
        """Plot the estimates.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to plot on; None means those of a new figure, which is as high as there are rows.
        line_kw : dict, default=None
            Keyword arguments of `matplotlib.axes.Axes.plot` for points and intervals.

        Returns
        -------
        self : ForestDisplay
            The display, with its attributes set.

        Raises
        ------
        ImportError
            If matplotlib is not installed.
        """
        names = [str(name) for name in np.asarray(self.names)]
        height = OTHER_HEIGHT + ROW_HEIGHT * len(names)
        ax = axes_of(ax, "ForestDisplay", figsize=(WIDTH, height), layout="constrained")
        given = style_of(line_kw)
        estimates, low, high = (
            np.asarray(values, dtype=np.float64) for values in (self.estimates, self.low, self.high)
        )
        null = 1.0 if self.odds_ratios else 0.0
        if self.odds_ratios:
            ax.set_xscale("log")
        self.null_line_ = ax.axvline(null, color="0.6", linestyle="--", linewidth=1, zorder=0)
        left, right = self._limits(estimates, low, high)
        rows = np.arange(len(names))
        color = given.get("color", "C0")
        self.lines_ = []
        for row, start, end in zip(rows, low, high, strict=True):
            style = {"linewidth": 1.5, "color": color} | given | {"marker": "", "linestyle": "-"}
            self.lines_ += ax.plot([max(start, left), min(end, right)], [row, row], **style)
            for bound, limit, marker in ((start, left, "<"), (end, right, ">")):
                if not left <= bound <= right:
                    ax.plot([limit], [row], marker=marker, color=color, clip_on=False)
        style = {"marker": "o", "color": color, "markersize": 5} | given | {"linestyle": ""}
        (self.points_,) = ax.plot(estimates, rows, **style)
        ax.set_xlim(left, right)
        ax.set_ylim(len(names) - 0.5, -0.5)
        ax.set_yticks(rows, labels=names)
        ax.set_xlabel(f"{'odds ratio' if self.odds_ratios else 'coefficient'} ({self.label})")
        if self.odds_ratios:
            _label_with_plain_numbers(ax.xaxis, right / left)
        for side in ("top", "right", "left"):
            ax.spines[side].set_visible(False)
        ax.tick_params(axis="y", length=0)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _limits(self, *values: Any) -> tuple[float, float]:
        """Return the ends of the axis, at all bounds that are finite, with a margin."""
        everything = np.concatenate([*values, [1.0 if self.odds_ratios else 0.0]])
        if self.odds_ratios:
            with np.errstate(divide="ignore"):
                everything = np.log(everything)
        finite = everything[np.isfinite(everything)]
        left, right = float(np.min(finite)), float(np.max(finite))
        margin = 0.05 * (right - left) or 1.0
        left, right = left - margin, right + margin
        if self.odds_ratios:
            # exp(±700) is near the end of float64.
            return float(np.exp(max(left, -700.0))), float(np.exp(min(right, 700.0)))
        return left, right


def _label_with_plain_numbers(axis: Any, ratio: float) -> None:
    """Label a logarithmic axis with numbers such as 0.5, 1 and 20, given the ratio of its ends."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if ratio < MOST_FOR_2_AND_5 else (1.0,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())
