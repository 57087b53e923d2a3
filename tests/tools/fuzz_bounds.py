"""Random bounds and penalty factors on the hard data of `fuzz_fits`, judged without them.

    python tests/tools/fuzz_bounds.py --start 0 --count 500
    python tests/tools/fuzz_bounds.py --what factors --seed-only 17

- factors: powers of two, so that a fit with them is one without them to columns divided by their
  roots, exactly; the factor infinity leaves a column out. The referee of `fuzz_fits` judges it.
- bounds: each weight may have a sign. The referee finds the minimum over the weights that are not 0
  at the end of the fit; those that have the wrong sign there are left out, and so on. That is a
  point within the bounds. A fit is silent if it is higher by more than ``tol``, or if a weight that
  it leaves at 0 would lower F by more than ``tol``: by e²/(2h), with the derivative e towards the
  inside and the most curvature h that F can have along the weight.

The ends are those of `fuzz_fits`. "wrong" may be the referee's fault if it is about no minimum: it
does not know the bounds.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_fits import FIT_SECONDS, Verdict, case_of, fit, judge, minimum_of, one_of

# Largest n_samples · n_features² of a table: the referee is asked several times.
LARGEST = 3e7
TOL = 1e-6
EXTENDED = np.longdouble


def with_factors(rng, case):
    """Return the case with factors, and the equal case without them: (case, scale, kept)."""
    has_norm = bool(case.parameters.get("l1_ratio"))
    parameters = case.parameters | ({"l1_ratio": 1.0} if has_norm else {})
    power = rng.integers(-3, 4, case.X.shape[1])
    kept = rng.random(len(power)) < 0.85
    kept[rng.integers(len(power))] = True
    factor = np.where(kept, (2.0 if has_norm else 4.0) ** power, np.inf)
    return case._replace(parameters=parameters | {"penalty_factor": factor}), 2.0**power, kept


def judge_factors(rng, case, seconds):
    """Fit with random factors; return the verdict on the equal fit without them."""
    case, scale, kept = with_factors(rng, case)
    fitted = fit(case, seconds)
    if fitted is None:
        return Verdict("skipped", "the fit is too slow"), case
    parameters = {
        name: value for name, value in case.parameters.items() if name != "penalty_factor"
    }
    X = (case.X.astype(np.float64) / scale)[:, kept]
    equal = case._replace(X=X, parameters=parameters, storage="dense")
    if fitted.w is not None:
        if np.any(fitted.w[~kept]):
            return Verdict("wrong", "a weight with an infinite factor is not 0"), case
        fitted = fitted._replace(w=(fitted.w.astype(np.float64) * scale)[kept])
    return judge(equal, fitted, minimum_of(equal, fitted)), case


def random_signs(rng, n_features):
    """Return lower and upper bounds, each 0 or infinite."""
    if rng.random() < 0.3:
        return np.zeros(n_features), np.full(n_features, np.inf)
    kind = rng.random(n_features)
    return np.where(kind < 0.35, 0.0, -np.inf), np.where(kind > 0.65, 0.0, np.inf)


def judge_bounds(rng, case, seconds):
    """Fit with random signs of the weights; return the verdict."""
    lower, upper = random_signs(rng, case.X.shape[1])
    bounded = case._replace(parameters=case.parameters | {"coef_bounds": (lower, upper)})
    fitted = fit(bounded, seconds)
    if fitted is None:
        return Verdict("skipped", "the fit is too slow"), bounded
    if fitted.w is None:
        return judge(case, fitted, None), bounded
    w = fitted.w.astype(np.float64)
    if np.any((w < lower) | (w > upper)):
        return Verdict("wrong", "a weight is outside of its bounds"), bounded
    free = (w != lower) & (w != upper)
    while True:
        X = case.X[:, free] if free.any() else np.zeros((len(case.y), 1))
        part = case._replace(X=X, storage="dense")
        minimum = minimum_of(part, fitted._replace(w=w[free] if free.any() else np.zeros(1)))
        if minimum.w is None or not free.any():
            break
        outside = (minimum.w < lower[free]) | (minimum.w > upper[free])
        if not outside.any():
            break
        free[np.flatnonzero(free)[outside]] = False
    verdict = judge(case._replace(storage="dense"), fitted, minimum)
    gain = largest_gain(case, fitted, lower, upper)
    if verdict.end in {"right", "undecided", "untold"} and gain > TOL:
        return Verdict("silent", "a weight at its bound would lower F", gain), bounded
    return verdict, bounded


def largest_gain(case, fitted, lower, upper):
    """Return the most that F falls, at least, if one weight at its bound is moved inside."""
    weight = np.ones(len(case.y)) if case.weight is None else case.weight
    s, w = weight.astype(EXTENDED), fitted.w.astype(EXTENDED)
    strength = 0.0 if np.isinf(case.parameters["C"]) else 1 / (case.parameters["C"] * s.sum())
    l1 = case.parameters.get("l1_ratio", 0.0) * strength
    s /= s.sum()
    slope = s * (1 / (1 + np.exp(-(case.X @ w + EXTENDED(fitted.b)))) - case.y)
    largest = 0.0
    for j in np.flatnonzero((w == lower) | (w == upper)):
        x = case.X[:, j].astype(EXTENDED)
        x = x - s @ x if case.parameters.get("fit_intercept", True) else x
        e = max(
            -(slope @ x) - l1 if w[j] < upper[j] else 0, slope @ x - l1 if w[j] > lower[j] else 0
        )
        h = s @ np.square(x) / 4 + strength - l1
        largest = max(largest, e * e / (2 * h) if e > 0 else 0.0)
    return float(largest)


JUDGES = {"bounds": judge_bounds, "factors": judge_factors}


def verdict_of(seed, what, seconds=FIT_SECONDS):
    """Run a seed; return its `Verdict` and case. 0 seconds are no limit of the time of the fit."""
    rng = np.random.default_rng([seed, 99])
    kinds = ["default", "l1", "unpenalised"] if what == "bounds" else ["default", "l1"]
    case = case_of(seed, one_of(rng, kinds))
    if case.X.shape[0] * case.X.shape[1] ** 2 > LARGEST:
        return Verdict("skipped", "too large"), case
    with np.errstate(all="ignore"):
        return JUDGES[what](rng, case, seconds)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--what", choices=JUDGES, default="bounds")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--seed-only", type=int)
    options = parser.parse_args()
    seeds = range(options.start, options.start + options.count)
    if options.seed_only is not None:
        seeds = [options.seed_only]
    ends = Counter()
    for seed in seeds:
        verdict, case = verdict_of(seed, options.what)
        ends[verdict.end] += 1
        if verdict.end in {"silent", "wrong"} or options.seed_only is not None:
            print(seed, case.kind, *verdict, case, sep="; ", flush=True)
    print(dict(ends))
    return int(ends["silent"] + ends["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
