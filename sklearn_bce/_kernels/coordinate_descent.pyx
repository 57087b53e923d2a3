# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False, freethreading_compatible=True
"""Coordinate descent on a quadratic model with an L1 norm and bounds; in NumPy in ``reference.py``.

All arrays are allocated by the caller; those marked "changed" are changed in place. The loops run
without the GIL.
"""
from sklearn_bce._kernels.soft_threshold cimport prox_coordinate_step, sweep
from sklearn_bce._kernels.sparse_row cimport sparse_dot
from sklearn_bce._kernels.types cimport index


def coordinate_descent(const double[:, ::1] matrix, const double[::1] l1, const double[:] lower,
                       const double[:] upper, double[::1] u, double[::1] gradient,
                       Py_ssize_t n_sweeps, double tolerance):
    """Minimise q(u) + Σ κ|u|, q quadratic with the Hessian H, over one coordinate after the other.

    Parameters
    ----------
    matrix : (size, size) H, symmetric
    l1 : (size,) κ, not negative
    lower, upper : (size,) bounds of u, infinite where there is none; both have one stride
    u : (size,) coordinates within the bounds; changed
    gradient : (size,) ∂q/∂u at u; changed
    n_sweeps : largest number of sweeps over all coordinates
    tolerance : stop after a sweep whose decrease is at most this fraction of that of all sweeps

    Returns
    -------
    decrease : float
        Decrease of q(u) + Σ κ|u| by all sweeps.
    last_decrease : float
        Decrease by the last sweep.
    """
    cdef Py_ssize_t k, size = u.shape[0]
    cdef Py_ssize_t stride = lower.strides[0] // <Py_ssize_t> sizeof(double)  # of both bounds
    cdef double decrease = 0.0, last_decrease = 0.0
    if not size:
        return decrease, last_decrease
    with nogil:
        for k in range(n_sweeps):
            last_decrease = sweep(&matrix[0, 0], &l1[0], &lower[0], &upper[0], stride, &u[0],
                                  &gradient[0], size)
            decrease += last_decrease
            if last_decrease <= tolerance * decrease:
                break
    return decrease, last_decrease


def csc_column_moments(const double[::1] data, const index[::1] indices, const index[::1] indptr,
                       const Py_ssize_t[::1] columns, const double[::1] row_weight,
                       double[::1] first, double[::1] second):
    """Set first to Σ hx and second to Σ hx² of some columns of a CSC matrix.

    Parameters
    ----------
    data, indices, indptr : the CSC matrix, of shape (n_samples, n_columns)
    columns : (size,) indices of the columns
    row_weight : (n_samples,) weights h
    first, second : (size,) moments; changed
    """
    cdef Py_ssize_t k, e
    cdef double weighted
    with nogil:
        for k in range(columns.shape[0]):
            first[k] = second[k] = 0.0
            for e in range(indptr[columns[k]], indptr[columns[k] + 1]):
                weighted = row_weight[indices[e]] * data[e]
                first[k] += weighted
                second[k] += weighted * data[e]


def csc_coordinate_descent(const double[::1] data, const index[::1] indices,
                           const index[::1] indptr, const Py_ssize_t[::1] columns,
                           const double[::1] row_weight, const double[::1] first,
                           const double[::1] curvature_along, const double[::1] l2,
                           const double[::1] l1, const double[:] lower, const double[:] upper,
                           const double[::1] gradient, const double[::1] start, double total,
                           bint visit_zeros, double[::1] u, double[::1] weighted_z,
                           double[::1] state):
    """Minimise gᵀd + ½ Σ h(xd + c)² + ½ Σ λd² + Σ κ|start + d| in one sweep over columns.

    The step c of the intercept is recomputed after each coordinate, so that c is the minimiser for
    the present d. A sweep then decreases the model as much as a sweep over centred columns.

    Parameters
    ----------
    data, indices, indptr, columns, row_weight : as for `csc_column_moments`
    first : (size,) Σ hx
    curvature_along : (size,) second derivative in each coordinate of d, with λ, if c is the
        minimiser for each d; 0 if below rounding
    l2, l1 : (size,) λ and κ, not negative
    lower, upper : (size,) bounds of u, infinite where there is none
    gradient : (size,) g, the gradient at d = 0 and c = 0
    start : (size,) u at d = 0
    total : Σ h, or infinity if there is no intercept
    visit_zeros : whether the sweep also visits coordinates with u = 0
    u : (size,) weights within the bounds, start + d; changed
    weighted_z : (n_samples,) h·(xd), for each row; changed
    state : (2,) c, and the derivative of the model in c at c = 0; changed

    Returns
    -------
    decrease : float
        Decrease of the model. The decrease by the steps of c is included, because c is the
        minimiser before and after each step of u.
    """
    cdef Py_ssize_t k, e, begin, end
    cdef double derivative, step, decrease = 0.0
    with nogil:
        for k in range(u.shape[0]):
            if not visit_zeros and u[k] == 0.0:
                continue
            derivative = gradient[k] + state[0] * first[k] + l2[k] * (u[k] - start[k])
            begin, end = indptr[columns[k]], indptr[columns[k] + 1]
            derivative += sparse_dot(&data[0] + begin, &indices[0] + begin,
                                     end - begin, &weighted_z[0])
            step = prox_coordinate_step(&u[k], derivative, curvature_along[k], l1[k], lower[k],
                                        upper[k], &decrease)
            if step == 0.0:
                continue
            for e in range(begin, end):
                weighted_z[indices[e]] += step * row_weight[indices[e]] * data[e]
            state[1] += step * first[k]
            state[0] = -state[1] / total
    return decrease
