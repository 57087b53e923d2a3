"""Change one sign or factor of the package at a time, and see whether its tests notice; by hand.

    python tests/mutate.py
    python tests/mutate.py --only "_penalty.py"

Each mutant of mutants.json is made in a copy of the tree: `old`, in a file of the package, becomes
`new` (the `which`-th place, counted from 1, where it stands in several), kernels are compiled, and
the test files named are run until one fails. Some mutants are equivalent, which is said of them:
nobody can tell. All take more than an hour. The exit code is 1 if one of the others has survived,
or its place has changed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
TIMEOUT = 300  # seconds; who takes longer has noticed


def call(command, tree):
    """Run Python in the tree, with the package of the tree; return whether it ended well."""
    return (
        subprocess.run(
            [sys.executable, *command],
            cwd=tree,
            env=os.environ | {"PYTHONPATH": str(tree)},
            capture_output=True,
            timeout=TIMEOUT,
        ).returncode
        == 0
    )


def build(tree):
    """Compile the kernels of the tree, by what pyproject.toml asks for, and put them there."""
    with tempfile.TemporaryDirectory() as folder:
        install = ["-m", "pip", "install", "--quiet", "--no-deps", "--target", folder, "."]
        kernels = list(Path(folder).glob("sklearn_bce/*.so")) if call(install, tree) else []
        if len(kernels) < len(list(tree.glob("sklearn_bce/*.pyx"))):  # they are optional
            raise SystemExit("The kernels do not compile.")
        for kernel in kernels:
            shutil.copy(kernel, tree / "sklearn_bce")


def changed(text, mutant):
    """Return the text of a file with the mutation; None if there is no such place."""
    if text.count(mutant["old"]) < mutant.get("which", 1):
        return None
    at = -1
    for _ in range(mutant.get("which", 1)):
        at = text.index(mutant["old"], at + 1)
    return text[:at] + mutant["new"] + text[at + len(mutant["old"]) :]


def is_noticed(mutant, tree):
    command = ["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        return not all(call([*command, f"tests/test_{name}.py"], tree) for name in mutant["tests"])
    except subprocess.TimeoutExpired:
        return True


def fate(mutant, tree):
    """Return what becomes of a mutant; the tree is afterwards as it was."""
    path = tree / "sklearn_bce" / mutant["file"]
    text, compiled = path.read_text("utf-8"), path.suffix != ".py"
    kernels = {kernel: kernel.read_bytes() for kernel in path.parent.glob("*.so")}
    mutated = changed(text, mutant)
    if mutated is None:
        return "GONE"
    try:
        path.write_text(mutated, "utf-8")
        if compiled:
            build(tree)
        if is_noticed(mutant, tree):
            return "killed"
        return "equivalent" if "equivalent" in mutant else "SURVIVED"
    finally:
        path.write_text(text, "utf-8")
        for kernel, code in kernels.items():
            kernel.write_bytes(code)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--only", default="", help='a regular expression for "file: what"')
    options = parser.parse_args()
    mutants = json.loads((ROOT / "tests" / "mutants.json").read_text("utf-8"))
    fates = Counter()
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info"))
        build(tree)
        for mutant in mutants:
            name = f"{mutant['file']}: {mutant['what']}"
            if re.search(options.only, name):
                what = fate(mutant, tree)
                fates[what] += 1
                print(f"{what:10}  {name}", flush=True)
    print(", ".join(f"{count} {what}" for what, count in fates.items()))
    return 1 if fates["SURVIVED"] or fates["GONE"] else 0


if __name__ == "__main__":
    sys.exit(main())
