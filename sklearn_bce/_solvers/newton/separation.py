"""Whether the classes are separated, so that F has no minimum without a penalty.

A direction v of θ separates the classes if it changes the output zᵢᵀv of no sample to the wrong
side and of some samples to the right side: with sᵢ = 1 for y = 1 and −1 for y = 0, sᵢzᵢᵀv >= 0 for
all and not 0 for all; for a sample with 0 < y < 1, zᵢᵀv = 0. F then falls without end along v. By
Stiemke's lemma there is no such v if and only if there are multipliers μᵢ > 0 with Σ μᵢsᵢzᵢ = 0. At
the minimum of F these are μᵢ = pᵢ|aᵢ − yᵢ|; near the minimum Newton's step d, with Hd = −g, gives
μᵢ = pᵢ|aᵢ − yᵢ|(1 − qᵢsᵢzᵢᵀd), with the probability qᵢ of the class of the sample. So:

1. There is no separation if no qᵢsᵢzᵢᵀd is 1 or more, see `_is_certain`. That ends most fits.
2. Otherwise Newton's steps are taken, and samples whose margins sᵢzᵢ grow from step to step, or
   are large, are set aside, until the others, the kept samples, are known by their own step not to
   be separated, see `_kept_samples`. A separating direction does not change their outputs.
3. In the directions that change no output of the kept samples, a linear program finds one that
   separates the samples set aside, or that there is none, see `_separating`.

All are sums over parts of the samples. A direction is accepted if the output of each sample is on
the right side, up to the rounding of that output.

References
----------
A. Albert and J. A. Anderson, "On the Existence of Maximum Likelihood Estimates in Logistic
Regression Models", Biometrika 71 (1984).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular
from scipy.linalg.lapack import dpocon, dpotrf, dpotrs
from scipy.optimize import linprog
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.root import TriangularRoot, root_of_blocks
from sklearn_bce._objective.rows import BLOCK_ELEMENTS
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.newton.proximal import direction_rule
from sklearn_bce.chain_rule import binary_cross_entropy, sigmoid

Matrix = NDArray[np.float64]

EPS = np.finfo(np.float64).eps

LARGE_MARGIN = 2.0
MAX_SIZE = 2000
ROWS_FOR_UNITS = 64
WELL_CONDITIONED = 1e-9
CERTAIN_RISE = 0.9
ROUNDS = 16
SATURATED = 20.0
GROWING = 0.5
GROWN = 4.0
PATIENT_ROUNDS = 6
HALVINGS = 10
RANK = 32 * EPS
ROUNDING = 32 * EPS
TAME = 1e6
CORRECTIONS = 5
WELL_CONDITIONED_BASIS = 100.0
PROGRAM_ROWS = 100
TIGHT = 1e-6


# ----- records that can be added ------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Maxima:
    """The largest of some numbers over all samples."""

    values: Vector

    def __add__(self, other: Maxima) -> Maxima:
        return Maxima(np.maximum(self.values, other.values))


@dataclass(frozen=True, eq=False)
class SomeRows:
    """Some rows of X, from each part."""

    rows: Matrix

    def __add__(self, other: SomeRows) -> SomeRows:
        rows = np.concatenate([self.rows, other.rows])
        return SomeRows(rows[:: 1 + len(rows) // (8 * ROWS_FOR_UNITS)])


@dataclass(frozen=True, eq=False)
class WorstRows:
    """Rows with the largest violations."""

    rows: Matrix
    violation: Vector
    n: int

    def __add__(self, other: WorstRows) -> WorstRows:
        return worst_rows(
            np.concatenate([self.rows, other.rows]),
            np.concatenate([self.violation, other.violation]),
            self.n,
        )


def worst_rows(rows: Matrix, violation: Vector, n: int) -> WorstRows:
    worst = np.argsort(-violation, kind="stable")[:n]
    return WorstRows(rows[worst], violation[worst], n)


# ----- the question -------------------------------------------------------------------------------


@np.errstate(all="ignore")
def direction_of_separation(objective: Objective, w: Vector, b: float) -> Vector | None:
    theta = objective.coordinates.from_user(w, b)
    maxima, some = objective.sum_over_parts(_first_look, theta)
    largest_margin, least_curvature = maxima.values[0], np.exp(-maxima.values[1])
    if not largest_margin > LARGE_MARGIN:
        return None
    if objective.coordinates.size > MAX_SIZE:
        return _direction_of_steps(objective, w, b)
    coordinates = _robust_coordinates(some.rows, objective.coordinates.fit_intercept)
    theta = coordinates.from_user(w, b)
    if _is_certain(objective, coordinates, theta, least_curvature):
        return None
    v = _separating(objective, *_kept_samples(objective, coordinates, theta))
    if v is None:
        return None
    w, b = coordinates.to_user(v)
    (deviation,) = objective.sum_over_parts(_spread, coordinates)
    w = coordinates.scale * w * np.sqrt(deviation)
    return w


@np.errstate(all="ignore")
def _spread(part, coordinates):
    total = np.zeros(len(coordinates.shift))
    for rows, Z in _blocks(part, coordinates):
        total += part.normalised_weight[rows] @ np.square(Z[:, : len(total)])
    return [total]


@np.errstate(all="ignore")
def _first_look(part: InMemoryObjective, theta: Vector) -> list[Any]:
    z = part.outputs(theta)
    weighted = part.sample_weight > 0
    margin = _side(part.y) * z
    a = sigmoid(-np.abs(z))
    curvature = part.normalised_weight * a * (1 - a)
    least = -np.log(np.min(curvature[weighted], initial=1.0))
    largest = np.max(margin[weighted], initial=0.0)
    chosen = np.flatnonzero(weighted)
    chosen = chosen[:: 1 + len(chosen) // ROWS_FOR_UNITS]
    if part.coordinates.size > MAX_SIZE:
        chosen = chosen[:0]
    rows = part.X[chosen]
    rows = rows.toarray() if issparse(rows) else rows
    return [Maxima(np.array([largest, least])), SomeRows(rows.astype(np.float64))]


def _side(y: Vector) -> Vector:
    return np.where(y == 1, 1.0, np.where(y == 0, -1.0, 0.0))


def _robust_coordinates(rows: Matrix, fit_intercept: bool) -> Coordinates:
    middle = np.sort(rows, axis=0)[len(rows) // 2]
    shift = middle if fit_intercept else np.zeros(rows.shape[1])
    distance = np.sort(np.abs(rows - shift), axis=0)
    scale = distance[(3 * len(rows)) // 4]
    scale = np.where(scale > 0, scale, distance[-1])
    usable = np.isfinite(scale) & (scale > np.finfo(np.float64).tiny)
    return Coordinates(shift, np.exp2(np.rint(np.log2(np.where(usable, scale, 1.0)))), fit_intercept)


def _is_certain(objective, coordinates, theta, least_curvature) -> bool:
    problem = objective.in_coordinates(coordinates)
    point = problem.evaluate(theta, hessian=True)
    diagonal = point.hessian.diagonal()
    if not np.all(diagonal <= TAME * problem.total_curvature(point)):
        return False
    unit = np.sqrt(diagonal)
    factor, failed = dpotrf(point.hessian / np.outer(unit, unit), lower=True)
    if failed or not np.isfinite(factor).all():
        return False
    reciprocal, _ = dpocon(factor, 1.0, uplo="L")
    if not reciprocal * 1.0 > WELL_CONDITIONED:
        return False
    d = dpotrs(factor, -point.gradient / unit, lower=True)[0] / unit
    if not np.isfinite(d).all():
        return False
    decrement = float(-point.gradient @ d)
    if decrement <= CERTAIN_RISE**2 * least_curvature:
        return True
    (rise,) = problem.sum_over_parts(_largest_rise, theta, d)
    return bool(rise.values[0] <= CERTAIN_RISE)


@np.errstate(all="ignore")
def _largest_rise(part: InMemoryObjective, theta: Vector, d: Vector) -> list[Any]:
    side = _side(part.y) * (part.sample_weight > 0)
    q = sigmoid(side * part.outputs(theta))
    return [Maxima(np.array([np.max(q * side * part.outputs(d), initial=0.0)]))]


# ----- rows ---------------------------------------------------------------------------------------


def _blocks(part: InMemoryObjective, coordinates: Coordinates) -> Iterator[tuple[Any, Matrix]]:
    """Yield rows with weight, and Z."""
    n_features = len(coordinates.shift)
    weighted = np.flatnonzero(part.sample_weight > 0)
    length = max(1, BLOCK_ELEMENTS // coordinates.size)
    for start in range(0, len(weighted), length):
        rows = weighted[start : start + length]
        X = part.X[rows]
        Z = np.ones((len(rows), coordinates.size))
        np.subtract(X.toarray() if issparse(X) else X, coordinates.shift, out=Z[:, :n_features])
        Z[:, :n_features] /= coordinates.scale
        yield rows, Z


class Split(NamedTuple):
    theta: Vector
    d: Vector
    margin: float


class Kept(NamedTuple):
    coordinates: Coordinates
    theta: Vector
    splits: tuple[Split, ...]
    none: bool = False

    def blocks(self, part: InMemoryObjective, kept: bool = True):
        """Yield rows of the samples kept, or of the others, and their Z."""
        for rows, Z in _blocks(part, self.coordinates):
            side = _side(part.y[rows])
            inside = side * (Z @ self.theta) <= SATURATED
            for split in self.splits:
                grown = side * (Z @ split.theta) >= split.margin
                inside &= ~(grown & (side * (Z @ split.d) >= GROWING))
            if self.none:
                inside = side == 0
            chosen = inside if kept else ~inside
            yield rows[chosen], Z[chosen]


def _kept_samples(objective, coordinates, theta) -> tuple[Kept, Basis]:
    """Return the kept samples and the directions that do not change their outputs."""
    kept = Kept(coordinates, theta, ())
    for number in range(ROUNDS):
        (root,) = objective.sum_over_parts(_root_of_model, kept)
        triangle = Triangle.of(root.R[:, :-1])
        d = triangle.solve(root.R[:, -1])
        if not np.isfinite(d).all():
            break
        maxima, values = objective.sum_over_parts(_along, kept, d)
        if maxima.values[-1] <= CERTAIN_RISE:
            basis = _basis(objective, kept, maxima.values[:-1])
            if basis.N.shape[1] < len(theta) - triangle.rank:
                break
            return kept, basis
        t = _steps()[np.argmin(values)]
        split = Split(kept.theta, d, GROWN if number < PATIENT_ROUNDS else -np.inf)
        kept = Kept(coordinates, kept.theta + t * d, (*kept.splits, split))
    kept = kept._replace(none=True)
    maxima, _ = objective.sum_over_parts(_along, kept, np.zeros(len(theta)))
    return kept, _basis(objective, kept, maxima.values[:-1])


def _basis(objective, kept, largest) -> Basis:
    unit = np.where(largest > 0, largest, 1.0)
    (root,) = objective.sum_over_parts(_root_of_rows, kept, unit)
    return Triangle.of(root.R).null_space().scaled(unit)


def _steps() -> Vector:
    return np.append(np.exp2(-np.arange(HALVINGS + 1.0)), 0.0)


@np.errstate(all="ignore")
def _root_of_model(part: InMemoryObjective, kept: Kept) -> list[Any]:
    def blocks():
        for rows, Z in kept.blocks(part):
            y, p = part.y[rows], part.normalised_weight[rows]
            z = np.clip(Z @ kept.theta, -600, 600)
            a, b = sigmoid(z), sigmoid(-z)
            slope = y * b - (1 - y) * a
            root = np.sqrt(a * b)
            target = np.sqrt(p) * slope / root
            yield np.column_stack([(np.sqrt(p) * root)[:, None] * Z, target])

    return [root_of_blocks(blocks(), len(kept.theta) + 1)]


@np.errstate(all="ignore")
def _along(part: InMemoryObjective, kept: Kept, d: Vector) -> list[Any]:
    largest, values, columns = 0.0, np.zeros(HALVINGS + 2), np.zeros(len(d))
    for rows, Z in kept.blocks(part):
        y, p = part.y[rows], part.normalised_weight[rows]
        z, dz, side = Z @ kept.theta, Z @ d, _side(y)
        largest = np.max(sigmoid(side * z) * side * dz, initial=largest)
        values += [p @ binary_cross_entropy(y, z + t * dz) for t in _steps()]
        columns = np.maximum(columns, np.max(np.abs(Z), axis=0, initial=0.0))
    return [Maxima(np.append(columns, largest)), values]


class Triangle(NamedTuple):
    """Rank-revealing factorisation."""

    R: Matrix
    Q: Matrix
    order: NDArray[np.intp]
    unit: Vector
    rank: int

    @classmethod
    def of(cls, A: Matrix) -> Triangle:
        size = A.shape[1]
        unit = np.sqrt(np.sum(np.square(A), axis=0))
        unit = np.where(unit > 0, unit, 1.0)
        if not len(A) or not size:
            return cls(A, np.zeros((len(A), 0)), np.arange(size), unit, 0)
        Q, R, order = qr(A / unit, mode="economic", pivoting=True)
        rank = int(np.sum(np.abs(R.diagonal()) > RANK * np.sqrt(size)))
        return cls(R, Q, order, unit, rank)

    def solve(self, target: Vector) -> Vector:
        d = np.zeros(len(self.unit))
        k = self.rank
        if k:
            d[self.order[:k]] = solve_triangular(self.R[:k, :k], (self.Q.T @ target)[:k])
        return d / self.unit

    def independent(self, basis: Basis) -> Basis:
        """Return N without dependent columns, and whitened if the others are ill-conditioned."""
        k = self.rank
        T = np.zeros((len(self.unit), k))
        T[self.order[:k], np.arange(k)] = 1 / self.unit[self.order[:k]]
        R = self.R[:k, :k]
        if np.linalg.cond(R) > WELL_CONDITIONED_BASIS:
            T = solve_triangular(R, T.T, trans="T").T
        return basis.times(T)

    def null_space(self) -> Basis:
        size, k = len(self.unit), self.rank
        N, E = np.zeros((2, size, size - k))
        N[self.order[k:], np.arange(size - k)] = 1.0
        E += N
        if k:
            inverse = solve_triangular(self.R[:k, :k], np.eye(k))
            dependent = -inverse @ self.R[:k, k:]
            N[self.order[:k]] = dependent
            total = np.sum(np.abs(dependent), axis=0)
            error = np.sum(np.abs(inverse), axis=1)[:, None] * (total + np.any(dependent, axis=0))
            E[self.order[:k]] = error
        return Basis(N / self.unit[:, None], E / self.unit[:, None])


class Basis(NamedTuple):
    """Directions, and bounds of their rounding errors divided by ROUNDING."""

    N: Matrix
    E: Matrix

    def times(self, T: Matrix) -> Basis:
        return Basis(self.N @ T, self.E @ np.abs(T))

    def scaled(self, unit: Vector) -> Basis:
        basis = Basis(self.N / unit[:, None], self.E / unit[:, None])
        return basis.times(np.diag(1 / np.max(np.abs(basis.N), axis=0)))

    def combined(self, t: Vector) -> tuple[Vector, Vector]:
        return self.N @ t, self.E @ np.abs(t)


# ----- the linear program -------------------------------------------------------------------------


def _separating(objective: Objective, kept: Kept, basis: Basis) -> Vector | None:
    theta = kept.theta
    candidates = [(theta, np.abs(theta))] if basis.N.shape[1] == len(theta) else []
    while basis.N.shape[1]:
        k = basis.N.shape[1]
        (root,) = objective.sum_over_parts(_root_of_others, kept, basis)
        triangle = Triangle.of(root.R[:, :k])
        if not triangle.rank:
            return None
        candidates += [basis.combined(triangle.solve(target)) for target in root.R[:, k:].T]
        basis = triangle.independent(basis)
        v, S = _search(objective, kept, basis, candidates)
        if v is not None or S is None:
            return v
        basis = basis.times(Triangle.of(_in_basis(S, basis)[0]).null_space().N)
        candidates = []
    return None


def _search(objective, kept, basis, candidates):
    """Return v, None, or None, rows forced to 0, or None, None."""
    size, k = basis.N.shape
    S = np.zeros((0, size))
    while True:
        from_program = not candidates
        found = _program(S, basis) if from_program else candidates.pop(0)
        if found is None:
            return None, S
        strict, worst = objective.sum_over_parts(_check, kept, basis, *found, max(PROGRAM_ROWS, 2 * k))
        if not np.any(worst.violation > 0) and strict.values[0] > 0:
            return found[0], None
        longer = np.unique(np.concatenate([S, worst.rows]), axis=0)
        if from_program and len(longer) == len(S):
            if DEBUG: print("STUCK", len(S), basis.N.shape, worst.violation[:5])
            return None, None
        S = longer
DEBUG=0


@np.errstate(all="ignore")
def _root_of_rows(part: InMemoryObjective, kept: Kept, unit: Vector) -> list[Any]:
    def blocks():
        for _, Z in kept.blocks(part):
            Z /= unit
            yield Z / _largest(Z)

    return [root_of_blocks(blocks(), len(unit))]


def _largest(A: Matrix) -> Matrix:
    """Return the largest absolute entry of each row, 1 for a row of zeros; shape (n, 1)."""
    largest = np.max(np.abs(A), axis=1, keepdims=True)
    return np.where(largest > 0, largest, 1.0)


def _in_basis(rows: Matrix, basis: Basis) -> tuple[Matrix, Matrix]:
    """Return rows·N, entries that are rounding set to 0, divided by the largest; and the divisor."""
    A = rows @ basis.N
    A[np.abs(A) <= ROUNDING * (np.abs(rows) @ basis.E)] = 0.0
    largest = _largest(A)
    return A / largest, largest


@np.errstate(all="ignore")
def _root_of_others(part: InMemoryObjective, kept: Kept, basis: Basis) -> list[Any]:
    """Return the root of [A, margins, 1]."""

    def blocks():
        for rows, Z in kept.blocks(part, kept=False):
            side = _side(part.y[rows])[:, None]
            A, largest = _in_basis(side * Z, basis)
            inside = np.any(A != 0, axis=1)
            margin = side * (Z @ kept.theta)[:, None] / largest
            yield np.column_stack([A, margin, np.ones(len(A))])[inside]

    return [root_of_blocks(blocks(), basis.N.shape[1] + 2)]


@np.errstate(all="ignore")
def _check(
    part: InMemoryObjective, kept: Kept, basis: Basis, v: Vector, size: Vector, n: int
) -> list[Any]:
    strict, worst = 0.0, worst_rows(np.zeros((0, len(v))), np.zeros(0), n)
    for rows, Z in kept.blocks(part, kept=False):
        signed = _side(part.y[rows])[:, None] * Z
        A, largest = _in_basis(signed, basis)
        inside = np.any(A != 0, axis=1)
        signed, largest = signed[inside], largest[inside, 0]
        m, tolerance = signed @ v, ROUNDING * (np.abs(signed) @ size)
        strict = np.max(m - tolerance, initial=strict)
        # the violation of a row that is on the right side is negative
        worst += worst_rows(signed, (-m - tolerance) / largest, n)
    return [Maxima(np.array([strict])), worst]


def _program(S: Matrix, basis: Basis) -> tuple[Vector, Vector] | None:
    A, largest = _in_basis(S, basis)
    inside = np.any(A != 0, axis=1)
    A, S, largest = A[inside], S[inside], largest[inside, 0]
    program = linprog(
        -A.sum(axis=0),
        A_ub=np.concatenate([-A, A]),
        b_ub=np.repeat([0.0, 1.0], len(A)),
        bounds=(None, None),
        method="highs-ds",
    )
    if program.x is None or -program.fun < 0.5:
        return None
    t = program.x
    target, tight = np.zeros(len(A)), A @ t < TIGHT
    for _ in range(CORRECTIONS):
        if np.any(tight):
            t = t + np.linalg.lstsq(A[tight], (target - A @ t)[tight], rcond=None)[0]
        m = A @ t
        violated = m < -ROUNDING * (np.abs(S) @ basis.combined(t)[1]) / largest
        if not np.any(violated):
            break
        tight |= violated
        target = np.where(violated, target - m, target)
    return basis.combined(t)


def _direction_of_steps(objective, w, b):
    return None
