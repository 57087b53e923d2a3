"""Whether the classes are separated, so that F has no minimum without a penalty.

A direction v of θ separates the classes if it moves no linear output zᵢᵀv to the wrong side, and
some to the right side: with the side sᵢ = 1 of a sample with y = 1, and −1 for y = 0, the margins
sᵢzᵢᵀθ fall nowhere and rise somewhere; for a sample with 0 < y < 1 the output does not change. F
then decreases towards its infimum as θ grows along v. By Stiemke's lemma there is no such v if and
only if there are multipliers μᵢ > 0 with Σ μᵢsᵢzᵢ = 0. At a minimum of F these are the slopes
μᵢ = pᵢ|aᵢ − yᵢ|. Near it, Newton's step d with Hd = −g gives μᵢ = pᵢ|aᵢ − yᵢ|(1 − qᵢsᵢzᵢᵀd), with
the probability qᵢ of the class of the sample. So the question is answered in four steps:

1. If no qᵢsᵢzᵢᵀd is 1 or more, the classes are not separated. That is the end for most fits. Random
   samples are enough if their rows span all directions: a separating direction changes no output
   of samples that are not separated.
2. A feature may separate the classes alone, see `separated_alone`.
3. Newton's steps find samples that are not separated among themselves, see `kept_samples`. A
   separating direction changes none of their outputs.
4. In the directions that change none of their outputs, a linear program finds one that separates
   the other samples, or that there is none, see `separating_direction`.

All are sums over parts of the samples. With an offset, margins and probabilities at a point contain
the offset, and their changes along a direction do not: whether the classes are separated does not
depend on the offset.

References
----------
A. Albert and J. A. Anderson, "On the Existence of Maximum Likelihood Estimates in Logistic
Regression Models", Biometrika 71 (1984).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg.lapack import dpstrf
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Maxima, Objective
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.root import Matrix
from sklearn_bce._objective.rows import row_blocks
from sklearn_bce._objective.scaling import Coordinates, Moments
from sklearn_bce._objective.triangular import solve_triangular
from sklearn_bce._solvers.newton.cost import CostModel
from sklearn_bce._solvers.newton.kept_samples import (
    find_kept_samples,
    is_certain,
    side_of,
)
from sklearn_bce._solvers.newton.proximal import direction_rule
from sklearn_bce._solvers.newton.rank import ROUNDING
from sklearn_bce._solvers.newton.separated_alone import separating_features
from sklearn_bce._solvers.newton.separating_direction import Separating, find_separating
from sklearn_bce._solvers.newton.signed_direction import within_bounds
from sklearn_bce.chain_rule import sigmoid

# Coordinates of θ above which steps 1, 3 and 4 are left out, as they take too long: the separating
# direction must then be that of one feature, θ, or one of Newton's steps. [a choice]
MAX_SIZE = 1000
# Rows of each part from which the units of columns are estimated. [a choice]
ROWS_FOR_UNITS = 64
# Rows of all parts from which the units of columns are estimated, at most. [a choice]
MAX_ROWS_FOR_UNITS = 512
# Pivot of H, in units in which its diagonal is 1, up to which a column depends on others: Newton's
# step has 7 digits in the other columns. [a choice]
WELL_CONDITIONED = 1e-9
# Error of the equation of a column, in the same units, up to which it is solved but for rounding.
# Columns that differ by 1e-10 and more leave a larger one. [a choice]
SOLVED = 1e-13
# Mean square of a column, with the curvature as weights, above which outliers dominate it, so that
# H does not show the other samples. [a choice]
DOMINATED = 1e6
# Random samples from which separation is ruled out, for each entry of θ. [a choice]
ROWS_PER_COORDINATE = 40
# Least ratio of the number of samples to that of random samples that are tried first. [a choice]
WORTH_A_SAMPLE = 4
# Newton steps on random samples from the minimum on all samples. [a choice]
SAMPLE_STEPS = 5
# Newton steps in which a direction is looked for if θ has more than MAX_SIZE entries. [a choice]
MAX_STEPS = 10
# Share of the largest change of an output by which one of Newton's steps may change an output to
# the wrong side: a step is solved to some digits only. [a choice]
STEP_ROUNDING = 1e-6


@dataclass(frozen=True, eq=False)
class SomeRows:
    """Some rows of the samples, float64; those of two sets of samples can be added."""

    rows: Matrix

    def __add__(self, other: SomeRows) -> SomeRows:
        """Return rows of both sets, at most ``MAX_ROWS_FOR_UNITS``."""
        rows = np.concatenate([self.rows, other.rows])
        return SomeRows(rows[:: -(-len(rows) // MAX_ROWS_FOR_UNITS) or 1])


@np.errstate(all="ignore")
def direction_of_separation(objective: Objective, w: Vector, b: float) -> Vector | None:
    """Return a direction of the weights along which F decreases without end.

    For many samples, random ones usually tell that there is no such direction; otherwise two or
    three passes do.

    Parameters
    ----------
    objective : Objective
        F, in the user's units, without penalty strengths; weights may have one bound each.
    w : ndarray of shape (n_features,), float64
        Weights at the end of a fit.
    b : float
        Intercept at the end of a fit.

    Returns
    -------
    direction : ndarray of shape (n_features,), float64, or None
        Direction in units in which the standard deviation of every column is 1; 0 for a constant
        column. None if there is no such direction.
    """
    size = objective.coordinates.size
    is_small = size <= MAX_SIZE and bool(np.isfinite(CostModel.of(objective).factor))
    if is_small and _sample_is_certain(objective, w, b):
        return None
    if is_small:
        coordinates = _robust_coordinates(objective)
    else:
        coordinates = objective.standardised().coordinates
    problem, theta = objective.in_coordinates(coordinates), coordinates.from_user(w, b)
    if is_small and _is_certain(problem, theta, n_steps=1):
        return None
    alone = separating_features(objective).sign
    if alone.any():
        return alone
    found = _found(objective, problem, theta, is_small)
    if found is not None and objective.penalty.has_bounds:
        found = within_bounds(problem, found)
    if found is None:
        return None
    (moments,) = objective.sum_over_parts(_moments)
    varies = np.zeros(coordinates.size)
    varies[: len(w)] = moments.deviation > 0
    w, _ = coordinates.to_user(found.simplest(varies))
    return w * moments.deviation


def _found(
    objective: Objective, problem: Objective, theta: Vector, is_small: bool
) -> Separating | None:
    """Return a direction of θ that separates the classes; None if there is none.

    ``problem`` is the objective in the coordinates of θ.
    """
    if _separates(problem, theta):
        return Separating(theta, np.zeros((len(theta), 0)))
    if not is_small:
        return _among_steps(problem, theta)
    return find_separating(objective, *find_kept_samples(objective, problem.coordinates, theta))


def _sample_is_certain(objective: Objective, w: Vector, b: float) -> bool:
    """Return whether random samples show that the classes are not separated.

    If some samples are not separated and their rows span all directions, all are not separated.
    False if that is not so, or there are too few samples for it to save time.
    """
    n_rows = ROWS_PER_COORDINATE * objective.coordinates.size
    if objective.n_samples < WORTH_A_SAMPLE * n_rows:
        return False
    sample = objective.subsample(n_rows, np.random.RandomState(0))
    if sample is None:
        return False
    coordinates = _robust_coordinates(sample)
    problem, theta = sample.in_coordinates(coordinates), coordinates.from_user(w, b)
    if _is_certain(problem, theta, SAMPLE_STEPS, must_span=True):
        return True
    _, basis = find_kept_samples(sample, coordinates, theta)
    return not basis.N.shape[1]


def _robust_coordinates(objective: Objective) -> Coordinates:
    """Return coordinates with the median of some rows as shift, and units that no outlier decides.

    The unit of a column is the third quartile of the distance from the shift, or else the largest
    distance; a power of 2, so that division is exact.
    """
    (some,) = objective.sum_over_parts(_some_rows)
    rows, n = some.rows, len(some.rows)
    fit_intercept = objective.coordinates.fit_intercept
    shift = np.sort(rows, axis=0)[n // 2] if fit_intercept else np.zeros(rows.shape[1])
    distance = np.sort(np.abs(rows - shift), axis=0)
    unit = np.where(distance[3 * n // 4] > 0, distance[3 * n // 4], distance[-1])
    unit = np.where(np.isfinite(unit) & (unit > np.finfo(np.float64).tiny), unit, 1.0)
    return Coordinates(shift, np.exp2(np.rint(np.log2(unit))), fit_intercept)


@np.errstate(all="ignore")
def _some_rows(part: InMemoryObjective) -> list[Any]:
    """Return some rows of a part that have a weight, at equal distances."""
    weighted = np.flatnonzero(part.sample_weight > 0)
    rows = part.X[weighted[:: -(-len(weighted) // ROWS_FOR_UNITS) or 1]]
    rows = rows.toarray() if issparse(rows) else rows
    return [SomeRows(rows.astype(np.float64))]


def _is_certain(problem: Objective, theta: Vector, n_steps: int, must_span: bool = False) -> bool:
    """Return whether one of Newton's steps from θ on shows that the classes are not separated.

    False if a step is not precise enough or, if ``must_span``, the rows do not span all directions.
    """
    for _ in range(n_steps):
        d = _precise_step(problem, theta, must_span)
        if d is None:
            return False
        (maxima,) = problem.sum_over_parts(_along_step, theta, d)
        if is_certain(*maxima.values):
            return True
        theta = theta + d
    return False


def _precise_step(problem: Objective, theta: Vector, must_span: bool) -> Vector | None:
    """Return a Newton step from θ; None if it is not precise, or outliers dominate H.

    Columns that depend on others are left out, if the step solves their equations all the same, and
    the rows need not span all directions.
    """
    point = problem.evaluate(theta, hessian=True)
    diagonal = point.hessian.diagonal()
    if not np.all(diagonal <= DOMINATED * problem.total_curvature(point)):
        return None
    unit = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    H, g = point.hessian / np.outer(unit, unit), point.gradient / unit
    factor, order, rank, _ = dpstrf(H, tol=WELL_CONDITIONED, lower=0)
    if not rank or (must_span and rank < len(g)):
        return None
    kept, R = order[:rank] - 1, np.triu(factor[:rank, :rank])
    d = np.zeros_like(g)
    d[kept] = solve_triangular(R, solve_triangular(R, -g[kept], trans="T"))
    if not np.max(np.abs(H @ d + g), initial=0.0) <= SOLVED:
        return None
    return d / unit


@np.errstate(all="ignore")
def _along_step(part: InMemoryObjective, theta: Vector, d: Vector) -> list[Any]:
    """Return the arguments of `is_certain` over the samples of a part."""
    side = side_of(part.y) * (part.sample_weight > 0)
    margin = side * part.linear_outputs(theta)
    rise = sigmoid(margin) * side * part.outputs(d)
    return [Maxima(np.max([rise, np.abs(margin)], axis=1, initial=0.0))]


def _separates(problem: Objective, v: Vector, tolerance: float = 0.0) -> bool:
    """Return whether a direction separates the classes, as far as rounding allows to tell.

    ``tolerance`` is the fraction of the largest change of an output by which others may be wrong.
    """
    (maxima,) = problem.sum_over_parts(_changes, v)
    right, wrong = maxima.values
    return bool(right > 0 and wrong <= tolerance * right)


@np.errstate(all="ignore")
def _changes(part: InMemoryObjective, v: Vector) -> list[Any]:
    """Return the largest change of an output along v to the right and to the wrong side.

    A change is to the right side if it is so for certain, and to the wrong side if it may be.
    """
    w, b = part.coordinates.to_user(v)
    change, size = part.outputs(v), np.full(part.n_samples, abs(b))
    for rows in row_blocks(part.X):
        size[rows] += abs(part.X[rows]) @ np.abs(w)
    side, rounding = side_of(part.y), ROUNDING * size
    right = side * change - rounding
    wrong = np.where(side == 0, np.abs(change), -side * change) + rounding
    weighted = part.sample_weight > 0
    return [Maxima(np.max([right[weighted], wrong[weighted]], axis=1, initial=-np.inf))]


def _among_steps(problem: Objective, theta: Vector) -> Separating | None:
    """Return a Newton step from θ on, if it separates the classes; None if none does.

    With an offset the steps are those of F without the offset, from 0 on: whether classes are
    separated does not depend on the offset, and F with it may lead along no separating direction.
    """
    if problem.has_offset:
        problem, theta = problem.without_offset(), np.zeros_like(theta)
    direction = direction_rule(problem, tol=0.0)
    for _ in range(MAX_STEPS):
        d = direction.at(problem.evaluate(theta, hessian=direction.wants().hessian))
        if _separates(problem, d.vector, STEP_ROUNDING):
            return Separating(d.vector, np.zeros((len(theta), 0)))
        theta = theta + d.vector
    return None


@np.errstate(all="ignore")
def _moments(part: InMemoryObjective) -> list[Any]:
    """Return the moments of the columns of a part, about their means."""
    return [Moments.of(part.X, part.sample_weight, fit_intercept=True)]
