"""Picture of a graph over clusters: what the devices cover before and after, and who shares with whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

import numpy as np

from radioopt.base.errors import require
from radioopt.base.pictures import LINES, Look, canvas, drawn_name, shades, single
from radioopt.base.quantity import Array

if TYPE_CHECKING:
    import networkx
    from matplotlib.figure import Figure

    from radioopt.d2d.clusters.solution import ClusterGraphSolution

#: points of the outline of an ellipse
OUTLINE = np.linspace(0.0, 2.0 * np.pi, 60)


def graph_of(solution: ClusterGraphSolution) -> networkx.DiGraph:
    """Turn a single solution into a graph; see :meth:`ClusterGraphSolution.graph`."""
    single(solution, "graph")
    networkx = require("networkx", "plot")
    graph, problem = networkx.DiGraph(), solution.problem
    for i in range(solution.sizes["device"]):
        graph.add_node(i, cluster=int(problem.clusters[i]), gain=float(solution.gain[i]))
    for i, j in enumerate(solution.source.tolist()):
        if j >= 0:
            graph.add_edge(
                j,
                i,
                points=float(solution.transferred[i].sum()),
                outage=float(solution.link_outage[i]),
                trust=float(problem.trust[j, i].mean()),
            )
    return graph


def plot_clusters(solution: ClusterGraphSolution, **look: Unpack[Look]) -> Figure:
    """Draw the clusters of all devices before and after the exchange, and the graph.

    Parameters
    ----------
    solution : ClusterGraphSolution
        A single instance.
    **look
        As of :class:`radioopt.base.pictures.Look`; three panels.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``. A tone with dashes per device; an ellipse is one standard deviation
        of a cluster in the first two dimensions, or in the one there is, and a device's largest has its name; wider
        links carry more points.

    Raises
    ------
    ProblemError
        If the solution is a batch.
    OptionError
        If the look has another name or value than it can have.
    MissingExtraError
        If matplotlib or networkx is not installed.
    """
    graph, problem = graph_of(solution), solution.problem
    networkx = require("networkx", "plot")
    states = ((problem.counts, problem.centroids, problem.covariances), solution.clusters_after())
    title = (
        f"{solution.method}: objective {float(solution.objective):.4g}, {graph.number_of_edges()} links, mean gain "
        f"{float(solution.gain.mean()):.3g}, system agreement {float(solution.system_agreement):.3g}"
    )
    with canvas(3, look, title=title, height=2.5, least=2.2) as (figure, (before, after, links)):
        tones, names = shades(5), {i: drawn_name(solution.label("device", i)) for i in graph}
        colours = [tones[i % 5] for i in graph]
        for axes, when, (counts, centroids, covariances) in zip(
            (before, after), ("before", "after"), states, strict=True
        ):
            for i, k in np.argwhere(counts > 0):
                x, y = _outline(centroids[i, k], covariances[i, k])
                wide = 0.4 + 1.2 * float(counts[i, k] / counts.max())
                axes.plot(x, y, color=colours[i], linestyle=LINES[i // 5 % 4], linewidth=wide)
            for i in np.flatnonzero(counts.any(-1)):
                centre = centroids[i, np.argmax(counts[i])]
                place = centre[0], centre[1] if len(centre) > 1 else 0.0
                axes.annotate(names[i], place, ha="center", va="center", fontsize=5)
            axes.set(title=f"clusters {when}", xlabel="first dimension", ylabel="second dimension")
        after.sharex(before)
        after.sharey(before)
        place_m = problem.position_m
        if place_m.shape[-1] != 2 or not np.isfinite(place_m).all():
            angle = 2.0 * np.pi * np.arange(len(colours)) / len(colours)
            place_m = np.stack([np.cos(angle), np.sin(angle)], -1)
        most = max((edge["points"] for *_, edge in graph.edges(data=True)), default=1.0) or 1.0
        networkx.draw_networkx(
            graph, dict(enumerate(place_m)), ax=links, node_color="white", edgecolors=colours, node_size=70,
            font_size=5, arrowsize=6, labels=names,
            width=[0.4 + 1.4 * edge["points"] / most for *_, edge in graph.edges(data=True)],
        )  # fmt: skip
        links.set(title="who sends to whom", aspect="equal")
        links.set_axis_off()
    return figure


def _outline(centre: Array, covariance: Array) -> tuple[Array, Array]:
    """Ellipse of one standard deviation in the first two dimensions."""
    values, vectors = np.linalg.eigh(covariance[:2, :2])
    around = vectors @ (np.sqrt(np.maximum(values, 0.0))[:, None] * _circle(len(values)))
    x = centre[0] + around[0]
    return x, centre[1] + around[1] if len(centre) > 1 else np.zeros_like(x)


def _circle(dimensions: int) -> Array:
    return np.stack([np.cos(OUTLINE), np.sin(OUTLINE)])[:dimensions]
