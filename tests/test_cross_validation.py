"""`BCENeuronClassifierCV`: its scores against fits done one by one, and the choice of C."""

import pickle
import tracemalloc
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import log_loss
from sklearn.model_selection import (
    GroupKFold,
    KFold,
    LeaveOneOut,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    cross_val_score,
)
from stated_objective import (
    correlated,
    load,
    overlapping,
    random_weights,
    scaled,
    sparse_columns,
    total_weights,
    wide,
)

from sklearn_bce import (
    BCENeuronClassifier,
    BCENeuronClassifierCV,
    fit_from_chunks,
    l1_min_c,
    regularization_path,
)
from sklearn_bce._objective.in_memory import InMemoryObjective

# F is within `tol` of its minimum, so that outputs are within about its root of those there.
TIGHT = {"tol": 1e-16}
DATA = {"scaled": scaled, "sparse": sparse_columns, "wide": wide, "correlated": correlated}
PENALTIES = {
    "l2": {},
    "l1": {"l1_ratio": 1.0},
    "elastic net": {"l1_ratio": 0.3, "standardize": True},
    "bounds": {"coef_bounds": (0, np.inf)},
    "no intercept": {"fit_intercept": False, "standardize": True},
    "balanced": {"class_weight": "balanced"},
}
SPLITTERS = {
    "five folds": None,
    "shuffled": ShuffleSplit(3, random_state=0),
    "repeated": RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0),
}


def cross_validated(penalty, **parameters):
    """Return the estimator with the settings of a penalty, and those for a single fit."""
    settings = dict(PENALTIES[penalty])
    single = BCENeuronClassifier(**settings, **TIGHT, max_iter=500)
    ratio = settings.pop("l1_ratio", 0.0)
    return BCENeuronClassifierCV(
        l1_ratios=[ratio], **settings, **TIGHT, max_iter=500, **parameters
    ), single


def split_off_ratio(settings):
    """Return the proportion of the L1 norm, and the settings that the search has as well."""
    return settings.get("l1_ratio", 0.0), {k: v for k, v in settings.items() if k != "l1_ratio"}


def loss(y, z, weight=None):
    return np.average(np.logaddexp(0, z) - y * z, weights=weight)


@pytest.mark.parametrize(
    *pairwise(data=DATA, penalty=PENALTIES, splitter=SPLITTERS, samples=["plain", "weights"])
)
def test_scores_are_those_of_fits_done_one_by_one(data, penalty, splitter, samples):
    X, y = load(DATA[data])
    container = sp.csr_array(X) if data == "sparse" else X
    weight = random_weights(y) if samples == "weights" else None
    Cs = [10.0, 0.01, 0.5]
    model, single = cross_validated(penalty, Cs=Cs, cv=SPLITTERS[splitter])
    model.fit(container, y, sample_weight=weight)
    folds = list((SPLITTERS[splitter] or StratifiedKFold(5)).split(X, y))
    assert model.scores_.shape == (len(folds), 1, 3)
    for f, (train, test) in enumerate(folds):
        for k, C in enumerate(Cs):
            fit = clone(single).set_params(C=C)
            of_train, of_test = (None if weight is None else weight[i] for i in (train, test))
            fit.fit(X[train], y[train], of_train)
            expected = -loss(y[test], fit.decision_function(X[test]), of_test)
            assert model.scores_[f, 0, k] == pytest.approx(expected, abs=1e-8)
            own = np.append(fit.coef_[0], fit.intercept_ if fit.fit_intercept else [])
            assert model.coefs_paths_[f, 0, k, 0].shape == own.shape
    best = int(np.argmax(model.scores_.mean(axis=(0, 1))))
    assert Cs[best] == model.C_
    whole = clone(single).set_params(C=model.C_).fit(X, y, weight)
    assert_allclose(model.decision_function(X), whole.decision_function(X), atol=1e-4)
    assert loss(y, model.decision_function(X)) == pytest.approx(
        loss(y, whole.decision_function(X)), abs=1e-8
    )


# Of so many samples the folds share the sums of the curvature.
TALL = {
    "plain": {},
    "balanced": {"class_weight": "balanced"},
    "standardized": {"standardize": True, "penalty_factor": [0.0, 3.0] + 58 * [1.0]},
    "no intercept": {"fit_intercept": False},
    "l1": {"l1_ratio": 1.0},
    "soft targets": {"soft_targets": True},
}


