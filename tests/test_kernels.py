"""The per-sample rule, compiled, against its NumPy reference and the rule written out in Python."""

import math
import runpy
import sys
import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise

from sklearn_bce import BCENeuronClassifier, _kernels
from sklearn_bce._kernels import reference, sgd

N_SAMPLES = 40
WIDTHS = [1, 3, 63, 64, 65, 200]  # the kernel calls BLAS from 64 on
WEIGHTS = {
    "unit": lambda rng: np.broadcast_to(1.0, N_SAMPLES),
    "random": lambda rng: rng.uniform(0.1, 2.0, N_SAMPLES),
    "some zero": lambda rng: rng.integers(0, 3, N_SAMPLES).astype(float),
}
# An update multiplies the scale by 1 − ηsλ, at weight 1: by 1, 0.9975, 1/8 (so that it falls below
# 1e-9, and is folded back, every tenth update), −1/8 and 0.
STRENGTHS = {"none": 0.0, "moderate": 0.02, "large": 7.0, "overshooting": 9.0, "erasing": 8.0}
# An update with weight 1 reduces |w| by ηκ: by 0, by 1/160, or by more than any weight.
L1_STRENGTHS = {"no L1": 0.0, "moderate L1": 0.05, "large L1": 20.0}
ETA = 0.125
CSR = ["csr-int32", "csr-int64"]
LAYOUTS = ["dense", *CSR]
MODULES = [sgd, reference]
DTYPES = [np.float64, np.float32]


def constant(order, eta):
    return np.broadcast_to(eta, len(order))


class Problem:
    """Arguments of a pass over random rows, dense or CSR."""

    def __init__(self, width, dtype, layout="dense", weights="unit", seed=0):
        rng = np.random.default_rng([seed, width])
        X = rng.standard_normal((N_SAMPLES, width)) / np.sqrt(width)
        if layout != "dense":
            X *= rng.random(X.shape) < 0.4
            X[5] = 0.0  # an empty row
        self.X = X.astype(dtype)
        self.y = rng.choice([0.0, 1.0, 0.3], N_SAMPLES)
        self.weight = WEIGHTS[weights](rng)
        self.offset = rng.standard_normal(N_SAMPLES)
        self.order = rng.integers(0, N_SAMPLES, 3 * N_SAMPLES).astype(np.intp)
        self.start = rng.standard_normal(width), rng.standard_normal()
        self.layout = layout

    @property
    def rows(self):
        if self.layout == "dense":
            return (self.X,)
        X, index = sp.csr_array(self.X), self.layout.removeprefix("csr-")
        return X.data, X.indices.astype(index), X.indptr.astype(index)

    def strengths(self, *values):
        """Return λ and κ of the features as arrays; those of equal strengths have the stride 0."""
        return [np.broadcast_to(value, self.X.shape[1]) for value in values]

    def learned(self, module, l2, fit_intercept=True, eta=ETA, orders=None, l1=0.0):
        """Return w, (b, scale) and the loss after a pass by the kernels of a module."""
        visit = module.dense_sgd_pass if self.layout == "dense" else module.csr_sgd_pass
        w, state = self.start[0].copy(), np.array([self.start[1], 1.0])

        def arguments(order):
            return constant(order, eta), *self.strengths(l2, l1), fit_intercept

        loss = sum(
            visit(*self.rows, self.y, self.weight, self.offset, order, w, state, *arguments(order))
            for order in ([self.order] if orders is None else orders)
        )
        return w, state, loss

    def by_the_rule(self, l2, fit_intercept, l1=0.0):
        """Return w, b and the loss of w ← w + ηs((y−a)x − λw), b ← b + ηs(y−a) in plain Python.

        After each update every weight moves towards 0 by ηsκ, and not past 0.
        """
        w, b = [float(wi) for wi in self.start[0]], float(self.start[1])
        losses = []
        for i in self.order:
            x = [float(xi) for xi in self.X[i]]
            y, s = float(self.y[i]), float(self.weight[i])
            z = math.fsum(wi * xi for wi, xi in zip(w, x, strict=True)) + b + float(self.offset[i])
            a = 1 / (1 + math.exp(-z))
            losses.append(-s * (y * math.log(a) + (1 - y) * math.log(1 - a)))
            terms = zip(w, x, *self.strengths(l2, l1), strict=True)
            w = [
                (wi + ETA * s * ((y - a) * xi - float(lam) * wi), float(kappa))
                for wi, xi, lam, kappa in terms
            ]
            w = [math.copysign(max(abs(wi) - ETA * s * kappa, 0.0), wi) for wi, kappa in w]
            b += ETA * s * (y - a) if fit_intercept else 0.0
        return np.array(w), b, math.fsum(losses)


