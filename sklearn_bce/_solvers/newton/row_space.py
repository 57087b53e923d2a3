"""More features than samples: the same problem in as many coordinates as there are samples.

With an L2 penalty, the weights at the minimum are a linear combination of the centred samples,
w = Xᵀα. If the strengths λⱼ of the features differ, this holds for the weights √(λⱼ/λ₀)·wⱼ and the
columns divided by √(λⱼ/λ₀), whose penalty has the one strength λ₀. Let K = XXᵀ = LLᵀ be the matrix
of the products of samples, and v = Lᵀα. The outputs are then Xw = Lv, and the penalty is that of v,
because ‖w‖² = αᵀKα = ‖v‖². So F(w, b) over the rows of X is equal to F(v, b) over the rows of L,
which has at most as many columns as rows.

K is computed in single precision first, but of small data: a relative error ε of K changes the
minimum of F by the fraction ε². The gradient with respect to w at the solution shows whether the
precision was enough: see `suboptimality_bound`.

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
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import sum_in_threads, thread_ranges
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet, Penalty
from sklearn_bce._objective.rows import BLOCK_ELEMENTS, raise_unless_finite
from sklearn_bce._objective.scaling import Coordinates

# Elements of X above which K is computed in single precision first, in half the time:
# python -m benchmarks.tuning SINGLE_ELEMENTS
SINGLE_ELEMENTS = 2**16
# Multiplications of an element with those of other samples that take the time of a pass over it:
# the products of 200 samples, 4 ms, take 12 passes. python -m benchmarks.tuning PRODUCTS_IN_A_PASS
PRODUCTS_IN_A_PASS = 16


@dataclass(frozen=True)
class RowSpace:
    """Coordinates v of the weights that are linear combinations of the samples.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
        Samples; not changed.
    mean : ndarray of shape (n_features,), float64
        Mean of the samples, which is subtracted; zeros without an intercept.
    factor : ndarray of shape (n_samples, rank), float64
        L, with its rows in the order of the samples.
    basis : ndarray of shape (rank,), intp
        Indices of linearly independent samples. The other samples are linear combinations of them.
        The rows of L with these indices are a lower triangular matrix.
    penalty : Penalty
        The penalty of v.
    unit : ndarray of shape (n_features,), float64, or None
        √(λ₀/λⱼ), by which the columns of X are multiplied; None means 1.
    """

    X: Any
    mean: Vector
    factor: NDArray[np.float64]
    basis: NDArray[np.intp]
    penalty: Penalty
    unit: Vector | None

    @classmethod
    def of(cls, objective: InMemoryObjective, precision: type = np.float64) -> RowSpace | None:
        """Return the row space of X, in one pass; the samples are centred if there is an intercept.

        The products of samples have the given precision, float32 or float64. None if they overflow,
        or all centred samples are 0.

        Raises
        ------
        NotFiniteError
            If an element of X is infinite or NaN.
        """
        penalty, unit = with_one_strength(objective.penalty)
        gram, mean = sample_products(objective, unit, precision)
        if not np.isfinite(gram).all():
            raise_unless_finite(objective.X)
            return None
        noise = np.finfo(precision).eps * len(gram) * float(np.max(gram.diagonal()))
        factor, pivots, rank, _ = dpstrf(gram, tol=noise, lower=0, overwrite_a=1)
        if not rank:
            return None
        pivots = pivots - 1
        in_order = np.empty((len(gram), rank))
        in_order[pivots] = np.triu(factor)[:rank].T
        return cls(objective.X, mean, in_order, pivots[:rank], penalty, unit)

    def column_bounds(self, objective: InMemoryObjective) -> Coordinates:
        """Return the means of the columns, and an upper bound of their deviations.

        The bound is the root of the mean squared norm of the centred samples, which are the rows of
        L in other coordinates.
        """
        squares = np.einsum("ij,ij->i", self.factor, self.factor)
        bound = np.sqrt(float(objective.normalised_weight @ squares))
        scale = np.full(len(self.mean), bound or 1.0) / (1.0 if self.unit is None else self.unit)
        return Coordinates(self.mean, scale, objective.coordinates.fit_intercept)

    def problem(self, objective: InMemoryObjective) -> InMemoryObjective:
        """Return F as a function of (v, b): the objective with the rows of L as samples."""
        return objective.of_samples(self.factor, self.penalty)

    def to_user(self, v: Vector, b: float) -> tuple[Vector, float]:
        """Return the user's (w, b) of (v, b), with w of shape (n_features,), float64."""
        alpha = np.zeros(len(self.X))
        alpha[self.basis] = solve_triangular(self.factor[self.basis], v, lower=True, trans=1)
        w = alpha.astype(self.X.dtype) @ self.X - np.sum(alpha) * self.mean
        if self.unit is not None:
            w *= np.square(self.unit)
        return w, b - float(self.mean @ w)


