"""F on a ray θ + t·d: from linear outputs in memory, or by passes over the samples."""

from __future__ import annotations

from typing import Any

from scipy.optimize import brentq

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import BaseObjective, Evaluation

# The largest step length t that an exact search on the ray finds. With at most 1, the whole step,
# breast cancer and digits take 8 or 9 steps instead of 5 or 6; with 1000 they take as many as with
# 10: python -m benchmarks.tuning MAX_STEP_LENGTH
MAX_STEP_LENGTH = 10.0
# Most trials of t in an exact search. If each trial halves the interval, its length is at the end
# 10·2⁻²⁰ = 1e-5.
MAX_SEARCH_STEPS = 20
# Relative size of a Newton step in t at which an exact search ends. Newton's method converges
# quadratically: such a step leaves a relative error of 0.2² = 4 % in t, with which the decrease of
# F is too small by the square, 2 ‰. python -m benchmarks.tuning STEP_LENGTH_TOL
STEP_LENGTH_TOL = 0.2
# Most halvings of a step if trials do not read X: 2⁻⁵⁰·d is below the rounding of θ, 2⁻⁵².
MAX_HALVINGS = 50
# Most halvings of a step if each trial takes a pass: t is then 2⁻¹⁰ = 0.001. [a choice]
MAX_HALVING_PASSES = 10
# Change of an output, in log-odds, that changes its loss and curvature by a factor of up to
# e⁻⁴⁰ = 4e-18, less than the rounding of the sum over samples.
NEGLIGIBLE_LOSS_OUTPUT = 40.0


class OutputRay:
    """F on a ray for an objective that keeps linear outputs in memory; implements `Ray`.

    Parameters
    ----------
    objective : InMemoryObjective or DeviceObjective
        F.
    origin : Evaluation
        Evaluation of F at θ, where the ray begins.
    vector : ndarray of shape (size,), float64
        Direction d of the ray.
    z_direction : array of length n_samples or None
        Z·d; None if Z·d is not known, so that the first search or the first step reads X.
    """

    def __init__(
        self, objective: Any, origin: Evaluation, vector: Vector, z_direction: Any
    ) -> None:
        self._objective, self._origin, self._vector = objective, origin, vector
        self._z_direction = z_direction
        self._whole_step: Evaluation | None = None

    def evaluate(self, t: float, *, hessian: bool = False, diagonal: bool = False) -> Evaluation:
        """Return the evaluation at θ + t·d, in one pass; see `Objective.evaluate`."""
        evaluation = self._objective.evaluate(
            self._theta(t), self._outputs(t), hessian=hessian, diagonal=diagonal
        )
        if t == 1.0:
            self._whole_step = evaluation
        return evaluation

    def evaluate_value(self, t: float) -> Evaluation | None:
        """Return the evaluation at θ + t·d without derivatives; None if Z·d is not known."""
        if self._z_direction is None:
            return None
        theta, z = self._theta(t), self._outputs(t)
        return Evaluation(theta, self._objective.value_at(theta, z), None, z, None)

    def value(self, t: float) -> float:
        """Return F(θ + t·d) in nats, without a pass, given that Z·d is known; see `_outputs`."""
        return self._objective.value_at(self._theta(t), self._outputs(t))

    def exact_step_length(self) -> float:
        """Return the t that minimises F on the ray, to a few percent, by Newton's method in t.

        F is convex on the ray: its derivative is negative before the minimum and positive after it,
        so that each trial narrows the interval that contains the minimum. A Newton step that leaves
        the interval is replaced by its midpoint. The result is at most ``MAX_STEP_LENGTH``, and
        within the bounds of the weights.
        """
        derivatives = self.directional_derivatives()
        # A whole step is within the bounds of the weights.
        low, high, t = 0.0, MAX_STEP_LENGTH, 1.0
        if self._objective.penalty.has_bounds:
            high = max(1.0, min(high, self._longest_step))
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
        """Return the t that minimises F on the ray; None if F does not fall along d.

        The result is at most the t at which the output that changes most has changed by
        ``NEGLIGIBLE_LOSS_OUTPUT``, or a weight is at its bound.
        """
        derivatives = self.directional_derivatives()
        farthest = NEGLIGIBLE_LOSS_OUTPUT / self._objective.largest_output(self._z_direction)
        farthest = min(farthest, self._longest_step)
        if derivatives(0.0)[0] >= 0 or not farthest > 0:
            return None
        if derivatives(farthest)[0] <= 0:
            return farthest
        return brentq(lambda t: derivatives(t)[0], 0.0, farthest, rtol=STEP_LENGTH_TOL)

    def max_halvings(self, decrement: float) -> int:
        """Return how often a step may be halved, ``MAX_HALVINGS``: a halving takes no pass."""
        return MAX_HALVINGS

    def directional_derivatives(self) -> Any:
        """Return the function of t that returns dF/dt and d²F/dt² of F(θ + t·d), in nats.

        Each call of that function takes no pass. Making the function takes one if Z·d is not known.
        """
        if self._z_direction is None:
            self._z_direction = self._objective.outputs(self._vector)
        objective, penalty = self._objective, self._objective.penalty
        u, du = (v[: objective.n_features] for v in (self._origin.theta, self._vector))
        gradient = penalty.gradient(du)  # linear in du
        penalty_first, penalty_second = float(u @ gradient), float(du @ gradient)
        z, z_direction, of_loss = self._origin.z, self._z_direction, objective.derivatives_along

        def derivatives(t: float) -> tuple[float, float]:
            first, second = of_loss(z, z_direction, t)
            if not penalty.is_smooth:
                first += penalty.directional_derivative(u + t * du, du)
            return first + penalty_first + t * penalty_second, second + penalty_second

        return derivatives

    def _theta(self, t: float) -> Vector:
        if self._objective.penalty.has_bounds:
            return self._objective.moved(self._origin.theta, t, self._vector)
        return self._origin.theta + t * self._vector

    @property
    def _longest_step(self) -> float:
        """The largest t at which all weights are within their bounds."""
        p = self._objective.n_features
        return self._objective.penalty.longest_step(self._origin.theta[:p], self._vector[:p])

    def _outputs(self, t: float) -> Any:
        """Return the outputs z + t·Zd; None if Z·d is not known.

        Z·d is known if it was given, or as the change of the outputs in an evaluation at t = 1.
        """
        if self._z_direction is None and self._whole_step is not None:
            self._z_direction = self._whole_step.z - self._origin.z
        return None if self._z_direction is None else self._origin.z + t * self._z_direction


