# cython: language_level=3, cdivision=True
"""L1 norm and bounds in one coordinate: soft-thresholding, and coordinate descent by it.

All kernels with an L1 norm or bounds use these functions; ``reference.py`` has the same functions
in NumPy.
"""
from libc.math cimport fabs


cdef inline double soft_threshold(double x, double threshold) noexcept nogil:
    """Return sign(x)·max(|x| − threshold, 0), the minimiser over u of ½(u − x)² + threshold·|u|."""
    if x > threshold:
        return x - threshold
    if x < -threshold:
        return x + threshold
    return 0.0


cdef inline double within(double x, double lower, double upper) noexcept nogil:
    """Return the number nearest to x in [lower, upper]."""
    return lower if x < lower else upper if x > upper else x


cdef inline double prox_coordinate_step(double *u, double derivative, double curvature, double l1,
                                        double lower, double upper,
                                        double *decrease) noexcept nogil:
    """Move u to u + d with the d that minimises derivative·d + ½ curvature·d² + κ|u + d|; return d.

    Of the d with lower <= u + d <= upper. The decrease of that expression is added to ``decrease``.
    If the curvature is not positive, u is set to 0 (the nearest number within the bounds) if
    |derivative| <= κ, and is not changed otherwise (d is 0).

    Parameters
    ----------
    u : pointer to one coordinate within the bounds; changed
    derivative, curvature : of the smooth part in that coordinate, at u
    l1 : κ, the strength of the L1 norm in that coordinate
    lower, upper : bounds of that coordinate; infinite if there is none
    decrease : pointer to one number, to which the decrease is added
    """
    cdef double new, step
    if curvature > 0.0:
        new = within(soft_threshold(u[0] - derivative / curvature, l1 / curvature), lower, upper)
    elif fabs(derivative) <= l1:
        new = within(0.0, lower, upper)
    else:
        return 0.0
    step = new - u[0]
    decrease[0] -= step * (derivative + 0.5 * curvature * step) + l1 * (fabs(new) - fabs(u[0]))
    u[0] = new
    return step


cdef inline double sweep(const double *matrix, const double *l1, const double *lower,
                         const double *upper, Py_ssize_t stride, double *u, double *gradient,
                         Py_ssize_t size) noexcept nogil:
    """Minimise q(u) + Σ κ|u|, q quadratic, over each coordinate in turn; return the decrease.

    Parameters
    ----------
    matrix : (size, size) Hessian of q, symmetric
    l1 : (size,) κ
    lower, upper : bounds of u
    stride : distance of the bounds of two coordinates; 0 if all have the same
    u : (size,) coordinates within the bounds; changed
    gradient : (size,) ∂q/∂u at u; changed
    """
    cdef Py_ssize_t i, j
    cdef double step, decrease = 0.0
    cdef const double *row
    for j in range(size):
        row = matrix + j * size
        step = prox_coordinate_step(u + j, gradient[j], row[j], l1[j], lower[j * stride],
                                    upper[j * stride], &decrease)
        if step == 0.0:
            continue
        for i in range(size):
            gradient[i] += step * row[i]
    return decrease
