r"""Learning curves, and their fit to measured errors: a search over the exponent, everything else in closed form.

With :math:`x = (D/G)^{-\beta} - 1`, G the geometric mean of the samples, the curve is a straight line
:math:`a x + (a - \gamma)`: for every exponent its weighted least squares are two sums, and what is left is a search
over :math:`\ln\beta` alone. Huber's weights then take the influence of outliers away, and the search is repeated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import check, finite, nonnegative, positive
from radioopt.numerics.arrays import FloatArray, check_shapes, float_if_scalar

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look


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
        """Fit a curve to measured errors, robustly; see :func:`radioopt.fimi.learning_curve.fit_curve`.

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
        return fit_curve(samples, error)


#: Curves that reproduce the total of 6659 synthetic samples the paper prints (Section V-A) in its settings, with the
#: convergence constants 66.78 and 58.65. The paper prints neither: these are calibrated, not measured.
LEARNING_CURVES: dict[str, LearningCurve] = {
    "fimi-slow": LearningCurve(alpha=4.671, beta=0.3, gamma=0.05),
    "fimi-fast": LearningCurve(alpha=22.98, beta=0.5, gamma=0.05),
}

#: exponents searched: below, the curve is a logarithm; above, a step
BETA_RANGE = (0.01, 10.0)
#: residuals beyond so many standard deviations lose weight: 95 % efficient where there are no outliers (Huber)
HUBER = 1.345
_OUTLIER_WEIGHT = HUBER / 3  # three standard deviations away
_GRID = np.linspace(math.log(BETA_RANGE[0]), math.log(BETA_RANGE[1]), 64)
_STEP = _GRID[1] - _GRID[0]


