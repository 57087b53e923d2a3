"""The benchmarks: every competitor solves the problem on which it is timed; figures are right."""

import bz2
import gzip
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.optimize import minimize
from sklearn.base import BaseEstimator
from sklearn.datasets import dump_svmlight_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import RepeatedStratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import (
    cross_validation,
    fits,
    inference,
    judge,
    memory,
    page,
    picture,
    plots,
    public_data,
    raising,
    record,
    report,
    runner,
    samples,
    scores,
    search,
)
from benchmarks.__main__ import main, parse
from benchmarks.competitors import (
    BCE_NEURON,
    PACKAGES,
    PEERS,
    SKLEARN,
    SPARSE_DEFAULTS,
    SPARSE_PEERS,
    Competitor,
    chosen,
)
from benchmarks.data_files import problems_of
from benchmarks.generators import (
    correlated,
    different_units,
    gaussian,
    hashed_clicks,
    heavy_tails,
    one_hot,
    rare_dummy,
    text,
)
from benchmarks.limits import TimeLimitReached, passes_within, time_limit
from benchmarks.problems import (
    FULL,
    L1,
    QUICK,
    VARIATIONS,
    VARIED,
    Problem,
    breast_cancer,
    scaled,
)
from benchmarks.profiles import performance_profile, ratios_to_fastest
from sklearn_bce import BCENeuronClassifier

SCALED = Problem("breast cancer, scaled", scaled(breast_cancer), 0.5)


def small_problem():
    return Problem("small", lambda: gaussian(200, 4))


@pytest.fixture(scope="module")
def outcomes():
    peers = [peer for peer in SKLEARN if peer.name in ("newton-cholesky", "lbfgs")]
    return list(
        runner.run([small_problem()], peers, repeats=1, limit=60, progress=lambda message: None)
    )


def independent_minimum(problem):
    """Return the minimum by SciPy's general solver, with a gradient by finite differences."""
    X, y = problem.samples
    found = minimize(
        lambda v: judge.objective(X, y, v[:-1], v[-1], problem.C),
        np.zeros(X.shape[1] + 1),
        method="BFGS",
        options={"gtol": 1e-7},
    )
    return found.fun


# --- competitors


# Loading Snap ML makes the whole process flush subnormal numbers to 0, which other tests are about.
APART = "snapml"
SETTINGS = [
    pytest.param(peer, setting, id=f"{peer.name}-{setting}")
    for peer in PACKAGES
    for setting in peer.settings
    if setting.get("bias") != 1.0  # LIBLINEAR's dual penalises that intercept: see below
]


# Competitors that support the L1 norm. LIBLINEAR penalises the intercept unless its own interface
# is used; Snap ML always does.
SPARSE_SETTINGS = [
    pytest.param(peer, setting, id=f"{peer.name}-{setting}")
    for peer in SPARSE_PEERS
    for setting in peer.settings
    if peer.needs not in ("sklearn", APART)
]


def assert_reaches_the_minimum(peer, setting, problem):
    if problem.l1_ratio:
        setting = setting | {"l1_ratio": problem.l1_ratio}
    fit = fits.fit(problem, peer.estimator(C=problem.C, tol=1e-7, **setting))
    assert fit.failure == ""
    least, gap = fits.reference(problem)
    assert gap < (1e-9 if problem.l1_ratio else 1e-12)  # the bound on a norm is a looser one
    assert fit.objective - least < fits.TARGET


def few_levels():
    return Problem("one-hot", lambda: one_hot(400, (2, 3, 5)))


@pytest.mark.parametrize(
    ("peer", "setting"), [each for each in SETTINGS if each.values[0].needs != APART]
)
def test_adapter_reaches_the_minimum_of_our_objective(peer, setting):
    pytest.importorskip(peer.needs)
    assert_reaches_the_minimum(peer, setting, SCALED)


@pytest.mark.parametrize(("peer", "setting"), SPARSE_SETTINGS)
@pytest.mark.parametrize("share", [0.3, 0.03])
def test_adapter_reaches_the_minimum_with_the_l1_norm(peer, setting, share):
    pytest.importorskip(peer.needs)
    of_norm = {"inverse_strength": 1 / share, "l1_ratio": 1.0}
    assert_reaches_the_minimum(peer, setting, Problem("dense", scaled(breast_cancer), **of_norm))
    levels = Problem("sparse", lambda: one_hot(400, (2, 3, 5)), **of_norm)
    assert_reaches_the_minimum(peer, setting, levels)


def test_defaults_with_the_l1_norm_are_given_it():
    problem = Problem("sparse", lambda: one_hot(400, (2, 3)), 10.0, l1_ratio=1.0)
    for competitor in [BCE_NEURON, *SPARSE_DEFAULTS]:
        ladder = next(competitor.candidates(problem, 1.0))
        assert {(model.C, model.l1_ratio) for model in ladder} == {(problem.C, 1.0)}


