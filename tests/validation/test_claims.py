"""What README and docs say about speed is what docs/benchmarks.json holds, and docs/benchmarks.md is its report."""

from pathlib import Path

import pytest

from validation import bench
from validation.bench.results import find

ROOT = Path(__file__).parents[2]
STORED = bench.Results.load(ROOT / "docs" / "benchmarks.json")
NEWTON, EXACT, SEARCH = "radioopt newton", "radioopt exact", "radioopt local-search"
CONSTRUCT, PARAMETERS, BOTH = "construct + solve", "parameters + solve", "solve + gradient"


def of(family, instance, solver, what, threads=None):
    """The least time of a row [s]."""
    key = (instance, solver, what) if threads is None else (instance, solver, what, threads)
    return find(family, key, STORED.rows).minimum_s


def memory(family, name):
    """The memory of a process of its own [GB]."""
    return find(family, ("process of its own", "radioopt", name), STORED.rows).memory_bytes / 1e9


def rough(value):
    """A number with two digits, as prose has it."""
    text = f"{float(f'{value:.2g}'):,.10g}"
    return text + "." + "0" if len(text.strip("0.")) == 1 and value < 10 and "." not in text else text


K20, K20S, K10 = "K=20", "10,000 x K=20", "K=10"
ours, batch = of("feel", K20, NEWTON, CONSTRUCT), of("feel", K20S, NEWTON, CONSTRUCT)
reused, fresh = of("feel", K20, "cvxpy reused", PARAMETERS), of("feel", K20, "cvxpy fresh", "model + solve")
reused_each = of("feel", K20S, "cvxpy reused", PARAMETERS)
K10_times = of("feel", K10, "cvxpy reused", PARAMETERS) / of("feel", K10, NEWTON, CONSTRUCT)
CPU_times = of("feel", K10, "cvxpy reused", PARAMETERS) / of("feel", K10, NEWTON, "construct by .cpu + solve")


def problem_3(what, threads=None):
    return 1e9 * of("dtkd", "10,000 x K=4, choices given", EXACT, what, threads)


def graph(devices, solver=SEARCH, what="one start"):
    return 1e3 * of("d2d", f"N={devices}", solver, what)


def many(scheme, devices):
    name = f"{scheme}, {devices}: a round"
    took = of("training", "process of its own", "radioopt", name)
    return f"| {rough(took)} | {memory('training', name):.2f} |"


def stacked(count):
    instance, what = f"{count} devices, digits", "fedavg: a round"
    return rough(
        of("training", instance, "radioopt plain", what) / of("training", instance, "radioopt stacked", what)
    )


def students(scheme):
    instance = f"20 users, {scheme}"
    loop = of("training", instance, "torch, user after user", "an epoch")
    return rough(loop / of("training", instance, "radioopt stacked", "an epoch"))


def layer(family, instance, solver):
    name = f"{instance}, gradients"
    solve, slope, both = (1e6 * of(family, name, solver, what, 1) for what in ("solve", "gradient", BOTH))
    return f"| {rough(solve)} µs | {rough(slope)} µs | {rough(slope / solve)} | {rough(both)} µs |"


def beside(family, instance, solver, peer, unit=1e3, threads=None):
    name = f"{instance}, gradients"
    theirs = of(family, name, peer, BOTH, threads)
    ratio = theirs / of(family, name, solver, BOTH, 1)
    return f"| {rough(unit * theirs)} {'ms' if unit == 1e3 else 'µs'} | {rough(ratio)} |"


def listed(devices):
    """The median: there is one sample of the largest, whose least is no least."""
    return find("d2d", (f"N={devices}, 32 links each", SEARCH, "one start", 1), STORED.rows).median_s


def alone(devices, links):
    name = f"N={devices}, {links} links each: solve"
    return f"{rough(of('d2d', 'process of its own', 'radioopt', name))} s and {rough(memory('d2d', name))} GB"


