"""Samples in chunks and in a memory-mapped file: the optimum of the fit to arrays in memory."""

import json
import os
import pickle
import subprocess
import sys
import weakref
from itertools import cycle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from small_data import (
    F,
    assert_same_optimum,
    in_memory,
    minimum,
    names_of_polars,
    naming,
    random_data,
    with_ones,
)

from sklearn_bce import BCENeuronClassifier, fit_from_chunks
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.partitioned import PartitionedObjective
from sklearn_bce._solvers.newton import cost

N = 60
X, Y, WEIGHT = random_data(N, 4)
X += [0, 5, 0, -30]  # off-centre
X[:, 2] *= 1000
UNEVEN = [1, 40, 19]
PENALTIES = {
    "L2": {},
    "L2, strong": {"C": 1e-3},
    "no penalty": {"C": np.inf},
    "L1": {"C": 0.1, "l1_ratio": 1.0},
    "elastic net": {"C": 0.3, "l1_ratio": 0.5},
}
LABELS = np.where(Y == 1, "yes", "no")


class Chunks:
    """Chunks of arrays, or of other containers with their rows; calls are counted."""

    def __init__(self, *arrays, size=25, container=None):
        n = arrays[0].shape[0]
        sizes = np.arange(size, n, size) if np.isscalar(size) else np.cumsum(size)[:-1]
        self.slices = [slice(*pair) for pair in zip([0, *sizes], [*sizes, n], strict=True)]
        self.arrays, self.container, self.calls = arrays, container or (lambda X: X), 0

    def chunk(self, rows):
        X, *others = (each[rows] for each in self.arrays)
        return self.container(X), *others

    def __call__(self):
        self.calls += 1
        yield from map(self.chunk, self.slices)


def fitted(chunks, **parameters):
    model = BCENeuronClassifier(**{"tol": 1e-16, "random_state": 0} | parameters)
    assert fit_from_chunks(model, chunks) is model
    assert model.n_passes_ == chunks.calls
    return model


# --- the optimum ---


def dense_or_sparse():
    kinds = cycle([np.asarray, sp.csr_matrix, np.asfortranarray])
    return lambda X: next(kinds)(X)


@every_pair(
    pytest.mark.parametrize(
        ("weighted", "fit_intercept"), [(False, True), (True, False), (True, True)]
    ),
    pytest.mark.parametrize("kind", ["dense", "CSR", "mixed"]),
    pytest.mark.parametrize("penalty", PENALTIES),
)
def test_chunks_reach_the_optimum_of_one_array(penalty, kind, weighted, fit_intercept):
    parameters = PENALTIES[penalty] | {"fit_intercept": fit_intercept}
    container = {"dense": None, "CSR": sp.csr_array, "mixed": dense_or_sparse()}[kind]
    arrays = (X, Y, WEIGHT)[: 2 + weighted]
    expected = in_memory(*arrays, **parameters)
    for size in (25, UNEVEN):
        assert_same_optimum(
            fitted(Chunks(*arrays, size=size, container=container), **parameters), expected
        )


@each_value(
    pytest.mark.parametrize("container", [None, sp.csr_array]),
    pytest.mark.parametrize("penalty", PENALTIES),
)
def test_chunks_of_one_row_reach_the_optimum_of_one_array(penalty, container):
    arrays = X[:30], Y[:30], WEIGHT[:30]
    model = fitted(Chunks(*arrays, size=1, container=container), **PENALTIES[penalty])
    assert_same_optimum(model, in_memory(*arrays, **PENALTIES[penalty]))


def test_chunks_of_any_size_reach_the_optimum_of_one_array():
    expected = in_memory(X, Y, WEIGHT)
    for size in range(2, N + 1, 4):
        assert_same_optimum(fitted(Chunks(X, Y, WEIGHT, size=size)), expected)


@pytest.mark.parametrize("C", [0.01, 1.0, np.inf])
def test_chunks_reach_the_minimum_of_textbook_newton(C):
    model = fitted(Chunks(X, Y, WEIGHT), C=C)
    expected = minimum((X, Y, WEIGHT), C)
    assert_allclose(np.append(model.coef_, model.intercept_), expected, rtol=1e-8)


