"""Sweeps: what stands in the table, what is kept, what goes to other processes, pictures and LaTeX."""

import functools
import json
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import radioopt as ro
from radioopt.base.latex import escaped, latex_table, mean_and_ends, mean_with_interval
from radioopt.base.limits import limits, within
from radioopt.base.prefixes import prefixed
from radioopt.cli import main
from radioopt.sweeps import Sweep, point, run
from radioopt.sweeps.grid import Axis, axis_texts, read_values
from radioopt.sweeps.saved import read_sweep

THREE = Path(__file__).parents[2] / "examples" / "three_problems.toml"
BANDS = [5e6, 10e6, 20e6]


@pytest.fixture(scope="module")
def found():
    return ro.sweep(THREE, {"bandwidth_hz": BANDS, "devices.count": [2, 4]}, draws=6, progress=False)


def test_a_row_for_every_point_draw_and_problem(found):
    frame = found.to_frame()
    assert len(frame) == 3 * 2 * 6 * 3
    assert not frame.duplicated(["bandwidth_hz", "devices.count", "problem", "draw"]).any()
    assert frame.columns[:5].tolist() == ["bandwidth_hz", "devices.count", "problem", "draw", "status"]
    assert frame.attrs["units"]["bandwidth_hz"] == "Hz"
    assert frame.attrs["units"]["round_latency_s"] == "s"
    assert found.unit("objective", "fimi") == "J"
    assert found.unit("objective", "feel") == "1/s"


@pytest.mark.parametrize("family", ["feel", "fimi", "dtkd"])
def test_a_row_is_what_a_single_solve_gives(found, family):
    scenario = ro.Scenario.load(THREE, {"bandwidth_hz": 10e6, "devices.count": 4})
    alone = scenario.draw(0, size=6).problem(family)[3].solve()
    frame = found.select({"bandwidth_hz": 10e6, "devices.count": 4}, family).to_frame()
    row = frame[frame["draw"] == 3].iloc[0]
    assert row["status"] == alone.status.name
    assert row["objective"] == alone.objective
    assert row["gap"] == alone.gap


def test_draws_are_the_same_at_every_point(found):
    feel = found.select(problems="feel").to_frame().set_index(["devices.count", "bandwidth_hz", "draw"])
    efficiency = feel["objective"].unstack("bandwidth_hz")
    assert (
        np.diff(efficiency.to_numpy(), axis=1) > 0
    ).all()  # more band is better for each draw, not on average only


def test_the_summary_counts_what_is_infeasible_and_leaves_it_out():
    tight = {"bandwidth_hz": [1e6, 3e6, 20e6], "fimi.max_round_latency_s": [20.0]}
    found = ro.sweep(THREE, tight, draws=40, problems="fimi", progress=False)
    table, frame = found.summary(), found.to_frame()
    assert table["infeasible"].iloc[0] == 40
    assert np.isnan(table["mean"].iloc[0])
    assert table["infeasible"].is_monotonic_decreasing
    last = frame[(frame["bandwidth_hz"] == 20e6) & (frame["status"] == "OPTIMAL")]["objective"]
    row = table.loc["fimi", 20e6, 20.0]
    assert row["draws"] == 40 == len(last) + row["infeasible"]
    assert row["mean"] == pytest.approx(last.mean())
    assert row[["q05", "median", "q95"]].tolist() == pytest.approx(last.quantile([0.05, 0.5, 0.95]).tolist())
    half = 2.0227 * last.std() / np.sqrt(40)  # Student's quantile at 97.5 % with 39 degrees of freedom
    if row["infeasible"] == 0:
        assert row["high"] - row["mean"] == pytest.approx(half, rel=1e-4)


def test_one_draw_has_no_interval():
    row = ro.sweep(THREE, {"bandwidth_hz": [1e7]}, draws=1, problems="feel", progress=False).summary().iloc[0]
    assert np.isfinite(row["mean"])
    assert np.isnan(row[["low", "high"]].astype(float)).all()


