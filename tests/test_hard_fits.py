"""Fits to hard data that random search has found, and the referee that judges them.

The cases are the lines of ``tools/hard_fits.jsonl``: the seed of a case of `tools.fuzz_fits`, and
what the referee has found. ``python tests/tools/fuzz_fits.py --write-hardest 400`` writes the file.
"""

import json

import numpy as np
import pytest
import scipy.linalg
import statsmodels.api as sm
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import expit, logit, xlogy
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import PolynomialFeatures
from tools import fuzz_bounds, fuzz_fits
from tools.fuzz_fits import Fitted, case_of, fit, judge, known_minimum, minimum_of, problem_for
from tools.referee import (
    EXTENDED,
    Minimum,
    coordinates_of,
    pivoted_qr,
    problem_of,
    referee,
    representable,
    separation,
    solve_upper,
    value,
)

pytestmark = pytest.mark.skipif(
    np.finfo(EXTENDED).eps > 1e-18, reason="np.longdouble has no more digits than float64 here"
)
LINES = fuzz_fits.HARDEST.read_text("utf-8").splitlines()
RECORDS = [json.loads(line) for line in LINES]


@pytest.mark.parametrize("record", RECORDS, ids=lambda each: f"{each['kind']}-{each['seed']}")
def test_a_hard_fit_is_at_the_minimum_or_says_that_it_is_not(record):
    case = case_of(record["seed"], record["kind"])
    fitted = fit(case, seconds=0)
    with np.errstate(all="ignore"):
        verdict = judge(case, fitted, known_minimum(record, case))
    assert verdict.end not in {"silent", "wrong"}, f"{verdict}; {case}; {fitted.said}"


@pytest.mark.parametrize("seeds", [range(first, first + 10) for first in range(0, 40, 10)])
@pytest.mark.parametrize("what", fuzz_bounds.JUDGES)
def test_a_hard_fit_with_bounds_or_factors_is_at_the_minimum_or_says_that_it_is_not(what, seeds):
    verdicts = [fuzz_bounds.verdict_of(seed, what, seconds=0) for seed in seeds]
    assert not [each for each in verdicts if each[0].end in {"silent", "wrong"}]
    assert sum(verdict.end == "right" for verdict, _ in verdicts) >= 5


# ----- the cases ----------------------------------------------------------------------------------


def test_a_seed_always_draws_the_same_case():
    for seed in range(20):
        first, again = case_of(seed), case_of(seed)
        assert fuzz_fits.digest(first) == fuzz_fits.digest(again)
        assert str(first) == str(again)


def test_every_block_and_storage_is_drawn():
    cases = [case_of(seed) for seed in range(300)]
    assert {name for case in cases for name in case.blocks} == {*fuzz_fits.BLOCKS, "wide"}
    assert {case.kind for case in cases} == set(fuzz_fits.KINDS)
    assert len({case.storage for case in cases}) == 5
    assert {case.X.dtype.name for case in cases} == {"float32", "float64"}


def test_the_referee_still_finds_what_the_file_says():
    for record in RECORDS[::20]:
        case = case_of(record["seed"], record["kind"])
        with np.errstate(all="ignore"):
            found = referee(problem_for(case))
        known = known_minimum(record, case)
        if max(found.uncertainty, known.uncertainty) > 1e-9 or not known.resolved:
            continue
        assert found.separated == known.separated
        assert_allclose(found.value, known.value, rtol=0, atol=1e-8)


# ----- the referee, where the minimum is known ----------------------------------------------------


def noisy(n, p=1, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, p))
    return X, (rng.logistic(size=n) < X[:, 0]) * 1.0


def found(X, y, C=np.inf, weight=None, l1_ratio=0.0, fit_intercept=True):
    problem = problem_of(X, y, weight, C, l1_ratio, fit_intercept)
    minimum = referee(problem)
    assert minimum.uncertainty < 1e-12
    return problem, minimum


def test_value_is_the_objective():
    X, y = noisy(50, 3)
    weight, w, b, C, ratio = np.arange(1.0, 51), np.array([1.0, -2.0, 0.5]), 0.3, 2.0, 0.4
    z = X @ w + b
    loss = np.average(np.logaddexp(0, np.where(y == 1, -z, z)), weights=weight)
    penalty = (0.6 / 2 * w @ w + 0.4 * np.abs(w).sum()) / (C * weight.sum())
    at, error = value(problem_of(X, y, weight, C, ratio, True), w, b)
    assert_allclose(at, loss + penalty, rtol=1e-14)
    assert error < 1e-17


