"""Slots of one's own in training: by a policy that returns them, or by an allocator of devices."""

import numpy as np
import pytest

from learning import compare, train
from learning.messages import Wire
from learning.radio.base import Allocation, Work
from learning.radio.fading import Fading
from radioopt import OptionError, ProblemError, Scenario, SolveError
from radioopt.base.carried import Carried, own_methods
from radioopt.feel import BatchsizeProblem

OPTIONS = {"data": "digits@300+100", "rounds": 2, "progress": False}


def proportional(devices, rng):
    """Slots in proportion to the time that an upload takes, twenty samples each."""
    problem = devices.problem("feel")
    need = 1 / problem.uplink_rate_bps
    return problem.judge(
        batchsize=20,
        uplink_slot_s=problem.uplink_frame_s * need / need.sum(),
        downlink_slot_s=problem.downlink_frame_s / need.size,
    )


def greedy(devices, rng):
    problem = devices.problem("feel")
    best = problem.solve(integer=True)
    return problem.judge(
        batchsize=best.batchsize, uplink_slot_s=2 * best.uplink_slot_s, downlink_slot_s=best.downlink_slot_s,
        throw=False,
    )  # fmt: skip


def test_an_allocators_batches_and_slots_are_spent(cell):
    own = train(cell, allocator=proportional, **OPTIONS)
    best = train(cell, policy=lambda problem, rng: np.full(len(problem.max_batchsize), 20.0), **OPTIONS)
    ours, optimal = own.ledger.entries[-1].plan.solution, best.ledger.entries[-1].plan.solution
    assert ours.method == "given"
    assert ours.bound == pytest.approx(optimal.objective, rel=1e-9)
    assert ours.objective < optimal.objective
    assert own.ledger.seconds > best.ledger.seconds  # the same gradients, later
    assert [e.test_accuracy for e in own.ledger.entries] == [e.test_accuracy for e in best.ledger.entries]
    assert own.config["policy"].endswith("test_allocator.proportional")


def test_a_policy_may_return_slots_too(cell):
    def slots(problem, rng):
        best = problem.solve(integer=True)
        return {name: getattr(best, name) for name in best.decisions}

    own, best = train(cell, policy=slots, **OPTIONS), train(cell, **OPTIONS)
    assert own.ledger.seconds == pytest.approx(best.ledger.seconds, rel=1e-6)
    assert own.ledger.entries[-1].plan.solution.method == "given"


def test_slots_of_ones_own_for_local_steps(cell):
    """The batches are the scheme's; of the allocation only the slots are taken."""
    own, best = (
        train(cell, scheme="fedavg", allocator=proportional, **OPTIONS),
        train(cell, scheme="fedavg", **OPTIONS),
    )
    assert own.ledger.seconds > best.ledger.seconds
    assert [e.test_accuracy for e in own.ledger.entries] == [e.test_accuracy for e in best.ledger.entries]


def test_an_allocator_knows_the_samples_that_devices_hold(cell):
    seen = []

    def allocator(devices, rng):
        seen.append(devices.local_samples.tolist())
        return devices.problem("feel").solve(integer=True)

    own, best = train(cell, allocator=allocator, **OPTIONS), train(cell, **OPTIONS)
    assert seen == [[50.0] * 6] * 2
    assert own.ledger.seconds == pytest.approx(best.ledger.seconds, rel=1e-6)


def test_a_run_with_an_allocator_goes_on_from_its_checkpoint(cell, tmp_path):
    whole = train(cell, allocator=proportional, **OPTIONS)
    for rounds in (1, 2):
        parts = train(
            cell, allocator=proportional, checkpoint=tmp_path / "run.npz", **OPTIONS | {"rounds": rounds}
        )
    assert parts.to_frame().equals(whole.to_frame())
    assert parts.ledger.entries[0].plan.solution.method == "given"


