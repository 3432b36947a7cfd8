"""Time a model on this machine, fit the paper's training function to it, and allocate with the fitted numbers."""

from pathlib import Path
from tempfile import mkdtemp

import learning
from radioopt import Scenario
from radioopt.feel import LossDecay, gradient_bits

# Gradients of a small convolutional network on images of 32 x 32 pixels, timed over batch sizes on one thread.
times = learning.time_training("cnn", (3, 32, 32), batchsizes=(1, 2, 4, 8, 16, 32, 64, 128), repeats=9)
print(times)
folder = Path(mkdtemp())
times.training_time.plot().savefig(folder / "training_time.png")

# How fast the loss falls, from the log of a short training: rounds, their batches, the loss after each.
log = learning.train("feel-gpu", policy="full", rounds=40, seed=1).to_frame()
decay = LossDecay.fit(log["batchsize"].iloc[1:], -log["test_loss"].diff().iloc[1:])
print(f"\n{decay}")
decay.plot().savefig(folder / "loss_decay.png")

# The same names in a scenario file, in Scenario.replace and in BatchsizeProblem.gpu.
payload_bits = gradient_bits(times.num_parameters, bits_per_value=8)
print(f"\n[feel]\n{times.to_toml()}{decay.to_toml()}payload_bits = {payload_bits:.0f}")
measured = times.to_dict() | decay.to_dict() | {"payload_bits": payload_bits}
solution = Scenario.load("feel-gpu").replace(measured).draw(seed=1).problem("feel").solve()
print(f"\nsix such devices in the cell of feel-gpu:\n{solution}\n\npictures in {folder}")
