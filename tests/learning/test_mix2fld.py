"""FL, FD, FLD, MixFLD and Mix2FLD: what each uploads, what the server makes of it, who counts."""

import inspect
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

import learning
from learning.catalog import SCHEMES
from learning.data.dataset import Dataset, digits
from learning.data.partition import partition
from learning.models import build as models
from learning.radio.fading import PAPER
from learning.radio.fading_link import FadingSent
from learning.schemes import distillation, fading
from learning.schemes.distillation import Fd, Fld, average_outputs, outputs_change
from learning.schemes.fading import Fl, LocalUpdates
from learning.schemes.mix2fld import Mix2Fld, MixFld
from learning.task import Task
from radioopt import Scenario
from radioopt.base.errors import OptionError, ProblemError

SCENARIO = Scenario.load("mix2fld")
NAMES = {"fl": Fl, "fd": Fd, "fld": Fld, "mixfld": MixFld, "mix2fld": Mix2Fld}
QUICK = {"iterations": 20, "learning_rate": 0.1, "max_slots": 114}
SERVER = {"server_iterations": 20, "seed_samples": 4}
DATA = digits(np.random.default_rng(0))


def quick(made, **options):
    return made(**QUICK | (SERVER if made.seeded else {}) | options)


def task_of(devices=4, seed=0, model="softmax", data=DATA, how="iid"):
    rng = np.random.default_rng(seed)
    parts = partition(how, data.train_y, devices, rng)
    return Task(data, parts, models.build(model, data.sample_shape, data.num_classes, rng), rng)


def plan_of(scheme, task, policy="paper"):
    devices = SCENARIO.replace({"devices.count": len(task.parts)}).draw(seed=0)
    return scheme.allocator(policy, task, None)(devices, np.random.default_rng(0))


def sent_by(arrived, received=None):
    """Write down who arrived, and nothing else."""
    zero = np.zeros(len(arrived))
    received = np.ones(len(arrived), bool) if received is None else np.array(received, bool)
    return FadingSent(np.array(arrived, bool), 0.0, 1.0, 1.0, *[zero] * 6, received, zero, zero)


def play(scheme, task, arrived, received=None, rounds=1):
    """States after rounds in which these devices arrive, the initial one first."""
    states = [scheme.start(task)]
    for _ in range(rounds):
        plan = plan_of(scheme, task)
        state = scheme.prepare(states[-1], plan)
        updates = scheme.local(state, plan)
        states.append(scheme.aggregate(state, updates, sent_by(arrived, received)))
    return states


def same(one, other):
    return all(torch.equal(one[name], other[name]) for name in one)


def of(stacked, device):
    return {name: value[device] for name, value in stacked.items()}


def train(scheme="mix2fld", **options):
    own = (
        QUICK
        | (SERVER if NAMES[scheme].seeded else {})
        | {"policy": "paper", "rounds": 3, "model": "softmax"}
    )
    return learning.train(SCENARIO, scheme=scheme, progress=False, **own | options)


# -- runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_runs_send_what_the_payload_laws_say_and_seeds_only_once(name):
    frame = train(name).to_frame().iloc[1:]
    weights, outputs, seeds = 32 * 12_544, 32 * 10**2, 6_272 * 4
    up = weights if name == "fl" else outputs
    first = up + (seeds if NAMES[name].seeded else 0)
    assert frame["uplink_bits"].tolist() == [first, up, up]
    answered = frame["arrived"] > 0
    down = outputs if name == "fd" else weights
    assert frame["downlink_bits"][answered].tolist() == [down] * answered.sum()
    assert (frame["arrived"] == 10).all() == (name != "fl")
    assert (frame["max_slots"] == 114).all()
    assert frame["batchsize"].tolist() == [200] * 3
    assert frame["local_accuracy"].iloc[-1] > 0.2
    assert frame["server_loss"].notna().all() == NAMES[name].seeded


def test_the_model_of_a_run_is_the_one_that_was_evaluated():
    for name in NAMES:
        result = train(name, max_slots=100)  # too few for weights to go up
        model = result.model()
        assert result.state.task.evaluate(dict(model.named_parameters()))[0] == result.ledger.accuracy


