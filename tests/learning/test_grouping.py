"""Any grouping of devices gives the same: all at once, in chunks of any size, one by one, in any order."""

import math
from dataclasses import fields

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from learning import (
    SCHEMES,
    Crew,
    Dataset,
    Decentralised,
    Individual,
    Order,
    Streams,
    Task,
    Teach,
    Turn,
    train,
)
from learning.local.optimisers import ServerStep
from learning.models.build import build, mlp
from learning.models.weights import Bank, Sums
from learning.schemes.seeds import Seeds
from radioopt import Scenario

SIZES = [12, 9, 20, 8, 15, 11, 9]
COUNT = len(SIZES)
FEW = {"iterations": 4, "learning_rate": 0.1}
SEEDED = FEW | {"server_iterations": 6}
OPTIONS = {
    "feel": {"optimiser": "sgd:momentum=0.5"},
    "fedavg": {"batchsize": 4, "optimiser": "sgd:momentum=0.9,nesterov=true,weight_decay=0.01"},
    "fedprox": {"batchsize": 4, "server_optimiser": "sgd:momentum=0.5"},
    "scaffold": {"batchsize": 4, "epochs": 2},
    "semi": {"batchsize": 4, "confidence": 0.4},
    "sst": {"batchsize": 4},
    "central": {"batchsize": 2},
    "individual": {"batchsize": 5, "epochs": 2},
    "contrastive": {"batchsize": 4, "epochs": 2},
    "decentralised": {"batchsize": 4},
    "semi-decentralised": {"batchsize": 4, "server_every": 2},
    "fl": FEW,
    "fd": FEW,
    "fld": SEEDED,
    "mixfld": SEEDED,
    "mix2fld": SEEDED,
}


def small(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.ReLU(), nn.Linear(6, classes)).double()


STUDENTS = {"batchsize": 4, "epochs": 2, "learning_rate": 0.1}
OPTIONS |= {"stu": STUDENTS} | {name: STUDENTS | {"teacher": small} for name in ("kd", "simkd")}


def noisy(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Dropout(0.4), nn.Linear(6, classes)).double()


def normalised(shape, classes):
    """No bias before the normalisation, whose gradient would be nothing but rounding."""
    layers = nn.Linear(16, 6, bias=False), nn.BatchNorm1d(6), nn.Linear(6, classes)
    return nn.Sequential(nn.Flatten(), *layers).double()


def task(model=small):
    """Seven devices with unequal amounts of random data of three classes."""
    rng = np.random.default_rng(0)
    parts = tuple(np.split(rng.permutation(sum(SIZES)), np.cumsum(SIZES)[:-1]))
    count = sum(SIZES)
    y = np.empty(count, np.int64)
    for part in parts:
        y[part] = np.arange(part.size) % 3
    data = Dataset(rng.normal(size=(count, 1, 4, 4)), y, rng.normal(size=(9, 1, 4, 4)), np.arange(9) % 3, 3)
    return Task(data, parts, build(model, (1, 4, 4), 3, rng), Streams(3), server=np.arange(5))


def ready(scheme, model=small):
    """The same as a scheme wants it: with a teacher, if it has one."""
    job = scheme.equip(task(model))
    if "teach" in scheme.needs:
        job = Teach(teacher_rounds=0)(job, None, None).task
    return job


class Plan:
    graph = ~np.eye(COUNT, dtype=np.bool_)
    cluster = np.arange(COUNT) // 3

    def __init__(self, batchsize):
        self.batchsize = batchsize

    def told(self):
        return {"seed_samples": 3}

    def takes_part(self):
        return None


class Sent:
    def __init__(self, arrived, received):
        self.arrived, self.received = arrived, received
        self.links = (arrived[:, None] & received)[None] & (
            arrived[:, None] & received
        ).T  # of two devices, or none


def turns(seed, everybody=False, count=3):
    """Rounds with batches, arrivals and receptions at random."""
    rng = np.random.default_rng(seed)
    for number in range(1, count + 1):
        batchsize = rng.integers(1, SIZES, endpoint=True)
        arrived = rng.random(COUNT) < 0.7
        received = (rng.random(COUNT) < 0.7) | everybody
        yield Turn(number, Plan(batchsize), Sent(arrived, received))


