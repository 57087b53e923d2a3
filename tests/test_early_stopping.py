"""Samples held out: their loss after each pass, and a fit that ends when it stops falling."""

from inspect import signature
from types import SimpleNamespace

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
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from small_data import naming

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._estimator.holdout import HeldOut, set_aside
from sklearn_bce._estimator.samples import Samples
from sklearn_bce._solvers.newton import in_cache

# Few samples and no penalty: the loss on others falls for some passes, and then rises.
RNG = np.random.default_rng(0)
X = RNG.normal(size=(160, 12))
Y = (RNG.random(160) < expit(X[:, :3] @ [1.0, 1.5, -1.0])).astype(int)
WEIGHT = RNG.uniform(0.2, 3.0, 160)
X_TRAIN, X_VAL, Y_TRAIN, Y_VAL = X[:60], X[60:], Y[:60], Y[60:]
GIVEN = {"X_val": X_VAL, "y_val": Y_VAL}

RULES = {
    "newton": {"solver": "newton"},
    "gd": {"solver": "gd"},
    "sgd in order": {"solver": "sgd", "shuffle": False, "learning_rate": 0.05},
    "sgd": {"solver": "sgd", "learning_rate": 0.05},
    "sgd by batches": {"solver": "sgd", "batch_size": 8, "learning_rate": "auto"},
}
RULES = [pytest.param(parameters, id=name) for name, parameters in RULES.items()]
N = 14  # passes; the best one is among them with every rule


def unfitted(**parameters):
    """Return an estimator that does ``max_iter`` passes unless samples held out end its fit."""
    return BCENeuronClassifier(
        **{"C": np.inf, "tol": 0, "random_state": 0, "n_iter_no_change": 3} | parameters
    )


def loss(model, X, y, weight=None):
    """Return the mean cross-entropy in plain NumPy, for y in [0, 1]."""
    z = X @ model.coef_[0] + model.intercept_[0]
    return np.average(np.logaddexp(0, z) - y * z, weights=weight)


def models_after(n, parameters, X=X_TRAIN, y=Y_TRAIN, sample_weight=None):
    """Return models after one pass, after two passes and so on, without samples held out."""
    return [
        unfitted(max_iter=k, **parameters).fit(X, y, sample_weight=sample_weight)
        for k in range(1, n + 1)
    ]


def end_of(curve, tol, patience):
    """Return the first pass that ends ``patience`` passes without an improvement above tol."""
    improved = [k for k in range(len(curve)) if k == 0 or curve[k] < min(curve[:k]) - tol]
    return next(
        k + 1 for k in range(len(curve)) if k - max(i for i in improved if i <= k) == patience
    )


def assert_same_fit(ours, theirs):
    for name in ("coef_", "intercept_", "loss_curve_", "validation_loss_curve_"):
        assert_allclose(getattr(ours, name), getattr(theirs, name), rtol=1e-12, err_msg=name)
    assert (ours.best_iter_, ours.n_iter_[0]) == (theirs.best_iter_, theirs.n_iter_)


def assert_fit_raises_and_changes_nothing(model, message, *args, **kwargs):
    before = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(*args, **kwargs)
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is value for name, value in before.items())


# --- the curve ---


@pytest.mark.parametrize("parameters", RULES)
@pytest.mark.parametrize(
    "others", [{}, {"C": 0.05}, {"C": 0.05, "l1_ratio": 0.5}, {"fit_intercept": False}]
)
def test_validation_curve_is_the_mean_loss_after_each_pass_without_the_penalty(parameters, others):
    parameters = parameters | others
    model = unfitted(max_iter=N, **parameters).fit(X_TRAIN, Y_TRAIN, **GIVEN)
    models = models_after(N, parameters)
    curve = [loss(m, X_VAL, Y_VAL) for m in models]
    assert_allclose(model.validation_loss_curve_, curve, rtol=1e-12)
    assert model.best_iter_ == 1 + np.argmin(curve)
    # Without early_stopping the fit does not end early, and keeps its last weights.
    assert model.best_iter_ < N or others
    assert model.n_iter_[0] == len(model.loss_curve_) == N
    assert_array_equal(model.coef_, models[-1].coef_)
    assert model.loss_curve_ == models[-1].loss_curve_


