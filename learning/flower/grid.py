"""Flower's grid as the post's mail, and the app of a node: letters in Flower's records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from learning.flower.letters import Letter, Memory, Sealed
from learning.flower.post import Answer
from radioopt.base.errors import require

#: record of a letter's numbers
NUMBERS = "numbers"
#: prefix of the records in which a node keeps what its devices have
KEPT = "radioopt/"
#: Flower's code for a node that cannot be reached
UNAVAILABLE = 5


def _flwr() -> Any:
    """Import Flower when it is needed, so that this file can be read without it."""
    return require("flwr.app", "flower")


def packed(letter: Letter) -> Any:
    """Put a letter into Flower's records: a ``ConfigRecord``, and an ``ArrayRecord`` for each compartment."""
    flwr = _flwr()
    content = flwr.RecordDict({NUMBERS: flwr.ConfigRecord(dict(letter.numbers))})
    for compartment, arrays in letter.arrays.items():
        content[compartment] = _record(arrays)
    return content


def unpacked(content: Any) -> Letter:
    """Take a letter out of Flower's records."""
    numbers = content.config_records.get(NUMBERS, {})
    arrays = {name: _sealed(record) for name, record in content.array_records.items()}
    return Letter(dict(numbers), arrays)


def _record(arrays: Mapping[str, Sealed]) -> Any:
    flwr = _flwr()
    return flwr.ArrayRecord(
        {
            name: flwr.Array(one.dtype, tuple(one.shape), "numpy.ndarray", one.data)
            for name, one in arrays.items()
        }
    )


def _sealed(record: Mapping[str, Any]) -> dict[str, Sealed]:
    return {name: Sealed(array.dtype, tuple(array.shape), array.data) for name, array in record.items()}


class GridMail:
    """Letters by Flower's grid.

    Parameters
    ----------
    grid : flwr.serverapp.Grid
        Of the run.
    """

    def __init__(self, grid: Any) -> None:
        self.grid = grid

    def nodes(self) -> list[int]:
        """Return the nodes that are connected; see :class:`~learning.flower.post.Mail`."""
        return sorted(self.grid.get_node_ids())

    def send(self, letters: Mapping[int, Letter], ttl_s: float) -> dict[str, int]:
        """Push a message to each node; see :class:`~learning.flower.post.Mail`."""
        messages = [
            _flwr().Message(packed(letter), dst_node_id=node, message_type="train", ttl=ttl_s)
            for node, letter in letters.items()
        ]
        return dict(zip(self.grid.push_messages(messages), letters, strict=True))

    def fetch(self, ids: Sequence[str]) -> list[Answer]:
        """Pull what has come; see :class:`~learning.flower.post.Mail`."""
        found = []
        for message in self.grid.pull_messages(list(ids)):
            id = message.metadata.reply_to_message_id
            if message.has_error():
                error = message.error
                text = f"failed with code {error.code}: {error.reason}"
                found.append(Answer(id, None, text, error.code == UNAVAILABLE))
            else:
                found.append(Answer(id, unpacked(message.content)))
        return found


def client_app(answer: Callable[[Letter, Memory], Letter]) -> Any:
    """Make the app that a node runs.

    Parameters
    ----------
    answer : callable
        From a letter and what the node's devices keep, which it changes, to what they send:
        :func:`learning.flower.node.answer` here, or :func:`learning.flower.trainer.ask` in a process that stays.

    Returns
    -------
    flwr.clientapp.ClientApp
        Which keeps in Flower's ``context.state`` what devices keep.
    """
    app = require("flwr.clientapp", "flower").ClientApp()

    @app.train()  # type: ignore[untyped-decorator]
    def train(message: Any, context: Any) -> Any:
        """Let the devices of this node hear, train and send."""
        records = context.state.array_records
        memory: Memory = {
            name.removeprefix(KEPT): _sealed(record) for name, record in records.items() if KEPT in name
        }
        letter = answer(unpacked(message.content), memory)
        for compartment, arrays in memory.items():
            context.state[KEPT + compartment] = _record(arrays)
        return _flwr().Message(packed(letter), reply_to=message)

    return app