@pytest.mark.parametrize("C", [0.01, 1.0, np.inf])
def test_features_too_many_for_a_hessian_reach_the_minimum_by_products(C, monkeypatch):
    """Newton steps are then found by products with the Hessian, each of which takes a pass."""
    asked, evaluate = [], PartitionedObjective.evaluate

    def noted(self, *arguments, **wanted):
        asked.append(wanted.get("hessian", False))
        return evaluate(self, *arguments, **wanted)

    monkeypatch.setattr(PartitionedObjective, "evaluate", noted)
    monkeypatch.setattr(cost, "MAX_FACTOR_SIZE", 4)
    model = fitted(Chunks(X, Y, WEIGHT), C=C, tol=1e-20)
    assert asked
    assert not any(asked)
    expected = minimum((X, Y, WEIGHT), C)
    assert_allclose(np.append(model.coef_, model.intercept_), expected, rtol=1e-8)


@each_value(
    pytest.mark.parametrize("value", [1e2, 1e4, 1e7, 1e8]),
    pytest.mark.parametrize("C", [1.0, 1e4, np.inf]),
)
def test_fit_from_chunks_is_within_tol_despite_an_outlier(value, C):
    """At the minimum the loss of the outlier is 0: the expected minimum is that of the others."""
    x, y, _ = random_data(200, 1)
    theta = minimum((x, y, np.ones(200)), C)
    assert expit(-(theta[0] * value + theta[1])) < 1e-30
    all_x, all_y = np.append(x, [[value]], axis=0), np.append(y, 1.0)
    model = fitted(Chunks(all_x, all_y, size=50), C=C, tol=1e-6)
    assert model.converged_
    data = all_x, all_y, np.ones(201)
    found = np.append(model.coef_, model.intercept_)
    assert F(found, data, C) - F(theta, data, C) <= 1e-6


@pytest.mark.parametrize("penalty", ["L1", "elastic net"])
def test_optimality_conditions_hold_after_a_fit_from_chunks(penalty):
    model = fitted(Chunks(X, Y, WEIGHT, size=7), **PENALTIES[penalty])
    w, share = model.coef_[0], WEIGHT / WEIGHT.sum()
    strength = 1 / (model.C * WEIGHT.sum())
    a = expit(X @ w + model.intercept_)
    gradient = with_ones(X).T @ (share * (a - Y))
    kappa = model.l1_ratio * strength
    smooth = gradient[:-1] + (1 - model.l1_ratio) * strength * w
    assert_allclose(smooth[w != 0], -kappa * np.sign(w[w != 0]), rtol=1e-6)
    assert np.all(np.abs(smooth[w == 0]) <= kappa)
    assert abs(gradient[-1]) < 1e-9
    assert np.any(w != 0)


@each_value(
    pytest.mark.parametrize("penalty", PENALTIES),
    pytest.mark.parametrize("size", [7, 25]),
)
def test_gd_on_chunks_takes_the_steps_of_one_array(penalty, size):
    """Near the minimum rounding decides when momentum restarts: the steps there are left out."""
    parameters = {"solver": "gd", "tol": 0, "max_iter": 12} | PENALTIES[penalty]
    scaled = X / [1, 5, 1000, 30], Y, WEIGHT
    model = fitted(Chunks(*scaled, size=size), **parameters)
    expected = in_memory(*scaled, **parameters)
    assert_same_optimum(model, expected)
    assert_allclose(model.loss_curve_, expected.loss_curve_, rtol=1e-12)
    assert model.n_iter_[0] == 12


@each_value(
    pytest.mark.parametrize("class_weight", [{"no": 1, "yes": 3.5}, {"no": 2}, "balanced"]),
    pytest.mark.parametrize("arrays", [(X, LABELS), (X, LABELS, WEIGHT)], ids=["", "weighted"]),
)
def test_class_weight_counts_in_chunks_as_in_one_array(class_weight, arrays):
    parameters = {"class_weight": class_weight}
    expected = in_memory(*arrays, **parameters)
    for size in (1, 25):
        assert_same_optimum(fitted(Chunks(*arrays, size=size), **parameters), expected)
    assert np.any(expected.coef_ != in_memory(*arrays).coef_)