@each_value(
    pytest.mark.parametrize("parameters", RULES),
    pytest.mark.parametrize(
        ("on_training", "on_others"),
        [(np.asarray, sp.csr_array), (sp.csr_array, np.asarray), (sp.csr_matrix, sp.csc_matrix)],
    ),
)
def test_validation_curve_of_sparse_samples_is_that_of_dense_ones(
    parameters, on_training, on_others
):
    dense = unfitted(max_iter=N, **parameters).fit(X_TRAIN, Y_TRAIN, **GIVEN)
    sparse = clone(dense).fit(on_training(X_TRAIN), Y_TRAIN, X_val=on_others(X_VAL), y_val=Y_VAL)
    assert_allclose(sparse.validation_loss_curve_, dense.validation_loss_curve_, rtol=1e-9)
    assert sparse.best_iter_ == dense.best_iter_


@each_value(
    pytest.mark.parametrize("parameters", RULES),
    pytest.mark.parametrize("class_weight", [None, {0: 3.0, 1: 0.5}, "balanced"]),
)
def test_validation_curve_weights_samples_and_classes(parameters, class_weight):
    parameters = parameters | {"class_weight": class_weight}
    weights = {"sample_weight": WEIGHT[:60], "sample_weight_val": WEIGHT[60:]}
    model = unfitted(max_iter=5, **parameters).fit(X_TRAIN, Y_TRAIN, **GIVEN, **weights)
    if class_weight == "balanced":  # of the training samples
        class_weight_sums = np.bincount(Y_TRAIN, weights=WEIGHT[:60])
        class_weight = dict(enumerate(class_weight_sums.sum() / (2 * class_weight_sums)))
    of_class = np.array([1.0, 1.0] if class_weight is None else [class_weight[0], class_weight[1]])
    models = models_after(5, parameters, sample_weight=WEIGHT[:60])
    curve = [loss(m, X_VAL, Y_VAL, WEIGHT[60:] * of_class[Y_VAL]) for m in models]
    assert_allclose(model.validation_loss_curve_, curve, rtol=1e-12)


@pytest.mark.parametrize("parameters", RULES)
def test_validation_curve_of_soft_targets_is_their_mean_loss(parameters):
    soft = expit(X[:, :3] @ [1.0, 1.5, -1.0])
    parameters = parameters | {"soft_targets": True}
    model = unfitted(max_iter=5, **parameters).fit(
        X_TRAIN, soft[:60], X_val=X_VAL, y_val=soft[60:], sample_weight_val=WEIGHT[60:]
    )
    models = models_after(5, parameters, y=soft[:60])
    curve = [loss(m, X_VAL, soft[60:], WEIGHT[60:]) for m in models]
    assert_allclose(model.validation_loss_curve_, curve, rtol=1e-12)


@pytest.mark.filterwarnings("ignore:.*stopped after:sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize(
    ("n_samples", "n_features", "first"),
    # max_iter is also the limit of the steps on a sample of the rows, which takes three here:
    # with fewer steps, the first step on all rows has another start.
    [pytest.param(30, 300, 1, id="few rows"), pytest.param(40_000, 10, 3, id="many rows")],
)
def test_validation_curve_of_newton_omits_steps_on_other_problems(
    n_samples, n_features, first, monkeypatch
):
    monkeypatch.setattr(in_cache, "CACHE_ELEMENTS", 0)  # as with samples held out
    monkeypatch.setattr("sklearn_bce._solvers.newton.subsample.WORTH_A_SAMPLE", 1.0)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(n_samples + 200, n_features))
    y = rows[:, 0] + rng.normal(size=len(rows)) > 0
    training, others = (rows[200:], y[200:]), (rows[:200], y[:200])
    parameters = {"C": 1.0, "tol": 1e-12}
    model = unfitted(**parameters).fit(*training, X_val=others[0], y_val=others[1])
    assert model.n_iter_[0] > 3
    models = [
        unfitted(max_iter=k + 1, **parameters).fit(*training) for k in range(model.n_iter_[0])
    ]
    curve = [loss(m, *others) for m in models]
    begin = slice(first - 1, None)
    assert_allclose(model.validation_loss_curve_[begin], curve[begin], rtol=1e-12)


# --- the end ---


