"""Pages: what users wrote is text and nothing else, numbers are readable and sortable, nothing is loaded."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest

import radioopt as ro
from radioopt.base.errors import OptionError
from radioopt.reports.page import (
    MOST_ROWS,
    Chapter,
    Fact,
    Section,
    Text,
    Unit,
    number,
    render,
    tabulated,
    write,
)
from radioopt.reports.pictures import MOST_BYTES, blank, picture

NASTY = '<script>alert("1")</script> & <b> \' --> ]]> {{ 7 * 7 }} {% raw %} $\\frac{'


class Tags(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data):
        self.texts.append(data)


def page_of(*parts, **options):
    chapter = Chapter("title", "lead", sections=[Section("section", parts)], **options)
    return render("title", [chapter], "foot")


def test_what_a_user_wrote_is_shown_and_never_run():
    frame = pd.DataFrame({NASTY: [1.0], "name": [NASTY]}, index=pd.Index([NASTY], name=NASTY))
    table = tabulated(frame, {NASTY: Unit("s", NASTY)}, caption=NASTY, note=NASTY)
    chapter = Chapter(
        NASTY, NASTY, NASTY, "good", [Fact(NASTY, NASTY, NASTY)], [Text(NASTY)], [Section(NASTY, [table])]
    )
    page = render(NASTY, [chapter, chapter], NASTY)
    found = Tags(page)
    assert found.tags.count("script") == 1
    assert "b" in found.tags  # the page's own
    assert found.tags.count("b") == Tags(render("t", [Chapter("t", "l")] * 2, "f")).tags.count("b")
    assert "alert" not in "".join(value or "" for name, value in found.attributes if name.startswith("on"))
    assert any(NASTY.replace("_", " ") in text for text in found.texts)
    assert page.count("{{ 7 * 7 }} {% raw %}") >= 10  # no template of ours


def test_a_name_in_a_picture_is_text_too():
    figure, axes = blank(3.0, 2.0)
    axes.set_title("<script>alert(1)</script> &", parse_math=False)
    page = page_of(picture(figure, "caption", "p"))
    assert Tags(page).tags.count("script") == 1


def test_nothing_is_loaded_from_anywhere():
    figure, axes = blank(3.0, 2.0)
    axes.plot([1, 2], [3, 4])
    page = page_of(picture(figure, "", "p"))
    for name, value in Tags(page).attributes:
        if name in ("src", "href", "xlink:href", "action"):
            assert value.startswith(("#", "data:")), value
    assert not re.search(r"@import|url\((?!#)", page)
    assert "default-src 'none'" in page


def test_equal_figures_are_equal_markup_with_names_of_their_own():
    def drawn(name):
        figure, axes = blank(3.0, 2.0)
        axes.plot([1, 2, 3], [3, 4, 2], "o-")
        return picture(figure, "", name).markup

    assert drawn("a") == drawn("a")
    ids = [set(re.findall(r'\sid="([^"]+)"', drawn(name))) for name in ("a", "b")]
    assert ids[0]
    assert not ids[0] & ids[1]
    assert "#000000" not in drawn("a")  # black is the page's


def test_a_drawing_that_is_too_large_is_kept_as_pixels():
    figure, axes = blank(3.0, 2.0)
    rng = np.random.default_rng(0)
    axes.scatter(*rng.random((2, 4000)), c=rng.random(4000))
    made = picture(figure, "", "p")
    assert made.markup.startswith('<img alt="" src="data:image/png;base64,')
    assert len(made.markup) < MOST_BYTES
    assert made.paper


def test_columns_have_the_prefix_of_their_largest_number_and_sort_by_all_digits():
    frame = pd.DataFrame({"bandwidth_hz": [2e6, 1.5e6, np.nan], "model": ["b", "a", None], "n": [1, 2, 3]})
    table = tabulated(frame, {"bandwidth_hz": Unit("Hz", "share of the band")}, index=False)
    assert [column.head for column in table.columns] == ["bandwidth [MHz]", "model", "n"]
    assert [row[0].text for row in table.rows] == ["2", "1.5", "–"]
    assert [row[0].key for row in table.rows] == ["2000000.0", "1500000.0", ""]
    assert [column.numeric for column in table.columns] == [True, False, True]


def test_a_long_table_is_cut_and_says_so():
    frame = pd.DataFrame({"x": np.arange(10_000.0)})
    table = tabulated(frame, rest="the CSV has all")
    assert len(table.rows) == MOST_ROWS
    assert table.note == "Shown: the first 300 of 10000 rows; the CSV has all."
    spread = tabulated(frame, evenly=True, most=100)
    assert [spread.rows[0][0].text, spread.rows[-1][0].text] == ["0", "9999"]
    assert "100 of 10000 rows, evenly" in spread.note


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (np.inf, "∞"),
        (-0.25, "−0.25"),
        (3.0, "3"),
        (np.int64(12345678), "12345678"),
        (6.02e23, "6.02·10²³"),
        (None, "–"),
    ],
)
def test_numbers_are_written_for_people(value, text):
    assert number(value) == text


def test_a_page_is_written_whole_under_its_own_kind_of_name(tmp_path):
    path = write(tmp_path / "new" / "page.html", "title", [Chapter("t", "l")], "foot")
    assert path.read_text("utf-8").rstrip().endswith("</html>")
    with pytest.raises(OptionError, match=r"expected a name that ends in \.html, got 'page\.pdf'"):
        write("page.pdf", "title", [Chapter("t", "l")], "foot")
    assert [file.name for file in (tmp_path / "new").iterdir()] == ["page.html"]


def test_dark_tones_are_lighter_on_a_dark_page():
    figure, axes = blank(3, 2)
    axes.barh([0, 1], [1, 2], color=["#1b3a6b", "#d17a1e"])
    drawn = picture(figure, "bars", "bars").markup
    assert "fill: light-dark(#1b3a6b, #4a7cc4)" in drawn
    assert "fill: #d17a1e" in drawn


def test_axes_of_a_sweep_that_have_the_same_words_are_told_apart_by_their_tables():
    axes = {"d2d.threshold": [10.0, 20.0], "d2d-clusters.threshold": [10.0, 20.0]}
    found = ro.sweep("d2d-training", axes, problems="d2d:closest", draws=1, progress=False)
    assert found.words().index.names[1:] == ["d2d.threshold [points]", "d2d-clusters.threshold [points]"]
    (summary,) = found.chapter("f").sections[0].parts
    assert [column.head for column in summary.columns][:2] == [
        "d2d.threshold [points]",
        "d2d-clusters.threshold [points]",
    ]