def test_what_is_kept_is_not_solved_again(tmp_path, monkeypatch):
    vary = {"bandwidth_hz": BANDS}
    settings = {"draws": 5, "problems": ["feel"], "folder": tmp_path, "progress": False}
    first = ro.sweep(THREE, vary, **settings)
    seen, real = [], point.solved

    def counted(scenario, questions, *rest):
        seen.append((scenario.radio.bandwidth_hz, [q.name for q in questions]))
        return real(scenario, questions, *rest)

    monkeypatch.setattr(run, "solved", counted)
    again = ro.sweep(THREE, vary, **settings)
    assert seen == []
    pd.testing.assert_frame_equal(first.to_frame(), again.to_frame())
    ro.sweep(THREE, {"bandwidth_hz": [10e6, 15e6]}, **settings | {"problems": ["feel", "fimi"]})
    assert seen == [(10e6, ["fimi"]), (15e6, ["feel", "fimi"])]
    seen.clear()
    ro.sweep(THREE, vary, **settings | {"seed": 1})  # other draws are other answers
    assert len(seen) == 3


def test_an_interrupted_sweep_goes_on_with_the_same_numbers(tmp_path, monkeypatch):
    vary, settings = {"bandwidth_hz": BANDS}, {"draws": 5, "problems": "feel", "progress": False}
    real, calls = point.solved, []

    def interrupted(*given):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*given)

    monkeypatch.setattr(run, "solved", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ro.sweep(THREE, vary, folder=tmp_path, **settings)
    assert len(list((tmp_path / "points").glob("feel-*.npz"))) == 2
    next((tmp_path / "points").iterdir()).write_bytes(
        b"half a file"
    )  # one that cannot be read is solved anew
    monkeypatch.setattr(run, "solved", real)
    resumed = ro.sweep(THREE, vary, folder=tmp_path, **settings)
    pd.testing.assert_frame_equal(resumed.to_frame(), ro.sweep(THREE, vary, **settings).to_frame())


@pytest.mark.parametrize(
    "spoil", [lambda data: data[: len(data) // 2], lambda data: data[:90] + b"?" + data[91:]]
)
def test_a_damaged_file_of_answers_is_solved_anew(tmp_path, spoil):
    settings = {"draws": 2, "problems": "feel", "folder": tmp_path, "progress": False}
    first = ro.sweep(THREE, {"bandwidth_hz": [5e6]}, **settings)
    (file,) = (tmp_path / "points").iterdir()
    file.write_bytes(spoil(file.read_bytes()))
    pd.testing.assert_frame_equal(
        ro.sweep(THREE, {"bandwidth_hz": [5e6]}, **settings).to_frame(), first.to_frame()
    )


def test_a_saved_sweep_is_read_back_as_it_was(tmp_path):
    """Also where whole numbers stand beside others on an axis, which is one column of floats in the file."""
    kept = ro.sweep(THREE, {"bandwidth_hz": [5e6, 10_000_000]}, draws=2, problems="feel", progress=False)
    kept.save(tmp_path)
    read, quantity = read_sweep(tmp_path, lambda trials: Sweep)
    assert quantity == "objective"
    pd.testing.assert_frame_equal(read.summary(), kept.summary(), check_exact=True)


def test_methods_that_are_objects_are_known_by_what_they_hold(tmp_path):
    feel = ro.problem_class("feel")
    settings = {"draws": 2, "problems": "feel:share", "folder": tmp_path, "progress": False}
    try:
        for share in (0.5, 0.25, 0.25):
            feel.method("share", exact=False)(functools.partial(_some_of_the_samples, share=share))
            found = ro.sweep(THREE, {"bandwidth_hz": [5e6]}, **settings)
        assert (found.to_frame()["objective"] > 0).all()
        assert len(list((tmp_path / "points").iterdir())) == 2
        feel.method("share", exact=False)(functools.partial(lambda problem, options: None))
        with pytest.raises(
            ro.OptionError, match="folder: method 'share' is an object that cannot be written down"
        ):
            ro.sweep(THREE, {"bandwidth_hz": [5e6]}, **settings)
    finally:
        del feel.methods["share"]


def _some_of_the_samples(problem, options, share):
    return problem.replace(max_batchsize=share * problem.max_batchsize, strict=None).solve(options=options)


def test_methods_of_ones_own_go_to_other_processes():
    feel = ro.problem_class("feel")

    @feel.method("even", exact=False)
    def even(problem, options):
        """Equal slots and one sample each."""
        count = problem.sizes["device"]
        slots = {
            f"{way}_slot_s": getattr(problem, f"{way}_frame_s")[..., None] / count
            for way in ("uplink", "downlink")
        }
        return problem.judge(options, throw=False, batchsize=1.0, **slots)

    try:
        vary, problems = {"bandwidth_hz": BANDS}, ["feel", "feel:even"]
        here = ro.sweep(THREE, vary, draws=4, problems=problems, progress=False)
        there = ro.sweep(THREE, vary, draws=4, problems=problems, jobs=2, progress=False)
    finally:
        del feel.methods["even"]
    pd.testing.assert_frame_equal(here.to_frame(), there.to_frame())
    means = here.frame.groupby("problem")["objective"].mean()
    assert means["feel:even"] < means["feel"]


@pytest.mark.parametrize(
    ("vary", "options", "message"),
    [
        ({}, {}, "vary: expected values by key"),
        ({"bandwidth_hz": 5e6}, {}, "vary: bandwidth_hz: expected a list of values, got 5000000.0"),
        ({"bandwidth_hz": [5e6, 5e6]}, {}, "vary: bandwidth_hz: 5000000.0 stands twice"),
        ({"bandwidth_hz": [5e6], "radio.bandwidth_hz": [1e6]}, {}, "are the same key: give one"),
        ({"bandwith_hz": [5e6]}, {}, "unknown key; did you mean bandwidth_hz"),
        ({"bandwidth_hz": [5e6, -1.0]}, {}, "vary: at bandwidth_hz = -1: radio.bandwidth_hz: expected > 0"),
        ({"bandwidth_hz": [5e6]}, {"draws": 0}, "draws: expected a whole number >= 1, got 0"),
        ({"bandwidth_hz": [5e6]}, {"seed": -1}, "seed: expected a whole number >= 0, got -1"),
        ({"bandwidth_hz": [5e6]}, {"jobs": 0}, "jobs: expected a number of processes"),
        (
            {"bandwidth_hz": [5e6]},
            {"problems": ["d2d"]},
            r"has no table \[d2d\]; its problems: \[feel\], \[fimi\]",
        ),
        ({"bandwidth_hz": [5e6]}, {"problems": "feel:bisect"}, "no method 'bisect'; did you mean bisection"),
        ({"bandwidth_hz": [5e6]}, {"problems": ["feel", "feel"]}, "problems: feel stands twice"),
        ({"bandwidth_hz": [5e6]}, {"options": 3}, "options: expected SolveOptions"),
    ],
)
def test_mistakes_are_named_before_anything_is_solved(vary, options, message, monkeypatch):
    monkeypatch.setattr(run, "solved", None)
    with pytest.raises((ro.OptionError, ro.ProblemError), match=message):
        ro.sweep(THREE, vary, progress=False, **options)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda s: s.summary("energy"), "no answer has a quantity 'energy'"),
        (lambda s: s.summary(confidence=1.0), "confidence: expected a number in"),
        (lambda s: s.plot(x="count"), "x: no axis count"),
        (lambda s: s.plot(band="range"), "band: expected one of quantiles, interval"),
        (lambda s: s.plot(width="wide"), "width: expected inches, column or page, got 'wide'"),
        (lambda s: s.select({"bandwidth_hz": 7.0}), "select: bandwidth_hz does not take 7.0"),
        (lambda s: s.select({"bandwith_hz": 7.0}), "select: no axis bandwith_hz; did you mean bandwidth_hz"),
        (lambda s: s.select(problems="feeel"), "no problem feeel; did you mean feel"),
    ],
)
def test_mistakes_with_what_was_found_are_named(found, ask, message):
    with pytest.raises(ro.OptionError, match=message):
        ask(found)


