"""Find a piece of code in a source file by its tokens, whatever its names are now.

A pattern is a piece of Python, Cython or C. It matches a sequence of tokens of a file: operators,
numbers and keywords must be equal; a name or a string of the pattern stands for any name or any
string, the same one at each of its places in the pattern. So ``a * b - a`` matches ``x * y - x``.
Comments, line breaks, blanks and a comma before a closing bracket do not count.

Among several matches the one with the most names equal to the pattern's is taken, where the name of
the enclosing function counts as one more name; among equals, the one that the pattern's ``which``
names. A pattern therefore survives that a variable, an attribute or a function is renamed, and its
`Match` says what each name of the pattern is called in the file.
"""

from __future__ import annotations

import builtins
import keyword
import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np

TOKEN = re.compile(
    r"""
    (?P<comment> \#(?!define|include|if|else|endif|undef|elif)[^\n]* | /\*.*?\*/ )
  | (?P<string> [rbfuRBFU]{0,2} (?: '{3}.*?'{3} | "{3}.*?"{3}
        | '(?:\\.|[^'\\\n])*' | "(?:\\.|[^"\\\n])*" ) )
  | (?P<number> (?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?[a-zA-Z0-9]* )
  | (?P<name> [^\W\d]\w* )
  | (?P<operator> \*\*=?|//=?|<<|>>|[-+*/%&|^@<>=!:]=|->|&&|\|\||\+\+|--|\S )
    """,
    re.VERBOSE | re.DOTALL,
)
C_WORDS = """cdef cpdef ctypedef cimport extern nogil noexcept inline static const void double float
int long char unsigned sizeof struct union switch case default do goto typedef enum bint
exp log fabs log1p sqrt fmax fmin int32_t int64_t uint64_t Py_ssize_t size_t"""
# Names that are not the project's to change.
FIXED = frozenset(keyword.kwlist) | set(dir(builtins)) | set(C_WORDS.split())
FIXED |= {"np", "sp", "math", "self", "cls"}
LIBRARIES = {"np", "sp", "math", "linalg", "special"}  # an attribute of these is fixed
NAMES = {"attribute", "argument", "name"}
DEFINITION = re.compile(r"\s*(?:async def|def|cdef|cpdef|class|static|inline)\b.*?(\w+)\s*[(:\[]")


class Token(NamedTuple):
    """A token of a source text, text[start:end].

    `kind` is "attribute", "argument" (a name before = in a call), "name", "string" or "fixed".
    """

    kind: str
    text: str
    start: int
    end: int

    @property
    def stands_for_any(self) -> bool:
        """Whether this token of a pattern matches any token of its kind."""
        return self.kind != "fixed"


class Match(NamedTuple):
    """Where a pattern lies in a text, and what its names and strings are there.

    `names` maps (kind, text in the pattern) to the text in the file; `likeness` is how many of them
    are equal; `ordinal` counts from 1 the places in the file that the pattern could be.
    """

    start: int
    end: int
    names: dict[tuple[str, str], str]
    likeness: int
    ordinal: int


@lru_cache(maxsize=256)
def tokens_of(text: str) -> list[Token]:
    """Return the tokens of a text, without comments and commas before a closing bracket."""
    found = [each for each in TOKEN.finditer(text) if each.lastgroup != "comment"]
    texts = [each.group() for each in found]
    before, after = ["", "", *texts], [*texts[1:], ""]
    tokens = []
    for each, previous, last, following in zip(found, before, before[1:], after, strict=False):
        if each.group() == "," and following in {")", "]", "}"}:
            continue
        kind = _kind_of(each, previous, last, following)
        tokens.append(Token(kind, each.group(), each.start(), each.end()))
    return tokens


def _kind_of(found: re.Match[str], previous: str, last: str, following: str) -> str:
    """Return the kind of a token by the two before it and the one after it."""
    if found.lastgroup == "string":
        return "string"
    if found.lastgroup != "name":
        return "fixed"
    if last == ".":
        return "fixed" if previous in LIBRARIES else "attribute"
    if last in {"(", ","} and following == "=":
        return "argument"
    return "fixed" if found.group() in FIXED else "name"


