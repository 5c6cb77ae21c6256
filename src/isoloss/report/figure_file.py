"""A figure as the file that somebody asked for."""

from pathlib import Path
from typing import TYPE_CHECKING

from isoloss.core.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".svg", ".png")


def require_drawable(path: Path | None) -> None:
    """Raise InputError for a path that is neither .svg nor .png: before any work is done for it."""
    if path is not None and path.suffix.lower() not in SUFFIXES:
        raise InputError(
            f"a figure is written as .svg or .png, found {path.suffix or 'no suffix'!r}", place="--figure",
            fix=f"write --figure {path.with_suffix('.svg')}",
        )  # fmt: skip


def write_figure(figure: "Figure", path: Path) -> None:
    """Write a figure atomically, as the suffix says."""
    from isoloss.core.files import write_bytes
    from isoloss.report.render import png_bytes, raw_svg, svg_file

    content = png_bytes(figure) if path.suffix.lower() == ".png" else svg_file(raw_svg(figure)).encode()
    write_bytes(path, content)
