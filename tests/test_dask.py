"""The Dask estimator: the optimum of the fit to arrays, with every kind of scheduler."""

import os
import pickle
import signal

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from small_data import assert_same_optimum, in_memory, minimum, naming, random_data

import sklearn_bce
from sklearn_bce import BCENeuronClassifier

dask = pytest.importorskip("dask")
da = pytest.importorskip("dask.array")
dd = pytest.importorskip("dask.dataframe")
distributed = pytest.importorskip("distributed")
pytest.importorskip("dask_ml.model_selection")

import dask_ml.model_selection  # noqa: E402
from dask.base import is_dask_collection  # noqa: E402

from sklearn_bce._estimator import dask_blocks  # noqa: E402
from sklearn_bce._estimator.dask_blocks import Blocks  # noqa: E402
from sklearn_bce._estimator.state import public_fitted_state  # noqa: E402
from sklearn_bce._objective.summary import ROWS_PER_COORDINATE  # noqa: E402
from sklearn_bce.dask import DaskBCENeuronClassifier  # noqa: E402

N, P = 240, 4
X, Y, WEIGHT = random_data(N, P)
X += [0, 5, 0, -30]  # off-centre
LABELS = np.where(Y == 1, "yes", "no")
NAMES = list("abcd")
ROWS = {"one block": N, "rows": 50, "uneven": (1, 200, 39)}
METHODS = ["predict", "decision_function", "predict_proba", "predict_log_proba"]


@pytest.fixture(autouse=True)
def in_this_process():
    """Compute in this process without threads, unless a test chooses another scheduler."""
    with dask.config.set(scheduler="synchronous"):
        yield


def collections(rows=50, columns=P, arrays=(X, Y, WEIGHT)):
    X, *others = arrays
    x = da.from_array(X, chunks=(rows, columns))
    return x, *(da.from_array(other, chunks=(rows,)) for other in others)


def sparse(rows=50, kind=sp.csr_array):
    return collections(rows)[0].map_blocks(kind, meta=kind((0, P)))


def estimator(**parameters):
    return DaskBCENeuronClassifier(**{"tol": 1e-16, "random_state": 0} | parameters)


# --- the optimum ---


@every_pair(
    pytest.mark.parametrize("columns", [P, 3]),
    pytest.mark.parametrize("rows", ROWS),
    pytest.mark.parametrize("kind", [None, sp.csr_array, sp.csr_matrix]),
)
def test_blocks_of_any_shape_reach_the_optimum_of_one_array(kind, rows, columns):
    x, y, weight = collections(ROWS[rows], columns)
    if kind is not None:
        x = x.map_blocks(kind, meta=kind((0, P)))
    assert_same_optimum(estimator().fit(x, y, weight), in_memory(X, Y, WEIGHT))


@pytest.mark.parametrize("kind", [None, sp.csr_array])
def test_blocks_of_one_row_reach_the_optimum_of_one_array(kind):
    arrays = X[:40], Y[:40], WEIGHT[:40]
    x, y, weight = collections(1, arrays=arrays)
    if kind is not None:
        x = x.map_blocks(kind, meta=kind((0, P)))
    assert_same_optimum(estimator().fit(x, y, weight), in_memory(*arrays))


@each_value(
    pytest.mark.parametrize(
        "parameters",
        [
            {"C": np.inf},
            {"C": 1e-3},
            {"C": 0.05, "l1_ratio": 1},
            {"C": 0.3, "l1_ratio": 0.5},
            {"fit_intercept": False},
            {"class_weight": {0: 1, 1: 3.5}},
            {"class_weight": "balanced"},
            {"solver": "gd", "tol": 0, "max_iter": 5, "learning_rate": 1e-3},
        ],
        ids=str,
    ),
    pytest.mark.parametrize("weighted", [False, True]),
)
def test_blocks_reach_the_optimum_of_one_array_for_any_parameters(parameters, weighted):
    n = 2 + weighted
    expected = in_memory(*(X, Y, WEIGHT)[:n], **parameters)
    assert_same_optimum(estimator(**parameters).fit(*collections()[:n]), expected)


@pytest.mark.parametrize("C", [0.01, np.inf])
def test_blocks_reach_the_minimum_of_textbook_newton(C):
    model = estimator(C=C).fit(*collections())
    expected = minimum((X, Y, WEIGHT), C)
    assert_allclose(np.append(model.coef_, model.intercept_), expected, rtol=1e-8)


