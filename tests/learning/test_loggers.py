"""Loggers: what TensorBoard and MLflow read back, lines printed, and loggers that fail without ending a run."""

import sys

import pytest

from learning import Logger, train
from learning.runs.loggers import MlFlow, TensorBoard, logger, numbers_of
from radioopt import MissingExtraError, OptionError

OPTIONS = {"data": "digits@300+100", "model": "softmax", "rounds": 3, "progress": False}


def expected(result):
    """Numbers of every round by name: those that a logger is to write."""
    rows = [numbers_of(entry, result.ledger) for entry in result.ledger.entries]
    return {name: [row.get(name) for row in rows] for name in rows[0]}


@pytest.mark.slow
def test_tensorboard_reads_every_number_back(cell, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    result = train(cell, callbacks=[f"tensorboard:{tmp_path}"], **OPTIONS)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    told = expected(result)
    assert set(events.Tags()["scalars"]) == set(told)
    for name, values in told.items():
        read = events.Scalars(name)
        assert [event.step for event in read] == [1, 2, 3]
        assert [event.value for event in read] == pytest.approx(values, rel=1e-6)  # kept as float32
        assert [event.wall_time for event in read] == [entry.seconds for entry in result.ledger.entries]
    (settings,) = events.Tensors("settings/text_summary")
    assert b'"seed": 0' in settings.tensor_proto.string_val[0]


@pytest.mark.slow
def test_mlflow_reads_every_number_back(cell, tmp_path):
    pytest.importorskip("mlflow")
    result = train(cell, callbacks=[f"mlflow:{tmp_path}"], **OPTIONS)
    train(cell, seed=1, callbacks=[f"mlflow:{tmp_path}"], **OPTIONS)
    from mlflow.tracking import MlflowClient

    client = MlflowClient(tracking_uri=tmp_path.as_uri())
    runs = client.search_runs([client.get_experiment_by_name("radioopt").experiment_id])
    assert sorted(run.data.params["seed"] for run in runs) == ["0", "1"]
    (run,) = [run for run in runs if run.data.params["seed"] == "0"]
    assert run.info.status == "FINISHED"
    assert run.data.params["scheme.name"] == "feel"
    for name, values in expected(result).items():
        history = sorted(client.get_metric_history(run.info.run_id, name), key=lambda metric: metric.step)
        assert [metric.step for metric in history] == [1, 2, 3]
        assert [metric.value for metric in history] == values
        assert [metric.timestamp for metric in history] == [
            int(1e3 * entry.seconds) for entry in result.ledger.entries
        ]


def test_the_printer_prints_a_line_per_round(cell, capsys):
    result = train(cell, callbacks=["print"], **OPTIONS)
    assert capsys.readouterr().out.splitlines() == [
        f"round {number}: {entry.seconds:.3g} s, accuracy {entry.test_accuracy:.4f}"
        for number, entry in enumerate(result.ledger.entries, start=1)
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("tensorbord", r"unknown logger 'tensorbord', choose from tensorboard, mlflow, print, or a function"),
        (3, r"callbacks: expected functions \(round, entry, ledger\) or names of loggers, got 3"),
        ("print:folder", r"logger 'print:folder': print takes no folder"),
        ("mlflow:", r"logger 'mlflow:': expected mlflow or mlflow:FOLDER"),
    ],
)
def test_names_that_are_no_loggers_are_refused(given, message):
    with pytest.raises(OptionError, match=message):
        logger(given)


@pytest.mark.parametrize(
    ("made", "module"), [(TensorBoard, "torch.utils.tensorboard"), (MlFlow, "mlflow.tracking")]
)
def test_a_missing_package_is_told_with_how_to_get_it(tmp_path, monkeypatch, made, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"is not installed: pip install 'radioopt\[logging\]'"):
        made(tmp_path)


class Failing(Logger):
    """Fails at one of its calls."""

    def __init__(self, at, error=None):
        self.at, self.error, self.called = at, error or RuntimeError("no space\nleft"), []

    def _call(self, name):
        self.called.append(name)
        if name == self.at:
            raise self.error

    def begin(self, config):
        self._call("begin")

    def __call__(self, round, entry, ledger):
        self._call(round)

    def close(self):
        self._call("close")


def test_a_logger_that_fails_is_a_warning_and_the_run_goes_on(cell):
    failing, other = Failing(at=2), Failing(at=None)
    with pytest.warns(UserWarning, match="logger Failing") as told:
        result = train(cell, callbacks=[failing, other], **OPTIONS)
    assert [str(item.message) for item in told] == [
        "logger Failing: no space left: it writes no more rounds, and the run goes on"
    ]
    assert len(result.ledger) == 3
    assert failing.called == ["begin", 1, 2, "close"]
    assert other.called == ["begin", 1, 2, 3, "close"]
    assert result.ledger.accuracy == train(cell, **OPTIONS).ledger.accuracy


def test_a_logger_that_cannot_close_loses_no_run(cell):
    with pytest.warns(UserWarning, match=r"logger Failing: no space left"):
        assert len(train(cell, callbacks=[Failing(at="close")], **OPTIONS).ledger) == 3


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (None, OptionError, r"logger Failing: cannot begin: no space left"),
        (OSError(28, "full", "/x"), OSError, "full"),
        (OptionError("own"), OptionError, "own"),
    ],
)
def test_a_logger_that_cannot_begin_ends_the_run_at_once(cell, error, kind, message):
    failing, before = Failing(at="begin", error=error), Failing(at=None)
    with pytest.raises(kind, match=message):
        train(cell, callbacks=[before, failing], **OPTIONS)
    assert before.called == ["begin", "close"]
    assert failing.called == ["begin", "close"]


def test_an_error_of_a_plain_function_ends_the_run_and_closes_loggers(cell):
    def broken(round, entry, ledger):
        raise ZeroDivisionError

    other = Failing(at=None)
    with pytest.raises(ZeroDivisionError):
        train(cell, callbacks=[other, broken], **OPTIONS)
    assert other.called == ["begin", 1, "close"]


def test_an_interrupt_in_a_logger_is_one(cell):
    with pytest.raises(KeyboardInterrupt):
        train(cell, callbacks=[Failing(at=2, error=KeyboardInterrupt())], **OPTIONS)
