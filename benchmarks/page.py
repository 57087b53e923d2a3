"""Tables of records in Markdown: ``python -m benchmarks.page RECORD.json ...``.

A record is what ``python -m benchmarks`` writes. A cell is the time of the fastest other package
that solved the problem, as a multiple of the neuron's, and the name of that package; in bold if it
is faster than the neuron. A dash means that no other solved it; where the neuron did not, the cell
says so, also in bold.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.problems import VARIATIONS
from benchmarks.report import geometric_mean

KINDS = [each.name for each in VARIATIONS]


def whole(entry: dict[str, Any]) -> float:
    """Return the seconds of a whole fit, the conversion of X included."""
    return entry["seconds"] + entry["timed"][-1]["preparation"]


def training(entry: dict[str, Any]) -> float:
    """Return the seconds of the training alone."""
    return entry["seconds"]


def fastest(problem: dict[str, Any], seconds: Callable[[dict], float]) -> tuple[float, str] | None:
    """Return the fastest other, as a multiple of the neuron's time, and its name.

    None if no other solved the problem, or the neuron did not.
    """
    neuron, *others = problem["tuned"]
    solved = [each for each in others if each["solved"]]
    if not solved or not neuron["solved"]:
        return None
    best = min(solved, key=seconds)
    return seconds(best) / seconds(neuron), best["competitor"]


def cell(problem: dict[str, Any], seconds: Callable[[dict], float]) -> str:
    """Return the text of a cell."""
    if not problem["tuned"][0]["solved"]:
        return "**not solved**"
    found = fastest(problem, seconds)
    if found is None:
        return "–"
    text = f"{found[0]:.2f} {found[1]}"
    return f"**{text}**" if found[0] < 1 else text


def title(problem: dict[str, Any]) -> str:
    """Return the problem's name, the shape of X, and whether the data are real or generated."""
    shape = f"{problem['n_samples']}×{problem['n_features']}"
    return f"{problem['name']} ({shape}, {problem['origin']})"


def duration(seconds: float) -> str:
    """Return the text of a time."""
    return f"{1e3 * seconds:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def lines_of(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return ["| " + " | ".join(line) + " |" for line in lines]


def means(problems: Sequence[dict[str, Any]]) -> str:
    """Return a line with the geometric means and the smallest ratio of the rows that have one."""
    compared = [each for each in problems if fastest(each, whole) is not None]
    words = []
    for name, seconds in (("whole fit", whole), ("training alone", training)):
        ratios = [fastest(each, seconds)[0] for each in compared]
        words.append(f"{name} {geometric_mean(ratios):.2f}, at least {min(ratios):.2f}")
    return f"Geometric mean of {len(compared)} of {len(problems)} rows: {'; '.join(words)}."


def by_problem(problems: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table with a row for each problem."""
    rows = [
        [
            title(problem),
            duration(problem["tuned"][0]["seconds"]),
            cell(problem, whole),
            cell(problem, training),
        ]
        for problem in problems
    ]
    return lines_of(["", "neuron", "fastest other, whole fit", "its training alone"], rows)


def by_kind(problems: Sequence[dict[str, Any]]) -> list[str]:
    """Return a table of whole fits with a column for each kind of the suite "variations"."""
    table: dict[str, dict[str, str]] = {}
    kinds = []
    for problem in problems:
        name, _, kind = problem["name"].rpartition(", ")
        if kind not in KINDS:
            C = problem["C"]
            name, kind = problem["name"], "C=inf" if C is None else f"C={C:g}"
        if kind not in kinds:
            kinds.append(kind)
        row = table.setdefault(title(problem | {"name": name}), {})
        row[kind] = cell(problem, whole)
    rows = [[name, *(row.get(kind, "–") for kind in kinds)] for name, row in table.items()]
    return lines_of(["", *kinds], rows)


def page(record: dict[str, Any]) -> str:
    """Return the tables of a record."""
    start, options, problems = record["environment"], record["options"], record["problems"]
    versions = [f"{name} {version}" for name, version in start["versions"].items() if version]
    lines = [
        f"{start['cpu']}, {start['usable_cores']} cores; {', '.join(versions)}. "
        f"Others: {', '.join(options['peers'])}; {options['repeats']} timed fits of each; given up "
        f"after {options['limit']:g} s a fit.",
        "",
    ]
    if options["suite"] == "variations":
        for with_l1 in (False, True):
            some = [each for each in problems if bool(each["l1_ratio"]) is with_l1]
            if some:
                lines += [*by_kind(some), "", means(some), ""]
    else:
        lines += [*by_problem(problems), "", means(problems), ""]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables of the records on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.page", description=__doc__)
    parser.add_argument("record", nargs="+", type=Path, help="a file that the benchmarks wrote")
    for path in parser.parse_args(arguments).record:
        print(page(json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
