"""Exponential and logarithm without branches or tables, so that loops around them are vectorised.

For kernels only: eight float64 at a time take under 1 ns each where ``math.exp`` takes 4 to 6. Both are within 1 ulp.
Arguments are not checked: x of the exponential between -708 and 709, of the logarithm normal and positive.
"""

from __future__ import annotations

from radioopt.numerics.jit import bits_of, float_of, inline_kernel

# adding this rounds to an integer, which then stands in the lowest bits of the mantissa
_ROUND = 6755399441055744.0
_ROUND_BITS = 0x4338000000000000
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROOT_HALF_BITS = 0x3FE6A09E667F3BCD
_BIAS, _MANTISSA = 1023, 52
_RECIPROCAL_BITS = 0x7FE0000000000000


@inline_kernel
def fast_exp(x):
    """e^x = 2^n e^r with |r| <= ln(2)/2 and the Taylor polynomial of degree 13 for e^r - 1."""
    shifted = x * 1.4426950408889634 + _ROUND
    n = shifted - _ROUND
    r = (x - n * _LN2_HIGH) - n * _LN2_LOW
    p = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    p = 1.0 / 39916800.0 + r * p
    p = 1.0 / 3628800.0 + r * p
    p = 1.0 / 362880.0 + r * p
    p = 1.0 / 40320.0 + r * p
    p = 1.0 / 5040.0 + r * p
    p = 1.0 / 720.0 + r * p
    p = 1.0 / 120.0 + r * p
    p = 1.0 / 24.0 + r * p
    p = 1.0 / 6.0 + r * p
    p = 0.5 + r * p
    power = float_of((bits_of(shifted) + _BIAS) << _MANTISSA)
    return power + power * (r + r * r * p)


@inline_kernel
def fast_log(x):
    """Ln x = k ln 2 + ln(1 + f), 1 + f between sqrt(1/2) and sqrt(2), by the series in f/(2 + f) of fdlibm."""
    bits = bits_of(x)
    k_bits = (bits - _ROOT_HALF_BITS) >> _MANTISSA
    f = float_of(bits - (k_bits << _MANTISSA)) - 1.0
    k = float_of(k_bits + _ROUND_BITS) - _ROUND
    s = f / (2.0 + f)
    z = s * s
    p = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    p = 2.222219843214978396e-01 + z * (1.818357216161805012e-01 + z * p)
    p = 3.999999999940941908e-01 + z * (2.857142874366239149e-01 + z * p)
    p = z * (6.666666666666735130e-01 + z * p)
    half_square = 0.5 * f * f
    return k * _LN2_HIGH - ((half_square - (s * (half_square + p) + k * _LN2_LOW)) - f)


@inline_kernel
def fast_log1p(x):
    """Ln(1 + x) for x >= 0: ln y of y = 1 + x rounded, and what rounding took from x, over y."""
    y = 1.0 + x
    # 1/y to an eighth, exact where y is 1: the correction is half an ulp of y at most
    reciprocal = float_of(_RECIPROCAL_BITS - bits_of(y))
    return fast_log(y) + (x - (y - 1.0)) * reciprocal
