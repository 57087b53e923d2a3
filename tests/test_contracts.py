"""The contracts of objectives, rays, penalties and directions, and a penalty of the tests."""

import inspect

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from scipy.optimize import minimize
from scipy.special import expit
from small_data import in_parts, objective, random_data

from sklearn_bce._objective.base import Objective, PassCounter, Ray
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import ElasticNet, Penalty, SeparablePenalty
from sklearn_bce._objective.ray import OutputRay, PassRay
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers import SOLVERS, Settings
from sklearn_bce._solvers.newton.direction import Direction
from sklearn_bce._solvers.newton.proximal import ProximalNewtonDirection
from sklearn_bce._solvers.newton.root_proximal import RootProximalDirection
from sklearn_bce._solvers.newton.smooth import NewtonDirection

# ----- a penalty written for these tests ----------------------------------------------------------


class Weighted(SeparablePenalty):
    """Penalty ½ Σ λᵢuᵢ² + Σ κᵢ|uᵢ|, computed term by term, with strengths for each weight."""

    def __init__(self, l2, l1):
        self.l2, self.l1 = l2, l1

    @property
    def is_smooth(self):
        return not np.any(self.l1)

    def value(self, u):
        return sum(
            lam * ui**2 / 2 + kappa * abs(ui)
            for ui, lam, kappa in zip(u, self.l2, self.l1, strict=True)
        )

    def gradient(self, u):
        return self.l2 * u

    def curvature_diagonal(self, n_features):
        return self.l2

    def directional_derivative(self, u, du):
        slopes = [abs(d) if ui == 0 else d * np.sign(ui) for ui, d in zip(u, du, strict=True)]
        return float(self.l1 @ slopes)

    def prox(self, u, eta):
        return u - np.clip(u, -eta * self.l1, eta * self.l1)

    def subgradient_excess(self, u, gradient):
        nearest = np.where(u == 0, np.clip(-gradient, -self.l1, self.l1), self.l1 * np.sign(u))
        return np.abs(-gradient - nearest)

    def times(self, factor):
        return Weighted(factor * self.l2, factor * self.l1)

    def in_units(self, scale):
        return Weighted(self.l2 / scale**2, self.l1 / scale)


# ----- the members of each contract ---------------------------------------------------------------


def members(contract):
    """Return the public names that a contract declares."""
    names = set(vars(contract)) | set(inspect.get_annotations(contract))
    return {name for name in names if not name.startswith("_")}


SMOOTH, SPARSE = objective(random_data()), objective(random_data(), l1_ratio=0.5)
POINT = SMOOTH.evaluate(np.zeros(4))
IMPLEMENTATIONS = {
    Objective: [SMOOTH, in_parts(SMOOTH)],
    Ray: [OutputRay(SMOOTH, POINT, np.ones(4), None), PassRay(in_parts(SMOOTH), POINT, np.ones(4))],
    Penalty: [ElasticNet(0.1, 0.2), Weighted(np.ones(3), np.ones(3))],
    Direction: [
        NewtonDirection(SMOOTH, 1e-6),
        ProximalNewtonDirection(SPARSE, 1e-6),
        RootProximalDirection(SPARSE, 1e-6),
    ],
}
PAIRS = [(contract, thing) for contract, things in IMPLEMENTATIONS.items() for thing in things]


def _name(value):
    return value.__name__ if isinstance(value, type) else type(value).__name__


@pytest.mark.parametrize(("contract", "thing"), PAIRS, ids=_name)
def test_every_member_of_a_contract_is_implemented(contract, thing):
    missing = {name for name in members(contract) if not hasattr(thing, name)}
    assert not missing
    for name in members(contract):
        declared = inspect.getattr_static(contract, name, None)
        if inspect.isfunction(declared):
            assert callable(getattr(thing, name))


