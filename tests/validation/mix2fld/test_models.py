"""Chains of slots, SciPy's law and rounds played slot by slot against the plans of radioopt; the zoo."""

import numpy as np
import pytest
from scipy.stats import nbinom

from radioopt import Status
from validation import cross_check
from validation.mix2fld import enumeration, simulation, zoo
from validation.reference import NoAnswerError

NAMED = zoo.named()


@pytest.mark.parametrize("name", NAMED)
def test_the_chain_finds_the_same_optimum_of_named_instances(name):
    problem = NAMED[name]
    ours, theirs = problem.solve(), enumeration.solve(problem, 60.0)
    assert theirs.objective == pytest.approx(ours.objective, rel=1e-12)
    assert problem.certificate(**theirs.decisions).status == Status.OPTIMAL


@pytest.mark.parametrize("seed", range(25))
def test_the_chain_finds_the_same_optimum_of_random_instances(seed):
    problem = zoo.random(seed)
    assert enumeration.solve(problem, 60.0).objective == pytest.approx(problem.solve().objective, rel=1e-12)


def test_every_plan_has_the_same_value_and_share():
    problem = NAMED["uneven_devices"]
    table = problem.solve().candidates().set_index(["num_channels", "max_slots", "seed_samples"])
    for found in enumeration.candidates(problem):
        row = table.loc[found[:3]]
        assert found.time_s == pytest.approx(row["time_s"], rel=1e-10)
        least = min(row["participation"], row["first_participation"])
        assert found.participation == pytest.approx(least, rel=1e-10, abs=1e-300)


def test_the_chain_is_the_negative_binomial_law():
    chance, slots = np.array([1.0, 0.9, 0.3]), np.arange(61)
    found = enumeration.done_by(7, chance, 60)
    np.testing.assert_allclose(found, nbinom.cdf(slots[:, None] - 7, 7, chance), atol=1e-14)


@pytest.mark.parametrize(("name", "channels", "seeds"), [("paper", 2, 10), ("weights_up_asymmetric", 2, 0)])
def test_rounds_played_slot_by_slot_agree_within_their_errors(name, channels, seeds):
    problem, rounds = NAMED[name], 3000
    if name != "paper":
        problem = problem.replace(num_channels=[channels])
    exact = {
        one.max_slots: one for one in enumeration.candidates(problem) if one[::2][:2] == (channels, seeds)
    }
    rng, z = np.random.default_rng(1), []
    for limit, seen in simulation.play(problem, channels, seeds, rng, rounds).items():
        lesser = min(seen.share, seen.first_share, key=np.mean)
        error = lesser.std() / np.sqrt(rounds)
        difference = seen.participation - exact[limit].participation
        assert error > 0 or abs(difference) < 1e-3
        z.append(difference / error if error else 0.0)
        if np.isfinite(seen.time_s) and exact[limit].participation > 0.01:
            assert seen.time_s == pytest.approx(exact[limit].time_s, rel=0.02)
    assert np.abs(z).max() < 4.5


def test_all_are_judged_alike():
    table = cross_check(NAMED["one_device"])
    assert table.index.tolist() == ["enumerate", "markov-chain", "simulation"]
    assert (table["verdict"] == "OPTIMAL").all()
    assert table["difference"].max() < 1e-12
    assert abs(table.loc["simulation", "reported"] / table.loc["enumerate", "objective"] - 1) < 1e-3


def test_no_feasible_plan_is_said():
    with pytest.raises(NoAnswerError, match=r"no plan has a share of 0\.9 of the devices, the most is 0"):
        enumeration.solve(NAMED["paper"].replace(max_slots=[10, 20]), 60.0)


def test_the_zoo_is_reproducible_and_what_its_names_say():
    assert all(zoo.random(seed) == zoo.random(seed) for seed in range(10))
    assert zoo.random(1) != zoo.random(2)
    for seed in range(20):
        assert zoo.random(seed, max_devices=4).sizes["device"] <= 4
    assert NAMED["one_plan"].solve().iterations == 1
    assert NAMED["few_take_part"].solve().first_participation < 0.2
    assert NAMED["weights_up_asymmetric"].solve("enumerate").num_channels == 10
    spread = NAMED["uneven_devices"].channel_gain
    assert spread.max() / spread.min() == pytest.approx(100.0)
