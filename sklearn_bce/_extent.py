"""How much there is of the samples: what passes over them cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.sparse import issparse


@dataclass(frozen=True)
class Extent:
    """The extent of samples X.

    Attributes
    ----------
    n_samples : int
        Number of rows.
    dtype : dtype
        float32 or float64.
    is_sparse : bool
        Whether X is CSR.
    n_stored : float
        Values stored.
    n_pairs : float
        Pairs of values stored in the same row.
    """

    n_samples: int
    dtype: np.dtype
    is_sparse: bool
    n_stored: float
    n_pairs: float

    @classmethod
    def of(cls, X: Any) -> Extent:
        """Return that of an array or CSR."""
        if not issparse(X):
            return cls(len(X), X.dtype, False, float(X.size), float(X.size) * X.shape[1])
        lengths = np.diff(X.indptr).astype(np.float64)
        return cls(X.shape[0], X.dtype, True, float(X.nnz), float(lengths @ lengths))

    def __add__(self, other: Extent) -> Extent:
        """Return that of both, one below the other."""
        return Extent(
            self.n_samples + other.n_samples,
            np.promote_types(self.dtype, other.dtype),
            self.is_sparse and other.is_sparse,
            self.n_stored + other.n_stored,
            self.n_pairs + other.n_pairs,
        )
