"""A fit to samples in memory, and the steps that it shares with a fit to samples in parts.

`prepare_fit` checks the arguments of `fit` and returns a `Task`; `run_fit` runs the solver of the
task, and sets the fitted attributes.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state

from sklearn_bce._estimator.diagnostics import (
    diagnose,
    judge_plateau,
    raise_for_divergence,
    raise_for_overflow,
    warn_of_end,
    warn_of_ignored,
    warn_of_moved_start,
    warn_of_unlike_validation,
)
from sklearn_bce._estimator.holdout import HeldOut, hold_out
from sklearn_bce._estimator.monitor import Callbacks, FitMonitor
from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._estimator.samples import (
    GivenSamples,
    Samples,
    encode_samples,
    encode_validation_samples,
)
from sklearn_bce._estimator.sklearn_compat import foreign_namespace
from sklearn_bce._estimator.state import (
    as_numpy,
    dense_coef,
    replace_fit_state,
    result_attributes,
    weight_attributes,
)
from sklearn_bce._estimator.validation import InitialWeights, checked_samples
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import BaseObjective
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.rows import NotFiniteError, raise_unless_finite
from sklearn_bce._objective.scaling import Moments
from sklearn_bce._solvers import (
    NEGLIGIBLE,
    SOLVERS,
    Result,
    StopReason,
    rise_by_rounding,
    solver_name,
)

# Seed of the rows that newton draws if random_state is None: fits are repeatable. [a choice]
NEWTON_SEED = 0
# Rise of F in nats up to which weights are stored in float32, also if ``tol`` is less: standard
# columns and weights of 1 lose 1e-15. [a choice]
FLOAT32_LOSS = 1e-9


class Task(NamedTuple):
    """The task of a solver: objective, start and parameters, and data for the fitted attributes.

    Attributes
    ----------
    objective : BaseObjective
        F in the user's units.
    w : ndarray of shape (n_features,), float64
        Weights to start from; not changed.
    b : float
        Intercept to start from.
    parameters : Parameters
        Parameters of the estimator.
    random_state : RandomState
        Generator that the solver draws from.
    classes : ndarray of shape (2,)
        The two labels.
    dtype : dtype
        Type of the fitted weights: that of X, float32 or float64.
    given : GivenSamples
        The samples given to `fit`, with X and y converted; all fields are None for samples in
        parts.
    regularisation : Regularisation
        Penalty factors and bounds. Features that it drops are in neither the objective, w nor
        ``held_out``.
    held_out : HeldOut or None
        Samples on which the loss is recorded; None means that there are none.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features of the objective; None means their numbers from 0.
    path_state : object or None
        `Result.path_state` of the previous fit; None if there is none.
    only_class : object or None
        The label of all samples whose weight is not 0, if there is only one.
    label : str
        Beginning of the warnings of the fit, if it is one of several; else empty.
    library : ArrayLibrary or None
        Library and device of X, to which fitted attributes are moved; None means NumPy.
    """

    objective: BaseObjective
    w: Vector
    b: float
    parameters: Parameters
    random_state: Any
    classes: NDArray[Any]
    dtype: np.dtype[Any]
    regularisation: Regularisation
    given: GivenSamples = GivenSamples(None, None)
    held_out: HeldOut | None = None
    feature_names: NDArray[Any] | None = None
    path_state: Any = None
    only_class: Any = None
    label: str = ""
    library: Any = None

    def weight_attributes(self, w: Vector, b: float, dtype: Any = None) -> dict[str, Any]:
        """Return the fitted attributes that follow from the weights w and the intercept b.

        ``dtype`` is that of the weights; None means that of the task.
        """
        w, b = self.regularisation.finished(w, b)
        w = self.regularisation.of_all(w)
        dtype = self.dtype if dtype is None else dtype
        has_offset = self.objective.has_offset
        attributes = weight_attributes(self.classes, dtype, w, b, has_offset=has_offset)
        return attributes if self.library is None else self.moved(attributes)

    def moved(self, attributes: dict[str, Any]) -> dict[str, Any]:
        """Return fitted attributes in the library and on the device of X, which is not NumPy's."""
        from sklearn_bce._estimator.device import moved_attributes

        return moved_attributes(attributes, self.library)

    def raise_for_not_finite(self, name: str) -> None:
        """Raise scikit-learn's ValueError that X is not finite, unless X comes in parts.

        ``name`` is that of the class or function that the user called.
        """
        if self.given.X is not None:
            assert_all_finite(self.given.X, estimator_name=name, input_name="X")


