"""Losses of students: knowledge distillation from a teacher's logits, and simKD from its features."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from learning.local.batches import picked
from learning.models.students import shrunk
from learning.options import choose

Divergence = Callable[[Tensor, Tensor], Tensor]
#: ``(outputs (B, ...), rows (B,)) -> (losses (B,), gradient (B, ...))``: the loss of each sample by its row, and how it
#: grows with the sample's outputs
Sloped = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def _teacher_student(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(teacher || student) of each sample, from logarithms of probabilities."""
    return (teacher.exp() * (teacher - student)).sum(1)


def _student_teacher(student: Tensor, teacher: Tensor) -> Tensor:
    """Return KL(student || teacher) of each sample, from logarithms of probabilities."""
    return (student.exp() * (student - teacher)).sum(1)


#: directions of the divergence, by name
DIRECTIONS: dict[str, Divergence] = {
    "teacher-student": _teacher_student,
    "student-teacher": _student_teacher,
}


def kd_losses(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float,
    direction: str = "teacher-student",
    soft: float = 1.0,
    hard: float = 1.0,
) -> Tensor:
    """Return the loss of each sample, shape (B,); see :func:`kd_loss`, with weights of its two parts."""
    divergence = choose("direction", direction, DIRECTIONS)
    student, teacher = ((logits / temperature).log_softmax(1) for logits in (student_logits, teacher_logits))
    losses = soft * temperature**2 * divergence(student, teacher)
    if hard:
        losses = losses + hard * functional.cross_entropy(student_logits, labels, reduction="none")
    return losses


