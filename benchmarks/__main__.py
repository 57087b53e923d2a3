"""``python -m benchmarks``: run the comparison and report it."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any

from benchmarks import (
    cross_validation,
    device,
    inference,
    memory,
    passes,
    plots,
    raising,
    record,
    report,
    samples,
)
from benchmarks.competitors import PEERS, SKLEARN, SPARSE_PEERS, Competitor, chosen
from benchmarks.data_files import problems_of
from benchmarks.problems import SUITES, Problem, sparse
from benchmarks.runner import Outcome, run

# Seconds of a fit.
LIMITS = {
    "quick": 4.0,
    "full": 20.0,
    "l1": 10.0,
    "variations": 10.0,
    "cv": 2.0,
    "inference": 2.0,
}
# Suites with a table of their own.
TABLES = {"cv": cross_validation, "inference": inference}

MOST_PANELS = 60  # problems in a picture


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Return the options; `peers` are competitors and `problems` are problems, not their names.

    `sparse_peers` are those of the problems with an L1 norm.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Compare BCENeuronClassifier with other solvers of the same problem.",
    )
    parser.add_argument(
        "--suite",
        choices=[*SUITES, "device"],
        default="quick",
        help="which problems (default quick); device is the table of fits on a GPU, or on the "
        "processor by torch",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="DIR",
        help="folder of further problems: .npz files with X and y, svmlight files (.svm, .svm.gz), "
        "such as those of python -m benchmarks.public_data DIR",
    )
    parser.add_argument(
        "--peers",
        nargs="+",
        metavar="NAME",
        help="solvers to compare with, of " + ", ".join(peer.name for peer in PEERS) + "; default: "
        "scikit-learn's for quick, all that are installed for the others",
    )
    parser.add_argument(
        "--problems",
        nargs="+",
        metavar="WORD",
        help="only problems with one of these in their name",
    )
    parser.add_argument(
        "--figures",
        action=argparse.BooleanOptionalAction,
        help="passes, float32, per-sample updates, memory, raised max_iter (default: with full)",
    )
    parser.add_argument("--repeats", type=int, default=5, help="timed fits of each (default 5)")
    parser.add_argument(
        "--limit",
        type=float,
        help="seconds a fit may take (default 4 for quick, 20 for full, 2 for cv and inference, "
        "from which on it is not repeated, 10 for the others)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmarks/results"),
        help="folder for pictures and record (default benchmarks/results)",
    )
    options = parser.parse_args(arguments)
    if options.repeats < 1:
        parser.error(f"--repeats is {options.repeats}; it must be at least 1")
    if options.suite == "device":
        return options
    if options.limit is None:
        options.limit = LIMITS[options.suite]
    if not options.limit > 0:
        parser.error(f"--limit is {options.limit}; it must be above 0")
    if options.figures and options.suite in {"l1", *TABLES}:
        parser.error(f"--figures is of the L2 penalty; leave it out with --suite {options.suite}")
    if options.figures is None:
        options.figures = options.suite == "full"
    try:
        options.peers, options.sparse_peers = peers_of(options)
        options.problems = problems_wanted(options)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    return options


def peers_of(options: argparse.Namespace) -> tuple[list[Competitor], list[Competitor]]:
    """Return the competitors that the options ask for, without and with an L1 norm."""
    smooth, with_norm = {"l1": ([], SPARSE_PEERS), "variations": (PEERS, SPARSE_PEERS)}.get(
        options.suite, (PEERS, [])
    )
    if options.peers is not None:
        names = [name for word in options.peers for name in word.split(",") if name]
        found = chosen(names, smooth + with_norm)
    elif options.suite == "quick":
        found = SKLEARN
    else:
        found = [peer for peer in smooth + with_norm if peer.installed]
    wanted = {peer.name for peer in found}
    return tuple([peer for peer in some if peer.name in wanted] for some in (smooth, with_norm))


def problems_wanted(options: argparse.Namespace) -> list[Problem]:
    """Return the problems that the options ask for."""
    found = problems_of(options.data) if options.data else []
    if options.suite == "l1":  # raw columns have no common strength of the penalty
        found = sparse([problem for problem in found if not problem.name.endswith("raw")])
    problems = SUITES[options.suite] + found
    if options.problems is not None:
        problems = [p for p in problems if any(word in p.name for word in options.problems)]
        if not problems:
            raise ValueError("--problems matches no problem")
    return problems


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line, run, print the tables, write the pictures and the record."""
    options = parse(arguments)
    if options.suite == "device":
        device.run_in_child(options.repeats, options.problems)
        return
    start = record.environment()
    begun = time.perf_counter()
    if options.suite in TABLES:
        table = TABLES[options.suite]
        print(report.preamble([], options.limit, start))
        found = table.measure(options.problems, options.repeats, options.limit, show_progress)
        show_progress("")
        print(f"\n{table.text(found)}")
        return
    peers = list({each.name: each for each in options.peers + options.sparse_peers}.values())
    print(report.preamble(peers, options.limit, start))
    outcomes = []
    how = {"repeats": options.repeats, "limit": options.limit, "progress": show_progress}
    smooth = [problem for problem in options.problems if not problem.l1_ratio]
    others = [problem for problem in options.problems if problem.l1_ratio]
    for outcome in chain(
        run(smooth, options.peers, **how), run(others, options.sparse_peers, **how)
    ):
        show_progress("")
        print(f"\n{report.table(outcome)}", flush=True)
        if outcome.scores:
            print(report.scores_table(outcome), flush=True)
        outcomes.append(outcome)
    for text_of in (report.ratio_table, report.summary, report.defaults_table):
        print(f"\n{text_of(outcomes)}", flush=True)
    figures = measure_figures(outcomes, options.limit) if options.figures else {}
    draw(outcomes, options.output)
    path = options.output / f"{options.suite}.json"
    settings = {name: getattr(options, name) for name in ("suite", "repeats", "limit")}
    settings["peers"] = [peer.name for peer in peers]
    seconds = time.perf_counter() - begun
    record.write(path, start, settings | {"seconds": seconds}, outcomes, figures)
    print(f"Record: {path}\nAltogether {seconds:.0f} s")


def measure_figures(outcomes: list[Outcome], limit: float) -> dict[str, Any]:
    """Measure and print passes, float32, per-sample updates, memory and raised max_iter."""
    figures = {}
    for module, measured in (
        (raising, lambda: raising.measure(outcomes, 3 * limit, show_progress)),
        (passes, lambda: passes.measure(outcomes, show_progress)),
        (samples, lambda: samples.measure(show_progress)),
        (memory, lambda: memory.measure(show_progress)),
    ):
        result = measured()
        show_progress("")
        print(f"\n{module.text(result)}", flush=True)
        figures[module.__name__.split(".")[-1]] = result
    return figures


def draw(outcomes: list[Outcome], folder: Path) -> None:
    """Write the pictures if matplotlib is installed, and the problems fit into one."""
    if len(outcomes) > MOST_PANELS:
        print(f"\nNo pictures: there are more than {MOST_PANELS} problems.")
        return
    if find_spec("matplotlib") is None:
        print("\nNo pictures: matplotlib is not installed.")
        return
    distance, profile = folder / "distance_against_time.png", folder / "performance_profile.png"
    plots.distance_against_time(outcomes, distance)
    plots.profile(outcomes, profile)
    print(f"\nPictures: {distance}, {profile}")


def show_progress(message: str) -> None:
    """Show a message about the progress, on a line that the next message replaces."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{message}", end="", file=sys.stderr, flush=True)
    elif message and "timing" not in message:
        print(message, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
