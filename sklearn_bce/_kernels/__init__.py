"""Compiled loops over samples, their NumPy reference, and the threads that run them.

Modules, each of which may import those above it:

- ``threads``: how many threads a fit may use, and ranges of rows for each.
- ``reference``: all loops in NumPy, which tests compare with the compiled ones.
- ``processors.h``, ``types``, ``prefetch``: code that compiled loops share: instruction sets, types
  of X, prefetching of rows.
- ``dense_row.h``, ``dense_row``, ``sparse_row``: the same: products with a row.
- ``gram.h``, ``gram``: the same: sums of products of columns.
- ``soft_threshold``, ``log_sum``, ``sigmoid.h``: the same: the L1 norm in one coordinate, sums of
  losses, the sigmoid of many samples at once.
- ``dense``, ``csr``: compiled sums over the rows of an array and of a CSR matrix.
- ``coordinate_descent``: compiled coordinate descent on a quadratic model with an L1 norm.
- ``newton``: the compiled Newton's method for small data.
- ``sgd``: the compiled per-sample rule.
- ``dual``: compiled dual coordinate ascent.
"""

from __future__ import annotations

import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import reference

# The functions of all compiled modules in one namespace; None if they were not compiled.
COMPILED: SimpleNamespace | None
try:
    from sklearn_bce._kernels import coordinate_descent, csr, dense, dual, newton, sgd
except ImportError:
    COMPILED = None
else:
    COMPILED = SimpleNamespace()
    for module in (dense, csr, coordinate_descent, newton, sgd, dual):
        vars(COMPILED).update(vars(module))

Vector = NDArray[np.float64]


def uniform(value: float, n: int) -> Vector:
    """Return n equal numbers that take no memory (stride 0), and cannot be written to.

    `numpy.broadcast_to` does the same in three times the time.
    """
    array = np.ndarray((n,), np.float64, np.array([value], np.float64), 0, (0,))
    array.flags.writeable = False
    return array


@cache
def kernels() -> Any:
    """Return the namespace of the kernels: the compiled ones or, with a warning, `reference`.

    Returns
    -------
    kernels : namespace
        With the functions that `reference` has. The result is cached, so that the warning of
        missing compiled kernels (a RuntimeWarning) is given once in a process.
    """
    if COMPILED is not None:
        return COMPILED
    warnings.warn(
        "sklearn_bce was installed without its compiled kernels and uses NumPy instead: "
        "solver='sgd' is about a hundred times slower. Reinstall sklearn_bce where a C compiler "
        "is available.",
        RuntimeWarning,
        stacklevel=2,
    )
    return reference
