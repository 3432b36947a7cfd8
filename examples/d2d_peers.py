"""Train without a server, for 10 rounds or more: whom devices average with, how often, stragglers, changing links."""

import sys

import learning
from radioopt import Scenario

rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
cell = Scenario.load("feel-cpu", {"devices.count": 10, "cell.radius_m": 100.0}).to_dict()
scenario = Scenario.from_dict(cell | {"d2d": Scenario.load("d2d").to_dict()["d2d"]})

peers, semi = {"scheme": "decentralised"}, {"scheme": "semi-decentralised", "clusters": 3, "server_every": 3}
runs = {
    "all at a server (fedavg)": {"scheme": "fedavg"},
    "two best links each": peers | {"graph": "nearest:2"},
    "two links each, drawn in every round": peers | {"graph": "random:2", "max_outage": 1.0},
    "all links, one in three a straggler": peers | {"graph": "complete", "loss_probability": 0.33},
    "two best links, changing by 8 dB": peers | {"graph": "nearest:2", "shadowing_db": 8.0},
    "two best links, three epochs between": peers | {"graph": "nearest:2", "epochs": 3},
    "three clusters, a server every third round": semi | {"graph": "complete"},
}
print("accuracy      s      J   distance   run")
for name, options in runs.items():
    result = learning.train(
        scenario, partition="few-labels:3", rounds=rounds, seed=1, progress=False, **options
    )
    ledger, table = result.ledger, result.to_frame()
    apart = table["consensus_distance"].iloc[-1] if "consensus_distance" in table else 0.0
    print(f"{ledger.accuracy:8.3f} {ledger.seconds:6.0f} {ledger.energy_j:6.0f} {apart:10.3f}   {name}")
