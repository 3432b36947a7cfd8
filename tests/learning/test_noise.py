"""Noise of one's own: torch's numbers, without torch's generator."""

import threading

import pytest
import torch
from torch import nn
from torch.nn import functional

from learning.models.noise import OwnNoise, draws

ONES = torch.ones(50, 8)
DRAWS = {
    "rand": lambda: torch.rand(4),
    "randn": lambda: torch.randn(4),
    "randint": lambda: torch.randint(9, (4,)),
    "randperm": lambda: torch.randperm(9),
    "bernoulli": lambda: torch.bernoulli(ONES * 0.4),
    "multinomial": lambda: torch.multinomial(ONES[0], 3),
    "normal": lambda: torch.normal(ONES, ONES),
    "exponential": lambda: torch.empty(5).exponential_(),
    "dropout": lambda: functional.dropout(ONES, 0.3),
    "dropout in place": lambda: functional.dropout(ONES.clone(), 0.3, inplace=True),
    "dropout of channels": lambda: functional.dropout2d(ONES[None, :, :, None], 0.3),
    "alpha dropout": lambda: functional.alpha_dropout(ONES, 0.3, training=True),
    "rrelu": lambda: functional.rrelu(-ONES, training=True),
    "attention": lambda: functional.scaled_dot_product_attention(
        ONES[None], ONES[None], ONES[None], dropout_p=0.3
    ),
    "linear": lambda: nn.Linear(3, 3).weight.detach(),
    "convolution": lambda: nn.Conv2d(1, 3, 3).weight.detach(),
    "recurrent": lambda: nn.LSTM(3, 3, 2, dropout=0.5)(torch.ones(2, 4, 3))[0].detach(),
    "orthogonal": lambda: nn.init.orthogonal_(torch.empty(5, 5)),
    "truncated": lambda: nn.init.trunc_normal_(torch.empty(5)),
}


@pytest.mark.parametrize("name", DRAWS)
def test_numbers_are_those_of_torchs_seed_and_its_generator_stays(name):
    with torch.random.fork_rng():
        torch.manual_seed(5)
        expected = DRAWS[name]()
    before = torch.random.get_rng_state()
    with OwnNoise(5):
        first, second = DRAWS[name](), DRAWS[name]()
    with OwnNoise(6):
        other = DRAWS[name]()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first, expected)
    assert not torch.equal(first, second)
    assert not torch.equal(first, other)


def test_what_is_drawn_elsewhere_meanwhile_changes_nothing():
    torch.manual_seed(1)
    with OwnNoise(5):
        expected = [torch.randn(1) for _ in range(4)]
    generator = torch.Generator().manual_seed(3)
    with OwnNoise(5):
        found = [torch.randn(1), torch.randn(1)]
        torch.manual_seed(9)
        torch.rand(3, generator=generator)  # who has a generator keeps it
        found += [torch.randn(1), torch.randn(1)]
    assert torch.equal(torch.cat(found), torch.cat(expected))
    assert not torch.equal(generator.get_state(), torch.Generator().manual_seed(3).get_state())


def test_gradients_go_through_the_noise():
    x = torch.ones(40, requires_grad=True)
    with OwnNoise(2):
        y = functional.dropout(x, 0.25)
        y.sum().backward()
    assert torch.equal(x.grad, y.detach())
    assert sorted(set(x.grad.tolist())) == pytest.approx([0.0, 4 / 3])


def test_a_fused_dropout_is_one_too():
    x = torch.ones(20_000, requires_grad=True)
    before = torch.random.get_rng_state()
    with OwnNoise(2):
        y, kept = torch.native_dropout(x, 0.25, True)
        (gradient,) = torch.autograd.grad(y.sum(), x)
        same, everything = torch.native_dropout(x, 0.25, False)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert float(kept.double().mean()) == pytest.approx(0.75, abs=5 * (0.25 * 0.75 / 20_000) ** 0.5)
    torch.testing.assert_close(y, kept / 0.75)
    torch.testing.assert_close(gradient, kept / 0.75)
    assert torch.equal(same, x)
    assert everything.all()


def test_threads_do_not_disturb_each_other():
    def work(seed, out, gate):
        with OwnNoise(seed):
            layer = nn.Sequential(nn.Linear(6, 6), nn.Dropout(0.5))
            gate.wait(60)
            for _ in range(50):
                out.append(layer(torch.ones(4, 6)).detach() + torch.rand(4, 6))

    def together(seeds):
        outs, gate = [[] for _ in seeds], threading.Barrier(len(seeds))
        threads = [
            threading.Thread(target=work, args=(seed, out, gate), daemon=True)
            for seed, out in zip(seeds, outs, strict=True)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        return [torch.stack(out) for out in outs]

    before = torch.random.get_rng_state()
    alone = [together([seed])[0] for seed in (1, 2, 3, 4)]
    for found, expected in zip(together([1, 2, 3, 4]), alone, strict=True):
        assert torch.equal(found, expected)
    assert torch.equal(torch.random.get_rng_state(), before)


class Hidden(nn.Module):
    """Noise that no layer shows."""

    def forward(self, x):
        return functional.dropout(x, 0.5, self.training)


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        (nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.1)), True),
        (nn.Sequential(nn.Linear(8, 3), nn.Dropout(0.0)), False),
        (nn.Sequential(nn.Linear(8, 3), Hidden()).eval(), True),
        (nn.Sequential(nn.Linear(8, 3), nn.RReLU()), True),
        (nn.Sequential(nn.Linear(8, 3), nn.BatchNorm1d(3)), False),
    ],
)
def test_models_that_draw_are_found_and_left_as_they_were(model, expected):
    before = torch.random.get_rng_state()
    values = {name: value.clone() for name, value in model.state_dict().items()}
    training = model.training
    assert draws(model, ONES) is expected
    assert draws(model, ONES) is expected
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, values[name]) for name, value in model.state_dict().items())
    assert model.training == training


def test_noise_of_ones_own_does_not_load_torchs_compiler():
    """Torch wraps what it would leave alone when compiling, and the first call of the wrapper takes a second."""
    assert not hasattr(OwnNoise.__torch_dispatch__, "__wrapped__")
