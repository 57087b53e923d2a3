"""Estimators saved by pickle, joblib and skops, for another process, version or runtime."""

import base64
import copy
import io
import json
import pickle
import subprocess
import sys
import warnings
import zlib

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from covering import each_value
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
    """Return a float32 estimator in the middle of a stream, whose state is in float64."""
    model = BCENeuronClassifier(solver="sgd", random_state=random_state, batch_size=4)
    return model.partial_fit(X[:300].astype(np.float32), Y[:300], classes=[0, 1])


def fitted(*data, **parameters):
    model = BCENeuronClassifier(**parameters)
    return model.fit(*(data or (X, Y)))


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


def predictions(model, samples):
    return {name: getattr(model, name)(samples) for name in PREDICTIONS}


def assert_same_bits(one, other):
    for name in PREDICTIONS:
        assert one[name].dtype == other[name].dtype
        assert_array_equal(one[name], other[name])


def through_joblib(model):
    file = io.BytesIO()
    joblib.dump(model, file)
    file.seek(0)
    return joblib.load(file)


def through_skops(model):
    skops = pytest.importorskip("skops.io")
    data = skops.dumps(model)
    return skops.loads(data, trusted=skops.get_untrusted_types(data=data))


THROUGH = {
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
    "joblib": through_joblib,
    "skops": through_skops,
    "deepcopy": copy.deepcopy,
}


def assert_same_attributes(loaded, model, but=()):
    states = []
    for each in (loaded, model):
        left_out = {*but, *(LEFT_OUT if each is model else ())}
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
        assert getattr(loaded, name).dtype == getattr(model, name).dtype


# --- in this process ---


@pytest.mark.usefixtures("general_loop")
@each_value(
    pytest.mark.parametrize("through", THROUGH),
    pytest.mark.parametrize("key", KINDS),
)
def test_saved_and_loaded_estimator_has_the_same_attributes_and_predictions(key, through):
    model = KINDS[key]()
    assert ("_path_state" in vars(model)) == (key == "L1, on a path")
    before = dict(vars(model))
    loaded = THROUGH[through](model)
    assert vars(model).keys() == before.keys()  # saving changes nothing
    assert_same_attributes(loaded, model)
    samples = samples_for(key)
    assert_same_bits(predictions(loaded, samples), predictions(model, samples))


@pytest.mark.parametrize("through", THROUGH)
def test_unfitted_estimator_is_saved_with_its_parameters(through):
    model = BCENeuronClassifier(C=np.inf, class_weight={0: 2.0}, random_state=4)
    loaded = THROUGH[through](model)
    assert vars(loaded) == vars(model)


@pytest.mark.usefixtures("general_loop")
@pytest.mark.parametrize("through", THROUGH)
def test_loaded_estimator_goes_on_along_a_path(through):
    model = KINDS["L1, on a path"]()
    loaded = THROUGH[through](model)
    for each in (loaded, model):
        each.set_params(C=0.07, tol=1e-12).fit(X, Y)
    assert loaded.n_passes_ > model.n_passes_  # without the memory of the fit before
    assert_allclose(loaded.coef_, model.coef_, atol=1e-4)


@each_value(
    pytest.mark.parametrize("random_state", [int, np.random.RandomState]),
    pytest.mark.parametrize("through", THROUGH),
)
def test_loaded_stream_goes_on_bit_for_bit(through, random_state):
    model = stream(random_state(5))
    loaded = THROUGH[through](model)
    drawn_from = loaded._stream.random_state
    assert (drawn_from is loaded.random_state) == (random_state is np.random.RandomState)
    assert drawn_from is not model._stream.random_state
    for each in (loaded, model):
        each.partial_fit(X[300:].astype(np.float32), Y[300:])
    assert_same_attributes(loaded, model)


