"""How alike two gradients are, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def gradient_similarity(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    r"""Return the mean over the layers of the cosine between two gradients, scaled to [0, 1].

    .. math::
        \mathrm{Sim}(a, b) = \frac{1}{L} \sum_{l=1}^{L} \frac{1}{2} \Bigl( 1 +
        \frac{\langle a^{[l]}, b^{[l]} \rangle}{|a^{[l]}| |b^{[l]}|} \Bigr).

    Parameters
    ----------
    a, b : mapping of str to Tensor
        Gradients by the names of the weights. A layer is a module: "0.weight" and "0.bias" are one vector.

    Returns
    -------
    float
        1 where all layers point the same way, 0 where they are opposite; a layer that vanishes in one of them counts
        as orthogonal, 1/2.

    Raises
    ------
    ValueError
        If the names differ, or there are none.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning Over Heterogeneous
    Mobile Edge Devices", (52).

    Examples
    --------
    >>> one = {"0.weight": torch.tensor([[1.0, 0.0]]), "0.bias": torch.tensor([0.0])}
    >>> gradient_similarity(one, one), gradient_similarity(one, {name: -value for name, value in one.items()})
    (1.0, 0.0)
    """
    if a.keys() != b.keys() or not a:
        raise ValueError(f"gradient_similarity: expected the same names, got {sorted(a)} and {sorted(b)}")
    layers: dict[str, list[str]] = {}
    for name in a:
        layers.setdefault(name.rpartition(".")[0], []).append(name)
    total = 0.0
    for names in layers.values():
        one, other = (
            torch.cat([given[name].detach().double().flatten() for name in names]) for given in (a, b)
        )
        size = float(one.norm() * other.norm())
        cosine = float(one @ other) / size if size else 0.0
        total += (1.0 + cosine) / 2.0
    return total / len(layers)
