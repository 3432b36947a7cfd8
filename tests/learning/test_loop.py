"""The loop: reproducible, paired, and with a clock that only the allocations move."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from learning import POLICIES, Dataset, Fading, FedAvg, FedSgd, Order, Silent, StepTimes, Tdma, train
from learning.radio.base import Payload
from learning.runs.ledger import Entry, Ledger
from radioopt import OptionError, ProblemError, Scenario
from radioopt.feel import TrainingTime


@pytest.fixture(scope="module")
def paired(cell):
    return {policy: train(cell, policy=policy, rounds=6, seed=3, partition="shards") for policy in POLICIES}


def ledger_of(result):
    return result.ledger.to_csv(), result.ledger.to_csv("device")


@pytest.mark.parametrize("policy", list(POLICIES))
def test_the_same_seed_gives_the_same_ledger_and_weights(cell, paired, policy):
    again = train(cell, policy=policy, rounds=6, seed=3, partition="shards")
    assert ledger_of(again) == ledger_of(paired[policy])
    weights = paired[policy].state.parameters
    assert all(torch.equal(value, weights[name]) for name, value in again.state.parameters.items())


def test_another_seed_changes_everything(cell, paired):
    other = train(cell, policy="optimal", rounds=6, seed=4, partition="shards")
    assert not other.config["fingerprints"].items() & paired["optimal"].config["fingerprints"].items()
    assert ledger_of(other) != ledger_of(paired["optimal"])


def test_policies_on_one_seed_share_data_partition_weights_and_channels(paired):
    prints = [result.config["fingerprints"] for result in paired.values()]
    assert all(one == prints[0] for one in prints)
    for entries in zip(*(result.ledger.entries for result in paired.values()), strict=True):
        rates = [entry.plan.devices.uplink_rate_bps for entry in entries]
        assert all(np.array_equal(rate, rates[0]) for rate in rates)
        assert all(
            np.array_equal(e.plan.devices.downlink_snr, entries[0].plan.devices.downlink_snr) for e in entries
        )
    starts = {(result.ledger.initial_accuracy, result.ledger.initial_loss) for result in paired.values()}
    assert len(starts) == 1


def test_the_channel_changes_from_round_to_round_and_the_allocation_follows(paired):
    entries = paired["optimal"].ledger.entries
    assert len({float(entry.plan.devices.uplink_rate_bps[0]) for entry in entries}) == len(entries)
    assert len({entry.sent.seconds for entry in entries}) == len(entries)


def test_the_clock_is_the_sum_of_the_latencies_of_the_solutions(paired):
    for result in paired.values():
        latencies = [float(entry.plan.solution.round_latency_s) for entry in result.ledger.entries]
        frame = result.to_frame()
        np.testing.assert_allclose(frame["seconds"], np.cumsum([0.0, *latencies]), rtol=1e-12)
        assert result.ledger.seconds == pytest.approx(sum(latencies), rel=1e-12)


def test_the_ledger_counts_every_joule_of_every_device(paired):
    result = paired["random"]
    devices, rounds = result.ledger.to_frame("device"), result.to_frame()
    assert devices.index.names == ["round", "device"]
    assert devices.shape == (6 * 6, 8)
    joules = (devices["compute_energy_j"] + devices["upload_energy_j"]).groupby("round").sum()
    np.testing.assert_allclose(rounds["energy_j"][1:], joules, rtol=1e-12)
    np.testing.assert_array_equal(rounds["batchsize"][1:], devices["batchsize"].groupby("round").sum())
    assert result.ledger.energy_j == pytest.approx(joules.sum(), rel=1e-12)


def test_training_learns_digits_and_the_model_is_what_was_judged():
    result = train("feel-cpu", rounds=60, seed=1)
    assert result.ledger.initial_accuracy < 0.3
    assert result.ledger.accuracy > 0.9
    x, y = torch.from_numpy(result.task.data.test_x), torch.from_numpy(result.task.data.test_y)
    accuracy = (result.model()(x).argmax(1) == y).double().mean()
    assert float(accuracy) == result.ledger.accuracy


def test_a_module_given_is_not_changed_and_its_weights_are_where_training_starts(cell):
    module = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(module[1].weight)
    nn.init.zeros_(module[1].bias)
    result = train(cell, model=module, rounds=2)
    assert result.ledger.initial_loss == pytest.approx(math.log(10), rel=1e-6)
    assert not module[1].weight.any()
    assert result.model()[1].weight.any()


def test_frozen_parameters_stay(cell):
    def half_frozen(shape, classes):
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, classes))
        model[1].requires_grad_(False)
        return model

    result = train(cell, model=half_frozen, rounds=2)
    assert result.config["parameters"] == 8 * 10 + 10
    assert torch.equal(result.model()[1].weight, result.task.model[1].weight)
    assert not torch.equal(result.model()[3].weight, result.task.model[3].weight)


def test_rounds_end_a_run(cell):
    result = train(cell, rounds=2, seconds=1e9)
    assert (len(result.ledger), result.stopped) == (2, "rounds")


def test_no_round_ends_after_the_budget_of_simulated_seconds(cell):
    free = train(cell, rounds=5, seed=7)
    third, fourth = (free.ledger.entries[i].seconds for i in (2, 3))
    cut = train(cell, seconds=(third + fourth) / 2, seed=7)
    assert (len(cut.ledger), cut.stopped) == (3, "seconds")
    assert cut.ledger.seconds == third
    assert len(train(cell, seconds=third, seed=7).ledger) == 3


def test_a_target_ends_a_run_at_the_first_round_that_reaches_it(cell):
    result = train(cell, rounds=100, target_accuracy=0.6)
    accuracy = result.to_frame()["test_accuracy"].to_numpy()
    assert result.stopped == "target_accuracy"
    assert accuracy[-1] >= 0.6 > accuracy[:-1].max()
    assert result.ledger.rounds_to(0.6) == len(result.ledger)


def test_no_round_exceeds_the_budget_of_joules(cell):
    free = train(cell, rounds=5, seed=7)
    energy = np.cumsum([entry.energy_j for entry in free.ledger.entries])
    cut = train(cell, joules=(energy[2] + energy[3]) / 2, seed=7)
    assert (len(cut.ledger), cut.stopped) == (3, "joules")
    assert cut.ledger.energy_j == pytest.approx(energy[2], rel=1e-12)
    assert len(train(cell, joules=energy[2] * (1 + 1e-9), rounds=9, seed=7).ledger) == 3


def test_joules_are_summed_once_not_anew_in_every_round(cell, monkeypatch):
    asked = []
    energy = Entry.energy_j.fget
    monkeypatch.setattr(Entry, "energy_j", property(lambda entry: asked.append(entry) or energy(entry)))
    result = train(cell, joules=1e9, rounds=20)
    assert len(asked) <= 21
    assert result.ledger.energy_j == pytest.approx(result.to_frame()["energy_j"].sum(), rel=1e-12)


def test_a_budget_of_joules_needs_to_know_them():
    with pytest.raises(
        ProblemError,
        match=r"joules: the energy of computing is unknown: give devices.cpu_frequency_hz and devices.energy_c",
    ):
        train("feel-gpu", joules=1e3)


@pytest.mark.parametrize("scheme", ["feel", "fedavg", "individual"])
def test_a_run_ends_when_the_relative_change_falls_below_epsilon(cell, scheme):
    free = train(cell, scheme=scheme, rounds=12, seed=1)
    changes = np.array([entry.change for entry in free.ledger.entries])
    epsilon = float(np.sort(changes)[3])
    first = int(np.argmax(changes < epsilon)) + 1
    cut = train(cell, scheme=scheme, rounds=12, seed=1, epsilon=epsilon)
    assert (len(cut.ledger), cut.stopped) == (first, "epsilon")
    assert cut.ledger.to_csv() == free.ledger.to_csv().splitlines(keepends=True)[0] + "".join(
        free.ledger.to_csv().splitlines(keepends=True)[1 : first + 2]
    )


def test_compute_times_can_be_those_of_this_machine(cell):
    times = StepTimes(
        TrainingTime(seconds_per_sample=2e-4, base_time_s=1e-3, threshold_batchsize=5.0),
        update_time_s=3e-4,
        num_parameters=4810,
        machine="a table",
    )
    result = train(cell, rounds=1, compute=times, policy="full", seed=2)
    entry = result.ledger.entries[0]
    np.testing.assert_allclose(entry.sent.compute_time_s, 1e-3 + 2e-4 * (entry.plan.batchsize - 5), rtol=1e-9)
    np.testing.assert_allclose(entry.sent.update_time_s, 3e-4, rtol=1e-12)
    again = train(Scenario.from_dict(result.config["scenario"]), rounds=1, policy="full", seed=2)
    assert again.ledger.to_csv() == result.ledger.to_csv()
    modelled = train(cell, rounds=1, policy="full", seed=2).ledger.entries[0]
    np.testing.assert_array_equal(modelled.plan.devices.uplink_rate_bps, entry.plan.devices.uplink_rate_bps)
    np.testing.assert_array_equal(modelled.plan.batchsize, entry.plan.batchsize)


def test_measured_times_need_a_place_in_the_scenario(cell):
    config = cell.to_dict()
    del config["feel"]
    with pytest.raises(ProblemError, match=r"compute: the scenario has no table \[feel\]"):
        train(Scenario.from_dict(config), compute="measured")


def test_this_machine_is_timed_before_the_first_round(cell):
    measured = train(cell, rounds=2, compute="measured", scheme="fedavg").ledger.entries
    assert all(0 < entry.sent.compute_time_s.max() < 10 for entry in measured)
    np.testing.assert_array_equal(measured[0].sent.compute_time_s, measured[1].sent.compute_time_s)


def test_callbacks_are_called_with_every_entry_in_order(cell):
    seen = []
    result = train(cell, rounds=4, callbacks=[lambda *given: seen.append(given)])
    assert [number for number, _, _ in seen] == [1, 2, 3, 4]
    assert all(entry is kept for (_, entry, _), kept in zip(seen, result.ledger.entries, strict=True))
    assert all(ledger is result.ledger for _, _, ledger in seen)
    assert result.ledger.to_csv() == train(cell, rounds=4).ledger.to_csv()


def test_a_single_callback_or_preparation_needs_no_list(cell):
    seen = []
    given = {"public": 0.1, "rounds": 1, "progress": False}
    one = train(
        cell, callbacks=lambda round, *_: seen.append(round), before="share-public:share=0.5", **given
    )
    many = train(cell, before=["share-public:share=0.5"], **given)
    assert seen == [1]
    assert one.ledger.to_csv() == many.ledger.to_csv()


def test_a_text_that_a_callback_returns_ends_the_run_and_is_its_reason(cell):
    counted = []

    def patience(round, entry, ledger):
        assert len(ledger) == round
        return "out of patience" if round == 3 else None

    result = train(cell, rounds=9, callbacks=[patience, lambda *given: counted.append(1) or True])
    assert (len(result.ledger), result.stopped) == (3, "out of patience")
    assert len(counted) == 3  # the others are called in that round too, and what is no text ends nothing
    assert result.ended()["stopped"] == "out of patience"


def test_callbacks_miss_no_round_of_an_interrupted_run(cell, tmp_path):
    seen, options = [], {"rounds": 5, "checkpoint": tmp_path / "c.npz", "every": 1}

    def failing(round, entry, ledger):
        seen.append((round, entry.test_accuracy))
        if seen[-1][0] == 3 and len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(cell, callbacks=[failing], **options)
    result = train(cell, callbacks=[failing], **options)
    assert [round for round, _ in seen] == [1, 2, 3, 3, 4, 5]
    assert seen[2] == seen[3]
    assert result.to_frame()["test_accuracy"][1:].tolist() == [a for _, a in (*seen[:2], *seen[3:])]


def test_options_of_scheme_radio_and_judge_are_given_by_name(cell):
    result = train(cell, rounds=2, learning_rate=0.1, deadline_s=250.0, loss_probability=0.3, judge_every=2)
    config = result.config
    assert config["scheme"]["learning_rate"] == 0.1
    assert config["radio"] == {
        "name": "tdma",
        "deadline_s": 250.0,
        "slowdown": 0.0,
        "loss_probability": 0.3,
    }
    assert (config["judge"]["name"], config["judge"]["judge_every"]) == ("global", 2)
    given = train(
        cell,
        rounds=2,
        scheme=FedSgd(learning_rate=0.1),
        radio=Tdma(deadline_s=250.0, loss_probability=0.3),
        judge_every=2,
    )
    assert given.config == config
    assert given.ledger.to_csv() == result.ledger.to_csv()


@pytest.mark.parametrize("scheme", ["feel", "fedavg", "individual"])
def test_how_many_devices_train_at_once_changes_nothing(cell, scheme):
    options = {"scheme": scheme, "rounds": 3, "loss_probability": 0.4} if scheme != "individual" else {}
    options |= {"scheme": scheme, "rounds": 3, "seed": 2, "partition": "shards"}
    together = train(cell, **options)
    for at_once in (1, 4):
        apart = train(cell, devices_at_once=at_once, **options)
        for name, column in together.to_frame().items():
            np.testing.assert_allclose(apart.to_frame()[name], column, rtol=1e-5, err_msg=name)


def test_the_training_loss_is_the_mean_over_those_that_arrived_by_samples_held(cell):
    alone = [train(cell, scheme="fedavg", rounds=1, seed=4, loss_probability=p) for p in (0.0, 0.5)]
    everybody, some = (result.ledger.entries[0] for result in alone)
    arrived = some.sent.arrived
    assert everybody.sent.arrived.all()
    assert 0 < arrived.sum() < 6
    task = alone[0].task
    scheme = FedAvg()
    cohort = task.cohort()
    _, message = scheme.local(scheme.join(cohort), cohort, Order(1, everybody.plan.batchsize, {}))
    losses = message.notes["loss"].double().numpy()
    assert everybody.train_loss == pytest.approx(np.average(losses, weights=task.sizes), rel=1e-6)
    shares = task.sizes * arrived
    assert some.train_loss == pytest.approx(np.average(losses, weights=shares), rel=1e-6)
    nobody = train(cell, scheme="fedavg", rounds=2, deadline_s=1e-6)
    assert nobody.to_frame()["train_loss"].isna().all()


def test_a_run_that_diverges_says_so(cell):
    result = train(cell, rounds=200, learning_rate=1e30)
    assert result.stopped == "diverged"
    assert len(result.ledger) < 10


def test_the_payload_is_the_scenarios_unless_bits_per_parameter_are_given(cell):
    fixed = train(cell, rounds=1).ledger.entries[0].plan
    own = train(cell, rounds=1, bits_per_parameter=16).ledger.entries[0].plan
    assert fixed.payload == Payload(258_000_128, 258_000_128)
    assert own.payload == Payload(16 * 4810, 16 * 4810)


def test_a_scheme_can_be_an_object_and_a_policy_a_function(cell):
    def halves(problem, rng):
        return np.ceil(problem.max_batchsize / 2)

    result = train(cell, scheme=FedSgd(weights="samples"), policy=halves, rounds=1)
    assert result.config["scheme"]["weights"] == "samples"
    assert result.config["policy"].endswith("halves")
    assert result.to_frame()["batchsize"][1] == 6 * 64


def test_own_arrays_train(cell):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    x = rng.normal(size=(200, 3)) + 2.0 * y[:, None]
    result = train(
        cell, data=Dataset(x[:150], y[:150], x[150:], y[150:], 2, "blobs"), model="softmax", rounds=40
    )
    assert result.config["data"] == "blobs"
    assert result.ledger.accuracy > 0.9


def test_torch_keeps_its_threads_and_its_random_state(cell):
    torch.set_num_threads(2)
    state = torch.random.get_rng_state()
    train(cell, rounds=1)
    assert torch.get_num_threads() == 2
    assert torch.equal(state, torch.random.get_rng_state())


def test_nothing_is_printed_where_there_is_no_terminal(cell, capfd):
    train(cell, rounds=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"policy": "best"}, r"unknown policy 'best', choose from optimal, online, full, random, entire"),
        ({"scheme": "sgd"}, r"unknown scheme 'sgd', choose from feel, fedavg, .*or a Scheme"),
        (
            {"data": "minst"},
            r"unknown data 'minst', choose from digits, fashion-mnist, mnist, .*, or a Dataset",
        ),
        ({"partition": "odd"}, r"unknown partition 'odd', choose from iid, shards, dirichlet"),
        ({"model": "gpt"}, r"unknown model 'gpt', choose from softmax, mlp, cnn"),
        ({"rounds": 0}, r"rounds: expected a whole number >= 1, got 0"),
        ({"rounds": 2.5}, r"rounds: expected a whole number >= 1, got 2.5"),
        ({"seconds": -1.0}, r"seconds: expected a number > 0, got -1.0"),
        ({"seconds": math.nan}, r"seconds: expected a number > 0, got nan"),
        ({"target_accuracy": 0.0}, r"target_accuracy: expected a number > 0 and <= 1, got 0.0"),
        ({"target_accuracy": 95}, r"target_accuracy: expected a number > 0 and <= 1, got 95"),
        ({"joules": 0}, r"joules: expected a number > 0, got 0"),
        ({"epsilon": 0}, r"epsilon: expected a number > 0, got 0"),
        ({"compute": "guessed"}, r"unknown compute 'guessed', choose from modelled, measured, or StepTimes"),
        ({"seed": -1}, r"seed: expected a whole number >= 0, got -1"),
        ({"bits_per_parameter": 0}, r"bits_per_parameter: expected a number > 0, got 0"),
        ({"learning_rate": 0}, r"learning_rate: expected a number > 0, got 0"),
        ({"weights": "equal"}, r"unknown weights 'equal', choose from batch, samples"),
        (
            {"momentum": 0.9},
            r"unknown option momentum, scheme 'feel' takes: learning_rate, reference_batch, weights.*; "
            r"radio 'tdma' takes: deadline_s, slowdown, loss_probability; judge 'global' takes: judge_every",
        ),
        ({"momentun": 0.9, "scheme": "fedavg", "learning_rat": 1}, r"momentun, scheme 'fedavg' takes"),
        ({"learning_rat": 0.1}, r"unknown option learning_rat; did you mean learning_rate\?"),
        ({"polcy": "full"}, r"unknown option polcy; did you mean policy\?"),
        ({"lr": 0.1}, r"unknown option lr; did you mean learning_rate\?"),
        (
            {"batch_size": 5},
            r"unknown option batch_size; batchsize is an option of scheme fedavg, .*; scheme 'feel'",
        ),
        ({"batch_size": 5, "scheme": "fedavg"}, r"unknown option batch_size; did you mean batchsize\?"),
        ({"devcie": "cpu"}, r"unknown option devcie; did you mean device\?"),
        ({"learningrate": 1}, r"unknown option learningrate; did you mean learning_rate"),
        ({"chekpoint": "x"}, r"unknown option chekpoint; did you mean checkpoint\?"),
        ({"num_clients": 5}, r"did you mean scenario.replace\(\{'devices.count': ...\}\)\?"),
        (
            {"radio": "smoke"},
            r"unknown radio 'smoke', choose from tdma, fading, fdma, silent, twins, d2d, d2d-server, or a Radio",
        ),
        (
            {"radio": Tdma},
            r"unknown radio <class .*Tdma'>, choose from tdma, fading, fdma, silent, twins, d2d, d2d-server, or a",
        ),
        ({"radio": Tdma(), "scheme": "individual"}, r"radio tdma: .* this scheme sends none: take silent"),
        ({"radio": Silent(), "scheme": "fedavg"}, r"radio silent: cannot send what this scheme sends"),
        (
            {"judge": "jury"},
            r"unknown judge 'jury', choose from global, own, average, reference, linear, gradients, users, or a Judge",
        ),
        ({"scheme": FedSgd(), "learning_rate": 0.1}, r"learning_rate: set it on the scheme that is given"),
        ({"radio": Tdma(), "slowdown": 0.1}, r"slowdown: set it on the radio that is given as an object"),
        ({"target": 0.9}, r"target: expected numbers by name, as \{'private_accuracy': 0.9\}, got 0.9"),
        ({"seconds": 10**400}, r"seconds: expected a number within float64, got 1000"),
        ({"learning_rate": 10**5000}, r"learning_rate: .* within float64, got int with thousands of digits"),
        ({"seed": 10**5000}, r"seed: expected a whole number < 2\*\*128, got int with thousands of digits"),
        ({"rounds": 2**63}, r"rounds: expected a whole number < 2\*\*63, got 9223372036854775808"),
        ({"data": f"digits@1{'0' * 5000}+9"}, r"expected NAME\[:FOLDER\]\[@TRAIN\+TEST\]"),
        ({"target": {"test_loss": -1}}, r"target: test_loss: expected a number > 0, got -1"),
        ({"callbacks": 3}, r"callbacks: expected functions \(round, entry, ledger\), got 3"),
        (
            {"callbacks": ["prnt"]},
            r"unknown logger 'prnt', choose from tensorboard, mlflow, print.*did you mean",
        ),
        (
            {"callbacks": [3]},
            r"callbacks: expected functions \(round, entry, ledger\) or names of loggers, got 3",
        ),
        ({"before": 3}, r"before: expected preparations, got 3"),
        (
            {"before": ["share-pub"]},
            r"unknown preparation 'share-pub', choose from share-public, .*teach, or a learning.Prep.*did you mean",
        ),
        (
            {"before": ["share-public:sahre=1"]},
            r"before: share-public takes share, bits_per_number, as NAME=VALUE",
        ),
        ({"public": 5}, r"public samples: expected 10 \(one per class\) to 1437, got 5"),
        ({"public": -0.5}, r"public: expected a whole number >= 1, got -0.5"),
        ({"devices_at_once": 0}, r"devices_at_once: expected a whole number >= 1, got 0"),
        ({"device": "toaster"}, r"device: expected cpu, cuda, cuda:1 or auto, got 'toaster'"),
        ({"model": ["mlp"]}, r"model: expected one for all, or a list of 6, one for each device; got 1"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_trained(cell, options, message):
    with pytest.raises(OptionError, match=message):
        train(cell, **options)


def test_a_radio_that_plans_no_batches_is_refused_for_a_scheme_without_steps(cell):
    for scenario, radio in (("mix2fld", Fading()), (cell, Fading())):
        with pytest.raises(
            ProblemError,
            match=r"this radio does not plan batch sizes: take a scheme with local steps, as fed",
        ):
            train(scenario, radio=radio, rounds=1)
    with pytest.raises(
        ProblemError, match=r"'fading' plans with a table \[mix2fld\], .* choose radio tdma or d2d-server$"
    ):
        train(cell, scheme="fedavg", radio="fading", policy="paper", rounds=1)


def test_a_scenario_without_the_problem_is_refused():
    config = Scenario.load("feel-cpu").to_dict()
    del config["feel"]
    with pytest.raises(ProblemError, match=r"'tdma' plans with a table \[feel\], .* has none: add it$"):
        train(Scenario.from_dict(config), rounds=1)


def test_more_devices_than_samples_is_refused(cell):
    few = Dataset(np.zeros((5, 2)), [0, 1, 0, 1, 0], np.zeros((1, 2)), [0], 2)
    with pytest.raises(ProblemError, match=r"6 devices need at least as many samples, got 5"):
        train(cell, data=few, model="softmax")


def test_an_empty_ledger_is_the_initial_model():
    ledger = Ledger(0.1, 2.3)
    assert (len(ledger), ledger.seconds, ledger.energy_j, ledger.accuracy, ledger.loss) == (
        0,
        0.0,
        0.0,
        0.1,
        2.3,
    )
    assert ledger.rounds_to(0.1) == 0
    assert ledger.rounds_to(0.2) is None
    assert ledger.to_frame().shape == (1, 12)
    assert ledger.to_frame("device").empty
    with pytest.raises(OptionError, match="unknown rows 'hour', choose from round, device"):
        ledger.to_frame("hour")
    with pytest.raises(OptionError, match="target_accuracy: expected a number > 0 and <= 1"):
        ledger.rounds_to(1.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"scheme": FedAvg},
            r"this is the class: give its name, 'fedavg', or make one, FedAvg\(\.\.\.\)",
        ),
        ({"target": {"privat_accuracy": 0.5}}, "did you mean private_accuracy"),
        (
            {"scheme": "fedavg", "model": ["mlp:4", "mlp:8"] * 6},
            "for several: individual, fd, stu, kd or simkd",
        ),
    ],
)
def test_what_is_refused_says_what_was_meant(options, message):
    with pytest.raises((OptionError, ProblemError), match=message):
        train("feel-cpu", rounds=1, progress=False, **options)


@pytest.mark.parametrize(
    ("scenario", "options", "other"),
    [
        ("fimi", {"scheme": "feel", "radio": "tdma"}, "add it, or choose radio fdma$"),
        (
            "mix2fld",
            {"scheme": "feel", "radio": "tdma"},
            "or choose a scheme with local steps, as fedavg, and radio fading$",
        ),
        ("feel-cpu", {"scheme": "simkd"}, "add it$"),
    ],
)
def test_a_radio_without_its_table_names_what_would_run(scenario, options, other):
    with pytest.raises(ProblemError, match=other):
        train(scenario, **options, rounds=1, progress=False)
