"""Whether the classes are separated, by a linear program in exact arithmetic."""

from fractions import Fraction

import numpy as np


def rows_of_classes(X, y, weight, fit_intercept):
    """Return the rows sz with weight, divided by their largest entry; both signs if 0 < y < 1."""
    Z = np.column_stack([X, np.ones(len(X))]) if fit_intercept else X
    Z, y = Z[weight > 0], y[weight > 0]
    rows = np.concatenate([Z[y > 0], -Z[y < 1]])
    rows = [[Fraction(float(entry)) for entry in row] for row in rows if np.any(row)]
    largest = [max(abs(entry) for entry in row) for row in rows]
    scaled = [tuple(entry / by for entry in row) for row, by in zip(rows, largest, strict=True)]
    return [list(row) for row in dict.fromkeys(scaled)]


def exactly_separated(X, y, weight, fit_intercept):
    """Return whether there are no μ > 0 with Σ μsz = 0, by the simplex method on fractions.

    With ν = μ − 1 and any scale of μ that is a system Σ νsz = −Σ sz with ν >= 0. The sum of its
    errors is minimised, by Bland's rule after a number of pivots, so that the method ends.
    """
    rows = rows_of_classes(X, y, weight, fit_intercept)
    n, size = len(rows), len(rows[0])
    table = [[row[j] for row in rows] + [-sum(row[j] for row in rows)] for j in range(size)]
    table = [[-entry for entry in line] if line[-1] < 0 else line for line in table]
    basis = [n + j for j in range(size)]
    cost = [-sum(column) for column in zip(*table, strict=True)]
    n_pivots = 0
    while cost[-1] != 0:
        falling = [i for i in range(n) if cost[i] < 0]
        if not falling:
            return True
        enters = falling[0] if n_pivots > 60 else min(falling, key=cost.__getitem__)
        ratios = [
            (line[-1] / line[enters], basis[j], j)
            for j, line in enumerate(table)
            if line[enters] > 0
        ]
        pivot = min(ratios)[2]
        by = table[pivot][enters]
        table[pivot] = [entry / by for entry in table[pivot]]
        basis[pivot] = enters
        eliminate = [line for j, line in enumerate(table) if j != pivot] + [cost]
        for line in eliminate:
            by = line[enters]
            if by:
                line[:] = [a - by * b for a, b in zip(line, table[pivot], strict=True)]
        n_pivots += 1
    return False
