"""FEEL's and FIMI's solvers on tensors, on the CPU, beside the kernels: answers, certificates, derivatives, places."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from learning.layers import BatchsizeLayer, SynthesisLayer
from learning.layers.synthesis import certify_syntheses, solve_syntheses
from learning.layers.synthesis_devices import Canonical, answer
from learning.layers.tensors import certify_batchsizes, solve_batchsizes
from learning.local.globals import torch_threads
from radioopt import OptionError, ProblemError, SolveError, Status
from radioopt.fimi.certificate import _dual
from radioopt.fimi.device import Canonical as InNumPy
from validation import device_check
from validation.feel import zoo as feel
from validation.feel.bench import draw
from validation.fimi import zoo as fimi

LAYERS = {"feel": BatchsizeLayer, "fimi": SynthesisLayer}
OPTIONS = [*(("feel", option) for option in feel.OPTIONS), ("fimi", "all"), ("fimi", "fixed")]
EACH = pytest.mark.parametrize(("family", "option"), OPTIONS, ids="-".join)


def drawn(family, option, count=30, devices=4):
    if family == "feel":
        return feel.with_option(option, 3, count=count, devices=devices)
    problem = fimi.random_batch(np.random.default_rng(3), count, devices)
    if option == "all":
        return problem
    samples = problem.local_samples * np.random.default_rng(4).uniform(0.1, 1, (count, devices))
    return problem.replace(fixed_synthetic_samples=samples)


def as_tensors(problem):
    shaped = {}
    for name, declared in problem.quantities.items():
        value = torch.tensor(np.array(getattr(problem, name)))
        shaped[name] = value if declared.axes else value[..., None]
    *batch, devices = np.broadcast_shapes(*(value.shape for value in shaped.values()))
    return {n: v.expand(*batch, devices if problem.quantities[n].axes else 1) for n, v in shaped.items()}


def solved(problem):
    with torch_threads(1):  # operations on so little wait for each other longer than they take
        if problem.family == "feel":
            return solve_batchsizes(as_tensors(problem), broadcast=problem.downlink == "broadcast")
        return solve_syntheses(as_tensors(problem))


# -- answers -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "problem", [*(feel.with_option(o, 3, count=200) for o in feel.OPTIONS), draw(20, 100)]
)
def test_answers_of_feel_are_those_of_the_solver(problem):
    solution, found = problem.solve(), solved(problem)
    assert found["answered"].all()
    assert (found["gap"] < 1e-12).all()
    for name in BatchsizeLayer.results:
        np.testing.assert_allclose(found[name].numpy(), getattr(solution, name), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize(
    ("option", "devices"), [("all", 1), ("all", 8), ("fixed", 3), ("hardly", 3), ("conflict", 5)]
)
def test_answers_of_fimi_are_those_of_the_solver(option, devices):
    """Scales over decades; some with no room left, where the solvers agree on what is infeasible."""
    excess = {"hardly": 1e-7, "conflict": 0.03}.get(option)
    if excess is None:
        problem = drawn("fimi", option, 40, devices)
    else:
        problem = fimi.random_batch(np.random.default_rng(devices), 40, devices, excess=excess)
    compare(problem)


DECISIONS = ("synthetic_samples", "cpu_frequency_hz", "bandwidth_hz", "transmit_power_w")


def compare(problem):
    """Answers, whether there is one, and the certificate in NumPy, which knows nothing but the decisions."""
    solution, found = problem.solve(throw=False), solved(problem)
    answered = found["answered"].numpy()
    np.testing.assert_array_equal(answered, np.asarray(solution.status_code) == 0)
    for name in (*SynthesisLayer.results, "price_bandwidth_j_per_hz"):
        ours, known = found[name].numpy(), np.array(getattr(solution, name))
        assert np.isnan(ours[~answered]).all()
        if name == "synthetic_samples":  # a difference: rounding of what is subtracted
            ours, known = (value + problem.local_samples for value in (ours, known))
        np.testing.assert_allclose(ours[answered], known[answered], rtol=1e-8, err_msg=name)
    # by the certificate in NumPy: feasible, and as near to the optimum as it proves of what the kernels found
    judged = problem.certificate(**{name: found[name].numpy() for name in DECISIONS})
    known = problem.certificate(**{name: getattr(solution, name) for name in DECISIONS})
    assert (np.asarray(judged.status)[answered] <= Status.FEASIBLE).all()
    assert (np.asarray(judged.gap)[answered] <= np.maximum(known.gap, 1e-9)[answered] * 1.01).all()
    return answered


@pytest.mark.slow
@pytest.mark.parametrize("count", [30, pytest.param(200, marks=pytest.mark.exhaustive)])
@pytest.mark.parametrize("devices", [1, 2, 5, 12])
def test_answers_of_fimi_are_those_of_the_solver_near_what_is_feasible(devices, count):
    drawn = [
        fimi.random_batch(np.random.default_rng([devices, 1]), count, devices, excess=excess)
        for excess in (0.0, 1e-9, 1e-4, 0.02)
    ]
    together = {name: np.concatenate([getattr(each, name) for each in drawn]) for name in drawn[0].quantities}
    compare(drawn[0].replace(**together))


@pytest.mark.parametrize("name", fimi.named())
def test_named_instances_of_fimi(name):
    assert compare(fimi.named()[name]).all()


def test_what_is_infeasible_is_not_answered():
    for name, problem in fimi.infeasible().items():
        assert not solved(problem)["answered"], name


def test_devices_are_looked_at_together():
    """No pass over devices or instances one by one: ten times as many take the same number of operations."""
    counts = []
    for devices, count in ((4, 3), (40, 30)):
        with Counting() as counting:
            solved(fimi.paper(devices, 0, count))
        counts.append(counting.operations)
    assert 0 < counts[1] < 1.5 * counts[0]


class Counting(TorchDispatchMode):
    """Counts operations on tensors."""

    operations = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.operations += 1
        return function(*args, **(kwargs or {}))


# -- certificates --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("option", feel.OPTIONS)
def test_the_certificate_of_feel_is_the_twin_of_numpys(option):
    problem = feel.with_option(option, 4, count=50)
    solution, rng = problem.solve(), np.random.default_rng(0)
    for spread in (0.0, 1e-3, 0.3):  # the optimum, points near it, and points far from it
        names = ("batchsize", "uplink_slot_s", "downlink_slot_s")
        point = {n: getattr(solution, n) * np.exp(spread * rng.normal(size=(50, 4))) for n in names}
        known = problem.certificate(**point)
        objective, bound, residual = certify_batchsizes(
            as_tensors(problem),
            {n: torch.tensor(value) for n, value in point.items()},
            broadcast=problem.downlink == "broadcast",
        )
        np.testing.assert_allclose(objective[:, 0], known.objective, rtol=1e-13)
        np.testing.assert_allclose(bound[:, 0], known.bound, rtol=1e-11)
        worst = np.max([*known.residuals.values()], axis=0)
        np.testing.assert_allclose(
            residual[:, 0].clamp(min=0.0), np.maximum(worst, 0.0), rtol=1e-12, atol=1e-14
        )


@pytest.mark.parametrize("spread", [0.0, 0.1, 2.0])
def test_the_bound_of_fimi_is_the_dual_of_numpys_certificate(spread):
    """At the prices of the optimum, near them and far from them; every device's answer is a root of its own."""
    problem = fimi.random_batch(np.random.default_rng(7), 60, 5)
    solution, rng = problem.solve(), np.random.default_rng(0)
    nu, varpi = (
        price[:, None] * np.exp(spread * rng.normal(size=(60, 1)))
        for price in (solution.price_learning_j, solution.price_bandwidth_j_per_hz)
    )
    with np.errstate(all="ignore"):
        known = _dual(InNumPy.of(problem), nu, varpi)[0][:, 0]
    p, log_nu, log_varpi = (
        Canonical.of(as_tensors(problem)),
        torch.tensor(nu).log(),
        torch.tensor(varpi).log(),
    )
    objective, bound, residual = certify_syntheses(p, answer(p, log_nu, log_varpi), log_nu, log_varpi)
    objective, bound = objective[:, 0].numpy(), bound[:, 0].numpy()
    size = np.maximum(np.abs(bound), objective)
    np.testing.assert_allclose(bound / size, known / size, rtol=0.0, atol=1e-11)
    assert (bound <= solution.objective * (1 + 1e-12)).all()
    if spread == 0.0:
        assert (residual < 1e-9).all()


