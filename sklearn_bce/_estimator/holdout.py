"""Samples held out for validation: given to `fit` or set aside, and the mean loss on them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.model_selection import train_test_split
from sklearn.utils import assert_all_finite

from sklearn_bce._estimator.parameters import Parameters
from sklearn_bce._estimator.samples import Samples
from sklearn_bce._kernels import Vector, uniform
from sklearn_bce._objective.scaling import Moments
from sklearn_bce._solvers import Plateau
from sklearn_bce.chain_rule import binary_cross_entropy, linear_output

# Standard deviations from the mean of X from which on samples held out are far from X, if half of
# them are. [a choice: raw values of breast cancer are 14 to 650 from the mean of the scaled ones]
FAR = 5


class HeldOut:
    """Samples that are not used for learning, and the test of whether their loss still falls.

    Parameters
    ----------
    samples : Samples
        The samples held out.
    plateau : Plateau or None
        Detects that the mean loss has stopped falling, for early stopping; None means that the loss
        is recorded but does not end the fit.
    is_given : bool
        Whether the samples were given to `fit`, and not drawn from those to learn from.
    """

    def __init__(self, samples: Samples, plateau: Plateau | None, is_given: bool) -> None:
        self.samples, self.plateau, self.is_given = samples, plateau, is_given
        self._normalised_weight = samples.sample_weight / np.sum(samples.sample_weight)

    def loss(self, w: Vector, b: float) -> float:
        """Return the weighted mean loss of the samples in nats, without the penalty.

        Parameters
        ----------
        w : ndarray of shape (n_features,), float64
        b : float
        """
        z = linear_output(self.samples.X, w, b, self.samples.offset)
        return float(self._normalised_weight @ binary_cross_entropy(self.samples.y, z))

    def difference_from(self, objective: Any, feature_names: NDArray[Any] | None) -> str | None:
        """Return in what the samples are unlike X, as raw samples are unlike scaled ones.

        By Chebyshev's inequality at most 1 in ``FAR``² rows of X is farther than ``FAR`` deviations
        from the mean of a column; the samples are unlike X if half of them are. For CSR the stored
        values are compared, as one column about 0.

        Parameters
        ----------
        objective : InMemoryObjective
            F over the samples to learn from.
        feature_names : ndarray of shape (n_features,) or None
            Names of the features; None means their numbers from 0.

        Returns
        -------
        difference : str or None
            The difference as a clause for a message; None if there is none.
        """
        X, others = objective.X, self.samples.X
        is_sparse = issparse(X)
        if is_sparse:
            X, others = X.data[:, None], others.data[:, None]
        if not (X.size and others.size):
            return None
        moments = Moments.of(X, uniform(1.0, len(X)), fit_intercept=not is_sparse)
        distance = np.median(np.abs(others - moments.mean), axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):  # constant columns have no weight
            ratio = np.where(moments.deviation > 0, distance / moments.deviation, 0.0)
        farthest = int(np.argmax(ratio))
        if not ratio[farthest] > FAR:
            return None
        if is_sparse:
            return f"half of the values of X_val are above {FAR} root mean squares of those of X"
        return difference_in(farthest, feature_names)


def difference_in(feature: int, feature_names: NDArray[Any] | None) -> str:
    """Return that X_val is unlike X in a feature, as a clause for a message.

    ``feature_names``, of shape (n_features,), are the names; None means the numbers from 0.
    """
    name = feature if feature_names is None else feature_names[feature]
    return (
        f"half of X_val is farther than {FAR} standard deviations from the mean of X in "
        f"feature {name}"
    )


def hold_out(
    samples: Samples,
    validation: Samples | None,
    parameters: Parameters,
    random_state: Any,
    estimator_name: str,
) -> tuple[Samples, HeldOut | None]:
    """Separate the samples to learn from and the samples held out.

    Parameters
    ----------
    samples : Samples
        The samples given to `fit`.
    validation : Samples or None
        The validation samples given to `fit`; None means that none were given.
    parameters : Parameters
        ``early_stopping`` says whether to set samples aside if no validation samples were given.
    random_state : RandomState
        Draws the samples set aside.
    estimator_name : str
        Name of the estimator's class, for the message of an error.

    Returns
    -------
    training : Samples
        The samples to learn from.
    held_out : HeldOut or None
        None if no validation samples were given and none are set aside.

    Raises
    ------
    ValueError
        If samples are to be set aside, and are too few, not finite or of the total weight 0.
    """
    plateau = None
    if parameters.early_stopping:
        plateau = Plateau(parameters.tol, parameters.n_iter_no_change)
    if validation is not None:
        return samples, HeldOut(validation, plateau, is_given=True)
    if plateau is None:
        return samples, None
    training, other = set_aside(
        samples,
        fraction=parameters.validation_fraction,
        stratify=not parameters.soft_targets,
        random_state=random_state,
        estimator_name=estimator_name,
    )
    return training, HeldOut(other, plateau, is_given=False)


def set_aside(
    samples: Samples, *, fraction: float, stratify: bool, random_state: Any, estimator_name: str
) -> tuple[Samples, Samples]:
    """Split the samples at random into samples to learn from and samples to hold out.

    Parameters
    ----------
    samples : Samples
        All samples.
    fraction : float
        Fraction of the samples to hold out, in (0, 1).
    stratify : bool
        Whether both parts contain the two classes in the proportion of all samples, and at least
        one sample of each.
    random_state : RandomState
        Draws the split.
    estimator_name : str
        Name of the estimator's class, for the message of an error.

    Returns
    -------
    training, other : Samples
        Copies, each in the order of the given samples.

    Raises
    ------
    ValueError
        If there are too few samples for the split, the total weight of one of the two parts is 0,
        or X is not finite: all of X where samples are too few, else that of the samples held out.
    """
    n_samples, n_each = len(samples.y), 2 if stratify else 1
    n_aside = max(math.ceil(fraction * n_samples), n_each)
    problem = _problem_of_split(samples.y, n_aside, stratify, fraction)
    if problem:
        _raise_unless_finite(samples.X, estimator_name)
        raise ValueError(problem)
    rest, aside = train_test_split(
        np.arange(n_samples),
        test_size=n_aside,
        stratify=samples.y if stratify else None,
        random_state=random_state,
    )
    if stratify:
        rest, aside = _with_both_classes(rest, aside, samples.y, random_state)
        aside, rest = _with_both_classes(aside, rest, samples.y, random_state)
    training, other = samples.of_rows(np.sort(rest)), samples.of_rows(np.sort(aside))
    _raise_unless_finite(other.X, estimator_name)
    if not (np.any(training.sample_weight) and np.any(other.sample_weight)):
        raise ValueError(
            f"validation_fraction={fraction} leaves a total weight of 0 to the samples set aside "
            "or to the others; give X_val and y_val instead."
        )
    return training, other


def _problem_of_split(y: Vector, n_aside: int, stratify: bool, fraction: float) -> str | None:
    """Return why the samples cannot be split, as the message of an error; None if they can be."""
    n_rest = len(y) - n_aside
    smaller_class = min(np.count_nonzero(y), np.count_nonzero(y == 0)) if stratify else 2
    if smaller_class < 2:
        return (
            "early_stopping=True sets aside samples of each class and learns from others of each "
            f"class, and one class has {smaller_class} only. Give X_val and y_val, or set "
            "early_stopping=False."
        )
    if n_rest < (2 if stratify else 1):
        return (
            f"early_stopping=True with validation_fraction={fraction} sets aside {n_aside} of "
            f"n_samples={len(y)}, and leaves too few to learn from. Use a smaller "
            "validation_fraction, or give X_val and y_val."
        )
    return None


def _with_both_classes(
    source: NDArray[np.intp], part: NDArray[np.intp], y: Vector, random_state: Any
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return a source and a part of the samples, after one sample of a class the part lacks moved.

    Parameters
    ----------
    source, part : ndarray, intp
        Numbers of the samples of the two parts of a split.
    y : ndarray of shape (n_samples,), float64
        Encoded labels of all samples.
    random_state : RandomState
        Draws the sample that is moved from the source to the part.
    """
    for label in (0.0, 1.0):
        if not np.any(y[part] == label):
            moved = random_state.choice(source[y[source] == label])
            return source[source != moved], np.append(part, moved)
    return source, part


def _raise_unless_finite(X: Any, estimator_name: str) -> None:
    """Raise ValueError if X is an array with an element that is not finite; CSR was checked."""
    if not issparse(X):
        assert_all_finite(X, estimator_name=estimator_name, input_name="X")
