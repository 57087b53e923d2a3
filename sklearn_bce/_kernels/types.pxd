# cython: language_level=3
"""Types of stored values and of their indices."""
from libc.stdint cimport int32_t, int64_t

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t
