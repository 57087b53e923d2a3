"""Life among scikit-learn's tools, and what a fitted neuron shows of itself."""

import inspect
import io
import numbers
import pickle
import re
import runpy
import typing
from importlib.metadata import PackageNotFoundError, metadata
from importlib.resources import files

import joblib
import matplotlib.pyplot as pyplot
import numpy as np
import pandas as pd
import pytest
import sklearn
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.inspection import DecisionBoundaryDisplay, permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, brier_score_loss
from sklearn.model_selection import (
    GridSearchCV,
    TunedThresholdClassifierCV,
    cross_val_score,
    train_test_split,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler, scale
from sklearn.utils import check_random_state, estimator_html_repr

import sklearn_bce
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._estimator import prediction as _predictions
from sklearn_bce._estimator import sklearn_compat as _compat
from sklearn_bce._estimator import state as _version

RAW, Y = load_breast_cancer(return_X_y=True)
X = scale(RAW)
WEIGHT = np.random.default_rng(0).uniform(0.1, 3.0, len(Y))

SOLVERS = ["newton", "gd", "sgd"]
PREDICTIONS = ["predict", "predict_proba", "predict_log_proba"]


def exact(**parameters):
    """Return a neuron and LogisticRegression, alike and both at the optimum."""
    neuron = BCENeuronClassifier(tol=1e-14, **parameters)
    return neuron, LogisticRegression(solver="newton-cholesky", tol=1e-10, **parameters)


def objective(neuron, X, y, sample_weight=None):
    """Return F of DESIGN.md, section 1, by hand; y is 0 and 1."""
    z = X @ neuron.coef_[0] + neuron.intercept_[0]
    sample_weight = np.ones(len(y)) if sample_weight is None else sample_weight
    total = sample_weight.sum()
    loss = sample_weight @ np.logaddexp(0, np.where(y == 1, -z, z)) / total
    return loss + 0.5 * np.sum(neuron.coef_**2) / (neuron.C * total)


# --- with other estimators ---


def test_pipeline():
    neuron, logistic = (make_pipeline(StandardScaler(), model) for model in exact())
    neuron.fit(RAW, Y)
    probability = logistic.fit(RAW, Y).predict_proba(RAW)
    assert_allclose(neuron.predict_proba(RAW), probability, rtol=1e-6, atol=1e-9)
    neuron.set_params(bceneuronclassifier__C=0.01).fit(RAW, Y)
    assert_array_equal(neuron[-1].coef_, exact(C=0.01)[0].fit(X, Y).coef_)


def test_grid_search_with_a_grid_for_logistic_regression():
    grid = {
        "C": np.logspace(-3, 1, 4),
        "class_weight": [None, "balanced", {0: 2.0, 1: 1.0}],
        "fit_intercept": [True, False],
    }
    search, reference = (
        GridSearchCV(model, grid, scoring="neg_log_loss", cv=3).fit(X, Y) for model in exact()
    )
    assert search.best_params_ == reference.best_params_
    scores = reference.cv_results_["mean_test_score"]
    assert_allclose(search.cv_results_["mean_test_score"], scores, rtol=1e-6)
    assert search.score(X, Y) == pytest.approx(reference.score(X, Y), rel=1e-6)


@pytest.mark.parametrize("class_weight", ["balanced", {0: 3.0, 1: 0.5}])
def test_class_weight_multiplies_sample_weight(class_weight):
    models = exact(class_weight=class_weight)
    ours, theirs = (model.fit(X, Y, sample_weight=WEIGHT).coef_ for model in models)
    assert_allclose(ours, theirs, rtol=1e-6)


def test_cross_val_score_as_called_by_default():
    scores = cross_val_score(BCENeuronClassifier(), RAW, Y)
    reference = cross_val_score(make_pipeline(StandardScaler(), LogisticRegression()), RAW, Y)
    assert scores.mean() > 0.94  # without any scaling of the features
    assert scores.mean() == pytest.approx(reference.mean(), abs=0.03)  # C means other units there


@pytest.mark.parametrize("method", ["sigmoid", "isotonic"])
def test_calibration_repairs_what_class_weight_distorts(method):
    X_train, X_test, y_train, y_test = train_test_split(X[:, :2], Y, random_state=0, stratify=Y)
    neuron = BCENeuronClassifier(class_weight={0: 1, 1: 20}).fit(X_train, y_train)
    calibrated = CalibratedClassifierCV(neuron, method=method).fit(X_train, y_train)
    before, after = (model.predict_proba(X_test)[:, 1] for model in (neuron, calibrated))
    assert brier_score_loss(y_test, after) < 0.8 * brier_score_loss(y_test, before)


def test_one_vs_rest_on_iris():
    features, species = load_iris(return_X_y=True)
    neuron, logistic = (OneVsRestClassifier(m).fit(features, species) for m in exact())
    z = logistic.decision_function(features)
    assert_allclose(neuron.decision_function(features), z, rtol=1e-6, atol=1e-6)
    assert neuron.score(features, species) == logistic.score(features, species) > 0.94


def test_tuned_threshold_on_few_positives():
    rows = np.r_[np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)[:15]]
    features, y = X[rows, :2], Y[rows]
    tuned, reference = (TunedThresholdClassifierCV(m, cv=3).fit(features, y) for m in exact())
    assert tuned.best_threshold_ == pytest.approx(reference.best_threshold_, rel=1e-6)
    assert tuned.best_threshold_ < 0.2
    default = tuned.estimator_.predict(features)
    better = balanced_accuracy_score(y, tuned.predict(features))
    assert better > balanced_accuracy_score(y, default) + 0.05


