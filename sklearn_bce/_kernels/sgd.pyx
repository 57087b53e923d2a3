# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""The per-sample rule, one pass over rows in a given order; ``reference.py`` has it in NumPy.

All arrays are allocated by the caller; those marked "changed" are changed in place. The loops run
without the GIL.

If all features have the same strengths λ and κ, given as arrays of stride 0, the weights are kept
as scale · w, so that shrinking all weights by the L2 penalty is one multiplication. The L1
thresholds of all updates are added up in one number, in units of the scale. The weight of a feature
is soft-thresholded by the sum of the thresholds that have not been applied to it yet, before a row
that stores the feature reads that weight. A pass over sparse rows therefore takes O(nnz) operations
(B. Carpenter, "Lazy Sparse Stochastic Gradient Descent for Regularized Multinomial Logistic
Regression", 2008). With a strength for each feature, each update reads all weights.
"""
from libc.math cimport exp, fabs
from libc.stdlib cimport calloc, free

from sklearn_bce._kernels.dense_row cimport add_scaled, dot
from sklearn_bce._kernels.log_sum cimport LogSum, add_loss, total
from sklearn_bce._kernels.prefetch cimport DENSE_ROWS_AHEAD, SPARSE_ROWS_AHEAD, prefetch
from sklearn_bce._kernels.soft_threshold cimport soft_threshold
from sklearn_bce._kernels.sparse_row cimport add_sparse, sparse_dot
from sklearn_bce._kernels.types cimport index, real

# The least |scale|, below which the scale is multiplied into w; the value of scikit-learn for
# float64 (utils/_weight_vector.pyx). reference.py has the same number.
cdef double SMALLEST_SCALE = 1e-9


cdef inline double output_error(double z, double y, double sample_weight,
                                LogSum *losses) noexcept nogil:
    """Return y − a, and add the loss of the sample, times its weight, to the losses."""
    cdef double growth = exp(-z)
    add_loss(z, growth if z >= 0 else 1.0 / growth, y, sample_weight, losses)
    return y - 1.0 / (1.0 + growth)


cdef inline void apply_l1(double *w, double *l1_applied, double l1_sum,
                          Py_ssize_t n_features) noexcept nogil:
    """Soft-threshold every weight by the thresholds not applied yet; set l1_applied to 0.

    The caller then sets l1_sum to 0.

    Parameters
    ----------
    w : (n_features,) weights divided by the scale; changed
    l1_applied : (n_features,) the value of l1_sum up to which each weight is thresholded; changed
    l1_sum : sum of all thresholds so far, in units of the scale
    """
    cdef Py_ssize_t j
    for j in range(n_features):
        w[j] = soft_threshold(w[j], l1_sum - l1_applied[j])
        l1_applied[j] = 0.0


cdef inline double rescaled(double scale, double factor, double[::1] w) noexcept nogil:
    """Return scale · factor; 1 if that is below SMALLEST_SCALE, after multiplying it into w."""
    cdef Py_ssize_t j
    scale *= factor
    if fabs(scale) < SMALLEST_SCALE:
        for j in range(w.shape[0]):
            w[j] *= scale
        return 1.0
    return scale


cdef inline void shrink(double *w, double rate, const double[:] l2) noexcept nogil:
    """Multiply each weight by 1 − rate·λ."""
    cdef Py_ssize_t j
    for j in range(l2.shape[0]):
        w[j] *= 1.0 - rate * l2[j]


cdef inline void threshold(double *w, double rate, const double[:] l1) noexcept nogil:
    """Soft-threshold each weight by rate·κ."""
    cdef Py_ssize_t j
    for j in range(l1.shape[0]):
        w[j] = soft_threshold(w[j], rate * l1[j])


def dense_sgd_pass(const real[:, ::1] X, const double[::1] y, const double[:] sample_weight,
                   const double[:] offset, const Py_ssize_t[::1] order, double[::1] w,
                   double[::1] state, const double[:] etas, const double[:] l2,
                   const double[:] l1, bint fit_intercept):
    """Apply wᵢ ← wᵢ + ηs((y−a)xᵢ − λwᵢ), b ← b + ηs(y−a) for each sample of the order in turn.

    After each sample the L1 norm moves every wᵢ towards 0 by ηsκ, and not past 0.

    Parameters
    ----------
    X : (n_samples, n_features) float32 or float64, C order
    y : (n_samples,) targets in [0, 1]
    sample_weight : (n_samples,) weights s
    offset : (n_samples,) known terms of the linear outputs
    order : (n,) rows to visit, each below n_samples
    w : (n_features,) weights divided by the scale; changed
    state : (2,) intercept b and scale; changed
    etas : (n,) step η of each visit, in the order of the visits
    l2, l1 : (n_features,) strengths λ and κ of the penalty; of stride 0 if all are equal
    fit_intercept : whether b is updated

    Returns
    -------
    loss : float
        Sum over the pass of s·L, in nats, each loss taken before its own update.
    """
    cdef Py_ssize_t k, i, j, n = order.shape[0]
    cdef int n_features = <int> X.shape[1]
    cdef Py_ssize_t row_bytes = X.shape[1] * sizeof(real)
    cdef double b = state[0], scale = state[1], eta, step
    # The strengths of all features, or 0 if each has its own.
    cdef bint are_equal = w.shape[0] == 1 or (l2.strides[0] == 0 and l1.strides[0] == 0)
    cdef double all_l2 = l2[0] if are_equal else 0.0, all_l1 = l1[0] if are_equal else 0.0
    cdef LogSum losses = LogSum(0.0, 1.0, 0)
    with nogil:
        for k in range(n):
            i, eta = order[k], etas[k]
            if k + DENSE_ROWS_AHEAD < n:
                prefetch(&X[order[k + DENSE_ROWS_AHEAD], 0], row_bytes)
            step = eta * sample_weight[i] * output_error(
                scale * dot(&X[i, 0], &w[0], n_features) + b + offset[i],
                y[i], sample_weight[i], &losses)
            if all_l2 != 0.0:
                scale = rescaled(scale, 1.0 - eta * sample_weight[i] * all_l2, w)
            if not are_equal:
                shrink(&w[0], eta * sample_weight[i], l2)
            add_scaled(step / scale, &X[i, 0], &w[0], n_features)
            if all_l1 != 0.0:
                for j in range(n_features):
                    w[j] = soft_threshold(w[j], eta * sample_weight[i] * all_l1 / fabs(scale))
            if not are_equal:
                threshold(&w[0], eta * sample_weight[i], l1)
            if fit_intercept:
                b += step
    state[0] = b
    state[1] = scale
    return total(&losses)


def csr_sgd_pass(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                 const double[::1] y, const double[:] sample_weight, const double[:] offset,
                 const Py_ssize_t[::1] order, double[::1] w, double[::1] state,
                 const double[:] etas, const double[:] l2, const double[:] l1,
                 bint fit_intercept):
    """Apply the rule of `dense_sgd_pass` to rows of a CSR matrix.

    That takes O(nnz) operations if the strengths are equal, O(n_samples·n_features) otherwise.

    Parameters
    ----------
    data, indices, indptr : the CSR matrix, of shape (n_samples, n_features), float32 or float64
    y, sample_weight, offset, order, w, state, etas, l2, l1, fit_intercept : as for
        `dense_sgd_pass`

    Returns
    -------
    loss : float
        As of `dense_sgd_pass`.
    """
    cdef Py_ssize_t k, i, e, start, stop, n = order.shape[0], n_features = w.shape[0]
    cdef double b = state[0], scale = state[1], eta, step, scaled, l1_sum = 0.0, factor
    # The strengths of all features, or 0 if each has its own.
    cdef bint are_equal = w.shape[0] == 1 or (l2.strides[0] == 0 and l1.strides[0] == 0)
    cdef double all_l2 = l2[0] if are_equal else 0.0, all_l1 = l1[0] if are_equal else 0.0
    cdef double *l1_applied = NULL
    if all_l1 != 0.0:
        l1_applied = <double *> calloc(n_features, sizeof(double))
        if l1_applied == NULL:
            raise MemoryError
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double *weights = &w[0]
    cdef LogSum losses = LogSum(0.0, 1.0, 0)
    with nogil:
        for k in range(n):
            i, eta = order[k], etas[k]
            if k + SPARSE_ROWS_AHEAD < n:
                e = indptr[order[k + SPARSE_ROWS_AHEAD]]
                prefetch(j + e, (indptr[order[k + SPARSE_ROWS_AHEAD] + 1] - e) * sizeof(index))
                prefetch(x + e, (indptr[order[k + SPARSE_ROWS_AHEAD] + 1] - e) * sizeof(real))
            start, stop = indptr[i], indptr[i + 1]
            if all_l1 != 0.0:
                for e in range(start, stop):
                    weights[j[e]] = soft_threshold(weights[j[e]], l1_sum - l1_applied[j[e]])
                    l1_applied[j[e]] = l1_sum
            step = eta * sample_weight[i] * output_error(
                scale * sparse_dot(x + start, j + start, stop - start, weights) + b + offset[i],
                y[i], sample_weight[i], &losses)
            if all_l2 != 0.0:
                factor = 1.0 - eta * sample_weight[i] * all_l2
                if all_l1 != 0.0 and fabs(scale * factor) < SMALLEST_SCALE:
                    apply_l1(weights, l1_applied, l1_sum, n_features)
                    l1_sum = 0.0
                scale = rescaled(scale, factor, w)
            if not are_equal:
                shrink(weights, eta * sample_weight[i], l2)
            scaled = step / scale
            add_sparse(scaled, x + start, j + start, stop - start, weights)
            if not are_equal:
                threshold(weights, eta * sample_weight[i], l1)
            if all_l1 != 0.0:
                l1_sum += eta * sample_weight[i] * all_l1 / fabs(scale)
            if fit_intercept:
                b += step
        if all_l1 != 0.0:
            apply_l1(weights, l1_applied, l1_sum, n_features)
    free(l1_applied)
    state[0] = b
    state[1] = scale
    return total(&losses)
