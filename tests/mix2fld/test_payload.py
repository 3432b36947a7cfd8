"""What the paper's schemes send."""

import pytest

from radioopt.base.errors import ProblemError
from radioopt.mix2fld import Payload

MODEL = dict(num_weights=12_544, num_labels=10, sample_bits=6_272)


def test_the_papers_numbers():
    fl, fd = Payload.fl(num_weights=12_544), Payload.fd(num_labels=10)
    assert fl.uplink_bits == fl.downlink_bits == fl.first_uplink_bits == 401_408
    assert fd.uplink_bits == fd.downlink_bits == fd.first_uplink_bits == 3_200
    fld = Payload.fld(**MODEL, seed_samples=10)
    assert (fld.uplink_bits, fld.first_uplink_bits, fld.downlink_bits) == (3_200, 65_920, 401_408)
    one = Payload.fld(**MODEL, seed_samples=1)  # the "42.4x" of the paper: one sample in every round
    assert fl.uplink_bits / one.first_uplink_bits == pytest.approx(42.4, abs=0.05)
    fifty = Payload.fld(**MODEL, seed_samples=50)
    assert fl.uplink_bits / fifty.first_uplink_bits == pytest.approx(1.27, abs=0.005)


def test_labels_of_samples_can_be_charged():
    assert Payload.fld(**MODEL, seed_samples=10, label_bits=8).seed_bits == 10 * 6_280


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Payload.fl(num_weights=0), r"Payload\.fl\.num_weights: expected >= 1, got 0"),
        (lambda: Payload.fd(num_labels=1), r"Payload\.fd\.num_labels: expected >= 2"),
        (lambda: Payload.fld(**MODEL, seed_samples=-1), r"Payload\.fld\.seed_samples: expected >= 0"),
        (lambda: Payload(uplink_bits=0.0, downlink_bits=1.0), r"Payload\.uplink_bits: expected > 0"),
        (
            lambda: Payload(uplink_bits=[1, 2], downlink_bits=1.0),
            r"Payload\.uplink_bits: expected one number",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ProblemError, match=message):
        call()
