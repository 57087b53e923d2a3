"""Compiled loops over samples, and as many threads as the process was given.

- ``threads``: how many threads a fit may use, and ranges of rows for each.
- ``reference``: the loops in NumPy: what the compiled ones are tested against, and the fallback.
- ``dense, csr``: sums over rows of an array and of a CSR matrix.
- ``coordinate_descent``: coordinate descent on a quadratic model with an L1 norm.
- ``sgd``: the per-sample rule.
- ``types``, ``soft_threshold``, ``log_sum``, ``sigmoid.h``: what the compiled loops share, which is
  types, the L1 norm in one coordinate, sums of losses and the sigmoid of many samples at once.
"""

from __future__ import annotations

import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sklearn_bce._kernels import reference

try:
    from sklearn_bce._kernels import coordinate_descent, csr, dense, sgd
except ImportError:
    COMPILED = None
else:
    COMPILED = SimpleNamespace()
    for module in (dense, csr, coordinate_descent, sgd):
        vars(COMPILED).update(vars(module))

Vector = NDArray[np.float64]


@cache
def kernels() -> Any:
    """Return the namespace of the loops to use; warn, once, if that is `reference`."""
    if COMPILED is not None:
        return COMPILED
    warnings.warn(
        "sklearn_bce was installed without its compiled kernels and falls back to NumPy: "
        "solver='sgd' is some hundred times slower. Reinstall with a C compiler at hand.",
        RuntimeWarning,
        stacklevel=2,
    )
    return reference
