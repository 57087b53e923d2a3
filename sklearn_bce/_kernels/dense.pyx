# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Sums over the rows of an array; ``reference.py`` has them in NumPy.

All arrays are allocated by the caller; those marked "changed", z and the sums, are changed in
place. The loops run without the GIL. Arguments that all functions have in common:

X : (n_samples, n_features) float32 or float64, whose rows, or whose columns, are contiguous
w : (n_features,) weights, of the dtype of X
b : intercept
row_weight : (n_samples,) one weight h for each row
z : (n_samples,) linear outputs z = Xw + b
sums : (n_features + 1,) to which Σ hx is added and, in the last entry, Σ h
"""
from libc.math cimport sqrt
from libc.stdint cimport int64_t
from libc.stdlib cimport free, malloc
from scipy.linalg.cython_blas cimport dgemv, sgemv

from sklearn_bce._kernels.gram cimport add_gram, gram_chunk, gram_memory, gram_rows, gram_width
from sklearn_bce._kernels.types cimport real

cdef extern from "sigmoid.h" nogil:
    enum: BCE_BATCH
    double bce_loss(const double *y, const double *z, const double *weight, int64_t stride,
                    double *slope, double *curvature, int64_t n)

cdef enum:
    # Bytes of X in a chunk of rows: a chunk that has been read for z = Xw is still in the
    # second-level cache when it is read for Xᵀ(a−y). Passes take the same time from 2¹⁷ to 2¹⁹
    # bytes: python -m benchmarks.tuning CHUNK_BYTES
    CHUNK_BYTES = 262144
    # Rows of a chunk, at least, however long a row is: fewer would leave BLAS a product of a vector
    # for each row. python -m benchmarks.tuning MIN_CHUNK_ROWS
    MIN_CHUNK_ROWS = 8


cdef struct Layout:
    int n_features
    int stride       # from one row (or column) to the next, in elements: BLAS's leading dimension
    bint by_rows     # whether rows are contiguous: for BLAS the matrix is then transposed


cdef inline Layout layout_of(const real[:, :] X) noexcept nogil:
    """Return the layout of X in memory."""
    cdef bint by_rows = X.strides[1] == sizeof(real) or X.shape[1] == 1
    cdef Py_ssize_t stride = X.strides[0] if by_rows else X.strides[1]
    return Layout(<int> X.shape[1], <int> (stride // <Py_ssize_t> sizeof(real)), by_rows)


cdef inline Py_ssize_t rows_per_chunk(const real[:, :] X) noexcept nogil:
    """Return the number of rows of X in a chunk."""
    cdef Py_ssize_t rows = CHUNK_BYTES // (X.shape[1] * <Py_ssize_t> sizeof(real))
    return min(max(rows, MIN_CHUNK_ROWS), X.shape[0])


cdef inline void multiply(bint transposed, const real *X, Layout layout, int n, real *vector,
                          real *result) noexcept nogil:
    """Set result to X·vector or, if transposed, to Xᵀ·vector, X being n rows."""
    cdef char trans = c"T" if transposed == (not layout.by_rows) else c"N"
    cdef int height = layout.n_features if layout.by_rows else n
    cdef int width = n if layout.by_rows else layout.n_features
    cdef int one = 1
    cdef real unit = 1, nothing = 0
    if real is float:
        sgemv(&trans, &height, &width, &unit, <real *> X, &layout.stride, vector, &one, &nothing,
              result, &one)
    else:
        dgemv(&trans, &height, &width, &unit, <real *> X, &layout.stride, vector, &one, &nothing,
              result, &one)


cdef inline void chunk_outputs(const real *X, Layout layout, int n, real *w, double b, real *buffer,
                               double *z) noexcept nogil:
    """Set z to Xw + b of n rows."""
    cdef int i
    multiply(False, X, layout, n, w, buffer)
    for i in range(n):
        z[i] = buffer[i] + b


cdef inline void chunk_sums(const real *X, Layout layout, int n, const double *row_weight,
                            real *buffer, double *sums) noexcept nogil:
    """Add Σ hx and Σ h of n rows."""
    cdef int i
    cdef double total = 0.0
    for i in range(n):
        buffer[i] = <real> row_weight[i]
        total += row_weight[i]
    sums[layout.n_features] += total
    multiply(True, X, layout, n, buffer, buffer + n)
    for i in range(layout.n_features):
        sums[i] += buffer[n + i]


cdef inline real *new_buffer(Py_ssize_t chunk, const real[:, :] X) except NULL:
    """Allocate an element for each row of a chunk and for each feature; the caller frees it."""
    cdef real *buffer = <real *> malloc((chunk + X.shape[1]) * sizeof(real))
    if buffer == NULL:
        raise MemoryError
    return buffer


def dense_outputs(const real[:, :] X, const real[::1] w, double b, double[::1] z):
    """Set z to Xw + b."""
    cdef Py_ssize_t start = 0, n, chunk = rows_per_chunk(X)
    cdef Layout layout = layout_of(X)
    cdef real *buffer = new_buffer(chunk, X)
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            chunk_outputs(&X[start, 0], layout, <int> n, <real *> &w[0], b, buffer, &z[start])
            start += n
        free(buffer)


def dense_sums(const real[:, :] X, const double[::1] row_weight, double[::1] sums):
    """Add Σ hx and Σ h to sums."""
    cdef Py_ssize_t start = 0, n, chunk = rows_per_chunk(X)
    cdef Layout layout = layout_of(X)
    cdef real *buffer = new_buffer(chunk, X)
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            chunk_sums(&X[start, 0], layout, <int> n, &row_weight[start], buffer, &sums[0])
            start += n
        free(buffer)


def dense_product(const real[:, :] X, const real[::1] w, double b, const double[::1] row_weight,
                  double[::1] z, double[::1] sums):
    """Set z to Xw + b, and add Σ hzx and Σ hz to sums, reading X once."""
    cdef Py_ssize_t i, start = 0, n, chunk = rows_per_chunk(X)
    cdef Layout layout = layout_of(X)
    cdef real *buffer = new_buffer(chunk, X)
    cdef double *weighted = <double *> malloc(chunk * sizeof(double))
    if weighted == NULL:
        free(buffer)
        raise MemoryError
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            chunk_outputs(&X[start, 0], layout, <int> n, <real *> &w[0], b, buffer, &z[start])
            for i in range(n):
                weighted[i] = row_weight[start + i] * z[start + i]
            chunk_sums(&X[start, 0], layout, <int> n, weighted, buffer, &sums[0])
            start += n
        free(buffer)
        free(weighted)


def dense_loss(const real[:, :] X, const real[::1] w, double b, bint z_is_known,
               const double[::1] y, const double[:] normalised_weight, double[::1] z,
               double[::1] slope, double[::1] curvature, double[::1] sums,
               const double[:] offset=None):
    """Return Σ pL(y, σ(z)) at z = Xw + b + offset, in nats, with its derivatives, reading X once.

    Parameters
    ----------
    X, w, b : see the module
    z_is_known : whether z is given; w and b are then not read
    y : (n_samples,) targets in [0, 1]
    normalised_weight : (n_samples,) weights p; a stride of 0 is allowed
    z : (n_samples,) linear outputs; changed unless they are given
    slope : (n_samples,) set to p ∂L/∂z = p(a−y)
    curvature : (n_samples,) set to p ∂²L/∂z² = pa(1−a)
    sums : (n_features + 1,) to which Σ slope·x and Σ slope are added
    offset : (n_samples,) known terms of z, or None if there are none; not read if z is given
    """
    cdef Py_ssize_t i, start = 0, n, chunk = rows_per_chunk(X)
    cdef bint has_offset = offset is not None
    cdef Layout layout = layout_of(X)
    cdef Py_ssize_t stride = normalised_weight.strides[0] // <Py_ssize_t> sizeof(double)
    cdef double loss = 0.0
    cdef real *buffer = new_buffer(chunk, X)
    with nogil:
        while start < X.shape[0]:
            n = min(chunk, X.shape[0] - start)
            if not z_is_known:
                chunk_outputs(&X[start, 0], layout, <int> n, <real *> &w[0], b, buffer, &z[start])
                if has_offset:
                    for i in range(start, start + n):
                        z[i] += offset[i]
            loss += bce_loss(&y[start], &z[start], &normalised_weight[start], stride,
                             &slope[start], &curvature[start], n)
            chunk_sums(&X[start, 0], layout, <int> n, &slope[start], buffer, &sums[0])
            start += n
        free(buffer)
    return loss


def dense_squares(const real[:, :] X, const double[::1] origin, const double[::1] row_weight,
                  double[::1] first, double[::1] second):
    """Add Σ h(x−o) to first and Σ h(x−o)² to second.

    Parameters
    ----------
    X, row_weight : see the module
    origin : (n_features,) o; a row of zeros for the moments of x itself
    first, second : (n_features + 1,) sums, as in the module, of x−o and of its square
    """
    cdef Py_ssize_t i, j, start = 0, n, chunk = rows_per_chunk(X)
    cdef int n_features = <int> X.shape[1]
    cdef Layout layout = Layout(n_features, n_features, True)
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
            chunk_sums(offsets, layout, <int> n, &row_weight[start], buffer, &first[0])
            for i in range(n * n_features):
                offsets[i] *= offsets[i]
            chunk_sums(offsets, layout, <int> n, &row_weight[start], buffer, &second[0])
            start += n
        free(buffer)
        free(offsets)


def standardise(const real[:, :] X, const real[::1] shift, const real[::1] scale, real[:, ::1] Z):
    """Set the first n_features columns of Z to (X − μ)/σ.

    Parameters
    ----------
    X : see the module
    shift, scale : (n_features,) μ and σ, of the dtype of X
    Z : (n_samples, n_features or more); changed
    """
    cdef Py_ssize_t i, j
    with nogil:
        for i in range(X.shape[0]):
            for j in range(X.shape[1]):
                Z[i, j] = (X[i, j] - shift[j]) / scale[j]


def dense_gram(const real[:, :] X, const double[::1] row_weight, const Py_ssize_t[::1] columns,
               double[:, ::1] gram):
    """Add Σ h vvᵀ to the lower triangle of gram, v being the given columns of x and a last 1.

    Parameters
    ----------
    X, row_weight : see the module
    columns : (n,) indices of columns, ascending
    gram : (n + 1, n + 1) of which the lower triangle is changed
    """
    cdef Py_ssize_t i, j, start = 0
    cdef int n, m = <int> columns.shape[0], size = <int> columns.shape[0] + 1
    cdef int rows = gram_rows(size), width = gram_width(size)
    cdef double root
    cdef Layout layout = layout_of(X)
    cdef bint rows_are_whole = layout.by_rows and columns.shape[0] == X.shape[1]
    cdef const real *row
    cdef double *scaled
    cdef double *chunk
    cdef double *memory = <double *> malloc(gram_memory(size) * sizeof(double))
    if memory == NULL:
        raise MemoryError
    with nogil:
        chunk = gram_chunk(memory)
        while start < X.shape[0]:
            n = <int> min(<Py_ssize_t> rows, X.shape[0] - start)
            for i in range(n):
                root = sqrt(row_weight[start + i])
                scaled = chunk + i * width
                if rows_are_whole:  # contiguous, which the compiler vectorises
                    row = &X[start + i, 0]
                    for j in range(m):
                        scaled[j] = root * row[j]
                else:
                    for j in range(m):
                        scaled[j] = root * X[start + i, columns[j]]
                scaled[m] = root
                for j in range(size, width):
                    scaled[j] = 0.0
            # BLAS is column-major: it sees the lower triangle as the upper one
            add_gram(chunk, n, size, c"U", &gram[0, 0])
            start += n
        free(memory)


def centred_gram(double[:, ::1] sums, const double[::1] shift, const double[::1] scale):
    """Turn sums over x into Σ h vvᵀ over v = [(x − μ)/σ, 1], in place.

    Σ h(x−μ)(x−μ)ᵀ = Σ hxxᵀ − (Σ hx)μᵀ − μ(Σ h(x−μ))ᵀ

    Parameters
    ----------
    sums : (size, size) the lower triangle of Σ hxxᵀ, with Σ hx and Σ h in the last row; changed
        to both triangles of the result
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


