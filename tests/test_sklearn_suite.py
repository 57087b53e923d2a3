"""scikit-learn's own tests of its logistic classifiers, run against this estimator.

The tests are those of the installed scikit-learn: of `LogisticRegression`, and of `SGDClassifier`
with the log-loss. An adapter replaces the class in their modules, and pytest collects their test
functions as if this module defined them. All test functions that name the class are run, with every
value of their parameters, but not with all combinations. A test is skipped if it uses a feature
that a binary logistic classifier does not have, and is expected to fail if EXCLUDED has a reason.
"""

import functools
import importlib.util
import inspect
import re
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import sklearn
from covering import each_value
from sklearn import linear_model
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_bce import BCENeuronClassifier

if importlib.util.find_spec("sklearn.linear_model.tests") is None:
    pytest.skip("scikit-learn is installed without its tests", allow_module_level=True)

# As in test_check_estimator.py. A test that cares for warnings records them itself.
pytestmark = pytest.mark.filterwarnings("ignore")


def learned_by(model):
    return {name: v for name, v in vars(model).items() if name not in model.get_params()}


class Adapter(ClassifierMixin, BaseEstimator):
    """A class with scikit-learn's parameters, whose results are those of this estimator."""

    n_models = 0

    def __init__(self, **parameters):
        vars(self).update(self.defaults | parameters)

    def get_params(self, deep=True):
        return {name: getattr(self, name) for name in self.defaults}

    def model(self, n_samples=1):
        Adapter.n_models += 1
        model = BCENeuronClassifier()
        same = {name: v for name, v in self.get_params().items() if name in model.get_params()}
        model.set_params(**same | self.translated(n_samples))
        vars(model).update(learned_by(self))
        return model

    def become(self, model):
        for name in learned_by(self):
            delattr(self, name)
        vars(self).update(learned_by(model))
        return self

    def learn(self, method, n_samples, *data, **arguments):
        try:
            self.become(getattr(self.model(n_samples), method)(*data, **arguments))
        except ValueError as error:
            if "Only binary classification is supported" in str(error):
                pytest.skip("more than two classes")
            raise

    def set_callbacks(self, *callbacks):
        return self.become(self.model().set_callbacks(*callbacks))


for method in ("decision_function", "predict", "predict_proba", "predict_log_proba"):
    asked = functools.partialmethod(lambda self, name, X: getattr(self.model(), name)(X), method)
    setattr(Adapter, method, asked)


class AdaptedLogisticRegression(Adapter):
    defaults = linear_model.LogisticRegression().get_params()

    def translated(self, n_samples):
        if self.dual or getattr(self, "multi_class", "auto") == "multinomial":
            pytest.skip("the dual problem, or two outputs")
        given = self.l1_ratio if self.penalty == "elasticnet" else self.l1_ratio or 0.0
        solver = "gd" if self.solver in {"sag", "saga"} else "newton"
        return {
            "C": np.inf if self.penalty is None else self.C,
            "l1_ratio": {"l1": 1.0, "l2": 0.0}.get(self.penalty, given),
            # scikit-learn's tol bounds the gradient, and F − min F is proportional to its square.
            # For gd, tol is the decrease in five passes, and F − min F is many times as much.
            "tol": self.tol**2 / (1000 if solver == "gd" else 1),
            "solver": solver,
        }

    def fit(self, X, y, sample_weight=None):
        self.learn("fit", len(y), X, y, sample_weight=sample_weight)
        return self


class AdaptedSGDClassifier(Adapter):
    defaults = linear_model.SGDClassifier(loss="log_loss").get_params()

    def translated(self, n_samples):
        if self.loss != "log_loss" or self.average:
            pytest.skip("another loss, or averaging")
        strength = 0.0 if self.penalty is None else self.alpha * n_samples
        return {
            "C": 1 / strength if strength else np.inf,
            "l1_ratio": {"l1": 1.0, "elasticnet": self.l1_ratio}.get(self.penalty, 0.0),
            "tol": 0.0 if self.tol is None else self.tol,
            "solver": "sgd",
            "learning_rate": self.eta0 if self.learning_rate == "constant" else "auto",
        }

    def fit(self, X, y, coef_init=None, intercept_init=None, sample_weight=None):
        start = {"coef_init": coef_init, "intercept_init": intercept_init}
        self.learn("fit", len(y), X, y, sample_weight=sample_weight, **start)
        self.t_ = 1.0 + self.n_iter_[0] * len(y)
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        t = getattr(self, "t_", 1.0) + len(y)
        self.learn("partial_fit", t - 1, X, y, classes=classes, sample_weight=sample_weight)
        self.t_ = t
        return self