@each_value(
    pytest.mark.parametrize("class_weight", [None, {0: 1, 1: 3.5}, "balanced"]),
    pytest.mark.parametrize("penalty", ["L2", "L1"]),
)
def test_soft_targets_in_chunks_reach_the_optimum_of_one_array(penalty, class_weight):
    parameters = PENALTIES[penalty] | {"class_weight": class_weight, "soft_targets": True}
    soft = 0.8 * Y + 0.2 * np.random.default_rng(0).random(N)
    arrays = X, soft, WEIGHT
    expected = in_memory(*arrays, **parameters)
    for size in (1, 25):
        assert_same_optimum(fitted(Chunks(*arrays, size=size), **parameters), expected)


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        LABELS.astype(object),
        Y.astype(np.int8),
        Y.astype(np.uint64),
        Y == 1,
        Y,
        Y.astype(np.float32),
        np.where(Y == 1, 7, -7),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_of_any_dtype_in_chunks_give_the_classes_of_one_array(labels):
    model, expected = fitted(Chunks(X, labels, size=7)), in_memory(X, labels)
    assert_same_optimum(model, expected)
    assert_array_equal(model.predict(X), expected.predict(X))
    assert model.classes_.dtype == expected.classes_.dtype


def test_chunks_may_have_one_class_each():
    order = np.argsort(Y, kind="stable")
    sizes = [np.count_nonzero(Y == 0), np.count_nonzero(Y)]
    chunks = Chunks(X[order], LABELS[order], WEIGHT[order], size=sizes)
    assert [set(y) for _, y, _ in chunks()] == [{"no"}, {"yes"}]
    chunks.calls = 0
    assert_same_optimum(fitted(chunks), in_memory(X, LABELS, WEIGHT))


def test_chunk_without_weight_changes_nothing():
    weight = WEIGHT.copy()
    weight[20:40] = 0
    assert_same_optimum(fitted(Chunks(X, Y, weight, size=20)), in_memory(X, Y, weight))


def test_weights_may_come_with_some_chunks_only():
    weight = WEIGHT.copy()
    weight[:20] = 1

    class Some(Chunks):
        def chunk(self, rows):
            X, y, weight = super().chunk(rows)
            return (X, y) if rows.start == 0 else (X, y, weight)

    assert_same_optimum(fitted(Some(X, Y, weight, size=20)), in_memory(X, Y, weight))


@pytest.mark.parametrize("kind", [pd.DataFrame, pytest.param(pl.DataFrame, marks=names_of_polars)])
def test_data_frame_chunks_keep_feature_names(kind):
    names = ["a", "b", "c", "d"]
    frame = kind({name: X[:, k] for k, name in enumerate(names)})
    model = fitted(Chunks(frame, pd.Series(LABELS)))
    expected = in_memory(frame, LABELS)
    assert_same_optimum(model, expected)
    assert_array_equal(model.feature_names_in_, names)
    assert_array_equal(model.predict(frame), expected.predict(frame))


def test_arrays_after_data_frames_leave_no_names():
    model = BCENeuronClassifier()
    fit_from_chunks(model, Chunks(pd.DataFrame(X, columns=list("abcd")), pd.Series(Y)))
    fit_from_chunks(model, Chunks(X[:, :3], Y))
    assert not hasattr(model, "feature_names_in_")
    assert model.n_features_in_ == 3


def test_float32_chunks_give_the_weights_of_a_float32_array():
    single = X.astype(np.float32)
    model = fitted(Chunks(single, Y, WEIGHT), tol=1e-12)  # float32 sums do not resolve less
    expected = in_memory(single, Y, WEIGHT)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    z, wanted = model.decision_function(single), expected.decision_function(single)
    # So few samples in memory are converted to float64.
    terms = np.abs(single) @ np.abs(expected.coef_[0])
    assert_allclose(z, wanted, rtol=0, atol=4 * np.finfo(np.float32).eps * np.max(terms))


