"""Students of a teacher: networks, losses, who is trained by what, what it costs, and that many train as one does."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

import learning
from learning import (
    MODELS,
    Dataset,
    Kd,
    Order,
    SimKd,
    Streams,
    Stu,
    Task,
    Teacher,
    kd_loss,
    measure_catalogue,
    simkd_loss,
    train,
)
from learning.local.batches import cycling
from learning.local.distilling import by_autograd, distilled, entropic, imitated, kd_losses, simkd_losses
from learning.local.optimisers import schedule, step_rule
from learning.local.perceptrons import perceptrons
from learning.local.stacked import train_students
from learning.models.build import build
from learning.models.students import (
    Imitation,
    Split,
    dense,
    dense_teacher,
    features_shape,
    split,
    split_teacher,
)
from learning.models.weights import digest_of, stack
from learning.prepare.students import Teach, outputs
from learning.runs.checkpoint import Checkpoint
from learning.task import TEACHER
from radioopt import OptionError, ProblemError, Scenario
from validation.reproduce.dtkd_engines import plain_loop

SMALL = {"data": "digits@300+100", "teacher_rounds": 20, "progress": False}
WIDTHS = (8, 16, 32, 64)


def size(model):
    return sum(weights.numel() for weights in model.parameters())


# -- networks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "cifar", "grey"),
    [
        ("vgg8", 3_965_028, 3_917_706),
        ("resnet8x4", 1_233_540, 1_209_834),
        ("resnet14x4", 2_783_620, 2_759_914),
        ("resnet26x4", 5_883_780, 5_860_074),
        ("resnet32x4", 7_433_860, 7_410_154),
        ("resnet32x4-group", 7_433_860, 7_410_154),
    ],
)
def test_the_papers_networks_have_the_printed_parameters(name, cifar, grey):
    with torch.device("meta"):
        assert size(MODELS[name]((3, 32, 32), 100)) == cifar
        assert size(MODELS[name]((1, 28, 28), 10)) == grey


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("dense-teacher", 26_634),
        ("small-vgg", 3_818),
        ("small-resnet8", 5_142),
        ("small-resnet8x2", 19_810),
        ("small-resnet14x2", 44_226),
        ("small-teacher", 77_754),
    ],
)
def test_small_networks(name, parameters):
    assert size(MODELS[name]((1, 8, 8), 10)) == parameters


@pytest.mark.parametrize(
    ("name", "shape", "features"),
    [
        ("vgg8", (3, 32, 32), (512, 4, 4)),
        ("vgg8", (1, 28, 28), (512, 3, 3)),
        ("resnet8x4", (3, 32, 32), (256, 8, 8)),
        ("resnet8x4", (1, 28, 28), (256, 7, 7)),
        ("small-vgg", (1, 8, 8), (16, 2, 2)),
        ("dense", (1, 8, 8), (32,)),
    ],
)
def test_logits_are_the_classifier_of_the_pooled_features(name, shape, features):
    model = MODELS[name](shape, 10).eval()
    assert features_shape(model, shape) == features
    x = torch.randn(2, *shape)
    found = model.features(x)
    assert (found >= 0).all()
    pooled = found.mean((2, 3)) if found.dim() == 4 else found
    torch.testing.assert_close(model(x), model.classifier(pooled))


def test_networks_of_others_are_taken_apart():
    mlp = MODELS["mlp"]((1, 8, 8), 10)
    assert split(mlp).classifier is mlp[-1]
    with pytest.raises(ProblemError, match="does not say what its features are"):
        split(nn.Linear(3, 2))


class Flattened(nn.Module):
    """A network as many are written: `features` are maps, and `classifier` is on all their pixels, or on their ReLU."""

    def __init__(self, pixels):
        super().__init__()
        self.features = nn.Conv2d(1, 3, 3, padding=1)
        self.classifier = nn.Linear(3 * 16 if pixels else 3, 2)
        self.pixels = pixels

    def forward(self, x):
        found = self.features(x)
        return self.classifier(found.flatten(1) if self.pixels else found.relu().mean((2, 3)))


@pytest.mark.parametrize("pixels", [True, False])
def test_a_teacher_whose_last_layer_gets_something_else_than_its_features_is_refused(pixels):
    with pytest.raises(
        ProblemError, match=r"^teacher: Flattened does more between features\(x\) and classifier"
    ):
        split_teacher(Flattened(pixels), (1, 4, 4))


@pytest.mark.parametrize("name", ["dense-teacher", "small-teacher", "mlp", "cnn"])
def test_teachers_that_are_there_are_taken(name):
    teacher = MODELS[name]((1, 8, 8), 10)
    assert split_teacher(teacher, (1, 8, 8)).classifier in list(teacher.modules())
    assert teacher.training


# -- losses --------------------------------------------------------------------------------------------------------


def by_hand(student, teacher, labels, temperature, direction):
    """Value and gradient in plain NumPy, from the definitions."""

    def softmax(z):
        e = np.exp(z - z.max(1, keepdims=True))
        return e / e.sum(1, keepdims=True)

    hot, q = np.eye(student.shape[1])[labels], softmax(student)
    p_s, p_t = softmax(student / temperature), softmax(teacher / temperature)
    if direction == "teacher-student":
        divergence = (p_t * np.log(p_t / p_s)).sum(1)
        pull = (p_s - p_t) / temperature
    else:
        ratio = np.log(p_s / p_t)
        divergence = (p_s * ratio).sum(1)
        pull = p_s * (ratio - divergence[:, None]) / temperature
    value = (-np.log((q * hot).sum(1)) + temperature**2 * divergence).mean()
    return value, (q - hot + temperature**2 * pull) / len(labels)


@pytest.mark.parametrize("direction", ["teacher-student", "student-teacher"])
@pytest.mark.parametrize("temperature", [1.0, 2.5, 4.0, 8.0])
def test_kd_is_what_is_computed_by_hand(temperature, direction):
    rng = np.random.default_rng(1)
    student, teacher, labels = rng.normal(size=(5, 4)), 3 * rng.normal(size=(5, 4)), np.array([0, 3, 1, 2, 2])
    leaf = torch.tensor(student, requires_grad=True)
    given = torch.tensor(teacher), torch.tensor(labels)
    loss = kd_loss(leaf, *given, temperature, direction)
    loss.backward()
    value, gradient = by_hand(student, teacher, labels, temperature, direction)
    assert float(loss.detach()) == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(leaf.grad, gradient, rtol=1e-10, atol=1e-14)
    rows = torch.tensor([4, 0, 2])
    some = leaf.detach()[rows].requires_grad_()
    parts = kd_losses(some, given[0][rows], given[1][rows], temperature, direction, soft=0.3, hard=0.7)
    parts.sum().backward()
    once, slope = distilled(*given, temperature, direction, soft=0.3, hard=0.7)(some.detach(), rows)
    torch.testing.assert_close(once, parts.detach(), rtol=1e-12, atol=1e-14)
    torch.testing.assert_close(slope, some.grad, rtol=1e-10, atol=1e-14)


def test_kd_of_two_classes():
    """sigmoid(1) = 0.731059, sigmoid(1/2) = 0.622459, and the teacher knows nothing."""
    student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 0.0]])
    divergence = -math.log(2) - 0.5 * math.log(0.622459 * 0.377541)
    found = float(kd_loss(student, teacher, torch.tensor([0]), 2.0))
    assert found == pytest.approx(-math.log(0.731059) + 4 * divergence, abs=1e-5)


def test_simkd_is_the_mean_squared_distance():
    p = torch.tensor([[1.0, 2.0], [0.0, 4.0]], requires_grad=True)
    t = torch.tensor([[0.0, 2.0], [0.0, 1.0]])
    loss = simkd_loss(p, t)
    loss.backward()
    assert float(loss.detach()) == (1 + 9) / 4
    assert p.grad.tolist() == [[0.5, 0.0], [0.0, 1.5]]
    assert simkd_losses(p.detach(), t, "sum").tolist() == [1.0, 9.0]


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_losses_by_rows_have_the_gradients_that_torch_finds(reduction):
    torch.manual_seed(0)
    features, labels, rows = (
        torch.rand(6, 3).double(),
        torch.tensor([0, 2, 1, 1, 0, 2]),
        torch.tensor([5, 1, 1]),
    )
    outputs_ = torch.randn(3, 3).double()
    cases = {
        imitated(features, reduction): lambda out, some: simkd_losses(out, features[some], reduction),
        entropic(labels): lambda out, some: nn.functional.cross_entropy(out, labels[some], reduction="none"),
    }
    for ours, theirs in cases.items():
        for one, other in zip(ours(outputs_, rows), by_autograd(theirs)(outputs_, rows), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_the_gradient_of_simkd_reaches_projector_and_student_only():
    shape = (1, 4, 4)
    student, teacher = dense(shape, 3, 6), dense_teacher(shape, 3, 5)
    model = Imitation(student, teacher, shape).train()
    assert size(model.projector) == 6 * 5 + 2 * 5
    model.imitates = True
    x = torch.randn(7, *shape)
    simkd_loss(model(x), teacher.embed(x).detach()).backward()
    reached = {name for name, weights in model.named_parameters() if weights.grad is not None}
    assert reached == {
        name for name, _ in model.named_parameters() if name.startswith(("body.", "projector."))
    }
    assert all(weights.grad is None for weights in [*teacher.parameters(), *student.classifier.parameters()])
    model.imitates = False
    logits = nn.functional.linear(model.eval().project(x), teacher.classifier.weight, teacher.classifier.bias)
    torch.testing.assert_close(model(x), logits, rtol=0, atol=0)


def test_maps_are_shrunk_to_the_smaller_one():
    shape = (1, 8, 8)
    model = Imitation(MODELS["small-vgg"](shape, 10), MODELS["small-teacher"](shape, 10), shape, "maps")
    assert model.size == (2, 2)
    assert model.project(torch.randn(3, *shape)).shape == (3, 64, 2, 2)
    with pytest.raises(OptionError, match="projector maps: expected networks whose features are maps"):
        Imitation(dense(shape, 10), dense_teacher(shape, 10), shape, "maps")


# -- many at once ---------------------------------------------------------------------------------------------------


def job(scheme, model=dense, users=5, kind=torch.float64, shape=(1, 4, 4), classes=3):
    """Users with unequal amounts of random data, a network for all of them, and a teacher that nobody trained."""
    rng = np.random.default_rng(0)
    parts = tuple(np.split(rng.permutation(20 * users), np.arange(14, 20 * users - 13, 20))[:users])
    y = rng.integers(0, classes, 20 * users)
    x = rng.normal(size=(20 * users, *shape))
    data = Dataset(x, y, x[:9], y[:9], classes)
    made = build(model, shape, classes, rng).to(kind)
    task = scheme.equip(Task(data, parts, {"one": made}, Streams(3)))
    if TEACHER in task.models:
        task.models[TEACHER].to(kind)
        values = task.initial_values(TEACHER)
        wanted = isinstance(scheme, SimKd)
        features, logits = outputs(task.models[TEACHER], values, task.samples[0], wanted=wanted, maps=False)
        task = task.replace(teacher=Teacher(values, features, logits))
    return task


SCHEMES = {
    "stu": Stu(batchsize=6, schedule="milestones:0.2,1"),
    "kd": Kd(batchsize=6, schedule="milestones:0.2,1"),
    "simkd": SimKd(batchsize=6, schedule="milestones:0.2,1"),
}


@pytest.mark.parametrize("engine", ["stacked", "plain"])
@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("model", [dense, MODELS["mlp"]])
def test_users_at_once_are_a_plain_loop_with_momentum_over_rounds(name, model, engine):
    scheme = SCHEMES[name].__class__(**SCHEMES[name].settings() | {"engine": engine})
    task = job(scheme, model)
    cohort, rows = task.cohort(), scheme.join(task.cohort())
    for number in (1, 2, 3):
        rows, _ = scheme.local(rows, cohort, Order(number, task.sizes, {}))
    expected = plain_loop(scheme, task, 3)
    for key, value in expected.items():
        torch.testing.assert_close(rows[key], value, rtol=1e-9, atol=1e-9, msg=key)
    assert (rows["slot/taken"] == torch.tensor([3 * -(-part.size // 6) for part in task.parts])).all()


@pytest.mark.parametrize("model", ["small-vgg", "small-resnet8"])
def test_convolutions_at_once_are_a_plain_loop(model):
    scheme = Kd(batchsize=6, engine="stacked")
    task = job(scheme, model, shape=(1, 8, 8), users=3)
    rows, _ = scheme.local(scheme.join(task.cohort()), task.cohort(), Order(1, task.sizes, {}))
    for key, value in plain_loop(scheme, task, 1).items():
        torch.testing.assert_close(rows[key], value, rtol=1e-9, atol=1e-9, msg=key)


def test_perceptrons_need_no_graph():
    """What is not known layer by layer goes through torch's own gradients; both are a plain loop, as shown above."""
    shape = (1, 4, 4)
    assert perceptrons(dense(shape, 3)) is not None
    imitation = Imitation(dense(shape, 3), dense_teacher(shape, 3), shape)
    assert perceptrons(imitation) is None
    imitation.imitates = True
    assert perceptrons(imitation) is not None
    assert perceptrons(MODELS["small-vgg"]((1, 8, 8), 3)) is None
    assert perceptrons(nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.Tanh())) is None
    frozen = nn.Sequential(nn.Flatten(), nn.Linear(16, 3), nn.ReLU(), nn.Linear(3, 3))
    frozen[1].weight.requires_grad_(False)
    assert perceptrons(frozen) is None
    one = Stu(batchsize=1)
    cohort = job(one).cohort()
    with pytest.raises(ProblemError, match="batches of 1 fail: expected more than 1 "):
        one.local(one.join(cohort), cohort, Order(1, np.ones(5), {}))


