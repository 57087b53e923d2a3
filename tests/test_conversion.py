"""Conversions from and to scikit-learn's linear classifiers."""

import re
import threading
import warnings
from inspect import signature

import numpy as np
import pytest
import sklearn
from covering import every_pair
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier, StackingClassifier
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, Ridge, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler, scale
from sklearn.utils.fixes import parse_version

from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV, to_sklearn

RAW, Y = load_breast_cancer(return_X_y=True)
X = scale(RAW)
THREE = np.arange(len(Y)) % 3
HAS_NAMED_PENALTY = parse_version(sklearn.__version__) < parse_version("1.8")


def logistic(l1_ratio, **parameters):
    """Return a LogisticRegression with an elastic-net penalty, in the words of its version."""
    named = {"penalty": "elasticnet"} if HAS_NAMED_PENALTY else {}
    return LogisticRegression(l1_ratio=l1_ratio, solver="saga", **named, **parameters)


def log_loss_sgd(**parameters):
    return SGDClassifier(loss="log_loss", random_state=0, **parameters)


# --- from_sklearn ---

TRANSLATIONS = {
    "defaults": (LogisticRegression(), {}),
    "equal names": (
        LogisticRegression(
            C=0.3, fit_intercept=False, class_weight="balanced", max_iter=7, warm_start=True
        ),
        {
            "C": 0.3,
            "fit_intercept": False,
            "class_weight": "balanced",
            "max_iter": 7,
            "warm_start": True,
        },
    ),
    "elastic net": (logistic(0.25), {"l1_ratio": 0.25}),
    "no penalty": (LogisticRegression(C=np.inf), {"C": np.inf}),
    "other solver and threads": (
        LogisticRegression(solver="newton-cg", n_jobs=None, random_state=3),
        {"random_state": 3},
    ),
    "sgd": (log_loss_sgd(alpha=1e-3), {"C": 2.0, "max_iter": 1000, "random_state": 0}),
    "sgd, L1": (
        log_loss_sgd(alpha=1e-3, penalty="l1", shuffle=False),
        {"C": 2.0, "l1_ratio": 1.0, "max_iter": 1000, "random_state": 0, "shuffle": False},
    ),
    "sgd, elastic net": (
        log_loss_sgd(alpha=1e-3, penalty="elasticnet", early_stopping=True),
        {
            "C": 2.0,
            "l1_ratio": 0.15,
            "max_iter": 1000,
            "random_state": 0,
            "early_stopping": True,
        },
    ),
    "sgd, no penalty": (
        log_loss_sgd(penalty=None, n_jobs=2),
        {"C": np.inf, "max_iter": 1000, "random_state": 0},
    ),
}


@pytest.mark.parametrize("key", TRANSLATIONS)
def test_parameters_are_translated(key):
    theirs, expected = TRANSLATIONS[key]
    neuron = BCENeuronClassifier.from_sklearn(theirs, n_samples=500)
    assert type(neuron) is BCENeuronClassifier
    assert vars(neuron) == BCENeuronClassifier(**expected).get_params()


LEFT_OUT = {
    "logistic": (
        LogisticRegression(tol=1e-9, verbose=1, solver="newton-cg"),
        ["tol=1e-09", "verbose=1"],
    ),
    "liblinear": (LogisticRegression(solver="liblinear"), ["solver='liblinear' (its penalty of"]),
    "sgd": (
        log_loss_sgd(learning_rate="constant", eta0=0.5, average=True),
        [
            "eta0=0.5",
            "learning_rate='constant'",
            "average=True",
            "alpha=0.0001 (C = 1/(alpha·n_samples) needs n_samples; C is at its default)",
        ],
    ),
}


@pytest.mark.parametrize("key", LEFT_OUT)
def test_one_warning_names_the_parameters_without_a_counterpart(key):
    theirs, named = LEFT_OUT[key]
    with pytest.warns(UserWarning, match="are left out") as caught:
        neuron = BCENeuronClassifier.from_sklearn(theirs)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    message = str(caught[0].message)
    assert message.count("=") == sum(text.count("=") for text in named)
    assert all(text in message for text in named)
    assert neuron.C == 1.0