@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_soft_targets_in_blocks_reach_the_optimum_and_score_of_one_array(class_weight):
    soft = 0.8 * Y + 0.2 * np.random.default_rng(0).random(N)
    parameters = {"soft_targets": True, "class_weight": class_weight}
    x, y, weight = collections(arrays=(X, soft, WEIGHT))
    model = estimator(**parameters).fit(x, y, weight)
    assert_same_optimum(model, in_memory(X, soft, WEIGHT, **parameters))
    local = model.to_local().score(X, soft, WEIGHT)
    assert model.score(x, y, weight) == pytest.approx(local, rel=1e-12)


@every_pair(
    pytest.mark.parametrize("empty", [False, True]),
    pytest.mark.parametrize("kind", [None, sp.csr_array]),
    pytest.mark.parametrize("columns", [P, 3]),
)
def test_blocks_of_unknown_sizes_reach_the_optimum_of_one_array(columns, kind, empty):
    """If ``empty``, one of the blocks has no rows."""
    x, y, weight = collections(columns=columns)
    order = np.argsort(X[:, 0]) if empty else np.arange(N)
    x, y, weight = collections(columns=columns, arrays=(X[order], Y[order], WEIGHT[order]))
    kept, inside = x[:, 0] > -0.2, X[order, 0] > -0.2
    assert (kept[:50].compute().any()) == (not empty)
    x = x[kept]
    assert np.isnan(x.chunks[0]).all()
    if kind is not None:
        x = x.map_blocks(kind, meta=kind((0, P)))
    model = estimator().fit(x, y[kept], weight[kept])
    assert_same_optimum(model, in_memory(X[order][inside], Y[order][inside], WEIGHT[order][inside]))


@pytest.mark.parametrize("parts", [1, 5])
def test_data_frames_give_the_fit_and_predictions_of_pandas(parts):
    frame = pd.DataFrame(X, columns=NAMES).assign(label=LABELS, weight=WEIGHT)
    frame = frame.astype({"label": object})
    table = dd.from_pandas(frame, npartitions=parts)
    model = estimator().fit(table[NAMES], table["label"], table["weight"])
    expected = in_memory(frame[NAMES], LABELS, WEIGHT)
    assert_same_optimum(model, expected)
    assert_array_equal(model.feature_names_in_, NAMES)
    for method in METHODS:
        lazy = getattr(model, method)(table[NAMES])
        assert_array_equal(lazy.compute(), getattr(model.to_local(), method)(frame[NAMES]))
    assert model.score(table[NAMES], table["label"]) == expected.score(frame[NAMES], LABELS)


def test_dask_fit_sets_the_attributes_of_fit():
    def public(model):
        return {name: type(value) for name, value in vars(model).items() if name.endswith("_")}

    assert public(estimator().fit(*collections())) == public(in_memory(X, Y, WEIGHT))


def test_fit_of_arrays_removes_feature_names():
    table = dd.from_pandas(pd.DataFrame(X, columns=NAMES).assign(y=Y), npartitions=2)
    model = estimator().fit(table[NAMES], table["y"])
    model.fit(*collections())
    assert not hasattr(model, "feature_names_in_")


def test_targets_and_weights_may_be_in_memory():
    x = collections()[0]
    assert_same_optimum(estimator().fit(x, LABELS, WEIGHT), in_memory(X, LABELS, WEIGHT))
    assert_same_optimum(estimator().fit(x, list(Y), list(WEIGHT)), in_memory(X, Y, WEIGHT))


def test_targets_may_have_other_blocks_of_known_sizes():
    x, y, weight = collections()
    assert_same_optimum(
        estimator().fit(x, y.rechunk(33), weight.rechunk(N)), in_memory(X, Y, WEIGHT)
    )


def unsorted_and_repeated(block):
    """Return CSR in which each value is stored as two halves, with indices in no order."""
    row, column = np.nonzero(block)
    order = np.random.default_rng(0).permutation(2 * len(row))
    order = order[np.argsort(np.tile(row, 2)[order], kind="stable")]
    values = np.tile(block[row, column] / 2, 2)[order]
    starts = np.append(0, np.cumsum(2 * np.bincount(row, minlength=len(block))))
    return sp.csr_array((values, np.tile(column, 2)[order], starts), shape=block.shape)


def test_csr_blocks_that_are_not_canonical_give_the_same_steps():
    """Duplicates are added up before the curvature, so that the steps are the same."""
    x, y, weight = collections()
    messy = x.map_blocks(unsorted_and_repeated, meta=sp.csr_array((0, P)))
    assert not messy.blocks[0].compute().has_canonical_format
    assert_array_equal(messy.blocks[0].compute().toarray(), X[:50])
    model, expected = estimator().fit(messy, y, weight), estimator().fit(sparse(), y, weight)
    assert_same_optimum(model, in_memory(X, Y, WEIGHT))
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-12)


