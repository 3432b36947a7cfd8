"""What generated samples are worth: how useful they are, how much they copy, how far they are from real ones."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from learning.data.dataset import Dataset
from learning.generators.base import Floats, Generator, Labels, check_rng
from learning.options import whole
from radioopt.base.errors import OptionError, ProblemError, require
from radioopt.base.pictures import Look, canvas, inches_of

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: quantile of the distances of real samples, below which a generated one counts as a copy
QUANTILE = 0.01
#: principal components in which the Fréchet distance is taken
FEATURES = 32
#: units of the classifier that judges samples, its steps and their samples; as many steps for few samples as for many
HIDDEN, STEPS, BATCH = 128, 2000, 200
#: pairs of a class in a picture, and most classes in it
PAIRS, MOST_CLASSES = 6, 10


@dataclass(frozen=True, eq=False)
class Quality:
    """Generated samples, and figures of them beside those of the public samples.

    Parameters
    ----------
    samples : ndarray of float32, shape (n, *sample_shape)
        Generated.
    labels : ndarray of int64, shape (n,)
        Their classes.
    public : Dataset
        What the generator was fitted on.
    data : Dataset
        Its test samples are compared with.
    nearest : ndarray of int64, shape (n,)
        Row of the public sample nearest to each.
    distances : ndarray of float64, shape (n,)
        Euclidean distance to it.
    real_distances : ndarray of float64, shape (m,)
        The same of real test samples.
    seed : int
        Initial weights of the classifiers.
    """

    samples: Floats
    labels: Labels
    public: Dataset
    data: Dataset
    nearest: NDArray[np.int64]
    distances: NDArray[np.float64]
    real_distances: NDArray[np.float64]
    seed: int

    @cached_property
    def accuracy(self) -> float:
        """Accuracy on real test samples of a classifier that was trained on the generated samples alone."""
        return usefulness(self.samples, self.labels, self.data, self.seed)

    @cached_property
    def public_accuracy(self) -> float:
        """The same of one that was trained on the public samples alone."""
        return usefulness(self.public.train_x, self.public.train_y, self.data, self.seed)

    @cached_property
    def frechet(self) -> float:
        """Fréchet distance of the generated samples to the test samples."""
        return frechet(self.samples, self.data.test_x)

    @cached_property
    def public_frechet(self) -> float:
        """Fréchet distance of the public samples to the test samples."""
        return frechet(self.public.train_x, self.data.test_x)

    @property
    def threshold(self) -> float:
        """Distance that 1 % of the real test samples are nearer than."""
        return float(np.quantile(self.real_distances, QUANTILE))

    @property
    def memorised(self) -> float:
        """Share of the generated samples that are nearer to a public one than that: 0.01 would be chance."""
        return float(np.mean(self.distances < self.threshold))

    def figures(self) -> dict[str, float]:
        """Return all figures by name."""
        return {
            "accuracy": self.accuracy,
            "public_accuracy": self.public_accuracy,
            "memorised": self.memorised,
            "median_distance": float(np.median(self.distances)),
            "real_median_distance": float(np.median(self.real_distances)),
            "frechet": self.frechet,
            "public_frechet": self.public_frechet,
        }

    def to_frame(self) -> pd.DataFrame:
        """Return a row per sample: label, nearest public sample, distance to it, whether it counts as a copy."""
        import pandas as pd

        return pd.DataFrame(
            {
                "label": self.labels,
                "nearest": self.nearest,
                "distance": self.distances,
                "copied": self.distances < self.threshold,
            }
        )

    def plot(self, *, width: float | str = "page", title: bool | str = False) -> Figure:
        """Draw samples of each class, and beside each, framed, the public sample that is nearest to it.

        Parameters
        ----------
        width : float or {"column", "page"}, default "page"
            Of the figure: inches, or 3.5 or 7.16 of them. A column has half as many samples.
        title : bool or str, default False
            True says how many are copies; a text is one of your own.

        Returns
        -------
        matplotlib.figure.Figure
            Not shown; call ``figure.savefig(path)``. Samples that are no images are drawn as lines.

        Raises
        ------
        OptionError
            If the width or the title is none.
        MissingExtraError
            If matplotlib is not installed.
        """
        classes = np.unique(self.labels)[:MOST_CLASSES]
        inches = inches_of(width, PAIRS)
        pairs = PAIRS if inches > 5 else PAIRS // 2
        told = f"made from {self.public.name}; framed: the nearest public sample ({self.memorised:.1%} are copies)"
        look: Look = {"width": inches, "title": title}
        cell = inches / (2 * pairs + 0.6)
        options: Any = {"least": 0.01, "height": cell, "columns": 2 * pairs, "layout": None}
        with canvas(len(classes) * 2 * pairs, look, title=told, **options) as (figure, axes):
            top = 1 - (0.25 if title else 0.02) / figure.get_figheight()
            figure.subplots_adjust(left=0.06, right=0.99, bottom=0.01, top=top, wspace=0.1, hspace=0.15)
            grid = np.reshape(np.array(axes, dtype=object), (len(classes), 2 * pairs))
            for row, label in enumerate(classes):
                rows = np.flatnonzero(self.labels == label)[:pairs]
                for place in range(pairs):
                    made, near = grid[row, 2 * place], grid[row, 2 * place + 1]
                    for panel in (made, near):
                        panel.set(xticks=[], yticks=[])
                        panel.spines[:].set_visible(False)
                    if place < rows.size:
                        _draw(made, self.samples[rows[place]])
                        _draw(near, self.public.train_x[self.nearest[rows[place]]])
                        near.spines[:].set(visible=True, color="black", linewidth=1.2)
                grid[row, 0].set_ylabel(str(label), rotation=0, ha="right", va="center")
        return figure

    def __str__(self) -> str:
        return (
            f"a classifier trained on {len(self.samples)} generated samples alone reaches {self.accuracy:.3f} on real "
            f"test samples, on the {len(self.public.train_y)} public ones {self.public_accuracy:.3f}\n"
            f"{self.memorised:.1%} of the generated samples are nearer to a public one than {QUANTILE:.0%} of the real "
            f"test samples are (median distance {np.median(self.distances):.3g}, of real ones "
            f"{np.median(self.real_distances):.3g})\n"
            f"Fréchet distance to the test samples {self.frechet:.3g}, of the public ones {self.public_frechet:.3g}"
        )


def measure(
    generator: Generator, public: Dataset, data: Dataset, rng: np.random.Generator, samples: int = 1000
) -> Quality:
    """Let a fitted generator make samples, as many of each class, and measure them.

    Parameters
    ----------
    generator : Generator
        Fitted on `public`.
    public : Dataset
        As of ``data.set_aside(600, rng)``.
    data : Dataset
        Its test samples are compared with; its training samples are not looked at.
    rng : numpy.random.Generator
        Samples, and initial weights of the classifier.
    samples : int, default 1000
        How many are made, at least as many as classes.

    Returns
    -------
    Quality
        Samples, and figures that are computed when they are first asked for.

    Raises
    ------
    ProblemError
        If the generator makes something else than samples like the public ones.
    MissingExtraError
        If scikit-learn is not installed.

    Examples
    --------
    >>> from learning.data.dataset import digits
    >>> from learning.generators import ReadyMade
    >>> rng = np.random.default_rng(0)
    >>> data = digits(rng)
    >>> public = data.set_aside(600, rng)
    >>> quality = measure(ReadyMade().fit(public, rng), public, data, rng)
    >>> quality.memorised, quality.accuracy > 0.9
    (1.0, True)
    """
    present = np.unique(public.train_y)
    if whole("samples", samples) < present.size:
        raise OptionError(f"samples: expected at least one per class, {present.size}, got {samples}")
    labels = np.resize(present, samples)
    seed = int(check_rng(rng).integers(2**31))
    made = checked(generator.sample(labels, rng), labels, public)
    near, distances = nearest(made, public.train_x)
    _, real = nearest(data.test_x, public.train_x)
    return Quality(made, labels, public, data, near, distances, real, seed)


def checked(made: Any, labels: Labels, public: Dataset) -> Floats:
    """Return what a generator made as samples, or say what it should have made."""
    samples = np.asarray(made, np.float32)
    wanted = (len(labels), *public.sample_shape)
    if samples.shape != wanted:
        raise ProblemError(
            f"generator: expected samples of shape {wanted}, its sample() returned {samples.shape}"
        )
    if not np.isfinite(samples).all():
        first = int(np.argmin(np.isfinite(samples.reshape(len(samples), -1)).all(1)))
        raise ProblemError(f"generator: sample {first} of its sample() has numbers that are not finite")
    return samples


def nearest(samples: Floats, public: Floats) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the row of the public sample nearest to each sample, and the Euclidean distance to it."""
    neighbours: Any = require("sklearn.neighbors", "learning").NearestNeighbors(
        n_neighbors=1, algorithm="brute"
    )
    neighbours.fit(public.reshape(len(public), -1))
    distances, rows = neighbours.kneighbors(samples.reshape(len(samples), -1))
    return rows[:, 0].astype(np.int64), distances[:, 0].astype(np.float64)


