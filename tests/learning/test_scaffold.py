"""SCAFFOLD: control variates against a plain loop of the paper's algorithm, late devices, missed answers, prices."""

import math

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from learning import Crew, Dataset, FedAvg, Scaffold, Streams, Task, Turn, train
from learning.local.batches import epochs
from learning.models import build as models
from learning.models.weights import average
from learning.schemes.scaffold import HEARD, OWN
from radioopt import OptionError, Scenario

SIZES = [6, 11, 3, 20]
HELD = torch.tensor(SIZES, dtype=torch.float64) / sum(SIZES)
ALL, NONE = (True,) * 4, (False,) * 4
#: who arrives and who receives, in two rounds each
WHOLE = [(ALL, ALL), (ALL, ALL)]
LATE = [((True, False, True, True), (True, True, False, True)), ((True, True, True, False), ALL)]


def task():
    """Four devices with unequal amounts of random data, in double precision."""
    rng = np.random.default_rng(0)
    parts = tuple(np.split(rng.permutation(40), np.cumsum(SIZES)[:-1]))
    test_x = rng.normal(size=(30, 1, 8, 8))
    data = Dataset(rng.normal(size=(40, 1, 8, 8)), rng.integers(0, 5, 40), test_x, rng.integers(0, 5, 30), 5)
    return Task(data, parts, models.build("mlp", (1, 8, 8), 5, rng).double(), Streams(7))


class Plan:
    batchsize = np.array(SIZES)

    def told(self):
        return {}

    def takes_part(self):
        return None


class Sent:
    def __init__(self, arrived, received):
        self.arrived, self.received = np.array(arrived), np.array(received)


def run(scheme, job, links):
    """The state of the server before the first round and after every round, and what devices have after the last."""
    crew, states = Crew(scheme, job), [scheme.begin(job)]
    for round, link in enumerate(links, 1):
        states.append(scheme.round(states[-1], crew, Turn(round, Plan(), Sent(*link))))
    return states, crew.banks["model"].of(np.arange(4))


def variates(rows, place):
    return {name.removeprefix(place): value for name, value in rows.items() if name.startswith(place)}


def flat(values):
    return torch.cat([value.flatten().double() for value in values.values()])


def same(one, other, rtol=1e-10):
    assert list(one) == list(other)
    torch.testing.assert_close(flat(one), flat(other), rtol=rtol, atol=1e-13)


def vector(model):
    return nn.utils.parameters_to_vector(model.parameters()).detach().clone()


def the_paper_s_algorithm(job, links, batchsize, count, rate, server_rate):
    """Algorithm 1 with option II, as one vector of weights per device and one step after the other.

    Differences go up, as printed. What a late device would have sent reaches the server with its next message.
    """
    model, (x, y) = job.model, job.samples
    before = vector(model)
    weights, server = before.clone(), torch.zeros_like(before)
    started, heard = [weights] * 4, [server] * 4
    own, reached = [server] * 4, [server] * 4
    for round, (arrived, received) in enumerate(links, 1):
        drawn = epochs(job.parts, batchsize, count, job.cohort().rngs("training", round))
        ended = []
        for k in range(4):
            here, steps = started[k].clone(), 0
            for rows, size in zip(drawn.index[:, k], drawn.size[:, k].tolist(), strict=True):
                if size:
                    nn.utils.vector_to_parameters(here, model.parameters())
                    loss = functional.cross_entropy(model(x[rows[:size]]), y[rows[:size]])
                    gradient = torch.cat(
                        [one.flatten() for one in torch.autograd.grad(loss, list(model.parameters()))]
                    )
                    here = here - rate * (gradient - own[k] + heard[k])
                    steps += 1
            own[k] = own[k] - heard[k] + (started[k] - here) / (steps * rate)
            ended.append(here)
        there = [k for k in range(4) if arrived[k]]
        total = sum(HELD[k] for k in there)
        weights = weights + server_rate * sum(HELD[k] / total * (ended[k] - weights) for k in there)
        server = server + sum(HELD[k] * (own[k] - reached[k]) for k in there)
        for k in there:
            reached[k] = own[k]
        started = [weights if received[k] else ended[k] for k in range(4)]
        heard = [server if received[k] else heard[k] for k in range(4)]
    nn.utils.vector_to_parameters(before, model.parameters())
    return weights, server, torch.stack(started), torch.stack(own), torch.stack(heard)


def vectors(rows):
    return torch.cat([value.flatten(1) for value in rows.values()], 1)