# Parameter values for other estimators, and arrays that are not of NumPy.
OTHERS = "(LogisticRegressionCV|(Sparse)?SGD(Regressor|OneClassSVM)|api_strict|cupy|dpnp|torch)"


def out_of_scope(*args, **kwargs):
    pytest.skip("another estimator, or a private function")


def executed(name, ours, adapter):
    """Return scikit-learn's module of tests, with the adapter in place of the tested class."""
    spec = importlib.util.find_spec(f"sklearn.linear_model.tests.{name}")
    module = importlib.util.module_from_spec(spec)
    home = importlib.import_module(getattr(linear_model, ours).__module__)
    marks = dict.fromkeys(["thread_unsafe", "no_check_spmatrix"], lambda function: function)
    with (
        mock.patch.object(linear_model, ours, adapter),
        mock.patch.object(home, ours, adapter),
        mock.patch.dict(vars(pytest.mark), marks),  # scikit-learn's own; they mean nothing here
    ):
        spec.loader.exec_module(module)
    for name, value in list(vars(module).items()):
        private = name.startswith("_") and getattr(value, "__module__", "") == home.__name__
        if private or re.fullmatch(OTHERS, name):
            setattr(module, name, out_of_scope)
    # In this it is looked up when a test runs.
    module.linear_model = SimpleNamespace(**vars(linear_model) | {ours: adapter})
    return module


def those_that_name(module, ours):
    """Yield name and function of each test of the class, without values that do not apply."""
    for turn, (name, function) in enumerate(vars(module).items()):
        words = re.findall(r"\w+", inspect.getsource(function)) if name.startswith("test_") else []
        if ours in words or f"Sparse{ours}" in words:
            marks = getattr(function, "pytestmark", [])
            several = [of_ours(mark, turn) for mark in marks if mark.name == "parametrize"]
            if several:
                others = [mark for mark in marks if mark.name != "parametrize"]
                function.pytestmark = [*others, each_value(*several).mark]
            yield name, function


# Groups of scikit-learn's solvers, each of which one solver of this estimator replaces.
SAME_SOLVER = ["newton-cholesky", "lbfgs", "newton-cg", "liblinear"], ["saga", "sag"]


def of_ours(mark, turn):
    """Return the mark without values that do not apply, and with one of equivalent values.

    Equivalent are the solvers of scikit-learn for which this estimator has one solver, the classes
    for dense and for sparse rows, and the two kinds of CSR. For the latter two, ``turn`` decides.
    """
    names, values = mark.args
    values = [value for value in values if not re.search(OTHERS, repr(value))]
    if names == "solver":
        kept = [next((one for one in same if one in values), None) for same in SAME_SOLVER]
        known = {one for same in SAME_SOLVER for one in same}
        values = [value for value in values if value in kept or value not in known]
    elif names in ("klass", "csr_container") and values:
        values = [values[turn % len(values)]]
    return pytest.mark.parametrize(names, values, **mark.kwargs)


