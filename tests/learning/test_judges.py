"""Judges: whose models are evaluated, by which numbers, how often; targets among these numbers."""

import numpy as np
import pytest
import torch
from torch.nn import functional

from learning import JUDGES, Global, Reference, measures, train
from radioopt import OptionError, Scenario

SMALL = {"data": "digits@300+100", "seed": 3, "partition": "shards"}
FD = {"scheme": "fd", "iterations": 10, "learning_rate": 0.1, "model": "softmax"}


def outputs_of(result, device=None, rows=None):
    """Logits of a model on test samples, and their labels."""
    x, y = result.task.test
    chosen = slice(None) if rows is None else torch.from_numpy(rows)
    with torch.no_grad():
        return result.model(device)(x[chosen]), y[chosen]


def every(result):
    return range(len(result.task.parts))


def test_measures_are_their_formulas_in_numpy():
    rng = np.random.default_rng(0)
    outputs, y = rng.normal(size=(50, 7)), rng.integers(0, 7, 50)
    given = torch.from_numpy(outputs), torch.from_numpy(y)
    share = np.exp(outputs) / np.exp(outputs).sum(1, keepdims=True)
    off = share - np.eye(7)[y]
    rank = (outputs > outputs[np.arange(50), y][:, None]).sum(1)
    expected = {
        "accuracy": (rank == 0).mean(),
        "loss": -np.log(share[np.arange(50), y]).mean(),
        "top5": (rank < 5).mean(),
        "brier": (off**2).sum(1).mean(),
    }
    assert {name: measure(*given) for name, measure in measures.MEASURES.items()} == pytest.approx(
        expected, rel=1e-12
    )
    assert measures.top5(given[0][:, :3], given[1] % 3) == 1.0  # fewer classes than five


def test_more_measures_are_columns(cell):
    result = train(cell, rounds=2, measures="top5, brier", **SMALL)
    frame = result.to_frame()
    for name in ("accuracy", "loss", "top5", "brier"):
        value = measures.MEASURES[name](*outputs_of(result))
        assert frame[f"test_{name}"].iloc[-1] == pytest.approx(value, rel=1e-6)
        assert frame[f"test_{name}"].notna().all()  # of the initial model too


def test_private_accuracy_is_on_the_test_samples_with_a_device_s_own_labels(cell):
    for scheme in ("feel", "individual"):
        result = train(cell, scheme=scheme, rounds=2, private=True, **SMALL)
        found = []
        for device, part in enumerate(result.task.parts):
            own = np.flatnonzero(np.isin(result.task.data.test_y, np.unique(result.task.data.train_y[part])))
            assert 0 < own.size < 100
            chosen = None if scheme == "feel" else device
            found.append(measures.accuracy(*outputs_of(result, chosen, own)))
        frame = result.to_frame()["private_accuracy"]
        assert frame.iloc[-1] == pytest.approx(np.mean(found), rel=1e-12)
        assert frame.notna().all()
    assert "private_accuracy" not in train(cell, rounds=1, **SMALL).to_frame()


def test_own_is_the_mean_over_the_devices_and_average_the_mean_model(cell):
    own, average = (
        train(cell, scheme="individual", rounds=2, judge=judge, **SMALL) for judge in ("own", "average")
    )
    alone = [measures.accuracy(*outputs_of(own, device)) for device in every(own)]
    losses = [measures.loss(*outputs_of(own, device)) for device in every(own)]
    last, middle = own.to_frame().iloc[-1], average.to_frame().iloc[-1]
    assert last["test_accuracy"] == middle["own_accuracy"] == pytest.approx(np.mean(alone), rel=1e-12)
    assert last["test_loss"] == pytest.approx(np.mean(losses), rel=1e-6)
    shares = own.task.sizes / own.task.sizes.sum()
    for name, value in average.weights().items():
        expected = sum(float(w) * own.weights(k)[name].double() for k, w in enumerate(shares))
        torch.testing.assert_close(value.double(), expected, rtol=1e-5, atol=1e-6)
    assert last["average_accuracy"] == middle["test_accuracy"] == measures.accuracy(*outputs_of(average))


