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
from learning.crew import Crew, Order, Turn
from learning.data.dataset import Dataset, digits
from learning.data.partition import partition
from learning.messages import Message
from learning.models import build as models
from learning.models.weights import Sums
from learning.radio.base import Payload
from learning.radio.fading import PAPER, Fading, FadingSent
from learning.schemes import distillation, fedavg
from learning.schemes.distillation import HEARD, Fd, Fld, outputs_change
from learning.schemes.fedavg import Fl
from learning.schemes.mix2fld import Mix2Fld, MixFld
from learning.streams import Streams
from learning.task import Task
from radioopt import Scenario
from radioopt.base.errors import OptionError, ProblemError

SCENARIO = Scenario.load("mix2fld")
NAMES = {"fl": Fl, "fd": Fd, "fld": Fld, "mixfld": MixFld, "mix2fld": Mix2Fld}
SEEDED = ("fld", "mixfld", "mix2fld")
QUICK = {"iterations": 20, "learning_rate": 0.1}
DATA = digits(np.random.default_rng(0))


def seeded(made):
    return issubclass(made, Fld)


def quick(made, **options):
    return made(**QUICK | ({"server_iterations": 20} if seeded(made) else {}) | options)


def task_of(devices=4, seed=0, model="softmax", data=DATA, how="iid"):
    rng = np.random.default_rng(seed)
    parts = partition(how, data.train_y, devices, rng)
    return Task(data, parts, models.build(model, data.sample_shape, data.num_classes, rng), Streams(seed))


def plan_of(scheme, task, policy="paper", seed_samples=4):
    devices = SCENARIO.replace({"devices.count": len(task.parts)}).draw(seed=0)
    given = {"seed_samples": seed_samples} if seeded(type(scheme)) and policy == "paper" else {}
    return Fading(**given).planner(policy, scheme.work(task), scheme.wire(task), None)(
        devices, np.random.default_rng(0)
    )


def sent_by(arrived, received=None):
    """Write down who arrived, and nothing else."""
    zero = np.zeros(len(arrived))
    received = np.ones(len(arrived), bool) if received is None else np.array(received, bool)
    return FadingSent(np.array(arrived, bool), received, 0.0, 1.0, 1.0, *[zero] * 6, zero, zero)


class Played:
    """A scheme and its devices, whose radio is told who arrives."""

    def __init__(self, scheme, task, **plan):
        self.scheme, self.task, self.crew = scheme, task, Crew(scheme, task)
        self.plan, self.trained, self.states = plan_of(scheme, task, **plan), {}, [scheme.begin(task)]
        self.crew.watch = lambda cohort, own: self.trained.update(
            {device: of(own, row) for row, device in enumerate(cohort.devices.tolist())}
        )

    @property
    def state(self):
        return self.states[-1]

    def round(self, arrived, received=None):
        turn = Turn(len(self.states), self.plan, sent_by(arrived, received))
        self.states.append(self.scheme.round(self.state, self.crew, turn))
        return self

    def own(self, device):
        """All that a device keeps."""
        return of(self.crew.banks["model"].of(np.array([device])), 0)

    def weights(self, device):
        return {name: value for name, value in self.own(device).items() if "/" not in name}


def play(scheme, task, arrived, received=None, rounds=1, **plan):
    """Rounds in which these devices arrive."""
    played = Played(scheme, task, **plan)
    for _ in range(rounds):
        played.round(arrived, received)
    return played


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def of(rows, row):
    return {name: value[row] for name, value in rows.items()}


def averaged(scheme, state, output, arrived, round=1):
    """Let the server of FD hear these outputs."""
    task, count = state.task, len(output)
    message = Message({"outputs": output}, {"loss": torch.zeros(count)})
    sums, order = Sums(), Order(round, np.ones(count, np.int64), {})
    scheme.gather(sums, state, task.cohort(), message, order, torch.tensor(arrived))
    return scheme.combine(state, sums, round)