def close(one, other, name=""):
    """Compare states, field by field, to 1e-12 of the largest number."""
    if isinstance(one, torch.Tensor):
        assert (one.shape, one.dtype) == (other.shape, other.dtype), name
        size = float(one.nan_to_num().abs().max()) if one.numel() else 0.0
        torch.testing.assert_close(
            one, other, rtol=0, atol=1e-12 * size, equal_nan=True, msg=lambda text: f"{name}: {text}"
        )
    elif isinstance(one, dict):
        assert list(one) == list(other), name
        for key, value in one.items():
            close(value, other[key], f"{name}.{key}")
    elif isinstance(one, (Seeds, ServerStep)):
        for item in fields(one):
            close(getattr(one, item.name), getattr(other, item.name), f"{name}.{item.name}")
    elif isinstance(one, np.ndarray):
        np.testing.assert_array_equal(one, other, name)
    elif isinstance(one, float):
        assert one == pytest.approx(other, rel=1e-12, nan_ok=True), name
    elif not isinstance(one, Task):
        assert one == other, name


def told(state):
    """What the server carries."""
    return {item.name: getattr(state, item.name) for item in fields(state)}


def in_chunks(scheme, at_once, job, rounds):
    """States after every round, and devices' rows after the last."""
    state, crew, states = scheme.begin(job), Crew(scheme, job, at_once), []
    for turn in rounds:
        before, state = state, scheme.round(state, crew, turn)
        states.append(told(state) | {"change": scheme.change(before, state), **scheme.figures(state)})
    return {"states": dict(enumerate(states)), "rows": crew.banks["model"].of(np.arange(COUNT))}


def in_groups(scheme, groups, job, rounds):
    """The same by hand, with any groups of devices one after the other."""
    everybody = np.arange(COUNT)
    state, states = scheme.begin(job), []
    bank = Bank(everybody).put(everybody, scheme.join(job.cohort()))
    for turn in rounds:
        sums, rows = Sums(), []
        for group in groups:
            cohort = job.cohort(group)
            own, message = scheme.local(bank.of(group), cohort, turn.order(cohort))
            wire = scheme.sends(state, turn.plan)
            assert message.numbers(rows=True) == sum((wire.across or wire.up).values())
            scheme.gather(
                sums, state, cohort, message, turn.order(cohort), torch.from_numpy(turn.sent.arrived[group])
            )
            rows.append((group, own))
        before = state
        state, answer = scheme.combine(state, sums, turn.round)
        bank = bank.put_all(rows)
        if answer is not None and turn.sent.received.any():
            heard = np.flatnonzero(turn.sent.received)
            bank = bank.put(heard, scheme.hear(bank.of(heard), job.cohort(heard), answer))
        states.append(told(state) | {"change": scheme.change(before, state)})
    return {"states": dict(enumerate(states)), "rows": bank.of(everybody)}


@pytest.mark.parametrize("name", SCHEMES)
@settings(max_examples=5)  # the next test has more, and any groups
@given(at_once=st.integers(1, COUNT + 2), seed=st.integers(0, 999))
def test_chunks_of_any_size_give_the_same(name, at_once, seed):
    scheme, everybody = SCHEMES[name](**OPTIONS[name]), name == "feel"
    whole = in_chunks(scheme, COUNT, ready(scheme), turns(seed, everybody))
    parts = in_chunks(scheme, at_once, ready(scheme), turns(seed, everybody))
    close(whole, parts)


@pytest.mark.parametrize("name", SCHEMES)
@settings(max_examples=8)
@given(order=st.permutations(range(COUNT)), cuts=st.sets(st.integers(1, COUNT - 1)), seed=st.integers(0, 999))
def test_groups_in_any_order_give_the_same(name, order, cuts, seed):
    scheme, everybody = SCHEMES[name](**OPTIONS[name]), name == "feel"
    groups = [np.sort(group) for group in np.split(np.array(order), sorted(cuts))]
    whole = in_groups(scheme, [np.arange(COUNT)], ready(scheme), turns(seed, everybody))
    parts = in_groups(scheme, groups, ready(scheme), turns(seed, everybody))
    close(whole, parts)


