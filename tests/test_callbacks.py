"""scikit-learn 1.9's callbacks, which are called for every pass of every solver."""

import re
import subprocess
import sys
import threading
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.sparse as sp
from covering import each_value, every_pair
from joblib import parallel_config
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, xlogy
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 8))
Y = (RNG.random(120) < expit(X[:, :3] @ [1.0, 1.5, -1.0])).astype(int)
WEIGHT = RNG.uniform(0.2, 3.0, 120)

SOLVERS = ["newton", "gd", "sgd"]


@pytest.fixture(autouse=True)
def callback(request):
    """Skip a test if scikit-learn has no callbacks, except the test of that case."""
    if request.function is not test_package_works_without_sklearn_callback:
        pytest.importorskip("sklearn.callback", reason="scikit-learn 1.9 or later")


class Quiet:
    """A callback that asks for no data; its hooks return the result of ``act``."""

    def __init__(self, act=lambda where: None):
        self.told, self.act = [], act

    def setup(self, estimator, context):
        self._note("setup", estimator, context)

    def teardown(self, estimator, context):
        self._note("teardown", estimator, context)

    def on_fit_task_begin(self, estimator, context):
        return self._note("begin", estimator, context)

    def on_fit_task_end(self, estimator, context):
        return self._note("end", estimator, context)

    def _note(self, hook, estimator, context, **given):
        task = "fit" if context.parent is None else context.task_id
        given |= {"estimator": estimator, "n_subtasks": context.max_subtasks}
        self.told.append(SimpleNamespace(where=(hook, task), **given))
        return self.act((hook, task))

    @property
    def places(self):
        return [told.where for told in self.told]

    def count(self, hook):
        return sum(where[0] == hook for where in self.places)


class Curious(Quiet):
    """A callback that asks for all data, and keeps the data and the predictions at each call."""

    def on_fit_task_begin(self, estimator, context, *, X, y, metadata):
        return self._note("begin", estimator, context, X=X, y=y, metadata=metadata)

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        z = None if fitted_estimator is None else fitted_estimator.decision_function(X)
        given = {"X": X, "y": y, "metadata": metadata, "fitted": fitted_estimator, "z": z}
        return self._note("end", estimator, context, **given)

    def after_passes(self):
        """Return the data given to the hook after each pass that was not empty."""
        ends = [told for told in self.told if told.where[0] == "end" and told.where[1] != "fit"]
        return [told for told in ends if told.fitted is not None]


class Propagated(Quiet):
    max_propagation_depth = None


def at(*where, error=None):
    """Return an ``act`` that, in one hook, raises an error or asks for the end of the fit."""

    def act(here):
        if here == where and error is not None:
            raise error
        return here == where

    return act


def unfitted(*callbacks, **parameters):
    """Return an estimator that does 6 passes."""
    model = BCENeuronClassifier(**{"max_iter": 6, "tol": 0, "random_state": 0} | parameters)
    return model.set_callbacks(*callbacks)


def places_of(n_passes):
    passes = [(hook, k) for k in range(n_passes) for hook in ("begin", "end")]
    whole = [("setup", "fit"), ("begin", "fit")], [("end", "fit"), ("teardown", "fit")]
    return whole[0] + passes + whole[1]


# --- what they are told ---


@every_pair(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("l1_ratio", [0.0, 0.5]),
    pytest.mark.parametrize(
        "ending", [{}, {"tol": 1e-3, "max_iter": 300}, {"early_stopping": True, "max_iter": 300}]
    ),
)
def test_every_pass_begins_and_ends_once(solver, l1_ratio, ending):
    quiet = Quiet()
    model = unfitted(quiet, solver=solver, l1_ratio=l1_ratio, **ending).fit(X, Y)
    assert quiet.places == places_of(model.n_iter_[0])
    assert all(told.estimator is model for told in quiet.told)
    for told in quiet.told:  # what progress is measured by
        assert told.n_subtasks == (model.max_iter if told.where[1] == "fit" else 0)
    assert (model.n_iter_[0] == 6) == (not ending)
    quiet.told.clear()
    model.fit(X, Y)
    assert quiet.places == places_of(model.n_iter_[0])