def train(scheme="mix2fld", **options):
    own = QUICK | {"max_slots": 114, "policy": "paper", "rounds": 3, "model": "softmax"}
    if scheme in SEEDED:
        own |= {"server_iterations": 20, "seed_samples": 4}
    return learning.train(SCENARIO, scheme=scheme, progress=False, **own | options)


# -- runs -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_runs_send_what_the_payload_laws_say_and_seeds_only_once(name):
    frame = train(name).to_frame().iloc[1:]
    weights, outputs, seeds = 32 * 12_544, 32 * 10**2, 6_272 * 4
    up = weights if name == "fl" else outputs
    first = up + (seeds if name in SEEDED else 0)
    assert frame["uplink_bits"].tolist() == [first, up, up]
    answered = frame["arrived"] > 0
    down = outputs if name == "fd" else weights
    assert frame["downlink_bits"][answered].tolist() == [down] * answered.sum()
    assert (frame["arrived"] == 10).all() == (name != "fl")
    assert (frame["max_slots"] == 114).all()
    assert frame["batchsize"].tolist() == [200] * 3
    assert frame["local_accuracy"].iloc[-1] > 0.2
    assert ("server_loss" in frame) == (name in SEEDED)
    if name in SEEDED:
        assert frame["server_loss"].notna().all()


def test_the_model_of_a_run_is_the_one_that_was_evaluated():
    for name in NAMES:
        result = train(name, max_slots=100)  # too few for weights to go up
        model = result.model()
        x, y = result.task.test
        assert learning.measures.accuracy(model(x), y) == result.ledger.accuracy


def test_the_noise_of_dropout_is_another_in_every_round_on_every_device_and_at_the_server(monkeypatch):
    seeds = []
    for module in (distillation, fedavg):

        def recorded(*args, train_devices=module.train_devices, seeds_of=seeds, **options):
            seeds_of.extend(options["seeds"])
            return train_devices(*args, **options)

        monkeypatch.setattr(module, "train_devices", recorded)
    train("mix2fld")
    assert len(seeds) == len(set(seeds)) == 3 * (10 + 1)


def devices_of(result):
    return [result.weights(device) for device in range(len(result.task.parts))]


def test_equal_seeds_give_equal_runs_and_others_do_not():
    one, two, other = train(seed=3), train(seed=3), train(seed=4)
    assert one.ledger.to_csv() == two.ledger.to_csv()
    assert all(map(same, devices_of(one), devices_of(two)))
    assert one.ledger.to_csv() != other.ledger.to_csv()


def test_schemes_of_one_seed_start_alike():
    runs = {name: train(name, rounds=1, seed=5) for name in NAMES}
    accuracies = {tuple(run.to_frame().loc[1, LOCAL]) for run in runs.values()}
    assert len(accuracies) == 1  # same reference, and the same samples in the first round
    assert len({run.judge.device(run.task) for run in runs.values()}) == 1
    trained = [play(quick(made), task_of(), [0] * 4).trained for made in NAMES.values()]
    for own in trained[1:]:
        assert all(same({n: v for n, v in own[d].items() if "/" not in n}, trained[0][d]) for d in range(4))


LOCAL = ["local_accuracy", "mean_local_accuracy", "std_local_accuracy"]


def test_the_reference_is_drawn_or_given():
    runs = [train("fl", rounds=1, seed=seed, iterations=1) for seed in range(12)]
    assert len({run.judge.device(run.task) for run in runs}) > 3
    result = train("fld", reference=7)
    x, y = result.task.test
    assert result.judge.device(result.task) == 7
    assert same(result.weights(), result.weights(7))
    assert result.ledger.accuracy == learning.measures.accuracy(result.model(7)(x), y)
    with pytest.raises(OptionError, match="reference: expected a device from 0 to 9, got 10"):
        train("fl", reference=10)