@pytest.mark.parametrize("key", KINDS)
def test_estimator_with_memory_mapped_arrays_predicts_and_goes_on(key, tmp_path):
    """Memory-mapped arrays are read-only."""
    model, samples = KINDS[key](), samples_for(key)
    joblib.dump(model, tmp_path / "model.joblib")
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    assert isinstance(mapped.coef_, np.memmap)
    assert not mapped.coef_.flags.writeable
    assert_same_bits(predictions(mapped, samples), predictions(model, samples))
    if key == "stream":
        for each in (mapped, model):
            each.partial_fit(X[300:].astype(np.float32), Y[300:])
        assert_same_attributes(mapped, model)
    if key in ("newton", "sgd"):
        for each in (mapped, model):
            each.set_params(warm_start=True).fit(X, Y)
        assert_same_attributes(mapped, model)
    converted = mapped.to_sklearn()
    converted.coef_ += 1.0  # its own, in memory


@pytest.mark.usefixtures("general_loop")
def test_pickle_does_not_hold_the_samples():
    small, large = (
        fitted(np.tile(X, (n, 1)), np.tile(Y, n), l1_ratio=1.0, C=0.1, warm_start=True)
        for n in (1, 10)
    )
    assert "_path_state" in vars(large)
    size, of_large = (len(pickle.dumps(model)) for model in (small, large))
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
        model = skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))
    else:
        with open(path, "rb") as file:
            model = {"pickle": pickle, "joblib": joblib}[format].load(file)
    with open(samples, "rb") as file:
        X = pickle.load(file)
    told = {name: getattr(model, name)(X) for name in methods}
    with open(path + ".back", "wb") as file:
        pickle.dump((model, told), file)
print(sys.modules["sklearn_bce"].__file__)
"""


def test_another_process_loads_predicts_and_saves_the_same(tmp_path):
    formats, saved, expected = ["pickle", "joblib"], [], []
    try:
        import skops.io
    except ImportError:
        skops = None
    else:
        formats.append("skops")
    for key, kind in KINDS.items():
        model, samples = kind(), samples_for(key)
        of_samples = tmp_path / f"samples of {key}"
        of_samples.write_bytes(pickle.dumps(samples))
        for format in formats:
            path = tmp_path / f"{key}.{format}"
            if format == "skops":
                skops.io.dump(model, path)
            else:
                with path.open("wb") as file:
                    {"pickle": pickle, "joblib": joblib}[format].dump(model, file)
            saved.append([str(path), format, str(of_samples)])
            expected.append((model, predictions(model, samples)))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CHILD, json.dumps([saved, PREDICTIONS])],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [sklearn_bce.__file__]
    for (path, *_), (model, told) in zip(saved, expected, strict=True):
        with open(f"{path}.back", "rb") as file:
            loaded, told_there = pickle.load(file)
        for method in PREDICTIONS:  # BLAS may round in another order where X lies elsewhere
            if method == "predict":
                assert_array_equal(told_there[method], told[method])
            else:
                rounding = 100 * np.finfo(told[method].dtype).eps
                assert_allclose(told_there[method], told[method], rtol=rounding, atol=rounding)
        assert_same_attributes(loaded, model)


# --- skops ---


def name_of(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


@pytest.mark.parametrize("key", KINDS)
def test_skops_asks_to_trust_the_estimator_alone(key):
    skops = pytest.importorskip("skops.io")
    model = KINDS[key]()
    expected = {name_of(BCENeuronClassifier)}
    data = skops.dumps(model)
    assert set(skops.get_untrusted_types(data=data)) == expected
    assert {name.split(".")[0] for name in expected} == {"sklearn_bce"}
    with pytest.raises(TypeError, match="BCENeuronClassifier"):
        skops.loads(data)
    loaded = skops.loads(data, trusted=sorted(expected))
    assert_same_attributes(loaded, model)


def test_skops_trusts_a_pipeline_by_the_estimator_and_to_sklearn_by_nothing():
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
    """A callback that counts passes."""

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
def test_callbacks_are_saved_with_the_estimator(through):
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    model = BCENeuronClassifier().set_callbacks(Counting()).fit(X, Y)
    loaded = THROUGH[through](model)
    assert_array_equal(loaded.coef_, model.coef_)
    [callback], [counting] = loaded._skl_callbacks, model._skl_callbacks
    assert callback is not counting
    assert callback.n_passes == counting.n_passes == model.n_iter_[0]
    loaded.fit(X, Y)
    assert callback.n_passes == 2 * counting.n_passes == 2 * model.n_iter_[0]


def test_estimator_is_saved_without_callbacks_that_cannot_be():
    pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    callback = Counting()
    callback.unheard_of = lambda: None
    model = BCENeuronClassifier().set_callbacks(callback).fit(X, Y)
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(model)
    loaded = pickle.loads(pickle.dumps(model.set_callbacks()))
    assert not hasattr(loaded, "_skl_callbacks")
    assert_same_bits(predictions(loaded, X), predictions(model, X))


def test_skops_asks_to_trust_callbacks_too():
    skops = pytest.importorskip("skops.io")
    callback = pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")
    monitor = callback.ScoringMonitor(scoring="neg_log_loss")
    model = BCENeuronClassifier().set_callbacks(monitor).fit(X, Y)
    asked = set(skops.get_untrusted_types(data=skops.dumps(model)))
    assert asked > {name_of(BCENeuronClassifier), name_of(callback.ScoringMonitor)}
    data = skops.dumps(model.set_callbacks())
    assert skops.get_untrusted_types(data=data) == [name_of(BCENeuronClassifier)]


# --- from another version ---

NEWER = ["soft_targets", "n_iter_no_change", "validation_fraction"]  # as if they were


def as_saved_by(version, model, save, *, without=(), **more):
    """Return the state that a version of the package saves; None saves no version."""
    state = {name: value for name, value in model.__getstate__().items() if name not in without}
    state |= more | {VERSION: version}
    if version is None:
        del state[VERSION]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(model), "__getstate__", lambda self: state)
        return save(model)


def loads(saved):
    """Load a pickle, and return the object and the version warnings; no other ones are allowed."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        loaded = pickle.loads(saved)
    assert {warning.category for warning in caught} <= {UserWarning}
    return loaded, [str(warning.message) for warning in caught]


