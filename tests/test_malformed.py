"""Malformed calls of every method, and unusual calls that are valid.

What `fit` says of shapes, dtypes and each parameter is in test_bad_input.py, what it takes in
test_input_kinds.py. Here are the kinds of arguments those leave out, and the other methods.
"""

import json
import os
import pickle
import subprocess
import sys
import warnings
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from covering import each_value
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning, NotFittedError
from small_data import names_of_polars, naming

from sklearn_bce import BCENeuronClassifier, l1_min_c
from sklearn_bce._estimator.validation import checked_array

RNG = np.random.default_rng(0)
N_SAMPLES, N_FEATURES = 30, 3
X = RNG.normal(size=(N_SAMPLES, N_FEATURES))
Y = (X[:, 0] + RNG.normal(size=N_SAMPLES) > 0).astype(int)
ONES = np.ones(N_SAMPLES)
FRAME = pd.DataFrame(X, columns=list("abc"))
SECOND = np.arange(N_SAMPLES) == 1  # which sample is the odd one


def with_entry(array, entry, dtype=object):
    """Return a copy of the array in the dtype, with one entry replaced."""
    changed = np.array(array, dtype=dtype)
    changed.flat[4] = entry
    return changed


def with_mask(array):
    """Return the array as a masked array with one masked element."""
    array = np.ma.array(array, mask=False, copy=True)
    array.flat[4] = np.ma.masked
    return array


def ragged(length):
    return [[1.0] * (1 + i % 2) for i in range(length)]


def raises_and_changes_nothing(model, error, message, method, *args, **arguments):
    """Call the method and expect the error, and an estimator that is unchanged bit for bit."""
    before = pickle.dumps(model)
    with pytest.raises(error, match=message):
        getattr(model, method)(*args, **arguments)
    assert pickle.dumps(model) == before


# --- fit ---

