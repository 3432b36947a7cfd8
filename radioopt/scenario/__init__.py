"""Scenarios: a cell and its devices, from a file to the problems they pose.

>>> devices = Scenario.load("feel-cpu").draw(seed=1)
>>> devices.problem("feel").solve().status.name
'OPTIMAL'
"""

from radioopt.scenario.devices import Devices
from radioopt.scenario.drawn import MissingQuantityError
from radioopt.scenario.scenario import Scenario
from radioopt.scenario.trace import ChannelTrace

__all__ = ["ChannelTrace", "Devices", "MissingQuantityError", "Scenario"]
