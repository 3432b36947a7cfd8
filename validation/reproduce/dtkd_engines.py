"""Students, and the loop that trains one user after the other by torch's own optimiser: what stacking is held against.

Twenty users of four small networks, five of each, on random samples of the digits' shape, by `stu`, `kd` and `simkd`.
The tests hold the weights of both ways to each other, `radioopt bench --only "training/20 users"` their times.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from learning import Dataset, Kd, SimKd, Streams, Task, Teacher, kd_loss, simkd_loss
from learning.local.batches import cycling
from learning.models.students import dense, dense_teacher
from learning.prepare.students import outputs
from learning.task import TEACHER

WIDTHS, USERS, SHAPE = (8, 16, 32, 64), 20, (1, 8, 8)


def plain_loop(
    scheme: Any, task: Task, rounds: int, devices: Sequence[int] | None = None
) -> dict[str, torch.Tensor]:
    """Train one user after the other by torch's own optimiser.

    Parameters
    ----------
    scheme : Stu, Kd or SimKd
        Whose loss and batches; its step rule is that of the paper.
    task : Task
        With a teacher.
    rounds : int
        Epochs.
    devices : sequence of int, optional
        Who; by default everybody.

    Returns
    -------
    dict of str to Tensor, shape (users, ...)
        Weights afterwards.
    """
    teacher: Any = task.teacher
    found: list[Any] = []
    for device in range(len(task.parts)) if devices is None else devices:
        cohort = task.cohort(np.array([device]))
        own = copy.deepcopy(scheme.module(cohort.model)).train()
        own.load_state_dict({name: value[0] for name, value in scheme.join(cohort).items()})
        steps = torch.optim.SGD(own.parameters(), scheme.learning_rate, 0.9, 0.0, 7.5e-4, nesterov=True)
        for number in range(1, rounds + 1):
            steps.param_groups[0]["lr"] = scheme.rate(number)
            drawn = cycling(cohort.parts, scheme.batchsize, 1, cohort.rngs("training", number))
            for rows in drawn.index[:, 0]:
                steps.zero_grad()
                outputs_, labels = own(task.samples[0][rows]), task.samples[1][rows]
                if isinstance(scheme, Kd):
                    loss = kd_loss(outputs_, teacher.logits[rows], labels, 4.0)
                elif isinstance(scheme, SimKd):
                    loss = simkd_loss(outputs_, teacher.features[rows])
                else:
                    loss = nn.functional.cross_entropy(outputs_, labels)
                loss.backward()
                steps.step()
        found.append(own.state_dict())
    return {name: torch.stack([one[name] for one in found]) for name in found[0]}


def job(scheme: Any, samples: int) -> Task:
    """Make a task of twenty users with so many random samples each, and a teacher that has learnt nothing."""
    rng, total = np.random.default_rng(0), USERS * samples
    parts = tuple(np.sort(part) for part in np.split(rng.permutation(total), USERS))
    x, y = rng.normal(size=(total, *SHAPE)).astype(np.float32), rng.integers(0, 10, total)
    networks: dict[str, Any] = {f"dense:{width}": dense(SHAPE, 10, width) for width in WIDTHS}
    networks[TEACHER] = dense_teacher(SHAPE, 10)
    uses = tuple(f"dense:{WIDTHS[user % 4]}" for user in range(USERS))
    task: Task = scheme.equip(Task(Dataset(x, y, x[:9], y[:9], 10), parts, networks, Streams(0), uses))
    values = task.initial_values(TEACHER)
    wanted = isinstance(scheme, SimKd)
    given = outputs(task.models[TEACHER], values, task.samples[0], wanted=wanted, maps=False)
    return task.replace(teacher=Teacher(values, *given))
