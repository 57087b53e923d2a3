"""A single logistic neuron trained on the binary cross-entropy, as a scikit-learn classifier."""

import sys

from sklearn_bce import chain_rule
from sklearn_bce._estimator import classifier
from sklearn_bce._estimator.chunks import fit_from_chunks
from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.display import LossCurveDisplay
from sklearn_bce._estimator.l1_min_c import l1_min_c
from sklearn_bce._estimator.state import __version__

__all__ = [
    "BCENeuronClassifier",
    "LossCurveDisplay",
    "__version__",
    "chain_rule",
    "fit_from_chunks",
    "l1_min_c",
]

for function in (fit_from_chunks, l1_min_c):
    function.__module__ = __name__  # the path that it is imported from; classes state theirs

# Pickles of version 0.1.0 name the class by the module that it was in then.
sys.modules["sklearn_bce._neuron"] = classifier