NOT_A_NUMBER = r"could not convert string to float|must be a string or a real number"
COMPLEX = r"Complex data not supported"
IS_NAN = r"contains NaN"
IS_INFINITE = r"contains infinity"
NOT_RECTANGULAR = r"setting an array element with a sequence"
HUGE = 10**400  # no float can hold it
MASKED = r"mask"
NO_SPARSE = r"[Ss]parse data was passed.* but dense data is required"
BAD_X = {
    "None": (None, ValueError, r"Expected 2D array, got scalar array"),
    "string": ("abc", ValueError, NOT_A_NUMBER),
    "dict": ({"a": [1.0]}, TypeError, NOT_A_NUMBER),
    "set": ({1.0, 2.0}, TypeError, NOT_A_NUMBER),
    "generator": (lambda: iter(X), TypeError, NOT_A_NUMBER),
    "ragged": (ragged(N_SAMPLES), ValueError, NOT_RECTANGULAR),
    "object None": (with_entry(X, None), ValueError, IS_NAN),
    "object dict": (with_entry(X, {}), TypeError, NOT_A_NUMBER),
    "object list": (with_entry(X, [1.0]), ValueError, NOT_RECTANGULAR),
    "object complex": (with_entry(X, 1j), TypeError, NOT_A_NUMBER),
    "object string": (with_entry(X, "a"), ValueError, NOT_A_NUMBER),
    "huge integer": (with_entry(X, HUGE), OverflowError, r"int too large"),
    "bytes": (np.full(X.shape, b"a"), ValueError, NOT_A_NUMBER),
    "structured": (np.zeros(N_SAMPLES, [("a", float), ("b", float)]), TypeError, r"Cannot cast"),
    "np.matrix": (np.asmatrix(X), TypeError, r"np\.matrix is not supported"),
    "masked": (with_mask(X), ValueError, MASKED),
    "Series": (FRAME["a"], ValueError, r"Expected a 2-dimensional container|Expected 2D array"),
    "frame Int64 NA": (FRAME.round().astype("Int64").mask(FRAME > 1), ValueError, IS_NAN),
    "frame Float64 NA": (FRAME.astype("Float64").mask(FRAME > 1), ValueError, IS_NAN),
    "frame boolean NA": ((FRAME > 0).astype("boolean").mask(FRAME > 1), ValueError, IS_NAN),
    "frame strings": (FRAME.assign(a="x"), ValueError, NOT_A_NUMBER),
    "frame categories": (FRAME.assign(a=pd.Categorical(["x"] * 30)), ValueError, NOT_A_NUMBER),
    "frame complex": (FRAME.assign(a=1j), ValueError, COMPLEX),
    "frame names of two types": (
        FRAME.rename(columns={"a": 1}),
        TypeError,
        r"Feature names are only supported if all input features have string names",
    ),
    "polars null": (pl.DataFrame({"a": [None, *X[1:, 0]]}), ValueError, IS_NAN),
    "polars strings": (pl.DataFrame({"a": ["x"] * N_SAMPLES}), ValueError, NOT_A_NUMBER),
    "polars Series": (pl.Series(X[:, 0]), ValueError, r"Expected 2D array, got 1D array"),
    "sparse complex": (sp.csr_array(1j * X), ValueError, COMPLEX),
    "sparse infinite": (sp.csr_array(with_entry(X, np.inf, float)), ValueError, IS_INFINITE),
    "csc NaN": (sp.csc_array(with_entry(X, np.nan, float)), ValueError, IS_NAN),
    "coo infinite": (sp.coo_array(with_entry(X, -np.inf, float)), ValueError, IS_INFINITE),
    "coo whose duplicates overflow": (
        sp.coo_array((np.full(2, 1.5e308), ([0, 0], [0, 0])), shape=X.shape),
        ValueError,
        IS_INFINITE,
    ),
    "sparse without features": (sp.csr_array((N_SAMPLES, 0)), ValueError, r"0 feature\(s\)"),
    "list of sparse": ([sp.csr_array(X)], ValueError, NOT_RECTANGULAR),
}
ONE_D = r"y should be a 1d array"
BAD_Y = {
    "sparse": (sp.csr_array(Y[:, np.newaxis]), TypeError, NO_SPARSE),
    "scalar": (1, ValueError, ONE_D),
    "string": ("01" * 15, ValueError, ONE_D),
    "dict": (dict(enumerate(Y)), ValueError, ONE_D),
    "set": ({0, 1}, ValueError, ONE_D),
    "row": (Y[np.newaxis], ValueError, ONE_D),
    "frame of two columns": (pd.DataFrame({"a": Y, "b": Y}), ValueError, ONE_D),
    "3-d": (Y[:, np.newaxis, np.newaxis], ValueError, r"dim 3, while dim <= 2 is required"),
    "ragged": (ragged(N_SAMPLES), ValueError, NOT_RECTANGULAR),
    "object None": (with_entry(Y, None), ValueError, r"Unknown label type|contains NaN"),
    "object list": (with_entry(Y, [1]), ValueError, r"Unknown label type"),
    "huge integers": (Y.astype(object) * 10**30, ValueError, r"Unknown label type"),
    "bytes": (np.where(Y, b"a", b"b"), TypeError, r"represented as bytes is not supported"),
    "masked": (with_mask(Y), ValueError, MASKED),
    "Int64 NA": (pd.Series(Y, dtype="Int64").mask(SECOND), ValueError, IS_NAN),
    "boolean NA": (pd.Series(Y, dtype="boolean").mask(SECOND), ValueError, IS_NAN),
    "string NA": (
        pd.Series(np.where(Y, "a", "b"), dtype="string").mask(SECOND),
        (TypeError, ValueError),
        r"NA|NaN",
    ),
    "categories NA": (pd.Series(np.where(Y, "a", "b")).mask(SECOND), ValueError, r"NaN|nan"),
    "polars null": (pl.Series([None, *Y[1:].tolist()]), ValueError, IS_NAN),
    "too long": (np.append(Y, 1), ValueError, r"inconsistent numbers of samples: \[30, 31\]"),
    "empty": ([], ValueError, r"inconsistent numbers of samples: \[30, 0\]"),
}
NOT_FINITE_SUM = r"The sum of sample_weight is inf"
BAD_WEIGHT = {
    "complex": (1j * ONES, ValueError, COMPLEX),
    "strings": (np.full(N_SAMPLES, "a"), ValueError, NOT_A_NUMBER),
    "object None": (with_entry(ONES, None), ValueError, IS_NAN),
    "masked": (with_mask(ONES), ValueError, MASKED),
    "sparse": (sp.csr_array(ONES[np.newaxis]), TypeError, NO_SPARSE),
    "dict": ({0: 1.0, 1: 2.0}, TypeError, NOT_A_NUMBER),
    "negative number": (-1.0, ValueError, r"Negative values"),
    "number NaN": (np.nan, ValueError, r"sample_weight is nan"),
    "huge integer": (with_entry(ONES, HUGE), OverflowError, r"int too large"),
    "sum that overflows": (np.full(N_SAMPLES, 1e308), ValueError, NOT_FINITE_SUM),
    "Float64 NA": (pd.Series(ONES, dtype="Float64").mask(SECOND), ValueError, IS_NAN),
    "polars null": (pl.Series([None, *ONES[1:]]), ValueError, IS_NAN),
    "row": (ONES[np.newaxis], ValueError, r"Sample weights must be 1D array"),
    "ragged": (ragged(N_SAMPLES), ValueError, NOT_RECTANGULAR),
    "too long": (np.ones(31), ValueError, r"sample_weight\.shape == \(31,\), expected \(30,\)"),
    "empty": ([], ValueError, r"0 sample\(s\)"),
}
BAD_START = {
    "coef_init complex": ({"coef_init": 1j * np.ones(3)}, ValueError, COMPLEX),
    "coef_init sparse": ({"coef_init": sp.csr_array(np.ones((1, 3)))}, TypeError, NO_SPARSE),
    "coef_init masked": (
        {"coef_init": np.ma.array(np.ones(3), mask=[0, 1, 0])},
        ValueError,
        MASKED,
    ),
    "coef_init ragged": ({"coef_init": ragged(3)}, ValueError, NOT_RECTANGULAR),
    "coef_init object None": ({"coef_init": [None, 1.0, 1.0]}, ValueError, IS_NAN),
    "coef_init infinite": ({"coef_init": [np.inf, 0.0, 0.0]}, ValueError, IS_INFINITE),
    "coef_init huge integer": ({"coef_init": [HUGE, 0, 0]}, OverflowError, r"int too large"),
    "coef_init dict": ({"coef_init": {0: 1.0}}, ValueError, r"coef_init has shape \(\)"),
    "coef_init short": ({"coef_init": [1.0, 2.0]}, ValueError, r"coef_init has shape \(2,\)"),
    "intercept_init string": ({"intercept_init": "a"}, ValueError, NOT_A_NUMBER),
    "intercept_init complex": ({"intercept_init": 1j}, ValueError, COMPLEX),
    "intercept_init infinite": ({"intercept_init": np.inf}, ValueError, IS_INFINITE),
    "intercept_init dict": ({"intercept_init": {}}, TypeError, NOT_A_NUMBER),
    "intercept_init column": (
        {"intercept_init": [[1.0], [2.0]]},
        ValueError,
        r"intercept_init has shape \(2, 1\)",
    ),
}
N_FEATURES_WRONG = r"X has \d features, but BCENeuronClassifier is expecting 3 features"
N_FEATURES_VAL_WRONG = r"X_val has \d features, and X has 3"
BAD_VALIDATION = {
    "1-d": ({"X_val": X[:, 0]}, r"Expected 2D array, got 1D array"),
    "features": ({"X_val": X[:, :2]}, N_FEATURES_VAL_WRONG),
    "sparse features": ({"X_val": sp.csr_array((N_SAMPLES, 4))}, N_FEATURES_VAL_WRONG),
    "NaN": ({"X_val": with_entry(X, np.nan, float)}, r"Input X_val contains NaN"),
    "sparse NaN": ({"X_val": sp.csr_array(with_entry(X, np.nan, float))}, r"X_val contains NaN"),
    "complex": ({"X_val": 1j * X}, COMPLEX),
    "strings": ({"X_val": np.full(X.shape, "a")}, NOT_A_NUMBER),
    "masked": ({"X_val": with_mask(X)}, MASKED),
    "empty": ({"X_val": X[:0], "y_val": Y[:0]}, r"0 sample\(s\)"),
    "y_val short": ({"y_val": Y[:-1]}, r"inconsistent numbers of samples: \[30, 29\]"),
    "y_val unknown": ({"y_val": Y + 1}, r"y_val has labels that are not among .*\[0, 1\]: \[2\]"),
    "y_val strings": ({"y_val": Y.astype(str)}, r"y_val has labels .* \['0', '1'\]"),
    "y_val continuous": ({"y_val": X[:, 0]}, r"Unknown label type: continuous"),
    "y_val NaN": ({"y_val": with_entry(Y, np.nan, float)}, IS_NAN),
    "y_val two columns": ({"y_val": np.column_stack([Y, Y])}, ONE_D),
    "weight short": ({"sample_weight_val": ONES[:-1]}, r"\(29,\), expected \(30,\)"),
    "weight negative": ({"sample_weight_val": -ONES}, r"Negative values"),
    "weight zero": ({"sample_weight_val": 0 * ONES}, r"at least one non-zero"),
    "weight NaN": ({"sample_weight_val": with_entry(ONES, np.nan, float)}, IS_NAN),
    "weight complex": ({"sample_weight_val": 1j * ONES}, COMPLEX),
}
fitted_or_not = pytest.mark.parametrize("fitted", [False, True], ids=["unfitted", "fitted"])
BAD_FITS = (
    {f"X {name}": ({"X": bad}, *rest) for name, (bad, *rest) in BAD_X.items()}
    | {f"y {name}": ({"y": bad}, *rest) for name, (bad, *rest) in BAD_Y.items()}
    | {f"weight {name}": ({"sample_weight": w}, *rest) for name, (w, *rest) in BAD_WEIGHT.items()}
    | BAD_START
    | {
        f"validation {name}": ({"X_val": X, "y_val": Y, **bad}, ValueError, message)
        for name, (bad, message) in BAD_VALIDATION.items()
    }
)