def test_a_user_learns_by_its_own_samples_network_and_teacher_alone():
    scheme = SimKd(batchsize=6)
    task = job(scheme)
    order = Order(1, task.sizes, {})
    whole, _ = scheme.local(scheme.join(task.cohort()), task.cohort(), order)
    alone = task.cohort(np.array([3]))
    mine, _ = scheme.local(scheme.join(alone), alone, Order(1, task.sizes[[3]], {}))
    for key, value in mine.items():
        torch.testing.assert_close(whole[key][3:4], value, rtol=1e-12, atol=1e-14)


def test_noise_of_a_user_is_its_own():
    def noisy(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(16, 6), nn.Dropout(0.4), nn.Linear(6, classes))

    scheme = Stu(batchsize=6)
    task = job(scheme, noisy)
    whole, _ = scheme.local(scheme.join(task.cohort()), task.cohort(), Order(1, task.sizes, {}))
    alone = task.cohort(np.array([2]))
    mine, _ = scheme.local(scheme.join(alone), alone, Order(1, task.sizes[[2]], {}))
    torch.testing.assert_close(whole["1.weight"][2:3], mine["1.weight"], rtol=0, atol=0)
    stacked = Stu(engine="stacked")
    with pytest.raises(ProblemError, match=r"engine stacked: .* would draw another noise"):
        stacked.local(stacked.join(task.cohort()), task.cohort(), Order(1, task.sizes, {}))