def matches(pattern: list[Token], tokens: list[Token]) -> list[Match]:
    """Return all places where a pattern could be, in the order of the file."""
    found: list[Match] = []
    fixed = next((place for place, each in enumerate(pattern) if not each.stands_for_any), None)
    for at in range(len(tokens) - len(pattern) + 1):
        if fixed is not None and tokens[at + fixed].text != pattern[fixed].text:
            continue  # most places differ from the pattern there
        names = _names_at(pattern, tokens, at)
        if names is not None:
            likeness = sum(wanted == there for (_, wanted), there in names.items())
            end = tokens[at + len(pattern) - 1].end
            found.append(Match(tokens[at].start, end, names, likeness, len(found) + 1))
    return found


def _names_at(
    pattern: list[Token], tokens: list[Token], at: int
) -> dict[tuple[str, str], str] | None:
    """Return what the names of a pattern are where it starts at a token; None if it does not."""
    names: dict[tuple[str, str], str] = {}
    edges = {0, len(pattern) - 1}  # a pattern does not show what stands before and after it
    for position, wanted in enumerate(pattern):
        there = tokens[at + position]
        same_kind = wanted.kind == there.kind
        if not same_kind and not (position in edges and {wanted.kind, there.kind} <= NAMES):
            return None
        if wanted.stands_for_any:
            if names.setdefault((wanted.kind, wanted.text), there.text) != there.text:
                return None
        elif wanted.text != there.text:
            return None
    return names


def enclosing_function(text: str, position: int) -> str:
    """Return the name of the innermost function or class around a position; "" if there is none."""
    lines = text[:position].split("\n")
    indentation = len(lines[-1]) - len(lines[-1].lstrip()) or 1
    for line in reversed(lines):
        own = len(line) - len(line.lstrip())
        if line.strip() and own < indentation and not line.lstrip().startswith((")", "#", "}")):
            definition = DEFINITION.match(line)
            if definition:
                return definition.group(1)
            indentation = own
    return ""


def find(old: str, text: str, *, function: str = "", which: int = 1) -> Match | None:
    """Return the place of a pattern in a text; None if there is none, or no telling which.

    Parameters
    ----------
    old : str
        The pattern.
    text : str
        The source file.
    function : str
        The enclosing function when the pattern was written.
    which : int
        Which place the pattern was when it was written, counted from 1 in the order of the file;
        used only among places whose names are equally like the pattern's.
    """
    pattern = tokens_of(old)
    found = [
        each._replace(likeness=each.likeness + (enclosing_function(text, each.start) == function))
        for each in matches(pattern, tokens_of(text))
    ]
    best = max((each.likeness for each in found), default=0)
    alike = [each for each in found if each.likeness == best]
    if len(alike) == 1 and (best > 0 or len(pattern) > 5):
        return alike[0]
    return next((each for each in alike if each.ordinal == which and best > 0), None)


def with_names(new: str, names: dict[tuple[str, str], str]) -> str:
    """Return code written with a pattern's names in the names of its match."""
    parts, end = [], 0
    for token in tokens_of(new):
        actual = names.get((token.kind, token.text), token.text)
        parts += [new[end : token.start], actual]
        end = token.end
    return "".join([*parts, new[end:]])


def changed(old: str, new: str, text: str, match: Match) -> str:
    """Return a text in which the match of a pattern `old` is replaced by `new`."""
    return text[: match.start] + with_names(new, match.names) + text[match.end :]


def unknown_names(new: str, text: str, match: Match) -> set[str]:
    """Return the names of the replacement that the file does not use: it would not run."""
    known = {token.text for token in tokens_of(text)} | FIXED | set(dir(np.ndarray))
    replaced = tokens_of(with_names(new, match.names))
    return {token.text for token in replaced if token.kind in {"name", "attribute"}} - known
