"""Imports go one way, and the source keeps the limits that this project has set itself."""

import ast
import inspect
import os
import re
import subprocess
import sys
import sysconfig
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

from sklearn_bce._kernels import COMPILED, reference

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sklearn_bce"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
# A module imports modules of earlier lines only. Modules of one line do not import each other.
RANKING = [
    ["chain_rule"],
    ["_kernels"],
    ["_objective"],
    ["_solvers"],
    ["_estimator"],
    ["metrics", "dask", "onnx"],
    ["inference"],
    ["__init__"],
]
WITHOUT_SCIKIT_LEARN = {"chain_rule", "_kernels", "_objective", "_solvers"}
PRIVATE_SCIKIT_LEARN = ("_estimator", "sklearn_compat")
SOLVERS = {"gd", "sgd", "newton"}


def _parts(path):
    return path.relative_to(PACKAGE).with_suffix("").parts


MODULES = {_parts(path): path for path in sorted(PACKAGE.rglob("*.py"))}
CYTHON = sorted(PACKAGE.rglob("*.p[xy][dx]"))
SUBPACKAGES = [parts[:-1] for parts in MODULES if parts[-1] == "__init__" and len(parts) > 1]


@cache
def _tree(module):
    return ast.parse(MODULES[module].read_text("utf-8"))


def _findings(find, modules=MODULES):
    """Return the non-empty results of a function of (module, tree), by module."""
    found = {".".join(module): list(find(module, _tree(module))) for module in modules}
    return {module: findings for module, findings in found.items() if findings}


# ----- imports ----------------------------------------------------------------------------------


def _imported(module, tree):
    """Yield the full dotted name of everything that a module imports, inside functions as well."""
    package = ["sklearn_bce", *module[:-1]]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _imported_from_package(module, tree):
    """Return the modules, as tuples of names, that a module imports, or imports a name from."""
    compiled = {_parts(path) for path in CYTHON if path.suffix == ".pyx"}
    known = {*MODULES, *compiled}
    found = set()
    for name in _imported(module, tree):
        root, *parts = name.split(".")
        if root != "sklearn_bce":
            continue
        parts = tuple(parts)
        while parts and parts not in known and (*parts, "__init__") not in known:
            parts = parts[:-1]
        found.add(parts if parts in known else (*parts, "__init__"))
    return found


def _listed(package):
    """Return the modules of a subpackage in the order in which its docstring lists them."""
    docstring = ast.get_docstring(_tree((*package, "__init__"))) or ""
    names = [
        re.split(r",\s*", name)
        for line in re.findall(r"^- (``.*)$", docstring, flags=re.MULTILINE)
        for name in re.findall(r"``([^`]+)``", line.split("``:")[0] + "``")
    ]
    return [name for several in names for name in several]


def _order(package):
    """Return the lines of the map of a package: lists of names, imports go upwards."""
    lines = [[name] for name in _listed(package)] if package else RANKING[:-1]
    return [*lines, ["__init__"]]


def _rank(package, name):
    ranks = [k for k, line in enumerate(_order(package)) if name in line]
    assert ranks, f"{name} is not in the map of {'.'.join(package) or 'RANKING'}"
    return ranks[0]


def _is_imported_upwards(module, imported):
    """Return whether an imported module stands before the importing one in their package's map."""
    depth = next(k for k, (a, b) in enumerate(zip(module, imported, strict=False)) if a != b)
    package = module[:depth]
    return _rank(package, imported[depth]) < _rank(package, module[depth])


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("_solvers.gd", "from sklearn_bce._kernels import sgd as k", "_kernels.sgd"),
        ("_solvers.gd", "from . import sgd", "_solvers.sgd"),
        ("_solvers.gd", "from .sgd import solve", "_solvers.sgd"),
        ("_solvers.gd", "from ..chain_rule import sigmoid", "chain_rule"),
        ("_objective.base", "def f():\n import sklearn_bce._solvers.gd", "_solvers.gd"),
        ("dask", "from sklearn_bce._solvers import SOLVERS", "_solvers.__init__"),
        ("dask", "from sklearn_bce import __version__", "__init__"),
        ("chain_rule", "import numpy as np\nfrom sklearn.base import clone", None),
    ],
)
def test_the_reader_of_imports_recognises_each_form(module, source, expected):
    found = _imported_from_package(tuple(module.split(".")), ast.parse(source))
    assert found == ({tuple(expected.split("."))} if expected else set())


