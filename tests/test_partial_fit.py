"""Streams: partial_fit on chunk after chunk is the rule of the derivation, and a pass of fit."""

import copy
import pickle
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import NotFittedError
from sklearn.multiclass import OneVsRestClassifier
from small_data import random_data

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import kernels

X, Y, WEIGHT = random_data(63, 3)
SOFT = np.random.default_rng(1).uniform(size=len(Y))
ETA = 0.1

SIZES = [24, 8, 16, 15]  # all but the last are multiples of 8
CONTAINERS = [np.asarray, np.asfortranarray, sp.csr_array]


def sgd(**parameters):
    fixed = {"solver": "sgd", "learning_rate": ETA, "shuffle": False, "tol": 0}
    return BCENeuronClassifier(**{**fixed, **parameters})


def chunks(sizes=SIZES):
    return [slice(start, stop) for start, stop in pairwise(np.cumsum([0, *sizes]))]


def stream(neuron, X, y, weight=None, sizes=SIZES, classes=(0, 1)):
    """Learn from all chunks; the classes are given once, with the very first one."""
    for rows in chunks(sizes):
        given = None if hasattr(neuron, "classes_") else classes
        neuron.partial_fit(X[rows], y[rows], given, None if weight is None else weight[rows])
    return neuron


def assert_same(neuron, other):
    assert_array_equal(neuron.coef_, other.coef_)
    assert_array_equal(neuron.intercept_, other.intercept_)


class Literal:
    """The rule in NumPy, written out; the penalty is shared out among all samples so far."""

    def __init__(self, w=0.0, b=0.0, total=0.0, n_features=3):
        self.w, self.b, self.total = np.broadcast_to(w, n_features), float(b), total
        self.eta, self.loss_curve = np.inf, []

    def learn(self, X, y, s, eta=ETA, C=np.inf, l1_ratio=0.0, batch=1, order=None, intercept=True):
        self.total += s.sum()
        l2, l1 = (1 - l1_ratio) / (C * self.total), l1_ratio / (C * self.total)
        if eta == "auto":
            largest = np.max(s * ((np.square(X).sum(axis=1) + intercept) / 4 + l2))
            eta = self.eta = min(self.eta, 1 / largest)
        penalty, loss = l2 / 2 * np.sum(self.w**2) + l1 * np.sum(np.abs(self.w)), 0.0
        order = np.arange(len(y)) if order is None else order
        for rows in np.split(order, range(batch, len(order), batch)):
            z = X[rows] @ self.w + self.b
            loss += s[rows] @ (np.logaddexp(0, z) - y[rows] * z)
            error, class_weight_sums, step = (
                s[rows] * (y[rows] - expit(z)),
                s[rows].sum(),
                eta / len(rows),
            )
            w = self.w + step * (error @ X[rows] - class_weight_sums * l2 * self.w)
            self.w = np.sign(w) * np.maximum(np.abs(w) - step * class_weight_sums * l1, 0.0)
            self.b += step * intercept * error.sum()
        self.loss_curve.append(loss / s.sum() + penalty)

    def assert_is(self, neuron, rtol=1e-10):
        assert_allclose(neuron.coef_[0], self.w, rtol=rtol, atol=1e-14)
        assert_allclose(neuron.intercept_, [self.b], rtol=rtol)
        assert_allclose(neuron.loss_curve_, self.loss_curve, rtol=rtol)


# --- a pass over all chunks is a pass of fit ---


