"""`partial_fit` on a stream of chunks: the rule of the derivation, and equal to a pass of `fit`."""

import copy
import math
import pickle
import re
import warnings
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import each_value, every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from small_data import naming, random_data

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


def stream(model, X, y, weight=None, sizes=SIZES, classes=(0, 1)):
    """Learn from all chunks; the classes are given with the first chunk."""
    for rows in chunks(sizes):
        given = None if hasattr(model, "classes_") else classes
        model.partial_fit(X[rows], y[rows], given, None if weight is None else weight[rows])
    return model


def assert_same(model, other):
    assert_array_equal(model.coef_, other.coef_)
    assert_array_equal(model.intercept_, other.intercept_)


class Literal:
    """The rule in plain NumPy; the penalty is divided by the weight of all samples so far.

    A step for each sample is for batches of one sample in order.
    """

    def __init__(self, w=0.0, b=0.0, total=0.0, n_features=3):
        self.w, self.b, self.total = np.broadcast_to(w, n_features), float(b), total
        self.loss_curve = []

    def learn(self, X, y, s, eta=ETA, C=np.inf, l1_ratio=0.0, batch=1, order=None, intercept=True):
        self.total += s.sum()
        l2, l1 = (1 - l1_ratio) / (C * self.total), l1_ratio / (C * self.total)
        penalty, loss = l2 / 2 * np.sum(self.w**2) + l1 * np.sum(np.abs(self.w)), 0.0
        order = np.arange(len(y)) if order is None else order
        for rows in np.split(order, range(batch, len(order), batch)):
            z = X[rows] @ self.w + self.b
            loss += s[rows] @ (np.logaddexp(0, z) - y[rows] * z)
            error, class_weight_sums, step = (
                s[rows] * (y[rows] - expit(z)),
                s[rows].sum(),
                (eta if np.isscalar(eta) else eta[rows[0]]) / len(rows),
            )
            w = self.w + step * (error @ X[rows] - class_weight_sums * l2 * self.w)
            self.w = np.sign(w) * np.maximum(np.abs(w) - step * class_weight_sums * l1, 0.0)
            self.b += step * intercept * error.sum()
        self.loss_curve.append(loss / s.sum() + penalty)

    def assert_is(self, model, rtol=1e-10):
        assert_allclose(model.coef_[0], self.w, rtol=rtol, atol=1e-14)
        assert_allclose(model.intercept_, [self.b], rtol=rtol)
        assert_allclose(model.loss_curve_, self.loss_curve, rtol=rtol)


# --- a pass over all chunks is a pass of fit ---


@every_pair(
    pytest.mark.parametrize(
        ("parameters", "y", "weight"),
        [
            ({}, Y, None),
            ({}, Y, WEIGHT),
            ({"class_weight": {0: 2.0, 1: 0.3}}, Y, WEIGHT),
            ({"soft_targets": True}, SOFT, WEIGHT),
            ({"fit_intercept": False}, Y, WEIGHT),
        ],
        ids=["plain", "weights", "class weights", "soft", "no intercept"],
    ),
    pytest.mark.parametrize(("batch_size", "sizes"), [(1, [1, 30, 2, 30]), (8, SIZES)]),
    pytest.mark.parametrize("container", CONTAINERS),
)
def test_passes_over_the_chunks_are_passes_of_fit(
    container, batch_size, sizes, parameters, y, weight
):
    rows = container(X)
    model = sgd(C=np.inf, batch_size=batch_size, **parameters)
    for n_passes in (1, 2, 3):
        stream(model, rows, y, weight, sizes)
        at_once = clone(model).set_params(max_iter=n_passes)
        assert_same(model, at_once.fit(rows, y, sample_weight=weight))


@every_pair(
    pytest.mark.parametrize("penalty", [{}, {"l1_ratio": 0.5}, {"l1_ratio": 1}]),
    pytest.mark.parametrize("batch_size", [1, 8]),
    pytest.mark.parametrize("container", CONTAINERS),
)
def test_one_chunk_of_all_samples_is_a_pass_of_fit_with_any_penalty(container, batch_size, penalty):
    model = sgd(C=0.3, batch_size=batch_size, max_iter=1, **penalty)
    at_once = clone(model).fit(container(X), Y, sample_weight=WEIGHT)
    assert_same(stream(model, container(X), Y, WEIGHT, [63]), at_once)
    assert model.loss_curve_ == at_once.loss_curve_


