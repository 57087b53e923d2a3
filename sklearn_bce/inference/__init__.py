"""Standard errors, intervals and tests of the coefficients of a fitted neuron.

`summarize` gives them for a maximum likelihood fit, and `firth` fits and summarizes where the
classes are separated and the likelihood has no maximum. What is public is in ``__all__``.

A module may import those listed above it:

- ``samples``: the samples of a summary, of any kind, as parts in float64.
- ``likelihood``: likelihood, score and information of all samples, from one pass.
- ``frame``: coordinates in which the information is resolved, and its inverse.
- ``checks``: fits that are refused: penalised, not at the maximum, separated.
- ``covariance``: the covariances: inverse information, sandwich, clusters.
- ``criterion``: the likelihood and Firth's penalised likelihood, and their maximum.
- ``profile``: intervals by the profile of a likelihood.
- ``table``: tables as text, HTML and data frames.
- ``results``: what the methods of a summary return.
- ``summary``: `Summary`.
- ``maximum_likelihood``: `summarize`.
- ``bias_reduction``: `firth`.
- ``display``: `ForestDisplay`.
"""

from sklearn_bce.inference.bias_reduction import FirthFit, firth
from sklearn_bce.inference.display import ForestDisplay
from sklearn_bce.inference.frame import DependenceError
from sklearn_bce.inference.maximum_likelihood import summarize
from sklearn_bce.inference.results import Interval, MarginalEffects, OddsRatios, Test
from sklearn_bce.inference.summary import Summary

__all__ = [
    "DependenceError",
    "FirthFit",
    "ForestDisplay",
    "Interval",
    "MarginalEffects",
    "OddsRatios",
    "Summary",
    "Test",
    "firth",
    "summarize",
]
