"""Tables of estimates as text, as HTML and as data frames.

- `Table`: columns of numbers with a name for each row, and a head of pairs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np

# Digits of a number in a table. [a choice]
DIGITS = 4
# Numbers of this size and more, and below its inverse times 10, are shown with an exponent.
LARGE = 1e5
# p-values below this are shown as less than it. [a choice]
LEAST_P_VALUE = 1e-4
# Most characters of a name in a table; longer ones are cut in the middle. [a choice]
MAX_NAME = 32
GAP = "  "


def number(value: float) -> str:
    """Return a number with ``DIGITS`` digits, its point where the size of the number allows."""
    if not np.isfinite(value):
        return str(value)
    size = abs(value)
    if size >= LARGE or 0 < size < 10 / LARGE:
        return f"{value:.{DIGITS - 1}e}"
    return f"{value:.{max(0, DIGITS - 1 - _exponent(size))}f}"


def _exponent(size: float) -> int:
    """Return the exponent of 10 of a size; at least −1, so that small numbers keep their zeros."""
    return max(-1, int(np.floor(np.log10(size)))) if size else 0


def z_value(value: float) -> str:
    """Return a z-value."""
    return f"{value:.2f}" if abs(value) < LARGE else f"{value:.1e}"


def p_value(value: float) -> str:
    """Return a p-value; very small ones as less than ``LEAST_P_VALUE``."""
    return f"<{LEAST_P_VALUE:.4f}" if value < LEAST_P_VALUE else f"{value:.4f}"


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    key : str
        Name in a data frame.
    title : str
        Title in text and HTML.
    values : array-like of shape (n_rows,)
        Numbers.
    show : callable (float) -> str
        Returns a number as text.
    """

    key: str
    title: str
    values: Any
    show: Callable[[float], str] = number


class Table(NamedTuple):
    """A table of estimates.

    Attributes
    ----------
    title : str
        The title.
    head : sequence of tuple (str, str)
        Facts about the fit: names and values.
    names : sequence of str
        Names of the rows.
    columns : sequence of Column
        The columns.
    note : str, default=""
        A line below the table.
    """

    title: str
    head: Sequence[tuple[str, str]]
    names: Sequence[Any]
    columns: Sequence[Column]
    note: str = ""

    def cells(self) -> list[list[str]]:
        """Return the rows as text."""
        shown = [[column.show(float(each)) for each in column.values] for column in self.columns]
        return [list(row) for row in zip(*shown, strict=True)]

    def __str__(self) -> str:
        """Return the table as text, in fixed width."""
        names = [_shortened(str(name)) for name in self.names]
        rows = self.cells()
        titles = [column.title for column in self.columns]
        widths = [max(map(len, each)) for each in zip(titles, *rows, strict=True)]
        first = max(map(len, [*names, ""]))

        def line(name: str, cells: Sequence[str]) -> str:
            right = GAP.join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
            return f"{name.ljust(first)}{GAP}{right}"

        body = [line("", titles), *(line(n, row) for n, row in zip(names, rows, strict=True))]
        width = max(len(body[0]), len(self.title))
        head = _in_two_columns(self.head, width)
        width = max([width, *map(len, head)])
        rule = "─" * width
        note = [self.note] if self.note else []
        return "\n".join([self.title, "═" * width, *head, *([rule] if head else []), body[0], rule,
                          *body[1:], rule, *note])  # fmt: skip

    def to_html(self) -> str:
        """Return the table as HTML."""
        pairs = "".join(
            f"<tr><th style='text-align:left'>{escape(name)}</th><td>{escape(value)}</td></tr>"
            for name, value in self.head
        )
        titles = "".join(f"<th>{escape(column.title)}</th>" for column in self.columns)
        rows = "".join(
            f"<tr><th style='text-align:left'>{escape(str(name))}</th>"
            + "".join(f"<td style='text-align:right'>{escape(cell)}</td>" for cell in row)
            + "</tr>"
            for name, row in zip(self.names, self.cells(), strict=True)
        )
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        head = f"<table>{pairs}</table>" if pairs else ""
        return (
            f"<div><p><strong>{escape(self.title)}</strong></p>{head}"
            f"<table><thead><tr><th></th>{titles}</tr></thead><tbody>{rows}</tbody></table>"
            f"{note}</div>"
        )

    def to_frame(self, library: str | None = None) -> Any:
        """Return the table as a data frame; see `Summary.to_frame`."""
        names = np.asarray(self.names, dtype=object)
        columns = {each.key: np.asarray(each.values, dtype=np.float64) for each in self.columns}
        module = frame_library(library)
        if module.__name__ == "pandas":
            return module.DataFrame(columns, index=module.Index(names, name="feature"))
        return module.DataFrame({"feature": names.tolist(), **columns})


def frame_library(library: str | None) -> Any:
    """Return the module pandas or polars; with None the first of them that is installed.

    Raises
    ------
    ValueError
        If another library is named.
    ImportError
        If it is not installed.
    """
    known = ["pandas", "polars"]
    if library not in {None, *known}:
        raise ValueError(f"library is {library!r}; it must be 'pandas', 'polars' or None.")
    for name in known if library is None else [library]:
        try:
            return import_module(name)
        except ImportError:
            continue
    raise ImportError(
        f"A data frame needs {library or 'pandas or polars'}, which is not installed."
    )


def _in_two_columns(pairs: Sequence[tuple[str, str]], width: int) -> list[str]:
    """Return lines with two pairs each, as wide as the table."""
    half = (len(pairs) + 1) // 2
    columns = [pairs[:half], pairs[half:]]
    blocks = []
    for column in columns:
        longest = max((len(name) for name, _ in column), default=0)
        values = max((len(value) for _, value in column), default=0)
        blocks.append([f"{n.ljust(longest)}{GAP}{v.rjust(values)}" for n, v in column])
    lines = []
    for k in range(half):
        left = blocks[0][k]
        right = blocks[1][k] if k < len(blocks[1]) else ""
        lines.append(f"{left}{right.rjust(max(width - len(left), len(right) + 2))}".rstrip())
    return lines


def _shortened(name: str) -> str:
    """Return a name of at most ``MAX_NAME`` characters."""
    if len(name) <= MAX_NAME:
        return name
    half = (MAX_NAME - 1) // 2
    return f"{name[: MAX_NAME - 1 - half]}…{name[-half:]}"