def test_float32_blocks_give_float32_weights():
    model = estimator(tol=1e-9).fit(*collections(arrays=(X.astype(np.float32), Y, WEIGHT)))
    expected = in_memory(X.astype(np.float32), Y, WEIGHT)
    assert model.coef_.dtype == np.float32
    assert_allclose(model.coef_, expected.coef_, rtol=1e-4)


def test_warm_start_on_dask_takes_fewer_iterations():
    x, y, weight = collections()
    model = estimator(warm_start=True).fit(x, y, weight)
    n_iter = model.n_iter_[0]
    model.fit(x, y, weight)
    assert model.n_iter_[0] < n_iter
    assert_same_optimum(model.set_params(C=0.05).fit(x, y, weight), in_memory(X, Y, WEIGHT, C=0.05))


# --- schedulers ---


@pytest.fixture(scope="module")
def cluster():
    """Return a cluster of two processes, which is no default scheduler."""
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with distributed.LocalCluster(**options, silence_logs=50) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    """Return the active client."""
    with distributed.Client(cluster) as client, dask.config.set(scheduler=None):
        client.wait_for_workers(2, timeout=60)
        yield client


@pytest.fixture
def passive_client(cluster):
    """Return a client that is not the active one."""
    with distributed.Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2, timeout=60)
        yield client


PENALTIES = [{}, {"C": 0.05, "l1_ratio": 1}]


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
@pytest.mark.parametrize("parameters", PENALTIES, ids=str)
def test_every_scheduler_of_one_process_reaches_the_optimum(scheduler, parameters):
    with dask.config.set(scheduler=scheduler):
        model = estimator(**parameters).fit(*collections(columns=3))
    assert_same_optimum(model, in_memory(X, Y, WEIGHT, **parameters))


@pytest.mark.parametrize("parameters", PENALTIES, ids=str)
def test_active_client_computes_the_optimum(client, parameters):
    assert set(client.run(lambda: __import__("sklearn_bce").__file__).values()) == {
        sklearn_bce.__file__
    }
    model = estimator(**parameters).fit(*collections(columns=3))
    assert_same_optimum(model, in_memory(X, Y, WEIGHT, **parameters))
    assert len(np.unique(model.predict(collections()[0]).compute())) == 2


def test_given_client_computes_every_block(passive_client):
    """The given client computes all blocks; this process computes none."""
    x, y, weight = collections(columns=3)
    here = os.getpid()

    def elsewhere(block):
        assert os.getpid() != here
        return block

    x = x.map_blocks(elsewhere, dtype=float, meta=np.empty((0, 0)))
    model = estimator(client=passive_client).fit(x, y, weight)
    assert_same_optimum(model, in_memory(X, Y, WEIGHT))
    assert model.score(x, y, weight) == pytest.approx(model.to_local().score(X, Y, WEIGHT))


def test_persisted_collections_reach_the_optimum(client):
    persisted = client.persist(list(collections()))
    assert_same_optimum(estimator().fit(*persisted), in_memory(X, Y, WEIGHT))


def test_clones_share_the_client(passive_client):
    """A search over parameters and a pipeline clone estimators."""
    assert clone(estimator(client=passive_client, C=3.0)).client is passive_client


def test_a_pickle_leaves_the_client_out(passive_client):
    """A fitted estimator can be stored, and its client belongs to this process."""
    model = estimator(client=passive_client).fit(*collections())
    other = pickle.loads(pickle.dumps(model))
    assert other.client is None
    assert_array_equal(other.coef_, model.coef_)


# --- what is there afterwards ---


@pytest.fixture(scope="module")
def fitted():
    with dask.config.set(scheduler="synchronous"):
        x, y, weight = collections(arrays=(X, LABELS, WEIGHT))
        return estimator(C=0.7).fit(x, y, weight)


@every_pair(
    pytest.mark.parametrize("rows", [50, N]),
    pytest.mark.parametrize("columns", [P, 3]),
    pytest.mark.parametrize("kind", [None, sp.csr_array]),
    pytest.mark.parametrize("method", METHODS),
)
def test_dask_predictions_are_those_of_the_local_estimator(fitted, method, kind, columns, rows):
    x = collections(rows, columns)[0]
    if kind is not None:
        x = x.map_blocks(kind, meta=kind((0, P)))
    lazy, expected = getattr(fitted, method)(x), getattr(fitted.to_local(), method)(X)
    assert isinstance(lazy, da.Array)
    assert lazy.shape == expected.shape
    assert lazy.chunks[0] == x.chunks[0]
    assert lazy.dtype == expected.dtype
    assert_allclose_or_equal(lazy.compute(), expected)
    assert_array_equal(getattr(fitted, method)(X), expected)  # of arrays at once