@each_value(
    pytest.mark.parametrize("version", ["0.0.7", "99.0", None]),
    pytest.mark.parametrize("key", KINDS),
)
def test_pickle_of_another_version_warns_and_predicts_the_same(key, version):
    model, samples = KINDS[key](), samples_for(key)
    loaded, [message] = loads(as_saved_by(version, model, pickle.dumps))
    assert message.startswith(
        f"This BCENeuronClassifier was saved by sklearn_bce {version or 'another version'}, and is "
        f"loaded by {sklearn_bce.__version__}: "
    )
    assert "Fit and save it again" in message
    assert_same_attributes(loaded, model, but=["_stream"])  # see below
    assert_same_bits(predictions(loaded, samples), predictions(model, samples))


def test_version_warning_points_at_the_line_that_loads():
    saved = as_saved_by("0.0.7", fitted(), pickle.dumps)
    with pytest.warns(UserWarning, match=r"0\.0\.7") as caught:
        pickle.loads(saved)
    assert [warning.filename for warning in caught] == [__file__]


def test_pickle_of_this_version_does_not_warn():
    saved = as_saved_by(sklearn_bce.__version__, fitted(), pickle.dumps)
    assert loads(saved)[1] == []
    assert VERSION not in vars(pickle.loads(saved))


@pytest.mark.parametrize("is_fitted", [True, False])
def test_parameters_missing_in_a_pickle_get_their_defaults(is_fitted):
    given = {"C": 0.3, "max_iter": 50, "random_state": 2}
    model = fitted(**given) if is_fitted else BCENeuronClassifier(**given)
    loaded, [_] = loads(as_saved_by("0.0.7", model, pickle.dumps, without=NEWER))
    assert vars(loaded).keys() == vars(model).keys()
    assert loaded.get_params() == model.get_params()
    assert repr(loaded) == repr(model)
    assert "C" in estimator_html_repr(loaded)
    again = clone(loaded).fit(X, Y)
    assert_array_equal(again.coef_, fitted(**given).coef_)
    assert_array_equal(loaded.fit(X, Y).coef_, again.coef_)
    assert loaded.score(X, Y) == again.score(X, Y)
    assert loads(pickle.dumps(loaded))[1] == []  # it is of this version now


