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
    MODEL,
    NOISE,
    PLACE,
    POWER,
)
from radioopt.numerics.jit import kernel, shaped, vector_kernel

#: Problem 3; all choices free; some of them; bounds, deadlines or a noise density; what cannot be asked
GIVEN, FREE, MIXED, GENERAL, MALFORMED = range(5)
#: least signal-to-noise ratio on the whole band that keeps its digits
LEAST_SNR = math.ulp(0.0) / float(np.finfo(np.float64).eps)
# sums over users: those with a bound or a deadline, with both choices made, with none; received power too low
LIMITED, BOTH, NEITHER, WRONG, FAINT = range(5)


@vector_kernel
def count_users(device, begin, end, models, least, sums):
    """Count users of each sort among those from ``begin`` to ``end`` of the flattened batch."""
    limited, both, neither, wrong, faint = 0.0, 0.0, 0.0, 0.0, 0.0
    for n in range(begin, end):
        low = (device[F_LOW, n] > 0.0) | (device[B_LOW, n] > 0.0)
        high = (device[F_HIGH, n] < math.inf) | (device[B_HIGH, n] < math.inf)
        model, place = device[MODEL, n], device[PLACE, n]
        limited += 1.0 if low | high | (device[DEADLINE, n] < math.inf) else 0.0
        both += 1.0 if (model >= 0.0) & (place >= 0.0) else 0.0
        neither += 1.0 if (model < 0.0) & (place < 0.0) else 0.0
        whole = (model == math.floor(model)) & (place == math.floor(place))
        wrong += 0.0 if whole & (model < models) & (place < 2.0) else 1.0
        faint += 0.0 if device[POWER, n] * device[GAIN, n] >= least else 1.0
    sums[LIMITED], sums[BOTH], sums[NEITHER] = limited, both, neither
    sums[WRONG], sums[FAINT] = wrong, faint


@kernel
def kind_of(sums, users, density):
    """Kind of instances with so many users."""
    if density or sums[LIMITED] > 0.0:
        return GENERAL
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
    sums, noisiest, densities = np.empty(5), 0.0, 0
    for i in range(count):
        power, density = instance[NOISE, i], instance[DENSITY, i]
        if (power > 0.0) == (density > 0.0):
            return MALFORMED
        densities += density > 0.0
        noisiest = max(noisiest, power + density * instance[BAND, i])
    count_users(flat, 0, count * users, float(models), max(LEAST_SNR * noisiest, 1e-300), sums)
    if sums[WRONG] > 0.0:
        return MALFORMED
    kind = kind_of(sums, count * users, densities > 0)
    if sums[FAINT] == 0.0 and kind in (GIVEN, FREE):
        return kind
    first = -1
    for i in range(count):
        noise = instance[NOISE, i] + instance[DENSITY, i] * instance[BAND, i]
        count_users(flat, i * users, (i + 1) * users, float(models), 0.0, sums)
        kinds[i] = kind_of(sums, users, instance[DENSITY, i] > 0.0)
        for k in range(users):
            if not device[POWER, i, k] * device[GAIN, i, k] / noise >= LEAST_SNR:
                return MALFORMED
        first = kinds[i] if i == 0 or kinds[i] == first else -1
    return first
