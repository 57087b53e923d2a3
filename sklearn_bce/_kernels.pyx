# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""What must be a compiled loop; ``_kernel_twins.py`` says the same in NumPy.

Arrays are allocated by the caller; which ones are changed is said of each function. None holds the
GIL or raises.

Of the per-sample rule the weights are kept as ``scale * w``: shrinking them by the penalty is then one multiplication,
and a pass over sparse rows costs nothing for the features a row does not have.
"""
from libc.math cimport exp, fabs, log, log1p, sqrt
from libc.stdint cimport int32_t, int64_t
from scipy.linalg.cython_blas cimport daxpy, ddot, dsyrk

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define BCE_PREFETCH(address) __builtin_prefetch(address)
    #else
    #define BCE_PREFETCH(address)
    #endif
    """
    void BCE_PREFETCH(const void *address) noexcept nogil

ctypedef fused real:
    float
    double

ctypedef fused index:
    int32_t
    int64_t

# Below this many features a plain loop beats the call of a BLAS routine (measured crossing: 50-80).
cdef enum:
    BLAS_WIDTH = 64
    CACHE_LINE = 64
    FETCH_BYTES = 4096   # rows longer than this are fetched by the hardware once it sees the stride

# Factors 1 + e⁻|ᶻ| <= 2 that may be multiplied before their product is put through one logarithm.
cdef enum:
    FACTORS_PER_LOG = 512

cdef double SMALLEST_SCALE = 1e-9


cdef struct Tally:
    double linear    # sum of the parts of the loss that are no logarithm, and of finished logarithms
    double product   # running product of factors 1 + e⁻|ᶻ| of samples with weight 1
    int factors


cdef inline void count_loss(double z, double tail, double y, double weight,
                            Tally *tally) noexcept nogil:
    """Add the weighted loss of a sample to the tally, given e⁻|ᶻ|."""
    cdef double missed = (1.0 - y) * z if z >= 0 else -y * z
    tally.linear += weight * missed
    if weight == 1.0:
        tally.product *= 1.0 + tail
        tally.factors += 1
        if tally.factors == FACTORS_PER_LOG:
            tally.linear += log(tally.product)
            tally.product = 1.0
            tally.factors = 0
    else:
        tally.linear += weight * log1p(tail)


cdef inline double output_error(double z, double y, double weight, Tally *tally) noexcept nogil:
    """Return y − a and add the weighted loss of the sample to the tally."""
    cdef double growth = exp(-z)
    count_loss(z, growth if z >= 0 else 1.0 / growth, y, weight, tally)
    return y - 1.0 / (1.0 + growth)


cdef inline void fetch(const void *start, Py_ssize_t n_bytes) noexcept nogil:
    cdef Py_ssize_t offset = 0
    cdef Py_ssize_t end = n_bytes if n_bytes < FETCH_BYTES else FETCH_BYTES
    while offset < end:
        BCE_PREFETCH(<const char *> start + offset)
        offset += CACHE_LINE


cdef inline double dot(const real *x, const double *w, int n) noexcept nogil:
    cdef double total = 0.0
    cdef int j, one = 1
    if real is double:
        if n >= BLAS_WIDTH:
            return ddot(&n, <double *> x, &one, <double *> w, &one)
    for j in range(n):
        total += w[j] * x[j]
    return total


cdef inline void add_scaled(double factor, const real *x, double *w, int n) noexcept nogil:
    cdef int j, one = 1
    if real is double:
        if n >= BLAS_WIDTH:
            daxpy(&n, &factor, <double *> x, &one, w, &one)
            return
    for j in range(n):
        w[j] += factor * x[j]


cdef inline double shrunk(double scale, double factor, double[::1] w) noexcept nogil:
    """Return scale·factor, multiplied into w (and so 1) before it is too small to divide by."""
    cdef Py_ssize_t j
    scale *= factor
    if fabs(scale) < SMALLEST_SCALE:
        for j in range(w.shape[0]):
            w[j] *= scale
        return 1.0
    return scale


def dense_pass(const real[:, ::1] X, const double[::1] y, const double[:] sample_weight,
               const Py_ssize_t[::1] order, double[::1] w, double[::1] state,
               double eta, double l2, bint fit_intercept):
    """Apply wᵢ ← wᵢ + ηs((y−a)xᵢ − λwᵢ), b ← b + ηs(y−a) for each sample in turn.

    Parameters
    ----------
    X : (n_samples, n_features) float32 or float64, C order
    y : (n_samples,) targets in [0, 1]
    sample_weight : (n_samples,) weights s
    order : (n,) rows to visit, each below n_samples
    w : (n_features,) weights divided by the scale; changed in place
    state : (2,) intercept and scale; changed in place
    eta, l2 : step η and strength λ of the penalty
    fit_intercept : whether b moves

    Returns
    -------
    loss : float
        Sum over the pass of s·L, each loss taken before its own update, in nats.
    """
    cdef Py_ssize_t k, i, n = order.shape[0]
    cdef int n_features = <int> X.shape[1]
    cdef Py_ssize_t row_bytes = X.shape[1] * sizeof(real)
    cdef double b = state[0], scale = state[1], step
    cdef Tally tally = Tally(0.0, 1.0, 0)
    with nogil:
        for k in range(n):
            i = order[k]
            if k + 2 < n:
                fetch(&X[order[k + 2], 0], row_bytes)
            step = eta * sample_weight[i] * output_error(
                scale * dot(&X[i, 0], &w[0], n_features) + b, y[i], sample_weight[i], &tally)
            if l2 != 0.0:
                scale = shrunk(scale, 1.0 - eta * sample_weight[i] * l2, w)
            add_scaled(step / scale, &X[i, 0], &w[0], n_features)
            if fit_intercept:
                b += step
    state[0] = b
    state[1] = scale
    return tally.linear + log(tally.product)


