"""The objective F: its value, gradient and curvature, wherever the samples lie.

- ``penalty``: the penalty on the weights: value, gradient, proximal step.
- ``rows``: products with rows of X: all that dense and sparse samples differ in.
- ``scaling``: coordinates in which columns are centred and scaled, and the moments that give them.
- ``base``: the contract between objectives and solvers, and what all objectives share.
- ``ray``: F on a ray: by outputs that are held, or by passes over the samples.
- ``design``: the samples in those coordinates: a view of X, or a copy of small data.
- ``in_memory``: F over samples in memory.
- ``partitioned``: F over samples elsewhere, in parts.
- ``summary``: what must be known of samples in parts before a fit, in one pass.
"""