def test_fit_of_a_translated_sgd_classifier_is_at_the_minimum_of_its_objective():
    neuron = BCENeuronClassifier.from_sklearn(log_loss_sgd(alpha=0.01), n_samples=len(Y))
    neuron.set_params(tol=1e-12).fit(X, Y)
    w, b = neuron.coef_[0], neuron.intercept_[0]
    activation = 1 / (1 + np.exp(-(X @ w + b)))
    # The gradient of (1/n) Σ L + alpha/2 ‖w‖², which SGDClassifier minimises.
    assert_allclose(X.T @ (activation - Y) / len(Y) + 0.01 * w, 0.0, atol=1e-6)
    assert_allclose(np.mean(activation - Y), 0.0, atol=1e-6)


@every_pair(
    pytest.mark.parametrize("make", [LogisticRegression, log_loss_sgd]),
    pytest.mark.parametrize("sparse", [False, True]),
    pytest.mark.parametrize("labels", [Y, np.where(Y, "benign", "malignant")]),
)
def test_fitted_classifier_gives_a_neuron_with_the_same_predictions(make, sparse, labels):
    theirs = make().fit(X, labels)
    expected = theirs.predict_proba(X)
    theirs = theirs.sparsify() if sparse else theirs
    neuron = BCENeuronClassifier.from_sklearn(theirs, n_samples=len(Y))
    assert_allclose(neuron.predict_proba(X), expected, rtol=1e-12, atol=1e-15)
    assert_array_equal(neuron.predict(X), theirs.predict(X))
    assert_array_equal(neuron.n_iter_, np.ravel(theirs.n_iter_))
    assert not hasattr(neuron, "converged_")  # no solver of ours has run
    neuron.coef_[:] = 0.0
    assert np.abs(theirs.coef_).sum() > 0  # the arrays are copies
    neuron = BCENeuronClassifier.from_sklearn(theirs, n_samples=len(Y)).partial_fit(X, labels)
    assert neuron._total_weight == 2 * len(Y)
    assert neuron.score(X, labels) > 0.9


@pytest.mark.parametrize(
    ("theirs", "error", "message"),
    [
        (Ridge(), TypeError, "LogisticRegression and SGDClassifier.*; estimator is Ridge"),
        (LogisticRegressionCV(), TypeError, "estimator is LogisticRegressionCV"),
        (BCENeuronClassifier(), TypeError, "estimator is BCENeuronClassifier"),
        (SGDClassifier(), ValueError, "loss='hinge' of the SGDClassifier .* only loss='log_loss'"),
        (LogisticRegression().fit(X, THREE), ValueError, "was fitted to 3 classes; .* two"),
    ],
)
def test_what_cannot_be_translated_is_refused(theirs, error, message):
    with pytest.raises(error, match=message):
        BCENeuronClassifier.from_sklearn(theirs)


@pytest.mark.parametrize("n_samples", [0, -1, np.nan])
def test_number_of_samples_must_be_positive(n_samples):
    with pytest.raises(ValueError, match=re.escape(f"n_samples={n_samples!r} must be above 0")):
        BCENeuronClassifier.from_sklearn(log_loss_sgd(), n_samples=n_samples)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_search_is_translated_with_its_grid_and_its_choice(l1_ratio):
    given = {"Cs": 3, "cv": 4, "scoring": "neg_log_loss", "class_weight": "balanced"}
    if "use_legacy_attributes" in signature(LogisticRegressionCV).parameters:
        given |= {"l1_ratios": (l1_ratio,), "use_legacy_attributes": False}
    elif l1_ratio:
        given["penalty"] = "l1"
    theirs = LogisticRegressionCV(solver="saga", tol=1e-2, **given).fit(X, Y)
    theirs.set_params(tol=LogisticRegressionCV().tol)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        search = BCENeuronClassifierCV.from_sklearn(theirs)
    assert_allclose(search.Cs, theirs.Cs_)
    assert (search.cv, search.scoring, search.class_weight) == (4, "neg_log_loss", "balanced")
    assert list(search.l1_ratios) == [l1_ratio]
    assert np.ravel(theirs.C_)[0] == search.C_
    assert search.l1_ratio_ == l1_ratio
    assert_allclose(search.predict_proba(X), theirs.predict_proba(X), rtol=1e-12, atol=1e-15)
    assert search.fit(X, Y).C_ in search.Cs


