"""What the instances of a batch ask, which decides who answers; and whether any of them cannot be asked.

One pass over the numbers, since a batch of small cells is solved in less time than NumPy takes to look at it.
"""

import math

import numpy as np

from radioopt.dtkd.kernel import (
    B_HIGH,
    B_LOW,
    BAND,
    BITS,
    CYCLES,
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
#: added to the kind of an instance with a number so large or small that no answer has its digits
BEYOND = 8
#: least signal-to-noise ratio on the whole band that keeps its digits
LEAST_SNR = math.ulp(0.0) / float(np.finfo(np.float64).eps)
# sums over users: those with both choices made, with none, with a choice that is none, and with numbers so large or
# small that products of a few might leave float64
BOTH, NEITHER, WRONG, EXTREME = range(4)
SMALL, LARGE = 1e-60, 1e60
# what numbers of an instance or of the catalogue are between if they are not 0, and the ratios of signal to noise
LEAST, MOST = 1e-40, 1e40
LEAST_RATIO, MOST_RATIO = 1e-80, 1e80
LEAST_RECEIVED, MOST_RECEIVED = 1e-290, 1e290


@vector_kernel
def count_users(device, begin, end, models, sums):
    """Count users of each sort among those from ``begin`` to ``end`` of the flattened batch."""
    both, neither, wrong, extreme = 0.0, 0.0, 0.0, 0.0
    for n in range(np.uint64(begin), np.uint64(end)):  # unsigned: no index counts from the end
        model, place = device[MODEL, n], device[PLACE, n]
        both += 1.0 if (model >= 0.0) & (place >= 0.0) else 0.0
        neither += 1.0 if (model < 0.0) & (place < 0.0) else 0.0
        whole = (model == math.floor(model)) & (place == math.floor(place))
        wrong += 0.0 if whole & (model < models) & (place < 2.0) else 1.0
        received, own = device[POWER, n] * device[GAIN, n], device[LOCAL, n]
        ordinary = (received > SMALL) & (received < LARGE) & (own > SMALL) & (own < LARGE)
        extreme += 0.0 if ordinary else 1.0
    sums[BOTH], sums[NEITHER] = both, neither
    sums[WRONG], sums[EXTREME] = wrong, extreme


@vector_kernel
def count_limited(limits, begin, end):
    """Count users with a bound or a deadline among those from ``begin`` to ``end`` of the flattened batch."""
    limited = 0.0
    for n in range(np.uint64(begin), np.uint64(end)):
        low = (limits[F_LOW, n] > 0.0) | (limits[B_LOW, n] > 0.0)
        high = (limits[F_HIGH, n] < math.inf) | (limits[B_HIGH, n] < math.inf)
        limited += 1.0 if low | high | (limits[DEADLINE, n] < math.inf) else 0.0
    return limited


@kernel
def within(number, least, most):
    """Whether a number >= 0 keeps its digits in products of a few; what is not there or not limited does."""
    return number == 0.0 or number == math.inf or least <= number <= most


@kernel
def instance_within(instance, i):
    """Whether all that the users of instance ``i`` have in common keeps its digits."""
    good = True
    for row in range(instance.shape[0]):
        if row != NOISE and row != DENSITY:  # which count by the ratio of signal to noise
            good = good and within(instance[row, i], LEAST, MOST)
    return good


@kernel
def catalogue_within(catalogue):
    """Whether all numbers of the catalogue keep their digits."""
    good = True
    for m in range(catalogue.shape[1]):
        good = good and within(catalogue[CYCLES, m], LEAST, MOST) and within(catalogue[BITS, m], LEAST, MOST)
    return good


@kernel
def kind_of(sums, users, limited, density, extreme):
    """Kind of instances with so many users."""
    if limited or density:
        return GENERAL
    if extreme or sums[EXTREME] > 0.0:
        return MIXED
    if sums[BOTH] == users:
        return GIVEN
    return FREE if sums[NEITHER] == users else MIXED


@kernel
def find_kinds(device, limits, instance, catalogue, kinds):
    """Return what all instances ask, MALFORMED if one cannot be, or -1 where they differ and each kind is written.

    ``limits`` has a column for each user of the batch and ``instance`` for each instance, or one where all are alike.
    Bounds may still contradict each other.
    """
    count, users, models = device.shape[1], device.shape[2], catalogue.shape[1]
    known = catalogue_within(catalogue)
    flat = shaped(device, (device.shape[0], count * users))
    sums, densities, extremes = np.empty(4), 0, 0
    for i in range(instance.shape[1]):
        power, density = instance[NOISE, i], instance[DENSITY, i]
        if (power > 0.0) == (density > 0.0):
            return MALFORMED
        densities += density > 0.0
        extremes += not SMALL < power < LARGE or not instance_within(instance, i)
    count_users(flat, np.int64(0), count * users, float(models), sums)  # a literal would be a type of its own
    if sums[WRONG] > 0.0:
        return MALFORMED
    limited = count_limited(limits, np.int64(0), limits.shape[1]) > 0.0
    kind = kind_of(sums, count * users, limited, densities > 0, extremes > 0)
    if known and kind in (GIVEN, FREE):
        return kind
    first = -1
    for i in range(count):
        at = i if instance.shape[1] > 1 else 0
        power, density, band = instance[NOISE, at], instance[DENSITY, at], instance[BAND, at]
        count_users(flat, i * users, (i + 1) * users, float(models), sums)
        if limits.shape[1] > 1:
            limited = count_limited(limits, i * users, (i + 1) * users) > 0.0
        good = known and instance_within(instance, at)
        for k in range(users):
            received, noise = device[POWER, i, k] * device[GAIN, i, k], power + density * band
            snr = received / noise if noise > 0.0 else math.inf
            if not snr >= LEAST_SNR:
                return MALFORMED
            good = good and LEAST_RECEIVED <= received <= MOST_RECEIVED and LEAST_RATIO <= snr <= MOST_RATIO
            good = good and within(device[LOCAL, i, k], LEAST, MOST)
            if density > 0.0:
                good = good and within(received / density, LEAST_RATIO, MOST_RATIO)
            if limited:
                for row in range(limits.shape[0]):
                    good = good and within(
                        limits[row, i * users + k if limits.shape[1] > 1 else 0], LEAST, MOST
                    )
        kinds[i] = kind_of(sums, users, limited, density > 0.0, not SMALL < power < LARGE)
        kinds[i] += 0 if good else BEYOND
        first = kinds[i] if i == 0 or kinds[i] == first else -1
    return first