def test_fit_from_chunks_sets_the_attributes_of_fit():
    model = BCENeuronClassifier().partial_fit(X[:, :2], Y, classes=[0, 1])
    fit_from_chunks(model, Chunks(X, Y))
    expected = BCENeuronClassifier().partial_fit(X[:, :2], Y, classes=[0, 1]).fit(X, Y)
    assert vars(model).keys() == vars(expected).keys()
    assert {name: type(value) for name, value in vars(model).items()} == {
        name: type(value) for name, value in vars(expected).items()
    }
    assert {type(value) for value in model.loss_curve_} == {float}
    assert model.solver_ == "newton"
    assert model.n_iter_[0] == len(model.loss_curve_)


# --- passes ---


@pytest.fixture(scope="module")
def tall():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100_000, 10))
    y = (rng.random(len(X)) < expit(X @ np.linspace(-1, 1, 10) - 0.5)).astype(float)
    return X, y


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"C": np.inf},
        {"C": 1e-6},
        {"C": 1e-3, "l1_ratio": 0.5},
        {"C": 1e-4, "l1_ratio": 1},
        {"class_weight": "balanced"},
    ],
    ids=str,
)
def test_tall_chunks_take_at_most_8_passes(tall, parameters):
    chunks = Chunks(*tall, size=20_000)
    model = fitted(chunks, tol=1e-6, **parameters)
    assert chunks.calls == model.n_passes_ <= 8
    assert model.converged_
    if not parameters:
        theta = np.append(model.coef_, model.intercept_)
        data = *tall, np.ones(len(tall[0]))
        assert 0 <= F(theta, data, 1.0) - F(minimum(data, 1.0), data, 1.0) + 1e-15 <= 1e-6
    expected = in_memory(*tall, **parameters)
    assert abs(model.loss_curve_[-1] - expected.loss_curve_[-1]) <= 1e-6


@pytest.mark.parametrize("l1_ratio", [0.5, 1])
def test_fit_without_weights_takes_at_most_8_passes(l1_ratio):
    """The start is the minimum up to rounding, so that no further step is needed."""
    calls = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        rows = rng.normal(size=(2000, 4))
        y = (rng.random(2000) < expit(rows @ np.linspace(-1, 1, 4) - 0.5)).astype(float)
        chunks = Chunks(rows, y, size=400)
        assert not np.any(fitted(chunks, tol=1e-6, C=3e-5, l1_ratio=l1_ratio).coef_)
        calls.append(chunks.calls)
    assert max(calls) <= 8


def test_random_state_alone_decides_the_rows_sampled_from_chunks(tall):
    coefs = [
        fitted(Chunks(*tall, size=50_000), tol=1e-3, random_state=random_state).coef_
        for random_state in (0, 0, 1)
    ]
    assert_array_equal(coefs[0], coefs[1])
    assert np.any(coefs[0] != coefs[2])


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_n_passes_counts_the_passes_of_the_convergence_warning(solver):
    """The estimate of the distance from the minimum in the warning takes passes, too."""
    model, chunks = BCENeuronClassifier(solver=solver, max_iter=1, tol=1e-12), Chunks(X, Y)
    with pytest.warns(ConvergenceWarning, match="after 1 iterations of max_iter=1"):
        fit_from_chunks(model, chunks)
    assert not model.converged_
    assert model.n_passes_ == chunks.calls


def test_one_chunk_is_alive_at_a_time():
    """A chunk has been freed when the next chunk is asked for."""

    class Rows(np.ndarray):
        """An array to which there can be weak references."""

    made, alive = [], []

    class Fresh(Chunks):
        def chunk(self, rows):
            alive.append(sum(reference() is not None for reference in made))
            fresh = X[rows].copy().view(Rows)
            made.append(weakref.ref(fresh))
            return fresh, Y[rows]

    chunks = Fresh(X, Y)
    fitted(chunks)
    assert len(alive) == 3 * chunks.calls
    assert max(alive) == 0


# --- starts ---


