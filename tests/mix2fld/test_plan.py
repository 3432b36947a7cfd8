"""The best plan of rounds: against other formulas, against rounds played out, and what is said of bad input."""

import numpy as np
import pytest

import radioopt
from radioopt import Scenario, Status
from radioopt.base.errors import ProblemError, SolveError
from radioopt.mix2fld import RoundPlanProblem
from radioopt.mix2fld.plan import laws, plans

PAPER = dict(
    num_channels=[1, 2, 5],
    max_slots=[20, 25, 50, 100],
    seed_samples=[10, 50],
    rounds=[30.0, 24.0],
    transmit_power_w=np.full(10, 0.2),
    channel_gain=1e-12,
    downlink_power_w=10.0,
    bandwidth_hz=10e6,
    noise_psd_w_per_hz=4e-21,
    slot_s=1e-3,
    output_bits=3_200.0,
    model_bits=401_408.0,
    sample_bits=6_272.0,
    compute_time_s=0.1,
)


def random_problem(seed):
    rng = np.random.default_rng(seed)
    devices, seeds = rng.integers(1, 9), rng.integers(1, 4)
    return RoundPlanProblem(
        **PAPER
        | dict(
            num_channels=np.unique(rng.integers(1, 12, 3)),
            max_slots=np.unique(rng.integers(15, 150, 5)),
            seed_samples=5 * np.arange(seeds),
            rounds=rng.uniform(20, 40, seeds),
            transmit_power_w=rng.uniform(0.05, 0.5, devices),
            channel_gain=1e-12 * rng.uniform(0.2, 3.0, devices),
            compute_time_s=rng.uniform(0, 0.2),
            min_participation=rng.uniform(0.2, 0.95),
        )
    )


@pytest.mark.parametrize("seed", range(30))
def test_the_enumeration_and_the_certificates_agree(seed):
    problem = random_problem(seed)
    solution = problem.solve(throw=False)
    certificate = solution.verify()
    every = plans(problem)
    if solution.status is Status.INFEASIBLE:
        assert np.isnan(certificate.bound)
        return
    assert certificate.status == Status.OPTIMAL
    np.testing.assert_allclose(certificate.objective, solution.objective, rtol=1e-12)
    for c, m, s in np.argwhere(np.isfinite(every.time_s)):
        plan = problem.num_channels[c], problem.max_slots[m], problem.seed_samples[s]
        judged = problem.certificate(**dict(zip(solution.decisions, plan, strict=True)))
        np.testing.assert_allclose(judged.objective, every.time_s[c, m, s], rtol=1e-9)
        assert (judged.residual <= 1e-9) == every.feasible(problem)[c, m, s]
        assert judged.residual > 1e-9 or judged.objective >= solution.objective * (1 - 1e-12)


def test_ill_scaled_problems_are_answered_or_refused_with_a_reason():
    rng, found = np.random.default_rng(1), []
    for _ in range(25):
        devices = rng.integers(1, 6)
        problem = RoundPlanProblem(
            num_channels=np.unique(rng.integers(1, 30, 2)),
            max_slots=np.unique(rng.integers(1, 300, 2)),
            seed_samples=[0, 3],
            rounds=[9.0, 7.5],
            transmit_power_w=10 ** rng.uniform(-6, 3, devices),
            channel_gain=10 ** rng.uniform(-14, -8, devices),
            downlink_power_w=10 ** rng.uniform(-2, 4),
            bandwidth_hz=10 ** rng.uniform(5, 8),
            noise_psd_w_per_hz=4e-21,
            slot_s=10 ** rng.uniform(-5, -1),
            output_bits=10 ** rng.uniform(1, 5),
            model_bits=10 ** rng.uniform(1, 6),
            sample_bits=10 ** rng.uniform(1, 4),
            min_participation=rng.uniform(0.01, 1.0),
            strict=None,
        )
        solution = problem.solve(throw=False)
        found.append(solution.status)
        if solution.status is Status.INFEASIBLE:
            assert "expected" in solution.why_infeasible()
        else:
            assert solution.verify().status == Status.OPTIMAL
    assert set(found) == {Status.OPTIMAL, Status.INFEASIBLE}


