"""Schemes with local training: what each uploads, what it averages, and what it does with late devices."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from learning import (
    SCHEMES,
    Dataset,
    FedAvg,
    FedProx,
    FedSgd,
    Individual,
    NoLink,
    State,
    Task,
    TdmaLink,
    train,
)
from learning.local.batches import epochs
from learning.local.train import average, stack, train_devices
from learning.models import build as models
from learning.task import distance
from radioopt import OptionError

SIZES = [6, 11, 3, 20]


def task(model="mlp", seed=0):
    """Four devices with unequal amounts of random data, in double precision."""
    rng = np.random.default_rng(seed)
    parts = tuple(np.split(rng.permutation(40), np.cumsum(SIZES)[:-1]))
    test_x = rng.normal(size=(30, 1, 8, 8))
    data = Dataset(rng.normal(size=(40, 1, 8, 8)), rng.integers(0, 5, 40), test_x, rng.integers(0, 5, 30), 5)
    for part in ("train_x", "test_x"):
        object.__setattr__(data, part, getattr(data, part).astype(np.float64))
    return Task(data, parts, models.build(model, (1, 8, 8), 5, rng).double(), np.random.default_rng(7))


class Plan:
    batchsize = np.array(SIZES)


class Sent:
    def __init__(self, *arrived):
        self.arrived = np.array(arrived)


ALL = Sent(True, True, True, True)


def a_round(scheme, job, sent=ALL):
    state = scheme.start(job)
    return state, scheme.aggregate(state, scheme.local(state, Plan), sent)


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
    state = scheme.start(job)
    updates = scheme.local(state, Plan)
    after = scheme.aggregate(state, updates, Sent(*arrived))
    weights = np.array(SIZES) * arrived
    for name, value in after.parameters.items():
        expected = np.average(updates.parameters[name].numpy(), axis=0, weights=weights)
        np.testing.assert_allclose(value, expected, rtol=1e-12, atol=1e-15)
    assert after.train_loss == pytest.approx(np.average(updates.loss, weights=weights), rel=1e-12)


def test_devices_train_for_the_epochs_or_iterations_that_are_asked_for():
    job = task()
    assert FedAvg(batchsize=4, epochs=3).local(FedAvg().start(job), Plan).samples.tolist() == [
        3 * size for size in SIZES
    ]
    steps = FedAvg(batchsize=4, iterations=5)
    assert steps.local(steps.start(job), Plan).samples.tolist() == [20, 20, 15, 20]
    assert [own.tolist() for own in FedAvg(batchsize=4).work(job)][:2] == [[4, 2], [4, 4, 3]]


@pytest.mark.parametrize("scheme", [FedAvg, FedProx, Individual])
@pytest.mark.parametrize("options", [{"batchsize": 7, "epochs": 2}, {"batchsize": 15, "iterations": 3}])
def test_the_clock_charges_for_the_samples_that_are_trained_with(cell, scheme, options):
    result = train(cell, scheme=scheme(**options), rounds=1, partition="dirichlet:0.3", seed=8)
    job, made = result.state.task, result.ledger.entries[0].plan
    trained = scheme(**options).local(scheme(**options).start(job), made)
    np.testing.assert_array_equal(trained.samples, made.batchsize)


@pytest.mark.parametrize("scheme", [FedAvg, FedProx, Individual])
def test_all_engines_make_the_same_round(scheme):
    results = [a_round(scheme(batchsize=2, engine=engine), task())[1] for engine in ("stacked", "plain")]
    torch.testing.assert_close(*(flat(r.parameters) for r in results), rtol=1e-10, atol=1e-13)


def test_the_proximal_term_keeps_devices_near_the_global_model():
    pulls = [0.0, 0.5, 2.0, 4.0]
    moved = []
    for proximal in pulls:
        scheme = FedProx(proximal=proximal, batchsize=3, epochs=5)
        state = scheme.start(task())
        local = scheme.local(state, Plan).parameters
        moved.append([distance({n: v[k] for n, v in local.items()}, state.parameters) for k in range(4)])
    assert (np.diff(np.array(moved), axis=0) < 0).all()
    without = a_round(FedAvg(batchsize=3, epochs=5), task())[1]
    none = a_round(FedProx(proximal=0.0, batchsize=3, epochs=5), task())[1]
    assert torch.equal(flat(without.parameters), flat(none.parameters))


def test_individual_models_are_those_that_devices_train_alone():
    job = task()
    scheme = Individual(batchsize=4)
    state, after = a_round(scheme, job)
    twice = scheme.aggregate(after, scheme.local(after, Plan), ALL)
    again = task()
    models_ = stack(again.initial_values(), 4)
    for _ in range(2):
        rng = again.fork()
        drawn = epochs(again.parts, 4, 1, rng)
        models_ = train_devices(again.model, again.samples, models_, drawn, learning_rate=0.2).parameters
    torch.testing.assert_close(flat(twice.devices), flat(models_), rtol=1e-10, atol=1e-13)
    assert len({float(row.sum()) for row in twice.devices["1.weight"]}) == 4
    assert torch.equal(state.devices["1.weight"][0], state.devices["1.weight"][3])


def test_individual_learning_is_judged_by_its_own_models_or_by_their_average():
    job = task()
    _, after = a_round(Individual(batchsize=4, epochs=3), job)
    each = [job.evaluate({n: v[k] for n, v in after.devices.items()}) for k in range(4)]
    own, average_ = Individual(judge="own"), Individual(judge="average")
    assert own.evaluate(after) == pytest.approx(np.mean(each, axis=0), rel=1e-12)
    mean = average(after.devices, torch.tensor(SIZES))
    assert average_.evaluate(after) == job.evaluate(mean)
    assert own.figures(after) == {"average_accuracy": average_.evaluate(after)[0]}
    assert average_.figures(after) == {"own_accuracy": own.evaluate(after)[0]}


def test_unlike_data_hurt_those_who_learn_alone_most(cell):
    accuracy = {
        scheme: train(cell, scheme=scheme, rounds=15, seed=2, partition="shards").ledger.accuracy
        for scheme in ("fedavg", "individual")
    }
    assert accuracy["fedavg"] > 0.75
    assert accuracy["individual"] < 0.5


@pytest.mark.parametrize("scheme", [FedSgd(), FedAvg(), FedProx()])
def test_without_any_arrival_the_old_state_stays_and_says_nothing_about_convergence(scheme):
    before, after = a_round(scheme, task(), Sent(False, False, False, False))
    assert after.parameters is before.parameters
    assert math.isnan(after.train_loss)
    assert math.isnan(scheme.change(before, after))


@pytest.mark.parametrize("scheme", [FedSgd(), FedAvg(), FedProx(), Individual()])
def test_hooks_leave_what_they_got_as_it_was(scheme):
    job = task()
    state = scheme.start(job)
    kept = flat(state.parameters).clone()
    after = scheme.aggregate(state, scheme.local(state, Plan), ALL)
    alone = flat(after.parameters).clone()
    scheme.aggregate(after, scheme.local(after, Plan), ALL)
    assert torch.equal(flat(state.parameters), kept)
    assert torch.equal(flat(after.parameters), alone)
    assert all(torch.equal(value, state.parameters[name]) for name, value in job.model.named_parameters())


def test_the_change_is_the_relative_change_of_all_weights():
    before, after = a_round(FedAvg(), task())
    expected = (flat(after.parameters) - flat(before.parameters)).norm() / flat(before.parameters).norm()
    assert FedAvg().change(before, after) == pytest.approx(float(expected), rel=1e-12)
    alone = Individual()
    one, two = a_round(alone, task())
    expected = (flat(two.devices) - flat(one.devices)).norm() / flat(one.devices).norm()
    assert alone.change(one, two) == pytest.approx(float(expected), rel=1e-12)
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
    assert first.state.task.evaluate(first.state.parameters)[0] == first.ledger.accuracy


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
    options = {"scheme": scheme, "seed": 6, "link": None}
    if scheme == "fedavg":
        options["link"] = TdmaLink(deadline_s=200.0, slowdown=0.5, loss_probability=0.3)
    whole = train(cell, rounds=6, **options)
    made = {"fedavg": FedAvg, "individual": Individual}[scheme]
    judge, judged = made.evaluate, []

    def evaluate(self, state):
        judged.append(None)
        if len(judged) == 5:
            raise KeyboardInterrupt
        return judge(self, state)

    path = tmp_path / "run"
    monkeypatch.setattr(made, "evaluate", evaluate)
    with pytest.raises(KeyboardInterrupt):
        train(cell, rounds=6, checkpoint=path, every=1, **options)
    monkeypatch.setattr(made, "evaluate", judge)
    resumed = train(cell, rounds=6, checkpoint=path, every=1, **options)
    assert resumed.ledger.to_csv() == whole.ledger.to_csv()
    assert torch.equal(flat(resumed.state.parameters), flat(whole.state.parameters))
    if scheme == "fedavg":
        with pytest.raises(OptionError, match=r"link.deadline_s: 200.0 there, 300.0 here"):
            train(cell, rounds=6, checkpoint=path, **{**options, "link": TdmaLink(300.0, 0.5, 0.3)})


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
    with pytest.raises(OptionError, match=r"proximal: expected a number > 0, got -1"):
        FedProx(proximal=-1)
    with pytest.raises(OptionError, match=r"unknown judge 'server', choose from own, average"):
        Individual(judge="server")
    with pytest.raises(
        OptionError, match=r"policy 'online': the batches of this scheme .*choose policy optimal"
    ):
        train(cell, scheme="fedavg", policy="online")
    with pytest.raises(OptionError, match=r"unknown option proximal, scheme 'fedavg' takes: learning_rate"):
        train(cell, scheme="fedavg", proximal=1.0)
    with pytest.raises(OptionError, match=r"NoLink cannot send"):
        train(cell, scheme="fedavg", link=NoLink())
