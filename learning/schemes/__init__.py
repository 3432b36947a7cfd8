"""Schemes: what devices and server do with data and model, one small object each."""

from learning.schemes.base import Scheme
from learning.schemes.fedavg import FedAvg, FedProx
from learning.schemes.fedsgd import FedSgd
from learning.schemes.individual import Individual

SCHEMES: dict[str, type[Scheme]] = {
    "feel": FedSgd,
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "individual": Individual,
}

__all__ = ["SCHEMES", "FedAvg", "FedProx", "FedSgd", "Individual", "Scheme"]
