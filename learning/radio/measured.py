"""Measured devices: one factor per device between the times that a scenario says and those that are measured."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from learning.radio.base import Floats, Plan, Planner
from learning.radio.tdma import TdmaPlan
from radioopt.base.errors import OptionError, ProblemError
from radioopt.scenario import Devices

#: weight of a measurement near what is believed, and of one that is far from it
NEAR, FAR = 0.3, 0.03
#: weight of a measurement in the spread
SPREAD = 0.1
#: deviations that are near: so many spreads, of which the least is this
GATE, LEAST = 3.0, 0.05
#: measurements in a row beyond the gate that agree make a change
AGREE = 3
#: largest factor, and its inverse the smallest
LIMIT = 1e6
#: mean absolute deviation to standard deviation of a normal variable, as for the median
NORMAL = 1.48


class Factors:
    r"""How much longer each device takes than its scenario says, by a gated mean of logarithms with a change test.

    Of a device whose measured time is a factor :math:`e^z` of the scenario's, and of which :math:`e^x` is believed, the
    deviation is :math:`e = z - x` and the gate :math:`g = 3 \max(s, 0.05)`. Within it

    .. math:: x \leftarrow x + 0.3 e, \qquad s \leftarrow s + 0.1 (1.48 |e| - s);

    beyond it the deviation, cut to the gate, counts by 0.03 in x, and as any other in s. If the last three measurements
    are all beyond, on the same side, and within twice the gate of each other, the device has changed, and x is their
    median. So it is after the first three, whatever they are, with their median deviation from it as s.

    Parameters
    ----------
    count : int
        Devices K >= 1.

    Notes
    -----
    Time constants of a line (an intercept and a slope in the batch) cannot be told apart here, as an optimum repeats
    nearly the same batch in every round: so there is one factor, and the line's shape is the scenario's. A device that
    did not answer has no measurement: at least the deadline is no time. The factor stays within a million each way.

    Examples
    --------
    >>> factors = Factors(2)
    >>> for _ in range(3):
    ...     factors.learn([3.0, 1.0])
    >>> factors.values
    array([3., 1.])
    """

    def __init__(self, count: int) -> None:
        self._log, self._spread = np.zeros(count), np.zeros(count)
        self._last = np.full((AGREE, count), np.nan)
        self._first = np.full((AGREE, count), np.nan)

    @property
    def values(self) -> NDArray[np.float64]:
        """Factors that are believed, shape (K,)."""
        return np.exp(self._log)

    def learn(self, ratio: ArrayLike) -> None:
        """Take a round's measurements.

        Parameters
        ----------
        ratio : array_like of float64, shape (K,)
            Measured time over the scenario's; what is not a number > 0 is no measurement.

        Raises
        ------
        ProblemError
            If the shape is another.
        """
        given = np.asarray(ratio, np.float64)
        if given.shape != self._log.shape:
            raise ProblemError(
                f"ratio: expected one for each of {self._log.size} devices, got shape {given.shape}"
            )
        seen = np.isfinite(given) & (given > 0)
        z = np.log(np.clip(np.where(seen, given, 1.0), 1 / LIMIT, LIMIT))
        e, gate = z - self._log, GATE * np.maximum(self._spread, LEAST)
        near = np.abs(e) <= gate
        moved = self._log + np.where(near, NEAR * e, FAR * np.clip(e, -gate, gate))
        deviation = NORMAL * np.minimum(np.abs(e), gate)
        spread = self._spread + SPREAD * (deviation - self._spread)
        last = np.vstack([self._last[1:], np.where(near, np.nan, z)])
        apart = last - self._log
        agree = (
            ~np.isnan(last).any(0)
            & ((apart > 0).all(0) | (apart < 0).all(0))
            & (np.ptp(last, axis=0) <= 2 * gate)
        )
        moved = np.where(agree, np.median(last, axis=0), moved)
        last[:, agree] = np.nan
        begun = ~np.isnan(self._first).any(0)
        first = np.where(begun, self._first, np.vstack([self._first[1:], z]))
        ready = ~begun & ~np.isnan(first).any(0)
        middle = np.median(first, axis=0)
        moved = np.where(begun, moved, np.where(ready, middle, self._log))
        spread = np.where(
            begun, spread, np.where(ready, NORMAL * np.median(np.abs(first - middle), axis=0), 0.0)
        )
        last[:, ~begun] = np.nan
        self._first = np.where(seen, first, self._first)
        self._log = np.where(seen, moved, self._log)
        self._spread = np.where(seen, spread, self._spread)
        self._last = np.where(seen, last, self._last)


class Measured:
    """A planner that plans with the times that were measured, over TDMA.

    Parameters
    ----------
    planner : callable
        From devices and random numbers to a plan with slots.
    count : int
        Devices K.

    Examples
    --------
    >>> from radioopt import Scenario
    >>> from learning.radio.tdma import BatchPlanner
    >>> devices, rng = Scenario.load("feel-cpu").draw(seed=1), np.random.default_rng(0)
    >>> planner = Measured(BatchPlanner("optimal", [120] * 12), 12)
    >>> before = planner(devices, rng)
    >>> slow = np.array([3.0] + [1.0] * 11)
    >>> for _ in range(3):
    ...     plan = planner(devices, rng)
    ...     took = plan.solution.compute_time_s / planner.compute.values * slow
    ...     planner.learn(plan, took, plan.solution.upload_time_s)
    >>> bool(planner(devices, rng).batchsize[0] < before.batchsize[0])
    True
    """

    def __init__(self, planner: Planner, count: int) -> None:
        self._planner = planner
        self.compute, self.upload = Factors(count), Factors(count)

    def __call__(self, devices: Devices, rng: np.random.Generator) -> Plan:
        """Plan a round with what is believed of the devices.

        Parameters
        ----------
        devices : Devices
            With this round's channel, as the scenario has them.
        rng : numpy.random.Generator
            For policies that draw.

        Returns
        -------
        Plan
            Of these devices; its times are those that are believed.

        Raises
        ------
        OptionError
            If the radio plans no slots.
        """
        believed = devices.slower(compute=self.compute.values, upload=self.upload.values)
        plan = self._planner(believed, rng)
        if not isinstance(plan, TdmaPlan):
            raise OptionError("measured times: of radio tdma only: take it, or leave the clock simulated")
        return replace(plan, devices=devices)

    def learn(self, plan: Any, compute_s: Floats, upload_s: Floats) -> None:
        """Take what a round measured.

        Parameters
        ----------
        plan : TdmaPlan
            What was planned for it, by this planner.
        compute_s, upload_s : ndarray, shape (K,)
            Seconds of each device; NaN of those that did not answer.
        """
        with np.errstate(divide="ignore", invalid="ignore"):
            self.compute.learn(compute_s / plan.solution.compute_time_s * self.compute.values)
            self.upload.learn(upload_s / plan.solution.upload_time_s * self.upload.values)

    def figures(self) -> dict[str, Floats]:
        """Return what is believed of each device."""
        return {"compute_factor": self.compute.values, "upload_factor": self.upload.values}
