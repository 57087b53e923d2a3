"""`sklearn_bce.metrics`: metrics of probabilities against soft targets, and their scorers."""

import numpy as np
import pytest
import sklearn.metrics
from covering import every_pair
from numpy.testing import assert_allclose
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import cross_val_score
from sklearn.preprocessing import scale

from sklearn_bce import BCENeuronClassifier, metrics

RAW, LABELS = load_breast_cancer(return_X_y=True)
X = scale(RAW)
RNG = np.random.default_rng(0)
P, WEIGHT = RNG.uniform(size=len(LABELS)), RNG.integers(0, 4, size=len(LABELS))
SOFT = RNG.uniform(size=len(LABELS))
THEIRS = {
    "log_loss": sklearn.metrics.log_loss,
    "brier_score_loss": sklearn.metrics.brier_score_loss,
    "d2_log_loss_score": sklearn.metrics.d2_log_loss_score,
}


@every_pair(
    pytest.mark.parametrize("name", THEIRS),
    pytest.mark.parametrize("weight", [None, WEIGHT]),
    pytest.mark.parametrize("dtype", [np.float64, np.float32]),
    pytest.mark.parametrize("extremes", [False, True]),
    pytest.mark.parametrize("columns", [1, 2]),
)
def test_metrics_of_labels_are_those_of_scikit_learn(name, weight, dtype, extremes, columns):
    p = P.astype(dtype)
    if extremes:
        p[:4] = [0.0, 1.0, 1e-30, 1.0]
    expected = THEIRS[name](LABELS, p, sample_weight=weight)
    given = np.column_stack([1 - p, p]) if columns == 2 else p
    found = getattr(metrics, name)(LABELS, given, sample_weight=weight)
    assert_allclose(found, expected, rtol=1e-6 if dtype == np.float32 else 1e-12)


@pytest.mark.parametrize("name", THEIRS)
def test_metrics_of_soft_targets_are_those_of_weighted_labels(name):
    """A target y is a sample of class 1 with the weight y, and one of class 0 with 1 - y."""
    both = np.repeat([1, 0], len(SOFT)), np.tile(P, 2)
    weight = np.concatenate([WEIGHT * SOFT, WEIGHT * (1 - SOFT)])
    expected = THEIRS[name](*both, sample_weight=weight)
    if name == "brier_score_loss":  # which has, besides, the variance of the label of each sample
        expected -= np.average(SOFT * (1 - SOFT), weights=WEIGHT)
    assert_allclose(getattr(metrics, name)(SOFT, P, sample_weight=WEIGHT), expected, rtol=1e-10)


def test_d2_is_the_score_of_the_neuron():
    model = BCENeuronClassifier(soft_targets=True).fit(X, SOFT)
    found = metrics.d2_log_loss_score(SOFT, model.predict_proba(X), sample_weight=WEIGHT)
    assert_allclose(found, model.score(X, SOFT, WEIGHT), rtol=1e-12)
    assert metrics.d2_log_loss_score([1, 1], [0.9, 0.8]) == 0.0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("scoring", ["neg_log_loss", "neg_brier_score", "roc_auc"])
def test_scorers_of_scikit_learn_give_nan_where_ours_score(scoring):
    model = BCENeuronClassifier(soft_targets=True)
    assert np.isnan(cross_val_score(model, X, SOFT, scoring=scoring, cv=3)).all()
    for ours in (metrics.neg_log_loss, metrics.neg_brier_score, metrics.d2_log_loss):
        assert np.isfinite(cross_val_score(model, X, SOFT, scoring=ours, cv=3)).all()


def test_scorers_of_labels_are_those_of_scikit_learn_inside_other_estimators():
    model = CalibratedClassifierCV(BCENeuronClassifier(), cv=2)  # without a decision_function
    for name in ("neg_log_loss", "neg_brier_score"):
        expected, found = (
            cross_val_score(model, X, LABELS, scoring=scoring, cv=3)
            for scoring in (name, getattr(metrics, name))
        )
        assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("name", THEIRS)
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([0.0, 1.5], [0.5, 0.5]), r"needs y_true in \[0, 1\].*it has 1\.5\..*sklearn\.metrics"),
        ((["a", "b"], [0.5, 0.5]), "needs y_true in .*not numbers.*sklearn.metrics"),
        (([0.0, 1.0], [0.5, -0.5]), r"y_proba must be in \[0, 1\]; it has -0\.5"),
        (([0.0, 1.0], [0.5, np.nan]), "y_proba contains NaN"),
        (([0.0, 1.0], [0.5]), "inconsistent numbers of samples"),
        (([0.0, 1.0], np.full((2, 3), 1 / 3)), "1d array"),
    ],
)
def test_malformed_arguments_of_metrics_are_refused(name, arguments, message):
    with pytest.raises(ValueError, match=message):
        getattr(metrics, name)(*arguments)
