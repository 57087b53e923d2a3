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
from sklearn_bce._estimator.folds import Paths
from sklearn_bce._estimator.monitor import FitMonitor
from sklearn_bce._estimator.path import with_penalty
from sklearn_bce._kernels import Vector
from sklearn_bce._objective.base import SomeSamples
from sklearn_bce._solvers import LeaveOneOut

# Leverage above which the output is that of a fit without the sample. [a choice]
MOST_LEVERAGE = 0.9


def outputs_left_out(
    task: Task, whole: Paths, Cs: Vector, l1_ratios: Vector
) -> NDArray[np.float64]:
    """Return the output of each sample by the fits without it, (n_l1_ratios, n_Cs, n_samples).

    Samples whose leverage is above ``MOST_LEVERAGE`` are left out in fits of their own.

    Parameters
    ----------
    task : Task
        Task of a fit to all samples.
    whole : Paths
        Fits to all samples.
    Cs, l1_ratios : ndarray of shape (n_Cs,) and (n_l1_ratios,), float64
        Parameters of the fits.

    Raises
    ------
    ValueError
        If the matrix of second derivatives is too large, or has lost curvature in rounding.
    """
    z = np.empty((len(l1_ratios), len(Cs), task.objective.n_samples))
    leave_one_out = LeaveOneOut(task.objective)
    for j, k in np.ndindex(z.shape[:2]):
        of_fit = with_penalty(task, float(Cs[k]), float(l1_ratios[j]))
        fit = whole.fits[j][k]
        found = leave_one_out.outputs(of_fit.objective.penalty, fit.w, fit.b)
        if found is None:
            raise ValueError(
                f"cv='loo' needs a matrix of second derivatives, which is too large for X of shape "
                f"{task.given.X.shape}; use cv=5."
            )
        if not found.is_resolved:
            raise ValueError(
                f"cv='loo' cannot resolve the curvature at C={Cs[k]:g}, because some features "
                "depend on each other but for rounding; use cv=5, or larger strengths."
            )
        z[j, k] = found.z
        for i in np.flatnonzero(found.leverage > MOST_LEVERAGE):
            z[j, k, i] = output_without(of_fit._replace(w=fit.w, b=fit.b), int(i))
    return z


def output_without(task: Task, i: int) -> float:
    """Return the output of sample i by the fit without it, which starts from the given weights."""
    objective = task.objective.without(SomeSamples({0: np.array([i])}))
    task = task._replace(
        objective=objective, label=f"Sample {i} left out, C={task.parameters.C:g}: "
    )
    result = run_solver("newton", task, FitMonitor(None, None, task.weight_attributes))
    offset = 0.0 if objective.offset is None else objective.offset[i]
    return float((objective.X[[i]] @ result.w)[0] + result.b + offset)


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
