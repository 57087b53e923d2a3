"""A single logistic neuron trained on the binary cross-entropy, as a scikit-learn classifier."""

from sklearn_bce import chain_rule
from sklearn_bce._chunks import fit_from_chunks
from sklearn_bce._display import LossCurveDisplay
from sklearn_bce._l1_min_c import l1_min_c
from sklearn_bce._neuron import BCENeuronClassifier
from sklearn_bce._version import __version__

__all__ = [
    "BCENeuronClassifier",
    "LossCurveDisplay",
    "__version__",
    "chain_rule",
    "fit_from_chunks",
    "l1_min_c",
]