@pytest.mark.skipif(find_spec(APART) is None, reason="Snap ML is not installed")
def test_adapter_of_snap_ml_reaches_the_minimum_in_a_process_of_its_own():
    code = """
import test_benchmarks as tests
for each in tests.SETTINGS:
    if each.values[0].needs == tests.APART:
        tests.assert_reaches_the_minimum(*each.values, tests.SCALED)
        tests.assert_reaches_the_minimum(*each.values, tests.few_levels())
        print(each.id)
"""
    tests = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)])}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) >= 1


def test_liblinear_dual_penalises_the_intercept_the_less_the_larger_the_constant_column():
    pytest.importorskip("liblinear")
    adapter = next(peer for peer in PACKAGES if peer.name == "liblinear-official").estimator
    least, _ = fits.reference(SCALED)
    above = [
        fits.fit(SCALED, adapter(C=SCALED.C, tol=1e-8, solver=7, bias=bias)).objective - least
        for bias in (1.0, 10.0, 1000.0)
    ]
    assert above[0] > 1e-6 > above[1] > above[2]


@pytest.mark.parametrize(
    "peer", [peer for peer in PACKAGES if peer.needs != APART], ids=lambda peer: peer.name
)
def test_adapter_takes_sparse_samples(peer):
    pytest.importorskip(peer.needs)
    assert_reaches_the_minimum(peer, peer.settings[0], few_levels())


@pytest.mark.parametrize("peer", [BCE_NEURON, *SKLEARN[:3]], ids=lambda peer: peer.name)
def test_tuned_competitor_reaches_the_minimum(peer):
    least, _ = fits.reference(SCALED)
    entry = search.best_setting(SCALED, peer, least, limit=5, neuron=np.inf)
    assert entry.fits[0].objective - least < fits.TARGET


def test_figures_are_of_the_l2_penalty(capsys):
    with pytest.raises(SystemExit):
        parse(["--suite", "l1", "--figures"])
    assert "--figures" in capsys.readouterr().err


def test_unknown_peer_is_an_error_that_lists_the_allowed(capsys):
    with pytest.raises(ValueError, match=r"unknown peer nosuch; allowed are lbfgs, .*snapml"):
        chosen(["lbfgs", "nosuch"])
    with pytest.raises(SystemExit):
        parse(["--peers", "lbfgs,nosuch"])
    assert "unknown peer nosuch" in capsys.readouterr().err


def test_peer_that_is_not_installed_is_an_error():
    absent = Competitor("absent", BaseEstimator, needs="no_such_package_anywhere")
    with pytest.raises(ValueError, match="not installed: absent"):
        chosen(["absent"], [*PEERS, absent])


def test_peers_of_variations_are_those_of_either_penalty():
    options = parse(["--suite", "variations", "--peers", "newton-cg", "liblinear"])
    assert [peer.name for peer in options.peers] == ["newton-cg", "liblinear"]
    assert [peer.name for peer in options.sparse_peers] == ["liblinear"]


def test_peers_are_named_by_commas_and_by_words():
    options = parse(["--peers", "newton-cg,lbfgs", "sag"])
    assert [peer.name for peer in options.peers] == ["lbfgs", "newton-cg", "sag"]


def test_whole_curvatures_are_not_formed_for_many_columns():
    wide = Problem("wide", lambda: (np.zeros((2, 5000)), np.array([0, 1])))
    by_name = {peer.name: peer for peer in PEERS}
    assert list(by_name["newton-cholesky"].candidates(wide, 1.0)) == []
    solvers = {ladder[0].solver for ladder in by_name["glum"].candidates(wide, 1.0)}
    assert solvers == {"lbfgs"}


# --- judge


def test_objective_is_that_of_a_general_solver():
    problem = small_problem()
    least, gap = fits.reference(problem)
    assert least == pytest.approx(independent_minimum(problem), abs=1e-9)
    assert gap < 1e-12


@pytest.mark.parametrize("C", [0.01, 1.0, 100.0])
@pytest.mark.parametrize("l1_ratio", [0.0, 0.3, 1.0])
def test_gap_bounds_the_distance_from_the_minimum(C, l1_ratio):
    X, y = gaussian(150, 3)
    rng = np.random.default_rng(0)
    least = _least(X, y, C, l1_ratio)
    for size in [1.0, 1e-2] * 10:
        w, b = size * rng.standard_normal(3) * (rng.random(3) < 0.8), rng.standard_normal()
        distance = judge.objective(X, y, w, b, C, l1_ratio) - least
        assert -1e-12 < distance <= judge.gap(X, y, w, b, C, l1_ratio) * (1 + 1e-9) + 1e-12


def _least(X, y, C, l1_ratio):
    """Return the minimum by SciPy's general solver, with w = v − u, where v, u >= 0."""

    def value(parts):
        v, u, b = parts[:3], parts[3:6], parts[6]
        smooth = judge.log_loss(X, y, v - u, b) + (1 - l1_ratio) / 2 * np.sum((v - u) ** 2) / size
        return smooth + l1_ratio * np.sum(v + u) / size

    size, bounds = C * len(y), [(0, None)] * 6 + [(None, None)]
    options = {"ftol": 1e-15, "gtol": 1e-9, "maxiter": 2000, "maxfun": 200_000}
    found = minimize(value, np.full(7, 0.1), method="L-BFGS-B", bounds=bounds, options=options)
    found = minimize(value, found.x, method="TNC", bounds=bounds, options={"xtol": 1e-12})
    return found.fun


