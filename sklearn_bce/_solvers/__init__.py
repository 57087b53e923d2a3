"""The solvers, by name. To add one: a module with a ``SOLVER``, and a line in ``SOLVERS``."""

from __future__ import annotations

from sklearn_bce._solvers import gd, newton, sgd
from sklearn_bce._solvers._descent import distance_from_minimum
from sklearn_bce._solvers._record import Plateau, Result, Settings, Solver, Watch, Weights
from sklearn_bce._solvers._separation import direction_of_separation
from sklearn_bce._solvers._step import step_of
from sklearn_bce._solvers.sgd import smoothness_of

__all__ = [
    "SOLVERS",
    "Plateau",
    "Result",
    "Settings",
    "Solver",
    "Watch",
    "Weights",
    "choose",
    "direction_of_separation",
    "distance_from_minimum",
    "smoothness_of",
    "step_of",
]

SOLVERS: dict[str, Solver] = {"sgd": sgd.SOLVER, "gd": gd.SOLVER, "newton": newton.SOLVER}


def choose(solver: str) -> str:
    """Return the name of the solver that ``solver`` stands for: newton for "auto", else itself."""
    return "newton" if solver == "auto" else solver