def test_batches_have_one_size_and_every_sample_in_every_epoch():
    parts = [np.arange(10), np.arange(10, 14)]
    drawn = cycling(parts, 4, [2, 1], [np.random.default_rng(k) for k in range(2)])
    assert drawn.size.tolist() == [[4, 4], [4, 0], [4, 0], [4, 0], [4, 0], [4, 0]]
    first = drawn.index[:, 0].flatten()
    assert sorted(first[:10].tolist()) == sorted(first[10:20].tolist()) == list(range(10))
    assert sorted(drawn.index[0, 1].tolist()) == [10, 11, 12, 13]


def test_the_rate_falls_as_in_the_paper():
    factor = schedule("milestones:0.2,45,60,75,90")
    assert [factor(epoch) for epoch in (1, 45, 46, 61, 76, 91)] == pytest.approx(
        [1, 1, 0.2, 0.04, 0.008, 0.0016]
    )
    with pytest.raises(OptionError, match=r"schedule 'milestones:0.2': expected milestones:G,N1,N2"):
        schedule("milestones:0.2")


# -- the teacher ----------------------------------------------------------------------------------------------------


def test_the_teachers_gradient_is_that_of_all_samples_whoever_holds_them():
    task = job(Kd(), users=4)
    module = copy.deepcopy(task.models[TEACHER])
    x, y = task.samples
    shares = torch.zeros((), dtype=torch.float64)
    total = None
    for part in task.parts:
        rows = torch.from_numpy(part)
        own = torch.autograd.grad(
            nn.functional.cross_entropy(module(x[rows]), y[rows]), list(module.parameters())
        )
        weighted = [part.size / 80 * value for value in own]
        total = weighted if total is None else [a + b for a, b in zip(total, weighted, strict=True)]
        shares += part.size / 80
    once = Teach(teacher_rounds=1, teacher_rate=0.5, teacher_optimiser="sgd")
    after, losses = once.train(task, task.models[TEACHER], task.initial_values(TEACHER))
    for (name, before), gradient in zip(module.named_parameters(), total, strict=True):
        torch.testing.assert_close(after[name], before.detach() - 0.5 * gradient, rtol=1e-12, atol=1e-12)
    again = once.train(
        task.replace(parts=task.parts[::-1]), task.models[TEACHER], task.initial_values(TEACHER)
    )
    assert digest_of(again[0]) == digest_of(after)
    assert float(shares) == pytest.approx(1.0)
    assert len(losses) == 1


