"""The penalty and the bounds of each feature, as the parameters of an estimator give them.

`Regularisation` has the checked values of ``standardize``, ``penalty_factor`` and ``coef_bounds``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._estimator.validation import checked_array
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.penalty import BOUND_ROUNDING, NO_PENALTY, ElasticNet
from sklearn_bce._objective.scaling import Moments

# Most unknown feature names that an error message lists, so that it stays legible. [a choice]
MAX_NAMES_LISTED = 5


class Regularisation(NamedTuple):
    """How the weight of each feature is penalised and bounded.

    Attributes
    ----------
    n_features : int
        Number of features of X.
    standardize : bool, default=False
        Whether the penalty is that of the weights of standardised columns.
    factor : ndarray of shape (n_features,), float64, or None, default=None
        Factors of the penalty, at least 0; None means 1 for each feature.
    bounds : tuple of two ndarrays of shape (n_features,), float64, or None, default=None
        Lower and upper bounds of the weights, in the user's units; None means that there are none.
    kept : ndarray of shape (n_kept,), intp, or None, default=None
        Indices of the features that are not dropped by an infinite factor; None means all.
    moments : Moments or None, default=None
        Mean and deviation of the columns kept, over the training samples and weighted without class
        weights; None if they are not needed, or not known yet.
    """

    n_features: int
    standardize: bool = False
    factor: Vector | None = None
    bounds: tuple[Vector, Vector] | None = None
    kept: NDArray[np.intp] | None = None
    moments: Moments | None = None

    @classmethod
    def of(
        cls,
        standardize: bool,
        penalty_factor: Any,
        coef_bounds: Any,
        n_features: int,
        feature_names: NDArray[Any] | None,
    ) -> Regularisation:
        """Return the checked values of three parameters of an estimator.

        Parameters
        ----------
        standardize, penalty_factor, coef_bounds : object
            The parameters.
        n_features : int
            Number of features of X.
        feature_names : ndarray of shape (n_features,) or None
            Names of the features; None if they have no names.

        Raises
        ------
        ValueError
            If ``penalty_factor`` or ``coef_bounds`` is malformed or out of range, or both
            contradict each other.
        """
        factor = bounds = kept = None
        if penalty_factor is not None:
            factor = checked_penalty_factor(penalty_factor, n_features, feature_names)
            is_dropped = np.isinf(factor)
            kept = np.flatnonzero(~is_dropped) if is_dropped.any() else None
        if coef_bounds is not None:
            bounds = checked_coef_bounds(coef_bounds, n_features, feature_names)
        if kept is not None and bounds is not None:
            lower, upper = bounds
            clash = np.flatnonzero(is_dropped & ((lower > 0) | (upper < 0)))
            if len(clash):
                raise ValueError(
                    f"penalty_factor is inf for feature {clash[0]}, so that its weight is 0, but "
                    f"coef_bounds allow it from {lower[clash[0]]:g} to {upper[clash[0]]:g}."
                )
        return cls(n_features, standardize, factor, bounds, kept)

    def of_kept(self, values: Any) -> Any:
        """Return the values of the features that are kept.

        Parameters
        ----------
        values : ndarray or CSR of shape (..., n_features), or None
            Values of all features, in the last axis; None remains None.
        """
        return values if values is None or self.kept is None else values[..., self.kept]

    def names_of_kept(self, feature_names: NDArray[Any] | None) -> NDArray[Any] | None:
        """Return the names of the features kept, or their numbers if features are dropped.

        None, if the features have no names and none is dropped, means their numbers from 0.
        """
        if self.kept is None or feature_names is not None:
            return self.of_kept(feature_names)
        return self.kept.astype(str)

    def penalty(self, C: float, l1_ratio: float, total_weight: float) -> ElasticNet:
        """Return the penalty of the weights of the features kept, in the user's units.

        Parameters
        ----------
        C : float
            Inverse of the strength, in (0, inf].
        l1_ratio : float
            Proportion ρ of the L1 norm, in [0, 1].
        total_weight : float
            S, the sum of the sample weights, with class weights.

        Raises
        ------
        ValueError
            If 1/(C·S) overflows.
        """
        penalty = ElasticNet.of(C, l1_ratio, total_weight)
        if self.factor is not None:
            penalty = penalty.with_factors(self.of_kept(self.factor))
        if self.standardize:
            # A constant column has no deviation. With the unit 1 its weight at the minimum is 0.
            deviation, tiny = self.moments.deviation, np.finfo(np.float64).tiny
            penalty = penalty.of_standard_weights(np.where(deviation > tiny, deviation, 1.0))
        if self.bounds is not None:
            penalty = penalty.with_bounds(*map(self.of_kept, self.bounds))
        return penalty

    def within_bounds(self, w: Vector) -> Vector:
        """Return the weights of all features within the bounds that are nearest to w."""
        return w if self.bounds is None else np.clip(w, *self.bounds)

    def can_store(self, w: Vector, dtype: np.dtype[Any]) -> bool:
        """Return whether another dtype can hold those bounds at which weights are.

        ``w``, of shape (n_kept,), has the weights of the features kept.
        """
        if self.bounds is None:
            return True
        of_all = self.of_all(w)
        bounds = [bound[of_all == bound] for bound in self.bounds]
        return all(np.array_equal(bound.astype(dtype), bound) for bound in bounds)

    def finished(self, w: Vector, b: float) -> tuple[Vector, float]:
        """Return the weights and the intercept at the end of a fit, exact where they are known.

        Weights at a bound but for rounding are set to the bound. If the penalty is standardised and
        an intercept fitted, a constant column has the weight 0, or the bound nearest to 0: its
        share of the outputs is moved to the intercept.

        Parameters
        ----------
        w : ndarray of shape (n_kept,), float64
            Weights of the features kept; not changed.
        b : float
            Intercept.
        """
        if self.bounds is None and not self.standardize:
            return w, b
        bounds = self.bounds and tuple(map(self.of_kept, self.bounds))
        if self.standardize and not np.all(self.moments.deviation > 0):
            is_constant = self.moments.deviation == 0
            rest = np.zeros_like(w) if bounds is None else np.clip(0.0, *bounds)
            moved = np.where(is_constant, w - rest, 0.0)
            w, b = np.where(is_constant, rest, w), b + float(moved @ self.moments.mean)
        if bounds is not None:
            near = NO_PENALTY.with_bounds(*bounds).on_bounds(w, BOUND_ROUNDING * np.abs(w))
            w = np.clip(near, *bounds)
        return w, b

    def of_all(self, w: Vector) -> Vector:
        """Return the weights of all features, given those of the features kept."""
        if self.kept is None:
            return w
        of_all = np.zeros(self.n_features)
        of_all[self.kept] = w
        return of_all


def checked_penalty_factor(
    values: Any, n_features: int, feature_names: NDArray[Any] | None
) -> Vector:
    """Return ``penalty_factor`` as an array; see `Regularisation.of` for the arguments.

    Raises
    ------
    ValueError
        If a factor is negative or NaN, all are infinite, the number of factors is not that of the
        features, or a name is not that of a feature.
    """
    name = "penalty_factor"
    if isinstance(values, dict):
        factor = _by_feature(values, 1.0, name, n_features, feature_names)
    else:
        factor = _numbers(values, name)
        if factor.shape != (n_features,):
            raise ValueError(
                f"{name} has shape {factor.shape}; it must be ({n_features},), a number for each "
                "feature, or a dict {feature name: number}."
            )
    wrong = factor[~(factor >= 0)]
    if len(wrong):
        raise ValueError(f"{name} has the value {wrong[0]:g}; factors must be in [0, inf].")
    if np.isinf(factor).all():
        raise ValueError(f"{name} is inf for every feature, so that no feature is left.")
    return factor


def checked_coef_bounds(
    values: Any, n_features: int, feature_names: NDArray[Any] | None
) -> tuple[Vector, Vector]:
    """Return the lower and the upper bounds of ``coef_bounds`` as arrays of shape (n_features,).

    See `Regularisation.of` for the arguments.

    Raises
    ------
    ValueError
        If a bound is NaN, a lower bound is above the upper one or infinite, the number of bounds is
        neither one nor that of the features, or a name is not that of a feature.
    """
    name, free = "coef_bounds", (-np.inf, np.inf)
    if isinstance(values, dict):
        wanted = f"{name} must be a dict {{feature name: (lower, upper)}} of numbers"
        pairs = {
            key: _pair(pair, f"{wanted}; {key!r} has {pair!r}") for key, pair in values.items()
        }
        lower, upper = (
            _by_feature({key: pair[k] for key, pair in pairs.items()}, free[k], name,
                        n_features, feature_names)
            for k in (0, 1)
        )  # fmt: skip
    else:
        wanted = f"it must be (lower, upper), each a number or an array of shape ({n_features},)"
        sides = []
        for side in _pair(values, f"{name} is {values!r}; {wanted}"):
            numbers = _numbers(side, name)
            if numbers.shape not in {(), (n_features,)}:
                raise ValueError(f"{name} has a bound of shape {numbers.shape}; {wanted}.")
            sides.append(np.broadcast_to(numbers, n_features).copy())
        lower, upper = sides
    wrong = np.flatnonzero(~((lower <= upper) & (lower < np.inf) & (upper > -np.inf)))
    if len(wrong):
        first = wrong[0]
        which = first if feature_names is None else repr(feature_names[first])
        raise ValueError(
            f"{name} has the bounds ({lower[first]:g}, {upper[first]:g}) for feature {which}; the "
            "lower one must be below inf and not above the upper one, and the upper one above -inf."
        )
    return lower, upper


def _pair(values: Any, message: str) -> tuple[Any, Any]:
    """Return a lower and an upper bound, infinite for None; ValueError if there are not two."""
    try:
        lower, upper = values
    except (TypeError, ValueError):
        raise ValueError(f"{message}.") from None
    return -np.inf if lower is None else lower, np.inf if upper is None else upper


def _numbers(values: Any, name: str) -> NDArray[np.float64]:
    """Return values as an array of float64; raise ValueError if they are not numbers."""
    values = checked_array(values, name)
    try:
        return np.array(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise ValueError(f"{name} must have numbers; it has {values!r}.") from None


def _by_feature(
    values: dict[Any, Any],
    default: float,
    name: str,
    n_features: int,
    feature_names: NDArray[Any] | None,
) -> Vector:
    """Return an array of shape (n_features,) with the values of a dict by feature names.

    Parameters
    ----------
    values : dict
        Numbers by feature name.
    default : float
        The number of features that are not in the dict.
    name : str
        Name of the parameter, for the message of an error.
    n_features : int
        Number of features.
    feature_names : ndarray of shape (n_features,) or None
        Names of the features; None if they have no names.

    Raises
    ------
    ValueError
        If the features have no names, a name is unknown, or a value is not a number.
    """
    if feature_names is None:
        raise ValueError(
            f"{name} is a dict of feature names, but X has no feature names: give a data frame as "
            f"X, or {name} as an array of shape ({n_features},)."
        )
    position = {each: k for k, each in enumerate(feature_names)}
    if unknown := [key for key in values if key not in position]:
        raise ValueError(
            f"{name} has names that are not among the features of X: {unknown[:MAX_NAMES_LISTED]}."
        )
    numbers = np.full(n_features, default)
    for key, value in values.items():
        number = _numbers(value, name)
        if number.ndim:
            raise ValueError(f"{name} must have one number for {key!r}; it has {value!r}.")
        numbers[position[key]] = number
    return numbers