# --- problems and data files


@pytest.mark.parametrize(
    ("make", "shape", "positives"),
    [
        (lambda: gaussian(1000, 7, positives=0.01), (1000, 7), 0.01),
        (lambda: gaussian(1000, 7, mixing=0.3), (1000, 7), 0.5),
        (lambda: correlated(300, 40, condition=100.0, units=10.0), (300, 40), 0.5),
        (lambda: heavy_tails(500, 6), (500, 6), 0.3),
        (lambda: one_hot(400, (2, 3, 5)), (400, 10), 0.25),
        (lambda: text(50, 600), (50, 600), 0.5),
        (lambda: hashed_clicks(500, 1024, values=5), (500, 1024), 0.1),
    ],
)
def test_generator_is_deterministic_with_the_promised_shape_and_share(make, shape, positives):
    (X, y), (X_again, y_again) = make(), make()
    assert X.shape == shape
    assert y.mean() == pytest.approx(positives, abs=1 / len(y))
    assert np.array_equal(y, y_again)
    assert abs(X - X_again).max() == 0


def test_correlated_columns_have_the_condition_and_the_units():
    X, _ = correlated(20_000, 20, condition=100.0)
    values = np.linalg.svd(X, compute_uv=False)
    assert values[0] / values[-1] == pytest.approx(100, rel=0.1)
    X, _ = correlated(2_000, 20, condition=1.0, units=100.0)
    assert np.sort(X.std(axis=0))[[0, -1]] == pytest.approx([0.01, 100], rel=0.1)


def test_one_hot_rows_have_one_level_of_each_column():
    X, _ = one_hot(400, (2, 3, 5))
    assert sparse.issparse(X)
    assert set(X.data) == {1.0}
    for first, last in ((0, 2), (2, 5), (5, 10)):
        assert (X[:, first:last].sum(axis=1) == 1).all()
    shares = np.asarray(X[:, 5:10].mean(axis=0)).ravel()
    assert shares == pytest.approx(np.array([60, 30, 20, 15, 12]) / 137, abs=0.08)  # Zipf


def test_text_rows_are_of_unit_length_and_every_word_occurs():
    X, _ = text(50, 600)
    assert np.allclose(np.asarray(X.multiply(X).sum(axis=1)), 1)
    assert np.bincount(X.indices, minlength=600).min() >= 1
    assert X.has_sorted_indices or X.has_canonical_format
    assert 40 < X.nnz / 50 < 100


def test_hashed_rows_have_int64_indices_and_as_many_values_as_promised():
    X, _ = hashed_clicks(2000, 2**12, values=6)
    assert X.indices.dtype == X.indptr.dtype == np.int64
    assert X.has_canonical_format
    assert np.array_equal(X.sum(axis=1), np.full((2000, 1), 6))
    # Of N tokens the commonest is log(2)/log(N + 1) of all, the next one log(1.5)/log(N + 1).
    shares = np.sort(np.asarray(X.sum(axis=0)).ravel())[::-1] / 12_000
    expected = np.log([2, 1.5]) / np.log(2**12 + 1)
    assert shares[:2] == pytest.approx(expected, abs=0.01)


def test_every_generated_problem_says_so_and_the_others_are_real():
    for problem in [*FULL, *L1, *VARIED]:
        made_by = getattr(problem.load, "func", problem.load).__module__
        assert problem.origin == ("generated" if "generators" in made_by else "real")


def test_problem_names_are_unique_and_full_has_the_quick_ones():
    names = [problem.name for problem in FULL]
    assert len(set(names)) == len(names)
    assert FULL[: len(QUICK)] == QUICK
    assert len({problem.name for problem in L1}) == len(L1)


@pytest.mark.parametrize("l1_ratio", [0.5, 1.0])
def test_strength_of_the_l1_norm_is_a_share_of_what_leaves_no_weight(l1_ratio):
    """At a weaker penalty the gradient of a weight at w = 0 exceeds κ."""
    for share in (1.001, 0.999):
        problem = Problem("small", lambda: gaussian(200, 4), 1 / share, l1_ratio)
        X, y = problem.samples
        b = math.log(y.mean() / (1 - y.mean()))
        at = judge.objective(X, y, np.zeros(4), b, problem.C, l1_ratio)
        steps = 1e-6 * np.vstack([np.eye(4), -np.eye(4)])
        values = [judge.objective(X, y, w, b, problem.C, l1_ratio) for w in steps]
        assert (min(values) < at) == (share < 1)