@pytest.mark.parametrize("C", [0.5, 0.9])
def test_last_pass_along_a_path_may_be_empty(C):
    curious = Curious()
    model = unfitted(curious, l1_ratio=0.9, warm_start=True, max_iter=50, tol=1e-6).fit(X, Y)
    curious.told.clear()
    model.set_params(C=C).fit(X, Y)
    n_begun = curious.count("begin") - 1
    assert curious.places == places_of(n_begun)
    assert model.n_iter_[0] == len(curious.after_passes())
    assert n_begun - model.n_iter_[0] in {0, 1}


@every_pair(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("container", [np.asarray, sp.csr_array]),
    pytest.mark.parametrize("weight", [None, WEIGHT]),
)
def test_samples_and_weights_reach_the_hooks(solver, container, weight):
    curious = Curious()
    labels, samples = np.where(Y == 1, "yes", "no"), container(X)
    unfitted(curious, solver=solver, early_stopping=True).fit(samples, labels, sample_weight=weight)
    for told in curious.told[1:-1]:
        assert type(told.X) is type(samples)
        assert_array_equal(told.X.toarray() if sp.issparse(told.X) else told.X, X)
        assert_array_equal(told.y, labels)
        if weight is None:
            assert told.metadata is None
        else:
            assert told.metadata.keys() == {"sample_weight"}
            assert_array_equal(told.metadata["sample_weight"], weight)


class AskingForOffsets(Curious):
    """A callback that keeps the predictions at each call, for samples with an offset of 0.5."""

    def on_fit_task_end(self, estimator, context, *, X, y, metadata, fitted_estimator):
        z = None
        if fitted_estimator is not None:
            with pytest.raises(ValueError, match="offset is missing"):
                fitted_estimator.decision_function(X)
            z = fitted_estimator.decision_function(X, metadata["offset"])
        return self._note("end", estimator, context, z=z, fitted=fitted_estimator)


def test_an_offset_reaches_the_hooks_and_their_predictions_need_one():
    curious = AskingForOffsets()
    model = unfitted(curious).fit(X, Y, offset=0.5)
    assert [told.metadata for told in curious.told if told.where[0] == "begin"] == 7 * [
        {"offset": 0.5}
    ]
    assert len(curious.after_passes()) == 6
    assert_array_equal(curious.after_passes()[-1].z, model.decision_function(X, 0.5))


# --- the estimator after a pass ---

EXACT = {"C": np.inf, "tol": 0}
AFTER_PASSES = {
    "newton": ({"solver": "newton"}, (120, 8)),
    "newton with an L1 norm": ({"solver": "newton", "l1_ratio": 0.5}, (120, 8)),
    "newton in the space of the samples": ({"tol": 1e-9}, (30, 300)),
    "gd": ({"solver": "gd"}, (120, 8)),
    "gd with an L1 norm": ({"solver": "gd", "l1_ratio": 0.5}, (120, 8)),
    "sgd": ({"solver": "sgd"}, (120, 8)),
    "sgd by batches": ({"solver": "sgd", "batch_size": 16}, (120, 8)),
    "no intercept": ({"solver": "sgd", "fit_intercept": False}, (120, 8)),
}


@pytest.mark.usefixtures("general_loop")
@pytest.mark.filterwarnings("ignore:.*stopped after:sklearn.exceptions.ConvergenceWarning")
@each_value(
    pytest.mark.parametrize(("parameters", "shape"), AFTER_PASSES.values(), ids=AFTER_PASSES),
    pytest.mark.parametrize("dtype", [np.float32, np.float64]),
)
def test_fitted_estimator_is_as_if_the_fit_had_stopped(parameters, shape, dtype):
    rng = np.random.default_rng(1)
    samples = rng.normal(size=shape).astype(dtype)
    labels = np.where(samples[:, 0] + rng.normal(size=len(samples)) > 0, "yes", "no")
    curious = Curious()
    model = unfitted(curious, **parameters).fit(samples, labels)
    fitted = [told.fitted for told in curious.after_passes()]
    assert len(fitted) == model.n_iter_[0] > 2
    for k, told in enumerate(curious.after_passes()):
        expected = unfitted(max_iter=k + 1, **{"tol": 0} | parameters).fit(samples, labels)
        # The arrays of this estimator have not changed in later passes.
        for name in ("coef_", "intercept_", "classes_"):
            ours, theirs = getattr(told.fitted, name), getattr(expected, name)
            assert_array_equal(ours, theirs)
            others = [m for m in (model, *fitted) if m is not told.fitted]
            assert not any(np.shares_memory(ours, getattr(m, name)) for m in others)
        assert told.fitted.coef_.dtype == told.fitted.intercept_.dtype == dtype
        assert_array_equal(told.z, expected.decision_function(samples))
        assert_array_equal(told.fitted.predict(samples), expected.predict(samples))
        assert type(told.fitted) is BCENeuronClassifier
        assert told.fitted.get_params() == model.get_params()
    after_fit = curious.told[-2]
    assert_array_equal(after_fit.z, model.decision_function(samples))


