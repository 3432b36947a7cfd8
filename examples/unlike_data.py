"""What control variates are worth on unlike data: FedAvg, FedProx and SCAFFOLD by rounds and by simulated seconds."""

import pandas as pd

import learning

SECONDS, SEED = 5_000, 1

# SCAFFOLD sends a control variate with every model, so that its uploads and downloads are twice as long. In exchange
# devices can take many local steps without their models drifting apart.
for partition in ("iid", "shards", "dirichlet:0.1"):
    rows = {}
    for epochs in (1, 5):
        for scheme in ("fedavg", "fedprox", "scaffold"):
            result = learning.train(
                "feel-cpu", scheme=scheme, partition=partition, epochs=epochs, seconds=SECONDS, seed=SEED
            )
            frame = result.to_frame()
            rows[f"{scheme}, {epochs} epoch{'s' * (epochs > 1)}"] = {
                "rounds": len(result.ledger),
                "after 3 rounds": frame["test_accuracy"][3],
                f"after {SECONDS:,} s": result.ledger.accuracy,
                "energy [kJ]": result.ledger.energy_j / 1e3,
                "uploaded per device [Gbit]": frame["uplink_bits"].sum() / 1e9,
            }
    print(f"\n{partition} data: accuracy")
    print(pd.DataFrame(rows).T.to_string(float_format="{:.3g}".format))
