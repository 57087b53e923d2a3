"""Arrays of other libraries than NumPy: validation, targets, and results where X is.

X stays where it is; y, weights and offset follow X, in the dtype of X. Labels that are not numbers
remain arrays of NumPy. scikit-learn decides which libraries there are: ``array_api_dispatch`` must
be set.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite, check_consistent_length, column_or_1d
from sklearn.utils.validation import validate_data

from sklearn_bce._estimator.holdout import FAR, HeldOut, difference_in
from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._estimator.samples import GivenSamples, raise_for_missing_validation
from sklearn_bce._estimator.sklearn_compat import (
    foreign_namespace,
    has_float64,
    on_device,
    on_host,
)
from sklearn_bce._estimator.targets import (
    TargetEncoder,
    checked_offset,
    checked_sample_weight,
    checked_soft_targets,
    encode_targets,
    encoder_from_sums,
)
from sklearn_bce._estimator.validation import checked_array, errors_of
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.device_chunk import DeviceChunk
from sklearn_bce._objective.device_samples import ArrayLibrary, DeviceSamples, moments_on_device
from sklearn_bce._objective.on_device import DeviceObjective
from sklearn_bce._objective.penalty import NO_PENALTY
from sklearn_bce._solvers import Plateau, solver_name

FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)
# Device type of the processor in the DLPack protocol.
DLPACK_CPU = 1
# Numbers that are attributes of a fitted estimator are arrays on the device of X.
DEVICE_ATTRIBUTES = ("classes_", "coef_", "intercept_", "n_iter_")


def library_of(X: Any, namespace: tuple[Any, Any] | None = None) -> ArrayLibrary | None:
    """Return the library and the device of X; None if X is an array of NumPy, or to become one.

    Parameters
    ----------
    X : object
        As given by the user.
    namespace : tuple of namespace and device, or None, default=None
        What `foreign_namespace` has returned for X; None means that it is not known.
    """
    found = foreign_namespace(X) if namespace is None else namespace
    if found is None:
        return None
    xp, device = found
    dtypes = {FLOAT32: xp.float32}
    if has_float64(xp, device):
        dtypes[FLOAT64] = xp.float64
    is_host = int(X.__dlpack_device__()[0]) == DLPACK_CPU
    return ArrayLibrary(xp, device, dtypes, partial(on_host, xp=xp), is_host)


def checked_device_X(
    estimator: BaseEstimator, X: Any, library: ArrayLibrary, *, reset: bool
) -> Any:
    """Return X as an array of float32 or float64 on its device.

    An X that needs no conversion is not searched for elements that are not finite.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``n_features_in_`` is set if ``reset``.
    X : array of shape (n_samples, n_features)
        Samples; not changed.
    library : ArrayLibrary
        The library of X.
    reset : bool
        True sets the estimator's number of features to that of X; False compares them.

    Raises
    ------
    ValueError, TypeError
        If X is malformed, or does not have the features set before.
    """
    is_ready = X.ndim == 2 and X.dtype in library.dtypes.values() and 0 not in X.shape
    if is_ready and reset:
        estimator.n_features_in_ = X.shape[1]
        vars(estimator).pop("feature_names_in_", None)
        return X
    if is_ready and X.shape[1] == estimator.n_features_in_:
        return X
    dtypes = [library.dtypes[each] for each in (FLOAT64, FLOAT32) if each in library.dtypes]
    return validate_data(estimator, X, reset=reset, dtype=dtypes)


def encode_device_samples(
    given: GivenSamples,
    library: ArrayLibrary,
    *,
    soft_targets: bool,
    class_weight: Any,
    estimator_name: str,
) -> tuple[DeviceSamples, DeviceSamples, TargetEncoder]:
    """Find the classes and their weights, and encode the samples with them.

    Parameters
    ----------
    given : GivenSamples
        Samples whose X has passed `checked_device_X`.
    library : ArrayLibrary
        The library of X.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.
    class_weight : dict, "balanced" or None
        As given to the estimator.
    estimator_name : str
        Name of the class that the user called, for the message of an error.

    Returns
    -------
    samples : DeviceSamples
        With the class weights.
    user_samples : DeviceSamples
        The same without the class weights: ``samples`` itself if there are none.
    encoder : TargetEncoder
        Encodes other samples of the same classes.

    Raises
    ------
    ValueError
        If y, ``sample_weight``, ``offset`` or ``class_weight`` is malformed, or no class has a
        weight.
    """
    y, classes, n_positive = _encoded(given, library, soft_targets, estimator_name)
    weight, unit = device_weight(given.X, given.sample_weight, library)
    user_samples = DeviceSamples(
        library,
        given.X,
        y,
        weight,
        unit,
        device_offset(given.X, given.offset, library),
        is_soft=soft_targets,
        n_positive=n_positive,
    )
    encoder = TargetEncoder(classes, None, soft_targets)
    if soft_targets or class_weight is not None or given.sample_weight is not None:
        encoder = encoder_from_sums(
            classes,
            user_samples.class_weight_sums,
            class_weight,
            estimator_name,
            soft_targets=soft_targets,
        )
    return with_class_weight(user_samples, encoder.weight_of_class), user_samples, encoder


def with_class_weight(samples: DeviceSamples, weight_of_class: Vector | None) -> DeviceSamples:
    """Return samples whose weights, and soft targets, include class weights.

    See `apply_class_weight`; None returns the samples unchanged.
    """
    if weight_of_class is None:
        return samples
    of_zero, of_one = map(float, weight_of_class)
    positive = samples.y * of_one
    total = positive + (1 - samples.y) * of_zero
    y = samples.y
    if samples.is_soft:
        xp = samples.library.xp
        y = xp.where(total > 0, positive / xp.where(total > 0, total, total + 1), 0 * positive)
    weight = total if samples.weight is None else samples.weight * total
    return replace(samples, y=y, weight=weight)


def _encoded(
    given: GivenSamples, library: ArrayLibrary, soft_targets: bool, estimator_name: str
) -> tuple[Any, NDArray[Any], int | None]:
    """Return targets in [0, 1] on the device, the two classes, and the number of targets of 1.

    The number is None for soft targets.
    """
    y = checked_y(given.X, given.y)
    if isinstance(y, np.ndarray):
        classes, codes = encode_targets(y, soft_targets, estimator_name)
        n_positive = None if soft_targets else int(np.sum(codes))
        return library.array(codes, given.X.dtype), classes, n_positive
    y, xp = on_device(y, library.xp, library.device), library.xp
    if soft_targets:
        return (
            device_soft_targets(y, given.X.dtype, library),
            encode_targets(np.zeros(1), True, estimator_name)[0],
            None,
        )
    if y.dtype == xp.bool:
        low_high = np.array([False, True])
        positive, known = y, xp.ones(1, dtype=xp.bool, device=library.device)
    else:
        low, high = xp.min(y), xp.max(y)
        positive = y == high
        known = positive | (y == low)
        low_high = library.to_numpy(xp.stack([low, high]))
    codes = xp.astype(positive, given.X.dtype, copy=False)
    counts = [xp.sum(codes, dtype=library.sum_dtype), xp.astype(xp.all(known), library.sum_dtype)]
    n_positive, is_binary = map(int, library.to_numpy(xp.stack(counts)).tolist())
    n = y.shape[0]
    is_whole = low_high.dtype.kind != "f" or all(map(float.is_integer, low_high.tolist()))
    if not is_binary or not is_whole or n_positive in (0, n) or low_high[0] == low_high[1]:
        # Not two whole numbers: the host knows what that is, by the labels that there are.
        classes, _ = encode_targets(library.to_numpy(xp.unique_values(y)), False, estimator_name)
    else:
        classes = low_high
    return codes, classes, n_positive


def checked_y(X: Any, y: Any) -> Any:
    """Return y with one dimension, and as many elements as X has rows.

    An array of another library is returned as it is, anything else as an array of NumPy.
    """
    if y is None:
        raise ValueError("This estimator requires y to be passed, but the target y is None.")
    y = y if foreign_namespace(y) is not None else checked_array(y, "y")
    if getattr(y, "ndim", 0) == 1 and y.shape[0] == X.shape[0]:
        return y
    y = column_or_1d(y, warn=True)
    check_consistent_length(X, y)
    return y


def device_soft_targets(y: Any, dtype: Any, library: ArrayLibrary, name: str = "y") -> Any:
    """Return soft targets as an array of a floating-point type.

    Raises
    ------
    ValueError
        If an element is not a number in [0, 1].
    """
    xp = library.xp
    if not xp.isdtype(y.dtype, "real floating"):
        y = xp.astype(y, dtype)
    ends = library.to_numpy(xp.stack([xp.min(y), xp.max(y)]))
    checked_soft_targets(ends[1:] if 0 <= ends[0] <= 1 else ends[:1], name)
    return xp.astype(y, dtype)


def device_weight(
    X: Any, sample_weight: Any, library: ArrayLibrary, allow_all_zero: bool = False
) -> tuple[Any, float]:
    """Return sample weights divided by a power of two, in the dtype of X, and the power.

    Parameters
    ----------
    X : array of shape (n_samples, n_features)
        The samples that are weighted.
    sample_weight : array-like of shape (n_samples,), or None
        None means 1 for each sample.
    library : ArrayLibrary
        The library of X.
    allow_all_zero : bool, default=False
        Whether all weights may be 0.

    Returns
    -------
    weight : array of shape (n_samples,), dtype of X, or None
        None if the argument is None.
    unit : float
        The power of two, near the largest weight.

    Raises
    ------
    ValueError
        If a weight or the sum of the weights is not finite, a weight is negative, the number of
        weights is not n_samples, or all weights are 0.
    """
    if sample_weight is None:
        return None, 1.0
    found = foreign_namespace(sample_weight)
    if found is None:
        rows = np.broadcast_to(0.0, (X.shape[0], 1))
        weight = np.asarray(checked_sample_weight(rows, sample_weight, allow_all_zero))
        unit = power_of_two(float(np.max(weight)))
        return library.array((weight / unit).astype(library.numpy_dtype(X.dtype))), unit
    xp, weight = library.xp, on_device(sample_weight, library.xp, library.device)
    if weight.ndim != 1 or weight.shape[0] != X.shape[0]:
        raise ValueError(
            f"sample_weight has shape {tuple(weight.shape)}; it must be ({X.shape[0]},)."
        )
    weight = xp.astype(weight, library.sum_dtype)
    stack = xp.stack([xp.min(weight), xp.max(weight), xp.sum(weight)])
    least, largest, total = library.to_numpy(stack).tolist()
    if not (0 <= least <= largest <= total < np.inf and (largest > 0 or allow_all_zero)):
        # One weight tells what is wrong with all, in the words of the host.
        wrong = least if not least >= 0 else total
        checked_sample_weight(np.zeros((1, 1)), np.array([wrong]))
    unit = power_of_two(largest)
    return xp.astype(weight / unit, X.dtype), unit


def power_of_two(value: float) -> float:
    """Return the power of two nearest to a number above 0; 1 for 0."""
    return float(np.exp2(np.round(np.log2(value)))) if value > 0 else 1.0


def device_offset(X: Any, offset: Any, library: ArrayLibrary, name: str = "offset") -> Any:
    """Return the offset as an array of shape (n_samples,) in the dtype of X; None if there is none.

    The arguments are those of `checked_offset`, with the library of X.
    """
    if offset is None:
        return None
    if foreign_namespace(offset) is None:
        rows = np.broadcast_to(0.0, (X.shape[0], 1))
        values = checked_offset(rows, offset, name)
        return library.array(values.astype(library.numpy_dtype(X.dtype)))
    xp, offset = library.xp, on_device(offset, library.xp, library.device)
    if offset.ndim == 0:
        offset = xp.broadcast_to(offset, (X.shape[0],))
    if tuple(offset.shape) != (X.shape[0],):
        raise ValueError(
            f"{name} must be a finite number, or have the shape {(X.shape[0],)} and finite "
            f"elements; it has the shape {tuple(offset.shape)}."
        )
    offset = xp.astype(offset, X.dtype)
    if not bool(xp.all(xp.isfinite(offset))):
        raise ValueError(f"{name} has elements that are not finite numbers.")
    return offset


def encode_with(
    encoder: TargetEncoder, given: GivenSamples, library: ArrayLibrary, name: str = "y"
) -> DeviceSamples:
    """Return samples encoded with known classes; labels of one of them may be missing.

    Parameters
    ----------
    encoder : TargetEncoder
        Encoder of the training targets.
    given : GivenSamples
        Samples whose X is checked.
    library : ArrayLibrary
        The library of X.
    name : str, default="y"
        Name of the argument y, for the message of an error.

    Raises
    ------
    ValueError
        If a label is not among the classes, a soft target is not in [0, 1], or weights or the
        offset are malformed.
    """
    y, xp = checked_y(given.X, given.y), library.xp
    weight, unit = device_weight(given.X, given.sample_weight, library)
    if isinstance(y, np.ndarray):
        codes, _ = replace_weight(encoder).encode(y, np.ones(len(y)), name)
        y = library.array(codes, given.X.dtype)
    elif encoder.soft_targets:
        y = on_device(y, library.xp, library.device)
        y = device_soft_targets(y, given.X.dtype, library, name)
    else:
        y = on_device(y, library.xp, library.device)
        known = [y == each for each in encoder.classes.tolist()]
        if not bool(xp.all(known[0] | known[1])):
            labels = library.to_numpy(xp.unique_values(y))
            encoder.encode(labels, np.ones(len(labels)), name)
        y = xp.astype(known[1], given.X.dtype)
    offset = device_offset(given.X, given.offset, library, f"offset{name.removeprefix('y')}")
    samples = DeviceSamples(library, given.X, y, weight, unit, offset, is_soft=encoder.soft_targets)
    return with_class_weight(samples, encoder.weight_of_class)


def replace_weight(encoder: TargetEncoder) -> TargetEncoder:
    """Return the encoder without class weights."""
    return encoder._replace(weight_of_class=None)


def encode_device_validation_samples(
    estimator: BaseEstimator,
    given: GivenSamples,
    encoder: TargetEncoder,
    has_offset: bool,
    library: ArrayLibrary,
) -> DeviceSamples:
    """Check and encode the samples that `fit` was given for validation, on the device of X.

    The arguments are those of `encode_validation_samples`, with the library of the training
    samples.
    """
    raise_for_missing_validation(given, has_offset)
    with errors_of("X_val, y_val"):
        X = given.X
        if foreign_namespace(X) is None:
            X = np.asarray(checked_array(X, "X_val"))
        X = on_device(X, library.xp, library.device)
        X = checked_device_X(estimator, X, library, reset=False)
    assert_all_finite(X, estimator_name=type(estimator).__name__, input_name="X_val")
    given = given._replace(X=X)
    return encode_with(encoder, given, library, name="y_val")


class DeviceHeldOut(HeldOut):
    """Samples on a device that are not used for learning; see `HeldOut`.

    Parameters
    ----------
    samples : DeviceSamples
        The samples held out, given to `fit`.
    plateau : Plateau or None
        As for `HeldOut`.
    """

    def __init__(self, samples: DeviceSamples, plateau: Plateau | None) -> None:
        self.samples, self.plateau, self.is_given = samples, plateau, True
        self._objective = DeviceObjective.in_user_units(samples, NO_PENALTY, fit_intercept=True)

    def loss(self, w: Vector, b: float) -> float:
        """Return the weighted mean loss of the samples in nats; see `HeldOut.loss`."""
        return self._objective.value_at(np.append(w, b))

    def difference_from(self, objective: Any, feature_names: NDArray[Any] | None) -> str | None:
        """Return in what the samples are unlike X; see `HeldOut.difference_from`."""
        moments, samples = objective.column_moments(), self.samples
        library, xp, dtype = samples.library, samples.library.xp, samples.dtype
        mean = library.array(moments.mean.astype(dtype))
        limit = library.array((FAR * moments.deviation).astype(dtype))
        is_far = xp.abs(samples.X - mean) > limit
        share = library.to_numpy(xp.mean(xp.astype(is_far, samples.X.dtype), axis=0))
        share = np.where(moments.deviation > 0, share, 0.0)
        farthest = int(np.argmax(share))
        return difference_in(farthest, feature_names) if share[farthest] > 1 / 2 else None


def held_out_on_device(
    validation: DeviceSamples, parameters: Parameters, kept: NDArray[np.intp] | None
) -> DeviceHeldOut:
    """Return the samples that `fit` was given for validation, with the features that are kept."""
    plateau = None
    if parameters.early_stopping:
        plateau = Plateau(parameters.tol, parameters.n_iter_no_change)
    return DeviceHeldOut(validation if kept is None else validation.of_columns(kept), plateau)


def device_objective_of(
    samples: DeviceSamples,
    user_samples: DeviceSamples,
    parameters: Parameters,
    regularisation: Regularisation,
    n_threads: int,
    given_X: Any,
) -> tuple[Regularisation, DeviceObjective]:
    """Return F of samples on a device, and the regularisation with the moments of their columns.

    Parameters
    ----------
    samples, user_samples : DeviceSamples
        Samples to learn from, with and without class weights.
    parameters : Parameters
        Parameters of the estimator.
    regularisation : Regularisation
        Penalty factors and bounds.
    n_threads : int
        Most threads that the objective may use on the host.
    given_X : array
        X as given by the user.
    """
    has_user_weights = samples is user_samples
    if regularisation.kept is not None:
        samples = samples.of_columns(regularisation.kept)
        user_samples = replace(user_samples, X=samples.X)
    if parameters.standardize:
        moments = moments_on_device(user_samples, parameters.fit_intercept)
        regularisation = regularisation._replace(moments=moments)
    objective = DeviceObjective.in_user_units(
        samples,
        regularisation.penalty(parameters.C, parameters.l1_ratio, samples.total_weight),
        parameters.fit_intercept,
        n_threads,
        given_X,
    )
    if parameters.standardize:
        objective.passes.add()  # that of the moments
        objective.moments = regularisation.moments if has_user_weights else None
    return regularisation, objective


def raise_for_unsupported_on_device(parameters: Parameters, has_validation: bool) -> None:
    """Raise ValueError if a fit needs access to single samples, which are not on the host.

    Parameters
    ----------
    parameters : Parameters
        Parameters of the estimator.
    has_validation : bool
        Whether `fit` was given ``X_val``.
    """
    if solver_name(parameters.solver) == "sgd":
        raise ValueError(
            "solver='sgd' updates the weights after each sample, and does not take arrays of "
            "other libraries than NumPy: use solver='auto', or convert X to NumPy."
        )
    if parameters.early_stopping and not has_validation:
        raise ValueError(
            "early_stopping=True sets samples aside, and does not do so in arrays of other "
            "libraries than NumPy: give X_val and y_val, set early_stopping=False, or convert X "
            "to NumPy."
        )


def device_chunk(
    estimator: BaseEstimator, given: GivenSamples, *, is_first: bool, first_pass: bool
) -> DeviceChunk:
    """Return a chunk, or a block of a Dask array, that is on a device; see `IteratedChunks`.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``n_features_in_`` is set to that of the first chunk.
    given : GivenSamples
        The samples of the chunk.
    is_first : bool
        Whether this is the first chunk of the first pass.
    first_pass : bool
        Whether to check X and y; later passes read the same values.

    Raises
    ------
    ValueError, TypeError
        If the samples are malformed.
    """
    library = library_of(given.X)
    X = checked_device_X(estimator, given.X, library, reset=is_first)
    y = checked_y(X, given.y)
    if not isinstance(y, np.ndarray):
        y = on_device(y, library.xp, library.device)
    is_soft = bool(estimator.soft_targets)
    if first_pass:
        assert_all_finite(X, input_name="X")
    if is_soft and isinstance(y, np.ndarray):
        y = library.array(checked_soft_targets(y), X.dtype)
    elif is_soft:
        y = device_soft_targets(y, X.dtype, library)
    weight, unit = device_weight(X, given.sample_weight, library, allow_all_zero=True)
    offset = device_offset(X, given.offset, library)
    samples = DeviceSamples(library, X, y if is_soft else None, weight, unit, offset, is_soft)
    return DeviceChunk(samples, y)


def device_outputs(
    estimator: BaseEstimator, X: Any, offset: Any, library: ArrayLibrary
) -> tuple[Any, Any]:
    """Return X, checked, and the linear outputs of the samples, an array of shape (n_samples,).

    Weights that are more precise than X, see ``coef_``, are multiplied with blocks of X in their
    own type.

    Raises
    ------
    ValueError
        If X or the offset is malformed or not finite.
    """
    given, xp = X, library.xp
    X = checked_device_X(estimator, X, library, reset=False)
    w, b = estimator.coef_[0, :], estimator.intercept_[0]
    if w.dtype == X.dtype:
        z = X @ w + b
    else:
        z = xp.empty(X.shape[0], dtype=w.dtype, device=library.device)
        y = xp.zeros(X.shape[0], dtype=X.dtype, device=library.device)
        for rows in DeviceSamples(library, X, y).blocks(2 * X.shape[1]):
            z[rows] = xp.astype(X[rows, :], w.dtype) @ w + b
    if X is given and not bool(xp.isfinite(xp.sum(z))):
        assert_all_finite(X, estimator_name=type(estimator).__name__, input_name="X")
    offset = device_offset(X, offset, library)
    return X, z if offset is None else z + xp.astype(offset, z.dtype)


def device_labels(classes: Any, z: Any, library: ArrayLibrary) -> Any:
    """Return the labels of linear outputs: on the device, or as NumPy's if classes are those."""
    index = library.xp.astype(z > 0, library.xp.int64)
    if isinstance(classes, np.ndarray):
        return classes[library.to_numpy(index)]
    return library.xp.take(classes, index, axis=0)


