"""An independent minimum of F, by means that are slow and safe.

F(w, b) = Σ sᵢ L(yᵢ, σ(zᵢ)) + ½ l2 ‖w‖² + l1 ‖w‖₁ with Σ s = 1, the objective of the estimator.
Nothing of the package is used here. The parts:

- `Problem` is the data, and `value` is F at a point, in extended precision (`np.longdouble`).
- `minimise` is Newton's method by a pivoted QR factorisation of [√(s h)·Z; √l2], on columns that
  are centred at a stored value, with an exact line search. With an L1 norm the method works on an
  active set: each weight of the set has a sign, and each other weight is 0.
- `separation` is a linear program: which samples are separated, so that their loss has no minimum.
- `referee` puts these together: the infimum of F, how sure it is, and whether F has a minimum.
- `representable` rounds a point to float64 or float32, so that F rises as little as possible.

Without a penalty a minimum exists if a Newton step changes no zᵢ by 1 or more: the residuals, with
the changes that the step predicts, keep their signs and are orthogonal to the columns, which rules
out a separating direction (Gordan's theorem). Where a residual is too small for this to be computed
(|z| > 40), the linear program decides.
"""

import time
from fractions import Fraction
from typing import NamedTuple

import numpy as np
from scipy.optimize import linprog

EXTENDED = np.longdouble
# Largest n_samples · n_columns² for which the factorisation uses extended precision. [a choice:
# 0.1 s an iteration]
EXTENDED_SIZE = 2e6
# Estimated distance from the minimum, in nats, at which Newton's method stops.
EXACT = 1e-14
MAX_ITER = 200
# Rounding error of z from which on it is computed exactly, and the most samples for which it is:
# 30 µs for a sum of two products.
UNCERTAIN, MOST_EXACT = 1e-9, 500
# Ratio of pivots below which float64 does not resolve a direction, for F to 1e-7. [a choice]
LOST_IN_FLOAT64 = 1e-11
# |z| from which on the loss of a sample on its right side, e^-400, cannot matter, whatever its
# features are in units of the others.
SETTLED = 400


class Problem(NamedTuple):
    """F as arrays: X (n, p) float64, y (n,) in [0, 1], s (n,) positive, with sum 1."""

    X: np.ndarray
    y: np.ndarray
    s: np.ndarray
    l2: float
    l1: float
    fit_intercept: bool


class Minimum(NamedTuple):
    """A point, F there, and what is known of the infimum.

    Attributes
    ----------
    w, b : ndarray of shape (p,), longdouble
        The best point found. Where classes are separated, the best point of the samples that are
        not: F at that point is above ``value``.
    value : float
        Least value of F that was found.
    uncertainty : float
        Estimate of what is left between ``value`` and the infimum.
    separated : bool or None
        Whether F has no minimum; None if this is not known.
    resolved : bool
        Whether float64 arithmetic can tell. If False, rounding of the products wⱼ(xⱼ − cⱼ), where
        c are medians, changes F at the minimum by a tenth of 1e-6 or more, or changes the margins
        by which the classes are separated by a tenth. This is so where columns are collinear but
        for their own rounding, as temperatures in Celsius and in Fahrenheit are.
    resolved_value : float
        If ``resolved`` is False, F at a point that float64 does resolve, infinity if none is known.
    """

    w: np.ndarray
    b: EXTENDED
    value: float
    uncertainty: float
    separated: bool | None
    resolved: bool = True
    resolved_value: float = np.inf


def problem_of(X, y, weight, C, l1_ratio, fit_intercept):
    """Return the `Problem` of parameters of the estimator; samples of weight 0 are left out."""
    weight = np.ones(len(y)) if weight is None else np.asarray(weight, np.float64)
    kept = weight > 0
    total = weight.astype(EXTENDED).sum()
    strength = EXTENDED(0) if np.isinf(C) else 1 / (EXTENDED(C) * total)
    s = weight[kept].astype(EXTENDED) / total
    X, y = np.asarray(X, np.float64)[kept], np.asarray(y, np.float64)[kept]
    return Problem(X, y, s, strength * (1 - l1_ratio), strength * l1_ratio, fit_intercept)


# ----- F ------------------------------------------------------------------------------------------


