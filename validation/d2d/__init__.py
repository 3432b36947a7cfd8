"""D2D as a mixed-integer program for generic solvers; named and random instances."""

from validation.d2d import enumeration, pyomo_model  # registers the references

__all__ = ["enumeration", "pyomo_model"]
