"""A single logistic neuron trained on the binary cross-entropy, as a scikit-learn classifier.

- `BCENeuronClassifier`: the classifier.
- `BCENeuronClassifierCV`: the classifier whose C is chosen by cross-validation.
- `fit_from_chunks`: fits the classifier to samples that do not fit into memory.
- `l1_min_c`: the largest C at which an L1 penalty makes all weights 0.
- `regularization_path`: the weights at each of several values of C.
- `to_sklearn`: a copy of a fitted estimator with `LogisticRegression` in the place of neurons.
- `LossCurveDisplay`: a plot of the loss curves of a fit.
- `PathDisplay`, `CVDisplay`: plots of weights and of scores against C.
- `chain_rule`: the derivation of the gradient, as functions.
- `metrics`: metrics of probabilities against soft targets, and their scorers.
- `sklearn_bce.inference`: standard errors, intervals and tests of the coefficients.
- `sklearn_bce.dask.DaskBCENeuronClassifier`: the classifier for Dask collections.
- `sklearn_bce.onnx`: its import registers the converter of `skl2onnx` for the classifier.
"""

import sys

from sklearn_bce import chain_rule, metrics
from sklearn_bce._estimator import classifier
from sklearn_bce._estimator.chunks import fit_from_chunks
from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.conversion import to_sklearn
from sklearn_bce._estimator.cross_validation import BCENeuronClassifierCV
from sklearn_bce._estimator.display import CVDisplay, LossCurveDisplay, PathDisplay
from sklearn_bce._estimator.l1_min_c import l1_min_c
from sklearn_bce._estimator.path import RegularizationPath, regularization_path
from sklearn_bce._estimator.state import __version__

__all__ = [
    "BCENeuronClassifier",
    "BCENeuronClassifierCV",
    "CVDisplay",
    "LossCurveDisplay",
    "PathDisplay",
    "RegularizationPath",
    "__version__",
    "chain_rule",
    "fit_from_chunks",
    "l1_min_c",
    "metrics",
    "regularization_path",
    "to_sklearn",
]

# Pickles of version 0.1.0 name `sklearn_bce._neuron`, the module that then defined the class.
sys.modules["sklearn_bce._neuron"] = classifier