@pytest.mark.parametrize("links", [WHOLE, LATE, [*LATE, (NONE, ALL), (ALL, NONE), *WHOLE]])
@pytest.mark.parametrize("server_rate", [1.0, 0.7])
def test_rounds_are_the_paper_s_algorithm(links, server_rate):
    scheme = Scaffold(learning_rate=0.3, batchsize=4, epochs=2, server_learning_rate=server_rate)
    states, rows = run(scheme, task(), links)
    expected = the_paper_s_algorithm(task(), links, 4, 2, 0.3, server_rate)
    weights = {name: value for name, value in rows.items() if "/" not in name}
    found = (
        flat(states[-1].parameters),
        flat(states[-1].variates),
        vectors(weights),
        vectors(variates(rows, OWN)),
        vectors(variates(rows, HEARD)),
    )
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-12)


def test_where_all_take_part_the_server_s_variate_is_the_mean_of_the_devices_():
    states, rows = run(Scaffold(batchsize=4, epochs=2), task(), [(ALL, ALL)] * 3)
    own = variates(rows, OWN)
    same(average(own, torch.tensor(SIZES)), dict(states[-1].variates))
    same(own, dict(states[-1].arrived))
    for name, value in variates(rows, HEARD).items():
        torch.testing.assert_close(value[2], states[-1].variates[name], rtol=0, atol=0)
    assert float(flat(states[-1].variates).norm()) > 0.1


def test_a_variate_is_the_mean_gradient_on_the_way():
    job, scheme = task(), Scaffold(batchsize=100)
    rows = run(scheme, job, [(ALL, ALL)])[1]
    x, y = job.samples
    for k, part in enumerate(job.parts):
        loss = functional.cross_entropy(job.model(x[part]), y[part])
        gradient = torch.autograd.grad(loss, list(job.model.parameters()))
        for value, expected in zip(variates(rows, OWN).values(), gradient, strict=True):
            torch.testing.assert_close(value[k], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("options", [{"batchsize": 4, "iterations": 1}, {"batchsize": 4, "epochs": 3}])
def test_with_variates_of_zero_a_round_is_fedavg_s(options):
    link = [((True, False, True, True), ALL)]
    (_, one), _ = run(Scaffold(**options), task(), link)
    (_, other), _ = run(FedAvg(**options), task(), link)
    assert torch.equal(flat(one.parameters), flat(other.parameters))
    assert one.train_loss == other.train_loss


def test_one_step_with_everything_leaves_nothing_to_correct():
    one, _ = run(Scaffold(batchsize=100), task(), [(ALL, ALL)] * 4)
    other, _ = run(FedAvg(batchsize=100), task(), [(ALL, ALL)] * 4)
    same(dict(one[-1].parameters), dict(other[-1].parameters))


def test_if_nobody_arrives_model_and_variates_stay():
    scheme = Scaffold(batchsize=4)
    (_, before, after), rows = run(scheme, task(), [(ALL, ALL), (NONE, ALL)])
    assert after.parameters is before.parameters
    assert after.variates is before.variates
    assert after.arrived is before.arrived
    assert math.isnan(after.train_loss)
    assert math.isnan(scheme.change(before, after))
    for name, value in before.variates.items():
        assert torch.equal(rows[HEARD + name][1], value)
        assert not torch.equal(rows[OWN + name], before.arrived[name])  # they trained all the same


def test_what_a_late_device_sent_does_not_count_even_if_it_is_no_number():
    arrived = (True, True, False, True)
    (_, clean), _ = run(Scaffold(batchsize=4), task(), [(arrived, ALL)])
    scheme, job = Scaffold(batchsize=4), task()
    state, crew = scheme.begin(job), Crew(scheme, job)
    bank = crew.banks["model"]
    broken = {name: value.clone() for name, value in bank.of(np.arange(4)).items()}
    broken["1.weight"][2] = math.nan
    crew.banks["model"] = bank.put(np.arange(4), broken)
    after = scheme.round(state, crew, Turn(1, Plan(), Sent(arrived, ALL)))
    same(dict(after.parameters), dict(clean.parameters))
    same(dict(after.variates), dict(clean.variates))
    assert after.train_loss == pytest.approx(clean.train_loss, rel=1e-12)


def test_hooks_leave_what_they_got_as_it_was():
    scheme, job = Scaffold(batchsize=4), task()
    first, crew = scheme.begin(job), Crew(scheme, job)
    copies = {}
    for number in (1, 2):
        rows = crew.banks["model"].of(np.arange(4))
        held = {
            "parameters": first.parameters,
            "variates": first.variates,
            "arrived": first.arrived,
            "rows": rows,
        }
        copies = {
            what: {name: value.clone() for name, value in values.items()} for what, values in held.items()
        }
        after = scheme.round(first, crew, Turn(number, Plan(), Sent(ALL, ALL)))
        for what, values in held.items():
            assert all(torch.equal(values[name], value) for name, value in copies[what].items())
        first = after


def test_who_misses_the_answer_over_block_fading_goes_on_with_what_it_heard_last():
    where = Scenario.load("mix2fld").replace({"radio.downlink_power_dbm": 20.0})
    options = {"max_slots": 12, "policy": "paper", "bits_per_parameter": 32, "data": "digits@300+100"}
    options |= {"model": "softmax", "iterations": 10, "rounds": 4, "seed": 2}
    result = train(where, scheme="scaffold", radio="fading", **options)
    sent = [entry.sent for entry in result.ledger.entries]
    assert all(0 < one.arrived.sum() < 10 for one in sent)
    missed = ~sent[-1].received
    assert missed.any()
    assert not missed.all()
    bank = result.devices["model"]
    rows = bank.of(bank.devices)
    for name, value in result.state.variates.items():
        equal = (rows[HEARD + name] == value).flatten(1).all(1).numpy()
        np.testing.assert_array_equal(equal, ~missed)


def test_all_engines_make_the_same_rounds():
    made = [run(Scaffold(batchsize=2, engine=engine), task(), LATE) for engine in ("stacked", "plain")]
    for one, other in zip(*([*states[1:]] for states, _ in made), strict=True):
        same(dict(one.parameters), dict(other.parameters))
        same(dict(one.variates), dict(other.variates), rtol=1e-8)


def normalised(shape, classes):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, classes)
    )