# -- layers --------------------------------------------------------------------------------------------------------


@pytest.fixture
def alone(monkeypatch):
    """Let nothing go to the solver on the CPU, and no new tensor lie elsewhere than those given."""
    for layer in LAYERS.values():
        monkeypatch.setattr(layer, "_run", lambda *_: pytest.fail("solved on the CPU"))
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def fields_of(family, option, count=30):
    problem = drawn(family, option, count)
    return problem, {n: torch.from_numpy(np.array(getattr(problem, n))) for n in problem.quantities}


def layer_of(problem, **options):
    return LAYERS[problem.family](solver="tensors", **options, **problem.settings)


@EACH
def test_gradients_are_those_of_the_solution(family, option, alone):
    problem, fields = fields_of(family, option)
    solution, rng = problem.solve(throw=False), np.random.default_rng(1)
    layer, answered = layer_of(problem), solution.status_code == 0
    weights = {}
    for name in layer.results:
        value = np.nan_to_num(getattr(solution, name))
        size = value + problem.local_samples if name == "synthetic_samples" else np.maximum(value, 1e-30)
        weights[name] = rng.normal(size=value.shape) / size * answered.reshape(-1, *[1] * (value.ndim - 1))
    fields = {n: v.requires_grad_() for n, v in fields.items()}
    found = layer(**fields)
    parts = ((getattr(found, n), torch.from_numpy(w)) for n, w in weights.items())
    sum((value * w)[torch.from_numpy(answered)].sum() for value, w in parts).backward()
    known, steady = solution.vjp(weights), answered & ~solution.at_kink
    assert steady.sum() >= 10
    for name, value in fields.items():
        if name not in known:
            continue
        v = value.detach().numpy()
        ours = np.zeros(v.shape) if value.grad is None else value.grad.numpy()
        assert not ours[~answered].any()
        scale = np.where(np.isfinite(v), v, 0.0)
        np.testing.assert_allclose(
            (ours * scale)[steady], (known[name] * scale)[steady], rtol=1e-9, atol=1e-9, err_msg=name
        )