@pytest.mark.usefixtures("general_loop")
def test_fitted_estimator_along_a_path():
    def second_fit(*callbacks, **parameters):
        model = unfitted(l1_ratio=0.9, warm_start=True, max_iter=50, tol=1e-9).fit(X, Y)
        return model.set_params(C=0.1, **parameters).set_callbacks(*callbacks).fit(X, Y)

    curious = Curious()
    n_iter = second_fit(curious).n_iter_[0]
    assert n_iter > 2
    for k, told in enumerate(curious.after_passes()):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            expected = second_fit(max_iter=k + 1)
        assert_array_equal(told.fitted.coef_, expected.coef_)
        assert_array_equal(told.fitted.intercept_, expected.intercept_)


def ended_by_held_out_samples(*callbacks, **parameters):
    """Return an estimator whose fitted weights are not those after its last iteration."""
    parameters = {"C": np.inf, "learning_rate": 2.0, "max_iter": 100} | parameters
    model = unfitted(*callbacks, solver="gd", early_stopping=True, **parameters)
    model.fit(X[40:], Y[40:], X_val=X[:40], y_val=Y[:40])
    assert model.best_iter_ < model.n_iter_[0] < 100
    return model


def test_fitted_estimator_of_a_pass_is_not_the_best_one():
    curious = Curious()
    model = ended_by_held_out_samples(curious)
    passes = curious.after_passes()
    assert_array_equal(passes[model.best_iter_ - 1].fitted.coef_, model.coef_)
    assert np.all(passes[-1].fitted.coef_ != model.coef_)
    assert_array_equal(curious.told[-2].fitted.coef_, model.coef_)  # after the fit it is


def test_a_refit_does_not_change_what_callbacks_have_kept():
    curious = Curious()
    model = unfitted(curious).fit(X, Y)
    kept = [told for told in curious.told if told.where[0] == "end"]
    model.fit(X, 1 - Y)
    for told in kept:
        assert_array_equal(told.fitted.decision_function(X), told.z)


# --- what they cost ---


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize(
        ("kinds", "per_pass"),
        [
            ([], 0),
            ([Quiet], 0),
            ([Quiet, Quiet], 0),
            ([Curious], 1),
            ([Curious, Quiet, Curious], 1),
        ],
    ),
)
def test_fitted_estimator_is_made_once_a_pass_only_if_a_hook_asks(
    monkeypatch, solver, kinds, per_pass
):
    callbacks = [kind() for kind in kinds]
    model, made = unfitted(*callbacks, solver=solver), []

    def counted(self):
        made.append(self)
        copied = object.__new__(type(self))
        vars(copied).update(vars(self))
        return copied

    monkeypatch.setattr(BCENeuronClassifier, "__copy__", counted, raising=False)
    model.fit(X, Y)
    assert len(made) == per_pass * (model.n_iter_[0] + 1)  # and once for the end of the fit


@pytest.mark.parametrize("solver", SOLVERS)
def test_nothing_is_called_where_no_callback_is_set(monkeypatch, solver):
    inits = []
    original = BCENeuronClassifier._init_callback_context

    def counted(self, *args, **kwargs):
        inits.append(self)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(BCENeuronClassifier, "_init_callback_context", counted)
    quiet = Quiet()
    model = unfitted(quiet, solver=solver).fit(X, Y)
    assert inits == [model]
    model.set_callbacks().fit(X, Y)
    make_pipeline(StandardScaler(), clone(model)).fit(X, Y)
    GridSearchCV(clone(model), {"C": [1.0]}, cv=2).set_callbacks(quiet).fit(X, Y)
    assert inits == [model]


