"""The attribute ``stop_reason_``: one fit that ends for each reason."""

import warnings

import numpy as np
import pytest
from scipy.special import expit
from small_data import breast_cancer, random_data
from test_whitening import temperatures

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._estimator import fit as fit_module
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers import StopReason
from sklearn_bce._solvers.base import Result

X, Y, _ = random_data(400, 4)


class Ending:
    """A callback that asks for the end of the fit, or raises an error, after two passes."""

    def __init__(self, error=None):
        self.error, self.n_calls = error, 0

    def setup(self, estimator, context):
        pass

    def teardown(self, estimator, context):
        pass

    def on_fit_task_begin(self, estimator, context):
        pass

    def on_fit_task_end(self, estimator, context):
        self.n_calls += 1
        if self.n_calls == 2 and self.error is not None:
            raise self.error
        return self.n_calls == 2


def interrupted():
    pytest.importorskip("sklearn.callback")
    model = BCENeuronClassifier(tol=1e-12).set_callbacks(Ending(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    return model


def stopped():
    pytest.importorskip("sklearn.callback")
    return BCENeuronClassifier(tol=1e-12).set_callbacks(Ending()).fit(X, Y)


def fit(X=X, y=Y, **parameters):
    return BCENeuronClassifier(**{"random_state": 0} | parameters).fit(X, y)


# A fit for each reason, whether it counts as converged, and a part of its warning.
FITS = {
    "tol": (fit, True, None),
    "rounding": (lambda: fit(*breast_cancer()[:2], tol=1e-36), True, None),
    "early_stopping": (
        lambda: fit(solver="sgd", early_stopping=True, max_iter=1000),
        True,
        None,
    ),
    "max_iter": (lambda: fit(max_iter=1, tol=1e-12), False, "1 iterations of max_iter=1"),
    "no_minimum": (lambda: fit(y=X[:, 0] > 0, C=np.inf), None, "has no minimum"),
    "precision": (
        lambda: fit(*temperatures(), C=np.inf),
        False,
        "depend on each other but for rounding",
    ),
    "stalled": (
        lambda: fit(solver="sgd", learning_rate=0.1, C=np.inf, max_iter=1000),
        False,
        "without an improvement",
    ),
    "callback": (stopped, False, None),
    "interrupt": (interrupted, False, None),
    "partial_fit": (
        lambda: BCENeuronClassifier(solver="sgd").partial_fit(X, Y, classes=[0, 1]),
        None,
        None,
    ),
}


@pytest.mark.parametrize("reason", FITS)
def test_a_fit_ends_for_the_reason_that_it_tells(reason):
    find, is_converged, message = FITS[reason]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = find()
    assert model.stop_reason_ == reason
    if is_converged is not None:
        assert model.converged_ is is_converged
    told = [str(each.message) for each in caught]
    assert len(told) == (message is not None)
    assert message is None or message in told[0]


def test_every_reason_has_a_fit():
    """But for "no_descent": no fit is known that ends for that reason."""
    assert set(FITS) | {"no_descent"} == {reason.value for reason in StopReason}


def test_ctrl_c_while_rounding_is_measured_keeps_the_fit(monkeypatch):
    """The passes with which `rise_by_rounding` follows a fit to float32 may take long."""

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(fit_module, "rise_by_rounding", interrupted)
    model = BCENeuronClassifier()
    with pytest.raises(KeyboardInterrupt):
        model.fit(np.float32(X), Y)
    assert model.coef_.shape == (1, 4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_loss_by_rounding_is_a_bound(dtype):
    """The rise of F over the samples, with outputs in extended precision."""
    for seed in range(5):
        rng = np.random.default_rng(seed)
        columns = rng.normal(size=(300, 3)) * [1, 1e3, 1e-2] + [0, 1e4, 7]
        y = (rng.random(300) < expit((columns - columns.mean(axis=0)) @ [1, 1e-3, 80])) * 1.0
        model = BCENeuronClassifier(C=np.inf, tol=1e-20).fit(columns, y)
        w, b = model.coef_[0], float(model.intercept_[0])
        mean, deviation = columns.mean(axis=0), columns.std(axis=0)

        def loss(w, b, columns=columns, y=y):
            z = columns.astype(np.longdouble) @ w + np.longdouble(b)
            return np.mean(np.logaddexp(0, np.where(y == 1, -z, z)))

        stored = w.astype(dtype).astype(float), float(dtype(b))
        rise = float(loss(*stored) - loss(w, b))
        coordinates = Coordinates(mean, deviation, fit_intercept=True)
        result = Result(w, b, StopReason.CONVERGED, [0.0], 1.0, coordinates=coordinates)
        bound = result.loss_by_rounding(np.dtype(dtype))
        assert rise <= bound
        change = stored[0] - w
        spread = np.abs(change) @ deviation + abs(stored[1] - b + mean @ change)
        own = np.abs(w) @ deviation + np.abs(w) @ np.abs(mean) + abs(b)
        assert bound == pytest.approx((spread + 2.0**-53 * own) ** 2 / 8, rel=1e-9)
    unknown = Result(w, b, StopReason.CONVERGED, [0.0], 1.0)
    assert unknown.loss_by_rounding(np.dtype(dtype)) == np.inf
