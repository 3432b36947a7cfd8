"""The zoo: every named instance is what its name says, random ones are reproducible."""

import numpy as np

from validation.feel import zoo

NAMED = zoo.named()


def test_random_instances_are_reproducible():
    assert all(zoo.random(seed) == zoo.random(seed) for seed in range(20))
    assert zoo.random(1) != zoo.random(2)
    assert max(zoo.random(seed, max_devices=3).sizes["device"] for seed in range(50)) == 3


def test_instances_are_what_their_names_say():
    assert NAMED["paper_cpu"].sizes["device"] == 12
    assert NAMED["paper_gpu"].sizes["device"] == 6
    assert NAMED["one_device"].sizes["device"] == 1
    at_min, at_max = NAMED["all_at_min"].solve(), NAMED["all_at_max"].solve()
    assert at_min.batchsize.sum() == 12  # B = K
    assert at_max.batchsize.sum() == 12 * 128  # B = K Bmax
    assert NAMED["fractional_thresholds"].min_batchsize[0] == 3.7
    above = NAMED["threshold_above_max"]
    np.testing.assert_array_equal(above.min_batchsize == above.max_batchsize, [1, 0, 1, 1, 0, 0])
    rates = NAMED["six_decades_of_rates"].uplink_rate_bps
    assert rates.max() / rates.min() == 1e6
    assert not NAMED["zero_update_time"].update_time_s.any()
    one = NAMED["identical_devices"].solve()
    np.testing.assert_allclose(one.batchsize, one.batchsize[0], rtol=1e-12)
    np.testing.assert_allclose(one.uplink_slot_s, 0.01 / 12, rtol=1e-12)


def test_the_paper_s_cell_has_plausible_rates():
    # 28 dBm over 10 MHz within 200 m: tens of decibels of SNR, so around 100 Mbit/s
    rates = NAMED["paper_cpu"].uplink_rate_bps
    assert (np.diff(rates) < 0).all()
    assert 5e7 < rates.min() < rates.max() < 3e8