def test_accuracies_before_the_download_are_those_of_the_trained_models():
    task = task_of(4)
    played, judge = Played(quick(Fl), task), learning.Reference(reference=2)
    watcher, note = judge.watcher(task), played.crew.watch
    played.crew.watch = lambda cohort, own: (watcher(cohort, own), note(cohort, own))
    played.round([1] * 4)
    x, y = task.test
    found = judge(task, played.state, played.crew, watcher)
    own = [learning.measures.accuracy(task.outputs(played.trained[d], x), y) for d in range(4)]
    assert found["local_accuracy"] == own[2]
    assert found["mean_local_accuracy"] == pytest.approx(np.mean(own), rel=1e-12)
    assert found["std_local_accuracy"] == pytest.approx(np.std(own), rel=1e-12)
    assert found["test_accuracy"] == learning.measures.accuracy(task.outputs(played.state.parameters, x), y)


def test_an_interrupted_run_goes_on_bit_for_bit(tmp_path):
    whole = train(rounds=4)
    train(
        rounds=4, seconds=whole.to_frame()["seconds"].iloc[2] + 1e-9
    )  # any run: it leaves no trace in the next
    broken = {"checkpoint": tmp_path / "run", "every": 1, "rounds": 4}
    with pytest.MonkeyPatch.context() as patch:
        original = Mix2Fld.local

        def failing(self, own, cohort, order):
            if order.round == 3:
                raise RuntimeError
            return original(self, own, cohort, order)

        patch.setattr(Mix2Fld, "local", failing)
        with pytest.raises(RuntimeError):
            train(**broken)
    again = train(**broken)
    assert again.ledger.to_csv() == whole.ledger.to_csv()
    assert all(map(same, devices_of(again), devices_of(whole)))


def test_the_paper_s_rule_stops():
    result = train("fd", rounds=60, epsilon=0.5, iterations=100)
    assert result.stopped == "epsilon"
    assert outputs_change(result.state, result.state) != outputs_change(result.state, result.state)  # NaN
    assert 1 < len(result.ledger) < 60


def test_unreachable_uplink_leaves_federated_learning_to_the_devices():
    result = train("fl", max_slots=100, rounds=4, model="mlp", iterations=100)
    frame, state = result.to_frame(), result.state
    assert frame["arrived"].tolist() == [0] * 5
    assert frame["train_loss"].isna().all()
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
    played = play(quick(Fl), task, [1, 0, 1, 1], [1, 1, 0, 0])
    before, after = played.states
    for name, value in after.parameters.items():
        own = [played.trained[device][name] for device in range(4)]
        share = np.array([10, 0, 340, 1037]) / 1387
        torch.testing.assert_close(value, sum(float(w) * own[d] for d, w in enumerate(share)))
        assert torch.equal(played.own(0)[name], value)
        assert torch.equal(played.own(1)[name], value)
        assert torch.equal(played.own(2)[name], own[2])
        assert torch.equal(played.own(3)[name], own[3])
    assert quick(Fl).change(before, after) > 0
    assert math.isnan(quick(Fl).change(after, replace(after, train_loss=0.0)))


def test_a_local_step_follows_the_equations_by_hand():
    """One sample per device, a linear model: w <- w - eta (F (1 + beta sum G) - (l + beta G)) x^T."""
    x, y = torch.tensor([[1.0, 2.0], [-1.0, 0.5]]), torch.tensor([0, 2])
    data = Dataset(x.numpy(), y.numpy(), x.numpy(), y.numpy(), num_classes=3)
    task = Task(data, (np.array([0]), np.array([1])), nn.Linear(2, 3), Streams(0))
    scheme = Fd(iterations=1, learning_rate=0.5, distillation_weight=0.25)
    heard = torch.full((2, 3, 3), math.nan)
    heard[0, 0] = torch.tensor([0.2, 0.3, 0.5])  # device 1 heard of label 0 only
    heard[1, 0] = heard[0, 0]
    cohort = task.cohort()
    order = Order(1, np.ones(2, np.int64), {})
    own, message = scheme.local({**scheme.join(cohort), HEARD: heard}, cohort, order)
    start = task.initial_parameters()
    output = functional.linear(x, start["weight"], start["bias"]).softmax(1)
    label = functional.one_hot(y, 3).float()
    target = torch.stack([heard[0, 0], torch.zeros(3)])
    slope = output * (1 + 0.25 * target.sum(1, keepdim=True)) - (label + 0.25 * target)
    sent = message.values["outputs"]
    for device in range(2):
        expected = start["weight"] - 0.5 * torch.outer(slope[device], x[device])
        torch.testing.assert_close(own["weight"][device], expected)
        torch.testing.assert_close(own["bias"][device], start["bias"] - 0.5 * slope[device])
        torch.testing.assert_close(sent[device, y[device]], output[device])
        assert sent[device].isnan().sum() == 6  # the labels that it did not draw
    torch.testing.assert_close(own[HEARD], heard, equal_nan=True)