def test_the_noise_of_dropout_is_another_in_every_round_and_at_the_server(monkeypatch):
    seeds = []
    for module in (distillation, fading):

        def recorded(*args, train_devices=module.train_devices, seed=0, **options):
            seeds.append(seed)
            return train_devices(*args, seed=seed, **options)

        monkeypatch.setattr(module, "train_devices", recorded)
    train("mix2fld")
    assert len(seeds) == len(set(seeds)) == 6


def test_equal_seeds_give_equal_runs_and_others_do_not():
    one, two, other = train(seed=3), train(seed=3), train(seed=4)
    assert one.ledger.to_csv() == two.ledger.to_csv()
    assert same(one.state.devices, two.state.devices)
    assert one.ledger.to_csv() != other.ledger.to_csv()


def test_schemes_of_one_seed_start_alike():
    states = {name: train(name, rounds=1, seed=5).state for name in NAMES}
    for state in states.values():
        assert state.reference == states["fl"].reference
        assert same(state.trained, states["fl"].trained)  # same samples in the first round


def test_the_reference_is_drawn_or_given():
    drawn = {train("fl", rounds=1, seed=seed, iterations=1).state.reference for seed in range(12)}
    assert len(drawn) > 3
    result = train("fld", reference=7)
    state = result.state
    assert state.reference == 7
    assert result.ledger.accuracy == state.task.evaluate(of(state.devices, 7))[0]
    assert result.to_frame()["local_accuracy"].iloc[-1] == state.task.evaluate(of(state.trained, 7))[0]
    with pytest.raises(OptionError, match="reference: expected a device from 0 to 9, got 10"):
        train("fl", reference=10)


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path):
    whole = train(rounds=4)
    train(
        rounds=4, seconds=whole.to_frame()["seconds"].iloc[2] + 1e-9
    )  # any run: it leaves no trace in the next
    broken = {"checkpoint": tmp_path / "run", "every": 1, "rounds": 4}
    with pytest.MonkeyPatch.context() as patch:
        steps = iter(range(2))
        original = Mix2Fld.local

        def failing(self, state, plan):
            next(steps)
            return original(self, state, plan)

        patch.setattr(Mix2Fld, "local", failing)
        with pytest.raises((StopIteration, RuntimeError)):
            train(**broken)
    again = train(**broken)
    assert again.ledger.to_csv() == whole.ledger.to_csv()
    assert same(again.state.devices, whole.state.devices)


def test_the_paper_s_rule_stops():
    result = train("fd", rounds=60, epsilon=0.5, iterations=100)
    assert result.stopped == "epsilon"
    assert outputs_change(result.state, result.state) != outputs_change(result.state, result.state)  # NaN
    assert 1 < len(result.ledger) < 60


def test_unreachable_uplink_leaves_federated_learning_to_the_devices():
    result = train("fl", max_slots=100, rounds=4, model="mlp", iterations=100)
    frame, state = result.to_frame(), result.state
    assert frame["arrived"].tolist() == [0] * 5
    assert same(state.parameters, state.task.initial_parameters())
    assert frame["local_accuracy"].iloc[-1] > frame["local_accuracy"].iloc[1]
    others = train("mix2fld", max_slots=100, rounds=1)
    assert others.to_frame()["arrived"].iloc[1] == 10  # what distillation sends fits


def test_weights_are_sent_with_the_averages_of_batch_normalisation():
    def normalised(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.BatchNorm1d(classes))

    with pytest.raises(
        ProblemError, match=r"BatchNorm1d \('2'\) cannot train with the server's single samples"
    ):
        train("fld", model=normalised, batchsize=4)
    frame = train("fl", model=normalised, batchsize=4, rounds=1, bits_per_parameter=16).to_frame()
    assert frame["uplink_bits"][1] == 16 * (64 * 10 + 10 + 4 * 10)


# -- what each scheme does --------------------------------------------------------------------


