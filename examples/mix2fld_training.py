"""An uplink too weak for weights: federated learning against Mix2FLD over fading channels, by simulated time."""

import learning
from radioopt import Scenario

scenario = Scenario.load("mix2fld")  # ten devices of 23 dBm, 1 km from their server
options = {
    "policy": "paper",  # two bands, and so many slots as max_slots says
    "max_slots": 103,
    "partition": "rare-labels:2,1,14",  # two labels are rare on every device
    "iterations": 200,
    "learning_rate": 0.05,
    "rounds": 8,
    "seed": 1,
}
seeds = {"seed_samples": 50, "server_iterations": 100}

print("scheme     arrived   bits up (first round)   seconds   after download   after local training")
for scheme, own in (("fl", {}), ("fd", {}), ("mixfld", seeds), ("mix2fld", seeds)):
    frame = learning.train(scenario, scheme=scheme, **options, **own).to_frame().iloc[1:]
    last = frame.iloc[-1]
    print(
        f"{scheme:10s} {frame['arrived'].mean() / 10:7.0%} {last['uplink_bits']:9.0f} "
        f"({frame['uplink_bits'].iloc[0]:6.0f}) {last['seconds']:15.2f} "
        f"{last['test_accuracy']:16.3f} {last['local_accuracy']:22.3f}"
    )

# With more power the weights arrive, and federated learning is the best.
strong = scenario.replace({"devices.transmit_power_dbm": 40.0})
print("\nat 40 dBm:", learning.train(strong, scheme="fl", **options))

# Bands, slots and seed samples can be chosen instead: the certified optimum of the expected time.
del options["max_slots"]
options |= {"policy": "optimal", "rounds": 2}
result = learning.train(scenario, scheme="mix2fld", server_iterations=100, **options)
plan = result.ledger.entries[0].plan
print(
    f"\noptimal: {plan.num_channels} bands, {plan.max_slots} slots, {plan.seed_samples} seed samples:", result
)