@pytest.mark.parametrize("n_features", [3, 70])  # from 64 on the dense kernel goes by BLAS
def test_chunks_of_one_row_are_a_pass_of_fit(n_features):
    wide, y, weight = random_data(40, n_features)
    model = stream(sgd(C=np.inf), wide, y, weight, [1] * 40)
    assert_same(model, sgd(C=np.inf, max_iter=1).fit(wide, y, sample_weight=weight))


def test_auto_learns_from_streams_by_sgd():
    model = stream(sgd(solver="auto"), X, Y)
    assert model.solver_ == "sgd"
    assert_same(model, stream(sgd(), X, Y))


# --- the rule, written out ---


@every_pair(
    pytest.mark.parametrize(
        "parameters",
        [{"C": np.inf}, {"C": 0.3}, {"l1_ratio": 0.4}, {"l1_ratio": 1, "C": 0.05}],
    ),
    pytest.mark.parametrize("batch_size", [1, 8]),
    pytest.mark.parametrize("kinds", [CONTAINERS[:1], CONTAINERS[2:], CONTAINERS]),
)
def test_partial_fit_is_the_written_out_update_in_any_containers(kinds, batch_size, parameters):
    """Chunks have several containers; the loss curve has the losses before each update."""
    features, y, weight = random_data(63, 5, sparse=True)
    features = features.toarray()
    model, literal = sgd(batch_size=batch_size, **parameters), Literal(n_features=5)
    zeros = 0
    for k, rows in enumerate(chunks() * 3):
        part = kinds[k % len(kinds)](features[rows])
        model.partial_fit(part, y[rows], [0, 1], sample_weight=weight[rows])
        literal.learn(
            features[rows], y[rows], weight[rows], batch=batch_size, **{"C": 1.0, **parameters}
        )
        literal.assert_is(model)
        assert model.n_iter_[0] == len(model.loss_curve_) == k + 1
        assert model.converged_ is False
        zeros += np.count_nonzero(model.coef_ == 0)
    assert np.count_nonzero(model.coef_) > 0
    assert zeros > 0 or parameters.get("l1_ratio") != 1


@pytest.mark.parametrize("batch_size", [1, 8])
@pytest.mark.parametrize("seeded", [int, np.random.RandomState])
def test_chunks_are_shuffled_by_one_stream_of_permutations(seeded, batch_size):
    model = sgd(shuffle=True, random_state=seeded(5), batch_size=batch_size)
    literal, expected = Literal(), np.random.RandomState(5)
    for rows in chunks() * 2:
        model.partial_fit(X[rows], Y[rows], [0, 1])
        order = expected.permutation(rows.stop - rows.start)
        ones = np.ones(len(order))
        literal.learn(X[rows], Y[rows], ones, C=1.0, batch=batch_size, order=order)
        literal.assert_is(model)
    if seeded is not int:
        assert model.random_state.randint(2**30) == expected.randint(2**30)


# --- the automatic step ---


def gaussian_stream(n_samples=100_000, n_features=3, seed=0):
    """Independent standard columns, and labels that a logistic model draws."""
    rng = np.random.default_rng(seed)
    samples = rng.standard_normal((n_samples, n_features))
    w = 2 * rng.standard_normal(n_features) / np.sqrt(n_features)
    return samples, (rng.logistic(size=n_samples) < samples @ w).astype(int)


def imbalanced_stream():
    samples = np.random.default_rng(1).standard_normal((100_000, 10))
    z = samples @ np.linspace(-1, 1, 10) - 4
    return samples, (np.random.default_rng(2).logistic(size=100_000) < z).astype(int)


def dependent_stream():
    samples = gaussian_stream(n_features=20)[0]
    samples = 0.3 * samples + samples[:, :1]
    z = samples @ np.linspace(-1, 1, 20)
    return samples, (np.random.default_rng(2).logistic(size=100_000) < z).astype(int)


