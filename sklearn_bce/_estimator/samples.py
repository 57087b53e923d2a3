"""X, y, sample_weight and offset as one record: as given, and as used by the objective."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import assert_all_finite

from sklearn_bce._estimator.targets import (
    TargetEncoder,
    apply_class_weight,
    checked_offset,
    checked_sample_weight,
    encode_targets,
    encoder_from_sums,
)
from sklearn_bce._estimator.validation import checked_samples, errors_of
from sklearn_bce._kernels import Vector, uniform


class GivenSamples(NamedTuple):
    """Samples as given to `fit`, not checked yet.

    Attributes
    ----------
    X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features), or None
    y : array-like of shape (n_samples,), or None
    sample_weight : array-like of shape (n_samples,), or None
    offset : float, array-like of shape (n_samples,), or None
    """

    X: Any
    y: Any
    sample_weight: Any = None
    offset: Any = None


class Samples(NamedTuple):
    """Samples as the objective uses them.

    Attributes
    ----------
    X : ndarray or CSR of shape (n_samples, n_features), float32 or float64
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s, with the class weights included; a broadcast scalar (stride 0) if all are 1.
    user_weight : ndarray of shape (n_samples,), float64
        Weights as the user gave them, without the class weights.
    offset : ndarray of shape (n_samples,), float64, or None
        Known terms of the linear outputs; a broadcast scalar (stride 0) if all are equal.
    """

    X: Any
    y: Vector
    sample_weight: Vector
    user_weight: Vector
    offset: Vector | None = None

    @property
    def has_user_weights(self) -> bool:
        """Whether the weights are as the user gave them, without class weights."""
        return self.sample_weight is self.user_weight

    def of_rows(self, rows: NDArray[np.intp]) -> Samples:
        """Return copies of the samples with the given indices, in the order of the indices."""
        sample_weight, user_weight = (
            uniform(weight[0], len(rows)) if weight.strides == (0,) else weight[rows]
            for weight in (self.sample_weight, self.user_weight)
        )
        if self.has_user_weights:
            user_weight = sample_weight
        offset = None if self.offset is None else self.offset[rows]
        return Samples(self.X[rows], self.y[rows], sample_weight, user_weight, offset)


def encode_samples(
    given: GivenSamples, *, soft_targets: bool, class_weight: Any, estimator_name: str
) -> tuple[Samples, TargetEncoder]:
    """Find the classes and their weights, and encode the samples with them.

    Parameters
    ----------
    given : GivenSamples
        Samples whose X and y have passed `checked_samples`.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.
    class_weight : dict, "balanced" or None
        As given to the estimator.
    estimator_name : str
        Name of the class or function that the user called, for the message of an error.

    Returns
    -------
    samples : Samples
    encoder : TargetEncoder
        Encodes other samples of the same classes.

    Raises
    ------
    ValueError
        If y, ``sample_weight``, ``offset`` or ``class_weight`` is malformed, or no class has a
        weight.
    """
    classes, y = encode_targets(given.y, soft_targets, estimator_name)
    user_weight = sample_weight = checked_sample_weight(given.X, given.sample_weight)
    encoder = TargetEncoder(classes, None, soft_targets)
    if soft_targets or class_weight is not None or given.sample_weight is not None:
        sums = np.array([float(sample_weight @ (1 - y)), float(sample_weight @ y)])
        encoder = encoder_from_sums(
            classes, sums, class_weight, estimator_name, soft_targets=soft_targets
        )
    y, sample_weight = apply_class_weight(y, sample_weight, encoder.weight_of_class)
    offset = checked_offset(given.X, given.offset)
    return Samples(given.X, y, sample_weight, user_weight, offset), encoder


def raise_for_missing_validation(given: GivenSamples, has_offset: bool) -> None:
    """Raise ValueError if ``X_val``, ``y_val``, ``offset_val`` or ``offset`` is missing.

    The arguments are those of `encode_validation_samples`.
    """
    if given.X is None or given.y is None:
        missing = "X_val" if given.X is None else "y_val"
        raise ValueError(f"{missing} is missing: X_val and y_val are given together, or neither.")
    if has_offset and given.offset is None:
        raise ValueError(
            "offset_val is missing: offset is given, so that the samples X_val need one as well; "
            "offset_val=0 is allowed."
        )
    if given.offset is not None and not has_offset:
        raise ValueError(
            "offset is missing: offset_val is given, so that the samples X need one as well; "
            "offset=0 is allowed."
        )


def encode_validation_samples(
    estimator: BaseEstimator, given: GivenSamples, encoder: TargetEncoder, has_offset: bool
) -> Samples:
    """Check and encode the samples that `fit` was given for validation.

    Parameters
    ----------
    estimator : BaseEstimator
        Its ``n_features_in_`` and ``feature_names_in_`` are those of the training samples.
    given : GivenSamples
        ``X_val``, ``y_val``, ``sample_weight_val`` and ``offset_val``.
    encoder : TargetEncoder
        Encoder of the training targets.
    has_offset : bool
        Whether the training samples have an offset.

    Returns
    -------
    samples : Samples

    Raises
    ------
    ValueError
        If ``X_val`` or ``y_val`` is missing, an argument is malformed or not finite, features or
        labels are not those of the training samples, or only one of both sets of samples has an
        offset.
    """
    raise_for_missing_validation(given, has_offset)
    n_features = getattr(given.X, "shape", ())[1:]
    has_names = hasattr(given.X, "columns")  # scikit-learn's error says which of them is missing
    if len(n_features) == 1 and n_features[0] != estimator.n_features_in_ and not has_names:
        raise ValueError(
            f"X_val has {n_features[0]} features, and X has {estimator.n_features_in_}."
        )
    with errors_of("X_val, y_val"):
        X, y = checked_samples(estimator, given.X, given.y, reset=False, must_be_finite=False)
    assert_all_finite(X, estimator_name=type(estimator).__name__, input_name="X_val")
    with errors_of("sample_weight_val"):
        user_weight = checked_sample_weight(X, given.sample_weight)
    offset = checked_offset(X, given.offset, name="offset_val")
    return Samples(X, *encoder.encode(y, user_weight, name="y_val"), user_weight, offset)
