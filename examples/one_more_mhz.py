"""What one more MHz is worth: the optimum solved again with it, beside the closed-form derivative."""

import numpy as np

from radioopt import Scenario, Status

MHZ = 1e6
CELLS = 500
scenario = Scenario.load("feel-cpu")


def draw(bandwidth_hz):
    """The same cells (places, devices) with another bandwidth."""
    return scenario.replace({"bandwidth_hz": bandwidth_hz}).draw(seed=1, size=CELLS)


def rate_elasticity(link, bandwidth_hz, step=1e-4):
    """Per cent of rate for one per cent of bandwidth: below 1, because the power is spread thinner."""
    more, less = (getattr(draw(bandwidth_hz * (1 + s)), f"{link}_rate_bps") for s in (step, -step))
    return np.log(more / less) / np.log((1 + step) / (1 - step))


print(f"mean over {CELLS} cells of learning efficiency, and what the next MHz adds")
print("bandwidth    round  efficiency  one more MHz  derivative  per cent")
for megahertz in (1, 2, 5, 10, 20, 50, 100):
    bandwidth = megahertz * MHZ
    solution = draw(bandwidth).problem("feel").solve()
    with_more = draw(bandwidth + MHZ).problem("feel").solve()
    assert (solution.status == Status.OPTIMAL).all()
    assert (with_more.status == Status.OPTIMAL).all()
    efficiency = solution.learning_efficiency.mean()
    finite = with_more.learning_efficiency.mean() - efficiency

    # The envelope theorem: the optimum's derivative in each rate, times the rates' derivative in the bandwidth.
    worth = solution.sensitivity()
    elasticity = sum(
        (getattr(worth, f"{link}_rate_bps") * rate_elasticity(link, bandwidth)).sum(-1)
        for link in ("uplink", "downlink")
    )
    derivative = (solution.learning_efficiency * elasticity / bandwidth * MHZ).mean()
    latency = solution.round_latency_s.mean()
    print(
        f"{megahertz:5d} MHz {latency:6.1f} s {efficiency:11.4f} {finite:13.5f} {derivative:11.5f} "
        f"{finite / efficiency:9.1%}"
    )
print("\nThe derivative prices a small step; where a MHz is a large one, the step itself is worth less.")