@pytest.mark.parametrize(
    ("parameters", "y", "weight"),
    [
        ({}, Y, None),
        ({}, Y, WEIGHT),
        ({"class_weight": {0: 2.0, 1: 0.3}}, Y, WEIGHT),
        ({"soft_targets": True}, SOFT, WEIGHT),
        ({"fit_intercept": False}, Y, WEIGHT),
    ],
    ids=["plain", "weights", "class weights", "soft", "no intercept"],
)
@pytest.mark.parametrize(("batch_size", "sizes"), [(1, [1, 30, 2, 30]), (8, SIZES)])
@pytest.mark.parametrize("container", CONTAINERS)
def test_passes_over_the_chunks_are_passes_of_fit(
    container, batch_size, sizes, parameters, y, weight
):
    rows = container(X)
    neuron = sgd(C=np.inf, batch_size=batch_size, **parameters)
    for n_passes in (1, 2, 3):
        stream(neuron, rows, y, weight, sizes)
        at_once = clone(neuron).set_params(max_iter=n_passes)
        assert_same(neuron, at_once.fit(rows, y, sample_weight=weight))


@pytest.mark.parametrize("penalty", [{}, {"l1_ratio": 0.5}, {"l1_ratio": 1}])
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("container", CONTAINERS)
def test_one_chunk_of_all_samples_is_a_pass_of_fit_with_any_penalty(container, batch_size, penalty):
    neuron = sgd(C=0.3, batch_size=batch_size, max_iter=1, **penalty)
    at_once = clone(neuron).fit(container(X), Y, sample_weight=WEIGHT)
    assert_same(stream(neuron, container(X), Y, WEIGHT, [63]), at_once)
    assert neuron.loss_curve_ == at_once.loss_curve_


@pytest.mark.parametrize("n_features", [3, 70])  # from 64 on the dense kernel goes by BLAS
def test_rows_one_by_one(n_features):
    wide, y, weight = random_data(40, n_features)
    neuron = stream(sgd(C=np.inf), wide, y, weight, [1] * 40)
    assert_same(neuron, sgd(C=np.inf, max_iter=1).fit(wide, y, sample_weight=weight))


def test_auto_learns_from_streams_by_sgd():
    neuron = stream(sgd(solver="auto"), X, Y)
    assert neuron.solver_ == "sgd"
    assert_same(neuron, stream(sgd(), X, Y))


# --- the rule, written out ---


@pytest.mark.parametrize(
    "parameters",
    [{"C": np.inf}, {"C": 0.3}, {"l1_ratio": 0.4}, {"l1_ratio": 1, "C": 0.05}],
)
@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("kinds", [CONTAINERS[:1], CONTAINERS[2:], CONTAINERS])
def test_stream_is_the_rule(kinds, batch_size, parameters):
    """Whatever containers the chunks come in; its loss curve has the losses as they were met."""
    features, y, weight = random_data(63, 5, sparse=True)
    features = features.toarray()
    neuron, literal = sgd(batch_size=batch_size, **parameters), Literal(n_features=5)
    zeros = 0
    for k, rows in enumerate(chunks() * 3):
        part = kinds[k % len(kinds)](features[rows])
        neuron.partial_fit(part, y[rows], [0, 1], sample_weight=weight[rows])
        literal.learn(
            features[rows], y[rows], weight[rows], batch=batch_size, **{"C": 1.0, **parameters}
        )
        literal.assert_is(neuron)
        assert neuron.n_iter_ == len(neuron.loss_curve_) == k + 1
        assert neuron.converged_ is False
        zeros += np.count_nonzero(neuron.coef_ == 0)
    assert np.count_nonzero(neuron.coef_) > 0
    assert zeros > 0 or parameters.get("l1_ratio") != 1


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("seeded", [int, np.random.RandomState])
def test_chunks_are_shuffled_by_one_stream_of_permutations(seeded, batch_size):
    neuron = sgd(shuffle=True, random_state=seeded(5), batch_size=batch_size)
    literal, expected = Literal(), np.random.RandomState(5)
    for rows in chunks() * 2:
        neuron.partial_fit(X[rows], Y[rows], [0, 1])
        order = expected.permutation(rows.stop - rows.start)
        ones = np.ones(len(order))
        literal.learn(X[rows], Y[rows], ones, C=1.0, batch=batch_size, order=order)
        literal.assert_is(neuron)
    if seeded is not int:
        assert neuron.random_state.randint(2**30) == expected.randint(2**30)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_automatic_step_is_the_least_that_was_safe_so_far(fit_intercept, descending):
    """On raw units, with the long rows first or last: the step never grows."""
    raw, y = load_breast_cancer(return_X_y=True)
    by_norm = np.argsort(np.linalg.norm(raw, axis=1))[:: -1 if descending else 1]
    raw, y = raw[by_norm], y[by_norm]
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(y))
    neuron, literal = sgd(learning_rate="auto", fit_intercept=fit_intercept), Literal(n_features=30)
    etas = []
    for rows in chunks([100, 150, 200, 119]) * 2:
        part = raw[rows], y[rows]
        neuron.partial_fit(*part, [0, 1], sample_weight=weight[rows])
        literal.learn(*part, weight[rows], eta="auto", C=1.0, intercept=fit_intercept)
        literal.assert_is(neuron, rtol=1e-8)
        etas.append(literal.eta)
    assert np.all(np.diff(etas) <= 0)
    assert (len(set(etas)) > 1) is not descending