def test_a_teacher_with_the_users_own_batch_statistics_is_refused():
    with pytest.raises(OptionError, match="no training over all of them: take a teacher with layer or group"):
        train("dtkd", scheme="kd", rounds=1, teacher="dense", **SMALL)
    together = train(
        "dtkd", scheme="kd", rounds=1, teacher="dense", teacher_statistics="synchronised", **SMALL
    )
    assert together.prepared[1].to_frame()["train_loss"].iloc[-1] < 1.0


def test_a_teacher_that_is_given_is_taken_as_it_is_and_costs_nothing():
    given = dense_teacher((1, 8, 8), 10)
    before = digest_of(given.state_dict())
    result = train("dtkd", scheme="simkd", rounds=2, teacher=given, **SMALL | {"teacher_rounds": 0})
    assert digest_of(given.state_dict()) == digest_of(result.task.teacher.values) == before
    assert result.ledger.before.seconds == 0.0
    for device in range(4):
        own = result.weights(device)
        assert torch.equal(own["teacher_weight"], given.classifier.weight)
        assert torch.equal(own["teacher_bias"], given.classifier.bias)
        assert not any(name.startswith("classifier") for name in own)


def test_teaching_takes_the_servers_time():
    result = train("dtkd", scheme="kd", rounds=1, **SMALL)
    assert result.ledger.before.seconds == pytest.approx(20 * 4 * 3 * 9.5e9 / 10e9, rel=1e-12)
    assert result.to_frame()["seconds"][0] == result.ledger.before.seconds
    losses = result.prepared[1].to_frame()["train_loss"]
    assert len(losses) == 20
    assert losses.iloc[-1] < 0.5 * losses.iloc[0]