@pytest.mark.parametrize("penalty", PENALTIES)
def test_warm_start_from_chunks_takes_fewer_iterations(penalty):
    parameters = PENALTIES[penalty]
    warm = in_memory(X, Y, WEIGHT, warm_start=True, **parameters)
    n_iter = warm.n_iter_[0]
    chunks = Chunks(X, Y, WEIGHT)
    fit_from_chunks(warm, chunks)
    assert warm.n_iter_[0] < n_iter
    assert warm.n_passes_ == chunks.calls <= 10  # two of them confirm the minimum
    warm.set_params(C=0.05)
    fit_from_chunks(warm, chunks)
    assert_same_optimum(warm, in_memory(X, Y, WEIGHT, **parameters | {"C": 0.05}))


@pytest.mark.parametrize("penalty", ["L2", "no penalty"])
def test_gd_with_warm_start_goes_on_over_chunks(penalty):
    parameters = {"solver": "gd", "tol": 0, "warm_start": True} | PENALTIES[penalty]
    chunks = Chunks(X / [1, 5, 1000, 30], Y)
    whole = BCENeuronClassifier(max_iter=20, **parameters)
    parted = BCENeuronClassifier(max_iter=10, **parameters)
    fit_from_chunks(whole, chunks)
    fit_from_chunks(fit_from_chunks(parted, chunks), chunks)
    assert_allclose(parted.coef_, whole.coef_, rtol=1e-13)
    assert_allclose(parted.loss_curve_, whole.loss_curve_[10:], rtol=1e-13)


# --- errors ---


def with_values(array, at, value):
    array = array.astype(object if isinstance(value, str) else float)
    array[at] = value
    return array


def broken_in_pass(k, error):
    """Return chunks, the last of which raises the error in the k-th pass."""

    class Broken(Chunks):
        def chunk(self, rows):
            if self.calls == k and rows.stop == N:
                raise error
            return super().chunk(rows)

    return Broken(X, Y)


def changed_after_pass(k, *arrays):
    """Return chunks that are parts of other arrays after the k-th pass."""

    class Changing(Chunks):
        def __call__(self):
            if self.calls == k:
                self.arrays = arrays
            return super().__call__()

    return Changing(X, Y)


def tuples(*chunks):
    return lambda: iter(chunks)


def malformed():
    """Return chunks, their error and its message, by name; each call returns new iterators."""
    once = iter([(X, Y)])
    return {
        "a list": ([(X, Y)], TypeError, "callable that returns an iterator"),
        "a generator": (Chunks(X, Y)(), TypeError, "chunks is generator; it must be a callable"),
        "the same iterator twice": (lambda: once, ValueError, "no chunks in pass 2.*anew"),
        "no chunk": (tuples(), ValueError, "yielded no chunks in pass 1"),
        "X alone": (tuples((X,)), ValueError, None),
        "more than an offset": (tuples((X, Y, WEIGHT, WEIGHT, WEIGHT)), ValueError, None),
        "three labels": (
            Chunks(X, with_values(Y, 55, 2.0)),
            ValueError,
            r"Only binary .* labels \[0.0, 1.0, 2.0\]",
        ),
        "one label": (Chunks(X, np.ones(N)), ValueError, r"labels \[1.0\]|one class"),
        "NaN in X": (Chunks(with_values(X, (55, 1), np.nan), Y), ValueError, "X contains NaN"),
        "NaN in CSR": (
            Chunks(with_values(X, (55, 1), np.nan), Y, container=sp.csr_array),
            ValueError,
            "X contains NaN",
        ),
        "infinity in X": (
            Chunks(with_values(X, (0, 1), np.inf), Y),
            ValueError,
            "contains infinity",
        ),
        "NaN in y": (Chunks(X, with_values(Y, 55, np.nan)), ValueError, "y contains NaN"),
        "other features": (tuples((X, Y), (X[:, 1:], Y)), ValueError, "3 features"),
        "other names": (
            tuples(
                (pd.DataFrame(X, columns=list("abcd")), Y),
                (pd.DataFrame(X, columns=list("abdc")), Y),
            ),
            ValueError,
            "feature names",
        ),
        "other lengths": (tuples((X, Y[:-1])), ValueError, "inconsistent numbers of samples"),
        "one dimension": (tuples((X[:, 0], Y)), ValueError, "2D"),
        "a weight below 0": (
            Chunks(X, Y, with_values(WEIGHT, 55, -1.0)),
            ValueError,
            "[Nn]egative",
        ),
        "no weight": (Chunks(X, Y, np.zeros(N)), ValueError, "no weight to any class"),
        "an error of its own": (
            broken_in_pass(1, OSError("no such table")),
            OSError,
            "no such table",
        ),
        "an error in a later pass": (broken_in_pass(3, OSError("lost")), OSError, "lost"),
        "fewer samples later": (
            changed_after_pass(2, X[:55], Y[:55]),
            ValueError,
            "had 60 samples in the first pass and have 55",
        ),
        "other labels later": (
            changed_after_pass(2, X, Y + 1),
            ValueError,
            r"not among the classes \[0.0, 1.0\]: \[2.0\]",
        ),
        "NaN later": (
            changed_after_pass(2, with_values(X, (5, 2), np.nan), Y),
            ValueError,
            "infinite or no numbers|NaN",
        ),
    }