@pytest.mark.parametrize("parameters", RULES)
@pytest.mark.parametrize("patience", [1, 4])
def test_fit_ends_without_improvement_with_the_weights_of_the_best_pass(parameters, patience):
    model = unfitted(early_stopping=True, max_iter=200, **parameters)
    model.set_params(n_iter_no_change=patience).fit(X_TRAIN, Y_TRAIN, **GIVEN)
    models = models_after(N + 4, parameters | {"n_iter_no_change": patience})
    curve = [loss(m, X_VAL, Y_VAL) for m in models]
    end = end_of(curve, 0, patience)
    best = 1 + np.argmin(curve[:end])
    assert (model.n_iter_[0], model.best_iter_) == (end, best)
    assert len(model.loss_curve_) == len(model.validation_loss_curve_) == end
    assert_allclose(model.validation_loss_curve_, curve[:end], rtol=1e-12)
    assert_array_equal(model.coef_, models[best - 1].coef_)
    assert_array_equal(model.intercept_, models[best - 1].intercept_)
    assert model.converged_ is True


@pytest.mark.parametrize(("tol", "end", "best"), [(0, 11, 9), (3e-3, 8, 8)])
def test_an_improvement_is_one_larger_than_tol(tol, end, best):
    curve = [loss(m, X_VAL, Y_VAL) for m in models_after(end, {"solver": "gd"})]
    assert (end_of(curve, tol, 2), 1 + np.argmin(curve)) == (end, best)
    model = unfitted(solver="gd", early_stopping=True, tol=tol, n_iter_no_change=2)
    model.fit(X_TRAIN, Y_TRAIN, **GIVEN)
    assert (model.n_iter_[0], model.best_iter_) == (end, best)


@each_value(
    pytest.mark.parametrize("solver", ["newton", "gd", "sgd"]),
    pytest.mark.parametrize("tol", [0, 1e-9]),
)
def test_fit_that_reaches_max_iter_first_keeps_the_best_weights(solver, tol):
    model = unfitted(solver=solver, early_stopping=True, tol=tol, max_iter=4, n_iter_no_change=4)
    if tol:
        with pytest.warns(ConvergenceWarning, match=r"max_iter=4 .*held out") as caught:
            model.fit(X_TRAIN, Y_TRAIN, **GIVEN)
        assert len(caught) == 1
        assert caught[0].filename == __file__
    else:
        model.fit(X_TRAIN, Y_TRAIN, **GIVEN)
    assert model.converged_ is False
    assert model.n_iter_[0] == 4
    curve = model.validation_loss_curve_
    assert loss(model, X_VAL, Y_VAL) == pytest.approx(min(curve), rel=1e-12)
    assert model.best_iter_ == 1 + np.argmin(curve)


def test_newton_that_converges_first_keeps_the_best_weights():
    model = unfitted(early_stopping=True, tol=1e-6, n_iter_no_change=50).fit(
        X_TRAIN, Y_TRAIN, **GIVEN
    )
    assert model.converged_ is True
    assert model.best_iter_ < model.n_iter_[0] < 50
    assert loss(model, X_VAL, Y_VAL) == pytest.approx(min(model.validation_loss_curve_), rel=1e-12)


# --- samples that are set aside ---


def split(y, fraction, random_state, stratify=True):
    """Return the indices of the rows to train on and of those set aside."""
    parts = train_test_split(
        np.arange(len(y)),
        test_size=fraction,
        stratify=y if stratify else None,
        random_state=random_state,
    )
    return [np.sort(rows) for rows in parts]


def fit_by_hand(model, X, y, weight=None, seed=0, stratify=True):
    """Return a clone fitted to the rows to train on, with the rows set aside as X_val, y_val."""
    weight = np.ones(len(y)) if weight is None else weight
    stream = np.random.RandomState(seed)  # goes on to the order of sgd
    training, others = split(y, model.validation_fraction, stream, stratify)
    assert len(others) == np.ceil(model.validation_fraction * len(y))
    given = {"X_val": X[others], "y_val": y[others], "sample_weight_val": weight[others]}
    model = clone(model).set_params(random_state=stream)
    return model.fit(X[training], y[training], sample_weight=weight[training], **given)


