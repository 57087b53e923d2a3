"""Many samples: most of the way on a few of them, the rest with their curvature on all.

The minimum on m random samples is about size/(2m) nats above that on all n (half the expectation of
a χ² of as many degrees of freedom), and their curvature is that of all to √(size/m) of itself. So
Newton's method on a sample, which is itself solved so, leaves little to do for the n: each step
by the sample's curvature takes a pass, and leaves about size/m of what was left before it.

References
----------
R. H. Byrd, G. M. Chin, W. Neveitt and J. Nocedal, "On the Use of Stochastic Hessian Information in
Optimization Methods for Machine Learning", SIAM Journal on Optimization 21 (2011).
J. Nocedal and S. J. Wright, "Numerical Optimization", 2nd edition, 2006, algorithm 7.4.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse

from sklearn_bce._kernels import Vector
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.rows import row_blocks, squared
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.newton.cost import LARGEST_CURVATURE, Costs
from sklearn_bce.chain_rule import sigmoid

# Rows that tell the deviation of a column to some percent.
ROWS_FOR_UNITS = 256

STANDARD_ERRORS = 5.0  # beyond which nothing is due to chance
# By how much the diagonal of a sample's curvature may be off that of all, and the samples of a
# column, in effect, on which that is five standard errors.
UNLIKE = 2.0
ENOUGH_SAMPLES = 30


def sample_of(
    problem: InMemoryObjective, tol: float, random_state: Any
) -> InMemoryObjective | None:
    """Return the problem on random rows, for it to be solved there first; None if that is no use.

    Half of the rows are of either class, as far as it has them, and weigh as much as all of it:
    where one class is rare, it is the number of its samples that limits what is known (J. Fithian
    and T. Hastie, "Local Case-Control Sampling", Annals of Statistics 42 (2014), section 2). Of
    soft targets, those above their mean are one class.
    """
    if not problem.caches_outputs:
        return problem.sample()
    n_rows = Costs.of(problem).sample_size(problem.n_samples, tol)
    if not n_rows:
        return None
    positive, counts = problem.y > np.mean(problem.y), problem.sample_weight > 0
    drawn, factors = [], []
    for of_class in (np.flatnonzero(counts & ~positive), np.flatnonzero(counts & positive)):
        some = of_class
        if len(of_class) > n_rows // 2:
            some = of_class[np.unique(random_state.randint(len(of_class), size=n_rows // 2))]
        if len(some) <= problem.coordinates.size:
            return None  # on so few there may be no minimum, or one that is far away
        drawn.append(some)
        factors.append(np.full(len(some), len(of_class) / len(some)))
    rows = np.concatenate(drawn)
    order = np.argsort(rows)  # as they lie in memory
    return problem.of_rows(rows[order], np.concatenate(factors)[order])


def penalty_prevails(problem: InMemoryObjective, random_state: Any) -> Coordinates | None:
    """Return near standard coordinates if in them the L2 penalty outweighs the loss, else None.

    Its curvature is then at least that of the loss in every coordinate, and conjugate gradients
    need no more than a few products, however large the data: less than any preparation takes.
    """
    if not (problem.penalty.is_smooth and problem.caches_outputs):
        return None
    rows = np.unique(random_state.randint(problem.n_samples, size=ROWS_FOR_UNITS))
    coordinates = problem.of_rows(rows, np.ones(len(rows))).standardised().coordinates
    strength = problem.penalty.in_units(coordinates.scale).l2
    return coordinates if np.min(strength) >= LARGEST_CURVATURE else None


def may_leave_no_weight(sample: InMemoryObjective) -> bool:
    """Return whether, for all the sample knows, all weights may be 0 at the minimum on all rows.

    The gradient there is a sum over the samples; its standard error is the root of that of squares,
    for a feature that is in standard coordinates.
    """
    p = sample.n_features
    point = sample.evaluate(sample.coordinates.from_user(np.zeros(p), sample.log_odds))
    slope = sample.normalised_weight * (sigmoid(point.z) - sample.y)
    error = STANDARD_ERRORS * float(np.linalg.norm(slope))
    return bool(np.max(np.abs(point.gradient[:p]) - sample.penalty.l1) <= error)


def knows_every_column(sample: InMemoryObjective, curvature: Vector) -> bool:
    """Return whether the diagonal of the sample's curvature is near that of all, in every entry.

    Its relative standard error is √(Σ h²z⁴)/Σ hz²: of a column that is 0 but for k samples, 1/√k.
    One that is constant in the sample may be so by chance.
    """
    second, fourth = np.zeros((2, sample.n_features))
    for rows in row_blocks(sample.X):
        h, X = curvature[rows], sample.X[rows]
        squares = squared(X) if issparse(X) else np.square(X - sample.coordinates.shift)
        second += squares.T @ h
        fourth += (squared(squares) if issparse(X) else np.square(squares)).T @ np.square(h)
    return bool(np.all((second > 0) & (fourth * ENOUGH_SAMPLES <= np.square(second))))


def with_diagonal(matrix: NDArray[np.float64], diagonal: Vector) -> NDArray[np.float64]:
    """Return the curvature of a sample with the diagonal of that of all, its correlations kept.

    A column that is rare in the sample, or all but missing, would else be thought flat. That is
    done to no others: what columns that nearly repeat each other differ by is in the last digits of
    a sample's curvature, which is that of all to √(size/m) in every direction as long as nobody
    scales it.
    """
    own = np.diag(matrix)
    rare = (diagonal > UNLIKE * own) | (own > UNLIKE * diagonal)
    ratio = np.sqrt(np.divide(diagonal, own, out=np.zeros_like(own), where=own > 0))
    ratio[~rare] = 1.0
    scaled = matrix * ratio * ratio[:, np.newaxis]
    np.fill_diagonal(scaled, np.where(rare, diagonal, own))
    return scaled