fitted_or_not = pytest.mark.parametrize("fitted_before", [False, True], ids=["unfitted", "fitted"])
UNSUPPORTED = {
    "sgd": ({"solver": "sgd"}, "'newton' or 'gd', or partial_fit"),
    "early_stopping": ({"early_stopping": True}, "early_stopping=True is not supported"),
    "C": ({"C": -1.0}, "'C' parameter"),
    "class_weight": ({"class_weight": {5: 1.0}}, "class"),
}


@pytest.fixture
def model(fitted_before):
    model = BCENeuronClassifier(random_state=3)
    if fitted_before:
        model.fit(pd.DataFrame(X[:, :2], columns=["u", "v"]), LABELS)
    return model


@fitted_or_not
def test_malformed_chunks_are_refused_and_change_nothing(model):
    before = pickle.dumps(vars(model))
    for name, (chunks, error, message) in malformed().items():
        with naming(name):
            with pytest.raises(error, match=message):
                fit_from_chunks(model, chunks)
            assert pickle.dumps(vars(model)) == before


@each_value(
    pytest.mark.parametrize("what", UNSUPPORTED),
    fitted_or_not,
)
def test_fit_from_chunks_refuses_parameters_before_it_reads(what, model):
    parameters, message = UNSUPPORTED[what]
    model.set_params(**parameters)
    before, chunks = pickle.dumps(vars(model)), Chunks(X, Y)
    with pytest.raises(ValueError, match=message):
        fit_from_chunks(model, chunks)
    assert pickle.dumps(vars(model)) == before
    assert chunks.calls == (what == "class_weight")  # before anything is read


@each_value(
    pytest.mark.parametrize("soft", ["0.3", 1.5, -0.1]),
    fitted_or_not,
)
def test_soft_targets_out_of_range_in_chunks_are_refused(soft, model):
    model.set_params(soft_targets=True)
    before = pickle.dumps(vars(model))
    with pytest.raises(ValueError, match=r"y in \[0, 1\]"):
        fit_from_chunks(model, Chunks(X, with_values(Y, 55, soft)))
    assert pickle.dumps(vars(model)) == before


@fitted_or_not
def test_error_of_continuous_labels_is_short(model):
    """As for arrays in memory, the message does not list all labels."""
    with pytest.raises(ValueError, match=r"soft_targets=True|binary") as raised:
        fit_from_chunks(model, Chunks(X, X[:, 0]))
    assert len(str(raised.value)) < 500


def test_warm_start_from_another_number_of_features_is_refused():
    model = BCENeuronClassifier(warm_start=True).fit(X[:, :2], Y)
    before = pickle.dumps(vars(model))
    with pytest.raises(ValueError, match=r"X has 4 features, but warm_start=True .* fit on 2"):
        fit_from_chunks(model, Chunks(X, Y))
    assert pickle.dumps(vars(model)) == before


