"""Neurons that are saved: by pickle, joblib and skops, to another process, version or runtime."""

import copy
import io
import json
import pickle
import subprocess
import sys
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal, assert_equal
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_html_repr
from small_data import breast_cancer

import sklearn_bce
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._estimator.state import VERSION

RAW, Y, _ = breast_cancer()
X = StandardScaler().fit_transform(RAW)
NAMES = [f"x{k}" for k in range(X.shape[1])]
LABELS = np.where(Y == 1, "benign", "malignant")
PREDICTIONS = ["decision_function", "predict", "predict_proba", "predict_log_proba"]

SGD = {"solver": "sgd", "max_iter": 3, "tol": 0, "random_state": 0}


def stream(random_state=5):
    """Return a neuron in the midst of one; in single precision, of which more is known to it."""
    neuron = BCENeuronClassifier(solver="sgd", random_state=random_state, batch_size=4)
    return neuron.partial_fit(X[:300].astype(np.float32), Y[:300], classes=[0, 1])


def fitted(*data, **parameters):
    neuron = BCENeuronClassifier(**parameters)
    return neuron.fit(*(data or (X, Y)))


KINDS = {
    "newton": fitted,
    "raw units": lambda: fitted(RAW, Y),
    "float32": lambda: fitted(X.astype(np.float32), Y),
    "CSR": lambda: fitted(sp.csr_array(X * (X > 0)), Y),
    "frame, strings": lambda: fitted(pd.DataFrame(X, columns=NAMES), LABELS),
    "objects, weights": lambda: fitted(
        X, LABELS.astype(object), class_weight={"benign": 1.0, "malignant": 2.5}
    ),
    "bools": lambda: fitted(X, Y == 1, fit_intercept=False),
    "soft targets": lambda: fitted(X, 0.9 * Y + 0.05, soft_targets=True),
    "L1, on a path": lambda: fitted(l1_ratio=1.0, C=0.1, warm_start=True),
    "gd": lambda: fitted(solver="gd", max_iter=3, tol=0),
    "sgd": lambda: fitted(**SGD),
    "stopped early": lambda: fitted(
        early_stopping=True, random_state=np.random.RandomState(3), C=np.float64(2.0)
    ),
    "stream": stream,
}
LEFT_OUT = {"_path_state"}  # of the last fit, for one of the same array


def samples_for(key):
    if key in ("float32", "stream"):
        return X.astype(np.float32)
    return pd.DataFrame(X, columns=NAMES) if key.startswith("frame") else X


def predictions(neuron, samples):
    return {name: getattr(neuron, name)(samples) for name in PREDICTIONS}


def assert_same_bits(one, other):
    for name in PREDICTIONS:
        assert one[name].dtype == other[name].dtype
        assert_array_equal(one[name], other[name])


