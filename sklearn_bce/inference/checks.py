"""Refusals: fits whose inverse information says nothing about the error of their coefficients.

- `raise_unless_maximum_likelihood`: the fit is penalised, weighted by class or at a bound.
- `raise_unless_stationary`: the neuron is not at the maximum for these samples, or the classes are
  separated and there is no maximum.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sklearn_bce._estimator.diagnostics import listed_features, separating_features
from sklearn_bce._estimator.regularisation import Regularisation
from sklearn_bce._estimator.state import dense_coef
from sklearn_bce._objective.partitioned import PartitionedObjective
from sklearn_bce._objective.penalty import NO_PENALTY
from sklearn_bce._solvers import direction_of_separation
from sklearn_bce.inference.frame import Fit
from sklearn_bce.inference.likelihood import Counts

# Largest distance of a neuron from the maximum of the likelihood, in standard errors: no linear
# combination of coefficients is further from that of the maximum. Of the samples of another draw
# from the same population it is about √(2·size), of forgotten weights more. A fit of newton at the
# default tol=1e-6 ends within √(2·10⁻⁶·n), which is 0.14 for n = 10 000, and mostly far nearer.
# [a choice]
MAX_DISTANCE = 0.1
# Squared relative change of the curvature of a sample up to which no further step is taken. The
# curvature of each sample changes by |zᵀd| <= λ/√(s a(1−a)) in a step d of the length λ in standard
# errors: a standard error changes by half of 3e-8 if one sample makes it up, and far less else.
SQUARED_CHANGE_AT_END = 1e-15
# Most steps to the maximum. From ``MAX_DISTANCE`` Newton's method takes two or three; where one
# sample makes up a standard error, as a code such as 1e9 for a missing value does, its output
# changes by 1 in a step. [a choice]
MAX_STEPS = 50
# Share of the bound of `raise_unless_stationary` up to which the squared distance proves that the
# classes are not separated, so that rounding does not decide.
PROVEN = 0.25
# Rounding of the squared distance, for each coordinate.
ROUNDING_OF_DISTANCE = 1e-24
# Relative difference of two sums of weights that is not rounding: ε√n at n = 2·10¹³.
WEIGHT_ROUNDING = 1e-9
# Difference of the mean losses of the same samples at the same weights, in nats, at most: float32
# weights and the last step of a solver change it by less; other samples change it by about
# 0.5/√n. [a choice]
LOSS_DIFFERENCE = 1e-5

BOOTSTRAP = (
    "    rng, n = np.random.default_rng(0), len(y)\n"
    "    draws = [rng.integers(n, size=n) for _ in range(500)]\n"
    "    np.std([clone(neuron).fit(X[rows], y[rows]).coef_ for rows in draws], axis=0)"
)


def regularisation_of(neuron: BaseEstimator) -> Regularisation:
    """Return the checked parameters of a neuron that penalise, drop or bound its weights."""
    names = getattr(neuron, "feature_names_in_", None)
    return Regularisation.of(
        neuron.standardize, neuron.penalty_factor, neuron.coef_bounds, neuron.n_features_in_, names
    )


def raise_unless_maximum_likelihood(neuron: BaseEstimator, names: NDArray[Any]) -> None:
    """Raise ValueError unless the neuron maximises the likelihood of its samples.

    Parameters
    ----------
    neuron : BCENeuronClassifier or BCENeuronClassifierCV
        Fitted neuron.
    names : ndarray of shape (n_features,)
        Names of the features.

    Raises
    ------
    ValueError
        If weights are penalised, left out or at a bound, or ``class_weight`` is set.
    """
    regularisation = regularisation_of(neuron)
    C = float(getattr(neuron, "C_", getattr(neuron, "C", np.inf)))
    factor = regularisation.factor
    if regularisation.kept is not None:
        left_out = np.flatnonzero(np.isinf(factor))
        listed = listed_features(left_out, names, len(names))
        raise ValueError(
            f"penalty_factor=inf leaves out {listed}, whose weights are not estimated: leave the "
            "columns out of X, and fit again."
        )
    if np.isfinite(C) and (factor is None or np.any(factor > 0)):
        raise ValueError(_penalty_message(neuron, C))
    if neuron.class_weight is not None:
        raise ValueError(
            f"class_weight={neuron.class_weight!r} multiplies the weights of the samples of a "
            "class: the neuron does not maximise the likelihood of the samples, and the inverse "
            "information is not the covariance of its coefficients. Fit with class_weight=None; "
            "covariance=None gives the table of coefficients without standard errors."
        )
    if regularisation.bounds is not None:
        w = dense_coef(neuron)[0].astype(np.float64)
        lower, upper = regularisation.bounds
        at_bound = np.flatnonzero((w <= lower) | (w >= upper))
        if len(at_bound):
            listed = listed_features(at_bound, names, len(names))
            raise ValueError(
                f"The weights of {listed} are at their coef_bounds, where they are not normally "
                "distributed and the gradient is not 0. Fit without these bounds, "
                "or use a bootstrap; covariance=None gives the table without standard errors."
            )


def _penalty_message(neuron: BaseEstimator, C: float) -> str:
    """Return why a penalised fit is refused, and the ways out."""
    ratio = float(getattr(neuron, "l1_ratio_", getattr(neuron, "l1_ratio", 0.0)))
    why = "which biases the coefficients towards 0"
    if ratio > 0:
        why += f", and its L1 norm (l1_ratio={ratio:g}) chooses features by the same samples"
    return (
        f"The neuron was fitted with a penalty (C={C:g}), {why}: intervals of ± z standard errors "
        "do not cover the true coefficients as often as they say. Ways out: fit with C=np.inf; "
        "covariance=None for the table of coefficients without standard errors; or a bootstrap of "
        f"the penalised fit, which shows its spread, though not its bias:\n{BOOTSTRAP}"
    )


def raise_unless_stationary(
    neuron: BaseEstimator, fit: Fit, names: NDArray[Any], frequency: bool
) -> Fit:
    """Return the maximum of the likelihood near a neuron; raise ValueError if it is not near.

    The classes are not separated if scoreᵀI⁻¹score < s(1−q)/q for each sample with a label, with
    the probability q of its class: Newton's step d then has q|zᵀd| < 1 for each of them, because
    (zᵀd)² <= dᵀId/(s q(1−q)); see `sklearn_bce._solvers.newton.separation`. That costs no pass.
    Otherwise the program of that module decides.

    Parameters
    ----------
    neuron : BCENeuronClassifier
        Fitted neuron.
    fit : Fit
        Its weights and the likelihood of the samples.
    names : ndarray of shape (n_features,)
        Names of the features.
    frequency : bool
        Whether the sum of the weights has a meaning, as that of frequencies has.

    Raises
    ------
    ValueError
        If the classes are separated, the neuron is further than ``MAX_DISTANCE`` standard errors
        from the maximum, or the sum of the weights or the loss is not that of its fit.
    """
    squared = fit.squared_distance
    if squared <= MAX_DISTANCE**2:
        _raise_for_other_samples(neuron, fit, frequency)
        fit = _at_maximum(fit)
    if not _is_certain(fit):
        raise_if_separated(fit, names)
    if not squared <= MAX_DISTANCE**2:
        raise ValueError(
            "The neuron is not at the maximum of the likelihood of these samples, but "
            f"{np.sqrt(squared):.2g} standard errors away (at most {MAX_DISTANCE} are allowed). "
            "Give the X, y, sample_weight and offset that it was fitted to; if they are these, fit "
            "again with tol=1e-12 and, where the fit warned, a larger max_iter."
        )
    return fit


def _at_maximum(fit: Fit) -> Fit:
    """Return the fit after Newton's steps, until its distance from the maximum is negligible."""
    for _ in range(MAX_STEPS):
        if _log_squared_distance(fit) + fit.surest <= np.log(SQUARED_CHANGE_AT_END):
            break
        after = fit.after_newton_step()
        if after is None or not after.squared_distance < fit.squared_distance:
            break
        fit = after
    return fit


