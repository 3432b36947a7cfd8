"""``radioopt train --engine``: what belongs to it, and what does not."""

import pytest

from radioopt.cli import main


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--nodes", "3"], "--nodes, --round-deadline, --clock: of --engine flower only"),
        (
            ["--engine", "flower", "--seeds", "2", "--target-accuracy", "0.5", "--seconds", "10"],
            "--engine: carries a single run",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(arguments, complaint, capsys, tmp_path):
    assert main(["train", "feel-cpu", "--rounds", "1", "--folder", str(tmp_path), *arguments]) == 2
    assert complaint in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