def assert_allclose_or_equal(actual, expected):
    if expected.dtype.kind == "f":
        assert_allclose(actual, expected, rtol=1e-12)
    else:
        assert_array_equal(actual, expected)


@pytest.mark.parametrize("method", METHODS)
def test_predictions_on_blocks_of_unknown_sizes_are_local_ones(fitted, method):
    x = collections()[0]
    kept = X[:, 0] > 0
    lazy = getattr(fitted, method)(x[x[:, 0] > 0])
    assert_allclose_or_equal(lazy.compute(), getattr(fitted.to_local(), method)(X[kept]))


@pytest.mark.parametrize("method", METHODS)
def test_predictions_on_empty_blocks_are_local_ones(fitted, method):
    """A filter may leave a block empty; `fit` accepts such a block."""
    order = np.argsort(X[:, 0])
    (x,) = collections(arrays=(X[order],))
    x = x[x[:, 0] > 0]
    expected = getattr(fitted.to_local(), method)(X[order][X[order, 0] > 0])
    assert_allclose_or_equal(getattr(fitted, method)(x).compute(), expected)


@pytest.mark.parametrize("method", METHODS)
def test_predictions_on_unknown_columns_are_local_ones_or_an_error(fitted, method):
    """Whether the number of columns is that of the fit is known when they are computed."""

    def block(rows):
        return da.from_delayed(dask.delayed(rows), shape=(np.nan, np.nan), dtype=float)

    lazy = getattr(fitted, method)(block(X))
    assert_allclose_or_equal(lazy.compute(), getattr(fitted.to_local(), method)(X))
    with pytest.raises(ValueError, match="3 features"):
        getattr(fitted, method)(block(X[:, :3])).compute()


@every_pair(
    pytest.mark.parametrize("of_fit", [np.float32, np.float64]),
    pytest.mark.parametrize("of_x", [np.float32, np.float64]),
    pytest.mark.parametrize("method", METHODS),
)
def test_predictions_have_the_dtype_that_they_announce(method, of_x, of_fit):
    model = estimator(tol=1e-6).fit(*collections(arrays=(X.astype(of_fit), Y)))
    lazy = getattr(model, method)(collections()[0].astype(of_x))
    assert lazy.compute().dtype == lazy.dtype


@each_value(
    pytest.mark.parametrize("method", METHODS),
    pytest.mark.parametrize("frame", [False, True]),
)
def test_nothing_is_computed_before_it_is_asked_for(method, frame):
    computed = []

    def counted(block):
        computed.append(len(block))
        return block

    if frame:
        x = dd.from_pandas(pd.DataFrame(X, columns=NAMES), npartitions=4)
        model = estimator(tol=1e-6).fit(x, dd.from_pandas(pd.Series(Y), npartitions=4))
        x = x.map_partitions(counted, meta=x._meta)
    else:
        model = estimator(tol=1e-6).fit(*collections(60))
        x = collections(60)[0].map_blocks(counted, dtype=float, meta=np.empty((0, 0)))
    computed.clear()  # of guesses at what comes of it
    lazy = getattr(model, method)(x)
    assert computed == []
    assert len(lazy.compute()) == N
    assert sum(computed) == N


def test_dask_score_is_that_of_the_local_estimator(fitted):
    x, y, weight = collections(arrays=(X, LABELS, WEIGHT))
    local = fitted.to_local()
    assert fitted.score(x, y) == pytest.approx(local.score(X, LABELS))
    assert fitted.score(x, y, weight) == pytest.approx(local.score(X, LABELS, WEIGHT))
    assert fitted.score(sparse(), LABELS) == pytest.approx(local.score(X, LABELS))
    kept = X[:, 0] > 0
    x, y = x[x[:, 0] > 0], y[da.from_array(kept, chunks=50)]
    assert fitted.score(x, y) == pytest.approx(local.score(X[kept], LABELS[kept]))
    assert isinstance(fitted.score(x, y), float)


def test_to_local_returns_an_independent_fitted_estimator(fitted):
    local = fitted.to_local()
    assert type(local) is BCENeuronClassifier
    expected = fitted.get_params()
    del expected["client"]
    assert local.get_params().items() >= expected.items()
    assert_same_optimum(local, in_memory(X, LABELS, WEIGHT, C=0.7))
    before = pickle.dumps(fitted)
    local.coef_[:], local.intercept_[:], local.classes_[:] = 7, 7, "x"
    local.loss_curve_.append(7.0)
    assert pickle.dumps(fitted) == before


