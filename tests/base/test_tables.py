"""Tables for people: in LaTeX with units, and in a window of any width."""

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

import radioopt as ro
from radioopt.base.latex import latex_of, words_and_unit
from radioopt.base.prefixes import prefixed
from radioopt.base.tables import table_text
from radioopt.cli import output


@pytest.fixture(scope="module")
def solution():
    return ro.Scenario.load("feel-cpu").draw(seed=1).problem("feel").solve()


def test_an_allocation_in_latex_has_units_and_fitting_prefixes(solution):
    text = solution.to_latex(caption="50 % of the band", label="tab:a")
    assert r"\caption{50 \% of the band}" in text
    head, first = (next(line for line in text.splitlines() if line.startswith(at)) for at in ("device", "0"))
    assert head.startswith(
        "device & batchsize [samples] & uplink slot [ms] & downlink slot [ms] & compute time [s]"
    )
    assert head.endswith(r"\\")
    assert first.startswith(
        rf"0 & ${solution.batchsize[0]:.4g}$ & ${1e3 * solution.uplink_slot_s[0]:.4g}$ & "
    )
    assert text.count(r"\\") == 13
    assert r"\toprule" in solution.problem.to_latex()


def test_sensitivities_in_latex(solution):
    lines = solution.sensitivity().to_latex().splitlines()
    assert lines[2] == r"parameter & value & unit & elasticity [\%/\%] & price & unit of the price \\"
    change = solution.sensitivity().table()["elasticity"].iloc[0]
    assert lines[4].startswith(rf"payload & $2.58 \times 10^{{8}}$ & bit & ${change:.4g}$")
    assert lines[4].endswith(r"1/s per bit \\")
    assert r"max round latency & $\infty$ & s & $0$ & $0$ & 1/s per s \\" in lines


@pytest.mark.parametrize("family", ["fimi", "dtkd", "d2d", "mix2fld"])
def test_every_family_has_its_table_in_latex(family):
    solution = ro.Scenario.load(family).draw(seed=1).problem(family).solve()
    text = solution.to_latex(() if family == "mix2fld" else ("device",))
    columns = text.partition(r"\begin{tabular}{")[2].partition("}")[0]
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {line.count(" & ") for line in rows} == {len(columns) - 1}
    assert "_" not in text.replace(r"\_", "")


def test_words_of_a_frame_are_escaped_and_missing_numbers_are_dashes():
    frame = pd.DataFrame({"model": ["a_1", "50 %"], "energy_j": [1e-4, np.nan], "seconds": [1.0, 2.0]})
    lines = latex_of(frame.rename_axis("run"), notes=["two\nlines"]).splitlines()
    assert lines[0] == "% two lines"
    assert lines[3] == r"run & model & energy [µJ] & time [s] \\".replace("µ", r"\textmu{}")
    assert lines[5:7] == [r"0 & a\_1 & $100$ & $1$ \\", r"1 & 50 \% & -- & $2$ \\"]
    assert words_and_unit("iterations") == ("iterations", "")


@pytest.mark.parametrize("width", [40, 60, 80, 120])
def test_a_table_fits_the_window(capsys, monkeypatch, solution, width):
    monkeypatch.setattr(output, "console", lambda **_: Console(width=width, highlight=False))
    frame = solution.to_frame()
    output.print_table(frame, "an allocation")
    output.print_table(solution.sensitivity().table())
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(lines)
    for name, values in frame.items():  # no number is lost or broken, in the prefix that suits its column
        factor, unit = prefixed(words_and_unit(name)[1] or "1", values.max())
        assert not unit or f"[{unit}]" in text
        for value in values:
            assert f" {output.cell(float(value) * factor)} " in text
    assert sum(line.startswith("│ 11 ") for line in lines) >= 1 + (
        width < 80
    )  # the index stands in every part


def test_a_table_of_texts_is_as_wide_as_they_are():
    frame = pd.DataFrame({"ratio": ["1", "1.5 [1, 2]"]}, index=pd.Index(["optimal", "full"], name="policy"))
    assert table_text(frame).splitlines() == [
        "policy        ratio",
        "optimal           1",
        "full     1.5 [1, 2]",
    ]


def test_a_number_of_up_to_seven_digits_is_written_out():
    numbers = [107830.4, 3216895.0, 1e7, 99999.0, 12.345678, 1.5e-5, -250240.7]
    assert [output.cell(number) for number in numbers] == [
        "107830",
        "3216895",
        "1e+07",
        "99999",
        "12.346",
        "1.5e-05",
        "-250241",
    ]
