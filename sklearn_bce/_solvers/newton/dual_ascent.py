"""Few samples for each feature: coordinate ascent on the dual, one slope after the other.

With an L2 penalty of one strength λ, min F is the maximum of the dual over the slopes v, with
y + v in [0, 1] and, if there is an intercept, Σ pv = 0 (see `duality`)::

    D(v) = Σ p [H(y + v) + vo] − λ/2 ‖w‖²            w = −(1/λ) Σ p v x

The maximum over one slope, the others fixed, is where v = σ(t) − y with t + κ(σ(t) − y − v) = z,
κ = p‖x‖²/λ, with the present v and z. It is found by Newton's method in one variable. A pass over
the samples in random order takes the time of two products with X. Where the samples are hardly
correlated, because they have many features, or few that they share, each pass divides the distance
from the maximum by about ten.

An intercept is the weight of a feature of the value β, with the penalty λ/(2β²)·(b − c)², whose
centre c is moved to b after each pass: the method of multipliers for Σ pv = 0.

At the end the outputs t of some samples are moved by a constant, so that Σ pv = 0, and b is the
minimum of F over the intercept. What is left is then known from the outputs z: for v = q − y and
a = σ(z),

    F(w, b) − min F  <=  F(w, b) − D(v)  =  Σ p KL(q, a)

with the Kullback-Leibler divergence of two probabilities.

References
----------
H.-F. Yu, F.-L. Huang and C.-J. Lin, "Dual Coordinate Descent Methods for Logistic Regression and
Maximum Entropy Models", Machine Learning 85 (2011). S. Shalev-Shwartz and T. Zhang, "Stochastic
Dual Coordinate Ascent Methods for Regularized Loss Minimization", Journal of Machine Learning
Research 14 (2013). D. P. Bertsekas, "Constrained Optimization and Lagrange Multiplier Methods",
1982, section 2.2.
"""

from __future__ import annotations

import numpy as np

from sklearn_bce._kernels import Vector, kernels, uniform
from sklearn_bce._objective.base import Objective
from sklearn_bce._objective.in_memory import InMemoryObjective, intercept_at_zero_weights
from sklearn_bce._objective.rows import parts_of_order, pass_in_order
from sklearn_bce._objective.scaling import Coordinates
from sklearn_bce._solvers.base import Result, Settings, StopReason
from sklearn_bce._solvers.newton.loop import Start
from sklearn_bce._solvers.newton.row_space import PRODUCTS_IN_A_PASS
from sklearn_bce.chain_rule import binary_cross_entropy, dl_dz

# β², as a fraction of the mean ‖x‖²: a larger β slows the slopes down, a smaller one the intercept:
# python -m benchmarks.tuning BIAS_SHARE
BIAS_SHARE = 0.1
# Passes of ascent that take as long as conjugate gradients on sparse samples with κ near 0, and
# about the fourth root of 1 + κ times as long, up to κ = 1e4:
# python -m benchmarks.tuning PASSES_AT_ZERO
PASSES_AT_ZERO = 8
# Elements of an array, and stored values of a CSR matrix, up to which the other rules take less
# time, or hardly more and are exact: python -m benchmarks.tuning LEAST_ELEMENTS,
# python -m benchmarks.tuning LEAST_STORED
LEAST_ELEMENTS = 2**17
LEAST_STORED = 2**12
# Samples, evenly spaced, from which the mean ‖x‖² is estimated: it only has to have the right order
# of magnitude. [a choice]
ROWS_LOOKED_AT = 16
# Slopes that are moved for Σ pv = 0, and most by which that may raise the bound, as a fraction of
# ``tol``. [a choice]
SLOPES_MOVED = 8
SHARE_OF_TOL = 0.2
# Mean κ below which the penalty dominates: the other rules then take the time of four passes.
# python -m benchmarks.tuning LEAST_KAPPA
LEAST_KAPPA = 0.1
# Passes after which it is known how fast they are, and least for which the ascent is tried: the
# first passes depend on the start. [a choice]
PASSES_TO_JUDGE = 4


