"""Labels, soft targets and weights, as users give them, turned into y in [0, 1] and s >= 0."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from sklearn_bce._estimator.sklearn_compat import check_sample_weight
from sklearn_bce._estimator.validation import checked_array
from sklearn_bce._kernels import Vector

SOFT_CLASSES = np.array([0, 1])
SOFT_CLASSES.setflags(write=False)
ONLY_BINARY = "Only binary classification is supported."


def encoded(name: str, y: NDArray[Any], soft: bool) -> tuple[NDArray[Any], Vector]:
    """Return the classes, and y as numbers in [0, 1].

    Parameters
    ----------
    name : str
        Of the estimator, for messages.
    y : ndarray of shape (n_samples,)
        Labels, or targets in [0, 1] if they are soft.
    soft : bool
        Whether they are.

    Raises
    ------
    ValueError
        If labels are of other than two classes or continuous, or targets are not in [0, 1].
    """
    return (SOFT_CLASSES, soft_targets(y)) if soft else encoded_labels(name, y)


def encoded_as(name: str, classes: NDArray[Any], y: NDArray[Any], soft: bool) -> Vector:
    """Return y as numbers in [0, 1], given the classes; it need not have samples of both.

    Raises
    ------
    ValueError
        If a label is none of the classes, or a target is not in [0, 1]. ``name`` is that of y.
    """
    if soft:
        return soft_targets(y)
    _check_labels(y)
    if unknown := sorted(set(np.unique(y).tolist()) - set(classes.tolist())):
        raise ValueError(
            f"{name} has labels that are not among the classes {classes.tolist()}: {unknown}"
        )
    return (y == classes[1]).astype(np.float64)


def soft_targets(y: NDArray[Any]) -> Vector:
    """Return targets in [0, 1] as float64.

    Raises
    ------
    ValueError
        If they are not numbers in [0, 1].
    """
    wanted = (
        "soft_targets=True needs y in [0, 1], the probability of class 1 or the share of successes"
    )
    advice = "For class labels leave soft_targets=False."
    try:
        if y.dtype.kind not in "biuf" and any(isinstance(each, str) for each in y):
            raise TypeError("a string, even of digits, is a label")
        targets = np.ascontiguousarray(y, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{wanted}; it has elements that are not numbers. {advice}") from error
    outside = targets[~((targets >= 0) & (targets <= 1))]
    if len(outside):
        found = repr(float(outside[0])).removesuffix(".0")
        raise ValueError(f"{wanted}; it has {found}. {advice}")
    return targets


def encoded_labels(name: str, y: NDArray[Any]) -> tuple[NDArray[Any], Vector]:
    """Return the two classes in sorted order, and y as 0.0 and 1.0.

    Raises
    ------
    ValueError
        If y has other than two classes, or is continuous. ``name`` is the estimator's.
    """
    if y.dtype.kind in "biuf":  # told apart at a glance, where they are two
        low, high = y.min(), y.max()
        positive = y == high
        whole = y.dtype.kind != "f" or (float(low).is_integer() and float(high).is_integer())
        if low < high and whole and np.all(positive | (y == low)):
            return np.array([low, high], dtype=y.dtype), positive.astype(np.float64)
    y_type = type_of_target(y, input_name="y", raise_unknown=True)
    _check_labels(y)
    if y_type != "binary":
        raise ValueError(
            f"{ONLY_BINARY} The type of the target is {y_type}. "
            "For more classes use OneVsRestClassifier(BCENeuronClassifier())."
        )
    classes, codes = np.unique(y, return_inverse=True)
    if len(classes) == 1:
        raise ValueError(
            f"{name} needs samples of 2 classes in the data, but the data contains only one "
            f"class: {classes.tolist()[0]!r}"
        )
    return classes, codes.astype(np.float64)


def _check_labels(y: NDArray[Any]) -> None:
    """Raise ValueError if y is continuous."""
    try:
        check_classification_targets(y)
    except ValueError as error:
        raise ValueError(f"{error} Targets in [0, 1] need soft_targets=True.") from error


def checked_weights(X: Any, sample_weight: Any, may_be_nothing: bool = False) -> Vector:
    """Return the weights as float64; a broadcast 1 where they are None.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, they have another length than X, or all are 0 and
        may not be.
    """
    if sample_weight is None:
        return np.broadcast_to(1.0, X.shape[0])
    sample_weight = check_sample_weight(checked_array(sample_weight, "sample_weight"), X)
    if not (may_be_nothing or np.any(sample_weight)):
        raise ValueError("Sample weights must contain at least one non-zero number.")
    with np.errstate(over="ignore"):
        total = float(np.sum(sample_weight))
    if not np.isfinite(total):
        raise ValueError(f"The sum of sample_weight is {total}; it must be finite.")
    return sample_weight


def class_weights(
    name: str, classes: NDArray[Any], y: Vector, sample_weight: Vector, class_weight: Any
) -> Vector | None:
    """Return the weight of each class; None if that makes no difference.

    Raises
    ------
    ValueError
        If one is negative or not finite, a class is unknown, or one of the two is left without any
        weight; ``name`` is the estimator's.
    """
    if class_weight is None and sample_weight.strides == (0,) and classes is not SOFT_CLASSES:
        return None  # labels have been found to be of both
    class_weight_sums = np.array([float(sample_weight @ (1 - y)), float(sample_weight @ y)])
    return class_weights_from_sums(name, classes, class_weight_sums, class_weight)


def class_weights_from_sums(
    name: str, classes: NDArray[Any], class_weight_sums: Vector, class_weight: Any
) -> Vector | None:
    """Do as `class_weights`, given the weight that the samples of each class have together."""
    raise_unless_both(name, classes, class_weight_sums)
    if class_weight is None:
        return None
    of_class = _checked_class_weights(classes, class_weight, class_weight_sums)
    raise_unless_both(name, classes, class_weight_sums * of_class)
    return of_class


def fixed_class_weights(classes: NDArray[Any], class_weight: Any) -> Vector | None:
    """Return the weight of each class, given ones; None if that makes no difference.

    Raises
    ------
    ValueError
        If one is negative or not finite, a class is unknown, or they are to be found out.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str):
        raise ValueError(
            f"class_weight={class_weight!r} is not supported for partial_fit, which does not see "
            "all samples at once. Give the weights: class_weight={label: weight}."
        )
    return _checked_class_weights(classes, class_weight, np.ones(2))


