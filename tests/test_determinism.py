"""Equal seeds give equal results in any process and with any number of threads.

The bits of sgd are the same. The other solvers add up passes over large data in as many parts as
there are threads, so that theirs differ in rounding: weights agree to 1e-9 of the largest. Where
they compute in single precision (large float32 data, and products of samples of which there are
many fewer than features) it is F that does.
"""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from covering import each_once, each_value
from numpy.testing import assert_allclose
from sklearn.utils import check_random_state
from small_data import F, naming, random_data
from threadpoolctl import threadpool_limits

import sklearn_bce
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._kernels import threads

SGD = {"solver": "sgd", "max_iter": 3, "tol": 0}
GD = {"solver": "gd", "max_iter": 10, "tol": 0}
# Parameters of sgd: a given step size, the safe step for one sample, or that for batches; with the
# last one the batch grows from 1.
OF_SGD = {
    "sgd": SGD,
    "sgd, η": SGD | {"learning_rate": 0.01},
    "sgd, in order": SGD | {"shuffle": False},
    "sgd, L1": SGD | {"l1_ratio": 0.5, "C": 0.01},
    "sgd, stopped early": SGD | {"early_stopping": True},
    "sgd, η, batches": SGD | {"learning_rate": 0.1, "batch_size": 500},
    "sgd, batches": SGD | {"batch_size": 500},
    "sgd, growing": SGD | {"n_iter_no_change": 1, "tol": 0.5, "max_iter": 20},
}
OF_OTHERS = {
    "newton": {},
    "newton, without a sample": {"tol": 0, "max_iter": 6},
    "newton, no penalty": {"C": np.inf},
    "newton, L1": {"l1_ratio": 1.0, "C": 0.01},
    "newton, elastic net": {"l1_ratio": 0.5, "C": 0.1},
    "newton, stopped early": {"early_stopping": True},
    "gd": GD,
    "gd, L1": GD | {"l1_ratio": 0.5, "C": 0.01},
    "gd, stopped early": GD | {"early_stopping": True},
}


def scaled_apart(n_samples, n_features, seed=0, sparse=False):
    """Correlated columns, some in other units, and samples of two classes."""
    X, y, _ = random_data(n_samples, n_features, seed, sparse)
    if not sparse:
        X[:, 1:] += 0.5 * X[:, :-1]
        X[:, ::3] *= 1.5
    return X, y


LARGE = {  # above a million elements, or what makes as much work: passes are made in threads
    "dense": scaled_apart(66_000, 18),
    "CSR": scaled_apart(20_000, 100, sparse=True),
}
LARGE["F-ordered"] = np.asfortranarray(LARGE["dense"][0]), LARGE["dense"][1]
LARGE["float32"] = LARGE["dense"][0].astype(np.float32), LARGE["dense"][1]
WIDE = scaled_apart(250, 5000)


@pytest.fixture
def used(monkeypatch):
    """Return a list of the number of threads of each pass."""
    counts, in_threads = [], threads.in_threads

    def noting(tasks):
        counts.append(len(tasks))
        in_threads(tasks)

    monkeypatch.setattr(threads, "in_threads", noting)
    return counts


def fitted(n_threads, parameters, X, y, seed=0):
    model = BCENeuronClassifier(random_state=seed, **parameters)
    with threadpool_limits(n_threads, "blas"):
        return model.fit(X, y)


def bits(model):
    """Return the fitted attributes that rounding may change."""
    arrays = [getattr(model, name).tobytes() for name in ("coef_", "intercept_")]
    curves = [model.loss_curve_, getattr(model, "validation_loss_curve_", None)]
    return [*arrays, *curves, model.n_iter_[0], model.n_passes_, model.converged_]


def theta(model):
    return np.append(model.coef_[0], model.intercept_)


def assert_agree(one, other):
    """Assert that weights agree to 1e-9 of the largest weight, and the last loss to 1e-9."""
    largest = np.max(np.abs(theta(other)))
    assert_allclose(theta(one), theta(other), rtol=0, atol=1e-9 * largest)
    assert_allclose(one.loss_curve_, other.loss_curve_, rtol=1e-9)
    assert (one.n_iter_[0], one.converged_) == (other.n_iter_[0], other.converged_)


