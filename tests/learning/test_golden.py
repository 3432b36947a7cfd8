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
    "scaffold": {"epochs": 2, "deadline_s": 200.0, "slowdown": 0.5},
    "semi": {"public": 60, "before": ["share-public"], "confidence": 0.3},
    "sst": {"public": 60},
    "central": {"public": 60},
    "individual": {},
    "contrastive": {},
    "decentralised": {"graph": "random:2", "shadowing_db": 6.0, "slowdown": 0.5},
    "semi-decentralised": {"server_every": 2, "graph": "nearest:2", "clusters": 2},
    "fl": DISTILLED,
    "fd": DISTILLED,
    "fld": DISTILLED | SEEDED,
    "mixfld": DISTILLED | SEEDED,
    "mix2fld": DISTILLED | SEEDED,
    "stu": {},
    "kd": {"teacher_rounds": 10},
    "simkd": {"teacher_rounds": 10},
}
#: SHA-256 of both tables, to six digits
GOLDEN = {
    "feel": "9eb3dc56412096f1",
    "fedavg": "b8041dbc8bb062b6",
    "fedprox": "610816ec1ae686aa",
    "scaffold": "4d0a7a3bfe2ad013",
    "semi": "2b0a84051aa5bd84",
    "sst": "c93dd291b8298c63",
    "central": "da1860c29f2b31bc",
    "individual": "180ab3309972fa99",
    "contrastive": "a9b743e2fdd5b6aa",
    "decentralised": "b54d841acf71bb67",
    "semi-decentralised": "ed3dd716fb61a754",
    "fl": "b4285eb2f9cc01aa",
    "fd": "fd7676c1558cc828",
    "fld": "3c4fcffeeb9d5736",
    "mixfld": "847c0051af72ce0d",
    "mix2fld": "93c85e75f23a8872",
    "stu": "835b9de5b41ae8e0",
    "kd": "7a6337b863d5d500",
    "simkd": "8da90777ff14e14d",
}


def ledgers(cell, scheme):
    own = {"fading": "mix2fld", "twins": "dtkd"}.get(learning.SCHEMES[scheme].radio)
    where = cell if own is None else Scenario.load(own)
    options = {"rounds": 3, "seed": 4, "data": "digits@300+100", "partition": "dirichlet", "progress": False}
    result = learning.train(where, scheme=scheme, **options | SETTINGS[scheme])
    tables = (result.ledger.to_frame(per).map(lambda x: f"{x:.6g}") for per in ("round", "device"))
    return hashlib.sha256("".join(table.to_csv() for table in tables).encode()).hexdigest()[:16]


@pytest.mark.parametrize("scheme", learning.SCHEMES)
def test_the_first_rounds_are_as_they_were(cell, scheme):
    assert ledgers(cell, scheme) == GOLDEN.get(scheme)
