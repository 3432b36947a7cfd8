"""Slot counts over block fading: closed forms against slots drawn one by one, scipy's laws, and exact fractions."""

from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from radioopt.base.errors import ProblemError
from radioopt.channel import BlockFadingLink, SlotCount
from radioopt.units import dbm_per_hz_to_w_per_hz, dbm_to_w

RUNS = 100_000
CASES = {  # power [dBm], bandwidth [Hz], payload [bit], limit: the paper's cell
    "weights, uplink": (23.0, 2e6, 32 * 12_544, 118),
    "weights, downlink": (40.0, 10e6, 32 * 12_544, 21),
    "outputs, uplink": (23.0, 2e6, 3_200, 2),
    "outputs and ten samples, weak uplink": (10.0, 2e6, 3_200 + 62_720, 220),
}


def link_of(power_dbm, bandwidth_hz, **changes):
    fields = dict(
        snr_threshold=3.0,
        bandwidth_hz=bandwidth_hz,
        transmit_power_w=dbm_to_w(power_dbm),
        channel_gain=1e3**-4.0,
        noise_psd_w_per_hz=dbm_per_hz_to_w_per_hz(-174.0),
        slot_s=1e-3,
    )
    return BlockFadingLink(**fields | changes)


def slot_by_slot(rng, link, payload_bits, runs):
    """Receive bits slot by slot until the payload is there, as (4) of the paper says."""
    received, slots = np.zeros(runs), np.zeros(runs)
    waiting = np.arange(runs)
    while waiting.size:
        decoded = link.mean_snr * rng.standard_exponential(waiting.size) >= link.snr_threshold
        received[waiting] += decoded * link.slot_s * link.bandwidth_hz * np.log2(1 + link.snr_threshold)
        slots[waiting] += 1
        waiting = waiting[received[waiting] < payload_bits * (1 - 1e-12)]
    return slots


@pytest.mark.parametrize("case", CASES)
def test_within_monte_carlo_error_of_slot_by_slot_simulation(case):
    power, bandwidth, payload, limit = CASES[case]
    link = link_of(power, bandwidth)
    law = link.slots(payload)
    slots = slot_by_slot(np.random.default_rng(7), link, payload, RUNS)

    def agree(values, expected):
        assert abs(values.mean() - expected) <= 4.5 * values.std() / np.sqrt(values.size) + 1e-12

    agree(slots, law.mean)
    agree((slots - slots.mean()) ** 2, law.variance)
    late = slots > limit
    assert 0.001 < late.mean() < 0.999  # the limit tells something
    agree(late, law.outage(limit))
    agree(np.minimum(slots, limit), law.truncated_mean(limit))
    agree(slots[~late], law.conditional_mean(limit))
    for level in (0.1, 0.5, 0.9, 0.99):
        m = law.quantile(level)
        assert law.arrival(m) >= level > law.arrival(m - 1)
    devices = slots.reshape(-1, 10).max(1)
    group = SlotCount(np.full(10, law.successes), law.success_probability)
    agree(devices, group.slowest_mean())
    agree(np.minimum(devices, limit), group.slowest_mean(limit))
    agree(devices > limit, group.slowest_outage(limit))


@pytest.mark.parametrize("case", CASES)
def test_draws_are_of_the_same_law(case):
    power, bandwidth, payload, _ = CASES[case]
    link = link_of(power, bandwidth)
    law = link.slots(payload)
    drawn = law.sample(np.random.default_rng(1), RUNS)
    simulated = slot_by_slot(np.random.default_rng(2), link, payload, RUNS)
    values, counts = np.unique(drawn, return_counts=True)
    expected = RUNS * (law.arrival(values) - law.arrival(np.maximum(values - 1, 0)))
    common = expected > 20
    chi = ((counts - expected)[common] ** 2 / expected[common]).sum()
    assert stats.chi2.sf(chi, common.sum()) > 1e-3
    assert abs(drawn.mean() - simulated.mean()) < 5 * np.sqrt(2 * law.variance / RUNS)