# --- Ctrl-C, and callbacks ---


@every_pair(
    pytest.mark.parametrize("finished", [1, 3]),
    pytest.mark.parametrize("solver", ["newton", "gd"]),
    pytest.mark.parametrize("penalty", ["L2", "L1"]),
    fitted_or_not,
)
def test_interrupt_in_a_chunk_keeps_the_last_pass(penalty, solver, finished, model):
    """The pass after the last finished one has no effect."""
    parameters = {"solver": solver, "tol": 0, "max_iter": finished} | PENALTIES[penalty]
    expected, chunks = clone(model).set_params(**parameters), Chunks(X, LABELS)
    fit_from_chunks(expected, chunks)
    stopping = broken_in_pass(chunks.calls + 1, KeyboardInterrupt("stopped"))
    stopping.arrays = X, LABELS
    model.set_params(**parameters | {"max_iter": 50})
    with pytest.raises(KeyboardInterrupt, match="stopped"):
        fit_from_chunks(model, stopping)
    assert stopping.calls == chunks.calls + 1
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(model.intercept_, expected.intercept_)
    assert_array_equal(model.classes_, ["no", "yes"])
    assert model.loss_curve_ == expected.loss_curve_
    assert (model.n_iter_[0], model.converged_, model.n_features_in_) == (finished, False, 4)
    assert vars(model).keys() == vars(expected).keys()


@each_value(
    pytest.mark.parametrize("k", [1, 2]),
    fitted_or_not,
)
def test_interrupt_before_a_step_leaves_the_estimator_as_it_was(k, model):
    before = pickle.dumps(vars(model))
    with pytest.raises(KeyboardInterrupt):
        fit_from_chunks(model, broken_in_pass(k, KeyboardInterrupt))
    assert pickle.dumps(vars(model)) == before


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_callbacks_follow_every_pass_over_chunks(solver):
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    from test_callbacks import Quiet, places_of

    quiet = Quiet()
    model = BCENeuronClassifier(solver=solver, tol=0, max_iter=4).set_callbacks(quiet)
    fit_from_chunks(model, Chunks(X, Y))
    assert model.n_iter_[0] == 4
    assert all(told.estimator is model for told in quiet.told)
    # The callback is torn down: the threads of a progress bar would keep the process alive.
    assert quiet.places == places_of(4)


def test_callback_sees_the_fitted_estimator_and_may_end_the_fit():
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    from test_callbacks import Quiet

    class Looking(Quiet):
        def on_fit_task_end(self, estimator, context, *, X, y, fitted_estimator):
            assert X is y is None  # they are not at hand
            coefs.append(fitted_estimator.coef_)
            return len(coefs) == 3

    coefs = []
    model = BCENeuronClassifier(tol=0, max_iter=9).set_callbacks(Looking())
    fit_from_chunks(model, Chunks(X, Y))
    assert (model.n_iter_[0], model.converged_) == (3, False)
    for k, coef in enumerate(coefs[:3]):
        assert_array_equal(coef, fitted(Chunks(X, Y), tol=0, max_iter=k + 1).coef_)
    assert_array_equal(model.coef_, coefs[2])


# --- a file that is mapped ---


@every_pair(
    pytest.mark.parametrize("mode", ["r", "c", "r+"]),
    pytest.mark.parametrize("order", ["C", "F"]),
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
)
def test_memory_mapped_file_gives_the_fit_of_the_array(tmp_path, mode, order, dtype):
    array = np.asarray(X, dtype=dtype, order=order)
    np.save(tmp_path / "X.npy", array)
    mapped = np.load(tmp_path / "X.npy", mmap_mode=mode)
    assert isinstance(mapped, np.memmap)
    model, expected = in_memory(mapped, Y), in_memory(array, Y)
    assert_array_equal(model.coef_, expected.coef_)
    assert model.n_passes_ == expected.n_passes_
    assert_array_equal(np.load(tmp_path / "X.npy"), array)


