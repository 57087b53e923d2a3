"""A direction that separates the classes and keeps the bounds of the weights, by a linear program.

A weight with a finite lower bound can only grow without end, one with a finite upper bound only
fall. So the entries of a separating direction have given signs. The program looks at all samples at
once, up to ``MAX_ELEMENTS``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linprog

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._objective.root import Matrix, row_matrix
from sklearn_bce._solvers.newton.kept_samples import side_of
from sklearn_bce._solvers.newton.rank import largest_of_rows
from sklearn_bce._solvers.newton.separated_alone import allowed_signs
from sklearn_bce._solvers.newton.separating_direction import Separating

# Most elements of the distinct rows of a program; with more, no direction is looked for. A program
# of 100 000×20 takes some seconds. [a choice]
MAX_ELEMENTS = 2e6
# Least maximum of the program that is not 0: a direction raises some margin to 1, if any.
# [a choice]
SOME_RISE = 0.5
# Tolerance of the program, and fall of a margin, as a fraction of the largest rise, up to which it
# is due to rounding. [a choice]
TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class DistinctRows:
    """Distinct rows sz, each divided by its largest absolute entry; sets of rows can be added.

    Attributes
    ----------
    rows : ndarray of shape (n, size), float64, or None
        The rows; None if they have more elements than ``MAX_ELEMENTS``.
    """

    rows: Matrix | None

    @classmethod
    def of(cls, rows: Matrix) -> DistinctRows:
        """Return the distinct rows of a matrix."""
        rows = np.unique(rows, axis=0)
        return cls(rows if rows.size <= MAX_ELEMENTS else None)

    def __add__(self, other: DistinctRows) -> DistinctRows:
        """Return the distinct rows of both sets."""
        if self.rows is None or other.rows is None:
            return DistinctRows(None)
        return DistinctRows.of(np.concatenate([self.rows, other.rows]))


def within_bounds(problem: Objective, found: Separating) -> Separating | None:
    """Return a separating direction in which the weights keep their bounds for ever.

    Parameters
    ----------
    problem : Objective
        F in coordinates that are centred and scaled, without penalty strengths.
    found : Separating
        A direction that separates the classes if there are no bounds.

    Returns
    -------
    separating : Separating or None
        ``found``, if that keeps the bounds; else another direction, or None if there is none.
    """
    lower, upper = allowed_signs(problem)
    v = found.v
    if not np.all((lower <= v) & (v <= upper)):
        v = separating_within_bounds(problem)
    return None if v is None else Separating(v, np.zeros((len(v), 0)))


def separating_within_bounds(problem: Objective) -> Vector | None:
    """Return a direction of θ that separates the classes within the bounds of the weights.

    Takes one pass.

    Parameters
    ----------
    problem : Objective
        F in coordinates that are centred and scaled, without penalty strengths.

    Returns
    -------
    v : ndarray of shape (size,), float64, or None
        None if there is none, or there are too many samples.
    """
    (distinct,) = problem.sum_over_parts(_distinct_rows)
    A = distinct.rows
    if A is None or not len(A):
        return None
    program = linprog(
        -A.sum(axis=0),
        A_ub=np.concatenate([-A, A]),
        b_ub=np.repeat([0.0, 1.0], len(A)),
        bounds=np.column_stack(allowed_signs(problem)),
        method="highs-ds",
        options={"primal_feasibility_tolerance": TOLERANCE / 10},
    )
    if program.x is None or -program.fun < SOME_RISE:
        return None
    rises = A @ program.x
    return program.x if np.min(rises) >= -TOLERANCE * np.max(rises) else None


@np.errstate(all="ignore")
def _distinct_rows(part: Any) -> list[DistinctRows]:
    """Return the distinct rows sz of a part; for a sample with 0 < y < 1, both z and −z."""
    found = DistinctRows(np.zeros((0, part.coordinates.size)))
    for rows, Z in row_matrix(part.X, part.coordinates):
        Z = Z / largest_of_rows(Z)[:, None]
        side = np.where(part.sample_weight[rows] > 0, side_of(part.y[rows]), np.nan)
        soft = Z[side == 0]
        hard = np.abs(side) == 1
        found += DistinctRows.of(np.concatenate([side[hard, None] * Z[hard], soft, -soft]))
    return [found]