# -- clock, prices, objective -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["kd", "simkd", "stu"])
def test_the_account_of_an_epoch_is_the_solutions(scheme):
    options = {name: value for name, value in SMALL.items() if scheme != "stu" or name != "teacher_rounds"}
    places = set()
    for seed in range(3):
        result = train("dtkd", scheme=scheme, rounds=1, seed=seed, **options)
        entry, row = result.ledger.entries[0], result.to_frame().iloc[1]
        solution = entry.plan.solution
        places |= set(solution.trains_locally.tolist())
        users = result.ledger.to_frame("device")
        parts = users[["teacher_time_s", "student_time_s", "label_time_s", "model_time_s"]].sum(axis=1)
        steps = users[["compute_time_s", "upload_time_s", "download_time_s", "update_time_s"]].sum(axis=1)
        np.testing.assert_allclose(parts, solution.delay_s, rtol=1e-9)
        np.testing.assert_allclose(steps, solution.delay_s, rtol=1e-9)
        np.testing.assert_allclose(users["user_server_cycles"], solution.server_cycles, rtol=1e-9)
        bits = solution.problem.catalogue.parameter_bits[solution.model]
        labels = float(solution.problem.label_bits)
        local = solution.trains_locally
        np.testing.assert_allclose(users["user_uplink_bits"], np.where(local, bits, 0))
        np.testing.assert_allclose(users["user_downlink_bits"], np.where(local, labels, bits))
        assert labels == (0.0 if scheme == "stu" else 51.2e6)
        assert row["round_latency_s"] == solution.delay_s.max()
        assert row["mean_delay_s"] == pytest.approx(solution.delay_s.mean(), rel=1e-12)
        assert row["objective"] == pytest.approx(float(solution.objective), rel=1e-9)
        assert row["objective"] == pytest.approx(float(solution.verify().objective), rel=1e-9)
        costs = row["delay_cost"] + row["cpu_cost"] + row["bandwidth_cost"]
        assert users["user_cost"].sum() == pytest.approx(costs, rel=1e-12)
        reached = 4 * (row["private_accuracy"] + row["test_accuracy"])
        assert row["realised_objective"] == pytest.approx(costs - reached, rel=1e-12)
        assert users["upload_energy_j"].to_numpy() == pytest.approx(
            0.1 * users["upload_time_s"].to_numpy(), rel=1e-12
        )
        shares = [row[f"share_{name}"] for name in solution.problem.catalogue.names]
        assert sum(shares) == 1.0
        assert result.task.uses == tuple(
            f"dense:{WIDTHS[model]}" for model in result.ledger.entries[0].plan.solution.model
        )
    assert places == {True, False}


