"""A network predicts rates from positions; what it is trained for decides how good the allocations are that use it.

Trained on mean squared error it fits the fast devices, whose rates are large. Trained through its allocation, on the
efficiency that the round really reaches, it fits what matters: the slow ones.
"""

import torch

from learning.layers import BatchsizeLayer

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)
DEVICES, ROUNDS = 6, 400
layer = BatchsizeLayer(
    payload_bits=2e6, downlink_rate_bps=3e7, seconds_per_sample=0.02, update_time_s=0.05, max_batchsize=128.0
)


def cell(rounds):
    """Positions in a cell of unit radius, and the rates there: the distance, and a building that shades a corner."""
    position = torch.rand(rounds, DEVICES, 2) * 2 - 1
    shade = torch.sigmoid(8 * (position.sum(-1) - 0.4))
    return position, 1e6 * (0.3 + 40 * torch.exp(-3 * position.norm(dim=-1)) * (1 - 0.9 * shade))


def reached(predicted, true):
    """Efficiency of a round planned with predicted rates and carried out with the true ones."""
    plan = layer(uplink_rate_bps=predicted)
    upload = layer.fixed["payload_bits"] / true * 0.01 / plan.uplink_slot_s
    latency = (layer.fixed["seconds_per_sample"] * plan.batchsize + upload).amax(-1) + plan.download_phase_s
    return plan.batchsize.sum(-1).sqrt() / latency


def trained(loss, steps=300):
    """Train a small network."""
    torch.manual_seed(1)
    network = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.Tanh(), torch.nn.Linear(4, 1))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.02)
    position, true = cell(ROUNDS)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(1e6 * torch.exp(network(position)[..., 0] + 1), true).backward()
        optimiser.step()
    position, true = cell(1000)
    with torch.no_grad():
        predicted = 1e6 * torch.exp(network(position)[..., 0] + 1)
        share = reached(predicted, true) / layer(uplink_rate_bps=true).objective
        return share.mean(), ((predicted - true) / 1e6).square().mean().sqrt()


for name, loss in {
    "mean squared error": lambda predicted, true: ((predicted - true) / 1e6).square().mean(),
    "efficiency reached": lambda predicted, true: -reached(predicted, true).log().mean(),
}.items():
    share, error = trained(loss)
    print(f"trained on {name}: {100 * share:.1f} % of the best efficiency, rates off by {error:.1f} Mbit/s")
