"""The end of a run in robust coordinates, in which no curvature is lost in rounding.

Shift and scale of robust coordinates are those of the samples whose class is not certain at the end
of the run; an outlier, whose class is certain, does not determine them. `whitening` examines the
end of a run there for a smooth F, and `root_proximal` with an L1 norm.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import Objective, SomeSamples
from sklearn_bce._objective.dependence import two_product
from sklearn_bce._objective.root import rows_for_products
from sklearn_bce._objective.scaling import Coordinates, FewRows
from sklearn_bce._solvers.newton.loop import Start

# Most elements of the samples whose root or basis is formed: 2²⁷ float64 take 1 GB. [a choice]
MAX_BASIS_ELEMENTS = 2**27


class Examined(NamedTuple):
    """The end of a run in robust coordinates, and what is known about it there.

    Attributes
    ----------
    start : Start
        The end of the run, as the start of another run.
    is_small : bool
        Whether the squared decrement is so small that F is within ``tol`` of its minimum, if the
        curvature holds up to the minimum.
    beyond : SomeSamples
        Samples whose curvature may not hold; see `samples_beyond_model`.
    is_resolved : bool
        Whether columns that are left out of the curvature can lower F by ``tol`` at most.
    loss_left_out : float, default=0.0
        What the samples that are left out add to F at the end of the run, in nats, above the
        tangents to their losses if these are part of the gradient.
    """

    start: Start
    is_small: bool
    beyond: SomeSamples
    is_resolved: bool
    loss_left_out: float = 0.0

    @property
    def is_minimum(self) -> bool:
        """Whether F is within ``tol`` of its minimum, as far as that is resolved."""
        return self.is_small and not len(self.beyond)


def is_too_large(objective: Objective) -> bool:
    """Return whether the samples have more elements than ``MAX_BASIS_ELEMENTS``."""
    return objective.n_samples * objective.n_features > MAX_BASIS_ELEMENTS


def find_beyond(part: Any, theta: Vector, radius: float, norms_of: Any) -> list[SomeSamples]:
    """Return the samples of a part that are beyond the model, as a list of `SomeSamples`.

    The arguments are those of `InMemoryObjective.samples_beyond_model`, with weights θ in place of
    outputs.
    """
    z, rounding = np.empty((2, part.n_samples))
    theta, blocks = rows_for_products(part.X, part.coordinates, theta)
    for rows, Z in blocks:
        z[rows], rounding[rows] = outputs_and_rounding(part, rows, Z, theta)
    rows = part.samples_beyond_model(z, radius, norms_of, rounding)
    return [SomeSamples({part.part_number: rows})]


def outputs_and_rounding(part: Any, rows: Any, Z: Any, theta: Vector) -> tuple[Vector, Vector]:
    """Return the linear outputs of some rows at θ, and how far rounding may move each of them.

    The rounding is that of the largest term of the output. The arguments are those of
    `InMemoryObjective.linear_outputs_of`, after the part.
    """
    if issparse(Z):
        largest = abs(Z.multiply(theta)).max(axis=1).toarray().ravel()
    else:
        largest = np.max(np.abs(Z * theta), axis=1, initial=0.0)
    if part.offset is not None:
        largest = np.maximum(largest, np.abs(part.offset[rows]))
    return part.linear_outputs_of(rows, Z, theta), np.finfo(np.float64).eps * largest


def robust_coordinates(objective: Objective, w: Vector, b: float) -> Coordinates:
    """Return coordinates by the samples whose class is not certain at (w, b), in one pass."""
    (few,) = objective.sum_over_parts(few_rows, np.append(w, b))
    return few.robust_coordinates(objective.coordinates.fit_intercept)


def in_robust_coordinates(objective: Objective, w: Vector, b: float) -> Objective:
    """Return F in `robust_coordinates`; ``objective`` is F in the user's units."""
    return objective.in_coordinates(robust_coordinates(objective, w, b))


def few_rows(part: Any, theta: Vector) -> list[FewRows]:
    """Return a few rows of a part, with their curvature p a(1−a) at the user's weights θ."""
    z = part.linear_outputs(theta[: part.coordinates.size])
    return [FewRows.of(part.X, part.curvature_of_outputs(z))]


def exact_to_user(coordinates: Coordinates, theta: Vector) -> tuple[Vector, float]:
    """Return the weights and the intercept (w, b) of θ, b = c − Σ wμ with one rounding.

    The rounding of the weights, times columns far from 0, is then in part made up for by b.
    """
    w = theta[: len(coordinates.scale)] / coordinates.scale
    if not coordinates.fit_intercept or not np.isfinite(w).all():
        return coordinates.to_user(theta)
    return w, _plus_product(theta[-1], -coordinates.shift, w)


def exact_from_user(coordinates: Coordinates, w: Vector, b: float) -> Vector:
    """Return θ of the weights and the intercept (w, b), c = b + Σ wμ with one rounding."""
    theta = coordinates.from_user(w, b)
    if coordinates.fit_intercept and np.isfinite(theta).all():
        theta[-1] = _plus_product(b, coordinates.shift, w)
    return theta


def _plus_product(b: float, shift: Vector, w: Vector) -> float:
    """Return b + Σ wμ with one rounding; infinity if a term or a sum is too large.

    The factors are multiplied without their exponents, so that their parts do not overflow.
    """
    (m, exponent_of_m), (v, exponent_of_v) = np.frexp(shift), np.frexp(w)
    exponent = exponent_of_m + exponent_of_v
    with np.errstate(over="ignore"):
        terms = [np.ldexp(part, exponent).tolist() for part in two_product(m, v)]
    try:
        return math.fsum([b, *terms[0], *terms[1]])
    except (OverflowError, ValueError):
        return np.inf
