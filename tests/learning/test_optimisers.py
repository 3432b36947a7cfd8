"""Step rules: those of torch.optim, on every device by itself, whoever rests; and the server's steps by hand."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional

from learning import SCHEMES, Adam, Dataset, FedAvg, FedSgd, Order, Sgd, Streams, Task, train, train_devices
from learning.local.batches import Batches
from learning.local.optimisers import ServerStep, schedule, step_rule
from learning.models.weights import Sums
from radioopt import OptionError

RULES = {
    "sgd": lambda weights, rate: torch.optim.SGD(weights, rate),
    "sgd:weight_decay=0.1": lambda weights, rate: torch.optim.SGD(weights, rate, weight_decay=0.1),
    "sgd:momentum=0.9": lambda weights, rate: torch.optim.SGD(weights, rate, momentum=0.9),
    "sgd:momentum=0.8,nesterov=true,weight_decay=0.1": lambda weights, rate: torch.optim.SGD(
        weights, rate, momentum=0.8, nesterov=True, weight_decay=0.1
    ),
    "adam": lambda weights, rate: torch.optim.Adam(weights, rate),
    "adam:beta1=0.5,beta2=0.9,epsilon=1e-3,weight_decay=0.1": lambda weights, rate: torch.optim.Adam(
        weights, rate, betas=(0.5, 0.9), eps=1e-3, weight_decay=0.1
    ),
}


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3)).double()


def samples(count=30):
    draw = torch.Generator().manual_seed(1)
    return torch.randn(count, 5, generator=draw, dtype=torch.float64), torch.arange(count) % 3


def start(made, count):
    draw = torch.Generator().manual_seed(2)
    return {
        name: value.detach() + 0.3 * torch.randn((count, *value.shape), generator=draw, dtype=torch.float64)
        for name, value in made.named_parameters()
    }


def by_torch(made, begin, batches, device, optimiser, *, rate, proximal=0.0, drift=None):
    """Train one device with torch's own optimiser."""
    x, y = samples()
    own = copy.deepcopy(made)
    own.load_state_dict({name: value[device] for name, value in begin.items()})
    steps = optimiser(list(own.parameters()), rate)
    for index, size in zip(batches.index[:, device], batches.size[:, device].tolist(), strict=True):
        if size:
            steps.zero_grad()
            functional.cross_entropy(own(x[index[:size]]), y[index[:size]]).backward()
            for name, value in own.named_parameters():
                value.grad += proximal * (value.detach() - begin[name][device])
                value.grad += 0 if drift is None else drift[name][device]
            steps.step()
    return {name: value.detach() for name, value in own.named_parameters()}


#: batches of 5 devices in 4 steps: one rests, others rest at the start, between, or from some step on
RAGGED = [[3, 0, 0, 2, 1], [3, 0, 4, 2, 0], [1, 0, 4, 0, 2], [2, 0, 0, 0, 3]]
FULL = [[3] * 5] * 4


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("engine", ["stacked", "plain"])
@pytest.mark.parametrize("sizes", [FULL, RAGGED])
@pytest.mark.parametrize("more", [{}, {"proximal": 0.3}, {"drift": 0.05}, {"proximal": 0.3, "drift": 0.05}])
def test_every_device_takes_the_steps_of_torch_optim(rule, engine, sizes, more):
    made, begin = model(), start(model(), 5)
    drawn = torch.randint(30, (4, 5, 4), generator=torch.Generator().manual_seed(3))
    batches = Batches(drawn, torch.tensor(sizes))
    if "drift" in more:
        more = more | {"drift": {name: more["drift"] * value.sign() for name, value in begin.items()}}
    kept = {name: value.clone() for name, value in begin.items()}
    trained = train_devices(
        made, samples(), begin, batches, learning_rate=0.05, rule=rule, engine=engine, **more
    )
    assert trained.steps.tolist() == (torch.tensor(sizes) > 0).sum(0).tolist()
    for device in range(5):
        expected = by_torch(made, begin, batches, device, RULES[rule], rate=0.05, **more)
        for name, value in expected.items():
            torch.testing.assert_close(trained.parameters[name][device], value, rtol=1e-12, atol=1e-12)
    assert all(torch.equal(begin[name], value) for name, value in kept.items())


