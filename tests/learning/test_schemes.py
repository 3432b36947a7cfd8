"""Schemes with local training: what each uploads, what it averages, and what it does with late devices."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from learning import (
    SCHEMES,
    Average,
    Crew,
    Dataset,
    FedAvg,
    FedProx,
    FedSgd,
    Global,
    Individual,
    Order,
    Own,
    Silent,
    State,
    Streams,
    Task,
    Tdma,
    Turn,
    train,
)
from learning.judges import Judge
from learning.local.batches import epochs
from learning.local.train import train_devices
from learning.models import build as models
from learning.models.weights import Sums, average, distance, of_device, stack
from radioopt import OptionError

SIZES = [6, 11, 3, 20]
ORDER = Order(1, np.array(SIZES), {})
ALL = (True, True, True, True)


def task(model="mlp", seed=0):
    """Four devices with unequal amounts of random data, in double precision."""
    rng = np.random.default_rng(seed)
    parts = tuple(np.split(rng.permutation(40), np.cumsum(SIZES)[:-1]))
    test_x = rng.normal(size=(30, 1, 8, 8))
    data = Dataset(rng.normal(size=(40, 1, 8, 8)), rng.integers(0, 5, 40), test_x, rng.integers(0, 5, 30), 5)
    return Task(data, parts, models.build(model, (1, 8, 8), 5, rng).double(), Streams(7))


class Plan:
    batchsize = np.array(SIZES)

    def told(self):
        return {}

    def takes_part(self):
        return None


class Sent:
    def __init__(self, arrived, received=ALL):
        self.arrived, self.received = np.array(arrived), np.array(received)


def trained(scheme, job):
    """What all devices do in the first round: their state and message."""
    cohort = job.cohort()
    return scheme.local(scheme.join(cohort), cohort, ORDER)


def combined(scheme, state, message, arrived=ALL):
    """What the server makes of the messages of all devices."""
    sums = Sums()
    scheme.gather(sums, state, state.task.cohort(), message, ORDER, torch.tensor(arrived))
    return scheme.combine(state, sums, 1)[0]


def a_round(scheme, job, arrived=ALL):
    state = scheme.begin(job)
    return state, combined(scheme, state, trained(scheme, job)[1], arrived)


def alone(scheme, job, rounds=1):
    """The states before and after each round of devices that train by themselves, and the devices' weights."""
    crew, states = Crew(scheme, job), [scheme.begin(job)]
    banks = [crew.banks["model"]]
    for number in range(1, rounds + 1):
        states.append(scheme.round(states[-1], crew, Turn(number, Plan(), Sent((False,) * 4, (False,) * 4))))
        banks.append(crew.banks["model"])
    return states, [bank.of(np.arange(4)) for bank in banks], crew


def flat(parameters):
    return torch.cat([value.flatten().double() for value in parameters.values()])


def normalised(shape, classes):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(64, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, classes)
    )


def noisy(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, classes))


@pytest.mark.parametrize(
    ("scheme", "rounds", "accuracy"),
    [("feel", 60, 0.85), ("fedavg", 20, 0.9), ("fedprox", 20, 0.9), ("individual", 20, 0.8)],
)
def test_every_scheme_learns_digits(cell, scheme, rounds, accuracy):
    result = train(cell, scheme=scheme, rounds=rounds, seed=1)
    assert result.ledger.initial_accuracy < 0.3
    assert result.ledger.accuracy > accuracy
    losses = result.to_frame()["train_loss"]
    assert losses[rounds] < 0.6 * losses[1]


def test_weights_and_gradients_go_up_and_individual_learning_sends_nothing(cell):
    frames = {
        scheme: train(cell, scheme=scheme, rounds=1, bits_per_parameter=32).to_frame().loc[1]
        for scheme in ("feel", "fedavg", "fedprox", "individual")
    }
    for scheme in ("feel", "fedavg", "fedprox"):
        assert frames[scheme]["uplink_bits"] == frames[scheme]["downlink_bits"] == 32 * 4810
        assert frames[scheme]["arrived"] == 6
        assert frames[scheme]["upload_energy_j"] > 0
    alone = frames["individual"]
    assert alone["uplink_bits"] == alone["downlink_bits"] == alone["arrived"] == alone["upload_energy_j"] == 0
    assert alone["compute_energy_j"] == frames["fedavg"]["compute_energy_j"]
    assert alone["round_latency_s"] < frames["fedavg"]["round_latency_s"]


