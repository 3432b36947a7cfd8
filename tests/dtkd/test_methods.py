"""The paper's methods, the tables of a solution, the picture, the scenario and the command line."""

import json
import os

import numpy as np
import pytest

from radioopt import OptionError, ProblemError, Scenario, Status
from radioopt.cli import main
from radioopt.dtkd import kernel_learning, train
from validation.dtkd import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"
EPISODES = 500 if INTERPRETED else 60_000


def test_q_learning_of_one_instance_finds_its_optimum():
    problem = zoo.draw(2, seed=1)
    best, learnt = problem.solve(), problem.solve("q-learning", episodes=EPISODES)
    assert learnt.bound == best.bound
    assert learnt.objective >= best.bound
    assert learnt.verify().residual <= 1e-12
    if not INTERPRETED:
        assert learnt.objective == pytest.approx(float(best.objective), rel=1e-12)
        assert learnt.status is Status.OPTIMAL


def test_the_paper_s_methods_are_ordered_and_honest():
    draws = Scenario.load("dtkd").draw(seed=1, size=20).problem("dtkd")
    best = draws.solve()
    means = {"exact": best.objective.mean()}
    for name in ("q-learning", "q-learning-only", "fl-min", "fl-max"):
        options = {"episodes": EPISODES} if name.startswith("q") else {}
        answer = draws.solve(name, **options)
        assert (answer.objective >= best.bound).all()
        np.testing.assert_array_equal(answer.bound, best.bound)
        assert (answer.gap >= 0).all()
        check = answer.verify()
        assert (check.residual <= 1e-12).all()
        np.testing.assert_allclose(check.objective, answer.objective, rtol=1e-12)
        means[name] = answer.objective.mean()
    assert means["exact"] < min(means["fl-min"], means["fl-max"])
    if not INTERPRETED:
        assert means["exact"] <= means["q-learning"] < 0.99 * means["fl-min"]


