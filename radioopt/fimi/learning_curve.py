"""How the learning error falls with the number of samples: a power law."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.typing import ArrayLike


@dataclass(frozen=True)
class LearningCurve:
    r"""Error after training on D samples: :math:`\delta(D) = \alpha D^{-\beta} - \gamma`.

    Parameters
    ----------
    alpha : array_like, shape (...)
        Scale > 0; one value for all instances of a batch, or one each.
    beta : array_like, shape (...)
        Exponent > 0.
    gamma : array_like, shape (...)
        Offset >= 0, subtracted: the curve crosses zero at :math:`(\alpha/\gamma)^{1/\beta}` samples and means
        nothing beyond.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over
    Heterogeneous Mobile Edge Devices", IEEE Transactions on Mobile Computing, 2024, equation (1).

    Examples
    --------
    >>> curve = LearningCurve(alpha=4.671, beta=0.3, gamma=0.05)
    >>> curve.gamma
    0.05
    """

    alpha: ArrayLike
    beta: ArrayLike
    gamma: ArrayLike
