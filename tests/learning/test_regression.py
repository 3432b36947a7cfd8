"""Numbers instead of classes: what is trained, judged, dealt out and refused; and features judged by a linear fit."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import learning
from learning.judges import features
from learning.local.losses import squared_error
from learning.measures import mae, r2, rmse, squared
from radioopt import OptionError, ProblemError


def plane(rng):
    """Two linear functions of five features, with a little noise."""
    x = rng.normal(size=(400, 5))
    y = x @ rng.normal(size=(5, 2)) + 0.1 * rng.normal(size=(400, 2))
    return learning.Dataset(x[:300], y[:300], x[300:], y[300:], num_classes=None, name="plane")


QUICK = {"data": plane, "model": "softmax", "seed": 2, "progress": False}


@pytest.mark.parametrize(
    ("scheme", "rounds"), [("feel", 60), ("fedavg", 15), ("fedprox", 15), ("individual", 40)]
)
def test_schemes_learn_a_plane(cell, scheme, rounds):
    result = learning.train(cell, scheme=scheme, rounds=rounds, learning_rate=0.1, **QUICK)
    frame = result.to_frame()
    assert frame["test_r2"].iloc[-1] > 0.9 > frame["test_r2"].iloc[0]
    if scheme != "individual":  # there it is the mean over the devices of each one's root
        assert frame["test_rmse"].iloc[-1] == pytest.approx(frame["test_loss"].iloc[-1] ** 0.5, rel=1e-6)
    assert frame["test_accuracy"].isna().all()
    assert "R2 0.9" in repr(result)
    explained = result.plot().axes[0]
    assert explained.get_ylabel() == "test R²"
    assert explained.get_ylim()[0] <= frame["test_r2"].iloc[0]  # worse than a constant, and to be seen


def test_errors_are_those_of_numpy():
    rng = np.random.default_rng(0)
    outputs, y = rng.normal(size=(2, 50, 3))
    given = torch.from_numpy(outputs), torch.from_numpy(y)
    assert squared(*given) == pytest.approx(np.mean((outputs - y) ** 2), rel=1e-12)
    assert rmse(*given) == pytest.approx(np.sqrt(np.mean((outputs - y) ** 2)), rel=1e-12)
    assert mae(*given) == pytest.approx(np.mean(np.abs(outputs - y)), rel=1e-12)
    spread = ((y - y.mean(0)) ** 2).sum()
    assert r2(*given) == pytest.approx(1 - ((outputs - y) ** 2).sum() / spread, rel=1e-12)
    each = squared_error(*given, torch.zeros(50, dtype=torch.int64))
    np.testing.assert_allclose(each, ((outputs - y) ** 2).mean(1), rtol=1e-12)


def test_a_target_of_a_regression_ends_a_run(cell):
    options = QUICK | {"scheme": "fedavg", "learning_rate": 0.1, "rounds": 60}
    result = learning.train(cell, target={"test_rmse": 0.6}, measures="mae", **options)
    assert result.stopped == "target"
    rmses = result.to_frame()["test_rmse"].to_numpy()
    assert rmses[-1] <= 0.6 < rmses[:-1].min()


def test_partitions_go_by_tenths_of_the_targets():
    data = plane(np.random.default_rng(0))
    counts = np.bincount(data.classes(), minlength=10)
    assert counts.tolist() == [30] * 10
    order = np.argsort(data.train_y[:, 0])
    assert (np.diff(data.classes()[order]) >= 0).all()
    parts = learning.train("feel-cpu", partition="shards", rounds=1, **QUICK).task.parts
    spans = [np.ptp(data.classes()[part]) for part in parts]
    assert len(spans) == 12


def test_what_a_regression_cannot_do_is_refused(cell):
    with pytest.raises(
        ProblemError, match=r"Fd: averages outputs by label, and a regression has none: take fedavg"
    ):
        learning.train(cell, scheme="fd", radio="tdma", iterations=5, **QUICK)
    with pytest.raises(
        OptionError, match=r"measures: top5: not of a regression, which has loss, rmse, r2, mae"
    ):
        learning.train(cell, measures="top5", rounds=1, **QUICK)
    with pytest.raises(
        OptionError, match=r"measures: mae: not of a classifier, which has accuracy, loss, top5, brier"
    ):
        learning.train(cell, measures="mae", rounds=1)
    with pytest.raises(OptionError, match=r"judge linear: fits a classifier, and the data are a regression"):
        learning.train(cell, judge="linear", rounds=1, **QUICK)
    with pytest.raises(ProblemError, match=r"Dataset.train_y: expected finite numbers, sample 1 has another"):
        learning.Dataset(np.zeros((2, 1)), [0.0, np.nan], np.zeros((1, 1)), [0.0], num_classes=None)


def test_linear_evaluation_fits_the_features_of_the_last_layer(cell):
    options = {"scheme": "fedavg", "data": "digits@300+100", "seed": 1, "progress": False}
    result = learning.train(cell, judge="linear", public=60, rounds=2, judge_every=2, **options)
    task, weights = result.task, result.weights()
    x, y = task.samples
    seen = features(task, weights, x[torch.from_numpy(task.server)]).numpy()
    assert seen.shape == (60, 64)
    fitted = LogisticRegression(max_iter=200).fit(seen, y[torch.from_numpy(task.server)].numpy())
    tested = features(task, weights, task.test[0]).numpy()
    assert result.ledger.accuracy == pytest.approx(fitted.score(tested, task.test[1].numpy()), abs=0.011)
    assert result.ledger.accuracy > 0.7
    assert np.isnan(result.to_frame()["test_accuracy"][1])


def test_a_target_that_a_regression_does_not_have_is_refused(cell):
    for target in ({"target_accuracy": 0.9}, {"target": {"test_accuracy": 0.9}}):
        with pytest.raises(OptionError, match=r"the data are a regression, which has none: give target="):
            learning.train(cell, scheme="fedavg", rounds=1, **target, **QUICK)