@settings(max_examples=25)
@given(
    rule=st.sampled_from(list(RULES)),
    sizes=st.integers(1, 4).flatmap(
        lambda count: st.lists(
            st.lists(st.integers(0, 3), min_size=count, max_size=count), min_size=1, max_size=5
        )
    ),
    proximal=st.sampled_from([0.0, 0.5]),
)
def test_engines_agree_whoever_rests(rule, sizes, proximal):
    count = len(sizes[0])
    made, begin = model(), start(model(), count)
    drawn = torch.randint(30, (len(sizes), count, 3), generator=torch.Generator().manual_seed(3))
    batches = Batches(drawn, torch.tensor(sizes))
    one, other = (
        train_devices(
            made, samples(), begin, batches, learning_rate=0.05, rule=rule, engine=engine, proximal=proximal
        )
        for engine in ("stacked", "plain")
    )
    for name, value in one.parameters.items():
        torch.testing.assert_close(value, other.parameters[name], rtol=1e-12, atol=1e-12)
        for device in range(count):
            rested = not any(row[device] for row in sizes)
            assert torch.equal(value[device], begin[name][device]) == rested


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("sgd", Sgd()),
        ("sgd:momentum=0.9", Sgd(momentum=0.9)),
        ("sgd: momentum = 0.9 , nesterov = True", Sgd(momentum=0.9, nesterov=True)),
        ("adam:beta1=0.5,weight_decay=1e-3", Adam(beta1=0.5, weight_decay=1e-3)),
        (Adam(epsilon=0.1), Adam(epsilon=0.1)),
    ],
)
def test_rules_are_written_as_text(text, rule):
    assert step_rule("optimiser", text) == rule


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("rmsprop", r"unknown optimiser 'rmsprop', choose from sgd, adam, or a learning.Rule"),
        (3, r"unknown optimiser 3, choose from sgd, adam"),
        (
            "sgd:beta1=0.9",
            r"optimiser: sgd takes weight_decay, momentum, nesterov, each as NAME=VALUE .*; got 'beta1=0.9'",
        ),
        ("sgd:momentum", r"optimiser: sgd takes weight_decay, momentum, .*; got 'momentum'"),
        ("adam:beta1=high", r"optimiser: beta1: expected a number, got 'high'"),
        ("sgd:momentum=1", r"momentum: expected a number > 0 and < 1, got 1.0"),
        ("sgd:momentum=-0.1", r"momentum: expected a number > 0 and < 1, got -0.1"),
        ("sgd:momentum=nan", r"momentum: expected a number > 0 and < 1, got nan"),
        ("sgd:nesterov=true", r"nesterov: needs a momentum > 0: give one, as momentum=0.9"),
        ("sgd:nesterov=1,momentum=0.5", r"nesterov: expected true or false, got 1.0"),
        ("sgd:weight_decay=-1", r"weight_decay: expected a number > 0, got -1.0"),
        ("adam:beta1=1", r"beta1: expected a number > 0 and < 1, got 1.0"),
        ("adam:beta2=1.5", r"beta2: expected a number > 0 and < 1, got 1.5"),
        ("adam:epsilon=0", r"epsilon: expected a number > 0, got 0.0"),
        ("adam:weight_decay=inf", r"weight_decay: expected a number > 0, got inf"),
    ],
)
def test_rules_that_are_none_are_refused(given_, message):
    with pytest.raises(OptionError, match=message):
        step_rule("optimiser", given_)
    message = message.replace("optimiser", "server_optimiser")
    with pytest.raises(OptionError, match=message):
        FedAvg(server_optimiser=given_)


@pytest.mark.parametrize("name", SCHEMES)
def test_every_scheme_refuses_a_wrong_rule_or_schedule_when_it_is_made(name):
    with pytest.raises(OptionError, match=r"unknown optimiser 'lion'"):
        SCHEMES[name](optimiser="lion")
    with pytest.raises(OptionError, match=r"unknown schedule 'linear'"):
        SCHEMES[name](schedule="linear")