@every_pair(
    pytest.mark.parametrize("parameters", RULES),
    pytest.mark.parametrize("container", [np.asarray, sp.csr_array]),
    pytest.mark.parametrize("fraction", [0.1, 0.4]),
)
def test_a_stratified_part_is_set_aside_and_not_learned_from(parameters, container, fraction):
    model = unfitted(early_stopping=True, validation_fraction=fraction, **parameters)
    samples = container(X)
    model.fit(samples, Y, sample_weight=WEIGHT)
    assert_same_fit(model, fit_by_hand(model, samples, Y, WEIGHT))
    assert_same_fit(clone(model).fit(samples, Y, sample_weight=WEIGHT), model)  # again
    assert_array_equal(model.classes_, [0, 1])


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_what_is_set_aside_depends_on_random_state(solver):
    curves = [
        unfitted(solver=solver, early_stopping=True, random_state=seed)
        .fit(X, Y)
        .validation_loss_curve_
        for seed in (0, 1)
    ]
    assert curves[0][0] != pytest.approx(curves[1][0], rel=1e-3)


def test_soft_targets_are_set_aside_without_strata():
    soft = expit(X[:, :3] @ [1.0, 1.5, -1.0])  # each a value of its own
    model = unfitted(soft_targets=True, early_stopping=True, C=1.0).fit(X, soft)
    assert_same_fit(model, fit_by_hand(model, X, soft, stratify=False))


def test_balanced_weights_are_those_of_all_samples():
    few = np.r_[np.flatnonzero(Y == 0)[:20], np.flatnonzero(Y == 1)]
    model = unfitted(early_stopping=True, class_weight="balanced", validation_fraction=0.33)
    model.fit(X[few], Y[few])
    count = np.bincount(Y[few])
    by_hand = clone(model).set_params(class_weight=dict(enumerate(len(few) / (2 * count))))
    assert_same_fit(model, fit_by_hand(by_hand, X[few], Y[few]))


def test_given_validation_samples_replace_the_split():
    model = unfitted(early_stopping=True, validation_fraction=0.5).fit(X_TRAIN, Y_TRAIN, **GIVEN)
    other = unfitted(early_stopping=True, validation_fraction=0.1).fit(X_TRAIN, Y_TRAIN, **GIVEN)
    assert_same_fit(model, other)


# --- kinds of input ---


def test_arguments_are_named_as_in_hist_gradient_boosting():
    theirs, ours = (
        signature(model.fit).parameters
        for model in (HistGradientBoostingClassifier, BCENeuronClassifier)
    )
    names = {name for name in theirs if name.endswith("_val")}
    assert names == {"X_val", "y_val", "sample_weight_val"}
    assert all(ours[name].kind == theirs[name].kind for name in names)
    ours, theirs = BCENeuronClassifier().get_params(), HistGradientBoostingClassifier().get_params()
    assert {"early_stopping", "validation_fraction", "n_iter_no_change"} <= ours.keys() & theirs


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_data_frames_give_the_fit_of_arrays_and_keep_names(solver):
    names = [f"x{i}" for i in range(12)]
    training, others = (pd.DataFrame(rows, columns=names) for rows in (X_TRAIN, X_VAL))
    labels = np.where(Y == 1, "yes", "no")
    model = unfitted(solver=solver, early_stopping=True)
    model.fit(training, labels[:60], X_val=others, y_val=pd.Series(labels[60:]))
    assert_same_fit(model, clone(model).fit(X_TRAIN, Y_TRAIN, **GIVEN))
    assert_array_equal(model.feature_names_in_, names)
    message = "must be in the same order as they were in fit"
    reordered = others[names[::-1]]
    assert_fit_raises_and_changes_nothing(
        model, message, training, labels[:60], X_val=reordered, y_val=labels[60:]
    )


@each_value(
    pytest.mark.parametrize("parameters", RULES),
    pytest.mark.parametrize("kind", [np.float32, np.float64]),
)
def test_validation_curve_of_float32_samples_is_their_mean_loss(parameters, kind):
    model = unfitted(max_iter=5, **parameters)
    model.fit(X_TRAIN.astype(np.float32), Y_TRAIN, X_val=X_VAL.astype(kind), y_val=Y_VAL)
    models = models_after(5, parameters, X=X_TRAIN.astype(np.float32))
    assert model.coef_.dtype == np.float32
    curve = [loss(m, X_VAL, Y_VAL) for m in models]
    assert_allclose(model.validation_loss_curve_, curve, rtol=1e-5)