def test_pickle_and_clone_keep_what_they_must(fitted):
    other = pickle.loads(pickle.dumps(fitted))
    x = collections()[0]
    assert_array_equal(other.predict(x).compute(), fitted.predict(x).compute())
    assert other.get_params() == fitted.get_params()
    unfitted = clone(fitted)
    assert unfitted.get_params() == fitted.get_params()
    assert not hasattr(unfitted, "coef_")


@pytest.mark.parametrize("method", [*METHODS, "score", "to_local"])
def test_methods_before_fit_are_not_fitted_errors(method):
    arguments = {"score": collections()[:2], "to_local": ()}.get(method, collections()[:1])
    with pytest.raises(NotFittedError):
        getattr(estimator(), method)(*arguments)


def test_predict_and_score_refuse_other_features(fitted):
    """Features that the local estimator refuses are an error in predictions and `score`."""
    table = dd.from_pandas(pd.DataFrame(X, columns=NAMES).assign(y=Y), npartitions=2)
    model = estimator(tol=1e-6).fit(table[NAMES], table["y"])
    turned = table[NAMES[::-1]]
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(turned).compute()
    with pytest.raises(ValueError, match="feature names should match"):
        model.score(turned, table["y"])
    with pytest.raises(ValueError, match="3 features"):
        fitted.predict(collections()[0][:, :3]).compute()
    with pytest.raises(ValueError, match="3 features"):
        fitted.score(collections()[0][:, :3], LABELS)


@pytest.mark.parametrize("shape", [(N * P,), (N, P, 1)])
def test_samples_that_are_not_2d_are_refused(fitted, shape):
    x, message = blocks_of(X.reshape(shape)), f"must be a 2D array; it has {len(shape)} dimensions"
    for method, arguments in [("predict", ()), ("score", (LABELS,)), ("fit", (LABELS,))]:
        with pytest.raises(ValueError, match=message):
            getattr(fitted, method)(x, *arguments)


# --- samples in memory ---


@every_pair(
    pytest.mark.parametrize("kind", [np.asarray, np.ndarray.tolist, pd.DataFrame, sp.csr_array]),
    pytest.mark.parametrize("y", [Y, LABELS, collections()[1]], ids=["numbers", "strings", "Dask"]),
    pytest.mark.parametrize("offset", [None, 0.5, Y - 0.3, collections()[2]]),
    pytest.mark.parametrize("parameters", [{}, {"solver": "gd", "max_iter": 50, "tol": 0}]),
)
def test_samples_in_memory_are_fitted_as_by_the_local_estimator(kind, y, offset, parameters):
    samples, model = kind(X), estimator(**parameters)
    model.fit(samples, y, collections()[2], offset)
    local = BCENeuronClassifier(tol=1e-16, random_state=0).set_params(**parameters)
    known = [np.asarray(values) if is_dask_collection(values) else values for values in (y, offset)]
    local.fit(samples, known[0], WEIGHT, offset=known[1])
    assert_array_equal(model.coef_, local.coef_)
    assert_array_equal(model.predict(samples, offset), local.predict(samples, known[1]))
    expected = local.score(samples, known[0], WEIGHT, offset=known[1])
    assert model.score(samples, y, collections()[2], offset) == expected


def test_score_in_memory_is_that_of_blocks():
    x, y, weight = collections()
    model = estimator().fit(x, y, weight)
    assert_allclose(model.score(X, Y, WEIGHT), model.score(x, y, weight), rtol=1e-12)
    with pytest.raises(ValueError, match="X has 3 features"):
        model.score(X[:, :3], Y)


def test_failed_fit_in_memory_changes_nothing_and_a_warm_start_goes_on():
    model = estimator(warm_start=True).fit(*collections())
    before = public_fitted_state(model)
    with pytest.raises(ValueError, match="NaN"):
        model.fit(with_values(X, (3, 1), np.nan), Y)
    assert public_fitted_state(model).keys() == before.keys()
    assert all(getattr(model, name) is value for name, value in before.items())
    assert model.set_params(tol=1e-6).fit(X, Y, WEIGHT).n_iter_[0] == 1  # from the minimum


@pytest.mark.parametrize("in_blocks", [False, True])
def test_searches_of_dask_ml_choose_as_scikit_learn_does(in_blocks):
    grid, folds = {"C": [1e-4, 1e-2, 1.0]}, KFold(3)
    ours = dask_ml.model_selection.GridSearchCV(estimator(), grid, cv=folds)
    ours.fit(*(collections()[:2] if in_blocks else (X, LABELS)))
    theirs = GridSearchCV(LogisticRegression(tol=1e-10, max_iter=1000), grid, cv=folds).fit(X, Y)
    scores = "mean_test_score"
    assert_allclose(ours.cv_results_[scores], theirs.cv_results_[scores], rtol=1e-12)
    assert ours.best_params_ == theirs.best_params_
    assert isinstance(ours.best_estimator_, DaskBCENeuronClassifier)


