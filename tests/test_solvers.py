"""Step sizes of gd and sgd, their updates and their minima, against plain NumPy on small data."""

import numpy as np
import pytest
from covering import each_value, every_pair
from scipy.special import expit
from small_data import (
    F,
    breast_cancer,
    minimum,
    objective,
    parts,
    random_data,
    solved,
    theta_of,
    with_ones,
)

from sklearn_bce._solvers import SOLVERS
from sklearn_bce._solvers import sgd as sgd_module
from sklearn_bce._solvers.base import Plateau
from sklearn_bce._solvers.step_size import (
    batch_lipschitz_constant,
    lipschitz_constant,
    sample_lipschitz_constants,
)

# ----- records ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("tol", "patience", "values", "reached_at"),
    [
        (0.1, 2, [5, 4, 3, 3, 3], 4),
        (0.1, 1, [5, 4.95], 1),
        (0.1, 2, [5, 4.95, 4.91, 4.8], 2),  # slow progress is none
        (0.1, 2, [5, 6, 4, 6, 4], 4),
        (0.0, 3, [1, 1, 1, 1], 3),
        (0.1, 2, [5, np.nan, np.nan], 2),
    ],
)
def test_plateau_is_reached_after_patience_without_improvement(tol, patience, values, reached_at):
    plateau = Plateau(tol, patience)
    assert [plateau.reached(v) for v in values].index(True) == reached_at
    assert plateau.best == np.nanmin(values)


# ----- steps of gd and sgd ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [breast_cancer(), random_data(), random_data(200, 50, 1, sparse=True), random_data(20, 100, 2)],
    ids=["breast cancer raw", "random", "sparse", "wide"],
)
@pytest.mark.parametrize("C", [1.0, np.inf])
def test_gd_with_its_own_step_never_rises(data, C):
    result = solved("gd", data, C, max_iter=200, tol=0)
    curve = np.array([F(np.zeros(data[0].shape[1] + 1), data, C), *result.loss_curve])
    assert result.n_iter == 200
    assert not result.converged
    assert np.all(np.diff(curve) <= 1e-15 * curve[:-1])
    assert curve[-1] == pytest.approx(F(theta_of(result), data, C), rel=1e-12)


def test_gd_step_is_the_mean_gradient():
    data = random_data()
    result = solved("gd", data, 0.5, np.array([1.0, 0, -1]), 0.3, max_iter=3, learning_rate=0.7)
    Z, y, share, strength = parts(data, 0.5)
    theta = np.array([1.0, 0, -1, 0.3])
    for _ in range(3):
        theta += 0.7 * (Z.T @ (share * (y - expit(Z @ theta))) - strength * theta)
    np.testing.assert_allclose(theta_of(result), theta, rtol=1e-13)


SHAPES = [(50, 1), (50, 2), (200, 30), (30, 200), (1, 3), (2, 1)]


@every_pair(
    pytest.mark.parametrize("shape", SHAPES),
    pytest.mark.parametrize("fit_intercept", [True, False]),
    pytest.mark.parametrize("sparse", [False, True]),
)
def test_lipschitz_constant_is_the_largest_curvature(shape, fit_intercept, sparse):
    data = random_data(*shape, sparse=sparse)
    Z, _, share, strength = parts(data, 2.0, fit_intercept)
    largest = np.linalg.eigvalsh(Z.T @ (Z * share[:, None]) / 4 + np.diag(strength))[-1]
    got = lipschitz_constant(objective(data, 2.0, fit_intercept))
    assert largest * (1 - 1e-14) <= got <= 1.03 * largest


@pytest.mark.parametrize("largest", [1.02, 1.05, 2.0])
def test_lipschitz_constant_finds_an_eigenvalue_close_to_many_others(largest):
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((600, 101)))[0]
    eigenvalues = np.append(np.linspace(0.5, 1.0, 100), largest)
    data = (basis * np.sqrt(4 * 600 * eigenvalues), np.zeros(600), np.ones(600))
    assert largest <= lipschitz_constant(objective(data, np.inf, False)) <= 1.03 * largest


@pytest.mark.parametrize("fit_intercept", [True, False])
@pytest.mark.parametrize("sparse", [False, True])
def test_sample_lipschitz_constants_are_the_largest_curvatures_of_samples(fit_intercept, sparse):
    data = random_data(sparse=sparse)
    Z, _, _, strength = parts(data, 2.0, fit_intercept)
    terms = [s * (np.outer(z, z) / 4 + np.diag(strength)) for s, z in zip(data[2], Z, strict=True)]
    largest = np.array([np.linalg.eigvalsh(term)[-1] for term in terms])
    got = sample_lipschitz_constants(objective(data, 2.0, fit_intercept))
    # The bound exceeds the largest curvature because the intercept is not penalised.
    assert np.all(got >= largest * (1 - 1e-14))
    assert np.all(got <= (largest + data[2] * strength[0]) * (1 + 1e-14))
    np.testing.assert_allclose(got, data[2] * ((Z**2).sum(1) / 4 + strength[0]), rtol=1e-13)


