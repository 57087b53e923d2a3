"""Small data sets, and the objective and its minimum on them in plain NumPy."""

from contextlib import contextmanager
from functools import reduce
from operator import add

import numpy as np
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

from sklearn_bce import BCENeuronClassifier
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.partitioned import Encoding, PartitionedObjective
from sklearn_bce._objective.penalty import ElasticNet
from sklearn_bce._solvers import PARTLY_USED, SOLVERS, Settings, solver_name
from sklearn_bce._solvers.newton.cost import CostModel

# scikit-learn 1.7 does not see the names of Polars 2.
names_of_polars = pytest.mark.skipif(
    not hasattr(StandardScaler().fit(pl.DataFrame({"a": [1.0, 2.0]})), "feature_names_in_"),
    reason="this scikit-learn does not see the names of this Polars",
)


@contextmanager
def naming(case):
    """Add the name of a case of a loop to the message of its failure."""
    try:
        yield
    except BaseException as failure:
        failure.add_note(f"in the case {case!r}")
        raise


def random_data(n_samples=60, n_features=3, seed=0, sparse=False):
    """Scaled columns, noisy labels, uneven weights."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n_samples, n_features))
    if sparse:
        X *= rng.random(X.shape) < 0.3
    y = (rng.random(n_samples) < expit(X @ np.resize([1.0, 2.0, -1.0], n_features))).astype(float)
    return (sp.csr_array(X) if sparse else X), y, rng.uniform(0.5, 1.5, n_samples)


def breast_cancer():
    X, y = load_breast_cancer(return_X_y=True)
    return X, y.astype(float), np.broadcast_to(1.0, len(y))


def with_ones(X, fit_intercept=True):
    X = X.toarray() if sp.issparse(X) else X
    return np.column_stack([X, np.ones(len(X))]) if fit_intercept else X


def parts(data, C, fit_intercept=True):
    """Return Z = [X, 1], y, s/S and the penalty's strength λ for each entry of θ = (w, b)."""
    X, y, weight = data
    Z = with_ones(X, fit_intercept)
    strength = np.full(Z.shape[1], 1 / (C * weight.sum()))
    strength[X.shape[1] :] = 0.0
    return Z, y, weight / weight.sum(), strength


def F(theta, data, C):
    Z, y, normalised_weight, strength = parts(data, C)
    z = Z @ theta
    return normalised_weight @ (np.logaddexp(0, z) - y * z) + 0.5 * strength @ theta**2


def minimum(data, C):
    """Return θ = (w, b) at the minimum of F, by Newton's method in its textbook form from 0."""
    Z, y, normalised_weight, strength = parts(data, C)
    theta = np.zeros(Z.shape[1])
    for _ in range(30):
        a = expit(Z @ theta)
        gradient = Z.T @ (normalised_weight * (a - y)) + strength * theta
        hessian = Z.T @ (Z * (normalised_weight * a * (1 - a))[:, None]) + np.diag(strength)
        theta -= np.linalg.solve(hessian, gradient)
    assert np.abs(gradient).max() < 1e-14 * np.abs(Z).max()
    return theta


def objective(data, C=1.0, fit_intercept=True, l1_ratio=0.0):
    penalty = ElasticNet.of(C, l1_ratio, np.sum(data[2]))
    return InMemoryObjective.in_user_units(*data, penalty, fit_intercept)


def solved(solver, data, C=1.0, start=None, b=0.0, l1_ratio=0.0, **settings):
    start = np.zeros(data[0].shape[1]) if start is None else start
    problem = objective(data, C, l1_ratio=l1_ratio)
    return SOLVERS[solver].solve(problem, start, b, Settings(**settings))


def theta_of(result):
    return np.append(result.w, result.b)


# Costs of forming and factorising the curvature, in passes, with which each of the ways to find a
# Newton step is chosen.
CURVATURE_COSTS = {"factorisation": 0.0, "CG": np.inf, "CG, then factorisation": 12.0}


def force_curvature_cost(monkeypatch, curvature):
    """Make the cost model give the curvature a cost in passes, and choose no sample."""
    costs = CostModel(one_pass=1.0, curvature=curvature, factor=0.0, size=10**6)
    monkeypatch.setattr(CostModel, "of", lambda problem: costs)


def near_the_minimum(seed=1, sparse=False, C=1.0, away=0.3):
    """Return a problem, an evaluation ``away`` from the minimum, and Newton's step there."""
    data = random_data(80, 10, seed, sparse=sparse)
    problem = objective(data, C).standardised()
    theta = problem.coordinates.from_user(*np.split(minimum(data, C), [10]))
    point = problem.evaluate(theta + away * np.cos(np.arange(11.0)), hessian=True)
    return problem, point, -np.linalg.solve(point.hessian, point.gradient)


class Parts:
    """Samples in parts that are items of a list."""

    def __init__(self, data, n_parts=3):
        rows = np.array_split(np.arange(len(data[1])), n_parts)
        self.parts = [[array[some] for array in data] for some in rows]

    def sum(self, function):
        answers = [function(k, *part) for k, part in enumerate(self.parts)]
        return [reduce(add, items) for items in zip(*answers, strict=True)]


def neuron_of(solver, **parameters):
    """Return an estimator without those of the parameters that its solver would warn to ignore."""
    ignored = set(PARTLY_USED) - SOLVERS[solver_name(solver)].uses
    used = {name: value for name, value in parameters.items() if name not in ignored}
    return BCENeuronClassifier(solver=solver, **used)


def in_parts(problem):
    """Return the same F over samples in parts."""
    data = problem.X, problem.y, problem.sample_weight
    encoding = Encoding(lambda y, weight: (y, weight), problem.coordinates, problem.total_weight)
    return PartitionedObjective(Parts(data), problem.data_size, encoding, problem.penalty)


def in_memory(*arrays, **parameters):
    """Return the fit to whole arrays, whose minimum the fit to parts must reach as well."""
    return BCENeuronClassifier(**{"tol": 1e-16} | parameters).fit(*arrays)


def assert_same_optimum(model, expected):
    """Expect the same optimum to 1e-8, with the same weights exactly zero."""
    assert_allclose(model.coef_, expected.coef_, rtol=1e-8, atol=1e-12)
    assert_allclose(model.intercept_, expected.intercept_, rtol=1e-8, atol=1e-12)
    assert_array_equal(model.coef_ == 0, expected.coef_ == 0)
    assert_allclose(model.loss_curve_[-1], expected.loss_curve_[-1], rtol=1e-14)
    assert_array_equal(model.classes_, expected.classes_)
    assert model.converged_ is expected.converged_
    assert model.n_features_in_ == expected.n_features_in_