@fitted_or_not
@pytest.mark.parametrize(
    "kind", ["X ", "y ", "weight ", "coef_init ", "intercept_init ", "validation "]
)
def test_fit_refuses_a_malformed_argument_and_changes_nothing(kind, fitted):
    bad_fits = {name: bad for name, bad in BAD_FITS.items() if name.startswith(kind)}
    assert len(bad_fits) > 4
    for name, (bad, error, message) in bad_fits.items():
        model = BCENeuronClassifier()
        if fitted:
            model.fit(X, Y)
        arguments = {"X": X, "y": Y, **bad}
        if callable(arguments["X"]):
            arguments["X"] = arguments["X"]()
        with naming(name):
            raises_and_changes_nothing(model, error, message, "fit", **arguments)
            if not fitted:
                with pytest.raises(NotFittedError):
                    model.predict(X)


@pytest.mark.parametrize(
    ("X_val", "message"),
    [
        (FRAME[["b", "a", "c"]], r"must be in the same order as they were in fit"),
        (FRAME.rename(columns={"a": "z"}), r"names unseen at fit time:\n- z"),
        (FRAME[["a", "b"]], r"seen at fit time, yet now missing:\n- c"),
    ],
)
def test_fit_refuses_validation_samples_with_other_feature_names(X_val, message):
    arguments = {"X_val": X_val, "y_val": Y}
    model = BCENeuronClassifier()
    raises_and_changes_nothing(model, ValueError, message, "fit", FRAME, Y, **arguments)


ARRAY = np.array(1.0)
KINDS_OF_PARAMETERS = {
    "C": [1j, [1.0], {}, ARRAY, np.ones(2), "inf", np.ma.masked, pd.NA, -np.inf],
    "l1_ratio": ["1", [0.5], 1j, ARRAY],
    "fit_intercept": [[], np.array([True, False]), "False"],
    "class_weight": ["Balanced", ("balanced",), [(0, 1), (1, 2)], 1, np.ones(2)],
    "solver": [b"sgd", 1, "", "SGD", {"sgd"}],
    "learning_rate": ["Auto", [0.1], 1j, {}, ARRAY, np.datetime64("2020-01-01")],
    "batch_size": [np.float64(2.0), [1], {}, np.array(3)],
    "shuffle": ["True", 2, [True], np.array(True)],
    "max_iter": ["10", [3], np.array(3), np.bool_(True), 1e2],
    "tol": ["auto", 1j, [1e-3], np.inf],
    "validation_fraction": ["0.1", True, [0.1], np.nan],
    "n_iter_no_change": ["5", np.inf, [5]],
    "random_state": [np.random.default_rng(0), 2**40, [1], 1.0, {}],
}


@pytest.mark.parametrize("name", KINDS_OF_PARAMETERS)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_parameter_of_another_kind_is_refused_by_its_name(method, name):
    message = f"The '{name}' parameter of BCENeuronClassifier must be"
    classes = {"classes": [0, 1]} if method == "partial_fit" else {}
    for value in KINDS_OF_PARAMETERS[name]:
        model = BCENeuronClassifier().set_params(**{name: value})
        with naming(value):
            if method == "partial_fit" and name == "solver":
                with pytest.raises(AttributeError, match="partial_fit"):
                    model.partial_fit(X, Y, [0, 1])
            else:
                raises_and_changes_nothing(model, ValueError, message, method, X, Y, **classes)


