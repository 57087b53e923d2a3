"""The objective F: its value, gradient and curvature, wherever the samples lie.

- ``penalty``: the penalty on the weights: value, gradient, proximal step.
- ``rows``: products with rows of X: all that dense and sparse samples differ in.
- ``scaling``: coordinates in which columns are centred and scaled, and the moments that give them.
- ``base``: What every objective has in common, and what it answers.
- ``design``: the samples in those coordinates: a view of X, or a copy of small data.
- ``in_memory``: F over samples in memory.
- ``partitioned``: F over samples elsewhere, in parts.
- ``summary``: What must be known of samples in parts before a fit, in one pass.
"""
