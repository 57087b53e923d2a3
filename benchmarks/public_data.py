"""``python -m benchmarks.public_data FOLDER``: download adult, a8a and w8a for ``--data FOLDER``.

adult is on OpenML, from which scikit-learn downloads it; a8a and w8a are svmlight files of the page
of data sets of LIBSVM. A file that is in the folder already is kept.

References
----------
B. Becker and R. Kohavi, "Adult", UCI Machine Learning Repository (1996), doi:10.24432/C5XW20.
J. C. Platt, "Fast training of support vector machines using sequential minimal optimization", in
Advances in Kernel Methods (1998): a8a, made from adult, and w8a, of words of web pages.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import numpy as np
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.datasets import fetch_openml
from sklearn.preprocessing import OneHotEncoder

LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/binary"
OPENML = "https://www.openml.org/d/1590"
ADULT = {"name": "adult", "version": 2}  # version 1 has its amounts of money in five classes
SECONDS = 60  # to wait for an answer


def write_adult(path: Path) -> None:
    """Write adult of OpenML: numbers as they are, one column for each other value, y by income."""
    table, y = fetch_openml(**ADULT, as_frame=True, return_X_y=True)
    one_hot = OneHotEncoder(sparse_output=False)  # a missing value is a value of its own
    columns = make_column_transformer(
        ("passthrough", make_column_selector(dtype_include="number")),
        (one_hot, make_column_selector(dtype_exclude="number")),
    )
    X = columns.fit_transform(table).astype(np.float64)
    with path.open("wb") as file:
        np.savez_compressed(file, X=X, y=np.asarray(y, dtype=str))


def write_libsvm(name: str, path: Path) -> None:
    """Write a file of the page of LIBSVM as it is."""
    with urlopen(f"{LIBSVM}/{name}", timeout=SECONDS) as answer:
        content = answer.read()
    path.write_bytes(content)


# Of each file: what writes it, and the page that has the data.
FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "adult.npz": (write_adult, OPENML),
    "a8a.svm": (partial(write_libsvm, "a8a"), f"{LIBSVM}/a8a"),
    "w8a.svm": (partial(write_libsvm, "w8a"), f"{LIBSVM}/w8a"),
}


def download(folder: Path) -> list[str]:
    """Write the files that the folder lacks; return a message for each that was not downloaded."""
    folder.mkdir(parents=True, exist_ok=True)
    failures = []
    for name, (write, page) in FILES.items():
        if (folder / name).exists():
            continue
        part = folder / f"{name}.part"  # an interrupt leaves no file that seems to be complete
        try:
            write(part)
            part.replace(folder / name)
        except (OSError, ValueError) as error:  # no network, or another answer than the data
            part.unlink(missing_ok=True)
            failures.append(
                f"{name} was not downloaded from {page}: {error}. The benchmarks run without it; "
                "with a network, run this command again."
            )
    return failures


def main(arguments: Sequence[str] | None = None) -> None:
    """Download into the folder on the command line; exit with status 1 if a file is missing."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.public_data",
        description="Download adult, a8a and w8a for python -m benchmarks --data FOLDER.",
    )
    parser.add_argument("folder", type=Path, help="folder of the files")
    folder = parser.parse_args(arguments).folder
    if failures := download(folder):
        sys.exit("\n".join(failures))
    print(f"{', '.join(FILES)} are in {folder}")


if __name__ == "__main__":
    main()