@pytest.mark.parametrize("batch_size", [1, 16, 1000])
def test_automatic_step_does_not_blow_up_on_raw_units(batch_size):
    raw, y = load_breast_cancer(return_X_y=True)
    neuron = sgd(learning_rate="auto", batch_size=batch_size, shuffle=True, random_state=0)
    for _ in range(20):
        stream(neuron, raw, y, sizes=[100, 150, 200, 119])
    assert np.mean(neuron.loss_curve_[-4:]) < np.log(2)
    assert neuron.score(raw, y) > y.mean() > 0.5


# --- what is kept between chunks ---


def test_float32_keeps_double_precision_between_chunks():
    """Steps too small for a float32 weight add up all the same."""
    single = X.astype(np.float32)
    neuron = sgd(C=np.inf, learning_rate=1e-8).partial_fit(single, Y, [0, 1])
    start = np.array([[-1.0, -2.0, 1.0]], dtype=np.float32)  # wrong about most samples
    neuron.coef_, literal = start.copy(), Literal(start[0], neuron.intercept_[0])
    for row in list(range(63)) * 10:
        neuron.partial_fit(single[[row]], Y[[row]])
        literal.learn(single[[row]].astype(float), Y[[row]], np.ones(1), eta=1e-8)
    assert neuron.coef_.dtype == neuron.intercept_.dtype == np.float32
    assert_allclose(neuron.coef_[0], literal.w, rtol=1e-7)
    assert_allclose(neuron.intercept_[0], literal.b, rtol=1e-6)
    assert np.all(np.abs(neuron.coef_ / start - 1) > 5e-7)


def test_chunks_of_both_precisions():
    neuron, literal = sgd(), Literal()
    for k, rows in enumerate(chunks() * 2):
        dtype = [np.float32, np.float64][k % 2]
        part = X[rows].astype(dtype)
        neuron.partial_fit(part, Y[rows], [0, 1], sample_weight=WEIGHT[rows])
        literal.learn(part.astype(float), Y[rows], WEIGHT[rows], C=1.0)
        assert neuron.coef_.dtype == dtype
    literal.assert_is(neuron)


def scale_in_place(neuron):
    neuron.coef_ *= 2.0


def replace_weights(neuron):
    neuron.coef_ = np.array([[1.0, -2.0, 3.0]])


def replace_intercept(neuron):
    neuron.intercept_ = np.array([0.7])


@pytest.mark.parametrize("change", [scale_in_place, replace_weights, replace_intercept])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_changed_by_hand_are_gone_on_from(change, dtype):
    neuron = stream(sgd(), X.astype(dtype), Y)
    change(neuron)
    literal = Literal(neuron.coef_[0].astype(float), neuron.intercept_[0], total=63)
    assert_array_equal(neuron.decision_function(np.zeros((1, 3))), neuron.intercept_)
    neuron.partial_fit(X[:20], Y[:20])
    literal.learn(X[:20], Y[:20], np.ones(20), C=1.0)
    assert_allclose(neuron.coef_[0], literal.w, rtol=1e-10)
    assert_allclose(neuron.intercept_, [literal.b], rtol=1e-10)


