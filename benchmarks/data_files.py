"""Data of the user's own: every ``.npz`` with X and y, and every svmlight file, of a folder."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.datasets import load_svmlight_file

from benchmarks.problems import Problem

SVMLIGHT = {".svm", ".svmlight", ".libsvm"}
PACKED = {".gz", ".bz2"}
OFF_SCALE = 10.0  # a column whose standard deviation is this far from 1 calls for scaling


def problems_of(folder: Path) -> list[Problem]:
    """Return the problems of a folder's files, in the order of their names.

    An ``.npz`` whose numeric columns are off scale gives two: raw, and with those columns
    standardised. Raises ValueError if there is no usable file.
    """
    found = []
    for path in sorted(folder.iterdir()):
        name = path.name.split(".")[0]
        if path.suffix == ".npz" and _has_X_and_y(path):
            load = partial(read_npz, path)
            off_scale = _off_scale(load()[0])
            found.append(Problem(f"{name}, raw" if off_scale else name, load))
            if off_scale:
                scaled = Problem(f"{name}, scaled", partial(_standardised, load))
                found.append(scaled)
        elif _is_svmlight(path):
            found.append(Problem(name, partial(read_svmlight, path)))
    if not found:
        raise ValueError("The data folder has no .npz with X and y and no svmlight file (.svm).")
    return found


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return X as float64 in C order and y in {0, 1}."""
    with np.load(path, allow_pickle=False) as arrays:
        return np.ascontiguousarray(arrays["X"], dtype=np.float64), binary(arrays["y"], path.name)


def read_svmlight(path: Path) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return X as CSR with float64 values and 32-bit indices, and y in {0, 1}."""
    X, y = load_svmlight_file(str(path))
    X = sparse.csr_matrix(X, dtype=np.float64)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X, binary(y, path.name)


def binary(y: np.ndarray, name: str) -> np.ndarray:
    """Return 1 for the larger of the two labels and 0 for the other."""
    labels = np.unique(y)
    if len(labels) != 2:
        raise ValueError(f"{name} has {len(labels)} different labels in y; it must have 2.")
    return (y == labels[1]).astype(np.int64)


def _has_X_and_y(path: Path) -> bool:
    with np.load(path, allow_pickle=False) as arrays:
        return {"X", "y"} <= set(arrays.files)


def _is_svmlight(path: Path) -> bool:
    suffixes = path.suffixes[:-1] if path.suffix in PACKED else path.suffixes
    return bool(suffixes) and suffixes[-1] in SVMLIGHT


def _numeric(X: np.ndarray) -> np.ndarray:
    """Return a mask of the columns that are no indicators: they have more than two values."""
    return np.array([len(np.unique(column)) > 2 for column in X.T])


def _off_scale(X: np.ndarray) -> bool:
    deviations = X[:, _numeric(X)].std(axis=0)
    return bool(((deviations > OFF_SCALE) | (deviations < 1 / OFF_SCALE)).any())


def _standardised(load: Any) -> tuple[np.ndarray, np.ndarray]:
    X, y = load()
    numeric = _numeric(X)
    X[:, numeric] -= X[:, numeric].mean(axis=0)
    X[:, numeric] /= X[:, numeric].std(axis=0)
    return X, y
