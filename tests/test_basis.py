"""Coordinates in which the curvature at one point is the identity, against exact arithmetic."""

import numpy as np
import pytest
from scipy.linalg import qr
from small_data import naming

from sklearn_bce._objective.basis import LOST_PIVOT, Basis
from sklearn_bce._objective.root import root_of_blocks
from sklearn_bce._objective.scaling import Coordinates

EPSILON = np.finfo(np.float64).eps


def basis_of_rows(rows, l2=0.0):
    """Return the basis of the curvature AᵀA of rows A, without an intercept of its own."""
    size = rows.shape[1]
    root = root_of_blocks(np.array_split(rows, 7), size).R
    return Basis.of(Coordinates.of_user(size, False), root, np.full(size, l2))


# ----- columns that depend on others --------------------------------------------------------------


def pivots(rows):
    """Return the pivots of the rows with columns of norm 1, in units of size·ε."""
    root = root_of_blocks(np.array_split(rows, 7), rows.shape[1]).R
    R, _ = qr(root / np.linalg.norm(root, axis=0), mode="r", pivoting=True)
    return np.abs(np.diagonal(R)) / (rows.shape[1] * EPSILON)


def dependent_columns(n, n_levels, seed):
    """Return columns whose rank is known, each with the rank."""
    rng = np.random.default_rng(seed)
    level = rng.permutation(np.arange(n) % n_levels)
    dummies, ones = np.eye(n_levels)[level], np.ones((n, 1))
    others = np.eye(3)[rng.permutation(np.arange(n) % 3)]
    normal = rng.normal(size=(n, n_levels))
    units = rng.uniform(0.1, 100, n_levels)
    standard = (dummies - dummies.mean(axis=0)) / dummies.std(axis=0)
    return {
        "one-hot and intercept": (np.hstack([dummies, ones]), n_levels),
        "two one-hot and intercept": (np.hstack([dummies, others, ones]), n_levels + 2),
        "one-hot in units and intercept": (np.hstack([dummies * units, ones]), n_levels),
        "standardised one-hot": (standard, n_levels - 1),
        "copies": (np.hstack([normal, normal]), n_levels),
        "copies in units": (np.hstack([normal, normal * units]), n_levels),
    }


@pytest.mark.parametrize("n", [60, 3000])
@pytest.mark.parametrize("n_levels", [3, 10, 20])
def test_columns_that_depend_are_lost(n_levels, n):
    """Pivots of dependent columns are rounding; those of columns with noise of 1e-12 are not."""
    for seed in range(4):
        rng = np.random.default_rng(100 + seed)
        weight = np.sqrt(rng.uniform(1e-3, 0.25, (n, 1)))
        for name, (columns, rank) in dependent_columns(n, n_levels, seed).items():
            with naming(name):
                found = pivots(weight * columns)
                assert found[rank - 1] > 1e10
                assert found[rank] < 2.0 < LOST_PIVOT / 4
                assert basis_of_rows(weight * columns).rank == rank
                noisy = columns.copy()
                noisy[:, 0] += 1e-12 * np.max(columns[:, 0]) * rng.normal(size=n)
                found = pivots(weight * noisy)
                if columns.shape[1] <= 11:
                    assert found[rank] > 2 * LOST_PIVOT
                    assert basis_of_rows(weight * noisy).rank == rank + 1