@pytest.mark.parametrize("kind", [list, np.int64])
def test_validation_samples_of_other_types_are_converted(kind):
    whole = np.round(X_VAL)
    given = whole.tolist() if kind is list else whole.astype(kind)
    model = unfitted(max_iter=3).fit(X_TRAIN, Y_TRAIN, X_val=given, y_val=Y_VAL.tolist())
    assert model.validation_loss_curve_[-1] == pytest.approx(loss(model, whole, Y_VAL), rel=1e-12)


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_may_be_all_that_is_held_out(label):
    rows = np.isin(Y_VAL, label)
    others, y = X_VAL[rows], Y_VAL[rows]
    model = unfitted(max_iter=3).fit(X_TRAIN, Y_TRAIN, X_val=others, y_val=y)
    assert model.validation_loss_curve_[-1] == pytest.approx(loss(model, others, y), rel=1e-12)


# --- samples held out in other units ---

CANCER, CANCER_LABELS = load_breast_cancer(return_X_y=True)
NAMES = load_breast_cancer().feature_names


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
@pytest.mark.parametrize("frame", [False, True])
def test_raw_samples_held_out_beside_scaled_ones_are_warned_of(solver, frame):
    rows = np.arange(len(CANCER_LABELS)) % 4 == 0
    samples = pd.DataFrame(CANCER, columns=NAMES) if frame else CANCER
    raw, y = {"X_val": samples[rows], "y_val": CANCER_LABELS[rows]}, CANCER_LABELS[~rows]
    model = unfitted(solver=solver, C=1.0)
    named = {f"model__{name}": value for name, value in raw.items()}
    scaler = StandardScaler().set_output(transform="pandas" if frame else "default")
    pipeline = Pipeline([("scaler", scaler), ("model", model)])
    area = "worst area" if frame else "23"  # the column with the largest numbers
    message = rf"mean loss on X_val is \d.* of X in feature {area}\. .*transform_input=\['X_val'\]"
    with pytest.warns(UserWarning, match=message) as caught:
        pipeline.fit(samples[~rows], y, **named)
    assert [warning.filename for warning in caught] == [__file__]
    with config_context(enable_metadata_routing=True):
        model.set_fit_request(X_val=True, y_val=True)
        Pipeline(pipeline.steps, transform_input=["X_val"]).fit(samples[~rows], y, **raw)


def test_raw_counts_held_out_beside_scaled_ones_are_warned_of():
    rng = np.random.default_rng(0)
    counts, y = rng.poisson(0.1, size=(200, 40)) * 100.0, rng.integers(0, 2, size=200)
    scaled = sp.csr_array(counts / 300)
    model = unfitted(C=10.0)
    with pytest.warns(UserWarning, match="half of the values of X_val are above 5 root mean sq"):
        model.fit(scaled, y, X_val=sp.csr_array(counts), y_val=y)
    model.fit(scaled, y, X_val=scaled, y_val=y)


@pytest.mark.parametrize("tail", [False, True])
def test_overfitted_noise_and_outliers_are_not_warned_of(tail):
    """The loss on samples of the same distribution may be beyond reason, too."""
    rng = np.random.default_rng(2)
    noise = rng.standard_t(2, size=(120, 60)) if tail else rng.normal(size=(120, 60))
    labels = rng.integers(0, 2, size=120)
    model = unfitted(C=np.inf, max_iter=30)
    model.fit(noise[:60], labels[:60], X_val=noise[60:], y_val=labels[60:])
    assert max(model.validation_loss_curve_) > 10.0
    outliers = np.where(np.arange(160) % 20 == 3, 1e5, 1.0).reshape(-1, 1) * X
    unfitted(C=1.0, early_stopping=True, validation_fraction=0.5).fit(outliers, Y)


@pytest.mark.parametrize(
    ("values", "is_far"),
    [
        (1000 + 49 * np.r_[-1, 1, -1, 1], False),
        (1000 + 249 * np.ones(4), False),
        (1000 + 251 * np.r_[1, -1, 1, 0], True),  # on either side of the mean
        (1000 + 251 * np.r_[1, 0, 0, 0], False),
        (1000 + 10**6 * np.r_[1, 0, 0, 0], False),  # an outlier
        (0 * np.ones(4), True),
    ],
)
def test_samples_are_far_if_half_of_them_are_5_deviations_from_the_mean(values, is_far):
    training = np.c_[np.zeros(100), 1000 + 50 * np.tile([1.0, -1.0], 50)]
    ones = np.ones(4)
    others = Samples(np.c_[7 * ones, values], ones, ones, ones)  # constant in the other column
    objective = SimpleNamespace(X=training)
    difference = HeldOut(others, None, is_given=True).difference_from(objective, None)
    assert difference == (
        "half of X_val is farther than 5 standard deviations from the mean of X in feature 1"
        if is_far
        else None
    )