@pytest.mark.parametrize(
    ("class_weight", "error", "message"),
    [
        ({0: "a", 1: "b"}, ValueError, NOT_A_NUMBER),
        ({0: 1j, 1: 1.0}, TypeError, NOT_A_NUMBER),
        ({0: None, 1: 1.0}, ValueError, r"negative or not finite"),
        ({0: [1.0], 1: [2.0]}, ValueError, NOT_RECTANGULAR),
        ({0: HUGE, 1: 1.0}, OverflowError, r"int too large"),
    ],
)
def test_class_weight_of_another_kind_is_refused(class_weight, error, message):
    model = BCENeuronClassifier(class_weight=class_weight)
    raises_and_changes_nothing(model, error, message, "fit", X, Y)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: BCENeuronClassifier(1.0), TypeError, r"positional argument"),
        (lambda: BCENeuronClassifier(alpha=1.0), TypeError, r"unexpected keyword .* 'alpha'"),
        (
            lambda: BCENeuronClassifier().set_params(alpha=1),
            ValueError,
            r"Invalid parameter 'alpha'",
        ),
        (lambda: BCENeuronClassifier().fit(X), TypeError, r"missing 1 required .* 'y'"),
        (lambda: BCENeuronClassifier().fit(X, Y, ONES, X, Y), TypeError, r"positional arguments"),
        (lambda: BCENeuronClassifier().fit(X, Y, weights=ONES), TypeError, r"'weights'"),
        (lambda: l1_min_c(X, Y, 1.0), TypeError, r"positional arguments"),
    ],
)
def test_calls_outside_the_signature_are_type_errors(call, error, message):
    with pytest.raises(error, match=message):
        call()


# --- partial_fit ---

BINARY = r"Only binary classification is supported"
BAD_CLASSES = {
    "none": (None, r"classes must be passed on the first call"),
    "one": ([0], BINARY),
    "three": ([0, 1, 2], BINARY),
    "empty": ([], BINARY),
    "a number": (2, BINARY),
    "a string": ("01", BINARY),
    "a dict": ({0: 1, 1: 2}, BINARY),
    "others": ([0, 2], r"not among the classes \[0, 2\]: \[1\]"),
    "of another type": (["0", "1"], r"not among the classes \['0', '1'\]"),
    "None among them": ([0, None], r"[Cc]lasses"),
    "of two types": (np.array([0, "a"], dtype=object), r"[Cc]lasses"),
    "NaN among them": ([0.0, np.nan], r"[Cc]lasses.*(NaN|nan)"),
    "complex": ([0, 1j], r"[Cc]omplex"),
}


def test_partial_fit_refuses_classes_that_are_not_two_labels_of_y():
    for name, (classes, message) in BAD_CLASSES.items():
        # All samples are of the valid class, so that only the argument `classes` shows the error.
        y = 0 * Y if "C" in message else Y
        with naming(name):
            raises_and_changes_nothing(
                BCENeuronClassifier(),
                (ValueError, TypeError),
                message,
                "partial_fit",
                X,
                y,
                classes=classes,
            )


BAD_CHUNKS = {
    "features": ({"X": X[:, :2]}, N_FEATURES_WRONG),
    "sparse features": ({"X": sp.csr_array((N_SAMPLES, 4))}, N_FEATURES_WRONG),
    "1-d": ({"X": X[0]}, r"Expected 2D array, got 1D array"),
    "empty": ({"X": X[:0], "y": Y[:0]}, r"0 sample\(s\)"),
    "complex": ({"X": 1j * X}, COMPLEX),
    "masked": ({"X": with_mask(X)}, MASKED),
    "NaN": ({"X": with_entry(X, np.nan, float)}, r"Input X contains NaN"),
    "infinite": ({"X": with_entry(X, np.inf, float)}, r"Input X contains infinity"),
    "sparse NaN": ({"X": sp.csr_array(with_entry(X, np.nan, float))}, r"Input X contains NaN"),
    "other classes": ({"classes": [0, 2]}, r"not the same as on last call"),
    "y None": ({"y": None}, r"requires y to be passed"),
    "y unknown": ({"y": Y + 1}, r"y has labels that are not among the classes \[0, 1\]: \[2\]"),
    "y continuous": ({"y": X[:, 0]}, r"Unknown label type: continuous"),
    "y NaN": ({"y": with_entry(Y, np.nan, float)}, IS_NAN),
    "y short": ({"y": Y[:-1]}, r"inconsistent numbers of samples: \[30, 29\]"),
    "weight short": ({"sample_weight": ONES[:-1]}, r"\(29,\), expected \(30,\)"),
    "weight negative": ({"sample_weight": -ONES}, r"Negative values"),
    "weight NaN": ({"sample_weight": with_entry(ONES, np.nan, float)}, IS_NAN),
    "weight string": ({"sample_weight": "balanced"}, NOT_A_NUMBER),
    "weight sum": ({"sample_weight": np.full(N_SAMPLES, 1e308)}, NOT_FINITE_SUM),
}


@pytest.mark.parametrize("learning_rate", ["auto", 0.1])
def test_partial_fit_refuses_a_malformed_chunk_and_changes_nothing(learning_rate):
    model = BCENeuronClassifier(learning_rate=learning_rate, random_state=0)
    model.partial_fit(X, Y, classes=[0, 1])
    for name, (bad, message) in BAD_CHUNKS.items():
        arguments = {"X": X, "y": Y, **bad}
        with naming(name):
            raises_and_changes_nothing(model, ValueError, message, "partial_fit", **arguments)


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"class_weight": "balanced"}, ValueError, r"'balanced' is not supported for partial_fit"),
        ({"class_weight": {"a": 1.0}}, ValueError, r"are not in class_weight"),
        ({"class_weight": {0: -1.0, 1: 1.0}}, ValueError, r"negative or not finite"),
        ({"early_stopping": True}, AttributeError, r"does not support early_stopping"),
        ({"learning_rate": 1e300}, ValueError, r"loss overflowed in pass 1"),
        ({"solver": "newton"}, AttributeError, r"partial_fit"),
        ({"solver": "gd"}, AttributeError, r"partial_fit"),
    ],
)
def test_partial_fit_refuses_parameters_that_a_stream_cannot_have(parameters, error, message):
    model = BCENeuronClassifier(**parameters)
    with pytest.raises(error, match=message):
        model.partial_fit(1e10 * X, Y, classes=[0, 1])
    assert vars(model) == model.get_params()


