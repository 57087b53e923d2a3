"""Sums over rows, compiled and in NumPy, dense and sparse, against plain NumPy."""

import math

import numpy as np
import pytest
import scipy.sparse as sp
from covering import pairwise
from scipy.special import expit

from sklearn_bce._kernels import COMPILED, csr, dense, reference
from sklearn_bce._objective import rows as rows_module
from sklearn_bce._objective.rows import rows_of

LAYOUTS = ["C", "F", "strided", "csr-int32", "csr-int64"]
SHAPES = {  # a chunk of the dense loops is 2¹⁸ bytes, and eight rows at least
    "several chunks": (5000, 17),
    "part of a chunk": (40, 3),
    "one value": (1, 1),
    "chunks of eight rows": (30, 5000),
    "30 x 700": (30, 700),
}
SMALL_GRAM = ["several chunks", "part of a chunk", "one value", "30 x 700"]
ANY = [shape for shape in SHAPES if shape != "30 x 700"]
DTYPES = [np.float64, np.float32]
# Every loop with every layout, and each of these with any dtype, and with any shape.
LOOPS = [f"{kernels} {layout}" for kernels in ("compiled", "NumPy") for layout in LAYOUTS]
every_loop = pytest.mark.parametrize(*pairwise(loop=LOOPS, shape=ANY, dtype=DTYPES))


@pytest.fixture
def kernels(loop, monkeypatch):
    """Choose the kernels that `rows` uses: compiled, or the NumPy reference."""
    module = COMPILED if loop.startswith("compiled") else reference
    monkeypatch.setattr(rows_module, "kernels", lambda: module)
    return module


@pytest.fixture
def layout(loop):
    return loop.split()[1]


