"""Converter to ONNX: after ``import sklearn_bce.onnx``, `skl2onnx` converts neurons.

The converter serves `BCENeuronClassifier` and `BCENeuronClassifierCV` at any depth: in a Pipeline,
a search, an ensemble, a calibrated or multi-class classifier. The graph has the options of that of
a `LogisticRegression`: "zipmap", "nocl", "output_class_labels" and "raw_scores".

The converter for linear classifiers of `skl2onnx` must not be registered in its place: that one
gives classes which it does not know probabilities by softmax over (-z, z), which are those of 2z.

This module needs the extra ``onnx``: ``pip install "sklearn-bce[onnx]"``.

Examples
--------
>>> import skl2onnx
>>> import sklearn_bce.onnx
>>> from sklearn.datasets import load_breast_cancer
>>> from sklearn.pipeline import make_pipeline
>>> from sklearn.preprocessing import StandardScaler
>>> from sklearn_bce import BCENeuronClassifier
>>> X, y = load_breast_cancer(return_X_y=True)
>>> pipeline = make_pipeline(StandardScaler(), BCENeuronClassifier()).fit(X, y)
>>> graph = skl2onnx.to_onnx(pipeline, X[:1], options={"zipmap": False})
>>> [output.name for output in graph.graph.output]
['label', 'probabilities']
"""

from __future__ import annotations

from typing import Any

from skl2onnx import update_registered_converter
from skl2onnx.common.shape_calculator import calculate_linear_classifier_output_shapes
from skl2onnx.operator_converters.linear_classifier import convert_sklearn_linear_classifier

from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.cross_validation import BCENeuronClassifierCV

__all__: list[str] = []  # the import of the module is its use

# By name: the values that the options of the converter of `LogisticRegression` have.
OPTIONS = {
    "zipmap": [True, False, "columns"],
    "nocl": [True, False],
    "output_class_labels": [False, True],
    "raw_scores": [True, False],
}


def _convert(scope: Any, operator: Any, container: Any) -> None:
    """Add the nodes of a neuron to the graph: those of the equal `LogisticRegression`.

    Parameters
    ----------
    scope, container : objects of skl2onnx
        Names and nodes of the graph; nodes are added in place.
    operator : skl2onnx Operator
        Holds the neuron and the names of its input and outputs. Not changed.
    """
    neuron = operator.raw_operator
    model = neuron.to_sklearn().densify()
    for holder in (scope, container):
        holder.add_options(id(model), holder.get_options(neuron))
    operator.raw_operator = model
    try:
        convert_sklearn_linear_classifier(scope, operator, container)
    finally:
        operator.raw_operator = neuron
        for holder in (scope, container):
            holder.options.pop(id(model), None)  # a later object may have the same id


for _kind in (BCENeuronClassifier, BCENeuronClassifierCV):
    update_registered_converter(
        _kind,
        f"Sklearn{_kind.__name__}",
        calculate_linear_classifier_output_shapes,
        _convert,
        options=OPTIONS,
    )
