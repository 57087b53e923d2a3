"""The estimator in scikit-learn's tools, and the attributes and display of a fitted estimator."""

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
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from scipy.sparse import csr_matrix, issparse
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError, UnsetMetadataPassedError
from sklearn.feature_selection import SelectFromModel
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
from small_data import neuron_of

import sklearn_bce
from sklearn_bce import BCENeuronClassifier, fit_from_chunks
from sklearn_bce._estimator import prediction, sklearn_compat, state

RAW, Y = load_breast_cancer(return_X_y=True)
X = scale(RAW)
WEIGHT = np.random.default_rng(0).uniform(0.1, 3.0, len(Y))

SOLVERS = ["newton", "gd", "sgd"]
PREDICTIONS = ["predict", "predict_proba", "predict_log_proba"]


def exact(**parameters):
    """Return an estimator and LogisticRegression with equal parameters, both very exact."""
    model = BCENeuronClassifier(tol=1e-14, **parameters)
    return model, LogisticRegression(solver="newton-cholesky", tol=1e-10, **parameters)


def objective(model, X, y, sample_weight=None):
    """Return F in plain NumPy, for labels y of 0 and 1."""
    z = X @ model.coef_[0] + model.intercept_[0]
    sample_weight = np.ones(len(y)) if sample_weight is None else sample_weight
    total = sample_weight.sum()
    loss = sample_weight @ np.logaddexp(0, np.where(y == 1, -z, z)) / total
    return loss + 0.5 * np.sum(model.coef_**2) / (model.C * total)


# --- with other estimators ---


def test_pipeline_gives_the_fit_of_scaled_columns():
    model, logistic = (make_pipeline(StandardScaler(), each) for each in exact())
    model.fit(RAW, Y)
    probability = logistic.fit(RAW, Y).predict_proba(RAW)
    assert_allclose(model.predict_proba(RAW), probability, rtol=1e-6, atol=1e-9)
    model.set_params(bceneuronclassifier__C=0.01).fit(RAW, Y)
    assert_array_equal(model[-1].coef_, exact(C=0.01)[0].fit(X, Y).coef_)


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


def test_each_solver_of_logistic_regression_is_another_name_of_auto():
    (names,) = [
        each.options
        for each in LogisticRegression._parameter_constraints["solver"]
        if hasattr(each, "options")
    ]
    expected = exact()[1].fit(X, Y)
    search = GridSearchCV(BCENeuronClassifier(tol=1e-14), {"solver": sorted(names)}, cv=3)
    assert_array_equal(search.fit(X, Y).cv_results_["rank_test_score"], 1)
    for name in names:
        model = BCENeuronClassifier(solver=name, tol=1e-14).fit(X, Y)
        assert model.solver_ == "newton"
        assert model.get_params()["solver"] == name
        assert_allclose(model.coef_, expected.coef_, rtol=1e-6)
        stream = BCENeuronClassifier(solver=name).partial_fit(X, Y, classes=[0, 1])
        assert stream.solver_ == "sgd"


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
    model = BCENeuronClassifier(class_weight={0: 1, 1: 20}).fit(X_train, y_train)
    calibrated = CalibratedClassifierCV(model, method=method).fit(X_train, y_train)
    before, after = (each.predict_proba(X_test)[:, 1] for each in (model, calibrated))
    assert brier_score_loss(y_test, after) < 0.8 * brier_score_loss(y_test, before)


def test_one_vs_rest_on_iris_is_that_of_logistic_regression():
    features, species = load_iris(return_X_y=True)
    model, logistic = (OneVsRestClassifier(m).fit(features, species) for m in exact())
    z = logistic.decision_function(features)
    assert_allclose(model.decision_function(features), z, rtol=1e-6, atol=1e-6)
    assert model.score(features, species) == logistic.score(features, species) > 0.94