class PassRay:
    """F on a ray for an objective without outputs in memory: each t takes a pass.

    The class implements `Ray`.

    Parameters
    ----------
    objective : PartitionedObjective
        F.
    origin : Evaluation
        Evaluation of F at θ, where the ray begins.
    vector : ndarray of shape (size,), float64
        Direction d of the ray.
    """

    def __init__(self, objective: BaseObjective, origin: Evaluation, vector: Vector) -> None:
        self._objective, self._origin, self._vector = objective, origin, vector

    def evaluate(self, t: float, *, hessian: bool = False, diagonal: bool = False) -> Evaluation:
        """Return the evaluation at θ + t·d, in one pass; see `Objective.evaluate`."""
        return self._objective.evaluate(self._theta(t), hessian=hessian, diagonal=diagonal)

    def evaluate_value(self, t: float) -> None:
        """Return None: the value takes a pass, which can as well compute the derivatives."""

    def value(self, t: float) -> float:
        """Return F(θ + t·d) in nats, in one pass."""
        return self._objective.value_at(self._theta(t))

    def exact_step_length(self) -> float:
        """Return 1, the whole step: an exact search would take a pass for each trial."""
        return 1.0

    def distant_step_length(self) -> float | None:
        """Return the t at which an output that d changes by 1 has a negligible loss.

        The result is less if a weight is at its bound before; None if one is at its bound already.
        """
        p = self._objective.n_features
        longest = self._objective.penalty.longest_step(self._origin.theta[:p], self._vector[:p])
        return min(NEGLIGIBLE_LOSS_OUTPUT, longest) or None

    def max_halvings(self, decrement: float) -> int:
        """Return how often a step may be halved, given its squared Newton decrement in nats.

        The result is 0 if the decrement is at most the rounding error of F.
        """
        rounding = self._objective.data_size.sum_rounding * self._origin.value
        return MAX_HALVING_PASSES if decrement > rounding else 0

    def _theta(self, t: float) -> Vector:
        if self._objective.penalty.has_bounds:
            return self._objective.moved(self._origin.theta, t, self._vector)
        return self._origin.theta + t * self._vector