def test_outputs_are_averaged_over_who_arrived_and_drew_the_label():
    scheme, task = quick(Fd), task_of(3)
    state = scheme.begin(task)
    output = torch.full((3, 10, 10), math.nan)
    output[0, 0], output[1, 0], output[2, 0] = torch.eye(10)[0], torch.eye(10)[1], torch.eye(10)[2]
    output[0, 1], output[2, 1] = torch.full((10,), 0.1), torch.eye(10)[3]
    output[2, 2] = torch.eye(10)[4]
    first, answer = averaged(scheme, state, output, [True, True, False])
    assert first.outputs[0].tolist() == [0.5, 0.5] + [0.0] * 8
    torch.testing.assert_close(first.outputs[1], torch.full((10,), 0.1))
    assert first.outputs[2:].isnan().all()
    assert answer.values["outputs"] is first.outputs
    nothing = torch.full((3, 10, 10), math.nan)
    second, _ = averaged(scheme, first, nothing, [True, True, True])
    torch.testing.assert_close(
        second.outputs, first.outputs, equal_nan=True
    )  # nobody drew anything: the old ones
    third, _ = averaged(scheme, first, output, [False, False, True])
    assert third.outputs[0].argmax() == 2
    assert math.isnan(outputs_change(first, third))  # a label that is new
    two = replace(third, outputs=torch.where(first.outputs.isnan(), first.outputs, third.outputs))
    assert outputs_change(first, two) == pytest.approx(
        max(math.sqrt(1.5) / math.sqrt(0.5), math.sqrt(9 * 0.01 + 0.81) / math.sqrt(0.1))
    )
    nobody, silence = averaged(scheme, first, output, [False] * 3)
    assert silence is None
    assert nobody.outputs is first.outputs
    assert math.isnan(nobody.train_loss)
    assert math.isnan(outputs_change(first, nobody))
    assert math.isnan(outputs_change(state, first))


def test_a_device_that_misses_the_outputs_keeps_those_that_it_heard():
    played = play(quick(Fd), task_of(3), [1, 1, 1], [1, 0, 1], rounds=2)
    outputs, heard = played.state.outputs, [played.own(device)[HEARD] for device in range(3)]
    assert torch.equal(heard[0].isnan(), outputs.isnan())
    torch.testing.assert_close(heard[2], outputs, equal_nan=True)
    assert heard[1].isnan().all()
    for device in range(3):
        mine = {name: value for name, value in played.trained[device].items() if name != HEARD}
        assert same(played.weights(device), mine)  # models never travel
    played.round([1, 1, 1], [0, 1, 1])
    torch.testing.assert_close(played.own(0)[HEARD], outputs, equal_nan=True)
    torch.testing.assert_close(played.own(1)[HEARD], played.state.outputs, equal_nan=True)


def test_a_strong_regulariser_pulls_devices_to_the_mean_output():
    cohort = task_of(3).cohort()
    distance = {}
    for weight in (0.0, 5.0):
        scheme = quick(Fd, distillation_weight=weight, iterations=300)
        goal = torch.full((10, 10), 0.1)
        own = {**scheme.join(cohort), HEARD: goal.expand(3, 10, 10)}
        _, message = scheme.local(own, cohort, Order(1, np.full(3, 300), {}))
        distance[weight] = float((message.values["outputs"] - goal).norm())
    assert distance[5.0] < 0.5 * distance[0.0]