def test_tuned_threshold_is_that_of_logistic_regression():
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
        model = BCENeuronClassifier().set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        unweighted = StandardScaler().set_fit_request(sample_weight=False)
        pipeline = make_pipeline(unweighted, model).fit(RAW, Y, sample_weight=WEIGHT)
        assert_array_equal(pipeline[-1].coef_, direct.coef_)
        search = GridSearchCV(model, {"C": [1e-3, 1.0]}, cv=3).fit(X, Y, sample_weight=WEIGHT)
        assert search.best_params_ == {"C": 1.0}
        assert_array_equal(search.best_estimator_.coef_, direct.coef_)
        with pytest.raises(UnsetMetadataPassedError, match="sample_weight"):
            GridSearchCV(BCENeuronClassifier(), {"C": [1.0]}).fit(X, Y, sample_weight=WEIGHT)


def test_decision_boundary_display_shows_the_decision_function():
    pyplot.switch_backend("Agg")
    model = BCENeuronClassifier().fit(X[:, :2], Y)
    display = DecisionBoundaryDisplay.from_estimator(
        model, X[:, :2], grid_resolution=5, response_method="decision_function"
    )
    grid = np.column_stack([display.xx0.ravel(), display.xx1.ravel()])
    assert_array_equal(display.response.ravel(), model.decision_function(grid))
    assert display.response.min() < 0 < display.response.max()  # the boundary is in the picture
    pyplot.close(display.figure_)


def test_permutation_importance_finds_the_informative_feature():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 4))
    y = features[:, 2] + 0.5 * rng.normal(size=400) > 0
    model = BCENeuronClassifier().fit(features, y)
    importance = permutation_importance(model, features, y, random_state=0).importances_mean
    assert np.argmax(importance) == 2
    assert importance[2] > 0.3
    assert np.abs(np.delete(importance, 2)).max() < 0.02


# --- copies ---


def test_clone_has_the_parameters_and_nothing_else():
    model = BCENeuronClassifier(C=np.inf, class_weight={0: 2}, solver="sgd", random_state=3)
    model.set_params(tol=0, max_iter=2).fit(X, Y)
    copied = clone(model)
    assert vars(copied) == model.get_params()
    with pytest.raises(NotFittedError):
        copied.predict(X)
    assert_array_equal(copied.fit(X, Y).coef_, model.coef_)


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


@each_value(
    pytest.mark.parametrize(
        "copy", [lambda model: pickle.loads(pickle.dumps(model)), through_joblib]
    ),
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
)
def test_stored_and_loaded_estimator_has_the_same_bits(copy, dtype):
    frame = pd.DataFrame(X, columns=[f"x{i}" for i in range(X.shape[1])], dtype=dtype)
    model = BCENeuronClassifier().fit(frame, np.where(Y, "benign", "malignant"))
    loaded = copy(model)
    assert_equal(vars(loaded), vars(model))
    assert loaded.coef_.tobytes() == model.coef_.tobytes()
    assert loaded.coef_.dtype == dtype
    assert loaded.predict_proba(frame).tobytes() == model.predict_proba(frame).tobytes()
    assert_array_equal(loaded.predict(frame), model.predict(frame))


# --- what scikit-learn's tools ask a linear model for ---


def test_n_iter_has_the_form_that_logistic_regression_gives_it():
    theirs = LogisticRegression().fit(X, Y).n_iter_
    for solver in SOLVERS:
        ours = BCENeuronClassifier(solver=solver, tol=0, max_iter=3).fit(X, Y).n_iter_
        assert (ours.shape, ours.dtype, ours[0]) == (theirs.shape, theirs.dtype, 3)


@pytest.mark.parametrize("C", [0.1, 10.0])
def test_select_from_model_keeps_the_features_of_an_l1_model(C):
    selector = SelectFromModel(BCENeuronClassifier(l1_ratio=1, C=C)).fit(X, Y)
    assert selector.threshold_ == 1e-5
    assert_array_equal(selector.get_support(), selector.estimator_.coef_[0] != 0)


