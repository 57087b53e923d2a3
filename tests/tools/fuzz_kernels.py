"""Random calls of the public API, best with kernels that are built with a sanitiser.

    python tests/tools/fuzz_kernels.py --seconds 300 --seed 0
    python tests/tools/fuzz_kernels.py --malformed --seconds 60

A call may succeed, or raise an exception that says what is wrong with the data. All else is a
finding: a process that dies or does not end, any other exception, an estimator that an error has
changed, weights that are not finite. Each seed draws one to three calls of one estimator, which run
in a separate process; ``--only SEED`` repeats them in the main process.

For the sanitiser, in a copy of the tree that stands first on PYTHONPATH::

    export CFLAGS="-fsanitize=address -g -O1 -fno-omit-frame-pointer"
    pip install --no-deps --target SOMEWHERE .
    export LD_PRELOAD=$(gcc -print-file-name=libasan.so)
    export ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 PYTHONPATH=SOMEWHERE
"""

import argparse
import faulthandler
import os
import pickle
import sys
import time
import traceback
import warnings
from collections import Counter

import numpy as np
import scipy.sparse as sp

from sklearn_bce import BCENeuronClassifier, l1_min_c

SIZES = [2, 3, 4, 5, 7, 8, 31, 64, 65, 130, 300]
WIDTHS = [1, 2, 3, 4, 5, 8, 63, 64, 65, 130]
LARGE = [
    (5000, 3),
    (20_000, 12),
    (30, 3000),
    (1000, 400),
    (300, 5000),
]  # sizes for which newton takes other paths
DTYPES = [np.float64, np.float64, np.float32, np.float32, np.float16, np.int8, np.int64, bool]

HANGS = 60  # seconds after which a call counts as one that does not end
# Parts of the messages that a call on valid data may raise, for instance where samples are too few.
NOT_ENOUGH = (
    "0 sample(s)",
    "0 feature(s)",
    "minimum of",
    "only one class",
    "needs samples of 2 classes",
    "both classes",
    "leaves no weight",
    "leave no weight",
    "at least one non-zero",
    "No feature is correlated",
    "offset is missing",  # predictions and chunks need one if the fit had one
    "offset is given",
    "least populated class",
    "should be greater or equal to the number of classes",
    "the resulting train set will be empty",
    "features, but",
    "are not among the classes",
    "contains infinity",
    "contains NaN",
    "overflow",
    "too large",
    "classes must be passed",
    "The type of the target",
    "The sum of sample_weight is inf",
)


def one_of(rng, values):
    return values[rng.integers(len(values))]


# --- valid data ---


def dense(rng, X):
    """Return X as an array of a random dtype and order, or as a view of another array."""
    kind = one_of(rng, ["C", "F", "strided", "negative", "read-only", "transposed", "column"])
    if kind == "F":
        return np.asfortranarray(X)
    if kind == "strided":
        holder = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
        holder[::2, ::3] = X
        return holder[::2, ::3]
    if kind == "negative":
        return X[::-1, ::-1].copy()[::-1, ::-1]
    if kind == "read-only":
        X = X.copy()
        X.flags.writeable = False
    if kind == "transposed":
        return X.T.copy().T
    if kind == "column":  # a column of a wider array
        holder = np.zeros((X.shape[0], X.shape[1] + 2), X.dtype)
        holder[:, 1:-1] = X
        return holder[:, 1:-1]
    return X


def sparse(rng, X):
    """Return X as a sparse matrix of a random format, with indices of 32 or 64 bits."""
    form = one_of(rng, ["csr", "csr", "csr", "csr", "csc", "coo", "lil", "bsr"])
    matrix = sp.csr_array(X) if rng.random() < 0.5 else sp.csr_matrix(X)
    index = one_of(rng, [np.int32, np.int64])
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    if form != "csr":
        return matrix.asformat(form) if X.size else matrix
    kind = one_of(rng, ["canonical", "unsorted", "duplicates", "explicit zeros", "strided"])
    if kind == "unsorted":
        order = np.lexsort((rng.random(matrix.nnz), np.repeat(*rows_of(matrix))))
        matrix.data, matrix.indices = matrix.data[order], matrix.indices[order]
    if kind == "duplicates":
        matrix.data = np.repeat(matrix.data, 2) / 2
        matrix.indices, matrix.indptr = np.repeat(matrix.indices, 2), 2 * matrix.indptr
    if kind == "explicit zeros":
        matrix.data = matrix.data * (rng.random(matrix.nnz) < 0.5)
    if kind == "strided":
        matrix.data, matrix.indices = (np.repeat(a, 2)[::2] for a in (matrix.data, matrix.indices))
    return type(matrix)((matrix.data, matrix.indices, matrix.indptr), shape=X.shape)


