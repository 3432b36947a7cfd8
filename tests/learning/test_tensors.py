"""FEEL's solver on tensors, on the CPU, beside the solver in NumPy: answers, certificate, derivatives, places."""

import math

import numpy as np
import pytest
import torch

from learning.layers import BatchsizeLayer, families
from learning.layers.tensors import certify_batchsizes, solve_batchsizes
from radioopt import ProblemError, SolveError
from validation import device_check
from validation.feel import zoo
from validation.feel.bench import draw

OPTIONS = ("cpu", "gpu", "broadcast", "deadline")


def as_tensors(problem, **options):
    shaped = {}
    for name, declared in problem.quantities.items():
        value = torch.tensor(np.array(getattr(problem, name)), **options)
        shaped[name] = value if declared.axes else value[..., None]
    shaped.pop("total_batchsize")
    return shaped


@pytest.mark.parametrize("problem", [*(zoo.with_option(o, 3, count=200) for o in OPTIONS), draw(20, 100)])
def test_answers_are_those_of_the_solver(problem):
    solution = problem.solve()
    found = solve_batchsizes(as_tensors(problem), broadcast=problem.downlink == "broadcast")
    assert found["answered"].all()
    assert (found["gap"] < 1e-12).all()
    for name in BatchsizeLayer.results:
        np.testing.assert_allclose(found[name].numpy(), getattr(solution, name), rtol=1e-12, err_msg=name)


@pytest.mark.parametrize("option", OPTIONS)
def test_the_certificate_is_the_twin_of_numpys(option):
    problem = zoo.with_option(option, 4, count=50)
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


@pytest.fixture
def on_tensors(monkeypatch):
    """Take tensors on the CPU for such on a GPU."""
    monkeypatch.setattr(families, "_on_gpu", lambda fields: True)


@pytest.fixture
def alone(on_tensors, monkeypatch):
    """Let nothing go to the solver on the CPU, and no new tensor lie elsewhere than those given."""
    monkeypatch.setattr(BatchsizeLayer, "_run", lambda *_: pytest.fail("solved on the CPU"))
    torch.set_default_device("meta")
    yield
    torch.set_default_device(None)


def fields_of(option, count=30):
    problem = zoo.with_option(option, 3, count=count)
    fields = {n: torch.from_numpy(np.array(getattr(problem, n))) for n in problem.quantities}
    return problem, fields


@pytest.mark.parametrize("option", OPTIONS)
def test_gradients_are_those_of_the_solution(option, alone):
    problem, fields = fields_of(option)
    solution, rng = problem.solve(), np.random.default_rng(1)
    weights = {
        n: rng.normal(size=v.shape) / np.max(v)
        for n in BatchsizeLayer.results
        for v in [getattr(solution, n)]
    }
    fields = {n: v.requires_grad_() for n, v in fields.items()}
    found = BatchsizeLayer(downlink=problem.downlink)(**fields)
    sum((getattr(found, n) * torch.from_numpy(w)).sum() for n, w in weights.items()).backward()
    known, steady = solution.vjp(weights), ~solution.at_kink
    for name, value in fields.items():
        scale = np.where(np.isfinite(v := value.detach().numpy()), v, 0.0)
        ours = (np.zeros(v.shape) if value.grad is None else value.grad.numpy()) * scale
        np.testing.assert_allclose(
            ours[steady], (known[name] * scale)[steady], rtol=1e-10, atol=1e-11, err_msg=name
        )


def test_type_shape_and_broadcast_are_kept(alone):
    _, fields = fields_of("cpu", 3)
    rates = fields.pop("uplink_rate_bps")[0].float().requires_grad_()
    bits = torch.tensor(1e6, dtype=torch.float64, device="cpu", requires_grad=True)
    found = BatchsizeLayer()(**fields | {"uplink_rate_bps": rates, "payload_bits": bits})
    assert found.batchsize.shape == (3, 4)
    assert found.objective.dtype == torch.float64
    found.objective.sum().backward()
    assert rates.grad.shape == (4,)
    assert rates.grad.dtype == torch.float32
    assert bits.grad.shape == ()
    assert {value.device.type for value in found} == {"cpu"}


def test_infeasible_instances_are_masked_and_do_not_spoil_the_others(alone):
    _, fields = fields_of("cpu", 3)
    bits = fields.pop("payload_bits").requires_grad_()
    late = torch.tensor([1e-3, math.inf, math.inf], dtype=torch.float64, device="cpu")
    found = BatchsizeLayer()(**fields | {"payload_bits": bits, "max_round_latency_s": late})
    assert found.answered.tolist() == [False, True, True]
    assert found.objective.isnan().tolist() == [True, False, False]
    torch.where(found.answered, found.objective, 0.0).sum().backward()
    assert bits.grad[0] == 0
    assert bits.grad[1:].isfinite().all()


def test_second_derivatives_are_refused(alone):
    _, fields = fields_of("cpu", 3)
    bits = fields.pop("payload_bits").requires_grad_()
    (slope,) = torch.autograd.grad(
        BatchsizeLayer()(**fields, payload_bits=bits).objective.sum(), bits, create_graph=True
    )
    with pytest.raises(NotImplementedError, match="an allocation has first derivatives only"):
        torch.autograd.grad(slope.sum(), bits)


def test_what_only_the_solver_on_the_cpu_does_goes_there(on_tensors):
    problem, fields = fields_of("total", 3)
    np.testing.assert_array_equal(BatchsizeLayer()(**fields).batchsize.numpy(), problem.solve().batchsize)
    _, fields = fields_of("cpu", 3)
    rates = fields.pop("uplink_rate_bps")
    jacobian = torch.func.jacrev(lambda r: BatchsizeLayer()(uplink_rate_bps=r, **fields).objective)(rates)
    assert jacobian.shape == (3, 3, 4)
    with pytest.raises(ProblemError, match="uplink_rate_bps"):
        BatchsizeLayer()(uplink_rate_bps=-rates, **fields)
    with pytest.raises(SolveError):
        BatchsizeLayer(infeasible="error", max_round_latency_s=1e-3)(
            uplink_rate_bps=rates, **{n: v for n, v in fields.items() if n != "max_round_latency_s"}
        )


def test_the_check_on_a_gpu_compares_both_solvers(monkeypatch):
    asked = iter([False, True])  # first the solver on the CPU, then that on tensors
    monkeypatch.setattr(families, "_on_gpu", lambda fields: next(asked))
    row = device_check.compare_layer("cpu", "broadcast")
    assert row["good"]
    assert 0 < row["answers"] < 1e-11
    assert 0 < row["gradients"] < 1e-9
