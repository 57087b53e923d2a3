"""`DaskBCENeuronClassifier`: the same objective and solvers for Dask arrays and dataframes.

Each pass over the samples is one reduction: each block of rows computes its sums (of the loss, its
gradient or its curvature), and a tree of tasks adds them up. Apart from a random sample of the
rows, which the first pass draws, only such sums leave a worker; their size does not depend on the
number of samples.

The time of a pass is the time in which each worker reads its own samples: about 7 ns for each
number on one core ("When it does not fit in memory" in the README).

This module needs the extra ``dask``: ``pip install "sklearn-bce[dask]"``.
"""

from __future__ import annotations

from copy import copy
from functools import partial
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import pandas as pd
from dask.base import is_dask_collection
from dask.delayed import delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_bce._estimator.chunks import fit_parts, raise_for_unsupported
from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.dask_blocks import (
    Blocks,
    blocks_of,
    computed,
    in_blocks_of_rows,
    offset_blocks,
    to_delayed,
)
from sklearn_bce._estimator.parameters import CONSTRAINTS, BinaryClassifierMixin
from sklearn_bce._estimator.prediction import (
    d2_from_sums,
    loss_and_class_weight_sums,
    raise_if_offset_is_missing,
)
from sklearn_bce._estimator.samples import GivenSamples
from sklearn_bce._estimator.sklearn_compat import fit_context
from sklearn_bce._estimator.state import PickleMixin, dense_coef, public_fitted_state
from sklearn_bce._objective.partitioned import PartSums
from sklearn_bce.chain_rule import linear_output

__all__ = ["DaskBCENeuronClassifier"]

# Parameters of `BCENeuronClassifier` that need access to single samples, which blocks on several
# machines do not offer.
UNSUPPORTED_PARAMETERS = {"batch_size", "shuffle", "early_stopping", "validation_fraction"}


