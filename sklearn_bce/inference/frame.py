"""Coordinates in which the information is resolved, and its inverse as a product of roots.

- `Frame`: working coordinates v with θ = Mv, and the samples as a function of v.
- `FisherInformation`: the information I in a frame, with roots of I and of I⁻¹.
- `Fit`: a neuron, its samples and the maximum of their likelihood.

In centred and scaled coordinates θ, columns of any units and origins have the same size, and the
Cholesky factor of I is as precise as the columns are independent: a pivot, the share of a column
that the others do not explain, has an absolute error of the rounding of I. Where a pivot is so
small that this shows in a standard error, the triangular factor of the samples themselves takes its
place (`curvature_root`), whose pivots are the roots of those, and v are coordinates in which I is
the identity (`Basis`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpotrf

from sklearn_bce._estimator.diagnostics import listed_features
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.basis import Basis
from sklearn_bce._objective.partitioned import Encoding, PartitionedObjective, Parts
from sklearn_bce._objective.penalty import NO_PENALTY
from sklearn_bce._objective.root import curvature_root
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._objective.triangular import solve_triangular
from sklearn_bce._solvers.newton.robust import exact_from_user, exact_to_user
from sklearn_bce.inference.likelihood import (
    Counts,
    first_pass,
    likelihood_sums,
)
from sklearn_bce.inference.samples import Encode

Matrix = NDArray[np.float64]

# Relative error of a variance above which the triangular factor of the samples takes the place of
# the matrix I: a tenth of the 1e-6 that standard errors are held to, in any units.
# tests/test_inference.py::test_standard_errors_in_any_units_agree_with_extended_precision
VARIANCE_ERROR = 1e-8
# Coordinates above which I is not formed: 5000² float64 take 200 MB. [a choice]
MOST_COORDINATES = 5000
# Share of the largest entry of a dependence, in deviations of the columns, from which on the
# feature of an entry is named; smaller entries are rounding. [a choice]
NAMED_SHARE = 1e-6


class DependenceError(ValueError):
    """Columns of X depend on each other, so that their coefficients are not determined."""

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name


@dataclass(frozen=True, eq=False)
class FisherInformation:
    """The information I = WWᵀ, with I⁻¹ = BBᵀ.

    Attributes
    ----------
    W, B : ndarray of shape (size, size), float64
        The roots; B = W⁻ᵀ.
    least_pivot : float
        The least share of a column that the columns before it do not explain.
    """

    W: Matrix
    B: Matrix
    least_pivot: float

    @classmethod
    def of(cls, matrix: Matrix) -> FisherInformation | None:
        """Return the roots of an information matrix; None if it is singular in floating point.

        The matrix is scaled to a diagonal of ones before it is factorised by Cholesky's method.
        """
        size = len(matrix)
        diagonal = matrix.diagonal()
        if not (diagonal > 0).all():
            return None
        unit = np.sqrt(diagonal)
        factor, failed_at = dpotrf(matrix / np.outer(unit, unit), lower=1, clean=1)
        if failed_at:
            return None
        inverse = solve_triangular(factor, np.eye(size), lower=True)
        least = float(np.min(np.square(factor.diagonal()))) if size else 1.0
        return cls(unit[:, None] * factor, inverse.T / unit[:, None], least)

    @property
    def log_determinant(self) -> float:
        """Log det I."""
        return 2 * float(np.sum(np.log(self.W.diagonal())))


@dataclass(frozen=True, eq=False)
class Frame:
    """Working coordinates v, in which no information is lost in rounding.

    Attributes
    ----------
    user : PartitionedObjective
        Σ sL as a function of the user's weights and intercept: a sum, not a mean.
    standard : PartitionedObjective
        The same in standard coordinates θ.
    objective : PartitionedObjective
        The same in the working coordinates v.
    matrix : ndarray of shape (size, size), float64
        M with θ = Mv.
    counts : Counts
        Counts of the samples.
    """

    user: PartitionedObjective
    standard: PartitionedObjective
    objective: PartitionedObjective
    matrix: Matrix
    counts: Counts

    @property
    def coordinates(self) -> Coordinates:
        """Shift and scale of θ."""
        return self.standard.coordinates

    @property
    def user_rows(self) -> Matrix:
        """The rows u of shape (size,) with u·v a coefficient: weights first, then the intercept."""
        scale, shift = self.coordinates.scale, self.coordinates.shift
        rows = self.matrix[: len(scale)] / scale[:, None]
        if not self.coordinates.fit_intercept:
            return rows
        return np.vstack([rows, self.matrix[-1] - (shift / scale) @ self.matrix[: len(scale)]])

    def to_user(self, v: Vector) -> tuple[Vector, float]:
        """Return the user's weights and intercept of v."""
        return exact_to_user(self.coordinates, self.matrix @ v)


@dataclass(frozen=True, eq=False)
class Fit:
    """The weights of a neuron in a frame, with the likelihood of the samples there.

    Attributes
    ----------
    frame : Frame
        The working coordinates.
    v : ndarray of shape (size,), float64
        The weights in these.
    loss : float
        Σ sL = −l at v, in nats.
    score : ndarray of shape (size,), float64
        ∂l/∂v.
    information : FisherInformation
        −∂²l/∂v².
    surest : float
        The largest |z| − log s of a sample; see `Likelihood`.
    """

    frame: Frame
    v: Vector
    loss: float
    score: Vector
    information: FisherInformation
    surest: float

    @property
    def squared_distance(self) -> float:
        """scoreᵀ I⁻¹ score: the squared distance from the maximum, in standard errors."""
        with np.errstate(over="ignore"):
            whitened = self.information.B.T @ self.score
            return float(whitened @ whitened)

    def after_newton_step(self) -> Fit | None:
        """Return the fit after one step of Newton's method on the likelihood, in one pass.

        None if I is singular there.
        """
        B = self.information.B
        return fit_at(self.frame, self.v + B @ (B.T @ self.score))