def test_one_step_with_everything_is_gradient_descent_of_the_same_rate():
    step, gradient = FedAvg(learning_rate=0.3, batchsize=1000), FedSgd(0.3, sum(SIZES), "samples")
    start, averaged = a_round(step, task())
    _, stepped = a_round(gradient, task())
    torch.testing.assert_close(flat(averaged.parameters), flat(stepped.parameters), rtol=1e-10, atol=1e-13)
    assert averaged.train_loss == pytest.approx(stepped.train_loss, rel=1e-12)
    assert distance(averaged.parameters, start.parameters) > 1e-3


def test_a_whole_run_of_it_is_too(cell):
    options = {"policy": "entire", "weights": "samples", "reference_batch": 1437}
    one = train(cell, scheme="feel", learning_rate=0.5, rounds=5, seed=3, **options)
    other = train(cell, scheme="fedavg", learning_rate=0.5, batchsize=1437, rounds=5, seed=3)
    torch.testing.assert_close(flat(one.state.parameters), flat(other.state.parameters), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(one.to_frame()["batchsize"], other.to_frame()["batchsize"])
    np.testing.assert_allclose(one.to_frame()["seconds"], other.to_frame()["seconds"], rtol=1e-3)


@pytest.mark.parametrize("arrived", [(True, False, True, True), (False, True, False, False)])
def test_the_average_is_over_the_weights_that_arrived_by_samples_held(arrived):
    job = task()
    scheme = FedAvg(batchsize=4, epochs=2)
    state = scheme.begin(job)
    own, message = trained(scheme, job)
    after = combined(scheme, state, message, arrived)
    weights = np.array(SIZES) * arrived
    for name, value in after.parameters.items():
        assert torch.equal(message.values[name], own[name])
        expected = np.average(own[name].numpy(), axis=0, weights=weights)
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-15)
    assert after.train_loss == pytest.approx(np.average(message.notes["loss"], weights=weights), rel=1e-12)


@pytest.mark.parametrize("scheme", [FedAvg(batchsize=4, epochs=2), FedProx(batchsize=4)])
def test_what_a_late_device_sent_does_not_count_even_if_it_is_no_number(scheme):
    own = scheme.join(task().cohort())
    broken = {name: value.clone() for name, value in own.items()}
    broken["1.weight"][2] = math.nan
    job, arrived = task(), (True, True, False, True)
    state = scheme.begin(job)
    without = combined(scheme, state, trained(scheme, job)[1], arrived)
    message = scheme.local(broken, job.cohort(), ORDER)[1]
    assert message.notes["loss"].isnan().tolist() == [False, False, True, False]
    after = combined(scheme, state, message, arrived)
    torch.testing.assert_close(flat(after.parameters), flat(without.parameters), rtol=1e-12, atol=1e-15)
    assert after.train_loss == pytest.approx(without.train_loss, rel=1e-12)


def test_devices_train_for_the_epochs_or_iterations_that_are_asked_for():
    cohort = task().cohort()
    own = FedAvg().join(cohort)
    passes, steps = FedAvg(batchsize=4, epochs=3), FedAvg(batchsize=4, iterations=5)
    assert passes.train(own, cohort, ORDER).samples.tolist() == [3 * size for size in SIZES]
    assert passes.train(own, cohort, ORDER).steps.tolist() == [6, 9, 3, 15]
    assert steps.train(own, cohort, ORDER).samples.tolist() == [20, 20, 15, 20]
    assert steps.train(own, cohort, ORDER).steps.tolist() == [5] * 4
    work = FedAvg(batchsize=4).work(cohort.task)
    assert [own.tolist() for own in work.steps][:2] == [[4, 2], [4, 4, 3]]