def tall(settings):
    """Return 6000×60 samples in different units; one column is 0 but in the third fold."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((6000, 60)) @ rng.standard_normal((60, 60)) / 8
    z = X[:, :10] @ rng.standard_normal(10)
    X[:, -1] = np.where((np.arange(6000) % 7 == 0) & (np.arange(6000) // 1200 == 2), X[:, -1], 0)
    a = 1 / (1 + np.exp(-z))
    y = a if "soft_targets" in settings else (rng.random(6000) < a).astype(float)
    return X * np.geomspace(1e-2, 1e3, 60) + 5, y


@pytest.mark.parametrize("settings", TALL.values(), ids=TALL)
def test_scores_of_folds_that_share_the_curvature_are_those_of_single_fits(settings):
    X, y = tall(settings)
    cv, Cs, own = (
        KFold(5),
        [1e-4, 0.03, 10.0, np.inf][: 3 if "l1_ratio" in settings else 4],
        settings,
    )
    ratio = own.get("l1_ratio", 0.0)
    own = {name: value for name, value in own.items() if name != "l1_ratio"}
    model = BCENeuronClassifierCV(Cs=Cs, l1_ratios=[ratio], cv=cv, **own, **TIGHT, max_iter=500)
    model.fit(X, y)
    single = BCENeuronClassifier(**settings, **TIGHT, max_iter=500)
    for f, (train, test) in enumerate(cv.split(X)):
        for k, C in enumerate(Cs):
            fit = clone(single).set_params(C=C).fit(X[train], y[train])
            expected = -loss(y[test], fit.decision_function(X[test]))
            assert model.scores_[f, 0, k] == pytest.approx(expected, rel=1e-9, abs=1e-8)


def test_folds_sum_the_curvature_once_for_each_C(monkeypatch):
    """Once over all samples, and once over the samples held out; a fit for itself takes 11 sums."""
    X, y = tall({})
    evaluate, rows = InMemoryObjective.evaluate, []

    def counted(self, theta, z=None, *, hessian=False, diagonal=False):
        rows.extend([len(self.y)] * hessian)
        return evaluate(self, theta, z, hessian=hessian, diagonal=diagonal)

    monkeypatch.setattr(InMemoryObjective, "evaluate", counted)
    BCENeuronClassifierCV(Cs=np.logspace(-3, 3, 7)).fit(X, y)
    assert 0 < sum(rows) <= (2 * 7 + 3) * len(y)


def peak_memory(model, X, y):
    """Return the most bytes that are taken at once during a fit."""
    tracemalloc.start()
    try:
        model.fit(X, y)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_folds_take_the_memory_of_a_fit_and_their_weights():
    """Two numbers a sample for each fold, and a block of the rows that a fold holds out."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((200_000, 40))
    y = (X[:, 0] + rng.standard_normal(len(X)) > 0).astype(float)
    of_fit = peak_memory(BCENeuronClassifier(), X, y)
    weights = 5 * 2 * y.nbytes
    of_folds = peak_memory(BCENeuronClassifierCV(Cs=2), X, y)
    assert of_folds <= of_fit + weights + 2**25
    of_left_out = peak_memory(BCENeuronClassifierCV(Cs=2, cv="loo"), X, y)
    assert of_left_out <= of_fit + weights


