# cython: language_level=3, cdivision=True
"""A sum of losses in which one logarithm serves many samples; for the per-sample rule."""
from libc.math cimport log, log1p

# Factors 1 + e⁻|ᶻ| <= 2 that may be multiplied before their product is put through one logarithm.
cdef enum:
    FACTORS_PER_LOG = 512


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


cdef inline double total(Tally *tally) noexcept nogil:
    """Return the sum of all losses counted."""
    return tally.linear + log(tally.product)
