"""Allocations in a Flower project of one's own: each round's messages get the row of the plan of their node."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from radioopt.base.errors import OptionError, ProblemError
from radioopt.base.problem import Problem
from radioopt.base.solution import Solution
from radioopt.scenario import Devices, Scenario

#: from a round to its problem, or to its solution
Posed = Callable[[int], Problem[Any] | Solution]


class AllocatingStrategy:
    """A Flower strategy whose messages to nodes hold their rows of a certified allocation.

    Every other method is that of the strategy that is wrapped; its aggregation, its sampling of nodes and its settings
    stay as they are.

    Parameters
    ----------
    strategy : flwr.serverapp.strategy.Strategy
        What is wrapped.
    source : Scenario, Problem or callable
        A scenario, whose channel is drawn anew in each round; a problem, the same in each; or a function of the
        round's number that returns a problem or its solution.
    family : str, optional
        Which of the scenario's problems; by default its only one.
    seed : int, default 0
        Of the channel.
    devices : mapping of int to int, optional
        Device of each node by its id, as registered at the server. By default the nodes that are connected get devices
        in the order of their ids; a node keeps its device.

    Attributes
    ----------
    solution : Solution or None
        Of the last round.

    Raises
    ------
    OptionError
        If the scenario has several problems and no `family` is given, or none of that name; or if `devices` is no
        mapping, or gives a device to two nodes.
    ProblemError
        If a batch of problems is given, or there are more nodes than devices.
    SolveError
        If a round has no certified allocation.

    Notes
    -----
    The row is added to the message's ``ConfigRecord`` (``config`` in Flower's strategies): every decision of the
    solution that has a number for each device, under its name ("batchsize", "uplink_slot_s"), and ``device``. A
    decision about all devices together is added as it is. Batch sizes of "feel" are whole, proven optimal over whole
    samples.

    Examples
    --------
    >>> strategy = AllocatingStrategy(FedAvg(), "feel-cpu")            # doctest: +SKIP
    >>> strategy.start(grid=grid, initial_arrays=arrays, num_rounds=3)  # doctest: +SKIP
    """

    def __init__(
        self,
        strategy: Any,
        source: Scenario | Problem[Any] | str | Posed,
        *,
        family: str | None = None,
        seed: int = 0,
        devices: Mapping[int, int] | None = None,
    ) -> None:
        self._strategy = strategy
        self._source = Scenario.load(source) if isinstance(source, str) else source
        if isinstance(self._source, Scenario):
            self._family = _only(self._source, family)
            self._rng = np.random.default_rng(seed)
            self._drawn: Devices = self._source.draw(self._rng)
        elif family is not None:
            raise OptionError("family: of a scenario only: leave out")
        elif not isinstance(self._source, Problem) and not callable(self._source):
            raise OptionError(
                f"source: expected a scenario, a problem or a function of the round, got {type(source).__name__}"
            )
        if devices is not None:
            _check_devices(devices)
        self._devices = dict(devices or {})
        self._fixed = devices is not None
        self.solution: Solution | None = None

    def start(self, *given: Any, **named: Any) -> Any:
        """Run the strategy's own loop, with its arguments; it calls our configuration of a round."""
        return type(self._strategy).start(self, *given, **named)

    def __getattr__(self, name: str) -> Any:
        """Return what the strategy that is wrapped has."""
        return getattr(self.__dict__["_strategy"], name)

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Iterable[Any]:
        """Configure a round as the strategy does, and add each node's row of the plan.

        Parameters
        ----------
        server_round : int
            Number of the round.
        arrays : flwr.app.ArrayRecord
            Of the model.
        config : flwr.app.ConfigRecord
            For all nodes.
        grid : flwr.serverapp.Grid
            With the nodes.

        Returns
        -------
        list of flwr.app.Message
            One for each node that the strategy chose.
        """
        messages = list(self._strategy.configure_train(server_round, arrays, config, grid))
        if not messages:
            return messages
        self.solution = self._solve(server_round)
        for message in messages:
            device = self._device(message.metadata.dst_node_id, grid)
            row, content = self.row(device), message.content  # which messages to several nodes share
            own = {name: type(record)({**record, **row}) for name, record in content.config_records.items()}
            if not own:
                raise ProblemError(
                    "strategy: its messages have no ConfigRecord that a row of the plan could go into"
                )
            message.content = type(content)({**content, **own})
        return messages

    def row(self, device: int) -> dict[str, Any]:
        """Return what the last round's allocation gives a device, in plain numbers.

        Parameters
        ----------
        device : int
            From 0 on.

        Returns
        -------
        dict of str to float or int
            Decisions by name, and ``device``.
        """
        assert self.solution is not None
        count = self.solution.sizes["device"]
        if not 0 <= device < count:
            raise ProblemError(f"device {device}: the problem has devices 0 to {count - 1}")
        found: dict[str, Any] = {"device": device}
        for name in self.solution.decisions:
            value = np.asarray(getattr(self.solution, name))
            if value.ndim == 0:
                found[name] = value.item()
            elif value.shape == (count,):
                found[name] = value[device].item()
            elif value.ndim and value.shape[0] == count:
                found[name] = value[device].ravel().tolist()
        if found.get("batchsize") == np.rint(found.get("batchsize", np.nan)):
            found["batchsize"] = int(found["batchsize"])
        return found

    def _solve(self, server_round: int) -> Solution:
        if isinstance(self._source, Scenario):
            if server_round > 1:
                self._drawn = self._drawn.fade(self._rng)
            posed: Any = self._drawn.problem(self._family)
        elif isinstance(self._source, Problem):
            posed = self._source
        else:
            posed = self._source(server_round)
        if isinstance(posed, Solution):
            found = posed
        else:
            found = posed.solve(integer=True) if posed.family == "feel" else posed.solve()
        if found.batch_shape:
            raise ProblemError("source: expected a single problem for a round, got a batch")
        return found

    def _device(self, node: int, grid: Any) -> int:
        """Return the device of a node; a new one gets the next that is free."""
        if node not in self._devices:
            if self._fixed:
                raise ProblemError(f"devices: node {node} has none: give it one, or leave devices out")
            assert self.solution is not None
            count = self.solution.sizes["device"]
            taken = set(self._devices.values())
            free = [device for device in range(count) if device not in taken]
            connected = [one for one in sorted(grid.get_node_ids()) if one not in self._devices]
            for one, device in zip(connected, free, strict=False):
                self._devices[one] = device
            if node not in self._devices:
                raise ProblemError(
                    f"devices: there are {count}, and more nodes than that: take a scenario with more devices"
                )
        return self._devices[node]


def _check_devices(devices: Any) -> None:
    """Refuse what binds no nodes to devices, or two of them to the same, whose resources would be spent twice."""
    if not isinstance(devices, Mapping):
        raise OptionError(f"devices: expected a mapping from nodes to devices, got {type(devices).__name__}")
    taken: dict[Any, Any] = {}
    for node, device in devices.items():
        if taken.setdefault(device, node) != node:
            raise OptionError(
                f"devices: device {device} is given to the nodes {taken[device]} and {node}: to one only"
            )


def _only(scenario: Scenario, family: str | None) -> str:
    """Return the scenario's only problem, or the one that is asked for."""
    known = list(scenario.problems)
    if family is None and len(known) == 1:
        return known[0]
    if family not in known:
        raise OptionError(f"family: expected one of {', '.join(known) or 'none'}, got {family!r}")
    return family