@pytest.mark.parametrize("fit_intercept", [True, False])
def test_scores_and_C_are_those_of_logistic_regression_cv(fit_intercept):
    X, y = load(scaled)
    Cs = np.logspace(-3, 3, 7)
    other = LogisticRegressionCV(
        Cs=Cs,
        solver="newton-cholesky",
        scoring="neg_log_loss",
        tol=1e-10,
        fit_intercept=fit_intercept,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        other.fit(X, y)
    model = BCENeuronClassifierCV(Cs=Cs, fit_intercept=fit_intercept, **TIGHT).fit(X, y)
    assert_allclose(model.scores_[:, 0], other.scores_[1].reshape(5, 7), atol=1e-7)
    assert other.C_[0] == model.C_
    assert_allclose(model.coef_, other.coef_, rtol=1e-4, atol=1e-5)


def test_the_log_loss_is_that_of_the_scorer():
    X, y = load(overlapping)
    fit = BCENeuronClassifier(C=0.1, **TIGHT)
    model = BCENeuronClassifierCV(Cs=[0.1], **TIGHT).fit(X, y)
    expected = cross_val_score(fit, X, y, scoring="neg_log_loss")
    assert_allclose(model.scores_[:, 0, 0], expected, atol=1e-8)
    assert model.score(X, y) == pytest.approx(-log_loss(y, model.predict_proba(X)), rel=1e-12)


@pytest.mark.parametrize("scoring", ["roc_auc", "accuracy", None, "neg_brier_score"])
def test_any_scorer_gives_the_scores_of_cross_val_score(scoring):
    X, y = load(overlapping)
    model = BCENeuronClassifierCV(Cs=[0.01, 1.0], scoring=scoring).fit(X, y)
    for k, C in enumerate([0.01, 1.0]):
        expected = cross_val_score(BCENeuronClassifier(C=C), X, y, scoring=scoring)
        assert_allclose(model.scores_[:, 0, k], expected, atol=1e-4)
    best = BCENeuronClassifier(C=model.C_).fit(X, y)
    if scoring is None:
        assert model.score(X, y) == pytest.approx(best.score(X, y))


def test_soft_targets_are_scored_by_their_cross_entropy():
    X, y = load(overlapping)
    share = 0.1 + 0.8 * y
    model = BCENeuronClassifierCV(Cs=[0.1, 1.0], soft_targets=True, **TIGHT).fit(X, share)
    for f, (train, test) in enumerate(KFold(5).split(X)):
        fit = BCENeuronClassifier(C=0.1, soft_targets=True, **TIGHT).fit(X[train], share[train])
        expected = -loss(share[test], fit.decision_function(X[test]))
        assert model.scores_[f, 0, 0] == pytest.approx(expected, abs=1e-8)
    assert model.score(X, share) == pytest.approx(-loss(share, model.decision_function(X)))


def test_an_offset_is_part_of_the_outputs_that_are_scored():
    X, y = load(overlapping)
    offset = np.linspace(-2, 2, len(y))
    model = BCENeuronClassifierCV(Cs=[0.1], **TIGHT).fit(X, y, offset=offset)
    train, test = next(StratifiedKFold(5).split(X, y))
    fit = BCENeuronClassifier(C=0.1, **TIGHT).fit(X[train], y[train], offset=offset[train])
    expected = -loss(y[test], fit.decision_function(X[test], offset[test]))
    assert model.scores_[0, 0, 0] == pytest.approx(expected, abs=1e-8)
    with pytest.raises(ValueError, match="offset is not supported with scoring='accuracy'"):
        BCENeuronClassifierCV(scoring="accuracy").fit(X, y, offset=offset)


def test_the_best_of_several_proportions_of_the_l1_norm_is_chosen():
    X, y = load(correlated)
    model = BCENeuronClassifierCV(l1_ratios=[0, 0.5, 1], Cs=6).fit(X, y)
    mean = model.scores_.mean(axis=0)
    j, k = np.unravel_index(np.argmax(mean), mean.shape)
    assert (model.l1_ratio_, model.C_) == ([0, 0.5, 1][j], model.Cs_[k])
    assert model.scores_.shape == (5, 3, 6)
    ends = [regularization_path(X, y, Cs=2, l1_ratio=ratio).Cs for ratio in (0, 0.5, 1)]
    assert model.Cs_[0] == pytest.approx(min(each[0] for each in ends))
    assert model.Cs_[-1] == pytest.approx(max(each[1] for each in ends))


def test_one_standard_error_chooses_the_strongest_penalty_within_it():
    X, y = load(correlated)
    best = BCENeuronClassifierCV(Cs=25).fit(X, y)
    model = BCENeuronClassifierCV(Cs=25, rule="1se").fit(X, y)
    scores = best.scores_[:, 0]
    k = int(np.argmax(scores.mean(axis=0)))
    error = np.std(scores[:, k], ddof=1) / np.sqrt(5)
    assert best.standard_errors_[0, k] == pytest.approx(error)
    allowed = best.Cs_[scores.mean(axis=0) >= scores[:, k].mean() - error]
    assert model.C_ == allowed.min() < best.C_


def test_without_a_refit_the_means_over_the_folds_are_kept():
    X, y = load(overlapping)
    model = BCENeuronClassifierCV(refit=False).fit(X, y)
    best = model.scores_[:, 0].argmax(axis=1)
    assert pytest.approx(model.Cs_[best].mean()) == model.C_
    paths = model.coefs_paths_[np.arange(5), 0, best, 0]
    assert_allclose(model.coef_[0], paths[:, :-1].mean(axis=0))
    assert_allclose(model.intercept_[0], paths[:, -1].mean())


# Leave-one-out.


def exactly_left_out(X, y, C, weight=None, **settings):
    """Return the output of each sample by a fit without it, the strength of the penalty kept."""
    z, weight = np.empty(len(y)), np.ones(len(y)) if weight is None else weight
    model = BCENeuronClassifier(C=C, warm_start=True, tol=1e-12, max_iter=500, **settings)
    for i in range(len(y)):
        rest = weight.copy()
        rest[i] = 0.0
        z[i] = model.fit(X, y, rest).decision_function(X[[i]])[0]
    return z


FACTORS = {"penalty_factor": np.geomspace(0.3, 3, 100)}


def wide_and_sparse():
    """Return more columns than samples, most of their values 0, as CSR."""
    X, y = wide()
    return sp.csr_array(X * (np.abs(X) > 1)), y


LEFT_OUT = {
    "five raw columns": (overlapping, {}, 2e-4),
    "scaled": (scaled, {}, 1e-3),
    "correlated": (correlated, {}, 5e-4),
    "sparse": (sparse_columns, {}, 1e-3),
    "wide": (wide, {}, 0.02),
    "wide and sparse": (wide_and_sparse, {}, 0.02),
    "wide, factors": (wide, FACTORS, 0.02),
    "wide and sparse, factors": (wide_and_sparse, FACTORS, 0.02),
    "l1": (correlated, {"l1_ratio": 1.0}, 2e-3),
}


@pytest.mark.parametrize(("load_data", "settings", "atol"), LEFT_OUT.values(), ids=LEFT_OUT)
def test_leave_one_out_is_near_fits_without_each_sample(load_data, settings, atol):
    X, y = load(load_data)
    Cs = np.array([0.01, 0.1, 1.0])
    ratio, own = split_off_ratio(settings)
    model = BCENeuronClassifierCV(Cs=Cs, cv="loo", l1_ratios=[ratio], **own, **TIGHT).fit(X, y)
    exact = [-loss(y, exactly_left_out(X, y, C, **settings)) for C in Cs]
    assert model.scores_.shape == (1, 1, 3)
    assert_allclose(model.scores_[0, 0], exact, atol=atol)
    assert abs(int(np.argmax(exact)) - int(np.argmax(model.scores_[0, 0]))) <= 1


def test_leave_one_out_has_weights_class_weights_and_soft_targets():
    X, y = load(overlapping)
    weight, share = random_weights(y), 0.1 + 0.8 * y
    model = BCENeuronClassifierCV(Cs=[0.1], cv="loo", class_weight={0: 2, 1: 1}, **TIGHT)
    model.fit(X, y, weight)
    z = exactly_left_out(X, y, 0.1, total_weights(y, weight, {0: 2, 1: 1}))
    assert model.scores_[0, 0, 0] == pytest.approx(-loss(y, z, weight), abs=5e-4)
    model = BCENeuronClassifierCV(Cs=[0.1], cv="loo", soft_targets=True, **TIGHT).fit(X, share)
    z = exactly_left_out(X, share, 0.1, soft_targets=True)
    assert model.scores_[0, 0, 0] == pytest.approx(-loss(share, z), abs=2e-4)


def test_a_sample_with_a_large_leverage_is_left_out_exactly():
    """Its own feature makes its leverage 1: without it the weight of that feature is 0."""
    X, y = load(overlapping)
    own = np.zeros((len(y), 1))
    own[7] = 1e3
    X = np.c_[X, own]
    model = BCENeuronClassifierCV(Cs=[1.0], cv="loo", **TIGHT).fit(X, y)
    z = exactly_left_out(X, y, 1.0)
    assert model.scores_[0, 0, 0] == pytest.approx(-loss(y, z), abs=2e-4)


def test_leave_one_out_has_the_standard_error_of_a_mean_over_samples():
    X, y = load(correlated)
    model = BCENeuronClassifierCV(Cs=20, cv="loo", rule="1se").fit(X, y)
    best = BCENeuronClassifierCV(Cs=20, cv="loo").fit(X, y)
    k = int(np.argmax(best.scores_[0, 0]))
    losses = np.logaddexp(0, z := exactly_left_out(X, y, best.C_)) - y * z
    assert best.standard_errors_[0, k] == pytest.approx(np.std(losses) / np.sqrt(len(y)), rel=0.01)
    within = best.scores_[0, 0] >= best.scores_[0, 0, k] - best.standard_errors_[0, k]
    assert best.Cs_[within].min() == model.C_


def test_leave_one_out_is_scored_by_any_scorer():
    X, y = load(overlapping)
    model = BCENeuronClassifierCV(Cs=[0.1], cv="loo", scoring="accuracy", **TIGHT).fit(X, y)
    z = exactly_left_out(X, y, 0.1)
    assert model.scores_[0, 0, 0] == pytest.approx(np.mean((z > 0) == y), abs=0.003)
    expected = cross_val_score(BCENeuronClassifier(C=0.1), X, y, cv=LeaveOneOut()).mean()
    assert model.scores_[0, 0, 0] == pytest.approx(expected, abs=0.003)


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
def test_leave_one_out_over_chunks_is_that_of_all_samples(l1_ratio):
    X, y = load(overlapping)
    own = np.zeros((len(y), 1))
    own[300] = 1e3  # a leverage of 1
    X, weight = np.c_[X, own], random_weights(y) + 0.1

    def chunks():
        for rows in np.array_split(np.arange(len(y)), 4):
            yield X[rows], y[rows], weight[rows]

    model = BCENeuronClassifierCV(
        Cs=[1e-3, 0.1, 10.0], cv="loo", l1_ratios=[l1_ratio], rule="1se", tol=1e-14
    )
    parts = fit_from_chunks(clone(model), chunks)
    whole = model.fit(X, y, sample_weight=weight)
    assert_allclose(parts.scores_, whole.scores_, rtol=1e-6)
    assert_allclose(parts.standard_errors_, whole.standard_errors_, rtol=1e-5)
    assert parts.C_ == whole.C_
    assert_allclose(parts.coef_, whole.coef_, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"cv": 5}, "cv=5 needs all samples in memory; use cv='loo'"),
        ({"cv": "loo", "scoring": "roc_auc"}, "scoring='roc_auc' needs all samples in memory"),
        ({"cv": "loo", "class_weight": "balanced"}, "class_weight='balanced' is not supported"),
    ],
)
def test_searches_that_need_all_samples_are_told(parameters, message):
    X, y = load(overlapping)
    with pytest.raises(ValueError, match=message):
        fit_from_chunks(BCENeuronClassifierCV(**parameters), lambda: [(X, y)])


