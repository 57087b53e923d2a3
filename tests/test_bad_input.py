"""Malformed calls of `fit` and predictions: the error, its message, and an unchanged estimator."""

import copy
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from covering import each_value, every_pair
from numpy.testing import assert_equal
from scipy.sparse import csr_array
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from small_data import naming

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers.newton import in_cache
from sklearn_bce._solvers.sgd import OnlineUpdater

RNG = np.random.default_rng(0)
N_SAMPLES, N_FEATURES = 30, 3
X = RNG.normal(size=(N_SAMPLES, N_FEATURES))
Y = (X[:, 0] + RNG.normal(size=N_SAMPLES) > 0).astype(int)
ONES = np.ones(N_SAMPLES)
RAW = SimpleNamespace(**load_breast_cancer())

PREDICTIONS = ("decision_function", "predict", "predict_proba", "predict_log_proba")


def with_entry(array, entry):
    """Return a float copy of the array with one entry replaced."""
    changed = np.array(array, dtype=np.float64)
    changed.flat[4] = entry
    return changed


fitted_or_not = pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])


@pytest.fixture
def model(fitted):
    model = BCENeuronClassifier()
    return model.fit(X, Y) if fitted else model


def assert_fit_raises_and_changes_nothing(model, error, message, *args, **arguments):
    """Fit and expect the error, and the estimator's vars() unchanged."""
    was_fitted = hasattr(model, "coef_")
    before = copy.deepcopy(vars(model))
    with pytest.raises(error, match=message):
        model.fit(*args, **arguments)
    assert_equal(vars(model), before)  # keys too, and NaN equals NaN
    if not was_fitted:
        assert_equal(vars(model), model.get_params())
        with pytest.raises(NotFittedError):
            model.predict(X)


BAD_ARGUMENTS = {
    # X
    "X 1-d": ({"X": X[:, 0]}, r"Expected 2D array, got 1D array instead"),
    "X 3-d": ({"X": X[np.newaxis]}, r"Found array with dim 3, while dim <= 2 is required"),
    "X scalar": ({"X": 1.0}, r"Expected 2D array, got scalar array instead"),
    "X empty": ({"X": X[:0], "y": Y[:0]}, r"0 sample\(s\).*minimum of 1 is required"),
    "X without features": ({"X": X[:, :0]}, r"0 feature\(s\).*minimum of 1 is required"),
    "X NaN": ({"X": with_entry(X, np.nan)}, r"Input X contains NaN"),
    "X infinite": ({"X": with_entry(X, -np.inf)}, r"Input X contains infinity"),
    "X sparse NaN": ({"X": csr_array(with_entry(X, np.nan))}, r"Input X contains NaN"),
    "X complex": ({"X": 1j * X}, r"Complex data not supported"),
    "X strings": ({"X": np.full((N_SAMPLES, 2), "a")}, r"could not convert string to float"),
    "X objects": (
        {"X": np.full((N_SAMPLES, 2), "a", dtype=object)},
        r"could not convert string to float: 'a'",
    ),
    # y
    "y None": ({"y": None}, r"requires y to be passed, but the target y is None"),
    "y one class": ({"y": np.full(N_SAMPLES, "a")}, r"only one class: (np\.str_\()?'a'"),
    "y three classes": (
        {"y": np.arange(N_SAMPLES) % 3},
        r"Only binary classification is supported\. .* multiclass\. .*OneVsRestClassifier",
    ),
    "y continuous": ({"y": RNG.uniform(size=N_SAMPLES)}, r"Unknown label type: continuous"),
    "y NaN": ({"y": with_entry(Y, np.nan)}, r"Input y contains NaN"),
    "y infinite": ({"y": with_entry(Y, np.inf)}, r"Input y contains infinity"),
    "y two columns": ({"y": np.column_stack([Y, Y])}, r"y should be a 1d array, got .*\(30, 2\)"),
    "y mixed types": ({"y": np.array([0, "a"] * 15, dtype=object)}, r"Unknown label type"),
    "y complex": ({"y": 1j * Y}, r"Complex data not supported"),
    "y too short": ({"y": Y[:-1]}, r"inconsistent numbers of samples: \[30, 29\]"),
    # sample_weight
    "weight NaN": ({"sample_weight": with_entry(ONES, np.nan)}, r"sample_weight contains NaN"),
    "weight infinite": (
        {"sample_weight": with_entry(ONES, np.inf)},
        r"sample_weight contains infinity",
    ),
    "weight negative": (
        {"sample_weight": with_entry(ONES, -1e-9)},
        r"Negative values in data passed to `sample_weight`",
    ),
    "weight all zero": ({"sample_weight": 0 * ONES}, r"at least one non-zero"),
    "weight too short": (
        {"sample_weight": ONES[:-1]},
        r"sample_weight\.shape == \(29,\), expected \(30,\)",
    ),
    "weight 2-d": ({"sample_weight": ONES[:, np.newaxis]}, r"Sample weights must be 1D array"),
    "weight string": ({"sample_weight": "balanced"}, r"could not convert string to float"),
    # coef_init and intercept_init
    "coef_init too long": (
        {"coef_init": np.ones(4)},
        r"coef_init has shape \(4,\); it must be \(3,\) or \(1, 3\)",
    ),
    "coef_init column": ({"coef_init": np.ones((3, 1))}, r"coef_init has shape \(3, 1\)"),
    "coef_init 3-d": ({"coef_init": np.ones((1, 1, 3))}, r"coef_init"),
    "coef_init scalar": ({"coef_init": 1.0}, r"coef_init"),
    "coef_init NaN": ({"coef_init": [0, np.nan, 0]}, r"coef_init contains NaN"),
    "coef_init string": ({"coef_init": ["a", "b", "c"]}, r"could not convert string to float"),
    "intercept_init two": ({"intercept_init": [1.0, 2.0]}, r"intercept_init has shape \(2,\)"),
    "intercept_init empty": ({"intercept_init": []}, r"intercept_init"),
    "intercept_init NaN": ({"intercept_init": [np.nan]}, r"intercept_init contains NaN"),
    # not there yet
    "X_val": ({"X_val": X}, r"y_val is missing"),
    "y_val": ({"y_val": Y}, r"X_val is missing"),
    "sample_weight_val": ({"sample_weight_val": ONES}, r"X_val is missing"),
}


