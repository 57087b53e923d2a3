"""The estimator: scikit-learn's conventions around the solvers."""

from __future__ import annotations

import warnings
from functools import lru_cache
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags, assert_all_finite, check_random_state

from sklearn_bce._compat import (
    Interval,
    StrOptions,
    fit_context,
    validate_parameter_constraints,
)
from sklearn_bce._objective import Objective
from sklearn_bce._outcome import raise_for_overflow, warn_not_converged
from sklearn_bce._predictions import NeuronPredictions
from sklearn_bce._rows import NotFiniteError
from sklearn_bce._solvers import SOLVERS, Settings, choose
from sklearn_bce._threads import one_blas_thread
from sklearn_bce._validation import (
    checked_samples,
    checked_start,
    combined_weights,
    encoded_labels,
    unchanged_on_error,
    warm_start_of,
)


class BCENeuronClassifier(NeuronPredictions, ClassifierMixin, BaseEstimator):
    r"""A single logistic neuron, trained on the binary cross-entropy.

    The neuron computes z = b + Σ wᵢxᵢ and a = 1/(1 + e⁻ᶻ); `fit` minimises over (w, b)::

        F(w, b) = (1/S) Σ sᵢ L(yᵢ, aᵢ) + 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁]         S = Σ sᵢ

    with ρ the ``l1_ratio``, the sample weights s and L = −(y log a + (1−y) log(1−a)), in nats. This
    is the objective of `LogisticRegression`, divided by C·S. The intercept is not penalised. Every
    solver is driven by the gradient of the chain rule, ∂L/∂wᵢ = −(y−a)xᵢ and ∂L/∂b = −(y−a).

    Features need no scaling: the default solver finds the optimum whatever their units are.

    Parameters
    ----------
    C : float, default=1.0
        Inverse of the strength of the penalty, in (0, inf]; ``np.inf`` means no penalty.
    l1_ratio : float, default=0.0
        Share ρ of the L1 norm in the penalty, in [0, 1]. Above 0, weights of features that say
        little are exactly 0; `l1_min_c` tells at which C all are. The penalty is on the weights as
        they are: unlike the optimum without it, it depends on the features' units.
    fit_intercept : bool, default=True
        Whether to learn b; otherwise it is 0.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, multiplied into the sample weights; "balanced" gives every class the
        same total, as in `LogisticRegression`.
    solver : {"auto", "newton", "gd", "sgd"}, default="auto"
        - "newton": the gradient multiplied by the inverse curvature, in coordinates in which every
          column is centred and scaled; with an L1 norm the minimum of the quadratic model with it,
          by coordinate descent;
        - "gd": the update of the derivation with the mean gradient of all samples; with an L1 norm
          the proximal step follows, accelerated;
        - "sgd": the update of the derivation, w ← w + η(y−a)x, after every sample, or its mean over
          mini-batches; with an L1 norm the proximal step follows each;
        - "auto": the fastest that suits the data; ``solver_`` tells which.
    learning_rate : float or "auto", default="auto"
        Step η of gd and sgd, held constant. "auto" is a step proven safe from the data's row norms
        and largest curvature; sgd then also lets the batch grow whenever the loss has stopped
        falling, so that it comes to rest in the optimum. Ignored by newton.
    batch_size : int, default=1
        Samples per update of sgd. 1 is the plain per-sample rule, in a compiled loop.
    shuffle : bool, default=True
        Whether sgd visits the samples in a new random order in each pass.
    max_iter : int, default=100
        Most steps of newton, or passes of gd and sgd.
    tol : float, default=1e-6
        newton stops when F is estimated to be within ``tol`` nats of its minimum, by half the
        squared Newton decrement; gd and sgd when ``n_iter_no_change`` passes have brought no
        improvement larger than ``tol``. 0 runs all ``max_iter``, without a warning.
    early_stopping : bool, default=False
        True is not supported.
    validation_fraction : float, default=0.1
        Without effect while ``early_stopping`` is False.
    n_iter_no_change : int, default=5
        Passes of gd and sgd without an improvement before they stop.
    soft_targets : bool, default=False
        True is not supported.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the fit before. Along a path of C, with an L1 norm
        and newton, it also goes by what that fit knew of the same X, and stops as soon as F is
        within ``tol``: two or three passes then do for a fit.
    random_state : int, RandomState instance or None, default=None
        Order of the samples in sgd: each pass draws one permutation from it. Of newton, the samples
        on which it starts where there are many; the optimum is the same with any.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels in sorted order; the neuron's activation is the probability of the second.
    coef_ : ndarray of shape (1, n_features), dtype of X
        Weights w.
    intercept_ : ndarray of shape (1,), dtype of X
        Intercept b.
    n_iter_ : int
        Steps of newton, or passes of gd and sgd, that were done.
    n_passes_ : float
        How many times X was read through, by whatever the solver did; where it read a sample of the
        rows, that counts by its share.
    converged_ : bool
        Whether the solver met ``tol``.
    solver_ : str
        The solver that was used.
    loss_curve_ : list of float
        F after each step or pass. For sgd the mean loss met during the pass, each sample's before
        its own update, plus the penalty before the pass: it takes no further pass.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X had names that are all strings.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same optimum, where its solvers reach it.
    sklearn.linear_model.SGDClassifier : The per-sample rule for other losses.
    sklearn_bce.chain_rule : The derivation as functions.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.3.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = BCENeuronClassifier().fit(X, y)  # raw units: nothing is scaled
    >>> round(neuron.score(X, y), 3)
    0.958
    >>> neuron.solver_, neuron.converged_
    ('newton', True)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "C": [Interval(Real, 0, None, closed="right")],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "fit_intercept": ["boolean"],
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "solver": [StrOptions({"auto", *SOLVERS})],
        "learning_rate": [Interval(Real, 0, None, closed="neither"), StrOptions({"auto"})],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="neither")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "soft_targets": ["boolean"],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
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
        batch_size: int = 1,
        shuffle: bool = True,
        max_iter: int = 100,
        tol: float = 1e-6,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 5,
        soft_targets: bool = False,
        warm_start: bool = False,
        random_state: Any = None,
    ) -> None:
        self.C = C
        self.l1_ratio = l1_ratio
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.solver = solver
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.max_iter = max_iter
        self.tol = tol
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.soft_targets = soft_targets
        self.warm_start = warm_start
        self.random_state = random_state

    @fit_context(prefer_skip_nested_validation=True)
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | float | None = None,
    ) -> BCENeuronClassifier:
        """Learn the weights and the intercept.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples. float32 and float64 are used as they are, C- or F-ordered or CSR; all else is
            converted. Never changed.
        y : array-like of shape (n_samples,)
            Labels of two classes.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 each.
        X_val, y_val, sample_weight_val : None
            Not supported.
        coef_init : array-like of shape (n_features,) or (1, n_features), default=None
            Weights to start from; None means zeros, or those of the fit before if ``warm_start``.
        intercept_init : float or array-like of shape (1,), default=None
            Intercept to start from; None means 0, or that of the fit before if ``warm_start``.

        Returns
        -------
        self : BCENeuronClassifier
            Fitted.

        Raises
        ------
        ValueError
            If a parameter or an argument is out of range, y has not two classes, or the loss
            overflows. The estimator is then as it was before.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` was reached first; it says how far F is from its minimum.
        UserWarning
            If ``l1_ratio`` is above 0 and C infinite: there is no penalty then.
        """
        self._raise_for_unsupported(X_val=X_val, y_val=y_val, sample_weight_val=sample_weight_val)
        with unchanged_on_error(self), one_blas_thread() as n_threads:
            X, y = checked_samples(self, X, y)
            classes, codes = encoded_labels(type(self).__name__, y)
            weight = combined_weights(X, y, classes, codes, sample_weight, self.class_weight)
            start = checked_start(*warm_start_of(self, X, coef_init, intercept_init), X.shape[1])
            solver = choose(self.solver)
            # An overflow is told apart by the result.
            with np.errstate(over="ignore", invalid="ignore"):
                objective = Objective.in_user_units(
                    X, codes, weight, self.C, self.l1_ratio, self.fit_intercept, n_threads
                )
                try:
                    result = SOLVERS[solver].solve(objective, *start, self._settings())
                except NotFiniteError:
                    assert_all_finite(X, estimator_name=type(self).__name__, input_name="X")
                    raise
            raise_for_overflow(self, solver, result)
            if not result.converged and self.tol > 0:
                warn_not_converged(self, solver, result, objective)
            self.classes_ = classes
            self.coef_ = result.w[np.newaxis].astype(X.dtype)
            self.intercept_ = np.array([result.b], dtype=X.dtype)
            self.n_iter_ = result.n_iter
            self.n_passes_ = float(result.n_passes)
            self.converged_ = result.converged
            self.loss_curve_ = result.loss_curve
            self.solver_ = solver
            vars(self).pop("_memory", None)
            if result.memory is not None:
                self._memory = result.memory
        return self

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        return {name: state[name] for name in state if name != "_memory"}  # it is of this process

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags

    def _validate_params(self) -> None:
        """Check the parameters; those of an earlier fit are not checked again."""
        constraints = self._parameter_constraints
        if constraints is not BCENeuronClassifier._parameter_constraints:  # of a subclass
            return super()._validate_params()
        try:
            _check_parameters(*(getattr(self, name) for name in constraints))
        except TypeError:  # a dict is no key of a cache; it is also what InvalidParameterError is
            super()._validate_params()

    def _settings(self) -> Settings:
        """Return what the solvers are to know of the parameters."""
        return Settings(
            max_iter=self.max_iter,
            tol=self.tol,
            learning_rate=self.learning_rate,
            batch_size=self.batch_size,
            shuffle=self.shuffle,
            n_iter_no_change=self.n_iter_no_change,
            warm_start=self.warm_start,
            memory=getattr(self, "_memory", None),
            random_state=check_random_state(self.random_state),
        )

    def _raise_for_unsupported(self, **arguments: Any) -> None:
        """Raise for a parameter or argument that no solver takes account of."""
        for name in ("early_stopping", "soft_targets"):
            if getattr(self, name):
                raise ValueError(f"{name}=True is not supported by this version; leave it False.")
        for name, argument in arguments.items():
            if argument is not None:
                raise ValueError(f"{name} is not supported by this version; leave it None.")
        if self.l1_ratio > 0 and np.isinf(self.C):
            warnings.warn(
                f"l1_ratio={self.l1_ratio} is ignored: C=inf means no penalty.",
                UserWarning,
                stacklevel=4,
            )


@lru_cache(maxsize=64, typed=True)
def _check_parameters(*values: Any) -> None:
    """Raise for a parameter of a wrong kind or out of its range, in scikit-learn's words."""
    constraints = BCENeuronClassifier._parameter_constraints
    named = dict(zip(constraints, values, strict=True))
    validate_parameter_constraints(constraints, named, BCENeuronClassifier.__name__)