# Splitters, metadata, tools of scikit-learn.


def test_groups_are_passed_to_the_splitter():
    X, y = load(overlapping)
    groups = np.arange(len(y)) % 7
    model = BCENeuronClassifierCV(Cs=[1.0], cv=GroupKFold(3)).fit(X, y, groups=groups)
    same = BCENeuronClassifierCV(Cs=[1.0], cv=GroupKFold(3).split(X, y, groups)).fit(X, y)
    assert_array_equal(model.scores_, same.scores_)
    with config_context(enable_metadata_routing=True):
        routed = BCENeuronClassifierCV(Cs=[1.0], cv=GroupKFold(3)).fit(X, y, groups=groups)
    assert_array_equal(model.scores_, routed.scores_)


def test_with_metadata_routing_the_scorer_gets_weights_only_if_it_asks_for_them():
    X, y = load(overlapping)
    weight = random_weights(y)
    plain = BCENeuronClassifierCV(Cs=[1.0]).fit(X, y, sample_weight=weight)
    with config_context(enable_metadata_routing=True):
        from sklearn.metrics import get_scorer

        asking = get_scorer("neg_log_loss").set_score_request(sample_weight=True)
        silent = get_scorer("neg_log_loss").set_score_request(sample_weight=False)
        weighted = BCENeuronClassifierCV(Cs=[1.0], scoring=asking)
        weighted = weighted.set_fit_request(sample_weight=True).fit(X, y, sample_weight=weight)
        unweighted = BCENeuronClassifierCV(Cs=[1.0], scoring=silent)
        unweighted = unweighted.set_fit_request(sample_weight=True).fit(X, y, sample_weight=weight)
    assert_allclose(weighted.scores_, plain.scores_, atol=1e-6)
    assert np.abs(unweighted.scores_ - plain.scores_).max() > 1e-4