def test_three_axes_are_drawn_one_value_at_a_time():
    vary = {"bandwidth_hz": BANDS, "devices.count": [2, 3], "feel.max_batchsize": [16, 128]}
    found = ro.sweep(THREE, vary, draws=2, problems="feel", progress=False)
    with pytest.raises(
        ro.OptionError, match=r"has 2 values beside .* as select\(\{'feel.max_batchsize': 16\}\)"
    ):
        found.plot()
    figure = found.select({"feel.max_batchsize": 16}).plot()
    assert figure.get_figwidth() == 3.5


def test_the_picture_shows_means_with_bands_in_prefixed_units(found):
    figure = found.plot(band="interval")
    assert figure.get_figwidth() == 7.16
    assert [axes.get_title() for axes in figure.axes] == ["feel", "fimi", "dtkd"]
    feel = figure.axes[0]
    assert feel.get_xlabel() == "bandwidth [MHz]"
    assert feel.get_ylabel() == "learning efficiency [1/s]"
    lines = [line for line in feel.lines if len(line.get_xdata())]
    assert lines[0].get_xdata().tolist() == [5.0, 10.0, 20.0]
    assert lines[0].get_ydata() == pytest.approx(found.summary().loc["feel"].xs(2, level=1)["mean"])
    assert len({(line.get_linestyle(), line.get_marker()) for line in lines}) == 2  # told apart in grey
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == ["number of devices = 2", "number of devices = 4", "95 % interval of the mean"]


