"""Coordinate ascent on F over graphs of clusters, by what one link more or less changes.

A link changes what its transmitter, that one's receivers and the receiver itself have; agreement then changes by the
pairs that these are part of. So a trial takes time in proportion to the number of devices, where an evaluation goes
over all pairs. All trials of a device are made at once.
"""

from __future__ import annotations

import numpy as np

from radioopt.base.quantity import Array
from radioopt.d2d.clusters.certificate import (
    Rewards,
    gains,
    loads,
    pairs_of,
    settle,
    transfers,
    worth,
)
from radioopt.d2d.clusters.moments import Clusters, Divergences
from radioopt.d2d.clusters.problem import ClusterGraphProblem
from radioopt.d2d.links import repair

#: what counts as better, relative to the scale of the problem
BETTER = 1e-10


class Ascent:
    """A graph of a single instance that is changed a link at a time."""

    @np.errstate(all="ignore")
    def __init__(self, problem: ClusterGraphProblem) -> None:
        self.problem, self.pairs = problem, pairs_of(problem)
        self.begun = Clusters(problem.counts, problem.centroids, problem.covariances)
        count = len(problem.counts)
        some = np.asarray(self.begun.live.any(-1))
        #: pairs of devices that agreement counts
        self.counted = some[:, None] & some & ~np.eye(count, dtype=np.bool_)
        self.nothing = np.full(count, -1)
        self.start(self.nothing)

    def start(self, source: Array) -> None:
        """Go to a graph, from that without links."""
        problem, count = self.problem, len(self.nothing)
        self.source = self.nothing.copy()
        self.received, self.given = np.zeros_like(problem.counts), np.zeros_like(problem.counts)
        self.gain = np.zeros(count)
        self.divergences = Divergences(self.begun, self.pairs.added, problem.matching)
        self.matrix = np.zeros((count, count))
        a, b = np.nonzero(self.counted)
        self.matrix[a, b] = self.divergences.between(a, b)
        self.value = float(self._try(self.source[None])[0].objective[0])
        if (source >= 0).any():
            self.go(source)

    def go(self, source: Array) -> None:
        """Change the graph to another."""
        found, (_, device, rows, first, second, pairs, new) = self._try(source[None])
        self.value, self.source = float(found.objective[0]), source.copy()
        self.gain = found.gain[0]
        self.received, self.given = (moved[0] for moved in transfers(self.problem, source[None])[2:])
        self.matrix[first, second] = pairs
        for name in ("live", "mean", "spread", "inverse", "log_volume"):
            kept = getattr(self.divergences, name)
            kept = kept.copy()
            kept[device] = getattr(new, name)[rows]
            setattr(self.divergences, name, kept)

    @np.errstate(all="ignore")
    def _try(
        self, sources: Array
    ) -> tuple[Rewards, tuple[Array, Array, Array, Array, Array, Array, Divergences]]:
        """Evaluate graphs (S, N) near this one; also which devices change in which, and the pairs that do."""
        problem, count = self.problem, len(self.nothing)
        requested, _, received, given = transfers(problem, sources)
        changed = (received != self.received).any(-1) | (given != self.given).any(-1)
        changed |= sources != self.source
        graph, device = np.nonzero(changed)
        after = settle(problem, device, sources[graph, device], received[graph, device], given[graph, device])
        gain = np.tile(self.gain, (len(sources), 1))
        gain[graph, device] = gains(self.pairs, device, sources[graph, device], after)
        new = self.divergences.followed_by(Divergences(after, self.pairs.added, problem.matching))
        row = np.tile(np.arange(count), (len(sources), 1))
        row[graph, device] = count + np.arange(len(graph))
        # pairs whose first changes, then those whose second does and the first does not
        outward = self.counted[device]
        inward = self.counted[:, device].T & ~changed[graph]
        (r, n), (q, m) = np.nonzero(outward), np.nonzero(inward)
        first, second = np.append(device[r], m), np.append(n, device[q])
        in_graph = np.append(graph[r], graph[q])
        pairs = new.between(row[in_graph, first], row[in_graph, second])
        total = self.matrix.sum() + np.bincount(
            in_graph, pairs - self.matrix[first, second], minlength=len(sources)
        )
        found = worth(problem, sources, gain, total, *loads(problem, sources, requested, received))
        return found, (graph, device, count + np.arange(len(graph)), first, second, pairs, new)

    def values(self, i: int, transmitters: Array) -> Array:
        """Objectives if device i received from each of these instead, -1 for nobody."""
        sources = np.tile(self.source, (len(transmitters), 1))
        sources[:, i] = transmitters
        found: Array = self._try(sources)[0].objective
        return found


def climb(
    problem: ClusterGraphProblem, links: list[Array], starts: int, max_passes: int, rng: np.random.Generator
) -> tuple[Array, int, bool]:
    """Climb from several graphs; return the best one, passes, and whether all climbs ended by themselves.

    Parameters
    ----------
    problem : ClusterGraphProblem
        A single instance.
    links : list of ndarray
        Transmitters that each device tries.
    starts : int
        The first has no links, the others are random.
    max_passes : int
        From each start.
    rng : numpy.random.Generator
        Source of randomness.
    """
    state, count = Ascent(problem), len(links)
    better = BETTER * float(problem.scale)
    best, value, passes, finished = state.nothing, -np.inf, 0, True
    for start in range(starts):
        drawn = [int(rng.integers(-1, len(some))) for some in links]
        if start:
            given = np.array([some[at] if at >= 0 else -1 for some, at in zip(links, drawn, strict=True)])
            state.start(repair(problem, source=given)["source"])
        elif start == 0 and (state.source >= 0).any():
            state.start(state.nothing)
        for _ in range(max_passes):
            moved, passes = False, passes + 1
            for i in rng.permutation(count):
                others = np.append(links[i], -1)
                others = others[others != state.source[i]]
                if not len(others):
                    continue
                found = state.values(i, others)
                if found.max() > state.value + better:
                    source = state.source.copy()
                    source[i] = others[found.argmax()]
                    state.go(source)
                    moved = True
            if not moved:
                break
        else:
            finished = False
        if state.value > value:
            best, value = state.source.copy(), state.value
    return best, passes, finished
