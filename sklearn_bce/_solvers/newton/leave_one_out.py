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

from typing import NamedTuple

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Evaluation, Objective
from sklearn_bce._solvers.newton.cost import row_space_is_smaller
from sklearn_bce._solvers.newton.inverse import CholeskyFactor
from sklearn_bce._solvers.newton.row_space import RowSpace
from sklearn_bce.chain_rule import da_dz, sigmoid

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


def left_out_outputs(objective: Objective, w: Vector, b: float) -> LeftOut | None:
    """Return the outputs of all samples by fits without each; None if H is too large to form.

    Parameters
    ----------
    objective : Objective
        F in the user's units, of samples in memory.
    w : ndarray of shape (n_features,), float64
        Weights at the minimum.
    b : float
        Intercept at the minimum.
    """
    z = objective.linear_outputs(objective.coordinates.from_user(w, b))
    problem, subset = objective.standardised(), None
    if problem.penalty.is_smooth:
        if row_space_is_smaller(objective) and (space := RowSpace.of(objective)) is not None:
            problem = space.problem(objective)
    else:
        theta = problem.coordinates.from_user(w, b)
        non_smooth = problem.penalty.non_smooth(problem.n_features, len(theta))
        subset = np.flatnonzero(~non_smooth.at_kink(theta))
    subset = np.arange(problem.coordinates.size) if subset is None else subset
    if len(subset) > MOST_COORDINATES:
        return None
    norms, is_resolved = np.zeros(objective.n_samples), True
    if len(subset):
        # Curvature depends on the outputs alone.
        point = Evaluation(w, np.nan, None, z, problem.curvature_of_outputs(z))
        factor = CholeskyFactor(problem.curvature_matrix(point, subset), problem.curvature_rounding)
        norms = problem.norms_of_samples(factor.norms, subset)
        is_resolved = factor.is_trusted
    a, curvature = sigmoid(z), da_dz(z)
    h = objective.normalised_weight * np.square(norms)
    leverage = h * curvature
    with np.errstate(divide="ignore", invalid="ignore"):
        change = h * (a - objective.y) / (1 - leverage)
    return LeftOut(z + np.where(h > 0, change, 0.0), leverage, is_resolved)
