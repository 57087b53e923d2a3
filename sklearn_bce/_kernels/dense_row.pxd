# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Products with a row of an array: those of `sparse_row` for dense rows."""
from scipy.linalg.cython_blas cimport daxpy, ddot

from sklearn_bce._kernels.types cimport real

cdef extern from "dense_row.h" nogil:
    double bce_float_dot(const float *x, const double *w, Py_ssize_t n)
    double bce_float_square(const float *x, Py_ssize_t n)
    void bce_float_add(double factor, const float *x, double *w, Py_ssize_t n)

cdef enum:
    # Features from which on a call of BLAS, or of a loop for the instruction set, takes less time
    # than a loop on the spot; the two cross between 50 and 80 features:
    # python -m benchmarks.tuning LONG_ROW
    LONG_ROW = 64


cdef inline double dot(const real *x, const double *w, int n) noexcept nogil:
    """Return Σ wx of a dense row of n features, by four sums or more; see `sparse_dot`."""
    cdef double first = 0.0, second = 0.0, third = 0.0, fourth = 0.0
    cdef int j, one = 1, whole = n - n % 4
    if n >= LONG_ROW:
        if real is double:
            return ddot(&n, <double *> x, &one, <double *> w, &one)
        return bce_float_dot(<float *> x, w, n)
    for j in range(0, whole, 4):
        first += w[j] * x[j]
        second += w[j + 1] * x[j + 1]
        third += w[j + 2] * x[j + 2]
        fourth += w[j + 3] * x[j + 3]
    for j in range(whole, n):
        first += w[j] * x[j]
    return (first + second) + (third + fourth)


cdef inline double square(const real *x, int n) noexcept nogil:
    """Return Σ x² of a dense row of n features."""
    if real is double:
        return dot(x, <double *> x, n)
    return bce_float_square(<float *> x, n)


cdef inline void add_scaled(double factor, const real *x, double *w, int n) noexcept nogil:
    """Add factor · x to w, both of n features."""
    cdef int j, one = 1
    if n >= LONG_ROW:
        if real is double:
            daxpy(&n, &factor, <double *> x, &one, w, &one)
        else:
            bce_float_add(factor, <float *> x, w, n)
        return
    for j in range(n):
        w[j] += factor * x[j]
