"""Work spread over threads, processes or a cluster gives what it gives here."""

import subprocess
import sys
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest

from radioopt import OptionError, Scenario, solve_chunks
from radioopt.base import spread as spreading
from radioopt.base.spread import spread

try:
    import distributed
except ImportError:
    distributed = None

needs_dask = pytest.mark.skipif(distributed is None, reason="needs dask: pip install 'radioopt[dask]'")


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two workers in this process, on 127.0.0.1."""
    with distributed.LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    ) as made:
        yield made.scheduler_address


@pytest.fixture(scope="module")
def problem():
    return Scenario.load("feel-cpu").draw(seed=3, size=11).problem("feel")


def same(chunks, whole):
    objective = np.concatenate([solution.objective for solution in chunks])
    np.testing.assert_array_equal(objective, whole.objective)
    batchsize = np.concatenate([solution.batchsize for solution in chunks])
    np.testing.assert_array_equal(batchsize, whole.batchsize)


@pytest.mark.parametrize(("jobs", "backend"), [(1, "loky"), (2, "threading")])
def test_chunks_give_what_the_batch_gives(problem, jobs, backend):
    chunks = list(solve_chunks(problem, 4, jobs=jobs, backend=backend))
    assert [len(solution.objective) for solution in chunks] == [4, 4, 3]
    same(chunks, problem.solve())


IDLE = """
import time, warnings
from functools import partialmethod
from joblib._parallel_backends import LokyBackend
from radioopt.base.spread import spread

warnings.simplefilter("error")
LokyBackend.configure = partialmethod(LokyBackend.configure, idle_worker_timeout=0.3)
for pause in 4 * [0.3, 0.33, 0.36]:
    assert list(spread(divmod, [(7, 2), (9, 4), (5, 5)], jobs=2)) == [(3, 1), (2, 1), (1, 0)]
    time.sleep(pause)
"""


@pytest.mark.slow
def test_processes_that_end_when_idle_hold_nobody_up_where_warnings_are_errors():
    pytest.importorskip("joblib")
    subprocess.run([sys.executable, "-c", IDLE], timeout=120, check=True)


@needs_dask
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of dask's own
def test_a_cluster_gives_what_the_batch_gives(problem, cluster):
    same(list(solve_chunks(problem, 4, backend="dask", scheduler=cluster)), problem.solve())


@needs_dask
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_a_comparison_on_a_cluster_gives_what_it_gives_here(cluster):
    import learning

    options = {
        "target_accuracy": 0.3,
        "seconds": 5e3,
        "policies": ["optimal", "full"],
        "seeds": 2,
        "data": "digits@300+100",
    }
    here = learning.compare("feel-cpu", **options)
    there = learning.compare("feel-cpu", **options, backend="dask", scheduler=cluster)
    assert here.runs.equals(there.runs)
    for key, curve in here.curves.items():
        assert curve.equals(there.curves[key])


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_a_fault_on_a_worker_is_that_of_the_call(cluster):
    with pytest.raises(ZeroDivisionError):
        list(spread(divmod, [(1, 1), (1, 0)], backend="dask", scheduler=cluster))


@needs_dask
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_without_workers_is_not_waited_for_for_ever(monkeypatch):
    monkeypatch.setattr(spreading, "PATIENCE_S", 0.5)
    given = {"processes": False, "protocol": "tcp", "host": "127.0.0.1", "dashboard_address": None}
    complaint = r"scheduler tcp://127.* has no worker for 0.5 s: start one, as dask worker"
    with (
        distributed.LocalCluster(n_workers=0, **given) as empty,
        pytest.raises(OptionError, match=complaint),
    ):
        list(spread(divmod, [(1, 1)], backend="dask", scheduler=empty.scheduler_address))


class Cluster:
    """In the place of dask: workers or the scheduler are gone when somebody has begun to work."""

    def __init__(self, error):
        self.workers, self.cancelled, self.error = 1, [], error

    def __call__(self, address, **options):
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None

    def wait_for_workers(self, count, timeout):
        if self.workers < count:
            raise TimeoutError

    def submit(self, function, *given, pure):
        return self

    def done(self):
        return False

    def exception(self, timeout):
        self.workers = 0
        raise self.error

    def cancel(self, futures):
        self.cancelled += futures


@pytest.mark.parametrize(
    ("error", "complaint"),
    [(TimeoutError, "it has no worker for 30 s"), (CancelledError, "it was there, and is gone")],
)
def test_a_cluster_that_is_gone_is_given_up(monkeypatch, error, complaint):
    cluster = Cluster(error)
    monkeypatch.setattr(spreading, "require", lambda *names: SimpleNamespace(Client=cluster))
    with pytest.raises(OptionError, match=f"scheduler tcp://127.0.0.1:1: {complaint}"):
        list(spread(divmod, [(1, 1), (2, 1)], backend="dask", scheduler="tcp://127.0.0.1:1"))
    assert len(cluster.cancelled) == 2


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (
            {"backend": "multiprocessing"},
            "forks processes, which hang once Numba's threads have run: take loky",
        ),
        ({"backend": "ray"}, "unknown backend 'ray', choose from loky, threading, dask"),
        ({"backend": "dask"}, "scheduler: the address of a dask scheduler"),
        ({"scheduler": "tcp://127.0.0.1:1"}, "scheduler: .*and only with it"),
    ],
)
def test_other_backends_are_refused(problem, given, complaint):
    with pytest.raises(OptionError, match=complaint):
        list(solve_chunks(problem, 4, **given))


def test_there_has_to_be_a_batch_and_a_size(problem):
    with pytest.raises(OptionError, match="expected a batch of problems, got a single one: call solve"):
        list(solve_chunks(problem[0], 4))
    with pytest.raises(OptionError, match="size: expected at least 1, got 0"):
        list(solve_chunks(problem, 0))
