"""The solvers, by name.

To add a solver, add a module that defines ``SOLVER``, and a line in ``SOLVERS``. A module may
import those listed above it:

- ``base``: the arguments and the result of every solver.
- ``step_size``: step sizes for which convergence is proven, computed from the data.
- ``gd``: gradient descent.
- ``sgd``: stochastic gradient descent, by single samples or mini-batches.
- ``stream``: steps of sgd in a stream of chunks, and the features that a stream cannot learn.
- ``newton``: Newton's method.
"""

from __future__ import annotations

from sklearn_bce._solvers import gd, newton, sgd
from sklearn_bce._solvers.base import (
    NEGLIGIBLE,
    PARTLY_USED,
    Judge,
    Monitor,
    Plateau,
    Result,
    Settings,
    Solver,
    StopReason,
    Weights,
    rounding_floor,
)
from sklearn_bce._solvers.newton.diagnosis import Distance, distance_from_minimum, rise_by_rounding
from sklearn_bce._solvers.newton.leave_one_out import LeaveOneOut, LeftOut, LossesLeftOut
from sklearn_bce._solvers.newton.nearby import (
    LossDerivatives,
    NearbyState,
    derivatives_save_time,
)
from sklearn_bce._solvers.newton.separation import direction_of_separation
from sklearn_bce._solvers.stream import StreamSteps

__all__ = [
    "NAMES_OF_AUTO",
    "NEGLIGIBLE",
    "PARTLY_USED",
    "SOLVERS",
    "Distance",
    "Judge",
    "LeaveOneOut",
    "LeftOut",
    "LossDerivatives",
    "LossesLeftOut",
    "Monitor",
    "NearbyState",
    "Plateau",
    "Result",
    "Settings",
    "Solver",
    "StopReason",
    "StreamSteps",
    "Weights",
    "derivatives_save_time",
    "direction_of_separation",
    "distance_from_minimum",
    "rise_by_rounding",
    "rounding_floor",
    "solver_name",
]

SOLVERS: dict[str, Solver] = {"sgd": sgd.SOLVER, "gd": gd.SOLVER, "newton": newton.SOLVER}


# "auto" and its other names: the solvers of `sklearn.linear_model.LogisticRegression`, so that
# calls and grids written for that class run. They end at the minimum that "auto" ends at
# ("liblinear" does so but for its penalty of the intercept).
NAMES_OF_AUTO = {"auto", "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga"}


def solver_name(solver: str) -> str:
    """Return the name of a solver in ``SOLVERS``: "newton" for "auto" and its other names."""
    return solver if solver in SOLVERS else "newton"
