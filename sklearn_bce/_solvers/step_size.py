"""Steps proven safe: η = 1/L, with L a bound on the curvature that one update can meet.

Each sample's loss has curvature s·a(1−a)·(‖x‖² + 1) <= s(‖x‖² + 1)/4 along its own x, with the 1
for an intercept; their mean has the largest eigenvalue of (1/n)ZᵀsZ/4.

References
----------
R. M. Gower et al., "SGD: General Analysis and Improved Rates", ICML 2019, proposition 3.8: expected
smoothness of a mini-batch drawn without replacement, between that of one sample and that of all.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse import issparse
from scipy.sparse.linalg import LinearOperator, eigsh

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation
from sklearn_bce._objective.in_memory import LARGEST_SLOPE, InMemoryObjective
from sklearn_bce._objective.rows import row_blocks, squared

# Lanczos approaches the largest eigenvalue from below, to this relative accuracy; it is then added.
EIGENVALUE_TOL = 1e-2


def safe_step_size(smoothness: float) -> float:
    """Return 1/L; of a loss that depends on no weight any step will do."""
    return 1.0 / smoothness if smoothness > 0 else 1.0


def lipschitz_constant(objective: InMemoryObjective) -> float:
    """Return L of F itself, in the objective's own units."""
    size = objective.coordinates.size
    nothing = np.zeros(size)
    point = Evaluation(nothing, 0.0, nothing, None, objective.curvature_bound())
    diagonal = objective.curvature_diagonal(point)
    _raise_for_overflow(objective, diagonal)
    if size == 1 or not np.any(diagonal):
        return float(diagonal[0])

    def product(vector):
        return objective.curvature_product(point, vector.ravel())[0]

    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # fixed: the result is to be repeatable
    largest = eigsh(
        operator, k=1, tol=EIGENVALUE_TOL, v0=start, ncv=min(size, 20), return_eigenvectors=False
    )
    return float(largest[0]) * (1 + EIGENVALUE_TOL)


def sample_lipschitz_constant(objective: InMemoryObjective) -> float:
    """Return the largest L of one sample's term s·(L(y, a) + penalty)."""
    X, weight = objective.X, objective.sample_weight
    objective.n_passes += 1
    square_norms = np.full(objective.n_samples, float(objective.coordinates.fit_intercept))
    for rows in row_blocks(X):
        if issparse(X):
            square_norms += np.asarray(squared(X).sum(axis=1)).ravel()
        else:
            square_norms[rows] += np.einsum("ij,ij->i", X[rows], X[rows], dtype=np.float64)
    _raise_for_overflow(objective, square_norms)
    return float(np.max(weight * (LARGEST_SLOPE * square_norms + objective.penalty.l2)))


def batch_lipschitz_constant(batch: int, n_samples: int, of_sample: float, of_mean: float) -> float:
    """Return L of the mean of a batch of the n samples, given that of one and of all of them."""
    if n_samples == 1:
        return of_sample
    others = (n_samples - batch) / (n_samples - 1)
    return of_sample * others / batch + of_mean * (1 - others / batch)


def _raise_for_overflow(objective: InMemoryObjective, squares: Vector) -> None:
    if not np.all(np.isfinite(squares)):
        objective.raise_unless_finite()
        raise ValueError(
            "learning_rate='auto' needs the squares of the features, and they overflow: scale the "
            "features, or use solver='newton'."
        )
