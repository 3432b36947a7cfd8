"""The size of what FEEL's devices send."""

from __future__ import annotations

from numpy.typing import ArrayLike

from radioopt.base.quantity import Domain, at_least, check, positive
from radioopt.numerics.arrays import FloatArray, check_shapes, float_if_scalar

_share = Domain("> 0 and <= 1", positive.low, 1.0)


def gradient_bits(
    num_parameters: ArrayLike, bits_per_value: ArrayLike = 32.0, kept_fraction: ArrayLike = 1.0
) -> float | FloatArray:
    r"""Size of a quantised gradient, :math:`s = b\,p`.

    Parameters
    ----------
    num_parameters : array_like
        Number of parameters p of the model, >= 1.
    bits_per_value : array_like, default 32.0
        Bits for each value that is sent > 0, its position included where only some are sent.
    kept_fraction : array_like, default 1.0
        Share of the values that are sent, > 0 and <= 1.

    Returns
    -------
    float or ndarray of float64
        ``payload_bits`` [bit].

    Raises
    ------
    ProblemError
        If a number is outside its domain, or the shapes do not broadcast.

    Notes
    -----
    The paper's b is the *average* number of bits over all elements of a gradient, 32 in its experiments: here
    ``bits_per_value * kept_fraction``. It defines no compression ratio of its own.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    Section III.B, before equation (10).

    Examples
    --------
    >>> gradient_bits(8_062_504)  # DenseNet121
    258000128.0
    >>> gradient_bits(8_062_504, bits_per_value=32 + 23, kept_fraction=0.001)  # a thousandth, with positions
    443437.72
    """
    given = {
        "num_parameters": check("gradient_bits", "num_parameters", num_parameters, at_least(1)),
        "bits_per_value": check("gradient_bits", "bits_per_value", bits_per_value, positive),
        "kept_fraction": check("gradient_bits", "kept_fraction", kept_fraction, _share),
    }
    check_shapes("gradient_bits", **given)
    return float_if_scalar(given["num_parameters"] * given["bits_per_value"] * given["kept_fraction"])