def frozen(shape, classes):
    made = normalised(shape, classes)
    made[1].requires_grad_(False)
    return made


@pytest.mark.parametrize("model", [normalised, frozen])
def test_weights_averages_and_variates_are_sent_and_paid_for(cell, model):
    result = train(cell, scheme="scaffold", model=model, rounds=2, bits_per_parameter=32)
    trained = sum(value.numel() for value in model((1, 8, 8), 10).parameters() if value.requires_grad)
    assert result.to_frame()["uplink_bits"][1] == 32 * (2 * trained + 2 * 16)
    assert result.to_frame()["downlink_bits"][1] == 32 * (2 * trained + 2 * 16)
    assert len(result.state.variates) == len(result.task.initial_parameters())


def test_the_payload_of_a_scenario_goes_twice(cell):
    one, other = (train(cell, scheme=name, rounds=1).to_frame().loc[1] for name in ("fedavg", "scaffold"))
    for column in ("uplink_bits", "downlink_bits"):
        assert other[column] == 2 * one[column]
    assert other["round_latency_s"] > one["round_latency_s"]
    assert other["compute_energy_j"] == one["compute_energy_j"]


def test_a_rate_of_zero_at_the_end_of_a_schedule_moves_nothing():
    (_, before, after), rows = run(Scaffold(batchsize=4, schedule="cosine:1"), task(), WHOLE)
    same(dict(after.parameters), dict(before.parameters))
    same(dict(after.variates), dict(before.variates))
    assert all(value.isfinite().all() for value in rows.values())


def test_unlike_data_and_many_local_steps_are_where_it_helps(cell):
    options = {"partition": "shards", "epochs": 5, "rounds": 12, "seed": 2}
    plain, corrected = (
        train(cell, scheme=name, **options).ledger.accuracy for name in ("fedavg", "scaffold")
    )
    assert corrected > 0.8
    assert corrected > plain


@pytest.mark.parametrize(("optimiser", "kept"), [("sgd:momentum=0.9", "velocity"), ("adam", "mean, square")])
def test_local_rules_with_a_memory_are_refused(optimiser, kept):
    with pytest.raises(OptionError, match=rf"optimiser: SCAFFOLD needs .* keeps {kept}: take sgd without"):
        Scaffold(optimiser=optimiser)
    assert Scaffold(optimiser="sgd:weight_decay=0.01", server_optimiser="adam").epochs == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, r"learning_rate: expected a number > 0, got 0"),
        ({"server_learning_rate": -1}, r"server_learning_rate: expected a number > 0, got -1"),
        ({"iterations": 0}, r"iterations: expected a whole number >= 1, got 0"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Scaffold(**options)