def test_data_folder(tmp_path):
    rng = np.random.default_rng(0)
    X = np.column_stack([1e5 * rng.standard_normal(30), rng.integers(0, 2, 30), rng.random(30)])
    y = np.where(X[:, 0] > 0, "yes", "no")
    np.savez(tmp_path / "money.npz", X=X, y=y)
    np.savez(tmp_path / "near.npz", X=rng.standard_normal((30, 2)), y=np.arange(30) % 2)
    np.savez(tmp_path / "other.npz", weights=X)
    (tmp_path / "notes.txt").write_text("no data")
    S = sparse.random(20, 6, density=0.4, random_state=0, format="csr")
    labels = np.where(np.arange(20) % 3 == 0, 1, -1)
    dump_svmlight_file(S, labels, str(tmp_path / "plain.svm"), zero_based=False)
    written = (tmp_path / "plain.svm").read_bytes()
    (tmp_path / "packed.svm.gz").write_bytes(gzip.compress(written))
    (tmp_path / "small.libsvm.bz2").write_bytes(bz2.compress(written))

    problems = {problem.name: problem for problem in problems_of(tmp_path)}
    assert list(problems) == ["money, raw", "money, scaled", "near", "packed", "plain", "small"]
    raw, codes = problems["money, raw"].samples
    assert np.array_equal(raw, X)
    assert np.array_equal(codes, y == "yes")
    standard = problems["money, scaled"].samples[0]
    assert standard[:, [0, 2]].std(axis=0) == pytest.approx([1, 1])
    assert np.array_equal(standard[:, 1], X[:, 1])  # an indicator stays one
    for name in ("packed", "plain", "small"):
        found, codes = problems[name].samples
        assert found.indices.dtype == np.int32
        assert abs(found - S).max() < 1e-12
        assert np.array_equal(codes, labels == 1)


def test_data_folder_without_data_and_without_two_classes(tmp_path):
    with pytest.raises(ValueError, match=r"no \.npz with X and y"):
        problems_of(tmp_path)
    np.savez(tmp_path / "three.npz", X=np.eye(3), y=np.arange(3))
    with pytest.raises(ValueError, match=r"three.npz has 3 different labels"):
        _ = problems_of(tmp_path)[0].samples


# --- limits


needs_timer = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no such timer here")


class Endless(BaseEstimator):
    """An estimator whose fit does not end, and which catches exceptions."""

    def fit(self, X, y):
        while True:
            with suppress(Exception):
                time.sleep(0.001)


class Broken(BaseEstimator):
    def fit(self, X, y):
        raise ArithmeticError("does not add up")


@needs_timer
def test_time_limit_interrupts_and_is_taken_away():
    start = time.perf_counter()
    with pytest.raises(TimeLimitReached), time_limit(0.05):
        Endless().fit(None, None)
    assert time.perf_counter() - start < 1
    with time_limit(0.05):
        pass
    time.sleep(0.1)  # a timer left behind would go off here


@needs_timer
def test_fit_beyond_the_limit_and_fit_that_fails_are_recorded_as_such():
    late = fits.fit(small_problem(), Endless(), 0.05)
    assert (late.failure, late.objective) == ("time limit", np.inf)
    assert 0.05 <= late.seconds < 1
    assert "does not add up" in fits.fit(small_problem(), Broken()).failure


def test_passes_within_a_time_shrink_with_the_data():
    few, many = np.empty((10, 10)), np.empty((100_000, 10))
    assert passes_within(1.0, few) > passes_within(1.0, many) >= 5
    assert passes_within(2.0, many) == pytest.approx(2 * passes_within(1.0, many), abs=2)


class Walker(BaseEstimator):
    """An estimator that reaches the minimum, b = 0, in a thousand iterations that take no time."""

    def __init__(self, C=1.0, tol=0.0, max_iter=10):
        self.C, self.tol, self.max_iter = C, tol, max_iter

    def fit(self, X, y):
        self.n_iter_ = min(self.max_iter, 1000)
        self.coef_, self.intercept_ = np.zeros((1, X.shape[1])), np.array([1 - self.n_iter_ / 1000])


def test_iterations_that_were_over_too_soon_are_raised():
    problem = Problem("b = 0", lambda: (np.zeros((4, 1)), np.array([0, 1, 0, 1])))
    few = Competitor("few", Walker, tolerances=(1.0,), compiled=True, iterations=lambda *_: 10)
    entry = search.best_setting(problem, few, math.log(2), limit=5, neuron=1.0)
    assert entry.fits[0].objective == pytest.approx(math.log(2))
    assert not entry.gave_up
    hopeless = Competitor("hopeless", Walker, {"max_iter": 500}, tolerances=(1.0, 0.1))
    entry = search.best_setting(problem, hopeless, math.log(2), limit=5, neuron=1.0)
    assert entry.fits[0].objective > math.log(2) + fits.TARGET
    assert len(entry.tried) == 1  # all iterations done: a tighter tolerance would do the same
    assert not entry.gave_up


def test_a_tighter_tolerance_is_chosen_where_it_is_faster(monkeypatch):
    seconds = {1.0: 9.0, 0.1: 3.0, 0.01: 4.0, 1e-3: 2.0, 1e-4: 5.0, 1e-5: 4.0, 1e-6: 1.0}
    above = {1.0: 1.0}  # nats above the minimum; all tighter tolerances reach it
    monkeypatch.setattr(
        search,
        "fit",
        lambda problem, model, limit=np.inf: fits.Fit(
            seconds[model.tol], above.get(model.tol, 0.0), 1.0, 0.0
        ),
    )
    problem = Problem("not fitted", lambda: (np.zeros((4, 1)), np.array([0, 1, 0, 1])))
    walker = Competitor("walker", Walker, tolerances=tuple(seconds))
    entry = search.best_setting(problem, walker, 0.0, limit=100, neuron=1.0)
    assert entry.estimator.tol == 1e-3
    # None is tried after two slower ones.
    assert [each.seconds for each in entry.tried] == [9.0, 3.0, 4.0, 2.0, 5.0, 4.0]