# --- threads ---


@pytest.mark.parametrize(
    ("key", "data"),
    [*each_once([key for key in OF_SGD if key != "sgd, growing"], LARGE), ("sgd, growing", "dense")]
    + [("sgd", data) for data in LARGE],
)
def test_sgd_has_the_same_bits_with_one_thread_and_two(key, data, used):
    one = bits(fitted(1, OF_SGD[key], *LARGE[data]))
    assert not used
    assert bits(fitted(2, OF_SGD[key], *LARGE[data])) == one


@pytest.mark.parametrize(
    ("key", "data"),
    each_once(OF_OTHERS, ("dense", "F-ordered", "CSR"))
    + [(key, "wide") for key in ("newton, L1", "newton, without a sample", "gd", "gd, L1")],
)
def test_other_solvers_agree_to_1e_9_with_one_thread_and_two(key, data, used):
    given = (LARGE | {"wide": WIDE})[data]
    one = fitted(1, OF_OTHERS[key], *given)
    assert not used
    assert_agree(fitted(2, OF_OTHERS[key], *given), one)
    assert set(used) == {2}


@pytest.mark.parametrize(
    ("key", "data"), [("newton", "float32"), ("newton, L1", "float32"), ("newton", "wide")]
)
def test_single_precision_fits_agree_in_the_objective_with_one_thread_and_two(key, data, used):
    """At its minimum F does not depend on the last digits of the weights."""
    X, y = (LARGE | {"wide": WIDE})[data]
    found = [fitted(n_threads, OF_OTHERS[key], X, y) for n_threads in (1, 2)]
    assert set(used) == {2}
    values = []
    for model in found:
        assert model.coef_.dtype == X.dtype
        weights, C = theta(model).astype(np.float64), model.C
        given = X.astype(np.float64), y, np.ones(len(y))
        l1 = np.abs(weights[:-1]).sum() / (C * len(y))
        values.append(F(weights, given, np.inf) + l1 if "L1" in key else F(weights, given, C))
    assert values[0] < 0.9 * np.log(2)
    assert_allclose(values[1], values[0], rtol=1e-9)


@each_value(
    pytest.mark.parametrize("data", ["dense", "CSR"]),
    pytest.mark.parametrize(
        "parameters",
        [{}, {"learning_rate": 0.1}, {"batch_size": 500}],
        ids=["plain", "η", "batches"],
    ),
)
def test_chunks_of_a_stream_have_the_same_bits_with_one_thread_and_two(parameters, data, used):
    X, y = LARGE[data]

    def stream(n_threads):
        model = BCENeuronClassifier(solver="sgd", random_state=3, **parameters)
        with threadpool_limits(n_threads, "blas"):
            for _ in range(2):
                model.partial_fit(X, y, classes=[0, 1])
        return bits(model)

    one = stream(1)
    assert not used
    assert stream(2) == one


@pytest.mark.parametrize("key", [key for key in OF_SGD | OF_OTHERS if key != "sgd, growing"])
def test_repeated_fits_in_one_process_have_the_same_bits(key):
    """With one number of threads each solver has the same bits, also in a refitted estimator."""
    parameters = (OF_SGD | OF_OTHERS)[key]
    model = fitted(2, parameters, *LARGE["dense"])
    first = bits(model)
    assert bits(fitted(2, parameters, *LARGE["dense"])) == first
    with threadpool_limits(2, "blas"):
        assert bits(model.fit(*LARGE["dense"])) == first


# --- the seed ---


@pytest.mark.parametrize(
    ("parameters", "n_samples"),
    [
        (SGD, 300),
        (SGD | {"batch_size": 50}, 300),
        ({"early_stopping": True}, 300),
        ({}, 66_000),  # on which newton draws a sample
    ],
    ids=["sgd", "sgd, batches", "newton, stopped early", "newton, a sample"],
)
def test_random_state_int_is_the_only_source_of_randomness(parameters, n_samples):
    """The state of NumPy's global generator is neither used nor changed."""
    X, y = scaled_apart(n_samples, 18)
    everyones = check_random_state(None)
    before = everyones.get_state()
    try:
        results = []
        for other_seed in (1, 2):
            everyones.seed(other_seed)
            results.append(bits(fitted(1, parameters, X, y, seed=5)))
            drawn = everyones.randint(2**30)
            assert drawn == np.random.RandomState(other_seed).randint(2**30)
        assert results[0] == results[1]
        assert bits(fitted(1, parameters, X, y, seed=6)) != results[0]  # that there is some
        same = BCENeuronClassifier(random_state=np.random.RandomState(5), **parameters)
        with threadpool_limits(1, "blas"):
            assert bits(same.fit(X, y)) == results[0]
    finally:
        everyones.set_state(before)