def rare_stream(n_samples=100_000):
    """Columns of 0 and 1, as of words; the rarest are in 1 of 1000 samples."""
    rng = np.random.default_rng(3)
    samples = (rng.random((n_samples, 40)) < np.geomspace(0.5, 0.001, 40)).astype(float)
    z = samples @ rng.standard_normal(40) - 0.3
    return samples, (rng.logistic(size=n_samples) < z).astype(int)


def heavy_tailed_stream():
    """Columns of infinite variance."""
    samples = np.random.default_rng(4).standard_t(2, size=(100_000, 10))
    z = samples @ np.linspace(-0.5, 0.5, 10)
    return samples, (np.random.default_rng(5).logistic(size=100_000) < z).astype(int)


STREAMS = {
    "independent": gaussian_stream,
    "of 50 columns": lambda: gaussian_stream(n_features=50),
    "imbalanced": imbalanced_stream,
    "dependent": dependent_stream,
    "rare": rare_stream,
    "heavy-tailed": heavy_tailed_stream,
}


def mean_loss(samples, y, coef, intercept):
    z = samples @ np.ravel(coef) + intercept
    return np.mean(np.logaddexp(0, z) - y * z)


def least_loss(samples, y):
    exact = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky").fit(samples, y)
    return mean_loss(samples, y, exact.coef_, exact.intercept_)


def learnt(samples, y, size=1000, **parameters):
    """Return an estimator that has learnt from chunks with its automatic step."""
    model = BCENeuronClassifier(**{"C": np.inf, "random_state": 0, **parameters})
    for start in range(0, len(y), size):
        model.partial_fit(samples[start : start + size], y[start : start + size], [0, 1])
    return model


def gap(model, samples, y):
    """Return by how much the mean loss of a model is above the least mean loss."""
    return mean_loss(samples, y, model.coef_, model.intercept_) - least_loss(samples, y)


@pytest.mark.parametrize("name", STREAMS)
def test_stream_of_100_chunks_ends_near_the_minimum(name):
    samples, y = STREAMS[name]()
    assert gap(learnt(samples, y), samples, y) < 0.01


@pytest.mark.parametrize("batch_size", [8, 100, 1000])
def test_stream_of_batches_ends_near_the_minimum(batch_size):
    samples, y = gaussian_stream(n_features=50)
    assert gap(learnt(samples, y, batch_size=batch_size), samples, y) < 0.01


@pytest.mark.parametrize("size", [1, 7, 100, 20_000])
def test_size_of_the_chunks_does_not_matter(size):
    samples, y = gaussian_stream(20_000 if size >= 100 else 2000)
    assert gap(learnt(samples, y, size), samples, y) < 0.025


@each_value(
    pytest.mark.parametrize("batch_size", [1, 32]),
    pytest.mark.parametrize("rows", [[5], np.arange(5, 30_000, 3000), np.arange(3, 30_000, 30)]),
)
def test_outliers_do_not_stop_a_stream(rows, batch_size):
    """Up to one sample in 30 has a value of 1e9."""
    samples, y = gaussian_stream(30_000)
    spoilt = samples.copy()
    spoilt[rows, 1] = 1e9
    assert gap(learnt(spoilt, y, 300, batch_size=batch_size), samples, y) < 0.02


def test_outlier_alone_in_the_first_chunk_does_not_stop_a_stream():
    samples, y = gaussian_stream(1000)
    spoilt = samples.copy()
    spoilt[0] = 1e9
    assert gap(learnt(spoilt, y, size=1), samples, y) < 0.05


def test_stream_follows_the_norms_of_its_samples():
    """Samples of norms that have fallen a hundredfold get larger steps."""
    samples, y = gaussian_stream(20_000)
    model = learnt(100 * samples, y)
    steps = model._stream.levels
    for start in range(0, 20_000, 1000):
        model.partial_fit(samples[start : start + 1000], y[start : start + 1000])
    assert gap(model, samples, y) < 0.02
    assert steps[0].min() > model._stream.levels[0].min()


def test_weights_of_a_rare_class_are_learnt():
    """With a class weight of 30 for the rare class the stream minimises the weighted loss."""
    samples, y = imbalanced_stream()
    model = learnt(samples, y, class_weight={0: 1.0, 1: 30.0})
    exact = LogisticRegression(C=np.inf, tol=1e-12, class_weight={0: 1.0, 1: 30.0})
    exact.fit(samples, y)
    weight = np.where(y == 1, 30.0, 1.0)
    losses = []
    for coef, intercept in ((model.coef_, model.intercept_), (exact.coef_, exact.intercept_)):
        z = samples @ coef[0] + intercept
        losses.append(np.average(np.logaddexp(0, z) - y * z, weights=weight))
    assert losses[0] - losses[1] < 0.01


