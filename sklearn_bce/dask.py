"""The neuron on a cluster: Dask arrays and dataframes, by the same solver as in memory.

Each pass is one reduction: every block is asked for its sums, of the loss, its gradient or its
curvature, which are added up as a tree. Besides some random samples to begin with, nothing leaves
a worker but such sums; their size does not depend on how many samples there are.

What limits it is how fast each worker goes through its own samples, some 7 ns a number and pass on
one core: 10⁹×100 on 32 machines of two would take one to two minutes, and 80 kB a pass come back
(README, "When it does not fit in memory").

Needs the extra ``dask``: ``pip install "sklearn-bce[dask]"``.
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
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_bce._estimator.chunks import train_on_parts
from sklearn_bce._estimator.classifier import BCENeuronClassifier
from sklearn_bce._estimator.dask_blocks import Blocks, in_blocks_of_rows
from sklearn_bce._estimator.parameters import CONSTRAINTS
from sklearn_bce._estimator.prediction import d2_of, loss_and_class_weight_sums
from sklearn_bce._estimator.sklearn_compat import fit_context
from sklearn_bce._estimator.state import Persistent
from sklearn_bce._objective.partitioned import PartSums
from sklearn_bce.chain_rule import linear_output

# What makes no sense without all samples at hand, or is of the solver sgd alone.
NOT_HERE = {"batch_size", "shuffle", "early_stopping", "validation_fraction"}


class DaskBCENeuronClassifier(Persistent, ClassifierMixin, BaseEstimator):
    """`BCENeuronClassifier` for Dask collections: the same optimum, for any chunks.

    Parameters
    ----------
    C, l1_ratio, fit_intercept, class_weight, tol, max_iter, soft_targets, warm_start, random_state
        As of `BCENeuronClassifier`.
    solver : {"auto", "newton", "gd"}, default="auto"
        As there. "sgd" goes from sample to sample, which blocks on several machines cannot, and is
        an error.
    learning_rate : float or "auto", default="auto"
        Of gd.
    n_iter_no_change : int, default=5
        Of gd.
    client : distributed.Client or None, default=None
        Where to compute. None means the active client if there is one, else Dask's scheduler of
        threads in this process, or whichever `dask.config` says.

    Attributes
    ----------
    classes_, coef_, intercept_, n_iter_, n_passes_, converged_, solver_, loss_curve_ : as there
        As of `BCENeuronClassifier`; ``n_passes_`` is how many reductions there were, the first
        being a survey of what there is.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the columns, of a dataframe.

    See Also
    --------
    BCENeuronClassifier : For samples that fit into memory, which it is faster for.
    fit_from_chunks : For more of them, on one machine.

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
        **{name: allowed for name, allowed in CONSTRAINTS.items() if name not in NOT_HERE},
        "client": "no_validation",
    }

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
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
    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> DaskBCENeuronClassifier:
        """Learn the weights and the intercept.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features)
            Samples, in blocks of rows: arrays, or CSR. How many rows these have need not be known.
            Worth persisting if it fits into the memory of the cluster: each pass asks for it.
        y : dask array or series of shape (n_samples,), or array-like
            Labels of two classes, or soft targets, in as many blocks; an array is cut into blocks
            where those of X are known.
        sample_weight : dask array or series of shape (n_samples,), or array-like, default=None
            Weights, not negative.

        Returns
        -------
        self : DaskBCENeuronClassifier
            Fitted.

        Raises
        ------
        ValueError
            If a parameter or the samples are not what they must be, on whichever worker that is
            found out. The estimator is then as it was before.
        """
        neuron = self._as_local()
        if self.warm_start and hasattr(self, "coef_"):
            vars(neuron).update(self._fitted())
        blocks = Blocks(X, y, sample_weight, self.client, self.soft_targets)
        train_on_parts(neuron, blocks, n_threads=1)
        neuron.n_features_in_ = neuron.coef_.shape[1]
        names = getattr(X, "columns", None)
        if names is not None and all(isinstance(name, str) for name in names):
            neuron.feature_names_in_ = np.asarray(names, dtype=object)
        fitted = {name: value for name, value in vars(neuron).items() if name.endswith("_")}
        for name in self._fitted():
            delattr(self, name)
        vars(self).update(fitted)
        return self

    def to_local(self) -> BCENeuronClassifier:
        """Return a fitted `BCENeuronClassifier` with the same weights.

        Returns
        -------
        neuron : BCENeuronClassifier
            With copies of the attributes.
        """
        check_is_fitted(self)
        neuron = self._as_local()
        vars(neuron).update(
            {
                name: value.copy() if hasattr(value, "copy") else value
                for name, value in self._fitted().items()
            }
        )
        return neuron

    def decision_function(self, X: Any) -> Any:
        """Return the linear output z; see `predict`."""
        return self._lazily("decision_function", X)

    def predict(self, X: Any) -> Any:
        """Return the likelier class of each sample.

        Parameters
        ----------
        X : dask array or dataframe of shape (n_samples, n_features), or array-like
            Samples.

        Returns
        -------
        labels : dask array or series of shape (n_samples,)
            Not computed yet; an array if X is not of Dask.
        """
        return self._lazily("predict", X)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, (n_samples, 2); see `predict`."""
        return self._lazily("predict_proba", X, columns=2)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probability of each class, (n_samples, 2); see `predict`."""
        return self._lazily("predict_log_proba", X, columns=2)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; of soft targets D², as `BCENeuronClassifier.score` does.

        Parameters
        ----------
        X, y, sample_weight : as of `fit`

        Returns
        -------
        score : float
            Computed.
        """
        neuron = self.to_local()
        _check_features(neuron, X)
        blocks = Blocks(X, y, sample_weight, self.client, self.soft_targets)
        explained, total = blocks.sum(partial(_score_sums, neuron))
        return d2_of(explained, total) if self.soft_targets else explained / total

    def _as_local(self) -> BCENeuronClassifier:
        """Return an unfitted neuron with the same parameters."""
        parameters = self.get_params()
        del parameters["client"]
        return BCENeuronClassifier(**parameters)

    def _fitted(self) -> dict[str, Any]:
        """Return the attributes that `fit` has left."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def _lazily(self, method: str, X: Any, columns: int | None = None) -> Any:
        """Return what a method of the local neuron says of each block, so many columns of it."""
        neuron = self.to_local()
        if not is_dask_collection(X):
            return getattr(neuron, method)(X)
        if isinstance(X, da.Array):
            X = in_blocks_of_rows(X)
        _check_features(neuron, X)
        dtype = self.classes_.dtype if method == "predict" else _float_type(X, self.coef_.dtype)
        wide = () if columns is None else (columns,)
        call, meta = partial(_method, neuron, method), np.empty((0, *wide), dtype)
        if isinstance(X, da.Array):
            shape = {"drop_axis": 1} if columns is None else {"chunks": (X.chunks[0], wide)}
            return X.map_blocks(call, meta, dtype=dtype, meta=meta, **shape)
        blocks = [delayed(call)(block, meta) for block in X.to_delayed()]
        return da.concatenate(
            [da.from_delayed(block, shape=(np.nan, *wide), meta=meta) for block in blocks],
            allow_unknown_chunksizes=True,
        )

    def __getstate__(self) -> dict[str, Any]:
        """Return what can be stored: without the client, which is of this process."""
        return {**super().__getstate__(), "client": None}

    def __sklearn_clone__(self) -> DaskBCENeuronClassifier:
        """Return an unfitted copy, with the same client."""
        other = super(DaskBCENeuronClassifier, copy(self)).__sklearn_clone__()
        return other.set_params(client=self.client)


