"""The zoo: every named instance is what its name says, random ones are reproducible and feasible."""

import numpy as np
import pytest

from radioopt import Status
from validation.fimi import zoo

NAMED = zoo.named()


def binding(problem, solution):
    """Which devices are at their largest power, at their largest frequency, at most and at least samples."""
    extra, most = solution.synthetic_samples, problem.max_synthetic_samples
    return {
        "power": solution.transmit_power_w > problem.max_transmit_power_w * (1 - 1e-9),
        "frequency": solution.cpu_frequency_hz > problem.max_cpu_frequency_hz * (1 - 1e-9),
        "most": extra >= most * (1 - 1e-9),
        "none": extra <= 1e-9 * problem.local_samples,
    }


def test_random_instances_are_reproducible():
    assert all(zoo.random(seed) == zoo.random(seed) for seed in range(20))
    assert zoo.random(1) != zoo.random(2)
    assert max(zoo.random(seed, max_devices=3).sizes["device"] for seed in range(50)) == 3


def test_random_instances_are_feasible_and_end_at_every_limit():
    rng = np.random.default_rng(1)
    seen = {"power": 0, "frequency": 0, "most": 0, "none": 0, "some": 0}
    for devices in (1, 3, 12):
        batch = zoo.random_batch(rng, 60, devices)
        solution = batch.solve()
        assert (solution.status == Status.OPTIMAL).all()
        for name, where in binding(batch, solution).items():
            seen[name] += where.any(-1).sum()
            seen["some"] += (where.any(-1) & ~where.all(-1)).sum()
    assert min(seen.values()) > 20, seen


def test_excess_makes_instances_infeasible():
    batch = zoo.random_batch(np.random.default_rng(2), 30, 5, excess=0.1)
    assert 3 < (batch.solve(throw=False).status == Status.INFEASIBLE).sum() < 30


@pytest.mark.parametrize(
    ("name", "limit", "least", "most"),
    [
        ("learning_slack", "none", 20, 20),
        ("learning_just_slack", "none", 20, 20),
        ("no_synthetic_data_allowed", "most", 20, 20),
        ("some_may_not_synthesise", "most", 10, 10),
        ("some_at_max_samples", "most", 7, 14),
        ("some_at_max_frequency", "frequency", 5, 15),
        ("all_at_max_frequency", "frequency", 20, 20),
        ("some_at_max_power", "power", 5, 15),
        ("all_at_max_power", "power", 20, 20),
    ],
)
def test_instances_are_what_their_names_say(name, limit, least, most):
    problem = NAMED[name]
    assert least <= binding(problem, problem.solve())[limit].sum() <= most


def test_a_budget_is_what_was_asked_for():
    problem = zoo.with_budget(NAMED["paper"], 1.5)
    assert problem.learning_budget == pytest.approx(1.5, rel=1e-14)
    batch = zoo.with_budget(zoo.paper(3, count=2), [1.0, 2.0])
    np.testing.assert_allclose(batch.learning_budget, [1.0, 2.0], rtol=1e-14)


def test_the_paper_s_cell():
    problem = NAMED["paper"]
    assert problem.sizes["device"] == 20
    assert problem.bandwidth_hz == 20e6
    assert problem.noise_psd_w_per_hz == pytest.approx(10**-17.4 / 1000)
    total = zoo.paper(seed=3, count=100).solve().synthetic_samples.sum(-1)
    assert 6500 < np.median(total) < 6800  # the paper prints 6659


@pytest.mark.parametrize("name", zoo.infeasible())
def test_infeasible_instances_are_refused(name):
    assert zoo.infeasible()[name].solve(throw=False).status is Status.INFEASIBLE