def test_value_far_from_zero_is_that_of_the_differences():
    n = 1000
    rng = np.random.default_rng(0)
    start = np.round(1.7e15 + rng.uniform(0, 1e9, n))
    duration = np.round(rng.gamma(4, 500, n))
    y = (rng.random(n) < 0.5) * 1.0
    X = np.column_stack([start, start + duration])
    w, b = np.array([-(2.0**-9), 2.0**-9]), -3.0
    z = duration * 2.0**-9 - 3
    loss = np.mean(np.logaddexp(0, np.where(y == 1, -z, z)))
    at, _ = value(problem_of(X, y, None, np.inf, 0, True), w, b)
    assert_allclose(at, loss, rtol=1e-12)


def test_value_is_exact_where_products_cancel():
    """The products of 1e37 have more digits than extended precision, and cancel."""
    X, y = noisy(50, 3)
    X[7] = 1e37
    w = np.array([0.3, -0.2, 0.2 - 0.3])  # their sum is exactly 0
    at, error = value(problem_of(X, y, None, np.inf, 0, True), w, 0.5)
    z = X @ w + 0.5
    z[7] = 0.5
    assert_allclose(at, np.mean(np.logaddexp(0, np.where(y == 1, -z, z))), rtol=1e-14)
    assert error < 1e-9


def test_the_factorisation_is_that_of_lapack():
    A = np.random.default_rng(0).integers(-99, 99, (30, 6)) * 1.0
    A[:, 4] = A[:, 1] - A[:, 2]
    rhs = np.arange(30.0)[:, None]
    R, u, order, rank = pivoted_qr(A.astype(EXTENDED), rhs.astype(EXTENDED))
    expected, pivots = scipy.linalg.qr(A, mode="r", pivoting=True)
    assert rank == 5
    assert_array_equal(order[:5], pivots[:5])
    assert_allclose(np.abs(np.float64(R)), np.abs(expected[:5][:, np.argsort(pivots)][:, order]),
                    atol=1e-12)  # fmt: skip
    x = np.zeros(6)
    x[order[:5]] = solve_upper(R[:, :5], u[:, 0])
    assert_allclose(A @ x, A @ np.linalg.lstsq(A, rhs, rcond=None)[0][:, 0], atol=1e-12)


def test_minimum_of_a_table():
    """A logit on one binary column has the frequencies as its probabilities."""
    x, y = np.repeat([1.0, 0.0], [200, 40])[:, None], np.repeat([1.0, 0, 1, 0], [24, 176, 25, 15])
    _, minimum = found(x * 1e-7 + 5, y)
    frequency = np.array([24 / 200, 25 / 40])
    entropy = -xlogy(frequency, frequency) - xlogy(1 - frequency, 1 - frequency)
    assert minimum.separated is False
    assert_allclose(minimum.value, entropy @ [200, 40] / 240, rtol=1e-15)


def test_infimum_of_a_table_with_an_empty_cell():
    x, y = np.repeat([1.0, 0.0], [200, 25])[:, None], np.repeat([1.0, 0, 1], [24, 176, 25])
    _, minimum = found(x, y)
    entropy = -xlogy(0.12, 0.12) - xlogy(0.88, 0.88)
    assert minimum.separated is True
    assert minimum.resolved
    assert_allclose(minimum.value, entropy * 200 / 225, rtol=1e-15)


def test_minimum_of_a_table_with_an_l1_norm():
    """n₁(σ(b+w) − p₁) = −n₀(σ(b) − p₀) = −1/C if w > 0."""
    y = np.repeat([1.0, 0, 1, 0], [150, 50, 25, 75])
    problem, minimum = found(np.repeat([1.0, 0.0], [200, 100])[:, None], y, C=0.1, l1_ratio=1.0)
    b = logit(25 / 100 + 10 / 100)
    w = logit(150 / 200 - 10 / 200) - b
    assert_allclose(np.float64(minimum.w), [w], rtol=1e-7)
    assert_allclose(minimum.value, value(problem, [w], b)[0], rtol=1e-15)