def rows_of(matrix):
    return np.arange(matrix.shape[0]), np.diff(matrix.indptr)


def samples(rng, shape=None, poison=True):
    """Return X, y and weights; y holds 0 and 1, strings, or soft targets."""
    n, p = shape or (one_of(rng, SIZES), one_of(rng, WIDTHS))
    if rng.random() < 0.02:
        n, p = one_of(rng, [(0, p), (1, p), (n, 0), (0, 0)])
    X = rng.normal(size=(n, p)) * (rng.random((n, p)) < rng.choice([0.02, 0.3, 1.0]))
    X = X * 10.0 ** rng.choice([0, 0, 0, rng.integers(-30, 30)]) + rng.choice([0, 0, 0, 1e3, 1e8])
    z = X[:, 0] / (np.abs(X[:, 0]).max(initial=0) or 1) if p else np.zeros(n)
    y = (z + rng.choice([0.0, 0.3, 3.0]) * rng.normal(size=n) > 0).astype(float)
    if n > 1 and rng.random() < 0.9:
        y[:2] = 0.0, 1.0
    with np.errstate(all="ignore"):
        X = X.astype(one_of(rng, DTYPES))
    if poison and X.size and X.dtype.kind == "f" and rng.random() < 0.05:
        X.flat[rng.integers(X.size)] = rng.choice([np.nan, np.inf, -np.inf])
    weight = one_of(
        rng,
        [
            None,
            None,
            rng.random(n),
            (rng.random(n) < 0.5).astype(float),
            rng.integers(0, 4, n),
            np.repeat(10.0 ** rng.integers(-300, 300), n),
        ],
    )
    given = (
        sparse if X.dtype.kind in "fb" and X.dtype != np.float16 and rng.random() < 0.5 else dense
    )
    return given(rng, X), y, weight


def parameters(rng):
    return {
        "C": one_of(rng, [1e-12, 1e-3, 1.0, 1.0, 1e6, np.inf]),
        "l1_ratio": one_of(rng, [0.0, 0.0, 0.5, 1.0]),
        "fit_intercept": bool(rng.random() < 0.7),
        "class_weight": one_of(rng, [None, None, "balanced", {0: 2.0, 1: 0.5}]),
        "solver": one_of(rng, ["auto", "newton", "newton", "gd", "sgd", "sgd"]),
        "learning_rate": one_of(rng, ["auto", "auto", 1e-3, 0.5, 10.0, 1e300]),
        "batch_size": int(one_of(rng, [1, 1, 2, 7, 100_000])),
        "shuffle": bool(rng.random() < 0.7),
        "max_iter": int(one_of(rng, [1, 2, 5, 30])),
        "tol": one_of(rng, [0.0, 1e-6, 1e-14]),
        "early_stopping": bool(rng.random() < 0.2),
        "validation_fraction": one_of(rng, [0.1, 0.5]),
        "n_iter_no_change": int(one_of(rng, [1, 5])),
        "soft_targets": bool(rng.random() < 0.2),
        "warm_start": bool(rng.random() < 0.3),
        "random_state": int(rng.integers(1000)),
    }


# --- invalid sparse matrices: SciPy does not check them by itself ---


def malformed(rng, X):
    """Return CSR or CSC with an index or a row start that is out of range."""
    kind = one_of(rng, [sp.csr_array, sp.csr_matrix, sp.csc_array])
    matrix = kind(X)
    index = one_of(rng, [np.int32, np.int64])
    matrix.indices, matrix.indptr = matrix.indices.astype(index), matrix.indptr.astype(index)
    if not matrix.nnz:
        return matrix
    far = [-1, -(2**31), 2**31 - 1, -1000, 1000, 10**6, matrix.shape[kind is not sp.csc_array]]
    flaw = one_of(rng, ["index", "indices", "start", "end", "short", "types", "lengths"])
    if flaw == "index":
        matrix.indices[rng.integers(matrix.nnz)] = one_of(rng, far)
    if flaw == "indices":
        matrix.indices[:] = rng.integers(-(2**31), 2**31 - 1, matrix.nnz)
    if flaw == "start":
        matrix.indptr[rng.integers(len(matrix.indptr))] = one_of(rng, far)
    if flaw == "end":
        matrix.indptr[-1] = one_of(rng, far)
    if flaw == "short":
        matrix.indptr = matrix.indptr[: rng.integers(len(matrix.indptr))]
    if flaw == "types":
        matrix.indptr = matrix.indptr.astype(np.int64 if index is np.int32 else np.int32)
    if flaw == "lengths":
        matrix.indices = matrix.indices[: rng.integers(matrix.nnz)]
    return matrix


# --- calls ---


def labelled(y, neuron, rng):
    if neuron.soft_targets:
        return np.clip(y * 0.8 + 0.1 * rng.random(len(y)), 0, 1)
    return y


