"""Continuation: minima for stronger penalties, from which the minimum for a weak penalty is near.

With few samples for each feature, the loss can be made as small as one likes. With a weak penalty,
F at its minimum is then nearly 0, and so is the curvature of most samples. From 0, Newton's models
are far from F, they have more weights that are not 0 than there are samples, and their matrices are
singular. The minima for a sequence of penalties, each a fraction of the one before, have few
weights, and from one to the next nearly the same ones.

References
----------
J. Friedman, T. Hastie and R. Tibshirani, "Regularization Paths for Generalized Linear Models via
Coordinate Descent", Journal of Statistical Software 33 (2010), section 2.5.
"""

from __future__ import annotations

import numpy as np

from sklearn_bce._objective.base import Evaluation, Objective

# Ratio of two successive penalties: python -m benchmarks.tuning STRENGTH_RATIO
STRENGTH_RATIO = 20.0
# Least ratio of the penalty for which the start is the minimum and the first of the sequence:
# python -m benchmarks.tuning FIRST_RATIO
FIRST_RATIO = 3.0
# Tolerance for a stronger penalty, as a fraction of F at its start:
# python -m benchmarks.tuning STAGE_TOLERANCE
STAGE_TOLERANCE = 0.05
# Most Newton steps for a stronger penalty. Reaching the limit is not an error: the result is only a
# start. [a choice]
STEPS_IN_STAGE = 100


# Most samples for each feature in a wide X. Labels that do not depend on X are separable up to two
# (T. Cover, "Geometrical and Statistical Properties of Systems of Linear Inequalities", IEEE
# Transactions on Electronic Computers 14 (1965)): python -m benchmarks.tuning SAMPLES_PER_FEATURE
SAMPLES_PER_FEATURE = 2.0
# Fraction of the elements of X that are stored, from which on X counts as dense. The columns of a
# sparser X are hardly correlated: sweeps over columns converge fast, and more passes do not pay:
# python -m benchmarks.tuning WIDE_DENSITY
WIDE_DENSITY = 0.5


def is_wide(problem: Objective) -> bool:
    """Return whether X has few samples for each feature, and few zeros.

    That is fewer than ``SAMPLES_PER_FEATURE``, and at least the fraction ``WIDE_DENSITY`` stored.
    """
    n, p = problem.n_samples, problem.n_features
    return n < SAMPLES_PER_FEATURE * p and problem.data_size.n_stored >= WIDE_DENSITY * n * p


def is_worthwhile(objective: Objective) -> bool:
    """Return whether minima for stronger penalties save time, if the penalty is weak.

    They do with an L1 norm, if X is wide and in memory.
    """
    in_memory = objective.samples_reference() is not None
    return in_memory and is_wide(objective) and not objective.penalty.is_smooth


def strength_factors(problem: Objective, point: Evaluation) -> list[float]:
    """Return the factors of the penalty, descending and above 1, for which minima are found.

    The point is the start. The list is empty if the penalty is not weak: if it is not much weaker
    than the penalty for which the start is the minimum.
    """
    p = problem.n_features
    of_l2 = problem.penalty.gradient(point.theta[:p])
    of_loss = np.abs(point.gradient[:p] - of_l2)
    # At the minimum for a multiple of the penalty, the largest quotient is that multiple.
    strength = problem.penalty.l1 + np.abs(of_l2)
    at_start = float(np.max(np.divide(of_loss, strength, out=0 * of_loss, where=strength > 0)))
    ratio = at_start / (FIRST_RATIO * STRENGTH_RATIO)
    if not 1 < ratio < np.inf:
        return []
    n_stages = int(np.ceil(np.log(ratio) / np.log(STRENGTH_RATIO)))
    return [STRENGTH_RATIO**k for k in range(n_stages, 0, -1)]