def test_sample_weight_is_routed():
    direct = BCENeuronClassifier().fit(X, Y, sample_weight=WEIGHT)
    assert np.abs(direct.coef_ - BCENeuronClassifier().fit(X, Y).coef_).max() > 0.01
    with config_context(enable_metadata_routing=True):
        neuron = BCENeuronClassifier().set_fit_request(sample_weight=True)
        neuron.set_score_request(sample_weight=True)
        unweighted = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(unweighted, neuron).fit(RAW, Y, sample_weight=WEIGHT)
        assert_array_equal(pipeline[-1].coef_, direct.coef_)
        search = GridSearchCV(neuron, {"C": [1e-3, 1.0]}, cv=3).fit(X, Y, sample_weight=WEIGHT)
        assert search.best_params_ == {"C": 1.0}
        assert_array_equal(search.best_estimator_.coef_, direct.coef_)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            GridSearchCV(BCENeuronClassifier(), {"C": [1.0]}).fit(X, Y, sample_weight=WEIGHT)


def test_decision_boundary_display():
    pyplot.switch_backend("Agg")
    neuron = BCENeuronClassifier().fit(X[:, :2], Y)
    display = DecisionBoundaryDisplay.from_estimator(
        neuron, X[:, :2], grid_resolution=5, response_method="decision_function"
    )
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    assert_array_equal(display.response.ravel(), neuron.decision_function(grid))
    assert display.response.min() < 0 < display.response.max()  # the boundary is in the picture
    pyplot.close(display.figure_)


def test_permutation_importance_finds_the_informative_feature():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 4))
    y = features[:, 2] + 0.5 * rng.normal(size=400) > 0
    neuron = BCENeuronClassifier().fit(features, y)
    importance = permutation_importance(neuron, features, y, random_state=0).importances_mean
    assert np.argmax(importance) == 2
    assert importance[2] > 0.3
    assert np.abs(np.delete(importance, 2)).max() < 0.02


# --- copies ---


def test_clone_has_the_parameters_and_nothing_else():
    neuron = BCENeuronClassifier(C=np.inf, class_weight={0: 2}, solver="sgd", random_state=3)
    neuron.set_params(tol=0, max_iter=2).fit(X, Y)
    copied = clone(neuron)
    assert vars(copied) == neuron.get_params()
    with pytest.raises(NotFittedError):
        copied.predict(X)
    assert_array_equal(copied.fit(X, Y).coef_, neuron.coef_)