# --- performance profile


def test_performance_profile_of_a_table_done_by_hand():
    # problems:       1    2    3 (nobody)  4
    seconds = {
        "a": [1.0, 4.0, math.inf, 3.0],
        "b": [2.0, 1.0, math.inf, math.inf],
    }
    ratios = ratios_to_fastest(seconds)
    assert np.array_equal(ratios["a"], [1, 4, np.inf, 1])
    assert np.array_equal(ratios["b"], [2, 1, np.inf, np.inf])
    factors = [1, 1.9, 2, 3.9, 4, 1e9]
    assert np.array_equal(
        performance_profile(ratios["a"], factors), [0.5, 0.5, 0.5, 0.5, 0.75, 0.75]
    )
    assert np.array_equal(
        performance_profile(ratios["b"], factors), [0.25, 0.25, 0.5, 0.5, 0.5, 0.5]
    )


def test_geometric_mean_cancels_a_ratio_and_its_inverse():
    assert report.geometric_mean([4, 0.25]) == pytest.approx(1)
    assert report.geometric_mean([2, 8]) == pytest.approx(4)


# --- variations


@pytest.mark.parametrize("l1_ratio", [0.0, 1.0])
@pytest.mark.parametrize("variation", VARIATIONS, ids=lambda variation: variation.name)
def test_the_judge_has_the_objective_of_a_variation(variation, l1_ratio):
    """Two solvers end at one value, and every step from there rises."""
    problem = replace(small_problem(), variation=variation, l1_ratio=l1_ratio, inverse_strength=9.0)
    X, y = problem.samples
    neuron = BCENeuronClassifier(C=problem.C, l1_ratio=l1_ratio, tol=1e-14, **variation.parameters)
    other = neuron.fit(X, y).to_sklearn()  # with the parameters that its version has
    other.set_params(tol=1e-12, solver="saga", max_iter=10_000)
    values = [fits.fit(problem, model).objective for model in (neuron, other)]
    assert values[0] == pytest.approx(values[1], abs=1e-7 if variation.name == "float32" else 1e-11)
    neuron.fit(X, y, problem.sample_weight)
    w, b = neuron.coef_[0].astype(float), float(neuron.intercept_[0])
    for k in range(4):
        for step in (-1e-3, 1e-3):
            moved = w + step * (np.arange(4) == k)
            given = problem.C, l1_ratio, problem.judged_weight
            assert judge.objective(X, y, moved, b, *given) > values[0]


def test_every_kind_comes_in_every_variation_and_strength():
    names = [problem.name for problem in VARIED]
    for variation in VARIATIONS:
        assert sum(name.endswith(variation.name) for name in names) == 3 * 7
    assert len({(p.name, p.inverse_strength, p.load) for p in VARIED}) == len(VARIED) == 21 + 21 * 6


def test_packages_without_a_parameter_are_left_out_of_a_variation():
    weights, no_intercept = VARIATIONS[1:3]
    taking = {peer.name for peer in PEERS if peer.takes(weights)}
    assert "lbfgs" in taking
    assert "liblinear-official" not in taking
    assert not any(peer.takes(no_intercept) for peer in PEERS if peer.name == "snapml")
    assert all(peer.takes(VARIATIONS[0]) for peer in PEERS)


# --- runner, tables, record


def test_outcome(outcomes):
    (outcome,) = outcomes
    assert [entry.competitor.name for entry in outcome.tuned] == [
        "BCENeuron",
        "lbfgs",
        "newton-cholesky",
    ]
    assert all(outcome.solved(entry) for entry in outcome.tuned)
    assert outcome.minimum == pytest.approx(independent_minimum(outcome.problem), abs=1e-9)
    # short fits are timed three times as often, and the first, which warms up, is dropped
    assert len(outcome.tuned[0].fits) == 3


@pytest.mark.parametrize(
    ("seconds", "neuron", "expected"),
    [(0.01, 0.01, 15), (1, 1, 5), (3, 1, 3), (11, 1, 0), (0.2, 0.01, 3), (3, 0.01, 1)],
)
def test_long_fits_and_those_far_behind_are_timed_less_often(seconds, neuron, expected):
    assert runner.times(seconds, 5, neuron) == expected


def test_problem_that_takes_the_neuron_longer_than_the_limit_is_solved_by_it():
    peers = [peer for peer in SKLEARN if peer.name == "newton-cholesky"]
    how = {"repeats": 1, "limit": 1e-5, "progress": lambda message: None}
    (outcome,) = runner.run([small_problem()], peers, **how)
    assert outcome.solved(outcome.tuned[0])
    assert outcome.defaults[0].fits[0].failure == ""


