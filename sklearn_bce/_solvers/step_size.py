"""Step sizes for which convergence is proven: η = 1/L, with a Lipschitz constant L of the gradient.

L is an upper bound of the curvature of the function that an update decreases. The loss of a sample
has curvature s·a(1−a)·(‖x‖² + 1) <= s(‖x‖² + 1)/4 in the direction (x, 1), where 1 belongs to the
intercept. The curvature of the mean loss of n samples is at most the largest eigenvalue of
(1/n)ZᵀsZ/4, where Z has the rows (x, 1).

References
----------
R. M. Gower et al., "SGD: General Analysis and Improved Rates", ICML 2019, proposition 3.8: the
expected smoothness of a mini-batch that is drawn without replacement.
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.linalg import LinearOperator, eigsh

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import MAX_SLOPE, Evaluation, Objective
from sklearn_bce._objective.in_memory import InMemoryObjective

# Relative tolerance of the largest eigenvalue, which the Lanczos method approaches from below. The
# result is increased by this tolerance, so that the step size is at most 1 % too small. python -m
# benchmarks.tuning EIGENVALUE_TOL
EIGENVALUE_TOL = 1e-2
# Number of Lanczos vectors: SciPy's default, max(2k + 1, 20) for k = 1 eigenvalue.
LANCZOS_VECTORS = 20


def safe_step_size(lipschitz: float) -> float:
    """Return η = 1/L; 1 if L is 0, since any step is safe for a loss that is constant."""
    return 1.0 / lipschitz if lipschitz > 0 else 1.0


def lipschitz_constant(objective: Objective) -> float:
    """Return the Lipschitz constant L of the gradient of the smooth part of F.

    L is in the objective's coordinates, in nats per squared unit of θ. Computing L takes several
    passes.

    Raises
    ------
    ValueError
        If the squares of the features overflow.
    """
    size = objective.coordinates.size
    zeros = np.zeros(size)
    point = Evaluation(zeros, 0.0, zeros, None, objective.curvature_bound())
    diagonal = objective.curvature_diagonal(point)
    _raise_for_overflow(objective, diagonal)
    if size == 1 or not np.any(diagonal):
        return float(diagonal[0])

    def product(vector):
        return objective.curvature_product(point, vector.ravel())[0]

    operator = LinearOperator((size, size), matvec=product, dtype=np.float64)
    start = np.random.default_rng(0).standard_normal(size)  # fixed: the result is repeatable
    largest = eigsh(
        operator,
        k=1,
        tol=EIGENVALUE_TOL,
        v0=start,
        ncv=min(size, LANCZOS_VECTORS),
        return_eigenvectors=False,
    )
    return float(largest[0]) * (1 + EIGENVALUE_TOL)


def mean_lipschitz_constant(objective: InMemoryObjective) -> float:
    """Return the Lipschitz constant of the mean over the samples of s·(loss + penalty).

    F divides the sum by the sum of the weights s, the updates of sgd by the number of samples.
    Computing the constant takes several passes.
    """
    per_sample = float(np.sum(objective.sample_weight)) / objective.n_samples
    # On one thread the order of the terms, and so η, does not depend on the number of threads.
    return per_sample * lipschitz_constant(objective.on_one_thread())


def sample_lipschitz_constants(objective: InMemoryObjective) -> Vector:
    """Return the Lipschitz constants of the gradients of s·(loss + penalty) of each sample.

    That takes one pass. The result, of shape (n_samples,), is in nats per squared unit of the
    weights.

    Raises
    ------
    ValueError
        If the squares of the features overflow.
    """
    square_norms = objective.row_squares() + float(objective.coordinates.fit_intercept)
    _raise_for_overflow(objective, square_norms)
    l2 = float(np.max(objective.penalty.curvature_diagonal(objective.n_features)))
    return objective.sample_weight * (MAX_SLOPE * square_norms + l2)


def batch_lipschitz_constant(batch: int, n_samples: int, of_sample: float, of_mean: float) -> float:
    """Return the Lipschitz constant of the mean of a random batch, by proposition 3.8.

    Parameters
    ----------
    batch, n_samples : int
        Number of samples in the batch, and number of all samples.
    of_sample : float
        The largest Lipschitz constant of one sample.
    of_mean : float
        The Lipschitz constant of the mean over all samples.
    """
    if n_samples == 1:
        return of_sample
    others = (n_samples - batch) / (n_samples - 1)
    return of_sample * others / batch + of_mean * (1 - others / batch)


def _raise_for_overflow(objective: Objective, squares: Vector) -> None:
    """Raise ValueError if sums of squares of the features overflow, or X is not finite."""
    if not np.all(np.isfinite(squares)):
        objective.raise_unless_finite()
        raise ValueError(
            "learning_rate='auto' needs the squares of the features, which overflow: scale the "
            "features, or use solver='newton'."
        )
