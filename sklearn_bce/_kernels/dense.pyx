# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Sums over the rows of an array; ``_kernel_twins.py`` says the same in NumPy.

Arrays are allocated by the caller; which ones are changed is said of each function. None holds the
GIL. Common to all:

X : (n_samples, n_features) of which each row, or each column, lies in one piece
v, c : (n_features,) weights of the dtype of X, and intercept
weight : (n_samples,) weights h
z : (n_samples,) outputs
sums : (n_features + 1,) to which Σ hx is added and, in the last entry, Σ h
"""
from libc.math cimport exp, fabs, sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from scipy.linalg.cython_blas cimport dgemv, dsyrk, sgemv

from sklearn_bce._kernels.types cimport real

cdef extern from "sigmoid.h" nogil:
    double bce_activate(const double *y, const double *z, const double *s, int64_t step,
                        double *slope, double *curvature, int64_t n)

# Dense rows are taken this many bytes at a time: read for z = Xw they are then still in the
# second-level cache for Xᵀ(a−y) (measured flat from 2¹⁷ to 2¹⁹).
cdef enum:
    CHUNK_BYTES = 262144


cdef struct Rows:
    # a range of rows of a matrix, in Fortran's terms
    int n_features, stride
    bint by_rows       # each row in one piece: the matrix is then the transpose of Fortran's


cdef inline Rows rows_of(const real[:, :] X) noexcept nogil:
    cdef bint by_rows = X.strides[1] == sizeof(real) or X.shape[1] == 1
    cdef Py_ssize_t stride = X.strides[0] if by_rows else X.strides[1]
    return Rows(<int> X.shape[1], <int> (stride // <Py_ssize_t> sizeof(real)), by_rows)


cdef inline Py_ssize_t rows_per_chunk(const real[:, :] X) noexcept nogil:
    cdef Py_ssize_t rows = CHUNK_BYTES // (X.shape[1] * <Py_ssize_t> sizeof(real))
    return min(max(rows, 8), X.shape[0])


cdef inline void multiply(bint transposed, const real *X, Rows rows, int n, real *operand,
                          real *result) noexcept nogil:
    """Set result to X·operand of n rows, or Xᵀ·operand."""
    cdef char trans = c"T" if transposed == (not rows.by_rows) else c"N"
    cdef int height = rows.n_features if rows.by_rows else n
    cdef int width = n if rows.by_rows else rows.n_features
    cdef int one = 1
    cdef real unit = 1, nothing = 0
    if real is float:
        sgemv(&trans, &height, &width, &unit, <real *> X, &rows.stride, operand, &one, &nothing,
              result, &one)
    else:
        dgemv(&trans, &height, &width, &unit, <real *> X, &rows.stride, operand, &one, &nothing,
              result, &one)


cdef inline void chunk_outputs(const real *X, Rows rows, int n, real *v, double c, real *buffer,
                               double *z) noexcept nogil:
    """Set z to Xv + c of n rows."""
    cdef int i
    multiply(False, X, rows, n, v, buffer)
    for i in range(n):
        z[i] = buffer[i] + c


cdef inline void chunk_sums(const real *X, Rows rows, int n, const double *weight, real *buffer,
                            double *sums) noexcept nogil:
    """Add Σ hx and Σ h of n rows."""
    cdef int i
    cdef double total = 0.0
    for i in range(n):
        buffer[i] = <real> weight[i]
        total += weight[i]
    sums[rows.n_features] += total
    multiply(True, X, rows, n, buffer, buffer + n)
    for i in range(rows.n_features):
        sums[i] += buffer[n + i]


cdef inline real *new_buffer(Py_ssize_t chunk, const real[:, :] X) except NULL:
    """Return room for an entry for each row of a chunk, and one for each feature."""
    cdef real *buffer = <real *> malloc((chunk + X.shape[1]) * sizeof(real))
    if buffer == NULL:
        raise MemoryError
    return buffer


def dense_outputs(const real[:, :] X, const real[::1] v, double c, double[::1] z):
    """Set z to Xv + c."""
    cdef Py_ssize_t start = 0, n, chunk = rows_per_chunk(X)
    cdef Rows rows = rows_of(X)
    cdef real *buffer = new_buffer(chunk, X)
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            chunk_outputs(&X[start, 0], rows, <int> n, <real *> &v[0], c, buffer, &z[start])
            start += n
        free(buffer)


def dense_sums(const real[:, :] X, const double[::1] weight, double[::1] sums):
    """Add Σ hx and Σ h to sums."""
    cdef Py_ssize_t start = 0, n, chunk = rows_per_chunk(X)
    cdef Rows rows = rows_of(X)
    cdef real *buffer = new_buffer(chunk, X)
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            chunk_sums(&X[start, 0], rows, <int> n, &weight[start], buffer, &sums[0])
            start += n
        free(buffer)


def dense_product(const real[:, :] X, const real[::1] v, double c, const double[::1] weight,
                  double[::1] z, double[::1] sums):
    """Set z to Xv + c, and add Σ hzx and Σ hz to sums, reading X once."""
    cdef Py_ssize_t i, start = 0, n, chunk = rows_per_chunk(X)
    cdef Rows rows = rows_of(X)
    cdef real *buffer = new_buffer(chunk, X)
    cdef double *weighted = <double *> malloc(chunk * sizeof(double))
    if weighted == NULL:
        free(buffer)
        raise MemoryError
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            chunk_outputs(&X[start, 0], rows, <int> n, <real *> &v[0], c, buffer, &z[start])
            for i in range(n):
                weighted[i] = weight[start + i] * z[start + i]
            chunk_sums(&X[start, 0], rows, <int> n, weighted, buffer, &sums[0])
            start += n
        free(buffer)
        free(weighted)


def dense_loss(const real[:, :] X, const real[::1] v, double c, bint known,
               const double[::1] y, const double[:] weight, double[::1] z,
               double[::1] slope, double[::1] curvature, double[::1] sums):
    """Return Σ sL at z = Xv + c, with all that follows from it, reading X once.

    Parameters
    ----------
    X, v, c : see the module
    known : whether z is given
    y, weight : (n_samples,) targets, and weights s
    z : changed unless it is known
    slope, curvature : (n_samples,) set to s∂L/∂z = s(a−y) and s∂²L/∂z² = sa(1−a)
    sums : (n_features + 1,) to which Σ slope·x and Σ slope are added
    """
    cdef Py_ssize_t start = 0, n, chunk = rows_per_chunk(X)
    cdef Rows rows = rows_of(X)
    cdef Py_ssize_t step = weight.strides[0] // <Py_ssize_t> sizeof(double)
    cdef double loss = 0.0
    cdef real *buffer = new_buffer(chunk, X)
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            if not known:
                chunk_outputs(&X[start, 0], rows, <int> n, <real *> &v[0], c, buffer, &z[start])
            loss += bce_activate(&y[start], &z[start], &weight[start], step, &slope[start],
                                 &curvature[start], n)
            chunk_sums(&X[start, 0], rows, <int> n, &slope[start], buffer, &sums[0])
            start += n
        free(buffer)
    return loss


def dense_squares(const real[:, :] X, const double[::1] origin, const double[::1] weight,
                  double[::1] first, double[::1] second):
    """Add Σ h(x−o) to first and Σ h(x−o)² to second, sums both, with the origin o."""
    cdef Py_ssize_t i, j, start = 0, n, chunk = rows_per_chunk(X)
    cdef int n_features = <int> X.shape[1]
    cdef Rows rows = Rows(n_features, n_features, True)
    cdef real *buffer = new_buffer(chunk, X)
    cdef real *offsets = <real *> malloc(chunk * n_features * sizeof(real))
    if offsets == NULL:
        free(buffer)
        raise MemoryError
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            for i in range(n):
                for j in range(n_features):
                    offsets[i * n_features + j] = <real> (X[start + i, j] - origin[j])
            chunk_sums(offsets, rows, <int> n, &weight[start], buffer, &first[0])
            for i in range(n * n_features):
                offsets[i] *= offsets[i]
            chunk_sums(offsets, rows, <int> n, &weight[start], buffer, &second[0])
            start += n
        free(buffer)
        free(offsets)


def standardised(const real[:, :] X, const real[::1] shift, const real[::1] scale, real[:, ::1] Z):
    """Set the first columns of Z to (X − shift)/scale."""
    cdef Py_ssize_t i, j
    with nogil:
        for i in range(X.shape[0]):
            for j in range(X.shape[1]):
                Z[i, j] = (X[i, j] - shift[j]) / scale[j]


def dense_gram(const real[:, :] X, const double[::1] weight, const Py_ssize_t[::1] columns,
               double[:, ::1] gram):
    """Add Σ h zzᵀ to the lower triangle of gram, with z the given columns of x and a last 1.

    Parameters
    ----------
    columns : (n,) ascending
    gram : (n + 1, n + 1)
    """
    cdef Py_ssize_t i, j, start = 0, chunk = rows_per_chunk(X)
    cdef int n, m = <int> columns.shape[0], size = <int> columns.shape[0] + 1
    cdef double root, one = 1.0
    cdef Rows rows = rows_of(X)
    cdef bint whole_rows = rows.by_rows and columns.shape[0] == X.shape[1]
    cdef const real *row
    cdef double *to
    cdef double *scratch = <double *> malloc(chunk * size * sizeof(double))
    if scratch == NULL:
        raise MemoryError
    with nogil:
        while start < X.shape[0]:
            n = <int> min(chunk, X.shape[0] - start)
            for i in range(n):
                root = sqrt(weight[start + i])
                to = scratch + i * size
                if whole_rows:  # the compiler makes this loop a fast one
                    row = &X[start + i, 0]
                    for j in range(m):
                        to[j] = root * row[j]
                else:
                    for j in range(m):
                        to[j] = root * X[start + i, columns[j]]
                to[m] = root
            # in Fortran's order scratch is its transpose, and the upper triangle the lower one
            dsyrk("U", "N", &size, &n, &one, scratch, &size, &one, &gram[0, 0], &size)
            start += n
        free(scratch)


def centred_gram(double[:, ::1] sums, const double[::1] shift, const double[::1] scale):
    """Turn sums over x into Σ h zzᵀ, of z = [(x − μ)/σ, 1], in place.

    Σ h(x−μ)(x−μ)ᵀ = Σ hxxᵀ − (Σ hx)μᵀ − μ(Σ h(x−μ))ᵀ

    Parameters
    ----------
    sums : (size, size) lower triangle of Σ hxxᵀ, with Σ hx and Σ h in the last row; changed
    shift, scale : (size - 1,) μ and σ
    """
    cdef Py_ssize_t i, j, last = sums.shape[0] - 1
    cdef double total = sums[last, last]
    with nogil:
        for i in range(last):
            for j in range(i + 1):
                sums[i, j] = (sums[i, j] - sums[last, i] * shift[j]
                              - shift[i] * (sums[last, j] - total * shift[j]))
                sums[i, j] /= scale[i]
                sums[i, j] /= scale[j]
        for j in range(last):
            sums[last, j] = (sums[last, j] - total * shift[j]) / scale[j]
        for i in range(last + 1):
            for j in range(i):
                sums[j, i] = sums[i, j]


def ray_pass(const double[::1] y, const double[::1] z, const double[::1] along,
             const double[:] sample_weight, double length):
    """Return first and second derivative of Σ sL(y, z + t·along) in t, at t = length.

    Parameters
    ----------
    y, z, along, sample_weight : (n,) targets, linear outputs, their direction, and weights s
    length : t
    """
    cdef Py_ssize_t i
    cdef double there, tail, nearer, farther, first = 0.0, second = 0.0
    with nogil:
        for i in range(z.shape[0]):
            there = z[i] + length * along[i]
            tail = exp(-fabs(there))
            nearer = 1.0 / (1.0 + tail)
            farther = tail * nearer
            first += sample_weight[i] * ((nearer if there >= 0 else farther) - y[i]) * along[i]
            second += sample_weight[i] * nearer * farther * along[i] * along[i]
    return first, second