@pytest.mark.parametrize("solver", ["auto", "sgd"])
def test_fit_then_partial_fit_goes_on_from_the_fit(solver):
    neuron = stream(sgd(solver=solver, max_iter=4), X, Y)  # of which nothing is to be left
    anew = clone(neuron)
    for each in (neuron, anew):
        each.fit(X[:40], Y[:40], sample_weight=WEIGHT[:40], X_val=X, y_val=Y)
    assert_same(neuron, anew)
    assert vars(neuron).keys() == vars(anew).keys()
    literal = Literal(neuron.coef_[0], neuron.intercept_[0], total=WEIGHT[:40].sum())
    literal.loss_curve = list(neuron.loss_curve_)
    assert hasattr(neuron, "validation_loss_curve_")
    for rows in (slice(40, 50), slice(50, 63)):
        neuron.partial_fit(X[rows], Y[rows], sample_weight=WEIGHT[rows])
        literal.learn(X[rows], Y[rows], WEIGHT[rows], C=1.0)
        literal.assert_is(neuron)
        assert neuron.n_iter_ == len(neuron.loss_curve_)
    assert neuron.solver_ == "sgd"
    assert not hasattr(neuron, "validation_loss_curve_")
    assert not hasattr(neuron, "best_iter_")


@pytest.mark.parametrize("copied", [lambda n: pickle.loads(pickle.dumps(n)), copy.deepcopy])
@pytest.mark.parametrize("random_state", [3, np.random.RandomState(3)])
@pytest.mark.parametrize("learning_rate", ["auto", ETA])
def test_stored_in_the_middle_of_a_stream_it_goes_on_alike(copied, random_state, learning_rate):
    parameters = {"shuffle": True, "random_state": random_state, "learning_rate": learning_rate}
    part = X.astype(np.float32)
    neuron = stream(sgd(**parameters), 10 * part, Y, WEIGHT)
    other = copied(neuron)
    assert_same(stream(other, part, Y, WEIGHT), stream(neuron, part, Y, WEIGHT))
    assert other.loss_curve_ == neuron.loss_curve_
    assert other._stream.w.tobytes() == neuron._stream.w.tobytes()  # more than coef_ shows


def test_clone_in_the_middle_of_a_stream_is_a_new_neuron():
    neuron = stream(sgd(shuffle=True, random_state=0), X, Y, WEIGHT)
    other = clone(neuron)
    assert vars(other) == neuron.get_params()
    assert_same(stream(other, X, Y, WEIGHT), neuron)


def test_looking_between_chunks_changes_nothing():
    neuron, other = (sgd(shuffle=True, random_state=0, learning_rate="auto") for _ in range(2))
    for rows in chunks():
        neuron.partial_fit(X[rows], Y[rows], [0, 1])
        other.partial_fit(X[rows], Y[rows], [0, 1])
        z = X @ neuron.coef_[0] + neuron.intercept_[0]
        assert_allclose(neuron.predict_proba(X)[:, 1], expit(z), rtol=1e-12)
        assert_array_equal(neuron.predict(X), z > 0)
        neuron.loss_curve_.copy(), neuron.get_params(), repr(neuron), clone(neuron)
    assert_same(neuron, other)


def without_weight(neuron, how, container):
    """Pass a chunk that counts for nothing, by its samples' weights or by those of classes."""
    rows = container(X)
    if how == "sample_weight":
        return neuron.partial_fit(rows, Y, [0, 1], sample_weight=np.zeros(63))
    neuron.set_params(class_weight={0: 1.0, 1: 0.0})
    neuron.partial_fit(rows, np.ones(63), [0, 1], sample_weight=WEIGHT)
    return neuron.set_params(class_weight=None)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("how", ["sample_weight", "class_weight"])