def test_weights_are_averaged_by_samples_over_who_arrived_and_received_by_whom_it_reaches():
    task = task_of(how=lambda y, k, rng: np.split(rng.permutation(y.size), [10, 60, 400]))
    before, after = play(quick(Fl), task, [1, 0, 1, 1], [1, 1, 0, 0])
    for name, value in after.parameters.items():
        own = after.trained[name]
        share = np.array([10, 0, 340, 1037]) / 1387
        torch.testing.assert_close(value, sum(float(w) * own[d] for d, w in enumerate(share)))
        assert torch.equal(after.devices[name][0], value)
        assert torch.equal(after.devices[name][1], value)
        assert torch.equal(after.devices[name][2], own[2])
        assert torch.equal(after.devices[name][3], own[3])
    assert quick(Fl).change(before, after) > 0
    assert math.isnan(quick(Fl).change(after, replace(after, train_loss=0.0)))


def test_a_local_step_follows_the_equations_by_hand():
    """One sample per device, a linear model: w <- w - eta (F (1 + beta sum G) - (l + beta G)) x^T."""
    x, y = torch.tensor([[1.0, 2.0], [-1.0, 0.5]]), torch.tensor([0, 2])
    data = Dataset(x.numpy(), y.numpy(), x.numpy(), y.numpy(), num_classes=3)
    task = Task(data, (np.array([0]), np.array([1])), nn.Linear(2, 3), np.random.default_rng(0))
    scheme = Fd(iterations=1, learning_rate=0.5, distillation_weight=0.25)
    heard = torch.full((2, 3, 3), math.nan)
    heard[0, 0] = torch.tensor([0.2, 0.3, 0.5])  # device 1 heard of label 0 only
    heard[1, 0] = heard[0, 0]
    state = replace(scheme.start(task), heard=heard)
    updates = scheme.local(state, plan_of(scheme, task))
    start = task.initial_parameters()
    output = functional.linear(x, start["weight"], start["bias"]).softmax(1)
    label = functional.one_hot(y, 3).float()
    target = torch.stack([heard[0, 0], torch.zeros(3)])
    slope = output * (1 + 0.25 * target.sum(1, keepdim=True)) - (label + 0.25 * target)
    for device in range(2):
        expected = start["weight"] - 0.5 * torch.outer(slope[device], x[device])
        torch.testing.assert_close(updates.parameters["weight"][device], expected)
        torch.testing.assert_close(updates.parameters["bias"][device], start["bias"] - 0.5 * slope[device])
        torch.testing.assert_close(updates.output[device, y[device]], output[device])
        assert updates.output[device].isnan().sum() == 6  # the labels that it did not draw


def test_outputs_are_averaged_over_who_arrived_and_drew_the_label():
    task = task_of(3)
    state = quick(Fd).start(task)
    output = torch.full((3, 10, 10), math.nan)
    output[0, 0], output[1, 0], output[2, 0] = torch.eye(10)[0], torch.eye(10)[1], torch.eye(10)[2]
    output[0, 1], output[2, 1] = torch.full((10,), 0.1), torch.eye(10)[3]
    output[2, 2] = torch.eye(10)[4]
    first = average_outputs(state, output, np.array([True, True, False]))
    assert first.outputs[0].tolist() == [0.5, 0.5] + [0.0] * 8
    torch.testing.assert_close(first.outputs[1], torch.full((10,), 0.1))
    assert first.outputs[2:].isnan().all()
    second = average_outputs(first, torch.full((3, 10, 10), math.nan), np.array([True, True, True]))
    torch.testing.assert_close(
        second.outputs, first.outputs, equal_nan=True
    )  # nobody drew anything: the old ones
    third = average_outputs(first, output, np.array([False, False, True]))
    assert third.outputs[0].argmax() == 2
    assert math.isnan(outputs_change(first, third))  # a label that is new
    two = replace(third, outputs=torch.where(first.outputs.isnan(), first.outputs, third.outputs))
    assert outputs_change(first, two) == pytest.approx(
        max(math.sqrt(1.5) / math.sqrt(0.5), math.sqrt(9 * 0.01 + 0.81) / math.sqrt(0.1))
    )
    assert average_outputs(state, output, np.array([False] * 3)) is None
    assert math.isnan(outputs_change(state, first))


def test_a_device_that_misses_the_outputs_keeps_those_that_it_heard():
    states = play(quick(Fd), task_of(3), [1, 1, 1], [1, 0, 1], rounds=2)
    last = states[-1]
    assert torch.equal(last.heard[0].isnan(), last.outputs.isnan())
    torch.testing.assert_close(last.heard[2], last.outputs, equal_nan=True)
    assert last.heard[1].isnan().all()
    assert same(last.devices, last.trained)  # models never travel
    assert same(last.parameters, of(last.devices, last.reference))


