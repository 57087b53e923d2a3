"""The neuron on a cluster: Dask arrays and dataframes, by the same solver as in memory.

Each pass is one reduction: every block is asked for its sums, of the loss, its gradient or its
curvature, which are added up as a tree. Besides some random samples to begin with, nothing leaves
a worker but such sums; their size does not depend on how many samples there are.

Needs the extra ``dask``: ``pip install "sklearn-bce[dask]"``.
"""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

import dask.array as da
import numpy as np
from dask.delayed import delayed
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from sklearn_bce._compat import fit_context
from sklearn_bce._dask_blocks import Blocks, in_blocks_of_rows
from sklearn_bce._neuron import BCENeuronClassifier
from sklearn_bce._parameters import CONSTRAINTS
from sklearn_bce._parts import Answer
from sklearn_bce._predictions import d2_of, loss_and_mass
from sklearn_bce._targets import soft_targets
from sklearn_bce._training_on_parts import train_on_parts
from sklearn_bce.chain_rule import linear_output

# What makes no sense without all samples at hand, or is of the solver sgd alone.
NOT_HERE = {"batch_size", "shuffle", "early_stopping", "validation_fraction"}


class DaskBCENeuronClassifier(ClassifierMixin, BaseEstimator):
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
        blocks = Blocks(X, y, sample_weight, self.client)
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
        return self._lazily("decision_function", X, self.coef_.dtype)

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
        check_is_fitted(self)
        return self._lazily("predict", X, self.classes_.dtype)

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each class, (n_samples, 2); see `predict`."""
        return self._lazily("predict_proba", X, self.coef_.dtype, columns=2)

    def predict_log_proba(self, X: Any) -> Any:
        """Return the logarithm of the probability of each class, (n_samples, 2); see `predict`."""
        return self._lazily("predict_log_proba", X, self.coef_.dtype, columns=2)

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
        blocks = Blocks(X, y, sample_weight, self.client)
        explained, total = blocks.sum(partial(_score_sums, self.to_local()))
        return d2_of(explained, total) if self.soft_targets else explained / total

    def _as_local(self) -> BCENeuronClassifier:
        """Return an unfitted neuron with the same parameters."""
        parameters = self.get_params()
        del parameters["client"]
        return BCENeuronClassifier(**parameters)

    def _fitted(self) -> dict[str, Any]:
        """Return the attributes that `fit` has left."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def _lazily(self, method: str, X: Any, dtype: Any, columns: int = 1) -> Any:
        """Return what a method of the local neuron says of each block."""
        call = partial(_method, self.to_local(), method)
        if isinstance(X, da.Array):
            X = in_blocks_of_rows(X)
            if columns == 1:
                meta = np.empty(0, dtype=dtype)
                return X.map_blocks(call, dtype=dtype, drop_axis=1, meta=meta)
            meta, chunks = np.empty((0, columns), dtype=dtype), (X.chunks[0], (columns,))
            return X.map_blocks(call, dtype=dtype, chunks=chunks, meta=meta)
        if hasattr(X, "map_partitions"):  # a dataframe
            delayed_blocks = [delayed(call)(block) for block in X.to_delayed()]
            shape = (np.nan,) if columns == 1 else (np.nan, columns)
            return da.concatenate(
                [da.from_delayed(block, shape=shape, dtype=dtype) for block in delayed_blocks],
                allow_unknown_chunksizes=True,
            )
        return call(X)


def _score_sums(
    neuron: BCENeuronClassifier, number: int, X: Any, y: Any, weight: NDArray[np.float64]
) -> Answer:
    """Return the weight of what is predicted rightly and of all; of soft targets, as `d2_of`."""
    z = linear_output(X, neuron.coef_[0], neuron.intercept_[0])
    if neuron.soft_targets:
        return list(loss_and_mass(soft_targets(y), z, weight))
    is_right = (z > 0) == (y == neuron.classes_[1])
    return [float(weight @ is_right), float(np.sum(weight))]


def _method(neuron: BCENeuronClassifier, method: str, X: Any) -> NDArray[Any]:
    """Return what a method of the neuron says of a block."""
    return getattr(neuron, method)(X)
