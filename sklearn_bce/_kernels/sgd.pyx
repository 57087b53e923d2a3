# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The per-sample rule, which must be a compiled loop; ``_kernel_twins.py`` says it in NumPy.

Arrays are allocated by the caller; which ones are changed is said of each function. None holds the
GIL or raises.

The weights are kept as ``scale * w``: shrinking them by the L2 penalty is then one multiplication.
What the L1 norm has taken off all weights is kept as one number too, in units of the scale, and
taken off the weight of a feature when that is next needed. So a pass over sparse rows costs nothing
for the features a row does not have (B. Carpenter, "Lazy Sparse Stochastic Gradient Descent for
Regularized Multinomial Logistic Regression", 2008).
"""
from libc.math cimport exp, fabs
from libc.stdlib cimport calloc, free
from scipy.linalg.cython_blas cimport daxpy, ddot

from sklearn_bce._kernels.soft_threshold cimport soft
from sklearn_bce._kernels.log_sum cimport Tally, count_loss, total
from sklearn_bce._kernels.types cimport index, real

cdef extern from *:
    """
    #if defined(__GNUC__) || defined(__clang__)
    #define BCE_PREFETCH(address) __builtin_prefetch(address)
    #else
    #define BCE_PREFETCH(address)
    #endif
    """
    void BCE_PREFETCH(const void *address) noexcept nogil

# Below this many features a plain loop beats the call of a BLAS routine (measured crossing: 50-80).
cdef enum:
    BLAS_WIDTH = 64
    CACHE_LINE = 64
    FETCH_BYTES = 4096   # rows longer than this are fetched by the hardware once it sees the stride

cdef double SMALLEST_SCALE = 1e-9


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
    # four sums at a time: one would wait for each addition before the next
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


cdef inline double sparse_dot(const real *x, const index *j, Py_ssize_t n,
                              const double *w) noexcept nogil:
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


cdef inline void add_scaled(double factor, const real *x, double *w, int n) noexcept nogil:
    cdef int j, one = 1
    if real is double:
        if n >= BLAS_WIDTH:
            daxpy(&n, &factor, <double *> x, &one, w, &one)
            return
    for j in range(n):
        w[j] += factor * x[j]


cdef inline void settle(double *w, double *seen, double taken, Py_ssize_t n) noexcept nogil:
    """Take off all weights what has been taken since each was last seen; `taken` is then 0."""
    cdef Py_ssize_t j
    for j in range(n):
        w[j] = soft(w[j], taken - seen[j])
        seen[j] = 0.0


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
               double eta, double l2, double l1, bint fit_intercept):
    """Apply wᵢ ← wᵢ + ηs((y−a)xᵢ − λwᵢ), b ← b + ηs(y−a) for each sample in turn.

    With an L1 norm every wᵢ is then moved to 0 by ηsκ, and not past it.

    Parameters
    ----------
    X : (n_samples, n_features) float32 or float64, C order
    y : (n_samples,) targets in [0, 1]
    sample_weight : (n_samples,) weights s
    order : (n,) rows to visit, each below n_samples
    w : (n_features,) weights divided by the scale; changed in place
    state : (2,) intercept and scale; changed in place
    eta, l2, l1 : step η and strengths λ and κ of the penalty
    fit_intercept : whether b moves

    Returns
    -------
    loss : float
        Sum over the pass of s·L, each loss taken before its own update, in nats.
    """
    cdef Py_ssize_t k, i, j, n = order.shape[0]
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
            if l1 != 0.0:
                for j in range(n_features):
                    w[j] = soft(w[j], eta * sample_weight[i] * l1 / fabs(scale))
            if fit_intercept:
                b += step
    state[0] = b
    state[1] = scale
    return total(&tally)


def csr_pass(const real[::1] data, const index[::1] indices, const index[::1] indptr,
             const double[::1] y, const double[:] sample_weight,
             const Py_ssize_t[::1] order, double[::1] w, double[::1] state,
             double eta, double l2, double l1, bint fit_intercept):
    """Do as `dense_pass`, over the rows of a CSR matrix (data, indices, indptr) in O(nnz)."""
    cdef Py_ssize_t k, i, e, start, stop, n = order.shape[0], n_features = w.shape[0]
    cdef double b = state[0], scale = state[1], step, scaled, taken = 0.0, factor
    cdef double *seen = NULL
    if l1 != 0.0:
        seen = <double *> calloc(n_features, sizeof(double))
        if seen == NULL:
            raise MemoryError
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double *v = &w[0]
    cdef Tally tally = Tally(0.0, 1.0, 0)
    with nogil:
        for k in range(n):
            i = order[k]
            if k + 4 < n:
                e = indptr[order[k + 4]]
                fetch(j + e, (indptr[order[k + 4] + 1] - e) * sizeof(index))
                fetch(x + e, (indptr[order[k + 4] + 1] - e) * sizeof(real))
            start, stop = indptr[i], indptr[i + 1]
            if l1 != 0.0:
                for e in range(start, stop):
                    v[j[e]] = soft(v[j[e]], taken - seen[j[e]])
                    seen[j[e]] = taken
            step = eta * sample_weight[i] * output_error(
                scale * sparse_dot(x + start, j + start, stop - start, v) + b,
                y[i], sample_weight[i], &tally)
            if l2 != 0.0:
                factor = 1.0 - eta * sample_weight[i] * l2
                if l1 != 0.0 and fabs(scale * factor) < SMALLEST_SCALE:
                    settle(v, seen, taken, n_features)
                    taken = 0.0
                scale = shrunk(scale, factor, w)
            scaled = step / scale
            for e in range(start, stop):
                v[j[e]] += scaled * x[e]
            if l1 != 0.0:
                taken += eta * sample_weight[i] * l1 / fabs(scale)
            if fit_intercept:
                b += step
        if l1 != 0.0:
            settle(v, seen, taken, n_features)
    free(seen)
    state[0] = b
    state[1] = scale
    return total(&tally)
