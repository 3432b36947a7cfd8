"""A saved run that was never trained, for reports."""

import numpy as np
import pandas as pd
import pytest


@pytest.fixture(scope="session")
def run():
    """A function that makes a run which reaches 0.9 after about 20 / speed rounds."""
    return made


def made(name, speed=1.0, *, seed=0, joules=True, devices=True, rounds=20, more=None):
    from learning.runs.read import SavedRun

    at = np.arange(rounds + 1)
    curve = pd.DataFrame(
        {
            "seconds": 10.0 * at,
            "round_latency_s": 10.0 * (at > 0),
            "arrived": 3 * (at > 0),
            "energy_j": np.where(at > 0, 5.0, 0.0) if joules else np.nan,
            "train_loss": np.where(at > 0, 2.0 / (1 + at), np.nan),
            "test_loss": 2.0 / (1 + at),
            "test_accuracy": np.minimum(0.95, 0.1 + 0.04 * speed * at),
        }
    ).rename_axis("round")
    parts = ("compute_time_s", "upload_time_s", "download_time_s", "update_time_s")
    table = pd.DataFrame(
        {"rounds": 20, "arrived": 20, "batchsize": 16.0}
        | dict.fromkeys(parts, 2.0)
        | dict.fromkeys(("compute_energy_j", "upload_energy_j"), 50.0 if joules else np.nan),
        index=pd.RangeIndex(3, name="device"),
    )
    config = {
        "scheme": {"name": "fedavg"},
        "policy": "optimal",
        "data": "digits",
        "seed": seed,
        "scenario": {"name": "cell", "devices": {"names": ["<b>a", "b", "$c$"]}},
        "speed": speed,
    }
    return SavedRun(name, config | (more or {}), curve, table if devices else None)