class LiteralSteps:
    """The steps of a stream of single updates, sample by sample, in plain Python."""

    def __init__(self, n_samples=0.0):
        self.n_samples, self.weight_of = n_samples, {}

    def of_chunk(self, X, s, l2, intercept):
        constants = [float(si * ((x @ x + intercept) / 4 + l2)) for x, si in zip(X, s, strict=True)]
        weights = {k: w * math.exp(-len(s) / 2000) for k, w in self.weight_of.items()}
        for constant, si in zip(constants, s, strict=True):
            k = math.floor(math.log2(constant)) + 1
            weights[k] = weights.get(k, 0.0) + si
        self.weight_of, total, cumulative = weights, sum(weights.values()), 0.0
        for k in sorted(weights):
            cumulative += weights[k]
            if cumulative >= 0.95 * total:
                break
        of_quantile, steps = 2 ** (k - 0.5), []
        for constant in constants:
            factor = 1 / math.sqrt(1 + self.n_samples / 300)
            steps.append(min(factor / of_quantile, 1 / constant))
            self.n_samples += 1
        return np.array(steps)


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("fit_intercept", [True, False])
def test_automatic_steps_are_the_written_out_ones(fit_intercept, descending):
    """Rows of large norm come first or last."""
    raw, y = load_breast_cancer(return_X_y=True)
    by_norm = np.argsort(np.linalg.norm(raw, axis=1))[:: -1 if descending else 1]
    raw, y = raw[by_norm], y[by_norm]
    weight = np.random.default_rng(0).uniform(0.5, 1.5, len(y))
    model, literal = sgd(learning_rate="auto", fit_intercept=fit_intercept), Literal(n_features=30)
    steps = LiteralSteps()
    for rows in chunks([100, 150, 200, 119]) * 2:
        part, s = raw[rows], weight[rows]
        model.partial_fit(part, y[rows], [0, 1], sample_weight=s)
        l2 = 1 / (literal.total + s.sum())
        eta = steps.of_chunk(part, s, l2, fit_intercept)
        literal.learn(part, y[rows], s, eta, C=1.0, intercept=fit_intercept)
        literal.assert_is(model, rtol=1e-8)


def test_stream_after_a_fit_goes_on_with_small_steps():
    """The samples of the fit count: the weights stay near the minimum."""
    samples, y = gaussian_stream(20_000)
    model = BCENeuronClassifier(C=np.inf, random_state=0).fit(samples[:19_000], y[:19_000])
    steps = LiteralSteps(19_000.0).of_chunk(samples[19_000:], np.ones(1000), 0.0, True)
    literal = Literal(model.coef_[0], model.intercept_[0], total=19_000)
    literal.learn(samples[19_000:], y[19_000:], np.ones(1000), steps)
    model.set_params(shuffle=False).partial_fit(samples[19_000:], y[19_000:])
    assert_allclose(model.coef_[0], literal.w, rtol=1e-9)
    assert gap(model, samples, y) < 0.01  # 0.05 with the steps of a new stream