# --- errors ---


def with_values(array, at, value):
    array = array.astype(float)
    array[at] = value
    return array


def unknown(x):
    return x[da.ones(N, chunks=50) > 0]


def wrong(**given):
    """Return the arguments of a fit that raises; y and weights have the blocks of X."""
    x, y, weight = collections()
    return given.get("x", x), given.get("y", y), given.get("weight", weight)


def blocks_of(array, rows=50):
    return da.from_array(array, chunks=(rows, *array.shape[1:]))


def none_of(array):
    """Return blocks that are empty, with numbers of rows that are known when computed only."""
    return blocks_of(array)[da.zeros(N, chunks=50) > 0]


MALFORMED = {
    "X delayed": (lambda: wrong(x=dask.delayed(X)), TypeError, "X is Delayed.*, not a Dask array"),
    "X of one dimension": (lambda: wrong(x=blocks_of(X[:, 0])), ValueError, "2D"),
    "fewer targets": (lambda: wrong(y=blocks_of(Y[:200])), ValueError, "y has 200 .* X has 240"),
    "fewer targets in memory": (lambda: wrong(y=Y[:200]), ValueError, "y is an array of 200"),
    "fewer weights": (
        lambda: wrong(weight=blocks_of(WEIGHT[:200])),
        ValueError,
        "sample_weight has 200 .* X has 240",
    ),
    "other blocks": (
        lambda: wrong(x=unknown(blocks_of(X)), y=blocks_of(Y, 100)),
        ValueError,
        "y is in 3 blocks and X in 5",
    ),
    "in memory, of X unknown": (
        lambda: wrong(x=unknown(blocks_of(X)), y=Y),
        ValueError,
        "y is an array of 240, which cannot be cut",
    ),
    "other rows in a block": (
        lambda: wrong(x=unknown(blocks_of(X)), y=blocks_of(Y)[blocks_of(X)[:, 0] > 0]),
        ValueError,
        r"Block \d has \d+ rows of X and",
    ),
    "no rows of X in a block": (
        lambda: wrong(x=blocks_of(X)[da.arange(N, chunks=50) >= 50], weight=None),
        ValueError,
        "Block 0 has 0 rows of X and 50 of y",
    ),
    "NaN in X": (
        lambda: wrong(x=blocks_of(with_values(X, (100, 1), np.nan))),
        ValueError,
        "Input X contains NaN",
    ),
    "NaN in CSR": (
        lambda: wrong(x=blocks_of(with_values(X, (100, 1), np.nan)).map_blocks(sp.csr_array)),
        ValueError,
        "Input X contains NaN",
    ),
    "NaN in y": (
        lambda: wrong(y=blocks_of(with_values(Y, 100, np.nan))),
        ValueError,
        r"labels \[0.0, 1.0, nan\]|NaN",
    ),
    "a third label": (
        lambda: wrong(y=blocks_of(with_values(Y, 100, 7))),
        ValueError,
        r"Only binary .* labels \[0.0, 1.0, 7.0\]",
    ),
    "one label": (lambda: wrong(y=da.zeros(N, chunks=50)), ValueError, r"labels \[0.0\]|one class"),
    "a weight below 0": (
        lambda: wrong(weight=blocks_of(with_values(WEIGHT, 100, -1))),
        ValueError,
        "[Nn]egative",
    ),
    "no weight": (
        lambda: wrong(weight=da.zeros(N, chunks=50)),
        ValueError,
        "no weight to any class",
    ),
    "no samples": (
        lambda: wrong(x=blocks_of(X)[blocks_of(X)[:, 0] > 1e9], weight=None),
        ValueError,
        "no samples|0 rows of X",
    ),
    "no samples, nor targets": (
        lambda: wrong(x=none_of(X), y=none_of(Y), weight=None),
        ValueError,
        "X has no samples",
    ),
}


@pytest.mark.parametrize("before", ["unfitted", "fitted"])
def test_malformed_collections_are_refused_and_change_nothing(before):
    model = estimator(random_state=0, tol=1e-6)
    if before == "fitted":
        model.fit(*collections(arrays=(X[:, :2], LABELS), columns=2))
    state = pickle.dumps(model)
    for name, (make, error, message) in MALFORMED.items():
        with naming(name):
            with pytest.raises(error, match=message) as raised:
                model.fit(*make())
            assert len(str(raised.value)) < 1000
            assert pickle.dumps(model) == state


