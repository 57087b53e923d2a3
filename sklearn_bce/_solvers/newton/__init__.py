"""Newton's method."""

from sklearn_bce._solvers.newton.starts import SOLVER

__all__ = ["SOLVER"]
