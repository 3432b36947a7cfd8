"""MixFLD and Mix2FLD: seed samples that devices mix before they upload them, and that the server unmixes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from learning.names import choose, real, whole
from learning.schemes.distillation import Fld
from learning.schemes.mix2fld_seeds import Seeds, assigned_labels, mixed, random_labels, unmixed
from learning.task import Task


@dataclass(eq=False, kw_only=True)
class MixFld(Fld):
    r"""MixFLD: FLD on mixed seed samples.

    Parameters
    ----------
    ratio : float, default 0.1
        Mixing ratio :math:`\lambda` in (0, 1/2), of the first of two samples.
    labels : {"assigned", "random"}, default "random"
        Whether the server assigns the labels that devices mix, or these choose two samples at random.
    **options
        See :class:`~learning.schemes.distillation.Fld`.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section III-B, (6).
    """

    #: others that a seed is to be unmixed with
    augmentation = 1

    ratio: float = 0.1
    labels: str = "random"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ratio = real("ratio", self.ratio, high=0.5)
        choose("labels", self.labels, {"assigned": 0, "random": 1})

    def make_seeds(self, task: Task, count: int, rng: np.random.Generator) -> Seeds:
        """Mix what the devices upload; see :meth:`Fld.make_seeds`."""
        if self.labels == "random":
            labels = random_labels(task, count, rng)
        else:
            labels = assigned_labels(task, count, self.augmentation, rng)
        return mixed(task, labels, self.ratio, rng)


@dataclass(eq=False, kw_only=True)
class Mix2Fld(MixFld):
    r"""Mix2FLD: MixFLD whose server unmixes the seeds across devices, into samples of one label each.

    Parameters
    ----------
    labels : {"assigned", "random"}, default "assigned"
        Whether the server assigns the labels that devices mix, so that all can be unmixed, or these choose two samples
        at random. [reconstructed: the paper assumes symmetric labels and does not say where they come from]
    augmentation : int, default 1
        Samples made per sample uploaded, :math:`N_I / N_S`: in how many pairs each may be.
    **options
        See :class:`MixFld`.

    Notes
    -----
    Only seeds of different devices are combined; two of one device would give raw samples away.

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

    def take_seeds(self, seeds: Seeds) -> Seeds:
        """Unmix the seeds that arrived."""
        return unmixed(seeds, self.ratio, self.augmentation)