learnt = [rough(graph(devices, "paper's Q-learning", "3000 steps")) for devices in (20, 100)]
DTKD_ALONE = of("dtkd", "process of its own", "radioopt", "K=100,000: solve")
CHOICES_GIVEN = "10,000 x K=20, choices given"
CLAIMS = [
    ("README.md", f"radioopt {rough(1e6 * ours)} µs. It takes CVXPY {rough(1e3 * reused)} ms"),
    ("README.md", f"({rough(reused / ours)} times as long), and {rough(1e3 * fresh)} ms"),
    ("README.md", f"if it is not ({rough(fresh / ours)} times as long)"),
    ("README.md", f"CVXPY takes {rough(reused_each / batch)} times as long for each"),
    ("docs/index.md", f"takes {rough(1e6 * ours)} µs from numbers to a proven optimum"),
    ("docs/index.md", f"{rough(1e3 * reused)} ms if its model is kept between calls and {rough(1e3 * fresh)} ms"),
    ("docs/faq.md", f"The least was {rough(K10_times)} times as long, for a cell of ten FEEL devices"),
    ("docs/faq.md", f"({rough(CPU_times)} times by `BatchsizeProblem.cpu`)"),
    ("docs/dtkd.md", f"in a batch, one core | {rough(problem_3('solve', 1))} ns |"),
    ("docs/dtkd.md", f"the same on two cores | {rough(problem_3('solve'))} ns |"),
    ("docs/dtkd.md", f"stored once) | {rough(problem_3(CONSTRUCT))} ns |"),
    ("docs/dtkd.md", f"8 users | {rough(1e6 * of('dtkd', '10,000 x K=8', EXACT, 'solve', 1))} µs |"),
    ("docs/dtkd.md", f"30 users | {rough(1e6 * of('dtkd', '10,000 x K=30', EXACT, 'solve', 1))} µs |"),
    ("docs/dtkd.md", f"1,000 users | {rough(1e6 * of('dtkd', 'K=1,000', EXACT, 'solve'))} µs |"),
    ("docs/dtkd.md", f"100,000 users | {rough(1e3 * of('dtkd', 'K=100,000', EXACT, 'solve'))} ms ("
                     f"{rough(1e3 * DTKD_ALONE)} ms in a new process)"),
    ("docs/d2d.md", f"took {alone('100,000', 32)}"),
    ("docs/d2d.md", f"{rough(listed('100,000') / listed('10,000'))} times as long as 10,000"),
    ("docs/d2d.md", f"took {alone('1,000,000', 16)}"),
    ("docs/d2d.md", f"{learnt[0]} ms for 20 devices and {learnt[1]} ms for 100"),
    ("docs/d2d.md", f"takes {rough(graph(20))} and {rough(graph(100))} ms"),
    ("docs/layers.md", "| FEEL " + layer("feel", K20S, NEWTON)),
    ("docs/layers.md", "| FIMI " + layer("fimi", "10,000 x I=20", NEWTON)),
    ("docs/layers.md", "| DT-KD, Problem 3 " + layer("dtkd", CHOICES_GIVEN, EXACT)),
    ("docs/layers.md", "one by one " + beside("feel", K20S, NEWTON, "cvxpylayers diffcp")),
    ("docs/layers.md", "a batch of 1,000 " + beside("feel", K20S, NEWTON, "cvxpylayers moreau")),
    ("docs/layers.md", "in one batch " + beside("fimi", "10,000 x I=20", NEWTON, "differences", threads=1)),
    ("docs/layers.md", "DT-KD: the same " + beside("dtkd", CHOICES_GIVEN, EXACT, "differences", 1e6, 1)),
    ("docs/training_rounds.md", f"{stacked(12)} times as fast stacked for 12 devices and {stacked(50)} times for 50"),
    ("docs/training_dtkd.md", f"{students('stu')} times as fast with `stu`, {students('kd')} with `kd`"),
    ("docs/training_dtkd.md", f"and {students('simkd')} with `simkd`"),
    *(
        ("docs/distributed.md", f"| {devices} | {scheme} {many(scheme, f'{devices} devices')}")
        for devices in ("10,000", "100,000")
        for scheme in ("feel", "fedavg")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("page", "words"), CLAIMS)
def test_what_is_said_about_speed_was_measured(page, words):
    assert words in " ".join((ROOT / page).read_text(encoding="utf-8").split())


def test_the_page_is_the_report_of_what_is_stored():
    names = [
        name for name in ("bench_scaling.png", "bench_profiles.png") if (ROOT / "docs/images" / name).exists()
    ]
    assert (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8") == bench.markdown(
        STORED, names, "images"
    )
    assert len(names) == 2


def test_it_was_measured_on_a_quiet_machine_and_everything_was_run():
    assert not STORED.plan["quick"]
    assert STORED.plan["only"] is None
    assert bench.machine.unquiet(STORED.machine) == ""
    assert bench.uncertified(STORED) == []