@pytest.mark.filterwarnings("ignore:After the first iteration")
def test_pass_that_compares_x_val_with_x_is_counted():
    like, unlike = (
        BCENeuronClassifier(tol=1e-3).fit(X_TRAIN, Y_TRAIN, X_val=X_val, y_val=y_val).n_passes_
        for X_val, y_val in [(X_TRAIN, Y_TRAIN), (1000 * X_TRAIN, 1 - Y_TRAIN)]
    )
    assert unlike == like + 1


# --- what must not be ---

NAN = np.where(np.arange(X_VAL.size).reshape(X_VAL.shape) == 17, np.nan, X_VAL)
BAD = {
    "no y_val": ({"X_val": X_VAL}, "y_val"),
    "no X_val": ({"y_val": Y_VAL}, "X_val"),
    "weights alone": ({"sample_weight_val": WEIGHT[60:]}, "X_val"),
    "weights and X_val": ({"X_val": X_VAL, "sample_weight_val": WEIGHT[60:]}, "y_val"),
    "NaN": ({"X_val": NAN, "y_val": Y_VAL}, "X_val contains NaN"),
    "NaN in float32": ({"X_val": NAN.astype("f"), "y_val": Y_VAL}, "X_val contains NaN"),
    "NaN in a list": ({"X_val": NAN.tolist(), "y_val": Y_VAL}, "X_val contains NaN"),
    "NaN in CSR": ({"X_val": sp.csr_array(NAN), "y_val": Y_VAL}, "X_val contains NaN"),
    "NaN in a dataframe": ({"X_val": pd.DataFrame(NAN), "y_val": Y_VAL}, "X_val contains NaN"),
    "infinity": ({"X_val": np.where(np.isnan(NAN), np.inf, NAN), "y_val": Y_VAL}, "X_val"),
    "unknown label": ({"X_val": X_VAL, "y_val": Y_VAL + 1}, r"y_val .*\[2\]"),
    "label of another kind": ({"X_val": X_VAL, "y_val": Y_VAL.astype(str)}, "y_val"),
    "features": ({"X_val": X_VAL[:, 1:], "y_val": Y_VAL}, "X_val has 11 features, and X has 12"),
    "features of CSR": ({"X_val": sp.csr_array(X_VAL[:, 1:]), "y_val": Y_VAL}, "X_val has 11 feat"),
    "features of a list": ({"X_val": X_VAL[:, 1:].tolist(), "y_val": Y_VAL}, "X_val, y_val: X has"),
    "one dimension": ({"X_val": X_VAL[0], "y_val": Y_VAL}, "X_val, y_val: Expected 2D array"),
    "too few labels": (
        {"X_val": X_VAL, "y_val": Y_VAL[1:]},
        "X_val, y_val: .*inconsistent",
    ),
    "too few weights": (GIVEN | {"sample_weight_val": WEIGHT[61:]}, "sample_weight_val: "),
    "negative weights": (
        GIVEN | {"sample_weight_val": -WEIGHT[60:]},
        "weight_val: Negative",
    ),
    "no weight": (
        GIVEN | {"sample_weight_val": np.zeros(100)},
        "weight_val: .* one non-zero",
    ),
}


@every_pair(
    pytest.mark.parametrize("early_stopping", [False, True]),
    pytest.mark.parametrize("fitted", [False, True]),
)
def test_malformed_samples_held_out_are_refused_and_change_nothing(early_stopping, fitted):
    model = unfitted(early_stopping=early_stopping, max_iter=3)
    if fitted:
        model.fit(X[:, :2], Y, X_val=X[:, :2], y_val=Y)
    for name, (given, message) in BAD.items():
        with naming(name):
            assert_fit_raises_and_changes_nothing(model, message, X_TRAIN, Y_TRAIN, **given)