def test_own_and_average_of_models_that_are_all_the_same_is_the_global_one(cell):
    one, own, average = (
        train(cell, scheme="fedavg", rounds=2, judge=judge, **SMALL).to_frame()
        for judge in ("global", "own", "average")
    )
    for frame in (own, average):
        np.testing.assert_allclose(frame["test_accuracy"], one["test_accuracy"], rtol=1e-12)
        np.testing.assert_allclose(frame["test_loss"], one["test_loss"], rtol=1e-5)


def test_the_reference_judge_looks_before_the_download_unless_told_not_to():
    where = Scenario.load("mix2fld")
    options = {"policy": "paper", "rounds": 2, **FD, **SMALL}
    result = train(where, reference=4, **options)
    last = result.to_frame().iloc[-1]
    accuracy = [
        measures.accuracy(*outputs_of(result, device)) for device in every(result)
    ]  # FD sends no model
    assert last["test_accuracy"] == last["local_accuracy"] == accuracy[4]
    assert last["mean_local_accuracy"] == pytest.approx(np.mean(accuracy), rel=1e-12)
    assert last["std_local_accuracy"] == pytest.approx(np.std(accuracy), rel=1e-12)
    assert result.ledger.loss == pytest.approx(
        float(functional.cross_entropy(*outputs_of(result, 4))), rel=1e-6
    )
    quick = train(where, reference=4, locally=False, **options).to_frame()
    assert "local_accuracy" not in quick
    np.testing.assert_array_equal(quick["test_accuracy"], result.to_frame()["test_accuracy"])


@pytest.mark.parametrize("judge", JUDGES)
def test_judging_changes_nothing_in_what_is_trained(cell, judge):
    options = {"scheme": "fedavg", "rounds": 3, **SMALL}
    plain, judged = train(cell, **options), train(cell, judge=judge, judge_every=2, private=True, **options)
    for name, value in plain.weights().items():
        assert torch.equal(judged.state.parameters[name], value)
    assert judged.config["judge"]["name"] == judge


def test_rounds_between_evaluations_are_left_out(cell):
    options = {"rounds": 7, "measures": "top5", "private": True, **SMALL}
    always, sparse = (train(cell, judge_every=n, **options) for n in (1, 3))
    full, frame = always.to_frame(), sparse.to_frame()
    assert list(frame) == list(full)
    for name in full:
        same = frame[name].notna() | full[name].isna()
        np.testing.assert_array_equal(frame[name][same], full[name][same])
        judged = name.startswith(("test_", "private_"))
        assert frame.index[same].tolist() == ([0, 3, 6] if judged else list(range(8)))
    assert sparse.ledger.accuracy == full["test_accuracy"][6]
    assert sparse.ledger.loss == full["test_loss"][6]
    assert sparse.stopped == "rounds"


def first_where(frame, good):
    return int(np.argmax(good.to_numpy() & (frame.index > 0).astype(bool)))


def test_targets_end_a_run_when_all_of_them_are_reached(cell):
    options = {"private": True, "measures": "brier", **SMALL}
    free = train(cell, rounds=14, **options).to_frame()
    high, low = free["private_accuracy"].iloc[6:9].max(), free["test_brier"].iloc[8:11].min()
    both = (free["private_accuracy"] >= high) & (free["test_brier"] <= low)
    for target, good in (
        ({"private_accuracy": high}, free["private_accuracy"] >= high),
        ({"test_brier": low}, free["test_brier"] <= low),
        ({"private_accuracy": high, "test_brier": low}, both),
    ):
        result = train(cell, rounds=14, target=target, **options)
        assert result.stopped == "target"
        assert len(result.ledger) == first_where(free, good)
    assert result.config["targets"] == {"private_accuracy": high, "test_brier": low}
    named = train(cell, rounds=14, target={"test_accuracy": 0.3}, **options)
    assert named.to_frame().equals(train(cell, rounds=14, target_accuracy=0.3, **options).to_frame())