@pytest.mark.parametrize("made", [Fld, MixFld, Mix2Fld])
def test_the_server_learns_from_its_seeds_and_everybody_gets_its_model(made):
    task = task_of(6)
    scheme = (
        quick(made, server_iterations=200, ratio=0.3)
        if made is not Fld
        else quick(made, server_iterations=200)
    )
    played = play(scheme, task, [1] * 6, [1, 1, 1, 1, 1, 0], seed_samples=6)
    seeds = played.state.seeds
    losses = [
        float(functional.cross_entropy(task.logits(state.parameters, seeds.x), seeds.y))
        for state in played.states
    ]
    assert losses[1] < 0.8 * losses[0]
    assert len(seeds) == 36
    for device in range(5):
        assert same(played.own(device), played.state.parameters)
    assert same(played.own(5), played.trained[5])


def test_the_server_s_step_has_the_mean_output_of_the_seed_s_labels_as_target():
    task = task_of(2)
    scheme = quick(MixFld, server_iterations=1, distillation_weight=0.5, learning_rate=0.1)
    before, after = play(scheme, task, [1, 0], seed_samples=1).states
    (x,), (y,) = after.seeds.x, after.seeds.y
    known = torch.where(after.outputs.isnan(), 0.0, after.outputs)
    target = y @ known
    output = task.logits(before.parameters, x[None]).softmax(1)[0]
    slope = output * (1 + 0.5 * target.sum()) - (y + 0.5 * target)
    expected = before.parameters["1.weight"] - 0.1 * torch.outer(slope, x.flatten())
    torch.testing.assert_close(after.parameters["1.weight"], expected)


def test_the_server_goes_on_from_its_last_model_or_starts_anew():
    goes_on, anew = (
        play(quick(Fld, restart=restart, server_iterations=100), task_of(4), [1] * 4, rounds=3).states
        for restart in (False, True)
    )
    assert goes_on[-1].server_loss < 0.7 * goes_on[1].server_loss
    assert anew[-1].server_loss == pytest.approx(anew[1].server_loss, rel=0.3)


def test_seeds_that_are_late_are_lost_for_good():
    states = play(quick(Fld), task_of(4), [1, 0, 1, 0], rounds=2).states
    assert set(states[-1].seeds.device.tolist()) == {0, 2}
    assert len(states[-1].seeds) == 8
    assert states[1].seeds is states[2].seeds


def test_samples_are_sent_and_charged_in_the_first_round_alone():
    scheme, task = quick(Fld), task_of(3)
    plan, cohort, own = plan_of(scheme, task), task.cohort(), scheme.join(task.cohort())
    for round, state in ((1, scheme.begin(task)), (2, play(scheme, task, [1] * 3).state)):
        _, message = scheme.local(own, cohort, Order(round, plan.batchsize, plan.told()))
        assert ("samples" in message.values) == (round == 1)
        wire = scheme.sends(state, plan)
        assert message.numbers(rows=True) == wire.numbers[0] == 100 + 4 * 64 * (round == 1)
        assert wire.down == {"weights": 650}


def test_without_seeds_there_is_no_model_and_devices_go_on():
    scheme, task = quick(Mix2Fld), task_of(4)
    played = play(scheme, task, [0] * 4)
    first, before = played.state, dict(played.trained)
    assert first.seeds is None or not len(first.seeds)
    wire = scheme.sends(first, played.plan)
    assert played.plan.prices.payload(wire) == Payload(
        3_200, 0
    )  # not sent again, and there is nothing to answer
    played.round([1] * 4)
    after = played.state
    assert same(after.parameters, task.initial_parameters())
    assert all(same(played.own(device), played.trained[device]) for device in range(4))
    assert math.isnan(after.server_loss)
    assert math.isnan(first.train_loss)
    assert after.train_loss < play(scheme, task, [1] * 4).state.train_loss  # they go on from their own models
    assert all(not same(played.own(device), before[device]) for device in range(4))


