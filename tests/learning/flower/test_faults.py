"""What nodes can do wrong: the round closes with who answered, nothing wrong enters the model, training goes on."""

import math
import time

import numpy as np
import pytest
import torch

from learning import train
from learning.flower.letters import Sealed
from learning.flower.post import POLL_S, Post
from learning.flower.sealing import seal
from radioopt import OptionError

SHORT = {"data": "digits@300+100", "rounds": 3, "seed": 4, "scheme": "fedavg", "batchsize": 20}
BAD, WELL = 101, (0, 1, 4, 5)  # of three nodes with two devices each


def changed(letter, name="1.weight", compartment="values/0", **numbers):
    """An answer in which an array is another one."""

    def other(make):
        arrays = {key: dict(value) for key, value in letter.arrays.items()}
        arrays[compartment][name] = make(arrays[compartment][name])
        return letter._replace(arrays=arrays)

    return other


def nan(letter):
    from learning.flower.sealing import unseal

    def make(sealed):
        value = unseal(sealed).clone()
        value[1, 2, 3] = math.nan
        return seal(value)

    return changed(letter)(make)


def infinite(letter):
    return changed(letter)(lambda sealed: seal(torch.full(sealed.shape, math.inf)))


def reshaped(letter):
    return changed(letter)(lambda sealed: seal(torch.zeros(sealed.shape[0], 7)))


def retyped(letter):
    return changed(letter)(lambda sealed: seal(torch.zeros(sealed.shape, dtype=torch.float64)))


def oversized(letter):
    return changed(letter)(lambda sealed: sealed._replace(data=sealed.data + bytes(5000)))


def bigger_than_it_says(letter):
    other = seal(torch.zeros(2, 3))
    return changed(letter)(lambda sealed: Sealed(sealed.dtype, sealed.shape, other.data))


def garbage(letter):
    return changed(letter)(lambda sealed: sealed._replace(data=b"no array"))


def pickled(letter):
    import pickle

    return changed(letter)(lambda sealed: sealed._replace(data=pickle.dumps(print)))


def one_more(letter):
    arrays = {**letter.arrays, "values/0": {**letter.arrays["values/0"], "more": seal(torch.zeros(2))}}
    return letter._replace(arrays=arrays)


def nothing(letter):
    return letter._replace(arrays={})


def says(**numbers):
    return lambda letter: letter._replace(numbers={**letter.numbers, **numbers})


