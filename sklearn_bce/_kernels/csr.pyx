# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Sums over the rows of a CSR matrix; ``reference.py`` has them in NumPy.

All arrays are allocated by the caller; those marked "changed", z and the sums, are changed in
place. The loops run without the GIL. Arguments that all functions have in common:

data, indices, indptr : the matrix X of shape (n_samples, n_features), float32 or float64, indices
    ascending within each row; indptr may be a slice of that of a matrix with more rows
w : (n_features,) weights, float64
b : intercept
row_weight : (n_samples,) one weight h for each row
z : (n_samples,) linear outputs z = Xw + b
sums : (n_features + 1,) to which Σ hx is added and, in the last entry, Σ h
"""
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy

from sklearn_bce._kernels.dense_row cimport add_scaled, square
from sklearn_bce._kernels.sparse_row cimport add_sparse, sparse_dot
from sklearn_bce._kernels.types cimport index, real

cdef extern from "sigmoid.h" nogil:
    enum:
        BCE_BATCH   # rows that csr_loss reads for z = Xw before it reads them again for Xᵀ(a−y)

    double bce_loss(const double *y, const double *z, const double *weight, int64_t stride,
                    double *slope, double *curvature, int64_t n)


def csr_outputs(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                const double[::1] w, double b, double[::1] z):
    """Set z to Xw + b."""
    cdef Py_ssize_t i
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    with nogil:
        for i in range(z.shape[0]):
            z[i] = b + sparse_dot(x + indptr[i], j + indptr[i], indptr[i + 1] - indptr[i],
                                  &w[0])


def csr_sums(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] row_weight, double[::1] sums):
    """Add Σ hx and Σ h to sums."""
    cdef Py_ssize_t i
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double total = 0.0
    with nogil:
        for i in range(row_weight.shape[0]):
            add_sparse(row_weight[i], x + indptr[i], j + indptr[i], indptr[i + 1] - indptr[i],
                       &sums[0])
            total += row_weight[i]
    sums[sums.shape[0] - 1] += total


def csr_product(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                const double[::1] w, double b, const double[::1] row_weight, double[::1] z,
                double[::1] sums):
    """Set z to Xw + b, and add Σ hzx and Σ hz to sums, reading X once."""
    cdef Py_ssize_t i
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double weighted, total = 0.0
    with nogil:
        for i in range(z.shape[0]):
            z[i] = b + sparse_dot(x + indptr[i], j + indptr[i], indptr[i + 1] - indptr[i],
                                  &w[0])
            weighted = row_weight[i] * z[i]
            add_sparse(weighted, x + indptr[i], j + indptr[i], indptr[i + 1] - indptr[i], &sums[0])
            total += weighted
    sums[sums.shape[0] - 1] += total


def csr_loss(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] w, double b, bint z_is_known,
             const double[::1] y, const double[:] normalised_weight, double[::1] z,
             double[::1] slope, double[::1] curvature, double[::1] sums,
             const double[:] offset=None):
    """Return Σ pL(y, σ(z)) at z = Xw + b + offset, in nats, with its derivatives, reading X once.

    Parameters
    ----------
    data, indices, indptr, w, b : see the module
    z_is_known, y, normalised_weight, z, slope, curvature, sums, offset : as for `dense.dense_loss`
    """
    cdef Py_ssize_t i, start = 0, n
    cdef bint has_offset = offset is not None
    cdef Py_ssize_t stride = normalised_weight.strides[0] // <Py_ssize_t> sizeof(double)
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double loss = 0.0, total = 0.0
    with nogil:
        while start < z.shape[0]:
            n = min(BCE_BATCH, z.shape[0] - start)
            if not z_is_known:
                for i in range(start, start + n):
                    z[i] = b + sparse_dot(x + indptr[i], j + indptr[i], indptr[i + 1] - indptr[i],
                                          &w[0])
                    if has_offset:
                        z[i] += offset[i]
            loss += bce_loss(&y[start], &z[start], &normalised_weight[start], stride,
                             &slope[start], &curvature[start], n)
            for i in range(start, start + n):
                add_sparse(slope[i], x + indptr[i], j + indptr[i], indptr[i + 1] - indptr[i],
                           &sums[0])
                total += slope[i]
            start += n
    sums[sums.shape[0] - 1] += total
    return loss


def csr_squares(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                const double[::1] row_weight, double[::1] first, double[::1] second):
    """Add Σ hx and Σ h to first, and Σ hx² and Σ h to second."""
    cdef Py_ssize_t i, e, last = first.shape[0] - 1
    cdef double weighted
    with nogil:
        for i in range(row_weight.shape[0]):
            for e in range(indptr[i], indptr[i + 1]):
                weighted = row_weight[i] * data[e]
                first[indices[e]] += weighted
                second[indices[e]] += weighted * data[e]
            first[last] += row_weight[i]
            second[last] += row_weight[i]


def csr_gram(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] row_weight, const Py_ssize_t[::1] position, double[:, ::1] gram):
    """Add Σ h vvᵀ to the lower triangle of gram, v being some columns of x and a last 1.

    Parameters
    ----------
    data, indices, indptr, row_weight : see the module
    position : (n_features,) place of each column in v, ascending; −1 for a column that is not in v
    gram : (n + 1, n + 1), with n columns in v, of which the lower triangle is changed
    """
    cdef Py_ssize_t i, e, j, n, last = gram.shape[0] - 1, longest = 0
    for i in range(row_weight.shape[0]):
        longest = max(longest, indptr[i + 1] - indptr[i])
    cdef int64_t *places = <int64_t *> malloc((longest + 1) * sizeof(int64_t))
    cdef double *x = <double *> malloc((longest + 1) * sizeof(double))
    if places == NULL or x == NULL:
        free(places)
        free(x)
        raise MemoryError
    with nogil:
        for i in range(row_weight.shape[0]):
            n = 0
            for e in range(indptr[i], indptr[i + 1]):
                if position[indices[e]] >= 0:
                    places[n] = position[indices[e]]
                    x[n] = data[e]
                    n += 1
            places[n] = last
            x[n] = 1.0
            for j in range(n + 1):
                add_sparse(row_weight[i] * x[j], x, places, j + 1, &gram[places[j], 0])
        free(places)
        free(x)


def csr_norms(const real[::1] data, const index[::1] indices, const index[::1] indptr,
              const Py_ssize_t[::1] position, const double[:, ::1] root,
              const double[::1] constant, double[::1] norms):
    """Set norms to ‖Rᵀv + c‖ of each row, v being some columns of x.

    Parameters
    ----------
    data, indices, indptr, position : as for `csr_gram`
    root : (n, m) matrix R, upper triangular
    constant : (m,) vector c
    norms : (n_samples,) changed
    """
    cdef Py_ssize_t i, e, j
    cdef int m = constant.shape[0]
    cdef double *image = <double *> malloc((m + 1) * sizeof(double))
    if image == NULL:
        raise MemoryError
    with nogil:
        for i in range(norms.shape[0]):
            memcpy(image, &constant[0], m * sizeof(double))
            for e in range(indptr[i], indptr[i + 1]):
                j = position[indices[e]]
                if j >= 0:
                    add_scaled(data[e], &root[j, j], image + j, m - <int> j)
            norms[i] = sqrt(square(image, m))
        free(image)
