"""Whether columns depend on each other exactly, or only up to the rounding of their values.

A full one-hot encoding depends on the intercept exactly: the outputs of the samples cannot tell the
weights apart. Fractions that sum to 1, or a temperature in two units, depend on each other but for
rounding, and weights of 1e16 can make a feature of these roundings. Floating-point arithmetic with
errors of 1e-16 cannot tell the two cases apart. Here residuals are computed with errors of 1e-32,
as the unevaluated sums of two numbers.

References
----------
T. J. Dekker, "A Floating-Point Technique for Extending the Available Precision", Numerische
Mathematik 18 (1971). N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd edition,
2002, chapter 12 (iterative refinement).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr

from sklearn_bce._objective.triangular import solve_triangular

Array = NDArray[np.float64]

# Residual, as a fraction of the terms of its row, up to which a column depends on others exactly.
# Rounded values differ by 1e-17 and more, exact dependence leaves the 1e-32 of the arithmetic.
EXACT_RESIDUAL = 1e-25
# Most steps of iterative refinement. A step gains the digits that the condition of the columns
# leaves of the 16 of float64, here at least 1.6 for the 25 that are needed. [a choice]
REFINEMENT_STEPS = 16
# 2²⁷ + 1 splits a float64 into two halves of 26 bits (Dekker, section 5).
SPLITTER = 134217729.0


def two_sum(a: Array, b: Array) -> tuple[Array, Array]:
    """Return s and e with s + e = a + b exactly, s being the rounded sum."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


def two_product(a: Array, b: Array) -> tuple[Array, Array]:
    """Return p and e with p + e = ab exactly, p being the rounded product."""
    p = a * b
    a_high = SPLITTER * a - (SPLITTER * a - a)
    b_high = SPLITTER * b - (SPLITTER * b - b)
    a_low, b_low = a - a_high, b - b_high
    return p, ((a_high * b_high - p) + a_high * b_low + a_low * b_high) + a_low * b_low


def sum_of_rows(high: Array, low: Array) -> tuple[Array, Array]:
    """Return the sums of the rows of the unevaluated sum high + low, in the same form.

    Parameters
    ----------
    high, low : ndarray of shape (n_rows, n_columns), float64
        Not changed.

    Returns
    -------
    high, low : ndarray of shape (n_rows,), float64
    """
    while high.shape[1] > 1:
        half = (high.shape[1] + 1) // 2
        total, error = two_sum(high[:, : high.shape[1] - half], high[:, half:])
        rest = low[:, : high.shape[1] - half] + low[:, half:] + error
        high = np.hstack([total, high[:, total.shape[1] : half]])
        low = np.hstack([rest, low[:, total.shape[1] : half]])
    return two_sum(high[:, 0], low[:, 0])


def exact_dependence(
    columns: Array, shift: Array, kept: NDArray[np.intp], lost: NDArray[np.intp]
) -> Array | None:
    """Return how columns are exact linear combinations of others, for some rows.

    Parameters
    ----------
    columns : ndarray of shape (n_rows, n_columns), float64
        Columns, of moderate size.
    shift : ndarray of shape (n_columns,), float64
        Number to subtract from each column, so that little cancels.
    kept : ndarray of shape (rank,), intp
        Columns that do not depend on each other.
    lost : ndarray of shape (n,), intp
        Columns to look at, which depend on the kept ones up to rounding.

    Returns
    -------
    changes : ndarray of shape (n_columns, n), float64, or None
        For each of the n columns a vector with 1 for the column, and minus the factors of the kept
        ones: the product of the shifted columns with the vector is 0. None if a column is no exact
        combination.
    """
    changes = np.zeros((columns.shape[1], len(lost)))
    changes[lost, np.arange(len(lost))] = 1.0
    if not len(kept):
        return None if np.any(columns[:, lost] != shift[lost]) else changes
    high, low = two_sum(columns[:, kept], -shift[kept])
    norm = np.linalg.norm(high, axis=0)
    norm[norm == 0] = 1.0
    Q, R, order = qr(high / norm, mode="economic", pivoting=True)
    diagonal = np.abs(np.diagonal(R))
    rank = int(np.count_nonzero(diagonal > len(columns) * np.finfo(np.float64).eps))
    Q, R, kept = Q[:, :rank], R[:rank, :rank], kept[order[:rank]]
    unit = 1 / norm[order[:rank]]
    high, low = high[:, order[:rank]], low[:, order[:rank]]
    # Numbers of 53 bits differ by more than EXACT_RESIDUAL of themselves, or not at all.
    size = np.abs(columns[:, kept]) + np.abs(shift[kept])
    for n, j in enumerate(lost):
        rest_high, rest_low = two_sum(columns[:, j], -shift[j])
        terms = np.abs(columns[:, j]) + np.abs(shift[j])
        norm_of_lost, residual = np.linalg.norm(rest_high), np.inf
        for _ in range(REFINEMENT_STEPS):
            factor = unit * solve_triangular(R, Q.T @ rest_high)
            terms = terms + size @ np.abs(factor)
            changes[kept, n] -= factor
            product, error = two_product(high, -factor)
            rest_high, rest_low = sum_of_rows(
                np.column_stack([rest_high, product]),
                np.column_stack([rest_low, error - low * factor]),
            )
            # In each row on its own: a row of large numbers does not excuse the others.
            if np.all(np.abs(rest_high) <= EXACT_RESIDUAL * terms):
                break
            before, residual = residual, float(np.max(np.abs(rest_high)))
            if not residual < before / 2:
                return None
        else:
            return None
        # Factors of columns that have no part in the combination are errors of the arithmetic.
        part = np.abs(changes[kept, n]) / unit
        changes[kept[part <= EXACT_RESIDUAL * norm_of_lost], n] = 0.0
    return changes
