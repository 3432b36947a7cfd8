"""Placement: area-uniform by its moments and its distribution, reproducible, and clear about bad input."""

import numpy as np
import pytest
from scipy import stats

from radioopt.base.errors import ProblemError
from radioopt.channel import distances_m, uniform_in_disc

COUNT = 40_000
RADIUS, MINIMUM = 200.0, 35.0


@pytest.fixture(scope="module")
def positions():
    return uniform_in_disc(np.random.default_rng(7), COUNT, radius_m=RADIUS, min_distance_m=MINIMUM)


def test_distances_stay_in_the_ring(positions):
    distance = distances_m(positions)
    assert distance.min() >= MINIMUM * (1 - 1e-14)
    assert distance.max() <= RADIUS * (1 + 1e-14)


def test_area_uniform(positions):
    """The area inside a device's distance, as a share of the ring, is uniform on [0, 1]."""
    share = (distances_m(positions) ** 2 - MINIMUM**2) / (RADIUS**2 - MINIMUM**2)
    assert stats.kstest(share, "uniform").pvalue > 1e-3
    angle = np.arctan2(positions[:, 1], positions[:, 0]) / (2 * np.pi) + 0.5
    assert stats.kstest(angle, "uniform").pvalue > 1e-3


def test_mean_distance_and_centre(positions):
    """Mean distance 2/3 (R^3 - r^3)/(R^2 - r^2); the centre of mass is the base station. Both to 4 standard errors."""
    distance = distances_m(positions)
    mean = 2 / 3 * (RADIUS**3 - MINIMUM**3) / (RADIUS**2 - MINIMUM**2)
    assert abs(distance.mean() - mean) < 4 * distance.std() / np.sqrt(COUNT)
    assert (abs(positions.mean(axis=0)) < 4 * positions.std(axis=0) / np.sqrt(COUNT)).all()


def test_reproducible_and_batched():
    draw = [uniform_in_disc(np.random.default_rng(5), (4, 3), radius_m=100.0) for _ in range(2)]
    assert draw[0].shape == (4, 3, 2)
    np.testing.assert_array_equal(*draw)
    assert uniform_in_disc(np.random.default_rng(5), (), radius_m=100.0).shape == (2,)
    assert uniform_in_disc(np.random.default_rng(5), 0, radius_m=100.0).shape == (0, 2)


def test_distances_by_hand():
    assert distances_m([3.0, 4.0]) == 5.0
    assert type(distances_m([3.0, 4.0])) is float
    points = np.array([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    pairs = distances_m(points[:, None], points[None, :])
    assert pairs.tolist() == [[0.0, 5.0, 10.0], [5.0, 0.0, 5.0], [10.0, 5.0, 0.0]]
    assert distances_m([1.0, 2.0, 2.0], [0.0, 0.0, 0.0]) == 3.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius_m": -1.0}, r"uniform_in_disc\.radius_m: expected > 0, got -1\.0"),
        ({"radius_m": np.nan}, r"radius_m: expected a finite number > 0, got nan"),
        ({"radius_m": [100.0, 200.0]}, r"radius_m: expected one number, got shape \(2,\)"),
        ({"min_distance_m": -1.0}, r"min_distance_m: expected >= 0, got -1\.0"),
        ({"min_distance_m": 200.0}, r"min_distance_m: expected less than radius_m = 200, got 200"),
        ({"rng": 1}, r"uniform_in_disc\.rng: expected a numpy\.random\.Generator .*, got 1"),
        ({"size": -3}, r"uniform_in_disc\.size: expected a count or a tuple of counts, got -3"),
        ({"size": (2, 1.5)}, r"size: expected a count or a tuple of counts, got \(2, 1\.5\)"),
    ],
)
def test_bad_input_is_named(arguments, message):
    good = {"rng": np.random.default_rng(1), "size": 3, "radius_m": 200.0}
    with pytest.raises(ProblemError, match=message):
        uniform_in_disc(**good | arguments)


@pytest.mark.parametrize(
    ("points", "origin", "message"),
    [
        (
            [[0.0, np.inf]],
            [0.0, 0.0],
            r"distances_m\.position_m: expected a finite number, got inf at index \(0, 1\)",
        ),
        ([0.0, 0.0], [0.0, np.nan], r"distances_m\.origin_m: expected a finite number, got nan at index 1"),
        ([0.0, 0.0, 0.0], [0.0, 0.0], r"distances_m: expected shapes that broadcast"),
        ([[1.0]], [0.0, 0.0], r"distances_m: expected as many coordinates"),
        (1.0, 2.0, r"distances_m: expected as many coordinates"),
    ],
)
def test_bad_points_are_named(points, origin, message):
    with pytest.raises(ProblemError, match=message):
        distances_m(points, origin)