@pytest.mark.parametrize("batch_size", [1, 16, 1000])
def test_automatic_step_does_not_blow_up_on_raw_units(batch_size):
    raw, y = load_breast_cancer(return_X_y=True)
    model = sgd(learning_rate="auto", batch_size=batch_size, shuffle=True, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # see below
        for _ in range(20):
            stream(model, raw, y, sizes=[100, 150, 200, 119])
    assert np.mean(model.loss_curve_[-4:]) < np.log(2)
    assert model.score(raw, y) > y.mean() > 0.5


# --- a stream that cannot learn ---


@pytest.mark.parametrize("name", [*STREAMS, "words"])
def test_stream_that_learns_does_not_warn(name):
    """Among them streams with rare columns, which are learnt late; warnings are errors."""
    samples, y = rare_stream(20_000) if name == "words" else STREAMS[name]()
    if name == "words":  # rows of norm 1, as of tf-idf
        samples = sp.csr_array(samples / np.maximum(np.linalg.norm(samples, axis=1), 1)[:, None])
    learnt(samples[:20_000], y[:20_000], 500)


def unscaled_stream():
    """An income in dollars, an age, and a column of 0 and 1, which all matter."""
    rng = np.random.default_rng(0)
    income, age = rng.lognormal(10.5, 0.5, 20_000), rng.uniform(20, 80, 20_000)
    married = rng.integers(0, 2, 20_000)
    z = (income - 40_000) / 20_000 + (age - 50) / 10 + 2 * married - 1
    frame = pd.DataFrame({"income": income, "age": age, "married": married})
    return frame, (rng.logistic(size=20_000) < z).astype(int)


@pytest.mark.parametrize("named", [True, False])
def test_stream_in_raw_units_warns_of_the_features_that_it_does_not_learn(named):
    samples, y = unscaled_stream()
    samples = samples if named else samples.to_numpy()
    with pytest.warns(ConvergenceWarning) as caught:
        learnt(samples, y, 500)
    assert len(caught) <= 4  # each time that the number of samples has doubled
    message = str(caught[0].message)
    age, married = ("age", "married") if named else ("1", "2")
    assert re.search(rf"much larger: .*\b{age}\b", message)
    assert re.search(rf"much larger: .*\b{married}\b", message)
    assert "Scale the features" in message
    assert Path(caught[0].filename) == Path(__file__)


def test_scaled_stream_does_not_warn_and_a_number_is_the_users_own_choice():
    samples, y = unscaled_stream()
    learnt((samples - samples.mean()) / samples.std(), y, 500)
    learnt(samples, y, 500, learning_rate=1e-12)


def test_stream_that_outliers_fill_warns():
    samples, y = gaussian_stream(20_000)
    samples[::8, 1] = 1e9
    with pytest.warns(ConvergenceWarning, match=r"much larger: .*\b0\b.*clip outliers"):
        learnt(samples, y, 500)


def test_warning_that_is_an_error_leaves_no_trace_in_the_stream():
    samples, y = unscaled_stream()
    model = BCENeuronClassifier(random_state=0).partial_fit(samples[:1000], y[:1000], [0, 1])
    before = state(model)
    with pytest.raises(ConvergenceWarning):
        model.partial_fit(samples[1000:3000], y[1000:3000])
    assert state(model) == before


# --- what is kept between chunks ---


def test_float32_keeps_double_precision_between_chunks():
    """Updates that are below the rounding of float32 weights add up."""
    single = X.astype(np.float32)
    model = sgd(C=np.inf, learning_rate=1e-8).partial_fit(single, Y, [0, 1])
    start = np.array([[-1.0, -2.0, 1.0]], dtype=np.float32)  # wrong about most samples
    model.coef_, literal = start.copy(), Literal(start[0], model.intercept_[0])
    for row in list(range(63)) * 10:
        model.partial_fit(single[[row]], Y[[row]])
        literal.learn(single[[row]].astype(float), Y[[row]], np.ones(1), eta=1e-8)
    assert model.coef_.dtype == model.intercept_.dtype == np.float32
    assert_allclose(model.coef_[0], literal.w, rtol=1e-7)
    assert_allclose(model.intercept_[0], literal.b, rtol=1e-6)
    assert np.all(np.abs(model.coef_ / start - 1) > 5e-7)


def test_chunks_of_both_precisions_go_on_from_each_other():
    model, literal = sgd(), Literal()
    for k, rows in enumerate(chunks() * 2):
        dtype = [np.float32, np.float64][k % 2]
        part = X[rows].astype(dtype)
        model.partial_fit(part, Y[rows], [0, 1], sample_weight=WEIGHT[rows])
        literal.learn(part.astype(float), Y[rows], WEIGHT[rows], C=1.0)
        assert model.coef_.dtype == dtype
    literal.assert_is(model)


def scale_in_place(model):
    model.coef_ *= 2.0


def replace_weights(model):
    model.coef_ = np.array([[1.0, -2.0, 3.0]])


def replace_intercept(model):
    model.intercept_ = np.array([0.7])


@each_value(
    pytest.mark.parametrize("change", [scale_in_place, replace_weights, replace_intercept]),
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
)
def test_weights_changed_by_hand_are_gone_on_from(change, dtype):
    model = stream(sgd(), X.astype(dtype), Y)
    change(model)
    literal = Literal(model.coef_[0].astype(float), model.intercept_[0], total=63)
    assert_array_equal(model.decision_function(np.zeros((1, 3))), model.intercept_)
    model.partial_fit(X[:20], Y[:20])
    literal.learn(X[:20], Y[:20], np.ones(20), C=1.0)
    assert_allclose(model.coef_[0], literal.w, rtol=1e-10)
    assert_allclose(model.intercept_, [literal.b], rtol=1e-10)


@pytest.mark.filterwarnings("ignore:solver='auto', which is 'newton' here, ignores")
@pytest.mark.parametrize("solver", ["auto", "sgd"])
def test_fit_then_partial_fit_goes_on_from_the_fit(solver):
    model = stream(sgd(solver=solver, max_iter=4), X, Y)  # of which nothing is to be left
    anew = clone(model)
    for each in (model, anew):
        each.fit(X[:40], Y[:40], sample_weight=WEIGHT[:40], X_val=X, y_val=Y)
    assert_same(model, anew)
    assert vars(model).keys() == vars(anew).keys()
    literal = Literal(model.coef_[0], model.intercept_[0], total=WEIGHT[:40].sum())
    literal.loss_curve = list(model.loss_curve_)
    assert hasattr(model, "validation_loss_curve_")
    for rows in (slice(40, 50), slice(50, 63)):
        model.partial_fit(X[rows], Y[rows], sample_weight=WEIGHT[rows])
        literal.learn(X[rows], Y[rows], WEIGHT[rows], C=1.0)
        literal.assert_is(model)
        assert model.n_iter_[0] == len(model.loss_curve_)
    assert model.solver_ == "sgd"
    assert not hasattr(model, "validation_loss_curve_")
    assert not hasattr(model, "best_iter_")


@every_pair(
    pytest.mark.parametrize("copied", [lambda n: pickle.loads(pickle.dumps(n)), copy.deepcopy]),
    pytest.mark.parametrize("random_state", [3, np.random.RandomState(3)]),
    pytest.mark.parametrize("learning_rate", ["auto", ETA]),
)
def test_copy_made_in_the_middle_of_a_stream_goes_on_alike(copied, random_state, learning_rate):
    parameters = {"shuffle": True, "random_state": random_state, "learning_rate": learning_rate}
    part = X.astype(np.float32)
    model = stream(sgd(**parameters), 10 * part, Y, WEIGHT)
    other = copied(model)
    assert_same(stream(other, part, Y, WEIGHT), stream(model, part, Y, WEIGHT))
    assert other.loss_curve_ == model.loss_curve_
    assert other._stream.w.tobytes() == model._stream.w.tobytes()  # more than coef_ shows


def test_clone_in_the_middle_of_a_stream_is_unfitted():
    model = stream(sgd(shuffle=True, random_state=0), X, Y, WEIGHT)
    other = clone(model)
    assert vars(other) == model.get_params()
    assert_same(stream(other, X, Y, WEIGHT), model)


def test_predictions_between_chunks_change_nothing():
    model, other = (sgd(shuffle=True, random_state=0, learning_rate="auto") for _ in range(2))
    for rows in chunks():
        model.partial_fit(X[rows], Y[rows], [0, 1])
        other.partial_fit(X[rows], Y[rows], [0, 1])
        z = X @ model.coef_[0] + model.intercept_[0]
        assert_allclose(model.predict_proba(X)[:, 1], expit(z), rtol=1e-12)
        assert_array_equal(model.predict(X), z > 0)
        model.loss_curve_.copy(), model.get_params(), repr(model), clone(model)
    assert_same(model, other)


def without_weight(model, how, container):
    """Pass a chunk of total weight 0, by sample weights or by class weights."""
    rows = container(X)
    if how == "sample_weight":
        return model.partial_fit(rows, Y, [0, 1], sample_weight=np.zeros(63))
    model.set_params(class_weight={0: 1.0, 1: 0.0})
    model.partial_fit(rows, np.ones(63), [0, 1], sample_weight=WEIGHT)
    return model.set_params(class_weight=None)


@every_pair(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("how", ["sample_weight", "class_weight"]),
    pytest.mark.parametrize("at", [0, 2]),
)
def test_chunk_without_weight_changes_nothing(at, how, container):
    model, other = (sgd(shuffle=True, random_state=0, learning_rate="auto") for _ in range(2))
    for k, rows in enumerate(chunks()):
        if k == at:
            without_weight(model, how, container)
        for each in (model, other):
            each.partial_fit(X[rows], Y[rows], [0, 1], sample_weight=WEIGHT[rows])
    assert_same(model, other)
    assert model.loss_curve_ == other.loss_curve_
    assert model.n_iter_[0] == 4
    before = model.coef_.copy(), model.intercept_.copy(), list(model.loss_curve_)
    without_weight(model, how, container)
    assert_array_equal(model.coef_, before[0])
    assert_array_equal(model.intercept_, before[1])
    assert model.loss_curve_ == before[2]
    assert model.n_iter_[0] == 4


@pytest.mark.parametrize("learning_rate", ["auto", ETA])
def test_rows_of_zeros_without_an_intercept_change_nothing(learning_rate):
    """Without an intercept the loss of a row of zeros is constant, and any step is safe."""
    model = sgd(C=np.inf, fit_intercept=False, learning_rate=learning_rate)
    other = stream(clone(model), X, Y)
    model.partial_fit(np.zeros((2, 3)), [0, 1], [0, 1])
    assert_array_equal(model.coef_, np.zeros((1, 3)))
    assert_same(stream(model, X, Y), other)


# --- labels, names and weights ---


def test_first_chunk_may_have_one_class_of_string_labels():
    y = np.sort(np.where(Y == 1, "yes", "no"))  # the first chunk is of one class
    model = sgd(C=np.inf)
    for k, rows in enumerate(chunks()):
        model.partial_fit(X[rows], y[rows], ["yes", "no"] if k == 0 else None)
        assert model.classes_.tolist() == ["no", "yes"]
        z = X @ model.coef_[0] + model.intercept_[0]
        assert_array_equal(model.predict(X), np.where(z > 0, "yes", "no"))
    assert len(set(y[chunks()[0]])) == 1
    assert_same(model, sgd(C=np.inf, max_iter=1).fit(X, y))


def test_classes_may_be_passed_with_every_chunk():
    model = sgd()
    for rows in chunks():
        model.partial_fit(X[rows], Y[rows], [1, 0])
    assert_same(model, stream(sgd(), X, Y))


@pytest.mark.parametrize("classes", [None, [0, 1]])
def test_soft_targets_need_no_classes(classes):
    model, literal = sgd(soft_targets=True), Literal()
    for rows in chunks():
        model.partial_fit(X[rows], SOFT[rows], classes)
        literal.learn(X[rows], SOFT[rows], np.ones(len(SOFT[rows])), C=1.0)
    literal.assert_is(model)
    assert model.classes_.tolist() == [0, 1]


def test_class_weights_are_those_of_samples():
    model = stream(sgd(class_weight={0: 3.0, 1: 0.5}), X, Y, WEIGHT)
    assert_same(model, stream(sgd(), X, Y, WEIGHT * np.where(Y == 1, 0.5, 3.0)))


def test_feature_names_of_chunks_are_kept():
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    model = sgd()
    for rows in chunks():
        model.partial_fit(frame.iloc[rows], Y[rows], [0, 1])
        assert model.feature_names_in_.tolist() == ["a", "b", "c"]
        assert model.n_features_in_ == 3
    assert_same(model, stream(sgd(), X, Y))


def test_sample_weight_is_routed_to_partial_fit():
    y = np.arange(63) % 3
    with config_context(enable_metadata_routing=True):
        model = sgd().set_partial_fit_request(sample_weight=True)
        several = OneVsRestClassifier(model)
        for rows in chunks():
            several.partial_fit(X[rows], y[rows], [0, 1, 2], sample_weight=WEIGHT[rows])
    for label, of_label in enumerate(several.estimators_):
        assert_same(of_label, stream(sgd(), X, (y == label).astype(int), WEIGHT))


# --- malformed chunks ---


def state(model):
    """Return all attributes of an estimator, with the state of its random generator."""
    return pickle.dumps(vars(model))


def assert_raises_and_changes_nothing(model, error, message, *args, **arguments):
    before, fitted = state(model), hasattr(model, "coef_")
    with pytest.raises(error, match=message):
        model.partial_fit(*args, **arguments)
    assert state(model) == before
    if not fitted:
        assert vars(model) == model.get_params()
        with pytest.raises(NotFittedError):
            model.predict(X)


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
        "squares of the features, which overflow",
    ),
}