@pytest.mark.parametrize("l1_ratio", [0.0, 0.5])
def test_select_from_model_takes_the_mean_of_other_models_as_threshold(l1_ratio):
    selector = SelectFromModel(BCENeuronClassifier(l1_ratio=l1_ratio)).fit(X, Y)
    assert selector.threshold_ == np.mean(np.abs(selector.estimator_.coef_))


def test_threshold_that_the_documentation_names_keeps_columns_in_large_units():
    large = 1e8 * X
    model = BCENeuronClassifier(l1_ratio=1, standardize=True, C=0.1)
    assert np.all(np.abs(model.fit(large, Y).coef_) < 1e-5)
    selector = SelectFromModel(model, threshold=1e-300).fit(large, Y)
    assert_array_equal(selector.get_support(), model.coef_[0] != 0)


def test_name_of_the_penalty_is_no_parameter_and_leaves_that_of_a_subclass_alone():
    class Penalised(BCENeuronClassifier):
        def __init__(self, *, penalty="l1", C=1.0):
            super().__init__(C=C, l1_ratio=1.0 if penalty == "l1" else 0.0)
            self.penalty = penalty

    model = BCENeuronClassifier(l1_ratio=1)
    assert "penalty" not in model.get_params()
    assert clone(model).penalty == "l1"
    with pytest.raises(ValueError, match="Invalid parameter 'penalty'"):
        model.set_params(penalty="l2")
    assert [model.set_params(C=C).penalty for C in (1.0, np.inf)] == ["l1", None]
    copied = clone(Penalised(penalty="l2"))
    assert copied.get_params() == {"C": 1.0, "penalty": "l2"}
    assert copied.set_params(penalty="l1").penalty == "l1"


@each_value(
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
    pytest.mark.parametrize("container", [np.asarray, csr_matrix]),
)
def test_sparsified_model_has_the_predictions_of_the_dense_one(dtype, container):
    samples = container(X.astype(dtype))
    model = BCENeuronClassifier(l1_ratio=1, C=0.1, warm_start=True).fit(samples, Y)
    dense, expected = model.coef_, model.predict_proba(samples)
    assert model.sparsify() is model
    assert issparse(model.coef_)
    assert model.coef_.nnz == np.count_nonzero(dense) < dense.size
    for copied in (model, pickle.loads(pickle.dumps(model))):
        assert copied.predict_proba(samples).tobytes() == expected.tobytes()
        assert copied.score(samples, Y) > 0.9
    theirs = model.to_sklearn().decision_function(samples)
    assert_allclose(theirs, model.decision_function(samples), rtol=1e-5, atol=1e-5)
    starts = {"coef_init": dense, "intercept_init": model.intercept_}
    model.set_params(solver="sgd", max_iter=1, tol=0, random_state=0)
    warm = pickle.loads(pickle.dumps(model)).fit(samples, Y)
    assert_array_equal(warm.coef_, clone(model).fit(samples, Y, **starts).coef_)
    assert_array_equal(model.densify().coef_, dense)


def test_sparsified_model_goes_on_with_its_stream():
    model = BCENeuronClassifier(l1_ratio=1, C=0.01, random_state=0)
    model.partial_fit(X[:300], Y[:300], classes=[0, 1])
    other = pickle.loads(pickle.dumps(model)).sparsify()
    assert_array_equal(
        other.partial_fit(X[300:], Y[300:]).coef_, model.partial_fit(X[300:], Y[300:]).coef_
    )