def test_removed_parameters_in_a_pickle_do_no_harm():
    model = fitted()
    loaded, [_] = loads(as_saved_by("99.0", model, pickle.dumps, temperature=3.0))
    assert "temperature" not in clone(loaded).get_params()
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    assert_array_equal(clone(loaded).fit(X, Y).coef_, model.coef_)


@pytest.mark.parametrize("through", ["joblib", "skops", "pipeline"])
def test_version_warning_comes_through_joblib_skops_and_pipelines(through):
    model = fitted()
    if through == "pipeline":
        pipeline = Pipeline([("model", model)])
        loaded, [message] = loads(as_saved_by("0.0.7", model, lambda _: pickle.dumps(pipeline)))
    else:
        # The version is patched for saving only, so that the pickle is of another version.
        with pytest.warns(UserWarning, match=r"0\.0\.7") as caught:
            loaded = as_saved_by("0.0.7", model, THROUGH[through], without=NEWER)
        [message] = [str(warning.message) for warning in caught]
    assert "0.0.7" in message
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_copies_do_not_warn_of_a_version():
    """A warning would be an error: pytest is configured so."""
    model = fitted()
    for copied in (copy.copy(model), copy.deepcopy(model), clone(model).fit(X, Y)):
        assert_same_attributes(copied, model)


class Named(BCENeuronClassifier):
    """A subclass with a parameter that must be given."""

    def __init__(self, name, *, C=0.5):
        super().__init__(C=C)
        self.name = name


def test_subclass_with_a_required_parameter_is_loaded():
    model = Named("mine").fit(X, Y)
    loaded, messages = loads(pickle.dumps(model))
    assert messages == []
    loaded, [message] = loads(as_saved_by("0.0.7", model, pickle.dumps, without=["C"]))
    assert message.startswith("This Named was saved")
    assert loaded.get_params() == model.get_params() == {"name": "mine", "C": 0.5}
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))


def test_stream_of_another_version_goes_on_without_what_it_kept():
    """The state between chunks may differ between versions, and is dropped."""
    model = stream()
    kept = copy.copy(model._stream)
    del kept.levels  # as if it were newer
    loaded, [_] = loads(as_saved_by("0.0.7", model, pickle.dumps, _stream=kept))
    assert_array_equal(loaded.predict_proba(X), model.predict_proba(X))
    loaded.partial_fit(X[300:].astype(np.float32), Y[300:])
    assert loaded.n_iter_[0] == model.n_iter_[0] + 1


def test_stream_without_the_fields_of_the_automatic_step_goes_on():
    """A pickle of 0.1.0 has another field instead; its samples count by their weight."""
    model = stream()
    saved = model.__getstate__()
    of_stream = saved["_stream"]
    total = of_stream["total_weight"]
    del of_stream["n_samples"], of_stream["levels"]
    loaded = BCENeuronClassifier.__new__(BCENeuronClassifier)
    loaded.__setstate__(saved | {"_stream": of_stream | {"smoothness": 1e18}})
    assert loaded._stream.n_samples == total
    assert_array_equal(loaded._stream.levels, np.empty((2, 0)))
    before = loaded.coef_.copy()
    loaded.partial_fit(X[300:].astype(np.float32), Y[300:])
    assert np.abs(loaded.coef_ - before).max() > 1e-4