@pytest.mark.parametrize("soft", [np.where(Y == 1, "a", "b"), Y + 1], ids=["strings", "numbers"])
def test_soft_targets_out_of_range_in_blocks_are_refused(soft):
    with pytest.raises(ValueError, match=r"y in \[0, 1\]"):
        estimator(soft_targets=True).fit(*collections(arrays=(X, soft)))


@pytest.mark.parametrize("arrays", [collections(), (X, Y)], ids=["Dask", "memory"])
def test_solver_sgd_is_refused_on_dask(arrays):
    with pytest.raises(ValueError, match=r"solver='sgd' goes from sample to sample.*'newton'"):
        estimator(solver="sgd").fit(*arrays)


@pytest.mark.parametrize(
    ("parameters", "message"), [({"C": -1.0}, "'C' parameter"), ({"solver": "x"}, "'solver'")]
)
def test_parameters_of_the_dask_estimator_are_checked(parameters, message):
    with pytest.raises(ValueError, match=message):
        estimator(**parameters).fit(*collections())


def test_dask_estimator_lacks_the_parameters_of_sgd():
    absent = {"batch_size", "shuffle", "early_stopping", "validation_fraction"}
    assert not absent & estimator().get_params().keys()
    assert absent | estimator().get_params().keys() == {
        "client",
        *BCENeuronClassifier().get_params(),
    }


def test_a_fit_that_ends_early_warns():
    with pytest.warns(ConvergenceWarning, match="after 1 iterations of max_iter=1"):
        model = estimator(max_iter=1, tol=1e-12).fit(*collections())
    assert not model.converged_


# --- what goes between processes ---


@pytest.mark.parametrize("given", [False, True])
def test_exception_of_a_worker_surfaces_once_with_its_cause(request, given, tmp_path):
    """The exception has its cause, and the task is not repeated."""
    client = request.getfixturevalue("passive_client" if given else "client")
    (x, y), path = collections(N)[:2], str(tmp_path / "calls")

    def fail(block):
        with open(path, "ab") as file:
            file.write(b"x")
        try:
            raise OSError("no such bucket")
        except OSError as error:
            raise RuntimeError("the block cannot be read") from error

    x = x.map_blocks(fail, dtype=float, meta=np.empty((0, 0)))
    with pytest.raises(RuntimeError, match=r"^the block cannot be read$") as raised:
        estimator(client=client if given else None).fit(x, y)
    assert isinstance(raised.value.__cause__, OSError)
    assert str(raised.value.__cause__) == "no such bucket"
    assert os.path.getsize(path) == 1


def test_nan_on_a_worker_is_one_value_error(client):
    x, y = collections(arrays=(with_values(X, (100, 1), np.nan), Y))
    model = estimator()
    with pytest.raises(ValueError, match="Input X contains NaN") as raised:
        model.fit(x, y)
    assert str(raised.value).count("Input X contains NaN") == 1
    assert vars(model) == vars(estimator())


def test_worker_that_ends_in_a_pass_is_replaced(client, tmp_path):
    path, (x, y, weight) = str(tmp_path / "calls"), collections()

    def end_once(block):
        with open(path, "ab") as file:
            file.write(b"x")
        if os.path.getsize(path) > 12:  # in the third pass of five blocks
            try:
                open(path + ".ended", "x").close()
            except FileExistsError:
                return block
            os._exit(1)
        return block

    x = x.map_blocks(end_once, dtype=float, meta=np.empty((0, 0)))
    model = estimator().fit(x, y, weight)
    assert_same_optimum(model, in_memory(X, Y, WEIGHT))
    assert os.path.exists(path + ".ended")
    assert os.path.getsize(path) > 5 * model.n_passes_  # a block or two have been made again
    client.wait_for_workers(2, timeout=60)


def test_killed_worker_with_persisted_samples_is_replaced(client, monkeypatch):
    """The persisted blocks of the worker are computed again."""
    persisted = client.persist(list(collections()))
    distributed.wait(persisted)
    to_theta_gradient, passes = Blocks.sum, []

    def kill_in_third(self, ask):
        passes.append(ask)
        if len(passes) == 3:
            os.kill(min(client.run(os.getpid).values()), signal.SIGKILL)
        return to_theta_gradient(self, ask)

    monkeypatch.setattr(Blocks, "sum", kill_in_third)
    model = estimator().fit(*persisted)
    assert_same_optimum(model, in_memory(X, Y, WEIGHT))
    assert len(passes) == model.n_passes_
    client.wait_for_workers(2, timeout=60)