# Test names by the reason. The id of the parameters must contain a word after a colon.
EXCLUDED_BECAUSE = {
    "the words of a message or warning are not ours": """
        logistic_max_iter sgd_sgd_failing_penalty_validation sgd_provide_coef
        sgd_set_intercept_offset sgd_sgd_early_stopping_with_partial_fit
        sgd_partial_fit_weight_class_balanced""",
    "it is about parameters that are the adapter's and not the estimator's": """
        logistic_l1_ratio_non_elasticnet logistic_lr_penalty_l1ratio_incompatible
        logistic_penalty_none logistic_penalty_deprecated logistic_l1_ratio_None_deprecated
        sgd_power_t_limits sgd_sgd_predict_proba_method_access""",
    "indices of 64 bits are no error here": "logistic_large_sparse_matrix:saga",
    "nor are values of 1e100": "logistic_liblinear_with_large_values",
    "max_iter is at least 1": "logistic_zero_max_iter",
    "newton needs nothing to fall back to": "logistic_newton_cholesky_fallback_to_lbfgs",
    "only lbfgs ends with an empty task": "logistic_logistic_regression_callback_support",
    "all solvers have callbacks": "logistic_logistic_regression_callback_support_warning",
    "gd ends where F falls no more: weights are then right to 1e-7": "logistic_logreg_l1",
    "there is no sparsify: coef_ is dense": "sgd_sgd_l1",
    "it is of the hinge loss: with the log-loss SGDClassifier itself fails it": """
        sgd_class_weights sgd_sample_weights sgd_equal_class_weight""",
    "tol=0 ends theirs by the noise of its steps; ours runs to the end": "sgd_tol_parameter",
    "sgd goes on as long as F falls and is not within tol of its minimum": "sgd_early_stopping",
    "the automatic step of a stream falls, that of a fit does not": """
        sgd_partial_fit_equal_fit_classif:optimal sgd_partial_fit_equal_fit_classif:invscaling
        sgd_partial_fit_equal_fit_classif:adaptive""",
    "it counts on steps so large that two orders are 1 apart": "sgd_sgd_random_state",
    "three classes, in another process": "sgd_multi_core_gridsearch_and_early_stopping",
}
EXCLUDED = {key: reason for reason, keys in EXCLUDED_BECAUSE.items() for key in keys.split()}
TAKES_LONG = "sgd_multi_core_gridsearch_and_early_stopping"  # to fail: it is not run
NEWEST = sklearn.__version__.startswith("1.9.")  # there every exclusion must still be needed
if not NEWEST:
    EXCLUDED["logistic_lr_liblinear_warning"] = "n_jobs is no parameter of the estimator"
    EXCLUDED["logistic_logistic_regression_solvers"] = "gd takes more passes than theirs"
    EXCLUDED["logistic_saga_vs_liblinear"] = "gd takes more passes than theirs"
COLLECTED, STARTED, PASSED, NEEDED = {}, set(), [], set()


def counted(name, function):
    """Return the test function, with a record of whether it has passed with this estimator."""

    @functools.wraps(function)
    def run(**arguments):
        STARTED.add(name)
        before = Adapter.n_models
        function(**arguments)
        assert Adapter.n_models > before
        PASSED.append(name)

    return run


for prefix, ours in (("logistic", "LogisticRegression"), ("sgd", "SGDClassifier")):
    module = executed(f"test_{prefix}", ours, globals()[f"Adapted{ours}"])
    for name, function in those_that_name(module, ours):
        name = name.replace("test", prefix, 1)
        COLLECTED[name] = counted(name, function)
globals().update({f"test_{name}": function for name, function in COLLECTED.items()})


@pytest.fixture
def global_random_seed():
    return 42  # that of scikit-learn's own runs


@pytest.fixture(autouse=True)
def excluded(request, monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")  # else tests of it are skipped
    values = request.node.callspec.id.split("-") if hasattr(request.node, "callspec") else []
    for key, reason in EXCLUDED.items():
        name, *word = key.split(":")
        if request.node.originalname == f"test_{name}" and {*word} <= {*values}:
            run = key != TAKES_LONG
            request.applymarker(pytest.mark.xfail(reason=reason, strict=NEWEST, run=run))
            NEEDED.add(key)


def test_enough_of_them_have_run_and_no_exclusion_is_stale():
    if {*COLLECTED} - {TAKES_LONG} != STARTED:
        pytest.skip("only some were to run")
    assert len(PASSED) >= (55 if NEWEST else 40)
    assert {*EXCLUDED} == NEEDED or not NEWEST
