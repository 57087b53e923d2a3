"""scikit-learn's own checks of an estimator: every check, with every solver, without exceptions."""

import pytest
from sklearn.utils.estimator_checks import estimator_checks_generator

from sklearn_bce import BCENeuronClassifier

# The checks fit noise in a few steps and care for results, not for warnings such as that of
# convergence; those they do care for they record themselves.
pytestmark = pytest.mark.filterwarnings("ignore")

# Its checks of sample weights compare optima, so sgd must run until only rounding is left.
TO_THE_END = {"solver": "sgd", "C": 0.1, "tol": 0, "max_iter": 3000, "n_iter_no_change": 1}

MODELS = {
    "newton": BCENeuronClassifier(solver="newton"),
    "gd": BCENeuronClassifier(solver="gd"),
    "sgd": BCENeuronClassifier(**TO_THE_END),
}


def every_check():
    # parametrize_with_checks would do, but that of scikit-learn 1.7 hands pytest a generator, which
    # pytest 9 warns of.
    for name, model in MODELS.items():
        for estimator, check in estimator_checks_generator(model):
            yield pytest.param(estimator, check, id=f"{name}-{check.func.__name__}")


@pytest.mark.parametrize(("estimator", "check"), list(every_check()))
def test_every_check_of_scikit_learn_passes_with_every_solver(estimator, check, monkeypatch):
    # Without it the check of array API dispatch is skipped; with it NumPy arrays pass through it.
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    check(estimator)