def test_axes_of_ones_own_and_words_for_an_axis():
    figure_module = pytest.importorskip("matplotlib.figure")
    vary = {"cell.path_loss": ["tr36942_urban_macro_2ghz", "tr36942_urban_macro_900mhz"]}
    found = ro.sweep(THREE, vary, draws=3, problems="feel", progress=False)
    figure = figure_module.Figure()
    assert found.plot(ax=figure.subplots()) is figure
    assert [t.get_text() for t in figure.axes[0].get_xticklabels()] == vary["cell.path_loss"]
    with pytest.raises(ro.OptionError, match="ax: expected 1 axes, one for each panel, got 2"):
        found.plot(ax=figure_module.Figure().subplots(1, 2))


@pytest.fixture(scope="module")
def fixed():
    """A cell in which nothing is random."""
    cell = {
        "devices": {
            "count": 2,
            "uplink_rate_bps": [2e7, 3e7],
            "downlink_rate_bps": 4e7,
            "cpu_frequency_hz": 1e9,
        },
        "feel": {"compute": "cpu", "cycles_per_sample": 2e7, "update_cycles": 1e7, "max_batchsize": 64},
    }
    cell["feel"]["payload_bits"] = 1e6
    values = {"feel.payload_bits": np.linspace(1e6, 20e6, 10).tolist()}
    return ro.sweep(ro.Scenario.from_dict(cell), values, draws=3, progress=False)


def test_where_nothing_is_random_there_is_a_line_and_no_band(fixed):
    figure = fixed.plot()
    (axes,) = figure.axes
    assert len(axes.collections) == 0
    assert not figure.legends
    table = fixed.summary()
    assert (table[["low", "high", "q05", "q95"]].sub(table["mean"], axis=0) == 0).all(axis=None)
    assert fixed.to_latex().startswith("% the same in all 3 draws; needs")
    assert fixed.words().columns.tolist() == ["draws", "mean"]


def test_axes_are_rounded_for_people_and_kept_in_full_in_files(fixed, tmp_path):
    assert "\n11.56 & $" in fixed.to_latex()
    assert fixed.words().loc["feel"].index[5] == "11.56"
    assert fixed.words().index.names[1] == "payload [Mbit]"
    fixed.save(tmp_path)
    assert pd.read_csv(tmp_path / "summary.csv")["feel.payload_bits"][5] == np.linspace(1e6, 20e6, 10)[5]
    assert fixed.to_frame()["feel.payload_bits"].iloc[-1] == 20e6


