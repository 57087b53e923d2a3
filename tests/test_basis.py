"""Coordinates in which the curvature at one point is the identity, against exact arithmetic."""

from fractions import Fraction

import mpmath as mp
import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.linalg import qr
from scipy.special import expit
from small_data import in_parts, naming, objective, random_data, with_ones

from sklearn_bce._objective.basis import LOST_PIVOT, Basis
from sklearn_bce._objective.root import curvature_root, root_of_blocks, triangular_root
from sklearn_bce._objective.scaling import Coordinates

EPSILON = np.finfo(np.float64).eps


def basis_of_rows(rows, l2=0.0):
    """Return the basis of the curvature AᵀA of rows A, without an intercept of its own."""
    size = rows.shape[1]
    root = root_of_blocks(np.array_split(rows, 7), size).R
    return Basis.of(Coordinates.of_user(size, False), root, np.full(size, l2))


# ----- columns that depend on others --------------------------------------------------------------


def pivots(rows):
    """Return the pivots of the rows with columns of norm 1, in units of size·ε."""
    root = root_of_blocks(np.array_split(rows, 7), rows.shape[1]).R
    R, _ = qr(root / np.linalg.norm(root, axis=0), mode="r", pivoting=True)
    return np.abs(np.diagonal(R)) / (rows.shape[1] * EPSILON)


def dependent_columns(n, n_levels, seed):
    """Return columns whose rank is known, each with the rank."""
    rng = np.random.default_rng(seed)
    level = rng.permutation(np.arange(n) % n_levels)
    dummies, ones = np.eye(n_levels)[level], np.ones((n, 1))
    others = np.eye(3)[rng.permutation(np.arange(n) % 3)]
    normal = rng.normal(size=(n, n_levels))
    units = rng.uniform(0.1, 100, n_levels)
    standard = (dummies - dummies.mean(axis=0)) / dummies.std(axis=0)
    return {
        "one-hot and intercept": (np.hstack([dummies, ones]), n_levels),
        "two one-hot and intercept": (np.hstack([dummies, others, ones]), n_levels + 2),
        "one-hot in units and intercept": (np.hstack([dummies * units, ones]), n_levels),
        "standardised one-hot": (standard, n_levels - 1),
        "copies": (np.hstack([normal, normal]), n_levels),
        "copies in units": (np.hstack([normal, normal * units]), n_levels),
    }


@pytest.mark.parametrize("n", [60, 3000])
@pytest.mark.parametrize("n_levels", [3, 10, 20])
def test_columns_that_depend_are_lost(n_levels, n):
    """Pivots of dependent columns are rounding; those of columns with noise of 1e-12 are not."""
    for seed in range(4):
        rng = np.random.default_rng(100 + seed)
        weight = np.sqrt(rng.uniform(1e-3, 0.25, (n, 1)))
        for name, (columns, rank) in dependent_columns(n, n_levels, seed).items():
            with naming(name):
                found = pivots(weight * columns)
                assert found[rank - 1] > 1e10
                assert found[rank] < 2.0 < LOST_PIVOT / 4
                assert basis_of_rows(weight * columns).rank == rank
                noisy = columns.copy()
                noisy[:, 0] += 1e-12 * np.max(columns[:, 0]) * rng.normal(size=n)
                found = pivots(weight * noisy)
                if columns.shape[1] <= 11:
                    assert found[rank] > 2 * LOST_PIVOT
                    assert basis_of_rows(weight * noisy).rank == rank + 1


# ----- coordinates --------------------------------------------------------------------------------


