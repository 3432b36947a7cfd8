"""A forked process solves as its parent does, and neither is killed nor waits for threads that it does not have."""

import multiprocessing as mp
import subprocess
import sys

import pytest

from radioopt.base.forks import as_in_a_fork, forkable

SOLVE = """
import multiprocessing as mp, sys
import numpy as np
import radioopt as ro
{first}

def solve(seed):
    rng = np.random.default_rng(seed)
    batch = ro.feel.BatchsizeProblem.cpu(cpu_frequency_hz=rng.uniform(1e9, 2e9, (12_000, 6)), cycles_per_sample=7e7,
        update_cycles=1e8, payload_bits=1e6, uplink_rate_bps=2e7, downlink_rate_bps=4e7, max_batchsize=128)
    return batch.solve().objective.sum().hex()

if __name__ == "__main__":
    alone = [solve(seed) for seed in (1, 2)]
    for method in sys.argv[1:]:
        with mp.get_context(method).Pool(2) as pool:
            assert pool.map_async(solve, [1, 2]).get(120) == alone, method
    print("alike")
"""
TORCH = "import torch; torch.set_num_threads(2); torch.ones(500, 500) @ torch.ones(500, 500)"


def run(code, methods, folder):
    script = folder / "script.py"
    script.write_text(code)
    done = subprocess.run([sys.executable, script, *methods], capture_output=True, text=True, timeout=240)
    assert (done.returncode, done.stdout) == (0, "alike\n"), done.stderr


def test_kernels_behave_as_in_a_fork_inside_a_block_only():
    call = forkable(lambda x: ("all threads", x), lambda x: ("one thread", x))
    assert call(1) == ("all threads", 1)
    with as_in_a_fork():
        assert call(2) == ("one thread", 2)
    assert call(3) == ("all threads", 3)


@pytest.mark.slow
def test_pools_give_the_numbers_of_a_single_process(tmp_path):
    run(SOLVE.format(first=""), mp.get_all_start_methods(), tmp_path)


@pytest.mark.slow
@pytest.mark.skipif("fork" not in mp.get_all_start_methods(), reason="no fork here")
def test_threads_of_other_libraries_do_not_matter(tmp_path):
    pytest.importorskip("torch")
    run(
        SOLVE.format(first=TORCH)
        .replace("alone = [solve(seed) for seed in (1, 2)]", "alone = None")
        .replace(
            "assert pool.map_async(solve, [1, 2]).get(120) == alone, method",
            "found = pool.map_async(solve, [1, 2]).get(120)\n"
            "        assert found == [solve(seed) for seed in (1, 2)]",
        ),
        ["fork"],
        tmp_path,
    )


IMPORTED_AFTER_THE_FORK = """
import multiprocessing as mp, sys

def solve(seed):
    import numpy as np, radioopt as ro
    from radioopt.base import forks
    rng = np.random.default_rng(seed)
    batch = ro.feel.BatchsizeProblem.cpu(cpu_frequency_hz=rng.uniform(1e9, 2e9, (12_000, 6)), cycles_per_sample=7e7,
        update_cycles=1e8, payload_bits=1e6, uplink_rate_bps=2e7, downlink_rate_bps=4e7, max_batchsize=128)
    return batch.solve().objective.sum().hex(), forks._forked

if __name__ == "__main__":
    import torch
    torch.set_num_threads(2)
    torch.ones(500, 500) @ torch.ones(500, 500), torch.ones(2000, 2000).exp().sum()
    found = {}
    for method in sys.argv[1:]:
        with mp.get_context(method).Pool(1) as pool:
            [found[method]] = pool.map_async(solve, [1]).get(120)
    assert not any(name.startswith("radioopt") for name in sys.modules)
    here = solve(1)[0]
    for method in sys.argv[1:]:
        assert found[method] == (here, method == "fork"), method
    print("alike")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of a fork")
def test_radioopt_may_be_imported_after_a_fork_off_threads_of_others(tmp_path):
    pytest.importorskip("torch")
    run(IMPORTED_AFTER_THE_FORK, mp.get_all_start_methods(), tmp_path)


@pytest.mark.slow
def test_joblib_gives_the_numbers_of_a_single_process(tmp_path):
    pytest.importorskip("joblib")
    code = SOLVE.format(first="import joblib").replace(
        "    for method in sys.argv[1:]:\n"
        "        with mp.get_context(method).Pool(2) as pool:\n"
        "            assert pool.map_async(solve, [1, 2]).get(120) == alone, method\n",
        "    assert joblib.Parallel(2)(joblib.delayed(solve)(seed) for seed in (1, 2)) == alone\n",
    )
    run(code, [], tmp_path)