# What version 0.1.0 has pickled, compressed and as base64: an estimator after fit(), and one after
# partial_fit(), on SMALL and SMALL_LABELS. Both name the module sklearn_bce._neuron.
SMALL = np.array([[0.0, 1.0], [1.0, 0.5], [2.0, -1.0], [3.0, 0.0], [4.0, 2.0], [5.0, -2.0]])
SMALL_LABELS = np.array(["no", "no", "yes", "no", "yes", "yes"])
FITTED_BY_0_1_0 = """
eNptkz1oFEEUx+8zOc+7EIhIUEQFwRPxSAhIEEmiR1hw4Qo/sArD3N7s7erezDE7e/GEgBbRnLxgkWehIIqdXVJY
WGllL9hIUtqmttS3k4ta+GCW93Zmfu/NvP88Kry4ks9Yg6n4fiS4lqzliTqTItFKIkxdbyw3rd+IeByHfig0buGF
x7iGNcg20FnKjAClaJZpbkKFTubwX9UPDQulEdoTPYMbUPFSDFsVYScw2ISxWEV9QkKBJ0YhVG0NoeykKIFBGcot
bryAxeFDgW4WxuMg8f1IEKvU5Q9YSGx025A3KkJnYfvLz7cf9jdhgjDRgMVG9XpEwyFM9XkUttP6JPM191IHncWP
L1N7BZPSophUzAu47FCyIlRi5RtmuO4IExOjvMp1l6BcG4oqmsu2sjGV2oQJAgtuEi1iOjNDNwcle1yKEY7LpNsb
1JmntKh3k8iEXGs+QKgwLTwlY6MTz9DdQtGuRBiX7YMlW+hm1rGRbeFTvIk1N+vm1jE4CcW2GfREuiV3Zw6HGwez
echexWaz6Vbcglsy2Bo2piU1Q42aMqAhaMQ0kKah6CnhMwxOBKfSPMHpwyyU5wkG5yDnz/+lBzVi3/hFZj9uxmaY
/PrsmrO7ub+4s7Ks33e/fbLk8p/W/xdPwdywUXp36fLe+Wrus90yPuoDugU4IllvdH3O0pmRpMp0V6SYjmgz0sDR
SJGcvET3BcMVrDmLe2u7t5Z/bJNzd37n7MK91Lk4eP3muXV0+fZ3QSKyqqOujEmxalKhV5lRhkeHynSWpkf5jrF/
HgajXXEqHCjO1GfrM5i06r8B7aE9Gg==
"""
STREAM_OF_0_1_0 = """
eNrtWXk0lG0bHzMm64jsyRZlyyCUvEiESipryvI0xoyZjBlmsY+lZH2EPPblDSX0InllXwslpQ2pKClpk30p8j2o
7/2+873f+f7+zuk+555z3899P7/ruq/rd53nd+4J40yhSiDWGijM8KQQcHQq4IYnYAEqgUWnUSFQ2MTU7Mja2JSC
YzDIRDKBDiVDKuEQG1IGOUwhi70TPwC4KVoAHcck0yALxI8GYohkJkCmMgl0PMGbCUWD/PhVGMCPQPYgMaEj4AYG
jeILQ4Iohoc7BGLWXCBTPVaRCDD4qx9AvG44Jp4EMMiBBMiSA+RikFhEIoUAI3J74fwBMmwBsnQHUUwaBbIwutYx
f7HqczwoAKNRAgAGk+btDYNCMaCwL45Cdl/1kgoQ6Tj86gA2U5ux2jJBQeoaFEClAXgSjuoBG0OD/AwakQkwcXQP
ApMBY/D64eheMCiOzoRn/HQc1Z22Noc9tkSAAjAyAcdk0QkM+OgAZIkEuddODc8hUIzK8vIOwAJ4Gp2A9WJRmGQc
nY4LgEB+gE7A06gMJp2FZ8IhBtFrOyGQi+q+viUZRj8HmXK4QVGQDaRsyWGJPAeRpEC0OzPAm7D6CtJeG4qJXl9F
gRwG0JEjRyz5LTktuZmQW4ypBBUOJe1HbgLgToA7A+4QvAyi8TQCEYBIm0nSq3ZIsj+twHYiIZIiiCTq/YVOUoax
D63Abe3HErFmQXDncsfkjai5ve9QTy7d3DSwdw2Z958M+Ft4eKIdY8qdv+w3igrrbF57hetHIlaTzUMFvH+Ez8L4
J7N44VjBxPEguANwEvgoNJhVeBbdlwBALnBCF7A3Qss9zuJgpqwRDDbMC3LBSaITcF7r3PX7G1+Q6778/THgwFs0
d4ahRv2W80F+Jo2Jo/wksoXxzzLiZXjRaEwSlcBg/FUHJFFQZD3v62TBAt5kPFxuELgJANYfrdEHwDNpq+VFOgaK
AIAbXDseBCoBLgUa/ecSKPrvQF5MrT17tHfDNLGyWx8lQ+fg06weEfNvCP+yBUSvs3V1E8qTEPCfkbDyXg0FnHOW
zv/IuUkLDwKxCZOXhPqE3We3bZ4WmMTO439Vto+l3TzW7+igbH7rQHCN27IRsstwBCdoFh6QRhF0HG++2Lac2L0C
tLttHWx6uHEI2OMsW2wkqjr4miPliF2RukLAkAw/np2bYBId25Iu8eBYo3tltIqrHm8Csnvhs7vgZ/nszeezfVyV
uBEhld8HVa4IOd4N7r4ae1s4QvKWT2feb0yNQU5FemZUv8izNBc7g4OGd1TFT+4MbEsQRnz7emoAqplCG0piLR2U
6nvFyuVn2RHcMUli13WF93MsJ6QMtlSeHJmY1QF1ZgR0bp+6YNqlMolBiDCTcGq2Dr7u590PVe224cjks67RtGdr
xYfOZqGc44jnXbJubZ6qPlcTlO6yTQvTeGwn6dH95i+TQbpnj4ponW7DGNyVk6l3zeWL8/AWeM7+IKRmauE9+EbN
OVfYkRXPiHQ9eZRd5hSOptqCxk4Ot+6lNbZXkP0x6gE3RZ75G92WpdWsyEy/wHdIjMgaFI4bbm/Zm23IzQPqdysl
Rbpoyz6YwCUKRQ1wqhUOv2d8U5s5iYk7sv/YtKQy3VVOzfBDBsdJo/On66xIHLdiNHxmzLW3SMkZhfJ5EDtecS+C
Nkp7wuVBs5uCfF/jeikjBa0hsnbTERacO941cCfveWyGKm6O2SCJ+MjtpBZTH1BL+b1gmYP7cW9O0r59hZkxiVTc
xeJAsUDzxeAC/OPzCWl3sah2NdUaqyEnWyu0VGhOIL+M2dtQp2089qw2beLdw/5HJ2XNVR6qNYtq09X07UOjM2Yl
WsQLV8hmyVf5V3D60hWx+Of6Aff83QSjdduytfru73+7fNWrkLYY9gXkFPQ6BJVdCBYW542fGU75+rLpoQPjtXJQ
SGpCUMrr7/Iaj2tb3Dwjd1SMHg4xdx1cOAnXjOucm2vM5GHMS4GeID4ixvZq/xk9ly6Fg3p5EtdTOSp9Diahrr1c
dMDOPn3X8DGrPidBqP54odSA3JXkDtxAilWc3EJZiUR54fSFxi6NVhtPH42c13+o+10VCKMh7yBL/ghe6inpOGey
v7QVf/9NM6NVyWp6cZYZ+6708gP5XRb5KZaKEpJs0yGn5bD7fF9LlHLj5k8ZCHilZiB1BO5IF0l/Yg9m9D3muo/Z
KJD1oGpU88XZbxu9ggxz5Yf7RYRoRYmO9i7HkcxNaE1lL2MZlYNFyYhsselT6uXHlja6yIsZlYt80lU85EPI5110
Kr4W3o9geVYZ2zeOsPoGkEdferfCH4jFFA3ZDfOnTmyVxzV2Hr+11N6+OD+qWtlm+zgm4qxNiIkX3+wV6zLxgs6x
9rM1qcbkunhB8eCCkrfyC2Ma+nQ51GDEqYkxrqHj1Ue/qq8IJKUGLpgkPtWsdLY+oKEgxbbrUjR4S9Tfu1ziEM51
Va8iKWtqm+FOPqZVyLBo1omlqTuFqiLzFJZ8d6R5u3TKrjF05C0ZLQWbavFZl+rh8KrpbUNaY3oWwhbWmWZlyzqs
qHCOsmuUJVM9PYO4tidsAjXCeszHwg8LHN2csaU9qpQfaggLb9BQIt92BT8qFIifQSMGzw+pCOQrroyUcVs9ffp7
SeSurik7w2/OSJJX6R6zyCcuQZy9LrWFyHPPLJoD1IDkpNKEa1I8e78PSUinee8Vrkddaggx80LmDerkFRVOzgQJ
2u1qxerHvktzCLUO88GkGi5p+NadKJ+OfZBtU6HVEKbDNlXYoLKpyo+kl9nCKtW0Yn/uuqTCTfU+eDY4cFJFvcmj
w6Kkznji0cva+ZJuxTIj7sc2bi6PPkXXl1yltRUPsW0lTtwbuUkxFR1fjFnaKK79ia/8jzsDvlB31Fjiix3XN5iO
i/RMTNpbhzmIWIoGd/I+FMxWblhIV5vALm494d+enAcavFFU7hbafVPuRot4e1KtoMib+HeJqtdLZ37T2P40I8jR
djzfps/cmDOpp6gk6rU0ybnMOUiFGmc08kFWf3N/hWSO2O4QqZ4Q7Ps/i7nyXmstKeN85CmCMzEyYbfw+tExTyo7
BRskaWrH0Lwf233GeFe2p+UGjB2IfQ2M+ZUFbsH4pArp9it2JCvdW9hexn8Y6fG+vO1cl9RQV+nYoWEkXfW7R8ID
x+7q4gvqQa3W+kwrGfVArY0hK6L3RyljTpq9lEs+7RfRldj0PAuRFLtdQbtZZ04WP797/T1hm3nzGCPhTuOh56Hg
5htMzydqYjXR5TeMv/fVS0mOFimc+WJ8lPwxdFs1l72Avu2jnBw9o8tPP1dB0WLNllvmplIfHc2mKGmfJ0aOh1dd
uj6i+PmZS+KGVF6vFT4iVy3G4rcmpImS43stysrXK4+9CTbElMGCR8ezchpxX05I9ehVig9oNJgsDQ9HzDv6dqT8
ESNx6d6pbelaz+KccfaZUaNm2n6Im2nnt++s6qT3816ZuF532Mo44tLBfQHCLQR2rux3/bfxmycZZfUXhybydKUq
3jQh1Qy3yJtJe4l5fm5KLEvQPX13REjvxXD+6fcHzJrm8b28No7NcefxQPtKsVaVOC5FJSiasaegp1J0OgQt0/mx
VaqO43IvPZot30ts9+nZkltRuCGSWiPCSEz1lOQX2nlGW1dkcjQjyegglXA63dpx2qf5RUru/tcXUCgBoUrfptRD
hXZ6++J+K/Bu5vn9Ki24YUDhjZwuqrLt7mFWuzXI04RgyhnYxb7LT1JfdC66AOxwLTiDdIlicCCdhRSClMjszOmp
kAaJ0e4QIc2I273ZYbgcPd6HO2YqYuJPahBGox/kgAZ5pq0lVf1GaPHgPL4KRP6e3nvhDmeFfWOTemp68cx0cov0
znYb2Xw9hJHRWwXdy/K4cr1jJAw5qZd5oHSXrqOV56jZMC2tXdO6SlDVH33q/dYS/Fwz5nT+nbbxV/EODGG5myOX
pjiq01+gXb1nw6yyb3ybJVI7hzwKu5vr/Eemh1Xymvh2ByyUuO7/YiKqsBjpxuTsR1BddzwYFa/7ir+yz4PLfIr1
YPHKbC06etfezWIZsStVOz+xosLsUdOqY04rBX0ojxqevLElizlcOs14kzbPRe74rdXSnVsXapYfn5hNdpFz08zq
YT/8PjNdEijdZTQwR2kdV6Q2lU7tjy6arCD2lX2ybJ/+s3BT5JlPqho53Y/MMyvVzr0f2vr81vbjPSQBMRsGOfnm
6OVrUta+NhVG9xoVvB3CFdXfVU+0+j+kufduQmgyybW7PyD+RHtW2gS+jcH2JHwZP4u5o9SpkJqX9Kyh+LtMbrTK
NC9OR22uoAMrPdc1mOVaJPm5FJ0ealBVaf0wgXWReE0kXZNsYlt5Yi5YPeR5V110/atrTUMNGAeDT+yxuU66SNTE
a/qWnmcCDqdEyzr71PscPgznPLqBdl/TtyhvGgOy5GWxjkRCbj80JMnpL9VIcll9APwXrUj8pQR/KcFfSvCXEvyl
BH8pwV9K8JcS/KUE/1+VIOk0rAJBHhKOAXjgWAzG6q02en30zytNlhsLxAD/5RJUBPiXPxMAXwKdsXrNDqI1sVpY
TYjlhv0H2E9oEA==
"""


