"""DT-KD as the paper writes it, for generic solvers; named and random instances."""

from validation.dtkd import cvxpy_model, enumeration, ipopt_model, pyomo_model  # registers the references

__all__ = ["cvxpy_model", "enumeration", "ipopt_model", "pyomo_model"]