@pytest.fixture
def data(shape, dtype, layout):
    """Return X as a float64 array, X in the layout, sample weights and feature weights."""
    n_samples, n_features = shape = SHAPES[shape]
    rng = np.random.default_rng(n_features)
    X = rng.standard_normal(shape).astype(dtype)
    if layout.startswith("csr"):
        X *= rng.random(X.shape) < 0.3
        X[n_samples // 2 :: 7] = 0.0  # rows without a stored value
        csr, index = sp.csr_array(X), layout.removeprefix("csr-")
        # A slice of a longer matrix, without its first two rows.
        first = rng.standard_normal((2, n_features)).astype(dtype)
        csr = sp.vstack([sp.csr_array(first), csr]).tocsr()
        csr.indices, csr.indptr = csr.indices.astype(index), csr.indptr.astype(index)
        rows = rows_of(csr, slice(2, None))
    else:
        stored = {"C": X, "F": np.asfortranarray(X), "strided": np.repeat(X, 2, axis=0)[::2]}[
            layout
        ]
        if layout == "strided":
            stored = np.repeat(stored, 2, axis=1)[:, ::2]
        rows = rows_of(stored, slice(None))
    v = rng.standard_normal(n_features).astype(dtype)
    v = v.astype(np.float64) if layout.startswith("csr") else v  # the dtype that the kernels take
    weight = rng.random(n_samples)
    weight[::5] = 0.0
    return X.astype(np.float64), rows, weight, v


def _assert_close(got, expected, dtype, terms):
    """Compare to the rounding of a sum of ``terms`` terms of the size of the expected values."""
    tol = 1e-13 if dtype is np.float64 else 1e-6
    scale = np.max(np.abs(expected), initial=1.0) * math.sqrt(terms)
    np.testing.assert_allclose(got, expected, rtol=tol, atol=tol * scale)


def _sums(X, weight):
    return np.append(X.T @ weight, weight.sum())


@every_loop
@pytest.mark.usefixtures("kernels")
def test_outputs_are_x_w_plus_b(data, dtype):
    X, rows, _, v = data
    z = np.full(len(X), np.nan)
    rows.outputs(v, 0.75, z)
    _assert_close(z, X @ v + 0.75, dtype, X.shape[1])


@every_loop
@pytest.mark.usefixtures("kernels")
def test_weighted_sums_of_rows_are_added_to_what_is_there(data, dtype):
    X, rows, weight, _ = data
    sums = np.ones(X.shape[1] + 1)
    rows.add_sums(weight, sums)
    _assert_close(sums, 1 + _sums(X, weight), dtype, len(X))


@every_loop
@pytest.mark.usefixtures("kernels")
def test_product_is_the_outputs_and_their_weighted_sum_of_rows(data, dtype):
    X, rows, weight, v = data
    z, sums = np.full(len(X), np.nan), np.ones(X.shape[1] + 1)
    rows.add_product(v, -0.5, weight, z, sums)
    _assert_close(z, X @ v - 0.5, dtype, X.shape[1])
    _assert_close(sums, 1 + _sums(X, weight * (X @ v - 0.5)), dtype, len(X) * X.shape[1])


@every_loop
@pytest.mark.usefixtures("kernels")
def test_sums_of_squares(data, dtype):
    X, rows, weight, _ = data
    first, second = np.ones((2, X.shape[1] + 1))
    rows.add_squares(weight, first, second)
    _assert_close(first, 1 + _sums(X, weight), dtype, len(X))
    _assert_close(second, 1 + _sums(X**2, weight), dtype, len(X))


@every_loop
def test_sums_of_squares_about_an_origin(kernels, data, dtype, layout):
    X, rows, weight, origin = data
    origin = origin.astype(np.float64)
    stored = X.astype(dtype) if layout.startswith("csr") else rows.outputs.args[0]
    first, second = np.ones((2, X.shape[1] + 1))
    rows_of(stored, origin=origin).add_squares(weight, first, second)
    _assert_close(first, 1 + _sums(X - origin, weight), dtype, len(X))
    _assert_close(second, 1 + _sums((X - origin) ** 2, weight), dtype, len(X))


@pytest.mark.parametrize("module", [COMPILED, reference])
@pytest.mark.parametrize(*pairwise(shape=ANY, dtype=DTYPES))
def test_standardised_is_x_minus_shift_by_scale_and_leaves_the_last_column(module, shape, dtype):
    n_samples, n_features = shape = SHAPES[shape]
    rng = np.random.default_rng(n_features)
    X, shift = rng.standard_normal(shape).astype(dtype), rng.standard_normal(n_features)
    Z = np.full((n_samples, n_features + 1), np.nan, dtype=dtype)
    shift, scale = shift.astype(dtype), np.linspace(0.5, 3, n_features).astype(dtype)
    module.standardise(X, shift, scale, Z)
    X, shift, scale = (array.astype(np.float64) for array in (X, shift, scale))
    np.testing.assert_allclose(Z[:, :-1], (X - shift) / scale, rtol=1e-6, atol=1e-6)
    assert np.isnan(Z[:, -1]).all()


SUBSETS = {
    "all": lambda n_features: np.arange(n_features),
    "every third": lambda n_features: np.arange(0, n_features, 3),
    "the last": lambda n_features: np.array([n_features - 1]),
    "all but the first": lambda n_features: np.arange(1, n_features),  # none, of a single one
}


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(*pairwise(loop=LOOPS, shape=SMALL_GRAM, dtype=DTYPES, subset=SUBSETS))
def test_gram_of_some_columns_and_a_column_of_ones(data, subset):
    """The diagonal and the entries below are compared; those above are not defined."""
    X, rows, weight, _ = data
    columns = SUBSETS[subset](X.shape[1])
    Z = np.column_stack([X[:, columns], np.ones(len(X))])
    gram = np.tril(np.ones((len(columns) + 1, len(columns) + 1)))
    rows.add_gram(weight, columns, gram)
    expected = 1 + Z.T @ (Z * weight[:, np.newaxis])
    _assert_close(np.tril(gram), np.tril(expected), np.float64, len(X))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(*pairwise(loop=LOOPS, shape=SMALL_GRAM, dtype=DTYPES, subset=SUBSETS))
def test_norms_of_the_images_of_rows(data, subset):
    X, rows, _, _ = data
    columns = SUBSETS[subset](X.shape[1])
    n = len(columns)
    rng = np.random.default_rng(n)
    root, constant = np.triu(rng.standard_normal((n, n + 1))), rng.standard_normal(n + 1)
    norms = np.full(len(X), np.nan)
    rows.set_norms(root, constant, columns, norms)
    expected = np.linalg.norm(X[:, columns] @ root + constant, axis=1)
    _assert_close(norms, expected, np.float64, n + 1)


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize(
    *pairwise(
        loop=LOOPS,
        shape=ANY,
        dtype=DTYPES,
        spread=[0.1, 3.0, 300.0],
        outputs=["given", "computed", "computed with an offset"],
        uniform=[False, True],
    )
)
def test_loss_its_derivatives_and_their_sums(data, dtype, outputs, uniform, spread):
    """There are so many samples that the sum of the losses takes several logarithms."""
    X, rows, weight, v = data
    n_samples = len(X)
    rng = np.random.default_rng(0)
    y = rng.choice([0.0, 0.3, 1.0], n_samples)
    v = (v * spread / math.sqrt(len(v))).astype(dtype).astype(v.dtype)
    if uniform:
        weight = np.broadcast_to(0.25, n_samples)
    known, offset = outputs == "given", None
    exact = np.linspace(-2, 2, n_samples) * spread if known else X @ v + 0.5
    if outputs == "computed with an offset":
        offset = rng.standard_normal(n_samples)
        exact = exact + offset
    z = exact.copy() if known else np.full(n_samples, np.nan)
    slope, curvature = np.empty((2, n_samples))
    sums = np.ones(X.shape[1] + 1)
    total = rows.add_loss(v, 0.5, known, y, weight, z, slope, curvature, sums, offset)
    if known:
        np.testing.assert_array_equal(z, exact)
    else:
        _assert_close(z, exact, dtype, X.shape[1])
    a = expit(z)  # of the outputs that were found
    assert total == pytest.approx(math.fsum(weight * (np.logaddexp(0, z) - y * z)), rel=1e-12)
    np.testing.assert_allclose(slope, weight * (a - y), rtol=0, atol=1e-15)
    np.testing.assert_allclose(curvature, weight * a * expit(-z), rtol=1e-13, atol=1e-300)
    _assert_close(sums, 1 + _sums(X, slope), dtype, n_samples)


@pytest.mark.parametrize("n_rows", [1, 255, 256, 600])
@pytest.mark.parametrize("n_columns", [1, 2, 3, 6, 7, 8, 30, 78, 79, 80, 81])
def test_gram_of_any_number_of_columns_leaves_the_upper_triangle_alone(n_columns, n_rows):
    """Up to 80 columns, with the ones, are summed by tiles of 4×8, and more by BLAS."""
    rng = np.random.default_rng(n_columns)
    X, weight = rng.standard_normal((n_rows, n_columns)), rng.random(n_rows)
    gram = np.full((n_columns + 1, n_columns + 1), np.nan)
    lower = np.tril_indices_from(gram)
    gram[lower] = 1.0
    dense.dense_gram(X, weight, np.arange(n_columns), gram)
    v = np.c_[X, np.ones(n_rows)]
    np.testing.assert_allclose(
        gram[lower], (1 + (v * weight[:, None]).T @ v)[lower], rtol=0, atol=1e-12
    )
    assert np.isnan(gram[np.triu_indices_from(gram, 1)]).all()


@pytest.mark.parametrize("module", [COMPILED, reference])
def test_centred_gram_is_the_gram_matrix_of_standardised_columns(module):
    rng = np.random.default_rng(1)
    X, weight = rng.standard_normal((50, 4)) + 3, rng.random(50)
    shift, scale = np.array([3.0, 2.5, 0.0, -1.0]), np.array([1.0, 1e-3, 40.0, 2.0])
    sums = np.zeros((5, 5))
    sums[:4, :4] = np.tril(X.T @ (X * weight[:, np.newaxis]))
    sums[4] = _sums(X, weight)
    module.centred_gram(sums, shift, scale)
    Z = np.column_stack([(X - shift) / scale, np.ones(50)])
    np.testing.assert_allclose(sums, Z.T @ (Z * weight[:, np.newaxis]), rtol=1e-12)


@pytest.mark.parametrize("module", [COMPILED, reference])
@pytest.mark.parametrize("length", [0.0, 0.7, 1e4])
def test_ray_pass_is_the_first_and_second_derivative_along_a_ray(module, length):
    rng = np.random.default_rng(0)
    y, z, along, weight = rng.random(600), *rng.standard_normal((2, 600)), rng.random(600)
    first, second = module.ray_pass(y, z, along, weight, length)
    at = z + length * along
    assert first == pytest.approx(math.fsum(weight * (expit(at) - y) * along), rel=1e-12)
    assert second == pytest.approx(
        math.fsum(weight * expit(at) * expit(-at) * along**2), rel=1e-12, abs=1e-300
    )


@pytest.mark.parametrize("module", [COMPILED, reference])
@pytest.mark.parametrize("weight", [np.broadcast_to(0.5, 600), np.linspace(0, 2, 600)])
def test_loss_of_outputs_is_the_sum_of_all_losses(module, weight):
    rng = np.random.default_rng(0)
    y, z = rng.random(600), 10 * rng.standard_normal(600)
    losses = np.log1p(np.exp(-np.abs(z))) + np.maximum(z, 0) - y * z
    assert module.loss_of_outputs(y, z, weight) == pytest.approx(math.fsum(weight * losses), 1e-14)


def test_rows_are_not_copied():
    X = np.arange(12.0).reshape(4, 3)
    for whole in (X, np.asfortranarray(X)):
        rows = rows_of(whole, slice(1, 3))
        assert np.shares_memory(rows.outputs.args[0], whole)
    csr = sp.csr_array(X)
    rows = rows_of(csr, slice(1, 3))
    data, indices, _ = rows.outputs.args
    assert data is csr.data
    assert indices is csr.indices


def test_every_loop_over_rows_is_tested_here():
    compiled = {name for module in (dense, csr) for name in vars(module)}
    public = {name for name in compiled if not name.startswith("_")}
    assert public == {
        *(f"dense_{name}" for name in ("outputs", "sums", "product", "loss", "squares", "gram")),
        *(f"csr_{name}" for name in ("outputs", "sums", "product", "loss", "squares", "gram")),
        "csr_norms",
        "standardise",
        "centred_gram",
        "ray_pass",
        "loss_of_outputs",
    }
