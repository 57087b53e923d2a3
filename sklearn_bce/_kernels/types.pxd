# cython: language_level=3
"""Types of the stored values of X, and of the indices of a CSR or CSC matrix."""
from libc.stdint cimport int32_t, int64_t

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t
