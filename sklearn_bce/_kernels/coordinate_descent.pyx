# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Descent on a quadratic model with an L1 norm; ``_kernel_twins.py`` says the same in NumPy.

Arrays are allocated by the caller; which ones are changed is said of each function. None holds the
GIL.
"""
from sklearn_bce._kernels.soft_threshold cimport prox_coordinate_step
from sklearn_bce._kernels.types cimport index


def coordinate_descent(const double[:, ::1] matrix, const double[::1] l1, double[::1] u,
                       double[::1] gradient, Py_ssize_t n_sweeps, double share):
    """Lower q(u) + Σ κ|u|, with ∂²q/∂u² = H, by the exact minimum along each coordinate in turn.

    Parameters
    ----------
    matrix : (size, size) H, symmetric
    l1 : (size,) κ, 0 where there is no L1 norm
    u : (size,) coordinates; changed
    gradient : (size,) ∂q/∂u at u; changed
    n_sweeps : over all coordinates, at most
    share : a sweep is the last one if it gains no more than this share of what all have gained

    Returns
    -------
    gained : float
        By all sweeps.
    last : float
        By the last one.
    """
    cdef Py_ssize_t i, j, sweep, size = u.shape[0]
    cdef double step, gained = 0.0, last = 0.0
    cdef const double *row
    with nogil:
        for sweep in range(n_sweeps):
            last = 0.0
            for j in range(size):
                step = prox_coordinate_step(&u[j], gradient[j], matrix[j, j], l1[j], &last)
                if step == 0.0:
                    continue
                row = &matrix[j, 0]
                for i in range(size):
                    gradient[i] += step * row[i]
            gained += last
            if last <= share * gained:
                break
    return gained, last


def csc_column_moments(const double[::1] data, const index[::1] indices, const index[::1] indptr,
              const Py_ssize_t[::1] columns, const double[::1] weight, double[::1] first,
              double[::1] second):
    """Set first to Σ hx and second to Σ hx² of some columns of a CSC matrix (data, ...).

    Parameters
    ----------
    columns : (size,) which
    weight : (n_samples,) weights h
    first, second : (size,) changed
    """
    cdef Py_ssize_t k, e
    cdef double weighted
    with nogil:
        for k in range(columns.shape[0]):
            first[k] = second[k] = 0.0
            for e in range(indptr[columns[k]], indptr[columns[k] + 1]):
                weighted = weight[indices[e]] * data[e]
                first[k] += weighted
                second[k] += weighted * data[e]


def csc_coordinate_descent(const double[::1] data, const index[::1] indices,
                           const index[::1] indptr, const Py_ssize_t[::1] columns,
                           const double[::1] weight, const double[::1] first,
                           const double[::1] bend, const double[::1] l2, const double[::1] l1,
                           const double[::1] gradient, const double[::1] start, double total,
                           bint every, double[::1] u, double[::1] moved, double[::1] state):
    """Lower gᵀd + ½ Σ h(xd + c)² + ½ Σ λd² + Σ κ|u| along each column in turn, in one sweep.

    The intercept's step c is the best one all the time: that costs nothing, and is as good as
    columns that are centred.

    Parameters
    ----------
    data, indices, indptr, columns, weight : as for `csc_column_moments`
    first : (size,) Σ hx
    bend : (size,) curvature in d, where c follows; 0 where there is none but for rounding
    l2, l1 : (size,) λ and κ
    gradient : (size,) g, of steps that leave c alone
    start : (size,) the u of no step: d = u − start
    total : Σ h, or infinity if there is no intercept
    every : whether to visit columns whose u is 0, too
    u : (size,) weights; changed
    moved : (n_samples,) Σ hxd; changed
    state : (2,) c, and the derivative in c of all terms without it; changed

    Returns
    -------
    gained : float
    """
    cdef Py_ssize_t k, e
    cdef double slope, step, gained = 0.0
    with nogil:
        for k in range(u.shape[0]):
            if not every and u[k] == 0.0:
                continue
            slope = gradient[k] + state[0] * first[k] + l2[k] * (u[k] - start[k])
            for e in range(indptr[columns[k]], indptr[columns[k] + 1]):
                slope += moved[indices[e]] * data[e]
            step = prox_coordinate_step(&u[k], slope, bend[k], l1[k], &gained)
            if step == 0.0:
                continue
            for e in range(indptr[columns[k]], indptr[columns[k] + 1]):
                moved[indices[e]] += step * weight[indices[e]] * data[e]
            state[1] += step * first[k]
            state[0] = -state[1] / total
    return gained
