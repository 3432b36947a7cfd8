"""What D2D's paper prints: S. Wagle et al., graph discovery in D2D-enabled federated learning.

The text at hand has lost its formulas and numbers, so that claims are mostly known by their direction.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from validation.reproduce.verdicts import Entry, Results, Verdict, drawings, of_word, rows_of

PRINTED = (
    *(f"Fig. {number}" for number in range(1, 19)),
    "Table I",
    "Table II",
    "Table III",
    "Remark 2",
    "Section VI",
)
NOTE = (
    "The text of the paper at hand has lost its formulas and most numbers. The page on D2D says"
    " [what is reconstructed, and on what grounds](d2d.md#reconstructed). So directions of gains can be compared,"
    " and sizes cannot."
    " Training is of small networks on digits, Fashion-MNIST and diabetes. Ours are means of differences that are"
    " paired by seed, with 95 % intervals; a claim against several graphs reproduces if it does against each of them."
)
LOST = "a direction"
WHY = {
    "open": "The 95 % interval holds zero: more seeds have to tell.",
    "contradicted": "The 95 % interval lies on the other side.",
    "direction": "The direction is the paper's, the size is not.",
    "not reached": "A target is not reached.",
}
DATA = "`radioopt reproduce d2d --only training`"

#: what each figure shows, and what is claimed of it
CURVES = {
    5: "(a) supervised, (b) semi-supervised, (c) unsupervised, (d) regression: more accurate after the exchange",
    6: "(a) FedProx and FedSGD, (b, c) decentralised: above the baselines; (d) fewer points lost; (e) least energy",
    7: "(a) stragglers and (b) longer intervals harm less; (c) energy linear in devices; (d) gains grow with skew",
    8: "(a) labels propagated, (b) dimensions, (c) clusters, (d) edges: diminishing returns",
    9: "finer states of a changing channel are better",
    10: "embeddings of classes are apart after the exchange",
    12: "the comparison of Fig. 5 on other data",
    13: "Jensen-Shannon distance in place of Wasserstein's: the same advantage",
    14: "(a) worse labels, worse accuracy; (b) labels by a small network in place of propagation",
    15: "gains grow with label skew, CIFAR-10",
    16: "trust: random, block, row sparse and column sparse",
    17: "structured trust is worse than random trust; column sparse is the best of them",
    18: "energy linear in the number of devices, SVHN",
}


def entries(results: Results) -> list[Entry]:
    """Judge the paper's figures, tables and claims.

    Parameters
    ----------
    results : mapping
        Results by name. A study of training has rows with "where", "what", "printed", "found", "outcome" and "why".

    Returns
    -------
    list of Entry
        In the order of the paper.
    """
    named = {"Fig. 1": "the system", "Fig. 2": "steps of the discovery", "Fig. 3": "messages of clusters"}
    found = [*drawings(named), example()]
    found += [
        Entry("Table I", "symbols", "a list of symbols", "", Verdict.UNPRINTED, "It holds no values."),
        Entry(
            "Table II",
            "what each paradigm uses: parts, messages, measure of diversity",
            "names of methods",
            "`GraphProblem` by labels, `ClusterGraphProblem` by clusters, `propagate-labels`",
            Verdict.REPRODUCED,
        ),
    ]
    found += [*graphs(results), *agreement(), *complexity()]
    trained = [
        row for name in results if name.startswith("training") for row in _claims(name, results[name]["rows"])
    ]
    for row in trained:
        verdict, outcome = of_word(row["outcome"]), row["outcome"]
        why = row.get("why") or ("" if verdict is Verdict.REPRODUCED else WHY.get(outcome, f"{outcome}."))
        found.append(Entry(row["where"], row["what"], row.get("printed") or LOST, row["found"], verdict, why))
    told = {row["where"] for row in trained}
    for number, what in CURVES.items():
        if f"Fig. {number}" not in told:
            found.append(Entry(f"Fig. {number}", what, "curves", "", Verdict.NEEDS, DATA))
    order = {name: place for place, name in enumerate(PRINTED)}
    return sorted(found, key=lambda entry: order[entry.where])


def _claims(name: str, rows: Any) -> Iterator[dict[str, Any]]:
    """Return the claims of a study of training, with its data; Fig. 12 is Fig. 5 on others than the first."""
    data = name.removeprefix("training-")
    for row in rows:
        where = "Fig. 12" if row["where"] == "Fig. 5" and data.startswith("fashion-mnist") else row["where"]
        yield {**row, "where": where, "found": f"{data}: {row['found']}"}


def example() -> Entry:
    """Say what of the example of messages can be computed."""
    return Entry(
        "Fig. 11",
        "an example of messages and of data after the exchange",
        "counts",
        "",
        Verdict.UNPRINTED,
        "Its counts and trust are lost in the text; the rules are those of `GraphProblem`.",
    )


def graphs(results: Results) -> list[Entry]:
    """Judge Fig. 4 and the claim of near-optimal graphs by the gaps to the best known."""
    rows = [row for row in rows_of(results, "gaps") if row["score"] == "change"]
    if not rows:
        return [
            Entry(
                where,
                "Q-learning against the baselines",
                "claimed",
                "",
                Verdict.NEEDS,
                "`radioopt reproduce d2d`",
            )
            for where in ("Fig. 4", "Section VI")
        ]
    found = []
    for devices in sorted({row["N"] for row in rows}):
        gap = {row["method"]: 100 * row["mean gap"] for row in rows if row["N"] == devices}
        rivals = {name: gap[name] for name in ("closest", "most-trusted", "uniform")}
        better = gap["q-learning"] < min(rivals.values())
        found.append(
            Entry(
                "Fig. 4",
                f"{devices} devices: discovered graphs are better than the heuristic ones",
                "claimed",
                f"{gap['q-learning']:.0f} % below the best known; "
                + ", ".join(f"{k} {v:.0f} %" for k, v in rivals.items()),
                Verdict.REPRODUCED if better else Verdict.DIFFERS,
                "" if better else "A baseline is better.",
            )
        )
        near = gap["q-learning"] < 5
        found.append(
            Entry(
                "Remark 2",
                f"{devices} devices: discovered graphs are near-optimal",
                "claimed",
                f"{gap['q-learning']:.0f} % below the best known; local search {gap['local-search']:.1f} %",
                Verdict.REPRODUCED if near else Verdict.DIFFERS,
                ""
                if near
                else "Independent agents stay behind local search on the same objective, the more the more devices.",
            )
        )
    found.append(
        Entry(
            "Section VI",
            "steps, buffer, weights, thresholds, devices of each experiment",
            "lost in the text",
            "defaults that are stated",
            Verdict.UNPRINTED,
            "The numbers are not in the text at hand.",
        )
    )
    return found


def agreement() -> list[Entry]:
    """List Table III, system agreement by Dirichlet's parameter before and after."""
    ratios = (0.01, 0.1, 1.0, 10.0)
    values = (
        (-0.0369, 0.100, 1.906, 4.515),
        (-0.3019, -0.1008, 1.016, 3.984),
        (-0.9432, -0.8208, 0.2300, 3.452),
        (-0.9999, -0.9999, -0.9736, 0.385),
    )
    return [
        Entry(
            "Table III",
            f"system agreement, Dirichlet({before:g}) before and ({after:g}) after",
            f"{value:g}",
            "",
            Verdict.UNPRINTED,
            "Data, dimensions and numbers of points and clusters are not printed.",
        )
        for before, row in zip(ratios, values, strict=True)
        for after, value in zip(ratios, row, strict=True)
    ]


def complexity() -> list[Entry]:
    """Judge the growth of the costs of discovery."""
    return [
        Entry(
            "Remark 2",
            "several edges one after the other cost linearly many discoveries",
            "claimed",
            "`radioopt.d2d.discover(problem, edges=M)` solves M graphs",
            Verdict.REPRODUCED,
        ),
        Entry(
            "Section VI",
            "labels exchanged as counts are next to nothing beside a network",
            "claimed",
            "`label_message_bits` of a trial are a few hundred bits",
            Verdict.REPRODUCED,
        ),
    ]
