"""How a fit is followed: samples held out, callbacks, and what is there if it is cut short."""

from __future__ import annotations

from dataclasses import replace

from sklearn_bce._callbacks import Callbacks
from sklearn_bce._held_out import HeldOut
from sklearn_bce._solvers import Result, Watch, Weights


class FitWatch(Watch):
    """Follows one fit.

    Parameters
    ----------
    held_out : HeldOut or None
        Samples on which the loss is taken after each pass.
    callbacks : Callbacks or None
        Whom to tell of it.
    """

    def __init__(self, held_out: HeldOut | None, callbacks: Callbacks | None) -> None:
        self._held_out, self._callbacks = held_out, callbacks
        self._loss_curve: list[float] = []
        self._weights: Weights | None = None
        self._n_passes = 0.0

    def begin(self) -> None:
        """Take in that a pass begins."""
        if self._callbacks is not None:
            self._callbacks.pass_begins()

    def end(self, value: float, weights: Weights, n_passes: float) -> bool:
        """Take in that it has ended; see `Watch`."""
        stop = self._held_out is not None and self._held_out.add(*weights())
        self._loss_curve.append(value)
        self._weights, self._n_passes = weights, n_passes
        if self._callbacks is not None:
            stop |= self._callbacks.pass_ends(weights)
        return stop

    def result_so_far(self) -> Result | None:
        """Return where the last pass that has ended has led; None if none has."""
        if self._weights is None:
            return None
        n_iter = len(self._loss_curve)
        return Result(*self._weights(), n_iter, False, self._loss_curve, self._n_passes, True)

    def chosen(self, result: Result) -> Result:
        """Return the solver's result, with the best weights where the fit is to end with them.

        It counts as converged if the loss on the samples held out has ceased to fall.
        """
        if self._held_out is None or not self._held_out.picks_the_best:
            return result
        w, b = self._held_out.best
        converged = result.converged or self._held_out.ended
        return replace(result, w=w, b=b, converged=converged)