def test_search_is_translated_with_the_accuracy_where_that_is_their_default():
    search = BCENeuronClassifierCV.from_sklearn(LogisticRegressionCV(Cs=[1.0]))
    assert (search.Cs, search.scoring, tuple(search.l1_ratios)) == ([1.0], "accuracy", (0.0,))
    with pytest.warns(UserWarning, match=r"BCENeuronClassifierCV does not have.*: tol=0\.5"):
        BCENeuronClassifierCV.from_sklearn(LogisticRegressionCV(tol=0.5))
    with pytest.raises(TypeError, match="estimator is LogisticRegression"):
        BCENeuronClassifierCV.from_sklearn(LogisticRegression())


# --- to_sklearn ---

NESTED = {
    "neuron": BCENeuronClassifier(),
    "search": BCENeuronClassifierCV(),
    "pipeline": make_pipeline(StandardScaler(), BCENeuronClassifier(l1_ratio=0.5)),
    "local function": make_pipeline(FunctionTransformer(lambda x: x / 2), BCENeuronClassifier()),
    "grid": GridSearchCV(BCENeuronClassifier(), {"C": [0.1, 1.0]}, cv=3),
    "one against the rest": OneVsRestClassifier(BCENeuronClassifier()),
    "calibrated": CalibratedClassifierCV(BCENeuronClassifier(), cv=2),
    "stacking": StackingClassifier([("a", BCENeuronClassifier())], BCENeuronClassifier(C=0.5)),
    "bagging": BaggingClassifier(BCENeuronClassifier(), n_estimators=3, random_state=0),
}


def neurons_in(model):
    """Return how many neurons an estimator contains, found by its attributes."""
    if isinstance(model, BCENeuronClassifier | BCENeuronClassifierCV):
        return 1
    if isinstance(model, dict):
        return sum(neurons_in(each) for each in model.values())
    if isinstance(model, list | tuple):
        return sum(neurons_in(each) for each in model)
    is_estimator = type(model).__module__.startswith("sklearn.")
    return neurons_in(vars(model)) if is_estimator and hasattr(model, "__dict__") else 0


@pytest.mark.parametrize("key", NESTED)
def test_copy_without_neurons_predicts_the_same(key):
    target = THREE if key == "one against the rest" else Y
    model = clone(NESTED[key]).fit(X, target)
    n_neurons = neurons_in(model)
    converted = to_sklearn(model)
    assert n_neurons >= 1
    assert neurons_in(converted) == 0
    assert neurons_in(model) == n_neurons  # it is not changed
    assert type(converted) is (LogisticRegression if key in {"neuron", "search"} else type(model))
    assert_allclose(converted.predict_proba(X), model.predict_proba(X), rtol=1e-9, atol=1e-14)


def test_parameters_of_a_converted_search_fit_the_same_objective():
    search = GridSearchCV(BCENeuronClassifier(tol=1e-10), {"C": [0.1, 1.0]}, cv=3).fit(X, Y)
    converted = to_sklearn(search)
    again = clone(converted).fit(X, Y)
    assert again.best_params_ == search.best_params_
    assert_allclose(again.best_estimator_.coef_, search.best_estimator_.coef_, atol=1e-3)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_converted_model_keeps_the_penalty(l1_ratio):
    neuron = BCENeuronClassifier(l1_ratio=l1_ratio, C=0.1, tol=1e-12, max_iter=10_000).fit(X, Y)
    again = clone(neuron.to_sklearn()).set_params(tol=1e-8).fit(X, Y)
    assert_allclose(again.coef_, neuron.coef_, atol=1e-5)
    assert_array_equal(again.coef_ != 0, neuron.coef_ != 0)


def test_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        to_sklearn(make_pipeline(StandardScaler(), BCENeuronClassifier()))


def test_object_that_cannot_be_copied_is_an_error():
    model = BaggingClassifier(BCENeuronClassifier(), n_estimators=2).fit(X, Y)
    model.lock = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        to_sklearn(model)