# --- predict and its kin ---

BAD_ROWS = {
    name: BAD_X[name]
    for name in BAD_X.keys()
    - {"frame names of two types", "sparse without features", "polars null", "polars strings"}
} | {
    "3-d": (X[np.newaxis], ValueError, r"dim 3, while dim <= 2 is required"),
    "scalar": (1.0, ValueError, r"Expected 2D array, got scalar array"),
    "sparse features": (sp.csr_array((2, 5)), ValueError, N_FEATURES_WRONG),
    "csc features": (sp.csc_array((2, 2)), ValueError, N_FEATURES_WRONG),
}


@pytest.mark.parametrize(
    "method", ["decision_function", "predict", "predict_proba", "predict_log_proba", "score"]
)
def test_predictions_refuse_malformed_rows(method):
    without_names, with_names = (BCENeuronClassifier().fit(rows, Y) for rows in (X, FRAME))
    for name, (rows, error, message) in BAD_ROWS.items():
        rows = rows() if callable(rows) else rows
        arguments = (rows, Y) if method == "score" else (rows,)
        model = with_names if isinstance(rows, pd.DataFrame) else without_names
        with naming(name):
            raises_and_changes_nothing(model, error, message, method, *arguments)


@each_value(
    pytest.mark.parametrize("method", ["predict", "predict_proba"]),
    pytest.mark.parametrize(
        ("rows", "message"),
        [
            (FRAME[["a", "b"]], r"seen at fit time, yet now missing:\n- c"),
            (FRAME.assign(z=1.0), r"names unseen at fit time:\n- z"),
            pytest.param(
                pl.DataFrame(X, schema=["c", "b", "a"]),
                r"must be in the same order",
                marks=names_of_polars,
            ),
        ],
    ),
)
def test_predictions_refuse_rows_with_other_feature_names(method, rows, message):
    model = BCENeuronClassifier().fit(FRAME, Y)
    raises_and_changes_nothing(model, ValueError, message, method, rows)


BAD_SCORES = {
    "y None": ({"y": None}, r"y_true|1d array"),
    "y short": ({"y": Y[:-1]}, r"inconsistent numbers of samples"),
    "y two columns": ({"y": np.column_stack([Y, Y])}, r"multilabel-indicator|1d array"),
    "weight short": ({"sample_weight": ONES[:-1]}, r"inconsistent numbers|expected \(30,\)"),
    "weight NaN": ({"sample_weight": with_entry(ONES, np.nan, float)}, IS_NAN),
    "weight string": ({"sample_weight": "balanced"}, r"sample_weight|convert string"),
    "X NaN": ({"X": with_entry(X, np.nan, float)}, IS_NAN),
}
BAD_SOFT = {
    "above 1": ({"y": 2.0 * Y}, r"needs y in \[0, 1\].* it has 2\."),
    "below 0": ({"y": Y - 0.5}, r"needs y in \[0, 1\].* it has -0\.5\."),
    "NaN": ({"y": with_entry(Y, np.nan, float)}, r"NaN|it has nan"),
    "strings": ({"y": Y.astype(str)}, r"elements that are not numbers"),
    "complex": ({"y": 1j * Y}, COMPLEX),
    "masked": ({"y": with_mask(1.0 * Y)}, MASKED),
    "weight negative": ({"sample_weight": -ONES}, r"Negative values"),
    "weight zero": ({"sample_weight": 0 * ONES}, r"at least one non-zero"),
}


@pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft"])
def test_score_refuses_malformed_targets_and_weights(soft):
    model = BCENeuronClassifier(soft_targets=soft).fit(X, Y)
    for name, (bad, message) in BAD_SCORES.items():
        with naming(name):
            arguments = {"X": X, "y": Y, **bad}
            raises_and_changes_nothing(model, ValueError, message, "score", **arguments)


@pytest.mark.parametrize("method", ["fit", "partial_fit", "score"])
def test_soft_targets_outside_0_and_1_are_refused(method):
    model = BCENeuronClassifier(soft_targets=True).partial_fit(X, Y)
    for name, (bad, message) in BAD_SOFT.items():
        if method == "partial_fit" and "non-zero" in message:
            continue  # a chunk without any weight changes nothing
        with naming(name):
            arguments = {"X": X, "y": Y, **bad}
            raises_and_changes_nothing(model, ValueError, message, method, **arguments)


# --- l1_min_c ---

