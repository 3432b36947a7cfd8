"""Bad input: the message names field, index and value; fields that are not arrays."""

import numpy as np
import pytest

import radioopt as ro
from radioopt import ProblemError
from radioopt.d2d import GraphProblem, block_trust, column_sparse_trust, random_trust, row_sparse_trust
from validation.d2d import zoo

GOOD = {"class_counts": [[20, 0], [0, 20]], "thresholds": 10, "outage_probability": 0.1}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"class_counts": [[20, -1], [0, 20]]}, r"class_counts: expected >= 0, got -1\.0 at index \(0, 1\)"),
        ({"class_counts": [[20, np.nan]]}, r"class_counts: expected a finite number >= 0, got nan"),
        (
            {"thresholds": [[1, 2, 3]]},
            r"thresholds: expected 2 values along the class axis, as in class_counts",
        ),
        (
            {"outage_probability": [[0, 1.5], [0, 0]]},
            r"outage_probability: expected in \[0, 1\], got 1\.5 at",
        ),
        ({"trust": 0.5}, r"trust: expected True or False, got 0\.5"),
        ({"trust": np.ones((3, 3, 2), bool)}, r"trust: expected 2 values along the device axis"),
        ({"allowed": "yes"}, r"allowed: expected real numbers, got 'yes'"),
        ({"clusters": [0, 0.5]}, r"clusters: expected a whole number, got 0\.5 at index 1"),
        ({"clusters": [0, 2]}, r"clusters: expected < 2, a number per device, got 2\.0 at index 1"),
        (
            {"budgets": [1.0, 2.0]},
            r"budgets: expected the same value for all devices of a cluster, got 2\.0 at ind",
        ),
        ({"budgets": -1.0}, r"budgets: expected >= 0, got -1\.0"),
        ({"ideal_distribution": [0.0, 0.0]}, r"ideal_distribution: expected a sum > 0, got 0\.0"),
        ({"min_classes": 3}, r"min_classes: expected <= 2, the number of classes, got 3\.0"),
        ({"gate": 1.5}, r"gate: expected in \[0, 1\], got 1\.5"),
        ({"diversity_weight": np.inf}, r"diversity_weight: expected a finite number >= 0, got inf"),
        ({"position_m": np.zeros((2, 3))}, r"position_m: expected two coordinates"),
        (
            {"metric": "euclid"},
            r"metric: expected one of wasserstein, total-variation, jensen-shannon, got 'eu",
        ),
        ({"score": "x"}, r"score: expected one of improvement, change, got 'x'"),
        ({"request": "all"}, r"request: expected one of deficit, compensated, got 'all'"),
        ({"budgeted": "sent"}, r"budgeted: expected one of requested, received, got 'sent'"),
    ],
)
def test_bad_input_is_named(given, message):
    with pytest.raises(ProblemError, match=message):
        GraphProblem(**(GOOD | given))


def test_replace_knows_its_fields():
    with pytest.raises(ProblemError, match=r"replace: no field 'trusts', choose from class_counts"):
        GraphProblem(**GOOD).replace(trusts=1.0)


@pytest.mark.parametrize("suffix", [".npz", ".json"])
def test_files_keep_everything(tmp_path, suffix):
    problem = zoo.draw(
        6, metric="total-variation", score="change", request="compensated", budgeted="received"
    )
    solution = problem.solve()
    path = solution.save(tmp_path / f"graph{suffix}")
    assert ro.load(path) == solution
    assert ro.load(problem.save(tmp_path / f"problem{suffix}")) == problem


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ([5, -1], "links"),
        ([0, -1], "links"),
        ([0.5, -1], "links"),
        ([np.nan, -1], "links"),
        ([1, -1], "budgets"),
    ],
)
def test_the_certificate_refuses_what_is_no_graph(source, name):
    problem = GraphProblem(**GOOD, clusters=[0, 1], budgets=0.0)
    certificate = problem.certificate(source=source)
    assert certificate.residuals[name] == np.inf
    assert certificate.status == ro.Status.FAILED
    repaired = problem.repair(source=np.nan_to_num(source))
    assert problem.certificate(**repaired).residual <= 0


def test_structured_trust():
    rng = np.random.default_rng(0)
    assert random_trust(rng, 50, 4, 0.3).mean() == pytest.approx(0.3, abs=0.02)
    rows = row_sparse_trust(rng, 10, 4, 0.3)
    assert (rows.any((0, 2)) == rows.all((0, 2))).all()
    assert rows.any((0, 2)).sum() == 7
    columns = column_sparse_trust(rng, 10, 4, 0.5)
    np.testing.assert_array_equal(columns.all(1).sum(-1), 2)
    np.testing.assert_array_equal(columns.any(1).sum(-1), 2)
    blocks = block_trust([0, 1, 1], [1, 0, 1])
    assert blocks[1, 2].tolist() == [True, False, True]
    assert not blocks[0, 1].any()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda rng: random_trust(rng, 3, 2, 1.5),
            r"random_trust\.probability: expected in \[0, 1\], got 1\.5",
        ),
        (lambda rng: random_trust(rng, 0, 2, 0.5), r"random_trust\.num_devices: expected >= 1, got 0"),
        (lambda rng: row_sparse_trust(rng, 3, 2, -1.0), r"row_sparse_trust\.insecure: expected in \[0, 1\]"),
        (
            lambda rng: column_sparse_trust(rng, 3, 2, 2.0),
            r"column_sparse_trust\.sensitive: expected in \[0, 1\]",
        ),
        (
            lambda rng: block_trust(1, [0]),
            r"block_trust\.device_groups: expected one group each, got shape \(\)",
        ),
    ],
)
def test_bad_trust_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call(np.random.default_rng(0))