@pytest.mark.parametrize(
    ("module", "imported", "allowed"),
    [
        ("_solvers.gd", "_objective.base", True),
        ("_objective.base", "_solvers.gd", False),
        ("_objective.base", "_objective.penalty", True),
        ("_objective.penalty", "_objective.base", False),
        ("_objective.base", "_objective.__init__", False),
        ("_objective.base", "__init__", False),
        ("__init__", "_estimator.classifier", True),
        ("dask", "_estimator.classifier", True),
    ],
)
def test_the_judge_of_imports_knows_up_from_down(module, imported, allowed):
    module, imported = tuple(module.split(".")), tuple(imported.split("."))
    assert _is_imported_upwards(module, imported) is allowed


def test_every_entry_of_the_package_has_a_rank():
    entries = {parts[0] for parts in MODULES}
    assert entries <= {name for line in RANKING for name in line}


@pytest.mark.parametrize("package", SUBPACKAGES, ids=".".join)
def test_the_docstring_of_a_subpackage_lists_its_modules(package):
    folder = PACKAGE.joinpath(*package)
    files = {
        path.name if path.suffix == ".h" else path.stem
        for path in folder.iterdir()
        if path.suffix in {".py", ".pyx", ".pxd", ".h"} and path.stem != "__init__"
    }
    subpackages = {path.parent.name for path in folder.glob("*/__init__.py")}
    listed = _listed(package)
    assert sorted(listed) == sorted(files | subpackages)


def test_modules_import_only_what_stands_before_them():
    def downwards(module, tree):
        for imported in _imported_from_package(module, tree):
            if not _is_imported_upwards(module, imported):
                yield ".".join(imported)

    assert _findings(downwards) == {}


@pytest.mark.parametrize("solver", sorted(SOLVERS))
def test_solvers_do_not_import_each_other(solver):
    others = SOLVERS - {solver}
    modules = [parts for parts in MODULES if parts[:2] == ("_solvers", solver)]
    assert modules

    def other_solvers(module, tree):
        imported = _imported_from_package(module, tree)
        return [parts for parts in imported if parts[0] == "_solvers" and parts[1] in others]

    assert _findings(other_solvers, modules) == {}


def _sklearn_names(module, tree):
    return [name for name in _imported(module, tree) if name.split(".")[0] == "sklearn"]


def test_the_mathematics_does_not_import_scikit_learn():
    modules = [module for module in MODULES if module[0] in WITHOUT_SCIKIT_LEARN]
    assert _findings(_sklearn_names, modules) == {}


def test_private_names_of_scikit_learn_stand_in_one_module():
    def private_names(module, tree):
        names = _sklearn_names(module, tree)
        yield from (name for name in names if any(part[0] == "_" for part in name.split(".")))
        # Private names are not reached as attributes of imported modules either.
        chains = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
        yield from (chain for chain in chains if re.match(r"sklearn\..*\b_[a-z]", chain))

    assert [*_findings(private_names)] == ["_estimator.sklearn_compat"]


def _import_names(requirements):
    """Return the names under which required distributions are imported."""
    names = {re.split(r"[\[<>=~! ]", requirement)[0] for requirement in requirements}
    return {{"scikit-learn": "sklearn"}.get(name, name) for name in names}


