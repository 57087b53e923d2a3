"""The solvers, by name. To add one: a module with a ``SOLVER``, and a line in ``SOLVERS``.

- ``base``: what every solver takes and returns.
- ``step_size``: the largest step that cannot make F rise.
- ``gd``: gradient descent.
- ``sgd``: the per-sample rule, over samples in random order.
- ``newton``: Newton's method.
"""

from __future__ import annotations

from sklearn_bce._solvers import gd, newton, sgd
from sklearn_bce._solvers.base import (
    Monitor,
    Plateau,
    Result,
    Settings,
    Solver,
    StopReason,
    Weights,
)
from sklearn_bce._solvers.newton.diagnosis import direction_of_separation, distance_from_minimum
from sklearn_bce._solvers.sgd import batch_lipschitz_constants
from sklearn_bce._solvers.step_size import safe_step_size

__all__ = [
    "SOLVERS",
    "Monitor",
    "Plateau",
    "Result",
    "Settings",
    "Solver",
    "StopReason",
    "Weights",
    "batch_lipschitz_constants",
    "choose",
    "direction_of_separation",
    "distance_from_minimum",
    "safe_step_size",
]

SOLVERS: dict[str, Solver] = {"sgd": sgd.SOLVER, "gd": gd.SOLVER, "newton": newton.SOLVER}


def choose(solver: str) -> str:
    """Return the name of the solver that ``solver`` stands for: newton for "auto", else itself."""
    return "newton" if solver == "auto" else solver