def csr_pass(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] y, const double[:] sample_weight,
             const Py_ssize_t[::1] order, double[::1] w, double[::1] state,
             double eta, double l2, bint fit_intercept):
    """Do as `dense_pass`, over the rows of a CSR matrix (data, indices, indptr) in O(nnz)."""
    cdef Py_ssize_t k, i, e, n = order.shape[0]
    cdef double b = state[0], scale = state[1], z, step
    cdef Tally tally = Tally(0.0, 1.0, 0)
    with nogil:
        for k in range(n):
            i = order[k]
            if k + 4 < n:
                e = indptr[order[k + 4]]
                BCE_PREFETCH(&indices[0] + e)
                BCE_PREFETCH(&data[0] + e)
            z = 0.0
            for e in range(indptr[i], indptr[i + 1]):
                z += w[indices[e]] * data[e]
            step = eta * sample_weight[i] * output_error(
                scale * z + b, y[i], sample_weight[i], &tally)
            if l2 != 0.0:
                scale = shrunk(scale, 1.0 - eta * sample_weight[i] * l2, w)
            for e in range(indptr[i], indptr[i + 1]):
                w[indices[e]] += step / scale * data[e]
            if fit_intercept:
                b += step
    state[0] = b
    state[1] = scale
    return tally.linear + log(tally.product)


def csr_gram(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] weight, double[:, ::1] gram):
    """Add Σ h xxᵀ over the rows x of a CSR matrix, with weights h, to the lower triangle of gram.

    Parameters
    ----------
    data, indices, indptr : the CSR matrix, its indices sorted within each row
    weight : (n_samples,) weights h
    gram : (n_features, n_features) or larger; its lower triangle is changed in place
    """
    cdef Py_ssize_t i, j, k
    cdef double weighted
    with nogil:
        for i in range(weight.shape[0]):
            for j in range(indptr[i], indptr[i + 1]):
                weighted = weight[i] * data[j]
                for k in range(indptr[i], j + 1):
                    gram[indices[j], indices[k]] += weighted * data[k]


def loss_pass(const double[::1] y, const double[::1] z, const double[:] sample_weight,
              double[::1] slope, double[::1] curvature):
    """Return Σ sL over the samples, and fill in s∂L/∂z = s(a−y) and s∂²L/∂z² = sa(1−a).

    Parameters
    ----------
    y, z, sample_weight : (n,) targets, linear outputs and weights s
    slope, curvature : (n,) changed in place
    """
    cdef Py_ssize_t i
    cdef double tail, nearer, farther
    cdef bint uniform = sample_weight.strides[0] == 0   # a broadcast scalar: multiplied in at last
    cdef Tally tally = Tally(0.0, 1.0, 0)
    with nogil:
        for i in range(z.shape[0]):
            tail = exp(-fabs(z[i]))
            nearer = 1.0 / (1.0 + tail)
            farther = tail * nearer
            slope[i] = sample_weight[i] * ((nearer if z[i] >= 0 else farther) - y[i])
            curvature[i] = sample_weight[i] * nearer * farther
            count_loss(z[i], tail, y[i], 1.0 if uniform else sample_weight[i], &tally)
    return (tally.linear + log(tally.product)) * (sample_weight[0] if uniform else 1.0)


def dense_gram(const double[:, ::1] Z, const double[::1] weight, double[:, ::1] scratch,
               double[:, ::1] gram):
    """Add Σ h zzᵀ over the rows z of Z, with weights h, to gram, of which both triangles count.

    Parameters
    ----------
    Z : (n_samples, size)
    weight : (n_samples,) weights h
    scratch : (n_samples, size); changed in place
    gram : (size, size) symmetric; changed in place
    """
    cdef Py_ssize_t i, j
    cdef int n_samples = <int> Z.shape[0], size = <int> Z.shape[1]
    cdef double root, one = 1.0
    with nogil:
        for i in range(n_samples):
            root = sqrt(weight[i])
            for j in range(size):
                scratch[i, j] = root * Z[i, j]
        # in Fortran's order scratch is its transpose, and the upper triangle the lower one
        dsyrk("U", "N", &size, &n_samples, &one, &scratch[0, 0], &size, &one, &gram[0, 0], &size)
        for i in range(size):
            for j in range(i):
                gram[j, i] = gram[i, j]


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