@pytest.mark.parametrize("parameters", [{}, {"C": 0.1, "class_weight": "balanced"}])
@pytest.mark.parametrize("container", [np.asarray, pd.DataFrame])
def test_to_sklearn_returns_the_logistic_regression_that_predicts_the_same(parameters, container):
    frame = container(pd.DataFrame(X[:, :5], columns=list("abcde")))
    model, logistic = exact(**parameters)
    converted = model.fit(frame, Y).to_sklearn()
    assert type(converted) is LogisticRegression
    for method in ("decision_function", "predict_proba"):
        ours, theirs = (getattr(fitted, method)(frame) for fitted in (model, converted))
        assert_allclose(theirs, ours, rtol=1e-13, atol=1e-15)
    assert_array_equal(converted.predict(frame), model.predict(frame))
    shared = converted.get_params().keys() & {
        "C",
        "fit_intercept",
        "class_weight",
        "max_iter",
        "tol",
    }
    assert {name: converted.get_params()[name] for name in shared} == {
        name: model.get_params()[name] for name in shared
    }
    # The attributes have the types that LogisticRegression's own fit sets.
    logistic.fit(frame, Y)
    assert vars(converted).keys() == vars(logistic).keys()
    assert converted.n_iter_.dtype == logistic.n_iter_.dtype
    assert_array_equal(converted.n_iter_, model.n_iter_)
    assert_allclose(converted.coef_, logistic.coef_, rtol=1e-6)
    converted.coef_[:] = 0.0
    assert np.all(model.coef_ != 0)  # the model's arrays are its own


# --- outside of fit and predict ---


def test_html_links_to_the_documentation_of_the_package():
    links = dict(link.split(", ") for link in metadata("sklearn-bce").get_all("Project-URL"))
    for model in (BCENeuronClassifier(), BCENeuronClassifier().fit(X, Y)):
        assert f'href="{links["Documentation"]}"' in estimator_html_repr(model)


