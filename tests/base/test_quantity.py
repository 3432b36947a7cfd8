"""Quantities: what is accepted, and the message for what is not."""

import math
import pickle

import numpy as np
import pytest

from radioopt.base.errors import ProblemError
from radioopt.base.layout import columns
from radioopt.base.quantity import (
    DEVICE,
    PER_INSTANCE,
    at_least,
    check,
    finite,
    fraction,
    nonnegative,
    positive,
    quantity,
    unrestricted,
)
from radioopt.base.record import Record


class Link(Record):
    rate = quantity("bit/s", positive, DEVICE, "rate")
    share = quantity("1", fraction, DEVICE, "share of the frame")
    budget = quantity("J", nonnegative, PER_INSTANCE, "energy")
    trust = quantity("1", fraction, ("receiver", "transmitter"), "trust")
    limit = quantity("bit/s", at_least(0, math.inf), DEVICE, "most", default=math.inf, common=True)
    floor = quantity("bit/s", nonnegative, DEVICE, "least", default=0.0, common=True)


def link(**changes):
    return Link.of(
        "Link",
        **(
            {
                "rate": [1e6, 2e6, 3e6],
                "share": 0.5,
                "budget": 1.0,
                "trust": 1.0,
                "limit": math.inf,
                "floor": 0.0,
            }
            | changes
        ),
    )


@pytest.mark.parametrize(
    ("domain", "inside", "outside"),
    [
        (positive, [5e-324, 1.0, 1.7e308], [0.0, -0.0, -1.0, math.inf, math.nan]),
        (nonnegative, [0.0, -0.0, 1.0], [-5e-324, math.inf, math.nan]),
        (finite, [-1.7e308, 0.0], [math.inf, -math.inf, math.nan]),
        (fraction, [0.0, 1.0], [-1e-300, 1 + 2**-52, math.nan]),
        (at_least(1), [1.0, 2.0], [1 - 2**-53, math.inf, math.nan]),
        (unrestricted, [math.inf, -math.inf, 0.0], [math.nan]),
    ],
    ids=lambda value: getattr(value, "text", ""),
)
def test_domains_at_their_ends(domain, inside, outside):
    assert domain.contains(np.array(inside)).all()
    assert not domain.contains(np.array(outside)).any()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rate": -1.0}, r"^Link\.rate: expected > 0, got -1\.0$"),
        (
            {"rate": [1.0, math.nan, 0.0]},
            r"^Link\.rate: expected a finite number > 0, got nan at index 1 \(2 of 3 invalid\)$",
        ),
        ({"share": [[0.1, 2.0, 0.3]]}, r"^Link\.share: .*in \[0, 1\], got 2\.0 at index \(0, 1\) \(1 of 3"),
        ({"budget": -1}, r"^Link\.budget: expected >= 0, got -1\.0$"),
        (
            {"budget": np.ma.array([1.0, 2.0], mask=[False, True])},
            "budget: expected a finite number >= 0, got nan at index 1",
        ),
        ({"rate": "fast"}, r"^Link\.rate: expected real numbers, got 'fast'$"),
        ({"rate": ["1e6"]}, r"Link\.rate: expected real numbers"),
        ({"rate": True}, r"Link\.rate: expected real numbers, got True"),
        ({"rate": 1j}, r"Link\.rate: expected real numbers"),
        ({"rate": None}, r"Link\.rate: expected real numbers, got None"),
        ({"rate": np.array([1.0, "2"], object)}, r"Link\.rate: expected real numbers"),
        ({"rate": np.array([1, True], object)}, r"Link\.rate: expected real numbers"),
        ({"rate": [1.0, None]}, r"Link\.rate: expected a finite number > 0, got nan at index 1"),
        ({"rate": [[1.0], [2.0, 3.0]]}, r"Link\.rate: expected real numbers"),
        ({"rate": 10**400}, r"Link\.rate: expected real numbers, got 1000.*\.\.\.$"),
        ({"rate": []}, r"^Link\.rate: expected at least one value, got an empty array$"),
        ({"share": [0.1, 0.2]}, r"^Link\.share: expected 3 values along the device axis, as in rate, got 2$"),
        ({"trust": [0.1, 0.2]}, r"scalar or axes \(\.\.\., receiver, transmitter\), got shape \(2,\)$"),
        (
            {"rate": np.ones((2, 3)), "budget": np.ones(4)},
            r"^Link\.budget: expected leading \(batch\) axes that broadcast with \(2,\), got \(4,\) from",
        ),
    ],
)
def test_message(changes, message):
    with pytest.raises(ProblemError, match=message):
        link(**changes)


