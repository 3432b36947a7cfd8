"""Rows of many devices, and sums over them: against plain dicts and NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learning.models.weights import Bank, Sums, average, distance, of_device, stack

COUNT = 6
DEVICES = np.array([1, 2, 5, 7, 11, 12])  # of one architecture among others
places = st.lists(st.integers(0, COUNT - 1), min_size=1, unique=True).map(sorted)


def stored(bank):
    """Numbers of rows that are kept in memory, by name."""
    return {name: len(value) for name, value in bank.values.items()}


@st.composite
def steps(draw):
    """What happens to a bank: groups of devices are put or dropped."""
    kind = draw(st.sampled_from(["put", "put", "drop"]))
    names = draw(st.sets(st.sampled_from("ab"), min_size=1))
    return kind, draw(places), names, draw(st.booleans())


@given(todo=st.lists(steps(), max_size=6), asked=st.lists(places, min_size=1, max_size=3))
def test_a_bank_is_a_dict_by_device_and_name(todo, asked):
    bank, plain, fresh = Bank(DEVICES), {}, iter(range(10_000))
    for kind, chosen, names, shared in todo:
        devices, before = DEVICES[chosen], bank
        kept = {name: value.clone() for name, value in before.of(DEVICES).items()}
        if kind == "drop":
            bank = bank.drop(devices)
            plain = {key: row for key, row in plain.items() if key[0] not in devices}
        else:
            rows = {}
            for name in names:
                if shared:
                    one = torch.full((2, 3), float(next(fresh)))
                    rows[name] = one.expand(len(devices), 2, 3)
                else:
                    rows[name] = torch.stack([torch.full((2, 3), float(next(fresh))) for _ in devices])
                plain |= {(device, name): rows[name][i] for i, device in enumerate(devices)}
            bank = bank.put(devices, rows)
        assert {name: value.tolist() for name, value in before.of(DEVICES).items()} == {
            name: value.tolist() for name, value in kept.items()
        }
        for name, value in bank.values.items():  # nothing is kept that nobody has
            assert set(bank.row[name][bank.row[name] >= 0]) == set(range(len(value)))
    for chosen in [*asked, range(COUNT)]:
        devices = DEVICES[list(chosen)]
        found = bank.of(devices)
        for name in "ab":
            expected = [plain.get((device, name)) for device in devices]
            if any(row is None for row in expected):
                assert name not in found
            else:
                assert torch.equal(found[name], torch.stack(expected))


def test_a_row_that_all_have_is_stored_once():
    weights = {"w": torch.ones(3, 2), "counter": torch.tensor(4)}
    bank = Bank(DEVICES).put(DEVICES, stack(weights, COUNT))
    assert stored(bank) == {"w": 1, "counter": 1}
    seen = bank.of(DEVICES)["w"]
    assert seen.stride(0) == 0
    assert seen.data_ptr() == weights["w"].data_ptr()  # no copy was made
    assert bank.of(DEVICES[[3]])["w"].shape == (1, 3, 2)


def test_a_row_that_groups_share_is_stored_once_and_others_beside_it():
    weights = {"w": torch.ones(3)}
    groups = [
        (DEVICES[:2], stack(weights, 2)),
        (DEVICES[2:4], {"w": torch.zeros(2, 3)}),
        (DEVICES[4:], stack(weights, 2)),
    ]
    assert stored(Bank(DEVICES).put_all([groups[0], groups[2]])) == {"w": 1}
    bank = Bank(DEVICES).put_all(groups)
    assert bank.of(DEVICES)["w"][:, 0].tolist() == [1, 1, 0, 0, 1, 1]
    bank = bank.put(DEVICES[2:4], stack(weights, 2))
    assert bank.of(DEVICES)["w"].tolist() == [[1.0] * 3] * COUNT


def test_one_memory_read_in_two_ways_is_two_rows():
    square = torch.arange(4.0).view(2, 2)
    groups = [(DEVICES[:3], stack({"w": square}, 3)), (DEVICES[3:], stack({"w": square.T}, 3))]
    found = Bank(DEVICES).put_all(groups).of(DEVICES)["w"]
    assert torch.equal(found[0], square)
    assert torch.equal(found[5], square.T)


def test_what_is_dropped_by_all_is_gone():
    bank = Bank(DEVICES).put(DEVICES, {"w": torch.rand(COUNT, 2)})
    assert stored(bank.drop(DEVICES[:4])) == {"w": 2}
    assert bank.drop(DEVICES).values == {}
    assert stored(bank) == {"w": COUNT}


def test_an_empty_bank_has_nothing():
    assert Bank(DEVICES).of(DEVICES) == {}
    assert Bank(DEVICES).drop(DEVICES).of(DEVICES) == {}


@given(
    rows=st.lists(st.tuples(st.floats(-1e3, 1e3), st.integers(0, 9)), min_size=1, max_size=8),
    cuts=st.sets(st.integers(1, 7)),
)
def test_a_mean_over_groups_is_that_over_all(rows, cuts):
    values, shares = (
        torch.tensor([v for v, _ in rows], dtype=torch.float64),
        torch.tensor([w for _, w in rows]),
    )
    sums = Sums()
    for group in np.split(np.arange(len(rows)), [cut for cut in sorted(cuts) if cut < len(rows)]):
        chosen = torch.from_numpy(group)[shares[group] > 0]
        sums.add({"w": values[chosen], "n": chosen}, shares[chosen])
        sums.count("groups", 1.0)
    assert sums.total == shares.sum()
    if not sums.total:
        assert sums.mean() == {}
        return
    expected = np.average(values.numpy(), weights=shares.numpy())
    assert float(sums.mean()["w"]) == pytest.approx(expected, rel=1e-12, abs=1e-9)
    whole = sums.mean()["n"]
    assert whole.dtype == torch.int64
    assert abs(float(whole) - np.average(np.arange(len(rows)), weights=shares.numpy())) <= 0.5 + 1e-9


@given(
    weight=st.floats(-1e3, 1e3, width=32), shares=st.lists(st.integers(1, 10_000), min_size=1, max_size=60)
)
def test_the_mean_of_equal_weights_is_that_weight(weight, shares):
    rows = {"w": torch.full((len(shares), 2), weight)}
    assert average(rows, torch.tensor(shares))["w"].tolist() == [weight] * 2


def test_sums_leave_what_they_are_given_as_it_was():
    given_ = {"w": torch.ones(3, dtype=torch.float64)}
    sums = Sums()
    for _ in range(2):
        sums.add_sums(given_, 1.0)
    assert given_["w"].tolist() == [1.0] * 3
    assert sums.values["w"].tolist() == [2.0] * 3
    wide = Sums()
    for _ in range(2):
        wide.add_sums({"w": torch.ones((), dtype=torch.float64).expand(3)}, 1.0)
    assert wide.values["w"].tolist() == [2.0] * 3


@pytest.mark.parametrize("kind", [torch.float32, torch.float64, torch.bfloat16])
def test_a_mean_has_the_number_type_of_the_rows(kind):
    rows = {"w": torch.tensor([[1.0, 2.0], [3.0, 6.0]], dtype=kind)}
    sums = Sums()
    for k in range(2):
        sums.add({"w": rows["w"][k : k + 1]}, torch.tensor([k + 1]))
    assert sums.values["w"].dtype == torch.float64
    torch.testing.assert_close(sums.mean()["w"], torch.tensor([7 / 3, 14 / 3], dtype=kind))
    torch.testing.assert_close(average(rows, torch.tensor([1, 2]))["w"], sums.mean()["w"])


def test_distances_are_relative_and_without_whole_numbers():
    one = {"w": torch.tensor([3.0, 4.0]), "n": torch.tensor(9)}
    assert distance(one, {"w": torch.tensor([0.0, 4.0]), "n": torch.tensor(1)}) == 0.75
    assert distance(one, {"w": torch.zeros(2)}) == math.inf
    assert math.isnan(distance({"w": torch.zeros(2)}, {"w": torch.zeros(2)}))
    assert torch.equal(of_device(stack(one, 3), 2)["w"], one["w"])
