# cython: language_level=3, cdivision=True
"""A sum of binary cross-entropies that takes one logarithm for many samples.

The loss of a sample is log(1 + e⁻|ᶻ|) plus a part that is linear in z. The factors 1 + e⁻|ᶻ| of
many samples are multiplied, and the logarithm is taken of the product.
"""
from libc.math cimport log, log1p

# Factors in one product: each is at most 2, so a product is at most 2⁵¹², the square root of what a
# double can hold (2¹⁰²⁴).
cdef enum:
    FACTORS_PER_LOG = 512


cdef struct LogSum:
    double value       # sum of the linear parts of the losses, and of the logarithms taken
    double product     # product of the factors 1 + e⁻|ᶻ| whose logarithm is not yet in value
    int n_factors      # number of factors in product


cdef inline void add_loss(double z, double tail, double y, double sample_weight,
                          LogSum *losses) noexcept nogil:
    """Add sample_weight · L(y, σ(z)), in nats, given tail = e⁻|ᶻ|."""
    cdef double linear = (1.0 - y) * z if z >= 0 else -y * z
    losses.value += sample_weight * linear
    if sample_weight == 1.0:
        losses.product *= 1.0 + tail
        losses.n_factors += 1
        if losses.n_factors == FACTORS_PER_LOG:
            losses.value += log(losses.product)
            losses.product = 1.0
            losses.n_factors = 0
    else:
        losses.value += sample_weight * log1p(tail)


cdef inline double total(LogSum *losses) noexcept nogil:
    """Return the sum of all losses added."""
    return losses.value + log(losses.product)