@pytest.mark.parametrize("scheme", [FedAvg, FedProx, Individual])
@pytest.mark.parametrize("options", [{"batchsize": 7, "epochs": 2}, {"batchsize": 15, "iterations": 3}])
def test_the_clock_charges_for_the_samples_that_are_trained_with(cell, scheme, options):
    result = train(cell, scheme=scheme(**options), rounds=1, partition="dirichlet:0.3", seed=8)
    cohort, made = result.task.cohort(), result.ledger.entries[0].plan
    own = scheme(**options).join(cohort)
    done = scheme(**options).train(own, cohort, Order(1, made.batchsize, {}))
    np.testing.assert_array_equal(done.samples, made.batchsize)


@pytest.mark.parametrize("scheme", [FedAvg, FedProx, Individual])
def test_all_engines_make_the_same_round(scheme):
    results = [trained(scheme(batchsize=2, engine=engine), task()) for engine in ("stacked", "plain")]
    torch.testing.assert_close(*(flat(own) for own, _ in results), rtol=1e-10, atol=1e-13)
    torch.testing.assert_close(*(message.notes["loss"] for _, message in results), rtol=1e-10, atol=1e-13)


def test_the_proximal_term_keeps_devices_near_the_global_model():
    pulls = [0.0, 0.5, 2.0, 4.0]
    moved = []
    for proximal in pulls:
        scheme = FedProx(proximal=proximal, batchsize=3, epochs=5)
        job = task()
        local = trained(scheme, job)[0]
        moved.append([distance(of_device(local, k), job.initial_values()) for k in range(4)])
    assert (np.diff(np.array(moved), axis=0) < 0).all()
    without = a_round(FedAvg(batchsize=3, epochs=5), task())[1]
    none = a_round(FedProx(proximal=0.0, batchsize=3, epochs=5), task())[1]
    assert torch.equal(flat(without.parameters), flat(none.parameters))


def test_individual_models_are_those_that_devices_train_alone():
    _, rows, _ = alone(Individual(batchsize=4), task(), rounds=2)
    again = task()
    models_ = stack(again.initial_values(), 4)
    for number in (1, 2):
        drawn = epochs(again.parts, 4, 1, again.cohort().rngs("training", number))
        models_ = train_devices(again.model, again.samples, models_, drawn, learning_rate=0.2).parameters
    torch.testing.assert_close(flat(rows[2]), flat(models_), rtol=1e-10, atol=1e-13)
    assert len({float(row.sum()) for row in rows[2]["1.weight"]}) == 4
    assert torch.equal(rows[0]["1.weight"][0], rows[0]["1.weight"][3])


def test_the_loss_of_individual_learning_is_the_mean_by_samples_held():
    (_, after), _, _ = alone(Individual(batchsize=4), task())
    _, message = trained(Individual(batchsize=4), task())
    assert after.train_loss == pytest.approx(np.average(message.notes["loss"], weights=SIZES), rel=1e-12)


def test_individual_learning_is_judged_by_its_own_models_or_by_their_average():
    job = task()
    (_, after), (_, rows), crew = alone(Individual(batchsize=4, epochs=3), job)
    judges = Own(), Average()
    own, average_ = (judge.judged(job, after, crew) for judge in judges)
    each = [Global().measured(job, of_device(rows, k)) for k in range(4)]
    mean = Global().measured(job, average(rows, torch.tensor(SIZES)))
    for name in ("test_accuracy", "test_loss"):
        assert own[name] == pytest.approx(np.mean([figures[name] for figures in each]), rel=1e-12)
        assert average_[name] == mean[name]
    assert own["average_accuracy"] == mean["test_accuracy"]
    assert average_["own_accuracy"] == own["test_accuracy"]
    assert own.keys() - average_.keys() == {"average_accuracy"}
    for judge in judges:
        assert torch.equal(flat(judge.model(after, crew)), flat(average(rows, torch.tensor(SIZES))))


def test_unlike_data_hurt_those_who_learn_alone_most(cell):
    accuracy = {
        scheme: train(cell, scheme=scheme, rounds=15, seed=2, partition="shards").ledger.accuracy
        for scheme in ("fedavg", "individual")
    }
    assert accuracy["fedavg"] > 0.75
    assert accuracy["individual"] < 0.5


