"""`l1_min_c` against its formula at the minimum of Newton's method in plain NumPy.

With κⱼ = fⱼσⱼρ/(C·S), all penalised weights are 0 if and only if the gradient of the loss with
respect to none of them exceeds κⱼ, at the minimum over the weights with fⱼ = 0 and the intercept.
"""

import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from small_data import minimum, random_data

from sklearn_bce import l1_min_c

X, Y, WEIGHT = random_data(80, 5)
X = X * [1.0, 10.0, 0.1, 1.0, 3.0] + [0.0, 5.0, 1.0, 0.0, -1.0]
FACTORS = {
    "none": None,
    "all above 0": np.array([1.0, 0.5, 2.0, 0.25, 4.0]),
    "one 0": np.array([1.0, 0.5, 0.0, 0.25, 4.0]),
    "two 0": np.array([1.0, 0.0, 2.0, 0.0, 4.0]),
    "0 and infinity": np.array([np.inf, 0.0, 2.0, 1.0, 4.0]),
}


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.3])
@pytest.mark.parametrize("factor", FACTORS.values(), ids=FACTORS)
def test_the_largest_gradient_in_units_of_its_strength_is_that_at_the_null_model(
    factor, l1_ratio, standardize
):
    f = np.ones(5) if factor is None else factor
    free = X[:, f == 0]
    theta = minimum((free, Y, WEIGHT), np.inf)
    slope = WEIGHT * (expit(free @ theta[:-1] + theta[-1]) - Y)
    mean = WEIGHT @ X / WEIGHT.sum()
    deviation = np.sqrt(WEIGHT @ np.square(X - mean) / WEIGHT.sum())
    strength = l1_ratio * f * (deviation if standardize else 1.0)
    is_penalised = (f > 0) & np.isfinite(f)
    expected = 1 / np.max(np.abs(X.T @ slope)[is_penalised] / strength[is_penalised])
    got = l1_min_c(
        X,
        Y,
        sample_weight=WEIGHT,
        l1_ratio=l1_ratio,
        penalty_factor=factor,
        standardize=standardize,
    )
    assert got == pytest.approx(expected, rel=1e-8)


def test_without_an_intercept_all_activations_are_one_half():
    slope = WEIGHT * (1 / 2 - Y)
    got = l1_min_c(X, Y, sample_weight=WEIGHT, fit_intercept=False)
    assert got == pytest.approx(1 / np.max(np.abs(X.T @ slope)), rel=1e-12)


def test_with_an_offset_the_intercept_is_the_minimum_at_weights_of_0():
    offset = np.linspace(-3, 2, 80)

    def excess(b):
        return WEIGHT @ (expit(b + offset) - Y)

    slope = WEIGHT * (expit(brentq(excess, -10, 10, xtol=1e-14) + offset) - Y)
    got = l1_min_c(X, Y, sample_weight=WEIGHT, offset=offset)
    assert got == pytest.approx(1 / np.max(np.abs(X.T @ slope)), rel=1e-10)
