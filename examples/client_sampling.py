"""Who takes part in a round? Four of twelve devices, chosen in five ways, for the same rounds of FedAvg."""

import numpy as np

import learning


def fast_cpus(known, rng):
    """A selection of one's own: the numbers of those who take part."""
    return np.argsort(-known.devices.cpu_frequency_hz)[:4]


WAYS = {
    "everybody": {},
    **{name: {"participants": 4, "selection": name} for name in learning.SELECTIONS},
    "fast CPUs": {"participants": fast_cpus},
}
SETTINGS = {
    "scheme": "fedavg",
    "partition": "dirichlet:0.3",
    "data": "digits@600+300",
    "rounds": 20,
    "seed": 1,
}
for name, options in WAYS.items():
    result = learning.train("feel-cpu", **SETTINGS, **options)
    took_part = result.ledger.to_frame("device")["batchsize"] > 0
    often = took_part.groupby("device").sum().tolist()
    spent = f"{result.ledger.seconds:6.0f} s {result.ledger.energy_j:6.0f} J"
    print(f"{name:9}  accuracy {result.ledger.accuracy:.3f}  {spent}  rounds of each device: {often}")