def call(seed, is_malformed):
    """Make the calls of a seed; return what was called, and how it ended."""
    rng = np.random.default_rng(seed)
    neuron = BCENeuronClassifier(**parameters(rng))
    shape = one_of(rng, LARGE) if rng.random() < 0.03 else None
    n_calls, done = int(rng.integers(1, 4)), []
    for _ in range(n_calls):
        X, y, weight = samples(rng, shape)
        if shape is None and rng.random() < 0.8:  # as many features as before
            shape = X.shape
        if is_malformed and sp.issparse(X):
            X = malformed(rng, X.toarray())
        y = labelled(y, neuron, rng)
        done.append(outcome(neuron, X, y, weight, rng, is_malformed))
    return done


def outcome(neuron, X, y, weight, rng, is_malformed):
    """Make one call; return its name and what it raised."""
    names = ["fit", "fit", "fit", "fit_val", "l1_min_c"]
    if (neuron.solver in {"auto", "sgd"} and not neuron.early_stopping) or rng.random() < 0.02:
        names += ["partial_fit"] * 3
    if hasattr(neuron, "coef_") or rng.random() < 0.02:
        names += ["predict"]
    name, n = one_of(rng, names), X.shape[0]
    offset = one_of(rng, [None, None, None, 3, rng.normal(size=n), 30 * rng.normal(size=n)])
    if name in {"partial_fit", "predict"} and rng.random() < 0.9:
        offset = 0 if getattr(neuron, "has_offset_", False) else None
    before = pickle.dumps(neuron)
    try:
        if name == "fit":
            p = X.shape[1]
            start = {"coef_init": rng.normal(size=p)} if rng.random() < 0.2 else {}
            neuron.fit(X, y, weight, offset=offset, **start)
        elif name == "fit_val":
            held_out = {"X_val": X, "y_val": y, "sample_weight_val": weight, "offset_val": offset}
            neuron.fit(X, y, weight, offset=offset, **held_out)
        elif name == "partial_fit":
            soft = neuron.soft_targets
            neuron.partial_fit(X, y, None if soft else [0, 1], weight, offset)
        elif name == "predict":
            probability = neuron.predict_proba(X, offset)
            assert np.all((probability >= 0) & (probability <= 1)), "no probability"
        else:
            given = {"sample_weight": weight, "offset": offset}
            assert l1_min_c(X, y, soft_targets=neuron.soft_targets, **given) > 0
    except (ValueError, TypeError, AttributeError) as error:
        assert pickle.dumps(neuron) == before, "an estimator that an error has changed"
        known = isinstance(error, AttributeError) and name in {"partial_fit", "predict"}
        known |= type(error).__name__ in {"NotFittedError", "InvalidParameterError"}
        known |= any(words in str(error) for words in NOT_ENOUGH)
        known |= name == "partial_fit" and "support" in str(error)
        known |= is_malformed and isinstance(error, ValueError)
        if not known:
            raise
        return name, type(error).__name__, str(error).split("\n")[0][:40]
    if hasattr(neuron, "coef_"):
        assert np.isfinite(neuron.coef_).all(), "weights that are no numbers"
        assert np.isfinite(neuron.intercept_).all(), "an intercept that is no number"
    return name, "done"


# --- the run ---


def in_child(seed, is_malformed):
    """Make the calls of a seed in a new process; return its output, or how it ended."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        status = 1
        faulthandler.dump_traceback_later(HANGS, exit=True)
        try:
            done = call(seed, is_malformed)
            os.write(write, "\n".join(" ".join(each) for each in done).encode())
            status = 0
        except BaseException:
            os.write(write, traceback.format_exc(limit=-3).encode()[-4000:])
        finally:
            os._exit(status)
    os.close(write)
    with os.fdopen(read) as pipe:
        said = pipe.read()
    _, status = os.waitpid(child, 0)
    return said, status


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int)
    parser.add_argument("--malformed", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    if options.only is not None:
        print(call(options.only, options.malformed))
        return 0
    ends, findings, seed, stop = Counter(), Counter(), options.seed, time.time() + options.seconds
    while time.time() < stop:
        said, status = in_child(seed, options.malformed)
        if status == 0:
            ends.update(said.split("\n"))
        else:
            last = said.strip().split("\n")[-1][:120]
            kind = f"status {status}: {last}"
            findings[kind] += 1
            if findings[kind] <= 3:
                print(f"--- seed {seed}: {kind}\n{said}", flush=True)
        seed += 1
    print(f"seeds {options.seed}..{seed - 1}; {sum(ends.values())} calls without a finding:")
    for end, count in ends.most_common():
        print(f"{count:8d}  {end}")
    print(f"{sum(findings.values())} findings")
    for kind, count in findings.most_common():
        print(f"{count:8d}  {kind}")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
