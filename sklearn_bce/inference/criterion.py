"""What is maximised over the weights: the likelihood, or Firth's penalised likelihood.

- `Criterion`: the contract: minus the logarithm of a likelihood, with its derivatives.
- `LikelihoodCriterion`: −l.
- `FirthCriterion`: −l − ½ log det I, with Jeffreys' prior as a penalty.
- `minimise`: Newton's method on a criterion, with a linear condition or without.

Firth's criterion has the score Σ [s(y − a) + h(½ − a)]z with the leverages h = s a(1−a) zᵀI⁻¹z. In
coordinates in which I is the identity, with rows v = Bᵀz, the derivatives of log det I are

    Σ w'‖v‖²v      and      Σ w″‖v‖²vvᵀ − Σ_cd T_acd T_bcd,        T_abc = Σ w′ v_a v_b v_c,

where w = s a(1−a), w′ = w(1−2a) and w″ = w(1−6a(1−a)) are derivatives in z.

References
----------
D. Firth, "Bias Reduction of Maximum Likelihood Estimates", Biometrika 80 (1993). G. Heinze and M.
Schemper, "A Solution to the Problem of Separation in Logistic Regression", Statistics in Medicine
21 (2002).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import SUM_ROUNDING
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce.inference.covariance import whitened_rows
from sklearn_bce.inference.frame import FisherInformation, Frame, Matrix

# Coordinates up to which the second derivatives of log det I are formed: their products take n·k³
# operations, and T takes 2 MB. With more coordinates I takes their place, and Newton's method
# becomes Fisher scoring. [a choice]
MOST_FOR_TENSOR = 64
# Elements of a block of products v_b·v_c, 16 MB. [a choice]
TENSOR_ELEMENTS = 2**21
# Squared Newton decrement, in squared standard errors, at which a minimum is reached.
SQUARED_DECREMENT_AT_END = 1e-20
# Decrement, at least, below which a step whose value does not fall ends the method: the gradient
# decides then, as the decrease is rounding of the value. [a choice]
LEAST_ROUNDING = 1e-9
# Fraction of the predicted decrease that a step must give; Nocedal and Wright, "Numerical
# Optimization", section 3.1.
SUFFICIENT_DECREASE = 1e-4
# Most halvings of a step. [a choice]
MAX_HALVINGS = 40


class Point(NamedTuple):
    """A criterion at one point, with its derivatives in the working coordinates.

    Attributes
    ----------
    v : ndarray of shape (size,), float64
        The point.
    value : float
        The criterion, in nats.
    gradient : ndarray of shape (size,), float64
    hessian : FisherInformation
        Roots of a positive definite matrix of second derivatives, or of what takes its place.
    loss : float
        Σ sL, in nats.
    information : FisherInformation
        −∂²l/∂v².
    """

    v: Vector
    value: float
    gradient: Vector
    hessian: FisherInformation
    loss: float
    information: FisherInformation


class Criterion(Protocol):
    """Minus the logarithm of a likelihood, as a function of the working coordinates v."""

    frame: Frame

    def at(self, v: Vector) -> Point | None:
        """Return the criterion and its derivatives at v; None if I is singular there."""


class LikelihoodCriterion:
    """−l(v) = Σ sL; one pass for each point.

    Parameters
    ----------
    frame : Frame
        Samples and working coordinates.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame

    def at(self, v: Vector) -> Point | None:
        """Return the criterion and its derivatives at v; None if I is singular there."""
        with np.errstate(all="ignore"):  # what overflows is not finite
            point = self.frame.objective.evaluate(v, hessian=True)
        if not (np.isfinite(point.value) and np.isfinite(point.hessian).all()):
            return None
        information = FisherInformation.of(point.hessian)
        if information is None:
            return None
        return Point(v, point.value, point.gradient, information, point.value, information)


