"""radioopt generate: fit, make, measure, keep; and its mistakes."""

import json

import numpy as np
import pytest

from learning import Streams, digits
from learning.generators import Diffusion, load
from radioopt.cli import main


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Classifiers that judge samples learn less: what is looked at here is what is said of it."""
    monkeypatch.setattr("learning.generators.quality.STEPS", 100)


QUICK = ["generate", "--option", "steps=20", "--option", "width=16", "--public", "100", "--count", "60"]


def test_it_fits_makes_measures_and_keeps(tmp_path, capsys):
    files = {
        flag: tmp_path / name for flag, name in (("save", "g.npz"), ("samples", "s.npz"), ("plot", "p.png"))
    }
    flags = [part for flag, file in files.items() for part in (f"--{flag}", str(file))]
    assert main([*QUICK, "--seed", "4", *flags]) == 0
    out = capsys.readouterr().out
    assert "a classifier trained on 60 generated samples alone reaches" in out
    assert "of the generated samples are nearer to a public one than 1% of the real test samples are" in out
    assert [f"saved {file}" for file in files.values()] == out.splitlines()[-3:]
    assert files["plot"].read_bytes().startswith(b"\x89PNG")

    streams = Streams(4)
    public = digits(streams.at("data")).set_aside(100, streams.at("public"))
    own = Diffusion(steps=20, width=16).fit(public, streams.at("generator"))
    kept = np.load(files["samples"])
    samples = streams.at("samples")
    samples.integers(2**31)
    np.testing.assert_array_equal(kept["x"], own.sample(kept["y"], samples))
    assert np.bincount(kept["y"]).tolist() == [6] * 10

    again = tmp_path / "again.npz"
    saved = ["generate", "--generator", str(files["save"]), "--public", "100", "--count", "60", "--seed", "4"]
    assert main([*saved, "--samples", str(again)]) == 0
    np.testing.assert_array_equal(np.load(again)["x"], kept["x"])
    assert load(files["save"]).knows(public)


def test_programs_get_all_figures_and_samples(capsys):
    assert main([*QUICK, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["generator"]["steps"] == 20
    assert {"accuracy", "public_accuracy", "memorised", "frechet"} <= set(document["figures"])
    assert len(document["samples"]) == 60
    assert main([*QUICK, "--csv"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "label,nearest,distance,copied"
    assert len(lines) == 61


def test_options_are_listed(capsys):
    assert main(["generate", "--generator", "gan", "--options"]) == 0
    assert capsys.readouterr().out.startswith("generator gan: steps=")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--generator", "vae"], "unknown generator 'vae', choose from diffusion, gan, ready-made"),
        (
            ["--option", "stepz=3"],
            "--option stepz: generator 'diffusion' has no such option, it takes steps=2500",
        ),
        (["--option", "steps=0"], "steps: expected a whole number >= 1, got 0"),
        (["--public", "many"], "--public: expected a number, got 'many'"),
        (["--public", "5"], "public samples: expected 10 (one per class) to 1437, got 5"),
        (["--count", "0"], "--count: expected at least 1, got 0"),
        (["--count", "5", "--option", "steps=1"], "samples: expected at least one per class, 10, got 5"),
        (["--seed", "-1"], "--seed: expected at least 0, got -1"),
        (["--plot", "a.txt"], "--plot: expected a name that ends in .png or .pdf or .svg"),
        (["--save", "a.pt"], "--save: expected a name that ends in .npz"),
        (["--generator", "missing.npz"], "no such file: missing.npz"),
    ],
)
def test_mistakes_are_told_in_a_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["generate", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith(f"radioopt: {message}")
    assert captured.err.count("\n") == 1


def test_a_saved_generator_belongs_to_its_public_samples(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([*QUICK, "--save", "g.npz"]) == 0
    capsys.readouterr()
    assert main(["generate", "--generator", "g.npz", "--public", "100", "--seed", "1"]) == 2
    assert (
        "it was fitted on digits, 100 public: other samples than those of --data" in capsys.readouterr().err
    )
    assert main(["generate", "--generator", "g.npz", "--option", "steps=3"]) == 2
    assert "--option steps: g.npz has its options: leave it out" in capsys.readouterr().err


def test_ready_made_samples_must_not_be_the_devices_or_the_tests(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ready = ["generate", "--generator", "ready-made", "--public", "100", "--save", "r.npz"]
    assert main(ready) == 0
    assert "100.0% of the generated samples are nearer to a public one" in capsys.readouterr().out
    saved = ["generate", "--generator", "r.npz", "--public", "100"]
    assert main([*saved, "--csv"]) == 0  # without training a classifier
    assert main(["generate", "--generator", "r.npz", "--public", "50"]) == 2
    assert (
        "generator: 50 of the 100 samples that it was fitted on are the devices'" in capsys.readouterr().err
    )
    assert main([*saved, "--seed", "1"]) == 2