def _assert_close(got, expected):
    """Compare to 1e-12 of the largest weight: a small weight may be a difference of large ones."""
    w, b, loss = got
    size = np.abs(expected[0]).max(initial=1e-3)
    np.testing.assert_allclose(w, expected[0], rtol=1e-12, atol=1e-12 * size)
    assert b == pytest.approx(expected[1], rel=1e-12, abs=1e-12)
    assert loss == pytest.approx(expected[2], rel=1e-12)


def _unscaled(result):
    w, (b, scale), loss = result
    return w * scale, b, loss


@pytest.mark.parametrize(
    *pairwise(width=WIDTHS, strength=STRENGTHS, layout=LAYOUTS, weights=WEIGHTS, dtype=DTYPES)
)
def test_compiled_pass_and_reference_and_rule_agree(width, dtype, layout, weights, strength):
    problem, l2 = Problem(width, dtype, layout, weights), STRENGTHS[strength]
    for fit_intercept in (True, False):
        compiled = problem.learned(sgd, l2, fit_intercept)
        in_numpy = problem.learned(reference, l2, fit_intercept)
        _assert_close(_unscaled(compiled), _unscaled(in_numpy))
        # The scale is folded back by the same rule at the same sample.
        assert compiled[1][1] == pytest.approx(in_numpy[1][1], rel=1e-12)
        _assert_close(_unscaled(compiled), problem.by_the_rule(l2, fit_intercept))
        if not fit_intercept:
            assert compiled[1][0] == problem.start[1]


@pytest.mark.parametrize(
    *pairwise(
        layout=LAYOUTS,
        which=["λ", "κ", "both"],
        width=[1, 3, 65],
        weights=WEIGHTS,
        dtype=DTYPES,
    )
)
def test_with_a_strength_for_each_feature_the_rule_holds(width, dtype, layout, which, weights):
    problem = Problem(width, dtype, layout, weights)
    rng = np.random.default_rng(7)
    l2 = rng.choice([0.0, 0.1, 0.5], width) if which != "κ" else 0.1
    l1 = rng.choice([0.0, 0.02, 0.2], width) if which != "λ" else 0.02
    expected = problem.by_the_rule(l2, True, l1)
    for module in MODULES:
        w, b, loss = _unscaled(problem.learned(module, l2, l1=l1))
        _assert_close((w, b, loss), expected)
        np.testing.assert_array_equal(w == 0, expected[0] == 0)


@pytest.mark.parametrize(
    *pairwise(
        layout_and_norm=[
            (layout, norm) for layout in LAYOUTS for norm in ("moderate L1", "large L1")
        ],
        strength=STRENGTHS,
        width=[1, 3, 65],
        weights=WEIGHTS,
        dtype=DTYPES,
    )
)
def test_with_an_l1_norm_the_rule_holds_and_the_same_weights_are_zero(
    width, dtype, layout_and_norm, weights, strength
):
    """A CSR pass thresholds a weight when a row stores its feature, and at the end of the pass."""
    layout, l1_strength = layout_and_norm
    problem = Problem(width, dtype, layout, weights)
    l2, l1 = STRENGTHS[strength], L1_STRENGTHS[l1_strength]
    for fit_intercept in (True, False):
        expected = problem.by_the_rule(l2, fit_intercept, l1)
        for module in MODULES:
            w, b, loss = _unscaled(problem.learned(module, l2, fit_intercept, l1=l1))
            _assert_close((w, b, loss), expected)
            np.testing.assert_array_equal(w == 0, expected[0] == 0)
        if l1_strength == "large L1" and layout == "dense":
            assert not w.any()


