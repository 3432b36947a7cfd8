"""Students and teachers: networks whose last layer is apart from the features that it gets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from learning.models.build import logits_of
from learning.models.papers import _image
from radioopt.base.errors import OptionError, ProblemError

Norm = Callable[[int], nn.Module]


class Split(nn.Module):
    """A network of features and one linear layer on their mean over the map.

    Parameters
    ----------
    body : torch.nn.Module
        From samples to features, shape (B, F) or a map (B, F, ...).
    classifier : torch.nn.Linear
        From features to logits.
    """

    def __init__(self, body: nn.Module, classifier: nn.Linear) -> None:
        super().__init__()
        self.body, self.classifier = body, classifier

    def features(self, x: Tensor) -> Tensor:
        """Return the features before they are averaged over the map."""
        found: Tensor = self.body(x)
        return found

    def embed(self, x: Tensor) -> Tensor:
        """Return the features that the last layer gets, shape (B, F)."""
        return pooled(self.features(x))

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits."""
        logits: Tensor = self.classifier(self.embed(x))
        return logits


def pooled(features: Tensor) -> Tensor:
    """Return the mean of each feature over the map, if they are maps."""
    return features.flatten(2).mean(2) if features.dim() > 2 else features


def split(model: nn.Module, what: str = "model") -> Split:
    """Take a network apart into features and its last linear layer.

    Parameters
    ----------
    model : torch.nn.Module
        With `features` and `classifier`, or a sequence whose last layer is linear, as "mlp" and "cnn" are.
    what : str, default "model"
        Option that gave it, for the message.

    Returns
    -------
    Split
        With the same weights, in the same memory.

    Raises
    ------
    ProblemError
        If it is neither.
    """
    if isinstance(model, Split):
        return model
    if isinstance(model, nn.Sequential) and len(model) > 1 and isinstance(model[-1], nn.Linear):
        return Split(model[:-1], model[-1])
    last = getattr(model, "classifier", None)
    if isinstance(last, nn.Linear) and callable(getattr(model, "features", None)):
        return Split(_Features(model), last)
    raise ProblemError(
        f"{what}: {type(model).__name__} does not say what its features are: give it a method features(x) and a linear "
        "layer classifier, or a Sequential that ends with a linear layer"
    )


def split_teacher(teacher: nn.Module, sample_shape: tuple[int, ...]) -> Split:
    """Take a teacher apart whose last layer, on the mean of its features over the map, gives its logits.

    Parameters
    ----------
    teacher : torch.nn.Module
        See :func:`split`.
    sample_shape : tuple of int
        Shape of one sample.

    Returns
    -------
    Split
        With the same weights, in the same memory.

    Raises
    ------
    ProblemError
        If it says no features, or does more between these and its last layer than to average them: students that
        imitate the features would be given a layer that was trained on something else.
    """
    apart, training = split(teacher, "teacher"), teacher.training
    kind = next(teacher.parameters()).new_zeros(1)
    two = torch.linspace(0.0, 1.0, 2 * math.prod(sample_shape)).reshape(2, *sample_shape).to(kind)
    try:
        with torch.no_grad():
            whole, features = logits_of(teacher.eval()(two)), pooled(apart.features(two))
            same = features.shape[1:] == (apart.classifier.in_features,) and torch.allclose(
                apart.classifier(features), whole, rtol=1e-3, atol=1e-5
            )
    finally:
        teacher.train(training)
    if not same:
        raise ProblemError(
            f"teacher: {type(teacher).__name__} does more between features(x) and classifier than to average maps: let "
            "features(x) return what classifier gets"
        )
    return apart


class _Features(nn.Module):
    """The features of a network of somebody else's, without its last layer."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.model.features(x)  # type: ignore[operator]
        return found


# -- the paper's networks ----------------------------------------------------------------------------------------


def vgg8(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build VGG-8, the smallest student of the DT-KD paper: 3,965,028 parameters on CIFAR-100.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width), height and width of 8 pixels at least.
    num_classes : int
        Number of classes.

    Returns
    -------
    Split
        From (B, channels, height, width) to logits (B, num_classes).

    Raises
    ------
    ProblemError
        If the samples are no such images.

    References
    ----------
    X. Wang, N. Cheng, L. Ma, R. Sun, R. Chai, N. Lu, "Digital twin-assisted knowledge distillation framework for
    heterogeneous federated learning", Section IV.

    Examples
    --------
    >>> sum(weights.numel() for weights in vgg8((3, 32, 32), 100).parameters())
    3965028
    """
    return _vgg("vgg8", sample_shape, num_classes, (64, 128, 256, 512, 512), 3)


