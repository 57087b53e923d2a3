"""What tools that export or explain scikit-learn's models make of a neuron: ONNX, PMML, eli5."""

from xml.etree import ElementTree

import numpy as np
import onnxruntime
import pandas as pd
import pytest
import scipy.sparse as sp
import skl2onnx
from covering import every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.feature_selection import SelectFromModel
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler, scale

import sklearn_bce.onnx  # noqa: F401  registers the converter
from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV, to_sklearn

FRAME, Y = load_breast_cancer(return_X_y=True, as_frame=True)
RAW, Y = FRAME.to_numpy(), Y.to_numpy()
X = scale(RAW)
LABELS = np.where(Y, "benign", "malignant")
THREE = np.where(Y == 0, "a", np.where(RAW[:, 0] > np.median(RAW[:, 0]), "b", "c"))
CONVERSIONS = {"converter": lambda model: model, "to_sklearn": to_sklearn}


def run_onnx(model, samples, options=None):
    """Return the outputs of the graph for samples: by default labels and probabilities."""
    graph = skl2onnx.to_onnx(model, samples[:1], options=options or {"zipmap": False})
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"X": samples})


# --- ONNX ---

KINDS = {
    "labels": lambda: BCENeuronClassifier().fit(X, Y),
    "strings": lambda: BCENeuronClassifier(class_weight="balanced").fit(X, LABELS),
    "objects": lambda: BCENeuronClassifier().fit(X, LABELS.astype(object)),
    "bools": lambda: BCENeuronClassifier(fit_intercept=False).fit(X, Y == 1),
    "soft targets": lambda: BCENeuronClassifier(soft_targets=True).fit(X, 0.9 * Y + 0.05),
    "search": lambda: BCENeuronClassifierCV(Cs=3).fit(X, LABELS),
    "float32": lambda: BCENeuronClassifier().fit(X.astype(np.float32), Y),
    "stream": lambda: BCENeuronClassifier(solver="sgd").partial_fit(X, LABELS, LABELS),
}


@every_pair(
    pytest.mark.parametrize("key", KINDS),
    pytest.mark.parametrize("dtype", [np.float64, np.float32]),
    pytest.mark.parametrize("conversion", CONVERSIONS),
)
def test_onnx_graph_predicts_the_same(key, dtype, conversion):
    model, samples = KINDS[key](), X.astype(dtype)
    labels, probability = run_onnx(CONVERSIONS[conversion](model), samples)
    assert probability.dtype == dtype
    atol = 1e-14 if dtype == np.float64 else 1e-6
    assert_allclose(probability, model.predict_proba(samples), rtol=0, atol=atol)
    assert np.ptp(probability[:, 1]) > 0.5
    # ONNX has booleans as numbers.
    assert_array_equal(np.asarray(labels).astype(model.classes_.dtype), model.predict(samples))


def test_onnx_graph_predicts_the_same_far_from_0():
    model = BCENeuronClassifier().fit(RAW, Y)
    for factor in (1.0, 1e2, 1e4):  # linear outputs up to 8e5
        labels, probability = run_onnx(model, factor * RAW)
        assert_allclose(probability, model.predict_proba(factor * RAW), rtol=0, atol=1e-9)
        assert_array_equal(labels, model.predict(factor * RAW))


def test_options_of_the_graph_are_those_of_logistic_regression():
    model = BCENeuronClassifier().fit(X, LABELS)
    probability = model.predict_proba(X)
    raw = run_onnx(model, X, {"raw_scores": True, "zipmap": False})[1]
    assert_allclose(raw, np.c_[-model.decision_function(X), model.decision_function(X)], rtol=1e-12)
    named = run_onnx(model, X)[0], *run_onnx(model, X, {"zipmap": "columns"})[1:]
    assert_allclose(np.column_stack(named[1:]), probability, atol=1e-14)
    numbers = run_onnx(model, X, {"nocl": True, "zipmap": False})[0]
    assert_array_equal(model.classes_[numbers], model.predict(X))
    of_class = run_onnx(
        model, X, {BCENeuronClassifier: {"output_class_labels": True, "zipmap": False}}
    )
    assert_array_equal(of_class[-1], model.classes_)
    with pytest.raises(NameError, match="unknown"):
        run_onnx(model, X, {"unknown": True})


