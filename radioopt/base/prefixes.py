"""Units with a prefix, for people: 20 MHz in place of 2e7 Hz."""

from __future__ import annotations

import math

_PREFIX = {-9: "n", -6: "µ", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
#: powers of ten that a unit is written with
_POWERS = {
    "Hz": (0, 3, 6, 9),
    "bit": (0, 3, 6, 9),
    "bit/s": (0, 3, 6, 9),
    "s": (-9, -6, -3, 0),
    "J": (-6, -3, 0, 3, 6),
    "W": (-9, -6, -3, 0, 3),
    "m": (0, 3),
}


def prefixed(unit: str, largest: float) -> tuple[float, str]:
    """Choose a prefix for numbers of a unit.

    Parameters
    ----------
    unit : str
        As "Hz"; one that takes no prefix, as "1" or "dBm", stays as it is.
    largest : float
        The largest magnitude that is to be written.

    Returns
    -------
    factor : float
        What the numbers are multiplied by.
    text : str
        The unit with its prefix; "" for numbers without a unit.

    Examples
    --------
    >>> prefixed("Hz", 2e7)
    (1e-06, 'MHz')
    >>> prefixed("1", 3.0)
    (1.0, '')
    """
    if unit == "1":
        return 1.0, ""
    powers = _POWERS.get(unit, (0,))
    if not (math.isfinite(largest) and largest > 0):
        return 1.0, unit
    power = max((p for p in powers if largest >= 10.0**p), default=min(powers))
    return 10.0**-power, _PREFIX[power] + unit
