"""Records: indexing, equality, tables; on devices' problems and on a batch with two axes."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest

from radioopt.feel import BatchsizeProblem

SHAPE = (3, 4)
DEVICES = 5


def problem(batch_shape=SHAPE, seed=1):
    rng = np.random.default_rng(seed)
    return BatchsizeProblem(
        payload_bits=rng.uniform(1e5, 1e6, batch_shape),
        uplink_rate_bps=rng.uniform(1e6, 1e7, (*batch_shape, DEVICES)),
        downlink_rate_bps=2e7,
        seconds_per_sample=0.01,
        update_time_s=0.001,
        max_batchsize=64,
    )


MANY = problem()
INDICES = {
    "row": 1,
    "negative": -1,
    "element": (2, 3),
    "slice": slice(1, None),
    "column": (slice(None), 0),
    "reversed": (slice(None, None, -1), slice(None, None, 2)),
    "ellipsis": (..., 1),
    "new axis": (None, 0),
    "list": [2, 0],
    "mask": np.arange(12).reshape(SHAPE) % 5 == 0,
    "row mask": np.array([True, False, True]),
    "pairs": ([0, 1, 2], [3, 2, 1]),
    "split pairs": ([0, 1], None, [3, 2]),
    "nothing": slice(0, 0),
}


@pytest.mark.parametrize("index", INDICES.values(), ids=INDICES)
def test_indexing_is_numpys_along_the_batch_axes(index):
    positions = np.arange(12).reshape(SHAPE)[index]
    chosen = MANY[index]
    assert type(chosen) is BatchsizeProblem
    assert chosen.batch_shape == positions.shape
    assert chosen.sizes == MANY.sizes
    rates = MANY.uplink_rate_bps.reshape(12, DEVICES)[positions]
    np.testing.assert_array_equal(chosen.uplink_rate_bps, rates)
    np.testing.assert_array_equal(chosen.payload_bits, MANY.payload_bits.reshape(12)[positions])
    assert not chosen.uplink_rate_bps.flags.writeable
    assert all(block.flags.c_contiguous for block in chosen._blocks.values())


@pytest.mark.parametrize("index", [3, (0, 4), (0, 0, 0), "row"])
def test_a_bad_index_is_an_index_error(index):
    with pytest.raises(IndexError):
        MANY[index]


def test_a_batch_is_a_sequence_and_an_instance_is_not():
    assert len(MANY) == 3
    assert [row.batch_shape for row in MANY] == [(4,)] * 3
    assert MANY.is_batch
    one = MANY[0, 0]
    assert one
    assert not one.is_batch
    with pytest.raises(TypeError, match=r"BatchsizeProblem is a single instance, not a batch$"):
        len(one)
    with pytest.raises(TypeError, match="cannot be indexed"):
        one[0]


def test_a_solution_is_indexed_with_its_problem():
    solution = MANY.solve()
    chosen = solution[..., 1]
    assert chosen.problem == MANY[:, 1]
    assert chosen.method == solution.method
    np.testing.assert_array_equal(chosen.batchsize, solution.batchsize[:, 1])
    assert chosen[0].status.ok


def test_equality_is_by_class_shape_and_value():
    assert problem() == problem()
    assert problem() != problem(seed=2)
    assert MANY[:1] != MANY[0]
    assert MANY[0].__eq__("text") is NotImplemented
    assert MANY.solve() != MANY
    with pytest.raises(TypeError, match="unhashable"):
        hash(MANY)


@pytest.mark.parametrize("clone", [copy.copy, copy.deepcopy, lambda r: pickle.loads(pickle.dumps(r))])
def test_copies_are_equal_and_read_only(clone):
    solution = MANY.solve()
    cloned = clone(solution)
    assert cloned == solution
    assert cloned.problem.solve() == solution
    assert not cloned.batchsize.flags.writeable
    assert not cloned.problem.uplink_rate_bps.flags.writeable


def test_attributes_cannot_be_set():
    with pytest.raises(AttributeError):
        MANY.payload_bits = 1.0
    with pytest.raises(AttributeError, match="BatchsizeSolution is read-only: cannot set batchsize"):
        MANY.solve().batchsize = 1.0


def test_frames_have_a_level_per_axis():
    frame = MANY.to_frame()
    assert frame.index.names == ["instance", "instance_1", "device"]
    assert frame.shape[0] == 12 * DEVICES
    assert frame.loc[(2, 3, 4), "uplink_rate_bps"] == MANY.uplink_rate_bps[2, 3, 4]
    assert "payload_bits" not in frame
    assert MANY.to_frame(axes=()).loc[(2, 3), "payload_bits"] == MANY.payload_bits[2, 3]
    one = MANY[0, 0]
    assert one.to_frame().index.equals(pd.RangeIndex(DEVICES, name="device"))
    assert one.to_frame(axes=()).shape[0] == 1


def test_repr_shows_shape_unit_and_range():
    text = repr(MANY)
    assert text.startswith("BatchsizeProblem: batch of 3 x 4 x (5 devices)\n")
    low, high = MANY.uplink_rate_bps.min(), MANY.uplink_rate_bps.max()
    assert f"{low:.6g} ... {high:.6g} bit/s" in text
    assert repr(MANY[0, 0]).startswith("BatchsizeProblem: 5 devices\n")
