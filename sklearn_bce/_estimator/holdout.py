"""Samples held out from training: given, or set aside; and the loss on them, pass after pass."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite

from sklearn_bce._estimator.samples import Samples, given_samples
from sklearn_bce._kernels import Vector
from sklearn_bce._solvers import Plateau
from sklearn_bce.chain_rule import binary_cross_entropy, linear_output


class HeldOut:
    """Samples that tell how good a neuron is on others than it learns from.

    Parameters
    ----------
    samples : Samples
        They.
    plateau : Plateau or None
        What tells when the loss on them has ceased to fall, if the fit is to end then, with the
        best weights.
    """

    def __init__(self, samples: Samples, plateau: Plateau | None) -> None:
        self.samples, self.plateau = samples, plateau
        self._normalised_weight = samples.weight / np.sum(samples.weight)

    def loss(self, w: Vector, b: float) -> float:
        """Return their mean loss, in nats, without the penalty."""
        z = linear_output(self.samples.X, w, b)
        return float(self._normalised_weight @ binary_cross_entropy(self.samples.y, z))


def set_aside(
    neuron: BaseEstimator, samples: Samples, random_state: Any
) -> tuple[Samples, Samples]:
    """Return the samples in two parts, to train on and to be held out.

    The second has ``validation_fraction`` of them: of labels, as many of either class as is its
    share.

    Raises
    ------
    ValueError
        If there are too few for that.
    """
    rest, aside = train_test_split(
        np.arange(len(samples.y)),
        test_size=neuron.validation_fraction,
        stratify=None if neuron.soft_targets else samples.y,
        random_state=random_state,
    )
    training, other = samples.of_rows(np.sort(rest)), samples.of_rows(np.sort(aside))
    if not issparse(other.X):
        assert_all_finite(other.X, estimator_name=type(neuron).__name__, input_name="X")
    if not (np.any(training.weight) and np.any(other.weight)):
        raise ValueError(
            f"validation_fraction={neuron.validation_fraction} leaves no weight to one of the two "
            "parts; give X_val and y_val instead."
        )
    return training, other


def held_out(
    neuron: BaseEstimator,
    samples: Samples,
    classes: NDArray[Any],
    of_class: Vector | None,
    given: tuple[Any, Any, Any],
    random_state: Any,
) -> tuple[Samples, HeldOut | None]:
    """Return what to train on, and what is held out, if anything is.

    Parameters
    ----------
    given : tuple (X_val, y_val, sample_weight_val)
        What `fit` was given.
    """
    plateau = Plateau(neuron.tol, neuron.n_iter_no_change) if neuron.early_stopping else None
    if any(argument is not None for argument in given):
        return samples, HeldOut(given_samples(neuron, classes, of_class, *given), plateau)
    if plateau is None:
        return samples, None
    training, other = set_aside(neuron, samples, random_state)
    return training, HeldOut(other, plateau)
