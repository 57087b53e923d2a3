"""Predictions and scores of a fitted estimator."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr, log_expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklearn_bce._estimator.conversion import logistic_regression_of
from sklearn_bce._estimator.sklearn_compat import (
    foreign_namespace,
    is_foreign,
    raise_unless_same_namespace,
)
from sklearn_bce._estimator.state import dense_coef
from sklearn_bce._estimator.targets import (
    checked_offset,
    checked_sample_weight,
    checked_soft_targets,
)
from sklearn_bce._estimator.validation import checked_array, checked_X
from sklearn_bce._kernels import Vector
from sklearn_bce.chain_rule import binary_cross_entropy, linear_output, sigmoid


def loss_and_class_weight_sums(
    y: Vector, z: NDArray[Any], sample_weight: Vector
) -> tuple[float, Vector]:
    """Return the sums that D² is computed from; those of parts of the samples add up.

    Parameters
    ----------
    y : ndarray of shape (n_samples,), float64
        Targets in [0, 1].
    z : ndarray of shape (n_samples,)
        Linear outputs.
    sample_weight : ndarray of shape (n_samples,), float64
        Weights s.

    Returns
    -------
    loss : float
        Σ s L(y, σ(z)) in nats.
    class_weight_sums : ndarray of shape (2,), float64
        Σ s(1 − y) and Σ sy.
    """
    class_weight_sums = np.array([sample_weight @ (1 - y), sample_weight @ y])
    return float(sample_weight @ binary_cross_entropy(y, z)), class_weight_sums


def d2_from_sums(loss: float, class_weight_sums: Vector) -> float:
    """Return D² = 1 − L/L₀, the fraction of the null model's cross-entropy that is explained.

    Parameters
    ----------
    loss : float
        Σ s L(y, σ(z)) in nats; L is this divided by Σ s.
    class_weight_sums : ndarray of shape (2,), float64
        Σ s(1 − y) and Σ sy, whose entropy is L₀.

    Returns
    -------
    d2 : float
        0 if L₀ is 0.
    """
    total = float(np.sum(class_weight_sums))
    null = float(np.sum(entr(class_weight_sums / total)))
    return 1 - loss / total / null if np.all(class_weight_sums > 0) else 0.0


def raise_if_offset_is_missing(estimator: Any, offset: Any) -> None:
    """Raise ValueError if a fitted estimator has seen samples with an offset and none is given."""
    if offset is None and getattr(estimator, "has_offset_", False):
        raise ValueError(
            f"offset is missing: this {type(estimator).__name__} was fitted to samples with an "
            "offset, so that predictions and scores need one as well; offset=0 is allowed."
        )


def _accuracy(y: Any, labels: NDArray[Any], sample_weight: Vector | None) -> float:
    """Return the accuracy of predicted labels.

    `accuracy_score` checks the kind of the labels, which takes longer than a small fit. There is
    nothing to check if they are whole numbers.
    """
    are_plain = type(y) is np.ndarray and y.shape == labels.shape
    if are_plain and y.dtype.kind in "biu" and labels.dtype.kind in "biu":
        return float(np.average(y == labels, weights=sample_weight))
    return float(accuracy_score(y, labels, sample_weight=sample_weight))


class Outputs(NamedTuple):
    """The linear outputs of samples.

    Attributes
    ----------
    X : array or CSR of shape (n_samples, n_features)
        The samples, checked.
    z : array of shape (n_samples,)
        Their outputs.
    library : ArrayLibrary or None
        The library of both arrays; None means NumPy.
    """

    X: Any
    z: Any
    library: Any


def device() -> Any:
    """Return the module of arrays of other libraries, which fits of NumPy's do not import."""
    from sklearn_bce._estimator import device

    return device


def raise_if_fitted_elsewhere(estimator: Any) -> None:
    """Raise ValueError if the weights are in another library, and X is to become NumPy's."""
    if is_foreign(estimator.coef_):
        raise ValueError(
            f"This {type(estimator).__name__} was fitted to arrays of "
            f"{type(estimator.coef_).__module__.split('.')[0]}: predict for such arrays, within "
            "sklearn.config_context(array_api_dispatch=True), or fit it to arrays of NumPy."
        )


