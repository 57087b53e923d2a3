"""The output of each sample by the weights of a fit without it, to first order, without refits.

Without sample i the gradient of F at the minimum is −sᵢL′ᵢx̃ᵢ, and the curvature H − sᵢL″ᵢx̃ᵢx̃ᵢᵀ,
with x̃ = (x, 1). A Newton step from there changes the sample's output zᵢ to

    zᵢ + hᵢ L′ᵢ/(1 − hᵢ L″ᵢ),        hᵢ = sᵢ x̃ᵢᵀ H⁻¹ x̃ᵢ        L′ = a − y, L″ = a(1 − a).

The leverage hᵢL″ᵢ is in [0, 1). With an L1 norm or bounds, H is that of the weights which are
neither 0 nor at a bound. The penalty keeps its strength 1/C, as in a fit without the sample.

References
----------
K. R. Rad and A. Maleki, "A Scalable Estimate of the Out-of-Sample Prediction Error via Approximate
Leave-One-Out Cross-Validation", Journal of the Royal Statistical Society B 82 (2020). A. Auddy,
H. Zou, K. R. Rad and A. Maleki, "Approximate Leave-One-Out Cross Validation for Regression with L1
Regularizers", AISTATS (2024).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective, SomeSamples
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import Penalty
from sklearn_bce._solvers.newton.inverse import CholeskyFactor
from sklearn_bce._solvers.newton.nearby import LossDerivatives
from sklearn_bce._solvers.newton.row_space import RowSpace, with_one_strength
from sklearn_bce.chain_rule import binary_cross_entropy, sigmoid

# Most rows of H that is formed: 5000² float64 take 200 MB. [a choice]
MOST_COORDINATES = 5000


class LeftOut(NamedTuple):
    """Outputs of samples by fits without them, to first order.

    Attributes
    ----------
    z : ndarray of shape (n_samples,), float64
        The outputs; those of the fit for samples of weight 0.
    leverage : ndarray of shape (n_samples,), float64
        hᵢL″ᵢ, in [0, 1): the share of the curvature along x̃ᵢ that is the sample's own. Near 1 the
        output is unreliable.
    is_resolved : bool
        Whether no curvature was lost in the factor of H.
    """

    z: Vector
    leverage: Vector
    is_resolved: bool


class LossesLeftOut(NamedTuple):
    """Sums of the losses of samples in parts by fits without them, to first order.

    Attributes
    ----------
    sums : ndarray of shape (5,), float64
        Σ sL, Σ s, Σ s²L², Σ s²L and Σ s² over the samples that are not in ``rest``, with their
        weights s and losses L in nats.
    rest : SomeSamples
        Samples whose leverage is too large.
    is_resolved : bool
        Whether no curvature was lost in the factor of H.
    """

    sums: NDArray[np.float64]
    rest: SomeSamples
    is_resolved: bool


class LeaveOneOut:
    """Outputs of samples by fits without them, for several penalties.

    Parameters
    ----------
    objective : Objective
        F in the user's units, with any penalty.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective, self._standard = objective, objective.standardised()
        self._space: RowSpace | None = None

    def outputs(
        self, penalty: Penalty, w: Vector, b: float, known: LossDerivatives | None = None
    ) -> LeftOut | None:
        """Return the outputs of all samples by fits without each; None if H is too large to form.

        Parameters
        ----------
        penalty : Penalty
            The penalty of the fit, in the user's units.
        w : ndarray of shape (n_features,), float64
            Weights at the minimum.
        b : float
            Intercept at the minimum.
        known : LossDerivatives or None, default=None
            Derivatives of the loss there, in standard coordinates; None if they are not known.
        """
        theta = self._standard.coordinates.from_user(w, b)
        z = self._standard.linear_outputs(theta)
        problem, subset = self._free_coordinates(penalty, theta)
        if len(subset) > MOST_COORDINATES:
            return None
        factor = factor_of(problem, theta, z, subset, known)
        outputs, leverage = without_own(problem, z, factor, subset)
        return LeftOut(outputs, leverage, factor is None or factor.is_trusted)

    def losses(
        self,
        penalty: Penalty,
        w: Vector,
        b: float,
        most_leverage: float,
        known: LossDerivatives | None = None,
    ) -> LossesLeftOut | None:
        """Return the losses of all samples by fits without each; None if H is too large to form.

        Samples may be in parts. The arguments are those of `outputs`; samples with a leverage above
        ``most_leverage`` are not among the sums.
        """
        theta = self._standard.coordinates.from_user(w, b)
        problem, subset = self._free_coordinates(penalty, theta)
        if len(subset) > MOST_COORDINATES:
            return None
        factor = factor_of(problem, theta, None, subset, known)
        sums, rest = problem.sum_over_parts(losses_of_part, theta, factor, subset, most_leverage)
        return LossesLeftOut(sums, rest, factor is None or factor.is_trusted)

    def _free_coordinates(
        self, penalty: Penalty, theta: Vector
    ) -> tuple[Objective, NDArray[np.intp]]:
        """Return F in coordinates in which H is small, and the indices of those that may change.

        ``theta`` is the minimum in standard coordinates.
        """
        problem = self._standard.with_penalty(penalty.in_units(self._standard.coordinates.scale))
        if penalty.is_smooth:
            problem = self._in_row_space(penalty) or problem
            return problem, np.arange(problem.coordinates.size)
        non_smooth = problem.penalty.non_smooth(problem.n_features, len(theta))
        return problem, np.flatnonzero(~non_smooth.at_kink(theta))

    def _in_row_space(self, penalty: Penalty) -> Objective | None:
        """Return F in the space of the samples, which is the same for all penalties, or None.

        The strengths of the features have the same ratios in all penalties. None if the space is
        not smaller, or still too large, or not all weights are penalised.
        """
        objective = self._objective.with_penalty(penalty)
        most = min(objective.n_features, MOST_COORDINATES)
        strengths = penalty.curvature_diagonal(objective.n_features)
        is_in_memory = objective.data_size.storage != "partitioned"
        if not (is_in_memory and objective.n_samples < most and np.all(strengths > 0)):
            return None
        if self._space is None:
            self._space = RowSpace.of(objective)
        if self._space is None:
            return None
        return replace(self._space, penalty=with_one_strength(penalty)[0]).problem(objective)


