"""A picture of how the loss has fallen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted


class LossCurveDisplay:
    """Loss curves of a fit: of training, and of the samples held out where there were any.

    Use `from_estimator` to make one of a fitted neuron.

    Parameters
    ----------
    loss_curve : sequence of float
        F after each pass, in nats, the penalty included.
    validation_loss_curve : sequence of float, default=None
        Mean loss of the samples held out after each pass, in nats.
    best_iter : int, default=None
        The pass after which that was least, to be marked; the first is 1.
    estimator_name : str, default=None
        For the legend.

    Attributes
    ----------
    ax_ : matplotlib Axes
        What it has been drawn on.
    figure_ : matplotlib Figure
        Which that is in.
    line_ : matplotlib Artist
        Loss curve of training.
    validation_line_ : matplotlib Artist or None
        That of the samples held out.
    best_line_ : matplotlib Artist or None
        The mark of the best pass.

    See Also
    --------
    BCENeuronClassifier : Whose `loss_curve_`, `validation_loss_curve_` and `best_iter_` these are.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier, LossCurveDisplay
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = BCENeuronClassifier(early_stopping=True, random_state=0).fit(X, y)
    >>> display = LossCurveDisplay.from_estimator(neuron)
    >>> display.ax_.get_xlabel()
    'pass'
    """

    __module__ = "sklearn_bce"

    def __init__(
        self,
        *,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        best_iter: int | None = None,
        estimator_name: str | None = None,
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.best_iter = best_iter
        self.estimator_name = estimator_name

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
        """Draw the loss curves of a fitted neuron.

        Parameters
        ----------
        estimator : BCENeuronClassifier
            Fitted.
        ax : matplotlib Axes, default=None
            What to draw on; None means a new figure.
        name : str, default=None
            For the legend; None means that of the class.
        line_kw, validation_line_kw, best_line_kw : dict, default=None
            For `matplotlib.axes.Axes.plot` of the two curves and `axvline` of the mark.

        Returns
        -------
        display : LossCurveDisplay
            Drawn.

        Raises
        ------
        NotFittedError
            If the neuron is not fitted.
        ImportError
            If matplotlib is not installed.
        """
        check_is_fitted(estimator)
        display = cls(
            loss_curve=estimator.loss_curve_,
            validation_loss_curve=getattr(estimator, "validation_loss_curve_", None),
            best_iter=getattr(estimator, "best_iter_", None),
            estimator_name=type(estimator).__name__ if name is None else name,
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
        """Draw the curves; see `from_estimator`, too.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            What to draw on; None means a new figure.
        name : str, default=None
            For the legend; None means ``estimator_name``.
        line_kw, validation_line_kw, best_line_kw : dict, default=None
            For `matplotlib.axes.Axes.plot` of the two curves and `axvline` of the mark.

        Returns
        -------
        self : LossCurveDisplay
            With the attributes that hold what was drawn.
        """
        try:
            from matplotlib import pyplot
            from matplotlib.ticker import MaxNLocator
        except ImportError as error:
            raise ImportError(
                "LossCurveDisplay needs matplotlib: pip install 'sklearn-bce[plot]'"
            ) from error
        if ax is None:
            _, ax = pyplot.subplots()
        name = self.estimator_name if name is None else name
        prefix = f"{name}, " if name else ""
        # A point that stands alone would not be seen as a line.
        alone = {"marker": "o"} if len(self.loss_curve) == 1 else {}
        style = {"label": f"{prefix}training (with penalty)"} | alone
        self.line_ = _curve(ax, self.loss_curve, style | (line_kw or {}))
        self.validation_line_ = self.best_line_ = None
        if self.validation_loss_curve is not None:
            style = {"label": f"{prefix}validation"} | alone
            self.validation_line_ = _curve(
                ax, self.validation_loss_curve, style | (validation_line_kw or {})
            )
        if self.best_iter is not None:
            style = {"label": f"best pass: {self.best_iter}", "color": "0.5", "linestyle": ":"}
            self.best_line_ = ax.axvline(self.best_iter, **(style | (best_line_kw or {})))
        ax.set_xlabel("pass")
        ax.set_ylabel("loss (nats)")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.legend()
        self.ax_, self.figure_ = ax, ax.figure
        return self


def _curve(ax: Any, curve: Sequence[float], style: dict[str, Any]) -> Any:
    """Draw values against the number of the pass, from 1 on."""
    return ax.plot(np.arange(1, len(curve) + 1), curve, **style)[0]
