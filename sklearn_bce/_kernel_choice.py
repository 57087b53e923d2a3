"""The compiled kernels where they were built, else their NumPy twins."""

from __future__ import annotations

import warnings
from functools import cache
from types import SimpleNamespace
from typing import Any

from sklearn_bce import _kernel_twins

try:
    from sklearn_bce import _dense_kernels, _model_kernels, _rule_kernels, _sparse_kernels
except ImportError:
    COMPILED = None
else:
    COMPILED = SimpleNamespace()
    for module in (_dense_kernels, _sparse_kernels, _model_kernels, _rule_kernels):
        vars(COMPILED).update(vars(module))


@cache
def kernels() -> Any:
    """Return the module of kernels to use; warn, once, if it is that of the twins."""
    if COMPILED is not None:
        return COMPILED
    warnings.warn(
        "sklearn_bce was installed without its compiled kernels and falls back to NumPy: "
        "solver='sgd' is some hundred times slower. Reinstall with a C compiler at hand.",
        RuntimeWarning,
        stacklevel=2,
    )
    return _kernel_twins