def test_seeds_and_curves():
    draws = zoo.draw(2, 10)
    one, same, other = (train(draws, episodes=EPISODES // 5, seed=seed) for seed in (1, 1, 2))
    assert one.curve.equals(same.curve)
    assert not one.curve.equals(other.curve)
    assert one.joint
    assert one.curve["episodes"].is_monotonic_increasing
    assert one.curve["episodes"].iloc[-1] == EPISODES // 5
    assert (one.curve["greedy"] >= one.curve["optimum"] - 1e-12).all()
    assert one.curve["greedy"].iloc[-1] <= one.curve["greedy"].iloc[0]
    fresh = zoo.draw(2, 10, seed=9)
    assert (one.solve(fresh).objective >= fresh.solve().bound).all()
    figure = one.plot()
    assert figure.axes[0].get_xlabel() == "episodes"
    with pytest.raises(OptionError, match=r"trained for \{'device': 2\} and 4 models"):
        one.solve(zoo.draw(3))


def test_many_users_get_a_table_each():
    problem = zoo.draw(12)
    training = train(problem, episodes=EPISODES // 10)
    assert not training.joint
    answer = training.solve(problem)
    assert answer.verify().residual <= 1e-12
    assert answer.objective >= problem.solve().bound


def test_with_a_table_per_user_costs_fall_towards_the_optimum():
    draws = Scenario.load("dtkd").draw(seed=1, size=20).problem("dtkd")
    curve = train(draws, episodes=1000, shares=2).curve
    optimum = curve["optimum"].iloc[0]
    assert (curve["training"] >= optimum).all()
    missing = curve[["training", "greedy"]].iloc[[0, -1]] - optimum
    assert (missing.iloc[1] < 0.5 * missing.iloc[0]).all()


def test_costs_of_learning_are_those_of_the_problem():
    from radioopt.dtkd.q_learning import _numbers

    problem = zoo.named()["dear_bandwidth"]
    actions, users, taus = _numbers(problem)
    for code in np.random.default_rng(0).integers(0, 8**4, 20):
        own = code // 8 ** np.arange(4) % 8
        cost = kernel_learning.joint_cost(actions[0], users[0], taus[0], int(code), 8)
        assert cost == pytest.approx(float(problem.fix(own // 2, own % 2).solve().objective), rel=1e-12)


def test_costs_of_learnt_shares_are_those_of_the_problem():
    from radioopt.dtkd.q_learning import _numbers

    problem, levels = zoo.named()["dear_bandwidth"], 3
    actions, users, taus = _numbers(problem)
    for own in np.random.default_rng(0).integers(0, 8 * levels**2, (20, 4)):
        choice, cpu, band = own % 8, own // 8 % levels + 1, own // (8 * levels) + 1
        picked = np.empty(4, np.int64)
        cost = kernel_learning.shares_cost(actions[0], users[0], taus[0], own, levels, picked)
        shared = problem.judge(
            model=choice // 2,
            trains_locally=choice % 2,
            server_cpu_frequency_hz=problem.server_cpu_frequency_hz * cpu / cpu.sum(),
            bandwidth_hz=problem.bandwidth_hz * band / band.sum(),
        )
        assert cost == pytest.approx(float(shared.objective), rel=1e-12)
        assert picked.tolist() == choice.tolist()


@pytest.mark.parametrize("name", ["bounds", "deadlines", "density", "some_choices_fixed"])
def test_q_learning_knows_the_paper_s_problem_only(name):
    problem = zoo.named()[name]
    for method in ("q-learning", "q-learning-only"):
        with pytest.raises(
            OptionError, match="knows no bounds, deadlines, noise density or fixed choices: use exact"
        ):
            problem.solve(method)
    assert problem.solve("fl-min").objective >= problem.solve().bound


def test_a_model_for_everybody_may_miss_deadlines_that_others_meet():
    problem = zoo.named()["tight_deadlines"]
    assert problem.solve().status is Status.OPTIMAL
    answer = problem.solve("fl-max", throw=False)
    assert answer.status is Status.FAILED
    assert np.isnan(answer.objective)
    assert zoo.infeasible()["one_deadline"].solve("fl-min", throw=False).status is Status.INFEASIBLE


# -- tables and pictures -----------------------------------------------------------------------------------------


def test_tables_name_models_and_sum_up():
    solution = zoo.named()["paper"].solve()
    frame = solution.to_frame()
    assert set(frame["model"]) <= set(solution.problem.catalogue.names)
    total = frame["delay_cost"] + frame["cpu_cost"] + frame["bandwidth_cost"] - frame["accuracy_credit"]
    assert total.sum() == pytest.approx(float(solution.objective), rel=1e-12)
    summary = solution.summary()
    shares = [value for name, value in summary.items() if name.startswith("share_") and name != "share_local"]
    assert sum(shares) == pytest.approx(1)
    assert summary["mean_delay_s"] == pytest.approx(solution.delay_s.mean())
    assert summary["share_local"] == solution.trains_locally.mean()
    batch = zoo.draw(3, 5).solve().to_frame(())
    assert len(batch) == 5
    assert batch["share_ResNet-14x4"].between(0, 1).all()
    infeasible = zoo.infeasible()["one_deadline"].solve(throw=False)
    assert set(infeasible.to_frame()["model"]) == {""}


def test_the_picture_adds_up():
    solution = zoo.named()["deadlines"].solve()
    figure = solution.plot()
    delay, shares = figure.axes
    ends = {}
    for bar in delay.patches:
        row = round(bar.get_y() + bar.get_height() / 2)
        ends[row] = max(ends.get(row, 0.0), bar.get_x() + bar.get_width())
    np.testing.assert_allclose([ends[k] for k in range(4)], solution.delay_s, rtol=1e-12)
    assert sum(bar.get_width() for bar in shares.patches) == pytest.approx(200, rel=1e-9)
    assert "deadline" in [text.get_text() for text in delay.get_legend().get_texts()]
    assert len(zoo.draw(100).solve().plot().axes[0].patches) == 3 * 40


def test_pictures_of_nothing():
    with pytest.raises(ProblemError, match="expected a single instance, got a batch"):
        zoo.draw(3, 2).solve().plot()
    with pytest.raises(ProblemError, match="INFEASIBLE: max_delay_s: expected more than"):
        zoo.infeasible()["one_deadline"].solve(throw=False).plot()


# -- scenario and command line -----------------------------------------------------------------------------------


def test_the_scenario_poses_the_paper_s_problem():
    devices = Scenario.load("dtkd").draw(seed=3, size=50)
    problem = devices.problem("dtkd")
    np.testing.assert_allclose(problem.channel_gain, 1e-4 * devices.distance_m**-2.8, rtol=1e-12)
    np.testing.assert_allclose(problem.noise_power_w, 1e-12, rtol=1e-12)
    assert problem.catalogue.names == zoo.catalogue().names
    np.testing.assert_allclose(problem.catalogue.block(), zoo.catalogue().block(), rtol=1e-15)
    assert problem.is_plain
    density = Scenario.load("dtkd", {"noise": "density"}).draw(seed=3).problem("dtkd")
    np.testing.assert_allclose(density.noise_psd_w_per_hz, 1e-19, rtol=1e-12)
    late = devices.problem("dtkd", max_delay_s=40.0)
    assert (late.solve().delay_s <= 40.0 * (1 + 1e-9)).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dtkd.catalogue": {"names": ["a"], "cycles": [1e9]}}, r"dtkd\.catalogue: .*parameter_bits or .* is missing"),
        ({"dtkd.catalogue": 3}, r"dtkd\.catalogue: expected a table with a list per column"),
        ({"dtkd.catalogue.gigacycles": ["x"] * 4}, r"dtkd\.catalogue: .*row 0 \(VGG-8\), column gigacycles: "),
        ({"label_bits": -1.0}, r"dtkd\.label_bits: expected >= 0, got -1\.0"),
        ({"noise": "loud"}, r"dtkd\.noise: expected 'power' or 'density', got 'loud'"),
    ],
)  # fmt: skip
def test_mistakes_in_the_scenario(changes, message):
    with pytest.raises(ProblemError, match=message):
        Scenario.load("dtkd", changes)


def test_the_command_line(capsys, tmp_path):
    picture = tmp_path / "allocation.png"
    assert main(["solve", "dtkd", "--seed", "1", "--plot", str(picture)]) == 0
    out = capsys.readouterr().out
    assert "proven optimal" in out
    assert "ResNet-14x4" in out
    assert "mean_delay_s" in out
    assert picture.stat().st_size > 10_000
    assert main(["solve", "dtkd", "--draws", "20", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["draws"]) == 20
    assert main(["solve", "dtkd", "--set", "max_delay_s=2"]) == 1
    assert "max_delay_s: expected more than" in capsys.readouterr().out
