"""Models as others write them: several outputs, parts that are not used, wrappers; rates beyond the digits."""

import inspect

import numpy as np
import pytest
import torch
from torch import nn

from learning import SCHEMES, time_engines, time_training, train
from learning.local.optimisers import schedule
from radioopt import OptionError, ProblemError, Scenario

OPTIONS = {"data": "digits@300+100", "rounds": 2, "progress": False}
#: schemes and engines: flat gradients, stacked steps, and device by device
SCHEMES_TRIED = ("feel", "fedavg")


class Net(nn.Module):
    """A linear model with a part that is not used, and an output as it is told."""

    def __init__(self, output=lambda logits, x: logits):
        super().__init__()
        self.used, self.spare = nn.Linear(64, 10), nn.Linear(64, 10)
        self.output = output

    def forward(self, x):
        return self.output(self.used(x.flatten(1)), x)


def losses(cell, scheme="feel", **options):
    result = train(cell, scheme=scheme, **OPTIONS | options)
    return [entry.test_loss for entry in result.ledger.entries], result


@pytest.mark.parametrize("scheme", ["feel", "fedavg", "individual"])
def test_parameters_that_are_not_used_stay_and_the_others_learn(cell, scheme):
    found, result = losses(cell, scheme, model=lambda *_: Net())
    used, unused = result.task.initial_parameters(), result.weights(0 if scheme == "individual" else None)
    assert torch.equal(used["spare.weight"], unused["spare.weight"])
    assert not torch.equal(used["used.weight"], unused["used.weight"])
    assert found[-1] < result.ledger.initial_loss


