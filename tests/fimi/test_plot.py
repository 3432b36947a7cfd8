"""Pictures show what they say, and say why where there is nothing to show."""

import numpy as np
import pytest

from radioopt import OptionError, ProblemError, SolveError
from radioopt.fimi.plot import plot_tradeoffs
from validation.fimi import zoo

pytest.importorskip("matplotlib")


def test_a_round(tmp_path):
    solution = zoo.paper().solve()
    figure = solution.plot(title=True)
    assert len(figure.axes) == 4
    assert "optimal" in figure.get_suptitle()
    figure.savefig(tmp_path / "round.png")
    assert len(zoo.paper(90).solve().plot().axes[3].patches) == 40


def test_tradeoffs_touch_the_optimum_with_the_price_as_slope():
    problem = zoo.paper()
    energy = float(problem.solve().objective)
    figure = plot_tradeoffs(problem, points=31)
    for axis in figure.axes:
        curve, price, point = axis.lines
        assert point.get_ydata()[0] == pytest.approx(energy)
        x, y = curve.get_data()
        known = np.isfinite(y)
        assert np.interp(point.get_xdata()[0], x[known], y[known]) == pytest.approx(energy, rel=2e-2)
        ends = np.interp(price.get_xdata(), x[known], y[known])
        assert (ends >= price.get_ydata() * (1 - 1e-9)).all()  # the optimum is convex in each


def test_what_cannot_be_drawn():
    batch = zoo.paper(count=2)
    with pytest.raises(ProblemError, match=r"expected a single instance, got a batch \(2,\)"):
        batch.solve().plot()
    with pytest.raises(ProblemError, match=r"use problem\[i\]"):
        plot_tradeoffs(batch)
    with pytest.raises(ProblemError, match="at least 2, got 1"):
        plot_tradeoffs(batch[0], points=1)
    with pytest.raises(OptionError, match="takes no path"):
        zoo.paper().solve().plot("x.png")
    infeasible = zoo.infeasible()["band_too_narrow"]
    with pytest.raises(ProblemError, match="INFEASIBLE: bandwidth_hz"):
        infeasible.solve(throw=False).plot()
    with pytest.raises(SolveError, match="bandwidth_hz"):
        plot_tradeoffs(infeasible)
