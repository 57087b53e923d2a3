"""Covariances of the coefficients: inverse information, sandwich, and sandwich of clusters.

With the information I and the scores gᵢ = sᵢ(yᵢ − aᵢ)zᵢ of the samples, the covariances are

- model: I⁻¹;
- robust: I⁻¹ (Σ gᵢgᵢᵀ) I⁻¹. A frequency sᵢ stands for sᵢ equal samples, whose sum is gᵢgᵢᵀ/sᵢ;
- cluster: I⁻¹ (Σ_c (Σ_{i∈c} gᵢ)(Σ_{i∈c} gᵢ)ᵀ) I⁻¹, for clusters c of samples.

All are kept as a root: a matrix A with covariance AAᵀ, in the working coordinates of a `Fit`. Rows
are multiplied with the root B of I⁻¹ first, so that the matrices that are summed up are near the
identity, and nothing is lost in them where columns nearly depend on each other.

References
----------
H. White, "Maximum Likelihood Estimation of Misspecified Models", Econometrica 50 (1982). K.-Y.
Liang and S. L. Zeger, "Longitudinal Data Analysis Using Generalized Linear Models", Biometrika 73
(1986).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.root import row_matrix
from sklearn_bce.chain_rule import sigmoid
from sklearn_bce.inference.frame import Fit, Matrix

COVARIANCES = ("model", "robust", "HC1", "cluster")
ONE_GROUP = (
    "All samples with a weight are in one group; covariance='cluster' needs at least two groups."
)


def covariance_root(
    fit: Fit, covariance: str, frequency: bool, groups: dict[int, NDArray[np.intp]] | None
) -> Matrix:
    """Return A with covariance AAᵀ, of shape (size, size), in the working coordinates.

    Parameters
    ----------
    fit : Fit
        The maximum of the likelihood.
    covariance : {"model", "robust", "HC1", "cluster"}
        Kind of the covariance. All but "model" take one pass.
    frequency : bool
        Whether weights are frequencies; else they are sampling weights.
    groups : dict of int to ndarray, or None
        Codes of the clusters of the samples of each part, for "cluster".
    """
    B = fit.information.B
    if covariance == "model":
        return B
    frame = fit.frame
    theta, rows_to_white = frame.matrix @ fit.v, frame.matrix @ B
    n = frame.counts.total_weight if frequency else frame.counts.n_weighted
    if covariance == "cluster":
        n_groups = 1 + max(int(np.max(codes)) for codes in groups.values() if len(codes))
        (sums,) = frame.standard.sum_over_parts(
            scores_of_groups, theta, rows_to_white, groups, n_groups
        )
        sums, n_groups = sums[:, :-1], np.count_nonzero(sums[:, -1])
        if n_groups < 2:
            raise ValueError(ONE_GROUP)
        factor = n_groups / (n_groups - 1) * (n - 1) / (n - len(B))
        meat = sums.T @ sums
    else:
        (meat,) = frame.standard.sum_over_parts(squared_scores, theta, rows_to_white, frequency)
        factor = n / (n - len(B)) if covariance == "HC1" else 1.0
    values, vectors = eigh(meat)
    return np.sqrt(factor) * B @ (vectors * np.sqrt(np.maximum(values, 0.0)))


def whitened_rows(
    part: InMemoryObjective, theta: Vector, matrix: Matrix
) -> Iterator[tuple[Any, Matrix, Vector]]:
    """Yield blocks of rows: their indices, the rows times a matrix, and their probabilities a.

    Parameters
    ----------
    part : InMemoryObjective
        Samples, in the coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ.
    matrix : ndarray of shape (size, k), float64
        The matrix.
    """
    for rows, Z in row_matrix(part.X, part.coordinates):
        yield rows, Z @ matrix, sigmoid(part.linear_outputs_of(rows, Z, theta))


def squared_scores(
    part: InMemoryObjective, theta: Vector, matrix: Matrix, frequency: bool
) -> list[Matrix]:
    """Return Σ gᵢgᵢᵀ over a part, of scores times a matrix; see the head of the module."""
    total = np.zeros((matrix.shape[1], matrix.shape[1]))
    for rows, V, a in whitened_rows(part, theta, matrix):
        s, residual = part.sample_weight[rows], part.y[rows] - a
        total += V.T @ (((s if frequency else s**2) * residual**2)[:, None] * V)
    return [total]


def scores_of_groups(
    part: InMemoryObjective,
    theta: Vector,
    matrix: Matrix,
    groups: dict[int, NDArray[np.intp]],
    n_groups: int,
) -> list[Matrix]:
    """Return the sums of the scores, times a matrix, of each cluster, of shape (n_groups, k + 1).

    The last column is the number of samples with a weight.
    """
    codes, k = groups[part.part_number], matrix.shape[1]
    total = np.zeros((n_groups, k + 1))
    has_weight = part.sample_weight > 0
    total[:, k] = np.bincount(codes, weights=has_weight, minlength=n_groups)
    for rows, V, a in whitened_rows(part, theta, matrix):
        scores = (part.sample_weight[rows] * (part.y[rows] - a))[:, None] * V
        for j in range(k):
            total[:, j] += np.bincount(codes[rows], weights=scores[:, j], minlength=n_groups)
    return [total]


def codes_of_groups(groups: Any, lengths: dict[int, int]) -> dict[int, NDArray[np.intp]]:
    """Return the codes of the clusters of the samples of each part.

    Parameters
    ----------
    groups : array-like of shape (n_samples,)
        Labels of the clusters, in the order of the samples.
    lengths : dict of int to int
        Number of samples of each part, by its number.

    Raises
    ------
    ValueError
        If the number of labels is not that of the samples, a label is missing, or all samples are
        in one cluster.
    """
    groups = np.asarray(groups.compute() if hasattr(type(groups), "__dask_graph__") else groups)
    n_samples = sum(lengths.values())
    if groups.shape != (n_samples,):
        raise ValueError(
            f"groups has shape {groups.shape}; it must be ({n_samples},), a label for each sample."
        )
    if groups.dtype.kind == "f" and np.isnan(groups).any():
        raise ValueError("groups has NaN; each sample must have the label of a cluster.")
    labels, codes = np.unique(groups, return_inverse=True)
    if len(labels) < 2:
        raise ValueError(ONE_GROUP)
    numbers = sorted(lengths)
    ends = np.cumsum([lengths[number] for number in numbers])[:-1]
    return dict(zip(numbers, np.split(codes.astype(np.intp), ends), strict=True))
