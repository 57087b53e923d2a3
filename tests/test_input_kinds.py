"""Equal numbers in any container give the same fit, and `fit` does not change its arguments."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from covering import each_value
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from small_data import naming

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._solvers.newton import in_cache

N_SAMPLES, N_FEATURES = 60, 4
RNG = np.random.default_rng(0)
# Quarters: exact in every float type that is wide enough; half of the entries are 0.
REALS = RNG.integers(-20, 21, (N_SAMPLES, N_FEATURES)) / 4.0
REALS[RNG.uniform(size=REALS.shape) < 0.5] = 0.0
COUNTS = RNG.poisson(1.0, REALS.shape).astype(np.float64)
BITS = (REALS > 0).astype(np.float64)
CODES = (REALS[:, 0] + COUNTS[:, 1] - 1 + RNG.normal(size=N_SAMPLES) > 0).astype(int)
WEIGHT = RNG.integers(0, 4, N_SAMPLES).astype(np.float64)

SOLVERS = {
    "newton": {"solver": "newton", "tol": 1e-15},
    "gd": {"solver": "gd", "tol": 0, "max_iter": 20},
    "sgd": {"solver": "sgd", "tol": 0, "max_iter": 3, "random_state": 0},
    "sgd-batches": {
        "solver": "sgd",
        "tol": 0,
        "max_iter": 3,
        "random_state": 0,
        "batch_size": 7,
    },
}


every_solver = pytest.mark.parametrize("solver", SOLVERS)


@pytest.fixture
def model(solver):
    return BCENeuronClassifier(**SOLVERS[solver])


def assert_same_fit(model, data, reference_data, rtol=1e-10):
    """Fit to both arguments and expect equal estimators; return the first one."""
    reference = copy.deepcopy(model).fit(**reference_data)
    model.fit(**data)
    scale = np.abs(reference.coef_).max()
    assert_allclose(model.coef_, reference.coef_, rtol=rtol, atol=rtol * scale)
    assert_allclose(model.intercept_, reference.intercept_, rtol=rtol, atol=rtol * scale)
    assert_allclose(model.loss_curve_, reference.loss_curve_, rtol=rtol)
    assert model.n_iter_[0] == reference.n_iter_[0]
    z = reference.decision_function(reference_data["X"])
    assert_allclose(model.decision_function(data["X"]), z, rtol=rtol, atol=rtol * np.abs(z).max())
    return model


# --- X, dense ---


def every_second(X):
    """Return X as a view of every second row and column of an array of other numbers."""
    holder = np.full((2 * X.shape[0], 2 * X.shape[1]), 9.0)
    holder[::2, ::2] = X
    return holder[::2, ::2]


def reversed_view(X):
    """Return X as a view with negative strides."""
    return X[::-1, ::-1].copy()[::-1, ::-1]


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def mixed_frame(X):
    """Return a data frame with columns of several types, given an X of whole numbers."""
    types = ["int8", "float32", "float64", "uint16"]
    return pd.DataFrame(X, columns=list("abcd")).astype(dict(zip("abcd", types, strict=True)))


DENSE = {
    "C order": (REALS, np.ascontiguousarray),
    "F order": (REALS, np.asfortranarray),
    "strided": (REALS, every_second),
    "negative strides": (REALS, reversed_view),
    "read-only": (REALS, read_only),
    "read-only F order": (REALS, lambda X: read_only(X.T).T),
    "nested lists": (REALS, np.ndarray.tolist),
    "tuples": (REALS, lambda X: tuple(map(tuple, X))),
    "objects": (REALS, lambda X: X.astype(object)),
    "float16": (REALS, lambda X: X.astype(np.float16)),
    "longdouble": (REALS, lambda X: X.astype(np.longdouble)),
    "other byte order": (REALS, lambda X: X.astype(X.dtype.newbyteorder())),
    "int8": (COUNTS, lambda X: X.astype(np.int8)),
    "uint16": (COUNTS, lambda X: X.astype(np.uint16)),
    "int64": (COUNTS, lambda X: X.astype(np.int64)),
    "lists of int": (COUNTS, lambda X: X.astype(int).tolist()),
    "bool": (BITS, lambda X: X.astype(bool)),
    "lists of bool": (BITS, lambda X: X.astype(bool).tolist()),
    "pandas": (REALS, pd.DataFrame),
    "pandas of several types": (COUNTS, mixed_frame),
    "pandas Int64": (COUNTS, lambda X: pd.DataFrame(X).astype("Int64")),
    "pandas Float64": (REALS, lambda X: pd.DataFrame(X).astype("Float64")),
    "pandas boolean": (BITS, lambda X: pd.DataFrame(X).astype("boolean")),
    "polars": (REALS, lambda X: pl.DataFrame(X, schema=list("abcd"))),
    "polars of several types": (COUNTS, lambda X: pl.from_pandas(mixed_frame(X))),
    "polars bool": (BITS, lambda X: pl.DataFrame(X.astype(bool), schema=list("abcd"))),
}


@each_value(
    pytest.mark.parametrize(("X", "convert"), DENSE.values(), ids=DENSE),
    every_solver,
)
def test_dense_containers_give_the_fit_of_an_array(model, X, convert):
    fitted = assert_same_fit(model, {"X": convert(X), "y": CODES}, {"X": X, "y": CODES})
    assert fitted.coef_.dtype == np.float64


@every_solver
def test_memory_map_gives_the_fit_of_an_array(model, tmp_path):
    np.save(tmp_path / "X.npy", REALS)
    X = np.load(tmp_path / "X.npy", mmap_mode="r")
    assert isinstance(X, np.memmap)
    assert_same_fit(model, {"X": X, "y": CODES}, {"X": REALS, "y": CODES})


@each_value(
    pytest.mark.parametrize(
        "convert", [np.asarray, np.asfortranarray, sp.csr_array, sp.csc_matrix]
    ),
    every_solver,
)
def test_float32_rows_give_float32_weights_near_those_of_float64(model, convert):
    X = convert(REALS.astype(np.float32))
    # Products are taken in float32 and the result is rounded to it, each to 6e-8.
    reference = {"X": REALS, "y": CODES}
    fitted = assert_same_fit(model, {"X": X, "y": CODES}, reference, rtol=1e-6)
    assert fitted.coef_.dtype == fitted.intercept_.dtype == np.float32
    assert fitted.decision_function(X).dtype == fitted.predict_proba(X).dtype == np.float32


# --- X, sparse ---


def with_index_type(X, dtype):
    if X.format == "coo":
        X.row, X.col = X.row.astype(dtype), X.col.astype(dtype)  # stored before SciPy 1.13
        X.coords = (X.row.astype(dtype), X.col.astype(dtype))  # stored since
    else:
        X.indices, X.indptr = X.indices.astype(dtype), X.indptr.astype(dtype)
    return X


def index_arrays(X):
    return (X.row, X.col) if X.format == "coo" else (X.indices, X.indptr)


def explicit_zeros(X):
    """Return CSR that stores every zero."""
    n_samples, n_features = X.shape
    indices = np.tile(np.arange(n_features), n_samples)
    indptr = np.arange(0, X.size + 1, n_features)
    return sp.csr_array((X.ravel(), indices, indptr), shape=X.shape)


def unsorted(X):
    """Return CSR whose rows store their columns last to first."""
    whole = explicit_zeros(X[:, ::-1].copy())
    return sp.csr_array((whole.data, N_FEATURES - 1 - whole.indices, whole.indptr), shape=X.shape)


def duplicated(X, kind=sp.csr_array):
    """Return CSR that stores each element x as two entries 3 and x − 3, unsorted."""
    rows, columns = np.indices(X.shape)
    data = np.concatenate([np.full(X.size, 3.0), X.ravel() - 3.0])
    rows, columns = np.tile(rows.ravel(), 2), np.tile(columns.ravel(), 2)
    if kind in (sp.coo_array, sp.coo_matrix):
        return kind((data, (rows, columns)), shape=X.shape)
    major, minor = (rows, columns) if kind in (sp.csr_array, sp.csr_matrix) else (columns, rows)
    order = np.argsort(major, kind="stable")
    indptr = np.append(0, np.cumsum(np.bincount(major)))
    return kind((data[order], minor[order], indptr), shape=X.shape)


def read_only_parts(X):
    X = unsorted(X)
    for part in (X.data, X.indices, X.indptr):
        part.flags.writeable = False
    return X


KINDS = [
    getattr(sp, f"{form}_{kind}") for form in ("csr", "csc", "coo") for kind in ("array", "matrix")
]
SPARSE = {
    f"{kind.__name__} {np.dtype(index).name}": (
        REALS,
        lambda X, kind=kind, index=index: with_index_type(kind(X), index),
    )
    for kind in KINDS
    for index in (np.int32, np.int64)
} | {
    **{f"duplicated {k.__name__}": (REALS, lambda X, k=k: duplicated(X, k)) for k in KINDS},
    "explicit zeros": (REALS, explicit_zeros),
    "unsorted": (REALS, unsorted),
    "unsorted int64": (REALS, lambda X: with_index_type(unsorted(X), np.int64)),
    "read-only": (REALS, read_only_parts),
    "lil": (REALS, sp.lil_array),
    "dok": (REALS, sp.dok_array),
    "bsr": (REALS, sp.bsr_array),
    "int": (COUNTS, lambda X: sp.csr_array(X.astype(int))),
    "bool": (BITS, lambda X: sp.csr_array(X.astype(bool))),
    "pandas sparse": (REALS, lambda X: pd.DataFrame(X).astype(pd.SparseDtype(float, 0.0))),
}


@each_value(
    pytest.mark.parametrize(("X", "convert"), SPARSE.values(), ids=SPARSE),
    every_solver,
)
def test_sparse_formats_give_the_fit_of_a_dense_array(model, X, convert, monkeypatch):
    monkeypatch.setattr(in_cache, "CACHE_ELEMENTS", 0)  # of dense arrays only
    given = convert(X)
    fitted = assert_same_fit(model, {"X": given, "y": CODES}, {"X": X, "y": CODES})
    assert isinstance(fitted.coef_, np.ndarray)
    assert_array_equal(fitted.predict(given), fitted.predict(X))


@each_value(
    pytest.mark.parametrize("dtype", [np.int32, np.int64]),
    pytest.mark.parametrize("kind", KINDS),
)
def test_index_types_of_the_sparse_inputs_are_those_asked_for(kind, dtype):
    X = with_index_type(kind(REALS), dtype)
    assert {index.dtype for index in index_arrays(X)} == {np.dtype(dtype)}


# --- y ---

NAMES = np.array(["no", "yes"])
LABELS = {
    "ints": np.array([3, 7]),
    "floats": np.array([0.0, 1.0]),
    "minus one and one": np.array([-1, 1]),
    "bool": np.array([False, True]),
    "strings": NAMES,
    "objects": NAMES.astype(object),
}
CONTAINERS = {
    "ndarray": np.asarray,
    "list": np.ndarray.tolist,
    "strided": lambda y: np.repeat(y, 2)[::2],
    "read-only": read_only,
    "pandas": pd.Series,
    "pandas categorical": lambda y: pd.Series(y, dtype="category"),
    "pandas shuffled index": lambda y: pd.Series(y, index=np.arange(len(y))[::-1]),
    "polars": lambda y: pl.Series(y.tolist()),
}


@each_value(
    pytest.mark.parametrize("container", CONTAINERS.values(), ids=CONTAINERS),
    every_solver,
)
def test_labels_of_any_type_in_any_container_give_the_same_fit(model, container):
    for name, labels in LABELS.items():
        with naming(name):
            y = labels[CODES]
            data, reference = {"X": REALS, "y": container(y)}, {"X": REALS, "y": CODES}
            fitted = assert_same_fit(model, data, reference)
            assert_array_equal(fitted.classes_, labels)
            logistic = LogisticRegression().fit(REALS, container(y))
            assert fitted.classes_.dtype == logistic.classes_.dtype
            predicted = fitted.predict(REALS)
            assert_array_equal(predicted, labels[(fitted.decision_function(REALS) > 0).astype(int)])
            assert fitted.score(REALS, container(y)) == np.mean(predicted == y) > 0.7


@each_value(
    pytest.mark.parametrize(
        ("y", "classes"),
        [
            (pd.Series(CODES, dtype="Int64"), [0, 1]),
            (pd.Series(CODES, dtype="boolean"), [False, True]),
            (pd.Series(NAMES[CODES], dtype="string"), NAMES),
            (pl.Series(NAMES[CODES].tolist(), dtype=pl.Categorical), NAMES),
            (pl.Series(CODES, dtype=pl.Int8), [0, 1]),
        ],
        ids=[
            "pandas Int64",
            "pandas boolean",
            "pandas string",
            "polars Categorical",
            "polars Int8",
        ],
    ),
    every_solver,
)
def test_labels_in_data_frame_types_give_the_same_fit(model, y, classes):
    fitted = assert_same_fit(model, {"X": REALS, "y": y}, {"X": REALS, "y": CODES})
    assert_array_equal(fitted.classes_, classes)


# --- sample_weight, and the start ---


@each_value(
    pytest.mark.parametrize(
        "convert",
        [np.ndarray.tolist, pd.Series, pl.Series, read_only, every_second]
        + [lambda weight, kind=kind: weight.astype(kind) for kind in (int, np.float32, object)],
        ids=["list", "pandas", "polars", "read-only", "strided", "int", "float32", "objects"],
    ),
    every_solver,
)
def test_sample_weight_containers_give_the_same_fit(model, convert):
    if convert is every_second:
        weight = every_second(WEIGHT[:, np.newaxis])[:, 0]
    else:
        weight = convert(WEIGHT)
    data = {"X": REALS, "y": CODES}
    assert_same_fit(model, {**data, "sample_weight": weight}, {**data, "sample_weight": WEIGHT})


COEF = np.array([0.25, -0.5, 0.0, 1.0])


@each_value(
    pytest.mark.parametrize(
        "start",
        [
            {"coef_init": kind(COEF)}
            for kind in (list, np.atleast_2d, pd.Series, pl.Series, np.float32)
        ]
        + [{"intercept_init": kind(0.5)} for kind in (float, np.float32, np.array)]
        + [{"intercept_init": [0.5]}, {"intercept_init": [[0.5]]}],
    ),
    every_solver,
)
def test_start_containers_give_the_same_fit(model, start):
    reference = {"coef_init": COEF, "intercept_init": np.array([0.5])}
    data = {"X": REALS, "y": CODES, **reference}
    model.set_params(max_iter=2, tol=0)
    assert_same_fit(model, {**data, **start}, data)


# --- nothing is changed ---


def parts(X):
    """Return the arrays of X: its values and, if X is sparse, the index arrays."""
    if not sp.issparse(X):
        return [np.asarray(X)]
    return [X.data, *index_arrays(X)]


UNCHANGED = {
    name: (DENSE | SPARSE)[name]
    for name in ["C order", "F order", "strided", "pandas", "polars", "explicit zeros", "unsorted"]
    + [f"{kind.__name__} int64" for kind in KINDS]
    + [f"duplicated {kind.__name__}" for kind in KINDS]
}


@each_value(
    pytest.mark.parametrize(("X", "convert"), UNCHANGED.values(), ids=UNCHANGED),
    every_solver,
)
def test_fit_changes_no_array_that_it_is_given(model, X, convert):
    X, y, weight = convert(X), CODES.copy(), WEIGHT.copy()
    coef, intercept = np.arange(4.0), np.ones(1)
    before = copy.deepcopy((parts(X), y, weight, coef, intercept))
    model.set_params(class_weight="balanced")
    model.fit(X, y, sample_weight=weight, coef_init=coef, intercept_init=intercept)
    model.predict_proba(X)
    after = (parts(X), y, weight, coef, intercept)
    for was, now in zip([*before[0], *before[1:]], [*after[0], *after[1:]], strict=True):
        assert_array_equal(now, was)
        assert now.dtype == was.dtype
