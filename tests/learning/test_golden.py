"""Every scheme's first three rounds, number by number: moving code between files must not change any of them."""

import hashlib

import pytest

import learning
from radioopt import Scenario

DISTILLED = {"model": "softmax", "iterations": 20, "max_slots": 114, "policy": "paper"}
SEEDED = {"server_iterations": 20, "seed_samples": 4}
SETTINGS = {
    "feel": {},
    "fedavg": {},
    "fedprox": {},
    "individual": {},
    "fl": DISTILLED,
    "fd": DISTILLED,
    "fld": DISTILLED | SEEDED,
    "mixfld": DISTILLED | SEEDED,
    "mix2fld": DISTILLED | SEEDED,
}
#: SHA-256 of both tables, to six digits
GOLDEN = {
    "feel": "b1425e3b21f08de5",
    "fedavg": "f340ab7dda90a996",
    "fedprox": "61b6af45db0f05cc",
    "individual": "42a56aaee43054c9",
    "fl": "f70be15b3b4f1cf4",
    "fd": "543f5e1fc421e3c4",
    "fld": "9530e10bc5ba3328",
    "mixfld": "4bd30c580b5700ca",
    "mix2fld": "9c13769e3c728115",
}


def ledgers(cell, scheme):
    where = Scenario.load("mix2fld") if scheme not in ("feel", "fedavg", "fedprox", "individual") else cell
    options = {"rounds": 3, "seed": 4, "data": "digits@300+100", "partition": "dirichlet", "progress": False}
    result = learning.train(where, scheme=scheme, **options | SETTINGS[scheme])
    tables = (result.ledger.to_frame(per).map(lambda x: f"{x:.6g}") for per in ("round", "device"))
    return hashlib.sha256("".join(table.to_csv() for table in tables).encode()).hexdigest()[:16]


@pytest.mark.parametrize("scheme", learning.SCHEMES)
def test_the_first_rounds_are_as_they_were(cell, scheme):
    assert ledgers(cell, scheme) == GOLDEN[scheme]
