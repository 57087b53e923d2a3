# cython: language_level=3, cdivision=True
"""The L1 norm in one coordinate."""
from libc.math cimport fabs


cdef inline double soft(double x, double threshold) noexcept nogil:
    """Return x moved to 0 by the threshold, and not past it."""
    if x > threshold:
        return x - threshold
    if x < -threshold:
        return x + threshold
    return 0.0


cdef inline double prox_coordinate_step(double *u, double slope, double bend, double l1,
                            double *gained) noexcept nogil:
    """Move u to where slope·d + ½ bend·d² + κ|u + d| is least, and return the step d.

    What that takes off is added to what has been gained. Where the model knows no curvature, u is
    0 if κ holds it there, and else stays.
    """
    cdef double to, step
    if bend > 0.0:
        to = soft(u[0] - slope / bend, l1 / bend)
    elif fabs(slope) <= l1:
        to = 0.0
    else:
        return 0.0
    step = to - u[0]
    gained[0] -= step * (slope + 0.5 * bend * step) + l1 * (fabs(to) - fabs(u[0]))
    u[0] = to
    return step