@pytest.mark.parametrize(
    ("values", "unit", "texts"),
    [
        ((1e6, 11555555.555, 2e7), "Hz", ["1", "11.56", "20"]),
        ((10000001, 10000002), "1", ["10000001", "10000002"]),
        ((0.1, 1 / 3, 1e-7), "1", ["0.1", "0.3333", "1e-07"]),
        ((100.0, 123456.0), "m", ["0.1", "123.5"]),
        ((-2.5, 0.0, 10.0), "dBm", ["-2.5", "0", "10"]),
        (("iid", 0.5), "1", ["iid", "0.5"]),
        (
            ([1.5] * 20, [1.5] * 30),
            "1",
            ["1.5, 1.5, 1.5, 1.5, 1.5, 1.5, … (1)", "1.5, 1.5, 1.5, 1.5, 1.5, 1.5, … (2)"],
        ),
    ],
)
def test_values_of_an_axis_have_the_digits_that_tell_them_apart(values, unit, texts):
    assert axis_texts(Axis("a", values, unit)) == texts


def test_intervals_do_not_reach_beyond_what_a_quantity_can_be():
    low, high = within(
        np.array([0.97, 0.5, -1.0]), np.array([0.9, -0.1, -2.0]), np.array([1.04, 1.1, 0.0]), (0.0, 1.0)
    )
    assert low.tolist() == [0.9, 0.0, -2.0]  # the last is no share
    assert high.tolist() == [1.0, 1.0, 0.0]
    assert np.isnan(within(0.5, np.nan, np.nan, (0.0, 1.0))).all()
    assert limits("round_latency_s") == limits("objective", "J") == (0.0, np.inf)
    assert mean_and_ends(0.97, 0.9, 1.0) == "$0.970$ [$0.900$, $1$]"
    assert mean_and_ends(0.5, np.nan, np.nan) == "$0.5$"
    assert mean_and_ends(3.1e-9, 0.0, 7.2e-9) == r"($3.1$ [$0$, $7.2$]) $\times 10^{-9}$"


def test_the_table_in_latex_has_headings_with_units(found):
    text = found.select(problems=["feel", "fimi"]).to_latex(caption="50 % more_band", label="tab:a")
    assert r"\caption{50 \% more\_band}" in text
    assert (
        r"\multicolumn{2}{c}{feel: learning efficiency [1/s]} & \multicolumn{2}{c}{fimi: energy per round [J]}"
        in text
    )
    assert r" & \multicolumn{4}{c}{number of devices} \\" in text
    assert r"bandwidth [MHz] & 2 & 4 & 2 & 4 \\" in text
    rows = [line for line in text.splitlines() if line.startswith(("5 &", "10 &", "20 &"))]
    assert len(rows) == 3
    assert all(row.count(r"\pm") == 4 for row in rows)
    assert text.index(r"\toprule") < text.index(r"\midrule") < text.index(r"\bottomrule")


def test_the_table_says_where_answers_are_missing():
    vary = {"bandwidth_hz": [1e6, 20e6], "fimi.max_round_latency_s": [20.0]}
    text = ro.sweep(THREE, vary, draws=4, problems="fimi", progress=False).to_latex()
    assert r"1 & -- (100\,\% none) \\" in text
    vary = {"bandwidth_hz": [1e6], "fimi.max_round_latency_s": [20.0]}
    none = ro.sweep(THREE, vary, draws=4, problems="fimi", progress=False)
    assert none.to_latex().startswith("% no answer in any of 4 draws; ")
    assert none.plot().axes


@pytest.mark.parametrize(
    ("mean", "half", "text"),
    [
        (0.0, 0.0, "$0$"),
        (-1234.5, 67.8, r"$-1234 \pm 68$"),
        (1.5e7, 2e5, r"$(1.500 \pm 0.020) \times 10^{7}$"),
        (3.14159, float("nan"), "$3.142$"),
        (float("nan"), 1.0, "--"),
    ],
)
def test_a_mean_has_the_digits_of_its_interval(mean, half, text):
    assert mean_with_interval(mean, half) == text