@pytest.mark.parametrize("target", [-0.1, 1.1, np.nan])
def test_soft_target_held_out_of_range_is_refused(target):
    model = unfitted(soft_targets=True, max_iter=3).fit(X_TRAIN, Y_TRAIN)
    y_val = np.append(Y_VAL[1:], target)
    message = r"\[0, 1\]|NaN"
    assert_fit_raises_and_changes_nothing(
        model, message, X_TRAIN, Y_TRAIN, X_val=X_VAL, y_val=y_val
    )


@pytest.mark.filterwarnings("ignore:(invalid|overflow):RuntimeWarning")  # of checks for NaN
@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_overflowing_validation_loss_is_an_error(solver):
    huge = np.full((4, 12), 1e308) * np.resize([1.0, -1.0], 12)
    model = unfitted(solver=solver, early_stopping=True, C=1.0).fit(X_TRAIN, Y_TRAIN, **GIVEN)
    given = {"X_val": huge, "y_val": [0, 1, 0, 1], "coef_init": np.resize([9.0, -9.0], 12)}
    assert_fit_raises_and_changes_nothing(model, "overflow", X_TRAIN, Y_TRAIN, **given)


@every_pair(
    pytest.mark.parametrize("solver", ["newton", "gd", "sgd"]),
    pytest.mark.parametrize("container", [np.asarray, sp.csr_array]),
    pytest.mark.parametrize("aside", [False, True]),
)
def test_nan_on_either_side_of_the_split_is_refused(solver, container, aside):
    samples = X.copy()
    samples[split(Y, 0.1, 0)[int(aside)][3], 2] = np.nan
    model = unfitted(solver=solver, early_stopping=True)
    assert_fit_raises_and_changes_nothing(model, "X contains NaN", container(samples), Y)


@pytest.mark.parametrize("part", [0, 1])
def test_split_that_leaves_a_part_without_weight_is_refused(part):
    weight = np.zeros(160)
    weight[split(Y, 0.1, 0)[part]] = 1.0
    model = unfitted(early_stopping=True)
    assert_fit_raises_and_changes_nothing(model, "validation_fraction=0.1", X, Y, weight)


@pytest.mark.parametrize(
    ("rows", "y", "message"),
    [
        (X, Y, "validation_fraction=0.999 sets aside 160 of n_samples=160, and leaves too few"),
        (X[:4], [0, 1, 0, 0], "early_stopping=True sets aside .* one class has 1 only"),
    ],
)
def test_split_without_both_classes_is_refused_after_missing_values(rows, y, message):
    model = unfitted(early_stopping=True, validation_fraction=0.999)
    assert_fit_raises_and_changes_nothing(model, message, rows, y)
    missing = rows.copy()
    missing[1, 1] = np.nan
    assert_fit_raises_and_changes_nothing(model, "X contains NaN", missing, y)


def test_soft_targets_need_a_sample_to_learn_from():
    model = unfitted(early_stopping=True, soft_targets=True)
    assert_fit_raises_and_changes_nothing(model, "leaves too few to learn from", X[:1], [0.3])
    model.fit(X[:2], [0.3, 0.6])


@pytest.mark.parametrize("fraction", [0.001, 0.1, 0.9, 0.98])
@pytest.mark.parametrize("n_rare", [2, 3, 60])
def test_each_part_of_a_split_has_both_classes(n_rare, fraction):
    y = np.r_[np.ones(n_rare), np.zeros(120 - n_rare)]
    numbers, ones = np.arange(120.0).reshape(-1, 1), np.ones(120)
    for seed in range(5):
        parts = set_aside(
            Samples(numbers, y, ones, ones),
            fraction=fraction,
            stratify=True,
            random_state=np.random.RandomState(seed),
            estimator_name="",
        )
        assert all(set(part.y) == {0.0, 1.0} for part in parts)
        # Each sample is in one of the two, in order.
        both = np.concatenate([part.X[:, 0] for part in parts])
        assert_array_equal(np.sort(both), numbers[:, 0])
        assert all(np.all(np.diff(part.X[:, 0]) > 0) for part in parts)
        n_aside = {0.001: 2, 0.1: 12, 0.9: 108, 0.98: 118}[fraction]
        assert abs(len(parts[1].y) - n_aside) <= 1  # one may be moved to the part that lacks it


