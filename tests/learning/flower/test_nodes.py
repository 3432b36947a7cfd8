"""The same numbers on nodes as in one process, for every scheme; here without Flower, whose place a function takes."""

import json

import numpy as np
import pytest
import torch

from learning import SCHEMES, FedAvg, Sgd, shards, softmax, train
from radioopt import OptionError

FEW = {"iterations": 5, "max_slots": 114, "policy": "paper"}
SEEDED = FEW | {"server_iterations": 5, "seed_samples": 4}
TAUGHT = {"teacher_rounds": 5, "teacher_rate": 0.5}
OPTIONS = {
    "feel": {"optimiser": "sgd:momentum=0.5"},
    "fedavg": {"batchsize": 20},
    "fedprox": {"batchsize": 20, "server_optimiser": "sgd:momentum=0.5"},
    "scaffold": {"batchsize": 20, "partition": "shards"},
    "semi": {"public": 60, "confidence": 0.3},
    "sst": {"public": 60},
    "central": {"public": 60},
    "individual": {"batchsize": 20},
    "contrastive": {"judge": "global", "model": "mlp:8"},
    "decentralised": {"graph": "random:2", "max_outage": 1.0, "loss_probability": 0.2},
    "semi-decentralised": {"server_every": 2, "graph": "nearest:2", "clusters": 2},
    "fl": FEW,
    "fd": FEW,
    "fld": SEEDED,
    "mixfld": SEEDED,
    "mix2fld": SEEDED,
    "stu": {},
    "kd": TAUGHT,
    "simkd": TAUGHT,
}
SHORT = {"data": "digits@300+100", "rounds": 3, "seed": 4}


