"""From a table of devices to an allocation: units are in the names of the columns, mistakes have a line."""

from pathlib import Path

import pandas as pd

from radioopt import ProblemError, Scenario

here = Path(__file__).parent

# 1. A scenario file that names its table: fleet.toml has the radio and the problem, devices.csv a line per device.
devices = Scenario.load(here / "fleet.toml").draw()
solution = devices.problem("feel").solve()
names = pd.read_csv(here / "devices.csv")["device"]
allocation = solution.to_frame().set_index(names)
print(allocation[["batchsize", "uplink_slot_s", "compute_time_s", "upload_time_s"]].round(4))
print(f"{solution.status.name}, {solution.round_latency_s:.3f} s a round\n")

# 2. The same devices in another cell: a table replaces the placement and the laws of a scenario.
other = Scenario.load(
    "feel-cpu", {"payload_bits": 4e6, "cycles_per_sample": 2e7}, devices=here / "devices.csv"
)
print(f"in the cell of feel-cpu: {other.draw().problem('feel').solve().round_latency_s:.3f} s a round")

# 3. Measured rates need no radio at all, only the table and the problem.
frame = pd.DataFrame(
    {
        "uplink_rate_mbps": [62.0, 41.0, 75.0],
        "downlink_rate_mbps": [120.0, 95.0, 140.0],
        "cpu_frequency_ghz": [2.84, 2.4, 1.8],
        "max_batchsize": [128, 64, 128],
    }
)
feel = {"compute": "cpu", "payload_bits": 4e6, "cycles_per_sample": 2e7, "update_cycles": 1e7}
measured = Scenario.from_dict({"feel": feel}, devices=frame).draw().problem("feel").solve()
print(f"measured rates: batches {measured.batchsize.round(1).tolist()}\n")

# 4. What is said of mistakes: all of them at once, each with its row and column.
frame["cpu_frequency_ghz"] = ["2.84 GHz", "2,4", "-1.8"]
try:
    Scenario.from_dict({"feel": feel}, devices=frame)
except ProblemError as error:
    print(error)