def loaded_from_0_1_0(text):
    pytest.importorskip("numpy._core.multiarray", reason="arrays are pickled by NumPy 2")
    pickled = zlib.decompress(base64.b64decode(text))
    assert b"sklearn_bce._neuron" in pickled
    return loads(pickled)[0]


def test_pickle_of_0_1_0_after_fit_predicts_the_same():
    z = [-2.5756169147454493, -1.4924538250234929, -0.09009750410729245]
    z += [0.5142757388232986, 0.799455750559646, 2.9997951494614554]
    model = loaded_from_0_1_0(FITTED_BY_0_1_0)
    assert type(model) is BCENeuronClassifier
    assert_allclose(model.decision_function(SMALL), z, rtol=1e-13)
    assert_array_equal(model.predict(SMALL), np.where(np.array(z) > 0, "yes", "no"))
    assert model.get_params() == BCENeuronClassifier(C=2.0).get_params()
    fitted_again = clone(model).fit(SMALL, SMALL_LABELS)
    assert_allclose(fitted_again.coef_, model.coef_, rtol=1e-6)  # both within tol of the minimum
    assert model.n_iter_.shape == fitted_again.n_iter_.shape  # a number in 0.1.0
    assert model.n_iter_.dtype == fitted_again.n_iter_.dtype


