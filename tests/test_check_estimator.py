"""scikit-learn's own checks of an estimator: every check, with every solver."""

from importlib.util import find_spec

import pytest
from sklearn.base import clone
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_bce import BCENeuronClassifier, BCENeuronClassifierCV
from sklearn_bce.dask import DaskBCENeuronClassifier

# The checks fit noise in a few steps and test the results. Convergence warnings are ignored; checks
# that test warnings record the warnings themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

MODELS = {
    "newton": BCENeuronClassifier(solver="newton"),
    "gd": BCENeuronClassifier(solver="gd"),
    "sgd": BCENeuronClassifier(solver="sgd"),
    "dask": DaskBCENeuronClassifier(),
    "early stopping": BCENeuronClassifier(early_stopping=True, random_state=0),
    "cv": BCENeuronClassifierCV(),
    "loo": BCENeuronClassifierCV(cv="loo"),
}
# Checks of sample weights compare optima, so that sgd must run until rounding ends it.
COMPARES_OPTIMA = "sample_weight"
# A sample repeated is no sample with the weight 2, if some of the samples are set aside, also in
# folds or one by one.
COUNTS_SAMPLES = "sample_weight_equivalence"
SPLITTING = {"early stopping", "cv", "loo"}
TO_THE_END = {"C": 0.1, "tol": 0, "max_iter": 3000, "n_iter_no_change": 1}


def lacks_its_device(check):
    """Return whether a check is of torch on a GPU, and torch is installed where there is none."""
    if "'cuda'" not in str(check.keywords):
        return False
    if find_spec("torch") is None:
        return False  # the check skips itself
    import torch

    return not torch.cuda.is_available()


def every_check():
    # parametrize_with_checks is not used: in scikit-learn 1.7 it passes a generator to pytest, of
    # which pytest 9 warns.
    for name, model in MODELS.items():
        for estimator, check in estimator_checks_generator(model):
            if lacks_its_device(check):
                continue
            if name in SPLITTING and COUNTS_SAMPLES in check.func.__name__:
                continue
            if name == "sgd" and COMPARES_OPTIMA in check.func.__name__:
                estimator = clone(estimator).set_params(**TO_THE_END)
            yield pytest.param(estimator, check, id=f"{name}-{check.func.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(every_check()))
def test_every_check_of_scikit_learn_passes_with_every_solver(estimator, check, monkeypatch):
    # With this setting the check of array API dispatch is run, with NumPy arrays.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)
