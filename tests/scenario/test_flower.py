"""Allocations in a Flower project: the strategy is wrapped, and each node is told its row."""

from types import SimpleNamespace

import numpy as np
import pytest

from radioopt import OptionError, ProblemError, Scenario
from radioopt.flower import AllocatingStrategy


class Config(dict):
    """In place of Flower's records, which are dictionaries too."""


class Content(dict):
    @property
    def config_records(self):
        return {name: value for name, value in self.items() if isinstance(value, Config)}


class Strategy:
    """What a strategy is, as far as it is wrapped: all nodes share one content."""

    name = "of mine"

    def configure_train(self, server_round, arrays, config, grid):
        content = Content(arrays=arrays, config=Config(config, **{"server-round": server_round}))
        return [
            SimpleNamespace(metadata=SimpleNamespace(dst_node_id=node), content=content)
            for node in grid.get_node_ids()
        ]

    def aggregate_train(self, server_round, replies):
        return len(replies)

    def start(self, grid, rounds):
        return [self.configure_train(round, [1.0], {"lr": 0.1}, grid) for round in range(1, rounds + 1)]


def grid(*nodes):
    return SimpleNamespace(get_node_ids=lambda: list(nodes))


NODES = (900, 17, 305)


@pytest.fixture(scope="module")
def problem():
    return Scenario.load("feel-cpu").draw(seed=1).problem("feel")


def test_each_message_has_the_row_of_its_node(problem):
    strategy = AllocatingStrategy(Strategy(), problem)
    (messages,) = strategy.start(grid(*NODES), 1)
    whole = problem.solve(integer=True)
    for message, device in zip(messages, (2, 0, 1), strict=True):  # in the order of their ids
        config = message.content["config"]
        assert config["device"] == device
        assert config["batchsize"] == whole.batchsize[device]
        assert isinstance(config["batchsize"], int)
        assert config["uplink_slot_s"] == whole.uplink_slot_s[device]
        assert (config["lr"], config["server-round"]) == (0.1, 1)
        assert message.content["arrays"] == [1.0]
    assert strategy.solution.status.name == "OPTIMAL"


def test_all_else_is_the_strategys(problem):
    strategy = AllocatingStrategy(Strategy(), problem)
    assert strategy.name == "of mine"
    assert strategy.aggregate_train(1, [1, 2]) == 2
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = strategy.nothing


def test_a_scenario_fades_from_round_to_round_and_a_node_keeps_its_device():
    config = Scenario.load("feel-cpu").to_dict()
    config["cell"]["fading"] = "block"
    strategy = AllocatingStrategy(Strategy(), Scenario.from_dict(config), seed=3)
    first, second = strategy.start(grid(*NODES), 2)
    slots = [
        [message.content["config"]["uplink_slot_s"] for message in messages] for messages in (first, second)
    ]
    assert not np.allclose(*slots)
    assert [m.content["config"]["device"] for m in first] == [m.content["config"]["device"] for m in second]


def test_a_function_of_the_round_gives_the_problem_or_the_solution(problem):
    seen = []

    def posed(round):
        seen.append(round)
        return problem if round == 1 else problem.solve()

    AllocatingStrategy(Strategy(), posed).start(grid(*NODES), 2)
    assert seen == [1, 2]


def test_devices_are_bound_to_nodes_if_wanted(problem):
    strategy = AllocatingStrategy(Strategy(), problem, devices={17: 5, 305: 6})
    ((one, other),) = strategy.start(grid(17, 305), 1)
    assert [m.content["config"]["device"] for m in (one, other)] == [5, 6]
    with pytest.raises(ProblemError, match="devices: node 4 has none"):
        strategy.start(grid(4), 1)


def test_other_families_have_their_own_decisions():
    strategy = AllocatingStrategy(Strategy(), "fimi")
    (messages,) = strategy.start(grid(1, 2), 1)
    assert messages[0].content["config"].keys() >= {"bandwidth_hz", "device"}


@pytest.mark.parametrize(
    ("source", "options", "error", "complaint"),
    [
        ("feel-cpu", {"family": "dtkd"}, OptionError, "family: expected one of feel, got 'dtkd'"),
        (
            "feel-cpu",
            {"devices": [5, 6]},
            OptionError,
            "devices: expected a mapping from nodes to devices, got list",
        ),
        (
            "feel-cpu",
            {"devices": {17: 5, 305: 5}},
            OptionError,
            "devices: device 5 is given to the nodes 17 and 305: to one only",
        ),
        (3, {}, OptionError, "source: expected a scenario, a problem or a function of the round, got int"),
    ],
)
def test_mistakes_are_told(source, options, error, complaint):
    with pytest.raises(error, match=complaint):
        AllocatingStrategy(Strategy(), source, **options)


def test_a_batch_and_more_nodes_than_devices_are_refused(problem):
    batch = Scenario.load("feel-cpu").draw(seed=1, size=2).problem("feel")
    with pytest.raises(ProblemError, match="source: expected a single problem for a round, got a batch"):
        AllocatingStrategy(Strategy(), batch).start(grid(1), 1)
    with pytest.raises(ProblemError, match="devices: there are 12, and more nodes than that"):
        AllocatingStrategy(Strategy(), problem).start(grid(*range(13)), 1)