def factor_of(
    problem: Objective,
    theta: Vector,
    z: Any,
    subset: NDArray[np.intp],
    known: LossDerivatives | None,
) -> CholeskyFactor | None:
    """Return the factor of H at θ for some coordinates; None if there are none.

    Parameters
    ----------
    problem : Objective
        F.
    theta : ndarray of shape (size,), float64
        θ.
    z : array of length n_samples or None
        Linear outputs at θ; None if the objective does not keep outputs.
    subset : ndarray of shape (n,), intp
        Indices of the coordinates, ascending.
    known : LossDerivatives or None
        Derivatives of the loss at θ; None if they are not known.
    """
    if not len(subset):
        return None
    are_all = len(subset) == len(theta)
    if known is not None:
        matrix = known.curvature(problem.penalty)[np.ix_(subset, subset)]
    elif z is None and are_all:  # one pass evaluates F and forms the matrix
        matrix = problem.evaluate(theta, hessian=True).take_hessian()
    else:
        if z is None:
            point = problem.evaluate(theta)
        else:
            point = Evaluation(theta, np.nan, None, z, problem.curvature_of_outputs(z))
        matrix = problem.curvature_matrix(point, subset)
    return CholeskyFactor(matrix, problem.curvature_rounding)


def without_own(
    part: InMemoryObjective, z: Vector, factor: CholeskyFactor | None, subset: NDArray[np.intp]
) -> tuple[Vector, Vector]:
    """Return the outputs of samples by fits without them, and their leverages.

    Parameters
    ----------
    part : InMemoryObjective
        The samples, in the coordinates of the factor.
    z : ndarray of shape (n_samples,), float64
        Their outputs.
    factor : CholeskyFactor or None
        Factor of H; None if no coordinate may change.
    subset : ndarray of shape (n,), intp
        Indices of the coordinates of the factor.
    """
    if factor is None:
        return z, np.zeros(len(z))
    squares = np.square(part.norms_of_samples(factor.inverse_root, subset))
    leverage, h = part.curvature_of_outputs(z) * squares, part.normalised_weight * squares
    with np.errstate(divide="ignore", invalid="ignore"):
        change = h * (sigmoid(z) - part.y) / (1 - leverage)
    return z + np.where(h > 0, change, 0.0), leverage


def losses_of_part(
    part: InMemoryObjective,
    theta: Vector,
    factor: CholeskyFactor | None,
    subset: NDArray[np.intp],
    most_leverage: float,
) -> list[Any]:
    """Return the sums of `LossesLeftOut` over a part, and its samples with a large leverage."""
    z, leverage = without_own(part, part.linear_outputs(theta), factor, subset)
    is_rest = leverage > most_leverage
    s, loss = np.where(is_rest, 0.0, part.sample_weight), binary_cross_entropy(part.y, z)
    loss[is_rest] = 0.0
    sums = np.array([s @ loss, s.sum(), np.square(s * loss).sum(), s**2 @ loss, s @ s])
    rest = {part.part_number: np.flatnonzero(is_rest)} if is_rest.any() else {}
    return [sums, SomeSamples(rest)]
