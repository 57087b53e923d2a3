"""What a fit by Dask costs as the data grow: ``python -m benchmarks.growth``.

1, 4, 16 and 64 times as many chunks of the same size, on a cluster of two processes, with
dask-ml's LogisticRegression beside it where that is installed, up to 16, and a fit in one process.
"""

from __future__ import annotations

import argparse
import json
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster, wait

from benchmarks.judge import objective
from sklearn_bce import BCENeuronClassifier
from sklearn_bce._estimator.dask_blocks import Blocks
from sklearn_bce.dask import DaskBCENeuronClassifier

ROWS, FEATURES = 25_000, 50  # of a chunk: 10 MB
TIMES = (1, 4, 16, 64)
REPEATS = 3
MOST_CHUNKS_OF_DASK_ML = 16  # some minutes


def chunk(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the samples of a chunk, of correlated columns in different units."""
    shared = np.random.default_rng(0)
    mixing = np.eye(FEATURES) + 0.3 * shared.standard_normal((FEATURES, FEATURES))
    weights = shared.standard_normal(FEATURES) / np.sqrt(FEATURES)
    rng = np.random.default_rng([1, number])
    Z = rng.standard_normal((ROWS, FEATURES))
    y = Z @ weights > rng.logistic(size=ROWS)
    return Z @ mixing * np.geomspace(0.1, 10, FEATURES), y.astype(np.int64)


def collection(n_chunks: int) -> tuple[da.Array, da.Array]:
    """Return X and y, each chunk made and kept on a worker."""

    def part(which: int, block_info: Any = None) -> np.ndarray:
        return chunk(block_info[None]["chunk-location"][0])[which]

    rows = (ROWS,) * n_chunks
    X = da.map_blocks(part, 0, chunks=(rows, (FEATURES,)), dtype=float, meta=np.empty((0, 0)))
    y = da.map_blocks(part, 1, chunks=(rows,), dtype=np.int64, meta=np.empty(0, dtype=np.int64))
    return X.persist(), y.persist()


@contextmanager
def counted() -> Iterator[list[int]]:
    """Yield a list to which the bytes of the result of each reduction are added."""
    sizes: list[int] = []
    plain = Blocks.sum

    def counting(self: Blocks, *arguments: Any) -> Any:
        result = plain(self, *arguments)
        sizes.append(len(pickle.dumps(result)))
        return result

    Blocks.sum = counting
    try:
        yield sizes
    finally:
        Blocks.sum = plain


def received(dask_worker: Any = None) -> int:
    """Return the number of bytes that a worker has received from others."""
    return sum(transfer["total"] for transfer in dask_worker.transfer_incoming_log)


def moved(client: Client) -> int:
    """Return the number of bytes that the workers have received from each other."""
    return sum(client.run(received).values())


def median_time(fit: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Return the seconds of a fit, the median of several, and what the last one returned."""
    seconds, fitted = [], None
    for _ in range(repeats):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            fitted = fit()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds)), fitted


def measure(client: Client, n_chunks: int) -> dict[str, Any]:
    """Return time, passes, traffic and accuracy of fits to a number of chunks."""
    X, y = collection(n_chunks)
    wait([X, y])
    before = moved(client)
    with counted() as sizes:
        seconds, neuron = median_time(lambda: DaskBCENeuronClassifier(random_state=0).fit(X, y))
    between = (moved(client) - before) / REPEATS
    passes = int(neuron.n_passes_)
    X_here, y_here = (
        np.concatenate(part) for part in zip(*map(chunk, range(n_chunks)), strict=True)
    )
    here, local = median_time(lambda: BCENeuronClassifier(random_state=0).fit(X_here, y_here))

    def above(w: np.ndarray, b: float) -> float:
        return objective(X_here, y_here, w, b, 1.0) - least

    best = BCENeuronClassifier(tol=1e-14, random_state=0).fit(X_here, y_here)
    least = objective(X_here, y_here, best.coef_[0], best.intercept_[0], 1.0)
    row = {
        "chunks": n_chunks,
        "rows": n_chunks * ROWS,
        "passes": passes,
        "bytes_read": passes * X.nbytes,
        "summary_bytes": sizes[0],
        "bytes_of_a_pass": max(sizes[1:passes]),
        "bytes_between_workers": between,
        "seconds": seconds,
        "above_minimum": above(neuron.coef_[0], neuron.intercept_[0]),
        "in_process_seconds": here,
        "in_process_above_minimum": above(local.coef_[0], local.intercept_[0]),
    }
    if find_spec("dask_ml") and n_chunks <= MOST_CHUNKS_OF_DASK_ML:
        row |= dask_ml(X, y, above)
    return row


def dask_ml(X: da.Array, y: da.Array, above: Callable[..., float]) -> dict[str, Any]:
    """Return what dask-ml's LogisticRegression costs, measured once: a fit takes up to a minute."""
    from dask_ml.linear_model import LogisticRegression

    model = LogisticRegression(solver="lbfgs", C=1.0, tol=1e-6)
    seconds, model = median_time(lambda: model.fit(X, y), repeats=1)
    distance = above(model.coef_, model.intercept_)
    return {"dask_ml_seconds": seconds, "dask_ml_above_minimum": distance}


def text(rows: list[dict[str, Any]]) -> str:
    """Return the measurements as a table."""
    lines = [
        f"Chunks of {ROWS}×{FEATURES}, a cluster of 2 processes; medians of {REPEATS} fits",
        "read: of X, by all passes; summary, a pass: result; workers: traffic between them, a fit",
        f"{'chunks':>6} {'rows':>9} {'passes':>6} {'read':>8} {'summary':>8} {'a pass':>8}"
        f" {'workers':>8}"
        f" {'time':>7} {'above min':>9}   {'in process':>10} {'above min':>9}"
        f"   {'dask-ml':>8} {'above min':>9}",
    ]
    for row in rows:
        other = "–"
        if "dask_ml_seconds" in row:
            other = f"{row['dask_ml_seconds']:6.2f} s {row['dask_ml_above_minimum']:9.1e}"
        lines.append(
            f"{row['chunks']:6} {row['rows']:9} {row['passes']:6} {row['bytes_read'] / 1e6:5.0f} MB"
            f" {row['summary_bytes'] / 1e3:5.0f} kB {row['bytes_of_a_pass'] / 1e3:5.1f} kB"
            f" {row['bytes_between_workers'] / 1e6:5.1f} MB"
            f" {row['seconds']:5.2f} s {row['above_minimum']:9.1e}"
            f"   {row['in_process_seconds']:8.2f} s {row['in_process_above_minimum']:9.1e}"
            f"   {other}"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print the table, and write it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("--times", type=int, nargs="+", default=TIMES, help="numbers of chunks")
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/growth.json"))
    options = parser.parse_args()
    cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster) as client:
        rows = [measure(client, n_chunks) for n_chunks in options.times]
    print(text(rows))
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
