"""The exponential and the logarithm of vector kernels are right to a unit in the last place."""

import math

import mpmath as mp
import numpy as np
import pytest

from radioopt.numerics.jit import bits_of, float_of, kernel, vector_kernel
from radioopt.numerics.vmath import fast_exp, fast_log


@vector_kernel
def exp_of(x, out):
    for k in range(x.size):
        out[k] = fast_exp(x[k])


@vector_kernel
def log_of(x, out):
    for k in range(x.size):
        out[k] = fast_log(x[k])


@kernel
def there_and_back(x):
    return float_of(bits_of(x))


def ulps(found, x, exact):
    with mp.workdps(40):
        wanted = [exact(mp.mpf(float(value))) for value in x]
        return max(
            abs(float((f - w) / math.ulp(float(w)))) for f, w in zip(found.tolist(), wanted, strict=True)
        )


@pytest.mark.parametrize(("low", "high"), [(-708, 709), (-1, 1), (-1e-3, 1e-3), (-1e-12, 1e-12)])
def test_exponential(low, high):
    x = np.concatenate([np.random.default_rng(0).uniform(low, high, 1500), [low, 0.0, high]])
    out = np.empty_like(x)
    exp_of(x, out)
    assert ulps(out, x, mp.exp) <= 1.01


@pytest.mark.parametrize("decades", [307, 3, 0.1, 1e-5])
def test_logarithm(decades):
    x = 10 ** np.random.default_rng(1).uniform(-decades, decades, 1500)
    x = np.concatenate([x, [math.sqrt(0.5), math.nextafter(1.0, 2.0), math.nextafter(1.0, 0.0)]])
    out = np.empty_like(x)
    log_of(x, out)
    assert ulps(out, x, mp.log) <= 1.01
    one = np.ones(1)
    log_of(one, out[:1])
    assert out[0] == 0.0


@pytest.mark.parametrize("x", [0.0, 1.0, -2.5, 1e300, 5e-324, math.inf])
def test_bits(x):
    assert there_and_back(x) == x