@pytest.mark.parametrize("seed", [5, 7, 30])
def test_the_intercept_beside_a_full_one_hot_encoding_with_an_l1_norm(seed):
    """Of all weights with the same outputs, those with the least norm have a level at 0."""
    rng = np.random.default_rng(seed)
    k = rng.integers(3, 6)
    level, probability = rng.integers(0, k, 120), rng.uniform(0.1, 0.9, k)
    y, x = (rng.random(120) < probability[level]) * 1.0, rng.normal(size=(120, 1))
    C, one_hot = 10 ** rng.uniform(-1, 1), np.eye(k)[level]
    _, full = found(np.hstack([one_hot, x]), y, C, l1_ratio=1.0)
    without = [np.hstack([np.delete(one_hot, j, axis=1), x]) for j in range(k)]
    least = min(found(each, y, C, l1_ratio=1.0)[1].value for each in without)
    assert_allclose(full.value, least, rtol=0, atol=1e-10)


@pytest.mark.parametrize("ratio", [0.3, 1.0])
def test_subgradient_is_zero_at_the_minimum_with_an_l1_norm(ratio):
    x = 50 + 10 * noisy(300, 2)[0]
    X = PolynomialFeatures(3, include_bias=False).fit_transform(x)
    y = (noisy(300, 2)[1] + (x[:, 1] > 55) > 0.5) * 1.0
    problem, minimum = found(X, y, C=0.01, l1_ratio=ratio)
    w = minimum.w
    r = expit(np.float64(X.astype(EXTENDED) @ w + minimum.b)) - y
    gradient = np.float64(problem.s * r) @ X + np.float64(problem.l2 * w)
    rest, l1 = gradient + np.float64(problem.l1 * np.sign(w)), float(problem.l1)
    of_order = np.abs(X).mean(axis=0)
    assert 0 < np.sum(w == 0) < len(w)
    assert_allclose((rest / of_order)[w != 0], 0, atol=2e-8)
    assert np.all(np.abs(gradient[w == 0]) <= l1 + 1e-8 * of_order[w == 0])


@pytest.mark.parametrize("C", [1.0, np.inf])
@pytest.mark.parametrize("code", [1e9, 1e12, 2.0**63, 9.96921e36])
def test_a_code_on_its_side_of_the_line_costs_nothing(C, code):
    x, y = noisy(200)
    peer = LogisticRegression(C=C, solver="newton-cholesky", tol=1e-12).fit(x, y)
    problem, minimum = found(np.append(x, [[code]], axis=0), np.append(y, 1.0), C)
    least, _ = value(problem, peer.coef_[0], peer.intercept_[0])
    assert minimum.separated is False
    assert_allclose(minimum.value, least, rtol=0, atol=1e-11)


def test_minimum_of_two_epoch_stamps():
    rng = np.random.default_rng(0)
    start = np.round(1.7e15 + rng.uniform(0, 3.15e13, 400))
    duration = np.round(rng.gamma(4, 500, 400))
    y = (rng.logistic(size=400) < (duration - 2000) / 500) * 1.0
    scaled = np.column_stack([(start - 1.7e15) / 1e13, duration / 1e3])
    peer = sm.Logit(y, sm.add_constant(scaled)).fit(disp=0, tol=1e-12)
    problem, minimum = found(np.column_stack([start, start + duration]), y)
    assert minimum.separated is False
    assert minimum.resolved
    assert_allclose(minimum.value, -peer.llf / 400, rtol=0, atol=1e-11)
    point = representable(problem, minimum.w, minimum.b, np.float64)
    assert_allclose(value(problem, *point)[0], minimum.value, rtol=0, atol=1e-9)


def test_minimum_with_weights_and_soft_targets():
    X, _ = noisy(100, 3)
    rng = np.random.default_rng(1)
    y, weight = rng.uniform(size=100), 10 ** rng.uniform(-4, 4, 100)
    peer = sm.GLM(y, sm.add_constant(X), sm.families.Binomial(), var_weights=weight)
    theta = peer.fit(tol=1e-14).params
    problem, minimum = found(X, y, weight=weight)
    assert_allclose(minimum.value, value(problem, theta[1:], theta[0])[0], rtol=0, atol=1e-13)


def test_separation_by_a_basis_function_is_found_in_any_unit():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, y = noisy(60, 3, seed)
        X = np.round(X * 1000)  # products with whole numbers and powers of 2 are exact
        X[:, 2] = 0
        X[:4, 2] = rng.integers(1, 1000, 4)
        y[:4] = 1
        y[4:8] = 0, 1, 0, 1
        mixed = X @ rng.integers(-9, 10, (3, 3)) * 2.0 ** rng.integers(-30, 30, 3)
        if np.linalg.matrix_rank(mixed / np.abs(mixed).max(axis=0)) < 3:
            continue
        problem = problem_of(mixed, y, None, np.inf, 0, True)
        mask, resolved = separation(problem, coordinates_of(mixed, True))
        assert_array_equal(np.flatnonzero(mask), np.arange(4))
        assert resolved
        minimum = referee(problem)
        rest = referee(problem_of(X[4:], y[4:], None, np.inf, 0, True))
        assert minimum.separated is True
        assert_allclose(minimum.value, rest.value * 56 / 60, rtol=1e-12)


