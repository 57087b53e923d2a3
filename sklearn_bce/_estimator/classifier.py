"""The estimator: scikit-learn's conventions around the solvers."""

from __future__ import annotations

from typing import Any, ClassVar

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import Tags
from sklearn.utils.metaestimators import available_if

from sklearn_bce._estimator.fit import train
from sklearn_bce._estimator.parameters import CONSTRAINTS, check_parameters
from sklearn_bce._estimator.partial_fit import train_on_chunk
from sklearn_bce._estimator.prediction import NeuronPredictions
from sklearn_bce._estimator.sklearn_compat import CallbackSupportMixin, fit_context
from sklearn_bce._estimator.state import Persistent


def _learns_from_streams(neuron: BCENeuronClassifier) -> bool:
    """Return whether the solver is one that takes samples as they come; raise if not."""
    if neuron.solver not in {"auto", "sgd"}:
        raise AttributeError(
            f"partial_fit is of solver='sgd' (or 'auto'); this one has solver={neuron.solver!r}."
        )
    return True


class BCENeuronClassifier(
    CallbackSupportMixin, Persistent, NeuronPredictions, ClassifierMixin, BaseEstimator
):
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
        Whether to hold samples out, to stop when ``n_iter_no_change`` passes or steps have brought
        no improvement larger than ``tol`` of the mean loss on them, and to keep the weights with
        which it was least.
    validation_fraction : float, default=0.1
        Share of the samples that ``early_stopping`` sets aside, drawn by ``random_state``, of
        either class alike, unless `fit` is given ``X_val`` and ``y_val``. They are not learned
        from.
    n_iter_no_change : int, default=5
        Passes of gd and sgd without an improvement before they stop; with ``early_stopping`` of any
        solver.
    soft_targets : bool, default=False
        Whether y is any number in [0, 1]: a probability that an expert, a crowd or another model
        gave, a smoothed label, or a share of successes with the number of trials as
        ``sample_weight``. Then ``classes_`` is [0, 1], and `score` is D². See the examples.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the fit before. Along a path of C, with an L1 norm
        and newton, it also goes by what that fit knew of the same X, and stops as soon as F is
        within ``tol``: two or three passes then do for a fit. For gd and sgd that are stopped by
        ``max_iter`` it goes on as if they had not been, momentum, batch size and
        ``random_state=int`` aside.
    random_state : int, RandomState instance or None, default=None
        Order of the samples in sgd: each pass draws one permutation from it. Of newton, the samples
        on which it starts where there are many; the optimum is the same with any. With
        ``early_stopping``, first of all the samples that are set aside.

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
        Whether the solver met ``tol``, or ``early_stopping`` ended the fit; False if ``max_iter``,
        a callback or Ctrl-C did.
    solver_ : str
        The solver that was used.
    loss_curve_ : list of float
        F after each step or pass. For sgd the mean loss met during the pass, each sample's before
        its own update, plus the penalty before the pass: it takes no further pass.
    validation_loss_curve_ : list of float
        Mean loss on the samples held out, in nats, without the penalty, after each step or pass.
        Only with ``early_stopping`` or ``X_val``, as the next.
    best_iter_ : int
        The step or pass after which it was least; the first is 1. With ``early_stopping`` the
        weights are those of then.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features, where X had names that are all strings.

    See Also
    --------
    sklearn.linear_model.LogisticRegression : The same optimum, where its solvers reach it.
    sklearn.linear_model.SGDClassifier : The per-sample rule for other losses.
    sklearn_bce.chain_rule : The derivation as functions.
    LossCurveDisplay : A picture of the loss curves.
    l1_min_c : The C at which an L1 norm leaves no weight.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = BCENeuronClassifier().fit(X, y)  # raw units: nothing is scaled
    >>> round(neuron.score(X, y), 3)
    0.958
    >>> neuron.solver_, neuron.converged_
    ('newton', True)

    Soft targets: labels smoothed, a tenth of them being taken for wrong, or the probabilities of
    a larger model, which the neuron distils.

    >>> smoothed = BCENeuronClassifier(soft_targets=True).fit(X, 0.9 * y + 0.1 * (1 - y))
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> teacher = RandomForestClassifier(random_state=0, oob_score=True).fit(X, y)
    >>> probability = teacher.oob_decision_function_[:, 1]  # on trees that have not seen a sample
    >>> student = BCENeuronClassifier(soft_targets=True).fit(X, probability)
    >>> bool(np.mean((student.predict(X) == 1) == (y == 1)) > 0.95)
    True

    Successes in a number of trials:

    >>> dose = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> trials, successes = np.array([10, 20, 20, 10]), np.array([1, 6, 12, 9])
    >>> neuron = BCENeuronClassifier(soft_targets=True, C=np.inf)
    >>> neuron = neuron.fit(dose, successes / trials, sample_weight=trials)
    >>> neuron.predict_proba(dose)[:, 1].round(2)
    array([0.09, 0.29, 0.63, 0.87])
    """

    __module__ = "sklearn_bce"  # where it is imported from: pickles and links name that

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

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
            Labels of two classes; with ``soft_targets`` numbers in [0, 1].
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 each.
        X_val : {array-like, sparse matrix or array, dataframe} of shape (n_val, n_features), \
                default=None
            Samples to take the loss on after each pass, for ``validation_loss_curve_`` and
            ``early_stopping``; they are not learned from.
        y_val : array-like of shape (n_val,), default=None
            Their labels, or soft targets.
        sample_weight_val : array-like of shape (n_val,), default=None
            Their weights; None means 1 each.
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
        KeyboardInterrupt
            If Ctrl-C is pressed. The estimator is then fitted with the weights after the last step
            or pass that has ended; if none has, it is as it was before.

        Warns
        -----
        ConvergenceWarning
            If ``max_iter`` was reached first; it says how far F is from its minimum. If C is
            infinite and the classes are separated, so that there is none; it names the features.
            Not if a callback has ended the fit, or ``tol`` is 0.
        UserWarning
            If ``l1_ratio`` is above 0 and C infinite: there is no penalty then.
        """
        given = X_val, y_val, sample_weight_val
        return train(self, X, y, sample_weight, given, (coef_init, intercept_init))

    @available_if(_learns_from_streams)
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> BCENeuronClassifier:
        """Pass once over a chunk of samples by the per-sample rule, from where the neuron is.

        With ``shuffle=False`` and a number as the ``learning_rate``, the chunks of a data set one
        after the other give what `fit` with ``solver="sgd"``, ``max_iter=1`` gives at once: bit
        for bit with ``C=inf`` and float64. The penalty is that of all samples so far; samples that
        are passed again count again.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples of the chunk.
        y : array-like of shape (n_samples,)
            Their labels, or soft targets; they need not be of both classes.
        classes : array-like of shape (2,), default=None
            The two labels. Required with the first chunk, unless targets are soft.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 each.

        Returns
        -------
        self : BCENeuronClassifier
            Fitted; ``n_iter_`` counts the chunks, and ``loss_curve_`` gets an entry more, of the
            chunk alone.

        Raises
        ------
        ValueError
            If an argument is malformed, the loss overflows, or ``early_stopping`` or
            ``class_weight="balanced"`` is set. The estimator is then as it was before.
        """
        return train_on_chunk(self, X, y, classes, sample_weight)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags

    def _validate_params(self) -> None:
        """Check the parameters; those of an earlier fit are not checked again."""
        if self._parameter_constraints is not CONSTRAINTS:  # of a subclass
            return super()._validate_params()
        try:
            check_parameters(type(self).__name__, *(getattr(self, name) for name in CONSTRAINTS))
        except TypeError:  # a dict is no key of a cache; it is also what InvalidParameterError is
            super()._validate_params()