@pytest.mark.parametrize("at", [0, 2])
def test_chunk_without_weight_changes_nothing(at, how, container):
    neuron, other = (sgd(shuffle=True, random_state=0, learning_rate="auto") for _ in range(2))
    for k, rows in enumerate(chunks()):
        if k == at:
            without_weight(neuron, how, container)
        for each in (neuron, other):
            each.partial_fit(X[rows], Y[rows], [0, 1], sample_weight=WEIGHT[rows])
    assert_same(neuron, other)
    assert neuron.loss_curve_ == other.loss_curve_
    assert neuron.n_iter_ == 4
    before = neuron.coef_.copy(), neuron.intercept_.copy(), list(neuron.loss_curve_)
    without_weight(neuron, how, container)
    assert_array_equal(neuron.coef_, before[0])
    assert_array_equal(neuron.intercept_, before[1])
    assert neuron.loss_curve_ == before[2]
    assert neuron.n_iter_ == 4


@pytest.mark.parametrize("learning_rate", ["auto", ETA])
def test_chunk_that_says_nothing_changes_nothing(learning_rate):
    """Without an intercept, rows of zeros are no information, and any step is safe for them."""
    neuron = sgd(C=np.inf, fit_intercept=False, learning_rate=learning_rate)
    other = stream(clone(neuron), X, Y)
    neuron.partial_fit(np.zeros((2, 3)), [0, 1], [0, 1])
    assert_array_equal(neuron.coef_, np.zeros((1, 3)))
    assert_same(stream(neuron, X, Y), other)


# --- labels, names and weights ---


def test_first_chunk_of_one_class_and_labels_that_are_strings():
    y = np.sort(np.where(Y == 1, "yes", "no"))  # the first chunk is of one class
    neuron = sgd(C=np.inf)
    for k, rows in enumerate(chunks()):
        neuron.partial_fit(X[rows], y[rows], ["yes", "no"] if k == 0 else None)
        assert neuron.classes_.tolist() == ["no", "yes"]
        z = X @ neuron.coef_[0] + neuron.intercept_[0]
        assert_array_equal(neuron.predict(X), np.where(z > 0, "yes", "no"))
    assert len(set(y[chunks()[0]])) == 1
    assert_same(neuron, sgd(C=np.inf, max_iter=1).fit(X, y))


def test_classes_may_be_said_again():
    neuron = sgd()
    for rows in chunks():
        neuron.partial_fit(X[rows], Y[rows], [1, 0])
    assert_same(neuron, stream(sgd(), X, Y))


@pytest.mark.parametrize("classes", [None, [0, 1]])
def test_soft_targets_need_no_classes(classes):
    neuron, literal = sgd(soft_targets=True), Literal()
    for rows in chunks():
        neuron.partial_fit(X[rows], SOFT[rows], classes)
        literal.learn(X[rows], SOFT[rows], np.ones(len(SOFT[rows])), C=1.0)
    literal.assert_is(neuron)
    assert neuron.classes_.tolist() == [0, 1]


def test_class_weights_are_those_of_samples():
    neuron = stream(sgd(class_weight={0: 3.0, 1: 0.5}), X, Y, WEIGHT)
    assert_same(neuron, stream(sgd(), X, Y, WEIGHT * np.where(Y == 1, 0.5, 3.0)))


def test_named_features():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    neuron = sgd()
    for rows in chunks():
        neuron.partial_fit(frame.iloc[rows], Y[rows], [0, 1])
        assert neuron.feature_names_in_.tolist() == ["a", "b", "c"]
        assert neuron.n_features_in_ == 3
    assert_same(neuron, stream(sgd(), X, Y))


def test_sample_weight_is_routed():
    y = np.arange(63) % 3
    with config_context(enable_metadata_routing=True):
        neuron = sgd().set_partial_fit_request(sample_weight=True)
        several = OneVsRestClassifier(neuron)
        for rows in chunks():
            several.partial_fit(X[rows], y[rows], [0, 1, 2], sample_weight=WEIGHT[rows])
    for label, of_label in enumerate(several.estimators_):
        assert_same(of_label, stream(sgd(), X, (y == label).astype(int), WEIGHT))