class Lucky(BaseEstimator):
    """An estimator with b = random_state for any data."""

    def __init__(self, C=1.0, tol=0.0, random_state=0):
        self.C, self.tol, self.random_state = C, tol, random_state

    def fit(self, X, y):
        self.coef_, self.intercept_ = (
            np.zeros((1, X.shape[1])),
            np.array([float(self.random_state)]),
        )


def test_a_lucky_seed_is_not_taken_for_a_solution():
    problem = Problem("b = 0", lambda: (np.zeros((4, 1)), np.array([0, 1, 0, 1])))
    least = math.log(2)
    for random in (False, True):
        lucky = Competitor("lucky", Lucky, {"random_state": 0}, tolerances=(1.0,), random=random)
        entry = search.best_setting(problem, lucky, least, limit=5, neuron=1.0)
        assert (entry.fits[0].objective - least < fits.TARGET) == (not random)


def test_tables_say_who_was_faster_and_by_how_much(outcomes):
    (outcome,) = outcomes
    neuron, lbfgs, _ = outcome.tuned
    assert f"{lbfgs.seconds / neuron.seconds:.1f}×" in report.table(outcome)
    assert f"{lbfgs.seconds / neuron.seconds:.3g}" in report.ratio_table(outcomes)
    neuron, lbfgs, cholesky = outcome.tuned
    slowly = replace(lbfgs, fits=[replace(fit, preparation=100.0) for fit in lbfgs.fits])
    told = report.summary([replace(outcome, tuned=[neuron, slowly, cholesky])])
    alone = min(lbfgs.seconds, cholesky.seconds) / neuron.seconds
    whole = min(lbfgs.seconds + 100.0, cholesky.seconds) / neuron.seconds
    assert f"worst {alone:.2f}×" in told
    assert f"worst {whole:.2f}×" in told
    default, regression, _ = outcome.defaults
    assert f"{regression.seconds / default.seconds:.2f}×" in report.defaults_table(outcomes)


def test_record_has_the_promised_keys(outcomes, tmp_path):
    path = tmp_path / "new" / "run.json"
    record.write(path, record.environment(), {"suite": "test"}, outcomes, {"answer": np.inf})
    written = path.read_text(encoding="utf-8")
    told = json.loads(written)
    assert set(told) == {"environment", "options", "target", "problems", "figures"}
    assert {"versions", "cpu", "cores", "load_average", "threadpools"} <= set(told["environment"])
    assert {"python", "numpy", "glum", "snapml"} <= set(told["environment"]["versions"])
    assert told["figures"] == {"answer": None}
    (problem,) = told["problems"]
    assert (problem["n_samples"], problem["n_features"], problem["C"]) == (200, 4, 1.0)
    for entry in problem["tuned"] + problem["defaults"]:
        for fit in entry["timed"] + entry["tried"]:
            assert {"seconds", "objective", "distance", "parameters", "iterations"} <= set(fit)
            assert fit["distance"] >= 0
    assert {"tol"} <= set(problem["tuned"][1]["tried"][0]["parameters"])
    assert "/" not in "".join(
        pool.get("filepath", "") for pool in told["environment"]["threadpools"]
    )


def test_pictures_are_written(outcomes, tmp_path):
    pytest.importorskip("matplotlib")
    plots.distance_against_time(outcomes, tmp_path / "new" / "distance.png")
    plots.profile(outcomes, tmp_path / "new" / "profile.png")
    assert all(path.stat().st_size > 10_000 for path in (tmp_path / "new").iterdir())


def test_scores_are_of_the_same_folds_and_agree_with_cross_validation(monkeypatch):
    """The accuracies of LogisticRegression() are those of scikit-learn's own loop."""
    problem = Problem("breast cancer", breast_cancer)
    found = scores.measure(problem, lambda message: None)
    folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=4, random_state=0)
    X, y = problem.samples
    scaled_first = make_pipeline(StandardScaler(), LogisticRegression())
    told = found["StandardScaler(), LogisticRegression()"]
    assert told.accuracy == pytest.approx(cross_val_score(scaled_first, X, y, cv=folds))
    losses = -cross_val_score(scaled_first, X, y, cv=folds, scoring="neg_log_loss")
    assert told.log_loss == pytest.approx(losses, rel=1e-9)
    own = found["BCENeuronClassifier(standardize=True)"]
    assert set(scores.CALLS) == set(found)
    table = report.scores_table(runner.Outcome(problem, X.shape, [], [], scores=found))
    row = next(line for line in table.splitlines() if "standardize=True" in line)
    mean, spread = np.mean(own.accuracy), np.std(own.accuracy, ddof=1)
    assert f"{mean:.3f} ± {spread:.3f}" in row


def answer_of_openml(**asked):
    assert asked == {"name": "adult", "version": 2, "as_frame": True, "return_X_y": True}
    table = pd.DataFrame({"age": [39, 90, 17], "sex": ["Male", None, "Female"]})
    return table, pd.Series(["<=50K", ">50K", "<=50K"], dtype="category")