class Tied(nn.Module):
    """Two layers that share their weights, by two names."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(64, 64), nn.Linear(64, 64)
        self.second.weight = self.first.weight
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        return self.last(self.second(self.first(x.flatten(1)).relu()).relu())


@pytest.mark.parametrize("scheme", ["feel", "fedavg"])
def test_weights_by_two_names_stay_one(cell, scheme):
    found, result = losses(cell, scheme, model=lambda *_: Tied())
    model = result.model()
    assert model.second.weight is model.first.weight
    x = result.task.test[0]
    assert torch.equal(result.task.outputs(result.weights(), x), model.eval()(x))
    assert found[-1] < result.ledger.initial_loss


OUTPUTS = {
    "tuple": lambda logits, x: (logits, x.mean()),
    "list": lambda logits, x: [logits],
    "mapping": lambda logits, x: {"hidden": x, "logits": logits},
}


@pytest.mark.parametrize("scheme", SCHEMES_TRIED)
@pytest.mark.parametrize("output", OUTPUTS)
def test_the_logits_of_several_outputs_are_trained(cell, scheme, output):
    expected, _ = losses(cell, scheme, model=lambda *_: Net())
    found, result = losses(cell, scheme, model=lambda *_: Net(OUTPUTS[output]))
    assert found == expected
    assert type(result.model()(torch.zeros(1, 64))) in (tuple, list, dict)  # the model itself is as it was


def test_several_outputs_are_timed():
    model = Net(OUTPUTS["tuple"])
    assert time_training(model, batchsizes=[1, 8, 64], repeats=1, progress=False).num_parameters == 1300
    times = time_engines(model, devices=[5], batchsizes=[2], steps=1, repeats=1)
    assert times[["plain_ms", "stacked_ms"]].notna().all(axis=None)


@pytest.mark.parametrize("scheme", SCHEMES_TRIED)
@pytest.mark.parametrize(
    "wrap",
    [
        nn.DataParallel,
        lambda net: torch.compile(net, backend="eager"),
        lambda net: nn.DataParallel(torch.compile(net)),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_wrapped_models_are_trained_as_what_is_inside(cell, scheme, wrap):
    expected, plain = losses(cell, scheme, model=lambda *_: Net())
    found, result = losses(cell, scheme, model=lambda *_: wrap(Net()))
    assert found == expected
    assert result.weights().keys() == plain.weights().keys()
    assert type(result.model()) is Net


@pytest.mark.parametrize("scheme", SCHEMES_TRIED)
@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_models_of_other_numbers_learn_in_them(cell, scheme, kind):
    found, result = losses(cell, scheme, model=lambda *_: Net().to(kind), rounds=5)
    assert {value.dtype for value in result.weights().values()} == {kind}
    assert found[-1] < result.ledger.initial_loss


def test_a_model_made_in_inference_mode_trains(cell):
    torch.manual_seed(1)
    model = Net()
    expected, _ = losses(cell, model=model)
    with torch.inference_mode():
        model = Net()
        for mine, other in zip(
            model.parameters(), train(cell, **OPTIONS | {"model": Net()}).model().parameters(), strict=False
        ):
            assert mine.is_inference()
            assert not other.is_inference()
    found, _ = losses(cell, model=model)
    assert np.isfinite(found).all()
    assert found != expected


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (lambda: Net(), OptionError, r"model: expected a function \(sample_shape, num_classes\), too many"),
        (Net, OptionError, r"model: expected a function \(sample_shape, num_classes\), too many"),
        (lambda *_: 3, ProblemError, r"expected a function that returns a torch.nn.Module, got int"),
        (
            lambda *_: Net(lambda logits, x: ()),
            ProblemError,
            r"expected logits, or several tensors .*got \(\)",
        ),
        (lambda *_: Net(lambda logits, x: {"out": x}), ProblemError, r"got a mapping of out"),
        (lambda *_: Net(lambda logits, x: None), ProblemError, r"expected logits.*got None"),
        (lambda *_: Net(lambda logits, x: (x, logits)), ProblemError, r"shape \(2, 10\).*got \(2, 1, 8, 8\)"),
        (lambda *_: Net(lambda logits, x: x.nothing), ProblemError, r"does not take samples of .*'nothing'"),
        (
            lambda *_: nn.Sequential(nn.Flatten(), nn.LazyLinear(10)),
            ProblemError,
            r"1.weight has no size yet: run the model on a sample once",
        ),
        (lambda *_: Net().to("meta"), ProblemError, r"used.weight has no numbers, .*make it on cpu"),
        (
            lambda *_: torch.jit.trace(Net(), torch.zeros(2, 64)),
            ProblemError,
            r"a scripted module takes no other weights: give what it was made of",
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:`torch.jit.*is deprecated:DeprecationWarning")
@pytest.mark.filterwarnings("ignore:Lazy modules are a new feature:UserWarning")
def test_models_that_cannot_be_trained_say_why(cell, model, error, message):
    with pytest.raises(error, match=message):
        train(cell, model=model, **OPTIONS)


@pytest.mark.parametrize("optimiser", ["sgd", "sgd:momentum=0.9", "adam"])
@pytest.mark.parametrize("scheme", [name for name in SCHEMES if name != "fedprox"])
def test_rates_beyond_the_digits_end_in_a_result(cell, scheme, optimiser):
    if scheme == "scaffold" and optimiser != "sgd":
        pytest.skip("refused: SCAFFOLD needs steps along the gradient")
    mobile = Scenario.load("mix2fld").replace({"devices.count": 5})
    scenario = {"fading": mobile, "twins": Scenario.load("dtkd")}.get(SCHEMES[scheme].radio, cell)
    options = {
        "data": "digits@300+100",
        "model": None if SCHEMES[scheme].chooses else "softmax",
        "rounds": 2,
        "optimiser": optimiser,
        "iterations": 4,
    }
    if scheme == "feel":
        del options["iterations"]
    if scheme in ("sst", "central"):
        options |= {"public": 40}
    if "server_iterations" in inspect.signature(SCHEMES[scheme]).parameters:
        options |= {"server_iterations": 5}
    result = train(scenario, scheme=scheme, learning_rate=1e300, **options)
    assert result.stopped in ("diverged", "rounds")
    with pytest.raises(OptionError, match=r"proximal: expected less than 1 / learning_rate"):
        train(cell, scheme="fedprox", learning_rate=1e300, **OPTIONS)


@pytest.mark.parametrize(
    "option",
    [{"server_learning_rate": 1e300}, {"schedule": "exponential:1e300"}, {"learning_rate": 1e-300}],
)
def test_other_numbers_beyond_the_digits_end_in_a_result(cell, option):
    result = train(cell, scheme="fedavg", **OPTIONS | option)
    assert result.stopped in ("diverged", "rounds")


def test_schedules_grow_beyond_the_digits():
    assert schedule("exponential:10")(400) == schedule("step:1,10")(400) == np.inf
