"""Every picture of an allocation at a column's width: nothing collides, is cut off, or differs in colour alone."""

import io
import itertools

import numpy as np
import pytest

import radioopt as ro
from radioopt.base.pictures import FILLS, TONES, canvas, line
from radioopt.d2d.q_learning import train
from radioopt.feel import LossDecay, TrainingTime
from radioopt.fimi.plot import plot_tradeoffs

matplotlib = pytest.importorskip("matplotlib")
pytest.importorskip("networkx")


def posed(family):
    return ro.Scenario.load(family).draw(seed=1).problem(family.removesuffix("-cpu"))


def swept():
    return ro.sweep("feel-cpu", {"bandwidth_hz": [1e6, 1e7, 1e8]}, draws=3, progress=False)


SIZES = np.array([1.0, 2.0, 8.0, 64.0, 128.0])
PICTURES = {
    "feel": lambda **look: posed("feel-cpu").solve().plot(**look),
    "fimi": lambda **look: posed("fimi").solve().plot(**look),
    "dtkd": lambda **look: posed("dtkd").solve().plot(**look),
    "d2d": lambda **look: posed("d2d").solve("none").plot(**look),
    "d2d-clusters": lambda **look: posed("d2d-clusters").solve("none").plot(**look),
    "mix2fld": lambda **look: posed("mix2fld").solve().plot(**look),
    "tradeoffs": lambda **look: plot_tradeoffs(posed("fimi"), points=21, **look),
    "training time": lambda **look: TrainingTime.fit(SIZES, 0.1 + 0.001 * SIZES).plot(**look),
    "loss decay": lambda **look: LossDecay.fit([100, 81], [0.1, 0.09]).plot(**look),
    "learning curve": lambda **look: ro.fimi.LearningCurve.fit(SIZES + 9, SIZES**-0.3).plot(**look),
    "Q-learning": lambda **look: train(posed("d2d"), iterations=5).plot(**look),
    "sweep": lambda **look: swept().plot(**look),
}


def shown(texts):
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_fits_a_column(name):
    figure = PICTURES[name](width="column")
    assert figure.get_figwidth() == 3.5
    assert figure.get_suptitle() == ""
    pdf = io.BytesIO()
    figure.savefig(pdf, format="pdf")
    assert b"/CIDFontType2" in pdf.getvalue()  # TrueType
    assert b"/Type3" not in pdf.getvalue()
    figure.draw_without_rendering()
    whole = figure.bbox
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks = [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
            boxes = [text.get_window_extent() for text in shown(ticks)]
            assert not any(one.overlaps(two) for one, two in itertools.pairwise(boxes)), axis
        for text in shown([axes.xaxis.label, axes.yaxis.label, axes.title]) if axes.axison else []:
            box = text.get_window_extent()
            assert (box.x0 >= -2, box.x1 <= whole.x1 + 2, box.y0 >= -2, box.y1 <= whole.y1 + 2) == (
                True,
            ) * 4, text


def test_a_picture_draws_into_axes_of_ones_own_and_has_a_title_when_asked():
    figure = matplotlib.figure.Figure()
    solution = posed("feel-cpu").solve()
    assert solution.plot(ax=figure.subplots(1, 2)) is figure
    assert "certified gap" in solution.plot(title=True).get_suptitle()
    assert solution.plot(title="Twelve devices").get_suptitle() == "Twelve devices"
    assert solution.plot(width=5).get_figwidth() == 5.0
    for look, message in (
        ({"ax": figure.axes[0]}, "ax: expected 2 axes, one for each panel, got 1"),
        ({"ax": figure.axes, "width": 3.0}, "width: the figure of the axes given has its own"),
        ({"ax": figure.axes, "title": "a"}, "title: the figure of the axes given has its own"),
        ({"width": "line"}, "width: expected inches, column or page, got 'line'"),
        ({"width": 0}, "width: expected 1 to 100 inches, column or page, got 0"),
        ({"title": 3}, "title: expected True, False or a text, got 3"),
        ({"widht": 3.0}, "plot: no option widht; did you mean width"),
    ):
        with pytest.raises(ro.OptionError, match=message):
            solution.plot(**look)


def test_a_picture_leaves_the_settings_of_matplotlib_alone():
    before = dict(matplotlib.rcParams)
    with canvas(2, {}) as (figure, _):
        assert matplotlib.rcParams["font.size"] == 8.0
    figure.savefig(io.BytesIO())
    assert dict(matplotlib.rcParams) == before


def grey(colour):
    return np.dot(matplotlib.colors.to_rgb(colour), (0.299, 0.587, 0.114))


def test_bars_and_lines_are_told_apart_in_grey():
    tones = [grey(colour) for colour, _ in FILLS]
    assert np.diff(tones).min() > 0.15  # from dark to light
    assert len({hatch for _, hatch in FILLS}) == len(FILLS)
    styles = [line(i) for i in range(14)]
    assert len({(str(one["linestyle"]), one["marker"], one["color"]) for one in styles}) == 14
    for i, one in enumerate(styles):  # neighbours differ in dashes and marker, whatever their tone
        for other in styles[i + 1 : i + 6]:
            assert one["linestyle"] != other["linestyle"]
            assert one["marker"] != other["marker"]
    assert max(map(grey, TONES)) < 0.8  # none vanishes on paper


def test_no_red_stands_beside_green():
    import colorsys

    for colours in (TONES, [colour for colour, _ in FILLS]):
        hues = [colorsys.rgb_to_hls(*matplotlib.colors.to_rgb(colour)) for colour in colours]
        assert not any(0.2 < hue < 0.45 for hue, _, saturation in hues if saturation > 0.2)  # greens
