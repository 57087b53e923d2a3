"""`Summary`: standard errors, intervals and tests of the coefficients of a fitted neuron."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import chi2, norm
from sklearn.base import BaseEstimator

from sklearn_bce._estimator.prediction import raise_if_offset_is_missing
from sklearn_bce._estimator.targets import checked_offset, checked_sample_weight
from sklearn_bce._estimator.validation import checked_X
from sklearn_bce._kernels import Vector
from sklearn_bce._kernels.threads import one_blas_thread
from sklearn_bce._objective.base import LOSS_AT_ZERO
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._objective.penalty import NO_PENALTY
from sklearn_bce._objective.root import row_matrix
from sklearn_bce._solvers.newton.robust import exact_from_user
from sklearn_bce.chain_rule import binary_cross_entropy, sigmoid
from sklearn_bce.inference.covariance import whitened_rows
from sklearn_bce.inference.criterion import (
    Criterion,
    FirthCriterion,
    LikelihoodCriterion,
    Point,
)
from sklearn_bce.inference.frame import Fit, Matrix
from sklearn_bce.inference.profile import Profile
from sklearn_bce.inference.results import (
    Interval,
    MarginalEffects,
    OddsRatios,
    Test,
    test_columns,
)
from sklearn_bce.inference.table import Column, Table, number

# Names of the covariances in tables.
KINDS = {
    None: "none",
    "model": "model (inverse information)",
    "robust": "robust (sandwich, HC0)",
    "HC1": "robust (sandwich, HC1)",
    "cluster": "clusters (sandwich)",
}
INTERCEPT = "intercept"
# Steps, at most, for the intercept of the model without features, with an offset. [a choice]
NULL_STEPS = 50
# Relative singular value below which rows of a hypothesis depend on each other. [a choice]
DEPENDENT_ROWS = 1e-10
# Log likelihoods of nested models may contradict their order by so many nats, which is rounding and
# the distance from the maximum that is allowed. [a choice]
ORDER_ROUNDING = 1e-2


@dataclass(frozen=True, eq=False, repr=False)
class Summary:
    """What the coefficients of a neuron are worth; the result of `summarize` and of `firth`.

    A summary keeps the samples, not a copy, for the methods that read them again: profiles, and
    `marginal_effects` without X.

    Arrays of length n_coefficients are in the order of the features of X, with the intercept last
    (without an intercept n_coefficients is n_features). They are in the units of X.

    Attributes
    ----------
    names : ndarray of shape (n_coefficients,), object
        ``feature_names_in_`` of the neuron, or "x0", "x1" and so on, and "intercept".
    coef : ndarray of shape (n_coefficients,), float64
        ``coef_`` and ``intercept_`` of the neuron.
    kind : {"model", "robust", "HC1", "cluster"} or None
        The argument ``covariance``. With None, all that needs a covariance or the samples raises
        ValueError.
    weights : {"frequency", "probability"}
        What weights of samples mean.
    level : float
        Confidence level of intervals.

    See Also
    --------
    ForestDisplay : Plot of the coefficients with their intervals.
    """

    __module__ = "sklearn_bce.inference"  # the path it is imported from, which pickles name

    names: NDArray[Any]
    coef: Vector
    kind: str | None
    weights: str
    level: float
    _neuron: BaseEstimator
    _fit: Fit | None = None
    _root: Matrix | None = None
    _firth: Point | None = None

    # ----- coefficients ---------------------------------------------------------------------------

    @cached_property
    def covariance(self) -> Matrix:
        """Covariance of the coefficients, of shape (n_coefficients, n_coefficients)."""
        rows = self._user_root
        return rows @ rows.T

    @cached_property
    def std_err(self) -> Vector:
        """Standard errors of the coefficients."""
        return np.linalg.norm(self._user_root, axis=1)

    @property
    def z(self) -> Vector:
        """Coefficients divided by their standard errors."""
        return self.coef / self.std_err

    @property
    def p_value(self) -> Vector:
        """Two-sided p-values of the Wald tests that a coefficient is 0."""
        return 2 * norm.sf(np.abs(self.z))

    def conf_int(self, level: float | None = None, *, method: str = "wald") -> Matrix:
        """Return intervals of the coefficients.

        Parameters
        ----------
        level : float, default=None
            Confidence level in (0, 1); None means that of the summary.
        method : {"wald", "profile"}, default="wald"
            "wald": coefficient ± z standard errors. "profile": the values at which the profile
            likelihood is within χ²/2 of its maximum; of `firth`, the penalised one. Each bound
            takes about ten passes over the samples. A bound may be infinite.

        Returns
        -------
        interval : ndarray of shape (n_coefficients, 2), float64
            Lower and upper bounds.

        Raises
        ------
        ValueError
            If an argument is not allowed, or ``method="profile"`` is asked for and the covariance
            is not "model": a profile of the likelihood has no sandwich.
        """
        level = self.level if level is None else checked_level(level)
        raise_unless_in("method", method, ("wald", "profile"))
        if method == "wald":
            half = norm.ppf((1 + level) / 2) * self.std_err
            return np.column_stack([self.coef - half, self.coef + half])
        with one_blas_thread():
            changes = [profile.interval(level) for profile in self._profiles()]
        return self._maximum[:, np.newaxis] + np.array(changes)

    def profile_p_value(self) -> Vector:
        """Return p-values of the tests that a coefficient is 0 by the profile likelihood.

        Of `firth`, by the penalised likelihood: the penalised likelihood ratio test of Heinze and
        Schemper.

        Returns
        -------
        p_value : ndarray of shape (n_coefficients,), float64

        Raises
        ------
        ValueError
            If the covariance is not "model".
        """
        with one_blas_thread():
            pairs = zip(self._maximum, self._profiles(), strict=True)
            roots = [profile.root_at(-value) for value, profile in pairs]
        return chi2.sf(np.square(roots), 1)

    def odds_ratios(self, level: float | None = None, *, method: str = "wald") -> OddsRatios:
        """Return the odds ratios exp(coef), with the intervals of `conf_int` as exponents.

        The intervals are NaN if the covariance is None.

        Parameters
        ----------
        level, method
            As of `conf_int`.

        Returns
        -------
        odds_ratios : OddsRatios
            With arrays of shape (n_coefficients,): ``names``, ``odds_ratio``, ``low`` and ``high``.
        """
        with np.errstate(over="ignore"):
            if self.kind is None:
                nothing = np.full(len(self.coef), np.nan)
                return OddsRatios(self.names, np.exp(self.coef), nothing, nothing)
            low, high = np.exp(self.conf_int(level, method=method)).T
            return OddsRatios(self.names, np.exp(self.coef), low, high)

    # ----- the model ------------------------------------------------------------------------------

    @property
    def n_samples(self) -> float:
        """Σ s for frequencies; the number of samples with a weight for sampling weights."""
        counts = self._fitted.frame.counts
        return counts.total_weight if self.weights == "frequency" else counts.n_weighted

    @property
    def log_likelihood(self) -> float:
        """Log likelihood l = Σ s (y log a + (1−y) log(1−a)), without binomial coefficients.

        Of `firth`, without the penalty.
        """
        return -self._fitted.loss

    @cached_property
    def null_log_likelihood(self) -> float:
        """Log likelihood of the model without features: the intercept and the offset, if any."""
        counts = self._fitted.frame.counts
        if counts.has_offset:
            return -self._null_loss_with_offset()
        if not self._has_intercept:
            return -counts.total_weight * LOSS_AT_ZERO
        ones, zeros = counts.weight_of_ones, counts.total_weight - counts.weight_of_ones
        odds = np.log(ones / counts.total_weight), np.log(zeros / counts.total_weight)
        return float(ones * odds[0] + zeros * odds[1])

    @property
    def deviance(self) -> float:
        """2(l₀ − l) with the l₀ of a model that predicts every target; l₀ is 0 for labels."""
        return 2 * (-self._fitted.frame.counts.entropy - self.log_likelihood)

    @property
    def null_deviance(self) -> float:
        """The deviance of the model without features."""
        return 2 * (-self._fitted.frame.counts.entropy - self.null_log_likelihood)

    @property
    def aic(self) -> float:
        """−2l + 2k with k coefficients."""
        return -2 * self._true_log_likelihood("aic") + 2 * len(self.coef)

    @property
    def bic(self) -> float:
        """−2l + k log n with n = ``n_samples``."""
        return -2 * self._true_log_likelihood("bic") + len(self.coef) * np.log(self.n_samples)

    @property
    def r2_mcfadden(self) -> float:
        """McFadden's R² = 1 − l/l₀ with the l₀ of the model without features."""
        return 1 - self.log_likelihood / self.null_log_likelihood

    # ----- tests ----------------------------------------------------------------------------------

    def test(self, R: ArrayLike, r: ArrayLike | float = 0.0) -> Test:
        """Test the hypothesis Rβ = r about the coefficients β by Wald's statistic.

        Parameters
        ----------
        R : array-like of shape (n_coefficients,) or (n_rows, n_coefficients), or list of str
            The hypothesis. Names of coefficients stand for rows that pick these.
        r : float or array-like of shape (n_rows,), default=0.0
            The values.

        Returns
        -------
        test : Test
            The statistic (Rβ − r)ᵀ(R·covariance·Rᵀ)⁻¹(Rβ − r), n_rows degrees of freedom and the
            p-value of the χ² distribution.

        Raises
        ------
        ValueError
            If R has the wrong shape or unknown names, or its rows depend on each other.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn_bce import BCENeuronClassifier
        >>> from sklearn_bce.inference import summarize
        >>> data = load_breast_cancer(as_frame=True)
        >>> X = data.data[["mean radius", "mean texture", "mean smoothness"]]
        >>> summary = summarize(BCENeuronClassifier(C=np.inf).fit(X, data.target), X, data.target)
        >>> summary.test(["mean texture", "mean smoothness"]).df
        2
        """
        rows = self._rows_of(R)
        values = np.broadcast_to(np.asarray(r, dtype=np.float64), len(rows))
        root = rows @ self._user_root
        size = np.linalg.norm(root, axis=1)
        size[size == 0] = 1.0
        U, singular, _ = np.linalg.svd(root / size[:, np.newaxis], full_matrices=False)
        if len(rows) > root.shape[1] or np.min(singular) <= DEPENDENT_ROWS * np.max(singular):
            raise ValueError(
                f"The {len(rows)} rows of R depend on each other; leave out those that follow from "
                "others."
            )
        distance = U.T @ ((rows @ self.coef - values) / size) / singular
        statistic = float(distance @ distance)
        return Test(statistic, len(rows), float(chi2.sf(statistic, len(rows))))

    def likelihood_ratio(self, other: Summary) -> Test:
        """Compare the model with a nested one on the same samples by their likelihoods.

        Parameters
        ----------
        other : Summary
            Summary of a model with fewer, or more, coefficients; one is a special case of the
            other.

        Returns
        -------
        test : Test
            2(l − l₀), the difference of the numbers of coefficients and the p-value.

        Raises
        ------
        ValueError
            If the models have equally many coefficients, their samples differ, the smaller model
            fits better, weights are sampling weights, or one is of `firth`.
        """
        small, large = sorted([self, other], key=lambda each: len(each.coef))
        df = len(large.coef) - len(small.coef)
        if not df:
            raise ValueError(
                f"Both models have {len(small.coef)} coefficients; one must be a special case of "
                "the other."
            )
        if any(each._firth is not None for each in (small, large)):
            raise ValueError(
                "likelihood_ratio compares maximum likelihood fits; of firth, profile_p_value() "
                "tests single coefficients by the penalised likelihood."
            )
        first, second = small._fitted.frame.counts, large._fitted.frame.counts
        same = np.allclose(
            [first.total_weight, first.weight_of_ones, first.entropy],
            [second.total_weight, second.weight_of_ones, second.entropy],
            rtol=1e-9,
        )
        if not same:
            raise ValueError(
                "The two models are of different samples: the sums of the weights, or of the "
                "weights of class 1, differ."
            )
        more = large._true_log_likelihood("likelihood_ratio")
        less = small._true_log_likelihood("likelihood_ratio")
        if more < less - ORDER_ROUNDING:
            raise ValueError(
                f"The model with fewer coefficients has the larger likelihood ({less:.6g} nats, "
                f"and {more:.6g}), so that it is no special case of the other."
            )
        statistic = 2 * max(more - less, 0.0)
        return Test(statistic, df, float(chi2.sf(statistic, df)))

    # ----- predictions ----------------------------------------------------------------------------

    def predict_interval(
        self, X: Any, *, offset: ArrayLike | float | None = None, level: float | None = None
    ) -> Interval:
        """Return probabilities of the second class with intervals, by the delta method on z.

        The interval is σ(z ± q·se(z)) with se(z)² = x̃ᵀ·covariance·x̃: that of the probability, not
        of a single outcome.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output; required if the neuron was fitted with an offset.
        level : float, default=None
            Confidence level in (0, 1); None means that of the summary.

        Returns
        -------
        interval : Interval
            With arrays of shape (n_samples,): ``probability``, ``low`` and ``high``.
        """
        q = norm.ppf((1 + (self.level if level is None else checked_level(level))) / 2)
        raise_if_offset_is_missing(self._neuron, offset)
        X = checked_X(self._neuron, X)
        known, frame = checked_offset(X, offset), self._fitted.frame
        z, error = np.empty((2, X.shape[0]))
        theta = exact_from_user(frame.coordinates, *self._weights)
        for rows, Z in row_matrix(X, frame.coordinates):
            z[rows] = Z @ theta
            error[rows] = np.linalg.norm(Z @ (frame.matrix @ self._covariance_root), axis=1)
        z += 0.0 if known is None else known
        return Interval(sigmoid(z), sigmoid(z - q * error), sigmoid(z + q * error))

    def marginal_effects(
        self,
        X: Any = None,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | float | None = None,
    ) -> MarginalEffects:
        """Return the average effect ∂a/∂xᵢ of each feature, with standard errors.

        ∂a/∂xᵢ = a(1−a)wᵢ is averaged over the samples; its standard error is by the delta method,
        given the samples.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features), \
                default=None
            Samples to average over; None means those of the summary, with their weights and
            offset.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the average; None means 1 for each sample of X.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of X.

        Returns
        -------
        effects : MarginalEffects
            With arrays of shape (n_features,): ``effect``, ``std_err``, ``z``, ``p_value``,
            ``low``, ``high`` and ``names``; its text is a table.
        """
        frame, n_features = self._fitted.frame, len(self._weights[0])
        theta = frame.matrix @ self._fitted.v
        if X is None:
            if sample_weight is not None or offset is not None:
                raise ValueError("sample_weight and offset belong to X, which is missing.")
            total, slope, change = frame.standard.sum_over_parts(effect_sums, theta)
        else:
            raise_if_offset_is_missing(self._neuron, offset)
            X = checked_X(self._neuron, X)
            s = checked_sample_weight(X, sample_weight)
            part = InMemoryObjective(
                X, np.zeros(X.shape[0]), s, NO_PENALTY, frame.coordinates.for_other_rows(),
                total_weight=1.0, offset=checked_offset(X, offset),
            )  # fmt: skip
            total, slope, change = effect_sums(part, theta)
        w = self.coef[:n_features]
        effect = w * slope / total
        rows = frame.user_rows[:n_features] * (slope / total)
        rows = rows + np.outer(w, change @ frame.matrix / total)
        std_err = np.linalg.norm(rows @ self._covariance_root, axis=1)
        z = effect / std_err
        half = norm.ppf((1 + self.level) / 2) * std_err
        p = 2 * norm.sf(np.abs(z))
        names = self.names[:n_features]
        return MarginalEffects(names, effect, std_err, z, p, effect - half, effect + half)

    # ----- tables ---------------------------------------------------------------------------------

    def table(self, *, odds_ratios: bool = False, method: str = "wald") -> Table:
        """Return coefficients, or odds ratios, as a table: its text, ``to_html`` and ``to_frame``.

        Parameters
        ----------
        odds_ratios : bool, default=False
            Whether odds ratios take the place of coefficients.
        method : {"wald", "profile"}, default="wald"
            Kind of the intervals; see `conf_int`.
        """
        ratios = self.odds_ratios(method=method) if odds_ratios or self.kind is None else None
        if self.kind is None:
            columns = [
                Column("coef", "coef", self.coef),
                Column("odds_ratio", "exp(coef)", ratios.odds_ratio),
            ]
            note = "covariance=None: no standard errors."
            return Table("Logistic neuron", [], self.names, columns, note)
        first = Column("coef", "coef", self.coef)
        if odds_ratios:
            first = Column("odds_ratio", "odds ratio", ratios.odds_ratio)
            bounds = ratios.low, ratios.high
        else:
            bounds = self.conf_int(method=method).T
        titles = (f"[{(1 - self.level) / 2:.4g}", f"{(1 + self.level) / 2:.4g}]")
        tests = test_columns(self.std_err, self.z, self.p_value)
        columns = [
            first,
            *(tests[1:] if odds_ratios else tests),
            Column("low", titles[0], bounds[0]),
            Column("high", titles[1], bounds[1]),
        ]
        return Table(self._title, self._head(method), self.names, columns)

    def to_frame(
        self, library: str | None = None, *, odds_ratios: bool = False, method: str = "wald"
    ) -> Any:
        """Return the table as a data frame.

        Parameters
        ----------
        library : {"pandas", "polars"} or None, default=None
            None means pandas if it is installed, else polars.
        odds_ratios, method
            As of `table`.

        Returns
        -------
        frame : DataFrame
            Columns ``coef`` (or ``odds_ratio``), ``std_err``, ``z``, ``p_value``, ``low`` and
            ``high``; the names are the index in pandas, and the column ``feature`` in polars.
            ``covariance=None`` gives ``coef`` and ``odds_ratio``.

        Raises
        ------
        ImportError
            If neither library is installed.
        """
        return self.table(odds_ratios=odds_ratios, method=method).to_frame(library)

    def __str__(self) -> str:
        """Return the table of coefficients as text."""
        return str(self.table())

    def __repr__(self) -> str:
        """Return the class, the kind of covariance and the number of coefficients."""
        return f"<Summary of {len(self.coef)} coefficients, covariance={self.kind!r}>"

    def _repr_html_(self) -> str:
        """Return the table of coefficients as HTML."""
        return self.table().to_html()

    @property
    def _title(self) -> str:
        return "Logistic neuron" + (", Firth's penalised likelihood" if self._firth else "")

    def _head(self, method: str) -> list[tuple[str, str]]:
        """Return the facts above the table."""
        counted = "samples" if self.weights == "frequency" else "samples with a weight"
        pairs = [
            (counted, f"{self.n_samples:.10g}"),
            ("coefficients", str(len(self.coef))),
            ("covariance", KINDS[self.kind]),
            ("intervals", "profile likelihood" if method == "profile" else "Wald"),
            ("log likelihood", number(self.log_likelihood)),
            ("null log likelihood", number(self.null_log_likelihood)),
        ]
        if self.weights == "frequency":
            pairs += [("AIC", number(self.aic)), ("McFadden's R²", f"{self.r2_mcfadden:.4f}")]
        return pairs

    # ----- parts ----------------------------------------------------------------------------------

    @property
    def _fitted(self) -> Fit:
        if self._fit is None:
            raise ValueError(
                "This summary was made with covariance=None, and has coefficients and odds ratios "
                "only."
            )
        return self._fit

    @property
    def _covariance_root(self) -> Matrix:
        """A with covariance AAᵀ in the working coordinates."""
        return self._fitted.information.B if self._root is None else self._root

    @property
    def _user_root(self) -> Matrix:
        """A with covariance AAᵀ in the user's units."""
        return self._fitted.frame.user_rows @ self._covariance_root

    @property
    def _has_intercept(self) -> bool:
        return self._fitted.frame.coordinates.fit_intercept

    @property
    def _weights(self) -> tuple[Vector, float]:
        """The user's weights and intercept."""
        if self._has_intercept:
            return self.coef[:-1], float(self.coef[-1])
        return self.coef, 0.0

    @property
    def _maximum(self) -> Vector:
        """The coefficients at the maximum of the likelihood, from which profiles start."""
        w, b = self._fitted.frame.to_user(self._fitted.v)
        return np.append(w, b) if self._has_intercept else w

    def _profiles(self) -> list[Profile]:
        """Return the profile of each coefficient."""
        fit = self._fitted
        if self.kind != "model":
            raise ValueError(
                f"method='profile' is by the likelihood, and covariance={self.kind!r} does not "
                "rely on it; use covariance='model', or method='wald'."
            )
        criterion: Criterion = LikelihoodCriterion(fit.frame)
        best = Point(fit.v, fit.loss, -fit.score, fit.information, fit.loss, fit.information)
        if self._firth is not None:
            criterion, best = FirthCriterion(fit.frame), self._firth
        return [Profile(criterion, best, row) for row in fit.frame.user_rows]

    def _true_log_likelihood(self, name: str) -> float:
        """Return l; raise ValueError for sampling weights, with which it is no likelihood."""
        if self._fitted is not None and self.weights == "probability":
            raise ValueError(
                f"{name} needs a likelihood; with weights='probability' the weighted sum of the "
                "losses is none. Use test for hypotheses about coefficients."
            )
        return self.log_likelihood

    def _null_loss_with_offset(self) -> float:
        """Return Σ sL of the model without features with an offset, by Newton's method."""
        user, c = self._fitted.frame.user, 0.0
        loss, slope, curvature = (float(each) for each in user.sum_over_parts(null_sums, c))
        if not self._has_intercept:
            return loss
        for _ in range(NULL_STEPS):
            step = -slope / curvature
            after = c + step
            new = [float(each) for each in user.sum_over_parts(null_sums, after)]
            while new[0] > loss and abs(step) > np.finfo(np.float64).eps * (1 + abs(c)):
                step /= 2
                after = c + step
                new = [float(each) for each in user.sum_over_parts(null_sums, after)]
            done = not new[0] < loss
            c, (loss, slope, curvature) = after, new
            if done:
                break
        return loss

    def _rows_of(self, R: Any) -> Matrix:
        """Return the rows of a hypothesis; see `test`."""
        if isinstance(R, str) or (len(np.shape(R)) == 1 and isinstance(next(iter(R), None), str)):
            wanted, known = [R] if isinstance(R, str) else list(R), self.names.tolist()
            if unknown := [name for name in wanted if name not in known]:
                raise ValueError(f"R has names of no coefficient: {unknown}; known are {known}.")
            return np.eye(len(known))[[known.index(name) for name in wanted]]
        rows = np.atleast_2d(np.asarray(R, dtype=np.float64))
        if rows.ndim != 2 or rows.shape[1] != len(self.coef) or not len(rows):
            raise ValueError(
                f"R has shape {np.shape(R)}; it must be (n_rows, {len(self.coef)}): a number for "
                "each feature and, last, for the intercept."
            )
        return rows


