"""The time that a device takes to compute a gradient, as the paper models GPUs, fitted to measured times."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import at_least, check, nonnegative, positive
from radioopt.feel.fitted import FEW, Fitted, none
from radioopt.numerics.arrays import FloatArray, check_number, float_if_scalar

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look

#: median relative deviation above which the report says that the shape does not fit
POOR = 0.1


@dataclass(frozen=True)
class TrainingTime(Fitted):
    r"""Time to compute a gradient, flat up to a threshold batch and linear above it: the paper's GPU function.

    .. math::
        t(B) = t^\ell + c\,\max(B - B^{th}, 0)

    Parameters
    ----------
    base_time_s : float
        Time :math:`t^\ell > 0` up to the threshold [s].
    seconds_per_sample : float
        Slope :math:`c > 0` above it [s].
    threshold_batchsize : float
        Threshold :math:`B^{th} \ge 0` [samples].
    batchsize, seconds : ndarray, shape (n,), optional
        The measurements it was fitted to; none for one that is stated.

    Raises
    ------
    ProblemError
        If a number is outside its domain.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    Assumption 1, equation (27), Fig. 2.

    Examples
    --------
    >>> time = TrainingTime.fit([1, 8, 16, 32, 64, 128], [0.10, 0.10, 0.10, 0.10, 0.18, 0.34])
    >>> {name: round(value, 6) for name, value in time.to_dict().items()}
    {'seconds_per_sample': 0.0025, 'base_time_s': 0.1, 'threshold_batchsize': 32.0}
    >>> time([20, 100]).round(3)
    array([0.1 , 0.27])
    """

    base_time_s: float
    seconds_per_sample: float
    threshold_batchsize: float
    batchsize: FloatArray = field(default_factory=none, repr=False, compare=False)
    seconds: FloatArray = field(default_factory=none, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_number("TrainingTime", "base_time_s", self.base_time_s, positive)
        check_number("TrainingTime", "seconds_per_sample", self.seconds_per_sample, positive)
        check_number("TrainingTime", "threshold_batchsize", self.threshold_batchsize, nonnegative)

    def __call__(self, batchsize: ArrayLike) -> float | FloatArray:
        """Evaluate the time of a batch, in seconds."""
        above = np.asarray(batchsize, np.float64) - self.threshold_batchsize
        return float_if_scalar(self.base_time_s + self.seconds_per_sample * np.maximum(above, 0.0))

    @classmethod
    def fit(cls, batchsize: ArrayLike, seconds: ArrayLike) -> Self:
        r"""Fit to measured times, with the least sum of relative deviations.

        Parameters
        ----------
        batchsize : array_like, shape (n,)
            Batch sizes >= 1, at least three different ones; repeated measurements repeat theirs.
        seconds : array_like, shape (n,)
            Times > 0 measured for them [s].

        Returns
        -------
        TrainingTime
            The function and its measurements; ``print`` shows a report.

        Raises
        ------
        ProblemError
            If a value is outside its domain, the lengths differ, fewer than three batch sizes were measured, or
            the time at the smallest one is fitted as zero.

        Notes
        -----
        Minimises :math:`\sum_i |t(B_i) - t_i| / t_i`, which a few disturbed measurements do not move. For a
        threshold between two neighbouring batch sizes that is a linear program in :math:`t^\ell`, c and
        :math:`c B^{th}`; one is solved for every pair of neighbours and the best taken, so the minimum is the
        global one.

        Two shapes leave a coefficient open, and the report says so:

        - times that grow from the smallest batch on, as on a CPU: the line is continued to one sample, and the
          threshold is 1;
        - times that never grow: the threshold is the largest batch measured, beyond which the device is assumed
          to process as many samples a second as in that batch.
        """
        sizes = check("TrainingTime.fit", "batchsize", batchsize, at_least(1)).ravel()
        times = check("TrainingTime.fit", "seconds", seconds, positive).ravel()
        if sizes.shape != times.shape:
            raise ProblemError(
                f"TrainingTime.fit: expected a time per batch size, got {sizes.size} and {times.size}"
            )
        distinct = np.unique(sizes)
        if distinct.size < 3:
            raise ProblemError(
                f"TrainingTime.fit.batchsize: expected at least 3 different sizes, got {distinct.size}"
            )
        base, slope, knee = _bent_line(sizes, times)
        nearest, largest = float(distinct[np.argmin(np.abs(distinct - knee))]), float(distinct[-1])
        knee = (
            nearest if abs(knee - nearest) <= 1e-6 * nearest else knee
        )  # a vertex of the program, up to rounding
        if slope * largest <= 1e-9 * base:  # never grows
            base, slope, knee = base, base / largest, largest
        elif knee <= distinct[0]:  # grows from the smallest on: one line
            start = base - slope * knee
            knee = 1.0 if start + slope > 0 else float(distinct[0])
            base = start + slope * knee
        if base <= 0:
            raise ProblemError(
                f"TrainingTime.fit.seconds: the time at {distinct[0]:g} samples is fitted as zero: measure more sizes"
            )
        return cls(float(base), float(slope), float(knee), sizes, times)

    @property
    def law(self) -> str:
        """The function in words."""
        knee = "one sample" if self.threshold_batchsize <= 1 else f"{self.threshold_batchsize:.4g} samples"
        return f"{self.base_time_s:.4g} s up to {knee}, then {self.seconds_per_sample:.4g} s more per sample"

    def to_dict(self) -> dict[str, float]:
        """Return the keywords of ``BatchsizeProblem.gpu`` and the keys of ``[feel]`` in a scenario file."""
        return {
            "seconds_per_sample": self.seconds_per_sample,
            "base_time_s": self.base_time_s,
            "threshold_batchsize": self.threshold_batchsize,
        }

    def to_frame(self) -> pd.DataFrame:
        """Tabulate what was measured: median, fit and relative deviation per batch size.

        Returns
        -------
        pandas.DataFrame
            Indexed by ``batchsize``: ``measurements``, ``measured_s`` (median), ``fitted_s``, ``deviation``.
        """
        import pandas as pd

        grouped = pd.Series(self.seconds, pd.Index(self.batchsize, name="batchsize")).groupby(level=0)
        frame = pd.DataFrame({"measurements": grouped.size(), "measured_s": grouped.median()})
        frame["fitted_s"] = np.asarray(self(frame.index.to_numpy(np.float64)))
        frame["deviation"] = frame["fitted_s"] / frame["measured_s"] - 1
        return frame

    def warnings(self) -> list[str]:
        """Say what the measurements do not support; empty if they support everything."""
        if not self.batchsize.size:
            return []
        sizes, knee = np.unique(self.batchsize), self.threshold_batchsize
        flat, sloped = int((sizes <= knee).sum()), int((sizes > knee).sum())
        found = []
        if not sloped:
            found.append(
                f"the time never grows up to {knee:g} samples: the slope is no measurement, it assumes the "
                "throughput of the largest batch beyond it; measure larger batches"
            )
        elif flat == 0 or knee <= sizes[0]:
            found.append("no flat part: the time grows from the smallest batch on, as on a CPU")
        elif flat < FEW:
            found.append(f"the flat part rests on {_sizes(flat)}: measure more at or below {knee:.3g}")
        if 0 < sloped < FEW:
            found.append(f"the slope rests on {_sizes(sloped)}: measure more above {knee:.3g}")
        deviation = self.to_frame()["deviation"].abs()
        if deviation.median() > POOR:
            found.append(f"a flat and a linear piece describe these times to {deviation.median():.0%} only")
        return found

    def found(self) -> str:
        """Say in one line what it was fitted to, and how well."""
        if not self.batchsize.size:
            return "stated, not fitted"
        deviation = self.to_frame()["deviation"].abs()
        return (
            f"fitted to {deviation.size} batch sizes from {deviation.index[0]:g} to {deviation.index[-1]:g}; "
            f"deviation {deviation.median():.1%} (median), {deviation.max():.1%} (at {deviation.idxmax():g})"
        )

    def __str__(self) -> str:
        """Report the function, how it was found, each deviation, and what is not supported."""
        lines = [f"training time: {self.law}", self.found()]
        if self.batchsize.size:
            lines.append(f"{'batch':>8}{'measured':>13}{'fitted':>13}{'deviation':>11}")
            lines += [
                f"{size:>8g}{row.measured_s:>11.4g} s{row.fitted_s:>11.4g} s{row.deviation:>+11.1%}"
                for size, row in self.to_frame().iterrows()
            ]
        return "\n".join(lines + [f"note: {warning}" for warning in self.warnings()])

    def plot(self, **look: Unpack[Look]) -> Figure:
        """Draw the measurements and the function; see :func:`radioopt.feel.plot.plot_training_time`."""
        from radioopt.feel.plot import plot_training_time

        return plot_training_time(self, **look)


def _bent_line(sizes: FloatArray, times: FloatArray) -> tuple[float, float, float]:
    """Best (height of the flat part, slope, knee) in the sum of relative deviations; see TrainingTime.fit."""
    from scipy.optimize import linprog

    unit, largest = float(np.median(times)), float(sizes.max())
    b, t, count = sizes / largest, times / unit, sizes.size
    edges = np.unique(np.append(b, 1 / largest))
    best = np.inf, (0.0, 0.0, 0.0)
    # unknowns: height h, slope c, drop d = c * knee, and a bound on each deviation
    cost = np.concatenate([[0.0, 0.0, 0.0], np.ones(count)])
    for low, high in zip(edges, np.append(edges[1:], edges[-1]), strict=True):
        right = b > low
        model = np.column_stack([np.ones(count), right * b, -1.0 * right])
        program = linprog(
            cost,
            A_ub=np.block(
                [
                    [model, -np.diag(t)],
                    [-model, -np.diag(t)],
                    [np.array([[0.0, low, -1.0], [0.0, -high, 1.0]]), np.zeros((2, count))],
                ]
            ),
            b_ub=np.concatenate([t, -t, [0.0, 0.0]]),
            bounds=(0, None),
            method="highs",
        )
        if program.fun < best[0] - 1e-9 * count:  # of equal ones the earliest knee
            height, slope, drop = program.x[:3] * (1.0, right.any(), 1.0)  # no slope where nothing rises
            knee = drop / slope if slope > 0 else 1.0
            best = program.fun, (height * unit, slope * unit / largest, knee * largest)
    return best[1]


def _sizes(count: int) -> str:
    return f"{count} batch size{'s' * (count != 1)}"
