"""The fitted attributes of an estimator, and which of them a pickle contains."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, fields, replace
from importlib.metadata import PackageNotFoundError, version
from inspect import signature
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.base import BaseEstimator

from sklearn_bce._estimator.validation import checked_array
from sklearn_bce._kernels import Vector
from sklearn_bce._solvers import Result

try:
    __version__ = version("sklearn-bce")
except PackageNotFoundError:  # run from a source tree that is not installed
    __version__ = "0+unknown"

VERSION = "_sklearn_bce_version"  # key of the version in the state of a pickle


class FittedAttribute(NamedTuple):
    """An attribute that a fit sets on the estimator.

    Attributes
    ----------
    name : str
        Name of the attribute; public if it has no leading underscore.
    cleared : bool, default=False
        Whether the next fit deletes the attribute before it sets its own. False for attributes that
        each `fit` and `partial_fit` sets, and for those that scikit-learn sets or deletes when it
        checks X.
    pickled : bool, default=True
        Whether a pickle contains the attribute. False for values that are valid in this process
        only.
    """

    name: str
    cleared: bool = False
    pickled: bool = True


FITTED_ATTRIBUTES = (
    FittedAttribute("n_features_in_"),  # set as X is checked
    FittedAttribute("feature_names_in_"),  # set or deleted as X is checked
    FittedAttribute("classes_"),
    FittedAttribute("coef_"),
    FittedAttribute("intercept_"),
    FittedAttribute("has_offset_"),  # missing in pickles of 0.1.0, where it counts as False
    FittedAttribute("n_iter_"),
    FittedAttribute("n_passes_"),
    FittedAttribute("converged_"),
    FittedAttribute("stop_reason_"),
    FittedAttribute("solver_"),
    FittedAttribute("loss_curve_"),
    FittedAttribute("validation_loss_curve_", cleared=True),  # where samples were held out
    FittedAttribute("best_iter_", cleared=True),  # where samples were held out
    FittedAttribute("_total_weight"),  # Σ s, in which a later `partial_fit` includes its samples
    FittedAttribute("_stream", cleared=True),  # `Stream`, by `partial_fit` only
    # `Result.path_state`, by newton with warm_start=True: refers to arrays by their identity
    FittedAttribute("_path_state", cleared=True, pickled=False),
)
PUBLIC_NAMES = tuple(each.name for each in FITTED_ATTRIBUTES if not each.name.startswith("_"))
CLEARED_NAMES = tuple(each.name for each in FITTED_ATTRIBUTES if each.cleared)


@dataclass
class Stream:
    """State of `partial_fit` between two chunks, in addition to the public attributes.

    A pickle contains the state as a dict of these fields.

    Attributes
    ----------
    w : ndarray of shape (n_features,), float64
        Weights; ``coef_`` has the same numbers rounded to the dtype of X.
    b : float
        Intercept.
    total_weight : float
        Σ s of all samples so far; the penalty is divided by it.
    n_samples : float
        Number of samples so far; a fit before the stream counts as Σ s samples. The more there are,
        the smaller is the step of ``learning_rate="auto"``.
    levels : ndarray of shape (2, n_levels), float64
        Weights of the samples so far by the magnitude of their Lipschitz constants, for the step of
        ``learning_rate="auto"``; see `StreamSteps`.
    random_state : RandomState
        Shuffles the samples of each chunk.
    """

    w: Vector
    b: float
    total_weight: float
    n_samples: float
    random_state: Any
    levels: NDArray[np.float64] = field(default_factory=lambda: np.empty((2, 0)))

    @classmethod
    def of_pickle(cls, state: dict[str, Any]) -> Stream:
        """Return the stream with the fields of a pickle.

        Pickles of 0.1.0 have no ``n_samples`` and no ``levels``, and have a field that is no longer
        used.
        """
        known = {each.name for each in fields(cls)}
        kept = {name: value for name, value in state.items() if name in known}
        return cls(**{"n_samples": state["total_weight"]} | kept)

    def copy(self) -> Stream:
        """Return a copy that shares its arrays and the generator with this stream."""
        return replace(self)

    def has_weights(self, coef: NDArray[Any], intercept: NDArray[Any]) -> bool:
        """Return whether ``coef_`` and ``intercept_`` are w and b, rounded to their dtype.

        False means that these attributes were set since the last chunk, by a fit or by the user.
        """
        same = np.array_equal(self.w.astype(coef.dtype), coef[0])
        return same and coef.dtype.type(self.b) == intercept[0]


class PickleMixin:
    """Pickles of an estimator: with the version, without attributes valid in one process only.

    Pickles and copies go through `__getstate__` and `__setstate__`, in every format (pickle,
    joblib, skops).
    """

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes to pickle, and the version of this package."""
        state = dict(super().__getstate__())
        for attribute in FITTED_ATTRIBUTES:
            if not attribute.pickled:
                state.pop(attribute.name, None)
        if "_stream" in state:  # as a dict of numbers and arrays, which every format can store
            state["_stream"] = vars(state["_stream"]).copy()
        return state | {VERSION: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Set the attributes to those of the pickle.

        Parameters that are missing get their default values. Of a pickle that another version has
        saved, the state of `partial_fit` beyond the public attributes is dropped.

        Warns
        -----
        UserWarning
            If another version has saved the pickle.
        """
        state = dict(state)
        n_iter = state.get("n_iter_")
        if n_iter is not None and not getattr(n_iter, "shape", ()):  # a number in pickles of 0.1.0
            state["n_iter_"] = np.array([n_iter], dtype=np.int32)
        saved_by = state.pop(VERSION, None)
        if saved_by != __version__:
            warnings.warn(
                f"This {type(self).__name__} was saved by sklearn_bce "
                f"{saved_by or 'another version'}, and is loaded by {__version__}: "
                "its predictions may differ. Fit and save it again with this version.",
                UserWarning,
                stacklevel=2,
            )
            state.pop("_stream", None)
        elif "_stream" in state:
            state["_stream"] = Stream.of_pickle(state["_stream"])
        known = signature(type(self).__init__).parameters.values()
        defaults = {p.name: p.default for p in known if p.default is not p.empty}
        super().__setstate__(defaults | state)


def public_fitted_state(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the public fitted attributes that the estimator has, by name."""
    attributes = vars(estimator)
    return {name: attributes[name] for name in PUBLIC_NAMES if name in attributes}


def dense_coef(estimator: BaseEstimator) -> NDArray[Any]:
    """Return ``coef_`` as an array of NumPy, of shape (1, n_features), in whatever form it is.

    `sparsify` may have made it CSR, and a fit on another device an array there.
    """
    coef = estimator.coef_
    return coef.toarray() if issparse(coef) else as_numpy(coef)


def as_numpy(values: Any) -> NDArray[Any]:
    """Return a fitted attribute as an array of NumPy; a fit on another device sets others."""
    return checked_array(values, "a fitted attribute")


def clear_fit_state(estimator: BaseEstimator) -> None:
    """Delete the attributes of the previous fit that the present one may not set again."""
    attributes = vars(estimator)
    for name in CLEARED_NAMES:
        attributes.pop(name, None)


def replace_fit_state(estimator: BaseEstimator, fitted: dict[str, Any]) -> None:
    """Replace the attributes of the previous fit by those of the present one.

    Parameters
    ----------
    estimator : BCENeuronClassifier
        Changed.
    fitted : dict
        Values of the attributes in `FITTED_ATTRIBUTES`, by name, without ``n_features_in_`` and
        ``feature_names_in_``. An attribute with the value None is not set.
    """
    clear_fit_state(estimator)
    vars(estimator).update({name: value for name, value in fitted.items() if value is not None})


def weight_attributes(
    classes: NDArray[Any], dtype: np.dtype[Any], w: Vector, b: float, *, has_offset: bool
) -> dict[str, Any]:
    """Return the attributes that suffice for predictions, besides those of the features.

    Parameters
    ----------
    classes : ndarray of shape (2,)
        The two labels.
    dtype : dtype
        Type of ``coef_`` and ``intercept_``: float32 or float64.
    w : ndarray of shape (n_features,), float64
        Weights.
    b : float
        Intercept.
    has_offset : bool
        Whether the samples have an offset.

    Returns
    -------
    attributes : dict
        ``classes_``, ``coef_`` and ``intercept_``, as new arrays, and ``has_offset_``.

    Raises
    ------
    ValueError
        If weights are finite in float64 and not in ``dtype``.
    """
    coef, intercept = w[np.newaxis].copy(), np.array([b])
    if dtype != np.float64:
        with np.errstate(over="ignore"):
            coef, intercept = coef.astype(dtype), intercept.astype(dtype)
        is_finite = np.isfinite(coef).all() and np.isfinite(intercept).all()
        if np.isfinite(w).all() and not is_finite:
            raise ValueError(
                f"The weights overflowed {dtype}, which is the dtype of X: scale the features, "
                "give X as float64 or, if learning_rate is a number, use a smaller one."
            )
    return {
        "classes_": classes.copy(),
        "coef_": coef,
        "intercept_": intercept,
        "has_offset_": has_offset,
    }


def result_attributes(solver: str, result: Result) -> dict[str, Any]:
    """Return the fitted attributes that describe the run of the solver: all but the weights.

    Parameters
    ----------
    solver : str
        Name of the solver.
    result : Result
        Result of the solver.
    """
    return {
        "n_iter_": np.array([result.n_iter], dtype=np.int32),  # as LogisticRegression has it
        "n_passes_": float(result.n_passes),
        "converged_": result.converged,
        "stop_reason_": result.shown_reason.value,
        "loss_curve_": result.loss_curve,
        "solver_": solver,
    }