def at_a_point(C=1.0, sparse=False, copy=False):
    """Return F in some coordinates, θ, and the basis of the curvature at θ."""
    X, y, weight = random_data(80, 5, 3, sparse=sparse)
    if copy:  # the last column depends on two others, all in different units
        X[:, 4] = 2 * X[:, 0] - 4 * X[:, 1]
    coordinates = Coordinates(np.linspace(-1, 1, 5), 2.0 ** np.arange(-2, 3), True)
    problem = objective((X, y, weight), C).in_coordinates(coordinates)
    theta = np.array([0.4, -0.8, 0.2, 1.5, -0.3, 0.6])
    (root,) = problem.sum_over_parts(curvature_root, theta)
    l2 = problem.penalty.curvature_diagonal(5)
    return problem, theta, Basis.of(coordinates, root.R, l2)


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize(
    ("C", "copy"), [(1.0, False), (1.0, True), (np.inf, False), (np.inf, True)]
)
def test_in_a_basis_the_curvature_is_the_identity_and_the_penalty_diagonal(C, copy, sparse):
    problem, theta, basis = at_a_point(C, sparse, copy and not sparse)
    rank = 5 if np.isinf(C) and copy and not sparse else 6
    assert basis.rank == rank
    user = problem.coordinates.to_user(theta)
    X = with_ones(problem.X)
    a = expit(X @ np.append(*user))
    p = problem.sample_weight / problem.sample_weight.sum()
    shifted = X.copy()
    shifted[:, :5] = (X[:, :5] - problem.coordinates.shift) / problem.coordinates.scale
    strengths = 1 / (C * problem.sample_weight.sum() * problem.coordinates.scale**2)
    penalty = np.diag(np.append(strengths, 0.0))
    hessian = shifted.T @ (shifted * (p * a * (1 - a))[:, None]) + penalty
    B = basis.matrix
    assert_allclose(B.T @ hessian @ B, np.eye(rank), atol=1e-12)
    assert_allclose(B.T @ penalty @ B, np.diag(basis.strengths), atol=1e-12)
    other = problem.in_basis(basis)
    v = basis.from_theta(theta)
    point, there = problem.evaluate(theta), other.evaluate(v, hessian=True)
    assert_allclose(there.hessian, np.eye(rank), atol=1e-12)
    assert_allclose(there.z, point.z, atol=1e-13)
    assert_allclose(there.z, X @ np.append(*user), atol=1e-13)
    assert_allclose(there.value, problem.value_at(basis.to_theta(v)), rtol=1e-14)
    assert_allclose(there.gradient, B.T @ point.gradient, atol=1e-13)


@pytest.mark.parametrize("C", [1.0, np.inf])
def test_both_directions_of_the_coordinates_are_inverse(C):
    _, theta, basis = at_a_point(C)
    v = np.linspace(-2, 3, 6)
    assert_allclose(basis.from_theta(basis.to_theta(v)), v, atol=1e-13)
    assert_allclose(basis.to_theta(basis.from_theta(theta)), theta, atol=1e-13)
    _, _, basis = at_a_point(np.inf, copy=True)
    assert_allclose(basis.from_theta(basis.to_theta(v[:5])), v[:5], atol=1e-12)


@pytest.mark.parametrize("lost", [1, 3])
def test_kernel_changes_no_output_and_the_weights_are_the_least(lost):
    """Without a penalty the weights have the least norm; with one, the least penalty."""
    rng = np.random.default_rng(0)
    free = rng.normal(size=(50, 4))
    rows = np.hstack([free, free @ rng.integers(-3, 4, (4, lost))]) * 2.0 ** np.arange(4 + lost)
    basis = basis_of_rows(rows)
    assert basis.kernel.vectors.shape == (4 + lost, lost)
    size = np.abs(rows) @ np.abs(basis.kernel.vectors)
    assert np.max(np.abs(rows @ basis.kernel.vectors) / size) < 1e-14
    theta = rng.normal(size=4 + lost)
    assert_allclose(rows @ basis.matrix @ basis.from_theta(theta), rows @ theta, atol=1e-11)
    expected = np.linalg.pinv(rows) @ (rows @ theta)
    assert_allclose(basis.to_theta(basis.from_theta(theta)), expected, atol=1e-11)
    # A penalty so small that it is lost beside the columns.
    l2 = 1e-40 * 4.0 ** -np.arange(4 + lost)
    root = triangular_root(rows).R
    basis = Basis.of(Coordinates.of_user(4 + lost, False), root, l2)
    assert basis.rank == 4
    unit = np.sqrt(l2 / l2[0])
    expected = np.linalg.pinv(rows / unit) @ (rows @ theta) / unit
    assert_allclose(basis.to_theta(basis.from_theta(theta)), expected, atol=1e-11)


# ----- precision ----------------------------------------------------------------------------------


