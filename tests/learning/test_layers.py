"""Allocations as layers: gradients, shapes, types, torch.func, whole numbers, no answers, relaxed choices."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from learning.layers import BatchsizeLayer, DistillationLayer, SynthesisLayer
from radioopt import OptionError, ProblemError, SolveError
from radioopt.dtkd.pricing import Pricing
from validation.dtkd import zoo as dtkd
from validation.feel import zoo as feel
from validation.fimi import zoo as fimi

OPTIONS = [
    *(("feel", option) for option in feel.OPTIONS),
    ("fimi", "all"),
    *(("dtkd", option) for option in dtkd.OPTIONS),
]
LAYERS = {"feel": BatchsizeLayer, "fimi": SynthesisLayer, "dtkd": DistillationLayer}


def drawn(family, option, count):
    """Instances with an optimum, away from kinks."""
    more = 3 * count
    if family == "feel":
        problem = feel.with_option(option, 9, count=more)
    elif family == "fimi":
        problem = fimi.random_batch(np.random.default_rng(9), more, 4)
    else:
        problem = dtkd.with_option(option, 9, count=more)
    solution = problem.solve(throw=False)
    return problem[np.flatnonzero((solution.status_code == 0) & ~solution.at_kink)[:count]]


def split(problem):
    """Fields to differentiate in, as tensors, and the rest as they are."""
    slopes = problem.solve(throw=False).vjp({"objective": 0.0})
    fields = {name: torch.tensor(np.array(getattr(problem, name))) for name in slopes}
    fields = {name: value for name, value in fields.items() if value.isfinite().all() and (value != 0).all()}
    rest = {name: value for name, value in problem.to_dict().items() if name not in fields} | problem.settings
    return fields, rest


def checked(problem):
    """Compare all derivatives with differences: one relative change of a field's device in all instances at once."""
    fields, rest = split(problem)
    layer = LAYERS[problem.family](**rest)
    quantities = problem.quantities
    now = layer(**fields)
    names = [name for name in layer.smooth if getattr(now, name).abs().max() > 0]
    # what is zero up to rounding has no relative size
    sizes = [
        getattr(now, name).abs().clamp(min=1.0 if name == "synthetic_samples" else 1e-30) for name in names
    ]
    changes = [
        torch.zeros(4 if quantities[n].axes else 1, dtype=torch.float64, requires_grad=True) for n in fields
    ]

    def results(*logs):
        moved = {
            name: value * (log if quantities[name].axes else log[0]).exp()
            for (name, value), log in zip(fields.items(), logs, strict=True)
        }
        found = layer(**moved)
        return tuple(getattr(found, name) / size for name, size in zip(names, sizes, strict=True))

    return gradcheck(results, changes, eps=1e-6, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize(("family", "option"), OPTIONS)
def test_gradcheck(family, option):
    assert checked(drawn(family, option, 3))


@pytest.mark.exhaustive
@pytest.mark.parametrize(("family", "option"), OPTIONS)
def test_gradcheck_on_two_hundred_instances(family, option):
    problem = drawn(family, option, 200)
    assert problem.batch_shape == (200,)
    assert checked(problem)


# -- shapes and types ------------------------------------------------------------------------------------------


@pytest.fixture
def cell():
    problem = feel.with_option("cpu", 1, count=3)
    return {name: torch.tensor(value) for name, value in problem.to_dict().items()}


def test_values_are_those_of_the_solver(cell):
    found = BatchsizeLayer()(**cell)
    solution = feel.with_option("cpu", 1, count=3).solve()
    for name in BatchsizeLayer.results:
        np.testing.assert_array_equal(getattr(found, name).numpy(), getattr(solution, name))
    assert found.answered.all()


def test_gradients_are_summed_back_to_what_was_broadcast(cell):
    whole = cell["uplink_rate_bps"][0].expand(3, 4).clone().requires_grad_()
    row = cell["uplink_rate_bps"][0].clone().requires_grad_()
    bits, each = torch.tensor(1e6, dtype=torch.float64), torch.full((3,), 1e6, dtype=torch.float64)
    bits.requires_grad_(), each.requires_grad_()
    rest = {name: value for name, value in cell.items() if name not in ("uplink_rate_bps", "payload_bits")}
    layer = BatchsizeLayer(**rest)
    layer(uplink_rate_bps=whole, payload_bits=each).round_latency_s.sum().backward()
    layer(uplink_rate_bps=row, payload_bits=bits).round_latency_s.sum().backward()
    torch.testing.assert_close(row.grad, whole.grad.sum(0), rtol=1e-12, atol=0.0)
    torch.testing.assert_close(bits.grad, each.grad.sum(), rtol=1e-12, atol=0.0)


def test_single_precision_is_solved_in_double_and_handed_out_as_it_came(cell):
    rates = cell.pop("uplink_rate_bps").float().requires_grad_()
    bits = torch.tensor(1_000_000, requires_grad=False)
    found = BatchsizeLayer()(
        uplink_rate_bps=rates, **{n: v.numpy() for n, v in (cell | {"payload_bits": bits}).items()}
    )
    assert found.objective.dtype == torch.float32
    found.objective.sum().backward()
    assert rates.grad.dtype == torch.float32
    exact = rates.detach().double().requires_grad_()
    BatchsizeLayer()(uplink_rate_bps=exact, **(cell | {"payload_bits": bits})).objective.sum().backward()
    torch.testing.assert_close(rates.grad.double(), exact.grad, rtol=1e-6, atol=0.0)


def test_more_leading_axes_are_a_larger_batch(cell):
    folded = {name: value[None, :, None].expand(2, *value[:, None].shape) for name, value in cell.items()}
    folded = {n: v[:, :, :, 0] if v.ndim == 5 else v for n, v in folded.items()}
    found = BatchsizeLayer()(**folded)
    flat = BatchsizeLayer()(**cell)
    assert found.batchsize.shape == (2, 3, 1, 4)
    torch.testing.assert_close(found.batchsize[1, :, 0], flat.batchsize, rtol=0.0, atol=0.0)


# -- torch.func ------------------------------------------------------------------------------------------------


def of_rates(cell):
    rates, rest = cell.pop("uplink_rate_bps"), dict(cell)
    return rates, lambda r: BatchsizeLayer()(uplink_rate_bps=r, **rest).batchsize


def test_jacobians_forward_and_reverse_agree(cell):
    rates, batchsize = of_rates(cell)
    reverse = torch.func.jacrev(batchsize)(rates)
    assert reverse.shape == (3, 4, 3, 4)
    torch.testing.assert_close(torch.func.jacfwd(batchsize)(rates), reverse, rtol=1e-10, atol=1e-18)
    for i in range(3):  # instances have nothing to do with each other
        assert not reverse[i, :, [j for j in range(3) if j != i]].any()


def test_mapping_over_instances_is_a_batch(cell):
    rates, batchsize = of_rates(cell)
    jacobian = torch.func.jacrev(batchsize)(rates)
    names = list(cell)

    def alone(r, *rest):
        return BatchsizeLayer()(uplink_rate_bps=r, **dict(zip(names, rest, strict=True))).batchsize

    for transform in (torch.func.jacrev, torch.func.jacfwd):
        mapped = torch.func.vmap(transform(alone))(rates, *cell.values())
        torch.testing.assert_close(
            mapped, torch.stack([jacobian[i, :, i] for i in range(3)]), rtol=1e-10, atol=1e-18
        )
    outer = torch.func.jacrev(lambda r: torch.func.vmap(alone)(r, *cell.values()))(rates)
    torch.testing.assert_close(outer, jacobian, rtol=1e-10, atol=1e-18)


def test_what_is_not_mapped_over_has_a_gradient_per_instance(cell):
    rest = {name: value[0] for name, value in cell.items() if name not in ("uplink_rate_bps", "payload_bits")}

    def efficiency(rates, bits):
        return BatchsizeLayer()(uplink_rate_bps=rates, payload_bits=bits, **rest).objective

    bits = torch.tensor(1e6, dtype=torch.float64)
    mapped = torch.func.vmap(torch.func.grad(efficiency, argnums=1), in_dims=(0, None))(
        cell["uplink_rate_bps"], bits
    )
    alone = [torch.func.grad(efficiency, argnums=1)(rates, bits) for rates in cell["uplink_rate_bps"]]
    torch.testing.assert_close(mapped, torch.stack(alone), rtol=1e-12, atol=0.0)


@pytest.mark.parametrize(
    "twice",
    [
        lambda f, x: torch.autograd.grad(torch.autograd.grad(f(x).sum(), x, create_graph=True)[0].sum(), x),
        lambda f, x: torch.func.hessian(lambda y: f(y).sum())(x),
    ],
    ids=["autograd", "func"],
)
def test_second_derivatives_are_refused_with_the_reason(cell, twice):
    rates, batchsize = of_rates(cell)
    with pytest.raises(NotImplementedError, match="an allocation has first derivatives only"):
        twice(batchsize, rates.requires_grad_())


# -- whole numbers, infeasible instances, mistakes ---------------------------------------------------------------


def test_whole_batches_have_the_gradients_of_the_continuous_optimum(cell):
    smooth, whole = (
        {n: v.clone().requires_grad_() if n == "seconds_per_sample" else v for n, v in cell.items()}
        for _ in range(2)
    )
    shown = BatchsizeLayer(integer=True)(**whole)
    assert (shown.batchsize == shown.batchsize.round()).all()
    shown.objective.sum().backward()
    BatchsizeLayer()(**smooth).objective.sum().backward()
    torch.testing.assert_close(whole["seconds_per_sample"].grad, smooth["seconds_per_sample"].grad)


def test_whole_synthetic_samples():
    fields, rest = split(drawn("fimi", "all", 2))
    found = SynthesisLayer(integer=True, **rest)(**{n: v.requires_grad_() for n, v in fields.items()})
    extra = found.synthetic_samples
    torch.testing.assert_close(extra, extra.round(), rtol=0.0, atol=1e-9)
    found.objective.sum().backward()
    assert fields["channel_gain"].grad.abs().sum() > 0


def test_infeasible_instances_are_nan_with_a_mask_and_do_not_spoil_the_others(cell):
    cell["payload_bits"] = torch.tensor(1e6, dtype=torch.float64, requires_grad=True)
    late = torch.tensor([1e-3, math.inf, math.inf], dtype=torch.float64)
    found = BatchsizeLayer()(**cell | {"max_round_latency_s": late})
    assert found.answered.tolist() == [False, True, True]
    assert found.objective.isnan().tolist() == [True, False, False]
    assert found.batchsize[0].isnan().all()
    torch.where(found.answered, found.objective, 0.0).sum().backward()
    assert cell["payload_bits"].grad.isfinite()
    assert cell["payload_bits"].grad < 0
    with pytest.raises(SolveError, match="at instance 0 of the batch: INFEASIBLE"):
        BatchsizeLayer(infeasible="error")(**cell | {"max_round_latency_s": late})


def test_mistakes_are_named(cell):
    with pytest.raises(ProblemError, match=r"unknown uplink_rate; did you mean uplink_rate_bps\?"):
        BatchsizeLayer()(uplink_rate=cell["uplink_rate_bps"])
    with pytest.raises(
        OptionError, match=r"BatchsizeLayer\.infeasible: expected 'nan' or 'error', got 'zero'"
    ):
        BatchsizeLayer(infeasible="zero")
    with pytest.raises(OptionError, match=r"DistillationLayer\.temperature: expected a number >= 0, got -1"):
        DistillationLayer(temperature=-1)
    fields, rest = split(drawn("dtkd", "plain", 2))
    place = torch.tensor(rest.pop("fixed_place"), requires_grad=True)
    with pytest.raises(OptionError, match="DistillationLayer: fixed_place is a choice and has no derivative"):
        DistillationLayer(**fields, **rest)(fixed_place=place).objective.sum().backward()


# -- relaxed choices ---------------------------------------------------------------------------------------------


def free():
    problem = dtkd.draw(3, 2, 5, bandwidth_price_per_hz=[1e-10, 1e-7])
    return problem, {name: getattr(problem, name) for name in ("catalogue", *problem.quantities)}


@pytest.fixture(params=[False, True], ids=["power", "density"])
def asked(request):
    if not request.param:
        return free()
    problem, _ = free()
    problem = problem.replace(noise_power_w=0.0, noise_psd_w_per_hz=1e-12 / problem.bandwidth_hz)
    return problem, {name: getattr(problem, name) for name in ("catalogue", *problem.quantities)}


def test_relaxed_choices_lie_between_the_dual_and_it_less_their_entropy(asked):
    problem, fields = asked
    dual = np.array([Pricing.of(problem[i]).maximise(math.inf).value for i in range(2)])
    before = np.full(2, -math.inf)
    for temperature in (0.1, 0.01, 1e-3, 1e-5):
        found = DistillationLayer(temperature=temperature, **fields)()
        objective = found.objective.numpy()
        assert (objective <= dual + 1e-9).all()
        assert (objective >= dual - temperature * 3 * math.log(8) - 1e-9).all()
        assert (objective > before).all()
        before = objective
        np.testing.assert_allclose(
            found.server_cpu_frequency_hz.sum(-1), problem.server_cpu_frequency_hz, rtol=1e-9
        )
        assert (found.bandwidth_hz.sum(-1).numpy() <= problem.bandwidth_hz * (1 + 1e-9)).all()
        torch.testing.assert_close(found.model.sum(-1), torch.ones(2, 3, dtype=torch.float64))
    np.testing.assert_array_equal(found.model.argmax(-1), problem.solve().model)
    np.testing.assert_allclose(objective, problem.solve().objective, rtol=1e-3)


def test_without_a_choice_the_relaxed_problem_is_the_problem():
    problem = dtkd.with_option("plain", 3, count=2)
    fields = {name: getattr(problem, name) for name in ("catalogue", *problem.quantities)}
    found, exact = DistillationLayer(temperature=0.3, **fields)(), problem.solve()
    for name in ("server_cpu_frequency_hz", "bandwidth_hz", "delay_s", "objective"):
        np.testing.assert_allclose(getattr(found, name), getattr(exact, name), rtol=1e-11)


def test_relaxed_choices_have_first_and_second_derivatives(asked):
    _, fields = asked
    names = (
        "channel_gain",
        "server_cpu_frequency_hz",
        "bandwidth_price_per_hz",
        "label_bits",
        "delay_weight_per_s",
    )
    base = {name: torch.tensor(np.array(fields.pop(name))) for name in names}
    layer = DistillationLayer(temperature=0.05, **fields)

    def results(*logs):
        found = layer(**{name: base[name] * log.exp() for name, log in zip(names, logs, strict=True)})
        return (
            found.server_cpu_frequency_hz / 1e9,
            found.bandwidth_hz / 1e6,
            found.delay_s,
            found.objective,
            found.model,
        )

    logs = [
        torch.zeros(3 if base[name].ndim > 1 else 1, dtype=torch.float64, requires_grad=True)
        for name in names
    ]
    assert gradcheck(results, logs, eps=1e-6, rtol=1e-5, atol=1e-6)
    assert gradgradcheck(lambda *x: results(*x)[3], logs, eps=1e-6, rtol=1e-4, atol=1e-5)


def test_what_is_not_relaxed_is_said():
    problem = dtkd.with_option("bounds", 3, count=2)
    fields = {name: getattr(problem, name) for name in ("catalogue", *problem.quantities)}
    with pytest.raises(
        OptionError, match="temperature: bounds and deadlines are not relaxed: leave them out, or take"
    ):
        DistillationLayer(temperature=0.1, **fields)()
    problem, fields = free()
    gain = torch.tensor(fields.pop("channel_gain"))
    with pytest.raises(NotImplementedError, match=r"torch\.func cannot map over relaxed choices"):
        torch.func.vmap(lambda g: DistillationLayer(temperature=0.1, **fields)(channel_gain=g).objective)(
            gain
        )


def test_a_policy_learns_through_its_allocation():
    """Rates that a network predicts, trained through the efficiency of the allocation they lead to."""
    torch.manual_seed(0)
    problem = feel.with_option("cpu", 4)
    rest = {name: value for name, value in problem.to_dict().items() if name != "payload_bits"}
    log = torch.zeros((), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.SGD([log], lr=0.3)
    layer = BatchsizeLayer(**rest)
    for _ in range(60):  # more bits a gradient help it by their square root and cost time
        optimiser.zero_grad()
        bits = problem.payload_bits.item() * log.exp()
        value = layer(payload_bits=bits).objective * (1 - torch.exp(-bits / 1e6))
        (-value.log()).backward()
        optimiser.step()
    assert abs(log.grad) < 1e-3
