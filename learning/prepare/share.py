"""Sharing: the server gives public samples to every device before the first round."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from learning.options import real
from learning.prepare.base import Preparation, Prepared
from learning.radio.base import Radio
from learning.task import Task
from radioopt.base.errors import ProblemError
from radioopt.scenario import Devices


@dataclass(frozen=True)
class SharePublic(Preparation):
    """Broadcast public samples, which every device adds to its own.

    Parameters
    ----------
    share : float, default 1
        Share in (0, 1] of the public samples, drawn anew for every device; all of them are broadcast.
    bits_per_number : float, default 8
        Size of a number of a sample > 0 [bit]; a label is not charged.

    Raises
    ------
    OptionError
        If a number is out of its range.

    Notes
    -----
    Public samples are set aside by ``train(public=...)``; devices and the test never have them otherwise. The broadcast
    takes the radio's downlink and no energy of the devices.

    References
    ----------
    Y. Zhao et al., "Federated Learning with Non-IID Data", Section 4: a small share of data common to all devices
    brings their models together.

    Examples
    --------
    >>> import learning
    >>> result = learning.train("feel-cpu", public=100, before=[SharePublic(share=0.5)], rounds=1)
    >>> int(result.prepared[0].to_frame()["samples_added"][0]), result.ledger.before.seconds > 0
    (50, True)
    """

    share: float = 1.0
    bits_per_number: float = 8.0

    def __post_init__(self) -> None:
        real("share", self.share, high=1.0, closed=True)
        real("bits_per_number", self.bits_per_number)

    def __call__(self, task: Task, devices: Devices, radio: Radio) -> Prepared:
        """Share the server's samples; see :meth:`Preparation.__call__`."""
        public = task.server
        if public is None or not public.size:
            raise ProblemError("SharePublic: there are no public samples: set some aside, as public=100")
        bits = self.bits_per_number * public.size * math.prod(task.data.sample_shape)
        streams = task.streams
        delivery = radio.deliver(bits, devices, streams.at("prepare/share"))
        count = max(1, round(self.share * public.size))
        parts = [
            np.concatenate(
                [part, np.sort(streams.at("prepare/share", 0, device).permutation(public)[:count])]
            )
            if delivery.received[device]
            else part
            for device, part in enumerate(task.parts)
        ]
        added = np.array([new.size - old.size for new, old in zip(parts, task.parts, strict=True)])
        record = {"device": np.arange(len(parts)), "samples_before": task.sizes, "samples_added": added}
        return Prepared(
            task.replace(parts=tuple(parts)), seconds=delivery.seconds, downlink_bits=bits, record=record
        )
