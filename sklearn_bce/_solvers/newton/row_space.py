"""More features than samples: the same problem in as many coordinates as there are samples.

At the minimum the weights are a combination of the centred samples, w = Xᵀα. With the matrix of
their products K = XXᵀ = LLᵀ and v = Lᵀα, the outputs are Xw = Lv, and the penalty is that of v, for
‖w‖² = αᵀKα = ‖v‖². So F of (v, b) over the rows of L is F of (w, b) over the rows of X, the penalty
included, and L is square.

For large data K is a sum of products in single precision: a relative error ε of K moves F at its
minimum by ε² of itself. Once v is found, the gradient with respect to w shows whether that was
enough: see `suboptimality_bound`.

References
----------
T. Hastie and R. Tibshirani, "Efficient Quadratic Regularization for Expression Arrays",
Biostatistics 5 (2004), section 3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular
from scipy.linalg.lapack import dpstrf

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import sum_in_threads, thread_ranges
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._objective.in_memory import LARGE_ELEMENTS, InMemoryObjective
from sklearn_bce._objective.rows import BLOCK_ELEMENTS, raise_unless_finite


@dataclass(frozen=True)
class RowSpace:
    """Coordinates v of the weights that are combinations of the samples.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Samples.
    mean : ndarray of shape (n_features,)
        The mean that they are centred by; zeros without an intercept.
    factor : ndarray of shape (n_samples, rank)
        L, its rows in the order of the samples.
    basis : ndarray of shape (rank,)
        Indices of samples of which the others are combinations; those rows of L are triangular.
    """

    X: NDArray[Any]
    mean: Vector
    factor: NDArray[np.float64]
    basis: NDArray[np.intp]

    @classmethod
    def of(cls, objective: InMemoryObjective) -> RowSpace | None:
        """Return the row space of X, in one pass; centred if there is an intercept for the mean.

        None if products of samples overflow, or the samples are all the same.
        """
        X = objective.X
        n_samples, n_features = X.shape
        mean, equal = np.zeros(n_features), np.full(n_samples, 1 / n_samples)
        width = max(1, BLOCK_ELEMENTS // n_samples)

        def add(columns: slice, gram: NDArray[np.float64]) -> None:
            for start in range(columns.start, columns.stop, width):
                some = slice(start, min(start + width, columns.stop))
                block = X[:, some]
                raise_unless_finite(block)
                if objective.coordinates.fit_intercept:
                    mean[some] = equal @ block
                    block = block - mean[some]
                with np.errstate(over="ignore", invalid="ignore"):
                    block = block.astype(precision)
                    gram += block @ block.T

        # Single precision takes half the time for large data, and is exact enough: see the module.
        precision = np.float32 if X.size > LARGE_ELEMENTS else np.float64
        objective.passes.add()
        ranges = thread_ranges(X.T, objective.n_threads)
        gram = np.zeros((n_samples, n_samples))
        sum_in_threads(add, ranges, [gram])
        if not np.isfinite(gram).all():
            return None
        noise = np.finfo(precision).eps * n_samples * float(np.max(gram.diagonal()))
        factor, pivots, rank, _ = dpstrf(gram, tol=noise, lower=0, overwrite_a=1)
        if not rank:
            return None
        pivots = pivots - 1
        in_order = np.empty((n_samples, rank))
        in_order[pivots] = np.triu(factor)[:rank].T
        return cls(X, mean, in_order, pivots[:rank])

    def problem(self, objective: InMemoryObjective) -> InMemoryObjective:
        """Return F as a function of (v, b)."""
        return objective.of_samples(self.factor)

    def to_user(self, v: Vector, b: float) -> tuple[Vector, float]:
        """Return (w, b) of (v, b)."""
        alpha = np.zeros(len(self.X))
        alpha[self.basis] = solve_triangular(self.factor[self.basis], v, lower=True, trans=1)
        w = alpha.astype(self.X.dtype) @ self.X - np.sum(alpha) * self.mean
        return w, b - float(self.mean @ w)


def suboptimality_bound(objective: Objective, point: Evaluation) -> float:
    """Return a bound on F − min F, in nats, by the gradient and the penalty's curvature alone.

    The intercept is not penalised; its own curvature has to do for it.
    """
    of_weights, of_intercept = np.split(point.gradient, [objective.n_features])
    l2 = objective.penalty.curvature_diagonal(objective.n_features)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.sum(np.square(of_weights) / l2) / 2
        bound += np.sum(np.square(of_intercept) / objective.total_curvature(point)) / 2
    return float(np.nan_to_num(bound, nan=np.inf))
