"""What a round allots, as far as loop, ledger and links of every kind need to know it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from radioopt.base.errors import OptionError
from radioopt.scenario import Devices

Batchsizes = NDArray[np.int64]


class Payload(NamedTuple):
    """What is sent in a round.

    Attributes
    ----------
    uplink_bits : float
        From each device to the server >= 0 [bit].
    downlink_bits : float
        From the server to each device >= 0 [bit].
    """

    uplink_bits: float
    downlink_bits: float


PlanT = TypeVar("PlanT", bound="Plan")


@dataclass(frozen=True, eq=False)
class Plan:
    """What the devices do in one round; allocators derive their own, with the resources that their link spends.

    Parameters
    ----------
    devices : Devices
        The devices with this round's channel.
    batchsize : ndarray of int64, shape (K,)
        Samples that each device trains with in the round, repetitions counted.
    payload : Payload
        What the resources were planned for.

    Notes
    -----
    A plan is kept in the ledger and, with it, in checkpoints: its fields are numbers, arrays, records of radioopt
    and containers of them.
    """

    devices: Devices
    batchsize: Batchsizes
    payload: Payload

    def figures(self) -> Mapping[str, float]:
        """Return numbers of the plan worth a column in the table of rounds; none unless overridden."""
        return {}

    def spent_by(self, link: object, kind: type[PlanT]) -> PlanT:
        """Return this plan as the kind that a link spends, or raise the ``OptionError`` that says it cannot."""
        if isinstance(self, kind):
            return self
        raise OptionError(
            f"link: {type(link).__name__} spends a {kind.__name__}, and the rounds of this scheme are planned as "
            f"{type(self).__name__}: leave the link out, or take another scheme"
        )


class Allocator(Protocol):
    """Decides the resources of a round."""

    def __call__(self, devices: Devices, rng: np.random.Generator) -> Any:
        """Return the :class:`Plan` for devices with this round's channel; `rng` serves policies that draw."""
        ...