def device_probabilities(z: Any, library: ArrayLibrary) -> Any:
    """Return σ(−z) and σ(z) as the columns of an array, each with its relative precision."""
    xp = library.xp
    return 1 / (1 + xp.exp(xp.stack([z, -z], axis=1)))


def device_log_probabilities(z: Any, library: ArrayLibrary) -> Any:
    """Return log σ(−z) and log σ(z) as the columns of an array."""
    xp = library.xp
    zero = xp.zeros((), dtype=z.dtype, device=library.device)
    return -xp.logaddexp(xp.stack([z, -z], axis=1), zero)


def device_accuracy(
    classes: Any, X: Any, y: Any, z: Any, sample_weight: Any, library: ArrayLibrary
) -> float:
    """Return the weighted fraction of samples whose label is predicted.

    Parameters
    ----------
    classes : array of shape (2,)
        The labels.
    X, z : arrays of shape (n_samples, n_features) and (n_samples,)
        Samples and their linear outputs.
    y, sample_weight : array-like of shape (n_samples,), and array-like or None
        As given to `score`.
    library : ArrayLibrary
        The library of X.
    """
    y, xp = checked_y(X, y), library.xp
    labels = device_labels(classes, z, library)
    weight, _ = device_weight(X, sample_weight, library)
    if isinstance(labels, np.ndarray):
        if not isinstance(y, np.ndarray):
            y = on_host(y, foreign_namespace(y)[0])
        is_right = library.array((y == labels).astype(np.float32))
    else:
        if isinstance(y, np.ndarray) and y.dtype.kind not in "biuf":
            raise ValueError(
                f"y has labels of dtype {y.dtype}, and those of the fit are numbers: {classes}."
            )
        y = on_device(y, library.xp, library.device)
        is_right = xp.astype(y == labels, xp.float32)
    is_right = xp.astype(is_right, library.sum_dtype)
    if weight is None:
        return float(xp.mean(is_right))
    weight = xp.astype(weight, library.sum_dtype)
    return float(xp.sum(is_right * weight) / xp.sum(weight))


def device_loss_and_class_weight_sums(
    X: Any, y: Any, z: Any, sample_weight: Any, library: ArrayLibrary
) -> tuple[float, Vector]:
    """Return the sums that D² is computed from; see `loss_and_class_weight_sums`."""
    encoder = TargetEncoder(np.array([0, 1]), None, soft_targets=True)
    samples = encode_with(encoder, GivenSamples(X, y, sample_weight), library)
    losses = samples.loss(slice(0, samples.n_samples), library.xp.astype(z, X.dtype))
    return samples.unit * float(samples.total(losses)), samples.class_weight_sums


def moved_attributes(attributes: dict[str, Any], library: ArrayLibrary | None) -> dict[str, Any]:
    """Return fitted attributes with numbers as arrays of the library, on the device of X.

    Labels that are not numbers remain arrays of NumPy. None as the library returns the argument.
    """
    if library is None:
        return attributes
    moved = dict(attributes)
    for name in DEVICE_ATTRIBUTES:
        values = attributes.get(name)
        if values is None or values.dtype.kind not in "biuf":
            continue
        if values.dtype == FLOAT64 and FLOAT64 not in library.dtypes:
            values = values.astype(np.float32)
        moved[name] = library.array(values)
    return moved