@pytest.mark.parametrize(("contract", "thing"), PAIRS, ids=_name)
def test_methods_take_the_arguments_that_the_contract_names(contract, thing):
    for name in members(contract):
        declared = inspect.getattr_static(contract, name, None)
        if not inspect.isfunction(declared):
            continue
        expected = list(inspect.signature(declared).parameters.values())[1:]
        got = list(inspect.signature(getattr(thing, name)).parameters.values())
        assert [p.name for p in got[: len(expected)]] == [p.name for p in expected], name
        for there, here in zip(expected, got, strict=False):
            assert here.kind is there.kind, (name, there.name)
            has_default = there.default is not inspect.Parameter.empty
            assert has_default <= (here.default is not inspect.Parameter.empty)
        for more in got[len(expected) :]:
            assert more.default is not inspect.Parameter.empty, (name, more.name)


def test_every_rule_of_directions_and_every_abstract_member_is_tested_here():
    rules = {cls.__name__ for cls in Direction.__subclasses__()}
    assert rules == {_name(rule) for rule in IMPLEMENTATIONS[Direction]}
    for rule in IMPLEMENTATIONS[Direction]:
        assert not inspect.isabstract(type(rule))
    with pytest.raises(TypeError, match="abstract"):
        Direction(SMOOTH, 1e-6)


# ----- passes -------------------------------------------------------------------------------------


def test_a_pass_counter_adds_up_passes_and_fractions():
    counter = PassCounter(2.0)
    counter.add()
    counter.add(0.25)
    assert counter.total == 3.25
    assert PassCounter().total == 0.0


@pytest.mark.parametrize("kind", ["in memory", "in parts"])
def test_one_counter_serves_an_objective_in_all_coordinates(kind):
    problem = objective(random_data())
    problem = problem if kind == "in memory" else in_parts(problem)
    standard = problem.standardised()
    raw = problem.in_coordinates(Coordinates.of_user(3, True))
    assert problem.passes is standard.passes is raw.passes
    assert problem.n_passes == 1  # the moments of the columns
    standard.evaluate(np.zeros(4))
    raw.evaluate(np.zeros(4))
    assert problem.n_passes == standard.n_passes == raw.n_passes == 3
    with pytest.raises(AttributeError):
        problem.n_passes = 0


def test_passes_over_a_sample_count_by_its_fraction_of_the_rows():
    problem = objective(random_data(600))
    sample = problem.subsample(120, np.random.RandomState(0))
    assert sample.passes is not problem.passes
    for _ in range(3):
        sample.evaluate(np.zeros(4))
    assert (sample.n_passes, problem.n_passes) == (3, 0)
    problem.count_passes_of(sample)
    assert problem.n_passes == pytest.approx(3 * sample.n_samples / 600, rel=1e-14)
    assert 0 < problem.n_passes < 0.6


# ----- another penalty through the solvers --------------------------------------------------------

L2 = np.array([0.02, 0.3, 0.0, 0.1, 0.05])
L1 = {"smooth": np.zeros(5), "L1 norm": np.array([0.0, 0.02, 0.05, 0.3, 0.01])}
UNITS = np.array([1.0, 3.0, 0.5, 2.0, 0.2])
PENALTIES = {
    "ElasticNet": lambda l2, l1: ElasticNet(l2, l1 if l1.any() else 0.0),
    "one written for these tests": Weighted,
}


def data_of(sparse):
    X, y, weight = random_data(120, 5, 2, sparse=sparse)
    return (sp.csr_array(X * UNITS) if sparse else X * UNITS), y, weight


def problem_of(kind, norm, sparse, l2=L2):
    X, y, weight = data_of(sparse)
    penalty = PENALTIES[kind](l2, L1[norm])
    return InMemoryObjective(X, y, weight, penalty, Coordinates.of_user(5, True))


def loss_and_gradient(w, b, sparse):
    """Return the mean loss and its gradient in plain NumPy."""
    X, y, weight = data_of(sparse)
    X = X.toarray() if sp.issparse(X) else X
    p, z = weight / weight.sum(), X @ w + b
    slope = p * (expit(z) - y)
    return p @ (np.logaddexp(0, z) - y * z), X.T @ slope, slope.sum()


