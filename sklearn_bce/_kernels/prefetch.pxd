# cython: language_level=3, cdivision=True
"""Prefetching of rows that are visited in random order."""
cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define BCE_PREFETCH(address) __builtin_prefetch(address)
    #else
    #define BCE_PREFETCH(address)
    #endif
    """
    void BCE_PREFETCH(const void *address) noexcept nogil

cdef enum:
    # Bytes that one prefetch brings: the cache line of x86-64 and of most ARM processors.
    CACHE_LINE = 64
    # Bytes of a row that are prefetched, at most: a page of memory. Beyond that the hardware has
    # seen the stride and prefetches by itself: python -m benchmarks.tuning PREFETCH_BYTES
    PREFETCH_BYTES = 4096
    # Rows of an array between the one in use and the one that is prefetched, so that the memory has
    # answered before the row is needed: python -m benchmarks.tuning DENSE_ROWS_AHEAD
    DENSE_ROWS_AHEAD = 2
    # The same for rows of a CSR matrix: python -m benchmarks.tuning SPARSE_ROWS_AHEAD
    SPARSE_ROWS_AHEAD = 4


cdef inline void prefetch(const void *start, Py_ssize_t n_bytes) noexcept nogil:
    """Prefetch the first bytes, at most PREFETCH_BYTES, into the cache."""
    cdef Py_ssize_t offset = 0
    cdef Py_ssize_t end = n_bytes if n_bytes < PREFETCH_BYTES else PREFETCH_BYTES
    while offset < end:
        BCE_PREFETCH(<const char *> start + offset)
        offset += CACHE_LINE