def test_sampled_rows_of_a_mapped_file_are_read_in_order(tall, tmp_path, monkeypatch):
    """The rows of a sample are read in the order of the file, and each row once."""
    np.save(tmp_path / "X.npy", tall[0])
    drawn, of_rows = [], InMemoryObjective.of_rows

    def noted(self, rows, factor):
        drawn.append((rows, self.n_samples))
        return of_rows(self, rows, factor)

    monkeypatch.setattr(InMemoryObjective, "of_rows", noted)
    BCENeuronClassifier().fit(np.load(tmp_path / "X.npy", mmap_mode="r"), tall[1])
    assert drawn
    for rows, n_samples in drawn:
        assert np.all(np.diff(rows) > 0)
        assert len(rows) <= n_samples / 4
    assert max(len(rows) for rows, n_samples in drawn if n_samples == len(tall[0])) < 20_000


FILE, LIMIT, MOST_RESIDENT = 240, 60, 300  # MB

CHILD = """
import json, resource, sys, threading, time
import numpy as np
from sklearn_bce import BCENeuronClassifier

folder, dtype, n_features, limit = json.loads(sys.argv[1])
X = np.memmap(folder + "/X", dtype=dtype, mode="r").reshape(-1, n_features)
y = np.load(folder + "/y.npy")
# BLAS allocates buffers once, and waits without end if there is no memory for them: a second buffer
# when two threads happen to need one at the same moment.
some = np.random.default_rng(0).normal(size=(100_000, n_features)).astype(dtype)
for _ in range(20):
    BCENeuronClassifier().fit(some, np.arange(100_000) % 2)
del some

def status(name):
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))

peak, ended = [status("RssAnon")], threading.Event()

def watch():
    while not ended.wait(0.005):
        peak.append(status("RssAnon"))

watcher = threading.Thread(target=watch)
watcher.start()
most = int((status("VmData") + limit) * 2**20)
resource.setrlimit(resource.RLIMIT_DATA, (most, most))
try:
    np.ones_like(X)
    raise SystemExit("There is no limit.")
except MemoryError:
    pass
try:
    model = BCENeuronClassifier().fit(X, y)
finally:
    ended.set()
    watcher.join()
told = {"peak": max(peak), "samples": len(peak), "n_passes": model.n_passes_}
told["converged"] = model.converged_

slope = np.zeros(n_features)
for at in range(0, len(X), 2_000):
    rows = X[at : at + 2_000].astype(float)
    z = rows @ model.coef_[0] + model.intercept_[0]
    slope += rows.T @ (1 / (1 + np.exp(-z)) - y[at : at + 2_000]) / len(X)
told["slope"] = float(np.linalg.norm(slope + model.coef_[0] / len(X)))
print(json.dumps(told))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits and /proc are of Linux")
@pytest.mark.parametrize("dtype", ["float32"])
def test_memory_mapped_file_of_four_times_the_memory_is_fitted(tmp_path, dtype):
    rng, n_features = np.random.default_rng(0), 100
    n_samples = FILE * 2**20 // (n_features * np.dtype(dtype).itemsize)
    labels, beta = [], rng.normal(size=n_features) / 5
    path, some = tmp_path / "X", rng.standard_normal((n_samples // 10, n_features), dtype=dtype)
    with path.open("wb") as file:
        for _ in range(10):
            rows = some * rng.choice([-1, 1], n_features).astype(dtype)
            rows.tofile(file)
            labels.append(rng.random(len(rows)) < expit(rows @ beta))
    np.save(tmp_path / "y.npy", np.concatenate(labels))
    assert path.stat().st_size > 3.999 * LIMIT * 2**20
    arguments = json.dumps([str(tmp_path), dtype, n_features, LIMIT])
    threads = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")  # each has a stack
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, arguments],
            env=os.environ | dict.fromkeys(threads, "2"),
            capture_output=True,
            text=True,
            timeout=120,
        )
    finally:
        path.unlink()  # not kept with pytest's last folders
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["samples"] > 10
    assert told["peak"] <= MOST_RESIDENT
    assert told["n_passes"] <= 10
    assert told["converged"]
    assert told["slope"] < 1e-3  # F has a curvature of at least 0.1: within 1e-5 of its minimum