@pytest.mark.parametrize(
    ("text", "factors"),
    [
        ("constant", [1, 1, 1, 1, 1]),
        ("exponential:0.5", [1, 0.5, 0.25, 0.125, 0.0625]),
        ("step:2,0.1", [1, 1, 0.1, 0.1, 0.01]),
        ("cosine:4", [1, (1 + math.sqrt(0.5)) / 2, 0.5, (1 - math.sqrt(0.5)) / 2, 0]),
        ("cosine:2", [1, 0.5, 0, 0, 0]),
        ("inverse-root", [round**-0.5 for round in range(1, 6)]),
        (lambda round: 2.0 * round, [2, 4, 6, 8, 10]),
    ],
)
def test_schedules_are_factors_of_the_rate(text, factors):
    assert [schedule(text)(round) for round in range(1, 6)] == pytest.approx(factors, rel=1e-12, abs=1e-15)


@pytest.mark.parametrize(
    ("given_", "message"),
    [
        ("linear", r"unknown schedule 'linear', choose from constant, exponential, .*, or a function"),
        (None, r"unknown schedule None"),
        ("constant:1", r"schedule 'constant:1': expected constant$"),
        ("exponential", r"schedule 'exponential': expected exponential:G"),
        ("exponential:0", r"schedule: G: expected a number > 0, got 0.0"),
        ("step:2", r"schedule 'step:2': expected step:N,G"),
        ("step:2,fast", r"schedule 'step:2,fast': expected step:N,G"),
        ("step:1.5,0.5", r"schedule: N: expected a whole number >= 1, got 1.5"),
        ("step:2,-1", r"schedule: G: expected a number > 0, got -1.0"),
        ("cosine:0", r"schedule: N: expected a whole number >= 1, got 0"),
        ("cosine:inf", r"schedule: N: expected a whole number >= 1, got inf"),
        ("cosine:nan", r"schedule 'cosine:nan': expected cosine:N"),
    ],
)
def test_schedules_that_are_none_are_refused(given_, message):
    with pytest.raises(OptionError, match=message):
        schedule(given_)


# -- on the server ----------------------------------------------------------------------------------------------


def task():
    rng = np.random.default_rng(0)
    data = Dataset(rng.normal(size=(20, 5)), np.arange(20) % 3, np.zeros((3, 5)), [0, 1, 2], 3)
    return Task(data, tuple(np.split(rng.permutation(20), [5, 12])), model(), Streams(1))


def rounds(scheme, count=4):
    """The server's weights before and after each round, and what the devices sent."""
    job = task()
    cohort, state = job.cohort(), scheme.begin(job)
    own = scheme.join(cohort)
    for number in range(1, count + 1):
        order, sums = Order(number, job.sizes, {}), Sums()
        own, message = scheme.local(own, cohort, order)
        sent = None if isinstance(scheme, FedSgd) else message.values
        scheme.gather(sums, state, cohort, message, order, torch.ones(3, dtype=torch.bool))
        mean, before = sums.mean(), state.parameters
        state, answer = scheme.combine(state, sums, number)
        own = scheme.hear(own, cohort, answer)
        yield before, mean, state.parameters, sent


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("rate", [1.0, 0.1])
def test_the_servers_steps_are_those_of_torch_optim_towards_the_mean(rule, rate):
    scheme = FedAvg(batchsize=3, server_optimiser=rule, server_learning_rate=rate)
    sizes = task().sizes
    weights = {name: value.requires_grad_() for name, value in task().initial_parameters().items()}
    steps = RULES[rule](list(weights.values()), rate)
    for before, _, after, sent in rounds(scheme):
        for name, value in weights.items():
            mean = torch.from_numpy(np.average(sent[name].numpy(), axis=0, weights=sizes))
            value.grad = before[name] - mean
        steps.step()
        for name, value in weights.items():
            # Adam divides by the root of what may be small, so rounding is that of the gradient over it
            torch.testing.assert_close(after[name], value.detach(), rtol=1e-10, atol=1e-12)


def test_momentum_on_the_server_by_hand():
    velocity = {name: torch.zeros_like(value) for name, value in task().initial_parameters().items()}
    scheme = FedAvg(batchsize=3, server_optimiser="sgd:momentum=0.7", server_learning_rate=0.5)
    for before, mean, after, _ in rounds(scheme):
        for name, value in before.items():
            velocity[name] = 0.7 * velocity[name] + (value - mean[name])
            torch.testing.assert_close(after[name], value - 0.5 * velocity[name], rtol=1e-12, atol=1e-13)