def null_sums(part: InMemoryObjective, c: float) -> list[float]:
    """Return Σ sL and its two derivatives in c at the outputs c plus the offset."""
    a = sigmoid(c + part.offset)
    s = part.sample_weight
    loss = binary_cross_entropy(part.y, c + part.offset)
    return [float(s @ loss), float(s @ (a - part.y)), float(s @ (a * (1 - a)))]


def effect_sums(part: InMemoryObjective, theta: Vector) -> list[Any]:
    """Return Σ s, Σ s a(1−a) and Σ s a(1−a)(1−2a)z over a part."""
    slope, change = 0.0, np.zeros(len(theta))
    for rows, Z, a in whitened_rows(part, theta, np.eye(len(theta))):
        weight = part.sample_weight[rows] * a * (1 - a)
        slope += float(np.sum(weight))
        change += Z.T @ (weight * (1 - 2 * a))
    return [float(np.sum(part.sample_weight)), slope, change]


def checked_level(level: Any) -> float:
    """Return the confidence level; raise ValueError unless it is in (0, 1)."""
    if not isinstance(level, int | float | np.number) or not 0 < level < 1:
        raise ValueError(f"level is {level!r}; it must be in (0, 1), such as 0.95.")
    return float(level)


def raise_unless_in(name: str, value: Any, allowed: tuple[Any, ...]) -> None:
    """Raise ValueError unless the value of an argument is allowed."""
    if value not in allowed:
        raise ValueError(f"{name} is {value!r}; it must be one of {list(allowed)}.")
