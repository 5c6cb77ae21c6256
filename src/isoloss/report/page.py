"""The report as files: one self-contained HTML page, the same as Markdown, and every figure as SVG and PNG."""

import base64
import csv
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from isoloss.core import files
from isoloss.core.pool import Helpers, Shared
from isoloss.core.shown import shown
from isoloss.report import render
from isoloss.report.blocks import Answer, Block, Drawing, Line, Note, Section
from isoloss.report.theme import SEQUENCE, SEQUENCE_DARK

if TYPE_CHECKING:
    from isoloss.report.data import ReportData

FIGURES = "figures"
HTML_NAME, MARKDOWN_NAME = "report.html", "report.md"

_MARKDOWN_SPECIAL = re.compile(r"([\\`*_\[\]|#~])")


@dataclass(frozen=True, kw_only=True)
class ReportFiles:
    """Where the report was written. `figures` are the SVG, PNG and CSV files in the order of the page."""

    html: Path
    markdown: Path
    figures: tuple[Path, ...]


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A drawing ready for the templates: inlined for wide and narrow screens, and as files by suffix.

    These are svg, png and, where the drawing brings numbers, csv.
    """

    drawing: Drawing
    number: str
    wide: Markup
    narrow: Markup | None
    files: Mapping[str, bytes]

    @property
    def paths(self) -> dict[str, str]:
        """Where each of its files stands, relative to the page, by suffix."""
        return {suffix: f"{FIGURES}/{self.drawing.name}.{suffix}" for suffix in self.files}


@dataclass(frozen=True, kw_only=True, eq=False)
class Page:
    """A page from its question to its answer: a study's report, or a published study done again.

    `kicker` says what kind of page it is, `answers` open it, `key_numbers` are its size in a few numbers. `lines` stand
    before the answers, a list under `lines_title`; the answers are folded to their few words then.
    """

    title: str
    kicker: str
    question: str
    created: date
    version: str
    answers: Sequence[Answer]
    key_numbers: Sequence[Note]
    sections: Sequence[Section]
    lines: Sequence[Line] = ()
    lines_title: str = ""


def write_report(data: "ReportData", folder: Path | str) -> ReportFiles:
    """Write the report of `data` into `folder` and return the paths; see `write_page`."""
    # A study's own sections load where a study's report is written: other pages need none of them.
    from isoloss.report.answers import lines_title, split_lines, verdicts
    from isoloss.report.sections import key_numbers, sections
    from isoloss.report.tuning import tuning_answers

    page = Page(
        title=data.title,
        kicker="scaling-law study",
        question=data.question,
        created=data.created.date(),
        version=data.version,
        answers=tuning_answers(data) if data.tuning else verdicts(data),
        key_numbers=key_numbers(data),
        sections=sections(data),
        lines=() if data.tuning else split_lines(data),
        lines_title=lines_title(data),
    )
    return write_page(page, folder)


def write_page(
    page: Page, folder: Path | str, *, helpers: Helpers | None = None, done: Callable[[], None] = lambda: None
) -> ReportFiles:
    """Write a page, the same as Markdown, and figures as SVG and PNG, with their numbers as CSV where they bring them.

    `helpers` draw along, see `isoloss.core.pool`; `done` is called after each of `drawings_of`. Files that exist are
    replaced, each atomically. The page comes last: whoever sees it sees its figures. Raises StorageError where the
    folder cannot be written.
    """
    target = Path(folder)
    pictures = _pictures(page.sections, helpers, done)
    written: list[Path] = []
    for picture in pictures.values():
        for suffix, path in picture.paths.items():
            files.write_bytes(target / path, picture.files[suffix])
            written.append(target / path)
    context, templates = _context(page, pictures), _templates()
    files.write_text(target / MARKDOWN_NAME, _tidy(templates.get_template("page.md.j2").render(context)))
    files.write_text(target / HTML_NAME, templates.get_template("page.html.j2").render(context))
    return ReportFiles(html=target / HTML_NAME, markdown=target / MARKDOWN_NAME, figures=tuple(written))


def drawings_of(parts: Sequence[Section]) -> dict[str, Drawing]:
    """Return the drawings by number, 1, 2, 3; folded ones are numbered under the last before them: 1.1, 1.2."""
    found: dict[str, Drawing] = {}
    number = 0
    for part in parts:
        for drawing in _drawings(part.blocks):
            number += 1
            found[str(number)] = drawing
        for below, drawing in enumerate(_drawings(part.folded), start=1):
            found[f"{number}.{below}"] = drawing
    return found


def _drawings(blocks: Sequence[Block]) -> list[Drawing]:
    return [block for block in blocks if isinstance(block, Drawing)]


def _pictures(parts: Sequence[Section], helpers: Helpers | None, done: Callable[[], None]) -> dict[str, Picture]:
    """Return the drawings, drawn, by name."""
    found = drawings_of(parts)
    calls = [partial(render.rendered, drawing.draw, wide_only=drawing.wide_only) for drawing in found.values()]
    drawn = Shared(calls, helpers).collect(done)
    return {
        drawing.name: _picture(drawing, number, result)
        for (number, drawing), result in zip(found.items(), drawn, strict=True)
    }


def _picture(drawing: Drawing, number: str, drawn: render.Rendered) -> Picture:
    name, alt = drawing.name, drawing.alt
    written = {"svg": render.svg_file(drawn.wide).encode(), "png": drawn.png}
    return Picture(
        drawing=drawing,
        number=number,
        wide=Markup(render.inline_svg(drawn.wide, name=name, alt=alt)),
        narrow=Markup(render.inline_svg(drawn.narrow, name=f"{name}-narrow", alt=alt)) if drawn.narrow else None,
        files=written | ({"csv": csv_text(drawing.numbers).encode()} if drawing.numbers else {}),
    )


def _context(page: Page, pictures: dict[str, Picture]) -> dict[str, Any]:
    script = asset("page.js")
    return {
        "page": page,
        "pictures": pictures,
        "style": Markup(asset("style.css") + _sequence_style()),
        "script": Markup(script),
        "script_hash": script_hash(script),
    }


def script_hash(script: str) -> str:
    """Return the digest by which a page's policy lets a script of its own run."""
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