def loss_of_outputs(const double[::1] y, const double[::1] z, const double[:] normalised_weight):
    """Return Σ pL(y, σ(z)) in nats; the arguments are those of `ray_pass`."""
    cdef Py_ssize_t start = 0, n
    cdef Py_ssize_t stride = normalised_weight.strides[0] // <Py_ssize_t> sizeof(double)
    cdef double loss = 0.0
    cdef double[BCE_BATCH] slope, curvature
    with nogil:
        while start < z.shape[0]:
            n = min(BCE_BATCH, z.shape[0] - start)
            loss += bce_loss(&y[start], &z[start], &normalised_weight[start], stride, slope,
                             curvature, n)
            start += n
    return loss


def ray_pass(const double[::1] y, const double[::1] z, const double[::1] z_direction,
             const double[:] normalised_weight, double step_length):
    """Return first and second derivative of Σ pL(y, σ(z + t·z_direction)) in t, in nats.

    Parameters
    ----------
    y : (n_samples,) targets in [0, 1]
    z : (n_samples,) linear outputs at t = 0
    z_direction : (n_samples,) derivative of the outputs in t
    normalised_weight : (n_samples,) weights p
    step_length : t
    """
    cdef Py_ssize_t i, start = 0, n
    cdef Py_ssize_t stride = normalised_weight.strides[0] // <Py_ssize_t> sizeof(double)
    cdef double first = 0.0, second = 0.0
    cdef double[BCE_BATCH] moved, slope, curvature
    cdef const double *direction
    with nogil:
        while start < z.shape[0]:
            n = min(BCE_BATCH, z.shape[0] - start)
            direction = &z_direction[start]
            for i in range(n):
                moved[i] = z[start + i] + step_length * direction[i]
            bce_loss(&y[start], moved, &normalised_weight[start], stride, slope, curvature, n)
            for i in range(n):
                first += slope[i] * direction[i]
                second += curvature[i] * direction[i] * direction[i]
            start += n
    return first, second
