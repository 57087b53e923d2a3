"""Performance profiles: how often a competitor is within a factor of the fastest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def ratios_to_fastest(seconds: Mapping[str, Sequence[float]]) -> dict[str, np.ndarray]:
    """Return each competitor's times as multiples of the fastest competitor's on each problem.

    Parameters
    ----------
    seconds : mapping of str to sequence of float
        Of each competitor, its time on each problem; inf where it did not solve it.

    Returns
    -------
    ratios : dict of str to ndarray of shape (n_problems,)
        1 where it was the fastest, inf where it did not solve the problem.
    """
    table = np.array(list(seconds.values()), dtype=np.float64)
    fastest = table.min(axis=0)
    solvable = np.isfinite(fastest)
    ratios = np.full_like(table, np.inf)
    ratios[:, solvable] = table[:, solvable] / fastest[solvable]
    return dict(zip(seconds, ratios, strict=True))


def performance_profile(ratios: np.ndarray, factors: Sequence[float]) -> np.ndarray:
    """Return the fraction of problems that a competitor solved within each factor of the fastest.

    Parameters
    ----------
    ratios : ndarray of shape (n_problems,)
        Of one competitor, from `ratios_to_fastest`.
    factors : sequence of float
        Multiples of the fastest time, each at least 1.

    Returns
    -------
    fractions : ndarray of shape (n_factors,)
        ρ(τ) for each factor τ; ρ(1) is the fraction where the competitor was
        the fastest, ρ(∞) the fraction that it solved.

    References
    ----------
    E. D. Dolan and J. J. Moré, "Benchmarking optimization software with performance profiles",
    Mathematical Programming 91 (2002), 201-213, doi:10.1007/s101070100263, equation (1.1).
    """
    solved = ratios[np.isfinite(ratios)]
    return np.array([np.sum(solved <= factor) / len(ratios) for factor in factors])
