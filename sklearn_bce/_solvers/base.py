"""The arguments of a solver besides the objective, and its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import MAX_SLOPE, Objective
from sklearn_bce._objective.scaling import Coordinates

Weights = Callable[[], tuple[Vector, float]]

# Fraction of ``tol`` that an inner solver may leave in each step: a hundredth, so that the errors
# of dozens of steps stay below ``tol``. python -m benchmarks.tuning NEGLIGIBLE
NEGLIGIBLE = 0.01

# Relative rounding error of float64.
EPSILON = float(np.finfo(np.float64).eps)

# Share of F below which F cannot tell two points apart, as its losses and their sum are rounded:
# python -m benchmarks.tuning ROUNDING_FLOOR
ROUNDING_FLOOR = 4 * EPSILON


def rounding_floor(value: float) -> float:
    """Return the difference up to which two values of F near ``value`` may differ by rounding."""
    return ROUNDING_FLOOR * value


class StopReason(Enum):
    """Why a fit stopped. The value is what the fitted attribute ``stop_reason_`` shows.

    Attributes
    ----------
    CONVERGED
        F is within ``tol`` of its minimum.
    ROUNDING
        The expected decrease of F is above ``tol`` and below the rounding of F.
    EARLY_STOPPING
        The loss on held-out samples has ceased to fall.
    MAX_ITER
        ``max_iter`` iterations were done first.
    NO_MINIMUM
        The classes are separated and there is no penalty: F falls without end.
    NO_DESCENT
        F does not fall along a direction that should decrease it by more than rounding.
    PRECISION
        float64 cannot tell whether F is within ``tol`` of its minimum, because columns depend on
        each other but for rounding.
    STALLED
        The loss curve of gd or sgd has ceased to fall, and F is above its minimum by more than
        ``tol``.
    STOPPED
        A callback ended the fit.
    INTERRUPTED
        Ctrl-C ended the fit.
    PARTIAL_FIT
        The pass of `partial_fit` was done.
    """

    CONVERGED = "tol"
    ROUNDING = "rounding"
    EARLY_STOPPING = "early_stopping"
    MAX_ITER = "max_iter"
    NO_MINIMUM = "no_minimum"
    NO_DESCENT = "no_descent"
    PRECISION = "precision"
    STALLED = "stalled"
    STOPPED = "callback"
    INTERRUPTED = "interrupt"
    PARTIAL_FIT = "partial_fit"

    @property
    def is_convergence(self) -> bool:
        """Whether a fit that stopped for this reason counts as converged."""
        return self in CONVERGENCE


# A tuple, whose members are compared: to hash a member is a call of Python.
CONVERGENCE = (StopReason.CONVERGED, StopReason.ROUNDING, StopReason.EARLY_STOPPING)

Judge = Callable[[Vector, float], StopReason]


class Monitor:
    """Receives the progress of a solver. This base class does nothing and never stops a solver.

    Attributes
    ----------
    is_passive : bool
        Whether nothing depends on the calls, so that a solver may leave them out.
    """

    is_passive = True

    def begin(self) -> None:
        """Note that an iteration begins; a solver calls this method at each beginning."""

    def end(self, value: float, weights: Weights, n_passes: float) -> bool:
        """Note that an iteration has ended, and return whether the solver must stop.

        Parameters
        ----------
        value : float
            Entry of the loss curve: F, the mean loss plus the penalty, in nats.
        weights : callable () -> (ndarray of shape (n_features,), float)
            Returns weights and intercept after this iteration, in the user's units, also if it is
            called later.
        n_passes : float
            Passes over X so far; see `Result`.
        """
        return False

    def end_all(self, values: list[float], weights: Weights, n_passes: float) -> None:
        """Note several iterations that have ended at once, which only a passive monitor allows.

        Parameters
        ----------
        values : list of float
            Loss curve of the iterations.
        weights, n_passes
            As for `end`, after the last of the iterations.
        """


def _minimum_at_plateau(w: Vector, b: float) -> StopReason:
    """Return CONVERGED; see ``Settings.judge``."""
    return StopReason.CONVERGED


@dataclass(frozen=True)
class Settings:
    """Settings of a solver: validated parameters of `BCENeuronClassifier`, of the same names.

    The attributes that are not listed are described there.

    Attributes
    ----------
    learning_rate : float, "auto" or callable (order) -> ndarray of shape (n_samples,)
        A callable, which only sgd takes, returns the step of each sample in the order of a pass.
    random_state : RandomState or None, default=None
        Generator that the solver draws from; None for a solver that draws nothing.
    path_state : object or None, default=None
        `Result.path_state` of the previous fit; None if there is none.
    monitor : Monitor
        Receives the progress of the solver; the default ignores it.
    judge : callable (w, b) -> StopReason
        What a plateau of the loss curve of gd or sgd is, given the weights there, in the user's
        units, and the intercept: CONVERGED, ROUNDING or STALLED; MAX_ITER asks to go on. The
        default takes each plateau for the minimum.
    """

    max_iter: int = 100
    tol: float = 1e-6
    learning_rate: float | str | Callable[[NDArray[np.intp]], Vector] = "auto"
    batch_size: int = 1
    shuffle: bool = True
    n_iter_no_change: int = 5
    warm_start: bool = False
    path_state: Any = None
    random_state: Any = None
    monitor: Monitor = field(default_factory=Monitor)
    judge: Judge = _minimum_at_plateau


@dataclass(frozen=True)
class Result:
    """Result of a solver: weights and intercept, the reason for stopping, and the loss curve.

    Attributes
    ----------
    w : ndarray of shape (n_features,), float64
        Weights, in the user's units.
    b : float
        Intercept.
    stop_reason : StopReason
        Why the solver stopped.
    loss_curve : list of float
        F after each iteration, the mean loss plus the penalty, in nats. For sgd the mean over the
        pass of the losses of the samples, each before its own update, plus the penalty before the
        pass.
    n_passes : float
        Number of times that X was read; reading a subset of the rows counts as their fraction.
    path_state : object or None, default=None
        State from which the next fit along a path of C can start; None if the solver has no such
        state, or ``Settings.warm_start`` is False.
    has_minimum : bool, default=True
        False if the classes are known to be separated without a penalty, so that F falls without
        end. The fit has then converged if F is within ``tol`` of its infimum.
    is_certain : bool, default=True
        False if the reason for stopping is doubtful, because the curvature of F may be too small to
        be seen in the direction in which F falls.
    coordinates : Coordinates or None, default=None
        Mean and deviation of the columns of X; None if the solver does not know them.
    """

    w: Vector
    b: float
    stop_reason: StopReason
    loss_curve: list[float]
    n_passes: float
    path_state: Any = None
    has_minimum: bool = True
    is_certain: bool = True
    coordinates: Coordinates | None = None

    @property
    def n_iter(self) -> int:
        """Number of iterations: passes of gd and sgd, steps of newton."""
        return len(self.loss_curve)

    @property
    def converged(self) -> bool:
        """Whether the fit counts as converged; see `StopReason`."""
        return self.stop_reason in CONVERGENCE

    def loss_by_rounding(self, dtype: Any) -> float:
        """Return a bound of the rise of F if weights and intercept are rounded to a dtype, in nats.

        An output changes by Σ|δw|σ + |δb + Σ μδw| in the mean, with the rounding errors δw and δb,
        and F rises by at most an eighth of the square at its minimum. Infinite if mean and
        deviation of the columns are not known.
        """
        if self.coordinates is None:
            return np.inf
        w, shift, scale = self.w, self.coordinates.shift, self.coordinates.scale
        if self.coordinates.is_constant is not None:
            scale = np.where(self.coordinates.is_constant, 0.0, scale)
        spread = 0.0
        if dtype != np.float64:
            stored, stored_b = w.astype(dtype).astype(np.float64), float(dtype.type(self.b))
            change, change_b = stored - w, stored_b - self.b
            spread = np.abs(change) @ scale + abs(change_b + shift @ change)
        own = np.abs(w) @ (scale + np.abs(shift)) + abs(self.b)
        bound = float(MAX_SLOPE / 2 * (spread + EPSILON / 2 * own) ** 2)
        return np.inf if np.isnan(bound) else bound

    @property
    def shown_reason(self) -> StopReason:
        """The reason that the user is shown: NO_MINIMUM goes before the reason of the solver."""
        return self.stop_reason if self.has_minimum else StopReason.NO_MINIMUM


# Settings that some solvers use and others ignore; see `Solver.uses`.
PARTLY_USED = ("learning_rate", "batch_size", "shuffle")


@dataclass(frozen=True)
class Solver:
    """A solver as listed in ``SOLVERS``.

    Attributes
    ----------
    solve : callable (objective, w, b, settings) -> Result
        Minimises an objective in the user's units, starting from the weights w and the intercept
        b, which are not changed.
    advice : str
        Sentence of the warning that ``max_iter`` ended the fit: what the user can change.
    keeps_bounds : bool, default=True
        Whether the solver keeps the bounds of the weights that the penalty has.
    uses : frozenset of str, default=frozenset()
        Which of the settings ``PARTLY_USED`` the solver uses.
    """

    solve: Callable[[Objective, Vector, float, Settings], Result]
    advice: str
    keeps_bounds: bool = True
    uses: frozenset[str] = frozenset()


class Plateau:
    """Detects that a sequence of losses has stopped falling.

    Parameters
    ----------
    tol : float
        A value is an improvement if it is below the least value so far by more than ``tol``.
    patience : int
        Number of values in a row without an improvement after which the sequence is on a plateau.

    Attributes
    ----------
    best : float
        Least value so far; infinite before the first value.
    n_without_improvement : int
        Number of values since the last improvement.
    """

    def __init__(self, tol: float, patience: int) -> None:
        self.tol, self.patience = tol, patience
        self.best, self.n_without_improvement = np.inf, 0
        self._best_before = np.inf

    def reached(self, value: float) -> bool:
        """Add the next value, and return whether the sequence is on a plateau; changes self."""
        self.n_without_improvement += 1
        if value < self.best - self.tol:
            self.n_without_improvement, self._best_before = 0, value
        self.best = min(self.best, value)
        return self.n_without_improvement >= self.patience

    def judged(self, judge: Judge, weights: Weights) -> StopReason:
        """Return why a solver stops on this plateau; `StopReason.MAX_ITER` if it goes on.

        The solver goes on if F is not at its minimum, and the sequence has fallen on the plateau,
        by steps of at most ``tol``. ``patience`` is then doubled, so that plateaus are judged a few
        times in a fit; changes self.

        Parameters
        ----------
        judge : callable (w, b) -> StopReason
            See `Settings`.
        weights : callable () -> (ndarray of shape (n_features,), float)
            Returns the weights on the plateau, in the user's units, and the intercept.
        """
        reason, has_fallen = judge(*weights()), self.best < self._best_before
        if reason.is_convergence or (reason is StopReason.STALLED and not has_fallen):
            return reason
        self.patience, self.n_without_improvement = 2 * self.patience, 0
        self._best_before = self.best
        return StopReason.MAX_ITER