def test_a_strong_regulariser_pulls_devices_to_the_mean_output():
    task = task_of(3)
    distance = {}
    for weight in (0.0, 5.0):
        scheme = quick(Fd, distillation_weight=weight, iterations=300)
        goal = torch.full((10, 10), 0.1)
        state = replace(scheme.start(task_of(3)), heard=goal.expand(3, 10, 10))
        output = scheme.local(state, plan_of(scheme, task)).output
        distance[weight] = float((output - goal).norm())
    assert distance[5.0] < 0.5 * distance[0.0]


@pytest.mark.parametrize("made", [Fld, MixFld, Mix2Fld])
def test_the_server_learns_from_its_seeds_and_everybody_gets_its_model(made):
    task = task_of(6)
    scheme = (
        quick(made, server_iterations=200, seed_samples=6, ratio=0.3)
        if made is not Fld
        else quick(made, server_iterations=200, seed_samples=6)
    )
    before, after = play(scheme, task, [1] * 6, [1, 1, 1, 1, 1, 0])
    seeds = after.seeds
    losses = [
        float(functional.cross_entropy(task.logits(state.parameters, seeds.x), seeds.y))
        for state in (before, after)
    ]
    assert losses[1] < 0.8 * losses[0]
    assert len(seeds) == 36
    for device in range(5):
        assert same(of(after.devices, device), after.parameters)
    assert same(of(after.devices, 5), of(after.trained, 5))


def test_the_server_s_step_has_the_mean_output_of_the_seed_s_labels_as_target():
    task = task_of(2)
    scheme = quick(MixFld, server_iterations=1, seed_samples=1, distillation_weight=0.5, learning_rate=0.1)
    before, after = play(scheme, task, [1, 0])
    (x,), (y,) = after.seeds.x, after.seeds.y
    known = torch.where(after.outputs.isnan(), 0.0, after.outputs)
    target = y @ known
    output = task.logits(before.parameters, x[None]).softmax(1)[0]
    slope = output * (1 + 0.5 * target.sum()) - (y + 0.5 * target)
    expected = before.parameters["1.weight"] - 0.1 * torch.outer(slope, x.flatten())
    torch.testing.assert_close(after.parameters["1.weight"], expected)


def test_the_server_goes_on_from_its_last_model_or_starts_anew():
    goes_on, anew = (
        play(quick(Fld, restart=restart, server_iterations=100), task_of(4), [1] * 4, rounds=3)
        for restart in (False, True)
    )
    assert goes_on[-1].server_loss < 0.7 * goes_on[1].server_loss
    assert anew[-1].server_loss == pytest.approx(anew[1].server_loss, rel=0.3)


def test_seeds_that_are_late_are_lost_for_good():
    states = play(quick(Fld), task_of(4), [1, 0, 1, 0], rounds=2)
    assert set(states[-1].seeds.device.tolist()) == {0, 2}
    assert len(states[-1].seeds) == 8
    assert states[1].seeds is states[2].seeds
    assert states[1].uploads is None


def test_without_seeds_there_is_no_model_and_devices_go_on():
    scheme, task = quick(Mix2Fld), task_of(4)
    states = play(scheme, task, [0] * 4, rounds=1)
    state = scheme.prepare(states[-1], plan_of(scheme, task))
    assert state.uploads is None  # they are not sent again
    assert scheme.payload(state, plan_of(scheme, task)) == (3_200, 0)  # and there is nothing to answer
    after = scheme.aggregate(state, scheme.local(state, plan_of(scheme, task)), sent_by([1] * 4))
    assert same(after.parameters, task.initial_parameters())
    assert same(after.devices, after.trained)
    assert math.isnan(after.server_loss)
    assert after.train_loss < states[1].train_loss