# --- processes ---

CHILD = """
import json, sys
import numpy as np
import pandas as pd
import scipy.sparse as sp
import sklearn_bce
from sklearn_bce import BCENeuronClassifier
from threadpoolctl import threadpool_limits

path, n_threads, cases = json.loads(sys.argv[1])
data = np.load(path)
small, y = data["small"], np.where(data["small_y"] > 0, "sick", "healthy")
names = [f"x{k}" for k in range(small.shape[1])]
kinds = {
    "frame": (pd.DataFrame(small, columns=names), y.astype(object)),
    "CSR": (sp.csr_array(small), y),
    "large": (data["large"], data["large_y"]),
}

def fitted(X, y, chunks=0, **parameters):
    if not y.dtype.kind == "f":
        parameters["class_weight"] = {"sick": 2.0, "healthy": 1.0}
    model = BCENeuronClassifier(random_state=0, **parameters)
    if not chunks:
        return model.fit(X, y)
    for rows in np.array_split(np.arange(len(y)), chunks):
        chunk = X.iloc[rows] if hasattr(X, "iloc") else X[rows]
        model.partial_fit(chunk, y[rows], classes=np.unique(y))
    return model

found = {}
with threadpool_limits(n_threads, "blas"):
    for key, kind, parameters in cases:
        model = fitted(*kinds[kind], **parameters)
        held_out = getattr(model, "validation_loss_curve_", [])
        numbers = [*model.coef_[0], *model.intercept_, *model.loss_curve_, *held_out]
        found[key] = [float(number).hex() for number in numbers]
print(json.dumps([sklearn_bce.__file__, hash("sick"), found]))
"""

STREAMS = {
    "sgd, stream": {"solver": "sgd", "chunks": 4},
    "sgd, stream in batches": {"solver": "sgd", "chunks": 4, "batch_size": 20},
}
OF_PROCESSES = [
    (f"{key}; {kind}", kind, parameters)
    for (key, parameters), kind in each_once(
        (OF_SGD | STREAMS | OF_OTHERS).items(), ("frame", "CSR")
    )
] + [
    (f"{key}; large", "large", (OF_SGD | OF_OTHERS)[key])
    for key in ("sgd", "sgd, η, batches", "newton", "newton, stopped early", "newton, L1", "gd")
]


@pytest.fixture(scope="module")
def of_processes(tmp_path_factory):
    """Return the results of two processes with other hash seeds, threads and earlier fits."""
    path = tmp_path_factory.mktemp("data") / "data.npz"
    X, y = scaled_apart(300, 8, seed=1)
    large_X, large_y = LARGE["dense"]
    np.savez(path, small=X, small_y=y, large=large_X, large_y=large_y)
    processes = []
    for n_threads, cases in ((1, OF_PROCESSES), (2, OF_PROCESSES[::-1])):
        argument = json.dumps([str(path), n_threads, cases])
        process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", CHILD, argument],
            env=os.environ | {"PYTHONHASHSEED": str(n_threads)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        processes.append(process)
    told = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        told.append(json.loads(out))
    (file, one_hash, one), (other_file, other_hash, other) = told
    assert file == other_file == sklearn_bce.__file__
    assert one_hash != other_hash
    return one, other


def test_two_processes_find_the_same(of_processes):
    """Results of sgd are equal bit for bit, those of solvers with other threads to 1e-9."""
    for key, *_ in OF_PROCESSES:
        with naming(key):
            one, other = (found[key] for found in of_processes)
            if key.startswith("sgd"):
                assert one == other
            one, other = ([float.fromhex(number) for number in found] for found in (one, other))
            assert_allclose(one, other, rtol=0, atol=1e-9 * min(1.0, np.max(np.abs(one))))
