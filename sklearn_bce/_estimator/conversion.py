"""Conversions between this package's estimators and scikit-learn's own linear classifiers."""

from __future__ import annotations

import io
import pickle
from copy import deepcopy
from inspect import signature
from numbers import Integral
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier
from sklearn.utils.validation import check_is_fitted

from sklearn_bce._estimator.diagnostics import warn_caller
from sklearn_bce._estimator.parameters import penalty_name
from sklearn_bce._estimator.sklearn_compat import copied_to_host
from sklearn_bce._estimator.state import (
    PickleMixin,
    as_numpy,
    dense_coef,
    weight_attributes,
)

# Parameters of LogisticRegression and SGDClassifier that mean the same in `BCENeuronClassifier`.
EQUAL_PARAMETERS = (
    "C",
    "class_weight",
    "early_stopping",
    "fit_intercept",
    "max_iter",
    "n_iter_no_change",
    "random_state",
    "shuffle",
    "validation_fraction",
    "warm_start",
)
# Parameters of LogisticRegressionCV that mean the same in `BCENeuronClassifierCV`.
EQUAL_PARAMETERS_OF_SEARCH = (
    "class_weight",
    "cv",
    "fit_intercept",
    "max_iter",
    "n_jobs",
    "random_state",
    "refit",
)
# Parameters that the function `translated_search` translates, or that have no effect on the result.
TRANSLATED_PARAMETERS_OF_SEARCH = (
    "Cs",
    "dual",
    "l1_ratios",
    "penalty",
    "scoring",
    "solver",
    "use_legacy_attributes",
)
# Least and largest C of the grid of LogisticRegressionCV, if their number is given.
RANGE_OF_SEARCH = 1e-4, 1e4
# Parameters that the function `translated` translates.
TRANSLATED_PARAMETERS = ("alpha", "l1_ratio", "loss", "penalty", "solver")
# Parameters that do not change the minimum of a binary problem, and need no counterpart: threads
# are taken as the machine has them, and "epsilon" belongs to other losses.
NEEDLESS_PARAMETERS = ("dual", "epsilon", "n_jobs")
# Types that a copy shares with the original, so that local functions need not be pickled.
SHARED_TYPES = (FunctionType, BuiltinFunctionType, ModuleType, type)


def translated(estimator: BaseEstimator, n_samples: float | None) -> dict[str, Any]:
    """Return the parameters of `BCENeuronClassifier` that mean what those of the estimator mean.

    Parameters
    ----------
    estimator : LogisticRegression or SGDClassifier
        Not changed. It may be unfitted.
    n_samples : float or None
        Number of training samples, or the sum of their weights, by which alpha = 1/(C·n_samples) of
        `SGDClassifier` becomes ``C``. None leaves ``C`` at its default.

    Returns
    -------
    parameters : dict
        By name; parameters that are not named keep their defaults.

    Raises
    ------
    TypeError
        If the estimator is of another class.
    ValueError
        If the loss of the estimator is not "log_loss", or ``n_samples`` is not above 0.

    Warns
    -----
    UserWarning
        If parameters that are not at their defaults have no counterpart; one warning names all.
    """
    raise_unless_translatable(estimator)
    if n_samples is not None and not n_samples > 0:
        raise ValueError(f"n_samples={n_samples!r} must be above 0.")
    given = estimator.get_params(deep=False)
    parameters = {name: given[name] for name in EQUAL_PARAMETERS if name in given}
    known = {*EQUAL_PARAMETERS, *TRANSLATED_PARAMETERS, *NEEDLESS_PARAMETERS}
    left_out = _without_counterpart(estimator, given, known)
    has_no_penalty = given.get("penalty", "deprecated") is None or given.get("alpha") == 0
    if has_no_penalty:
        parameters["C"] = np.inf
    elif "alpha" in given and n_samples is not None:
        parameters["C"] = 1 / (given["alpha"] * n_samples)
    elif "alpha" in given:
        reason = "C = 1/(alpha·n_samples) needs n_samples; C is at its default"
        left_out.append(f"alpha={given['alpha']!r} ({reason})")
    parameters["l1_ratio"] = 0.0 if parameters.get("C") == np.inf else _l1_ratio(given)
    _warn_of_left_out(estimator, "BCENeuronClassifier", left_out)
    return parameters


