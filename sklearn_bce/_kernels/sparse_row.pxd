# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Products with the stored values of a row of a CSR matrix, or of a column of a CSC matrix."""
from sklearn_bce._kernels.types cimport index, real


cdef inline double sparse_dot(const real *x, const index *j, Py_ssize_t n,
                              const double *w) noexcept nogil:
    """Return Σ wx of a row that stores n values x of the features j.

    Four independent sums are added at the end: an addition has a latency of 3 to 5 cycles on
    current x86-64 processors (A. Fog, "Instruction tables"), and a single sum would wait that long
    for each term.
    """
    cdef double first = 0.0, second = 0.0, third = 0.0, fourth = 0.0
    cdef Py_ssize_t e, whole = n - n % 4
    for e in range(0, whole, 4):
        first += w[j[e]] * x[e]
        second += w[j[e + 1]] * x[e + 1]
        third += w[j[e + 2]] * x[e + 2]
        fourth += w[j[e + 3]] * x[e + 3]
    for e in range(whole, n):
        first += w[j[e]] * x[e]
    return (first + second) + (third + fourth)


cdef inline void add_sparse(double factor, const real *x, const index *j, Py_ssize_t n,
                            double *w) noexcept nogil:
    """Add factor · x to the entries j of w, of a row that stores n values x of the features j.

    No feature is stored twice. Four entries are read before one is written: the processor does not
    know that they are different, and would wait for each to be written before it reads the next.
    """
    cdef double first, second, third, fourth
    cdef Py_ssize_t e, whole = n - n % 4
    for e in range(0, whole, 4):
        first = w[j[e]] + factor * x[e]
        second = w[j[e + 1]] + factor * x[e + 1]
        third = w[j[e + 2]] + factor * x[e + 2]
        fourth = w[j[e + 3]] + factor * x[e + 3]
        w[j[e]] = first
        w[j[e + 1]] = second
        w[j[e + 2]] = third
        w[j[e + 3]] = fourth
    for e in range(whole, n):
        w[j[e]] += factor * x[e]