def test_unknown_arguments_of_fit_are_told():
    X, y = load(overlapping)
    with pytest.raises(ValueError, match="sample_wieght"):
        BCENeuronClassifierCV().fit(X, y, sample_wieght=np.ones(len(y)))


def test_threads_give_the_same_folds():
    X, y = load(correlated)
    one, two = (BCENeuronClassifierCV(n_jobs=n).fit(X, y) for n in (None, 2))
    assert_array_equal(one.scores_, two.scores_)


def test_select_from_model_knows_the_penalty():
    X, y = load(correlated)
    model = BCENeuronClassifierCV(l1_ratios=[1.0], rule="1se", Cs=20)
    selector = SelectFromModel(model).fit(X, y)
    assert selector.estimator_.penalty == "l1"
    assert_array_equal(selector.get_support(), selector.estimator_.coef_[0] != 0)
    assert 0 < selector.get_support().sum() < X.shape[1]


def test_a_pickle_predicts_the_same():
    X, y = load(overlapping)
    model = BCENeuronClassifierCV().fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    assert again.C_ == model.C_


# What goes wrong.


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"Cs": [0.0]}, r"Cs must be an integer, or numbers in \(0, inf\]"),
        ({"l1_ratios": [2.0]}, r"l1_ratios must be numbers in \[0, 1\]"),
        ({"l1_ratios": []}, r"l1_ratios must be numbers in \[0, 1\]"),
        ({"rule": "2se"}, "The 'rule' parameter of BCENeuronClassifierCV"),
        ({"cv": "lou"}, "The 'cv' parameter of BCENeuronClassifierCV"),
        ({"cv": "loo", "refit": False}, "cv='loo' needs refit=True"),
        ({"rule": "1se", "refit": False}, "rule='1se' needs refit=True"),
        ({"rule": "1se", "cv": ShuffleSplit(1)}, "rule='1se' needs a standard error"),
        ({"rule": "1se", "cv": "loo", "scoring": "accuracy"}, "rule='1se' needs a standard error"),
        ({"cv": [([0, 1, 2], [3])]}, "Fold 0 learns from samples of class 0 only"),
        ({"cv": [(np.arange(100), [3])], "scoring": "roc_auc"}, "is not finite for fold 0"),
    ],
)
@pytest.mark.filterwarnings("ignore:Only one class")
def test_wrong_parameters_are_told_and_change_nothing(parameters, message):
    X, y = load(overlapping)
    model = BCENeuronClassifierCV().fit(X, y)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.set_params(**parameters).fit(X, y)
    assert {name: vars(model)[name] for name in before if name.endswith("_")} == {
        name: value for name, value in before.items() if name.endswith("_")
    }