@pytest.mark.parametrize("family", LAYERS)
def test_type_shape_and_broadcast_are_kept(family, alone):
    problem, fields = fields_of(family, {"feel": "cpu", "fimi": "all"}[family], 3)
    device, instance = {
        "feel": ("uplink_rate_bps", "payload_bits"),
        "fimi": ("channel_gain", "bandwidth_hz"),
    }[family]
    fields = {n: v[:1].expand_as(v) for n, v in fields.items()}
    row = fields.pop(device)[0].float().requires_grad_()
    one = fields.pop(instance)[0].clone().requires_grad_()
    found = layer_of(problem)(**fields | {device: row, instance: one})
    assert found[0].shape == (3, 4)
    assert found.objective.dtype == torch.float64
    found.objective.sum().backward()
    assert (row.grad.shape, row.grad.dtype) == ((4,), torch.float32)
    assert (one.grad.shape, one.grad.dtype) == ((), torch.float64)
    assert {value.device.type for value in found} == {"cpu"}


@pytest.mark.parametrize("family", LAYERS)
def test_single_precision_is_solved_in_double_and_handed_out_as_it_came(family, alone):
    problem, fields = fields_of(family, {"feel": "cpu", "fimi": "all"}[family], 3)
    field = {"feel": "uplink_rate_bps", "fimi": "channel_gain"}[family]
    single = fields.pop(field).float().requires_grad_()
    exact = single.detach().double().requires_grad_()
    fixed = {n: v.numpy() for n, v in fields.items()}
    found = layer_of(problem)(**fixed, **{field: single})
    double = layer_of(problem)(**fixed, **{field: exact})
    assert {value.dtype for value in found} == {torch.float32, torch.bool}
    for ours, known in zip(found, double, strict=True):
        torch.testing.assert_close(ours, known.to(ours.dtype), rtol=0.0, atol=0.0)
    found.objective.sum().backward(), double.objective.sum().backward()
    torch.testing.assert_close(single.grad, exact.grad.float(), rtol=1e-6, atol=0.0)
    counted = torch.full((), 3, device="cpu")  # whole numbers alone do not make whole results
    name = {"feel": "update_time_s", "fimi": "local_epochs"}[family]
    assert (
        layer_of(problem)(**fixed | {field: exact.detach().numpy(), name: counted}).objective.dtype
        == torch.float64
    )