def test_a_target_waits_for_the_next_evaluation(cell):
    options = {"rounds": 20, "private": True, **SMALL}
    free = train(cell, **options).to_frame()["private_accuracy"]
    goal = free.iloc[4]
    reached = next(n for n in range(3, 21, 3) if free[n] >= goal)
    result = train(cell, target={"private_accuracy": goal}, judge_every=3, **options)
    assert (len(result.ledger), result.stopped) == (reached, "target")


def test_less_of_a_loss_is_better_whoever_reports_it():
    where = Scenario.load("mix2fld")
    options = FD | {"scheme": "fld", "server_iterations": 20, "policy": "paper", **SMALL}
    first = train(where, rounds=1, **options).to_frame()["server_loss"].iloc[1]
    result = train(where, rounds=4, target={"server_loss": 0.95 * first}, **options)
    assert result.stopped == "target"
    assert result.to_frame()["server_loss"].iloc[-1] <= 0.95 * first < first


def test_a_target_that_no_round_has_is_refused_before_anything_is_trained(cell, monkeypatch):
    monkeypatch.setattr("learning.schemes.fedsgd.FedSgd.local", None)
    for every_ in (1, 2):
        with pytest.raises(
            OptionError,
            match=r"target: rounds have no 'private_acuracy', choose from test_accuracy, test_loss, train_loss, .*"
            r"private_accuracy",
        ):
            train(cell, target={"private_acuracy": 0.5}, private=True, judge_every=every_, rounds=4, **SMALL)
    with pytest.raises(OptionError, match=r"target: rounds have no 'plan', .*, learning_efficiency"):
        train(cell, target={"plan": 0.5}, rounds=2, **SMALL)


def test_a_target_that_a_scheme_or_a_watcher_has_from_the_first_round_on_is_none_that_is_refused():
    options = FD | {"policy": "paper", "rounds": 1, **SMALL}
    where = Scenario.load("mix2fld")
    assert train(where, target={"mean_local_accuracy": 0.99}, **options).stopped == "rounds"
    with pytest.raises(OptionError, match=r"rounds have no 'mean_locl_accuracy', .*mean_local_accuracy"):
        train(where, target={"mean_locl_accuracy": 0.5}, **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judge_every": 0}, r"judge_every: expected a whole number >= 1, got 0"),
        ({"measures": "top5,f1"}, r"unknown measures 'f1', choose from accuracy, loss, top5, brier, rmse"),
        ({"private": "yes"}, r"private: expected true or false, got 'yes'"),
        ({"judge": "reference", "reference": -1}, r"reference: expected a whole number >= 0, got -1"),
        ({"judge": Reference(reference=6)}, r"reference: expected a device from 0 to 5, got 6"),
        ({"judge": Global(), "private": True}, r"private: set it on the judge that is given as an object"),
        ({"reference": 1}, r"unknown option reference"),
    ],
)
def test_wrong_options_of_judges_are_refused(cell, options, message):
    with pytest.raises(OptionError, match=message):
        train(cell, rounds=1, **options)


def test_a_scheme_without_a_global_model_has_those_of_its_devices(cell):
    where = Scenario.load("mix2fld")
    for scenario, options in ((where, {"policy": "paper", **FD}), (cell, {"scheme": "individual"})):
        with pytest.raises(OptionError, match="judge global: this scheme has no global model: take own, av"):
            train(scenario, judge="global", rounds=1, **options, **SMALL)
    with pytest.raises(
        OptionError, match=r"no global model: ask for a device's, as result.model\(device=0\)"
    ):
        Global().model(train(where, rounds=1, policy="paper", **FD, **SMALL).state, None)