BAD_PENALTIES = {
    "X 1-d": ({"X": X[:, 0]}, r"Expected 2D array, got 1D array"),
    "X NaN": ({"X": with_entry(X, np.nan, float)}, IS_NAN),
    "X sparse infinite": ({"X": sp.csr_array(with_entry(X, np.inf, float))}, IS_INFINITE),
    "X complex": ({"X": 1j * X}, COMPLEX),
    "X strings": ({"X": np.full(X.shape, "a")}, NOT_A_NUMBER),
    "X empty": ({"X": X[:0], "y": Y[:0]}, r"0 sample\(s\)"),
    "X masked": ({"X": with_mask(X)}, MASKED),
    "X constant": ({"X": np.ones((N_SAMPLES, 2))}, r"No feature is correlated with y"),
    "y None": ({"y": None}, r"requires y to be passed"),
    "y one class": ({"y": 0 * Y}, r"only one class: (np\.int64\()?0"),
    "y three classes": ({"y": np.arange(30) % 3}, BINARY),
    "y continuous": ({"y": X[:, 0]}, r"Unknown label type: continuous"),
    "y short": ({"y": Y[:-1]}, r"inconsistent numbers of samples"),
    "y two columns": ({"y": np.column_stack([Y, Y])}, ONE_D),
    "l1_ratio 0": ({"l1_ratio": 0.0}, r"float in the range \(0\.0, 1\.0\]\. Got 0\.0"),
    "l1_ratio above 1": ({"l1_ratio": 1.1}, r"float in the range \(0\.0, 1\.0\]\. Got 1\.1"),
    "l1_ratio NaN": ({"l1_ratio": np.nan}, r"float in the range \(0\.0, 1\.0\]\. Got nan"),
    "l1_ratio string": ({"l1_ratio": "1"}, r"l1_ratio"),
    "l1_ratio None": ({"l1_ratio": None}, r"l1_ratio"),
    "l1_ratio complex": ({"l1_ratio": 1j}, r"l1_ratio"),
    "l1_ratio array": ({"l1_ratio": np.array([0.5, 0.6])}, r"l1_ratio"),
    "fit_intercept string": ({"fit_intercept": "no"}, r"fit_intercept"),
    "fit_intercept array": ({"fit_intercept": np.array([1, 0])}, r"fit_intercept"),
    "soft_targets string": ({"soft_targets": "no"}, r"soft_targets"),
    "class_weight string": ({"class_weight": "auto"}, r"class_weight"),
    "class_weight list": ({"class_weight": [1, 2]}, r"class_weight"),
    "class_weight unknown": ({"class_weight": {"a": 1.0}}, r"are not in class_weight"),
    "weight short": ({"sample_weight": ONES[:-1]}, r"\(29,\), expected \(30,\)"),
    "weight negative": ({"sample_weight": -ONES}, r"Negative values"),
    "weight zero": ({"sample_weight": 0 * ONES}, r"at least one non-zero"),
    "weight sum": ({"sample_weight": np.full(N_SAMPLES, 1e308)}, NOT_FINITE_SUM),
    "soft above 1": ({"y": 2.0 * Y, "soft_targets": True}, r"needs y in \[0, 1\]"),
}


def test_l1_min_c_refuses_a_malformed_argument():
    for name, (bad, message) in BAD_PENALTIES.items():
        with naming(name):
            with pytest.raises((ValueError, TypeError), match=message) as caught:
                l1_min_c(**{"X": X, "y": Y, **bad})
            assert "OneVsRestClassifier(l1_min_c" not in str(caught.value)  # it is no estimator


# --- sparse matrices that are none ---