@pytest.mark.parametrize(
    "name", [name for name in SCHEMES if not issubclass(SCHEMES[name], (Individual, Decentralised))]
)
def test_a_round_of_a_crew_is_the_hooks_one_after_the_other(name):
    scheme, everybody = SCHEMES[name](**OPTIONS[name]), name == "feel"
    whole = in_chunks(scheme, 3, ready(scheme), turns(1, everybody))
    hooks = in_groups(scheme, [np.arange(COUNT)], ready(scheme), turns(1, everybody))
    whole["states"] = {
        number: {key: whole["states"][number][key] for key in state}
        for number, state in hooks["states"].items()
    }
    close(whole, hooks)


@pytest.mark.parametrize("model", [noisy, normalised])
@pytest.mark.parametrize("at_once", [1, 2, 5])
@pytest.mark.parametrize("name", ["fedavg", "scaffold", "individual", "fl"])
def test_noise_and_batch_normalisation_do_not_see_the_others(name, at_once, model):
    options = {"batchsize": 3, "iterations": 4, "learning_rate": 0.1}
    scheme = SCHEMES[name](**options)
    whole = in_chunks(scheme, COUNT, task(model), turns(4))
    parts = in_chunks(scheme, at_once, task(model), turns(4))
    close(whole, parts)


def test_devices_train_by_their_own_numbers_alone():
    for name in ("fedavg", "fd", "mix2fld"):
        scheme, job = SCHEMES[name](**OPTIONS[name]), task()
        everybody, alone = job.cohort(), job.cohort(np.array([5]))
        order = Order(1, np.array(SIZES), {"seed_samples": 3})
        own, message = scheme.local(scheme.join(everybody), everybody, order)
        one = Order(1, order.batchsize[[5]], order.told)
        mine, sent = scheme.local(scheme.join(alone), alone, one)
        close(dict(mine), {key: value[5:6] for key, value in own.items()})
        close(dict(sent.values), {key: value[5:6] for key, value in message.values.items()})
        assert math.isfinite(float(sent.notes["loss"][0]))


def double_mlp(shape, classes):
    return mlp(shape, classes, 16).double()


#: a network for each model of a catalogue
DOUBLES = [
    double_mlp,
    *(nn.Sequential(nn.Flatten(), nn.Linear(64, n), nn.ReLU(), nn.Linear(n, 10)).double() for n in (4, 6, 8)),
]


@pytest.mark.parametrize("name", SCHEMES)
def test_whole_runs_do_not_depend_on_the_chunks(cell, name):
    options = {
        "model": double_mlp,
        "data": "digits@300+100",
        "rounds": 2,
        "seed": 4,
        "partition": "dirichlet",
    }
    if name in ("sst", "central"):
        options |= {"public": 40}
    where, own = cell, {"batchsize": 20} if name in ("fedavg", "fedprox", "individual") else {}
    if SCHEMES[name].radio.startswith("d2d"):
        own = {
            "graph": "ring"
        }  # over all links models agree but for rounding, and how far apart they are is noise
    if SCHEMES[name].chooses:
        where, options["model"] = Scenario.load("dtkd"), DOUBLES
        own = {"teacher": double_mlp, "teacher_rounds": 5} if "teach" in SCHEMES[name].needs else {}
    if SCHEMES[name].radio == "fading":
        where, own = Scenario.load("mix2fld"), {"iterations": 5, "max_slots": 114, "policy": "paper"}
        own |= {"server_iterations": 5, "seed_samples": 4} if name in ("fld", "mixfld", "mix2fld") else {}
    runs = [train(where, scheme=name, devices_at_once=size, **options, **own) for size in (99, 4, 1)]
    for per in ("round", "device"):
        one = runs[0].ledger.to_frame(per)
        assert len(one)
        for other in runs[1:]:
            np.testing.assert_allclose(
                other.ledger.to_frame(per).to_numpy(float), one.to_numpy(float), rtol=1e-12
            )
    for other in runs[1:]:
        close(dict(runs[0].state.parameters), dict(other.state.parameters))
        for device in range(where.devices.count):
            assert next(iter(runs[0].weights(device).values())).dtype == torch.float64
            close(runs[0].weights(device), other.weights(device))