def test_sparse_weights_are_converted():
    model = BCENeuronClassifier(l1_ratio=1.0, C=0.1).fit(X, Y)
    expected = model.predict_proba(X)
    assert_allclose(run_onnx(model.sparsify(), X)[1], expected, rtol=0, atol=1e-14)
    assert sp.issparse(model.coef_)  # it is not changed


def test_conversion_leaves_the_options_of_the_caller_alone():
    model = BCENeuronClassifier().fit(X, Y)
    options = {id(model): {"zipmap": False}}
    run_onnx(model, X, options)
    assert options == {id(model): {"zipmap": False}}


NESTED = {
    "pipeline": make_pipeline(StandardScaler(), BCENeuronClassifier(l1_ratio=0.5)),
    "selection": make_pipeline(
        SelectFromModel(BCENeuronClassifier(l1_ratio=1.0, C=0.1)), BCENeuronClassifier()
    ),
    "grid": GridSearchCV(BCENeuronClassifier(), {"C": [0.1, 1.0]}, cv=3),
    "grid of a pipeline": GridSearchCV(
        make_pipeline(StandardScaler(), BCENeuronClassifier()),
        {"bceneuronclassifier__C": [0.1, 1.0]},
        cv=3,
    ),
    "one against the rest": OneVsRestClassifier(BCENeuronClassifier()),
    "calibrated": CalibratedClassifierCV(BCENeuronClassifier(), cv=2),
    "stacking": StackingClassifier(
        [("a", BCENeuronClassifier()), ("b", BCENeuronClassifier(C=0.01))], BCENeuronClassifier()
    ),
    "bagging": BaggingClassifier(
        BCENeuronClassifier(), n_estimators=3, max_features=0.5, random_state=0
    ),
}


@pytest.mark.parametrize("conversion", CONVERSIONS)
@pytest.mark.parametrize("key", NESTED)
def test_onnx_graph_of_neurons_inside_other_estimators_predicts_the_same(key, conversion):
    target = THREE if key == "one against the rest" else LABELS
    model = clone(NESTED[key]).fit(X, target)
    labels, probability = run_onnx(CONVERSIONS[conversion](model), X)
    assert_allclose(probability, model.predict_proba(X), rtol=0, atol=1e-14)
    assert_array_equal(np.ravel(labels), model.predict(X))


# --- PMML and eli5, by to_sklearn ---


# nyoka does not close the file that it has written.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_pmml_document_has_the_regression_of_the_pipeline(tmp_path):
    nyoka = pytest.importorskip("nyoka")
    names = [name.replace(" ", "_") for name in FRAME]
    steps = [("scale", StandardScaler()), ("model", BCENeuronClassifier())]
    pipeline = Pipeline(steps).fit(pd.DataFrame(RAW, columns=names), Y)
    path = tmp_path / "pipeline.pmml"
    nyoka.skl_to_pmml(to_sklearn(pipeline), names, "target", str(path))
    document = ElementTree.parse(path)
    space = document.getroot().tag.removesuffix("PMML")
    regression = document.find(f"{space}RegressionModel")
    table = regression.find(f"{space}RegressionTable[@targetCategory='1']")
    weight = {each.get("name"): float(each.get("coefficient")) for each in table}
    w = [weight[f"standardScaler({name})"] for name in names]
    assert regression.get("normalizationMethod") == "logit"
    probability = expit(X @ w + float(table.get("intercept")))
    expected = pipeline.predict_proba(pd.DataFrame(RAW, columns=names))[:, 1]
    assert_allclose(probability, expected, rtol=0, atol=1e-12)


def test_eli5_explains_a_converted_neuron():
    eli5 = pytest.importorskip("eli5")
    model = BCENeuronClassifier().fit(X, Y)
    names = list(FRAME)
    explained = eli5.explain_weights_df(to_sklearn(model), feature_names=names, top=None)
    weight = dict(zip(explained["feature"], explained["weight"], strict=True))
    assert_allclose([weight[name] for name in names], model.coef_[0], rtol=1e-12)
    assert_allclose(weight["<BIAS>"], model.intercept_[0], rtol=1e-12)
