"""Figures become bytes: PNG, SVG files, and drawings inlined into the page."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from io import BytesIO

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from isoloss.report.blocks import Draw
from isoloss.report.theme import PAPER, POINTS_PER_INCH, SENTINELS, styled

PNG_DPI = 160
CSS_PIXELS_PER_INCH = 96

# Every change is made inside tags: a corpus may be called "#ffffff", and a label says 1.011 and not 1.01.
_TAG = re.compile(r"<[^>]+>")
_LINK = re.compile(r'<a xlink:href="(#run-[0-9a-f]+)" target="_blank">')
_LONG_NUMBER = re.compile(r"\d+\.\d{3,}")
_FAR_NUMBER = re.compile(r"\d{2,}\.\d{2,}")  # a coordinate, and not the outline of a mark
_PATH = re.compile(r' d="([^"]*)"')
_PATH_SPACE = re.compile(r"\s*\n\s*|(?<=[MLCQz]) ")
_INDENT = re.compile(r"\n\s+")
_PROLOGUE = re.compile(r"\A.*?(?=<svg )", re.DOTALL)
_OPENING = re.compile(r'\A<svg [^>]*viewBox="([^"]*)"[^>]*>')
_METADATA = re.compile(r"<metadata>.*?</metadata>\s*", re.DOTALL)
_IDENTIFIER = re.compile(r'(\bid="|url\(#|xlink:href="#)(?!run-)')
_FONT_FAMILY = re.compile(r"'DejaVu Sans'[^;\"]*")
_COLOUR = re.compile("|".join(SENTINELS))


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """One drawing as matplotlib writes it: SVG for wide and, if at hand, narrow screens, and PNG."""

    wide: str
    narrow: str | None
    png: bytes


def rendered(draw: Draw, *, wide_only: bool) -> Rendered:
    """Return what a function draws for a wide screen and, unless it is for that alone, for a phone."""
    figure = draw()
    narrow = None if wide_only else raw_svg(draw(layout="narrow"))
    return Rendered(wide=raw_svg(figure), narrow=narrow, png=png_bytes(figure))


@contextmanager
def _rendering() -> Iterator[None]:
    """A name in a script the bundled font lacks is drawn as boxes in the PNG; that is no reason to warn or fail."""
    with styled(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
        yield


def png_bytes(figure: Figure) -> bytes:
    """Return the figure as a PNG on white, without the transparency that it does not have: half the bytes."""
    from PIL import Image

    pixels, written = BytesIO(), BytesIO()
    with _rendering():
        FigureCanvasAgg(figure)
        figure.savefig(pixels, format="rgba", dpi=PNG_DPI, facecolor=PAPER)
    width, height = (int(inches * PNG_DPI) for inches in figure.get_size_inches())
    image = Image.frombytes("RGBA", (width, height), pixels.getvalue()).convert("RGB")
    image.save(written, format="PNG", dpi=(PNG_DPI, PNG_DPI), compress_level=4)  # half the time of the default
    return written.getvalue()


def raw_svg(figure: Figure) -> str:
    """Return the figure as matplotlib writes it: the source of `svg_file` and `inline_svg`. Same figure, same text.

    Paths are cut to a tenth of a point and lose their white space, which nobody sees and which halves the page.
    """
    buffer = BytesIO()
    with _rendering():
        FigureCanvasSVG(figure)
        figure.savefig(buffer, format="svg", dpi=POINTS_PER_INCH, metadata={"Date": None, "Creator": None})
    return _INDENT.sub("\n", _in_tags(_compact, buffer.getvalue().decode("utf-8")))


def _in_tags(change: Callable[[str], str], svg: str) -> str:
    return _TAG.sub(lambda match: change(match.group()), svg)


def _compact(tag: str) -> str:
    tag = _LONG_NUMBER.sub(lambda match: f"{float(match.group()):.2f}", tag)
    return _PATH.sub(lambda match: f' d="{_compact_path(match.group(1))}"', tag)


def _compact_path(path: str) -> str:
    return _FAR_NUMBER.sub(lambda match: f"{float(match.group()):.1f}", _PATH_SPACE.sub("", path))


def svg_file(raw: str) -> str:
    """Return the drawing as a file of its own: no links into the page, white paper behind it."""
    unlinked = _LINK.sub("", raw).replace("</a>", "")
    paper = f'<rect width="100%" height="100%" fill="{PAPER}"/>'
    return unlinked.replace('<g id="figure_1">', f'{paper}\n <g id="figure_1">', 1)


def inline_svg(raw: str, *, name: str, alt: str) -> str:
    """Return the drawing as an element of the page.

    Identifiers carry `name`, colours become CSS variables, points link to their row of the table of runs without being
    stops of the tabulator (the table is), and the page's own font is used.
    """
    view_box, body = _opened(_METADATA.sub("", _PROLOGUE.sub("", raw)))

    def change(tag: str) -> str:
        tag = _LINK.sub(r'<a href="\1" tabindex="-1">', tag)
        tag = _IDENTIFIER.sub(lambda match: f"{match.group(1)}{name}-", tag)
        tag = _COLOUR.sub(lambda match: f"var({SENTINELS[match.group()]})", tag)
        return _FONT_FAMILY.sub("var(--sans)", tag)

    return _opening(view_box, alt) + _in_tags(change, body)


def _opened(svg: str) -> tuple[str, str]:
    """Return the view box of a drawing and everything behind its opening tag."""
    opening = _OPENING.match(svg)
    assert opening is not None, "matplotlib writes an <svg> with a viewBox"
    return opening.group(1), svg[opening.end() :]


def _opening(view_box: str, alt: str) -> str:
    width, height = (float(x) * CSS_PIXELS_PER_INCH / POINTS_PER_INCH for x in view_box.split()[2:])
    return (
        f'<svg viewBox="{view_box}" role="img" aria-label="{escape(alt, quote=True)}" '
        f'style="max-width:{width:.0f}px" width="{width:.0f}" height="{height:.0f}">'
    )
