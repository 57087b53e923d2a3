"""A direction that separates the samples that are set aside, by a linear program.

The directions v = Nt that change no output of the samples kept are given. Wanted is one that lowers
the margin of no sample set aside, and raises some. The first candidates come from least squares,
the others from linear programs over few samples, to which those samples are added whose margins the
last candidate lowers most. A sample is on the right side if its output is, up to its own rounding.
Where that is a matter of rounding, the samples in question get a linear program in exact
arithmetic, if they are few.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy.optimize import linprog

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Maxima, Objective
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.root import Matrix, root_of_blocks
from sklearn_bce._solvers.newton.exact_program import separating_direction
from sklearn_bce._solvers.newton.kept_samples import Samples
from sklearn_bce._solvers.newton.rank import ROUNDING, Basis, RankRevealing, largest_of_rows

# Samples that are added to the linear program at a time, or twice the number of directions if that
# is more. [a choice]
PROGRAM_ROWS = 100
# Least maximum of a linear program that is not 0: a direction raises some margin to 1, if any.
# [a choice]
SOME_RISE = 0.5
# Rise of a margin that may be due to the tolerance of the linear program, 1e-7: it is made 0.
# [a choice]
TIGHT = 1e-6
# Corrections of a solution of the linear program, each of which moves samples that are on the wrong
# side by less than its tolerance as far to the right side. [a choice]
CORRECTIONS = 5
# Most products, n·size² for n rows, of a step of a linear program in exact arithmetic: some seconds
# in all. [a choice]
MAX_EXACT_WORK = 1e5
# Multiple of the rounding of an output up to which its change may be due to the rounding of the
# data, such as a change of units: 7e-13 of its terms. Cases of tests/test_separation.py that are
# separated by rounding only change by 26 at most, others by 1170 at least.
DATA_ROUNDING = 100.0


class Candidate(NamedTuple):
    """A direction v of θ, and bounds of its rounding errors as in `Basis`."""

    v: Vector
    error: Vector

    @classmethod
    def in_basis(cls, basis: Basis, t: Vector) -> Candidate:
        """Return the direction N·t.

        An entry that is ε² of the largest one in size may be an error of subtraction in t.
        """
        error = basis.E @ np.abs(t)
        return cls(basis.N @ t, np.maximum(error, ROUNDING**2 * np.max(error)))

    def rounding(self, rows: Matrix) -> Vector:
        """Return a bound of the rounding error of the output of each row."""
        return ROUNDING * (np.abs(rows) @ self.error)


@dataclass(frozen=True, eq=False)
class WorstRows:
    """The n rows with the largest excess; those of two sets of rows can be added.

    Attributes
    ----------
    rows : ndarray of shape (at most n, size), float64
        Rows.
    excess : ndarray of shape (at most n,), float64
        By how much a candidate lowers the margin of each row more than rounding may, divided by the
        largest absolute output of the row in the basis; descending.
    n : int
        Largest number of rows.
    """

    rows: Matrix
    excess: Vector
    n: int

    def __add__(self, other: WorstRows) -> WorstRows:
        """Return the worst rows of both sets."""
        rows = np.concatenate([self.rows, other.rows])
        excess = np.concatenate([self.excess, other.excess])
        worst = np.argsort(-excess, kind="stable")[: self.n]
        return WorstRows(rows[worst], excess[worst], self.n)


class Separating(NamedTuple):
    """A direction that separates the classes.

    Attributes
    ----------
    v : ndarray of shape (size,), float64
        The direction.
    idle : ndarray of shape (size, k), float64
        Directions that change no output at all, since columns of Z depend on each other.
    """

    v: Vector
    idle: Matrix

    def simplest(self, weight: Vector) -> Vector:
        """Return the direction with the same outputs whose norm Σ weight·|v| is least.

        ``weight``, of shape (size,), has 0 for entries that do not count.
        """
        size, k = self.idle.shape
        unit = np.max(np.abs(self.v))
        if not k or not unit > 0:
            return self.v
        below = -np.eye(size)
        program = linprog(
            np.append(np.zeros(k), weight),
            A_ub=np.block([[self.idle, below], [-self.idle, below]]),
            b_ub=np.append(-self.v, self.v) / unit,
            bounds=[(None, None)] * k + [(0, None)] * size,
        )
        return self.v if program.x is None else self.v + unit * (self.idle @ program.x[:k])


def find_separating(objective: Objective, samples: Samples, basis: Basis) -> Separating | None:
    """Return a direction of θ that separates the classes; None if there is none.

    Parameters
    ----------
    objective : Objective
        F, without a penalty.
    samples : Samples
        Samples of which those kept are not separated.
    basis : Basis
        The directions that change no output of the samples kept.
    """
    theta = samples.theta
    candidates = [Candidate(theta, np.abs(theta))] if basis.N.shape[1] == len(theta) else []
    idle = None
    while basis.N.shape[1]:
        k = basis.N.shape[1]
        (root,) = objective.sum_over_parts(_root_of_others, samples, basis)
        outputs = RankRevealing.of(root.R[:, :k], np.ones(k))
        candidates += [
            Candidate.in_basis(basis, outputs.solve(target)) for target in root.R[:, k:].T
        ]
        if not outputs.rank:
            break
        if idle is None:
            idle = basis.times(outputs.null_space().N).N
        basis = outputs.independent(basis)
        v, rows, is_in_doubt = _search(objective, samples, basis, candidates)
        if is_in_doubt or v is None:
            exact, is_known = _search_exactly(objective, samples, rows)
            v = exact if is_known else v
            if v is None and (is_known or is_in_doubt):
                return None
        if v is not None:
            return Separating(v, idle)
        A, error = basis.outputs(rows)
        forced = RankRevealing.of(A / error[:, None], np.ones(A.shape[1]))
        basis, candidates = basis.times(forced.null_space().N), []
    return None


def _search(
    objective: Objective, samples: Samples, basis: Basis, candidates: list[Candidate]
) -> tuple[Vector | None, Matrix, bool]:
    """Return a direction in a basis that separates the samples set aside, if there is one.

    Returns
    -------
    v : ndarray of shape (size,), float64, or None
        The direction; None if there is none.
    rows : ndarray of shape (n, size), float64
        If there is none: rows z whose outputs no separating direction changes.
    is_in_doubt : bool
        Whether the answer is a matter of rounding. The rows are then those in question.
    """
    size, k = basis.N.shape
    rows, scales_columns = np.zeros((0, size)), True
    while True:
        is_last = not candidates
        candidate = _program(rows, basis, scales_columns) if is_last else candidates.pop(0)
        if candidate is None:
            return None, rows, False
        n = max(PROGRAM_ROWS, 2 * k)
        rise, worst, near = objective.sum_over_parts(_check, samples, basis, candidate, n)
        if rise.values[0] > 0 and not np.any(worst.excess > 0):
            rows = np.unique(np.concatenate([rows, near.rows]), axis=0)
            return candidate.v, rows, len(near.rows) > 0
        more = np.unique(np.concatenate([rows, worst.rows]), axis=0)
        if is_last and len(more) == len(rows):
            if not scales_columns:
                return None, rows, True
            scales_columns = False
        rows = more


def _search_exactly(
    objective: Objective, samples: Samples, rows: Matrix
) -> tuple[Vector | None, bool]:
    """Return a direction that separates all samples, by linear programs in exact arithmetic.

    Samples that a direction leaves on the wrong side, or where that is a matter of rounding, are
    added to the program. Where it has no solution, no direction changes the outputs of its rows;
    only rows that do not depend on these remain to be separated. A direction that raises no margin
    by more than the rounding of the data may does not count.

    Parameters
    ----------
    objective : Objective
        F, without a penalty.
    samples : Samples
        The samples; those kept are looked at like all others.
    rows : ndarray of shape (n, size), float64
        The rows in question.

    Returns
    -------
    v : ndarray of shape (size,), float64, or None
        The direction; None if there is none.
    is_known : bool
        False if that would take more work than ``MAX_EXACT_WORK``.
    """
    free = RankRevealing.of(rows[:0]).null_space()  # all directions
    while len(rows) * len(samples.theta) ** 2 <= MAX_EXACT_WORK:
        found = separating_direction(rows)
        if found is None:
            independent = RankRevealing.of(rows.T)
            rows = rows[independent.order[: independent.rank]]
            free = RankRevealing.of(rows).null_space()
            rows = np.concatenate([rows, -rows])
        known = frozenset(row.tobytes() for row in rows)
        rise, more = objective.sum_over_parts(_next_rows, samples, known, free, found)
        if not len(more.rows):
            return (found if rise.values[0] > 0 else None), True
        rows = np.concatenate([rows, np.unique(more.rows, axis=0)])
    return None, False


def _program(rows: Matrix, basis: Basis, scales_columns: bool) -> Candidate | None:
    """Return a direction that separates the rows sz; None if there is none.

    The direction maximises the sum of the rises of the margins, each of which is at most 1, of rows
    whose outputs in the basis are divided by the largest of each column if ``scales_columns``, and
    then by that of the row. With codes in some columns the one loses digits, or else the other.
    """
    A = basis.outputs(rows)[0]
    unit = largest_of_rows(A.T) if scales_columns else np.ones(A.shape[1])
    A /= unit
    largest = largest_of_rows(A)
    A /= largest[:, None]
    program = linprog(
        -A.sum(axis=0),
        A_ub=np.concatenate([-A, A]),
        b_ub=np.repeat([0.0, 1.0], len(A)),
        bounds=(None, None),
        method="highs-ds",
    )
    if program.x is None or -program.fun < SOME_RISE:
        return None
    t = program.x
    target, fixed = np.zeros(len(A)), A @ t < TIGHT
    for _ in range(CORRECTIONS):
        if np.any(fixed):
            t = t + np.linalg.lstsq(A[fixed], (target - A @ t)[fixed], rcond=None)[0]
        candidate = Candidate.in_basis(basis, t / unit)
        wrong = A @ t < -candidate.rounding(rows) / largest
        fixed |= wrong
        target = np.where(wrong, target - A @ t, target)
    return candidate


@np.errstate(all="ignore")
def _root_of_others(part: InMemoryObjective, samples: Samples, basis: Basis) -> list[Any]:
    """Return the root of the rows [A, output, largest] of the samples set aside.

    A has the outputs of the rows sz in the basis, ``output`` those along θ. The rows are divided by
    the rounding errors of A. Least squares for the last two columns give directions that raise all
    margins, if any does.
    """

    def blocks() -> Iterator[Matrix]:
        for signed, output in samples.set_aside(part):
            A, error = basis.outputs(signed)
            changed = np.any(A != 0, axis=1)
            rows = np.column_stack([A, output, largest_of_rows(A)]) / error[:, None]
            yield rows[changed]

    return [root_of_blocks(blocks(), basis.N.shape[1] + 2)]


@np.errstate(all="ignore")
def _check(
    part: InMemoryObjective, samples: Samples, basis: Basis, candidate: Candidate, n: int
) -> list[Any]:
    """Return what a candidate does to the samples of a part.

    Returns
    -------
    rise : Maxima
        The largest rise of a margin beyond rounding, of the samples set aside.
    worst : WorstRows
        At most n rows sz of these whose margins fall beyond rounding.
    near : WorstRows
        Some rows sz of all samples whose margins change by rounding at most, and not by 0.
    """
    rise, worst = 0.0, WorstRows(np.zeros((0, len(candidate.v))), np.zeros(0), n)
    for signed, _ in samples.set_aside(part):
        A, _ = basis.outputs(signed)
        changed = np.any(A != 0, axis=1)
        signed, largest = signed[changed], largest_of_rows(A[changed])
        output, rounding = signed @ candidate.v, candidate.rounding(signed)
        rise = np.max(output - rounding, initial=rise)
        worst += WorstRows(signed, (-output - rounding) / largest, n)
    near = _near(part, samples, candidate)
    return [Maxima(np.array([rise])), worst, WorstRows(near, np.zeros(len(near)), PROGRAM_ROWS)]


@np.errstate(all="ignore")
def _near(part: InMemoryObjective, samples: Samples, candidate: Candidate) -> Matrix:
    """Return some rows sz of a part whose margins change by rounding at most, and not by 0."""
    found = [np.zeros((0, len(candidate.v)))]
    for signed in samples.signed(part):
        output = np.abs(signed @ candidate.v)
        found.append(signed[(output > 0) & (output <= candidate.rounding(signed))][:PROGRAM_ROWS])
    return np.concatenate(found)[:PROGRAM_ROWS]


@np.errstate(all="ignore")
def _next_rows(
    part: InMemoryObjective,
    samples: Samples,
    known: frozenset[bytes],
    free: Basis,
    v: Vector | None,
) -> list[Any]:
    """Return the largest rise of a margin along v, and rows sz that v may not separate.

    Parameters
    ----------
    part : InMemoryObjective
        The part.
    samples : Samples
        The samples.
    known : frozenset of bytes
        The rows that the program knows.
    free : Basis
        The directions that change no output of the rows that cannot be separated.
    v : ndarray of shape (size,), float64, or None
        Its solution. The rows are those whose margins v does not raise beyond rounding; if it is
        None, those whose outputs the free directions change.

    Returns
    -------
    rise : Maxima
        The largest rise beyond the rounding of the data; 0 if there is none.
    more : WorstRows
        Rows that the program does not know.
    """
    rise, found = 0.0, WorstRows(np.zeros((0, len(samples.theta))), np.zeros(0), PROGRAM_ROWS)
    for signed in samples.signed(part):
        output, some = np.zeros(len(signed)), np.any(free.outputs(signed)[0] != 0, axis=1)
        if v is not None:
            output, rounding = signed @ v, Candidate(v, np.abs(v)).rounding(signed)
            rise = np.max(output - DATA_ROUNDING * rounding, initial=rise)
            some &= (output != 0) & (output <= rounding)
        some &= [row.tobytes() not in known for row in signed]
        found += WorstRows(signed[some], -output[some] / largest_of_rows(signed[some]), found.n)
    return [Maxima(np.array([rise])), found]
