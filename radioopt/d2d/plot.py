"""Pictures of a D2D graph: devices in the plane, links by trust and outage, diversity before and after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from radioopt.base.errors import ProblemError, require
from radioopt.base.pictures import Look, canvas, drawn_name, single
from radioopt.base.quantity import Array

if TYPE_CHECKING:
    import networkx
    from matplotlib.figure import Figure

    from radioopt.d2d.solution import GraphSolution

#: more devices are drawn without their numbers
MOST_LABELS = 40


def graph_of(solution: GraphSolution) -> networkx.DiGraph:
    """Turn a single solution into a graph; see :meth:`GraphSolution.graph`."""
    single(solution, "graph")
    networkx = require("networkx", "plot")
    graph, problem = networkx.DiGraph(), solution.problem
    trusted = problem.links_of(solution.source)[1].mean(-1)
    for i in range(solution.sizes["device"]):
        graph.add_node(
            i,
            cluster=int(problem.clusters[i]),
            distance_before=float(solution.distance_before[i]),
            distance_after=float(solution.distance_after[i]),
        )
    for i, j in enumerate(solution.source.tolist()):
        if j >= 0:
            graph.add_edge(
                j,
                i,
                points=float(solution.transferred[i].sum()),
                outage=float(solution.link_outage[i]),
                trust=float(trusted[i]),
            )
    return graph


def plot_graph(solution: GraphSolution, *, position_m: Any = None, **look: Unpack[Look]) -> Figure:
    """Draw the devices before the exchange with their links by trust, and after it with the links by outage.

    Parameters
    ----------
    solution : GraphSolution
        A single instance.
    position_m : array_like, shape (N, 2), optional
        Places [m]; the problem's by default, and where it has none a circle.
    **look
        As of :class:`radioopt.base.pictures.Look`; two panels.

    Returns
    -------
    matplotlib.figure.Figure
        Not shown; call ``figure.savefig(path)``. Nodes are the darker, the further they are from the ideal
        distribution, and links, the better they are; wider links carry more points, those that move nothing are dashed.

    Raises
    ------
    ProblemError
        If the solution is a batch.
    OptionError
        If the look has another name or value than it can have.
    MissingExtraError
        If matplotlib or networkx is not installed.
    """
    graph, count = graph_of(solution), solution.sizes["device"]
    networkx = require("networkx", "plot")
    places, unit = _places(solution, position_m)
    worst = max(float(solution.distance_before.max()), float(solution.distance_after.max()), 1e-9)
    most = max((edge["points"] for *_, edge in graph.edges(data=True)), default=0.0)
    title = (
        f"{solution.method}: objective {float(solution.objective):.4g}, {int((solution.source >= 0).sum())} links, "
        f"{float(solution.transferred.sum()):.4g} points sent"
    )
    with canvas(2, look, title=title, least=3.0, height=3.6) as (figure, panels):
        names = (
            {node: drawn_name(solution.label("device", node)) for node in graph}
            if count <= MOST_LABELS
            else {}
        )
        size = float(np.clip(1800 / count, 8, 110))
        for axes, when, colouring, far, colours in zip(
            panels,
            ("before", "after"),
            ("trust", "outage"),
            (solution.distance_before, solution.distance_after),
            ("cividis_r", "cividis"),
            strict=True,
        ):
            nodes = networkx.draw_networkx_nodes(
                graph, places, ax=axes, node_size=size, node_color=far, cmap=_light("Greys"), vmin=0.0, vmax=worst,
                edgecolors="black", linewidths=0.4,
            )  # fmt: skip
            for moves, style in ((True, "solid"), (False, "dashed")):
                chosen = [(j, i, e) for j, i, e in graph.edges(data=True) if (e["points"] > 0) == moves]
                if chosen:
                    networkx.draw_networkx_edges(
                        graph, places, ax=axes, edgelist=[(j, i) for j, i, _ in chosen], node_size=size,
                        edge_color=[e[colouring] for *_, e in chosen], edge_cmap=_light(colours), edge_vmin=0.0,
                        edge_vmax=1.0, style=style, arrowsize=6, connectionstyle="arc3,rad=0.08",
                        width=[0.6 + 1.6 * e["points"] / most if moves else 0.6 for *_, e in chosen],
                    )  # fmt: skip
            networkx.draw_networkx_labels(graph, places, names, ax=axes, font_size=5)
            bars: Any = {"ax": axes, "orientation": "horizontal", "aspect": 30, "pad": 0.02}
            figure.colorbar(nodes, label="distance from the ideal distribution", **bars)
            if graph.number_of_edges():
                mappable = require("matplotlib.cm", "plot").ScalarMappable(cmap=_light(colours))
                mappable.set_clim(0.0, 1.0)
                words = {
                    "trust": "links: share of classes trusted with",
                    "outage": "links: outage probability",
                }
                figure.colorbar(mappable, label=words[colouring], **bars)
            axes.set_title(f"{when}: mean distance {float(far.mean()):.3g}")
            axes.set_aspect("equal")
            axes.margins(0.08)
            axes.tick_params(left=bool(unit), bottom=bool(unit), labelleft=bool(unit), labelbottom=bool(unit))
            axes.set(xlabel=unit and f"x [{unit}]", ylabel=unit and f"y [{unit}]")
    return figure


def _places(solution: GraphSolution, position_m: Any) -> tuple[dict[int, Array], str]:
    """Places of the devices and their unit; on a circle, without a unit, where they are not known."""
    count = solution.sizes["device"]
    given = np.asarray(solution.problem.position_m if position_m is None else position_m, np.float64)
    if position_m is not None and (given.shape != (count, 2) or not np.isfinite(given).all()):
        raise ProblemError(
            f"plot: position_m: expected {count} finite places (N, 2), got shape {given.shape}"
        )
    if given.shape == (count, 2) and np.isfinite(given).all():
        return dict(enumerate(given)), "m"
    angle = 2.0 * np.pi * np.arange(count) / count
    return dict(enumerate(np.stack([np.cos(angle), np.sin(angle)], -1))), ""


def _light(name: str) -> Any:
    """Return a scale of colours without its ends: the darkest would hide names, the lightest links."""
    colormaps = require("matplotlib", "plot").colormaps
    low, high = (0.0, 0.6) if name == "Greys" else (0.0, 0.85) if name == "cividis" else (0.15, 1.0)
    return require("matplotlib.colors", "plot").ListedColormap(colormaps[name](np.linspace(low, high, 256)))
