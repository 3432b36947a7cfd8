"""One meaning in every family: elasticities are per cent per per cent, prices what one unit more is worth."""

import numpy as np
import pytest

from radioopt import OptionError, Scenario
from radioopt.base.solution import Solution
from radioopt.fimi import SynthesisProblem

SCENARIOS = {"feel": "feel-cpu", "fimi": "fimi", "dtkd": "dtkd"}


def solved(family, **changes):
    return Scenario.load(SCENARIOS[family]).draw(seed=1).problem(family).replace(**changes).solve()


@pytest.fixture(scope="module", params=SCENARIOS)
def solution(request):
    return solved(request.param)


def test_prices_are_what_one_unit_more_improves(solution):
    """Against the optimum solved again, for every field that a small step leaves within its domain."""
    problem, worth = solution.problem, solution.sensitivity()
    sign = -1.0 if problem.sense == "min" else 1.0
    seen = 0
    for name, price in worth.prices.items():
        value = np.array(getattr(problem, name))
        at = (0,) if value.ndim else ()
        other_noise = name.startswith("noise") and value[at] == 0
        if not np.isfinite(value[at]) or other_noise or name.startswith(("min_", "max_batchsize")):
            continue
        step = 1e-5 * (abs(float(value[at])) or 1e-2)
        ends = []
        for move in (step, 0.0) if value[at] == 0 else (step, -step):
            moved = value.copy()
            moved[at] += move
            ends.append(float(problem.replace(**{name: moved}, strict=None).solve().objective))
        slope = sign * (ends[0] - ends[1]) / (step if value[at] == 0 else 2 * step)
        size = abs(float(solution.objective)) / (abs(float(value[at])) or 1.0)
        assert float(np.asarray(price)[at]) == pytest.approx(slope, rel=1e-3, abs=1e-5 * size), name
        seen += 1
    assert seen >= 6


def test_elasticity_and_price_are_the_same_slope(solution):
    worth = solution.sensitivity()
    sign = -1.0 if solution.problem.sense == "min" else 1.0
    for name, price in worth.prices.items():
        value = np.asarray(getattr(solution.problem, name))
        set_ = np.isfinite(value)
        scaled = sign * np.where(set_, value, 0.0) * price / abs(float(solution.objective))
        np.testing.assert_allclose(
            np.where(set_, worth.elasticities[name], 0.0), scaled, rtol=1e-9, atol=1e-15
        )


def test_what_helps_has_a_positive_price(solution):
    prices = solution.sensitivity().prices
    for name in ("uplink_rate_bps", "bandwidth_hz", "server_cpu_frequency_hz", "max_round_latency_s"):
        if name in prices:
            assert (prices[name] >= 0).all(), name
    for name in ("payload_bits", "update_time_s", "label_bits", "noise_psd_w_per_hz"):
        if name in prices:
            assert (prices[name] <= 0).all(), name


def test_prices_of_the_solution_are_those_of_the_sensitivity():
    fimi, dtkd = solved("fimi"), solved("dtkd")
    band = fimi.sensitivity().prices["bandwidth_hz"]
    assert band == pytest.approx(float(fimi.price_bandwidth_j_per_hz), rel=1e-12)
    time = fimi.sensitivity()
    assert time.prices["max_round_latency_s"] == pytest.approx(float(time.price_time_w.sum()), rel=1e-12)
    assert "price_time_w" not in time.elasticities
    assert dtkd.sensitivity().prices["bandwidth_hz"] == dtkd.price_bandwidth_per_hz


def test_a_price_at_zero():
    """A field that is 0 has no elasticity, and has a price."""
    free = solved("feel", update_time_s=np.zeros(12))
    worth = free.sensitivity()
    assert (worth.update_time_s == 0).all()
    later = free.problem.replace(update_time_s=np.where(np.arange(12) == 4, 1e-4, 0.0)).solve()
    assert worth.prices["update_time_s"][4] == pytest.approx(
        float(later.objective - free.objective) / 1e-4, rel=1e-2
    )


def test_the_table_says_what_each_is_worth(solution):
    table = solution.sensitivity().table()
    assert table.index.name == "parameter"
    assert (table["says"] != "").all()
    assert table["elasticity"].abs().is_monotonic_decreasing
    each = solution.sensitivity().table(per_device=True)
    first = next(name for name in table.index if name in solution.problem.quantities and
                 solution.problem.quantities[name].axes)  # fmt: skip
    assert each.loc[first, "elasticity"].sum() == pytest.approx(table.loc[first, "elasticity"])


def test_a_printed_table_shows_every_column_and_every_sentence(solution):
    table = solution.sensitivity().table()
    lines = str(table).splitlines()
    assert lines[0].split() == ["parameter", *table.columns.drop("says")]
    for name, row in table.iterrows():
        assert any(line.startswith(name) and row["unit"] in line for line in lines[1 : len(table) + 1])
        assert any(name in line and line.endswith(f": {row['says']}") for line in lines[len(table) + 1 :])
    assert str(table.head(2)).count("\n") == 4  # heading, two rows, two sentences
    assert table["says"].iloc[0] in table._repr_html_()


def test_a_printed_table_of_many_devices_says_what_it_leaves_out():
    each = solved("fimi").sensitivity().table(per_device=True)
    lines = str(each).splitlines()
    assert lines[0].split()[:3] == ["parameter", "device", "value"]
    assert lines[-1] == f"and {len(each) - 60} rows more, which matter less"
    assert len(lines) == 62


def test_sentences():
    table = solved("fimi").sensitivity().table()
    says = table.loc["max_round_latency_s", "says"]
    assert says.startswith("1 % more (600 ms) lowers the energy per round by 2.")
    assert "; 1 s more lowers it by" in says
    assert says.endswith(" J")
    assert "1 % more of every device raises the energy" in table.loc["cycles_per_sample", "says"]
    assert "changes nothing" in table.loc["max_synthetic_samples", "says"]
    units = table.loc[["bandwidth_hz", "cycles_per_sample", "curve_beta"], "price_unit"]
    assert units.tolist() == ["J per Hz", "J per cycle", "J"]
    feel = solved("feel").sensitivity().table()
    assert feel.loc["payload_bits", "says"].startswith(
        "1 % more (2.58 Mbit) lowers the learning efficiency by"
    )


def test_a_batch_has_the_prices_of_its_instances():
    batch = Scenario.load("fimi").draw(seed=1, size=3).problem("fimi").solve().sensitivity()
    for name, price in batch[1].prices.items():
        np.testing.assert_array_equal(price, batch.prices[name][1])
    with pytest.raises(OptionError, match="got a batch of"):
        batch.table()


def test_decisions_that_are_not_optimal_have_no_sensitivity(solution):
    best = {name: getattr(solution, name) for name in solution.decisions}
    judged = solution.problem.judge(**best)
    assert isinstance(judged, Solution)
    for name, value in judged.sensitivity().elasticities.items():
        np.testing.assert_allclose(value, solution.sensitivity().elasticities[name], rtol=1e-6, atol=1e-9)
    name = next(n for n in ("uplink_slot_s", "bandwidth_hz") if n in best)
    worse = solution.problem.judge(**best | {name: 0.9 * best[name]}, throw=False)
    with pytest.raises(OptionError, match=r"expected an optimum, got decisions with a gap of"):
        worse.sensitivity()


def test_a_problem_names_its_solutions():
    assert SynthesisProblem.solution_class().__name__ == "SynthesisSolution"