def test_plans_that_never_end_are_no_answer_without_compute_time_either():
    solution = RoundPlanProblem(**PAPER | dict(compute_time_s=0.0, min_participation=1e-6)).solve()
    assert solution.verify().status == Status.OPTIMAL
    never = solution.candidates().query("max_slots == 20")  # the weights need 21
    assert (never.time_s == np.inf).all()
    assert not never.feasible.any()
    plan = dict(num_channels=1, max_slots=20, seed_samples=10)
    assert solution.problem.certificate(**plan).status == Status.FAILED


def test_most_random_problems_are_feasible():
    assert sum(random_problem(seed).solve(throw=False).status.ok for seed in range(30)) > 20


def test_rounds_played_out_take_as_long_as_expected():
    """Wald's identity: rounds are alike but for the first, so that means of times and shares are all there is."""
    problem = RoundPlanProblem(
        **PAPER
        | dict(
            num_channels=[3], max_slots=[28], seed_samples=[20], rounds=[25.0], min_participation=0.3,
            downlink_power_w=1.0,
            channel_gain=1e-12 * np.linspace(0.5, 1.5, 10),
        )
    )  # fmt: skip
    plan = problem.solve()
    rng, runs = np.random.default_rng(4), 40_000
    up, first, down = (law.sample(rng, (runs, *np.shape(law.mean))) for law in laws(problem))
    up, first = up[:, 0], first[:, 0, 0]

    def agree(values, expected):
        assert abs(values.mean() - expected) < 4.5 * values.std() / np.sqrt(runs)

    def seconds(uploads):
        waits = np.minimum(uploads.max(1), 28) + np.minimum(down.max(1), 28)
        return 1e-3 * waits + 0.1

    there = ((up <= 28) & (down <= 28)).mean(1)
    agree(seconds(first), plan.first_round_s)
    agree(seconds(up), plan.round_s)
    agree(there, plan.participation)
    agree((first <= 28).mean(1), plan.first_participation)
    assert min(plan.participation, plan.first_participation) > 0.3
    assert max(plan.participation, plan.first_participation) < 0.97
    assert plan.num_rounds == pytest.approx(25.0 / plan.participation)
    expected = plan.first_round_s + (plan.num_rounds - 1) * plan.round_s
    assert plan.objective == pytest.approx(expected, rel=1e-14)


def test_limits_beyond_a_block_of_slots_wait_as_long_as_the_law_says():
    limits = [21, 127, 128, 129, 256, 3_000, 200_000]
    weak = np.array([0.2] * 4 + [0.02])
    problem = RoundPlanProblem(**PAPER | dict(max_slots=limits, num_channels=[1, 2], transmit_power_w=weak))
    up, first, down = laws(problem)
    waits = up.slowest_mean(np.array(limits)[:, None]) + down.slowest_mean(np.array(limits))[:, None]
    np.testing.assert_allclose(plans(problem).round_s[..., 0].T, 0.1 + 1e-3 * waits, rtol=1e-13)
    waits = first.slowest_mean(np.array(limits)[:, None, None])
    waits = waits + down.slowest_mean(np.array(limits))[:, None, None]
    found = np.moveaxis(plans(problem).first_round_s, 1, 0)
    np.testing.assert_allclose(found, 0.1 + 1e-3 * waits, rtol=1e-13)


def test_a_batch_is_its_instances():
    batch = RoundPlanProblem(
        **PAPER
        | dict(
            transmit_power_w=[[0.2] * 10, [0.02] * 10, [1e-4] * 10],
            max_slots=[[20, 25, 50, 100], [20, 30, 40, 200], [20, 25, 50, 100]],
        )
    )
    solution = batch.solve(throw=False)
    assert solution.status.tolist() == [Status.OPTIMAL, Status.OPTIMAL, Status.INFEASIBLE]
    for i in range(3):
        one = batch[i].solve(throw=False)
        assert one == solution[i]