def translated_search(estimator: BaseEstimator) -> dict[str, Any]:
    """Return the parameters of `BCENeuronClassifierCV` that mean what those of the estimator mean.

    Parameters
    ----------
    estimator : LogisticRegressionCV
        Not changed. It may be unfitted.

    Raises
    ------
    TypeError
        If the estimator is of another class.

    Warns
    -----
    UserWarning
        If parameters that are not at their defaults have no counterpart; one warning names all.
    """
    if not isinstance(estimator, LogisticRegressionCV):
        raise TypeError(
            f"from_sklearn translates LogisticRegressionCV; estimator is "
            f"{type(estimator).__name__}. BCENeuronClassifier.from_sklearn translates "
            "LogisticRegression and SGDClassifier."
        )
    given = estimator.get_params(deep=False)
    parameters = {name: given[name] for name in EQUAL_PARAMETERS_OF_SEARCH}
    Cs, ratios = given["Cs"], given["l1_ratios"]
    parameters["Cs"] = np.geomspace(*RANGE_OF_SEARCH, Cs) if isinstance(Cs, Integral) else Cs
    if isinstance(ratios, str) or ratios is None:  # not given: the name says which penalty it is
        ratios = (1.0 if given.get("penalty") == "l1" else 0.0,)
    parameters["l1_ratios"] = ratios
    # Its default is the accuracy, in version 1.8 with a warning about another one.
    is_default = given["scoring"] is None or given["scoring"] == "warn"
    parameters["scoring"] = "accuracy" if is_default else given["scoring"]
    known = {*EQUAL_PARAMETERS_OF_SEARCH, *TRANSLATED_PARAMETERS_OF_SEARCH}
    left_out = _without_counterpart(estimator, given, known)
    _warn_of_left_out(estimator, "BCENeuronClassifierCV", left_out)
    return parameters


def _warn_of_left_out(estimator: BaseEstimator, name: str, left_out: list[str]) -> None:
    """Warn of the parameters that the class with the given name does not have, if there are any."""
    if left_out:
        warn_caller(
            f"Parameters of {type(estimator).__name__} that {name} does not have, or not with this "
            f"meaning, are left out: {', '.join(left_out)}.",
        )


def raise_unless_translatable(estimator: BaseEstimator) -> None:
    """Raise TypeError or ValueError unless `translated` knows the class and the loss."""
    is_known = isinstance(estimator, LogisticRegression | SGDClassifier)
    if isinstance(estimator, LogisticRegressionCV) or not is_known:
        raise TypeError(
            "from_sklearn translates LogisticRegression and SGDClassifier(loss='log_loss'), and "
            f"that of BCENeuronClassifierCV LogisticRegressionCV; estimator is "
            f"{type(estimator).__name__}."
        )
    loss = getattr(estimator, "loss", "log_loss")
    if loss != "log_loss":
        raise ValueError(
            f"loss={loss!r} of the {type(estimator).__name__} is another loss than that of "
            "BCENeuronClassifier; only loss='log_loss' can be translated."
        )


def _l1_ratio(given: dict[str, Any]) -> float:
    """Return ``l1_ratio``, given the parameters of a LogisticRegression or SGDClassifier."""
    # `LogisticRegression` of scikit-learn 1.8 has "deprecated" in the place of the name, and later
    # versions have no name: the ratio alone says which penalty it is.
    penalty = given.get("penalty", "deprecated")
    if penalty in {"elasticnet", "deprecated"}:
        return float(given["l1_ratio"] or 0.0)
    return 1.0 if penalty == "l1" else 0.0


def _without_counterpart(
    estimator: BaseEstimator, given: dict[str, Any], known: set[str]
) -> list[str]:
    """Return "name=value" of the parameters that are set, other than those that are known."""
    defaults = signature(type(estimator)).parameters
    found = [
        f"{name}={value!r}"
        for name, value in given.items()
        if name not in known and (name not in defaults or value != defaults[name].default)
    ]
    if given.get("solver") == "liblinear" and given["fit_intercept"]:
        found.append("solver='liblinear' (its penalty of the intercept)")
    return found


def fitted_attributes(estimator: BaseEstimator) -> dict[str, Any]:
    """Return copies of the fitted attributes of a binary linear classifier; {} if it is unfitted.

    Parameters
    ----------
    estimator : LogisticRegression or SGDClassifier
        Not changed.

    Returns
    -------
    attributes : dict
        What predictions need, and ``n_iter_``. Attributes that tell how a solver of this package
        has ended, such as ``converged_``, are not among them.

    Raises
    ------
    ValueError
        If the estimator was fitted to more than two classes.
    """
    if not hasattr(estimator, "coef_"):
        return {}
    if len(estimator.classes_) != 2:
        raise ValueError(
            f"The {type(estimator).__name__} was fitted to {len(estimator.classes_)} classes; "
            "BCENeuronClassifier supports two."
        )
    coef = dense_coef(estimator)
    # `SGDClassifier` without an intercept and liblinear may hold it in other shapes and types.
    intercept = float(np.ravel(estimator.intercept_)[0])
    attributes = weight_attributes(
        estimator.classes_, coef.dtype, coef[0], intercept, has_offset=False
    )
    attributes["n_iter_"] = np.array(np.ravel(estimator.n_iter_)[:1], dtype=np.int32)
    for name in ("n_features_in_", "feature_names_in_"):
        if hasattr(estimator, name):
            attributes[name] = deepcopy(getattr(estimator, name))
    return attributes