def _undeclared(module, tree):
    """Yield imports that are neither of a dependency nor, inside a function, of an extra."""
    project, root = PYPROJECT["project"], {"sklearn_bce"}
    extras = project["optional-dependencies"]
    allowed = _import_names(project["dependencies"]) | root | sys.stdlib_module_names
    if module[-1] in {"dask", "dask_blocks"}:
        allowed |= _import_names(extras["dask"]) | {"pandas"}  # which Dask's data frames are of
    if module == ("onnx",):
        allowed |= _import_names(extras["onnx"])
    inside = allowed | _import_names(extras["plot"]) | _import_names(extras["progress"])
    yield from {name.split(".")[0] for name in _imported(module, tree)} - inside
    outer = [node for node in tree.body if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    at_import = _imported(module, ast.Module(outer, []))
    yield from {name.split(".")[0] for name in at_import} - allowed


def test_only_declared_dependencies_are_imported():
    assert _findings(_undeclared) == {}


def test_compiled_loops_import_the_c_library_blas_and_each_other():
    assert CYTHON
    for path in CYTHON:
        lines = path.read_text("utf-8").splitlines()
        words = [line.split() for line in lines if re.match(r"(from|import|cimport)\b", line)]
        roots = {line[1].split(".")[0] for line in words} - {"libc"}
        assert roots <= {"scipy", "sklearn_bce"}
        declared = {".".join(("sklearn_bce", *_parts(pxd))) for pxd in PACKAGE.rglob("*.pxd")}
        from_package = {line[1] for line in words if line[1].startswith("sklearn_bce")}
        assert from_package <= declared
        assert {line[1] for line in words if line[1].startswith("scipy")} <= {
            "scipy.linalg.cython_blas",
            "scipy.linalg.cython_lapack",
        }


# ----- what the source may not contain ------------------------------------------------------------


def test_nothing_is_printed():
    """Lines of examples in docstrings, which begin with a prompt, are left out."""
    for path in [*MODULES.values(), *CYTHON]:
        code = re.sub(r"^ *(>>>|\.\.\.) .*", "", path.read_text("utf-8"), flags=re.MULTILINE)
        assert not re.search(r"(?<![\w.])print\(", code), path


def test_no_function_is_a_stub():
    def not_implemented(module, tree):
        raised = [node.exc for node in ast.walk(tree) if isinstance(node, ast.Raise)]
        names = [ast.unparse(exc).split("(")[0] for exc in raised if exc is not None]
        return [name for name in names if name == "NotImplementedError"]

    assert _findings(not_implemented) == {}


def _asks_for_a_solver(test):
    constants = {node.value for node in ast.walk(test) if isinstance(node, ast.Constant)}
    return not constants.isdisjoint(SOLVERS)


def _chains_on_solvers(tree):
    """Yield the line of each if whose else asks for another solver, and of each such match."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If | ast.IfExp) and _asks_for_a_solver(node.test):
            other = node.orelse if isinstance(node, ast.IfExp) else next(iter(node.orelse), None)
            if isinstance(other, ast.If | ast.IfExp) and _asks_for_a_solver(other.test):
                yield node.lineno
        elif isinstance(node, ast.match_case) and _asks_for_a_solver(node.pattern):
            yield node.body[0].lineno


def test_chains_on_solvers_are_recognised():
    chain = 'if solver == "gd":\n pass\nelif solver in ("sgd", "newton"):\n pass'
    assert list(_chains_on_solvers(ast.parse(chain))) == [1]
    assert list(_chains_on_solvers(ast.parse('if solver == "gd":\n pass\nelse:\n pass'))) == []
    assert list(_chains_on_solvers(ast.parse('match s:\n case "gd":\n  pass'))) == [3]


def test_no_chain_of_conditions_asks_for_the_solver_by_name():
    """What differs between solvers is an attribute of the records in ``_solvers.SOLVERS``."""
    assert _findings(lambda module, tree: _chains_on_solvers(tree)) == {}


def test_nothing_refers_to_files_outside_the_repository():
    suffixes = {".py", ".pyx", ".pxd", ".md", ".toml", ".json", ".yml"}
    folders = (PACKAGE, ROOT / "benchmarks")
    read = [path for folder in folders for path in folder.rglob("*") if path.suffix in suffixes]
    assert len(read) > len(MODULES)
    outside = re.compile(r"(?<!\.)\.\./|(?<![\w.])/(home|root|tmp|work)/")
    assert [path for path in read if outside.search(path.read_text("utf-8"))] == []


# ----- complexity ---------------------------------------------------------------------------------


def test_the_limits_of_complexity_are_those_of_this_project():
    lint = PYPROJECT["tool"]["ruff"]["lint"]
    assert lint["mccabe"] == {"max-complexity": 8}
    assert lint["pylint"] == {"max-args": 7, "max-statements": 40, "max-locals": 15}
    assert {"C90", "PLR0913", "PLR0914", "PLR0915"} <= {*lint["select"]}
    not_checked = lint["per-file-ignores"]["!sklearn_bce/_solvers/**"]
    assert not_checked == ["PLR0913", "PLR0914", "PLR0915"]


def test_newtons_loop_is_the_only_exception_from_the_limits():
    """The complexity of the loop is at most 12."""
    loop = MODULES["_solvers", "newton", "loop"]
    options = ["--select", "C901", "--ignore-noqa", "--no-cache"]
    limit = ["--config", "lint.mccabe.max-complexity=12"]
    command = [sys.executable, "-m", "ruff", "check", *options, *limit, str(loop)]
    assert subprocess.run(command, cwd=ROOT, capture_output=True).returncode == 0
    exempt = re.compile(r"noqa: *(C90|PLR|[^C\s])|noqa *$", flags=re.MULTILINE)
    texts = {path: path.read_text("utf-8") for path in MODULES.values()}
    assert [path for path, text in texts.items() if exempt.search(text) and path != loop] == []
    assert texts[loop].count("noqa") <= 1


# ----- what is public, compiled and packaged ------------------------------------------------------


def _public():
    for name in (
        "sklearn_bce",
        "sklearn_bce.chain_rule",
        "sklearn_bce.dask",
        "sklearn_bce.inference",
    ):
        module = import_module(name)
        own = [name for name, value in vars(module).items() if inspect.isclass(value)]
        own = [n for n in own if getattr(module, n).__module__.startswith(name)]
        for attribute in getattr(module, "__all__", own):
            if inspect.isclass(getattr(module, attribute)) or inspect.isfunction(
                getattr(module, attribute)
            ):
                yield name, attribute


@pytest.mark.parametrize(("path", "name"), [*_public()])
def test_public_names_say_the_path_that_they_are_imported_from(path, name):
    public = getattr(import_module(path), name)
    assert (public.__module__, public.__qualname__) == (path, name)


def _compiled_signatures():
    for path in PACKAGE.rglob("*.pyx"):
        for name, arguments in re.findall(
            r"^def (\w+)\((.*?)\):", path.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL
        ):
            arguments = re.sub(r"\[[^\]]*\]", "", arguments)
            without_defaults = re.sub(r"=[^,]*", "", arguments)
            yield name, [argument.split()[-1] for argument in without_defaults.split(",")]


@pytest.mark.parametrize(("name", "arguments"), [*_compiled_signatures()])
def test_a_compiled_loop_has_a_reference_with_the_same_arguments(name, arguments):
    assert hasattr(COMPILED, name)
    *first, last = inspect.signature(getattr(reference, name)).parameters.values()
    names = [parameter.name for parameter in (*first, last)]
    if last.kind is last.VAR_POSITIONAL:  # handed on to another loop
        assert names[:-1] == arguments[: len(first)]
    else:
        assert names == arguments


def test_packages_of_pyproject_are_the_folders():
    declared = PYPROJECT["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(ROOT) for path in PACKAGE.rglob("*.py")}
    assert sorted(declared) == sorted(".".join(folder.parts) for folder in folders)


@pytest.mark.skipif(COMPILED is None, reason="the kernels are not compiled")
@pytest.mark.skipif(
    bool(sysconfig.get_config_var("Py_GIL_DISABLED")), reason="free-threaded Python: no limited API"
)
def test_compiled_modules_are_of_the_limited_api_and_none_of_another_build_hides_them():
    """Python prefers a module of its own version to one of the limited API beside it."""
    stable = ".pyd" if os.name == "nt" else ".abi3.so"
    for source in (PACKAGE / "_kernels").glob("*.pyx"):
        module = import_module(f"sklearn_bce._kernels.{source.stem}")
        assert Path(module.__file__).name == source.stem + stable


def test_sources_of_compiled_modules_in_pyproject_are_the_pyx_files():
    shared, *modules = PYPROJECT["tool"]["setuptools"]["ext-modules"]
    assert shared["sources"] == ["sklearn_bce/_kernels/_cyutility.c"]  # written by Cython
    sources = [source for module in modules for source in module["sources"]]
    assert sorted(sources) == sorted(str(path.relative_to(ROOT)) for path in PACKAGE.rglob("*.pyx"))
    for module in modules:
        assert module["name"].replace(".", "/") == module["sources"][0].removesuffix(".pyx")
