"""Which scheme for this cell: gradients, weights, or no federation at all, on like and on unlike data."""

import pandas as pd

import learning

TARGET, SEED = 0.9, 1

# What FEEL's paper compares: its own batch sizes, the gradient of everything, FedAvg, and every device by itself.
# Each at a learning rate that suits it; all with optimal slots, on the same devices, data and initial weights.
schemes = {
    "FEEL, optimal batches": {"scheme": "feel", "learning_rate": 0.4, "weights": "samples"},
    "gradient of all samples": {"scheme": "feel", "policy": "entire", "learning_rate": 0.2},
    "FedAvg, 1 epoch": {"scheme": "fedavg", "learning_rate": 0.4},
    "FedAvg, 4 epochs": {"scheme": "fedavg", "learning_rate": 0.4, "epochs": 4},
    "FedProx, 4 epochs": {"scheme": "fedprox", "learning_rate": 0.4, "epochs": 4, "proximal": 0.1},
    "individual": {"scheme": "individual", "learning_rate": 0.4},
    "individual, averaged": {"scheme": "individual", "learning_rate": 0.4, "judge": "average"},
}
for partition in ("iid", "shards"):
    rows = {}
    for name, options in schemes.items():
        result = learning.train("feel-cpu", partition=partition, seconds=6_000, seed=SEED, **options)
        frame, reached = result.to_frame(), result.ledger.rounds_to(TARGET)
        rows[name] = {
            "rounds": len(result.ledger),
            f"seconds to {TARGET:g}": float("nan") if reached is None else frame["seconds"][reached],
            "final accuracy": result.ledger.accuracy,
            "energy [kJ]": result.ledger.energy_j / 1e3,
            "uploaded per device [Gbit]": frame["uplink_bits"].sum() / 1e9,
        }
    print(f"\n{partition} data, 6,000 simulated seconds")
    print(pd.DataFrame(rows).T.to_string(float_format="{:.4g}".format, na_rep="never"))