def precisions(objective: InMemoryObjective) -> list[type]:
    """Return the precisions of the products of samples to try, in this order."""
    is_small = objective.X.size <= SINGLE_ELEMENTS
    return [np.float64] if is_small else [np.float32, np.float64]


def sample_products(
    objective: InMemoryObjective, unit: Vector | None, precision: type
) -> tuple[NDArray[np.float64], Vector]:
    """Return K and the mean that is subtracted, in one pass.

    Parameters
    ----------
    objective : InMemoryObjective
        F; the samples are centred if there is an intercept.
    unit : ndarray of shape (n_features,), float64, or None
        Numbers by which the columns of X are multiplied; None means 1.
    precision : type
        float32 or float64, in which the centred samples are multiplied.

    Returns
    -------
    gram : ndarray of shape (n_samples, n_samples), float64
        K; not finite if products overflow, or X is not finite.
    mean : ndarray of shape (n_features,), float64
        Means of the columns of X; zeros without an intercept.
    """
    X = objective.X
    n_samples, n_features = X.shape
    if issparse(X):
        return sparse_sample_products(objective, unit)
    mean, equal = np.zeros(n_features), np.full(n_samples, 1 / n_samples)
    width = min(max(1, BLOCK_ELEMENTS // n_samples), n_features)

    def add(columns: slice, gram: NDArray[np.float64]) -> None:
        # New arrays of this size would take as long as the products.
        buffer, product = np.empty(n_samples * width, precision), np.empty_like(gram, precision)
        for start in range(columns.start, columns.stop, width):
            some = slice(start, min(start + width, columns.stop))
            block = X[:, some]
            if objective.coordinates.fit_intercept:
                mean[some] = equal @ block
            centred = buffer[: block.size].reshape(block.shape)
            with np.errstate(over="ignore", invalid="ignore"):
                # In the precision of X, and then rounded.
                np.subtract(block, mean[some], out=centred, casting="same_kind")
                if unit is not None:
                    centred *= unit[some]
                gram += np.matmul(centred, centred.T, out=product)

    objective.passes.add()
    gram = np.zeros((n_samples, n_samples))
    work = n_samples / PRODUCTS_IN_A_PASS
    sum_in_threads(add, thread_ranges(X.T, objective.n_threads, max(work, 1.0)), [gram])
    return gram, mean


def sparse_sample_products(
    objective: InMemoryObjective, unit: Vector | None
) -> tuple[NDArray[np.float64], Vector]:
    """Return K and the mean for a CSR matrix X, in double precision; see `sample_products`.

    The products are centred after they are formed, because centred samples are not sparse.
    """
    objective.passes.add()
    X = objective.X.astype(np.float64)
    mean = np.zeros(objective.n_features)
    scaled = X if unit is None else X.multiply(unit).tocsr()
    gram = (scaled @ scaled.T).toarray()
    if objective.coordinates.fit_intercept:
        mean = X.mean(axis=0)
        of_rows = gram.mean(axis=0)
        gram += of_rows.mean() - of_rows - of_rows[:, np.newaxis]
    return gram, mean


def with_one_strength(penalty: Penalty) -> tuple[Penalty, Vector | None]:
    """Return a penalty that has one strength λ₀ for all weights, and √(λ₀/λⱼ) for each feature.

    λ₀ is the geometric mean of the strengths, which are above 0. If the penalty has one strength
    already, return the penalty itself and None.
    """
    if not np.ndim(penalty.l2):
        return penalty, None
    log_strength = np.log(penalty.l2)
    mean = float(np.mean(log_strength))
    return ElasticNet(np.exp(mean)), np.exp((mean - log_strength) / 2)


def suboptimality_bound(objective: Objective, point: Evaluation) -> float:
    """Return a bound on F − min F, in nats, from the gradient and the curvature of the penalty.

    The bound is Σ g²/(2λ) over the weights. For the intercept, which is not penalised, the
    curvature of the loss is used in place of λ, so that this term is an estimate. Infinite if the
    bound is not a number.
    """
    of_weights, of_intercept = np.split(point.gradient, [objective.n_features])
    l2 = objective.penalty.curvature_diagonal(objective.n_features)
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.sum(np.square(of_weights) / l2) / 2
        bound += np.sum(np.square(of_intercept) / objective.total_curvature(point)) / 2
    return float(np.nan_to_num(bound, nan=np.inf))
