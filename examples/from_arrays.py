"""From measured arrays to a certified allocation: no scenario, no channel model, only numbers."""

import numpy as np

import radioopt as ro

# Five devices, as measured: CPU clock, cycles for the gradient of one sample, rates with the whole frame.
cpu_frequency_hz = np.array([2.84e9, 2.40e9, 1.80e9, 1.50e9, 1.00e9])
cycles_per_sample = np.array([26e6, 26e6, 34e6, 48e6, 60e6])
uplink_rate_bps = np.array([62e6, 41e6, 75e6, 28e6, 54e6])

problem = ro.feel.BatchsizeProblem.cpu(
    cpu_frequency_hz=cpu_frequency_hz,
    cycles_per_sample=cycles_per_sample,
    uplink_rate_bps=uplink_rate_bps,
    downlink_rate_bps=100e6,  # a scalar holds for all devices
    update_cycles=10e6,
    payload_bits=4e6,
    max_batchsize=128,
)
solution = problem.solve()
print(solution.to_frame()[["batchsize", "uplink_slot_s", "compute_time_s", "upload_time_s"]].round(4))
print(f"\n{solution.status.name}: a round takes {solution.round_latency_s:.3f} s, gap {solution.gap:.0e}")
print(solution.verify())

# Whole samples, proven too.
whole = problem.solve(integer=True)
loss = 1 - whole.learning_efficiency / solution.learning_efficiency
print(f"\nwhole samples {whole.batchsize.astype(int).tolist()} cost {loss:.1e} of the efficiency")

# A batch: leading axes are independent problems. A thousand rounds whose rates vary by a fifth.
rng = np.random.default_rng(1)
rates = uplink_rate_bps * rng.lognormal(sigma=0.2, size=(1000, 5))
rounds = problem.replace(uplink_rate_bps=rates).solve()
assert (rounds.status == ro.Status.OPTIMAL).all()
low, high = np.percentile(rounds.round_latency_s, [5, 95])
print(f"{len(rounds)} rounds: nine in ten take {low:.3f} to {high:.3f} s")

# How much better than the obvious: the same total batch, split equally, with the best slots for it?
equal = problem.replace(
    min_batchsize=solution.batchsize.mean(), max_batchsize=solution.batchsize.mean()
).solve()
gain = solution.learning_efficiency / equal.learning_efficiency - 1
print(f"equal batches take {equal.round_latency_s:.3f} s; the optimum learns {gain:.0%} faster per second")
