"""What the methods of a summary return.

- `Interval`, `OddsRatios`, `MarginalEffects`, `Test`: the results.
- `test_columns`: columns of standard errors, z-values and p-values of a table.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from numpy.typing import NDArray

from sklearn_bce._kernels import Vector
from sklearn_bce.inference.table import Column, Table, p_value, z_value


def test_columns(std_err: Vector, z: Vector, p: Vector) -> list[Column]:
    """Return the columns of standard errors, z-values and p-values."""
    return [
        Column("std_err", "std err", std_err),
        Column("z", "z", z, z_value),
        Column("p_value", "P>|z|", p, p_value),
    ]


class Interval(NamedTuple):
    """Probabilities and their intervals.

    Attributes
    ----------
    probability, low, high : ndarray of shape (n_samples,), float64
    """

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name

    probability: Vector
    low: Vector
    high: Vector


class OddsRatios(NamedTuple):
    """Odds ratios exp(coef) and their intervals; for the intercept, the odds at X = 0.

    Attributes
    ----------
    names : ndarray of shape (n_coefficients,)
    odds_ratio, low, high : ndarray of shape (n_coefficients,), float64
    """

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name

    names: NDArray[Any]
    odds_ratio: Vector
    low: Vector
    high: Vector

    def table(self) -> Table:
        """Return the odds ratios as a table."""
        columns = [
            Column("odds_ratio", "exp(coef)", self.odds_ratio),
            Column("low", "low", self.low),
            Column("high", "high", self.high),
        ]
        return Table("Odds ratios", [], self.names, columns)

    def __str__(self) -> str:
        """Return the odds ratios as a table."""
        return str(self.table())

    def _repr_html_(self) -> str:
        """Return the odds ratios as a table in HTML."""
        return self.table().to_html()


class Test(NamedTuple):
    """A test whose statistic has a χ² distribution under the hypothesis.

    Attributes
    ----------
    statistic : float
    df : int
        Degrees of freedom.
    p_value : float
    """

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name
    __test__ = False  # pytest takes classes of this name for tests

    statistic: float
    df: int
    p_value: float


class MarginalEffects(NamedTuple):
    """Average effects ∂a/∂xᵢ of the features on the probability, by the delta method.

    Attributes
    ----------
    names : ndarray of shape (n_features,)
    effect, std_err, z, p_value, low, high : ndarray of shape (n_features,), float64
    """

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name

    names: NDArray[Any]
    effect: Vector
    std_err: Vector
    z: Vector
    p_value: Vector
    low: Vector
    high: Vector

    def table(self) -> Table:
        """Return the effects as a table."""
        columns = [
            Column("effect", "∂a/∂x", self.effect),
            *test_columns(self.std_err, self.z, self.p_value),
            Column("low", "low", self.low),
            Column("high", "high", self.high),
        ]
        return Table("Average marginal effects", [], self.names, columns)

    def __str__(self) -> str:
        """Return the effects as a table."""
        return str(self.table())

    def _repr_html_(self) -> str:
        """Return the effects as a table in HTML."""
        return self.table().to_html()