# --- malformed chunks ---


def state(neuron):
    """Return all there is in a neuron, the position of its random stream included."""
    return pickle.dumps(vars(neuron))


def assert_raises_and_changes_nothing(neuron, error, message, *args, **arguments):
    before, fitted = state(neuron), hasattr(neuron, "coef_")
    with pytest.raises(error, match=message):
        neuron.partial_fit(*args, **arguments)
    assert state(neuron) == before
    if not fitted:
        assert vars(neuron) == neuron.get_params()
        with pytest.raises(NotFittedError):
            neuron.predict(X)


def with_entry(array, entry):
    changed = np.array(array, dtype=np.float64)
    changed.flat[4] = entry
    return changed


BAD_CHUNKS = {
    "three classes": ({}, {"classes": [0, 1, 2]}, r"binary.*classes has 3 labels: \[0, 1, 2\]"),
    "one class": ({}, {"classes": [1, 1]}, r"classes has 1 labels: \[1\]"),
    "no class": ({}, {"classes": []}, r"classes has 0 labels"),
    "unknown label": ({}, {"y": with_entry(Y, 7)}, r"not among the classes \[0, 1\]: \[7\.0\]"),
    "unknown string": (
        {},
        {"y": np.where(Y == 1, "1", "0")},
        r"not among the classes \[0, 1\]: \['0', '1'\]",
    ),
    "y continuous": ({}, {"y": SOFT}, "Unknown label type: continuous"),
    "y NaN": ({}, {"y": with_entry(Y, np.nan)}, "Input y contains NaN"),
    "y None": ({}, {"y": None}, "requires y to be passed"),
    "y too short": ({}, {"y": Y[:-1]}, r"inconsistent numbers of samples: \[63, 62\]"),
    "soft target": ({"soft_targets": True}, {"y": with_entry(SOFT, 1.1)}, r"y in \[0, 1\].*1\.1"),
    "soft classes": (
        {"soft_targets": True},
        {"classes": ["a", "b"]},
        r"classes=\['a', 'b'\] is not the same",
    ),
    "X NaN": ({}, {"X": with_entry(X, np.nan)}, "Input X contains NaN"),
    "X NaN, F order": ({}, {"X": np.asfortranarray(with_entry(X, np.nan))}, "X contains NaN"),
    "X infinite": ({}, {"X": with_entry(X, np.inf)}, "Input X contains infinity"),
    "X NaN, float32": ({}, {"X": with_entry(X, np.nan).astype(np.float32)}, "X contains NaN"),
    "X NaN, batches": ({"batch_size": 8}, {"X": with_entry(X, np.nan)}, "Input X contains NaN"),
    "X NaN, sparse": ({}, {"X": sp.csr_array(with_entry(X, np.nan))}, "Input X contains NaN"),
    "X NaN, of no weight": (
        {"class_weight": {0: 0.0, 1: 1.0}},
        {"X": with_entry(X, np.nan), "y": np.zeros(63)},
        "Input X contains NaN",
    ),
    "X 1-d": ({}, {"X": X[:, 0]}, "Expected 2D array"),
    "X empty": ({}, {"X": X[:0], "y": Y[:0]}, r"0 sample\(s\)"),
    "weight NaN": ({}, {"sample_weight": with_entry(WEIGHT, np.nan)}, "sample_weight contains NaN"),
    "weight negative": ({}, {"sample_weight": -WEIGHT}, "Negative values in data"),
    "weight too short": ({}, {"sample_weight": WEIGHT[:-1]}, r"sample_weight\.shape == \(62,\)"),
    "early stopping": ({"early_stopping": True}, {}, "does not support early_stopping=True"),
    "balanced": ({"class_weight": "balanced"}, {}, "class_weight='balanced' is not supported"),
    "class unknown to class_weight": (
        {"class_weight": {0: 1.0, 2: 1.0}},
        {},
        r"The classes, \[1\], are not in class_weight",
    ),
    "class weight negative": ({"class_weight": {0: 1.0, 1: -1.0}}, {}, "negative or not finite"),
    "step too large": (
        {"learning_rate": 1e300},
        {"X": 1e9 * X},
        r"overflowed in pass 1: learning_rate=1e\+300 is too large",
    ),
    "squares overflow": (
        {"learning_rate": "auto"},
        {"X": 1e200 * X},
        "squares of the features, and they overflow",
    ),
}


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("begun", [False, True], ids=["first", "later"])
@pytest.mark.parametrize(
    ("parameters", "arguments", "message"), BAD_CHUNKS.values(), ids=BAD_CHUNKS
)
def test_malformed_chunk(begun, shuffle, parameters, arguments, message):
    neuron = sgd(shuffle=shuffle, random_state=0)
    if begun:
        stream(neuron, X, Y)
    neuron.set_params(**parameters)
    arguments = {"X": X, "y": Y, "classes": [0, 1], **arguments}
    assert_raises_and_changes_nothing(neuron, ValueError, message, **arguments)