@fitted_or_not
def test_fit_refuses_a_malformed_argument_and_changes_nothing(model):
    for name, (arguments, message) in BAD_ARGUMENTS.items():
        with naming(name):
            assert_fit_raises_and_changes_nothing(
                model, ValueError, message, **{"X": X, "y": Y, **arguments}
            )


ABOVE_0 = "must be a float in the range (0.0, inf]"
AT_LEAST_1 = "must be an int in the range [1, inf)"
A_BOOL = "must be an instance of 'bool' or an instance of 'numpy.bool"  # NumPy 1 ends it in "_"

BAD_PARAMETERS = [
    ("C", [0, -1.0, np.nan, "1", None], ABOVE_0),
    ("l1_ratio", [-0.1, 1.1, np.nan, None], "must be a float in the range [0.0, 1.0]"),
    ("standardize", [1, None, "yes"], A_BOOL),
    ("penalty_factor", [2.0, True], "must be an array-like, an instance of 'dict' or None"),
    ("coef_bounds", [0.0, True], "must be an array-like, an instance of 'dict' or None"),
    ("fit_intercept", [1, None, "yes"], A_BOOL),
    ("class_weight", ["auto", [1, 2], 2.0], "must be an instance of 'dict', a str among"),
    ("solver", ["adam", None, ["sgd"]], "must be a str among {'auto', 'gd', 'newton', 'sgd'}"),
    (
        "learning_rate",
        [0.0, -1.0, np.inf, np.nan, "constant", None],
        "must be a float in the range (0.0, inf) or a str among {'auto'}",
    ),
    ("batch_size", [0, -1, 1.5, None, "auto"], AT_LEAST_1),
    ("shuffle", [1, None], A_BOOL),
    ("max_iter", [0, -1, 10.0, np.inf, None], AT_LEAST_1),
    ("tol", [-1e-9, np.nan, None, "0"], "must be a float in the range [0.0, inf)"),
    ("early_stopping", [1, None], A_BOOL),
    ("validation_fraction", [0.0, 1.0, -1, None], "must be a float in the range (0.0, 1.0)"),
    ("n_iter_no_change", [0, 2.5, None], AT_LEAST_1),
    ("soft_targets", [1, None], A_BOOL),
    ("warm_start", [1, None], A_BOOL),
    ("random_state", [-1, 1.5, "0"], "must be an int in the range [0, 4294967295]"),
]


