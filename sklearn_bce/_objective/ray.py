"""F on a ray θ + t·d: by outputs that are held, or by passes over the samples."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq

from sklearn_bce._kernels import Vector, kernels
from sklearn_bce._objective.base import SUM_ROUNDING, BaseObjective, Evaluation

# The largest step length t that an exact search on the ray finds. With at most 1, the whole step,
# breast cancer and digits take 8 or 9 steps instead of 5 or 6; with 1000 they take as many as with
# 10: python -m benchmarks.tuning LARGEST_STEP_LENGTH
LARGEST_STEP_LENGTH = 10.0
# Trials of t in an exact search, at most. If each only halves the interval, 10·2⁻²⁰ = 1e-5 is left.
MAX_SEARCH_STEPS = 20
# Relative size of a Newton step in t at which an exact search ends. Newton's method converges
# quadratically: this step leaves an error of 0.2² = 4 % in t, and that error loses its square, 2 ‰,
# of what F falls by. python -m benchmarks.tuning STEP_LENGTH_TOL
STEP_LENGTH_TOL = 0.2
# How often a step may be halved where no trial reads X: 2⁻⁵⁰·d is lost in the rounding of θ, 2⁻⁵².
MAX_HALVINGS = 50
# How often a step may be halved where each trial takes a pass: 2⁻¹⁰ is a permille. [a choice]
MAX_HALVING_PASSES = 10
# Change of an output, in nats of log-odds, at which its loss is e⁻⁴⁰ = 4e-18 of what it was: less
# than the rounding of any sum that it is part of.
SILENT_OUTPUT = 40.0


class OutputRay:
    """F on a ray for an objective that holds outputs; implements `Ray`.

    Parameters
    ----------
    objective : InMemoryObjective
        F.
    origin : Evaluation
        At θ.
    vector : ndarray of shape (size,)
        d.
    z_direction : ndarray of shape (n_samples,) or None
        Z·d; None if it is not known, so that the first search or the first step reads X.
    """

    def __init__(
        self, objective: Any, origin: Evaluation, vector: Vector, z_direction: Vector | None
    ) -> None:
        self._objective, self._origin, self._vector = objective, origin, vector
        self._z_direction = z_direction
        self._whole_step: Evaluation | None = None

    def evaluate(self, t: float, *, hessian: bool = False, diagonal: bool = False) -> Evaluation:
        """Return the evaluation at t, in one pass."""
        evaluation = self._objective.evaluate(
            self._theta(t), self._outputs(t), hessian=hessian, diagonal=diagonal
        )
        if t == 1.0:
            self._whole_step = evaluation
        return evaluation

    def evaluate_value(self, t: float) -> Evaluation | None:
        """Return the evaluation at t without derivatives; None if Z·d is not known."""
        if self._z_direction is None:
            return None
        theta, z = self._theta(t), self._outputs(t)
        return Evaluation(theta, self._objective.value_at(theta, z), None, z, None)

    def value(self, t: float) -> float:
        """Return F at t, without reading X."""
        return self._objective.value_at(self._theta(t), self._outputs(t))

    def exact_step_length(self) -> float:
        """Return the t where F is least on the ray, to a few percent, by Newton's method in t.

        F is convex on the ray, so its derivative is negative before that t and positive after it.
        """
        derivatives = self.directional_derivatives()
        low, high, t = 0.0, LARGEST_STEP_LENGTH, 1.0
        for _ in range(MAX_SEARCH_STEPS):
            first, second = derivatives(t)
            low, high = (t, high) if first < 0 else (low, t)
            trial = t - first / second if second > 0 else high
            if not low < trial < high:
                trial = (low + high) / 2
            if abs(trial - t) <= STEP_LENGTH_TOL * t:
                return trial
            t = trial
        return t

    def distant_step_length(self) -> float | None:
        """Return the t where F is least, at most where every output has changed past all sight.

        None if F does not fall along d.
        """
        derivatives = self.directional_derivatives()
        farthest = SILENT_OUTPUT / float(np.max(np.abs(self._z_direction)))
        if derivatives(0.0)[0] >= 0:
            return None
        if derivatives(farthest)[0] <= 0:
            return farthest
        return brentq(lambda t: derivatives(t)[0], 0.0, farthest, rtol=STEP_LENGTH_TOL)

    def max_halvings(self, decrement: float) -> int:
        """Return how often a step may be halved: no halving reads X."""
        return MAX_HALVINGS

    def directional_derivatives(self) -> Any:
        """Return the function of t that gives dF/dt and d²F/dt², without reading X."""
        if self._z_direction is None:
            self._z_direction = self._objective.outputs(self._vector)
        objective, penalty = self._objective, self._objective.penalty
        u, du = (v[: objective.n_features] for v in (self._origin.theta, self._vector))
        gradient = penalty.gradient(du)  # linear in du
        penalty_first, penalty_second = float(u @ gradient), float(du @ gradient)
        y, p, z, z_direction = (
            objective.y,
            objective.normalised_weight,
            self._origin.z,
            self._z_direction,
        )
        ray_pass = kernels().ray_pass

        def derivatives(t: float) -> tuple[float, float]:
            first, second = ray_pass(y, z, z_direction, p, t)
            if not penalty.is_smooth:
                first += penalty.directional_derivative(u + t * du, du)
            return first + penalty_first + t * penalty_second, second + penalty_second

        return derivatives

    def _theta(self, t: float) -> Vector:
        return self._origin.theta + t * self._vector

    def _outputs(self, t: float) -> Vector | None:
        """Return z + t·Zd; None if Z·d is not known, neither given nor from the whole step."""
        if self._z_direction is None and self._whole_step is not None:
            self._z_direction = self._whole_step.z - self._origin.z
        return None if self._z_direction is None else self._origin.z + t * self._z_direction


class PassRay:
    """F on a ray for an objective that holds no outputs, so that each t takes a pass.

    It implements `Ray`.

    Parameters
    ----------
    objective : PartitionedObjective
        F.
    origin : Evaluation
        At θ.
    vector : ndarray of shape (size,)
        d.
    """

    def __init__(self, objective: BaseObjective, origin: Evaluation, vector: Vector) -> None:
        self._objective, self._origin, self._vector = objective, origin, vector

    def evaluate(self, t: float, *, hessian: bool = False, diagonal: bool = False) -> Evaluation:
        """Return the evaluation at t, in one pass."""
        return self._objective.evaluate(self._theta(t), hessian=hessian, diagonal=diagonal)

    def evaluate_value(self, t: float) -> None:
        """Return None: the value takes a pass, in which the derivatives come for nothing."""

    def value(self, t: float) -> float:
        """Return F at t, in one pass."""
        return self._objective.value_at(self._theta(t))

    def exact_step_length(self) -> float:
        """Return 1, the whole step: a search would take a pass for each t."""
        return 1.0

    def distant_step_length(self) -> float:
        """Return the t at which an output that d changes by 1 has changed past all sight."""
        return SILENT_OUTPUT

    def max_halvings(self, decrement: float) -> int:
        """Return how often a step may be halved; 0 if its gain is below the rounding of F."""
        rounding = SUM_ROUNDING[self._objective.data_size.dtype] * self._origin.value
        return MAX_HALVING_PASSES if decrement > rounding else 0

    def _theta(self, t: float) -> Vector:
        return self._origin.theta + t * self._vector
