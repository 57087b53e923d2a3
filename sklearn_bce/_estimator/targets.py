"""Labels, soft targets and class weights, encoded as y in [0, 1] and sample weights s >= 0."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sklearn_bce._estimator.sklearn_compat import check_sample_weight
from sklearn_bce._estimator.validation import checked_array
from sklearn_bce._kernels import Vector, uniform

SOFT_CLASSES = np.array([0, 1])  # `classes_` of an estimator with soft_targets=True
SOFT_CLASSES.setflags(write=False)
# Distance from [0, 1] up to which the error of a soft target takes the excess for rounding: sums of
# a few float32 numbers. [a choice]
ROUNDING_OF_TARGETS = 1e-6
ONLY_BINARY = "Only binary classification is supported."  # scikit-learn's checks require it


class TargetEncoder(NamedTuple):
    """Converts targets and sample weights as given by the user to those of the objective.

    Attributes
    ----------
    classes : ndarray of shape (2,)
        The two labels in sorted order.
    weight_of_class : ndarray of shape (2,), float64, or None
        Factor of the sample weights of each class; None means 1 for both.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.
    only_class : object or None, default=None
        The label of all samples whose weight is not 0, if there is only one.
    """

    classes: NDArray[Any]
    weight_of_class: Vector | None
    soft_targets: bool
    only_class: Any = None

    def encode(
        self, y: NDArray[Any], sample_weight: Vector, name: str = "y"
    ) -> tuple[Vector, Vector]:
        """Return targets in [0, 1], and sample weights multiplied by the class weights.

        Parameters
        ----------
        y : ndarray of shape (n_samples,)
            Labels or soft targets; labels of one of the classes may be missing.
        sample_weight : ndarray of shape (n_samples,), float64
            Weights, not negative.
        name : str, default="y"
            Name of the argument y, for the message of an error.

        Returns
        -------
        y : ndarray of shape (n_samples,), float64
        sample_weight : ndarray of shape (n_samples,), float64

        Raises
        ------
        ValueError
            If a label is not among the classes, or a soft target is not in [0, 1].
        """
        return apply_class_weight(
            self._encode_targets(y, name), sample_weight, self.weight_of_class
        )

    def _encode_targets(self, y: NDArray[Any], name: str) -> Vector:
        """Return targets in [0, 1]; see `encode`."""
        if self.soft_targets:
            return checked_soft_targets(y, name)
        _raise_if_continuous(y)
        known = self.classes.tolist()
        if unknown := sorted(set(np.unique(y).tolist()) - set(known)):
            raise ValueError(f"{name} has labels that are not among the classes {known}: {unknown}")
        return (y == self.classes[1]).astype(np.float64)


def encode_targets(
    y: NDArray[Any], soft_targets: bool, estimator_name: str
) -> tuple[NDArray[Any], Vector]:
    """Find the classes, and return them with the targets in [0, 1].

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Labels; soft targets if ``soft_targets``.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.
    estimator_name : str
        Name of the estimator's class, for the message of an error.

    Returns
    -------
    classes : ndarray of shape (2,)
        The two labels in sorted order; `SOFT_CLASSES` for soft targets.
    y : ndarray of shape (n_samples,), float64

    Raises
    ------
    ValueError
        If labels are continuous or not of two classes, or a soft target is not in [0, 1].
    """
    if soft_targets:
        return SOFT_CLASSES, checked_soft_targets(y)
    return _encode_labels(y, estimator_name)


def checked_soft_targets(
    y: NDArray[Any],
    name: str = "y",
    needed_by: str = "soft_targets=True",
    advice: str = "For class labels leave soft_targets=False.",
) -> Vector:
    """Return soft targets as a contiguous float64 array.

    Parameters
    ----------
    y : ndarray of shape (n_samples,)
        Soft targets.
    name, needed_by, advice : str
        Name of the argument, what needs it, and what to do with labels, for the message of an
        error.

    Raises
    ------
    ValueError
        If an element is not a number in [0, 1].
    """
    required = (
        f"{needed_by} needs {name} in [0, 1], the probability of class 1 or the fraction of "
        "successes"
    )
    try:
        if y.dtype.kind not in "biuf" and any(isinstance(each, str) for each in y):
            raise TypeError("a string, even of digits, is a label")
        targets = np.ascontiguousarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{required}; it has elements that are not numbers. {advice}") from error
    outside = targets[~((targets >= 0) & (targets <= 1))]
    if len(outside):
        found = repr(float(outside[0])).removesuffix(".0")
        if np.max(np.abs(outside - np.clip(outside, 0, 1))) <= ROUNDING_OF_TARGETS:
            advice = f"If that is rounding, pass np.clip({name}, 0, 1)."
        raise ValueError(f"{required}; it has {found}. {advice}")
    return targets


def _encode_labels(y: NDArray[Any], estimator_name: str) -> tuple[NDArray[Any], Vector]:
    """Return the two classes in sorted order, and y as 0.0 and 1.0; see `encode_targets`."""
    if y.dtype.kind in "biuf":  # two whole numbers are found faster than by `np.unique`
        low, high = y.min(), y.max()
        positive = y == high
        whole = y.dtype.kind != "f" or (float(low).is_integer() and float(high).is_integer())
        if low < high and whole and (positive | (y == low)).all():
            return np.array([low, high], dtype=y.dtype), positive.astype(np.float64)
    y_type = type_of_target(y, input_name="y", raise_unknown=True)
    _raise_if_continuous(y)
    if y_type != "binary":
        raise ValueError(
            f"{ONLY_BINARY} The type of the target is {y_type}. "
            "For more classes use OneVsRestClassifier(BCENeuronClassifier())."
        )
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) == 1:
        raise ValueError(
            f"{estimator_name} needs samples of 2 classes in the data, but the data contains only "
            f"one class: {classes.tolist()[0]!r}"
        )
    return classes, codes.astype(np.float64)


def _raise_if_continuous(y: NDArray[Any]) -> None:
    """Raise ValueError if y contains continuous numbers instead of labels."""
    try:
        check_classification_targets(y)
    except ValueError as error:
        raise ValueError(f"{error} Targets in [0, 1] need soft_targets=True.") from error


def checked_sample_weight(X: Any, sample_weight: Any, allow_all_zero: bool = False) -> Vector:
    """Return the sample weights as a float64 array.

    Parameters
    ----------
    X : array-like with n_samples rows
        The samples that are weighted.
    sample_weight : array-like of shape (n_samples,) or None
        None means 1 for each sample.
    allow_all_zero : bool, default=False
        Whether all weights may be 0.

    Returns
    -------
    sample_weight : ndarray of shape (n_samples,), float64
        A broadcast scalar 1 (stride 0) if the argument is None.

    Raises
    ------
    ValueError
        If a weight or the sum of the weights is not finite, a weight is negative, the number of
        weights is not n_samples, or all weights are 0 and ``allow_all_zero`` is False.
    """
    if sample_weight is None:
        return uniform(1.0, X.shape[0])
    sample_weight = checked_array(sample_weight, "sample_weight")
    if not _are_weights(sample_weight, X):
        sample_weight = check_sample_weight(sample_weight, X)
    if not (allow_all_zero or np.any(sample_weight)):
        raise ValueError("Sample weights must contain at least one non-zero number.")
    with np.errstate(over="ignore"):
        total = float(np.sum(sample_weight))
    if not np.isfinite(total):
        raise ValueError(f"The sum of sample_weight is {total}; it must be finite.")
    return sample_weight


def _are_weights(sample_weight: Any, X: Any) -> bool:
    """Return whether `check_sample_weight` would return the weights unchanged, in far less time."""
    if type(sample_weight) is not np.ndarray or sample_weight.dtype != np.float64:
        return False
    if not sample_weight.size or sample_weight.shape != getattr(X, "shape", ())[:1]:
        return False
    return bool(0 <= sample_weight.min() <= sample_weight.max() < np.inf)


def checked_offset(X: Any, offset: Any, name: str = "offset") -> Vector | None:
    """Return the offset as a float64 array; None if there is none.

    Parameters
    ----------
    X : ndarray or CSR of shape (n_samples, n_features)
        The samples.
    offset : float, array-like of shape (n_samples,) or None
        A number is the offset of each sample. None means that there is none.
    name : str, default="offset"
        Name of the argument, for the message of an error.

    Returns
    -------
    offset : ndarray of shape (n_samples,), float64, or None
        A broadcast scalar (stride 0) if the argument is a number.

    Raises
    ------
    ValueError
        If the offset is not a number and does not have the shape (n_samples,), or an element is
        masked, not a number or not finite.
    """
    if offset is None:
        return None
    shape = (X.shape[0],)
    allowed = f"{name} must be a finite number, or have the shape {shape} and finite elements"
    offset = checked_array(offset, name)
    try:
        values = np.asarray(offset)
        of_objects = values.ravel() if values.dtype.kind == "O" else ()
        if values.dtype.kind not in "biufO" or any(isinstance(each, str) for each in of_objects):
            raise TypeError(f"the dtype is {values.dtype}")
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{allowed}; it has elements that are not numbers: {error}") from error
    if values.shape not in {(), shape}:
        raise ValueError(f"{allowed}; it has the shape {values.shape}.")
    if not np.isfinite(values).all():
        found = float(values[~np.isfinite(values)].flat[0])
        raise ValueError(f"{allowed}; it has {found}.")
    return np.broadcast_to(values, shape)


def encoder_from_sums(
    classes: NDArray[Any],
    class_weight_sums: Vector,
    class_weight: Any,
    estimator_name: str,
    *,
    soft_targets: bool,
) -> TargetEncoder:
    """Return the encoder of the targets, with the factor of the sample weights of each class.

    Parameters
    ----------
    classes : ndarray of shape (2,)
        The two labels.
    class_weight_sums : ndarray of shape (2,), float64
        Sum of the sample weights of each class.
    class_weight : dict, "balanced" or None
        As given to the estimator.
    estimator_name : str
        Name of the estimator's class, for the message of an error.
    soft_targets : bool
        Whether y contains numbers in [0, 1] instead of labels.

    Returns
    -------
    encoder : TargetEncoder

    Raises
    ------
    ValueError
        If a class weight is negative or not finite, ``class_weight`` has an unknown label, no class
        has a weight, or soft targets are all 0 or all 1.
    """
    if soft_targets:
        _raise_for_one_soft_target(class_weight_sums, estimator_name)
    weight_of_class, sums = None, class_weight_sums
    if class_weight is not None:
        weight_of_class = _checked_weight_of_class(classes, class_weight, class_weight_sums)
        sums = class_weight_sums * weight_of_class
    weighted = classes[sums > 0].tolist()
    if not weighted:
        raise ValueError(
            f"{estimator_name} needs samples with a weight, but sample_weight and "
            f"class_weight={class_weight!r} leave no weight to any class."
        )
    only_class = weighted[0] if len(weighted) == 1 else None
    return TargetEncoder(classes, weight_of_class, soft_targets, only_class)


def fixed_weight_of_class(classes: NDArray[Any], class_weight: Any) -> Vector | None:
    """Return the factor of the sample weights of each class, for samples that come as a stream.

    Parameters
    ----------
    classes : ndarray of shape (2,)
        The two labels.
    class_weight : dict, str or None
        As given to the estimator.

    Returns
    -------
    weight_of_class : ndarray of shape (2,), float64, or None
        None if ``class_weight`` is None.

    Raises
    ------
    ValueError
        If a class weight is negative or not finite, ``class_weight`` has an unknown label, or it is
        "balanced", which depends on samples that have not been seen.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight={class_weight!r} is not supported for partial_fit, which does not see "
            "all samples at once. Give the weights: class_weight={label: weight}."
        )
    return _checked_weight_of_class(classes, class_weight, np.ones(2))


