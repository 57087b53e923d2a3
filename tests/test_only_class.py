"""Fits to samples of which one class has all the weight: F falls for ever with the intercept."""

import warnings

import numpy as np
import pytest
from covering import every_pair
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_matrix
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import BaggingClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import scale

from sklearn_bce import BCENeuronClassifier, fit_from_chunks, l1_min_c

X, Y = load_breast_cancer(return_X_y=True)
X = scale(X)
NAMES = np.array(["benign", "malignant"])
OFFSET = np.linspace(-3, 3, len(Y))


def weights_of(label):
    """Return sample weights that leave a weight to one class only."""
    return np.where(label == Y, 1.5, 0.0)


def chunks(sample_weight):
    def of_rows():
        for i in range(0, len(Y), 100):
            rows = slice(i, i + 100)
            yield X[rows], NAMES[Y[rows]], sample_weight[rows]

    return of_rows


@every_pair(
    pytest.mark.parametrize("solver", ["newton", "gd", "sgd"]),
    pytest.mark.parametrize("container", [np.asarray, csr_matrix]),
    pytest.mark.parametrize("label", [0, 1]),
    pytest.mark.parametrize("offset", [None, OFFSET]),
    pytest.mark.parametrize(
        "parameters",
        [{}, {"C": np.inf}, {"l1_ratio": 1.0}, {"standardize": True}, {"early_stopping": True}],
    ),
)
def test_fit_warns_that_there_is_no_minimum_and_predicts_the_class(
    solver, container, label, offset, parameters
):
    model = BCENeuronClassifier(solver=solver, random_state=0, max_iter=1000, **parameters)
    with pytest.warns(ConvergenceWarning, match="no minimum") as caught:
        model.fit(container(X), NAMES[Y], weights_of(label), offset=offset)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert f"All samples whose weight is not 0 are of class {NAMES[label].item()!r}" in message
    assert model.stop_reason_ == "no_minimum"
    z = model.decision_function(container(X), offset)
    mean_loss = np.mean(np.logaddexp(0, -z if label else z)[label == Y])
    if solver == "newton":
        assert model.converged_
        # Without a penalty, the weights may tell the samples without weight apart.
        seen = label == Y if parameters.get("C") == np.inf else slice(None)
        assert_array_equal(model.predict(container(X), offset)[seen], NAMES[label])
    if model.converged_ and not parameters.get("early_stopping"):
        assert mean_loss <= model.tol  # the infimum of F is 0
    assert mean_loss < 0.1


def test_class_weight_of_0_is_as_sample_weights_of_0():
    by_class = BCENeuronClassifier(class_weight={0: 0.0, 1: 1.5})
    with pytest.warns(ConvergenceWarning, match="are of class 1"):
        by_class.fit(X, Y)
    by_sample = BCENeuronClassifier()
    with pytest.warns(ConvergenceWarning, match="are of class 1"):
        by_sample.fit(X, Y, weights_of(1))
    assert_allclose(by_class.intercept_, by_sample.intercept_)
    with pytest.raises(ValueError, match=r"class_weight=\{0: 1, 1: 0\} leave no weight to any"):
        BCENeuronClassifier(class_weight={0: 1, 1: 0}).fit(X, Y, weights_of(1))


def test_balanced_weights_have_nothing_to_balance():
    with pytest.warns(ConvergenceWarning, match="are of class 0"):
        model = BCENeuronClassifier(class_weight="balanced").fit(X, Y, weights_of(0))
    assert_array_equal(model.predict(X), 0)


def test_chunks_warn_as_well():
    with pytest.warns(ConvergenceWarning, match="are of class 'benign'"):
        model = fit_from_chunks(BCENeuronClassifier(), chunks(weights_of(0)))
    assert model.stop_reason_ == "no_minimum"
    assert_array_equal(model.predict(X), "benign")


@pytest.mark.parametrize("label", [0, 1])
def test_without_an_intercept_there_is_a_minimum_that_is_found_without_a_warning(label):
    model = BCENeuronClassifier(fit_intercept=False, tol=1e-12).fit(X, Y, weights_of(label))
    theirs = LogisticRegression(fit_intercept=False, solver="newton-cholesky", tol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        theirs.fit(X, Y, weights_of(label))
    assert (model.stop_reason_, model.converged_) == ("tol", True)
    assert_allclose(model.coef_, theirs.coef_, rtol=1e-5, atol=1e-7)


def test_bagging_survives_a_bootstrap_without_the_rare_class():
    few = np.r_[np.ones(5, int), np.zeros(len(Y) - 5, int)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours, theirs = (
            BaggingClassifier(model, n_estimators=60, random_state=0).fit(X, few)
            for model in (BCENeuronClassifier(), LogisticRegression(tol=1e-8, max_iter=10_000))
        )
    assert any(each.stop_reason_ == "no_minimum" for each in ours.estimators_)
    assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-3)


def test_l1_min_c_has_no_value():
    with pytest.raises(ValueError, match="are of class 0, so that there is no minimum for any C"):
        l1_min_c(X, Y, sample_weight=weights_of(0))