def test_pickle_of_0_1_0_in_a_stream_predicts_the_same_and_goes_on():
    z = [0.20817606299540736, 1.42042437781481, 2.2409024146905785]
    z += [4.040806146425433, 6.23248015610392, 6.073532498120604]
    after_another_chunk = [-0.21715188763622228, 1.004179035472682, 1.6801556393544488]
    after_another_chunk += [3.7195180413040596, 6.304234762480808, 5.616825568294731]
    model = loaded_from_0_1_0(STREAM_OF_0_1_0)
    assert_allclose(model.decision_function(SMALL), z, rtol=1e-13)
    model.partial_fit(SMALL, SMALL_LABELS)
    assert_allclose(model.decision_function(SMALL), after_another_chunk, rtol=1e-12)


# --- to_sklearn ---


@pytest.mark.parametrize("key", KINDS)
def test_to_sklearn_predicts_identically(key):
    model, samples = KINDS[key](), samples_for(key)
    converted = model.to_sklearn()
    assert_array_equal(converted.predict(samples), model.predict(samples))
    for name in ("decision_function", "predict_proba"):
        # Sums of 30 products have another order, and 1 − a is computed instead of σ(−z).
        ours, theirs = (getattr(each, name)(samples) for each in (model, converted))
        assert theirs.dtype == ours.dtype
        eps = np.finfo(ours.dtype).eps
        assert_allclose(theirs, ours, rtol=100 * eps, atol=100 * eps)
