"""What is to be solved: data sets with their penalty, split into a training and a test part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler


@dataclass(frozen=True)
class Problem:
    """A binary classification data set and the strength of its L2 penalty.

    `load` returns X (dense or CSR) and y in {0, 1}; it is called once, when the data are needed.
    """

    name: str
    load: Callable[[], tuple[Any, np.ndarray]]
    C: float = 1.0

    @cached_property
    def split(self) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        """X_train, X_test, y_train, y_test: a stratified quarter is kept for the test."""
        X, y = self.load()
        return train_test_split(X, y, test_size=0.25, stratify=y, random_state=0)


def breast_cancer() -> tuple[np.ndarray, np.ndarray]:
    """569×30, real, columns in different units."""
    return load_breast_cancer(return_X_y=True)


def digits() -> tuple[np.ndarray, np.ndarray]:
    """1797×64, real pixels: is the digit odd?"""
    X, y = load_digits(return_X_y=True)
    return X, y % 2


def different_units() -> tuple[np.ndarray, np.ndarray]:
    """5000×30, generated: standard deviations from 2e-3 to 6e4, off-centre, correlated, noisy."""
    rng = np.random.default_rng(0)
    n_samples, n_features = 5000, 30
    mixing = np.eye(n_features) + 0.3 * rng.standard_normal((n_features, n_features))
    Z = rng.standard_normal((n_samples, n_features)) @ mixing
    z = Z @ rng.standard_normal(n_features) / np.sqrt(n_features)
    y = (z + 2 * rng.logistic(size=n_samples) > 0).astype(np.int64)
    units = rng.permutation(np.geomspace(2e-3, 6e4, n_features))
    return (Z + rng.uniform(-20, 20, n_features)) * units, y


def scaled(load: Callable[[], tuple[Any, np.ndarray]]) -> Callable[[], tuple[Any, np.ndarray]]:
    """Return the loader of the same data with standardised columns."""

    def loader() -> tuple[Any, np.ndarray]:
        X, y = load()
        return StandardScaler().fit_transform(X), y

    return loader


QUICK = [
    Problem("breast cancer, raw", breast_cancer),
    Problem("breast cancer, scaled", scaled(breast_cancer)),
    Problem("digits odd/even, raw", digits),
    Problem("columns in different units", different_units),
]
