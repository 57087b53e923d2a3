"""What an objective is at one place: all that its neighbourhood can be computed from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]


class Point(NamedTuple):
    """The objective at one θ, with what its neighbourhood can be computed from.

    Attributes
    ----------
    theta : ndarray of shape (size,)
        Where.
    value : float
        F, in nats per unit of weight.
    gradient : ndarray of shape (size,) or None
        ∂F/∂θ; None at a point where nobody is to go on from.
    z : ndarray of shape (n_samples,) or None
        Linear outputs; None where the samples lie elsewhere.
    curvature : ndarray of shape (n_samples,), or what stands for it elsewhere, or None
        p a(1−a), each sample's own curvature; None where nobody is to go on from.
    hessian : ndarray of shape (size, size) or None
        ∂²F/∂θ², where it was asked for.
    diagonal : ndarray of shape (size,) or None
        Its diagonal, where that was asked for.
    """

    theta: Vector
    value: float
    gradient: Vector | None
    z: Vector | None
    curvature: Any
    hessian: NDArray[np.float64] | None = None
    diagonal: Vector | None = None