def prepare_fit(
    estimator: BaseEstimator,
    given: GivenSamples,
    given_validation: GivenSamples | None,
    init: InitialWeights,
    n_threads: int,
) -> Task:
    """Check the arguments of `BCENeuronClassifier.fit`, and return the task of the solver.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Its ``n_features_in_`` and ``feature_names_in_`` are set.
    given : GivenSamples
        Samples to learn from.
    given_validation : GivenSamples or None
        Samples to hold out; None if none are given.
    init : InitialWeights
        Weights and intercept to start from.
    n_threads : int
        Most threads that the objective may use.

    Returns
    -------
    task : Task

    Raises
    ------
    ValueError, TypeError
        If an argument is malformed, or the arguments do not fit together.

    Warns
    -----
    UserWarning
        If parameters are ignored; see `warn_of_ignored`.
    """
    namespace = None if isinstance(given.X, np.ndarray) else foreign_namespace(given.X)
    if namespace is not None:
        return prepare_fit_on_device(estimator, given, given_validation, init, n_threads, namespace)
    parameters, name = Parameters.of(estimator), type(estimator).__name__
    warn_of_ignored(parameters, solver_name(parameters.solver))
    X, y = checked_samples(estimator, given.X, given.y)
    given = GivenSamples(X, y, given.sample_weight, given.offset)
    samples, encoder = encode_samples(
        given,
        soft_targets=parameters.soft_targets,
        class_weight=parameters.class_weight,
        estimator_name=name,
    )
    feature_names = getattr(estimator, "feature_names_in_", None)
    regularisation = parameters.regularisation(X.shape[1], feature_names)
    w, b = initial_weights(estimator, init, regularisation)
    random_state = generator(parameters)
    validation = None
    if given_validation is not None:
        has_offset = samples.offset is not None
        validation = encode_validation_samples(estimator, given_validation, encoder, has_offset)
    if regularisation.kept is not None:
        samples = samples._replace(X=regularisation.of_kept(samples.X))
        validation = validation and validation._replace(X=regularisation.of_kept(validation.X))
    training, held_out = hold_out(samples, validation, parameters, random_state, name)
    regularisation, objective = objective_of(training, parameters, regularisation, n_threads)
    return Task(
        objective=objective,
        w=w,
        b=b,
        parameters=parameters,
        random_state=random_state,
        classes=encoder.classes,
        dtype=X.dtype,
        regularisation=regularisation,
        given=given,
        held_out=held_out,
        feature_names=regularisation.names_of_kept(feature_names),
        only_class=encoder.only_class,
        path_state=getattr(estimator, "_path_state", None),
    )


def prepare_fit_on_device(
    estimator: BaseEstimator,
    given: GivenSamples,
    given_validation: GivenSamples | None,
    init: InitialWeights,
    n_threads: int,
    namespace: tuple[Any, Any],
) -> Task:
    """Return the task of a fit to an array of another library than NumPy; see `prepare_fit`.

    ``namespace`` is what `foreign_namespace` returns for X.
    """
    from sklearn_bce._estimator import device  # only here, so that NumPy's fits do not import it

    parameters, name = Parameters.of(estimator), type(estimator).__name__
    warn_of_ignored(parameters, solver_name(parameters.solver))
    device.raise_for_unsupported_on_device(parameters, given_validation is not None)
    library, given_X = device.library_of(given.X, namespace), given.X
    X = device.checked_device_X(estimator, given.X, library, reset=True)
    given = given._replace(X=X)
    samples, user_samples, encoder = device.encode_device_samples(
        given,
        library,
        soft_targets=parameters.soft_targets,
        class_weight=parameters.class_weight,
        estimator_name=name,
    )
    feature_names = getattr(estimator, "feature_names_in_", None)
    regularisation = parameters.regularisation(X.shape[1], feature_names)
    w, b = initial_weights(estimator, init, regularisation)
    held_out = None
    if given_validation is not None:
        validation = device.encode_device_validation_samples(
            estimator, given_validation, encoder, samples.offset is not None, library
        )
        held_out = device.held_out_on_device(validation, parameters, regularisation.kept)
    regularisation, objective = device.device_objective_of(
        samples, user_samples, parameters, regularisation, n_threads, given_X
    )
    return Task(
        objective=objective,
        w=w,
        b=b,
        parameters=parameters,
        random_state=generator(parameters),
        classes=encoder.classes,
        dtype=samples.dtype,
        regularisation=regularisation,
        given=given,
        held_out=held_out,
        feature_names=regularisation.names_of_kept(feature_names),
        only_class=encoder.only_class,
        path_state=getattr(estimator, "_path_state", None),
        library=library,
    )


