"""`BCENeuronClassifier`: its parameters, documentation and methods that fit it."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator

from sklearn_bce._estimator.conversion import fitted_attributes, translated
from sklearn_bce._estimator.fit import prepare_fit, run_fit
from sklearn_bce._estimator.monitor import Callbacks
from sklearn_bce._estimator.parameters import (
    CONSTRAINTS,
    BinaryClassifierMixin,
    Parameters,
    check_parameters,
)
from sklearn_bce._estimator.partial_fit import StreamMethod, fit_chunk
from sklearn_bce._estimator.prediction import PredictionMixin
from sklearn_bce._estimator.samples import GivenSamples
from sklearn_bce._estimator.sklearn_compat import (
    HAS_ARRAY_API,
    CallbackSupportMixin,
    fit_context,
    quick_fit_context,
)
from sklearn_bce._estimator.state import PickleMixin
from sklearn_bce._estimator.validation import InitialWeights, unchanged_on_error
from sklearn_bce._kernels.threads import one_blas_thread


class BCENeuronClassifier(
    CallbackSupportMixin,
    PickleMixin,
    PredictionMixin,
    BinaryClassifierMixin,
    BaseEstimator,
):
    r"""Logistic neuron for binary classification, trained on the binary cross-entropy.

    The neuron computes the linear output z = b + Σⱼ wⱼxⱼ of a sample x, plus the ``offset`` of the
    sample if `fit` is given one, and the activation a = 1/(1 + e⁻ᶻ), which is the probability of
    the second class. `fit` minimises, over the weights w and the intercept b::

        F(w, b) = (1/S) Σᵢ sᵢ L(yᵢ, aᵢ) + 1/(C·S) · [(1−ρ)/2 ‖w‖₂² + ρ‖w‖₁]         S = Σᵢ sᵢ

    Here L(y, a) = −(y log a + (1−y) log(1−a)) is the cross-entropy of a sample in nats, s are the
    sample weights, and ρ is ``l1_ratio``. F is the objective of `LogisticRegression` divided by
    C·S, so that equal parameters have the same minimum. The intercept is not penalised. All solvers
    use the gradient that the chain rule gives: ∂L/∂wⱼ = −(y−a)xⱼ and ∂L/∂b = −(y−a).

    The default solver finds the minimum of F for any units of the features. The penalty, however,
    depends on the units of the weights: set ``standardize=True`` for features in different units.

    With factors fⱼ (``penalty_factor``) and the deviation σⱼ of column j (``standardize=True``) the
    penalty is Σⱼ fⱼ [(1−ρ)/2 (σⱼwⱼ)² + ρ|σⱼwⱼ|]/(C·S); with bounds (``coef_bounds``) the minimum is
    that over the weights within the bounds.

    Parameters
    ----------
    C : float, default=1.0
        Inverse of the strength of the penalty, in (0, inf]. ``np.inf`` means no penalty.
    l1_ratio : float, default=0.0
        Proportion ρ of the L1 norm in the penalty, in [0, 1]. With a value above 0 the weights of
        uninformative features become exactly 0; `l1_min_c` returns the largest C at which all
        weights are 0. Unless ``standardize=True``, the penalty applies to the weights of the
        features in their own units, so that the minimum depends on these units.
    standardize : bool, default=False
        Whether the penalty is that of the weights σⱼwⱼ of standardised columns, while ``coef_``
        stays in the units of X: a fit then predicts what a pipeline of `StandardScaler` and an
        estimator without ``standardize`` predicts, and X is neither copied nor centred. σⱼ is the
        standard deviation of column j over the training samples, weighted by ``sample_weight`` and
        not by ``class_weight``. With ``fit_intercept=False`` it is the root of the mean square, the
        deviation about 0, which differs from `StandardScaler`. The weight of a constant column is
        0. False, the default, is the penalty of `LogisticRegression`. `partial_fit`, which does not
        see all samples, does not support it.
    penalty_factor : array-like of shape (n_features,), dict or None, default=None
        Factors fⱼ of the penalty, at least 0: an array with one for each feature, or a dict
        ``{feature name: factor}``, with 1 for the features that it does not name. A feature with
        the factor 0 is not penalised; one with ``np.inf`` is dropped: its weight is exactly 0 (X is
        copied without such columns). Factors are used as given; R's glmnet rescales its
        ``penalty.factor`` to a sum of n_features. None means 1 for each feature.
    coef_bounds : tuple (lower, upper), dict or None, default=None
        Bounds of the weights, in the units of ``coef_``: a lower and an upper one, each a number or
        an array-like of shape (n_features,), or a dict ``{feature name: (lower, upper)}``. There is
        no bound where the number is infinite or None, nor for features that the dict does not name.
        ``(0, np.inf)`` asks for weights that are not negative. A weight at a bound is exactly the
        bound. "newton" and "gd" keep bounds; "sgd" and `partial_fit` do not support them. None
        means no bounds.
    fit_intercept : bool, default=True
        Whether to learn the intercept b. If False, b is 0.
    class_weight : dict, "balanced" or None, default=None
        Weight of each class, as ``{label: weight}``; it multiplies the sample weights. "balanced"
        gives both classes the same total weight. None gives each class the weight 1.
    solver : {"auto", "newton", "gd", "sgd"} or one of LogisticRegression, default="auto"
        - "newton": Newton's method on centred and scaled columns; with an L1 norm proximal Newton,
          whose quadratic model is minimised by coordinate descent; with more features than samples
          and an L2 penalty, first, coordinate ascent on the dual of F;
        - "gd": gradient descent with the mean gradient of all samples; with an L1 norm accelerated
          proximal gradient descent;
        - "sgd": stochastic gradient descent. The update w ← w + η(y−a)x, b ← b + η(y−a) follows
          each sample, or its mean each mini-batch; with an L1 norm a proximal step follows;
        - "auto": "newton" in `fit`, "sgd" in `partial_fit`;
        - "lbfgs", "liblinear", "newton-cg", "newton-cholesky", "sag", "saga", the solvers of
          `LogisticRegression`, are other names of "auto", which ends at the same minimum (except
          that "liblinear" penalises the intercept there).
    learning_rate : float or "auto", default="auto"
        Constant step η of "gd" and "sgd"; "newton" ignores it. "auto" computes a safe step from the
        data: from the largest curvature for "gd", and from the norms of the samples for "sgd".
        With "auto", "sgd" also enlarges its mini-batches whenever the loss stops falling, so that
        it converges to the minimum; in `partial_fit` the step falls with the number of samples.
    batch_size : int, default=1
        Number of samples in a mini-batch of "sgd". 1 updates the weights after each sample.
    shuffle : bool, default=True
        Whether "sgd" visits the samples in a new random order in each pass. If False, it visits
        them in the order of X.
    max_iter : int, default=100
        Largest number of iterations: steps of "newton", passes over X of "gd" and "sgd".
    tol : float, default=1e-6
        Tolerance of the stopping test, in nats. "newton" stops when F is estimated to be within
        ``tol`` of its minimum, by half the squared Newton decrement, which does not depend on the
        units of the features. "gd" and "sgd" compute that estimate when ``n_iter_no_change`` passes
        in a row have not lowered ``loss_curve_`` by more than ``tol``. They stop if F is within
        ``tol`` of its minimum, or if ``loss_curve_`` has not fallen at all in these passes; else
        they go on, and compute the estimate again after twice as many passes. With 0 the fit does
        all ``max_iter`` iterations, and does not warn.
    early_stopping : bool, default=False
        Whether to end the fit when the mean loss on samples held out has not improved by more than
        ``tol`` for ``n_iter_no_change`` iterations. The fitted weights are those with the least
        mean loss on these samples.
    validation_fraction : float, default=0.1
        Fraction of the samples that ``early_stopping`` holds out, in (0, 1), if `fit` is called
        without ``X_val`` and ``y_val``. They are drawn with ``random_state``, with both classes in
        the proportion that they have in y, at least one sample of each, and are not used for
        learning.
    n_iter_no_change : int, default=5
        Number of iterations without an improvement after which "gd" and "sgd" test for the minimum,
        see ``tol``, and after which ``early_stopping`` ends the fit of any solver.
    soft_targets : bool, default=False
        Whether y contains numbers in [0, 1] instead of labels: probabilities of class 1 (from
        experts or another model), smoothed labels, or fractions of successes, with the number of
        trials as ``sample_weight``. Then ``classes_`` is [0, 1], and `score` returns D². See the
        examples.
    warm_start : bool, default=False
        Whether `fit` starts from the weights of the previous fit. "newton" with an L1 norm also
        keeps the curvature of F at the minimum, so that further fits to the same object X with
        other values of C take two or three passes each. "gd" and "sgd" continue after ``max_iter``
        as if the fit had not stopped, except that momentum, batch size and an integer
        ``random_state`` start anew.
    random_state : int, RandomState instance or None, default=None
        Source of random numbers: for the split of ``early_stopping``, the order of the samples in
        "sgd" (one permutation for each pass) and in the dual of "newton", and the subsample of many
        rows from which "newton" computes its starting point; neither changes the minimum. With
        None, "newton" draws with a fixed seed, so that fits are repeatable; the split and "sgd" use
        the global generator of NumPy.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The two labels in sorted order. The activation a is the probability of the second label.
    coef_ : ndarray of shape (1, n_features), dtype of X
        Weights w; a CSR matrix after `sparsify`. They are float64 for a float32 X if F would rise
        above ``tol`` in float32, or if float32 cannot hold a bound at which a weight is. After a
        fit to an array of another library, fitted arrays are of that library; see `fit`.
    intercept_ : ndarray of shape (1,), dtype of X
        Intercept b.
    has_offset_ : bool
        Whether the samples of the fit had an offset, so that predictions and scores require one.
    n_iter_ : ndarray of shape (1,), int32
        Number of iterations: steps of "newton", 1 if the minimum was found in the dual; passes over
        X of "gd" and "sgd"; chunks of `partial_fit`.
    n_passes_ : float
        Number of times that X was read, for any purpose. Reading some of its rows counts as their
        fraction of all rows.
    converged_ : bool
        Whether F is within ``tol`` of its minimum (of its infimum if it has no minimum), or
        ``early_stopping`` ended the fit. If not, `fit` warns, unless a callback or Ctrl-C ended the
        fit or ``tol`` is 0. False after `partial_fit`.
    stop_reason_ : str
        Why the fit stopped:

        - "tol": F is within ``tol`` of its minimum;
        - "rounding": F is at its minimum but for the rounding of F, which is above ``tol``;
        - "early_stopping": the loss on the samples held out has ceased to fall;
        - "max_iter": ``max_iter`` iterations were done first;
        - "no_minimum": F has no minimum, because features without a penalty separate the classes,
          or because all samples whose weight is not 0 are of one class;
        - "no_descent": F does not fall along Newton's direction, although it should;
        - "precision": float64 cannot tell whether F is within ``tol`` of its minimum, because some
          features depend on each other but for rounding, or because rounding of values that are
          much larger than all others hides the others;
        - "stalled": the loss curve of "gd" or "sgd" has ceased to fall above the minimum;
        - "callback", "interrupt": a callback or Ctrl-C ended the fit;
        - "partial_fit": the pass of `partial_fit` was done.
    solver_ : str
        Solver that was used: "newton", "gd" or "sgd".
    loss_curve_ : list of float
        Value of F in nats after each iteration. For "sgd", which computes no such value, the mean
        over the pass of the losses of the samples, each before its own update, plus the penalty
        before the pass.
    validation_loss_curve_ : list of float
        Mean loss in nats, without the penalty, on the samples held out after each iteration. Set
        only if there are such samples: by ``early_stopping`` or ``X_val``.
    best_iter_ : int
        Iteration with the least entry of ``validation_loss_curve_``, counted from 1. With
        ``early_stopping`` the weights are those after this iteration. Set only with
        ``validation_loss_curve_``.
    penalty : {"l1", "l2", "elasticnet"} or None
        Name of the penalty in scikit-learn, which follows from ``l1_ratio`` and ``C``. It is not a
        parameter. If it is "l1", `SelectFromModel` keeps the features whose weights are at least
        1e-5, else those whose weights are at least the mean. Weights of columns in large units may
        be below 1e-5: ``threshold=1e-300`` keeps all features whose weights are not 0.
    n_features_in_ : int
        Number of features seen during `fit`.
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Names of the features seen during `fit`. Set only if X has names that are all strings.

    See Also
    --------
    fit_from_chunks : Fit to samples that do not fit into memory.
    sklearn_bce.dask.DaskBCENeuronClassifier : Fit to Dask collections.
    l1_min_c : The largest C at which an L1 penalty makes all weights 0.
    LossCurveDisplay : Plot of the loss curves.
    sklearn_bce.chain_rule : The derivation of the gradient as functions.
    sklearn.linear_model.LogisticRegression : The same objective, with other solvers.
    sklearn.linear_model.SGDClassifier : Stochastic gradient descent for other losses.

    References
    ----------
    C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.3.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn_bce import BCENeuronClassifier
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> neuron = BCENeuronClassifier().fit(X, y)  # features in their own units, not scaled
    >>> round(neuron.score(X, y), 3)
    0.958
    >>> round(BCENeuronClassifier(standardize=True).fit(X, y).score(X, y), 3)
    0.988
    >>> neuron.solver_, neuron.converged_
    ('newton', True)

    Soft targets: smoothed labels, for labels of which a tenth is assumed to be wrong; or the
    probabilities of a larger model, which the neuron learns to imitate (distillation).

    >>> smoothed = BCENeuronClassifier(soft_targets=True).fit(X, 0.9 * y + 0.1 * (1 - y))
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> teacher = RandomForestClassifier(random_state=0, oob_score=True).fit(X, y)
    >>> probability = teacher.oob_decision_function_[:, 1]  # by trees that did not see the sample
    >>> student = BCENeuronClassifier(soft_targets=True).fit(X, probability)
    >>> bool(np.mean((student.predict(X) == 1) == (y == 1)) > 0.95)
    True

    Fractions of successes, with the number of trials as weights (binomial regression):

    >>> dose = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> trials, successes = np.array([10, 20, 20, 10]), np.array([1, 6, 12, 9])
    >>> neuron = BCENeuronClassifier(soft_targets=True, C=np.inf)
    >>> neuron = neuron.fit(dose, successes / trials, sample_weight=trials)
    >>> neuron.predict_proba(dose)[:, 1].round(2)
    array([0.09, 0.29, 0.63, 0.87])
    """

    _takes_arrays_of_any_library = HAS_ARRAY_API

    __module__ = "sklearn_bce"  # the path it is imported from, which pickles name

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = CONSTRAINTS

    def __init__(
        self,
        *,
        C: float = 1.0,
        l1_ratio: float = 0.0,
        standardize: bool = False,
        penalty_factor: ArrayLike | dict[str, float] | None = None,
        coef_bounds: Any = None,
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
        self.standardize = standardize
        self.penalty_factor = penalty_factor
        self.coef_bounds = coef_bounds
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

    @classmethod
    def from_sklearn(cls, estimator: BaseEstimator, n_samples: float | None = None) -> Self:
        """Return a neuron with the objective, and the weights, of a scikit-learn classifier.

        Parameters
        ----------
        estimator : LogisticRegression or SGDClassifier
            Fitted or not; an `SGDClassifier` has ``loss="log_loss"``. Not changed. The README says
            which of its parameters carry over.
        n_samples : float, default=None
            Number of training samples, or the sum of their weights. By it the strength of the
            penalty of `SGDClassifier` becomes ``C`` = 1/(alpha·n_samples), and `partial_fit`
            continues a fit with the right weight. None leaves ``C`` of an `SGDClassifier` at its
            default.

        Returns
        -------
        neuron : BCENeuronClassifier
            Unfitted if the estimator is; else it makes the same predictions, and `fit` starts anew
            unless ``warm_start=True``. It lacks the attributes that tell how a fit has ended, such
            as ``converged_``.

        Raises
        ------
        TypeError
            If the estimator is of another class.
        ValueError
            If the loss of the estimator is not "log_loss", it was fitted to more than two classes,
            or ``n_samples`` is not above 0.

        Warns
        -----
        UserWarning
            If parameters that are not at their defaults have no counterpart; one warning names all.

        Examples
        --------
        >>> from sklearn.linear_model import LogisticRegression
        >>> from sklearn_bce import BCENeuronClassifier
        >>> BCENeuronClassifier.from_sklearn(LogisticRegression(C=0.3, max_iter=1000))
        BCENeuronClassifier(C=0.3, max_iter=1000)
        """
        neuron = cls(**translated(estimator, n_samples))
        attributes = fitted_attributes(estimator)
        if attributes and n_samples is not None:
            attributes["_total_weight"] = float(n_samples)
        vars(neuron).update(attributes)
        return neuron

    @quick_fit_context
    def fit(
        self,
        X: Any,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        offset: ArrayLike | float | None = None,
        X_val: Any = None,
        y_val: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
        offset_val: ArrayLike | float | None = None,
        coef_init: ArrayLike | None = None,
        intercept_init: ArrayLike | float | None = None,
    ) -> BCENeuronClassifier:
        """Fit the weights and the intercept to samples.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples. Arrays of float32 or float64 in C or F order and CSR matrices are used without
            a copy; anything else is converted. X is not changed. Within
            ``sklearn.config_context(array_api_dispatch=True)`` an array of another library, such as
            a tensor on a GPU, stays where it is, with "auto", "newton" and "gd": y and weights
            follow X, and fitted arrays and predictions are in the library, the dtype and on the
            device of X. That needs scikit-learn 1.9, SciPy 1.14, and ``SCIPY_ARRAY_API=1`` in the
            environment before either is imported.
        y : array-like of shape (n_samples,)
            Labels of two classes; numbers in [0, 1] if ``soft_targets=True``.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 for each sample.
        offset : float or array-like of shape (n_samples,), default=None
            Known term o of the linear output of each sample, z = o + b + Σⱼ wⱼxⱼ, such as the
            logarithm of an exposure or the log-odds of a model that is to be improved. It has no
            weight and no penalty. After a fit with an offset, predictions and scores require one.
            None means that there is none.
        X_val : {array-like, sparse matrix or array, dataframe} of shape (n_val, n_features), \
                default=None
            Samples held out: the mean loss on them is recorded in ``validation_loss_curve_`` after
            each iteration, and ``early_stopping`` uses it. They are not used for learning. A
            `Pipeline` transforms X alone: it also transforms ``X_val`` if it has
            ``transform_input=["X_val"]`` (with metadata routing, see the examples). None means that
            there are none, unless ``early_stopping`` sets some of X aside.
        y_val : array-like of shape (n_val,), default=None
            Labels or soft targets of ``X_val``; required if ``X_val`` is given.
        sample_weight_val : array-like of shape (n_val,), default=None
            Weights of ``X_val``, not negative; None means 1 for each sample.
        offset_val : float or array-like of shape (n_val,), default=None
            Offset of ``X_val``. Required if ``X_val`` and ``offset`` are given; 0 is allowed.
        coef_init : array-like of shape (n_features,) or (1, n_features), default=None
            Weights to start from. None means zeros, or the weights of the previous fit if
            ``warm_start=True``.
        intercept_init : float or array-like of shape (1,), default=None
            Intercept to start from. None means 0, or the intercept of the previous fit if
            ``warm_start=True``.

        Returns
        -------
        self : BCENeuronClassifier
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter is out of range, an argument is malformed, y does not have two classes,
            or the loss overflows; also if ``learning_rate`` is a number and F is larger at the end
            than at the start and at weights of 0, unless ``tol`` is 0, ``early_stopping`` is set or
            a callback ended the fit. The estimator then keeps the attributes that it had before.
        KeyboardInterrupt
            If Ctrl-C is pressed. The estimator is then fitted with the weights after the last
            iteration that has ended; if none has ended, it keeps the attributes that it had before.

        Warns
        -----
        ConvergenceWarning
            If F is not within ``tol`` of its minimum at the end of the fit; the message says why
            the fit ended, how far F is from its minimum if that can be estimated, and what helps.
            Also if C is infinite and the classes are separated, so that F has no minimum; the
            message names the features that separate them. Also if all samples whose weight is not 0
            are of one class: F then falls for ever with the intercept. There is no such warning if
            a callback ended the fit, or ``tol`` is 0.
        UserWarning
            If ``l1_ratio`` is above 0 and C is infinite: there is then no penalty. If
            ``learning_rate``, ``batch_size`` or ``shuffle`` is not at its default and the solver
            ignores it. If ``X_val`` seems to be in other units than X: the loss on it is far above
            that on X, and half of its values of a feature are farther than 5 standard deviations
            from the mean.

        Examples
        --------
        Validation samples in a pipeline that scales X:

        >>> import sklearn
        >>> from sklearn.datasets import load_breast_cancer
        >>> from sklearn.model_selection import train_test_split
        >>> from sklearn.pipeline import make_pipeline
        >>> from sklearn.preprocessing import StandardScaler
        >>> from sklearn_bce import BCENeuronClassifier
        >>> X, y = load_breast_cancer(return_X_y=True)
        >>> X, X_val, y, y_val = train_test_split(X, y, random_state=0)
        >>> with sklearn.config_context(enable_metadata_routing=True):
        ...     neuron = BCENeuronClassifier().set_fit_request(X_val=True, y_val=True)
        ...     pipeline = make_pipeline(StandardScaler(), neuron, transform_input=["X_val"])
        ...     pipeline = pipeline.fit(X, y, X_val=X_val, y_val=y_val)
        >>> round(neuron.validation_loss_curve_[-1], 2)
        0.1
        """
        callbacks = Callbacks.of(self)
        with unchanged_on_error(self), one_blas_thread(X) as n_threads:
            given = GivenSamples(X, y, sample_weight, offset)
            given_validation = None
            if not (X_val is y_val is sample_weight_val is offset_val is None):
                given_validation = GivenSamples(X_val, y_val, sample_weight_val, offset_val)
            init = InitialWeights(coef_init, intercept_init)
            task = prepare_fit(self, given, given_validation, init, n_threads)
            interrupt = run_fit(self, task, callbacks)
        if interrupt is not None:
            raise interrupt
        return self

    @StreamMethod
    @fit_context(prefer_skip_nested_validation=True)
    def partial_fit(
        self,
        X: Any,
        y: ArrayLike,
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | float | None = None,
    ) -> BCENeuronClassifier:
        """Continue from the present weights with one pass of "sgd" over a chunk of samples.

        Available if ``solver`` is "sgd", or "auto" by any of its names, and neither
        ``early_stopping``, ``standardize`` nor ``coef_bounds`` is set. The strength of the penalty
        follows from the sum of the sample weights of all chunks so far; samples that are passed
        again count again.

        With ``learning_rate="auto"`` the step falls like the root of 1/(number of samples so far),
        the samples of a previous `fit` included, so that the weights come to rest at the minimum.
        An outlier has a smaller step of its own. A number is a constant step, with which the
        weights follow a minimum that moves.

        With ``shuffle=False`` and a number as ``learning_rate``, calls with all chunks of a data
        set in turn give what one call of `fit` with ``solver="sgd"`` and ``max_iter=1`` gives; the
        results are equal bit for bit with ``C=np.inf`` and float64.

        Parameters
        ----------
        X : {array-like, sparse matrix or array, dataframe} of shape (n_samples, n_features)
            Samples of the chunk.
        y : array-like of shape (n_samples,)
            Labels of the samples; numbers in [0, 1] if ``soft_targets=True``. Samples of one of the
            classes may be missing.
        classes : array-like of shape (2,), default=None
            The two labels. Required in the first call, unless ``soft_targets=True``. None in later
            calls means the labels of the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights, not negative; None means 1 for each sample. All may be 0.
        offset : float or array-like of shape (n_samples,), default=None
            Known term of the linear output of each sample, see `fit`. All chunks have an offset, or
            none of them; 0 is allowed. The samples of a previous `fit` count as a chunk.

        Returns
        -------
        self : BCENeuronClassifier
            The fitted estimator. ``n_iter_`` is the number of chunks so far, and ``loss_curve_``
            has one entry for each.

        Raises
        ------
        AttributeError
            If the method is not available.
        ValueError, TypeError
            If a parameter is out of range, an argument is malformed, some chunks have an offset and
            others have none, the loss overflows, or ``class_weight="balanced"`` is set. The
            estimator then keeps the attributes that it had before.

        Warns
        -----
        ConvergenceWarning
            If ``learning_rate`` is "auto" and the weights of some features are not learnt, because
            the squares of other features are much larger; the message names the features. Such
            features are looked for each time that the number of samples has doubled, in chunks of
            100 samples or more.
        UserWarning
            If ``l1_ratio`` is above 0 and C is infinite: there is then no penalty.
        """
        with unchanged_on_error(self), one_blas_thread() as n_threads:
            fit_chunk(self, GivenSamples(X, y, sample_weight, offset), classes, n_threads)
        return self

    def _validate_params(self) -> None:
        """Check the parameters, unless the same values have passed before; see `check_parameters`.

        Raises
        ------
        InvalidParameterError
            If a value has a wrong type or is out of range.
        """
        if self._parameter_constraints is not CONSTRAINTS:  # a subclass has parameters of its own
            return super()._validate_params()
        parameters, is_hashable = Parameters.of(self), True
        try:
            hash(parameters)
        except TypeError:  # a value is a dict or an array
            is_hashable = False
        if not is_hashable:
            return super()._validate_params()
        check_parameters(type(self).__name__, *parameters)