class PredictionMixin:
    """Methods of an estimator with the attributes ``coef_``, ``intercept_`` and ``classes_``."""

    def decision_function(self, X: Any, offset: Any = None) -> NDArray[Any]:
        """Return the linear output z of each sample: the log-odds of the second class.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        z : ndarray of shape (n_samples,)
            z = b + Σⱼ wⱼxⱼ, plus the offset. `predict` returns the second class where z > 0.

        Raises
        ------
        ValueError
            If X or the offset is malformed, or the estimator was fitted with an offset and none is
            given.
        """
        return self._outputs(X, offset, "decision_function").z

    def predict(self, X: Any, offset: Any = None) -> NDArray[Any]:
        """Return the more probable class of each sample; the first one if both are as probable.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Elements of ``classes_``.
        """
        _, z, library = self._outputs(X, offset, "predict")
        if library is not None:
            return device().device_labels(self.classes_, z, library)
        return self.classes_[(z > 0).astype(np.intp)]

    def predict_proba(self, X: Any, offset: Any = None) -> NDArray[Any]:
        """Return the probability of each class for each sample.

        Both probabilities are computed from z, so that the smaller one keeps its relative precision
        where it is close to 0.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2)
            Columns in the order of ``classes_``.
        """
        _, z, library = self._outputs(X, offset, "predict_proba")
        if library is not None:
            return device().device_probabilities(z, library)
        probability = np.empty((len(z), 2), z.dtype)
        np.negative(z, out=probability[:, 0])
        probability[:, 1] = z
        return sigmoid(probability, out=probability)

    def predict_log_proba(self, X: Any, offset: Any = None) -> NDArray[Any]:
        """Return the logarithm of the probability of each class for each sample.

        It is computed from z, and thus accurate where the probability rounds to 0 or 1.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, 2)
            Natural logarithms. Columns in the order of ``classes_``.
        """
        _, z, library = self._outputs(X, offset, "predict_log_proba")
        if library is not None:
            return device().device_log_probabilities(z, library)
        return log_expit(np.column_stack([-z, z]))

    def score(self, X: Any, y: Any, sample_weight: Any = None, offset: Any = None) -> float:
        """Return the accuracy for labels, and D² for soft targets.

        D² is 1 − L/L₀, with L the mean cross-entropy of the predicted probabilities, and L₀ that of
        a null model that predicts the mean of y for each sample. D² is 0 for predictions that are
        as good as those of the null model. Its upper bound is 1, and less where targets lie between
        0 and 1, whose cross-entropy is never 0.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels; numbers in [0, 1] if ``soft_targets=True``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 for each sample.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample. Required if the estimator was fitted
            with an offset; 0 is allowed. None means that there is none.

        Returns
        -------
        score : float
            Accuracy in [0, 1], or D² in (-inf, 1]. D² is 0 if all targets are 0 or all are 1.
        """
        if foreign_namespace(X) is not None:
            return self._score_on_device(X, y, sample_weight, offset)
        if not self.soft_targets:
            if sample_weight is not None:  # scikit-learn 1.7 does not check the weights
                sample_weight = checked_sample_weight(X, sample_weight)
            y, labels = checked_array(y, "y"), self.predict(X, offset)
            return _accuracy(y, labels, sample_weight)
        z = self.decision_function(X, offset)
        y = checked_soft_targets(column_or_1d(checked_array(y, "y")))
        check_consistent_length(z, y)
        sample_weight = checked_sample_weight(z, sample_weight)
        return d2_from_sums(*loss_and_class_weight_sums(y, z, sample_weight))

    def _outputs(self, X: Any, offset: Any, method: str) -> Outputs:
        """Return X, checked, the linear outputs, and the library of X for a method of this name."""
        check_is_fitted(self)
        raise_if_offset_is_missing(self, offset)
        namespace = foreign_namespace(X)
        raise_unless_same_namespace(self, X, method)
        if namespace is not None:
            library = device().library_of(X, namespace)
            return Outputs(*device().device_outputs(self, X, offset, library), library)
        raise_if_fitted_elsewhere(self)
        X = checked_X(self, X)
        offset = checked_offset(X, offset)
        z = linear_output(X, dense_coef(self)[0], self.intercept_[0], offset)
        return Outputs(X, z, None)

    def _score_on_device(self, X: Any, y: Any, sample_weight: Any, offset: Any) -> float:
        """Return the score for arrays of another library than NumPy; see `score`."""
        X, z, library = self._outputs(X, offset, "score")
        if not self.soft_targets:
            return device().device_accuracy(self.classes_, X, y, z, sample_weight, library)
        sums = device().device_loss_and_class_weight_sums(X, y, z, sample_weight, library)
        return d2_from_sums(*sums)

    def to_sklearn(self) -> LogisticRegression:
        """Return a fitted `LogisticRegression` that makes the same predictions.

        Tools that know the classes of scikit-learn only, such as exporters to ONNX, can use it. For
        an estimator that contains neurons see `sklearn_bce.to_sklearn`.

        Returns
        -------
        model : LogisticRegression
            With copies of the fitted attributes, and with the parameters ``C``, ``l1_ratio``,
            ``fit_intercept``, ``class_weight``, ``max_iter`` and ``tol`` of this estimator; its
            ``solver`` is "saga" if ``l1_ratio`` is above 0.

        Raises
        ------
        NotFittedError
            If this estimator is not fitted.

        Warns
        -----
        UserWarning
            If this estimator was fitted with an offset: the model predicts as with ``offset=0``.
        """
        check_is_fitted(self)
        return logistic_regression_of(self)

    # `_doc_link_module` and `_doc_link_template` are scikit-learn's documented way to set the page
    # that the HTML representation of an estimator links to.
    _doc_link_module = "sklearn_bce"

    @property
    def _doc_link_template(self) -> str:
        try:
            links = metadata("sklearn-bce").get_all("Project-URL") or []
        except PackageNotFoundError:  # run from a source tree that is not installed
            links = []
        return dict(link.split(", ", 1) for link in links).get("Documentation", "")