def _checked_class_weights(
    classes: NDArray[Any], class_weight: Any, class_weight_sums: Vector
) -> Vector:
    """Return the weight of each class, given the weight of its samples."""
    of_class = compute_class_weight(
        class_weight, classes=classes, y=classes, sample_weight=class_weight_sums
    )
    if np.any(of_class < 0) or not np.all(np.isfinite(of_class)):
        raise ValueError(
            f"class_weight={class_weight!r} gives a class a weight that is negative or not "
            "finite; weights must be in the range [0, inf)."
        )
    return of_class


def with_class_weights(
    y: Vector, sample_weight: Vector, of_class: Vector | None
) -> tuple[Vector, Vector]:
    """Return targets and weights that give each class its own, too.

    A soft target y stands for y of a sample of class 1 and 1 − y of one of class 0: with their
    weights they weigh cy + d(1 − y) together, and cy/(cy + d(1 − y)) of that is of class 1.
    """
    if of_class is None:
        return y, sample_weight
    of_positive = of_class[1] * y
    together = of_positive + of_class[0] * (1 - y)
    y = np.divide(of_positive, together, out=np.zeros_like(y), where=together > 0)
    return y, sample_weight * together


def raise_unless_both(name: str, classes: NDArray[Any], class_weight_sums: Vector) -> None:
    """Raise ValueError if one of the classes has no weight; ``name`` is the estimator's."""
    for of_class, label in zip(class_weight_sums, classes.tolist(), strict=True):
        if not of_class > 0:
            raise ValueError(
                f"{name} needs samples of 2 classes, but targets, sample_weight and class_weight "
                f"leave no weight to class {label!r}: only one class is left."
            )