def resnet8x4(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build ResNet-8x4, see :func:`resnet`: 1,233,540 parameters on CIFAR-100."""
    return resnet(sample_shape, num_classes, 8)


def resnet14x4(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build ResNet-14x4, see :func:`resnet`: 2,783,620 parameters on CIFAR-100."""
    return resnet(sample_shape, num_classes, 14)


def resnet26x4(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build ResNet-26x4, see :func:`resnet`: 5,883,780 parameters on CIFAR-100."""
    return resnet(sample_shape, num_classes, 26)


def resnet32x4(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build ResNet-32x4, the paper's teacher, see :func:`resnet`: 7,433,860 parameters on CIFAR-100."""
    return resnet(sample_shape, num_classes, 32)


def resnet32x4_group(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build ResNet-32x4 with group normalisation: as many parameters, and samples that pass by themselves."""
    return resnet(sample_shape, num_classes, 32, norm="group")


def resnet(
    sample_shape: tuple[int, ...],
    num_classes: int,
    depth: int,
    channels: Sequence[int] = (32, 64, 128, 256),
    norm: str = "batch",
) -> Split:
    """Build a residual network for small images.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width), height and width of 4 pixels at least.
    num_classes : int
        Number of classes.
    depth : int
        Layers: 6 n + 2, of which each of three stages has n blocks of two convolutions.
    channels : sequence of four int
        Of the first convolution and of the three stages, of which the last two halve the image.
    norm : {"batch", "group"}, default "batch"
        Normalisation. Both have the same parameters; groups do not look at other samples.

    Returns
    -------
    Split
        From (B, channels, height, width) to logits (B, num_classes).

    Raises
    ------
    ProblemError
        If the samples are no such images.

    References
    ----------
    K. He et al., "Deep Residual Learning for Image Recognition", Section 4.2, with the widths of "ResNet-nx4" and a
    convolution in the shortcut of every first block.

    Examples
    --------
    >>> [sum(w.numel() for w in resnet((3, 32, 32), 100, depth).parameters()) for depth in (8, 14, 26, 32)]
    [1233540, 2783620, 5883780, 7433860]
    """
    colours, _, _ = _image("resnet", sample_shape, 4)
    made: Norm = nn.BatchNorm2d if norm == "batch" else _groups
    width = channels[0]
    layers: list[nn.Module] = [nn.Conv2d(colours, width, 3, padding=1, bias=False), made(width), nn.ReLU()]
    for stage, wider in enumerate(channels[1:]):
        for block in range((depth - 2) // 6):
            layers.append(_Block(width, wider, 2 if stage and not block else 1, made))
            width = wider
    body = nn.Sequential(*layers)
    for layer in body.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return Split(body, nn.Linear(width, num_classes))


class _Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, width: int, wider: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.long = nn.Sequential(
            nn.Conv2d(width, wider, 3, stride, 1, bias=False),
            norm(wider),
            nn.ReLU(),
            nn.Conv2d(wider, wider, 3, padding=1, bias=False),
            norm(wider),
        )
        same = width == wider and stride == 1
        self.short = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(width, wider, 1, stride, bias=False), norm(wider))
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.long(x) + self.short(x))


def _groups(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(width, 8), width)


def _vgg(
    name: str, sample_shape: tuple[int, ...], num_classes: int, channels: Sequence[int], halvings: int
) -> Split:
    colours, _, _ = _image(name, sample_shape, 2**halvings)
    layers: list[nn.Module] = []
    for number, wider in enumerate(channels):
        layers += [nn.Conv2d(colours, wider, 3, padding=1), nn.BatchNorm2d(wider), nn.ReLU()]
        layers += [nn.MaxPool2d(2)] * (number < halvings)
        colours = wider
    last = nn.Linear(colours, num_classes)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2.0 / (9 * layer.out_channels)))
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    nn.init.normal_(last.weight, 0.0, 0.01)
    nn.init.zeros_(last.bias)
    return Split(nn.Sequential(*layers), last)


# -- small families, which train in seconds ----------------------------------------------------------------------


def dense(sample_shape: tuple[int, ...], num_classes: int, width: int = 32) -> Split:
    """Build a perceptron with one hidden layer and batch normalisation: the small students.

    Parameters
    ----------
    sample_shape : tuple of int
        Shape of one sample.
    num_classes : int
        Number of classes.
    width : int, default 32
        Units of the hidden layer.

    Returns
    -------
    Split
        From (B, ...) to logits (B, num_classes).

    Examples
    --------
    >>> [sum(w.numel() for w in dense((1, 8, 8), 10, width).parameters()) for width in (8, 16, 32, 64)]
    [626, 1242, 2474, 4938]
    """
    size = torch.Size(sample_shape).numel()
    body = nn.Sequential(nn.Flatten(), nn.Linear(size, width), nn.BatchNorm1d(width), nn.ReLU())
    return Split(body, nn.Linear(width, num_classes))


def dense_teacher(sample_shape: tuple[int, ...], num_classes: int, width: int = 128) -> Split:
    """Build a perceptron with two hidden layers and layer normalisation: the teacher of :func:`dense`.

    Parameters
    ----------
    sample_shape : tuple of int
        Shape of one sample.
    num_classes : int
        Number of classes.
    width : int, default 128
        Units of each hidden layer.

    Returns
    -------
    Split
        From (B, ...) to logits (B, num_classes); samples pass by themselves.

    Examples
    --------
    >>> sum(weights.numel() for weights in dense_teacher((1, 8, 8), 10).parameters())
    26634
    """
    size = torch.Size(sample_shape).numel()
    layers: list[nn.Module] = [nn.Flatten()]
    for inputs in (size, width):
        layers += [nn.Linear(inputs, width), nn.LayerNorm(width), nn.ReLU()]
    return Split(nn.Sequential(*layers), nn.Linear(width, num_classes))


def small_vgg(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build three convolutions of 8, 16 and 16 channels: 3,818 parameters on digits."""
    return _vgg("small-vgg", sample_shape, num_classes, (8, 16, 16), 2)


def small_resnet8(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build a ResNet-8 of 4, 4, 8 and 16 channels, see :func:`resnet`: 5,142 parameters on digits."""
    return resnet(sample_shape, num_classes, 8, (4, 4, 8, 16))


def small_resnet8x2(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build a ResNet-8 of 8, 8, 16 and 32 channels, see :func:`resnet`: 19,810 parameters on digits."""
    return resnet(sample_shape, num_classes, 8, (8, 8, 16, 32))


def small_resnet14x2(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build a ResNet-14 of 8, 8, 16 and 32 channels, see :func:`resnet`: 44,226 parameters on digits."""
    return resnet(sample_shape, num_classes, 14, (8, 8, 16, 32))


def small_teacher(sample_shape: tuple[int, ...], num_classes: int) -> Split:
    """Build a ResNet-8 of 16, 16, 32 and 64 channels with group normalisation: 77,754 parameters on digits."""
    return resnet(sample_shape, num_classes, 8, (16, 16, 32, 64), norm="group")


def own_statistics(model: nn.Module) -> bool:
    """Whether a network looks at other samples of the batch, by batch normalisation."""
    return any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in model.modules())


# -- students that take on the teacher's last layer ------------------------------------------------------------------


class Imitation(nn.Module):
    r"""A student whose projected features go through the teacher's last layer, which is not trained: simKD.

    Parameters
    ----------
    student, teacher : Split
        Networks; of the teacher only the last layer is taken.
    sample_shape : tuple of int
        Shape of one sample.
    projector : {"vector", "maps"}
        "vector": a linear layer, batch normalisation and ReLU on the pooled features, :math:`s t + 2 t` parameters.
        "maps": convolutions of 1 x 1, 3 x 3 and 1 x 1 on the map, each with batch normalisation and ReLU.

    Attributes
    ----------
    imitates : bool
        Whether the output is the projected features, as in training, rather than the logits.
    """

    teacher_weight: Tensor
    teacher_bias: Tensor

    def __init__(
        self, student: Split, teacher: Split, sample_shape: tuple[int, ...], projector: str = "vector"
    ) -> None:
        super().__init__()
        self.body, self.imitates, self.maps = student.body, False, projector == "maps"
        own, theirs = (features_shape(network, sample_shape) for network in (student, teacher))
        last = teacher.classifier
        kind = next(student.parameters()).dtype
        self.register_buffer("teacher_weight", last.weight.detach().clone().to(kind))
        bias = last.weight.new_zeros(last.out_features) if last.bias is None else last.bias.detach().clone()
        self.register_buffer("teacher_bias", bias.to(kind))
        if self.maps:
            if len(own) != 3 or len(theirs) != 3:
                raise OptionError(
                    f"projector maps: expected networks whose features are maps, got features of shapes {own} and "
                    f"{theirs}: choose vector"
                )
            self.size = tuple(min(pair) for pair in zip(own[1:], theirs[1:], strict=True))
            half = max(theirs[0] // 2, 1)
            layers: list[nn.Module] = []
            for inputs, outputs, width in ((own[0], half, 1), (half, half, 3), (half, theirs[0], 1)):
                layers += [nn.Conv2d(inputs, outputs, width, padding=width // 2, bias=False)]
                layers += [nn.BatchNorm2d(outputs), nn.ReLU()]
            self.projector = nn.Sequential(*layers)
        else:
            self.size = ()
            self.projector = nn.Sequential(
                nn.Linear(own[0], theirs[0], bias=False), nn.BatchNorm1d(theirs[0]), nn.ReLU()
            )
        self.projector.to(kind)

    def project(self, x: Tensor) -> Tensor:
        """Return the projected features, which are to be the teacher's."""
        found: Tensor = self.body(x)
        found = shrunk(found, self.size) if self.maps else pooled(found)
        projected: Tensor = self.projector(found)
        return projected

    def forward(self, x: Tensor) -> Tensor:
        """Return the projected features while the student imitates, and the teacher's logits of them otherwise."""
        projected = self.project(x)
        if self.imitates:
            return projected
        return nn.functional.linear(pooled(projected), self.teacher_weight, self.teacher_bias)


def features_shape(network: Split, sample_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of a network's features of one sample."""
    training = network.training
    try:
        with torch.no_grad():
            two = next(network.parameters()).new_zeros(2, *sample_shape)
            return tuple(network.eval().features(two).shape[1:])
    finally:
        network.train(training)


def shrunk(features: Tensor, size: Sequence[int]) -> Tensor:
    """Average a map down to a size, where it is larger."""
    if tuple(features.shape[2:]) == tuple(size):
        return features
    height, width = size
    return nn.functional.adaptive_avg_pool2d(features, (height, width))