def test_mixed_seeds_stay_mixed_and_unmixed_ones_have_one_label():
    mixed, unmixed = (play(quick(made), task_of(6), [1] * 6)[-1].seeds for made in (MixFld, Mix2Fld))
    assert sorted(set(mixed.y.flatten().tolist())) == pytest.approx([0.0, 0.1, 0.9])
    assert sorted(set(unmixed.y.flatten().tolist())) == [0.0, 1.0]
    assert len(play(quick(Mix2Fld, augmentation=2), task_of(6), [1] * 6)[-1].seeds) == 48
    fewer = play(quick(Mix2Fld, labels="random"), task_of(6), [1] * 6)[-1].seeds
    assert len(fewer) < 24


def test_the_local_models_do_not_depend_on_how_devices_are_numbered():
    scheme, order = quick(Fl), [2, 0, 3, 1]
    one = task_of(4)
    other = Task(one.data, tuple(one.parts[d] for d in order), one.model, one.training)
    drawn = [
        LocalUpdates({"w": torch.arange(4.0)[:, None][order_of]}, torch.zeros(4, 10, 10), 0.0, None)
        for order_of in (range(4), order)
    ]
    means = [
        scheme.serve(scheme.start(task), updates, np.ones(4, bool)).parameters["w"]
        for task, updates in zip((one, other), drawn, strict=True)
    ]
    torch.testing.assert_close(*means)


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("fl", {"iterations": 0}, "iterations: expected a whole number >= 1, got 0"),
        ("fl", {"learning_rate": -1.0}, "learning_rate: expected a number > 0, got -1"),
        ("fl", {"batchsize": 1.5}, "batchsize: expected a whole number"),
        ("fl", {"seed_samples": 3}, "unknown option seed_samples"),
        ("fd", {"distillation_weight": -0.1}, "distillation_weight: expected a number > 0"),
        ("fld", {"seed_samples": 0}, "seed_samples: expected a whole number >= 1, got 0"),
        ("mixfld", {"ratio": 0.5}, r"ratio: expected a number > 0 and < 0\.5, got 0\.5"),
        ("mixfld", {"augmentation": 2}, "unknown option augmentation"),
        ("mix2fld", {"labels": "any"}, "unknown labels 'any', choose from assigned, random"),
        ("mix2fld", {"augmentation": 0}, "augmentation: expected a whole number >= 1"),
        (
            "mix2fld",
            {"augmentation": 2, "ratio": [0.2, 0.3, 0.5]},
            "augmentation: expected 1 for 3 ratios, got 2",
        ),
    ],
)
def test_bad_options_are_named(name, option, message):
    with pytest.raises(OptionError, match=message):
        train(name, **option)


@pytest.mark.parametrize("ratio", [[0.5, 0.5], [0.2, 0.9], [0.25] * 4, [1.0], 0.4999999999999])
def test_ratios_that_cannot_be_inverted_are_refused_before_any_training(ratio):
    with pytest.raises(ProblemError, match="ratios"):
        Mix2Fld(ratio=ratio)


def test_three_samples_can_be_mixed():
    options = {"ratio": [0.1, 0.2, 0.7], "seed_samples": 6}
    states = [play(quick(made, **options), task_of(6), [1] * 6)[-1] for made in (MixFld, Mix2Fld)]
    assert sorted(set(states[0].seeds.y.flatten().tolist())) == pytest.approx([0.0, 0.1, 0.2, 0.7])
    assert len(states[1].seeds) == 36
    assert states[1].seeds.y.sum() == 36


def test_a_plan_without_seeds_is_refused():
    scheme, task = Fld(), task_of()
    plan = plan_of(scheme, task, policy=lambda problem, rng: (2, 100, 0))
    with pytest.raises(ProblemError, match="seed_samples: expected at least 1 for Fld, got 0"):
        scheme.prepare(scheme.start(task), plan)


def test_the_paper_s_settings_are_the_defaults():
    defaults = {name: p.default for name, p in inspect.signature(Mix2Fld).parameters.items()}
    assert (defaults["iterations"], defaults["server_iterations"]) == (6_400, 3_200)
    assert defaults["learning_rate"] == defaults["distillation_weight"] == 0.01
    assert (defaults["ratio"], defaults["batchsize"]) == (0.1, 1)
    assert PAPER == {"num_channels": 2, "max_slots": 100, "seed_samples": 10}
    assert {name: SCHEMES[name] for name in NAMES} == NAMES