# --- a stop ---


@every_pair(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("last", [0, 2]),
    pytest.mark.parametrize("tol", [0, 1e-9]),
)
def test_a_stop_ends_the_fit_after_that_pass(solver, last, tol):
    quiet, stopping, curious = Quiet(), Quiet(at("end", last)), Curious()
    # pytest makes a warning an error
    model = unfitted(quiet, stopping, curious, solver=solver, tol=tol, max_iter=100).fit(X, Y)
    assert model.n_iter_[0] == len(model.loss_curve_) == last + 1
    assert model.converged_ is False
    expected = unfitted(solver=solver, max_iter=last + 1).fit(X, Y)
    assert_array_equal(model.coef_, expected.coef_)
    assert_array_equal(model.intercept_, expected.intercept_)
    for callback in (quiet, stopping, curious):
        assert callback.places == places_of(last + 1)


@pytest.mark.usefixtures("general_loop")
def test_a_stop_ends_newton_in_row_space_after_that_pass():
    rng = np.random.default_rng(1)
    samples, labels = rng.normal(size=(30, 300)), np.arange(30) % 2
    model = unfitted(Quiet(at("end", 1)), tol=1e-9, max_iter=100).fit(samples, labels)
    assert (model.n_iter_[0], model.converged_) == (2, False)
    with pytest.warns(ConvergenceWarning):
        expected = unfitted(tol=1e-9, max_iter=2).fit(samples, labels)
    assert_array_equal(model.coef_, expected.coef_)


def test_a_stop_leaves_the_best_weights_so_far():
    whole = ended_by_held_out_samples(n_iter_no_change=20)
    stopping = Quiet(at("end", whole.best_iter_ + 2))
    model = ended_by_held_out_samples(stopping, n_iter_no_change=20)
    assert model.n_iter_[0] == whole.best_iter_ + 3 < whole.n_iter_[0]
    assert model.best_iter_ == whole.best_iter_
    assert_array_equal(model.coef_, whole.coef_)
    assert (model.converged_, whole.converged_) == (False, True)


# --- errors ---


def assert_torn_down(model, callback):
    assert callback.count("setup") == callback.count("teardown") == 1
    assert callback.places[-1] == ("teardown", "fit")
    assert not {name for name in vars(model) if "callback" in name} - {"_skl_callbacks"}


@pytest.mark.parametrize(
    "bad", [{"y": np.zeros(120)}, {"y": Y[1:]}, {"X_val": X}, {"sample_weight": -WEIGHT}]
)
def test_bad_input_tears_down_and_changes_nothing(bad):
    quiet, curious = Quiet(), Curious()
    model = unfitted().fit(X[:, :2], Y).set_callbacks(quiet, curious)
    before = vars(model).copy()
    with pytest.raises(ValueError, match=r"class|inconsistent|y_val|Negative"):
        model.fit(**{"X": X, "y": Y} | bad)
    assert vars(model) == before
    for callback in (quiet, curious):
        assert callback.places == [("setup", "fit"), ("teardown", "fit")]
        assert_torn_down(model, callback)


