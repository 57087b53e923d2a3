"""Samples that are known not to be separated: those whose outputs no separating direction changes.

Newton's steps on the samples that are kept show which margins grow from step to step, or are large
already; these samples are set aside. The others are known not to be separated among themselves if
Newton's step on them alone raises none of their margins by 1 or more, see `separation`. Each part
of the samples finds again which of its samples are kept, from the steps.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Maxima, Objective
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.root import Matrix, root_of_blocks, row_matrix
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.newton.rank import Basis, RankRevealing, largest_of_rows
from sklearn_bce.chain_rule import binary_cross_entropy, sigmoid

# Largest rise of a margin in Newton's step, times the probability of the sample's class, with which
# samples are not separated. The limit is 1 in exact arithmetic, and rises are near 0 at a minimum.
# [a choice]
CERTAIN_RISE = 0.5
# Newton steps after which all samples but those with 0 < y < 1 are set aside. [a choice]
MAX_STEPS = 16
# Log-odds: the largest margin, on either side, of samples that Newton's step shows not to be
# separated. The multiplier of a sample is then 2e-9 at least, above rounding. [a choice]
SATURATED = 20.0
# Rise of a margin in a Newton step from which on a sample is set aside. Margins of separated
# samples rise by about 1, or by more; others converge. [a choice]
GROWING = 0.5
# Log-odds: least margin of a sample that is set aside, and the number of steps after which it does
# not count: far from the minimum other margins rise as well. [a choice]
GROWN = 4.0
# Newton steps in which GROWN counts. [a choice]
PATIENT_STEPS = 6
# Step lengths that are tried, before 0. [a choice]
STEP_LENGTHS = 0.25 ** np.arange(6.0)
# Log-odds: |z| at which outputs are cut off, so that the root of σ(z)σ(−z) does not underflow.
# [a choice]
LARGEST_OUTPUT = 600.0


class Step(NamedTuple):
    """A Newton step, which sets samples aside.

    Attributes
    ----------
    theta, d : ndarray of shape (size,), float64
        The point and the step.
    least_margin : float
        Margin at the point from which on a sample is set aside if the step raises its margin.
    """

    theta: Vector
    d: Vector
    least_margin: float


class Samples(NamedTuple):
    """The samples that are kept, and those that are set aside.

    Attributes
    ----------
    coordinates : Coordinates
        Coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ; samples with a margin above ``SATURATED`` are set aside.
    steps : tuple of Step
        The steps so far.
    soft_only : bool, default=False
        Whether only samples with 0 < y < 1 are kept.
    """

    coordinates: Coordinates
    theta: Vector
    steps: tuple[Step, ...] = ()
    soft_only: bool = False

    def kept(self, part: InMemoryObjective) -> Iterator[tuple[NDArray[np.intp], Matrix]]:
        """Yield indices and rows Z of the samples of a part that are kept, in blocks."""
        for rows, Z in self._blocks(part):
            kept = self._is_kept(part, rows, Z)
            yield rows[kept], Z[kept]

    def set_aside(self, part: InMemoryObjective) -> Iterator[tuple[Matrix, Vector]]:
        """Yield rows sZ of the samples that are set aside, and their outputs sZθ, in blocks.

        θ is a direction here: the outputs do not contain the offset.
        """
        for rows, Z in self._blocks(part):
            others = ~self._is_kept(part, rows, Z)
            signed = side_of(part.y[rows])[others, None] * Z[others]
            yield signed, signed @ self.theta

    def signed(self, part: InMemoryObjective) -> Iterator[Matrix]:
        """Yield rows sZ of the samples of a part, in blocks; Z and −Z of those with 0 < y < 1."""
        for rows, Z in self._blocks(part):
            side = side_of(part.y[rows])
            soft = Z[side == 0]
            yield np.concatenate([side[side != 0, None] * Z[side != 0], soft, -soft])

    def _is_kept(
        self, part: InMemoryObjective, rows: NDArray[np.intp], Z: Matrix
    ) -> NDArray[np.bool_]:
        """Return which samples of a block are kept."""
        side = side_of(part.y[rows])
        if self.soft_only:
            return side == 0
        kept = side * part.linear_outputs_of(rows, Z, self.theta) <= SATURATED
        for step in self.steps:
            rises = side * (Z @ step.d) >= GROWING
            margin = side * part.linear_outputs_of(rows, Z, step.theta)
            kept &= ~(rises & (margin >= step.least_margin))
        return kept

    def _blocks(self, part: InMemoryObjective) -> Iterator[tuple[NDArray[np.intp], Matrix]]:
        """Yield indices and rows Z of the samples of a part with a weight above 0, in blocks."""
        return row_matrix(part.X, self.coordinates, np.flatnonzero(part.sample_weight > 0))


def is_certain(rise: float, margin: float) -> bool:
    """Return whether samples are not separated, given maxima along Newton's step.

    Parameters
    ----------
    rise : float
        Largest rise of a margin times the probability of the sample's class.
    margin : float
        Largest absolute margin |s·zᵀθ|.
    """
    return bool(rise <= CERTAIN_RISE and margin <= SATURATED)


def side_of(y: Vector) -> Vector:
    """Return the side s of each sample: 1 for y = 1, −1 for y = 0, and 0 for others."""
    return np.where(y == 1, 1.0, np.where(y == 0, -1.0, 0.0))


def find_kept_samples(
    objective: Objective, coordinates: Coordinates, theta: Vector
) -> tuple[Samples, Basis]:
    """Return samples of which those kept are not separated, and the directions for the others.

    The directions are those that change no output of the samples kept.

    Parameters
    ----------
    objective : Objective
        F, without a penalty.
    coordinates : Coordinates
        Coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ at the end of a fit.
    """
    samples = Samples(coordinates, theta)
    for number in range(MAX_STEPS):
        (root,) = objective.sum_over_parts(_root_of_model, samples)
        model = RankRevealing.of(root.R[:, :-1])
        d = model.solve(root.R[:, -1])
        if not np.isfinite(d).all():
            break
        maxima, values = objective.sum_over_parts(_along_step, samples, d)
        *largest, rise, margin = maxima.values
        if is_certain(rise, margin):
            basis = _unchanging(objective, samples, np.array(largest))
            if basis.N.shape[1] < len(theta) - model.rank:
                break  # the step is not known in all directions
            return samples, basis
        theta = samples.theta
        step = Step(theta, d, GROWN if number < PATIENT_STEPS else -np.inf)
        theta = theta + np.append(STEP_LENGTHS, 0.0)[np.argmin(values)] * d
        samples = Samples(coordinates, theta, (*samples.steps, step))
    samples = samples._replace(soft_only=True)
    maxima, _ = objective.sum_over_parts(_along_step, samples, np.zeros(len(theta)))
    return samples, _unchanging(objective, samples, maxima.values[:-2])


def _unchanging(objective: Objective, samples: Samples, largest: Vector) -> Basis:
    """Return the directions that change no output of the samples kept.

    ``largest`` has the largest absolute entry of each column of their rows Z.
    """
    unit = np.where(largest > 0, largest, 1.0)
    (root,) = objective.sum_over_parts(_root_of_rows, samples, unit)
    return RankRevealing.of(root.R).null_space().in_units(unit)


@np.errstate(all="ignore")
def _root_of_model(part: InMemoryObjective, samples: Samples) -> list[Any]:
    """Return the root of the rows [√h·z, r/√h] of the samples kept.

    h = pa(1−a) and r = p(y−a): Newton's step minimises Σ (√h·zᵀd − r/√h)².
    """

    def blocks() -> Iterator[Matrix]:
        for rows, Z in samples.kept(part):
            y, p = part.y[rows], part.normalised_weight[rows]
            z = part.linear_outputs_of(rows, Z, samples.theta)
            z = np.clip(z, -LARGEST_OUTPUT, LARGEST_OUTPUT)
            a, rest = sigmoid(z), sigmoid(-z)
            root = np.sqrt(a * rest)
            target = (y * rest - (1 - y) * a) / root
            yield np.sqrt(p)[:, None] * np.column_stack([root[:, None] * Z, target])

    return [root_of_blocks(blocks(), len(samples.theta) + 1)]


@np.errstate(all="ignore")
def _along_step(part: InMemoryObjective, samples: Samples, d: Vector) -> list[Any]:
    """Return maxima over the samples kept, and the sums of their losses along a step.

    The maxima are those of each column of |Z|, and the arguments of `is_certain`; the sums are for
    the step lengths that are tried, and for 0.
    """
    largest, values = np.zeros(len(d) + 2), np.zeros(len(STEP_LENGTHS) + 1)
    for rows, Z in samples.kept(part):
        y, p = part.y[rows], part.normalised_weight[rows]
        z, dz, side = part.linear_outputs_of(rows, Z, samples.theta), Z @ d, side_of(y)
        rise = sigmoid(side * z) * side * dz
        columns = np.column_stack([np.abs(Z), rise, np.abs(side * z)])
        largest = np.maximum(largest, np.max(columns, axis=0, initial=0.0))
        values += [p @ binary_cross_entropy(y, z + t * dz) for t in (*STEP_LENGTHS, 0.0)]
    return [Maxima(largest), values]


@np.errstate(all="ignore")
def _root_of_rows(part: InMemoryObjective, samples: Samples, unit: Vector) -> list[Any]:
    """Return the root of the rows Z of the samples kept, in units, each divided by its largest."""

    def blocks() -> Iterator[Matrix]:
        for _, Z in samples.kept(part):
            Z = Z / unit
            yield Z / largest_of_rows(Z)[:, None]

    return [root_of_blocks(blocks(), len(unit))]
