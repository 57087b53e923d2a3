# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Sums over the rows of a CSR matrix; ``_kernel_twins.py`` says the same in NumPy.

Arrays are allocated by the caller; which ones are changed is said of each function. None holds the
GIL. Common to all:

data, indices, indptr : rows, indices sorted within each; indptr may be a slice of a longer one
v, c : (n_features,) weights, and intercept
weight : (n_samples,) weights h
z : (n_samples,) outputs
sums : (n_features + 1,) to which Σ hx is added and, in the last entry, Σ h
"""
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc

from sklearn_bce._kernels.types cimport index, real

cdef extern from "sigmoid.h" nogil:
    double bce_activate(const double *y, const double *z, const double *s, int64_t step,
                        double *slope, double *curvature, int64_t n)

# Rows whose outputs are put through the activation together; read for z = Xw, they are then still
# in the cache for Xᵀ(a−y).
cdef enum:
    BATCH = 256


cdef inline double row_output(const real *data, const index *indices, Py_ssize_t start,
                              Py_ssize_t stop, const double *v, double c) noexcept nogil:
    """Return c + Σ vx of a row."""
    cdef Py_ssize_t e
    for e in range(start, stop):
        c += v[indices[e]] * data[e]
    return c


cdef inline void add_row(const real *data, const index *indices, Py_ssize_t start,
                         Py_ssize_t stop, double weight, double *sums) noexcept nogil:
    """Add hx of a row."""
    cdef Py_ssize_t e
    for e in range(start, stop):
        sums[indices[e]] += weight * data[e]


def csr_outputs(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                const double[::1] v, double c, double[::1] z):
    """Set z to Xv + c."""
    cdef Py_ssize_t i
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    with nogil:
        for i in range(z.shape[0]):
            z[i] = row_output(x, j, indptr[i], indptr[i + 1], &v[0], c)


def csr_sums(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] weight, double[::1] sums):
    """Add Σ hx and Σ h to sums."""
    cdef Py_ssize_t i
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double total = 0.0
    with nogil:
        for i in range(weight.shape[0]):
            add_row(x, j, indptr[i], indptr[i + 1], weight[i], &sums[0])
            total += weight[i]
    sums[sums.shape[0] - 1] += total


def csr_product(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                const double[::1] v, double c, const double[::1] weight, double[::1] z,
                double[::1] sums):
    """Do as `dense_product`."""
    cdef Py_ssize_t i
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double weighted, total = 0.0
    with nogil:
        for i in range(z.shape[0]):
            z[i] = row_output(x, j, indptr[i], indptr[i + 1], &v[0], c)
            weighted = weight[i] * z[i]
            add_row(x, j, indptr[i], indptr[i + 1], weighted, &sums[0])
            total += weighted
    sums[sums.shape[0] - 1] += total


def csr_loss(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] v, double c, bint known,
             const double[::1] y, const double[:] weight, double[::1] z,
             double[::1] slope, double[::1] curvature, double[::1] sums):
    """Do as `dense_loss`."""
    cdef Py_ssize_t i, start = 0, n, step = weight.strides[0] // <Py_ssize_t> sizeof(double)
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double loss = 0.0, total = 0.0
    with nogil:
        while start < z.shape[0]:
            n = min(BATCH, z.shape[0] - start)
            if not known:
                for i in range(start, start + n):
                    z[i] = row_output(x, j, indptr[i], indptr[i + 1], &v[0], c)
            loss += bce_activate(&y[start], &z[start], &weight[start], step, &slope[start],
                                 &curvature[start], n)
            for i in range(start, start + n):
                add_row(x, j, indptr[i], indptr[i + 1], slope[i], &sums[0])
                total += slope[i]
            start += n
    sums[sums.shape[0] - 1] += total
    return loss


def csr_squares(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                const double[::1] weight, double[::1] first, double[::1] second):
    """Do as `dense_squares`."""
    cdef Py_ssize_t i, e, last = first.shape[0] - 1
    cdef double weighted
    with nogil:
        for i in range(weight.shape[0]):
            for e in range(indptr[i], indptr[i + 1]):
                weighted = weight[i] * data[e]
                first[indices[e]] += weighted
                second[indices[e]] += weighted * data[e]
            first[last] += weight[i]
            second[last] += weight[i]


def csr_gram(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] weight, const Py_ssize_t[::1] position, double[:, ::1] gram):
    """Do as `dense_gram`, given the position of each column in gram, or −1 if it has none."""
    cdef Py_ssize_t i, e, j, k, n, last = gram.shape[0] - 1, longest = 0
    cdef double weighted
    for i in range(weight.shape[0]):
        longest = max(longest, indptr[i + 1] - indptr[i])
    cdef Py_ssize_t *at = <Py_ssize_t *> malloc((longest + 1) * sizeof(Py_ssize_t))
    cdef double *x = <double *> malloc((longest + 1) * sizeof(double))
    if at == NULL or x == NULL:
        free(at)
        free(x)
        raise MemoryError
    with nogil:
        for i in range(weight.shape[0]):
            n = 0
            for e in range(indptr[i], indptr[i + 1]):
                if position[indices[e]] >= 0:
                    at[n] = position[indices[e]]
                    x[n] = data[e]
                    n += 1
            at[n] = last
            x[n] = 1.0
            for j in range(n + 1):
                weighted = weight[i] * x[j]
                for k in range(j + 1):
                    gram[at[j], at[k]] += weighted * x[k]
        free(at)
        free(x)
