"""The attribute ``stop_reason_``: one fit that ends for each reason, and its ``converged_``."""

import warnings

import pytest
from small_data import random_data

from sklearn_bce import BCENeuronClassifier

X, Y, _ = random_data()
SEPARATED = (X[:, 0] > 0) * 1.0


def fit(X=X, y=Y, **parameters):
    model = BCENeuronClassifier(**{"random_state": 0} | parameters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model.fit(X, y)
    return model, [str(each.message) for each in caught]


def interrupted():
    model = BCENeuronClassifier(tol=1e-12)
    calls = []

    class Interrupt:
        def setup(self, estimator, context):
            pass

        def teardown(self, estimator, context):
            pass

        def on_fit_task_begin(self, estimator, context):
            pass

        def on_fit_task_end(self, estimator, context, **_):
            calls.append(context.task_name)
            if calls.count("pass") == 2:
                raise KeyboardInterrupt

    model.set_callbacks(Interrupt())
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    return model, []
