"""The D2D figures with training: runs that go on where they were, dynamic channels, claims on made-up numbers."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

import learning
from radioopt import OptionError, Scenario
from radioopt.base.pictures import TONES
from validation.reproduce import d2d_claims, d2d_parts, d2d_training
from validation.reproduce.d2d_parts import PARTS, REWARDS, SETTINGS, Cell, cells
from validation.reproduce.d2d_training import dynamic, run_all
from validation.reproduce.papers import d2d as papers
from validation.reproduce.verdicts import Verdict

TINY = dataclasses.replace(
    SETTINGS["digits", False], data="digits@400+100", samples=400, threshold=14.0, rounds=2, encoder_rounds=2,
    model="softmax",
)  # fmt: skip


def test_every_part_has_its_runs_on_its_data():
    every = list(cells("digits"))
    assert len({cell.name for cell in every}) == len(every)
    assert {cell.part for cell in every} == set(PARTS) - {"regression"}
    assert {cell.part for cell in cells("diabetes")} == {"regression"}
    for cell in every:
        if cell.part != "propagation":
            scenario, options = d2d_parts.scenario_of(cell, TINY), d2d_parts.options_of(cell, TINY)
            assert {"d2d", "d2d-clusters", "feel"} <= set(scenario.families)
            assert options["scheme"] in learning.SCHEMES
    late = Cell("labels", "none", "5")
    assert d2d_parts.options_of(late, TINY)["partition"] == "few-labels:5"
    assert d2d_parts.scenario_of(late, TINY).to_dict()["d2d"]["min_classes"] == 6
    assert set(REWARDS) <= {cell.method for cell in every}


def test_a_broken_campaign_goes_on_run_by_run(tmp_path):
    chosen = [
        Cell("supervised", "none"), Cell("supervised", "closest"), Cell("semi-supervised", "local-search"),
        Cell("unsupervised", "uniform"), Cell("always late", "none", "0.4"), Cell("propagation", "none", "4 0.1"),
        Cell("decentralised", "closest"),
    ]  # fmt: skip
    first = run_all(chosen[:3], TINY, 1, 1, tmp_path, progress=False)
    done = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.json")}
    assert len(done) == 3
    runs = run_all(chosen, TINY, 1, 1, tmp_path, progress=False)
    assert {path: path.stat().st_mtime_ns for path in done} == done  # nothing is done twice
    pd.testing.assert_frame_equal(runs.iloc[:3][first.columns], first)
    none, closest, semi, unlabelled = runs.iloc[:4].to_dict("records")
    assert none["sent"] == none["points_j"] == none["messages_j"] == 0 < closest["sent"]
    assert closest["distance_after"] < closest["distance_before"] == none["distance_after"]
    assert closest["messages_j"] == 0 < semi["messages_j"]
    assert closest["points_j"] > 0
    assert semi["propagated"] > 0.6
    assert np.isfinite(unlabelled["silhouette"])
    alone = learning.train(
        d2d_parts.scenario_of(chosen[0], TINY), data=TINY.data, seed=100, progress=False,
        **d2d_parts.options_of(chosen[0], TINY),
    )  # fmt: skip
    assert none["final"] == pytest.approx(alone.ledger.accuracy, abs=1e-12)
    text = d2d_claims.report(runs, dataclasses.asdict(TINY))
    for part in ("Reconstructed", "## supervised", "## propagation", "none |", "Claims"):
        assert part in text, part


def test_policies_that_look_at_the_channel_use_the_link_of_their_state():
    problem = Scenario.load("d2d", {"devices.count": 6}).draw(seed=0).problem("d2d")
    found = dynamic(problem, 3, 7)
    again = dynamic(problem, 3, 7)
    assert (found.source == again.source).all()
    assert found.method == "q-learning"
    place = np.clip(np.random.default_rng(7).standard_normal(6), -2.0, 2.0)
    weaker = place < 0
    change = found.problem.outage_probability - problem.outage_probability
    off = ~np.eye(6, dtype=bool) & (problem.outage_probability < 1 - 1e-9)
    assert (change[weaker][off[weaker]] > 0).all()
    assert (change[~weaker][off[~weaker]] < 0).all()


def made_up(**finals):
    """Three seeds of supervised runs whose accuracies in the end are given."""
    rows = []
    for method, final in finals.items():
        for seed in range(3):
            early = final - 0.1 - 0.01 * seed * (method == "q_learning")
            rows.append(
                dataclasses.asdict(Cell("supervised", method.replace("_", "-")))
                | {"seed": seed, "final": final + 0.001 * seed, "at 0.2": early}
                | {"rounds to 0.7": 10.0 - 10 * final, "points_j": 1.0, "messages_j": 0.5, "round_j": 2.0}
                | {"paper_points_j": 48.0, "paper_round_j": 2000.0, "curve": [[0, 0.1], [2, final]]}
            )  # fmt: skip
    return pd.DataFrame(rows)


def test_verdicts_follow_the_intervals():
    runs = d2d_claims.with_joules(made_up(none=0.7, closest=0.9, q_learning=0.8))
    assert runs["J to 0.7"].iloc[0] == pytest.approx(1.5 + 3.0 * 2.0)
    assert runs["J to 0.7 by the paper's sizes"].iloc[0] == pytest.approx(48.5 + 3.0 * 2000.0)
    judged = d2d_claims.judged(runs).set_index(["claim", "against"])["q-learning: verdict"]
    assert judged["Fig. 5(a): accuracy in the end", "none"] == "reproduces"
    assert judged["Fig. 5(a): accuracy in the end", "closest"] == "contradicted"
    assert judged["Fig. 6(e): J to 0.7, supervised", "none"] == "reproduces"
    text = d2d_claims.report(runs, {"data": "digits"})
    assert "| q-learning | 0.801 ± 0.002 | 0.1 [0.1, 0.1] |" in text
    colours = [line.get_color() for line in d2d_claims.draw(runs).axes[0].lines]
    assert colours == ["0.4", TONES[6], TONES[1]]  # of the method, whatever else is drawn


@pytest.mark.parametrize(
    ("times", "verdict"), [(3.0, "reproduces"), (2.0, "direction"), (0.5, "contradicted")]
)
def test_more_joules_of_more_devices_are_a_ratio_above_one(times, verdict):
    ten = made_up(local_search=0.9).assign(points_j=1.0, messages_j=0.0)
    thirty = ten.assign(
        at="30", part="devices", points_j=times * (1.0 + 0.01 * (ten["seed"] - ten["seed"].mean()))
    )
    (row,) = (one for one in d2d_claims.grown(pd.concat([ten, thirty])) if "30 devices" in one["claim"])
    assert row["verdict"] == verdict


def test_the_page_of_the_paper_counts_the_rivals_of_a_claim():
    runs = made_up(none=0.7, closest=0.9, q_learning=0.8, local_search=0.95)
    rows = d2d_claims.rows(runs)
    ((found, outcome),) = [
        (row["found"], row["outcome"]) for row in rows if row["what"] == "(a) accuracy in the end, q-learning"
    ]
    assert found == "0.1 [0.1, 0.1] over none, -0.1 [-0.1, -0.1] over closest"
    assert outcome == "reproduces 1 of 2, contradicted 1 of 2"
    entries = papers.entries({"training-digits": {"rows": rows}, "training-fashion-mnist": {"rows": rows}})
    told = {(e.where, e.what): e for e in entries if e.ours.startswith(("digits: ", "fashion-mnist: "))}
    fifth, other = (told[where, "(a) accuracy in the end, q-learning"] for where in ("Fig. 5", "Fig. 12"))
    assert (fifth.ours, fifth.verdict) == (f"digits: {found}", Verdict.DIFFERS)
    assert other.ours == f"fashion-mnist: {found}"  # Fig. 12 is Fig. 5 on other data
    assert fifth.why == "reproduces 1 of 2, contradicted 1 of 2."
    assert told["Fig. 5", "(a) accuracy in the end, local-search"].verdict is Verdict.REPRODUCED


def test_in_short_every_method_is_beside_no_exchange():
    table = d2d_claims.in_short(made_up(none=0.7, closest=0.9, local_search=0.95)).set_index("graph")
    assert table["all labels"].to_dict() == {
        "none": "70.1", "`closest`": "90.1 (+20.0 ± 0.0)", "`local-search`": "95.1 (+25.0 ± 0.0)",
    }  # fmt: skip


def test_unknown_parts_are_refused(tmp_path):
    with pytest.raises(OptionError, match=r"unknown --parts 'supervized', choose from supervised, "):
        d2d_training.main(["--parts", "supervized", "--folder", str(tmp_path)])
    with pytest.raises(OptionError, match=r"--seeds: expected at least 1, got 0"):
        d2d_training.main(["--seeds", "0", "--folder", str(tmp_path)])
