"""Independent checks of radioopt: the same problems for generic solvers, and the benchmark."""

from validation.cross_check import cross_check, summarise, validate
from validation.modelling import Model, model
from validation.reference import Answer, checked_families, reference, references

__all__ = [
    "Answer",
    "Model",
    "checked_families",
    "cross_check",
    "model",
    "reference",
    "references",
    "summarise",
    "validate",
]