@pytest.fixture
def sent(monkeypatch):
    """Return, for each pass, the sizes of the functions, the results of blocks, and the sums."""
    passes = []

    def noted(function, kind):
        def note(*arguments):
            result = function(*arguments)
            passes[-1].append((kind, len(pickle.dumps(result))))
            return result

        return note

    to_theta_gradient = Blocks.sum

    def sum_of(self, ask):
        passes.append([("asked", len(pickle.dumps(ask)))])
        result = to_theta_gradient(self, ask)
        passes[-1].append(("result", len(pickle.dumps(result))))
        return result

    monkeypatch.setattr(dask_blocks, "_block_sums", noted(dask_blocks._block_sums, "answer"))
    monkeypatch.setattr(dask_blocks, "_add_sums", noted(dask_blocks._add_sums, "total"))
    monkeypatch.setattr(Blocks, "sum", sum_of)
    return passes


def tall(n_blocks, rows=2000):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_blocks * rows, P))
    y = (rng.random(len(X)) < expit(X @ [1, -1, 0.5, 0])).astype(int)
    return collections(rows, arrays=(X, y))


@pytest.mark.parametrize(
    "parameters",
    [{}, {"C": 1e-3, "l1_ratio": 1}, {"solver": "gd", "tol": 0, "max_iter": 3}],
    ids=str,
)
def test_nothing_of_the_size_of_the_samples_leaves_a_block(sent, parameters):
    """Results are as large with eight times the samples; the size of the summary is bounded."""
    largest = []
    for n_blocks in (9, 72):
        sent.clear()
        model = estimator(**parameters).fit(*tall(n_blocks))
        assert len(sent) == model.n_passes_  # one reduction each
        for sizes in sent:
            kinds = [kind for kind, _ in sizes]
            assert kinds.count("answer") == n_blocks
            assert kinds.count("total") <= n_blocks / 3
        summary, *passes = [max(size for _, size in sizes) for sizes in sent]
        largest.append((summary, max(passes)))
        # The summary has so many rows of each class, each with target, weight and rank.
        assert summary < 2 * ROWS_PER_COORDINATE * (P + 1) * (P + 3) * 8 + 4000
        assert max(passes) < 2 * (P + 1) ** 2 * 8 + 4000
    # A pickled number of a sum may take some bytes more.
    assert_allclose(largest[0], largest[1], rtol=0, atol=100)


def test_each_pass_is_one_computation_on_a_cluster(passive_client, monkeypatch):
    submitted, compute = [], passive_client.compute

    def counted(*collections, **options):
        submitted.append(collections)
        return compute(*collections, **options)

    monkeypatch.setattr(passive_client, "compute", counted)
    model = estimator(client=passive_client).fit(*collections())
    assert len(submitted) == model.n_passes_


def test_dask_takes_as_few_passes_as_chunks(sent):
    model = DaskBCENeuronClassifier().fit(*tall(10, rows=10_000))
    assert len(sent) == model.n_passes_ <= 8


# Paths and leave-one-out.


@pytest.mark.parametrize("kind", ["array", "dataframe", "sparse"])
def test_a_path_over_blocks_is_that_of_all_samples(kind):
    x, y, weight = collections()
    if kind == "dataframe":
        x = dd.from_dask_array(x, columns=NAMES)
    elif kind == "sparse":
        x = sparse()
    settings = {"Cs": [0.01, 1.0, 100.0], "tol": 1e-14}
    path = sklearn_bce.regularization_path(x, y, sample_weight=weight, **settings)
    expected = sklearn_bce.regularization_path(X, Y, sample_weight=WEIGHT, **settings)
    assert_allclose(path.coefs, expected.coefs, rtol=1e-5, atol=1e-8)
    assert_allclose(path.intercepts, expected.intercepts, rtol=1e-5, atol=1e-8)


def test_leave_one_out_over_blocks_is_that_of_all_samples():
    search = sklearn_bce.BCENeuronClassifierCV(cv="loo", tol=1e-14)
    expected = clone(search).fit(X, Y, WEIGHT)
    x, y, weight = collections()
    search.fit(dd.from_dask_array(x, columns=NAMES), y, weight)
    assert_allclose(search.scores_, expected.scores_, rtol=1e-6)
    assert pytest.approx(expected.C_) == search.C_
    assert list(search.feature_names_in_) == NAMES
    assert_array_equal(search.predict(pd.DataFrame(X, columns=NAMES)), expected.predict(X))


def test_folds_of_blocks_are_refused():
    x, y, weight = collections()
    with pytest.raises(ValueError, match=r"cv=None .*in memory; use cv='loo'"):
        sklearn_bce.BCENeuronClassifierCV().fit(x, y, weight)
