"""Data made on demand, the same every time: each function takes sizes and returns X and y."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def different_units(n_samples: int = 5000, n_features: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations from 2e-3 to 6e4, off-centre, correlated, noisy."""
    rng = np.random.default_rng(0)
    mixing = np.eye(n_features) + 0.3 * rng.standard_normal((n_features, n_features))
    Z = rng.standard_normal((n_samples, n_features)) @ mixing
    z = Z @ rng.standard_normal(n_features) / np.sqrt(n_features)
    y = (z + 2 * rng.logistic(size=n_samples) > 0).astype(np.int64)
    units = rng.permutation(np.geomspace(2e-3, 6e4, n_features))
    return (Z + rng.uniform(-20, 20, n_features)) * units, y


def gaussian(
    n_samples: int,
    n_features: int,
    *,
    mixing: float = 0.0,
    noise: float = 1.0,
    positives: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Return standard columns, independent unless mixed at random, and a fraction of positives."""
    rng = np.random.default_rng(1)
    X = rng.standard_normal((n_samples, n_features))
    if mixing:
        X = X @ (np.eye(n_features) + mixing * rng.standard_normal((n_features, n_features)))
        X /= X.std(axis=0)
    return X, _labels(X @ _unit(rng, n_features), noise, positives, rng)


def correlated(
    n_samples: int,
    n_features: int,
    *,
    condition: float,
    units: float = 1.0,
    noise: float = 0.5,
) -> tuple[np.ndarray, np.ndarray]:
    """Return columns mixed to a condition number, in units from 1/units to units."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((n_samples, n_features))
    rank = min(n_samples, n_features, 500)  # of the directions that are scaled apart
    Q, _ = np.linalg.qr(rng.standard_normal((n_features, rank)))
    X += (X @ Q * (np.geomspace(np.sqrt(condition), 1 / np.sqrt(condition), rank) - 1)) @ Q.T
    y = _labels(X @ _unit(rng, n_features), noise, 0.5, rng)
    return X * rng.permutation(np.geomspace(1 / units, units, n_features)), y


def identifiers(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of deviation 1 , one of numbers near 1e12, and one in units of 1e-3."""
    X, y = gaussian(n_samples, n_features)
    X[:, 0] = np.round(1e12 + 1e5 * X[:, 0])
    X[:, 1] *= 1e-3
    return X, y


def rare_dummy(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of which the last is 1 for five samples, all of class 1: they separate."""
    X, y = gaussian(n_samples, n_features)
    X[:, -1] = np.arange(n_samples) < 5
    y[:5] = 1
    return X, y


def intervals(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return columns of which the first two are start and end of minutes, in epoch seconds."""
    X, y = gaussian(n_samples, n_features)
    minutes = np.round(30 + 10 * X[:, 1])
    X[:, 0] = np.round(1.7e9 + 1e7 * X[:, 0])
    X[:, 1] = X[:, 0] + minutes
    return X, y


def heavy_tails(n_samples: int, n_features: int) -> tuple[np.ndarray, np.ndarray]:
    """Return log-normal columns, such as amounts of money: most small, some enormous."""
    rng = np.random.default_rng(3)
    Z = rng.standard_normal((n_samples, n_features))
    y = _labels(Z @ _unit(rng, n_features), 0.7, 0.3, rng)
    return np.round(np.exp(1.5 * Z + rng.uniform(0, 5, n_features)), 2), y


def one_hot(
    n_samples: int, levels: tuple[int, ...] = (2, 3, 5, 8, 13, 30, 60, 120, 250, 400)
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return categorical columns as indicators (CSR), the levels' frequencies by Zipf's law."""
    rng = np.random.default_rng(4)
    offsets = np.cumsum((0, *levels))
    codes = [
        offset + rng.choice(count, n_samples, p=_zipf(count))
        for offset, count in zip(offsets, levels, strict=False)
    ]
    columns = np.stack(codes, axis=1).ravel().astype(np.int32)
    rows = np.arange(0, columns.size + 1, len(levels), dtype=np.int32)
    X = sparse.csr_matrix((np.ones(columns.size), columns, rows), (n_samples, int(offsets[-1])))
    return X, _labels(X @ rng.standard_normal(X.shape[1]), 2.0, 0.25, rng)


def hashed_clicks(
    n_samples: int, n_features: int, *, values: int = 30, positives: float = 0.1
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return rows of ``values`` tokens, hashed into n_features columns (CSR), and few positives.

    The frequencies of the tokens are about those of Zipf's law. Tokens of a row that hash into one
    column add up. Indices and index pointers are int64, as those of scikit-learn's FeatureHasher.
    """
    rng = np.random.default_rng(6)
    # ⌊exp(u·log(N + 1))⌋ is k with probability log(1 + 1/k)/log(N + 1)
    uniform = rng.random(n_samples * values)
    token = np.exp(uniform * np.log(n_features + 1)).astype(np.int64) - 1
    columns = rng.integers(n_features, size=n_features)[np.minimum(token, n_features - 1)]
    rows = np.arange(0, columns.size + 1, values)
    X = sparse.csr_matrix((np.ones(columns.size), columns, rows), (n_samples, n_features))
    X.sum_duplicates()
    X.indices, X.indptr = X.indices.astype(np.int64), X.indptr.astype(np.int64)
    w = rng.standard_normal(n_features) / np.sqrt(values)
    return X, _labels(X @ w, 1.0, positives, rng)


def text(
    n_samples: int, n_features: int, *, words: int = 80
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return tf-idf rows of unit length (CSR) of documents of Zipf-distributed words.

    Every word occurs; the label depends on about a fiftieth of the words.
    """
    rng = np.random.default_rng(5)
    drawn = rng.choice(n_features, (n_samples, words), p=_zipf(n_features)).ravel()
    row = np.concatenate(
        [np.repeat(np.arange(n_samples), words), rng.integers(n_samples, size=n_features)]
    )
    column = np.concatenate([drawn, np.arange(n_features)])
    X = sparse.csr_matrix((np.ones(row.size), (row, column)), (n_samples, n_features))
    X.sum_duplicates()
    documents = np.bincount(X.indices, minlength=n_features)
    X.data = (1 + np.log(X.data)) * (1 + np.log(n_samples / documents))[X.indices]
    lengths = np.sqrt(np.asarray(X.multiply(X).sum(axis=1))).ravel()
    X.data /= np.repeat(lengths, np.diff(X.indptr))
    w = rng.standard_normal(n_features) * (rng.random(n_features) < 0.02)
    z = X @ w
    return X, _labels(z / z.std(), 0.5, 0.5, rng)


def _labels(z: np.ndarray, noise: float, positives: float, rng: np.random.Generator) -> np.ndarray:
    """Return 1 for the given fraction of samples, those of the largest noisy linear output."""
    noisy = z + noise * rng.logistic(size=len(z))
    return (noisy > np.quantile(noisy, 1 - positives)).astype(np.int64)


def _unit(rng: np.random.Generator, n_features: int) -> np.ndarray:
    """Return weights that give standard columns a linear output of variance one."""
    return rng.standard_normal(n_features) / np.sqrt(n_features)


def _zipf(count: int) -> np.ndarray:
    frequencies = 1 / np.arange(1, count + 1)
    return frequencies / frequencies.sum()
