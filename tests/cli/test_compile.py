"""``radioopt compile``: kernels are ready before they are needed."""

import os

import pytest

from radioopt.base import forks
from radioopt.cli import compile, main


def test_a_family_is_made_ready(capsys, monkeypatch):
    monkeypatch.setitem(os.environ, "RADIOOPT_COMPILE", "never")  # which the command overrules
    assert main(["compile", "mix2fld"]) == 0
    assert "mix2fld" in capsys.readouterr().out
    assert os.environ["RADIOOPT_COMPILE"] == "wait"


@pytest.mark.parametrize("family", ["dtkd", "feel", "fimi"])
def test_large_batches_are_made_ready_for_forked_processes_too(family, monkeypatch):
    kernels = forks.forkable(lambda: "all threads", lambda: "one thread")
    monkeypatch.setattr(compile, "_call", lambda problem, method, **options: kernels)
    monkeypatch.setattr(compile, "_gradient", lambda problem: kernels)
    called = {name: call() for name, call in compile._calls(family)}
    assert {of for name, of in called.items() if "a batch for all threads" in name} == {"all threads"}
    assert {of for name, of in called.items() if "in a forked process" in name} == {"one thread"}


def test_what_there_is_not_is_refused(capsys):
    assert main(["compile", "feal"]) == 2
    assert "unknown problem 'feal', choose from" in capsys.readouterr().err
