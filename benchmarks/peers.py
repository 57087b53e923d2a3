"""Adapters of other packages: parameters ``C`` and ``tol``, attributes ``coef_``, ``intercept_``.

Each adapter translates its package's objective into that of `judge.objective`. `form` returns the
function that turns (X, y) into the arguments that its `fit` takes best; it runs outside the timed
part. An adapter imports its package when it is used, so that the others work without it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone

from benchmarks.limits import density

LIBLINEAR_DUAL, LIBLINEAR_L1 = 7, 6  # the numbers of its solvers
SPARSE_ENOUGH = 0.5  # fraction of values other than zero below which a column solver gets CSC


class Peer(BaseEstimator):
    """Base class of the adapters."""

    def warm_up(self) -> None:
        """Import and compile the package, so that no timed fit does."""
        clone(self).fit(*self.form()(*_toy()))

    def form(self) -> Any:
        """Return the function that prepares X and y."""
        raise NotImplementedError

    def _set_weights(self, w: np.ndarray, b: float) -> Peer:
        self.coef_ = np.asarray(w, dtype=np.float64).reshape(1, -1)
        self.intercept_ = np.array([float(b)])
        return self


class Celer(Peer):
    """celer's LogisticRegression: the sum of the losses plus ‖w‖₁/C, by working sets.

    It has no intercept; a constant column of `bias` replaces the intercept, as for Snap ML.
    """

    def __init__(
        self, C: float = 1.0, tol: float = 1e-4, bias: float = 30.0, l1_ratio: float = 1.0
    ) -> None:
        self.C = C
        self.tol = tol
        self.bias = bias
        self.l1_ratio = l1_ratio

    def form(self) -> Any:
        return _celer_forms[self.bias]

    def fit(self, X: Any, y: np.ndarray) -> Celer:
        from celer import LogisticRegression

        model = LogisticRegression(C=self.C, tol=self.tol, max_iter=1000).fit(X, y)
        weights = np.ravel(model.coef_)
        return self._set_weights(weights[:-1], self.bias * weights[-1])


class Glum(Peer):
    """GeneralizedLinearRegressor, binomial: half the mean deviance plus alpha/2·‖w‖².

    With ``scale_predictors`` it works on standardised columns and its penalty is on their
    weights; ``P2 = 1/variance`` makes it the penalty on the weights of X itself.
    """

    def __init__(
        self,
        C: float = 1.0,
        tol: float = 1e-4,
        solver: str = "irls-ls",
        scale_predictors: bool = False,
        max_iter: int = 1000,
        l1_ratio: float = 0.0,
    ) -> None:
        self.C = C
        self.tol = tol
        self.l1_ratio = l1_ratio
        self.solver = solver
        self.scale_predictors = scale_predictors
        self.max_iter = max_iter

    def form(self) -> Any:
        return _by_columns

    def fit(self, X: Any, y: np.ndarray) -> Glum:
        from glum import GeneralizedLinearRegressor

        model = GeneralizedLinearRegressor(
            family="binomial",
            alpha=1 / (self.C * X.shape[0]),
            l1_ratio=self.l1_ratio,
            P2=1 / _variances(X) if self.scale_predictors else "identity",
            solver=self.solver,
            scale_predictors=self.scale_predictors,
            gradient_tol=self.tol,
            max_iter=self.max_iter,
        ).fit(X, y)
        self.n_iter_ = model.n_iter_
        return self._set_weights(model.coef_, model.intercept_)


class Intelex(Peer):
    """LogisticRegression of scikit-learn-intelex, which replaces some of scikit-learn's solvers."""

    def __init__(
        self, C: float = 1.0, tol: float = 1e-4, solver: str = "lbfgs", max_iter: int = 1000
    ) -> None:
        self.C = C
        self.tol = tol
        self.solver = solver
        self.max_iter = max_iter

    def form(self) -> Any:
        return None

    def warm_up(self) -> None:
        clone(self).fit(*_toy())

    def fit(self, X: Any, y: np.ndarray) -> Intelex:
        from sklearnex.linear_model import LogisticRegression

        model = LogisticRegression(
            C=self.C, tol=self.tol, solver=self.solver, max_iter=self.max_iter
        ).fit(X, y)
        self.n_iter_ = np.max(model.n_iter_)
        return self._set_weights(model.coef_, model.intercept_[0])