def by_autograd(loss: Callable[[Tensor, Tensor], Tensor]) -> Sloped:
    """Return a loss of samples by their rows with its gradient, which torch finds."""

    def sloped(outputs: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        leaf = outputs.detach().requires_grad_()
        with torch.enable_grad():
            losses = loss(leaf, rows)
            (gradient,) = torch.autograd.grad(losses.sum(), leaf)
        return losses.detach(), gradient

    return sloped


def entropic(labels: Tensor) -> Sloped:
    """Return the cross-entropy of samples by their rows, with its gradient: softmax less one at the label.

    Parameters
    ----------
    labels : Tensor of int64, shape (N,)
        Of all training samples.

    Returns
    -------
    callable
        ``(logits (B, L), rows (B,)) -> (losses (B,), gradient (B, L))``.
    """

    def losses(logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        told, own = logits.log_softmax(1), labels[rows][:, None]
        found = told.gather(1, own)
        return -found.squeeze(1), told.exp().scatter_add_(1, own, torch.full_like(found, -1.0))

    return losses


def distilled(
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float,
    direction: str = "teacher-student",
    soft: float = 1.0,
    hard: float = 1.0,
) -> Sloped:
    """Return the loss of :func:`kd_losses` by rows, with its gradient; what depends on the teacher alone is kept.

    Parameters
    ----------
    teacher_logits : Tensor, shape (N, L)
        Of all training samples.
    labels : Tensor of int64, shape (N,)
        Of all training samples.
    temperature, direction, soft, hard
        See :func:`kd_losses`.

    Returns
    -------
    callable
        ``(logits (B, L), rows (B,)) -> (losses (B,), gradient (B, L))``.
    """
    if direction != "teacher-student":
        return by_autograd(
            lambda logits, rows: kd_losses(
                logits, teacher_logits[rows], labels[rows], temperature, direction, soft, hard
            )
        )
    told = (teacher_logits / temperature).log_softmax(1)
    chances, weight, entropy = told.exp(), soft * temperature**2, entropic(labels)
    sure = (chances * told).sum(1)

    def losses(logits: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        goal, own = picked(chances, rows), (logits / temperature).log_softmax(1)
        found = weight * (sure[rows] - (goal * own).sum(1))
        gradient = (own.exp() - goal).mul_(weight / temperature)
        if hard:
            known, slope = entropy(logits, rows)
            found, gradient = found.add_(known, alpha=hard), gradient.add_(slope, alpha=hard)
        return found, gradient

    return losses


def imitated(features: Tensor, reduction: str = "mean") -> Sloped:
    """Return the loss of :func:`simkd_losses` by rows, with its gradient.

    Parameters
    ----------
    features : Tensor, shape (N, t) or (N, t, height, width)
        Of the teacher, of all training samples; maps that are larger than the student's are averaged to its size.
    reduction : {"mean", "sum"}
        See :func:`simkd_losses`.

    Returns
    -------
    callable
        ``(projected (B, t, ...), rows (B,)) -> (losses (B,), gradient (B, t, ...))``.
    """

    def losses(projected: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
        goal = picked(features, rows)
        away = projected - (shrunk(goal, projected.shape[2:]) if goal.dim() > 2 else goal)
        over = away[0].numel() if reduction == "mean" else 1
        return away.square().flatten(1).sum(1) / over, away * (2.0 / over)

    return losses


def kd_loss(
    student_logits: Tensor,
    teacher_logits: Tensor,
    labels: Tensor,
    temperature: float,
    direction: str = "teacher-student",
) -> Tensor:
    r"""Return the loss of knowledge distillation.

    .. math::
        L = \frac{1}{B} \sum_b -\log p^s_{b, y_b} + T^2 \, \mathrm{KL}\bigl(p^t_b(T) \,\|\, p^s_b(T)\bigr), \qquad
        p(T) = \mathrm{softmax}(z / T).

    Parameters
    ----------
    student_logits, teacher_logits : Tensor, shape (B, L)
        Logits; the teacher's get no gradient if they have none.
    labels : Tensor of int64, shape (B,)
        Labels of the samples.
    temperature : float
        T > 0 of both softmaxes of the divergence; the cross-entropy is at 1.
    direction : {"teacher-student", "student-teacher"}
        Whether the divergence is KL(teacher || student), as everybody computes it, or the other one.

    Returns
    -------
    Tensor
        A number [nat].

    Raises
    ------
    OptionError
        If there is no such direction.

    Notes
    -----
    The paper prints the divergence with the student first, which is the order of the arguments of torch's ``kl_div``.

    References
    ----------
    G. Hinton, O. Vinyals, J. Dean, "Distilling the Knowledge in a Neural Network", Section 2; X. Wang et al., "Digital
    twin-assisted knowledge distillation framework for heterogeneous federated learning", Section III-2.

    Examples
    --------
    >>> import torch
    >>> z = torch.tensor([[0.0, 0.0]])
    >>> round(float(kd_loss(z, z, torch.tensor([1]), 4.0)), 6)
    0.693147
    """
    return kd_losses(student_logits, teacher_logits, labels, temperature, direction).mean()


#: how the squared distances of a sample's features are taken together
REDUCTIONS = {
    "mean": lambda squares: squares.flatten(1).mean(1),
    "sum": lambda squares: squares.flatten(1).sum(1),
}


def simkd_losses(projected: Tensor, teacher_features: Tensor, reduction: str = "mean") -> Tensor:
    """Return the squared distance of each sample's features, shape (B,), as a mean over them or a sum."""
    losses: Tensor = choose("reduction", reduction, REDUCTIONS)((projected - teacher_features).square())
    return losses


def simkd_loss(projected: Tensor, teacher_features: Tensor) -> Tensor:
    r"""Return the loss of simKD: the mean squared distance of projected features from the teacher's.

    Parameters
    ----------
    projected : Tensor, shape (B, t) or (B, t, height, width)
        What the student's projector makes of its features.
    teacher_features : Tensor of the same shape
        What the teacher's last layer gets.

    Returns
    -------
    Tensor
        A number: no label, no cross-entropy and no divergence enters.

    References
    ----------
    D. Chen et al., "Knowledge Distillation with the Reused Teacher Classifier"; X. Wang et al., "Digital twin-assisted
    knowledge distillation framework for heterogeneous federated learning", (27), which is the sum over features.

    Examples
    --------
    >>> import torch
    >>> float(simkd_loss(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 0.0]])))
    2.0
    """
    return simkd_losses(projected, teacher_features).mean()