@pytest.mark.parametrize("module", MODULES)
def test_the_scale_is_folded_back_before_it_is_too_small(module):
    problem = Problem(3, np.float64)
    scales = []
    for k in range(1, 61):
        _, state, _ = problem.learned(module, STRENGTHS["large"], orders=[problem.order[:k]])
        scales.append(state[1])
    # The scale may be as small as 8⁻⁹ = 7.5e-9; the tenth update multiplies it into the weights.
    assert scales == [1.0 if k % 10 == 0 else 0.125 ** (k % 10) for k in range(1, 61)]
    erased = problem.learned(module, STRENGTHS["erasing"], orders=[problem.order[:1]])
    assert erased[1][1] == 1.0


@pytest.mark.parametrize(  # a power of two as η commutes with rounding
    *pairwise(layout=LAYOUTS, weights=WEIGHTS, dtype=DTYPES, eta=[1.0, 0.125])
)
def test_bits_are_those_of_the_reference_where_sums_have_one_term(dtype, layout, weights, eta):
    problem = Problem(1 if layout == "dense" else 7, dtype, layout, weights)
    if layout != "dense":  # one stored value a row
        column = np.arange(N_SAMPLES) % 7
        only = np.zeros_like(problem.X)
        only[np.arange(N_SAMPLES), column] = np.linspace(-2, 3, N_SAMPLES)
        problem.X = only
    w, state, _ = problem.learned(sgd, 0.0, eta=eta)
    expected_w, expected_state, _ = problem.learned(reference, 0.0, eta=eta)
    np.testing.assert_array_equal(w, expected_w)
    np.testing.assert_array_equal(state, expected_state)


@pytest.mark.parametrize(
    *pairwise(
        layout=LAYOUTS,
        strength=["none", "moderate", "large"],
        module=MODULES,
        l1_strength=["no L1", "moderate L1"],
    )
)
def test_a_pass_cut_in_pieces_has_the_result_of_the_whole(layout, module, strength, l1_strength):
    problem, l2 = Problem(65, np.float64, layout, "random"), STRENGTHS[strength]
    l1 = L1_STRENGTHS[l1_strength]
    pieces = np.split(problem.order, [1, 2, 2, 50, 119])  # one of them empty
    whole = problem.learned(module, l2, l1=l1)
    cut = problem.learned(module, l2, orders=pieces, l1=l1)
    if l1 and layout != "dense":  # what the norm takes off is one sum, or a sum for each piece
        _assert_close(_unscaled(cut), _unscaled(whole))
        np.testing.assert_array_equal(cut[0] == 0, whole[0] == 0)
    else:
        np.testing.assert_array_equal(cut[0], whole[0])
        np.testing.assert_array_equal(cut[1], whole[1])
    assert cut[2] == pytest.approx(whole[2], rel=1e-13)


@pytest.mark.parametrize(*pairwise(layout=LAYOUTS, l1_strength=L1_STRENGTHS, module=MODULES))
def test_an_empty_order_changes_nothing(layout, module, l1_strength):
    problem, l1 = Problem(3, np.float64, layout), L1_STRENGTHS[l1_strength]
    w, state, loss = problem.learned(module, 0.1, orders=[problem.order[:0]], l1=l1)
    np.testing.assert_array_equal(w, problem.start[0])
    np.testing.assert_array_equal(state, [problem.start[1], 1.0])
    assert loss == 0.0


@pytest.mark.parametrize("layout", CSR)
@pytest.mark.parametrize("module", MODULES)
def test_rows_without_stored_values_change_the_intercept_alone(layout, module):
    problem = Problem(3, np.float64, layout, "random")
    problem.X[:] = 0.0
    w, state, loss = problem.learned(module, 0.0)
    np.testing.assert_array_equal(w, problem.start[0])
    _assert_close((w, state[0], loss), problem.by_the_rule(0.0, True))


