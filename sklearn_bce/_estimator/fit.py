"""What `fit` does: check, train by a solver, and leave the attributes of a fitted neuron."""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state

from sklearn_bce._estimator.diagnostics import raise_for_overflow, warn_of_end, warn_of_ignored
from sklearn_bce._estimator.holdout import HeldOut, held_out
from sklearn_bce._estimator.monitor import Callbacks, FitMonitor
from sklearn_bce._estimator.parameters import settings_of
from sklearn_bce._estimator.samples import training_samples
from sklearn_bce._estimator.state import clear_fit_state, fit_attributes, neuron_attributes
from sklearn_bce._estimator.validation import (
    checked_samples,
    checked_start,
    unchanged_on_error,
    warm_start_of,
)
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.partitioned import PartitionedObjective
from sklearn_bce._objective.rows import NotFiniteError
from sklearn_bce._solvers import SOLVERS, Result, StopReason, choose


class Task(NamedTuple):
    """What a solver is to do, and what becomes of it.

    Attributes
    ----------
    objective : Objective or ObjectiveOfParts
        In the user's units.
    classes : ndarray of shape (2,)
        The two labels.
    dtype : dtype
        Of the weights that are left.
    start : tuple (w, b)
        Where to start.
    held_out : HeldOut or None
        Samples to take the loss on.
    random_state : RandomState
        For the solver.
    """

    objective: InMemoryObjective | PartitionedObjective
    classes: NDArray[Any]
    dtype: np.dtype[Any]
    start: tuple[NDArray[np.float64], float]
    held_out: HeldOut | None
    random_state: Any


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
        start = checked_start(*warm_start_of(neuron, X.shape[1], *init), X.shape[1])
        random_state = check_random_state(neuron.random_state)
        samples, others = held_out(neuron, samples, classes, of_class, given, random_state)
        objective = InMemoryObjective.in_user_units(
            *samples, neuron.C, neuron.l1_ratio, neuron.fit_intercept, n_threads
        )
        if callbacks is not None:
            callbacks.fit_begins(X, y, sample_weight)
        try:
            task = Task(objective, classes, X.dtype, start, others, random_state)
            interrupt = run_fit(neuron, task, callbacks)
        except NotFiniteError:
            assert_all_finite(X, estimator_name=type(neuron).__name__, input_name="X")
            raise
    if interrupt is not None:
        raise interrupt
    return neuron


def run_fit(
    neuron: BaseEstimator, task: Task, callbacks: Callbacks | None
) -> KeyboardInterrupt | None:
    """Have the solver do its task and leave its result to the neuron; changes that.

    Return the Ctrl-C that ended it. The neuron is then that of the last pass that had ended.

    Raises
    ------
    ValueError
        If it overflows, or elements of X are not finite.
    KeyboardInterrupt
        If it comes before a pass has ended.
    """
    attributes = partial(neuron_attributes, task.classes, task.dtype)
    solver, interrupt = choose(neuron.solver), None
    monitor = FitMonitor(task.held_out, callbacks, attributes)
    try:
        result = run_solver(neuron, solver, task, monitor)
    except KeyboardInterrupt as error:
        so_far, interrupt = monitor.result_so_far(), error
        if so_far is None:
            raise
        result = monitor.chosen(so_far)
    clear_fit_state(neuron)
    vars(neuron).update(attributes(result.w, result.b))
    vars(neuron).update(fit_attributes(solver, result) | monitor.attributes())
    neuron._total_weight = task.objective.total_weight
    if result.path_state is not None:
        neuron._memory = result.path_state
    if callbacks is not None and interrupt is None:
        try:
            callbacks.fit_ends()
        except KeyboardInterrupt as error:
            interrupt = error
    return interrupt


def run_solver(neuron: BaseEstimator, solver: str, task: Task, monitor: FitMonitor) -> Result:
    """Return where the solver has led; warn if that is not the minimum."""
    settings = settings_of(neuron, task.random_state, monitor)
    with np.errstate(over="ignore", invalid="ignore"):  # told apart by the result
        result = SOLVERS[solver].solve(task.objective, *task.start, settings)
    raise_for_overflow(neuron, solver, result)
    result = monitor.chosen(result)
    if neuron.tol > 0 and result.stop_reason is not StopReason.STOPPED:
        warn_of_end(neuron, solver, result, task.objective)
    return result
