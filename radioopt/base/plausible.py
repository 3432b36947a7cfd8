"""What numbers are in practice, in one table: beyond it they are in another unit, and every answer is wrong.

A slip of unit leaves numbers that look like an answer. So each quantity has a range that is far from what is built, and
nearer to it than the slip. Scenario files and tables of devices are refused beyond it; a constructor warns, and refuses
with ``strict=True``.
"""

from __future__ import annotations

import math
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

from radioopt.base.errors import InputWarning


@dataclass(frozen=True)
class Plausible:
    """Numbers that a quantity may have in practice.

    Parameters
    ----------
    text : str
        The words for the range, with its unit.
    low, high : float
        The ends of the range.
    below, above : str
        The slip that is likely on either side, as a question.
    """

    text: str
    low: float = -math.inf
    high: float = math.inf
    below: str = ""
    above: str = ""

    def check(self, value: float, given: str, hint: str = "") -> None:
        """Raise a ``ValueError`` about an implausible value, which the caller wrote as `given`."""
        if not self.low <= value <= self.high:
            raise ValueError(f"expected {self.text}, got {given}; {hint or self.hint(value)}")

    def hint(self, value: float) -> str:
        """Ask about the slip that a value beyond the range is likely due to."""
        return self.below if value < self.low else self.above


#: by the end of a field's name: the first that fits counts
RANGES: dict[str, Plausible] = {
    # a server may be a whole cluster; the slowest microcontrollers run at 1 MHz, and nothing at 1 THz
    "server_cpu_frequency_hz": Plausible("1e6 to 1e16 Hz", 1e6, 1e16, "is it in GHz or MHz?", "is it in GHz already?"),
    "cpu_frequency_hz": Plausible("1e6 to 1e12 Hz", 1e6, 1e12, "is it in GHz or MHz?", "is it in GHz already?"),
    # nothing that is used for data sends less than 1 nW; 10 W are 40 dBm, and 23 dBm are 0.2 W. The ends have room for
    # rounding: -60 dBm is a hair more or less than 1e-9 W
    "downlink_power_w": Plausible("1e-9 to 1e5 W", 0.99e-9, 1.01e5, "is it in dBm or mW?", "is it in dBm or mW?"),
    "transmit_power_w": Plausible("1e-9 to 10 W", 0.99e-9, 10.1, "is it a noise or a gain?", "is it in dBm or mW?"),
    "channel_gain": Plausible("1e-30 to 1, linear", 1e-30, 1.0, "is it a power or in dB?", "is it a path loss in dB?"),
    # beyond 100 km the horizon hides a device; a base station is not nearer than 1 m
    "distance_m": Plausible("1 to 1e5 m", 1.0, 1e5, "is it in km?", "is it in mm or cm?"),
    # the narrowest channels of sensors have some kHz
    "bandwidth_hz": Plausible("1e3 to 1e12 Hz", 1e3, 1e12, "is it in MHz?", "is it in MHz already?"),
    "rate_bps": Plausible("100 to 1e13 bit/s", 100.0, 1e13, "is it in Mbit/s?", "is it in Mbit/s already?"),
    # thermal noise is 4e-21 W/Hz at 290 K; no receiver is 54 dB worse, and none at less than 1 K
    "noise_psd_w_per_hz": Plausible(
        "1e-23 to 1e-15 W/Hz", 0.99e-23, 1.01e-15, "is it in dBW/Hz, or a gain?", "is it a total over the bandwidth?"
    ),
    # three weights of a regression to 3 trillion, of 32 bits
    "payload_bits": Plausible("100 to 1e14 bit", 100.0, 1e14, "is it in Mbit or MB?", "is it in bit already?"),
    "output_bits": Plausible("10 to 1e14 bit", 10.0, 1e14, "is it in kbit or kB?", "is it in bit already?"),
    "model_bits": Plausible("10 to 1e14 bit", 10.0, 1e14, "is it in Mbit or MB?", "is it in bit already?"),
    # a symbol of 5G takes 4 us at least; frames of all radios in use last 10 ms or less, those of satellites up to 1 s
    "slot_s": Plausible("1e-6 to 0.1 s", 0.99e-6, 0.101, "is it in h?", "is it in ms or us?"),
    "frame_s": Plausible("1e-5 to 1 s", 0.99e-5, 1.01, "is it in h?", "is it in ms or us?"),
    "noise_power_w": Plausible("up to 1e-3 W", high=1e-3, above="is it in dBm or mW?"),
}  # fmt: skip

#: by the end of a field's name: what a negative number of it is likely in, and what converts that
_LEVELS = {
    "w_per_hz": ("dBm/Hz", "dbm_per_hz_to_w_per_hz"),
    "w": ("dBm", "dbm_to_w"),
    "gain": ("dB", "db_to_linear"),
}

#: files of radioopt, and what dataclasses make
_INSIDE = (str(Path(__file__).resolve().parent.parent), "<string>")


def plausible(name: str) -> Plausible | None:
    """Return the range of a field by the end of its name, if there is one."""
    return next((range_ for end, range_ in RANGES.items() if name == end or name.endswith(f"_{end}")), None)


def level_hint(name: str) -> str:
    """Name what converts decibels, for a field that was given a negative number; "" where it is never in decibels."""
    found = (level for end, level in _LEVELS.items() if name == end or name.endswith(f"_{end}"))
    unit, function = next(found, ("", ""))
    return f"; is it in {unit}? radioopt.units.{function} converts it" if unit else ""


def warn(message: str) -> None:
    """Warn of an input, at the line outside radioopt that gave it."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_INSIDE):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, InputWarning, stacklevel=level)
