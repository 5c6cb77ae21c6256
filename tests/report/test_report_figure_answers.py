"""Frontiers, optima and plans drawn: every answer stands where its numbers are, and useless intervals are not drawn."""

import math
from xml.etree import ElementTree

import numpy as np
import pytest

from isoloss.core.errors import InputError
from isoloss.core.estimate import Estimate
from isoloss.fitting.fitting import fit
from isoloss.optima.best_size import BestSize, BestSizes
from isoloss.report.figure_file import require_drawable, write_figure
from isoloss.report.figures.answers import OneSplit, of_laws, splits
from laws_tables import simulated


def drawn_points(axes):
    return [line for line in axes.get_lines() if line.get_linestyle() == "None"]


@pytest.fixture(scope="module")
def law():
    return fit(simulated(point_sd=0.002), bootstrap=20)


def test_a_laws_frontier_goes_through_its_own_optima(law):
    figure = law.plot(flops=[1e12])
    ratio, loss = figure.axes
    (point,) = law.frontier(flops=[1e12])
    (asked,) = drawn_points(ratio)
    assert asked.get_xydata()[0] == pytest.approx([1e12, math.exp(point.log_ratio.value)])
    assert drawn_points(loss)[0].get_ydata()[0] == pytest.approx(point.loss.value)
    curve = ratio.get_lines()[0].get_xydata()
    known = [math.exp(law.log_ratio(budget).value) for budget in curve[:, 0]]
    np.testing.assert_allclose(curve[:, 1], known)
    assert len(drawn_points(of_laws([law, law], flops=[1e11, 1e12]).axes[0])) == 1  # one corpus, one series


def test_an_interval_of_no_use_is_not_drawn():
    def bars(width):
        ratio = Estimate(value=3.0, low=3.0 - width / 2, high=3.0 + width / 2)
        (axes,) = splits(curves={}, points={"text": [OneSplit(flops=1e20, log_ratio=ratio)]}).axes
        (segment,) = axes.collections[0].get_segments()
        return math.log(segment[1][1] / segment[0][1])

    assert bars(2.0) == pytest.approx(2.0)
    assert bars(math.log(201)) == 0


def test_optima_outside_the_runs_are_left_out_and_none_at_all_is_refused():
    ratio = Estimate(value=20.0, low=15.0, high=30.0)
    inside = BestSize(corpus="text", flops=1e20, inside=True, reason="", tokens_per_param=ratio)
    outside = BestSize(corpus="code", flops=1e20, inside=False, reason="at the edge")
    (axes,) = BestSizes([inside, outside]).plot().axes
    assert len(drawn_points(axes)) == 1
    with pytest.raises(InputError, match="nothing to draw"):
        outside.plot()


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_figure_is_the_file_that_was_asked_for(law, tmp_path, suffix):
    path = tmp_path / f"law{suffix}"
    write_figure(law.plot(), path)
    content = path.read_bytes()
    if suffix == ".png":
        assert content.startswith(b"\x89PNG")
    else:
        assert ElementTree.fromstring(content).tag.endswith("svg")
    with pytest.raises(InputError, match="svg or .png"):
        require_drawable(path.with_suffix(".pdf"))


def test_one_budget_alone_is_drawn():
    """A budget of 1e11 as N D gives it: not a round number, and the only one on a logarithmic axis."""
    answer = OneSplit(flops=100_000_000_000.0002, log_ratio=Estimate(value=3.3, low=3.0, high=3.6))
    axes = splits(curves={}, points={"plan": [answer]}).axes[0]
    low, high = axes.get_xlim()
    assert low < answer.flops < high