PLACES = [("setup", "fit"), *((hook, task) for hook in ("begin", "end") for task in ("fit", 0, 3))]


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("where", PLACES),
)
def test_error_in_a_hook_tears_down_and_changes_nothing(solver, where):
    first, raising = Quiet(), Quiet(at(*where, error=ArithmeticError("from a hook")))
    model = unfitted(solver=solver).fit(X[:, :2], Y).set_callbacks(first, raising)
    before = vars(model).copy()
    with pytest.raises(ArithmeticError, match="from a hook"):
        model.fit(X, Y)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())
    assert raising.places[-2] == where  # nothing was called in between
    for callback in (first, raising):
        assert_torn_down(model, callback)


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize(
        ("where", "n_iter"),
        [
            (("setup", "fit"), 0),
            (("begin", "fit"), 0),
            (("begin", 0), 0),
            (("end", 0), 1),
            (("begin", 3), 3),
            (("end", 3), 4),
            (("end", "fit"), 6),
        ],
    ),
)
def test_ctrl_c_in_a_hook_leaves_the_passes_that_have_ended(solver, where, n_iter):
    first, interrupted = Curious(), Quiet(at(*where, error=KeyboardInterrupt))
    model = unfitted(first, interrupted, solver=solver)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert hasattr(model, "coef_") == (n_iter > 0)
    if n_iter:
        expected = unfitted(solver=solver, max_iter=n_iter).fit(X, Y)
        assert_array_equal(model.coef_, expected.coef_)
        assert_array_equal(model.intercept_, expected.intercept_)
        assert model.loss_curve_ == expected.loss_curve_
        assert (model.n_iter_[0], model.converged_) == (n_iter, False)
        assert not np.shares_memory(model.coef_, first.after_passes()[-1].fitted.coef_)
    assert interrupted.places[-2] == where  # nothing was called in between
    for callback in (first, interrupted):
        assert_torn_down(model, callback)


def test_ctrl_c_leaves_the_best_weights_so_far():
    whole = ended_by_held_out_samples(n_iter_no_change=20)
    interrupted = Quiet(at("begin", whole.best_iter_ + 2, error=KeyboardInterrupt))
    model = clone(whole).set_callbacks(interrupted)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X[40:], Y[40:], X_val=X[:40], y_val=Y[:40])
    assert (model.best_iter_, model.n_iter_[0]) == (whole.best_iter_, whole.best_iter_ + 2)
    assert model.validation_loss_curve_ == whole.validation_loss_curve_[: model.n_iter_[0]]
    assert_array_equal(model.coef_, whole.coef_)
    assert model.converged_ is False


# --- among other estimators ---


def test_clone_keeps_callbacks():
    quiet = Quiet()
    model = unfitted(quiet)
    copied = clone(model).fit(X, Y)
    assert quiet.places == places_of(copied.n_iter_[0])
    assert all(told.estimator is copied for told in quiet.told)
    quiet.told.clear()
    clone(model.set_callbacks()).fit(X, Y)
    assert not quiet.told


@pytest.mark.parametrize("solver", SOLVERS)
def test_pipeline_passes_callbacks_on(solver):
    propagated, own = Propagated(), Quiet()
    pipeline = make_pipeline(StandardScaler(), unfitted(own, solver=solver))
    pipeline.set_callbacks(propagated).fit(X, Y)
    assert propagated.count("setup") == propagated.count("teardown") == 1
    # the pipeline, its scaler, the estimator and its passes
    assert propagated.count("begin") == propagated.count("end") == 3 + pipeline[-1].n_iter_[0]
    assert own.count("setup") == own.count("teardown") == 1
    assert own.count("begin") == own.count("end") == 1 + pipeline[-1].n_iter_[0]
    propagated.told.clear()
    pipeline[-1].fit(X, Y)
    assert not propagated.told  # it was only lent


def test_pipeline_goes_on_after_a_fit_that_failed():
    propagated = Propagated()
    pipeline = make_pipeline(StandardScaler(), unfitted()).set_callbacks(propagated)
    with pytest.raises(ValueError, match="class"):
        pipeline.fit(X, np.zeros(120))
    assert propagated.count("setup") == propagated.count("teardown") == 1
    assert vars(pipeline[-1]) == pipeline[-1].get_params()
    propagated.told.clear()
    pipeline.fit(X, Y)
    assert propagated.count("end") == 3 + 6


def test_one_vs_rest_fits_clones_that_keep_callbacks():
    features, species = load_iris(return_X_y=True)
    quiet = Quiet()
    models = OneVsRestClassifier(unfitted(quiet)).fit(features, species).estimators_
    assert quiet.count("setup") == quiet.count("teardown") == len(models) == 3
    assert quiet.count("end") == sum(1 + model.n_iter_[0] for model in models)


