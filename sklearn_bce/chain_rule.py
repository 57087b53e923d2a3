r"""The output of a logistic neuron and its gradient: one function for each step of the derivation.

For one sample ``x`` with target ``y``, weights ``w`` and intercept ``b``::

    z = b + Σ wᵢxᵢ                            ∂z/∂wᵢ = xᵢ,  ∂z/∂b = 1
    a = 1 / (1 + e⁻ᶻ)                         ∂a/∂z  = a(1−a)
    L = −(y log a + (1−y) log(1−a))           ∂L/∂a  = −(y/a − (1−y)/(1−a))

    ∂L/∂wᵢ = ∂L/∂a · ∂a/∂z · ∂z/∂wᵢ = −(y−a)xᵢ          ∂L/∂b = −(y−a)
    wᵢ ← wᵢ + η(y−a)xᵢ                                   b ← b + η(y−a)

Functions of the activation take ``z`` instead of ``a``, because ``a`` loses precision near 0 and 1.
Every function is therefore finite and free of overflow for any finite ``z``. Loss and activation
have an error of a few units in the last place; results below the least normal number may be 0.
Losses are in nats.

All functions are elementwise in ``y`` and ``z`` and broadcast. The argument ``X`` is one sample of
shape (n_features,) or a batch of shape (n_samples, n_features), which may be sparse. Targets may be
any numbers in [0, 1].

References
----------
C. M. Bishop, "Pattern Recognition and Machine Learning", Springer 2006, section 4.3.2 and
equations 4.87-4.91.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

__all__ = [
    "binary_cross_entropy",
    "da_dz",
    "dl_da",
    "dl_dz",
    "dz_db",
    "dz_dw",
    "gradient",
    "linear_output",
    "loss_and_derivatives",
    "sigmoid",
    "squared_error",
    "squared_error_gradient",
    "squared_error_slope",
    "update",
]

Floats = NDArray[np.floating[Any]]


def linear_output(X: Any, w: ArrayLike, b: float = 0.0, offset: ArrayLike | None = None) -> Floats:
    """Linear output z = b + Σ wᵢxᵢ, plus the offset if there is one.

    Parameters
    ----------
    X : {ndarray, sparse} of shape (n_samples, n_features) or ndarray of shape (n_features,)
        A batch of samples, or one.
    w : array-like of shape (n_features,)
        Weights.
    b : float, default=0.0
        Intercept.
    offset : array-like of shape (n_samples,), or float for one sample, default=None
        Known term of each linear output; None means that there is none.

    Returns
    -------
    z : ndarray of shape (n_samples,), or a scalar for one sample
        Linear output, the log-odds of y = 1.
    """
    z = X @ np.asarray(w) + b
    return z if offset is None else z + offset


def dz_dw(X: Any) -> Any:
    """Factor ∂z/∂wᵢ = xᵢ: the input X itself, not a copy.

    Parameters
    ----------
    X : {ndarray, sparse} of shape (n_samples, n_features) or ndarray of shape (n_features,)
        A batch of samples, or one.

    Returns
    -------
    X : {ndarray, sparse}, the argument
        Derivative of each linear output with respect to each weight.
    """
    return X


def dz_db(z: ArrayLike) -> Floats:
    """Factor ∂z/∂b = 1, one for each linear output.

    Parameters
    ----------
    z : array-like
        Linear output.

    Returns
    -------
    ones : ndarray, shape of z
        Derivative of each linear output with respect to the intercept.
    """
    z = np.asarray(z)
    return np.ones_like(z, dtype=np.result_type(z.dtype, np.float32))


def sigmoid(z: ArrayLike, out: Floats | None = None) -> Floats:
    """Activation a = 1/(1 + e⁻ᶻ), the probability of y = 1.

    Parameters
    ----------
    z : array-like
        Linear output.
    out : ndarray, shape of z, default=None
        Receives the result; may be z itself. None means a new array.

    Returns
    -------
    a : ndarray, shape of z
        In [0, 1].
    """
    return expit(z, out=out)


def da_dz(z: ArrayLike) -> Floats:
    """Factor ∂a/∂z = a(1−a), computed as σ(z)σ(−z) so that 1−a does not round to zero.

    Parameters
    ----------
    z : array-like
        Linear output.

    Returns
    -------
    slope : ndarray, shape of z
        Derivative of the activation, in [0, 1/4].
    """
    return expit(z) * expit(np.negative(z))


def loss_and_derivatives(y: ArrayLike, z: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """Loss with its first and second derivative in z, from one exponential.

    Parameters
    ----------
    y : array-like
        Targets in [0, 1].
    z : array-like
        Linear output.

    Returns
    -------
    loss : ndarray, broadcast shape of y and z
        Binary cross-entropy of each sample in nats; see `binary_cross_entropy`.
    slope : ndarray, broadcast shape of y and z
        ∂L/∂z = a − y of each sample; see `dl_dz`.
    curvature : ndarray, shape of z
        ∂²L/∂z² = a(1−a) of each sample; see `da_dz`.
    """
    z = np.asarray(z)
    distance = np.abs(z)
    tail = np.exp(-distance)  # in (0, 1]: e⁻|ᶻ| cannot overflow
    larger = 1 / (1 + tail)  # σ(|z|), the larger of a and 1−a
    smaller = tail * larger  # σ(−|z|)
    negative = z < 0
    # L = log(1 + e⁻|ᶻ|) + y·max(−z, 0) + (1−y)·max(z, 0): no term is negative, so nothing cancels.
    wrong = np.where(negative, y, np.subtract(1, y))
    loss = np.log1p(tail) + wrong * np.where(wrong == 0, 0.0, distance)  # 0·∞ is 0 here
    # a − y from the smaller of a and 1−a, which keeps its digits in the tail.
    slope = np.where(negative, smaller - y, np.subtract(1, y) - smaller)
    return loss, slope, larger * smaller


def binary_cross_entropy(y: ArrayLike, z: ArrayLike) -> Floats:
    """Loss L = −(y log a + (1−y) log(1−a)) of each sample, computed from z and not from a = σ(z).

    Parameters
    ----------
    y : array-like
        Targets in [0, 1].
    z : array-like
        Linear output; a = σ(z).

    Returns
    -------
    loss : ndarray, broadcast shape of y and z
        Binary cross-entropy of each sample in nats, at least 0.
    """
    return loss_and_derivatives(y, z)[0]


def dl_da(y: ArrayLike, z: ArrayLike) -> Floats:
    """Factor ∂L/∂a = −(y/a − (1−y)/(1−a)) at a = σ(z).

    Where y is 1 and z < −709, or y is 0 and z > 709 (float64), this factor exceeds the largest
    floating-point number and is set to that number. The gradient is not computed from this factor:
    `dl_dz` is the product of this factor and `da_dz`, simplified before either is rounded.

    Parameters
    ----------
    y : array-like
        Targets in [0, 1].
    z : array-like
        Linear output.

    Returns
    -------
    slope : ndarray, broadcast shape of y and z
        Derivative of the loss with respect to the activation, finite.
    """
    z = np.asarray(z)
    largest = np.finfo(np.result_type(z.dtype, np.float32)).max
    with np.errstate(over="ignore"):
        # 1/a = 1 + e⁻ᶻ and 1/(1−a) = 1 + eᶻ
        inverse_a = np.minimum(1 + np.exp(-z), largest)
        inverse_rest = np.minimum(1 + np.exp(z), largest)
    return np.subtract(1, y) * inverse_rest - np.multiply(y, inverse_a)


def dl_dz(y: ArrayLike, z: ArrayLike) -> Floats:
    """Product ∂L/∂a · ∂a/∂z = −(y−a), in which the denominators a and 1−a have cancelled.

    Parameters
    ----------
    y : array-like
        Targets in [0, 1].
    z : array-like
        Linear output.

    Returns
    -------
    slope : ndarray, broadcast shape of y and z
        a − y, in [−1, 1].
    """
    return sigmoid(z) - y


def gradient(X: Any, slope: ArrayLike) -> tuple[Floats, Floats]:
    """Gradient of a summed loss by the last factor of the chain, Σ ∂L/∂z · ∂z/∂wᵢ.

    With ``slope = dl_dz(y, z)`` the gradient is Σ −(y−a)xᵢ and Σ −(y−a). A slope multiplied by
    sample weights gives the gradient of the weighted sum of losses.

    Parameters
    ----------
    X : {ndarray, sparse} of shape (n_samples, n_features) or ndarray of shape (n_features,)
        A batch of samples, or one.
    slope : array-like of shape (n_samples,), or a scalar for one sample
        ∂L/∂z of each sample.

    Returns
    -------
    gradient_w : ndarray of shape (n_features,)
        Sum over the samples of ∂L/∂w.
    gradient_b : scalar
        Sum over the samples of ∂L/∂b.
    """
    slope = np.asarray(slope)
    if slope.ndim == 0:
        return slope * dz_dw(X), slope
    return dz_dw(X).T @ slope, np.sum(slope)


def update(X: Any, y: ArrayLike, w: ArrayLike, b: float, eta: float = 1.0) -> tuple[Floats, Floats]:
    """One step against the gradient: wᵢ ← wᵢ + η(y−a)xᵢ, b ← b + η(y−a).

    Parameters
    ----------
    X : {ndarray, sparse} of shape (n_samples, n_features) or ndarray of shape (n_features,)
        A batch of samples, whose updates are summed, or one sample.
    y : array-like of shape (n_samples,), or a scalar for one sample
        Targets in [0, 1].
    w : array-like of shape (n_features,)
        Weights; not changed.
    b : float
        Intercept.
    eta : float, default=1.0
        Step size η; the rule of the derivation has η = 1.

    Returns
    -------
    w : ndarray of shape (n_features,)
        Updated weights, a new array.
    b : scalar
        Updated intercept.
    """
    gradient_w, gradient_b = gradient(X, dl_dz(y, linear_output(X, w, b)))
    return w - eta * gradient_w, b - eta * gradient_b


def squared_error(y: ArrayLike, y_hat: ArrayLike) -> Floats:
    """Squared error SE = (y−ŷ)² of each sample, the loss of a linear neuron ŷ = b + Σ wᵢxᵢ.

    Parameters
    ----------
    y, y_hat : array-like
        Targets, and linear output taken as the prediction.

    Returns
    -------
    loss : ndarray, broadcast shape of y and y_hat
        At least 0.
    """
    return np.square(np.subtract(y, y_hat))


def squared_error_slope(y: ArrayLike, y_hat: ArrayLike, *, half: bool = False) -> Floats:
    """Slope ∂SE/∂ŷ = −2(y−ŷ), or −(y−ŷ) for the loss ½(y−ŷ)².

    With ``half=True`` the slope has the form of `dl_dz`, −(y−a): a logistic neuron on the
    cross-entropy and a linear neuron on half the squared error learn by the same update. The factor
    2 does not change the rule; it doubles η.

    Parameters
    ----------
    y, y_hat : array-like
        Targets, and linear output taken as the prediction.
    half : bool, default=False
        Whether the loss is ½(y−ŷ)² rather than (y−ŷ)².

    Returns
    -------
    slope : ndarray, broadcast shape of y and y_hat
        Derivative of the loss with respect to the prediction.
    """
    return np.subtract(y_hat, y) * (1 if half else 2)


def squared_error_gradient(
    X: Any, y: ArrayLike, w: ArrayLike, b: float, *, half: bool = False
) -> tuple[Floats, Floats]:
    """Gradient of the summed squared error: Σ −2(y−ŷ)xᵢ and Σ −2(y−ŷ); without the 2 if ``half``.

    Parameters
    ----------
    X : {ndarray, sparse} of shape (n_samples, n_features) or ndarray of shape (n_features,)
        A batch of samples, or one.
    y : array-like of shape (n_samples,), or a scalar for one sample
        Targets.
    w : array-like of shape (n_features,)
        Weights.
    b : float
        Intercept.
    half : bool, default=False
        Whether the loss is ½(y−ŷ)² rather than (y−ŷ)².

    Returns
    -------
    gradient_w : ndarray of shape (n_features,)
        Sum over the samples of the derivative with respect to w.
    gradient_b : scalar
        Sum over the samples of the derivative with respect to b.
    """
    return gradient(X, squared_error_slope(y, linear_output(X, w, b), half=half))