def least(norm, sparse, l2=L2):
    """Return the minimum of F by SciPy, with w = v − v' and v, v' >= 0."""
    l1 = L1[norm]

    def value_and_gradient(v):
        w = v[:5] - v[5:10]
        loss, of_w, of_b = loss_and_gradient(w, v[10], sparse)
        of_w = of_w + l2 * w
        value = loss + l2 @ w**2 / 2 + l1 @ (v[:5] + v[5:10])
        return value, np.concatenate([of_w + l1, -of_w + l1, [of_b]])

    bounds = [(0, None)] * 10 + [(None, None)]
    options = {"maxiter": 10_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-10}
    start = np.zeros(11)
    return minimize(value_and_gradient, start, jac=True, bounds=bounds, options=options).fun


SOLVER_SETTINGS = {
    "newton": {"solver": "newton", "tol": 1e-20},
    "gd": {"solver": "gd", "tol": 1e-15, "max_iter": 100_000},
    "sgd": {"solver": "sgd", "tol": 1e-14, "max_iter": 20_000, "batch_size": 1},
    "sgd in batches": {"solver": "sgd", "tol": 1e-14, "max_iter": 20_000, "batch_size": 16},
}
# Largest distance of the subgradient from 0: √(2·tol·curvature) at F − min F = tol.
KKT = {"newton": 1e-9, "gd": 1e-6, "sgd": 1e-5, "sgd in batches": 1e-5}


def solved(name, problem):
    settings = dict(SOLVER_SETTINGS[name])
    solver = SOLVERS[settings.pop("solver")]
    settings = Settings(random_state=np.random.RandomState(0), **settings)
    return solver.solve(problem, np.zeros(5), 0.0, settings)


@pytest.mark.parametrize(
    *pairwise(
        case=[(name, norm) for name in SOLVER_SETTINGS for norm in L1],
        sparse=[False, True],
        kind=PENALTIES,
    )
)
def test_a_solver_ends_in_the_minimum_of_strengths_for_each_weight(case, sparse, kind):
    """At the minimum, minus the gradient is a subgradient for each weight, and F is as in SciPy."""
    name, norm = case
    result = solved(name, problem_of(kind, norm, sparse))
    assert result.converged
    w, b, l1 = result.w, result.b, L1[norm]
    loss, of_w, of_b = loss_and_gradient(w, b, sparse)
    of_w = of_w + L2 * w
    excess = np.where(w == 0, np.maximum(np.abs(of_w) - l1, 0), of_w + l1 * np.sign(w))
    np.testing.assert_allclose(np.append(excess, of_b), 0, atol=KKT[name])
    value = loss + L2 @ w**2 / 2 + l1 @ np.abs(w)
    assert result.loss_curve[-1] == pytest.approx(value, abs=1e-9)
    assert value == pytest.approx(least(norm, sparse), abs=1e-10)
    if norm == "L1 norm":
        assert w[3] == 0
        assert np.all(w[[0, 1]] != 0)


@pytest.mark.parametrize(*pairwise(name=["newton", "gd"], norm=L1))
def test_strengths_for_each_weight_are_those_of_columns_in_other_units(name, norm):
    """The weights w of X with λ and κ are σw of X/σ with λ/σ² and κ/σ."""
    X, y, weight = data_of(sparse=False)
    user, strength = Coordinates.of_user(5, True), 0.02
    uniform = ElasticNet(strength, strength if norm == "L1 norm" else 0.0)
    l1 = strength * UNITS if norm == "L1 norm" else 0.0
    several = ElasticNet(strength * UNITS**2, l1)
    one = solved(name, InMemoryObjective(X / UNITS, y, weight, uniform, user))
    other = solved(name, InMemoryObjective(X, y, weight, several, user))
    atol = 1e-9 if name == "newton" else 1e-4
    np.testing.assert_allclose(other.w * UNITS, one.w, rtol=0, atol=atol)
    assert other.b == pytest.approx(one.b, abs=atol)
    assert other.loss_curve[-1] == pytest.approx(one.loss_curve[-1], abs=1e-9)
