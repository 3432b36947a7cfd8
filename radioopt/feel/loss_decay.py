"""How much a round of training lowers the loss, fitted to a training log."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self, Unpack

import numpy as np
from numpy.typing import ArrayLike

from radioopt.base.errors import ProblemError
from radioopt.base.quantity import Domain, check, finite, nonnegative, positive
from radioopt.feel.fitted import FEW, Fitted, none
from radioopt.numerics.arrays import FloatArray, check_number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from radioopt.base.pictures import Look


@dataclass(frozen=True)
class LossDecay(Fitted):
    r"""How much the loss falls in a round, :math:`\Delta L = \xi \sqrt{B}` for a total batch of B samples.

    Parameters
    ----------
    loss_decay : float
        Coefficient :math:`\xi > 0`; it scales the learning efficiency and moves no optimum.
    standard_error : float, default nan
        Of the coefficient; nan for one that is stated.
    batchsize, decay : ndarray, shape (n,), optional
        Total batch and decay of the loss per round that it was fitted to; none for one that is stated.

    Raises
    ------
    ProblemError
        If the coefficient is not positive and finite.

    References
    ----------
    J. Ren, G. Yu, G. Ding, "Accelerating DNN Training in Wireless Federated Edge Learning Systems",
    equations (7) and (8).

    Examples
    --------
    >>> loss = np.array([2.30, 2.05, 1.86, 1.59, 1.38])
    >>> decay = LossDecay.fit([100, 64, 121, 100], loss[:-1] - loss[1:])
    >>> round(decay.loss_decay, 4), round(decay.standard_error, 4)
    (0.0236, 0.0008)
    """

    loss_decay: float
    standard_error: float = float("nan")
    batchsize: FloatArray = field(default_factory=none, repr=False, compare=False)
    decay: FloatArray = field(default_factory=none, repr=False, compare=False)

    def __post_init__(self) -> None:
        check_number("LossDecay", "loss_decay", self.loss_decay, positive)

    @classmethod
    def fit(cls, batchsize: ArrayLike, decay: ArrayLike) -> Self:
        r"""Fit to a training log by least squares.

        Parameters
        ----------
        batchsize : array_like, shape (n,) or (n, K)
            Total batch of each round, or the batch of each device >= 0 [samples].
        decay : array_like, shape (n,)
            By how much the loss fell in each round, :math:`L[n] - L[n+1]`; single rounds may be negative.

        Returns
        -------
        LossDecay
            The coefficient and its log; ``print`` shows a report.

        Raises
        ------
        ProblemError
            If a value is outside its domain, the lengths differ, there are fewer than two rounds or one without
            samples, or the loss does not fall.

        Notes
        -----
        :math:`\xi = \sum \sqrt{B_n} \Delta L_n / \sum B_n`. For a constant batch that is the loss that was lost
        in all, over the number of rounds and :math:`\sqrt B`, so that the noise of the loss between the first
        and the last round cancels. The standard error allows for noise that differs between rounds.
        """
        owner = "LossDecay.fit"
        sizes = check(owner, "batchsize", batchsize, nonnegative)
        decays = check(owner, "decay", decay, finite)
        totals = sizes.sum(-1) if sizes.ndim == 2 else sizes
        if decays.ndim != 1 or totals.shape != decays.shape:
            raise ProblemError(
                f"{owner}: expected a decay per round, got batchsize {sizes.shape} and decay {decays.shape}"
            )
        check(owner, "batchsize", totals, Domain("at least one sample in every round", positive.low))
        if totals.size < 2:
            raise ProblemError(f"{owner}: expected at least 2 rounds, got {totals.size}")
        coefficient, error = _through_origin(np.sqrt(totals), decays)
        if coefficient <= 0:
            raise ProblemError(
                f"{owner}.decay: the loss does not fall over these {totals.size} rounds (coefficient "
                f"{coefficient:.3g}): leave out rounds that only add noise"
            )
        return cls(coefficient, error, totals, decays)

    def to_dict(self) -> dict[str, float]:
        """Return the keyword of ``BatchsizeProblem`` and the key of ``[feel]`` in a scenario file."""
        return {"loss_decay": self.loss_decay}

    def warnings(self) -> list[str]:
        """Say where the log contradicts the law; empty if it does not."""
        if not self.batchsize.size:
            return []
        order = np.arange(self.batchsize.size)
        found = [] if self.standard_error < 0.25 * self.loss_decay else ["the log is noisy: take more rounds"]
        middle = np.median(self.batchsize)
        for first, others, halves in (
            ("the first half of the rounds", "the second", order < order.size // 2),
            ("the smaller batches", "the larger", self.batchsize < middle),
        ):
            if min(halves.sum(), (~halves).sum()) < FEW:
                continue
            (one, error), (two, other) = (
                _through_origin(np.sqrt(self.batchsize[part]), self.decay[part]) for part in (halves, ~halves)
            )
            if abs(one - two) > 3 * np.hypot(error, other) + 1e-9 * self.loss_decay:
                found.append(f"not constant: {one:.3g} over {first}, {two:.3g} over {others}")
        return found

    def found(self) -> str:
        """Say in one line what it was fitted to, and how well."""
        if not self.batchsize.size:
            return "stated, not fitted"
        low, high = self.batchsize.min(), self.batchsize.max()
        sizes = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        return f"fitted to {self.batchsize.size} rounds of {sizes} samples; standard error {self.standard_error:.2g}"

    def __str__(self) -> str:
        """Report the coefficient, how it was found, and what the log contradicts."""
        law = f"loss decay: {self.loss_decay:.4g} times the root of the total batch, per round"
        return "\n".join([law, self.found(), *(f"note: {warning}" for warning in self.warnings())])

    def plot(self, **look: Unpack[Look]) -> Figure:
        """Draw the loss lost so far against the law; see :func:`radioopt.feel.plot.plot_loss_decay`."""
        from radioopt.feel.plot import plot_loss_decay

        return plot_loss_decay(self, **look)


def _through_origin(x: FloatArray, y: FloatArray) -> tuple[float, float]:
    """Slope of the least-squares line through the origin, and its standard error for any noise."""
    square = float(x @ x)
    slope = float(x @ y) / square
    return slope, float(np.linalg.norm(x * (y - slope * x))) / square
