"""Collection of the doctests of public classes and functions, and a fixture for many test files.

Public classes and functions have ``__module__ = "sklearn_bce"``, the path that they are imported
from, and are defined in private modules. doctest takes an object for part of the module that
``__module__`` names: it would find them in ``sklearn_bce/__init__.py``, and not find the methods of
the classes, which name the private module. Here it takes them for part of the module with their
source, so that it finds each docstring there, once.
"""

import doctest
import inspect

import pytest

_from_module = doctest.DocTestFinder._from_module


def _defining_module(value):
    """Return the name of the module whose source defines a function or a class; None if neither."""
    if inspect.isclass(value):
        value = vars(value).get("__init__")
    value = inspect.unwrap(value)
    return value.__globals__["__name__"] if inspect.isfunction(value) else None


def _from_defining_module(self, module, value):
    """Return whether a value is part of the module, which is None to stand for any module."""
    if module is not None and getattr(value, "__module__", None) == "sklearn_bce":
        return module.__name__ == _defining_module(value)
    return _from_module(self, module, value)


doctest.DocTestFinder._from_module = _from_defining_module


@pytest.fixture(autouse=True)
def directory_of_doctests(request):
    """Run doctests in a temporary directory: those of plots save them."""
    if isinstance(request.node, pytest.DoctestItem):
        request.getfixturevalue("monkeypatch").chdir(request.getfixturevalue("tmp_path"))


@pytest.fixture
def general_loop(monkeypatch):
    """Leave small data to the general loop of Newton's method, which has callbacks and paths."""
    monkeypatch.setattr("sklearn_bce._solvers.newton.in_cache.CACHE_ELEMENTS", 0)
