"""The objective F, mean loss plus penalty: its value, gradient and curvature.

The samples are in memory, in parts or on a device. A module may import those listed above it:

- ``penalty``: the penalty on the weights: value, gradient, proximal step.
- ``rows``: products with rows of X, for dense and for sparse X.
- ``scaling``: coordinates in which columns are centred and scaled, and the moments that give them.
- ``triangular``: the solution of triangular systems, of any size.
- ``root``: the triangular factor of a QR factorisation, as a sum over blocks of rows.
- ``basis``: a basis of the weights in which the curvature of F at one point is the identity.
- ``dependence``: whether columns depend on each other exactly, or but for rounding.
- ``base``: the contract between objectives and solvers, and the base class of all objectives.
- ``ray``: F on a ray, from linear outputs in memory or by passes over the samples.
- ``design``: the samples in centred and scaled coordinates: a view of X, or a copy of small data.
- ``in_memory``: F over samples in memory.
- ``partitioned``: F over samples in parts: chunks of a file, or partitions on other machines.
- ``summary``: size, classes and random samples of samples in parts, from one pass before a fit.
- ``device_samples``: samples in an array of another library, such as one on a GPU.
- ``on_device``: F over such samples.
- ``device_chunk``: a chunk of samples on a device, as a part of the samples of a fit.
"""