@pytest.mark.parametrize(
    ("name", "value"),
    [("validation_fraction", bad) for bad in (0.0, 1.0, 5, "auto")]
    + [("early_stopping", bad) for bad in ("auto", 1, None)],
)
def test_parameter_of_early_stopping_out_of_range_is_refused(name, value):
    assert_fit_raises_and_changes_nothing(unfitted(**{name: value}), name, X, Y)


# --- fits one after another, and other tools ---


@each_value(
    pytest.mark.parametrize("solver", ["newton", "gd", "sgd"]),
    pytest.mark.parametrize("by", ["early_stopping", "X_val"]),
)
def test_fit_without_validation_samples_removes_their_attributes(solver, by):
    model = unfitted(solver=solver, max_iter=5, early_stopping=by == "early_stopping")
    model.fit(X_TRAIN, Y_TRAIN, **(GIVEN if by == "X_val" else {}))
    assert {"validation_loss_curve_", "best_iter_"} <= vars(model).keys()
    model.set_params(early_stopping=False).fit(X_TRAIN, Y_TRAIN)
    assert not {"validation_loss_curve_", "best_iter_"} & vars(model).keys()


@pytest.mark.parametrize("parameters", RULES)
def test_warm_start_goes_on_from_the_best_weights(parameters):
    model = unfitted(early_stopping=True, warm_start=True, max_iter=200, **parameters)
    model.fit(X_TRAIN, Y_TRAIN, **GIVEN)
    start = {"coef_init": model.coef_, "intercept_init": model.intercept_}
    expected = unfitted(max_iter=1, **parameters).fit(X_TRAIN, Y_TRAIN, **start)
    curve = model.fit(X_TRAIN, Y_TRAIN, **GIVEN).validation_loss_curve_
    assert curve[0] == pytest.approx(loss(expected, X_VAL, Y_VAL), rel=1e-12)


def test_fit_does_not_change_what_it_is_given():
    given = [X_TRAIN.copy(), Y_TRAIN.copy(), X_VAL.copy(), Y_VAL.copy(), WEIGHT[60:].copy()]
    training, y, others, y_val, weight = given
    for array in given:
        array.setflags(write=False)
    model = unfitted(solver="sgd", early_stopping=True, class_weight="balanced")
    model.fit(training, y, X_val=others, y_val=y_val, sample_weight_val=weight)
    for array, original in zip(given, [X_TRAIN, Y_TRAIN, X_VAL, Y_VAL, WEIGHT[60:]], strict=True):
        assert_array_equal(array, original)


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_cross_val_score_splits_each_training_fold(solver):
    model, folds = unfitted(solver=solver, early_stopping=True), StratifiedKFold(3)
    scores = cross_val_score(model, X, Y, scoring="neg_log_loss", cv=folds)
    expected = [
        -log_loss(Y[test], fit_by_hand(model, X[train], Y[train]).predict_proba(X[test]))
        for train, test in folds.split(X, Y)
    ]
    assert_allclose(scores, expected, rtol=1e-12)


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_grid_search_refits_with_a_split_of_all_samples(solver):
    model = unfitted(solver=solver, early_stopping=True)
    search = GridSearchCV(model, {"C": [1e-4, 1.0]}, scoring="neg_log_loss", cv=3).fit(X, Y)
    assert search.best_params_ == {"C": 1.0}
    assert_same_fit(search.best_estimator_, fit_by_hand(model.set_params(C=1.0), X, Y))


@pytest.mark.parametrize("solver", ["newton", "gd", "sgd"])
def test_held_out_samples_are_routed_and_transformed_by_a_pipeline(solver):
    training, others = X_TRAIN * 50 + 1000, X_VAL * 50 + 1000
    held_out = {"y_val": Y_VAL, "sample_weight_val": WEIGHT[60:]}
    scaler = StandardScaler().fit(training)
    direct = unfitted(solver=solver, early_stopping=True)
    direct.fit(scaler.transform(training), Y_TRAIN, X_val=scaler.transform(others), **held_out)
    with config_context(enable_metadata_routing=True):
        model = clone(direct).set_fit_request(X_val=True, y_val=True, sample_weight_val=True)
        steps = [("scaler", StandardScaler()), ("model", model)]
        pipeline = Pipeline(steps, transform_input=["X_val"])
        pipeline.fit(training, Y_TRAIN, X_val=others, **held_out)
    assert_same_fit(pipeline[-1], direct)
