"""What preparations made of a task, as far as letters carry it: who trains which network, and what a teacher says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from learning.flower.letters import Sealed
from learning.flower.sealing import seal, unseal
from learning.models.teacher import Teacher
from learning.prepare.base import Preparation
from learning.prepare.students import ChooseStudents, Teach
from learning.schemes.students import last_layer
from learning.task import TEACHER, IntArray, Task

#: preparations that leave everybody's samples as they are, so that what they made fits into a letter
CARRIED: tuple[type[Preparation], ...] = (ChooseStudents, Teach)
#: prefix of the weights of the teacher's last layer
LAST = "last/"


def taught(task: Task, devices: IntArray) -> dict[str, Sealed]:
    """Write down what the teacher says of some devices' samples.

    Parameters
    ----------
    task : Task
        With a teacher.
    devices : ndarray of int64, shape (k,)
        Some devices.

    Returns
    -------
    dict of str to Sealed
        Its features of their samples one after the other, with its last layer, where students imitate features; else
        its logits. It goes with every letter, as the account of the round has it, so that a node need not keep it.
    """
    teacher = task.teacher
    assert teacher is not None
    rows = _rows(task, devices)
    if not teacher.features.numel():
        return {"logits": seal(teacher.logits[rows])}
    last = last_layer(task.models[TEACHER])
    names = [name for name in teacher.values if name.startswith(f"{last}.")]
    layer = {LAST + name: seal(teacher.values[name]) for name in names}
    return {"features": seal(teacher.features[rows]), **layer}


def restored(
    task: Task, devices: IntArray, uses: Sequence[str] | None, sealed: Mapping[str, Sealed] | None
) -> Task:
    """Make the prepared task on a node, as far as its devices are concerned.

    Parameters
    ----------
    task : Task
        As it was before any preparation.
    devices : ndarray of int64, shape (k,)
        Those of the node.
    uses : sequence of str, optional
        Architecture of each of them; as in the task if it is not said.
    sealed : mapping of str to Sealed, optional
        From :func:`taught`, if there is a teacher.

    Returns
    -------
    Task
        Whose teacher says nothing, zeros, of samples of others.
    """
    if uses is not None:
        own = dict(zip(devices.tolist(), uses, strict=True))
        task = task.replace(uses=tuple(own.get(device, use) for device, use in enumerate(task.uses)))
    if sealed is None:
        return task
    rows = _rows(task, devices)

    def spread(name: str) -> torch.Tensor:
        if name not in sealed:
            return torch.empty(len(task.data.train_y), 0, device=task.device)
        said = unseal(sealed[name]).to(task.device)
        everybody = torch.zeros(len(task.data.train_y), *said.shape[1:], dtype=said.dtype, device=task.device)
        everybody[rows] = said
        return everybody

    last = {
        name.removeprefix(LAST): unseal(one).to(task.device)
        for name, one in sealed.items()
        if name.startswith(LAST)
    }
    return task.replace(teacher=Teacher(last, spread("features"), spread("logits")))


def _rows(task: Task, devices: IntArray) -> torch.Tensor:
    """Return the samples of some devices, each once."""
    rows = np.unique(np.concatenate([task.parts[device] for device in devices.tolist()]))
    return torch.from_numpy(rows).to(task.device)
