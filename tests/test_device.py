"""Arrays of other libraries are fitted, and predicted for, where they are.

The libraries are array-api-strict, on its three devices, and torch and CuPy where they are
installed, on the processor and on a GPU. Expected values are those of fits of float64 on the host,
by this package or by `LogisticRegression`.
"""

import os
import pickle
import subprocess
import sys
from contextlib import contextmanager
from copy import copy, deepcopy
from dataclasses import replace
from unittest import SkipTest

import numpy as np
import pytest
import sklearn
from scipy.special import expit
from sklearn import config_context
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.fixes import parse_version

from sklearn_bce import (
    BCENeuronClassifier,
    BCENeuronClassifierCV,
    fit_from_chunks,
    l1_min_c,
    regularization_path,
)
from sklearn_bce._objective.device_samples import ArrayLibrary, DeviceSamples
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.on_device import DeviceObjective
from sklearn_bce._objective.penalty import ElasticNet

if parse_version(sklearn.__version__) < parse_version("1.9"):
    pytest.skip("scikit-learn dispatches on arrays from 1.9 on", allow_module_level=True)
strict = pytest.importorskip("array_api_strict")
try:
    import torch
except ImportError:
    torch = None
try:
    import cupy
except ImportError:
    cupy = None

HAS_CUDA = torch is not None and torch.cuda.is_available()


class Place:
    """A library and a device, with conversions from and to NumPy."""

    def __init__(self, name):
        self.name, (library, _, device) = name, name.partition(":")
        self.module = {"strict": strict, "torch": torch, "cupy": cupy}[library]
        self.device = strict.Device(device) if library == "strict" else device

    def array(self, values):
        if self.module is cupy:
            return cupy.asarray(values)
        return self.module.asarray(np.asarray(values), device=self.device)

    def has(self, values):
        """Return whether values are an array of this library, on this device."""
        if self.module is torch:
            return isinstance(values, torch.Tensor) and values.device.type == self.device
        if self.module is cupy:
            return isinstance(values, cupy.ndarray)
        return isinstance(values, type(strict.asarray(0))) and values.device == self.device

    def numpy(self, values):
        assert self.has(values)
        if self.module is torch:
            return values.cpu().numpy()
        if self.module is cupy:
            return values.get()
        return np.asarray(strict.asarray(values, device=strict.Device("CPU_DEVICE")))


NAMES = ["strict:CPU_DEVICE", "strict:device1"]
NAMES += ["torch:cpu"] if torch is not None else []
NAMES += ["torch:cuda"] if HAS_CUDA else []
NAMES += ["cupy:"] if cupy is not None else []
PLACES = [Place(name) for name in NAMES]
TORCH = [place for place in PLACES if place.module is torch]


