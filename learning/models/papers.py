"""The networks of the papers' experiments, as far as they can be trained on samples that pass by themselves."""

from __future__ import annotations

from torch import nn

from radioopt.base.errors import ProblemError

#: channels of VGG-9's convolutions; a pooling halves the image after each row
_VGG9 = ((32, 64), (128, 128), (256, 256))


def mix2fld_cnn(sample_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build the Mix2FLD paper's network: two convolutions and a linear layer, 12,544 weights on MNIST.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width), height and width of 2 pixels at least.
    num_classes : int
        Number of classes.

    Returns
    -------
    torch.nn.Module
        From (B, channels, height, width) to logits (B, num_classes).

    Raises
    ------
    ProblemError
        If the samples are no such images.

    Notes
    -----
    The paper gives the kinds of its three layers and the number of weights, not their sizes. Here 3 x 3 convolutions
    of 12 and 6 channels around one 2 x 2 pooling have exactly 12,544 for 28 x 28 pixels and ten classes, biases
    included; that they are the authors' is not known.

    References
    ----------
    S. Oh et al., "Mix2FLD: Downlink Federated Learning After Uplink Federated Distillation With Two-Way Mixup",
    Section V.

    Examples
    --------
    >>> sum(weights.numel() for weights in mix2fld_cnn((1, 28, 28), 10).parameters())
    12544
    """
    depth, height, width = _image("mix2fld-cnn", sample_shape, 2)
    return nn.Sequential(
        nn.Conv2d(depth, 12, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 6, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * (height // 2) * (width // 2), num_classes),
    )


def vgg9(sample_shape: tuple[int, ...], num_classes: int) -> nn.Module:
    """Build VGG-9, the network of the FIMI paper: six convolutions and three linear layers.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width), height and width of 8 pixels at least.
    num_classes : int
        Number of classes.

    Returns
    -------
    torch.nn.Module
        From (B, channels, height, width) to logits (B, num_classes); without dropout and batch normalisation.

    Raises
    ------
    ProblemError
        If the samples are no such images.

    Notes
    -----
    On CIFAR-10 it has 3,491,530 weights, of 32 bits each 111.73 Mbit: the paper's 111.7 Mb.

    References
    ----------
    P. Li et al., "Filling the Missing: Exploring Generative AI for Enhanced Federated Learning over Heterogeneous
    Mobile Edge Devices", Section VI-A; H. Wang et al., "Federated Learning with Matched Averaging", for the layers.

    Examples
    --------
    >>> sum(weights.numel() for weights in vgg9((3, 32, 32), 10).parameters())
    3491530
    """
    channels, height, width = _image("vgg9", sample_shape, 8)
    layers: list[nn.Module] = []
    for row in _VGG9:
        for wider in row:
            layers += [nn.Conv2d(channels, wider, 3, padding=1), nn.ReLU()]
            channels = wider
        layers.append(nn.MaxPool2d(2))
    layers += [nn.Flatten(), nn.Linear(channels * (height // 8) * (width // 8), 512), nn.ReLU()]
    layers += [nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, num_classes)]
    return nn.Sequential(*layers)


def _image(model: str, sample_shape: tuple[int, ...], smallest: int) -> tuple[int, int, int]:
    """Check the shape of an image."""
    if len(sample_shape) != 3 or min(sample_shape[1:]) < smallest:
        raise ProblemError(
            f"{model}: expected images (channels, height >= {smallest}, width >= {smallest}), got shape {sample_shape}"
        )
    depth, height, width = sample_shape
    return depth, height, width