WRONG = {
    nan: "values 1.weight: nan at [1, 2, 3]",
    infinite: "values 1.weight: inf at [0, 0, 0]",
    reshaped: "values 1.weight: expected float32 of shape (2, ",
    retyped: "got float64 of shape",
    oversized: "bytes, which are more than",
    bigger_than_it_says: "cannot be read (its bytes are another array than it says)",
    garbage: "values 1.weight: cannot be read",
    pickled: "values 1.weight: cannot be read",
    one_more: "values: expected 1.weight, ",
    nothing: "got nothing",
    says(round=7): "answered round 7",
    says(devices=[0, 1]): "answered for devices [0, 1], and has [2, 3]",
    says(digest="other"): "has other data, another partition or other initial weights",
    says(compute_s=-1.0): "compute_s: expected seconds, got -1.0",
    says(load_s="long"): "load_s: expected seconds, got 'long'",
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_not_what_the_scheme_would_make_is_left_out_and_said(cell, over, Loopback, fault):
    result = over(cell, Loopback(3, {BAD: fault}), 3, **SHORT | {"rounds": 2})
    assert len(result.crew.faults) == 2
    for one in result.crew.faults:
        assert one.node == BAD
        assert WRONG[fault] in one.fault
    frame, devices = result.to_frame(), result.ledger.to_frame("device")
    assert frame["arrived"][1:].tolist() == frame["answered"][1:].tolist() == [4, 4]
    assert frame["faults"][1:].tolist() == [1, 1]
    assert devices["arrived"][1].tolist() == [device in WELL for device in range(6)]
    assert all(value.isfinite().all() for value in result.state.parameters.values())
    assert result.tables()["faults.csv"]["node"].tolist() == [BAD, BAD]


def alone(cell, keep):
    """One round in process in which only some devices arrive."""
    from learning import Tdma

    class Some(Tdma):
        def transmit(self, payload, plan, rng):
            from dataclasses import replace

            sent = super().transmit(payload, plan, rng)
            return replace(sent, arrived=np.isin(np.arange(6), keep))

    return train(cell, radio=Some(), **SHORT | {"rounds": 1})


def same(one, other):
    return all(
        torch.allclose(a, b, rtol=0, atol=1e-7)
        for a, b in zip(one.state.parameters.values(), other.state.parameters.values(), strict=True)
    )


@pytest.mark.parametrize("fault", [nan, lambda letter: "failed with code 2: boom", lambda letter: None])
def test_the_others_count_as_if_the_device_were_late(cell, over, Loopback, fault):
    result = over(cell, Loopback(3, {BAD: fault}), 3, deadline_s=0.1, **SHORT | {"rounds": 1})
    assert same(result, alone(cell, WELL))


def test_who_never_answers_ends_no_round_beyond_its_deadline(cell, over, Loopback):
    began = time.monotonic()
    result = over(cell, Loopback(3, {BAD: lambda letter: None}), 3, deadline_s=0.2, **SHORT)
    assert (result.to_frame()["round_s"][1:] >= 0.2).all()
    assert time.monotonic() - began < 60
    assert result.crew.faults[0].fault == "did not answer within 0.2 s"
    assert len(result.ledger) == 3


def test_an_answer_after_the_deadline_is_noted_and_thrown_away(cell, over, Loopback):
    mail = Loopback(3)

    def slow(letter):
        if letter.numbers["round"] == 1:
            return "late"
        mail.kept[mail.late.id] = mail.late
        return letter

    mail.faults[BAD] = slow
    result = over(cell, mail, 3, deadline_s=0.2, **SHORT)
    assert [(one.round, one.fault) for one in result.crew.faults] == [
        (1, "did not answer within 0.2 s"),
        (2, "answered round 1 after its deadline"),
    ]
    assert result.to_frame()["answered"][1:].tolist() == [4, 6, 6]


def test_of_two_answers_the_first_counts(cell, over, Loopback):
    result = over(cell, Loopback(3, {BAD: lambda letter: "twice"}), 3, **SHORT)
    assert same(result, train(cell, **SHORT))
    assert result.crew.faults == []


def test_a_node_that_goes_between_rounds_is_absent_until_another_takes_its_devices(cell, over, Loopback):
    mail = Loopback(3)

    def leave_and_join(round, entry, ledger):
        if round == 1:
            mail.there.remove(BAD)
        if round == 2:
            mail.there.append(555)

    result = over(cell, mail, 3, callbacks=leave_and_join, **SHORT)
    assert result.to_frame()["answered"][1:].tolist() == [6, 4, 6]
    assert [(one.round, one.node, one.fault) for one in result.crew.faults] == [(2, BAD, "cannot be reached")]
    assert result.crew.parts[555].tolist() == [2, 3]


def test_devices_that_lost_what_they_keep_begin_anew_and_it_is_said(cell, over, Loopback):
    mail = Loopback(3)
    result = over(
        cell,
        mail,
        3,
        callbacks=lambda round, entry, ledger: mail.memory.clear() if round == 1 else None,
        **SHORT | {"scheme": "scaffold"},
    )
    lost = "had lost what its devices keep: they began anew"
    assert [(one.round, one.fault) for one in result.crew.faults] == [(2, lost)] * 3
    assert result.to_frame()["answered"][1:].tolist() == [6, 6, 6]


def test_a_node_that_is_killed_while_it_works(cell, over, Loopback):
    mail = Loopback(3)
    mail.faults[BAD] = lambda letter: mail.there.remove(BAD) if letter.numbers["round"] == 2 else letter
    result = over(cell, mail, 3, deadline_s=0.2, **SHORT)
    assert result.to_frame()["answered"][1:].tolist() == [6, 4, 4]
    assert [one.fault for one in result.crew.faults] == ["did not answer within 0.2 s", "cannot be reached"]


@pytest.mark.parametrize("scheme", ["fedavg", "feel", "scaffold", "individual"])
def test_a_round_without_anybody_changes_nothing(cell, over, Loopback, scheme):
    mail = Loopback(2, {100: lambda letter: "failed", 101: lambda letter: "failed"})
    options = {name: value for name, value in SHORT.items() if scheme != "feel" or name != "batchsize"}
    result = over(cell, mail, 2, **options | {"scheme": scheme, "rounds": 2})
    assert result.to_frame()["answered"][1:].tolist() == [0, 0]
    initial = result.task.initial_parameters()
    for name, value in result.state.parameters.items():
        torch.testing.assert_close(value, initial[name])


def test_too_few_devices_change_nothing(cell, over, Loopback):
    result = over(cell, Loopback(3, {BAD: nan}), 3, min_arrived=5, **SHORT | {"rounds": 1})
    assert result.to_frame()["answered"][1] == 0
    assert result.crew.faults[-1].fault == "4 devices answered, and 5 have to"
    initial = result.task.initial_parameters()
    assert all(torch.equal(value, initial[name]) for name, value in result.state.parameters.items())


def test_a_server_whose_disk_is_full_leaves_the_last_checkpoint_to_go_on_from(
    cell, over, Loopback, tmp_path, monkeypatch
):
    from learning.runs import checkpoint

    write, path = checkpoint.write_whole, tmp_path / "run.npz"

    def full(where, data, calls=[0]):  # noqa: B006
        calls[0] += 1
        if calls[0] == 2:
            raise OSError(28, "No space left on device")
        return write(where, data)

    monkeypatch.setattr(checkpoint, "write_whole", full)
    with pytest.raises(OSError, match="No space left"):
        over(cell, Loopback(3), 3, checkpoint=path, every=1, **SHORT)
    again = over(cell, Loopback(3), 3, checkpoint=path, every=1, **SHORT)
    assert same(again, train(cell, **SHORT))


def test_too_few_nodes_are_not_waited_for_for_ever(cell, over, Loopback, monkeypatch):
    from learning.flower import simulation

    with pytest.raises(OptionError, match=r"nodes: expected 3, and after 0.05 s there are 2: start more"):
        simulation._gathered(Loopback(2), 3, 0.05, 0.01)


def test_nothing_is_sent_and_nothing_is_waited_for_without_nodes(Loopback):
    began = time.monotonic()
    received = Post(Loopback(0), 5.0, POLL_S).exchange(1, {})
    assert received.letters == {}
    assert time.monotonic() - began < 4