def _score_sums(
    neuron: BCENeuronClassifier, number: int, X: Any, y: Any, weight: NDArray[np.float64]
) -> PartSums:
    """Return the weight of what is predicted rightly and of all; of soft targets, as `d2_of`."""
    z = linear_output(X, neuron.coef_[0], neuron.intercept_[0])
    if neuron.soft_targets:
        return list(loss_and_class_weight_sums(y, z, weight))  # the only pass: y has been checked
    is_right = (z > 0) == (y == neuron.classes_[1])
    return [float(weight @ is_right), float(np.sum(weight))]


def _check_features(neuron: BCENeuronClassifier, X: Any) -> None:
    """Raise ValueError unless X has the features that the neuron was fitted to."""
    columns = getattr(X, "columns", None)
    if columns is not None:
        validate_data(neuron, pd.DataFrame(columns=columns), reset=False, skip_check_array=True)
    elif np.ndim(X) == 2 and not np.isnan(X.shape[1]):
        validate_data(neuron, np.empty((0, X.shape[1])), reset=False, skip_check_array=True)


def _float_type(X: Any, of_weights: np.dtype[Any]) -> np.dtype[Any]:
    """Return the type of outputs of samples X."""
    of_x = {np.dtype(X.dtype)} if isinstance(X, da.Array) else set(X.dtypes)
    return np.result_type(np.float32 if of_x == {np.dtype(np.float32)} else np.float64, of_weights)


def _method(
    neuron: BCENeuronClassifier, method: str, X: Any, nothing: NDArray[Any]
) -> NDArray[Any]:
    """Return what a method of the neuron says of a block; nothing of an empty one."""
    return getattr(neuron, method)(X) if X.shape[0] else nothing