def exact_decrement(rows, slope):
    """Return (Aᵀr)ᵀ(AᵀA)⁻¹(Aᵀr) of rows A and a vector r, in 60 digits, from exact sums."""
    exact = [[Fraction(x) for x in row] for row in rows]
    r, size = [Fraction(x) for x in slope], rows.shape[1]

    def sums(column):
        return [sum(row[i] * x for row, x in zip(exact, column, strict=True)) for i in range(size)]

    with mp.workdps(60):
        gram = [sums([row[j] for row in exact]) for j in range(size)]
        gram = mp.matrix([[mp.mpf(x.numerator) / x.denominator for x in row] for row in gram])
        g = mp.matrix([mp.mpf(x.numerator) / x.denominator for x in sums(r)])
        return float((g.T * mp.lu_solve(gram, g))[0])


@pytest.mark.parametrize("seed", range(10))
def test_weights_of_copies_have_the_least_penalty_beside_columns_of_other_units(seed):
    """Rounding in the kernel, times a λ that is 1e40 times as large, is not negligible."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(12, 5)) @ (np.eye(5) + rng.normal(size=(5, 5)))
    rows = np.column_stack([rows[:, 0], rows])
    l2 = np.array([1e-32, 1e-32, 25.0, 0.4, 1e8, 6.0])
    root = root_of_blocks([rows], 6).R
    basis = Basis.of(Coordinates.of_user(6, False), root, l2)
    theta = np.array([20.0, 19.0, -0.1, 0.5, 1e-4, 0.3])
    found = basis.to_theta(basis.from_theta(theta))
    assert_allclose(rows @ found, rows @ theta, atol=1e-10)
    assert_allclose(found, [19.5, 19.5, *theta[2:]], rtol=1e-6)


@pytest.mark.parametrize("difference", [1e-6, 1e-8, 1e-10, 1e-11])
def test_nearly_dependent_columns_keep_the_precision_that_a_matrix_loses(difference):
    """The squared decrement, with a slope along the difference of two columns."""
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(60, 3))
    rows[:, 2] = rows[:, 0] + difference * rng.normal(size=60)
    along = rows[:, 2] - rows[:, 0]  # exact (Sterbenz)
    slope = along / np.linalg.norm(along) + 0.1 * rng.normal(size=60)
    expected = exact_decrement(rows, slope)
    basis = basis_of_rows(rows)
    found = float(np.sum(np.square((rows @ basis.matrix).T @ slope)))
    assert found == pytest.approx(expected, rel=20 * EPSILON / difference)
    gram, g = rows.T @ rows, rows.T @ slope
    from_gram = float(g @ np.linalg.lstsq(gram, g, rcond=None)[0])
    assert abs(from_gram / expected - 1) > min(0.5, EPSILON / difference**2 / 1000)


@pytest.mark.parametrize("size", [1e15, 1e30, 1e100])
def test_small_rows_keep_their_digits_beside_a_large_one_in_any_order(size):
    """What is left of the small rows, once a multiple of the large one is subtracted from each."""
    rng = np.random.default_rng(2)
    small, large = rng.normal(size=(30, 4)), np.array([[2.0, -0.7, 1.1, 0.3]])
    left = small[:, 1:] - small[:, :1] * (large[:, 1:] / 2)
    expected = np.abs(triangular_root(left).R)
    for place in (0, 13, 30):
        rows = np.insert(small, place, size * large, axis=0)
        assert_allclose(np.abs(triangular_root(rows).R[1:, 1:]), expected, rtol=1e-12)
        R = root_of_blocks(np.array_split(rows, 5), 4).R
        assert_allclose(np.abs(R[1:, 1:]), expected, rtol=1e-12)


@pytest.mark.parametrize("sparse", [False, True])
def test_roots_of_parts_add_up_to_that_of_all_samples(sparse):
    problem, theta, basis = at_a_point(sparse=sparse)
    parts = in_parts(problem)
    (one,) = problem.sum_over_parts(curvature_root, theta)
    (several,) = parts.sum_over_parts(curvature_root, theta)
    hessian = problem.evaluate(theta, hessian=True).hessian
    l2 = np.diag(basis.l2)
    for root in (one, several):
        assert_allclose(root.R.T @ root.R + l2, hessian, atol=1e-14)
    v = basis.from_theta(theta)
    here, there = problem.in_basis(basis).evaluate(v), parts.in_basis(basis).evaluate(v)
    assert_allclose(there.value, here.value, rtol=1e-14)
    assert_allclose(there.gradient, here.gradient, atol=1e-14)