@cache
def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("isoloss.report", "templates"),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
    )
    environment.filters["md"] = markdown_text
    environment.filters["kind"] = lambda block: type(block).__name__
    environment.filters["indented"] = lambda text: "\n".join(f"    {line}" for line in str(text).splitlines())
    environment.filters["bracketed"] = lambda text: text if text[0] in "[(" else f"({text})"
    return environment


def markdown_text(text: object) -> str:
    """Return text that Markdown shows as it is: one line, nothing of it markup, HTML or a table's bar."""
    line = shown(" ".join(str(text).split())).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN_SPECIAL.sub(r"\\\1", line)


def csv_text(columns: Mapping[str, Sequence[object]]) -> str:
    """Return columns of equal length as CSV with a heading; empty for none. Missing values are empty fields."""
    if not columns:
        return ""
    buffer = StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(zip(*columns.values(), strict=True))
    return buffer.getvalue()


def _tidy(markdown: str) -> str:
    return re.sub(r"\n{3,}", "\n\n", markdown).strip() + "\n"


def asset(name: str) -> str:
    """Return a file of the page: its style or its script."""
    return resources.files("isoloss.report").joinpath("templates", name).read_text(encoding="utf-8")


def _sequence_style() -> str:
    """Return the CSS variables of the figures' sequence of colours, for light paper and dark."""
    light, dark = (
        "".join(f"--seq-{i}:{colour};" for i, colour in enumerate(colours)) for colours in (SEQUENCE, SEQUENCE_DARK)
    )
    return f":root{{{light}}}\n@media (prefers-color-scheme: dark){{:root{{{dark}}}}}\n"