@pytest.mark.parametrize("solver", SOLVERS)
def test_grid_search_passes_callbacks_on(solver):
    propagated, own = Propagated(), Quiet()
    search = GridSearchCV(unfitted(solver=solver), {"max_iter": [2, 5]}, cv=3)
    search.set_callbacks(propagated, own).fit(X, Y)
    n_searched = 1 + 1 + 6 + 1  # the fit, the search, its six fits, and the last one
    assert own.count("begin") == own.count("end") == n_searched
    n_passes = 3 * (2 + 5) + search.best_estimator_.n_iter_[0]
    assert propagated.count("begin") == propagated.count("end") == n_searched + n_passes
    assert propagated.count("setup") == propagated.count("teardown") == 1


# --- scikit-learn's own: scores ---


def monitor(scoring):
    from sklearn.callback import ScoringMonitor

    return ScoringMonitor(scoring=scoring)


def scores_after_passes(parameters, X, y, weight=None):
    """Return neg_log_loss after each pass, from fits that end after that pass."""
    models = [
        unfitted(max_iter=k + 1, **parameters).fit(X, y, sample_weight=weight) for k in range(6)
    ]
    return [-log_loss(y, m.predict_proba(X), sample_weight=weight) for m in models]


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("weight", [None, WEIGHT]),
)
def test_scoring_monitor_logs_the_scores_of_each_pass(solver, weight):
    scores = monitor(["neg_log_loss", "accuracy"])
    model = unfitted(scores, solver=solver).fit(X, Y, sample_weight=weight)
    whole, *passes = scores.get_logs().data
    expected = scores_after_passes({"solver": solver}, X, Y, weight)
    assert_allclose([row["neg_log_loss"] for row in passes], expected, rtol=1e-12)
    assert [row["task_id"] for row in passes] == list(range(6))
    assert whole["neg_log_loss"] == pytest.approx(expected[-1], rel=1e-12)
    right = np.average(model.predict(X) == Y, weights=weight)
    assert whole["accuracy"] == passes[-1]["accuracy"] == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_scoring_monitor_logs_the_d2_of_soft_targets(solver):
    soft = expit(X[:, :3] @ [1.0, 1.5, -1.0])
    parameters = {"solver": solver, "soft_targets": True}
    scores = monitor(lambda model, X, y, **weight: {"D2": model.score(X, y, **weight)})
    unfitted(scores, **parameters).fit(X, soft, sample_weight=WEIGHT)
    expected = []
    for k in range(6):
        model = unfitted(max_iter=k + 1, **parameters).fit(X, soft, sample_weight=WEIGHT)
        a, mean = model.predict_proba(X)[:, 1], np.average(soft, weights=WEIGHT)
        loss, null = (
            -np.average(xlogy(soft, p) + xlogy(1 - soft, 1 - p), weights=WEIGHT) for p in (a, mean)
        )
        expected.append(1 - loss / null)
    logged = [row["D2"] for row in scores.get_logs().data]
    assert_allclose(logged, [expected[-1], *expected], rtol=1e-12)


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("backend", ["sequential", "threading", "loky"]),
)
def test_scoring_monitor_logs_every_fit_of_a_grid_search(solver, backend):
    scores, folds = monitor("neg_log_loss"), StratifiedKFold(2)
    grid = [{"C": [0.1, 10.0], "solver": [solver]}]
    search = GridSearchCV(unfitted(scores), grid, cv=folds, n_jobs=2, scoring="neg_log_loss")
    with parallel_config(backend):
        search.fit(X, Y)
    (run,) = scores.get_logs("all")
    assert run.estimator_name == "GridSearchCV"
    logged = {row["task_id_path"]: row["neg_log_loss"] for row in run.data}
    expected = {}
    for i, C in enumerate(grid[0]["C"]):
        for j, (train, _) in enumerate(folds.split(X, Y)):
            after = scores_after_passes({"solver": solver, "C": C}, X[train], Y[train])
            expected[0, 0, 2 * i + j] = after[-1]
            expected |= {(0, 0, 2 * i + j, k): score for k, score in enumerate(after)}
    after = scores_after_passes({"solver": solver} | search.best_params_, X, Y)
    expected[0, 1] = after[-1]
    expected |= {(0, 1, k): score for k, score in enumerate(after)}
    assert logged.keys() == expected.keys()
    assert_allclose([logged[path] for path in expected], list(expected.values()), rtol=1e-12)


