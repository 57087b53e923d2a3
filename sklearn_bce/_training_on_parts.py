"""What is done where the samples lie elsewhere, in parts: as in `_training`, after a survey."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from sklearn_bce._callbacks import Callbacks
from sklearn_bce._compat import with_callbacks
from sklearn_bce._coordinates import Coordinates
from sklearn_bce._objective import Objective
from sklearn_bce._outcome import warn_of_ignored
from sklearn_bce._parts import Encoding, ObjectiveOfParts, Parts
from sklearn_bce._penalty import ElasticNet
from sklearn_bce._survey import Survey, surveyed
from sklearn_bce._targets import (
    ONLY_BINARY,
    SOFT_CLASSES,
    class_weights_of_mass,
    encoded_as,
    with_class_weights,
)
from sklearn_bce._threads import one_blas_thread
from sklearn_bce._training import Task, carried_out
from sklearn_bce._validation import checked_start, unchanged_on_error, warm_start_of

Vector = NDArray[np.float64]


@with_callbacks
def train_on_parts(neuron: BaseEstimator, parts: Parts, n_threads: int | None = None) -> None:
    """Fit the neuron to samples in parts; changes it.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Its solver is newton or gd.
    parts : Parts
        The samples; it tells the neuron of their features as they are first gone over.
    n_threads : int, default=None
        How many threads a part may use; None means as many as the process may.

    Raises
    ------
    ValueError
        If a parameter or the samples are not what they must be.
    """
    raise_for_unsupported(neuron)
    callbacks = Callbacks.of(neuron)
    warn_of_ignored(neuron)
    with unchanged_on_error(neuron), one_blas_thread() as allowed:
        random_state = check_random_state(neuron.random_state)
        seed = int(random_state.randint(np.iinfo(np.int32).max))
        survey = surveyed(parts, seed, neuron.soft_targets)
        classes, mass = classes_of(neuron, survey)
        of_class = class_weights_of_mass(type(neuron).__name__, classes, mass, neuron.class_weight)
        encode = partial(encoded_part, classes, neuron.soft_targets, of_class)
        mass = mass if of_class is None else mass * of_class
        total_weight = float(np.sum(mass))
        coordinates = Coordinates.of_user(survey.n_features, neuron.fit_intercept)
        penalty = ElasticNet.of(neuron.C, neuron.l1_ratio, total_weight)
        few = few_of(survey, encode, penalty, coordinates)
        if n_threads is None:
            n_threads = allowed
        encoding = Encoding(encode, coordinates, total_weight, n_threads)
        log_odds = float(np.log(mass[1] / mass[0])) if neuron.fit_intercept else 0.0
        objective = ObjectiveOfParts(parts, survey.extent, encoding, penalty, log_odds, few)
        start = checked_start(*warm_start_of(neuron, survey.n_features), survey.n_features)
        objective.n_passes = 1.0
        if callbacks is not None:
            callbacks.fit_begins(None, None, None)
        task = Task(objective, classes, survey.extent.dtype, start, None, random_state)
        interrupt = carried_out(neuron, task, callbacks)
    if interrupt is not None:
        raise interrupt


def raise_for_unsupported(neuron: BaseEstimator) -> None:
    """Raise ValueError for parameters that need all samples at hand."""
    if neuron.solver == "sgd":
        raise ValueError(
            "solver='sgd' goes from sample to sample, and does not go over parts; use 'newton' or "
            "'gd', or partial_fit for each of the parts."
        )
    if neuron.early_stopping:
        raise ValueError("early_stopping=True is not supported for samples in parts.")


def classes_of(neuron: BaseEstimator, survey: Survey) -> tuple[NDArray[Any], Vector]:
    """Return the two classes, and the weight of the samples of each.

    Raises
    ------
    ValueError
        If there are not two.
    """
    if neuron.soft_targets:
        return SOFT_CLASSES, np.array([survey.mass[0], survey.mass[1]])
    kinds = [few.y.dtype for few in survey.few.values()]
    classes = np.array(sorted(survey.mass), dtype=np.result_type(*kinds))
    if len(classes) != 2:
        raise ValueError(f"{ONLY_BINARY} y has the labels {classes.tolist()}.")
    return classes, np.array([survey.mass[label] for label in classes.tolist()])


def encoded_part(
    classes: NDArray[Any],
    soft: bool,
    of_class: Vector | None,
    y: NDArray[Any],
    weight: Vector,
) -> tuple[Vector, Vector]:
    """Return targets in [0, 1] and the weights of a part, those of the classes included."""
    return with_class_weights(encoded_as("y", classes, y, soft), weight, of_class)


def few_of(
    survey: Survey, encode: Any, penalty: ElasticNet, coordinates: Coordinates
) -> Objective | None:
    """Return F on random samples of both classes, which weigh as much as all; None if too few."""
    groups = list(survey.few.values())
    if any(len(few.y) <= coordinates.size for few in groups):
        return None  # on so few there may be no minimum, or one that is far away
    X = [few.X for few in groups]
    X = sp.vstack(X, format="csr") if any(map(sp.issparse, X)) else np.vstack(X)
    y, weight = encode(
        np.concatenate([few.y for few in groups]),
        np.concatenate([few.weight * (few.n_samples / len(few.y)) for few in groups]),
    )
    return Objective(X, y, weight, penalty, coordinates)