@given(st.integers(1, 400), st.floats(1e-3, 1.0), st.integers(0, 900))
def test_equal_to_scipys_laws(n, p, extra):
    law, m = SlotCount(n, p), n + extra
    reference = stats.nbinom(n, p)
    further = stats.nbinom(n + 1, p)
    close = dict(rtol=1e-9, atol=1e-280)
    np.testing.assert_allclose(law.mean, n + reference.mean(), **close)
    np.testing.assert_allclose(law.variance, reference.var(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(law.outage(m), stats.binom.cdf(n - 1, m, p), rtol=1e-8, atol=1e-280)
    np.testing.assert_allclose(law.outage(m), reference.sf(m - n), rtol=1e-8, atol=1e-14)
    np.testing.assert_allclose(law.arrival(m), reference.cdf(m - n), rtol=1e-8, atol=1e-280)
    truncated = n / p * further.cdf(m - n) + m * reference.sf(m - n)
    np.testing.assert_allclose(law.truncated_mean(m), truncated, rtol=1e-8)
    if reference.cdf(m - n) > 1e-250:
        conditional = n / p * further.cdf(m - n) / reference.cdf(m - n)
        np.testing.assert_allclose(law.conditional_mean(m), conditional, rtol=1e-8)
    for level in (0.05, 0.5, 0.95):
        found = law.quantile(level)
        assert abs(found - n - reference.ppf(level)) <= (abs(law.arrival(found) - level) < 1e-9)


@pytest.mark.parametrize(("n", "p", "m"), [(1, "1/2", 3), (3, "1/10", 40), (5, "9/10", 9), (2, "1/1000", 30)])
def test_equal_to_exact_fractions(n, p, m):
    p = Fraction(p)
    law = SlotCount(n, float(p))
    pmf = {t: comb(t - 1, n - 1) * p**n * (1 - p) ** (t - n) for t in range(n, m + 1)}
    there = sum(pmf.values())
    partial = sum(t * x for t, x in pmf.items())
    np.testing.assert_allclose(law.arrival(m), float(there), rtol=1e-12)
    np.testing.assert_allclose(law.outage(m), float(1 - there), rtol=1e-12)
    np.testing.assert_allclose(law.truncated_mean(m), float(partial + m * (1 - there)), rtol=1e-12)
    np.testing.assert_allclose(law.conditional_mean(m), float(partial / there), rtol=1e-12)
    two = SlotCount([n, n], float(p))
    arrived = [sum(pmf.get(s, 0) for s in range(t + 1)) for t in range(m)]
    np.testing.assert_allclose(two.slowest_mean(m), float(sum(1 - a * a for a in arrived)), rtol=1e-12)


def test_conditional_mean_where_arrival_underflows():
    n, m = 101, 150
    tiny = SlotCount(n, 1e-5)
    assert tiny.arrival(m) == 0.0
    weights = [Fraction(comb(t - 1, n - 1)) * Fraction(1 - 1e-5) ** (t - n) for t in range(n, m + 1)]
    exact = sum(t * w for t, w in zip(range(n, m + 1), weights, strict=True)) / sum(weights)
    np.testing.assert_allclose(tiny.conditional_mean(m), float(exact), rtol=1e-12)
    assert SlotCount(n, 0.0).conditional_mean(m) == pytest.approx(n * (m + 1) / (n + 1), rel=1e-14)


@pytest.mark.parametrize(
    ("n", "m", "p"),
    [(10_000, 100_000, 0.05), (100_000, 102_000, 0.9), (10_000, 10_005, 0.5), (300, 10**6, 1e-6)],
)
def test_conditional_mean_far_in_the_tail_is_the_sum_backwards_from_the_limit(n, m, p):
    t = np.arange(m, max(n - 1, m - 300_000), -1.0)
    weight = np.concatenate([[1.0], np.cumprod((t[:-1] - n) / ((t[:-1] - 1) * (1 - p)))])
    before = (weight * (m - t)).sum() / weight.sum()
    assert SlotCount(n, p).arrival(m) == 0.0
    assert m - SlotCount(n, p).conditional_mean(m) == pytest.approx(before, rel=1e-8)


def test_the_papers_limit_of_100_slots_is_too_short_for_weights():
    up, strong = link_of(23.0, 2e6), link_of(40.0, 2e6)
    assert up.slots(32 * 12_544).successes == 101  # in decibel, the threshold 3 would make it 127
    assert up.slots(32 * 12_544).outage(100) == 1.0
    assert strong.slots(32 * 12_544).outage(103) == pytest.approx(0.002, abs=5e-4)
    assert up.slots(32 * 12_544).outage(103) == pytest.approx(0.9996, abs=5e-5)
    assert up.slots(32 * 12_544).outage(110) == pytest.approx(0.81, abs=5e-3)
    assert link_of(23.0, 10e6 * 2 / 50).slots(3_200 + 50 * 6_272).successes == 396


def test_whole_slots_are_not_rounded_up_and_nothing_takes_none():
    link = link_of(23.0, 2e6)
    assert link.bits_per_slot == pytest.approx(4_000.0, rel=1e-15)
    assert [link.slots(bits).successes for bits in (0, 1e-9, 4e3, 4.001e3, 4e5)] == [0, 1, 1, 2, 100]
    nothing = link.slots(0.0)
    assert nothing.mean == nothing.variance == nothing.outage(0) == nothing.slowest_mean() == 0.0
    assert nothing.quantile(1.0) == nothing.conditional_mean(5) == nothing.truncated_mean(5) == 0.0
    assert nothing.sample(np.random.default_rng(0)) == 0.0


def test_a_link_that_never_decodes():
    law = link_of(-300.0, 1e9).slots(1e4)
    assert law.success_probability == 0.0
    assert law.mean == law.variance == law.quantile(0.1) == law.slowest_mean() == np.inf
    assert law.outage(1_000) == 1.0
    assert law.truncated_mean(1_000) == law.slowest_mean(1_000) == 1_000
    assert law.sample(np.random.default_rng(0)) == np.inf


def test_a_link_that_hardly_ever_fails_keeps_its_small_outage():
    law = link_of(100.0, 1e6).slots(2e4)  # failures of 1e-9
    q, n = law.failure_probability, law.successes
    assert 0 < q < 1e-8
    assert law.outage(n) == pytest.approx(n * q, rel=1e-6)
    assert law.outage(n + 1) == pytest.approx(comb(int(n) + 1, 2) * q * q, rel=1e-6)
    sure = SlotCount(5, 1.0)
    assert sure.mean == sure.quantile(1.0) == sure.slowest_mean() == 5.0
    assert sure.variance == 0.0


@pytest.mark.parametrize("p", [1e-3, 1e-9, 1e-12])
def test_quantiles_and_draws_of_rare_success(p):
    law = SlotCount(1, p)
    assert law.quantile(0.5) == pytest.approx(np.log(2) / -np.log1p(-p), rel=1e-9, abs=1)
    drawn = law.sample(np.random.default_rng(3), 20_000)
    assert stats.kstest(drawn * p, "expon").pvalue > 1e-3
    assert (drawn == np.round(drawn)).all()


def test_slowest_of_different_devices():
    n, p = np.array([1, 4, 30]), np.array([0.05, 0.3, 0.9])
    group = SlotCount(n, p)
    rng = np.random.default_rng(5)
    drawn = group.sample(rng, (RUNS, 3)).max(1)
    assert abs(drawn.mean() - group.slowest_mean()) < 4.5 * drawn.std() / np.sqrt(RUNS)
    limits = np.array([0, 1, 29, 31, 80])
    limited = group.slowest_mean(limits)
    np.testing.assert_allclose(
        limited, [0, 1, 29, *np.minimum(drawn[:, None], limits[3:]).mean(0)], rtol=5e-3
    )
    assert (np.diff(limited) > 0).all()
    np.testing.assert_allclose(group.slowest_mean(5_000), group.slowest_mean(), rtol=1e-14)
    one = SlotCount([7], [0.2])
    assert one.slowest_mean() == pytest.approx(35.0, rel=1e-14)
    assert one.slowest_mean(20) == pytest.approx(SlotCount(7, 0.2).truncated_mean(20), rel=1e-14)
    batch = SlotCount(np.stack([n, n + 1]), p)
    np.testing.assert_array_equal(batch.slowest_mean()[0], group.slowest_mean())


def test_shapes_broadcast():
    link = link_of(23.0, np.array([1e6, 2e6, 4e6]))
    law = link.slots([[3_200.0], [401_408.0]])
    assert law.mean.shape == (2, 3)
    assert law.outage(np.array([110.0])[:, None, None]).shape == (1, 2, 3)
    assert law.slowest_mean(100.0).shape == (2,)
    assert law.sample(np.random.default_rng(0), (5, 2, 3)).shape == (5, 2, 3)
    assert isinstance(link_of(23.0, 2e6).slots(1e4).mean, float)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: link_of(23.0, 0.0), r"BlockFadingLink\.bandwidth_hz: expected > 0, got 0\.0"),
        (lambda: link_of(23.0, [1e6, np.nan]), r"bandwidth_hz: .*at index 1"),
        (lambda: link_of(23.0, [1e6, 1e6], slot_s=[1, 1, 1]), r"BlockFadingLink: expected shapes that broad"),
        (lambda: link_of(23.0, 1e6).slots(-1.0), r"slots\.payload_bits: expected >= 0, got -1\.0"),
        (lambda: link_of(23.0, [1e6, 1e6]).slots([1, 2, 3]), r"slots: expected shapes that broadcast"),
        (lambda: SlotCount(1.5, 0.5), r"SlotCount\.successes: expected a whole number, got 1\.5"),
        (lambda: SlotCount(1, 1.5), r"SlotCount\.success_probability: expected in \[0, 1\]"),
        (lambda: SlotCount(1, 0.5, 0.4), r"failure_probability: expected 1 - success_probability, got 0\.4"),
        (lambda: SlotCount(1, 0.5).outage(-1), r"SlotCount\.outage\.max_slots: expected >= 0"),
        (lambda: SlotCount(1, 0.5).outage(np.inf), r"SlotCount\.outage\.max_slots: expected"),
        (lambda: SlotCount(1, 0.5).quantile(2), r"SlotCount\.quantile\.probability: expected in"),
        (lambda: SlotCount(1, 1e-9).slowest_mean(), r"terms, .*probability is 1e-09: give max_slots"),
        (lambda: SlotCount([1, 2], 0.5).sample(np.random.default_rng(0), 3), r"sample\.size: expected a shape"),
        (lambda: SlotCount(1, 0.5).sample(0, 3), r"SlotCount\.sample\.rng: expected"),
    ],
)  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()