def allowed_in_any_order(allowed):
    """Return a regex for a constraint; scikit-learn prints its sets in no particular order."""
    return re.sub(r"\\{.*\\}", r"\\{.*\\}", re.escape(allowed))


@each_value(
    pytest.mark.parametrize(
        ("name", "values", "allowed"), BAD_PARAMETERS, ids=[name for name, *_ in BAD_PARAMETERS]
    ),
    fitted_or_not,
)
def test_parameter_out_of_its_range_or_of_a_wrong_type_is_refused(model, name, values, allowed):
    for value in values:
        model.set_params(**{name: value})
        message = (
            f"The '{name}' parameter of BCENeuronClassifier {allowed_in_any_order(allowed)}"
            f".*Got {re.escape(repr(value))} instead"
        )
        with naming(value):
            assert_fit_raises_and_changes_nothing(model, ValueError, message, X, Y)


def test_every_parameter_has_a_malformed_value_in_the_table():
    assert {name for name, *_ in BAD_PARAMETERS} == set(BCENeuronClassifier().get_params())


def test_error_of_an_unknown_solver_names_those_that_exist():
    with pytest.raises(ValueError, match=r"a str among \{.*\}") as raised:
        BCENeuronClassifier(solver="adam").fit(X, Y)
    names = ("auto", "newton", "gd", "sgd", "lbfgs", "saga")
    assert all(f"'{solver}'" in str(raised.value) for solver in names)


@pytest.mark.parametrize("parameters", [{"C": -1.0}, {"C": -1.0, "class_weight": {0: 1.0, 1: 2.0}}])
def test_error_of_a_parameter_is_not_chained_to_another_error(parameters):
    with pytest.raises(ValueError, match="The 'C' parameter") as raised:
        BCENeuronClassifier(**parameters).fit(X, Y)
    assert raised.value.__context__ is None


@each_value(
    pytest.mark.parametrize(
        ("class_weight", "message"),
        [
            ({0: -1.0, 1: 1.0}, r"class_weight=.* negative or not finite; .* \[0, inf\)"),
            ({0: np.nan, 1: 1.0}, r"class_weight=.* negative or not finite"),
            ({0: np.inf, 1: 1.0}, r"class_weight=.* negative or not finite"),
            ({0: 0.0, 1: 0.0}, r"class_weight=.* leave no weight to any class"),
            ({"a": 1.0}, r"The classes, \[0, 1\], are not in class_weight"),
            ({0: 1.0, 2: 1.0}, r"The classes, \[1\], are not in class_weight"),
        ],
    ),
    fitted_or_not,
)
def test_class_weight_that_does_not_fit_the_labels_is_refused(model, class_weight, message):
    model.set_params(class_weight=class_weight)
    assert_fit_raises_and_changes_nothing(model, ValueError, message, X, Y)


@every_pair(
    pytest.mark.parametrize("solver", ["newton", "gd", "sgd"]),
    pytest.mark.parametrize("order", ["C", "F"]),
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
    pytest.mark.parametrize("shape", [(20_000, 15), (70, 4000)], ids=["tall", "wide"]),
)
def test_non_finite_element_of_large_data_is_refused(solver, order, dtype, shape):
    """X is checked in the first pass, by a sample of rows or by products of rows, too."""
    model = BCENeuronClassifier(solver=solver, max_iter=2)
    rng = np.random.default_rng(1)
    rows = np.array(rng.normal(size=shape), dtype=dtype, order=order)
    targets = rows[:, 0] + rng.normal(size=shape[0]) > 0
    weight = np.ones(shape[0])
    weight[-1] = 0.0  # what counts for nothing is checked all the same
    for element, message in ((np.nan, "contains NaN"), (-np.inf, "contains infinity")):
        rows[-1, -1] = element
        assert_fit_raises_and_changes_nothing(
            model, ValueError, f"Input X {message}", rows, targets, weight
        )


@every_pair(
    pytest.mark.parametrize(
        "parameters",
        [{"solver": "gd"}, {"solver": "sgd"}, {"solver": "sgd", "batch_size": 32}],
        ids=["gd", "sgd", "sgd-batches"],
    ),
    pytest.mark.parametrize("as_sparse", [np.asarray, csr_array]),
    fitted_or_not,
)
def test_learning_rate_that_makes_the_loss_overflow_is_an_error(model, parameters, as_sparse):
    model.set_params(learning_rate=1e300, **parameters)
    message = r"loss overflowed in pass \d+: learning_rate=1e\+300 is too large.*'auto'"
    # NumPy gives no warning before the error: pytest would make the warning an error.
    arguments = as_sparse(RAW.data), RAW.target
    assert_fit_raises_and_changes_nothing(model, ValueError, message, *arguments)


