r"""Allocations as layers of a network: tensors in, the optimal allocation out, with its exact derivatives.

A layer poses a problem of :mod:`radioopt`, solves it with its certified solver and hands gradients back by implicit
differentiation (:meth:`radioopt.base.solution.Solution.vjp`), in a few passes over the devices::

    layer = BatchsizeLayer(max_batchsize=128, update_time_s=0.1, downlink_rate_bps=2e7)
    round_ = layer(payload_bits=bits, uplink_rate_bps=rates, seconds_per_sample=seconds)
    (-round_.objective.sum()).backward()          # gradients in bits, rates and seconds

Leading axes are a batch of instances, as everywhere in radioopt, and tensors broadcast: gradients are summed back to
the shape of each tensor. Everything is solved in float64, whatever the tensors are, and handed out in their type.
"""

from learning.layers.families import BatchsizeAllocation as BatchsizeAllocation
from learning.layers.families import BatchsizeLayer as BatchsizeLayer
from learning.layers.families import DistillationAllocation as DistillationAllocation
from learning.layers.families import DistillationLayer as DistillationLayer
from learning.layers.families import SynthesisAllocation as SynthesisAllocation
from learning.layers.families import SynthesisLayer as SynthesisLayer