def test_users_who_need_not_wait_train_on():
    def one_slow(problem, rng):
        return np.array([0, 0, 0, 3]), np.array([0, 0, 0, 1])

    options = {"scheme": "kd", "rounds": 2, "policy": one_slow, **SMALL}
    waiting, going = (train("dtkd", waiting=waiting, **options) for waiting in (True, False))
    plan, other = waiting.ledger.entries[0].plan, going.ledger.entries[0].plan
    assert (plan.epochs == 1).all()
    assert (other.epochs == np.floor(plan.solution.delay_s.max() / plan.solution.delay_s + 1e-9)).all()
    assert other.epochs.max() > 1
    assert going.ledger.seconds == waiting.ledger.seconds
    assert (other.batchsize == other.epochs * plan.batchsize).all()
    busy, once = (
        run.crew.banks[run.task.uses[0]].of(np.array([0]))["slot/taken"].item() for run in (going, waiting)
    )
    assert busy == other.epochs[0] * once


def test_one_model_for_everybody_by_name_and_by_the_papers_baselines():
    for policy, model in (("ResNet-26x4", 3), ("fl-min", 0), ("fl-max", 3)):
        result = train("dtkd", scheme="stu", rounds=1, policy=policy, data="digits@300+100")
        assert set(result.task.uses) == {f"dense:{WIDTHS[model]}"}
        assert set(result.ledger.entries[0].plan.solution.model.tolist()) == {model}

    def second(problem, rng):
        return np.ones(4, int), np.array([1, 0, 1, 0])

    plan = train("dtkd", scheme="kd", rounds=1, policy=second, **SMALL).ledger.entries[0].plan
    assert plan.solution.trains_locally.tolist() == [True, False, True, False]


def test_federated_averaging_pays_both_ways_and_no_teacher():
    options = {"scheme": "fedavg", "radio": "twins", "judge": "users", "model": "dense:16", "rounds": 2}
    result = train("dtkd", policy="fl-min", data="digits@300+100", batchsize=64, **options)
    users, solution = result.ledger.to_frame("device").loc[1], result.ledger.entries[0].plan.solution
    bits = 126_880_896.0
    assert (users["user_uplink_bits"] == bits).all()
    assert (users["user_downlink_bits"] == bits).all()
    assert (users["teacher_time_s"] == 0).all()
    steps = users[["compute_time_s", "upload_time_s", "download_time_s"]].sum(axis=1)
    np.testing.assert_allclose(steps, solution.delay_s, rtol=1e-9)
    assert solution.trains_locally.all()
    assert float(solution.server_cycles.sum()) == 0.0
    row = result.to_frame().iloc[-1]
    assert row["realised_objective"] > row["objective"]  # after two rounds
    best = train("dtkd", data="digits@300+100", **options).ledger.entries[0].plan.solution
    assert len(set(best.model.tolist())) == 1
    assert best.objective < solution.objective
    with pytest.raises(ProblemError, match="chose several models, and this scheme averages one"):
        train("dtkd", policy=lambda problem, rng: ([0, 1, 0, 1], [1] * 4), data="digits@300+100", **options)


