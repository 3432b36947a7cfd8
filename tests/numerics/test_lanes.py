"""Numbers in lanes are numbers: the same operations on arrays, compiled and not."""

import numpy as np
import pytest

from radioopt.numerics.jit import kernel, lean_kernel
from radioopt.numerics.lanes import (
    LANES,
    absolute,
    any_lane,
    broadcast,
    gather,
    larger,
    load,
    pick,
    put,
    root,
    scratch_rows,
    select,
    smaller,
    store,
)
from radioopt.numerics.vmath import fast_exp, fast_log, fast_log1p


@kernel
def _arithmetic(x, y):
    rows = scratch_rows(12)
    store(rows, 0, x[0])
    for j in range(LANES):
        rows[1, j], rows[2, j] = x[j], y[j]
    a, b = load(rows, 1), load(rows, 2)
    store(rows, 3, 2.0 * a + b / 3.0 - (1.0 - a) * b)
    store(rows, 4, select((a < b) | (a >= 2.0 * b), a, select((a > 0.0) & (b <= 1.0), b, 0.5)))
    store(rows, 5, larger(a, b) + smaller(absolute(a), 1.0))
    store(rows, 6, root(absolute(a)))
    store(rows, 7, fast_exp(b))
    store(rows, 8, fast_log(absolute(a) + 1e-3))
    store(rows, 9, fast_log1p(absolute(b)))
    store(rows, 10, select(a == broadcast(x[2]), 1.0, 0.0))
    store(rows, 11, select(a < 0.0, 1.0, a))
    return rows, any_lane(a < b), any_lane(a > 1e9)


def test_operations_are_those_of_arrays():
    rng = np.random.default_rng(0)
    for _ in range(20):
        x, y = rng.normal(size=(2, LANES)) * 3
        rows, some, none = _arithmetic(x, y)
        assert rows.ctypes.data % 64 == 0
        assert (rows[0] == x[0]).all()
        inside = np.where((x > 0) & (y <= 1), y, 0.5)
        expected = {
            3: 2 * x + y / 3 - (1 - x) * y,
            4: np.where((x < y) | (x >= 2 * y), x, inside),
            5: np.maximum(x, y) + np.minimum(np.abs(x), 1),
            6: np.sqrt(np.abs(x)),
            7: np.exp(y),
            8: np.log(np.abs(x) + 1e-3),
            9: np.log1p(np.abs(y)),
            10: x == x[2],
            11: np.where(x < 0, 1, x),
        }
        for row, values in expected.items():
            np.testing.assert_allclose(rows[row], values, rtol=1e-14, atol=1e-15, err_msg=str(row))
        assert some == (x < y).any()
        assert not none


@kernel
def _copy(device, instance, out_device, out_instance):
    for first in range(0, device.shape[1], LANES):
        for field in range(device.shape[0]):
            put(out_instance, (field, first), pick(instance, (field, first)))
            for k in range(device.shape[2]):
                put(out_device, (field, first, k), pick(device, (field, first, k)))


@pytest.mark.parametrize("count", [1, 7, 8, 9, 16, 20])
def test_blocks_of_eight_cover_any_number_of_instances(count):
    device, instance = np.random.default_rng(count).random((2, count, 3)), np.arange(2.0 * count)
    instance = instance.reshape(2, count)
    outputs = np.zeros_like(device), np.zeros_like(instance)
    _copy(device, instance, *outputs)
    np.testing.assert_array_equal(outputs[0], device)
    np.testing.assert_array_equal(outputs[1], instance)


@lean_kernel
def _read(numbers, flags, first, second, out):
    for row in range(out.shape[0]):
        i, j = load(first, row), load(second, row)
        found = gather(numbers, (i, 1, j)) + gather(numbers, (2, 0, j)) + gather(numbers, (0, 1, 2))
        store(out, row, select(gather(flags, (j, i)), found, load(out, row)))


def test_lanes_are_read_from_where_lanes_say():
    rng = np.random.default_rng(0)
    numbers, flags = rng.random((4, 2, 3)), rng.random((3, 4)) < 0.5
    first, second = rng.integers(0, 4, 16), rng.integers(0, 3, (2, LANES))
    out = rng.random((2, LANES))
    i, j = first.reshape(2, LANES), second
    expected = np.where(flags[j, i], numbers[i, 1, j] + numbers[2, 0, j] + numbers[0, 1, 2], out)
    _read(numbers, flags, first, second, out)
    np.testing.assert_array_equal(out, expected)


@kernel
def _log1p(x, out):
    for n in range(x.size):
        out[n] = fast_log1p(x[n])


def test_log1p_keeps_the_digits_of_small_and_large_numbers():
    x = np.concatenate([10.0 ** np.linspace(-300, 300, 3001), np.linspace(0, 4, 1001), [0.0]])
    out = np.empty_like(x)
    _log1p(x, out)
    np.testing.assert_allclose(out, np.log1p(x), rtol=5e-16, atol=0)
