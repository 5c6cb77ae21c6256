import subprocess
import sys

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from isoloss.report.theme import SEQUENCE, SEQUENCE_DARK, edge_panels, log_ticks, short, size_colours, spread, styled

positive = st.floats(min_value=1e-3, max_value=1e15)


@given(positive, st.floats(min_value=1.02, max_value=1e9), st.integers(min_value=3, max_value=8))
def test_ticks_are_few_ascending_and_inside_the_axis(low: float, ratio: float, most: int) -> None:
    ticks = log_ticks(low, low * ratio, most=most)
    assert len(ticks) <= most
    assert all(np.diff(ticks) > 0)
    assert all(low * 0.99 <= tick <= low * ratio * 1.01 for tick in ticks)


@given(positive, st.floats(min_value=1.5, max_value=1e9))
def test_every_axis_has_two_ticks_to_read_a_scale_from(low: float, ratio: float) -> None:
    assert len(log_ticks(low, low * ratio)) >= 2


@given(
    st.lists(st.floats(min_value=-10, max_value=10), min_size=1, max_size=12), st.floats(min_value=0.01, max_value=1)
)
def test_names_are_spread_apart_in_their_order_around_their_mean(places: list[float], gap: float) -> None:
    moved = spread(places, gap)
    order = np.argsort(places, kind="stable")
    gaps = np.diff(np.array(moved)[order])
    assert (gaps >= gap - 1e-6).all()
    assert np.mean(moved) == pytest.approx(np.mean(places), abs=1e-6)


def test_names_far_apart_stay_where_they_are() -> None:
    assert spread([3.0, 1.0, 2.0], 0.5) == [3.0, 1.0, 2.0]


def test_shared_labels_stand_at_the_left_and_where_nothing_is_below() -> None:
    assert edge_panels(5, 3) == ({0, 3}, {2, 3, 4})
    assert edge_panels(4, 1) == ({0, 1, 2, 3}, {0, 1, 2, 3})


def _luminance(colour: str) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("sequence", [SEQUENCE, SEQUENCE_DARK])
def test_sizes_are_distinguished_by_lightness_alone(sequence: list[str]) -> None:
    """Whoever sees no hue still sees the order: luminance rises at every step."""
    assert (np.diff([_luminance(colour) for colour in sequence]) > 0).all()


@pytest.mark.parametrize(("sequence", "paper"), [(SEQUENCE, "#ffffff"), (SEQUENCE_DARK, "#14171b")])
def test_every_curve_is_seen_on_its_paper(sequence: list[str], paper: str) -> None:
    """A thin line of contrast under 1.6 is lost; the palest step is checked against that, not against text's 4.5."""
    lights = sorted((_luminance(colour), _luminance(paper)) for colour in sequence)
    contrasts = [(max(pair) + 0.05) / (min(pair) + 0.05) for pair in lights]
    assert min(contrasts) > 1.6


def test_sizes_get_colours_in_their_order() -> None:
    colours = size_colours([3e5, 1e4, 1e5, 1e4])
    assert list(colours) == [1e4, 1e5, 3e5]
    assert list(colours.values()) == [SEQUENCE[0], SEQUENCE[16], SEQUENCE[-1]]


def test_titles_are_one_short_line() -> None:
    assert short("a\nb\tc\x00d") == "a b c d"
    assert short("python without comments", 12) == "python…ments"
    assert len(short("x" * 40, 11)) == 11


def test_the_style_leaves_the_users_own_settings_alone() -> None:
    with matplotlib.rc_context({"axes.grid": False, "font.size": 31.0}):
        with styled():
            assert matplotlib.rcParams["font.size"] != 31.0
        assert matplotlib.rcParams["font.size"] == 31.0
        assert matplotlib.rcParams["axes.grid"] is False


def test_drawing_never_touches_pyplot() -> None:
    """pyplot keeps figures alive and picks a backend: neither belongs into a library."""
    code = "import sys, isoloss.report.page; sys.exit('matplotlib.pyplot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
