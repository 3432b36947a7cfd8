"""Jitted building blocks, scalar in and scalar out for use in any kernel, with array front-ends."""

from radioopt.numerics.expint import scaled_exp1
from radioopt.numerics.lambertw import lambert_w, lambert_w_exp

__all__ = ["lambert_w", "lambert_w_exp", "scaled_exp1"]