def losses(z, y):
    """Return the cross-entropy of each sample, in nats."""
    tail = np.log1p(np.exp(-np.abs(z)))
    return y * (np.maximum(-z, 0) + tail) + (1 - y) * (np.maximum(z, 0) + tail)


def residual(z, y):
    """Return σ(z) − y, without cancellation."""
    small = np.exp(-np.abs(z))
    more, less = 1 / (1 + small), small / (1 + small)
    a, rest = np.where(z > 0, more, less), np.where(z > 0, less, more)
    return (1 - y) * a - y * rest


def curvature_of(z):
    """Return σ(z)(1 − σ(z)), without cancellation."""
    small = np.exp(-np.abs(z))
    return small / (1 + small) ** 2


def value(problem, w, b):
    """Return F at (w, b), and a bound of its error from rounding.

    z is Σ wⱼ(xⱼ − cⱼ) + (b + Σ wⱼcⱼ), where c is the median of the samples and the second sum is
    exact: if X is far from 0, it is a large number, which cancels. z of samples for which this is
    not enough, such as those with a code for a missing value in two columns, is exact.
    """
    w, b = np.asarray(w, EXTENDED), EXTENDED(b)
    center = np.sort(problem.X, axis=0)[len(problem.X) // 2]
    exact_w, exact_b = [exactly(each) for each in w], exactly(b)
    shift = extended(exact_sum(exact_w, center, exact_b))
    away = problem.X.astype(EXTENDED) - center
    z = away @ w + shift
    rounding = 4 * np.finfo(EXTENDED).eps * (np.abs(away) @ np.abs(w) + abs(shift))
    uncertain = np.flatnonzero(rounding > UNCERTAIN)
    uncertain = uncertain[np.argsort(-rounding[uncertain])][:MOST_EXACT]
    for i in uncertain:
        z[i] = extended(exact_sum(exact_w, problem.X[i], exact_b))
    rounding[uncertain] = 0
    penalty = problem.l2 / 2 * (w @ w) + problem.l1 * np.abs(w).sum()
    error = (problem.s * np.abs(residual(z, problem.y))) @ rounding
    return float(problem.s @ losses(z, problem.y) + penalty), float(error)


def exactly(number):
    """Return a finite number as a `Fraction`."""
    return Fraction(*number.as_integer_ratio())


def exact_sum(w, x, b):
    """Return Σ wⱼxⱼ + b without rounding; w and b are fractions, x floats."""
    return sum((each * Fraction(value) for each, value in zip(w, x, strict=True) if value), b)


# ----- factorisation ------------------------------------------------------------------------------


def pivoted_qr(A, rhs, lost=0.0):
    """Return R, the first entries of Qᵀ rhs, the order of the columns, and the rank.

    Parameters
    ----------
    A : ndarray of shape (m, d)
        Matrix, whose columns should have similar norms.
    rhs : ndarray of shape (m, k)
        Right-hand sides.
    lost : float
        Ratio to the first pivot below which a pivot is taken for 0; rounding is in any case.

    Notes
    -----
    Householder reflections, one column at a time. The pivot is the column with the largest norm
    below the diagonal, which is computed anew for each column: updated norms lose their digits.
    """
    m, d = A.shape
    columns, rhs = A.T.copy(), rhs.T.copy()
    order, rank = np.arange(d), 0
    lost = max(lost, 10 * np.finfo(A.dtype).eps * np.sqrt(EXTENDED(m)))
    for k in range(min(m, d)):
        rest = columns[k:, k:]
        norms = np.sqrt(np.einsum("ij,ij->i", rest, rest))
        pivot = k + int(np.argmax(norms))
        columns[[k, pivot]], order[[k, pivot]] = columns[[pivot, k]], order[[pivot, k]]
        norm = norms[pivot - k]
        if k == 0:
            largest = norm
        if not norm > lost * largest:
            break
        v = columns[k, k:].copy()
        v[0] += norm if v[0] >= 0 else -norm
        v /= np.sqrt(v @ v)
        columns[k:, k:] -= 2 * np.outer(columns[k:, k:] @ v, v)
        rhs[:, k:] -= 2 * np.outer(rhs[:, k:] @ v, v)
        rank += 1
    return columns[:, :d].T[:rank], rhs[:, :rank].T, order, rank


def solve_upper(R, u):
    """Return x with R x = u."""
    x = np.zeros(len(u), R.dtype)
    for k in range(len(u) - 1, -1, -1):
        x[k] = (u[k] - R[k, k + 1 :] @ x[k + 1 :]) / R[k, k]
    return x


def solve_lower(R, u):
    """Return x with Rᵀ x = u."""
    x = np.zeros(len(u), R.dtype)
    for k in range(len(u)):
        x[k] = (u[k] - R[:k, k] @ x[:k]) / R[k, k]
    return x


# ----- coordinates --------------------------------------------------------------------------------


class Coordinates(NamedTuple):
    """Z = [(X − center)/scale, 1], in which θ = (scale·w, b + center·w)."""

    Z: np.ndarray
    center: np.ndarray
    scale: np.ndarray
    fit_intercept: bool

    def to_user(self, theta):
        """Return w and b."""
        theta = theta.astype(EXTENDED)
        w = theta[: len(self.scale)] / self.scale
        return w, (theta[-1] - self.center @ w if self.fit_intercept else EXTENDED(0))

    def from_user(self, w, b):
        """Return θ."""
        w = np.asarray(w, EXTENDED)
        last = [EXTENDED(b) + self.center @ w] if self.fit_intercept else []
        return np.append(self.scale * w, last).astype(self.Z.dtype)


def coordinates_of(X, fit_intercept):
    """Return robust coordinates: an outlier changes neither the center nor the scale."""
    n, p = X.shape
    ordered = np.sort(X, axis=0)
    center = ordered[n // 2] if fit_intercept else np.zeros(p)
    scale = ordered[(3 * n) // 4] / 2 - ordered[n // 4] / 2
    if not fit_intercept:
        scale = np.maximum(scale, np.abs(ordered[n // 2]))
    with np.errstate(over="ignore"):
        away = np.abs(X - center)
    positive = np.where(away > 0, away, np.inf).min(axis=0)
    scale = np.where(scale > 0, scale, np.where(np.isfinite(positive), positive, 1.0))
    dtype = EXTENDED if n * (p + 1) ** 2 <= EXTENDED_SIZE else np.float64
    Z = ((X.astype(EXTENDED) - center) / scale).astype(dtype)
    if fit_intercept:
        Z = np.column_stack([Z, np.ones(n, dtype)])
    return Coordinates(Z, center.astype(EXTENDED), scale.astype(EXTENDED), fit_intercept)


# ----- Newton's method ----------------------------------------------------------------------------


class Penalty(NamedTuple):
    """½ Σ l2ⱼ θⱼ² + Σ l1ⱼ |θⱼ|."""

    l2: np.ndarray
    l1: np.ndarray

    def value(self, theta):
        return (self.l2 * theta) @ theta / 2 + self.l1 @ np.abs(theta)


class Direction(NamedTuple):
    """A Newton step, half its squared decrement, and the change of z."""

    step: np.ndarray
    decrease: float
    dz: np.ndarray


def newton_direction(Z, y, s, penalty, theta, z, active, near, lost=0.0):
    """Return the Newton step of the active coordinates, whose signs are those of theta.

    Far from the minimum the curvature of a sample on its wrong side is at least |r|/(2(2+|z|)):
    true curvature vanishes there, and one such sample would make the step endless.
    """
    r = residual(z, y)
    h = curvature_of(z)
    h = np.maximum(h, np.abs(r) * 1e-20 if near else np.abs(r) / (4 + 2 * np.abs(z)))
    root = np.sqrt(s * h)
    counts = root > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        rhs = np.where(counts, -s * r / root, 0)
    l2 = np.sqrt(penalty.l2[active])
    A = np.concatenate([root[:, None] * Z[:, active], np.diag(l2)])
    rhs = np.concatenate([rhs, -l2 * theta[active]])
    norms = np.sqrt(np.einsum("ij,ij->j", A, A))
    norms[norms == 0] = 1
    R, u, order, rank = pivoted_qr(A / norms, rhs[:, None], lost)
    R, u = R[:, :rank], u[:, 0]
    push = penalty.l1[active] * np.sign(theta[active]) / norms
    if push.any():
        u = u - solve_lower(R, push[order[:rank]])
    solution = np.zeros(active.sum(), Z.dtype)
    solution[order[:rank]] = solve_upper(R, u)
    step = np.zeros(len(theta), Z.dtype)
    step[active] = solution / norms
    return Direction(step, float(u @ u) / 2, Z @ step)


def slope_along(y, s, penalty, theta, z, direction):
    """Return a function of t: the derivative of F along the direction, from the left or right."""
    step, dz = direction.step, direction.dz

    def slope(t, side=1):
        at = theta + t * step
        sign = np.where(np.abs(at) <= 1e-17 * np.abs(theta), side * np.sign(step), np.sign(at))
        smooth = (s * residual(z + t * dz, y)) @ dz + (penalty.l2 * at) @ step
        return smooth + (penalty.l1 * sign) @ step

    return slope


def line_search(slope, theta, step, penalty):
    """Return the t > 0 where F is least, and the coordinate that is 0 there; None if none is."""
    first = slope(0)
    if not first < 0:
        return 0, None
    low, high = 0.0, 1.0  # NumPy 1 has no product of a large int and a longdouble
    while slope(high) < 0 and high < 1e25:
        low, high = high, 4 * high
    if high >= 1e25:
        return low, None
    with np.errstate(divide="ignore", invalid="ignore"):
        kinks = np.where(penalty.l1 > 0, -theta / step, 0)
    inside = np.flatnonzero((kinks > low) & (kinks <= high))
    for j in inside[np.argsort(kinks[inside])]:
        if slope(kinks[j], -1) >= 0:
            high = kinks[j]
            break
        if slope(kinks[j], 1) >= 0:
            return kinks[j], j
        low = kinks[j]
    for _ in range(60):
        middle = np.sqrt(low * high) if low > 0 and high > 4 * low else (low + high) / 2
        if low == 0 and high > 1e-3:
            middle = high / 4
        at = slope(middle)
        if abs(at) <= 1e-4 * abs(first):
            return middle, None
        low, high = (middle, high) if at < 0 else (low, middle)
    return low or high, None


def entering(Z, y, s, penalty, theta, z, active):
    """Return the inactive coordinate that lowers F most, with the sign of its step, and how much.

    The estimate is that of a quadratic model in this coordinate alone.
    """
    gradient = Z.T @ (s * residual(z, y)) + penalty.l2 * theta
    excess = np.where(active, 0, np.abs(gradient) - penalty.l1)
    h = curvature_of(z)
    curvature = (Z**2).T @ (s * np.maximum(h, 1e-30)) + penalty.l2
    gain = np.where(excess > 0, excess**2 / np.where(curvature > 0, 2 * curvature, 1), 0)
    j = int(np.argmax(gain))
    return j, -np.sign(gradient[j]), float(gain[j])


def entering_for_certain(y, s, penalty, theta, z, active, Z):
    """Return the step with which an inactive coordinate enters and F falls; None if there is none.

    Unlike `entering`, this trusts neither the curvature at theta, nor that a coordinate which gains
    nothing alone gains nothing with the others: of two columns that are nearly the same, each alone
    may gain 1e-13 and both together 0.1.
    """
    gradient = Z.T @ (s * residual(z, y)) + penalty.l2 * theta
    before = s @ losses(z, y) + penalty.value(theta)
    for j in np.flatnonzero(~active & (np.abs(gradient) > penalty.l1)):
        sign = -np.sign(gradient[j])
        alone = np.zeros(len(theta), Z.dtype)
        alone[j] = sign
        start, trial = theta.copy(), active.copy()
        start[j], trial[j] = sign * 1e-300, True
        joint = newton_direction(Z, y, s, penalty, start, z, trial, True)
        for direction in (Direction(alone, 0.0, Z[:, j] * sign), joint):
            if direction.step[j] * sign <= 0:
                continue
            slope = slope_along(y, s, penalty, theta, z, direction)
            t, _ = line_search(slope, theta, direction.step, penalty)
            at = theta + t * direction.step
            if s @ losses(z + t * direction.dz, y) + penalty.value(at) < before - 1e-12:
                return direction
    return None


def idle_for_certain(y, s, penalty, theta, z, active, Z):
    """Return a step that changes no output and lowers the penalty; None if there is none.

    Newton's step leaves out columns that depend on others, such as the intercept beside a full
    one-hot encoding. With an L1 norm the penalty may fall along such a change all the same.
    """
    columns = Z[:, active]
    norms = np.sqrt(np.einsum("ij,ij->j", columns, columns))
    norms[norms == 0] = 1
    R, _, order, rank = pivoted_qr(columns / norms, np.zeros((len(Z), 1), Z.dtype))
    before = penalty.value(theta)
    for k in range(rank, len(order)):
        step, along = np.zeros(len(theta), Z.dtype), np.zeros(len(order), Z.dtype)
        along[order[k]] = 1
        along[order[:rank]] = -solve_upper(R[:, :rank], R[:, k])
        step[active] = along / norms
        for direction in (Direction(step, 0.0, 0 * z), Direction(-step, 0.0, 0 * z)):
            slope = slope_along(y, s, penalty, theta, z, direction)
            t, _ = line_search(slope, theta, direction.step, penalty)
            if penalty.value(theta + t * direction.step) < before - 1e-12:
                return direction
    return None


def minimise(problem, coordinates, theta=None, stop=np.inf, lost=0.0):
    """Minimise F by Newton's method.

    Parameters
    ----------
    problem : Problem
        Data. Its X is not read.
    coordinates : Coordinates
        Coordinates of the data.
    theta : ndarray of shape (d,) or None
        Start; None starts at w = 0.
    stop : float
        Value of `time.monotonic` at which to stop.
    lost : float
        See `pivoted_qr`: no step is made in coordinates that are collinear to this level.

    Returns
    -------
    theta : ndarray of shape (d,)
        The last point.
    value : float
        F there.
    uncertainty : float
        Half the squared Newton decrement there.
    exists : bool
        Whether the last step shows that F has a minimum; see the head of the file.
    """
    Z, p = coordinates.Z, problem.X.shape[1]
    y, s = problem.y.astype(Z.dtype), problem.s.astype(Z.dtype)
    none = np.zeros(Z.shape[1] - p)
    penalty = Penalty(
        np.append(problem.l2 / coordinates.scale**2, none).astype(Z.dtype),
        np.append(problem.l1 / coordinates.scale, none).astype(Z.dtype),
    )
    if theta is None:
        theta = np.zeros(Z.shape[1], Z.dtype)
        if problem.fit_intercept:
            mean = np.clip(s @ y, 1e-300, 1 - 1e-18)
            theta[-1] = np.log(mean) - np.log1p(-mean)
    active = (penalty.l1 == 0) | (theta != 0)
    near, best, idle = False, np.inf, 0
    uncertainty = np.inf
    for _ in range(MAX_ITER if not problem.l1 else 20 * MAX_ITER):
        # 1. The step of the active coordinates.
        z = Z @ theta
        direction = newton_direction(Z, y, s, penalty, theta, z, active, near, lost)
        exists = near and bool(np.all(np.abs(direction.dz) < 0.5) and np.all(np.abs(z) < 40))
        settled = np.where((z > 0) == (y > 0.5), (np.abs(z) - SETTLED) / 2, 0)
        settled = np.where((y == 0) | (y == 1), settled, 0)
        small = bool(np.all(np.abs(direction.dz) < np.maximum(0.5, settled)))
        # 2. Does a coordinate enter? Its first step is made alone, which gives it a sign.
        gain = 0.0
        if problem.l1 and direction.decrease < 1e-2:
            j, sign, gain = entering(Z, y, s, penalty, theta, z, active)
            if gain > max(EXACT, 0.1 * direction.decrease):
                alone = np.zeros(len(theta), Z.dtype)
                alone[j] = sign
                active[j] = True
                direction = Direction(alone, direction.decrease, Z[:, j] * sign)
        # 3. Is this the minimum? The decrement says nothing if a sample moves far: the step of a
        #    sample on its right side is 1 where its loss, and with it the decrement, is 1e-40.
        uncertainty = direction.decrease + gain * (~active).sum()
        if near and small and uncertainty < EXACT:
            alone = entering_for_certain(y, s, penalty, theta, z, active, Z)
            if alone is None and problem.l1:
                alone = idle_for_certain(y, s, penalty, theta, z, active, Z)
            if alone is None:
                break
            direction = alone
            active = active | (alone.step != 0)
        if time.monotonic() > stop:
            break
        # 4. The line search.
        slope = slope_along(y, s, penalty, theta, z, direction)
        t, zero = line_search(slope, theta, direction.step, penalty)
        theta = theta + t * direction.step
        if zero is not None:
            theta[zero], active[zero] = 0, False
        # 5. Is this the end of what rounding permits?
        near = direction.decrease < 0.05 or (near and direction.decrease < 1)
        now = s @ losses(Z @ theta, y) + penalty.value(theta)
        idle = (
            idle + 1
            if small and not now < best - max(1e-17, 1e-3 * uncertainty * (not problem.l1))
            else 0
        )
        best = min(now, best)
        if idle >= (6 if not problem.l1 else 10 + 2 * p):
            break
    uncertainty = uncertainty if small else max(uncertainty, 1e-3)
    final = float(s @ losses(Z @ theta, y) + penalty.value(theta))
    return theta, final, uncertainty, exists


# ----- separation ---------------------------------------------------------------------------------


def orthonormal(Z):
    """Return orthonormal columns that span the columns of Z, times √n, as float64."""
    norms = np.sqrt(np.einsum("ij,ij->j", Z, Z))
    R, _, order, rank = pivoted_qr(Z / np.where(norms > 0, norms, 1), Z[:, :0])
    if Z.dtype == EXTENDED:
        # Q = Z R⁻¹, twice, because one pass loses as many digits as R has condition.
        Q = (Z / np.where(norms > 0, norms, 1))[:, order[:rank]]
        for _ in range(2):
            R, _, order, rank = pivoted_qr(Q, Q[:, :0])
            Q, R = Q[:, order[:rank]], R[:, :rank]
            for k in range(rank):
                Q[:, k] = (Q[:, k] - Q[:, :k] @ R[:k, k]) / R[k, k]
    else:
        Q = np.linalg.qr((Z / np.where(norms > 0, norms, 1))[:, order[:rank]])[0]
    return np.asarray(Q * np.sqrt(EXTENDED(len(Z))), np.float64)


def separation(problem, coordinates, limit=20.0):
    """Return which samples a direction separates, as a mask, and if float64 resolves it.

    The mask is None if this is not known. A direction separates samples if it lowers their losses
    and raises no other: d·z ≥ 0 where y is 1, ≤ 0 where y is 0, = 0 where y is neither. The program
    maximises the number of samples with d·z ≠ 0. Its direction is confirmed: projected onto the
    directions that leave all other samples alone, it must still separate.
    """
    Z, y = coordinates.Z, problem.y
    largest = np.max(np.abs(Z), axis=1)
    Q = orthonormal(Z / np.where(largest > 0, largest, 1)[:, None])
    if Q.shape[1] == len(Q) and np.isin(y, (0, 1)).all():
        return np.ones(len(y), bool), is_resolved(Z, np.where(y > 0, 1, -1))
    rows = np.max(np.abs(Q), axis=1)
    Q = Q / np.where(rows > 0, rows, 1)[:, None]
    hard = (y == 0) | (y == 1)
    sides = Q * np.where(y > 0, 1.0, -1.0)[:, None]
    n_hard, d = int(hard.sum()), Q.shape[1]
    if not n_hard:
        return np.zeros(len(y), bool), True
    program = linprog(
        np.append(np.zeros(d), -np.ones(n_hard)),
        A_ub=np.concatenate([-sides[hard], np.eye(n_hard)], axis=1),
        b_ub=np.zeros(n_hard),
        A_eq=np.concatenate([Q[~hard], np.zeros((len(y) - n_hard, n_hard))], axis=1),
        b_eq=np.zeros(len(y) - n_hard),
        bounds=[(None, None)] * d + [(0, 1)] * n_hard,
        method="highs",
        options={"time_limit": limit},
    )
    if program.status != 0:
        return None, True
    separated = np.zeros(len(y), bool)
    separated[hard] = program.x[d:] > 0.5
    if not separated.any():
        return separated, True
    others = Q[~separated]
    direction = program.x[:d]
    if len(others):
        _, size, directions = np.linalg.svd(others)
        size = np.append(size, np.zeros(d))[:d]
        free = directions[size <= 1e-9 * max(size[0], 1)]
        direction = free.T @ (free @ direction)
    margin = sides[separated] @ direction
    length = np.abs(sides[separated]) @ np.abs(direction)
    if not np.all(margin > 1e-9 * length):
        return None, True
    change = (Q @ direction) * np.where(rows > 0, rows, 1) * largest
    return separated, is_resolved(Z[separated], change[separated], Z, change)


def is_resolved(Z, change, every_Z=None, every_change=None):
    """Return whether rounding of products leaves a change of z its sign.

    The direction that makes the change is that of all samples, if they are given.
    """
    every_Z, every_change = (Z, change) if every_Z is None else (every_Z, every_change)
    largest = np.max(np.abs(every_Z), axis=1)
    largest = np.where(largest > 0, largest, 1)
    rows = every_Z / largest[:, None]
    norms = np.sqrt(np.einsum("ij,ij->j", rows, rows))
    norms = np.where(norms > 0, norms, 1)
    R, u, order, rank = pivoted_qr(rows / norms, (every_change / largest)[:, None])
    step = np.zeros(Z.shape[1], Z.dtype)
    step[order[:rank]] = solve_upper(R[:, :rank], u[:, 0])
    noise = rounding_of(Z, step / norms)
    return bool(np.all(10 * noise < np.abs(change)))


def rounding_of(Z, theta):
    """Return a typical error of Z θ in float64, from rounding of each product."""
    return np.finfo(np.float64).eps * np.sqrt((Z**2) @ theta**2)


# ----- the referee --------------------------------------------------------------------------------


def referee(problem, hint=None, seconds=10.0):
    """Return the `Minimum` of F; see `unchecked_referee`."""
    found = unchecked_referee(problem, hint, seconds)
    if found.resolved:
        return found
    coordinates, stop = coordinates_of(problem.X, problem.fit_intercept), time.monotonic() + seconds
    theta, least, _, _ = minimise(problem, coordinates, stop=stop, lost=LOST_IN_FLOAT64)
    told = is_told_apart(problem, coordinates.Z, theta)
    return found._replace(resolved_value=least if told else np.inf)


def unchecked_referee(problem, hint, seconds):
    """Return the `Minimum` of F, without ``resolved_value``.

    Parameters
    ----------
    problem : Problem
        Data.
    hint : (w, b) or None
        A point, such as that of the fit. If F is lower there than where Newton's method ends, the
        method starts once more from there.
    seconds : float
        Time after which Newton's method stops where it is.
    """
    stop = time.monotonic() + seconds
    coordinates = coordinates_of(problem.X, problem.fit_intercept)
    theta, least, uncertainty, exists = minimise(problem, coordinates, stop=stop)
    if (
        problem.l1
    ):  # once more, from all weights: the active set may end where no weight alone helps
        smooth = problem._replace(l1=problem.l1 * 0, l2=problem.l2 + problem.l1 * 1e-3)
        every, *_ = minimise(smooth, coordinates, stop=stop)
        again = minimise(problem, coordinates, every, stop=stop)
        if again[1] < least:
            theta, least, uncertainty, exists = again
    penalised = problem.l2 > 0 or problem.l1 > 0
    separated = False if exists or penalised else None
    if separated is None and coordinates.Z.size <= 200_000:
        mask, resolved = separation(problem, coordinates)
        separated = None if mask is None else bool(mask.any())
        if separated is False and uncertainty > 1e-6:
            separated = None
        if separated:
            rest = rest_of(problem, ~mask)
            if not (~mask).any():
                return Minimum(*coordinates.to_user(theta), 0.0, 0.0, True, resolved)
            theta, least, uncertainty, exists = minimise(
                rest, coordinates._replace(Z=coordinates.Z[~mask]), stop=stop
            )
            resolved &= is_told_apart(rest, coordinates.Z[~mask], theta)
            return Minimum(*coordinates.to_user(theta), least, uncertainty, True, resolved)
    if hint is not None:
        start = coordinates.from_user(*hint)
        if np.isfinite(start).all() and value(problem, *hint)[0] < least - 1e-10:
            again = minimise(problem, coordinates, start, stop=stop)
            if again[1] < least:
                theta, least, uncertainty, exists = again
                separated = False if exists or penalised else separated
    if separated is None:
        uncertainty = max(uncertainty, 1e-3)
    resolved = is_told_apart(problem, coordinates.Z, theta)
    return Minimum(*coordinates.to_user(theta), least, uncertainty, separated, resolved)


def is_told_apart(problem, Z, theta):
    """Return whether rounding of products in float64 changes F at θ by less than 1e-7."""
    z, noise, y = Z @ theta, rounding_of(Z, theta), problem.y
    change = (losses(z + noise, y) + losses(z - noise, y)) / 2 - losses(z, y)
    return bool(problem.s @ change < 1e-7)


def rest_of(problem, kept):
    """Return the problem of some of the samples, whose weights stay as they are."""
    return problem._replace(X=problem.X[kept], y=problem.y[kept], s=problem.s[kept])


# ----- rounding -----------------------------------------------------------------------------------


def extended(fraction):
    """Return a `Fraction` as a number of extended precision."""
    try:
        large = float(fraction)
        return EXTENDED(large) + EXTENDED(float(fraction - Fraction(large)))
    except OverflowError:
        return EXTENDED(fraction.numerator) / EXTENDED(fraction.denominator)


def representable(problem, w, b, dtype):
    """Return w and b in a dtype, so that F rises little; None if a weight is out of its range.

    Weights that are rounded one by one can move z far, where columns are collinear or far from 0.
    Here each weight is rounded in turn, and those that follow make up for the change of z, as far
    as they can: the nearest plane algorithm of Babai (1986) with the curvature as the metric.
    """
    with np.errstate(over="ignore"):
        plain = w.astype(dtype), dtype(b)
    if not np.isfinite(plain[0]).all() or not np.isfinite(plain[1]):
        return None
    coordinates = coordinates_of(problem.X, problem.fit_intercept)
    if coordinates.Z.dtype != EXTENDED:
        return plain
    theta, d = coordinates.from_user(w, b), coordinates.Z.shape[1]
    z = coordinates.Z @ theta
    root = np.sqrt(problem.s * curvature_of(z))
    p = len(w)
    to_theta = np.zeros((d, d), EXTENDED)
    to_theta[np.arange(p), np.arange(p)] = coordinates.scale
    if problem.fit_intercept:
        to_theta[-1, :p], to_theta[-1, -1] = coordinates.center, 1
    A = np.concatenate(
        [
            (root[:, None] * coordinates.Z) @ to_theta,
            np.diag(np.append(np.sqrt(np.repeat(EXTENDED(problem.l2), p)), np.zeros(d - p))),
        ]
    )
    point = np.append(w, [b] * (d - p)).astype(EXTENDED)
    free = np.flatnonzero(point != 0)
    spacing = np.abs(np.spacing(point[free].astype(dtype))).astype(EXTENDED)
    A = A[:, free] * spacing
    order = np.argsort(np.sqrt(np.einsum("ij,ij->j", A, A)), kind="stable")
    free, spacing = free[order], spacing[order]
    R = triangle(A[:, order])
    target = point[free] / spacing
    rounded = np.zeros(len(free), EXTENDED)
    for k in range(len(free) - 1, -1, -1):
        move = R[k, k + 1 :] @ (target[k + 1 :] - rounded[k + 1 :])
        wanted = target[k] + (move / R[k, k] if R[k, k] else 0)
        with np.errstate(over="ignore"):
            rounded[k] = EXTENDED(dtype(wanted * spacing[k])) / spacing[k]
    point[free] = rounded * spacing
    found = point[:p].astype(dtype), dtype(point[-1] if problem.fit_intercept else 0)
    if not np.isfinite(found[0]).all() or not np.isfinite(found[1]):
        return plain
    return min([plain, found], key=lambda each: value(problem, *each)[0])


def triangle(A):
    """Return R of A = QR, whose columns keep their order."""
    columns = A.T.copy()
    d = len(columns)
    for k in range(min(A.shape)):
        norm = np.sqrt(columns[k, k:] @ columns[k, k:])
        if norm == 0:
            continue
        v = columns[k, k:].copy()
        v[0] += norm if v[0] >= 0 else -norm
        v /= np.sqrt(v @ v)
        columns[k:, k:] -= 2 * np.outer(columns[k:, k:] @ v, v)
    R = np.zeros((d, d), A.dtype)
    R[: min(A.shape)] = columns[:, : min(A.shape)].T
    return np.triu(R)
