"""The objective and the scores of (w, b) in float64, the same for every competitor."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.optimize import brentq
from scipy.special import entr, expit, log_expit


def objective(
    X: Any,
    y: np.ndarray,
    w: np.ndarray,
    b: float,
    C: float,
    l1_ratio: float = 0.0,
    sample_weight: np.ndarray | None = None,
) -> float:
    """Return F(w, b): the mean cross-entropy in nats plus ((1−ρ)/2·‖w‖² + ρ‖w‖₁)/(C·S).

    The mean is weighted, and S is the sum of the weights. None means that all are 1.
    """
    w = np.asarray(w, dtype=np.float64)
    total = len(y) if sample_weight is None else float(np.sum(sample_weight))
    return log_loss(X, y, w, b, sample_weight) + _penalty(w, l1_ratio) / (C * total)


def _penalty(w: np.ndarray, l1_ratio: float) -> float:
    return float((1 - l1_ratio) / 2 * (w @ w) + l1_ratio * np.sum(np.abs(w)))


def log_loss(
    X: Any, y: np.ndarray, w: np.ndarray, b: float, sample_weight: np.ndarray | None = None
) -> float:
    """Return the mean cross-entropy in nats, from the linear output rather than probabilities."""
    z = X @ np.asarray(w, dtype=np.float64) + float(b)
    return float(-np.average(log_expit(np.where(y == 1, z, -z)), weights=sample_weight))


def accuracy(z: np.ndarray, y: np.ndarray) -> float:
    """Return the fraction of samples whose linear output z is on the right side of 0."""
    return float(np.mean((z > 0) == (y == 1)))


def gap(X: Any, y: np.ndarray, w: np.ndarray, b: float, C: float, l1_ratio: float = 0.0) -> float:
    """Return an upper bound on F(w, b) − min F, for any (w, b), of samples that weigh the same.

    The bound is the duality gap of F at (w, b'), with b' the best intercept for w, plus
    F(w, b) − F(w, b'). The dual variables are the slopes a − y. Where the penalty is the L1 norm
    alone, the dual variables are shrunk until they are feasible.
    """
    n_samples = len(y)
    linear = X @ np.asarray(w, dtype=np.float64)
    best = _best_intercept(linear, y, float(b))
    slope = expit(linear + best) - y
    gradient = X.T @ slope / n_samples
    saved = max(mean_loss(linear + float(b), y) - mean_loss(linear + best, y), 0.0)
    l2, l1 = (1 - l1_ratio) / (C * n_samples), l1_ratio / (C * n_samples)
    if l2 > 0:
        # ½λw² + κ|w| + its conjugate at −g + wg, which is 0 where −g is a slope of the penalty
        excess = np.maximum(np.abs(gradient) - l1, 0.0) * np.sign(gradient)
        of_l1 = l1 * np.abs(w) + w * (gradient - excess)
        return float(np.sum(np.square(l2 * w + excess) / (2 * l2) + of_l1) + saved)
    shrink = min(1.0, l1 / max(float(np.max(np.abs(gradient))), 1e-300))
    primal = mean_loss(linear + best, y) + l1 * float(np.sum(np.abs(w)))
    dual = float(np.mean(entr(y + shrink * slope) + entr(1 - y - shrink * slope)))
    return max(primal - dual, 0.0) + saved


def mean_loss(z: np.ndarray, y: np.ndarray) -> float:
    """Return the mean cross-entropy of linear outputs z, in nats, exact in the tails."""
    return float(-np.mean(log_expit(np.where(y == 1, z, -z))))


def _best_intercept(linear: np.ndarray, y: np.ndarray, b: float) -> float:
    """Return where the mean loss is least along b: where its slope is 0."""

    def slope(at: float) -> float:
        return float(np.mean(expit(linear + at) - y))

    low, high = b, b
    while slope(low) > 0:
        low -= 1 + abs(low)
    while slope(high) < 0:
        high += 1 + abs(high)
    return brentq(slope, low, high, xtol=1e-15, rtol=8.9e-16) if low < high else b