def test_what_an_allocator_may_not_do(cell):
    with pytest.raises(SolveError, match=r"uplink_slot_s: expected a sum of at most 0.01 s, got 0.02 s"):
        train(cell, allocator=greedy, **OPTIONS)
    with pytest.raises(ProblemError, match=r"allocator .*: expected a single solution, .* got None"):
        train(cell, allocator=lambda devices, rng: None, **OPTIONS)
    with pytest.raises(OptionError, match="allocator: expected a function"):
        train(cell, allocator="optimal", **OPTIONS)
    with pytest.raises(OptionError, match="both say what a round gets"):
        train(cell, allocator=proportional, policy="full", **OPTIONS)
    with pytest.raises(ProblemError, match="policy: downlink_slot_s missing"):
        train(cell, policy=lambda problem, rng: {"batchsize": 1, "uplink_slot_s": 1e-4}, **OPTIONS)


def test_bands_and_slots_of_ones_own():
    scenario = Scenario.load("mix2fld")
    work = Work(np.full(10, 500), (np.ones(6400, np.int64),) * 10, server_steps=3200, sample=784)
    wire = Wire({"outputs": 100}, {"weights": 12544}, seeded=True)

    def planned(function):
        planner = Fading().planner(Allocation(function), work, wire, None)
        return planner(scenario.draw(seed=0), np.random.default_rng(0))

    plan = planned(
        lambda devices, rng: devices.problem("mix2fld").judge(num_channels=2, max_slots=100, seed_samples=20)
    )
    assert (plan.num_channels, plan.max_slots, plan.seed_samples) == (2, 100, 20)
    slots = Scenario.load("feel-cpu").draw(seed=0).problem("feel").solve()
    with pytest.raises(ProblemError, match="radio fading takes a RoundPlanSolution, got a BatchsizeSolution"):
        planned(lambda devices, rng: slots)


def test_methods_of_ones_own_work_in_other_processes(cell):
    pytest.importorskip("joblib")

    def halves(problem, options):
        """Half of the largest batch."""
        best = problem.replace(max_batchsize=np.maximum(np.floor(problem.max_batchsize / 2), 1)).solve()
        return problem.judge(**{name: getattr(best, name) for name in best.decisions})

    def policy(problem, rng):
        return np.floor(problem.solve("halves").batchsize)

    BatchsizeProblem.method("halves", exact=False)(halves)
    try:
        assert [name for _, name, _, _ in own_methods()] == ["halves"]
        given = {
            "target_accuracy": 0.9,
            "seconds": 200.0,
            "data": "digits@300+100",
            "seeds": 2,
            "progress": False,
        }
        alone = compare(cell, policies={"mine": {"policy": policy}}, **given)
        shared = compare(cell, policies={"mine": {"policy": policy}}, jobs=2, **given)
    finally:
        del BatchsizeProblem.methods["halves"]
    assert alone.runs.equals(shared.runs)


def test_carried_registers_where_it_is_called():
    def nothing(problem, options):
        """Nothing."""

    BatchsizeProblem.method("nothing", exact=False)(nothing)
    carried = Carried(lambda: sorted(BatchsizeProblem.methods))
    del BatchsizeProblem.methods["nothing"]
    try:
        assert "nothing" in carried()
    finally:
        del BatchsizeProblem.methods["nothing"]


def test_batches_that_are_not_whole_are_those_of_the_allocator():
    with pytest.raises(
        ProblemError, match=r"allocator .*expected 12 whole batch sizes .*solve\(integer=True\)"
    ):
        train("feel-cpu", allocator=lambda devices, rng: devices.problem("feel").solve(), **OPTIONS)


@pytest.mark.parametrize(
    ("scenario", "options"),
    [("dtkd", {"scheme": "stu"}), ("fimi", {"scheme": "fedavg", "radio": "fdma"})],
)
def test_radios_whose_policy_is_the_function(scenario, options):
    def never(devices, rng):
        raise AssertionError("called with something that is no devices")

    with pytest.raises(
        OptionError, match=r"allocator: radio (twins|fdma) takes a function as its policy: policy="
    ):
        train(scenario, allocator=never, **options, **OPTIONS)