@pytest.mark.parametrize("scheme", [FedSgd(), FedAvg(), FedProx()])
def test_without_any_arrival_the_old_state_stays_and_says_nothing_about_convergence(scheme):
    before, after = a_round(scheme, task(), (False,) * 4)
    assert after.parameters is before.parameters
    assert math.isnan(after.train_loss)
    assert math.isnan(scheme.change(before, after))


@pytest.mark.parametrize(
    "scheme",
    [FedSgd(), FedAvg(), FedAvg(server_optimiser="adam"), FedAvg(optimiser="adam"), FedProx(), Individual()],
)
def test_hooks_leave_what_they_got_as_it_was(scheme):
    def copied(values):
        return {name: value.clone() for name, value in values.items()}

    def same(values, copies):
        return all(torch.equal(values[name], value) for name, value in copies.items())

    job = task()
    cohort, state = job.cohort(), scheme.begin(job)
    own = scheme.join(cohort)
    for number in (1, 2):
        order, sums = Order(number, np.array(SIZES), {}), Sums()
        parameters, before = copied(state.parameters), copied(own)
        trained_, message = scheme.local(own, cohort, order)
        after_training = copied(trained_)
        sent = {} if isinstance(scheme, FedSgd) else copied(message.values)  # its graph is gone after the sum
        scheme.gather(sums, state, cohort, message, order, torch.tensor(ALL))
        after, answer = scheme.combine(state, sums, number)
        heard = trained_ if answer is None else scheme.hear(trained_, cohort, answer)
        assert same(state.parameters, parameters)
        assert same(own, before)
        assert same(trained_, after_training)
        assert same(message.values if sent else {}, sent)
        state, own = after, heard
    assert same(dict(job.model.named_parameters()), job.initial_values())
    assert not any(value.requires_grad for value in {**state.parameters, **own}.values())


def test_the_change_is_the_relative_change_of_all_weights():
    before, after = a_round(FedAvg(), task())
    expected = (flat(after.parameters) - flat(before.parameters)).norm() / flat(before.parameters).norm()
    assert FedAvg().change(before, after) == pytest.approx(float(expected), rel=1e-12)
    (one, two), (first, second), _ = alone(Individual(), task())
    expected = (flat(second) - flat(first)).norm() / flat(first).norm()
    assert Individual().change(one, two) == pytest.approx(float(expected), rel=1e-12)
    zero = replace(before, parameters={"w": torch.zeros(2)})
    assert FedAvg().change(zero, State(before.task, {"w": torch.ones(2)})) == math.inf


def test_averages_of_batch_normalisation_are_averaged_uploaded_and_judged(cell):
    result = train(cell, scheme="fedavg", model=normalised, rounds=8, bits_per_parameter=32)
    parameters = 64 * 16 + 16 + 2 * 16 + 16 * 10 + 10
    assert result.config["parameters"] == parameters
    assert result.to_frame()["uplink_bits"][1] == 32 * (parameters + 2 * 16)
    assert result.ledger.accuracy > 0.85
    x, y = torch.from_numpy(result.state.task.data.test_x), torch.from_numpy(result.state.task.data.test_y)
    model = result.model().eval()
    assert float((model(x).argmax(1) == y).double().mean()) == result.ledger.accuracy
    assert not torch.equal(model[2].running_mean, torch.zeros(16))
    assert torch.equal(result.state.task.model[2].running_mean, torch.zeros(16))


def test_a_model_with_dropout_trains_reproducibly_and_is_judged_without_noise(cell):
    first, same = (train(cell, scheme="fedavg", model=noisy, rounds=5, seed=4) for _ in range(2))
    assert first.ledger.to_csv() == same.ledger.to_csv()
    assert first.ledger.accuracy > 0.7
    measured = Global().measured(first.task, first.state.parameters)
    assert measured["test_accuracy"] == first.ledger.accuracy