# -- what distinguishes them ---------------------------------------------------------------------------------------


def test_what_users_learn_of_labels_that_they_do_not_hold():
    """STU never answers with a foreign label, KD ranks them, simKD answers with them; nobody loses its own."""
    options = {"partition": "disjoint-labels", "seed": 2, "rounds": 20, "judge_every": 20, "progress": False}
    last = {}
    for scheme in ("stu", "kd", "simkd"):
        own = {"schedule": "milestones:0.2,9,12,15,18", "policy": "ResNet-26x4"}
        last[scheme] = train("dtkd", scheme=scheme, **options, **own).to_frame().iloc[-1]
    stu, kd, simkd = last.values()
    assert stu["foreign"] == 0.0
    assert kd["test_top5"] > stu["test_top5"] + 0.15
    assert simkd["test_accuracy"] > stu["test_accuracy"] + 0.1
    assert simkd["foreign"] > 0.1
    assert min(one["private_accuracy"] for one in last.values()) > 0.95
    assert min(one["own_labels_accuracy"] for one in last.values()) > 0.95


def test_who_never_answers_foreign_is_right_as_often_as_on_its_own_share():
    result = train("dtkd", scheme="stu", partition="disjoint-labels", rounds=6, progress=False, seed=1)
    task = result.task
    x, y = task.test
    rights = []
    for device, private in enumerate(task.private_rows):
        right = task.outputs(result.weights(device), x, task.uses[device]).argmax(1) == y
        assert right.sum() == right[torch.from_numpy(private)].sum()
        rights.append(float(right.double().mean()))
    row = result.to_frame().iloc[-1]
    assert row["foreign"] == 0.0
    assert row["test_accuracy"] == pytest.approx(np.mean(rights), rel=1e-12)


def test_labels_are_divided():
    y = np.repeat(np.arange(10), 12)
    parts = learning.PARTITIONS["disjoint-labels"](y, 4, np.random.default_rng(3))
    assert sorted(np.concatenate(parts).tolist()) == list(range(120))
    held = [set(y[part].tolist()) for part in parts]
    assert sorted(map(len, held)) == [2, 2, 3, 3]
    assert sum(map(len, held)) == len(set().union(*held)) == 10
    many = learning.PARTITIONS["disjoint-labels"](y, 25, np.random.default_rng(3))
    assert {len(set(y[part])) for part in many} == {1}
    assert sorted(np.concatenate(many).tolist()) == list(range(120))
    with pytest.raises(ProblemError, match="2 devices share the 1 samples of label"):
        learning.PARTITIONS["disjoint-labels"](np.array([0, 0, 0, 1]), 4, np.random.default_rng(0))


# -- the loop closed --------------------------------------------------------------------------------------------------


def test_a_catalogue_whose_measurement_was_interrupted_is_the_same(tmp_path, monkeypatch):
    options = {"scheme": "kd", "seeds": 2, "rounds": 4, "every": 1, "judge_every": 1, **SMALL}
    unbroken = measure_catalogue("dtkd", **options)
    keep, kept = Checkpoint.keep, []

    def keep_and_stop(self, place, **more):
        keep(self, place, **more)
        kept.append(len(place[-1]))
        if len(kept) == 12:  # in the third run
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoint, "keep", keep_and_stop)
        with pytest.raises(KeyboardInterrupt):
            measure_catalogue("dtkd", checkpoints=tmp_path / "kept", **options)
    with monkeypatch.context() as patch:  # the teachers of the runs that were begun are not trained again
        trained = []
        patch.setattr(
            Teach, "train", lambda self, *given, real=Teach.train: trained.append(1) or real(self, *given)
        )
        again = measure_catalogue("dtkd", checkpoints=tmp_path / "kept", **options)
    assert len(trained) == 8 - 3
    assert again.to_dict() == unbroken.to_dict()
    assert again.runs.equals(unbroken.runs)