@pytest.mark.parametrize("family", LAYERS)
def test_infeasible_instances_are_masked_and_do_not_spoil_the_others(family, alone):
    problem, fields = fields_of(family, {"feel": "cpu", "fimi": "all"}[family], 3)
    bits = fields.pop("payload_bits").requires_grad_()
    late = fields["max_round_latency_s"].clone()
    late[0] = 1e-9
    found = layer_of(problem)(**fields | {"payload_bits": bits, "max_round_latency_s": late})
    assert found.answered.tolist() == [False, True, True]
    assert found.objective.isnan().tolist() == [True, False, False]
    torch.where(found.answered, found.objective, 0.0).sum().backward()
    assert bits.grad[0] == 0
    assert bits.grad[1:].isfinite().all()
    assert bits.grad[1:].all()


@pytest.mark.parametrize("family", LAYERS)
def test_second_derivatives_are_refused(family, alone):
    problem, fields = fields_of(family, {"feel": "cpu", "fimi": "all"}[family], 3)
    bits = fields.pop("payload_bits").requires_grad_()
    objective = layer_of(problem)(**fields, payload_bits=bits).objective.sum()
    (slope,) = torch.autograd.grad(objective, bits, create_graph=True)
    with pytest.raises(NotImplementedError, match="an allocation has first derivatives only"):
        torch.autograd.grad(slope.sum(), bits)


def test_the_learning_curve_is_one_setting(alone):
    problem = drawn("fimi", "all", 3)
    fields = {n: v for n, v in problem.to_dict().items() if not n.startswith("curve_")}
    gain = torch.tensor(fields.pop("channel_gain"), device="cpu")
    found = SynthesisLayer(solver="tensors", learning_curve=problem.learning_curve, **fields)(
        channel_gain=gain
    )
    np.testing.assert_allclose(found.objective, problem.solve().objective, rtol=1e-9)


def test_what_only_the_solver_on_the_cpu_does_goes_there():
    _, fields = fields_of("feel", "cpu", 3)
    rates = fields.pop("uplink_rate_bps")
    layer = BatchsizeLayer(solver="tensors")
    jacobian = torch.func.jacrev(lambda r: layer(uplink_rate_bps=r, **fields).objective)(rates)
    assert jacobian.shape == (3, 3, 4)
    with pytest.raises(ProblemError, match="uplink_rate_bps"):
        layer(uplink_rate_bps=-rates, **fields)
    with pytest.raises(ProblemError, match="total_batchsize"):
        layer(uplink_rate_bps=rates, **fields | {"total_batchsize": 1e6})
    with pytest.raises(SolveError):
        BatchsizeLayer(infeasible="error", max_round_latency_s=1e-3, solver="tensors")(
            uplink_rate_bps=rates, **{n: v for n, v in fields.items() if n != "max_round_latency_s"}
        )
    with forward_ad.dual_level():
        pushed = layer(uplink_rate_bps=forward_ad.make_dual(rates, rates), **fields).objective
        assert (forward_ad.unpack_dual(pushed).tangent > 0).all()
    whole = BatchsizeLayer(integer=True, solver="tensors")(uplink_rate_bps=rates, **fields).batchsize
    assert (whole == whole.round()).all()
    problem, fields = fields_of("fimi", "fixed", 3)
    fields["fixed_synthetic_samples"][0, 0] = math.inf
    with pytest.raises(ProblemError, match="fixed_synthetic_samples"):
        layer_of(problem)(**fields)


def test_the_solver_is_chosen_by_name():
    with pytest.raises(
        OptionError, match=r"SynthesisLayer\.solver: expected 'auto', 'tensors' or 'kernels', got 'gpu'"
    ):
        SynthesisLayer(solver="gpu")
    problem, fields = fields_of("feel", "cpu", 3)
    for solver in ("auto", "kernels"):  # tensors on the CPU go to the kernels
        found = BatchsizeLayer(solver=solver)(**fields)
        np.testing.assert_array_equal(found.batchsize, problem.solve().batchsize)


@pytest.mark.parametrize("kind", [("feel", "broadcast"), ("fimi", "fixed")])
def test_the_check_on_a_gpu_compares_both_solvers(kind):
    row = device_check.compare_layer("cpu", *kind, count=50)
    assert row["good"]
    assert 0 < row["answers"] < 1e-8
    assert 0 < row["gradients"] < 1e-8