def test_columns_that_are_collinear_but_for_rounding_are_not_resolved():
    rng = np.random.default_rng(0)
    celsius = np.round(rng.normal(15, 8, 60), 1)
    X, y = np.column_stack([celsius, celsius * 9 / 5 + 32]), (rng.random(60) < 0.5) * 1.0
    minimum = referee(problem_of(X, y, None, np.inf, 0, True))
    alone = referee(problem_of(X[:, :1], y, None, np.inf, 0, True))
    assert not minimum.resolved
    assert_allclose(minimum.resolved_value, alone.value, rtol=0, atol=1e-12)
    assert minimum.value <= alone.value
    assert alone.resolved


def test_weights_of_float32_are_rounded_together():
    rng = np.random.default_rng(0)
    x = np.float32(1000 + rng.normal(size=300))
    X = np.column_stack([x, x + np.float32(1e-3 * rng.normal(size=300))])
    y = (rng.logistic(size=300) < 1e3 * np.subtract(*X.T.astype(float))) * 1.0
    problem, minimum = found(X, y)
    plain = value(problem, np.float32(minimum.w), np.float32(minimum.b))[0]
    together = value(problem, *representable(problem, minimum.w, minimum.b, np.float32))[0]
    assert plain > minimum.value + 1e-9
    assert together < minimum.value + 1e-9


# ----- the verdicts -------------------------------------------------------------------------------


def case_with(C=1.0):
    X, y = noisy(100, 2)
    return fuzz_fits.Case(X, y, None, {"C": C}, "dense", "default", ["plain"])


def verdict(case, change=0.0, said=(), converged=True):
    fitted = fit(case, seconds=0)._replace(said=list(said), converged=converged)
    return judge(case, fitted._replace(w=fitted.w + change), minimum_of(case, fitted)).end


NO_MINIMUM = ("ConvergenceWarning", "the objective has no minimum")


def stated(distance):
    return ("ConvergenceWarning", f"the objective {distance} nats above its minimum")


NOT_CONVERGED = ("ConvergenceWarning", "stopped after 3 iterations")


def test_verdicts():
    case = case_with()
    assert verdict(case) == "right"
    assert verdict(case, said=[NOT_CONVERGED]) == "cautious"
    assert verdict(case, converged=False) == "cautious"
    assert verdict(case, 0.1) == "silent"
    assert verdict(case, np.nan) == "silent"
    assert verdict(case, 0.1, [NOT_CONVERGED]) == "warned"
    assert verdict(case, said=[("RuntimeWarning", "overflow encountered in exp")]) == "silent"
    assert verdict(case, 0.1, [stated("about 0.1")]) == "wrong"
    assert verdict(case, 0.1, [stated("at least 0.1")]) == "wrong"
    assert verdict(case, 0.1, [stated("at least 1e-05")]) == "warned"
    assert verdict(case, 0.1, [stated("about 1e-05")]) == "wrong"
    assert verdict(case_with(np.inf), said=[NO_MINIMUM]) == "wrong"
    assert verdict(case, 0.1, [NO_MINIMUM]) == "wrong"


def test_verdicts_of_separated_classes():
    case = case_with(np.inf)
    case = case._replace(y=(case.X[:, 0] > 0) * 1.0)
    assert verdict(case, said=[NO_MINIMUM]) == "warned"
    assert verdict(case, said=[NOT_CONVERGED]) == "warned"
    fitted = fit(case, seconds=0)
    minimum = minimum_of(case, fitted)
    quiet = fitted._replace(said=[])
    assert judge(case, quiet._replace(w=np.array([1.0, 0.0])), minimum).end == "silent"
    assert judge(case, quiet._replace(w=np.array([1e6, 0.0]), b=0.0), minimum).end == "untold"


def test_verdicts_of_exceptions():
    def ended(name, message):
        return judge(case_with(), Fitted(None, None, None, [(name, message)], True, 0.1), known).end

    known = Minimum(None, None, 0.5, 0.0, False)
    assert ended("ValueError", "The objective overflowed in iteration 3") == "warned"
    assert ended("LinAlgError", "singular") == "wrong"