def test_a_plain_step_of_rate_1_is_the_mean_itself():
    assert ServerStep(Sgd(), 1.0, {}).plain
    assert not ServerStep(Sgd(), 0.5, {}).plain
    assert not ServerStep(Sgd(weight_decay=0.1), 1.0, {}).plain
    for _, mean, after, _ in rounds(FedAvg(batchsize=3)):
        assert all(torch.equal(mean[name], value) for name, value in after.items())


@pytest.mark.parametrize("rule", RULES)
def test_fedsgd_takes_the_steps_of_torch_optim(rule):
    scheme = FedSgd(0.1, 20, optimiser=rule, schedule="step:2,0.5")
    weights = {name: value.requires_grad_() for name, value in task().initial_parameters().items()}
    steps = RULES[rule](list(weights.values()), 0.1)
    for number, (_, gradient, after, _) in enumerate(rounds(scheme), start=1):
        steps.param_groups[0]["lr"] = 0.1 * 0.5 ** ((number - 1) // 2)
        for name, value in weights.items():
            value.grad = gradient[name].clone()
        steps.step()
        for name, value in weights.items():
            torch.testing.assert_close(after[name], value.detach(), rtol=1e-12, atol=1e-12)


def test_a_schedule_scales_the_local_rate_of_its_round():
    job, fast = task(), FedAvg(batchsize=3, learning_rate=0.4)
    slow = replace(fast, schedule="exponential:0.5")
    cohort = job.cohort()
    own = fast.join(cohort)
    for number in (1, 2, 3):
        order = Order(number, job.sizes, {})
        scaled = replace(fast, learning_rate=0.4 * 0.5 ** (number - 1)).local(own, cohort, order)[0]
        found = slow.local(own, cohort, order)[0]
        for name, value in found.items():
            torch.testing.assert_close(value, scaled[name], rtol=1e-12, atol=1e-13)


def test_a_servers_step_changes_neither_weights_nor_slots_that_it_got():
    step, before = ServerStep(Adam(), 0.1, {}), {"w": torch.ones(3), "n": torch.tensor(2)}
    mean = {"w": torch.zeros(3), "n": torch.tensor(5)}
    one, step = step.to(before, mean)
    slots = {name: value.clone() for name, value in step.kept["w"].items()}
    two, later = step.to(one, mean)
    again, _ = step.to(one, mean)
    assert torch.equal(two["w"], again["w"])
    assert all(torch.equal(step.kept["w"][name], value) for name, value in slots.items())
    assert (step.taken, later.taken) == (1, 2)
    assert before["w"].tolist() == [1.0] * 3
    assert int(one["n"]) == 5  # whole numbers are the mean's
    assert list(later.kept) == ["w"]


def test_weights_that_no_device_moves_stay_under_adam_on_the_server():
    # Adam makes a whole step of any difference, so a mean may have no rounding of its own
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 5)) * [1, 0, 1, 0, 1]
    data = Dataset(x, np.arange(60) % 3, np.zeros((3, 5)), [0, 1, 2], 3)
    job = Task(data, tuple(np.split(rng.permutation(60), [7, 20, 31])), model().float(), Streams(1))
    scheme, cohort = FedAvg(batchsize=3, server_optimiser="adam", server_learning_rate=0.1), job.cohort()
    state, own = scheme.begin(job), scheme.join(cohort)
    for number in (1, 2, 3):
        order, sums = Order(number, job.sizes, {}), Sums()
        own, message = scheme.local(own, cohort, order)
        scheme.gather(sums, state, cohort, message, order, torch.ones(4, dtype=torch.bool))
        state, answer = scheme.combine(state, sums, number)
        own = scheme.hear(own, cohort, answer)
    moved = (state.parameters["0.weight"] != job.initial_values()["0.weight"]).any(0)
    assert moved.tolist() == [True, False, True, False, True]


def test_the_averages_of_batch_normalisation_are_averaged_and_not_stepped():
    def normalised(shape, classes):
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, classes)
        )

    options = {"scheme": "fedavg", "data": "digits@300+100", "model": normalised, "rounds": 1, "seed": 1}
    adaptive = {"server_optimiser": "adam", "server_learning_rate": 0.01}
    plain, stepped = (train("feel-cpu", progress=False, **options | more) for more in ({}, adaptive))
    for name, value in plain.state.parameters.items():
        if "running" in name or "tracked" in name:
            assert torch.equal(value, stepped.state.parameters[name])
    assert not torch.equal(plain.state.parameters["1.weight"], stepped.state.parameters["1.weight"])
