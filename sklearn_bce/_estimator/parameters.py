"""Which values the parameters of a neuron may have, and what solvers are told of them."""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral, Real
from typing import Any

from sklearn.base import BaseEstimator

from sklearn_bce._estimator.sklearn_compat import (
    Interval,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn_bce._solvers import SOLVERS, Monitor, Settings

CONSTRAINTS: dict[str, list[Any]] = {
    "C": [Interval(Real, 0, None, closed="right")],
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "fit_intercept": ["boolean"],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "solver": [StrOptions({"auto", *SOLVERS})],
    "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
    "batch_size": [Interval(Integral, 1, None, closed="left")],
    "shuffle": ["boolean"],
    "max_iter": [Interval(Integral, 1, None, closed="left")],
    "tol": [Interval(Real, 0, None, closed="left")],
    "early_stopping": ["boolean"],
    "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
    "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
    "soft_targets": ["boolean"],
    "warm_start": ["boolean"],
    "random_state": ["random_state"],
}


@lru_cache(maxsize=64, typed=True)
def check_parameters(name: str, *values: Any) -> None:
    """Raise for a parameter of a wrong kind or out of its range, in scikit-learn's words.

    Parameters
    ----------
    name : str
        Of the estimator.
    *values : hashable
        In the order of the constraints. Those of an earlier fit are not checked again.
    """
    named = dict(zip(CONSTRAINTS, values, strict=True))
    validate_parameter_constraints(CONSTRAINTS, named, name)


def settings_of(neuron: BaseEstimator, random_state: Any, monitor: Monitor) -> Settings:
    """Return what the solvers are to know of a neuron's parameters."""
    return Settings(
        max_iter=neuron.max_iter,
        tol=neuron.tol,
        learning_rate=neuron.learning_rate,
        batch_size=neuron.batch_size,
        shuffle=neuron.shuffle,
        n_iter_no_change=neuron.n_iter_no_change,
        warm_start=neuron.warm_start,
        path_state=getattr(neuron, "_memory", None),
        random_state=random_state,
        monitor=monitor,
    )