def solve_by_dual_ascent(objective: Objective, settings: Settings) -> Result | Start | None:
    """Minimise F from w = 0 by coordinate ascent on the dual.

    Parameters
    ----------
    objective : Objective
        F in the user's units, with more features than samples.
    settings : Settings
        Settings; ``tol`` is above 0.

    Returns
    -------
    result : Result, Start or None
        `Result` if F is within ``tol`` of its minimum. If the ascent would take too many passes, a
        `Start` at its end for sparse samples, and None for dense ones, as other rules start at 0.
        None also if the ascent is not for the problem.
    """
    if not is_worthwhile(objective, settings):
        return None
    ascent = DualAscent(objective)
    most = ascent.most_passes
    if not PASSES_TO_JUDGE <= most < np.inf:
        return None
    rises: list[float] = []
    ratio = 1.0  # of the gap and the rise, as far as it is known
    while len(rises) < PASSES_TO_JUDGE or is_fast(rises, most, settings.tol):
        rises.append(ascent.rise_in_pass(settings.random_state))
        if ratio * rises[-1] <= settings.tol:
            gap = ascent.duality_gap(settings.tol)
            if gap <= settings.tol:
                return ascent.result(settings)
            ratio = gap / rises[-1] if rises[-1] > 0 else np.inf
    return ascent.start(settings.tol)


def is_worthwhile(objective: Objective, settings: Settings) -> bool:
    """Return whether the ascent may be faster than the other start rules.

    It may if samples in memory have more features than samples, and F has one strength of an L2
    penalty, no L1 norm and no bounds. The rows of an array have to be contiguous.
    """
    penalty = objective.penalty
    if not penalty.is_smooth or np.ndim(penalty.l2) or not settings.monitor.is_passive:
        return False
    if not penalty.l2 > 0 or objective.n_samples >= objective.n_features:
        return False
    X = objective.array
    if X is None:
        data = objective.data_size
        return data.storage == "csr" and data.n_stored > LEAST_STORED
    return X.size > LEAST_ELEMENTS and X.flags.c_contiguous


def is_fast(rises: list[float], most: float, tol: float) -> bool:
    """Return whether the dual is expected to rise by at most ``tol`` in one of ``most`` passes.

    ``rises`` are those of the passes so far, at least three, which fall geometrically.
    """
    left = most - len(rises)
    rate = (rises[-1] / rises[-3]) ** (1 / 2) if rises[-3] > 0 else 0.0
    return left > 0 and rate < 1 and rises[-1] * rate**left <= tol


