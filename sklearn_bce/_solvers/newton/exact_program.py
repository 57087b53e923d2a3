"""A linear program in exact arithmetic, for few samples whose outputs are a matter of rounding.

Wanted is a v with Av >= 0 and Av not 0. By Stiemke's lemma there is none exactly if some μ > 0 has
μᵀA = 0, or, divided by the least of its entries and with ν = μ − 1, if some ν >= 0 has
Aᵀν = −Aᵀ1. The simplex method minimises the sum of the errors of these equations; where the least
sum is not 0, its multipliers are v.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.root import Matrix

# Steps after which the next variable is the first that may enter, and no longer the one with the
# least reduced cost: Bland's rule, which visits no basis twice. [a choice]
STEPS_BEFORE_BLAND = 60

Line = list[Fraction]


def separating_direction(rows: Matrix) -> Vector | None:
    """Return v with rows·v >= 0, not all of them 0, rounded to float64; None if there is none.

    Parameters
    ----------
    rows : ndarray of shape (n, size), float64
        Rows of A, which are finite.

    References
    ----------
    R. G. Bland, "New Finite Pivoting Rules for the Simplex Method", Mathematics of Operations
    Research 2 (1977).
    """
    n, size = rows.shape
    largest = np.max(np.abs(rows), axis=0, initial=0.0)
    unit = np.exp2(np.frexp(np.where(largest > 0, largest, 1.0))[1])  # division is exact
    exact = [[Fraction(float(entry)) for entry in row] for row in rows / unit]
    targets = [-sum(row[j] for row in exact) for j in range(size)]
    signs = [-1 if target < 0 else 1 for target in targets]
    table = [
        [
            *(signs[j] * row[j] for row in exact),
            *(Fraction(int(i == j)) for i in range(size)),  # errors of the equations
            signs[j] * targets[j],
        ]
        for j in range(size)
    ]
    in_basis = [n + j for j in range(size)]
    cost = [-sum(column) for column in zip(*table, strict=True)]
    cost[n : n + size] = [Fraction(0)] * size
    n_steps = 0
    while cost[-1] != 0:
        falling = [i for i in range(n) if cost[i] < 0]
        if not falling:
            v = [-s * (1 - entry) for s, entry in zip(signs, cost[n : n + size], strict=True)]
            largest_entry = max(map(abs, v))
            return np.array([float(entry / largest_entry) for entry in v]) / unit
        enters = falling[0] if n_steps > STEPS_BEFORE_BLAND else min(falling, key=cost.__getitem__)
        _pivot(table, cost, in_basis, enters)
        n_steps += 1
    return None


def _pivot(table: list[Line], cost: Line, in_basis: list[int], enters: int) -> None:
    """Let a variable enter the basis in place of the one that limits it; changes all arguments."""
    ratios = [
        (line[-1] / line[enters], in_basis[j], j)
        for j, line in enumerate(table)
        if line[enters] > 0
    ]
    leaves = min(ratios)[2]
    by = table[leaves][enters]
    pivot = table[leaves] = [entry / by for entry in table[leaves]]
    in_basis[leaves] = enters
    for line in [*table[:leaves], *table[leaves + 1 :], cost]:
        factor = line[enters]
        if factor:
            line[:] = [a - factor * b for a, b in zip(line, pivot, strict=True)]
