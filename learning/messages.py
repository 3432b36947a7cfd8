"""Messages: all that crosses between devices and server, and how much of it there is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from learning.models.weights import Sums, Weights
from learning.options import real
from radioopt.base.errors import OptionError

#: numbers by what they are: "weights", "gradient", "outputs", "samples", or a name of one's own
Parcel = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Wire:
    """How much a device sends and hears in a round, as a scheme declares it; radios plan with it and charge for it.

    Parameters
    ----------
    up, down : mapping of str to int
        Numbers by what they are: "weights", "gradient", "outputs", "samples" (features of samples), or a name of one's
        own. "weights" and "gradient" cost the scenario's payload each, however many numbers they are here; a name of
        one's own costs 32 bits a number, or its `bits`. So whatever is as large as the model goes by one of the two.
        With ``bits_per_parameter`` every number costs that, but those whose bits are said here.
    seeded : bool, default False
        Whether every device sends samples too in the first round, as many as the plan says.
    bits : mapping of str to float, optional
        Size > 0 of a number of a name of one's own [bit]: 1 for yes or no, 8 for a byte.
    across : mapping of str to int, optional
        Numbers from each device to each of its neighbours, over links between devices; none by default.

    Raises
    ------
    OptionError
        If a size is none, or of what is not sent.

    Examples
    --------
    >>> Wire({"weights": 4810}, {"weights": 4810}).numbers
    (4810, 4810)
    """

    up: Parcel
    down: Parcel
    seeded: bool = False
    bits: Mapping[str, float] = field(default_factory=dict)
    across: Parcel = field(default_factory=dict)

    def __post_init__(self) -> None:
        for kind, size in self.bits.items():
            real(f"bits: {kind}", size)
            sent = {**self.up, **self.down, **self.across}
            if kind not in sent:
                raise OptionError(f"bits: {kind} is not sent, which is: {', '.join(sent)}")

    @property
    def numbers(self) -> tuple[int, int]:
        """Numbers up from a device, and down to it."""
        return sum(self.up.values()), sum(self.down.values())


@dataclass(frozen=True, eq=False)
class Message:
    """Named tensors: from some devices, with the device as the first axis, or from the server, without.

    Parameters
    ----------
    values : mapping of str to Tensor
        What is sent and charged.
    notes : mapping of str to Tensor
        What is said beside it and not charged: losses, counts.
    """

    values: Weights
    notes: Weights = field(default_factory=dict)

    def numbers(self, *, rows: bool) -> int:
        """Count the numbers sent, by each device if there are `rows`.

        Parameters
        ----------
        rows : bool
            Whether the first axis is the device.

        Returns
        -------
        int
            Without the notes, and without counters: single whole numbers, as batch normalisation has one in a layer.
        """
        return sum(
            value[:1].numel() if rows else value.numel()
            for value in self.values.values()
            if value.is_floating_point() or value.dim() > rows
        )

    def into(self, sums: Sums, shares: Tensor) -> None:
        """Add the devices' values to weighted sums.

        Parameters
        ----------
        sums : Sums
            Of all devices so far.
        shares : Tensor, shape (k,)
            Weight >= 0 of each device; those of weight 0 do not count, whatever they sent.
        """
        chosen = torch.nonzero(shares).squeeze(1)
        if len(chosen) == len(shares):
            sums.add(self.values, shares)
        else:
            sums.add(
                {name: value[chosen.to(value.device)] for name, value in self.values.items()}, shares[chosen]
            )
