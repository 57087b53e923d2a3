"""What a solver is given besides the objective, and what it returns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective

Weights = Callable[[], tuple[Vector, float]]

# Share of ``tol`` that an inner solver may leave in each step: a hundredth, so that the errors of
# dozens of steps stay below ``tol``. python -m benchmarks.tuning NEGLIGIBLE
NEGLIGIBLE = 0.01


class StopReason(Enum):
    """Why a solver stopped."""

    CONVERGED = "the solver's own stopping test holds"
    ROUNDING = "what is left is below the rounding of F"
    NO_DESCENT = "F does not fall along a direction that promises more than its rounding"
    STOPPED = "the monitor ended the fit"
    MAX_ITER = "max_iter iterations were done first"
    EARLY_STOPPING = "the loss on held-out samples has ceased to fall"

    @property
    def is_convergence(self) -> bool:
        """Whether the fit counts as converged."""
        return self in {StopReason.CONVERGED, StopReason.ROUNDING, StopReason.EARLY_STOPPING}


class Monitor:
    """Receives the progress of a solver. This base class ignores it."""

    def begin(self) -> None:
        """Receive that an iteration begins."""

    def end(self, value: float, weights: Weights, n_passes: float) -> bool:
        """Receive that an iteration has ended; return whether the solver must stop.

        Parameters
        ----------
        value : float
            The entry of the loss curve: F, in nats per unit of sample weight.
        weights : callable () -> (ndarray of shape (n_features,), float)
            Returns weights and intercept after this iteration, in the user's units, whenever it is
            called.
        n_passes : float
            Passes over X so far; see `Result`.
        """
        return False


@dataclass(frozen=True)
class Settings:
    """The estimator's parameters that concern a solver, validated; see `BCENeuronClassifier`.

    Attributes
    ----------
    path_state : object or None
        `Result.path_state` of the fit before.
    monitor : Monitor
        Receives the progress.
    """

    max_iter: int = 100
    tol: float = 1e-6
    learning_rate: float | str = "auto"
    batch_size: int = 1
    shuffle: bool = True
    n_iter_no_change: int = 5
    warm_start: bool = False
    path_state: Any = None
    random_state: Any = None
    monitor: Monitor = field(default_factory=Monitor)


@dataclass(frozen=True)
class Result:
    """Where a solver stopped, and why.

    Attributes
    ----------
    w : ndarray of shape (n_features,), float64
        Weights, in the user's units.
    b : float
        Intercept.
    stop_reason : StopReason
        Why the solver stopped.
    loss_curve : list of float
        F after each iteration, in nats per unit of sample weight; for sgd the mean loss met in the
        pass plus the penalty before the pass.
    n_passes : float
        How many times X was read; reading a sample of the rows counts by its fraction of them.
    path_state : object or None
        What the solver needs to start the next fit along a path of C, if the settings ask for one.
    """

    w: Vector
    b: float
    stop_reason: StopReason
    loss_curve: list[float]
    n_passes: float
    path_state: Any = None

    @property
    def n_iter(self) -> int:
        """Number of iterations: passes of gd and sgd, steps of newton."""
        return len(self.loss_curve)

    @property
    def converged(self) -> bool:
        """Whether the fit counts as converged; see `StopReason`."""
        return self.stop_reason.is_convergence


@dataclass(frozen=True)
class Solver:
    """A solver, as the registry lists it.

    Attributes
    ----------
    solve : callable (objective, w, b, settings) -> Result
        Minimises an objective in the user's units from (w, b), which are not changed.
    advice : str
        What the user can change if the solver stops at ``max_iter``.
    """

    solve: Callable[[Objective, Vector, float, Settings], Result]
    advice: str


class Plateau:
    """Detects that a falling sequence has stopped falling.

    Parameters
    ----------
    tol : float
        A value below the least one so far by more than ``tol`` is an improvement.
    patience : int
        Number of values in a row without an improvement that make a plateau.
    """

    def __init__(self, tol: float, patience: int) -> None:
        self.tol, self.patience = tol, patience
        self.best, self.waited = np.inf, 0

    def reached(self, value: float) -> bool:
        """Add the next value, and return whether the sequence is on a plateau; changes self."""
        self.waited = 0 if value < self.best - self.tol else self.waited + 1
        self.best = min(self.best, value)
        return self.waited >= self.patience