class Liblinear(Peer):
    """LIBLINEAR's own interface: ½‖w‖² plus C times the sum of the losses.

    ``-s 0 -R`` (Newton, primal) leaves the intercept unpenalised, and so does ``-s 6 -R``, which
    has the L1 norm in place of the L2 penalty. ``-s 7`` (dual coordinate descent) has no ``-R``:
    there the column that stands for the intercept is `bias` instead of 1, and the penalty on the
    intercept shrinks with its square.
    """

    def __init__(
        self,
        C: float = 1.0,
        tol: float = 1e-2,
        solver: int = 0,
        bias: float = 1.0,
        l1_ratio: float = 0.0,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.C = C
        self.tol = tol
        self.solver = solver
        self.bias = bias

    def form(self) -> Any:
        return _liblinear_problems[self.bias]

    def fit(self, problem: Any, y: np.ndarray) -> Liblinear:
        from liblinear.liblinearutil import train

        unpenalised = "" if self.solver == LIBLINEAR_DUAL else "-R"
        model = train(
            problem,
            f"-s {self.solver} -B {self.bias!r} {unpenalised} -c {self.C!r} -e {self.tol!r} -q",
        )
        weights = np.ctypeslib.as_array(model.w, (model.nr_feature + 1,)).copy()
        sign = 1.0 if model.label[0] == 1 else -1.0  # the weights are of the label seen first
        # trailing columns without a value are unknown to the model
        w = np.zeros(problem.n_columns)
        w[: model.nr_feature] = sign * weights[:-1]
        return self._set_weights(w, sign * self.bias * weights[-1])


class Skglm(Peer):
    """GeneralizedLinearEstimator: mean logistic loss plus L1_plus_L2.

    Its LBFGS and FISTA fit no intercept and its L2 penalty goes with LBFGS only. All columns are
    in the first working set where no weight is zero, with an L2 penalty.
    """

    def __init__(
        self,
        C: float = 1.0,
        tol: float = 1e-4,
        solver: str = "ProxNewton",
        l1_ratio: float = 0.0,
    ) -> None:
        self.C = C
        self.tol = tol
        self.solver = solver
        self.l1_ratio = l1_ratio

    def form(self) -> Any:
        return _by_columns

    def warm_up(self) -> None:
        super().warm_up()
        X, y = _toy()
        clone(self).fit(*_by_columns(sparse.csr_matrix(X * (X > 1)), y))

    def fit(self, X: Any, y: np.ndarray) -> Skglm:
        from skglm import GeneralizedLinearEstimator, solvers
        from skglm.datafits import Logistic
        from skglm.penalties import L1_plus_L2

        first = {} if self.l1_ratio else {"p0": X.shape[1]}
        solver = getattr(solvers, self.solver)(max_iter=1000, tol=self.tol, **first)
        penalty = L1_plus_L2(1 / (self.C * X.shape[0]), self.l1_ratio)
        model = GeneralizedLinearEstimator(Logistic(), penalty, solver).fit(X, y)
        self.n_iter_ = model.n_iter_
        return self._set_weights(model.coef_, np.ravel(model.intercept_)[0])


class SnapML(Peer):
    """Snap ML's LogisticRegression: the sum of the losses plus regularizer/2·‖w‖².

    Its own intercept is penalised, and its primal solver leaves it at zero; a constant column of
    `bias` replaces the intercept, as for LIBLINEAR. Snap ML computes in float32.
    """

    def __init__(
        self,
        C: float = 1.0,
        tol: float = 1e-3,
        dual: bool = False,
        n_jobs: int = 1,
        bias: float = 30.0,
        max_iter: int = 10_000,
        l1_ratio: float = 0.0,
    ) -> None:
        self.l1_ratio = l1_ratio
        self.C = C
        self.tol = tol
        self.dual = dual
        self.n_jobs = n_jobs
        self.bias = bias
        self.max_iter = max_iter

    def form(self) -> Any:
        return _snap_forms[self.dual, self.bias]

    def fit(self, X: Any, y: np.ndarray) -> SnapML:
        from snapml import LogisticRegression

        model = LogisticRegression(
            penalty="l1" if self.l1_ratio else "l2",
            regularizer=1 / self.C,
            tol=self.tol,
            dual=self.dual,
            n_jobs=self.n_jobs,
            max_iter=self.max_iter,
            random_state=0,
        ).fit(X, y)
        weights = np.ravel(model.coef_).astype(np.float64)
        self.n_iter_ = model.n_iter_
        return self._set_weights(weights[:-1], self.bias * weights[-1])


def _by_columns(X: Any, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return X as CSC where that is smaller, else in Fortran order; y as float."""
    y = y.astype(np.float64)
    if sparse.issparse(X) or density(X) < SPARSE_ENOUGH:
        return sparse.csc_matrix(X), y
    return np.asfortranarray(X), y


def _liblinear_problem(bias: float, X: Any, y: np.ndarray) -> tuple[Any, np.ndarray]:
    """Return LIBLINEAR's own structure of the samples, with the constant column in it."""
    from liblinear.liblinearutil import problem

    prepared = problem(y.astype(np.float64), sparse.csr_matrix(X), bias)
    prepared.n_columns = X.shape[1]
    return prepared, y


def _with_constant(
    by_rows: bool, bias: float, dtype: type, X: Any, y: np.ndarray
) -> tuple[Any, np.ndarray]:
    """Return X in another dtype with a last column of `bias`, by rows or by columns."""
    constant = np.full((X.shape[0], 1), bias, dtype=dtype)
    if sparse.issparse(X):
        stacked = sparse.hstack([X.astype(dtype), constant])
        return (sparse.csr_matrix if by_rows else sparse.csc_matrix)(stacked), y
    stacked = np.hstack([X.astype(dtype), constant])
    return np.ascontiguousarray(stacked) if by_rows else np.asfortranarray(stacked), y


# One function object for each form: `Problem.form` caches the converted data by that object.
BIASES = (1.0, 3.0, 10.0, 30.0, 100.0, 1000.0)
_liblinear_problems = {bias: partial(_liblinear_problem, bias) for bias in BIASES}
_snap_forms = {
    (dual, bias): partial(_with_constant, dual, bias, np.float32)
    for dual in (False, True)
    for bias in BIASES
}
_celer_forms = {bias: partial(_with_constant, False, bias, np.float64) for bias in BIASES}


def _variances(X: Any) -> np.ndarray:
    """Return the variance of each column; 1 where it is 0, as the weight there is 0 anyway."""
    if sparse.issparse(X):
        mean = np.asarray(X.mean(axis=0)).ravel()
        variances = np.asarray(X.multiply(X).mean(axis=0)).ravel() - mean**2
    else:
        variances = X.var(axis=0)
    return np.where(variances > 0, variances, 1.0)


def _toy() -> tuple[np.ndarray, np.ndarray]:
    """Return a problem that is solved at once."""
    X = np.random.default_rng(0).standard_normal((40, 3))
    return X, (X[:, 0] > 0).astype(np.int64)