class FirthCriterion:
    """−l(v) − ½ log det I(v); two passes for each point.

    Parameters
    ----------
    frame : Frame
        Samples and working coordinates.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self._likelihood = LikelihoodCriterion(frame)

    def at(self, v: Vector) -> Point | None:
        """Return the criterion and its derivatives at v; None if I is singular there."""
        found = self._likelihood.at(v)
        if found is None:
            return None
        W, B = found.information.W, found.information.B
        of_trace, *of_second = self.frame.objective.sum_over_parts(log_determinant_sums, v, B)
        gradient = found.gradient - 0.5 * W @ of_trace
        hessian = found.information
        if of_second:
            quartic, tensor = of_second
            flat = tensor.reshape(len(v), -1)
            exact = FisherInformation.of(np.eye(len(v)) - 0.5 * (quartic - flat @ flat.T))
            if exact is not None:
                hessian = FisherInformation(W @ exact.W, B @ exact.B, exact.least_pivot)
        value = found.value - 0.5 * found.information.log_determinant
        return Point(v, value, gradient, hessian, found.loss, found.information)


def log_determinant_sums(part: InMemoryObjective, v: Vector, B: Matrix) -> list[Matrix]:
    """Return Σ w′‖v‖²v, Σ w″‖v‖²vvᵀ and T over a part; the first one alone if k is large.

    Parameters
    ----------
    part : InMemoryObjective
        Samples, in working coordinates.
    v : ndarray of shape (k,), float64
        The weights.
    B : ndarray of shape (k, k), float64
        Root of I⁻¹ at these.
    """
    k = len(v)
    trace, quartic, tensor = np.zeros(k), np.zeros((k, k)), np.zeros((k, k * k))
    step = max(1, TENSOR_ELEMENTS // k**2)
    for rows, V, a in whitened_rows(part, v, B):
        w = part.sample_weight[rows] * a * (1 - a)
        norms = np.einsum("ij,ij->i", V, V)
        slope = w * (1 - 2 * a)
        trace += V.T @ (slope * norms)
        if k > MOST_FOR_TENSOR:
            continue
        quartic += V.T @ ((w * (1 - 6 * a * (1 - a)) * norms)[:, None] * V)
        for start in range(0, len(V), step):
            some = slice(start, start + step)
            products = (V[some, :, None] * V[some, None, :]).reshape(-1, k * k)
            tensor += (slope[some, None] * V[some]).T @ products
    return [trace] if k > MOST_FOR_TENSOR else [trace, quartic, tensor]


class Minimum(NamedTuple):
    """The minimum of a criterion.

    Attributes
    ----------
    point : Point
        The last point.
    multiplier : float
        m with gradient = m·direction, with a linear condition; else 0.
    n_steps : int
        Number of steps.
    is_reached : bool
        Whether the point is the minimum, up to rounding.
    values : list of float
        The criterion before the first step and after each.
    """

    point: Point
    multiplier: float
    n_steps: int
    is_reached: bool
    values: list[float]


def minimise(
    criterion: Criterion, start: Point, max_steps: int, along: Vector | None = None
) -> Minimum:
    """Return the minimum of a criterion by Newton's method with a line search.

    Parameters
    ----------
    criterion : Criterion
        The criterion.
    start : Point
        Where to start.
    max_steps : int
        Most steps.
    along : ndarray of shape (size,), float64, or None, default=None
        Direction u such that u·v stays what it is at the start; None means no condition.
    """
    point, values = start, [start.value]
    for n_steps in range(max_steps + 1):
        step, multiplier = _newton_step(point, along)
        decrement = float(np.sum(np.square(point.hessian.W.T @ step)))
        if decrement <= SQUARED_DECREMENT_AT_END:
            return Minimum(point, multiplier, n_steps, True, values)
        if n_steps == max_steps:
            break
        after = _line_search(criterion, point, step, decrement)
        if after is None:
            return Minimum(point, multiplier, n_steps, _is_rounding(decrement, point), values)
        point = after
        values.append(point.value)
    return Minimum(point, multiplier, max_steps, False, values)


def _newton_step(point: Point, along: Vector | None) -> tuple[Vector, float]:
    """Return Newton's step, which does not change u·v, and the multiplier of that condition."""
    B = point.hessian.B
    downhill = -(B @ (B.T @ point.gradient))
    if along is None:
        return downhill, 0.0
    towards = B @ (B.T @ along)
    multiplier = -float(along @ downhill) / float(along @ towards)
    return downhill + multiplier * towards, multiplier


def _line_search(
    criterion: Criterion, point: Point, step: Vector, decrement: float
) -> Point | None:
    """Return the point after a step, halved until the value falls; None if it does not fall."""
    t = 1.0
    for _ in range(MAX_HALVINGS):
        after = criterion.at(point.v + t * step)
        if after is not None and after.value <= point.value - SUFFICIENT_DECREASE * t * decrement:
            return after
        if after is not None and _is_rounding(decrement, point):
            # The decrease is rounding: the gradient tells whether the step led nearer.
            return after if _is_nearer(after, point) else None
        t /= 2
    return None


def _is_rounding(decrement: float, point: Point) -> bool:
    """Return whether a decrement is as small as the rounding of the value at a point."""
    return decrement <= max(LEAST_ROUNDING, SUM_ROUNDING[np.dtype(np.float64)] * abs(point.loss))


def _is_nearer(after: Point, before: Point) -> bool:
    """Return whether the gradient after a step is less than half of that before, in norm."""
    B = before.hessian.B
    return bool(np.linalg.norm(B.T @ after.gradient) < 0.5 * np.linalg.norm(B.T @ before.gradient))
