"""The page: laws, formulas and the figures' library in one file that opens without a network."""

import json
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from isoloss import __version__
from isoloss.core import files
from isoloss.core.errors import InputError
from isoloss.explorer.content import content
from isoloss.explorer.figures import figures
from isoloss.explorer.sources import Source
from isoloss.report.page import asset, script_hash

LARGEST_PAGE = 5_000_000  # bytes


def write_explorer(sources: Sequence[Source], path: Path, *, opened_at: float | None = None) -> Path:
    """Write one self-contained page on one or two sources to `path`, atomically, and return it.

    Raises InputError for more than two sources, for a name that is no page's, and for runs too many for a page.
    """
    if not 1 <= len(sources) <= 2:
        raise InputError(f"{len(sources)} sources", place="explore", fix="explore one, or two side by side")
    if path.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"found {path.name!r}, expected an .html file", place="--out", fix="name it explore.html")
    written = page(sources, opened_at=opened_at)
    if len(written.encode()) > LARGEST_PAGE:
        raise InputError(
            f"a page of {len(written.encode()) / 1e6:.1f} MB, over {LARGEST_PAGE / 1e6:g} MB", place="explore",
            fix="use fewer runs (--where), fewer laws (--law) or fewer resamples (--bootstrap)",
        )  # fmt: skip
    files.write_text(path, written)
    return path


def page(sources: Sequence[Source], *, opened_at: float | None = None) -> str:
    """Return the page as HTML; names in it are text, and its policy lets no script but its own run."""
    page_data = content(sources, opened_at=opened_at)
    page_data["figures"] = figures(page_data)
    scripts = [_library(), *(_own(name) for name in ("formulas.js", "explorer.js"))]
    template = _environment().get_template("page.html.j2")
    return template.render(
        title=" and ".join(source.name for source in sources),
        version=__version__,
        page_data=page_data,
        content=Markup(_as_data(page_data)),
        style=Markup(asset("style.css") + _own("explorer.css")),
        scripts=[Markup(script) for script in scripts],
        hashes=[script_hash(script) for script in scripts],
    )


def _as_data(page_data: object) -> str:
    """Return JSON that may stand inside a script element: no text in it can end the element."""
    written = json.dumps(page_data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return written.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


@cache
def _library() -> str:
    """Return Bokeh's own script, as its package brings it: the part that draws, without widgets and tables."""
    folder = resources.files("bokeh").joinpath("server", "static", "js")
    return folder.joinpath("bokeh.min.js").read_text(encoding="utf-8").replace("</script", "<\\/script")


def _own(name: str) -> str:
    return resources.files("isoloss.explorer").joinpath("templates", name).read_text(encoding="utf-8")


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("isoloss.explorer", "templates"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
