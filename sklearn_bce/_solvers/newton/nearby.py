"""Derivatives of the loss at one point, from which fits to nearly the same samples start.

The sums of gradient and curvature over disjoint samples add up. Those of all samples less those of
a fold that is held out are those of the others, so that their curvature is not summed again, and
a Newton step to their minimum takes no pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import NO_PENALTY, Penalty
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.newton.cost import TYPICAL_PRODUCTS, CostModel
from sklearn_bce._solvers.newton.inverse import CholeskyFactor

# Nanoseconds of a curvature up to which the derivatives save no time: small data are fitted in one
# compiled call, the general loop takes so much longer. python -m benchmarks.tuning LEAST_CURVATURE
LEAST_CURVATURE = 6e5
# Elements of the rows that are copied at once to sum their derivatives: 8 MB of float64. [a choice]
COPIED_ELEMENTS = 2**20


@dataclass(frozen=True)
class LossDerivatives:
    """Derivatives of Σ sL, the weighted sum of the losses of some samples, at one point.

    Attributes
    ----------
    coordinates : Coordinates
        Coordinates of θ.
    theta : ndarray of shape (size,), float64
        θ.
    gradient : ndarray of shape (size,), float64
        Gradient, in nats times the unit of the weights s.
    hessian : ndarray of shape (size, size), float64
        Second derivatives.
    total_weight : float
        Σ s.
    rounding : float
        Relative rounding error of the second derivatives.
    """

    coordinates: Coordinates
    theta: Vector
    gradient: Vector
    hessian: NDArray[np.float64]
    total_weight: float
    rounding: float

    @classmethod
    def at(cls, problem: Objective, theta: Vector) -> Self:
        """Return the derivatives of all samples of an objective at θ, in one pass."""
        point = problem.with_penalty(NO_PENALTY).evaluate(theta, hessian=True)
        total = problem.total_weight
        hessian = point.take_hessian()
        hessian *= total
        rounding = problem.curvature_rounding
        return cls(problem.coordinates, theta, total * point.gradient, hessian, total, rounding)

    @classmethod
    def of_rows(
        cls, problem: InMemoryObjective, theta: Vector, rows: NDArray[np.intp]
    ) -> LossDerivatives | None:
        """Return the derivatives of some samples; None if none of them has a weight.

        Parameters
        ----------
        problem : InMemoryObjective
            F over these samples and others.
        theta : ndarray of shape (size,), float64
            θ.
        rows : ndarray of shape (n,), intp
            Indices of the samples.
        """
        rows = rows[problem.sample_weight[rows] > 0]
        n_rows = max(1, COPIED_ELEMENTS // problem.n_features)
        found = None
        for start in range(0, len(rows), n_rows):
            block = rows[start : start + n_rows]
            more = cls.at(problem.of_rows(block, np.ones(len(block))), theta)
            found = more if found is None else found.plus(more)
        problem.passes.add(len(rows) / problem.n_samples)
        return found

    def plus(self, other: LossDerivatives, sign: float = 1.0) -> LossDerivatives:
        """Return the sum of both derivatives, or their difference if ``sign`` is −1."""
        return LossDerivatives(
            self.coordinates,
            self.theta,
            self.gradient + sign * other.gradient,
            self.hessian + sign * other.hessian,
            self.total_weight + sign * other.total_weight,
            self.rounding,
        )

    def without(self, other: LossDerivatives | None) -> LossDerivatives:
        """Return the derivatives of the samples that are not in ``other``, a part of the samples.

        Curvature of a column that is nothing but rounding is set to 0. None means no samples.
        """
        if other is None:
            return self
        rest = self.plus(other, -1.0)
        rounding = len(self.theta) * self.rounding
        is_constant = rest.hessian.diagonal() <= rounding * self.hessian.diagonal()
        rest.hessian[is_constant] = 0.0
        rest.hessian[:, is_constant] = 0.0
        return rest

    def curvature(self, penalty: Penalty) -> NDArray[np.float64]:
        """Return H, the second derivatives of the mean loss plus a penalty in units of θ."""
        matrix = self.hessian / self.total_weight
        strengths = penalty.curvature_diagonal(len(self.coordinates.scale))
        matrix.ravel()[:: len(matrix) + 1][: len(strengths)] += strengths
        return matrix

    def predicted_minimum(self, objective: Objective) -> tuple[Vector, float]:
        """Return weights and intercept at the end of a Newton step from θ, in the user's units.

        ``objective`` is F in these units, with a penalty without an L1 norm and bounds.
        """
        penalty = objective.penalty.in_units(self.coordinates.scale)
        gradient, u = self.gradient / self.total_weight, self.theta[: objective.n_features]
        gradient[: len(u)] += penalty.gradient(u)
        factor = CholeskyFactor(self.curvature(penalty), self.rounding)
        return self.coordinates.to_user(self.theta - factor(gradient))


class NearbyState(NamedTuple):
    """What a fit that starts near its minimum knows, as the ``path_state`` of `Settings`.

    Attributes
    ----------
    derivatives : LossDerivatives
        Derivatives of the loss of nearly these samples.
    is_expected_minimum : bool
        Whether the curvature is that at the minimum, but for the difference of the samples. False
        if the penalty has been another.
    """

    derivatives: LossDerivatives
    is_expected_minimum: bool


def derivatives_save_time(objective: Objective, n_fits: int) -> bool:
    """Return whether one sum of the curvature saves time in fits to nearly the same samples.

    Parameters
    ----------
    objective : Objective
        F in any coordinates.
    n_fits : int
        Number of these fits.
    """
    costs = CostModel.of(objective)
    products = n_fits * TYPICAL_PRODUCTS
    return costs.curvature > LEAST_CURVATURE and costs.products <= products
