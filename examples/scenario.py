"""From a scenario file to certified allocations: one cell, its rounds, and a thousand cells at once."""

from pathlib import Path

import numpy as np

from radioopt import Scenario, Status

scenario = Scenario.load(Path(__file__).with_name("cell.toml"))
devices = scenario.draw(seed=1)
print(devices)

solution = devices.problem("feel").solve()
print(solution.to_frame()[["batchsize", "uplink_slot_s", "upload_time_s"]])

# The same devices over five rounds: the channel fades, the optimal allocation follows.
rng = np.random.default_rng(2)
for number in range(1, 6):
    faded = devices.fade(rng).problem("feel").solve()
    samples, seconds = faded.batchsize.sum(), faded.round_latency_s
    print(f"round {number}: {samples:.1f} samples in {seconds:.3f} s, certified gap {faded.gap:.0e}")

# A thousand cells in one call; two payloads on the same draws.
cells = scenario.draw(seed=1, size=1000)
for payload_bits in (0.25e6, 1e6):
    many = cells.problem("feel", payload_bits=payload_bits).solve()
    assert (many.status == Status.OPTIMAL).all()
    median_s = np.median(many.round_latency_s)
    print(f"{payload_bits:.0f} bit: the median round of {len(many)} cells takes {median_s:.2f} s")
