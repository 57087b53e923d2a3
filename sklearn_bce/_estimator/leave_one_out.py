"""``cv="loo"``: the output of each sample by the fit without it, to first order.

All fits are those of all samples: class weights, the deviations of ``standardize`` and S, the sum
of the weights, are not changed by the sample that is left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin

from sklearn_bce._estimator.fit import Task, run_solver
from sklearn_bce._estimator.monitor import FitMonitor
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import SomeSamples
from sklearn_bce._objective.in_memory import InMemoryObjective
from sklearn_bce._solvers import LeaveOneOut, LeftOut, LossDerivatives, LossesLeftOut
from sklearn_bce.chain_rule import binary_cross_entropy

# Leverage above which the output is that of a fit without the sample. [a choice]
MOST_LEVERAGE = 0.9


def outputs_left_out(
    leave_one_out: LeaveOneOut, task: Task, known: LossDerivatives | None
) -> Vector:
    """Return the output of each sample by the fit without it, of shape (n_samples,).

    Samples whose leverage is above ``MOST_LEVERAGE`` are left out in fits of their own.

    Parameters
    ----------
    leave_one_out : LeaveOneOut
        Leaves out samples of the objective of the task.
    task : Task
        Task of a fit to all samples, which starts at the minimum.
    known : LossDerivatives or None
        Derivatives of the loss at the minimum; None if they are not known.

    Raises
    ------
    ValueError
        If the matrix of second derivatives is too large, or has lost curvature in rounding.
    """
    found = leave_one_out.outputs(task.objective.penalty, task.w, task.b, known)
    raise_unless_known(found, task)
    for i in np.flatnonzero(found.leverage > MOST_LEVERAGE):
        _, _, found.z[i] = left_out_exactly(task, SomeSamples({0: np.array([i])}))
    return found.z


def log_loss_left_out(
    leave_one_out: LeaveOneOut, task: Task, known: LossDerivatives | None
) -> tuple[float, float]:
    """Return minus the mean loss in nats, and its standard error, of samples in parts.

    The arguments, what is left out in fits of their own and the errors are those of
    `outputs_left_out`.
    """
    penalty = task.objective.penalty
    found = leave_one_out.losses(penalty, task.w, task.b, MOST_LEVERAGE, known)
    raise_unless_known(found, task)
    sums = found.sums.copy()
    for part, rows in found.rest.rows.items():
        for row in rows:
            s, y, z = left_out_exactly(task, SomeSamples({part: np.array([row])}))
            loss = float(binary_cross_entropy(y, z))
            sums += [s * loss, s, (s * loss) ** 2, s * s * loss, s * s]
    loss, total, squares, products, weights = sums
    mean = loss / total
    # Rounding may leave less than 0 if all losses are equal.
    variance = max(0.0, squares - 2 * mean * products + mean**2 * weights)
    return -mean, np.sqrt(variance) / total


def raise_unless_known(found: LeftOut | LossesLeftOut | None, task: Task) -> None:
    """Raise ValueError if H is too large, or has lost curvature, at the minimum of a task."""
    if found is None:
        n_samples, n_features = task.objective.n_samples, task.objective.n_features
        raise ValueError(
            "cv='loo' needs a matrix of second derivatives, which is too large for X of shape "
            f"({n_samples}, {n_features}); use cv=5."
        )
    if not found.is_resolved:
        raise ValueError(
            f"cv='loo' cannot resolve the curvature at C={task.parameters.C:g}, because some "
            "features depend on each other but for rounding; use cv=5, or smaller values of C."
        )


def left_out_exactly(task: Task, sample: SomeSamples) -> Vector:
    """Return weight, y and output of a sample by the fit without it.

    The fit starts from the weights of the task.
    """
    objective = task.objective.without(sample)
    label = f"A sample left out, {task.label}"
    result = run_solver(
        "newton",
        task._replace(objective=objective, label=label),
        FitMonitor(None, None, task.weight_attributes),
    )
    theta = task.objective.coordinates.from_user(result.w, result.b)
    (found,) = task.objective.sum_over_parts(sample_of_part, theta, sample)
    return found


def sample_of_part(part: InMemoryObjective, theta: Vector, sample: SomeSamples) -> list[Vector]:
    """Return weight, y and output of a sample; zeros if it is in another part."""
    rows = sample.rows.get(part.part_number)
    if rows is None:
        return [np.zeros(3)]
    one = part.of_rows(rows, np.ones(1))
    return [np.array([one.sample_weight[0], one.y[0], one.linear_outputs(theta)[0]])]


class GivenOutputs(ClassifierMixin, BaseEstimator):
    """A classifier whose linear outputs are given, whatever X is; what a scorer is called with.

    Parameters
    ----------
    classes : ndarray of shape (2,)
        The two labels.
    z : ndarray of shape (n_samples,), float64
        Linear outputs of the samples.
    """

    def __init__(self, classes: NDArray[Any], z: Vector) -> None:
        self.classes, self.z = classes, z

    @property
    def classes_(self) -> NDArray[Any]:
        """The two labels."""
        return self.classes

    def decision_function(self, X: Any) -> Vector:
        """Return the linear outputs."""
        return self.z

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the more probable classes."""
        return self.classes[(self.z > 0).astype(np.intp)]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Return the probabilities of both classes."""
        return expit(np.column_stack([-self.z, self.z]))