@pytest.fixture(autouse=True)
def _scipy_array_api(monkeypatch):
    """Pretend that SciPy was imported with this variable: nothing here uses SciPy on a device."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")


@pytest.fixture(params=PLACES, ids=NAMES)
def place(request):
    return request.param


def dispatching():
    return config_context(array_api_dispatch=True)


def data(n=400, p=4, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p)) @ (np.eye(p) + 0.3 * rng.normal(size=(p, p)))
    y = (rng.random(n) < expit(X @ rng.normal(size=p) + 0.5)).astype(np.int64)
    return X.astype(dtype), y


def loss(X, y, w, b, weight=None):
    """Return the mean cross-entropy of labels in extended precision."""
    z = X.astype(np.longdouble) @ np.ravel(w).astype(np.longdouble) + np.longdouble(np.ravel(b)[0])
    return np.average(np.logaddexp(0, np.where(y == 1, -z, z)), weights=weight)


def objective(X, y, w, b, C=1.0):
    w = np.ravel(w).astype(np.longdouble)
    return loss(X, y, w, b) + w @ w / (2 * C * len(y))


# ----- agreement with the host --------------------------------------------------------------------

RNG = np.random.default_rng(1)
WEIGHT, OFFSET = RNG.integers(0, 4, 400).astype(float), RNG.normal(size=400)
SETTINGS = {
    "defaults": {},
    "no intercept": {"fit_intercept": False},
    "weak penalty": {"C": 1e4},
    "no penalty": {"C": np.inf},
    "balanced": {"class_weight": "balanced"},
    "class weights": {"class_weight": {0: 0.5, 1: 3.0}},
    "standardised": {"standardize": True, "C": 0.01},
    "l1": {"l1_ratio": 1.0, "C": 0.1},
    "elastic net": {"l1_ratio": 0.5, "C": 0.05, "class_weight": "balanced"},
    "factors": {"penalty_factor": [0.0, 1.0, np.inf, 2.0], "C": 0.1},
    "bounds": {"coef_bounds": (0, 0.5)},
    "soft": {"soft_targets": True, "class_weight": {0: 1.0, 1: 2.0}},
    "gd": {"solver": "gd", "max_iter": 100_000, "tol": 1e-14, "n_iter_no_change": 20},
    "gd with l1": {"solver": "gd", "l1_ratio": 1.0, "C": 0.1, "max_iter": 100_000, "tol": 1e-14},
}
ARGUMENTS = {
    "": {},
    "weights": {"sample_weight": WEIGHT},
    "offset": {"offset": OFFSET},
    "both": {"sample_weight": 1e-40 * WEIGHT, "offset": OFFSET},
}


@pytest.mark.parametrize("given", ARGUMENTS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_fit_ends_where_the_fit_on_the_host_ends(setting, given, place):
    X, y = data()
    settings = {"tol": 1e-13} | SETTINGS[setting]
    target = (
        np.clip(0.8 * y + 0.1 * np.abs(np.sin(np.arange(400))), 0, 1) if "soft" in setting else y
    )
    arguments = dict(ARGUMENTS[given])
    if given == "both" and setting not in {"no penalty"}:
        arguments["sample_weight"] = WEIGHT
    host = BCENeuronClassifier(**settings).fit(X, target, **arguments)
    moved = {name: place.array(values) for name, values in arguments.items()}
    with dispatching():
        neuron = BCENeuronClassifier(**settings).fit(place.array(X), place.array(target), **moved)
    assert neuron.converged_
    tol = 2e-4 if "gd" in setting else 1e-5
    assert place.numpy(neuron.coef_) == pytest.approx(host.coef_, rel=tol, abs=tol)
    assert place.numpy(neuron.intercept_) == pytest.approx(host.intercept_, rel=tol, abs=tol)
    assert neuron.loss_curve_[-1] == pytest.approx(host.loss_curve_[-1], abs=1e-11)


def test_fit_ends_where_logistic_regression_ends(place):
    X, y = data()
    peer = LogisticRegression(tol=1e-12, solver="newton-cholesky").fit(X, y)
    with dispatching():
        neuron = BCENeuronClassifier(tol=1e-13).fit(place.array(X), place.array(y))
    assert place.numpy(neuron.coef_) == pytest.approx(peer.coef_, rel=1e-6)
    assert place.numpy(neuron.intercept_) == pytest.approx(peer.intercept_, rel=1e-6)


@pytest.mark.parametrize("shift", [0.0, 1e2, 1e4])
@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e4])
def test_float32_reaches_the_minimum_of_the_rounded_samples(shift, scale, place):
    n, p = 30_000, 40  # more than is converted to float64
    X, y = data(n, p)
    X = (scale * (X + shift)).astype(np.float32)
    host = BCENeuronClassifier(tol=1e-13, C=1e3).fit(X.astype(np.float64), y)
    with dispatching():
        # At this tol weights are stored in float32 only if that costs at most 1e-9 nats.
        neuron = BCENeuronClassifier(C=1e3, tol=1e-7).fit(place.array(X), place.array(y))
    assert neuron.converged_
    w, b = place.numpy(neuron.coef_), place.numpy(neuron.intercept_)
    above = objective(X, y, w, b, 1e3) - objective(X, y, host.coef_, host.intercept_, 1e3)
    assert above <= 2e-9


def test_units_do_not_change_the_number_of_passes(place):
    X, y = data(30_000, 10)
    passes = []
    for unit in (np.ones(10), 10.0 ** np.linspace(-3, 4, 10)):
        with dispatching():
            neuron = BCENeuronClassifier(C=np.inf).fit(place.array(X * unit), place.array(y))
        passes.append(neuron.n_passes_)
    assert passes[0] == pytest.approx(passes[1], abs=1)


def both_objectives(soft, far, weighted, n=1000, p=5, outlier=0.0):
    """Return F over the same samples on the host and on a device, in the same coordinates."""
    X, y = data(n, p)
    X = X + (1e5 if far else 2.0)
    X[7, 0] += outlier
    rng = np.random.default_rng(2)
    y = np.clip(0.8 * y + 0.2 * rng.random(n), 0, 1) if soft else y.astype(float)
    weight = 0.5 * rng.integers(0, 4, n) if weighted else np.ones(n)
    weight[7] = 1.0
    offset = rng.normal(size=n) if weighted else None
    place = Place("strict:device1")
    dtypes = {np.dtype(np.float32): strict.float32, np.dtype(np.float64): strict.float64}
    library = ArrayLibrary(strict, place.device, dtypes, place.numpy)
    moved = [None if each is None else place.array(each) for each in (X, y, weight, offset)]
    samples = DeviceSamples(
        library, *moved[:2], moved[2] if weighted else None, 1.0, moved[3], is_soft=soft
    )
    penalty = ElasticNet.of(0.1, 0.3, float(weight.sum()))
    host = InMemoryObjective.in_user_units(X, y, weight, penalty, True, offset=offset)
    device = DeviceObjective.in_user_units(samples, penalty, True)
    coordinates = host.standardised().coordinates
    found = device.standardised().coordinates
    assert found.shift == pytest.approx(coordinates.shift, rel=1e-12)
    assert found.scale == pytest.approx(coordinates.scale, rel=1e-9)
    return host.in_coordinates(coordinates), device.in_coordinates(coordinates), place


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("far", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_objective_on_a_device_has_the_numbers_of_the_host(soft, far, weighted, monkeypatch):
    monkeypatch.setattr("sklearn_bce._objective.device_samples.DEVICE_BLOCK_ROWS", 300)
    host, device, place = both_objectives(soft, far, weighted)
    rng = np.random.default_rng(3)
    theta, d = rng.normal(size=(2, 6))
    subset = np.array([0, 2, 3, 5])

    def same(ours, expected, tol=1e-9):
        assert np.asarray(ours) == pytest.approx(np.asarray(expected), rel=tol, abs=tol)

    a, b = (each.evaluate(theta, hessian=True) for each in (device, host))
    for name in ("value", "gradient", "hessian", "diagonal"):
        same(getattr(a, name), getattr(b, name))
    same(place.numpy(a.z), b.z)
    same(device.evaluate(theta, diagonal=True).diagonal, b.diagonal)
    same(device.value_at(theta), b.value)
    same(device.value_at(theta, a.z), b.value)
    same(device.log_odds, host.log_odds, 0.1 if weighted else 1e-9)
    same(device.total_curvature(a), host.total_curvature(b))
    same(device.curvature_matrix(a, subset), host.curvature_matrix(b, subset))
    same(device.curvature_diagonal(a), host.curvature_diagonal(b))
    same(device.entropy_of_slopes(a.z, 0.3, 0.7), host.entropy_of_slopes(b.z, 0.3, 0.7))
    for curvature in ("curvature_bound", "majorising_curvature"):
        ours, theirs = (
            replace(at, curvature=getattr(each, curvature)(*([at.z] if "maj" in curvature else [])))
            for at, each in ((a, device), (b, host))
        )
        same(device.curvature_matrix(ours, subset), host.curvature_matrix(theirs, subset))
    (product, z), (product_there, z_there) = (
        each.curvature_product(at, d) for each, at in ((device, a), (host, b))
    )
    same(product, product_there)
    same(place.numpy(z), z_there)
    for t in (0.3, 4.0):
        same(device.derivatives_along(a.z, z, t), host.derivatives_along(b.z, z_there, t))
    rays = [each.ray(at, -at.gradient) for each, at in ((device, a), (host, b))]
    same(*(ray.exact_step_length() for ray in rays))
    ends = [each.evaluate(theta - 3 * b.gradient) for each in (device, host)]
    leaves = [
        each.leaves_model_region(at, end, 1e-3)
        for each, at, end in zip((device, host), (a, b), ends, strict=True)
    ]
    assert leaves[0] == leaves[1]
    same(device.least_curvature(a.z), host.least_curvature(b.z))
    assert device.diagonal_is_reliable(a) == host.diagonal_is_reliable(b)
    some = np.array([1, 2])
    same(device.count_deviating(some, theta[:2]), host.count_deviating(some, theta[:2]))
    same(device.in_parts().evaluate(theta).gradient, b.gradient)


@pytest.mark.parametrize("weighted", [False, True])
def test_samples_that_make_up_a_direction_are_found_on_a_device(weighted):
    host, device, _ = both_objectives(False, False, weighted, outlier=1e4)
    theta = np.array([0.25, 0.1, 0.0, -0.1, 0.0, 0.2])  # the class of the outlier is certain
    a, b = device.evaluate(theta), host.evaluate(theta)
    factor = np.linalg.cholesky(host.evaluate(theta, hessian=True).hessian)

    def norms(Z):
        return np.linalg.norm(np.linalg.solve(factor, Z.T), axis=0)

    for decrement, is_stale in ((1e-3, False), (1e-4, True)):
        ours = device.samples_that_dominate(a.curvature, decrement, norms, a.curvature, is_stale)
        theirs = host.samples_that_dominate(b.curvature, decrement, norms, b.curvature, is_stale)
        assert set(ours) == set(theirs)
        assert set(theirs) == {7}
    radius = 1.0
    beyond = device.samples_beyond_model(a.z, radius, norms)
    assert np.array_equal(np.sort(beyond), host.samples_beyond_model(b.z, radius, norms))
    assert len(beyond)


def test_start_from_a_sample_takes_neither_a_search_nor_the_curvature_of_all_rows(monkeypatch):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(100_000, 30)).astype(np.float32)
    y = (rng.random(len(X)) < expit(X @ rng.normal(size=30) / np.sqrt(30) + 0.3)).astype(np.int64)
    place, asked = Place("strict:device1"), []
    evaluate, outputs = DeviceObjective.evaluate, DeviceObjective.outputs

    def recorded(self, theta, z=None, **wanted):
        asked.append((self.n_samples, any(wanted.values())))
        return evaluate(self, theta, z, **wanted)

    def searched(self, vector):
        asked.append((self.n_samples, True))
        return outputs(self, vector)

    # The memory of this device is that of the processor, which has other rules.
    monkeypatch.setattr("sklearn_bce._estimator.device.DLPACK_CPU", -1)
    monkeypatch.setattr(DeviceObjective, "evaluate", recorded)
    monkeypatch.setattr(DeviceObjective, "outputs", searched)
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(X), place.array(y))
    host = BCENeuronClassifier(tol=1e-13).fit(X.astype(np.float64), y)
    w, b = place.numpy(neuron.coef_), place.numpy(neuron.intercept_)
    assert objective(X, y, w, b) - objective(X, y, host.coef_, host.intercept_) <= 1e-8
    assert (12_400, True) in asked  # 400 rows for each coordinate, on the device
    of_all = [second for n, second in asked if n == len(X)]
    assert not any(of_all)
    assert len(of_all) <= 6


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("on_host", [True, False])
def test_sample_of_a_device_estimates_the_objective(on_host, weighted, monkeypatch):
    monkeypatch.setattr(
        "sklearn_bce._objective.on_device.HOST_SAMPLE_ELEMENTS", 2**19 if on_host else 0
    )
    _, device, _ = both_objectives(False, False, weighted, n=40_000)
    sample = device.subsample(8_000, np.random.RandomState(0))
    assert isinstance(sample, InMemoryObjective if on_host else DeviceObjective)
    theta = np.random.default_rng(5).normal(size=6)
    ours, expected = sample.evaluate(theta, hessian=True), device.evaluate(theta, hessian=True)
    assert ours.value == pytest.approx(expected.value, rel=0.05)
    assert ours.hessian == pytest.approx(expected.hessian, rel=0.1, abs=0.01)
    assert sample.diagonal_is_reliable(ours)
    assert not sample.null_model_is_plausible()


# ----- where arrays are ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fitted_arrays_and_predictions_are_where_x_is(dtype, place):
    X, y = data(dtype=dtype)
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(X), place.array(y))
        results = {
            name: getattr(neuron, name)(place.array(X))
            for name in ("decision_function", "predict_proba", "predict_log_proba", "predict")
        }
        score = neuron.score(place.array(X), place.array(y))
        weighted = neuron.score(place.array(X), place.array(y), place.array(WEIGHT))
    w, b = place.numpy(neuron.coef_), place.numpy(neuron.intercept_)
    assert (w.shape, w.dtype, b.shape, b.dtype) == ((1, 4), dtype, (1,), dtype)
    assert place.numpy(neuron.n_iter_).dtype == np.int32
    assert place.numpy(neuron.classes_).tolist() == [0, 1]
    z = X.astype(np.float64) @ w[0].astype(np.float64) + float(b[0])
    expected = {
        "decision_function": z,
        "predict_proba": np.column_stack([expit(-z), expit(z)]),
        "predict_log_proba": np.column_stack([-np.logaddexp(0, z), -np.logaddexp(0, -z)]),
        "predict": (z > 0).astype(int),
    }
    for name, result in results.items():
        found = place.numpy(result)
        assert found == pytest.approx(expected[name], rel=1e-5, abs=1e-6), name
        assert found.dtype == (np.int64 if name == "predict" else dtype), name
    assert score == pytest.approx(np.mean((z > 0) == y))
    assert weighted == pytest.approx(np.average((z > 0) == y, weights=WEIGHT))


def test_small_probabilities_keep_their_precision(place):
    X, y = data()
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(X), place.array(y))
        far = place.array(X[:1] * np.sign(place.numpy(neuron.coef_)) * -200)
        z = place.numpy(neuron.decision_function(far))
        assert abs(z[0]) > 50
        low = place.numpy(neuron.predict_proba(far)).min()
    assert low == pytest.approx(np.exp(-abs(z[0])), rel=1e-12)


def test_labels_that_are_strings_stay_with_numpy(place):
    X, y = data()
    labels = np.array(["no", "yes"])[y]
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(X), labels)
        found = neuron.predict(place.array(X))
        score = neuron.score(place.array(X), labels)
    assert isinstance(neuron.classes_, np.ndarray)
    assert isinstance(found, np.ndarray)
    assert set(found) == {"no", "yes"}
    assert score == pytest.approx(np.mean(found == labels))


@pytest.mark.parametrize("labels", [[False, True], [-1, 1], [2.0, 5.0], [3, 4]])
def test_labels_are_those_of_y(labels, place):
    X, y = data()
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(X), place.array(np.array(labels)[y]))
        found = place.numpy(neuron.predict(place.array(X)))
    assert place.numpy(neuron.classes_).tolist() == labels
    assert set(found.tolist()) == set(labels)


@pytest.mark.parametrize("other", [*PLACES, None], ids=[*NAMES, "numpy"])
def test_y_and_weights_follow_x(other, place):
    X, y = data()
    move = np.asarray if other is None else other.array
    host = BCENeuronClassifier(tol=1e-12).fit(X, y, WEIGHT)
    with dispatching():
        neuron = BCENeuronClassifier(tol=1e-12).fit(place.array(X), move(y), move(WEIGHT))
        score = neuron.score(place.array(X), move(y), move(WEIGHT))
    assert place.numpy(neuron.coef_) == pytest.approx(host.coef_, rel=1e-6)
    assert score == pytest.approx(host.score(X, y, WEIGHT))


def test_x_of_numpy_takes_y_of_any_library(place):
    X, y = data()
    with dispatching():
        neuron = BCENeuronClassifier().fit(X, place.array(y), place.array(WEIGHT))
    assert isinstance(neuron.coef_, np.ndarray)
    assert np.array_equal(neuron.coef_, BCENeuronClassifier().fit(X, y, WEIGHT).coef_)


def test_integers_and_lists_become_floats(place):
    X, y = data()
    whole = np.round(10 * X).astype(np.int64)
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(whole), y.tolist())
        z = neuron.decision_function(place.array(whole))
    assert place.numpy(neuron.coef_).dtype == np.float64
    assert place.numpy(z).shape == (400,)


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function", "score"])
def test_predicting_for_numpy_afterwards_raises(method, place):
    X, y = data()
    arguments = (X, y) if method == "score" else (X,)
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(X), place.array(y))
        with pytest.raises(ValueError, match="must use the same namespace"):
            getattr(neuron, method)(*arguments)
    with pytest.raises(ValueError, match="fitted to arrays of"):
        getattr(neuron, method)(*arguments)


@contextmanager
def rows_to_host(monkeypatch):
    """Yield a list of the lengths of all tensors whose values reach the host in the context."""
    lengths = []

    def recording(name):
        original = getattr(torch.Tensor, name)

        def method(self, *args, **kwargs):
            is_to_host = name != "to" or "cpu" in map(str, (*args, *kwargs.values()))
            if is_to_host:
                lengths.append(self.shape[0] if self.ndim else 1)
            return original(self, *args, **kwargs)

        return method

    with monkeypatch.context() as patch:
        for name in ("numpy", "cpu", "tolist", "__array__", "__dlpack__", "item", "to"):
            patch.setattr(torch.Tensor, name, recording(name))
        yield lengths


@pytest.mark.parametrize("place", TORCH, ids=[place.name for place in TORCH])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"l1_ratio": 1.0, "C": 0.01},
        {"solver": "gd", "max_iter": 20, "tol": 0},
        {"soft_targets": True, "standardize": True},
        {"class_weight": "balanced", "C": 1e5},
    ],
    ids=str,
)
def test_nothing_of_the_length_of_x_reaches_the_host(settings, place, monkeypatch):
    n = 30_000
    X, y = data(n, 6)
    X, y, weight = place.array(X), place.array(y), place.array(np.ones(n))
    with dispatching(), rows_to_host(monkeypatch) as lengths:
        neuron = BCENeuronClassifier(**settings).fit(X, y, weight)
        neuron.predict_proba(X)
        neuron.predict_log_proba(X)
        neuron.predict(X)
        neuron.score(X, y, weight)
    assert lengths  # the sums have come
    assert max(lengths) <= n / 4  # the sample of the rows at most


def test_a_fit_of_numpy_imports_nothing_of_this():
    code = (
        "import sys, numpy as np\n"
        "from sklearn_bce import BCENeuronClassifier, fit_from_chunks\n"
        "X = np.random.default_rng(0).normal(size=(50, 2))\n"
        "y = X[:, 0] > 0.1\n"
        "neuron = BCENeuronClassifier().fit(X, y)\n"
        "neuron.predict_proba(X), neuron.predict(X), neuron.score(X, y)\n"
        "fit_from_chunks(BCENeuronClassifier(), lambda: [(X, y)])\n"
        "print([m for m in sys.modules if m.startswith('sklearn_bce') and 'device' in m])\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["[]", "False"]


# ----- scikit-learn -------------------------------------------------------------------------------


def checks():
    for solver in ("auto", "gd"):
        estimator = BCENeuronClassifier(solver=solver, max_iter=500)
        for check in estimator_checks._yield_array_api_checks(estimator):
            names = str(check.keywords)
            if "cuda" in names and not HAS_CUDA:
                continue
            yield pytest.param(estimator, check, id=f"{solver}-{check.func.__name__}-{names}")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_array_api_check_of_scikit_learn_passes(estimator, check):
    try:
        check(type(estimator).__name__, estimator)
    except SkipTest as reason:
        pytest.skip(str(reason))


def test_tag_is_true_where_arrays_are_fitted_in_place():
    def tag(**parameters):
        return get_tags(BCENeuronClassifier(**parameters)).array_api_support

    assert tag()
    assert tag(solver="newton")
    assert tag(solver="gd")
    assert tag(solver="lbfgs")
    assert not tag(solver="sgd")
    assert not tag(early_stopping=True)
    assert not get_tags(BCENeuronClassifierCV()).array_api_support


@pytest.mark.parametrize("place", TORCH, ids=[place.name for place in TORCH])
def test_pipeline_search_and_cross_validation_run(place):
    X, y = data()
    Xt, yt = place.array(X), place.array(y)
    pipeline = make_pipeline(StandardScaler(), BCENeuronClassifier(tol=1e-12))
    host = clone(pipeline).fit(X, y)
    with dispatching():
        pipeline.fit(Xt, yt)
        assert place.numpy(pipeline[-1].coef_) == pytest.approx(host[-1].coef_, rel=1e-5)
        assert pipeline.score(Xt, yt) == pytest.approx(host.score(X, y))
        scores = cross_val_score(BCENeuronClassifier(), Xt, yt, cv=3)
        search = GridSearchCV(BCENeuronClassifier(), {"C": [0.01, 1.0]}, cv=3).fit(Xt, yt)
    assert scores == pytest.approx(cross_val_score(BCENeuronClassifier(), X, y, cv=3))
    assert search.best_params_ in ({"C": 0.01}, {"C": 1.0})
    assert place.has(search.best_estimator_.coef_)


# ----- what else a fit has ------------------------------------------------------------------------


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_warm_start_goes_on_from_the_previous_minimum(l1_ratio, place):
    X, y = data(3000)
    Xd, yd = place.array(X), place.array(y)
    neuron = BCENeuronClassifier(warm_start=True, l1_ratio=l1_ratio, C=0.02, tol=1e-10)
    with dispatching():
        neuron.fit(Xd, yd)
        first = neuron.n_passes_
        neuron.set_params(C=0.021).fit(Xd, yd)
    host = BCENeuronClassifier(l1_ratio=l1_ratio, C=0.021, tol=1e-13).fit(X, y)
    assert neuron.n_passes_ < first
    assert place.numpy(neuron.coef_) == pytest.approx(host.coef_, rel=1e-3, abs=1e-5)


@pytest.mark.parametrize("stops", [False, True])
def test_validation_loss_is_that_of_the_samples_held_out(stops, place):
    X, y = data()
    settings = {"early_stopping": stops, "tol": 1e-8}
    arguments = {"X_val": X[300:], "y_val": y[300:], "sample_weight_val": WEIGHT[300:]}
    moved = {name: place.array(values) for name, values in arguments.items()}
    with dispatching():
        neuron = BCENeuronClassifier(**settings).fit(
            place.array(X[:300]), place.array(y[:300]), **moved
        )
    best = neuron.best_iter_ - 1 if stops else -1
    expected = loss(
        X[300:], y[300:], place.numpy(neuron.coef_), place.numpy(neuron.intercept_), WEIGHT[300:]
    )
    assert neuron.validation_loss_curve_[best] == pytest.approx(float(expected), rel=1e-10)


def test_validation_samples_in_other_units_are_warned_of(place):
    X, y = data()
    with dispatching(), pytest.warns(UserWarning, match="X_val seems to be in other units"):
        BCENeuronClassifier().fit(
            place.array(X), place.array(y), X_val=place.array(100 * X + 1000), y_val=place.array(y)
        )


def test_callbacks_see_the_arrays_of_the_device(place):
    pytest.importorskip("sklearn.callback")
    seen = []

    class Recorder:
        def setup(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, *, X, fitted_estimator):
            if fitted_estimator is not None:
                z = fitted_estimator.decision_function(X)
                seen.append((place.has(X), place.has(fitted_estimator.coef_), place.has(z)))

        def teardown(self, estimator, context):
            pass

    X, y = data()
    with dispatching():
        neuron = BCENeuronClassifier().set_callbacks(Recorder())
        neuron.fit(place.array(X), place.array(y))
    assert seen
    assert all(map(all, seen))


def test_copies_and_pickles_predict_as_the_original(place):
    X, y = data()
    with dispatching():
        neuron = BCENeuronClassifier().fit(place.array(X), place.array(y))
        expected = place.numpy(neuron.decision_function(place.array(X)))
        for copied in (copy(neuron), deepcopy(neuron), pickle.loads(pickle.dumps(neuron))):
            if place.module is strict and not place.has(copied.coef_):
                continue  # devices of array-api-strict are compared by identity
            assert np.array_equal(place.numpy(copied.decision_function(place.array(X))), expected)
    assert neuron.to_sklearn().decision_function(X) == pytest.approx(expected, rel=1e-10)


def test_separated_classes_are_found(place):
    X, _ = data()
    y = (X[:, 0] > 0).astype(int)
    with dispatching(), pytest.warns(sklearn.exceptions.ConvergenceWarning, match="separated"):
        neuron = BCENeuronClassifier(C=np.inf).fit(place.array(X), place.array(y))
    assert neuron.stop_reason_ == "no_minimum"


# ----- chunks and blocks --------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"soft_targets": True}, {"standardize": True}], ids=str)
@pytest.mark.parametrize("labels_on_host", [False, True])
def test_chunks_are_summed_on_their_device(settings, labels_on_host, place):
    X, y = data(3000)
    y = 0.8 * y + 0.1 if settings.get("soft_targets") else y
    move = np.asarray if labels_on_host else place.array

    def chunks():
        for rows in (slice(0, 1000), slice(1000, 1700), slice(1700, 3000)):
            yield place.array(X[rows]), move(y[rows])

    host = BCENeuronClassifier(tol=1e-13, **settings).fit(X, y)
    with dispatching():
        neuron = fit_from_chunks(BCENeuronClassifier(tol=1e-13, **settings), chunks)
        assert place.has(neuron.predict_proba(place.array(X)))
    assert place.numpy(neuron.coef_) == pytest.approx(host.coef_, rel=1e-6)


@pytest.mark.parametrize("place", TORCH, ids=[place.name for place in TORCH])
def test_the_samples_of_chunks_do_not_reach_the_host(place, monkeypatch):
    X, y = data(20_000)
    parts = [
        (place.array(X[rows]), place.array(y[rows]))
        for rows in (slice(0, 9_000), slice(9_000, None))
    ]
    with dispatching(), rows_to_host(monkeypatch) as lengths:
        fit_from_chunks(BCENeuronClassifier(), lambda: parts)
    assert max(lengths) <= 9_000 / 4


@pytest.mark.parametrize("place", TORCH, ids=[place.name for place in TORCH])
def test_dask_blocks_are_summed_on_their_device(place, monkeypatch):
    da = pytest.importorskip("dask.array")
    from dask import delayed

    from sklearn_bce.dask import DaskBCENeuronClassifier

    X, y = data(20_000)
    Xd, yd = place.array(X), place.array(y)
    ends = [(0, 8_000), (8_000, 20_000)]

    def blocks(values, dtype, *shape):
        return da.concatenate(
            [da.from_delayed(delayed(values[a:b]), (b - a, *shape), dtype=dtype) for a, b in ends]
        )

    host = BCENeuronClassifier(tol=1e-12).fit(X, y)
    with dispatching(), rows_to_host(monkeypatch) as lengths:
        neuron = DaskBCENeuronClassifier(tol=1e-12)
        neuron.fit(blocks(Xd, X.dtype, 4), blocks(yd, y.dtype))
    assert neuron.coef_ == pytest.approx(host.coef_, rel=1e-6)
    assert max(lengths) <= 8_000 / 4


# ----- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"solver": "sgd"}, "solver='sgd' updates the weights after each sample.*solver='auto'"),
        ({"early_stopping": True}, "give X_val and y_val, set early_stopping=False"),
    ],
)
def test_what_needs_single_samples_says_what_to_do(parameters, message, place):
    X, y = data()
    with dispatching(), pytest.raises(ValueError, match=message):
        BCENeuronClassifier(**parameters).fit(place.array(X), place.array(y))


def test_path_of_a_device_has_the_weights_of_the_host(place):
    X, y = data(3000)
    settings = {"Cs": [0.01, 0.1, 1.0], "tol": 1e-12}
    with dispatching():
        path = regularization_path(place.array(X), place.array(y), **settings)
    host = regularization_path(X, y, **settings)
    assert path.coefs == pytest.approx(host.coefs, rel=1e-5)


@pytest.mark.skipif(torch is None, reason="torch is not installed")
def test_sparse_tensors_are_refused_with_advice():
    X, y = data()
    X = torch.asarray(X).to_sparse()
    with dispatching(), pytest.raises(TypeError, match=r"make it dense \(by to_dense\(\)"):
        BCENeuronClassifier().fit(X, torch.asarray(y))


@pytest.mark.parametrize("fit", ["partial_fit", "search", "l1_min_c"])
def test_what_takes_numpy_only_says_so(fit, place):
    X, y = data()
    calls = {
        "partial_fit": lambda X, y: BCENeuronClassifier().partial_fit(X, y, classes=[0, 1]),
        "search": lambda X, y: BCENeuronClassifierCV(cv=3).fit(X, y),
        "l1_min_c": l1_min_c,
    }
    with dispatching(), pytest.raises(TypeError, match="convert X to NumPy"):
        calls[fit](place.array(X), place.array(y))


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_elements_that_are_not_finite_are_found(wrong, place):
    X, y = data()
    X[7, 2] = wrong
    with dispatching():
        neuron = BCENeuronClassifier()
        with pytest.raises(ValueError, match="Input X contains"):
            neuron.fit(place.array(X), place.array(y))
        assert not hasattr(neuron, "coef_")
        neuron.fit(place.array(data()[0]), place.array(y))
        with pytest.raises(ValueError, match="Input X contains"):
            neuron.predict(place.array(X))


@pytest.mark.parametrize(
    ("y", "arguments", "message"),
    [
        (lambda y: y * 0, {}, "only one class"),
        (lambda y: np.arange(400) % 3, {}, "Only binary classification"),
        (lambda y: y + 0.5, {}, "soft_targets=True"),
        (lambda y: y, {"sample_weight": -WEIGHT}, "Negative"),
        (lambda y: y, {"sample_weight": 0 * WEIGHT}, "at least one non-zero"),
        (lambda y: y, {"sample_weight": WEIGHT[:-1]}, r"\(400,\)"),
        (lambda y: y, {"offset": OFFSET * np.inf}, "finite"),
        (lambda y: y[:-1], {}, "inconsistent numbers of samples"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
def test_malformed_targets_and_weights_are_refused(y, arguments, message, place):
    X, labels = data()
    moved = {name: place.array(values) for name, values in arguments.items()}
    with dispatching(), pytest.raises(ValueError, match=message):
        BCENeuronClassifier().fit(place.array(X), place.array(y(labels)), **moved)


def test_soft_targets_outside_of_their_range_are_refused(place):
    X, y = data()
    with dispatching(), pytest.raises(ValueError, match=r"it has 1\.5"):
        BCENeuronClassifier(soft_targets=True).fit(place.array(X), place.array(1.5 * y))


def test_an_array_on_another_device_without_dispatch_says_what_to_do():
    X, y = data()
    place = Place("strict:device1")
    with pytest.raises(TypeError, match=r"array_api_dispatch=True"):
        BCENeuronClassifier().fit(place.array(X), y)


def test_what_dispatch_lacks_is_named(monkeypatch):
    monkeypatch.delenv("SCIPY_ARRAY_API")
    X, y = data()
    with pytest.raises(TypeError, match=r"SCIPY_ARRAY_API=1, set before"):
        BCENeuronClassifier().fit(Place("strict:device1").array(X), y)


@pytest.mark.skipif(torch is None, reason="torch is not installed")
def test_tensors_of_the_processor_become_numpy_without_dispatch():
    X, y = data()
    neuron = BCENeuronClassifier().fit(torch.asarray(X), torch.asarray(y))
    assert np.array_equal(neuron.coef_, BCENeuronClassifier().fit(X, y).coef_)


def test_suite_of_the_device_prints_a_table():
    pytest.importorskip("torch")
    environment = os.environ | {"SCIPY_ARRAY_API": "1"}
    command = [sys.executable, "-m", "benchmarks.device", "1", "20000×20"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[1].startswith("| data | BCENeuronClassifier()")
