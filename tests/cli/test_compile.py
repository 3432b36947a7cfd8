"""``radioopt compile``: kernels are ready before they are needed."""

import os

from radioopt.cli import main


def test_a_family_is_made_ready(capsys, monkeypatch):
    monkeypatch.setitem(os.environ, "RADIOOPT_COMPILE", "never")  # which the command overrules
    assert main(["compile", "mix2fld"]) == 0
    assert "mix2fld" in capsys.readouterr().out
    assert os.environ["RADIOOPT_COMPILE"] == "wait"


def test_what_there_is_not_is_refused(capsys):
    assert main(["compile", "feal"]) == 2
    assert "unknown problem 'feal', choose from" in capsys.readouterr().err
