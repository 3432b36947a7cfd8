"""How the learning error falls with the number of samples: a power law."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.quantity import check, nonnegative, positive
from radioopt.numerics.arrays import FloatArray, check_shapes, float_if_scalar

if TYPE_CHECKING:
    import pandas as pd

    from radioopt.fimi.curve_fit import CurveFit


@dataclass(frozen=True)
class LearningCurve:
    r"""Error after training on D samples: :math:`\delta(D) = \alpha D^{-\beta} - \gamma`.

    Parameters
    ----------
    alpha : array_like, shape (...)
        Scale > 0; one value for all instances of a batch, or one each.
    beta : array_like, shape (...)
        Exponent > 0.
    gamma : array_like, shape (...)
        Offset >= 0, subtracted: the curve crosses zero at :math:`(\alpha/\gamma)^{1/\beta}` samples and means
        nothing beyond.

    Raises
    ------
    ProblemError
        If a value is not finite or lies outside its domain, or the shapes clash.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over
    Heterogeneous Mobile Edge Devices", IEEE Transactions on Mobile Computing, 2024, equation (1).

    Examples
    --------
    >>> curve = LearningCurve(alpha=4.671, beta=0.3, gamma=0.05)
    >>> curve.error([1250.0, 2500.0]).round(3)
    array([0.5  , 0.397])
    """

    alpha: ArrayLike
    beta: ArrayLike
    gamma: ArrayLike

    def __post_init__(self) -> None:
        domains = {"alpha": positive, "beta": positive, "gamma": nonnegative}
        given = {name: check("LearningCurve", name, getattr(self, name), domains[name]) for name in domains}
        check_shapes("LearningCurve", **given)

    def error(self, samples: ArrayLike) -> float | FloatArray:
        """Evaluate the curve.

        Parameters
        ----------
        samples : array_like
            Numbers of samples > 0, of a shape that broadcasts with the parameters.

        Returns
        -------
        float or ndarray of float64
            Learning error; negative beyond :attr:`samples_at_zero_error`.

        Raises
        ------
        ProblemError
            If a number of samples is not positive.
        """
        counts = check("LearningCurve.error", "samples", samples, positive)
        alpha, beta, gamma = (np.asarray(part, np.float64) for part in (self.alpha, self.beta, self.gamma))
        check_shapes("LearningCurve.error", samples=counts, alpha=alpha, beta=beta, gamma=gamma)
        return float_if_scalar(np.asarray(alpha * counts**-beta - gamma))

    @property
    def samples_at_zero_error(self) -> float | FloatArray:
        """Number of samples at which the curve crosses zero, its end of use; infinite if gamma is 0."""
        alpha, beta, gamma = np.broadcast_arrays(self.alpha, self.beta, self.gamma)
        with np.errstate(divide="ignore", over="ignore"):
            crossing = np.where(gamma > 0, np.exp(np.log(alpha / gamma) / beta), math.inf)
        return float_if_scalar(crossing)

    @staticmethod
    def fit(samples: ArrayLike | pd.DataFrame, error: ArrayLike | None = None) -> CurveFit:
        """Fit a curve to measured errors, robustly; see :func:`radioopt.fimi.curve_fit.fit_curve`.

        Parameters
        ----------
        samples : array_like or pandas.DataFrame
            Numbers of samples, or a table with the columns ``samples`` and ``error``.
        error : array_like, optional
            Errors measured after training on so many samples.

        Returns
        -------
        CurveFit
            The curve, with the residuals and what they say of it.

        Raises
        ------
        ProblemError
            If the data are malformed or determine no curve.

        Examples
        --------
        >>> samples = [100.0, 200.0, 400.0, 800.0, 1600.0]
        >>> curve = LearningCurve.fit(samples, LearningCurve(4.0, 0.3, 0.1).error(samples)).curve
        >>> round(curve.alpha, 4), round(curve.beta, 4), round(curve.gamma, 4)
        (4.0, 0.3, 0.1)
        """
        from radioopt.fimi.curve_fit import fit_curve

        return fit_curve(samples, error)


#: Curves that reproduce the total of 6659 synthetic samples the paper prints (Section V-A) in its settings, with the
#: convergence constants 66.78 and 58.65. The paper prints neither: these are calibrated, not measured.
LEARNING_CURVES: dict[str, LearningCurve] = {
    "fimi-slow": LearningCurve(alpha=4.671, beta=0.3, gamma=0.05),
    "fimi-fast": LearningCurve(alpha=22.98, beta=0.5, gamma=0.05),
}