def objective_of(
    training: Samples, parameters: Parameters, regularisation: Regularisation, n_threads: int
) -> tuple[Regularisation, InMemoryObjective]:
    """Return F of some samples, and the regularisation with the moments of their columns.

    Parameters
    ----------
    training : Samples
        Samples to learn from, with the features that are kept.
    parameters : Parameters
        Parameters of the estimator.
    regularisation : Regularisation
        Penalty factors and bounds.
    n_threads : int
        Most threads that the objective may use.
    """
    if parameters.standardize:
        regularisation = regularisation._replace(
            moments=moments_of(training.X, training.user_weight, parameters.fit_intercept)
        )
    total_weight = float(training.sample_weight.sum())
    objective = InMemoryObjective.in_user_units(
        training.X,
        training.y,
        training.sample_weight,
        regularisation.penalty(parameters.C, parameters.l1_ratio, total_weight),
        fit_intercept=parameters.fit_intercept,
        n_threads=n_threads,
        moments=regularisation.moments if training.has_user_weights else None,
        offset=training.offset,
        total_weight=total_weight,
    )
    if parameters.standardize and not training.has_user_weights:
        objective.passes.add()  # that of the moments, which are of other weights than those of F
    return regularisation, objective


def moments_of(X: Any, sample_weight: Vector, fit_intercept: bool) -> Moments:
    """Return mean and deviation of the columns of samples, in one pass.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples.
    sample_weight : ndarray of shape (n_samples,), float64
        Their weights.
    fit_intercept : bool
        Whether there is an intercept; without one, deviations are about 0.

    Raises
    ------
    NotFiniteError
        If an element of X is infinite or NaN.
    """
    with np.errstate(all="ignore"):  # what overflows is not finite
        moments = Moments.of(X, sample_weight, fit_intercept)
    if not np.isfinite(moments.deviation).all() and not issparse(X):
        raise_unless_finite(X)
    return moments


def initial_weights(
    estimator: BaseEstimator, init: InitialWeights, regularisation: Regularisation
) -> tuple[Vector, float]:
    """Return the weights of the features kept and the intercept to start from.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        The estimator, whose previous fit may be continued.
    init : InitialWeights
        As given to `fit`.
    regularisation : Regularisation
        Weights outside of the bounds are moved to the nearest bound.

    Raises
    ------
    ValueError
        If the initial weights are malformed.

    Warns
    -----
    UserWarning
        If a weight that is not 0 is moved.
    """
    w, b = init.checked(regularisation.n_features, previous_weights(estimator))
    if regularisation.bounds is not None:
        allowed = regularisation.within_bounds(w)
        # Weights of 0 are the default start.
        warn_of_moved_start(np.flatnonzero((allowed != w) & (w != 0)), w, allowed)
        w = allowed
    return regularisation.of_kept(w), b


def previous_weights(estimator: BaseEstimator) -> InitialWeights | None:
    """Return the fitted weights of the estimator; None if it is unfitted or without warm_start."""
    if estimator.warm_start and hasattr(estimator, "coef_"):
        return InitialWeights(dense_coef(estimator), as_numpy(estimator.intercept_))
    return None


def generator(parameters: Parameters) -> Any:
    """Return the generator of ``random_state``, a `RandomState` or what behaves as one."""
    seed = parameters.random_state
    if isinstance(seed, (int, np.integer)) and not parameters.early_stopping:
        return SeededWhenDrawn(int(seed))
    return check_random_state(seed)  # scikit-learn, which sets samples aside, asks for one


def solver_random_state(solver: str, parameters: Parameters, random_state: Any) -> Any:
    """Return the generator that the solver draws from: for newton always one that is repeatable.

    Parameters
    ----------
    solver : str
        Name of the solver.
    parameters : Parameters
        If ``random_state`` is None and the solver is newton, the result is a new generator.
    random_state : RandomState
        The generator of the fit, which is returned otherwise.
    """
    if parameters.random_state is None and solver == "newton":
        return SeededWhenDrawn(NEWTON_SEED)
    return random_state


