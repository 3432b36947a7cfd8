"""FIMI as the paper writes it, for generic solvers; named and random instances."""

from validation.fimi import cvxpy_model, ipopt_model, pyomo_model  # registers the references

__all__ = ["cvxpy_model", "ipopt_model", "pyomo_model"]