FLAWS = {
    "index too large": "X.indices[5] = 10**9",
    "index of one feature too many": "X.indices[5] = 3",
    "negative index": "X.indices[5] = -(10**9)",
    "rows that overlap": "X.indptr[5] = 10**9",
    "row that starts below 0": "X.indptr[5] = -(10**9)",
    "rows that overlap, none stored": "X.indptr[5], X.indptr[-1] = 10**9, 0",
    "last row that ends below 0": "X.indptr[-1] = -(2**31)",
    "fewer rows than it says": "X.indptr = X.indptr[:10]",
    "fewer indices than values": "X.indices = X.indices[:10]",
}
CALLS = {
    "newton": "BCENeuronClassifier(solver='newton').fit(X, Y)",
    "gd": "BCENeuronClassifier(solver='gd').fit(X, Y)",
    "sgd": "BCENeuronClassifier(solver='sgd', learning_rate=0.1).fit(X, Y)",
    "partial_fit": "BCENeuronClassifier(learning_rate=0.1).partial_fit(X, Y, [0, 1])",
    "X_val": "BCENeuronClassifier().fit(GOOD, Y, X_val=X, y_val=Y)",
    "predict": "BCENeuronClassifier().fit(GOOD, Y).predict(X)",
    "l1_min_c": "l1_min_c(X, Y)",
}
SCRIPT = """
import json, os, sys
import numpy as np, scipy.sparse as sp
from sklearn_bce import BCENeuronClassifier, l1_min_c

def outcome(flaw, call):
    rng = np.random.default_rng(0)
    X = sp.csr_array(rng.normal(size=(40, 3)) * (rng.random((40, 3)) < 0.5))
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    names = {"X": X, "GOOD": X.copy(), "Y": np.arange(40) % 2}
    exec(flaw, globals(), names)
    try:
        exec(call, globals(), names)
    except ValueError:
        return 0
    return 1

flaws, calls, ends = *json.load(sys.stdin), {}
for flaw in flaws:
    for call in calls:
        child = os.fork()
        if not child:
            os._exit(outcome(flaws[flaw], calls[call]))
        ends[flaw + call] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def ends_of_malformed_csr():
    """Return how each call ended; a process of its own makes the calls, and may be killed."""
    if not hasattr(os, "fork"):
        pytest.skip("each would take a start of Python")
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    asked = json.dumps([FLAWS, CALLS])
    return json.loads(
        subprocess.run(command, input=asked, capture_output=True, text=True, check=True).stdout
    )


@pytest.mark.parametrize("call", CALLS)
def test_malformed_csr_is_a_value_error_and_ends_no_process(call, ends_of_malformed_csr):
    """SciPy does not check the arrays of a matrix: its constructor accepts these as well."""
    ends = {flaw: ends_of_malformed_csr[flaw + call] for flaw in FLAWS}
    # 0 is the expected error, 1 is none or another one; other codes are signals that killed it.
    assert ends == dict.fromkeys(FLAWS, 0)


@pytest.mark.parametrize("flaw", FLAWS.values(), ids=FLAWS)
def test_error_of_malformed_csr_names_the_argument(flaw):
    """The matrix is refused before its elements are read, so that the process is not killed."""
    matrix = sp.csr_array(np.ones((40, 3)))
    exec(flaw, {"X": matrix})
    with pytest.raises(ValueError, match="X_val is not a well-formed sparse matrix: "):
        checked_array(matrix, "X_val")


@pytest.mark.parametrize(("part", "kind", "size"), [("row", "row", 40), ("col", "column", 3)])
@pytest.mark.parametrize("index", [-1, 40])
def test_coo_index_out_of_range_is_refused(part, kind, size, index):
    matrix = sp.coo_array(np.ones((40, 3)))
    getattr(matrix, part)[5] = index
    message = rf"X is not a well-formed sparse matrix: a {kind} index is not in \[0, {size}\)"
    raises_and_changes_nothing(
        BCENeuronClassifier(), ValueError, message, "fit", matrix, np.arange(40) % 2
    )


# --- odd, but as they should be ---

SOLVERS = {
    "newton": {"solver": "newton", "tol": 1e-14},
    "gd": {"solver": "gd", "tol": 0, "max_iter": 3},
    "sgd": {"solver": "sgd", "tol": 0, "max_iter": 3, "random_state": 0},
}
LABELS = {"X": X, "y": Y}


every_solver = pytest.mark.parametrize("solver", SOLVERS)


@pytest.fixture
def model(solver):
    return BCENeuronClassifier(**SOLVERS[solver])


def assert_same_fit(model, data, reference=LABELS):
    """Fit to both arguments and expect equal estimators."""
    expected = BCENeuronClassifier(**model.get_params()).fit(**reference)
    model.fit(**data)
    assert_allclose(model.coef_, expected.coef_, rtol=1e-9)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-9)
    assert_array_equal(model.classes_, expected.classes_)
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-9)


ZEROED = np.where(np.abs(X) < 0.5, 0.0, X)


def csr_of_all(values, order=(0, 1, 2), times=1):
    """Return CSR that stores every element, zeros too, in a column order, several times."""
    data = np.repeat(values[:, order].ravel(), times) / times
    indices = np.repeat(np.tile(order, len(values)), times)
    indptr = np.arange(len(values) + 1) * times * values.shape[1]
    return sp.csr_array((data, indices, indptr), shape=values.shape)


def strided(matrix):
    """Return the matrix with arrays that are strided views."""
    parts = (np.repeat(part, 2)[::2] for part in (matrix.data, matrix.indices, matrix.indptr))
    return sp.csr_array(tuple(parts), shape=matrix.shape)


def with_spare_room(matrix):
    """Return the matrix with spare room at the end of its arrays, as SciPy may leave it."""
    matrix.data = np.append(matrix.data, 9.0)
    matrix.indices = np.append(matrix.indices, matrix.indices[:1])
    return matrix


def with_two_types_of_indices(matrix):
    matrix.indices, matrix.indptr = matrix.indices.astype(np.int32), matrix.indptr.astype(np.int64)
    return matrix


ODD_SPARSE = {
    "explicit zeros": lambda: csr_of_all(ZEROED),
    "unsorted": lambda: csr_of_all(ZEROED, order=(2, 0, 1)),
    "duplicates": lambda: csr_of_all(ZEROED, times=2),
    "unsorted duplicates": lambda: csr_of_all(ZEROED, order=(1, 2, 0), times=4),
    "strided parts": lambda: strided(sp.csr_array(ZEROED)),
    "spare room": lambda: with_spare_room(sp.csr_array(ZEROED)),
    "two types of indices": lambda: with_two_types_of_indices(sp.csr_array(ZEROED)),
    "negative strides": lambda: np.flip(np.flip(ZEROED).copy()),
}


@each_value(
    pytest.mark.parametrize("make", ODD_SPARSE.values(), ids=ODD_SPARSE),
    every_solver,
)
def test_csr_in_odd_storage_gives_the_same_fit_and_predictions(model, make):
    dense = {"X": ZEROED, "y": Y}
    assert_same_fit(model, {"X": make(), "y": Y}, dense)
    z = model.decision_function(ZEROED)
    assert_allclose(model.decision_function(make()), z, rtol=1e-12, atol=1e-15)
    assert model.score(make(), Y) == model.score(ZEROED, Y)
    model.fit(**dense, X_val=make(), y_val=Y)
    odd = model.validation_loss_curve_
    model.fit(**dense, X_val=ZEROED, y_val=Y)
    assert_allclose(odd, model.validation_loss_curve_, rtol=1e-12)


@pytest.mark.parametrize("make", ODD_SPARSE.values(), ids=ODD_SPARSE)
def test_csr_in_odd_storage_gives_the_same_l1_min_c_and_stream(make):
    assert_allclose(l1_min_c(make(), Y), l1_min_c(ZEROED, Y), rtol=1e-12)
    streams = [
        BCENeuronClassifier(random_state=0).partial_fit(M, Y, [0, 1]) for M in (make(), ZEROED)
    ]
    assert_allclose(streams[0].coef_, streams[1].coef_, rtol=1e-12)


COLUMNS = {"ndarray": Y[:, np.newaxis], "frame": pd.DataFrame(Y), "list": Y[:, np.newaxis].tolist()}


@each_value(
    pytest.mark.parametrize("y", COLUMNS.values(), ids=COLUMNS),
    every_solver,
)
def test_column_vector_of_labels_warns_and_gives_the_same_fit(model, y):
    with pytest.warns(DataConversionWarning, match="column-vector y"):
        model.fit(X, y)
    assert_array_equal(model.coef_, BCENeuronClassifier(**model.get_params()).fit(X, Y).coef_)


def test_column_vector_of_labels_is_taken_by_partial_fit_l1_min_c_and_as_y_val():
    column, stream = Y[:, np.newaxis], BCENeuronClassifier(shuffle=False)
    with pytest.warns(DataConversionWarning):
        coef = stream.partial_fit(X, column, [0, 1]).coef_
    assert_array_equal(coef, BCENeuronClassifier(shuffle=False).partial_fit(X, Y, [0, 1]).coef_)
    with pytest.warns(DataConversionWarning):
        assert l1_min_c(X, column) == l1_min_c(X, Y)
    with pytest.warns(DataConversionWarning):
        held_out = BCENeuronClassifier().fit(X, Y, X_val=X, y_val=column).validation_loss_curve_
    assert held_out == BCENeuronClassifier().fit(X, Y, X_val=X, y_val=Y).validation_loss_curve_


WEIGHT = RNG.integers(1, 4, N_SAMPLES).astype(float)
ODD_DATA = {
    "masked, nothing missing": {
        "X": np.ma.array(X, mask=False),
        "y": np.ma.array(Y, mask=False),
        "sample_weight": np.ma.array(WEIGHT, mask=False),
    },
    "masked without a mask": {"X": np.ma.array(X), "y": np.ma.array(Y)},
    "nullable, nothing missing": {
        "X": FRAME.astype("Float64"),
        "y": pd.Series(Y, dtype="Int64"),
        "sample_weight": pd.Series(WEIGHT, dtype="Int64"),
    },
    "nullable Int8": {"X": FRAME, "y": pd.Series(Y, dtype="Int8")},
    "negative strides": {
        "X": np.flip(np.flip(X).copy()),
        "y": Y[::-1].copy()[::-1],
        "sample_weight": WEIGHT[::-1].copy()[::-1],
    },
    "object numbers": {"X": X.astype(object), "sample_weight": WEIGHT.astype(object)},
    "objects of Fraction": {"X": np.vectorize(Fraction, otypes=[object])(X)},
    "other byte order": {"X": X.astype(">f8"), "y": Y.astype(">i8")},
}


@each_value(
    pytest.mark.parametrize("odd", ODD_DATA.values(), ids=ODD_DATA),
    every_solver,
)
def test_masked_nullable_and_odd_arrays_give_the_same_fit(model, odd):
    weight = {"sample_weight": WEIGHT} if "sample_weight" in odd else {}
    assert_same_fit(model, {**LABELS, **odd}, {**LABELS, **weight})
    z = model.decision_function(odd.get("X", X))
    assert_allclose(z, X @ model.coef_[0] + model.intercept_, rtol=1e-12)


@each_value(
    pytest.mark.parametrize("dtype", [np.int64, np.uint64]),
    every_solver,
)
def test_integers_beyond_2_to_53_give_the_fit_of_their_floats(model, dtype):
    integers = np.iinfo(dtype).max // np.arange(1, 91, dtype=dtype).reshape(X.shape)
    data = {"X": integers, "y": Y}
    assert_same_fit(
        model.set_params(max_iter=3, tol=0), data, {"X": integers.astype(float), "y": Y}
    )


@every_solver
def test_scalar_sample_weight_is_the_weight_of_every_sample(model):
    assert_same_fit(model, {**LABELS, "sample_weight": 2}, {**LABELS, "sample_weight": 2 * ONES})


@pytest.mark.parametrize(
    ("name", "odd", "plain"),
    [
        ("C", np.float32(0.5), 0.5),
        ("C", np.int64(2), 2.0),
        ("solver", np.str_("gd"), "gd"),
        ("max_iter", np.int8(2), 2),
        ("max_iter", 10**30, 100),
        ("fit_intercept", np.False_, False),
        ("class_weight", {}, None),
        ("class_weight", {np.int64(0): 2, np.int64(1): np.float32(1)}, {0: 2.0, 1: 1.0}),
        ("random_state", np.int64(3), 3),
    ],
)
def test_numpy_scalars_are_taken_as_parameters(name, odd, plain):
    odd, plain = (BCENeuronClassifier(**{"random_state": 0, name: v}) for v in (odd, plain))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        assert_array_equal(odd.fit(X, Y).coef_, plain.fit(X, Y).coef_)


def test_batches_may_be_larger_than_any_integer_type():
    sgd = {"solver": "sgd", "max_iter": 3, "tol": 0, "random_state": 0}
    odd, plain = (BCENeuronClassifier(batch_size=n, **sgd).fit(X, Y) for n in (10**30, N_SAMPLES))
    assert_array_equal(odd.coef_, plain.coef_)


# --- what the fuzzer has found: see fuzz_kernels.py ---


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_more_constant_columns_than_samples_get_no_weight(value, fit_intercept):
    model = BCENeuronClassifier(fit_intercept=fit_intercept)
    model.fit(np.full((5, 8), value), [1, 1, 0, 1, 1])
    if fit_intercept:
        assert_allclose(model.coef_, 0.0, atol=1e-12)
        assert_allclose(model.intercept_, np.log(4.0), rtol=1e-6)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_weights_that_overflow_float32_are_an_error(method):
    X32 = X.astype(np.float32)
    model = BCENeuronClassifier(C=np.inf, solver="sgd", learning_rate=0.1, tol=0, random_state=0)
    model.partial_fit(X32, Y, classes=[0, 1]).set_params(learning_rate=1e60)
    raises_and_changes_nothing(model, ValueError, r"overflowed float32", method, X32, Y)


@pytest.mark.parametrize(
    ("parameters", "what"),
    [
        ({"learning_rate": 1e300, "solver": "sgd"}, "loss"),
        ({"learning_rate": 1e60, "solver": "sgd", "C": np.inf}, "weights"),
        ({"learning_rate": 1e60, "solver": "gd"}, "weights"),
    ],
)
def test_error_says_whether_loss_or_weights_overflow_float32(parameters, what):
    model = BCENeuronClassifier(**parameters, tol=0, max_iter=1)
    X32, message = X.astype(np.float32), f"The {what} overflowed"
    raises_and_changes_nothing(model, ValueError, message, "fit", X32, Y)
    if what == "weights":
        assert np.isfinite(model.fit(X, Y).coef_).all()  # as double precision they are numbers


@every_solver
def test_start_whose_outputs_overflow_is_an_error(model):
    """The message names the start, not the learning rate."""
    message = r"objective overflowed in iteration \d+ of solver=.* the start or 1/C = 1 are"
    start = np.array([1e308, -1e308, 1e308])
    raises_and_changes_nothing(model, ValueError, message, "fit", X, Y, coef_init=start)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize("element", [np.nan, np.inf])
def test_non_finite_values_are_refused_even_with_assume_finite(element, method):
    bad, arguments = with_entry(X, element, float), {"classes": [0, 1]} if method != "fit" else {}
    message = "X contains NaN or infinity"
    with config_context(assume_finite=True):
        raises_and_changes_nothing(
            BCENeuronClassifier(), ValueError, message, method, bad, Y, **arguments
        )