def through_joblib(neuron):
    file = io.BytesIO()
    joblib.dump(neuron, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(neuron):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(neuron)
    return skops.loads(data, trusted=skops.get_untrusted_types(data=data))


THROUGH = {
    "pickle": lambda neuron: pickle.loads(pickle.dumps(neuron)),
    "joblib": through_joblib,
    "skops": through_skops,
    "deepcopy": copy.deepcopy,
}


def assert_same_attributes(loaded, neuron, but=()):
    states = []
    for each in (loaded, neuron):
        left_out = {*but, *(LEFT_OUT if each is neuron else ())}
        attributes = {name: value for name, value in vars(each).items() if name not in left_out}
        for name, value in list(attributes.items()):
            if isinstance(value, np.random.RandomState):
                attributes[name] = value.get_state(legacy=False)
        if "_stream" in attributes:
            attributes["_stream"] = vars(attributes["_stream"]).copy()
            state = attributes["_stream"]["random_state"].get_state(legacy=False)
            attributes["_stream"]["random_state"] = state
        states.append(attributes)
    assert_equal(*states)
    for name in ("coef_", "intercept_", "classes_"):
        assert getattr(loaded, name).dtype == getattr(neuron, name).dtype


# --- in this process ---


@pytest.mark.parametrize("through", THROUGH)
@pytest.mark.parametrize("key", KINDS)
def test_all_comes_back(key, through):
    neuron = KINDS[key]()
    assert ("_path_state" in vars(neuron)) == (key == "L1, on a path")
    before = dict(vars(neuron))
    loaded = THROUGH[through](neuron)
    assert vars(neuron).keys() == before.keys()  # saving changes nothing
    assert_same_attributes(loaded, neuron)
    samples = samples_for(key)
    assert_same_bits(predictions(loaded, samples), predictions(neuron, samples))


@pytest.mark.parametrize("through", THROUGH)
def test_a_neuron_that_is_not_fitted(through):
    neuron = BCENeuronClassifier(C=np.inf, class_weight={0: 2.0}, random_state=4)
    loaded = THROUGH[through](neuron)
    assert vars(loaded) == vars(neuron)


@pytest.mark.parametrize("through", THROUGH)
def test_a_path_goes_on(through):
    neuron = KINDS["L1, on a path"]()
    loaded = THROUGH[through](neuron)
    for each in (loaded, neuron):
        each.set_params(C=0.07, tol=1e-12).fit(X, Y)
    assert loaded.n_passes_ > neuron.n_passes_  # without the memory of the fit before
    assert_allclose(loaded.coef_, neuron.coef_, atol=1e-4)


@pytest.mark.parametrize("random_state", [int, np.random.RandomState])
@pytest.mark.parametrize("through", THROUGH)
def test_a_stream_goes_on_bit_for_bit(through, random_state):
    neuron = stream(random_state(5))
    loaded = THROUGH[through](neuron)
    drawn_from = loaded._stream.random_state
    assert (drawn_from is loaded.random_state) == (random_state is np.random.RandomState)
    assert drawn_from is not neuron._stream.random_state
    for each in (loaded, neuron):
        each.partial_fit(X[300:].astype(np.float32), Y[300:])
    assert_same_attributes(loaded, neuron)


@pytest.mark.parametrize("key", KINDS)
def test_memory_maps_of_joblib(key, tmp_path):
    """Whose arrays are read-only."""
    neuron, samples = KINDS[key](), samples_for(key)
    joblib.dump(neuron, tmp_path / "neuron.joblib")
    mapped = joblib.load(tmp_path / "neuron.joblib", mmap_mode="r")
    assert isinstance(mapped.coef_, np.memmap)
    assert not mapped.coef_.flags.writeable
    assert_same_bits(predictions(mapped, samples), predictions(neuron, samples))
    if key == "stream":
        for each in (mapped, neuron):
            each.partial_fit(X[300:].astype(np.float32), Y[300:])
        assert_same_attributes(mapped, neuron)
    if key in ("newton", "sgd"):
        for each in (mapped, neuron):
            each.set_params(warm_start=True).fit(X, Y)
        assert_same_attributes(mapped, neuron)
    model = mapped.to_sklearn()
    model.coef_ += 1.0  # its own, in memory


def test_what_is_saved_does_not_hold_the_samples():
    small, large = (
        fitted(np.tile(X, (n, 1)), np.tile(Y, n), l1_ratio=1.0, C=0.1, warm_start=True)
        for n in (1, 10)
    )
    assert "_path_state" in vars(large)
    size, of_large = (len(pickle.dumps(neuron)) for neuron in (small, large))
    assert of_large < size + 1000  # steps, in the loss curve
    assert size < 10_000


# --- in another process ---

CHILD = """
import json, pickle, sys
import joblib
import numpy as np

saved, methods = json.loads(sys.argv[1])
assert "sklearn_bce" not in sys.modules  # what is saved knows where to find it
for path, format, samples in saved:
    if format == "skops":
        import skops.io
        neuron = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    else:
        with open(path, "rb") as file:
            neuron = {"pickle": pickle, "joblib": joblib}[format].load(file)
    with open(samples, "rb") as file:
        X = pickle.load(file)
    told = {name: getattr(neuron, name)(X) for name in methods}
    with open(path + ".back", "wb") as file:
        pickle.dump((neuron, told), file)
print(sys.modules["sklearn_bce"].__file__)
"""


def test_to_another_process_and_back(tmp_path):
    formats, saved, expected = ["pickle", "joblib"], [], []
    try:
        import skops.io
    except ImportError:
        skops = None
    else:
        formats.append("skops")
    for key, kind in KINDS.items():
        neuron, samples = kind(), samples_for(key)
        of_samples = tmp_path / f"samples of {key}"
        of_samples.write_bytes(pickle.dumps(samples))
        for format in formats:
            path = tmp_path / f"{key}.{format}"
            if format == "skops":
                skops.io.dump(neuron, path)
            else:
                with path.open("wb") as file:
                    {"pickle": pickle, "joblib": joblib}[format].dump(neuron, file)
            saved.append([str(path), format, str(of_samples)])
            expected.append((neuron, predictions(neuron, samples)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, json.dumps([saved, PREDICTIONS])],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [sklearn_bce.__file__]
    for (path, *_), (neuron, told) in zip(saved, expected, strict=True):
        with open(f"{path}.back", "rb") as file:
            loaded, told_there = pickle.load(file)
        for method in PREDICTIONS:  # BLAS may round in another order where X lies elsewhere
            if method == "predict":
                assert_array_equal(told_there[method], told[method])
            else:
                rounding = 100 * np.finfo(told[method].dtype).eps
                assert_allclose(told_there[method], told[method], rtol=rounding, atol=rounding)
        assert_same_attributes(loaded, neuron)


# --- skops ---


def name_of(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


@pytest.mark.parametrize("key", KINDS)
def test_skops_asks_to_trust_the_estimator_alone(key):
    skops = pytest.importorskip("skops.io")
    neuron = KINDS[key]()
    expected = {name_of(BCENeuronClassifier)}
    data = skops.dumps(neuron)
    assert set(skops.get_untrusted_types(data=data)) == expected
    assert {name.split(".")[0] for name in expected} == {"sklearn_bce"}
    with pytest.raises(TypeError, match="BCENeuronClassifier"):
        skops.loads(data)
    loaded = skops.loads(data, trusted=sorted(expected))
    assert_same_attributes(loaded, neuron)


def test_skops_of_a_pipeline_and_of_the_model_for_scikit_learn():
    skops = pytest.importorskip("skops.io")
    pipeline = make_pipeline(StandardScaler(), BCENeuronClassifier()).fit(RAW, LABELS)
    data = skops.dumps(pipeline)
    assert skops.get_untrusted_types(data=data) == [name_of(BCENeuronClassifier)]
    loaded = skops.loads(data, trusted=[name_of(BCENeuronClassifier)])
    assert_array_equal(loaded.predict_proba(RAW), pipeline.predict_proba(RAW))
    data = skops.dumps(pipeline[-1].to_sklearn())
    assert skops.get_untrusted_types(data=data) == []
    assert type(skops.loads(data)) is LogisticRegression


# --- callbacks ---


class Counting:
    """Counts passes."""

    def __init__(self):
        self.n_passes = 0

    def setup(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.n_passes += context.task_name == "pass"

    def teardown(self, estimator, context):
        pass


@pytest.mark.parametrize("through", THROUGH)
def test_callbacks_come_along(through):
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    neuron = BCENeuronClassifier().set_callbacks(Counting()).fit(X, Y)
    loaded = THROUGH[through](neuron)
    assert_array_equal(loaded.coef_, neuron.coef_)
    [callback], [counting] = loaded._skl_callbacks, neuron._skl_callbacks
    assert callback is not counting
    assert callback.n_passes == counting.n_passes == neuron.n_iter_
    loaded.fit(X, Y)
    assert callback.n_passes == 2 * counting.n_passes == 2 * neuron.n_iter_


def test_callbacks_that_cannot_be_saved_are_taken_off():
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    callback = Counting()
    callback.unheard_of = lambda: None
    neuron = BCENeuronClassifier().set_callbacks(callback).fit(X, Y)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(neuron)
    loaded = pickle.loads(pickle.dumps(neuron.set_callbacks()))
    assert not hasattr(loaded, "_skl_callbacks")
    assert_same_bits(predictions(loaded, X), predictions(neuron, X))


def test_skops_asks_to_trust_callbacks_too():
    skops = pytest.importorskip("skops.io")
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    monitor = callback.ScoringMonitor(scoring="neg_log_loss")
    neuron = BCENeuronClassifier().set_callbacks(monitor).fit(X, Y)
    asked = set(skops.get_untrusted_types(data=skops.dumps(neuron)))
    assert asked > {name_of(BCENeuronClassifier), name_of(callback.ScoringMonitor)}
    data = skops.dumps(neuron.set_callbacks())
    assert skops.get_untrusted_types(data=data) == [name_of(BCENeuronClassifier)]


# --- from another version ---

NEWER = ["soft_targets", "n_iter_no_change", "validation_fraction"]  # as if they were


def as_saved_by(version, neuron, save, *, without=(), **more):
    """Return what a version of the package would have saved; None is one that did not tell."""
    state = {name: value for name, value in neuron.__getstate__().items() if name not in without}
    state |= more | {VERSION: version}
    if version is None:
        del state[VERSION]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(neuron), "__getstate__", lambda self: state)
        return save(neuron)


def loads(saved):
    """Load, and return the warnings as well, of which there must be no others."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = pickle.loads(saved)
    assert {warning.category for warning in caught} <= {UserWarning}
    return loaded, [str(warning.message) for warning in caught]


@pytest.mark.parametrize("version", ["0.0.7", "99.0", None])
@pytest.mark.parametrize("key", KINDS)
def test_another_version_is_told_of_and_predicts_the_same(key, version):
    neuron, samples = KINDS[key](), samples_for(key)
    loaded, [message] = loads(as_saved_by(version, neuron, pickle.dumps))
    assert message.startswith(
        f"This BCENeuronClassifier was saved by sklearn_bce {version or 'another version'}, and is "
        f"loaded by {sklearn_bce.__version__}: "
    )
    assert "Fit and save it again" in message
    assert_same_attributes(loaded, neuron, but=["_stream"])  # see below
    assert_same_bits(predictions(loaded, samples), predictions(neuron, samples))


def test_the_warning_points_at_the_line_that_loads():
    saved = as_saved_by("0.0.7", fitted(), pickle.dumps)
    with pytest.warns(UserWarning, match=r"0\.0\.7") as caught:
        pickle.loads(saved)
    assert [warning.filename for warning in caught] == [__file__]


def test_this_version_is_not_told_of():
    saved = as_saved_by(sklearn_bce.__version__, fitted(), pickle.dumps)
    assert loads(saved)[1] == []
    assert VERSION not in vars(pickle.loads(saved))


@pytest.mark.parametrize("is_fitted", [True, False])
def test_parameters_that_it_did_not_have_are_as_by_default(is_fitted):
    given = {"C": 0.3, "max_iter": 50, "random_state": 2}
    neuron = fitted(**given) if is_fitted else BCENeuronClassifier(**given)
    loaded, [_] = loads(as_saved_by("0.0.7", neuron, pickle.dumps, without=NEWER))
    assert vars(loaded).keys() == vars(neuron).keys()
    assert loaded.get_params() == neuron.get_params()
    assert repr(loaded) == repr(neuron)
    assert "C" in estimator_html_repr(loaded)
    again = clone(loaded).fit(X, Y)
    assert_array_equal(again.coef_, fitted(**given).coef_)
    assert_array_equal(loaded.fit(X, Y).coef_, again.coef_)
    assert loaded.score(X, Y) == again.score(X, Y)
    assert loads(pickle.dumps(loaded))[1] == []  # it is of this version now


def test_parameters_that_there_are_no_more_do_no_harm():
    neuron = fitted()
    loaded, [_] = loads(as_saved_by("99.0", neuron, pickle.dumps, temperature=3.0))
    assert "temperature" not in clone(loaded).get_params()
    assert_array_equal(loaded.predict_proba(X), neuron.predict_proba(X))
    assert_array_equal(clone(loaded).fit(X, Y).coef_, neuron.coef_)


@pytest.mark.parametrize("through", ["joblib", "skops", "pipeline"])
def test_another_version_is_told_of_whatever_it_comes_through(through):
    neuron = fitted()
    if through == "pipeline":
        pipeline = Pipeline([("neuron", neuron)])
        loaded, [message] = loads(as_saved_by("0.0.7", neuron, lambda _: pickle.dumps(pipeline)))
    else:
        # What is loaded is of another version, the class is patched until then.
        with pytest.warns(UserWarning, match=r"0\.0\.7") as caught:
            loaded = as_saved_by("0.0.7", neuron, THROUGH[through], without=NEWER)
        [message] = [str(warning.message) for warning in caught]
    assert "0.0.7" in message
    assert_array_equal(loaded.predict_proba(X), neuron.predict_proba(X))


def test_copies_are_of_this_version():
    """pytest makes a warning an error."""
    neuron = fitted()
    for copied in (copy.copy(neuron), copy.deepcopy(neuron), clone(neuron).fit(X, Y)):
        assert_same_attributes(copied, neuron)


class Named(BCENeuronClassifier):
    """A subclass with a parameter that must be given."""

    def __init__(self, name, *, C=0.5):
        super().__init__(C=C)
        self.name = name


def test_subclass_with_a_parameter_that_must_be_given():
    neuron = Named("mine").fit(X, Y)
    loaded, messages = loads(pickle.dumps(neuron))
    assert messages == []
    loaded, [message] = loads(as_saved_by("0.0.7", neuron, pickle.dumps, without=["C"]))
    assert message.startswith("This Named was saved")
    assert loaded.get_params() == neuron.get_params() == {"name": "mine", "C": 0.5}
    assert_array_equal(loaded.predict_proba(X), neuron.predict_proba(X))


def test_stream_of_another_version():
    """What it kept between chunks may have been something else: it goes on without that."""
    neuron = stream()
    kept = copy.copy(neuron._stream)
    del kept.smoothness  # as if it were newer
    loaded, [_] = loads(as_saved_by("0.0.7", neuron, pickle.dumps, _stream=kept))
    assert_array_equal(loaded.predict_proba(X), neuron.predict_proba(X))
    loaded.partial_fit(X[300:].astype(np.float32), Y[300:])
    assert loaded.n_iter_ == neuron.n_iter_ + 1


# --- a graph of ONNX ---


def run_onnx(model, samples):
    """Return the labels and probabilities of the converted model."""
    skl2onnx = pytest.importorskip("skl2onnx")
    runtime = pytest.importorskip("onnxruntime")
    graph = skl2onnx.to_onnx(model, samples[:1], options={"zipmap": False})
    session = runtime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"X": samples})


@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_onnx(key, dtype):
    neuron = KINDS[key]()
    # In raw units, with outputs of 85, single precision is good to 1.5e-6 only: there in double.
    samples = RAW if key == "raw units" else X.astype(dtype)
    labels, probability = run_onnx(neuron.to_sklearn(), samples)
    assert probability.dtype == samples.dtype
    given = pd.DataFrame(samples, columns=NAMES) if key.startswith("frame") else samples
    assert_allclose(probability, neuron.predict_proba(given), rtol=0, atol=1e-6)
    assert np.ptp(probability[:, 1]) > 0.5
    # It has the bools as numbers.
    assert_array_equal(np.asarray(labels).astype(neuron.classes_.dtype), neuron.predict(given))


def test_onnx_far_from_0():
    neuron = KINDS["raw units"]()
    for scale in (1e2, 1e4):
        labels, probability = run_onnx(neuron.to_sklearn(), scale * RAW)
        assert_allclose(probability, neuron.predict_proba(scale * RAW), rtol=0, atol=1e-6)
        assert_array_equal(labels, neuron.predict(scale * RAW))


def test_onnx_of_a_pipeline():
    pipeline = make_pipeline(StandardScaler(), BCENeuronClassifier()).fit(RAW, LABELS)
    steps = [*pipeline.steps[:-1], ("neuron", pipeline[-1].to_sklearn())]
    labels, probability = run_onnx(Pipeline(steps), RAW)
    assert_allclose(probability, pipeline.predict_proba(RAW), rtol=0, atol=1e-6)
    assert_array_equal(labels, pipeline.predict(RAW))
    assert set(labels) == {"benign", "malignant"}


@pytest.mark.parametrize("key", KINDS)
def test_to_sklearn_predicts_identically(key):
    neuron, samples = KINDS[key](), samples_for(key)
    model = neuron.to_sklearn()
    assert_array_equal(model.predict(samples), neuron.predict(samples))
    for name in ("decision_function", "predict_proba"):
        # Sums of 30 products in another order, and 1 − a where the neuron has a of −z.
        ours, theirs = (getattr(each, name)(samples) for each in (neuron, model))
        assert theirs.dtype == ours.dtype
        eps = np.finfo(ours.dtype).eps
        assert_allclose(theirs, ours, rtol=100 * eps, atol=100 * eps)