@dataclass(frozen=True)
class CurveFit:
    """A fitted learning curve with the residuals of the measurements.

    Parameters
    ----------
    curve : LearningCurve
        The curve.
    table : pandas.DataFrame
        One row per measurement: ``samples``, ``error``, ``fitted``, ``residual`` and ``weight``, which is 1 for a
        measurement taken in full and falls with the distance of an outlier.
    scale : float
        Standard deviation of the residuals without the outliers, 1.4826 times the median of their absolute values but
        the two smallest.
    """

    curve: LearningCurve
    table: pd.DataFrame
    scale: float

    @property
    def rms_residual(self) -> float:
        """Root mean square of the residuals, outliers included."""
        return float(np.sqrt(np.mean(self.table["residual"] ** 2)))

    @property
    def outliers(self) -> int:
        """Measurements more than three standard deviations off the curve."""
        return int((self.table["weight"] < _OUTLIER_WEIGHT).sum())

    @property
    def _parameters(self) -> tuple[float, float, float]:
        return tuple(float(np.asarray(p)) for p in (self.curve.alpha, self.curve.beta, self.curve.gamma))  # type: ignore[return-value]

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the measurements leave open, a sentence each; empty if all is well."""
        found = []
        _, beta, gamma = self._parameters
        if not BETA_RANGE[0] * 1.001 < beta < BETA_RANGE[1] / 1.001:
            found.append(
                f"beta = {beta:.3g} is an end of the range searched: measure over more sample counts"
            )
        if gamma == 0:
            found.append("gamma = 0 is its limit: the errors level off, which this curve cannot")
        largest = float(self.table["samples"].max())
        if self.curve.samples_at_zero_error < 4 * largest:
            zero = self.curve.samples_at_zero_error
            found.append(f"the curve is zero at {zero:.4g} samples: do not use it far beyond {largest:.4g}")
        return tuple(found)

    def scenario_keys(self, scale: float = 1.0) -> dict[str, float]:
        r"""Return the curve as keys of a scenario.

        Parameters
        ----------
        scale : float, default 1
            Samples of the scenario that a measured one stands for, s > 0: alpha is then :math:`\alpha s^\beta`.

        Returns
        -------
        dict of str to float
            ``fimi.curve_alpha``, ``fimi.curve_beta`` and ``fimi.curve_gamma``, for :meth:`radioopt.Scenario.replace`.

        Raises
        ------
        ProblemError
            If `scale` is not positive.

        Examples
        --------
        >>> fit = LearningCurve.fit([100.0, 200.0, 400.0], [0.4, 0.2, 0.1])
        >>> {name: round(value, 6) for name, value in fit.scenario_keys(scale=10).items()}
        {'fimi.curve_alpha': 400.0, 'fimi.curve_beta': 1.0, 'fimi.curve_gamma': 0.0}
        """
        factor = float(check("CurveFit.scenario_keys", "scale", scale, positive))
        alpha, beta, gamma = self._parameters
        return {
            "fimi.curve_alpha": alpha * factor**beta,
            "fimi.curve_beta": beta,
            "fimi.curve_gamma": gamma,
        }

    def __str__(self) -> str:
        """Parameters, residuals and warnings, a line each."""
        (alpha, beta, gamma), table = self._parameters, self.table
        worst = table["residual"].abs().max()
        lines = [
            f"error = {alpha:.6g} samples^-{beta:.6g} - {gamma:.6g}",
            f"  {len(table)} measurements from {table['samples'].min():.6g} to {table['samples'].max():.6g} samples",
            f"  residuals: rms {self.rms_residual:.3g}, scale {self.scale:.3g}, largest {worst:.3g}, "
            f"outliers {self.outliers}",
        ]
        return "\n".join([*lines, *(f"  warning: {text}" for text in self.warnings)])

    def plot(self, **look: Unpack[Look]) -> Figure:
        """Draw the measurements with the curve, and the residuals; needs the extra ``plot``.

        Parameters
        ----------
        **look
            As of :class:`radioopt.base.pictures.Look`; two panels.

        Returns
        -------
        matplotlib.figure.Figure
            Not shown; call ``figure.savefig(path)``.

        Raises
        ------
        OptionError
            If the look has another name or value than it can have.
        MissingExtraError
            If matplotlib is not installed.
        """
        from radioopt.base.pictures import band, canvas, key, line

        table, outlier = self.table, self.table["weight"] < _OUTLIER_WEIGHT
        ends = float(table["samples"].min()), float(table["samples"].max())
        grid = np.geomspace(ends[0] / 1.1, ends[1] * 1.1, 200)
        alpha, beta, gamma = self._parameters
        label, curve = f"${alpha:.4g}\\,D^{{-{beta:.4g}}} - {gamma:.4g}$", line(0, marker=False)
        with canvas(2, look, title="learning curve", least=2.2) as (figure, (error, residual)):
            error.plot(grid, self.curve.error(grid), label=label, **curve)
            for axes, column in ((error, "error"), (residual, "residual")):
                axes.plot(table["samples"][~outlier], table[column][~outlier], "o", color="black")
                axes.plot(
                    table["samples"][outlier],
                    table[column][outlier],
                    "x",
                    color=line(1)["color"],
                    markersize=5,
                    label="outliers" if axes is error and outlier.any() else None,
                )
                axes.set(xlabel="training samples D", xscale="log")
            residual.axhline(0.0, **curve)
            band(residual, grid, -HUBER * self.scale, HUBER * self.scale, curve["color"])
            error.set_ylabel("learning error")
            residual.set_ylabel("residual")
            key(error)
        return figure


def fit_curve(samples: ArrayLike | pd.DataFrame, error: ArrayLike | None = None) -> CurveFit:
    r"""Fit :math:`\delta(D) = \alpha D^{-\beta} - \gamma`, :math:`\gamma \ge 0`, to measured errors, robustly.

    Parameters
    ----------
    samples : array_like, shape (n,), or pandas.DataFrame
        Numbers of samples > 0, at least three different ones; or a table with the columns ``samples`` and
        ``error``. A count may be given several times, once per run.
    error : array_like, shape (n,), optional
        Error measured after training on so many samples; only if `samples` is no table.

    Returns
    -------
    CurveFit
        The curve, a table of residuals, a report (``str``) and a plot.

    Raises
    ------
    ProblemError
        If the data are malformed, have fewer than three different counts, or do not fall with the samples.

    Notes
    -----
    Least squares in the error, with Huber's weights from the median absolute residual, repeated until they
    stay. An outlier's pull is bounded, not removed: look at the plot.

    References
    ----------
    P. Li et al., "Filling the Missing", IEEE Transactions on Mobile Computing, 2024, equation (1) and Fig. 3.
    P. J. Huber, "Robust estimation of a location parameter", Annals of Mathematical Statistics 35, 1964.

    Examples
    --------
    >>> import pandas as pd
    >>> measured = pd.DataFrame({"samples": [100, 200, 400, 800], "error": [0.7, 0.48, 0.31, 0.16]})
    >>> print(fit_curve(measured))
    error = 4.48873 samples^-0.287295 - 0.49639
      4 measurements from 100 to 800 samples
      residuals: rms 0.00258, scale 0.0051, largest 0.00367, outliers 0
      warning: the curve is zero at 2131 samples: do not use it far beyond 800
    """
    import pandas as pd

    counts, errors = _columns(samples, error)
    logs = np.log(counts)
    centre = float(logs.mean())
    weights = np.ones_like(errors)
    floor = 1e-9 * float(np.abs(errors).max())  # measurements that lie on a curve leave no scale
    for _ in range(100):
        log_beta, slope, gamma = _least_squares(logs - centre, errors, weights)
        beta = math.exp(log_beta)
        fitted = slope * np.exp(-beta * (logs - centre)) - gamma
        residual = errors - fitted
        # three parameters bring as many residuals to nearly zero: without the least two the median is not too small
        scale = max(1.4826 * float(np.median(np.sort(np.abs(residual))[2:])), floor)
        before, weights = weights, np.minimum(1.0, HUBER * scale / np.maximum(np.abs(residual), scale * 1e-9))
        if np.abs(weights - before).max() < 1e-9:
            break
    if gamma == 0.0 and beta < BETA_RANGE[0] * 1.001:
        raise ProblemError(
            "LearningCurve.fit.error: expected errors that fall with the samples, a constant fits best"
        )
    table = pd.DataFrame(
        {"samples": counts, "error": errors, "fitted": fitted, "residual": residual, "weight": weights}
    )
    curve = LearningCurve(alpha=slope * math.exp(beta * centre), beta=beta, gamma=gamma)
    return CurveFit(curve, table, scale)


def _columns(samples: Any, error: ArrayLike | None) -> tuple[FloatArray, FloatArray]:
    """Read and check the two columns."""
    owner = "LearningCurve.fit"
    if hasattr(samples, "columns"):
        if error is not None:
            raise ProblemError(f"{owner}.error: expected none beside a table, which has its own column")
        for name in ("samples", "error"):
            if name not in samples.columns:
                known = ", ".join(map(str, samples.columns))
                raise ProblemError(f"{owner}: expected a table with columns samples, error; got {known}")
        samples, error = samples["samples"].to_numpy(), samples["error"].to_numpy()
    if error is None:
        raise ProblemError(f"{owner}.error: expected one error per count of samples, got None")
    counts = check(owner, "samples", samples, positive)
    errors = check(owner, "error", error, finite)
    if counts.ndim != 1 or counts.shape != errors.shape:
        raise ProblemError(
            f"{owner}: expected two lists of the same length, got shapes {counts.shape} and {errors.shape}"
        )
    different = np.unique(counts).size
    if different < 3:
        raise ProblemError(
            f"{owner}.samples: expected at least 3 different counts for 3 parameters, got {different}"
        )
    return counts, errors


def _least_squares(logs: FloatArray, errors: FloatArray, weights: FloatArray) -> tuple[float, float, float]:
    """Best ln(beta) with its slope a and gamma >= 0, for the given weights."""

    def at(log_beta: Any) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Sum of squares, slope and gamma for every exponent."""
        x = np.expm1(-np.exp(np.atleast_1d(log_beta))[:, None] * logs)
        middle = (weights * x).sum(-1) / weights.sum(), (weights * errors).sum() / weights.sum()
        off = x - middle[0][:, None]
        slope = (weights * off * (errors - middle[1])).sum(-1) / (weights * off * off).sum(-1)
        gamma = slope - (middle[1] - slope * middle[0])
        through_zero = (weights * (1 + x) * errors).sum(-1) / (weights * (1 + x) ** 2).sum(-1)
        slope = np.where(gamma < 0, through_zero, slope)
        gamma = np.maximum(gamma, 0.0)
        rest = errors - slope[:, None] * (1 + x) + gamma[:, None]
        cost = np.where(slope > 0, (weights * rest * rest).sum(-1), math.inf)
        return cost, slope, gamma

    costs = at(_GRID)[0]
    if not np.isfinite(costs).any():
        raise ProblemError("LearningCurve.fit.error: expected errors that fall with the samples, they rise")
    near = _GRID[int(np.argmin(costs))]
    bounds = max(near - _STEP, _GRID[0]), min(near + _STEP, _GRID[-1])
    found = minimize_scalar(
        lambda t: float(at(t)[0][0]), bounds=bounds, method="bounded", options={"xatol": 1e-12}
    )
    best = near if costs.min() < found.fun else float(found.x)
    _, slope, gamma = at(best)
    return float(best), float(slope[0]), float(gamma[0])