def test_public_data_are_files_that_the_data_option_reads(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(public_data, "fetch_openml", answer_of_openml)
    file = b"-1 3:1 11:1\n+1 5:1 123:1\n-1 1:1\n"
    asked = []

    def answer_of_libsvm(page, timeout):
        asked.append(page)
        return io.BytesIO(file)

    monkeypatch.setattr(public_data, "urlopen", answer_of_libsvm)
    public_data.main([str(tmp_path / "new")])
    assert [page.rsplit("/", 1)[1] for page in asked] == ["a8a", "w8a"]
    public_data.main([str(tmp_path / "new")])  # a file that is there is not asked for again
    assert len(asked) == 2
    found = {problem.name: problem for problem in problems_of(tmp_path / "new")}
    assert list(found) == ["a8a", "adult, raw", "adult, scaled", "w8a"]
    assert all(problem.origin == "real" for problem in found.values())
    X, y = found["adult, raw"].samples
    assert np.array_equal(X, [[39, 0, 1, 0], [90, 0, 0, 1], [17, 1, 0, 0]])
    assert list(y) == [0, 1, 0]
    assert found["a8a"].samples[0].shape == (3, 123)


def test_without_a_network_public_data_say_what_is_missing_and_leave_no_file(monkeypatch, tmp_path):
    def unreachable(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(public_data, "fetch_openml", unreachable)
    monkeypatch.setattr(public_data, "urlopen", unreachable)
    with pytest.raises(SystemExit) as ended:
        public_data.main([str(tmp_path)])
    messages = str(ended.value).splitlines()
    assert [line.split()[0] for line in messages] == list(public_data.FILES)
    assert all("no route" in line and "https://" in line for line in messages)
    assert list(tmp_path.iterdir()) == []


def test_a_download_that_is_interrupted_is_done_again(monkeypatch, tmp_path, capsys):
    def interrupted(path):
        path.write_bytes(b"-1 3:1")
        raise KeyboardInterrupt

    monkeypatch.setattr(public_data, "FILES", {"a8a.svm": (interrupted, "a page")})
    with pytest.raises(KeyboardInterrupt):
        public_data.main([str(tmp_path)])
    with pytest.raises(ValueError, match="no svmlight file"):
        problems_of(tmp_path)
    whole = {"a8a.svm": (lambda path: path.write_bytes(b"-1 3:1 11:1\n+1 5:1 123:1\n"), "a page")}
    monkeypatch.setattr(public_data, "FILES", whole)
    public_data.main([str(tmp_path)])
    assert [problem.name for problem in problems_of(tmp_path)] == ["a8a"]


def test_main_runs_from_a_folder_of_data(tmp_path, capsys):
    X, y = gaussian(60, 3)
    np.savez(tmp_path / "mine.npz", X=X, y=y)
    words = ["--problems", "mine", "--peers", "newton-cg", "--repeats", "1"]
    main([*words, "--data", str(tmp_path), "--output", str(tmp_path / "results")])
    printed = capsys.readouterr().out
    assert "mine (60×3, C=1, real)" in printed
    assert "Not asked for: lbfgs" in printed
    told = json.loads((tmp_path / "results" / "quick.json").read_text(encoding="utf-8"))
    assert [problem["name"] for problem in told["problems"]] == ["mine"]
    assert str(tmp_path) not in json.dumps(told)


def told_of(name, C, seconds, l1_ratio=0.0):
    """Return what a record tells of a problem: seconds of training and conversion by name."""
    entries = [
        {"competitor": who, "solved": solved, "seconds": train, "timed": [{"preparation": before}]}
        for who, (train, before, solved) in seconds.items()
    ]
    size = {"n_samples": 60, "n_features": 3, "origin": "real"}
    return {"name": name, "C": C, "l1_ratio": l1_ratio, "tuned": entries, **size}


def test_page_has_the_fastest_other_of_whole_fits_and_of_training(capsys, tmp_path):
    seconds = {
        "BCENeuron": (2.0, 0.0, True),
        "converting": (1.0, 4.0, True),
        "slow": (3.0, 0.0, True),
        "unsolved": (0.1, 0.0, False),
    }
    told = {
        "environment": {"cpu": "a processor", "usable_cores": 2, "versions": {"numpy": "2"}},
        "options": {"suite": "full", "peers": ["slow"], "repeats": 5, "limit": 2.0},
        "problems": [told_of("mine", 1.0, seconds)],
    }
    path = tmp_path / "full.json"
    path.write_text(json.dumps(told), encoding="utf-8")
    page.main([str(path)])
    printed = capsys.readouterr().out
    assert "| mine (60×3, real) | 2 s | 1.50 slow | **0.50 converting** |" in printed
    assert "Geometric mean of 1 of 1 rows" in printed
    assert "whole fit 1.50, at least 1.50; training alone 0.50, at least 0.50" in printed


def test_picture_of_a_record_is_drawn_for_light_and_dark_pages(tmp_path):
    image = pytest.importorskip("matplotlib.image")
    seconds = {"BCENeuron": (1.0, 0.0, True), "a": (1.0, 2.0, True), "b": (0.1, 0.0, False)}
    problem = told_of("mine", 1.0, seconds)
    assert picture.ratios(problem) == {"a": 3.0}  # the conversion counts, an unsolved fit does not
    assert "takes 3.0 times as long" in picture.heading([problem])
    path = tmp_path / "full.json"
    path.write_text(json.dumps({"target": 1e-6, "problems": [problem]}), encoding="utf-8")
    picture.main([str(path), str(tmp_path / "new")])
    corners = {
        name: image.imread(tmp_path / "new" / f"results-{name}.png")[0, 0, :3].mean()
        for name in picture.THEMES
    }
    assert corners["light"] == 1
    assert corners["dark"] < 0.1


def test_page_of_variations_has_a_column_for_each_kind_and_each_strength():
    problems = [
        told_of(name, C, {"BCENeuron": (1.0, 0.0, True), "other": (ratio, 0.0, True)}, l1_ratio)
        for name, C, ratio, l1_ratio in [
            ("mine, plain", 1.0, 2.0, 0.0),
            ("mine, weights", 1.0, 0.5, 0.0),
            ("mine", None, 3.0, 0.0),
            ("mine, L1 0.1, plain", 7.0, 4.0, 1.0),
        ]
    ]
    problems[2]["tuned"][0]["solved"] = False
    told = {
        "environment": {"cpu": "a processor", "usable_cores": 2, "versions": {}},
        "options": {"suite": "variations", "peers": [], "repeats": 3, "limit": 1.0},
        "problems": problems,
    }
    lines = page.page(told).splitlines()
    assert "|  | plain | weights | C=inf |" in lines
    assert "| mine (60×3, real) | 2.00 other | **0.50 other** | **not solved** |" in lines
    assert any(line.startswith("Geometric mean of 2 of 3 rows") for line in lines)
    assert "| mine, L1 0.1 (60×3, real) | 4.00 other |" in lines


# --- figures


def test_searches_for_C_choose_the_same_and_are_compared():
    found = cross_validation.measure([SCALED], 2, 60, lambda message: None)
    searches = found[SCALED.name]
    assert [len(each.seconds) for each in searches.values()] == [2] * 6
    assert len({each.C for each in searches.values()}) == 1
    other = min(searches[name].median for name in cross_validation.OTHERS)
    row = cross_validation.text(found).splitlines()[-1]
    assert row.endswith(f"| {other / searches['leave one out'].median:.1f} |")
    assert f"(C={searches['GridSearchCV of the neuron'].C:.3g})" in row


def test_standard_errors_are_judged_and_compared():
    pytest.importorskip("statsmodels")
    found = inference.measure(
        [
            Problem("units", lambda: different_units(300, 4)),
            Problem("separated", lambda: rare_dummy(300, 4)),
        ],
        2,
        60,
        lambda message: None,
    )
    units, separated = found["units"], found["separated"]
    assert units["neuron"].error < 1e-10
    assert units["statsmodels Logit"].is_right
    assert [len(each.seconds) for each in units.values()] == [2] * len(inference.METHODS)
    assert separated["neuron"].message.startswith("ValueError: The likelihood has no maximum")
    lines = inference.text(found).splitlines()
    assert lines[-1].startswith("separated: ValueError: The likelihood has no maximum")
    right = [np.median(units[n].seconds) for n in inference.OTHERS[:2] if units[n].is_right]
    ratio = min(right) / np.median(units["neuron"].seconds)
    assert lines[2].endswith(f"| {ratio:.1f} |")


def test_raised_iterations_tell_how_it_ended(monkeypatch):
    problem = Problem("units", lambda: correlated(200, 5, condition=1.0, units=30.0))
    (outcome,) = runner.run([problem], [], repeats=1, limit=5, progress=lambda message: None)
    monkeypatch.setattr(raising, "MAX_ITERS", (2, 5000))
    result = raising.raise_max_iter(outcome, 60.0, lambda message: None)
    assert result["max_iter"] == 5000  # two iterations do not do
    assert 2 < result["iterations"] < 5000
    expected = "solved" if result["distance"] <= fits.TARGET else "stopped by itself"
    assert result["end"] == expected
    assert expected in raising.text([result])


def test_memory_of_a_fit_is_found_in_a_process_of_its_own():
    (row,) = memory.measure(lambda message: None, [(20_000, 20, ("newton-cholesky",))])
    assert row["X_bytes"] == 20_000 * 20 * 8
    assert 0.5 * row["X_bytes"] < row["bytes_beyond_X"] < 20 * row["X_bytes"]  # it copies X


def test_per_sample_updates_are_the_same_rule_in_both(monkeypatch):
    monkeypatch.setattr(samples, "SECONDS", 0.001)
    monkeypatch.setattr(samples, "TURNS", 1)
    case = samples.Case("small", lambda: gaussian(500, 6), 1e-3)
    row = samples.measure_case(case, *case.load(), shuffle=False)
    # in the same order, both end in the same place
    assert row["neuron_objective"] == pytest.approx(row["sgd_objective"], rel=1e-6)
    assert row["ratio"] == pytest.approx(row["sgd_ns"] / row["neuron_ns"])
