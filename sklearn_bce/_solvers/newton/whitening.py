"""A start in a basis in which the curvature is the identity, where H has lost pivots in rounding.

Newton's method with the matrix H cannot see a direction in which H is zero up to rounding. Such a
run may end far from the minimum, and the decrement, which is then that of a matrix that was made
regular, does not tell. A *whitened* start is the end of that run in the coordinates of a `Basis`:
in them H is the identity, so that the squared decrement is ‖g‖², and nothing is lost; the run goes
on from there, or is confirmed. The units of the basis are robust: those of the samples whose class
is not certain at the start. An outlier, whose class is certain, does not determine them.

What is known about F − min F at a whitened start:

- ‖g‖²/2, with the gradient g in the coordinates of the basis, is half the squared Newton decrement.
  F − min F is at most κ times as large, κ = 2[(1−x)log(1−x) + x]/x² with x = ‖g‖·max ‖vᵢ‖ < 1
  over the rows vᵢ of the samples in the basis: this follows from |h′| <= h for the curvature h of
  the loss (F. Bach, "Self-concordant analysis for logistic regression", Electronic Journal of
  Statistics 4, 2010, section 2). κ is between 1 and 2, and is taken for 2.
- Columns that depend on the others up to rounding are left out of the basis. What they could still
  gain is at most ½ Σ r²/λ, where r is the derivative of F along the change of weights that leaves
  the outputs as they are, and λ the curvature of the penalty along that change.
- If the columns left out depend on the others exactly, only the penalty changes along the changes
  of weights that leave the outputs as they are: it gains at most ½ Σ r²/λ, and nothing if it is 0.
  Whether they do is computed with errors of 1e-32 instead of 1e-16, on a sample of the rows. If
  they do not, float64 cannot tell where the minimum of F is: the start is not resolved.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpstrf

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import NO_SAMPLES, Evaluation, Objective, SomeSamples
from sklearn_bce._objective.basis import Basis, Kernel
from sklearn_bce._objective.dependence import exact_dependence
from sklearn_bce._objective.root import curvature_root, rows_for_products
from sklearn_bce._objective.scaling import ROWS_FOR_MEDIANS, FewRows
from sklearn_bce._objective.triangular import solve_triangular
from sklearn_bce._solvers.newton.direction import RADIUS_MARGIN
from sklearn_bce._solvers.newton.inverse import TRUSTED_PIVOT
from sklearn_bce._solvers.newton.loop import Start
from sklearn_bce._solvers.newton.robust import (
    Examined,
    exact_from_user,
    exact_to_user,
    find_beyond,
    in_robust_coordinates,
    is_too_large,
)
from sklearn_bce._solvers.newton.stopping import MARGIN
from sklearn_bce._solvers.newton.tangents import LeftOut, find_left_out
from sklearn_bce.chain_rule import binary_cross_entropy

# Multiple of ε/√tol below which a pivot of the basis does not resolve ``tol``: the gradient in the
# direction of the pivot has an error of some ε divided by the pivot. [a choice]
RESOLUTION = 4.0
# Rounding error of the derivative of F along a change of weights of the kernel, in units in which
# the curvature of the column that is left out is 1: some ε. [a choice]
DERIVATIVE_ROUNDING = 1e-15
# Least entry of a change of weights of the kernel, as a fraction of the largest one and for columns
# of norm 1, for which the curvature of the penalty counts. [a choice]
CLEAR_ENTRY = 1e-4
# Least such entry in units of the error of the entries. [a choice]
CLEAR = 10.0
# Change of an output, as a fraction of the sum of the absolute values of its terms, up to which the
# change is rounding: the columns of the kernel are solved to LOST_PIVOT·size·ε. [a choice]
KERNEL_ROUNDING = 1e-10


def whiten(
    objective: Objective, w: Vector, b: float, tol: float, left_out: SomeSamples = NO_SAMPLES
) -> Examined | None:
    """Return the weights (w, b) in the coordinates of a basis, in a few passes.

    Parameters
    ----------
    objective : Objective
        F in the user's units, with a penalty without an L1 norm.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    tol : float
        Distance of F from its minimum, in nats, that the basis must resolve.
    left_out : SomeSamples, default=NO_SAMPLES
        Samples that are left out of F. Tangents to their losses are part of the gradient.

    Returns
    -------
    examined : Examined or None
        None if the samples in a basis would need too much memory, or overflow, or no sample has any
        curvature.
    """
    if is_too_large(objective):
        return None
    rest = objective.without(left_out)
    of_theta = in_robust_coordinates(rest, w, b)
    coordinates = of_theta.coordinates
    theta = exact_from_user(coordinates, w, b)
    (root,) = of_theta.sum_over_parts(curvature_root, theta)
    if not np.isfinite(root.R).all():
        return None
    basis = Basis.of(coordinates, root.R, of_theta.penalty.curvature_diagonal(of_theta.n_features))
    if not basis.rank:
        return None
    v, problem = basis.from_theta(theta), rest.in_basis(basis)
    gradient, loss_left_out = problem.evaluate(v).gradient, 0.0
    if len(left_out):
        held = find_left_out(objective.in_coordinates(coordinates), theta, left_out)
        gradient, loss_left_out = _with_tangents(held, gradient, basis)
    start = Start(
        problem,
        v,
        np.eye(basis.rank),
        diagonal_is_reliable=True,
        to_user=lambda v: exact_to_user(coordinates, basis.to_theta(v)),
    )
    radius = float(np.linalg.norm(gradient))
    known = _known_at(of_theta, theta, basis, radius, tol)
    return Examined(start, *known, loss_left_out)


def _with_tangents(held: LeftOut, gradient: Vector, basis: Basis) -> tuple[Vector, float]:
    """Return the gradient with tangents to the losses of samples, and what is above the tangents.

    Where the basis leaves out changes of the weights, the tangents have the slope 0: their slopes
    along such a change might lower F.

    Parameters
    ----------
    held : LeftOut
        The samples.
    gradient : ndarray of shape (rank,), float64
        Gradient of F without the samples, in the coordinates of the basis.
    basis : Basis
        The basis.
    """
    if basis.kernel.vectors.shape[1]:
        return gradient, held.above_tangents(np.zeros(len(held.y)))
    rows = held.Z @ basis.matrix
    slopes = held.least_slopes(gradient, rows)
    return gradient + (held.p * slopes) @ rows, held.above_tangents(slopes)


def _known_at(
    problem: Objective, theta: Vector, basis: Basis, radius: float, tol: float
) -> tuple[bool, SomeSamples, bool]:
    """Return what is known at θ: `Examined.is_small`, ``beyond`` and ``is_resolved``.

    Parameters
    ----------
    problem : Objective
        F in the coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ.
    basis : Basis
        The basis of the curvature there.
    radius : float
        The norm of the gradient in the coordinates of the basis.
    tol : float
        In nats.
    """
    bound = MARGIN * radius * radius / 2
    if not bound <= tol:
        return False, NO_SAMPLES, True
    (beyond,) = problem.sum_over_parts(find_beyond, theta, RADIUS_MARGIN * radius, basis.norms)
    is_resolved = True
    if not len(beyond):
        is_resolved = RESOLUTION * np.finfo(np.float64).eps <= np.sqrt(tol) * basis.least_pivot
        if basis.kernel.vectors.shape[1]:
            at = problem.evaluate(basis.to_theta(basis.from_theta(theta)))
            is_resolved &= kernel_gains_nothing(problem, basis.kernel, at, tol - bound)
    return True, beyond, bool(is_resolved)


def kernel_gains_nothing(
    problem: Objective, kernel: Kernel, point: Evaluation, tol: float, noise: float = 0.0
) -> bool:
    """Return whether changes of the weights along a kernel lower F by ``tol`` at most.

    The weights that change are not at a kink, so that F is differentiable along the kernel. If the
    answer does not follow from the curvature of the penalty, it is tested in a pass whether the
    columns depend on each other exactly, in all samples but those whose losses add up to less than
    ``tol``: only the penalty then changes along the kernel.

    Parameters
    ----------
    problem : Objective
        F in the coordinates of θ.
    kernel : Kernel
        Changes of θ.
    point : Evaluation
        Evaluation of F with the gradient.
    tol : float
        In nats.
    noise : float, default=0.0
        Error of the derivatives of F along the kernel, in addition to their rounding.
    """
    vectors, p = kernel.vectors, problem.n_features
    if not vectors.shape[1]:
        return True
    theta, l2 = point.theta, np.zeros(len(point.theta))
    l2[:p] = problem.penalty.curvature_diagonal(p)
    of_norm = problem.penalty.non_smooth(p, len(theta)).slope(theta)
    curvature, of_doubtful = _penalty_along(kernel, l2, l2 * theta + of_norm)
    derivative = np.abs(vectors.T @ (point.gradient + of_norm)) + of_doubtful
    derivative += DERIVATIVE_ROUNDING + noise
    is_penalised = np.linalg.matrix_rank(curvature, hermitian=True) == len(curvature)
    if is_penalised:
        gained = derivative @ np.linalg.lstsq(curvature, derivative, rcond=None)[0] / 2
        if gained <= tol:
            return True
    loss, few = problem.sum_over_parts(rows_of_kernel, theta, vectors, kernel.unit)
    if loss > tol or not len(few.X):
        return bool(loss <= tol)
    changes = _exact_changes(problem, kernel, few)
    if changes is None:
        return False
    # Other weights may follow the change of a lost one, whose own λ is the least curvature.
    derivative = changes.T @ (l2 * theta + of_norm)
    least = l2[kernel.lost] * np.square(np.max(changes[kernel.lost], axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        gains = np.where(derivative == 0, 0.0, np.square(derivative) / least / 2)
    return bool(np.sum(gains) <= tol)


def _exact_changes(problem: Objective, kernel: Kernel, few: FewRows) -> NDArray[np.float64] | None:
    """Return the changes of θ, one for each lost column, that leave the outputs of rows alone.

    None if a column does not depend on the kept ones exactly.
    """
    # The shift of F may be that of an outlier, beside which the differences of the others are lost.
    robust_shift = few.robust_shift(problem.coordinates.fit_intercept)
    of_ones = np.ones(problem.coordinates.size - problem.n_features)
    columns = np.hstack([few.X, np.ones((len(few.X), len(of_ones)))])
    shift = np.append(robust_shift, 0 * of_ones)
    unit = np.append(problem.coordinates.scale, of_ones)
    changes = np.empty((len(unit), len(kernel.lost)))
    # Few columns may take part in a change, such as the levels of two categories. Another shift may
    # need another intercept.
    takes_part = kernel.vectors[kernel.kept] != 0
    takes_part[kernel.kept >= problem.n_features] = True
    supports, groups = np.unique(takes_part, axis=1, return_inverse=True)
    for k, support in enumerate(supports.T):
        of_group = groups.ravel() == k
        lost = kernel.lost[of_group]
        found = exact_dependence(columns, shift, kernel.kept[support], lost)
        if found is None and not support.all():
            found = exact_dependence(columns, shift, kernel.kept, lost)
        if found is None:
            return None
        changes[:, of_group] = found
    return unit[:, None] * changes


def _penalty_along(
    kernel: Kernel, l2: Vector, gradient: Vector
) -> tuple[NDArray[np.float64], Vector]:
    """Return what is known about the penalty along the changes of a kernel.

    Small entries of a change may be rounding. Times a λ that is much larger than the others, they
    are not negligible: the curvature is bounded without them, and the derivative with them.

    Parameters
    ----------
    kernel : Kernel
        n changes of θ.
    l2, gradient : ndarray of shape (size,), float64
        λ, and the gradient of the penalty.

    Returns
    -------
    curvature : ndarray of shape (n, n), float64
        Curvature of the penalty, by the entries that are clear.
    of_doubtful : ndarray of shape (n,), float64
        What the other entries can add to the derivatives of the penalty at most.
    """
    entries = np.abs(kernel.vectors) / kernel.unit[:, None]
    largest = np.max(entries, axis=0)
    is_clear = entries >= max(CLEAR_ENTRY, CLEAR * kernel.error) * largest
    clear = np.where(is_clear, kernel.vectors, 0.0)
    doubtful = np.where(is_clear, 0.0, np.maximum(entries, kernel.error * largest))
    return (
        clear.T @ (l2[:, None] * clear),
        (np.abs(gradient) * kernel.unit) @ doubtful,
    )


class KeptPivots(NamedTuple):
    """The inverse of H in the columns that a factorisation with pivoting has kept.

    Attributes
    ----------
    R : ndarray of shape (rank, rank), float64
        Upper triangular factor of H in the units of the columns.
    kept : ndarray of shape (rank,), intp
        The columns.
    unit : ndarray of shape (rank,), float64
        Factors of the columns, which make diagonal entries of H equal to 1, or 4 for the intercept.
    """

    R: NDArray[np.float64]
    kept: NDArray[np.intp]
    unit: Vector

    def norms(self, rows: NDArray[np.float64]) -> Vector:
        """Return √(zᵀH⁻¹z) of each row z, of shape (size,), in these columns."""
        scaled = self.unit[:, None] * rows[:, self.kept].T
        return np.linalg.norm(solve_triangular(self.R, scaled, trans="T"), axis=0)


def bound_by_pivots(problem: Objective, theta: Vector, tol: float) -> float:
    """Return a bound on F(θ) − min F by H without the columns it loses, if that is within ``tol``.

    H is factorised with pivoting. What can be gained in the columns that are kept is the squared
    decrement, and in the others at most what `kernel_gains_nothing` bounds. Takes two passes; an
    orthogonal factor takes several times as long.

    Parameters
    ----------
    problem : Objective
        F in the coordinates of a run, with a penalty without an L1 norm.
    theta : ndarray of shape (size,), float64
        The end of the run.
    tol : float
        In nats.

    Returns
    -------
    bound : float
        In nats; infinity if it is above ``tol``, or not known.
    """
    point, rounding = problem.evaluate(theta, hessian=True), problem.curvature_rounding
    unit = 1 / np.sqrt(np.where(point.diagonal > 0, point.diagonal, 1.0))
    # The largest pivot is the first: the intercept is kept, on which the columns depend for any
    # shift that are constant in all samples with a curvature.
    unit[problem.n_features :] *= 2
    lost_below = TRUSTED_PIVOT * len(unit) * rounding
    factor, order, rank, _ = dpstrf(
        point.take_hessian() * unit * unit[:, None], tol=lost_below, lower=0
    )
    if not rank:
        return np.inf
    order, R = order - 1, np.triu(factor)[:rank, :rank]
    pivots = KeptPivots(R, order[:rank], unit[order[:rank]])
    decrement = float(np.sum(np.square(pivots.norms(point.gradient[None]))))
    bound = MARGIN * decrement / 2
    if not bound <= tol:
        return np.inf
    (beyond,) = problem.sum_over_parts(
        find_beyond, theta, RADIUS_MARGIN * np.sqrt(decrement), pivots.norms
    )
    if len(beyond):
        return np.inf
    # The rounding of H makes an error in a row of its root that is larger, the smaller its pivot.
    kernel = Kernel.of(R, factor[:rank, rank:], order, unit, rounding / float(R[-1, -1]))
    # The kernel has an error of at most the pivots that are lost, in the curvature.
    noise = np.sqrt(lost_below * decrement)
    return bound if kernel_gains_nothing(problem, kernel, point, tol - bound, noise) else np.inf


def rows_of_kernel(
    part: Any, theta: Vector, kernel: NDArray[np.float64], unit: Vector
) -> list[Any]:
    """Return the loss of the samples that a kernel changes, and a few rows of the others.

    Parameters
    ----------
    part : InMemoryObjective
        Objective in the coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ.
    kernel : ndarray of shape (size, n), float64
        Changes of θ along which the outputs of most samples change by rounding only.
    unit : ndarray of shape (size,), float64
        `Basis.unit`, to which the rounding of the changes is relative.

    Returns
    -------
    loss : float
        Mean loss of the samples whose outputs change by more than rounding, in nats.
    few : FewRows
        Rows of the other samples.
    """
    loss, is_kept = 0.0, np.zeros(part.n_samples, dtype=bool)
    vectors = np.column_stack([theta, kernel])
    vectors, blocks = rows_for_products(part.X, part.coordinates, vectors)
    theta, kernel = vectors[:, 0], vectors[:, 1:]
    for rows, Z in blocks:
        change, terms = abs(Z @ kernel), abs(Z) @ (abs(kernel) + unit[:, None])
        is_kept[rows] = (change <= KERNEL_ROUNDING * terms).all(axis=1)
        z, others = part.linear_outputs_of(rows, Z, theta), ~is_kept[rows]
        losses = part.normalised_weight[rows] * binary_cross_entropy(part.y[rows], z)
        loss += float(np.sum(losses[others]))
    rows = np.flatnonzero(is_kept)
    X = part.X[rows[:: max(1, len(rows) // ROWS_FOR_MEDIANS)]]
    return [loss, FewRows.of(X, np.ones(X.shape[0]))]