def _is_certain(fit: Fit) -> bool:
    """Return whether the distance from the maximum proves that the classes are not separated."""
    return _log_squared_distance(fit) + fit.surest < np.log(PROVEN)


def _log_squared_distance(fit: Fit) -> float:
    """Return the logarithm of the squared distance from the maximum, at least of its rounding."""
    return float(np.log(max(fit.squared_distance, ROUNDING_OF_DISTANCE * len(fit.v))))


def raise_if_separated(fit: Fit, names: NDArray[Any]) -> None:
    """Raise ValueError, which names the features, if the classes are separated."""
    w, b = fit.frame.to_user(fit.v)
    direction = direction_of_separation(mean_loss(fit.frame.user, fit.frame.counts), w, b)
    if direction is not None:
        raise ValueError(
            "The likelihood has no maximum, and standard errors do not exist: the classes, or some "
            "samples of one and all of the other, are separated by a linear combination of "
            f"{separating_features(direction, names)}. Use sklearn_bce.inference.firth(X, y), "
            "whose estimate is finite, or leave out these features."
        )


def mean_loss(objective: PartitionedObjective, counts: Counts) -> PartitionedObjective:
    """Return the mean loss F of samples, given the sum of their losses in the same coordinates."""
    encoding = replace(objective.encoding, total_weight=counts.total_weight)
    return PartitionedObjective(
        objective.parts,
        objective.data_size,
        encoding,
        NO_PENALTY,
        log_odds=log_odds(counts) if encoding.coordinates.fit_intercept else 0.0,
        passes=objective.passes,
        has_offset=objective.has_offset,
    )


def log_odds(counts: Counts) -> float:
    """Return the logarithm of the odds of class 1; the intercept of the model without features."""
    ones = counts.weight_of_ones
    with np.errstate(divide="ignore"):
        return float(np.log(ones) - np.log(counts.total_weight - ones))


def _raise_for_other_samples(neuron: BaseEstimator, fit: Fit, frequency: bool) -> None:
    """Raise ValueError if weights or loss are not those of the fit, as far as these are known.

    A constant factor of all weights, or samples by chance, may leave the neuron stationary.
    """
    known, counts = vars(neuron), fit.frame.counts
    if "_stream" in known or "best_iter_" in known:
        return
    before, now = known.get("_total_weight"), counts.total_weight
    if frequency and before is not None and abs(now - before) > WEIGHT_ROUNDING * before:
        raise ValueError(
            f"The sum of sample_weight is {now:g}, and was {before:g} in the fit of the neuron; "
            "give the X, y and sample_weight that it was fitted to."
        )
    curve, loss = known.get("loss_curve_"), fit.loss / now
    if curve and known.get("solver_") == "newton" and abs(curve[-1] - loss) > LOSS_DIFFERENCE:
        raise ValueError(
            f"The mean loss of these samples is {loss:.6g} nats, and was {curve[-1]:.6g} at the "
            "end of the fit of the neuron; give the X, y, sample_weight and offset that it was "
            "fitted to."
        )
