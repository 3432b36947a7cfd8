"""Two worlds of kernels: plain Python answers until compiled versions are there, and no cache is a reason to fail."""

import contextlib
import importlib
import io
import multiprocessing
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from numba import config
from numba.core.caching import FunctionCache, IndexDataCacheFile

from radioopt import Scenario
from radioopt.base.errors import CompileWarning, OptionError
from radioopt.numerics import dispatch, kept, twins, workshop

pytestmark = pytest.mark.skipif(config.DISABLE_JIT, reason="there is one world only")

SOURCE = """
from radioopt.numerics.jit import kernel, vector_kernel, prange, shaped


@kernel
def twice(x):
    return 2.0 * x


@kernel
def double(values):
    total = 0.0
    rows = shaped(values, (values.size, 1))
    for i in range(values.size):
        rows[i, 0] = twice(values[i])
        total += values[i]
    return total


@vector_kernel
def inverse(values, below):
    values[0] += 1.0
    return 1.0 / below
"""
SCENARIOS = """
import radioopt, radioopt.channel
for name in radioopt.Scenario.examples():
    scenario = radioopt.Scenario.load(name)
    if name == "d2d-sparse":  # two thousand devices are too many for plain Python
        scenario = scenario.replace({"devices.count": 200})
    solution = scenario.draw(0).problem(scenario.families[0]).solve()
    print(name, solution.status.name, float(solution.objective).hex())
"""


