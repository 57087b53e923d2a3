"""The samples that a loss is a sum over, made of what users give."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite

from sklearn_bce._estimator.targets import (
    checked_weights,
    class_weights,
    encoded,
    encoded_as,
    with_class_weights,
)
from sklearn_bce._estimator.validation import checked_samples
from sklearn_bce._kernels import Vector


class Samples(NamedTuple):
    """What the loss is a sum over.

    Attributes
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
    y : ndarray of shape (n_samples,)
        Targets in [0, 1].
    weight : ndarray of shape (n_samples,)
        Weights s; a broadcast scalar where they are all 1.
    """

    X: Any
    y: Vector
    weight: Vector

    def of_rows(self, rows: NDArray[np.intp]) -> Samples:
        """Return some of them."""
        uniform = self.weight.strides == (0,)
        weight = np.broadcast_to(1.0, len(rows)) if uniform else self.weight[rows]
        return Samples(self.X[rows], self.y[rows], weight)


def training_samples(
    neuron: BaseEstimator, X: Any, y: NDArray[Any], sample_weight: Any
) -> tuple[Samples, NDArray[Any], Vector | None]:
    """Return the samples that `fit` was given, the classes, and their weights if there are any.

    Raises
    ------
    ValueError
        If y or the weights are not what they must be.
    """
    name = type(neuron).__name__
    classes, targets = encoded(name, y, neuron.soft_targets)
    weight = checked_weights(X, sample_weight)
    of_class = class_weights(name, classes, targets, weight, neuron.class_weight)
    return Samples(X, *with_class_weights(targets, weight, of_class)), classes, of_class


def given_samples(
    neuron: BaseEstimator,
    classes: NDArray[Any],
    of_class: Vector | None,
    X_val: Any,
    y_val: Any,
    sample_weight_val: Any,
) -> Samples:
    """Return the samples that were given to be held out.

    Raises
    ------
    ValueError
        If they do not go together with each other, or with those to train on.
    """
    if X_val is None or y_val is None:
        missing = "X_val" if X_val is None else "y_val"
        raise ValueError(f"{missing} is missing: X_val and y_val are given together, or neither.")
    X, y = checked_samples(
        neuron, X_val, y_val, reset=False, must_be_finite=False, names=("X_val", "y_val")
    )
    assert_all_finite(X, estimator_name=type(neuron).__name__, input_name="X_val")
    targets = encoded_as("y_val", classes, y, neuron.soft_targets)
    weight = checked_weights(X, sample_weight_val)
    return Samples(X, *with_class_weights(targets, weight, of_class))