@every_pair(
    pytest.mark.parametrize("shuffle", [True, False]),
    pytest.mark.parametrize("begun", [False, True], ids=["first", "later"]),
)
def test_malformed_chunk_is_refused_and_changes_nothing(begun, shuffle):
    for name, (parameters, arguments, message) in BAD_CHUNKS.items():
        model = sgd(shuffle=shuffle, random_state=0)
        if begun:
            stream(model, X, Y)
        model.set_params(**parameters)
        arguments = {"X": X, "y": Y, "classes": [0, 1], **arguments}
        with naming(name):
            assert_raises_and_changes_nothing(model, ValueError, message, **arguments)


def test_first_chunk_without_classes_is_an_error():
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
def test_chunk_with_other_classes_or_names_is_refused(arguments, message):
    model = sgd(shuffle=True, random_state=0).partial_fit(FRAME, Y, [0, 1])
    arguments = {"X": FRAME, "y": Y, **arguments}
    assert_raises_and_changes_nothing(model, ValueError, message, **arguments)


@each_value(
    pytest.mark.parametrize("container", CONTAINERS),
    pytest.mark.parametrize("n_features", [2, 4]),
)
def test_chunk_of_another_number_of_features_is_refused(container, n_features):
    model = stream(sgd(shuffle=True, random_state=0), X, Y)
    rows = container(np.ones((63, n_features)))
    message = f"X has {n_features} features, but BCENeuronClassifier is expecting 3 features"
    assert_raises_and_changes_nothing(model, ValueError, message, rows, Y)


