# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Dual coordinate ascent, one pass over rows in a given order; ``reference.py`` has it in NumPy.

All arrays are allocated by the caller; those marked "changed" are changed in place. The loops run
without the GIL. The mathematics is in `sklearn_bce._solvers.newton.dual_ascent`.
"""
from libc.math cimport exp, fabs

from sklearn_bce._kernels.dense_row cimport add_scaled, dot, square
from sklearn_bce._kernels.prefetch cimport DENSE_ROWS_AHEAD, SPARSE_ROWS_AHEAD, prefetch
from sklearn_bce._kernels.sparse_row cimport add_sparse, sparse_dot
from sklearn_bce._kernels.types cimport index, real

# |Δt|, in log-odds, of the last step of Newton's method for one slope. The error of t is then about
# Δt²/10, and the next pass goes on from t: with 0.001, a slope takes 3.4 steps instead of 2.8.
# [a choice]
cdef double OUTPUT_TOL = 0.03

cdef enum:
    # Most steps for one slope. Newton's method takes 3 as a rule; a slope that needs more is left
    # where it is, and the next pass goes on. [a choice]
    MOST_STEPS = 60


cdef inline double slope_at(double t, double y, double *curvature) noexcept nogil:
    """Return v = σ(t) − y, without cancellation for labels; set ``curvature`` to σ(t)σ(−t)."""
    cdef double tail = exp(-fabs(t))
    cdef double large = 1.0 / (1.0 + tail), small = tail / (1.0 + tail)
    curvature[0] = large * small
    if t >= 0:
        return (1.0 - y) * large - y * small
    return (1.0 - y) * small - y * large


cdef inline double dual_step(double *t, double *v, double z, double kappa, double y) noexcept nogil:
    """Move a slope v to the maximum of the dual, where t + κ(v(t) − v) = z; return its change.

    Parameters
    ----------
    t : pointer to the output whose slope is v, or to a first guess; changed
    v : pointer to the slope; changed
    z : linear output of the sample
    kappa : change of the output z for a change of the slope by −1
    y : target of the sample
    """
    cdef double low = z - kappa, high = z + kappa, before = v[0]
    cdef double output = t[0], slope, curvature, excess, step
    cdef int k
    for k in range(MOST_STEPS):
        if not low <= output <= high:
            output = 0.5 * (low + high)
        slope = slope_at(output, y, &curvature)
        excess = output + kappa * (slope - before) - z
        if excess > 0:
            high = output
        else:
            low = output
        step = excess / (1.0 + kappa * curvature)
        output -= step
        if fabs(step) <= OUTPUT_TOL:
            break
    t[0] = output
    v[0] = slope_at(output, y, &curvature)
    return v[0] - before


def dense_dual_pass(const real[:, ::1] X, const double[::1] y, const double[:] offset,
                    const double[::1] factor, double[::1] kappa, const Py_ssize_t[::1] order,
                    double[::1] t, double[::1] v, double[::1] w,
                    double[::1] intercept, double bias_square):
    """Maximise the dual over the slope v of each sample of the order in turn.

    Parameters
    ----------
    X : (n_samples, n_features) float32 or float64, C order
    y : (n_samples,) targets in [0, 1]
    offset : (n_samples,) known terms of the linear outputs
    factor : (n_samples,) p/λ
    kappa : (n_samples,) p/λ·(‖x‖² + β²); an entry below 0 is set when its sample is visited
    order : (n,) rows to visit, each below n_samples
    t : (n_samples,) outputs whose slopes are v, or first guesses; changed
    v : (n_samples,) slopes; changed
    w : (n_features,) weights −Σ p/λ·vx; changed
    intercept : (1,) intercept; changed
    bias_square : β², square of the feature of the intercept

    Returns
    -------
    rise : float
        Σ p/λ·κΔv² over the visits: 2/λ times a lower bound of the rise of the dual, if each slope
        ends at its maximum.
    """
    cdef Py_ssize_t k, i, n = order.shape[0], row_bytes = X.shape[1] * sizeof(real)
    cdef int n_features = <int> X.shape[1]
    cdef double b = intercept[0], change, rise = 0.0
    with nogil:
        for k in range(n):
            i = order[k]
            if k + DENSE_ROWS_AHEAD < n:
                prefetch(&X[order[k + DENSE_ROWS_AHEAD], 0], row_bytes)
            if kappa[i] < 0:
                kappa[i] = factor[i] * (square(&X[i, 0], n_features) + bias_square)
            change = dual_step(&t[i], &v[i], dot(&X[i, 0], &w[0], n_features) + b + offset[i],
                               kappa[i], y[i])
            rise += factor[i] * kappa[i] * change * change
            change *= -factor[i]
            add_scaled(change, &X[i, 0], &w[0], n_features)
            b += change * bias_square
    intercept[0] = b
    return rise


def csr_dual_pass(const real[::1] data, const index[::1] indices, const index[::1] indptr,
                  const double[::1] y, const double[:] offset, const double[::1] factor,
                  double[::1] kappa, const Py_ssize_t[::1] order, double[::1] t,
                  double[::1] v, double[::1] w, double[::1] intercept, double bias_square):
    """Do what `dense_dual_pass` does, with rows of a CSR matrix.

    Parameters
    ----------
    data, indices, indptr : the CSR matrix, of shape (n_samples, n_features), float32 or float64
    y, offset, factor, kappa, order, t, v, w, intercept, bias_square : as for `dense_dual_pass`

    Returns
    -------
    rise : float
        As of `dense_dual_pass`.
    """
    cdef Py_ssize_t k, i, e, start, length, n = order.shape[0]
    cdef double b = intercept[0], change, rise = 0.0
    cdef const real *x = &data[0] if data.shape[0] else NULL
    cdef const index *j = &indices[0] if indices.shape[0] else NULL
    cdef double *weights = &w[0]
    with nogil:
        for k in range(n):
            i = order[k]
            if k + SPARSE_ROWS_AHEAD < n:
                e = indptr[order[k + SPARSE_ROWS_AHEAD]]
                length = indptr[order[k + SPARSE_ROWS_AHEAD] + 1] - e
                prefetch(j + e, length * sizeof(index))
                prefetch(x + e, length * sizeof(real))
            start, length = indptr[i], indptr[i + 1] - indptr[i]
            if kappa[i] < 0:
                kappa[i] = factor[i] * (square(x + start, <int> length) + bias_square)
            change = dual_step(
                &t[i], &v[i], sparse_dot(x + start, j + start, length, weights) + b + offset[i],
                kappa[i], y[i])
            rise += factor[i] * kappa[i] * change * change
            change *= -factor[i]
            add_sparse(change, x + start, j + start, length, weights)
            b += change * bias_square
    intercept[0] = b
    return rise