def usefulness(x: Floats, y: Labels, data: Dataset, seed: int) -> float:
    """Return the test accuracy of a perceptron of 128 hidden units that 2000 steps of Adam train on samples x, y."""
    import warnings

    perceptron: Any = require("sklearn.neural_network", "learning").MLPClassifier
    batch = min(BATCH, len(x))
    passes = -(-STEPS // -(-len(x) // batch))
    made = perceptron((HIDDEN,), batch_size=batch, max_iter=passes, tol=0.0, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it stops after these steps, converged or not
        made.fit(x.reshape(len(x), -1), y)
    return float(made.score(data.test_x.reshape(len(data.test_x), -1), data.test_y))


def frechet(samples: Floats, real: Floats, features: int = FEATURES) -> float:
    """Return the Fréchet distance between samples and real ones, as if both were normal.

    In principal components of the real ones it is |m - m'|^2 + tr(C + C' - 2 (C C')^(1/2)) of means and covariances.

    Parameters
    ----------
    samples, real : ndarray, shapes (n, ...) and (m, ...)
        More than one of each.
    features : int, default 32
        Components >= 1; as many at most as features and real samples.

    Returns
    -------
    float
        At least 0.

    References
    ----------
    D. Dowson, B. Landau, "The Fréchet Distance between Multivariate Normal Distributions", equation 4.

    Examples
    --------
    >>> x = np.random.default_rng(0).normal(size=(500, 3)).astype(np.float32)
    >>> frechet(x, x), frechet(x + np.float32(2.0), x)
    (0.0, 12.0)
    """
    flat, others = (given.reshape(len(given), -1).astype(np.float64) for given in (samples, real))
    pca: Any = require("sklearn.decomposition", "learning").PCA(
        min(features, *others.shape), svd_solver="full"
    )
    others = pca.fit_transform(others)
    flat = pca.transform(flat)
    shift = np.sum((flat.mean(0) - others.mean(0)) ** 2)
    one, two = (np.atleast_2d(np.cov(given.T)) for given in (flat, others))
    root = _root(two)
    both = np.sqrt(np.clip(np.linalg.eigvalsh(root @ one @ root), 0.0, None)).sum()
    return round(float(max(shift + np.trace(one) + np.trace(two) - 2.0 * both, 0.0)), 9)


def _root(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the symmetric root of a covariance."""
    values, vectors = np.linalg.eigh(matrix)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.clip(values, 0.0, None))) @ vectors.T
    return root


def _draw(axes: Axes, sample: Floats) -> None:
    if sample.ndim == 3 and sample.shape[0] in (1, 3):
        axes.imshow(np.moveaxis(sample, 0, -1).squeeze(), cmap="gray_r")
    else:
        axes.plot(sample.ravel(), color="black", linewidth=0.8)
