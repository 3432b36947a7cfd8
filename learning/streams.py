"""Random numbers of a run: a generator for each purpose, round and device, all from one seed."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import NamedTuple

import numpy as np


class Streams(NamedTuple):
    """Independent random numbers for each purpose, round and device of a run.

    Nobody's numbers depend on how many others there are or on the order of work: a device draws the same in a process
    with all others, in a chunk, or alone on another machine. Runs with the same seed are *paired*: a policy that draws
    more changes nothing elsewhere, so that all policies see the same data split, channels, initial weights and order
    of samples. There is nothing to keep in a checkpoint.

    Attributes
    ----------
    seed : int
        Seed >= 0 of the run.

    Examples
    --------
    >>> streams = Streams(seed=1)
    >>> one, same = (streams.at("training", round=3, device=5).random() for _ in range(2))
    >>> one == same, one == streams.at("training", round=3, device=6).random()
    (True, False)
    """

    seed: int

    def at(self, purpose: str, round: int = 0, device: int | None = None) -> np.random.Generator:
        """Make the generator of a purpose.

        Parameters
        ----------
        purpose : str
            What it is for: "data", "public", "partition", "weights", "channel", "policy", "link", "training",
            "server", ...; any other name is one more stream.
        round : int, default 0
            Round >= 0; 0 is before the first.
        device : int, optional
            Device >= 0; by default it is the server's or everybody's.

        Returns
        -------
        numpy.random.Generator
            Fresh: two calls give the same numbers.
        """
        words = (*_words(self.seed, purpose), round, *(() if device is None else (device,)))
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(np.array(words, np.uint32))))


@lru_cache
def _words(seed: int, purpose: str) -> tuple[int, ...]:
    """Return what ``SeedSequence(seed, spawn_key=(crc, ...))`` begins with, which it takes far longer to put together.

    That is the seed in words of 32 bits, low ones first, filled up to four, and the check sum of the purpose.
    """
    words = tuple(seed >> shift & 0xFFFFFFFF for shift in range(0, seed.bit_length(), 32))
    return (*words, *(0,) * (4 - len(words)), zlib.crc32(purpose.encode()))
