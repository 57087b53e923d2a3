"""What a fitted neuron has to say about samples, and to other tools."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import entr
from sklearn.linear_model import LogisticRegression
from sklearn.utils import check_consistent_length, column_or_1d
from sklearn.utils.validation import check_is_fitted

from sklearn_bce._estimator.targets import checked_weights, soft_targets
from sklearn_bce._estimator.validation import checked_array, checked_rows
from sklearn_bce.chain_rule import binary_cross_entropy, linear_output, sigmoid


def loss_and_class_weight_sums(
    targets: NDArray[np.float64], z: NDArray[Any], weight: NDArray[np.float64]
) -> tuple[float, NDArray[np.float64]]:
    """Return the sum of the losses, and the weights of both classes; of parts they add up."""
    class_weight_sums = np.array([weight @ (1 - targets), weight @ targets])
    return float(weight @ binary_cross_entropy(targets, z)), class_weight_sums


def d2_of(loss: float, class_weight_sums: NDArray[np.float64]) -> float:
    """Return the share of the cross-entropy with the mean that is explained; 0 if that is 0."""
    total = float(np.sum(class_weight_sums))
    null = float(np.sum(entr(class_weight_sums / total)))
    return 1 - loss / total / null if np.all(class_weight_sums > 0) else 0.0


class NeuronPredictions:
    """The methods that follow from ``coef_``, ``intercept_`` and ``classes_``."""

    def decision_function(self, X: Any) -> NDArray[Any]:
        """Return the linear output z, the log-odds of the second class.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        z : ndarray of shape (n_samples,)
            Above 0 where the second class is the likelier one.
        """
        check_is_fitted(self)
        X = checked_rows(self, X)
        return linear_output(X, self.coef_[0], self.intercept_[0])

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the likelier class of each sample.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        labels : ndarray of shape (n_samples,)
            Entries of ``classes_``.
        """
        z = self.decision_function(X)
        return self.classes_[(z > 0).astype(np.intp)]

    def predict_proba(self, X: Any) -> NDArray[Any]:
        """Return the probability of each class; each from z, so that neither is 1 minus the other.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        probability : ndarray of shape (n_samples, 2)
            Columns in the order of ``classes_``.
        """
        z = self.decision_function(X)
        return sigmoid(np.column_stack([-z, z]))

    def predict_log_proba(self, X: Any) -> NDArray[Any]:
        """Return the logarithm of each class's probability, exact where that rounds to 0 or 1.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        log_probability : ndarray of shape (n_samples, 2)
            Columns in the order of ``classes_``, in nats.
        """
        z = self.decision_function(X)
        return -binary_cross_entropy(np.array([0, 1], dtype=z.dtype), z[:, np.newaxis])

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy; of soft targets D², the share of their cross-entropy explained.

        D² is 1 − L/L₀, with L the mean cross-entropy of y with the neuron's probabilities and L₀
        that with the mean of y: 0 for a neuron that knows no more than that. Targets between 0 and
        1 have an entropy of their own, which keeps it below 1.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels, or targets in [0, 1] if ``soft_targets``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 each.

        Returns
        -------
        score : float
            The best is 1; D² may be negative. It is 0 where all targets are 0 or all 1.
        """
        if not self.soft_targets:
            if sample_weight is not None:  # scikit-learn 1.7 does not look at them
                sample_weight = checked_weights(X, sample_weight)
            return super().score(X, checked_array(y, "y"), sample_weight)
        z = self.decision_function(X)
        targets = soft_targets(column_or_1d(checked_array(y, "y")))
        check_consistent_length(z, targets)
        weight = checked_weights(z, sample_weight)
        return d2_of(*loss_and_class_weight_sums(targets, z, weight))

    def to_sklearn(self) -> LogisticRegression:
        """Return a fitted `LogisticRegression` that predicts the same, for tools that know it.

        Returns
        -------
        model : LogisticRegression
            With copies of the fitted attributes, and this estimator's C, fit_intercept,
            class_weight, max_iter and tol.
        """
        check_is_fitted(self)
        model = LogisticRegression(
            C=self.C,
            fit_intercept=self.fit_intercept,
            class_weight=self.class_weight,
            max_iter=self.max_iter,
            tol=self.tol,
        )
        model.classes_ = self.classes_.copy()
        model.coef_ = self.coef_.copy()
        model.intercept_ = self.intercept_.copy()
        model.n_iter_ = np.array([self.n_iter_], dtype=np.int32)
        model.n_features_in_ = self.n_features_in_
        if hasattr(self, "feature_names_in_"):
            model.feature_names_in_ = self.feature_names_in_.copy()
        return model

    # scikit-learn's documented way to have the HTML representation link to a page of one's own
    _doc_link_module = "sklearn_bce"

    @property
    def _doc_link_template(self) -> str:
        try:
            links = metadata("sklearn-bce").get_all("Project-URL") or []
        except PackageNotFoundError:  # run from a source tree that is not installed
            links = []
        return dict(link.split(", ", 1) for link in links).get("Documentation", "")