def logistic_regression_of(neuron: BaseEstimator) -> LogisticRegression:
    """Return the `LogisticRegression` that has the same objective and predicts the same.

    Parameters
    ----------
    neuron : BCENeuronClassifier or BCENeuronClassifierCV
        Not changed. If it is unfitted, so is the result.

    Returns
    -------
    model : LogisticRegression
        With copies of the fitted attributes; of a search with the parameters that it has chosen.

    Warns
    -----
    UserWarning
        If the neuron was fitted with an offset: the model predicts as with ``offset=0``.
    """
    shared = ("fit_intercept", "class_weight", "max_iter", "tol")
    C, l1_ratio = _strength_of(neuron)
    parameters = {"C": C, **{name: getattr(neuron, name) for name in shared}}
    penalty = penalty_name(C, l1_ratio)
    if penalty in {"l1", "elasticnet"}:
        # "saga" alone can do every ratio, and leaves the intercept without a penalty.
        parameters |= {"l1_ratio": l1_ratio, "solver": "saga"}
        named = signature(LogisticRegression).parameters.get("penalty")
        if named is not None and named.default == "l2":  # scikit-learn before 1.8
            parameters["penalty"] = penalty
            if penalty == "l1":
                parameters["l1_ratio"] = None
    model = LogisticRegression(**parameters)
    if not hasattr(neuron, "coef_"):
        return model
    if getattr(neuron, "has_offset_", False):
        warn_caller(
            "This estimator was fitted with an offset, which LogisticRegression does not have: "
            "the model predicts as with offset=0.",
        )
    classes, coef, intercept, n_iter = (
        copied_to_host(getattr(neuron, name))
        for name in ("classes_", "coef_", "intercept_", "n_iter_")
    )
    model.classes_ = as_numpy(classes).copy()
    model.coef_ = coef.copy() if issparse(coef) else as_numpy(coef).copy()
    model.intercept_ = as_numpy(intercept).copy()
    model.n_iter_ = np.array([np.max(as_numpy(n_iter))], dtype=np.int32)
    model.n_features_in_ = neuron.n_features_in_
    if hasattr(neuron, "feature_names_in_"):
        model.feature_names_in_ = neuron.feature_names_in_.copy()
    return model


def _strength_of(neuron: BaseEstimator) -> tuple[float, float]:
    """Return C and ``l1_ratio``: those that a search has chosen, and 1 and 0 before it has."""
    if hasattr(neuron, "Cs"):
        return getattr(neuron, "C_", 1.0), getattr(neuron, "l1_ratio_", 0.0)
    return neuron.C, neuron.l1_ratio


def to_sklearn(estimator: Any) -> Any:
    """Return a copy in which every neuron is the `LogisticRegression` that predicts the same.

    Tools that know the classes of scikit-learn only, such as exporters to ONNX, can use it.

    Parameters
    ----------
    estimator : object
        Fitted `BCENeuronClassifier` or `sklearn_bce.dask.DaskBCENeuronClassifier`, or a fitted
        estimator that contains neurons at any depth: a Pipeline, a search, an ensemble, a
        calibrated or multi-class classifier. Not changed.

    Returns
    -------
    copy : object
        Of the class of ``estimator``, or a `LogisticRegression`. Functions and classes are those of
        the original; all else is copied. Neurons that are parameters, and not fitted, become
        unfitted models with the same objective.

    Raises
    ------
    NotFittedError
        If ``estimator`` is not fitted.
    TypeError
        If it contains an object that cannot be copied, such as a lock or an open file.

    Warns
    -----
    UserWarning
        If a neuron was fitted with an offset: the copy predicts as with ``offset=0``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_bce import BCENeuronClassifier, to_sklearn
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> pipeline = make_pipeline(StandardScaler(), BCENeuronClassifier()).fit(X, y)
    >>> to_sklearn(pipeline)[-1]
    LogisticRegression(tol=1e-06)
    """
    check_is_fitted(estimator)
    file, shared = io.BytesIO(), []
    _Converter(file, shared).dump(estimator)
    file.seek(0)
    return _Loader(file, shared).load()


to_sklearn.__module__ = "sklearn_bce"  # the path it is imported from


class _Converter(pickle.Pickler):
    """Pickles an object with a `LogisticRegression` in the place of each neuron.

    Parameters
    ----------
    file : file object
        Receives the pickle.
    shared : list
        Receives the objects that the copy shares with the original.
    """

    def __init__(self, file: Any, shared: list[Any]) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._shared = shared

    def persistent_id(self, obj: Any) -> int | None:
        """Return the place of a shared object in the list; None for objects to be copied."""
        if not isinstance(obj, SHARED_TYPES):
            return None
        self._shared.append(obj)
        return len(self._shared) - 1

    def reducer_override(self, obj: Any) -> Any:
        """Return how to build the equal model, for a neuron; NotImplemented for other objects."""
        if not isinstance(obj, PickleMixin):  # all estimators of this package derive from it
            return NotImplemented
        return _given, (logistic_regression_of(obj),)


def _given(model: LogisticRegression) -> LogisticRegression:
    """Return the argument: a pickle builds the copy of a neuron by a call."""
    return model


class _Loader(pickle.Unpickler):
    """Loads what `_Converter` has pickled, in the same process."""

    def __init__(self, file: Any, shared: list[Any]) -> None:
        super().__init__(file)
        self._shared = shared

    def persistent_load(self, pid: int) -> Any:
        """Return a shared object."""
        return self._shared[pid]