def test_source_tree_that_is_not_installed_has_a_version_and_html(monkeypatch):
    def nowhere(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.version", nowhere)
    assert runpy.run_path(state.__file__)["__version__"] == "0+unknown"
    monkeypatch.setattr(prediction, "metadata", nowhere)
    html = estimator_html_repr(BCENeuronClassifier())
    assert "BCENeuronClassifier" in html
    assert 'href="http' not in html


def test_missing_private_name_of_scikit_learn_is_named_in_the_error(monkeypatch):
    monkeypatch.delattr("sklearn.base._fit_context")
    message = f"needs scikit-learn 1.7 to 1.9; {re.escape(sklearn.__version__)} .*_fit_context"
    with pytest.raises(ImportError, match=message):
        runpy.run_path(sklearn_compat.__file__)


def test_subclass_may_tighten_parameter_constraints():
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


def test_public_functions_have_complete_annotations():
    assert (files("sklearn_bce") / "py.typed").is_file()
    methods = ("__init__", "fit", "to_sklearn", "decision_function", *PREDICTIONS)
    functions = [getattr(sklearn_bce.chain_rule, name) for name in sklearn_bce.chain_rule.__all__]
    for function in [getattr(BCENeuronClassifier, name) for name in methods] + functions:
        expected = {*inspect.signature(function).parameters, "return"} - {"self"}
        assert typing.get_type_hints(function).keys() == expected, function.__name__


# --- what predict and its kin say ---


def test_feature_names_are_kept_and_checked():
    frame = pd.DataFrame(X[:, :3], columns=["radius", "texture", "perimeter"])
    model = BCENeuronClassifier().fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["radius", "texture", "perimeter"]
    assert model.n_features_in_ == 3
    with pytest.raises(ValueError, match="must be in the same order as they were in fit"):
        model.predict(frame[frame.columns[::-1]])
    model.fit(X, Y)
    assert not hasattr(model, "feature_names_in_")


def test_string_labels_keep_their_sorted_order():
    y = np.where(Y == 1, "yes", "no")
    model = BCENeuronClassifier().fit(X, y)
    assert model.classes_.tolist() == ["no", "yes"]
    z, probability = model.decision_function(X), model.predict_proba(X)
    assert_allclose(probability, np.column_stack([expit(-z), expit(z)]), rtol=1e-15)
    assert_allclose(probability.sum(axis=1), 1.0, rtol=1e-15)
    assert_array_equal(model.predict(X), np.where(z > 0, "yes", "no"))
    assert model.score(X, y) == np.mean(model.predict(X) == y) > 0.97


@pytest.mark.parametrize("z", [0.0, 1e-3, 30.0, 700.0, 1e5])
def test_log_probability_is_accurate_in_the_tails(z):
    model = BCENeuronClassifier().fit([[0.0], [1.0]], [0, 1])
    model.coef_, model.intercept_ = np.array([[1.0]]), np.array([0.0])
    near, far = -np.log1p(np.exp(-z)), -z - np.log1p(np.exp(-z))
    log_probability = model.predict_log_proba([[z], [-z]])
    assert_allclose(log_probability, [[far, near], [near, far]], rtol=1e-15)
    assert_allclose(model.predict_proba([[z], [-z]]).sum(axis=1), 1.0, rtol=1e-15)


# --- what fit leaves behind ---


@every_pair(
    pytest.mark.parametrize("solver", ["newton", "gd"]),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("sample_weight", [None, WEIGHT]),
)
def test_loss_curve_falls_to_the_objective(solver, fit_intercept, sample_weight):
    model = BCENeuronClassifier(C=0.3, fit_intercept=fit_intercept, solver=solver, tol=1e-4)
    model.set_params(max_iter=3000)
    model.fit(X, Y, sample_weight)
    assert model.converged_ is True
    assert model.solver_ == solver
    assert model.n_iter_[0] == len(model.loss_curve_) > 3
    assert np.all(np.diff(model.loss_curve_) <= 0)
    assert model.loss_curve_[-1] == pytest.approx(objective(model, X, Y, sample_weight), 1e-13)


@every_pair(
    pytest.mark.parametrize("start", [None, [0.5]]),
    pytest.mark.parametrize("batch_size", [1, 50]),
    pytest.mark.parametrize("solver", SOLVERS),
)
def test_fit_without_an_intercept_has_intercept_0(solver, batch_size, start):
    model = neuron_of(solver, fit_intercept=False, batch_size=batch_size, max_iter=2, tol=0)
    model.fit(X, Y, intercept_init=start)
    assert_array_equal(model.intercept_, [0.0])
    assert_array_equal(model.predict_proba(np.zeros((1, X.shape[1]))), [[0.5, 0.5]])


@pytest.mark.parametrize(
    ("solver", "max_iter", "advice"),
    [
        ("newton", 2, "Increase max_iter"),
        ("gd", 40, "Increase max_iter, scale the features, or use solver='newton'."),
        ("sgd", 4, "Increase max_iter, scale the features, or use solver='newton'."),
    ],
)
def test_convergence_warning_states_the_distance_from_the_minimum(solver, max_iter, advice):
    model = BCENeuronClassifier(C=0.01, solver=solver, max_iter=max_iter, random_state=0)
    with pytest.warns(ConvergenceWarning) as caught:
        model.fit(X, Y)
    assert len(caught) == 1
    assert caught[0].filename == __file__  # it points at the caller's line
    message = str(caught[0].message)
    assert message.startswith(f"solver={solver!r} stopped after {max_iter} iterations of max_iter=")
    assert advice in message
    stated = float(re.search(r"about (\S+) nats above its minimum \(tol=1e-06\)", message)[1])
    optimum = objective(exact(C=0.01)[0].fit(X, Y), X, Y)
    # The message has two digits of an estimate by the curvature at the end of the fit.
    assert stated == pytest.approx(objective(model, X, Y) - optimum, rel=0.1)
    assert model.converged_ is False
    assert model.n_iter_[0] == max_iter


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("learning_rate", ["auto", 1e-3]),
)
def test_tol_0_runs_to_the_end_without_a_warning(solver, learning_rate):
    model = neuron_of(solver, tol=0, max_iter=37, learning_rate=learning_rate)
    model.set_params(n_iter_no_change=1).fit(X[::10], Y[::10])  # pytest makes a warning an error
    assert model.n_iter_[0] == len(model.loss_curve_) == 37
    assert model.converged_ is False