@pytest.fixture
def kernels(tmp_path, monkeypatch):
    """Kernels that no process has compiled, and nothing that was said or failed before."""
    monkeypatch.setenv("RADIOOPT_COMPILE", "background")
    for module, name, value in (
        (workshop, "_broken", ""), (workshop, "_failures", {}), (workshop, "_warned", False),
        (workshop, "_helper", None), (kept, "_complained", False),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    name = f"kernels_in_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(tmp_path)

    def load():
        """As a new process would find them."""
        sys.modules.pop(name, None)
        return importlib.import_module(name)

    yield load
    sys.modules.pop(name, None)
    deadline = time.monotonic() + 60
    while workshop._helper is not None and time.monotonic() < deadline:
        time.sleep(0.05)


@pytest.fixture
def no_process(monkeypatch):
    """Nothing may be started."""

    def refuse(*_, **__):
        pytest.fail("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)


@pytest.fixture
def started(monkeypatch):
    """The processes that are started."""
    all_of_them, start = [], subprocess.Popen

    def note(*given, **options):
        all_of_them.append(start(*given, **options))
        return all_of_them[-1]

    monkeypatch.setattr(subprocess, "Popen", note)
    return all_of_them


def fresh(code, **environment):
    """What a new process prints, and says on standard error."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_small_calls_are_answered_at_once_and_by_compiled_kernels_as_soon_as_they_are_there(kernels, started):
    module = kernels()
    values = np.arange(3.0)
    assert module.double(values) == 6.0
    np.testing.assert_array_equal(values, [0.0, 2.0, 4.0])
    assert module.double.signatures == []  # it was not this process that compiled, nor did the call wait

    def switched():
        assert module.double(np.arange(3.0)) == 6.0
        return module.double.signatures

    until(switched)
    assert sum(module.double.stats.cache_hits.values()) == 1
    until(lambda: started[0].returncode == 0)  # it has ended, and is no zombie


def test_what_is_compiled_in_the_background_is_there_for_the_next_process(kernels, no_process, monkeypatch):
    with monkeypatch.context() as waiting:
        waiting.setenv("RADIOOPT_COMPILE", "wait")
        kernels().double(np.ones(2))
    module = kernels()
    module.double(np.ones(2))
    assert sum(module.double.stats.cache_hits.values()) == 1


def test_a_large_call_waits(kernels, no_process):
    module = kernels()
    assert module.double(np.ones(dispatch.SMALL + 1)) == 2.0 * (dispatch.SMALL + 1)
    assert module.double.signatures


def test_a_call_waits_for_what_is_being_compiled(kernels):
    module = kernels()
    module.double(np.ones(2))
    assert module.double(np.ones(dispatch.SMALL + 1)) == 2.0 * (dispatch.SMALL + 1)
    assert sum(module.double.stats.cache_hits.values()) == 1


def test_a_twin_that_takes_too_long_is_given_up_and_leaves_no_trace(kernels, monkeypatch):
    monkeypatch.setattr(dispatch, "PATIENCE", -1.0)
    module, values = kernels(), np.ones(3)
    assert module.double(values) == 6.0
    np.testing.assert_array_equal(values, 2.0)
    assert module.double.signatures


def test_numbers_that_plain_python_refuses_are_left_to_the_compiled_kernel(kernels):
    module, values = kernels(), np.zeros(1)
    assert module.inverse(values, 0.0) == np.inf
    assert values == [1.0]


def test_wait_compiles_here_and_never_not_at_all(kernels, no_process, monkeypatch):
    monkeypatch.setenv("RADIOOPT_COMPILE", "wait")
    module = kernels()
    module.double(np.ones(2))
    assert sum(module.double.stats.cache_misses.values()) == 1
    monkeypatch.setenv("RADIOOPT_COMPILE", "never")
    module = kernels()
    assert module.inverse(np.ones(1), 4.0) == 0.25
    with pytest.raises(ZeroDivisionError):
        module.inverse(np.ones(1), 0.0)
    assert module.inverse.signatures == []
    module.double(np.ones(2))
    assert module.double.signatures, "what is kept is used"


def test_versions_are_those_of_all_kernels(kernels, monkeypatch):
    monkeypatch.setenv("RADIOOPT_COMPILE", "wait")
    module, before = kernels(), dispatch.versions()
    module.double(np.ones(2))
    module.double(np.ones(3))
    assert [kernel for kernel, _ in dispatch.versions() - before].count(id(module.double)) == 1


def test_another_policy_is_refused(kernels, monkeypatch):
    monkeypatch.setenv("RADIOOPT_COMPILE", "later")
    with pytest.raises(OptionError, match="RADIOOPT_COMPILE: expected background, wait, never, got 'later'"):
        kernels().double(np.ones(2))


def test_without_a_process_there_is_one_warning_and_this_process_compiles(kernels, monkeypatch):
    monkeypatch.setattr(workshop, "_START", "import sys; sys.stdin.read(1); sys.exit('no compiler here')")
    module = kernels()
    assert module.double(np.ones(2)) == 4.0
    until(lambda: workshop._helper is None)
    with pytest.warns(CompileWarning, match=r"exit code 1: no compiler here\): this process compiles"):
        assert module.double(np.ones(2)) == 4.0
    assert module.double.signatures
    assert module.inverse(np.ones(1), 4.0) == 0.25  # and nothing more is said
    assert module.inverse.signatures


def test_a_kernel_that_cannot_be_compiled_there_is_compiled_here(kernels, monkeypatch):
    module = kernels()
    path = Path(module.__file__)
    path.write_text("raise ImportError('gone')")
    try:
        assert module.double(np.ones(2)) == 4.0
        until(lambda: workshop._helper is None)
    finally:
        path.write_text(SOURCE)
    with pytest.warns(CompileWarning, match="gone"):
        assert module.double(np.ones(2)) == 4.0
    assert module.double.signatures


def test_workers_start_no_process_and_compile_when_it_pays(kernels, no_process, monkeypatch):
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "somebody")
    module = kernels()
    assert module.double(np.ones(2)) == 4.0
    assert module.double.signatures == []
    monkeypatch.setattr(dispatch, "WORTH", 0.0)
    assert module.double(np.ones(2)) == 4.0
    assert module.double.signatures


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_processes_of_a_pool_answer(tmp_path, method):
    code = f"""
    import multiprocessing, sys
    import radioopt
    from concurrent.futures import ProcessPoolExecutor
    from radioopt import channel

    def rates(k):
        return float(channel.ergodic_rate_bps(1.0 + k, 1e6))

    if __name__ == "__main__":
        alone = [rates(k) for k in range(4)]
        with ProcessPoolExecutor(2, multiprocessing.get_context({method!r})) as pool:
            print(max(abs(a / b - 1.0) for a, b in zip(alone, pool.map(rates, range(4)))) < 1e-14)
    """
    file = tmp_path / "pool.py"
    file.write_text(textwrap.dedent(code))
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "RADIOOPT_COMPILE": "background"}
    done = subprocess.run(
        [sys.executable, file], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.split() == ["True"], done.stderr


def test_an_interrupted_process_leaves_no_damage(kernels, started):
    module = kernels()
    module.double(np.ones(2))
    cache = Path(module.double._cache.cache_path)
    until(lambda: (cache / "radioopt.lock").exists())
    started[0].kill()
    until(lambda: workshop._helper is None)
    with pytest.warns(CompileWarning, match="exit code -9"):
        assert module.double(np.ones(2)) == 4.0
    again = kernels()
    assert again.double(np.ones(2)) == 4.0
    assert sum(again.double.stats.cache_hits.values()) == 1


def test_two_processes_at_once(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "RADIOOPT_COMPILE": "background"}
    code = textwrap.dedent(
        """
        import time, numpy as np
        from radioopt.numerics import expint
        while not expint._apply_in_place.signatures:
            assert abs(expint.scaled_exp1(1.0) - 0.596347362323) < 1e-12
            time.sleep(0.01)
        print(sum(expint._apply_in_place.stats.cache_hits.values()))
        """
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", code], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    assert [one.communicate(timeout=120)[0].strip() for one in both] == ["1", "1"]


@pytest.mark.parametrize(
    ("what", "policy"),
    [
        ("version cut off", "wait"),
        ("version damaged", "wait"),
        ("index cut off", "wait"),
        ("foreign", "wait"),
        ("version cut off", "background"),
        ("index cut off", "background"),
    ],
)
def test_a_file_that_cannot_be_read_costs_time_and_a_warning(kernels, started, monkeypatch, what, policy):
    monkeypatch.setenv("RADIOOPT_COMPILE", "wait")
    module = kernels()
    module.double(np.ones(2))
    (index,) = Path(module.double._cache.cache_path).glob(f"{module.__name__}.double-*.nbi")
    (version,) = Path(module.double._cache.cache_path).glob(f"{module.__name__}.double-*.nbc")
    content = bytearray(version.read_bytes())
    content[-200] ^= 1
    file, wrong = {
        "version cut off": (version, version.read_bytes()[:500]),
        "version damaged": (version, bytes(content)),
        "index cut off": (index, index.read_bytes()[:40]),
        "foreign": (index, b"hello"),
    }[what]
    file.write_bytes(wrong)
    module = kernels()
    monkeypatch.setenv("RADIOOPT_COMPILE", policy)
    with pytest.warns(CompileWarning, match=r"cannot be read .* NUMBA_CACHE_DIR") as caught:
        assert module.double(np.ones(2)) == 4.0
    assert len(caught) == 1
    monkeypatch.setenv("RADIOOPT_COMPILE", "wait")
    module = kernels()
    assert module.double(np.ones(2)) == 4.0
    assert sum(module.double.stats.cache_hits.values()) == 1, "it was written anew"


def test_a_full_disk_costs_time_and_a_warning(kernels, monkeypatch):
    monkeypatch.setenv("RADIOOPT_COMPILE", "wait")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(IndexDataCacheFile, "_save_data", full)
    module = kernels()
    with pytest.warns(CompileWarning, match=r"cannot be kept in .* No space left .* NUMBA_CACHE_DIR"):
        assert module.double(np.ones(2)) == 4.0
    assert module.inverse(np.ones(1), 4.0) == 0.25  # and nothing more is said
    assert kernels().double(np.ones(2)) == 4.0


def test_where_nothing_can_be_written_kernels_are_not_kept(kernels, no_process, monkeypatch):
    def nowhere(*_):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr(FunctionCache, "__init__", nowhere)
    module = kernels()
    with pytest.warns(CompileWarning, match="cannot be kept, neither .* NUMBA_CACHE_DIR"):
        assert module.double(np.ones(2)) == 4.0
    assert module.double.signatures == []  # it was the twin, and nothing more is said
    monkeypatch.setattr(dispatch, "WORTH", 0.0)
    assert module.double(np.ones(2)) == 4.0
    assert module.double.signatures


@pytest.mark.slow
def test_the_shipped_scenarios_have_the_same_answers_in_both_worlds(tmp_path):
    plain, said = fresh(SCENARIOS, RADIOOPT_COMPILE="never", NUMBA_CACHE_DIR=str(tmp_path))
    assert said == ""
    assert not list(tmp_path.rglob("*.nbc"))
    with contextlib.redirect_stdout(io.StringIO()) as compiled:
        exec(SCENARIOS, {})
    for one, other in zip(plain.splitlines(), compiled.getvalue().splitlines(), strict=True):
        *who, a = one.split()
        *same, b = other.split()
        assert who == same
        assert float.fromhex(a) == pytest.approx(float.fromhex(b), rel=1e-13)


FIRST = """
import os, pathlib, subprocess, sys, time
import numba, pandas, scipy.optimize
print("import", time.process_time(), flush=True)
import radioopt as ro
loaded, folder, start, started = time.process_time(), pathlib.Path(numba.config.CACHE_DIR), subprocess.Popen, []
subprocess.Popen = lambda *given, **options: started.append(start(*given, **options)) or started[-1]

def answer(name):
    numba.config.CACHE_DIR = str(folder / name)
    scenario = ro.Scenario.load(name)
    for family in scenario.families:
        scenario.draw(seed=0).problem(family).solve()  # raises if there is no answer
    print(name, loaded + time.process_time(), flush=True)

for name in ro.Scenario.examples():
    if name == "d2d-sparse":  # two thousand devices are a large problem, which waits for its kernels
        continue
    if os.fork() == 0:  # a new process in which no module with kernels is imported
        try:
            answer(name)
        except BaseException as error:
            sys.exit(f"{name}: {error}")
        finally:
            [one.kill() for one in started]  # what compiles in the background would go on for those that come later
        os._exit(0)
    if os.wait()[1]:
        sys.exit(1)
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_first_answers_of_a_fresh_installation_take_little_longer_than_importing(tmp_path):
    """All but that of two thousand devices, which is large and waits for its kernels."""
    told, _ = fresh(FIRST, NUMBA_CACHE_DIR=str(tmp_path), RADIOOPT_COMPILE="background")
    taken = {name: float(seconds) for name, seconds in map(str.split, told.splitlines())}
    imported = taken.pop("import")
    assert {*taken} == {*Scenario.examples()} - {"d2d-sparse"}
    assert max(taken.values()) < 3 * imported, (imported, taken)


def test_the_state_of_what_a_kernel_changes_is_given_back():
    array, fixed, generator = np.arange(3.0), np.arange(2.0), np.random.default_rng(1)
    fixed.flags.writeable = False
    before = list(twins._changeable((array, (fixed, generator), 1.0)))
    expected = np.random.default_rng(1).random()
    array[:], _ = -1.0, generator.random()
    for restore, state in before:
        restore(state)
    np.testing.assert_array_equal(array, np.arange(3.0))
    assert generator.random() == expected


def test_a_terminal_is_told_what_takes_so_long_and_nothing_is_left_there(kernels, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("RADIOOPT_COMPILE", "wait")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    module = kernels()
    module.double(np.ones(2))
    text = terminal.getvalue()
    assert f"compiling {module.__name__}: double (" in text
    assert text.endswith("\r\x1b[K")
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    kernels().double(np.ones(2))
    assert terminal.getvalue() == ""  # it was kept


def test_who_wants_to_wait_for_the_compiler_is_told_whether_it_has_ended(monkeypatch):
    monkeypatch.setattr(workshop, "_helper", None)
    assert workshop.finish(0.0)
    monkeypatch.setattr(workshop, "_helper", object())
    assert not workshop.finish(0.01)
