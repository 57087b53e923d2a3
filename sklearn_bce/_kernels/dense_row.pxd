# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""Products with a row of an array: those of `sparse_row` for dense rows."""
from scipy.linalg.cython_blas cimport daxpy, ddot

from sklearn_bce._kernels.types cimport real

cdef enum:
    # Features from which on a call of BLAS takes less time than a loop; the two cross between 50
    # and 80 features: python -m benchmarks.tuning BLAS_WIDTH
    BLAS_WIDTH = 64


cdef inline double dot(const real *x, const double *w, int n) noexcept nogil:
    """Return Σ wx of a dense row of n features, by four sums; see `sparse_dot`."""
    cdef double first = 0.0, second = 0.0, third = 0.0, fourth = 0.0
    cdef int j, one = 1, whole = n - n % 4
    if real is double:
        if n >= BLAS_WIDTH:
            return ddot(&n, <double *> x, &one, <double *> w, &one)
    for j in range(0, whole, 4):
        first += w[j] * x[j]
        second += w[j + 1] * x[j + 1]
        third += w[j + 2] * x[j + 2]
        fourth += w[j + 3] * x[j + 3]
    for j in range(whole, n):
        first += w[j] * x[j]
    return (first + second) + (third + fourth)


cdef inline void add_scaled(double factor, const real *x, double *w, int n) noexcept nogil:
    """Add factor · x to w, both of n features."""
    cdef int j, one = 1
    if real is double:
        if n >= BLAS_WIDTH:
            daxpy(&n, &factor, <double *> x, &one, w, &one)
            return
    for j in range(n):
        w[j] += factor * x[j]
