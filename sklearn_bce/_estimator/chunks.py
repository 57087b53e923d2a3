"""A fit to samples in parts: `fit_from_chunks`, and the steps shared with the Dask estimator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_random_state

from sklearn_bce._estimator.diagnostics import warn_of_ignored
from sklearn_bce._estimator.fit import Task, initial_weights, run_fit, solver_random_state
from sklearn_bce._estimator.monitor import Callbacks
from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._estimator.samples import GivenSamples
from sklearn_bce._estimator.sklearn_compat import foreign_namespace, with_callbacks
from sklearn_bce._estimator.targets import (
    ONLY_BINARY,
    SOFT_CLASSES,
    TargetEncoder,
    checked_offset,
    checked_sample_weight,
    checked_soft_targets,
    encoder_from_sums,
)
from sklearn_bce._estimator.validation import InitialWeights, checked_samples, unchanged_on_error
from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.in_memory import InMemoryObjective, intercept_at_zero_weights
from sklearn_bce._objective.partitioned import (
    Encoding,
    PartFunction,
    PartitionedObjective,
    Parts,
    PartSums,
)
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._objective.summary import DataSummary, summarise
from sklearn_bce._solvers import solver_name

Chunks = Callable[[], Iterable[tuple[Any, ...]]]


class IteratedChunks:
    """Samples in parts that are the chunks of an iterator; implements `Parts`.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Its ``n_features_in_`` and ``feature_names_in_`` are those of the chunks; see ``reset``.
    chunks : callable () -> iterable of (X, y), (X, y, sample_weight) or \
            (X, y, sample_weight, offset)
        Returns the same chunks whenever it is called.
    reset : bool, default=True
        Whether the features of the estimator are set to those of the first chunk. False compares
        all chunks with the features that the estimator was fitted to, and leaves it unchanged.
    """

    def __init__(self, estimator: BaseEstimator, chunks: Chunks, *, reset: bool = True) -> None:
        self._estimator, self._chunks, self._reset = estimator, chunks, reset
        self._n_passes = 0
        self._has_offset = False  # of the first chunk
        # Library and device of the first chunk, to which fitted attributes are moved; None: NumPy.
        self.library: Any = None

    def sum(self, function: PartFunction) -> PartSums:
        """Return the sums over all chunks, item by item; see `Parts.sum`.

        Raises
        ------
        ValueError
            If there is no chunk, or a chunk is malformed.
        """
        total: PartSums = []
        chunks, number = iter(self._chunks()), 0
        while (chunk := next(chunks, None)) is not None:
            sums = function(number, *self._checked(number, chunk))
            total = [a + b for a, b in zip(total, sums, strict=True)] if total else sums
            number, chunk = number + 1, None  # free the memory of the chunk before the next one
        if not total:
            again = " Each call must return all chunks anew." if self._n_passes else ""
            raise ValueError(f"chunks() yielded no chunks in pass {self._n_passes + 1}.{again}")
        self._n_passes += 1
        return total

    def _checked(
        self, number: int, chunk: tuple[Any, ...]
    ) -> tuple[Any, NDArray[Any], Vector, Vector | None]:
        """Return the four items of a chunk, converted; in the first pass they are also checked."""
        if not isinstance(chunk, tuple | list) or len(chunk) not in (2, 3, 4):
            raise ValueError(
                f"Chunk {number} is {type(chunk).__name__}; it must be a tuple (X, y), "
                "(X, y, sample_weight) or (X, y, sample_weight, offset)."
            )
        X, y, sample_weight, offset = (*chunk, None, None)[:4]
        if number == 0:
            self._has_offset = offset is not None
        elif self._has_offset != (offset is not None):
            has, had = ("an", "no") if offset is not None else ("no", "an")
            raise ValueError(
                f"Chunk {number} has {has} offset, and those before have {had} offset; all chunks "
                "must have an offset, of which offset=0 is allowed, or none."
            )
        first_pass = self._n_passes == 0
        if foreign_namespace(X) is not None:
            return (
                self._on_device(GivenSamples(X, y, sample_weight, offset), number),
                None,
                None,
                None,
            )
        reset = self._reset and first_pass and number == 0
        X, y = checked_samples(self._estimator, X, y, reset=reset)
        if first_pass:
            assert_all_finite(X, input_name="X")
            if self._estimator.soft_targets:  # `TargetEncoder` checks them in later passes
                y = checked_soft_targets(y)
        sample_weight = checked_sample_weight(X, sample_weight, allow_all_zero=True)
        return X, y, np.asarray(sample_weight), checked_offset(X, offset)

    def _on_device(self, given: GivenSamples, number: int) -> Any:
        """Return a chunk whose X is on a device, checked; see `_checked`."""
        from sklearn_bce._estimator.device import device_chunk  # not for chunks of NumPy

        first_pass = self._n_passes == 0
        is_first = first_pass and number == 0
        chunk = device_chunk(
            self._estimator, given, is_first=is_first and self._reset, first_pass=first_pass
        )
        if is_first:
            self.library = chunk.samples.library
        return chunk


def fit_from_chunks(neuron: BaseEstimator, chunks: Chunks) -> BaseEstimator:
    """Fit a `BCENeuronClassifier` to chunks of samples that do not fit into memory together.

    One pass over the chunks collects the classes, sums and a random sample; the solver then takes
    a few passes more. Only one chunk is in memory at a time, besides the random sample and, for
    newton, a matrix of (n_features + 1)² numbers. The objective F, the parameters and the fitted
    attributes are those of `BCENeuronClassifier.fit` on all samples at once: both fits end within
    ``tol`` of the same minimum.

    Parameters
    ----------
    neuron : BCENeuronClassifier or BCENeuronClassifierCV
        Estimator with ``solver`` "auto", "newton" or "gd" and ``early_stopping=False``; or a search
        with ``cv="loo"``, ``scoring="neg_log_loss"`` and ``class_weight=None``. It is fitted in
        place.
    chunks : callable () -> iterable of (X, y), (X, y, sample_weight) or \
            (X, y, sample_weight, offset)
        Called once for each pass. Each call must return the same chunks in the same order. The
        items of a chunk are what `BCENeuronClassifier.fit` accepts, except that samples of one of
        the classes may be missing in a chunk. Arrays on a device are summed there. All chunks have
        an offset, or none of them.

    Returns
    -------
    neuron : BCENeuronClassifier
        The same estimator, fitted. The attribute ``n_passes_`` of a `BCENeuronClassifier` is the
        number of calls of ``chunks``.

    Raises
    ------
    TypeError
        If ``chunks`` is not callable. An iterator is refused because only one pass over it is
        possible.
    ValueError
        If a parameter is out of range, a chunk is malformed, ``solver`` is "sgd",
        ``early_stopping`` is True, or the number of samples changes from pass to pass. The
        estimator then keeps the attributes that it had before.
    KeyboardInterrupt
        If Ctrl-C is pressed. The estimator is then fitted with the weights after the last iteration
        that has ended; if none has ended, it keeps the attributes that it had before.

    Warns
    -----
    ConvergenceWarning, UserWarning
        As `BCENeuronClassifier.fit` does.

    See Also
    --------
    BCENeuronClassifier.partial_fit : One pass over a stream of chunks that come only once.
    sklearn_bce.dask.DaskBCENeuronClassifier : The same for Dask collections, on several machines.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_bce import BCENeuronClassifier, fit_from_chunks
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(5000, 3))
    >>> y = X[:, 0] > rng.logistic(size=5000)
    >>> def chunks():
    ...     for start in range(0, 5000, 1000):  # in practice: parts of a file, a table or a query
    ...         yield X[start : start + 1000], y[start : start + 1000]
    >>> neuron = fit_from_chunks(BCENeuronClassifier(tol=1e-12), chunks)
    >>> bool(np.allclose(neuron.coef_, BCENeuronClassifier(tol=1e-12).fit(X, y).coef_))
    True
    """
    if not callable(chunks):
        raise TypeError(
            f"chunks is {type(chunks).__name__}; it must be a callable that returns an iterator of "
            "(X, y), (X, y, sample_weight) or (X, y, sample_weight, offset), and is called once "
            "for each pass."
        )
    neuron._validate_params()
    if hasattr(neuron, "_fit_chunks"):  # a search, which fits several times
        return neuron._fit_chunks(chunks)
    fit_parts(neuron, IteratedChunks(neuron, chunks))
    return neuron


fit_from_chunks.__module__ = "sklearn_bce"  # the path it is imported from


@with_callbacks
def fit_parts(estimator: BaseEstimator, parts: Parts, n_threads: int | None = None) -> None:
    """Fit the estimator to samples in parts.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Its fitted attributes are replaced.
    parts : Parts
        The samples.
    n_threads : int or None, default=None
        Most threads that the computation for one part may use; None means as many as BLAS may use.

    Raises
    ------
    ValueError
        If a parameter is not supported, or samples are malformed. The estimator then keeps the
        attributes that it had before.
    KeyboardInterrupt
        As for `BCENeuronClassifier.fit`.
    """
    parameters = Parameters.of(estimator)
    raise_for_unsupported(parameters.solver, parameters.early_stopping)
    callbacks = Callbacks.of(estimator)
    warn_of_ignored(parameters, solver_name(parameters.solver))
    with unchanged_on_error(estimator), one_blas_thread() as allowed:
        task = task_of_parts(estimator, parts, allowed if n_threads is None else n_threads)
        interrupt = run_fit(estimator, task, callbacks)
    if interrupt is not None:
        raise interrupt


def task_of_parts(estimator: BaseEstimator, parts: Parts, n_threads: int) -> Task:
    """Return the task of a fit to samples in parts, in one pass.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Its ``n_features_in_`` and ``feature_names_in_`` are set.
    parts : Parts
        The samples.
    n_threads : int
        Most threads that the computation for one part may use.

    Raises
    ------
    ValueError
        If samples are malformed, or parameters do not fit them.
    """
    parameters = Parameters.of(estimator)
    random_state = check_random_state(parameters.random_state)
    drawn_from = solver_random_state(solver_name(parameters.solver), parameters, random_state)
    seed = int(drawn_from.randint(np.iinfo(np.int32).max))
    fit_intercept = parameters.fit_intercept if parameters.standardize else None
    summary = summarise(parts, seed, parameters.soft_targets, fit_intercept)
    feature_names = getattr(estimator, "feature_names_in_", None)
    regularisation = parameters.regularisation(summary.n_features, feature_names)
    w, b = initial_weights(estimator, InitialWeights(), regularisation)
    if parameters.standardize:
        moments = summary.moments.of_columns(regularisation.kept)
        regularisation = regularisation._replace(moments=moments)
    objective, encoder = objective_of_parts(
        parts, summary, parameters, regularisation, n_threads, type(estimator).__name__
    )
    return Task(
        objective=objective,
        w=w,
        b=b,
        parameters=parameters,
        random_state=random_state,
        classes=encoder.classes,
        dtype=summary.data_size.dtype,
        regularisation=regularisation,
        feature_names=regularisation.names_of_kept(feature_names),
        only_class=encoder.only_class,
        path_state=getattr(estimator, "_path_state", None),
        library=getattr(parts, "library", None),
    )


def raise_for_unsupported(solver: str, early_stopping: bool) -> None:
    """Raise ValueError if the solver or early stopping needs access to single samples."""
    if solver == "sgd":
        raise ValueError(
            "solver='sgd' goes from sample to sample, and cannot use samples in parts; use "
            "'newton' or 'gd', or partial_fit for each of the parts."
        )
    if early_stopping:
        raise ValueError("early_stopping=True is not supported for samples in parts.")


def objective_of_parts(
    parts: Parts,
    summary: DataSummary,
    parameters: Parameters,
    regularisation: Regularisation,
    n_threads: int,
    estimator_name: str,
) -> tuple[PartitionedObjective, TargetEncoder]:
    """Return F in the user's units for samples in parts, and the encoder of their targets.

    Parameters
    ----------
    parts : Parts
        The samples.
    summary : DataSummary
        Classes, sums and random samples of all parts, collected in one pass; the objective counts
        that pass.
    parameters : Parameters
        Parameters of the estimator.
    regularisation : Regularisation
        The penalty of each feature, and the features that are kept.
    n_threads : int
        Most threads that the computation for one part may use.
    estimator_name : str
        Name of the estimator's class, for the message of an error.

    Returns
    -------
    objective : PartitionedObjective
    encoder : TargetEncoder

    Raises
    ------
    ValueError
        If there are not two classes, or none of them has a weight.
    """
    classes, sums = classes_and_weight_sums(summary, parameters.soft_targets)
    encoder = encoder_from_sums(
        classes,
        sums,
        parameters.class_weight,
        estimator_name,
        soft_targets=parameters.soft_targets,
    )
    weight_of_class = encoder.weight_of_class
    sums = sums if weight_of_class is None else sums * weight_of_class
    total_weight = float(np.sum(sums))
    kept = regularisation.kept
    n_kept = summary.n_features if kept is None else len(kept)
    coordinates = Coordinates.of_user(n_kept, parameters.fit_intercept)
    penalty = regularisation.penalty(parameters.C, parameters.l1_ratio, total_weight)
    log_odds = 0.0
    if parameters.fit_intercept and encoder.only_class is None:
        log_odds = float(np.log(sums[1] / sums[0]))
        if summary.has_offset:
            log_odds = estimated_log_odds(summary, encoder)
    objective = PartitionedObjective(
        parts,
        summary.data_size,
        Encoding(encoder.encode, coordinates, total_weight, n_threads, features=kept),
        penalty,
        log_odds,
        subsample_objective(summary, encoder, penalty, coordinates, kept),
        has_offset=summary.has_offset,
    )
    objective.passes.add()  # that of the summary
    if weight_of_class is None:
        objective.moments = regularisation.moments
    return objective, encoder


def classes_and_weight_sums(
    summary: DataSummary, soft_targets: bool
) -> tuple[NDArray[Any], Vector]:
    """Return the two classes in sorted order, and the sum of the sample weights of each.

    Parameters
    ----------
    summary : DataSummary
        Summary of all parts.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.

    Returns
    -------
    classes : ndarray of shape (2,)
        `SOFT_CLASSES` for soft targets.
    class_weight_sums : ndarray of shape (2,), float64

    Raises
    ------
    ValueError
        If the number of labels is not two.
    """
    sums = summary.class_weight_sums
    if soft_targets:
        return SOFT_CLASSES, np.array([sums[0], sums[1]])
    dtypes = [sample.y.dtype for sample in summary.samples.values()]
    classes = np.array(sorted(sums), dtype=np.result_type(*dtypes))
    if len(classes) != 2:
        raise ValueError(f"{ONLY_BINARY} y has the labels {classes.tolist()}.")
    return classes, np.array([sums[label] for label in classes.tolist()])


def estimated_log_odds(summary: DataSummary, encoder: TargetEncoder) -> float:
    """Return the intercept that minimises F at w = 0 with an offset, by the random samples.

    That is an estimate, which is enough for a start.
    """
    y, sample_weight, offset = _drawn(summary, encoder)
    return intercept_at_zero_weights(y, sample_weight / np.sum(sample_weight), offset)


def subsample_objective(
    summary: DataSummary,
    encoder: TargetEncoder,
    penalty: ElasticNet,
    coordinates: Coordinates,
    kept: NDArray[np.intp] | None = None,
) -> InMemoryObjective | None:
    """Return an estimate of F from the random samples of the summary.

    The sampled weights of each class are scaled up to the number of its samples in all parts, so
    that the expectation of the estimate is F.

    Parameters
    ----------
    summary : DataSummary
        Contains random samples of each class.
    encoder : TargetEncoder
        Encodes their targets.
    penalty : ElasticNet
        Penalty in the units of the coordinates.
    coordinates : Coordinates
        Coordinates of θ.
    kept : ndarray of shape (n_kept,), intp, or None, default=None
        Indices of the features of F; None means all.

    Returns
    -------
    objective : InMemoryObjective or None
        None if a class has no more random samples than θ has entries: the estimate may then have no
        minimum, or one far from that of F.
    """
    samples = list(summary.samples.values())
    if any(len(sample.y) <= coordinates.size for sample in samples):
        return None
    X = [sample.X for sample in samples]
    X = sp.vstack(X, format="csr") if any(map(sp.issparse, X)) else np.vstack(X)
    X = X if kept is None else X[:, kept]
    y, sample_weight, offset = _drawn(summary, encoder)
    return InMemoryObjective(X, y, sample_weight, penalty, coordinates, offset=offset)


def _drawn(summary: DataSummary, encoder: TargetEncoder) -> tuple[Vector, Vector, Vector | None]:
    """Return targets, weights and offset of the random samples; see `subsample_objective`."""
    samples = list(summary.samples.values())
    y = np.concatenate([sample.y for sample in samples])
    sample_weight = np.concatenate(
        [sample.sample_weight * (sample.n_samples / len(sample.y)) for sample in samples]
    )
    offset = None
    if summary.has_offset:
        offset = np.concatenate([sample.offset for sample in samples])
    return *encoder.encode(y, sample_weight), offset
