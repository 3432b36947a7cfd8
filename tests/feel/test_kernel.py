"""Kernels: their layout is the records' layout, they need no compiler, and two threads may call them."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from radioopt.base.quantity import DEVICE, PER_INSTANCE
from radioopt.feel import BatchsizeProblem, BatchsizeSolution, kernel_search, kernel_vector
from radioopt.feel import kernel_rows as rows
from validation.feel import zoo

INTERPRETED = os.environ.get("NUMBA_DISABLE_JIT", "0") != "0"


def names(record, axes):
    return [name for name, quantity in record.quantities.items() if quantity.axes == axes]


def test_row_constants_are_the_layout_of_the_problem():
    device = {
        "uplink_rate_bps": rows.UPLINK_RATE,
        "downlink_rate_bps": rows.DOWNLINK_RATE,
        "seconds_per_sample": rows.SLOPE,
        "update_time_s": rows.UPDATE,
        "max_batchsize": rows.MAX_BATCH,
        "min_batchsize": rows.MIN_BATCH,
        "base_time_s": rows.BASE,
    }
    instance = {
        "payload_bits": rows.PAYLOAD,
        "uplink_frame_s": rows.UPLINK_FRAME,
        "downlink_frame_s": rows.DOWNLINK_FRAME,
        "loss_decay": rows.DECAY,
        "total_batchsize": rows.TOTAL,
        "max_round_latency_s": rows.DEADLINE,
    }
    assert names(BatchsizeProblem, DEVICE) == sorted(device, key=device.__getitem__)
    assert names(BatchsizeProblem, PER_INSTANCE) == sorted(instance, key=instance.__getitem__)
    # and the blocks hold what the names say
    problem = zoo.random(1)
    for name, row in device.items():
        np.testing.assert_array_equal(problem.block(DEVICE)[row], getattr(problem, name))
    for name, row in instance.items():
        assert problem.block(PER_INSTANCE)[row] == getattr(problem, name)


def test_row_constants_are_the_layout_of_the_solution():
    device = {
        "batchsize": rows.BATCH,
        "uplink_slot_s": rows.UPLINK_SLOT,
        "downlink_slot_s": rows.DOWNLINK_SLOT,
    }
    instance = {
        "objective": rows.OBJECTIVE,
        "bound": rows.BOUND,
        "gap": rows.RESIDUAL,  # the solver puts the gap where the kernel left the residual
        "upload_phase_s": rows.PHASE_UP,
        "download_phase_s": rows.PHASE_DOWN,
        "round_latency_s": rows.LATENCY,
    }
    floats = [
        n for n in names(BatchsizeSolution, PER_INSTANCE) if BatchsizeSolution.quantities[n].dtype.kind == "f"
    ]
    counts = [
        n for n in names(BatchsizeSolution, PER_INSTANCE) if BatchsizeSolution.quantities[n].dtype.kind == "i"
    ]
    assert names(BatchsizeSolution, DEVICE) == sorted(device, key=device.__getitem__)
    assert floats == sorted(instance, key=instance.__getitem__)
    assert counts == ["iterations", "status_code"]


REPORT = """
from validation.feel import zoo
for name in ("paper_cpu", "paper_gpu", "all_at_min", "threshold_above_max", "one_device"):
    solution = zoo.named()[name].solve()
    print(name, float.hex(float(solution.objective)), solution.status.name)
print("bisection", float.hex(float(zoo.named()["one_device"].solve("bisection").objective)), "OPTIMAL")
"""


@pytest.mark.skipif(INTERPRETED, reason="compares both, so once is enough")
def test_the_same_answers_without_the_compiler():
    def report(disable):
        environment = os.environ | {"NUMBA_DISABLE_JIT": disable}
        command = [sys.executable, "-c", REPORT]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=300
        ).stdout

    compiled, interpreted = report("0").split("\n"), report("1").split("\n")
    assert len(compiled) == len(interpreted) == 7
    for one, other in zip(compiled[:-1], interpreted[:-1], strict=True):
        name, objective, status = one.split()
        assert other.split()[::2] == [name, status]
        # the order of sums, and what is fused, differs: so do last digits
        np.testing.assert_allclose(float.fromhex(other.split()[1]), float.fromhex(objective), rtol=1e-13)


def test_two_threads_solve_batches_at_once():
    batches = [
        zoo.random_batch(np.random.default_rng(seed), 30 if INTERPRETED else 3000, 10) for seed in range(2)
    ]
    expected = [batch.solve() for batch in batches]
    answers = [[], []]

    def work(which):
        for _ in range(5):
            answers[which].append(batches[which].solve())

    threads = [threading.Thread(target=work, args=(which,)) for which in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for which in range(2):
        assert len(answers[which]) == 5
        assert all(answer == expected[which] for answer in answers[which])


@pytest.mark.parametrize("name", ["paper_cpu", "one_device"])
def test_newton_steps_of_both_unknowns_close_the_certificate(name):
    """Else the general kernel answers, to the same digits but later."""
    problem = zoo.named()[name]
    device, instance = problem.block(DEVICE)[:, None], problem.block(PER_INSTANCE)[:, None]
    passes = np.zeros(1, np.int64)
    out = np.empty((3, *device.shape[1:])), np.empty((6, 1)), passes
    assert kernel_vector.solve_vector(device, instance, 0, kernel_vector.MOST_PASSES, *out)
    assert passes[0] < kernel_vector.MOST_PASSES


@pytest.mark.parametrize("seed", [19707, 21804, 27516])
def test_a_frame_is_filled_to_the_last_digits_with_devices_thirty_decades_apart(seed):
    """Newton's steps leave the bracket there, which closes all the same."""
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 8))
    work = np.zeros((11, count))
    upload = work[rows.A] = 10 ** rng.uniform(-30, 0, count)
    work[rows.ROOT] = np.sqrt(upload * 10 ** rng.uniform(-30, 0, count))
    z = upload.sum() * (1 + 10 ** rng.uniform(-6, 2))
    earlier = 10 ** rng.uniform(-30, 0, count)
    work[rows.TO_L] = earlier - earlier.min()
    work[rows.TO_U] = work[rows.TO_L] - 10 ** rng.uniform(-30, 2, count)
    m = kernel_search.fill_frame(work, z, 0.0)
    left = np.clip(m * work[rows.ROOT], z + work[rows.TO_U], z + work[rows.TO_L])
    assert (upload / left).sum() == pytest.approx(1.0, abs=1e-14)
