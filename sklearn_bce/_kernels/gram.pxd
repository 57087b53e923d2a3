# cython: language_level=3
"""Sums of products of columns over a chunk of rows, by BLAS or, of few columns, by tiles."""
from libc.stdint cimport uintptr_t
from scipy.linalg.cython_blas cimport dsyrk

cdef extern from "gram.h" nogil:
    enum:
        BCE_MOST_COLUMNS
        BCE_TILE_COLUMNS
    void bce_add_gram(const double *x, Py_ssize_t n, Py_ssize_t width, Py_ssize_t size, double *gram,
                      Py_ssize_t row_stride, Py_ssize_t column_stride)

cdef enum:
    # Rows of a chunk of few columns: tiles read them one after the other, from the second-level
    # cache. python -m benchmarks.tuning TILED_ROWS
    TILED_ROWS = 256
    # Bytes of a chunk for BLAS, and its least number of rows. BLAS copies them, and adds their
    # products to the whole of a matrix: with 32 rows of 1000 columns that takes a tenth longer, and
    # with 10 rows of 3000 half as long again. python -m benchmarks.tuning LEAST_ROWS
    CHUNK_BYTES = 262144
    LEAST_ROWS = 256
    # Elements of a line of the cache, 64 bytes: a vector on two lines takes two reads.
    CACHE_LINE = 8


cdef inline int gram_width(int n_columns) noexcept nogil:
    """Return the number of elements of a row of a chunk; those after the columns must be 0."""
    if n_columns > BCE_MOST_COLUMNS:
        return n_columns
    return (n_columns + BCE_TILE_COLUMNS - 1) // BCE_TILE_COLUMNS * BCE_TILE_COLUMNS


cdef inline int gram_rows(int n_columns) noexcept nogil:
    """Return the number of rows of a chunk."""
    if n_columns > BCE_MOST_COLUMNS:
        return max(LEAST_ROWS, CHUNK_BYTES // (n_columns * <int> sizeof(double)))
    return TILED_ROWS


cdef inline Py_ssize_t gram_memory(int n_columns) noexcept nogil:
    """Return the number of elements of memory that `gram_chunk` needs."""
    return <Py_ssize_t> gram_rows(n_columns) * gram_width(n_columns) + CACHE_LINE


cdef inline double *gram_chunk(double *memory) noexcept nogil:
    """Return the chunk in the memory: its beginning, at a line of the cache."""
    cdef uintptr_t line = CACHE_LINE * sizeof(double)
    return <double *> ((<uintptr_t> memory + line - 1) // line * line)


cdef inline void add_gram(double *x, int n, int n_columns, char triangle,
                          double *gram) noexcept nogil:
    """Add Σ xxᵀ over n rows of a chunk to a triangle of gram, (n_columns, n_columns).

    ``triangle`` is c"L" or c"U", in the order of Fortran, as for BLAS; nothing else is changed.
    """
    cdef int width = gram_width(n_columns)
    cdef double one = 1.0
    if n_columns > BCE_MOST_COLUMNS:
        dsyrk(&triangle, "N", &n_columns, &n, &one, x, &width, &one, gram, &n_columns)
    elif triangle == c"L":
        bce_add_gram(x, n, width, n_columns, gram, 1, n_columns)
    else:
        bce_add_gram(x, n, width, n_columns, gram, n_columns, 1)