def _checked_weight_of_class(
    classes: NDArray[Any], class_weight: Any, class_weight_sums: Vector
) -> Vector:
    """Return the weight of each class; raise ValueError if it is negative or not finite."""
    if isinstance(class_weight, str):
        if not np.all(class_weight_sums > 0):
            return np.ones(2)  # one class has all the weight: there is nothing to balance
        # As `compute_class_weight` does it, in far less time.
        return np.sum(class_weight_sums) / (2 * class_weight_sums)
    weight_of_class = compute_class_weight(
        class_weight, classes=classes, y=classes, sample_weight=class_weight_sums
    )
    if np.any(weight_of_class < 0) or not np.all(np.isfinite(weight_of_class)):
        raise ValueError(
            f"class_weight={class_weight!r} gives a class a weight that is negative or not "
            "finite; weights must be in the range [0, inf)."
        )
    return weight_of_class


def apply_class_weight(
    y: Vector, sample_weight: Vector, weight_of_class: Vector | None
) -> tuple[Vector, Vector]:
    """Return targets and sample weights with which each class has its own weight.

    A soft target y stands for a sample of class 1 with weight y and a sample of class 0 with weight
    1 − y. With class weights c of class 1 and d of class 0, the sum of the two weights is
    t = cy + d(1 − y), and the fraction of class 1 is cy/t. The result is y ← cy/t and s ← st.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s.
    weight_of_class : ndarray of shape (2,), float64, or None
        (d, c); None returns the other arguments unchanged.

    Returns
    -------
    y : ndarray of shape (n_samples,), float64
    sample_weight : ndarray of shape (n_samples,), float64
    """
    if weight_of_class is None:
        return y, sample_weight
    positive = weight_of_class[1] * y
    total = positive + weight_of_class[0] * (1 - y)
    y = np.divide(positive, total, out=np.zeros_like(y), where=total > 0)
    return y, sample_weight * total


def _raise_for_one_soft_target(class_weight_sums: Vector, estimator_name: str) -> None:
    """Raise ValueError if soft targets, times their weights, are all 0 or all 1."""
    for weight, label in zip(class_weight_sums, SOFT_CLASSES.tolist(), strict=True):
        if not weight > 0:
            raise ValueError(
                f"{estimator_name} needs targets of 2 classes, but targets and sample_weight leave "
                f"no weight to class {label!r}: only one class is left."
            )
