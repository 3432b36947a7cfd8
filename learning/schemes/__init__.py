"""Schemes: what devices and server do with data and model, one small object each."""

from learning.schemes.base import Scheme
from learning.schemes.distillation import Fd, Fld
from learning.schemes.fading import Fl
from learning.schemes.fedavg import FedAvg, FedProx
from learning.schemes.fedsgd import FedSgd
from learning.schemes.individual import Individual
from learning.schemes.mix2fld import Mix2Fld, MixFld

SCHEMES: dict[str, type[Scheme]] = {
    "feel": FedSgd,
    "fedavg": FedAvg,
    "fedprox": FedProx,
    "individual": Individual,
    "fl": Fl,
    "fd": Fd,
    "fld": Fld,
    "mixfld": MixFld,
    "mix2fld": Mix2Fld,
}

__all__ = [
    "SCHEMES",
    "Fd",
    "FedAvg",
    "FedProx",
    "FedSgd",
    "Fl",
    "Fld",
    "Individual",
    "Mix2Fld",
    "MixFld",
    "Scheme",
]