def test_classes_must_be_said_with_the_first_chunk():
    message = "classes must be passed on the first call to partial_fit"
    assert_raises_and_changes_nothing(sgd(), ValueError, message, X, Y)


FRAME = pd.DataFrame(X, columns=["a", "b", "c"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": [0, 2]}, r"classes=\[0, 2\] is not the same as on last call"),
        ({"classes": ["0", "1"]}, r"classes=\['0', '1'\] is not the same as on last call"),
        ({"X": FRAME[["a", "b"]]}, "Feature names seen at fit time, yet now missing"),
        ({"X": FRAME[["b", "a", "c"]]}, "must be in the same order as they were in fit"),
        ({"X": FRAME.rename(columns={"a": "x"})}, "unseen at fit time:\n- x"),
    ],
)
def test_chunk_that_is_not_like_those_before(arguments, message):
    neuron = sgd(shuffle=True, random_state=0).partial_fit(FRAME, Y, [0, 1])
    arguments = {"X": FRAME, "y": Y, **arguments}
    assert_raises_and_changes_nothing(neuron, ValueError, message, **arguments)


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("n_features", [2, 4])
def test_chunk_of_other_width(container, n_features):
    neuron = stream(sgd(shuffle=True, random_state=0), X, Y)
    rows = container(np.ones((63, n_features)))
    message = f"X has {n_features} features, but BCENeuronClassifier is expecting 3 features"
    assert_raises_and_changes_nothing(neuron, ValueError, message, rows, Y)


def interrupted(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_stream_goes_on_after_a_chunk_that_failed_as_if_it_had_not_been(error, monkeypatch):
    neuron, other = (stream(sgd(shuffle=True, random_state=0), X, Y) for _ in range(2))
    neuron.set_params(learning_rate=1e300)
    with monkeypatch.context() as patch:
        if error is KeyboardInterrupt:
            patch.setattr(kernels(), "dense_sgd_pass", interrupted)
        with pytest.raises(error):
            neuron.partial_fit(1e9 * X, Y)
    neuron.set_params(learning_rate=ETA)
    assert_same(stream(neuron, X, Y), stream(other, X, Y))


# --- solvers that do not learn from streams ---


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_solvers_that_need_all_samples_have_no_partial_fit(solver):
    neuron = BCENeuronClassifier(solver=solver)
    assert not hasattr(neuron, "partial_fit")
    with pytest.raises(AttributeError) as raised:
        neuron.partial_fit(X, Y, [0, 1])
    assert f"solver={solver!r}" in str(raised.value.__cause__)
    assert hasattr(neuron.set_params(solver="sgd"), "partial_fit")


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_meta_estimators_see_that_there_is_none(solver):
    assert not hasattr(OneVsRestClassifier(BCENeuronClassifier(solver=solver)), "partial_fit")
    assert hasattr(OneVsRestClassifier(BCENeuronClassifier()), "partial_fit")
