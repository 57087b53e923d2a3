"""Change one sign or factor of the package at a time, and see whether its tests notice.

    python tests/tools/mutate.py --jobs 2
    python tests/tools/mutate.py --only "penalty.*prox"
    python tests/tools/mutate.py --list
    python tests/tools/mutate.py --rewrite

The mutants are the lines of mutants.jsonl. The first lines list the files of the package, each with
a key, its path, and the tests that are to notice, the likeliest first::

    {"key": "penalty", "path": "_objective/penalty.py", "tests": ["penalty", "objective"]}

Each other line is a mutant: `old`, a piece of the function `in` of the file with the key `file`,
becomes `new`. `old` and `new` are patterns of tokens (see token_pattern.py): they survive that a
name in them is changed, or their function moves within its file; where a module moves, its line at
the head is the one edit. `which` says which of several equal places is meant, `tests` replaces the
tests of the file, and `equivalent` says why no test can notice the mutant.

Each mutant is made in a copy of the tree, and the tests named are run until one fails. Kernels are
compiled once, and again in one of the copies for a mutant of a kernel. All mutants take more than
an hour of one core. The exit code is 1 if a mutant that is not equivalent survives, or the place of
one is gone, and 2 if the tests fail on the package as it is.
"""

import argparse
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from token_pattern import Match, changed, enclosing_function, find, matches, tokens_of, with_names

ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("mutants.jsonl")
TIMEOUT = 900  # seconds; a mutant whose tests take longer is killed: one of them never ends
FATES = ("killed", "equivalent", "SURVIVED", "GONE")


class Mutant(NamedTuple):
    """A line of the table, with what its file's line says."""

    key: str
    path: str
    function: str
    what: str
    old: str
    new: str
    which: int
    tests: list[str]
    equivalent: str

    @property
    def name(self) -> str:
        """What `--only` searches."""
        return f"{self.path}: {self.function}: {self.what}"

    def place(self, package: Path) -> tuple[str, Match | None]:
        """Return the text of the mutant's file, and where it lies; None if it is gone."""
        file = package / self.path
        text = file.read_text("utf-8") if file.exists() else ""
        return text, find(self.old, text, function=self.function, which=self.which)


def mutants_of(table: Path = TABLE) -> list[Mutant]:
    """Return the mutants of a table."""
    rows = [json.loads(line) for line in table.read_text("utf-8").splitlines()]
    files = {row["key"]: row for row in rows if "key" in row}
    return [
        Mutant(
            row["file"],
            files[row["file"]]["path"],
            row["in"],
            row["what"],
            row["old"],
            row["new"],
            row.get("which", 1),
            row.get("tests", files[row["file"]]["tests"]),
            row.get("equivalent", ""),
        )
        for row in rows
        if "file" in row
    ]


def rewritten(table: Path = TABLE, package: Path = ROOT / "sklearn_bce") -> str:
    """Return the table with the names and numbers that its places have in the package now."""
    lines, mutants = [], iter(mutants_of(table))
    for line in table.read_text("utf-8").splitlines():
        row = json.loads(line)
        if "file" in row:
            text, match = next(mutants).place(package)
            if match is not None:
                row |= {
                    "in": enclosing_function(text, match.start),
                    "old": " ".join(text[match.start : match.end].split()),
                    "new": with_names(row["new"], match.names),
                }
                row.pop("which", None)
                if len(matches(tokens_of(row["old"]), tokens_of(text))) > 1:
                    row["which"] = match.ordinal
        lines.append(json.dumps(row, ensure_ascii=False) + "\n")
    return "".join(lines)


