"""Who may import whom, and what a module may not contain, read off the source itself."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "sklearn_bce"
MODULES = {
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
SOURCES = sorted([*PACKAGE.rglob("*.py"), *PACKAGE.rglob("*.p[xy][dx]")])
MAX_LINES = 350  # what is read in one sitting

# The estimator's modules are all that know scikit-learn, and one of them all of its private names.
ESTIMATOR = {
    "_callbacks",
    "_compat",
    "_chunks",
    "_dask_blocks",
    "_display",
    "_held_out",
    "_l1_min_c",
    "_neuron",
    "_outcome",
    "_parameters",
    "_predictions",
    "_readable",
    "_stream",
    "_targets",
    "_training",
    "_training_on_parts",
    "_validation",
    "_watch",
    "dask",
}
MATHEMATICS = {"_objective", "_point", "_penalty", "_coordinates", "_rows", "_threads"}
MATHEMATICS |= {"_extent", "_parts", "_penalised", "_survey", "chain_rule"}
PARTS = "record step cost line descent newton_step proximal_step model sample row_space memory"
PARTS += " separation"
SOLVER_PARTS = {f"_solvers._{part}" for part in PARTS.split()}
SOLVERS = {"_solvers.sgd", "_solvers.gd", "_solvers.newton"}
KERNELS = {"_rule_kernels", "_dense_kernels", "_sparse_kernels", "_model_kernels"}
MAY_IMPORT = {
    "chain_rule": set(),
    "_threads": set(),
    "_penalty": set(),
    "_point": set(),
    "_extent": set(),
    "_penalised": {"_coordinates", "_penalty", "_point"},
    "_rows": {"_kernel_choice"},
    "_coordinates": {"_rows"},
    "_design": {"_coordinates", "_kernel_choice", "_rows"},
    "_objective": {
        "_coordinates",
        "_design",
        "_extent",
        "_kernel_choice",
        "_penalised",
        "_penalty",
        "_point",
        "_rows",
        "_threads",
        "chain_rule",
    },
    "_parts": MATHEMATICS - {"_survey", "_parts"},
    "_survey": {"_coordinates", "_extent", "_parts"},
    "_kernel_twins": {"chain_rule"},
    "_kernel_choice": {*KERNELS, "_kernel_twins"},
    **dict.fromkeys(SOLVER_PARTS, MATHEMATICS | SOLVER_PARTS),
    **dict.fromkeys(
        {"_solvers._line", "_solvers._model", *SOLVERS},
        MATHEMATICS | SOLVER_PARTS | {"_kernel_choice"},
    ),
    "_solvers.__init__": SOLVERS | SOLVER_PARTS,
    "_compat": set(),
    "_readable": set(),
    "_validation": {"_readable"},
    "_targets": {"_compat", "_readable"},
    "_parameters": {"_compat", "_solvers"},
    "_predictions": {"_readable", "_targets", "_validation", "chain_rule"},
    "_callbacks": {"_compat", "_solvers"},
    "_held_out": {"_solvers", "_targets", "_validation", "chain_rule"},
    "_watch": {"_callbacks", "_held_out", "_solvers"},
    "_outcome": {"_solvers", *MATHEMATICS},
    "_training": {
        "_callbacks",
        "_held_out",
        "_outcome",
        "_parameters",
        "_solvers",
        "_validation",
        "_watch",
        *MATHEMATICS,
    },
    "_stream": {
        "_held_out",
        "_outcome",
        "_parameters",
        "_solvers",
        "_targets",
        "_validation",
        *MATHEMATICS,
    },
    "_neuron": {
        "_compat",
        "_parameters",
        "_persistence",
        "_predictions",
        "_stream",
        "_training",
    },
    "_training_on_parts": {
        "_callbacks",
        "_compat",
        "_outcome",
        "_targets",
        "_training",
        "_validation",
        *MATHEMATICS,
    },
    "_chunks": {"_targets", "_training_on_parts", "_validation", *MATHEMATICS},
    "_dask_blocks": {"_readable", "_targets", "_validation", *MATHEMATICS},
    "dask": {
        "_compat",
        "_dask_blocks",
        "_neuron",
        "_parameters",
        "_persistence",
        "_predictions",
        "_training_on_parts",
        *MATHEMATICS,
    },
    "_display": set(),
    "_version": set(),
    "_persistence": {"_stream", "_version"},
    "_l1_min_c": {"_compat", "_parameters", "_readable", "_targets", "_validation", *MATHEMATICS},
    "__init__": {"_chunks", "_display", "_neuron", "_l1_min_c", "_version", "chain_rule"},
}


def _imported(module, source=None):
    """Yield the full dotted name of everything a module imports, wherever in it that is."""
    package = ["sklearn_bce", *module.split(".")[:-1]]
    tree = ast.parse(MODULES[module].read_text("utf-8") if source is None else source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _imported_from_package(module, source=None):
    """Return the modules of the package that a module imports, or imports a name from."""
    known = {name.removesuffix(".__init__") for name in MODULES} | KERNELS
    found = set()
    for name in _imported(module, source):
        if name.split(".")[0] != "sklearn_bce":
            continue
        parts = name.split(".")[1:]
        while parts and ".".join(parts) not in known:
            parts.pop()
        found.add(".".join(parts) or "__init__")
    return found


def _imports_sklearn(module):
    return any(name.split(".")[0] == "sklearn" for name in _imported(module))


@pytest.mark.parametrize(
    ("module", "source", "expected"),
    [
        ("_solvers.gd", "from sklearn_bce import _rule_kernels as k", {"_rule_kernels"}),
        ("_solvers.gd", "from . import sgd, _record", {"_solvers.sgd", "_solvers._record"}),
        ("_solvers.gd", "from .sgd import solve", {"_solvers.sgd"}),
        ("_solvers.gd", "from ..chain_rule import sigmoid", {"chain_rule"}),
        ("_objective", "def f():\n import sklearn_bce._solvers.gd", {"_solvers.gd"}),
        ("_neuron", "from sklearn_bce._solvers import SOLVERS", {"_solvers"}),
        ("_neuron", "from sklearn_bce import __version__", {"__init__"}),
        ("chain_rule", "import numpy as np\nfrom sklearn.base import clone", set()),
    ],
)
def test_imports_are_recognised(module, source, expected):
    assert _imported_from_package(module, source) == expected


def test_every_module_has_its_rule():
    assert set(MODULES) == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES)
def test_dependencies_point_one_way(module):
    assert _imported_from_package(module) <= MAY_IMPORT[module]


def test_solvers_do_not_know_each_other():
    for solver in SOLVERS:
        assert not _imported_from_package(solver) & SOLVERS
        assert not _imports_sklearn(solver)


@pytest.mark.parametrize("module", MODULES)
def test_only_the_estimator_knows_scikit_learn(module):
    assert not _imports_sklearn(module) or module in ESTIMATOR


@pytest.mark.parametrize("module", MODULES)
def test_private_names_of_scikit_learn_stand_in_one_place(module):
    names = [name for name in _imported(module) if name.split(".")[0] == "sklearn"]
    private = [name for name in names if any(part.startswith("_") for part in name.split("."))]
    assert not private or module == "_compat"
    # Nor are they reached by attributes of what was imported.
    tree = ast.parse(MODULES[module].read_text("utf-8"))
    chains = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    assert not [chain for chain in chains if re.match(r"sklearn\..*\b_[a-z]", chain)]


def test_kernels_know_nothing_but_the_c_library_and_blas():
    for path in PACKAGE.glob("*.p[xy][dx]"):
        lines = path.read_text("utf-8").splitlines()
        words = [line.split() for line in lines if re.match(r"\s*(from|import|cimport)\b", line)]
        assert words
        allowed = {"libc", "scipy", *(f"sklearn_bce.{path.stem}" for path in PACKAGE.glob("*.pxd"))}
        assert {line[1] for line in words if line[1].split(".")[0] not in allowed} <= allowed


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_read_in_one_sitting(path):
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_is_printed(path):
    """But in the examples of docstrings, which are lines that begin with a prompt."""
    code = re.sub(r"^ *(>>>|\.\.\.) .*", "", path.read_text("utf-8"), flags=re.MULTILINE)
    assert not re.search(r"(?<![\w.])print\(", code)


def test_nothing_refers_to_what_is_outside_the_repository():
    texts = [*PACKAGE.rglob("*"), *(ROOT / "benchmarks").rglob("*")]
    suffixes = {".py", ".pyx", ".md", ".toml", ".json", ".yml"}
    read = [path for path in texts if path.suffix in suffixes]
    assert len(read) > len(MODULES)
    assert [path for path in read if "../shared" in path.read_text("utf-8")] == []
