"""One judge for everyone: the objective and the test scores of (w, b), in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_expit


def objective(X: Any, y: np.ndarray, w: np.ndarray, b: float, C: float) -> float:
    """Return F(w, b): the mean cross-entropy in nats plus ‖w‖²/(2·C·n)."""
    w = np.asarray(w, dtype=np.float64)
    return log_loss(X, y, w, b) + float(w @ w) / (2 * C * len(y))


def log_loss(X: Any, y: np.ndarray, w: np.ndarray, b: float) -> float:
    """Return the mean cross-entropy in nats, from the linear output rather than probabilities."""
    z = X @ np.asarray(w, dtype=np.float64) + float(b)
    return float(-np.mean(log_expit(np.where(y == 1, z, -z))))


def accuracy(X: Any, y: np.ndarray, w: np.ndarray, b: float) -> float:
    """Return the share of samples on the right side of z = 0."""
    return float(np.mean((X @ w + b > 0) == (y == 1)))


def gap(X: Any, y: np.ndarray, w: np.ndarray, b: float, C: float) -> float:
    """Return a number that F(w, b) - min F cannot exceed, whoever found (w, b).

    It is the duality gap of F at (w, b'), b' the best intercept for w. With the dual variables
    that belong to w it comes to C·n/2·‖∂F/∂w‖²: F is 1/(C·n)-strongly convex in w once b is
    minimised out. The share of F that b' saves is added.
    """
    n_samples = len(y)
    linear = X @ np.asarray(w, dtype=np.float64)
    best = _best_intercept(linear, y, float(b))
    gradient = X.T @ (expit(linear + best) - y) / n_samples + w / (C * n_samples)
    saved = _mean_loss(linear + float(b), y) - _mean_loss(linear + best, y)
    return float(C * n_samples / 2 * (gradient @ gradient) + max(saved, 0.0))


def _mean_loss(z: np.ndarray, y: np.ndarray) -> float:
    return float(-np.mean(log_expit(np.where(y == 1, z, -z))))


def _best_intercept(linear: np.ndarray, y: np.ndarray, b: float) -> float:
    """Return where the mean loss is least along b, by Newton from a b that is near."""
    for _ in range(20):
        a = expit(linear + b)
        curvature = float(np.mean(a * (1 - a)))
        if not curvature > 0:
            break
        b -= float(np.mean(a - y)) / curvature
    return b