def through_joblib(neuron):
    file = io.BytesIO()
    joblib.dump(neuron, file)
    file.seek(0)
    return joblib.load(file)


@pytest.mark.parametrize(
    "copy", [lambda neuron: pickle.loads(pickle.dumps(neuron)), through_joblib]
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_stored_and_loaded_bit_for_bit(copy, dtype):
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])], dtype=dtype)
    neuron = BCENeuronClassifier().fit(frame, np.where(Y, "benign", "malignant"))
    loaded = copy(neuron)
    assert_equal(vars(loaded), vars(neuron))
    assert loaded.coef_.tobytes() == neuron.coef_.tobytes()
    assert loaded.coef_.dtype == dtype
    assert loaded.predict_proba(frame).tobytes() == neuron.predict_proba(frame).tobytes()
    assert_array_equal(loaded.predict(frame), neuron.predict(frame))


@pytest.mark.parametrize("parameters", [{}, {"C": 0.1, "class_weight": "balanced"}])
@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame])
def test_to_sklearn(parameters, container):
    frame = container(pd.DataFrame(X[:, :5], columns=list("abcde")))
    neuron, logistic = exact(**parameters)
    model = neuron.fit(frame, Y).to_sklearn()
    assert type(model) is LogisticRegression
    for method in ("decision_function", "predict_proba"):
        ours, theirs = (getattr(fitted, method)(frame) for fitted in (neuron, model))
        assert_allclose(theirs, ours, rtol=1e-13, atol=1e-15)
    assert_array_equal(model.predict(frame), neuron.predict(frame))
    shared = model.get_params().keys() & {"C", "fit_intercept", "class_weight", "max_iter", "tol"}
    assert {name: model.get_params()[name] for name in shared} == {
        name: neuron.get_params()[name] for name in shared
    }
    # What it says of itself is what LogisticRegression's own fit would have set, of these types.
    logistic.fit(frame, Y)
    assert vars(model).keys() == vars(logistic).keys()
    assert model.n_iter_.dtype == logistic.n_iter_.dtype
    assert_array_equal(model.n_iter_, [neuron.n_iter_])
    assert_allclose(model.coef_, logistic.coef_, rtol=1e-6)
    model.coef_[:] = 0.0
    assert np.all(neuron.coef_ != 0)  # the model's arrays are its own


# --- outside of fit and predict ---


def test_html_links_to_the_documentation_of_the_package():
    links = dict(link.split(", ") for link in metadata("sklearn-bce").get_all("Project-URL"))
    for neuron in (BCENeuronClassifier(), BCENeuronClassifier().fit(X, Y)):
        assert f'href="{links["Documentation"]}"' in estimator_html_repr(neuron)


