"""Shared by the tests of nodes: nodes in this process, and training with the devices on them."""

from __future__ import annotations

import pytest

from learning.flower.letters import Letter
from learning.flower.node import answer
from learning.flower.post import Answer
from learning.flower.simulation import read, serve
from learning.flower.told import told


class Nodes:
    """Mail to nodes that answer at once, unless a fault is made of a node.

    A fault is a function ``(letter, round) -> Answer-like``: None says nothing, a Letter is what is answered
    instead, a text is an error, and "gone" is that of a node that cannot be reached.
    """

    def __init__(self, count, faults=None, answers=answer):
        self.there = list(range(100, 100 + count))
        self.faults = faults or {}
        self.memory = {}
        self.waiting = {}
        self.kept = {}  # answers of nodes that are slow: by id
        self.letters = []
        self.count = 0
        self.answers = answers

    def nodes(self):
        return list(self.there)

    def send(self, letters, ttl_s):
        ids = {}
        for node, letter in letters.items():
            self.count += 1
            id = f"letter-{self.count}"
            ids[id] = node
            self.letters.append((node, letter))
            self.waiting[id] = (node, letter)
        return ids

    def fetch(self, ids):
        found = []
        for id in ids:
            if id in self.kept:
                found.append(self.kept.pop(id))
            if id not in self.waiting:
                continue
            node, letter = self.waiting.pop(id)
            if node not in self.there:
                found.append(Answer(id, None, "failed with code 5: Node Unavailable", True))
                continue
            said = self.answers(letter, self.memory.setdefault(node, {}))
            fault = self.faults.get(node)
            made = said if fault is None or not letter.numbers["round"] else fault(said)
            if made == "late":
                self.late = Answer(id, said)
            elif made == "twice":
                found += [Answer(id, said), Answer(id, said)]
            elif isinstance(made, Letter):
                found.append(Answer(id, made))
            elif made is not None:
                found.append(Answer(id, None, made))
        return found


@pytest.fixture
def Loopback():  # a class
    """What carries letters to nodes in this process."""
    return Nodes


@pytest.fixture(name="over")
def _over():
    """Train with the devices on nodes."""
    return over


def over(where, mail, count, *, deadline_s=5.0, min_arrived=1, clock="simulated", **options):
    """Train with the devices on nodes."""
    setup, running = read(where, dict(options))
    plans = setup.plans()
    settings = told(setup, plans)
    return serve(plans, settings, mail, count, deadline_s, min_arrived, running, clock=clock, poll_s=0.001)