def test_what_is_measured_is_what_is_allocated_with_and_reached():
    options = {
        "scheme": "simkd",
        "partition": "disjoint-labels",
        "data": "digits@500+200",
        "teacher_rounds": 40,
    }
    options |= {"rounds": 6, "schedule": "constant", "progress": False}
    measured = measure_catalogue("dtkd", seeds=[1, 2], **options)
    assert (measured.own_error > 0).all()
    assert measured.average_accuracy[3] > measured.average_accuracy[0]
    assert measured.cycles.tolist() == [6.83e9, 8.75e9, 12.27e9, 18.96e9]
    cell = Scenario.load("dtkd").replace({"dtkd.catalogue": measured.to_dict()})
    row = train(cell, seed=1, **options).to_frame().iloc[-1]
    assert row["realised_objective"] == pytest.approx(row["objective"], abs=4 * 0.1)
    assert row["accuracy_credit"] != pytest.approx(4.65, abs=0.05)  # not the paper's
    with pytest.raises(OptionError, match="policy: every model is trained in turn"):
        measure_catalogue("dtkd", policy="optimal")


# -- messages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        (
            {"model": "dense:8,dense:16"},
            ProblemError,
            r"expected 4 different networks, one for each model of the catalogue",
        ),
        ({"model": ["dense:8"] * 4}, ProblemError, r"expected 4 different networks, .* got 1: dense:8"),
        ({"policy": "ResNet-18"}, OptionError, r"unknown policy 'ResNet-18', choose from optimal, fl-min"),
        (
            {"radio": "tdma"},
            ProblemError,
            r"radio 'tdma' plans with a table \[feel\], and scenario .* has none",
        ),
        ({"bits_per_parameter": 32}, OptionError, r"radio twins takes sizes from the scenario's catalogue"),
        ({"temperature": 0}, OptionError, r"temperature: expected a number > 0, got 0"),
        ({"direction": "both"}, OptionError, r"unknown direction 'both', choose from teacher-student"),
        ({"soft": -1}, OptionError, r"soft: expected a finite number >= 0, got -1"),
        ({"hard": True}, OptionError, r"hard: expected a finite number >= 0, got True"),
        ({"hard": float("nan")}, OptionError, r"hard: expected a finite number >= 0, got nan"),
        ({"soft": 0, "hard": 0}, OptionError, r"both are 0: there would be nothing to learn"),
        ({"teacher_rounds": -1}, OptionError, r"teacher_rounds: expected a whole number >= 0, got -1"),
        ({"teacher_rounds": 0}, OptionError, r"the weights of 'dense-teacher' are random: give at least 1"),
        ({"temprature": 3}, OptionError, r"unknown option temprature; did you mean temperature"),
        ({"teacher": "dence"}, OptionError, r"^teacher: unknown model 'dence'"),
        ({"waiting": 1}, OptionError, r"waiting: expected true or false, got 1"),
    ],
)
def test_mistakes_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        train("dtkd", scheme="kd", rounds=1, **SMALL | options)


def test_simkd_wants_networks_that_say_what_their_features_are():
    def plain(shape, classes):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes), nn.Identity())

    with pytest.raises(ProblemError, match=r"^teacher: Sequential does not say what its features are"):
        train("dtkd", scheme="simkd", rounds=1, teacher=plain, **SMALL)
    assert isinstance(split(dense((1, 2, 2), 2)), Split)


def test_engines_are_named():
    model = dense((1, 2, 2), 2)
    rows = stack(dict(model.state_dict()), 1)
    drawn = cycling([np.arange(4)], 2, 1, [np.random.default_rng(0)])
    with pytest.raises(OptionError, match="unknown engine 'fast', choose from auto, stacked, plain"):
        train_students(
            model,
            torch.zeros(4, 1, 2, 2),
            rows,
            drawn,
            learning_rate=0.1,
            rule=step_rule("o", "sgd"),
            loss=by_autograd(lambda outputs_, index: outputs_.sum(1)),
            engine="fast",
        )