def test_a_source_tree_that_is_not_installed(monkeypatch):
    def nowhere(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", nowhere)
    assert runpy.run_path(_version.__file__)["__version__"] == "0+unknown"
    monkeypatch.setattr(_predictions, "metadata", nowhere)
    html = estimator_html_repr(BCENeuronClassifier())
    assert "BCENeuronClassifier" in html
    assert 'href="http' not in html


def test_a_private_name_that_scikit_learn_has_moved(monkeypatch):
    monkeypatch.delattr("sklearn.base._fit_context")
    message = f"needs scikit-learn 1.7 to 1.9; {re.escape(sklearn.__version__)} .*_fit_context"
    with pytest.raises(ImportError, match=message):
        runpy.run_path(_compat.__file__)


def test_a_subclass_may_ask_more_of_its_parameters():
    class Repeatable(BCENeuronClassifier):
        _parameter_constraints: typing.ClassVar = {
            **BCENeuronClassifier._parameter_constraints,
            "random_state": [numbers.Integral],
        }

    message = "'random_state' parameter of Repeatable must be an instance of 'int'. Got None"
    with pytest.raises(ValueError, match=message):
        Repeatable().fit(X, Y)
    expected = BCENeuronClassifier(random_state=0).fit(X, Y)
    assert_array_equal(Repeatable(random_state=0).fit(X, Y).coef_, expected.coef_)


def test_annotations_are_there_to_be_read():
    assert (files("sklearn_bce") / "py.typed").is_file()
    methods = ("__init__", "fit", "to_sklearn", "decision_function", *PREDICTIONS)
    functions = [getattr(sklearn_bce.chain_rule, name) for name in sklearn_bce.chain_rule.__all__]
    for function in [getattr(BCENeuronClassifier, name) for name in methods] + functions:
        expected = {*inspect.signature(function).parameters, "return"} - {"self"}
        assert typing.get_type_hints(function).keys() == expected, function.__name__


# --- what predict and its kin say ---


def test_feature_names():
    frame = pd.DataFrame(X[:, :3], columns=["radius", "texture", "perimeter"])
    neuron = BCENeuronClassifier().fit(frame, Y)
    assert neuron.feature_names_in_.tolist() == ["radius", "texture", "perimeter"]
    assert neuron.n_features_in_ == 3
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        neuron.predict(frame[frame.columns[::-1]])
    neuron.fit(X, Y)
    assert not hasattr(neuron, "feature_names_in_")


def test_string_labels_keep_their_sorted_order():
    y = np.where(Y == 1, "yes", "no")
    neuron = BCENeuronClassifier().fit(X, y)
    assert neuron.classes_.tolist() == ["no", "yes"]
    z, probability = neuron.decision_function(X), neuron.predict_proba(X)
    assert_allclose(probability, np.column_stack([expit(-z), expit(z)]), rtol=1e-15)
    assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-15)
    assert_array_equal(neuron.predict(X), np.where(z > 0, "yes", "no"))
    assert neuron.score(X, y) == np.mean(neuron.predict(X) == y) > 0.97


@pytest.mark.parametrize("z", [0.0, 1e-3, 30.0, 700.0, 1e5])
def test_log_probability_in_the_tails(z):
    neuron = BCENeuronClassifier().fit([[0.0], [1.0]], [0, 1])
    neuron.coef_, neuron.intercept_ = np.array([[1.0]]), np.array([0.0])
    near, far = -np.log1p(np.exp(-z)), -z - np.log1p(np.exp(-z))
    log_probability = neuron.predict_log_proba([[z], [-z]])
    assert_allclose(log_probability, [[far, near], [near, far]], rtol=1e-15)
    assert_allclose(neuron.predict_proba([[z], [-z]]).sum(axis=1), 1.0, rtol=1e-15)


# --- what fit leaves behind ---


@pytest.mark.parametrize("solver", ["newton", "gd"])
@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("sample_weight", [None, WEIGHT])
def test_loss_curve_falls_to_the_objective(solver, fit_intercept, sample_weight):
    neuron = BCENeuronClassifier(C=0.3, fit_intercept=fit_intercept, solver=solver, tol=1e-4)
    neuron.set_params(max_iter=1000)
    neuron.fit(X, Y, sample_weight)
    assert neuron.converged_ is True
    assert neuron.solver_ == solver
    assert neuron.n_iter_ == len(neuron.loss_curve_) > 3
    assert np.all(np.diff(neuron.loss_curve_) <= 0)
    assert neuron.loss_curve_[-1] == pytest.approx(objective(neuron, X, Y, sample_weight), 1e-13)