def test_integers_lists_and_other_arrays_are_numbers():
    assert check("f", "x", [1, 2], positive).tolist() == [1.0, 2.0]
    assert check("f", "x", np.array([1, 2], object), positive).dtype == np.float64
    assert check("f", "x", np.float32(0.5), positive) == 0.5
    assert check("f", "x", np.array([1, 2], np.uint8), positive).dtype == np.float64


def test_shapes_of_a_single_instance():
    one = link()
    assert one.batch_shape == ()
    assert one.sizes == {"device": 3, "receiver": 1, "transmitter": 1}
    assert one.rate.shape == one.share.shape == (3,)
    assert isinstance(one.budget, float)
    assert one.trust.shape == (1, 1)


def test_leading_axes_broadcast_to_a_batch():
    many = link(rate=np.ones((4, 1, 3)), budget=np.arange(1.0, 6.0), trust=np.eye(2))
    assert many.batch_shape == (4, 5)
    assert many.rate.shape == many.share.shape == (4, 5, 3)
    assert many.trust.shape == (4, 5, 2, 2)
    np.testing.assert_array_equal(many.budget, np.broadcast_to(np.arange(1.0, 6.0), (4, 5)))
    assert many[1, 2].trust.tolist() == [[1.0, 0.0], [0.0, 1.0]]


def test_one_device_broadcasts_to_all():
    assert link(share=[0.25]).share.tolist() == [0.25, 0.25, 0.25]
    assert link(rate=[1.0], share=[0.1, 0.2]).rate.tolist() == [1.0, 1.0]


def test_the_arrays_are_read_only_copies():
    given = np.array([1e6, 2e6, 3e6])
    record = link(rate=given)
    given[0] = -1.0
    assert record.rate[0] == 1e6
    for later in (record, pickle.loads(pickle.dumps(record))):
        assert later.block(DEVICE).flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            later.rate[0] = 5.0


def test_common_quantities_are_held_once_unless_one_is_given_an_array():
    batch = link(rate=np.full((4, 3), 1e6), limit=2e6)
    block = batch.block(DEVICE, common=True)
    assert block.shape == (2, 4, 3)
    assert not any(block.strides[1:])
    assert columns(block).tolist() == [[2e6], [0.0]]
    np.testing.assert_array_equal(batch.limit, np.full((4, 3), 2e6))
    with pytest.raises(ValueError, match="read-only"):
        batch.limit[0, 0] = 5.0
    spelled_out = link(rate=np.full((4, 3), 1e6), limit=np.full(3, 2e6))
    assert spelled_out.block(DEVICE, common=True).flags.c_contiguous
    assert columns(spelled_out.block(DEVICE, common=True)).shape == (2, 12)
    for same in (spelled_out, pickle.loads(pickle.dumps(batch)), batch[:]):
        assert same == batch
    with pytest.raises(ProblemError, match=r"Link\.limit: expected >= 0, got -1\.0"):
        link(rate=np.full((4, 3), 1e6), limit=-1.0)


def test_a_quantity_describes_itself():
    assert "rate [bit/s] (..., device) > 0: rate" in repr(Link.quantities["rate"])
    with pytest.raises(AttributeError, match=r"Link\.rate has no default"):
        _ = Link.rate


class Choices(Record):
    links = quantity("1", fraction, ("device", "device"), "whether there is a link", dtype=np.bool_)
    group = quantity("1", nonnegative, ("device",), "group", dtype=np.int64)


def test_booleans_and_whole_numbers_are_kept_exactly():
    record = Choices.of("f", links=[[True, False], [False, True]], group=[2, 1.0])
    assert record.links.dtype == np.bool_
    assert record.group.dtype == np.int64
    np.testing.assert_array_equal(record.links, np.eye(2) == 1)
    np.testing.assert_array_equal(Choices.of("f", links=np.eye(2), group=0).links, record.links)
    np.testing.assert_array_equal(Choices.of("f", links=True, group=[0, 3]).links, np.ones((2, 2)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"links": [[0.5, 1], [0, 1]]}, r"links: expected True or False, got 0\.5 at index \(0, 0\)"),
        ({"links": 2.0}, r"links: expected True or False, got 2\.0"),
        ({"links": [[np.nan]]}, r"links: expected True or False, got nan"),
        ({"links": "no"}, r"links: expected real numbers, got 'no'"),
        ({"group": [0, 1.5]}, r"group: expected a whole number, got 1\.5 at index 1 \(1 of 2 invalid\)"),
        ({"group": np.inf}, r"group: expected a whole number, got inf"),
        ({"group": [-1, 1]}, r"group: expected >= 0, got -1\.0 at index 0"),
        ({"group": True}, r"group: expected real numbers, got True"),
    ],
)
def test_what_booleans_and_whole_numbers_cannot_hold_is_refused(given, message):
    with pytest.raises(ProblemError, match=message):
        Choices.of("f", **({"links": True, "group": 0} | given))
