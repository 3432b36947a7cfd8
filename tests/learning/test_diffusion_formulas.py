"""Formulas of diffusion models, against their definitions."""

import math

import numpy as np
import pytest
import torch

from learning.generators import cosine_alpha_bar, ddim_step, ddim_steps, guided
from radioopt import OptionError


@pytest.mark.parametrize("steps", [1, 4, 300, 1000])
def test_the_schedule_is_the_product_of_what_each_step_leaves(steps):
    def f(t):
        return math.cos((t / steps + 0.008) / 1.008 * math.pi / 2) ** 2

    left, expected = 1.0, []
    for t in range(1, steps + 1):
        left *= 1.0 - min(1.0 - f(t) / f(t - 1), 0.999)
        expected.append(left)
    found = cosine_alpha_bar(steps)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.shape == (steps,)
    assert (found > 0).all()
    assert (found < 1).all()
    assert (np.diff(found) < 0).all()
    np.testing.assert_allclose(
        found[:-1], [f(t) / f(0) for t in range(1, steps)], rtol=1e-9
    )  # only the last is capped


def test_visited_steps_go_from_the_last_to_the_first():
    assert ddim_steps(300, 25).tolist() == np.rint(np.linspace(299, 0, 25)).astype(int).tolist()
    assert ddim_steps(7, 7).tolist() == [6, 5, 4, 3, 2, 1, 0]
    assert ddim_steps(300, 1).tolist() == [299]
    with pytest.raises(OptionError, match="visited: expected at most the 10 steps, got 11"):
        ddim_steps(10, 11)
    with pytest.raises(OptionError, match="visited: expected a whole number >= 1, got 0"):
        ddim_steps(10, 0)


def test_a_step_with_the_true_noise_is_the_same_sample_with_less_noise():
    rng = np.random.default_rng(0)
    x0, noise = rng.uniform(-1, 1, (5, 7)), rng.normal(size=(5, 7))
    now, before = 0.3, 0.7
    x = math.sqrt(now) * x0 + math.sqrt(1 - now) * noise
    previous, found = ddim_step(x, noise, now, before)
    np.testing.assert_allclose(found, x0, atol=1e-12)
    np.testing.assert_allclose(previous, math.sqrt(before) * x0 + math.sqrt(1 - before) * noise, atol=1e-12)
    last, _ = ddim_step(x, noise, now, 1.0)
    np.testing.assert_allclose(last, x0, atol=1e-12)


def test_after_clipping_the_noise_is_what_leads_from_the_clipped_sample_to_x():
    x, noise, now, before = np.array([2.0, -0.1, 0.4]), np.array([-1.0, 0.2, 0.0]), 0.25, 0.5
    previous, x0 = ddim_step(x, noise, now, before, clip=1.0)
    unclipped = (x - math.sqrt(0.75) * noise) / 0.5
    np.testing.assert_allclose(x0, np.clip(unclipped, -1, 1))
    again = (x - 0.5 * x0) / math.sqrt(0.75)
    np.testing.assert_allclose(previous, math.sqrt(0.5) * x0 + math.sqrt(0.5) * again)
    own, _ = ddim_step(x, noise, now, before, clip=lambda given: np.clip(given, -1, 1))
    np.testing.assert_array_equal(own, previous)


def test_tensors_are_stepped_as_arrays_are():
    x, noise = np.array([0.5, -2.0]), np.array([0.1, 0.3])
    arrays = ddim_step(x, noise, 0.4, 0.9, clip=1.0)
    tensors = ddim_step(torch.from_numpy(x), torch.from_numpy(noise), 0.4, 0.9, clip=1.0)
    for array, tensor in zip(arrays, tensors, strict=True):
        np.testing.assert_allclose(tensor.numpy(), array, rtol=1e-15)


def test_a_predictor_that_knows_the_sample_leads_to_it_from_any_noise():
    wanted, alpha_bar = np.array([0.3, -0.8, 1.0]), cosine_alpha_bar(300)
    x = np.random.default_rng(1).normal(size=3)
    visited = ddim_steps(300, 25)
    for step, following in zip(visited, [*visited[1:], None], strict=True):
        noise = (x - math.sqrt(alpha_bar[step]) * wanted) / math.sqrt(1 - alpha_bar[step])
        x, _ = ddim_step(
            x, noise, alpha_bar[step], 1.0 if following is None else alpha_bar[following], clip=1.0
        )
    np.testing.assert_allclose(x, wanted, atol=1e-9)


def test_guidance_moves_away_from_the_prediction_without_a_label():
    conditional, unconditional = np.array([1.0, 2.0]), np.array([0.5, 4.0])
    np.testing.assert_array_equal(guided(conditional, unconditional, 0.0), conditional)
    np.testing.assert_allclose(guided(conditional, unconditional, 2.0), [2.0, -2.0])
