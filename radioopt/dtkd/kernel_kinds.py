"""What the instances of a batch ask, which decides who answers; and whether any of them cannot be asked.

One pass over the numbers, since a batch of small cells is solved in less time than NumPy takes to look at it.
"""

import math

import numpy as np

from radioopt.dtkd.kernel import (
    B_HIGH,
    B_LOW,
    BAND,
    DEADLINE,
    DENSITY,
    F_HIGH,
    F_LOW,
    GAIN,
    LOCAL,
    MODEL,
    NOISE,
    PLACE,
    POWER,
)
from radioopt.numerics.jit import kernel, shaped, vector_kernel

#: Problem 3; all choices free; some of them, or extreme numbers; bounds, deadlines or a noise density; malformed
GIVEN, FREE, MIXED, GENERAL, MALFORMED = range(5)
#: least signal-to-noise ratio on the whole band that keeps its digits
LEAST_SNR = math.ulp(0.0) / float(np.finfo(np.float64).eps)
# sums over users: those with a bound or a deadline, with both choices made, with none, with a choice that is none, and
# with numbers so large or small that products of a few might leave float64
LIMITED, BOTH, NEITHER, WRONG, EXTREME = range(5)
SMALL, LARGE = 1e-60, 1e60


@vector_kernel
def count_users(device, begin, end, models, sums):
    """Count users of each sort among those from ``begin`` to ``end`` of the flattened batch."""
    limited, both, neither, wrong, extreme = 0.0, 0.0, 0.0, 0.0, 0.0
    for n in range(np.uint64(begin), np.uint64(end)):  # unsigned: no index counts from the end
        low = (device[F_LOW, n] > 0.0) | (device[B_LOW, n] > 0.0)
        high = (device[F_HIGH, n] < math.inf) | (device[B_HIGH, n] < math.inf)
        model, place = device[MODEL, n], device[PLACE, n]
        limited += 1.0 if low | high | (device[DEADLINE, n] < math.inf) else 0.0
        both += 1.0 if (model >= 0.0) & (place >= 0.0) else 0.0
        neither += 1.0 if (model < 0.0) & (place < 0.0) else 0.0
        whole = (model == math.floor(model)) & (place == math.floor(place))
        wrong += 0.0 if whole & (model < models) & (place < 2.0) else 1.0
        received, own = device[POWER, n] * device[GAIN, n], device[LOCAL, n]
        ordinary = (received > SMALL) & (received < LARGE) & (own > SMALL) & (own < LARGE)
        extreme += 0.0 if ordinary else 1.0
    sums[LIMITED], sums[BOTH], sums[NEITHER] = limited, both, neither
    sums[WRONG], sums[EXTREME] = wrong, extreme


@kernel
def kind_of(sums, users, density, extreme):
    """Kind of instances with so many users."""
    if density or sums[LIMITED] > 0.0:
        return GENERAL
    if extreme or sums[EXTREME] > 0.0:
        return MIXED
    if sums[BOTH] == users:
        return GIVEN
    return FREE if sums[NEITHER] == users else MIXED


@kernel
def find_kinds(device, instance, models, kinds):
    """Return what all instances ask, MALFORMED if one cannot be, or -1 where they differ and each kind is written.

    Bounds may still contradict each other.
    """
    count, users = device.shape[1], device.shape[2]
    flat = shaped(device, (device.shape[0], count * users))
    sums, densities, extremes = np.empty(5), 0, 0
    for i in range(count):
        power, density = instance[NOISE, i], instance[DENSITY, i]
        if (power > 0.0) == (density > 0.0):
            return MALFORMED
        densities += density > 0.0
        extremes += not SMALL < power < LARGE
    count_users(flat, np.int64(0), count * users, float(models), sums)  # a literal would be a type of its own
    if sums[WRONG] > 0.0:
        return MALFORMED
    kind = kind_of(sums, count * users, densities > 0, extremes > 0)
    if kind in (GIVEN, FREE):
        return kind
    first = -1
    for i in range(count):
        power, density = instance[NOISE, i], instance[DENSITY, i]
        count_users(flat, i * users, (i + 1) * users, float(models), sums)
        kinds[i] = kind_of(sums, users, density > 0.0, not SMALL < power < LARGE)
        first = kinds[i] if i == 0 or kinds[i] == first else -1
        for k in range(users):
            snr = device[POWER, i, k] * device[GAIN, i, k] / (power + density * instance[BAND, i])
            if not snr >= LEAST_SNR:
                return MALFORMED
    return first
