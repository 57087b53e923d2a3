"""The estimator's parameters: the values allowed for them, and one record of all."""

from __future__ import annotations

from functools import lru_cache
from numbers import Integral, Real
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags

from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._estimator.sklearn_compat import (
    Interval,
    SparseCoefMixin,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn_bce._solvers import NAMES_OF_AUTO, SOLVERS, Judge, Monitor, Settings, solver_name

CONSTRAINTS: dict[str, list[Any]] = {
    "C": [Interval(Real, 0, None, closed="right")],
    "l1_ratio": [Interval(Real, 0, 1, closed="both")],
    "standardize": ["boolean"],
    "penalty_factor": ["array-like", dict, None],
    "coef_bounds": ["array-like", dict, None],
    "fit_intercept": ["boolean"],
    "class_weight": [dict, StrOptions({"balanced"}), None],
    "solver": [StrOptions({*SOLVERS, *NAMES_OF_AUTO})],
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

# Combinations of parameters that have passed the check and are remembered. Fits of one grid search
# share a combination only across folds, so that a few dozen suffice. [a choice, not measured]
REMEMBERED_CHECKS = 64


class Parameters(NamedTuple):
    """The parameters of one estimator, as a fit reads them; see `BCENeuronClassifier`."""

    C: float
    l1_ratio: float
    standardize: bool
    penalty_factor: Any
    coef_bounds: Any
    fit_intercept: bool
    class_weight: dict[Any, float] | str | None
    solver: str
    learning_rate: float | str
    batch_size: int
    shuffle: bool
    max_iter: int
    tol: float
    early_stopping: bool
    validation_fraction: float
    n_iter_no_change: int
    soft_targets: bool
    warm_start: bool
    random_state: Any

    @classmethod
    def of(cls, estimator: BaseEstimator) -> Parameters:
        """Return the present parameters of the estimator."""
        return cls(*parameter_values(estimator))

    def regularisation(self, n_features: int, feature_names: NDArray[Any] | None) -> Regularisation:
        """Return how the weight of each feature is penalised and bounded.

        Parameters
        ----------
        n_features : int
            Number of features of X.
        feature_names : ndarray of shape (n_features,) or None
            Names of the features; None if they have no names.

        Raises
        ------
        ValueError
            If ``penalty_factor`` or ``coef_bounds`` is malformed, or the solver keeps no bounds.
        """
        if self.coef_bounds is not None and not SOLVERS[solver_name(self.solver)].keeps_bounds:
            keeping = " or ".join(repr(name) for name in SOLVERS if SOLVERS[name].keeps_bounds)
            raise ValueError(
                f"coef_bounds is not supported by solver={self.solver!r}; use solver={keeping}."
            )
        return Regularisation.of(
            self.standardize, self.penalty_factor, self.coef_bounds, n_features, feature_names
        )

    def settings(
        self,
        random_state: Any,
        monitor: Monitor,
        judge: Judge = Settings.judge,
        path_state: Any = None,
    ) -> Settings:
        """Return the settings of a solver: those of the parameters that solvers use.

        Parameters
        ----------
        random_state : RandomState
            Generator that the solver draws from.
        monitor : Monitor
            Receives the progress of the solver.
        judge : callable (w, b) -> StopReason, default=Settings.judge
            What a plateau of the loss curve is.
        path_state : object or None, default=None
            `Result.path_state` of the previous fit; None means that there is none.
        """
        return Settings(
            max_iter=self.max_iter,
            tol=self.tol,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            n_iter_no_change=self.n_iter_no_change,
            warm_start=self.warm_start,
            path_state=path_state,
            random_state=random_state,
            monitor=monitor,
            judge=judge,
        )


def penalty_name(C: float, l1_ratio: float) -> str | None:
    """Return the name of a penalty in scikit-learn: "l2", "l1", "elasticnet" or None."""
    return None if np.isinf(C) else {0: "l2", 1: "l1"}.get(l1_ratio, "elasticnet")


class PenaltyName:
    """Attribute of an estimator: the name of its penalty in scikit-learn, by which tools ask.

    It is no data descriptor: an attribute that a subclass sets on an instance, as it does for a
    parameter of this name, takes its place.
    """

    def __get__(self, estimator: Any, owner: Any = None) -> Any:
        """Return what `penalty_name` returns; of the class, the descriptor itself."""
        return self if estimator is None else penalty_name(estimator.C, estimator.l1_ratio)


class BinaryClassifierMixin(SparseCoefMixin, ClassifierMixin):
    """What scikit-learn's tools ask of a binary linear classifier: tags and ``penalty``."""

    penalty = PenaltyName()
    _takes_arrays_of_any_library = False

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        # False for a search, which has neither attribute.
        solver, stops_early = (getattr(self, name, None) for name in ("solver", "early_stopping"))
        takes_device = solver is not None and solver_name(solver) != "sgd" and not stops_early
        tags.array_api_support = bool(takes_device and self._takes_arrays_of_any_library)
        return tags


# Returns the values of all parameters of an estimator, in one call for a small fit's sake.
parameter_values = attrgetter(*Parameters._fields)


@lru_cache(maxsize=REMEMBERED_CHECKS, typed=True)
def check_parameters(estimator_name: str, *values: Any) -> None:
    """Check the values of all parameters; values that have passed before are not checked again.

    Parameters
    ----------
    estimator_name : str
        Name of the estimator's class, for the message of an error.
    *values : hashable
        Values of the parameters, in the order of `Parameters`.

    Raises
    ------
    InvalidParameterError
        If a value has a wrong type or is out of range. Its message is scikit-learn's own.
    """
    validate_parameter_constraints(CONSTRAINTS, Parameters(*values)._asdict(), estimator_name)
