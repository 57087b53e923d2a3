"""``python -m benchmarks``: run the comparison and report it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks import report
from benchmarks.problems import QUICK
from benchmarks.runner import run


def main() -> None:
    """Parse the command line, run, print the tables and write the picture."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare BCENeuronClassifier with LogisticRegression and SGDClassifier.",
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed fits of each (default 5)")
    parser.add_argument(
        "--limit", type=float, default=1.0, help="seconds a fit may take (default 1)"
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmarks/results"),
        help="folder for the picture (default benchmarks/results)",
    )
    options = parser.parse_args()
    if options.repeats < 1:
        parser.error(f"--repeats is {options.repeats}; it must be at least 1")
    print(report.preamble())
    outcomes = []
    for outcome in run(QUICK, repeats=options.repeats, limit=options.limit, progress=show_progress):
        show_progress("")
        print(f"\n{report.table(outcome)}", flush=True)
        outcomes.append(outcome)
    print(f"\n{report.summary(outcomes)}")
    path = options.output / "distance_against_time.png"
    if report.picture(outcomes, path):
        print(f"\nPicture: {path}")
    else:
        print("\nNo picture: matplotlib is not installed.")


def show_progress(message: str) -> None:
    """Show what is going on, on a line of its own that the next message replaces."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{message}", end="", file=sys.stderr, flush=True)
    elif message and "timing" not in message:
        print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