@pytest.mark.parametrize(*pairwise(layout=CSR, module=MODULES, strength=STRENGTHS))
def test_the_penalty_moves_weights_of_features_that_no_row_stores(layout, module, strength):
    """There is no intercept: each coordinate of a row of zeros changes by the penalty alone."""
    problem, l2 = Problem(3, np.float64, layout, "random"), STRENGTHS[strength]
    problem.X[:] = 0.0
    w, *_ = _unscaled(problem.learned(module, l2, False, l1=0.05, orders=[problem.order[:9]]))
    expected = [float(wi) for wi in problem.start[0]]
    for i in problem.order[:9]:
        left = [(1 - ETA * problem.weight[i] * l2) * wi for wi in expected]
        off = ETA * problem.weight[i] * 0.05
        expected = [wi - off if wi > off else wi + off if wi < -off else 0.0 for wi in left]
    np.testing.assert_allclose(w, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(*pairwise(layout=LAYOUTS, dtype=DTYPES, l1=[0.0, 0.05]))
def test_everything_but_weights_and_state_may_be_read_only(layout, dtype, l1):
    problem = Problem(65, dtype, layout, "random")
    expected = problem.learned(sgd, 0.02, l1=l1)
    rows = problem.rows
    arrays = [*rows, problem.y, problem.weight, problem.offset, problem.order]
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    visit = sgd.dense_sgd_pass if layout == "dense" else sgd.csr_sgd_pass
    w, state = problem.start[0].copy(), np.array([problem.start[1], 1.0])
    loss = visit(
        *arrays, w, state, constant(problem.order, ETA), *problem.strengths(0.02, l1), True
    )
    np.testing.assert_array_equal(w, expected[0])
    np.testing.assert_array_equal(state, expected[1])
    assert loss == expected[2]
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    *pairwise(
        z=[-800.0, -700.0, -30.0, 0.0, 30.0, 700.0, 800.0], y=[0.0, 0.25, 1.0], module=MODULES
    )
)
def test_the_loss_is_exact_in_the_tails(z, y, module):
    """One sample is visited 600 times, for which the kernel takes two logarithms."""
    order = np.zeros(600, dtype=np.intp)
    w, state = np.array([z]), np.array([0.0, 1.0])
    arguments = (
        np.ones((1, 1)),
        np.array([y]),
        np.ones(1),
        np.zeros(1),
        order,
        w,
        state,
        np.zeros(600),
        np.zeros(1),
        np.zeros(1),
        True,
    )
    loss = module.dense_sgd_pass(*arguments)
    exact = math.log1p(math.exp(-abs(z))) + ((1 - y) * z if z > 0 else -y * z)
    assert loss == pytest.approx(600 * exact, rel=1e-12)
    assert w[0] == z


def test_where_a_loop_is_not_compiled_the_package_is_imported_and_warns(monkeypatch):
    monkeypatch.delattr(_kernels, "csr")
    monkeypatch.setitem(sys.modules, "sklearn_bce._kernels.csr", None)  # as if not built
    package = runpy.run_path(_kernels.__file__)
    assert package["COMPILED"] is None
    with pytest.warns(RuntimeWarning, match="without its compiled kernels"):
        assert package["kernels"]() is reference


@pytest.mark.parametrize("sparse", [False, True])
def test_without_compiled_loops_a_fit_warns_once_and_has_the_same_result(monkeypatch, sparse):
    problem = Problem(5, np.float64, "csr-int32", "random")
    X, y = sp.csr_array(problem.X) if sparse else problem.X, problem.y > 0.5
    neuron = BCENeuronClassifier(solver="sgd", tol=0, max_iter=20, random_state=3)
    compiled = neuron.fit(X, y, problem.weight).coef_
    try:
        monkeypatch.setattr(_kernels, "COMPILED", None)
        _kernels.kernels.cache_clear()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            in_numpy = neuron.fit(X, y, problem.weight).coef_
            neuron.fit(X, y, problem.weight)
        (warning,) = caught
        assert warning.category is RuntimeWarning
        assert "without its compiled kernels" in str(warning.message)
    finally:
        monkeypatch.undo()
        _kernels.kernels.cache_clear()
    np.testing.assert_allclose(in_numpy, compiled, rtol=1e-12)
    assert _kernels.kernels().dense_sgd_pass is sgd.dense_sgd_pass
