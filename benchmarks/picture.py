"""The picture of the README: ``python -m benchmarks.picture RECORD.json FOLDER``.

A record is what ``python -m benchmarks --suite full`` writes. The picture has a row for each
problem, and in it a dot for each package that came within the target of the minimum: its time of a
whole fit, the conversion of X included, as a multiple of the neuron's. A package without a dot did
not come within the target in the time that the run allowed. FOLDER gets the picture twice, for
light and for dark pages.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.page import fastest, title, whole
from benchmarks.report import geometric_mean


class Theme(NamedTuple):
    """Colours of a page: its background, text, faint lines, the other packages, the fastest."""

    page: str
    text: str
    faint: str
    others: str
    fastest: str


# Backgrounds and text are those of GitHub's pages.
THEMES = {
    "light": Theme("#ffffff", "#1f2328", "#d1d9e0", "#9aa4af", "#0969da"),
    "dark": Theme("#0d1117", "#f0f6fc", "#3d444d", "#7d8590", "#58a6ff"),
}
MOST = 1000.0  # times the neuron's time, where the axis ends; what is slower is drawn there


def ratios(problem: dict[str, Any]) -> dict[str, float]:
    """Return the whole time of each other that solved the problem, in times of the neuron's."""
    neuron, *others = problem["tuned"]
    solved = [each for each in others if each["solved"]]
    return {each["competitor"]: whole(each) / whole(neuron) for each in solved}


def draw(record: dict[str, Any], theme: Theme, path: Path) -> None:
    """Draw a record in the colours of a page."""
    from matplotlib.figure import Figure

    problems = [each for each in record["problems"] if each["tuned"][0]["solved"]]
    figure = Figure(
        figsize=(9.5, 0.29 * len(problems) + 1.5), layout="constrained", facecolor=theme.page
    )
    axes = figure.add_subplot(facecolor=theme.page)
    for row, problem in enumerate(problems):
        found = ratios(problem)
        axes.plot(
            [min(ratio, MOST) for ratio in found.values()],
            [row] * len(found),
            "o",
            color=theme.others,
            markersize=4,
            clip_on=False,
        )
        first = fastest(problem, whole)
        if first is not None:
            axes.plot(min(first[0], MOST), row, "o", color=theme.fastest, markersize=6)
            label = f"{first[0]:.1f} {first[1]}" if first[0] < 10 else f"{first[0]:.0f} {first[1]}"
            axes.text(MOST * 1.15, row, label, color=theme.fastest, va="center", fontsize=8)
    axes.axvline(1, color=theme.text, linewidth=1.2)
    axes.set_xscale("log")
    axes.set_xlim(0.4, MOST)
    axes.set_ylim(len(problems) - 0.4, -0.6)
    axes.set_xticks([0.5, 1, 2, 5, 10, 100, MOST], ["0.5", "1", "2", "5", "10", "100", "1000"])
    axes.minorticks_off()
    axes.set_yticks(range(len(problems)), [title(each) for each in problems], fontsize=8)
    axes.grid(axis="x", color=theme.faint, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.text, length=0, labelsize=8)
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlabel(
        f"time to within {record['target']:g} nats of the minimum, as a multiple of "
        "BCENeuronClassifier's",
        color=theme.text,
        fontsize=9,
    )
    figure.suptitle(heading(problems), color=theme.text, fontsize=9.5, x=0.01, ha="left")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, facecolor=theme.page)


def heading(problems: Sequence[dict[str, Any]]) -> str:
    """Return the title: what a dot and the names are, and the mean of the fastest others."""
    first = [fastest(each, whole) for each in problems]
    mean = geometric_mean([each[0] for each in first if each is not None])
    return (
        "Grey: other packages and solvers of LogisticRegression, each at its best settings. "
        "Blue: the fastest of them.\n"
        f"Right of the line: slower than BCENeuronClassifier. The fastest other takes {mean:.1f} "
        "times as long (geometric mean)."
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the record on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.picture", description=__doc__)
    parser.add_argument("record", type=Path, help="a file that the benchmarks wrote")
    parser.add_argument("folder", type=Path, help="folder of the pictures")
    options = parser.parse_args(arguments)
    record = json.loads(options.record.read_text(encoding="utf-8"))
    for name, theme in THEMES.items():
        draw(record, theme, options.folder / f"results-{name}.png")


if __name__ == "__main__":
    main()
