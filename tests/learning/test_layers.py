"""Allocations as layers: gradients, shapes, types, torch.func, whole numbers, no answers, relaxed choices."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from learning.layers import BatchsizeLayer, DistillationLayer, SynthesisLayer
from learning.local.globals import torch_threads
from radioopt import OptionError, ProblemError, Scenario, SolveError
from radioopt.dtkd.pricing import Pricing
from validation.dtkd import zoo as dtkd
from validation.feel import zoo as feel
from validation.fimi import zoo as fimi

OPTIONS = [
    *(("feel", option) for option in feel.OPTIONS),
    ("fimi", "all"),
    ("fimi", "fixed"),
    *(("dtkd", option) for option in dtkd.OPTIONS),
]
LAYERS = {"feel": BatchsizeLayer, "fimi": SynthesisLayer, "dtkd": DistillationLayer}


#: relative change of fields of which differences are taken; and what a solver leaves open of a decision
STEP, OPEN = 1e-6, 1e-11


def drawn(family, option, count):
    """Instances with an optimum, away from kinks, whose active set no change by two steps changes."""
    more = 3 * count
    if family == "feel":
        problem = feel.with_option(option, 9, count=more)
    elif family == "fimi":
        problem = fimi.random_batch(np.random.default_rng(9), more, 4)
        if option == "fixed":
            share = np.random.default_rng(8).uniform(0.1, 1, (more, 4))
            problem = problem.replace(fixed_synthetic_samples=problem.local_samples * share)
    else:
        problem = dtkd.with_option(option, 9, count=more)
    solution = problem.solve(throw=False)
    held = active(solution)
    steady = (solution.status_code == 0) & ~solution.at_kink
    for name in solution.vjp({"objective": 0.0}):
        value, axes = np.array(getattr(problem, name)), problem.quantities[name].axes
        for moved in 2 * STEP * np.vstack([np.eye(4), -np.eye(4)]) if axes else (2 * STEP, -2 * STEP):
            there = problem.replace(**{name: value * np.exp(moved)}, strict=None).solve(throw=False)
            steady &= (there.status_code == 0) & (active(there) == held).all((0, -1))
    return problem[np.flatnonzero(steady)[:count]]


@np.errstate(invalid="ignore")
def active(solution):
    """What binds, by device, judged by the limits of the problem that was solved: those move with their field."""
    problem = solution.problem
    if problem.family == "feel":
        least, most = problem.min_batchsize, problem.max_batchsize
        late = solution.round_latency_s >= problem.max_round_latency_s * (1 - 1e-9)
        parts = [solution.batchsize <= least * (1 + 1e-9), solution.batchsize >= most * (1 - 1e-9), late]
    elif problem.family == "fimi":
        parts = [
            solution.synthetic_samples <= 1e-9 * problem.local_samples,
            solution.synthetic_samples >= problem.max_synthetic_samples * (1 - 1e-9),
            solution.cpu_frequency_hz >= problem.max_cpu_frequency_hz * (1 - 1e-9),
            solution.transmit_power_w >= problem.max_transmit_power_w * (1 - 1e-9),
            solution.price_learning_j > 0,
        ]
    else:
        cpu, band = solution.server_cpu_frequency_hz, solution.bandwidth_hz
        parts = [
            cpu <= problem.min_server_cpu_frequency_hz * (1 + 1e-9),
            cpu >= problem.max_server_cpu_frequency_hz * (1 - 1e-9),
            band <= problem.min_bandwidth_hz * (1 + 1e-9),
            band >= problem.max_bandwidth_hz * (1 - 1e-9),
            solution.price_delay_per_s > 0,
            solution.price_bandwidth_per_hz > 0,
        ]
    return np.stack(
        [np.broadcast_to(part if part.ndim == 2 else part[:, None], (len(part), 4)) for part in parts]
    )


def split(problem):
    """Fields to differentiate in, as tensors, and the rest as they are."""
    slopes = problem.solve(throw=False).vjp({"objective": 0.0})
    fields = {name: torch.tensor(np.array(getattr(problem, name))) for name in slopes}
    fields = {name: value for name, value in fields.items() if value.isfinite().all() and (value != 0).all()}
    rest = {name: value for name, value in problem.to_dict().items() if name not in fields} | problem.settings
    return fields, rest


def sizes_of(layer, problem, found):
    """What results are measured by: themselves, if there is anything of them."""
    names = [name for name in layer.smooth if getattr(found, name).abs().max() > 0]
    sizes = {name: getattr(found, name).detach().abs().clamp(min=1e-30) for name in names}
    if problem.family == "fimi":  # a difference: where there are none, rounding of what is subtracted
        sizes["synthetic_samples"] = found.synthetic_samples.detach() + torch.tensor(problem.local_samples)
    return sizes


@pytest.mark.parametrize(("family", "option"), OPTIONS)
def test_gradcheck(family, option):
    """One relative change of a field's device in all instances at once, by torch's own differences."""
    problem = drawn(family, option, 3)
    fields, rest = split(problem)
    layer, quantities = LAYERS[family](**rest), problem.quantities
    sizes = sizes_of(layer, problem, layer(**fields))
    changes = [
        torch.zeros(4 if quantities[n].axes else 1, dtype=torch.float64, requires_grad=True) for n in fields
    ]

    def results(*logs):
        moved = {
            name: value * (log if quantities[name].axes else log[0]).exp()
            for (name, value), log in zip(fields.items(), logs, strict=True)
        }
        found = layer(**moved)
        return tuple(getattr(found, name) / size for name, size in sizes.items())

    assert gradcheck(results, changes, eps=1e-6, rtol=1e-4, atol=2e-5)


@pytest.mark.exhaustive
@pytest.mark.parametrize(("family", "option"), OPTIONS)
def test_all_derivatives_of_two_hundred_instances_are_those_of_differences(family, option):
    problem = drawn(family, option, 200)
    assert problem.batch_shape == (200,)
    if option not in ("plain", "priced", "density"):  # these have no limits
        assert active(problem.solve(throw=False)).any((0, 2)).mean() > 0.7
    fields, rest = split(problem)
    layer, quantities = LAYERS[family](**rest), problem.quantities
    logs = {
        name: torch.zeros(200, 4 if quantities[name].axes else 1, dtype=torch.float64, requires_grad=True)
        for name in fields
    }

    def results(name=None, device=0, change=0.0):
        changed = {n: log + 0 for n, log in logs.items()}
        if name:
            changed[name] = logs[name].detach().clone()
            changed[name][:, device] += change
        moved = {
            n: v * changed[n].exp() if v.ndim > 1 else v * changed[n][:, 0].exp() for n, v in fields.items()
        }
        return layer(**moved)

    def differences(name, device, step):
        """Of fourth order, with how much each may be off: what the second order is off, and what solvers leave open."""
        with torch.no_grad():
            ends = [results(name, device, times * step) for times in (-2, -1, 1, 2)]
        found = {}
        for result, size in sizes.items():
            far_down, down, up, far_up = ((getattr(end, result) / size).reshape(200, -1) for end in ends)
            second = (up - down) / (2 * step)
            fourth = (4 * second - (far_up - far_down) / (4 * step)) / 3
            found[result] = fourth, (fourth - second).abs() + OPEN / step
        return found

    now = results()
    sizes = sizes_of(layer, problem, now)
    slopes = {}  # of each value of a result, in all fields; instances have nothing to do with each other
    for result, size in sizes.items():
        values = (getattr(now, result) / size).reshape(200, -1).sum(0)
        rows = [torch.autograd.grad(value, logs.values(), retain_graph=True) for value in values]
        slopes[result] = {n: torch.stack(of, 1) for n, of in zip(logs, zip(*rows, strict=True), strict=True)}
    for name, log in logs.items():
        for device in range(log.shape[1]):
            found = differences(name, device, STEP)
            if any((off > 2e-5 + 1e-4 * of.abs()).any() for of, off in found.values()):
                finer = differences(name, device, STEP / 10)  # nearly infeasible: elasticities of thousands
                for result, (of, off) in found.items():
                    small, less = finer[result]
                    found[result] = torch.where(less < off, small, of), torch.minimum(less, off)
            for result, (of, off) in found.items():
                slope = slopes[result][name][:, :, device]
                assert (off <= 1e-3 * (1 + of.abs())).all(), (result, name)
                torch.testing.assert_close(
                    slope, of, rtol=1e-4, atol=2e-5, msg=lambda text, at=(result, name): f"{at}: {text}"
                )


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


def test_torch_keeps_its_threads():
    """The kernels set the number of threads that both share."""
    problem = feel.with_option("cpu", 1, count=20_000)
    fields = {name: torch.tensor(value) for name, value in problem.to_dict().items()}
    bits = fields.pop("payload_bits").requires_grad_()
    with torch_threads(1):
        objective = BatchsizeLayer(**fields)(payload_bits=bits).objective.sum()
        assert torch.get_num_threads() == 1
        objective.backward()
        assert torch.get_num_threads() == 1


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


@pytest.mark.parametrize("layer", LAYERS.values())
def test_refuses_tensors_whose_gradient_would_be_lost(layer):
    """A list of tensors, or a fixed one, would be read as numbers: its gradient would be missing without a word."""
    wants = torch.tensor(1e6, requires_grad=True)
    with pytest.raises(OptionError, match=r"Layer\.bandwidth_hz: fixed fields get no gradient.*in the call"):
        layer(bandwidth_hz=wants)
    with pytest.raises(OptionError, match=r"Layer\.bandwidth_hz: a list of tensors .* torch\.stack"):
        layer()(bandwidth_hz=[[wants, wants]])
    assert torch.equal(layer(bandwidth_hz=wants.detach()).fixed["bandwidth_hz"], wants)


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


def test_whole_numbers_do_not_make_relaxed_results_whole(asked):
    _, fields = asked
    del fields["delay_weight_per_s"]
    layer = DistillationLayer(temperature=0.1, **fields)
    found = layer(delay_weight_per_s=torch.tensor(2))
    assert found.objective.dtype == torch.float64
    torch.testing.assert_close(found.objective, layer(delay_weight_per_s=2.0).objective)


def test_relaxed_instances_beyond_the_digits_are_nan_without_a_gradient_or_refused(asked):
    _, fields = asked
    gain = torch.tensor(fields.pop("channel_gain"))
    gain[1] *= 1e-290
    gain.requires_grad_()
    found = DistillationLayer(temperature=0.1, **fields)(channel_gain=gain)
    assert found.answered.tolist() == [True, False]
    assert all(part[0].isfinite().all() and part[1].isnan().all() for part in found[:-1])
    found.objective.nansum().backward()
    assert gain.grad[0].abs().min() > 0
    assert (gain.grad[1] == 0).all()
    with pytest.raises(SolveError, match="at instance 1 of the batch"):
        DistillationLayer(temperature=0.1, infeasible="error", **fields)(channel_gain=gain)


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


def test_numbers_of_a_solution_are_copied_into_tensors_without_a_warning():
    solution = Scenario.load("feel-cpu").draw(seed=1).problem("feel").solve()
    copied = torch.tensor(solution.batchsize)
    assert copied.tolist() == solution.batchsize.tolist()
    copied[0] = 0.0
    assert solution.batchsize[0] > 0
    assert not solution.batchsize.flags.writeable