def columns(result, per="round"):
    return result.ledger.to_frame(per).drop(
        columns=[
            "round_s",
            "server_s",
            "nodes",
            "answered",
            "faults",
            "measured_compute_s",
            "measured_upload_s",
        ],
        errors="ignore",
    )


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("count", [1, 4])
def test_nodes_give_the_same_as_one_process(cell, over, Loopback, name, count):
    where = {"fading": "mix2fld", "twins": "dtkd"}.get(SCHEMES[name].radio, cell)
    options = SHORT | OPTIONS[name]
    here = train(where, scheme=name, **options)
    there = over(where, Loopback(count), count, scheme=name, **options)
    for per in ("round", "device"):
        np.testing.assert_allclose(
            columns(there, per).to_numpy(float), columns(here, per).to_numpy(float), rtol=1e-6, atol=1e-6
        )
    for one, other in zip(here.state.parameters.values(), there.state.parameters.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    for device in (0, 3):
        for one, other in zip(here.weights(device).values(), there.weights(device).values(), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-6)
    assert there.crew.faults == []


def test_a_node_is_sent_its_rows_of_the_plan_as_numbers_and_lists(cell, over, Loopback):
    mail = Loopback(2)
    result = over(cell, mail, 2, scheme="fedavg", **SHORT)
    plan = result.ledger.entries[0].plan
    node, letter = mail.letters[1]
    said = letter.numbers
    assert (node, said["devices"], said["round"], said["deadline_s"]) == (101, [3, 4, 5], 1, 5.0)
    assert said["batchsize"] == plan.batchsize[3:].tolist()
    assert said["uplink_slot_s"] == plan.solution.uplink_slot_s[3:].tolist()
    assert said["transmit_power_w"] == plan.devices.transmit_power_w[3:].tolist()
    assert "answer" not in letter.arrays
    assert mail.letters[2][1].arrays["answer"].keys() == result.state.parameters.keys()
    for value in said.values():
        assert isinstance(value, (int, float, str, list))
    assert json.loads(said["settings"])["scheme"] == "fedavg"


def test_what_is_measured_stands_in_the_ledger(cell, over, Loopback):
    result = over(cell, Loopback(3), 3, **SHORT)
    frame, devices = result.to_frame(), result.ledger.to_frame("device")
    assert (frame["nodes"][1:] == 3).all()
    assert (frame["answered"][1:] == 6).all()
    assert (frame["round_s"][1:] >= frame["server_s"][1:]).all()
    assert (devices["measured_compute_s"] > 0).all()
    assert (devices["measured_upload_s"] >= 0).all()


def test_the_clock_is_simulated_unless_the_wall_is_asked_for(cell, over, Loopback):
    simulated, wall = (over(cell, Loopback(3), 3, clock=clock, **SHORT) for clock in ("simulated", "wall"))
    assert simulated.ledger.seconds == train(cell, **SHORT).ledger.seconds
    assert wall.ledger.seconds == wall.to_frame()["round_s"].sum()
    entry = wall.ledger.entries[0]
    np.testing.assert_array_equal(entry.sent.compute_time_s, entry.measured["measured_compute_s"])
    assert np.isnan(wall.ledger.energy_j)
    assert "compute_factor" not in simulated.ledger.to_frame("device")
    believed = wall.ledger.to_frame("device")["compute_factor"]
    assert (believed[1] == 1).all()
    assert (believed[3] < 0.1).all()  # a small model here, and a large one in the scenario
    assert wall.config["clock"] == "wall"


def test_a_run_that_was_kept_goes_on_with_what_devices_had(cell, over, Loopback, tmp_path):
    options = SHORT | {"scheme": "scaffold", "partition": "shards"}
    whole = train(cell, **options)
    over(cell, Loopback(3), 3, checkpoint=tmp_path / "run.npz", every=1, **options | {"rounds": 2})
    again = over(cell, Loopback(2), 2, checkpoint=tmp_path / "run.npz", every=1, **options)
    assert len(again.ledger) == 3
    for one, other in zip(whole.state.parameters.values(), again.state.parameters.values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-6)


@pytest.mark.parametrize("scheme", ["fedavg", "scaffold"])
def test_a_run_that_is_kept_each_round_costs_no_letter_more(cell, over, Loopback, tmp_path, scheme):
    mail = Loopback(3)
    over(cell, mail, 3, checkpoint=tmp_path / "run.npz", every=1, **SHORT | {"scheme": scheme})
    assert [(letter.numbers["round"], letter.numbers["show"]) for _, letter in mail.letters] == [
        (round, scheme == "scaffold") for round in (1, 2, 3) for _ in range(3)
    ]


def test_a_teacher_is_told_with_every_letter_and_of_a_nodes_own_samples_alone(over, Loopback):
    mail = Loopback(2)
    result = over("dtkd", mail, 2, **SHORT | TAUGHT | {"scheme": "kd"})
    held = [sum(result.task.sizes[letter.numbers["devices"]]) for _, letter in mail.letters]
    said = [letter.arrays["teacher"]["logits"].shape for _, letter in mail.letters if letter.numbers["round"]]
    assert said[:2] == [(held[0], 10), (held[1], 10)]
    assert len(said) == 2 * SHORT["rounds"]
    uses = [name for _, letter in mail.letters[:2] for name in letter.numbers["uses"]]
    assert tuple(uses) == result.task.uses


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (
            {"before": "share-public", "public": 50},
            "before: share-public: it changes who holds which samples",
        ),
        ({"participants": 3}, "participants: over Flower everybody takes part"),
        (
            {"scheme": "fedavg", "optimiser": Sgd()},
            "scheme fedavg: optimiser: nodes are told settings as text",
        ),
        (
            {"model": softmax},
            "model: nodes are told settings as text: expected names and numbers, got <function",
        ),
        ({"partition": shards}, "partition: nodes are told"),
    ],
)
def test_what_nodes_cannot_be_told_is_refused(cell, over, Loopback, options, complaint):
    with pytest.raises(OptionError, match=complaint):
        over(cell, Loopback(2), 2, **SHORT | options)


def test_a_scheme_of_ones_own_is_refused(cell, over, Loopback):
    class Mine(FedAvg):
        pass

    with pytest.raises(OptionError, match="nodes make their scheme by its name, choose from feel"):
        over(cell, Loopback(2), 2, **SHORT | {"scheme": Mine()})


def test_there_are_at_most_as_many_nodes_as_devices(cell, over, Loopback):
    with pytest.raises(OptionError, match="nodes: expected 1 to 6, one for each device at most, got 7"):
        over(cell, Loopback(7), 7, **SHORT)