@pytest.mark.parametrize("start", [None, [0.5]])
@pytest.mark.parametrize("batch_size", [1, 50])
@pytest.mark.parametrize("solver", SOLVERS)
def test_no_intercept_is_one_of_0(solver, batch_size, start):
    neuron = BCENeuronClassifier(
        fit_intercept=False, solver=solver, batch_size=batch_size, max_iter=2, tol=0
    )
    neuron.fit(X, Y, intercept_init=start)
    assert_array_equal(neuron.intercept_, [0.0])
    assert_array_equal(neuron.predict_proba(np.zeros((1, X.shape[1]))), [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("solver", "max_iter", "advice"),
    [
        ("newton", 2, "Increase max_iter"),
        ("gd", 40, "Increase max_iter, scale the features, or use solver='newton'."),
        ("sgd", 4, "Increase max_iter, scale the features, or use solver='newton'."),
    ],
)
def test_convergence_warning(solver, max_iter, advice):
    neuron = BCENeuronClassifier(C=0.01, solver=solver, max_iter=max_iter, random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        neuron.fit(X, Y)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it points at the caller's line
    message = str(caught[0].message)
    assert message.startswith(f"solver={solver!r} stopped after {max_iter} iterations of max_iter=")
    assert advice in message
    stated = float(re.search(r"about (\S+) above its minimum \(tol=1e-06\)", message)[1])
    optimum = objective(exact(C=0.01)[0].fit(X, Y), X, Y)
    # Two digits are printed, of an estimate by the curvature where the solver stopped.
    assert stated == pytest.approx(objective(neuron, X, Y) - optimum, rel=0.1)
    assert neuron.converged_ is False
    assert neuron.n_iter_ == max_iter


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("learning_rate", ["auto", 1e-3])
def test_tol_0_runs_to_the_end_without_a_warning(solver, learning_rate):
    neuron = BCENeuronClassifier(solver=solver, tol=0, max_iter=37, learning_rate=learning_rate)
    neuron.set_params(n_iter_no_change=1).fit(X[::10], Y[::10])  # pytest makes a warning an error
    assert neuron.n_iter_ == len(neuron.loss_curve_) == 37
    assert neuron.converged_ is False


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_fit_leaves_the_parameters_alone(solver):
    neuron = BCENeuronClassifier(
        solver=solver, class_weight={0: 2, 1: 1}, random_state=check_random_state(0), tol=0
    )
    before = neuron.get_params()
    neuron.fit(X, Y)
    after = neuron.get_params()
    assert all(after[name] is value for name, value in before.items())
    assert neuron.class_weight == {0: 2, 1: 1}
    assert all(name.startswith("_") or name.endswith("_") for name in vars(neuron).keys() - before)


# --- the random stream of sgd ---


def sgd(**parameters):
    """Return a neuron that does three passes of the plain rule."""
    return BCENeuronClassifier(solver="sgd", learning_rate=0.1, tol=0, max_iter=3, **parameters)


@pytest.mark.parametrize("batch_size", [1, 64])
def test_random_state_repeats_the_order(batch_size):
    first, again, other = (
        sgd(batch_size=batch_size, random_state=seed).fit(X, Y).coef_ for seed in (5, 5, 6)
    )
    assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    stream = sgd(batch_size=batch_size, random_state=np.random.RandomState(5))
    assert_array_equal(stream.fit(X, Y).coef_, first)
    assert np.abs(stream.fit(X, Y).coef_ - first).max() > 1e-3  # the stream has gone on


@pytest.mark.parametrize("shuffle", [True, False])
def test_sgd_is_the_rule_in_the_order_of_one_permutation_per_pass(shuffle):
    stream = np.random.RandomState(7)
    neuron = sgd(C=np.inf, shuffle=shuffle, random_state=stream).fit(X, Y)
    expected, w, b = np.random.RandomState(7), np.zeros(X.shape[1]), 0.0
    for _ in range(3):
        for i in expected.permutation(len(Y)) if shuffle else range(len(Y)):
            error = Y[i] - expit(X[i] @ w + b)
            w, b = w + 0.1 * error * X[i], b + 0.1 * error
    assert_allclose(neuron.coef_[0], w, rtol=1e-10)
    assert_allclose(neuron.intercept_, b, rtol=1e-10)
    assert stream.randint(2**30) == expected.randint(2**30)  # nothing else was drawn