@pytest.mark.parametrize("scheme", ["fedavg", "fedprox", "individual"])
def test_runs_of_one_seed_are_the_same_and_paired_with_other_schemes(cell, scheme):
    first, same = (train(cell, scheme=scheme, rounds=3, seed=5, partition="dirichlet") for _ in range(2))
    assert first.ledger.to_csv() == same.ledger.to_csv()
    assert first.ledger.to_csv("device") == same.ledger.to_csv("device")
    other = train(cell, rounds=3, seed=5, partition="dirichlet")
    assert first.config["fingerprints"] == other.config["fingerprints"]
    assert first.ledger.initial_accuracy == other.ledger.initial_accuracy or scheme == "individual"
    for mine, its in zip(first.ledger.entries, other.ledger.entries, strict=True):
        np.testing.assert_array_equal(mine.plan.devices.uplink_rate_bps, its.plan.devices.uplink_rate_bps)


@pytest.mark.parametrize("scheme", ["fedavg", "individual"])
def test_a_run_goes_on_from_its_checkpoint_bit_for_bit(cell, tmp_path, monkeypatch, scheme):
    options = {"scheme": scheme, "seed": 6}
    if scheme == "fedavg":
        options["radio"] = Tdma(deadline_s=200.0, slowdown=0.5, loss_probability=0.3)
    whole = train(cell, rounds=6, **options)
    judge, judged = Judge.__call__, []

    def evaluate(self, *args):
        judged.append(None)
        if len(judged) == 5:
            raise KeyboardInterrupt
        return judge(self, *args)

    path = tmp_path / "run"
    monkeypatch.setattr(Judge, "__call__", evaluate)
    with pytest.raises(KeyboardInterrupt):
        train(cell, rounds=6, checkpoint=path, every=1, **options)
    monkeypatch.setattr(Judge, "__call__", judge)
    resumed = train(cell, rounds=6, checkpoint=path, every=1, **options)
    assert resumed.ledger.to_csv() == whole.ledger.to_csv()
    assert torch.equal(flat(resumed.weights()), flat(whole.weights()))
    for device in range(6):
        assert torch.equal(flat(resumed.weights(device)), flat(whole.weights(device)))
    if scheme == "fedavg":
        with pytest.raises(OptionError, match=r"radio.deadline_s: 200.0 there, 300.0 here"):
            train(cell, rounds=6, checkpoint=path, **{**options, "radio": Tdma(300.0, 0.5, 0.3)})


@pytest.mark.parametrize("scheme", [FedAvg, FedProx, Individual])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": 0}, r"learning_rate: expected a number > 0, got 0"),
        ({"batchsize": 0}, r"batchsize: expected a whole number >= 1, got 0"),
        ({"epochs": 0.5}, r"epochs: expected a whole number >= 1, got 0.5"),
        ({"iterations": 0}, r"iterations: expected a whole number >= 1, got 0"),
        ({"engine": "gpu"}, r"unknown engine 'gpu', choose from auto, stacked, plain"),
    ],
)
def test_wrong_settings_are_refused(scheme, options, message):
    with pytest.raises(OptionError, match=message):
        scheme(**options)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_scheme_is_made_again_from_its_settings(scheme):
    made = SCHEMES[scheme]()
    assert SCHEMES[scheme](**made.settings()).settings() == made.settings()


def test_settings_of_one_scheme_are_refused_too(cell):
    with pytest.raises(OptionError, match=r"proximal: expected less than 1 / learning_rate = 2, got 2"):
        FedProx(proximal=2, learning_rate=0.5)
    with pytest.raises(OptionError, match=r"proximal: expected a number >= 0, got -1"):
        FedProx(proximal=-1)
    with pytest.raises(OptionError, match=r"unknown judge 'server', choose from global, own, average"):
        train(cell, scheme="individual", judge="server")
    with pytest.raises(
        OptionError, match=r"policy 'online': the batches of this scheme .*choose policy optimal"
    ):
        train(cell, scheme="fedavg", policy="online")
    with pytest.raises(
        OptionError,
        match=r"unknown option proximal, an option of scheme fedprox, contrastive; scheme 'fedavg' takes: learn",
    ):
        train(cell, scheme="fedavg", proximal=1.0)
    with pytest.raises(OptionError, match=r"radio silent: cannot send .*take a radio that does, as tdma"):
        train(cell, scheme="fedavg", radio=Silent())
    with pytest.raises(OptionError, match=r"radio tdma: .*this scheme sends none: take silent"):
        train(cell, scheme="individual", radio="tdma")