class SeededWhenDrawn:
    """A `RandomState` that is made when it is first used: that takes as long as a small fit.

    Parameters
    ----------
    seed : int
        The seed.
    """

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the generator."""
        return getattr(self._generator, name)

    @cached_property
    def _generator(self) -> np.random.RandomState:
        return np.random.RandomState(self._seed)


def run_fit(
    estimator: BaseEstimator, task: Task, callbacks: Callbacks | None
) -> KeyboardInterrupt | None:
    """Run the solver of the task, and set the fitted attributes of the estimator.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Its fitted attributes are replaced.
    task : Task
        Result of `prepare_fit`.
    callbacks : Callbacks or None
        Callbacks to call; None means that there are none.

    Returns
    -------
    interrupt : KeyboardInterrupt or None
        The KeyboardInterrupt that ended the fit after at least one iteration; the fitted attributes
        are then those after the last iteration that has ended. None if there was no such interrupt.

    Raises
    ------
    ValueError
        If the loss overflows, or X is not finite.
    KeyboardInterrupt
        If it comes before an iteration has ended.
    """
    solver, interrupt = solver_name(task.parameters.solver), None
    monitor = FitMonitor(task.held_out, callbacks, task.weight_attributes)
    if callbacks is not None:
        callbacks.begin_fit(*task.given)
    dtype = task.dtype
    try:
        result = run_solver(solver, task, monitor)
        dtype = stored_dtype(task, result)
    except KeyboardInterrupt as error:
        so_far, interrupt = monitor.interrupted_result(), error
        if so_far is None:
            raise
        result = monitor.with_best_weights(so_far)
    except NotFiniteError:
        task.raise_for_not_finite(type(estimator).__name__)
        raise
    fitted = task.weight_attributes(result.w, result.b, dtype)
    of_result = result_attributes(solver, result)
    fitted |= of_result if task.library is None else task.moved(of_result)
    fitted |= monitor.validation_attributes()
    fitted["_total_weight"] = task.objective.total_weight
    fitted["_path_state"] = result.path_state
    replace_fit_state(estimator, fitted)
    if callbacks is not None and interrupt is None:
        try:
            callbacks.end_fit()
        except KeyboardInterrupt as error:
            interrupt = error
    return interrupt


def stored_dtype(task: Task, result: Result) -> np.dtype[Any]:
    """Return the dtype of ``coef_``: that of X, or float64 if float32 would lose newton's minimum.

    Rounding may take the fraction ``NEGLIGIBLE`` of ``tol``. The result is also float64 if weights
    are at bounds that float32 cannot hold.

    Parameters
    ----------
    task : Task
        The task of the solver.
    result : Result
        Result of the solver.
    """
    if task.dtype == np.float64:
        return task.dtype
    if not task.regularisation.can_store(result.w, task.dtype):
        return np.dtype(np.float64)
    is_newton = solver_name(task.parameters.solver) == "newton"
    if is_newton and result.converged:
        limit = max(NEGLIGIBLE * task.parameters.tol, FLOAT32_LOSS)
        with np.errstate(all="ignore"):  # what overflows is above the limit
            if task.library is None:
                rise = rise_by_rounding(task.objective, result, task.dtype, limit)
            else:  # the rise itself would be computed on the host, from all of X
                rise = result.loss_by_rounding(task.dtype)
        if rise > limit:
            return np.dtype(np.float64)
    return task.dtype


def run_solver(solver: str, task: Task, monitor: FitMonitor) -> Result:
    """Run a solver, and return its result with the weights to keep; warn if F is not minimal.

    Parameters
    ----------
    solver : str
        Name of the solver.
    task : Task
        Objective and start.
    monitor : FitMonitor
        Receives the progress of the solver.

    Returns
    -------
    result : Result

    Raises
    ------
    ValueError
        If the loss overflows, or has risen because ``learning_rate`` is too large.
    """
    parameters = task.parameters
    random_state = solver_random_state(solver, parameters, task.random_state)
    judge = partial(judge_plateau, task.objective, parameters)
    settings = parameters.settings(random_state, monitor, judge, task.path_state)
    # `raise_for_overflow` looks at the result; a diagnosis that overflows is not believed.
    with np.errstate(all="ignore"):
        result = SOLVERS[solver].solve(task.objective, task.w, task.b, settings)
        raise_for_overflow(solver, result, parameters)
        if task.held_out is not None:
            losses = result.loss_curve[0], monitor.first_validation_loss
            before = task.objective.n_passes
            warn_of_unlike_validation(task.held_out, task.objective, losses, task.feature_names)
            result = replace(result, n_passes=result.n_passes + task.objective.n_passes - before)
        result = monitor.with_best_weights(result)
        w, b = task.regularisation.finished(result.w, result.b)
        if w is not result.w:
            result = replace(result, w=w, b=b)
        if parameters.tol == 0 or result.stop_reason is StopReason.STOPPED:
            return result
        objective, n_passes = task.objective, task.objective.n_passes
        raise_for_divergence(solver, result, objective, (task.w, task.b), parameters)
        diagnosis = diagnose(result, objective, parameters, task.only_class)
    warn_of_end(solver, diagnosis, parameters, task.feature_names, task.label)
    if objective.n_passes == n_passes:
        return diagnosis.result
    return replace(diagnosis.result, n_passes=result.n_passes + objective.n_passes - n_passes)