def test_latex_is_escaped():
    assert escaped(r"a_b & 5 % of {x} ~ \n") == r"a\_b \& 5 \% of \{x\} \textasciitilde{} \textbackslash{}n"
    text = latex_table([["W [MHz]", "a_b"]], [["1", "$2$"]], notes=["two\nlines"])
    assert text.startswith("% two lines\n")
    assert r"W [MHz] & a\_b \\" in text


@pytest.mark.parametrize(
    ("unit", "largest", "expected"),
    [("s", 2e-3, (1e3, "ms")), ("s", 7200.0, (1.0, "s")), ("dBm", 1e6, (1.0, "dBm")), ("J", 0.0, (1.0, "J"))],
)
def test_units_take_the_prefix_that_fits(unit, largest, expected):
    factor, text = prefixed(unit, largest)
    assert (factor, text) == (pytest.approx(expected[0]), expected[1])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a=1:4:4", [1, 2, 3, 4]),
        ("a=1:2:3", [1.0, 1.5, 2.0]),
        ("a=1e0:4e0:4", [1.0, 2.0, 3.0, 4.0]),
        ("a=1:100:3:log", [1, 10, 100]),
        ("a=true,false", [True, False]),
        ("a=block,ergodic", ["block", "ergodic"]),
        ("a=iid,dirichlet:0.3,digits@300+100", ["iid", "dirichlet:0.3", "digits@300+100"]),
        ("a={ uniform = [1.0, 2.0] }, 3", [{"uniform": [1.0, 2.0]}, 3]),
    ],
)
def test_values_are_read_as_written(text, values):
    key, found = read_values("--vary", text)
    assert key == "a"
    assert found == pytest.approx(values) if isinstance(values[0], float) else found == values
    assert [type(v) for v in found] == [type(v) for v in values]


@pytest.mark.parametrize(
    "text", ["a", "a=", "a=1:2", "a=1:2:1", "a=1:1:5", "a=1:2:3:lin", "a=0:2:3:log", "a=x y"]
)
def test_values_written_otherwise_are_refused(text):
    with pytest.raises(ro.OptionError, match="--vary"):
        read_values("--vary", text)


def test_the_command_writes_tables_and_pictures(tmp_path, capsys):
    command = [
        "sweep",
        str(THREE),
        "--vary",
        "bandwidth_hz=5e6:20e6:4",
        "--draws",
        "5",
        "--problem",
        "feel,dtkd",
    ]
    assert main([*command, "--save", str(tmp_path / "a")]) == 0
    assert "Sweep: 4 bandwidth_hz x 5 draws" in capsys.readouterr().out
    names = {file.name for file in (tmp_path / "a").iterdir()} - {"sweep.parquet"}
    assert names == {
        "points",
        "sweep.csv",
        "summary.csv",
        "sweep.json",
        "sweep.tex",
        "sweep.png",
        "sweep.pdf",
    }
    assert b"/FontFile2" in (tmp_path / "a" / "sweep.pdf").read_bytes()  # TrueType
    assert main([*command, "--csv"]) == 0
    assert capsys.readouterr().out == (tmp_path / "a" / "sweep.csv").read_text()
    assert main([*command, "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["points"]) == 8


def test_the_command_takes_infeasible_draws_as_answers(capsys):
    vary = ["--vary", "bandwidth_hz=1e6,2e7", "--vary", "fimi.max_round_latency_s=20.0"]
    assert main(["sweep", str(THREE), *vary, "--draws", "5", "--problem", "fimi"]) == 0
    assert "INFEASIBLE" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(capsys):
    assert main(["sweep", "feel-cpu", "--vary", "bandwidth_hz=5e6", "--vary", "bandwidth_hz=6e6"]) == 2
    assert "a key stands twice" in capsys.readouterr().err
    assert main(["sweep", "feel-cpu", "--vary", "bandwidth_hz=5e6", "--quantity", "energy_j"]) == 2
    assert "no answer has a quantity 'energy_j'" in capsys.readouterr().err


def test_the_example_is_short():
    lines = (THREE.parent / "sweep.py").read_text().splitlines()
    assert len(lines) <= 30
    assert {"feel", "fimi", "dtkd"} < tomllib.loads(THREE.read_text()).keys()
