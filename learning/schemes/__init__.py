"""Schemes: what devices and server do with data and model, one small object each."""

from learning.schemes.base import Scheme
from learning.schemes.fedsgd import FedSgd

SCHEMES: dict[str, type[Scheme]] = {"feel": FedSgd}

__all__ = ["SCHEMES", "FedSgd", "Scheme"]