@pytest.mark.parametrize("method", PREDICTIONS)
def test_prediction_before_fit_is_a_not_fitted_error(method):
    with pytest.raises(NotFittedError, match="BCENeuronClassifier instance is not fitted yet"):
        getattr(BCENeuronClassifier(), method)(X)


@pytest.mark.parametrize("method", ["score", "to_sklearn"])
def test_score_and_to_sklearn_before_fit_are_not_fitted_errors(method):
    arguments = (X, Y) if method == "score" else ()
    with pytest.raises(NotFittedError, match="BCENeuronClassifier instance is not fitted yet"):
        getattr(BCENeuronClassifier(), method)(*arguments)


@each_value(
    pytest.mark.parametrize("method", PREDICTIONS),
    pytest.mark.parametrize(
        ("rows", "message"),
        [
            (
                X[:, :2],
                r"X has 2 features, but BCENeuronClassifier is expecting 3 features as input",
            ),
            (csr_array(X[:, :2]), r"X has 2 features, but BCENeuronClassifier is expecting 3"),
            (X[0], r"Expected 2D array, got 1D array instead"),
            (X[:0], r"0 sample\(s\).*minimum of 1 is required"),
            (with_entry(X, np.nan), r"Input X contains NaN"),
            (1j * X, r"Complex data not supported"),
        ],
        ids=["features", "sparse features", "1-d", "empty", "NaN", "complex"],
    ),
)
def test_predictions_refuse_malformed_rows_and_change_nothing(method, rows, message):
    model = BCENeuronClassifier().fit(X, Y)
    before = copy.deepcopy(vars(model))
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(rows)
    assert_equal(vars(model), before)


@each_value(
    pytest.mark.parametrize("method", PREDICTIONS),
    pytest.mark.parametrize(
        ("columns", "message"),
        [
            (["b", "a", "c"], r"Feature names must be in the same order as they were in fit"),
            (
                ["a", "b", "x"],
                r"names unseen at fit time:\n- x\nFeature names seen at fit time, yet ",
            ),
        ],
    ),
)
def test_predictions_refuse_other_feature_names(method, columns, message):
    model = BCENeuronClassifier().fit(pd.DataFrame(X, columns=["a", "b", "c"]), Y)
    with pytest.raises(ValueError, match=message):
        getattr(model, method)(pd.DataFrame(X, columns=columns))


def on_second_call(error, function):
    """Return a function that calls the given one, and raises the error in the second call."""
    calls = []

    def raising(*args, **kwargs):
        calls.append(args)
        if len(calls) == 2:
            raise error("stopped")
        return function(*args, **kwargs)

    return raising


@each_value(
    pytest.mark.parametrize(
        ("parameters", "owner", "method"),
        [
            ({"solver": "newton"}, InMemoryObjective, "evaluate"),
            ({"solver": "gd"}, InMemoryObjective, "evaluate"),
            ({"solver": "sgd"}, OnlineUpdater, "update"),
            ({"solver": "sgd", "batch_size": 8}, OnlineUpdater, "update"),
        ],
        ids=["newton", "gd", "sgd", "sgd-batches"],
    ),
    fitted_or_not,
)
def test_solver_that_raises_leaves_the_estimator_as_it_was(
    model, monkeypatch, parameters, owner, method
):
    model.set_params(**parameters)
    monkeypatch.setattr(in_cache, "CACHE_ELEMENTS", 0)
    monkeypatch.setattr(owner, method, on_second_call(MemoryError, getattr(owner, method)))
    # The data of the failed fit have feature names and another number of features.
    frame = pd.DataFrame(X[:, :2], columns=["a", "b"])
    assert_fit_raises_and_changes_nothing(model, MemoryError, "stopped", frame, Y)


@each_value(
    pytest.mark.parametrize("solver", ["newton", "gd", "sgd"]),
    fitted_or_not,
)
def test_convergence_warning_made_an_error_changes_nothing(model, solver):
    model.set_params(solver=solver, max_iter=1)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        assert_fit_raises_and_changes_nothing(model, ConvergenceWarning, "max_iter=1", X, Y)
