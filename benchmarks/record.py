"""The record of a run as JSON: the machine, the versions, and every fit."""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from benchmarks.fits import TARGET, Entry, Fit
from benchmarks.runner import Outcome

PACKAGES = (
    "sklearn-bce",
    "scikit-learn",
    "numpy",
    "scipy",
    "scikit-learn-intelex",
    "celer",
    "glum",
    "tabmat",
    "liblinear-official",
    "skglm",
    "numba",
    "snapml",
    "threadpoolctl",
)


def environment() -> dict[str, Any]:
    """Return what times depend on besides the code; to be called before any measurement."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"python": platform.python_version(), **_versions()},
        "system": platform.system(),
        "machine": platform.machine(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "load_average": os.getloadavg() if hasattr(os, "getloadavg") else None,
        "thread_variables": {k: v for k, v in os.environ.items() if k.endswith("_NUM_THREADS")},
        # without the paths of the libraries
        "threadpools": [
            {key: value for key, value in pool.items() if key != "filepath"}
            for pool in threadpool_info()
        ],
    }


def describe(outcome: Outcome) -> dict[str, Any]:
    """Return everything that was measured on a problem."""
    return {
        "name": outcome.problem.name,
        "n_samples": outcome.shape[0],
        "n_features": outcome.shape[1],
        "C": outcome.problem.C,
        "l1_ratio": outcome.problem.l1_ratio,
        "origin": outcome.problem.origin,
        "minimum": outcome.minimum,
        "minimum_error_at_most": outcome.gap,
        "tuned": [_entry(outcome, entry) for entry in outcome.tuned],
        "defaults": [_entry(outcome, entry) for entry in outcome.defaults],
        "scores": {name: each._asdict() for name, each in outcome.scores.items()},
    }


def write(
    path: Path,
    start: dict[str, Any],
    options: dict[str, Any],
    outcomes: Sequence[Outcome],
    figures: dict[str, Any],
) -> None:
    """Write the record; infinities and NaN become null."""
    record = {
        "environment": start,
        "options": options,
        "target": TARGET,
        "problems": [describe(outcome) for outcome in outcomes],
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_plain(record), indent=1, allow_nan=False, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


def _entry(outcome: Outcome, entry: Entry) -> dict[str, Any]:
    return {
        "competitor": entry.competitor.name,
        "solved": outcome.solved(entry),
        "seconds": entry.seconds,
        "distance": outcome.distance(entry),
        "gave_up": entry.gave_up,
        "parameters": entry.fits[-1].parameters,
        "timed": [_fit(outcome, fit) for fit in entry.fits],
        "tried": [_fit(outcome, fit) for fit in entry.tried],
    }


def _fit(outcome: Outcome, fit: Fit) -> dict[str, Any]:
    return {**vars(fit), "distance": fit.objective - outcome.minimum}


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            versions[package] = None
    return versions


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor()


def _plain(value: Any) -> Any:
    """Return a value as JSON can represent it."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, bool | int | str | None) else repr(value)