# --- scikit-learn's own: progress ---


@pytest.fixture
def progress_bar():
    rich = pytest.importorskip("rich")
    from sklearn.callback import ProgressBar

    rich.reconfigure(width=200)  # room for the names and the percentages
    threads = foreground_threads()
    yield ProgressBar
    assert foreground_threads() == threads  # the one that draws has ended
    rich.reconfigure()


def foreground_threads():
    return {thread for thread in threading.enumerate() if not thread.daemon}


def percentages(text):
    return re.findall(r"(\d+)%", text)


@each_value(
    pytest.mark.parametrize("solver", SOLVERS),
    pytest.mark.parametrize("ending", [{}, {"early_stopping": True, "max_iter": 300}]),
)
def test_progress_bar_ends_at_100_percent(progress_bar, capsys, solver, ending):
    model = unfitted(progress_bar(), solver=solver, **ending).fit(X, Y)
    text = capsys.readouterr().out
    assert re.search(r"BCENeuronClassifier - fit .*100%", text)
    assert set(percentages(text)) == {"100"}  # even if it ends before max_iter
    assert (model.n_iter_[0] == model.max_iter) == (not ending)


@pytest.mark.parametrize("depth", [0, 1, None])
def test_progress_bar_shows_the_fits_of_a_grid_search(progress_bar, capsys, depth):
    search = GridSearchCV(unfitted(), {"solver": SOLVERS}, cv=2)
    search.set_callbacks(progress_bar(max_propagation_depth=depth)).fit(X, Y)
    text = capsys.readouterr().out
    n_fits = 0 if depth == 0 else 3 * 2 + 1
    assert text.count("BCENeuronClassifier - fit") == n_fits
    assert set(percentages(text)) == {"100"}


@pytest.mark.parametrize("error", [KeyboardInterrupt, ArithmeticError])
def test_progress_bar_thread_ends_with_a_fit_that_fails(progress_bar, error):
    model = unfitted(progress_bar(), Quiet(at("end", 2, error=error)))
    with pytest.raises(error):
        model.fit(X, Y)


# --- before scikit-learn 1.9 ---

WITHOUT = """
import sys
import sklearn.linear_model, sklearn.model_selection, sklearn.utils.validation
sys.modules["sklearn.callback"] = None  # as if it were not there
from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV
X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 1, 0, 1]
model = BCENeuronClassifier()
print(hasattr(model, "set_callbacks"))
for solver in ("newton", "gd", "sgd"):
    model.set_params(solver=solver, tol=0, max_iter=2)
    print(model.fit(X, y, X_val=X, y_val=y).n_iter_[0], model.predict_proba(X).shape)
"""


def test_package_works_without_sklearn_callback():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["False", *["2 (4, 2)"] * 3]


def test_a_search_tells_each_fit_of_all_samples_and_of_the_folds():
    watch = Curious()
    model = BCENeuronClassifierCV(Cs=[0.1, 1.0], cv=3)
    model.set_callbacks(watch).fit(X, Y, WEIGHT)
    assert watch.count("setup") == watch.count("teardown") == 1
    assert watch.count("begin") == watch.count("end") == 1 + (1 + 3) * 2
    assert watch.told[1].n_subtasks == 8
    expected = BCENeuronClassifier(C=0.1).fit(X, Y, WEIGHT).decision_function(X)
    assert_allclose(watch.after_passes()[0].z, expected, atol=1e-3)
    plain = BCENeuronClassifierCV(Cs=[0.1, 1.0], cv=3).fit(X, Y, WEIGHT)
    assert_array_equal(model.scores_, plain.scores_)


def test_ctrl_c_in_a_search_leaves_the_estimator_as_it_was():
    model = BCENeuronClassifierCV(Cs=[0.1, 1.0], cv=3).fit(X, Y)
    before = {name: value for name, value in vars(model).items() if name.endswith("_")}

    def act(where):
        if watch.count("end") == 5:
            raise KeyboardInterrupt

    watch = Quiet(act)
    model.set_params(Cs=[0.5, 2.0]).set_callbacks(watch)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    for name, value in before.items():
        assert vars(model)[name] is value