class DualAscent:
    """The slopes of the samples, the weights and the intercept that belong to them.

    Parameters
    ----------
    objective : InMemoryObjective
        F in the user's units.

    Attributes
    ----------
    w : ndarray of shape (n_features,), float64
        Weights −(1/λ) Σ pvx; changed by `rise_in_pass`.
    intercept : ndarray of shape (1,), float64
        Intercept b; changed by `rise_in_pass`.
    """

    def __init__(self, objective: InMemoryObjective) -> None:
        n, X = objective.n_samples, objective.X
        self._objective = objective
        loops = kernels()
        self._pass = pass_in_order(X, loops.dense_dual_pass, loops.csr_dual_pass)
        self._offset = uniform(0.0, n) if objective.offset is None else objective.offset
        evenly_spaced = slice(None, None, -(-n // ROWS_LOOKED_AT))
        mean_square = float(np.mean(objective.row_squares(evenly_spaced)))
        self._factor = objective.normalised_weight / objective.penalty.l2
        self._bias_square = 0.0
        if objective.coordinates.fit_intercept:
            self._bias_square = BIAS_SHARE * mean_square
        self._mean_kappa = float(np.mean(self._factor)) * (mean_square + self._bias_square)
        self._kappa = np.full(n, -1.0)  # known after the first pass
        self.w, self.intercept = np.zeros(objective.n_features), np.array([objective.log_odds])
        # t, the outputs of which the slopes v are the derivatives of the loss.
        self._outputs, self._slopes = np.full(n, self.intercept[0]), np.zeros(n)
        self._value = np.inf

    @property
    def most_passes(self) -> float:
        """Passes that take as long as the other rules; NaN if the squares of samples overflow."""
        kappa, objective = self._mean_kappa, self._objective
        if kappa < LEAST_KAPPA:
            return 0.0
        by_gradients = PASSES_AT_ZERO * (1 + kappa) ** 0.25
        if objective.array is None:
            return by_gradients
        return min(by_gradients, objective.n_samples / PRODUCTS_IN_A_PASS)

    def rise_in_pass(self, random_state: np.random.RandomState) -> float:
        """Maximise the dual over each slope in turn; return an estimate of its rise, in nats."""
        objective = self._objective
        order = random_state.permutation(objective.n_samples)
        objective.passes.add()
        rise = sum(
            self._pass(
                objective.y,
                self._offset,
                self._factor,
                self._kappa,
                order[some],
                self._outputs,
                self._slopes,
                self.w,
                self.intercept,
                self._bias_square,
            )
            for some in parts_of_order(len(order), objective.X.size)
        )
        self.intercept -= self._bias_square * (self._factor @ self._slopes)
        return float(objective.penalty.l2 / 2 * rise)

    def duality_gap(self, tol: float) -> float:
        """Return an upper bound on F − min F, in nats, in a pass, or two.

        With an intercept, slopes are moved such that Σ pv = 0, and the intercept such that F is
        least: changes self.

        Parameters
        ----------
        tol : float
            What the bound is compared with.
        """
        objective, y, p = self._objective, self._objective.y, self._objective.normalised_weight
        coordinates, t = objective.coordinates, self._outputs
        if coordinates.fit_intercept:
            if not 0 < float(p @ y) < 1:
                return np.inf
            self._balance(tol)
        z = objective.linear_outputs(coordinates.from_user(self.w, 0.0))
        if coordinates.fit_intercept:
            self.intercept[0] = intercept_at_zero_weights(y, p, z)
            z += self.intercept[0]
        self._value = objective.value_at(coordinates.from_user(*self.weights), z)
        of_zero = binary_cross_entropy(0.0, z) - binary_cross_entropy(0.0, t)
        divergence = of_zero - (y + self._slopes) * (z - t)
        return float(p @ np.maximum(divergence, 0.0))

    def _balance(self, tol: float) -> None:
        """Move slopes such that Σ pv = 0, and the weights with them; changes self.

        Σ pv is near 0 after some passes. Then the slopes of a few samples suffice, those with the
        largest curvature: to move them lowers the dual by about (Σ pv)²/(2 Σ pa(1−a)). If that is
        more than the fraction ``SHARE_OF_TOL`` of ``tol``, all are moved, which takes a pass.
        """
        objective, t, v = self._objective, self._outputs, self._slopes
        y, p = objective.y, objective.normalised_weight
        a, excess = y + v, float(p @ v)
        curvature = p * a * (1 - a)
        some = np.argsort(-curvature)[:SLOPES_MOVED]
        of_some = float(np.sum(curvature[some]))
        # Half of their curvature leaves all slopes within their range.
        if excess**2 > 2 * SHARE_OF_TOL * tol * of_some or abs(excess) > of_some / 2:
            t += intercept_at_zero_weights(y, p, t)
            v[:] = dl_dz(y, t)
            self.w = -objective.row_sums(p * v)[:-1] / objective.penalty.l2
            return
        share = p[some] / np.sum(p[some])
        wanted = np.full(len(some), float(share @ a[some]) - excess / float(np.sum(p[some])))
        t[some] += intercept_at_zero_weights(wanted, share, t[some])
        change = dl_dz(y[some], t[some]) - v[some]
        v[some] += change
        self.w -= np.ravel((self._factor[some] * change) @ objective.X[some])
        objective.passes.add(len(some) / objective.n_samples)

    @property
    def weights(self) -> tuple[Vector, float]:
        """Weights and intercept."""
        return self.w, float(self.intercept[0])

    def result(self, settings: Settings) -> Result:
        """Return the weights as a result that has converged, after `duality_gap`."""
        weights, n_passes = self.weights, self._objective.n_passes
        settings.monitor.end_all([self._value], lambda: weights, n_passes)
        # No column has a larger mean square than the samples, Σ p‖x‖².
        mean_square = self._objective.penalty.l2 * np.sum(self._kappa) - self._bias_square
        scale = np.full(len(self.w), np.sqrt(max(mean_square, 0.0)) or 1.0)
        fit_intercept = self._objective.coordinates.fit_intercept
        bounds = Coordinates(np.zeros(len(self.w)), scale, fit_intercept)
        end = StopReason.CONVERGED
        return Result(*weights, end, [self._value], n_passes, coordinates=bounds)

    def start(self, tol: float) -> Start | None:
        """Return a start at the weights; None for dense samples, or if F is higher than at 0."""
        objective = self._objective
        if objective.array is not None:
            return None
        self.duality_gap(tol)
        if not self._value < objective.value_at_origin:
            return None
        problem = objective.standardised()
        return Start(problem, problem.coordinates.from_user(*self.weights))
