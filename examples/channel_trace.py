"""Rates over time: what each instant's allocation is worth, and training while the channel changes."""

import numpy as np
import pandas as pd

import learning
from radioopt import ChannelTrace, Scenario

# A trace as a drive test would leave it, made up: a line for each device every ten seconds, of six that pass the base
# station one after the other. A CSV file with these columns does as well: ChannelTrace.from_csv("trace.csv").
time_s, device = (
    grid.ravel() for grid in np.meshgrid(np.arange(0.0, 1201.0, 10.0), np.arange(6), indexing="ij")
)
nearness = np.exp(-(((time_s - 200.0 * (device + 0.5)) / 250.0) ** 2))
rates = {"uplink_rate_mbps": 30 + 120 * nearness, "downlink_rate_mbps": 60 + 120 * nearness}
frame = pd.DataFrame({"time_s": time_s, "device": device, **rates}).round(2)
trace = ChannelTrace.from_frame(frame, interpolate="linear", beyond="repeat")

# Every instant in one batch: the optimal batch sizes and slots, and what remains of the plan of the first instant.
scenario = Scenario.load("feel-cpu", {"devices.count": 6})
devices = scenario.draw(seed=1)
problem = devices.follow(trace, trace.times).problem("feel")
solution = problem.solve()
table = pd.DataFrame(solution.batchsize.round(1), index=pd.Index(trace.times, name="time [s]"))
print(f"optimal batch sizes, at some of {len(solution)} instants")
print(table.iloc[::20].to_string())

# The same with the batch sizes of the first instant kept, and slots that suit them.
kept = solution.batchsize[0]
rigid = problem.replace(min_batchsize=kept, max_batchsize=kept).solve()
loss = 1 - rigid.learning_efficiency / solution.learning_efficiency
print(f"keeping those of the first instant costs up to {loss.max():.0%} of the learning efficiency\n")

# Each round is planned with the rates of its start.
options = {"rounds": 40, "policy": "optimal", "seed": 1}
for name, given in {"drawn from the cell": None, "along the trace": trace}.items():
    result = learning.train(scenario, trace=given, **options)
    seconds = result.to_frame()["round_latency_s"][1:]
    print(
        f"{name:<20} accuracy {result.ledger.accuracy:.3f} after {result.ledger.seconds:6.0f} s; "
        f"a round takes {seconds.min():.0f} to {seconds.max():.0f} s"
    )
