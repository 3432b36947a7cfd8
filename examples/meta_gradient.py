"""Learning rate and bits per parameter by gradient, through what each round takes.

More bits make gradients exact and rounds long; the batch that the allocation chooses makes them less noisy. The loss of
a quadratic problem after ten minutes has a closed form, and a gradient in both choices, through the allocation.
"""

import math

import torch

from learning.layers import BatchsizeLayer

torch.set_default_dtype(torch.float64)
PARAMETERS, SECONDS, CURVATURE, NOISE = 1e5, 600.0, torch.tensor([1.0, 0.1, 0.01]), 40.0
layer = BatchsizeLayer(
    uplink_rate_bps=[2e6, 4e6, 9e6, 2e7],
    downlink_rate_bps=3e7,
    seconds_per_sample=[0.02, 0.05, 0.03, 0.02],
    update_time_s=0.05,
    max_batchsize=128.0,
)


def loss(log_rate, log_bits):
    """Expected loss after so many seconds of gradient steps on a quadratic, from a loss of one per direction."""
    best = layer(payload_bits=PARAMETERS * log_bits.exp())
    rounds, rate = SECONDS / best.round_latency_s, log_rate.exp()
    spread = NOISE / best.batchsize.sum() + 3 * torch.exp(
        -2 * log_bits.exp() * math.log(2)
    )  # of samples, of quantisation
    shrink = (1 - rate * CURVATURE) ** 2
    left = torch.exp(rounds * shrink.log())
    return (CURVATURE * (left + rate**2 * spread * (1 - left) / (1 - shrink))).sum(), best


choice = torch.tensor([-2.0, 3.0], requires_grad=True)  # logarithms of a rate of 0.14 and of 20 bits
optimiser = torch.optim.Adam([choice], lr=0.05)
for step in range(301):
    optimiser.zero_grad()
    value, best = loss(*choice)
    value.backward()
    if step % 100 == 0:
        rate, bits = choice.exp().tolist()
        print(
            f"step {step}: loss {value.item():.4f} with rate {rate:.3f}, {bits:.1f} bits, "
            f"{best.batchsize.sum().item():.0f} samples and {best.round_latency_s.item():.2f} s a round"
        )
    optimiser.step()