def run_python(
    command: list[str], tree: Path, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Python in a tree, with the package of that tree; no bytecode is left to be stale."""
    return subprocess.run(
        [sys.executable, *command],
        cwd=tree,
        env=os.environ | {"PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def build(tree: Path) -> dict[Path, bytes]:
    """Compile the kernels of a tree as pyproject.toml says, in place; return their bytes.

    Raises
    ------
    SystemExit
        If one of them does not compile: setuptools goes on without, for they are optional.
    """
    source = tree / "sklearn_bce" / "_kernels"
    with tempfile.TemporaryDirectory() as folder:
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "."]
        if find_spec("Cython") and find_spec("setuptools"):
            install.append("--no-build-isolation")
        result = run_python(install, tree)
        built = list(Path(folder).glob("sklearn_bce/_kernels/*.so"))
        if len(built) < len(list(source.glob("*.pyx"))):
            raise SystemExit(f"The kernels of {tree} do not compile.\n{result.stderr}")
        for kernel in built:
            shutil.copy(kernel, source)
    return {kernel: kernel.read_bytes() for kernel in source.glob("*.so")}


def first_failure(tests: list[str], tree: Path, timeout: float | None = None) -> str:
    """Return the first test that fails in a tree, or does not end in time; "" if all pass."""
    files = [f"tests/test_{name}.py" for name in tests]
    options = ["-x", "-q", "-n0", "--no-header", "--tb=no", "-p", "no:cacheprovider"]
    try:
        result = run_python(["-m", "pytest", *options, *files], tree, timeout)
    except subprocess.TimeoutExpired:
        return "a test that does not end"
    if result.returncode == 0:
        return ""
    if result.returncode < 0:
        return f"a crash by signal {-result.returncode}"
    failed = re.search(r"^(?:FAILED|ERROR) (?:tests/)?(\S+)", result.stdout, re.MULTILINE)
    if failed is None or "file or directory not found" in result.stderr:
        raise SystemExit(f"pytest has not run in {tree}.\n{result.stdout}{result.stderr}")
    return failed.group(1)


def fate_of(mutant: Mutant, tree: Path) -> tuple[str, str]:
    """Return what becomes of a mutant, and the test that noticed; the tree is then as it was."""
    package = tree / "sklearn_bce"
    text, match = mutant.place(package)
    if match is None:
        return "GONE", ""
    path = package / mutant.path
    kernels = {each: each.read_bytes() for each in (package / "_kernels").glob("*.so")}
    try:
        path.write_text(changed(mutant.old, mutant.new, text, match), "utf-8")
        if path.suffix != ".py":
            check_compiled(mutant, path, kernels, build(tree))
        noticed = first_failure(mutant.tests, tree, TIMEOUT)
    finally:
        path.write_text(text, "utf-8")
        for kernel, code in kernels.items():
            kernel.write_bytes(code)
    if noticed:
        return "killed", noticed
    return ("equivalent", "") if mutant.equivalent else ("SURVIVED", "")


def check_compiled(
    mutant: Mutant, path: Path, before: dict[Path, bytes], after: dict[Path, bytes]
) -> None:
    """Raise SystemExit unless a user of the mutant's file was compiled anew.

    So may be others, whose header was the file of the mutant before.
    """
    users = {path.stem}
    if path.suffix != ".pyx":
        sources = path.parent.glob("*.pyx")
        users = {each.stem for each in sources if path.stem in each.read_text("utf-8")}
    changed_kernels = {each.name.split(".")[0] for each in after if after[each] != before[each]}
    if not changed_kernels & users:
        raise SystemExit(f"{mutant.name}: compiled anew: {changed_kernels}, of {users}")


def copies(folder: Path, number: int) -> "queue.Queue[Path]":
    """Return copies of the tree, with kernels compiled."""
    trees: queue.Queue[Path] = queue.Queue()
    first = folder / "tree0"
    ignored = shutil.ignore_patterns(".*", "build", "*.egg-info", "*.so", "*.c", "__pycache__")
    shutil.copytree(ROOT, first, ignore=ignored)
    build(first)
    trees.put(first)
    for index in range(1, number):
        trees.put(Path(shutil.copytree(first, folder / f"tree{index}")))
    return trees


def run(mutants: list[Mutant], jobs: int) -> int:
    """Run the mutants, print what becomes of each, and return the exit code."""
    fates: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        trees = copies(Path(folder), jobs)
        tree = trees.get()
        failure = first_failure(sorted({test for each in mutants for test in each.tests}), tree)
        trees.put(tree)
        if failure:
            print(f"The tests fail on the package as it is: {failure}")
            return 2

        def work(mutant: Mutant) -> tuple[Mutant, str, str]:
            tree = trees.get()
            try:
                return mutant, *fate_of(mutant, tree)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            for mutant, fate, noticed in pool.map(work, mutants):
                fates[fate] += 1
                print(f"{fate:10}  {mutant.name}  {noticed}", flush=True)
    print(f"{len(mutants)} run: " + ", ".join(f"{fates[fate]} {fate.lower()}" for fate in FATES))
    return 1 if fates["SURVIVED"] or fates["GONE"] else 0


def show(mutants: list[Mutant]) -> int:
    """Print where each mutant lies, and return the exit code."""
    gone = 0
    for mutant in mutants:
        text, match = mutant.place(ROOT / "sklearn_bce")
        gone += match is None
        line = text[: match.start].count("\n") + 1 if match else "GONE"
        print(f"{mutant.path}:{line}: {mutant.function}: {mutant.what}")
        print(f"    {mutant.old}\n    {with_names(mutant.new, match.names if match else {})}")
    print(f"{len(mutants)} mutants, {gone} gone")
    return 1 if gone else 0


def main() -> int:
    """Parse the command line and do what it asks for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--only", default="", help='a regular expression for "path: function: what"'
    )
    parser.add_argument(
        "--jobs", type=int, default=1, help="copies of the tree at work (default 1)"
    )
    parser.add_argument("--list", action="store_true", help="show where each lies; run nothing")
    parser.add_argument(
        "--rewrite", action="store_true", help="write the table anew, with the names of today"
    )
    options = parser.parse_args()
    if options.rewrite:
        TABLE.write_text(rewritten(), "utf-8")
    mutants = [each for each in mutants_of() if re.search(options.only, each.name)]
    return show(mutants) if options.list or options.rewrite else run(mutants, options.jobs)


if __name__ == "__main__":
    sys.exit(main())