def test_batch_lipschitz_constant_lies_between_sample_and_mean():
    assert batch_lipschitz_constant(1, 1, 5.0, 3.0) == 5.0
    assert batch_lipschitz_constant(1, 50, 5.0, 0.7) == pytest.approx(5.0, rel=1e-15)
    assert batch_lipschitz_constant(50, 50, 5.0, 0.7) == pytest.approx(0.7, rel=1e-15)
    got = [batch_lipschitz_constant(t, 50, 5.0, 0.7) for t in range(1, 51)]
    assert np.all(np.diff(got) < 0)
    # Gower et al., proposition 3.8: n(τ−1)/(τ(n−1)) of the mean's, (n−τ)/(τ(n−1)) of a sample's.
    proposition = [(50 * (t - 1) * 0.7 + (50 - t) * 5.0) / (t * 49) for t in range(1, 51)]
    np.testing.assert_allclose(got, proposition, rtol=1e-14)


@each_value(
    pytest.mark.parametrize("size", [0.01, 1.0, 5.0]),
    pytest.mark.parametrize("batch", [2, 20, 60]),
)
def test_batch_lipschitz_constant_is_that_of_a_mean_over_samples(batch, size):
    """The solver divides by the number of samples, and F by their total weight."""
    X, y, weight = random_data()
    data = X, y, size * weight
    Z, _, _, strength = parts(data, 2.0)
    terms = [s * (np.outer(z, z) / 4 + np.diag(strength)) for s, z in zip(data[2], Z, strict=True)]
    of_mean = np.linalg.eigvalsh(np.mean(terms, axis=0))[-1]
    of_sample = np.max(data[2] * ((Z**2).sum(1) / 4 + strength[0]))
    share = 60 * (batch - 1) / (batch * 59)
    expected = share * of_mean + (1 - share) * of_sample
    got = sgd_module.batch_lipschitz_constants(objective(data, 2.0))(batch)
    assert expected * (1 - 1e-14) <= got <= 1.03 * expected


# ----- stochastic gradient descent ---------------------------------------------------------------


@pytest.fixture
def batches(monkeypatch):
    """Return a list of the order, the step size and the batch size of each pass."""
    seen, update = [], sgd_module.OnlineUpdater.update

    def recorded(self, order, steps, batch):
        (eta,) = set(steps)
        seen.append((order, eta, batch))
        return update(self, order, steps, batch)

    monkeypatch.setattr(sgd_module.OnlineUpdater, "update", recorded)
    return seen


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("first_batch", [1, 5])
def test_sgd_lets_the_batch_grow_and_comes_to_rest_in_the_minimum(batches, sparse, first_batch):
    data = random_data(sparse=sparse)
    seed = np.random.RandomState(0)
    result = solved("sgd", data, batch_size=first_batch, max_iter=1000, random_state=seed)
    assert result.converged
    sizes = list(dict.fromkeys(batch for _, _, batch in batches))
    assert sizes == [b for b in (first_batch, 8 * first_batch) if b < 60] + [60]
    steps = [eta for _, eta, _ in batches]
    assert np.all(np.diff(steps) >= 0)
    assert F(theta_of(result), data, 1.0) - F(minimum(data, 1.0), data, 1.0) < 1e-6


@every_pair(
    pytest.mark.parametrize("batch", [1, 7, 60, 100]),
    pytest.mark.parametrize("sparse", [False, True]),
    pytest.mark.parametrize("shuffle", [False, True]),
)
def test_passes_of_sgd_are_the_written_out_update(batches, batch, sparse, shuffle):
    data = X, y, weight = random_data(sparse=sparse)
    w, b, eta, C = np.array([0.5, -1.0, 0.0]), 0.2, 0.3, 0.4
    result = solved(
        "sgd", data, C, w, b, learning_rate=eta, batch_size=batch, shuffle=shuffle, max_iter=2,
        tol=0, random_state=np.random.RandomState(4),
    )  # fmt: skip
    rows, strength, stream = with_ones(X, False), 1 / (C * weight.sum()), np.random.RandomState(4)
    w, curve = w.copy(), []
    for _ in range(2):
        order = stream.permutation(60) if shuffle else np.arange(60)
        loss, penalty = 0.0, 0.5 * strength * w @ w
        for start in range(0, 60, batch):
            some = order[start : start + batch]
            z = rows[some] @ w + b
            loss += weight[some] @ (np.logaddexp(0, z) - y[some] * z)
            error = weight[some] * (y[some] - expit(z))
            w += eta * (error @ rows[some] - weight[some].sum() * strength * w) / len(some)
            b += eta * error.sum() / len(some)
        curve.append(loss / weight.sum() + penalty)
    np.testing.assert_allclose(result.loss_curve, curve, rtol=1e-12)
    np.testing.assert_allclose(theta_of(result), [*w, b], rtol=1e-12)
    assert [(eta, min(batch, 60))] * 2 == [seen[1:] for seen in batches]


def test_given_learning_rate_and_batch_size_are_kept(batches):
    result = solved("sgd", random_data(), learning_rate=0.05, shuffle=False, max_iter=500, tol=1e-3)
    assert result.converged
    assert {(eta, batch) for _, eta, batch in batches} == {(0.05, 1)}
    assert 5 < result.n_iter == len(result.loss_curve) < 500
    curve = np.array(result.loss_curve)
    assert np.all(curve[-5:] >= np.minimum.accumulate(curve)[-6:-1] - 1e-3)  # no improvement in 5


@pytest.mark.parametrize("solver", SOLVERS)
def test_solvers_do_not_change_the_start(solver):
    start = np.array([1.0, -1.0, 0.5])
    start.flags.writeable = False
    solved(solver, random_data(), start=start, max_iter=2, random_state=np.random.RandomState(0))
    np.testing.assert_array_equal(start, [1.0, -1.0, 0.5])