class DaskBCENeuronClassifier(PickleMixin, BinaryClassifierMixin, BaseEstimator):
    """Logistic neuron for binary classification of samples in Dask collections.

    The estimator minimises the objective F of `BCENeuronClassifier`: both end within ``tol`` of the
    same minimum, for any division of the collections into blocks.

    Parameters
    ----------
    C : float, default=1.0
        Inverse of the strength of the penalty, in (0, inf]. ``np.inf`` means no penalty.
    l1_ratio : float, default=0.0
        Proportion of the L1 norm in the penalty, in [0, 1]; 0 means an L2 penalty.
    standardize : bool, default=False
        Whether the penalty is that of the weights of standardised columns, as of
        `BCENeuronClassifier`.
    penalty_factor : array-like of shape (n_features,), dict or None, default=None
        Factors of the penalty, as of `BCENeuronClassifier`.
    coef_bounds : tuple (lower, upper), dict or None, default=None
        Bounds of the weights, as of `BCENeuronClassifier`.
    fit_intercept : bool, default=True
        Whether to learn the intercept b. If False, b is 0.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as ``{label: weight}``; it multiplies the sample weights. "balanced"
        gives both classes the same total weight. None gives each class the weight 1.
    solver : {"auto", "newton", "gd", "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", \
            "saga"}, default="auto"
        Newton's method or gradient descent; "auto" is "newton", and so are the solvers of
        `LogisticRegression`, which are other names of "auto". "sgd" raises an error, because it
        needs access to single samples.
    learning_rate : float or "auto", default="auto"
        Constant step of "gd"; "auto" computes a safe step from the data. "newton" ignores it.
    max_iter : int, default=100
        Largest number of iterations.
    tol : float, default=1e-6
        Tolerance of the stopping test in nats, as of `BCENeuronClassifier`. With 0 the fit does all
        ``max_iter`` iterations, and does not warn.
    n_iter_no_change : int, default=5
        Number of iterations without an improvement after which "gd" stops.
    soft_targets : bool, default=False
        Whether y contains numbers in [0, 1] instead of labels.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the previous fit.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers for the sample of the rows from which "newton" computes its
        starting point, which does not change the minimum. None is a fixed seed.
    client : distributed.Client or None, default=None
        Client that computes the sums. None means the scheduler that Dask selects: the active client
        if there is one, else threads of this process, unless `dask.config` names another scheduler.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels in sorted order.
    coef_ : ndarray of shape (1, n_features), dtype of X
        Weights w. They are float64 for a float32 X if F would rise above ``tol`` in float32.
    intercept_ : ndarray of shape (1,), dtype of X
        Intercept b.
    has_offset_ : bool
        Whether the samples of the fit had an offset, so that predictions and scores require one.
    n_iter_ : ndarray of shape (1,), int32
        Number of iterations.
    n_passes_ : float
        Number of passes over X, each of which is one reduction. The first one collects the classes,
        sums and a random sample.
    converged_ : bool
        Whether F is within ``tol`` of its minimum, or of its infimum if it has no minimum.
    stop_reason_ : str
        Why the fit stopped, as of `BCENeuronClassifier`.
    solver_ : str
        Solver that was used: "newton" or "gd".
    loss_curve_ : list of float
        Value of the objective F in nats after each iteration.
    penalty : {"l1", "l2", "elasticnet"} or None
        Name of the penalty in scikit-learn, as of `BCENeuronClassifier`.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns. Set only if X is a dataframe whose names are all strings.

    See Also
    --------
    BCENeuronClassifier : For samples that fit into memory; faster there.
    fit_from_chunks : For more samples than fit into memory, on one machine.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier
    >>> from sklearn_bce.dask import DaskBCENeuronClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = DaskBCENeuronClassifier(tol=1e-12)
    >>> neuron = neuron.fit(da.from_array(X, chunks=(100, 30)), da.from_array(y, chunks=100))
    >>> local = BCENeuronClassifier(tol=1e-12).fit(X, y)
    >>> bool(np.allclose(neuron.coef_, local.coef_, rtol=1e-5))
    True
    >>> neuron.predict(da.from_array(X, chunks=(100, 30)))
    dask.array<_method, shape=(569,), dtype=int64, chunksize=(100,), chunktype=numpy.ndarray>
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        **{
            name: allowed
            for name, allowed in CONSTRAINTS.items()
            if name not in UNSUPPORTED_PARAMETERS
        },
        "client": "no_validation",
    }

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        standardize: bool = False,
        penalty_factor: Any = None,
        coef_bounds: Any = None,
        fit_intercept: bool = True,
        class_weight: dict[Any, float] | str | None = None,
        solver: str = "auto",
        learning_rate: float | str = "auto",
        max_iter: int = 100,
        tol: float = 1e-6,
        n_iter_no_change: int = 5,
        soft_targets: bool = False,
        warm_start: bool = False,
        random_state: Any = None,
        client: Any = None,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.standardize = standardize
        self.penalty_factor = penalty_factor
        self.coef_bounds = coef_bounds
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.soft_targets = soft_targets
        self.warm_start = warm_start
        self.random_state = random_state
        self.client = client

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None
    ) -> DaskBCENeuronClassifier:
        """Fit the weights and the intercept to samples.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples. The blocks of an array are NumPy arrays or CSR matrices; the number of their
            rows need not be known. Each pass computes X anew: persist X on the cluster if it fits
            into its memory. Samples in memory, such as the folds that the searches of dask-ml hand
            over, are fitted in this process, as by `BCENeuronClassifier`.
        y : dask array or series of shape (n_samples,), or array-like
            Labels of two classes; numbers in [0, 1] if ``soft_targets=True``. A Dask collection has
            as many blocks as X; it is computed if X is in memory. Anything else is cut into blocks
            like those of X, whose numbers of rows must then be known.
        sample_weight : dask array or series of shape (n_samples,), or array-like, default=None
            Weights, not negative, in the form of y; None means 1 for each sample.
        offset : float, dask array or series of shape (n_samples,), or array-like, default=None
            Known term of the linear output of each sample, in the form of y, or a number; see
            `BCENeuronClassifier.fit`. After a fit with an offset, predictions and scores require
            one. None means that there is none.

        Returns
        -------
        self : DaskBCENeuronClassifier
            The fitted estimator.

        Raises
        ------
        TypeError
            If X is a Dask collection of another kind than array or dataframe.
        ValueError
            If a parameter is out of range or the samples are malformed, on any worker. The
            estimator then keeps the attributes that it had before.
        KeyboardInterrupt
            If Ctrl-C is pressed. The estimator then keeps the attributes that it had before.

        Warns
        -----
        ConvergenceWarning, UserWarning
            As `BCENeuronClassifier.fit` does.
        """
        local = self._unfitted_local()
        if self.warm_start and hasattr(self, "coef_"):
            vars(local).update(public_fitted_state(self))
        if is_dask_collection(X):
            given = GivenSamples(X, y, sample_weight, offset)
            fit_parts(local, blocks_of(local, given, self.client), n_threads=1)
        else:
            raise_for_unsupported(self.solver, early_stopping=False)
            y, sample_weight, offset = self._in_memory(y, sample_weight, offset)
            local.fit(X, y, sample_weight, offset=offset)
        for name in public_fitted_state(self):
            delattr(self, name)
        vars(self).update(public_fitted_state(local))
        return self

    def to_local(self) -> BCENeuronClassifier:
        """Return a fitted `BCENeuronClassifier` that makes the same predictions.

        Returns
        -------
        local : BCENeuronClassifier
            With copies of the fitted attributes, and with the same parameters.
        """
        check_is_fitted(self)
        local = self._unfitted_local()
        for name, value in public_fitted_state(self).items():
            setattr(local, name, value.copy() if hasattr(value, "copy") else value)
        return local

    def decision_function(self, X: Any, offset: Any = None) -> Any:
        """Return the linear output z of each sample: the log-odds of the second class.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples.
        offset : float, dask array or series of shape (n_samples,), or array-like, default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        z : dask array of shape (n_samples,), or ndarray
            A Dask array, not computed yet, if X is a Dask collection; else an array.
        """
        return self._lazily("decision_function", X, offset)

    def predict(self, X: Any, offset: Any = None) -> Any:
        """Return the more probable class of each sample.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples.
        offset : float, dask array or series of shape (n_samples,), or array-like, default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        labels : dask array of shape (n_samples,), or ndarray
            Elements of ``classes_``. A Dask array, not computed yet, if X is a Dask collection;
            else an array.
        """
        return self._lazily("predict", X, offset)

    def predict_proba(self, X: Any, offset: Any = None) -> Any:
        """Return the probability of each class for each sample.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples.
        offset : float, dask array or series of shape (n_samples,), or array-like, default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        probability : dask array of shape (n_samples, 2), or ndarray
            Columns in the order of ``classes_``. A Dask array, not computed yet, if X is a Dask
            collection; else an array.
        """
        return self._lazily("predict_proba", X, offset, n_columns=2)

    def predict_log_proba(self, X: Any, offset: Any = None) -> Any:
        """Return the logarithm of the probability of each class for each sample.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples.
        offset : float, dask array or series of shape (n_samples,), or array-like, default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        log_probability : dask array of shape (n_samples, 2), or ndarray
            Natural logarithms. Columns in the order of ``classes_``. A Dask array, not computed
            yet, if X is a Dask collection; else an array.
        """
        return self._lazily("predict_log_proba", X, offset, n_columns=2)

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """Return the accuracy for labels, and D² for soft targets; see `BCENeuronClassifier.score`.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples.
        y : dask array or series of shape (n_samples,), or array-like
            Labels; numbers in [0, 1] if ``soft_targets=True``. In the form that `fit` accepts.
        sample_weight : dask array or series of shape (n_samples,), or array-like, default=None
            Weights, not negative; None means 1 for each sample.
        offset : float, dask array or series of shape (n_samples,), or array-like, default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        score : float
            The score, computed in one pass over a Dask collection.
        """
        local = self.to_local()
        if not is_dask_collection(X):
            y, sample_weight, offset = self._in_memory(y, sample_weight, offset)
            return local.score(X, y, sample_weight, offset=offset)
        raise_if_offset_is_missing(local, offset)
        check_features(local, X)
        blocks = Blocks(X, y, sample_weight, offset, self.client, self.soft_targets)
        part, whole = blocks.sum(partial(_score_sums, local))
        return d2_from_sums(part, whole) if self.soft_targets else part / whole

    def _in_memory(self, *arrays: Any) -> list[Any]:
        """Return the arguments, Dask collections among them computed by the client."""
        return [computed(values, self.client) for values in arrays]

    def _unfitted_local(self) -> BCENeuronClassifier:
        """Return an unfitted `BCENeuronClassifier` with the same parameters."""
        parameters = self.get_params()
        del parameters["client"]
        return BCENeuronClassifier(**parameters)

    def _lazily(self, method: str, X: Any, offset: Any, n_columns: int | None = None) -> Any:
        """Return what a method of the local estimator returns for X, block by block.

        Parameters
        ----------
        method : str
            Name of the method.
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples.
        offset : float, dask array or series of shape (n_samples,), array-like or None
            Offset of the samples.
        n_columns : int or None, default=None
            Number of columns of the result; None means that it has one dimension.

        Returns
        -------
        result : dask array or ndarray
            A Dask array, not computed yet, if X is a Dask collection; else an array.
        """
        local = self.to_local()
        if not is_dask_collection(X):
            return getattr(local, method)(X, offset)
        raise_if_offset_is_missing(local, offset)
        if isinstance(X, da.Array):
            X = in_blocks_of_rows(X)
        check_features(local, X)
        dtype = _float_type(X, self.coef_.dtype) if offset is None else np.dtype(np.float64)
        dtype = self.classes_.dtype if method == "predict" else dtype
        columns = () if n_columns is None else (n_columns,)
        call, meta = partial(_method, local, method), np.empty((0, *columns), dtype)
        if isinstance(X, da.Array) and offset is None:
            shape = {"drop_axis": 1} if n_columns is None else {"chunks": (X.chunks[0], columns)}
            return X.map_blocks(call, meta, dtype=dtype, meta=meta, **shape)
        X_blocks = to_delayed(X)
        rows = X.chunks[0] if isinstance(X, da.Array) else None
        offsets = offset_blocks(offset, rows, len(X_blocks))
        blocks = [
            da.from_delayed(
                delayed(call)(block, meta, of_block), shape=(n_rows, *columns), meta=meta
            )
            for block, of_block, n_rows in zip(
                X_blocks, offsets, rows or [np.nan] * len(X_blocks), strict=True
            )
        ]
        return da.concatenate(blocks, allow_unknown_chunksizes=True)

    def __getstate__(self) -> dict[str, Any]:
        """Return the attributes to pickle; ``client``, a connection of this process, as None."""
        return {**super().__getstate__(), "client": None}

    def __sklearn_clone__(self) -> DaskBCENeuronClassifier:
        """Return an unfitted estimator with the same parameters and the same client object."""
        other = super(DaskBCENeuronClassifier, copy(self)).__sklearn_clone__()
        return other.set_params(client=self.client)


def _score_sums(
    local: BCENeuronClassifier,
    number: int,
    X: Any,
    y: Any,
    sample_weight: NDArray[np.float64],
    offset: NDArray[np.float64] | None,
) -> PartSums:
    """Return the two sums over a block that the score is computed from.

    Parameters
    ----------
    local : BCENeuronClassifier
        Fitted estimator.
    number : int
        Number of the block; not used.
    X : ndarray or CSR of shape (n_samples, n_features)
        Samples.
    y : ndarray of shape (n_samples,)
        Labels, or checked soft targets.
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s.
    offset : ndarray of shape (n_samples,), float64, or None
        Offset of the samples.

    Returns
    -------
    sums : list of two
        Σ s over the correct predictions and Σ s; for soft targets the arguments of `d2_from_sums`.
    """
    z = linear_output(X, dense_coef(local)[0], local.intercept_[0], offset)
    if local.soft_targets:
        return list(loss_and_class_weight_sums(y, z, sample_weight))
    correct = (z > 0) == (y == local.classes_[1])
    return [float(sample_weight @ correct), float(np.sum(sample_weight))]


def check_features(local: BCENeuronClassifier, X: Any) -> None:
    """Raise ValueError unless X has the features that the local estimator was fitted to."""
    columns = getattr(X, "columns", None)
    if columns is not None:
        validate_data(local, pd.DataFrame(columns=columns), reset=False, skip_check_array=True)
    elif np.ndim(X) == 2 and not np.isnan(X.shape[1]):
        validate_data(local, np.empty((0, X.shape[1])), reset=False, skip_check_array=True)


def _float_type(X: Any, weight_type: np.dtype[Any]) -> np.dtype[Any]:
    """Return the dtype of linear outputs, given the samples and the dtype of the weights."""
    types = {np.dtype(X.dtype)} if isinstance(X, da.Array) else set(X.dtypes)
    X_type = np.float32 if types == {np.dtype(np.float32)} else np.float64
    return np.result_type(X_type, weight_type)


def _method(
    local: BCENeuronClassifier, method: str, X: Any, empty: NDArray[Any], offset: Any = None
) -> NDArray[Any]:
    """Return what a method of the local estimator returns for a block; ``empty`` if it is empty."""
    return getattr(local, method)(X, offset) if X.shape[0] else empty