def interrupted(*arguments):
    raise KeyboardInterrupt


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_chunk_that_fails_leaves_no_trace_in_the_stream(error, monkeypatch):
    model, other = (stream(sgd(shuffle=True, random_state=0), X, Y) for _ in range(2))
    model.set_params(learning_rate=1e300)
    with monkeypatch.context() as patch:
        if error is KeyboardInterrupt:
            patch.setattr(kernels(), "dense_sgd_pass", interrupted)
        with pytest.raises(error):
            model.partial_fit(1e9 * X, Y)
    model.set_params(learning_rate=ETA)
    assert_same(stream(model, X, Y), stream(other, X, Y))


# --- solvers that do not learn from streams ---


@pytest.mark.parametrize(
    ("parameters", "obstacle"),
    [
        ({"solver": "newton"}, "solver='newton'"),
        ({"solver": "gd"}, "solver='gd'"),
        ({"early_stopping": True}, "early_stopping=True"),
        ({"standardize": True}, "standardize=True"),
        ({"coef_bounds": (0, 1)}, "coef_bounds"),
    ],
)
def test_what_needs_all_samples_has_no_partial_fit_and_says_why(parameters, obstacle):
    model = sgd(**parameters)
    assert not hasattr(model, "partial_fit")
    message = f"has no attribute 'partial_fit': .*{obstacle}"
    with pytest.raises(AttributeError, match=message):
        model.partial_fit(X, Y, [0, 1])
    with pytest.raises(AttributeError, match=message):
        BCENeuronClassifier.partial_fit(model, X, Y, [0, 1])
    assert hasattr(model.set_params(**sgd().get_params()), "partial_fit")
    of_class = BCENeuronClassifier.partial_fit(model, X, Y, [0, 1]).coef_
    assert_array_equal(of_class, sgd().partial_fit(X, Y, [0, 1]).coef_)


@pytest.mark.parametrize("solver", ["newton", "gd"])
def test_meta_estimators_have_partial_fit_only_with_sgd(solver):
    assert not hasattr(OneVsRestClassifier(BCENeuronClassifier(solver=solver)), "partial_fit")
    assert hasattr(OneVsRestClassifier(BCENeuronClassifier()), "partial_fit")
