"""Streams: the numbers that NumPy's own seed sequences give, whatever is done to make them sooner."""

import zlib

import numpy as np
import pytest

from learning.streams import Streams


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32, 2**64 + 3, 2**128 - 1, 2**130 + 5])
@pytest.mark.parametrize("device", [None, 0, 99_999])
def test_a_stream_is_the_child_of_the_seed_by_purpose_round_and_device(seed, device):
    key = (zlib.crc32(b"training"), 3) + (() if device is None else (device,))
    expected = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
    found = Streams(seed).at("training", 3, device)
    assert found.random(4).tolist() == expected.random(4).tolist()
