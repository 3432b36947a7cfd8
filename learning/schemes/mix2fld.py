"""MixFLD and Mix2FLD: seed samples that devices mix before they upload them, and that the server unmixes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from learning.options import choose, real, whole
from learning.schemes.distillation import Fld
from learning.schemes.seeds import Seeds, assigned_labels, mixed, random_labels, unmixed
from learning.task import Task
from radioopt.base.errors import OptionError
from radioopt.mix2fld import inverse_ratios, mixup_matrix


@dataclass(eq=False, kw_only=True)
class MixFld(Fld):
    r"""MixFLD: FLD on mixed seed samples.

    Parameters
    ----------
    ratio : float or sequence of float, default 0.1
        Mixing ratio :math:`\lambda` in (0, 1/2), of the first of two samples; or the ratios of two or more, with sum 1.
    labels : {"assigned", "random"}, default "random"
        Whether the server assigns the labels that devices mix, or these choose samples at random.
    **options
        See :class:`~learning.schemes.distillation.Fld`.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section III-B, (6).
    """

    #: others that a seed is to be unmixed with
    augmentation = 1

    ratio: float | Sequence[float] = 0.1
    labels: str = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        if isinstance(self.ratio, Sequence) and not isinstance(self.ratio, str):
            self.ratio = [float(value) for value in mixup_matrix(self.ratio)[0]]
        else:
            self.ratio = real("ratio", self.ratio, high=0.5)
        choose("labels", self.labels, {"assigned": 0, "random": 1})

    @property
    def ratios(self) -> list[float]:
        """Mixing ratios of the samples of a seed."""
        return [self.ratio, 1.0 - self.ratio] if isinstance(self.ratio, float) else list(self.ratio)

    def make_seeds(self, task: Task, count: int, rng: np.random.Generator) -> Seeds:
        """Mix what the devices upload; see :meth:`Fld.make_seeds`."""
        size = len(self.ratios)
        if self.labels == "random":
            labels = random_labels(task, count, size, rng)
        else:
            labels = assigned_labels(task, count, size, self.augmentation, rng)
        return mixed(task, labels, self.ratios, rng)


@dataclass(eq=False, kw_only=True)
class Mix2Fld(MixFld):
    r"""Mix2FLD: MixFLD whose server unmixes the seeds across devices, into samples of one label each.

    Parameters
    ----------
    labels : {"assigned", "random"}, default "assigned"
        Whether the server assigns the labels that devices mix, so that all can be unmixed, or these choose two samples
        at random. [reconstructed: the paper assumes symmetric labels and does not say where they come from]
    augmentation : int, default 1
        Samples made per sample uploaded, :math:`N_I / N_S`: in how many pairs each may be; 1 where more than two
        samples are mixed.
    **options
        See :class:`MixFld`.

    Notes
    -----
    Only seeds of different devices are combined; two of one device would give raw samples away. Ratios that cannot be
    inverted, as equal ones, are refused. Should seeds arrive of which no two can be combined, the server has no model,
    and that first round is charged for its time and for a download all the same.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section III-C, (7) and (8), Algorithm 1.
    """

    labels: str = "assigned"
    augmentation: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        self.augmentation = whole("augmentation", self.augmentation)
        if len(self.ratios) > 2 and self.augmentation > 1:
            raise OptionError(
                f"augmentation: expected 1 for {len(self.ratios)} ratios, got {self.augmentation}"
            )
        inverse_ratios(self.ratios)

    def take_seeds(self, seeds: Seeds) -> Seeds:
        """Unmix the seeds that arrived."""
        return unmixed(seeds, self.ratios, self.augmentation)
