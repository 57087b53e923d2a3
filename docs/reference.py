"""Write ``docs/reference.md`` from the docstrings: ``python docs/reference.py``.

Public modules are the package and its modules without a leading underscore; public names are those
of their ``__all__``. A docstring in the numpydoc format becomes Markdown: sections become headings,
parameters a list. The name and the type of a parameter stand side by side, without a colon, as the
links of scikit-learn's HTML representation expect it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

import sklearn_bce

PAGE = Path(__file__).with_name("reference.md")
# Sections whose entries are names with a type, each above its description.
LISTS = {"Parameters", "Returns", "Yields", "Attributes", "Raises", "Warns", "See Also"}
UNDERLINED = re.compile(r"^(\w[\w ]*)\n-{3,}$", re.MULTILINE)


def page() -> str:
    """Return the text of the page."""
    parts = [
        "# API reference",
        "Made from the docstrings by `python docs/reference.py`. In a session: `help(name)`.",
        contents(),
    ]
    for module in public_modules():
        parts += [f"## {module.__name__}", markdown(module.__doc__, 3)]
        for name in public_names(module):
            parts += described(module, name)
    return "\n\n".join(parts) + "\n"


def public_modules() -> list[ModuleType]:
    """Return the package and its public modules."""
    names = sorted(each.name for each in iter_modules(sklearn_bce.__path__))
    public = [name for name in names if not name.startswith("_")]
    return [sklearn_bce, *(import_module(f"sklearn_bce.{name}") for name in public)]


def public_names(module: ModuleType) -> list[str]:
    """Return the names of ``__all__`` that are no modules and no versions."""
    values = {name: getattr(module, name) for name in module.__all__}
    return [
        name
        for name, value in values.items()
        if not name.startswith("_") and not inspect.ismodule(value)
    ]


def contents() -> str:
    """Return links to all names."""
    lines = []
    for module in public_modules():
        links = [f"[`{name}`](#{anchor(module, name)})" for name in public_names(module)]
        lines.append(f"- `{module.__name__}`" + (": " + ", ".join(links) if links else ""))
    return "\n".join(lines)


def anchor(module: ModuleType, name: str) -> str:
    """Return the id of a name's heading."""
    return f"{module.__name__}.{name}"


def described(module: ModuleType, name: str) -> Iterator[str]:
    """Yield the parts of a name: heading, signature, docstring, and methods of a class."""
    value = getattr(module, name)
    yield f'<a id="{anchor(module, name)}"></a>\n\n### {module.__name__}.{name}'
    if not callable(value) or not inspect.getdoc(value) or is_instance(value):
        yield f"`{value!r}`"
        return
    if not is_exception(value):
        yield signature(name, value)
    yield markdown(inspect.getdoc(value), 4)
    for method, function in methods(value) if inspect.isclass(value) else ():
        yield f"#### {name}.{method}"
        yield signature(method, function)
        yield markdown(inspect.getdoc(function), 5)


def is_exception(value: Any) -> bool:
    """Return whether a value is a class of exceptions, which nobody but the package raises."""
    return inspect.isclass(value) and issubclass(value, BaseException)


def is_instance(value: Any) -> bool:
    """Return whether a value is neither a class nor a function, such as a scorer."""
    return not (inspect.isclass(value) or inspect.isroutine(value))


def methods(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the public methods that the package defines, in the order of their names.

    Methods that scikit-learn adds to every estimator, such as ``set_fit_request``, are left out.
    """
    for name, value in inspect.getmembers(kind, callable):
        owner = next((each for each in kind.__mro__ if name in vars(each)), kind)
        is_ours = owner.__module__.startswith("sklearn_bce")
        if is_ours and not name.startswith("_") and not re.fullmatch(r"set_\w+_request", name):
            yield name, value


def signature(name: str, function: Any) -> str:
    """Return a block with the call, without annotations and without self or cls."""
    parameters = list(inspect.signature(function).parameters.values())
    bare = [
        each.replace(annotation=inspect.Parameter.empty)
        for each in parameters
        if each.name not in {"self", "cls", "_cls"}
    ]
    call = f"{name}{inspect.Signature(bare)}"
    if len(call) > 88:
        marks = [f"    {each}," for each in inspect.Signature(bare).parameters.values()]
        kinds = [each.kind for each in bare]
        if inspect.Parameter.KEYWORD_ONLY in kinds and not any(
            kind is inspect.Parameter.VAR_POSITIONAL for kind in kinds
        ):
            marks.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "    *,")
        call = "\n".join([f"{name}(", *marks, ")"])
    return f"```text\n{call}\n```"


def markdown(docstring: str | None, level: int) -> str:
    """Return a numpydoc docstring as Markdown, with headings of sections of that level."""
    text = inspect.cleandoc(docstring or "")
    pieces = UNDERLINED.split(text)
    parts = [paragraphs(pieces[0])]
    for heading, body in zip(pieces[1::2], pieces[2::2], strict=True):
        parts.append(f"{'#' * level} {heading}")
        parts.append(entries(body) if heading in LISTS else paragraphs(body))
    return "\n\n".join(part for part in parts if part)


def entries(body: str) -> str:
    """Return the entries of a list: a name with its type, then an indented description."""
    found: list[tuple[str, list[str]]] = []
    for line in body.strip("\n").splitlines():
        if line[:1].strip():
            found.append((line, []))
        elif found:
            found[-1][1].append(line)
    lines = []
    for head, description in found:
        name, _, kind = re.sub(r"\s+", " ", head).partition(" : ")
        text = paragraphs(inspect.cleandoc("\n" + "\n".join(description)))
        lines.append("- " + f"`{name}`" + (f" `{kind}`" if kind else ""))
        if text:
            lines.append("\n".join(f"  {line}".rstrip() for line in ["", *text.splitlines()]))
    return "\n".join(lines)


def paragraphs(text: str) -> str:
    """Return text whose examples and literal blocks become blocks of code."""
    parts = []
    literal = False
    for block in re.split(r"\n\s*\n", text.strip("\n")):
        if block.lstrip().startswith(">>>"):
            parts.append(f"```python\n{inspect.cleandoc(block)}\n```")
        elif literal:
            parts.append(f"```text\n{inspect.cleandoc(block)}\n```")
        else:
            parts.append(escaped(re.sub(r"::$", ":", block)))
        literal = block.endswith("::")
    return "\n\n".join(part for part in parts if part)


def escaped(text: str) -> str:
    """Return text outside of code with its Markdown marks escaped, and code in single backticks."""
    pieces = re.split(r"(``.+?``|`[^`]+`)", text, flags=re.DOTALL)
    for place, is_code in enumerate([False, True] * (len(pieces) // 2) + [False]):
        if is_code:
            pieces[place] = "`" + pieces[place].strip("`") + "`"
        else:
            pieces[place] = re.sub(r"([*<|]|\b_|_\b)", r"\\\1", pieces[place])
    return "".join(pieces)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
