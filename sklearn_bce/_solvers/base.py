"""What a solver is given besides the objective, and what it hands back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._objective.in_memory import InMemoryObjective

Weights = Callable[[], tuple[NDArray[np.float64], float]]


class Monitor:
    """What a solver tells of its iterations; this one does not listen."""

    def begin(self) -> None:
        """Take in that an iteration begins."""

    def end(self, value: float, weights: Weights, n_passes: float) -> bool:
        """Take in that it has ended, and return whether it is to be the last.

        Parameters
        ----------
        value : float
            The entry of the loss curve.
        weights : callable () -> (ndarray of shape (n_features,), float)
            Returns weights and intercept, in the user's units, as they were then, whenever it is
            called.
        n_passes : float
            As of `Result`, so far.
        """
        return False


@dataclass(frozen=True)
class Settings:
    """The estimator's parameters that concern a solver, checked; see `BCENeuronClassifier`.

    `memory` is what the last fit's `Result` had; `monitor` is told of every iteration.
    """

    max_iter: int = 100
    tol: float = 1e-6
    learning_rate: float | str = "auto"
    batch_size: int = 1
    shuffle: bool = True
    n_iter_no_change: int = 5
    warm_start: bool = False
    memory: Any = None
    random_state: Any = None
    monitor: Monitor = field(default_factory=Monitor)


@dataclass(frozen=True)
class Result:
    """Where a solver stopped.

    Attributes
    ----------
    w : ndarray of shape (n_features,), float64
        Weights, in the user's units.
    b : float
        Intercept.
    n_iter : int
        Iterations done: passes for gd and sgd, steps for newton.
    converged : bool
        Whether the solver's own test said so before ``max_iter``.
    loss_curve : list of float
        F after each iteration; for sgd the mean loss met in the pass plus the penalty before it.
    n_passes : float
        How many times X was read through; a sample of its rows counts by its share.
    stopped : bool
        Whether the watch has ended it.
    memory : object or None
        What the solver would like to be given with the next fit, if the settings ask for one.
    """

    w: NDArray[np.float64]
    b: float
    n_iter: int
    converged: bool
    loss_curve: list[float]
    n_passes: float
    stopped: bool = False
    memory: Any = None


@dataclass(frozen=True)
class Solver:
    """A way to the minimum.

    Attributes
    ----------
    solve : callable (objective, w, b, settings) -> Result
        Objective in the user's units, and the start, which is not changed.
    advice : str
        What to change where it did not converge.
    """

    solve: Callable[[InMemoryObjective, NDArray[np.float64], float, Settings], Result]
    advice: str


class Plateau:
    """Tells when a falling sequence has stopped falling.

    Parameters
    ----------
    tol : float
        A value this much below the best one so far counts as an improvement.
    patience : int
        How many values without an improvement make a plateau.
    """

    def __init__(self, tol: float, patience: int) -> None:
        self.tol, self.patience = tol, patience
        self.best, self.waited = np.inf, 0

    def reached(self, value: float) -> bool:
        """Take in the next value and return whether the sequence is on a plateau; changes self."""
        self.waited = 0 if value < self.best - self.tol else self.waited + 1
        self.best = min(self.best, value)
        return self.waited >= self.patience