def test_mixed_seeds_stay_mixed_and_unmixed_ones_have_one_label():
    mixed, unmixed = (play(quick(made), task_of(6), [1] * 6).state.seeds for made in (MixFld, Mix2Fld))
    assert sorted(set(mixed.y.flatten().tolist())) == pytest.approx([0.0, 0.1, 0.9])
    assert sorted(set(unmixed.y.flatten().tolist())) == [0.0, 1.0]
    assert len(play(quick(Mix2Fld, augmentation=2), task_of(6), [1] * 6).state.seeds) == 48
    fewer = play(quick(Mix2Fld, labels="random"), task_of(6), [1] * 6).state.seeds
    assert len(fewer) < 24


def test_the_mean_does_not_depend_on_how_devices_are_numbered():
    scheme, order = quick(Fl), [2, 0, 3, 1]
    one = task_of(4)
    other = one.replace(parts=tuple(one.parts[d] for d in order))
    means = []
    for task, of_device in ((one, [0, 1, 2, 3]), (other, order)):
        sums, message = Sums(), Message({"w": torch.arange(4.0)[:, None][of_device]})
        told = Order(1, np.ones(4, np.int64), {})
        scheme.gather(sums, scheme.begin(task), task.cohort(), message, told, torch.ones(4, dtype=torch.bool))
        means.append(sums.mean()["w"])
    torch.testing.assert_close(*means)


@pytest.mark.parametrize("made", NAMES.values())
def test_devices_in_chunks_do_what_they_do_together(made):
    scheme, task = quick(made), task_of(5)
    together, apart = Played(scheme, task), Played(scheme, task)
    watch, apart.crew = apart.crew.watch, Crew(scheme, task, at_once=2)
    apart.crew.watch = watch
    for played in (together, apart):
        played.round([1, 0, 1, 1, 1], [1, 1, 0, 1, 1]).round([1, 1, 1, 0, 0], [0, 1, 1, 1, 1])
    for name, value in together.state.parameters.items():
        torch.testing.assert_close(apart.state.parameters[name], value)
    for device in range(5):
        for name, value in together.own(device).items():
            torch.testing.assert_close(apart.own(device)[name], value, equal_nan=True)
    assert apart.state.train_loss == pytest.approx(together.state.train_loss, rel=1e-6)


# -- what is refused --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("fl", {"iterations": 0}, "iterations: expected a whole number >= 1, got 0"),
        ("fl", {"learning_rate": -1.0}, "learning_rate: expected a number > 0, got -1"),
        ("fl", {"batchsize": 1.5}, "batchsize: expected a whole number"),
        ("fl", {"seed_samples": 3}, "seed_samples: this scheme sends none: leave out"),
        ("fd", {"distillation_weight": -0.1}, "distillation_weight: expected a number >= 0"),
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
    options = {"ratio": [0.1, 0.2, 0.7]}
    states = [
        play(quick(made, **options), task_of(6), [1] * 6, seed_samples=6).state for made in (MixFld, Mix2Fld)
    ]
    assert sorted(set(states[0].seeds.y.flatten().tolist())) == pytest.approx([0.0, 0.1, 0.2, 0.7])
    assert len(states[1].seeds) == 36
    assert states[1].seeds.y.sum() == 36


def test_a_plan_without_seeds_is_refused():
    scheme, task = Fld(), task_of()
    plan = plan_of(scheme, task, policy=lambda problem, rng: (2, 100, 0))
    with pytest.raises(ProblemError, match="seed_samples: expected at least 1 for Fld, got 0"):
        scheme.sends(scheme.begin(task), plan)


def test_the_paper_s_settings_are_the_defaults():
    defaults = {name: p.default for name, p in inspect.signature(Mix2Fld).parameters.items()}
    assert (defaults["iterations"], defaults["server_iterations"]) == (6_400, 3_200)
    assert defaults["learning_rate"] == defaults["distillation_weight"] == 0.01
    assert (defaults["ratio"], defaults["batchsize"]) == (0.1, 1)
    assert PAPER == {"num_channels": 2, "max_slots": 100, "seed_samples": 10}
    assert {name: SCHEMES[name] for name in NAMES} == NAMES