@pytest.mark.parametrize("solver", ["auto", *SOLVERS])
def test_fit_does_not_change_parameters(solver):
    model = BCENeuronClassifier(
        solver=solver, class_weight={0: 2, 1: 1}, random_state=check_random_state(0), tol=0
    )
    before = model.get_params()
    model.fit(X, Y)
    after = model.get_params()
    assert all(after[name] is value for name, value in before.items())
    assert model.class_weight == {0: 2, 1: 1}
    assert all(name.startswith("_") or name.endswith("_") for name in vars(model).keys() - before)


# --- the random stream of sgd ---


def sgd(**parameters):
    """Return an estimator that does three passes of the plain rule."""
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
def test_sgd_takes_one_permutation_per_pass(shuffle):
    stream = np.random.RandomState(7)
    model = sgd(C=np.inf, shuffle=shuffle, random_state=stream).fit(X, Y)
    expected, w, b = np.random.RandomState(7), np.zeros(X.shape[1]), 0.0
    for _ in range(3):
        for i in expected.permutation(len(Y)) if shuffle else range(len(Y)):
            error = Y[i] - expit(X[i] @ w + b)
            w, b = w + 0.1 * error * X[i], b + 0.1 * error
    assert_allclose(model.coef_[0], w, rtol=1e-10)
    assert_allclose(model.intercept_, b, rtol=1e-10)
    assert stream.randint(2**30) == expected.randint(2**30)  # nothing else was drawn


# --- parameters without effect ---

AUTO = "solver='auto', which is 'newton' here, ignores {} (used by {} only)."
IGNORED = [
    (
        {"learning_rate": 0.1},
        AUTO.format("learning_rate=0.1", "solver='sgd' and solver='gd'"),
    ),
    (
        {"batch_size": 32, "shuffle": False, "learning_rate": 0.5},
        AUTO.format("learning_rate=0.5 and batch_size=32 and shuffle=False", "solver='sgd'"),
    ),
    (
        {"solver": "gd", "learning_rate": 1e-3, "batch_size": 2},
        "solver='gd' ignores batch_size=2 (used by solver='sgd' only).",
    ),
    (
        {"C": np.inf, "l1_ratio": 0.5},
        "l1_ratio=0.5 is ignored: C=inf means no penalty.",
    ),
]


def fit_chunks(model):
    return fit_from_chunks(model, lambda: iter([(X, Y)]))


@pytest.mark.parametrize("fit", [lambda model: model.fit(X, Y), fit_chunks])
@pytest.mark.parametrize(("parameters", "message"), IGNORED)
def test_one_warning_names_the_parameters_without_effect(parameters, message, fit):
    model = BCENeuronClassifier(tol=0, max_iter=2).set_params(**parameters)
    with pytest.warns(UserWarning, match="ignore") as caught:
        fit(model)
    assert [str(warning.message) for warning in caught] == [message]
    assert caught[0].filename == __file__


def test_parameters_that_are_used_or_at_their_defaults_are_not_warned_of():
    defaults = {"learning_rate": "auto", "batch_size": 1, "shuffle": True}
    assert defaults.items() <= BCENeuronClassifier().get_params().items()
    BCENeuronClassifier(tol=0, max_iter=2, **defaults).fit(X, Y)
    sgd(batch_size=8, shuffle=False).fit(X, Y)
    BCENeuronClassifier(learning_rate=0.1, batch_size=8, shuffle=False).partial_fit(X, Y, [0, 1])
    BCENeuronClassifier(solver="gd", learning_rate=1e-3, tol=0, max_iter=2).fit(X, Y)
