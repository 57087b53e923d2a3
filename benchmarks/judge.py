"""One judge for everyone: the objective and the test scores of (w, b), in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import log_expit


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
