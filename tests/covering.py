"""Combinations of parameter values in which any two values meet, far fewer than all."""

from collections import Counter
from itertools import combinations, product

import pytest


def covering(*axes, strength=2):
    """Return rows of one value from each axis, such that any values of `strength` axes share a row.

    A greedy covering array: a row starts from the first combination of values that no row has yet,
    and is completed by `_completed`. The same axes always give the same rows.
    """
    axes = [list(axis) for axis in axes]
    missing, used = _missing(axes, min(strength, len(axes))), Counter()
    rows = []
    while missing:
        rows.append(_completed(next(iter(missing)), axes, missing, used))
    return rows


def each_once(*axes):
    """Return rows with each value of the longest axis once, and each other value at least once.

    The other values are chosen such that as many pairs as possible meet.
    """
    axes = [list(axis) for axis in axes]
    missing, used = _missing(axes, min(2, len(axes))), Counter()
    longest = max(range(len(axes)), key=lambda i: len(axes[i]))
    values = range(len(axes[longest]))
    return [_completed({(longest, value)}, axes, missing, used) for value in values]


def _missing(axes, strength):
    """Return all combinations of `strength` pairs (axis, value) as keys, which keep their order."""
    return {
        frozenset(zip(chosen, values, strict=True)): strength
        for chosen in combinations(range(len(axes)), strength)
        for values in product(*(range(len(axes[i])) for i in chosen))
    }


def _completed(begun, axes, missing, used):
    """Complete some pairs (axis, value) to a row; remove the pairs of the row from `missing`.

    Each other axis adds the value that covers most of the missing combinations; of equals, the one
    that is used least. `used`, how often each value is, is brought up to date.
    """
    strength = next(iter(missing.values()), 1)

    def covered(row):
        return [
            found for group in combinations(row, strength) if (found := frozenset(group)) in missing
        ]

    row = sorted(begun)
    others = set(range(len(axes))) - {i for i, _ in row}
    for i in sorted(others, key=lambda i: (-len(axes[i]), i)):
        values = [(i, value) for value in range(len(axes[i]))]
        row.append(max(values, key=lambda v: (len(covered([*row, v])), -used[v])))
    for found in covered(row):
        del missing[found]
    used.update(row)
    return tuple(axes[i][value] for i, value in sorted(row))


def pairwise(**axes):
    """Return the arguments of ``pytest.mark.parametrize`` for a covering of all pairs of values.

    Parameters
    ----------
    **axes : sequence
        Values of each parameter, by its name; two parameters or more.

    Returns
    -------
    names : list of str
        Names of the parameters.
    cases : list of tuple
        One value of each parameter a case. Any value of one parameter occurs with any value of any
        other in some case; there are about as many cases as the two longest axes have pairs.
    """
    return list(axes), covering(*axes.values())


def every_pair(*marks):
    """Return the marks of pytest.mark.parametrize as one mark, in which any two values meet."""
    return _as_one_mark(marks, covering)


def each_value(*marks):
    """Return the marks of pytest.mark.parametrize as one mark, in which every value occurs.

    Each value of the parameter that has the most of them occurs once.
    """
    return _as_one_mark(marks, each_once)


def _as_one_mark(marks, combine):
    names, axes = [], []
    for mark in marks:
        mark_names, cases = _names_and_cases(mark)
        names += mark_names
        axes.append(cases)
    rows = [
        pytest.param(
            *(value for case in row for value in case.values),
            id="-".join(case.id for case in row),
            marks=[mark for case in row for mark in case.marks],
        )
        for row in combine(*axes)
    ]
    return pytest.mark.parametrize(names, rows)


def _names_and_cases(mark):
    """Return the names of the parameters of a mark, and a pytest.param for each of its cases."""
    names, values = mark.args
    names = names.replace(" ", "").split(",") if isinstance(names, str) else list(names)
    values, ids = list(values), mark.kwargs.get("ids")
    ids = [None] * len(values) if ids is None else list(map(ids, values) if callable(ids) else ids)
    cases = []
    for i, (value, name) in enumerate(zip(values, ids, strict=True)):
        if not isinstance(value, type(pytest.param())):
            value = pytest.param(*([value] if len(names) == 1 else value))
        words = [_word(part, f"{of}{i}") for of, part in zip(names, value.values, strict=True)]
        name = value.id or name or "-".join(words)
        cases.append(pytest.param(*value.values, id=str(name), marks=value.marks))
    return names, cases


def _word(value, otherwise):
    """Return the text for a value in the name of a test."""
    if value is None or isinstance(value, (str, int, float, bool)):
        return str(value)
    return getattr(value, "__name__", otherwise)