def test_table_of_candidates_begins_with_the_plan():
    solution = RoundPlanProblem(**PAPER).solve()
    table = solution.candidates()
    assert len(table) == 24
    for name in solution.decisions:
        assert table.iloc[0][name] == getattr(solution, name)
    assert table.iloc[0].time_s == solution.objective
    assert table.feasible.is_monotonic_decreasing
    assert list(solution.to_frame()) == ["uplink_outage", "first_uplink_outage", "downlink_outage"]


def test_saved_and_read_again(tmp_path):
    solution = RoundPlanProblem(**PAPER).solve()
    for name in ("plan.npz", "plan.json"):
        solution.save(tmp_path / name)
        assert radioopt.load(tmp_path / name) == solution


def test_a_point_off_the_candidates_is_refused_and_repaired():
    problem = RoundPlanProblem(**PAPER)
    point = dict(num_channels=3, max_slots=90, seed_samples=45)
    assert problem.certificate(**point).status == Status.FAILED
    assert problem.repair(**point) == dict(num_channels=2, max_slots=100, seed_samples=50)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (dict(max_slots=[10, 20]), r"max_slots: expected at least 21, got at most 20"),
        (
            dict(transmit_power_w=[0.2] * 9 + [1e-4], min_participation=0.95),
            r"share of devices <= 0\.9, which",
        ),
    ],
)
def test_reasons_of_infeasibility(changes, reason):
    with pytest.raises(SolveError, match=f"INFEASIBLE.*{reason}") as caught:
        RoundPlanProblem(**PAPER | changes).solve()
    assert caught.value.solution.num_channels == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(max_slots=[20, 20]), r"max_slots: expected candidates that increase, got 20\.0 at index 1"),
        (dict(num_channels=[0, 1]), r"num_channels: expected >= 1, got 0\.0 at index 0"),
        (dict(num_channels=[1.5]), r"num_channels: expected a whole number, got 1\.5"),
        (dict(rounds=[30.0, 20.0, 10.0]), r"seed_samples: expected 3 values|rounds: expected 2 values"),
        (dict(rounds=[30.0, 0.5]), r"rounds: expected >= 1, got 0\.5 at index 1"),
        (dict(min_participation=0.0), r"min_participation: expected > 0 and <= 1"),
        (dict(transmit_power_w=[0.2, np.nan]), r"transmit_power_w: expected a finite number > 0, got nan at index 1"),
    ],
)  # fmt: skip
def test_bad_input_is_named(changes, message):
    with pytest.raises(ProblemError, match=message):
        RoundPlanProblem(**PAPER | changes)


def test_the_scenario_is_the_papers_cell():
    scenario = Scenario.load("mix2fld")
    problem = scenario.draw(seed=0).problem("mix2fld")
    assert problem.output_bits == 3_200
    assert problem.model_bits == 401_408
    np.testing.assert_allclose(problem.channel_gain, 1e-12)
    solution = problem.solve()
    assert solution.status is Status.OPTIMAL
    assert solution.max_slots < 100  # wider shares need fewer slots than the paper's
    paper = solution.candidates().query("num_channels == 2 and max_slots == 100 and seed_samples == 50")
    assert paper.feasible.item()
    assert paper.time_s.item() > solution.objective
    assert scenario.draw(seed=0, size=3).problem("mix2fld").solve().status.tolist() == [0, 0, 0]


def test_the_picture_shows_every_number_of_bands():
    figure = RoundPlanProblem(**PAPER).solve().plot()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["1 band", "2 bands", "5 bands", "chosen", "infeasible", "least share"]
    with pytest.raises(ProblemError, match="expected a single instance"):
        RoundPlanProblem(**PAPER | dict(slot_s=[1e-3, 2e-3])).solve().plot()
