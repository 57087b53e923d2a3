"""The penalty on the weights, and the bounds that they keep. It does not depend on data.

`Penalty` is the contract that objectives and solvers rely on; `ElasticNet` is the only
implementation, and `SeparablePenalty` its base class. `NonSmooth` is the part of a penalty that is
not differentiable, for loops over coordinates. To add a penalty, add a class to this module; if its
proximal operator is not soft-thresholding between bounds, also change the kernel include
``_kernels/soft_threshold.pxd``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import Vector, uniform
from sklearn_bce._kernels.reference import soft_threshold

# Upper limit of the strengths λ (nats per squared unit of a weight) and κ (nats per unit) after a
# change of units. The largest float64 is 1.8e308, so that the product with a weight of up to 1000
# is finite.
MAX_STRENGTH = 1e305
# Rounding errors of a weight θ + t·d, or of a change of its unit, as a multiple of ε and of the
# terms: one of the product, one of the sum, and one of the bound itself, rounded up.
BOUND_ROUNDING = 4 * float(np.finfo(np.float64).eps)


class NonSmooth(NamedTuple):
    """R(v) = Σ κᵢ|vᵢ| for lowerᵢ <= vᵢ <= upperᵢ, and infinity elsewhere, for n coordinates.

    A coordinate is at a kink where R is not differentiable in it: at 0 if κ is above 0, and at a
    bound. At the minimum of a smooth function plus R it may rest there.

    Attributes
    ----------
    l1 : ndarray of shape (n,), float64
        κ, at least 0.
    lower, upper : ndarray of shape (n,), float64
        Bounds; infinite where there is none. Both have the stride 0 if there are no bounds at all.
    """

    l1: Vector
    lower: Vector
    upper: Vector

    @property
    def has_bounds(self) -> bool:
        """Whether a coordinate may have a bound."""
        return self.lower.strides != (0,)

    def of(self, subset: Any) -> NonSmooth:
        """Return R as a function of some of the coordinates, given by an index."""
        l1 = self.l1[subset]
        if not self.has_bounds:
            return NonSmooth(l1, self.lower[: len(l1)], self.upper[: len(l1)])
        return NonSmooth(l1, self.lower[subset], self.upper[subset])

    def at_kink(self, v: Vector) -> NDArray[np.bool_]:
        """Return whether each coordinate is at a kink."""
        at_zero = (v == 0) & (self.l1 > 0)
        if not self.has_bounds:
            return at_zero
        return at_zero | (v == self.lower) | (v == self.upper)

    def slope(self, v: Vector) -> Vector:
        """Return κ·sign(v), the derivative of R in the coordinates that are not at a kink."""
        return self.l1 * np.sign(v)

    def least_subgradient(self, v: Vector, gradient: Vector) -> Vector:
        """Return the subgradient of least absolute value in each coordinate, of shape (n,).

        That is of a function with the given gradient plus R. All entries are 0 if and only if v is
        the minimum of that function over each coordinate.
        """
        right = gradient + np.where(v >= 0, self.l1, -self.l1)
        left = gradient + np.where(v > 0, self.l1, -self.l1)
        if self.has_bounds:
            right[v >= self.upper], left[v <= self.lower] = np.inf, -np.inf
        return np.minimum(np.maximum(left, 0.0), right)

    def linear_interval(self, v: Vector) -> tuple[Vector, Vector]:
        """Return the ends of the intervals about v in which R is linear, for v not at a kink."""
        lower = np.where((self.l1 > 0) & (v > 0), 0.0, -np.inf)
        upper = np.where((self.l1 > 0) & (v < 0), 0.0, np.inf)
        if self.has_bounds:
            lower, upper = np.maximum(lower, self.lower), np.minimum(upper, self.upper)
        return lower, upper


class Penalty(Protocol):
    """A separable penalty P(u) = Q(u) + R(u) on the weights u, on the scale of the mean loss, nats.

    Q is a quadratic form with a diagonal matrix, so that the gradient of Q is linear in u. R is
    convex, not differentiable at 0, and infinite outside of the bounds of the weights. The weights
    u are an ndarray of shape (n_features,), float64, in the units of the coordinates that the
    penalty was made for. The intercept is not penalised and is not an entry of u. No method changes
    its arguments.

    Attributes
    ----------
    l2, l1 : float or ndarray of shape (n_features,), float64
        Strengths λ of Q and κ of R: an array has one for each weight, a number is that of all.
    lower, upper : float or ndarray of shape (n_features,), float64
        Bounds of the weights; infinite where there is none.
    is_smooth : bool
        Whether R(u) is 0 for every u. The rule that finds Newton's directions depends on this.
    has_bounds : bool
        Whether a weight may have a bound.
    """

    l2: Any
    l1: Any
    lower: Any
    upper: Any

    @property
    def is_smooth(self) -> bool: ...

    @property
    def has_bounds(self) -> bool: ...

    def value(self, u: Vector) -> float:
        """Return P(u), in nats, for weights u within the bounds."""

    def gradient(self, u: Vector) -> Vector:
        """Return ∂Q/∂u, an ndarray of shape (n_features,)."""

    def curvature_diagonal(self, n_features: int) -> Vector:
        """Return the diagonal of ∂²Q/∂u², shape (n_features,), which the caller must not change."""

    def directional_derivative(self, u: Vector, du: Vector) -> float:
        """Return the right derivative of R(u + t·du) with respect to t at t = 0, in nats."""

    def prox(self, u: Vector, eta: Any) -> Vector:
        """Return the v that minimises R(v) + ‖v − u‖²/(2η), for a step size η > 0.

        The result, of shape (n_features,), may be u itself.
        """

    def on_bounds(self, u: Vector, rounding: Vector) -> Vector:
        """Return the weights with those at a bound but for rounding set to the bound.

        ``rounding``, of shape (n_features,), has the rounding errors of the weights. The result may
        be u itself.
        """

    def longest_step(self, u: Vector, du: Vector) -> float:
        """Return the largest t for which u + t·du is within the bounds; may be infinite."""

    def non_smooth(self, n_features: int, size: int) -> NonSmooth:
        """Return R as a function of the ``size`` coordinates of θ: the intercept has no kink."""

    def can_recede(self, n_features: int) -> NDArray[np.bool_]:
        """Return whether each weight can go to infinity, in one direction, while P stays finite."""

    def of_features(self, features: NDArray[np.intp], n_features: int) -> Penalty:
        """Return the bounds of some of the n_features weights, as a penalty of the strengths 0."""

    def subgradient_excess(self, u: Vector, gradient: Vector) -> Vector:
        """Return, for each weight, the distance of −gradient from the subdifferential of R at u.

        If ``gradient`` is that of the smooth part of an objective, all entries of the result, of
        shape (n_features,), are 0 if and only if u minimises the objective over the weights.
        """

    def conjugate(self, gradient: Vector) -> float:
        """Return max Σ gᵢuᵢ − P(u) over the weights u within the bounds, in nats.

        If λᵢ is 0 and no bound ends the growth of uᵢ, |gᵢ| must be at most κᵢ but for rounding.
        """

    def times(self, factor: float) -> Penalty:
        """Return factor·P(u), for a positive factor."""

    def in_units(self, scale: Vector) -> Penalty:
        """Return the same penalty as a function of v = scale·u.

        The scale is an ndarray of shape (n_features,) of positive numbers.
        """


class SeparablePenalty:
    """What follows from the strengths and the bounds of a penalty; base class of penalties.

    Attributes
    ----------
    l2, l1, lower, upper : float or ndarray of shape (n_features,), float64
        As of `Penalty`. The default bounds, infinite numbers (and not arrays), mean that there are
        none.
    """

    l2: Any
    l1: Any
    lower: Any = -np.inf
    upper: Any = np.inf

    @cached_property
    def has_bounds(self) -> bool:
        """Whether ``lower`` or ``upper`` is anything but the infinite number."""
        is_number = type(self.lower) is type(self.upper) is float
        return not (is_number and self.lower == -np.inf and self.upper == np.inf)

    def on_bounds(self, u: Vector, rounding: Vector) -> Vector:
        """Return the weights with those at a bound but for rounding set to the bound.

        ``rounding``, of shape (n_features,), has the rounding errors of the weights. The result is
        u itself if there are no bounds.
        """
        if not self.has_bounds:
            return u
        for bound in (self.lower, self.upper):
            with np.errstate(invalid="ignore"):  # ∞ − ∞
                u = np.where(np.abs(u - bound) <= rounding, bound, u)
        return u

    def longest_step(self, u: Vector, du: Vector) -> float:
        """Return the largest t for which u + t·du is within the bounds; infinite without bounds."""
        if not self.has_bounds:
            return np.inf
        with np.errstate(divide="ignore", invalid="ignore"):
            room = np.where(du > 0, self.upper - u, self.lower - u) / du
        return max(float(np.min(room, where=du != 0, initial=np.inf)), 0.0)

    def non_smooth(self, n_features: int, size: int) -> NonSmooth:
        """Return R as a function of the ``size`` coordinates of θ: the intercept has no kink."""
        l1 = np.zeros(size)
        l1[:n_features] = self.l1
        lower, upper = uniform(-np.inf, size), uniform(np.inf, size)
        if self.has_bounds:
            lower, upper = lower.copy(), upper.copy()
            lower[:n_features], upper[:n_features] = self.lower, self.upper
        return NonSmooth(l1, lower, upper)

    def can_recede(self, n_features: int) -> NDArray[np.bool_]:
        """Return whether each weight can go to infinity, in one direction, while P stays finite."""
        is_penalised = (np.asarray(self.l2) > 0) | (np.asarray(self.l1) > 0)
        is_bounded = np.isfinite(self.lower) & np.isfinite(self.upper)
        return np.broadcast_to(~(is_penalised | is_bounded), n_features)

    def of_features(self, features: NDArray[np.intp], n_features: int) -> ElasticNet:
        """Return the bounds of some of the n_features weights, as a penalty of the strengths 0."""
        if not self.has_bounds:
            return NO_PENALTY
        bounds = (np.broadcast_to(bound, n_features) for bound in (self.lower, self.upper))
        return NO_PENALTY.with_bounds(*(bound[features] for bound in bounds))

    def conjugate(self, gradient: Vector) -> float:
        """Return max Σ gᵢuᵢ − P(u) over the weights u within the bounds, in nats.

        Without bounds that is Σ max(|g| − κ, 0)²/(2λ) over the weights with λ > 0. If λ is 0 and no
        bound ends the growth of u, |g| must be at most κ; what is above κ counts as rounding.
        """
        excess = np.maximum(np.abs(gradient) - self.l1, 0.0)
        l2 = self.curvature_diagonal(len(gradient))
        with np.errstate(over="ignore"):
            if not self.has_bounds:
                terms = np.divide(excess**2, 2 * l2, out=np.zeros_like(excess), where=l2 > 0)
                return float(np.sum(terms))
            size = np.divide(excess, l2, out=np.full_like(excess, np.inf), where=l2 > 0)
        size[excess == 0] = 0.0
        u = np.clip(np.sign(gradient) * size, self.lower, self.upper)
        u[np.isinf(u)] = 0.0
        return float(np.sum(gradient * u - l2 / 2 * np.square(u) - self.l1 * np.abs(u)))


@dataclass(frozen=True)
class ElasticNet(SeparablePenalty):
    """Penalty ½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ| with two strengths and bounds for each weight.

    The class implements `Penalty`. In the user's units every λᵢ is (1−ρ)/(C·S) and every κᵢ is
    ρ/(C·S), where ρ is ``l1_ratio`` and S the sum of the sample weights, unless the strengths are
    multiplied by factors. As a function of uᵢ = σᵢwᵢ the same penalty has the strengths λᵢ/σᵢ² and
    κᵢ/σᵢ.

    Parameters
    ----------
    l2, l1 : float or ndarray of shape (n_features,), float64
        λ and κ, at least 0, on the scale of the mean loss in nats. If ``l1`` is the number 0.0 (and
        not an array), the penalty has no L1 norm.
    lower, upper : float or ndarray of shape (n_features,), float64
        Bounds of the weights, lower <= upper. The default, infinite numbers (and not arrays), means
        that there are none.
    source : tuple (ElasticNet, ndarray of shape (n_features,)) or None, default=None
        The penalty from which `in_units` made this one, and its scale. Strengths in other units are
        computed from those, because the ones in between may have overflowed. None means that there
        is no such penalty.
    """

    l2: Any
    l1: Any = 0.0
    lower: Any = -np.inf
    upper: Any = np.inf
    source: tuple[ElasticNet, Vector] | None = None

    @classmethod
    def of(cls, C: float, l1_ratio: float, total_weight: float) -> ElasticNet:
        """Return 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁], where ρ is l1_ratio and S is total_weight.

        C is in (0, inf]; inf gives a penalty that is 0.

        Raises
        ------
        ValueError
            If 1/(C·S) overflows.
        """
        divisor = float(C * total_weight)
        strength = 1 / divisor if divisor else np.inf  # 0 for C = inf
        if strength == np.inf:
            raise ValueError(f"C={C} is too small: the penalty 1/(C·{total_weight:g}) overflows.")
        return cls((1 - l1_ratio) * strength, float(l1_ratio * strength))

    def with_factors(self, factor: Vector) -> ElasticNet:
        """Return the penalty with the strengths fλ and fκ, f of shape (n_features,), at least 0."""
        with np.errstate(over="ignore"):
            l1 = np.minimum(factor * self.l1, MAX_STRENGTH) if self._has_norm else 0.0
            l2 = np.minimum(factor * self.l2, MAX_STRENGTH)
        return replace(self, l2=l2, l1=l1, source=None)

    def of_standard_weights(self, deviation: Vector) -> ElasticNet:
        """Return this penalty of the weights σw as a function of the weights w.

        The strengths are λσ² and κσ. The deviation σ, of shape (n_features,), is positive.
        """
        return replace(self.in_units(1 / deviation), source=(self, 1 / deviation))

    def with_bounds(self, lower: Any, upper: Any) -> ElasticNet:
        """Return the penalty with other bounds of the weights, in the present units."""
        return replace(self, lower=lower, upper=upper)

    @cached_property
    def is_smooth(self) -> bool:
        """Whether the penalty has no L1 norm (``l1`` is the number 0.0) and no bounds."""
        return not (self._has_norm or self.has_bounds)

    @property
    def _has_norm(self) -> bool:
        """Whether ``l1`` is anything but the number 0.0."""
        return not (type(self.l1) is float and self.l1 == 0.0)

    def value(self, u: Vector) -> float:
        """Return ½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ|, in nats, for weights u within the bounds."""
        smooth = float(0.5 * np.dot(u, self.l2 * u))
        return smooth + float(np.sum(self.l1 * np.abs(u))) if self._has_norm else smooth

    def gradient(self, u: Vector) -> Vector:
        """Return λᵢuᵢ, the gradient of the smooth part, of shape (n_features,)."""
        return self.l2 * u

    def curvature_diagonal(self, n_features: int) -> Vector:
        """Return λ, of shape (n_features,), a view that the caller must not change."""
        return self.l2 if isinstance(self.l2, np.ndarray) else uniform(self.l2, n_features)

    def directional_derivative(self, u: Vector, du: Vector) -> float:
        """Return the right derivative of Σ κᵢ|uᵢ + t·duᵢ| with respect to t at t = 0, in nats."""
        if not self._has_norm:
            return 0.0
        return float(np.sum(self.l1 * np.where(u == 0, np.abs(du), np.sign(u) * du)))

    def prox(self, u: Vector, eta: Any) -> Vector:
        """Return sign(u)·max(|u| − ηκ, 0), or the nearest bound if that is outside of the bounds.

        The result is a new array; u itself if there is neither an L1 norm nor a bound.
        """
        v = soft_threshold(u, eta * self.l1) if self._has_norm else u
        return np.clip(v, self.lower, self.upper) if self.has_bounds else v

    def subgradient_excess(self, u: Vector, gradient: Vector) -> Vector:
        """Return the distance of −gradient from the subdifferential of R at u, for each weight.

        Without bounds that is max(|g| − κ, 0) for weights that are 0, and |g + κ·sign(u)| for the
        others.
        """
        if self.has_bounds:
            return np.abs(self.non_smooth(len(u), len(u)).least_subgradient(u, gradient))
        at_zero = np.maximum(np.abs(gradient) - self.l1, 0.0)
        return np.where(u == 0, at_zero, np.abs(gradient + self.l1 * np.sign(u)))

    def times(self, factor: float) -> ElasticNet:
        """Return the penalty with the strengths factor·λ and factor·κ, and the same bounds."""
        return replace(self, l2=factor * self.l2, l1=factor * self.l1, source=None)

    def in_units(self, scale: Vector) -> ElasticNet:
        """Return the same penalty as a function of v = scale·u, with λ/scale² and κ/scale.

        Strengths above ``MAX_STRENGTH`` are set to that number.
        """
        of, unit = self, scale
        if self.source is not None:
            of, unit = self.source[0], self.source[1] * scale
        with np.errstate(over="ignore"):
            l1 = np.minimum(of.l1 / unit, MAX_STRENGTH) if self._has_norm else of.l1
            l2 = np.minimum(of.l2 / unit / unit, MAX_STRENGTH)
            if not self.has_bounds:
                return ElasticNet(l2, l1)
            return ElasticNet(l2, l1, self.lower * scale, self.upper * scale)


NO_PENALTY = ElasticNet(0.0)
