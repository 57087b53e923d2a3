"""Newton's method.

- ``cost``: what curvature, products and rows cost, in passes over the samples.
- ``line_search``: the length of a step.
- ``direction``: the step of a smooth objective.
- ``quadratic``: the quadratic model with an L1 norm.
- ``proximal``: the step of an objective with an L1 norm.
- ``subsample``: a start from some of the samples.
- ``row_space``: the objective in coordinates of the rows, where features outnumber samples.
- ``loop``: the iterations.
- ``path``: a start from the fit before, along a path of penalties.
- ``diagnosis``: how far the minimum is, and whether there is one.
- ``starts``: where the iterations start.
"""

from sklearn_bce._solvers.newton.starts import SOLVER

__all__ = ["SOLVER"]