def fit_at(frame: Frame, v: Vector) -> Fit | None:
    """Return the fit with the weights v, in one pass; None if I is singular there."""
    with np.errstate(all="ignore"):  # what overflows is not finite
        loss, gradient, hessian, surest = frame.objective.sum_over_parts(likelihood_sums, v)
    if not (np.isfinite(loss) and np.isfinite(hessian).all()):
        return None
    information = FisherInformation.of(hessian)
    if information is None:
        return None
    return Fit(frame, v, float(loss), -gradient, information, float(surest.values[0]))


def fit_of(
    parts: Parts,
    encode: Encode,
    weights: tuple[Vector, float],
    fit_intercept: bool,
    names: NDArray[Any],
    n_threads: int,
) -> Fit:
    """Return given weights in a frame in which the information of the samples is resolved.

    That takes one pass; three where columns nearly depend on each other.

    Parameters
    ----------
    parts : Parts
        The samples.
    encode : callable (y, sample_weight) -> (y, sample_weight)
        Encodes targets and weights; see `Encoding`.
    weights : tuple (ndarray of shape (n_features,), float)
        The user's weights and intercept.
    fit_intercept : bool
        Whether the model has an intercept.
    names : ndarray of shape (n_features,)
        Names of the features.
    n_threads : int
        Most threads that the computation for one part may use.

    Raises
    ------
    ValueError
        If the matrix I is too large.
    DependenceError
        If columns depend on each other, the constant column of the intercept among them.
    """
    w, b = weights
    size = len(w) + fit_intercept
    if size > MOST_COORDINATES:
        raise ValueError(
            f"The information matrix of {size} coefficients is too large; at most "
            f"{MOST_COORDINATES} are supported."
        )
    with np.errstate(all="ignore"):  # what overflows is not finite
        counts, found = first_pass(parts, encode, w, b, fit_intercept, n_threads)
    coordinates = found.coordinates
    encoding = Encoding(encode, Coordinates.of_user(len(w), fit_intercept), 1.0, n_threads)
    user = PartitionedObjective(
        parts, counts.data_size, encoding, NO_PENALTY, has_offset=counts.has_offset
    )
    user.passes.add()
    standard = user.in_coordinates(coordinates)
    theta = exact_from_user(coordinates, w, b)
    if not (np.isfinite(found.information).all() and np.isfinite(theta).all()):
        raise ValueError("The information overflows: the weights or the features are too large.")
    information = FisherInformation.of(found.information)
    rounding = size * np.finfo(np.float64).eps * (1 + found.off_centre**2)
    if information is not None and rounding <= VARIANCE_ERROR * information.least_pivot:
        frame = Frame(user, standard, standard, np.eye(size), counts)
        surest = float(found.surest.values[0])
        return Fit(frame, theta, found.loss, found.score, information, surest)
    return _fit_in_basis(user, standard, theta, counts, names)


def _fit_in_basis(
    user: PartitionedObjective,
    standard: PartitionedObjective,
    theta: Vector,
    counts: Counts,
    names: NDArray[Any],
) -> Fit:
    """Return the weights θ in a basis in which I is the identity; see `fit_of`."""
    (root,) = standard.sum_over_parts(curvature_root, theta)
    basis = Basis.of(standard.coordinates, root.R, np.zeros(standard.n_features))
    if basis.rank < len(theta):
        raise _singular(standard, names)
    frame = Frame(user, standard, user.in_basis(basis), basis.matrix, counts)
    fit = fit_at(frame, basis.from_theta(theta))
    if fit is None:
        raise _singular(standard, names)
    return fit


def _singular(standard: PartitionedObjective, names: NDArray[Any]) -> ValueError:
    """Return why the information is singular: by the columns, or by certain samples.

    At weights of 0 no sample is certain, so that only columns can be the reason.
    """
    zeros = np.zeros(standard.coordinates.size)
    (root,) = standard.sum_over_parts(curvature_root, zeros)
    basis = Basis.of(standard.coordinates, root.R, np.zeros(standard.n_features))
    if basis.rank < len(zeros):
        return DependenceError(_dependence_message(basis, names))
    return ValueError(
        "The information is singular at the weights of the neuron: nearly all samples have a "
        "probability of 0 or 1 there, as where the classes are separated and the likelihood has no "
        "maximum. Use sklearn_bce.inference.firth(X, y), or fit again."
    )


def _dependence_message(basis: Basis, names: NDArray[Any]) -> str:
    """Return which features depend on each other, and what to do."""
    kernel = basis.kernel
    sizes = np.abs(kernel.vectors[: len(names), 0] / kernel.unit[: len(names)])
    involved = np.flatnonzero(sizes >= NAMED_SHARE * np.max(sizes))
    listed = listed_features(involved, names, len(names))
    return (
        "The coefficients are not determined: columns of X depend on each other (with an intercept "
        f"also on a constant column): {listed}. Leave out one of them."
    )
