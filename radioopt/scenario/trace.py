"""Channel traces: rates or gains of every device as they were measured over time."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.layout import look_at
from radioopt.base.quantity import Array, check, check_choice, finite, positive, shorten
from radioopt.base.quantity import refuse as refuse_first
from radioopt.scenario.sheets import (
    Sheet,
    read_csv,
    read_frame,
)
from radioopt.scenario.trace_table import QUANTITIES, read_table

if TYPE_CHECKING:
    import pandas as pd

    from radioopt.scenario.devices import Devices


INTERPOLATE = ("hold", "linear")
BEYOND = ("refuse", "hold", "repeat")


@dataclass(frozen=True, eq=False)
class ChannelTrace:
    """Rates or gains of devices at instants: measured, or from a simulator of networks or traffic.

    :meth:`from_csv`, :meth:`from_frame` and :meth:`from_arrays` make one; :meth:`Devices.follow` puts devices where
    it says.

    Parameters
    ----------
    name : str
        Where it is from.
    times : ndarray of float64, shape (T,)
        Instants, ascending [s].
    devices : tuple of K str
        Numbers or names of the devices, in the order of the arrays.
    quantities : mapping of str to ndarray of float64, shape (T, K)
        ``uplink_rate_bps``, ``downlink_rate_bps`` of a device that holds the whole band [bit/s], ``channel_gain`` (a
        power gain, linear): at least one of them.
    sha256 : str
        SHA-256 in hexadecimal of devices, names of the columns and all numbers as they were given, whatever they were
        written in.
    interpolate : {"hold", "linear"}, default "hold"
        Between two instants, the value of the earlier one; or on the line between the two, which is drawn in bit/s and
        in linear gain, also where the trace is in decibels.
    beyond : {"refuse", "hold", "repeat"}, default "refuse"
        After the last instant: refuse; keep its value; or begin again. A trace that begins again has a period of
        its length and once more its last step, which leads from the last instant to the first.

    Examples
    --------
    >>> gains = [[1e-9, 4e-9], [3e-9, 2e-9]]
    >>> trace = ChannelTrace.from_arrays([0.0, 2.0], channel_gain=gains, interpolate="linear")
    >>> trace.at(0.5)["channel_gain"]
    array([1.5e-09, 3.5e-09])
    """

    name: str
    times: Array
    devices: tuple[str, ...]
    quantities: Mapping[str, Array] = field(repr=False)
    sha256: str = field(repr=False)
    interpolate: str = "hold"
    beyond: str = "refuse"

    def __post_init__(self) -> None:
        check_choice("ChannelTrace", "interpolate", self.interpolate, INTERPOLATE)
        check_choice("ChannelTrace", "beyond", self.beyond, BEYOND)
        for array in (self.times, *self.quantities.values()):
            array.flags.writeable = False

    @classmethod
    def from_csv(
        cls, path: str | os.PathLike[str], *, interpolate: str = "hold", beyond: str = "refuse"
    ) -> ChannelTrace:
        r"""Read a CSV file with a line per instant and device.

        Parameters
        ----------
        path : path-like
            UTF-8 text with commas between cells. Columns are ``device`` (a number from 0, or a name), ``time_s`` and
            one or more of ``uplink_rate_bps``, ``downlink_rate_bps`` and ``channel_gain``; or with other units in
            their names, such as ``time_ms``, ``uplink_rate_mbps``, ``channel_gain_db``. Every device has a line at
            every instant, and its lines are in the order of time.
        interpolate : {"hold", "linear"}, default "hold"
            Between two instants.
        beyond : {"refuse", "hold", "repeat"}, default "refuse"
            After the last instant.

        Returns
        -------
        ChannelTrace
            Named after the file.

        Raises
        ------
        ProblemError
            If the file cannot be read, with a line for each mistake: file, line, column and value; or if an option is
            none of the choices.

        Examples
        --------
        >>> from pathlib import Path
        >>> _ = Path("trace.csv").write_text("time_ms,device,channel_gain_db\n0,0,-90\n0,1,-95\n500,0,-90\n")
        >>> ChannelTrace.from_csv("trace.csv")
        Traceback (most recent call last):
            ...
        radioopt.base.errors.ProblemError: trace.csv, line 4, time 0.5 s: no line for device 1; each needs one
        >>> Path("trace.csv").unlink()
        """
        if not isinstance(path, (str, os.PathLike)):
            raise ProblemError(f"ChannelTrace.from_csv.path: expected a path, got {shorten(path)}")
        sheet = read_csv(Path(path), "the trace", "instant and device")
        return cls._read(sheet, Path(path).name, interpolate, beyond)

    @classmethod
    def from_frame(
        cls, frame: pd.DataFrame, *, interpolate: str = "hold", beyond: str = "refuse"
    ) -> ChannelTrace:
        """Take a DataFrame with a row per instant and device.

        Parameters
        ----------
        frame : pandas.DataFrame
            With columns as of :meth:`from_csv`.
        interpolate : {"hold", "linear"}, default "hold"
            Between two instants.
        beyond : {"refuse", "hold", "repeat"}, default "refuse"
            After the last instant.

        Returns
        -------
        ChannelTrace
            Named "DataFrame".

        Raises
        ------
        ProblemError
            As :meth:`from_csv`, with the label of the row instead of the line.

        Examples
        --------
        >>> import pandas as pd
        >>> rows = {"time_s": [0, 0, 1, 1], "device": [0, 1, 0, 1], "uplink_rate_mbps": [20, 35, 18, 40]}
        >>> frame = pd.DataFrame(rows)
        >>> ChannelTrace.from_frame(frame).at(1.0)
        {'uplink_rate_bps': array([18000000., 40000000.])}
        """
        sheet = read_frame(frame, "ChannelTrace.from_frame.frame: expected a DataFrame")
        return cls._read(sheet, sheet.name, interpolate, beyond)

    @classmethod
    def from_arrays(
        cls,
        times: ArrayLike,
        *,
        uplink_rate_bps: ArrayLike | None = None,
        downlink_rate_bps: ArrayLike | None = None,
        channel_gain: ArrayLike | None = None,
        devices: Sequence[str] | None = None,
        interpolate: str = "hold",
        beyond: str = "refuse",
    ) -> ChannelTrace:
        """Take arrays.

        Parameters
        ----------
        times : array_like of float64, shape (T,)
            Instants, ascending, none twice [s].
        uplink_rate_bps, downlink_rate_bps : array_like of float64, shape (T, K), optional
            Rate > 0 of a device that holds the whole band [bit/s].
        channel_gain : array_like of float64, shape (T, K), optional
            Power gain > 0, linear. Of complex coefficients take :func:`radioopt.channel.power_gain` first.
        devices : sequence of K str, optional
            Names of the devices; by default they are numbered from 0.
        interpolate : {"hold", "linear"}, default "hold"
            Between two instants.
        beyond : {"refuse", "hold", "repeat"}, default "refuse"
            After the last instant.

        Returns
        -------
        ChannelTrace
            Named "arrays".

        Raises
        ------
        ProblemError
            If times are not ascending, a value is no positive number, shapes do not fit, there is no quantity, or an
            option is none of the choices.

        Examples
        --------
        >>> trace = ChannelTrace.from_arrays([0.0, 1.0], uplink_rate_bps=[[2e6], [3e6]])
        >>> trace.at([0.0, 0.9, 1.0])["uplink_rate_bps"].T
        array([[2000000., 2000000., 3000000.]])
        """
        owner = "ChannelTrace.from_arrays"
        instants = np.array(check(owner, "times", times, finite))
        if instants.ndim != 1 or not instants.size:
            raise ProblemError(
                f"{owner}.times: expected one axis with at least one time, got shape {instants.shape}"
            )
        if (back := np.r_[False, np.diff(instants) <= 0]).any():
            refuse_first(owner, "times", instants, back, "a later time than the one before")
        given = {
            "uplink_rate_bps": uplink_rate_bps,
            "downlink_rate_bps": downlink_rate_bps,
            "channel_gain": channel_gain,
        }
        values: dict[str, Array] = {}
        count = None if devices is None else len(devices)
        for name, value in given.items():
            if value is None:
                continue
            if np.iscomplexobj(value):
                raise ProblemError(
                    f"{owner}.{name}: expected real numbers, got complex ones; take radioopt.channel.power_gain of "
                    "coefficients"
                )
            values[name] = array = np.array(check(owner, name, value, positive))
            look_at(owner, QUANTITIES[name], array, strict=False)
            count = array.shape[-1] if count is None and array.ndim == 2 else count
            if array.shape != (instants.size, count) or not count:
                raise ProblemError(
                    f"{owner}.{name}: expected an array of {instants.size} times x {count or 'K'} devices, got shape "
                    f"{array.shape}"
                )
        if not values:
            raise ProblemError(f"{owner}: expected at least one of {', '.join(QUANTITIES)}")
        names = tuple(map(str, range(count or 0)) if devices is None else devices)
        if not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
            raise ProblemError(f"{owner}.devices: expected names, none twice, got {shorten(list(names))}")
        digest = _digest(names, {"time_s": instants, **values})
        return cls("arrays", instants, names, values, digest, interpolate, beyond)

    @classmethod
    def _read(cls, sheet: Sheet, name: str, interpolate: str, beyond: str) -> ChannelTrace:
        """Read a long table: a row for each instant and device."""
        table = read_table(sheet)
        digest = _digest(table.names, table.given)
        return cls(name, table.instants, table.names, table.values, digest, interpolate, beyond)

    def at(self, time_s: ArrayLike) -> dict[str, Array]:
        """Return the quantities at a time.

        Parameters
        ----------
        time_s : float or array_like of float64, shape (...)
            Time from the first instant on [s]; after the last one as `beyond` says.

        Returns
        -------
        dict of str to ndarray of float64, shape (..., K)
            Each quantity, in SI units: at an instant of the trace exactly what it says.

        Raises
        ------
        ProblemError
            If a time is before the first instant, or after the last and `beyond` is "refuse".

        Examples
        --------
        >>> trace = ChannelTrace.from_arrays([0, 1, 2], channel_gain=[[1e-9], [2e-9], [3e-9]], beyond="repeat")
        >>> trace.at([2.5, 3.0, 4.5])["channel_gain"].T
        array([[3.e-09, 1.e-09, 2.e-09]])
        """
        time = check("ChannelTrace.at", "time_s", time_s, finite)
        first, last = float(self.times[0]), float(self.times[-1])
        if (early := time < first).any():
            expected = f">= {first!r} s, where {self.name} begins"
            refuse_first("ChannelTrace.at", "time_s", time, early, expected)
        late = time > last
        if self.beyond == "refuse" and late.any():
            expected = f'<= {last!r} s, where {self.name} ends (or beyond="hold" or "repeat")'
            refuse_first("ChannelTrace.at", "time_s", time, late, expected)
        step = float(self.times[-1] - self.times[-2]) if self.times.size > 1 else math.inf
        if self.beyond == "repeat" and math.isfinite(step):
            time = np.where(late, first + np.fmod(time - first, last - first + step), time)
        else:
            time = np.minimum(time, last)
        low = np.searchsorted(self.times, time, side="right") - 1
        if self.interpolate == "hold":
            return {name: values[low] for name, values in self.quantities.items()}
        wrapped = 0 if self.beyond == "repeat" else self.times.size - 1
        high = np.where(low + 1 < self.times.size, low + 1, wrapped)
        begin, end = self.times[low], np.append(self.times, last + step)[low + 1]
        weight = np.expand_dims((time - begin) / (end - begin), -1)
        found: dict[str, Array] = {}
        for name, values in self.quantities.items():
            one, other = values[low], values[high]
            between = one + weight * (other - one)
            found[name] = np.clip(between, np.minimum(one, other), np.maximum(one, other))
        return found

    def covers(self, time_s: float) -> bool:
        """Tell whether a time is not refused.

        Parameters
        ----------
        time_s : float
            Time [s].

        Returns
        -------
        bool
            Whether it is in the trace, or after it and `beyond` says what holds there.

        Examples
        --------
        >>> trace = ChannelTrace.from_arrays([0, 1], channel_gain=[[1e-9], [2e-9]])
        >>> trace.covers(1.0), trace.covers(1.1)
        (True, False)
        """
        return bool(self.times[0] <= time_s and (self.beyond != "refuse" or time_s <= self.times[-1]))

    def settings(self) -> dict[str, str]:
        """Return what it is, for the record of a run: name, SHA-256, and how it is read.

        Returns
        -------
        dict of str to str
            Text only.
        """
        return {key: getattr(self, key) for key in ("name", "sha256", "interpolate", "beyond")}

    def positions(self, count: int, names: Sequence[str] | None) -> Array:
        """Find the devices of a scenario in the trace.

        Parameters
        ----------
        count : int
            Number of devices.
        names : sequence of str or None
            Their names, if they have some.

        Returns
        -------
        ndarray of int, shape (K,)
            Where each of them is in :attr:`devices`.

        Raises
        ------
        ProblemError
            If one is missing in the trace, or one in the trace is unknown.
        """
        numbered = all(label.isdecimal() for label in self.devices)
        expected = tuple(map(str, range(count)))
        if names is not None and (not numbered or set(names) & set(self.devices)):
            expected = tuple(names)
            if len(set(names)) < len(names):
                twice = [name for name, times in Counter(names).items() if times > 1]
                raise ProblemError(
                    f"{self.name}: several devices of the scenario are named {_some(twice)}: give each a name of its "
                    "own (devices.names), or number them from 0 in the trace"
                )
        elif not numbered:
            raise ProblemError(
                f"{self.name}: names devices ({_some(self.devices)}), and those of the scenario have no names: give "
                "devices.names, or number them from 0"
            )
        if expected == self.devices:
            return np.arange(count)
        place = {label: i for i, label in enumerate(self.devices)}
        missing = [label for label in expected if label not in place]
        unknown = [label for label in self.devices if label not in set(expected)]
        if missing or unknown:
            lines = [f"{self.name}: no device {_some(missing)}"] * bool(missing)
            known = f"{len(expected)} devices, 0 to {count - 1}" if expected[0] == "0" else _some(expected)
            lines += [f"{self.name}: device {_some(unknown)} is unknown; the scenario has {known}"] * bool(
                unknown
            )
            raise ProblemError("\n".join(lines))
        return np.array([place[label] for label in expected])

    def refuse_idle(self, devices: Devices, family: str) -> None:
        """Refuse to pose a problem that takes nothing from the trace.

        Parameters
        ----------
        devices : Devices
            Devices of a scenario with this problem.
        family : str
            The problem.

        Raises
        ------
        ProblemError
            If the problem is the same whatever the trace says.
        """
        half = replace(self, quantities={name: values / 2 for name, values in self.quantities.items()})
        now, other = (devices.follow(trace, self.times[0]).problem(family) for trace in (self, half))
        if now == other:
            raise ProblemError(
                f"{self.name}: [{family}] does not depend on {' or '.join(self.quantities)} of devices: leave the "
                "trace out, or give what it depends on"
            )


def read_trace(given: Any, interpolate: str = "hold", beyond: str = "refuse") -> ChannelTrace:
    """Return a trace that may be given as such, as a file or as a DataFrame.

    Parameters
    ----------
    given : ChannelTrace, path-like or pandas.DataFrame
        The trace.
    interpolate, beyond : str
        How a file or DataFrame is read.

    Returns
    -------
    ChannelTrace
        The trace.

    Raises
    ------
    ProblemError
        As :meth:`ChannelTrace.from_csv`.
    """
    if isinstance(given, ChannelTrace):
        return given
    if isinstance(given, (str, os.PathLike)):
        return ChannelTrace.from_csv(given, interpolate=interpolate, beyond=beyond)
    sheet = read_frame(
        given, "trace: expected a radioopt.ChannelTrace, the path of a CSV file or a DataFrame"
    )
    return ChannelTrace._read(sheet, sheet.name, interpolate, beyond)


def _digest(names: Sequence[str], columns: Mapping[str, Array]) -> str:
    """Fingerprint of numbers as given, by name of their column."""
    found = hashlib.sha256(json.dumps([list(names), sorted(columns)]).encode())
    for name in sorted(columns):
        found.update(np.ascontiguousarray(columns[name], "<f8").tobytes())
    return found.hexdigest()


def _some(labels: Sequence[str], most: int = 5) -> str:
    """List some labels."""
    more = len(labels) - most
    return ", ".join(labels[:most]) + f" and {more} more" * (more > 0)
