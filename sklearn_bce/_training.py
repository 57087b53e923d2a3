"""What `fit` does: check, train by a solver, and leave the attributes of a fitted neuron."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state

from sklearn_bce._callbacks import Callbacks
from sklearn_bce._held_out import held_out, training_samples
from sklearn_bce._objective import Objective
from sklearn_bce._outcome import (
    fit_attributes,
    forget,
    neuron_attributes,
    raise_for_overflow,
    warn_of_end,
    warn_of_ignored,
)
from sklearn_bce._parameters import settings_of
from sklearn_bce._rows import NotFiniteError
from sklearn_bce._solvers import SOLVERS, choose
from sklearn_bce._threads import one_blas_thread
from sklearn_bce._validation import (
    checked_samples,
    checked_start,
    unchanged_on_error,
    warm_start_of,
)
from sklearn_bce._watch import FitWatch


def train(
    neuron: BaseEstimator,
    X: Any,
    y: Any,
    sample_weight: Any,
    given: tuple[Any, Any, Any],
    init: tuple[Any, Any],
) -> BaseEstimator:
    """Do as `BCENeuronClassifier.fit` says.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Changed, unless this raises something other than a KeyboardInterrupt after its first pass.
    X, y, sample_weight : as given to `fit`
    given : tuple (X_val, y_val, sample_weight_val)
    init : tuple (coef_init, intercept_init)
    """
    callbacks = Callbacks.of(neuron)
    warn_of_ignored(neuron)
    with unchanged_on_error(neuron), one_blas_thread() as n_threads:
        X, y = checked_samples(neuron, X, y)
        samples, classes, of_class = training_samples(neuron, X, y, sample_weight)
        start = checked_start(*warm_start_of(neuron, X, *init), X.shape[1])
        random_state = check_random_state(neuron.random_state)
        samples, others = held_out(neuron, samples, classes, of_class, given, random_state)
        attributes = partial(neuron_attributes, classes, X.dtype)
        if callbacks is not None:
            callbacks.fit_begins(X, y, sample_weight, attributes)
        watch = FitWatch(others, callbacks)
        solver, interrupt = choose(neuron.solver), None
        settings = settings_of(neuron, random_state, watch)
        objective = Objective.in_user_units(
            *samples, neuron.C, neuron.l1_ratio, neuron.fit_intercept, n_threads
        )
        try:
            with np.errstate(over="ignore", invalid="ignore"):  # told apart by the result
                result = SOLVERS[solver].solve(objective, *start, settings)
            raise_for_overflow(neuron, solver, result)
            result = watch.chosen(result)
            if neuron.tol > 0 and not result.stopped:
                warn_of_end(neuron, solver, result, objective)
        except NotFiniteError:
            assert_all_finite(X, estimator_name=type(neuron).__name__, input_name="X")
            raise
        except KeyboardInterrupt as error:
            result, interrupt = watch.result_so_far(), error
            if result is None:
                raise
            result = watch.chosen(result)
        forget(neuron)
        vars(neuron).update(attributes(result.w, result.b))
        vars(neuron).update(fit_attributes(solver, result) | watch.attributes())
        neuron._total_weight = objective.total_weight
        if result.memory is not None:
            neuron._memory = result.memory
        if callbacks is not None and interrupt is None:
            try:
                callbacks.fit_ends()
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt
    return neuron