def test_leave_one_out_of_columns_that_depend_on_each_other_but_for_rounding_is_told():
    X, y = load(overlapping)
    X = np.c_[X, X[:, 0] * (1 + 1e-15 * np.arange(len(y)))]
    with pytest.raises(ValueError, match="cv='loo' cannot resolve the curvature"):
        BCENeuronClassifierCV(Cs=[1e15], cv="loo").fit(X, y)


def test_a_matrix_that_is_too_large_is_told(monkeypatch):
    monkeypatch.setattr("sklearn_bce._solvers.newton.leave_one_out.MOST_COORDINATES", 5)
    X, y = load(overlapping)
    with pytest.raises(ValueError, match=r"too large for X of shape \(569, 5\); use cv=5"):
        BCENeuronClassifierCV(cv="loo").fit(X, y)


def test_a_fit_that_has_not_converged_is_named_by_fold_and_C():
    X, y = load(scaled)
    with pytest.warns(ConvergenceWarning) as caught:
        BCENeuronClassifierCV(Cs=[1e-4, 1e4], max_iter=2).fit(X, y)
    messages = [str(each.message) for each in caught]
    assert any(text.startswith("C=10000: solver='newton' stopped after 2") for text in messages)
    assert any(text.startswith("Fold 4, C=10000: solver='newton' st") for text in messages)
    assert {each.filename for each in caught} == {__file__}


def test_penalties_that_are_all_too_strong_are_told():
    X, y = load(correlated)
    least = l1_min_c(X, y)
    with pytest.warns(UserWarning, match=f"largest is {least / 2:.3g}: .* above {least:.3g} leave"):
        BCENeuronClassifierCV(Cs=[least / 4, least / 2], l1_ratios=[1.0]).fit(X, y)


def test_samples_that_are_not_finite_are_told():
    X, y = load(overlapping)
    X = X.copy()
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="Input X contains infinity"):
        BCENeuronClassifierCV().fit(X, y)
