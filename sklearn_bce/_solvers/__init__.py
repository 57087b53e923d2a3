"""The solvers, by name. To add one: a module with a ``SOLVER``, and a line in ``SOLVERS``."""

from __future__ import annotations

from sklearn_bce._solvers import gd, newton, sgd
from sklearn_bce._solvers._descent import distance_from_minimum
from sklearn_bce._solvers._record import Result, Settings, Solver

__all__ = ["SOLVERS", "Result", "Settings", "Solver", "choose", "distance_from_minimum"]

SOLVERS: dict[str, Solver] = {"sgd": sgd.SOLVER, "gd": gd.SOLVER, "newton": newton.SOLVER}


def choose(solver: str) -> str:
    """Return the name of the solver that ``solver`` stands for: newton for "auto", else itself."""
    return "newton" if solver == "auto" else solver
